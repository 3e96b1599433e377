package executor

import (
	"context"
	"errors"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/runner"
)

// answer is a response that will be committed, and how it came about.
type answer struct {
	raw      []byte
	response abi.Response
	result   runner.Result
}

// invoke runs the tool under its lease. An error means that there is nothing to
// commit; release decides what it says about the effect.
func (r *run) invoke(ctx context.Context, c *call) (*answer, error) {
	r.step("invoke")
	if c.binding == nil {
		raw, err := r.builtin(ctx, c)
		if err != nil {
			return nil, err
		}
		return r.judge(c, runner.Result{Outcome: runner.Answered, Response: raw, Engine: builtinEngine})
	}
	result, err := r.runners[c.binding.Module.Kind].Run(ctx, r.runnerCall(c))
	if err != nil {
		return nil, fault.New(ErrNotStarted, "%w", err) // nothing of the module ran
	}
	if r.OnLog != nil && len(result.Log) > 0 {
		r.OnLog(c.name, c.variant(), result.Log)
	}
	return r.judge(c, result)
}

func (r *run) runnerCall(c *call) runner.Call {
	m := Module(c.binding, c.module, r.pkg.ID())
	if c.probing {
		m = Probe(c.binding, m)
	}
	return runner.Call{
		Module: m, Request: c.request, RequestHash: c.requestHash,
		Grants: c.grants, Share: r.share(),
	}
}

// judge turns how a call ended into what is committed (RFC-MYTHOS-0006 §14).
// Whatever is not an answer is one only if it could not have been otherwise.
func (r *run) judge(c *call, res runner.Result) (*answer, error) {
	c.touched = !c.pure(res)
	switch res.Outcome {
	case runner.Answered:
		return r.accept(c, res), nil
	case runner.ResponseTooLarge:
		return failed(res, 502, CodeBadResponse), nil
	case runner.NotStarted:
		c.touched = false
		return nil, fault.New(ErrNotStarted, "the module did not start: %s", res.Detail)
	case runner.TimedOut:
		return nil, fault.New(ErrTimeout, "the module was stopped: %s", res.Detail)
	case runner.Killed:
		return nil, fault.New(ErrKilled, "the host ended the module: %s", res.Detail)
	}
	if c.touched {
		return nil, fault.New(ErrEnded, "the module ended without an answer (%s): %s", res.Outcome, res.Detail)
	}
	switch res.Outcome {
	case runner.NoResponse:
		return failed(res, 502, CodeBadResponse), nil
	case runner.Trapped:
		return failed(res, 500, CodeModuleTrap), nil
	case runner.Exited:
		return failed(res, 500, CodeModuleExit), nil
	case runner.MemoryExceeded:
		return failed(res, 500, CodeModuleMemory), nil
	case runner.FuelExhausted:
		return failed(res, 500, CodeFuelExhausted), nil
	}
	return nil, fault.New(ErrKilled, "the runner reported outcome %s", res.Outcome)
}

// pure reports whether how the call ended is a function of module and request: a
// built-in tool, or a wasm module that made no granted hostcall.
func (c *call) pure(res runner.Result) bool {
	return c.binding == nil || c.binding.Module.Kind == runner.KindWASM && res.Transcript == nil
}

// accept checks a complete response against the contract and the tool's type.
func (r *run) accept(c *call, res runner.Result) *answer {
	resp, err := abi.DecodeResponse(res.Response)
	if err != nil {
		return failed(res, 502, CodeBadResponse)
	}
	if c.binding != nil && resp.Status == abi.StatusOK {
		if c.probing {
			if !r.probeAnswer(c, resp.Payload) {
				return failed(res, 502, CodeBadResponse)
			}
		} else if r.program.CheckType(c.binding.Tool.ResponseTypeID, resp.Payload) != nil {
			return failed(res, 502, CodeBadResponse)
		}
	}
	return &answer{res.Response, resp, res}
}

