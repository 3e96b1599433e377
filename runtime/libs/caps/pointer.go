package caps

import (
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/can"
)

// splitPointer reads a JSON pointer (RFC 6901) into its tokens.
func splitPointer(p string) ([]string, bool) {
	if p == "" {
		return nil, true
	}
	if p[0] != '/' {
		return nil, false
	}
	tokens := strings.Split(p[1:], "/")
	for i, t := range tokens {
		if !strings.Contains(t, "~") {
			continue
		}
		plain := strings.NewReplacer("~0", "", "~1", "").Replace(t)
		if strings.Contains(plain, "~") {
			return nil, false
		}
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(t, "~1", "/"), "~0", "~")
	}
	return tokens, true
}

// probe looks for the value at one pointer.
type probe struct {
	tokens []string
	value  []byte // nil: missing
	denied bool   // a MAP on the way has the token as TEXT and as UVARINT
}

// resolve returns the canonical values that the payload has at the pointers, nil
// for what is missing or ambiguous. It walks the payload once, however many pointers
// there are, because both come from outside.
func resolve(payload []byte, pointers [][]string) [][]byte {
	if len(pointers) == 0 {
		return nil
	}
	probes, all := make([]probe, len(pointers)), make([]*probe, len(pointers))
	for i, tokens := range pointers {
		probes[i].tokens = tokens
		all[i] = &probes[i]
	}
	w := walker{payload: payload, r: can.NewReader(payload)}
	w.walk(all, 0)
	if w.r.Done() != nil {
		return nil
	}
	found := make([][]byte, len(probes))
	for i := range probes {
		if !probes[i].denied {
			found[i] = probes[i].value
		}
	}
	return found
}

// ambiguous reports whether a pointer leads to two values of the payload.
func ambiguous(payload []byte, tokens []string) bool {
	p := probe{tokens: tokens}
	w := walker{payload: payload, r: can.NewReader(payload)}
	w.walk([]*probe{&p}, 0)
	return p.denied && w.r.Done() == nil
}

type walker struct {
	payload []byte
	r       can.Reader
}

// branch is the probes that take the same way out of a container.
type branch struct {
	token    string
	number   uint64 // that the token is, if isNumber
	isNumber bool
	probes   []*probe
	taken    bool
}

// walk reads one value that the first used tokens of every probe lead to.
func (w *walker) walk(probes []*probe, used int) {
	start := w.r.Pos()
	deeper := probes
	if !allDeeper(probes, used) {
		deeper = slices.Clone(probes)
		deeper = slices.DeleteFunc(deeper, func(p *probe) bool { return len(p.tokens) == used })
	}
	tag, _ := w.r.Kind()
	switch {
	case len(deeper) > 0 && tag == can.Map:
		w.walkMap(deeper, used)
	case len(deeper) > 0 && tag == can.List:
		w.walkList(deeper, used)
	default:
		w.r.Skip()
	}
	for _, p := range probes {
		if len(p.tokens) == used && w.r.OK() {
			p.value = w.payload[start:w.r.Pos()]
		}
	}
}

func allDeeper(probes []*probe, used int) bool {
	for _, p := range probes {
		if len(p.tokens) == used {
			return false
		}
	}
	return true
}

func (w *walker) walkMap(probes []*probe, used int) {
	var f fork
	f.split(probes, used)
	var keys can.Keys
	for n := w.r.MapHead(); n > 0 && w.r.OK(); n-- {
		at := w.r.Pos()
		var b *branch
		switch tag, _ := w.r.Kind(); tag {
		case can.Text:
			b = f.text(w.r.Text())
		case can.Uint:
			b = f.number(w.r.Uint())
		default:
			w.r.Skip()
		}
		keys.Check(&w.r, at)
		w.take(b, used)
	}
	w.r.EndMap()
}

func (w *walker) walkList(probes []*probe, used int) {
	var f fork
	f.split(probes, used)
	n := uint64(w.r.List())
	for i := uint64(0); i < n && w.r.OK(); i++ {
		w.take(f.number(i), used)
	}
	w.r.EndList()
}

// fork groups probes by their next token: under its text, and under the number that
// it is in canonical decimal. A few branches are looked through one by one; only more
// of them are worth maps.
type fork struct {
	few     [4]branch
	n       int
	texts   map[string]*branch
	numbers map[uint64]*branch
}

func (f *fork) split(probes []*probe, used int) {
	for _, p := range probes {
		token := p.tokens[used]
		b := f.text(token)
		if b == nil {
			b = f.add(token)
		}
		b.probes = append(b.probes, p)
	}
}

// add makes the branch of a token that has none yet.
func (f *fork) add(token string) *branch {
	b := branch{token: token}
	if token != "" && token[0] >= '0' && token[0] <= '9' {
		b.number, b.isNumber = decimal(token)
	}
	if f.n < len(f.few) && f.texts == nil {
		f.few[f.n] = b
		f.n++
		return &f.few[f.n-1]
	}
	if f.texts == nil {
		f.texts, f.numbers = map[string]*branch{}, map[uint64]*branch{}
		for i := range f.few {
			f.file(&f.few[i])
		}
	}
	return f.file(&b)
}

// file puts a branch into the maps.
func (f *fork) file(b *branch) *branch {
	f.texts[b.token] = b
	if b.isNumber {
		f.numbers[b.number] = b
	}
	return b
}

// text returns the branch of a token, nil if there is none.
func (f *fork) text(token string) *branch {
	if f.texts != nil {
		return f.texts[token]
	}
	for i := range f.n {
		if f.few[i].token == token {
			return &f.few[i]
		}
	}
	return nil
}

// number returns the branch of a token that is this number, nil if there is none.
func (f *fork) number(n uint64) *branch {
	if f.texts != nil {
		return f.numbers[n]
	}
	for i := range f.n {
		if f.few[i].isNumber && f.few[i].number == n {
			return &f.few[i]
		}
	}
	return nil
}

// take reads the next value, for the probes of b if there are any. A branch
// that is taken twice is ambiguous and denies.
func (w *walker) take(b *branch, used int) {
	switch {
	case b == nil:
		w.r.Skip()
	case b.taken:
		for _, p := range b.probes {
			p.denied = true
		}
		w.r.Skip()
	default:
		b.taken = true
		w.walk(b.probes, used+1)
	}
}
