package executor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
	"github.com/mythos-run/mythos/runtime/runner"
)

const (
	crashHome = "MYTHOS_TEST_CRASH_HOME"
	crashStep = "MYTHOS_TEST_CRASH_STEP"
	crashAt   = "MYTHOS_TEST_CRASH_AT" // the how many-th time, in unary
	crashDir  = "MYTHOS_TEST_CRASH_PACKAGE"
)

// tally is a runner that counts its invocations in a file, outside the system
// under test: one byte for each, synced before the module runs.
type tally struct {
	runner.Runner
	path string
}

func (r tally) Run(ctx context.Context, c runner.Call) (runner.Result, error) {
	f, err := os.OpenFile(r.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return runner.Result{}, err
	}
	_, err = f.Write([]byte{1})
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return runner.Result{}, err
	}
	return r.Runner.Run(ctx, c)
}

// durableBench is a bench over files in home.
func durableBench(t *testing.T, home string) *bench {
	t.Helper()
	clock := &testClock{}
	l, err := journal.Open(t.Context(), journal.Options{Dir: filepath.Join(home, "ledger"), Clock: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	objects, err := local.Open(filepath.Join(home, "store"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		objects.Close()
		l.Close()
	})
	b := newBenchOn(t, clock, l, objects)
	b.config.Runners = []runner.Runner{tally{b.engine, filepath.Join(home, "tally")}}
	return b
}

// TestCrashChild is the child of TestCrashAtEveryStep: it runs one task and
// kills itself, without any cleanup, at the step that it was told.
func TestCrashChild(t *testing.T) {
	home := os.Getenv(crashHome)
	if home == "" {
		return
	}
	b := durableBench(t, home)
	b.hold = time.Hour
	passed := 0
	b.config.Step = func(name string) {
		if name != os.Getenv(crashStep) {
			return
		}
		if passed++; passed == len(os.Getenv(crashAt)) {
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = self.Kill()
			}
			panic(err)
		}
	}
	pkg := load(t, packtest.Package{Dir: os.Getenv(crashDir), Signer: packtest.Key().Agent()})
	_, err := b.run(pkg, "r", b.grant(pkg, nil))
	t.Fatalf("the run was not killed: %v", err)
}

// TestCrashAtEveryStep kills the process between any two steps of the pipeline
// and then continues the run: nothing that was committed is lost, a tool whose
// class forbids it is never invoked twice, and one that allows it ends with one
// receipt.
func TestCrashAtEveryStep(t *testing.T) {
	for _, retry := range []string{"never", "pure"} {
		p := packtest.Build(t, packtest.Spec{Modules: []packtest.Module{{Retry: retry}}})
		for step, want := range map[string]struct {
			calls int        // invocations in all, crash and continuation, if the class allows another
			err   fault.Code // of the continuation, if the class is never
		}{
			"begin":      {calls: 1},
			"authorise":  {calls: 1},
			"consult":    {calls: 1},
			"register":   {calls: 1},
			"registered": {calls: 1, err: ledger.ErrInDoubt},
			"invoke":     {calls: 1, err: ledger.ErrInDoubt},
			"receipt":    {calls: 2, err: ledger.ErrInDoubt},
			"commit":     {calls: 2, err: ledger.ErrInDoubt},
			"held":       {calls: 2, err: ledger.ErrInDoubt},
			"seal":       {calls: 2, err: ledger.ErrInDoubt}, // the commit goes with it
			"committed":  {calls: 1},
		} {
			t.Run(retry+"/"+step, func(t *testing.T) {
				home := t.TempDir()
				killAt(t, home, p.Dir, step, 1)
				b := durableBench(t, home)
				b.clock.advance(time.Hour) // the dead owner's lease is over
				pkg := load(t, p)
				res, err := b.run(pkg, "r", b.grant(pkg, nil))
				calls := want.calls
				if retry == "never" && want.err != "" {
					wantCode(t, err, want.err)
					calls-- // the continuation did not invoke
				} else if err != nil {
					t.Fatal(err)
				} else if again, err := b.run(pkg, "r", b.grant(pkg, nil)); err != nil || again.Seal != res.Seal {
					t.Errorf("the run does not replay: %v", err)
				}
				if got := invocations(t, home); got != calls {
					t.Errorf("%d invocations, want %d", got, calls)
				}
			})
		}
	}
}

// TestCrashBetweenEffects kills the process around the write that an effect's commit
// and the next one's register share: both are there or neither is.
func TestCrashBetweenEffects(t *testing.T) {
	for _, retry := range []string{"never", "pure"} {
		p := packtest.Build(t, packtest.Spec{IR: echoIR(2), Modules: []packtest.Module{{Retry: retry}}})
		for _, c := range []struct {
			step  string
			at    int
			log   string // that the crash leaves
			doubt uint64 // the effect that is in doubt
			calls int    // in all, if the class allows another
		}{
			{"held", 1, "run_record register", 0, 3},
			{"register", 2, "run_record register", 0, 3},
			{"committed", 1, "run_record register commit register", 1, 2},
			{"registered", 2, "run_record register commit register", 1, 2},
			{"receipt", 2, "run_record register commit register", 1, 3},
		} {
			t.Run(fmt.Sprint(retry, "/", c.step, c.at), func(t *testing.T) {
				home := t.TempDir()
				killAt(t, home, p.Dir, c.step, c.at)
				b := durableBench(t, home)
				b.wantLog(c.log)
				before := invocations(t, home)
				b.clock.advance(time.Hour)
				pkg := load(t, p)
				res, err := b.run(pkg, "r", b.grant(pkg, nil))
				if retry == "never" {
					wantCode(t, err, ledger.ErrInDoubt)
					if got := invocations(t, home); got != before {
						t.Errorf("%d invocations more", got-before)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if res.Effects[0].Replayed != (c.doubt == 1) || res.Effects[1].Replayed {
					t.Errorf("replayed: %t, %t", res.Effects[0].Replayed, res.Effects[1].Replayed)
				}
				if got := invocations(t, home); got != c.calls {
					t.Errorf("%d invocations, want %d", got, c.calls)
				}
			})
		}
	}
}

func killAt(t *testing.T, home, dir, step string, at int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashChild$")
	cmd.Env = append(os.Environ(), crashHome+"="+home, crashStep+"="+step, crashAt+"="+strings.Repeat("1", at), crashDir+"="+dir)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("the child was not killed at %s: %v\n%s", step, err, out)
	}
}

func invocations(t *testing.T, home string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(home, "tally"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return len(b)
}

// TestLiveLeaseIsNotStolen checks that a run whose effect is held elsewhere is
// refused, or waits, and then takes the outcome that stands.
func TestLiveLeaseIsNotStolen(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{IR: keyedIR})
	proof := b.grant(pkg, nil)
	req := func(id string) executor.Request {
		return executor.Request{RunID: id, Inputs: inputs("pay", "k"), Proofs: []*caps.Chain{proof}}
	}
	inside, goOn := make(chan struct{}), make(chan struct{})
	first := b.config
	first.Step = func(name string) {
		if name == "invoke" {
			close(inside)
			<-goOn
		}
	}
	e, err := executor.New(first)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := e.Run(context.Background(), pkg, req("a"))
		done <- err
	}()
	<-inside
	_, err = b.runWith(pkg, req("b"))
	wantCode(t, err, ledger.ErrInProgress)
	b.config.NoWait = false
	b.config.OnWait = func(string, time.Time) { close(goOn) }
	res, err := b.runWith(pkg, req("c"))
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !res.Effects[0].Replayed {
		t.Error("the waiting run did not take the outcome that stands")
	}
	b.wantCalls(1)
}
