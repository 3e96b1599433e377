package cas

import (
	"context"
	"errors"
	"io"

	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

// PutBlob stores everything that r yields as an artifact: one object up to
// blob.FlatLimit bytes, a chunked blob above. Into a Store it is durable when
// PutBlob returns; into a Batch, when that is committed. It holds a few chunks
// at a time. After an error some of the artifact's objects may be stored.
func PutBlob(ctx context.Context, p Putter, r io.Reader) (blob.ArtifactID, error) {
	s, ok := p.(Store)
	if !ok {
		return blob.WriteArtifact(source{ctx, r}, PutFunc(ctx, p))
	}
	b, err := Begin(ctx, s)
	if err != nil {
		return blob.ArtifactID{}, err
	}
	id, err := blob.WriteArtifact(source{ctx, r}, PutFunc(ctx, b))
	if err == nil {
		err = b.Commit(ctx)
	}
	if err = errors.Join(err, b.Close()); err != nil {
		return blob.ArtifactID{}, err
	}
	return id, nil
}

// OpenBlob returns a reader of the artifact a from s, walking its tree if it is
// chunked. Each byte is verified before it is returned, and io.EOF comes only
// after the size and both hashes were found to be right. It holds one chunk.
func OpenBlob(ctx context.Context, s Store, a blob.ArtifactID) (io.Reader, error) {
	get := GetFunc(ctx, s)
	if a.Size == 0 {
		// Its bytes are known; that it is stored under this name is not.
		if _, err := get(a.CID, 0); err != nil {
			return nil, err
		}
	}
	return a.Open(get)
}

// GetFunc is s as the source of nodes and chunks that package blob and package
// merkle read from, until ctx ends.
func GetFunc(ctx context.Context, s Store) merkle.Get {
	return func(id cid.Hash, limit int64) ([]byte, error) { return s.Get(ctx, id, limit) }
}

// PutFunc is p as the target of nodes and chunks that package blob and package
// merkle write to, until ctx ends.
func PutFunc(ctx context.Context, p Putter) merkle.Put {
	return func(_ cid.Hash, b []byte) error {
		_, err := p.Put(ctx, b)
		return err
	}
}
