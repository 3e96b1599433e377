package can

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// The codes of text that is not a JSON view (RFC-MYTHOS-0001 §6). Their
// offsets count bytes of the text.
const (
	ErrJSONSyntax    fault.Code = "json_syntax"    // not JSON
	ErrJSONNumber    fault.Code = "json_number"    // a fraction, an exponent, -0, a leading zero or beyond 2^53-1
	ErrJSONText      fault.Code = "json_text"      // invalid UTF-8, a lone surrogate or a byte order mark
	ErrJSONDuplicate fault.Code = "json_duplicate" // a member name or a $map key that stands twice
	ErrJSONTyped     fault.Code = "json_typed"     // a "$" member that is unknown, not alone or not of its form
	ErrJSONDepth     fault.Code = "json_depth"     // more than MaxDepth containers
	ErrJSONTrailing  fault.Code = "json_trailing"  // something after the value
)

// FromJSON returns the canonical bytes of the value that text is the JSON view
// of. The caller bounds text; work and memory are linear in it, times the
// depth.
func FromJSON(text []byte) ([]byte, error) {
	p := jsonReader{text: text, out: make([]byte, 0, len(text))}
	if bytes.HasPrefix(text, []byte("\ufeff")) {
		p.fail(ErrJSONText, 0, "the text begins with a byte order mark")
	}
	p.value(0)
	if p.space(); p.err == nil && p.at < len(text) {
		p.fail(ErrJSONTrailing, p.at, "%d bytes after the value", len(text)-p.at)
	}
	if p.err != nil {
		return nil, p.err
	}
	return p.out, nil
}

// jsonReader is a cursor over JSON text that appends canonical bytes to out.
// Like Reader it remembers its first error; after it, next returns 0, which no
// construct accepts.
type jsonReader struct {
	text []byte
	at   int
	out  []byte
	err  *fault.Error
}

func (p *jsonReader) fail(code fault.Code, at int, format string, args ...any) {
	if p.err == nil {
		p.err = fault.At(code, at, format, args...)
	}
	p.at = len(p.text)
}

// space steps over white space.
func (p *jsonReader) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// next steps over white space and returns the byte there, or 0 at the end.
func (p *jsonReader) next() byte {
	p.space()
	if p.at >= len(p.text) {
		return 0
	}
	return p.text[p.at]
}

// take consumes c after white space, if it is there.
func (p *jsonReader) take(c byte) bool {
	if p.next() != c {
		return false
	}
	p.at++
	return true
}

// want consumes c after white space, or fails.
func (p *jsonReader) want(c byte) {
	if !p.take(c) {
		p.syntax(strconv.QuoteRune(rune(c)))
	}
}

// syntax fails at the cursor because want is not there.
func (p *jsonReader) syntax(want string) {
	if p.at >= len(p.text) {
		p.fail(ErrJSONSyntax, p.at, "the text ends where %s is due", want)
		return
	}
	p.fail(ErrJSONSyntax, p.at, "got %q, want %s", p.text[p.at], want)
}

// value reads one value inside depth containers.
func (p *jsonReader) value(depth int) {
	c := p.next()
	switch {
	case c == '"':
		p.out = AppendText(p.out, p.quoted())
	case c == '-' || '0' <= c && c <= '9':
		p.number()
	case c == '{':
		p.object(depth)
	case c == '[':
		p.list(depth)
	case p.literal("null"):
		p.out = AppendNull(p.out)
	case p.literal("true"):
		p.out = AppendBool(p.out, true)
	case p.literal("false"):
		p.out = AppendBool(p.out, false)
	default:
		p.syntax("a value")
	}
}

func (p *jsonReader) literal(word string) bool {
	if !bytes.HasPrefix(p.text[p.at:], []byte(word)) {
		return false
	}
	p.at += len(word)
	return true
}

// number reads an integer; a sign makes it an IVARINT.
func (p *jsonReader) number() {
	at := p.at
	for p.at < len(p.text) && bytes.IndexByte([]byte("+-.0123456789eE"), p.text[p.at]) >= 0 {
		p.at++
	}
	word := string(p.text[at:p.at])
	v, err := strconv.ParseInt(word, 10, 64)
	if err != nil || strconv.FormatInt(v, 10) != word || v < -maxNumber || v > maxNumber {
		p.fail(ErrJSONNumber, at, "%s is not an integer from -(2^53-1) to 2^53-1 in plain digits", clip(word))
		return
	}
	if v < 0 {
		p.out = AppendInt(p.out, v)
	} else {
		p.out = AppendUint(p.out, uint64(v))
	}
}

// clip shortens text that a message quotes.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

