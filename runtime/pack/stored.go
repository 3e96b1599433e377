package pack

import (
	"context"
	"errors"
	"io"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/closure"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/remote"
)

// objects is a package whose content lies under its hashes: in a store, in a remote.
type objects struct {
	get closure.Source
	cid cid.Hash
}

// FromStore gives the package whose manifest is stored under manifestCID.
// Closing it does not close the store.
func FromStore(store cas.Store, manifestCID cid.Hash) Source {
	return FromObjects(store.Get, manifestCID)
}

// FromObjects gives the package whose manifest get returns under manifestCID.
func FromObjects(get closure.Source, manifestCID cid.Hash) Source {
	return &objects{get, manifestCID}
}

func (s *objects) Manifest(ctx context.Context, limit int) ([]byte, error) {
	b, err := s.get(ctx, s.cid, int64(limit))
	switch {
	case errors.Is(err, cas.ErrNotFound):
		return nil, fault.New(ErrNotFound, "no manifest is stored under %s", s.cid)
	case errors.Is(err, cas.ErrTooLarge):
		return nil, fault.New(manifest.ErrLimit, "%w", err)
	}
	return b, err
}

func (s *objects) Signatures(context.Context, int) ([]byte, bool, error) { return nil, false, nil }

func (s *objects) Open(ctx context.Context, id blob.ArtifactID) (io.ReadCloser, error) {
	get := func(h cid.Hash, limit int64) ([]byte, error) { return s.get(ctx, h, limit) }
	var err error
	if id.Size == 0 { // its bytes are known; that it is there is not
		_, err = get(id.CID, 0)
	}
	var r io.Reader
	if err == nil {
		r, err = id.Open(get)
	}
	if err != nil {
		return nil, notStored(err, id)
	}
	return &storedReader{r, id}, nil
}

func (s *objects) Close() error { return nil }

// storedReader gives a store's verdicts the codes of a package's content.
type storedReader struct {
	r  io.Reader
	id blob.ArtifactID
}

func (r *storedReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = notStored(err, r.id)
	}
	return n, err
}

func (r *storedReader) Close() error { return nil }

func notStored(err error, id blob.ArtifactID) error {
	switch {
	case errors.Is(err, cas.ErrNotFound):
		return fault.New(gate.ErrArtifactMissing, "%w", err)
	case errors.Is(err, blob.ErrSize), errors.Is(err, cas.ErrTooLarge):
		return fault.New(manifest.ErrArtifactSize, "%w", err)
	case errors.Is(err, blob.ErrHash), errors.Is(err, blob.ErrChunk), errors.Is(err, remote.ErrLies):
		return fault.New(manifest.ErrArtifactHash, "%w", err)
	}
	return err
}

// Keep stores the whole closure of a verified package, its manifest last, and
// returns the manifest's CID: FromStore then finds everything.
func Keep(ctx context.Context, store cas.Store, p *gate.Package) (cid.Hash, error) {
	batch, err := cas.Begin(ctx, store)
	if err != nil {
		return cid.Hash{}, err
	}
	defer batch.Close()
	for _, id := range p.Contents() {
		if err := keepOne(ctx, batch, p, id); err != nil {
			return cid.Hash{}, err
		}
	}
	if _, err := batch.Put(ctx, p.Raw()); err != nil {
		return cid.Hash{}, err
	}
	return p.ManifestCID(), batch.Commit(ctx)
}

func keepOne(ctx context.Context, batch cas.Batch, p *gate.Package, id blob.ArtifactID) error {
	rc, err := p.Open(ctx, id)
	if err != nil {
		return err
	}
	got, err := cas.PutBlob(ctx, batch, rc)
	if err = errors.Join(err, rc.Close()); err != nil {
		return err
	}
	if got != id {
		return fault.New(manifest.ErrArtifactHash, "it was stored as %s", got.CID).About("artifact " + id.CID.String())
	}
	return nil
}
