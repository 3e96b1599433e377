//go:build linux

package node_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// demo002 copies what packages/demo-002 is built from, lets edit change its
// program, packs it, and returns the packed folder.
func demo002(t *testing.T, n *node.Node, edit func(ir string) string) string {
	t.Helper()
	project := t.TempDir()
	for _, part := range []string{"sdk/go", "sdk/ts/guest", "tools/echo", "tools/ociimage", "packages/demo-002/ir"} {
		if err := os.CopyFS(filepath.Join(project, part), os.DirFS(filepath.Join("../..", part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum", "sdk/python/mythos_tool.py", "packages/demo-002/manifest.src.json"} {
		b, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(project, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(project, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(project, "packages/demo-002/ir/hello.mir")
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte(edit(string(text))), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(project, "packages/demo-002/modules"), 0o755); err != nil {
		t.Fatal(err)
	}
	built, _, err := n.Pack(t.Context(), node.PackOptions{
		Dir: filepath.Join(project, "packages/demo-002"), Out: filepath.Join(project, "dist"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return built.Folder
}

// variants lists the picks of demo-002 that this machine can run. A runtime that
// is missing is said aloud, and fails where everything has to be there.
func variants(t *testing.T) []string {
	t.Helper()
	out := []string{"", "native"}
	for variant, program := range map[string]string{"node": "node", "python": "python3", "oci": "crun"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is not there: %v", program, err)
			}
			t.Logf("NOT TESTED: variant %s, %v", variant, err)
			continue
		}
		out = append(out, variant)
	}
	slices.Sort(out)
	return out
}

func pick(variant string) []string {
	if variant == "" {
		return nil
	}
	return []string{"echo=" + variant}
}

// TestVariantsDifferInEvidenceAlone runs demo-002 once for each variant under one
// run id, with the same keys and a fresh ledger, and compares what is left behind
// field by field.
func TestVariantsDifferInEvidenceAlone(t *testing.T) {
	home := t.TempDir()
	folder := demo002(t, at(t, home), func(ir string) string { return ir })
	var first *trace
	for _, variant := range variants(t) {
		n := at(t, home)
		if err := os.RemoveAll(filepath.Join(home, "ledger")); err != nil {
			t.Fatal(err)
		}
		report, err := n.Run(t.Context(), node.RunOptions{Package: folder, RunID: "same", Variants: pick(variant)})
		if err != nil {
			t.Fatalf("%q: %v", variant, err)
		}
		got := traceOf(t, n, report)
		if got.evidence.Variant != variant {
			t.Errorf("the evidence names variant %q, want %q", got.evidence.Variant, variant)
		}
		wantRunner(t, variant, &got.evidence)
		if first == nil {
			first = got
			continue
		}
		if diff := cmp.Diff(first.same, got.same, cmp.Comparer(func(a, b sig.AgentID) bool { return a.Equal(b) })); diff != "" {
			t.Errorf("variant %q differs from %q (-first +this):\n%s", variant, first.evidence.Variant, diff)
		}
		if got.evidence.Module == first.evidence.Module || got.evidence.Engine == first.evidence.Engine {
			t.Errorf("variant %q ran on %s", variant, got.evidence.Engine)
		}
	}
}

// wantRunner checks that the evidence says what really ran.
func wantRunner(t *testing.T, variant string, ev *evidence.EffectEvidence) {
	t.Helper()
	engine := map[string]string{"": "wazero/", "native": "native", "node": "node/", "python": "python3/", "oci": "oci-image "}[variant]
	interpreted := variant == "node" || variant == "python"
	if !strings.Contains(ev.Engine, engine) || (ev.Interpreter != nil) != interpreted || (ev.FuelSchedule != nil) != (variant == "") || ev.SandboxLevel < 2 {
		t.Errorf("variant %q: engine %q, interpreter %v, fuel schedule %v, sandbox level %d",
			variant, ev.Engine, ev.Interpreter, ev.FuelSchedule, ev.SandboxLevel)
	}
}

// trace is what a run of one effect left behind. In same, every field stands that
// no variant may change; time, signers' signatures, evidence and the ids that
// cover them are cleared.
type trace struct {
	same     sameTrace
	evidence evidence.EffectEvidence
}

type sameTrace struct {
	Value      string
	ResultHash cid.Hash
	Fuel, IO   uint64
	Receipt    receipt.Receipt
	Register   ledger.Register
	Commit     ledger.Commit
	Response   string
}

func traceOf(t *testing.T, n *node.Node, report *node.RunReport) *trace {
	t.Helper()
	var x trace
	res := report.Result
	x.same.Value, x.same.ResultHash = string(res.Outcome.Value), res.Outcome.ResultHash
	x.same.Fuel, x.same.IO = res.Outcome.FuelUsed, res.Outcome.IOUsed
	if len(res.Effects) != 1 || len(report.Entries) != 2 {
		t.Fatalf("%d effects, %d entries", len(res.Effects), len(report.Entries))
	}
	decode := func(raw []byte, v interface{ ReadCAN(*can.Reader) }) {
		r := can.NewReader(raw)
		v.ReadCAN(&r)
		if err := r.Done(); err != nil {
			t.Fatal(err)
		}
	}
	decode(res.Effects[0].Receipt, &x.same.Receipt)
	decode(report.Entries[0].Body, &x.same.Register)
	decode(report.Entries[1].Body, &x.same.Commit)
	log, err := n.ReadLedger()
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	raw, err := log.Object(context.Background(), x.same.Receipt.Evidence[0])
	if err != nil {
		t.Fatal(err)
	}
	decode(raw, &x.evidence)
	response, err := log.Object(context.Background(), x.same.Receipt.ResponseHash)
	if err != nil {
		t.Fatal(err)
	}
	x.same.Response = string(response)
	x.same.clear()
	return &x
}

func (x *sameTrace) clear() {
	x.Receipt.ReceiptID, x.Receipt.TimeObserved, x.Receipt.Evidence, x.Receipt.Signature = cid.Hash{}, 0, nil, sig.Signature{}
	x.Register.TimeObserved, x.Register.LeaseExpiresAt, x.Register.Signature = 0, 0, sig.Signature{}
	x.Commit.TimeObserved, x.Commit.ReceiptID, x.Commit.RegisterID, x.Commit.Signature = 0, cid.Hash{}, nil, sig.Signature{}
}

// TestReplayAcrossVariants: an explicit key finds its effect whatever the run and
// the variant, and the module of the second does not run.
func TestReplayAcrossVariants(t *testing.T) {
	n := at(t, t.TempDir())
	folder := demo002(t, n, func(ir string) string {
		keyed := strings.Replace(ir, "effect echo, r0, r1, r2", "const order, r3\n  effect echo, r0, r1, r2, r3", 1)
		return strings.Replace(keyed, "tool echo", "const order = text \"order-1\"\ntool echo", 1)
	})
	var first []byte
	for i, variant := range variants(t) {
		report, err := n.Run(t.Context(), node.RunOptions{Package: folder, RunID: "run-" + string(rune('a'+i)), Variants: pick(variant)})
		if err != nil {
			t.Fatalf("%q: %v", variant, err)
		}
		e := report.Result.Effects[0]
		if first == nil {
			first = e.Receipt
		}
		if e.Replayed != (i > 0) || string(e.Receipt) != string(first) {
			t.Errorf("variant %q: replayed %v, receipt %s", variant, e.Replayed, e.ReceiptID)
		}
	}
}
