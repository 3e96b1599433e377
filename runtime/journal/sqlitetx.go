package journal

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// sqliteTx runs the rules' primitives on one connection, inside whatever
// transaction its owner has open.
type sqliteTx struct {
	conn  *sqlite.Conn
	clock func() time.Time
	boot  func() (string, int64)
	last  int64 // time of the newest entry written: entry times never go back
	wrote bool  // whether the current operation has written
	log   sqliteLog

	counts map[cid.Hash]uint32 // the writer's: spent as the open transaction has it
}

const pageSize = 512

// resume continues the log where it stands.
func (t *sqliteTx) resume() error {
	return t.query("SELECT seq, time, (SELECT coalesce(max(size), 0) FROM checkpoint) FROM entry ORDER BY seq DESC LIMIT 1",
		func(*sqlite.Stmt) {},
		func(s *sqlite.Stmt) {
			t.log.entries, t.last, t.log.covered = s.ColumnInt64(0), s.ColumnInt64(1), s.ColumnInt64(2)
		})
}

func (t *sqliteTx) now() int64 { return t.clock().UnixMicro() }

func (t *sqliteTx) mono() (string, int64) { return t.boot() }

// exec runs a statement that returns no rows.
func (t *sqliteTx) exec(query string, bind func(*sqlite.Stmt)) error {
	t.wrote = true
	stmt, err := t.conn.Prepare(query)
	if err != nil {
		return err
	}
	defer stmt.Reset()
	bind(stmt)
	_, err = stmt.Step()
	return err
}

// query runs a statement and calls row for each row.
func (t *sqliteTx) query(query string, bind, row func(*sqlite.Stmt)) error {
	stmt, err := t.conn.Prepare(query)
	if err != nil {
		return err
	}
	defer stmt.Reset()
	bind(stmt)
	for {
		more, err := stmt.Step()
		if err != nil || !more {
			return err
		}
		row(stmt)
	}
}

func column(stmt *sqlite.Stmt, i int) []byte {
	b := make([]byte, stmt.ColumnLen(i))
	stmt.ColumnBytes(i, b)
	return b
}

const columns = "SELECT seq, kind, idem, run, time, body FROM entry "

func readRecord(stmt *sqlite.Stmt) ledger.Record {
	return rules.Public(ledger.Record{
		Index: uint64(stmt.ColumnInt64(0) - 1), Kind: kindColumn(stmt, 1), Idem: hashColumn(stmt, 2),
		Run: hashColumn(stmt, 3), Time: stmt.ColumnInt64(4), Body: column(stmt, 5),
	})
}

// records sorts by itself: with ORDER BY, SQLite compiles the statement anew each
// time its parameter is bound, which takes longer than all the rest of a look-up.
func (t *sqliteTx) Records(idem cid.Hash) ([]ledger.Record, error) {
	var out []ledger.Record
	err := t.query(columns+"WHERE idem = ?",
		func(s *sqlite.Stmt) { s.BindBytes(1, idem[:]) },
		func(s *sqlite.Stmt) { out = append(out, readRecord(s)) })
	slices.SortFunc(out, func(a, b ledger.Record) int { return cmp.Compare(a.Index, b.Index) })
	return out, err
}

// rings returns the entries of kind ring state. The constant is that of the index
// entry_ring.
func (t *sqliteTx) rings() ([]ledger.Record, error) {
	var out []ledger.Record
	err := t.query(columns+"WHERE kind = 8 ORDER BY seq", func(*sqlite.Stmt) {}, func(s *sqlite.Stmt) { out = append(out, readRecord(s)) })
	return out, err
}

// page returns up to pageSize records after seq, narrowed by what has an index;
// the caller applies the rest of f.
func (t *sqliteTx) page(after int64, f ledger.Filter) ([]ledger.Record, error) {
	where := "WHERE seq > ? "
	var key []byte
	switch {
	case f.Idem != nil:
		where, key = where+"AND idem = ? ", f.Idem[:]
	case f.Run != nil:
		where, key = where+"AND run = ? ", f.Run[:]
	}
	var out []ledger.Record
	err := t.query(columns+where+"ORDER BY seq LIMIT 512",
		func(s *sqlite.Stmt) {
			s.BindInt64(1, after)
			if key != nil {
				s.BindBytes(2, key)
			}
		},
		func(s *sqlite.Stmt) { out = append(out, readRecord(s)) })
	return out, err
}

