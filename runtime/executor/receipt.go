package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// maxItem is the largest object that is committed with its entry; larger ones
// go to the object store first (RFC-MYTHOS-0006 §14).
const maxItem = 64 << 10

// receipt hashes what happened, signs it and returns the objects that the commit
// makes durable; the large ones are so already.
func (r *run) receipt(ctx context.Context, c *call, a *register, ans *answer) (*finished, []ledger.Item, error) {
	r.step("receipt")
	ev := r.evidence(c, a, ans)
	evRaw := ev.AppendCAN(nil)
	done := &finished{response: ans.response, responseLen: len(ans.raw), hash: cid.Sum(ans.raw)}
	x := receipt.Receipt{
		ToolID: c.Tool, RequestHash: c.requestHash, ResponseHash: done.hash, IdempotencyKey: c.key,
		TimeObserved: r.now(), Status: ans.response.Status, Evidence: []cid.Hash{cid.Sum(evRaw)},
	}
	var err error
	if done.receipt, done.receiptID, err = sig.Sign(&x, r.Key); err != nil {
		return nil, nil, err
	}
	objects := [][]byte{c.request, ans.raw, evRaw}
	if len(ans.result.Log) > 0 {
		objects = append(objects, ans.result.Log)
	}
	if ans.result.Transcript != nil {
		objects = append(append(objects, ans.result.Transcript), ans.result.Objects...)
	}
	items, err := r.spill(context.WithoutCancel(ctx), objects...)
	return done, items, err
}

// evidence says exactly what ran and by what right.
func (r *run) evidence(c *call, a *register, ans *answer) evidence.EffectEvidence {
	ev := evidence.EffectEvidence{
		PackageID: r.pkg.ID(), ManifestCID: r.pkg.ManifestCID(), RunRecord: r.recordID, Ordinal: c.Ordinal,
		RegisterID: a.id, Engine: ans.result.Engine, FuelSchedule: ans.result.FuelSchedule,
		FuelUsed: ans.result.FuelUsed, SandboxLevel: ans.result.SandboxLevel, CapIDs: slices.Clone(a.proof.grant.CapIDs),
		PolicyID: r.pkg.Policy().PolicyID, CheckedAt: a.proof.now, Interpreter: ans.result.Interpreter,
	}
	lists := slices.Clone(a.proof.grant.Lists)
	for _, p := range c.powers {
		ev.CapIDs = append(ev.CapIDs, p.ids...)
		lists = append(lists, p.lists...)
	}
	if len(lists) > 0 {
		ev.RevocationSeq = &lists[0].Mark.Seq
	}
	if ans.result.Transcript != nil {
		transcript := cid.Sum(ans.result.Transcript)
		ev.Transcript = &transcript
	}
	if c.binding != nil {
		ev.Variant, ev.ModuleKind = c.binding.Variant, c.binding.Module.Kind
		ev.Module = &c.binding.Module.CID
	}
	if len(ans.result.Log) > 0 {
		log := cid.Sum(ans.result.Log)
		ev.Stderr = &log
	}
	return ev
}

// commitment signs the entry that makes an effect's outcome durable, with its objects.
func (r *run) commitment(c *call, a *register, done *finished, items []ledger.Item) (ledger.Commitment, error) {
	x := ledger.Commit{
		IdemID: c.idem, ToolID: c.Tool, RequestHash: c.requestHash, ResponseHash: done.hash,
		ReceiptID: done.receiptID, Status: done.response.Status, TimeObserved: r.now(), RegisterID: &a.id,
	}
	whole := ledger.Commitment{Run: r.recordID, Receipt: done.receipt, Items: items}
	_, err := whole.Sign(&x, r.Key)
	if err == nil {
		r.step("commit")
	}
	return whole, err
}

// commit makes the entry and its objects durable together.
func (r *run) commit(ctx context.Context, c *call, whole ledger.Commitment) error {
	ctx = context.WithoutCancel(ctx) // the effect happened: its receipt must not be lost to an interrupt
	verdict, err := r.Ledger.Commit(ctx, whole)
	return r.committed(ctx, c, verdict, err)
}

// committed says what the ledger made of a commit: nil if it stands.
func (r *run) committed(ctx context.Context, c *call, verdict ledger.Verdict, err error) error {
	if err != nil {
		return err
	}
	r.step("committed")
	switch verdict {
	case ledger.Superseded:
		return errSuperseded
	case ledger.Diverged:
		return r.diverge(context.WithoutCancel(ctx), c)
	}
	return nil
}

