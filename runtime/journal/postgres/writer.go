package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

const (
	maxBatch  = 512 // operations of one group
	maxRounds = 100 // tries of one operation whose key others move on meanwhile
)

// operation is one rule waiting for the writer.
type operation struct {
	key   cid.Hash
	rule  func(*draft) error
	after *operation // must be durable and stand first, in the same statement at the latest; nil: nothing
	next  *operation // is queued with it; nil: nothing
	mark  int32      // tells this operation's entry from one of the same bytes
	done  chan struct{}
	err   error

	last    *draft         // what rule did last
	verdict ledger.Verdict // of a commit

	rounds  int            // tries that were in vain
	look    bool           // read the key before the next try
	counts  []rules.Charge // read what was spent of these before the next try
	unknown *draft         // sent on a connection that was lost: perhaps carried out
}

func newOperation(key cid.Hash, rule func(*draft) error) *operation {
	return &operation{key: key, rule: rule, mark: rand.Int32(), done: make(chan struct{})}
}

// ended reports whether the operation has been answered.
func (op *operation) ended() bool {
	select {
	case <-op.done:
		return true
	default:
		return false
	}
}

// writer owns the connection that appends. Whoever waits for an operation takes
// the turn when it is free and serves all that is queued, as in the embedded
// journal; there is no goroutine to hand over to.
type writer struct {
	c     *connector
	locks locks
	queue chan *operation
	turn  chan struct{} // holds one token while somebody has the turn

	mu     sync.RWMutex // guards closed against sends on queue
	closed bool

	// The rest belongs to who has the turn.
	conn  *pgx.Conn // nil: to be made
	dead  error     // set when acknowledged entries are gone
	known memory

	careful int // so many groups are sent with care for keys that may have moved on

	lastSeq  int64 // of the last entry that was acknowledged; 0: none
	lastMark int32
}

func newWriter(c *connector, l locks) *writer {
	return &writer{c: c, locks: l, queue: make(chan *operation, maxBatch), turn: make(chan struct{}, 1), known: newMemory()}
}

// do queues an operation, with what comes next, and waits until they are durable or
// refused. Once queued they are not withdrawn, whatever happens to ctx: their outcome
// is worth the wait, and the wait is bounded. An error is of one that was not queued.
func (w *writer) do(ctx context.Context, first *operation) error {
	if err := w.send(ctx, first); err != nil {
		return err
	}
	for op := first; op != nil; op = op.next {
		for !op.ended() {
			select {
			case <-op.done:
			case w.turn <- struct{}{}:
				w.serve()
				<-w.turn
			}
		}
	}
	return nil
}

func (w *writer) send(ctx context.Context, op *operation) error {
	if ctx.Err() != nil { // select would choose at random
		return context.Cause(ctx)
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return closedError()
	}
	select {
	case w.queue <- op:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close serves what is queued and closes the connection.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.turn <- struct{}{}
	for w.serve() {
	}
	w.disconnect()
	<-w.turn
}

// serve runs what is queued, and reports whether there was any.
func (w *writer) serve() bool {
	var batch []*operation
	for more := true; more && len(batch) < maxBatch; {
		select {
		case op := <-w.queue:
			for ; op != nil; op = op.next {
				batch = append(batch, op)
			}
		default:
			more = false
		}
	}
	for pending := batch; len(pending) > 0; {
		pending = w.round(pending)
	}
	return len(batch) > 0
}

func (op *operation) finish(err error) {
	op.err = err
	close(op.done)
}

// round tries every operation once and returns those that are to be tried again.
// In each round one of them at least is carried out or answered, or reads what it
// had only presumed, or somebody else has moved its key on.
func (w *writer) round(pending []*operation) (again []*operation) {
	pending = w.tired(pending)
	var s sight
	err := w.attempt(func(ctx context.Context) (err error) {
		if s, err = w.look(ctx, pending); err != nil || !slices.ContainsFunc(pending, s.holds) {
			return err
		}
		return w.confirm(ctx)
	})
	if err != nil {
		fail(pending, err)
		return nil
	}
	planned, again := w.plan(pending, s)
	if len(planned) == 0 {
		return again
	}
	return append(w.append(planned), again...)
}

// tired answers the operations that were tried too often and returns the others.
func (w *writer) tired(pending []*operation) (fit []*operation) {
	for _, op := range pending {
		if op.rounds > maxRounds {
			op.finish(errMoving(op.key))
			continue
		}
		fit = append(fit, op)
	}
	return fit
}

// fail answers operations that the database could not be asked about.
func fail(ops []*operation, err error) {
	err = storeError(err)
	for _, op := range ops {
		if op.unknown != nil {
			op.finish(fault.New(rules.ErrUnavailable, "the connection was lost, and whether it was written is not known: %w", err))
			continue
		}
		op.finish(err)
	}
}

// attempt runs fn with a connection, and again with another one if that is lost,
// for as long as the patience lasts.
func (w *writer) attempt(fn func(context.Context) error) error {
	return w.c.persist(context.Background(), func() error {
		if w.dead != nil {
			return w.dead
		}
		ctx, cancel := context.WithTimeout(context.Background(), statementTimeout)
		defer cancel()
		if w.conn == nil || w.conn.IsClosed() {
			if err := w.reconnect(ctx); err != nil {
				return err
			}
		}
		return lostIf(w.conn, fn(ctx))
	})
}

// reconnect opens a connection and checks that what was acknowledged is still
// there: a standby that took over may lack it, and so may a restored backup.
func (w *writer) reconnect(ctx context.Context) error {
	w.disconnect()
	conn, err := w.c.connect(ctx)
	if err != nil {
		return err
	}
	var mark int32
	if w.lastSeq != 0 {
		err = conn.QueryRow(ctx, "SELECT mark FROM entry WHERE seq = $1", w.lastSeq).Scan(&mark)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && mark != w.lastMark {
			err = fault.New(ledger.ErrCorrupt, "the database has lost entry %d, which it had acknowledged", w.lastSeq)
			w.dead = err
		}
	}
	if err = lostIf(conn, err); err != nil {
		hangUp(conn)
		return err
	}
	w.conn, w.known = conn, newMemory()
	return nil
}

func (w *writer) disconnect() {
	if w.conn != nil {
		hangUp(w.conn)
	}
	w.conn = nil
}
