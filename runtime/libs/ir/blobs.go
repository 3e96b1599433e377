package ir

import (
	"context"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/can"
)

// blobPut stores BYTES. The request payload is {1 cid, 2 size, 3 media,
// 4 namespace}, the cid made as an artifact's is; the content goes to the host
// beside it.
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
	req := blob.PutRequest{
		CID: blob.ArtifactOf(blobBytes).CID, Size: uint64(len(blobBytes)),
		Media: string(content(m.p.consts[in.i])), Namespace: string(content(m.p.consts[in.j])),
	}
	return m.perform(ctx, &pending{
		call:       EffectCall{Tool: abi.BlobPutID, Name: abi.BlobPut, Payload: req.AppendCAN(nil), Blob: blobBytes},
		maxRequest: MaxRequest, writes: true, out: in.b, receipt: in.c,
	})
}

// blobGet reads a blob, or with BLOB_CHUNK_GET one chunk of it. The request
// payload is {1 ref} or {1 ref, 2 index}, the ref as it is, unknown fields
// included.
func (m *machine) blobGet(ctx context.Context, in *instr) error {
	if err := m.charge(costEffect); err != nil {
		return err
	}
	ref := &m.r[in.a]
	if err := checkRef(ref.bytes()); err != nil {
		return trap(TrapType, "r%d is not a BlobRef: %w", in.a, err)
	}
	if ref.nesting() >= can.MaxDepth {
		return tooDeep()
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
