//go:build unix

package wasm

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/runnertest"
)

// TestDiskCacheOfPipes: a pipe or a link in an entry's place is not waited for
// and not followed; the entry is made again.
func TestDiskCacheOfPipes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	m := bind(hostcallCode().behaviour(runnertest.Echo).bytes(), runner.ABIHostcall)
	check := func() string {
		if err := open(t, Options{CacheDir: dir, CacheKey: cacheKey}).Check(t.Context(), m); err != nil {
			t.Error(err)
		}
		files := cachedFiles(t, dir)
		if len(files) != 1 {
			t.Fatalf("files %v", files)
		}
		if info, err := os.Lstat(files[0]); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		return files[0]
	}
	entry := check()
	moved := filepath.Join(t.TempDir(), "moved")
	for name, replace := range map[string]func() error{
		"pipe":        func() error { return syscall.Mkfifo(entry, 0o600) },
		"link":        func() error { return os.Symlink(moved, entry) },
		"broken link": func() error { return os.Symlink(moved+"2", entry) },
	} {
		if err := os.Rename(entry, moved); err != nil {
			t.Fatal(err)
		}
		if err := replace(); err != nil {
			t.Fatal(name, err)
		}
		check()
	}
}

// TestDiskCacheTrim: what is in the folder and is no entry is left alone, however
// full the folder is.
func TestDiskCacheTrim(t *testing.T) {
	dir := t.TempDir()
	d, err := openDisk(mustPrivate(t, dir), cacheKey)
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	sparse := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{os.Truncate(path, maxDisk+1), os.Chtimes(path, old, old)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	const hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	gone := []string{sparse(hex), sparse("." + hex + ".tmp-123")}
	kept := []string{sparse("notes.txt"), sparse(hex + "0"), sparse("id_ed25519")}
	if err := d.write(hex[1:]+"f", "name", []byte("code")); err != nil {
		t.Fatal(err)
	}
	kept = append(kept, filepath.Join(dir, hex[1:]+"f"))
	for _, path := range gone {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range kept {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}

func mustPrivate(t *testing.T, dir string) string {
	t.Helper()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestScratchOfTheDead: a folder that a killed process left is removed, one in use
// and what is another's is not.
func TestScratchOfTheDead(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	held, err := newScratch()
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(os.TempDir(), scratchName+"1")
	other := filepath.Join(os.TempDir(), "mythos-other-1")
	open := filepath.Join(os.TempDir(), scratchName+"2")
	for dir, mode := range map[string]os.FileMode{left: 0o700, other: 0o700, open: 0o755} {
		if err := os.Mkdir(dir, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "code"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	next, err := newScratch()
	if err != nil {
		t.Fatal(err)
	}
	for dir, there := range map[string]bool{held.dir: true, next.dir: true, left: false, other: true, open: true} {
		if _, err := os.Lstat(dir); (err == nil) != there {
			t.Errorf("%s: %v, want it there: %t", dir, err, there)
		}
	}
	if err := errors.Join(held.close(), next.close()); err != nil {
		t.Error(err)
	}
}
