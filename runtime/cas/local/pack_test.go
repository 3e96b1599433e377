package local

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// numbered returns small objects that differ.
func numbered(what string, n int) [][]byte {
	var all [][]byte
	for i := range n {
		all = append(all, fmt.Appendf(nil, "%s %d", what, i))
	}
	return all
}

func wantAll(t *testing.T, s *Store, what string, objects [][]byte) {
	t.Helper()
	for _, o := range objects {
		if got, err := s.Get(t.Context(), cid.Sum(o), 2*smallLimit); err != nil || !bytes.Equal(got, o) {
			t.Fatalf("%s: %q: got %d bytes, %v", what, o, len(got), err)
		}
	}
}

func packPaths(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, packsDir, "*"+packSuffix))
	check(t, err)
	return all
}

// TestPackFaults fails each step of a small object's write: it gets its code and
// names the object, nothing of it is there, and the same write succeeds later.
func TestPackFaults(t *testing.T) {
	s := open(t, t.TempDir())
	check(t, putOne(t.Context(), s, []byte("makes the pack")))
	n := 0
	for _, p := range []step{stepAppend, stepPackSync} {
		for sys, code := range map[error]error{syscall.ENOSPC: cas.ErrFull, syscall.EIO: cas.ErrUnavailable} {
			n++
			b := fmt.Appendf(nil, "object %d", n)
			failAt(s, p, sys)
			_, err := s.Put(t.Context(), b)
			if !errors.Is(err, code) || !errors.Is(err, sys) || !bytes.Contains([]byte(err.Error()), []byte(cid.Sum(b).String())) {
				t.Errorf("%s at %s: %v, want %v of the object", sys, p, err, code)
			}
			s.probe = nil
			for _, who := range []*Store{s, open(t, s.dir)} {
				if _, err := who.Get(t.Context(), cid.Sum(b), 100); !errors.Is(err, cas.ErrNotFound) {
					t.Errorf("%s at %s: Get says %v, want %v", sys, p, err, cas.ErrNotFound)
				}
			}
			check(t, putOne(t.Context(), s, b))
		}
	}
	wantAll(t, open(t, s.dir), "at the end", numbered("object", n+1)[1:])
}

// TestTornAtEveryByte cuts a pack at every offset of its last group, as a crash
// may: what was acknowledged before is there, what is left of the group is whole
// objects, and the pack is fit to be written to.
func TestTornAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	acknowledged := numbered("acknowledged", 3)
	for _, o := range acknowledged {
		check(t, putOne(t.Context(), s, o))
	}
	before := s.writer.end
	items := []item{}
	for _, o := range numbered("in flight", 3) {
		items = append(items, item{h: cid.Sum(o), data: o, put: true})
	}
	check(t, s.writer.do(items))
	path := packPaths(t, dir)[0]
	whole, err := os.ReadFile(path)
	check(t, err)
	check(t, s.Close())
	for cut := before; cut <= int64(len(whole)); cut++ {
		for _, zeros := range []bool{false, true} { // cut, or pages that were never written
			torn := bytes.Clone(whole[:cut])
			if zeros {
				torn = append(torn, make([]byte, len(whole)-int(cut))...)
			}
			wantRecovered(t, path, torn, acknowledged, fmt.Sprintf("cut at %d, zeros %v", cut, zeros))
		}
	}
}

// wantRecovered puts a torn pack in the place of what the store has.
func wantRecovered(t *testing.T, path string, torn []byte, acknowledged [][]byte, what string) {
	t.Helper()
	dir := filepath.Dir(filepath.Dir(path))
	check(t, os.WriteFile(path, torn, 0o600))
	a, err := Open(dir)
	check(t, err)
	wantAll(t, a, what+", before recovery", acknowledged)
	check(t, putOne(t.Context(), a, []byte("the next write")))
	if len(packPaths(t, dir)) != 1 {
		t.Fatalf("%s: the pack was not taken over", what)
	}
	for _, o := range numbered("in flight", 3) {
		check(t, putOne(t.Context(), a, o)) // whole, absent or torn: it can be stored
	}
	check(t, a.Close())
	b, err := Open(dir)
	check(t, err)
	defer b.Close()
	wantAll(t, b, what+", after it", append(acknowledged, append(numbered("in flight", 3), []byte("the next write"))...))
	v, err := b.Verify(t.Context(), VerifyOptions{})
	if err != nil || len(v.Damaged) > 0 || v.Unended > 0 {
		t.Fatalf("%s: verify says %+v, %v", what, v, err)
	}
}

