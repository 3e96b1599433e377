package merkle

import (
	"fmt"
	"iter"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// List reads a list from its root. Every node is verified before a value of it
// is returned. It is safe for concurrent use if its Get is.
type List struct {
	root *cid.Hash
	get  Get
	raw  []byte // the root node
	n    uint64
}

// OpenList reads and checks the root node. A nil root is the empty list.
func OpenList(root *cid.Hash, get Get) (*List, error) {
	l := &List{root: root, get: get}
	if root == nil {
		return l, nil
	}
	raw, err := get(*root, MaxNode)
	if err != nil {
		return nil, fmt.Errorf("root of list: %w", err)
	}
	c := NewCursor(ListForm{}, *root)
	if err := c.Node(raw); err != nil {
		return nil, err
	}
	l.raw, l.n = raw, c.Count()
	return l, nil
}

// Count returns the number of values.
func (l *List) Count() uint64 { return l.n }

// All yields every value in order. It ends after the first error.
func (l *List) All() iter.Seq2[cid.Hash, error] { return l.Range(Span{0, l.n}) }

// Range yields the values of s in order. It ends after the first error.
func (l *List) Range(s Span) iter.Seq2[cid.Hash, error] {
	return func(yield func(cid.Hash, error) bool) {
		if s == (Span{0, l.n}) && l.n == 0 {
			return
		}
		err := l.walk(s, func(w Want) bool { return yield(w.ID, nil) })
		if err != nil {
			yield(cid.Hash{}, err)
		}
	}
}

// At returns value i.
func (l *List) At(i uint64) (v cid.Hash, err error) {
	err = l.walk(Span{i, 1}, func(w Want) bool { v = w.ID; return true })
	return v, err
}

// walk calls each for every item of s until it returns false.
func (l *List) walk(s Span, each func(Want) bool) error {
	c, err := l.cursor(s)
	if err != nil {
		return err
	}
	for {
		w, ok := c.Want()
		switch {
		case !ok:
			return nil
		case w.Item && !each(w):
			return nil
		case w.Item:
			err = c.Take()
		default:
			err = fetch(c, w, l.get, nil)
		}
		if err != nil {
			return err
		}
	}
}

// cursor returns a Cursor that stands under the root, at s.
func (l *List) cursor(s Span) (*Cursor, error) {
	if l.root == nil {
		return nil, outside(s)
	}
	c := NewCursor(ListForm{}, *l.root)
	if err := c.Node(l.raw); err != nil {
		return nil, err
	}
	return c, c.Seek(s)
}

// fetch gets the node w and gives it to c and, once accepted, to keep.
func fetch(c *Cursor, w Want, get Get, keep func([]byte) error) error {
	raw, err := get(w.ID, MaxNode)
	if err != nil {
		return fmt.Errorf("node over item %d: %w", w.Index, err)
	}
	if err := c.Node(raw); err != nil || keep == nil {
		return err
	}
	return keep(raw)
}
