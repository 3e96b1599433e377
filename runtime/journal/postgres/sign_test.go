package postgres_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// led is a key that signs, or fails, as often as it is told to.
type led struct {
	sig.Key
	asked chan struct{}
	told  chan error
	ctx   context.Context // of the test
}

func newLed(t *testing.T) led {
	return led{journaltest.Owner, make(chan struct{}, 8), make(chan error, 8), t.Context()}
}

func (k led) SignText(text []byte) ([64]byte, error) {
	k.asked <- struct{}{}
	select {
	case err := <-k.told:
		if err != nil {
			return [64]byte{}, err
		}
	case <-k.ctx.Done():
		return [64]byte{}, k.ctx.Err()
	}
	return k.Key.SignText(text)
}

// TestReaderGivesUp: one that waits for a checkpoint waits no longer than it wants to,
// and the checkpoint is signed all the same.
func TestReaderGivesUp(t *testing.T) {
	o, key := fresh(t), newLed(t)
	reader := open(t, o)
	o.Signer, o.OnSignFault = key, func(err error) { t.Error(err) }
	s := open(t, o)
	seal := func(name string) {
		t.Helper()
		if err := s.Seal(t.Context(), []byte(name), cid.Hash{}); err != nil {
			t.Fatal(err)
		}
	}
	seal("first")
	<-key.asked
	seal("second")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	gone := make(chan error, 1)
	go func() {
		_, err := s.Newest(ctx)
		gone <- err
	}()
	<-ctx.Done()
	select {
	case err := <-gone:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it waits beyond its deadline")
	}
	key.told <- nil
	key.told <- nil
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if got := checkpoints(t, reader); slices.Contains(got, 2) {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("checkpoints of sizes %d, want one over 2 entries", got)
		}
	}
}

// TestReaderCancelled: a reader that gives up while it signs leaves the checkpoint due.
func TestReaderCancelled(t *testing.T) {
	o := fresh(t)
	reader := open(t, o)
	o.Signer = journaltest.Owner
	s := open(t, o)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 40 {
		if err := s.Seal(t.Context(), []byte{byte(i)}, cid.Hash{}); err != nil {
			t.Fatal(err)
		}
		s.Newest(gone)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if got := checkpoints(t, reader); len(got) > 0 && got[len(got)-1] == 40 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("checkpoints of sizes %d, want the last over 40 entries", got)
		}
	}
}

// TestCloseAfterSignFault: what a fault left under no checkpoint gets one on closing, or
// the caller is told.
func TestCloseAfterSignFault(t *testing.T) {
	o, key := fresh(t), newLed(t)
	faults := make(chan error, 1)
	o.Signer, o.OnSignFault = key, func(err error) { faults <- err }
	s := open(t, o)
	key.told <- errors.New("no key")
	if err := s.Seal(t.Context(), []byte("seal"), cid.Hash{}); err != nil {
		t.Fatal(err)
	}
	<-faults
	key.told <- nil
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	o.Signer = nil
	if got := checkpoints(t, open(t, o)); !slices.Equal(got, []uint64{1}) {
		t.Errorf("checkpoints of sizes %d, want one over 1 entry", got)
	}

	o.Signer = key
	s = open(t, o)
	if err := register(t, s, "more"); err != nil {
		t.Fatal(err)
	}
	noKey := errors.New("no key")
	key.told <- noKey
	if err := s.Close(); !errors.Is(err, noKey) {
		t.Errorf("got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}
