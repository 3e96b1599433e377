package rings

import (
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Codes of promotions and ring states.
const (
	ErrPromotion        fault.Code = "promotion_missing" // nothing brings this package into the ring
	ErrPromotionInvalid fault.Code = "promotion_invalid" // a promotion record that breaks its own rules
	ErrDemoted          fault.Code = "package_demoted"   // the ring runs nothing under this name
	ErrRollback         fault.Code = "rollback_missing"  // a promotion without the rollback that it needs
)

// maxEvidence bounds the attestations that a promotion names.
const maxEvidence = 256

// SignPromotion checks p, signs it, and returns its bytes.
func SignPromotion(p *Promotion, by sig.Signer) ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	raw, _, err := sig.Sign(p, by)
	return raw, err
}

// OpenPromotion strictly decodes a promotion record, verifies it against the signer
// that it names and checks its rules.
func OpenPromotion(raw []byte) (*Promotion, error) {
	p := new(Promotion)
	if _, err := sig.Open(raw, p); err != nil {
		return nil, err
	}
	return p, p.Validate()
}

// Validate checks the rules that a record's own fields can break.
func (x *Promotion) Validate() error {
	ids := x.EvalAttestations
	if len(ids) > maxEvidence {
		return fault.New(ErrPromotionInvalid, "%d attestations, at most %d", len(ids), maxEvidence)
	}
	for i := 1; i < len(ids); i++ {
		if ids[i-1].Compare(ids[i]) >= 0 {
			return fault.New(ErrPromotionInvalid, "eval_attestations must ascend, none twice")
		}
	}
	return nil
}

// Standing is what a ring's ledger says about one name.
type Standing struct {
	// States of the ring and the name, ascending by seq. AdmitState needs only the
	// last one, unless NeedsHistory; whoever promotes and rolls back needs all.
	States    []ledger.RingState
	Promotion []byte // the record that the last one names; nil: it is not at hand
}

// NeedsHistory reports whether AdmitState must know the states before this one: the
// rollback that it pins was one of theirs, and only the first package of a name need
// not pin one.
func NeedsHistory(state ledger.RingState) bool {
	return state.PackageID != nil && (state.RollbackPackageID != nil || state.Seq > 1)
}

// State returns the state that counts: the one with the highest seq.
func (s *Standing) State() (ledger.RingState, bool) {
	if len(s.States) == 0 {
		return ledger.RingState{}, false
	}
	return s.States[len(s.States)-1], true
}

// Ran returns the packages that the ring ran under the name, the last one first,
// none twice.
func (s *Standing) Ran() []cid.Hash {
	var ids []cid.Hash
	for _, x := range slices.Backward(s.States) {
		if x.PackageID != nil && !slices.Contains(ids, *x.PackageID) {
			ids = append(ids, *x.PackageID)
		}
	}
	return ids
}

// promotedBy returns the last state that ran a package.
func (s *Standing) promotedBy(id cid.Hash) (ledger.RingState, bool) {
	for _, x := range slices.Backward(s.States) {
		if x.PackageID != nil && *x.PackageID == id {
			return x, true
		}
	}
	return ledger.RingState{}, false
}

// NeedsState reports whether ring states count in the policy's ring.
func (x *Policy) NeedsState() bool { return x.Ring > 0 || x.NeedsPromotion }

// AdmitState reports whether what the ledger says lets the ring run a package
// (RFC-MYTHOS-0010 §5, row 4). counts reports whether a key is an operator's who
// counts for the name and ring now.
func (x *Policy) AdmitState(s *Standing, id cid.Hash, counts func(sig.AgentID) bool) error {
	if !x.NeedsState() {
		return nil
	}
	state, ok := s.State()
	switch {
	case !ok && !x.NeedsPromotion:
		return nil
	case !ok:
		return fault.New(ErrPromotion, "ring %d needs a promotion, and nothing was promoted to it under this name", x.Ring)
	case state.PackageID == nil:
		return fault.New(ErrDemoted, "ring %d runs nothing under this name: it was demoted by %s", x.Ring, state.Signer.KeyID())
	case *state.PackageID != id:
		return fault.New(ErrPromotion, "under this name ring %d runs %s", x.Ring, *state.PackageID)
	case !counts(state.Signer):
		return fault.New(ErrPromotion, "the ring's state was set by %s, which no operator entry of the trust file that counts here holds", state.Signer.KeyID())
	case !x.NeedsPromotion:
		return nil
	}
	if err := s.pinned(state); err != nil {
		return err
	}
	return x.admitPromotion(s.Promotion, state, counts)
}

