package image

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/image/layout"
)

// plainly reads and plans an image.
func plainly(b *built, limit int64) (*parts, *plan, error) {
	x, err := readParts(context.Background(), b.manifest, b.open)
	if err != nil {
		return nil, nil, err
	}
	t, err := x.plan(context.Background(), limit, b.open)
	return x, t, err
}

// tree describes a plan.
func tree(t *testing.T, p *plan) []string {
	t.Helper()
	var out []string
	err := p.all(func(path string, n *node) error {
		switch n.kind {
		case folder:
			if n.children == nil {
				return fmt.Errorf("folder %s without a map", path)
			}
			path += "/"
		case link:
			path += " -> " + n.target
		case file:
			path += fmt.Sprintf(" %d", n.size)
			if n.exec {
				path += " x"
			}
		}
		out = append(out, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const (
	isDir  = tar.TypeDir
	isLink = tar.TypeSymlink
	isHard = tar.TypeLink
)

// TestLayers: what layers make of each other, in memory and on the disk.
func TestLayers(t *testing.T) {
	always := []string{"dev/", "proc/", "tmp/"}
	for name, c := range map[string]struct {
		layers [][]item
		want   []string
	}{
		"one": {[][]item{{{name: "a", text: "12"}, {name: "./b/", kind: isDir}, {name: "b/c", mode: 0o4755, text: "1"}}}, []string{"a 2", "b/", "b/c 1 x"}},
		"replaced": {
			[][]item{{{name: "a", text: "1"}, {name: "d/x", text: "1"}, {name: "e", text: "1"}}, {{name: "a", text: "22"}, {name: "d", text: "4444"}, {name: "e", kind: isDir}, {name: "e/f"}}},
			[]string{"a 2", "d 4", "e/", "e/f 0"},
		},
		"whiteout":                      {[][]item{{{name: "a/b", text: "1"}, {name: "a/c"}, {name: "d/e/f"}, {name: "g"}}, {{name: "a/.wh.b"}, {name: ".wh.d"}, {name: ".wh.nothing"}}}, []string{"a/", "a/c 0", "g 0"}},
		"whiteout and anew":             {[][]item{{{name: "d/old"}}, {{name: "d/new"}, {name: ".wh.d"}}}, []string{"d/", "d/new 0"}},
		"opaque":                        {[][]item{{{name: "d/a"}, {name: "d/s/b"}, {name: "k"}}, {{name: "d/c"}, {name: "d/.wh..wh..opq"}}}, []string{"d/", "d/c 0", "k 0"}},
		"opaque alone keeps the folder": {[][]item{{{name: "d/a"}}, {{name: "d", kind: isDir}, {name: "d/.wh..wh..opq"}}}, []string{"d/"}},
		"links": {
			[][]item{
				{{name: "usr/lib/x", text: "1"}, {name: "lib", kind: isLink, link: "usr/lib"}, {name: "abs", kind: isLink, link: "/usr/lib"}, {name: "deep/up", kind: isLink, link: "../usr/./lib"}},
				{{name: "lib/y"}, {name: "abs/z"}, {name: "deep/up/w"}},
			},
			[]string{"abs -> /usr/lib", "deep/", "deep/up -> ../usr/./lib", "lib -> usr/lib", "usr/", "usr/lib/", "usr/lib/w 0", "usr/lib/x 1", "usr/lib/y 0", "usr/lib/z 0"},
		},
		"a link that leads to nothing is made a way": {[][]item{{{name: "l", kind: isLink, link: "/new/place"}, {name: "l/f"}}}, []string{"l -> /new/place", "new/", "new/place/", "new/place/f 0"}},
		"hard links": {[][]item{{{name: "a", mode: 0o755, text: "123"}, {name: "b", kind: isHard, link: "a"}}, {{name: "c", kind: isHard, link: "./b"}, {name: ".wh.a"}}}, []string{"b 3 x", "c 3 x"}},
		"no setuid":  {[][]item{{{name: "s", mode: 0o6755, text: "1"}}}, []string{"s 1 x"}},
	} {
		t.Run(name, func(t *testing.T) {
			var layers [][]byte
			for _, l := range c.layers {
				layers = append(layers, layerOf(t, l...))
			}
			b := imageOf(t, layers...)
			x, p, err := plainly(b, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			got := tree(t, p)
			for _, a := range always {
				for i := range got {
					if got[i] == a {
						got = append(got[:i], got[i+1:]...)
						break
					}
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("want -, got +:\n%s", d)
			}
			onDisk(t, b, x, p)
		})
	}
}

// onDisk writes a plan and compares what is then there.
func onDisk(t testing.TB, b *built, x *parts, p *plan) {
	t.Helper()
	dir := t.TempDir()
	if err := write(t.Context(), dir, x, p, 1<<20, b.open); err != nil {
		t.Fatalf("write: %v", err)
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := check(t.Context(), f, p); err != nil {
		t.Errorf("check: %v", err)
	}
}

// TestHostile: every image that is refused, and why.
func TestHostile(t *testing.T) {
	var many []item
	for i := range maxEntries / 50 {
		many = append(many, item{name: fmt.Sprintf("%d/%s", i, strings.Repeat("d/", 60)), kind: isDir})
	}
	loop := []item{{name: "a", kind: isLink, link: "b"}, {name: "b", kind: isLink, link: "a"}, {name: "a/f"}}
	for name, c := range map[string]struct {
		code  fault.Code
		items []item
	}{
		"absolute path":               {ErrPath, []item{{name: "/etc/passwd"}}},
		"dot dot":                     {ErrPath, []item{{name: "a/../../etc/passwd"}}},
		"dot dot inside":              {ErrPath, []item{{name: "a/../b"}}},
		"empty segment":               {ErrPath, []item{{name: "a//b"}}},
		"long name":                   {ErrPath, []item{{name: strings.Repeat("n", 256)}}},
		"long path":                   {ErrPath, []item{{name: strings.Repeat("nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn/", 65) + "x"}}},
		"deep":                        {ErrPath, []item{{name: strings.Repeat("d/", 101) + "x"}}},
		"deep by links":               {ErrPath, []item{{name: "l", kind: isLink, link: strings.Repeat("d/", 60)}, {name: "l/" + strings.Repeat("e/", 60) + "f"}}},
		"not UTF-8":                   {ErrPath, []item{{name: "a\xff"}}},
		"link out":                    {ErrLink, []item{{name: "a/l", kind: isLink, link: "../../etc/passwd"}}},
		"link out by the root":        {ErrLink, []item{{name: "a/l", kind: isLink, link: "/../etc/passwd"}}},
		"empty link":                  {ErrLink, []item{{name: "l", kind: isLink}}},
		"links in a circle":           {ErrLink, loop},
		"hard link out":               {ErrLink, []item{{name: "h", kind: isHard, link: "../etc/passwd"}}},
		"absolute hard link":          {ErrLink, []item{{name: "h", kind: isHard, link: "/etc/passwd"}}},
		"hard link to nothing":        {ErrLink, []item{{name: "h", kind: isHard, link: "a"}, {name: "a"}}},
		"hard link to a folder":       {ErrLink, []item{{name: "a", kind: isDir}, {name: "h", kind: isHard, link: "a"}}},
		"character device":            {ErrEntry, []item{{name: "dev/null", kind: tar.TypeChar}}},
		"block device":                {ErrEntry, []item{{name: "dev/sda", kind: tar.TypeBlock}}},
		"pipe":                        {ErrEntry, []item{{name: "p", kind: tar.TypeFifo}}},
		"twice":                       {ErrEntry, []item{{name: "a", text: "1"}, {name: "b"}, {name: "./a", text: "2"}}},
		"the top is a file":           {ErrEntry, []item{{name: "./", kind: isLink, link: "x"}}},
		"whiteout of dot dot":         {ErrEntry, []item{{name: "a/.wh..."}}},
		"whiteout of a whiteout":      {ErrEntry, []item{{name: ".wh..wh.plnk"}}},
		"proc is a file":              {ErrEntry, []item{{name: "proc"}}},
		"proc is a link":              {ErrEntry, []item{{name: "proc", kind: isLink, link: "etc"}}},
		"too many folders in entries": {ErrLimit, many},
		"too large":                   {ErrLimit, []item{{name: "a", text: strings.Repeat("x", 600)}, {name: "b", text: strings.Repeat("x", 600)}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := plainly(imageOf(t, layerOf(t, c.items...)), 1000)
			if fault.CodeOf(err) != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
}

// TestSpoiled: documents and layers that are not what they should be.
func TestSpoiled(t *testing.T) {
	good := func() *built { return imageOf(t, layerOf(t, item{name: "a", text: "1"})) }
	for name, c := range map[string]struct {
		code  fault.Code
		spoil func(*built)
	}{
		"layer bytes": {layout.ErrDigest, func(b *built) {
			for h, raw := range b.blobs {
				if len(raw) > 1000 { // the layer is the one of whole blocks
					b.blobs[h] = append(bytes.Clone(raw[:len(raw)-1]), 'x')
				}
			}
		}},
		"diff_id": {layout.ErrDigest, func(b *built) {
			b.config["rootfs"] = map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + cid.Sum(nil).Hex()}}
			b.seal(t)
		}},
		"diff_id of the stored form": {layout.ErrDigest, func(b *built) {
			z := gzipped(t, layerOf(t, item{name: "a"}))
			b.config["rootfs"] = map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + cid.Sum(z).Hex()}}
			b.store(t, 0, layout.MediaLayer+"+gzip", z)
		}},
		"config bytes": {layout.ErrDigest, func(b *built) {
			for h, raw := range b.blobs {
				if raw[0] == '{' {
					b.blobs[h] = append(bytes.Clone(raw[:len(raw)-1]), ' ')
				}
			}
		}},
		"diff_ids missing": {layout.ErrInvalid, func(b *built) {
			b.config["rootfs"] = map[string]any{"type": "layers", "diff_ids": []string{}}
			b.seal(t)
		}},
		"sha512": {layout.ErrInvalid, func(b *built) {
			b.layers[0]["digest"] = "sha512:" + strings.Repeat("0", 128)
			b.seal(t)
		}},
		"negative size": {layout.ErrInvalid, func(b *built) { b.layers[0]["size"] = -1; b.seal(t) }},
		"huge size":     {ErrLimit, func(b *built) { b.layers[0]["size"] = int64(1) << 62; b.seal(t) }},
		"foreign layer": {layout.ErrInvalid, func(b *built) {
			b.layers[0]["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar"
			b.seal(t)
		}},
		"no layers": {layout.ErrInvalid, func(b *built) { b.layers = nil; b.seal(t) }},
		"too many layers": {layout.ErrInvalid, func(b *built) {
			for range layout.MaxLayers {
				b.layers = append(b.layers, b.layers[0])
			}
			b.seal(t)
		}},
		"an index": {layout.ErrInvalid, func(b *built) { b.manifest = []byte(`{"schemaVersion":2,"manifests":[]}`) }},
		"not JSON": {layout.ErrInvalid, func(b *built) { b.manifest = []byte("ELF") }},
		"not gzip": {layout.ErrInvalid, func(b *built) { b.store(t, 0, layout.MediaLayer+"+gzip", []byte("plain")) }},
		"not zstd": {layout.ErrInvalid, func(b *built) { b.store(t, 0, layout.MediaLayer+"+zstd", []byte("plain text")) }},
		"cut gzip": {layout.ErrInvalid, func(b *built) {
			z := gzipped(t, layerOf(t, item{name: "a"}))
			b.store(t, 0, layout.MediaLayer+"+gzip", z[:len(z)-9])
		}},
		"not tar":      {layout.ErrInvalid, func(b *built) { b.store(t, 0, layout.MediaLayer, bytes.Repeat([]byte("no tar"), 200)) }},
		"missing blob": {"", func(b *built) { b.layers[0]["digest"] = "sha256:" + strings.Repeat("0", 64); b.seal(t) }},
	} {
		t.Run(name, func(t *testing.T) {
			b := good()
			c.spoil(b)
			_, _, err := plainly(b, 1000)
			if err == nil || fault.CodeOf(err) != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
}

// TestBombs: little that unpacks to much is refused before much is kept.
func TestBombs(t *testing.T) {
	zeros := bytes.Repeat(make([]byte, 1<<20), 8)
	big := layerOf(t, item{name: "zeros", text: string(zeros)})
	for media, pack := range map[string]func(testing.TB, []byte) []byte{"+gzip": gzipped, "+zstd": zstded} {
		b := imageOf(t, big)
		b.store(t, 0, layout.MediaLayer+media, pack(t, big))
		if _, _, err := plainly(b, 1<<20); fault.CodeOf(err) != ErrLimit {
			t.Errorf("%s: %v", media, err)
		}
		x, p, err := plainly(b, 16<<20)
		if err != nil {
			t.Fatalf("%s, allowed: %v", media, err)
		}
		if p.bytes != int64(len(zeros)) || len(x.manifest.Layers) != 1 {
			t.Errorf("%s: %d bytes", media, p.bytes)
		}
	}
	// What follows the archive is hashed, and bounded too.
	endless := &hashed{r: io.LimitReader(zeroes{}, 1<<40), h: sha256.New(), limit: 1 << 20}
	if n, err := io.Copy(io.Discard, endless); fault.CodeOf(err) != ErrLimit || n > 2<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
	// Whiteouts and links that cost more than they weigh.
	var items []item
	for i := range 3000 {
		items = append(items, item{name: fmt.Sprintf("d/%d", i)}, item{name: fmt.Sprintf("l%d", i), kind: isLink, link: "d"})
	}
	lower := layerOf(t, items...)
	items = nil
	for i := range 3000 {
		items = append(items, item{name: fmt.Sprintf("d/%d", i)})
	}
	for i := range 3000 {
		items = append(items, item{name: fmt.Sprintf("l%d/.wh..wh..opq", i)})
	}
	old := imageOf(t, lower, layerOf(t, items...))
	x, err := readParts(t.Context(), old.manifest, old.open)
	if err != nil {
		t.Fatal(err)
	}
	p := newPlan(1 << 20)
	p.steps = maxSteps - 1_000_000 // as if much had been done before
	for i := range x.manifest.Layers {
		p.begin()
		err = x.layer(t.Context(), i, 1<<20, old.open, func(h *tar.Header, place int, _ io.Reader) error {
			_, err := p.apply(h, place)
			return err
		})
		if err != nil {
			break
		}
	}
	if fault.CodeOf(err) != ErrLimit {
		t.Errorf("whiteouts without end: %v", err)
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestInspect: what is asked of an image where none can run.
func TestInspect(t *testing.T) {
	items := []item{
		{name: "bin/tool", mode: 0o755, text: "#!/bin/sh"}, {name: "data", text: "x"}, {name: "text", mode: 0o755, text: "#"}, {name: "sh", kind: isLink, link: "/bin/tool"}, {name: "up", kind: isLink, link: "nowhere"},
	}
	b := imageOf(t, layerOf(t, items...))
	here := "linux/" + arch
	for entry, code := range map[string]fault.Code{
		"bin/tool": "", "/bin/tool": "", "sh": "", "./bin/../bin/tool": "", "data": manifest.ErrModule, "bin": manifest.ErrModule, "text": manifest.ErrModule, "up": manifest.ErrModule, "nothing": manifest.ErrModule,
	} {
		if err := Inspect(t.Context(), b.module(entry), here); fault.CodeOf(err) != code {
			t.Errorf("entry %s: %v, want %q", entry, err, code)
		}
	}
	if err := Inspect(t.Context(), b.module("bin/tool"), "linux/pdp11"); fault.CodeOf(err) != layout.ErrPlatform {
		t.Errorf("another platform: %v", err)
	}
	m := b.module("bin/tool")
	m.Digest = cid.Sum(nil)
	if err := Inspect(t.Context(), m, here); !errors.Is(err, runner.ErrDigest) {
		t.Errorf("other bytes: %v", err)
	}
	m.Kind = runner.KindWASM
	if err := Inspect(t.Context(), m, here); !errors.Is(err, runner.ErrKind) {
		t.Errorf("another kind: %v", err)
	}
}

// TestStore: what is on the disk is never believed.
func TestStore(t *testing.T) {
	b := imageOf(t, layerOf(t, item{name: "bin/tool", mode: 0o755, text: "good"}, item{name: "l", kind: isLink, link: "bin/tool"}, item{name: "h", kind: isHard, link: "bin/tool"}))
	x, p, err := plainly(b, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(t.TempDir(), "cache")
	o := Options{CacheDir: cache}.withDefaults()
	s, err := openStore(&o, cache)
	if err != nil {
		t.Fatal(err)
	}
	digest := cid.Sum(b.manifest)
	hold := func() string {
		t.Helper()
		h, err := s.hold(t.Context(), digest, x, p, b.open)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
		return h.path
	}
	root := hold()
	first, err := os.Stat(root)
	if err != nil {
		t.Fatal(err)
	}
	hold()
	if again, err := os.Stat(root); err != nil || !os.SameFile(first, again) {
		t.Errorf("an image that is right was made again: %v", err)
	}
	tool := filepath.Join(root, "bin/tool")
	for name, damage := range map[string]func() error{
		"bytes": func() error {
			return errors.Join(os.Chmod(tool, 0o755), os.WriteFile(tool, []byte("evil"), 0o755), os.Chmod(tool, 0o555))
		},
		"mode": func() error { return os.Chmod(tool, 0o755|os.ModeSetuid) },
		"more": func() error { return os.WriteFile(filepath.Join(root, "bin/new"), nil, 0o444) },
		"less": func() error { return os.Remove(tool) },
		"link": func() error {
			return errors.Join(os.Remove(filepath.Join(root, "l")), os.Symlink("/etc/passwd", filepath.Join(root, "l")))
		},
		"unlinked": func() error {
			return errors.Join(os.Remove(filepath.Join(root, "h")), os.WriteFile(filepath.Join(root, "h"), []byte("good"), 0o555))
		},
		"no root": func() error { return os.RemoveAll(root) },
		"a link to another root": func() error {
			return errors.Join(os.Rename(root, root+"2"), os.Symlink(root+"2", root))
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := damage(); err != nil {
				t.Fatal(err)
			}
			hold()
			if got, err := os.ReadFile(tool); err != nil || string(got) != "good" {
				t.Errorf("after the repair: %q, %v", got, err)
			}
		})
	}
	if err := os.Chmod(cache, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(&o, cache); fault.CodeOf(err) != ErrStore {
		t.Errorf("a folder that others may write: %v", err)
	}
}

// FuzzLayers: whatever a layer holds, it is refused or what it makes is what is
// then on the disk, below its folder.
func FuzzLayers(f *testing.F) {
	for _, items := range [][]item{
		{{name: "a", text: "1"}, {name: "b", kind: isHard, link: "a"}, {name: "c/l", kind: isLink, link: "../a"}, {name: "c/l/x"}},
		{{name: "a/b/c", text: "1"}, {name: "a/.wh..wh..opq"}, {name: ".wh.a"}, {name: "l", kind: isLink, link: "/a"}, {name: "l/z", text: "z"}},
		{{name: "../a"}},
		{{name: "dev/null", kind: tar.TypeChar}},
	} {
		f.Add(layerOf(f, items...), layerOf(f, item{name: "l/new", text: "x"}, item{name: "a/.wh.b"}))
	}
	f.Fuzz(func(t *testing.T, lower, upper []byte) {
		b := imageOf(t, lower, upper)
		x, p, err := plainly(b, 1<<16)
		if err != nil {
			if fault.CodeOf(err) == "" {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		onDisk(t, b, x, p)
	})
}
