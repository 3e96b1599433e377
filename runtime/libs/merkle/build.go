package merkle

import (
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Subtree is a finished node as its parent sees it.
type Subtree struct {
	ID    cid.Hash
	Count uint64 // items
	Size  uint64 // bytes, in trees that count them
}

// Layers builds the internal nodes of a tree from its leaves, which come in
// order, holding at most 1024 nodes of each layer. All leaves but the last must
// be full.
type Layers struct {
	join func(children []Subtree) (Subtree, error)
	rows [][]Subtree
}

// NewLayers returns empty Layers. join makes one internal node of 2 to 1024
// children; it must not keep the slice.
func NewLayers(join func(children []Subtree) (Subtree, error)) *Layers {
	return &Layers{join: join}
}

// Add adds the next full leaf.
func (l *Layers) Add(s Subtree) error {
	for i := 0; ; i++ {
		if i == len(l.rows) {
			l.rows = append(l.rows, nil)
		}
		l.rows[i] = append(l.rows[i], s)
		if len(l.rows[i]) < Fanout {
			return nil
		}
		var err error
		if s, err = l.join(l.rows[i]); err != nil {
			return err
		}
		l.rows[i] = l.rows[i][:0]
	}
}

// Root returns the root over the leaves so far and a last one that may be less
// than full; a last leaf with Count 0 is none. Without any leaf the result has
// Count 0. Root changes nothing: more leaves may be added afterwards.
func (l *Layers) Root(last Subtree) (Subtree, error) {
	carry := last
	for _, row := range l.rows {
		if carry.Count != 0 {
			row = append(row[:len(row):len(row)], carry)
		}
		switch len(row) {
		case 0:
		case 1:
			carry = row[0] // a group of one is passed up unchanged
		default:
			var err error
			if carry, err = l.join(row); err != nil {
				return Subtree{}, err
			}
		}
	}
	return carry, nil
}

// Builder builds a list from values that come one by one. It holds at most
// 1024 values and 1024 nodes of each of four layers.
type Builder struct {
	put    Put
	values []cid.Hash
	layers *Layers
	count  uint64
	err    error // sticky
}

// NewBuilder returns a Builder that hands every node to put, children before
// parents. A nil put computes the root alone.
func NewBuilder(put Put) *Builder {
	b := &Builder{put: put}
	b.layers = NewLayers(b.join)
	return b
}

// Add appends a value. After an error, which may be put's own, the Builder only
// repeats it.
func (b *Builder) Add(v cid.Hash) error {
	if b.err != nil {
		return b.err
	}
	if b.count == MaxCount {
		b.err = fault.New(ErrRange, "a list has at most %d values", uint64(MaxCount))
		return b.err
	}
	b.count++
	b.values = append(b.values, v)
	if len(b.values) < Fanout {
		return nil
	}
	leaf, err := b.leaf()
	if err == nil {
		err = b.layers.Add(leaf)
	}
	b.values = b.values[:0]
	b.err = err
	return err
}

// Count returns how many values were added.
func (b *Builder) Count() uint64 { return b.count }

// Root returns the root of the list so far, nil if it is empty. More values
// may be added afterwards.
func (b *Builder) Root() (*cid.Hash, error) {
	var last Subtree
	if b.err == nil && len(b.values) > 0 {
		last, b.err = b.leaf()
	}
	if b.err != nil || b.count == 0 {
		return nil, b.err
	}
	var root Subtree
	if root, b.err = b.layers.Root(last); b.err != nil {
		return nil, b.err
	}
	return &root.ID, nil
}

func (b *Builder) leaf() (Subtree, error) {
	leaf := ListLeaf{Values: b.values}
	id, err := b.emit(KindListLeaf, &leaf, len(b.values))
	return Subtree{ID: id, Count: uint64(len(b.values))}, err
}

func (b *Builder) join(children []Subtree) (Subtree, error) {
	node := ListInternal{Children: make([]cid.Hash, len(children))}
	for i, c := range children {
		node.Children[i] = c.ID
		node.Count += c.Count
	}
	id, err := b.emit(KindListInternal, &node, len(children))
	return Subtree{ID: id, Count: node.Count}, err
}

func (b *Builder) emit(kind uint8, x Body, items int) (cid.Hash, error) {
	id, raw := CloseNode(kind, x.AppendCAN(make([]byte, 0, 42*items+32)))
	if b.put == nil {
		return id, nil
	}
	return id, b.put(id, raw)
}

// Root returns the root of the list of values, nil if there are none.
func Root(values []cid.Hash) *cid.Hash {
	b := NewBuilder(nil)
	for _, v := range values {
		if err := b.Add(v); err != nil {
			panic(err) // a slice of 2^40 hashes does not fit in memory
		}
	}
	root, err := b.Root()
	if err != nil {
		panic(err) // without a put nothing can fail
	}
	return root
}
