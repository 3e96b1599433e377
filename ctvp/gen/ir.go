package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ir"
)

// irGen makes vectors of bundles and runs.
type irGen struct {
	*suite
	first []irCase // of what each run is about and how it ends, for its seal
	seen  map[string]bool
}

// irSuite is the suite of the intermediate representation.
func irSuite(p *pack) {
	s := p.suite("ir", "RFC-MYTHOS-0012", "Bundles that are refused, and runs: every opcode, its costs to the unit, traps, effects and contracts.")
	s.flag("exact-fuel", "a run that needs its purse to the last unit, or one more")
	s.flag("bomb", "a small program whose values or frames grow beyond every bound")
	s.flag("bent", "a valid bundle of which one thing was changed and every id made right again")
	g := &irGen{suite: s, seen: map[string]bool{}}
	s.spec = "RFC-MYTHOS-0012 §5"
	g.loads()
	g.bent()
	g.badIDs()
	s.level = 2
	g.runs()
	g.level1()
	s.level = 2
	g.edges()
	g.stops()
	g.seals()
}

// irItem is an item of assembly text that a program may use.
type irItem struct{ name, text string }

// irItems are the items, in the order of their text. A program has those that it
// names, directly or not.
func irItems() []irItem {
	return []irItem{
		{"point", `type point "Point" = record { 1 x: i64, 2 y?: i64, 300 z?: any }`},
		{"color", `type color = enum { red, green }`},
		{"line", `type line = record { 1 from: point, 2 to?: point, 3 hue?: color }`},
		{"color2", `type color2 = record {}`},
		{"hi", `const hi = text "hi"`},
		{"no", `const no = text ""`},
		{"one", `const one = u64 1`},
		{"raw", `const raw = bytes "0102"`},
		{"big", `const big = u64 18446744073709551615`},
		{"neg", `const neg = i64 -1`},
		{"zero", `const zero = i64 0`},
		{"id", `const id = hash sha256:0000000000000000000000000000000000000000000000000000000000000001`},
		{"media", `const media = text "text/plain"`},
		{"long", `const long = text "0123456789012345678901234567890123456789012345678901234567890123"`},
		{"none8", `const none8 = bytes ""`},
		{"two8", `const two8 = bytes "02"`},
		{"wide8", `const wide8 = text "\u00e9"`},
		{"p", `node p = record point { 1: +5 }`},
		{"pbad", `node pbad = record point { 2: +5 }`},
		{"m", `node m = record { 1: hi, 2: r0, 129: 1, 256: 2 }`},
		{"l", `node l = list { 1, r0, &m, hi }`},
		{"empty", `node empty = record {}`},
		{"emptyp", `node emptyp = record color2 {}`},
		{"line1", `node line1 = record line { 1: &p, 2: &p }`},
		{"linebad", `node linebad = record line { 1: r0 }`},
		{"none", `node none = list {}`},
		{"m8", `node m8 = record { 1: hi, 2: 1 }`},
		{"three8", `node three8 = list { 5, &m8, hi }`},
		{"pos", `contract pos = requires subject.1 > +0 ensures true`},
		{"never", `contract never = requires true ensures false`},
		{"inv", `contract inv = requires true ensures true invariant inputs.0 == 7`},
		{"echo", `tool echo = demo/echo interface 1 (any) -> any`},
		{"did", `contract did = requires has_tool echo and has_status 200 ensures true`},
		{"txt", `tool txt = demo/txt interface 1 (text) -> text`},
		{"pt", `tool pt = demo/pt interface 2 (any) -> point`},
		{"id1", "func id1(any) -> any {\nret r0\n}"},
		{"topoint", "func topoint(any) -> point {\nret r0\n}"},
		{"frompoint", "func frompoint(point) -> any {\nret r0\n}"},
		{"halts", "func halts() -> any {\nconst hi, r0\nhalt r0\n}"},
		{"noresult", "func noresult() -> any {\nnop\nret\n}"},
		{"p20", "func p20() -> any {\n" + strings.Repeat("nop\n", 7) + "ret\n}"},
		{"p200", "func p200() -> any {\n" + strings.Repeat("call p20, 0\n", 9) + strings.Repeat("nop\n", 7) + "ret\n}"},
	}
}

// irCase is one run: a function's body, in one line, and how it must end.
type irCase struct {
	what, body string
	doc        string // "" is the body
	ret        string // "" is any
	budget     string // "" is cpu_us=1000 io=10 writes=10
	args       string
	want       []byte // the result
	trap       string // or the code
	fuel       uint64 // 0: not worked out by hand
	effects    [][]byte
	input      in // members of ir.run beside those
	flags      []string
}

// irWords are the words of a text.
func irWords(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool {
		return c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	})
}

