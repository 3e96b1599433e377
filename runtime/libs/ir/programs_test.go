package ir

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
)

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
		src := newGen(rapidSource{t}).program()
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
