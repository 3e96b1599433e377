package ir

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// tokenKind is what a token of assembly text is (RFC-MYTHOS-0012 §8.1).
type tokenKind uint8

const (
	tokEnd tokenKind = iota
	tokNewline
	tokIdent
	tokNumber // u64 or, with a sign, i64
	tokString
	tokHash
	tokPunct
)

// token is one token with the offset it starts at. text is an ident, the
// content of a string or a punctuation mark.
type token struct {
	kind   tokenKind
	at     int
	text   string
	number uint64
	signed bool // the number had a sign
	minus  bool
	hash   cid.Hash
}

// describe says what a token is in a message.
func (t token) describe() string {
	switch t.kind {
	case tokEnd:
		return "the end of the text"
	case tokNewline:
		return "the end of the line"
	case tokNumber:
		return "a number"
	case tokString:
		return "a string"
	case tokHash:
		return "a hash"
	}
	return strconv.Quote(clip(t.text))
}

const maxIdent = 128

// lexer cuts text into tokens. It stops at the first error.
type lexer struct {
	src string
	pos int
	err *fault.Error
}

// fail records the first error, with its line and column.
func (l *lexer) fail(code fault.Code, at int, format string, args ...any) {
	if l.err == nil {
		l.err = fault.New(code, format, args...).About(position(l.src, at))
	}
	l.pos = len(l.src)
}

// position returns LINE:COLUMN of an offset, both from 1, columns in characters.
func position(src string, at int) string {
	before := src[:min(at, len(src))]
	line := strings.LastIndexByte(before, '\n') + 1
	return strconv.Itoa(strings.Count(before, "\n")+1) + ":" + strconv.Itoa(utf8.RuneCountInString(before[line:])+1)
}

// blank steps over blanks and a comment, not over a newline.
func (l *lexer) blank() {
	for l.pos < len(l.src) {
		switch l.src[l.pos] {
		case ' ', '\t', '\r':
			l.pos++
		case ';':
			end := strings.IndexByte(l.src[l.pos:], '\n')
			if end < 0 {
				l.pos = len(l.src)
				return
			}
			l.pos += end
		default:
			return
		}
	}
}

// next returns the next token; after an error it is the end.
func (l *lexer) next() token {
	l.blank()
	t := token{at: l.pos}
	if l.pos >= len(l.src) {
		return t
	}
	rest := l.src[l.pos:]
	switch c := rest[0]; {
	case c == '\n':
		t.kind = tokNewline
		l.pos++
	case strings.HasPrefix(rest, "sha256:"):
		l.hash(&t)
	case letter(c):
		n := run(rest, func(c byte) bool { return letter(c) || digit(c) })
		t.kind, t.text = tokIdent, rest[:n]
		l.pos += n
		if n > maxIdent {
			l.fail(ErrAsmSyntax, t.at, "a name of %d bytes, at most %d", n, maxIdent)
		}
	case c == '"':
		l.str(&t)
	case digit(c), (c == '+' || c == '-') && len(rest) > 1 && digit(rest[1]):
		l.num(&t)
	default:
		l.punct(&t, rest)
	}
	if l.err != nil {
		return token{at: len(l.src)}
	}
	return t
}

func letter(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }
func digit(c byte) bool  { return '0' <= c && c <= '9' }

func hexDigit(c byte) bool { return digit(c) || 'a' <= c && c <= 'f' }

// run returns the length of the prefix of s whose bytes are all in a set.
func run(s string, in func(byte) bool) int {
	for i := range len(s) {
		if !in(s[i]) {
			return i
		}
	}
	return len(s)
}

func (l *lexer) punct(t *token, rest string) {
	for _, p := range []string{"->", "==", "!=", "<=", ">="} {
		if strings.HasPrefix(rest, p) {
			t.kind, t.text = tokPunct, p
			l.pos += 2
			return
		}
	}
	if strings.IndexByte("={}(),:?&.<>", rest[0]) >= 0 {
		t.kind, t.text = tokPunct, rest[:1]
		l.pos++
		return
	}
	r, _ := utf8.DecodeRuneInString(rest)
	l.fail(ErrAsmSyntax, t.at, "the character %q has no meaning here", r)
}

