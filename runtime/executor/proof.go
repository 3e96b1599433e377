package executor

import (
	"context"
	"errors"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// grant is a proof that covers an effect.
type grant struct {
	caps.Grant
	checkedAt int64
}

// authorise returns the proofs that cover the effect, in the order in which
// they are to be tried: ascending by leaf cap id.
func (r *run) authorise(c *call) ([]grant, error) {
	r.step("authorise")
	use, err := r.use(c)
	if err != nil {
		return nil, err
	}
	return r.covering(use)
}

// covering tries the proofs that are candidates for a use. If none holds, the
// first one's denial is the answer (RFC-MYTHOS-0008 §3).
func (r *run) covering(use caps.Use) ([]grant, error) {
	var ok []grant
	var denied error
	for _, p := range r.proofs {
		if !candidate(p, use) {
			continue
		}
		g, err := p.Check(use)
		switch {
		case err == nil:
			ok = append(ok, grant{g, use.Now})
		case denied == nil:
			denied = err
		}
	}
	switch {
	case len(ok) > 0:
		return ok, nil
	case denied != nil:
		return nil, denied
	}
	return nil, fault.New(ErrCapMissing, "no capability of kind %s is at hand for it", caps.KindName(use.Kind))
}

// candidate reports whether a proof's leaf is of the use's kind and, for a call,
// names the tool.
func candidate(p *caps.Chain, use caps.Use) bool {
	if p.Kind() != use.Kind || use.Call == nil {
		return p.Kind() == use.Kind
	}
	var leaf caps.ToolCall
	r := can.NewReader(p.Leaf().Scope.Payload)
	leaf.ReadCAN(&r)
	return r.Done() == nil && leaf.ToolID == use.Call.Tool
}

// use describes the power that the effect needs.
func (r *run) use(c *call) (caps.Use, error) {
	u := caps.Use{Subject: r.Key.Agent(), Now: r.now(), Authority: r.trusted}
	if c.binding == nil {
		var err error
		u.Kind, u.Scope, err = blobScope(c)
		return u, err
	}
	scope := caps.ToolCall{ToolID: c.Tool, MaxCalls: 1}
	u.Kind, u.Scope = caps.KindToolCall, scope.AppendCAN(nil)
	u.Call = &caps.Call{
		Tool: c.Tool, Package: r.pkg.ID(), Module: c.binding.Module.CID, RequestHash: c.requestHash,
		Ledger: r.LedgerID, Ring: r.pkg.Policy().Ring, Payload: c.Payload,
	}
	return u, nil
}

func (r *run) trusted(a sig.AgentID) bool {
	_, ok := r.Authority(a, r.pkg)
	return ok
}

// RequireCap answers the IR's REQUIRE_CAP: a proof of that kind must cover the
// scope. It spends nothing.
func (r *run) RequireCap(_ context.Context, kind uint64, scope []byte) error {
	_, err := r.covering(caps.Use{Kind: uint8(kind), Scope: scope, Subject: r.Key.Agent(), Now: r.now(), Authority: r.trusted})
	return err
}

// attempt is a register that stands.
type attempt struct {
	register   ledger.Register
	registerID cid.Hash
	grant      grant
}

// register writes the register and spends the first proof that still has calls
// left.
func (r *run) register(ctx context.Context, c *call, grants []grant, v ledger.View) (*attempt, error) {
	retry := uint8(c.retry)
	x := ledger.Register{
		IdemID: c.idem, ToolID: c.Tool, RequestHash: c.requestHash, IdempotencyKey: c.key,
		LeaseExpiresAt: r.now() + c.lease(), TimeObserved: r.now(), Retry: &retry,
	}
	if v.Attempt > 0 {
		n, previous := v.Attempt, v.RegisterID
		x.Attempt, x.PreviousRegister = &n, &previous
	}
	raw, id, err := sig.Sign(&x, r.Key)
	if err != nil {
		return nil, err
	}
	if err := r.storeBlob(ctx, c); err != nil {
		return nil, err
	}
	for _, g := range grants {
		spend := make([]ledger.Spend, len(g.Spend))
		for i, s := range g.Spend {
			spend[i] = ledger.Spend{CapID: s.CapID, Max: s.Max}
		}
		r.step("register")
		err = r.Ledger.Register(ctx, ledger.Registration{Body: raw, Run: r.recordID, Spend: spend, LeaseFor: c.lease()})
		if !errors.Is(err, ledger.ErrExhausted) {
			return &attempt{x, id, g}, err
		}
	}
	return nil, err
}

// lease is the span of a lease in microseconds.
func (c *call) lease() int64 { return (c.timeout + leaseMargin).Microseconds() }
