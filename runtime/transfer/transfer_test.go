package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/closure"
	"github.com/mythos-run/mythos/runtime/closure/closuretest"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
	"github.com/mythos-run/mythos/runtime/remote/bucket/folder"
	"github.com/mythos-run/mythos/runtime/transfer"
)

const objects = 10 // of the package that closuretest makes

// spy is a remote that counts, and does what a test wants instead.
type spy struct {
	remote.Remote
	gets, puts atomic.Int64
	get        func(n int64, id cid.Hash) (io.ReadCloser, error) // nil: as the remote does
	put        func(n int64) error                               // nil: as the remote does
}

func (s *spy) Get(ctx context.Context, id cid.Hash, off, n int64) (io.ReadCloser, error) {
	count := s.gets.Add(1)
	if s.get != nil {
		if rc, err := s.get(count, id); rc != nil || err != nil {
			return rc, err
		}
	}
	return s.Remote.Get(ctx, id, off, n)
}

func (s *spy) Put(ctx context.Context, v bucket.Value) error {
	count := s.puts.Add(1)
	if s.put != nil {
		if err := s.put(count); err != nil {
			return err
		}
	}
	return s.Remote.Put(ctx, v)
}

func empty() cas.Store { return memory.New(memory.Options{}) }

// world returns a store with a package, and a remote with it.
func world(t *testing.T) (cas.Store, *spy, cid.Hash) {
	t.Helper()
	s := empty()
	id := closuretest.Put(t, s)
	r := &spy{Remote: remote.Over(folder.Open(t.TempDir()))}
	p, err := transfer.Push(t.Context(), s, named(r), id, transfer.Options{})
	if err != nil || p.Objects != objects || r.puts.Load() != objects || p.Skipped != 0 {
		t.Fatalf("push: %+v, %v", p, err)
	}
	if p.Bytes != p.Total {
		t.Errorf("copied %d of %d bytes", p.Bytes, p.Total)
	}
	return s, r, id
}

func named(r remote.Remote) transfer.Named { return transfer.Named{Name: "test", Remote: r} }

// whole reports whether a store holds the closure.
func whole(t *testing.T, s cas.Store, id cid.Hash) bool {
	t.Helper()
	n := 0
	err := closure.Walk(t.Context(), s.Get, id, func(o closure.Object) error {
		n++
		_, err := s.Get(t.Context(), o.CID, 8<<20)
		return err
	})
	return err == nil && n == objects
}

func TestThereAndBack(t *testing.T) {
	s, r, id := world(t)
	if p, err := transfer.Push(t.Context(), s, named(r), id, transfer.Options{}); err != nil || p.Objects != 0 || r.puts.Load() != objects {
		t.Errorf("a second push: %+v, %v", p, err)
	}
	to := empty()
	var last transfer.Progress
	p, err := transfer.Pull(t.Context(), []transfer.Named{named(r)}, to, id, transfer.Options{OnProgress: func(p transfer.Progress) {
		if p.Bytes < last.Bytes || p.Bytes+p.Skipped > p.Total {
			t.Errorf("progress: %+v after %+v", p, last)
		}
		last = p
	}})
	if err != nil || p.Objects != objects || p != last || p.Bytes != p.Total || r.gets.Load() != objects || !whole(t, to, id) {
		t.Fatalf("pull: %+v, %v, %d gets", p, err, r.gets.Load())
	}
	if p, err := transfer.Pull(t.Context(), []transfer.Named{named(r)}, to, id, transfer.Options{}); err != nil || p.Objects != 0 || r.gets.Load() != objects {
		t.Errorf("a second pull: %+v, %v", p, err)
	}
}

