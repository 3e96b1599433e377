package executor

import (
	"context"
	"errors"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/rings"
)

// call is one effect on its way through the pipeline.
type call struct {
	ir.EffectCall
	name    string                  // tool name
	binding *manifest.ModuleBinding // nil for a built-in tool
	digest  cid.Hash                // SHA-256 of the module; zero for a built-in tool
	retry   ledger.Retry
	timeout time.Duration

	key         []byte // canonical IdempotencyKey
	idem        cid.Hash
	request     []byte // canonical ToolRequest
	requestHash cid.Hash
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
		return ir.EffectResult{}, err
	}
	done, err := r.perform(ctx, c)
	if err != nil {
		return ir.EffectResult{}, describe(c, err)
	}
	return r.handBack(c, done), nil
}

// errSuperseded says that another register took over while this one's module
// ran; the caller gets the outcome that stands.
var errSuperseded = errors.New("superseded")

func (r *run) perform(ctx context.Context, c *call) (*finished, error) {
	proofs, err := r.authorise(c)
	if err != nil {
		return nil, err
	}
	for {
		view, err := r.consult(ctx, c)
		if err != nil {
			return nil, err
		}
		if view.Phase == ledger.Committed {
			return r.replay(ctx, c, view)
		}
		a, err := r.register(ctx, c, proofs, view)
		switch {
		case errors.Is(err, ledger.ErrEntry), errors.Is(err, ledger.ErrInProgress) && !r.NoWait:
			continue // the id moved on between look-up and register
		case err != nil:
			return nil, err
		}
		done, err := r.finish(ctx, c, a)
		if !errors.Is(err, errSuperseded) {
			return done, err
		}
	}
}

// finish is the part of the pipeline after a register stands.
func (r *run) finish(ctx context.Context, c *call, a *attempt) (*finished, error) {
	answer, err := r.invoke(ctx, c, a)
	if err != nil {
		return nil, r.release(ctx, c, a, err)
	}
	done, items, err := r.receipt(c, a, answer)
	if err != nil {
		return nil, err
	}
	return done, r.commit(ctx, c, a, done, items)
}

// resolve finds the tool and its variant and makes the request.
func (r *run) resolve(ec ir.EffectCall) (*call, error) {
	c := &call{EffectCall: ec, name: abi.BuiltinTool(ec.Tool)}
	if c.name == "" {
		if err := r.bind(c); err != nil {
			return nil, err
		}
	} else {
		c.retry, c.timeout = ledger.Pure, builtinTimeout
	}
	if err := r.identify(c); err != nil {
		return nil, err
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
	a, _ := r.pkg.Artifact(b.Module.CID)
	c.name, c.binding, c.digest = b.Tool.Name, b, a.SHA256
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

// consult looks the id up and decides; it returns a view that is committed, or
// one after which a register may be tried.
func (r *run) consult(ctx context.Context, c *call) (ledger.View, error) {
	r.step("consult")
	told := false
	for {
		view, err := r.Ledger.Lookup(ctx, c.idem)
		if err != nil {
			return view, err
		}
		decision, err := view.Decide(c.requestHash, view.Live, c.retry)
		switch {
		case errors.Is(err, ledger.ErrConflict):
			return view, r.conflict(ctx, c, view, err)
		case err != nil:
			return view, err
		case decision != ledger.Wait:
			return view, nil
		case r.NoWait:
			return view, fault.New(ledger.ErrInProgress, "register %s holds a lease until %s", view.RegisterID, until(view).Format(time.RFC3339))
		}
		if !told && r.OnWait != nil {
			r.OnWait(c.name, until(view))
		}
		told = true
		if err := r.waitLease(ctx, view); err != nil {
			return view, err
		}
	}
}

func until(v ledger.View) time.Time { return time.UnixMicro(v.LeaseExpires).UTC() }

// waitLease waits until the lease may be over, or a tenth of a second: the
// other invocation may commit sooner.
func (r *run) waitLease(ctx context.Context, v ledger.View) error {
	d := min(time.Duration(max(v.LeaseExpires-r.now(), 1000))*time.Microsecond, 100*time.Millisecond)
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

// describe says which effect an error is about.
func describe(c *call, err error) error {
	var e *fault.Error
	if errors.As(err, &e) && e.Subject == "" {
		return e.About("effect " + c.name)
	}
	return err
}
