package caps

import (
	"fmt"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// The rules that a Denial names: the rows of the table in RFC-MYTHOS-0008 §3.
const (
	RuleSignature        = "signature"         // the id recomputes, the signature verifies
	RuleRoot             = "root"              // the root has no parent
	RuleAuthority        = "authority"         // the root's issuer is trusted
	RuleParent           = "parent"            // a child names its parent
	RuleIssuer           = "issuer"            // a child is issued by the parent's subject or issuer
	RuleDelegable        = "delegable"         // only what is delegable is passed on
	RuleSubject          = "subject"           // the leaf is for this executor
	RuleWindow           = "window"            // not empty, within the parent's
	RuleNotBefore        = "not_before"        // not_before <= now
	RuleExpiresAt        = "expires_at"        // now < expires_at
	RuleSubset           = "subset"            // the scope is a subset of the parent's
	RuleConstraintSubset = "constraint_subset" // so are the constraints
	RuleUse              = "use"               // the scope covers the use
	RuleConstraintUse    = "constraint_use"    // the constraints hold for the use
	RuleRevocation       = "revocation"        // a fresh revocation list, where one is demanded
	RuleRevoked          = "revoked"           // no list of an issuer at or above it names it
)

// Denial is why a chain does not allow a use: which link, by which rule. It
// branches as its Code does, and errors.As also finds it as a *fault.Error.
type Denial struct {
	Code    fault.Code
	Link    int      // 0 is the root
	Links   int      // how many the chain has
	CapID   cid.Hash // of that link
	Rule    string   // one of the Rule constants
	Field   string   // of a scope: a row of RFC-MYTHOS-0008 §5 or a constraint key; or ""
	Message string   // got and want, in words
	Cause   error    // what lies beneath; may be nil
}

// Error renders "capability link 1 of 0..2 (<cap_id>), rule subject: message (code)".
func (d *Denial) Error() string { return d.text() + " (" + string(d.Code) + ")" }

func (d *Denial) text() string {
	return fmt.Sprintf("capability link %d of 0..%d (%s), rule %s: %s", d.Link, d.Links-1, d.CapID, d.Rule, d.Message)
}

// Is reports whether target is this denial's code.
func (d *Denial) Is(target error) bool {
	c, ok := target.(fault.Code)
	return ok && c == d.Code
}

// As lets errors.As, and so fault.CodeOf, find the denial as a *fault.Error
// with d as its cause.
func (d *Denial) As(target any) bool {
	e, ok := target.(**fault.Error)
	if ok {
		*e = &fault.Error{Code: d.Code, Message: d.text(), Offset: fault.NoOffset, Cause: d}
	}
	return ok
}

// Unwrap returns the cause.
func (d *Denial) Unwrap() error { return d.Cause }

// deny makes the denial of link i.
func (c *Chain) deny(i int, rule string, code fault.Code, format string, args ...any) *Denial {
	return &Denial{
		Code: code, Link: i, Links: len(c.links), CapID: c.links[i].id, Rule: rule,
		Message: fmt.Sprintf(format, args...),
	}
}

// denyFor makes the denial of link i out of a breach.
func (c *Chain) denyFor(i int, rule string, b *breach) *Denial {
	d := c.deny(i, rule, b.code, "%s", b.why)
	d.Field = b.field
	return d
}
