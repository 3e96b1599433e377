package differ

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// The window of capabilities, and when they are used.
const (
	opens  = int64(1_767_225_600_000_000)
	closes = opens + 3_600_000_000
	noon   = opens + 1_800_000_000
)

func capsClasses() []class {
	return []class{
		{name: "caps/chain", share: 40, signed: true, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			return g.chainInput(r, nil)
		}},
		{name: "caps/link", share: 15, oneSide: true, signed: true, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			return g.chainInput(r, func(links [][]byte) [][]byte {
				i := r.IntN(len(links))
				switch r.IntN(4) {
				case 0:
					links = slices.Delete(links, i, i+1)
				case 1:
					links = slices.Insert(links, i, links[r.IntN(len(links))])
				default:
					links[i] = g.changeBytes(r, links[i], "Capability")
				}
				return links
			})
		}},
		{name: "caps/subset", share: 45, make: subset},
	}
}

// chain is a chain before it is signed, and how it is used.
type chain struct {
	links   []caps.Capability
	by      []sig.Key
	parents []bool // link i names link i-1
	tool    cid.Hash
	ring    int
	amount  uint64
}

// soundChain goes from key 0, the authority, over key 1 to key 2, who uses it.
func (g *Generator) soundChain() *chain {
	c := &chain{tool: cid.Sum([]byte("tool")), amount: 250}
	limits := []map[string]string{{"ring_max": "1"}, {"ring_max": "0", "arg/amount:le": "03f403"}}
	for i := range 2 {
		c.links = append(c.links, caps.Capability{
			Subject: g.keys[i+1].Agent(), NotBefore: opens, ExpiresAt: closes, Delegable: i == 0,
			Scope: caps.ScopeOf(&caps.ToolCall{ToolID: c.tool, MaxCalls: uint32(10 - i), Constraints: limits[i]}),
		})
		c.by = append(c.by, g.keys[i])
		c.parents = append(c.parents, i > 0)
	}
	return c
}

// signChain signs the links, sense or not.
func (g *Generator) signChain(c *chain) ([][]byte, error) {
	var all [][]byte
	var last cid.Hash
	for i := range c.links {
		x := c.links[i]
		if c.parents[i] {
			parent := last
			x.AttenuationParent = &parent
		}
		raw, id, err := sig.Sign(&x, c.by[i])
		if err != nil {
			return nil, err
		}
		all, last = append(all, raw), id
	}
	return all, nil
}

// chainUse is caps.check's input for a call under links.
func (g *Generator) chainUse(c *chain, links [][]byte) in {
	payload := (&value{tag: can.Map, kids: []*value{textValue("amount"), uintValue(c.amount)}}).bytes()
	hash := func(s string) string { h := cid.Sum([]byte(s)); return h.String() }
	return in{
		"proof": caps.EncodeProof(links), "subject": agentOf(g.keys[2]), "now": fmt.Sprint(noon),
		"trust": []any{agentOf(g.keys[0])}, "revocations": []any{},
		"call": in{
			"tool": c.tool, "package": hash("package"), "module": hash("module"), "request_hash": hash("request"),
			"ledger": hash("ledger"), "ring": c.ring, "payload": payload,
		},
	}
}

// chainInput is a use of a chain in which something may be wrong.
func (g *Generator) chainInput(r *rand.Rand, edit func([][]byte) [][]byte) (string, any) {
	c := g.soundChain()
	for range r.IntN(3) {
		g.disturb(r, c)
	}
	links, err := g.signChain(c)
	if err != nil {
		panic(err) // the keys sign everything
	}
	if edit != nil {
		links = edit(links)
	}
	use := g.chainUse(c, links)
	if r.IntN(6) == 0 {
		times := []int64{opens - 1, opens, closes - 1, closes, closes + 1}
		use["now"] = fmt.Sprint(times[r.IntN(len(times))])
	}
	if r.IntN(3) == 0 {
		use["revocations"] = g.revoked(r, c, links)
	}
	return "caps.check", use
}

