package node

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// OpenObject streams an object of the store or, if it is not there, one that is
// kept beside the ledger, as small objects of effects are (RFC-MYTHOS-0006 §14).
// The bytes are known to be right once io.EOF came.
func (n *Node) OpenObject(ctx context.Context, id cid.Hash) (io.ReadCloser, error) {
	store, err := n.Objects()
	if err != nil {
		return nil, err
	}
	object, _, notFound := store.Open(ctx, id)
	if !errors.Is(notFound, cas.ErrNotFound) {
		return object, notFound
	}
	if !n.HasLedger() {
		return nil, notFound
	}
	log, err := n.ReadLedger()
	if err != nil {
		return nil, err
	}
	raw, err := log.Object(ctx, id)
	if errors.Is(err, ledger.ErrNoItem) {
		err = notFound
	}
	if err = errors.Join(err, log.Close()); err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(raw)), nil
}
