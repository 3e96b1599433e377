package ir

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
)

// gen writes random programs that are valid by construction.
type gen struct {
	t                                  *rapid.T
	out                                strings.Builder
	types, consts, texts, blobs        []string
	nodes, pureNodes, contracts, tools []string
	funcs                              []genFunc
	serial                             int
}

type genFunc struct {
	name string
	args int
}

func (g *gen) n(lo, hi int) int { return rapid.IntRange(lo, hi).Draw(g.t, "n") }

func (g *gen) one(of ...string) string { return rapid.SampledFrom(of).Draw(g.t, "one") }

func (g *gen) put(format string, args ...any) { fmt.Fprintf(&g.out, format, args...) }

func (g *gen) reg() string { return fmt.Sprintf("r%d", g.n(0, 5)) }

// name returns a fresh name, with a title every now and then.
func (g *gen) name(kind string) (string, string) {
	g.serial++
	s := fmt.Sprintf("%s_%d", kind, g.serial)
	odd := fmt.Sprintf(" \"%s \\u0001\\\"\\\\ \\u00e9\"", s)
	if kind != "f" { // two types or contracts of one name may be one type
		return s, s + g.one("", odd)
	}
	return s, s + g.one("", odd, ` ""`, ` "same"`, ` "r1"`)
}

func (g *gen) typeName() string { return g.one(append(builtinNames(), g.types...)...) }

func (g *gen) header() {
	if g.n(0, 1) == 0 {
		g.put("author %s %s\n", strings.Repeat(g.one("00", "a1"), 32), g.one("", `"hint"`))
	}
	for range g.n(0, 4) {
		name, titled := g.name("t")
		if g.n(0, 3) == 0 {
			g.put("type %s = enum { a, \"b c\" }\n", titled)
		} else {
			var fields []string
			for i, id := range []int{0, 1, 2, 129, 256} {
				if g.n(0, 2) > 0 {
					label := g.one("", fmt.Sprintf("f%d ", i), fmt.Sprintf("\"x %d\" ", i))
					fields = append(fields, fmt.Sprintf("%d %s%s: %s", id, label, g.one("", "?"), g.typeName()))
				}
			}
			g.put("type %s = record { %s }\n", titled, strings.Join(fields, ", "))
		}
		g.types = append(g.types, name)
	}
	g.constants()
	for range g.n(0, 5) {
		name := fmt.Sprintf("n%d", len(g.nodes))
		pure := g.n(0, 2) == 0
		if g.n(0, 1) == 0 {
			g.put("node %s = list%s { %s }\n", name, g.one("", " any"), g.values(pure, ""))
		} else {
			g.put("node %s = record%s { %s }\n", name, g.one("", " any", " map"), g.values(pure, "k"))
		}
		g.nodes = append(g.nodes, name)
		if pure {
			g.pureNodes = append(g.pureNodes, name)
		}
	}
	for range g.n(0, 3) {
		name, _ := g.name("tool")
		g.put("tool %s = gen/%s interface %d (%s) -> %s\n", name, strings.ReplaceAll(name, "_", "-"), g.n(0, 3), g.one("any", "any", g.typeName()), g.one("any", g.typeName()))
		g.tools = append(g.tools, name)
	}
	for range g.n(0, 3) {
		name, titled := g.name("c")
		g.put("contract %s = requires %s ensures %s%s\n", titled, g.expr(0), g.expr(0), g.one("", " invariant "+g.expr(0)))
		g.contracts = append(g.contracts, name)
	}
}

func (g *gen) constants() {
	for i := range g.n(1, 6) {
		name := fmt.Sprintf("k%d", i)
		kind := g.n(0, 4)
		g.put("const %s = %s\n", name, []string{
			fmt.Sprintf("i64 %d", rapid.Int64().Draw(g.t, "i")), fmt.Sprintf("u64 %d", rapid.Uint64().Draw(g.t, "u")),
			`bytes "` + g.one("00", "0102ff") + `"`, `text ` + g.one(`"x"`, `"\u00e9 \n"`), "hash sha256:" + strings.Repeat("ab", 32),
		}[kind])
		g.consts = append(g.consts, name)
		switch kind {
		case 2:
			g.blobs = append(g.blobs, name)
		case 3:
			g.texts = append(g.texts, name)
		}
	}
	g.put("const e0 = text \"\"\nconst e1 = bytes \"\"\n")
	g.consts = append(g.consts, "e0", "e1")
}

