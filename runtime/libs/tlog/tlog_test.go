package tlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	xlog "golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// tree is a Source over leaf hashes, built by the definition of RFC 6962 alone.
type tree []cid.Hash

func (t tree) Subtree(level uint8, index uint64) (cid.Hash, error) {
	lo, hi := index<<level, (index+1)<<level
	if hi > uint64(len(t)) {
		return cid.Hash{}, fault.New(ErrRange, "no subtree %d of level %d", index, level)
	}
	return t.defined(lo, hi), nil
}

func (t tree) defined(lo, hi uint64) cid.Hash {
	n := hi - lo
	switch n {
	case 0:
		return Empty()
	case 1:
		return t[lo]
	}
	k := uint64(1)
	for 2*k < n {
		k *= 2
	}
	l, r := t.defined(lo, lo+k), t.defined(lo+k, hi)
	return cid.Sum(slices.Concat([]byte{1}, l[:], r[:]))
}

func leaves(n int, seed uint64) tree {
	t := make(tree, n)
	for i := range t {
		t[i] = cid.Sum(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, seed), uint64(i)))
	}
	return t
}

// second is the same tree in golang.org/x/mod's form.
type second struct{ hashes []xlog.Hash }

func newSecond(t *rapid.T, all tree) *second {
	s := &second{}
	for i, leaf := range all {
		more, err := xlog.StoredHashesForRecordHash(int64(i), xlog.Hash(leaf), s)
		if err != nil {
			t.Fatal(err)
		}
		s.hashes = append(s.hashes, more...)
	}
	return s
}

func (s *second) ReadHashes(indexes []int64) ([]xlog.Hash, error) {
	out := make([]xlog.Hash, len(indexes))
	for i, at := range indexes {
		if at >= int64(len(s.hashes)) {
			return nil, fmt.Errorf("no hash %d", at)
		}
		out[i] = s.hashes[at]
	}
	return out, nil
}

func ours(hashes []xlog.Hash) (out []cid.Hash) {
	for _, h := range hashes {
		out = append(out, cid.Hash(h))
	}
	return out
}

func theirs(hashes []cid.Hash) (out []xlog.Hash) {
	for _, h := range hashes {
		out = append(out, xlog.Hash(h))
	}
	return out
}

// TestAgainstSecondImplementation compares roots and proofs of random trees with
// those of golang.org/x/mod, each checked by both sides.
func TestAgainstSecondImplementation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 600).Draw(t, "leaves")
		all := leaves(n, rapid.Uint64().Draw(t, "seed"))
		other := newSecond(t, all)
		var r Range
		for i, leaf := range all {
			r.Append(leaf)
			if i%97 == 0 || i == n-1 {
				want, err := xlog.TreeHash(int64(i+1), other)
				if err != nil || r.Root() != cid.Hash(want) || r.Root() != all.defined(0, uint64(i+1)) {
					t.Fatalf("root of %d leaves: %v", i+1, err)
				}
			}
		}
		size := uint64(n)
		index := rapid.Uint64Range(0, size-1).Draw(t, "index")
		proof, err := ProveInclusion(all, index, size)
		want, wantErr := xlog.ProveRecord(int64(n), int64(index), other)
		if err != nil || wantErr != nil || !slices.Equal(proof, ours(want)) {
			t.Fatalf("inclusion of %d in %d: %v, %v", index, n, err, wantErr)
		}
		if err := CheckInclusion(proof, index, size, all[index], r.Root()); err != nil {
			t.Fatal(err)
		}
		if err := xlog.CheckRecord(theirs(proof), int64(n), xlog.Hash(r.Root()), int64(index), xlog.Hash(all[index])); err != nil {
			t.Fatal(err)
		}
		from := rapid.Uint64Range(1, size).Draw(t, "from")
		proof, err = ProveConsistency(all, from, size)
		grown, grownErr := xlog.ProveTree(int64(n), int64(from), other)
		if err != nil || grownErr != nil || !slices.Equal(proof, ours(grown)) {
			t.Fatalf("consistency of %d with %d: %v, %v", from, n, err, grownErr)
		}
		old := all.defined(0, from)
		if err := CheckConsistency(proof, from, size, old, r.Root()); err != nil {
			t.Fatal(err)
		}
		if err := xlog.CheckTree(theirs(proof), int64(n), xlog.Hash(r.Root()), int64(from), xlog.Hash(old)); err != nil {
			t.Fatal(err)
		}
	})
}

// TestEveryProofOfSmallTrees checks all proofs of all trees up to 40 leaves, and
// that each refuses whatever else than its own statement.
func TestEveryProofOfSmallTrees(t *testing.T) {
	all := leaves(41, 1)
	for size := uint64(1); size <= 40; size++ {
		root := all.defined(0, size)
		for index := range size {
			proof, err := ProveInclusion(all, index, size)
			if err != nil {
				t.Fatal(err)
			}
			refuse := func(what string, proof []cid.Hash, index, size uint64, leaf, root cid.Hash) {
				t.Helper()
				if CheckInclusion(proof, index, size, leaf, root) == nil {
					t.Fatalf("%s: leaf %d of %d", what, index, size)
				}
			}
			if err := CheckInclusion(proof, index, size, all[index], root); err != nil {
				t.Fatal(err)
			}
			for other := range size {
				if other != index {
					refuse("another index", proof, other, size, all[index], root)
				}
			}
			refuse("another leaf", proof, index, size, all[index+1], root)
			refuse("another root", proof, index, size, all[index], all.defined(0, size+1))
			refuse("one more", append(slices.Clone(proof), root), index, size, all[index], root)
			refuse("outside", proof, size, size, all[index], root)
			for i := range proof {
				refuse("one less", slices.Delete(slices.Clone(proof), i, i+1), index, size, all[index], root)
				bad := slices.Clone(proof)
				bad[i][31] ^= 1
				refuse("one bit", bad, index, size, all[index], root)
			}
		}
		for from := range size + 1 {
			smallConsistency(t, all, from, size)
		}
	}
}

