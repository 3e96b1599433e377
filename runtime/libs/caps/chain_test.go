package caps

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

func TestSoundChain(t *testing.T) {
	links := sign(t, steps())
	raw := EncodeProof(links)
	c, err := DecodeProof(raw)
	if err != nil {
		t.Fatal(err)
	}
	g, err := c.Check(use())
	if err != nil {
		t.Fatal(err)
	}
	var ids []cid.Hash
	for _, l := range links {
		id, err := cid.Without(l, 1, 10)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	want := Grant{CapIDs: ids, Spend: []Count{{ids[0], 10, 1}, {ids[1], 8, 1}, {ids[2], 3, 1}}}
	if diff := cmp.Diff(want, g); diff != "" {
		t.Error(diff)
	}
	if c.LeafID() != ids[2] || !slices.Equal(c.CapIDs(), ids) || c.Len() != 3 {
		t.Error("the chain's ids differ from its links'")
	}
	if !c.Root().Equal(authority().Agent()) || !c.Holder().Equal(agent().Agent()) {
		t.Error("root or holder")
	}
	leaf := c.Leaf()
	if c.Kind() != KindToolCall || !leaf.Subject.Equal(executor().Agent()) || !bytes.Equal(c.Raw(), raw) {
		t.Error("kind, leaf or raw")
	}
	raw[len(raw)-1] ^= 1
	if _, err := c.Check(use()); err != nil {
		t.Errorf("the chain aliases the caller's bytes: %v", err)
	}
}

// attacks are chains that somebody signs with the keys that he has.
func attacks(t *testing.T) []struct {
	name   string
	mutate func(s []*step) []*step
	code   fault.Code
	link   int
	rule   string
} {
	type S = []*step
	edit := func(i int, f func(*ToolCall)) func(S) S {
		return func(s S) S {
			s[i].editCall(t, f)
			return s
		}
	}
	do := func(f func(S)) func(S) S {
		return func(s S) S {
			f(s)
			return s
		}
	}
	return []struct {
		name   string
		mutate func(s []*step) []*step
		code   fault.Code
		link   int
		rule   string
	}{
		{"root signed by a stranger in the authority's name", do(func(s S) { s[0].by = imposter{stranger(), authority().Agent()} }), ErrSignature, 0, RuleSignature},
		{"middle signed by a stranger in the holder's name", do(func(s S) { s[1].by = imposter{stranger(), holder().Agent()} }), ErrSignature, 1, RuleSignature},
		{"leaf signed by a stranger in the agent's name", do(func(s S) { s[2].by = imposter{stranger(), agent().Agent()} }), ErrSignature, 2, RuleSignature},
		{"leaf signed by its parent's signer", do(func(s S) { s[2].by = imposter{holder(), agent().Agent()} }), ErrSignature, 2, RuleSignature},
		{"root of a stranger", do(func(s S) { s[0].by = stranger() }), ErrUntrusted, 0, RuleAuthority},
		{"root of the holder", func(s S) S { s[1].parent = false; return s[1:] }, ErrUntrusted, 0, RuleAuthority},
		{"missing root", func(s S) S {
			s[1].cap.AttenuationParent, s[1].parent = ptr(hashOf("root")), false
			return s[1:]
		}, ErrBroken, 0, RuleRoot},
		{"foreign issuer in the middle", do(func(s S) { s[1].by = stranger() }), ErrBroken, 1, RuleIssuer},
		{"foreign issuer of the leaf", do(func(s S) { s[2].by = stranger() }), ErrBroken, 2, RuleIssuer},
		{"the root's authority is not the leaf's parent's issuer", do(func(s S) { s[2].by = authority() }), ErrBroken, 2, RuleIssuer},
		{"subject swapped in the middle", do(func(s S) { s[1].cap.Subject = stranger().Agent() }), ErrBroken, 2, RuleIssuer},
		{"subject swapped in the root", do(func(s S) { s[0].cap.Subject = stranger().Agent() }), ErrBroken, 1, RuleIssuer},
		{"leaf for another executor", do(func(s S) { s[2].cap.Subject = stranger().Agent() }), ErrSubject, 2, RuleSubject},
		{"leaf cut off", func(s S) S { return s[:2] }, ErrSubject, 1, RuleSubject},
		{"no parent named", do(func(s S) { s[1].parent = false }), ErrBroken, 1, RuleParent},
		{"another parent named", do(func(s S) { s[2].parent, s[2].cap.AttenuationParent = false, ptr(hashOf("x")) }), ErrBroken, 2, RuleParent},
		{"middle left out", func(s S) S { return S{s[0], s[2]} }, ErrBroken, 1, RuleIssuer},
		{"root not delegable", do(func(s S) { s[0].cap.Delegable = false }), ErrDelegable, 1, RuleDelegable},
		{"middle not delegable", do(func(s S) { s[1].cap.Delegable = false }), ErrDelegable, 2, RuleDelegable},
		{"issuer narrows, and widens delegable", do(func(s S) {
			s[0].cap.Delegable, s[1].by = false, authority()
		}), ErrDelegable, 1, RuleDelegable},
		{"issuer of all widens delegable at the leaf", do(func(s S) {
			s[0].cap.Delegable, s[1].cap.Delegable, s[2].cap.Delegable = false, false, true
			s[1].by, s[2].by = authority(), authority()
		}), ErrDelegable, 2, RuleDelegable},
		{"child opens earlier", do(func(s S) { s[1].cap.NotBefore = opens - 1 }), ErrWindow, 1, RuleWindow},
		{"child closes later", do(func(s S) { s[2].cap.ExpiresAt = closes + 1 }), ErrWindow, 2, RuleWindow},
		{"empty window", do(func(s S) { s[2].cap.NotBefore, s[2].cap.ExpiresAt = noon, noon }), ErrWindow, 2, RuleWindow},
		{"reversed window", do(func(s S) { s[0].cap.NotBefore, s[0].cap.ExpiresAt = closes, opens }), ErrWindow, 0, RuleWindow},
		{"expired by one microsecond", do(func(s S) { s[2].cap.ExpiresAt = noon }), ErrExpired, 2, RuleExpiresAt},
		{"one microsecond too early", do(func(s S) { s[2].cap.NotBefore = noon + 1 }), ErrNotYetValid, 2, RuleNotBefore},
		{"more calls", edit(1, func(x *ToolCall) { x.MaxCalls = 11 }), ErrScope, 1, RuleSubset},
		{"another tool in the child", edit(2, func(x *ToolCall) { x.ToolID = hashOf("rm") }), ErrScope, 2, RuleSubset},
		{"another tool everywhere", func(s S) S {
			for i := range s {
				edit(i, func(x *ToolCall) { x.ToolID = hashOf("rm") })(s)
			}
			return s
		}, ErrScope, 0, RuleUse},
		{"another kind in the child", do(func(s S) { s[2].cap.Scope = ScopeOf(&Clock{}) }), ErrScope, 2, RuleSubset},
		{"another kind everywhere", do(func(s S) {
			for _, x := range s {
				x.cap.Scope = ScopeOf(&Clock{})
			}
		}), ErrScope, 0, RuleUse},
		{"constraint dropped", edit(2, func(x *ToolCall) { delete(x.Constraints, "arg/amount:le") }), ErrConstraint, 2, RuleConstraintSubset},
		{"all constraints dropped", edit(2, func(x *ToolCall) { x.Constraints = nil }), ErrConstraint, 2, RuleConstraintSubset},
		{"constraint loosened", edit(2, func(x *ToolCall) { x.Constraints["arg/amount:le"] = number(501) }), ErrConstraint, 2, RuleConstraintSubset},
		{"ring loosened", edit(1, func(x *ToolCall) { x.Constraints["ring_max"] = "2" }), ErrConstraint, 1, RuleConstraintSubset},
		{"unknown key in the root", edit(0, func(x *ToolCall) { x.Constraints["max_amount"] = "500" }), ErrConstraint, 0, RuleConstraintUse},
		{"unknown key in the leaf", edit(2, func(x *ToolCall) { x.Constraints["max_amount"] = "500" }), ErrConstraint, 2, RuleConstraintSubset},
		{"65 constraints", edit(0, func(x *ToolCall) {
			for i := range 65 {
				k, v := Arg("/"+strings.Repeat("a", i), OpEq, []byte{can.Null})
				x.Constraints[k] = v
			}
		}), ErrConstraint, 0, RuleConstraintUse},
		{"denied by the leaf alone", edit(2, func(x *ToolCall) { x.Constraints["arg/amount:le"] = number(249) }), ErrConstraint, 2, RuleConstraintUse},
		{"another package", edit(2, func(x *ToolCall) { x.Constraints["package"] = hashOf("other").String() }), ErrConstraint, 2, RuleConstraintUse},
		{"revocation demanded by the root", do(func(s S) { s[0].cap.RevocationRequired = true }), ErrRevocation, 0, RuleRevocation},
		{"revocation demanded by the leaf", do(func(s S) { s[2].cap.RevocationRequired = true }), ErrRevocation, 2, RuleRevocation},
	}
}

func TestAttacks(t *testing.T) {
	for _, a := range attacks(t) {
		t.Run(a.name, func(t *testing.T) {
			_, err := proofOf(t, a.mutate(steps())).Check(use())
			wantDenial(t, err, a.code, a.link, a.rule)
		})
	}
}

// The same links, put together otherwise than they were signed.
func TestRearrangedLinks(t *testing.T) {
	l := sign(t, steps())
	for _, c := range []struct {
		name  string
		links [][]byte
		code  fault.Code
		link  int
		rule  string
	}{
		{"reversed", [][]byte{l[2], l[1], l[0]}, ErrBroken, 0, RuleRoot},
		{"last two swapped", [][]byte{l[0], l[2], l[1]}, ErrBroken, 1, RuleParent},
		{"root twice", [][]byte{l[0], l[0], l[1], l[2]}, ErrBroken, 1, RuleParent},
		{"middle twice", [][]byte{l[0], l[1], l[1], l[2]}, ErrBroken, 2, RuleParent},
		{"leaf twice", [][]byte{l[0], l[1], l[2], l[2]}, ErrBroken, 3, RuleParent},
		{"root missing", l[1:], ErrBroken, 0, RuleRoot},
		{"middle missing", [][]byte{l[0], l[2]}, ErrBroken, 1, RuleParent},
		{"cycle", [][]byte{l[0], l[1], l[0], l[1], l[2]}, ErrBroken, 2, RuleParent},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := DecodeProof(EncodeProof(c.links))
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Check(use())
			wantDenial(t, err, c.code, c.link, c.rule)
		})
	}
}

