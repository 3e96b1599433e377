package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/runner"
)

// run is one attempt at a run.
type run struct {
	*Executor
	pkg      *gate.Package
	entry    *gate.Entry
	program  *ir.Program
	variants map[string]string
	req      Request
	proofs   []caps.Verified // ascending by leaf cap id

	record    evidence.RunRecord
	recordID  cid.Hash
	authority cid.Hash
	holder    cid.Hash
	fresh     bool // this attempt has appended the run record

	effects []Effect
	held    *held // of the last effect; nil: its commit is written
}

// Run runs a task to its end and seals it. A Result whose Outcome has an
// ErrorCode is a trap, which is a result; an error is a fault, after which the
// same request continues the run.
func (e *Executor) Run(ctx context.Context, pkg *gate.Package, req Request) (*Result, error) {
	r := &run{Executor: e, pkg: pkg, req: req}
	if err := r.prepare(); err != nil {
		return nil, r.refuse(ctx, nil, err)
	}
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	if r.OnBegun != nil {
		r.OnBegun(r.record.RunID)
	}
	ctx, cancel := r.deadline(ctx)
	defer cancel()
	outcome, err := r.program.Run(ctx, ir.RunOptions{Task: r.entry.Task.TaskID, Inputs: req.Inputs, MaxRequest: r.maxRequest}, r)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(err, context.DeadlineExceeded) && errors.Is(cause, ErrDeadline) {
			err = fmt.Errorf("%w (%w)", cause, err) // somebody reported the context's error, not its cause
		}
		if lost := r.flush(ctx); lost != nil {
			err = errors.Join(lost, err)
		}
		return nil, err
	}
	seal, err := r.seal(ctx, outcome)
	if err != nil {
		return nil, err
	}
	return &Result{
		Entrypoint: r.entry.Name, RunID: req.RunID, RunRecordID: r.recordID,
		Outcome: outcome, Effects: r.effects, Seal: seal,
	}, nil
}

// prepare resolves everything that can be refused before anything is written.
func (r *run) prepare() error {
	if err := ledger.CheckRunID(r.req.RunID); err != nil {
		return err
	}
	var err error
	if r.entry, err = r.pkg.Entry(r.req.Entrypoint); err != nil {
		return err
	}
	r.program = r.entry.Program
	if r.variants, err = r.pkg.Variants(r.req.Variants); err != nil {
		return err
	}
	if err := r.admit(); err != nil {
		return err
	}
	proofs := slices.Clone(r.req.Proofs)
	slices.SortFunc(proofs, func(a, b *caps.Chain) int { return a.LeafID().Compare(b.LeafID()) })
	if err := r.principals(proofs); err != nil {
		return err
	}
	return r.packageRun()
}

