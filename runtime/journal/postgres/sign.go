package postgres

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mythos-run/mythos/runtime/journal/logtree"
	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/tlog"
)

// maxUncovered is how many entries an executor appends before it signs a
// checkpoint, if nobody else did.
const maxUncovered = 1024

// signPause is for how long the store that has signed lets others become due, for one
// signature over them all.
const signPause = 10 * time.Millisecond

// signing is what a store knows of the log's tree, whose integrator it is from
// time to time: of all executors, one at a time signs, under an advisory lock.
type signing struct {
	by      tlog.Signer   // nil: nobody signs
	onFault func(error)   // may be nil
	pending atomic.Int64  // entries appended since a checkpoint was last tried, one more if that failed
	due     atomic.Bool   // a checkpoint is due that has not begun
	wake    chan struct{} // tells the goroutine that signs
	stop    func()        // ends it
	ended   chan struct{} // closed when it has

	turn chan struct{} // holds one token while somebody signs
	head logtree.Head  // of who has the turn: under a checkpoint that it signed or found
}

// appended counts what was appended, and has a checkpoint signed where one is due. An
// entry is durable whatever becomes of its checkpoint; the next one covers it. So no
// write waits for one, and it waits for no sync: should a crash take it back, the
// entries are still there, under the indexes that they had, and a later checkpoint goes
// on from them.
func (s *Store) appended(due bool) {
	if n := s.signing.pending.Add(1); s.signing.by == nil || !due && n < maxUncovered {
		return
	}
	s.signing.ask()
}

// ask has the goroutine that signs do so.
func (g *signing) ask() {
	g.due.Store(true)
	select {
	case g.wake <- struct{}{}:
	default: // it will see that one is due
	}
}

// begin waits for the turn; end gives it back.
func (g *signing) begin(ctx context.Context) error {
	if ctx.Err() != nil { // select would choose at random
		return context.Cause(ctx)
	}
	select {
	case g.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g *signing) end() { <-g.turn }

// startSigning begins to sign what becomes due.
func (s *Store) startSigning(by tlog.Signer, onFault func(error)) {
	ctx, stop := context.WithCancel(context.Background())
	s.signing.by, s.signing.onFault, s.signing.stop = by, onFault, stop
	s.signing.wake, s.signing.turn, s.signing.ended = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(s.signing.ended)
		for pause := time.Duration(0); ; pause = signPause {
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			select {
			case <-ctx.Done():
				return
			case <-s.signing.wake:
				s.signNow(context.Background())
			}
		}
	}()
}

// signNow signs a checkpoint that is due and has waited, and returns when none is on
// its way: what this store has sealed is covered then, unless ctx ended before.
func (s *Store) signNow(ctx context.Context) {
	if s.signing.by == nil || s.signing.begin(ctx) != nil {
		return
	}
	defer s.signing.end()
	if !s.signing.due.Load() {
		return
	}
	if err := s.cover(ctx, false); err != nil && ctx.Err() == nil && s.signing.onFault != nil {
		s.signing.onFault(err)
	}
}

// Checkpoint implements ledger.Log.
func (s *Store) Checkpoint(ctx context.Context) error {
	switch {
	case s.readOnly:
		return fault.New(rules.ErrReadOnly, "the ledger was opened for reading")
	case s.signing.by == nil:
		return fault.New(rules.ErrUnavailable, "the ledger was opened without a key for checkpoints")
	}
	if err := s.signing.begin(ctx); err != nil {
		return err
	}
	defer s.signing.end()
	return s.cover(ctx, true)
}

// cover numbers the entries and signs a checkpoint over those that have an index,
// and waits until it is durable if it is told to. The numbering is a transaction of
// its own, since all writers wait for it. After a fault the next checkpoint covers the
// entries, that on closing at the latest; what was due when ctx ended still is.
func (s *Store) cover(ctx context.Context, durable bool) (err error) {
	s.signing.pending.Store(0)
	due := s.signing.due.Swap(false)
	defer func() {
		if err == nil {
			return
		}
		s.signing.pending.Add(1)
		if due && ctx.Err() != nil {
			s.signing.ask()
		}
	}()
	last, err := s.number(ctx)
	if err != nil {
		return err
	}
	var head logtree.Head
	err = s.pool.read(ctx, func(conn *pgx.Conn) (err error) {
		head, err = s.sign(ctx, conn, last, durable)
		return err
	})
	if err == nil {
		s.signing.head = head
	}
	return err
}