func (g *gen) values(pure bool, keys string) string {
	var parts []string
	for i := range g.n(0, 4) {
		v := g.one(append([]string{"5", "+5", "-7", "sha256:" + strings.Repeat("cd", 32)}, g.consts...)...)
		switch {
		case g.n(0, 2) == 0 && pure && len(g.pureNodes) > 0:
			v = "&" + g.one(g.pureNodes...)
		case g.n(0, 2) == 0 && !pure && len(g.nodes) > 0:
			v = "&" + g.one(g.nodes...)
		case g.n(0, 1) == 0 && !pure:
			v = g.reg()
		}
		if keys != "" {
			v = fmt.Sprintf("%d: %s", []int{0, 1, 129, 256}[i], v)
		}
		parts = append(parts, v)
	}
	return strings.Join(parts, ", ")
}

func (g *gen) literal() string {
	return g.one(append([]string{"0", "7", "+7", "-1", "sha256:" + strings.Repeat("00", 32)}, g.consts...)...)
}

func (g *gen) expr(level int) string {
	if level > 3 {
		return "true"
	}
	path := g.one("subject", "inputs", "episode") + g.one("", ".0", ".1", ".0.1", ".256")
	switch g.n(0, 9) {
	case 0:
		return "(" + g.expr(level+1) + " and " + g.expr(level+1) + ")"
	case 1:
		return "(" + g.expr(level+1) + " or " + g.expr(level+1) + " or " + g.expr(level+1) + ")"
	case 2:
		return g.expr(level+1) + " and " + g.expr(level+1)
	case 3:
		return "not " + g.one("true", "false", path+" == "+g.literal(), "("+g.expr(level+1)+")")
	case 4:
		return path + " in { " + g.literal() + ", " + g.literal() + " }"
	case 5:
		return "has_status " + g.one("200", "500")
	case 6:
		return "has_tool " + g.one(append([]string{"sha256:" + strings.Repeat("11", 32)}, g.tools...)...)
	}
	return path + " " + g.one("==", "!=", "<", "<=", ">", ">=") + " " + g.literal()
}

func (g *gen) op(label func() string) string {
	r := g.reg
	pick := func(of []string, f func(string) string) string {
		if len(of) == 0 {
			return "nop"
		}
		return f(g.one(of...))
	}
	two := func() string { return g.one("r1, r2", "r3, r0", "r5, r4") }
	switch g.n(0, 19) {
	case 0, 1:
		return "const " + g.one(g.consts...) + ", " + r()
	case 2, 3:
		return pick(g.nodes, func(n string) string { return "make " + n + ", " + r() })
	case 4:
		return fmt.Sprintf("get %s, %d, %s", r(), []int{0, 1, 2, 129, 256}[g.n(0, 4)], r())
	case 5, 6:
		return fmt.Sprintf("set %s, %d, %s, %s", r(), []int{0, 1, 2, 129, 256}[g.n(0, 4)], r(), r())
	case 7, 8:
		return "list " + r() + strings.Repeat(", "+r(), g.n(0, 16))
	case 9:
		return "jz " + r() + ", " + label()
	case 10:
		return "match " + r() + ", " + g.one(r(), "7", "-1", g.one(g.consts...), "type "+g.typeName()) + ", " + label()
	case 11:
		return "jmp " + label()
	case 12:
		if len(g.funcs) == 0 {
			return "nop"
		}
		f := g.funcs[g.n(0, len(g.funcs)-1)]
		return fmt.Sprintf("call %s, %d%s", f.name, f.args, g.one("", ", r2"))
	case 13:
		return pick(g.contracts, func(c string) string { return "assert " + c + ", " + r() })
	case 14, 15:
		return pick(g.tools, func(t string) string { return "effect " + t + ", " + r() + ", " + two() + g.one("", ", "+r()) })
	case 16:
		return pick(g.texts, func(k string) string { return "blob_put " + r() + ", " + k + ", " + k + ", " + two() })
	case 17:
		return g.one("blob_get "+r()+", "+two(), "blob_chunk_get "+r()+", "+r()+", "+two())
	case 18:
		return pick(g.blobs, func(k string) string { return fmt.Sprintf("require_cap %d, %s", g.n(0, 70), k) })
	}
	return g.one("ret", "ret r0", "halt", "halt r1", "nop")
}

