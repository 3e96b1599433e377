package node

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/export"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/pack"
)

// Store opens the object store, with what only one on disk can do.
func (n *Node) Store() (*local.Store, error) {
	if _, err := n.Objects(); err != nil {
		return nil, err
	}
	return n.objects, nil
}

// Pin makes collection keep an object with all that belongs to it, and returns
// how many objects that are. It fails, and pins nothing, if one is missing.
func (n *Node) Pin(ctx context.Context, id cid.Hash) (int, error) {
	s, err := n.Store()
	if err != nil {
		return 0, err
	}
	if err := n.there(ctx, s, id); err != nil {
		return 0, err
	}
	fresh, err := s.Pin(id)
	if err != nil {
		return 0, err
	}
	count, err := renewClosure(ctx, s, id)
	if err != nil && fresh {
		err = errors.Join(err, s.Unpin(id))
	}
	return count, err
}

// Tag is Pin under a name, which may have stood for another object.
func (n *Node) Tag(ctx context.Context, name string, id cid.Hash) (int, error) {
	s, err := n.Store()
	if err != nil {
		return 0, err
	}
	if err := n.there(ctx, s, id); err != nil {
		return 0, err
	}
	before, err := s.TagOf(name)
	had := err == nil
	if err != nil && !errors.Is(err, local.ErrNoTag) {
		return 0, err
	}
	if err := s.SetTag(name, id); err != nil {
		return 0, err
	}
	count, err := renewClosure(ctx, s, id)
	if err != nil {
		back := func() error { return s.RemoveTag(name) }
		if had {
			back = func() error { return s.SetTag(name, before) }
		}
		return 0, errors.Join(err, back())
	}
	return count, nil
}

// there fails before anything is written for an object that is not stored.
func (n *Node) there(ctx context.Context, s cas.Store, id cid.Hash) error {
	there, err := s.Has(ctx, id)
	if err == nil && !there {
		err = fault.New(cas.ErrNotFound, "is not in the store").About(id.String())
	}
	return err
}

// renewClosure renews everything that belongs to id. It comes after the pin or
// tag: a collection that began before it keeps what was renewed.
func renewClosure(ctx context.Context, s cas.Store, id cid.Hash) (int, error) {
	all, err := closure(ctx, s, id)
	if err != nil {
		return 0, err
	}
	for _, h := range all {
		there, err := s.Has(ctx, h)
		if err != nil {
			return 0, err
		}
		if !there {
			return 0, lacks(id, h)
		}
	}
	return len(all), nil
}

func lacks(root, h cid.Hash) error {
	return fault.New(cas.ErrNotFound, "belongs to %s and is not in the store", root).About(h.String())
}

// Collect removes what neither a pin, a tag nor the ledger refers to. Progress
// may be nil.
func (n *Node) Collect(ctx context.Context, dryRun bool, progress func(phase string, done int64)) (local.Collected, error) {
	s, err := n.Store()
	if err != nil {
		return local.Collected{}, err
	}
	if progress == nil {
		progress = func(string, int64) {}
	}
	return s.Collect(ctx, local.CollectOptions{
		DryRun:   dryRun,
		Mark:     func(ctx context.Context, keep func(cid.Hash)) error { return n.mark(ctx, s, keep, progress) },
		Progress: func(bytes int64) { progress("looking at objects", bytes) },
	})
}

// mark keeps what pins, tags and the ledger refer to, and all that belongs to it.
// The ledger is read whole: what any entry, receipt or item of it names stays, of
// ended runs as of live ones and of effects in doubt.
func (n *Node) mark(ctx context.Context, s *local.Store, keep func(cid.Hash), progress func(string, int64)) error {
	m := &marking{store: s, keep: keep, seen: map[cid.Hash]bool{}, held: map[cid.Hash]bool{}}
	for h, err := range s.List(ctx) {
		if err != nil {
			return err
		}
		m.held[h] = true
	}
	pins, err := s.Pins()
	if err != nil {
		return err
	}
	for _, h := range pins {
		m.add(h)
	}
	tags, err := s.Tags()
	if err != nil {
		return err
	}
	for _, t := range tags {
		m.add(t.CID)
	}
	if err := n.markLedger(ctx, m, progress); err != nil {
		return err
	}
	return m.finish(ctx, progress)
}

func (n *Node) markLedger(ctx context.Context, m *marking, progress func(string, int64)) (err error) {
	if !n.HasLedger() {
		return nil
	}
	log, err := n.ReadLedger()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	m.items = log
	count := int64(0)
	for rec, err := range log.Records(ctx, ledger.Filter{}) {
		if err != nil {
			return err
		}
		m.mentioned(rec.Body)
		if count++; count%1000 == 0 {
			progress("reading the ledger", count)
		}
	}
	return m.finish(ctx, progress)
}

// Export writes an object with all that belongs to it as a stream that Import
// reads.
func (n *Node) Export(ctx context.Context, w io.Writer, ids []cid.Hash, o export.Options) (int, error) {
	s, err := n.Store()
	if err != nil {
		return 0, err
	}
	var all []cid.Hash
	seen := map[cid.Hash]bool{}
	for _, id := range ids {
		list, err := closure(ctx, s, id)
		if err != nil {
			return 0, err
		}
		for _, h := range list {
			if !seen[h] {
				seen[h] = true
				all = append(all, h)
			}
		}
	}
	return len(all), export.Write(ctx, w, s, ids, all, o)
}

// Mirror opens what a reference names as a source of good copies: a store's
// folder, or a packed folder or archive. The caller closes it.
func Mirror(ctx context.Context, ref string) (cas.Source, io.Closer, error) {
	if local.IsStore(ref) {
		s, err := local.Open(ref)
		if err != nil {
			return nil, nil, err
		}
		return s, s, nil
	}
	src, err := pack.Open(ctx, ref, pack.OpenOptions{})
	if err != nil {
		return nil, nil, err
	}
	m, err := newPackageMirror(ctx, src)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("read the package: %w", err), src.Close())
	}
	return m, src, nil
}