// TestFormat1 reads and writes a folder in which every object is a file.
func TestFormat1(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	old := append(numbered("old", 5), large("old"))
	for _, o := range old {
		check(t, putFile(t.Context(), s, o))
	}
	check(t, s.Close())
	check(t, os.WriteFile(filepath.Join(dir, formatName), []byte(formatOld), 0o600))
	s = open(t, dir)
	wantAll(t, s, "read only", old)
	for _, o := range append(numbered("new", 5), old...) {
		check(t, putOne(t.Context(), s, o))
	}
	wantAll(t, open(t, dir), "migrated", append(numbered("new", 5), old...))
	if _, err := os.Stat(s.path(cid.Sum(old[0]))); err != nil {
		t.Errorf("the old file: %v", err)
	}
	x, err := s.Stat(t.Context())
	if err != nil || x.Files != 6 || x.Packed != 5 {
		t.Errorf("stat %+v, %v; want 6 files and 5 packed", x, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, formatName))
	if err != nil || string(text) != formatText {
		t.Errorf("format %q, %v", text, err)
	}
}

// TestIndex fills packs so that they are indexed, and damages an index: the pack
// is read instead, and verify says so.
func TestIndex(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenWith(dir, Options{PackSize: 100_000})
	check(t, err)
	objects := numbered("object", 3000)
	b, err := s.Batch(t.Context())
	check(t, err)
	for i, o := range objects {
		if _, err := b.Put(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if i%500 == 0 {
			check(t, b.(*batch).pack())
		}
	}
	check(t, errors.Join(b.Commit(t.Context()), b.Close(), s.Close()))
	indexes, err := filepath.Glob(filepath.Join(dir, packsDir, "*"+indexSuffix))
	if err != nil || len(indexes) < 2 {
		t.Fatalf("indexes %q, %v; want several", indexes, err)
	}
	wantAll(t, open(t, dir), "by index", objects)
	for _, at := range []int{3, 17, indexFixed + 2, 5000} {
		whole, err := os.ReadFile(indexes[0])
		check(t, err)
		bad := bytes.Clone(whole)
		bad[at] ^= 4
		check(t, os.WriteFile(indexes[0], bad, 0o600))
		again := open(t, dir)
		wantAll(t, again, fmt.Sprintf("index damaged at %d", at), objects)
		n := 0
		for _, err := range again.List(t.Context()) {
			check(t, err)
			n++
		}
		if n != len(objects) {
			t.Errorf("index damaged at %d: %d objects are listed, want %d", at, n, len(objects))
		}
		v, err := again.Verify(t.Context(), VerifyOptions{})
		if err != nil || len(v.Damaged) != 1 || v.Damaged[0].Path != indexes[0] {
			t.Errorf("index damaged at %d: verify says %+v, %v", at, v.Damaged, err)
		}
		check(t, os.WriteFile(indexes[0], whole, 0o600))
	}
}

// TestOthersAppend has two stores on one folder see each other's objects.
func TestOthersAppend(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	for i, o := range numbered("object", 50) {
		w, r := a, b
		if i%2 == 0 {
			w, r = b, a
		}
		check(t, putOne(t.Context(), w, o))
		if there, err := r.Has(t.Context(), cid.Sum(o)); !there || err != nil {
			t.Fatalf("object %d: the other has it: %v, %v", i, there, err)
		}
		check(t, putOne(t.Context(), r, o))
		wantAll(t, r, "the other", [][]byte{o})
	}
	if n := len(packPaths(t, dir)); n != 2 {
		t.Errorf("%d packs, want one for each", n)
	}
	x, err := a.Stat(t.Context())
	if err != nil || x.Packed != 50 {
		t.Errorf("stat %+v, %v; want 50 objects", x, err)
	}
}

func TestQuota(t *testing.T) {
	s := open(t, t.TempDir())
	check(t, s.SetQuota(200_000))
	check(t, putOne(t.Context(), s, large("a")))
	check(t, putOne(t.Context(), s, []byte("small")))
	for _, o := range [][]byte{bytes.Repeat([]byte("x"), 150_000), make([]byte, 300_000)} {
		err := putOne(t.Context(), s, o)
		if !errors.Is(err, cas.ErrFull) || !bytes.Contains([]byte(err.Error()), []byte(cid.Sum(o).String())) {
			t.Errorf("%d bytes: %v, want %v of the object", len(o), err, cas.ErrFull)
		}
	}
	check(t, putOne(t.Context(), s, large("a"))) // it is there
	check(t, s.SetQuota(0))
	check(t, putOne(t.Context(), s, make([]byte, 300_000)))
}

// FuzzWalk reads packs that are anything: it ends, never reports a frame beyond
// the end, and every frame that it reports is one.
func FuzzWalk(f *testing.F) {
	m := markerOf("AAAAAAAAAAAAAAAAAAAAAAAAAA")
	seed := frame{kind: kindObject, length: 3, group: 1, time: 9, hash: cid.Sum([]byte("abc"))}.append(nil, m)
	seed = append(seed, "abc"...)
	f.Add(seed, uint16(5))
	f.Add(append(bytes.Clone(seed), frame{kind: kindEnd, group: 2}.append(nil, m)...), uint16(70))
	f.Fuzz(func(t *testing.T, b []byte, flip uint16) {
		if len(b) > 1<<16 {
			return
		}
		b = append(bytes.Clone(b), seed...)
		b[int(flip)%len(b)] ^= 1 << (flip % 8)
		end := int64(0)
		s, err := walk(bytes.NewReader(b), m, 0, int64(len(b)), func(off int64, x frame) error {
			if off < end || off+x.size() > int64(len(b)) {
				t.Errorf("a frame of %d bytes at %d of %d, after one that ends at %d", x.size(), off, len(b), end)
			}
			end = off + x.size()
			return nil
		})
		if err != nil || s.end > int64(len(b)) {
			t.Errorf("end %d of %d, %v", s.end, len(b), err)
		}
	})
}

// FuzzIndex opens index files that are anything.
func FuzzIndex(f *testing.F) {
	var entries []entry
	for i := range 200 {
		entries = append(entries, entry{cid.Sum(binary.BigEndian.AppendUint32(nil, uint32(i))), uint32(100 + i), 7, 9})
	}
	f.Add(encodeIndex(5000, 3, entries))
	f.Add(encodeIndex(14, 0, nil))
	f.Fuzz(func(_ *testing.T, b []byte) {
		x, err := openIndex(bytes.NewReader(b), int64(len(b)), 1<<20)
		if err != nil {
			return
		}
		for first := -1; first < 256; first += 51 {
			_ = x.each(first, func(entry) {})
		}
		_ = x.find(cid.Sum(b), func(entry) {})
	})
}

// TestIndexFinds holds an index against a plain map.
func TestIndexFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := map[cid.Hash][]uint32{}
		var entries []entry
		for i, n := range rapid.SliceOfN(rapid.IntRange(0, 2000), 0, 3000).Draw(t, "objects") {
			h := cid.Sum(binary.BigEndian.AppendUint32(nil, uint32(n)))
			entries = append(entries, entry{h, uint32(i + 14), uint32(n), 1})
			want[h] = append(want[h], uint32(i+14))
		}
		b := encodeIndex(1<<19, 1, entries)
		x, err := openIndex(bytes.NewReader(b), int64(len(b)), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for h, offsets := range want {
			var got []uint32
			if err := x.find(h, func(e entry) { got = append(got, e.offset) }); err != nil || fmt.Sprint(got) != fmt.Sprint(offsets) {
				t.Fatalf("%s: found at %v, %v; want %v", h, got, err, offsets)
			}
		}
		n := 0
		for first := range 256 {
			if err := x.each(first, func(e entry) { n++ }); err != nil {
				t.Fatal(err)
			}
		}
		if n != len(entries) {
			t.Fatalf("%d entries, want %d", n, len(entries))
		}
	})
}

// TestMend reads headers with one or two wrong bits, and none with three.
func TestMend(t *testing.T) {
	m := markerOf("AAAAAAAAAAAAAAAAAAAAAAAAAA")
	want := frame{kind: kindObject, length: 77, group: 3, time: 1234567890, hash: cid.Sum([]byte("x"))}
	good := want.append(nil, m)
	for i := range headerSize * 8 {
		for _, other := range []int{i, (i*31 + 7) % (headerSize * 8)} {
			b := bytes.Clone(good)
			flipBit(b, i)
			if other != i {
				flipBit(b, other)
			}
			w := &window{r: bytes.NewReader(b), size: headerSize}
			if got, ok := w.mend(0, m); !ok || got != want {
				t.Fatalf("bits %d and %d: got %+v, %v", i, other, got, ok)
			}
		}
		b := bytes.Clone(good)
		for _, j := range []int{i, (i + 100) % (headerSize * 8), (i + 333) % (headerSize * 8)} {
			flipBit(b, j)
		}
		w := &window{r: bytes.NewReader(b), size: headerSize}
		if got, ok := w.mend(0, m); ok {
			t.Fatalf("three bits from %d on: got %+v", i, got)
		}
	}
}
