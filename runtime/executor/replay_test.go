package executor_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
	"github.com/mythos-run/mythos/runtime/runner"
)

// tampered returns other bytes for what was committed.
type tampered struct {
	ledger.Store
	receipt, object func([]byte) []byte
}

func (s tampered) Receipt(ctx context.Context, id cid.Hash) ([]byte, error) {
	raw, err := s.Store.Receipt(ctx, id)
	if err == nil && s.receipt != nil {
		raw = s.receipt(raw)
	}
	return raw, err
}

func (s tampered) Object(ctx context.Context, id cid.Hash) ([]byte, error) {
	raw, err := s.Store.Object(ctx, id)
	if err == nil && s.object != nil {
		raw = s.object(raw)
	}
	return raw, err
}

func TestTamperedReplayFailsClosed(t *testing.T) {
	reseal := func(edit func(*receipt.Receipt), by sig.Key) func([]byte) []byte {
		return func(raw []byte) []byte {
			var x receipt.Receipt
			r := can.NewReader(raw)
			x.ReadCAN(&r)
			edit(&x)
			out, _, err := sig.Sign(&x, by)
			if err != nil {
				panic(err)
			}
			return out
		}
	}
	for name, edit := range map[string]tampered{
		"flipped bit":                       {receipt: func(b []byte) []byte { b[60] ^= 1; return b }},
		"other signer":                      {receipt: reseal(func(*receipt.Receipt) {}, authorityKey)},
		"other status":                      {receipt: reseal(func(x *receipt.Receipt) { x.Status = 201 }, executorKey)},
		"other response":                    {receipt: reseal(func(x *receipt.Receipt) { x.ResponseHash = cid.Hash{} }, executorKey)},
		"broken response":                   {object: func([]byte) []byte { return []byte{0} }},
		"sound response to another request": {object: func([]byte) []byte { return response(200, text("bye")) }},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			pkg := b.load(packtest.Spec{})
			b.mustRun(pkg, "r")
			edit.Store = b.ledger
			b.config.Ledger = edit
			_, err := b.run(pkg, "r", b.grant(pkg, nil))
			wantCode(t, err, ledger.ErrCorrupt)
			b.wantCalls(1)
		})
	}
}

// absent is an object store or ledger whose reads fail.
type absent struct {
	ledger.Store
	err error
}

func (s absent) Receipt(context.Context, cid.Hash) ([]byte, error) { return nil, s.err }

// TestReplayTellsLossFromFailure: what is lost is damage for ever; what cannot be
// read now is not.
func TestReplayTellsLossFromFailure(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{})
	b.mustRun(pkg, "r")
	for _, c := range []struct {
		err     error
		corrupt bool
	}{{ledger.ErrNoItem, true}, {ledger.ErrCorrupt, true}, {cas.ErrUnavailable, false}, {context.Canceled, false}} {
		b.config.Ledger = absent{b.ledger, c.err}
		_, err := b.run(pkg, "r", b.grant(pkg, nil))
		if !errors.Is(err, c.err) || errors.Is(err, ledger.ErrCorrupt) != c.corrupt {
			t.Errorf("%v became %v", c.err, err)
		}
		b.wantCalls(1)
	}
}

// TestRecordMustBeTrusted: a run is continued under the record of any trusted
// executor, and of no other.
func TestRecordMustBeTrusted(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{IR: `const one = u64 1
func main() -> any {
  const one, r0
  ret r0
}
task main = main() budget cpu_us=50000 io=0 writes=0
`})
	other := sig.NewKey([32]byte{0xd}, "other executor")
	req := executor.Request{RunID: "r", Authority: cid.Sum([]byte("a")), Holder: cid.Sum([]byte("h"))}
	b.config.Key, b.config.TrustedExecutor = other, other.Agent().Equal
	first, err := b.runWith(pkg, req)
	if err != nil {
		t.Fatal(err)
	}
	b.config.Key, b.config.TrustedExecutor = executorKey, executorKey.Agent().Equal
	_, err = b.runWith(pkg, req)
	wantCode(t, err, ledger.ErrCorrupt)
	b.config.TrustedExecutor = func(a sig.AgentID) bool { return a.Equal(other.Agent()) || a.Equal(executorKey.Agent()) }
	again, err := b.runWith(pkg, req)
	if err != nil || again.RunRecordID != first.RunRecordID || again.Seal != first.Seal {
		t.Errorf("the run was not continued under its record: %v", err)
	}
	b.wantLog("run_record run_seal")
}

