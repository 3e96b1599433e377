package cas

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Verify returns a reader of the size bytes that rc yields, which must hash to
// want: the checking half of Store.Open. The bytes that complete the object
// are handed out only once the hash is known to be right. A short, long or
// wrong stream is ErrCorrupt; errors of rc pass through. Closing it closes rc.
func Verify(rc io.ReadCloser, want cid.Hash, size int64) io.ReadCloser {
	return &verifier{rc: rc, sum: sha256.New(), want: want, left: size}
}

type verifier struct {
	rc   io.ReadCloser
	sum  hash.Hash
	want cid.Hash
	left int64
	err  error // sticky
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.err == nil && v.left == 0 {
		v.err = v.end()
	}
	if v.err != nil || len(p) == 0 {
		return 0, v.err
	}
	if int64(len(p)) > v.left {
		p = p[:v.left]
	}
	n, err := v.rc.Read(p)
	v.sum.Write(p[:n])
	v.left -= int64(n)
	switch {
	case v.left == 0:
		if v.err = v.end(); !errors.Is(v.err, io.EOF) {
			clear(p[:n])
			return 0, v.err
		}
	case errors.Is(err, io.EOF):
		v.err = fault.New(ErrCorrupt, "ends %d bytes early", v.left).About(v.want.String())
	case err != nil:
		v.err = err
	}
	if v.err != nil && !errors.Is(v.err, io.EOF) {
		return n, v.err
	}
	return n, nil
}

// end returns io.EOF if everything was as promised.
func (v *verifier) end() error {
	if got := cid.Hash(v.sum.Sum(nil)); got != v.want {
		return fault.New(ErrCorrupt, "the stored bytes hash to %s", got).About(v.want.String())
	}
	var probe [1]byte
	n, err := io.ReadFull(v.rc, probe[:])
	switch {
	case n > 0:
		return fault.New(ErrCorrupt, "more bytes than its size").About(v.want.String())
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	return err
}

func (v *verifier) Close() error { return v.rc.Close() }

const copyBuffer = 256 << 10 // bytes

// Receive copies the size bytes that r yields to w and checks that they are
// all of r and hash to want: the checking half of Putter.PutFrom. ErrMismatch
// says that they do not; the caller then discards what w got. It reads at most
// size+1 bytes and stops between reads when ctx ends.
func Receive(ctx context.Context, w io.Writer, r io.Reader, want cid.Hash, size int64) error {
	if size < 0 {
		return fault.New(ErrMismatch, "size %d", size).About(want.String())
	}
	in := source{ctx, r}
	n, got, err := copyAndHash(w, io.LimitReader(in, size), size)
	if err != nil {
		return err
	}
	if n < size {
		return fault.New(ErrMismatch, "got %d bytes, want %d", n, size).About(want.String())
	}
	if got != want {
		return fault.New(ErrMismatch, "the bytes offered hash to %s", got).About(want.String())
	}
	var probe [1]byte
	switch n, err := io.ReadFull(in, probe[:]); {
	case n > 0:
		return fault.New(ErrMismatch, "got more than %d bytes", size).About(want.String())
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// copyAndHash copies at most size bytes from r to w and hashes them, at the same
// time if they are many.
func copyAndHash(w io.Writer, r io.Reader, size int64) (n int64, sum cid.Hash, err error) {
	h := sha256.New()
	if size <= copyBuffer {
		n, err = io.CopyBuffer(io.MultiWriter(w, h), r, make([]byte, size+1))
		return n, cid.Hash(h.Sum(nil)), err
	}
	const buffers = 4
	free, full, done := make(chan []byte, buffers), make(chan []byte, buffers), make(chan struct{})
	for range buffers {
		free <- make([]byte, copyBuffer)
	}
	go func() {
		defer close(done)
		for b := range full {
			h.Write(b)
			free <- b[:copyBuffer]
		}
	}()
	for err == nil {
		b := <-free // this loop has written it, so that it is hashed is enough
		var got int
		if got, err = io.ReadFull(r, b); got > 0 {
			full <- b[:got]
			if _, failed := w.Write(b[:got]); failed != nil {
				err = failed
				break
			}
			n += int64(got)
		}
	}
	close(full)
	<-done
	var src *SourceError
	if !errors.As(err, &src) && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		err = nil // the stream ended, which is not an error of its own
	}
	return n, cid.Hash(h.Sum(nil)), err
}

// source reads r until ctx ends, and marks r's errors as the source's own, so
// that they are not taken for the store's.
type source struct {
	ctx context.Context
	r   io.Reader
}

// SourceError is an error of the reader that was given to PutFrom.
type SourceError struct{ Err error }

// Error says that the source failed.
func (e *SourceError) Error() string { return fmt.Sprintf("read the object to store: %v", e.Err) }

// Unwrap returns the reader's error.
func (e *SourceError) Unwrap() error { return e.Err }

func (s source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &SourceError{err}
	}
	return n, err
}
