package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"zombiezen.com/go/sqlite"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// maxBatch bounds the operations of one transaction.
const maxBatch = 512

// operation is one rule waiting for the writer.
type operation struct {
	fn      func(rules.Tx) error
	next    *operation // comes right after it in the same transaction; nil: nothing
	err     error
	refused bool // err is final: a rule refused it after it had written
	done    chan struct{}
}

func newOperation(fn func(rules.Tx) error) *operation {
	return &operation{fn: fn, done: make(chan struct{})}
}

// writer owns the writing connection. Whoever waits for an operation takes the
// turn when it is free, drains what is queued without waiting, runs all of it in
// one transaction, commits with one sync, then wakes every caller of the batch. What
// comes next after an operation is in its batch.
// While a sync runs the next batch forms. A lone caller does all of it in its own
// goroutine: handing over to another one and back takes as long as a sync on a
// good disk.
type writer struct {
	queue chan *operation
	turn  chan struct{} // holds one token while somebody has the turn
	tx    *sqliteTx     // of who has the turn

	mu      sync.RWMutex // guards closed against sends on queue
	closed  bool
	stopped chan struct{}
	gone    sync.Once // the connection

	dead error // set after an error that leaves durability unknown; of who has the turn
}

func newWriter(t *sqliteTx) *writer {
	return &writer{
		queue: make(chan *operation, maxBatch), turn: make(chan struct{}, 1), tx: t,
		stopped: make(chan struct{}),
	}
}

// do queues op, with what comes next, waits until their transaction is durable and
// returns op's error. Once queued it is not withdrawn, whatever happens to ctx: a
// batch is bounded, and its outcome is worth the wait.
func (w *writer) do(ctx context.Context, op *operation) error {
	if err := w.send(ctx, op); err != nil {
		return err
	}
	for {
		select {
		case <-op.done:
			return op.err
		case w.turn <- struct{}{}:
			w.serve()
			<-w.turn
		}
	}
}

func (w *writer) send(ctx context.Context, op *operation) error {
	if ctx.Err() != nil { // select would choose at random
		return context.Cause(ctx)
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return fault.New(ErrClosed, "the ledger is closed")
	}
	select {
	case w.queue <- op:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close serves what is queued, covers it and keeps the turn.
func (w *writer) close() error {
	w.mu.Lock()
	first := !w.closed
	w.closed = true
	w.mu.Unlock()
	if !first {
		<-w.stopped
		return nil
	}
	defer close(w.stopped)
	w.turn <- struct{}{}
	for w.serve() {
	}
	if w.dead == nil && w.tx.uncovered() {
		op := newOperation(w.tx.askCover)
		w.commit([]*operation{op})
		return op.err
	}
	return nil
}

// disconnect closes the connection, after close.
func (w *writer) disconnect() (err error) {
	w.gone.Do(func() { err = w.tx.conn.Close() })
	return err
}

// serve runs one batch of what is queued, and reports whether there was any. Its
// caller has the turn.
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
	if len(batch) == 0 {
		return false
	}
	w.commit(batch)
	for _, op := range batch {
		close(op.done)
	}
	return true
}

// commit runs a batch as one transaction. A rule that refuses its operation
// takes that one alone; a fault of the database takes the whole batch, and if it
// leaves durability or the file in question, every later one.
func (w *writer) commit(batch []*operation) {
	err := w.dead
	if err == nil {
		err = w.try(batch)
	}
	if err == nil {
		return
	}
	err = storeError(err)
	if errors.Is(err, ErrUnavailable) || errors.Is(err, ledger.ErrCorrupt) {
		w.dead = err
	}
	for _, op := range batch {
		if !isRuleError(op.err) {
			op.err = err
		}
	}
}

// try runs the batch until all that is left of it commits: an operation that was
// refused after it wrote is taken out, and the others run again without it.
func (w *writer) try(batch []*operation) error {
	for {
		again, err := w.attempt(batch)
		if err != nil || !again {
			return err
		}
	}
}

func (w *writer) attempt(batch []*operation) (again bool, err error) {
	if err := control(w.tx.conn, "BEGIN IMMEDIATE"); err != nil {
		return false, err
	}
	entries := w.tx.log.entries
	defer func() {
		if again || err != nil {
			w.tx.log.entries, w.tx.counts = entries, nil
			w.rollback()
		}
	}()
	w.tx.log.due = false
	for _, op := range batch {
		if op.refused {
			continue
		}
		w.tx.wrote = false
		op.err = w.apply(op)
		switch {
		case op.err != nil && !isRuleError(op.err):
			return false, op.err
		case op.err != nil && w.tx.wrote:
			op.refused = true
			return true, nil
		}
	}
	next, err := w.tx.cover()
	if err != nil {
		return false, err
	}
	if err := control(w.tx.conn, "COMMIT"); err != nil {
		return false, err
	}
	w.tx.log.coveredBy(next)
	return false, nil
}

// apply runs one rule. A panic is a bug of the rule; it must not leave the other
// callers without an answer, so it ends the store and not the process.
func (w *writer) apply(op *operation) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a rule of the ledger panicked: %v", p)
		}
	}()
	return op.fn(w.tx)
}

// control runs a statement that takes nothing and returns no rows.
func control(conn *sqlite.Conn, query string) error {
	stmt, err := conn.Prepare(query)
	if err != nil {
		return err
	}
	_, err = stmt.Step()
	return errors.Join(err, stmt.Reset())
}

// rollback ends a failed transaction. SQLite has rolled back by itself after
// some errors; then there is nothing to end.
func (w *writer) rollback() {
	if w.tx.conn.AutocommitEnabled() {
		return
	}
	if err := control(w.tx.conn, "ROLLBACK"); err != nil {
		w.dead = fault.New(ErrUnavailable, "rollback: %w", err)
	}
}

// isRuleError reports whether err is the answer of a rule rather than a fault
// of the database.
func isRuleError(err error) bool { return err != nil && fault.CodeOf(err) != "" }

// storeError gives a database error its code.
func storeError(err error) error {
	if err == nil || isRuleError(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultFull:
		return fault.New(ErrFull, "%w", err)
	case sqlite.ResultReadOnly, sqlite.ResultPerm, sqlite.ResultAuth:
		return fault.New(ErrReadOnly, "%w", err)
	case sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return fault.New(ledger.ErrCorrupt, "%w", err)
	case sqlite.ResultBusy, sqlite.ResultLocked:
		return fault.New(ErrBusy, "%w", err)
	}
	return fault.New(ErrUnavailable, "%w", err)
}

// openError gives an error of opening path its code.
func openError(path string, err error) error {
	var e *fault.Error
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err // the path is the subject
	}
	switch {
	case errors.As(err, &e):
		return e.About(path)
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EROFS):
		return fault.New(ErrReadOnly, "%w", err).About(path)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.New(ErrFull, "%w", err).About(path)
	}
	coded := storeError(err)
	if errors.As(coded, &e) {
		return e.About(path)
	}
	return coded
}
