package main

import (
	"fmt"
	"strings"

	canon "github.com/mythos-run/mythos/runtime/libs/can"
)

// runs are the ops of level 0, one case or more for each way in which an op can
// go. Fuel is worked out by hand from RFC-MYTHOS-0012 §6.2.
func (g *irGen) runs() {
	g.control()
	g.calls()
	g.values()
	g.fields()
	g.lists()
	g.matches()
	g.contracts()
	g.effects()
	g.effectTraps()
	g.blobs()
	g.bombs()
}

func (g *irGen) cases(spec string, list []irCase) {
	g.spec = spec
	for _, c := range list {
		g.run(c)
	}
}

// The traps that many cases end with.
const (
	irType  = "type_mismatch"
	irDeep  = "value_too_deep"
	irLarge = "value_too_large"
)

func (g *irGen) control() {
	hi, null := rawT("hi"), x("00")
	jz := func(what string) irCase {
		return irCase{what: "jz", body: what + ", r1; jz r1, t; halt; t: const hi, r0; ret r0", want: hi}
	}
	g.cases("RFC-MYTHOS-0012 §4.2", []irCase{
		{what: "nop", body: "nop; nop; ret", want: null, fuel: 2 + 3},
		{what: "halt", body: "halt", want: null, fuel: 2},
		{what: "halt", body: "const hi, r3; halt r3", want: hi, fuel: 3 + 2},
		{what: "halt", body: "call halts, 0, r1; nop; ret", want: hi, fuel: 10 + 3 + 2},
		{what: "halt", body: "const hi, r0; halt r0", ret: "u64", trap: irType, fuel: 3 + 2},
		{what: "jmp", body: "jmp over; halt; over: const hi, r0; ret r0", want: hi, fuel: 1 + 3 + 3},
		{what: "jz", body: "jz r9, t; halt; t: const hi, r0; ret r0", want: hi, fuel: 1 + 3 + 3},
		jz("const no"), jz("const zero"), jz("make none"), jz("make empty"),
		{what: "jz-stays", body: "make emptyp, r1; jz r1, t; ret; t: const hi, r0; ret r0", want: null},
		{what: "jz-stays", body: "const hi, r1; jz r1, t; ret; t: ret r1", want: null},
		{what: "jz-stays", body: "const id, r1; jz r1, t; ret; t: ret r1", want: null},
		{what: "ret", body: "const hi, r0; ret r0", ret: "point", trap: irType, fuel: 3 + (3 + 1)},
		{what: "ret", body: "make p, r0; ret r0", ret: "point", want: x("08010301040a")},
		{what: "ret", body: "ret r0", ret: "color", args: "1", want: x("0301")},
		{what: "ret", body: "ret r0", ret: "color", args: "2", trap: irType},
		{what: "ret", body: "const long, r0; ret r0", want: rawT(irLong()), fuel: 2 + 9 + 2 + 2},
	})
}

// irLong is the text of the constant long.
func irLong() string { return strings.Repeat("0123456789", 7)[:64] }

func (g *irGen) calls() {
	hi, null := rawT("hi"), x("00")
	g.cases("RFC-MYTHOS-0012 §4.2", []irCase{
		{what: "call", body: "const hi, r0; call id1, 1, r4; ret r4", want: hi, fuel: 3 + 11 + 3 + 3},
		{what: "call", body: "const hi, r0; call id1, 1; ret r0", want: hi},
		{what: "call", body: "const hi, r5; call noresult, 0, r5; ret r5", want: null},
		{what: "call", body: "const hi, r5; call noresult, 0, r1; ret r5", want: hi},
		{what: "call", body: "const hi, r0; call frompoint, 1; ret", trap: irType, fuel: 3 + (11 + 1)},
		{what: "call", body: "const hi, r0; call topoint, 1; ret", trap: irType, fuel: 3 + 11 + (3 + 1)},
		{what: "call-depth", body: "call self, 0; ret", trap: "ir_depth_exceeded", budget: "cpu_us=1000 io=0 writes=0 max_depth=3", fuel: 30},
		{what: "call-depth", body: "const hi, r0; call frompoint, 1; ret", trap: "ir_depth_exceeded", budget: "cpu_us=1000 io=0 writes=0 max_depth=1", fuel: 3 + (11 + 1)},
		{what: "call-depth", body: "call self, 0; ret", trap: "ir_depth_exceeded", fuel: 64 * 10},
		{what: "call-depth", body: "call self, 0; ret", trap: "ir_depth_exceeded", budget: "cpu_us=1000 io=0 writes=0 max_depth=1024", fuel: 1024 * 10},
	})
}

