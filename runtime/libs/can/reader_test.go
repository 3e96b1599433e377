package can

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// TestTags holds the encoders to the table of RFC-MYTHOS-0001 §2.1.
func TestTags(t *testing.T) {
	for _, c := range []struct {
		got  []byte
		want string
	}{
		{AppendNull(nil), "00"},
		{AppendBool(nil, false), "01"},
		{AppendBool(nil, true), "02"},
		{AppendUint(nil, 0), "03 00"},
		{AppendUint(nil, 127), "03 7f"},
		{AppendUint(nil, 128), "03 80 01"},
		{AppendUint(nil, 300), "03 ac 02"},
		{AppendUint(nil, math.MaxUint64), "03 ff ff ff ff ff ff ff ff ff 01"},
		{AppendInt(nil, 0), "04 00"},
		{AppendInt(nil, -1), "04 01"},
		{AppendInt(nil, 1), "04 02"},
		{AppendInt(nil, -64), "04 7f"},
		{AppendInt(nil, 64), "04 80 01"},
		{AppendInt(nil, math.MinInt64), "04 ff ff ff ff ff ff ff ff ff 01"},
		{AppendInt(nil, math.MaxInt64), "04 fe ff ff ff ff ff ff ff ff 01"},
		{AppendBytes(nil, []byte{0xde, 0xad}), "05 02 de ad"},
		{AppendText(nil, "hé"), "06 03 68 c3 a9"},
		{AppendText(nil, "\x00\ufeff"), "06 04 00 ef bb bf"},
		{AppendList(nil, 200), "07 c8 01"},
		{AppendMap(nil, 0), "08 00"},
		{AppendField(nil, 127), "03 7f"},
	} {
		if !bytes.Equal(c.got, unhex(t, c.want)) {
			t.Errorf("got % x, want %s", c.got, c.want)
		}
	}
}

// as names the type that a case is read as.
type as func(*Reader)

func asAny(r *Reader)  { r.Skip() }
func asU8(r *Reader)   { r.UintMax(255) }
func asU64(r *Reader)  { r.Uint() }
func asI64(r *Reader)  { r.Int() }
func asBool(r *Reader) { r.Bool() }
func asNull(r *Reader) { r.Null() }
func asText(r *Reader) { r.Text() }
func asB2(r *Reader)   { r.Fixed(make([]byte, 2)) }
func asMap(r *Reader)  { ReadTextMap(r, func(r *Reader) uint64 { return r.Uint() }) }
func asUMap(r *Reader) { ReadUintMap(r, (*Reader).Uint) }

// asOpen reads {2: u8, 4?: text, 6: NULL} as an open struct, asClosed as a
// closed one.
func asOpen(r *Reader) {
	s := r.Struct()
	s.Need(2)
	asU8(r)
	if s.Has(4) {
		at := r.Pos()
		r.Filled(len(r.Text()), at)
	}
	s.Need(6)
	r.Null()
	s.End()
}

func asClosed(r *Reader) {
	s := r.Struct()
	s.Exact(2)
	asU8(r)
	if s.Maybe(4) {
		at := r.Pos()
		r.Filled(len(r.Text()), at)
	}
	s.Exact(6)
	r.Null()
	s.Close()
}

func asOptionalBool(r *Reader) {
	at := r.Pos()
	v := r.Bool()
	r.NotDefault(r.OK() && !v, at)
}

