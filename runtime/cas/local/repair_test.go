package local

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// boaster is a source that gives one object a size which no disk has.
type boaster struct {
	cas.Source
	of   cid.Hash
	size int64
	read int
}

func (b *boaster) Open(ctx context.Context, h cid.Hash) (io.ReadCloser, int64, error) {
	if h != b.of {
		return b.Source.Open(ctx, h)
	}
	return io.NopCloser(b), b.size, nil
}

func (b *boaster) Read(p []byte) (int, error) {
	if b.read += len(p); b.read > 1<<20 {
		return 0, errors.New("that is enough for a test")
	}
	return len(p), nil
}

// damagedPair is a store with two damaged files, and a source of the good ones.
func damagedPair(t *testing.T) (*Store, *memory.Store, [][]byte) {
	t.Helper()
	s, mirror := open(t, t.TempDir()), memory.New(memory.Options{})
	objects := [][]byte{large("a"), large("b")}
	for _, o := range objects {
		for _, p := range []cas.Putter{s, mirror} {
			_, err := p.Put(t.Context(), o)
			check(t, err)
		}
		damaged := bytes.Clone(o)
		damaged[7] ^= 1
		check(t, os.WriteFile(s.path(cid.Sum(o)), damaged, 0o600))
	}
	return s, mirror, objects
}

// wantRepaired looks at which of two objects were repaired.
func wantRepaired(t *testing.T, v Verified, good cid.Hash, problem string) {
	t.Helper()
	if len(v.Damaged) != 2 || v.Repaired != 1 {
		t.Fatalf("%+v", v)
	}
	for _, d := range v.Damaged {
		if d.Repaired != (d.CID == good) || !d.Repaired && !strings.Contains(d.Problem, problem) {
			t.Errorf("%+v", d)
		}
	}
}

// TestBoastfulSource repairs from a source that says of one object that it is larger
// than any disk: nothing of it is read, and the other one is repaired.
func TestBoastfulSource(t *testing.T) {
	s, mirror, objects := damagedPair(t)
	b := &boaster{Source: mirror, of: cid.Sum(objects[0]), size: 1 << 40}
	v, err := s.Verify(t.Context(), VerifyOptions{Repair: b})
	check(t, err)
	wantRepaired(t, v, cid.Sum(objects[1]), string(cas.ErrTooLarge))
	if b.read > 0 {
		t.Errorf("%d bytes were read", b.read)
	}
}

// TestRepairWithoutSpace has no space for the first object that it repairs, and some
// for the second.
func TestRepairWithoutSpace(t *testing.T) {
	s, mirror, objects := damagedPair(t)
	full := true
	s.probe = func(p step) error {
		if p != stepWrite || !full {
			return nil
		}
		full = false
		return syscall.ENOSPC
	}
	v, err := s.Verify(t.Context(), VerifyOptions{Repair: mirror})
	check(t, err)
	good := cid.Sum(objects[0])
	if len(v.Damaged) > 0 && v.Damaged[0].CID == good {
		good = cid.Sum(objects[1])
	}
	wantRepaired(t, v, good, string(cas.ErrFull))
	if left := leftovers(t, s); !slices.Equal(left, []string{"gc"}) { // the lock
		t.Errorf("left %q", left)
	}
}