// number gives every entry an index and returns the seq of the last. All writers
// wait meanwhile, so it waits for no sync: the entries are durable, indexes that a
// crash takes back are given again as they were, and what is signed over them is
// durable after them.
func (s *Store) number(ctx context.Context) (last int64, err error) {
	err = s.pool.read(ctx, func(conn *pgx.Conn) error {
		var how string
		return conn.QueryRow(ctx, "SELECT set_config('synchronous_commit', 'off', true), number($1)", s.locks.barrier()).Scan(&how, &last)
	})
	return last, err
}

// sign is the transaction that signs. After an error it stays open, and its
// connection is closed with it (pool.put).
func (s *Store) sign(ctx context.Context, conn *pgx.Conn, last int64, durable bool) (logtree.Head, error) {
	head := s.signing.head
	t, err := beginSigning(ctx, conn, s.locks.signer(), head.Range.Size(), last, durable)
	if err != nil {
		return head, err
	}
	if t.newest.Size != head.Range.Size() { // another executor has signed
		if head, err = logtree.Load(t); err != nil {
			return head, err
		}
	}
	if head, err = logtree.Cover(t, head, s.signing.by); err != nil {
		return head, err
	}
	t.writes.Queue("COMMIT")
	return head, t.send()
}

// signingTx is a transaction that signs, in two round trips where nothing is
// unusual: what it will most likely read comes with its beginning, and what it
// writes goes with its end.
type signingTx struct {
	treeTx
	conn   *pgx.Conn
	newest ledger.Checkpoint // of size 0: none
	from   uint64            // where page begins
	page   []ledger.Record
	next   int64 // the seq after which the next page begins
	writes *pgx.Batch
}

// maxWrites is how many statements wait for the end of the transaction at most;
// each holds a piece of leaf hashes.
const maxWrites = 64

const selectPageFrom = `SELECT e.seq, e.kind, e.key, e.run, e.time, e.body, m.idx + e.seq - m.seq
FROM (SELECT * FROM entry WHERE seq > coalesce((` + selectBefore + `), 0) AND seq <= $2) e` + numbered

// beginSigning begins the transaction under the signers' lock, with the newest
// checkpoint and the first page of the entries from an index on.
func beginSigning(ctx context.Context, conn *pgx.Conn, lock int64, from uint64, last int64, durable bool) (*signingTx, error) {
	t := &signingTx{treeTx: treeTx{ctx: ctx, last: last}, conn: conn, from: from, next: last, writes: &pgx.Batch{}}
	t.tx = t
	var b pgx.Batch
	b.Queue("BEGIN")
	b.Queue("SELECT pg_advisory_xact_lock($1), CASE WHEN NOT $2 THEN set_config('synchronous_commit', 'off', true) END", lock, durable)
	b.Queue(selectNewest).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := rows.Scan(&t.newest.Size, &t.newest.Note); err != nil {
				return err
			}
		}
		return nil
	})
	b.Queue(selectPageFrom, int64(from), last).Query(func(rows pgx.Rows) (err error) {
		t.page, t.next, err = collectPage(rows, last)
		return err
	})
	return t, conn.SendBatch(ctx, &b).Close()
}

// Newest implements logtree.Tx.
func (t *signingTx) Newest() (ledger.Checkpoint, bool, error) {
	return t.newest, t.newest.Size > 0, nil
}

// Uncovered implements logtree.Tx.
func (t *signingTx) Uncovered(from uint64, each func(ledger.Record) error) error {
	if from != t.from {
		return t.treeTx.Uncovered(from, each)
	}
	for _, rec := range t.page {
		if err := each(rec); err != nil {
			return err
		}
	}
	return t.after(t.next, each)
}

// Query and QueryRow read at once.
func (t *signingTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return t.conn.Query(ctx, sql, args...)
}

func (t *signingTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return t.conn.QueryRow(ctx, sql, args...)
}

// Exec queues a write; whether it succeeds shows at the end.
func (t *signingTx) Exec(_ context.Context, sql string, args ...any) (tag pgconn.CommandTag, err error) {
	t.writes.Queue(sql, args...)
	if t.writes.Len() >= maxWrites {
		err = t.send()
	}
	return tag, err
}

func (t *signingTx) send() error {
	b := t.writes
	t.writes = &pgx.Batch{}
	return t.conn.SendBatch(t.ctx, b).Close()
}
