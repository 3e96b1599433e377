package differ

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Case is one generated request.
type Case struct {
	Seed, Index uint64
	Class       string
	Op          string
	Input       json.RawMessage
}

// ID names the case in requests and messages.
func (c Case) ID() string { return fmt.Sprintf("diff-%d-%d", c.Seed, c.Index) }

// class is one kind of cases.
type class struct {
	name    string
	share   int  // cases of each round
	oneSide bool // every answer is the same verdict by the class's nature
	signed  bool // most answers need the verification of a signature
	make    func(g *Generator, r *rand.Rand, n uint64) (op string, input any)
}

// Generator makes the cases of one seed. It is safe for concurrent use.
type Generator struct {
	seed    uint64
	classes []class
	round   []slot // one round of cases, the classes mixed
	schema  schema
	names   []string // of the schema's structs
	gaps    []string // of those whose numbers leave one out

	optional [][]optionalField // by the kinds of their types
	signed   []conformance.StructInfo
	keys     [keyCount]sig.Key
	lists    []list
	blobs    []chunked
	seeds    map[string][]json.RawMessage // inputs of the pack's vectors by op
	sealed   []sealed
	bits     uint64 // of all sealed objects, and one case of each as it is
}

// optionalField is an optional field of a struct.
type optionalField struct {
	of string
	conformance.FieldInfo
}

// slot is one case of a round: number rank of its class.
type slot struct{ class, rank int }

// NewGenerator prepares the cases of a seed.
func NewGenerator(seed uint64) (*Generator, error) {
	g := &Generator{seed: seed, schema: schema{}, keys: makeKeys(seed)}
	for _, t := range conformance.Schema() {
		g.schema[t.Name] = t
		g.names = append(g.names, t.Name)
		if n := len(t.Fields); n > 0 && int(t.Fields[n-1].Num) > n {
			g.gaps = append(g.gaps, t.Name)
		}
		if t.Sig != 0 {
			g.signed = append(g.signed, t)
		}
	}
	g.optional = optionalFields(g.names, g.schema)
	pack, err := conformance.Embedded()
	if err != nil {
		return nil, err
	}
	g.seeds = packSeeds(pack)
	if g.lists, err = makeLists(); err != nil {
		return nil, err
	}
	if g.blobs, err = makeBlobs(); err != nil {
		return nil, err
	}
	if err := g.makeSealed(); err != nil {
		return nil, err
	}
	g.classes = allClasses()
	g.round = mixed(g.classes)
	return g, nil
}

// optionalFields groups the optional fields of the schema by their types' kinds.
func optionalFields(names []string, s schema) [][]optionalField {
	byKind := map[string][]optionalField{}
	for _, name := range names {
		for _, f := range s[name].Fields {
			if f.Optional {
				byKind[f.Type.Kind] = append(byKind[f.Type.Kind], optionalField{name, f})
			}
		}
	}
	var all [][]optionalField
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		all = append(all, byKind[kind])
	}
	return all
}

// mixed spreads the classes over one round, each by its share.
func mixed(classes []class) []slot {
	var all []slot
	for i, c := range classes {
		for rank := range c.share {
			all = append(all, slot{i, rank})
		}
	}
	at := func(s slot) int { return (2*s.rank + 1) * 1_000_000 / classes[s.class].share }
	slices.SortStableFunc(all, func(a, b slot) int { return at(a) - at(b) })
	return all
}

// Classes returns the names of the classes, in their order.
func (g *Generator) Classes() []string {
	var names []string
	for _, c := range g.classes {
		names = append(names, c.name)
	}
	return names
}

// Signed returns how many cases of a hundred are of classes whose answers mostly
// take the verification of a signature.
func (g *Generator) Signed() int {
	n := 0
	for _, s := range g.round {
		if g.classes[s.class].signed {
			n++
		}
	}
	return (100*n + len(g.round)/2) / len(g.round)
}

// Bits returns how many of the first cases' flips are of different bits of
// sealed objects, and how many bits these have.
func (g *Generator) Bits(cases uint64) (done, all uint64) {
	n := uint64(0)
	for i, s := range g.round {
		if g.classes[s.class].name == flipClass && uint64(i) < cases {
			n += 1 + (cases-1-uint64(i))/uint64(len(g.round))
		}
	}
	return min(n, g.bits), g.bits
}

// Case makes case index. It depends on nothing but the seed, the index and this
// build.
func (g *Generator) Case(index uint64) (Case, error) {
	s := g.round[index%uint64(len(g.round))]
	c := g.classes[s.class]
	op, input := c.make(g, g.random("case", index), index/uint64(len(g.round))*uint64(c.share)+uint64(s.rank))
	raw, err := encodeInput(input)
	if err != nil {
		return Case{}, fmt.Errorf("case %d of seed %d: %w", index, g.seed, err)
	}
	return Case{Seed: g.seed, Index: index, Class: c.name, Op: op, Input: raw}, nil
}

// random is a source of its own for each use and number.
func (g *Generator) random(use string, n uint64) *rand.Rand {
	b := binary.BigEndian.AppendUint64([]byte("mythos differ "+use), g.seed)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(b, n))
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])))
}

// in are the members of an op's input. []byte becomes hexadecimal digits.
type in = map[string]any

// encodeInput is one line of JSON.
func encodeInput(input any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(digits(input))
	return bytes.TrimSpace(b.Bytes()), err
}

// digits replaces bytes by their hexadecimal digits.
func digits(x any) any {
	switch x := x.(type) {
	case []byte:
		return conformance.Hex(x)
	case [][]byte:
		list := []any{}
		for _, b := range x {
			list = append(list, conformance.Hex(b))
		}
		return list
	case in:
		m := in{}
		for k, v := range x {
			m[k] = digits(v)
		}
		return m
	case []any:
		list := make([]any, len(x))
		for i, v := range x {
			list[i] = digits(v)
		}
		return list
	}
	return x
}

// typeName is any struct of the schema.
func (g *Generator) typeName(r *rand.Rand) string { return g.names[r.IntN(len(g.names))] }

// key is any of the keys.
func (g *Generator) key(r *rand.Rand) sig.Key { return g.keys[r.IntN(keyCount)] }