// A forged signature is named at its link, before any other fault, and the
// first of several is named.
func TestForgedSignatures(t *testing.T) {
	forge := func(links [][]byte, at ...int) *Chain {
		for _, i := range at {
			links[i] = bytes.Clone(links[i])
			links[i][len(links[i])-1] ^= 1 // the signature is the last field
		}
		c, err := DecodeProof(EncodeProof(links))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for i := range 3 {
		_, err := forge(sign(t, steps()), i).Check(use())
		wantDenial(t, err, ErrSignature, i, RuleSignature)
		if !errors.Is(err, sig.ErrInvalid) {
			t.Errorf("the cause is lost: %v", err)
		}
	}
	_, err := forge(sign(t, steps()), 2, 1).Check(use())
	wantDenial(t, err, ErrSignature, 1, RuleSignature)
	for _, a := range attacks(t) {
		links := sign(t, a.mutate(steps()))
		_, err := forge(links, len(links)-1).Check(use())
		wantCode(t, err, ErrSignature)
	}
}

func TestSealedWrongly(t *testing.T) {
	list := steps()[:1]
	c := list[0].cap
	if _, _, err := sig.Sign(&c, authority()); err != nil {
		t.Fatal(err)
	}
	other, keyed, scheme := c, c, c
	other.CapID[0] ^= 1
	id := authority().Agent().KeyID()
	keyed.Signature.KeyID = &id
	scheme.Signature.Alg = 2
	for name, x := range map[string]Capability{"another cap_id": other, "key_id present": keyed, "another algorithm": scheme} {
		p, err := DecodeProof(EncodeProof([][]byte{x.AppendCAN(nil)}))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err = p.Check(use())
		wantDenial(t, err, ErrSignature, 0, RuleSignature)
	}
}

// No flipped bit is survived.
func TestBitFlips(t *testing.T) {
	raw := EncodeProof(sign(t, steps()))
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1 << (i % 8)
		c, err := DecodeProof(bad)
		if err == nil {
			_, err = c.Check(use())
		}
		if err == nil {
			t.Errorf("bit %d of byte %d flipped, and the use is allowed", i%8, i)
		}
	}
}

