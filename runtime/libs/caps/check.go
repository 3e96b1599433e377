package caps

import (
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Use is one concrete use of power.
type Use struct {
	Kind uint8
	// Scope is the canonical scope struct of Kind: the narrowest one that the
	// use needs.
	Scope []byte
	// Call is the concrete call, for ToolCall. With it the constraints of every
	// link are evaluated and each link is charged one call; without it (the IR's
	// REQUIRE_CAP) Scope, constraints included, must be a subset of every
	// link's, and nothing is charged.
	Call *Call
	// Subject is the executing agent: the leaf's subject must be it.
	Subject sig.AgentID
	// Now is in microseconds since the Unix epoch.
	Now int64
	// Authority reports whether a root issuer is trusted now; nil trusts nobody.
	Authority func(sig.AgentID) bool
}

// Grant is a use that a chain allows.
type Grant struct {
	CapIDs []cid.Hash // root to leaf
	// Spend is what registering the effect charges, root to leaf: one call of
	// every link. It is empty unless the use was a call.
	Spend []Count
}

// Count is a link's limit on calls.
type Count struct {
	CapID cid.Hash
	Max   uint32 // max_calls
}

// Check decides whether the chain allows a use: steps 2 to 6 of
// RFC-MYTHOS-0008 §3, in that order. It is a pure function; an error is a
// *Denial and is final for these inputs.
func (c *Chain) Check(u Use) (Grant, error) {
	if err := c.CheckPrincipals(u.Subject, u.Authority); err != nil {
		return Grant{}, err
	}
	for i := range c.links {
		if d := c.checkTime(i, u.Now); d != nil {
			return Grant{}, d
		}
	}
	if d := c.checkScope(u); d != nil {
		return Grant{}, d
	}
	for i := range c.links {
		if c.links[i].cap.RevocationRequired {
			return Grant{}, c.deny(i, RuleRevocation, ErrRevocation, "it counts only with a fresh revocation list of its issuer, and none is loaded")
		}
	}
	g := Grant{CapIDs: c.CapIDs()}
	for i := range c.links {
		if call, ok := c.links[i].scope.power.(*ToolCall); ok && u.Call != nil {
			g.Spend = append(g.Spend, Count{c.links[i].id, call.MaxCalls})
		}
	}
	return g, nil
}

// CheckPrincipals performs steps 2 and 3 alone: every signature, then who
// issued what to whom. It is what a proof must pass when a run starts.
func (c *Chain) CheckPrincipals(subject sig.AgentID, authority func(sig.AgentID) bool) error {
	if d := c.checkSignatures(); d != nil {
		return d
	}
	if d := c.checkPrincipals(subject, authority); d != nil {
		return d
	}
	return nil
}

// checkSignatures verifies every link before it says anything, so that the time
// it takes does not tell which one was forged.
func (c *Chain) checkSignatures() *Denial {
	var denial *Denial
	for i := range c.links {
		l := &c.links[i]
		err := l.cap.Issuer.Verify(l.id, l.cap.Signature)
		if l.sealed != nil {
			err = l.sealed
		}
		if err != nil && denial == nil {
			denial = c.deny(i, RuleSignature, ErrSignature, "%v", err)
			denial.Cause = err
		}
	}
	return denial
}

// checkPrincipals goes over the rows one after the other, each over all links.
func (c *Chain) checkPrincipals(subject sig.AgentID, authority func(sig.AgentID) bool) *Denial {
	root := &c.links[0].cap
	if root.AttenuationParent != nil {
		return c.deny(0, RuleRoot, ErrBroken, "the first link has a parent, %s, that the proof does not hold", root.AttenuationParent)
	}
	if authority == nil || !authority(root.Issuer) {
		return c.deny(0, RuleAuthority, ErrUntrusted, "key %s is no authority here", root.Issuer.KeyID())
	}
	for i := 1; i < len(c.links); i++ {
		if d := c.checkParent(i); d != nil {
			return d
		}
	}
	for i := 1; i < len(c.links); i++ {
		if d := c.checkDelegation(i); d != nil {
			return d
		}
	}
	last := len(c.links) - 1
	if leaf := &c.links[last].cap; !leaf.Subject.Equal(subject) {
		return c.deny(last, RuleSubject, ErrSubject, "it is for key %s, the executor is %s", leaf.Subject.KeyID(), subject.KeyID())
	}
	return nil
}

// checkParent checks that link i continues the one before it.
func (c *Chain) checkParent(i int) *Denial {
	child, parent := &c.links[i].cap, &c.links[i-1]
	switch named := child.AttenuationParent; {
	case named == nil:
		return c.deny(i, RuleParent, ErrBroken, "it names no parent, want %s", parent.id)
	case *named != parent.id:
		return c.deny(i, RuleParent, ErrBroken, "its parent is %s, want %s", named, parent.id)
	case !child.Issuer.Equal(parent.cap.Subject) && !child.Issuer.Equal(parent.cap.Issuer):
		return c.deny(i, RuleIssuer, ErrBroken, "its issuer %s is neither the parent's subject nor its issuer", child.Issuer.KeyID())
	}
	return nil
}

// checkDelegation checks that nobody passes on what was not theirs to pass on.
func (c *Chain) checkDelegation(i int) *Denial {
	child, parent := &c.links[i].cap, &c.links[i-1].cap
	switch {
	case parent.Delegable:
		return nil
	case !child.Issuer.Equal(parent.Issuer):
		return c.deny(i, RuleDelegable, ErrDelegable, "its parent may not be passed on by its subject")
	case child.Delegable:
		return c.deny(i, RuleDelegable, ErrDelegable, "it is delegable, its parent is not")
	}
	return nil
}

func (c *Chain) checkTime(i int, now int64) *Denial {
	l := &c.links[i].cap
	if l.NotBefore >= l.ExpiresAt {
		return c.deny(i, RuleWindow, ErrWindow, "not_before %s is not before expires_at %s", stamp(l.NotBefore), stamp(l.ExpiresAt))
	}
	if i > 0 {
		p := &c.links[i-1].cap
		if l.NotBefore < p.NotBefore || l.ExpiresAt > p.ExpiresAt {
			return c.deny(i, RuleWindow, ErrWindow, "%s to %s is not within the parent's %s to %s",
				stamp(l.NotBefore), stamp(l.ExpiresAt), stamp(p.NotBefore), stamp(p.ExpiresAt))
		}
	}
	switch {
	case now < l.NotBefore:
		return c.deny(i, RuleNotBefore, ErrNotYetValid, "it counts from %s, now is %s", stamp(l.NotBefore), stamp(now))
	case now >= l.ExpiresAt:
		return c.deny(i, RuleExpiresAt, ErrExpired, "it expired at %s, now is %s", stamp(l.ExpiresAt), stamp(now))
	}
	return nil
}

func stamp(micros int64) string {
	return time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.000000Z")
}

// checkScope goes over the links, for each over the rows of step 5.
func (c *Chain) checkScope(u Use) *Denial {
	use, err := decodeScope(u.Kind, u.Scope)
	if err != nil {
		return c.deny(0, RuleUse, ErrScope, "the use is no scope of kind %s, so nothing covers it: %v", KindName(u.Kind), err)
	}
	var found map[string][]byte
	if u.Call != nil {
		found = resolve(u.Call.Payload, c.pointers)
	}
	for i := range c.links {
		l := &c.links[i]
		if i > 0 {
			parent := c.links[i-1].scope
			if err := l.scope.within(parent); err != nil {
				return c.denyFor(i, RuleSubset, err)
			}
			if err := l.scope.constrained(parent); err != nil {
				return c.denyFor(i, RuleConstraintSubset, err)
			}
		}
		if err := l.scope.covers(use, u.Call); err != nil {
			return c.denyFor(i, RuleUse, err)
		}
		if err := l.scope.allows(use, u.Call, found); err != nil {
			return c.denyFor(i, RuleConstraintUse, err)
		}
	}
	return nil
}

// covers reports why s does not cover the use, constraints apart. The calls of
// a concrete call are counted when they are spent, not here.
func (s scope) covers(use scope, call *Call) error {
	want, isCall := use.power.(*ToolCall)
	have, ok := s.power.(*ToolCall)
	if call == nil || !isCall || !ok {
		return use.within(s)
	}
	if want.ToolID != call.Tool {
		return fault.New(ErrScope, "the use is of tool %s, the call of %s", want.ToolID, call.Tool)
	}
	if why := same("tool_id", have.ToolID, want.ToolID); why != "" {
		return fault.New(ErrScope, "%s", why)
	}
	return nil
}

// allows reports why the constraints of s deny the use.
func (s scope) allows(use scope, call *Call, found map[string][]byte) error {
	switch {
	case s.malformed != nil:
		return s.malformed
	case call == nil:
		return use.constrained(s)
	}
	for i := range s.constraints {
		x := &s.constraints[i]
		if why := x.holds(call, found); why != "" {
			return fault.New(ErrConstraint, "constraint %q: %s", x.key, why)
		}
	}
	return nil
}
