package pack_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/pack"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
	"github.com/mythos-run/mythos/runtime/runner/image/layout"
)

// images is an image layout in files, below a folder.
type images map[string]string

// put adds a blob and returns its descriptor.
func (x images) put(media string, raw []byte) map[string]any {
	x["blobs/sha256/"+cid.Sum(raw).Hex()] = string(raw)
	return map[string]any{"mediaType": media, "digest": "sha256:" + cid.Sum(raw).Hex(), "size": len(raw)}
}

func (x images) putJSON(t testing.TB, media string, v any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return x.put(media, raw)
}

// add adds an image for a platform, whose layer holds text.
func (x images) add(t testing.TB, platform, text string) map[string]any {
	t.Helper()
	layer := x.put(layout.MediaLayer, []byte(text))
	system, arch, _ := strings.Cut(platform, "/")
	config := x.putJSON(t, layout.MediaConfig, map[string]any{
		"os": system, "architecture": arch, "rootfs": map[string]any{"type": "layers", "diff_ids": []any{layer["digest"]}},
	})
	return x.putJSON(t, layout.MediaManifest, map[string]any{"schemaVersion": 2, "config": config, "layers": []any{layer}})
}

// index writes index.json and the layout's version.
func (x images) index(t testing.TB, list ...any) images {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": list})
	if err != nil {
		t.Fatal(err)
	}
	x["index.json"], x["oci-layout"] = string(raw), `{"imageLayoutVersion":"1.0.0"}`
	return x
}

// files are those of a source folder.
func (x images) files() map[string]string {
	out := map[string]string{}
	for name, content := range x {
		out["image/"+name] = content
	}
	return out
}

// archived is the layout as one tar.
func (x images) archived(t testing.TB) map[string]string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(x))) { // index.json after the blobs
		if err := errors.Join(w.WriteHeader(&tar.Header{Name: "./" + name, Mode: 0o644, Size: int64(len(x[name]))}), func() error { _, err := w.Write([]byte(x[name])); return err }()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"image": b.String()}
}

// imageSource is a source with an image module; platform may be "".
func imageSource(files map[string]string, platform string) packtest.Spec {
	s := module("kind", "oci-image", "path", "image", "abi", nil, "entry", "bin/tool")
	if platform != "" {
		s.Modules[0].Source["platform"] = platform
	}
	s.Files = files
	return s
}

// TestBuildImage: manifest, config and layers of the image for the platform become
// artifacts, the manifest the module, from a folder as from an archive.
func TestBuildImage(t *testing.T) {
	x := images{}
	one, other := x.add(t, "linux/amd64", "layer of amd64"), x.add(t, "linux/arm64", "layer of arm64")
	nested := x.putJSON(t, layout.MediaIndex, map[string]any{"schemaVersion": 2, "manifests": []any{one, other}})
	single := images{}
	alone := single.index(t, single.add(t, "linux/amd64", "layer of amd64"))
	x.index(t, nested)
	for name, c := range map[string]struct {
		spec     packtest.Spec
		platform string
		want     map[string]any
	}{
		"folder":             {imageSource(x.files(), "linux/arm64"), "linux/arm64", other},
		"archive":            {imageSource(x.archived(t), "linux/amd64"), "linux/amd64", one},
		"the only one":       {imageSource(alone.files(), ""), "linux/amd64", one},
		"the only one named": {imageSource(alone.archived(t), "linux/amd64"), "linux/amd64", one},
	} {
		t.Run(name, func(t *testing.T) {
			p := packtest.Build(t, c.spec)
			m := p.Manifest
			b := m.Modules[0].Module
			if got := "sha256:" + b.CID.Hex(); b.Kind != manifest.ModuleOCI || b.ABI != manifest.ABIStdio || b.Platform != c.platform || got != c.want["digest"] {
				t.Errorf("module %+v, want %s for %s", b, c.want["digest"], c.platform)
			}
			var kinds []string
			for _, a := range m.Artifacts {
				if a.Kind == manifest.KindImage {
					kinds = append(kinds, a.MediaType)
				}
			}
			slices.Sort(kinds)
			if want := []string{layout.MediaConfig, layout.MediaLayer, layout.MediaManifest}; !slices.Equal(kinds, want) {
				t.Errorf("image artifacts %v, want %v", kinds, want)
			}
		})
	}
}

