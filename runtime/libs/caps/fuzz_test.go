package caps

import (
	"bytes"
	"errors"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// What decodes is bounded and canonical, and whatever is denied is denied with
// a code at one of its links.
func FuzzDecodeProof(f *testing.F) {
	for _, a := range [][]*step{steps(), steps()[:1]} {
		f.Add(EncodeProof(sign(f, a)))
	}
	for _, c := range []Scope{ScopeOf(&NetConnect{Hosts: []string{"*.a.org"}}), ScopeOf(&Clock{}), ScopeOf(&FsRead{"/a"})} {
		f.Add(one(f, c).Raw())
	}
	f.Add([]byte{can.List, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := DecodeProof(raw)
		if err != nil {
			if fault.CodeOf(err) == "" {
				t.Fatalf("no code in %v", err)
			}
			return
		}
		var links [][]byte
		for i := range c.Len() {
			x := c.Link(i)
			links = append(links, x.AppendCAN(nil))
		}
		if !bytes.Equal(EncodeProof(links), raw) || !bytes.Equal(c.Raw(), raw) {
			t.Fatal("a proof with two encodings")
		}
		if n := c.Len(); n < 1 || n > MaxLinks || len(raw) > MaxProof || len(c.CapIDs()) != n || c.CapIDs()[n-1] != c.LeafID() {
			t.Fatalf("%d links in %d bytes", n, len(raw))
		}
		g, err := c.Check(use())
		var d *Denial
		switch {
		case err == nil && len(g.Spend) != c.Len():
			t.Fatalf("a call that %d of %d links are charged for", len(g.Spend), c.Len())
		case err != nil && (!errors.As(err, &d) || d.Code == "" || d.Link < 0 || d.Link >= c.Len() || len(g.CapIDs)+len(g.Spend) > 0):
			t.Fatalf("got %+v, %v", g, err)
		}
	})
}

// A constraint that parses is a subset of itself, finds what a plain walk finds,
// and its evaluation never panics.
func FuzzConstraints(f *testing.F) {
	for _, s := range [][2]string{
		{"arg/amount:le", "03f403"},
		{"arg/to:in", "0702060461636d6506046265746f"},
		{"arg:prefix", "050101"},
		{"arg/0/~1~0:eq", "00"},
		{"ring_max", "3"},
		{"package", hashOf("a").String()},
		{"ledger", hashOf("a").Hex()},
		{"arg/a:ge", "0403"},
	} {
		f.Add(s[0], s[1], payload(250))
	}
	f.Add("arg/4:eq", "00", value(pairs{uint64(4), nil, "4", nil}))
	f.Fuzz(func(t *testing.T, key, text string, payload []byte) {
		list, bad := parseConstraints(map[string]string{key: text})
		if bad != nil {
			if bad.code != ErrConstraint || bad.field != key {
				t.Fatalf("got %+v", bad)
			}
			return
		}
		if b := list.within(list); b != nil {
			t.Fatalf("%q = %q is no subset of itself: %s", key, text, b.why)
		}
		c := &list[0]
		found := resolve(payload, [][]string{c.tokens})
		if can.Valid(payload) != nil {
			if c.isArg && c.holds(&Call{Payload: payload}, found) == "" {
				t.Fatal("a constraint holds for what is no canonical value")
			}
			return
		}
		tokens, _ := splitPointer(c.pointer)
		if want := plainWalk(payload, tokens); !bytes.Equal(found[0], want) {
			t.Fatalf("%q finds %x, a plain walk %x", c.pointer, found[0], want)
		}
		c.holds(&Call{Payload: payload}, found)
	})
}

// Covers is reflexive on what CheckScope accepts, covers nothing that it
// refuses, and never panics.
func FuzzCovers(f *testing.F) {
	for _, c := range subsetCases() {
		f.Add(c.parent.Kind(), c.parent.AppendCAN(nil), c.child.AppendCAN(nil))
	}
	f.Fuzz(func(t *testing.T, kind uint8, parent, child []byte) {
		covered := Covers(kind, parent, child) == nil
		soundParent, soundChild := CheckScope(Scope{kind, parent}) == nil, CheckScope(Scope{kind, child}) == nil
		if covered && !(soundParent && soundChild) {
			t.Fatal("a scope that means nothing covers, or is covered")
		}
		if soundParent {
			if err := Covers(kind, parent, parent); err != nil {
				t.Fatalf("a scope does not cover itself: %v", err)
			}
		}
	})
}
