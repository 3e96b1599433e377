package ledger

import (
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Phase is where an idempotency id stands, as its entries alone tell.
type Phase uint8

// The phases.
const (
	Absent    Phase = iota // never registered
	Open                   // registered, no outcome: live or in doubt, as its lease tells
	Free                   // the last attempt is known not to have been invoked
	Doubt                  // the owner noted that it does not know
	Committed              // one receipt, for good
	Divergent              // contradicting commits: refused until resolved
	Settled                // an operator says it happened; no response is known
)

// String returns the phase's word.
func (p Phase) String() string {
	return [...]string{"absent", "open", "free", "in_doubt", "committed", "divergent", "settled"}[p]
}

// attempt is one register and what is known of it.
type attempt struct {
	id    cid.Hash
	owner sig.AgentID
	retry Retry
}

// State is the fold of one id's entries (RFC-MYTHOS-0005 §3). The zero State is
// absent.
type State struct {
	Phase       Phase
	IdemID      cid.Hash
	ToolID      cid.Hash
	RequestHash cid.Hash
	Attempt     uint32   // registers so far
	RegisterID  cid.Hash // the latest: the fencing token
	Owner       sig.AgentID
	Retry       Retry
	Commit      Commit // the one that stands, when Committed, or stood, when Divergent
	CommitRaw   []byte // nil: no commit ever stood
	Marked      bool   // a request conflict was recorded

	// Contradiction is what made the state Divergent, for the mark.
	Contradiction Contradiction

	attempts []*attempt
	valid    []validCommit // since the last divergence was resolved
	seen     map[cid.Hash]bool
}

// Contradiction names two commits that cannot both be true.
type Contradiction struct {
	Reason       uint8    // ReasonResponse or ReasonCommits
	Stood, Other cid.Hash // commit ids: the earlier one and the one that contradicts it
}

// validCommit is a commit of one of the id's registers, signed by its owner.
type validCommit struct {
	id       cid.Hash
	response cid.Hash
	by       *attempt
}

// Verdict says what an entry did to a state.
type Verdict uint8

// The verdicts.
const (
	Applied    Verdict = iota + 1
	Superseded         // kept as evidence, the state is unchanged
	Dropped            // already there to the byte, or already recorded: not stored again
	Diverged           // the state became divergent; a mark belongs beside the commit
)

// AddRegister applies an opened register.
func (s *State) AddRegister(x Register, id cid.Hash) error {
	if err := x.check(); err != nil {
		return err
	}
	var previous cid.Hash // none, for the first attempt
	if x.PreviousRegister != nil {
		previous = *x.PreviousRegister
	}
	number := x.attempt()
	switch {
	case s.Phase == Committed || s.Phase == Divergent || s.Phase == Settled:
		return fault.New(ErrEntry, "a register of an id that is %s", s.Phase)
	case s.Phase != Absent && x.IdemID != s.IdemID:
		return fault.New(ErrEntry, "a register of id %s among those of %s", x.IdemID, s.IdemID)
	case s.Phase != Absent && (x.RequestHash != s.RequestHash || x.ToolID != s.ToolID):
		return fault.New(ErrConflict, "the id was registered for request %s, not %s", s.RequestHash, x.RequestHash)
	case previous != s.RegisterID || number != s.Attempt:
		return fault.New(ErrEntry, "attempt %d after register %s, want attempt %d after %s", number, previous, s.Attempt, s.RegisterID)
	}
	s.attempts = append(s.attempts, &attempt{id, x.Owner, x.RetryClass()})
	s.Phase, s.IdemID, s.ToolID, s.RequestHash = Open, x.IdemID, x.ToolID, x.RequestHash
	s.Attempt, s.RegisterID, s.Owner, s.Retry = s.Attempt+1, id, x.Owner, x.RetryClass()
	return nil
}

// CommitOwner returns who must have signed a commit that names register id.
func (s *State) CommitOwner(id *cid.Hash) (sig.AgentID, bool) {
	if a := s.attempt(id); a != nil {
		return a.owner, true
	}
	return sig.AgentID{}, false
}

func (s *State) attempt(id *cid.Hash) *attempt {
	if id == nil {
		return nil
	}
	for _, a := range s.attempts {
		if a.id == *id {
			return a
		}
	}
	return nil
}

// AddCommit applies a decoded commit. signed reports whether the owner of the
// register that it names signed it; a commit that is not, or that names another
// register than the latest, changes nothing but is kept as evidence. Valid
// commits are compared whatever order they come in (RFC-MYTHOS-0005 §6).
func (s *State) AddCommit(x Commit, id cid.Hash, raw []byte, signed bool) Verdict {
	key := cid.Sum(raw)
	if s.seen[key] {
		return Dropped
	}
	if s.seen == nil {
		s.seen = map[cid.Hash]bool{}
	}
	s.seen[key] = true
	a := s.attempt(x.RegisterID)
	if a == nil || !signed || x.RequestHash != s.RequestHash || x.ToolID != s.ToolID {
		return Superseded
	}
	if s.Phase != Divergent && s.contradicts(validCommit{id, x.ResponseHash, a}) {
		s.Phase = Divergent
		return Diverged
	}
	if s.Phase == Open || s.Phase == Doubt || s.Phase == Free {
		if a.id == s.RegisterID {
			s.Phase, s.Commit, s.CommitRaw = Committed, x, raw
			return Applied
		}
	}
	return Superseded
}

// contradicts compares c with every valid commit before it and keeps it.
func (s *State) contradicts(c validCommit) bool {
	defer func() { s.valid = append(s.valid, c) }()
	for _, old := range s.valid {
		if old.response == c.response {
			continue
		}
		reason := uint8(ReasonResponse)
		switch {
		case old.by.id == c.by.id:
			reason = ReasonCommits
		case old.by.retry != Pure || c.by.retry != Pure:
			continue
		}
		s.Contradiction = Contradiction{reason, old.id, c.id}
		return true
	}
	return false
}

// AddDivergence applies a mark. A request conflict never changes the state and
// is kept once.
func (s *State) AddDivergence(x Divergence) (Verdict, error) {
	switch {
	case s.Phase == Absent || x.IdemID != s.IdemID || x.ToolID != s.ToolID:
		return 0, fault.New(ErrEntry, "a mark of id %s and tool %s on an id that is %s", x.IdemID, x.ToolID, s.Phase)
	case x.ReasonCode != ReasonRequest:
		s.Phase = Divergent
		return Applied, nil
	case s.Marked:
		return Dropped, nil
	}
	s.Marked = true
	return Superseded, nil
}

// AddResolution applies an opened resolution. byOperator reports whether its
// signer holds that role; an owner may only resolve its own latest register: as
// not invoked or in doubt, and as committed if a probe showed it.
func (s *State) AddResolution(x Resolution, byOperator bool) error {
	owner := x.Signer.Equal(s.Owner) && (x.Outcome != OutcomeCommitted || s.probed(x))
	switch {
	case s.Phase == Absent || s.Phase == Committed || s.Phase == Settled:
		return fault.New(ErrEntry, "a resolution of an id that is %s", s.Phase)
	case x.Outcome < OutcomeCommitted || x.Outcome > OutcomeDoubt:
		return fault.New(ErrEntry, "unknown outcome %d", x.Outcome)
	case x.IdemID != s.IdemID:
		return fault.New(ErrEntry, "a resolution of id %s among the entries of %s", x.IdemID, s.IdemID)
	case x.RegisterID != s.RegisterID:
		return fault.New(ErrEntry, "a resolution of register %s, the latest is %s", x.RegisterID, s.RegisterID)
	case !byOperator && !owner:
		return fault.New(ErrEntry, "a resolution by neither an operator nor the register's owner")
	case s.Phase == Divergent && !byOperator:
		return fault.New(ErrEntry, "only an operator resolves a divergence")
	}
	if s.Phase == Divergent {
		s.valid = nil // set aside: not compared with later commits
	}
	switch x.Outcome {
	case OutcomeCommitted:
		s.Phase = Settled
		if s.CommitRaw != nil && (x.ReceiptID == nil || *x.ReceiptID == s.Commit.ReceiptID) {
			s.Phase = Committed
		}
	case OutcomeNotInvoked:
		s.Phase = Free
	case OutcomeDoubt:
		s.Phase = Doubt
	}
	return nil
}

// probed reports whether x names the receipt of a probe, and the register's class
// has one. Whether it is that receipt only a reader of receipts can tell.
func (s *State) probed(x Resolution) bool { return s.Retry == Reconcile && x.ReceiptID != nil }

// Probe reports whether an id that Decide refuses as in doubt is to be decided by a
// probe: the class that the latest register recorded and the one of the module at
// hand are both reconcile.
func (s *State) Probe(retry Retry) bool {
	return (s.Phase == Open || s.Phase == Doubt) && s.Retry == Reconcile && retry == Reconcile
}

// Decision is what a new call of an id may do (RFC-MYTHOS-0005 §3).
type Decision uint8

// The decisions.
const (
	Proceed Decision = iota + 1 // register, then invoke
	Replay                      // return the committed receipt; nothing runs
	Wait                        // a live lease is held elsewhere
)

// Decide says what a call with requestHash may do. live reports whether the
// latest register's lease still stands on the journal's clock; retry is the
// class of the module at hand, which must agree with the recorded one before an
// effect in doubt is invoked again.
func (s *State) Decide(requestHash cid.Hash, live bool, retry Retry) (Decision, error) {
	if s.Phase != Absent && s.RequestHash != requestHash {
		return 0, fault.New(ErrConflict, "the key was used for request %s, this one is %s", s.RequestHash, requestHash)
	}
	switch s.Phase {
	case Absent, Free:
		return Proceed, nil
	case Committed:
		return Replay, nil
	case Divergent:
		return 0, fault.New(ErrDivergent, "two commits of this id contradict each other")
	case Settled:
		return 0, fault.New(ErrSettled, "an operator settled this id without a response")
	case Open:
		if live {
			return Wait, nil
		}
	}
	if s.Retry.Again() && retry.Again() {
		return Proceed, nil
	}
	return 0, fault.New(ErrInDoubt, "register %s ended without a commit and its retry class forbids another try", s.RegisterID)
}
