package executor_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/mythos-run/mythos/runtime/cas/local"
	memstore "github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEffectLeavesReceiptAndReplays(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{})
	first := b.mustRun(pkg, "r")
	if !cmp.Equal(first.Outcome.Value, text("hello")) || len(first.Effects) != 1 || first.Effects[0].Replayed {
		t.Fatalf("result %x, effects %+v", first.Outcome.Value, first.Effects)
	}
	b.wantLog("run_record register commit run_seal")
	b.clock.advance(2 * time.Hour) // the lease is long over: a commit needs none
	again := b.mustRun(pkg, "r")
	b.wantCalls(1)
	if !again.Effects[0].Replayed || !cmp.Equal(again.Effects[0].Receipt, first.Effects[0].Receipt) {
		t.Error("the second run did not get the first one's receipt")
	}
	if again.Seal != first.Seal || again.Outcome.FuelUsed != first.Outcome.FuelUsed {
		t.Error("the replay ends with another seal or fuel")
	}
	b.wantLog("run_record register commit run_seal")
	b.mustRun(pkg, "another")
	b.wantCalls(2)
}

func TestReceiptAndEvidence(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{})
	proof := b.grant(pkg, nil)
	res, err := b.run(pkg, "r", proof)
	if err != nil {
		t.Fatal(err)
	}
	var rec receipt.Receipt
	id, err := sig.Open(res.Effects[0].Receipt, &rec)
	if err != nil || id != res.Effects[0].ReceiptID || !rec.Signer.Equal(executorKey.Agent()) {
		t.Fatalf("receipt %s by %s: %v", id, rec.Signer.KeyID(), err)
	}
	object := func(h cid.Hash) []byte {
		raw, err := b.ledger.Object(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	resp, err := abi.DecodeResponse(object(rec.ResponseHash))
	if err != nil || !cmp.Equal(resp.Payload, text("hello")) {
		t.Errorf("response %+v, %v", resp, err)
	}
	if _, err := abi.DecodeRequest(object(rec.RequestHash)); err != nil {
		t.Errorf("the request is not kept: %v", err)
	}
	var ev evidence.EffectEvidence
	r := can.NewReader(object(rec.Evidence[0]))
	ev.ReadCAN(&r)
	if err := r.Done(); err != nil {
		t.Fatal(err)
	}
	if ev.PackageID != pkg.ID() || ev.ManifestCID != pkg.ManifestCID() || ev.RunRecord != res.RunRecordID ||
		ev.PolicyID != pkg.Policy().PolicyID || !cmp.Equal(ev.CapIDs, proof.CapIDs()) ||
		ev.Module == nil || *ev.Module != pkg.Manifest().Modules[0].Module.CID || ev.SandboxLevel != 4 || ev.Engine == "" {
		t.Errorf("evidence %+v", ev)
	}
	if ev.Stderr == nil || len(object(*ev.Stderr)) == 0 {
		t.Error("the module's log is not kept")
	}
	var seal evidence.RunSeal
	if _, err := sig.Open(object(res.Seal), &seal); err != nil {
		t.Fatal(err)
	}
	if seal.ReceiptCount != 1 || seal.ReceiptsRoot == nil || *seal.ResultHash != res.Outcome.ResultHash || seal.ErrorCode != "" {
		t.Errorf("seal %+v", seal)
	}
}

// TestSameResultOnEveryStore runs one task over every ledger and object store:
// what a run computes does not depend on them.
func TestSameResultOnEveryStore(t *testing.T) {
	p := packtest.Build(t, packtest.Spec{IR: echoIR(3)})
	pkg := load(t, p)
	var want *executor.Result
	for _, durable := range []bool{false, true} {
		for _, disk := range []bool{false, true} {
			clock := &testClock{}
			var l ledger.Store = journal.Memory(clock.now)
			if durable {
				s, err := journal.Open(t.Context(), journal.Options{Dir: t.TempDir(), Clock: clock.now, Boot: journal.HostBoot()})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				l = s
			}
			b := newBenchOn(t, clock, l, memstore.New(memstore.Options{}))
			if disk {
				s, err := local.Open(t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				b.config.Objects = s
			}
			got := b.mustRun(pkg, "r")
			if want == nil {
				want = got
			}
			if got.Outcome.ResultHash != want.Outcome.ResultHash || got.Outcome.FuelUsed != want.Outcome.FuelUsed || len(got.Effects) != 3 {
				t.Errorf("durable %v, disk %v: %+v, want %+v", durable, disk, got.Outcome, want.Outcome)
			}
		}
	}
}

func TestDeniedEffectsRunAndRegisterNothing(t *testing.T) {
	stranger := sig.NewKey([32]byte{0x5}, "stranger")
	for name, c := range map[string]struct {
		code  fault.Code
		proof func(b *bench, p *caps.Chain) *caps.Chain
		edit  func(*caps.Capability, *caps.ToolCall)
		log   string
	}{
		"none": {code: executor.ErrCapMissing, proof: func(*bench, *caps.Chain) *caps.Chain { return nil }, log: "run_record"},
		"expired": {code: caps.ErrExpired, edit: func(c *caps.Capability, _ *caps.ToolCall) {
			c.ExpiresAt = c.NotBefore + 1
		}, log: "run_record refusal"},
		"not yet valid": {code: caps.ErrNotYetValid, edit: func(c *caps.Capability, _ *caps.ToolCall) {
			c.NotBefore = c.ExpiresAt - 1
		}, log: "run_record refusal"},
		"another tool": {code: executor.ErrCapMissing, edit: func(_ *caps.Capability, s *caps.ToolCall) {
			s.ToolID = cid.Sum([]byte("other"))
		}, log: "run_record refusal"},
		"another package": {code: caps.ErrConstraint, edit: func(_ *caps.Capability, s *caps.ToolCall) {
			s.Constraints = map[string]string{caps.ConstraintPackage: cid.Sum([]byte("other")).String()}
		}, log: "run_record refusal"},
		"another executor": {code: caps.ErrSubject, edit: func(c *caps.Capability, _ *caps.ToolCall) {
			c.Subject = stranger.Agent()
		}, log: "refusal"},
		"foreign issuer": {code: caps.ErrUntrusted, proof: func(b *bench, p *caps.Chain) *caps.Chain {
			return b.issue(stranger, p.Leaf())
		}},
		"forged": {code: caps.ErrSignature, proof: func(b *bench, p *caps.Chain) *caps.Chain {
			leaf := p.Leaf()
			leaf.Signature.SigBytes[5] ^= 1
			forged, err := caps.DecodeProof(caps.EncodeProof([][]byte{leaf.AppendCAN(nil)}))
			if err != nil {
				b.t.Fatal(err)
			}
			return forged
		}},
		"widened": {code: caps.ErrScope, proof: func(b *bench, p *caps.Chain) *caps.Chain {
			root, leaf := p.Leaf(), p.Leaf()
			root.Delegable = true
			scope := caps.ToolCall{ToolID: b.toolOf(p), MaxCalls: 1}
			root.Scope.Payload = scope.AppendCAN(nil)
			rootRaw, rootID, err := caps.Issue(root, authorityKey)
			if err != nil {
				b.t.Fatal(err)
			}
			leaf.AttenuationParent = &rootID
			leafRaw, _, err := caps.Issue(leaf, authorityKey)
			if err != nil {
				b.t.Fatal(err)
			}
			wide, err := caps.DecodeProof(caps.EncodeProof([][]byte{rootRaw, leafRaw}))
			if err != nil {
				b.t.Fatal(err)
			}
			return wide
		}, log: "run_record refusal"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			pkg := b.load(packtest.Spec{})
			proof := b.grant(pkg, c.edit)
			if c.proof != nil {
				proof = c.proof(b, proof)
			}
			var proofs []*caps.Chain
			if proof != nil {
				proofs = append(proofs, proof)
			}
			_, err := b.run(pkg, "r", proofs...)
			wantCode(t, err, c.code)
			b.wantCalls(0)
			b.wantLog(c.log)
		})
	}
}

// toolOf returns the tool that a ToolCall proof is for.
func (b *bench) toolOf(p *caps.Chain) cid.Hash {
	b.t.Helper()
	var s caps.ToolCall
	r := can.NewReader(p.Leaf().Scope.Payload)
	s.ReadCAN(&r)
	if err := r.Done(); err != nil {
		b.t.Fatal(err)
	}
	return s.ToolID
}

func TestModuleFaults(t *testing.T) {
	small := map[string]uint64{"max_response_bytes": 256}
	for name, c := range map[string]struct {
		module packtest.Module
		status uint16
		code   fault.Code
	}{
		"trap":           {packtest.Module{Wasm: packtest.TrapWasm()}, 500, executor.CodeModuleTrap},
		"exit":           {packtest.Module{Wasm: packtest.ExitWasm(3)}, 500, executor.CodeModuleExit},
		"memory":         {packtest.Module{Wasm: packtest.GrowWasm(60000)}, 500, executor.CodeModuleMemory},
		"nothing":        {packtest.Module{Wasm: packtest.SilentWasm()}, 502, executor.CodeBadResponse},
		"garbage":        {packtest.Module{Wasm: packtest.AnswerWasm([]byte("garbage"))}, 502, executor.CodeBadResponse},
		"too much":       {packtest.Module{Wasm: packtest.AnswerWasm(make([]byte, 300)), Limits: small}, 502, executor.CodeBadResponse},
		"payload at 500": {packtest.Module{Wasm: packtest.AnswerWasm(response(500, text("x")))}, 502, executor.CodeBadResponse},
		"own failure":    {packtest.Module{Wasm: packtest.AnswerWasm(abi.Fail(404, "no_such_thing", ""))}, 404, "no_such_thing"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			pkg := b.load(packtest.Spec{Modules: []packtest.Module{c.module}})
			res := b.mustRun(pkg, "r")
			e := res.Effects[0]
			if e.Status != c.status || e.ErrorCode != string(c.code) || !cmp.Equal(res.Outcome.Value, []byte{can.Null}) {
				t.Errorf("status %d %s, result %x", e.Status, e.ErrorCode, res.Outcome.Value)
			}
			b.wantLog("run_record register commit run_seal")
			if again := b.mustRun(pkg, "r"); !again.Effects[0].Replayed {
				t.Error("the failure does not replay")
			}
			b.wantCalls(1)
		})
	}
}

