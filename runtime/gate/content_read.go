package gate

import (
	"context"

	"github.com/mythos-run/mythos/runtime/libs/blob"
)

// ReadContent returns content of an open package that need not be verified: it has
// the size and both hashes that id says, and at most limit bytes.
func ReadContent(ctx context.Context, src Source, id blob.ArtifactID, limit uint64) ([]byte, error) {
	b, err := content{src}.load(ctx, id, limit)
	return b, about(err, "artifact "+id.CID.String())
}
