// Package ledger is the effect ledger as pure code (RFC-MYTHOS-0005): the
// entries, the state of an idempotency id as a fold over them, and the rule
// that decides what a new call of that id may do. It reads no clock and keeps
// no data; a Store does both.
//
// An id moves like this. A register opens it and carries a lease. A commit by
// the owner of the latest register closes it for good: every later call with
// the same request gets that receipt. If the lease ends without a commit,
// nobody knows whether the effect happened: the id is in doubt, and the tool's
// retry class decides. Nothing is updated or deleted.
package ledger

import (
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Codes of this package.
const (
	ErrConflict   fault.Code = "idempotency_conflict"  // same id, another request
	ErrInProgress fault.Code = "effect_in_progress"    // a live lease is held elsewhere
	ErrInDoubt    fault.Code = "effect_in_doubt"       // the outcome is unknown and the retry class forbids another try
	ErrDivergent  fault.Code = "effect_divergent"      // two commits contradict each other
	ErrSettled    fault.Code = "effect_settled"        // an operator settled it without a response
	ErrSuperseded fault.Code = "effect_superseded"     // a commit does not stand: another register took its effect over
	ErrEntry      fault.Code = "ledger_entry"          // an entry that does not fit the state it meets
	ErrCorrupt    fault.Code = "ledger_corrupt"        // stored records that do not verify or disagree
	ErrKey        fault.Code = "idempotency_key"       // an explicit key of a wrong type or length
	ErrRunID      fault.Code = "run_id"                // a run id of a wrong form
	ErrRunClash   fault.Code = "run_conflict"          // a run id used with other inputs
	ErrNoItem     fault.Code = "ledger_item_not_found" // no object or receipt of that id beside the log
	ErrExhausted  fault.Code = "cap_exhausted"         // max_calls of a link is spent
)

// Kind numbers an entry's kind (RFC-MYTHOS-0005 §2).
type Kind uint8

// The entry kinds.
const (
	KindRegister Kind = iota + 1
	KindCommit
	KindDivergence
	KindResolution
	KindRefusal
	KindRunRecord
	KindRunSeal
	KindRingState
)

// String returns the kind's word in JSON and tables.
func (k Kind) String() string {
	names := [...]string{"", "register", "commit", "divergence", "resolution", "refusal", "run_record", "run_seal", "ring_state"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// Retry is a tool's retry class (RFC-MYTHOS-0005 §5).
type Retry uint8

// The retry classes.
const (
	Never Retry = iota
	Idempotent
	Pure
	Reconcile
)

// Again reports whether an effect in doubt may simply be invoked again.
func (r Retry) Again() bool { return r == Idempotent || r == Pure }

// The outcomes of a LedgerResolution.
const (
	OutcomeCommitted  = 1
	OutcomeNotInvoked = 2
	OutcomeDoubt      = 3
)

// The reasons of a DivergenceMark.
const (
	ReasonRequest  = 1 // RequestHashConflict
	ReasonResponse = 2 // ResponseHashConflict
	ReasonCommits  = 3 // MultipleCommits
)

// The origins of an idempotency key.
const (
	OriginExplicit = 1
	OriginDerived  = 2
	OriginProbe    = 3
)

// IdemID returns the idempotency id of a tool and a canonical key:
// SHA-256(tool digest || key) (RFC-MYTHOS-0005 §7).
func IdemID(tool cid.Hash, key []byte) cid.Hash {
	return cid.Sum(append(tool[:len(tool):len(tool)], key...))
}

// ExplicitKey returns the canonical idempotency key of a caller's own key, 1 to
// 256 bytes.
func ExplicitKey(authority, holder cid.Hash, key []byte) ([]byte, error) {
	if len(key) == 0 || len(key) > 256 {
		return nil, fault.New(ErrKey, "an explicit key is 1 to 256 bytes, got %d", len(key))
	}
	k := IdempotencyKey{Authority: authority, Key: key, Holder: holder, Origin: OriginExplicit}
	return k.AppendCAN(nil), nil
}

// IdempotencyKey returns the canonical idempotency key that d derives.
func (x DerivedKey) IdempotencyKey(authority, holder cid.Hash) []byte {
	sum := cid.Sum(x.AppendCAN(nil))
	k := IdempotencyKey{Authority: authority, Key: sum[:], Holder: holder, Origin: OriginDerived}
	return k.AppendCAN(nil)
}

// ProbeKey returns the canonical idempotency key of the probe that asks what
// became of a register (RFC-MYTHOS-0005 §5).
func ProbeKey(authority, holder, register cid.Hash) []byte {
	k := IdempotencyKey{Authority: authority, Key: register[:], Holder: holder, Origin: OriginProbe}
	return k.AppendCAN(nil)
}

// CheckRunID checks the form of a run id: 1 to 128 of A-Z a-z 0-9 . _ : -.
func CheckRunID(id string) error {
	if len(id) == 0 || len(id) > 128 {
		return fault.New(ErrRunID, "a run id is 1 to 128 characters, got %d", len(id))
	}
	for _, c := range []byte(id) {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == ':' || c == '-'
		if !ok {
			return fault.New(ErrRunID, "a run id holds only letters, digits and . _ : -, got %q", id)
		}
	}
	return nil
}

// OpenRegister decodes a register and verifies its owner's signature. It
// returns the register id.
func OpenRegister(raw []byte) (Register, cid.Hash, error) {
	var x Register
	id, err := sig.Open(raw, &x)
	if err == nil {
		err = x.check()
	}
	return x, id, err
}

// check holds a register against itself.
func (x Register) check() error {
	switch {
	case x.IdemID != IdemID(x.ToolID, x.IdempotencyKey):
		return fault.New(ErrEntry, "the idempotency id is not that of its tool and key")
	case x.Retry != nil && Retry(*x.Retry) > Reconcile:
		return fault.New(ErrEntry, "unknown retry class %d", *x.Retry)
	case (x.PreviousRegister != nil) != (x.attempt() > 0):
		return fault.New(ErrEntry, "attempt %d and a previous_register that is there: %t", x.attempt(), x.PreviousRegister != nil)
	}
	return nil
}

// attempt is the number of registers before this one; absent reads as 0.
func (x Register) attempt() uint32 {
	if x.Attempt == nil {
		return 0
	}
	return *x.Attempt
}

// RetryClass returns the class that the register recorded; absent reads as
// never.
func (x Register) RetryClass() Retry {
	if x.Retry == nil {
		return Never
	}
	return Retry(*x.Retry)
}

// OpenCommit decodes a commit and verifies that by signed it. It returns the
// commit id.
func OpenCommit(raw []byte, by sig.AgentID) (Commit, cid.Hash, error) {
	var x Commit
	id, err := sig.OpenBy(raw, &x, by)
	return x, id, err
}

// DecodeCommit decodes a commit without verifying its signature. It returns the
// commit id.
func DecodeCommit(raw []byte) (Commit, cid.Hash, error) {
	var x Commit
	id, err := sig.Decode(raw, &x)
	return x, id, err
}

// OpenResolution decodes a resolution and verifies its signature.
func OpenResolution(raw []byte) (Resolution, error) {
	var x Resolution
	if _, err := sig.Open(raw, &x); err != nil {
		return x, err
	}
	if x.Outcome < OutcomeCommitted || x.Outcome > OutcomeDoubt {
		return x, fault.New(ErrEntry, "unknown outcome %d", x.Outcome)
	}
	return x, nil
}

// DecodeDivergence decodes a divergence mark; its signature names a key only.
func DecodeDivergence(raw []byte) (Divergence, error) {
	var x Divergence
	if _, err := sig.Decode(raw, &x); err != nil {
		return x, err
	}
	if x.ReasonCode < ReasonRequest || x.ReasonCode > ReasonCommits {
		return x, fault.New(ErrEntry, "unknown reason %d", x.ReasonCode)
	}
	return x, nil
}

// LeafHash returns the RFC 6962 leaf hash of an entry: SHA-256(0x00 ||
// canonical LedgerEntry) (RFC-MYTHOS-0005 §2).
func LeafHash(index uint64, kind Kind, body []byte) cid.Hash {
	e := Entry{Index: index, Kind: uint8(kind), Body: body}
	return cid.Sum(e.AppendCAN([]byte{0}))
}
