package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// attested is a source with attestations beside the manifest.
type attested struct {
	*memory
	list []Statement
}

func (a *attested) Attestations(context.Context) ([]Statement, error) { return a.list, nil }

// statement is what k says about a package.
func statement(t testing.TB, k sig.Key, about cid.Hash, change func(*receipt.Attestation)) Statement {
	t.Helper()
	a := receipt.Attestation{SubjectHash: about, ClaimType: receipt.EvalPass, Result: 1, TimeObserved: now().UnixMicro()}
	if change != nil {
		change(&a)
	}
	raw, id, err := sig.Sign(&a, k)
	if err != nil {
		t.Fatal(err)
	}
	return Statement{id, raw}
}

// ring2 is a package that asks for NetConnect, and options for a ring 2 that wants
// two evaluations and a promotion; keys 11 and 12 are verifiers, 13 is an operator.
// A change of the options comes before the policy is signed.
func ring2(t *testing.T) (*attested, Options, *rings.Standing) {
	t.Helper()
	f, opt := newFixture(t), options(t)
	f.m.Modules[0].Module.CapsRequired = []manifest.CapRequirement{{Kind: caps.KindNetConnect}}
	src := f.sign(key(1))
	verifiers := []sig.AgentID{key(11).Agent(), key(12).Agent()}
	entry := func(role sig.Role, keys ...sig.AgentID) TrustEntry { return TrustEntry{Role: role, Keys: keys} }
	opt.Trust = trust(t, publisher(1, key(1)), entry(sig.Policy, key(8).Agent()), entry(sig.Verifier, verifiers...), entry(sig.Operator, key(13).Agent()))
	opt.Ring = 2
	opt.Policy = policy(t, key(8), func(p *rings.Policy) {
		draft, err := rings.Draft(2, verifiers, 2)
		if err != nil {
			t.Fatal(err)
		}
		*p = *draft
		p.Claims = p.Claims[:1]
	})
	id := f.m.PackageID
	record := &rings.Promotion{ModelID: id, RingID: 2, PolicyID: opt.Policy.PolicyID, EvalAttestations: []cid.Hash{}}
	raw, err := rings.SignPromotion(record, key(13))
	if err != nil {
		t.Fatal(err)
	}
	standing := &rings.Standing{
		States:    []ledger.RingState{{Ring: 2, Seq: 1, Name: f.m.Name, PackageID: &id, PromotionID: &record.PromotionID, Signer: key(13).Agent()}},
		Promotion: raw,
	}
	opt.Standing = func(ring uint8, name string) (*rings.Standing, error) {
		if ring != 2 || name != f.m.Name {
			return nil, fmt.Errorf("asked about %s in ring %d", name, ring)
		}
		return standing, nil
	}
	return &attested{src, []Statement{statement(t, key(11), id, nil), statement(t, key(12), id, nil)}}, opt, standing
}

