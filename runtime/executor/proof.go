package executor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// candidate is a proof that might cover a use, and why it does not, if so.
type candidate struct {
	id    cid.Hash // of the leaf
	grant caps.Grant
	now   int64 // when it was checked, microseconds
	err   error
}

// authorise finds the powers that the module requires, and returns the proofs that
// might cover the effect, in the order in which they are to be tried: ascending by
// leaf cap id. One at least does.
func (r *run) authorise(ctx context.Context, c *call) ([]candidate, error) {
	r.step("authorise")
	var err error
	if c.powers, err = r.powers(c); err != nil {
		return nil, err
	}
	if c.grants, err = r.grants(c.powers); err != nil {
		return nil, err
	}
	use, err := r.use(ctx, c)
	if err != nil {
		return nil, err
	}
	return r.covering(use)
}

// ask is a use of power, now, with the revocation lists as they are now.
type ask struct {
	caps.Use
	unread error // why a list that was looked for could not be read
}

// bare is a use of nothing yet, by this executor, now.
func (r *run) bare() *ask {
	a := &ask{Use: caps.Use{Subject: r.Key.Agent(), Now: r.now(), Authority: r.trusted}}
	if r.Revocations == nil {
		return a
	}
	look := r.Revocations()
	a.Revocations = func(issuer sig.AgentID) *caps.RevocationList {
		l, err := look(issuer)
		if err != nil && a.unread == nil {
			a.unread = err
		}
		return l
	}
	return a
}

// of decides whether a chain allows the use. A list that cannot be read might
// revoke it, so that refuses it.
func (a *ask) of(p caps.Verified) (caps.Grant, error) {
	a.unread = nil
	g, err := p.Check(a.Use)
	if a.unread != nil {
		return caps.Grant{}, a.unread
	}
	return g, err
}

// covering checks the candidates for a use (RFC-MYTHOS-0008 §3).
func (r *run) covering(use *ask) ([]candidate, error) {
	var list []candidate
	refused := true
	for _, p := range r.proofs {
		if !isCandidate(p.Chain(), use.Use) {
			continue
		}
		x := candidate{id: p.Chain().LeafID(), now: use.Now}
		if x.grant, x.err = use.of(p); x.err == nil {
			if err := r.pkg.Policy().AdmitCap(use.Kind); err != nil {
				x.err = fault.New(caps.ErrScope, "%w", err)
			}
		}
		refused = refused && x.err != nil
		list = append(list, x)
	}
	switch {
	case len(list) == 0:
		return nil, fault.New(ErrCapMissing, "no capability of kind %s is at hand for it", caps.KindName(use.Kind))
	case refused:
		return nil, denied(list)
	}
	return list, nil
}

// denied is the refusal when no candidate holds: the first one's, and it names
// the rest.
func denied(list []candidate) error {
	if len(list) == 1 {
		return list[0].err
	}
	var rest strings.Builder
	for _, x := range list[1:] {
		fmt.Fprintf(&rest, "; capability %s: %s", x.id, fault.CodeOf(x.err))
	}
	return fault.New(fault.CodeOf(list[0].err), "%w%s", list[0].err, rest.String())
}

// isCandidate reports whether a proof's leaf is of the use's kind and, for a call,
// names the tool.
func isCandidate(p *caps.Chain, use caps.Use) bool {
	if p.Kind() != use.Kind || use.Call == nil {
		return p.Kind() == use.Kind
	}
	var leaf caps.ToolCall
	r := can.NewReader(p.Leaf().Scope.Payload)
	leaf.ReadCAN(&r)
	return r.Done() == nil && leaf.ToolID == use.Call.Tool
}

// use describes the power that the effect needs.
func (r *run) use(ctx context.Context, c *call) (*ask, error) {
	u := r.bare()
	if c.binding == nil {
		var err error
		u.Kind, u.Scope, err = blobScope(c)
		return u, err
	}
	call := &caps.Call{
		Tool: c.Tool, Package: r.pkg.ID(), Module: c.binding.Module.CID, RequestHash: c.requestHash,
		Ring: r.pkg.Policy().Ring, Payload: c.Payload,
	}
	u.SetCall(call)
	bound := func(p caps.Verified) bool { return p.Chain().Constrains(caps.ConstraintLedger) }
	if !slices.ContainsFunc(r.proofs, bound) {
		return u, nil
	}
	var err error
	call.Ledger, err = r.ledgerID(ctx)
	return u, err
}

func (r *run) trusted(a sig.AgentID) bool {
	_, ok := r.Authority(a, r.pkg)
	return ok
}

// RequireCap answers the IR's REQUIRE_CAP: a proof of that kind must cover the
// scope. It spends nothing.
func (r *run) RequireCap(ctx context.Context, kind uint64, scope []byte) error {
	if kind > math.MaxUint8 {
		return r.refuse(ctx, nil, fault.New(ErrCapMissing, "no capability is of kind %d", kind))
	}
	use := r.bare()
	use.Kind, use.Scope = uint8(kind), scope
	if _, err := r.covering(use); err != nil {
		return r.refuse(ctx, nil, err)
	}
	return nil
}

// register is a register that stands and the proof that was spent on it.
type register struct {
	id    cid.Hash
	proof candidate
	since time.Time // before its lease began
}

// register writes the register and spends the first proof that still has calls
// left.
func (r *run) register(ctx context.Context, c *call, proofs []candidate, v ledger.View) (*register, error) {
	retry, now := uint8(c.retry), r.now()
	x := ledger.Register{
		IdemID: c.idem, ToolID: c.Tool, RequestHash: c.requestHash, IdempotencyKey: c.key,
		LeaseExpiresAt: now + c.lease(), TimeObserved: now, Retry: &retry,
	}
	if v.Attempt > 0 {
		n, previous := v.Attempt, v.RegisterID
		x.Attempt, x.PreviousRegister = &n, &previous
	}
	reg := ledger.Registration{Run: r.recordID, LeaseFor: c.lease()}
	id, err := reg.Sign(&x, r.Key)
	if err != nil {
		return nil, err
	}
	if err := r.storeBlob(ctx, c); err != nil {
		return nil, err
	}
	for i := range proofs {
		p := &proofs[i]
		if p.err != nil {
			continue
		}
		reg.Spend = make([]ledger.Spend, len(p.grant.Spend))
		for i, s := range p.grant.Spend {
			reg.Spend[i] = ledger.Spend{CapID: s.CapID, Max: s.Max, N: s.N}
		}
		r.step("register")
		since := time.Now()
		p.err = r.follow(ctx,
			func() error { return r.Ledger.Register(ctx, reg) },
			func(ctx context.Context, c ledger.Commitment) (ledger.Verdict, error) {
				return r.Ledger.CommitAndRegister(ctx, c, reg)
			})
		switch {
		case p.err == nil:
			r.step("registered")
			return &register{id, *p, since}, nil
		case !errors.Is(p.err, ledger.ErrExhausted):
			return nil, p.err
		}
	}
	return nil, r.refuse(ctx, c, denied(proofs))
}

// lease is the span of a lease in microseconds.
func (c *call) lease() int64 { return (c.timeout + leaseMargin).Microseconds() }