func TestTimeBoundaries(t *testing.T) {
	c := proofOf(t, steps())
	for now, code := range map[int64]fault.Code{
		opens - 1: ErrNotYetValid, opens: "", noon: "", closes - 1: "", closes: ErrExpired, closes + 1: ErrExpired,
		-1 << 63: ErrNotYetValid, 1<<63 - 1: ErrExpired,
	} {
		u := use()
		u.Now = now
		_, err := c.Check(u)
		wantCode(t, err, code)
	}
}

// The rows of the table come in its order, whatever else is wrong.
func TestOrderOfChecks(t *testing.T) {
	worse := []struct {
		code fault.Code
		do   func(s []*step)
	}{
		{ErrRevocation, func(s []*step) { s[0].cap.RevocationRequired = true }},
		{ErrConstraint, func(s []*step) {
			s[2].editCall(t, func(x *ToolCall) { x.Constraints["package"] = hashOf("other").String() })
		}},
		{ErrScope, func(s []*step) { s[2].editCall(t, func(x *ToolCall) { x.MaxCalls = 99 }) }},
		{ErrExpired, func(s []*step) { s[2].cap.ExpiresAt = noon }},
		{ErrNotYetValid, func(s []*step) {
			s[1].cap.NotBefore = noon + 1
			s[2].cap.NotBefore = noon + 1
			s[2].cap.ExpiresAt = closes
		}},
		{ErrWindow, func(s []*step) { s[0].cap.ExpiresAt = s[0].cap.NotBefore }},
		{ErrSubject, func(s []*step) { s[2].cap.Subject = stranger().Agent() }},
		{ErrDelegable, func(s []*step) { s[1].cap.Delegable = false }},
		{ErrBroken, func(s []*step) { s[2].by = stranger() }},
		{ErrUntrusted, func(s []*step) { s[0].by = stranger(); s[1].by = stranger(); s[0].cap.Subject = stranger().Agent() }},
		{ErrSignature, func(s []*step) { s[2].by = imposter{holder(), stranger().Agent()} }},
	}
	list := steps()
	for _, w := range worse {
		w.do(list)
		_, err := proofOf(t, list).Check(use())
		wantCode(t, err, w.code)
	}
}

