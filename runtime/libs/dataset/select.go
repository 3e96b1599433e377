package dataset

import (
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

// Source hands out what a selection reads, by id. More than the limit in bytes is
// an error. What it returns is verified here.
type Source struct {
	Nodes    merkle.Get // of the corpora
	Episodes merkle.Get // canonical EpisodeRefs
	Receipts merkle.Get // canonical Receipts; needed by some predicates only
}

// Result is what a definition chooses.
type Result struct {
	Manifest *cid.Hash // root of the MerkleList of the chosen ids; nil if there are none
	Count    uint64    // how many they are
}

// Select evaluates the definition over its corpora. It reads them as a stream and
// hands the nodes of the manifest to put, which may be nil. The first error ends
// it: those of src, those of package merkle for a corpus that is not sound, and
// those of OpenEpisode, AddReceipt and Add.
func (d *Definition) Select(src Source, put merkle.Put) (Result, error) {
	s := d.NewSelector()
	for _, root := range d.corpora() {
		if s.Full() {
			break
		}
		if err := s.visit(root, src); err != nil {
			return Result{}, err
		}
	}
	ids, err := s.Chosen()
	if err != nil {
		return Result{}, err
	}
	b := merkle.NewBuilder(put)
	for _, id := range ids {
		if err := b.Add(id); err != nil {
			return Result{}, err
		}
	}
	root, err := b.Root()
	return Result{Manifest: root, Count: b.Count()}, err
}

// corpora returns the corpus roots ascending, each once, without that of the empty
// list.
func (d *Definition) corpora() []cid.Hash {
	roots := slices.Clone(d.def.CorpusRoots)
	slices.SortFunc(roots, cid.Hash.Compare)
	roots = slices.Compact(roots)
	return slices.DeleteFunc(roots, func(r cid.Hash) bool { return r == cid.Sum(nil) })
}

// visit adds the episodes of one corpus until nothing can change any more.
func (s *Selector) visit(root cid.Hash, src Source) error {
	list, err := merkle.OpenList(&root, src.Nodes)
	if err != nil {
		return err
	}
	for id, err := range list.All() {
		if err != nil {
			return err
		}
		e, err := s.fetch(id, src)
		if err != nil {
			return err
		}
		if err := s.Add(e); err != nil || s.Full() {
			return err
		}
	}
	return nil
}

// fetch reads one episode, with its receipts if they are looked at.
func (s *Selector) fetch(id cid.Hash, src Source) (*Entry, error) {
	raw, err := src.Episodes(id, MaxEpisode)
	if err != nil {
		return nil, err
	}
	e, err := OpenEpisode(raw)
	if err != nil {
		return nil, err
	}
	if e.id != id {
		return nil, fault.New(ErrEpisode, "episode %s is named %s in its corpus", e.id, id)
	}
	if !s.NeedsReceipts() {
		return e, nil
	}
	for _, r := range e.receipts {
		raw, err := src.Receipts(r, MaxReceipt)
		if err != nil {
			return nil, err
		}
		if err := e.AddReceipt(raw); err != nil {
			return nil, err
		}
	}
	return e, nil
}
