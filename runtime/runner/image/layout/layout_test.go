package layout

import (
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

const (
	zero     = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",` +
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + zero + `","size":7},` +
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"` + zero + `","size":9}]}`
	config = `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["` + zero + `"]}}`
	index  = `{"schemaVersion":2,"manifests":[` +
		`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + zero + `","size":7,"platform":{"os":"linux","architecture":"arm64"}},` +
		`{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"` + zero + `","size":8},` +
		`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + zero + `","size":9,"platform":{"os":"unknown","architecture":"unknown"}},` +
		`{"mediaType":"application/vnd.example.signature","digest":"sha512:00","size":9}]}`
)

func TestManifest(t *testing.T) {
	m, err := ParseManifest([]byte(manifest))
	if err != nil || m.Config.Size != 7 || len(m.Layers) != 1 || m.Layers[0].Compression != Gzip || m.Layers[0].Size != 9 || m.Layers[0].SHA256 != (cid.Hash{}) {
		t.Fatalf("%+v, %v", m, err)
	}
	dockers := strings.NewReplacer("vnd.oci.image.manifest.v1+json", "vnd.docker.distribution.manifest.v2+json",
		"vnd.oci.image.config.v1+json", "vnd.docker.container.image.v1+json", "vnd.oci.image.layer.v1.tar+gzip", "vnd.docker.image.rootfs.diff.tar.gzip")
	if d, err := ParseManifest([]byte(dockers.Replace(manifest))); err != nil || d.Layers[0].Compression != Gzip {
		t.Errorf("Docker's media types: %+v, %v", d, err)
	}
	for name, swap := range map[string][2]string{
		"version":    {`"schemaVersion":2`, `"schemaVersion":1`},
		"media type": {"image.manifest.v1", "image.index.v1"},
		"artifact":   {`"mediaType"`, `"artifactType":"x","mediaType"`},
		"a config":   {"vnd.oci.image.config.v1+json", "vnd.oci.empty.v1+json"},
		"upper case": {"sha256:0", "sha256:A"},
		"short":      {"sha256:00", "sha256:0"},
		"no size":    {`,"size":9`, ""},
		"text size":  {`"size":9`, `"size":"9"`},
		"fraction":   {`"size":9`, `"size":9.5`},
		"big config": {`"size":7`, `"size":99999999`},
		"estargz":    {"tar+gzip", "tar+xz"},
		"an index":   {`"layers"`, `"manifests"`},
		"cut":        {`]}`, ``},
	} {
		if m, err := ParseManifest([]byte(strings.Replace(manifest, swap[0], swap[1], 1))); fault.CodeOf(err) != ErrInvalid {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	if _, err := ParseManifest([]byte(strings.Repeat(" ", MaxDocument+1))); fault.CodeOf(err) != ErrInvalid {
		t.Errorf("too long: %v", err)
	}
}

func TestConfig(t *testing.T) {
	c, err := ParseConfig([]byte(config), 1)
	if err != nil || c.Platform() != "linux/amd64" || len(c.DiffIDs) != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	for name, swap := range map[string][2]string{
		"type":         {"layers", "flat"},
		"os":           {`"linux"`, `""`},
		"architecture": {`"amd64"`, `"amd64/v3"`},
		"digest":       {"sha256:", "sha1:"},
	} {
		if _, err := ParseConfig([]byte(strings.Replace(config, swap[0], swap[1], 1)), 1); fault.CodeOf(err) != ErrInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseConfig([]byte(config), 2); fault.CodeOf(err) != ErrInvalid {
		t.Errorf("fewer diff_ids than layers: %v", err)
	}
}

func TestIndex(t *testing.T) {
	list, err := ParseIndex([]byte(index))
	if err != nil || len(list) != 2 || list[0].Platform != "linux/arm64" || list[0].Index || !list[1].Index || list[1].Platform != "" {
		t.Fatalf("%+v, %v", list, err)
	}
	if _, err := ParseIndex([]byte(strings.Replace(index, zero, "sha256:0", 1))); fault.CodeOf(err) != ErrInvalid {
		t.Errorf("a bad digest: %v", err)
	}
	if err := ParseVersion([]byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		t.Error(err)
	}
	if err := ParseVersion([]byte(`{"imageLayoutVersion":"2.0.0"}`)); fault.CodeOf(err) != ErrInvalid {
		t.Errorf("version 2: %v", err)
	}
}

// FuzzDocuments: any document is read within its bounds, or refused with a code.
func FuzzDocuments(f *testing.F) {
	for _, s := range []string{manifest, config, index} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseManifest(raw)
		if err == nil && (len(m.Layers) == 0 || len(m.Layers) > MaxLayers || m.Config.Size > MaxDocument) {
			t.Errorf("out of bounds: %+v", m)
		}
		_, err2 := ParseConfig(raw, 1)
		_, err3 := ParseIndex(raw)
		for _, err := range []error{err, err2, err3} {
			if err != nil && fault.CodeOf(err) != ErrInvalid {
				t.Errorf("%v", err)
			}
		}
	})
}
