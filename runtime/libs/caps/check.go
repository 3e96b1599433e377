package caps

import (
	"cmp"
	"fmt"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Use is one use of power: a Request, or a Scope of a Kind with or without a
// Call.
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
	// Request is the concrete use of any other kind; with it Kind and Scope stay
	// empty, because it says both.
	Request Request
	// Subject is the executing agent: the leaf's subject must be it.
	Subject sig.AgentID
	// Now is in microseconds since the Unix epoch.
	Now int64
	// Authority reports whether a root issuer is trusted now; nil trusts nobody.
	Authority func(sig.AgentID) bool
	// Revocations returns the newest accepted list of an issuer, nil if there is
	// none; nil knows no lists.
	Revocations func(issuer sig.AgentID) *RevocationList

	narrow bool // the scope is that of one call of Call's tool
}

// SetCall makes u the use of one call: Kind, the narrowest Scope, and Call.
func (u *Use) SetCall(c *Call) { u.Kind, u.Scope, u.Call, u.narrow = KindToolCall, nil, c, true }

// Grant is a use that a chain allows.
type Grant struct {
	CapIDs []cid.Hash // root to leaf
	// Spend is what registering the effect charges, root to leaf: every link's
	// count. It is empty for a bare scope and for kinds that count nothing.
	Spend []Count
	// Lists are the revocation lists that were looked at, root first.
	Lists []ListUse
}

// Count is a link's limit on uses, and how many this use takes.
type Count struct {
	CapID cid.Hash
	Max   uint32 // max_calls, max_jobs, max_runs or max_events
	N     uint32 // at least 1
}

// Check decides whether the chain allows a use: steps 2 to 6 of
// RFC-MYTHOS-0008 §3, in that order. It is a pure function; an error is a
// *Denial and is final for these inputs.
func (c *Chain) Check(u Use) (Grant, error) {
	v, err := c.Verify()
	if err != nil {
		return Grant{}, err
	}
	return v.Check(u)
}

// Verified is a chain whose signatures were all verified, once and for ever: a
// Chain never changes. Only Verify makes one that holds a chain.
type Verified struct {
	chain *Chain
	// sound: every row that depends on the links alone holds (Coherent), so that
	// Check need not look at them again.
	sound bool
}

// Verify performs step 2: every signature. An error is a *Denial. What else
// depends on the links alone is decided at the same time, and told by Coherent or,
// in its due order, by Check.
func (c *Chain) Verify() (Verified, error) {
	if d := c.checkSignatures(); d != nil {
		return Verified{}, d
	}
	return Verified{c, c.coherent() == nil}, nil
}

// Coherent reports whether the links fit each other, whoever asks and whenever:
// the rows of RFC-MYTHOS-0008 §3 about a link and its parent. An error is a *Denial.
// It is what somebody who writes a link can know before anybody uses it.
func (v Verified) Coherent() error {
	if d := v.chain.coherent(); d != nil {
		return d
	}
	return nil
}

func (c *Chain) coherent() *Denial {
	if d := c.checkRoot(); d != nil {
		return d
	}
	if d := c.checkLineage(); d != nil {
		return d
	}
	for i := range c.links {
		if d := c.checkWindow(i); d != nil {
			return d
		}
	}
	for i := 1; i < len(c.links); i++ {
		if d := c.checkSubset(i); d != nil {
			return d
		}
	}
	return nil
}

// Chain returns the chain that was verified.
func (v Verified) Chain() *Chain { return v.chain }

