package castest

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/cas"
)

// mutations of an object's stored bytes, all of which change them.
var mutations = map[string]func(b []byte) []byte{
	"first bit":  func(b []byte) []byte { b[0] ^= 0x80; return b },
	"last bit":   func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
	"truncated":  func(b []byte) []byte { return b[:len(b)-1] },
	"longer":     func(b []byte) []byte { return append(b, 0) },
	"emptied":    func([]byte) []byte { return nil },
	"other data": func(b []byte) []byte { return object(len(b) + 7) },
}

func damaged(t *testing.T, hn Harness) {
	for name, mutate := range mutations {
		for _, n := range []int{1, 4096, 1 << 20} {
			s := hn.New(t)
			h := put(t, s, object(n))
			hn.Damage(t, s, h, mutate(object(n)))
			what := fmt.Sprintf("%s of %d", name, n)
			b, err := s.Get(t.Context(), h, much)
			wantErr(t, "Get, "+what, err, cas.ErrCorrupt)
			if b != nil {
				t.Errorf("%s: bytes came with the error", what)
			}
			r, size, err := s.Open(t.Context(), h)
			if err != nil {
				wantErr(t, "Open, "+what, err, cas.ErrCorrupt)
				continue
			}
			wantCorruptStream(t, what, r, size)
		}
	}
	s := hn.New(t)
	h := put(t, s, nil)
	hn.Damage(t, s, h, []byte("x"))
	_, err := s.Get(t.Context(), h, much)
	wantErr(t, "Get of the empty object, grown", err, cas.ErrCorrupt)
}

// wantCorruptStream reads to the size that was announced, as a caller would
// that never asks for the end.
func wantCorruptStream(t *testing.T, what string, r io.ReadCloser, size int64) {
	t.Helper()
	defer r.Close()
	n, err := io.CopyN(io.Discard, r, max(size, 1))
	wantErr(t, "reading, "+what, err, cas.ErrCorrupt)
	if n >= max(size, 1) {
		t.Errorf("%s: all %d bytes were handed out", what, n)
	}
	_, again := r.Read(make([]byte, 1))
	wantErr(t, "reading on, "+what, again, cas.ErrCorrupt)
}

// damagedIsKept checks that a damaged object stays as it is, for someone to
// look at, and is named in the list.
func damagedIsKept(t *testing.T, hn Harness) {
	s := hn.New(t)
	b := object(5000)
	h := put(t, s, b)
	bad := mutations["last bit"](object(5000))
	hn.Damage(t, s, h, bad)
	_, err := s.Get(t.Context(), h, much)
	wantErr(t, "Get", err, cas.ErrCorrupt)
	_, err = s.Put(t.Context(), b)
	wantErr(t, "Put of the good bytes", err, cas.ErrCorrupt)
	err = s.PutFrom(t.Context(), bytes.NewReader(b), h, int64(len(b)))
	wantErr(t, "PutFrom of the good bytes", err, cas.ErrCorrupt)
	if !bytes.Equal(hn.Stored(t, s, h), bad) {
		t.Error("the damaged object was changed")
	}
	if diff := cmp.Diff([]string{h.String()}, listed(t, s)); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
	if left := hn.Leftovers(t, s); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
