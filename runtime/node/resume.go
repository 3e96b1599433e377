package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack"
)

// Codes of going on with a run.
const (
	ErrRunAmbiguous fault.Code = "run_ambiguous" // several runs have this id
	ErrRunHolder    fault.Code = "run_holder"    // the run is of another authority or holder
	ErrRunRing      fault.Code = "run_ring"      // which ring the run was in is not said
)

// maxInputs bounds the inputs of a run that are read back.
const maxInputs = 64 << 20

// begun is a run that the ledger knows.
type begun struct {
	evidence.RunRecord
	id     cid.Hash
	proofs []*caps.Chain // those that the options name, loaded
}

// resume completes o with what the ledger says of the run that it names: run id,
// inputs, variants and, if o names no package, the one in the store.
func (n *Node) resume(ctx context.Context, o *RunOptions) (*begun, error) {
	if err := ledger.CheckRunID(o.Resume); err != nil {
		return nil, err
	}
	if err := n.ringSaid(o); err != nil {
		return nil, err
	}
	if !n.HasLedger() {
		return nil, unknownRun(o.Resume)
	}
	log, err := n.ReadLedger()
	if err != nil {
		return nil, err
	}
	defer log.Close()
	list, err := runsOf(ctx, log, o.Resume)
	if err != nil {
		return nil, err
	}
	run, err := n.choose(list, *o)
	if err != nil {
		return nil, err
	}
	o.RunID = run.RunID
	if o.Package == "" {
		o.Package = run.ManifestCID.String()
	}
	for _, tool := range slices.Sorted(maps.Keys(run.Variants)) {
		o.Variants = append(o.Variants, tool+"="+run.Variants[tool])
	}
	o.Inputs, err = n.inputs(ctx, log, run)
	return run, err
}

// ringSaid refuses to guess which ring a run was in, which its record does not say,
// where there are several: ring 0 asks for less than the others.
func (n *Node) ringSaid(o *RunOptions) error {
	have, err := n.PolicyRings()
	if err != nil || o.RingGiven || len(have) == 0 || have[len(have)-1] == 0 {
		return err
	}
	return fault.New(ErrRunRing, "this node has policies for rings %v: say with --ring which one the run was in", have).About("run " + o.Resume)
}

func unknownRun(id string) error {
	return fault.New(ledger.ErrNoItem, "the ledger has no run of this id").About("run " + id)
}

// runsOf returns the runs with an id; a whole record id names one run.
func runsOf(ctx context.Context, log ledger.Store, id string) ([]begun, error) {
	wanted, err := cid.Parse(id)
	byRecord := err == nil
	var named, recorded []begun
	for rec, err := range log.Records(ctx, ledger.Filter{Kinds: []ledger.Kind{ledger.KindRunRecord}}) {
		if err != nil {
			return nil, err
		}
		x, recordID, err := evidence.OpenRecord(rec.Body)
		switch {
		case err != nil:
			return nil, fault.New(ledger.ErrCorrupt, "entry %d: %w", rec.Index, err)
		case x.RunID == id:
			named = append(named, begun{RunRecord: x, id: recordID})
		case byRecord && recordID == wanted:
			recorded = append(recorded, begun{RunRecord: x, id: recordID})
		}
	}
	if len(recorded) > 0 {
		named = recorded // whoever shares the ledger may have given a run any id
	}
	if len(named) == 0 {
		return nil, unknownRun(id)
	}
	return named, nil
}

// choose returns the run of a list that the given proofs, or this node's own keys,
// can go on with.
func (n *Node) choose(list []begun, o RunOptions) (*begun, error) {
	var proofs []*caps.Chain
	var mine func(begun) bool
	var err error
	if len(o.Proofs) > 0 {
		proofs, mine, err = n.provable(o)
	} else {
		mine, err = n.ownRuns(o)
	}
	if err != nil {
		return nil, err
	}
	var fit []begun
	for _, r := range list {
		if mine(r) {
			fit = append(fit, r)
		}
	}
	switch {
	case len(fit) == 0:
		return nil, fault.New(ErrRunHolder, "the run is of another authority or holder than what is given here: %s", describeRuns(list)).About("run " + o.Resume)
	case len(fit) == 1 && (len(list) == 1 || len(o.Proofs) > 0):
		fit[0].proofs = proofs
		return &fit[0], nil
	}
	return nil, fault.New(ErrRunAmbiguous, "%d runs have this id, give the record instead: %s", len(list), describeRuns(list)).About("run " + o.Resume)
}