func (g *gen) body() {
	n := g.n(1, 14)
	label := func() string { return g.one(fmt.Sprintf("l%d", g.n(0, n-1)), fmt.Sprint(g.n(0, n-1))) }
	for i := range n {
		op := g.op(label)
		if i == n-1 {
			op = g.one("ret", "ret r1", "halt r0", "jmp "+label())
		}
		g.put("l%d: %s\n", i, op)
	}
	g.put("}\n")
}

func (g *gen) program() string {
	g.header()
	budget := fmt.Sprintf("budget cpu_us=%d io=%d writes=%d%s%s\n", g.n(1, 20), g.n(0, 5), g.n(0, 2),
		g.one("", " max_depth=5", " tokens=0 deadline_us=1 max_spawn=0"), g.one("", " trace", " trace attest"))
	arg := func() string {
		v := g.one(append([]string{"1", "-1"}, g.consts...)...)
		if len(g.pureNodes) > 0 && g.n(0, 1) == 0 {
			v = "&" + g.one(g.pureNodes...)
		}
		return v
	}
	if g.n(0, 4) == 0 {
		g.put("code {\n")
		g.body()
		g.put("task main = sha256:%s(%s) %s", strings.Repeat("00", 32), arg(), budget)
		return g.out.String()
	}
	for range g.n(1, 3) {
		name, titled := g.name("f")
		args := g.n(0, 3)
		g.put("func %s(%s) -> %s {\n", titled, strings.TrimSuffix(strings.Repeat("any, ", args), ", "), g.one("any", "any", g.typeName()))
		g.put("nop\nlist r0, %s\n", strings.TrimSuffix(strings.Repeat("r9, ", 1+len(g.funcs)), ", ")) // no two alike
		g.body()
		g.funcs = append(g.funcs, genFunc{name, args})
	}
	f := g.funcs[g.n(0, len(g.funcs)-1)]
	var args []string
	for range f.args {
		args = append(args, arg())
	}
	g.put("task main = %s(%s) %s", f.name, strings.Join(args, ", "), budget)
	return g.out.String()
}

// varied answers effects in different ways, the same for the same call.
func varied(call EffectCall) (abi.Response, error) {
	switch call.Ordinal % 4 {
	case 1:
		return abi.Response{Status: 500, Payload: []byte{can.Null}, Error: &abi.Error{Code: "bad"}}, nil
	case 2:
		return abi.Response{Status: 200, Payload: []byte("\x08\x01\x03\x01\x00")}, nil
	}
	return abi.Response{Status: 200, Payload: call.Payload}, nil
}

// TestPrograms: what assembles runs without a panic, twice to the same end;
// and its text and bundle say the same.
func TestPrograms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := (&gen{t: t}).program()
		a, err := AssembleNamed([]byte(src))
		if err != nil {
			t.Fatalf("%v\n%s", err, src)
		}
		roundTrip(t, a.Bundle)
		p, err := Load(a.Bundle)
		if err != nil {
			t.Fatal(err)
		}
		first := runBounded(t, p)
		if d := cmp.Diff(first, runBounded(t, p)); d != "" {
			t.Fatalf("two runs differ: %s", d)
		}
	})
}

type fataler interface {
	Fatalf(string, ...any)
	Fatal(...any)
}

