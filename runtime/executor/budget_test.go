package executor_test

import (
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
)

// spentIR performs two effects, then exhausts a budget.
func spentIR(after, budget string) string {
	return `const greeting = text "hello"
const raw = bytes "00"
const media = text "text/plain"
const space = text "space"
tool echo = demo/echo interface 1 (any) -> any
func deep() -> any {
  call self, 0
  ret
}
func main() -> any {
  const greeting, r0
  effect echo, r0, r1, r2
  effect echo, r0, r1, r2
` + after + `
  ret r1
}
task main = main() budget ` + budget + "\n"
}

// TestBudgetExhaustion: whatever budget ends a run, it ends with a result of its
// own, sealed over the receipts of what happened, and a replay ends at the same op
// with the same fuel and invokes nothing.
func TestBudgetExhaustion(t *testing.T) {
	for name, c := range map[string]struct {
		after, budget string
		code          fault.Code
	}{
		"fuel":   {"again:\n  jmp again", "cpu_us=100 io=9 writes=9", "ir_fuel_exhausted"},
		"io":     {"  effect echo, r0, r1, r2", "cpu_us=50000 io=2 writes=9", "ir_io_exhausted"},
		"writes": {"  const raw, r3\n  blob_put r3, media, space, r4, r5", "cpu_us=50000 io=9 writes=0", "ir_writes_exhausted"},
		"depth":  {"  call deep, 0, r3", "cpu_us=50000 io=9 writes=9 max_depth=3", "ir_depth_exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			pkg := b.load(packtest.Spec{IR: spentIR(c.after, c.budget)})
			first := b.mustRun(pkg, "r")
			again := b.mustRun(pkg, "r")
			if first.Outcome.ErrorCode != c.code || len(first.Effects) != 2 {
				t.Fatalf("it ended with %q after %d effects, want %s after 2", first.Outcome.ErrorCode, len(first.Effects), c.code)
			}
			if again.Seal != first.Seal || again.Outcome.FuelUsed != first.Outcome.FuelUsed || !again.Effects[1].Replayed {
				t.Errorf("a replay ended with %+v", again.Outcome)
			}
			b.wantCalls(2)
			b.wantLog("run_record register commit register commit run_seal")

			other := newBench(t) // another ledger: the same end, by other receipts
			if o := other.mustRun(pkg, "r").Outcome; o.ErrorCode != c.code || o.FuelUsed != first.Outcome.FuelUsed {
				t.Errorf("another executor ended with %+v", o)
			}
		})
	}
}

// TestBudgetOverPolicy: each budget that is above the policy's is refused before
// op 0, and none is cut down.
func TestBudgetOverPolicy(t *testing.T) {
	depth, deadline, none := uint16(8), uint64(1_000_000), uint64(0)
	spawn := uint16(0)
	policy := func() *rings.Policy {
		p := rings.Default(0)
		p.MaxBudget = ir.Budget{
			CPUMicros: 50_000, IOCount: 10, StateWrites: 1, MaxDepth: &depth, DeadlineMicros: &deadline, Tokens: &none, MaxSpawn: &spawn,
		}
		return p
	}
	const most = "cpu_us=50000 io=10 writes=1 max_depth=8 deadline_us=1000000 tokens=0 max_spawn=0"
	for _, budget := range []string{
		"cpu_us=50001 io=10 writes=1 max_depth=8 deadline_us=1000000",
		"cpu_us=50000 io=11 writes=1 max_depth=8 deadline_us=1000000",
		"cpu_us=50000 io=10 writes=2 max_depth=8 deadline_us=1000000",
		"cpu_us=50000 io=10 writes=1 max_depth=9 deadline_us=1000000",
		"cpu_us=50000 io=10 writes=1 deadline_us=1000000", // 64 deep
		"cpu_us=50000 io=10 writes=1 max_depth=8 deadline_us=1000001",
		"cpu_us=50000 io=10 writes=1 max_depth=8", // for ever
		"cpu_us=50000 io=10 writes=1 max_depth=8 deadline_us=1000000 tokens=1",
		"cpu_us=50000 io=10 writes=1 max_depth=8 deadline_us=1000000 max_spawn=1",
		most,
	} {
		t.Run(budget, func(t *testing.T) {
			b := newBench(t)
			pkg := loadUnder(t, packtest.Build(t, packtest.Spec{IR: spentIR("", budget)}), policy())
			_, err := b.run(pkg, "r", b.grant(pkg, nil))
			if budget == most {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantCode(t, err, rings.ErrBudget)
			b.wantCalls(0)
			b.wantLog("refusal")
			if x := b.refusals()[0]; x.Code != string(rings.ErrBudget) || x.RunRecord != nil {
				t.Errorf("the refusal is %+v", x)
			}
		})
	}
}
