package can

import (
	"unicode/utf8"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// The codes of a value that is not canonical (RFC-MYTHOS-0001 §2.3).
const (
	ErrTruncated    fault.Code = "can_truncated"
	ErrTag          fault.Code = "can_tag"
	ErrType         fault.Code = "can_type"
	ErrVarint       fault.Code = "can_varint"
	ErrOverflow     fault.Code = "can_overflow"
	ErrUTF8         fault.Code = "can_utf8"
	ErrKeyOrder     fault.Code = "can_key_order"
	ErrKeyDuplicate fault.Code = "can_key_duplicate"
	ErrBounds       fault.Code = "can_bounds"
	ErrDepth        fault.Code = "can_depth"
	ErrTrailing     fault.Code = "can_trailing"
	ErrMissing      fault.Code = "can_missing"
	ErrFieldNumber  fault.Code = "can_field_number"
	ErrUnknownField fault.Code = "can_unknown_field"
	ErrRange        fault.Code = "can_range"
	ErrLength       fault.Code = "can_length"
	ErrEmpty        fault.Code = "can_empty"
	ErrDefault      fault.Code = "can_default"
	ErrSchema       fault.Code = "schema_mismatch"
)

var tagNames = [...]string{"NULL", "false", "true", "UVARINT", "IVARINT", "BYTES", "TEXT", "LIST", "MAP"}

// TagName returns the name of a tag, for messages.
func TagName(tag byte) string {
	if int(tag) < len(tagNames) {
		return tagNames[tag]
	}
	return "unknown tag"
}

// Reader is a cursor over one encoded message. The first error sticks: every
// later read returns a zero value, so callers check Done once.
type Reader struct {
	buf   []byte
	off   int
	depth int
	err   *fault.Error
}

// NewReader returns a Reader at the start of b. What it returns aliases b where
// its documentation says so.
func NewReader(b []byte) Reader { return Reader{buf: b} }

// Err returns the first error, or nil.
func (r *Reader) Err() error {
	if r.err == nil {
		return nil
	}
	return r.err
}

// OK reports whether no error was recorded yet.
func (r *Reader) OK() bool { return r.err == nil }

// Pos returns the offset of the next byte.
func (r *Reader) Pos() int { return r.off }

// More reports whether there is input left and no error.
func (r *Reader) More() bool { return r.err == nil && r.off < len(r.buf) }

// Kind returns the tag of the next value without consuming it, and false at
// the end of the input.
func (r *Reader) Kind() (byte, bool) {
	if r.off >= len(r.buf) {
		return 0, false
	}
	return r.buf[r.off], true
}

// Fail records an error at offset at, unless one was recorded before, and makes
// every later read fail.
func (r *Reader) Fail(code fault.Code, at int, format string, args ...any) {
	if r.err == nil {
		r.err = fault.At(code, at, format, args...)
	}
	r.buf = r.buf[:r.off]
}

// Done reports the first error, or ErrTrailing if input remains.
func (r *Reader) Done() error {
	if r.err == nil && r.off != len(r.buf) {
		r.Fail(ErrTrailing, r.off, "%d bytes after the value", len(r.buf)-r.off)
	}
	return r.Err()
}

// uvarint decodes the varint at r.off; at is the offset that its error names.
func (r *Reader) uvarint(at int) uint64 {
	v, n, code := uvarint(r.buf[r.off:])
	if code != "" {
		r.Fail(code, at, "%s", varintMessage(code))
		return 0
	}
	r.off += n
	return v
}

func varintMessage(code fault.Code) string {
	switch code {
	case ErrTruncated:
		return "the input ends inside a varint"
	case ErrOverflow:
		return "a varint exceeds 64 bits"
	default:
		return "a varint is not minimal"
	}
}

// Uvarint decodes one strict, minimal LEB128 value at the start of b and
// returns it with its length.
func Uvarint(b []byte) (uint64, int, error) {
	v, n, code := uvarint(b)
	if code != "" {
		return 0, 0, fault.At(code, 0, "%s", varintMessage(code))
	}
	return v, n, nil
}

func uvarint(b []byte) (uint64, int, fault.Code) {
	var v uint64
	for i, c := range b {
		if i == 9 {
			switch {
			case c > 1:
				return 0, 0, ErrOverflow
			case c == 0:
				return 0, 0, ErrVarint
			}
			return v | 1<<63, 10, ""
		}
		if c < 0x80 {
			if c == 0 && i > 0 {
				return 0, 0, ErrVarint
			}
			return v | uint64(c)<<(7*i), i + 1, ""
		}
		v |= uint64(c&0x7f) << (7 * i)
	}
	return 0, 0, ErrTruncated
}

// tagged consumes tag t and the varint behind it.
func (r *Reader) tagged(t byte) uint64 {
	if b := r.buf[r.off:]; len(b) >= 2 && b[0] == t {
		switch {
		case b[1] < 0x80:
			r.off += 2
			return uint64(b[1])
		case len(b) >= 3 && b[2]-1 < 0x7f: // two bytes, minimal
			r.off += 3
			return uint64(b[1]&0x7f) | uint64(b[2])<<7
		}
	}
	return r.taggedSlow(t)
}

func (r *Reader) taggedSlow(t byte) uint64 {
	if !r.want(t) {
		return 0
	}
	at := r.off
	r.off++
	return r.uvarint(at)
}

// want reports whether the next tag is t, and fails if not.
func (r *Reader) want(t byte) bool {
	switch {
	case r.off >= len(r.buf):
		r.Fail(ErrTruncated, r.off, "the input ends where %s is due", TagName(t))
	case r.buf[r.off] > Map:
		r.Fail(ErrTag, r.off, "unknown tag %#02x", r.buf[r.off])
	case r.buf[r.off] != t:
		r.Fail(ErrType, r.off, "got %s, want %s", TagName(r.buf[r.off]), TagName(t))
	default:
		return true
	}
	return false
}

// Null consumes NULL.
func (r *Reader) Null() {
	if r.want(Null) {
		r.off++
	}
}

// Uint reads a UVARINT.
func (r *Reader) Uint() uint64 { return r.tagged(Uint) }

// UintMax reads a UVARINT of at most max.
func (r *Reader) UintMax(limit uint64) uint64 {
	at := r.off
	v := r.tagged(Uint)
	if v > limit {
		r.Fail(ErrRange, at, "got %d, at most %d", v, limit)
		return 0
	}
	return v
}

// Int reads an IVARINT.
func (r *Reader) Int() int64 {
	u := r.tagged(Int)
	return int64(u>>1) ^ -int64(u&1)
}

// Bool reads true or false.
func (r *Reader) Bool() bool {
	if r.off < len(r.buf) {
		if t := r.buf[r.off]; t == True || t == False {
			r.off++
			return t == True
		}
	}
	r.want(True)
	return false
}

// span consumes tag t, a length and that many bytes.
func (r *Reader) span(t byte) []byte {
	at := r.off
	n := r.tagged(t)
	if n > uint64(len(r.buf)-r.off) {
		r.Fail(ErrBounds, at, "length %d, %d bytes left", n, len(r.buf)-r.off)
		return nil
	}
	s := r.buf[r.off : r.off+int(n) : r.off+int(n)]
	r.off += int(n)
	return s
}

// Bytes reads BYTES; the result aliases the input.
func (r *Reader) Bytes() []byte { return r.span(Bytes) }

// Fixed copies BYTES of exactly len(dst) bytes.
func (r *Reader) Fixed(dst []byte) {
	at := r.off
	s := r.span(Bytes)
	if r.err == nil && len(s) != len(dst) {
		r.Fail(ErrLength, at, "got %d bytes, want %d", len(s), len(dst))
		return
	}
	copy(dst, s)
}

// Text reads TEXT into an owned string.
func (r *Reader) Text() string {
	at := r.off
	s := r.span(Text)
	if !utf8.Valid(s) {
		r.Fail(ErrUTF8, at, "TEXT is not valid UTF-8")
		return ""
	}
	return string(s)
}

// Filled fails with ErrEmpty when n is 0: an optional field that is present and
// empty has a second encoding, absence. at is where the value began.
func (r *Reader) Filled(n, at int) {
	if n == 0 {
		r.Fail(ErrEmpty, at, "an optional field is present but empty")
	}
}

// NotDefault fails with ErrDefault when a present optional bool equals its
// default.
func (r *Reader) NotDefault(same bool, at int) {
	if same {
		r.Fail(ErrDefault, at, "an optional bool is present but equal to its default")
	}
}

// Schema reads the TEXT that names an object's kind and fails unless it is want.
func (r *Reader) Schema(want string) {
	at := r.off
	if got := r.Text(); r.err == nil && got != want {
		r.Fail(ErrSchema, at, "got schema %q, want %q", got, want)
	}
}

// open enters a container whose head is at offset at.
func (r *Reader) open(at int) bool {
	if r.err != nil {
		return false
	}
	if r.depth == MaxDepth {
		r.Fail(ErrDepth, at, "more than %d containers open", MaxDepth)
		return false
	}
	r.depth++
	return true
}

func (r *Reader) leave() { r.depth-- }

// List consumes a LIST head and returns the number of items, at most the bytes
// left. EndList must follow the last item.
func (r *Reader) List() int {
	at := r.off
	n := r.tagged(List)
	if n > uint64(len(r.buf)-r.off) {
		r.Fail(ErrBounds, at, "count %d, %d bytes left", n, len(r.buf)-r.off)
		return 0
	}
	if !r.open(at) {
		return 0
	}
	return int(n)
}

// EndList leaves a LIST.
func (r *Reader) EndList() { r.leave() }

// Room returns how many of n announced items to allocate for when each takes at
// least size bytes: never more memory than the input can fill.
func (r *Reader) Room(n, size int) int { return min(n, (len(r.buf)-r.off)/size) }

// MapHead consumes a MAP head and returns the number of pairs, at most half the
// bytes left. Its keys are read with a Keys; EndMap must follow.
func (r *Reader) MapHead() int {
	at := r.off
	n := r.tagged(Map)
	if n > uint64(len(r.buf)-r.off)/2 {
		r.Fail(ErrBounds, at, "count %d, %d bytes left", n, len(r.buf)-r.off)
		return 0
	}
	if !r.open(at) {
		return 0
	}
	return int(n)
}

// EndMap leaves a MAP.
func (r *Reader) EndMap() { r.leave() }

// Keys checks that the keys of one MAP ascend.
type Keys struct{ prev []byte }

// Check compares the key that started at offset at and ended where r is now
// with the one before it.
func (k *Keys) Check(r *Reader, at int) {
	if r.err != nil {
		return
	}
	key := r.buf[at:r.off]
	if k.prev != nil && string(k.prev) >= string(key) {
		if string(k.prev) == string(key) {
			r.Fail(ErrKeyDuplicate, at, "a MAP key stands twice")
		} else {
			r.Fail(ErrKeyOrder, at, "MAP keys are not ascending")
		}
		return
	}
	k.prev = key
}

// Template consumes a fixed head and n payload bytes and returns the payload,
// or nil, consuming nothing, if the next value has another shape. A fixed-shape
// struct has exactly one prefix, so one compare replaces its field reads.
func (r *Reader) Template(head string, n int) []byte {
	b := r.buf[r.off:]
	if len(b) < len(head)+n || r.depth == MaxDepth || string(b[:len(head)]) != head {
		return nil
	}
	r.off += len(head) + n
	return b[len(head) : len(head)+n]
}

// Raw returns the validated encoding of the next value; it aliases the input.
func (r *Reader) Raw() []byte {
	at := r.off
	r.Skip()
	if r.err != nil {
		return nil
	}
	return r.buf[at:r.off:r.off]
}

// Skip validates and steps over one value of any shape.
func (r *Reader) Skip() {
	if r.off >= len(r.buf) {
		r.Fail(ErrTruncated, r.off, "the input ends where a value is due")
		return
	}
	switch t := r.buf[r.off]; t {
	case Null, False, True:
		r.off++
	case Uint, Int:
		r.tagged(t)
	case Bytes:
		r.span(Bytes)
	case Text:
		at := r.off
		if !utf8.Valid(r.span(Text)) {
			r.Fail(ErrUTF8, at, "TEXT is not valid UTF-8")
		}
	case List:
		for n := r.List(); n > 0 && r.err == nil; n-- {
			r.Skip()
		}
		r.leave()
	case Map:
		r.skipMap()
	default:
		r.Fail(ErrTag, r.off, "unknown tag %#02x", t)
	}
}

func (r *Reader) skipMap() {
	var keys Keys
	for n := r.MapHead(); n > 0 && r.err == nil; n-- {
		at := r.off
		r.Skip()
		keys.Check(r, at)
		r.Skip()
	}
	r.leave()
}

// Valid reports whether b is exactly one canonical value.
func Valid(b []byte) error {
	r := NewReader(b)
	r.Skip()
	return r.Done()
}
