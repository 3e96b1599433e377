package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// maxMutation is how many vectors a negative's mutation may have in one suite:
// more would be padding.
const maxMutation = 10

// in and out are the members of an op's input and output. []byte becomes a
// string of hexadecimal digits, and what (*pack).file returns a file.
type (
	in  = map[string]any
	out = map[string]any
)

// pack collects suites and vectors, in the order in which they are made.
type pack struct {
	impl    conformance.Impl
	suites  []*suite
	vectors []vector
	flags   map[string]string
	keys    map[string]string // key files by path
	errs    []error
}

// suite is one suite; spec and level are those of the vectors that follow.
type suite struct {
	conformance.Suite
	p     *pack
	spec  string
	level int
	count map[string]int // vectors by what they are about
}

// vector is one vector with the files beside it.
type vector struct {
	entry conformance.Entry
	body  conformance.Vector
	extra map[string][]byte // by name
}

// extraFile stands in an input for a file of its own.
type extraFile struct {
	name string
	data []byte
}

func newPack(impl conformance.Impl) *pack {
	return &pack{impl: impl, flags: map[string]string{}, keys: map[string]string{}}
}

// suite begins a suite.
func (p *pack) suite(name, spec, doc string) *suite {
	s := &suite{Suite: conformance.Suite{Name: name, Spec: spec, Doc: doc}, p: p, spec: spec, count: map[string]int{}}
	p.suites = append(p.suites, s)
	return s
}

// flag declares a flag and why vectors with it exist.
func (s *suite) flag(name, why string) {
	if old, ok := s.p.flags[name]; ok && old != why {
		s.p.fail("flag %s has two reasons", name)
	}
	s.p.flags[name] = why
}

// file returns an input member that is kept in a file of its own, for inputs that
// would make the vector unreadable.
func (p *pack) file(name string, data []byte) extraFile { return extraFile{name, data} }

func (p *pack) fail(format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf(format, args...))
}

// valid adds a vector that must be accepted with an output. The Go
// implementation must answer so.
func (s *suite) valid(what, op, doc string, input in, output out, flags ...string) {
	s.add(what, op, doc, input, expected{output: output}, flags)
}

// computed is valid with the output that the Go implementation gives, for ids and
// roots that only computing can say.
func (s *suite) computed(what, op, doc string, input in, flags ...string) {
	s.add(what, op, doc, input, expected{fromGo: true}, flags)
}

// invalid adds a vector that must be refused with a code.
func (s *suite) invalid(what, op, doc string, input in, code string, flags ...string) {
	s.add(what, op, doc, input, expected{code: code, offset: -1}, flags)
}

// invalidAt is invalid at a byte offset.
func (s *suite) invalidAt(what, op, doc string, input in, code string, offset int, flags ...string) {
	s.add(what, op, doc, input, expected{code: code, offset: offset}, flags)
}

// refusedByGo is invalid with the code and offset that the Go implementation
// gives, where it is enough that an input is refused; other languages confirm
// the code.
func (s *suite) refusedByGo(what, op, doc string, input in, flags ...string) {
	s.add(what, op, doc, input, expected{fromGo: true, refused: true, offset: -1}, flags)
}

type expected struct {
	output  out
	fromGo  bool // take Go's output or, if refused, its code and offset
	refused bool
	code    string
	offset  int // -1: any
}

func (s *suite) add(what, op, doc string, input in, e expected, flags []string) {
	s.count[what]++
	id := fmt.Sprintf("%s-%s-%03d", s.Name, what, s.count[what])
	v := vector{extra: map[string][]byte{}}
	v.entry = conformance.Entry{ID: id, Suite: s.Name, Spec: s.spec, Level: s.level, Flags: append([]string{}, flags...)}
	v.body = conformance.Vector{ID: id, Suite: s.Name, Op: op, Doc: doc}
	asked, err := s.p.encode(plain(input, nil))
	if err == nil {
		v.body.Input, err = s.p.encode(plain(input, v.extra))
	}
	if err == nil {
		err = s.p.expect(&v, asked, e)
	}
	if err != nil {
		s.p.fail("%s: %w", id, err)
	}
	if v.entry.Result == conformance.Invalid && s.count[what] > maxMutation {
		s.p.fail("%s: more than %d of one mutation", id, maxMutation)
	}
	s.p.vectors = append(s.p.vectors, v)
}

