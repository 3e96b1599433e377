package postgres

import (
	"context"
	"encoding/binary"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

const (
	pageSize = 512

	selectHistories = `SELECT e.key, e.seq, e.n, e.mark, e.kind, e.run, e.time, e.body, coalesce(l.until, e.lease, 0), ledger_now()
FROM entry e LEFT JOIN lease l USING (seq) WHERE e.key = ANY($1) ORDER BY e.key, e.n`

	// An item may be kept many times, and one of them is nearly always enough.
	selectItems = `SELECT substr(e.kept, i.at + 1, i.size) FROM item i JOIN entry e USING (seq) WHERE i.id = $1`
	selectItem  = selectItems + ` LIMIT 1`

	// What narrows a page stands behind OFFSET 0 and apart from the page's bounds, so
	// that it is found by its own index: a plan for any bounds would walk the log's.
	selectPage = `SELECT e.seq, e.kind, e.key, e.run, e.time, e.body, m.idx + e.seq - m.seq
FROM entry e`
	selectPageKey = `SELECT e.seq, e.kind, e.key, e.run, e.time, e.body, m.idx + e.seq - m.seq
FROM (SELECT * FROM entry WHERE key = $3 OFFSET 0) e`
	selectPageRun = `SELECT e.seq, e.kind, e.key, e.run, e.time, e.body, m.idx + e.seq - m.seq
FROM (SELECT * FROM entry WHERE run = $3 OFFSET 0) e`
	numbered = `
CROSS JOIN LATERAL (SELECT n.seq, n.idx FROM numbering n WHERE n.seq <= e.seq ORDER BY n.seq DESC LIMIT 1) m
WHERE e.seq > $1 AND e.seq <= $2 ORDER BY e.seq LIMIT 512`
)

// look reads a key for a rule that reads.
func (s *Store) look(ctx context.Context, key cid.Hash) (*draft, error) {
	d := &draft{key: key, fresh: true}
	err := s.pool.read(ctx, func(conn *pgx.Conn) error {
		found, err := readHistories(ctx, conn, []cid.Hash{key})
		d.known = found[key]
		return err
	})
	return d, err
}

// extend prolongs the lease that a rule has decided on; held is false if the key
// has moved on since.
func (s *Store) extend(ctx context.Context, d *draft) (held bool, err error) {
	err = s.pool.read(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT extend($1, $2, $3, $4, $5)",
			s.locks.fence(d.key), d.key[:], d.number(), int64(d.ended), d.span).Scan(&held)
	})
	return held, err
}

// readHistories reads what the database has under some keys, in one statement and
// so as of one instant.
func readHistories(ctx context.Context, conn *pgx.Conn, keys []cid.Hash) (map[cid.Hash]history, error) {
	raw := make([][]byte, len(keys))
	for i := range keys {
		raw[i] = keys[i][:]
	}
	rows, err := conn.Query(ctx, selectHistories, raw)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[cid.Hash]history{}
	for rows.Next() {
		var e stored
		var n, mark int32
		var expires, now int64
		if err := rows.Scan(&e.key, &e.seq, &n, &mark, &e.kind, &e.run, &e.time, &e.body, &expires, &now); err != nil {
			return nil, err
		}
		rec, err := e.record(uint64(e.seq))
		if err != nil {
			return nil, err
		}
		key := cid.Hash(e.key)
		h := all[key]
		if int(n) != len(h.records) {
			return nil, fault.New(ledger.ErrCorrupt, "entry number %d of %s stands after %d entries", n, key, len(h.records))
		}
		h.records, h.marks, h.expires = append(h.records, rec), append(h.marks, mark), append(h.expires, expires)
		h.now = max(h.now, now)
		all[key] = h
	}
	return all, rows.Err()
}

// stored is a row of entry.
type stored struct {
	seq, time      int64
	kind           int16
	key, run, body []byte
}

func (e stored) record(index uint64) (ledger.Record, error) {
	if len(e.key) != len(cid.Hash{}) || e.run != nil && len(e.run) != len(cid.Hash{}) {
		return ledger.Record{}, fault.New(ledger.ErrCorrupt, "entry %d has a key of %d bytes and a run of %d", index, len(e.key), len(e.run))
	}
	rec := ledger.Record{Index: index, Time: e.time, Body: e.body}
	if e.kind == int16(ledger.Kind(e.kind)) {
		rec.Kind = ledger.Kind(e.kind) // else 0, which no fold accepts
	}
	copy(rec.Run[:], e.run)
	if ofID(rec.Kind) {
		copy(rec.Idem[:], e.key)
	}
	return rec, nil
}

// ofID reports whether entries of a kind are of an idempotency id.
func ofID(k ledger.Kind) bool { return k <= ledger.KindResolution }

// itemKey tells items from each other: an object and a receipt may have one id.
func itemKey(id cid.Hash, receipt bool) cid.Hash {
	sort := byte(0)
	if receipt {
		sort = 1
	}
	return cid.Sum(append(id[:], sort))
}

// itemID is what an item stands under: a part of its key, which is enough to find
// it among few. Several may share it, and one item may be there twice.
func itemID(key cid.Hash) int64 { return int64(binary.BigEndian.Uint64(key[:8])) }

