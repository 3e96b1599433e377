// Package logtree is the tree of a journal's log as it is kept (RFC-MYTHOS-0005
// §10): the hash of every leaf, and of the inner nodes those at levels 8, 16, 24
// and so on, so that a proof reads a few hundred hashes however long the log is.
// Cover brings it up to date and signs a checkpoint, in the journal's own
// transaction.
package logtree

import (
	"context"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/tlog"
)

const (
	// Stride is the distance of the levels whose nodes are kept.
	Stride = 8
	// Segment is how many leaf hashes are kept in one piece at most.
	Segment = 1024
)

// Kept reads the hashes that a journal keeps. It is a tlog.Source.
type Kept struct {
	Leaves func(from, to uint64) ([]cid.Hash, error) // fewer if one is not there
	Node   func(level uint8, index uint64) (cid.Hash, error)
}

// Subtree implements tlog.Source.
func (k Kept) Subtree(level uint8, index uint64) (cid.Hash, error) {
	if level > 0 && level%Stride == 0 {
		return k.Node(level, index)
	}
	var r tlog.Range
	base := level / Stride * Stride
	first, n := index<<(level-base), uint64(1)<<(level-base)
	if base == 0 {
		leaves, err := k.Leaves(first, first+n)
		if err == nil && uint64(len(leaves)) < n {
			err = fault.New(ledger.ErrCorrupt, "the hash of entry %d is not kept", first+uint64(len(leaves)))
		}
		for _, leaf := range leaves {
			r.Append(leaf)
		}
		return r.Root(), err
	}
	for i := range n {
		node, err := k.Node(base, first+i)
		if err != nil {
			return node, err
		}
		r.Append(node)
	}
	return r.Root(), nil
}

// Tx is what a journal offers in the transaction that signs.
type Tx interface {
	Kept() Kept
	// Newest returns the newest checkpoint; ok is false if there is none.
	Newest() (c ledger.Checkpoint, ok bool, err error)
	// Uncovered calls each for the entries from an index on, in log order; Body is
	// valid in the call.
	Uncovered(from uint64, each func(ledger.Record) error) error
	AddLeaves(first uint64, hashes []cid.Hash) error // Segment at most
	AddNode(level uint8, index uint64, root cid.Hash) error
	AddCheckpoint(c ledger.Checkpoint) error
}

// Head is the tree under the newest checkpoint.
type Head struct {
	Range  tlog.Range
	Origin string // of the log; "" while the tree is empty
}

// Load returns the tree under the newest checkpoint. It fails with ErrCorrupt if
// the hashes that are kept are not those that were signed: what is built on them
// would contradict what the log has said.
func Load(tx Tx) (Head, error) {
	newest, ok, err := tx.Newest()
	if err != nil || !ok {
		return Head{}, err
	}
	c, _, err := tlog.Parse(newest.Note)
	if err != nil {
		return Head{}, fault.New(ledger.ErrCorrupt, "the checkpoint of size %d: %w", newest.Size, err)
	}
	r, err := tlog.Load(tx.Kept(), newest.Size)
	if err == nil && (c.Size != newest.Size || r.Root() != c.Root) {
		err = fault.New(ledger.ErrCorrupt, "the hashes kept of %d entries are not those of their checkpoint", newest.Size)
	}
	return Head{r, c.Origin}, err
}

// Cover takes the entries after head into the tree and signs a checkpoint over
// all of them. It returns the new head, head itself if there are none.
func Cover(tx Tx, head Head, by tlog.Signer) (Head, error) {
	c := cover{tx: tx, Head: head}
	c.complete = c.node
	err := tx.Uncovered(head.Range.Size(), c.add)
	if err == nil {
		err = c.flush()
	}
	if err != nil || c.Range.Size() == head.Range.Size() {
		return head, err
	}
	note, err := tlog.Sign(tlog.Checkpoint{Origin: c.Origin, Size: c.Range.Size(), Root: c.Range.Root()}, by)
	if err != nil {
		return head, err
	}
	return c.Head, tx.AddCheckpoint(ledger.Checkpoint{Size: c.Range.Size(), Note: note})
}

// Origin names a log by its first leaf, which no other log has: a run record holds
// a fresh id, a time and a signature.
func Origin(first cid.Hash) string { return "mythos.run/ledger/" + first.Hex()[:32] }

// cover is a Cover at work.
type cover struct {
	Head
	tx     Tx
	hasher ledger.LeafHasher
	fresh  []cid.Hash // leaves not yet added
	err    error      // of node, which cannot return it

	complete func(level uint8, index uint64, root cid.Hash) // node, bound once
}

func (c *cover) add(rec ledger.Record) error {
	at := c.Range.Size()
	if rec.Index != at {
		return fault.New(ledger.ErrCorrupt, "entry %d is missing", at)
	}
	leaf := c.hasher.Hash(at, rec.Kind, rec.Body)
	if at == 0 {
		c.Origin = Origin(leaf)
	}
	c.Range.Grow(leaf, c.complete)
	c.fresh = append(c.fresh, leaf)
	if len(c.fresh) == Segment {
		return c.flush()
	}
	return c.err
}

func (c *cover) node(level uint8, index uint64, root cid.Hash) {
	if level > 0 && level%Stride == 0 && c.err == nil {
		c.err = c.tx.AddNode(level, index, root)
	}
}

func (c *cover) flush() error {
	if c.err != nil || len(c.fresh) == 0 {
		return c.err
	}
	first := c.Range.Size() - uint64(len(c.fresh))
	err := c.tx.AddLeaves(first, c.fresh)
	c.fresh = c.fresh[:0]
	return err
}

// Of reads the hashes that a log keeps.
func Of(ctx context.Context, log ledger.Log) Kept {
	return Kept{
		Leaves: func(from, to uint64) ([]cid.Hash, error) { return log.Leaves(ctx, from, to) },
		Node:   func(level uint8, index uint64) (cid.Hash, error) { return log.Node(ctx, level, index) },
	}
}
