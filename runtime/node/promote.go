package node

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// ErrNoStates is the code of promoting to a ring that has no states.
const ErrNoStates fault.Code = "ring_stateless"

// promotionPath is where a promotion record is kept, by its id.
func (n *Node) promotionPath(id cid.Hash) string {
	return filepath.Join(n.Paths.Data, "promotions", id.Hex())
}

// standing reads what the ledger says about a name in a ring. Without a ledger it
// says nothing.
func (n *Node) standing(ctx context.Context, ring uint8, name string) (s *rings.Standing, err error) {
	if !n.HasLedger() {
		return &rings.Standing{}, nil
	}
	log, err := n.ReadLedger()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	return n.readStanding(ctx, log, ring, name, false)
}

// readStanding reads the state that stands, and those before it if they matter or
// whole is set.
func (n *Node) readStanding(ctx context.Context, log ledger.Log, ring uint8, name string, whole bool) (*rings.Standing, error) {
	all, err := log.Rings(ctx)
	if err != nil {
		return nil, err
	}
	s := &rings.Standing{}
	i := slices.IndexFunc(all, func(x ledger.RingState) bool { return x.Ring == ring && x.Name == name })
	if i < 0 {
		return s, nil
	}
	s.States = all[i : i+1 : i+1]
	if whole || rings.NeedsHistory(all[i]) {
		if s.States, err = history(ctx, log, ring, name); err != nil {
			return nil, err
		}
	}
	if id := all[i].PromotionID; id != nil {
		if s.Promotion, err = readFile(n.promotionPath(*id), gate.MaxAttestation); isMissing(err) {
			s.Promotion, err = nil, nil
		}
	}
	return s, err
}

// history returns every state of a ring and name, ascending by seq.
func history(ctx context.Context, log ledger.Log, ring uint8, name string) ([]ledger.RingState, error) {
	var states []ledger.RingState
	for rec, err := range log.Records(ctx, ledger.Filter{Kinds: []ledger.Kind{ledger.KindRingState}}) {
		if err != nil {
			return nil, err
		}
		x, err := ledger.OpenRingState(slices.Clone(rec.Body))
		if err != nil {
			return nil, fault.New(ledger.ErrCorrupt, "entry %d: %w", rec.Index, err)
		}
		if x.Ring == ring && x.Name == name {
			states = append(states, x)
		}
	}
	return states, nil
}

// Assess performs the loading order on a package up to step 13, and lists all that a
// ring asks of it here. Nothing is written.
func (n *Node) Assess(ctx context.Context, ref string, ring uint8) (a *gate.Assessment, err error) {
	src, err := n.OpenPackage(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	opt, err := n.gateOptions()
	if err != nil {
		return nil, err
	}
	n.judge(ctx, &opt, ring)
	if opt.Policy == nil && opt.PolicyFault == nil && ring == 0 {
		if err := n.trialPolicy(&opt); err != nil {
			return nil, err
		}
	}
	if a, err = gate.Assess(ctx, src, opt); err != nil {
		return nil, about(ref, err)
	}
	return a, nil
}

// PromoteOptions says what to bring into which ring.
type PromoteOptions struct {
	Package  string // a packed folder, an archive or a stored manifest CID; required
	Ring     uint8
	Rollback *cid.Hash // the package to pin; nil: the one that runs now, else the last other one
	Key      string    // secret key of role operator; "": this user's own
	NoWait   bool      // do not wait for the ledger
	OnWait   func(holder string)
}

// Promoted is what a promotion or demotion left behind.
type Promoted struct {
	State     ledger.RingState
	Promotion *rings.Promotion // nil where there was none to make

	// Objections is what verifiers attest against the package, though enough others
	// speak for it.
	Objections []string
}

// Promote brings a package into a ring: everything that the ring's policy asks but
// the promotion itself must be met. It appends a ring state to the ledger, behind the
// promotion record, which is kept first.
func (n *Node) Promote(ctx context.Context, o PromoteOptions) (*Promoted, error) {
	key, err := n.OperatorKey(o.Key)
	if err != nil {
		return nil, err
	}
	a, err := n.Assess(ctx, o.Package, o.Ring)
	if err != nil {
		return nil, err
	}
	// Which machine runs it is not the promotion's matter.
	if err := a.First(gate.RulePromotion, gate.RuleSandbox); err != nil {
		return nil, err
	}
	if err := n.mayOperate(key, a.Policy, a.Name); err != nil {
		return nil, err
	}
	now := n.Clock().UnixMicro()
	p := &rings.Promotion{
		ModelID: a.PackageID, RingID: o.Ring, PolicyID: a.Policy.PolicyID,
		EvalAttestations: a.Evidence, TimeObserved: now,
	}
	raw, err := rings.SignPromotion(p, key)
	if err != nil {
		return nil, err
	}
	state, err := n.setRing(ctx, o.NoWait, o.OnWait, key, func(log ledger.Log) (*ledger.RingState, error) {
		s, err := n.readStanding(ctx, log, o.Ring, a.Name, true)
		if err != nil {
			return nil, err
		}
		state, err := a.Policy.Promote(s, a.Name, p, o.Rollback)
		if err == nil {
			err = n.keepPromotion(p.PromotionID, raw)
		}
		return state, err
	})
	if err != nil {
		return nil, err
	}
	return &Promoted{State: *state, Promotion: p, Objections: a.Objections}, nil
}

func (n *Node) keepPromotion(id cid.Hash, raw []byte) error {
	path := n.promotionPath(id)
	if err := atomicfile.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return pathError(path, err)
	}
	return pathError(path, atomicfile.Write(path, raw, 0o600))
}

