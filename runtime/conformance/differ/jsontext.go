package differ

import (
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"strings"
	"unicode/utf8"
)

func hashDigits(digest []byte) string { return "sha256:" + hex.EncodeToString(digest) }

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// viewInput is can.encode's input: bytes where the text is not UTF-8, and
// sometimes where it is.
func viewInput(r *rand.Rand, text string) (string, any) {
	if !utf8.ValidString(text) || r.IntN(8) == 0 {
		return "can.encode", in{"hex": []byte(text)}
	}
	return "can.encode", in{"text": text}
}

// tokens are pieces of JSON, right and wrong.
var tokens = [...]string{
	" ", "\n", "\t", "\r", "\v", "\f", "\u00a0", "\ufeff", "\u2028", "\x00", "//", "/**/", ",", ",,", ":", "[", "]", "{", "}", "\"", "'",
	"null", "true", "false", "nul", "True", "NaN", "Infinity", "undefined", "0", "-0", "+1", "01", "1.0", "1e2", "1E2", ".5", "5.", "0x1", "1_0", "-", "--1", "-1",
	"9007199254740991", "9007199254740992", "-9007199254740991", "-9007199254740992", "18446744073709551615", "18446744073709551616", "1e400",
	`"\u0041"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ude00\ud83d"`, `"\uD83D\u0041"`, `"\u00g0"`, `"\u12"`, `"\x41"`, `"\/"`, `"\b\f\n\r\t\"\\"`, `"\0"`, "\"\x01\"", "\"\x7f\"", "\"\xff\"", "\"\xed\xa0\x80\"",
	`{"$u64":"5"}`, `{"$u64":"9007199254740992"}`, `{"$u64":"18446744073709551616"}`, `{"$u64":"09007199254740992"}`, `{"$u64":18446744073709551615}`, `{"$u64":"-1"}`, `{"$u64":""}`, `{"$u64":"+9007199254740992"}`,
	`{"$i64":"5"}`, `{"$i64":"-5"}`, `{"$i64":"-0"}`, `{"$i64":"9223372036854775807"}`, `{"$i64":"9223372036854775808"}`, `{"$i64":"-9223372036854775808"}`, `{"$i64":"-9223372036854775809"}`, `{"$i64":"-9007199254740992"}`,
	`{"$bytes":""}`, `{"$bytes":"dead"}`, `{"$bytes":"DEAD"}`, `{"$bytes":"dea"}`, `{"$bytes":"zz"}`, `{"$bytes":null}`, `{"$bytes":"\u0064ead"}`, `{"\u0024bytes":"dead"}`,
	`{"$map":[]}`, `{"$map":[[1,2]]}`, `{"$map":[["a",2]]}`, `{"$map":[[2,1],[1,1]]}`, `{"$map":[[1,1],[1,2]]}`, `{"$map":[[1]]}`, `{"$map":[[1,2,3]]}`, `{"$map":[["$a",2]]}`, `{"$map":{}}`, `{"$map":[1]}`,
	`{"$other":1}`, `{"$u64":"9007199254740992","a":1}`, `{"a":1,"$u64":"1"}`, `{"a":1,"a":1}`, `{"a":1,"\u0061":2}`, `{"":1}`, `{"b":1,"a":2}`, `{"aa":1,"b":2}`, `{"a":1,}`, `{a:1}`, `[1,]`, `[1 2]`, `{"a"1}`, `{"a":}`, `{1:1}`,
}

// otherTokens puts pieces into a text, in front of its punctuation, in the place
// of a part, or anywhere.
func otherTokens(r *rand.Rand, text string) string {
	for range 1 + r.IntN(2) {
		piece := tokens[r.IntN(len(tokens))]
		at := r.IntN(len(text) + 1)
		switch r.IntN(4) {
		case 0:
			if i := strings.IndexAny(text[at:], ",:[]{}"); i >= 0 {
				at += i
			}
			text = text[:at] + []string{" ", "\n", "\t\r", piece}[r.IntN(4)] + text[at:]
		case 1:
			if i := strings.IndexAny(text[at:], "0123456789\""); i >= 0 {
				at += i
			}
			text = text[:at] + piece + text[at+len(word(text[at:])):]
		case 2:
			text = text[:at] + piece + text[at:]
		default:
			text = piece
		}
	}
	return text
}

// word is the number or string that text begins with.
func word(text string) string {
	if text == "" {
		return ""
	}
	if text[0] == '"' {
		if i := strings.IndexByte(text[1:], '"'); i >= 0 {
			return text[:i+2]
		}
		return text
	}
	n := strings.IndexFunc(text, func(c rune) bool { return c < '0' || c > '9' })
	if n < 0 {
		n = len(text)
	}
	return text[:n]
}

// madeJSON is a JSON value of pieces, mostly well formed.
func madeJSON(r *rand.Rand, depth int) string {
	if depth == 0 || r.IntN(3) == 0 {
		if r.IntN(3) > 0 {
			return strconv.Quote(strconv.Itoa(r.IntN(100)))
		}
		return tokens[r.IntN(len(tokens))]
	}
	var parts []string
	list := r.IntN(2) == 0
	for range r.IntN(4) {
		part := madeJSON(r, depth-1)
		if !list {
			key := []string{`"a"`, `"b"`, `"aa"`, `"\u0061"`, `"$map"`, `""`, `"\u00e9"`, `"e"`, `"` + strconv.Itoa(r.IntN(20)) + `"`}[r.IntN(9)]
			part = key + ":" + part
		}
		parts = append(parts, part)
	}
	if list {
		return "[" + strings.Join(parts, ",") + "]"
	}
	return "{" + strings.Join(parts, ",") + "}"
}
