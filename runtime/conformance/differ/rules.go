package differ

import (
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// ruleClasses are objects of good form whose content may break a rule of their
// type: what no signature and no decoder catches.
func ruleClasses() []class {
	return []class{
		{name: "rule/object", share: 40, signed: true, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			names := []string{"Attestation", "EffectRegister", "DivergenceMark", "LedgerResolution", "RunRecord", "RunSeal", "RevocationList", "RingPolicy"}
			t := g.schema[names[r.IntN(len(names))]]
			v, k := g.object(r, t, 2), g.key(r)
			for range 1 + r.IntN(2) {
				g.reword(r, v)
			}
			g.seal(v, t, k)
			return "object.open", g.opening(t, v.bytes(), agentOf(k))
		}},
		{name: "rule/manifest", share: 50, signed: true, make: manifestInput},
		{name: "rule/tree", share: 15, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			return "tree.open", in{"hex": g.reworded(r, g.seedBytes(r, "tree.open"), "Tree")}
		}},
		{name: "rule/message", share: 15, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			op, is := "tool.request", "ToolRequest"
			if r.IntN(2) == 0 {
				op, is = "tool.response", "ToolResponse"
			}
			return op, in{"hex": g.reworded(r, g.seedBytes(r, op), is)}
		}},
		{name: "rule/ref", share: 10, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			return "blob.ref", in{"hex": g.reworded(r, g.seedBytes(r, "blob.ref"), "BlobRef")}
		}},
	}
}

// seedBytes is the member hex of a vector that an op must accept.
func (g *Generator) seedBytes(r *rand.Rand, op string) []byte {
	seeds := g.seeds["valid "+op]
	var input struct{ Hex conformance.Hex }
	if err := decodeNumbers(seeds[r.IntN(len(seeds))], &input); err != nil {
		panic(err) // the pack was checked
	}
	return input.Hex
}

// reworded is a struct of good form after up to two changes of its content.
func (g *Generator) reworded(r *rand.Rand, raw []byte, is string) []byte {
	v := rawOf(g.schema, raw, is)
	for range r.IntN(3) {
		g.reword(r, v)
	}
	return v.bytes()
}

// reword changes content and keeps the form: a number to another of its type, a
// text to one that is near the rules of names, a list's order and items, an
// optional field to be there or not.
func (g *Generator) reword(r *rand.Rand, root *value) {
	v := root.some(r, func(v *value) bool { return v.raw == nil && v.typ != nil && v.typ.Struct != "Hash" })
	if v == nil {
		return
	}
	switch v.typ.Kind {
	case "u8", "u16", "u32", "u64":
		v.num = integer(r, width(v.typ.Kind))
		if r.IntN(3) > 0 {
			v.num = r.Uint64N(7)
		}
	case "i64", "time":
		v.num += r.Uint64N(5) - 2
	case "bool":
		v.tag = can.True // false is no form of an optional one
	case "text":
		v.data = []byte(g.wording(r, string(v.data)))
	case "bytes":
		v.data = flipBit(r, v.data)
	case "list":
		g.relist(r, v)
	case "struct":
		g.toggle(r, v)
	}
}

// wording is a text near x, near the rules, or longer than they allow.
func (g *Generator) wording(r *rand.Rand, x string) string {
	switch r.IntN(4) {
	case 0:
		return name(r) + "x" // not empty, which an optional text cannot be
	case 1:
		return x + strings.Repeat("a", []int{60, 120, 127, 128, 250, 1000}[r.IntN(6)])
	}
	if x = near(r, x); x == "" {
		return "x"
	}
	return x
}

