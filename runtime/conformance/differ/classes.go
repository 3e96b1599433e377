package differ

import (
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/can"
)

// flipClass are the flips of single bits of sealed objects.
const flipClass = "object/flip"

// allClasses are the classes of a round, by what they are about.
func allClasses() []class {
	return slices.Concat(structClasses(), canClasses(), jsonClasses(), hashClasses(), objectClasses(), ruleClasses(),
		treeClasses(), wireClasses(), ledgerClasses(), capsClasses(), packClasses())
}

// structClasses decode a struct of the schema after each mutation.
func structClasses() []class {
	var list []class
	for _, m := range mutations {
		share := 14
		if m.name == "none" {
			share = 60
		}
		list = append(list, class{
			name: "struct/" + m.name, share: share, oneSide: m.name == "none" || onlyWrong(m.name),
			make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
				name, root := g.fitting(r, m)
				return "struct.decode", in{"type": name, "hex": root.bytes()}
			},
		})
	}
	for _, m := range spoiling {
		list = append(list, class{
			name: "struct/" + m.name, share: 10, oneSide: m.name != "bit",
			make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
				name := g.typeName(r)
				return "struct.decode", in{"type": name, "hex": m.do(r, g.schema.structOf(r, name, sampleDepth).bytes())}
			},
		})
	}
	return append(list, class{name: "struct/type", share: 14, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
		raw, is := g.schema.structOf(r, g.typeName(r), sampleDepth).bytes(), g.typeName(r)
		if r.IntN(10) == 0 {
			is = []string{"Nothing", "", "hash", "CapProof", "Object", "constructor", "__proto__"}[r.IntN(7)]
		}
		return "struct.decode", in{"type": is, "hex": raw}
	}}, class{name: "struct/two", share: 20, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
		name := g.typeName(r)
		root := g.schema.structOf(r, name, sampleDepth)
		oneMutation(r).do(g.schema, r, root)
		oneMutation(r).do(g.schema, r, root)
		return "struct.decode", in{"type": name, "hex": root.bytes()}
	}})
}

// onlyWrong are the mutations after which no struct is right.
func onlyWrong(name string) bool {
	return slices.Contains([]string{"reorder", "duplicate", "varint", "tag", "extra-closed"}, name)
}

// fitting is a struct after a mutation that found something to change in it.
func (g *Generator) fitting(r *rand.Rand, m mutation) (string, *value) {
	if m.name == "empty" && r.IntN(2) == 0 {
		return g.emptied(r)
	}
	for {
		name := g.typeName(r)
		if m.name == "unknown-low" && r.IntN(2) == 0 {
			name = g.gaps[r.IntN(len(g.gaps))]
		}
		root := g.schema.structOf(r, name, sampleDepth)
		if m.do(g.schema, r, root) {
			return name, root
		}
	}
}

// emptied is a struct with an empty optional field, each type of field as often
// as any other.
func (g *Generator) emptied(r *rand.Rand) (string, *value) {
	fields := g.optional[r.IntN(len(g.optional))]
	f := fields[r.IntN(len(fields))]
	root := g.schema.structOf(r, f.of, sampleDepth)
	root.set(f.Num, emptyValue(&f.Type))
	return f.of, root
}

// canClasses decode values without a schema.
func canClasses() []class {
	var list []class
	for _, m := range mutations {
		if slices.Contains([]string{"unknown-low", "unknown-middle", "unknown-high", "extra-closed", "empty", "const", "hash"}, m.name) {
			continue // of structs
		}
		list = append(list, class{
			name: "can/" + m.name, share: 10, oneSide: slices.Contains([]string{"none", "drop", "tag", "splice"}, m.name) || onlyWrong(m.name),
			make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
				root := anything(r, 4)
				for !m.do(g.schema, r, root) {
					root = anything(r, 4)
				}
				return "can.decode", in{"hex": root.bytes()}
			},
		})
	}
	for _, m := range spoiling {
		list = append(list, class{name: "can/" + m.name, share: 6, oneSide: m.name != "bit", make: func(_ *Generator, r *rand.Rand, _ uint64) (string, any) {
			return "can.decode", in{"hex": m.do(r, anything(r, 4).bytes())}
		}})
	}
	return append(list, class{name: "can/bytes", share: 10, make: func(_ *Generator, r *rand.Rand, _ uint64) (string, any) {
		return "can.decode", in{"hex": fewBytes(r)}
	}})
}

// fewBytes are a few bytes, small ones mostly; every other time a tag with about
// as many bytes as it says.
func fewBytes(r *rand.Rand) []byte {
	b := someBytes(r, r.IntN(12))
	for i := range b {
		if r.IntN(3) > 0 {
			b[i] &= 15
		}
	}
	if r.IntN(2) == 0 && len(b) > 1 {
		b[0], b[1] = byte(r.UintN(9)), byte(len(b)-2)
		if b[0] < can.Bytes {
			b = b[:1+min(b[0], can.Int)/can.Uint]
		}
	}
	return b
}