// DemoteOptions says what to take out of which ring.
type DemoteOptions struct {
	Name     string // of a package; required
	Ring     uint8
	RollBack bool   // go back to the pinned rollback instead of to nothing
	Block    bool   // also a name that the ring never had, ahead of any promotion
	Key      string // secret key of role operator; "": this user's own
	NoWait   bool   // do not wait for the ledger
	OnWait   func(holder string)
}

// Demote takes a name out of a ring, or back to its pinned rollback. A name that the
// ring never had is refused unless Block is set; first reports that it was one.
func (n *Node) Demote(ctx context.Context, o DemoteOptions) (done *Promoted, first bool, err error) {
	key, err := n.OperatorKey(o.Key)
	if err != nil {
		return nil, false, err
	}
	if err := n.mayDemote(ctx, key, o); err != nil {
		return nil, false, err
	}
	state, err := n.setRing(ctx, o.NoWait, o.OnWait, key, func(log ledger.Log) (*ledger.RingState, error) {
		s, err := n.readStanding(ctx, log, o.Ring, o.Name, true)
		switch {
		case err != nil:
			return nil, err
		case o.RollBack:
			return s.RollBack(o.Ring, o.Name)
		}
		first = len(s.States) == 0
		return s.Demote(o.Ring, o.Name), nil
	})
	if err != nil {
		return nil, false, err
	}
	return &Promoted{State: *state}, first, nil
}

// mayDemote reports whether a key may take that name out of that ring.
func (n *Node) mayDemote(ctx context.Context, key sig.Key, o DemoteOptions) error {
	policies, err := n.Policies(o.Ring)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(policies, func(p *rings.Policy) bool { return p.Ring == o.Ring })
	if i < 0 {
		return fault.New(rings.ErrRing, "this node has no policy for ring %d", o.Ring)
	}
	if policies[i].NeedsState() && !o.Block {
		if err := n.knownInRing(ctx, o.Ring, o.Name); err != nil {
			return err
		}
	}
	if !manifest.CheckName(o.Name) {
		return fault.New(manifest.ErrName, "%q is no package's name", o.Name)
	}
	return n.mayOperate(key, policies[i], o.Name)
}

// mayOperate reports whether a key may set the state of a name in a policy's ring.
func (n *Node) mayOperate(key sig.Key, p *rings.Policy, name string) error {
	if !p.NeedsState() {
		return fault.New(ErrNoStates, "ring %d runs whatever its policy admits; nothing is promoted to it or demoted from it", p.Ring)
	}
	trust, err := n.Trust()
	if err != nil {
		return err
	}
	if !trust.Operators(name, p.Ring, n.Clock())(key.Agent()) {
		return fault.New(ErrOperator, "%s is in no operator entry of the trust file that counts for %s in ring %d", key.Agent().KeyID(), name, p.Ring)
	}
	return nil
}

// setRing appends the state that make returns for the ledger as it is, signed.
func (n *Node) setRing(ctx context.Context, noWait bool, onWait func(string), key sig.Key, next func(ledger.Log) (*ledger.RingState, error)) (state *ledger.RingState, err error) {
	log, err := n.Ledger(ctx, LedgerOptions{NoWait: noWait, OnWait: onWait})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	if state, err = next(log); err != nil {
		return nil, err
	}
	state.Time = n.Clock().UnixMicro()
	raw, _, err := sig.Sign(state, key)
	if err != nil {
		return nil, err
	}
	return state, log.SetRing(ctx, raw)
}
