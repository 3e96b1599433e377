package ir

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// example is the worked example of RFC-MYTHOS-0012 §8.4.
const example = `; demo-001
const greeting = text "hello"
tool echo = demo/echo interface 1 (any) -> any

func main() -> any {
  const greeting, r0
  effect echo, r0, r1, r2
  ret r1
}

task main = main() budget cpu_us=50000 io=10 writes=0 max_depth=16
`

func TestWorkedExample(t *testing.T) {
	a, err := AssembleNamed([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Inspect(a.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, got, want string }{
		{"tool_id", b.Tools.Tools[0].ToolID.Hex(), "4927203fda6a2dfdedfc270963ad1872d7a0da7de72b49ff47b426a2e75df14b"},
		{"module_id", b.Symbols.Symbols[0].ModuleID.Hex(), "5cb6429039c27bef95c9ac46d4338919a9c850d46e8eaa01df0b1750b7052052"},
		{"SymbolID", symbolID(&b.Symbols.Symbols[0]).Hex(), "fb8a6ba9621dc89cb6c23ff1a32f025c280b5ef26e741eabc222fa6add31b919"},
		{"task_id", b.Tasks.Tasks[0].TaskID.Hex(), "025ab923aeb5492ccb8540d7cbb43b124a3dd9f6b770f8a75f7a51eb9cb0c4f5"},
		{"blob.put", abi.BlobPutID.Hex(), "4f931c457a95f79aee11aa101bd1eaab8bfe7565d885281ceb0a495d3c6d2f8b"},
		{"the inputs", inputsHash(t, a), "0a6361b3a802f55cd5ae06101c88a1e216320fe11cc0cfe1d791eed08a1200fd"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %s, want %s", c.what, c.got, c.want)
		}
	}
	if d := cmp.Diff([]Name{{"main", b.Tasks.Tasks[0].TaskID}}, a.Tasks); d != "" {
		t.Error(d)
	}
	p, err := Load(a.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	res, err := p.Run(context.Background(), RunOptions{Task: a.Tasks[0].ID}, &fakeHost{})
	if err != nil || string(res.Value) != text("hello") || res.FuelUsed != 1012 {
		t.Errorf("got %+v, %v; want hello for 1012 fuel", res, err)
	}
}

func inputsHash(t *testing.T, a Assembly) string {
	p, err := Load(a.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	in, err := p.Inputs(a.Tasks[0].ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sumHex(in)
}

// TestCanonicalText fixes the form that Disassemble writes, by a text that
// uses every production and comes back unchanged.
func TestCanonicalText(t *testing.T) {
	want := `author 0101010101010101010101010101010101010101010101010101010101010101 "me"

type point = record { 0 x: i64, 2 "odd name"?: any, 300: color }
type color = enum { red, "dark blue" }
type type2 "" = record {}
type func = enum { a }
type type4 "r1" = enum { a }

const c0 = i64 -5
const c1 = u64 18446744073709551615
const c2 = text "line\n\"\\\u0000` + "\u00e9" + `"
const c3 = bytes "00ff"
const c4 = hash sha256:0101010101010101010101010101010101010101010101010101010101010101
const c5 = text ""
const c6 = bytes ""

node n0 = record { 1: r0, 256: +5, 129: -5 }
node n1 = record any {}
node n2 = record type2 {}
node n3 = list { &n0, 7, c0 }
node n4 = list any { sha256:0101010101010101010101010101010101010101010101010101010101010101 }

contract one = requires subject.1.2 == +5 and (inputs != c2 or not episode.0 < 3) ensures true
contract two = requires not (true and false) and not not true ensures has_tool echo or has_status 200 and true invariant subject in { 1, -1, c4 }
contract three = requires (true or false) and true ensures has_tool sha256:0101010101010101010101010101010101010101010101010101010101010101

tool echo = demo/echo interface 1 (any) -> point
tool tool1 = other/echo interface 65535 (text) -> any
tool tool2 = other/list interface 0 (any) -> any

func main(any, point) -> any {
  nop
  const c0, r255
L2:
  make n3, r1
  get r1, 18446744073709551615, r2
  set r1, 300, r2, r1
  list r1
  list r1, r2, r3
  match r1, type point, L2
  match r1, type any, L2
  match r1, c2, L14
  match r1, 5, L14
  match r1, -5, L14
  match r1, r2, L14
  jz r1, L2
L14:
  call self, 2
  call helper, 0, r3
  effect echo, r0, r1, r2
  effect tool1, r0, r1, r2, r3
  effect tool1, r0, r1, r2, c3
  assert one, r1
  require_cap 5, c3
  blob_put r0, c2, c2, r1, r2
  blob_get r0, r1, r2
  blob_chunk_get r0, r3, r1, r2
  eq r0, r1, r255
  lt r0, r1, r2
  not r0, r2
  add r0, r1, r2
  sub r0, r1, r2
  mul r0, r1, r2
  len r0, r2
  at r0, r1, r2
  append r0, r1, r2
  concat r0, r1, r2
  jmp L2
}
func helper() -> null {
  halt
  halt r1
  ret r1
  ret
}
func func2 "helper" () -> null {
  nop
  ret
}

task task0 = main(c0, &n2) budget cpu_us=1 io=2 writes=3 max_depth=4 tokens=5 deadline_us=6 max_spawn=7 trace attest
task task1 = helper() budget cpu_us=1 io=0 writes=0

`
	want = strings.Replace(want, `func2 "helper" (`, `func2 "helper"(`, 1)
	want = strings.Replace(want, "main(any, point)", "main(any, type2)", 1)
	bundle, err := Assemble([]byte(want))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Disassemble(bundle)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
}

// TestSpelling: different texts of one bundle.
func TestSpelling(t *testing.T) {
	want, err := Assemble([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	for name, src := range map[string]string{
		"crlf":     strings.ReplaceAll(example, "\n", "\r\n"),
		"comments": strings.ReplaceAll(example, "\n", " ; why\n"),
		"numbers":  strings.NewReplacer("50000", "0xC350", "io=10", "io=1_0").Replace(example),
		"spaces":   strings.NewReplacer(",", " ,\t", "(any)", "(\n any ; x\n )").Replace(example),
		"escapes":  strings.Replace(example, "hello", `h\u0065ll\u006F`, 1),
		"order":    "task main = main() budget io=10 cpu_us=50000 max_depth=16 writes=0\n" + strings.SplitN(example, "task", 2)[0],
		"no end":   strings.TrimSuffix(example, "\n"),
		"labels":   strings.Replace(example, "  ret r1", "\nx:\n  y: ret r1\nz:", 1),
	} {
		got, err := Assemble([]byte(src))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s: %v, or another bundle", name, err)
		}
	}
}

func TestAssembleRefuses(t *testing.T) {
	const head = "const k = text \"x\"\ntool echo = demo/echo interface 1 (any) -> any\n"
	fn := func(body string) string {
		return head + "func main() -> any {\n" + body + "\n}\ntask main = main() budget cpu_us=1 io=0 writes=0\n"
	}
	for name, c := range map[string]struct {
		src  string
		code fault.Code
		at   string // LINE:COLUMN
		says string
	}{
		"item":             {"cosnt k = text \"\"\n", ErrAsmSyntax, "1:1", `did you mean "const"?`},
		"character":        {"const k = $", ErrAsmSyntax, "1:11", "no meaning"},
		"columns":          {"const k = text \"\u00e9\" \u00e9", ErrAsmSyntax, "1:20", "no meaning"},
		"two items":        {"const k = u64 1 const j = u64 2", ErrAsmSyntax, "1:17", "end of the line"},
		"u64 with a sign":  {"const k = u64 +1", ErrAsmSyntax, "1:15", "without a sign"},
		"u64 too big":      {"const k = u64 18446744073709551616", ErrAsmRange, "1:15", "64 bits"},
		"i64 too big":      {"const k = i64 9223372036854775808", ErrAsmRange, "1:15", "i64"},
		"i64 too small":    {"const k = i64 -9223372036854775809", ErrAsmRange, "1:15", "64 bits"},
		"number":           {"const k = u64 12ab", ErrAsmSyntax, "1:15", "not a number"},
		"underscore":       {"const k = u64 1__2", ErrAsmSyntax, "1:15", "underscore"},
		"text":             {"const k = text 5", ErrAsmSyntax, "1:16", "got a number"},
		"open string":      {"const k = text \"abc\n", ErrAsmSyntax, "1:20", "control character"},
		"open string, end": {"const k = text \"abc", ErrAsmSyntax, "1:16", "closing quote"},
		"escape":           {`const k = text "\x41"`, ErrAsmSyntax, "1:17", "escape"},
		"lone surrogate":   {`const k = text "\ud800"`, ErrAsmSyntax, "1:17", "escape"},
		"bytes":            {`const k = bytes "0"`, ErrAsmSyntax, "1:17", "pairs"},
		"upper case":       {`const k = bytes "AA"`, ErrAsmSyntax, "1:17", "lowercase"},
		"hash":             {`const k = hash sha256:00`, ErrAsmSyntax, "1:16", "64 lowercase"},
		"taken":            {`const r12 = u64 1`, ErrAsmName, "1:7", "taken"},
		"taken type":       {`type text = record {}`, ErrAsmName, "1:6", "taken"},
		"twice":            {"const k = u64 1\nconst k = u64 2\n", ErrAsmName, "2:7", "twice"},
		"long name":        {"const " + strings.Repeat("x", 129) + " = u64 1", ErrAsmSyntax, "1:7", "at most 128"},
		"type name":        {"type a = record { 1: pint }\ntype point = record {}\n", ErrAsmName, "1:22", `did you mean`},
		"type cycle":       {"type a = record { 1: b }\ntype b = record { 1: a }\n", ErrAsmCycle, "2:22", "itself"},
		"field id":         {"type a = record { 4294967296: any }\n", ErrAsmRange, "1:19", "field id"},
		"node below":       {"node a = list { &b }\nnode b = list {}\n", ErrAsmName, "1:17", "above"},
		"node self":        {"node a = list { &a }\n", ErrAsmName, "1:17", "above"},
		"node field twice": {"node a = record { 1: 1, 1: 2 }\n", ErrAsmSyntax, "1:28", "twice"},
		"author":           {"author 00\n", ErrAsmSyntax, "1:8", "64 lowercase"},
		"tool interface":   {"tool echo = demo/echo interface 65536 (any) -> any", ErrAsmRange, "1:33", "interface"},
		"tool name":        {fn("ret") + "tool x = Demo interface 1 (any) -> any", ErrTool, "7:6: tool 1", "tool name"},
		"tool type":        {"tool echo = demo/echo interface 1 () -> any", ErrAsmSyntax, "1:6", "request type"},
		"op":               {fn("  jump x"), ErrAsmSyntax, "4:3", "is not an op"},
		"op near":          {fn("  efect echo, r0, r1, r2"), ErrAsmSyntax, "4:3", `did you mean "effect"?`},
		"tool near":        {fn("  effect ech, r0, r1, r2\nret"), ErrAsmName, "4:10", `did you mean "echo"?`},
		"register":         {fn("  ret r256"), ErrAsmSyntax, "4:7", "r0 to r255"},
		"operand count":    {fn("  effect echo, r0\nret"), ErrAsmSyntax, "4:3", "operand 3 is a register"},
		"operand more":     {fn("  ret r1, r2"), ErrAsmSyntax, "4:11", "at most 1"},
		"operand kind":     {fn("  const r1, r2\nret"), ErrAsmSyntax, "4:9", "a constant"},
		"no comma":         {fn("  ret r1 r2"), ErrAsmSyntax, "4:10", `","`},
		"label":            {fn("  jmp nowhere"), ErrAsmName, "4:7", "label"},
		"label range":      {fn("  jmp 1"), ErrAsmRange, "4:7", "1 ops"},
		"label at the end": {fn("  jmp x\nx:"), ErrAsmRange, "4:7", "names op 1"},
		"label twice":      {fn("x: nop\nx: ret"), ErrAsmName, "5:1", "twice"},
		"function cycle":   {fn("call b, 0\nret") + "func b() -> any {\ncall main, 0\nret\n}\n", ErrAsmCycle, "9:6", "self"},
		"function open":    {head + "func main() -> any {\n ret\n", ErrAsmSyntax, "5:1", "the end of the text"},
		"function line":    {head + "func main() -> any { ret }\n", ErrAsmSyntax, "3:22", "the end of the line"},
		"extent end":       {fn("  nop"), ErrExtentEnd, "4:3: op 0", "want RET"},
		"outputs":          {fn("  effect echo, r0, r1, r1\nret"), ErrOperand, "4:3: op 0", "both r1"},
		"code and func":    {fn("ret") + "code {\nret\n}\n", ErrAsmSyntax, "7:1", "only function"},
		"budget":           {strings.ReplaceAll(fn("ret"), " budget cpu_us=1 io=0 writes=0", ""), ErrBudgetMissing, "6:19", "no budget"},
		"budget io":        {strings.ReplaceAll(fn("ret"), " io=0", ""), ErrBudgetMissing, "6:6", "lacks io"},
		"budget twice":     {strings.ReplaceAll(fn("ret"), " io=0", " io=0 io=1"), ErrAsmSyntax, "6:41", "twice"},
		"budget setting":   {strings.ReplaceAll(fn("ret"), " io=0", " ioo=0"), ErrAsmSyntax, "6:36", `did you mean "io"?`},
		"budget range":     {strings.ReplaceAll(fn("ret"), " io=0", " io=4294967296"), ErrAsmRange, "6:39", "at most"},
		"budget zero":      {strings.ReplaceAll(fn("ret"), "cpu_us=1", "cpu_us=0"), ErrBudget, "6:6: task 0", "cpu_us"},
		"task entry":       {strings.ReplaceAll(fn("ret"), "= main()", "= mian()"), ErrAsmName, "6:13", `did you mean "main"?`},
		"expression":       {"contract c = requires 5 ensures true", ErrAsmSyntax, "1:23", "an expression"},
		"comparison":       {"contract c = requires subject.1 ensures true", ErrAsmSyntax, "1:33", "a comparison"},
		"parenthesis":      {"contract c = requires (true ensures true", ErrAsmSyntax, "1:29", `")"`},
		"nesting":          {"contract c = requires " + strings.Repeat("(", 100) + "true", ErrAsmSyntax, "1:87", "nests"},
		"levels":           {"contract c = requires " + strings.Repeat("not ", 12) + "true ensures true", ErrContract, "1:23", "12 levels"},
		"empty set":        {"contract c = requires subject in {} ensures true", ErrAsmSyntax, "1:23", "empty set"},
		"literal":          {"contract c = requires subject == r1 ensures true", ErrAsmSyntax, "1:34", "a literal"},
		"not utf-8":        {"const k = text \"\xff\"", ErrAsmSyntax, "", "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Assemble([]byte(c.src))
			var f *fault.Error
			if !errors.As(err, &f) || f.Code != c.code {
				t.Fatalf("got %v, want %s", err, c.code)
			}
			if f.Subject != c.at || !strings.Contains(f.Message, c.says) {
				t.Errorf("got %v, want %s and %q", err, c.at, c.says)
			}
		})
	}
	if _, err := Assemble(make([]byte, MaxSource+1)); !errors.Is(err, ErrLimit) {
		t.Errorf("got %v, want %s", err, ErrLimit)
	}
}
