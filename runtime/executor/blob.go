package executor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// The built-in tools store and read content by its hash (RFC-MYTHOS-0012 §4.5).
const (
	builtinTimeout = 30 * time.Second // for the lease
	builtinEngine  = "mythos"
	maxBlob        = 16_777_000 // bytes that fit in one value
	blobChunkSize  = blob.FlatLimit
)

// The error codes in responses of the built-in tools.
const (
	CodeBlobTooLarge   fault.Code = "blob_too_large"
	CodeBlobMissing    fault.Code = "blob_missing"
	CodeBlobChunkRange fault.Code = "blob_chunk_range"
)

// maxObject bounds a request or response that is read back whole.
const maxObject = 64 << 20

// object returns an object from the ledger's own items or the object store.
func (e *Executor) object(ctx context.Context, id cid.Hash) ([]byte, error) {
	b, err := e.Ledger.Object(ctx, id)
	if errors.Is(err, ledger.ErrNoItem) {
		return e.Objects.Get(ctx, id, maxObject)
	}
	return b, err
}

func decodePut(payload []byte) (blob.PutRequest, error) {
	var x blob.PutRequest
	r := can.NewReader(payload)
	x.ReadCAN(&r)
	return x, r.Done()
}

func decodeGet(payload []byte) (blob.GetRequest, error) {
	var x blob.GetRequest
	r := can.NewReader(payload)
	x.ReadCAN(&r)
	return x, r.Done()
}

// blobScope returns the least blob capability that a call needs.
func blobScope(c *call) (kind uint8, scope []byte, err error) {
	if c.Tool == abi.BlobPutID {
		x, err := decodePut(c.Payload)
		s := caps.BlobWrite{Namespace: x.Namespace, MaxSize: x.Size, MediaAllow: []string{x.Media}}
		return caps.KindBlobWrite, s.AppendCAN(nil), err
	}
	x, err := decodeGet(c.Payload)
	s := caps.BlobRead{CID: x.Ref.CID}
	if x.Index != nil && x.Ref.Chunks > 0 {
		start, length := chunkRange(x.Ref, *x.Index)
		s.RangeStart, s.RangeLen = &start, &length
	}
	return caps.KindBlobRead, s.AppendCAN(nil), err
}

// chunkRange returns where chunk i of a blob lies, cut to the blob's end.
func chunkRange(ref blob.Ref, i uint64) (start, length uint64) {
	start = min(i, uint64(ref.Chunks)) * blobChunkSize
	start = min(start, ref.Size)
	return start, min(blobChunkSize, ref.Size-start)
}

// storeBlob makes BLOB_PUT's content durable before its register is written.
func (r *run) storeBlob(ctx context.Context, c *call) error {
	if c.Tool != abi.BlobPutID {
		return nil
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	_, err := cas.PutBlob(ctx, r.Objects, bytes.NewReader(c.Blob))
	return err
}

// builtin answers a call of a built-in tool. An error means that the store
// failed, which is no answer.
func (r *run) builtin(ctx context.Context, c *call) ([]byte, error) {
	if c.Tool == abi.BlobPutID {
		x, err := decodePut(c.Payload)
		if err != nil {
			return nil, err
		}
		ref := blob.Ref{CID: x.CID, Size: x.Size, Media: x.Media, Codec: blob.CodecRaw}
		if x.Size > blobChunkSize {
			ref.Chunks = uint32((x.Size + blobChunkSize - 1) / blobChunkSize)
		}
		return respond(ref.AppendCAN(nil)), nil
	}
	x, err := decodeGet(c.Payload)
	if err != nil {
		return nil, err
	}
	if x.Index == nil || x.Ref.Chunks == 0 {
		if x.Index != nil && *x.Index > 0 {
			return abi.Fail(416, string(CodeBlobChunkRange), ""), nil
		}
		return r.readBlob(ctx, x.Ref)
	}
	return r.readChunk(ctx, x.Ref, *x.Index)
}

func respond(payload []byte) []byte {
	x := abi.Response{Status: abi.StatusOK, Payload: payload}
	return x.AppendCAN(nil)
}

func (r *run) readBlob(ctx context.Context, ref blob.Ref) ([]byte, error) {
	if ref.Size > maxBlob {
		return abi.Fail(413, string(CodeBlobTooLarge), ""), nil
	}
	src, err := ref.Open(cas.GetFunc(ctx, r.Objects))
	if err != nil {
		return missing(err)
	}
	b, err := io.ReadAll(src)
	if err != nil {
		return missing(err)
	}
	return respond(can.AppendBytes(nil, b)), nil
}

// readChunk reads what the capability was checked for: the byte range of chunk i
// follows from the ref, so the ref must tell the truth about the tree.
func (r *run) readChunk(ctx context.Context, ref blob.Ref, i uint64) ([]byte, error) {
	if i >= uint64(ref.Chunks) {
		return abi.Fail(416, string(CodeBlobChunkRange), ""), nil
	}
	src, err := blob.Open(ref.CID, cas.GetFunc(ctx, r.Objects))
	if err != nil {
		return missing(err)
	}
	if t := src.Tree(); t.Size != ref.Size || t.Chunks != uint64(ref.Chunks) || t.ChunkSize != blobChunkSize {
		return missing(fault.New(blob.ErrSize, "the ref is not of the tree"))
	}
	b, err := src.Chunk(i)
	if err != nil {
		return missing(err)
	}
	return respond(can.AppendBytes(nil, b)), nil
}

// missing answers 404 for a blob that the store does not have: not at all, or not
// as the ref says. A failure of the store is no answer.
func missing(err error) ([]byte, error) {
	code := fault.CodeOf(err)
	for _, failed := range []error{cas.ErrUnavailable, cas.ErrCorrupt, context.Canceled, context.DeadlineExceeded} {
		if code == "" || errors.Is(err, failed) {
			return nil, err
		}
	}
	return abi.Fail(404, string(CodeBlobMissing), ""), nil
}