// TestLies tries remotes that send other things than those asked for: alone they
// make the pull fail, before a good one they do no harm.
func TestLies(t *testing.T) {
	_, good, id := world(t)
	read := func(id cid.Hash) []byte {
		rc, err := good.Remote.Get(t.Context(), id, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(rc)
		if err = errors.Join(err, rc.Close()); err != nil {
			t.Fatal(err)
		}
		return raw
	}
	send := func(b []byte, end error) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(b), failing{end})), nil
	}
	for name, get := range map[string]func(raw []byte) (io.ReadCloser, error){
		"flipped":   func(raw []byte) (io.ReadCloser, error) { raw[0] ^= 1; return send(raw, io.EOF) },
		"truncated": func(raw []byte) (io.ReadCloser, error) { return send(raw[:len(raw)-1], io.EOF) },
		"endless":   func([]byte) (io.ReadCloser, error) { return io.NopCloser(endless{}), nil },
		"empty":     func([]byte) (io.ReadCloser, error) { return send(nil, io.EOF) },
		"dies":      func(raw []byte) (io.ReadCloser, error) { return send(raw[:len(raw)/2], io.ErrUnexpectedEOF) },
		"absent":    func([]byte) (io.ReadCloser, error) { return nil, cas.ErrNotFound },
		"down":      func([]byte) (io.ReadCloser, error) { return nil, cas.ErrUnavailable },
	} {
		for _, from := range []int64{1, objects} {
			t.Run(fmt.Sprint(name, from), func(t *testing.T) {
				liar := &spy{Remote: good.Remote, get: func(n int64, id cid.Hash) (io.ReadCloser, error) {
					if n < from {
						return nil, nil
					}
					return get(read(id))
				}}
				to := empty()
				_, err := transfer.Pull(t.Context(), []transfer.Named{named(liar)}, to, id, transfer.Options{})
				if there, _ := to.Has(t.Context(), id); err == nil || there {
					t.Fatalf("it went through: %v", err)
				}
				if !errors.Is(err, transfer.ErrNoRemote) && !errors.Is(err, remote.ErrLies) && !errors.Is(err, cas.ErrNotFound) {
					t.Errorf("%v", err)
				}
				liar.gets.Store(0)
				to = empty()
				if _, err := transfer.Pull(t.Context(), []transfer.Named{named(liar), named(good)}, to, id, transfer.Options{}); err != nil || !whole(t, to, id) {
					t.Errorf("before a good one: %v", err)
				}
			})
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestCutOff cuts a copy off at every object. What is there then is never a part
// that looks whole, and going on fetches no object that had come.
func TestCutOff(t *testing.T) {
	s, r, id := world(t)
	down := errors.New("cut off")
	for _, at := range []int64{1, 2, 4, 6, 9, objects} {
		to := empty()
		cut := &spy{Remote: r.Remote, get: func(n int64, _ cid.Hash) (io.ReadCloser, error) {
			if n >= at {
				return nil, down
			}
			return nil, nil
		}}
		if _, err := transfer.Pull(t.Context(), []transfer.Named{named(cut)}, to, id, transfer.Options{}); !errors.Is(err, down) {
			t.Fatalf("pull cut off at %d: %v", at, err)
		}
		orderly(t, to)
		first := min(cut.gets.Load(), at-1)
		rest := &spy{Remote: r.Remote}
		if _, err := transfer.Pull(t.Context(), []transfer.Named{named(rest)}, to, id, transfer.Options{}); err != nil || !whole(t, to, id) {
			t.Errorf("going on after %d: %v", at, err)
		}
		// What was read only to know what it names is read again.
		if again := first + rest.gets.Load() - objects; again > 4 {
			t.Errorf("cut off at %d: %d objects were fetched twice", at, again)
		}

		target := &spy{Remote: remote.Over(folder.Open(t.TempDir())), put: func(n int64) error {
			if n >= at {
				return down
			}
			return nil
		}}
		if _, err := transfer.Push(t.Context(), s, named(target), id, transfer.Options{}); !errors.Is(err, down) {
			t.Fatalf("push cut off at %d: %v", at, err)
		}
		if _, err := target.Head(t.Context(), id); !errors.Is(err, cas.ErrNotFound) {
			t.Errorf("push cut off at %d: the manifest is there: %v", at, err)
		}
		kept := target.puts.Load()
		target.put = nil
		if _, err := transfer.Push(t.Context(), s, named(target), id, transfer.Options{}); err != nil || target.puts.Load()-kept > objects-(at-1)+4 {
			t.Errorf("push going on after %d: %v, %d puts", at, err, target.puts.Load()-kept)
		}
	}
}

// orderly checks that a store has all that its objects name, as far as they are
// nodes or manifests.
func orderly(t *testing.T, s cas.Store) {
	t.Helper()
	for h, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		err := closure.Walk(t.Context(), s.Get, h, func(o closure.Object) error {
			_, err := s.Get(t.Context(), o.CID, 8<<20)
			return err
		})
		if errors.Is(err, cas.ErrNotFound) {
			t.Errorf("object %s is there without what it names: %v", h, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	s, r, id := world(t)
	ctx, cancel := context.WithCancel(t.Context())
	stop := &spy{Remote: r.Remote, get: func(n int64, _ cid.Hash) (io.ReadCloser, error) {
		if n == 3 {
			cancel()
		}
		return nil, nil
	}}
	if _, err := transfer.Pull(ctx, []transfer.Named{named(stop)}, empty(), id, transfer.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("pull: %v", err)
	}
	if _, err := transfer.Push(ctx, s, named(r), id, transfer.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("push: %v", err)
	}
}