// source is the whole program: the items that are needed, then main.
func (c *irCase) source() string {
	ret, budget := c.ret, c.budget
	if ret == "" {
		ret = "any"
	}
	if budget == "" {
		budget = "cpu_us=1000 io=10 writes=10"
	}
	types := strings.TrimSuffix(strings.Repeat("any, ", strings.Count(c.args, ",")+1), ", ")
	if c.args == "" {
		types = ""
	}
	text := "func main(" + types + ") -> " + ret + " {\n" + strings.ReplaceAll(c.body, ";", "\n") + "\n}\ntask main = main(" + c.args + ") budget " + budget + "\n"
	needed := map[string]bool{}
	for _, w := range irWords(c.body + " " + ret + " " + c.args) {
		needed[w] = true
	}
	items := irItems()
	for range items { // until nothing is added
		for _, item := range items {
			for _, w := range irWords(item.text) {
				needed[w] = needed[w] || needed[item.name]
			}
		}
	}
	var all strings.Builder
	for _, item := range items {
		if needed[item.name] {
			all.WriteString(item.text + "\n")
		}
	}
	return all.String() + text
}

// assemble returns a program's bundle and its first task.
func (g *irGen) assemble(source string) (raw []byte, task cid.Hash) {
	a, err := ir.AssembleNamed([]byte(source))
	if err != nil {
		g.p.fail("assembling %q: %w", source, err)
		return nil, task
	}
	return a.Bundle, a.Tasks[0].ID
}

// asked is ir.run's input.
func (g *irGen) asked(c *irCase) in {
	raw, task := g.assemble(c.source())
	i := in{"hex": raw, "task": task}
	if len(c.effects) > 0 {
		var all []any
		for _, e := range c.effects {
			all = append(all, e)
		}
		i["effects"] = all
	}
	for k, v := range c.input {
		i[k] = v
	}
	return i
}

// run is a case whose end is stated; what else a run tells (calls, counts) is
// that of Go.
func (g *irGen) run(c irCase) {
	input := g.asked(&c)
	stated := out{}
	if c.trap != "" {
		stated["error_code"] = c.trap
	} else {
		stated["result"], stated["result_hash"] = c.want, cid.Sum(c.want)
	}
	if c.fuel != 0 {
		stated["fuel_used"] = dec(c.fuel)
	}
	for name, v := range g.told(input) {
		if _, ok := stated[name]; !ok && name != "result" && name != "result_hash" && name != "error_code" {
			stated[name] = v
		}
	}
	g.valid(c.what, "ir.run", irShort(c.described()), input, stated, c.flags...)
	if kind := c.what + " " + c.trap; !g.seen[kind] {
		g.seen[kind] = true
		g.first = append(g.first, c)
	}
}

// described is what the run is about.
func (c *irCase) described() string {
	doc := cmp.Or(c.doc, c.body)
	if c.budget != "" {
		doc += "; budget " + c.budget
	}
	return doc
}

// told is what Go answers, nothing if it refuses.
func (g *irGen) told(input in) map[string]json.RawMessage {
	asked, err := g.p.encode(plain(input, nil))
	if err != nil {
		return nil
	}
	a, err := g.p.impl.Do(context.Background(), conformance.Request{ID: "told", Op: "ir.run", Input: asked})
	if err != nil || !a.OK {
		return nil // the vector itself will fail
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(a.Output, &m); err != nil {
		g.p.fail("ir.run's output: %w", err)
	}
	return m
}

func irShort(text string) string {
	if len(text) > 160 {
		return text[:157] + "..."
	}
	return text
}

// irAnswered is a canonical ToolResponse.
func irAnswered(status uint16, payload []byte, code string) []byte {
	r := abi.Response{Status: status, Payload: payload}
	if code != "" {
		r.Error = &abi.Error{Code: code}
	}
	return r.AppendCAN(nil)
}

// irEchoes are ToolResponses with status 200 and the payloads.
func irEchoes(payloads ...[]byte) [][]byte {
	var all [][]byte
	for _, p := range payloads {
		all = append(all, irAnswered(200, p, ""))
	}
	return all
}

// irReceipt is the value that a program sees of a response.
func irReceipt(raw []byte, status uint64, code string) []byte {
	fields := [][]byte{rawF(1, rawU(status)), rawF(2, rawH(cid.Sum(raw)))}
	if code != "" {
		fields = append(fields, rawF(3, rawT(code)))
	}
	return rawM(fields...)
}

// irDeepen makes r0 a LIST that nests n deep.
func irDeepen(n int) string { return "list r0;" + strings.Repeat("list r0, r0;", n-1) }

// irDouble joins what a register holds to itself, n times.
func irDouble(reg string, n int) string {
	return strings.Repeat(fmt.Sprintf("concat %s, %s, %s;", reg, reg, reg), n)
}
