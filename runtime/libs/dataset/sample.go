package dataset

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Rank returns the rank of an episode under a seed: the first 8 bytes of
// SHA-256(seed digest || episode id digest), big-endian. The lowest are kept.
func Rank(seed, episode cid.Hash) uint64 {
	h := sha256.Sum256(slices.Concat(seed[:], episode[:]))
	return binary.BigEndian.Uint64(h[:])
}

// StratumSeed returns the seed of a stratum: SHA-256(seed digest || canonical bytes
// of its key).
func StratumSeed(seed cid.Hash, key []byte) cid.Hash {
	return cid.Sum(slices.Concat(seed[:], key))
}

// kept is an episode that is still in.
type kept struct {
	rank uint64
	id   cid.Hash
	at   uint64 // when it was first seen
}

func (k kept) compare(o kept) int {
	switch {
	case k.rank < o.rank:
		return -1
	case k.rank > o.rank:
		return 1
	}
	return k.id.Compare(o.id)
}

// bucket keeps the n episodes of lowest rank under a seed, each once. It is a heap
// with the first to go on top.
type bucket struct {
	seed cid.Hash
	n    uint64
	list []kept
	has  map[cid.Hash]bool
}

func newBucket(seed cid.Hash, n uint64) *bucket {
	return &bucket{seed: seed, n: n, has: map[cid.Hash]bool{}}
}

func (b *bucket) Len() int           { return len(b.list) }
func (b *bucket) Less(i, j int) bool { return b.list[i].compare(b.list[j]) > 0 }
func (b *bucket) Swap(i, j int)      { b.list[i], b.list[j] = b.list[j], b.list[i] }
func (b *bucket) Push(x any)         { b.list = append(b.list, x.(kept)) }
func (b *bucket) Pop() any {
	last := b.list[len(b.list)-1]
	b.list = b.list[:len(b.list)-1]
	return last
}

// add offers an episode and reports whether the bucket grew. What was pushed out
// cannot come back: the limit only gets lower.
func (b *bucket) add(id cid.Hash, at uint64) bool {
	if b.n == 0 || b.has[id] {
		return false
	}
	return b.offer(kept{Rank(b.seed, id), id, at})
}

func (b *bucket) offer(k kept) bool {
	if uint64(len(b.list)) < b.n {
		heap.Push(b, k)
		b.has[k.id] = true
		return true
	}
	if k.compare(b.list[0]) < 0 {
		delete(b.has, b.list[0].id)
		b.list[0] = k
		heap.Fix(b, 0)
		b.has[k.id] = true
	}
	return false
}

// Selector is a definition at work: episodes go in one by one, in visiting order,
// and the chosen ids come out. It is for one goroutine.
type Selector struct {
	def    *Definition
	strata map[cid.Hash]*bucket // by stratum seed; nil: not stratified
	sample *bucket              // of HASH_N
	set    map[cid.Hash]bool    // of ALL and FIRST_N
	held   int                  // ids that strata, or sample and set, hold
	seen   uint64
	err    error // sticky
}

// NewSelector returns an empty Selector.
func (d *Definition) NewSelector() *Selector {
	s := &Selector{def: d, set: map[cid.Hash]bool{}}
	if x := &d.def.Sampling; x.Mode == ModeHashN {
		s.sample = newBucket(x.Seed, *x.N)
	}
	if d.def.Stratify != nil {
		s.strata = map[cid.Hash]*bucket{}
	}
	return s
}

// NeedsReceipts reports whether episodes must be added with their receipts.
func (s *Selector) NeedsReceipts() bool { return s.def.predicate.wants }

// Full reports whether nothing that follows can change the result.
func (s *Selector) Full() bool {
	x := &s.def.def.Sampling
	none := x.N != nil && *x.N == 0 || s.strata != nil && s.def.def.Stratify.PerBucketN == 0
	return none || s.strata == nil && x.Mode == ModeFirstN && uint64(len(s.set)) == *x.N
}

// Add offers the next episode. Its codes are ErrEpisode, if it lacks receipts that
// the predicate looks at, and ErrTooLarge; after an error the Selector only repeats
// it.
func (s *Selector) Add(e *Entry) error {
	switch {
	case s.err != nil:
		return s.err
	case s.NeedsReceipts() && e.next < len(e.receipts):
		s.err = fault.New(ErrEpisode, "episode %s has %d of its %d receipts", e.id, e.next, len(e.receipts))
		return s.err
	case s.Full() || !s.def.predicate.holds(e):
		return nil
	}
	at := s.seen
	s.seen++
	if s.strata != nil {
		s.stratify(e, at)
	} else {
		s.choose(e.id, at)
	}
	if s.held > MaxKept {
		s.err = fault.New(ErrTooLarge, "it keeps more than %d episodes", MaxKept)
	}
	return s.err
}

// stratify puts an episode into its stratum. The key of an episode that has nothing
// at key_path is NULL, which no field of an episode ever is.
func (s *Selector) stratify(e *Entry, at uint64) {
	x := s.def.def.Stratify
	key := e.at(x.KeyPath.Root, x.KeyPath.Segments)
	if key == nil {
		key = []byte{0}
	}
	seed := StratumSeed(x.Seed, key)
	b := s.strata[seed]
	if b == nil {
		b = newBucket(seed, x.PerBucketN)
		s.strata[seed] = b
	}
	if b.add(e.id, at) {
		s.held++
	}
}

// choose is the sampling proper.
func (s *Selector) choose(id cid.Hash, at uint64) {
	switch x := &s.def.def.Sampling; {
	case s.sample != nil:
		if s.sample.add(id, at) {
			s.held++
		}
	case x.Mode == ModeFirstN && uint64(len(s.set)) == *x.N:
	default:
		if !s.set[id] {
			s.set[id] = true
			s.held++
		}
	}
}

// Chosen returns the ids of the dataset, ascending. The Selector is spent.
func (s *Selector) Chosen() ([]cid.Hash, error) {
	if s.err != nil {
		return nil, s.err
	}
	s.err = fault.New(ErrDefinition, "the selection is over")
	if s.strata != nil {
		var left []kept
		for _, b := range s.strata {
			left = append(left, b.list...)
		}
		s.strata = nil
		slices.SortFunc(left, func(a, b kept) int {
			if a.at < b.at {
				return -1
			}
			return 1 // no two were seen at once
		})
		for _, k := range left {
			s.choose(k.id, k.at)
		}
	}
	ids := make([]cid.Hash, 0, len(s.set))
	for id := range s.set {
		ids = append(ids, id)
	}
	if s.sample != nil {
		for _, k := range s.sample.list {
			ids = append(ids, k.id)
		}
	}
	slices.SortFunc(ids, cid.Hash.Compare)
	return ids, nil
}
