package ledger

import (
	"context"
	"iter"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// Record is one stored entry.
type Record struct {
	Index uint64 // position in the log, from 0, without gaps
	Kind  Kind
	Idem  cid.Hash // the idempotency id; zero for kinds that have none
	Run   cid.Hash // the run record it belongs to; zero for none
	Time  int64    // when it was appended, journal's clock, microseconds
	Body  []byte
}

// Item is an object that is stored together with an entry.
type Item struct {
	CID  cid.Hash
	Data []byte
}

// Spend is one link of a capability chain to be charged.
type Spend struct {
	CapID cid.Hash
	Max   uint32 // max_calls of that link, or the count of another kind
	N     uint32 // how many it is charged; 0 means 1
}

// Registration is a register with what must happen in its transaction.
type Registration struct {
	Body     []byte // signed EffectRegister; Sign sets it
	Run      cid.Hash
	Spend    []Spend
	LeaseFor int64 // microseconds from now on the journal's clock
	own      own
}

// Commitment is a commit with the objects that it makes durable.
type Commitment struct {
	Body    []byte // signed EffectCommit; Sign sets it
	Run     cid.Hash
	Receipt []byte // the canonical receipt that Body names
	Items   []Item
	own     own
}

// View is an id's state and whether its latest lease stands.
type View struct {
	State
	Live         bool
	LeaseExpires int64 // microseconds, journal's clock; meaningful when Live
}

// RunStart begins or continues a run.
type RunStart struct {
	Authority, Holder cid.Hash
	RunID             string
	Record            []byte // signed RunRecord
	RecordID          cid.Hash
	Items             []Item // the inputs
}

// Filter selects records. The zero Filter selects all.
type Filter struct {
	Kinds []Kind    // none: all
	Idem  *cid.Hash // only this id
	Run   *cid.Hash // only this run
}

// Store keeps a ledger durably. Every method that writes returns only when what
// it wrote survives power loss. Its clock decides about leases. The acceptance
// suite is runtime/journal/journaltest.
type Store interface {
	// BeginRun stores the record unless (authority, holder, run id) has one; it
	// returns the record that stands.
	BeginRun(ctx context.Context, start RunStart) (record []byte, err error)
	// FindRun returns the record that BeginRun would return, or an error with code
	// ledger_item_not_found if there is none. It writes nothing.
	FindRun(ctx context.Context, authority, holder cid.Hash, runID string) (record []byte, err error)
	// Lookup returns the fold of an id and its lease.
	Lookup(ctx context.Context, idem cid.Hash) (View, error)
	// Register appends a register if Decide says Proceed at that instant, spends
	// every link and sets the lease, all or nothing. It fails with ErrInProgress,
	// ErrConflict, ErrInDoubt, ErrExhausted, or ErrEntry if the id moved on since
	// Lookup.
	Register(ctx context.Context, r Registration) error
	// Extend prolongs the lease of an id's latest register, if it is that one and
	// open, to the given span from now.
	Extend(ctx context.Context, idem, register cid.Hash, forMicros int64) error
	// Commit appends a commit with its items and ends the lease.
	Commit(ctx context.Context, c Commitment) (Verdict, error)
	// CommitAndRegister is Commit and then, if that commit now stands (Applied),
	// Register, in one write where that can be: the register is never durable without
	// the commit. A verdict of 0 says that nothing was appended, and the error why;
	// with another verdict the error is the register's, ErrSuperseded if it was not
	// tried since the commit does not stand.
	CommitAndRegister(ctx context.Context, c Commitment, r Registration) (Verdict, error)
	// CommitAndSeal is that with Seal in the place of Register.
	CommitAndSeal(ctx context.Context, c Commitment, body []byte, run cid.Hash) (Verdict, error)
	// Resolve appends a resolution and ends the lease.
	Resolve(ctx context.Context, body []byte, run cid.Hash, byOperator bool) error
	// Diverge appends a divergence mark; a request conflict is kept once per id.
	Diverge(ctx context.Context, body []byte, run cid.Hash) (Verdict, error)
	// Seal appends a run seal.
	Seal(ctx context.Context, body []byte, run cid.Hash) error
	// Refuse appends a refusal of what holder asked for, unless one of the same
	// RefusalKey is there: then it is Dropped. holder is zero where it is not known.
	Refuse(ctx context.Context, body []byte, run, holder cid.Hash) (Verdict, error)
	// SetRing appends a ring state, or fails with ErrRingStale if its seq is not above
	// that of the state that stands.
	SetRing(ctx context.Context, body []byte) error
	// Rings returns the state that stands of each ring and name, by ring and then by
	// name, verified against the signers that they name.
	Rings(ctx context.Context) ([]RingState, error)
	// Object returns an item by CID, or an error with code ledger_item_not_found.
	Object(ctx context.Context, id cid.Hash) ([]byte, error)
	// Receipt returns a receipt by its receipt id, or an error with code
	// ledger_item_not_found.
	Receipt(ctx context.Context, id cid.Hash) ([]byte, error)
	// Records yields records in log order.
	Records(ctx context.Context, f Filter) iter.Seq2[Record, error]
	Close() error
}
