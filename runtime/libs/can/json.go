package can

import (
	"encoding/hex"
	"strconv"
	"unicode/utf8"
)

// The JSON view of a value (RFC-MYTHOS-0001 §6) loses nothing: AppendJSON and
// FromJSON are each other's inverse, up to white space, escapes and member
// order in the text.
//
//	NULL, false, true         null, false, true
//	UVARINT 0..2^53-1         5            others {"$u64":"18446744073709551615"}
//	IVARINT -2^53+1..-1       -5           others {"$i64":"5"}
//	BYTES                     {"$bytes":"dead"}
//	TEXT, LIST                "a", [1,2]
//	MAP with plain TEXT keys  {"a":1}      others {"$map":[[1,"a"]]}

// maxNumber is the largest magnitude that a JSON number has here: above it,
// readers that hold numbers as doubles would round.
const maxNumber = 1<<53 - 1

const hexDigits = "0123456789abcdef"

// AppendJSON appends the JSON view of raw, which must be exactly one canonical
// value. The text is one line of compact JSON. It escapes what JSON demands
// and, so that untrusted text is safe on a terminal and in a script, also DEL,
// the C1 controls, line separators, directional controls and U+FEFF.
func AppendJSON(dst, raw []byte) ([]byte, error) {
	if err := Valid(raw); err != nil {
		return nil, err
	}
	r := NewReader(raw)
	return appendJSON(dst, &r), nil
}

// appendJSON renders the next value of r, which is known to be valid.
func appendJSON(dst []byte, r *Reader) []byte {
	tag, _ := r.Kind()
	switch tag {
	case Null:
		r.Null()
		return append(dst, "null"...)
	case False, True:
		return strconv.AppendBool(dst, r.Bool())
	case Uint:
		return appendJSONUint(dst, r.Uint())
	case Int:
		return appendJSONInt(dst, r.Int())
	case Bytes:
		dst = append(dst, `{"$bytes":"`...)
		return append(hex.AppendEncode(dst, r.Bytes()), `"}`...)
	case Text:
		return AppendJSONText(dst, r.Text())
	case List:
		return appendJSONList(dst, r)
	}
	return appendJSONMap(dst, r)
}

func appendJSONUint(dst []byte, v uint64) []byte {
	if v <= maxNumber {
		return strconv.AppendUint(dst, v, 10)
	}
	dst = append(dst, `{"$u64":"`...)
	return append(strconv.AppendUint(dst, v, 10), `"}`...)
}

func appendJSONInt(dst []byte, v int64) []byte {
	if -maxNumber <= v && v < 0 {
		return strconv.AppendInt(dst, v, 10)
	}
	dst = append(dst, `{"$i64":"`...)
	return append(strconv.AppendInt(dst, v, 10), `"}`...)
}

func appendJSONList(dst []byte, r *Reader) []byte {
	dst = append(dst, '[')
	n := r.List()
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSON(dst, r)
	}
	r.EndList()
	return append(dst, ']')
}

func appendJSONMap(dst []byte, r *Reader) []byte {
	n := r.MapHead()
	open, colon, end, last := "{", byte(':'), "", "}"
	if !plainKeys(*r, n) {
		open, colon, end, last = `{"$map":[`, ',', "]", "]}"
	}
	dst = append(dst, open...)
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		if end != "" {
			dst = append(dst, '[')
		}
		dst = append(appendJSON(dst, r), colon)
		dst = append(appendJSON(dst, r), end...)
	}
	r.EndMap()
	return append(dst, last...)
}

// plainKeys reports whether the n pairs ahead all have TEXT keys and none of
// them starts with "$". It looks ahead on a copy of the reader.
func plainKeys(r Reader, n int) bool {
	for range n {
		if tag, _ := r.Kind(); tag != Text {
			return false
		}
		if k := r.span(Text); len(k) > 0 && k[0] == '$' {
			return false
		}
		r.Skip()
	}
	return true
}

// AppendJSONText appends s as a JSON string with the escapes of AppendJSON; s
// must be valid UTF-8.
func AppendJSONText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i, c := range s {
		if !escaped(c) {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + utf8.RuneLen(c)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', byte(c))
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', hexDigits[c>>12&15], hexDigits[c>>8&15], hexDigits[c>>4&15], hexDigits[c&15])
		}
	}
	return append(append(dst, s[start:]...), '"')
}

// escaped reports whether c is written as an escape. The set is fixed, not a
// Unicode property, so that it is the same in every language and year.
func escaped(c rune) bool {
	switch {
	case c < 0x20, c == '"', c == '\\':
		return true
	case c < 0x7f:
		return false
	case c < 0xa0, c == 0x061c, c == 0xfeff: // DEL and C1; Arabic letter mark; BOM
		return true
	case 0x2028 <= c && c <= 0x202e, 0x2066 <= c && c <= 0x2069, c == 0x200e, c == 0x200f:
		return true // separators, embeddings, overrides, isolates, marks
	}
	return false
}
