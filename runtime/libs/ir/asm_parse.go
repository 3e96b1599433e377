package ir

import (
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// parser turns tokens into a fileDecl. It looks one token ahead; inside
// brackets, where depth is not zero, newlines are white space.
type parser struct {
	lexer
	ahead *token
	open  int
	file  fileDecl
}

func (p *parser) peek() token {
	for p.ahead == nil || p.open > 0 && p.ahead.kind == tokNewline {
		t := p.next()
		p.ahead = &t
	}
	return *p.ahead
}

func (p *parser) take() token {
	t := p.peek()
	p.ahead = nil
	return t
}

func (p *parser) ok() bool { return p.err == nil }

// reject fails at a token that is not what was wanted.
func (p *parser) reject(t token, want string) {
	p.fail(ErrAsmSyntax, t.at, "expected %s, got %s", want, t.describe())
}

func (p *parser) is(text string) bool {
	t := p.peek()
	return (t.kind == tokPunct || t.kind == tokIdent) && t.text == text
}

// accept takes a token if it is the given mark or word.
func (p *parser) accept(text string) bool {
	if p.is(text) {
		p.take()
		return true
	}
	return false
}

func (p *parser) expect(text string) {
	if !p.accept(text) {
		p.reject(p.peek(), strconv.Quote(text))
	}
}

// inside reads what stands between two brackets, separated by commas.
func (p *parser) inside(left, right string, one func()) {
	if !p.is(left) {
		p.reject(p.peek(), strconv.Quote(left))
		return
	}
	p.open++
	p.take()
	for more := !p.is(right); more && p.ok(); {
		one()
		more = p.accept(",")
	}
	closed := p.is(right)
	p.open--
	if !closed {
		p.reject(p.peek(), `"," or `+strconv.Quote(right))
	}
	p.take()
}

func (p *parser) ident(want string) token {
	t := p.take()
	if t.kind != tokIdent {
		p.reject(t, want)
	}
	return t
}

func (p *parser) number(limit uint64, want string) uint64 {
	t := p.take()
	switch {
	case t.kind != tokNumber || t.signed:
		p.reject(t, want)
	case t.number > limit:
		p.fail(ErrAsmRange, t.at, "%s is %d, at most %d", want, t.number, limit)
	}
	return t.number
}

// parse reads a whole file.
func parse(src string) (*fileDecl, error) {
	p := &parser{lexer: lexer{src: src}}
	for p.ok() && p.peek().kind != tokEnd {
		if p.peek().kind == tokNewline {
			p.take()
			continue
		}
		p.item()
		if t := p.take(); p.ok() && t.kind != tokNewline && t.kind != tokEnd {
			p.reject(t, "the end of the line")
		}
	}
	if p.err != nil {
		return nil, p.err
	}
	return &p.file, nil
}

// itemWords begin an item.
func itemWords() []string {
	return []string{"author", "type", "const", "node", "contract", "tool", "func", "code", "task"}
}

func (p *parser) item() {
	t := p.take()
	switch t.text {
	case "author":
		p.author(t)
	case "type":
		p.typeItem()
	case "const":
		p.constItem()
	case "node":
		p.nodeItem()
	case "contract":
		p.contractItem()
	case "tool":
		p.toolItem()
	case "func":
		p.funcItem(t, false)
	case "code":
		p.funcItem(t, true)
	case "task":
		p.taskItem()
	default:
		p.fail(ErrAsmSyntax, t.at, "expected an item (%s), got %s%s", strings.Join(itemWords(), ", "), t.describe(), suggest(t.text, itemWords()))
	}
}

// title reads the name of an item and, where they are allowed, the string that
// replaces it in the bundle.
func (p *parser) title(what string, strings bool) title {
	t := p.ident("a name for the " + what)
	out := title{name: t.text, at: t.at, title: t.text}
	if p.ok() && reservedName(t.text) {
		p.fail(ErrAsmName, t.at, "the name %q is taken by the language", t.text)
	}
	if strings && p.peek().kind == tokString {
		out.title = p.take().text
	}
	return out
}

// reservedName reports names that cannot be given away.
func reservedName(s string) bool {
	if s == "self" || s == "type" {
		return true
	}
	if _, ok := builtinIndex(s); ok {
		return true
	}
	_, ok := register(s)
	return ok
}

func builtinIndex(name string) (int32, bool) {
	for i, n := range builtinNames() {
		if n == name {
			return int32(i), true
		}
	}
	return 0, false
}

// register reads r0 to r255.
func register(s string) (uint64, bool) {
	digits, ok := strings.CutPrefix(s, "r")
	if !ok || digits == "" || len(digits) > 3 || digits[0] == '0' && len(digits) > 1 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 8)
	return n, err == nil
}

func (p *parser) author(t token) {
	p.blank()
	at := p.pos
	n := run(p.src[at:], hexDigit)
	key, err := cid.Parse("sha256:" + p.src[at:at+n])
	if err != nil {
		p.fail(ErrAsmSyntax, at, "expected a key of 64 lowercase hex digits")
		return
	}
	if p.file.author != nil {
		p.fail(ErrAsmName, t.at, "the author is named twice")
		return
	}
	p.pos += n
	p.file.author = (*[32]byte)(&key)
	if p.peek().kind == tokString {
		s := p.take()
		if p.file.hint = s.text; s.text == "" {
			p.fail(ErrAsmSyntax, s.at, "an empty hint; leave it out")
		}
	}
}

