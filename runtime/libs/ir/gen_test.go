package ir

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// source is where a generator takes its choices from.
type source interface {
	n(lo, hi int) int // lo to hi, both included
	wide() uint64
}

type rapidSource struct{ t *rapid.T }

func (s rapidSource) n(lo, hi int) int { return rapid.IntRange(lo, hi).Draw(s.t, "n") }
func (s rapidSource) wide() uint64     { return rapid.Uint64().Draw(s.t, "wide") }

// seeded takes its first choices from bytes, one each, and then goes on by a
// generator (splitmix64) that the bytes have seeded.
type seeded struct {
	bytes []byte
	state uint64
}

func newSeeded(b []byte) *seeded {
	s := &seeded{bytes: b}
	for _, c := range b {
		s.state = s.state*0x100000001b3 ^ uint64(c)
	}
	return s
}

func (s *seeded) wide() uint64 {
	s.state += 0x9e3779b97f4a7c15
	z := s.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (s *seeded) n(lo, hi int) int {
	pick := uint64(0)
	if len(s.bytes) > 0 {
		pick, s.bytes = uint64(s.bytes[0]), s.bytes[1:]
	} else {
		pick = s.wide() >> 16
	}
	return lo + int(pick%uint64(hi-lo+1))
}

// gen writes random programs that are valid by construction. It guesses what
// its registers hold, so that most ops do not trap.
type gen struct {
	source
	out                                strings.Builder
	types, consts, texts, blobs        []string
	nodes, pureNodes, contracts, tools []string
	records                            []genRecord
	funcs                              []genFunc
	serial                             int
	constKind, nodeKind                map[string]string
	toolKind, responds                 map[string]string // what tools take and give
	follow                             string            // the next op, but for its label
	missing                            bool              // an op found no register that holds what it takes
	held                               [6]string         // the guess: null, bool, u64, i64, bytes, text, list, map, or any
	straight                           bool              // no jump goes back, and no function calls itself
	returns                            string
	args                               int // of the function that is being written, or -1: none is declared
}

type genFunc struct {
	name string
	args []string
}

type genRecord struct {
	name   string
	fields []genField
}

type genField struct {
	id  int
	typ string
}

func newGen(s source) *gen {
	return &gen{source: s, constKind: map[string]string{}, nodeKind: map[string]string{}, toolKind: map[string]string{}, responds: map[string]string{}}
}

func (g *gen) one(of ...string) string { return of[g.n(0, len(of)-1)] }

func (g *gen) put(format string, args ...any) { fmt.Fprintf(&g.out, format, args...) }

// often is true n times in n+1.
func (g *gen) often(n int) bool { return g.n(0, n) > 0 }

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

// lax is a type that most values have.
func (g *gen) lax() string {
	if g.often(2) {
		return "any"
	}
	return g.typeName()
}

func (g *gen) header() {
	if g.n(0, 1) == 0 {
		g.put("author %s %s\n", strings.Repeat(g.one("00", "a1"), 32), g.one("", `"hint"`))
	}
	for range g.n(0, 4) {
		g.typeItem()
	}
	g.constants()
	for range g.n(0, 5) {
		g.nodeItem()
	}
	for range g.n(0, 3) {
		name, _ := g.name("tool")
		g.toolKind[name], g.responds[name] = g.lax(), g.lax()
		g.put("tool %s = gen/%s interface %d (%s) -> %s\n", name, strings.ReplaceAll(name, "_", "-"), g.n(0, 3), g.toolKind[name], g.responds[name])
		g.tools = append(g.tools, name)
	}
	for range g.n(0, 3) {
		name, titled := g.name("c")
		g.put("contract %s = requires %s ensures %s%s\n", titled, g.clause(), g.clause(), g.one("", " invariant "+g.clause()))
		g.contracts = append(g.contracts, name)
	}
}

func (g *gen) typeItem() {
	name, titled := g.name("t")
	if g.n(0, 3) == 0 {
		g.put("type %s = enum { a, \"b c\" }\n", titled)
		g.types = append(g.types, name)
		return
	}
	var fields []string
	r := genRecord{name: name}
	for i, id := range []int{0, 1, 2, 129, 256} {
		if g.n(0, 2) > 0 {
			label := g.one("", fmt.Sprintf("f%d ", i), fmt.Sprintf("\"x %d\" ", i))
			f := genField{id, g.lax()}
			if n := len(g.records); n > 0 && g.n(0, 2) == 0 {
				f.typ = g.records[n-1].name
			}
			fields = append(fields, fmt.Sprintf("%d %s%s: %s", id, label, g.one("", "?"), f.typ))
			r.fields = append(r.fields, f)
		}
	}
	g.put("type %s = record { %s }\n", titled, strings.Join(fields, ", "))
	g.types, g.records = append(g.types, name), append(g.records, r)
}

// edge is a number at which something changes, or any.
func (g *gen) edge() uint64 {
	edges := []uint64{0, 1, 2, 127, 128, 255, 256, 1<<31 - 1, 1 << 32, 1<<32 - 1, 1<<63 - 1, 1 << 63, 1<<64 - 1}
	if i := g.n(0, len(edges)+1); i < len(edges) {
		return edges[i]
	}
	return g.wide()
}

func (g *gen) constants() {
	for i := range g.n(1, 8) {
		name := fmt.Sprintf("k%d", i)
		kind := g.n(0, 4)
		g.put("const %s = %s\n", name, []string{
			fmt.Sprintf("i64 %d", int64(g.edge())), fmt.Sprintf("u64 %d", g.edge()),
			`bytes "` + g.one("00", "0102ff", "0103") + `"`, `text ` + g.one(`"x"`, `"\u00e9 \n"`, `"`+strings.Repeat("0123456789", 20)+`"`),
			"hash sha256:" + strings.Repeat("ab", 32),
		}[kind])
		g.consts = append(g.consts, name)
		g.constKind[name] = []string{"i64", "u64", "bytes", "text", "map"}[kind]
		switch kind {
		case 2:
			g.blobs = append(g.blobs, name)
		case 3:
			g.texts = append(g.texts, name)
		}
	}
	g.put("const e0 = text \"\"\nconst e1 = bytes \"\"\n")
	g.consts = append(g.consts, "e0", "e1")
	g.constKind["e0"], g.constKind["e1"] = "text", "bytes"
}

func (g *gen) nodeItem() {
	name := fmt.Sprintf("n%d", len(g.nodes))
	pure := g.n(0, 2) == 0
	kind := "map"
	switch r := g.n(0, 3); {
	case r == 0:
		kind = "list"
		g.put("node %s = list%s { %s }\n", name, g.one("", " any"), g.values(pure, ""))
	case r == 1 && len(g.records) > 0:
		rec := g.records[g.n(0, len(g.records)-1)]
		kind = rec.name
		var parts []string
		for _, f := range rec.fields {
			v, sure := g.valueOf(f.typ, pure)
			parts = append(parts, fmt.Sprintf("%d: %s", f.id, v))
			pure = pure && sure // an argument that does not conform to its node is refused
		}
		g.put("node %s = record %s { %s }\n", name, rec.name, strings.Join(parts, ", "))
	case r == 2 && len(g.texts) > 0:
		kind = "blobref"
		g.put("node %s = record { 1: sha256:%s, 2: %d, 3: %s, 4: 0, 5: %d }\n", name, strings.Repeat("cd", 32), g.n(0, 9), g.one(g.texts...), g.n(0, 1))
		pure = true
	default:
		g.put("node %s = record%s { %s }\n", name, g.one("", " any", " map"), g.values(pure, "k"))
	}
	g.nodes = append(g.nodes, name)
	g.nodeKind[name] = kind
	if pure {
		g.pureNodes = append(g.pureNodes, name)
	}
}

// valueOf is a part that may conform to a type, or surely does.
func (g *gen) valueOf(typ string, pure bool) (v string, sure bool) {
	var of []string
	nodes := g.nodes
	if pure {
		nodes = g.pureNodes
	}
	for _, n := range nodes {
		if kind := g.nodeKind[n]; kind == typ || typ == "any" || typ == "map" && kind != "list" {
			of = append(of, "&"+n)
		}
	}
	for _, k := range g.consts {
		if g.constKind[k] == typ || typ == "any" {
			of = append(of, k)
		}
	}
	record := slices.ContainsFunc(g.records, func(r genRecord) bool { return r.name == typ })
	if typ == "u64" || !record && slices.Contains(g.types, typ) {
		of = append(of, "0", "1")
	}
	if typ == "i64" {
		of = append(of, "-1", "+7")
	}
	if len(of) == 0 || !pure && g.n(0, 3) == 0 {
		if pure {
			return "5", false
		}
		return g.reg(), false
	}
	return g.one(of...), true
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

// clause is an expression that is true more often than not.
func (g *gen) clause() string {
	if g.n(0, 1) == 0 {
		return "true" + g.one("", " or "+g.expr(1))
	}
	return g.expr(0)
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
