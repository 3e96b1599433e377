package ir

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"slices"
)

// The reference interpreter (ref*_test.go) is written from RFC-MYTHOS-0012 and
// shares nothing with the interpreter but the decoded Bundle. It is as plain as
// can be: values are trees, encoded anew each time somebody asks for their
// bytes; sums are big.Int; calls recurse.

// Kinds of values beside nil, bool, uint64 and int64.
type (
	refBytes string
	refText  string
	refList  []any
	refMap   []refPair // ascending by encoded key
	refPair  struct{ k, v any }
)

// refVal is what a register holds: a value and its record type.
type refVal struct {
	v   any
	rec *TypeDef
}

func refHead(b []byte, tag byte, n uint64) []byte {
	return binary.AppendUvarint(append(b, tag), n)
}

// refAppend encodes v (RFC-MYTHOS-0001 §2.1).
func refAppend(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, 0)
	case bool:
		if v {
			return append(b, 2)
		}
		return append(b, 1)
	case uint64:
		return refHead(b, 3, v)
	case int64:
		return refHead(b, 4, uint64(v<<1)^uint64(v>>63))
	case refBytes:
		return append(refHead(b, 5, uint64(len(v))), v...)
	case refText:
		return append(refHead(b, 6, uint64(len(v))), v...)
	case refList:
		b = refHead(b, 7, uint64(len(v)))
		for _, x := range v {
			b = refAppend(b, x)
		}
		return b
	}
	m := v.(refMap)
	b = refHead(b, 8, uint64(len(m)))
	for _, p := range m {
		b = refAppend(refAppend(b, p.k), p.v)
	}
	return b
}

func refEncode(v any) []byte { return refAppend(nil, v) }

func refEqual(a, b any) bool { return bytes.Equal(refEncode(a), refEncode(b)) }

// refDecode takes one value from canonical bytes and returns the rest.
func refDecode(b []byte) (any, []byte) {
	tag, b := b[0], b[1:]
	if tag <= 2 {
		return []any{nil, false, true}[tag], b
	}
	n, size := binary.Uvarint(b)
	b = b[size:]
	switch tag {
	case 3:
		return n, b
	case 4:
		return int64(n>>1) ^ -int64(n&1), b
	case 5:
		return refBytes(b[:n]), b[n:]
	case 6:
		return refText(b[:n]), b[n:]
	case 7:
		list := make(refList, n)
		for i := range list {
			list[i], b = refDecode(b)
		}
		return list, b
	}
	m := make(refMap, n)
	for i := range m {
		m[i].k, b = refDecode(b)
		m[i].v, b = refDecode(b)
	}
	return m, b
}

func refValue(b []byte) any {
	v, rest := refDecode(b)
	if len(rest) != 0 {
		panic("bytes after the value")
	}
	return v
}

// refDepth counts open containers.
func refDepth(v any) int {
	deepest := 0
	switch v := v.(type) {
	case refList:
		for _, x := range v {
			deepest = max(deepest, refDepth(x))
		}
		return deepest + 1
	case refMap:
		for _, p := range v {
			deepest = max(deepest, refDepth(p.k), refDepth(p.v))
		}
		return deepest + 1
	}
	return 0
}

// refLen is the length of v's canonical bytes.
func refLen(v any) int64 {
	n := int64(0)
	switch v := v.(type) {
	case refBytes:
		return int64(len(refHead(nil, 5, uint64(len(v)))) + len(v))
	case refText:
		return int64(len(refHead(nil, 6, uint64(len(v)))) + len(v))
	case refList:
		for _, x := range v {
			n += refLen(x)
		}
		return n + int64(len(refHead(nil, 7, uint64(len(v)))))
	case refMap:
		for _, p := range v {
			n += refLen(p.k) + refLen(p.v)
		}
		return n + int64(len(refHead(nil, 8, uint64(len(v)))))
	}
	return int64(len(refEncode(v)))
}

// refGet looks up a key of a MAP.
func refGet(m refMap, id uint64) (any, bool) {
	for _, p := range m {
		if k, ok := p.k.(uint64); ok && k == id {
			return p.v, true
		}
	}
	return nil, false
}

// refMapOf makes a MAP of fields, without those that are NULL.
func refMapOf(fields map[uint64]any) refMap {
	m := refMap{}
	for k, v := range fields {
		if v != nil {
			m = append(m, refPair{k, v})
		}
	}
	return refSorted(m)
}

