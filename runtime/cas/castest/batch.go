package castest

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

func begin(t *testing.T, s cas.Store) cas.Batch {
	t.Helper()
	b, err := cas.Begin(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func finish(t *testing.T, b cas.Batch) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Errorf("closing the batch: %v", err)
	}
}

func batch(t *testing.T, hn Harness) {
	s := hn.New(t)
	objects := [][]byte{nil, []byte("held before")}
	put(t, s, objects[1])
	b := begin(t, s)
	defer finish(t, b)
	for i := range 200 {
		objects = append(objects, fmt.Appendf(nil, "object %d", i))
	}
	objects = append(objects, object(1<<20))
	for i, o := range objects {
		if put(t, b, o); i%5 == 0 { // twice
			if err := b.PutFrom(t.Context(), bytes.NewReader(o), cid.Sum(o), int64(len(o))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, hn, s, objects...)
}

func batchDropped(t *testing.T, hn Harness) {
	s := hn.New(t)
	kept := []byte("kept")
	put(t, s, kept)
	b := begin(t, s)
	put(t, b, object(1000))
	finish(t, b)
	finish(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	c := begin(t, s)
	put(t, c, object(2000))
	cancel()
	wantErr(t, "Commit, cancelled", c.Commit(ctx), context.Canceled)
	finish(t, c)
	if left := hn.Leftovers(t, s); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	wantObject(t, s, cid.Sum(kept), kept)
}

func batchRefuses(t *testing.T, hn Harness) {
	s := hn.New(t)
	b := begin(t, s)
	defer finish(t, b)
	good := object(5000)
	put(t, b, good)
	err := b.PutFrom(t.Context(), bytes.NewReader(good), cid.Sum([]byte("other")), int64(len(good)))
	wantErr(t, "PutFrom under another hash", err, cas.ErrMismatch)
	err = b.PutFrom(t.Context(), bytes.NewReader(good[1:]), cid.Sum(good), int64(len(good)))
	wantErr(t, "PutFrom of too little", err, cas.ErrMismatch)
	if err := b.Commit(t.Context()); err != nil { // what was refused is not part of it
		t.Fatal(err)
	}
	wantHeld(t, hn, s, good)
}

func batchConcurrent(t *testing.T, hn Harness) {
	s := hn.New(t)
	objects := [][]byte{}
	for i := range 100 {
		objects = append(objects, fmt.Appendf(nil, "object %d", i))
	}
	one, two := begin(t, s), begin(t, s)
	defer finish(t, one)
	defer finish(t, two)
	concurrently(t, 8, func(i int) error {
		b := one
		if i%2 == 0 {
			b = two
		}
		for _, o := range objects {
			if _, err := b.Put(t.Context(), o); err != nil {
				return err
			}
		}
		return nil
	})
	concurrently(t, 2, func(i int) error { return []cas.Batch{one, two}[i].Commit(t.Context()) })
	wantHeld(t, hn, s, objects...)
}

func batchDamaged(t *testing.T, hn Harness) {
	s := hn.New(t)
	b := begin(t, s)
	defer finish(t, b)
	o := object(5000)
	h := put(t, s, o)
	bad := mutations["first bit"](object(5000))
	hn.Damage(t, s, h, bad)
	_, err := b.Put(t.Context(), o)
	if err == nil {
		err = b.Commit(t.Context())
	}
	wantErr(t, "storing over a damaged object", err, cas.ErrCorrupt)
	if !bytes.Equal(hn.Stored(t, s, h), bad) {
		t.Error("the damaged object was changed")
	}
}
