package journal

import (
	"time"

	"zombiezen.com/go/sqlite"

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
}

const pageSize = 512

// resume continues the log's time where it stands.
func (t *sqliteTx) resume() error {
	return t.query("SELECT time FROM entry ORDER BY seq DESC LIMIT 1",
		func(*sqlite.Stmt) {},
		func(s *sqlite.Stmt) { t.last = s.ColumnInt64(0) })
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
	rec := ledger.Record{Index: uint64(stmt.ColumnInt64(0) - 1), Time: stmt.ColumnInt64(4), Body: column(stmt, 5)}
	if kind := stmt.ColumnInt64(1); kind == int64(ledger.Kind(kind)) {
		rec.Kind = ledger.Kind(kind) // else 0, which no fold accepts
	}
	copy(rec.Idem[:], column(stmt, 2))
	copy(rec.Run[:], column(stmt, 3))
	return rec
}

func (t *sqliteTx) records(idem cid.Hash) ([]ledger.Record, error) {
	var out []ledger.Record
	err := t.query(columns+"WHERE idem = ? ORDER BY seq",
		func(s *sqlite.Stmt) { s.BindBytes(1, idem[:]) },
		func(s *sqlite.Stmt) { out = append(out, readRecord(s)) })
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

func (t *sqliteTx) add(rec ledger.Record) error {
	t.last = max(t.last, t.now())
	return t.exec("INSERT INTO entry (kind, idem, run, time, body) VALUES (?, ?, ?, ?, ?)", func(s *sqlite.Stmt) {
		s.BindInt64(1, int64(rec.Kind))
		bindHash(s, 2, rec.Idem)
		bindHash(s, 3, rec.Run)
		s.BindInt64(4, t.last)
		s.BindBytes(5, rec.Body)
	})
}

func bindHash(s *sqlite.Stmt, i int, h cid.Hash) {
	if h.IsZero() {
		s.BindNull(i)
		return
	}
	s.BindBytes(i, h[:])
}

func (t *sqliteTx) lease(register cid.Hash) (row leaseRow, ok bool, err error) {
	err = t.query("SELECT wall, boot, mono FROM lease WHERE register = ?",
		func(s *sqlite.Stmt) { s.BindBytes(1, register[:]) },
		func(s *sqlite.Stmt) { row, ok = leaseRow{s.ColumnInt64(0), s.ColumnText(1), s.ColumnInt64(2)}, true })
	return row, ok, err
}

func (t *sqliteTx) setLease(register cid.Hash, row leaseRow) error {
	return t.exec("INSERT OR REPLACE INTO lease (register, wall, boot, mono) VALUES (?, ?, ?, ?)", func(s *sqlite.Stmt) {
		s.BindBytes(1, register[:])
		s.BindInt64(2, row.wall)
		s.BindText(3, row.boot)
		s.BindInt64(4, row.mono)
	})
}

func (t *sqliteTx) endLease(register cid.Hash) error {
	return t.exec("DELETE FROM lease WHERE register = ?", func(s *sqlite.Stmt) { s.BindBytes(1, register[:]) })
}

func (t *sqliteTx) spent(capID cid.Hash) (used uint32, err error) {
	err = t.query("SELECT used FROM spend WHERE cap = ?",
		func(s *sqlite.Stmt) { s.BindBytes(1, capID[:]) },
		func(s *sqlite.Stmt) { used = uint32(s.ColumnInt64(0)) })
	return used, err
}

func (t *sqliteTx) setSpent(capID cid.Hash, n uint32) error {
	return t.exec("INSERT OR REPLACE INTO spend (cap, used) VALUES (?, ?)", func(s *sqlite.Stmt) {
		s.BindBytes(1, capID[:])
		s.BindInt64(2, int64(n))
	})
}

func (t *sqliteTx) addItem(it ledger.Item) error {
	return t.exec("INSERT OR IGNORE INTO object (cid, data) VALUES (?, ?)", func(s *sqlite.Stmt) {
		s.BindBytes(1, it.CID[:])
		s.BindBytes(2, it.Data)
	})
}

func (t *sqliteTx) addReceipt(id cid.Hash, raw []byte) error {
	return t.exec("INSERT OR IGNORE INTO receipt (id, body) VALUES (?, ?)", func(s *sqlite.Stmt) {
		s.BindBytes(1, id[:])
		s.BindBytes(2, raw)
	})
}

// blob returns the one column of the one row that a query finds by a hash.
func (t *sqliteTx) blob(query string, id cid.Hash) (data []byte, err error) {
	found := false
	err = t.query(query,
		func(s *sqlite.Stmt) { s.BindBytes(1, id[:]) },
		func(s *sqlite.Stmt) { data, found = column(s, 0), true })
	if err == nil && !found {
		err = noObject(id)
	}
	return data, err
}

func (t *sqliteTx) run(key cid.Hash) (record []byte, ok bool, err error) {
	err = t.query("SELECT record FROM run WHERE key = ?",
		func(s *sqlite.Stmt) { s.BindBytes(1, key[:]) },
		func(s *sqlite.Stmt) { record, ok = column(s, 0), true })
	return record, ok, err
}

func (t *sqliteTx) addRun(key cid.Hash, record []byte) error {
	return t.exec("INSERT INTO run (key, record) VALUES (?, ?)", func(s *sqlite.Stmt) {
		s.BindBytes(1, key[:])
		s.BindBytes(2, record)
	})
}