// find returns the first item under an id that is the one that is sought.
func (s *Store) find(ctx context.Context, id cid.Hash, receipt bool, is func([]byte) bool) (data []byte, err error) {
	some, found := false, false
	err = s.pool.read(ctx, func(conn *pgx.Conn) error {
		for _, query := range []string{selectItem, selectItems} {
			rows, err := conn.Query(ctx, query, itemID(itemKey(id, receipt)))
			if err != nil {
				return err
			}
			if data, some, found, err = firstThat(rows, is); err != nil || found || !some {
				return err
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case !some:
		return nil, fault.New(ledger.ErrNoItem, "no object %s in the ledger", id)
	case !found:
		return nil, fault.New(ledger.ErrCorrupt, "the ledger's object %s has other bytes", id)
	}
	return data, nil
}

// firstThat closes rows. data is the last item that was read, if there was some.
func firstThat(rows pgx.Rows, is func([]byte) bool) (data []byte, some, found bool, err error) {
	defer rows.Close()
	for !found && rows.Next() {
		if err := rows.Scan(&data); err != nil {
			return nil, false, false, err
		}
		some, found = true, is(data)
	}
	rows.Close()
	return data, some, found, rows.Err()
}

// Object implements ledger.Store. The bytes are verified before they are
// returned.
func (s *Store) Object(ctx context.Context, id cid.Hash) ([]byte, error) {
	return s.find(ctx, id, false, func(data []byte) bool { return cid.Sum(data) == id })
}

// Receipt implements ledger.Store. The bytes are verified before they are
// returned; the signature is the caller's to check.
func (s *Store) Receipt(ctx context.Context, id cid.Hash) ([]byte, error) {
	return s.find(ctx, id, true, func(data []byte) bool {
		got, err := cid.Without(data, 1, 11)
		return err == nil && got == id
	})
}

// Records implements ledger.Store: the entries that were there when the first is
// asked for. It pages, so that a slow consumer holds no transaction open.
func (s *Store) Records(ctx context.Context, f ledger.Filter) iter.Seq2[ledger.Record, error] {
	return s.records(ctx, 0, f)
}

func (s *Store) records(ctx context.Context, from uint64, f ledger.Filter) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		if some, err := s.some(ctx, f); err == nil && !some {
			return
		}
		last, err := s.number(ctx)
		after := int64(0)
		if err == nil && from > 0 {
			err = s.pool.read(ctx, func(conn *pgx.Conn) (err error) {
				after, err = seqBefore(ctx, conn, from)
				return err
			})
		}
		for next := from; err == nil && after < last; {
			var page []ledger.Record
			page, after, err = s.page(ctx, after, last, f)
			for _, rec := range page {
				if f.Idem == nil && f.Run == nil && rec.Index != next {
					yield(ledger.Record{}, fault.New(ledger.ErrCorrupt, "entry %d of the log is missing", next))
					return
				}
				next++
				if rules.Matches(f, rec) && !yield(rec, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(ledger.Record{}, err)
		}
	}
}

// some reports whether there is any entry of a run and some kinds. All writers wait
// for a numbering: the end of every run asks whether it has a seal, and there is
// none to number.
func (s *Store) some(ctx context.Context, f ledger.Filter) (some bool, err error) {
	if f.Run == nil || len(f.Kinds) == 0 {
		return true, nil
	}
	kinds := make([]int16, len(f.Kinds))
	for i, k := range f.Kinds {
		kinds[i] = int16(k)
	}
	err = s.pool.read(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM entry WHERE run = $1 AND kind = ANY($2))", f.Run[:], kinds).Scan(&some)
	})
	return some, err
}

func (s *Store) page(ctx context.Context, after, last int64, f ledger.Filter) (page []ledger.Record, next int64, err error) {
	err = s.pool.read(ctx, func(conn *pgx.Conn) (err error) {
		page, next, err = readPage(ctx, conn, after, last, f)
		return err
	})
	return page, next, err
}

// readPage returns up to pageSize records after a seq and up to last, narrowed by
// what has an index, and the seq to go on after.
func readPage(ctx context.Context, q queryer, after, last int64, f ledger.Filter) (page []ledger.Record, next int64, err error) {
	query, args := selectPage+numbered, []any{after, last}
	switch {
	case f.Idem != nil:
		query, args = selectPageKey+numbered, append(args, f.Idem[:])
	case f.Run != nil:
		query, args = selectPageRun+numbered, append(args, f.Run[:])
	}
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, 0, err
	}
	return collectPage(rows, last)
}

// collectPage reads a page and closes its rows; next is last if it is not a full
// one.
func collectPage(rows pgx.Rows, last int64) (page []ledger.Record, next int64, err error) {
	defer rows.Close()
	next = last
	for rows.Next() {
		var e stored
		var index int64
		if err := rows.Scan(&e.seq, &e.kind, &e.key, &e.run, &e.time, &e.body, &index); err != nil {
			return nil, 0, err
		}
		rec, err := e.record(uint64(index))
		if err != nil {
			return nil, 0, err
		}
		if page = append(page, rec); len(page) == pageSize {
			next = e.seq
		}
	}
	return page, next, rows.Err()
}

// selectRings has the constant of the index entry_ring. A seq stands for an index:
// both are in one order.
const selectRings = "SELECT seq, kind, key, run, time, body FROM entry WHERE kind = 8 ORDER BY seq"

// Rings implements ledger.Store.
func (s *Store) Rings(ctx context.Context) (states []ledger.RingState, err error) {
	err = s.pool.read(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, selectRings)
		if err != nil {
			return err
		}
		defer rows.Close()
		var records []ledger.Record
		for rows.Next() {
			var e stored
			if err := rows.Scan(&e.seq, &e.kind, &e.key, &e.run, &e.time, &e.body); err != nil {
				return err
			}
			rec, err := e.record(uint64(e.seq))
			if err != nil {
				return err
			}
			records = append(records, rec)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		states, err = rules.Rings(records)
		return err
	})
	return states, err
}

// closedError is what an operation on a closed store gets.
func closedError() error { return fault.New(rules.ErrClosed, "the ledger is closed") }
