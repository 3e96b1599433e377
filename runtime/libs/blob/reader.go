package blob

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

// Blob reads a chunked blob from its root. Nothing is returned that was not
// verified against the root. It is safe for concurrent use if its Get is.
type Blob struct {
	root cid.Hash
	get  merkle.Get
	raw  []byte // the root node
	layout
}

// Open reads and checks the root node of a blob that is not empty.
func Open(root cid.Hash, get merkle.Get) (*Blob, error) {
	raw, err := get(root, merkle.MaxNode)
	if err != nil {
		return nil, fmt.Errorf("root of blob: %w", err)
	}
	v := NewVerifier(root)
	if err := v.Give(raw); err != nil {
		return nil, err
	}
	return &Blob{root, get, raw, *v.form}, nil
}

// Size returns the blob's size in bytes.
func (b *Blob) Size() uint64 { return b.size }

// Tree describes the blob.
func (b *Blob) Tree() Tree { return Tree{&b.root, b.size, b.chunks, b.chunkSize} }

// Reader returns a reader of the whole blob.
func (b *Blob) Reader() *Reader {
	f := fetcher{b.verifier(), b.get}
	return &Reader{next: f.chunk, left: b.size}
}

// Range returns a reader of the n bytes from off on. It fetches the chunks that
// hold them and no others.
func (b *Blob) Range(off, n uint64) (*Reader, error) {
	if n == 0 && off <= b.size {
		return &Reader{}, nil
	}
	v := b.verifier()
	if err := v.Seek(off, n); err != nil {
		return nil, err
	}
	f := fetcher{v, b.get}
	return &Reader{next: f.chunk, skip: off % uint64(b.chunkSize), left: n}, nil
}

// Chunk returns the bytes of chunk i.
func (b *Blob) Chunk(i uint64) ([]byte, error) {
	if i >= b.chunks {
		return nil, fault.New(ErrRange, "chunk %d of %d", i, b.chunks).About(b.root.String())
	}
	v := b.verifier()
	if err := v.Seek(i*uint64(b.chunkSize), 1); err != nil {
		return nil, err
	}
	f := fetcher{v, b.get}
	return f.chunk()
}

// Chunks yields every chunk's hash and length in order, reading nodes alone. It
// ends after the first error.
func (b *Blob) Chunks() iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		v := b.verifier()
		for {
			w, ok := v.Want()
			if !ok {
				return
			}
			var err error
			if w.Node {
				err = (fetcher{v, b.get}).node(w)
			} else {
				if !yield(Chunk{w.ID, uint32(w.Limit)}, nil) {
					return
				}
				err = v.Skip()
			}
			if err != nil {
				yield(Chunk{}, err)
				return
			}
		}
	}
}

// verifier returns a Verifier that stands under the root.
func (b *Blob) verifier() *Verifier {
	v := NewVerifier(b.root)
	if err := v.Give(b.raw); err != nil {
		panic(err) // Open has accepted the same bytes
	}
	return v
}

// fetcher supplies a Verifier from a Get.
type fetcher struct {
	v   *Verifier
	get merkle.Get
}

// node fetches the node w.
func (f fetcher) node(w Want) error {
	raw, err := f.get(w.ID, w.Limit)
	if err != nil {
		return fmt.Errorf("node over chunk %d: %w", w.Index, unexpected(err))
	}
	return f.v.Give(raw)
}

// chunk fetches the next chunk and whatever nodes lead to it.
func (f fetcher) chunk() ([]byte, error) {
	for {
		w, ok := f.v.Want()
		if !ok {
			return nil, io.ErrUnexpectedEOF // a Reader asks for no chunk after its range
		}
		if w.Node {
			if err := f.node(w); err != nil {
				return nil, err
			}
			continue
		}
		b, err := f.get(w.ID, w.Limit)
		if err != nil {
			return nil, fmt.Errorf("chunk %d: %w", w.Index, unexpected(err))
		}
		if err := f.v.Give(b); err != nil {
			return nil, fmt.Errorf("chunk %d: %w", w.Index, err)
		}
		return b, nil
	}
}

// unexpected keeps a source's io.EOF from looking like the blob's end.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Reader yields verified bytes and stops at the first wrong chunk. It holds one
// chunk. io.EOF means that the whole range was read.
type Reader struct {
	next func() ([]byte, error) // the next chunk, verified
	buf  []byte                 // verified and not read yet
	skip uint64                 // bytes of the first chunk before the range
	left uint64                 // bytes of the range not read yet
	err  error                  // sticky
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 && r.err == nil && r.left > 0 {
		return 0, nil
	}
	if err := r.fill(); err != nil {
		return 0, err
	}
	n := copy(p, r.buf)
	r.buf = r.buf[n:]
	r.left -= uint64(n)
	return n, nil
}

// WriteTo implements io.WriterTo, so that io.Copy moves whole chunks.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		err := r.fill()
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		n, err := w.Write(r.buf)
		total += int64(n)
		r.buf = r.buf[n:]
		r.left -= uint64(n)
		if err != nil {
			return total, err
		}
	}
}

// fill makes sure that buf holds bytes of the range.
func (r *Reader) fill() error {
	switch {
	case r.err != nil:
		return r.err
	case r.left == 0:
		return io.EOF
	case len(r.buf) > 0:
		return nil
	}
	chunk, err := r.next()
	if err != nil {
		r.err = err
		return err
	}
	chunk = chunk[r.skip:]
	r.skip = 0
	r.buf = chunk[:min(uint64(len(chunk)), r.left)]
	return nil
}