// enter checks that the container that begins at offset at may open inside
// depth others.
func (p *jsonReader) enter(depth, at int) {
	if depth >= MaxDepth {
		p.fail(ErrJSONDepth, at, "more than %d containers open", MaxDepth)
	}
}

func (p *jsonReader) list(depth int) {
	p.enter(depth, p.at)
	p.want('[')
	start, n := len(p.out), 0
	for more := !p.take(']'); more && p.err == nil; more = p.another(']') {
		p.value(depth + 1)
		n++
	}
	p.out = slices.Insert(p.out, start, AppendList(nil, n)...)
}

// another consumes the comma before the next item, or end after the last one.
func (p *jsonReader) another(end byte) bool {
	if p.take(',') {
		return true
	}
	if !p.take(end) {
		p.syntax("',' or " + strconv.QuoteRune(rune(end)))
	}
	return false
}

// object reads a MAP with plain TEXT keys, or one of the four typed forms.
func (p *jsonReader) object(depth int) {
	at := p.at
	p.want('{')
	if p.take('}') {
		p.enter(depth, at)
		p.out = AppendMap(p.out, 0)
		return
	}
	nameAt, name := p.name()
	if isTyped(name) {
		p.typed(depth, at, nameAt, name)
		return
	}
	p.enter(depth, at)
	m := mapBuilder{start: len(p.out)}
	for more := true; more && p.err == nil; {
		if isTyped(name) {
			p.fail(ErrJSONTyped, nameAt, "member %q is not alone in its object", clip(name))
			return
		}
		m.key(p, nameAt)
		p.out = AppendText(p.out, name)
		m.value(p)
		p.want(':')
		p.value(depth + 1)
		m.end(p)
		if more = p.another('}'); more {
			nameAt, name = p.name()
		}
	}
	m.close(p)
}

// name reads a member name and returns where it began.
func (p *jsonReader) name() (int, string) {
	if p.next() != '"' {
		p.syntax("a member name")
	}
	at := p.at
	return at, p.quoted()
}

func isTyped(name string) bool { return len(name) > 0 && name[0] == '$' }

// typed reads what follows the name of a typed form up to its closing brace.
func (p *jsonReader) typed(depth, at, nameAt int, name string) {
	p.want(':')
	c := p.next()
	valueAt := p.at
	switch {
	case p.err != nil:
		return
	case name == "$map":
		p.enter(depth, at)
		p.pairs(depth)
	case name != "$u64" && name != "$i64" && name != "$bytes":
		p.fail(ErrJSONTyped, nameAt, "%q is none of $u64, $i64, $bytes and $map", clip(name))
	case c != '"':
		p.fail(ErrJSONTyped, valueAt, "%s takes a string", name)
	default:
		p.scalar(name, valueAt, p.quoted())
	}
	if p.err == nil && p.next() == ',' {
		p.fail(ErrJSONTyped, nameAt, "member %q is not alone in its object", name)
	}
	p.want('}')
}

// scalar appends the value of a $u64, $i64 or $bytes form.
func (p *jsonReader) scalar(name string, at int, s string) {
	if p.err != nil {
		return
	}
	switch name {
	case "$u64":
		if v, err := strconv.ParseUint(s, 10, 64); err == nil && strconv.FormatUint(v, 10) == s {
			p.out = AppendUint(p.out, v)
			return
		}
		p.fail(ErrJSONTyped, at, "%q is not a decimal number from 0 to 2^64-1", clip(s))
	case "$i64":
		if v, err := strconv.ParseInt(s, 10, 64); err == nil && strconv.FormatInt(v, 10) == s {
			p.out = AppendInt(p.out, v)
			return
		}
		p.fail(ErrJSONTyped, at, "%q is not a decimal number from -2^63 to 2^63-1", clip(s))
	default:
		b, err := hex.DecodeString(s)
		if err != nil || hex.EncodeToString(b) != s {
			p.fail(ErrJSONTyped, at, "$bytes takes an even number of lowercase hex digits")
			return
		}
		p.out = AppendBytes(p.out, b)
	}
}

// pairs reads the array behind $map.
func (p *jsonReader) pairs(depth int) {
	if p.next() != '[' {
		p.fail(ErrJSONTyped, p.at, "$map takes an array of pairs")
		return
	}
	p.want('[')
	m := mapBuilder{start: len(p.out)}
	for more := !p.take(']'); more && p.err == nil; more = p.another(']') {
		if p.next() != '[' {
			p.fail(ErrJSONTyped, p.at, "$map takes pairs of a key and a value")
			return
		}
		p.want('[')
		p.space()
		m.key(p, p.at)
		p.value(depth + 1)
		m.value(p)
		p.want(',')
		p.value(depth + 1)
		m.end(p)
		p.want(']')
	}
	m.close(p)
}