func (g *irGen) values() {
	hi := rawT("hi")
	point := x("08010301040a")
	hiMap := join(x("0803 0301"), hi, x("038002 0302 038101 0301"))
	g.cases("RFC-MYTHOS-0012 §4.3", []irCase{
		{what: "const", body: "const big, r0; ret r0", want: rawU(1<<64 - 1), fuel: 2 + 2 + 3},
		{what: "const", body: "const neg, r0; ret r0", want: canon.AppendInt(nil, -1), fuel: 2 + 1 + 3},
		{what: "const", body: "const raw, r0; ret r0", want: x("05020102")},
		{what: "const", body: "const id, r0; ret r0", want: hashOf(append(make([]byte, 31), 1)), fuel: 2 + 6 + 3},
		{what: "make", body: "make p, r0; ret r0", want: point, fuel: 4 + 1 + (1 + 1) + 3},
		{what: "make", body: "make m, r1; ret r1", want: hiMap, fuel: 4 + 4 + 3 + 3},
		{what: "make", body: "make l, r1; ret r1", want: join(x("0704 0301 00"), hiMap, hi), fuel: 4 + 8 + 4 + 3},
		{what: "make", body: "make line1, r1; ret r1", want: join(x("0802 0301"), point, x("0302"), point), fuel: 4 + 4 + (3 + 3 + 1) + 3},
		{what: "make-type", body: "make pbad, r1; ret r1", trap: irType, fuel: 4 + 1 + (1 + 1)},
		{what: "make-type", body: "const hi, r0; make linebad, r1; ret r1", trap: irType},
		{what: "make-deep", body: irDeepen(32) + "make l, r1; ret r1", trap: irDeep, flags: []string{"bomb"}},
	})
}

func (g *irGen) fields() {
	hi, no, null := rawT("hi"), rawT(""), x("00")
	point := x("08010301040a")
	g.cases("RFC-MYTHOS-0012 §4.3", []irCase{
		{what: "get", body: "make m, r1; get r1, 256, r2; ret r2", want: rawU(2), fuel: 11 + 3 + 3},
		{what: "get", body: "make m, r1; const hi, r2; get r1, 7, r2; ret r2", want: null},
		{what: "get", body: "make m, r1; get r1, 0xffffffffffffffff, r2; ret r2", want: null},
		{what: "get", body: "make p, r1; get r1, 2, r2; ret r2", want: null},
		{what: "get", body: "make line1, r1; get r1, 2, r2; match r2, type point, yes; halt; yes: const hi, r0; ret r0", want: hi},
		{what: "get-type", body: "get r1, 1, r2; ret r2", trap: irType, fuel: 3},
		{what: "get-type", body: "make none, r1; get r1, 1, r2; ret r2", trap: irType},
		{what: "get-type", body: "make p, r1; get r1, 3, r2; ret r2", trap: irType},
		{what: "set", body: "make m, r1; const no, r2; set r1, 256, r2, r1; ret r1", want: join(x("0803 0301"), hi, x("038002"), no, x("038101 0301")), fuel: 11 + 3 + (4 + 1 + 3) + 3},
		{what: "set", body: "make m, r1; const no, r2; set r1, 2, r2, r1; ret r1", want: join(x("0804 0301"), hi, x("0302"), no, x("038002 0302 038101 0301"))},
		{what: "set", body: "make m, r1; set r1, 1, r9, r1; ret r1", want: x("0802 038002 0302 038101 0301")},
		{what: "set", body: "make m, r1; set r1, 5, r9, r3; ret r3", want: join(x("0803 0301"), hi, x("038002 0302 038101 0301"))},
		{what: "set", body: "make p, r1; const neg, r2; set r1, 2, r2, r3; match r3, type point, yes; halt; yes: ret r3", want: x("0802 0301 040a 0302 0401")},
		{what: "set", body: "make line1, r1; set r1, 2, r9, r3; ret r3", want: join(x("0801 0301"), point)},
		{what: "set", body: irDeepen(31) + "make empty, r1; set r1, 1, r0, r1; ret", want: null},
		{what: "set-type", body: "set r1, 5, r9, r3; ret r3", trap: irType, fuel: 5},
		{what: "set-type", body: "const hi, r1; set r1, 5, r9, r3; ret r3", trap: irType},
		{what: "set-type", body: "make p, r1; const hi, r2; set r1, 2, r2, r3; ret r3", trap: irType},
		{what: "set-type", body: "make p, r1; set r1, 3, r2, r3; ret r3", trap: irType},
		{what: "set-type", body: "make p, r1; set r1, 1, r9, r3; ret r3", trap: irType},
		{what: "set-deep", body: irDeepen(32) + "make empty, r1; set r1, 1, r0, r1; ret r1", trap: irDeep, flags: []string{"bomb"}},
	})
}