func TestRings(t *testing.T) {
	src, opt, _ := ring2(t)
	if _, err := Load(t.Context(), src, opt); err != nil {
		t.Fatal(err)
	}
	past := now().AddDate(0, 0, -1)
	for name, c := range map[string]struct {
		change func(*attested, *Options, *rings.Standing)
		want   fault.Code
	}{
		"no attestation":        {func(a *attested, _ *Options, _ *rings.Standing) { a.list = nil }, rings.ErrAttestation},
		"one of two":            {func(a *attested, _ *Options, _ *rings.Standing) { a.list = a.list[:1] }, rings.ErrAttestation},
		"no promotion":          {func(_ *attested, _ *Options, s *rings.Standing) { s.States = nil }, rings.ErrPromotion},
		"promotion gone":        {func(_ *attested, _ *Options, s *rings.Standing) { s.Promotion = nil }, rings.ErrPromotion},
		"demoted":               {func(_ *attested, _ *Options, s *rings.Standing) { s.States[0].PackageID = nil }, rings.ErrDemoted},
		"another package":       {func(_ *attested, _ *Options, s *rings.Standing) { s.States[0].PackageID = ref(cid.Sum(nil)) }, rings.ErrPromotion},
		"ledger not asked":      {func(_ *attested, o *Options, _ *rings.Standing) { o.Standing = nil }, rings.ErrPromotion},
		"ledger not to be read": {func(_ *attested, o *Options, _ *rings.Standing) { o.Standing = unreadable }, ledger.ErrCorrupt},
		"no policy": {func(_ *attested, o *Options, _ *rings.Standing) {
			o.Policy, o.PolicyFault = nil, fault.New(rings.ErrNotMonotonic, "")
		}, rings.ErrNotMonotonic},
		"policy of another ring": {func(_ *attested, o *Options, _ *rings.Standing) { o.Ring = 1 }, rings.ErrRing},
		"publisher to ring 1": {func(_ *attested, o *Options, _ *rings.Standing) {
			o.Trust = o.entry(0, func(e *TrustEntry) { e.RingMax = ref(uint8(1)) })
		}, manifest.ErrSignerThreshold},
		"policy key to ring 1": {func(_ *attested, o *Options, _ *rings.Standing) {
			o.Trust = o.entry(1, func(e *TrustEntry) { e.RingMax = ref(uint8(1)) })
		}, rings.ErrRing},
		"policy key over": {func(_ *attested, o *Options, _ *rings.Standing) {
			o.Trust = o.entry(1, func(e *TrustEntry) { e.NotAfter = past })
		}, rings.ErrRing},
		"verifiers to ring 1": {func(_ *attested, o *Options, _ *rings.Standing) {
			o.Trust = o.entry(2, func(e *TrustEntry) { e.RingMax = ref(uint8(1)) })
		}, rings.ErrAttestation},
		"verifiers over": {func(_ *attested, o *Options, _ *rings.Standing) {
			o.Trust = o.entry(2, func(e *TrustEntry) { e.NotAfter = past })
		}, rings.ErrAttestation},
		"verifiers of others": {func(_ *attested, o *Options, _ *rings.Standing) {
			o.Trust = o.entry(2, func(e *TrustEntry) { e.Names = []string{"x/*"} })
		}, rings.ErrAttestation},
		"operator to ring 1": {func(_ *attested, o *Options, _ *rings.Standing) {
			o.Trust = o.entry(3, func(e *TrustEntry) { e.RingMax = ref(uint8(1)) })
		}, rings.ErrPromotion},
		"operator of others": {func(_ *attested, o *Options, _ *rings.Standing) {
			o.Trust = o.entry(3, func(e *TrustEntry) { e.Names = []string{"x/*"} })
		}, rings.ErrPromotion},
		"operator is a verifier": {func(_ *attested, o *Options, _ *rings.Standing) {
			o.Trust = o.entry(3, func(e *TrustEntry) { e.Role = sig.Verifier })
		}, rings.ErrPromotion},
		"a claim taken back in the node's index": {func(a *attested, o *Options, _ *rings.Standing) {
			o.Attested = func(id cid.Hash) ([]Statement, error) {
				return []Statement{statement(t, key(12), id, func(a *receipt.Attestation) { a.Result = 0 })}, nil
			}
		}, rings.ErrAttestation},
	} {
		t.Run(name, func(t *testing.T) {
			src, opt, standing := ring2(t)
			c.change(src, &opt, standing)
			p, err := Load(t.Context(), src, opt)
			if fault.CodeOf(err) != c.want || p != nil {
				t.Errorf("Load: %v, want %s", err, c.want)
			}
			if c.want == manifest.ErrSignerThreshold {
				return // not sound, so that nobody asks what the ring wants
			}
			a, err := Assess(t.Context(), src, opt)
			if err != nil || fault.CodeOf(a.First()) != c.want {
				t.Errorf("Assess: %v, %v", a, err)
			}
		})
	}
}

// entry returns the trust with its i-th entry changed.
func (o *Options) entry(i int, change func(*TrustEntry)) *Trust {
	entries := slices.Clone(o.Trust.Entries())
	change(&entries[i])
	t, err := NewTrust(entries)
	if err != nil {
		panic(err)
	}
	return t
}

func unreadable(uint8, string) (*rings.Standing, error) {
	return nil, fault.New(ledger.ErrCorrupt, "damaged")
}

