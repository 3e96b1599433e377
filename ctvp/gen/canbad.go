package main

import (
	"fmt"
	"strings"

	canon "github.com/mythos-run/mythos/runtime/libs/can"
)

func pairs(list ...any) map[string]any { return map[string]any{"$map": list} }

// canMaps are MAPs: order, which is that of encoded bytes, and its violations.
func canMaps(s *suite) {
	s.spec = "RFC-MYTHOS-0001 §2.5"
	decodes(s, "map", "the empty MAP", x("08 00"), map[string]any{}, "edge")
	decodes(s, "map", "TEXT keys sort by length first", x("08 03 06 01 61 00 06 01 62 00 06 02 61 61 00"),
		map[string]any{"a": nil, "b": nil, "aa": nil}, "order")
	decodes(s, "map", "UVARINT keys of 128 and more do not sort by number", x("08 04 03 7f 00 03 80 01 00 03 80 02 00 03 81 01 00"),
		pairs([]any{127, nil}, []any{128, nil}, []any{256, nil}, []any{129, nil}), "order")
	decodes(s, "map", "UVARINT 16384 comes before 129", x("08 02 03 80 80 01 00 03 81 01 00"),
		pairs([]any{16384, nil}, []any{129, nil}), "order")
	decodes(s, "map", "IVARINT keys sort by their zigzag image", x("08 05 04 00 00 04 01 00 04 02 00 04 03 00 04 04 00"),
		pairs([]any{typed("$i64", "0"), nil}, []any{-1, nil}, []any{typed("$i64", "1"), nil}, []any{-2, nil}, []any{typed("$i64", "2"), nil}), "order")
	decodes(s, "map", "keys of every type, by tag", x("08 09 00 00 01 00 02 00 03 00 00 04 00 00 05 00 00 06 00 00 07 00 00 08 00 00"),
		pairs([]any{nil, nil}, []any{false, nil}, []any{true, nil}, []any{0, nil}, []any{typed("$i64", "0"), nil},
			[]any{typed("$bytes", ""), nil}, []any{"", nil}, []any{[]any{}, nil}, []any{map[string]any{}, nil}), "order")
	decodes(s, "map", "a plain TEXT key that is not a name in some languages", x("08 01 06 09 5f 5f 70 72 6f 74 6f 5f 5f 03 01"),
		map[string]any{"__proto__": 1}, "language")
	decodes(s, "map", "a TEXT key that begins with $ makes the view typed", x("08 01 06 02 24 61 03 01"), pairs([]any{"$a", 1}))
	decodes(s, "map", "the empty TEXT as a key", x("08 01 06 00 03 01"), map[string]any{"": 1}, "edge")
	decodes(s, "map", "TEXT keys that look like numbers keep the order of bytes", x("08 03 06 01 32 00 06 01 39 00 06 02 31 30 00"),
		map[string]any{"2": nil, "9": nil, "10": nil}, "language", "order")

	order := func(doc, digits string, at int) {
		refused(s, "map-order", doc, x(digits), "can_key_order", at, "order")
	}
	order("UVARINT 2 before 1", "08 02 03 02 00 03 01 00", 5)
	order("in numerical order, which is wrong: 129 before 256", "08 02 03 81 01 00 03 80 02 00", 6)
	order("in numerical order, which is wrong: 129 before 16384", "08 02 03 81 01 00 03 80 80 01 00", 6)
	order("in the order of strings, which is wrong: aa before b", "08 02 06 02 61 61 00 06 01 62 00", 7)
	order("TEXT before BYTES", "08 02 06 00 00 05 00 00", 5)
	order("in numerical order, which is wrong: -2 before -1", "08 02 04 03 00 04 01 00", 5)
	order("in a MAP inside a LIST", "07 02 00 08 02 06 01 62 00 06 01 61 00", 9)
	order("the third of three keys", "08 03 03 01 00 03 03 00 03 02 00", 8)
	order("in a MAP that is a key", "08 01 08 02 03 02 00 03 01 00 00", 7)

	twice := func(doc, digits string, at int) {
		refused(s, "map-duplicate", doc, x(digits), "can_key_duplicate", at)
	}
	twice("UVARINT 1 twice", "08 02 03 01 00 03 01 00", 5)
	twice("the same pair twice", "08 02 06 01 61 03 01 06 01 61 03 01", 7)
	twice("the empty TEXT twice", "08 02 06 00 00 06 00 00", 5)
	twice("NULL twice", "08 02 00 00 00 00", 4)
	twice("a LIST twice", "08 02 07 01 00 00 07 01 00 00", 6)
	twice("the last two of three", "08 03 03 01 00 03 02 00 03 02 00", 8)
}

