package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/export"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
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

// Collect removes what neither a pin, a tag, a ledger, a promotion nor an
// attestation refers to. Progress may be nil.
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

// Export writes objects with all that belongs to them, and for packages what this
// node knows of attestations about them, as a stream that Import reads.
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
	attested, err := n.attestedObjects(ctx, s, ids)
	if err != nil {
		return 0, err
	}
	for _, h := range attested {
		if !seen[h] {
			seen[h] = true
			all = append(all, h)
		}
	}
	return len(all), export.Write(ctx, w, s, slices.Concat(ids, attested), all, o)
}

// attestedObjects stores the attestations about those of the objects that are
// packages, and returns their CIDs.
func (n *Node) attestedObjects(ctx context.Context, s cas.Store, ids []cid.Hash) (list []cid.Hash, err error) {
	for _, id := range ids {
		raw, err := s.Get(ctx, id, manifest.MaxBytes)
		if errors.Is(err, cas.ErrTooLarge) {
			continue
		}
		if err != nil {
			return nil, err
		}
		u, err := manifest.Decode(raw)
		if err != nil {
			continue // something else
		}
		attested, err := n.Attestations(u.PackageID())
		if err != nil {
			return nil, err
		}
		for _, a := range attested {
			h, err := s.Put(ctx, a.Raw)
			if err != nil {
				return nil, err
			}
			list = append(list, h)
		}
	}
	return list, nil
}

// Mirror opens what a reference names as a source of good copies: the URL of a
// remote, a store's folder, or a package in any local form. The caller closes it.
func (n *Node) Mirror(ctx context.Context, ref string, o RemoteOptions) (cas.Source, io.Closer, error) {
	if strings.Contains(ref, "://") || isBucketFolder(ref) {
		r, err := n.OpenRemote(ctx, ref, o)
		if err != nil {
			return nil, nil, err
		}
		return remoteSource{Remote: r}, r, nil
	}
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

// maxStored is how often something is stored until all of it is there at once.
const maxStored = 8

// keepWhole stores something until all that belongs to it is there at once, and
// renewed: nothing refers to it yet, and if it takes longer than collection leaves it
// alone, its first parts may be gone before its last ones come.
func keepWhole(ctx context.Context, s cas.Store, put func() (cid.Hash, error)) (cid.Hash, error) {
	for times := 1; ; times++ {
		id, err := put()
		if err != nil {
			return id, err
		}
		_, err = renewClosure(ctx, s, id)
		if !errors.Is(err, cas.ErrNotFound) || times == maxStored {
			return id, err
		}
	}
}
