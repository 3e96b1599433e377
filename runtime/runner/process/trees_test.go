package process

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

func cacheOf(t testing.TB, change func(*Options)) *trees {
	t.Helper()
	o := Options{CacheDir: filepath.Join(t.TempDir(), "cache")}
	if change != nil {
		change(&o)
	}
	o = o.withDefaults()
	s, err := openTrees(&o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func holdTree(t testing.TB, s *trees, files ...file) (*heldTree, cid.Hash) {
	t.Helper()
	tree, raw, open := makeTree(files...)
	digest := cid.Sum(raw)
	h, err := s.hold(t.Context(), digest, tree, open)
	if err != nil {
		t.Fatal(err)
	}
	return h, digest
}

func TestMaterialise(t *testing.T) {
	s := cacheOf(t, nil)
	h, digest := holdTree(t, s, file{"a/b/run.sh", "#!", 1}, file{"a/b.txt", "text", 0}, file{"a.txt", "", 0})
	defer h.close()
	if want := filepath.Join(s.dir, hex.EncodeToString(digest[:]), treeFiles); h.path != want {
		t.Errorf("at %s, want %s", h.path, want)
	}
	for path, mode := range map[string]os.FileMode{
		"": 0o755 | os.ModeDir, "a": 0o755 | os.ModeDir, "a/b": 0o755 | os.ModeDir, "a/b/run.sh": 0o555, "a/b.txt": 0o444, "a.txt": 0o444,
	} {
		info, err := os.Lstat(filepath.Join(h.path, path))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, mode)
		}
	}
	if b, err := os.ReadFile(filepath.Join(h.path, "a/b.txt")); err != nil || string(b) != "text" {
		t.Errorf("a/b.txt: %q, %v", b, err)
	}
	left, err := os.ReadDir(s.dir)
	if err != nil || len(left) != 2 { // the tree and the empty folder
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestDamagedTree: whatever was done to a tree since, it is found and the tree
// made again.
func TestDamagedTree(t *testing.T) {
	files := []file{{"a/b.txt", "text", 0}, {"run", "#!", 1}}
	for name, damage := range map[string]func(dir string) error{
		"bytes": func(d string) error {
			return errors.Join(os.Chmod(filepath.Join(d, "run"), 0o755), os.WriteFile(filepath.Join(d, "run"), []byte("??"), 0o755),
				os.Chmod(filepath.Join(d, "run"), 0o555))
		},
		"mode":        func(d string) error { return os.Chmod(filepath.Join(d, "run"), 0o444) },
		"missing":     func(d string) error { return os.Remove(filepath.Join(d, "run")) },
		"another":     func(d string) error { return os.WriteFile(filepath.Join(d, "z"), nil, 0o444) },
		"another dir": func(d string) error { return os.WriteFile(filepath.Join(d, "a/a"), nil, 0o444) },
		"link": func(d string) error {
			return errors.Join(os.Remove(filepath.Join(d, "run")), os.Symlink("a/b.txt", filepath.Join(d, "run")))
		},
		"folder link": func(d string) error {
			return errors.Join(os.Rename(filepath.Join(d, "a"), filepath.Join(d, "..", "elsewhere")), os.Symlink("../elsewhere", filepath.Join(d, "a")))
		},
		"longer": func(d string) error {
			path := filepath.Join(d, "run")
			return errors.Join(os.Chmod(path, 0o755), os.WriteFile(path, []byte("#!x"), 0o755), os.Chmod(path, 0o555))
		},
		"no files": func(d string) error { return os.RemoveAll(d) },
		"a file":   func(d string) error { return errors.Join(os.RemoveAll(d), os.WriteFile(d, nil, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := cacheOf(t, nil)
			h, _ := holdTree(t, s, files...)
			if err := h.close(); err != nil {
				t.Fatal(err)
			}
			if err := damage(h.path); err != nil {
				t.Fatal(err)
			}
			h, _ = holdTree(t, s, files...)
			defer h.close()
			b, err := os.ReadFile(filepath.Join(h.path, "run"))
			info, err2 := os.Lstat(filepath.Join(h.path, "run"))
			if err != nil || err2 != nil || string(b) != "#!" || info.Mode() != 0o555 {
				t.Errorf("run is %q, %v, %v, %v", b, info, err, err2)
			}
			left, err := os.ReadDir(s.dir)
			if err != nil || len(left) != 2 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// TestWrongStore: a store that hands out other bytes leaves nothing behind.
func TestWrongStore(t *testing.T) {
	tree, raw, open := makeTree(file{"a", "right", 0}, file{"b", "right too", 0})
	lost := errors.New("the store lost it")
	for name, c := range map[string]struct {
		open opener
		want error
	}{
		"other bytes": {func(context.Context, cid.Hash, uint64) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("wrong")), nil
		}, manifest.ErrArtifactHash},
		"more": {func(context.Context, cid.Hash, uint64) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("right and more")), nil
		}, manifest.ErrArtifactHash},
		"less": {func(context.Context, cid.Hash, uint64) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("rig")), nil
		}, manifest.ErrArtifactHash},
		"lost": {func(ctx context.Context, h cid.Hash, n uint64) (io.ReadCloser, error) {
			if n == uint64(len("right")) {
				return open(ctx, h, n)
			}
			return nil, lost
		}, lost},
	} {
		t.Run(name, func(t *testing.T) {
			s := cacheOf(t, nil)
			if _, err := s.hold(t.Context(), cid.Sum(raw), tree, c.open); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			left, err := os.ReadDir(s.dir)
			if err != nil || len(left) != 1 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// TestMaterialiseTogether: several processes, each with a cache of its own over
// the same folder, end up with one tree.
func TestMaterialiseTogether(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	tree, raw, open := makeTree(file{"a", strings.Repeat("a", 1<<20), 0}, file{"b/c", "c", 1})
	var all sync.WaitGroup
	for range 8 {
		s := cacheOf(t, func(o *Options) { o.CacheDir = dir })
		all.Go(func() {
			h, err := s.hold(context.Background(), cid.Sum(raw), tree, open)
			if err != nil {
				t.Error(err)
				return
			}
			if err := h.close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestTrim(t *testing.T) {
	var ticks atomic.Int64
	ticks.Store(time.Now().Unix())
	s := cacheOf(t, func(o *Options) {
		o.CacheTrees, o.CacheBytes = 3, 350
		o.Now = func() time.Time { return time.Unix(ticks.Add(1), 0) }
	})
	names := func() (out []string) {
		list, err := os.ReadDir(s.dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if treeName.MatchString(e.Name()) {
				out = append(out, e.Name())
			}
		}
		return out
	}
	put := func(text string) (*heldTree, string) {
		h, digest := holdTree(t, s, file{"f", text, 0})
		return h, hex.EncodeToString(digest[:])
	}
	used, first := put("first, and in use")
	defer used.close()
	var last string
	for i := range 5 {
		var h *heldTree
		h, last = put(strings.Repeat("x", i+1))
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
	}
	got := strings.Join(names(), " ")
	if len(names()) != 3 || !strings.Contains(got, first) || !strings.Contains(got, last) {
		t.Errorf("by count: %d trees stay, in use %v, newest %v", len(names()), strings.Contains(got, first), strings.Contains(got, last))
	}
	h, large := put(strings.Repeat("y", 340))
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	if got := names(); len(got) != 2 || !strings.Contains(strings.Join(got, " "), large) {
		t.Errorf("by bytes: %d trees stay", len(got))
	}
	// What a killed process left goes when it is old, and nothing that is not ours.
	for name, stays := range map[string]bool{
		"." + first + ".tmp-123": false, "." + first + ".old-9": false, ".net-77": false, ".netrc": true, "other": true,
	} {
		path := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Join(path, "x"), 0o700); err != nil {
			t.Fatal(err)
		}
		old := time.Unix(ticks.Load(), 0).Add(-2 * leftover)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
		if err := s.trim(""); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(path); (err == nil) != stays {
			t.Errorf("%s: stays %v, want %v", name, err == nil, stays)
		}
	}
}

// TestOpenFolder: what others can write is not executed.
func TestOpenFolder(t *testing.T) {
	for name, make := range map[string]func(dir string) error{
		"open to others": func(d string) error { return errors.Join(os.Mkdir(d, 0o700), os.Chmod(d, 0o755)) },
		"link":           func(d string) error { return errors.Join(os.Mkdir(d+"2", 0o700), os.Symlink(d+"2", d)) },
		"file":           func(d string) error { return os.WriteFile(d, nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			if err := make(dir); err != nil {
				t.Fatal(err)
			}
			o := Options{CacheDir: dir}.withDefaults()
			if _, err := openTrees(&o); !errors.Is(err, ErrTree) {
				t.Errorf("%v, want %v", err, ErrTree)
			}
		})
	}
	o := Options{CacheDir: "relative"}.withDefaults()
	if _, err := openTrees(&o); !errors.Is(err, ErrTree) {
		t.Errorf("relative: %v", err)
	}
}