// TestErrors holds every code to its offset, first those of the table of
// examples in RFC-MYTHOS-0001 §2.3.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		in     string
		as     as
		code   fault.Code
		offset int
	}{
		{"", asAny, ErrTruncated, 0},
		{"03 80", asAny, ErrTruncated, 0},
		{"03 80 00", asAny, ErrVarint, 0},
		{"03 ff ff ff ff ff ff ff ff ff 02", asAny, ErrOverflow, 0},
		{"09", asAny, ErrTag, 0},
		{"07 02 00", asAny, ErrBounds, 0},
		{"07 01 05 02 de", asAny, ErrBounds, 2},
		{"06 01 ff", asAny, ErrUTF8, 0},
		{"00 00", asAny, ErrTrailing, 1},
		{"08 02 03 02 00 03 01 00", asAny, ErrKeyOrder, 5},
		{"08 02 03 01 00 03 01 00", asAny, ErrKeyDuplicate, 5},
		{"08 01 06 01 61 00", asOpen, ErrFieldNumber, 2},
		{"08 01 03 80 01 00", asOpen, ErrFieldNumber, 2},
		{"04 02", asU8, ErrType, 0},
		{"03 80 02", asU8, ErrRange, 0},

		{"ff", asAny, ErrTag, 0},
		{"03", asAny, ErrTruncated, 0},
		{"05", asAny, ErrTruncated, 0},
		{"07 01", asAny, ErrBounds, 0},
		{"08 01 00", asAny, ErrBounds, 0},
		{"08 02 00 00 01", asAny, ErrBounds, 0},
		{"08 01 00 05 01", asAny, ErrBounds, 3},
		{"03 80 80 80 80 80 80 80 80 80 00", asAny, ErrVarint, 0},
		{"03 80 80 80 80 80 80 80 80 80 80", asAny, ErrOverflow, 0},
		{"03 80 80 80 80 80 80 80 80 80", asAny, ErrTruncated, 0},
		{"05 ff ff ff ff ff ff ff ff ff 01", asAny, ErrBounds, 0},
		{"07 ff ff ff ff ff ff ff ff ff 01", asAny, ErrBounds, 0},
		{"08 ff ff ff ff ff ff ff ff ff 01", asAny, ErrBounds, 0},
		{"06 03 ed a0 80", asAny, ErrUTF8, 0},
		{"06 02 c0 80", asAny, ErrUTF8, 0},
		{"06 04 f4 90 80 80", asAny, ErrUTF8, 0},
		{"07 02 00 06 01", asAny, ErrBounds, 3},
		{"07 02 00 03 80", asAny, ErrTruncated, 3},
		{"08 02 03 80 02 00 03 80 01 00", asAny, ErrKeyOrder, 6},
		{"08 02 06 02 61 61 00 06 01 62 00", asAny, ErrKeyOrder, 7},
		{"08 02 03 02 00 03 81 00 00", asAny, ErrVarint, 5}, // a key is a value first
		{"", asU64, ErrTruncated, 0},
		{"0a", asU64, ErrTag, 0},
		{"03 80 00", asU8, ErrVarint, 0},
		{"03 00", asI64, ErrType, 0},
		{"00", asBool, ErrType, 0},
		{"01", asNull, ErrType, 0},
		{"05 01 61", asText, ErrType, 0},
		{"06 01 ff", asText, ErrUTF8, 0},
		{"05 01 61", asB2, ErrLength, 0},
		{"05 03 61 61 61", asB2, ErrLength, 0},
		{"05 02 61", asB2, ErrBounds, 0},
		{"01", asOptionalBool, ErrDefault, 0},
		{"07 00", asOptionalBool, ErrType, 0},
		{"06 01 61", func(r *Reader) { r.Schema("b") }, ErrSchema, 0},
		{"08 02 06 01 62 03 01 06 01 61 03 01", asMap, ErrKeyOrder, 7},
		{"08 02 06 01 61 03 01 06 01 61 03 01", asMap, ErrKeyDuplicate, 7},
		{"08 01 03 01 03 01", asMap, ErrType, 2},
		{"08 01 06 01 61 04 01", asMap, ErrType, 5},
		{"08 02 03 81 01 03 00 03 80 02 03 00", asUMap, ErrKeyOrder, 7},
		{"08 01 03 80 80 80 80 10 03 00", asUMap, ErrRange, 2},

		{"07 00", asOpen, ErrType, 0},
		{"08 00", asOpen, ErrMissing, 2},
		{"08 01 03 06 00", asOpen, ErrMissing, 2},
		{"08 01 03 02 03 01", asOpen, ErrMissing, 6},
		{"08 02 03 02 03 01 03 07 00", asOpen, ErrMissing, 6},
		{"08 02 03 02 03 01 03 06 01", asOpen, ErrType, 8},
		{"08 03 03 02 03 01 03 04 06 00 03 06 00", asOpen, ErrEmpty, 8},
		{"08 03 03 02 03 01 03 04 00 03 06 00", asOpen, ErrType, 8}, // NULL is not absence
		{"08 02 03 02 03 01 03 00 00", asOpen, ErrFieldNumber, 6},
		{"08 02 03 02 03 01 09 00", asOpen, ErrFieldNumber, 6},
		{"08 02 03 02 03 01 04 0c 00", asOpen, ErrFieldNumber, 6},
		{"08 02 03 02 03 01 03 01 00", asOpen, ErrKeyOrder, 6},
		{"08 02 03 02 03 01 03 02 00", asOpen, ErrKeyDuplicate, 6},
		{"08 02 03 02 03 01 03 86 00", asOpen, ErrVarint, 6},
		{"08 03 03 02 03 01 03 06 00 03 05 00", asOpen, ErrKeyOrder, 9},
		{"08 03 03 02 03 01 03 06 00 03 06 00", asOpen, ErrKeyDuplicate, 9},
		{"08 03 03 02 03 01 03 06 00 03 07 09", asOpen, ErrTag, 11},
		{"08 03 03 02 03 01 03 05 06 01 ff 03 06 00", asOpen, ErrUTF8, 8},
		{"08 02 03 02 03 01 03 06", asOpen, ErrTruncated, 8},
		{"08 02 03 02 03 80 02 00", asOpen, ErrRange, 4},
		{"08 02 03 02 03 01 03", asOpen, ErrTruncated, 6},
		{"08 02 03 02 03 01 03 06 00 00", asOpen, ErrTrailing, 9},
		{"08 03 03 01 00 03 02 03 01 03 06 00", asClosed, ErrUnknownField, 2},
		{"08 03 03 02 03 01 03 03 00 03 06 00", asClosed, ErrUnknownField, 6},
		{"08 03 03 02 03 01 03 05 00 03 06 00", asClosed, ErrUnknownField, 6},
		{"08 03 03 02 03 01 03 06 00 03 07 00", asClosed, ErrUnknownField, 9},
		{"08 01 03 03 00", asClosed, ErrMissing, 2}, // missing before unknown
		{"08 02 03 02 03 01 03 00 00", asClosed, ErrFieldNumber, 6},
		{"08 02 03 02 03 01 03 01 00", asClosed, ErrKeyOrder, 6},
		{"08 03 03 02 03 01 03 06 00 03 06 00", asClosed, ErrKeyDuplicate, 9},
		{"08 00", asClosed, ErrMissing, 2},
	} {
		r := NewReader(unhex(t, c.in))
		c.as(&r)
		err := r.Done()
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != c.code || f.Offset != c.offset {
			t.Errorf("%s: got %v, want %s at byte %d", c.in, err, c.code, c.offset)
		}
	}
}