// pinned checks a state's rollback (RFC-MYTHOS-0010 §4).
func (s *Standing) pinned(state ledger.RingState) error {
	var before []cid.Hash // what ran before the package first did, then what ran since
	first := 0
	for _, x := range s.States {
		if x.Seq >= state.Seq || x.PackageID == nil {
			continue
		}
		if *x.PackageID != *state.PackageID {
			before = append(before, *x.PackageID)
		} else if first == 0 {
			first = 1 + len(before)
		}
	}
	switch {
	case state.RollbackPackageID == nil && (len(before) == 0 || first == 1):
		return nil // it was the first package of the name
	case state.RollbackPackageID == nil:
		return fault.New(ErrRollback, "the promotion pins no rollback, although the ring ran another package under this name before")
	case !slices.Contains(before, *state.RollbackPackageID):
		return fault.New(ErrRollback, "the rollback %s is no other package that the ring ran under this name", *state.RollbackPackageID)
	}
	return nil
}

// admitPromotion checks the record that a state names.
func (x *Policy) admitPromotion(raw []byte, state ledger.RingState, counts func(sig.AgentID) bool) error {
	switch {
	case state.PromotionID == nil:
		return fault.New(ErrPromotion, "ring %d needs a promotion, and its state names none", x.Ring)
	case raw == nil:
		return fault.New(ErrPromotion, "the promotion %s is not at hand", *state.PromotionID)
	}
	p, err := OpenPromotion(raw)
	switch {
	case err != nil:
		return fault.New(ErrPromotionInvalid, "the promotion %s: %w", *state.PromotionID, err)
	case p.PromotionID != *state.PromotionID, p.ModelID != *state.PackageID, p.RingID != x.Ring:
		return fault.New(ErrPromotionInvalid, "the promotion %s is of %s to ring %d", p.PromotionID, p.ModelID, p.RingID)
	case !counts(p.Signer):
		return fault.New(ErrPromotion, "the promotion is signed by %s, which no operator entry of the trust file that counts here holds", p.Signer.KeyID())
	}
	return nil
}

// Promote returns the state that brings a package into the policy's ring under a
// name, to be signed. rollback is the package to pin; nil takes the one that runs
// now, else the last other one that did.
func (x *Policy) Promote(s *Standing, name string, p *Promotion, rollback *cid.Hash) (*ledger.RingState, error) {
	next := s.next(x.Ring, name)
	next.PackageID, next.PromotionID, next.RollbackPackageID = &p.ModelID, &p.PromotionID, rollback
	if rollback == nil {
		for _, id := range s.Ran() {
			if id != p.ModelID {
				next.RollbackPackageID = &id
				break
			}
		}
	}
	if next.RollbackPackageID == nil {
		return next, nil
	}
	return next, s.pinned(*next)
}

// Demote returns the state after which the ring runs nothing under a name.
func (s *Standing) Demote(ring uint8, name string) *ledger.RingState { return s.next(ring, name) }

// RollBack returns the state that brings back the pinned rollback of the one that
// stands.
func (s *Standing) RollBack(ring uint8, name string) (*ledger.RingState, error) {
	state, ok := s.State()
	if !ok || state.RollbackPackageID == nil {
		return nil, fault.New(ErrRollback, "no rollback is pinned in ring %d", ring).About(name)
	}
	back := *state.RollbackPackageID
	before, ok := s.promotedBy(back)
	if !ok {
		return nil, fault.New(ErrRollback, "the rollback %s never ran in ring %d", back, ring).About(name)
	}
	next := s.next(ring, name)
	next.PackageID, next.PromotionID, next.RollbackPackageID = &back, before.PromotionID, before.RollbackPackageID
	return next, nil
}

func (s *Standing) next(ring uint8, name string) *ledger.RingState {
	state, _ := s.State()
	return &ledger.RingState{Ring: ring, Seq: state.Seq + 1, Name: name}
}