// failed is the response that the executor makes for a module. It carries no
// message: its hash must be the same on every host.
func failed(res runner.Result, status uint16, code fault.Code) *answer {
	x := abi.Response{Status: status, Payload: []byte{0}, Error: &abi.Error{Code: string(code)}}
	return &answer{x.AppendCAN(nil), x, res}
}

// mine makes sure that the lease still stands when a module is about to be invoked
// long after its register was written, as by a process that was stopped: once the
// lease has ended, others may have asked a probe what became of it.
func (r *run) mine(ctx context.Context, c *call, a *register) error {
	// The monotonic clock may have stood still with the machine, the other one be set.
	elapsed := max(time.Since(a.since), time.Now().Round(0).Sub(a.since.Round(0)))
	if elapsed < micros(uint64(c.lease()))/2 {
		return nil
	}
	if err := r.Ledger.Extend(ctx, c.idem, a.id, c.lease()); err != nil {
		return fault.New(ErrNotStarted, "its lease ended before the module was invoked: %w", err)
	}
	return nil
}

// heartbeat extends the lease from the register to the commit, and returns a
// function that ends it and waits.
func (r *run) heartbeat(ctx context.Context, c *call, a *register) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(leaseMargin / 2)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				// A lease that cannot be extended still stands until it expires; the
				// commit is what counts, and it carries the fencing token.
				_ = r.Ledger.Extend(ctx, c.idem, a.id, c.lease())
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// release records what the failure of an invocation says about its effect and
// returns the fault. Where no outside effect was possible the id is free to
// retry; otherwise nobody knows, and the owner says so.
func (r *run) release(ctx context.Context, c *call, a *register, cause error) error {
	outcome := uint8(ledger.OutcomeNotInvoked)
	stop, reason := cause, string(fault.CodeOf(cause))
	// Not the module's limit but the run's own end may have stopped it.
	if ctx.Err() != nil && (errors.Is(cause, ErrNotStarted) || errors.Is(cause, ErrTimeout)) {
		stop, reason = interruption{context.Cause(ctx)}, reasonOf(context.Cause(ctx))
	}
	if c.touched && !errors.Is(cause, ErrNotStarted) {
		outcome = ledger.OutcomeDoubt
		stop = inDoubt(c, "nobody knows whether the effect happened: %w", stop)
	}
	if reason == "" {
		reason = "host"
	}
	x := ledger.Resolution{
		IdemID: c.idem, RegisterID: a.id, Outcome: outcome, Reason: reason, Time: r.now(),
	}
	raw, _, err := sig.Sign(&x, r.Key)
	if err != nil {
		return errors.Join(stop, err)
	}
	r.step("release")
	if err := r.Ledger.Resolve(context.WithoutCancel(ctx), raw, r.recordID, false); err != nil {
		return errors.Join(stop, err)
	}
	return stop
}

// interruption is how a run that was itself stopped ends its module. Its cause is
// for errors.Is, and for people only where it is a fault.
type interruption struct{ cause error }

func (e interruption) Error() string {
	if fault.CodeOf(e.cause) == "" {
		return "the run was interrupted"
	}
	return "the module was stopped: " + e.cause.Error()
}

func (e interruption) Unwrap() error { return e.cause }

// reasonOf is the reason that a resolution gives for the end of a run.
func reasonOf(cause error) string {
	if code := fault.CodeOf(cause); code != "" {
		return string(code)
	}
	return "interrupted"
}

// conflict keeps one mark that the id was used for two requests, and returns
// the refusal.
func (r *run) conflict(ctx context.Context, c *call, v ledger.View, refusal error) error {
	if v.Marked {
		return refusal
	}
	return r.mark(ctx, ledger.Divergence{
		IdemID: c.idem, ToolID: c.Tool, ReasonCode: ledger.ReasonRequest,
		Evidence: []cid.Hash{v.RegisterID, c.requestHash},
	}, refusal)
}