func TestStructsAccept(t *testing.T) {
	for _, c := range []struct {
		in string
		as as
	}{
		{"08 02 03 02 03 01 03 06 00", asOpen},
		{"08 03 03 02 03 01 03 04 06 01 61 03 06 00", asOpen},
		{"08 06 03 01 00 03 02 03 01 03 03 07 01 00 03 05 08 00 03 06 00 03 7f 02", asOpen},
		{"08 02 03 02 03 01 03 06 00", asClosed},
		{"08 03 03 02 03 01 03 04 06 01 61 03 06 00", asClosed},
		{"02", asOptionalBool},
		{"08 02 03 80 02 03 00 03 81 01 03 00", asUMap},
	} {
		r := NewReader(unhex(t, c.in))
		c.as(&r)
		if err := r.Done(); err != nil {
			t.Errorf("%s: %v", c.in, err)
		}
	}
}

// TestDepth nests 31, 32 and 33 containers of each kind, read by each of the
// ways in (RFC-MYTHOS-0001 §2.4).
func TestDepth(t *testing.T) {
	nest := func(head string, n int) []byte {
		return append(unhex(t, strings.Repeat(head, n-1)), 7, 0)
	}
	for _, head := range []string{"07 01", "08 01 00", "08 01 03 01"} {
		for n := 31; n <= 33; n++ {
			in := nest(head, n)
			if err := Valid(in); n <= MaxDepth && err != nil {
				t.Errorf("%d of %s: %v", n, head, err)
			} else if n > MaxDepth {
				wantFault(t, err, ErrDepth, len(in)-2)
			}
		}
	}
	key := append(bytes.Repeat([]byte{8, 1}, 33), bytes.Repeat([]byte{0}, 40)...) // a MAP in a key in a key ...
	wantFault(t, Valid(key), ErrDepth, 64)
	leaves := append(bytes.Repeat([]byte{7, 1}, 32), AppendBytes(nil, nest("07 01", 33))...)
	if err := Valid(leaves); err != nil {
		t.Errorf("a BYTES payload counts: %v", err)
	}
	r := NewReader(nest("07 01", 33))
	for range 32 {
		r.List()
	}
	r.Struct()
	wantFault(t, r.Err(), ErrType, 64)
	r = NewReader(append(bytes.Repeat([]byte{7, 1}, 32), 8, 1, 3, 2, 3, 1))
	for range 32 {
		r.List()
	}
	if p := r.Template("\x08\x01\x03\x02\x03", 1); p != nil {
		t.Error("a template opens container 33")
	}
	asOpen(&r)
	wantFault(t, r.Err(), ErrDepth, 64)
}

