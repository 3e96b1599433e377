package blob

import (
	"bytes"
	"fmt"
	"io"
	"math"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

// Codecs of a BlobRef: how a blob's bytes were encoded before they were chunked
// (RFC-MYTHOS-0002 §2.7).
const (
	CodecRaw uint8 = iota
	CodecZstd
	CodecGzip
	CodecJPEG
	CodecPNG
	CodecJSONCBOR
	CodecParquet
)

// Ref returns the BlobRef of a tree, whose bytes have the given media type and
// codec. A tree of more than 2^32-1 chunks has none.
func (t Tree) Ref(media string, codec uint8) (Ref, error) {
	if t.Chunks > math.MaxUint32 {
		return Ref{}, fault.New(ErrSize, "%d chunks, a BlobRef holds at most %d", t.Chunks, uint32(math.MaxUint32))
	}
	return Ref{CID: t.CID(), Size: t.Size, Media: media, Codec: codec, Chunks: uint32(t.Chunks)}, nil
}

// FlatRef returns the BlobRef of bytes that are stored as one object.
func FlatRef(b []byte, media string, codec uint8) Ref {
	return Ref{CID: cid.Sum(b), Size: uint64(len(b)), Media: media, Codec: codec}
}

// DecodeRef decodes a BlobRef and checks that its size and chunk count can
// belong together. BYTES in it alias raw.
func DecodeRef(raw []byte) (Ref, error) {
	var x Ref
	r := can.NewReader(raw)
	x.ReadCAN(&r)
	if err := r.Done(); err != nil {
		return Ref{}, err
	}
	return x, x.check()
}

func (x *Ref) check() error {
	switch {
	case x.Size > MaxSize || uint64(x.Chunks) > x.Size:
		return fault.New(ErrSize, "%d bytes in %d chunks", x.Size, x.Chunks).About(x.CID.String())
	case x.Size == 0 && x.CID != cid.Sum(nil):
		return fault.New(ErrHash, "an empty blob is named by the hash of no bytes").About(x.CID.String())
	}
	return nil
}

// Open returns a reader of the blob that x names; get supplies its objects. The
// sizes that x states must be the tree's. A blob that is stored as one object
// (Chunks 0) is read whole and may have at most MaxChunkSize bytes.
func (x *Ref) Open(get merkle.Get) (io.Reader, error) {
	if err := x.check(); err != nil {
		return nil, err
	}
	if x.Chunks == 0 {
		return openFlat(x.CID, x.Size, MaxChunkSize, get)
	}
	b, err := Open(x.CID, get)
	if err != nil {
		return nil, err
	}
	if b.size != x.Size || b.chunks != uint64(x.Chunks) {
		return nil, fault.New(ErrSize, "%d bytes in %d chunks, the tree has %d in %d", x.Size, x.Chunks, b.size, b.chunks).About(x.CID.String())
	}
	return b.Reader(), nil
}

// openFlat reads an object that is named by the SHA-256 of its bytes.
func openFlat(id cid.Hash, size, limit uint64, get merkle.Get) (io.Reader, error) {
	if size > limit {
		return nil, fault.New(ErrSize, "%d bytes in one object, at most %d", size, limit).About(id.String())
	}
	if size == 0 && id == cid.Sum(nil) {
		return bytes.NewReader(nil), nil
	}
	b, err := get(id, int64(size))
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", id, unexpected(err))
	}
	switch got := cid.Sum(b); {
	case got != id:
		return nil, fault.New(ErrHash, "the bytes hash to %s", got).About(id.String())
	case uint64(len(b)) != size:
		return nil, fault.New(ErrSize, "%d bytes, want %d", len(b), size).About(id.String())
	}
	return bytes.NewReader(b), nil
}