// diverge marks that this commit contradicts another one of its id.
func (r *run) diverge(ctx context.Context, c *call) error {
	v, err := r.Ledger.Lookup(ctx, c.idem)
	if err != nil {
		return err
	}
	x := ledger.Divergence{
		IdemID: c.idem, ToolID: c.Tool, ReasonCode: v.Contradiction.Reason,
		Evidence: []cid.Hash{v.Contradiction.Stood, v.Contradiction.Other},
	}
	return r.mark(ctx, x, fault.New(ledger.ErrDivergent, "commit %s contradicts commit %s", v.Contradiction.Other, v.Contradiction.Stood))
}

// mark appends a signed divergence mark and returns the refusal that it
// explains.
func (r *run) mark(ctx context.Context, x ledger.Divergence, refusal error) error {
	x.TimeObserved = r.now()
	raw, _, err := sig.Sign(&x, r.Key)
	if err == nil {
		r.step("mark")
		_, err = r.Ledger.Diverge(ctx, raw, r.recordID)
	}
	if err != nil {
		return errors.Join(refusal, err)
	}
	return refusal
}

// spill puts large objects in the object store and returns the small ones, to
// be committed with an entry.
func (r *run) spill(ctx context.Context, objects ...[]byte) ([]ledger.Item, error) {
	var items []ledger.Item
	for _, b := range objects {
		if len(b) <= maxItem {
			items = append(items, ledger.Item{CID: cid.Sum(b), Data: b})
			continue
		}
		if _, err := r.Objects.Put(ctx, b); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// replay returns the committed receipt after checking it whole: who signed it,
// what it says and the response it names. Nothing runs and nothing is spent.
func (r *run) replay(ctx context.Context, c *call, v ledger.View) (*finished, error) {
	r.step("replay")
	raw, err := r.Ledger.Receipt(ctx, v.Commit.ReceiptID)
	if err != nil {
		return nil, lost(err)
	}
	resp, err := r.object(ctx, v.Commit.ResponseHash)
	if err != nil {
		return nil, lost(err)
	}
	done, err := r.recall(c, v, raw, resp)
	if err != nil {
		return nil, fault.New(ledger.ErrCorrupt, "the committed effect does not check: %w", err)
	}
	return done, nil
}

// lost tells an object of a commit that is gone or damaged, which no retry brings
// back, from one that cannot be read now.
func lost(err error) error {
	for _, code := range []error{ledger.ErrNoItem, ledger.ErrCorrupt, cas.ErrNotFound, cas.ErrCorrupt, cas.ErrTooLarge} {
		if errors.Is(err, code) {
			return fault.New(ledger.ErrCorrupt, "the committed effect has lost its receipt or response: %w", err)
		}
	}
	return err
}

// recall checks a commit with its receipt and response.
func (r *run) recall(c *call, v ledger.View, raw, response []byte) (*finished, error) {
	x := v.Commit
	owner, _ := v.CommitOwner(x.RegisterID)
	if _, _, err := ledger.OpenCommit(v.CommitRaw, owner); err != nil {
		return nil, err
	}
	var rec receipt.Receipt
	id, err := sig.Open(raw, &rec)
	switch {
	case err != nil:
		return nil, err
	case !rec.Signer.Equal(owner), !r.TrustedExecutor(rec.Signer):
		return nil, fmt.Errorf("the receipt is signed by %s, which is not the register's owner or no trusted executor", rec.Signer.KeyID())
	case id != x.ReceiptID, rec.ToolID != c.Tool, rec.RequestHash != c.requestHash, rec.ResponseHash != x.ResponseHash,
		rec.Status != x.Status, string(rec.IdempotencyKey) != string(c.key):
		return nil, fmt.Errorf("receipt %s and its commit disagree", id)
	case cid.Sum(response) != x.ResponseHash:
		return nil, fmt.Errorf("the response is not %s", x.ResponseHash)
	}
	resp, err := abi.DecodeResponse(response)
	if err != nil {
		return nil, err
	}
	if resp.Status != x.Status {
		return nil, fmt.Errorf("the response has status %d, its commit %d", resp.Status, x.Status)
	}
	return &finished{receipt: raw, receiptID: id, response: resp, responseLen: len(response), hash: x.ResponseHash, replayed: true}, nil
}