// Check is Chain.Check without step 2, for a caller that decides about many uses.
// All that a use depends on, time, trust and revocation among it, is decided for
// each.
func (v Verified) Check(u Use) (Grant, error) {
	c := v.chain
	if err := v.CheckPrincipals(u.Subject, u.Authority); err != nil {
		return Grant{}, err
	}
	for i := range c.links {
		if d := v.checkTime(i, u.Now); d != nil {
			return Grant{}, d
		}
	}
	if d := v.checkScope(u); d != nil {
		return Grant{}, d
	}
	lists, d := c.checkRevocation(u)
	if d != nil {
		return Grant{}, d
	}
	g := Grant{CapIDs: c.CapIDs(), Lists: lists}
	if n := u.spends(); n > 0 {
		g.Spend = make([]Count, 0, len(c.links))
		for i := range c.links {
			g.Spend = append(g.Spend, Count{c.links[i].id, c.links[i].scope.count(), n})
		}
	}
	return g, nil
}

// spends returns how many of every link's count the use takes.
func (u Use) spends() uint32 {
	switch {
	case u.Request != nil:
		return u.Request.spends()
	case u.Call != nil:
		return 1
	}
	return 0
}

// count returns the limit of a scope whose kind counts its uses, otherwise 0.
func (s scope) count() uint32 {
	switch p := s.power.(type) {
	case *ToolCall:
		return p.MaxCalls
	case *TrainRun:
		return p.MaxJobs
	case *EvalRun:
		return p.MaxRuns
	case *CellWrite:
		return p.MaxEvents
	}
	return 0
}

// CheckPrincipals performs steps 2 and 3 alone: every signature, then who
// issued what to whom. It is what a proof must pass when a run starts.
func (c *Chain) CheckPrincipals(subject sig.AgentID, authority func(sig.AgentID) bool) error {
	v, err := c.Verify()
	if err != nil {
		return err
	}
	return v.CheckPrincipals(subject, authority)
}