func response(status uint16, payload []byte) []byte {
	x := abi.Response{Status: status, Payload: payload}
	return x.AppendCAN(nil)
}

func TestTimeoutFreesTheEffect(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{Modules: []packtest.Module{
		{Wasm: packtest.LoopWasm(), Retry: "never", Limits: map[string]uint64{"timeout_us": 50_000}},
	}})
	for i, log := range []string{"run_record register resolution", "run_record register resolution register resolution"} {
		_, err := b.run(pkg, "r", b.grant(pkg, nil))
		wantCode(t, err, executor.ErrTimeout)
		b.wantCalls(i + 1)
		b.wantLog(log)
	}
}

func TestInterruptFreesTheEffect(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{Modules: []packtest.Module{{Wasm: packtest.LoopWasm(), Retry: "never"}}})
	ctx, cancel := context.WithCancel(t.Context())
	b.config.Step = func(name string) {
		if name == "invoke" {
			time.AfterFunc(20*time.Millisecond, cancel)
		}
	}
	e, err := executor.New(b.config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Run(ctx, pkg, executor.Request{RunID: "r", Proofs: []*caps.Chain{b.grant(pkg, nil)}}); err == nil {
		t.Fatal("an endless module returned")
	}
	b.wantLog("run_record register resolution")
}

