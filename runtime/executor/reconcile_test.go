package executor_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	memstore "github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
	"github.com/mythos-run/mythos/runtime/runner"
)

// world is a runner that knows what tools did outside: how often a tool and its
// probe were called. Its blob is there once an effect has happened.
type world struct {
	runner.Runner
	b        *bench
	calls    []string              // entries in order
	before   func(n int)           // before call n, from 1; may be nil
	instead  map[int]runner.Result // of call n, in place of the module's
	happened func()
}

func (w *world) Run(ctx context.Context, c runner.Call) (runner.Result, error) {
	name := "tool"
	if len(c.Module.Entry) == 1 && c.Module.Entry[0] == "probe" {
		name = "probe"
	}
	w.calls = append(w.calls, name)
	if w.before != nil {
		w.before(len(w.calls))
	}
	if res, ok := w.instead[len(w.calls)]; ok {
		return res, nil
	}
	return w.Runner.Run(ctx, c)
}

func (w *world) want(calls string) {
	w.b.t.Helper()
	if got := strings.Join(w.calls, " "); got != calls {
		w.b.t.Errorf("called %q, want %q", got, calls)
	}
}

const marker = "the effect happened"

// reconciling is a bench with a tool of class reconcile, and the run of it.
func reconciling(t *testing.T, b *bench, told bool) (*world, *gate.Package, func() (*executor.Result, error)) {
	t.Helper()
	a, err := cas.PutBlob(t.Context(), memstore.New(memstore.Options{}), strings.NewReader(marker))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Runner: b.engine.Runner, b: b}
	w.happened = func() {
		if _, err := cas.PutBlob(t.Context(), b.objects, strings.NewReader(marker)); err != nil {
			t.Fatal(err)
		}
	}
	b.config.Runners = []runner.Runner{w}
	pkg := b.load(packtest.Spec{Modules: []packtest.Module{{
		Wasm: packtest.ProbedWasm(a.CID, response(200, text("paid")), told), Retry: "reconcile",
		Limits: map[string]uint64{"max_io_calls": 1},
		Source: map[string]any{"probe": "probe", "caps_required": []any{map[string]any{"kind": caps.KindBlobRead}}},
	}}})
	return w, pkg, func() (*executor.Result, error) {
		return b.run(pkg, "r", b.grant(pkg, nil), b.give(&caps.BlobRead{CID: a.CID}))
	}
}

// TestProbeRecoversResponse: the probe knows the response, which is then the effect's
// own, with a receipt and evidence that name the probe's.
func TestProbeRecoversResponse(t *testing.T) {
	b := newBench(t)
	w, _, run := reconciling(t, b, true)
	_, err := run()
	wantCode(t, err, ledger.ErrInDoubt)
	w.happened()
	res, err := run()
	if err != nil {
		t.Fatal(err)
	}
	w.want("tool probe")
	b.wantLog("run_record register resolution register commit commit run_seal")
	if string(res.Outcome.Value) != string(text("paid")) || !res.Effects[0].Replayed {
		t.Errorf("result %q, replayed %t", res.Outcome.Value, res.Effects[0].Replayed)
	}
	ev := b.evidenceOf(res)
	v, err := b.ledger.Lookup(t.Context(), res.Effects[0].IdemID)
	if err != nil {
		t.Fatal(err)
	}
	if ev.Probe == nil || ev.RegisterID != v.RegisterID || v.Attempt != 1 {
		t.Errorf("the evidence names probe %v and register %s of %d attempts", ev.Probe, ev.RegisterID, v.Attempt)
	}
	probe := ledger.IdemID(v.ToolID, ledger.ProbeKey(authorityKey.Agent().KeyID(), authorityKey.Agent().KeyID(), v.RegisterID))
	asked, err := b.ledger.Lookup(t.Context(), probe)
	if err != nil || asked.Phase != ledger.Committed || asked.Commit.ReceiptID != *ev.Probe {
		t.Errorf("the probe is %s under receipt %s, %v", asked.Phase, asked.Commit.ReceiptID, err)
	}
	if again, err := run(); err != nil || again.Seal != res.Seal {
		t.Errorf("it does not replay: %v", err)
	}
	w.want("tool probe")
}

// TestProbeWithoutResponse: it happened, and nobody knows the answer.
func TestProbeWithoutResponse(t *testing.T) {
	b := newBench(t)
	w, _, run := reconciling(t, b, false)
	_, err := run()
	wantCode(t, err, ledger.ErrInDoubt)
	w.happened()
	for range 2 {
		_, err = run()
		wantCode(t, err, ledger.ErrSettled)
	}
	w.want("tool probe")
	b.wantLog("run_record register resolution register commit resolution")
}

// TestProbeNotInvoked: the effect did not happen, so it may; every further attempt
// that ends in doubt is asked about anew.
func TestProbeNotInvoked(t *testing.T) {
	b := newBench(t)
	w, _, run := reconciling(t, b, true)
	_, err := run()
	wantCode(t, err, ledger.ErrInDoubt)
	_, err = run()
	wantCode(t, err, ledger.ErrInDoubt)
	w.want("tool probe tool")
	w.before = func(n int) {
		if n == 5 {
			w.happened()
		}
	}
	if _, err := run(); err != nil {
		t.Fatal(err)
	}
	w.want("tool probe tool probe tool")
	b.wantLog("run_record register resolution register commit resolution register resolution register commit resolution register commit run_seal")
}

