package closure_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/closure"
	"github.com/mythos-run/mythos/runtime/closure/closuretest"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

func store(t *testing.T) (cas.Store, cid.Hash) {
	t.Helper()
	s := memory.New(memory.Options{})
	return s, closuretest.Put(t, s)
}

func walk(t *testing.T, get closure.Source, id cid.Hash) ([]closure.Object, error) {
	t.Helper()
	var all []closure.Object
	err := closure.Walk(t.Context(), get, id, func(o closure.Object) error {
		all = append(all, o)
		return nil
	})
	return all, err
}

func source(s cas.Store) closure.Source {
	return func(ctx context.Context, id cid.Hash, limit int64) ([]byte, error) { return s.Get(ctx, id, limit) }
}

// TestWalk holds the walk to what a store has after the package was put into it.
func TestWalk(t *testing.T) {
	s, id := store(t)
	all, err := walk(t, source(s), id)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []cid.Hash
	for h, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, h)
	}
	at := map[cid.Hash]int{}
	for i, o := range all {
		at[o.CID] = i
		got = append(got, o.CID)
		raw, err := s.Get(t.Context(), o.CID, 8<<20)
		if err != nil || int64(len(raw)) != o.Size || o.Raw != nil && !bytes.Equal(o.Raw, raw) {
			t.Errorf("object %d: %v", i, err)
		}
	}
	slices.SortFunc(got, cid.Hash.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("got %d objects, want %d", len(got), len(want))
	}
	if at[id] != len(all)-1 {
		t.Errorf("the manifest is number %d of %d", at[id], len(all))
	}
	for i, o := range all {
		if o.Raw == nil {
			continue
		}
		for _, inner := range all[i+1:] {
			if bytes.Contains(o.Raw, inner.CID[:]) {
				t.Errorf("object %d comes before what it names", i)
			}
		}
	}
}

// TestWrong takes one object after the other away, or changes it: a walk must read
// all that says what else there is.
func TestWrong(t *testing.T) {
	s, id := store(t)
	all, err := walk(t, source(s), id)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range all {
		wrong := func(ctx context.Context, h cid.Hash, limit int64) ([]byte, error) {
			raw, err := s.Get(ctx, h, limit)
			if err == nil && h == o.CID {
				raw = append(slices.Clone(raw[:len(raw)-1]), raw[len(raw)-1]^1)
			}
			return raw, err
		}
		missing := func(ctx context.Context, h cid.Hash, limit int64) ([]byte, error) {
			if h == o.CID {
				return nil, cas.ErrNotFound
			}
			return s.Get(ctx, h, limit)
		}
		if _, err := walk(t, wrong, id); errors.Is(err, manifest.ErrArtifactHash) != (o.Raw != nil) {
			t.Errorf("object %d, named %t: %v", i, o.Raw != nil, err)
		}
		if _, err := walk(t, missing, id); errors.Is(err, cas.ErrNotFound) != (o.Raw != nil) {
			t.Errorf("object %d, named %t: %v", i, o.Raw != nil, err)
		}
	}
}
