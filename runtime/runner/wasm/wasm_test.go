package wasm

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/runnertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAcceptance(t *testing.T) {
	for engine, interpreter := range map[string]bool{"compiler": false, "interpreter": true} {
		for abi, code := range map[string]abiCode{"hostcall": hostcallCode(), "stdio": stdioCode()} {
			t.Run(engine+"/"+abi, func(t *testing.T) {
				runnertest.Run(t, runnertest.Fixture{
					Deterministic: true,
					New: func(t testing.TB) runner.Runner {
						r, err := New(Options{Interpreter: interpreter})
						if err != nil {
							t.Fatal(err)
						}
						return r
					},
					Module: func(_ testing.TB, b runnertest.Behaviour) runner.Module {
						return bind(code.behaviour(b).bytes(), code.abi)
					},
				})
			})
		}
	}
}

// TestCloseWaits: Close returns only when the calls that run have ended. The
// clock, read as a call starts and ends, tells where it is.
func TestCloseWaits(t *testing.T) {
	var reads atomic.Int32
	started := make(chan struct{})
	r := open(t, Options{Now: func() time.Time {
		if reads.Add(1) == 1 {
			close(started)
		}
		return time.Time{}
	}})
	m := bind(hostcallCode().behaviour(runnertest.Loop).bytes(), runner.ABIHostcall)
	m.Limits.Timeout = 200 * time.Millisecond
	ended := make(chan runner.Outcome, 1)
	go func() {
		res, _ := r.Run(context.Background(), runner.Call{Module: m})
		ended <- res.Outcome
	}()
	<-started
	if err := r.Close(); err != nil || reads.Load() != 2 {
		t.Errorf("Close: %v, with %d of 2 clock readings", err, reads.Load())
	}
	if o := <-ended; o != runner.TimedOut {
		t.Errorf("the call ended as %v", o)
	}
}

// TestCloseEndsLoading: a module that is slow to load does not hold up Close.
func TestCloseEndsLoading(t *testing.T) {
	r := open(t, Options{})
	started := make(chan struct{})
	m := numbered(1)
	m.Load = func(ctx context.Context) ([]byte, error) {
		close(started)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	checked := make(chan error, 1)
	go func() { checked <- r.Check(context.Background(), m) }()
	<-started
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := <-checked; !errors.Is(err, runner.ErrClosed) {
		t.Errorf("Check: %v", err)
	}
}
