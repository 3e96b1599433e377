package folder

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
	"github.com/mythos-run/mythos/runtime/remote/bucket/buckettest"
)

// TestSettle: nobody is told that a value is there whose link is not synced; of one
// that is known to be durable nothing is synced again.
func TestSettle(t *testing.T) {
	b := Open(t.TempDir())
	path := filepath.Join(b.dir, "a", "b")
	if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("value"), 0o644)); err != nil {
		t.Fatal(err) // as whoever put it, and has not synced the folder yet
	}
	var syncs int
	fails := &os.PathError{Op: "sync", Path: filepath.Dir(path), Err: syscall.EIO}
	b.syncDir = func(dir string) error {
		if syncs++; dir != filepath.Dir(path) {
			t.Errorf("synced %s", dir)
		}
		return fails
	}
	value := buckettest.Value([]byte("value"))
	if err := b.Put(t.Context(), "a/b", value); !errors.Is(err, cas.ErrUnavailable) || errors.Is(err, bucket.ErrExists) {
		t.Errorf("Put while the folder cannot be synced: %v", err)
	}
	if _, err := b.Head(t.Context(), "a/b"); !errors.Is(err, cas.ErrUnavailable) {
		t.Errorf("Head while the folder cannot be synced: %v", err)
	}
	syncs = 0
	b.syncDir = func(string) error { syncs++; return nil }
	for range 2 {
		if err := b.Put(t.Context(), "a/b", value); !errors.Is(err, bucket.ErrExists) {
			t.Errorf("Put: %v", err)
		}
		if size, err := b.Head(t.Context(), "a/b"); size != 5 || err != nil {
			t.Errorf("Head: %d, %v", size, err)
		}
	}
	if syncs != 1 {
		t.Errorf("%d syncs, want 1", syncs)
	}
	for _, at := range []time.Time{time.Now().Add(-2 * young), time.Now().Add(time.Minute)} {
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Head(t.Context(), "a/b"); err != nil {
			t.Error(err)
		}
	}
	if syncs != 2 { // for the one that has another time and is not old
		t.Errorf("%d syncs, want 2", syncs)
	}
}
