package ir

import (
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/can"
)

const (
	yes = "\x02"
	no  = "\x01"

	minI64 = "-9223372036854775808"
	maxI64 = "+9223372036854775807"
	maxU64 = "18446744073709551615"
)

// level1Tests is the table of RFC-MYTHOS-0012 §4.6, one or more rows for each
// way an op can go. The fuel of a row ends in RET's 3.
func level1Tests() []opTest {
	binary := func(name, op, args, want string, fuel uint64) opTest {
		o := opTest{name: name, body: op + " r0, r1, r2; ret r2", args: args, want: want, fuel: fuel}
		return o
	}
	traps := func(name, op, args string, fuel uint64, o opTest) opTest {
		o.name, o.body, o.args, o.fuel = name, op+" r0, r1, r2; ret r2", args, fuel
		return o
	}
	mismatch, overflow, index := opTest{trap: TrapType}, opTest{trap: TrapOverflow}, opTest{trap: TrapIndex}
	u64, i64 := can.AppendUint, can.AppendInt
	return []opTest{
		binary("eq", "eq", "7, 7", yes, 4+3),
		binary("eq no", "eq", "7, 8", no, 4+3),
		binary("eq kinds", "eq", "7, +7", no, 4+3),
		binary("eq text and bytes", "eq", "no, none8", no, 4+3),
		binary("eq deep", "eq", "&m8, &m8", yes, 4+3),
		binary("eq pays for both", "eq", "long, 1", no, 2+2+1+3),
		binary("eq pays for both, turned", "eq", "1, long", no, 2+1+2+3),
		{name: "eq of null", body: "eq r8, r9, r2; ret r2", want: yes, fuel: 4 + 3},
		{name: "eq of a record and its bytes", body: "call topoint, 1, r1; eq r0, r1, r2; ret r2", args: "&p", want: yes},
		{name: "eq into an operand", body: "eq r0, r0, r0; ret r0", args: "7", want: yes},

		binary("lt", "lt", "7, 8", yes, 4+3),
		binary("lt equal", "lt", "7, 7", no, 4+3),
		binary("lt is not by encoding", "lt", "256, 129", no, 4+3),
		binary("lt largest", "lt", "0, "+maxU64, yes, 4+3),
		binary("lt signed", "lt", "-1, +0", yes, 4+3),
		binary("lt signed turned", "lt", "+0, -1", no, 4+3),
		binary("lt extremes", "lt", minI64+", "+maxI64, yes, 4+3),
		binary("lt text", "lt", "hi, long", no, 2+1+2+3),
		binary("lt prefix", "lt", "no, hi", yes, 4+3),
		binary("lt bytes is not by length", "lt", "raw, two8", yes, 4+3),
		traps("lt kinds", "lt", "7, +8", 4, mismatch),
		traps("lt bytes and text", "lt", "raw, hi", 4, mismatch),
		traps("lt lists", "lt", "&none, &none", 4, mismatch),
		{name: "lt of null", body: "lt r8, r9, r2; ret", trap: TrapType, fuel: 4},
		{name: "lt of bools", body: "eq r0, r0, r1; lt r1, r1, r2; ret", trap: TrapType, fuel: 4 + 4},

		{name: "not null", body: "not r8, r2; ret r2", want: yes, fuel: 2 + 3},
		{name: "not zero", body: "not r0, r2; ret r2", args: "0", want: yes, fuel: 2 + 3},
		{name: "not zero i64", body: "not r0, r2; ret r2", args: "+0", want: yes, fuel: 2 + 3},
		{name: "not one", body: "not r0, r2; ret r2", args: "1", want: no, fuel: 2 + 3},
		{name: "not true", body: "not r8, r2; not r2, r2; ret r2", want: no, fuel: 2 + 2 + 3},
		{name: "not false", body: "not r8, r2; not r2, r2; not r2, r2; ret r2", want: yes},
		{name: "not empty text", body: "not r0, r2; ret r2", args: "no", want: yes},
		{name: "not empty list", body: "not r0, r2; ret r2", args: "&none", want: yes},
		{name: "not empty map", body: "not r0, r2; ret r2", args: "&empty", want: yes},
		{name: "not empty record", body: "make emptyp, r0; not r0, r2; ret r2", want: no},

		binary("add", "add", "7, 8", string(u64(nil, 15)), 3+3),
		binary("add largest", "add", "18446744073709551614, 1", string(u64(nil, 1<<64-1)), 3+3),
		traps("add overflow", "add", maxU64+", 1", 3, overflow),
		binary("add signed", "add", "-7, +8", string(i64(nil, 1)), 3+3),
		binary("add extremes", "add", minI64+", "+maxI64, string(i64(nil, -1)), 3+3),
		traps("add overflow signed", "add", maxI64+", +1", 3, overflow),
		traps("add underflow signed", "add", minI64+", -1", 3, overflow),
		traps("add kinds", "add", "7, +8", 3, mismatch),
		traps("add text", "add", "hi, hi", 3, mismatch),
		{name: "add null", body: "add r0, r8, r2; ret", args: "1", trap: TrapType, fuel: 3},

		binary("sub", "sub", "8, 8", string(u64(nil, 0)), 3+3),
		traps("sub below zero", "sub", "7, 8", 3, overflow),
		binary("sub signed", "sub", "+7, +8", string(i64(nil, -1)), 3+3),
		binary("sub smallest", "sub", "-1, "+maxI64, string(i64(nil, -1<<63)), 3+3),
		traps("sub overflow signed", "sub", "+0, "+minI64, 3, overflow),
		traps("sub underflow signed", "sub", minI64+", +1", 3, overflow),
		traps("sub kinds", "sub", "+7, 8", 3, mismatch),

		binary("mul", "mul", "7, 8", string(u64(nil, 56)), 3+3),
		binary("mul zero", "mul", "0, "+maxU64, string(u64(nil, 0)), 3+3),
		traps("mul overflow", "mul", "4294967296, 4294967296", 3, overflow),
		binary("mul largest", "mul", "4294967295, 4294967297", string(u64(nil, 1<<64-1)), 3+3),
		binary("mul signed", "mul", "-7, +8", string(i64(nil, -56)), 3+3),
		binary("mul zero signed", "mul", minI64+", +0", string(i64(nil, 0)), 3+3),
		binary("mul smallest", "mul", "+4611686018427387904, -2", string(i64(nil, -1<<63)), 3+3),
		traps("mul negate smallest", "mul", minI64+", -1", 3, overflow),
		traps("mul negate smallest, turned", "mul", "-1, "+minI64, 3, overflow),
		traps("mul overflow signed", "mul", "+4611686018427387904, +2", 3, overflow),
		traps("mul kinds", "mul", "7, +8", 3, mismatch),

		{name: "len of text is bytes", body: "len r0, r2; ret r2", args: "wide8", want: string(u64(nil, 2)), fuel: 2 + 3},
		{name: "len of bytes", body: "len r0, r2; ret r2", args: "raw", want: string(u64(nil, 2)), fuel: 2 + 3},
		{name: "len of list", body: "len r0, r2; ret r2", args: "&none", want: string(u64(nil, 0)), fuel: 2 + 3},
		{name: "len of map", body: "len r0, r2; ret r2", args: "&m8", want: string(u64(nil, 2)), fuel: 2 + 3},
		{name: "len of record", body: "make p, r0; len r0, r2; ret r2", want: string(u64(nil, 1))},
		{name: "len of number", body: "len r0, r2; ret r2", args: "7", trap: TrapType, fuel: 2},
		{name: "len of null", body: "len r8, r2; ret r2", trap: TrapType, fuel: 2},

		binary("at", "at", "&three8, 0", "\x03\x05", 3+3),
		binary("at last", "at", "&three8, 2", text("hi"), 3+3),
		binary("at a part", "at", "&three8, 1", "\x08\x02\x03\x01\x06\x02hi\x03\x02\x03\x01", 3+3),
		traps("at the end", "at", "&three8, 3", 3, index),
		traps("at the far end", "at", "&three8, "+maxU64, 3, index),
		traps("at of none", "at", "&none, 0", 3, index),
		traps("at signed", "at", "&three8, +1", 3, mismatch),
		traps("at of text", "at", "hi, 0", 3, mismatch),
		traps("at of map", "at", "&m8, 1", 3, mismatch),
		{name: "at null", body: "list r0, r8; const hi, r2; const no, r1; len r1, r1; at r0, r1, r2; ret r2", want: "\x00"},
		{name: "at pays for the list", body: "list r0, r0, r0, r0, r0; len r8, r8; ret", args: "long", trap: TrapType, fuel: (4 + 34) + 2},
		{name: "at loses nothing but the record type", body: "make p, r0; list r0, r0; const no, r1; len r1, r1; at r0, r1, r2; match r2, type point, yes; ret r2; yes: halt", want: "\x08\x01\x03\x01\x04\x0a"},

		binary("append", "append", "&none, 7", "\x07\x01\x03\x07", 4+1+3),
		binary("append a list", "append", "&none, &none", "\x07\x01\x07\x00", 4+1+3),
		binary("append pays for all", "append", "&three8, long", "\x07\x04\x03\x05\x08\x02\x03\x01\x06\x02hi\x03\x02\x03\x01\x06\x02hi"+text(strings.Repeat("0123456789", 7)[:64]), 4+11+4),
		{name: "append null", body: "append r0, r8, r0; append r0, r8, r0; ret r0", args: "&none", want: "\x07\x02\x00\x00"},
		traps("append to text", "append", "hi, 1", 4, mismatch),
		{name: "append to null", body: "append r8, r8, r2; ret", trap: TrapType, fuel: 4},
		{name: "append deepest", body: deepen(31) + "make none, r1; append r1, r0, r2; ret", want: "\x00"},
		{name: "append too deep", body: deepen(32) + "make none, r1; append r1, r0, r2; ret", trap: TrapDeep},
		{name: "append to the deepest", body: deepen(32) + "append r0, r9, r0; append r0, r0, r0; ret", trap: TrapDeep},
		{name: "append to a deep list", body: deepen(32) + "append r0, r9, r0; ret", want: "\x00"},
		{name: "append too large", body: "make none, r1;" + double("r0", 18) + "append r1, r0, r1; append r1, r0, r1; ret", args: "long", trap: TrapLarge, budget: "cpu_us=100000 io=0 writes=0"},

		binary("concat text", "concat", "hi, wide8", text("hi\u00e9"), 4+1+3),
		binary("concat bytes", "concat", "raw, two8", "\x05\x03\x01\x02\x02", 4+1+3),
		binary("concat lists", "concat", "&three8, &three8", "\x07\x06"+strings.Repeat("\x03\x05\x08\x02\x03\x01\x06\x02hi\x03\x02\x03\x01\x06\x02hi", 2), 4+5+3),
		binary("concat nothing", "concat", "no, no", "\x06\x00", 4+1+3),
		traps("concat kinds", "concat", "hi, raw", 4, mismatch),
		traps("concat maps", "concat", "&m8, &m8", 4, mismatch),
		traps("concat numbers", "concat", "7, 8", 4, mismatch),
		traps("concat list and item", "concat", "&three8, 7", 4, mismatch),
		{name: "concat largest", body: double("r0", 17) + "const raw, r1; ret", args: "long", want: "\x00", budget: "cpu_us=100000 io=0 writes=0"},
		{name: "concat too large", body: double("r0", 18) + "ret", args: "long", trap: TrapLarge, budget: "cpu_us=100000 io=0 writes=0"},
		{name: "concat keeps the depth", body: deepen(32) + "concat r0, r0, r0; list r0, r0; ret", trap: TrapDeep},
		{name: "concat into an operand", body: "concat r0, r0, r0; concat r0, r0, r0; ret r0", args: "hi", want: text("hihihihi")},

		{name: "a loop that counts", body: "const one, r3; again: add r1, r3, r1; lt r1, r0, r2; not r2, r2; jz r2, again; ret r1", args: "10, 0", want: "\x03\x0a", fuel: 3 + 10*(3+4+2+1) + 3},
	}
}