// TestPlaces: an attestation counts wherever it is, once.
func TestPlaces(t *testing.T) {
	src, opt, _ := ring2(t)
	index := src.list[1:]
	src.list = src.list[:1]
	opt.Attested = func(cid.Hash) ([]Statement, error) { return index, nil }
	p, err := Load(t.Context(), src, opt)
	if err != nil || len(p.Attestations()) != 1 {
		t.Errorf("one beside it and one in the index: %v, %v", p, err)
	}
	index = src.list
	if _, err := Load(t.Context(), src, opt); fault.CodeOf(err) != rings.ErrAttestation {
		t.Errorf("one that is in two places counts twice: %v", err)
	}
	src, opt, _ = ring2(t)
	u, err := manifest.Decode(src.manifest)
	if err != nil {
		t.Fatal(err)
	}
	m := *u.Claims()
	for _, s := range src.list {
		a, _, err := receipt.OpenAttestation(s.Raw)
		if err != nil {
			t.Fatal(err)
		}
		m.Attestations = append(m.Attestations, a)
	}
	slices.SortFunc(m.Attestations, func(a, b receipt.Attestation) int { return a.AttestationID.Compare(b.AttestationID) })
	src.list, src.manifest = nil, m.AppendCAN(nil)
	if _, err := Load(t.Context(), src, opt); err != nil {
		t.Errorf("in the manifest: %v", err)
	}
}

