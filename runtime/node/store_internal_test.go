package node

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mythos-run/mythos/internal/config"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/export"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

// aged is a node whose store has a clock of its own.
func aged(t *testing.T) (*Node, *local.Store, *time.Time) {
	t.Helper()
	dir, now := t.TempDir(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n := New(Options{Paths: config.Paths{Config: dir, Data: dir, Cache: dir}, Clock: time.Now, Version: "1.0.0"})
	s, err := local.OpenWith(filepath.Join(dir, "store"), local.Options{Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	n.objects = s
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n, s, &now
}

func mustPut(t *testing.T, s cas.Store, b []byte) blob.ArtifactID {
	t.Helper()
	id, err := cas.PutBlob(t.Context(), s, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// tree stores a tree of a small file and a chunked one and returns its hash.
func tree(t *testing.T, s cas.Store) cid.Hash {
	t.Helper()
	var x manifest.Tree
	for i, b := range [][]byte{[]byte("small"), bytes.Repeat([]byte("large"), 1<<20)} {
		id := mustPut(t, s, b)
		x.Entries = append(x.Entries, manifest.TreeEntry{Path: string(rune('a' + i)), CID: id.CID, Size: id.Size, SHA256: id.SHA256})
	}
	return mustPut(t, s, x.AppendCAN(nil)).CID
}

// TestKept: a pin keeps a tree, its files and their chunks; without it all goes.
func TestKept(t *testing.T) {
	n, s, now := aged(t)
	root := tree(t, s)
	garbage := mustPut(t, s, bytes.Repeat([]byte("x"), 5<<20))
	count, err := n.Pin(t.Context(), root)
	if err != nil || count != 5 { // tree, small, node, two chunks
		t.Fatalf("pinned %d objects, %v; want 5", count, err)
	}
	*now = now.Add(3 * time.Hour)
	x, err := n.Collect(t.Context(), false, nil)
	if err != nil || x.Kept != 5 || x.Removed != 3 {
		t.Errorf("collected %+v, %v; want 5 kept and 3 removed", x, err)
	}
	if there, err := s.Has(t.Context(), garbage.CID); there || err != nil {
		t.Errorf("garbage: %v, %v", there, err)
	}
	var carried bytes.Buffer
	if _, err := n.Export(t.Context(), &carried, []cid.Hash{root}, export.Options{Gzip: true}); err != nil {
		t.Fatal(err)
	}
	to := memory.New(memory.Options{})
	got, err := export.Read(t.Context(), &carried, to, nil)
	if err != nil || got.Objects != 5 || !slices.Equal(got.Roots, []cid.Hash{root}) {
		t.Errorf("carried %+v, %v", got, err)
	}
	if err := s.Unpin(root); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(3 * time.Hour)
	if x, err = n.Collect(t.Context(), false, nil); err != nil || x.Kept != 0 || x.Removed != 5 {
		t.Errorf("collected %+v, %v; want 5 removed", x, err)
	}
}

// TestIncomplete: what lacks a part is not pinned, and the part is named.
func TestIncomplete(t *testing.T) {
	n, s, now := aged(t)
	root := tree(t, s)
	chunk := cid.Sum(bytes.Repeat([]byte("large"), 1<<20)[:blob.FlatLimit])
	name := chunk.Hex()
	if err := os.Remove(filepath.Join(s.Dir(), "objects", name[:2], name)); err != nil {
		t.Fatal(err)
	}
	_, pinErr := n.Pin(t.Context(), root)
	_, tagErr := n.Tag(t.Context(), "x", root)
	for _, err := range []error{pinErr, tagErr} {
		if !errors.Is(err, cas.ErrNotFound) || !bytes.Contains([]byte(err.Error()), []byte(chunk.String())) {
			t.Errorf("got %v, want %v of the chunk", err, cas.ErrNotFound)
		}
	}
	x, err := s.Stat(t.Context())
	if err != nil || x.Pins != 0 || x.Tags != 0 {
		t.Errorf("stat %+v, %v; want no pins and tags", x, err)
	}
	if _, err := n.Export(t.Context(), io.Discard, []cid.Hash{root}, export.Options{}); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("export: %v, want %v", err, cas.ErrNotFound)
	}
	*now = now.Add(time.Hour)
	if _, err := n.Collect(t.Context(), true, nil); err != nil {
		t.Error(err)
	}
}

// TestMentioned: whatever canonical bytes name is kept, however deep.
func TestMentioned(t *testing.T) {
	n, s, now := aged(t)
	inner := mustPut(t, s, []byte("named by the response"))
	ref := blob.Ref{CID: inner.CID, Size: inner.Size, Media: "text/plain"}
	outer := mustPut(t, s, ref.AppendCAN(nil))
	if err := s.SetTag("response", outer.CID); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(3 * time.Hour)
	if x, err := n.Collect(t.Context(), false, nil); err != nil || x.Kept != 2 || x.Removed != 0 {
		t.Errorf("collected %+v, %v; want 2 kept", x, err)
	}
}
