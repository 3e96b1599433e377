package pack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of package sources.
const (
	ErrSource       fault.Code = "source_invalid"      // manifest.src.json, or what it names, breaks a rule
	ErrSourceAbsent fault.Code = "source_missing"      // no manifest.src.json, or a file that it names is not there
	ErrSecret       fault.Code = "source_secret"       // a file that looks like a private key or password
	ErrModuleBuild  fault.Code = "module_build_failed" // a module's build command failed
	ErrOutput       fault.Code = "pack_output_exists"  // something else is where the package would go
	ErrIO           fault.Code = "pack_io_failed"      // a source that cannot be read, or a result that cannot be written
)

const (
	maxSource      = 1 << 20 // bytes of manifest.src.json
	maxSourceDepth = 32
)

// jsonNode is one value of the source with its place, so that every complaint
// names a line.
type jsonNode struct {
	start, end int // bytes of the source
	value      any // nil, bool, json.Number, string, []*jsonNode or *jsonObject
}

// jsonObject keeps members in the order of the source.
type jsonObject struct{ members []jsonMember }

type jsonMember struct {
	key   string
	start int
	node  *jsonNode
}

// parseJSON reads one JSON value strictly: UTF-8, no name twice in an object,
// at most maxSourceDepth deep.
func parseJSON(raw []byte) (*jsonNode, error) {
	if len(raw) > maxSource {
		return nil, fault.New(ErrSource, "%d bytes, at most %d", len(raw), maxSource).About(sourceName)
	}
	if !utf8.Valid(raw) || bytes.HasPrefix(raw, []byte("\ufeff")) {
		return nil, fault.New(ErrSource, "not UTF-8, or with a byte order mark").About(sourceName)
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(raw, new(json.RawMessage)); errors.As(err, &syntax) {
		return nil, sourceError(raw, int(syntax.Offset)-1, "%s", syntax.Error())
	} else if err != nil {
		return nil, fault.New(ErrSource, "%w", err).About(sourceName)
	}
	p := &jsonParser{raw: raw, dec: json.NewDecoder(bytes.NewReader(raw))}
	p.dec.UseNumber()
	return p.value(0)
}

// sourceError points at a byte of the source by line and column, both from 1.
func sourceError(raw []byte, at int, format string, args ...any) error {
	at = min(max(at, 0), len(raw))
	before := raw[:at]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return fault.New(ErrSource, format, args...).About(fmt.Sprintf("%s:%d:%d", sourceName, line, column))
}

type jsonParser struct {
	raw []byte
	dec *json.Decoder
}

// token returns the next token and where it starts.
func (p *jsonParser) token() (json.Token, int, error) {
	at := int(p.dec.InputOffset())
	for at < len(p.raw) && strings.IndexByte(" \t\r\n,:", p.raw[at]) >= 0 {
		at++
	}
	t, err := p.dec.Token()
	if err != nil {
		err = sourceError(p.raw, at, "%w", err)
	}
	return t, at, err
}

func (p *jsonParser) value(depth int) (*jsonNode, error) {
	t, at, err := p.token()
	if err != nil {
		return nil, err
	}
	n := &jsonNode{start: at, value: t}
	if s, ok := t.(string); ok && strings.ContainsRune(s, utf8.RuneError) {
		return nil, sourceError(p.raw, at, "the text holds a lone surrogate or U+FFFD, which stands for one")
	}
	if d, ok := t.(json.Delim); ok {
		if depth == maxSourceDepth {
			return nil, sourceError(p.raw, at, "more than %d levels", maxSourceDepth)
		}
		if n.value, err = p.container(d, depth+1); err != nil {
			return nil, err
		}
	}
	n.end = int(p.dec.InputOffset())
	return n, nil
}

func (p *jsonParser) container(d json.Delim, depth int) (any, error) {
	if d == '[' {
		list := []*jsonNode{}
		for p.dec.More() {
			n, err := p.value(depth)
			if err != nil {
				return nil, err
			}
			list = append(list, n)
		}
		_, _, err := p.token()
		return list, err
	}
	obj, seen := &jsonObject{}, map[string]bool{}
	for p.dec.More() {
		t, at, err := p.token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string)
		if seen[key] {
			return nil, sourceError(p.raw, at, "the key %s stands twice", strconv.Quote(key))
		}
		seen[key] = true
		n, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		obj.members = append(obj.members, jsonMember{key, at, n})
	}
	_, _, err := p.token()
	return obj, err
}

