package ir

import (
	"bytes"
	"encoding/binary"

	"github.com/mythos-run/mythos/runtime/libs/can"
)

// This file reads canonical bytes that were checked when they came in, so it
// checks nothing again and walks without recursion. Nothing else in the
// package may hand it bytes from outside.

// value is what a register holds. raw is nil or one canonical value, never
// changed once stored; nil is NULL. typ is the index of its record type, or
// noType. depth is the number of nested containers plus one, or 0 if it was
// not reckoned yet.
type value struct {
	raw   []byte
	typ   int32
	depth uint8
}

// nullBytes is the encoding of NULL; it is never written to.
var nullBytes = []byte{can.Null}

// bytes returns the canonical bytes of v.
func (v value) bytes() []byte {
	if v.raw == nil {
		return nullBytes
	}
	return v.raw
}

func (v value) null() bool { return len(v.raw) == 0 || v.raw[0] == can.Null }

// memory is what v counts for in the register memory (RFC-MYTHOS-0012 §3.3).
func (v value) memory() uint64 {
	if v.null() {
		return 0
	}
	return uint64(len(v.raw))
}

// nesting returns how many containers deep v is.
func (v *value) nesting() int {
	if v.depth == 0 {
		v.depth = uint8(nesting(v.bytes())) + 1
	}
	return int(v.depth) - 1
}

// head returns the tag at off, its varint (length, count or number) and the
// offset behind both.
func head(b []byte, off int) (tag byte, n uint64, next int) {
	tag = b[off]
	if tag <= can.True {
		return tag, 0, off + 1
	}
	if c := b[off+1]; c < 0x80 {
		return tag, uint64(c), off + 2
	}
	n, size := binary.Uvarint(b[off+1:])
	return tag, n, off + 1 + size
}

// skip returns the offset behind the value at off.
func skip(b []byte, off int) int { return skipAll(b, off, 1) }

// skipAll returns the offset behind so many values.
func skipAll(b []byte, off int, open uint64) int {
	for ; open > 0; open-- {
		tag := b[off]
		if tag <= can.True {
			off++
			continue
		}
		n := uint64(b[off+1])
		off += 2
		if n >= 0x80 {
			size := 0
			n, size = binary.Uvarint(b[off-1:])
			off += size - 1
		}
		switch tag {
		case can.Bytes, can.Text:
			off += int(n)
		case can.List:
			open += n
		case can.Map:
			open += 2 * n
		}
	}
	return off
}

// nesting returns the depth of the one value in b.
func nesting(b []byte) int {
	var left [can.MaxDepth + 1]uint64
	level, deepest := 0, 0
	left[0] = 1
	for off := 0; off < len(b); {
		for left[level] == 0 {
			level--
		}
		left[level]--
		tag, n, next := head(b, off)
		switch tag {
		case can.Bytes, can.Text:
			next += int(n)
		case can.List, can.Map:
			deepest = max(deepest, level+1)
			if tag == can.Map {
				n *= 2
			}
			if n > 0 {
				level++
				left[level] = n
			}
		}
		off = next
	}
	return deepest
}

// content returns the bytes inside BYTES or TEXT.
func content(b []byte) []byte {
	_, _, next := head(b, 0)
	return b[next:]
}

// number returns the integer in a UVARINT.
func number(b []byte) uint64 {
	_, n, _ := head(b, 0)
	return n
}

// signed returns the integer in an IVARINT.
func signed(b []byte) int64 {
	_, n, _ := head(b, 0)
	return int64(n>>1) ^ -int64(n&1)
}

// empty reports what makes JZ jump: NULL, false, 0 and everything without
// content.
func empty(b []byte) bool {
	if b[0] <= can.True {
		return b[0] != can.True
	}
	return b[1] == 0
}

// entry is where a key stands in a MAP, or would stand.
type entry struct {
	found      bool
	start      int // of the key, or of the first greater key, or the end
	value, end int // of the value, if found
	count      uint64
	body       int // offset of the first key
}

// find looks up an encoded key in the MAP b.
func find(b, key []byte) entry {
	_, n, off := head(b, 0)
	e := entry{count: n, body: off}
	for ; n > 0; n-- {
		v := skip(b, off)
		if c := bytes.Compare(b[off:v], key); c >= 0 {
			e.start = off
			if c == 0 {
				e.found, e.value, e.end = true, v, skip(b, v)
			}
			return e
		}
		off = skip(b, v)
	}
	e.start = off
	return e
}

// item returns the value at an index of the LIST b.
func item(b []byte, index uint64) ([]byte, bool) {
	_, n, off := head(b, 0)
	if index >= n {
		return nil, false
	}
	off = skipAll(b, off, index)
	return b[off:skip(b, off)], true
}

// items splits the LIST b.
func items(b []byte) [][]byte {
	_, n, off := head(b, 0)
	out := make([][]byte, 0, n)
	for ; n > 0; n-- {
		end := skip(b, off)
		out = append(out, b[off:end:end])
		off = end
	}
	return out
}

// headLen returns the length of a tag with its varint.
func headLen(n uint64) uint64 {
	size := uint64(2)
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// per returns n/unit, rounded up: a cost term.
func per(n, unit uint64) uint64 { return (n + unit - 1) / unit }

// sum adds without overflow.
func sum(a, b uint64) uint64 {
	if s := a + b; s >= a {
		return s
	}
	return 1<<64 - 1
}
