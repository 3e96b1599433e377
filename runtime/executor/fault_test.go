package executor_test

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	memstore "github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
	"github.com/mythos-run/mythos/runtime/runner"
)

// TestInterruptAtEveryStep ends the context at each step of the pipeline: what was
// invoked is committed or known not to count, a tool that must not run twice does
// not, and the same run continues at once.
func TestInterruptAtEveryStep(t *testing.T) {
	for step, calls := range map[string]int{
		"begin": 1, "authorise": 1, "consult": 1, "register": 1, "receipt": 1, "commit": 1, "held": 1, "seal": 1,
		"registered": 2, "invoke": 2, "committed": 2, // the runner is asked once and starts nothing
	} {
		t.Run(step, func(t *testing.T) {
			clock := &testClock{}
			l, err := journal.Open(t.Context(), journal.Options{Dir: t.TempDir(), Clock: clock.now})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			b := newBenchOn(t, clock, l, memstore.New(memstore.Options{}))
			pkg := b.load(packtest.Spec{IR: echoIR(2), Modules: []packtest.Module{{Retry: "never"}}})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			b.config.Step = func(name string) {
				if name == step {
					cancel()
				}
			}
			b.hold = time.Hour
			req := executor.Request{RunID: "r", Proofs: []*caps.Chain{b.grant(pkg, nil)}}
			_, err = b.executor().Run(ctx, pkg, req)
			if step != "seal" && !errors.Is(err, context.Canceled) || step == "seal" && err != nil {
				t.Fatalf("got %v", err)
			}
			b.config.Step = nil
			res, err := b.run(pkg, "r", b.grant(pkg, nil))
			if err != nil {
				t.Fatalf("the run does not continue: %v", err)
			}
			if len(res.Effects) != 2 {
				t.Fatalf("%d effects", len(res.Effects))
			}
			b.wantCalls(calls + 1)
		})
	}
}

// full is an object store without space.
type full struct{ cas.Store }

func (full) Put(context.Context, []byte) (cid.Hash, error) { return cid.Hash{}, cas.ErrFull }

func (full) PutFrom(context.Context, io.Reader, cid.Hash, int64) error { return cas.ErrFull }

// TestFullObjectStore: a response that cannot be kept is no outcome; the effect is
// free once there is space.
func TestFullObjectStore(t *testing.T) {
	b := newBench(t)
	big := response(200, text(strings.Repeat("x", 200<<10)))
	pkg := b.load(packtest.Spec{Modules: []packtest.Module{{
		Wasm: packtest.AnswerWasm([]byte("placeholder")), Retry: "never",
	}}})
	b.config.Runners = []runner.Runner{answering{b.engine, big}}
	b.config.Objects = full{b.objects}
	_, err := b.run(pkg, "r", b.grant(pkg, nil))
	wantCode(t, err, cas.ErrFull)
	b.wantLog("run_record register resolution")
	b.config.Objects = b.objects
	b.mustRun(pkg, "r")
	b.wantLog("run_record register resolution register commit run_seal")
}

// answering is a runner whose modules all answer the same.
type answering struct {
	runner.Runner
	response []byte
}

func (r answering) Run(context.Context, runner.Call) (runner.Result, error) {
	return runner.Result{Outcome: runner.Answered, Response: r.response, Engine: "test/1", SandboxLevel: 4}, nil
}

// failing is a ledger whose writes fail from the outside.
type failing struct {
	ledger.Store
	commit, register, resolve error
	registers                 *int
}

func (s failing) Commit(ctx context.Context, c ledger.Commitment) (ledger.Verdict, error) {
	if s.commit != nil {
		return 0, s.commit
	}
	return s.Store.Commit(ctx, c)
}

func (s failing) CommitAndRegister(ctx context.Context, c ledger.Commitment, r ledger.Registration) (ledger.Verdict, error) {
	v, err := s.Commit(ctx, c)
	if err == nil {
		err = s.Register(ctx, r)
	}
	return v, err
}

