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

// viewEscapes are strings in which JSON escapes or hides characters, both ways.
func viewEscapes(s *suite) {
	s.spec = "RFC-MYTHOS-0001 §6"
	var low strings.Builder
	escaped := ""
	for c := range 0x20 {
		low.WriteByte(byte(c))
		escaped += fmt.Sprintf("\\u%04x", c)
	}
	decodes(s, "text-escaped", "every control character below a space", canon.AppendText(nil, low.String()), low.String(), "language")
	decodes(s, "text-escaped", "a name of quotes and backslashes", rawM(join(rawT("\"\\"), rawT("\\\""))), map[string]any{"\"\\": "\\\""}, "language")
	decodes(s, "text-escaped", "line and paragraph separators", canon.AppendText(nil, "\u2028\u2029"), "\u2028\u2029", "language")
	decodes(s, "text-escaped", "what HTML escapes", canon.AppendText(nil, "<script>&</script>"), "<script>&</script>", "language")
	decodes(s, "text-escaped", "text that looks like an escape", canon.AppendText(nil, `\u0041\n`), `\u0041\n`, "language")
	decodes(s, "text-escaped", "DEL and the controls above it", canon.AppendText(nil, "\u007f\u0080\u009f"), "\u007f\u0080\u009f", "language")
	to := func(doc, text, want string) {
		s.valid("view-escape", "can.encode", doc, in{"text": text}, out{"hex": canon.AppendText(nil, want)}, "language")
	}
	to("every control character, escaped", `"`+escaped+`"`, low.String())
	to("line and paragraph separators as they are", "\"\u2028\u2029\"", "\u2028\u2029")
	to("line and paragraph separators, escaped", `"\u2028\u2029"`, "\u2028\u2029")
	to("DEL as it is", "\"\u007f\"", "\u007f")
	to("beyond the BMP as it is", "\"\U0001f600\U0010ffff\"", "\U0001f600\U0010ffff")
	to("the ends of the surrogates, escaped", `"\ud800\udc00\udbff\udfff"`, "\U00010000\U0010ffff")
	to("around the surrogates, escaped", `"\ud7ff\ue000"`, "\ud7ff\ue000")
	to("noncharacters, escaped", `"\ufdd0\ufffe\uffff"`, "\ufdd0\ufffe\uffff")
	to("a byte order mark inside a string", `"\ufeff"`, "\ufeff")
	to("an escaped backslash before u", `"\\u0041"`, `\u0041`)
	to("letters that normalise to one", "\"e\u0301\u00e9\"", "e\u0301\u00e9")
	s.valid("view-escape", "can.encode", "two names that normalise to one", in{"text": "{\"e\u0301\":1,\"\u00e9\":2}"},
		out{"hex": rawM(join(rawT("\u00e9"), rawU(2)), join(rawT("e\u0301"), rawU(1)))}, "language")
	s.valid("view-escape", "can.encode", "a typed name with an escape", in{"text": `{"\u0024u64":"1"}`}, out{"hex": rawU(1)}, "language")
}