func (l *lexer) hash(t *token) {
	rest := l.src[l.pos:]
	n := len("sha256:") + run(rest[len("sha256:"):], func(c byte) bool { return letter(c) || digit(c) })
	h, err := cid.Parse(rest[:n])
	if err != nil {
		l.fail(ErrAsmSyntax, t.at, "sha256: is not followed by 64 lowercase hex digits")
		return
	}
	t.kind, t.hash = tokHash, h
	l.pos += n
}

func (l *lexer) num(t *token) {
	start := l.pos
	if c := l.src[l.pos]; c == '+' || c == '-' {
		t.signed, t.minus = true, c == '-'
		l.pos++
	}
	rest := l.src[l.pos:]
	n := run(rest, func(c byte) bool { return letter(c) || digit(c) })
	text := rest[:n]
	l.pos += n
	base := 10
	if hex, ok := strings.CutPrefix(text, "0x"); ok {
		text, base = hex, 16
	} else if strings.HasSuffix(text, "_") || strings.Contains(text, "__") {
		l.fail(ErrAsmSyntax, start, "an underscore stands only between digits")
		return
	} else {
		text = strings.ReplaceAll(text, "_", "")
	}
	if text == "" || run(text, func(c byte) bool { return digit(c) || base == 16 && hexDigit(c|0x20) }) != len(text) {
		l.fail(ErrAsmSyntax, start, "%q is not a number", clip(rest[:n]))
		return
	}
	v, err := strconv.ParseUint(text, base, 64)
	if err != nil || t.signed && v > 1<<63 || t.signed && !t.minus && v == 1<<63 {
		l.fail(ErrAsmRange, start, "%s does not fit 64 bits", clip(l.src[start:l.pos]))
		return
	}
	t.kind, t.number = tokNumber, v
}

// i64 returns the value of a signed number token.
func (t token) i64() int64 {
	if t.minus {
		return -int64(t.number)
	}
	return int64(t.number)
}

// str reads a JSON string.
func (l *lexer) str(t *token) {
	var b strings.Builder
	for i := l.pos + 1; i < len(l.src); {
		switch c := l.src[i]; {
		case c == '"':
			t.kind, t.text = tokString, b.String()
			l.pos = i + 1
			return
		case c < 0x20:
			l.fail(ErrAsmSyntax, i, "a control character inside a string; write \\n or \\u00%02x", c)
			return
		case c == '\\':
			r, n := unescape(l.src[i:])
			if n == 0 {
				l.fail(ErrAsmSyntax, i, "an escape that JSON does not have")
				return
			}
			b.WriteRune(r)
			i += n
		default:
			b.WriteByte(c)
			i++
		}
	}
	l.fail(ErrAsmSyntax, t.at, "a string without its closing quote")
}

// unescape reads the escape at the start of s and returns its length, 0 if it
// is none. A surrogate counts only as one of a pair.
func unescape(s string) (rune, int) {
	if len(s) < 2 {
		return 0, 0
	}
	if i := strings.IndexByte(`"\/bfnrt`, s[1]); i >= 0 {
		return rune("\"\\/\b\f\n\r\t"[i]), 2
	}
	r, ok := unicodeEscape(s)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	low, ok := unicodeEscape(s[6:])
	if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
		return 0, 0
	}
	return r, 12
}

func unicodeEscape(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	v, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(v), err == nil && letterOrDigits(s[2:6])
}

// letterOrDigits keeps out the signs and underscores that ParseUint may take.
func letterOrDigits(s string) bool {
	return run(s, func(c byte) bool { return digit(c) || hexDigit(c|0x20) }) == len(s)
}

// appendQuoted appends s as a JSON string.
func appendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c < 0x20 || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// suggest returns `; did you mean "x"?` for the name nearest to a wrong one,
// or nothing if none is near.
func suggest(wrong string, names []string) string {
	best, near := "", 1+min(2, len(wrong)/2)
	for _, n := range slices.Sorted(slices.Values(names)) {
		if d := distance(wrong, n); d < near {
			best, near = n, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + strconv.Quote(best) + "?"
}

// distance is the Levenshtein distance, as far as it is below 3.
func distance(a, b string) int {
	if d := len(a) - len(b); d > 2 || d < -2 || len(a) > maxIdent {
		return 3
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