// canVarints are varints that are too long, too large or cut.
func canVarints(s *suite) {
	s.spec = "RFC-MYTHOS-0001 §2.3"
	notMinimal := func(doc, digits string, at int) {
		refused(s, "varint-not-minimal", doc, x(digits), "can_varint", at)
	}
	notMinimal("UVARINT 0 in two bytes", "03 80 00", 0)
	notMinimal("UVARINT 1 in two bytes", "03 81 00", 0)
	notMinimal("UVARINT 127 in three bytes", "03 ff 80 00", 0)
	notMinimal("UVARINT in ten bytes, the last of them 0", "03 ff ff ff ff ff ff ff ff ff 00", 0)
	notMinimal("IVARINT 0 in two bytes", "04 80 00", 0)
	notMinimal("the length of BYTES", "05 81 00 aa", 0)
	notMinimal("the length of TEXT", "06 81 00 61", 0)
	notMinimal("the count of a LIST, at an offset", "07 01 07 80 00", 2)
	notMinimal("the count of a MAP", "08 80 00", 0)
	notMinimal("a key, at an offset", "08 01 03 81 00 00", 2)

	overflow := func(doc, digits string, at int) {
		refused(s, "varint-overflow", doc, x(digits), "can_overflow", at, "edge")
	}
	overflow("UVARINT 2^64", "03 80 80 80 80 80 80 80 80 80 02", 0)
	overflow("UVARINT of 64 one bits and a 65th", "03 ff ff ff ff ff ff ff ff ff 03", 0)
	overflow("the tenth byte continues", "03 ff ff ff ff ff ff ff ff ff 81 00", 0)
	overflow("IVARINT of more than 64 bits", "04 ff ff ff ff ff ff ff ff ff 02", 0)
	overflow("the length of BYTES", "05 ff ff ff ff ff ff ff ff ff 7f", 0)
	overflow("the count of a LIST, at an offset", "07 02 00 07 80 80 80 80 80 80 80 80 80 02", 3)
	overflow("the count of a MAP", "08 80 80 80 80 80 80 80 80 80 02", 0)

	cut := func(doc, digits string, at int) { refused(s, "varint-cut", doc, x(digits), "can_truncated", at) }
	cut("UVARINT without a payload", "03", 0)
	cut("UVARINT that continues", "03 80", 0)
	cut("nine bytes that continue", "03 ff ff ff ff ff ff ff ff ff", 0)
	cut("IVARINT without a payload, in a LIST", "07 01 04", 2)
	cut("the length of BYTES", "05", 0)
	cut("the length of TEXT continues", "06 80", 0)
	cut("the count of a LIST", "07", 0)
	cut("the count of a MAP continues", "08 ff", 0)
}

