// Package blob holds chunked blobs: bytes cut into chunks of one size under a
// Merkle tree (RFC-MYTHOS-0004 §3), and the rule by which an artifact is named.
// The payloads of the tree's nodes (package merkle, kinds 3 and 4) are
//
//	ChunkLeaf     {1: chunk_size, 2: LIST of {1: hash, 2: len}, 3: total_size}
//	ChunkInternal {1: chunk_size, 2: children, 3: total_size, 4: chunk_count}
//
// Every chunk but the last is exactly chunk_size bytes; total_size and
// chunk_count tell what is under the node, and chunk_size is the same in every
// node. So the root fixes the whole tree: how many nodes, where each chunk
// lies, how long it is. A reader that holds a root alone checks every node and
// chunk as it comes and stops at the first wrong one. Writers choose a chunk
// size from 256 KiB to 16 MiB, 4 MiB unless told otherwise; readers take any.
// A blob has at most 2^40 bytes. The empty blob has no tree: where a hash is
// required it is named by the SHA-256 of no bytes.
//
// For example the ten bytes "abcdefghij" in chunks of four have one ChunkLeaf,
// with the lengths 4, 4 and 2, as their root.
//
// Nothing here does I/O: bytes come from the caller's reader or merkle.Get and
// go to its merkle.Put.
package blob

import (
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

// Codes of this package.
const (
	ErrChunk     fault.Code = "blob_chunk"      // a chunk whose bytes are not those that its tree names
	ErrChunkSize fault.Code = "blob_chunk_size" // a chunk size that writers may not choose, or a chunk of another size
	ErrSize      fault.Code = "blob_size"       // a size or chunk count that is not the tree's
	ErrHash      fault.Code = "blob_hash"       // bytes whose id or SHA-256 is not the one stated
	ErrRange     fault.Code = "blob_range"      // a byte or chunk range outside the blob
)

// Sizes in bytes (RFC-MYTHOS-0004 §7).
const (
	MinChunkSize     = 256 << 10 // least chunk size that writers choose
	MaxChunkSize     = 16 << 20  // greatest chunk size that writers choose
	DefaultChunkSize = 4 << 20
	MaxSize          = 1 << 40 // of a blob
)

// Tree describes a chunked blob.
type Tree struct {
	Root      *cid.Hash // nil if the blob is empty
	Size      uint64    // bytes
	Chunks    uint64
	ChunkSize uint32
}

// CID returns the root, or the SHA-256 of no bytes for the empty blob.
func (t Tree) CID() cid.Hash {
	if t.Root == nil {
		return cid.Sum(nil)
	}
	return *t.Root
}

// layout is the form of chunk trees. What the root says about sizes decides
// what every other node must say (RFC-MYTHOS-0004 §4).
type layout struct {
	chunkSize uint32
	size      uint64
	chunks    uint64
}

// bytes returns how many bytes the chunks of s hold.
func (l *layout) bytes(s merkle.Span) uint64 {
	end := min(s.End(), l.chunks)
	if s.First >= end {
		return 0
	}
	return min(end*uint64(l.chunkSize), l.size) - s.First*uint64(l.chunkSize)
}

// length returns the length of chunk i, 0 if there is none.
func (l *layout) length(i uint64) uint32 {
	return uint32(l.bytes(merkle.Span{First: i, Count: 1}))
}

// Open decodes a node of a chunk tree and holds its sizes against the root's.
func (l *layout) Open(kind uint8, payload []byte, at merkle.Span) (merkle.Content, error) {
	switch kind {
	case merkle.KindChunkLeaf:
		return l.openLeaf(payload, at)
	case merkle.KindChunkInternal:
		var x ChunkInternal
		if err := merkle.DecodeExact(payload, &x); err != nil {
			return merkle.Content{}, err
		}
		err := l.check(x.ChunkSize, x.TotalSize, x.ChunkCount, at)
		return merkle.Content{Count: x.ChunkCount, IDs: x.Children}, err
	}
	return merkle.Content{}, fault.New(merkle.ErrKind, "a node of kind %d in a chunked blob", kind)
}

func (l *layout) openLeaf(payload []byte, at merkle.Span) (merkle.Content, error) {
	var x ChunkLeaf
	if err := merkle.DecodeExact(payload, &x); err != nil {
		return merkle.Content{}, err
	}
	c := merkle.Content{Leaf: true, Count: uint64(len(x.Chunks)), IDs: make([]cid.Hash, len(x.Chunks))}
	if err := l.check(x.ChunkSize, x.TotalSize, c.Count, at); err != nil {
		return merkle.Content{}, err
	}
	for i, chunk := range x.Chunks {
		if want := l.length(at.First + uint64(i)); chunk.Len != want {
			return merkle.Content{}, fault.New(merkle.ErrShape, "chunk %d has %d bytes, want %d", at.First+uint64(i), chunk.Len, want)
		}
		c.IDs[i] = chunk.Hash
	}
	return c, nil
}

// check holds a node's sizes against those that its place must have. The root
// has no place: there they must agree with each other, and are remembered.
func (l *layout) check(chunkSize uint32, size, chunks uint64, at merkle.Span) error {
	if at.Count != 0 {
		if want := l.bytes(at); chunkSize != l.chunkSize || size != want {
			return fault.New(merkle.ErrShape, "chunks %d to %d: %d bytes in chunks of %d, want %d in chunks of %d",
				at.First, at.End(), size, chunkSize, want, l.chunkSize)
		}
		return nil
	}
	step := uint64(chunkSize)
	if step == 0 || size == 0 || size > MaxSize || chunks != (size+step-1)/step {
		return fault.New(merkle.ErrShape, "a root of %d bytes in %d chunks of %d", size, chunks, chunkSize)
	}
	*l = layout{chunkSize, size, chunks}
	return nil
}
