package rings

import (
	"errors"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

func pkg(name string) *cid.Hash { return ref(cid.Sum([]byte(name))) }

// promoted is a promotion of a package to a ring, signed by key n.
func promoted(t testing.TB, name string, ring uint8, n byte) (*Promotion, []byte) {
	t.Helper()
	p := &Promotion{ModelID: *pkg(name), RingID: ring, EvalAttestations: []cid.Hash{}, TimeObserved: 5}
	raw, err := SignPromotion(p, key(n))
	if err != nil {
		t.Fatal(err)
	}
	return p, raw
}

// operator counts key 7 alone.
func operator(a sig.AgentID) bool { return a.Equal(key(7).Agent()) }

// state is what key n says that ring 2 runs.
func state(seq uint64, id, back, promotion *cid.Hash, n byte) ledger.RingState {
	return ledger.RingState{Ring: 2, Seq: seq, Name: "a", PackageID: id, RollbackPackageID: back, PromotionID: promotion, Signer: key(n).Agent()}
}

func TestAdmitState(t *testing.T) {
	a, rawA := promoted(t, "a", 2, 7)
	_, stranger := promoted(t, "a", 2, 8)
	strangers, _ := promoted(t, "a", 2, 8)
	other, rawOther := promoted(t, "b", 2, 7)
	low, rawLow := promoted(t, "a", 1, 7)
	states := func(list ...ledger.RingState) []ledger.RingState { return list }
	free, bound := &Policy{Ring: 2}, &Policy{Ring: 2, NeedsPromotion: true}
	id := a.PromotionID
	for name, c := range map[string]struct {
		policy *Policy
		s      Standing
		want   fault.Code
	}{
		"no state, none needed":      {free, Standing{}, ""},
		"no state":                   {bound, Standing{}, ErrPromotion},
		"ring 0 asks nobody":         {&Policy{}, Standing{States: states(state(1, nil, nil, nil, 7))}, ""},
		"ring 0 that promotes":       {&Policy{NeedsPromotion: true}, Standing{}, ErrPromotion},
		"demoted":                    {free, Standing{States: states(state(1, pkg("a"), nil, &id, 7), state(2, nil, nil, nil, 7))}, ErrDemoted},
		"demoted by a stranger":      {free, Standing{States: states(state(1, nil, nil, nil, 8))}, ErrDemoted},
		"another package":            {free, Standing{States: states(state(1, pkg("b"), nil, nil, 7))}, ErrPromotion},
		"another package later":      {free, Standing{States: states(state(1, pkg("a"), nil, nil, 7), state(2, pkg("b"), nil, nil, 7))}, ErrPromotion},
		"without a record, free":     {free, Standing{States: states(state(1, pkg("a"), nil, nil, 7))}, ""},
		"set by a stranger":          {free, Standing{States: states(state(1, pkg("a"), nil, nil, 8))}, ErrPromotion},
		"promoted":                   {bound, Standing{states(state(1, pkg("a"), nil, &id, 7)), rawA}, ""},
		"no promotion named":         {bound, Standing{states(state(1, pkg("a"), nil, nil, 7)), rawA}, ErrPromotion},
		"record not at hand":         {bound, Standing{states(state(1, pkg("a"), nil, &id, 7)), nil}, ErrPromotion},
		"record that is none":        {bound, Standing{states(state(1, pkg("a"), nil, &id, 7)), rawA[1:]}, ErrPromotionInvalid},
		"another record":             {bound, Standing{states(state(1, pkg("a"), nil, &id, 7)), stranger}, ErrPromotionInvalid},
		"a stranger's record":        {bound, Standing{states(state(1, pkg("a"), nil, &strangers.PromotionID, 7)), stranger}, ErrPromotion},
		"of another package":         {bound, Standing{states(state(1, pkg("a"), nil, &other.PromotionID, 7)), rawOther}, ErrPromotionInvalid},
		"to another ring":            {bound, Standing{states(state(1, pkg("a"), nil, &low.PromotionID, 7)), rawLow}, ErrPromotionInvalid},
		"no rollback":                {bound, Standing{states(state(1, pkg("b"), nil, nil, 7), state(2, pkg("a"), nil, &id, 7)), rawA}, ErrRollback},
		"a rollback":                 {bound, Standing{states(state(1, pkg("b"), nil, nil, 7), state(2, pkg("a"), pkg("b"), &id, 7)), rawA}, ""},
		"the first one again":        {bound, Standing{states(state(1, pkg("a"), nil, &id, 7), state(2, pkg("b"), pkg("a"), nil, 7), state(3, pkg("a"), nil, &id, 7)), rawA}, ""},
		"only ever this one":         {bound, Standing{states(state(1, pkg("a"), nil, &id, 7), state(2, nil, nil, nil, 7), state(3, pkg("a"), nil, &id, 7)), rawA}, ""},
		"last state's record counts": {bound, Standing{states(state(1, pkg("a"), nil, &id, 7), state(2, pkg("a"), nil, &strangers.PromotionID, 7)), rawA}, ErrPromotionInvalid},
	} {
		if err := c.policy.AdmitState(&c.s, *pkg("a"), operator); fault.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestLife promotes, rolls back and demotes as programs do: every state that they
// make is one that the ring then runs by.
func TestLife(t *testing.T) {
	policy, s := &Policy{Ring: 2, NeedsPromotion: true}, &Standing{}
	set := func(x *ledger.RingState, err error) *ledger.RingState {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if last, _ := s.State(); x.Seq != last.Seq+1 || x.Ring != 2 || x.Name != "a" {
			t.Fatalf("after %d comes %+v", last.Seq, x)
		}
		x.Signer = key(7).Agent()
		s.States = append(s.States, *x)
		return x
	}
	runs := func(name string, raw []byte) {
		t.Helper()
		s.Promotion = raw
		if err := policy.AdmitState(s, *pkg(name), operator); err != nil {
			t.Error(err)
		}
	}
	one, rawOne := promoted(t, "one", 2, 7)
	two, rawTwo := promoted(t, "two", 2, 7)
	if x := set(policy.Promote(s, "a", one, nil)); x.RollbackPackageID != nil {
		t.Errorf("the first package rolls back to %v", x.RollbackPackageID)
	}
	runs("one", rawOne)
	if _, err := s.RollBack(2, "a"); !errors.Is(err, ErrRollback) {
		t.Errorf("rolled back without a rollback: %v", err)
	}
	if _, err := policy.Promote(s, "a", two, pkg("three")); !errors.Is(err, ErrRollback) {
		t.Errorf("pinned what never ran: %v", err)
	}
	if _, err := policy.Promote(s, "a", two, pkg("two")); !errors.Is(err, ErrRollback) {
		t.Errorf("pinned itself: %v", err)
	}
	if x := set(policy.Promote(s, "a", two, nil)); *x.RollbackPackageID != *pkg("one") {
		t.Errorf("pinned %v", x.RollbackPackageID)
	}
	runs("two", rawTwo)
	if x := set(s.RollBack(2, "a")); *x.PackageID != *pkg("one") || *x.PromotionID != one.PromotionID {
		t.Errorf("rolled back to %+v", x)
	}
	runs("one", rawOne)
	set(s.Demote(2, "a"), nil)
	if err := policy.AdmitState(s, *pkg("one"), operator); !errors.Is(err, ErrDemoted) {
		t.Error(err)
	}
	if x := set(policy.Promote(s, "a", two, nil)); *x.RollbackPackageID != *pkg("one") {
		t.Errorf("after a demotion it pins %v", x.RollbackPackageID)
	}
	runs("two", rawTwo)
	if got := s.Ran(); len(got) != 2 || got[0] != *pkg("two") {
		t.Errorf("it ran %v", got)
	}
}

func TestPromotionRules(t *testing.T) {
	ids := []cid.Hash{cid.Sum([]byte("1")), cid.Sum([]byte("2"))}
	if ids[0].Compare(ids[1]) > 0 {
		ids[0], ids[1] = ids[1], ids[0]
	}
	for name, list := range map[string][]cid.Hash{
		"order": {ids[1], ids[0]}, "twice": {ids[0], ids[0]}, "too many": make([]cid.Hash, maxEvidence+1),
	} {
		p := &Promotion{EvalAttestations: list}
		if _, err := SignPromotion(p, key(7)); !errors.Is(err, ErrPromotionInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		raw, _, err := sig.Sign(p, key(7))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenPromotion(raw); !errors.Is(err, ErrPromotionInvalid) {
			t.Errorf("%s, signed: %v", name, err)
		}
	}
	p := &Promotion{EvalAttestations: ids}
	raw, err := SignPromotion(p, key(7))
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		raw[i] ^= 1
		if _, err := OpenPromotion(raw); fault.CodeOf(err) == "" {
			t.Fatalf("byte %d: accepted, or no code: %v", i, err)
		}
		raw[i] ^= 1
	}
}

func FuzzOpenPromotion(f *testing.F) {
	_, raw := promoted(f, "a", 2, 7)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := OpenPromotion(raw)
		if err == nil && (p == nil || p.Validate() != nil) || err != nil && fault.CodeOf(err) == "" {
			t.Fatalf("got %v, %v", p, err)
		}
	})
}
