package tool

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// Tags of MYTHOS-CAN (RFC-MYTHOS-0001 §2.1).
const (
	tagNull = iota
	tagFalse
	tagTrue
	tagUint
	tagInt
	tagBytes
	tagText
	tagList
	tagMap
)

const maxDepth = 32 // containers open at once, RFC-MYTHOS-0001 §2.4

// decodeError is a code of RFC-MYTHOS-0001 §2.3 and the byte that it is about.
type decodeError struct {
	code string
	at   int
}

func (e *decodeError) Error() string { return e.code + " at byte " + strconv.Itoa(e.at) }

// reader is a cursor over one encoded message. Its first error sticks, and
// leaves nothing to read.
type reader struct {
	b   []byte
	off int
	err *decodeError
}

func (r *reader) fail(code string, at int) {
	if r.err == nil {
		r.err = &decodeError{code, at}
	}
	r.b = r.b[:r.off]
}

// done reports the first error, or what is left.
func (r *reader) done() error {
	if r.err == nil && r.off < len(r.b) {
		r.fail("can_trailing", r.off)
	}
	if r.err == nil {
		return nil
	}
	return r.err
}

// checkValue returns nil if raw is exactly one canonical value.
func checkValue(raw []byte) error {
	r := reader{b: raw}
	r.value(0)
	return r.done()
}

// value reads one value of any kind inside depth open containers.
func (r *reader) value(depth int) {
	at := r.off
	if at >= len(r.b) {
		r.fail("can_truncated", at)
		return
	}
	tag := r.b[at]
	if tag > tagMap {
		r.fail("can_tag", at)
		return
	}
	r.off++
	switch tag {
	case tagUint, tagInt:
		r.varint(at)
	case tagBytes:
		r.content(at)
	case tagText:
		if text := r.content(at); !utf8.Valid(text) {
			r.fail("can_utf8", at)
		}
	case tagList:
		for range r.count(at, depth, 1) {
			if r.value(depth + 1); r.err != nil {
				return
			}
		}
	case tagMap:
		r.pairs(r.count(at, depth, 2), depth+1)
	}
}

// pairs reads n pairs of a MAP whose keys ascend.
func (r *reader) pairs(n uint64, depth int) {
	var last []byte
	for range n {
		at := r.off
		r.value(depth)
		if r.err != nil {
			return
		}
		key := r.b[at:r.off]
		switch order := bytes.Compare(last, key); {
		case last != nil && order > 0:
			r.fail("can_key_order", at)
		case last != nil && order == 0:
			r.fail("can_key_duplicate", at)
		}
		last = key
		if r.value(depth); r.err != nil {
			return
		}
	}
}

// varint reads a varint of the item whose tag is at byte at.
func (r *reader) varint(at int) uint64 {
	n, size := uvarint(r.b[r.off:])
	switch size {
	case varintCut:
		r.fail("can_truncated", at)
	case varintWide:
		r.fail("can_overflow", at)
	case varintLong:
		r.fail("can_varint", at)
	default:
		r.off += size
		return n
	}
	return 0
}

// content reads the length and the bytes of the item at byte at.
func (r *reader) content(at int) []byte {
	n := r.varint(at)
	if r.err == nil && n > uint64(len(r.b)-r.off) {
		r.fail("can_bounds", at)
	}
	if r.err != nil {
		return nil
	}
	r.off += int(n)
	return r.b[r.off-int(n) : r.off]
}

// count reads the count of the container at byte at, whose items take at least
// size bytes each.
func (r *reader) count(at, depth int, size uint64) uint64 {
	n := r.varint(at)
	switch {
	case r.err != nil:
		return 0
	case n > uint64(len(r.b)-r.off)/size:
		r.fail("can_bounds", at)
		return 0
	case depth >= maxDepth:
		r.fail("can_depth", at)
		return 0
	}
	return n
}

