package main

import (
	"fmt"
	"math"
	"strings"

	canon "github.com/mythos-run/mythos/runtime/libs/can"
)

// viewValues are JSON texts and the canonical bytes that they stand for.
func viewValues(s *suite) {
	s.spec = "RFC-MYTHOS-0001 §6"
	to := func(doc, text string, raw []byte, flags ...string) {
		s.valid("view", "can.encode", doc, in{"text": text}, out{"hex": raw}, flags...)
	}
	to("literals and white space", " [ null ,\ttrue,\r\nfalse ] ", x("07 03 00 02 01"))
	to("0 is a UVARINT", "0", x("03 00"), "edge")
	to("-1 is an IVARINT", "-1", x("04 01"), "edge")
	to("2^53-1", "9007199254740991", canon.AppendUint(nil, 1<<53-1), "edge")
	to("-(2^53-1)", "-9007199254740991", canon.AppendInt(nil, -(1<<53-1)), "edge")
	to("$u64 takes its whole range", `{"$u64":"18446744073709551615"}`, canon.AppendUint(nil, math.MaxUint64), "edge")
	to("$u64 takes what a number could say", `{"$u64":"0"}`, x("03 00"))
	to("$i64 takes its whole range", `{"$i64":"-9223372036854775808"}`, canon.AppendInt(nil, math.MinInt64), "edge")
	to("$i64 5 is an IVARINT", `{"$i64":"5"}`, x("04 0a"))
	to("$bytes", `{"$bytes":"dead"}`, x("05 02 de ad"))
	to("empty $bytes", `{"$bytes":""}`, x("05 00"), "edge")
	to("$map in any order", `{"$map":[[256,null],[129,null],[1,null]]}`, x("08 03 03 01 00 03 80 02 00 03 81 01 00"), "order")
	to("members in any order", `{"b":1,"aa":2,"a":3}`, x("08 03 06 01 61 03 03 06 01 62 03 01 06 02 61 61 03 02"), "order")
	to("an empty object", `{}`, x("08 00"), "edge")
	to("an empty $map", `{"$map":[]}`, x("08 00"), "edge")
	to("__proto__ is a name like any other", `{"__proto__":1}`, x("08 01 06 09 5f 5f 70 72 6f 74 6f 5f 5f 03 01"), "language")
	to("names that look like numbers", `{"10":1,"9":2}`, x("08 02 06 01 39 03 02 06 02 31 30 03 01"), "language")
	to("escapes", `"\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00"`, canon.AppendText(nil, "\"\\/\b\f\n\r\tA\u00e9\U0001f600"))
	to("escapes with capital digits", `"\u00E9\uD83D\uDE00"`, canon.AppendText(nil, "\u00e9\U0001f600"))
	to("NUL as an escape", `"\u0000"`, x("06 01 00"), "language")
	to("names with escapes", `{"\u0061":1}`, x("08 01 06 01 61 03 01"))
	to("32 arrays", strings.Repeat("[", 32)+strings.Repeat("]", 32), lists(31, x("07 00")), "edge")
}