func (g *irGen) lists() {
	hi := rawT("hi")
	g.cases("RFC-MYTHOS-0012 §4.3", []irCase{
		{what: "list", body: "const hi, r0; list r1, r0, r9, r0; ret r1", want: rawL(hi, x("00"), hi), fuel: 3 + (4 + 2) + 3},
		{what: "list", body: "list r1; ret r1", want: x("0700"), fuel: 4 + 1 + 3},
		{what: "list", body: "make p, r0; list r1, r0; match r1, type point, yes; ret; yes: ret r1", want: x("00")},
		{what: "list", body: irDeepen(32) + "ret r0", want: lists(31, x("0700"))},
		{what: "list-deep", body: irDeepen(33) + "ret r0", trap: irDeep, flags: []string{"bomb"}},
	})
}

func (g *irGen) matches() {
	hi, null := rawT("hi"), x("00")
	g.cases("RFC-MYTHOS-0012 §4.2", []irCase{
		{what: "match", body: "const hi, r1; match r1, hi, yes; halt; yes: ret r1", want: hi, fuel: 3 + 3 + 3},
		{what: "match", body: "match r0, 7, yes; halt; yes: ret r0", args: "7", want: rawU(7)},
		{what: "match", body: "match r0, +7, yes; halt; yes: ret r0", args: "7", want: null},
		{what: "match", body: "const hi, r1; const hi, r2; match r1, r2, yes; halt; yes: ret r1", want: hi},
		{what: "match", body: "const hi, r1; match r1, no, yes; ret r1; yes: halt", want: hi},
		{what: "match", body: "call topoint, 1, r1; match r1, type point, yes; halt; yes: match r0, type point, other; const hi, r0; ret r0; other: halt", args: "&p", want: hi},
		{what: "match", body: "match r0, type color, yes; ret r0; yes: halt", args: "1", want: rawU(1)},
	})
}

func (g *irGen) contracts() {
	null, trap := x("00"), "contract_violation"
	g.cases("RFC-MYTHOS-0012 §7", []irCase{
		{what: "assert", body: "make p, r0; assert pos, r0; ret", want: null, fuel: 7 + (4 + 2 + 1) + 3},
		{what: "assert", body: "assert inv, r9; ret", args: "7", want: null, fuel: (4 + 3 + 1) + 3},
		{what: "assert-fails", body: "assert pos, r0; ret", trap: trap, fuel: 4 + 2 + 1},
		{what: "assert-fails", body: "assert never, r0; ret", trap: trap, fuel: 4 + 2},
		{what: "assert-fails", body: "assert inv, r9; ret", args: "8", trap: trap},
	})
	for _, e := range []struct {
		expr  string
		holds bool
	}{
		{"subject == 7", true},
		{"subject == +7", false},
		{"subject != 8", true},
		{"subject != +7", false},
		{"subject.1 != 7", true},
		{"subject.1 == 7", false},
		{"subject < 8", true},
		{"subject < 7", false},
		{"subject <= 7", true},
		{"subject > 7", false},
		{"subject >= 7", true},
		{"subject in { 1, 7 }", true},
		{"subject in { 1, +7 }", false},
		{"inputs.0 == 7", true},
		{"inputs.1 == 7", false},
		{"not (subject == 7)", false},
		{"subject == 7 and false", false},
		{"subject == 8 or true", true},
		{"has_status 200", false},
	} {
		g.expression(e.expr, e.holds)
	}
}

