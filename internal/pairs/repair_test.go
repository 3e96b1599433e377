package pairs

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/mythos-run/mythos/registry"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket/buckettest"
	"github.com/mythos-run/mythos/runtime/remote/bucket/folder"
)

// TestRepairFromRegistry changes 1,000 random bits of a store, in packs and in files,
// and has them found and repaired from a registry, and from none that sends other
// bytes.
func TestRepairFromRegistry(t *testing.T) {
	const flips = 1000
	objects := map[cid.Hash][]byte{}
	for i := range uint64(2500) {
		size := 1 << 10
		if i%50 == 0 {
			size = 100 << 10
		}
		b := buckettest.Random(i, size)
		objects[cid.Sum(b)] = b
	}
	var lying atomic.Bool
	mirror := remote.Over(folder.Open(t.TempDir()))
	at := serve(t, registry.Options{Objects: mirror}, func(next http.Handler) http.Handler { return lies(&lying, next) })
	w := &world{user: paths(t)}
	n := w.node(t)
	fill(t, n, mirror, objects)
	s, err := n.Store()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(n.Paths.Data, "store")
	damaged := flip(t, dir, flips, rand.New(rand.NewPCG(8, 8)))
	verify := func(from cas.Source) local.Verified {
		t.Helper()
		v, err := s.Verify(t.Context(), local.VerifyOptions{Repair: from})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	found := verify(nil)
	for _, d := range found.Damaged {
		delete(damaged, d.Path)
	}
	if len(damaged) != 0 || len(found.Damaged) == 0 || found.Repaired != 0 {
		t.Errorf("%d damages found, %d repaired; none in %v", len(found.Damaged), found.Repaired, damaged)
	}
	from, closer, err := n.Mirror(t.Context(), at.String(), node.RemoteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	lying.Store(true)
	verify(from)
	lying.Store(false)
	left := verify(from)
	if left.Repaired == 0 || left.Repaired != int64(len(left.Damaged)) {
		t.Errorf("%d of %d repaired", left.Repaired, len(left.Damaged))
	}
	if v := verify(nil); len(v.Damaged) != 0 || v.Objects != int64(len(objects)) {
		t.Errorf("after the repair: %d objects, want %d; damaged %v", v.Objects, len(objects), v.Damaged)
	}
	for id, b := range objects {
		if got, err := s.Get(t.Context(), id, 1<<20); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// lies changes the first byte of every answer while lying says so.
func lies(lying *atomic.Bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if lying.Load() {
			w = &liar{ResponseWriter: w}
		}
		next.ServeHTTP(w, r)
	})
}

type liar struct {
	http.ResponseWriter
	begun bool
}

func (l *liar) Unwrap() http.ResponseWriter { return l.ResponseWriter }

func (l *liar) Write(p []byte) (int, error) {
	if l.begun || len(p) == 0 {
		return l.ResponseWriter.Write(p)
	}
	l.begun = true
	other := bytes.Clone(p)
	other[0] ^= 1
	return l.ResponseWriter.Write(other)
}

// fill stores objects in a node's store and in a mirror.
func fill(t *testing.T, n *node.Node, mirror remote.Remote, objects map[cid.Hash][]byte) {
	t.Helper()
	s, err := n.Objects()
	if err != nil {
		t.Fatal(err)
	}
	batch, err := cas.Begin(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Close()
	for _, b := range objects {
		_, err := batch.Put(t.Context(), b)
		if err = errors.Join(err, mirror.Put(t.Context(), buckettest.Value(b))); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// flip changes bits of the files that hold objects, and returns which files.
func flip(t *testing.T, dir string, n int, r *rand.Rand) map[string]bool {
	t.Helper()
	files, changed := map[string][]byte{}, map[string]bool{}
	var paths []string
	for _, pattern := range []string{"packs/*", "objects/*/*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files[path], paths = b, append(paths, path)
		}
	}
	if len(paths) < 2 {
		t.Fatal(fmt.Sprint("the store has only ", paths))
	}
	for range n {
		path := paths[r.IntN(len(paths))]
		bit := r.IntN(8 * len(files[path]))
		files[path][bit/8] ^= 1 << (bit % 8)
		changed[path] = true
	}
	for path := range changed {
		if err := os.WriteFile(path, files[path], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return changed
}
