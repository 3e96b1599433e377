package cas_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// TestVerify reads objects that were changed, cut or grown on their way,
// through readers that are as awkward as io.Reader allows. What is read to the
// end is the object; a caller never gets size bytes of anything else.
func TestVerify(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		object := rapid.SliceOf(rapid.Byte()).Draw(t, "object")
		sent := bytes.Clone(object)
		if rapid.Bool().Draw(t, "change") {
			sent = rapid.SliceOf(rapid.Byte()).Draw(t, "sent")
		}
		size := int64(len(sent))
		if rapid.Bool().Draw(t, "lie") {
			size = rapid.Int64Range(0, 40).Draw(t, "size")
		}
		r := awkward(t, bytes.NewReader(sent))
		got, err := io.ReadAll(cas.Verify(io.NopCloser(r), cid.Sum(object), size))
		good := bytes.Equal(sent, object) && size == int64(len(object))
		switch {
		case good && (err != nil || !bytes.Equal(got, object)):
			t.Fatalf("the object itself: %d bytes, %v", len(got), err)
		case !good && !errors.Is(err, cas.ErrCorrupt):
			t.Fatalf("got %v, want %v", err, cas.ErrCorrupt)
		case !good && size > 0 && int64(len(got)) >= size:
			t.Fatalf("all %d bytes of a wrong object were handed out", size)
		}
	})
}

func TestReceive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		object := rapid.SliceOf(rapid.Byte()).Draw(t, "object")
		sent := bytes.Clone(object)
		if rapid.Bool().Draw(t, "change") {
			sent = rapid.SliceOf(rapid.Byte()).Draw(t, "sent")
		}
		size := rapid.SampledFrom([]int64{int64(len(object)), int64(len(sent)), -1, 0, 1 << 50}).Draw(t, "size")
		var w bytes.Buffer
		err := cas.Receive(t.Context(), &w, awkward(t, bytes.NewReader(sent)), cid.Sum(object), size)
		good := bytes.Equal(sent, object) && size == int64(len(object))
		switch {
		case good && (err != nil || !bytes.Equal(w.Bytes(), object)):
			t.Fatalf("the object itself: %d bytes, %v", w.Len(), err)
		case !good && !errors.Is(err, cas.ErrMismatch):
			t.Fatalf("got %v, want %v", err, cas.ErrMismatch)
		}
	})
}

func awkward(t *rapid.T, r io.Reader) io.Reader {
	for _, wrap := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
		if rapid.Bool().Draw(t, "wrap") {
			r = wrap(r)
		}
	}
	return r
}

func TestVerifyPassesErrorsOn(t *testing.T) {
	broken := errors.New("the disk went away")
	b := []byte("object")
	for n := range len(b) + 1 {
		r := io.MultiReader(bytes.NewReader(b[:n]), iotest.ErrReader(broken))
		_, err := io.ReadAll(cas.Verify(io.NopCloser(r), cid.Sum(b), int64(len(b))))
		if !errors.Is(err, broken) || errors.Is(err, cas.ErrCorrupt) {
			t.Errorf("after %d bytes: %v, want %v", n, err, broken)
		}
	}
}

type failing struct{ error }

func (f failing) Write([]byte) (int, error) { return 0, f.error }

func TestReceiveWriterFails(t *testing.T) {
	b := []byte("object")
	full := errors.New("full")
	err := cas.Receive(t.Context(), failing{full}, bytes.NewReader(b), cid.Sum(b), int64(len(b)))
	var src *cas.SourceError
	if !errors.Is(err, full) || errors.As(err, &src) {
		t.Errorf("got %v, want the writer's error, not the source's", err)
	}
}