// describeRuns lists runs for people, the first few of them.
func describeRuns(list []begun) string {
	const shown = 8
	var b strings.Builder
	for i, r := range list {
		if i == shown {
			fmt.Fprintf(&b, "\nand %d more", len(list)-shown)
			break
		}
		fmt.Fprintf(&b, "\nrecord %s: holder %s, authority %s, begun %s", r.id, r.Holder.Hex()[:12], r.Authority.Hex()[:12],
			time.UnixMicro(r.Time).UTC().Format(time.RFC3339))
	}
	return b.String()
}

// ownRuns tells which runs this node's own keys stand for.
func (n *Node) ownRuns(o RunOptions) (func(begun) bool, error) {
	own := map[cid.Hash]bool{}
	for _, role := range []sig.Role{sig.Dev, sig.Executor} {
		key, _, err := LoadKey(n.ownPath(role))
		switch {
		case err == nil:
			own[key.Agent().KeyID()] = role == sig.Executor || !o.NoDevAuthority
		case !isMissing(err):
			return nil, err
		}
	}
	return func(r begun) bool { return own[r.Holder] && r.Authority == r.Holder }, nil
}

// provable tells which runs the given proofs are of, as far as that is known before
// the package is.
func (n *Node) provable(o RunOptions) ([]*caps.Chain, func(begun) bool, error) {
	proofs, err := loadProofs(o.Proofs, o.Key)
	if err != nil {
		return nil, nil, err
	}
	trust, err := n.Trust()
	if err != nil {
		return nil, nil, err
	}
	holder, root := proofs[0].Holder().KeyID(), proofs[0].Root()
	return proofs, func(r begun) bool {
		return r.Holder == holder && slices.ContainsFunc(trust.Entries(), func(e gate.TrustEntry) bool {
			return e.Role == sig.Authority && e.Holds(root) && e.Origin == r.Authority
		})
	}, nil
}

// inputs reads back what a run was given.
func (n *Node) inputs(ctx context.Context, log ledger.Store, run *begun) ([]byte, error) {
	raw, err := log.Object(ctx, run.InputsHash)
	if errors.Is(err, ledger.ErrNoItem) {
		store, failed := n.Objects()
		if failed != nil {
			return nil, failed
		}
		raw, err = store.Get(ctx, run.InputsHash, maxInputs)
	}
	if err != nil {
		return nil, fmt.Errorf("the inputs of run %s: %w", run.RunID, err)
	}
	if cid.Sum(raw) != run.InputsHash {
		return nil, fault.New(ledger.ErrCorrupt, "the inputs are not %s", run.InputsHash).About("run " + run.RunID)
	}
	return raw, nil
}

// missing says what to do about a package that is not in the store.
func (r *begun) missing(o RunOptions, err error) error {
	if o.Package != r.ManifestCID.String() || !errors.Is(err, pack.ErrNotFound) && !errors.Is(err, cas.ErrNotFound) {
		return err
	}
	return fault.New(pack.ErrNotFound, "the package of run %s is not in the local store: name its folder or archive, as in \"mythos run PACKAGE --resume %s\"", r.RunID, o.Resume)
}

// entryOf returns the entry point of a package that a run is of. A package that is
// another one is refused as a run begun with another one is.
func (r *begun) entryOf(p *gate.Package) (string, error) {
	if p.ID() != r.PackageID || p.ManifestCID() != r.ManifestCID {
		return "", fault.New(ledger.ErrRunClash, "the run is of package %s (manifest %s), this one is %s (manifest %s)",
			r.PackageID, r.ManifestCID, p.ID(), p.ManifestCID()).About("run " + r.RunID)
	}
	for _, e := range p.Manifest().Entrypoints {
		entry, err := p.Entry(e.Name)
		if err != nil {
			return "", err
		}
		if entry.Bundle == r.Bundle && entry.Task.TaskID == r.TaskID {
			return e.Name, nil
		}
	}
	return "", fault.New(ledger.ErrCorrupt, "its package has no entry point of task %s", r.TaskID).About("run " + r.RunID)
}
