package differ

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/libs/can"
)

// mutation is one way to change a value; false if there is nothing in it that
// can be changed so. Not every change makes a value wrong.
type mutation struct {
	name string
	do   func(s schema, r *rand.Rand, root *value) bool
}

// mutations are those of trees. What they say about the bytes is in their names;
// the schema says where they can happen.
var mutations = [...]mutation{
	{"none", func(schema, *rand.Rand, *value) bool { return true }},
	{"drop", drop},
	{"reorder", reorder},
	{"duplicate", duplicate},
	{"unknown-low", unknownLow},
	{"unknown-middle", unknownMiddle},
	{"unknown-high", unknownHigh},
	{"extra-closed", extraClosed},
	{"tag", wrongTag},
	{"empty", emptyOptional},
	{"range", outOfRange},
	{"varint", longVarint},
	{"utf8", otherText},
	{"count", otherCount},
	{"const", otherConst},
	{"hash", otherHash},
	{"splice", splice},
	{"depth", nest},
}

// mutated is root after a mutation; where the mutation finds nothing to change
// it is bytes as they were.
func (s schema) mutated(r *rand.Rand, m mutation, root *value) []byte {
	m.do(s, r, root)
	return root.bytes()
}

// oneMutation is any of them.
func oneMutation(r *rand.Rand) mutation { return mutations[r.IntN(len(mutations))] }

func isMap(v *value) bool { return v.raw == nil && v.tag == can.Map }

func holds(n int) func(*value) bool {
	return func(v *value) bool { return isMap(v) && len(v.kids) >= 2*n }
}

func drop(_ schema, r *rand.Rand, root *value) bool {
	v := root.some(r, holds(1))
	if v == nil {
		return false
	}
	i := 2 * r.IntN(len(v.kids)/2)
	v.kids = slices.Delete(slices.Clone(v.kids), i, i+2)
	return true
}

func reorder(_ schema, r *rand.Rand, root *value) bool {
	v := root.some(r, holds(2))
	if v == nil {
		return false
	}
	n := len(v.kids) / 2
	i := 2 * r.IntN(n-1)
	j := i + 2 + 2*r.IntN(n-1-i/2)
	k := slices.Clone(v.kids)
	k[i], k[i+1], k[j], k[j+1] = k[j], k[j+1], k[i], k[i+1]
	v.kids = k
	return true
}

func duplicate(_ schema, r *rand.Rand, root *value) bool {
	v := root.some(r, holds(1))
	if v == nil {
		return false
	}
	i := 2 * r.IntN(len(v.kids)/2)
	again := []*value{v.kids[i].clone(), v.kids[i+1].clone()}
	if r.IntN(2) == 0 {
		again[1] = anything(r, 1)
	}
	v.kids = slices.Insert(slices.Clone(v.kids), i+2, again...)
	return true
}

// addField adds a field whose number is low to high and not in the schema.
func (s schema) addField(r *rand.Rand, v *value, low, high uint64) bool {
	var free []uint64
	for n := low; n <= high; n++ {
		if !slices.ContainsFunc(s[v.typ.Struct].Fields, func(f conformance.FieldInfo) bool { return uint64(f.Num) == n }) {
			free = append(free, n)
		}
	}
	if len(free) == 0 {
		return false
	}
	v.insert(free[r.IntN(len(free))], anything(r, 2))
	return true
}

func (s schema) last(v *value) uint64 {
	if f := s[v.typ.Struct].Fields; len(f) > 0 {
		return uint64(f[len(f)-1].Num)
	}
	return 0
}

// unknownLow adds a field below the last: in a gap, or number 0.
func unknownLow(s schema, r *rand.Rand, root *value) bool {
	v := root.some(r, func(v *value) bool { return v.isStruct() && s.last(v) > uint64(len(s[v.typ.Struct].Fields)) })
	if v != nil && r.IntN(2) == 0 {
		return s.addField(r, v, 1, s.last(v))
	}
	if v = root.some(r, (*value).isStruct); v == nil {
		return false
	}
	return s.addField(r, v, 0, max(s.last(v), 1))
}

func unknownMiddle(s schema, r *rand.Rand, root *value) bool {
	v := root.some(r, (*value).isStruct)
	return v != nil && s.addField(r, v, s.last(v)+1, 126)
}

// unknownHigh adds the highest field, or one that no struct can have.
func unknownHigh(s schema, r *rand.Rand, root *value) bool {
	v := root.some(r, (*value).isStruct)
	if v == nil {
		return false
	}
	nums := []uint64{127, 127, 127, 128, 255, 256, 1 << 32, 1<<64 - 1}
	v.insert(nums[r.IntN(len(nums))], anything(r, 2))
	return true
}

