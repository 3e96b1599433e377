// Package tlog is an append-only log as RFC 6962 defines it, over leaf hashes
// that others make (RFC-MYTHOS-0005 §10): compact ranges, tree heads, proofs
// of inclusion and of consistency, and signed checkpoints in the C2SP formats
// tlog-checkpoint, signed-note and tlog-cosignature.
//
// The tree over no leaves has the root SHA-256(""). An inner node is SHA-256(01
// || left || right), and the left half of n leaves is the largest power of two
// below n. A subtree is perfect if it has 2^level leaves and begins at a multiple
// of that; a Source gives the roots of perfect subtrees, level 0 being the leaves.
//
// A checkpoint is a text of three lines or more (origin, size, root in base64,
// extension lines), an empty line, and signature lines:
//
//	mythos.run/ledger/8949165b95658551db08af7070065cdc
//	2
//	zdPw6U6ZFPBs34eUK27zsobxwRZFpQwvjbrL8IGy9L4=
//
//	— NAME base64(key id, 4 bytes || signature)
//
// The name is that of the key; a log signs under its origin.
package tlog

import (
	"crypto/sha256"
	"math/bits"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of this package.
const (
	ErrFormat    fault.Code = "checkpoint_format"    // bytes that are no checkpoint
	ErrSignature fault.Code = "checkpoint_signature" // a known key's signature that does not verify
	ErrSigner    fault.Code = "checkpoint_signer"    // no signature by a known key of the log
	ErrKey       fault.Code = "checkpoint_key"       // text that is no verifier key
	ErrProof     fault.Code = "log_proof"            // a proof that does not prove it
	ErrRange     fault.Code = "log_range"            // an index or size that the tree does not have
)

// MaxSize bounds the number of leaves.
const MaxSize = 1<<63 - 1

// Node returns the hash of an inner node.
func Node(left, right cid.Hash) cid.Hash {
	var b [65]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}

// Empty returns the root of the tree without leaves.
func Empty() cid.Hash { return sha256.Sum256(nil) }

// Range is a tree in its compact form: the roots of the perfect subtrees that it
// falls into, one for each bit of its size. The zero Range is the empty tree. It
// may be copied.
type Range struct {
	size  uint64
	peaks [64]cid.Hash // by level, where that bit of size is set
}

// Size returns the number of leaves.
func (r *Range) Size() uint64 { return r.size }

// Append adds a leaf. It does not allocate.
func (r *Range) Append(leaf cid.Hash) { r.grow(0, leaf, nil) }

// Grow is Append and tells of every perfect subtree that is complete with this
// leaf, the leaf itself first.
func (r *Range) Grow(leaf cid.Hash, complete func(level uint8, index uint64, root cid.Hash)) {
	r.grow(0, leaf, complete)
}

// grow adds a perfect subtree; size is a multiple of its leaves.
func (r *Range) grow(level uint8, root cid.Hash, complete func(uint8, uint64, cid.Hash)) {
	begin := r.size
	r.size += 1 << level
	for ; ; level++ {
		if complete != nil {
			complete(level, begin>>level, root)
		}
		if begin>>level&1 == 0 {
			r.peaks[level] = root
			return
		}
		root = Node(r.peaks[level], root)
	}
}

// Root returns the tree's root.
func (r *Range) Root() cid.Hash {
	if r.size == 0 {
		return Empty()
	}
	level := bits.TrailingZeros64(r.size)
	root := r.peaks[level]
	for level++; level < len(r.peaks); level++ {
		if r.size>>level&1 == 1 {
			root = Node(r.peaks[level], root)
		}
	}
	return root
}
