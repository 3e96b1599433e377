package ledger

import (
	"context"
	"iter"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrNoCheckpoint is the code of a log of which no checkpoint was signed yet.
const ErrNoCheckpoint fault.Code = "checkpoint_not_found"

// Log is a Store whose entries are leaves of a log with signed checkpoints
// (RFC-MYTHOS-0005 §10). A store signs by itself: when a run is sealed, when many
// entries have no checkpoint yet, and when it is closed. The hashes that it keeps
// are those of the entries as they were when a checkpoint first covered them.
type Log interface {
	Store
	// Checkpoint signs a checkpoint over all entries, unless the newest covers them.
	Checkpoint(ctx context.Context) error
	// Newest returns the newest checkpoint, or an error with code ErrNoCheckpoint.
	Newest(ctx context.Context) (Checkpoint, error)
	// Checkpoints yields those of at least that size, the smallest first.
	Checkpoints(ctx context.Context, from uint64) iter.Seq2[Checkpoint, error]
	// Entries yields the entries from an index on, in log order. A Body is valid
	// until the loop goes on.
	Entries(ctx context.Context, from uint64) iter.Seq2[Record, error]
	// Leaves returns the kept leaf hashes of the entries from from up to to; fewer if
	// one is not there.
	Leaves(ctx context.Context, from, to uint64) ([]cid.Hash, error)
	// Node returns the kept root of a perfect subtree of level 8, 16, 24 and so on.
	Node(ctx context.Context, level uint8, index uint64) (cid.Hash, error)
}

// Checkpoint is a signed checkpoint as a store keeps it.
type Checkpoint struct {
	Size uint64 // entries that it covers
	Note []byte // the signed note
}

// LeafHasher is LeafHash for many entries, one after the other: it does not
// allocate for each.
type LeafHasher struct{ buf []byte }

// Hash returns the leaf hash of an entry.
func (h *LeafHasher) Hash(index uint64, kind Kind, body []byte) cid.Hash {
	e := Entry{Index: index, Kind: uint8(kind), Body: body}
	h.buf = e.AppendCAN(append(h.buf[:0], 0))
	return cid.Sum(h.buf)
}