func refSorted(m refMap) refMap {
	slices.SortFunc(m, func(a, b refPair) int { return bytes.Compare(refEncode(a.k), refEncode(b.k)) })
	return m
}

// refHash is the Hash struct of a digest, refSum that of some bytes.
func refHash(h [32]byte) refMap {
	return refMap{{uint64(1), uint64(1)}, {uint64(2), refBytes(h[:])}}
}

func refSum(b []byte) [32]byte { return sha256.Sum256(b) }

// refFalsy is what JZ jumps on, if it is not a record (§4.2).
func refFalsy(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case uint64:
		return v == 0
	case int64:
		return v == 0
	case refBytes:
		return v == ""
	case refText:
		return v == ""
	case refList:
		return len(v) == 0
	}
	return len(v.(refMap)) == 0
}

// refOrder compares two values as LT does; ok is false if they have no order.
func refOrder(a, b any) (order int, ok bool) {
	switch a := a.(type) {
	case uint64:
		b, ok := b.(uint64)
		return new(big.Int).SetUint64(a).Cmp(new(big.Int).SetUint64(b)), ok
	case int64:
		b, ok := b.(int64)
		return big.NewInt(a).Cmp(big.NewInt(b)), ok
	case refBytes:
		b, ok := b.(refBytes)
		return bytes.Compare([]byte(a), []byte(b)), ok
	case refText:
		b, ok := b.(refText)
		return bytes.Compare([]byte(a), []byte(b)), ok
	}
	return 0, false
}

// refPer is ceil(n / unit).
func refPer(n, unit int64) *big.Int {
	return new(big.Int).Div(big.NewInt(n+unit-1), big.NewInt(unit))
}

func refAdd(terms ...*big.Int) *big.Int {
	n := new(big.Int)
	for _, t := range terms {
		n.Add(n, t)
	}
	return n
}

// refS and refV are S and V of §6.2.
func refS(v any) *big.Int { return refPer(refLen(v), 64) }

func refV(v any) *big.Int { return refPer(refLen(v), 8) }

// refBuiltins names the built-in types by their ids, which are the hashes of
// their names (§2.2).
var refBuiltins = func() map[[32]byte]string {
	names := map[[32]byte]string{}
	for _, name := range []string{"any", "null", "bool", "u64", "i64", "bytes", "text", "list", "map"} {
		names[refSum(refEncode(refText("mythos.type/"+name)))] = name
	}
	return names
}()

func refType(b *Bundle, id [32]byte) *TypeDef {
	for i := range b.Types.Types {
		if b.Types.Types[i].TypeID == id {
			return &b.Types.Types[i]
		}
	}
	return nil
}

// refRecord returns a type if it is a Record.
func refRecord(b *Bundle, id [32]byte) *TypeDef {
	if t := refType(b, id); t != nil && t.Kind == 1 {
		return t
	}
	return nil
}

// refConforms is §2.4.
func refConforms(b *Bundle, v any, id [32]byte) bool {
	switch refBuiltins[id] {
	case "any":
		return true
	case "null":
		return v == nil
	case "bool":
		_, ok := v.(bool)
		return ok
	case "u64":
		_, ok := v.(uint64)
		return ok
	case "i64":
		_, ok := v.(int64)
		return ok
	case "bytes":
		_, ok := v.(refBytes)
		return ok
	case "text":
		_, ok := v.(refText)
		return ok
	case "list":
		_, ok := v.(refList)
		return ok
	case "map":
		_, ok := v.(refMap)
		return ok
	}
	t := refType(b, id)
	if t.Kind == 2 {
		n, ok := v.(uint64)
		return ok && n < uint64(len(t.EnumTags))
	}
	m, ok := v.(refMap)
	return ok && refFits(b, m, t)
}

// refFits reports whether a MAP conforms to a Record.
func refFits(b *Bundle, m refMap, t *TypeDef) bool {
	for _, p := range m {
		id, ok := p.k.(uint64)
		f := refField(t, id)
		if !ok || f == nil || p.v == nil || !refConforms(b, p.v, f.FieldTypeID) {
			return false
		}
	}
	for _, f := range t.Fields {
		if _, there := refGet(m, uint64(f.FieldID)); f.Required && !there {
			return false
		}
	}
	return true
}

func refField(t *TypeDef, id uint64) *FieldDef {
	for i := range t.Fields {
		if uint64(t.Fields[i].FieldID) == id {
			return &t.Fields[i]
		}
	}
	return nil
}
