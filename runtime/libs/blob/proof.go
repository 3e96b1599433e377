package blob

import (
	"fmt"
	"io"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

// Included is what an inclusion proof has shown: the blob has exactly Size
// bytes in chunks of ChunkSize, and Chunk is number Index. The chunk's own
// bytes are still to be checked against it.
type Included struct {
	Chunk     Chunk
	Index     uint64
	Size      uint64
	ChunkSize uint32
}

// Prove makes the inclusion proof of chunk i (RFC-MYTHOS-0004 §5.1).
func (b *Blob) Prove(i uint64) ([]byte, error) {
	return merkle.ProveIn(new(layout), b.root, b.get, i)
}

// Check verifies an inclusion proof against a root and returns what it shows.
func Check(root cid.Hash, proof []byte) (Included, error) {
	form := new(layout)
	in, err := merkle.CheckIn(form, root, proof)
	if err != nil {
		return Included{}, err
	}
	return Included{Chunk{in.ID, form.length(in.Index)}, in.Index, form.size, form.chunkSize}, nil
}

// ProveRange makes the range proof of the chunks that hold the n > 0 bytes from
// off on (RFC-MYTHOS-0004 §5.2).
func (b *Blob) ProveRange(off, n uint64) ([]byte, error) {
	s, err := b.span(off, n)
	if err != nil {
		return nil, err
	}
	return merkle.ProveRangeIn(new(layout), b.root, b.get, s)
}

// Slice is what a range proof has shown: where the bytes of a range lie. The
// chunks' own bytes are still to be checked, which Reader does.
type Slice struct {
	Size      uint64 // of the whole blob
	ChunkSize uint32
	First     uint64  // number of the first chunk
	Chunks    []Chunk // all that hold bytes of the range
	off, n    uint64
}

// CheckRange verifies a range proof against a root. It must be the proof of
// exactly the n > 0 bytes from off on.
func CheckRange(root cid.Hash, off, n uint64, proof []byte) (*Slice, error) {
	form := new(layout)
	in, err := merkle.CheckRangeIn(form, root, proof)
	if err != nil {
		return nil, err
	}
	s, err := form.span(off, n)
	if err != nil {
		return nil, err
	}
	if s.First != in.First || s.Count != uint64(len(in.IDs)) {
		return nil, fault.New(merkle.ErrProof, "a proof of chunks %d to %d, want %d to %d",
			in.First, in.First+uint64(len(in.IDs)), s.First, s.End()).About(root.String())
	}
	out := &Slice{Size: form.size, ChunkSize: form.chunkSize, First: in.First, off: off, n: n}
	for i, id := range in.IDs {
		out.Chunks = append(out.Chunks, Chunk{id, form.length(in.First + uint64(i))})
	}
	return out, nil
}

// Reader returns a reader of the proved range. It gets chunks alone, in order,
// verifies each and stops at the first wrong one.
func (s *Slice) Reader(get merkle.Get) *Reader {
	left := s.Chunks
	next := func() ([]byte, error) {
		if len(left) == 0 {
			return nil, io.ErrUnexpectedEOF // a Reader asks for no chunk after its range
		}
		c := left[0]
		b, err := get(c.Hash, int64(c.Len))
		if err != nil {
			return nil, fmt.Errorf("chunk %s: %w", c.Hash, unexpected(err))
		}
		left = left[1:]
		return b, c.Check(b)
	}
	return &Reader{next: next, skip: s.off % uint64(s.ChunkSize), left: s.n}
}
