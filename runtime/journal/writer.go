package journal

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"

	"zombiezen.com/go/sqlite"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// maxBatch bounds the operations of one transaction.
const maxBatch = 512

// operation is one rule waiting for the writer.
type operation struct {
	fn   func(tx) error
	err  error
	done chan struct{}
}

// writer owns the writing connection. One goroutine takes the first queued
// operation, drains what else is queued without waiting, runs all of it in one
// transaction, commits with one sync, then wakes every caller. While a sync
// runs the next batch forms.
type writer struct {
	queue   chan *operation
	stopped chan struct{}
	tx      *sqliteTx

	mu     sync.RWMutex // guards closed against sends on queue
	closed bool

	dead error // set by the loop after an error that leaves durability unknown
}

func startWriter(t *sqliteTx) *writer {
	w := &writer{queue: make(chan *operation, maxBatch), stopped: make(chan struct{}), tx: t}
	go w.loop()
	return w
}

// do queues fn and waits until its transaction is durable. Once queued it is
// not withdrawn, whatever happens to ctx: a batch is bounded, and its outcome is
// worth the wait.
func (w *writer) do(ctx context.Context, fn func(tx) error) error {
	op := &operation{fn: fn, done: make(chan struct{})}
	if err := w.send(ctx, op); err != nil {
		return err
	}
	<-op.done
	return op.err
}

func (w *writer) send(ctx context.Context, op *operation) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return fault.New(ErrClosed, "the ledger is closed")
	}
	select {
	case w.queue <- op:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) close() error {
	w.mu.Lock()
	first := !w.closed
	if first {
		w.closed = true
		close(w.queue)
	}
	w.mu.Unlock()
	<-w.stopped
	if !first {
		return nil
	}
	return w.tx.conn.Close()
}

func (w *writer) loop() {
	defer close(w.stopped)
	for first := range w.queue {
		batch := append(make([]*operation, 0, 16), first)
		for more := true; more && len(batch) < maxBatch; {
			select {
			case op, ok := <-w.queue:
				if more = ok; ok {
					batch = append(batch, op)
				}
			default:
				more = false
			}
		}
		w.commit(batch)
		for _, op := range batch {
			close(op.done)
		}
	}
}

// commit runs a batch as one transaction. An operation that fails before it
// wrote takes only its own error; any other failure takes the whole batch.
func (w *writer) commit(batch []*operation) {
	err := w.dead
	if err == nil {
		err = w.try(batch)
	}
	if err == nil {
		return
	}
	err = storeError(err)
	if errors.Is(err, ErrUnavailable) {
		w.dead = err
	}
	for _, op := range batch {
		if !isRuleError(op.err) {
			op.err = err
		}
	}
}

func (w *writer) try(batch []*operation) (err error) {
	if err := w.control("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			w.rollback()
		}
	}()
	for _, op := range batch {
		w.tx.wrote = false
		if op.err = op.fn(w.tx); op.err == nil {
			continue
		}
		if w.tx.wrote || !isRuleError(op.err) {
			return op.err
		}
	}
	return w.control("COMMIT")
}

func (w *writer) control(query string) error {
	stmt, err := w.tx.conn.Prepare(query)
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
	if err := w.control("ROLLBACK"); err != nil {
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
