package executor_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
)

// refusals returns what the ledger holds of them, each verified.
func (b *bench) refusals() (all []ledger.Refusal) {
	b.t.Helper()
	for rec, err := range b.ledger.Records(b.t.Context(), ledger.Filter{Kinds: []ledger.Kind{ledger.KindRefusal}}) {
		if err != nil {
			b.t.Fatal(err)
		}
		x, err := ledger.OpenRefusal(rec.Body)
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, x)
	}
	return all
}

// TestRefusalRecord: what an effect's refusal says, and that trying again adds
// nothing.
func TestRefusalRecord(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{})
	proof := b.grant(pkg, func(c *caps.Capability, _ *caps.ToolCall) { c.ExpiresAt = c.NotBefore + 1 })
	e, err := executor.New(b.config)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, err := e.Run(t.Context(), pkg, executor.Request{RunID: "r", Proofs: []*caps.Chain{proof}})
		wantCode(t, err, caps.ErrExpired)
	}
	all := b.refusals()
	if len(all) != 1 {
		t.Fatalf("%d refusals, want 1", len(all))
	}
	x := all[0]
	switch {
	case x.Code != string(caps.ErrExpired), x.RunRecord == nil, x.RequestHash == nil:
		t.Errorf("the refusal is %+v", x)
	case *x.PackageID != pkg.ID(), *x.ToolID != pkg.Manifest().Modules[0].ToolID, !x.Signer.Equal(executorKey.Agent()):
		t.Errorf("the refusal is of another package or tool, or by another executor: %+v", x)
	case len(x.CapIDs) != 1 || x.CapIDs[0] != proof.LeafID():
		t.Errorf("it names the capabilities %v", x.CapIDs)
	case !strings.Contains(x.Missing, pkg.Manifest().Modules[0].Tool.Name) || strings.Contains(x.Missing, x.Code):
		t.Errorf("what was missing is %q", x.Missing)
	}
	if d := cmp.Diff(executor.Refusals{Stored: 1, Dropped: 2}, e.Refusals()); d != "" {
		t.Error(d)
	}
	if _, err := b.run(pkg, "other", proof); err == nil || len(b.refusals()) != 2 {
		t.Errorf("another request: %v, %d refusals", err, len(b.refusals()))
	}
}

// TestRefusalOfStrangers: who has no chain of an authority cannot make the ledger
// grow.
func TestRefusalOfStrangers(t *testing.T) {
	for name, c := range map[string]struct {
		known bool
		by    sig.Key
	}{"another's key": {true, sig.NewKey([32]byte{0x5}, "stranger")}, "no authority any more": {false, authorityKey}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			pkg := b.load(packtest.Spec{})
			b.config.Authority = func(a sig.AgentID, _ *gate.Package) (cid.Hash, bool) {
				return a.KeyID(), c.known && a.Equal(authorityKey.Agent())
			}
			e, err := executor.New(b.config)
			if err != nil {
				t.Fatal(err)
			}
			proof := b.issue(c.by, b.grant(pkg, nil).Leaf())
			_, err = e.Run(t.Context(), pkg, executor.Request{RunID: "r", Proofs: []*caps.Chain{proof}})
			wantCode(t, err, caps.ErrUntrusted)
			if d := cmp.Diff(executor.Refusals{Unnamed: 1}, e.Refusals()); d != "" {
				t.Error(d)
			}
			b.wantLog("")
		})
	}
}

// lossy is a ledger that keeps no refusal.
type lossy struct {
	ledger.Store
	err error
}

func (l lossy) Refuse(context.Context, []byte, cid.Hash, cid.Hash) (ledger.Verdict, error) {
	return 0, l.err
}

// TestLostRefusal: a refusal that cannot be recorded is the refusal that it was.
func TestLostRefusal(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{})
	full := fault.New("ledger_full", "no space")
	b.config.Ledger = lossy{b.ledger, full}
	var told []error
	b.config.OnUnrecorded = func(refused, why error) { told = append(told, refused, why) }
	e, err := executor.New(b.config)
	if err != nil {
		t.Fatal(err)
	}
	holder := executorKey.Agent().KeyID()
	_, err = e.Run(t.Context(), pkg, executor.Request{RunID: "r", Authority: holder, Holder: holder})
	wantCode(t, err, executor.ErrCapMissing)
	if errors.Is(err, full) || len(told) != 2 || !errors.Is(told[0], executor.ErrCapMissing) || told[1] != error(full) {
		t.Errorf("%v; told %v", err, told)
	}
	if d := cmp.Diff(executor.Refusals{Lost: 1}, e.Refusals()); d != "" {
		t.Error(d)
	}
}

// TestOnlyRefusals: a code that is no refusal here is not recorded.
func TestOnlyRefusals(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{})
	b.config.IsRefusal = func(c fault.Code) bool { return c != executor.ErrCapMissing }
	holder := executorKey.Agent().KeyID()
	_, err := b.runWith(pkg, executor.Request{RunID: "r", Authority: holder, Holder: holder})
	wantCode(t, err, executor.ErrCapMissing)
	_, err = b.runWith(pkg, executor.Request{RunID: "r", Entrypoint: "none", Authority: holder, Holder: holder})
	wantCode(t, err, gate.ErrEntryUnknown)
	b.wantLog("run_record refusal")
	if x := b.refusals()[0]; x.RunRecord != nil || x.RequestHash != nil || x.ToolID != nil || *x.PackageID != pkg.ID() {
		t.Errorf("the refusal of a run is %+v", x)
	}
}

// TestRequireCapRefusal: a power that the program asks for and nobody gave.
func TestRequireCapRefusal(t *testing.T) {
	b := newBench(t)
	pkg := b.load(packtest.Spec{Modules: []packtest.Module{}, IR: `const s = bytes "00"
func main() -> any {
  require_cap 35, s
  const s, r0
  ret r0
}
task main = main() budget cpu_us=50000 io=1 writes=0
`})
	holder := executorKey.Agent().KeyID()
	_, err := b.runWith(pkg, executor.Request{RunID: "r", Authority: holder, Holder: holder})
	wantCode(t, err, executor.ErrCapMissing)
	b.wantLog("run_record refusal")
}

// TestLongRefusal: what is said of a refusal is bounded and stays text.
func TestLongRefusal(t *testing.T) {
	x := executor.RefusalOf(fault.New(executor.ErrCapMissing, "%s", strings.Repeat("ä", ledger.MaxMissing)))
	if len(x.Missing) != ledger.MaxMissing || strings.Trim(x.Missing, "ä") != "" {
		t.Errorf("%d bytes", len(x.Missing))
	}
	x = executor.RefusalOf(fault.New(executor.ErrCapMissing, "a%s", strings.Repeat("ä", ledger.MaxMissing)))
	if len(x.Missing) != ledger.MaxMissing-1 {
		t.Errorf("%d bytes", len(x.Missing))
	}
}