// expect fills in what v expects and asks the Go implementation.
func (p *pack) expect(v *vector, input json.RawMessage, e expected) error {
	a, err := p.impl.Do(context.Background(), conformance.Request{ID: v.body.ID, Op: v.body.Op, Input: input})
	if err != nil {
		return err
	}
	v.entry.Result = conformance.Valid
	switch {
	case a.Unsupported:
		return fmt.Errorf("the Go implementation has no op %s", v.body.Op)
	case e.code != "":
		v.entry.Result, v.entry.Error, v.body.Expect.Error = conformance.Invalid, e.code, e.code
		if e.offset >= 0 {
			v.body.Expect.Offset = &e.offset
		}
	case e.refused:
		if a.OK || a.Error == "" {
			return errors.New("the Go implementation accepts it")
		}
		v.entry.Result, v.entry.Error, v.body.Expect.Error, v.body.Expect.Offset = conformance.Invalid, a.Error, a.Error, a.Offset
	case e.fromGo:
		v.body.Expect.Output = a.Output
	default:
		if v.body.Expect.Output, err = p.encode(plain(e.output, nil)); err != nil {
			return err
		}
	}
	c := conformance.Case{Entry: v.entry, Vector: v.body, Expect: v.body.Expect}
	if wrong := c.Judge(a); wrong != "" {
		return fmt.Errorf("the Go implementation disagrees: %s", wrong)
	}
	return nil
}

// plain returns x with bytes as hexadecimal digits. Files go into extra, or, if
// that is nil, stay bytes.
func plain(x any, extra map[string][]byte) any {
	switch x := x.(type) {
	case []byte:
		return conformance.Hex(x)
	case extraFile:
		if extra == nil {
			return conformance.Hex(x.data)
		}
		extra[x.name] = x.data
		return map[string]any{"$file": x.name}
	case map[string]any:
		m := map[string]any{}
		for k, v := range x {
			m[k] = plain(v, extra)
		}
		return m
	case []any:
		l := make([]any, len(x))
		for i, v := range x {
			l[i] = plain(v, extra)
		}
		return l
	}
	return x
}

// encode is JSON without HTML escapes.
func (p *pack) encode(x any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(x)
	return bytes.TrimSpace(b.Bytes()), err
}

// check finishes the pack: everything that went wrong, flags, and the share of
// negatives.
func (p *pack) check() error {
	used := map[string]bool{}
	ids := map[string]bool{}
	negative := 0
	for _, v := range p.vectors {
		for _, f := range v.entry.Flags {
			used[f] = true
			if p.flags[f] == "" {
				p.fail("%s: flag %s is not declared", v.entry.ID, f)
			}
		}
		if ids[v.entry.ID] {
			p.fail("%s stands twice", v.entry.ID)
		}
		ids[v.entry.ID] = true
		if v.entry.Result == conformance.Invalid {
			negative++
		}
	}
	for _, f := range slices.Sorted(maps.Keys(p.flags)) {
		if !used[f] {
			p.fail("flag %s is on no vector", f)
		}
	}
	if negative*10 < len(p.vectors)*6 {
		p.fail("%d of %d vectors are negative, want 60 %%", negative, len(p.vectors))
	}
	return errors.Join(p.errs...)
}

// summary counts the vectors by suite.
func (p *pack) summary() string {
	var b strings.Builder
	all, bad := 0, 0
	for _, s := range p.suites {
		n, neg := 0, 0
		for _, v := range p.vectors {
			if v.entry.Suite != s.Name {
				continue
			}
			n++
			if v.entry.Result == conformance.Invalid {
				neg++
			}
		}
		all, bad = all+n, bad+neg
		fmt.Fprintf(&b, "%-10s %5d vectors, %5d negative\n", s.Name, n, neg)
	}
	fmt.Fprintf(&b, "%-10s %5d vectors, %5d negative", "all", all, bad)
	return b.String()
}

// sum is the digest as manifest and SHA256SUMS have it.
func sum(b []byte) string { return cid.Sum(b).Hex() }
