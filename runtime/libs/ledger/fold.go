package ledger

import (
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Apply folds one stored record into s. A Store only appends what the state
// accepted, so a record that does not fit means damage: ErrCorrupt.
func (s *State) Apply(rec Record) error {
	if err := s.apply(rec); err != nil {
		return fault.New(ErrCorrupt, "entry %d: %w", rec.Index, err)
	}
	return nil
}

func (s *State) apply(rec Record) error {
	switch rec.Kind {
	case KindRegister:
		var x Register
		id, err := sig.Decode(rec.Body, &x)
		if err != nil {
			return err
		}
		return s.AddRegister(x, id)
	case KindCommit:
		_, _, err := s.Offer(rec.Body)
		return err
	case KindDivergence:
		x, err := DecodeDivergence(rec.Body)
		if err != nil {
			return err
		}
		_, err = s.AddDivergence(x)
		return err
	case KindResolution:
		var x Resolution
		if _, err := sig.Decode(rec.Body, &x); err != nil {
			return err
		}
		return s.AddResolution(x, true)
	}
	return fault.New(ErrEntry, "an entry of kind %d under an idempotency id", rec.Kind)
}

// signedByOwner reports whether the owner of the register that x names signed
// raw.
func (s *State) signedByOwner(x Commit, raw []byte) bool {
	owner, ok := s.CommitOwner(x.RegisterID)
	if !ok {
		return false
	}
	_, _, err := OpenCommit(raw, owner)
	return err == nil
}

// Offer applies a commit, new or stored, and says what becomes of it.
func (s *State) Offer(raw []byte) (Commit, Verdict, error) {
	x, id, err := DecodeCommit(raw)
	if err != nil {
		return x, 0, err
	}
	if s.Phase == Absent {
		return x, 0, fault.New(ErrEntry, "a commit of an id that was never registered")
	}
	if x.IdemID != s.IdemID {
		return x, 0, fault.New(ErrEntry, "a commit of id %s among the entries of %s", x.IdemID, s.IdemID)
	}
	return x, s.AddCommit(x, id, raw, s.signedByOwner(x, raw)), nil
}

// Fold returns the state of one id from its records in log order.
func Fold(records []Record) (State, error) {
	var s State
	for _, rec := range records {
		if err := s.Apply(rec); err != nil {
			return s, err
		}
	}
	return s, nil
}

// IdemOf returns the idempotency id that an entry's body belongs to, or zero
// for kinds that have none.
func IdemOf(kind Kind, body []byte) (cid.Hash, error) {
	switch kind {
	case KindRegister:
		var x Register
		_, err := sig.Decode(body, &x)
		return x.IdemID, err
	case KindCommit:
		x, _, err := DecodeCommit(body)
		return x.IdemID, err
	case KindDivergence:
		x, err := DecodeDivergence(body)
		return x.IdemID, err
	case KindResolution:
		var x Resolution
		_, err := sig.Decode(body, &x)
		return x.IdemID, err
	}
	return cid.Hash{}, nil
}