// TestOrder holds the two MAPs of RFC-MYTHOS-0001 §2.5 to their encodings.
func TestOrder(t *testing.T) {
	null := func(b []byte, _ bool) []byte { return AppendNull(b) }
	got := AppendUintMap(nil, map[uint32]bool{256: true, 129: true, 128: true, 127: true}, null)
	if want := unhex(t, "08 04 03 7f 00 03 80 01 00 03 80 02 00 03 81 01 00"); !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
	mixed := unhex(t, "08 05 03 05 03 04 05 01 7a 03 05 06 01 61 03 01 06 01 62 03 02 06 02 61 61 03 03")
	if err := Valid(mixed); err != nil {
		t.Error(err)
	}
	text := AppendTextMap(nil, map[string]uint64{"b": 2, "aa": 3, "a": 1}, AppendUint)
	if want := append([]byte{8, 3}, mixed[11:]...); !bytes.Equal(text, want) {
		t.Errorf("got % x, want % x", text, want)
	}
	for _, c := range []string{ // types by tag, IVARINT by zigzag
		"08 09 00 00 01 00 02 00 03 00 00 04 00 00 05 00 00 06 00 00 07 00 00 08 00 00",
		"08 05 04 00 00 04 01 00 04 02 00 04 03 00 04 04 00",
	} {
		if err := Valid(unhex(t, c)); err != nil {
			t.Errorf("%s: %v", c, err)
		}
	}
}

func TestMapsRead(t *testing.T) {
	r := NewReader(unhex(t, "08 02 06 01 61 03 01 06 02 61 61 03 02"))
	m := ReadTextMap(&r, (*Reader).Uint)
	if err := r.Done(); err != nil || len(m) != 2 || m["a"] != 1 || m["aa"] != 2 {
		t.Errorf("got %v, %v", m, err)
	}
	r = NewReader(unhex(t, "08 02 03 80 02 03 07 03 81 01 03 08"))
	u := ReadUintMap(&r, (*Reader).Uint)
	if err := r.Done(); err != nil || len(u) != 2 || u[256] != 7 || u[129] != 8 {
		t.Errorf("got %v, %v", u, err)
	}
}

