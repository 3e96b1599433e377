package executor_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	memstore "github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
	"github.com/mythos-run/mythos/runtime/runner"
)

// passingIR asks echo for what echo said first.
const passingIR = `const greeting = text "hello"
tool echo = demo/echo interface 1 (any) -> any
func main() -> any {
  const greeting, r0
  effect echo, r0, r1, r2
  effect echo, r1, r3, r4
  ret r3
}
task main = main() budget cpu_us=50000 io=2 writes=0
`

// transactions counts the durable writes of a fresh ledger: the frames of its
// write-ahead log that end one.
func transactions(t *testing.T, dir string) int {
	t.Helper()
	wal, err := os.ReadFile(filepath.Join(dir, "ledger.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	const header, frameHeader = 32, 24
	page, salts, n := int(binary.BigEndian.Uint32(wal[8:])), wal[16:24], 0
	for at := header; at+frameHeader+page <= len(wal); at += frameHeader + page {
		if frame := wal[at:]; bytes.Equal(frame[8:16], salts) && binary.BigEndian.Uint32(frame[4:]) != 0 {
			n++
		}
	}
	return n
}

// TestDurableWrites: a run of n effects makes n+2: the record, the first register, each
// commit with what comes next.
func TestDurableWrites(t *testing.T) {
	for _, n := range []int{0, 1, 3, 10} {
		dir, clock := t.TempDir(), &testClock{}
		l, err := journal.Open(t.Context(), journal.Options{Dir: dir, Clock: clock.now})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		b := newBenchOn(t, clock, l, memstore.New(memstore.Options{}))
		b.hold = time.Hour
		pkg := b.load(packtest.Spec{IR: echoIR(n)})
		before := transactions(t, dir)
		b.mustRun(pkg, "r")
		want := n + 2
		if got := transactions(t, dir) - before; got != want {
			t.Errorf("%d effects: %d durable writes, want %d", n, got, want)
		}
		b.wantLog("run_record" + strings.Repeat(" register commit", n) + " run_seal")
	}
}

// outcome makes another outcome for the only effect of the ledger, that of a register
// that follows it or of its own.
func (b *bench) outcome(by sig.Key, again bool, answer []byte) {
	b.t.Helper()
	var x ledger.Register
	var id cid.Hash
	for rec, err := range b.ledger.Records(b.t.Context(), ledger.Filter{Kinds: []ledger.Kind{ledger.KindRegister}}) {
		if err == nil {
			x, id, err = ledger.OpenRegister(rec.Body)
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
	if again {
		attempt, previous := uint32(1), id
		x.Attempt, x.PreviousRegister = &attempt, &previous
		reg := ledger.Registration{LeaseFor: 1}
		next, err := reg.Sign(&x, by)
		if err == nil {
			err = b.ledger.Register(b.t.Context(), reg)
		}
		if err != nil {
			b.t.Fatal(err)
		}
		id = next
	}
	rec := receipt.Receipt{ToolID: x.ToolID, RequestHash: x.RequestHash, ResponseHash: cid.Sum(answer), IdempotencyKey: x.IdempotencyKey, Status: 200}
	raw, receiptID, err := sig.Sign(&rec, by)
	if err != nil {
		b.t.Fatal(err)
	}
	whole := ledger.Commitment{Receipt: raw, Items: []ledger.Item{{CID: cid.Sum(answer), Data: answer}}}
	_, err = whole.Sign(&ledger.Commit{
		IdemID: x.IdemID, ToolID: x.ToolID, RequestHash: x.RequestHash, ResponseHash: rec.ResponseHash,
		ReceiptID: receiptID, Status: 200, RegisterID: &id,
	}, by)
	if err != nil {
		b.t.Fatal(err)
	}
	if v, err := b.ledger.Commit(b.t.Context(), whole); err != nil || v != ledger.Applied {
		b.t.Fatalf("verdict %d, %v", v, err)
	}
}

// onceAt has fn run at the first step of a name.
func (b *bench) onceAt(step string, fn func()) {
	done := false
	b.config.Step = func(name string) {
		if name == step && !done {
			done = true
			fn()
		}
	}
}

// TestSupersededWhileHeld: another executor took the effect over. What the program made
// of our response goes nowhere, not even into the binding of an id, so that the same
// run goes on with the outcome that stands.
func TestSupersededWhileHeld(t *testing.T) {
	other := sig.NewKey([32]byte{0xd}, "other executor")
	for name, c := range map[string]struct {
		ir    string
		calls int
	}{
		"before the next effect": {passingIR, 2},
		"before the seal":        {echoIR(1), 1},
	} {
		for _, hold := range []time.Duration{time.Hour, 1} { // written together, and by itself
			t.Run(name, func(t *testing.T) {
				b := newBench(t)
				b.hold = hold
				b.config.TrustedExecutor = func(a sig.AgentID) bool { return a.Equal(other.Agent()) || a.Equal(executorKey.Agent()) }
				b.config.Runners = []runner.Runner{&counter{Runner: echoing{b.engine}}}
				engine := b.config.Runners[0].(*counter)
				pkg := b.load(packtest.Spec{IR: c.ir, Modules: []packtest.Module{{Retry: "idempotent"}}})
				b.onceAt("receipt", func() {
					b.clock.advance(time.Hour)
					b.outcome(other, true, response(200, text("theirs")))
				})
				_, err := b.run(pkg, "r", b.grant(pkg, nil))
				wantCode(t, err, ledger.ErrSuperseded)
				b.wantLog("run_record register register commit commit")
				b.config.Step = nil
				res, err := b.run(pkg, "r", b.grant(pkg, nil))
				if err != nil {
					t.Fatalf("the same run does not go on: %v", err)
				}
				if !res.Effects[0].Replayed || string(res.Outcome.Value) != string(text("theirs")) {
					t.Errorf("the run did not go on with what stands: %x", res.Outcome.Value)
				}
				if engine.calls != c.calls {
					t.Errorf("%d invocations, want %d", engine.calls, c.calls)
				}
			})
		}
	}
}

// TestDivergedWhileHeld: the commit contradicts another one of its register.
func TestDivergedWhileHeld(t *testing.T) {
	for name, program := range map[string]string{"before the next effect": passingIR, "before the seal": echoIR(1)} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.hold = time.Hour
			pkg := b.load(packtest.Spec{IR: program})
			b.onceAt("held", func() { b.outcome(executorKey, false, response(200, text("another"))) })
			_, err := b.run(pkg, "r", b.grant(pkg, nil))
			wantCode(t, err, ledger.ErrDivergent)
			b.wantCalls(1)
			b.wantLog("run_record register commit commit divergence")
			_, err = b.run(pkg, "r", b.grant(pkg, nil))
			wantCode(t, err, ledger.ErrDivergent)
		})
	}
}

// TestFailedWhileHeld: the store does not take the commit, together with anything or by
// itself.
func TestFailedWhileHeld(t *testing.T) {
	for _, hold := range []time.Duration{time.Hour, 1} {
		for _, code := range []error{journal.ErrFull, ledger.ErrEntry} {
			b := newBench(t)
			b.hold = hold
			pkg := b.load(packtest.Spec{IR: passingIR, Modules: []packtest.Module{{Retry: "never"}}})
			b.config.Ledger = failing{Store: b.ledger, commit: code}
			_, err := b.run(pkg, "r", b.grant(pkg, nil))
			if !errors.Is(err, code) || strings.Count(err.Error(), "effect demo/echo") != 1 {
				t.Errorf("got %v", err)
			}
			b.wantCalls(1)
			b.wantLog("run_record register resolution")
			b.config.Ledger = b.ledger
			b.mustRun(pkg, "r")
		}
	}
}

// crowded is a ledger that takes a commit and then has no space for what comes next.
type crowded struct{ ledger.Store }

func (s crowded) CommitAndRegister(ctx context.Context, c ledger.Commitment, _ ledger.Registration) (ledger.Verdict, error) {
	v, err := s.Commit(ctx, c)
	return v, cmp.Or(err, error(journal.ErrFull))
}

// TestRefusedAfterHeld: what the next register is refused for leaves the commit before
// it standing.
func TestRefusedAfterHeld(t *testing.T) {
	b := newBench(t)
	b.hold = time.Hour
	pkg := b.load(packtest.Spec{IR: echoIR(2)})
	_, err := b.run(pkg, "a", b.grant(pkg, func(_ *caps.Capability, s *caps.ToolCall) { s.MaxCalls = 1 }))
	wantCode(t, err, ledger.ErrExhausted)
	b.wantCalls(1)
	b.wantLog("run_record register commit refusal")
	b.config.Ledger = crowded{b.ledger}
	_, err = b.run(pkg, "b", b.grant(pkg, nil))
	wantCode(t, err, journal.ErrFull)
	b.wantCalls(2)
	b.wantLog("run_record register commit refusal run_record register commit")
}

// stuck is a ledger that writes nothing of a commit and what comes next together.
type stuck struct{ ledger.Store }

func (stuck) CommitAndRegister(context.Context, ledger.Commitment, ledger.Registration) (ledger.Verdict, error) {
	return 0, journal.ErrUnavailable
}

// TestCommitWithoutNext: what keeps the next register from being written, such as a
// lock that somebody holds, takes no answer that is in hand with it.
func TestCommitWithoutNext(t *testing.T) {
	b := newBench(t)
	b.hold = time.Hour
	pkg := b.load(packtest.Spec{IR: echoIR(2), Modules: []packtest.Module{{Retry: "never"}}})
	b.config.Ledger = stuck{b.ledger}
	_, err := b.run(pkg, "r", b.grant(pkg, nil))
	wantCode(t, err, journal.ErrUnavailable)
	b.wantCalls(1)
	b.wantLog("run_record register commit")
	b.config.Ledger = b.ledger
	b.mustRun(pkg, "r")
	b.wantCalls(2)
}

// telling is a ledger that tells of the first commit that is written by itself.
type telling struct {
	ledger.Store
	committed chan struct{}
}

func (s telling) Commit(ctx context.Context, c ledger.Commitment) (ledger.Verdict, error) {
	defer close(s.committed)
	return s.Store.Commit(ctx, c)
}

// TestLoneCommitIsWritten: a program that goes on for long does not keep the commit
// from the ledger, and no further effect is needed.
func TestLoneCommitIsWritten(t *testing.T) {
	b := newBench(t)
	scope := caps.BlobRead{CID: cid.Sum([]byte("x"))}
	pkg := b.load(packtest.Spec{IR: "const s = bytes \"" + hex.EncodeToString(scope.AppendCAN(nil)) + "\"\n" +
		strings.Replace(echoIR(1), "  ret r1", "  require_cap 1, s\n  ret r1", 1)})
	now := b.clock.now()
	power := b.issue(authorityKey, caps.Capability{
		Subject: executorKey.Agent(), NotBefore: now.Add(-time.Hour).UnixMicro(), ExpiresAt: now.Add(time.Hour).UnixMicro(),
		Scope: caps.ScopeOf(&scope),
	})
	held, written := false, false
	b.onceAt("held", func() { held = true })
	committed := make(chan struct{})
	b.config.Ledger = telling{b.ledger, committed}
	trusted := b.config.Authority
	b.config.Authority = func(a sig.AgentID, p *gate.Package) (cid.Hash, bool) {
		if held && !written { // REQUIRE_CAP asks
			select {
			case <-committed:
				written = true
			case <-time.After(time.Minute):
			}
		}
		return trusted(a, p)
	}
	if _, err := b.run(pkg, "r", b.grant(pkg, nil), power); err != nil {
		t.Fatal(err)
	}
	if !written {
		t.Errorf("held %t, and not written while the program went on", held)
	}
	b.wantLog("run_record register commit run_seal")
}

// cancelling is a runner after whose calls the run is cancelled.
type cancelling struct {
	runner.Runner
	cancel context.CancelFunc
}

func (r cancelling) Run(ctx context.Context, c runner.Call) (runner.Result, error) {
	res, err := r.Runner.Run(ctx, c)
	r.cancel()
	return res, err
}

// TestCancelAfterInvoke: what was invoked is committed, whatever ends the run.
func TestCancelAfterInvoke(t *testing.T) {
	b := newBench(t)
	b.hold = time.Hour
	pkg := b.load(packtest.Spec{IR: echoIR(2), Modules: []packtest.Module{{Retry: "never"}}})
	ctx, cancel := context.WithCancel(t.Context())
	b.config.Runners = []runner.Runner{cancelling{b.engine, cancel}}
	_, err := b.executor().Run(ctx, pkg, executor.Request{RunID: "r", Proofs: []*caps.Chain{b.grant(pkg, nil)}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	b.wantLog("run_record register commit")
	b.mustRun(pkg, "r")
	b.wantCalls(2)
}

// TestSameKeyAfterHeld: the ledger is read for an effect only when the one before is in
// it.
func TestSameKeyAfterHeld(t *testing.T) {
	b := newBench(t)
	b.hold = time.Hour
	pkg := b.load(packtest.Spec{IR: strings.Replace(strings.Replace(keyedIR,
		"  effect echo, r0, r2, r3, r1\n", strings.Repeat("  effect echo, r0, r2, r3, r1\n", 2), 1), "io=1", "io=2", 1)})
	res, err := b.runWith(pkg, executor.Request{RunID: "r", Inputs: inputs("pay", "k"), Proofs: []*caps.Chain{b.grant(pkg, nil)}})
	if err != nil {
		t.Fatal(err)
	}
	if !res.Effects[1].Replayed {
		t.Error("the second call of the key did not find the first one's receipt")
	}
	b.wantCalls(1)
	b.wantLog("run_record register commit run_seal")
}

// TestTrapAfterHeld: a program that traps has had its effects.
func TestTrapAfterHeld(t *testing.T) {
	b := newBench(t)
	b.hold = time.Hour
	pkg := b.load(packtest.Spec{IR: strings.Replace(echoIR(2), "io=2", "io=1", 1)})
	res := b.mustRun(pkg, "r")
	if res.Outcome.ErrorCode == "" || len(res.Effects) != 1 {
		t.Errorf("%+v", res.Outcome)
	}
	b.wantLog("run_record register commit run_seal")
}
