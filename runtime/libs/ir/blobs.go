package ir

import (
	"context"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

// blobChunk is the size up to which a blob's cid is its own hash, and of its
// chunks above (RFC-MYTHOS-0012 §4.5).
const blobChunk = 4 << 20

// blobPut stores BYTES. The request payload is {1 cid, 2 size, 3 media,
// 4 namespace}; the content goes to the host beside it.
func (m *machine) blobPut(ctx context.Context, in *instr) error {
	b := m.r[in.a].bytes()
	var blobBytes []byte
	if b[0] == can.Bytes {
		blobBytes = content(b)
	}
	if err := m.charge(costEffect + per(uint64(len(blobBytes)), costUnit)); err != nil {
		return err
	}
	if b[0] != can.Bytes {
		return trap(TrapType, "r%d is %s, want BYTES", in.a, can.TagName(b[0]))
	}
	id := BlobCID(blobBytes)
	p := can.AppendMap(nil, 4)
	p = id.AppendCAN(can.AppendField(p, 1))
	p = can.AppendUint(can.AppendField(p, 2), uint64(len(blobBytes)))
	p = append(can.AppendField(p, 3), m.p.consts[in.i]...)
	p = append(can.AppendField(p, 4), m.p.consts[in.j]...)
	return m.perform(ctx, &pending{
		call:       EffectCall{Tool: abi.BlobPutID, Name: abi.BlobPut, Payload: p, Blob: blobBytes},
		maxRequest: MaxRequest, writes: true, out: in.b, receipt: in.c,
	})
}

// BlobCID returns the cid that BLOB_PUT gives a blob of at most MaxValue bytes:
// up to 4 MiB the SHA-256 of the content, above the root of its chunk DAG with
// chunks of 4 MiB, which is a single leaf.
func BlobCID(b []byte) cid.Hash {
	if len(b) <= blobChunk {
		return cid.Sum(b)
	}
	leaf := blob.ChunkLeaf{ChunkSize: blobChunk, TotalSize: uint64(len(b))}
	for len(b) > 0 {
		n := min(len(b), blobChunk)
		leaf.Chunks = append(leaf.Chunks, blob.Chunk{Hash: cid.Sum(b[:n]), Len: uint32(n)})
		b = b[n:]
	}
	node := merkle.Node{Version: 1, Kind: chunkLeafKind, Payload: leaf.AppendCAN(nil)}
	return cid.Sum(node.AppendCAN(nil))
}

const chunkLeafKind = 3 // of a MerkleNode

// blobGet reads a blob, or with BLOB_CHUNK_GET one chunk of it. The request
// payload is {1 ref} or {1 ref, 2 index}.
func (m *machine) blobGet(ctx context.Context, in *instr) error {
	if err := m.charge(costEffect); err != nil {
		return err
	}
	ref := &m.r[in.a]
	if err := checkRef(ref.bytes()); err != nil {
		return trap(TrapType, "r%d is not a BlobRef: %w", in.a, err)
	}
	e := pending{
		call:       EffectCall{Tool: abi.BlobGetID, Name: abi.BlobGet},
		maxRequest: MaxRequest, out: in.b, receipt: in.c,
	}
	fields := 1
	index := m.r[in.d].bytes()
	if in.op == opBlobChunkGet {
		if index[0] != can.Uint {
			return trap(TrapType, "r%d is %s, want a UVARINT", in.d, can.TagName(index[0]))
		}
		e.call.Tool, e.call.Name, fields = abi.BlobChunkGetID, abi.BlobChunkGet, 2
	}
	if ref.nesting() >= can.MaxDepth {
		return tooDeep()
	}
	p := append(can.AppendField(can.AppendMap(nil, fields), 1), ref.bytes()...)
	if fields == 2 {
		p = append(can.AppendField(p, 2), index...)
	}
	e.call.Payload = p
	return m.perform(ctx, &e)
}

// checkRef refuses bytes that do not decode as a BlobRef.
func checkRef(b []byte) error {
	var ref blob.Ref
	r := can.NewReader(b)
	ref.ReadCAN(&r)
	return r.Done()
}