// The issuer of a parent may narrow what it gave, delegable or not.
func TestIssuerNarrows(t *testing.T) {
	list := steps()
	for _, s := range list {
		s.by, s.cap.Delegable, s.cap.Subject = authority(), false, executor().Agent()
	}
	if _, err := proofOf(t, list).Check(use()); err != nil {
		t.Error(err)
	}
}

func TestUseIsChecked(t *testing.T) {
	c := proofOf(t, steps())
	for name, x := range map[string]struct {
		edit func(*Use)
		code fault.Code
	}{
		"nobody is trusted":     {func(u *Use) { u.Authority = nil }, ErrUntrusted},
		"trust was withdrawn":   {func(u *Use) { u.Authority = func(sig.AgentID) bool { return false } }, ErrUntrusted},
		"another executor":      {func(u *Use) { u.Subject = stranger().Agent() }, ErrSubject},
		"no executor":           {func(u *Use) { u.Subject = sig.AgentID{} }, ErrSubject},
		"another tool":          {func(u *Use) { u.Scope = (&ToolCall{ToolID: hashOf("rm"), MaxCalls: 1}).AppendCAN(nil) }, ErrScope},
		"another tool called":   {func(u *Use) { u.Call.Tool = hashOf("rm") }, ErrScope},
		"another kind":          {func(u *Use) { u.Kind, u.Scope = KindClock, (&Clock{}).AppendCAN(nil) }, ErrScope},
		"unknown kind":          {func(u *Use) { u.Kind = 200 }, ErrScope},
		"scope of another kind": {func(u *Use) { u.Scope = (&Clock{}).AppendCAN(nil) }, ErrScope},
		"no scope":              {func(u *Use) { u.Scope = nil }, ErrScope},
		"amount too high":       {func(u *Use) { u.Call.Payload = payload(301) }, ErrConstraint},
		"amount missing":        {func(u *Use) { u.Call.Payload = []byte{can.Map, 0} }, ErrConstraint},
		"no payload":            {func(u *Use) { u.Call.Payload = nil }, ErrConstraint},
		"payload and more":      {func(u *Use) { u.Call.Payload = append(payload(1), 0) }, ErrConstraint},
		"ring too high":         {func(u *Use) { u.Call.Ring = 1 }, ErrConstraint},
		"a hint is no identity": {func(u *Use) { u.Subject.Hint = "x" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			u := use()
			x.edit(&u)
			_, err := c.Check(u)
			wantCode(t, err, x.code)
		})
	}
}