func (s failing) CommitAndSeal(ctx context.Context, c ledger.Commitment, body []byte, run cid.Hash) (ledger.Verdict, error) {
	v, err := s.Commit(ctx, c)
	if err == nil {
		err = s.Seal(ctx, body, run)
	}
	return v, err
}

func (s failing) Register(ctx context.Context, r ledger.Registration) error {
	if s.registers != nil {
		*s.registers++
	}
	if s.register != nil {
		return s.register
	}
	return s.Store.Register(ctx, r)
}

func (s failing) Resolve(ctx context.Context, body []byte, run cid.Hash, byOperator bool) error {
	if s.resolve != nil {
		return s.resolve
	}
	return s.Store.Resolve(ctx, body, run, byOperator)
}

// TestLedgerFaults: every fault keeps its code, and none makes the run spin.
func TestLedgerFaults(t *testing.T) {
	t.Run("commit", func(t *testing.T) {
		b := newBench(t)
		pkg := b.load(packtest.Spec{Modules: []packtest.Module{{Retry: "never"}}})
		for _, code := range []error{journal.ErrFull, ledger.ErrEntry} {
			b.config.Ledger = failing{Store: b.ledger, commit: code}
			_, err := b.run(pkg, "r", b.grant(pkg, nil))
			if !errors.Is(err, code) {
				t.Fatalf("got %v, want %v", err, code)
			}
		}
		b.wantCalls(2) // a fault of the store makes no effect run twice in one attempt
		b.wantLog("run_record register resolution register resolution")
	})
	t.Run("resolve", func(t *testing.T) {
		b := newBench(t)
		pkg := b.load(packtest.Spec{Modules: []packtest.Module{{Wasm: packtest.LoopWasm(), Limits: map[string]uint64{"timeout_us": 20_000}}}})
		b.config.Ledger = failing{Store: b.ledger, resolve: journal.ErrFull}
		_, err := b.run(pkg, "r", b.grant(pkg, nil))
		wantCode(t, err, executor.ErrTimeout)
		wantCode(t, err, journal.ErrFull)
		if !strings.Contains(err.Error(), string(journal.ErrFull)) {
			t.Errorf("the message hides the ledger's fault: %v", err)
		}
		b.wantCalls(1)
	})
	t.Run("register", func(t *testing.T) {
		b := newBench(t)
		pkg := b.load(packtest.Spec{})
		n := 0
		b.config.Ledger = failing{Store: b.ledger, register: ledger.ErrEntry, registers: &n}
		_, err := b.run(pkg, "r", b.grant(pkg, nil))
		wantCode(t, err, ledger.ErrEntry)
		if n < 2 || n > 100 {
			t.Errorf("%d tries", n)
		}
		b.wantCalls(0)
	})
}

// refusing is a runner that cannot start anything.
type refusing struct{ runner.Runner }

func (refusing) Run(context.Context, runner.Call) (runner.Result, error) {
	return runner.Result{}, runner.ErrDigest
}

func TestModuleThatCannotStart(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{Modules: []packtest.Module{{Retry: "never"}}})
	b.config.Runners = []runner.Runner{refusing{b.engine}}
	_, err := b.run(pkg, "r", b.grant(pkg, nil))
	wantCode(t, err, executor.ErrNotStarted)
	wantCode(t, err, runner.ErrDigest)
	b.wantLog("run_record register resolution")
}

func TestTwoRunnersOfAKind(t *testing.T) {
	b := newBench(t)
	b.config.Runners = append(b.config.Runners, b.engine)
	_, err := executor.New(b.config)
	wantCode(t, err, executor.ErrConfig)
}

// TestDeadlineIsAFault: the attempt ends, nothing is sealed, and the module that
// it stopped did not count.
func TestDeadlineIsAFault(t *testing.T) {
	b := newBench(t)
	policy := rings.Default(0)
	pkg := loadUnder(t, packtest.Build(t, packtest.Spec{
		IR:      strings.Replace(echoIR(1), "writes=0", "writes=0 deadline_us=100000", 1),
		Modules: []packtest.Module{{Wasm: packtest.LoopWasm(), Retry: "never", Limits: map[string]uint64{"timeout_us": 60_000_000}}},
	}), policy)
	_, err := b.run(pkg, "r", b.grant(pkg, nil))
	wantCode(t, err, executor.ErrDeadline)
	b.wantLog("run_record register resolution")
}