// pair is one entry of a MAP: where its key stands in the text, and where its
// key and value stand in the output.
type pair struct{ text, key, value, end int }

// mapBuilder collects the entries of one MAP behind out[start:] in the order
// of the text, and puts them in canonical order at the end.
type mapBuilder struct {
	start int
	pairs []pair
}

func (m *mapBuilder) key(p *jsonReader, text int) {
	m.pairs = append(m.pairs, pair{text: text, key: len(p.out)})
}
func (m *mapBuilder) value(p *jsonReader) { m.pairs[len(m.pairs)-1].value = len(p.out) }
func (m *mapBuilder) end(p *jsonReader)   { m.pairs[len(m.pairs)-1].end = len(p.out) }

// close sorts the entries, refuses equal keys and writes the MAP. Of several
// repeated keys, the first to repeat is the one named.
func (m *mapBuilder) close(p *jsonReader) {
	if p.err != nil {
		return
	}
	key := func(x pair) []byte { return p.out[x.key:x.value] }
	slices.SortFunc(m.pairs, func(x, y pair) int {
		return cmp.Or(bytes.Compare(key(x), key(y)), cmp.Compare(x.text, y.text))
	})
	twice := -1
	for i, x := range m.pairs {
		if i > 0 && bytes.Equal(key(m.pairs[i-1]), key(x)) && (twice < 0 || x.text < twice) {
			twice = x.text
		}
	}
	if twice >= 0 {
		p.fail(ErrJSONDuplicate, twice, "this key stands in its object before")
		return
	}
	sorted := AppendMap(make([]byte, 0, len(p.out)-m.start+10), len(m.pairs))
	for _, x := range m.pairs {
		sorted = append(sorted, p.out[x.key:x.end]...)
	}
	p.out = append(p.out[:m.start], sorted...)
}

// quoted reads a string. Text between escapes is copied as it stands.
func (p *jsonReader) quoted() string {
	p.want('"')
	var s []byte
	for start := p.at; p.err == nil; {
		switch c := p.peek(); {
		case c == '"' || c == '\\':
			if !p.checkUTF8(start) {
				return ""
			}
			s = append(s, p.text[start:p.at]...)
			p.at++
			if c == '"' {
				return string(s)
			}
			s = p.escape(s)
			start = p.at
		case c >= 0x20:
			p.at++
		default:
			if p.checkUTF8(start) {
				p.control(c)
			}
		}
	}
	return ""
}

// control fails at a control character in a string, or at the end of the text.
func (p *jsonReader) control(c byte) {
	if p.at >= len(p.text) {
		p.syntax(`'"'`)
		return
	}
	p.fail(ErrJSONSyntax, p.at, "control character %#02x in a string", c)
}

// peek returns the byte at the cursor, or 0 at the end.
func (p *jsonReader) peek() byte {
	if p.at >= len(p.text) {
		return 0
	}
	return p.text[p.at]
}

// checkUTF8 fails at the first byte of text[start:at] that is not part of
// valid UTF-8, and reports whether there was none.
func (p *jsonReader) checkUTF8(start int) bool {
	for i := start; i < p.at; {
		r, size := utf8.DecodeRune(p.text[i:p.at])
		if r == utf8.RuneError && size == 1 {
			p.fail(ErrJSONText, i, "the text is not valid UTF-8")
			return false
		}
		i += size
	}
	return true
}

// escape appends what the escape behind a backslash stands for.
func (p *jsonReader) escape(s []byte) []byte {
	const names, values = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	at := p.at - 1
	c := p.peek()
	if i := strings.IndexByte(names, c); i >= 0 {
		p.at++
		return append(s, values[i])
	}
	if c != 'u' {
		p.fail(ErrJSONSyntax, at, "not an escape of JSON")
		return s
	}
	p.at++
	r := p.hex4(at)
	if !utf16.IsSurrogate(r) {
		return utf8.AppendRune(s, r)
	}
	low := rune(0)
	if bytes.HasPrefix(p.text[p.at:], []byte(`\u`)) {
		p.at += 2
		low = p.hex4(p.at - 2)
	}
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		p.fail(ErrJSONText, at, "a lone surrogate")
	}
	return utf8.AppendRune(s, r)
}

// hex4 reads four hex digits; at is where the escape began.
func (p *jsonReader) hex4(at int) rune {
	var b [2]byte
	if len(p.text)-p.at < 4 {
		p.fail(ErrJSONSyntax, at, "an escape needs four hex digits")
		return 0
	}
	if _, err := hex.Decode(b[:], p.text[p.at:p.at+4]); err != nil {
		p.fail(ErrJSONSyntax, at, "an escape needs four hex digits")
		return 0
	}
	p.at += 4
	return rune(b[0])<<8 | rune(b[1])
}