// canLengths are lengths and counts beyond what is left, and what is left over.
func canLengths(s *suite) {
	bounds := func(doc, digits string, at int) {
		refused(s, "length-beyond-end", doc, x(digits), "can_bounds", at, "bound")
	}
	bounds("BYTES of 1, none left", "05 01", 0)
	bounds("BYTES of 3, two left", "05 03 01 02", 0)
	bounds("BYTES of 2^64-1", "05 ff ff ff ff ff ff ff ff ff 01 00", 0)
	bounds("BYTES of 2^63, which some integers hold as negative", "05 80 80 80 80 80 80 80 80 80 01 00", 0)
	bounds("BYTES of 2^32", "05 80 80 80 80 10 00", 0)
	bounds("TEXT of 1, none left", "06 01", 0)
	bounds("TEXT whose length reaches past its LIST into nothing, at an offset", "07 02 06 01 61 06 05 62", 5)
	bounds("BYTES inside a MAP", "08 01 03 01 05 02 aa", 4)

	count := func(doc, digits string, at int) {
		refused(s, "count-beyond-end", doc, x(digits), "can_bounds", at, "bound")
	}
	count("LIST of 1, nothing left", "07 01", 0)
	count("LIST of 3, two bytes left", "07 03 00 00", 0)
	count("LIST of 2^64-1", "07 ff ff ff ff ff ff ff ff ff 01 00", 0)
	count("LIST of 2^31", "07 80 80 80 80 08 00", 0)
	count("MAP of 1, one byte left", "08 01 00", 0)
	count("MAP of 2, three bytes left", "08 02 00 00 01", 0)
	count("MAP of 2^63", "08 80 80 80 80 80 80 80 80 80 01 00 00", 0)
	count("a LIST inside a LIST", "07 01 07 02 00", 2)

	cut := func(doc, digits string, at int) { refused(s, "item-missing", doc, x(digits), "can_truncated", at) }
	cut("nothing at all", "", 0)
	cut("LIST of 2 whose first item takes all bytes", "07 02 05 00", 4)
	cut("MAP of 1 whose key takes all bytes", "08 01 05 00", 4)
	cut("MAP of 2, the second key is missing", "08 02 03 01 03 01", 6)

	trailing := func(doc, digits string, at int) { refused(s, "trailing", doc, x(digits), "can_trailing", at) }
	trailing("a second value", "00 00", 1)
	trailing("behind a UVARINT", "03 05 03", 2)
	trailing("behind an empty LIST", "07 00 07 00", 2)
	trailing("behind a MAP", "08 01 03 01 00 ff", 5)
	trailing("behind BYTES", "05 01 aa bb", 3)
}

// canTags are tags that do not exist.
func canTags(s *suite) {
	for _, tag := range []byte{0x09, 0x0a, 0x10, 0x7f, 0x80, 0xff} {
		refused(s, "tag", fmt.Sprintf("tag %02x", tag), []byte{tag, 0}, "can_tag", 0)
	}
	refused(s, "tag", "in a LIST", x("07 02 00 09"), "can_tag", 3, "offset")
	refused(s, "tag", "as a MAP's key", x("08 01 09 00"), "can_tag", 2, "offset")
	refused(s, "tag", "as a MAP's value", x("08 01 03 01 09"), "can_tag", 4, "offset")
	refused(s, "tag", "the tag alone, without the payload that it may have", x("09"), "can_tag", 0)
}

// canText is TEXT that is not UTF-8.
func canText(s *suite) {
	bad := func(what, doc, digits string) {
		t := x(digits)
		raw := append(canon.AppendList(nil, 1), canon.Text, byte(len(t)))
		refused(s, what, doc, append(raw, t...), "can_utf8", 2)
	}
	bad("utf8-stray", "a continuation byte alone", "80")
	bad("utf8-stray", "a continuation byte behind a character", "61 bf")
	bad("utf8-stray", "FE", "fe")
	bad("utf8-stray", "FF", "ff")
	bad("utf8-cut", "the first byte of two", "c3")
	bad("utf8-cut", "two bytes of three", "e2 82")
	bad("utf8-cut", "three bytes of four", "f0 9f 98")
	bad("utf8-cut", "a lead byte before ASCII", "c3 28")
	bad("utf8-overlong", "slash in two bytes", "c0 af")
	bad("utf8-overlong", "NUL in two bytes, as Java writes it", "c0 80")
	bad("utf8-overlong", "U+007F in two bytes", "c1 bf")
	bad("utf8-overlong", "U+07FF in three bytes", "e0 9f bf")
	bad("utf8-overlong", "U+FFFF in four bytes", "f0 8f bf bf")
	bad("utf8-surrogate", "U+D800", "ed a0 80")
	bad("utf8-surrogate", "U+DFFF", "ed bf bf")
	bad("utf8-surrogate", "U+1F600 as two surrogates", "ed a0 bd ed b8 80")
	bad("utf8-beyond", "U+110000", "f4 90 80 80")
	bad("utf8-beyond", "F5", "f5 80 80 80")
	bad("utf8-beyond", "five bytes", "f8 88 80 80 80")
	refused(s, "utf8-key", "a key that is not UTF-8", x("08 01 06 01 ff 00"), "can_utf8", 2, "offset")
}