// Without a call (REQUIRE_CAP) the given scope itself must be covered, and
// nothing is spent.
func TestUseWithoutCall(t *testing.T) {
	c := proofOf(t, steps())
	ask := func(x *ToolCall) (Grant, error) {
		u := use()
		u.Call, u.Scope = nil, x.AppendCAN(nil)
		return c.Check(u)
	}
	tight := limits("ring_max", "0", "arg/amount:le", number(300))
	g, err := ask(&ToolCall{ToolID: hashOf("echo"), MaxCalls: 3, Constraints: tight})
	if err != nil || len(g.Spend) != 0 || len(g.CapIDs) != 3 {
		t.Errorf("got %+v, %v", g, err)
	}
	_, err = ask(&ToolCall{ToolID: hashOf("echo"), MaxCalls: 4, Constraints: tight})
	wantDenial(t, err, ErrScope, 2, RuleUse)
	_, err = ask(&ToolCall{ToolID: hashOf("echo"), MaxCalls: 1})
	wantDenial(t, err, ErrConstraint, 0, RuleConstraintUse)
}

func TestNoCallsLeft(t *testing.T) {
	list := steps()
	list[2].editCall(t, func(x *ToolCall) { x.MaxCalls = 0 })
	g, err := proofOf(t, list).Check(use())
	if err != nil || g.Spend[2].Max != 0 {
		t.Errorf("got %+v, %v; counting is the ledger's part", g, err)
	}
}

