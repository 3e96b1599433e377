package ir

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// memoryBody fills registers with values of 8 MiB until they are full. No copy
// is made, yet each counts.
func memoryBody() string {
	body := "const long, r0;" + double("r0", 17)
	for i := 1; i < 40; i++ {
		body += "call id1, 1, r" + strconv.Itoa(i) + ";"
	}
	return body + "ret"
}

// corners are programs that go to a limit, with the trap they end in.
func corners() []opTest {
	recursive := func(depth int, limit string) opTest {
		return opTest{
			name: "depth " + limit, trap: TrapDepth, fuel: uint64(10 * depth), body: "call self, 0; ret",
			budget: "cpu_us=1000 io=0 writes=0" + limit,
		}
	}
	return []opTest{
		recursive(64, ""), recursive(1, " max_depth=1"), recursive(1024, " max_depth=1024"),
		{name: "memory", body: memoryBody(), trap: TrapMemory, budget: "cpu_us=1000000 io=0 writes=0"},
		{name: "largest purse", body: "ret", want: "\x00", fuel: 3, budget: "cpu_us=18446744073709551 io=0 writes=0"},
		{name: "smallest purse", body: "again: jmp again", trap: TrapFuel, fuel: 1000, budget: "cpu_us=1 io=0 writes=0"},
		{name: "largest counters", body: "const raw, r0; blob_put r0, media, hi, r1, r2; halt", want: "\x00", budget: "cpu_us=2 io=4294967295 writes=4294967295", host: &fakeHost{answer: answer(500, []byte{0}, "")}},
		{name: "grown by set", body: "make empty, r0; " + strings.Repeat("set r0, 1, r0, r0;", 31) + "ret", want: "\x00"},
		{name: "grown too deep by set", body: "make empty, r0; " + strings.Repeat("set r0, 1, r0, r0;", 32) + "ret", trap: TrapDeep},
		{name: "grown too large by set", body: double("r0", 17) + "make empty, r1; set r1, 1, r0, r1; set r1, 2, r0, r1; ret", args: "long", trap: TrapLarge, budget: "cpu_us=1000000 io=0 writes=0"},
		{name: "request too large", body: double("r0", 17) + "list r1, r0; effect echo, r1, r2, r3; ret", args: "long", want: "\x00", budget: "cpu_us=1000000 io=1 writes=0", host: &fakeHost{answer: answer(500, []byte{0}, "")}},
	}
}

func TestCorners(t *testing.T) {
	for _, o := range corners() {
		t.Run(o.name, func(t *testing.T) {
			res := o.run(t, 0)
			if res.ErrorCode != o.trap || o.trap == "" && string(res.Value) != o.want {
				t.Fatalf("got %d bytes, %q (%s), want %x %q", len(res.Value), res.ErrorCode, res.Message, o.want, o.trap)
			}
			if o.fuel != 0 && res.FuelUsed != o.fuel {
				t.Errorf("used %d fuel, want %d", res.FuelUsed, o.fuel)
			}
		})
	}
}

// TestPurse: one cpu_us is 1,000 fuel, up to the largest budget there is.
func TestPurse(t *testing.T) {
	for _, cpu := range []uint64{1, 2, 50_000, maxCPU} {
		o := opTest{body: "ret", budget: fmt.Sprintf("cpu_us=%d io=3 writes=2", cpu)}
		res := o.run(t, 0)
		if res.FuelLimit != cpu*1000 || res.FuelLimit/1000 != cpu || res.IOLimit != 3 || res.WriteLimit != 2 {
			t.Errorf("cpu_us=%d gives %+v", cpu, res)
		}
	}
}

// TestRecordsPayForTheirTypes: passing a value to a record type costs what
// looking at its fields takes, wherever it is passed.
func TestRecordsPayForTheirTypes(t *testing.T) {
	// The record is MAP {0: TEXT of 200 bytes}: 207 bytes, S 4, R 26.
	const header = "type wide = record { 0: any }\ntool w = demo/w interface 1 (wide) -> wide\n" +
		"func f(wide) -> wide {\nret r0\n}\nfunc g(any) -> any {\nnop\nret r0\n}\n"
	for name, c := range map[string]struct {
		ops  string
		fuel uint64
	}{
		"ret":              {"ret r0", 2 + 4},
		"call":             {"call g, 1, r0\nret r0", (10 + 4) + (1 + 2 + 4) + (2 + 4)},
		"call with types":  {"call f, 1, r0\nret r0", (10 + 4 + 26) + (2 + 4 + 26) + (2 + 4)},
		"effect":           {"effect w, r0, r1, r2\nret", (1000 + 26) + 11 + (8 + 26) + 3},
		"halt in a callee": {"halt r0", 1 + 4},
	} {
		k := strings.Repeat("0123456789", 20)
		src := header + "const k = text \"" + k + "\"\nnode n = record { 0: k }\nfunc main(any) -> any {\n" + c.ops + "\n}\ntask main = main(&n) budget cpu_us=9 io=1 writes=0\n"
		p, task := load(t, src)
		res, err := p.runWith(task, &fakeHost{}, 0)
		if err != nil || res.ErrorCode != "" || res.FuelUsed != c.fuel {
			t.Errorf("%s: %q, %v, %d fuel, want %d", name, res.ErrorCode, err, res.FuelUsed, c.fuel)
		}
	}
}
