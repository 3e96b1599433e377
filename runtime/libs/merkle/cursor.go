package merkle

import (
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Want is what a Cursor needs next.
type Want struct {
	ID    cid.Hash
	Item  bool   // an item, to be taken with Take; otherwise a node, to be given to Node
	Index uint64 // the item's number, or that of the first one under the node
}

// Cursor walks a tree in depth-first order, from a root alone: it says which
// node it needs, checks the one that it is given, and yields the items between
// (RFC-MYTHOS-0004 §6). It holds one node of each level. A node that is refused
// changes nothing, so that a copy from elsewhere may be tried.
type Cursor struct {
	form Form
	root cid.Hash
	path []branch // from the root down; the last one holds item next
	next uint64
	end  uint64
	open bool // the root was accepted, so path is empty only at the end
	top  branch
}

// NewCursor returns a Cursor over the whole tree under root.
func NewCursor(form Form, root cid.Hash) *Cursor {
	return &Cursor{form: form, root: root}
}

// Count returns the number of items of the whole tree, 0 before the root was
// accepted.
func (c *Cursor) Count() uint64 { return c.top.Count }

// Seek continues with the items of s, which must not be empty. The root must
// have been accepted.
func (c *Cursor) Seek(s Span) error {
	switch {
	case !c.open:
		return fault.New(ErrRange, "the root is not known yet")
	case s.Count == 0 || s.First > c.top.Count || s.Count > c.top.Count-s.First:
		return fault.New(ErrRange, "items %d to %d of a tree of %d", s.First, s.End(), c.top.Count).About(c.root.String())
	}
	if len(c.path) == 0 {
		c.path = append(c.path, c.top)
	}
	c.next, c.end = s.First, s.End()
	for n := len(c.path) - 1; n > 0 && (c.next < c.path[n].First || c.next >= c.path[n].End()); n-- {
		c.path = c.path[:n]
	}
	return nil
}

// Want returns what is needed next, and false when every item was taken.
func (c *Cursor) Want() (Want, bool) {
	if !c.open {
		return Want{ID: c.root}, true
	}
	if c.next == c.end {
		return Want{}, false
	}
	b := c.path[len(c.path)-1]
	i := c.position(b)
	return Want{ID: b.ids[i], Item: b.leaf(), Index: c.next}, true
}

// position returns which child of b holds the next item.
func (c *Cursor) position(b branch) int { return int((c.next - b.First) / Width(b.Count)) }

// Node accepts the node that is wanted, or says why not.
func (c *Cursor) Node(raw []byte) error {
	w, ok := c.Want()
	if !ok || w.Item {
		return fault.New(ErrProof, "a node where none is due").About(c.root.String())
	}
	var at Span
	if c.open {
		b := c.path[len(c.path)-1]
		at = b.Child(c.position(b))
	}
	b, err := openBranch(c.form, w.ID, raw, at)
	if err != nil {
		return err
	}
	c.path = append(c.path, b)
	if !c.open {
		c.open, c.top, c.end = true, b, b.Count
	}
	return nil
}

// Take steps over the item that is wanted.
func (c *Cursor) Take() error {
	w, ok := c.Want()
	if !ok || !w.Item {
		return fault.New(ErrProof, "an item where none is due").About(c.root.String())
	}
	c.next++
	for n := len(c.path); n > 0 && c.next >= c.path[n-1].End(); n-- {
		c.path = c.path[:n-1]
	}
	return nil
}
