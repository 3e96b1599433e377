package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// reconcile asks the tool's probe what became of an effect in doubt, and records
// what it showed in the name of the register's owner (RFC-MYTHOS-0005 §5). Without
// an error the id has moved on, by this or by somebody else. Nothing here invokes
// the tool again: only a resolution that stands lets the pipeline do so.
func (r *run) reconcile(ctx context.Context, c *call, v ledger.View) error {
	if !v.Owner.Equal(r.Key.Agent()) {
		return inDoubt(c, "register %s is of executor %s, in whose name this one cannot speak: an operator must resolve it", v.RegisterID, v.Owner.KeyID())
	}
	if v.Phase == ledger.Open {
		return r.noteDoubt(ctx, c, v)
	}
	done, err := r.perform(ctx, r.probe(c, v.RegisterID))
	switch {
	case err != nil && moduleFault(err):
		return inDoubt(c, "its probe gave no answer, and is asked again by the next call: %w", err)
	case err != nil:
		return fmt.Errorf("the probe of register %s: %w", v.RegisterID, err)
	}
	now, err := r.Ledger.Lookup(ctx, c.idem)
	if err != nil || now.RegisterID != v.RegisterID || now.Live || !now.Probe(c.retry) {
		return err
	}
	said, original := r.said(done.response)
	switch {
	case said.Response != nil:
		err = r.recover(ctx, c, v, done, said.Response, original.Status)
	case said.Outcome == abi.ProbeCommitted:
		err = r.settle(ctx, c, v, done, ledger.OutcomeCommitted)
	case said.Outcome == abi.ProbeNotInvoked:
		err = r.settle(ctx, c, v, done, ledger.OutcomeNotInvoked)
	default:
		return inDoubt(c, "its probe cannot tell (receipt %s): an operator must resolve it", done.receiptID)
	}
	if errors.Is(err, errSuperseded) || errors.Is(err, ledger.ErrEntry) {
		return nil // somebody else was first: look again
	}
	return err
}

// noteDoubt ends the lease for good, so that an invocation of the register that only
// paused cannot extend it, and sends nothing after a probe has looked.
func (r *run) noteDoubt(ctx context.Context, c *call, v ledger.View) error {
	raw, _, err := sig.Sign(&ledger.Resolution{
		IdemID: c.idem, RegisterID: v.RegisterID, Outcome: ledger.OutcomeDoubt, Reason: "a probe is asked", Time: r.now(),
	}, r.Key)
	if err != nil {
		return err
	}
	err = r.Ledger.Resolve(context.WithoutCancel(ctx), raw, r.recordID, false)
	if errors.Is(err, ledger.ErrEntry) {
		return nil // somebody else was first: look again
	}
	return err
}

// inDoubt is the refusal of an effect whose outcome nobody knows; it names the id
// as "mythos ledger resolve" takes it.
func inDoubt(c *call, format string, args ...any) error {
	return fault.New(ledger.ErrInDoubt, format, args...).About("id " + c.idem.String())
}

// moduleFault reports whether a probe failed by its module, and not by what the
// executor needs for any effect.
func moduleFault(err error) bool {
	for _, code := range []fault.Code{ledger.ErrInDoubt, ErrTimeout, ErrNotStarted, ErrKilled, ErrEnded} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// probe is the effect that asks about a register: the same request to the probe's
// entry of the same module, under a key of its own. There is one for each register,
// and it may be invoked again.
func (r *run) probe(c *call, register cid.Hash) *call {
	p := *c
	p.probing, p.retry = true, ledger.Idempotent
	p.key = ledger.ProbeKey(r.authority, r.holder, register)
	p.idem = ledger.IdemID(c.Tool, p.key)
	p.touched, p.told, p.looked = false, 0, true
	return &p
}

// said reads a probe's response; whatever is not a proper answer is unknown.
func (r *run) said(resp abi.Response) (abi.Probe, abi.Response) {
	if resp.Status == abi.StatusOK {
		if x, original, err := abi.DecodeProbe(resp.Payload); err == nil {
			return x, original
		}
	}
	return abi.Probe{Outcome: abi.ProbeUnknown}, abi.Response{}
}

// probeAnswer reports whether a probe's payload is an answer, and the response in it
// one that the tool may give.
func (r *run) probeAnswer(c *call, payload []byte) bool {
	x, original, err := abi.DecodeProbe(payload)
	if err != nil || x.Response == nil || original.Status != abi.StatusOK {
		return err == nil
	}
	return r.program.CheckType(c.binding.Tool.ResponseTypeID, original.Payload) == nil
}

// settle signs what a probe showed without a response, naming its receipt.
func (r *run) settle(ctx context.Context, c *call, v ledger.View, probe *finished, outcome uint8) error {
	raw, _, err := sig.Sign(&ledger.Resolution{
		IdemID: c.idem, RegisterID: v.RegisterID, Outcome: outcome, ReceiptID: &probe.receiptID,
		Reason: "probe", Time: r.now(),
	}, r.Key)
	if err != nil {
		return err
	}
	r.step("reconcile")
	return r.Ledger.Resolve(context.WithoutCancel(ctx), raw, r.recordID, false)
}

// recover commits the response that a probe gave as that of the doubted register.
// Its evidence is the probe's, and names it.
func (r *run) recover(ctx context.Context, c *call, v ledger.View, probe *finished, response []byte, status uint16) error {
	evRaw, err := r.probeEvidence(ctx, v, probe)
	if err != nil {
		return err
	}
	done := &finished{responseLen: len(response), hash: cid.Sum(response)}
	done.response.Status = status
	x := receipt.Receipt{
		ToolID: c.Tool, RequestHash: c.requestHash, ResponseHash: done.hash, IdempotencyKey: c.key,
		TimeObserved: r.now(), Status: status, Evidence: []cid.Hash{cid.Sum(evRaw)},
	}
	if done.receipt, done.receiptID, err = sig.Sign(&x, r.Key); err != nil {
		return err
	}
	items, err := r.spill(context.WithoutCancel(ctx), c.request, response, evRaw)
	if err != nil {
		return err
	}
	r.step("reconcile")
	commit, err := r.commitment(c, &register{id: v.RegisterID}, done, items)
	if err != nil {
		return err
	}
	return r.commit(ctx, c, commit)
}

// probeEvidence is the evidence of a probe, made that of the register it asked about.
func (r *run) probeEvidence(ctx context.Context, v ledger.View, probe *finished) ([]byte, error) {
	x, _, err := receipt.Decode(probe.receipt)
	if err != nil {
		return nil, err
	}
	if len(x.Evidence) != 1 {
		return nil, fault.New(ledger.ErrCorrupt, "receipt %s of a probe names %d items of evidence", probe.receiptID, len(x.Evidence))
	}
	raw, err := r.object(ctx, x.Evidence[0])
	if err != nil {
		return nil, lost(err)
	}
	ev, err := evidence.DecodeEffect(raw)
	if err != nil {
		return nil, err
	}
	ev.RegisterID, ev.Probe = v.RegisterID, &probe.receiptID
	ev.Transcript, ev.Stderr = nil, nil // the probe's own evidence has them
	return ev.AppendCAN(nil), nil
}