// disturb changes one thing about a chain.
func (g *Generator) disturb(r *rand.Rand, c *chain) {
	i := r.IntN(len(c.links))
	l := &c.links[i]
	step := []int64{-1, 0, 1, 1_000_000, -1_000_000}[r.IntN(5)]
	switch r.IntN(14) {
	case 0:
		l.NotBefore += step
	case 1:
		l.ExpiresAt += step
	case 2:
		l.NotBefore, l.ExpiresAt = l.ExpiresAt, l.NotBefore
	case 3:
		l.Delegable = !l.Delegable
	case 4:
		l.Subject = g.key(r).Agent()
	case 5:
		l.Subject.Hint = text(r, true)
	case 6:
		c.by[i] = g.key(r)
	case 7:
		c.parents[i] = !c.parents[i]
	case 8:
		l.RevocationRequired = true
	case 9:
		c.ring = r.IntN(3)
	case 10:
		c.amount = []uint64{0, 499, 500, 501}[r.IntN(4)]
	case 11:
		l.Scope = caps.Scope{Kind: uint8(r.IntN(41)), Payload: g.schema.structOf(r, scopes[r.IntN(len(scopes))].name, 2).bytes()}
	default:
		limits := map[string]string{}
		for range r.IntN(3) {
			k, v := limit(r)
			limits[k] = v
		}
		x := caps.ToolCall{ToolID: c.tool, MaxCalls: uint32(r.IntN(12)), Constraints: limits}
		l.Scope = caps.ScopeOf(&x)
	}
}

// limit is a constraint of a ToolCall scope, of its vocabulary or nearly.
func limit(r *rand.Rand) (key, text string) {
	hash := cid.Sum([]byte([]string{"package", "module", "request", "ledger"}[r.IntN(4)]))
	switch r.IntN(10) {
	case 0:
		return "ring_max", []string{"0", "1", "2", "00", "-1", "", "256", "255"}[r.IntN(8)]
	case 1:
		return []string{"package", "module", "request_hash"}[r.IntN(3)], hash.String()
	case 2:
		return "ledger", hash.Hex()
	case 3:
		return words[r.IntN(len(words))], "x"
	}
	pointer := []string{"arg/amount", "arg/amount", "arg/amount", "arg/other", "arg/", "arg", "arg/a~1b", "arg/a~2", "arg/amount/0", "arg/0"}[r.IntN(10)]
	op := []string{"eq", "le", "ge", "le", "ge", "in", "prefix", "lt"}[r.IntN(8)]
	operand := anything(r, 1)
	switch r.IntN(4) {
	case 0, 1:
		operand = uintValue([]uint64{0, 249, 250, 251, 500}[r.IntN(5)])
	case 2:
		operand = &value{tag: can.List, kids: []*value{uintValue(250), uintValue(251)}}
	}
	return pointer + ":" + op, hex.EncodeToString(operand.bytes())
}

// revoked are lists by the issuers: fresh or stale, with a link in them or not.
func (g *Generator) revoked(r *rand.Rand, c *chain, links [][]byte) []any {
	all := []any{}
	for range 1 + r.IntN(2) {
		x := caps.Revocations{Seq: r.Uint64N(3), Issued: noon - 10, NextUpdate: noon + []int64{-1, 0, 1, 10}[r.IntN(4)]}
		for _, raw := range links {
			if v, ok := g.schema.parse(raw, structType("Capability")); ok && v.isStruct() && r.IntN(4) == 0 {
				x.Revoked = append(x.Revoked, idOf(v, g.schema["Capability"]))
			}
		}
		slices.SortFunc(x.Revoked, cid.Hash.Compare)
		x.Revoked = slices.Compact(x.Revoked)
		raw, _, err := sig.Sign(&x, c.by[r.IntN(len(c.by))])
		if err != nil {
			panic(err) // the keys sign everything
		}
		if r.IntN(8) == 0 {
			raw = spoilt(r, raw)
		}
		all = append(all, raw)
	}
	return all
}

// scopes are the kinds of RFC-MYTHOS-0008 §2 and their structs.
var scopes = [...]struct {
	kind int
	name string
}{
	{1, "BlobReadScope"},
	{2, "BlobWriteScope"},
	{3, "BlobPinScope"},
	{4, "BlobDeleteScope"},
	{5, "ToolCallScope"},
	{5, "ToolCallScope"},
	{6, "TrainRunScope"},
	{7, "EvalRunScope"},
	{8, "DeployPromoteScope"},
	{9, "ComputeSpawnScope"},
	{10, "CellReadScope"},
	{11, "CellWriteScope"},
	{32, "NetConnectScope"},
	{32, "NetConnectScope"},
	{33, "FsReadScope"},
	{34, "FsWriteScope"},
	{35, "ClockScope"},
	{36, "RandomScope"},
	{37, "SecretReadScope"},
	{38, "PackageRunScope"},
	{39, "PackagePublishScope"},
}