// expression is a contract over the input 7.
func (g *irGen) expression(expr string, holds bool) {
	source := "contract c = requires " + expr + " ensures true\nfunc main(any) -> any {\nassert c, r0\nret\n}\ntask main = main(7) budget cpu_us=1 io=0 writes=0\n"
	raw, task := g.assemble(source)
	want := out{"result": x("00"), "io_used": "0"}
	if !holds {
		want = out{"error_code": "contract_violation", "io_used": "0"}
	}
	g.valid("expression", "ir.run", "requires "+expr+", where the subject and the first input are 7", in{"hex": raw, "task": task}, want)
}

func (g *irGen) effects() {
	hi, null := rawT("hi"), x("00")
	gone, broken := irAnswered(404, null, "gone"), irAnswered(500, null, "")
	point := x("08010301040a")
	g.cases("RFC-MYTHOS-0012 §4.4", []irCase{
		{what: "require-cap", body: "require_cap 5, raw; ret", want: null, fuel: 1000 + 3, input: in{"caps": []any{""}}},
		{what: "effect", body: "const hi, r0; effect echo, r0, r1, r2; ret r1", want: hi, fuel: 3 + 1000 + 4 + 2 + 3, effects: irEchoes(hi)},
		{what: "effect", body: "effect echo, r0, r1, r2; ret r2", want: irReceipt(gone, 404, "gone"), effects: [][]byte{gone}},
		{what: "effect", body: "effect echo, r0, r1, r2; ret r2", want: irReceipt(broken, 500, ""), effects: [][]byte{broken}},
		{what: "effect", body: "const hi, r1; effect echo, r0, r1, r2; ret r1", want: null, effects: [][]byte{gone}},
		{what: "effect", body: "make p, r0; effect pt, r0, r1, r2; match r1, type point, yes; halt; yes: ret r1", want: point, fuel: 7 + 1000 + 4 + (2 + 1) + 3 + 3, effects: irEchoes(point)},
		{what: "effect", body: "const hi, r0; effect echo, r0, r0, r1; ret r0", want: hi, effects: irEchoes(hi)},
		{what: "effect-seen", body: "effect echo, r0, r1, r2; assert did, r0; ret", want: null, effects: irEchoes(null)},
		{what: "effect-seen", body: "effect echo, r0, r1, r2; assert did, r0; ret", trap: "contract_violation", effects: [][]byte{gone}},
		{what: "effect-seen", body: "effect txt, r3, r1, r2; assert did, r0; ret", trap: irType},
		{what: "effect-seen", body: "assert did, r0; effect echo, r0, r1, r2; ret", trap: "contract_violation"},
		{what: "effect-key", body: "const raw, r3; effect echo, r0, r1, r2, r3; effect echo, r0, r1, r2, hi; ret", want: null, effects: irEchoes(null, null)},
		{what: "effect-key", body: "effect echo, r0, r1, r2; effect echo, r0, r3, r4, r1; ret", want: null, effects: irEchoes(rawB(make([]byte, 256)), null)},
	})
}