// tag reads the tag of a value that must be of that kind, and returns where.
func (r *reader) tag(want byte) int {
	at := r.off
	switch {
	case at >= len(r.b):
		r.fail("can_truncated", at)
	case r.b[at] > tagMap:
		r.fail("can_tag", at)
	case r.b[at] != want:
		r.fail("can_type", at)
	default:
		r.off++
	}
	return at
}

// structure is a struct that is being read (RFC-MYTHOS-0001 §2.2).
type structure struct {
	r      *reader
	left   uint64
	last   uint64
	need   []byte // numbers of the required fields still to come
	closed bool   // it may have no other field than those needed
}

func (r *reader) structure(depth int, closed bool, need ...byte) structure {
	at := r.tag(tagMap)
	if r.err != nil {
		return structure{r: r}
	}
	return structure{r: r, left: r.count(at, depth, 2), need: need, closed: closed}
}

// next returns the number of the next field, whose value the caller reads, or 0
// at the end of the struct.
func (s *structure) next() uint64 {
	r, at := s.r, s.r.off
	switch {
	case r.err != nil:
		return 0
	case s.left == 0:
		if len(s.need) > 0 {
			r.fail("can_missing", at)
		}
		return 0
	case at >= len(r.b):
		r.fail("can_truncated", at)
		return 0
	case r.b[at] != tagUint:
		r.fail("can_field_number", at)
		return 0
	}
	r.off++
	no := r.varint(at)
	if r.err != nil {
		return 0
	}
	s.left--
	return s.place(no, at)
}

// place checks that field no may follow the last one.
func (s *structure) place(no uint64, at int) uint64 {
	needed := len(s.need) > 0 && uint64(s.need[0]) == no
	switch {
	case no < 1 || no > 127:
		s.r.fail("can_field_number", at)
	case no < s.last:
		s.r.fail("can_key_order", at)
	case no == s.last:
		s.r.fail("can_key_duplicate", at)
	case !needed && len(s.need) > 0 && uint64(s.need[0]) < no:
		s.r.fail("can_missing", at)
	case !needed && s.closed:
		s.r.fail("can_unknown_field", at)
	}
	if s.r.err != nil {
		return 0
	}
	if needed {
		s.need = s.need[1:]
	}
	s.last = no
	return no
}

// Sizes that uvarint returns instead of a length.
const (
	varintCut  = 0
	varintWide = -1 // more than 64 bits
	varintLong = -2 // not minimal
)

// uvarint decodes the varint at the start of b and returns it with its length.
func uvarint(b []byte) (uint64, int) {
	var n uint64
	for i, c := range b {
		switch {
		case i == 9 && c > 1:
			return 0, varintWide
		case i > 0 && c == 0:
			return 0, varintLong
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return n, i + 1
		}
	}
	return 0, varintCut
}

func appendUvarint(out []byte, n uint64) []byte {
	for ; n >= 0x80; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return append(out, byte(n))
}

func zigzag(n int64) uint64 { return uint64(n)<<1 ^ uint64(n>>63) }

func appendSized[T ~string | ~[]byte](out []byte, tag byte, content T) []byte {
	if out == nil {
		out = make([]byte, 0, len(content)+6)
	}
	out = appendUvarint(append(out, tag), uint64(len(content)))
	return append(out, content...)
}

// valueLen returns the length of the value at the start of b, which is one that
// was checked or built here.
func valueLen(b []byte) int {
	r := reader{b: b}
	r.skip()
	return r.off
}

// skip steps over a value without checking more than it needs.
func (r *reader) skip() {
	for left := uint64(1); left > 0 && r.off < len(r.b); left-- {
		tag := r.b[r.off]
		r.off++
		if tag < tagUint {
			continue
		}
		n, size := uvarint(r.b[r.off:])
		r.off += max(size, 0)
		switch tag {
		case tagBytes, tagText:
			r.off += int(min(n, uint64(len(r.b)-r.off)))
		case tagList:
			left += n
		case tagMap:
			left += 2 * n
		}
	}
}
