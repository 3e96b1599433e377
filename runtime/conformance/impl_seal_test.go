package conformance

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	memstore "github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
	"github.com/mythos-run/mythos/runtime/runner"
)

// sealIR has an effect with a derived key and one with the caller's own.
const sealIR = `const greeting = text "hello"
tool echo = demo/echo interface 1 (any) -> any
func main() -> any {
  const greeting, r0
  effect echo, r0, r1, r2
  effect echo, r1, r3, r4, greeting
  ret r3
}
task main = main() budget cpu_us=50000 io=2 writes=0
`

// answering is a runner whose module always gives one response.
type answering struct{ response []byte }

func (answering) Kind() uint8 { return runner.KindWASM }

func (answering) Check(context.Context, runner.Module) error { return nil }

func (answering) Close() error { return nil }

func (a answering) Run(context.Context, runner.Call) (runner.Result, error) {
	return runner.Result{Outcome: runner.Answered, Response: a.response, Engine: "test/1"}, nil
}

// sealBench is an executor whose clock stands still, and its ledger.
type sealBench struct {
	t    *testing.T
	seed [32]byte
	now  time.Time
	log  ledger.Store
	pkg  *gate.Package
	objs *memstore.Store
}

// newSealBench loads a package with sealIR.
func newSealBench(t *testing.T) *sealBench {
	b := &sealBench{t: t, seed: [32]byte{7}, now: time.UnixMicro(1_767_225_600_000_000), objs: memstore.New(memstore.Options{})}
	b.log = journal.Memory(func() time.Time { return b.now })
	p := packtest.Build(t, packtest.Spec{IR: sealIR})
	policyKey, policy := sig.NewKey([32]byte{8}, ""), rings.Default(0)
	if _, err := rings.Sign(policy, policyKey); err != nil {
		t.Fatal(err)
	}
	trust, err := gate.NewTrust([]gate.TrustEntry{
		{Role: sig.Publisher, Keys: []sig.AgentID{p.Signer}},
		{Role: sig.Policy, Keys: []sig.AgentID{policyKey.Agent()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	src, err := pack.Open(t.Context(), p.Dir, pack.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	b.pkg, err = gate.Load(t.Context(), src, gate.Options{
		Host: packtest.Host(), Trust: trust, Now: b.now, Kinds: []uint8{runner.KindWASM}, Policy: policy,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// run runs the package with a capability for its tool.
func (b *sealBench) run(response []byte) *executor.Result {
	b.t.Helper()
	key, authority := sig.NewKey(b.seed, ""), sig.NewKey([32]byte{9}, "")
	e, err := executor.New(executor.Config{
		Ledger: b.log, Objects: b.objs, Runners: []runner.Runner{answering{response}}, Key: key,
		Clock: func() time.Time { return b.now }, Platform: "linux/amd64", NoWait: true,
		Authority:       func(a sig.AgentID, _ *gate.Package) (cid.Hash, bool) { return a.KeyID(), a.Equal(authority.Agent()) },
		TrustedExecutor: key.Agent().Equal,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	scope := caps.ToolCall{ToolID: b.pkg.Manifest().Modules[0].ToolID, MaxCalls: 2}
	raw, _, err := caps.Issue(caps.Capability{
		Subject: key.Agent(), NotBefore: b.now.UnixMicro(), ExpiresAt: b.now.Add(time.Hour).UnixMicro(),
		Scope: caps.Scope{Kind: caps.KindToolCall, Payload: scope.AppendCAN(nil)},
	}, authority)
	if err != nil {
		b.t.Fatal(err)
	}
	proof, err := caps.DecodeProof(caps.EncodeProof([][]byte{raw}))
	if err != nil {
		b.t.Fatal(err)
	}
	res, err := e.Run(b.t.Context(), b.pkg, executor.Request{RunID: "run-1", Proofs: []*caps.Chain{proof}})
	if err != nil {
		b.t.Fatal(err)
	}
	return res
}

// entry returns the ledger's last entry of a kind.
func (b *sealBench) entry(kind ledger.Kind) []byte {
	b.t.Helper()
	var body []byte
	for rec, err := range b.log.Records(b.t.Context(), ledger.Filter{Kinds: []ledger.Kind{kind}}) {
		if err != nil {
			b.t.Fatal(err)
		}
		body = rec.Body
	}
	return body
}

// TestSealIsTheExecutors: what ir.seal makes of a run's record and receipts is
// the seal that the executor made of it, to the byte.
func TestSealIsTheExecutors(t *testing.T) {
	b := newSealBench(t)
	response := (&abi.Response{Status: abi.StatusOK, Payload: can.AppendText(nil, "hello")}).AppendCAN(nil)
	res := b.run(response)
	in := SealInput{Hex: b.program(), Record: b.entry(ledger.KindRunRecord), Seed: b.seed[:], Time: I64(b.now.UnixMicro())}
	for _, e := range res.Effects {
		in.Effects = append(in.Effects, Recorded{response, e.Receipt})
	}
	got, err := irSeal(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if want := b.entry(ledger.KindRunSeal); string(got.Seal) != string(want) || cid.Sum(want) != res.Seal || len(in.Effects) != 2 {
		t.Errorf("got  %x\nwant %x", got.Seal, want)
	}
}

// program is what the package runs: sealIR, assembled again.
func (b *sealBench) program() []byte {
	b.t.Helper()
	raw, err := ir.Assemble([]byte(sealIR))
	if err != nil {
		b.t.Fatal(err)
	}
	return raw
}

// A recorded run says exactly what its program asks for: no more, no less,
// nothing malformed.
func TestSealScripts(t *testing.T) {
	p, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.Case("ir-seal-effect-001")
	if err != nil {
		t.Fatal(err)
	}
	var in map[string]any
	if err := json.Unmarshal(c.Input, &in); err != nil {
		t.Fatal(err)
	}
	ask := func(name string, value any) string {
		with := map[string]any{}
		for k, v := range in {
			with[k] = v
		}
		with[name] = value
		raw, err := json.Marshal(with)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	effects := in["effects"].([]any)
	for name, value := range map[string]any{"effects": []any{}, "caps": []any{""}, "seed": strings.Repeat("00", 31)} {
		wantWrongVector(t, sealOps(), "ir.seal", ask(name, value))
	}
	wantWrongVector(t, sealOps(), "ir.seal", ask("effects", append(effects, effects[0])))
	got, err := tryOp(t, sealOps(), "ir.seal", ask("inputs", "0700"))
	if out, ok := got.(Sealed); err != nil || !ok || !strings.Contains(string(c.Expect.Output), out.ID.String()) {
		t.Errorf("the same inputs, given: got %v, %v", got, err)
	}
}
