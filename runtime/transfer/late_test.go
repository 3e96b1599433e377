package transfer_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/transfer"
)

// asked is a remote that does something after each question.
type asked struct {
	remote.Remote
	then func(ctx context.Context, ids []cid.Hash) error
}

func (a asked) Has(ctx context.Context, ids []cid.Hash) ([]bool, error) {
	there, err := a.Remote.Has(ctx, ids)
	return there, errors.Join(err, a.then(ctx, ids))
}

// TestCancelledPush cancels a push when nothing but the manifest is left to send.
func TestCancelledPush(t *testing.T) {
	s, r, id := world(t)
	if err := r.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	to := asked{r, func(_ context.Context, ids []cid.Hash) error {
		if ids[len(ids)-1] == id {
			cancel()
		}
		return nil
	}}
	if _, err := transfer.Push(ctx, s, named(to), id, transfer.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if _, err := r.Head(t.Context(), id); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("the manifest: %v", err)
	}
}

// TestSlowQuestion pushes to a remote that does not say what it has.
func TestSlowQuestion(t *testing.T) {
	s, r, id := world(t)
	to := asked{r, func(ctx context.Context, _ []cid.Hash) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := transfer.Push(ctx, s, named(to), id, transfer.Options{Patience: time.Millisecond})
	if !errors.Is(err, cas.ErrUnavailable) || !strings.Contains(err.Error(), "did not come in time") {
		t.Errorf("%v", err)
	}
}
