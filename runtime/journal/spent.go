package journal

import (
	"context"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// Spent returns how many of a capability's counted uses this ledger has spent
// (RFC-MYTHOS-0008 §6).
func (s *SQLite) Spent(ctx context.Context, capID cid.Hash) (used uint32, err error) {
	err = s.read(ctx, func(rules.Tx) (err error) {
		used, err = s.reads.spent(capID)
		return err
	})
	return used, err
}