// TestFirstErrorSticks: after an error every read returns zero and the error
// stays.
func TestFirstErrorSticks(t *testing.T) {
	r := NewReader(unhex(t, "09 03 01 06 01 61"))
	r.Uint()
	if r.Uint() != 0 || r.Int() != 0 || r.Bool() || r.Text() != "" || len(r.Bytes()) != 0 || r.Raw() != nil || r.List() != 0 || r.More() || r.OK() {
		t.Error("a read after an error returns something")
	}
	if _, ok := r.Kind(); ok {
		t.Error("there is a next value after an error")
	}
	wantFault(t, r.Done(), ErrTag, 0)
}

func TestUvarint(t *testing.T) {
	if v, n, err := Uvarint([]byte{0xac, 2, 9}); v != 300 || n != 2 || err != nil {
		t.Errorf("got %d, %d, %v", v, n, err)
	}
	for in, code := range map[string]fault.Code{"": ErrTruncated, "\x80": ErrTruncated, "\x80\x00": ErrVarint, strings.Repeat("\xff", 10): ErrOverflow} {
		_, _, err := Uvarint([]byte(in))
		wantFault(t, err, code, 0)
	}
}

// TestBoundsBeforeMemory: what is announced is not what is allocated for.
func TestBoundsBeforeMemory(t *testing.T) {
	r := NewReader(append(unhex(t, "07 ff ff ff ff 0f"), make([]byte, 64)...))
	if got := r.Room(r.List(), 2); got != 0 || r.OK() {
		t.Errorf("room for %d of a list that cannot be", got)
	}
	r = NewReader(append(unhex(t, "07 64"), make([]byte, 100)...))
	if got := r.Room(r.List(), 42); got != 2 || !r.OK() {
		t.Errorf("room for %d of 42 bytes in 100", got)
	}
}

func TestTagName(t *testing.T) {
	if TagName(Map) != "MAP" || TagName(9) != "unknown tag" {
		t.Errorf("got %s, %s", TagName(Map), TagName(9))
	}
}

func TestAppendWithout(t *testing.T) {
	const msg = "08 04 03 01 00 03 02 06 01 61 03 05 07 01 00 03 7f 02"
	for _, c := range []struct {
		drop []uint8
		want string
	}{
		{nil, msg},
		{[]uint8{1}, "08 03 03 02 06 01 61 03 05 07 01 00 03 7f 02"},
		{[]uint8{2, 5}, "08 02 03 01 00 03 7f 02"},
		{[]uint8{1, 127}, "08 02 03 02 06 01 61 03 05 07 01 00"},
		{[]uint8{3, 4, 6}, msg},
		{[]uint8{1, 2, 5, 127}, "08 00"},
	} {
		got, err := AppendWithout([]byte("x"), unhex(t, msg), c.drop...)
		if err != nil || !bytes.Equal(got, append([]byte("x"), unhex(t, c.want)...)) {
			t.Errorf("without %d: % x, %v", c.drop, got, err)
		}
	}
	for in, want := range map[string]dumbFault{
		"":                        {ErrTruncated, 0},
		"07 00":                   {ErrType, 0},
		"08 00 00":                {ErrTrailing, 2},
		"08 02 03 01 00 03 01 00": {ErrKeyDuplicate, 5},
		"08 01 06 01 61 00":       {ErrFieldNumber, 2},
		"08 02 03 01 00 03 02 09": {ErrTag, 7},
	} {
		got, err := AppendWithout(nil, unhex(t, in), 1)
		wantFault(t, err, want.code, want.at)
		if got != nil {
			t.Errorf("%s: got % x with an error", in, got)
		}
	}
}
