// Package journal keeps a ledger (RFC-MYTHOS-0005 §9). Open returns the durable
// one: SQLite in WAL mode with synchronous=FULL, with one writer at a time that
// drains the queue into one transaction and one sync, so that concurrent effects
// share syncs and a lone one never waits, for a timer or for another goroutine.
// Memory returns one that forgets, for tests. Both run the rules of package rules
// inside their transaction, as package postgres does; what an entry means is
// package ledger's.
//
// With a signer the log is a tree with signed checkpoints (RFC-MYTHOS-0005 §10):
// one is signed in the transaction that seals a run, so that it costs no sync of
// its own, in one that leaves MaxUncovered entries without, and by Close.
//
// On disk a ledger is ledger.db with the log (entry), which is append-only, and
// what is no part of the log: the lease that a register began with and the items
// of at most MaxItem bytes, receipts among them, stand in the row of the entry
// that they came with; beside it are lease (leases that were extended), spend
// (calls spent of each capability), item (where an item stands, by its id) and
// run (which record a run id has). The tree is checkpoint (signed notes by size), leaf
// (leaf hashes in pieces) and node (package logtree), all append-only. Processes on one host take turns: the writer
// holds a lock on ledger.lock; readers are always welcome.
package journal

import (
	"time"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/tlog"
)

// ErrBusy says that another process is writing.
const ErrBusy fault.Code = "ledger_busy"

// Codes that every journal has.
const (
	ErrReadOnly    = rules.ErrReadOnly
	ErrFull        = rules.ErrFull
	ErrSchemaNewer = rules.ErrSchemaNewer
	ErrUnavailable = rules.ErrUnavailable
	ErrClosed      = rules.ErrClosed
)

// MaxItem is the largest item that is kept beside the log; larger objects go to
// the object store before the entry that needs them.
const MaxItem = 64 << 10

// MaxUncovered is how many entries are acknowledged without a checkpoint at most,
// give or take a group commit.
const MaxUncovered = 1024

// Options opens a ledger.
type Options struct {
	Dir    string                           // folder that holds ledger.db; required, created with mode 0700
	Clock  func() time.Time                 // decides about leases, with Boot; required
	Boot   func() (id string, micros int64) // the boot's id and monotonic clock, such as HostBoot's; nil: the wall clock alone
	Signer tlog.Signer                      // signs checkpoints of the log; nil: nobody does
	NoWait bool                             // fail with ErrBusy instead of waiting for the writer lock
	OnWait func(holder string)              // told before waiting who holds the lock, and again when that changes; may be nil
}

var (
	_ ledger.Log   = (*SQLite)(nil)
	_ ledger.Store = (*InMemory)(nil)
)

func (o Options) bootClock() func() (string, int64) {
	if o.Boot == nil {
		return func() (string, int64) { return "", 0 }
	}
	return o.Boot
}

func noObject(what any) error {
	return fault.New(ledger.ErrNoItem, "no object %s in the ledger", what)
}