// TestDeepResponseIsRefused: a payload over the limits of values is a bad
// response, not a fault that the run meets for ever.
func TestDeepResponseIsRefused(t *testing.T) {
	var deep []byte
	for range 40 {
		deep = can.AppendList(deep, 1)
	}
	b := newBench(t)
	pkg := b.load(packtest.Spec{Modules: []packtest.Module{{Wasm: packtest.AnswerWasm(response(200, append(deep, can.Null)))}}})
	if e := b.mustRun(pkg, "r").Effects[0]; e.Status != 502 || e.ErrorCode != string(executor.CodeBadResponse) {
		t.Errorf("status %d %s", e.Status, e.ErrorCode)
	}
}

// TestPolicyBoundsCapabilities: a kind that the ring's policy does not have is no
// power here, whoever granted it.
func TestPolicyBoundsCapabilities(t *testing.T) {
	b := newBench(t)
	policy := rings.Default(0)
	policy.CapKinds = []uint8{caps.KindBlobRead}
	pkg := loadUnder(t, packtest.Build(t, packtest.Spec{}), policy)
	_, err := b.run(pkg, "r", b.grant(pkg, nil))
	wantCode(t, err, caps.ErrScope)
	b.wantCalls(0)
	b.wantLog("run_record refusal")
}

// TestRequireCapReadsTheWholeKind: kind 261 is not kind 5.
func TestRequireCapReadsTheWholeKind(t *testing.T) {
	b := newBench(t)
	scope := caps.BlobRead{CID: cid.Sum([]byte("x"))}
	raw := scope.AppendCAN(nil)
	now := b.clock.now()
	proof := b.issue(authorityKey, caps.Capability{
		Subject: executorKey.Agent(), NotBefore: now.Add(-time.Hour).UnixMicro(), ExpiresAt: now.Add(time.Hour).UnixMicro(),
		Scope: caps.Scope{Kind: caps.KindBlobRead, Payload: raw},
	})
	for kind, code := range map[string]error{"1": nil, "257": executor.ErrCapMissing, "2": executor.ErrCapMissing} {
		pkg := b.load(packtest.Spec{Modules: []packtest.Module{}, IR: "const s = bytes \"" + hex.EncodeToString(raw) + `"
func main() -> any {
  require_cap ` + kind + `, s
  const s, r0
  ret r0
}
task main = main() budget cpu_us=50000 io=1 writes=0
`})
		_, err := b.run(pkg, "r"+kind, proof)
		if !errors.Is(err, code) || code == nil && err != nil {
			t.Errorf("kind %s: %v, want %v", kind, err, code)
		}
	}
}

// TestFirstDenialIsTold: with several candidates and none that holds, the code is
// that of the first by leaf id, and the message names the rest.
func TestFirstDenialIsTold(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{})
	spent := b.grant(pkg, func(_ *caps.Capability, s *caps.ToolCall) { s.MaxCalls = 0 })
	// One that expired and comes before the spent one, and one that comes after.
	var before, after *caps.Chain
	for i := int64(1); before == nil || after == nil; i++ {
		p := b.grant(pkg, func(c *caps.Capability, _ *caps.ToolCall) { c.ExpiresAt = c.NotBefore + i })
		if p.LeafID().Compare(spent.LeafID()) < 0 {
			before = p
		} else {
			after = p
		}
	}
	_, err := b.run(pkg, "r", spent, before)
	wantCode(t, err, caps.ErrExpired)
	if !strings.Contains(err.Error(), spent.LeafID().String()+": "+string(ledger.ErrExhausted)) {
		t.Errorf("the message does not name the other candidate: %v", err)
	}
	_, err = b.run(pkg, "r", after, spent)
	wantCode(t, err, ledger.ErrExhausted)
	b.wantCalls(0)
	b.wantLog("run_record refusal refusal")
}