func TestBuildImageRefuses(t *testing.T) {
	fresh := func() (images, map[string]any) {
		x := images{}
		d := x.add(t, "linux/amd64", "layer")
		return x.index(t, d), d
	}
	for name, c := range map[string]struct {
		code  fault.Code
		text  string
		spoil func(x images, d map[string]any) packtest.Spec
	}{
		"platform that is not there": {layout.ErrPlatform, "linux/amd64", func(x images, _ map[string]any) packtest.Spec { return imageSource(x.files(), "linux/arm64") }},
		"which of two": {layout.ErrPlatform, "name the platform", func(x images, d map[string]any) packtest.Spec {
			return imageSource(x.index(t, d, x.add(t, "linux/arm64", "l")).files(), "")
		}},
		"no index": {pack.ErrSourceAbsent, "index.json", func(x images, _ map[string]any) packtest.Spec {
			delete(x, "index.json")
			return imageSource(x.archived(t), "")
		}},
		"no layout": {pack.ErrSourceAbsent, "oci-layout", func(x images, _ map[string]any) packtest.Spec {
			delete(x, "oci-layout")
			return imageSource(x.files(), "")
		}},
		"nothing": {pack.ErrSourceAbsent, "no such image layout", func(images, map[string]any) packtest.Spec { return imageSource(nil, "") }},
		"compressed": {pack.ErrSource, "uncompressed", func(images, map[string]any) packtest.Spec {
			return imageSource(map[string]string{"image": "\x1f\x8b\x08\x00 and so on, for more than one block" + strings.Repeat(".", 600)}, "")
		}},
		"manifest bytes": {layout.ErrDigest, "", func(x images, d map[string]any) packtest.Spec {
			x["blobs/sha256/"+strings.TrimPrefix(d["digest"].(string), "sha256:")] += " "
			return imageSource(x.files(), "")
		}},
		"layer bytes": {layout.ErrDigest, cid.Sum([]byte("layer")).Hex(), func(x images, _ map[string]any) packtest.Spec {
			x["blobs/sha256/"+cid.Sum([]byte("layer")).Hex()] = "rayel"
			return imageSource(x.files(), "")
		}},
		"layer missing": {pack.ErrSourceAbsent, "", func(x images, _ map[string]any) packtest.Spec {
			delete(x, "blobs/sha256/"+cid.Sum([]byte("layer")).Hex())
			return imageSource(x.archived(t), "")
		}},
		"indexes without end": {layout.ErrInvalid, "indexes", func(x images, d map[string]any) packtest.Spec {
			for i := range 4 {
				d = x.putJSON(t, layout.MediaIndex, map[string]any{"schemaVersion": 2, "manifests": []any{d}, "annotations": map[string]string{"n": fmt.Sprint(i)}})
			}
			return imageSource(x.index(t, d).files(), "")
		}},
		"a secret in a layer": {pack.ErrSecret, "", func(x images, _ map[string]any) packtest.Spec {
			key := "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIGlRHEsUlIrQkQqK4Zs\n-----END EC PRIVATE KEY-----\n"
			return imageSource(x.index(t, x.add(t, "linux/amd64", key)).files(), "")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			x, d := fresh()
			dir := t.TempDir()
			packtest.WriteSource(t, dir, c.spoil(x, d))
			_, err := pack.Build(t.Context(), options(dir, t.TempDir()))
			if fault.CodeOf(err) != c.code || !strings.Contains(fmt.Sprint(err), c.text) {
				t.Errorf("got %v, want %s with %q", err, c.code, c.text)
			}
		})
	}
}
