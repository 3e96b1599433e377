package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

var steps = []step{stepCreate, stepWrite, stepSync, stepRename, stepSyncDir, stepDone}

// packSteps are those of a small object, when there is a pack.
var packSteps = []step{stepAppend, stepPackSync, stepPacked}

// failAt makes every write of s fail with err at step p.
func failAt(s *Store, p step, err error) {
	s.probe = func(at step) error {
		if at == p {
			return err
		}
		return nil
	}
}

// TestFaultAtEveryStep injects errors of the system into single writes and
// batches: each gets its code and names the object, nothing is left over, and
// once the fault is gone the same write succeeds.
func TestFaultAtEveryStep(t *testing.T) {
	codes := map[error]error{
		syscall.ENOSPC: cas.ErrFull,
		syscall.EDQUOT: cas.ErrFull,
		syscall.EFBIG:  cas.ErrFull,
		syscall.EIO:    cas.ErrUnavailable,
		syscall.EACCES: cas.ErrUnavailable,
		syscall.EMFILE: cas.ErrUnavailable,
	}
	s := open(t, t.TempDir())
	n := 0
	for _, p := range steps {
		for sys, code := range codes {
			n++
			b := large(fmt.Sprintf("object %d", n))
			for _, put := range []func(context.Context, *Store, []byte) error{putOne, putBatch} {
				failAt(s, p, sys)
				err := put(t.Context(), s, b)
				if !errors.Is(err, code) || !errors.Is(err, sys) {
					t.Errorf("%s at %s: %v, want %v", sys, p, err, code)
				}
				if left := leftovers(t, s); len(left) > 0 {
					t.Errorf("%s at %s left %q", sys, p, left)
				}
				s.probe = nil
				check(t, put(t.Context(), s, b))
				check(t, os.Remove(s.path(cid.Sum(b))))
			}
		}
	}
}

// large returns an object that is kept as a file.
func large(text string) []byte { return append(make([]byte, smallLimit-len(text)), text...) }

func putOne(ctx context.Context, s *Store, b []byte) error {
	_, err := s.Put(ctx, b)
	return err
}

func putBatch(ctx context.Context, s *Store, b []byte) error {
	batch, err := s.Batch(ctx)
	if err != nil {
		return err
	}
	defer batch.Close()
	for _, o := range [][]byte{b, append(bytes.Clone(b), '+')} {
		if _, err := batch.Put(ctx, o); err != nil {
			return err
		}
	}
	return batch.Commit(ctx)
}

// TestSyncCounts counts the waits on the disk: they are the price of a write,
// and the order in which they come is its durability.
func TestSyncCounts(t *testing.T) {
	s := open(t, t.TempDir())
	var mu sync.Mutex
	var got []step
	s.probe = func(p step) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, p)
		return nil
	}
	check(t, putOne(t.Context(), s, large("one")))
	if !slices.Equal(got, steps) {
		t.Errorf("a write went %q, want %q", got, steps)
	}
	got = nil
	check(t, putOne(t.Context(), s, large("one")))
	if want := []step{stepSyncDir, stepDone}; !slices.Equal(got, want) {
		t.Errorf("a write of what is there went %q, want %q", got, want)
	}
	got = nil
	const objects = 300
	b, err := s.Batch(t.Context())
	check(t, err)
	defer b.Close()
	for i := range objects {
		_, err := b.Put(t.Context(), large(fmt.Sprintf("object %d", i)))
		check(t, err)
	}
	check(t, b.Commit(t.Context()))
	count := map[step]int{}
	for _, p := range got {
		count[p]++
	}
	if count[stepSync] != objects || count[stepRename] != objects || count[stepSyncDir] > 256 {
		t.Errorf("a batch of %d: %v; want one sync and one rename each, at most 256 directory syncs", objects, count)
	}
	if last, first := lastOf(got, stepSync), slices.Index(got, stepRename); last > first {
		t.Error("a batch renamed before everything was synced")
	}
	if last, first := lastOf(got, stepRename), slices.Index(got, stepSyncDir); last > first {
		t.Error("a batch synced a directory before everything was renamed")
	}
}

func lastOf(all []step, p step) int {
	last := -1
	for i, got := range all {
		if got == p {
			last = i
		}
	}
	return last
}