// TestResolvedDivergenceIsSealedAgain: contradicting commits refuse the run until
// an operator resolves them; the run then ends with other receipts, under a seal
// of its own, which later replays return.
func TestResolvedDivergenceIsSealedAgain(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{})
	first := b.mustRun(pkg, "r")
	e := first.Effects[0]
	view, err := b.ledger.Lookup(t.Context(), e.IdemID)
	if err != nil {
		t.Fatal(err)
	}
	contradict(t, b.ledger, view, e.Receipt)
	_, err = b.run(pkg, "r", b.grant(pkg, nil))
	wantCode(t, err, ledger.ErrDivergent)
	raw, _, err := sig.Sign(&ledger.Resolution{
		IdemID: e.IdemID, RegisterID: view.RegisterID, Outcome: ledger.OutcomeNotInvoked, Reason: "test",
	}, authorityKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.ledger.Resolve(t.Context(), raw, cid.Hash{}, true); err != nil {
		t.Fatal(err)
	}
	b.clock.advance(time.Second)
	second := b.mustRun(pkg, "r")
	if second.Seal == first.Seal || second.Effects[0].Replayed {
		t.Error("the second end has the first one's seal")
	}
	if third := b.mustRun(pkg, "r"); third.Seal != second.Seal {
		t.Error("a replay did not return the last seal")
	}
	b.wantCalls(2)
}

// contradict commits another response under a register that has one.
func contradict(t *testing.T, l ledger.Store, v ledger.View, receiptRaw []byte) {
	t.Helper()
	var rec receipt.Receipt
	r := can.NewReader(receiptRaw)
	rec.ReadCAN(&r)
	if err := r.Done(); err != nil {
		t.Fatal(err)
	}
	rec.ResponseHash = cid.Sum([]byte("another"))
	raw, id, err := sig.Sign(&rec, executorKey)
	if err != nil {
		t.Fatal(err)
	}
	x := v.Commit
	x.ReceiptID, x.ResponseHash = id, rec.ResponseHash
	body, _, err := sig.Sign(&x, executorKey)
	if err != nil {
		t.Fatal(err)
	}
	if verdict, err := l.Commit(t.Context(), ledger.Commitment{Body: body, Receipt: raw}); err != nil || verdict != ledger.Diverged {
		t.Fatalf("verdict %d, %v", verdict, err)
	}
}

// echoing is a runner whose modules all answer their payload.
type echoing struct{ runner.Runner }

func (echoing) Run(_ context.Context, c runner.Call) (runner.Result, error) {
	q, err := abi.DecodeRequest(c.Request)
	return runner.Result{Outcome: runner.Answered, Response: response(200, q.Payload), Engine: "test/1", SandboxLevel: 4}, err
}

// TestLargeObjects: what is over 64 KiB stands in the object store before the
// entry that names it, and is found again.
func TestLargeObjects(t *testing.T) {
	b := newBench(t)
	b.config.Runners = []runner.Runner{&counter{Runner: echoing{b.engine}}}
	pkg := b.load(packtest.Spec{IR: keyedIR})
	big := strings.Repeat("x", 200<<10)
	var stored []int // objects in the store at each step
	b.config.Step = func(name string) {
		if name == "begin" || name == "register" || name == "commit" {
			n := 0
			for _, err := range b.objects.List(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			stored = append(stored, n)
		}
	}
	req := executor.Request{RunID: "r", Inputs: inputs(big, "k"), Proofs: []*caps.Chain{b.grant(pkg, nil)}}
	first, err := b.runWith(pkg, req)
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(stored, []int{1, 1, 3}) {
		t.Errorf("at begin, register and commit the store held %v objects, want the inputs, then request and response", stored)
	}
	if !cmp.Equal(first.Outcome.Value, text(big)) {
		t.Error("the large value changed")
	}
	var rec receipt.Receipt
	if _, err := sig.Open(first.Effects[0].Receipt, &rec); err != nil {
		t.Fatal(err)
	}
	for _, h := range []cid.Hash{rec.RequestHash, rec.ResponseHash} {
		if _, err := b.ledger.Object(t.Context(), h); !errors.Is(err, ledger.ErrNoItem) {
			t.Errorf("a large object stands in the ledger: %v", err)
		}
	}
	again, err := b.runWith(pkg, req)
	if err != nil || !again.Effects[0].Replayed || again.Outcome.ResultHash != first.Outcome.ResultHash {
		t.Errorf("the run does not replay: %v", err)
	}
	stored = nil
	req.Inputs = inputs(big+"y", "k")
	_, err = b.runWith(pkg, req)
	wantCode(t, err, ledger.ErrRunClash)
	for h, err := range b.objects.List(t.Context()) {
		if err != nil || h == cid.Sum(req.Inputs) {
			t.Fatalf("the refused run left its inputs behind, %v", err)
		}
	}
	b.wantLog("run_record register commit run_seal")
}

// TestSealWithoutRootFailsClosed keeps a seal, signed by this executor, that
// counts receipts and names no root: damage, not an end to compare with.
func TestSealWithoutRootFailsClosed(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{})
	res := b.mustRun(pkg, "r")
	bad := evidence.RunSeal{RunRecord: res.RunRecordID, ReceiptCount: 1, ResultHash: &res.Outcome.ResultHash}
	raw, _, err := sig.Sign(&bad, executorKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.ledger.Seal(t.Context(), raw, res.RunRecordID); err != nil {
		t.Fatal(err)
	}
	_, err = b.run(pkg, "r", b.grant(pkg, nil))
	wantCode(t, err, ledger.ErrCorrupt)
}
