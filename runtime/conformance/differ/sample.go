package differ

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/libs/can"
)

// sampleDepth is how many structs deep samples fill optional fields and lists.
const sampleDepth = 3

// structOf makes a value of a struct: required fields, and each optional field
// every other time.
func (s schema) structOf(r *rand.Rand, name string, depth int) *value {
	if name == "Hash" {
		return hashValue(digest(r))
	}
	v := &value{tag: can.Map, typ: structType(name)}
	for i := range s[name].Fields {
		f := &s[name].Fields[i]
		if f.Optional && (depth <= 0 || r.IntN(2) == 0) {
			continue
		}
		var x *value
		if f.Const != "" {
			x = textValue(f.Const)
		} else {
			x = s.valueOf(r, &f.Type, f.Optional, depth)
		}
		x.typ = &f.Type
		v.kids = append(v.kids, uintValue(uint64(f.Num)), x)
	}
	return v
}

// valueOf makes a value of a type; filled ones are not empty and not false.
func (s schema) valueOf(r *rand.Rand, t *conformance.TypeInfo, filled bool, depth int) *value {
	v := &value{tag: can.Null}
	switch t.Kind {
	case "u8", "u16", "u32", "u64":
		v = uintValue(integer(r, width(t.Kind)))
	case "i64", "time":
		v = &value{tag: can.Int, num: integer(r, 64)}
	case "bool":
		v.tag = can.True
		if !filled && r.IntN(2) == 0 {
			v.tag = can.False
		}
	case "bytes":
		v = bytesValue(octets(r, 40, filled))
	case "fixed":
		v = bytesValue(someBytes(r, t.Size))
	case "text":
		v = textValue(text(r, filled))
	case "raw":
		v = anything(r, 2)
	case "list":
		v = s.listOf(r, t, filled, depth)
	case "map":
		v = s.mapOf(r, t, filled, depth)
	case "struct":
		v = s.structOf(r, t.Struct, depth-1)
	}
	v.typ = t
	return v
}

// width is the bits of an unsigned type, 0 of any other.
func width(kind string) int {
	switch kind {
	case "u8":
		return 8
	case "u16":
		return 16
	case "u32":
		return 32
	case "u64":
		return 64
	}
	return 0
}

func count(r *rand.Rand, filled bool, depth int) int {
	n := 0
	if depth > 0 {
		n = r.IntN(4)
	}
	if filled {
		n = max(n, 1)
	}
	return n
}

func (s schema) listOf(r *rand.Rand, t *conformance.TypeInfo, filled bool, depth int) *value {
	v := &value{tag: can.List}
	for range count(r, filled, depth) {
		v.kids = append(v.kids, s.valueOf(r, t.Elem, false, depth-1))
	}
	return v
}

func (s schema) mapOf(r *rand.Rand, t *conformance.TypeInfo, filled bool, depth int) *value {
	v := &value{tag: can.Map}
	for range count(r, filled, depth) {
		key := uintValue(integer(r, 32))
		if t.Key == "text" {
			key = textValue(text(r, false))
		}
		v.kids = append(v.kids, key, s.valueOf(r, t.Elem, false, depth-1))
	}
	v.sortKeys()
	return v
}

// sortKeys orders a MAP by its keys' bytes and drops keys that stand twice.
func (v *value) sortKeys() {
	var pairs [][2]*value
	for i := 0; i < len(v.kids); i += 2 {
		pairs = append(pairs, [2]*value{v.kids[i], v.kids[i+1]})
	}
	slices.SortStableFunc(pairs, func(a, b [2]*value) int { return bytes.Compare(a[0].bytes(), b[0].bytes()) })
	v.kids = nil
	for i, p := range pairs {
		if i == 0 || !bytes.Equal(p[0].bytes(), pairs[i-1][0].bytes()) {
			v.kids = append(v.kids, p[0], p[1])
		}
	}
}

// integer is an integer of so many bits, edges more often than the rest.
func integer(r *rand.Rand, bits int) uint64 {
	most := uint64(math.MaxUint64) >> (64 - bits)
	switch r.IntN(6) {
	case 0:
		return uint64(r.IntN(4))
	case 1:
		return most - uint64(r.IntN(3))
	case 2:
		edge := uint64(1) << r.IntN(bits) // where varints grow, and 2^53
		return (edge - uint64(r.IntN(2))) & most
	}
	return r.Uint64() & most >> r.IntN(bits)
}

func someBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.UintN(256))
	}
	return b
}

func digest(r *rand.Rand) []byte { return someBytes(r, 32) }

// octets are up to most bytes, and sometimes as many as take another byte of
// length.
func octets(r *rand.Rand, most int, filled bool) []byte {
	n := r.IntN(most)
	if r.IntN(40) == 0 {
		n = 126 + r.IntN(4)
	}
	if filled {
		n = max(n, 1)
	}
	return someBytes(r, n)
}

// words are pieces of texts: what rules are about, and what programs get wrong.
var words = [...]string{
	"a", "b", "echo", "demo/one", "main.js", "1.2.3", "0.1.0-rc.1", "ir.level1", "linux/amd64", "GET", "PUT", "POST",
	"a.org", "*.a.org", "x.a.org", "127.0.0.1", "/", "..", ".", "-", "_", " ", "$u64", "$map", "package", "ring_max",
	"\u00e9", "e\u0301", "\u65e5\u672c", "\U0001f600", "\U0010ffff", "\uffff", "\u0000", "\ufeff", "\u2028", "\u202e",
	"\u007f", "\u0085", "\\", "\"", "\n", "\t", "<&>",
}

// text is a text of a few words.
func text(r *rand.Rand, filled bool) string {
	var b strings.Builder
	n := r.IntN(4)
	if filled {
		n = max(n, 1)
	}
	for range n {
		b.WriteString(words[r.IntN(len(words))])
	}
	if r.IntN(60) == 0 {
		b.WriteString(strings.Repeat("x", 126))
	}
	return b.String()
}

// anything is a value that no schema describes, depth containers deep at most.
func anything(r *rand.Rand, depth int) *value {
	kinds := 9
	if depth <= 0 {
		kinds = 7
	}
	v := &value{tag: byte(r.IntN(kinds))}
	switch v.tag {
	case can.Uint, can.Int:
		v.num = integer(r, 64)
	case can.Bytes:
		v.data = octets(r, 12, false)
	case can.Text:
		v.data = []byte(text(r, false))
	case can.List:
		for range r.IntN(4) {
			v.kids = append(v.kids, anything(r, depth-1))
		}
	case can.Map:
		plain := r.IntN(2) == 0
		for range r.IntN(4) {
			key := textValue(text(r, false))
			if !plain {
				key = anything(r, depth-1)
			}
			v.kids = append(v.kids, key, anything(r, depth-1))
		}
		v.sortKeys()
	}
	return v
}
