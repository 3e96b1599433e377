package local

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// look is Look for one object.
func look(ctx context.Context, s *Store, h cid.Hash) (bool, error) {
	there, err := s.Look(ctx, []cid.Hash{h})
	return err == nil && there[0], err
}

type hasFunc = func(context.Context, *Store, cid.Hash) (bool, error)

var hasFuncs = map[string]hasFunc{
	"Has":  func(ctx context.Context, s *Store, h cid.Hash) (bool, error) { return s.Has(ctx, h) },
	"Look": look,
}

// TestHasWaitsForSync: while the sync of a small object runs nobody is told that it is
// there, and once that has failed it is not.
func TestHasWaitsForSync(t *testing.T) {
	for what, has := range hasFuncs {
		s := open(t, t.TempDir())
		check(t, putOne(t.Context(), s, []byte("first")))
		entered, fail := make(chan struct{}), make(chan struct{})
		armed := true
		s.probe = func(p step) error {
			if p != stepPackSync || !armed {
				return nil
			}
			armed = false
			close(entered)
			<-fail
			return syscall.EIO
		}
		put := make(chan error, 1)
		go func() { put <- putOne(t.Context(), s, []byte("small")) }()
		<-entered
		if there, err := has(t.Context(), s, cid.Sum([]byte("first"))); !there || err != nil {
			t.Errorf("%s of what is durable, while a sync runs: %v, %v", what, there, err)
		}
		type answer struct {
			there bool
			err   error
		}
		got := make(chan answer, 1)
		go func() {
			there, err := has(t.Context(), s, cid.Sum([]byte("small")))
			got <- answer{there, err}
		}()
		select {
		case a := <-got:
			t.Errorf("%s was answered while the sync runs: %+v", what, a)
			got <- a
		case <-time.After(50 * time.Millisecond): // it waits
		}
		close(fail)
		if err := <-put; !errors.Is(err, syscall.EIO) {
			t.Errorf("the put: %v", err)
		}
		if a := <-got; a.there || a.err != nil {
			t.Errorf("%s after the sync failed: %+v", what, a)
		}
	}
}

// TestHasSyncsFolder: a large object whose folder could not be synced is not there
// until it can be; of one that this process made durable nothing is synced again.
func TestHasSyncsFolder(t *testing.T) {
	for what, has := range hasFuncs {
		s := open(t, t.TempDir())
		b := large("file")
		failAt(s, stepSyncDir, syscall.EIO)
		if err := putOne(t.Context(), s, b); !errors.Is(err, syscall.EIO) {
			t.Fatalf("%s: the put: %v", what, err)
		}
		if there, err := has(t.Context(), s, cid.Sum(b)); there || !errors.Is(err, cas.ErrUnavailable) {
			t.Errorf("%s while its folder cannot be synced: %v, %v", what, there, err)
		}
		var got []step
		s.probe = func(p step) error { got = append(got, p); return nil }
		for range 2 {
			if there, err := has(t.Context(), s, cid.Sum(b)); !there || err != nil {
				t.Errorf("%s: %v, %v", what, there, err)
			}
		}
		if want := []step{stepSyncDir, stepDone}; !slices.Equal(got, want) {
			t.Errorf("%s twice went %q, want %q", what, got, want)
		}
		s.probe = nil
		check(t, putBatch(t.Context(), s, large("batch")))
		failAt(s, stepSyncDir, syscall.EIO)
		if there, err := has(t.Context(), s, cid.Sum(large("batch"))); !there || err != nil {
			t.Errorf("%s of what a batch made durable: %v, %v", what, there, err)
		}
	}
}

// TestHasOfAnotherProcess: what another process has not synced is made durable before
// it is said to be there.
func TestHasOfAnotherProcess(t *testing.T) {
	for what, has := range hasFuncs {
		a := open(t, t.TempDir())
		check(t, putOne(t.Context(), a, []byte("first")))
		entered, goOn := make(chan struct{}), make(chan struct{})
		a.probe = func(p step) error {
			if p == stepPackSync {
				close(entered)
				<-goOn
			}
			return nil
		}
		put := make(chan error, 1)
		go func() { put <- putOne(t.Context(), a, []byte("small")) }()
		<-entered
		b, h := open(t, a.dir), cid.Sum([]byte("small"))
		x, err := b.look(h)
		x.release()
		if err != nil || len(x.copies) != 1 || b.packs.anyDurable(x) {
			t.Errorf("before: %d copies, durable %v, %v", len(x.copies), b.packs.anyDurable(x), err)
		}
		if there, err := has(t.Context(), b, h); !there || err != nil {
			t.Errorf("%s: %v, %v", what, there, err)
		}
		if !b.packs.anyDurable(x) {
			t.Errorf("%s said yes and did not sync", what)
		}
		close(goOn)
		check(t, <-put)
	}
}

// TestLookWritesNothing: a full disk does not keep anybody from asking, and asking
// fills none.
func TestLookWritesNothing(t *testing.T) {
	c := newClock()
	s := openAt(t, t.TempDir(), c)
	small, big, none := []byte("small"), large("large"), cid.Sum([]byte("none"))
	check(t, putOne(t.Context(), s, small))
	check(t, putOne(t.Context(), s, big))
	c.at = c.at.Add(2 * time.Hour)
	failAt(s, stepAppend, syscall.ENOSPC)
	if _, err := s.Has(t.Context(), cid.Sum(small)); !errors.Is(err, cas.ErrFull) {
		t.Errorf("Has on a full disk: %v, want %v", err, cas.ErrFull)
	}
	before, err := os.Stat(s.path(cid.Sum(big)))
	check(t, err)
	there, err := s.Look(t.Context(), []cid.Hash{none, cid.Sum(small), none, cid.Sum(big)})
	if err != nil || !slices.Equal(there, []bool{false, true, false, true}) {
		t.Errorf("Look on a full disk: %v, %v", there, err)
	}
	after, err := os.Stat(s.path(cid.Sum(big)))
	check(t, err)
	if !after.ModTime().Equal(before.ModTime()) {
		t.Error("Look renewed a file")
	}
	s.probe = nil
	done, err := s.Collect(t.Context(), CollectOptions{Mark: keeping()})
	if check(t, err); done.Removed != 2 {
		t.Errorf("what was looked for is kept: %+v", done)
	}
}