func (g *irGen) effectTraps() {
	null := x("00")
	g.cases("RFC-MYTHOS-0012 §4.4", []irCase{
		{what: "effect-type", body: "effect txt, r0, r1, r2; ret", trap: irType, fuel: 1000},
		{what: "effect-type", body: "const hi, r0; effect txt, r0, r1, r2; ret", trap: irType, effects: irEchoes(x("01"))},
		{what: "effect-key-bad", body: "effect echo, r0, r1, r2, r0; ret", trap: irType, fuel: 1000},
		{what: "effect-key-bad", body: "const no, r3; effect echo, r0, r1, r2, r3; ret", trap: "ir_key_invalid"},
		{what: "effect-key-bad", body: "effect echo, r0, r1, r2; effect echo, r0, r3, r4, r1; ret", trap: "ir_key_invalid", effects: irEchoes(rawB(make([]byte, 257)))},
		{what: "effect-io", body: "effect echo, r0, r1, r2; effect echo, r0, r1, r2; ret", trap: "ir_io_exhausted", budget: "cpu_us=1000 io=1 writes=0", effects: irEchoes(null)},
		{what: "effect-io", body: "effect echo, r0, r1, r2; ret", trap: "ir_io_exhausted", budget: "cpu_us=1000 io=0 writes=0"},
		{what: "effect-request", body: "const hi, r0; effect echo, r0, r1, r2; ret", trap: "ir_request_too_large", input: in{"max_request": "120"}},
		{what: "effect-request", body: "const hi, r0; effect echo, r0, r1, r2; ret", want: null, effects: irEchoes(null), input: in{"max_request": "121"}},
		{what: "effect-fuel", body: "effect echo, r0, r1, r2; ret", trap: "ir_fuel_exhausted", budget: "cpu_us=1 io=1 writes=0"},
	})
}

// irBlobRef puts a BlobRef into r0.
const irBlobRef = "make empty, r0; const id, r1; set r0, 1, r1, r0; const big, r1; set r0, 2, r1, r0;" +
	"const media, r1; set r0, 3, r1, r0; const one, r1; set r0, 4, r1, r0; set r0, 5, r1, r0;"

func (g *irGen) blobs() {
	null := x("00")
	stored := irAnswered(200, null, "")
	range416 := irAnswered(416, null, "blob_chunk_range")
	g.cases("RFC-MYTHOS-0012 §4.5", []irCase{
		{what: "blob-put", body: "const raw, r0; blob_put r0, media, hi, r1, r2; ret r2", want: irReceipt(stored, 200, ""), effects: [][]byte{stored}},
		{what: "blob-put", body: "const raw, r0; blob_put r0, media, hi, r1, r2; ret", want: null, fuel: 3 + 1000 + 1 + 6 + 2 + 3, effects: [][]byte{stored}},
		{what: "blob-put", body: "const hi, r0; blob_put r0, media, hi, r1, r2; ret", trap: irType, fuel: 3 + 1000},
		{what: "blob-put", body: "const raw, r0; blob_put r0, media, hi, r1, r2; ret", trap: "ir_writes_exhausted", budget: "cpu_us=1000 io=1 writes=0"},
		{what: "blob-put", body: "const raw, r0; blob_put r0, media, hi, r1, r2; ret", trap: "ir_io_exhausted", budget: "cpu_us=1000 io=0 writes=0"},
		{what: "blob-get", body: irBlobRef + "blob_get r0, r1, r2; ret r1", want: x("050178"), effects: irEchoes(x("050178"))},
		{what: "blob-get", body: "make p, r0; blob_get r0, r1, r2; ret r1", trap: irType, fuel: 7 + 1000},
		{what: "blob-get", body: irDeepen(30) + "list r6, r0;" + irBlobRef + "set r0, 9, r6, r0; blob_get r0, r1, r2; ret", trap: irDeep, flags: []string{"bomb"}},
		{what: "blob-chunk-get", body: irBlobRef + "const big, r5; blob_chunk_get r0, r5, r1, r2; ret r1", want: null, effects: [][]byte{range416}},
		{what: "blob-chunk-get", body: irBlobRef + "const neg, r5; blob_chunk_get r0, r5, r1, r2; ret r1", trap: irType},
	})
}

