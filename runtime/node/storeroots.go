package node

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

// mark keeps what pins, tags, ledgers, promotions and attestations refer to, and all
// that belongs to it. Ledgers are read whole: what any entry, receipt or item of one
// names stays, of ended runs as of live ones and of effects in doubt.
func (n *Node) mark(ctx context.Context, s *local.Store, keep func(cid.Hash), progress func(string, int64)) (err error) {
	if err := noRegistry(s); err != nil {
		return err
	}
	m := &marking{store: s, keep: keep, seen: map[cid.Hash]bool{}, held: map[cid.Hash]bool{}}
	logs, err := n.ledgers()
	if err != nil {
		return err
	}
	defer func() {
		for _, x := range logs {
			err = errors.Join(err, x.log.Close())
		}
	}()
	for h, err := range s.List(ctx) {
		if err != nil {
			return err
		}
		m.held[h] = true
	}
	if err := m.addReferences(s); err != nil {
		return err
	}
	if err := n.markStatements(m); err != nil {
		return err
	}
	inRings := map[cid.Hash]bool{} // package ids
	for _, x := range logs {
		m.items = append(m.items, x.log) // all of them before any is looked for
		if err := m.addLedger(ctx, x.log, inRings, progress); err != nil {
			return x.unread(err)
		}
	}
	if err := m.addPackages(ctx, inRings, progress); err != nil {
		return err
	}
	return m.finish(ctx, progress)
}

// noRegistry refuses a store that the index of a registry lies beside, of one that did
// not mark it (local.Store.MarkServed).
func noRegistry(s *local.Store) error {
	for _, name := range []string{"index.db", "oci.db"} {
		path := filepath.Join(filepath.Dir(s.Dir()), name)
		_, err := os.Lstat(path)
		if err == nil {
			return fault.New(local.ErrServed, "%s is the index of a registry, so nothing is removed", path).About(s.Dir())
		}
		if !isMissing(err) {
			return pathError(path, err)
		}
	}
	return nil
}

func (m *marking) addReferences(s *local.Store) error {
	pins, err := s.Pins()
	if err != nil {
		return err
	}
	for _, h := range pins {
		m.add(h)
	}
	tags, err := s.Tags()
	for _, t := range tags {
		m.add(t.CID)
	}
	return err
}

// markStatements keeps what this node's promotions and attestations name.
func (n *Node) markStatements(m *marking) error {
	for _, dir := range []string{"promotions", "attestations"} {
		err := filepath.WalkDir(filepath.Join(n.Paths.Data, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil && !isMissing(err) {
				return pathError(path, err)
			}
			if err != nil || d.IsDir() {
				return nil
			}
			raw, err := readFile(path, gate.MaxAttestation)
			if isMissing(err) { // it got its name
				return nil
			}
			m.mentioned(raw)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// addLedger keeps what a ledger's entries name, and adds the ids of the packages that
// its rings run and would go back to.
func (m *marking) addLedger(ctx context.Context, log ledger.Log, inRings map[cid.Hash]bool, progress func(string, int64)) error {
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
	states, err := log.Rings(ctx)
	for _, x := range states {
		for _, id := range []*cid.Hash{x.PackageID, x.RollbackPackageID} {
			if id != nil {
				inRings[*id] = true
			}
		}
	}
	return err
}

// addPackages keeps the packages with these ids, of which a ledger says no manifest.
// An object that is damaged ends the collection only if it may be the manifest of one
// that was not found.
func (m *marking) addPackages(ctx context.Context, ids map[cid.Hash]bool, progress func(string, int64)) error {
	if len(ids) == 0 {
		return nil
	}
	found := map[cid.Hash]bool{}
	var damaged error
	count := int64(0)
	for h := range m.held {
		if count++; count%1000 == 0 {
			progress("looking for packages of rings", count)
		}
		u, err := m.manifest(ctx, h)
		switch {
		case errors.Is(err, cas.ErrCorrupt):
			damaged = fault.New(cas.ErrCorrupt, "it may be the manifest of a package that a ring runs, so nothing is removed: %w", err).About(h.String())
		case err != nil:
			return err
		case u != nil && ids[u.PackageID()]:
			found[u.PackageID()] = true
			m.add(h)
		}
	}
	if len(found) < len(ids) {
		return damaged
	}
	return nil
}

// manifest returns an object that is a manifest; nil if it is none. Of large objects
// that begin as no manifest does it reads no more than that.
func (m *marking) manifest(ctx context.Context, h cid.Hash) (u *manifest.Unverified, err error) {
	in, size, err := m.store.Open(ctx, h)
	if errors.Is(err, cas.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if size == 0 || size > manifest.MaxBytes {
		return nil, nil
	}
	raw := make([]byte, min(size, smallObject))
	if _, err := io.ReadFull(in, raw); err != nil {
		return nil, err
	}
	if size > smallObject {
		if raw[0] != can.AppendMap(nil, 1)[0] {
			return nil, nil
		}
		rest, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		raw = append(raw, rest...)
	}
	if u, err := manifest.Decode(raw); err == nil {
		return u, nil
	}
	return nil, nil
}

const smallObject = 64 << 10 // bytes: it is in a pack, and read at once
