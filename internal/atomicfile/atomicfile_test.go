package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	if want == nil {
		want = []string{}
	}
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("directory holds %q, want %q", got, want)
	}
}

func wantFile(t *testing.T, path, data string, perm fs.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != data || info.Mode() != perm {
		t.Errorf("%s holds %q with mode %v, want %q with %v", path, got, info.Mode(), data, perm)
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := Write(path, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "one", 0o600)
	if err := Write(path, []byte("two"), 0o644); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "two", 0o644)
	wantNames(t, dir, "f")
}

func TestWriteRelative(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := Write("plain", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantNames(t, dir, "plain")
}

func TestWriteNew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if err := WriteNew(path, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteNew(path, []byte("other"), 0o644); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second WriteNew: %v, want fs.ErrExist", err)
	}
	wantFile(t, path, "secret", 0o600)
	dangling := filepath.Join(dir, "link")
	if err := os.Symlink("nowhere", dangling); err != nil {
		t.Fatal(err)
	}
	if err := WriteNew(dangling, []byte("x"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("WriteNew over a dangling link: %v, want fs.ErrExist", err)
	}
	wantNames(t, dir, "key", "link")
}

func TestWriteNewHasOneWinner(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	const writers = 16
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() { errs[i] = WriteNew(path, fmt.Appendf(nil, "%02d", i), 0o600) })
	}
	wg.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = i
		case !errors.Is(err, fs.ErrExist):
			t.Errorf("writer %d: %v", i, err)
		}
	}
	wantFile(t, path, fmt.Sprintf("%02d", winner), 0o600)
	wantNames(t, dir, "key")
}

func TestFailuresLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "folder")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(dir, "plain"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		sub,                                  // a directory is in the way
		filepath.Join(dir, "none", "f"),      // no such directory
		filepath.Join(dir, "plain", "f"),     // not a directory
		dir + string(filepath.Separator),     // no name
		filepath.Join(dir, "..") + "/..",     // no name
		filepath.Join(dir, "nul\x00in-name"), // no possible name
	} {
		if err := Write(path, []byte("x"), 0o644); err == nil {
			t.Errorf("Write(%q) gave no error", path)
		}
	}
	wantNames(t, dir, "folder", "plain")
}

func TestFailedWriteIsNeverCommitted(t *testing.T) {
	for name, commit := range map[string]func(*File) error{"Commit": (*File).Commit, "CommitNew": (*File).CommitNew} {
		dir := t.TempDir()
		f, err := Create(filepath.Join(dir, "f"), 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.f.Close(); err != nil { // every write from here on fails
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("lost")); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: write: %v", name, err)
		}
		if err := commit(f); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s after a failed write: %v", name, err)
		}
		wantNames(t, dir)
	}
}

func TestCloseAbandons(t *testing.T) {
	dir := t.TempDir()
	f, err := Create(filepath.Join(dir, "f"), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Repeat([]byte("x"), 1<<16)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if err := f.Commit(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Commit after Close: %v", err)
	}
	wantNames(t, dir)
}

func TestMkdirAll(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b", "c")
	for range 2 {
		if err := MkdirAll(deep, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "a"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("parent: %v, %v", info, err)
	}
	if err := Write(filepath.Join(dir, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(filepath.Join(dir, "f"), 0o700); err == nil {
		t.Error("a file was taken for a directory")
	}
	if err := MkdirAll(filepath.Join(dir, "f", "g"), 0o700); err == nil {
		t.Error("a directory was made below a file")
	}
}
