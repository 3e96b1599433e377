package ir

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// fakeHost answers effects. A tool without an answer echoes its payload.
type fakeHost struct {
	calls   []EffectCall
	answer  func(EffectCall) (abi.Response, error)
	tamper  func(*EffectResult)
	caps    []string // kind and scope of every RequireCap
	capErr  error
	onCalls func()
}

func (h *fakeHost) Effect(_ context.Context, call EffectCall) (EffectResult, error) {
	h.calls = append(h.calls, call)
	if h.onCalls != nil {
		h.onCalls()
	}
	resp := abi.Response{Status: 200, Payload: call.Payload}
	if h.answer != nil {
		var err error
		if resp, err = h.answer(call); err != nil {
			return EffectResult{}, err
		}
	}
	raw := resp.AppendCAN(nil)
	out := EffectResult{Status: resp.Status, Payload: resp.Payload, ResponseHash: cid.Sum(raw), ResponseLen: len(raw)}
	if resp.Error != nil {
		out.ErrorCode = resp.Error.Code
	}
	if h.tamper != nil {
		h.tamper(&out)
	}
	return out, nil
}

func (h *fakeHost) RequireCap(_ context.Context, kind uint64, scope []byte) error {
	h.caps = append(h.caps, string(can.AppendUint(nil, kind))+string(scope))
	return h.capErr
}

func answer(status uint16, payload []byte, code string) func(EffectCall) (abi.Response, error) {
	return func(EffectCall) (abi.Response, error) {
		r := abi.Response{Status: status, Payload: payload}
		if code != "" {
			r.Error = &abi.Error{Code: code}
		}
		return r, nil
	}
}

