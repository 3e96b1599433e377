package caps

import (
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

// resolve returns the canonical values that the payload has at the pointers;
// what is missing or ambiguous is left out. It walks the payload once, however
// many pointers there are, because both come from outside.
func resolve(payload []byte, pointers []string) map[string][]byte {
	probes := make(map[string]*probe, len(pointers))
	var all []*probe
	for _, p := range pointers {
		if tokens, ok := splitPointer(p); ok && probes[p] == nil {
			probes[p] = &probe{tokens: tokens}
			all = append(all, probes[p])
		}
	}
	if len(all) == 0 {
		return nil
	}
	w := walker{payload: payload, r: can.NewReader(payload)}
	w.walk(all, 0)
	if w.r.Done() != nil {
		return nil
	}
	found := make(map[string][]byte, len(probes))
	for p, x := range probes {
		if x.value != nil && !x.denied {
			found[p] = x.value
		}
	}
	return found
}

type walker struct {
	payload []byte
	r       can.Reader
}

// branch is the probes that take the same way out of a container.
type branch struct {
	probes []*probe
	taken  bool
}

// walk reads one value that the first used tokens of every probe lead to.
func (w *walker) walk(probes []*probe, used int) {
	start := w.r.Pos()
	var deeper []*probe
	for _, p := range probes {
		if len(p.tokens) > used {
			deeper = append(deeper, p)
		}
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

func (w *walker) walkMap(probes []*probe, used int) {
	texts, numbers := branches(probes, used)
	var keys can.Keys
	for n := w.r.MapHead(); n > 0 && w.r.OK(); n-- {
		at := w.r.Pos()
		var b *branch
		switch tag, _ := w.r.Kind(); tag {
		case can.Text:
			b = texts[w.r.Text()]
		case can.Uint:
			b = numbers[w.r.Uint()]
		default:
			w.r.Skip()
		}
		keys.Check(&w.r, at)
		w.take(b, used)
	}
	w.r.EndMap()
}

func (w *walker) walkList(probes []*probe, used int) {
	_, numbers := branches(probes, used)
	n := uint64(w.r.List())
	for i := uint64(0); i < n && w.r.OK(); i++ {
		w.take(numbers[i], used)
	}
	w.r.EndList()
}

// branches groups probes by their next token: under its text, and under the
// number that it is in canonical decimal.
func branches(probes []*probe, used int) (texts map[string]*branch, numbers map[uint64]*branch) {
	texts, numbers = map[string]*branch{}, map[uint64]*branch{}
	for _, p := range probes {
		token := p.tokens[used]
		b := texts[token]
		if b == nil {
			b = &branch{}
			texts[token] = b
			if n, ok := decimal(token); ok {
				numbers[n] = b
			}
		}
		b.probes = append(b.probes, p)
	}
	return texts, numbers
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