// TestVerifiedOnce: a verified chain is checked for every use as any chain is, and
// one with a forged link is never verified.
func TestVerifiedOnce(t *testing.T) {
	c := proofOf(t, steps())
	v, err := c.Verify()
	if err != nil || v.Chain() != c {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*Use){
		"good":         func(*Use) {},
		"expired":      func(u *Use) { u.Now = closes },
		"early":        func(u *Use) { u.Now = opens - 1 },
		"subject":      func(u *Use) { u.Subject = stranger().Agent() },
		"no authority": func(u *Use) { u.Authority = nil },
		"good again":   func(*Use) {},
	} {
		u := use()
		edit(&u)
		_, want := c.Check(u)
		_, got := v.Check(u)
		if fault.CodeOf(got) != fault.CodeOf(want) || (got == nil) != (want == nil) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	links := sign(t, steps())
	links[1] = bytes.Clone(links[1])
	links[1][len(links[1])-1] ^= 1
	forged, err := DecodeProof(EncodeProof(links))
	if err != nil {
		t.Fatal(err)
	}
	v, err = forged.Verify()
	wantDenial(t, err, ErrSignature, 1, RuleSignature)
	if v.Chain() != nil {
		t.Error("a forged chain counts as verified")
	}
}

func TestCheckPrincipals(t *testing.T) {
	list := steps()
	list[2].cap.ExpiresAt = opens + 1 // long over: not what this asks
	c := proofOf(t, list)
	if err := c.CheckPrincipals(executor().Agent(), trusted); err != nil {
		t.Error(err)
	}
	wantDenial(t, c.CheckPrincipals(stranger().Agent(), trusted), ErrSubject, 2, RuleSubject)
}

func TestDecodeProofRefuses(t *testing.T) {
	l := sign(t, steps())
	leaf := l[2]
	edited := func(edit func(*Capability)) [][]byte {
		c := steps()[0].cap
		edit(&c)
		raw, _, err := sig.Sign(&c, authority())
		if err != nil {
			t.Fatal(err)
		}
		return [][]byte{raw}
	}
	paid := receipt.Receipt{IdempotencyKey: []byte("k")}
	paper, _, err := sig.Sign(&paid, authority())
	if err != nil {
		t.Fatal(err)
	}
	deep := func(n int) [][]byte {
		var out [][]byte
		for range n {
			out = append(out, leaf)
		}
		return out
	}
	padded := edited(func(c *Capability) {
		c.Scope = ScopeOf(&SecretRead{strings.Repeat("n", MaxProof)})
	})
	for name, c := range map[string]struct {
		raw  []byte
		code fault.Code
	}{
		"nothing":                   {nil, can.ErrTruncated},
		"no list":                   {leaf, can.ErrType},
		"no link":                   {EncodeProof(nil), ErrTooLong},
		"nine links":                {EncodeProof(deep(9)), ErrTooLong},
		"more than 16 KiB":          {EncodeProof(padded), ErrTooLong},
		"count beyond the bytes":    {[]byte{can.List, 8}, can.ErrBounds},
		"bytes behind":              {append(EncodeProof(l), 0), can.ErrTrailing},
		"links that are no BYTES":   {append([]byte{can.List, 1}, leaf...), can.ErrType},
		"a link cut short":          {EncodeProof([][]byte{leaf[:len(leaf)-1]}), can.ErrBounds},
		"bytes behind a link":       {EncodeProof([][]byte{append(bytes.Clone(leaf), 0)}), can.ErrTrailing},
		"an empty link":             {EncodeProof([][]byte{l[0], nil}), can.ErrTruncated},
		"a receipt":                 {EncodeProof([][]byte{paper}), can.ErrType},
		"unknown kind":              {EncodeProof(edited(func(c *Capability) { c.Scope.Kind = 12 })), ErrKind},
		"kind 0":                    {EncodeProof(edited(func(c *Capability) { c.Scope.Kind = 0 })), ErrKind},
		"payload of another kind":   {EncodeProof(edited(func(c *Capability) { c.Scope.Kind = KindBlobRead })), can.ErrType},
		"payload with a field more": {EncodeProof(edited(func(c *Capability) { c.Scope = Scope{KindClock, []byte{8, 1, 3, 1, 0}} })), can.ErrUnknownField},
		"payload and more":          {EncodeProof(edited(func(c *Capability) { c.Scope.Payload = append(bytes.Clone(c.Scope.Payload), 0) })), can.ErrTrailing},
		"empty payload":             {EncodeProof(edited(func(c *Capability) { c.Scope.Payload = nil })), can.ErrTruncated},
		"constraints {}":            {EncodeProof(edited(func(c *Capability) { c.Scope.Payload = emptyConstraints() })), can.ErrEmpty},
		"max_calls not minimal":     {EncodeProof(edited(func(c *Capability) { c.Scope.Payload = longVarint() })), can.ErrVarint},
		"max_calls beyond u32":      {EncodeProof(edited(func(c *Capability) { c.Scope.Payload = largeCalls() })), can.ErrRange},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeProof(c.raw)
			wantCode(t, err, c.code)
		})
	}
	if _, err := DecodeProof(EncodeProof(deep(MaxLinks))); err != nil {
		t.Errorf("eight links: %v", err)
	}
}