// relist drops, repeats or exchanges items; a list keeps one.
func (g *Generator) relist(r *rand.Rand, v *value) {
	if len(v.kids) == 0 {
		if r.IntN(2) == 0 {
			v.kids = []*value{g.schema.valueOf(r, v.typ.Elem, false, 1)}
		}
		return
	}
	i, j := r.IntN(len(v.kids)), r.IntN(len(v.kids))
	kids := slices.Clone(v.kids)
	switch r.IntN(4) {
	case 0:
		if len(kids) > 1 {
			kids = slices.Delete(kids, i, i+1)
		}
	case 1:
		kids = slices.Insert(kids, i, kids[j].clone())
	case 2:
		kids[i], kids[j] = kids[j], kids[i]
	default:
		kids = slices.Insert(kids, i, g.schema.valueOf(r, v.typ.Elem, false, 1))
	}
	v.kids = kids
}

// toggle takes an optional field away or puts one in.
func (g *Generator) toggle(r *rand.Rand, v *value) {
	for _, f := range g.schema[v.typ.Struct].Fields {
		if !f.Optional || r.IntN(2) == 0 {
			continue
		}
		if i := v.at(f.Num); i >= 0 {
			v.kids = slices.Delete(slices.Clone(v.kids), i-1, i+1)
			return
		}
		x := g.schema.valueOf(r, &f.Type, true, 1)
		v.set(f.Num, x)
		return
	}
}

// manifestInput is a manifest whose content may break a rule, signed again by
// one or two keys, for publishers and hosts that may not suffice.
func manifestInput(g *Generator, r *rand.Rand, _ uint64) (string, any) {
	seeds := g.seeds["valid manifest.open"]
	var input in
	if err := decodeNumbers(seeds[r.IntN(len(seeds))], &input); err != nil {
		panic(err) // the pack was checked
	}
	v := rawOf(g.schema, g.seedBytes(r, "manifest.open"), "PackageManifest")
	for range r.IntN(3) {
		g.reword(r, v)
	}
	if r.IntN(12) == 0 {
		oneMutation(r).do(g.schema, r, v)
	}
	if v.isStruct() {
		g.sealManifest(r, v)
	}
	keys := []any{agentOf(g.keys[0])}
	if r.IntN(3) == 0 {
		keys = append(keys, agentOf(g.keys[1]))
	}
	names := [][]any{{"**"}, {"**"}, {"demo/*"}, {"other", "demo/one"}, {"other"}}
	input["hex"] = v.bytes()
	input["publishers"] = []any{in{"keys": keys, "threshold": 1 + r.IntN(len(keys)), "names": names[r.IntN(len(names))]}}
	if host, ok := input["host"].(in); ok {
		g.otherHost(r, host)
	}
	return "manifest.open", input
}

// otherHost takes something away from what a host offers, now and then.
func (g *Generator) otherHost(r *rand.Rand, host in) {
	switch r.IntN(16) {
	case 0:
		host["version"] = []string{"0.0.9", "0.1.0-rc.1", "0.1.0", "1.0.0", "0.2.0-alpha"}[r.IntN(5)]
	case 1:
		host["codebooks"] = []any{}
	case 2:
		host["features"] = []any{}
	case 3:
		host["ctvps"] = []any{}
	}
}

// sealManifest fills in package_id and signatures, ascending by key id.
func (g *Generator) sealManifest(r *rand.Rand, v *value) {
	id := cid.Sum(v.without(1, 11, 12))
	if r.IntN(20) > 0 {
		v.set(1, hashValue(id[:]))
	}
	signers := g.keys[:1+r.IntN(2)]
	if r.IntN(10) == 0 {
		signers = []sig.Key{g.key(r)}
	}
	list := &value{tag: can.List}
	for _, k := range signers {
		keyID := k.Agent().KeyID()
		s := signatureBy(k, id)
		named := &keyID
		switch r.IntN(20) {
		case 0:
			s = edgeSignature(r, s)
		case 1:
			named = nil
		}
		list.kids = append(list.kids, signatureValue(1, named, s))
	}
	if r.IntN(20) > 0 {
		slices.SortFunc(list.kids, func(a, b *value) int { return strings.Compare(string(a.without(1, 3)), string(b.without(1, 3))) })
	}
	v.set(11, list)
	if r.IntN(30) == 0 {
		v.kids = slices.Delete(slices.Clone(v.kids), v.at(11)-1, v.at(11)+1)
	}
}