// bombs are programs that a bound must stop before memory does.
func (g *irGen) bombs() {
	sixteen := strings.Repeat(", r0", 16)
	grow := "const long, r0;" + strings.Repeat("list r0"+sixteen+";", 4)
	bomb := []string{"bomb"}
	var copies strings.Builder
	for i := 1; i < 16; i++ {
		fmt.Fprintf(&copies, "list r%d, r0, r0, r0;", i)
	}
	g.cases("RFC-MYTHOS-0012 §2.1", []irCase{
		{what: "bomb-list", body: grow + "list r0" + sixteen + "; ret", trap: irLarge, budget: "cpu_us=10000 io=0 writes=0", flags: bomb},
		{what: "bomb-memory", body: grow + copies.String() + "call self, 0; ret", trap: "ir_memory_exhausted", budget: "cpu_us=1000000 io=0 writes=0", flags: bomb},
		{what: "bomb-loop", body: "again: jmp again", trap: "ir_fuel_exhausted", budget: "cpu_us=1 io=0 writes=0", fuel: 1000, flags: bomb},
		{what: "bomb-calls", body: "call self, 0; ret", trap: "ir_fuel_exhausted", budget: "cpu_us=1 io=0 writes=0 max_depth=1024", fuel: 1000, flags: bomb},
	})
}

// edges are runs whose purse is exactly enough, or short of one op: they begin
// with ops whose costs fill up the purse.
func (g *irGen) edges() {
	hi := rawT("hi")
	for _, c := range []irCase{
		{what: "nop", body: "nop; ret", fuel: 1 + 3},
		{what: "const", body: "const long, r1; ret", fuel: 2 + 9 + 3},
		{what: "make", body: "make m, r1; ret", fuel: 4 + 4 + 3 + 3},
		{what: "list", body: "list r1; ret", fuel: 4 + 1 + 3},
		{what: "jz", body: "jz r9, t; t: ret", fuel: 1 + 3},
		{what: "match", body: "match r9, 7, t; t: ret", fuel: 3 + 3},
		{what: "assert", body: "make p, r1; assert pos, r1; ret", fuel: 7 + (4 + 2 + 1) + 3},
		{what: "call", body: "call noresult, 0, r1; ret", fuel: 10 + 1 + 3 + 3},
		{what: "require-cap", body: "require_cap 5, raw; ret", fuel: 1000 + 3, input: in{"caps": []any{""}}},
		{what: "effect", body: "effect echo, r9, r1, r2; ret", fuel: 1000 + 4 + 2 + 3, effects: irEchoes(hi)},
		{what: "halt", body: "halt", fuel: 2},
		{what: "jmp", body: "jmp t; t: ret", fuel: 1 + 3},
		{what: "get", body: "make m, r1; get r1, 256, r2; ret", fuel: 11 + 3 + 3},
		{what: "set", body: "make m, r1; const no, r2; set r1, 256, r2, r1; ret", fuel: 11 + 3 + (4 + 1 + 3) + 3},
		{what: "blob-put", body: "const raw, r0; blob_put r0, media, hi, r1, r2; ret", fuel: 3 + 1000 + 1 + 6 + 2 + 3, effects: [][]byte{irAnswered(200, []byte{0}, "")}},
		{what: "two-effects", body: "effect echo, r9, r1, r2; effect echo, r9, r3, r4; ret", fuel: 2*(1000+4+2) + 3, effects: irEchoes(hi, hi)},
		{what: "eq", body: "eq r0, r1, r2; ret", args: "7, 8", fuel: 4 + 3},
		{what: "lt", body: "lt r0, r1, r2; ret", args: "7, 8", fuel: 4 + 3},
		{what: "not", body: "not r8, r2; ret", fuel: 2 + 3},
		{what: "add", body: "add r0, r1, r2; ret", args: "7, 8", fuel: 3 + 3},
		{what: "sub", body: "sub r0, r1, r2; ret", args: "8, 7", fuel: 3 + 3},
		{what: "mul", body: "mul r0, r1, r2; ret", args: "7, 8", fuel: 3 + 3},
		{what: "len", body: "len r0, r2; ret", args: "&m8", fuel: 2 + 3},
		{what: "at", body: "at r0, r1, r2; ret", args: "&three8, 2", fuel: 3 + 3},
		{what: "append", body: "append r0, r1, r2; ret", args: "&none, 7", fuel: 4 + 1 + 3},
		{what: "concat", body: "concat r0, r1, r2; ret", args: "hi, wide8", fuel: 4 + 1 + 3},
		{what: "loop", body: "const one, r3; again: add r1, r3, r1; lt r1, r0, r2; not r2, r2; jz r2, again; ret", args: "10, 0", fuel: 3 + 10*(3+4+2+1) + 3},
	} {
		g.edge(c)
	}
}

