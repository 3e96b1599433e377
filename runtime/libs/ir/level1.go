package ir

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/mythos-run/mythos/runtime/libs/can"
)

// trueBytes and falseBytes are never written to.
var (
	trueBytes  = []byte{can.True}
	falseBytes = []byte{can.False}
)

func boolean(b bool) value {
	if b {
		return value{raw: trueBytes, depth: 1}
	}
	return value{raw: falseBytes, depth: 1}
}

// level1 executes the ops of RFC-MYTHOS-0012 §4.6. Where a result has at most
// 11 bytes, the fixed cost covers it.
func (m *machine) level1(in *instr) error {
	switch in.op {
	case opEq, opLt:
		return m.compare(in)
	case opNot:
		if err := m.charge(2); err != nil {
			return err
		}
		return m.put(in.c, boolean(m.jumps(in.a)))
	case opAdd, opSub, opMul:
		return m.arithmetic(in)
	case opLen:
		return m.length(in)
	case opAt:
		return m.at(in)
	case opAppend:
		return m.append(in)
	default: // the loader admits no other opcode
		return m.concat(in)
	}
}

// compare is EQ or LT.
func (m *machine) compare(in *instr) error {
	v, w := &m.r[in.a], &m.r[in.b]
	if err := m.charge(2 + size(v) + size(w)); err != nil {
		return err
	}
	a, b := v.bytes(), w.bytes()
	if in.op == opEq {
		return m.put(in.c, boolean(bytes.Equal(a, b)))
	}
	if a[0] == b[0] {
		if order, ok := ordered(a, b); ok {
			return m.put(in.c, boolean(order < 0))
		}
	}
	return trap(TrapType, "%s and %s have no order", can.TagName(a[0]), can.TagName(b[0]))
}

// arithmetic is ADD, SUB or MUL.
func (m *machine) arithmetic(in *instr) error {
	if err := m.charge(3); err != nil {
		return err
	}
	a, b := m.r[in.a].bytes(), m.r[in.b].bytes()
	raw, ok := make([]byte, 0, 11), false
	switch {
	case a[0] == can.Uint && b[0] == can.Uint:
		var n uint64
		n, ok = unsignedResult(in.op, number(a), number(b))
		raw = can.AppendUint(raw, n)
	case a[0] == can.Int && b[0] == can.Int:
		var n int64
		n, ok = signedResult(in.op, signed(a), signed(b))
		raw = can.AppendInt(raw, n)
	default:
		return trap(TrapType, "%s and %s are not two integers of one kind", can.TagName(a[0]), can.TagName(b[0]))
	}
	if !ok {
		return trap(TrapOverflow, "the result does not fit in 64 bits")
	}
	return m.put(in.c, value{raw: raw, depth: 1})
}

func unsignedResult(op uint8, a, b uint64) (uint64, bool) {
	switch op {
	case opAdd:
		n, carry := bits.Add64(a, b, 0)
		return n, carry == 0
	case opSub:
		return a - b, a >= b
	}
	over, n := bits.Mul64(a, b)
	return n, over == 0
}

func signedResult(op uint8, a, b int64) (int64, bool) {
	switch op {
	case opAdd:
		n := a + b
		return n, (n > a) == (b > 0)
	case opSub:
		n := a - b
		return n, (n < a) == (b > 0)
	}
	switch {
	case a == 0 || b == 0:
		return 0, true
	case a == -1 && b == math.MinInt64 || b == -1 && a == math.MinInt64:
		return 0, false
	}
	n := a * b
	return n, n/b == a
}

// length is LEN.
func (m *machine) length(in *instr) error {
	if err := m.charge(2); err != nil {
		return err
	}
	tag, n, _ := head(m.r[in.a].bytes(), 0)
	if tag < can.Bytes {
		return trap(TrapType, "r%d is %s, which has no length", in.a, can.TagName(tag))
	}
	return m.put(in.c, value{raw: can.AppendUint(make([]byte, 0, 6), n), depth: 1})
}

// at reads an item of a LIST.
func (m *machine) at(in *instr) error {
	src := &m.r[in.a]
	if err := m.charge(2 + size(src)); err != nil {
		return err
	}
	list, index := src.bytes(), m.r[in.b].bytes()
	if list[0] != can.List || index[0] != can.Uint {
		return trap(TrapType, "r%d is %s and r%d %s, want a LIST and a UVARINT", in.a, can.TagName(list[0]), in.b, can.TagName(index[0]))
	}
	found, ok := item(list, number(index))
	if !ok {
		return trap(TrapIndex, "item %d of r%d, which ends before", number(index), in.a)
	}
	// A copy, or a small part would keep a large whole alive uncounted.
	return m.put(in.c, value{raw: bytes.Clone(found)})
}

// append builds a LIST with one item more.
func (m *machine) append(in *instr) error {
	if err := m.charge(4); err != nil {
		return err
	}
	src, v := &m.r[in.a], &m.r[in.b]
	list := src.bytes()
	if list[0] != can.List {
		return trap(TrapType, "r%d is %s, want a LIST", in.a, can.TagName(list[0]))
	}
	depth := max(src.nesting(), v.nesting()+1)
	if depth > can.MaxDepth {
		return tooDeep()
	}
	return m.join(in.c, list, v.bytes(), 1, depth)
}

// concat joins two BYTES, TEXT or LIST.
func (m *machine) concat(in *instr) error {
	if err := m.charge(4); err != nil {
		return err
	}
	v, w := &m.r[in.a], &m.r[in.b]
	a, b := v.bytes(), w.bytes()
	tag, n, off := head(b, 0)
	if a[0] != tag || tag != can.Bytes && tag != can.Text && tag != can.List {
		return trap(TrapType, "%s and %s cannot be joined", can.TagName(a[0]), can.TagName(tag))
	}
	return m.join(in.c, a, b[off:], n, max(v.nesting(), w.nesting()))
}

// join writes a with n more bytes or items, which are tail.
func (m *machine) join(out uint8, a, tail []byte, n uint64, depth int) error {
	tag, count, off := head(a, 0)
	count += n
	length := headLen(count) + uint64(len(a)-off+len(tail))
	if length > MaxValue {
		return tooLarge(length)
	}
	if err := m.build(length); err != nil {
		return err
	}
	raw := append(make([]byte, 0, length), tag)
	raw = binary.AppendUvarint(raw, count)
	raw = append(append(raw, a[off:]...), tail...)
	return m.put(out, value{raw: raw, depth: uint8(depth) + 1})
}

// ordered compares two values of one kind that has an order.
func ordered(v, w []byte) (int, bool) {
	switch v[0] {
	case can.Uint:
		return cmp.Compare(number(v), number(w)), true
	case can.Int:
		return cmp.Compare(signed(v), signed(w)), true
	case can.Bytes, can.Text:
		return bytes.Compare(content(v), content(w)), true
	}
	return 0, false
}
