package bucket

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Bounds of Retry.
const (
	maxTries   = 6
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second
	maxAsked   = time.Minute // that a server may ask to wait
)

// Again says that what failed with Err may be tried again, not before After has
// passed.
type Again struct {
	Err   error
	After time.Duration // as the server asked; 0: it did not
}

// Error is that of Err.
func (a *Again) Error() string { return a.Err.Error() }

// Unwrap returns Err.
func (a *Again) Unwrap() error { return a.Err }

// Retry calls try until it returns anything but an Again, six times at most. The
// pauses between double, from 100 ms on, with half of each left to chance, and are
// as long as the server asked for, at most a minute. It returns the last error,
// or that of ctx.
func Retry(ctx context.Context, try func() error) error {
	for n := 0; ; n++ {
		err := try()
		var again *Again
		if !errors.As(err, &again) {
			return err
		}
		if n+1 == maxTries {
			return again.Err
		}
		pause := min(firstPause<<n, maxPause)
		pause = max(pause/2+rand.N(pause/2), min(again.After, maxAsked))
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(context.Cause(ctx), again.Err)
		}
	}
}
