package ledger

import (
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
func (s *State) Offer(raw []byte) (Commit, Verdict, error) { return s.offer(raw, own{}) }

func (s *State) offer(raw []byte, made own) (Commit, Verdict, error) {
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
	owner, known := s.CommitOwner(x.RegisterID)
	signed := known && made.covers(raw, owner) || s.signedByOwner(x, raw)
	return x, s.AddCommit(x, id, raw, signed), nil
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
