package castest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// wantBlob reads an artifact back and holds it against b.
func wantBlob(t *testing.T, s cas.Store, a blob.ArtifactID, b []byte) {
	t.Helper()
	if a.Size != uint64(len(b)) || a.SHA256 != cid.Sum(b) {
		t.Errorf("%d bytes are named %+v", len(b), a)
	}
	r, err := cas.OpenBlob(t.Context(), s, a)
	if err != nil {
		t.Errorf("%d bytes: %v", len(b), err)
		return
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, b) {
		t.Errorf("%d bytes: read %d, %v", len(b), len(got), err)
	}
}

func blobs(t *testing.T, hn Harness) {
	s := hn.New(t)
	for _, n := range []int{0, 1, 5000, blob.FlatLimit, blob.FlatLimit + 1, 2*blob.FlatLimit + 77} {
		b := object(n)
		a, err := cas.PutBlob(t.Context(), s, iotest.HalfReader(bytes.NewReader(b)))
		if err != nil {
			t.Fatal(err)
		}
		if flat := a.CID == cid.Sum(b); flat != (n <= blob.FlatLimit) {
			t.Errorf("%d bytes: named by their own hash: %v", n, flat)
		}
		wantBlob(t, s, a, b)
		if _, err := cas.PutBlob(t.Context(), s, bytes.NewReader(b)); err != nil { // again
			t.Errorf("%d bytes, again: %v", n, err)
		}
	}
	batch := begin(t, s)
	defer finish(t, batch)
	b := object(blob.FlatLimit + 99)
	a, err := cas.PutBlob(t.Context(), batch, bytes.NewReader(b))
	if err == nil {
		err = batch.Commit(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	wantBlob(t, s, a, b)
	if left := hn.Leftovers(t, s); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func blobRefuses(t *testing.T, hn Harness) {
	s := hn.New(t)
	small, large := object(100), object(blob.FlatLimit+100)
	empty, err := cas.PutBlob(t.Context(), s, bytes.NewReader(nil))
	if err != nil {
		t.Fatal(err)
	}
	flat, err := cas.PutBlob(t.Context(), s, bytes.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := cas.PutBlob(t.Context(), s, bytes.NewReader(large))
	if err != nil {
		t.Fatal(err)
	}
	absent := cid.Sum([]byte("absent"))
	for name, a := range map[string]blob.ArtifactID{
		"flat, absent":          {CID: absent, Size: 100, SHA256: absent},
		"flat, other size":      {CID: flat.CID, Size: 101, SHA256: flat.SHA256},
		"flat, other sha256":    {CID: flat.CID, Size: 100, SHA256: absent},
		"empty, absent":         {CID: absent, SHA256: absent},
		"empty, something else": {CID: flat.CID, SHA256: flat.SHA256},
		"empty, longer":         {CID: empty.CID, Size: 1, SHA256: empty.SHA256},
		"tree, absent":          {CID: absent, Size: tree.Size, SHA256: tree.SHA256},
		"tree, other size":      {CID: tree.CID, Size: tree.Size + 1, SHA256: tree.SHA256},
		"tree, other sha256":    {CID: tree.CID, Size: tree.Size, SHA256: absent},
		"tree, said to be flat": {CID: tree.CID, Size: 100, SHA256: tree.CID},
		"flat, said to be tree": {CID: flat.CID, Size: tree.Size, SHA256: flat.SHA256},
	} {
		if n, err := readBlob(t.Context(), s, a); err == nil {
			t.Errorf("%s: %d bytes were read", name, n)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = readBlob(ctx, s, tree)
	wantErr(t, "reading, cancelled", err, context.Canceled)
	_, err = cas.PutBlob(ctx, s, bytes.NewReader(large))
	wantErr(t, "storing, cancelled", err, context.Canceled)
	broken := errors.New("the disk went away")
	_, err = cas.PutBlob(t.Context(), s, io.MultiReader(bytes.NewReader(large), iotest.ErrReader(broken)))
	wantErr(t, "storing from a failing source", err, broken)
	if left := hn.Leftovers(t, s); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func readBlob(ctx context.Context, s cas.Store, a blob.ArtifactID) (int64, error) {
	r, err := cas.OpenBlob(ctx, s, a)
	if err != nil {
		return 0, err
	}
	return io.Copy(io.Discard, r)
}

// blobDamaged damages each object of a chunked blob in turn: reading stops
// there, and what was read before is right.
func blobDamaged(t *testing.T, hn Harness) {
	s := hn.New(t)
	b := object(2*blob.FlatLimit + 5)
	a, err := cas.PutBlob(t.Context(), s, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range listed(t, s) {
		h, err := cid.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		good := hn.Stored(t, s, h)
		hn.Damage(t, s, h, mutations["last bit"](bytes.Clone(good)))
		var got bytes.Buffer
		r, err := cas.OpenBlob(t.Context(), s, a)
		if err == nil {
			_, err = io.Copy(&got, r)
		}
		wantErr(t, fmt.Sprintf("reading with %s damaged", name), err, cas.ErrCorrupt)
		if !bytes.HasPrefix(b, got.Bytes()) {
			t.Errorf("%s damaged: wrong bytes were handed out", name)
		}
		hn.Damage(t, s, h, good)
	}
	wantBlob(t, s, a, b)
}