// edge runs c with exactly the fuel that it needs, then with a unit less for its
// last op, then with so much less that the op before it cannot be paid.
func (g *irGen) edge(c irCase) {
	g.spec = "RFC-MYTHOS-0012 §6.1"
	purse := (c.fuel/1000 + 1) * 1000
	what := c.what
	last := uint64(3) // RET's cost
	if what == "halt" {
		last = 2
	}
	for _, missing := range []uint64{0, 1, last + 1} {
		if missing == last+1 && what == "halt" {
			continue // it is the only op
		}
		x := c
		x.what, x.flags = "fuel-"+what, []string{"exact-fuel"}
		x.budget = fmt.Sprintf("cpu_us=%d io=%d writes=%d", purse/1000, max(1, len(c.effects)), strings.Count(c.body, "blob_put"))
		x.body = irPad(purse-c.fuel+missing) + c.body
		x.doc = fmt.Sprintf("%s, behind ops that leave it %d fuel less than it needs", c.body, missing)
		switch missing {
		case 0:
			x.want, x.fuel = []byte{0}, purse
		case 1:
			x.trap, x.fuel = "ir_fuel_exhausted", purse+1-last
		default:
			x.trap, x.fuel = "ir_fuel_exhausted", 0
		}
		if missing == last+1 && what == "require-cap" {
			x.input = nil // its charge comes before the question, an effect's last one after the answer
		}
		g.run(x)
	}
}

// irPad is ops that cost n together and change nothing below r255.
func irPad(n uint64) string {
	return strings.Repeat("call p200, 0, r255;", int(n/200)) + strings.Repeat("call p20, 0, r255;", int(n%200/20)) + strings.Repeat("nop;", int(n%20))
}

// stops are runs that do not start, or that something outside ends.
func (g *irGen) stops() {
	g.spec = "RFC-MYTHOS-0012 §3.2"
	c := irCase{body: "ret r0", ret: "point", args: "&p"}
	no := func(what, doc, code string, edit func(in)) {
		i := g.asked(&c)
		edit(i)
		g.invalid(what, "ir.run", doc, i, code)
	}
	no("task", "a task that the bundle does not have", "ir_task_unknown", func(i in) { i["task"] = h("other") })
	no("task", "the bundle is none", "can_truncated", func(i in) { i["hex"] = []byte{} })
	c = irCase{body: "ret r0", args: "7"}
	for _, bad := range []struct {
		doc string
		raw []byte
	}{
		{"no value", nil},
		{"a number for the LIST", rawU(7)},
		{"no input, the entry takes one", x("0700")},
		{"two inputs, the entry takes one", x("0702 0301 0302")},
		{"a LIST that is not canonical", x("0701 038000")},
		{"a byte behind the LIST", x("0701 0301 00")},
		{"33 containers", lists(33, x("00"))},
	} {
		no("inputs", bad.doc, "ir_inputs_invalid", func(i in) { i["inputs"] = append([]byte{}, bad.raw...) })
	}
	given := g.asked(&c)
	given["inputs"] = rawL(rawT("other"))
	g.valid("inputs-given", "ir.run", "inputs in place of the task's args", given, out{"result": rawT("other")})
	g.spec = "RFC-MYTHOS-0012 §4.4"
	stop := irCase{body: "require_cap 5, raw; ret", input: in{"caps": []any{"cap_expired"}}}
	g.invalid("stop", "ir.run", "a REQUIRE_CAP that no capability covers any more", g.asked(&stop), "cap_expired")
	stop.input = in{"caps": []any{"cap_missing"}}
	g.invalid("stop", "ir.run", "a REQUIRE_CAP that nothing covers", g.asked(&stop), "cap_missing")
}
