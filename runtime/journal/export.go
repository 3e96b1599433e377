package journal

import (
	"context"

	"zombiezen.com/go/sqlite"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

var _ rules.Source = (*SQLite)(nil)

const (
	exportEntries = "SELECT seq, kind, idem, run, time, body, wall, boot, mono, kept FROM entry ORDER BY seq"
	exportItems   = "SELECT id, receipt, seq, at, size FROM item ORDER BY seq, at"
)

// Export implements rules.Source. Other readers of this store wait meanwhile.
func (s *SQLite) Export(ctx context.Context, entry func(rules.Exported) error, item func(rules.ExportedItem) error, spend func(cid.Hash, uint32) error) error {
	return s.read(ctx, func(rules.Tx) error {
		t := s.reads
		runs, err := t.runKeys()
		if err != nil {
			return err
		}
		leases, err := t.extended()
		if err != nil {
			return err
		}
		err = t.each(ctx, exportEntries, func(row *sqlite.Stmt) error {
			e := rules.Exported{Record: readRecord(row), Kept: column(row, 9)}
			switch e.Kind {
			case ledger.KindRefusal, ledger.KindRingState:
				e.Key = hashColumn(row, 2)
			case ledger.KindRunRecord:
				e.RunKey = runs[cid.Sum(e.Body)]
			case ledger.KindRegister:
				e.Lease = t.remaining(e.Body, leaseRow{row.ColumnInt64(6), row.ColumnText(7), row.ColumnInt64(8)}, leases)
			}
			return entry(e)
		})
		if err != nil {
			return err
		}
		err = t.each(ctx, exportItems, func(row *sqlite.Stmt) error {
			x := rules.ExportedItem{Receipt: row.ColumnBool(1), Index: uint64(row.ColumnInt64(2) - 1), At: row.ColumnInt(3), Size: row.ColumnInt(4)}
			copy(x.ID[:], column(row, 0))
			return item(x)
		})
		if err != nil {
			return err
		}
		return t.each(ctx, "SELECT cap, used FROM spend", func(row *sqlite.Stmt) error {
			var id cid.Hash
			copy(id[:], column(row, 0))
			return spend(id, uint32(row.ColumnInt64(1)))
		})
	})
}

// each calls fn for each row, until it fails or ctx ends.
func (t *sqliteTx) each(ctx context.Context, query string, fn func(*sqlite.Stmt) error) error {
	stmt, err := t.conn.Prepare(query)
	if err != nil {
		return err
	}
	defer stmt.Reset()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		more, err := stmt.Step()
		if err != nil || !more {
			return err
		}
		if err := fn(stmt); err != nil {
			return err
		}
	}
}

// runKeys returns the key of each run by the hash of its record.
func (t *sqliteTx) runKeys() (map[cid.Hash]cid.Hash, error) {
	keys := map[cid.Hash]cid.Hash{}
	return keys, t.query("SELECT key, record FROM run", func(*sqlite.Stmt) {}, func(row *sqlite.Stmt) {
		var key cid.Hash
		copy(key[:], column(row, 0))
		keys[cid.Sum(column(row, 1))] = key
	})
}

// extended returns the leases that were extended, by register.
func (t *sqliteTx) extended() (map[cid.Hash]leaseRow, error) {
	leases := map[cid.Hash]leaseRow{}
	return leases, t.query("SELECT register, wall, boot, mono FROM lease", func(*sqlite.Stmt) {}, func(row *sqlite.Stmt) {
		var id cid.Hash
		copy(id[:], column(row, 0))
		leases[id] = leaseRow{row.ColumnInt64(1), row.ColumnText(2), row.ColumnInt64(3)}
	})
}

// remaining returns for how long the lease of a register still stands.
func (t *sqliteTx) remaining(body []byte, row leaseRow, extended map[cid.Hash]leaseRow) int64 {
	if len(extended) > 0 {
		var x ledger.Register
		if id, err := sig.Decode(body, &x); err == nil {
			if later, ok := extended[id]; ok {
				row = later
			}
		}
	}
	if !row.stands(t) {
		return 0
	}
	if boot, mono := t.mono(); boot != "" && boot == row.boot {
		return row.mono - mono
	}
	return row.wall - t.now()
}