func extraClosed(s schema, r *rand.Rand, root *value) bool {
	v := root.some(r, func(v *value) bool {
		return v.isStruct() && (s[v.typ.Struct].Closed || v.typ.Closed || v.typ.Struct == "Hash")
	})
	return v != nil && s.addField(r, v, 1, 127)
}

// wrongTag replaces a value by one of another type, NULL among them.
func wrongTag(_ schema, r *rand.Rand, root *value) bool {
	v := root.some(r, func(*value) bool { return true })
	tag := v.tag
	for range 20 {
		x := anything(r, 1)
		if r.IntN(4) == 0 {
			x = &value{tag: can.Null}
		}
		if x.tag != tag {
			v.become(x)
			return true
		}
	}
	return false
}

// emptyOptional makes an optional field say what its absence says.
func emptyOptional(s schema, r *rand.Rand, root *value) bool {
	v := root.some(r, func(v *value) bool {
		return v.isStruct() && slices.ContainsFunc(s[v.typ.Struct].Fields, func(f conformance.FieldInfo) bool { return f.Optional })
	})
	if v == nil {
		return false
	}
	var optional []conformance.FieldInfo
	for _, f := range s[v.typ.Struct].Fields {
		if f.Optional {
			optional = append(optional, f)
		}
	}
	f := optional[r.IntN(len(optional))]
	v.set(f.Num, emptyValue(&f.Type))
	return true
}

// emptyValue is what an absent field of a type says; an integer has no such
// value, and 0 stands for it.
func emptyValue(t *conformance.TypeInfo) *value {
	v := &value{tag: can.Uint, typ: t}
	switch t.Kind {
	case "bytes":
		v.tag = can.Bytes
	case "text":
		v.tag = can.Text
	case "list":
		v.tag = can.List
	case "map", "struct":
		v.tag = can.Map
	case "bool":
		v.tag = can.False
	case "i64", "time":
		v.tag = can.Int
	}
	return v
}

// outOfRange makes an integer too large for its type, or the largest, and fixed
// bytes too short or too long.
func outOfRange(_ schema, r *rand.Rand, root *value) bool {
	keys := r.IntN(4) == 0 // a field's number has no type
	v := root.some(r, func(v *value) bool {
		number := v.tag == can.Uint || v.tag == can.Int
		return v.raw == nil && (number && (keys || v.typ != nil) || v.typ != nil && v.typ.Kind == "fixed")
	})
	if v == nil {
		return false
	}
	if v.typ != nil && v.typ.Kind == "fixed" {
		v.data = someBytes(r, []int{0, v.typ.Size - 1, v.typ.Size + 1, v.typ.Size + 32}[r.IntN(4)])
		return true
	}
	bits := 64
	if v.typ != nil && width(v.typ.Kind) > 0 {
		bits = width(v.typ.Kind)
	}
	if bits < 64 {
		v.num = uint64(1)<<bits - uint64(r.IntN(3)) + uint64(r.IntN(2))
		return true
	}
	// Ten bytes: 2^64-1, 2^64, more, and eleven bytes.
	tails := [][]byte{{0x01}, {0x02}, {0x7f}, {0x81, 0x00}, {0x81, 0x01}}
	raw := append([]byte{v.tag}, slices.Repeat([]byte{0xff}, 9)...)
	v.raw = append(raw, tails[r.IntN(len(tails))]...)
	return true
}

// longVarint writes an integer, length or count with a byte too many.
func longVarint(_ schema, r *rand.Rand, root *value) bool {
	v := root.some(r, func(v *value) bool { return v.raw == nil && v.tag >= can.Uint })
	if v == nil {
		return false
	}
	raw := v.bytes()
	_, n := binary.Uvarint(raw[1:])
	long := slices.Clone(raw[:1+n])
	long[n] |= 0x80
	for range r.IntN(2) {
		long = append(long, 0x80)
	}
	v.raw = append(append(long, 0), raw[1+n:]...)
	return true
}

// oddTexts are texts at the edge of UTF-8, on both sides.
var oddTexts = [...]string{
	"\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xe2\x82", "\xed\xa0\x80", "\xed\xbf\xbf", "\xed\xa0\xbd\xed\xb8\x80",
	"\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xff", "\xfe", "a\xffb", "\xf0\x9f\x98",
	"\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xef\xbb\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\x00", "e\xcc\x81", "\xc3\xa9",
}

