package remote_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket/buckettest"
	"github.com/mythos-run/mythos/runtime/remote/remotetest"
)

func onDisk(t *testing.T, dir string) *remote.InStore {
	t.Helper()
	s, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return remote.OverStore(s)
}

func TestInStore(t *testing.T) {
	t.Run("disk", func(t *testing.T) {
		remotetest.Run(t, func(t *testing.T) remote.Remote { return onDisk(t, t.TempDir()) })
	})
	t.Run("memory", func(t *testing.T) {
		remotetest.Run(t, func(*testing.T) remote.Remote { return remote.OverStore(memory.New(memory.Options{})) })
	})
}

// TestInStoreFile: a large object is handed out as its file, which net/http sends
// without copying it.
func TestInStoreFile(t *testing.T) {
	r := onDisk(t, t.TempDir())
	defer r.Close()
	for size, want := range map[int]bool{100: false, 1 << 20: true} {
		data := buckettest.Random(1, size)
		if err := r.Put(t.Context(), buckettest.Value(data)); err != nil {
			t.Fatal(err)
		}
		rc, n, err := r.OpenObject(t.Context(), cid.Sum(data))
		if err != nil || n != int64(size) {
			t.Fatalf("%d bytes: %d, %v", size, n, err)
		}
		if _, ok := rc.(*os.File); ok != want {
			t.Errorf("%d bytes: it is %T", size, rc)
		}
		if err := rc.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestInStoreDamage: a damaged copy is not the sender's fault, and wrong bytes are
// not the store's.
func TestInStoreDamage(t *testing.T) {
	dir := t.TempDir()
	r := onDisk(t, dir)
	defer r.Close()
	data := buckettest.Random(1, 1<<20)
	id := cid.Sum(data)
	if err := r.Put(t.Context(), buckettest.Value(data)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "objects", id.Hex()[:2], id.Hex())
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, buckettest.Random(2, 1<<20), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := r.Put(t.Context(), buckettest.Value(data)); !errors.Is(err, cas.ErrCorrupt) || errors.Is(err, cas.ErrMismatch) {
		t.Errorf("a damaged copy: %v", err)
	}
	v := buckettest.Value(data)
	v.Sum = cid.Sum([]byte("another"))
	if err := r.Put(t.Context(), v); !errors.Is(err, cas.ErrCorrupt) || !errors.Is(err, cas.ErrMismatch) {
		t.Errorf("wrong bytes: %v", err)
	}
}

// TestInStoreForward seeks in an object of a store without files.
func TestInStoreForward(t *testing.T) {
	r := remote.OverStore(memory.New(memory.Options{}))
	data := buckettest.Random(1, 100_000)
	if err := r.Put(t.Context(), buckettest.Value(data)); err != nil {
		t.Fatal(err)
	}
	rc, _, err := r.OpenObject(t.Context(), cid.Sum(data))
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if at, err := rc.Seek(70_000, io.SeekStart); at != 70_000 || err != nil {
		t.Fatalf("%d, %v", at, err)
	}
	if at, err := rc.Seek(10, io.SeekCurrent); at != 70_010 || err != nil {
		t.Fatalf("%d, %v", at, err)
	}
	for _, back := range []struct {
		to   int64
		from int
	}{{0, io.SeekStart}, {-1, io.SeekCurrent}, {0, io.SeekEnd}} {
		if _, err := rc.Seek(back.to, back.from); !errors.Is(err, remote.ErrUnsupported) {
			t.Errorf("back to %v: %v", back, err)
		}
	}
	rest, err := io.ReadAll(rc)
	if err != nil || string(rest) != string(data[70_010:]) {
		t.Errorf("%d bytes, %v", len(rest), err)
	}
}