// viewEscapesRefused are strings, numbers and names that some JSON reader takes.
func viewEscapesRefused(s *suite) {
	bad := func(what, doc, text, code string, at int) {
		s.invalidAt(what, "can.encode", doc, in{"text": text}, code, at, "language")
	}
	raw := func(what, doc, digits, code string, at int) {
		s.invalidAt(what, "can.encode", doc, in{"hex": x(digits)}, code, at, "language")
	}
	for _, c := range []byte{0x00, '\b', '\t', '\n', '\r', 0x1b, 0x1f} {
		bad("view-control", fmt.Sprintf("the character %#02x in a string, not escaped", c), "\"a"+string(rune(c))+"\"", "json_syntax", 2)
	}
	bad("view-control", "a tab in a name, not escaped", "{\"a\t\":1}", "json_syntax", 3)
	bad("view-control", "a NUL between values", "[1,\x002]", "json_syntax", 3)
	for _, c := range [][2]string{
		{"\\u with three digits", `"\u041"`},
		{"\\u with a digit that is none", `"\u004g"`},
		{"\\u in braces", `"\u{41}"`},
		{"a capital U", `"\U00000041"`},
		{"an octal escape", `"\101"`},
		{"an escaped quote of the other kind", `"\'"`},
		{"a line that goes on behind a backslash", "\"\\\n\""},
		{"\\a", `"\a"`},
		{"\\v", `"\v"`},
		{"a sign among the digits", `"\u+041"`},
	} {
		bad("view-escape-syntax", c[0], c[1], "json_syntax", 1)
	}
	for _, c := range []struct {
		doc, text string
		at        int
	}{
		{"two high surrogates", `"\ud800\ud800"`, 1},
		{"a low surrogate before a high one", `"\udc00\ud800"`, 1},
		{"a high surrogate before a letter", `"a\ud83dz"`, 2},
		{"a high surrogate before the end", `["a","\udbff"]`, 6},
		{"a lone surrogate in a name", `{"\ud800":1}`, 2},
		{"a lone surrogate as a map's key", `{"$map":[["\udfff",1]]}`, 11},
		{"a high surrogate before the low one as it is", "\"\\ud83d\U0001f600\"", 1},
		{"a pair and half of one", `"\ud83d\ude00\ude00"`, 13},
	} {
		bad("view-surrogate", c.doc, c.text, "json_text", c.at)
	}
	raw("view-utf8", "a slash in two bytes", "22 c0 af 22", "json_text", 1)
	raw("view-utf8", "a NUL in two bytes", "22 c0 80 22", "json_text", 1)
	raw("view-utf8", "beyond the last character", "22 f4 90 80 80 22", "json_text", 1)
	raw("view-utf8", "a sequence that the string's end cuts", "22 e2 80 22", "json_text", 1)
	raw("view-utf8", "a lone continuation byte in a name", "7b 22 80 22 3a 31 7d", "json_text", 2)
	raw("view-utf8", "a pair of surrogates in three bytes each", "22 ed a0 bd ed b8 80 22", "json_text", 1)
	for _, n := range []string{"18446744073709551616", "1E2", "-0.0", "1e400", "0e0", "-9223372036854775808", "1.0e0", "00"} {
		bad("view-number-form", "number "+n, n, "json_number", 0)
	}
	for _, n := range []string{"NaN", "Infinity", "+1", ".5", "\u0661"} {
		bad("view-number-word", "number "+n, n, "json_syntax", 0)
	}
	bad("view-number-word", "a hexadecimal number", "0x10", "json_trailing", 1)
	bad("view-number-word", "digits joined by _", "1_000", "json_trailing", 1)
	for _, v := range []string{"99999999999999999999", "1e3", "\u0661", "1 ", "+1", "0x1"} {
		bad("view-u64-form", fmt.Sprintf("$u64 %+q", v), `{"$u64":"`+v+`"}`, "json_typed", 8)
	}
	for _, v := range []string{"-99999999999999999999", "--1", "-", "\u2212 1", "1n"} {
		bad("view-i64-form", fmt.Sprintf("$i64 %+q", v), `{"$i64":"`+v+`"}`, "json_typed", 8)
	}
	bad("view-name-twice", "the third of three", `{"a":1,"b":2,"a":3}`, "json_duplicate", 13)
	bad("view-name-twice", "in an object inside", `[{"x":{"b":1,"b":2}}]`, "json_duplicate", 13)
	bad("view-name-twice", "the empty name", `{"":1,"":2}`, "json_duplicate", 6)
	bad("view-name-twice", "__proto__", `{"__proto__":1,"__proto__":2}`, "json_duplicate", 15)
	bad("view-name-twice", "beyond the BMP, once escaped", "{\"\U0001f600\":1,\"\\ud83d\\ude00\":2}", "json_duplicate", 10)
	bad("view-name-twice", "a map in a map's pair", `{"$map":[[1,{"a":1,"a":2}]]}`, "json_duplicate", 19)
	bad("view-name-twice", "$u64 twice", `{"$u64":"1","$u64":"1"}`, "json_typed", 1)
}