func otherText(_ schema, r *rand.Rand, root *value) bool {
	v := root.some(r, func(v *value) bool { return v.raw == nil && v.tag == can.Text })
	if v == nil {
		return false
	}
	at := r.IntN(len(v.data) + 1)
	v.data = slices.Concat(v.data[:at], []byte(oddTexts[r.IntN(len(oddTexts))]), v.data[at:])
	return true
}

// otherCount makes a length or count one less, one more, or enormous.
func otherCount(_ schema, r *rand.Rand, root *value) bool {
	v := root.some(r, func(v *value) bool { return v.raw == nil && v.tag >= can.Bytes })
	if v == nil {
		return false
	}
	raw := v.bytes()
	n, size := binary.Uvarint(raw[1:])
	n = []uint64{n + 1, n - 1, n + 1<<16, 1 << 31, 1 << 32, 1 << 53, 1 << 63, 1<<64 - 1, n}[r.IntN(9)]
	v.raw = append(binary.AppendUvarint([]byte{v.tag}, n), raw[1+size:]...)
	return true
}

// otherConst changes a constant text, or another text where there is none.
func otherConst(s schema, r *rand.Rand, root *value) bool {
	v := root.some(r, func(v *value) bool {
		return v.isStruct() && slices.ContainsFunc(s[v.typ.Struct].Fields, func(f conformance.FieldInfo) bool { return f.Const != "" })
	})
	if v == nil {
		return false
	}
	for _, f := range s[v.typ.Struct].Fields {
		if f.Const != "" {
			other := []string{"", f.Const + "s", f.Const[1:], "mythos.other", f.Const + "\x00", f.Const}
			v.set(f.Num, textValue(other[r.IntN(len(other))]))
		}
	}
	return true
}

// otherHash gives a Hash another algorithm, or a digest of another length.
func otherHash(_ schema, r *rand.Rand, root *value) bool {
	v := root.some(r, func(v *value) bool { return v.isStruct() && v.typ.Struct == "Hash" })
	if v == nil {
		return false
	}
	switch r.IntN(3) {
	case 0:
		v.set(1, uintValue([]uint64{0, 2, 127, 255, 256}[r.IntN(5)]))
	case 1:
		v.set(2, bytesValue(someBytes(r, []int{0, 20, 31, 33, 64}[r.IntN(5)])))
	default:
		v.set(2, bytesValue(digest(r)))
	}
	return true
}

// splice puts one part of the value in the place of another.
func splice(_ schema, r *rand.Rand, root *value) bool {
	from := root.some(r, func(v *value) bool { return v != root })
	if from == nil {
		return false
	}
	copied := from.clone()
	to := root.some(r, func(v *value) bool { return v != root && v != from && (v.tag == from.tag || r.IntN(4) == 0) })
	if to == nil {
		return false
	}
	to.become(copied)
	return true
}

// nest wraps a value in as many lists as there may be, one less, or too many;
// in a field that no schema knows this is not wrong in itself.
func nest(s schema, r *rand.Rand, root *value) bool {
	deep := anything(r, 1)
	for range 26 + r.IntN(9) {
		deep = &value{tag: can.List, kids: []*value{deep}}
	}
	v := root.some(r, (*value).isStruct)
	if v != nil && r.IntN(4) > 0 {
		v.insert(max(s.last(v)+1, 120), deep)
		return true
	}
	if v = root.some(r, func(v *value) bool { return v != root }); v == nil {
		v = root
	}
	v.become(deep)
	return true
}

// spoiling are mutations of bytes.
var spoiling = [...]struct {
	name string
	do   func(r *rand.Rand, b []byte) []byte
}{
	{"truncate", func(r *rand.Rand, b []byte) []byte { return b[:r.IntN(max(len(b), 1))] }},
	{"extend", func(r *rand.Rand, b []byte) []byte { return append(slices.Clone(b), someBytes(r, 1+r.IntN(3))...) }},
	{"bit", flipBit},
}

func flipBit(r *rand.Rand, b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	return flipped(b, r.IntN(8*len(b)))
}

// flipped is b with one bit another.
func flipped(b []byte, bit int) []byte {
	c := slices.Clone(b)
	c[bit/8] ^= 1 << (bit % 8)
	return c
}

// spoilt is a change of bytes of any kind.
func spoilt(r *rand.Rand, b []byte) []byte { return spoiling[r.IntN(len(spoiling))].do(r, b) }
