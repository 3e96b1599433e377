// Package postgres keeps a ledger that many executors share, in one PostgreSQL
// database (RFC-MYTHOS-0005 §9). It runs the rules of package rules, as the
// embedded journal does, but no transaction stays open while a client thinks: a
// rule decides on what is known of an id, and one statement of the server, which
// is a transaction of its own, appends only if the id has not moved since.
//
// Compare and set. Every entry stands under a key and a number: an idempotency id
// and how many entries it had before. (key, n) is unique, so an entry that was
// decided on n entries is appended as the n-th or not at all, whoever else
// writes; a client that lost looks and decides again. In the same statement every
// capability link is charged or none, the lease is set by the server's clock, and
// a register that takes over from a lease that ended waits for, and then sees,
// whoever extends it. A presumption saves the look before the first register of
// an id; a refusal is never given on what is presumed or remembered.
//
// Group commit. Whoever waits for an operation takes the turn when it is free and
// sends all that is queued as one statement; while that is synced the next group
// forms. In a group each operation succeeds or fails by itself, but for one that
// comes after another: it goes into a statement with it only if that appends its
// whole group or nothing.
//
// Order. Several groups may be on their way at once, so an entry has no index
// when it is written. Whoever reads the log numbers it first: an advisory lock,
// which every writer holds shared, lets all that is on its way finish, and then
// the entries follow each other in the order of a sequence that was drawn under
// that lock. An entry that was acknowledged before another was sent stands before
// it; what has an index keeps it.
//
// A ledger is one schema of the database: entry is the log, with the lease that a
// register began with and the bytes of its items in the row; beside it are lease
// (leases that were extended), spend, item (where an item stands), numbering
// (which entries have which indexes), the tree of the log (checkpoint, leaf, node;
// package logtree) and version.
package postgres

import (
	"cmp"
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/tlog"
)

// Codes of this package; the others are those of package journal.
const (
	ErrURL        fault.Code = "ledger_url"         // the database's address cannot be used
	ErrAccess     fault.Code = "ledger_access"      // the database refuses this user
	ErrNotPrimary fault.Code = "ledger_not_primary" // the server is a standby
	ErrNotDurable fault.Code = "ledger_not_durable" // the server's settings do not make a commit durable
	ErrNotEmpty   fault.Code = "ledger_not_empty"   // a ledger is copied into an empty one only
	ErrCopy       fault.Code = "ledger_copy"        // the copy is not what was copied
)

// Options opens a ledger. Its clock is the server's.
type Options struct {
	// URL is the database's address, postgres://user@host:port/database?setting=value,
	// with the settings of libpq; several hosts may be named, of which the primary is
	// taken. It holds no password. Required.
	URL string
	// Password returns the password, for each connection anew; nil: PGPASSWORD, or
	// the file that PGPASSFILE or the URL's passfile names, as libpq does.
	Password func(context.Context) (string, error)
	// Schema is the schema that holds the ledger, so that one database can hold
	// several: lower-case letters, digits and _, at most 63; "" is "mythos".
	Schema string
	// MaxConns bounds the connections, one of which writes; at least 2, 0 is 8.
	MaxConns int
	// Patience is for how long a lost connection is tried again before callers get
	// ledger_unavailable; 0 is 15 seconds.
	Patience time.Duration
	// OnReconnect is told why before a connection is tried again; may be nil.
	OnReconnect func(why error)
	// Signer signs checkpoints of the log; nil: this executor signs none.
	Signer tlog.Signer
	// OnSignFault is told why a checkpoint that was due was not signed: entries are
	// durable all the same, and the next checkpoint covers them. May be nil.
	OnSignFault func(why error)
	// ReadOnly opens a ledger that is there for reading: methods that write fail with
	// ledger_read_only. All that is written is which index an entry has.
	ReadOnly bool
}

// Store is a ledger in a PostgreSQL database. It is safe for concurrent use.
type Store struct {
	readOnly bool
	pool     *pool
	writer   *writer
	locks    locks
	signing  signing
}

