package ir

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/can"
)

// price is a loop of one op on the values that make it slowest.
type price struct {
	name   string
	header string   // what stands before main
	types  []string // of the arguments; any if nil
	inputs []any    // reference values
	body   string   // ops, repeated in a loop
}

func nulls(n int) refList { return make(refList, n) }

// fieldsOf is a MAP of the fields 0 to n-1, or of the first of each thousand.
func fieldsOf(n int, v any) refMap {
	m := refMap{}
	for i := range n {
		m = append(m, refPair{uint64(i), v})
	}
	return refSorted(m)
}

// nested puts v into n lists.
func nested(v any, n int) any {
	for range n {
		v = refList{v}
	}
	return v
}

// wideType is a record type with n fields.
func wideType(name string, n int, typ string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "type %s = record {", name)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %d?: %s", i, typ)
	}
	return b.String() + " }\n"
}

func prices() []price {
	text1 := func(last string) refText { return refText(strings.Repeat("x", 1<<20) + last) }
	const wide = 20_000
	record := wideType("wide", wide, "any")
	sets := func() string {
		var b, names strings.Builder
		for i := range 500 {
			fmt.Fprintf(&b, "const s%d = text \"%s%04d\"\n", i, strings.Repeat("x", 8000), i)
			fmt.Fprintf(&names, "s%d, ", i)
		}
		return b.String() + "contract c = requires not subject in { " + strings.TrimSuffix(names.String(), ", ") + " } ensures true\n"
	}
	chain := func() string {
		b := strings.Builder{}
		b.WriteString(record + "type a0 = record { 1: wide }\nnode m0 = record a0 { 1: r0 }\n")
		for i := 1; i < 30; i++ {
			fmt.Fprintf(&b, "type a%d = record { 1: a%d }\nnode m%d = record a%d { 1: &m%d }\n", i, i-1, i, i, i-1)
		}
		return b.String()
	}
	zeros := "subject" + strings.Repeat(".0", 30)
	return []price{
		{name: "nop", body: "nop"},
		{name: "jz", body: "jz r0, again", inputs: []any{uint64(7)}},
		{name: "const", header: "const k = u64 7\n", body: "const k, r1"},
		{name: "call", header: "func f(any) -> any {\nret r0\n}\n", inputs: []any{uint64(7)}, body: "call f, 1, r0"},
		{name: "call 256 registers", header: "func f(any) -> any {\nconst k, r255\nret r0\n}\nconst k = u64 1\n", inputs: []any{uint64(7)}, body: "call f, 1, r0"},
		{name: "call with a record", header: record + "func f(wide) -> any {\nret\n}\n", inputs: []any{fieldsOf(wide, false)}, body: "call f, 1, r1"},
		{name: "call with sparse record", header: record + "func f(wide) -> any {\nret\n}\n", inputs: []any{fieldsOf(1, false)}, body: "call f, 1, r1"},
		{name: "call returning a list", header: "func f(any) -> list {\nret r0\n}\n", inputs: []any{nulls(1 << 20)}, body: "call f, 1, r1"},
		{name: "call with a list", header: "func f(list) -> any {\nret\n}\n", inputs: []any{nulls(1 << 20)}, body: "call f, 1, r1"},
		{name: "make", header: "node n = record { 1: r0, 2: r0 }\n", inputs: []any{uint64(7)}, body: "make n, r1"},
		{name: "make many references", header: "node m = list {}\nnode n = list {" + strings.TrimSuffix(strings.Repeat("&m,", 1000), ",") + "}\n", body: "make n, r1"},
		{name: "make chain of records", header: chain(), inputs: []any{fieldsOf(wide, false)}, body: "make m29, r1"},
		{name: "make chain of maps", header: strings.ReplaceAll(chain(), ": wide }", ": any }"), inputs: []any{nulls(1 << 20)}, body: "make m29, r1"},
		{name: "get", inputs: []any{fieldsOf(100_000, nil)}, body: "get r0, 99999, r1"},
		{name: "get small", inputs: []any{refMap{{uint64(1), uint64(1)}}}, body: "get r0, 1, r1"},
		{name: "set", inputs: []any{fieldsOf(100_000, nil), uint64(1)}, body: "set r0, 100000, r1, r2"},
		{name: "set small", inputs: []any{refMap{}, uint64(1)}, body: "set r0, 1, r1, r2"},
		{name: "set a record", header: "type big = record { 1: wide }\n" + record, types: []string{"big", "wide"}, inputs: []any{refMap{{uint64(1), fieldsOf(wide, false)}}, fieldsOf(wide, false)}, body: "set r0, 1, r1, r2"},
		{name: "list", inputs: []any{uint64(1)}, body: "list r1, r0"},
		{name: "list of lists", inputs: []any{nulls(1 << 16)}, body: "list r1, r0, r0, r0, r0, r0, r0, r0, r0, r0, r0, r0, r0, r0, r0, r0, r0"},
		{name: "match", inputs: []any{text1("a"), text1("a")}, body: "match r0, r1, again"},
		{name: "assert", header: "contract c = requires subject == 1 and subject.0 == 2 or true ensures true\n", inputs: []any{uint64(1)}, body: "assert c, r0"},
		{name: "assert set of texts", header: sets(), inputs: []any{refText(strings.Repeat("x", 8000) + "zzzz")}, body: "assert c, r0"},
		{name: "assert deep path", header: "contract c = requires " + zeros + " == 7 or true ensures true\n", inputs: []any{nested(nulls(1<<16), 30)}, body: "assert c, r0"},
		{name: "assert has_tool", header: "contract c = requires has_status 1 or has_status 2 or has_status 3 or true ensures true\n", body: "assert c, r0"},
		{name: "eq", inputs: []any{text1("a"), text1("b")}, body: "eq r0, r1, r2"},
		{name: "eq small", inputs: []any{uint64(1), uint64(2)}, body: "eq r0, r1, r2"},
		{name: "lt", inputs: []any{text1("a"), text1("b")}, body: "lt r0, r1, r2"},
		{name: "lt small", inputs: []any{uint64(1), uint64(2)}, body: "lt r0, r1, r2"},
		{name: "not", inputs: []any{uint64(1)}, body: "not r0, r2"},
		{name: "add", inputs: []any{uint64(1 << 62), uint64(1 << 62)}, body: "add r0, r1, r2"},
		{name: "sub", inputs: []any{uint64(1 << 62), uint64(1)}, body: "sub r0, r1, r2"},
		{name: "mul", inputs: []any{int64(1 << 31), int64(-1 << 31)}, body: "mul r0, r1, r2"},
		{name: "len", inputs: []any{nulls(1 << 20)}, body: "len r0, r2"},
		{name: "at", inputs: []any{nulls(1 << 20), uint64(1<<20 - 1)}, body: "at r0, r1, r2"},
		{name: "at of numbers", inputs: []any{numbers(1 << 20), uint64(1<<20 - 1)}, body: "at r0, r1, r2"},
		{name: "at small", inputs: []any{refList{uint64(1)}, uint64(0)}, body: "at r0, r1, r2"},
		{name: "append", inputs: []any{nulls(1 << 20), uint64(1)}, body: "append r0, r1, r2"},
		{name: "append small", inputs: []any{nulls(1), uint64(1)}, body: "append r0, r1, r2"},
		{name: "concat", inputs: []any{nulls(1 << 20), nulls(1 << 20)}, body: "concat r0, r1, r2"},
		{name: "concat small", inputs: []any{refText("a"), refText("b")}, body: "concat r0, r1, r2"},
	}
}

