package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/runner"
)

// call is one effect on its way through the pipeline.
type call struct {
	ir.EffectCall
	name    string                  // tool name
	binding *manifest.ModuleBinding // nil for a built-in tool
	module  gate.ModuleContent      // of the binding
	retry   ledger.Retry
	timeout time.Duration

	key         []byte // canonical IdempotencyKey
	idem        cid.Hash
	request     []byte // canonical ToolRequest
	requestHash cid.Hash

	powers  []power // that the module was granted beside the call itself
	grants  runner.Grants
	touched bool // the module ran and may have touched the world

	probing bool // it is the probe of another effect, and its answer a probe's

	told   int64 // the lease's end that OnWait was told, 0 none
	looked bool  // the ledger was looked up
}

// finished is an effect whose receipt is durable.
type finished struct {
	receipt     []byte
	receiptID   cid.Hash
	response    abi.Response
	responseLen int
	hash        cid.Hash // response_hash
	replayed    bool
}

// Effect is the effect pipeline (RFC-MYTHOS-0006 §14).
func (r *run) Effect(ctx context.Context, ec ir.EffectCall) (ir.EffectResult, error) {
	c, err := r.resolve(ec)
	if err != nil {
		return ir.EffectResult{}, r.refuse(ctx, c, err)
	}
	done, err := r.perform(ctx, c)
	if err != nil {
		return ir.EffectResult{}, describe(c, err)
	}
	return r.handBack(c, done), nil
}

// errSuperseded says that another register took over while this one's module
// ran: the outcome that stands is another one.
var errSuperseded = errors.New("superseded")

// maxRounds bounds how often an id may move on under an effect.
const maxRounds = 50

// perform takes an effect from its proofs to its receipt. Whenever the id moved
// on meanwhile, or somebody else's lease was waited for, it starts over, proofs
// included: they must hold when they are spent.
func (r *run) perform(ctx context.Context, c *call) (*finished, error) {
	for round := 0; ; {
		proofs, err := r.authorise(ctx, c)
		if err != nil {
			return nil, r.refuse(ctx, c, err)
		}
		view, waited, err := r.consult(ctx, c)
		switch {
		case err != nil:
			return nil, err
		case waited:
			continue
		case view.Phase == ledger.Committed:
			return r.replay(ctx, c, view)
		}
		reg, err := r.register(ctx, c, proofs, view)
		if err == nil {
			var done *finished
			if done, err = r.finish(ctx, c, reg); !errors.Is(err, errSuperseded) {
				return done, err
			}
		} else if !movedOn(err) {
			return nil, err
		}
		if round++; round == maxRounds {
			return nil, fault.New(ledger.ErrInProgress, "others came first %d times: %w", round, err)
		}
		if err := pause(ctx, min(time.Duration(round)*time.Millisecond, 20*time.Millisecond)); err != nil {
			return nil, err
		}
	}
}

// movedOn reports whether a register was refused because it was decided on an
// older state of its id.
func movedOn(err error) bool {
	return !isEarlier(err) && (errors.Is(err, ledger.ErrEntry) || errors.Is(err, ledger.ErrInProgress) || errors.Is(err, ledger.ErrConflict))
}

// finish is the part of the pipeline after a register stands. The commit is held for
// the next write; that of a probe is written, since the ledger is read for it at once.
func (r *run) finish(ctx context.Context, c *call, reg *register) (*finished, error) {
	stop := r.heartbeat(ctx, c, reg)
	done, commit, err := r.answer(ctx, c, reg)
	if err == nil && !c.probing {
		r.hold(ctx, c, reg, commit, stop)
		return done, nil
	}
	defer stop()
	if err == nil {
		err = r.commit(ctx, c, commit)
	}
	if err == nil || errors.Is(err, errSuperseded) || errors.Is(err, ledger.ErrDivergent) {
		return done, err
	}
	return nil, r.release(ctx, c, reg, err)
}

// answer invokes the tool and makes its receipt and commit.
func (r *run) answer(ctx context.Context, c *call, reg *register) (*finished, ledger.Commitment, error) {
	if err := r.mine(ctx, c, reg); err != nil {
		return nil, ledger.Commitment{}, err
	}
	ans, err := r.invoke(ctx, c)
	if err != nil {
		return nil, ledger.Commitment{}, err
	}
	done, items, err := r.receipt(ctx, c, reg, ans)
	if err != nil {
		return nil, ledger.Commitment{}, err
	}
	commit, err := r.commitment(c, reg, done, items)
	return done, commit, err
}

// resolve finds the tool and its variant and makes the request. With an error the
// call is what was found by then.
func (r *run) resolve(ec ir.EffectCall) (*call, error) {
	c := &call{EffectCall: ec, name: abi.BuiltinTool(ec.Tool)}
	if c.name == "" {
		if err := r.bind(c); err != nil {
			return c, err
		}
	} else {
		c.retry, c.timeout = ledger.Pure, builtinTimeout
	}
	if err := r.identify(c); err != nil {
		return c, err
	}
	req := abi.Request{ToolID: c.Tool, Payload: c.Payload, IdemID: c.idem}
	c.request = req.AppendCAN(nil)
	c.requestHash = cid.Sum(c.request)
	return c, nil
}

