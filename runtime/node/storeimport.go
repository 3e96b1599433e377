package node

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/export"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
)

// Import stores what an export holds; attestations about packages that were asked
// for there go to this node's index, and are not among the Roots that it returns.
func (n *Node) Import(ctx context.Context, r io.Reader, progress func(objects int, bytes int64)) (export.Imported, error) {
	s, err := n.Store()
	if err != nil {
		return export.Imported{}, err
	}
	to := &importing{Store: s, clock: n.Clock, renewed: n.Clock()}
	x, err := export.Read(ctx, r, to, progress)
	if err == nil {
		err = to.end(ctx)
	}
	if err != nil {
		return x, err
	}
	packages, rest := map[cid.Hash]bool{}, x.Roots[:0]
	about := map[cid.Hash][]gate.Statement{}
	for _, id := range x.Roots {
		raw, err := s.Get(ctx, id, manifest.MaxBytes)
		if err != nil && !errors.Is(err, cas.ErrTooLarge) {
			return x, err
		}
		if u, err := manifest.Decode(raw); err == nil {
			packages[u.PackageID()] = true
		}
		a, statement, err := receipt.OpenAttestation(raw)
		if err != nil || len(raw) > gate.MaxAttestation || !packages[a.SubjectHash] {
			rest = append(rest, id)
			continue
		}
		about[a.SubjectHash] = append(about[a.SubjectHash], gate.Statement{ID: statement, Raw: raw})
	}
	x.Roots = rest
	for of, list := range about {
		if err := n.remember(of, list); err != nil {
			return x, err
		}
	}
	return x, nil
}

// importing is the store while an import puts objects into it. What came is renewed
// now and then: nothing refers to it, and the rest may take longer than a collection
// leaves it alone.
type importing struct {
	*local.Store
	clock   func() time.Time
	came    []cid.Hash
	renewed time.Time
}

// Batch implements cas.Batcher.
func (s *importing) Batch(ctx context.Context) (cas.Batch, error) {
	b, err := s.Store.Batch(ctx)
	return importBatch{b, s}, err
}

type importBatch struct {
	cas.Batch
	to *importing
}

func (b importBatch) PutFrom(ctx context.Context, r io.Reader, want cid.Hash, size int64) error {
	if err := b.Batch.PutFrom(ctx, r, want, size); err != nil {
		return err
	}
	b.to.came = append(b.to.came, want)
	if b.to.clock().Sub(b.to.renewed) < local.Grace/3 {
		return nil
	}
	_, err := b.to.renew(ctx) // what the batch holds back is not there yet
	return err
}

// renew asks for everything that came, and returns what is not there.
func (s *importing) renew(ctx context.Context) (missing []cid.Hash, err error) {
	s.renewed = s.clock()
	for _, h := range s.came {
		there, err := s.Has(ctx, h)
		if err != nil {
			return nil, err
		}
		if !there {
			missing = append(missing, h)
		}
	}
	return missing, nil
}

// end fails if something that came is gone.
func (s *importing) end(ctx context.Context) error {
	missing, err := s.renew(ctx)
	if err == nil && len(missing) > 0 {
		err = fault.New(cas.ErrNotFound, "a collection removed it while the rest came; import again").About(missing[0].String())
	}
	return err
}