// fields reads a source and remembers its first error, so that a reader of
// many keys asks once.
type fields struct {
	raw []byte
	err error
}

func (f *fields) fail(n *jsonNode, format string, args ...any) {
	if f.err == nil {
		f.err = sourceError(f.raw, n.start, format, args...)
	}
}

// object returns n's members by key. Any key that is not known is an error with
// the nearest known one; the required come first and must be there.
func (f *fields) object(n *jsonNode, what string, required, optional []string) map[string]*jsonNode {
	obj, ok := n.value.(*jsonObject)
	if !ok {
		f.fail(n, "%s: want an object", what)
		return nil
	}
	known := slices.Concat(required, optional)
	out := map[string]*jsonNode{}
	for _, m := range obj.members {
		if !slices.Contains(known, m.key) {
			f.fail(&jsonNode{start: m.start}, "%s has no key %s%s", what, strconv.Quote(m.key), suggest(m.key, known))
			return nil
		}
		out[m.key] = m.node
	}
	for _, k := range required {
		if out[k] == nil {
			f.fail(n, "%s needs the key %s", what, strconv.Quote(k))
			return nil
		}
	}
	return out
}

// pairs returns the members of an object whose keys are free, in source order.
func (f *fields) pairs(n *jsonNode, what string) []jsonMember {
	if n == nil {
		return nil
	}
	obj, ok := n.value.(*jsonObject)
	if !ok {
		f.fail(n, "%s: want an object", what)
		return nil
	}
	return obj.members
}

// text returns a text, "" for an absent key.
func (f *fields) text(n *jsonNode, what string) string {
	if n == nil {
		return ""
	}
	s, ok := n.value.(string)
	if !ok {
		f.fail(n, "%s: want a text", what)
	}
	return s
}

// filled is text that may be left out but not be empty.
func (f *fields) filled(n *jsonNode, what string) string {
	s := f.text(n, what)
	if n != nil && s == "" {
		f.fail(n, "%s: the text is empty; leave the key out", what)
	}
	return s
}

// list returns the items of a list, nil for an absent key.
func (f *fields) list(n *jsonNode, what string) []*jsonNode {
	if n == nil {
		return nil
	}
	list, ok := n.value.([]*jsonNode)
	if !ok {
		f.fail(n, "%s: want a list", what)
	}
	return list
}

// texts returns a list of text; a single text counts as a list of one where
// that is allowed.
func (f *fields) texts(n *jsonNode, what string, single bool) []string {
	if n == nil {
		return nil
	}
	if s, ok := n.value.(string); ok && single {
		return []string{s}
	}
	out := []string{}
	for _, item := range f.list(n, what) {
		out = append(out, f.text(item, what))
	}
	return out
}

// flag returns a truth value, false for an absent key.
func (f *fields) flag(n *jsonNode, what string) bool {
	if n == nil {
		return false
	}
	b, ok := n.value.(bool)
	if !ok {
		f.fail(n, "%s: want true or false", what)
	}
	return b
}

// number returns a whole number of at most limit, or absent's value.
func (f *fields) number(n *jsonNode, what string, limit, absent uint64) uint64 {
	if n == nil {
		return absent
	}
	digits, ok := n.value.(json.Number)
	v, err := strconv.ParseUint(string(digits), 10, 64)
	if !ok || err != nil || v > limit {
		f.fail(n, "%s: want a whole number, 0 to %d", what, limit)
	}
	return v
}

// oneOf returns the place of a text in names, or absent.
func (f *fields) oneOf(n *jsonNode, what string, names []string, absent int) int {
	if n == nil {
		return absent
	}
	s := f.text(n, what)
	i := slices.Index(names, s)
	if i < 0 {
		f.fail(n, "%s: %s is not one of %s%s", what, strconv.Quote(s), strings.Join(names, ", "), suggest(s, names))
		return absent
	}
	return i
}

// suggest names the known word that is nearest to an unknown one, if any is
// near.
func suggest(word string, known []string) string {
	best, at := 1+(min(len(word), 64)+1)/2, ""
	for _, k := range known {
		if d := distance(strings.ToLower(word), k); d < best {
			best, at = d, k
		}
	}
	if at == "" {
		return ""
	}
	return "; did you mean " + strconv.Quote(at) + "?"
}

// distance counts the insertions, deletions and substitutions of bytes between
// two words; long ones are cut.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j]+1, row[j+1]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
