package local

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// TestBitFlips changes 1,000 random bits of a store's objects: every damaged one
// is found by its name and repaired from a mirror, and nothing else is reported.
func TestBitFlips(t *testing.T) {
	for _, indexed := range []bool{false, true} {
		dir := t.TempDir()
		opt := Options{PackSize: 200_000}
		s, err := OpenWith(dir, opt)
		check(t, err)
		mirror := memory.New(memory.Options{})
		objects := numbered("object", 6000)
		if !indexed {
			objects = objects[:2000]
		}
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			objects = append(objects, large(name))
		}
		b, err := s.Batch(t.Context())
		check(t, err)
		for i, o := range objects {
			for _, p := range []cas.Putter{b, mirror} {
				if _, err := p.Put(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}
			if i%700 == 0 {
				check(t, b.(*batch).pack())
			}
		}
		check(t, b.Commit(t.Context()))
		check(t, s.Close())
		flipped := flipBits(t, dir, 1000, rand.New(rand.NewPCG(7, uint64(len(objects)))))
		s, err = OpenWith(dir, opt)
		check(t, err)
		wantFlipsFound(t, s, flipped)
		v, err := s.Verify(t.Context(), VerifyOptions{Repair: mirror})
		if err != nil || v.Repaired != int64(len(v.Damaged)) {
			t.Errorf("repair: %d of %d, %v", v.Repaired, len(v.Damaged), err)
			for _, d := range v.Damaged {
				if !d.Repaired {
					t.Errorf("not repaired: %+v", d)
				}
			}
		}
		v, err = s.Verify(t.Context(), VerifyOptions{})
		if err != nil || len(v.Damaged) > 0 || v.Objects != int64(len(objects)) {
			t.Errorf("after the repair: %d objects, want %d; %v, %v", v.Objects, len(objects), v.Damaged, err)
		}
		wantAll(t, s, "repaired", objects)
		check(t, s.Close())
		wantAll(t, open(t, dir), "repaired, elsewhere", objects)
	}
}

// place of a bit that was changed: in a file, or in a frame of a pack.
type flip struct {
	path string
	off  int64 // of the frame
	h    cid.Hash
}

// flipBits changes bits of objects, of frames and of indexes.
func flipBits(t *testing.T, dir string, n int, r *rand.Rand) map[flip]bool {
	t.Helper()
	var paths []string
	for _, pattern := range []string{packsDir + "/*", objectsDir + "/*/*"} {
		all, err := filepath.Glob(filepath.Join(dir, pattern))
		check(t, err)
		paths = append(paths, all...)
	}
	files, flipped := map[string][]byte{}, map[flip]bool{}
	frames := map[string][]located{}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		check(t, err)
		files[p] = b
		if name, ok := strings.CutSuffix(filepath.Base(p), packSuffix); ok {
			_, err := walk(strings.NewReader(string(b)), markerOf(name), int64(len(packHead)), int64(len(b)), func(off int64, x frame) error {
				frames[p] = append(frames[p], located{off, x})
				return nil
			})
			check(t, err)
		}
	}
	for range n {
		p := paths[r.IntN(len(paths))]
		bit := r.IntN(len(files[p]) * 8)
		files[p][bit/8] ^= 1 << (bit % 8)
		f := flip{path: p}
		for _, at := range frames[p] {
			if at.off <= int64(bit/8) && int64(bit/8) < at.off+at.size() {
				f.off, f.h = at.off, at.hash
			}
		}
		if h, ok := parse(filepath.Base(p)); ok {
			f.h = h
		}
		flipped[f] = true
	}
	for p, b := range files {
		check(t, os.WriteFile(p, b, 0o600))
	}
	return flipped
}

func wantFlipsFound(t *testing.T, s *Store, flipped map[flip]bool) {
	t.Helper()
	v, err := s.Verify(t.Context(), VerifyOptions{})
	check(t, err)
	got := map[flip]bool{}
	for _, d := range v.Damaged {
		got[flip{d.Path, d.Offset, d.CID}] = true
	}
	for f := range flipped {
		if !got[f] {
			t.Errorf("not found: %+v", f)
		}
	}
	for f := range got {
		if !flipped[f] {
			t.Errorf("found, and not damaged: %+v", f)
		}
	}
}