// scopeHead is a ToolCall of n fields up to its second field's value.
func scopeHead(n int) []byte {
	h := hashOf("echo")
	return can.AppendField(h.AppendCAN(can.AppendField(can.AppendMap(nil, n), 1)), 2)
}

func emptyConstraints() []byte {
	return can.AppendMap(can.AppendField(can.AppendUint(scopeHead(3), 1), 3), 0)
}
func longVarint() []byte { return append(scopeHead(2), can.Uint, 0x81, 0x00) }
func largeCalls() []byte { return can.AppendUint(scopeHead(2), 1<<32) }

func TestIssue(t *testing.T) {
	good := steps()[0].cap
	raw := mustIssue(t, good, authority())
	var back Capability
	if _, err := sig.Open(raw, &back); err != nil || !back.Issuer.Equal(authority().Agent()) {
		t.Errorf("Open: %v, issuer %s", err, back.Issuer.KeyID())
	}
	for name, c := range map[string]struct {
		edit func(*Capability)
		code fault.Code
	}{
		"empty window":         {func(c *Capability) { c.ExpiresAt = c.NotBefore }, ErrWindow},
		"unknown kind":         {func(c *Capability) { c.Scope.Kind = 99 }, ErrKind},
		"payload":              {func(c *Capability) { c.Scope.Payload = nil }, can.ErrTruncated},
		"path":                 {func(c *Capability) { c.Scope = ScopeOf(&FsRead{"../x"}) }, ErrScope},
		"constraint":           {func(c *Capability) { c.Scope = ScopeOf(&ToolCall{Constraints: limits("x", "y")}) }, ErrConstraint},
		"constraint's operand": {func(c *Capability) { c.Scope = ScopeOf(&ToolCall{Constraints: limits("arg:le", "00")}) }, ErrConstraint},
	} {
		t.Run(name, func(t *testing.T) {
			x := good
			c.edit(&x)
			_, _, err := Issue(x, authority())
			wantCode(t, err, c.code)
		})
	}
	if _, _, err := Issue(good, sig.Key{}); err == nil {
		t.Error("an empty key signs")
	}
}

func TestDenialText(t *testing.T) {
	list := steps()
	list[2].cap.ExpiresAt = noon
	c := proofOf(t, list)
	_, err := c.Check(use())
	want := "capability link 2 of 0..2 (" + c.LeafID().String() + "), rule expires_at: it expired at " +
		"1970-01-01T00:00:01.500000Z, now is 1970-01-01T00:00:01.500000Z (cap_expired)"
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	var e *fault.Error
	if !errors.As(err, &e) {
		t.Fatal("no *fault.Error")
	}
	var d *Denial
	if about := error(e.About("effect echo")); !errors.As(about, &d) || d.Link != 2 || fault.CodeOf(about) != ErrExpired {
		t.Errorf("the denial is lost in %v", about)
	}
}

// A proof may have exactly MaxProof bytes, and a link that does not decode is
// named.
func TestDecodeProofBounds(t *testing.T) {
	sized := func(name int) []byte {
		return one(t, ScopeOf(&SecretRead{strings.Repeat("n", name)})).Raw()
	}
	most := 16000 + MaxProof - len(sized(16000))
	if n := len(sized(most)); n != MaxProof {
		t.Errorf("a proof of %d bytes, want %d", n, MaxProof)
	}
	_, err := DecodeProof(EncodeProof([][]byte{sign(t, steps())[0], {can.Null}}))
	var e *fault.Error
	if !errors.As(err, &e) || e.Subject != "link 1" || e.Offset != 0 {
		t.Errorf("got %v, want an error at byte 0 of link 1", err)
	}
}