// double joins what a register holds to itself, n times.
func double(reg string, n int) string {
	return strings.Repeat("concat "+reg+", "+reg+", "+reg+";", n)
}

func TestSignedArithmetic(t *testing.T) {
	// The ends of 64 bits, and what lies around them.
	for _, a := range []int64{-1 << 63, -1<<63 + 1, -1 << 32, -1 << 31, -2, -1, 0, 1, 2, 1 << 31, 1 << 32, 1<<63 - 2, 1<<63 - 1} {
		for _, b := range []int64{-1 << 63, -1<<63 + 1, -1 << 32, -1 << 31, -2, -1, 0, 1, 2, 1 << 31, 1 << 32, 1<<63 - 2, 1<<63 - 1} {
			for _, op := range []uint8{opAdd, opSub, opMul} {
				got, ok := signedResult(op, a, b)
				want := bigResult(op, a, b)
				if ok != want.IsInt64() || ok && got != want.Int64() {
					t.Errorf("op %#x of %d and %d: %d, %v, want %s", op, a, b, got, ok, want)
				}
			}
		}
	}
}

// TestLevel1Feature: a program that holds an op of level 1 needs the feature,
// whether the op is executed or not.
func TestLevel1Feature(t *testing.T) {
	for _, code := range opcodes() {
		s, _ := specOf(code)
		if code < opEq {
			continue
		}
		regs := strings.TrimSuffix(strings.Repeat("r0, ", s.min), ", ")
		p, _ := load(t, "func main() -> any {\nret\n"+s.name+" "+regs+"\nret\n}\ntask t = main() budget cpu_us=1 io=0 writes=0\n")
		if got := p.Features(); !slices.Equal(got, []string{Level1}) {
			t.Errorf("%s: the features are %q", s.name, got)
		}
		short := "func main() -> any {\n" + s.name + " r0\nret\n}\ntask t = main() budget cpu_us=1 io=0 writes=0\n"
		if _, err := Assemble([]byte(short)); !errors.Is(err, ErrAsmSyntax) {
			t.Errorf("%s r0: got %v, want %s", s.name, err, ErrAsmSyntax)
		}
	}
	if p, _ := load(t, sample); p.Features() != nil {
		t.Errorf("a program of level 0 has the features %q", p.Features())
	}
	if got := Features(); !slices.IsSorted(got) || !slices.Contains(got, Level1) {
		t.Errorf("the interpreter has the features %q", got)
	}
}

func bigResult(op uint8, a, b int64) *big.Int {
	x, y := big.NewInt(a), big.NewInt(b)
	switch op {
	case opAdd:
		return x.Add(x, y)
	case opSub:
		return x.Sub(x, y)
	}
	return x.Mul(x, y)
}