// load assembles and loads a text; its first task is the one that tests run.
func load(t testing.TB, src string) (*Program, cid.Hash) {
	t.Helper()
	a, err := AssembleNamed([]byte(src))
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	p, err := Load(a.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	return p, a.Tasks[0].ID
}

// prelude is what the programs of the op table may use. Its text is a format:
// body, return type, budget.
const prelude = `
type point "Point" = record { 1 x: i64, 2 y?: i64, 300 z?: any }
type color = enum { red, green }
type line = record { 1 from: point, 2 to?: point, 3 hue?: color }
const hi = text "hi"
const no = text ""
const one = u64 1
const raw = bytes "0102"
const big = u64 18446744073709551615
const neg = i64 -1
const zero = i64 0
const id = hash sha256:0000000000000000000000000000000000000000000000000000000000000001
const media = text "text/plain"
const long = text "0123456789012345678901234567890123456789012345678901234567890123"
node p = record point { 1: +5 }
node pbad = record point { 2: +5 }
node m = record { 1: hi, 2: r0, 129: 1, 256: 2 }
node l = list { 1, r0, &m, hi }
node empty = record {}
node emptyp = record color2 {}
type color2 = record {}
node line1 = record line { 1: &p, 2: &p }
node linebad = record line { 1: r0 }
node none = list {}
node m8 = record { 1: hi, 2: 1 }
node three8 = list { 5, &m8, hi }
const none8 = bytes ""
const two8 = bytes "02"
const wide8 = text "\u00e9"
contract pos = requires subject.1 > +0 ensures true
contract never = requires true ensures false
contract inv = requires true ensures true invariant inputs.0 == 7
tool echo = demo/echo interface 1 (any) -> any
tool txt = demo/txt interface 1 (text) -> text
tool pt = demo/pt interface 2 (any) -> point
func id1(any) -> any {
  ret r0
}
func topoint(any) -> point {
  ret r0
}
func frompoint(point) -> any {
  ret r0
}
func halts() -> any {
  const hi, r0
  halt r0
}
func noresult() -> any {
  nop
  ret
}
`

type opTest struct {
	name   string
	body   string
	ret    string // "any" if empty
	budget string // cpu_us=1000 io=10 writes=10 if empty
	args   string
	want   string // the canonical result, if trap is empty
	trap   fault.Code
	fuel   uint64
	host   *fakeHost
	also   func(*testing.T, *fakeHost, Result)
}

func (o *opTest) source() string {
	ret, budget := o.ret, o.budget
	if ret == "" {
		ret = "any"
	}
	if budget == "" {
		budget = "cpu_us=1000 io=10 writes=10"
	}
	types := strings.TrimSuffix(strings.Repeat("any, ", strings.Count(o.args, ",")+1), ", ")
	if o.args == "" {
		types = ""
	}
	return prelude + "func main(" + types + ") -> " + ret + " {\n" + strings.ReplaceAll(o.body, ";", "\n") + "\n}\ntask main = main(" + o.args + ") budget " + budget + "\n"
}

func (o *opTest) run(t *testing.T, fuelLimit uint64) Result {
	p, task := load(t, o.source())
	host := &fakeHost{}
	if o.host != nil {
		copied := *o.host
		host = &copied
	}
	res, err := p.runWith(task, host, fuelLimit)
	if err != nil {
		t.Fatal(err)
	}
	if o.also != nil && fuelLimit == 0 {
		o.also(t, host, res)
	}
	return res
}

// runWith runs a task with a purse of exactly fuel, if that is not 0: budgets
// come in thousands.
func (p *Program) runWith(task cid.Hash, host Host, fuel uint64) (Result, error) {
	if fuel == 0 {
		return p.Run(context.Background(), RunOptions{Task: task}, host)
	}
	t := &p.tasks[p.taskIndex[task]]
	m := newMachine(p, t, &RunOptions{Task: task}, host)
	m.limit, m.fuel, m.poll = fuel, fuel, fuel
	m.start(t.inputs)
	return m.finish(context.Background())
}

func text(s string) string { return string(can.AppendText(nil, s)) }

func hashValue(h cid.Hash) string { return string(h.AppendCAN(nil)) }

// opTests is the table of RFC-MYTHOS-0012 §4, one or more rows for each way an
// op can go. fuel is worked out by hand from §6.2; 0 leaves it unchecked.
func opTests() []opTest {
	point5 := "\x08\x01\x03\x01\x04\x0a"
	hiMap := "\x08\x03\x03\x01\x06\x02hi\x03\x80\x02\x03\x02\x03\x81\x01\x03\x01"
	return append(level1Tests(), []opTest{
		{name: "nop", body: "nop; nop; ret", want: "\x00", fuel: 2 + 3},
		{name: "halt", body: "halt", want: "\x00", fuel: 2},
		{name: "halt value", body: "const hi, r3; halt r3", want: text("hi"), fuel: 3 + 2},
		{name: "halt in a callee", body: "call halts, 0, r1; nop; ret", want: text("hi"), fuel: 10 + 3 + 2},
		{name: "halt type", body: "const hi, r0; halt r0", ret: "u64", trap: TrapType, fuel: 3 + 2},
		{name: "jmp", body: "jmp over; halt; over: const hi, r0; ret r0", want: text("hi"), fuel: 1 + 3 + 3},
		{name: "jz null", body: "jz r9, t; halt; t: const hi, r0; ret r0", want: text("hi"), fuel: 1 + 3 + 3},
		{name: "jz empty text", body: "const no, r1; jz r1, t; halt; t: const hi, r0; ret r0", want: text("hi"), fuel: 3 + 1 + 3 + 3},
		{name: "jz zero i64", body: "const zero, r1; jz r1, t; halt; t: const hi, r0; ret r0", want: text("hi")},
		{name: "jz empty list", body: "make none, r1; jz r1, t; halt; t: const hi, r0; ret r0", want: text("hi")},
		{name: "jz empty map", body: "make empty, r1; jz r1, t; halt; t: const hi, r0; ret r0", want: text("hi")},
		{name: "jz empty record stays", body: "make emptyp, r1; jz r1, t; ret; t: const hi, r0; ret r0", want: "\x00"},
		{name: "jz text stays", body: "const hi, r1; jz r1, t; ret; t: ret r1", want: "\x00"},
		{name: "jz hash stays", body: "const id, r1; jz r1, t; ret; t: ret r1", want: "\x00"},

		{name: "call", body: "const hi, r0; call id1, 1, r4; ret r4", want: text("hi"), fuel: 3 + 11 + 3 + 3},
		{name: "call into r0", body: "const hi, r0; call id1, 1; ret r0", want: text("hi")},
		{name: "call frame is fresh", body: "const hi, r5; call noresult, 0, r5; ret r5", want: "\x00"},
		{name: "call leaves the caller", body: "const hi, r5; call noresult, 0, r1; ret r5", want: text("hi")},
		{name: "call argument type", body: "const hi, r0; call frompoint, 1; ret", trap: TrapType, fuel: 3 + (11 + 1)},
		{name: "call return type", body: "const hi, r0; call topoint, 1; ret", trap: TrapType, fuel: 3 + 11 + (3 + 1)},
		{name: "call makes a record", body: "make m, r0; make p, r1; get r1, 1, r2; ret r2", want: "\x04\x0a"},
		{name: "call depth", body: "call self, 0; ret", trap: TrapDepth, budget: "cpu_us=1000 io=0 writes=0 max_depth=3", fuel: 30},
		{name: "call depth comes before types", body: "const hi, r0; call frompoint, 1; ret", trap: TrapDepth, budget: "cpu_us=1000 io=0 writes=0 max_depth=1", fuel: 3 + (11 + 1)},
		{name: "call default depth", body: "call self, 0; ret", trap: TrapDepth, fuel: 64 * 10},

		{name: "ret type", body: "const hi, r0; ret r0", ret: "point", trap: TrapType, fuel: 3 + (3 + 1)},
		{name: "ret record", body: "make p, r0; ret r0", ret: "point", want: point5},
		{name: "ret enum", body: "ret r0", ret: "color", args: "1", want: "\x03\x01"},
		{name: "ret enum beyond", body: "ret r0", ret: "color", args: "2", trap: TrapType},
		{name: "ret long", body: "const long, r0; ret r0", want: text(strings.Repeat("0123456789", 7)[:64]), fuel: 2 + 9 + 2 + 2},

		{name: "const u64", body: "const big, r0; ret r0", want: "\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", fuel: 2 + 2 + 3},
		{name: "const i64", body: "const neg, r0; ret r0", want: "\x04\x01", fuel: 2 + 1 + 3},
		{name: "const bytes", body: "const raw, r0; ret r0", want: "\x05\x02\x01\x02"},
		{name: "const hash", body: "const id, r0; ret r0", want: "\x08\x02\x03\x01\x03\x01\x03\x02\x05\x20" + strings.Repeat("\x00", 31) + "\x01", fuel: 2 + 6 + 3},

		{name: "make record", body: "make p, r0; ret r0", want: point5, fuel: 4 + 1 + (1 + 1) + 3},
		{name: "make leaves null out, keys in order", body: "make m, r1; ret r1", want: hiMap, fuel: 4 + 4 + 3 + 3},
		{name: "make list keeps null", body: "make l, r1; ret r1", want: "\x07\x04\x03\x01\x00" + hiMap + text("hi"), fuel: 4 + 8 + 4 + 3},
		{name: "make shares nodes", body: "make line1, r1; ret r1", want: "\x08\x02\x03\x01" + point5 + "\x03\x02" + point5, fuel: 4 + 4 + (3 + 3 + 1) + 3},
		{name: "make missing field", body: "make pbad, r1; ret r1", trap: TrapType, fuel: 4 + 1 + (1 + 1)},
		{name: "make wrong part", body: "const hi, r0; make linebad, r1; ret r1", trap: TrapType},
		{name: "make too deep", body: deepen(32) + "make l, r1; ret r1", trap: TrapDeep},

		{name: "get", body: "make m, r1; get r1, 256, r2; ret r2", want: "\x03\x02", fuel: 11 + 3 + 3},
		{name: "get absent", body: "make m, r1; const hi, r2; get r1, 7, r2; ret r2", want: "\x00"},
		{name: "get of a large key", body: "make m, r1; get r1, 0xffffffffffffffff, r2; ret r2", want: "\x00"},
		{name: "get from null", body: "get r1, 1, r2; ret r2", trap: TrapType, fuel: 3},
		{name: "get from a list", body: "make none, r1; get r1, 1, r2; ret r2", trap: TrapType},
		{name: "get no such field", body: "make p, r1; get r1, 3, r2; ret r2", trap: TrapType},
		{name: "get absent field of a record", body: "make p, r1; get r1, 2, r2; ret r2", want: "\x00"},
		{name: "get sets the record type", body: "make line1, r1; get r1, 2, r2; match r2, type point, yes; halt; yes: const hi, r0; ret r0", want: text("hi")},
		{name: "get of a map sets none", body: "make m, r1; get r1, 1, r2; match r2, type text, yes; halt; yes: ret r2", want: "\x00"},

		{name: "set replaces", body: "make m, r1; const no, r2; set r1, 256, r2, r1; ret r1", want: "\x08\x03\x03\x01\x06\x02hi\x03\x80\x02\x06\x00\x03\x81\x01\x03\x01", fuel: 11 + 3 + (4 + 1 + 3) + 3},
		{name: "set adds in order", body: "make m, r1; const no, r2; set r1, 2, r2, r1; ret r1", want: "\x08\x04\x03\x01\x06\x02hi\x03\x02\x06\x00\x03\x80\x02\x03\x02\x03\x81\x01\x03\x01"},
		{name: "set removes", body: "make m, r1; set r1, 1, r9, r1; ret r1", want: "\x08\x02\x03\x80\x02\x03\x02\x03\x81\x01\x03\x01"},
		{name: "set removes nothing", body: "make m, r1; set r1, 5, r9, r3; ret r3", want: hiMap},
		{name: "set on an empty map", body: "make empty, r1; const no, r2; set r1, 127, r2, r1; ret r1", want: "\x08\x01\x03\x7f\x06\x00"},
		{name: "set on null", body: "set r1, 5, r9, r3; ret r3", trap: TrapType, fuel: 5},
		{name: "set on a text", body: "const hi, r1; set r1, 5, r9, r3; ret r3", trap: TrapType},
		{name: "set record", body: "make p, r1; const neg, r2; set r1, 2, r2, r3; match r3, type point, yes; halt; yes: ret r3", want: "\x08\x02\x03\x01\x04\x0a\x03\x02\x04\x01"},
		{name: "set record, wrong value", body: "make p, r1; const hi, r2; set r1, 2, r2, r3; ret r3", trap: TrapType},
		{name: "set record, no such field", body: "make p, r1; set r1, 3, r2, r3; ret r3", trap: TrapType},
		{name: "set record, required field", body: "make p, r1; set r1, 1, r9, r3; ret r3", trap: TrapType},
		{name: "set record, optional field", body: "make line1, r1; set r1, 2, r9, r3; ret r3", want: "\x08\x01\x03\x01" + point5},
		{name: "set too deep", body: deepen(32) + "make empty, r1; set r1, 1, r0, r1; ret r1", trap: TrapDeep},
		{name: "set at the depth", body: deepen(31) + "make empty, r1; set r1, 1, r0, r1; ret", want: "\x00"},

		{name: "list", body: "const hi, r0; list r1, r0, r9, r0; ret r1", want: "\x07\x03\x06\x02hi\x00\x06\x02hi", fuel: 3 + (4 + 2) + 3},
		{name: "list of none", body: "list r1; ret r1", want: "\x07\x00", fuel: 4 + 1 + 3},
		{name: "list loses the record type", body: "make p, r0; list r1, r0; match r1, type point, yes; ret; yes: ret r1", want: "\x00"},
		{name: "list deepest", body: deepen(32) + "ret r0", want: strings.Repeat("\x07\x01", 31) + "\x07\x00"},
		{name: "list too deep", body: deepen(33) + "ret r0", trap: TrapDeep},
		{name: "list too large", body: "const long, r0;" + strings.Repeat("list r0, r0, r0, r0, r0, r0, r0, r0, r0, r0, r0, r0, r0, r0, r0, r0, r0;", 5) + "ret", trap: TrapLarge, budget: "cpu_us=10000 io=0 writes=0"},

		{name: "match const", body: "const hi, r1; match r1, hi, yes; halt; yes: ret r1", want: text("hi"), fuel: 3 + 3 + 3},
		{name: "match u64", body: "match r0, 7, yes; halt; yes: ret r0", args: "7", want: "\x03\x07"},
		{name: "match i64 is not u64", body: "match r0, +7, yes; halt; yes: ret r0", args: "7", want: "\x00"},
		{name: "match register", body: "const hi, r1; const hi, r2; match r1, r2, yes; halt; yes: ret r1", want: text("hi")},
		{name: "match no", body: "const hi, r1; match r1, no, yes; ret r1; yes: halt", want: text("hi")},
		{name: "match a type by the register, not the bytes", body: "call topoint, 1, r1; match r1, type point, yes; halt; yes: match r0, type point, no2; const hi, r0; ret r0; no2: halt", args: "&p", want: text("hi")},
		{name: "match enum never", body: "match r0, type color, yes; ret r0; yes: halt", args: "1", want: "\x03\x01"},

		{name: "require_cap", body: "require_cap 5, raw; ret", want: "\x00", fuel: 1000 + 3, also: func(t *testing.T, h *fakeHost, _ Result) {
			if len(h.caps) != 1 || h.caps[0] != "\x03\x05\x01\x02" {
				t.Errorf("asked for %q", h.caps)
			}
		}},

		{name: "assert", body: "make p, r0; assert pos, r0; ret", want: "\x00", fuel: 7 + (4 + 2 + 1) + 3},
		{name: "assert requires", body: "assert pos, r0; ret", trap: TrapContract, fuel: 4 + 2 + 1},
		{name: "assert ensures", body: "assert never, r0; ret", trap: TrapContract, fuel: 4 + 2},
		{name: "assert invariant", body: "assert inv, r9; ret", args: "7", want: "\x00", fuel: (4 + 3 + 1) + 3},
		{name: "assert invariant fails", body: "assert inv, r9; ret", args: "8", trap: TrapContract},

		{name: "effect", body: "const hi, r0; effect echo, r0, r1, r2; ret r1", want: text("hi"), fuel: 3 + 1000 + 4 + 2 + 3, also: func(t *testing.T, h *fakeHost, r Result) {
			c := h.calls[0]
			if c.Ordinal != 0 || c.Name != "demo/echo" || c.Tool != abi.ToolID("demo/echo", 1, abi.TypeAny, abi.TypeAny) || string(c.Payload) != text("hi") || c.Key != nil || c.Blob != nil || c.RequestLen != 121 {
				t.Errorf("the host saw %+v", c)
			}
			if r.IOUsed != 1 || r.IOLimit != 10 || r.StateWrites != 0 {
				t.Errorf("got %+v", r)
			}
		}},
		{name: "effect receipt", body: "effect echo, r0, r1, r2; ret r2", host: &fakeHost{answer: answer(404, []byte{0}, "gone")}, want: receiptOf(404, "gone")},
		{name: "effect receipt without error", body: "effect echo, r0, r1, r2; ret r2", host: &fakeHost{answer: answer(500, []byte{0}, "")}, want: receiptOf(500, "")},
		{name: "effect failure leaves null", body: "const hi, r1; effect echo, r0, r1, r2; ret r1", host: &fakeHost{answer: answer(500, []byte{0}, "bad")}, want: "\x00"},
		{name: "effect request type", body: "effect txt, r0, r1, r2; ret", trap: TrapType, fuel: 1000},
		{name: "effect response type", body: "const hi, r0; effect txt, r0, r1, r2; ret", host: &fakeHost{answer: answer(200, []byte{1}, "")}, trap: TrapType},
		{name: "effect response record", body: "make p, r0; effect pt, r0, r1, r2; match r1, type point, yes; halt; yes: ret r1", want: point5, fuel: 7 + 1000 + 4 + (2 + 1) + 3 + 3},
		{name: "effect explicit key", body: "const raw, r3; effect echo, r0, r1, r2, r3; effect echo, r0, r1, r2, hi; ret", want: "\x00", also: func(t *testing.T, h *fakeHost, _ Result) {
			if a, b := h.calls[0], h.calls[1]; string(a.Key) != "\x01\x02" || a.KeyText || string(b.Key) != "hi" || !b.KeyText || b.Ordinal != 1 {
				t.Errorf("the host saw %+v and %+v", a, b)
			}
		}},
		{name: "effect key type", body: "effect echo, r0, r1, r2, r0; ret", trap: TrapType, fuel: 1000},
		{name: "effect key empty", body: "const no, r3; effect echo, r0, r1, r2, r3; ret", trap: TrapKey},
		{name: "effect key long", body: "const long, r3; list r4, r3, r3, r3, r3; effect echo, r4, r5, r6; effect echo, r0, r1, r2, r5; ret", host: &fakeHost{answer: answer(200, can.AppendBytes(nil, make([]byte, 257)), "")}, trap: TrapKey},
		{name: "effect io", body: "effect echo, r0, r1, r2; effect echo, r0, r1, r2; ret", budget: "cpu_us=1000 io=1 writes=0", trap: TrapIO, also: func(t *testing.T, h *fakeHost, r Result) {
			if len(h.calls) != 1 || r.IOUsed != 1 {
				t.Errorf("%d calls, %+v", len(h.calls), r)
			}
		}},
		{name: "effect outputs may be inputs", body: "const hi, r0; effect echo, r0, r0, r1; ret r0", want: text("hi")},

		{name: "blob_put", body: "const raw, r0; blob_put r0, media, hi, r1, r2; ret r2", want: receiptOf(200, ""), host: &fakeHost{answer: answer(200, []byte{0}, "")}, also: func(t *testing.T, h *fakeHost, r Result) {
			c := h.calls[0]
			want := "\x08\x04\x03\x01" + hashValue(cid.Sum([]byte{1, 2})) + "\x03\x02\x03\x02\x03\x03" + text("text/plain") + "\x03\x04" + text("hi")
			if string(c.Payload) != want || string(c.Blob) != "\x01\x02" || c.Tool != abi.BlobPutID || c.Name != abi.BlobPut {
				t.Errorf("the host saw %+v", c)
			}
			if r.StateWrites != 1 || r.IOUsed != 1 {
				t.Errorf("got %+v", r)
			}
		}},
		{name: "blob_put fuel", body: "const raw, r0; blob_put r0, media, hi, r1, r2; ret", want: "\x00", fuel: 3 + 1000 + 1 + 6 + 4 + 3},
		{name: "blob_put type", body: "const hi, r0; blob_put r0, media, hi, r1, r2; ret", trap: TrapType, fuel: 3 + 1000},
		{name: "blob_put writes", body: "const raw, r0; blob_put r0, media, hi, r1, r2; ret", trap: TrapWrites, budget: "cpu_us=1000 io=1 writes=0", also: func(t *testing.T, h *fakeHost, r Result) {
			if len(h.calls) != 0 || r.IOUsed != 0 || r.StateWrites != 0 {
				t.Errorf("%d calls, %+v", len(h.calls), r)
			}
		}},
		{name: "blob_put io", body: "const raw, r0; blob_put r0, media, hi, r1, r2; ret", trap: TrapIO, budget: "cpu_us=1000 io=0 writes=1"},
		{name: "blob_get", body: blobRef + "blob_get r0, r1, r2; ret r1", host: &fakeHost{answer: answer(200, []byte("\x05\x01x"), "")}, want: "\x05\x01x", also: func(t *testing.T, h *fakeHost, _ Result) {
			if c := h.calls[0]; string(c.Payload[:4]) != "\x08\x01\x03\x01" || checkRef(c.Payload[4:]) != nil || c.Tool != abi.BlobGetID {
				t.Errorf("the host saw %+v", c)
			}
		}},
		{name: "blob_get type", body: "make p, r0; blob_get r0, r1, r2; ret r1", trap: TrapType, fuel: 7 + 1000},
		{name: "blob_chunk_get", body: blobRef + "const big, r5; blob_chunk_get r0, r5, r1, r2; ret r1", host: &fakeHost{answer: answer(416, []byte{0}, "blob_chunk_range")}, want: "\x00", also: func(t *testing.T, h *fakeHost, _ Result) {
			if c := h.calls[0]; c.Payload[1] != 2 || !strings.HasSuffix(string(c.Payload), "\x03\x02\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01") || c.Tool != abi.BlobChunkGetID {
				t.Errorf("the host saw %+v", c)
			}
		}},
		{name: "blob_get too deep", body: deepen(30) + "list r6, r0;" + blobRef + "set r0, 9, r6, r0; blob_get r0, r1, r2; ret", trap: TrapDeep},
		{name: "blob_get deepest", body: deepen(29) + "list r6, r0;" + blobRef + "set r0, 9, r6, r0; blob_get r0, r1, r2; ret", want: "\x00"},
		{name: "blob_chunk_get index", body: blobRef + "const neg, r5; blob_chunk_get r0, r5, r1, r2; ret r1", trap: TrapType},
	}...)
}

// blobRef puts a BlobRef into r0.
const blobRef = "make empty, r0; const id, r1; set r0, 1, r1, r0; const big, r1; set r0, 2, r1, r0;" +
	"const media, r1; set r0, 3, r1, r0; const one, r1; set r0, 4, r1, r0; set r0, 5, r1, r0;"

func receiptOf(status uint16, code string) string {
	r := abi.Response{Status: status, Payload: []byte{0}}
	if code != "" {
		r.Error = &abi.Error{Code: code}
	}
	return string(receiptValue(&EffectResult{Status: status, ErrorCode: code, ResponseHash: cid.Sum(r.AppendCAN(nil))}))
}

// deepen builds a LIST n deep in r0.
func deepen(n int) string { return "list r0;" + strings.Repeat("list r0, r0;", n-1) }

func TestOps(t *testing.T) {
	for _, o := range opTests() {
		t.Run(o.name, func(t *testing.T) {
			res := o.run(t, 0)
			if res.ErrorCode != o.trap || o.trap == "" && string(res.Value) != o.want {
				t.Fatalf("got %x %q (%s), want %x %q", res.Value, res.ErrorCode, res.Message, o.want, o.trap)
			}
			if o.trap == "" && res.ResultHash != cid.Sum([]byte(o.want)) || o.trap != "" && !res.ResultHash.IsZero() {
				t.Errorf("result hash %s", res.ResultHash)
			}
			if o.fuel != 0 && res.FuelUsed != o.fuel {
				t.Errorf("used %d fuel, want %d", res.FuelUsed, o.fuel)
			}
		})
	}
}

// TestExactFuel runs every program with exactly the fuel it needs, and with
// one less.
func TestExactFuel(t *testing.T) {
	for _, o := range opTests() {
		if o.trap != "" {
			continue
		}
		t.Run(o.name, func(t *testing.T) {
			need := o.run(t, 0).FuelUsed
			if res := o.run(t, need); res.ErrorCode != "" || res.FuelUsed != need || string(res.Value) != o.want {
				t.Errorf("a purse of %d: %+v", need, res)
			}
			if need == 1 {
				return
			}
			if res := o.run(t, need-1); res.ErrorCode != TrapFuel || res.Value != nil || res.FuelUsed > need-1 {
				t.Errorf("a purse of %d: %+v", need-1, res)
			}
		})
	}
}

func TestEveryOpcodeIsInTheTable(t *testing.T) {
	all := ""
	for _, o := range opTests() {
		all += " " + o.body + ";"
	}
	for _, name := range mnemonics() {
		if !strings.Contains(all, " "+name+" ") && !strings.Contains(all, " "+name+";") {
			t.Errorf("no test runs %s", name)
		}
	}
}

func TestHostErrorsStopTheRun(t *testing.T) {
	denied := fault.New("cap_expired", "expired")
	for name, o := range map[string]opTest{
		"effect":      {body: "effect echo, r0, r1, r2; ret", host: &fakeHost{answer: func(EffectCall) (abi.Response, error) { return abi.Response{}, denied }}},
		"require_cap": {body: "require_cap 999, raw; ret", host: &fakeHost{capErr: denied}},
	} {
		p, task := load(t, o.source())
		res, err := p.Run(context.Background(), RunOptions{Task: task}, o.host)
		if fault.CodeOf(err) != "cap_expired" || !errors.Is(err, denied) || res.ErrorCode != "" || res.Value != nil {
			t.Errorf("%s: got %+v, %v", name, res, err)
		}
	}
}

func TestHostFaults(t *testing.T) {
	for name, tamper := range map[string]func(*EffectResult){
		"payload":  func(r *EffectResult) { r.Payload = []byte{9} },
		"nothing":  func(r *EffectResult) { r.Payload = nil },
		"trailing": func(r *EffectResult) { r.Payload = []byte{0, 0} },
		"length":   func(r *EffectResult) { r.ResponseLen = 0 },
		"short":    func(r *EffectResult) { r.Payload, r.ResponseLen = []byte("\x05\x03abc"), 3 },
		"code":     func(r *EffectResult) { r.ErrorCode = "\xff" },
	} {
		o := opTest{body: "effect echo, r0, r1, r2; ret"}
		p, task := load(t, o.source())
		if _, err := p.Run(context.Background(), RunOptions{Task: task}, &fakeHost{tamper: tamper}); !errors.Is(err, ErrHost) {
			t.Errorf("%s: got %v, want %s", name, err, ErrHost)
		}
	}
}

func TestContextStopsALoop(t *testing.T) {
	p, task := load(t, "func main() -> any {\nagain: jmp again\n}\ntask main = main() budget cpu_us=18446744073709551 io=0 writes=0\n")
	reason := fault.New("deadline_exceeded", "too long")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(reason)
	if _, err := p.Run(ctx, RunOptions{Task: task}, &fakeHost{}); fault.CodeOf(err) != "deadline_exceeded" {
		t.Errorf("got %v", err)
	}
	ctx, cancel = context.WithCancelCause(context.Background())
	go cancel(reason)
	if _, err := p.Run(ctx, RunOptions{Task: task}, &fakeHost{}); !errors.Is(err, reason) {
		t.Errorf("got %v", err)
	}
}
