package tlog

import (
	"math/bits"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// MaxProof is the most hashes that a proof has.
const MaxProof = 64

// Source gives the roots of perfect subtrees: of the 2^level leaves from
// index*2^level on.
type Source interface {
	Subtree(level uint8, index uint64) (cid.Hash, error)
}

// Load returns the compact range of the first size leaves.
func Load(src Source, size uint64) (Range, error) {
	var r Range
	if size > MaxSize {
		return r, sizeError(size)
	}
	for level := bits.Len64(size) - 1; level >= 0; level-- {
		if size>>level&1 == 0 {
			continue
		}
		root, err := src.Subtree(uint8(level), r.size>>level)
		if err != nil {
			return Range{}, err
		}
		r.grow(uint8(level), root, nil)
	}
	return r, nil
}

func sizeError(size uint64) error {
	return fault.New(ErrRange, "a tree of %d leaves, at most %d", size, uint64(MaxSize))
}

// root returns the root over the leaves from lo up to hi, where lo is a multiple
// of the power of two that is at least hi-lo.
func root(src Source, lo, hi uint64) (cid.Hash, error) {
	n := hi - lo
	if n&(n-1) == 0 {
		level := bits.TrailingZeros64(n)
		return src.Subtree(uint8(level), lo>>level)
	}
	k := split(n)
	left, err := root(src, lo, lo+k)
	if err != nil {
		return left, err
	}
	right, err := root(src, lo+k, hi)
	return Node(left, right), err
}

// split returns the largest power of two below n, which is at least 2.
func split(n uint64) uint64 { return 1 << (bits.Len64(n-1) - 1) }

// ProveInclusion returns the proof that leaf index is in the tree of the first
// size leaves: the siblings on its way to the root, lowest first (RFC 6962 2.1.1).
func ProveInclusion(src Source, index, size uint64) ([]cid.Hash, error) {
	if size > MaxSize {
		return nil, sizeError(size)
	}
	if index >= size {
		return nil, fault.New(ErrRange, "leaf %d of a tree of %d", index, size)
	}
	return inclusion(src, index, 0, size)
}

func inclusion(src Source, index, lo, hi uint64) ([]cid.Hash, error) {
	if hi-lo == 1 {
		return nil, nil
	}
	k := lo + split(hi-lo)
	from, to, otherFrom, otherTo := lo, k, k, hi
	if index >= k {
		from, to, otherFrom, otherTo = k, hi, lo, k
	}
	path, err := inclusion(src, index, from, to)
	if err != nil {
		return nil, err
	}
	sibling, err := root(src, otherFrom, otherTo)
	return append(path, sibling), err
}

// CheckInclusion checks a proof that leaf is at index in the tree of that size
// and root (RFC 9162 2.1.3.2).
func CheckInclusion(proof []cid.Hash, index, size uint64, leaf, want cid.Hash) error {
	switch {
	case size > MaxSize:
		return sizeError(size)
	case index >= size:
		return fault.New(ErrRange, "leaf %d of a tree of %d", index, size)
	}
	got, last := leaf, size-1
	for i, sibling := range proof {
		if last == 0 {
			return fault.New(ErrProof, "the proof has %d hashes, %d are enough", len(proof), i)
		}
		if index&1 == 1 || index == last {
			got = Node(sibling, got)
			// Where the tree has no right sibling the path goes up for nothing.
			for index&1 == 0 && index != 0 {
				index, last = index>>1, last>>1
			}
		} else {
			got = Node(got, sibling)
		}
		index, last = index>>1, last>>1
	}
	switch {
	case last != 0:
		return fault.New(ErrProof, "the proof has %d hashes, too few", len(proof))
	case got != want:
		return fault.New(ErrProof, "the proof leads to the root %s, the tree has %s", got, want)
	}
	return nil
}

// ProveConsistency returns the proof that the tree of the first from leaves is
// the beginning of the tree of the first to (RFC 6962 2.1.2); none is needed if
// from is 0 or to.
func ProveConsistency(src Source, from, to uint64) ([]cid.Hash, error) {
	switch {
	case to > MaxSize:
		return nil, sizeError(to)
	case from > to:
		return nil, fault.New(ErrRange, "a tree of %d leaves does not begin with one of %d", to, from)
	case from == 0 || from == to:
		return nil, nil
	}
	return consistency(src, from, 0, to, true)
}

// consistency proves that the first from leaves of the tree over lo up to hi are
// what they were; whole says that their root is known to who checks.
func consistency(src Source, from, lo, hi uint64, whole bool) ([]cid.Hash, error) {
	if from == hi-lo {
		if whole {
			return nil, nil
		}
		own, err := root(src, lo, hi)
		return []cid.Hash{own}, err
	}
	k := split(hi - lo)
	if from <= k {
		path, err := consistency(src, from, lo, lo+k, whole)
		if err != nil {
			return nil, err
		}
		right, err := root(src, lo+k, hi)
		return append(path, right), err
	}
	path, err := consistency(src, from-k, lo+k, hi, false)
	if err != nil {
		return nil, err
	}
	left, err := root(src, lo, lo+k)
	return append(path, left), err
}

// CheckConsistency checks a proof that the tree of size from and root old is the
// beginning of the tree of size to and root now (RFC 9162 2.1.4.2).
func CheckConsistency(proof []cid.Hash, from, to uint64, old, now cid.Hash) error {
	switch {
	case to > MaxSize:
		return sizeError(to)
	case from > to:
		return fault.New(ErrRange, "a tree of %d leaves does not begin with one of %d", to, from)
	case from == 0 && old != Empty():
		return fault.New(ErrProof, "the tree of no leaves has the root %s, got %s", Empty(), old)
	case from == to && old != now:
		return fault.New(ErrProof, "two roots of one size, %s and %s", old, now)
	case (from == 0 || from == to) && len(proof) > 0:
		return fault.New(ErrProof, "the proof has %d hashes, none is needed", len(proof))
	case from == 0 || from == to:
		return nil
	}
	return checkGrowth(proof, from, to, old, now)
}

func checkGrowth(proof []cid.Hash, from, to uint64, old, now cid.Hash) error {
	index, last := from-1, to-1
	up := bits.TrailingZeros64(from) // the subtree that the old tree ends with
	index, last = index>>up, last>>up
	start := old
	if from&(from-1) != 0 {
		if len(proof) == 0 {
			return fault.New(ErrProof, "the proof is empty")
		}
		start, proof = proof[0], proof[1:]
	}
	gotOld, gotNow := start, start
	for _, h := range proof {
		if last == 0 {
			return fault.New(ErrProof, "the proof has hashes left")
		}
		if index&1 == 1 || index == last {
			gotOld, gotNow = Node(h, gotOld), Node(h, gotNow)
			for index&1 == 0 && index != 0 {
				index, last = index>>1, last>>1
			}
		} else {
			gotNow = Node(gotNow, h)
		}
		index, last = index>>1, last>>1
	}
	switch {
	case last != 0:
		return fault.New(ErrProof, "the proof has too few hashes")
	case gotOld != old:
		return fault.New(ErrProof, "the proof begins at the root %s, the older tree has %s", gotOld, old)
	case gotNow != now:
		return fault.New(ErrProof, "the proof leads to the root %s, the newer tree has %s", gotNow, now)
	}
	return nil
}