func roundTrip(t fataler, bundle []byte) {
	out, err := Disassemble(bundle)
	if err != nil {
		t.Fatalf("%v", err)
	}
	again, err := Assemble(out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !bytes.Equal(again, bundle) {
		t.Fatalf("the bundle changed:\n%s", out)
	}
}

// runPurse runs a task with a purse that no budget could name.
func runPurse(t fataler, p *Program, i int, purse uint64) Result {
	ti := &p.tasks[i]
	host := &fakeHost{answer: varied}
	m := newMachine(p, ti, &RunOptions{Task: ti.def.TaskID}, host)
	m.limit, m.fuel, m.poll = purse, purse, purse
	m.start(ti.inputs)
	res, err := m.finish(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if (res.ErrorCode == "") != (res.Value != nil) || res.FuelUsed > purse || res.IOUsed > res.IOLimit || res.StateWrites > res.WriteLimit || uint64(len(host.calls)) != res.IOUsed {
		t.Fatalf("%d calls, %+v", len(host.calls), res)
	}
	if res.Value != nil && checkValue(res.Value) != nil {
		t.Fatalf("the result %x is not a value", res.Value)
	}
	for _, c := range host.calls {
		if checkValue(c.Payload) != nil || c.RequestLen != abi.RequestLen(c.Payload) {
			t.Fatalf("the payload %x is not a value", c.Payload)
		}
	}
	return res
}

// runBounded runs every task with a small purse, then with exactly the fuel
// that it took, then with one less.
func runBounded(t fataler, p *Program) []Result {
	var out []Result
	for i := range p.tasks {
		res := runPurse(t, p, i, 20_000)
		out = append(out, res)
		if res.ErrorCode == TrapFuel || res.FuelUsed == 0 {
			continue
		}
		exact := runPurse(t, p, i, res.FuelUsed)
		if exact.ErrorCode != res.ErrorCode || !bytes.Equal(exact.Value, res.Value) {
			t.Fatalf("a purse of %d gives %+v, not %+v", res.FuelUsed, exact, res)
		}
		if less := runPurse(t, p, i, res.FuelUsed-1); less.ErrorCode != TrapFuel {
			t.Fatalf("a purse of %d gives %+v", res.FuelUsed-1, less)
		}
	}
	return out
}

// miniatures are small programs that between them use every production: what
// fuzzing starts from.
func miniatures() []string {
	main := func(body string) string {
		return "func main() -> any {\n" + body + "\nret r0\n}\ntask t = main() budget cpu_us=1 io=1 writes=1\n"
	}
	return []string{
		example,
		"code {\nL0: jmp L0\n}\ntask t = sha256:" + strings.Repeat("00", 32) + "(1, +1) budget cpu_us=1 io=0 writes=0 trace\n",
		"type p = record { 1 x: i64, 300?: any }\ntype e = enum { a, \"b c\" }\nnode n = record p { 1: +1 }\n" + main("make n, r0\nmatch r0, type p, 0"),
		"node n = record { 1: r0, 256: 7 }\nnode m = list { &n, &n, -1 }\n" + main("make m, r0\nget r0, 1, r1\nset r0, 129, r0, r0\nlist r0, r0, r0"),
		"const k = bytes \"00\"\ncontract c = requires subject.0 >= k and not (true or inputs in { 1, +1 }) ensures has_status 200 invariant false\n" + main("assert c, r1\nrequire_cap 1, k"),
		"const k = text \"\\u00e9\"\nconst b = bytes \"00\"\n" + main("const b, r0\nblob_put r0, k, k, r1, r2\nblob_get r1, r0, r2\nblob_chunk_get r1, r1, r0, r2"),
		"func f(any) -> text {\nret r0\n}\n" + main("jz r0, x\ncall f, 1, r2\nx: call self, 0\nhalt"),
		"author " + strings.Repeat("01", 32) + " \"me\"\nconst i = i64 -1\nconst h = hash sha256:" + strings.Repeat("ab", 32) + "\nconst u = u64 0x1F\n" + main("const i, r0\nmatch r0, i, 0\nmatch r0, -1, 0"),
	}
}

func FuzzAssemble(f *testing.F) {
	for _, src := range miniatures() {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		bundle, err := Assemble(src)
		if err != nil {
			return
		}
		if _, err := Disassemble(bundle); err != nil {
			t.Fatal(err)
		}
		p, err := Load(bundle)
		if err != nil {
			t.Fatal(err)
		}
		runBounded(t, p)
	})
}