// viewRefused are texts that are no JSON view.
func viewRefused(s *suite) {
	bad := func(what, doc, text, code string, at int, flags ...string) {
		s.invalidAt(what, "can.encode", doc, in{"text": text}, code, at, flags...)
	}
	raw := func(what, doc, digits, code string, at int) {
		s.invalidAt(what, "can.encode", doc, in{"hex": x(digits)}, code, at)
	}
	for _, c := range []struct {
		doc, text string
		at        int
	}{
		{"nothing", "", 0},
		{"white space alone", "  ", 2},
		{"a bare word", "nul", 0},
		{"capital letters", "True", 0},
		{"a comma before the end", "[1,]", 3},
		{"no comma", "[1 2]", 3},
		{"a name without quotes", "{a:1}", 1},
		{"single quotes", "'a'", 0},
		{"an escape that JSON does not have", `"\x41"`, 1},
		{"a raw control character", "\"\x01\"", 1},
	} {
		bad("view-syntax", c.doc, c.text, "json_syntax", c.at)
	}
	bad("view-cut", "a string without its end", `"abc`, "json_syntax", 4)
	bad("view-cut", "an array without its end", `[1`, "json_syntax", 2)
	bad("view-cut", "an object without its end", `{"a":1`, "json_syntax", 6)
	for _, n := range []string{"1.0", "1e3", "-0", "01", "9007199254740992", "-9007199254740992", "1.", "-"} {
		bad("view-number", "number "+n, n, "json_number", 0, "edge")
	}
	bad("view-text", "a lone high surrogate", `"\ud800"`, "json_text", 1)
	bad("view-text", "a lone low surrogate", `["\udc00"]`, "json_text", 2)
	bad("view-text", "a high surrogate before another escape", `"\ud800\u0041"`, "json_text", 1)
	bad("view-text", "a byte order mark before the value", "\ufeff1", "json_text", 0)
	raw("view-text", "a byte that is not UTF-8", "22 61 ff 22", "json_text", 2)
	raw("view-text", "a surrogate in three bytes", "22 ed a0 80 22", "json_text", 1)
	bad("view-duplicate", "a name twice", `{"a":1,"a":1}`, "json_duplicate", 7)
	bad("view-duplicate", "a name twice, once with an escape", `{"a":1,"\u0061":2}`, "json_duplicate", 7)
	bad("view-duplicate", "a $map key twice", `{"$map":[[1,2],[1,3]]}`, "json_duplicate", 16)
	bad("view-duplicate", "a $map key twice in two forms", `{"$map":[[1,2],[{"$u64":"1"},3]]}`, "json_duplicate", 16)
	bad("view-typed", "an unknown $ name", `{"$x":1}`, "json_typed", 1)
	bad("view-typed", "$ alone", `{"$":1}`, "json_typed", 1)
	bad("view-typed", "a $ name beside another", `{"a":1,"$u64":"1"}`, "json_typed", 7)
	bad("view-typed", "another behind a $ name", `{"$u64":"1","a":1}`, "json_typed", 1)
	bad("view-typed", "$u64 of a number", `{"$u64":1}`, "json_typed", 8)
	bad("view-typed", "$map of an object", `{"$map":{}}`, "json_typed", 8)
	bad("view-typed", "a $map pair that is no array", `{"$map":[1]}`, "json_typed", 9)
	for _, v := range []string{"", "01", "-1", "18446744073709551616", "1.0", " 1"} {
		bad("view-u64", fmt.Sprintf("$u64 %q", v), fmt.Sprintf(`{"$u64":%q}`, v), "json_typed", 8, "edge")
	}
	for _, v := range []string{"-0", "9223372036854775808", "-9223372036854775809", "+1", "00"} {
		bad("view-i64", fmt.Sprintf("$i64 %q", v), fmt.Sprintf(`{"$i64":%q}`, v), "json_typed", 8, "edge")
	}
	for _, v := range []string{"0", "DE", "zz", "d e", "0x00"} {
		bad("view-bytes", fmt.Sprintf("$bytes %q", v), fmt.Sprintf(`{"$bytes":%q}`, v), "json_typed", 10)
	}
	bad("view-depth", "33 arrays", strings.Repeat("[", 33)+strings.Repeat("]", 33), "json_depth", 32, "edge")
	bad("view-depth", "an empty object as the 33rd", strings.Repeat("[", 32)+"{}"+strings.Repeat("]", 32), "json_depth", 32, "edge")
	bad("view-depth", "a $map as the 33rd", strings.Repeat("[", 32)+`{"$map":[]}`+strings.Repeat("]", 32), "json_depth", 32, "edge")
	bad("view-trailing", "a second value", "1 2", "json_trailing", 2)
	bad("view-trailing", "a comma", "[],", "json_trailing", 2)
	bad("view-trailing", "a comment", "1 // one", "json_trailing", 2)
}