// TestProbeCannotTell: an answer that is none, a failure and "unknown" leave the
// doubt; a probe that ended without an answer is asked again, one that answered not.
func TestProbeCannotTell(t *testing.T) {
	unknown := abi.Probe{Outcome: abi.ProbeUnknown}
	touched := runner.Result{Outcome: runner.TimedOut, Engine: "test", Transcript: []byte{0}}
	answer := func(payload []byte) runner.Result {
		return runner.Result{Outcome: runner.Answered, Engine: "test", Response: response(200, payload)}
	}
	for name, c := range map[string]struct {
		said  runner.Result
		calls string // after two more runs
	}{
		"unknown":     {answer(unknown.AppendCAN(nil)), "tool probe"},
		"no answer":   {answer(text("paid")), "tool probe"},
		"failure":     {runner.Result{Outcome: runner.Answered, Engine: "test", Response: response(503, []byte{0})}, "tool probe"},
		"trap":        {runner.Result{Outcome: runner.Trapped, Engine: "test"}, "tool probe"},
		"timeout":     {touched, "tool probe probe"},
		"not touched": {runner.Result{Outcome: runner.TimedOut, Engine: "test"}, "tool probe probe"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			w, _, run := reconciling(t, b, true)
			w.instead = map[int]runner.Result{2: c.said, 3: c.said}
			for range 3 {
				_, err := run()
				wantCode(t, err, ledger.ErrInDoubt)
				if !strings.Contains(err.Error(), "id sha256:") {
					t.Errorf("the id is not named: %v", err)
				}
			}
			w.want(c.calls)
		})
	}
}

// TestProbeOfAnotherOwner: only its owner may speak for a register.
func TestProbeOfAnotherOwner(t *testing.T) {
	b := newBench(t)
	w, _, run := reconciling(t, b, true)
	_, err := run()
	wantCode(t, err, ledger.ErrInDoubt)
	w.happened()
	other := sig.NewKey([32]byte{0xd}, "another executor")
	mine := b.config.Key
	b.config.Key = other
	b.config.TrustedExecutor = func(a sig.AgentID) bool { return a.Equal(other.Agent()) || a.Equal(mine.Agent()) }
	b.subject = other.Agent()
	_, err = run()
	wantCode(t, err, ledger.ErrInDoubt)
	if !strings.Contains(err.Error(), "an operator must resolve it") {
		t.Errorf("got %v", err)
	}
	w.want("tool")
}

// TestProbeIsCharged: a probe is an effect, with a capability like any other.
func TestProbeIsCharged(t *testing.T) {
	b := newBench(t)
	w, pkg, _ := reconciling(t, b, true)
	once := b.grant(pkg, func(_ *caps.Capability, s *caps.ToolCall) { s.MaxCalls = 1 })
	read := b.give(&caps.BlobRead{CID: blobOf(t)})
	_, err := b.run(pkg, "r", once, read)
	wantCode(t, err, ledger.ErrInDoubt)
	w.happened()
	_, err = b.run(pkg, "r", once, read)
	wantCode(t, err, ledger.ErrExhausted)
	w.want("tool")
	_, err = b.run(pkg, "r", read)
	wantCode(t, err, executor.ErrCapMissing)
	w.want("tool")
}

func blobOf(t *testing.T) cid.Hash {
	t.Helper()
	a, err := cas.PutBlob(t.Context(), memstore.New(memstore.Options{}), strings.NewReader(marker))
	if err != nil {
		t.Fatal(err)
	}
	return a.CID
}

const crashReconcile = "MYTHOS_TEST_CRASH_RECONCILE"

// TestReconcileCrashChild is the child of TestCrashWhileReconciling: it goes on with
// the run and kills itself at the nth time that it comes to a step.
func TestReconcileCrashChild(t *testing.T) {
	home := os.Getenv(crashHome)
	if home == "" || os.Getenv(crashReconcile) == "" {
		return
	}
	b := durableBench(t, home)
	b.clock.advance(time.Hour)
	_, _, run := reconciling(t, b, os.Getenv(crashReconcile) == "told")
	b.config.Step = func(name string) {
		if name == os.Getenv(crashStep) {
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = self.Kill()
			}
			panic(err)
		}
	}
	_, err := run()
	t.Fatalf("the run was not killed: %v", err)
}

// TestCrashWhileReconciling kills the process between any two steps of asking a
// probe and recording what it said. The tool itself is never invoked again, since it
// happened; and whoever continues comes to the same end.
func TestCrashWhileReconciling(t *testing.T) {
	for _, told := range []string{"told", "silent"} {
		for _, step := range []string{"register", "invoke", "receipt", "commit", "committed", "reconcile"} {
			t.Run(told+"/"+step, func(t *testing.T) {
				home := t.TempDir()
				b := durableBench(t, home)
				w, _, run := reconciling(t, b, told == "told")
				_, err := run()
				wantCode(t, err, ledger.ErrInDoubt)
				w.happened()
				if err := b.ledger.Close(); err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(os.Args[0], "-test.run=^TestReconcileCrashChild$")
				cmd.Env = append(os.Environ(), crashHome+"="+home, crashStep+"="+step, crashReconcile+"="+told)
				if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != -1 {
					t.Fatalf("the child was not killed at %s: %v\n%s", step, err, out)
				}
				b = durableBench(t, home)
				b.clock.advance(2 * time.Hour)
				w, _, run = reconciling(t, b, told == "told")
				res, err := run()
				switch {
				case told == "silent":
					wantCode(t, err, ledger.ErrSettled)
				case err != nil:
					t.Fatal(err)
				case string(res.Outcome.Value) != string(text("paid")):
					t.Errorf("result %x", res.Outcome.Value)
				}
				for _, call := range w.calls {
					if call == "tool" {
						t.Error("the tool was invoked again")
					}
				}
			})
		}
	}
}
