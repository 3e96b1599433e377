package main

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	canon "github.com/mythos-run/mythos/runtime/libs/can"
)

// x reads hexadecimal digits with spaces between them.
func x(digits string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		panic(err) // a mistake in this program
	}
	return b
}

// join puts encodings behind one another.
func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// lists returns n LISTs of one item, each inside the one before, around the
// bytes inner.
func lists(n int, inner []byte) []byte { return join([]byte(strings.Repeat("\x07\x01", n)), inner) }

// can is the suite of canonical values and their JSON view.
func can(p *pack) {
	s := p.suite("can", "RFC-MYTHOS-0001", "Canonical values of any shape, every way to get one wrong, and the JSON view both ways.")
	s.flag("edge", "a value at the edge of a type, width or length form")
	s.flag("offset", "the same fault at several places: readers name the lowest offset")
	s.flag("bound", "a length or count that a reader must check before it allocates")
	s.flag("order", "key order that is not the order of numbers or strings")
	s.flag("precedence", "two faults, of which one must be reported")
	s.flag("language", "values that some language's own JSON or text types get wrong")
	canIntegers(s)
	canValues(s)
	canMaps(s)
	canVarints(s)
	canLengths(s)
	canTags(s)
	canText(s)
	canDepth(s)
	canPrecedence(s)
	viewValues(s)
	viewRefused(s)
	viewEscapes(s)
	viewEscapesRefused(s)
}

// decodes adds a valid can.decode with its JSON view.
func decodes(s *suite, what, doc string, raw []byte, view any, flags ...string) {
	s.valid(what, "can.decode", doc, in{"hex": raw}, out{"hex": raw, "json": view}, flags...)
}

// refused adds an invalid can.decode.
func refused(s *suite, what, doc string, raw []byte, code string, offset int, flags ...string) {
	s.invalidAt(what, "can.decode", doc, in{"hex": raw}, code, offset, flags...)
}

func typed(name, digits string) map[string]any { return map[string]any{name: digits} }

// canIntegers are the values at the edges of the varint's lengths and of the JSON
// view.
func canIntegers(s *suite) {
	s.spec = "RFC-MYTHOS-0001 §2.1"
	for shift := 7; shift <= 63; shift += 7 {
		for _, v := range []uint64{1<<shift - 1, 1 << shift} {
			decodes(s, "uvarint", fmt.Sprintf("UVARINT 2^%d or one less", shift), canon.AppendUint(nil, v), viewUint(v), "edge")
		}
	}
	for _, v := range []uint64{0, 1, 1<<53 - 1, 1 << 53, math.MaxUint64} {
		decodes(s, "uvarint", fmt.Sprintf("UVARINT %d", v), canon.AppendUint(nil, v), viewUint(v), "edge")
	}
	for _, v := range []int64{0, 1, -1, 63, -64, 64, -65, 1<<53 - 1, -(1<<53 - 1), -(1 << 53), math.MaxInt64, math.MinInt64} {
		decodes(s, "ivarint", fmt.Sprintf("IVARINT %d", v), canon.AppendInt(nil, v), viewInt(v), "edge")
	}
}

func viewUint(v uint64) any {
	if v < 1<<53 {
		return v
	}
	return typed("$u64", fmt.Sprint(v))
}

func viewInt(v int64) any {
	if v < 0 && v > -1<<53 {
		return v
	}
	return typed("$i64", fmt.Sprint(v))
}

// canValues are the other types.
func canValues(s *suite) {
	decodes(s, "null", "NULL", x("00"), nil)
	decodes(s, "bool", "false", x("01"), false)
	decodes(s, "bool", "true", x("02"), true)
	for _, n := range []int{0, 1, 127, 128, 300} {
		b := []byte(strings.Repeat("\xa5", n))
		decodes(s, "bytes", fmt.Sprintf("BYTES of %d bytes", n), canon.AppendBytes(nil, b), typed("$bytes", hex.EncodeToString(b)), "edge")
		t := strings.Repeat("t", n)
		decodes(s, "text", fmt.Sprintf("TEXT of %d bytes", n), canon.AppendText(nil, t), t, "edge")
	}
	for _, t := range [][2]string{
		{"NUL is kept", "a\x00b"},
		{"a byte order mark is kept", "\ufeffa"},
		{"no normalisation applies", "e\u0301\u00e9"},
		{"beyond the BMP", "\U0001f600\U0010ffff"},
		{"the ends of the forms of UTF-8", "\u007f\u0080\u07ff\u0800\uffff\U00010000"},
		{"around the surrogates", "\ud7ff\ue000"},
		{"noncharacters", "\ufdd0\ufffe\U0001ffff"},
		{"characters that JSON escapes", "\"\\/\b\f\n\r\t"},
		{"controls, separators and directions", "\x1b[2J\u007f\u0085\u061c\u200e\u2028\u202e\u2066\ufeff"},
	} {
		decodes(s, "text-kept", t[0], canon.AppendText(nil, t[1]), t[1], "language")
	}
	decodes(s, "list", "the empty LIST", x("07 00"), []any{}, "edge")
	decodes(s, "list", "a LIST of each type", x("07 07 00 02 03 05 04 02 05 01 de 06 01 61 07 00"),
		[]any{nil, true, 5, typed("$i64", "1"), typed("$bytes", "de"), "a", []any{}})
	long := canon.AppendList(nil, 128)
	view := make([]any, 128)
	for range view {
		long = canon.AppendNull(long)
	}
	decodes(s, "list", "a LIST of 128 items, whose count takes two bytes", long, view, "edge")
}