func TestConflictIsMarkedOnceAndChangesNothing(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{IR: keyedIR})
	proof := b.grant(pkg, nil)
	run := func(id, payload, key string) (*executor.Result, error) {
		return b.runWith(pkg, executor.Request{RunID: id, Inputs: inputs(payload, key), Proofs: []*caps.Chain{proof}})
	}
	first, err := run("a", "pay 10", "order-1")
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(first.Effects[0].CallerKey, text("order-1")) {
		t.Errorf("caller key %x", first.Effects[0].CallerKey)
	}
	for range 2 {
		_, err = run("b", "pay 99", "order-1")
		wantCode(t, err, ledger.ErrConflict)
	}
	b.wantCalls(1)
	b.wantLog("run_record register commit run_seal run_record divergence")
	second, err := run("c", "pay 10", "order-1")
	if err != nil {
		t.Fatal(err)
	}
	if !second.Effects[0].Replayed || second.Effects[0].ReceiptID != first.Effects[0].ReceiptID {
		t.Error("the same request under the same key, from another run, did not replay")
	}
	b.wantCalls(1)
}

func TestSpendingStopsTheRun(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{IR: echoIR(3)})
	two := b.grant(pkg, func(_ *caps.Capability, s *caps.ToolCall) { s.MaxCalls = 2 })
	_, err := b.run(pkg, "r", two)
	wantCode(t, err, ledger.ErrExhausted)
	b.wantCalls(2)
	b.wantLog("run_record register commit register commit refusal")
	res, err := b.run(pkg, "r", b.grant(pkg, nil))
	if err != nil {
		t.Fatal(err)
	}
	b.wantCalls(3) // the first two replayed and spent nothing
	if !res.Effects[1].Replayed || res.Effects[2].Replayed {
		t.Error("the continued run did not find its own receipts")
	}
}