// TestSessionsOfTheLivingAreNotSwept is the control of the crash test: a new
// store must not remove what another one is writing.
func TestSessionsOfTheLivingAreNotSwept(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	batch, err := a.Batch(t.Context())
	check(t, err)
	defer batch.Close()
	want := large("written by a")
	h, err := batch.Put(t.Context(), want)
	check(t, err)
	b := open(t, dir)
	check(t, putOne(t.Context(), b, []byte("written by b")))
	if left := leftovers(t, b); len(left) != 2 { // a's lock and its object
		t.Errorf("b sees %q of a, want two files", left)
	}
	check(t, batch.Commit(t.Context()))
	got, err := b.Get(t.Context(), h, smallLimit)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("a's object: %d bytes, %v", len(got), err)
	}
}

func TestForeignFilesStay(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	check(t, putOne(t.Context(), s, []byte("x")))
	for _, name := range []string{"tmp/README", "tmp/.lock", "objects/note", "objects/00/note", "objects/00/" + strings.Repeat("f", 64)} {
		check(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	again := open(t, dir)
	check(t, putOne(t.Context(), again, []byte("y")))
	n := 0
	for _, err := range again.List(t.Context()) {
		check(t, err)
		n++
	}
	if n != 2 {
		t.Errorf("listed %d objects, want 2", n)
	}
	if _, err := os.Stat(filepath.Join(dir, "tmp", "README")); err != nil {
		t.Error(err)
	}
}

func TestClose(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	h, err := s.Put(t.Context(), []byte("kept"))
	check(t, err)
	r, _, err := s.Open(t.Context(), h)
	check(t, err)
	defer r.Close()
	batch, err := s.Batch(t.Context())
	check(t, err)
	_, err = batch.Put(t.Context(), []byte("dropped"))
	check(t, err)
	check(t, errors.Join(s.Close(), s.Close()))
	if entries, err := os.ReadDir(filepath.Join(dir, tmpDir)); err != nil || len(entries) > 0 {
		t.Errorf("tmp holds %v, %v", entries, err)
	}
	for what, err := range map[string]error{
		"Put":          putOne(t.Context(), s, []byte("late")),
		"Batch.Put":    func() error { _, err := batch.Put(t.Context(), []byte("late")); return err }(),
		"Batch.Commit": batch.Commit(t.Context()),
	} {
		if !errors.Is(err, cas.ErrUnavailable) {
			t.Errorf("%s after Close: %v, want %v", what, err, cas.ErrUnavailable)
		}
	}
	check(t, batch.Close())
	if _, err := r.Read(make([]byte, 9)); err != nil {
		t.Errorf("a stream that was open: %v", err)
	}
}

func TestFormat(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, formatName), []byte("mythos-store 3\n"), 0o600))
	if _, err := Open(dir); !errors.Is(err, ErrFormat) {
		t.Errorf("a newer store: %v, want %v", err, ErrFormat)
	}
	file := filepath.Join(dir, formatName)
	if _, err := Open(file); !errors.Is(err, cas.ErrUnavailable) {
		t.Errorf("a file for a folder: %v, want %v", err, cas.ErrUnavailable)
	}
	late := t.TempDir()
	s := open(t, late)
	check(t, os.WriteFile(filepath.Join(late, formatName), []byte("mythos-store 3\n"), 0o600))
	if err := putOne(t.Context(), s, nil); !errors.Is(err, ErrFormat) {
		t.Errorf("a newer store appeared: %v, want %v", err, ErrFormat)
	}
}

func TestOpenWritesNothingAndModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, dir)
	for _, err := range s.List(t.Context()) {
		t.Errorf("List: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading made the folder: %v", err)
	}
	check(t, putOne(t.Context(), s, []byte("x")))
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; err == nil && info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		return err
	}))
}

// TestNotAFile checks that what is no regular file is damage, not a wait.
func TestNotAFile(t *testing.T) {
	s := open(t, t.TempDir())
	h, err := s.Put(t.Context(), large("x"))
	check(t, err)
	check(t, os.Remove(s.path(h)))
	check(t, os.Symlink("/dev/zero", s.path(h)))
	if _, err := s.Get(t.Context(), h, 10); !errors.Is(err, cas.ErrCorrupt) {
		t.Errorf("a link: %v, want %v", err, cas.ErrCorrupt)
	}
	check(t, os.Remove(s.path(h)))
	check(t, os.Mkdir(s.path(h), 0o700))
	if err := putOne(t.Context(), s, large("x")); !errors.Is(err, cas.ErrCorrupt) {
		t.Errorf("a directory: %v, want %v", err, cas.ErrCorrupt)
	}
}