// CheckPrincipals performs step 3 alone: who issued what to whom.
func (v Verified) CheckPrincipals(subject sig.AgentID, authority func(sig.AgentID) bool) error {
	if d := v.checkPrincipals(subject, authority); d != nil {
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
func (v Verified) checkPrincipals(subject sig.AgentID, authority func(sig.AgentID) bool) *Denial {
	c := v.chain
	if d := c.checkRoot(); d != nil {
		return d
	}
	if root := &c.links[0].cap; authority == nil || !authority(root.Issuer) {
		return c.deny(0, RuleAuthority, ErrUntrusted, "key %s is no authority here", root.Issuer.KeyID())
	}
	if !v.sound {
		if d := c.checkLineage(); d != nil {
			return d
		}
	}
	last := len(c.links) - 1
	if leaf := &c.links[last].cap; !leaf.Subject.Equal(subject) {
		return c.deny(last, RuleSubject, ErrSubject, "it is for key %s, the executor is %s", leaf.Subject.KeyID(), subject.KeyID())
	}
	return nil
}

func (c *Chain) checkRoot() *Denial {
	if p := c.links[0].cap.AttenuationParent; p != nil {
		return c.deny(0, RuleRoot, ErrBroken, "the first link has a parent, %s, that the proof does not hold", p)
	}
	return nil
}

// checkLineage checks who issued the children: first that each continues the one
// before it, then that it might.
func (c *Chain) checkLineage() *Denial {
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

func (v Verified) checkTime(i int, now int64) *Denial {
	c := v.chain
	if !v.sound {
		if d := c.checkWindow(i); d != nil {
			return d
		}
	}
	l := &c.links[i].cap
	switch {
	case now < l.NotBefore:
		return c.deny(i, RuleNotBefore, ErrNotYetValid, "it counts from %s, now is %s", stamp(l.NotBefore), stamp(now))
	case now >= l.ExpiresAt:
		return c.deny(i, RuleExpiresAt, ErrExpired, "it expired at %s, now is %s", stamp(l.ExpiresAt), stamp(now))
	}
	return nil
}

// checkWindow checks that a link's window is not empty and lies within its parent's.
func (c *Chain) checkWindow(i int) *Denial {
	l := &c.links[i].cap
	if l.NotBefore >= l.ExpiresAt {
		return c.deny(i, RuleWindow, ErrWindow, "not_before %s is not before expires_at %s", stamp(l.NotBefore), stamp(l.ExpiresAt))
	}
	if i == 0 {
		return nil
	}
	if p := &c.links[i-1].cap; l.NotBefore < p.NotBefore || l.ExpiresAt > p.ExpiresAt {
		return c.deny(i, RuleWindow, ErrWindow, "%s to %s is not within the parent's %s to %s",
			stamp(l.NotBefore), stamp(l.ExpiresAt), stamp(p.NotBefore), stamp(p.ExpiresAt))
	}
	return nil
}

func stamp(micros int64) string {
	return time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.000000Z")
}

// need returns the narrowest scope that the use needs, or why it is no use.
func (u Use) need() (scope, string) {
	kind, payload := u.Kind, u.Scope
	if u.Request != nil {
		if kind != 0 || payload != nil || u.Call != nil {
			return scope{}, "the use is said in two ways"
		}
		p, why := u.Request.need()
		if why != "" {
			return scope{}, why
		}
		kind, payload = p.Kind(), p.AppendCAN(nil)
	}
	if u.narrow && u.Call != nil && kind == KindToolCall && payload == nil {
		rule, _ := ruleOf(KindToolCall)
		return scope{rule: rule, power: &ToolCall{ToolID: u.Call.Tool, MaxCalls: 1}}, ""
	}
	s, err := decodeScope(kind, payload)
	switch {
	case err != nil:
		return scope{}, fmt.Sprintf("the use is no scope of kind %s: %v", KindName(kind), err)
	case u.Call != nil && kind != KindToolCall:
		return scope{}, "a call of a tool is no use of kind " + s.rule.name
	}
	return s, ""
}

// checkScope goes over the links, for each over the rows of step 5.
func (v Verified) checkScope(u Use) *Denial {
	c := v.chain
	need, why := u.need()
	if why != "" {
		return c.deny(0, RuleUse, ErrScope, "%s, so nothing covers it", why)
	}
	var found [][]byte
	if u.Call != nil {
		found = resolve(u.Call.Payload, c.pointers)
	}
	for i := range c.links {
		l := &c.links[i]
		if i > 0 && !v.sound {
			if d := c.checkSubset(i); d != nil {
				return d
			}
		}
		if b := l.scope.covers(&need, &u); b != nil {
			return c.denyFor(i, RuleUse, b)
		}
		if b := l.scope.allows(&need, u.Call, found); b != nil {
			return c.denyFor(i, RuleConstraintUse, b)
		}
	}
	return nil
}

// checkSubset checks that a child's scope is a subset of its parent's.
func (c *Chain) checkSubset(i int) *Denial {
	s, parent := c.links[i].scope, c.links[i-1].scope
	if b := s.within(parent); b != nil {
		return c.denyFor(i, RuleSubset, b)
	}
	if b := s.constrained(parent); b != nil {
		return c.denyFor(i, RuleConstraintSubset, b)
	}
	return nil
}

// covers reports why s does not cover the use, constraints apart. The calls of
// a concrete call are counted when they are spent, not here.
func (s *scope) covers(need *scope, u *Use) *breach {
	want, isCall := need.power.(*ToolCall)
	have, ok := s.power.(*ToolCall)
	if u.Call == nil || !isCall || !ok {
		return cmp.Or(need.within(*s), s.reaches(u.Request))
	}
	if want.ToolID != u.Call.Tool {
		return beyond("tool_id", fmt.Sprintf("the use is of tool %s, the call of %s", want.ToolID, u.Call.Tool))
	}
	if why := unequal("tool_id", have.ToolID, want.ToolID); why != "" {
		return beyond("tool_id", why)
	}
	return nil
}

// allows reports why the constraints of s deny the use.
func (s *scope) allows(need *scope, call *Call, found [][]byte) *breach {
	switch {
	case s.malformed != nil:
		return s.malformed
	case call == nil:
		return need.constrained(*s)
	}
	for i := range s.constraints {
		x := &s.constraints[i]
		if why := x.holds(call, found); why != "" {
			return x.broken(why)
		}
	}
	return nil
}