func numbers(n int) refList {
	list := make(refList, n)
	for i := range list {
		list[i] = uint64(1)
	}
	return list
}

// BenchmarkPrice prints what a unit of fuel takes, for each op where it is
// slowest. RFC-MYTHOS-0012 §6 means a unit to be bounded.
func BenchmarkPrice(b *testing.B) {
	for _, x := range prices() {
		b.Run(strings.ReplaceAll(x.name, " ", "_"), func(b *testing.B) { x.run(b) })
	}
}

// program is the loop as a function of the inputs, and a task that needs none.
func (x *price) program() string {
	types := x.types
	for len(types) < len(x.inputs) {
		types = append(types, "any")
	}
	return x.header + "func loop(" + strings.Join(types, ", ") + ") -> any {\nagain: " + strings.Repeat(x.body+"\n", 8) + "jmp again\n}\n" +
		"func start() -> any {\nret\n}\ntask main = start() budget cpu_us=1 io=0 writes=0\n"
}

func (x *price) run(b *testing.B) {
	p, _ := load(b, x.program())
	t := p.tasks[0]
	t.fn = int32(len(p.funcs) - 2) // loop
	inputs := can.AppendList(nil, len(x.inputs))
	for _, v := range x.inputs {
		inputs = append(inputs, refEncode(v)...)
	}
	var fuel uint64
	for b.Loop() {
		m := newMachine(p, &t, &RunOptions{}, &fakeHost{})
		const purse = 10_000_000
		m.limit, m.fuel, m.poll = purse, purse, purse
		m.start(inputs)
		res, err := m.finish(context.Background())
		if err != nil || res.ErrorCode != TrapFuel {
			b.Fatal(res.ErrorCode, res.Message, err)
		}
		fuel += res.FuelUsed
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(fuel), "ns/fuel")
	b.ReportMetric(0, "ns/op")
}