// subset is a scope and another one that is near it.
func subset(g *Generator, r *rand.Rand, _ uint64) (string, any) {
	s := scopes[r.IntN(len(scopes))]
	parent := g.schema.structOf(r, s.name, 2)
	g.ruled(r, parent)
	child := parent.clone()
	for range r.IntN(3) {
		g.narrow(r, child)
	}
	raw := child.bytes()
	kind := s.kind
	switch r.IntN(14) {
	case 0:
		raw = g.schema.mutated(r, oneMutation(r), child)
	case 1:
		kind = r.IntN(42)
	}
	return "caps.subset", in{"kind": kind, "parent": parent.bytes(), "child": raw}
}

// ruled puts texts and numbers into a scope that the rules of its kind are about.
func (g *Generator) ruled(r *rand.Rand, scope *value) {
	hosts := []string{"a.org", "*.a.org", "x.a.org", "*", "example.com", "10.0.0.1", "[::1]", "A.org", "a.org.", "xn--a", "*.org", ""}
	paths := []string{"a", "a/b", "/a", "/a/b", "/", "a/", "..", "/a/../b", "/a//b", "ns", "ns/x", "", "\u00e9"}
	for i := 0; i < len(scope.kids); i += 2 {
		x := scope.kids[i+1]
		if scope.typ.Struct == "ToolCallScope" && x.tag == can.Map && x.typ.Kind == "map" {
			x.kids = nil
			for range 1 + r.IntN(3) {
				k, v := limit(r)
				x.kids = append(x.kids, textValue(k), textValue(v))
			}
			x.sortKeys()
		}
		for _, t := range x.all(func(v *value) bool { return v.tag == can.Text && x.tag != can.Map }) {
			pool := paths
			if scope.typ.Struct == "NetConnectScope" && scope.kids[i].num == 1 {
				pool = hosts
			} else if scope.typ.Struct == "NetConnectScope" {
				pool = []string{"GET", "PUT", "get", "*", ""}
			}
			t.data = []byte(pool[r.IntN(len(pool))])
		}
		for _, n := range x.all(func(v *value) bool { return v.tag == can.Uint && x.tag == can.List }) {
			n.num = r.Uint64N(5)
		}
		ordered(r, x)
	}
}

// ordered sorts a list of texts or numbers and drops what stands twice, mostly:
// most rules ask for that.
func ordered(r *rand.Rand, v *value) {
	if v.tag != can.List || r.IntN(8) == 0 {
		return
	}
	m := &value{tag: can.Map}
	for _, k := range v.kids {
		m.kids = append(m.kids, k, uintValue(0))
	}
	m.sortKeys()
	v.kids = nil
	for i := 0; i < len(m.kids); i += 2 {
		v.kids = append(v.kids, m.kids[i])
	}
}

// narrow changes one thing about a scope, mostly to less.
func (g *Generator) narrow(r *rand.Rand, scope *value) {
	v := scope.some(r, func(v *value) bool { return v != scope && v.typ != nil })
	if v == nil {
		return
	}
	switch v.tag {
	case can.Uint:
		v.num -= min(v.num, r.Uint64N(3))
		if r.IntN(4) == 0 {
			v.num += 2
		}
	case can.Text, can.Bytes:
		switch r.IntN(3) {
		case 0:
			v.data = append(slices.Clone(v.data), "/x"...)
		case 1:
			v.data = v.data[:r.IntN(len(v.data)+1)]
			if v.tag == can.Text {
				v.data = []byte(string([]rune(string(v.data))))
			}
		default:
			v.data = append([]byte("x."), v.data...)
		}
	case can.List:
		if len(v.kids) > 1 {
			v.kids = slices.Delete(slices.Clone(v.kids), 0, 1)
		}
	case can.Map:
		if v.typ.Kind == "map" {
			k, text := limit(r)
			v.kids = append(v.kids, textValue(k), textValue(text))
			v.sortKeys()
		}
	}
}
