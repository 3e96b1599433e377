package merkle

import (
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Span is a run of items: Count of them, from number First on.
type Span struct{ First, Count uint64 }

// End returns the number of the item after the last.
func (s Span) End() uint64 { return s.First + s.Count }

// Width returns how many items stand under each child but the last of the node
// over n items, 1 <= n <= MaxCount; it is 1 for a leaf (RFC-MYTHOS-0004 §4).
func Width(n uint64) uint64 {
	w := uint64(1)
	for n > w*Fanout {
		w *= Fanout
	}
	return w
}

// Children returns how many items or children the node over s has.
func (s Span) Children() int {
	w := Width(s.Count)
	return int((s.Count + w - 1) / w)
}

// Child returns what stands under child i of the node over s.
func (s Span) Child(i int) Span {
	w := Width(s.Count)
	first := uint64(i) * w
	return Span{s.First + first, min(w, s.Count-first)}
}

// Content is what one node says.
type Content struct {
	Leaf  bool
	Count uint64     // items in the subtree
	IDs   []cid.Hash // the children, or the items of a leaf
}

// Form decodes the nodes of one kind of tree. It is used for one tree only and
// may remember what the root says.
type Form interface {
	// Open decodes a payload and checks everything about it but its count and
	// its number of children, which the caller checks. at is the span that the
	// node must cover; its Count is 0 for the root, of which nothing is known.
	Open(kind uint8, payload []byte, at Span) (Content, error)
}

// branch is a checked node: its span and what it names.
type branch struct {
	Span
	ids []cid.Hash
}

// openBranch opens the node raw at a place in a tree and holds it against the
// one shape that the place can have.
func openBranch(form Form, id cid.Hash, raw []byte, at Span) (branch, error) {
	kind, payload, err := OpenNode(id, raw)
	if err != nil {
		return branch{}, err
	}
	c, err := form.Open(kind, payload, at)
	if err != nil {
		return branch{}, err
	}
	switch {
	case c.Count == 0 || c.Count > MaxCount:
		return branch{}, fault.New(ErrShape, "a node over %d items, want 1 to %d", c.Count, uint64(MaxCount)).About(id.String())
	case at.Count != 0 && c.Count != at.Count:
		return branch{}, fault.New(ErrShape, "a node over %d items where %d are due", c.Count, at.Count).About(id.String())
	case c.Leaf != (c.Count <= Fanout):
		return branch{}, fault.New(ErrShape, "%d items in a node of kind %d", c.Count, kind).About(id.String())
	}
	b := branch{Span{at.First, c.Count}, c.IDs}
	if want := b.Children(); len(c.IDs) != want {
		return branch{}, fault.New(ErrShape, "a node over %d items with %d children, want %d", c.Count, len(c.IDs), want).About(id.String())
	}
	return b, nil
}

// leaf reports whether b's ids are items.
func (b branch) leaf() bool { return b.Count <= Fanout }

// ListForm is the form of lists (RFC-MYTHOS-0004 §2).
type ListForm struct{}

// Open decodes a list node.
func (ListForm) Open(kind uint8, payload []byte, _ Span) (Content, error) {
	switch kind {
	case KindListLeaf:
		var x ListLeaf
		err := DecodeExact(payload, &x)
		return Content{Leaf: true, Count: uint64(len(x.Values)), IDs: x.Values}, err
	case KindListInternal:
		var x ListInternal
		err := DecodeExact(payload, &x)
		return Content{Count: x.Count, IDs: x.Children}, err
	}
	return Content{}, fault.New(ErrKind, "a node of kind %d in a list", kind)
}
