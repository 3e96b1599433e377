package manifest

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

func TestPaths(t *testing.T) {
	for _, p := range []string{"a", "lib/node_modules/@scope/x.js", "a b/c.d", ".hidden", "...a", "a=b,(c)[d]!$-+~", "console", "com", "com10", "lpt", "aux-1", "nulx.txt", strings.Repeat("a", 255), strings.Repeat("a/", 511) + "aa"} {
		if err := CheckPath(p); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
	for _, p := range []string{
		"", "/", "/etc/passwd", "a//b", "a/", "a/../b", "..", ".", "a/.", "NUL.txt", "dir/com1", "a.", "a /b", `a\b`, "a:b", "a\x00b", "a\nb", "ä", "a\xff",
		"con", "Con.tar.gz", "aux", "prn.x", "LPT9.x", "com0", "conin$", "CONOUT$.txt", "nul .txt", "a*b", "a?b", "a\"b", "a<b", "a|b", "a%b", "a#b",
		strings.Repeat("a", 256), strings.Repeat("a/", 512) + "a",
	} {
		if err := CheckPath(p); !errors.Is(err, ErrPath) {
			t.Errorf("%q: %v", p, err)
		}
	}
}

// TestCollisions compares CheckPaths with the rule taken literally.
func TestCollisions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		paths := rapid.SliceOfN(rapid.StringMatching(`[aA\-b][aB\-]?(/[aA!]){0,2}`), 0, 6).Draw(t, "paths")
		want := false
		for i, p := range paths {
			for j, q := range paths {
				p, q := strings.ToLower(p), strings.ToLower(q)
				if i != j && (p == q || strings.HasPrefix(q, p+"/")) {
					want = true
				}
			}
		}
		err := CheckPaths(paths)
		if errors.Is(err, ErrPathCollision) != want || !want && err != nil {
			t.Fatalf("%q: got %v, want a collision: %v", paths, err, want)
		}
	})
	for _, pair := range [][]string{{"readme", "README"}, {"a", "a/b"}, {"a", "A/b"}, {"a/b", "a/b/c/d", "a-"}, {"x", "x"}} {
		if err := CheckPaths(pair); !errors.Is(err, ErrPathCollision) {
			t.Errorf("%q: %v", pair, err)
		}
	}
}

func file(path, content string) TreeEntry {
	h := cid.Sum([]byte(content))
	return TreeEntry{Path: path, CID: h, Size: uint64(len(content)), SHA256: h}
}

func TestTree(t *testing.T) {
	good := func() *Tree { return &Tree{Entries: []TreeEntry{file("a", "1"), file("b/c", "2"), file("b/d", "2")}} }
	raw := good().AppendCAN(nil)
	if got, err := DecodeTree(raw); err != nil || len(got.Entries) != 3 {
		t.Fatal(got, err)
	}
	for name, c := range map[string]struct {
		change func(*Tree)
		want   fault.Code
	}{
		"empty":      {func(x *Tree) { x.Entries = nil }, ErrTree},
		"order":      {func(x *Tree) { slices.Reverse(x.Entries) }, ErrTree},
		"twice":      {func(x *Tree) { x.Entries[1] = x.Entries[0] }, ErrPathCollision},
		"mode":       {func(x *Tree) { x.Entries[0].Mode = 2 }, ErrTree},
		"executable": {func(x *Tree) { x.Entries[0].Mode = 1 }, ""},
		"path":       {func(x *Tree) { x.Entries[0].Path = "../a" }, ErrPath},
		"collision":  {func(x *Tree) { x.Entries[0].Path = "B/C" }, ErrPathCollision},
		"folder":     {func(x *Tree) { x.Entries[0].Path = "b" }, ErrPathCollision},
		"hash":       {func(x *Tree) { x.Entries[0].SHA256[0] ^= 1 }, ErrArtifactHash},
		"total": {func(x *Tree) {
			for i := range x.Entries {
				x.Entries[i].Size, x.Entries[i].CID = 2<<30, cid.Hash{}
			}
		}, ErrTree},
		"overflow": {func(x *Tree) { x.Entries[1].Size, x.Entries[1].CID = 1<<64-1, cid.Hash{} }, ErrTree},
	} {
		x := good()
		c.change(x)
		_, err := DecodeTree(x.AppendCAN(nil))
		if fault.CodeOf(err) != c.want {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if _, err := DecodeTree(append(raw, 0)); !errors.Is(err, can.ErrTrailing) {
		t.Errorf("trailing: %v", err)
	}
	many := &Tree{Entries: make([]TreeEntry, MaxTreeFiles+1)}
	if err := many.Validate(); !errors.Is(err, ErrTree) {
		t.Errorf("100,001 files: %v", err)
	}
}

func TestCheckContent(t *testing.T) {
	for _, size := range []int{0, 1, 1000, blob.FlatLimit, blob.FlatLimit + 1} {
		body := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		id, err := blob.WriteArtifact(bytes.NewReader(body), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !flatRule(id) {
			t.Errorf("%d bytes: the static rule refuses what is right", size)
		}
		check := func(id blob.ArtifactID, body []byte) fault.Code {
			return fault.CodeOf(CheckContent(id, bytes.NewReader(body)))
		}
		if got := check(id, body); got != "" {
			t.Errorf("%d bytes: %s", size, got)
		}
		if got := check(id, append(slices.Clone(body), 0)); got != ErrArtifactSize {
			t.Errorf("%d bytes and one more: %q", size, got)
		}
		if size == 0 {
			continue
		}
		if got := check(id, body[:size-1]); got != ErrArtifactSize {
			t.Errorf("%d bytes less one: %q", size, got)
		}
		changed := slices.Clone(body)
		changed[size/2] ^= 1
		if got := check(id, changed); got != ErrArtifactHash {
			t.Errorf("%d bytes, one changed: %q", size, got)
		}
		wrong := id
		wrong.CID[5] ^= 1
		if got := check(wrong, body); got != ErrArtifactHash {
			t.Errorf("%d bytes, another cid: %q", size, got)
		}
	}
}

func FuzzTree(f *testing.F) {
	f.Add((&Tree{Entries: []TreeEntry{file("a", "1"), file("b/c", "2")}}).AppendCAN(nil))
	f.Add((&Tree{Entries: []TreeEntry{file("A", "1"), file("a/c", "2")}}).AppendCAN(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := DecodeTree(raw)
		if err != nil {
			if fault.CodeOf(err) == "" {
				t.Fatalf("no code: %v", err)
			}
			return
		}
		if !bytes.Equal(x.AppendCAN(nil), raw) {
			t.Fatal("a second encoding")
		}
		for _, e := range x.Entries {
			if strings.Contains(e.Path, "..") && slices.Contains(strings.Split(e.Path, "/"), "..") || strings.HasPrefix(e.Path, "/") {
				t.Fatalf("accepted %q", e.Path)
			}
		}
	})
}