// hashClasses are ids and the texts that name things.
func hashClasses() []class {
	return []class{
		{name: "hash/sum", share: 3, oneSide: true, make: func(_ *Generator, r *rand.Rand, _ uint64) (string, any) {
			return "hash.sum", in{"hex": octets(r, 200, false)}
		}},
		{name: "hash/parse", share: 6, make: func(_ *Generator, r *rand.Rand, _ uint64) (string, any) {
			return "hash.parse", in{"text": hashText(r)}
		}},
		{name: "hash/without", share: 10, make: hashWithout},
		{name: "hash/idem", share: 3, oneSide: true, make: func(_ *Generator, r *rand.Rand, _ uint64) (string, any) {
			return "idem.id", in{"tool_id": hashDigits(digest(r)), "key": octets(r, 60, false)}
		}},
		{name: "hash/key", share: 6, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			root := g.schema.structOf(r, "AgentID", sampleDepth)
			if r.IntN(2) == 0 {
				return "key.id", in{"agent": g.changeBytes(r, root.bytes(), "AgentID")}
			}
			return "key.id", in{"agent": root.bytes()}
		}},
		{name: "hash/tool", share: 6, make: func(_ *Generator, r *rand.Rand, _ uint64) (string, any) {
			return "tool.id", in{"name": name(r), "interface": integer(r, 16), "request": hashDigits(digest(r)), "response": hashDigits(digest(r))}
		}},
		{name: "hash/runid", share: 4, make: func(_ *Generator, r *rand.Rand, _ uint64) (string, any) {
			return "ledger.runid", in{"text": name(r)}
		}},
		{name: "hash/path", share: 6, make: func(_ *Generator, r *rand.Rand, _ uint64) (string, any) {
			paths := []any{}
			for range 1 + r.IntN(3) {
				paths = append(paths, name(r))
			}
			return "path.check", in{"paths": paths}
		}},
		{name: "hash/effect", share: 4, make: effectKey},
	}
}

// hashText is the text of a hash, or nearly.
func hashText(r *rand.Rand) string {
	t := hashDigits(digest(r))
	i := r.IntN(len(t))
	switch r.IntN(8) {
	case 0:
		return t[:i] + t[i+1:]
	case 1:
		return t[:i] + words[r.IntN(len(words))] + t[i+1:]
	case 2:
		return strings.ToUpper(t)
	case 3:
		return t + "0"
	case 4:
		return t[:max(i, 7)] + strings.ToUpper(t[max(i, 7):])
	}
	return t
}

// name is a short text near what the rules of names, versions and paths ask for.
func name(r *rand.Rand) string {
	const letters = "abcxyz019-_./~"
	parts := []string{"con", "aux.txt", "LPT1", "COM0", "nul", "a", "demo", "echo", "B", "..", ".", "", "a ", "x.", "e\u0301", "\u00e9", "\ufb01", "\u0130", "\u1e9e", "k\u212a", "a:b", "a\\b", "*", "\u00ad", "\u202e", "\U0001f600"}
	var b strings.Builder
	for i := range 1 + r.IntN(3) {
		if i > 0 {
			b.WriteString([]string{"/", "/", "/", "-", ".", ""}[r.IntN(6)])
		}
		if r.IntN(4) > 0 {
			for range 1 + r.IntN(5) {
				b.WriteByte(letters[r.IntN(len(letters)-5*r.IntN(2))])
			}
			continue
		}
		b.WriteString(parts[r.IntN(len(parts))])
	}
	if r.IntN(50) == 0 {
		b.WriteString(strings.Repeat("n", 100+r.IntN(200)))
	}
	return b.String()
}

// hashWithout leaves fields out of structs, and out of what is none.
func hashWithout(g *Generator, r *rand.Rand, _ uint64) (string, any) {
	name := g.typeName(r)
	root := g.schema.structOf(r, name, 2)
	switch r.IntN(4) {
	case 0:
		root = rawValue(g.changeBytes(r, root.bytes(), name))
	case 1:
		root = anything(r, 2)
	}
	fields := []any{}
	for n := 1 + r.IntN(3); n < 16; n += 1 + r.IntN(8) {
		fields = append(fields, n)
	}
	return "hash.without", in{"hex": root.bytes(), "fields": fields}
}

// effectKey is a key that a caller chose, or one that a run gives an effect.
func effectKey(_ *Generator, r *rand.Rand, _ uint64) (string, any) {
	input := in{"authority": hashDigits(digest(r)), "holder": hashDigits(digest(r))}
	if r.IntN(2) == 0 {
		size := r.IntN(40)
		if r.IntN(3) == 0 {
			size = []int{0, 127, 128, 255, 256, 257, 1024, 1025}[r.IntN(8)]
		}
		input["explicit"] = someBytes(r, size)
		return "ledger.key", input
	}
	input["derived"] = in{
		"run_id": text(r, true), "package_id": hashDigits(digest(r)), "bundle": hashDigits(digest(r)),
		"task_id": hashDigits(digest(r)), "ordinal": decimal(integer(r, 64)),
	}
	return "ledger.key", input
}

// jsonClasses are JSON views of values, and texts that are nearly one.
func jsonClasses() []class {
	view := func(r *rand.Rand) string {
		t, err := can.AppendJSON(nil, anything(r, 3).bytes())
		if err != nil {
			panic(err) // anything is canonical
		}
		return string(t)
	}
	return []class{
		{name: "json/none", share: 15, oneSide: true, make: func(_ *Generator, r *rand.Rand, _ uint64) (string, any) {
			return "can.encode", in{"text": view(r)}
		}},
		{name: "json/token", share: 50, make: func(_ *Generator, r *rand.Rand, _ uint64) (string, any) {
			return viewInput(r, otherTokens(r, view(r)))
		}},
		{name: "json/bytes", share: 20, make: func(_ *Generator, r *rand.Rand, _ uint64) (string, any) {
			return viewInput(r, string(spoilt(r, []byte(view(r)))))
		}},
		{name: "json/made", share: 25, make: func(_ *Generator, r *rand.Rand, _ uint64) (string, any) {
			return viewInput(r, madeJSON(r, 3))
		}},
	}
}