func (p *parser) typeItem() {
	d := typeDecl{title: p.title("type", true)}
	p.expect("=")
	switch t := p.take(); t.text {
	case "record":
		d.record = true
		p.inside("{", "}", func() { d.fields = append(d.fields, p.field()) })
	case "enum":
		p.inside("{", "}", func() {
			t := p.take()
			if t.kind != tokIdent && t.kind != tokString {
				p.reject(t, "a tag")
			}
			d.tags = append(d.tags, t.text)
		})
	default:
		p.reject(t, `"record" or "enum"`)
	}
	p.file.types = append(p.file.types, d)
}

func (p *parser) field() fieldDecl {
	f := fieldDecl{id: uint32(p.number(1<<32-1, "a field id")), required: true}
	switch t := p.peek(); {
	case t.kind == tokIdent:
		f.name = p.take().text
	case t.kind == tokString:
		if f.name = p.take().text; f.name == "" {
			p.fail(ErrAsmSyntax, t.at, "an empty field name; leave it out")
		}
	}
	if p.accept("?") {
		f.required = false
	}
	p.expect(":")
	f.typ = p.typeRef()
	return f
}

// typeRef reads a type's name or hash.
func (p *parser) typeRef() ref { return p.ref("a type") }

func (p *parser) ref(want string) ref {
	t := p.take()
	switch t.kind {
	case tokIdent:
		return ref{at: t.at, name: t.text}
	case tokHash:
		return ref{at: t.at, hash: &t.hash}
	}
	p.reject(t, want)
	return ref{at: t.at}
}

func (p *parser) constItem() {
	d := constDecl{title: p.title("constant", false)}
	p.expect("=")
	kind := p.take()
	t := p.take()
	c := &d.value
	switch kind.text {
	case "i64":
		c.Kind, c.I64 = ConstI64, new(int64)
		*c.I64 = t.i64()
		if t.kind == tokNumber && !t.signed && t.number > 1<<63-1 {
			p.fail(ErrAsmRange, t.at, "%d does not fit an i64", t.number)
		}
	case "u64":
		c.Kind, c.U64 = ConstU64, &t.number
		if t.signed {
			p.reject(t, "a number without a sign")
		}
	case "text":
		c.Kind, c.Text = ConstText, t.text
	case "bytes":
		c.Kind, c.Bytes = ConstBytes, p.hexBytes(t)
	case "hash":
		c.Kind, c.Hash = ConstHash, &t.hash
	default:
		p.reject(kind, "i64, u64, text, bytes or hash")
	}
	want := map[string]tokenKind{"i64": tokNumber, "u64": tokNumber, "text": tokString, "bytes": tokString, "hash": tokHash}
	if p.ok() && t.kind != want[kind.text] {
		p.reject(t, "the value of a constant of kind "+kind.text)
	}
	p.file.consts = append(p.file.consts, d)
}

func (p *parser) hexBytes(t token) []byte {
	if len(t.text)%2 != 0 || run(t.text, hexDigit) != len(t.text) {
		p.fail(ErrAsmSyntax, t.at, "the bytes are not pairs of lowercase hex digits")
		return nil
	}
	out := make([]byte, 0, len(t.text)/2)
	for i := 0; i < len(t.text); i += 2 {
		v, _ := strconv.ParseUint(t.text[i:i+2], 16, 8)
		out = append(out, byte(v))
	}
	return out
}

func (p *parser) nodeItem() {
	d := nodeDecl{title: p.title("node", false)}
	p.expect("=")
	kind := p.take()
	switch kind.text {
	case "record":
		d.record, d.typ.name = true, "map"
	case "list":
		d.typ.name = "list"
	default:
		p.reject(kind, `"record" or "list"`)
	}
	if !p.is("{") {
		d.typ = p.typeRef()
	}
	p.inside("{", "}", func() {
		if d.record {
			d.ids = append(d.ids, uint32(p.number(1<<32-1, "a field id")))
			p.expect(":")
		}
		d.values = append(d.values, p.argument())
	})
	p.file.nodes = append(p.file.nodes, d)
}

func (p *parser) toolItem() {
	d := toolDecl{title: p.title("tool", false)}
	if p.expect("="); !p.ok() {
		return
	}
	p.blank()
	at := p.pos
	n := run(p.src[at:], func(c byte) bool { return letter(c) || digit(c) || strings.IndexByte("./-", c) >= 0 })
	d.title.title = p.src[at : at+n]
	p.pos += n
	p.expect("interface")
	d.iface = uint16(p.number(1<<16-1, "an interface number"))
	p.inside("(", ")", func() {
		if d.request.at != 0 {
			p.reject(p.peek(), "one request type")
		}
		d.request = p.typeRef()
	})
	if p.ok() && d.request.at == 0 {
		p.fail(ErrAsmSyntax, d.at, "the tool has no request type")
	}
	p.expect("->")
	d.response = p.typeRef()
	p.file.tools = append(p.file.tools, d)
}

// argument reads one operand.
func (p *parser) argument() argument {
	t := p.take()
	a := argument{at: t.at, text: t.text}
	switch {
	case t.kind == tokHash:
		a.form, a.hash = argHash, t.hash
	case t.kind == tokNumber && t.signed:
		a.form, a.i64 = argI64, t.i64()
	case t.kind == tokNumber:
		a.form, a.value = argU64, t.number
	case t.kind == tokPunct && t.text == "&":
		a.form, a.text = argNode, p.ident("the name of a node").text
	case t.kind != tokIdent:
		p.reject(t, "an operand")
	case t.text == "self":
		a.form = argSelf
	case t.text == "type":
		a.form, a.typ = argType, p.typeRef()
	default:
		a.form = argName
		if r, ok := register(t.text); ok {
			a.form, a.value = argReg, r
		}
	}
	return a
}

// unknown fails at a name that means nothing in its place.
func unknown(src string, at int, what, name string, names []string) error {
	return fault.New(ErrAsmName, "%s %q is not defined%s", what, clip(name), suggest(name, names)).About(position(src, at))
}