func TestRunsKeepToTheirRecord(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{IR: keyedIR})
	proof := b.grant(pkg, nil)
	ask := func(in []byte, proofs ...*caps.Chain) error {
		_, err := b.runWith(pkg, executor.Request{RunID: "r", Inputs: in, Proofs: proofs})
		return err
	}
	if err := ask(inputs("a", "k"), proof); err != nil {
		t.Fatal(err)
	}
	wantCode(t, ask(inputs("b", "k"), proof), ledger.ErrRunClash)
	wantCode(t, ask(text("no list"), proof), ir.ErrInputs)
	holder := sig.NewKey([32]byte{7}, "")
	mixed := b.delegated(proof, holder)
	wantCode(t, ask(inputs("a", "k"), proof, mixed), executor.ErrAuthorityMixed)
	b.wantCalls(1)
}

// delegated returns the power of p passed on to a holder, who grants it to the
// executor.
func (b *bench) delegated(p *caps.Chain, holder sig.Key) *caps.Chain {
	b.t.Helper()
	root := p.Leaf()
	root.Delegable, root.Subject = true, holder.Agent()
	rootRaw, rootID, err := caps.Issue(root, authorityKey)
	if err != nil {
		b.t.Fatal(err)
	}
	leaf := p.Leaf()
	leaf.AttenuationParent = &rootID
	leafRaw, _, err := caps.Issue(leaf, holder)
	if err != nil {
		b.t.Fatal(err)
	}
	out, err := caps.DecodeProof(caps.EncodeProof([][]byte{rootRaw, leafRaw}))
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// TestHoldersShareNothing checks that one holder's key cannot meet another's.
func TestHoldersShareNothing(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{IR: keyedIR})
	direct := b.grant(pkg, nil)
	for i, p := range []*caps.Chain{direct, b.delegated(direct, sig.NewKey([32]byte{7}, "")), b.delegated(direct, sig.NewKey([32]byte{8}, ""))} {
		res, err := b.runWith(pkg, executor.Request{RunID: "r", Inputs: inputs(string(rune('a'+i)), "k"), Proofs: []*caps.Chain{p}})
		if err != nil || res.Effects[0].Replayed {
			t.Fatalf("holder %d: %v", i, err)
		}
	}
	b.wantCalls(3)
}

func TestTrapsAreSealedResults(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{IR: `tool echo = demo/echo interface 1 (any) -> any
const n = u64 1
func main() -> any {
  const n, r0
  effect echo, r0, r1, r2
  effect echo, r0, r1, r2
  ret r1
}
task main = main() budget cpu_us=50000 io=1 writes=0
`})
	res := b.mustRun(pkg, "r")
	if res.Outcome.ErrorCode != ir.TrapIO || len(res.Effects) != 1 {
		t.Fatalf("%+v", res.Outcome)
	}
	b.wantLog("run_record register commit run_seal")
	if again := b.mustRun(pkg, "r"); again.Seal != res.Seal {
		t.Error("the trap replays to another seal")
	}
}

func TestBlobs(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{Modules: []packtest.Module{}, IR: `const content = text "unused"
const data = bytes "68656c6c6f"
const media = text "text/plain"
const space = text "notes"
func main() -> any {
  const data, r0
  blob_put r0, media, space, r1, r2
  blob_get r1, r3, r4
  ret r3
}
task main = main() budget cpu_us=50000 io=2 writes=1
`})
	window := func(kind uint8, scope []byte) *caps.Chain {
		now := b.clock.now()
		return b.issue(authorityKey, caps.Capability{
			Subject: executorKey.Agent(), NotBefore: now.UnixMicro(), ExpiresAt: now.Add(time.Hour).UnixMicro(),
			Scope: caps.Scope{Kind: kind, Payload: scope},
		})
	}
	put := caps.BlobWrite{Namespace: "notes", MaxSize: 100, MediaAllow: []string{"text/plain"}}
	get := caps.BlobRead{CID: cid.Sum([]byte("hello"))}
	_, err := b.run(pkg, "r", window(caps.KindBlobRead, get.AppendCAN(nil)))
	wantCode(t, err, executor.ErrCapMissing)
	if ok, err := b.objects.Has(t.Context(), get.CID); ok || err != nil {
		t.Fatalf("a denied BLOB_PUT stored its content: %v", err)
	}
	res, err := b.run(pkg, "r", window(caps.KindBlobWrite, put.AppendCAN(nil)), window(caps.KindBlobRead, get.AppendCAN(nil)))
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(res.Outcome.Value, can.AppendBytes(nil, []byte("hello"))) || res.Outcome.StateWrites != 1 {
		t.Errorf("%x, %d writes", res.Outcome.Value, res.Outcome.StateWrites)
	}
	tiny := put
	tiny.MaxSize = 4
	_, err = b.run(pkg, "r2", window(caps.KindBlobWrite, tiny.AppendCAN(nil)), window(caps.KindBlobRead, get.AppendCAN(nil)))
	wantCode(t, err, caps.ErrScope)
}
