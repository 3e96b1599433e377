package differ

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/libs/can"
)

// value is one value as a tree that can be changed: what it encodes to need not
// be canonical.
type value struct {
	tag  byte
	num  uint64                // of Uint; of Int in zigzag
	data []byte                // of Bytes and Text
	kids []*value              // of List its items, of Map keys and values by turns
	raw  []byte                // if not nil, what the value encodes to
	typ  *conformance.TypeInfo // what the schema says about it; nil: nothing
}

func uintValue(n uint64) *value  { return &value{tag: can.Uint, num: n} }
func bytesValue(b []byte) *value { return &value{tag: can.Bytes, data: b} }
func textValue(s string) *value  { return &value{tag: can.Text, data: []byte(s)} }

// intValue is an IVARINT.
func intValue(n int64) *value { return &value{tag: can.Int, num: uint64(n)<<1 ^ uint64(n>>63)} }

// rawValue is bytes that stand for a value.
func rawValue(b []byte) *value { return &value{raw: append([]byte{}, b...)} }

// hashValue is a Hash.
func hashValue(digest []byte) *value {
	v := structValue(1, uintValue(1), 2, bytesValue(digest))
	v.typ = &conformance.TypeInfo{Kind: "struct", Struct: "Hash"}
	return v
}

// structValue is a MAP of field numbers (int) and values by turns.
func structValue(pairs ...any) *value {
	v := &value{tag: can.Map}
	for i := 0; i < len(pairs); i += 2 {
		v.kids = append(v.kids, uintValue(uint64(pairs[i].(int))), pairs[i+1].(*value))
	}
	return v
}

// encode appends the value's bytes.
func (v *value) encode(b []byte) []byte {
	if v.raw != nil {
		return append(b, v.raw...)
	}
	b = append(b, v.tag)
	switch v.tag {
	case can.Uint, can.Int:
		return binary.AppendUvarint(b, v.num)
	case can.Bytes, can.Text:
		return append(binary.AppendUvarint(b, uint64(len(v.data))), v.data...)
	case can.List:
		b = binary.AppendUvarint(b, uint64(len(v.kids)))
	case can.Map:
		b = binary.AppendUvarint(b, uint64(len(v.kids)/2))
	}
	for _, k := range v.kids {
		b = k.encode(b)
	}
	return b
}

func (v *value) bytes() []byte { return v.encode(nil) }

// clone copies the tree.
func (v *value) clone() *value {
	c := *v
	c.kids = make([]*value, len(v.kids))
	for i, k := range v.kids {
		c.kids[i] = k.clone()
	}
	return &c
}

// at is the index in kids of the value of field num, or -1.
func (v *value) at(num uint8) int {
	for i := 0; i+1 < len(v.kids); i += 2 {
		if k := v.kids[i]; k.raw == nil && k.tag == can.Uint && k.num == uint64(num) {
			return i + 1
		}
	}
	return -1
}

// field is the value of field num, or nil.
func (v *value) field(num uint8) *value {
	if i := v.at(num); i >= 0 {
		return v.kids[i]
	}
	return nil
}

// set replaces the value of field num, or puts it in its place.
func (v *value) set(num uint8, x *value) {
	if i := v.at(num); i >= 0 {
		v.kids[i] = x
		return
	}
	v.insert(uint64(num), x)
}

// insert puts a field in front of the first one with a higher number.
func (v *value) insert(num uint64, x *value) {
	i := 0
	for i+1 < len(v.kids) && v.kids[i].num < num {
		i += 2
	}
	v.kids = append(v.kids[:i:i], append([]*value{uintValue(num), x}, v.kids[i:]...)...)
}

// without is the struct's bytes without some fields.
func (v *value) without(nums ...uint8) []byte {
	c := *v
	c.kids = append([]*value{}, v.kids...)
	for _, n := range nums {
		for i := c.at(n); i >= 0; i = c.at(n) {
			c.kids = append(c.kids[:i-1], c.kids[i+1:]...)
		}
	}
	return c.bytes()
}

// all lists the tree's values that are picked, the root first.
func (v *value) all(pick func(*value) bool) []*value {
	var out []*value
	if pick(v) {
		out = append(out, v)
	}
	if v.raw == nil {
		for _, k := range v.kids {
			out = append(out, k.all(pick)...)
		}
	}
	return out
}

// some is one of the tree's values that are picked, or nil.
func (v *value) some(r *rand.Rand, pick func(*value) bool) *value {
	list := v.all(pick)
	if len(list) == 0 {
		return nil
	}
	return list[r.IntN(len(list))]
}

// become makes v another value in the same place.
func (v *value) become(x *value) {
	typ := v.typ
	*v = *x
	if v.typ == nil {
		v.typ = typ
	}
}

// isStruct reports whether v is a MAP that the schema describes.
func (v *value) isStruct() bool {
	return v.raw == nil && v.tag == can.Map && v.typ != nil && v.typ.Kind == "struct"
}

// parse makes a tree of one canonical value that is of type t, nil for any;
// false if raw is not canonical.
func (s schema) parse(raw []byte, t *conformance.TypeInfo) (*value, bool) {
	if can.Valid(raw) != nil {
		return nil, false
	}
	v, _ := s.read(raw, t)
	return v, true
}

// read makes a tree of the value at the start of b, which is canonical, and
// returns what follows.
func (s schema) read(b []byte, t *conformance.TypeInfo) (*value, []byte) {
	v := &value{tag: b[0], typ: t}
	b = b[1:]
	if v.tag < can.Uint {
		return v, b
	}
	n, size := binary.Uvarint(b)
	b = b[size:]
	switch v.tag {
	case can.Uint, can.Int:
		v.num = n
	case can.Bytes, can.Text:
		v.data, b = append([]byte{}, b[:n]...), b[n:]
	case can.List:
		for range n {
			var k *value
			k, b = s.read(b, elem(t, "list"))
			v.kids = append(v.kids, k)
		}
	case can.Map:
		for range n {
			var k, x *value
			k, b = s.read(b, nil)
			x, b = s.read(b, s.memberType(t, k))
			v.kids = append(v.kids, k, x)
		}
	}
	return v, b
}

// elem is the type of t's items, if t is of that kind.
func elem(t *conformance.TypeInfo, kind string) *conformance.TypeInfo {
	if t == nil || t.Kind != kind {
		return nil
	}
	return t.Elem
}

// memberType is the type of what stands under key in a MAP of type t.
func (s schema) memberType(t *conformance.TypeInfo, key *value) *conformance.TypeInfo {
	if t == nil || t.Kind != "struct" || key.tag != can.Uint {
		return elem(t, "map")
	}
	for i, f := range s[t.Struct].Fields {
		if uint64(f.Num) == key.num {
			return &s[t.Struct].Fields[i].Type
		}
	}
	return nil
}

// schema holds the structs by name.
type schema map[string]conformance.StructInfo

// structType is the type of a struct by its name.
func structType(name string) *conformance.TypeInfo {
	return &conformance.TypeInfo{Kind: "struct", Struct: name}
}
