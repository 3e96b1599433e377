package ir

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

func sumHex(b []byte) string { return cid.Sum(b).Hex() }

// doubling writes nodes of which each holds the one before it twice.
func doubling(n int, leaf string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "const k = text \"%s\"\nnode n0 = list { %s }\n", strings.Repeat("x", 100), leaf)
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "node n%d = list { &n%d, &n%d }\n", i, i-1, i-1)
	}
	return b.String()
}

// TestNodeBombs: a few nodes that describe a huge value cost what the value
// costs, and nothing is built before that is known.
func TestNodeBombs(t *testing.T) {
	for name, c := range map[string]struct {
		nodes  int
		leaf   string
		cpu    uint64
		want   string
		result uint64
	}{
		"weight":  {32, "k", 1 << 20, string(TrapFuel), 0},
		"length":  {32, "k", 1 << 40, string(TrapLarge), 0},
		"depth":   {33, "k", 1 << 53, string(TrapDeep), 0},
		"nulls":   {32, "r1, r2, r3", 1 << 40, string(TrapLarge), 0},
		"largest": {18, "k", 1 << 40, "", 104*1<<17 + 2*(1<<17-1)},
	} {
		src := doubling(c.nodes, c.leaf) + fmt.Sprintf("func main() -> any {\nmake n%d, r0\nret r0\n}\ntask t = main() budget cpu_us=%d io=0 writes=0\n", c.nodes-1, c.cpu)
		p, task := load(t, src)
		res, err := p.runWith(task, &fakeHost{}, 0)
		if err != nil || string(res.ErrorCode) != c.want || uint64(len(res.Value)) != c.result {
			t.Errorf("%s: %d bytes, %q (%s), %v; want %d, %q", name, len(res.Value), res.ErrorCode, res.Message, err, c.result, c.want)
		}
		if len(res.Value) > 0 && can.Valid(res.Value) != nil {
			t.Errorf("%s: the result is not canonical", name)
		}
	}
}

// TestArgsBomb: the same nodes as a task's arguments are refused by their
// reckoned length.
func TestArgsBomb(t *testing.T) {
	src := doubling(31, "k") + "func main(any) -> any {\nret r0\n}\ntask t = main(&n30) budget cpu_us=1 io=0 writes=0\n"
	if _, err := Assemble([]byte(src)); err == nil || !strings.Contains(err.Error(), string(ErrArgs)) {
		t.Errorf("got %v, want %s", err, ErrArgs)
	}
}

// TestRecordNodeOfNulls: a part that leaves nothing in the result still costs.
func TestRecordNodeOfNulls(t *testing.T) {
	p, task := load(t, "node a = record { 1: r1, 2: r2 }\nnode b = list { &a, &a }\nfunc main() -> any {\nmake b, r0\nret r0\n}\ntask t = main() budget cpu_us=1 io=0 writes=0\n")
	res, err := p.runWith(task, &fakeHost{}, 0)
	if want := uint64(4 + 2 + 2*2 + 1 + 3); err != nil || res.FuelUsed != want || string(res.Value) != "\x07\x02\x08\x00\x08\x00" {
		t.Errorf("got %+v, %v, want %d fuel", res, err, want)
	}
}

// BenchmarkLoop measures plain ops: two per turn.
func BenchmarkLoop(b *testing.B) {
	p, task := load(b, "const k = u64 1\nfunc main() -> any {\nagain: const k, r0\njz r1, again\nret\n}\ntask main = main() budget cpu_us=1 io=0 writes=0\n")
	b.ReportAllocs()
	const turns = 1_000_000
	for b.Loop() {
		res, err := p.runWith(task, &fakeHost{}, 4*turns)
		if err != nil || res.ErrorCode != TrapFuel {
			b.Fatal(res, err)
		}
	}
	b.ReportMetric(float64(2*turns)*float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// BenchmarkCall measures a call and its return.
func BenchmarkCall(b *testing.B) {
	p, task := load(b, "func f(any) -> any {\nret r0\n}\nfunc main() -> any {\nagain: call f, 1, r0\njmp again\n}\ntask main = main() budget cpu_us=1 io=0 writes=0\n")
	b.ReportAllocs()
	const turns = 100_000
	for b.Loop() {
		if _, err := p.runWith(task, &fakeHost{}, 15*turns); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(turns)*float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}