// TestStatements: what lies beside a manifest must hold, whoever says it.
func TestStatements(t *testing.T) {
	for name, change := range map[string]func(Statement, cid.Hash) Statement{
		"about another package": func(_ Statement, _ cid.Hash) Statement { return statement(t, key(11), cid.Sum(nil), nil) },
		"under another name":    func(s Statement, _ cid.Hash) Statement { return Statement{cid.Sum(nil), s.Raw} },
		"changed": func(s Statement, _ cid.Hash) Statement {
			raw := slices.Clone(s.Raw)
			raw[len(raw)-1] ^= 1
			return Statement{s.ID, raw}
		},
		"cut": func(s Statement, _ cid.Hash) Statement { return Statement{s.ID, s.Raw[:20]} },
		"unknown claim": func(_ Statement, id cid.Hash) Statement {
			return statement(t, key(11), id, func(a *receipt.Attestation) { a.ClaimType = 9 })
		},
		"no result": func(_ Statement, id cid.Hash) Statement {
			return statement(t, key(11), id, func(a *receipt.Attestation) { a.Result = 2 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			src, opt, _ := ring2(t)
			id := mustID(t, src)
			src.list = append(src.list, change(src.list[0], id))
			if _, err := Load(t.Context(), src, opt); fault.CodeOf(err) != manifest.ErrAttestation {
				t.Errorf("Load: %v", err)
			}
			r, err := Verify(t.Context(), src, opt)
			if err != nil || r.OK() || r.Failures[0].Code != manifest.ErrAttestation {
				t.Errorf("Verify: %+v, %v", r, err)
			}
		})
	}
	src, opt, _ := ring2(t)
	src.list = append(src.list, statement(t, key(99), mustID(t, src), nil))
	if _, err := Load(t.Context(), src, opt); err != nil {
		t.Errorf("a stranger's attestation is no fault: %v", err)
	}
}

func mustID(t *testing.T, src *attested) cid.Hash {
	t.Helper()
	u, err := manifest.Decode(src.manifest)
	if err != nil {
		t.Fatal(err)
	}
	return u.PackageID()
}

// TestAssess: everything that a ring asks is listed, and who could supply it.
func TestAssess(t *testing.T) {
	src, opt, standing := ring2(t)
	src.list, standing.States = src.list[:1], nil
	opt.Trust = opt.entry(2, func(e *TrustEntry) { e.Keys = e.Keys[:1] })
	a, err := Assess(t.Context(), src, opt)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		rule string
		met  bool
	}
	var got []row
	for _, r := range a.Requirements {
		got = append(got, row{r.Rule, r.Err == nil})
	}
	want := []row{{RulePolicy, true}, {RuleModule, true}, {RuleCap, true}, {RuleClaim, false}, {RulePromotion, false}, {RuleBudget, true}, {RuleSandbox, true}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if s := a.Requirements[3].Suppliers; len(s) != 1 || !s[0].Agent.Equal(key(12).Agent()) || s[0].Trusted || s[0].Role != sig.Verifier {
		t.Errorf("the claim could come from %+v", s)
	}
	if s := a.Requirements[4].Suppliers; len(s) != 1 || !s[0].Agent.Equal(key(13).Agent()) || !s[0].Trusted {
		t.Errorf("the promotion could come from %+v", s)
	}
	if err := a.First(RuleClaim, RulePromotion); err != nil {
		t.Error(err)
	}
	opt.Policy = nil
	if a, err = Assess(t.Context(), src, opt); err != nil || len(a.Requirements) != 1 || len(a.Requirements[0].Suppliers) != 1 {
		t.Errorf("without a policy: %+v, %v", a, err)
	}
	src.manifest[len(src.manifest)-1] ^= 1
	if a, err := Assess(t.Context(), src, opt); err == nil || a != nil {
		t.Errorf("an unsound package was assessed: %v", err)
	}
}

// TestDevAboveRing0: what this home's dev key signed runs in ring 0 alone.
func TestDevAboveRing0(t *testing.T) {
	src, opt, _ := ring2(t)
	dev := key(1).Agent()
	opt.Dev, opt.Local = &dev, func(cid.Hash) bool { return true }
	opt.Trust = opt.entry(0, func(e *TrustEntry) { e.Keys = []sig.AgentID{key(2).Agent()} })
	if _, err := Load(t.Context(), src, opt); fault.CodeOf(err) != manifest.ErrSignerUnknown {
		t.Errorf("%v", err)
	}
	opt.Ring, opt.Policy = 0, policy(t, key(8), nil)
	if _, err := Load(t.Context(), src, opt); err != nil {
		t.Error(err)
	}
}

func TestTrustEdit(t *testing.T) {
	authority := TrustEntry{Role: sig.Authority, Keys: []sig.AgentID{key(1).Agent()}, Names: []string{"a"}}
	tr := trust(t, authority, publisher(2, key(1), key(2)))
	origin := key(1).Agent().KeyID()
	grown, at, err := tr.WithKeys(sig.Authority, origin, []sig.AgentID{key(3).Agent()})
	if err != nil || at != 0 || grown.Entries()[0].Origin != origin || len(grown.Entries()[0].Keys) != 2 {
		t.Fatalf("%+v, %v", grown, err)
	}
	rotated, n, err := grown.Without(sig.Authority, origin)
	if err != nil || n != 1 {
		t.Fatal(err)
	}
	if e := rotated.Entries()[0]; len(e.Keys) != 1 || !e.Keys[0].Equal(key(3).Agent()) || e.Origin != origin || e.Names[0] != "a" {
		t.Errorf("rotated to %+v", e)
	}
	// The entry is still found by the key that it began with.
	if _, _, err := rotated.WithKeys(sig.Authority, origin, []sig.AgentID{key(4).Agent()}); err != nil {
		t.Error(err)
	}
	gone, n, err := rotated.Without("", key(3).Agent().KeyID())
	if err != nil || n != 1 || len(gone.Entries()) != 1 {
		t.Errorf("%d, %v", n, err)
	}
	for name, err := range map[string]error{
		"below the threshold": third(tr.Without(sig.Publisher, origin)), "held by none": third(tr.Without("", cid.Sum(nil))),
		"of another role": third(tr.Without(sig.Verifier, origin)), "no such entry": third(tr.WithKeys(sig.Verifier, origin, nil)),
		"a key twice": third(tr.WithKeys(sig.Authority, origin, []sig.AgentID{key(1).Agent()})),
		"two entries": third(trust(t, authority, authority).WithKeys(sig.Authority, origin, nil)),
	} {
		if !errors.Is(err, ErrTrust) && !errors.Is(err, ErrTrustEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func third(_ *Trust, _ int, err error) error { return err }

func TestExplain(t *testing.T) {
	late := publisher(1, key(1))
	late.NotBefore = now().AddDate(1, 0, 0)
	tr := trust(t, publisher(1, key(1)), publisher(2, key(1), key(2)), late,
		TrustEntry{Role: sig.Verifier, Keys: []sig.AgentID{key(1).Agent()}},
		TrustEntry{Role: sig.Publisher, Keys: []sig.AgentID{key(1).Agent()}, Names: []string{"b"}, RingMax: ref(uint8(0))},
		publisher(1, key(3)))
	got := tr.Explain(Question{Role: sig.Publisher, Name: "a", Ring: 1, Signers: []cid.Hash{key(1).Agent().KeyID()}, Now: now()})
	want := []Match{
		{0, true, "1 of 1 needed keys"},
		{1, false, "1 of its keys have signed, 2 are needed"},
		{2, false, "it is outside its window"},
		{3, false, "it is of role verifier, not publisher"},
		{4, false, "its names b do not cover a; it counts up to ring 0"},
		{5, false, "it holds none of the keys"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}
