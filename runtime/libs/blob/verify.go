package blob

import (
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

// Want is what a Verifier needs next.
type Want struct {
	ID    cid.Hash
	Limit int64  // bytes: exactly the chunk's length, at most a node's
	Node  bool   // a node; otherwise chunk number Index
	Index uint64 // of the chunk, or of the first chunk under the node
}

// Verifier checks a blob from its root alone, in the order in which nodes and
// chunks stand in the tree (RFC-MYTHOS-0004 §6): it says what is due, and
// accepts exactly that. What is refused changes nothing, so a copy from
// elsewhere may be tried; whoever cannot get one stops. It does no I/O and
// holds one node of each level.
type Verifier struct {
	cursor *merkle.Cursor
	form   *layout
}

// NewVerifier returns a Verifier of the whole blob under root.
func NewVerifier(root cid.Hash) *Verifier {
	form := new(layout)
	return &Verifier{merkle.NewCursor(form, root), form}
}

// Want returns what is due next, and false when the range is complete.
func (v *Verifier) Want() (Want, bool) {
	w, ok := v.cursor.Want()
	if !ok {
		return Want{}, false
	}
	if w.Item {
		return Want{ID: w.ID, Limit: int64(v.form.length(w.Index)), Index: w.Index}, true
	}
	return Want{ID: w.ID, Limit: merkle.MaxNode, Node: true, Index: w.Index}, true
}

// Give accepts the node or chunk that is due, or says what is wrong with b.
func (v *Verifier) Give(b []byte) error {
	w, ok := v.Want()
	if ok && !w.Node {
		if err := (Chunk{Hash: w.ID, Len: uint32(w.Limit)}).Check(b); err != nil {
			return err
		}
		return v.cursor.Take()
	}
	return v.cursor.Node(b)
}

// Skip steps over the chunk that is due without its bytes.
func (v *Verifier) Skip() error { return v.cursor.Take() }

// Size returns the blob's size in bytes, 0 before the root was accepted.
func (v *Verifier) Size() uint64 { return v.form.size }

// Chunks returns the number of chunks, 0 before the root was accepted.
func (v *Verifier) Chunks() uint64 { return v.form.chunks }

// ChunkSize returns the length of every chunk but the last, 0 before the root
// was accepted.
func (v *Verifier) ChunkSize() uint32 { return v.form.chunkSize }

// Seek continues with the chunks that hold the bytes off to off+n, n > 0. The
// root must have been accepted.
func (v *Verifier) Seek(off, n uint64) error {
	s, err := v.form.span(off, n)
	if err != nil {
		return err
	}
	return v.cursor.Seek(s)
}

// span returns the chunks that hold the bytes off to off+n.
func (l *layout) span(off, n uint64) (merkle.Span, error) {
	if n == 0 || off > l.size || n > l.size-off {
		return merkle.Span{}, fault.New(ErrRange, "%d bytes from %d on of a blob of %d", n, off, l.size)
	}
	step := uint64(l.chunkSize)
	first := off / step
	return merkle.Span{First: first, Count: (off+n-1)/step - first + 1}, nil
}

// Check reports whether b is the chunk that x names.
func (x Chunk) Check(b []byte) error {
	if uint64(len(b)) != uint64(x.Len) {
		return fault.New(ErrChunk, "got %d bytes, want %d", len(b), x.Len).About(x.Hash.String())
	}
	if got := cid.Sum(b); got != x.Hash {
		return fault.New(ErrChunk, "the chunk's bytes hash to %s", got).About(x.Hash.String())
	}
	return nil
}