// canDepth are containers inside one another.
func canDepth(s *suite) {
	s.spec = "RFC-MYTHOS-0001 §2.4"
	nest := func(n int, inner any) any {
		for range n {
			inner = []any{inner}
		}
		return inner
	}
	decodes(s, "depth", "32 LISTs, a leaf inside", lists(32, x("00")), nest(32, nil), "edge")
	decodes(s, "depth", "32 LISTs, the innermost empty", lists(31, x("07 00")), nest(31, []any{}), "edge")
	decodes(s, "depth", "31 LISTs around a MAP", lists(31, x("08 01 03 01 00")), nest(31, pairs([]any{1, nil})), "edge")
	decodes(s, "depth", "BYTES that hold a deep value are a leaf", lists(32, canon.AppendBytes(nil, lists(32, x("00")))),
		nest(32, typed("$bytes", fmt.Sprintf("%x", lists(32, x("00"))))), "edge")
	s.valid("depth", "can.decode", "32 LISTs beside 32 LISTs: depth is what is open at once",
		in{"hex": join(x("07 02"), lists(31, x("00")), lists(31, x("00")))}, out{}, "edge")
	deep := func(doc string, raw []byte, at int) { refused(s, "too-deep", doc, raw, "can_depth", at, "edge") }
	deep("33 LISTs", lists(33, x("00")), 64)
	deep("a 33rd LIST that is empty", lists(32, x("07 00")), 64)
	deep("a MAP as the 33rd", lists(32, x("08 00")), 64)
	deep("33 MAPs by their values", join([]byte(strings.Repeat("\x08\x01\x00", 32)), x("08 00")), 96)
	deep("33 containers by way of a key", join([]byte(strings.Repeat("\x08\x01", 32)), x("07 00"), []byte(strings.Repeat("\x00", 32))), 64)
	deep("100 LISTs", lists(100, x("00")), 64)
	deep("the second item goes too deep", join(x("07 02 00"), lists(32, x("00"))), 65)
}

// canPrecedence are inputs with two faults: the lowest offset is reported, and at
// one offset the order of the table.
func canPrecedence(s *suite) {
	s.spec = "RFC-MYTHOS-0001 §2.3"
	two := func(doc, digits, code string, at int) {
		refused(s, "precedence", doc, x(digits), code, at, "precedence")
	}
	two("bad UTF-8 before bytes left over", "06 01 ff 00", "can_utf8", 0)
	two("an unknown tag before bytes left over", "07 01 09 00", "can_tag", 2)
	two("a length that is not minimal and beyond the end", "05 ff 00", "can_varint", 0)
	two("a key that is bad UTF-8 and out of order", "08 02 06 01 62 00 06 01 ff 00", "can_utf8", 6)
	two("keys out of order before a value with an unknown tag", "08 02 03 02 00 03 01 09", "can_key_order", 5)
	two("a value with an unknown tag before keys out of order", "08 02 03 02 09 03 01 00", "can_tag", 4)
	two("a key that is an unfinished LIST before its order", "08 02 07 01 00 00 07 00 09", "can_key_order", 6)
	refused(s, "precedence-depth", "a 33rd LIST whose count is beyond the end: bounds come first", lists(32, x("07 05")), "can_bounds", 64, "precedence")
	refused(s, "precedence-depth", "a 33rd LIST whose count is not minimal", lists(32, x("07 80 00")), "can_varint", 64, "precedence")
}
