package merkle

import (
	"fmt"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Limits of proofs from outside, in bytes.
const (
	MaxProof      = MaxHeight*MaxNode + 256 // an encoded inclusion proof
	MaxRangeProof = 16 << 20                // an encoded range proof; longer ranges take several
)

// Included is what an inclusion proof has shown: the tree has exactly Count
// items and ID is number Index.
type Included struct {
	ID    cid.Hash
	Index uint64
	Count uint64
}

// ProveIn makes the inclusion proof of item index in the tree under root
// (RFC-MYTHOS-0004 §5.1), reading the nodes on its path.
func ProveIn(form Form, root cid.Hash, get Get, index uint64) ([]byte, error) {
	c := NewCursor(form, root)
	var steps []Step // from the root down
	keep := func(raw []byte) error {
		if len(steps) == 0 {
			if err := c.Seek(Span{index, 1}); err != nil {
				return err
			}
		}
		at := c.position(c.path[len(c.path)-1])
		steps = append(steps, Step{Node: raw, Position: uint16(at)})
		return nil
	}
	for {
		w, _ := c.Want()
		if w.Item {
			break
		}
		if err := fetch(c, w, get, keep); err != nil {
			return nil, err
		}
	}
	slices.Reverse(steps)
	p := Proof{Leaf: steps[0].Node, Position: steps[0].Position, Parents: steps[1:]}
	return p.AppendCAN(nil), nil
}

// CheckIn verifies an inclusion proof against a root. It believes nothing but
// the root: every position must lead to the node that follows.
func CheckIn(form Form, root cid.Hash, proof []byte) (Included, error) {
	p, err := DecodeProof(proof)
	if err != nil {
		return Included{}, err
	}
	steps := append([]Step{{p.Leaf, p.Position}}, p.Parents...)
	slices.Reverse(steps)
	var at Span
	var found Included
	want := root
	for i, s := range steps {
		b, err := openBranch(form, want, s.Node, at)
		switch {
		case err != nil:
			return Included{}, err
		case b.leaf() != (i == len(steps)-1):
			return Included{}, fault.New(ErrProof, "%d nodes from the root to an item, want another number", len(steps)).About(root.String())
		case int(s.Position) >= len(b.ids):
			return Included{}, fault.New(ErrProof, "position %d in a node of %d", s.Position, len(b.ids)).About(root.String())
		case i == 0:
			found.Count = b.Count
		}
		want = b.ids[s.Position]
		at = b.Child(int(s.Position))
	}
	found.ID, found.Index = want, at.First
	return found, nil
}

// DecodeProof decodes an inclusion proof and checks its limits, nothing else.
// The result aliases raw.
func DecodeProof(raw []byte) (Proof, error) {
	var p Proof
	if len(raw) > MaxProof {
		return p, fault.New(ErrProof, "a proof of %d bytes, at most %d", len(raw), MaxProof)
	}
	r := can.NewReader(raw)
	p.ReadCAN(&r)
	if err := r.Done(); err != nil {
		return Proof{}, err
	}
	if len(p.Parents) >= MaxHeight {
		return Proof{}, fault.New(ErrProof, "a proof with %d parents, at most %d", len(p.Parents), MaxHeight-1)
	}
	return p, nil
}

// IncludedRange is what a range proof has shown: the tree has exactly Count
// items and IDs are those from number First on.
type IncludedRange struct {
	IDs   []cid.Hash
	First uint64
	Count uint64
}

// ProveRangeIn makes the range proof of the items of s in the tree under root
// (RFC-MYTHOS-0004 §5.2). A range whose proof would exceed MaxRangeProof is
// ErrRange; it takes several proofs.
func ProveRangeIn(form Form, root cid.Hash, get Get, s Span) ([]byte, error) {
	c := NewCursor(form, root)
	p := RangeProof{First: s.First, Count: s.Count}
	size := 64 // what stands around the nodes
	keep := func(raw []byte) error {
		if size += len(raw) + 5; size > MaxRangeProof {
			return fault.New(ErrRange, "the proof of %d items exceeds %d bytes", s.Count, MaxRangeProof).About(root.String())
		}
		p.Nodes = append(p.Nodes, raw)
		if len(p.Nodes) == 1 {
			return c.Seek(s)
		}
		return nil
	}
	err := drain(c, func(w Want) error { return fetch(c, w, get, keep) }, nil)
	if err != nil {
		return nil, err
	}
	return p.AppendCAN(make([]byte, 0, size)), nil
}

// CheckRangeIn verifies a range proof against a root.
func CheckRangeIn(form Form, root cid.Hash, proof []byte) (IncludedRange, error) {
	p, err := DecodeRangeProof(proof)
	if err != nil {
		return IncludedRange{}, err
	}
	c := NewCursor(form, root)
	nodes := p.Nodes
	found := IncludedRange{First: p.First}
	give := func(w Want) error {
		if len(nodes) == 0 {
			return fault.New(ErrProof, "the proof ends before item %d", w.Index).About(root.String())
		}
		if err := c.Node(nodes[0]); err != nil {
			return fmt.Errorf("node %d of the proof: %w", len(p.Nodes)-len(nodes), err)
		}
		if len(nodes) == len(p.Nodes) {
			if err := c.Seek(Span{p.First, p.Count}); err != nil {
				return err
			}
		}
		nodes = nodes[1:]
		return nil
	}
	if err := drain(c, give, func(id cid.Hash) { found.IDs = append(found.IDs, id) }); err != nil {
		return IncludedRange{}, err
	}
	if len(nodes) != 0 {
		return IncludedRange{}, fault.New(ErrProof, "%d nodes too many", len(nodes)).About(root.String())
	}
	found.Count = c.Count()
	return found, nil
}

// drain walks c to its end: node supplies each node, item (if not nil) gets
// each item.
func drain(c *Cursor, node func(Want) error, item func(cid.Hash)) error {
	for {
		w, ok := c.Want()
		if !ok {
			return nil
		}
		var err error
		if w.Item {
			if item != nil {
				item(w.ID)
			}
			err = c.Take()
		} else {
			err = node(w)
		}
		if err != nil {
			return err
		}
	}
}

// DecodeRangeProof decodes a range proof and checks its limits, nothing else.
// The result aliases raw.
func DecodeRangeProof(raw []byte) (RangeProof, error) {
	var p RangeProof
	if len(raw) > MaxRangeProof {
		return p, fault.New(ErrProof, "a proof of %d bytes, at most %d", len(raw), MaxRangeProof)
	}
	r := can.NewReader(raw)
	p.ReadCAN(&r)
	return p, r.Done()
}

// Prove makes the inclusion proof of value i.
func (l *List) Prove(i uint64) ([]byte, error) {
	if l.root == nil {
		return nil, outside(Span{i, 1})
	}
	return ProveIn(ListForm{}, *l.root, l.get, i)
}

// ProveRange makes the range proof of the values of s.
func (l *List) ProveRange(s Span) ([]byte, error) {
	if l.root == nil {
		return nil, outside(s)
	}
	return ProveRangeIn(ListForm{}, *l.root, l.get, s)
}

func outside(s Span) error {
	return fault.New(ErrRange, "items %d to %d of an empty list", s.First, s.End())
}

// Check verifies an inclusion proof in a list against its root and returns what
// it shows.
func Check(root cid.Hash, proof []byte) (Included, error) {
	return CheckIn(ListForm{}, root, proof)
}

// CheckRange verifies a range proof in a list against its root and returns what
// it shows.
func CheckRange(root cid.Hash, proof []byte) (IncludedRange, error) {
	return CheckRangeIn(ListForm{}, root, proof)
}
