package can

// Struct reads a MAP keyed by field numbers. Because keys ascend, decoding is a
// merge of two sorted lists: the fields a type knows and those the bytes hold.
// Open structs use Need, Has and End, which step over unknown fields; closed
// ones use Exact, Maybe and Close, which refuse them, because an ignored field
// may be a restriction (RFC-MYTHOS-0002 §9).
type Struct struct {
	r    *Reader
	left int
	last uint8
}

// Struct enters a struct.
func (r *Reader) Struct() Struct { return Struct{r: r, left: r.MapHead()} }

// at reports whether the next key is field num, and consumes it if so.
func (s *Struct) at(num uint8) bool {
	r := s.r
	if s.left > 0 && s.last < num && r.off+2 <= len(r.buf) && r.buf[r.off] == Uint && r.buf[r.off+1] == num {
		r.off += 2
		s.left--
		s.last = num
		return true
	}
	return false
}

// peek checks the next key and returns its number without consuming it, or 0
// after an error.
func (s *Struct) peek() uint8 {
	r, at := s.r, s.r.off
	if at+1 < len(r.buf) && r.buf[at] == Uint {
		if k := r.buf[at+1]; k < 0x80 && k > s.last {
			return k // the usual answer where an optional field is absent
		}
	}
	switch {
	case at >= len(r.buf):
		r.Fail(ErrTruncated, at, "the input ends where a field is due")
		return 0
	case r.buf[at] != Uint:
		r.Fail(ErrFieldNumber, at, "a struct key is %s, not a field number", TagName(r.buf[at]))
		return 0
	}
	r.off++
	v := r.uvarint(at)
	if r.err != nil {
		return 0
	}
	r.off = at
	switch {
	case v == 0 || v > 127:
		r.Fail(ErrFieldNumber, at, "field number %d is not in 1..127", v)
	case uint8(v) < s.last:
		r.Fail(ErrKeyOrder, at, "field %d stands after field %d", v, s.last)
	case uint8(v) == s.last:
		r.Fail(ErrKeyDuplicate, at, "field %d stands twice", v)
	default:
		return uint8(v)
	}
	return 0
}

// next consumes the next key and returns its number, or 0 after an error.
func (s *Struct) next() uint8 {
	k := s.peek()
	if k != 0 {
		s.take(k)
	}
	return k
}

func (s *Struct) take(k uint8) {
	s.r.off += 2
	s.left--
	s.last = k
}

// Has steps over unknown fields below num; it reports whether field num is
// present and leaves the reader at its value.
func (s *Struct) Has(num uint8) bool {
	if s.at(num) {
		return true
	}
	for s.left > 0 && s.r.err == nil {
		k := s.peek()
		if k == 0 || k > num {
			return false
		}
		s.take(k)
		if k == num {
			return true
		}
		s.r.Skip()
	}
	return false
}

// Need is Has for a required field.
func (s *Struct) Need(num uint8) {
	if s.at(num) || s.Has(num) {
		return
	}
	s.r.Fail(ErrMissing, s.r.off, "field %d is missing", num)
}

// End steps over unknown fields behind the last known one and leaves.
func (s *Struct) End() {
	for s.left > 0 && s.r.err == nil {
		if s.next() != 0 {
			s.r.Skip()
		}
	}
	s.r.leave()
}

// Maybe is Has for closed structs: an unknown field below num is an error.
func (s *Struct) Maybe(num uint8) bool {
	if s.at(num) {
		return true
	}
	if s.left == 0 || s.r.err != nil {
		return false
	}
	k := s.peek()
	if k != 0 && k < num {
		s.unknown(k)
	}
	return false
}

// Exact is Maybe for a required field.
func (s *Struct) Exact(num uint8) {
	if s.at(num) || s.Maybe(num) {
		return
	}
	s.r.Fail(ErrMissing, s.r.off, "field %d is missing", num)
}

// Close leaves a closed struct: any field left is an error.
func (s *Struct) Close() {
	if s.left > 0 && s.r.err == nil {
		if k := s.peek(); k != 0 {
			s.unknown(k)
		}
	}
	s.r.leave()
}

func (s *Struct) unknown(k uint8) {
	s.r.Fail(ErrUnknownField, s.r.off, "field %d is unknown in a closed struct", k)
}
