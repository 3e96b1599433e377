package journal

import (
	"context"

	"zombiezen.com/go/sqlite"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// maxCounts bounds the counts that the writer remembers: 36 bytes and a map's share each.
const maxCounts = 4096

// Spent returns how many of a capability's counted uses this ledger has spent
// (RFC-MYTHOS-0008 §6).
func (s *SQLite) Spent(ctx context.Context, capID cid.Hash) (used uint32, err error) {
	err = s.read(ctx, func(rules.Tx) (err error) {
		used, err = s.reads.spent(capID)
		return err
	})
	return used, err
}

// Charge implements rules.Tx. Only the writer calls it, which is the only one in any
// process: what it has written it need not read again.
func (t *sqliteTx) Charge(spend []ledger.Spend) error {
	return rules.ChargeAll(spend, t.remembered, t.setSpent)
}

func (t *sqliteTx) remembered(capID cid.Hash) (uint32, error) {
	if n, ok := t.counts[capID]; ok {
		return n, nil
	}
	return t.spent(capID)
}

func (t *sqliteTx) spent(capID cid.Hash) (used uint32, err error) {
	err = t.query("SELECT used FROM spend WHERE cap = ?",
		func(s *sqlite.Stmt) { s.BindBytes(1, capID[:]) },
		func(s *sqlite.Stmt) { used = uint32(s.ColumnInt64(0)) })
	return used, err
}

func (t *sqliteTx) setSpent(capID cid.Hash, n uint32) error {
	if t.counts == nil || len(t.counts) == maxCounts {
		t.counts = map[cid.Hash]uint32{}
	}
	t.counts[capID] = n
	return t.exec("INSERT INTO spend (cap, used) VALUES (?, ?) ON CONFLICT (cap) DO UPDATE SET used = excluded.used", func(s *sqlite.Stmt) {
		s.BindBytes(1, capID[:])
		s.BindInt64(2, int64(n))
	})
}