// admit refuses a program whose effects this node would not run.
func (r *run) admit() error {
	for _, id := range r.program.Effects() {
		if abi.BuiltinTool(id) != "" {
			continue
		}
		b, err := r.pkg.Binding(id, r.variants, r.Platform)
		if err == nil {
			err = r.pkg.Admit(b)
		}
		if err == nil {
			err = r.ready(b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ready asks the runner whether this machine has what a module needs. Wasm
// modules need nothing of it; the loading order has checked them.
func (r *run) ready(b *manifest.ModuleBinding) error {
	on := r.runners[b.Module.Kind]
	if on == nil || b.Module.Kind == runner.KindWASM {
		return nil
	}
	content, err := r.pkg.Module(b)
	if err == nil {
		err = CheckModule(context.Background(), on.Check, b, Module(b, content, r.pkg.ID()))
	}
	return describeModule(b, err)
}

// describeModule names the module that an error is about, if it names nothing.
func describeModule(b *manifest.ModuleBinding, err error) error {
	var e *fault.Error
	if errors.As(err, &e) && e.Subject == "" {
		return e.About("module " + b.Label())
	}
	return err
}

// principals fixes the run's one authority and one holder. Every proof must be
// sound in shape, signatures and principals before anything is written. The
// signatures need no second look in this attempt, whatever its effects are; the
// principals and all else are checked again for each effect (covering).
func (r *run) principals(proofs []*caps.Chain) error {
	r.authority, r.holder = r.req.Authority, r.req.Holder
	for i, p := range proofs {
		v, err := r.chains.verify(p, r.TrustEpoch)
		if err == nil {
			err = v.CheckPrincipals(r.Key.Agent(), r.trusted)
		}
		if err != nil {
			return err
		}
		r.proofs = append(r.proofs, v)
		authority, ok := r.Authority(p.Root(), r.pkg)
		if !ok {
			return fault.New(caps.ErrUntrusted, "key %s is no authority any more", p.Root().KeyID())
		}
		holder := p.Holder().KeyID()
		if i > 0 && (authority != r.authority || holder != r.holder) {
			return fault.New(ErrAuthorityMixed, "the proofs name several authorities or holders; a run has one of each")
		}
		r.authority, r.holder = authority, holder
	}
	return nil
}

// begin stores the run record and the inputs before op 0, or finds the record
// that stands and checks that it is of the same run.
func (r *run) begin(ctx context.Context) error {
	inputs, err := r.program.Inputs(r.entry.Task.TaskID, r.req.Inputs)
	if err != nil {
		return err
	}
	r.record = evidence.RunRecord{
		RunID: r.req.RunID, PackageID: r.pkg.ID(), ManifestCID: r.pkg.ManifestCID(), Bundle: r.entry.Bundle,
		TaskID: r.entry.Task.TaskID, InputsHash: cid.Sum(inputs), Variants: r.variants,
		Authority: r.authority, Holder: r.holder, Executor: r.Key.Agent(), Time: r.now(),
	}
	if r.req.Resume {
		stands, err := r.Ledger.FindRun(ctx, r.authority, r.holder, r.req.RunID)
		if err != nil {
			return err
		}
		return r.adopt(stands)
	}
	raw, id, err := sig.Sign(&r.record, r.Key)
	if err != nil {
		return err
	}
	items, err := r.spillInputs(ctx, inputs)
	if err != nil {
		return err
	}
	r.step("begin")
	stands, err := r.Ledger.BeginRun(ctx, ledger.RunStart{
		Authority: r.authority, Holder: r.holder, RunID: r.req.RunID, Record: raw, RecordID: id, Items: items,
	})
	if err != nil {
		return err
	}
	if r.fresh = string(stands) == string(raw); r.fresh {
		r.recordID = id
		return nil
	}
	return r.adopt(stands)
}

// spillInputs puts large inputs in the object store, unless the run id is taken
// by a run that this one is not: that refusal leaves nothing behind.
func (r *run) spillInputs(ctx context.Context, inputs []byte) ([]ledger.Item, error) {
	if len(inputs) > maxItem {
		stands, err := r.Ledger.FindRun(ctx, r.authority, r.holder, r.req.RunID)
		if err == nil {
			_, _, err = r.same(stands)
		}
		if err != nil && !errors.Is(err, ledger.ErrNoItem) {
			return nil, err
		}
	}
	return r.spill(ctx, inputs)
}

// adopt takes the record that stands as this run's own.
func (r *run) adopt(raw []byte) error {
	stands, id, err := r.same(raw)
	if err == nil {
		r.record, r.recordID = stands, id
	}
	return err
}

// same opens a record under this run's id and checks that it is of the same
// package, task, inputs and variants.
func (r *run) same(raw []byte) (evidence.RunRecord, cid.Hash, error) {
	stands, id, err := evidence.OpenRecord(raw)
	switch {
	case err != nil:
		return stands, id, fault.New(ledger.ErrCorrupt, "the run record of %s: %w", r.req.RunID, err)
	case !r.TrustedExecutor(stands.Executor):
		return stands, id, fault.New(ledger.ErrCorrupt, "the run record of %s is signed by %s, which is no trusted executor", r.req.RunID, stands.Executor.KeyID())
	case stands.RunID != r.record.RunID, stands.Authority != r.record.Authority, stands.Holder != r.record.Holder:
		return stands, id, fault.New(ledger.ErrCorrupt, "the run record of %s is another run's, %s", r.req.RunID, stands.RunID)
	}
	a, b := r.record, stands
	for _, x := range []*evidence.RunRecord{&a, &b} {
		x.RecordID, x.Executor, x.Time, x.Signature = cid.Hash{}, sig.AgentID{}, 0, sig.Signature{}
	}
	if string(a.AppendCAN(nil)) != string(b.AppendCAN(nil)) {
		return stands, id, fault.New(ledger.ErrRunClash, "run %q exists with another package, task, inputs or variants", r.req.RunID)
	}
	return stands, id, nil
}

// maxRequest is the limit of the tool's module; variants agree on it.
func (r *run) maxRequest(tool cid.Hash) uint64 {
	for _, b := range r.pkg.Manifest().Modules {
		if b.ToolID == tool {
			return b.Module.Limits.MaxRequestBytes
		}
	}
	return 0
}

// deadline bounds this attempt by the task's budget.
func (r *run) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	budget := r.entry.Task.Budget
	if budget.DeadlineMicros == nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, micros(*budget.DeadlineMicros), fault.New(ErrDeadline, "the attempt's deadline passed"))
}

// seal ends the run with a signed summary, or finds the seal of an earlier
// attempt, with which this one must agree. Either way the last commit stands. A seal
// that goes with that commit need not look for another: nobody can have sealed over a
// receipt that is not in the ledger yet.
func (r *run) seal(ctx context.Context, out ir.Result) (cid.Hash, error) {
	x := evidence.RunSeal{
		RunRecord: r.recordID, ReceiptCount: uint64(len(r.effects)),
		FuelUsed: out.FuelUsed, IOUsed: out.IOUsed, StateWrites: out.StateWrites, Time: r.now(),
	}
	if out.ErrorCode != "" {
		x.ErrorCode = string(out.ErrorCode)
	} else {
		x.ResultHash = &out.ResultHash
	}
	ids := make([]cid.Hash, len(r.effects))
	for i, e := range r.effects {
		ids[i] = e.ReceiptID
	}
	x.ReceiptsRoot = merkle.Root(ids)
	end := x
	raw, _, err := sig.Sign(&x, r.Key)
	if err != nil {
		return cid.Hash{}, cmp.Or(r.flush(ctx), err)
	}
	r.step("seal")
	ctx = context.WithoutCancel(ctx) // the run has ended: an interrupt now would only hide how
	id := cid.Sum(raw)
	err = r.follow(ctx,
		func() error {
			stands, err := r.standingSeal(ctx, end)
			if err != nil || !stands.IsZero() {
				id = stands
				return err
			}
			return r.Ledger.Seal(ctx, raw, r.recordID)
		},
		func(ctx context.Context, c ledger.Commitment) (ledger.Verdict, error) {
			return r.Ledger.CommitAndSeal(ctx, c, raw, r.recordID)
		})
	return id, err
}

// standingSeal returns the CID of the run's last seal if this end agrees with it,
// or zero if the run has none. An end with other receipts is another end, as when
// an operator has resolved a divergence, and gets a seal of its own; one with the
// same receipts must be the same to the byte.
func (r *run) standingSeal(ctx context.Context, want evidence.RunSeal) (cid.Hash, error) {
	var last []byte
	for rec, err := range r.Ledger.Records(ctx, ledger.Filter{Kinds: []ledger.Kind{ledger.KindRunSeal}, Run: &r.recordID}) {
		if err != nil {
			return cid.Hash{}, err
		}
		last = rec.Body
	}
	if last == nil {
		return cid.Hash{}, nil
	}
	got, _, err := evidence.OpenSeal(last)
	if err == nil && !r.TrustedExecutor(got.Signer) {
		err = fmt.Errorf("signed by %s, which is no trusted executor", got.Signer.KeyID())
	}
	if err != nil || got.RunRecord != r.recordID {
		return cid.Hash{}, fault.New(ledger.ErrCorrupt, "the seal of run %s: %w", r.req.RunID, cmp.Or(err, errors.New("it names another run")))
	}
	got.ID, got.Signer, got.Time, got.Signature = cid.Hash{}, sig.AgentID{}, 0, sig.Signature{}
	want.Time = 0
	switch {
	case string(got.AppendCAN(nil)) == string(want.AppendCAN(nil)):
		return cid.Sum(last), nil
	case got.ReceiptCount != want.ReceiptCount || want.ReceiptsRoot != nil && *got.ReceiptsRoot != *want.ReceiptsRoot:
		return cid.Hash{}, nil
	}
	return cid.Hash{}, fault.New(ErrRunDivergent, "this replay of run %s has the receipts of its seal and another end", r.req.RunID)
}
