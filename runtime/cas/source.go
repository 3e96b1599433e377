package cas

import (
	"context"
	"io"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// Source is where good copies come from: a Store, a package or a remote. It is
// believed nothing; whoever reads from it checks.
type Source interface {
	// Open streams the object that hashes to h, or fails with ErrNotFound. The size
	// is negative if it is not known before the end.
	Open(ctx context.Context, h cid.Hash) (io.ReadCloser, int64, error)
}
