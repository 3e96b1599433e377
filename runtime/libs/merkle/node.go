// Package merkle holds trees of content-addressed nodes in which one input has
// exactly one root (RFC-MYTHOS-0004). A node is
//
//	MerkleNode {1: version = 1, 2: kind, 3: payload BYTES}     id = SHA-256 of it
//
// with four kinds of payload: 1 MerkleListLeaf {1: values}, 2 MerkleListInternal
// {1: children, 2: count}, 3 ChunkLeaf and 4 ChunkInternal (package blob). Items
// are grouped by 1024 into leaves, leaves by 1024 into internal nodes and so on
// until one node is left, the root; a last group of one node is passed up
// unchanged. So the shape of a tree follows from its number of items: over n of
// them stands a leaf if n <= 1024, otherwise, with w the greatest power of 1024
// below n, an internal node over parts of w items and a last part of the rest.
// Readers derive that shape and refuse every other one. A tree has at most 2^40
// items and four levels; a node has at most 64 KiB. The empty list has no node.
//
// For example the list of one value v is the leaf
//
//	08 03  03 01 03 01  03 02 03 01  03 03 05 30
//	   08 01 03 01 07 01  08 02 03 01 03 01 03 02 05 20 <32 bytes of v>
//
// Nothing here does I/O: nodes come from a Get, go to a Put, or are handed to a
// Cursor, which says what it wants and checks what it gets.
package merkle

import (
	"bytes"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of this package.
const (
	ErrVersion fault.Code = "merkle_version" // a node of a version other than 1
	ErrKind    fault.Code = "merkle_kind"    // a node of an unknown kind or of the other tree
	ErrShape   fault.Code = "merkle_shape"   // a node that is not the one node that its place in the tree can have
	ErrHash    fault.Code = "merkle_hash"    // bytes that are not those that their id names
	ErrProof   fault.Code = "merkle_proof"   // a proof with too few or too many parts, or with wrong positions
	ErrRange   fault.Code = "merkle_range"   // an index, range or count outside what the tree has or may have
)

// Node kinds (RFC-MYTHOS-0004 §1).
const (
	KindListLeaf uint8 = 1 + iota
	KindListInternal
	KindChunkLeaf
	KindChunkInternal
)

// Limits of every tree (RFC-MYTHOS-0004 §7).
const (
	Fanout    = 1024      // items of a full leaf, children of a full internal node
	MaxCount  = 1 << 40   // items of a tree
	MaxHeight = 4         // nodes from the root to a leaf
	MaxNode   = 64 * 1024 // bytes of an encoded node
)

const version = 1

// Get returns the bytes stored under id. More than limit bytes are an error.
// What it returns need not be verified: whoever calls it here does that.
type Get func(id cid.Hash, limit int64) ([]byte, error)

// Put stores b, whose hash is id. b is valid only during the call.
type Put func(id cid.Hash, b []byte) error

// Body is a generated struct.
type Body interface {
	AppendCAN(b []byte) []byte
	ReadCAN(r *can.Reader)
}

// CloseNode wraps the payload of a node of the given kind and returns the
// node's id and canonical bytes.
func CloseNode(kind uint8, payload []byte) (cid.Hash, []byte) {
	n := Node{Version: version, Kind: kind, Payload: payload}
	raw := n.AppendCAN(make([]byte, 0, len(payload)+20))
	return cid.Sum(raw), raw
}

// OpenNode returns the kind and payload of the node raw, which must have the
// given id. The payload aliases raw and is still to be decoded.
func OpenNode(id cid.Hash, raw []byte) (kind uint8, payload []byte, err error) {
	if len(raw) > MaxNode {
		return 0, nil, fault.New(ErrShape, "a node of %d bytes, at most %d", len(raw), MaxNode).About(id.String())
	}
	if got := cid.Sum(raw); got != id {
		return 0, nil, fault.New(ErrHash, "the node's bytes hash to %s", got).About(id.String())
	}
	n, err := DecodeNode(raw)
	return n.Kind, n.Payload, err
}

// DecodeNode decodes a node whose id is not known, for display. The payload
// aliases raw.
func DecodeNode(raw []byte) (Node, error) {
	var n Node
	if len(raw) > MaxNode {
		return n, fault.New(ErrShape, "a node of %d bytes, at most %d", len(raw), MaxNode)
	}
	if err := DecodeExact(raw, &n); err != nil {
		return Node{}, err
	}
	switch {
	case n.Version != version:
		return Node{}, fault.New(ErrVersion, "node version %d, want %d", n.Version, version)
	case n.Kind < KindListLeaf || n.Kind > KindChunkInternal:
		return Node{}, fault.New(ErrKind, "node kind %d, want 1 to 4", n.Kind)
	}
	return n, nil
}

// DecodeExact decodes raw into x and refuses bytes other than those that x
// encodes to: a field that is not known here would give one input a second
// root (RFC-MYTHOS-0004 §1).
func DecodeExact(raw []byte, x Body) error {
	r := can.NewReader(raw)
	x.ReadCAN(&r)
	if err := r.Done(); err != nil {
		return err
	}
	if !bytes.Equal(raw, x.AppendCAN(make([]byte, 0, len(raw)))) {
		return fault.New(ErrShape, "the node has a field that its version does not have")
	}
	return nil
}
