package journal

import (
	"context"
	"fmt"

	"zombiezen.com/go/sqlite"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// CheckBeside checks the database as SQLite knows it, its indexes too, and that
// the items beside every entry are what they are named by and all that is there.
// It returns the first entry beside which something is wrong, and what; "" if
// nothing is.
func (s *SQLite) CheckBeside(ctx context.Context) (index uint64, what string, err error) {
	err = s.read(ctx, func(rules.Tx) error {
		said, err := queryText(s.reads.conn, "PRAGMA integrity_check(1)")
		if err == nil && said != "ok" {
			err = fault.New(ledger.ErrCorrupt, "SQLite says: %s", said)
		}
		if err != nil {
			return err
		}
		c := besideCheck{t: s.reads}
		if err := c.items(); err != nil {
			return err
		}
		if err := c.rings(); err != nil {
			return err
		}
		index, what = uint64(c.bad-1), c.what
		return nil
	})
	return index, what, err
}

// besideCheck goes through the items in log order.
type besideCheck struct {
	t    *sqliteTx
	seq  int64 // of the entry at hand
	kept []byte
	used int    // bytes of kept that items account for
	bad  int64  // seq of the first entry with something wrong
	what string // is wrong
	err  error
}

func (c *besideCheck) items() error {
	err := c.t.query("SELECT seq, at, size, id, receipt FROM item ORDER BY seq, at", func(*sqlite.Stmt) {}, c.item)
	c.finish()
	if err == nil {
		err = c.err
	}
	if err != nil {
		return err
	}
	const alone = "SELECT min(seq) FROM entry WHERE length(kept) > 0 AND seq NOT IN (SELECT seq FROM item)"
	return c.t.query(alone, func(*sqlite.Stmt) {}, func(s *sqlite.Stmt) { c.fail(s.ColumnInt64(0), "bytes stand beside it that nothing names") })
}

// rings checks that the states of rings stand where the next one looks for them.
func (c *besideCheck) rings() error {
	return c.t.query("SELECT seq, idem, body FROM entry WHERE kind = 8", func(*sqlite.Stmt) {}, func(s *sqlite.Stmt) {
		x, err := ledger.OpenRingState(column(s, 2))
		if err == nil && hashColumn(s, 1) != ledger.RingKey(x.Ring, x.Name) {
			c.fail(s.ColumnInt64(0), "it does not stand under its ring and name")
		}
	})
}

func (c *besideCheck) fail(seq int64, what string, args ...any) {
	if seq > 0 && (c.what == "" || seq < c.bad) {
		c.bad, c.what = seq, fmt.Sprintf(what, args...)
	}
}

// finish ends the entry at hand.
func (c *besideCheck) finish() {
	if c.used != len(c.kept) {
		c.fail(c.seq, "%d bytes stand beside it, %d of them are named", len(c.kept), c.used)
	}
}

func (c *besideCheck) item(s *sqlite.Stmt) {
	if c.err != nil || c.what != "" {
		return
	}
	if seq := s.ColumnInt64(0); seq != c.seq {
		c.finish()
		c.seq, c.kept, c.used = seq, nil, 0
		c.err = c.t.query("SELECT kept FROM entry WHERE seq = ?",
			func(s *sqlite.Stmt) { s.BindInt64(1, seq) },
			func(s *sqlite.Stmt) { c.kept = column(s, 0) })
	}
	at, size, id := s.ColumnInt64(1), s.ColumnInt64(2), hashColumn(s, 3)
	if at != int64(c.used) || size < 0 || size > int64(len(c.kept)-c.used) {
		c.fail(c.seq, "object %s is not where it is said to be", id)
		return
	}
	data := c.kept[c.used : c.used+int(size)]
	c.used += int(size)
	got := cid.Sum(data)
	if s.ColumnBool(4) {
		got, _ = cid.Without(data, 1, 11) // on an error no id of anything
	}
	if got != id {
		c.fail(c.seq, "object %s beside it has other bytes", id)
	}
}
