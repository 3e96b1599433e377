package caps

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Chain is a decoded proof: well formed, and nothing more. What it says about
// itself is a claim until Check or CheckPrincipals has returned nil. It is
// immutable and safe for concurrent use.
type Chain struct {
	raw      []byte
	links    []link
	ids      []cid.Hash // of the links
	demands  bool       // a link counts only with a fresh revocation list
	pointers [][]string // of the arg constraints in the chain, each once, as tokens
}

// link is one capability of a chain.
type link struct {
	cap    Capability
	id     cid.Hash // recomputed from the original bytes
	sealed error    // why the id or signature field is not of its form
	scope  scope
}

// EncodeProof returns the proof with the given links, root first, each the
// canonical bytes of a Capability.
func EncodeProof(links [][]byte) []byte {
	b := can.AppendList(nil, len(links))
	for _, l := range links {
		b = can.AppendBytes(b, l)
	}
	return b
}

// DecodeProof decodes a proof: its bounds, every link, every scope payload
// (step 1 of RFC-MYTHOS-0008 §3). It verifies no signature. Its errors are
// ErrTooLong, ErrKind and those of package can, and name the link.
func DecodeProof(raw []byte) (*Chain, error) {
	if len(raw) > MaxProof {
		return nil, fault.New(ErrTooLong, "a proof of %d bytes, at most %d", len(raw), MaxProof)
	}
	raw = bytes.Clone(raw)
	r := can.NewReader(raw)
	n := r.List()
	if err := r.Err(); err != nil {
		return nil, about("the proof", err)
	}
	if n == 0 || n > MaxLinks {
		return nil, fault.New(ErrTooLong, "a proof of %d links, want 1..%d", n, MaxLinks)
	}
	c := &Chain{raw: raw, links: make([]link, n)}
	items := make([][]byte, n)
	for i := range items {
		items[i] = r.Bytes()
	}
	r.EndList()
	if err := r.Done(); err != nil {
		return nil, about("the proof", err)
	}
	c.ids = make([]cid.Hash, n)
	places := map[string]int{}
	for i, item := range items {
		if err := c.links[i].decode(item); err != nil {
			return nil, about(fmt.Sprintf("link %d", i), err)
		}
		c.ids[i] = c.links[i].id
		c.demands = c.demands || c.links[i].cap.RevocationRequired
		c.place(c.links[i].scope.constraints, places)
	}
	return c, nil
}

// place gives every pointer of the chain one place among the values that are looked up
// for a call, however many constraints share it.
func (c *Chain) place(list constraints, places map[string]int) {
	for i := range list {
		x := &list[i]
		if !x.isArg {
			continue
		}
		at, ok := places[x.pointer]
		if !ok {
			at = len(c.pointers)
			places[x.pointer] = at
			c.pointers = append(c.pointers, x.tokens)
		}
		x.place = at
	}
}

func (l *link) decode(raw []byte) error {
	var err error
	l.id, err = sig.Decode(raw, &l.cap)
	switch {
	case errors.Is(err, sig.ErrID), errors.Is(err, sig.ErrKeyID):
		l.sealed = err // told with the signatures, so that no link is judged before all are read
	case err != nil:
		return err
	}
	l.scope, err = decodeScope(l.cap.Scope.Kind, l.cap.Scope.Payload)
	if err != nil {
		return fault.New(fault.CodeOf(err), "its scope: %w", err)
	}
	return nil
}

func (c *Chain) leaf() *link { return &c.links[len(c.links)-1] }

// Len returns the number of links, 1 to MaxLinks.
func (c *Chain) Len() int { return len(c.links) }

// Link returns the capability at index i; 0 is the root. Its byte slices must
// not be written to.
func (c *Chain) Link(i int) Capability { return c.links[i].cap }

// Leaf returns the last capability, as Link does.
func (c *Chain) Leaf() Capability { return c.leaf().cap }

// LeafID returns the cap_id of the leaf, recomputed from its bytes.
func (c *Chain) LeafID() cid.Hash { return c.leaf().id }

// CapIDs returns the cap_id of every link, root first; they must not be written to.
func (c *Chain) CapIDs() []cid.Hash { return c.ids[:len(c.ids):len(c.ids)] }

// Root returns the issuer of the root: the authority, if it is trusted.
func (c *Chain) Root() sig.AgentID { return c.links[0].cap.Issuer }

// Holder returns the issuer of the leaf: who must show possession of its key to
// present the proof.
func (c *Chain) Holder() sig.AgentID { return c.leaf().cap.Issuer }

// Kind returns the kind of the leaf's scope.
func (c *Chain) Kind() uint8 { return c.leaf().cap.Scope.Kind }

// Constrains reports whether a link has a constraint under a key.
func (c *Chain) Constrains(key string) bool {
	for i := range c.links {
		for _, x := range c.links[i].scope.constraints {
			if x.key == key {
				return true
			}
		}
	}
	return false
}

// Raw returns the canonical bytes of the proof; they must not be written to.
func (c *Chain) Raw() []byte { return c.raw }