// Open connects to the database, makes or migrates the ledger and checks that the
// server is a primary whose commits are durable.
func Open(ctx context.Context, o Options) (*Store, error) {
	c, err := newConnector(o)
	if err != nil {
		return nil, err
	}
	var conn *pgx.Conn
	err = c.persist(ctx, func() (err error) {
		if conn, err = c.connect(ctx); err != nil {
			return err
		}
		if err = lostIf(conn, prepare(ctx, conn, c.schema, o.ReadOnly)); err != nil {
			hangUp(conn)
		}
		return err
	})
	if err != nil {
		return nil, storeError(err)
	}
	s := &Store{readOnly: o.ReadOnly, pool: newPool(c, conn, o.MaxConns), locks: locks{c.schema}}
	s.writer = newWriter(c, s.locks)
	if o.Signer != nil {
		s.startSigning(o.Signer, o.OnSignFault)
	}
	return s, nil
}

// Close waits for queued writes, signs a checkpoint over what has none, then
// closes the connections.
func (s *Store) Close() error {
	s.writer.close()
	var err error
	if s.signing.by != nil {
		s.signing.stop()
		<-s.signing.ended
		if s.signing.pending.Load() > 0 {
			err = s.Checkpoint(context.Background())
			s.signing.pending.Store(0) // closing again has nothing to sign with
		}
	}
	s.pool.close()
	return err
}

// write queues an operation on one key and waits until it is durable.
func (s *Store) write(ctx context.Context, key cid.Hash, rule func(*draft) error) error {
	op := newOperation(key, rule)
	if err := s.queue(ctx, op); err != nil {
		return err
	}
	return op.err
}

// queue has operations carried out, and signs what became due with them.
func (s *Store) queue(ctx context.Context, first *operation) error {
	if s.readOnly {
		return fault.New(rules.ErrReadOnly, "the ledger was opened for reading")
	}
	if err := s.writer.do(ctx, first); err != nil {
		return err
	}
	for op := first; op != nil; op = op.next {
		if op.err == nil && op.last.kind != 0 {
			s.appended(op.last.kind == ledger.KindRunSeal || op.last.kind == ledger.KindRingState)
		}
	}
	return nil
}

// BeginRun implements ledger.Store.
func (s *Store) BeginRun(ctx context.Context, start ledger.RunStart) (record []byte, err error) {
	if err := rules.CheckItems(start.Items); err != nil {
		return nil, err
	}
	key := runKey(rules.RunKey(start.Authority, start.Holder, start.RunID))
	err = s.write(ctx, key, func(d *draft) (err error) {
		record, err = rules.BeginRun(d, start)
		return err
	})
	return record, err
}

// FindRun implements ledger.Store.
func (s *Store) FindRun(ctx context.Context, authority, holder cid.Hash, runID string) ([]byte, error) {
	d, err := s.look(ctx, runKey(rules.RunKey(authority, holder, runID)))
	if err != nil {
		return nil, err
	}
	return rules.FindRun(d, authority, holder, runID)
}

// Lookup implements ledger.Store.
func (s *Store) Lookup(ctx context.Context, idem cid.Hash) (ledger.View, error) {
	d, err := s.look(ctx, idem)
	if err != nil {
		return ledger.View{}, err
	}
	return rules.View(d, idem)
}

// Register implements ledger.Store.
func (s *Store) Register(ctx context.Context, r ledger.Registration) error {
	opened, err := rules.OpenRegistration(r)
	if err != nil {
		return err
	}
	return s.write(ctx, opened.Idem(), func(d *draft) error { return rules.Register(d, opened) })
}

// Shared says that several executors write the ledger at once: of entries that were on
// their way together, the one with the higher index may have the earlier time.
func (s *Store) Shared() bool { return true }

// Extend implements ledger.Store.
func (s *Store) Extend(ctx context.Context, idem, register cid.Hash, forMicros int64) error {
	if s.readOnly {
		return fault.New(rules.ErrReadOnly, "the ledger was opened for reading")
	}
	for range maxRounds {
		d, err := s.look(ctx, idem)
		if err != nil {
			return err
		}
		if err := rules.Extend(d, idem, register, forMicros); err != nil {
			return err
		}
		if held, err := s.extend(ctx, d); err != nil || held {
			return err
		}
	}
	return errMoving(idem)
}

// Commit implements ledger.Store.
func (s *Store) Commit(ctx context.Context, c ledger.Commitment) (ledger.Verdict, error) {
	return s.commitAnd(ctx, c, nil)
}