const (
	insertEntry    = "INSERT INTO entry (kind, idem, run, time, body, kept) VALUES (?, ?, ?, ?, ?, ?)"
	insertRegister = "INSERT INTO entry (kind, idem, run, time, body, wall, boot, mono) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
	insertItem     = "INSERT INTO item (id, receipt, seq, at, size) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)

// Add packs what stands beside the entry into its row, so that a commit grows one
// table and not several. An item that is kept already is left out: its row is
// there, and inserting it again changes nothing.
func (t *sqliteTx) Add(rec ledger.Record, beside ...rules.Kept) error {
	seq := t.log.entries + 1
	var pack []byte
	for _, k := range beside {
		err := t.exec(insertItem, func(s *sqlite.Stmt) {
			bindKept(s, k)
			s.BindInt64(3, seq)
			s.BindInt64(4, int64(len(pack)))
			s.BindInt64(5, int64(len(k.Data)))
		})
		if err != nil {
			return err
		}
		if t.conn.Changes() > 0 {
			pack = append(pack, k.Data...)
		}
	}
	return t.append(seq, insertEntry, func(s *sqlite.Stmt) {
		t.bindEntry(s, rec)
		s.BindBytes(6, pack)
	})
}

// append inserts an entry, which must come to stand where its items say.
func (t *sqliteTx) append(seq int64, query string, bind func(*sqlite.Stmt)) error {
	if err := t.exec(query, bind); err != nil {
		return err
	}
	if at := t.conn.LastInsertRowID(); at != seq {
		return fmt.Errorf("an entry got row %d, not %d", at, seq)
	}
	t.log.entries = seq
	return nil
}

func bindKept(s *sqlite.Stmt, k rules.Kept) {
	s.BindBytes(1, k.ID[:])
	s.BindBool(2, k.Receipt)
}

func (t *sqliteTx) bindEntry(s *sqlite.Stmt, rec ledger.Record) {
	t.last = max(t.last, t.now())
	s.BindInt64(1, int64(rec.Kind))
	bindHash(s, 2, rec.Idem)
	bindHash(s, 3, rec.Run)
	s.BindInt64(4, t.last)
	s.BindBytes(5, rec.Body)
}

func (t *sqliteTx) AddRegister(rec ledger.Record, leaseFor int64) error {
	row := newLease(t, leaseFor)
	return t.append(t.log.entries+1, insertRegister, func(s *sqlite.Stmt) {
		t.bindEntry(s, rec)
		bindLease(s, 6, row)
	})
}

func bindHash(s *sqlite.Stmt, i int, h cid.Hash) {
	if h.IsZero() {
		s.BindNull(i)
		return
	}
	s.BindBytes(i, h[:])
}

func (t *sqliteTx) Lease(register cid.Hash, index uint64) (expires int64, stands bool, err error) {
	var row leaseRow
	err = t.query("SELECT wall, boot, mono FROM lease WHERE register = ?1 UNION ALL SELECT wall, boot, mono FROM entry WHERE seq = ?2 AND NOT EXISTS (SELECT 1 FROM lease WHERE register = ?1)",
		func(s *sqlite.Stmt) {
			s.BindBytes(1, register[:])
			s.BindInt64(2, int64(index)+1)
		},
		func(s *sqlite.Stmt) { row = leaseRow{s.ColumnInt64(0), s.ColumnText(1), s.ColumnInt64(2)} })
	return row.wall, err == nil && row.stands(t), err
}

func (t *sqliteTx) ExtendLease(register cid.Hash, _ uint64, forMicros int64) error {
	row := newLease(t, forMicros)
	return t.exec("INSERT OR REPLACE INTO lease (register, wall, boot, mono) VALUES (?, ?, ?, ?)", func(s *sqlite.Stmt) {
		s.BindBytes(1, register[:])
		bindLease(s, 2, row)
	})
}

func bindLease(s *sqlite.Stmt, i int, row leaseRow) {
	s.BindInt64(i, row.wall)
	s.BindText(i+1, row.boot)
	s.BindInt64(i+2, row.mono)
}

func (t *sqliteTx) EndLease(register cid.Hash, _ uint64) error {
	return t.exec("DELETE FROM lease WHERE register = ?", func(s *sqlite.Stmt) { s.BindBytes(1, register[:]) })
}

// find returns the bytes that are kept under an id.
func (t *sqliteTx) find(id cid.Hash, receipt bool) (data []byte, err error) {
	found := false
	err = t.query("SELECT substr(kept, at + 1, size) FROM item JOIN entry USING (seq) WHERE id = ? AND receipt = ?",
		func(s *sqlite.Stmt) { bindKept(s, rules.Kept{ID: id, Receipt: receipt}) },
		func(s *sqlite.Stmt) { data, found = column(s, 0), true })
	if err == nil && !found {
		err = noObject(id)
	}
	return data, err
}

func (t *sqliteTx) Run(key cid.Hash) (record []byte, ok bool, err error) {
	err = t.query("SELECT record FROM run WHERE key = ?",
		func(s *sqlite.Stmt) { s.BindBytes(1, key[:]) },
		func(s *sqlite.Stmt) { record, ok = column(s, 0), true })
	return record, ok, err
}

func (t *sqliteTx) AddRun(key cid.Hash, rec ledger.Record, beside ...rules.Kept) error {
	err := t.exec("INSERT INTO run (key, record) VALUES (?, ?)", func(s *sqlite.Stmt) {
		s.BindBytes(1, key[:])
		s.BindBytes(2, rec.Body)
	})
	if err != nil {
		return err
	}
	return t.Add(rec, beside...)
}
