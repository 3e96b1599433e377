package local

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// TestServed: once a registry serves from a store nothing is collected any more, and
// the first mark waits for no collection that runs.
func TestServed(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	s := openAt(t, dir, c)
	small, big := []byte("small"), large("large")
	check(t, putOne(t.Context(), s, small))
	check(t, putOne(t.Context(), s, big))
	_, err := s.Collect(t.Context(), CollectOptions{DryRun: true, Mark: func(ctx context.Context, _ func(cid.Hash)) error {
		if err := open(t, dir).MarkServed(ctx); !errors.Is(err, ErrBusy) {
			t.Errorf("marked while a collection runs: %v", err)
		}
		return nil
	}})
	check(t, err)
	check(t, s.MarkServed(t.Context()))
	check(t, s.MarkServed(t.Context()))
	c.at = c.at.Add(3 * time.Hour)
	for _, dry := range []bool{true, false} {
		done, err := openAt(t, dir, c).Collect(t.Context(), CollectOptions{DryRun: dry, Mark: keeping()})
		if !errors.Is(err, ErrServed) || done != (Collected{}) {
			t.Errorf("dry run %v: %+v, %v; want %s", dry, done, err, ErrServed)
		}
	}
	wantThere(t, dir, "after a refused collection", true, small, big)
}