func smallConsistency(t *testing.T, all tree, from, size uint64) {
	t.Helper()
	old, root := all.defined(0, from), all.defined(0, size)
	proof, err := ProveConsistency(all, from, size)
	if err == nil {
		err = CheckConsistency(proof, from, size, old, root)
	}
	if err != nil {
		t.Fatalf("%d to %d: %v", from, size, err)
	}
	refuse := func(what string, proof []cid.Hash, old, root cid.Hash) {
		t.Helper()
		if CheckConsistency(proof, from, size, old, root) == nil {
			t.Fatalf("%s: %d to %d", what, from, size)
		}
	}
	other := all.defined(1, size+1)
	refuse("another old root", proof, other, root)
	if from > 0 {
		refuse("another root", proof, old, other)
	}
	refuse("one more", append(slices.Clone(proof), root), old, root)
	for i := range proof {
		refuse("one less", slices.Delete(slices.Clone(proof), i, i+1), old, root)
		bad := slices.Clone(proof)
		bad[i][0] ^= 1
		refuse("one bit", bad, old, root)
	}
	if CheckConsistency(proof, size+1, size, old, root) == nil {
		t.Fatal("a tree that shrinks")
	}
}

// TestLoad continues a tree from the roots of its subtrees, and tells of every
// subtree once, when it is complete.
func TestLoad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 300).Draw(t, "leaves")
		all := leaves(n, 3)
		cut := rapid.IntRange(0, n).Draw(t, "cut")
		r, err := Load(all, uint64(cut))
		if err != nil || r.Root() != all.defined(0, uint64(cut)) || r.Size() != uint64(cut) {
			t.Fatalf("%d of %d: %v", cut, n, err)
		}
		for i := cut; i < n; i++ {
			next := uint8(0)
			r.Grow(all[i], func(level uint8, index uint64, root cid.Hash) {
				want, err := all.Subtree(level, index)
				if err != nil || level != next || root != want || (index+1)<<level != uint64(i+1) {
					t.Fatalf("leaf %d completes subtree %d of level %d, %v", i, index, level, err)
				}
				next++
			})
			if uint64(i+1)%(1<<next) == 0 {
				t.Fatalf("leaf %d: told only of levels below %d", i, next)
			}
		}
		if r.Root() != all.defined(0, uint64(n)) {
			t.Fatal("another root")
		}
	})
}

func TestAppendDoesNotAllocate(t *testing.T) {
	var r Range
	leaf := cid.Sum(nil)
	if n := testing.AllocsPerRun(1000, func() { r.Append(leaf) }); n != 0 {
		t.Errorf("%v allocations for a leaf", n)
	}
}

func TestRanges(t *testing.T) {
	all := leaves(3, 0)
	for name, f := range map[string]func() error{
		"leaf outside":    func() error { _, err := ProveInclusion(all, 3, 3); return err },
		"empty tree":      func() error { _, err := ProveInclusion(all, 0, 0); return err },
		"tree shrinks":    func() error { _, err := ProveConsistency(all, 3, 2); return err },
		"too large":       func() error { _, err := ProveInclusion(all, 0, 1<<63); return err },
		"too large, to":   func() error { _, err := ProveConsistency(all, 1, 1<<63); return err },
		"too large, load": func() error { _, err := Load(all, 1<<63); return err },
		"check":           func() error { return CheckInclusion(nil, 0, 1<<63, all[0], all[0]) },
		"check growth":    func() error { return CheckConsistency(nil, 0, 1<<63, Empty(), all[0]) },
		"missing subtree": func() error { _, err := ProveInclusion(all, 0, 5); return err },
		"missing, load":   func() error { _, err := Load(all, 5); return err },
		"missing, growth": func() error { _, err := ProveConsistency(all, 1, 5); return err },
	} {
		if err := f(); !errors.Is(err, ErrRange) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var last [32]cid.Hash // the path of the last leaf of the largest tree
	if err := CheckInclusion(last[:], MaxSize-1, MaxSize, all[0], all[0]); !errors.Is(err, ErrProof) {
		t.Error(err)
	}
}

// FuzzProofs feeds checkers with whatever: they end, and accept an inclusion
// only if the proof leads there by the definition.
func FuzzProofs(f *testing.F) {
	f.Add(uint64(2), uint64(5), make([]byte, 96))
	f.Add(uint64(4), uint64(8), make([]byte, 32))
	f.Fuzz(func(t *testing.T, a, b uint64, raw []byte) {
		var proof []cid.Hash
		for len(raw) >= 32 && len(proof) < 80 {
			proof, raw = append(proof, cid.Hash(raw[:32])), raw[32:]
		}
		leaf := cid.Sum([]byte("leaf"))
		if CheckInclusion(proof, a, b, leaf, Empty()) == nil {
			t.Fatalf("leaf %d of %d in the empty root", a, b)
		}
		if CheckConsistency(proof, a, b, leaf, Empty()) == nil {
			t.Fatalf("%d to %d", a, b)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	var r Range
	leaf := cid.Sum(nil)
	for b.Loop() {
		r.Append(leaf)
	}
}