// CommitAndRegister implements ledger.Store.
func (s *Store) CommitAndRegister(ctx context.Context, c ledger.Commitment, r ledger.Registration) (ledger.Verdict, error) {
	opened, err := rules.OpenRegistration(r)
	if err != nil { // the commit is written all the same
		verdict, lost := s.Commit(ctx, c)
		return verdict, cmp.Or(lost, err)
	}
	return s.commitAnd(ctx, c, newOperation(opened.Idem(), func(d *draft) error { return rules.Register(d, opened) }))
}

// CommitAndSeal implements ledger.Store.
func (s *Store) CommitAndSeal(ctx context.Context, c ledger.Commitment, body []byte, run cid.Hash) (ledger.Verdict, error) {
	return s.commitAnd(ctx, c, newOperation(sealKey(body), sealing(body, run)))
}

// commitAnd commits, and then carries next out if that commit stands; next may be nil.
func (s *Store) commitAnd(ctx context.Context, c ledger.Commitment, next *operation) (ledger.Verdict, error) {
	opened, err := rules.OpenCommitment(c)
	if err != nil {
		return 0, err
	}
	var commit *operation
	commit = newOperation(opened.Idem(), func(d *draft) (err error) {
		commit.verdict, err = rules.Commit(d, opened)
		return err
	})
	if commit.next = next; next != nil {
		next.after = commit
	}
	switch err := s.queue(ctx, commit); {
	case err != nil:
		return 0, err
	case commit.err != nil:
		return 0, commit.err
	case next != nil:
		return commit.verdict, next.err
	}
	return commit.verdict, nil
}

// Resolve implements ledger.Store.
func (s *Store) Resolve(ctx context.Context, body []byte, run cid.Hash, byOperator bool) error {
	x, err := ledger.OpenResolution(body)
	if err != nil {
		return err
	}
	return s.write(ctx, x.IdemID, func(d *draft) error { return rules.Resolve(d, body, run, byOperator) })
}

// Diverge implements ledger.Store.
func (s *Store) Diverge(ctx context.Context, body []byte, run cid.Hash) (verdict ledger.Verdict, err error) {
	x, err := ledger.DecodeDivergence(body)
	if err != nil {
		return 0, err
	}
	err = s.write(ctx, x.IdemID, func(d *draft) (err error) {
		verdict, err = rules.Diverge(d, body, run)
		return err
	})
	return verdictOf(verdict, err)
}

// Seal implements ledger.Store. A seal that is there to the byte is not stored
// again.
func (s *Store) Seal(ctx context.Context, body []byte, run cid.Hash) error {
	return s.write(ctx, sealKey(body), sealing(body, run))
}

func sealing(body []byte, run cid.Hash) func(*draft) error {
	return func(d *draft) error {
		if len(d.known.records) > 0 {
			return nil
		}
		return rules.Seal(d, body, run)
	}
}

// Refuse implements ledger.Store.
func (s *Store) Refuse(ctx context.Context, body []byte, run, holder cid.Hash) (verdict ledger.Verdict, err error) {
	opened, err := rules.OpenRefusal(body, run, holder)
	if err != nil {
		return 0, err
	}
	err = s.write(ctx, opened.Key, func(d *draft) (err error) {
		verdict, err = rules.Refuse(d, opened)
		return err
	})
	return verdictOf(verdict, err)
}

// SetRing implements ledger.Store.
func (s *Store) SetRing(ctx context.Context, body []byte) error {
	opened, err := rules.OpenRingState(body)
	if err != nil {
		return err
	}
	return s.write(ctx, opened.Key, func(d *draft) error { return rules.SetRing(d, opened) })
}

func verdictOf(v ledger.Verdict, err error) (ledger.Verdict, error) {
	if err != nil {
		return 0, err
	}
	return v, nil
}

// runKey and sealKey are the keys of entries that are of no idempotency id; the
// words keep them apart from ids, which are hashes too.
func runKey(key cid.Hash) cid.Hash { return cid.Sum(append([]byte("mythos run "), key[:]...)) }

func sealKey(body []byte) cid.Hash { return cid.Sum(append([]byte("mythos seal "), body...)) }

func errMoving(key cid.Hash) error {
	return fault.New(rules.ErrUnavailable, "%s moved on %d times while it was decided on", key, maxRounds)
}
