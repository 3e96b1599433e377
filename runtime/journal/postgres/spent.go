package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// Spent returns how many of a capability's counted uses this ledger has spent
// (RFC-MYTHOS-0008 §6).
func (s *Store) Spent(ctx context.Context, capID cid.Hash) (used uint32, err error) {
	var n int64
	err = s.pool.read(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT coalesce((SELECT used FROM spend WHERE cap = $1), 0)", capID[:]).Scan(&n)
	})
	return uint32(min(max(n, 0), 1<<32-1)), err
}
