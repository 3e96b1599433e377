package main

import (
	"strings"

	canon "github.com/mythos-run/mythos/runtime/libs/can"
)

// The ends of 64 bits, as assembly text.
const (
	irMinI64 = "-9223372036854775808"
	irMaxI64 = "+9223372036854775807"
	irMaxU64 = "18446744073709551615"
)

// level1 are the ops of level 1. The fuel of a case that returns ends in RET's 3.
func (g *irGen) level1() {
	g.suite.level = 1
	const overflow = "ir_overflow"
	binary := func(op, args string, want []byte, fuel uint64) irCase {
		return irCase{what: op, body: op + " r0, r1, r2; ret r2", args: args, want: want, fuel: fuel}
	}
	traps := func(op, args, code string, fuel uint64) irCase {
		return irCase{what: op, body: op + " r0, r1, r2; ret r2", args: args, trap: code, fuel: fuel}
	}
	u, i, yes, no := rawU, func(n int64) []byte { return canon.AppendInt(nil, n) }, x("02"), x("01")
	g.cases("RFC-MYTHOS-0012 §4.6", []irCase{
		binary("eq", "7, 7", yes, 4+3), binary("eq", "7, 8", no, 4+3), binary("eq", "7, +7", no, 4+3), binary("eq", "no, none8", no, 4+3),
		binary("eq", "&m8, &m8", yes, 4+3), binary("eq", "long, 1", no, 2+2+1+3),
		{what: "eq", body: "eq r8, r9, r2; ret r2", want: yes, fuel: 4 + 3},
		{what: "eq", body: "call topoint, 1, r1; eq r0, r1, r2; ret r2", args: "&p", want: yes},
		binary("lt", "7, 8", yes, 4+3), binary("lt", "256, 129", no, 4+3), binary("lt", "0, "+irMaxU64, yes, 4+3), binary("lt", "-1, +0", yes, 4+3),
		binary("lt", irMinI64+", "+irMaxI64, yes, 4+3), binary("lt", "no, hi", yes, 4+3), binary("lt", "raw, two8", yes, 4+3),
		traps("lt", "7, +8", irType, 4), traps("lt", "raw, hi", irType, 4), traps("lt", "&none, &none", irType, 4),
		{what: "not", body: "not r8, r2; ret r2", want: yes, fuel: 2 + 3},
		{what: "not", body: "not r0, r2; ret r2", args: "+0", want: yes, fuel: 2 + 3},
		{what: "not", body: "not r0, r2; ret r2", args: "1", want: no, fuel: 2 + 3},
		{what: "not", body: "not r8, r2; not r2, r2; not r2, r2; ret r2", want: yes},
		{what: "not", body: "make emptyp, r0; not r0, r2; ret r2", want: no},
		binary("add", "7, 8", u(15), 3+3), binary("add", "18446744073709551614, 1", u(1<<64-1), 3+3), binary("add", "-7, +8", i(1), 3+3),
		traps("add", irMaxU64+", 1", overflow, 3), traps("add", irMaxI64+", +1", overflow, 3), traps("add", irMinI64+", -1", overflow, 3),
		traps("add", "7, +8", irType, 3), traps("add", "hi, hi", irType, 3),
		binary("sub", "8, 8", u(0), 3+3), binary("sub", "+7, +8", i(-1), 3+3), binary("sub", "-1, "+irMaxI64, i(-1<<63), 3+3),
		traps("sub", "7, 8", overflow, 3), traps("sub", "+0, "+irMinI64, overflow, 3), traps("sub", "+7, 8", irType, 3),
		binary("mul", "7, 8", u(56), 3+3), binary("mul", "4294967295, 4294967297", u(1<<64-1), 3+3), binary("mul", "+4611686018427387904, -2", i(-1<<63), 3+3),
		traps("mul", "4294967296, 4294967296", overflow, 3), traps("mul", irMinI64+", -1", overflow, 3), traps("mul", "-1, "+irMinI64, overflow, 3), traps("mul", "7, +8", irType, 3),
		{what: "len", body: "len r0, r2; ret r2", args: "wide8", want: u(2), fuel: 2 + 3},
		{what: "len", body: "len r0, r2; ret r2", args: "&none", want: u(0), fuel: 2 + 3},
		{what: "len", body: "len r0, r2; ret r2", args: "&m8", want: u(2), fuel: 2 + 3},
		{what: "len", body: "len r0, r2; ret r2", args: "7", trap: irType, fuel: 2},
		{what: "len", body: "len r8, r2; ret r2", trap: irType, fuel: 2},
		binary("at", "&three8, 0", u(5), 3+3), binary("at", "&three8, 2", rawT("hi"), 3+3),
		traps("at", "&three8, 3", "ir_index_range", 3), traps("at", "&three8, "+irMaxU64, "ir_index_range", 3), traps("at", "&none, 0", "ir_index_range", 3),
		traps("at", "&three8, +1", irType, 3), traps("at", "hi, 0", irType, 3), traps("at", "&m8, 1", irType, 3),
		binary("append", "&none, 7", rawL(u(7)), 4+1+3), binary("append", "&none, &none", rawL(x("0700")), 4+1+3),
		{what: "append", body: "append r0, r8, r0; append r0, r8, r0; ret r0", args: "&none", want: rawL(x("00"), x("00"))},
		traps("append", "hi, 1", irType, 4),
		{what: "append", body: irDeepen(32) + "make none, r1; append r1, r0, r2; ret", trap: irDeep, flags: []string{"bomb"}},
		{what: "append", body: "make none, r1;" + irDouble("r0", 18) + "append r1, r0, r1; append r1, r0, r1; ret", args: "long", trap: irLarge, budget: "cpu_us=100000 io=0 writes=0", flags: []string{"bomb"}},
		binary("concat", "hi, wide8", rawT("hi\u00e9"), 4+1+3), binary("concat", "raw, two8", rawB([]byte{1, 2, 2}), 4+1+3), binary("concat", "no, no", rawT(""), 4+1+3),
		traps("concat", "hi, raw", irType, 4), traps("concat", "&m8, &m8", irType, 4), traps("concat", "7, 8", irType, 4),
		{what: "concat", body: irDouble("r0", 18) + "ret", args: "long", trap: irLarge, budget: "cpu_us=100000 io=0 writes=0", flags: []string{"bomb"}},
		{what: "loop", body: "const one, r3; again: add r1, r3, r1; lt r1, r0, r2; not r2, r2; jz r2, again; ret r1", args: "10, 0", want: u(10), fuel: 3 + 10*(3+4+2+1) + 3},
	})
	raw, _ := g.assemble(strings.ReplaceAll("func main() -> any {;not r0, r0;ret;};task main = main() budget cpu_us=1 io=0 writes=0;", ";", "\n"))
	g.spec = "RFC-MYTHOS-0012 §5"
	g.valid("load-level1", "ir.load", "a program with an op of level 1 names the feature", in{"hex": raw}, out{"features": []any{"ir.level1"}})
}