// bind chooses the module that provides the tool.
func (r *run) bind(c *call) error {
	b, err := r.pkg.Binding(c.Tool, r.variants, r.Platform)
	if err != nil {
		return err
	}
	if r.runners[b.Module.Kind] == nil {
		return fault.New(rings.ErrModuleKind, "no runner here serves %s modules", manifest.ModuleKindName(b.Module.Kind)).About(b.Label())
	}
	if c.module, err = r.pkg.Module(b); err != nil {
		return err
	}
	c.name, c.binding = b.Tool.Name, b
	c.retry, c.timeout = ledger.Retry(b.Module.Retry), micros(b.Module.Limits.TimeoutMicros)
	return nil
}

// identify makes the idempotency key: the caller's own, or one derived from the
// run and the effect's position in it.
func (r *run) identify(c *call) error {
	if c.Key == nil {
		d := ledger.DerivedKey{
			RunID: r.record.RunID, PackageID: r.record.PackageID, Bundle: r.record.Bundle,
			TaskID: r.record.TaskID, Ordinal: c.Ordinal,
		}
		c.key = d.IdempotencyKey(r.authority, r.holder)
	} else {
		var err error
		if c.key, err = ledger.ExplicitKey(r.authority, r.holder, c.Key); err != nil {
			return describe(c, err)
		}
	}
	c.idem = ledger.IdemID(c.Tool, c.key)
	return nil
}

// consult looks the id up and decides: the view is committed, or one after which
// a register may be tried. waited says that it is neither, and that the lease
// which stood in the way may be over, or a probe has told of the doubt that did.
//
// The first look is left out where it can find nothing: a derived key holds the
// run's id, authority and holder, so before this attempt appended the record of
// that run nobody had an entry under it. Should another attempt at the run have
// come since, register's compare and set refuses, and the next round does look.
func (r *run) consult(ctx context.Context, c *call) (view ledger.View, waited bool, err error) {
	r.step("consult")
	if !c.looked && r.fresh && c.Key == nil {
		c.looked = true
		return view, false, nil
	}
	if err = r.flush(ctx); err != nil {
		return view, false, err
	}
	if view, err = r.Ledger.Lookup(ctx, c.idem); err != nil {
		return view, false, err
	}
	decision, err := view.Decide(c.requestHash, view.Live, c.retry)
	switch {
	case errors.Is(err, ledger.ErrConflict):
		return view, false, r.conflict(ctx, c, view, err)
	case errors.Is(err, ledger.ErrInDoubt) && view.Probe(c.retry):
		return view, true, r.reconcile(ctx, c, view)
	case err != nil:
		return view, false, aboutEffect(c, err)
	case decision != ledger.Wait:
		return view, false, nil
	case r.NoWait:
		return view, false, aboutEffect(c, fault.New(ledger.ErrInProgress, "register %s holds a lease until %s", view.RegisterID, until(view).Format(time.RFC3339)))
	}
	if c.told != view.LeaseExpires && r.OnWait != nil {
		r.OnWait(c.name, until(view))
	}
	c.told = view.LeaseExpires
	// The other invocation may end, or die and be resolved, before its lease does.
	left := time.Duration(max(view.LeaseExpires-r.now(), 1000)) * time.Microsecond
	return view, true, pause(ctx, min(left, 100*time.Millisecond))
}

// aboutEffect names the effect that the ledger refuses as "mythos ledger show"
// takes it.
func aboutEffect(c *call, err error) error {
	var e *fault.Error
	if errors.As(err, &e) && e.Subject == "" {
		return e.About("id " + c.idem.String())
	}
	return err
}

func until(v ledger.View) time.Time { return time.UnixMicro(v.LeaseExpires).UTC() }

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// handBack records the effect and gives the IR what it may see.
func (r *run) handBack(c *call, done *finished) ir.EffectResult {
	e := Effect{
		Ordinal: c.Ordinal, Tool: c.name, Variant: c.variant(), IdemID: c.idem,
		Receipt: done.receipt, ReceiptID: done.receiptID, Status: done.response.Status, Replayed: done.replayed,
	}
	if c.Key != nil {
		e.CallerKey = c.callerKey()
	}
	res := ir.EffectResult{
		Status: done.response.Status, Payload: done.response.Payload,
		ResponseHash: done.hash, ResponseLen: done.responseLen,
	}
	if done.response.Error != nil {
		e.ErrorCode, res.ErrorCode = done.response.Error.Code, done.response.Error.Code
	}
	r.effects = append(r.effects, e)
	return res
}

func (c *call) variant() string {
	if c.binding == nil {
		return ""
	}
	return c.binding.Variant
}

// callerKey returns the explicit key as the value that the program gave.
func (c *call) callerKey() []byte {
	if c.KeyText {
		return can.AppendText(nil, string(c.Key))
	}
	return can.AppendBytes(nil, c.Key)
}

// describe says which effect an error is about. What other errors stand beside
// it, or around it, stays.
func describe(c *call, err error) error {
	if isEarlier(err) {
		return err // it names its own
	}
	if e, ok := err.(*fault.Error); ok && e.Subject == "" {
		return e.About("effect " + c.name)
	}
	return fmt.Errorf("effect %s: %w", c.name, err)
}
