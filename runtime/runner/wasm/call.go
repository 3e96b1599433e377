package wasm

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/tetratelabs/wazero/sys"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fuel"
	"github.com/mythos-run/mythos/runtime/runner"
)

// Host is one call's side of the contract: what its instance can reach, and the
// fuel, memory and time it may use. Only the goroutine that runs the guest
// touches it.
type Host struct {
	ctx      context.Context
	limits   *runner.Limits
	instance Instance
	request  []byte
	response []byte        // hostcall abi
	refused  bool          // the last response_write was refused
	stdin    []byte        // what is unread of fd 0
	frame    *runner.Frame // fd 1 with the stdio abi, else nil
	log      *runner.Log
	random   random
	now      uint64  // virtual clock, ns
	shut     [3]bool // closed file descriptors
	exited   bool    // proc_exit was called
	exitCode uint32
	small    bool // a growth was refused
	seed     cid.Hash
	meter    meter
	outside  outside
	record   record

	particular bool // a function was called that is not the same for every request
}

func newHost(ctx context.Context, c *runner.Call, slice int64) *Host {
	h := &Host{
		ctx:     ctx,
		limits:  &c.Module.Limits,
		request: c.Request,
		log:     runner.NewLog(c.Module.Limits.MaxStderr),
		seed:    c.RequestHash,
		now:     clockStart,
		meter:   newMeter(&c.Module.Limits, slice),
	}
	if c.Module.ABI == runner.ABIStdio {
		h.stdin = abi.AppendFrame(nil, c.Request)
		h.frame = runner.NewFrame(c.Module.Limits.MaxResponse)
	}
	return h
}

// Call is how an instance calls a function of the contract: arguments are on
// the stack, and results are left there. It panics with an error to end the
// guest.
func (h *Host) Call(f *HostFunc, stack []uint64) {
	h.settle()
	h.checkDeadline()
	h.particular = h.particular || !f.general
	f.call(h, h.instance.Memory(), stack)
}

// MemoryLimit is what the instance's memory may grow to, in bytes, whole pages.
func (h *Host) MemoryLimit() uint64 { return h.limits.MemoryBytes &^ (pageSize - 1) }

// RefuseGrowth notes that the memory would have exceeded its limit.
func (h *Host) RefuseGrowth() { h.small = true }

// invoke runs a module once and fills in how it ended. An error means that
// nothing of it ran.
func (r *Runner) invoke(ctx context.Context, e *entry, c *runner.Call, p *replay, res *runner.Result) error {
	h := newHost(ctx, c, r.options.Slice)
	h.outside = outside{options: &r.options, grants: c.Grants}
	h.record.replay = p
	instance, err := e.module.program.Instantiate(h)
	if errors.Is(err, ErrHostMemory) {
		return err
	}
	schedule, used := fuel.Schedule1, uint64(0)
	exhausted := false
	if err == nil {
		h.instance = instance
		err = h.enter(e.module, c.Module)
		used, exhausted = h.meter.end(instance.Fuel())
		if err != nil && instance.Depth() < 0 {
			err = fmt.Errorf("the call depth of %d is used up: %w", fuel.Depth, err)
		}
		_ = instance.Close() // frees memory only
	}
	res.FuelSchedule, res.FuelUsed = &schedule, &used
	res.Log, res.LogTruncated = h.log.Bytes()
	res.Transcript, res.Objects = h.record.transcript(), h.record.objects
	switch outcome, detail := h.judge(err); {
	case exhausted && outcome != runner.Killed:
		res.Outcome, res.Detail = runner.FuelExhausted, fmt.Sprintf("the module used its %d units of fuel up", used)
	case err != nil:
		res.Outcome, res.Detail = outcome, detail
	default:
		res.Outcome, res.Response, res.Detail = h.result()
	}
	return nil
}

// enter calls the exports of a call in their order. Whatever panics on the way
// becomes an error.
func (h *Host) enter(m *module, b runner.Module) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errHost, p)
		}
	}()
	entry, err := entryName(b)
	if err != nil {
		return fmt.Errorf("%w: %w", errHost, err)
	}
	first := m.first
	if entry != startEntry && m.ready != nil && m.ready.fits(h) {
		first = m.ready
	}
	if err := first.restore(h.instance); err != nil {
		return err
	}
	if h.over() { // a large module takes its time to be instantiated
		return errDeadline
	}
	h.instance.SetFuel(h.meter.first - int64(first.fuel))
	if first != m.ready {
		if err := h.initialize(m, entry != startEntry); err != nil {
			return err
		}
	}
	h.random.seed(h.seed)
	return h.export(entry)
}

// initialize runs what comes before the entry, under the random stream that is
// the same for every request.
func (h *Host) initialize(m *module, reactor bool) error {
	h.random.seed(cid.Hash{})
	if m.start != "" {
		if err := h.export(m.start); err != nil {
			return err
		}
	}
	if reactor && m.initialize {
		return h.export(initEntry)
	}
	return nil
}

// export calls one export; proc_exit(0) is a return.
func (h *Host) export(name string) error {
	h.instance.SetDepth(fuel.Depth)
	err := h.instance.Call(name)
	if h.exited && h.exitCode == 0 {
		h.exited = false
		return nil
	}
	return err
}

// errHost marks a failure of the host while a guest ran.
var errHost = errors.New("the host failed")

// stackOverflow is how wazero says that its own stack has ended: no answer of
// the module (RFC-MYTHOS-0012 §10.4).
const stackOverflow = "stack overflow"

// judge turns what ended a guest into an outcome; nil is Answered.
func (h *Host) judge(err error) (runner.Outcome, string) {
	if err == nil {
		return runner.Answered, ""
	}
	var closed *sys.ExitError
	var bug runtime.Error
	outcome, detail := runner.Trapped, err.Error()
	switch {
	case errors.Is(err, errHost) || errors.As(err, &bug) || strings.Contains(detail, stackOverflow):
		return runner.Killed, brief(detail)
	case h.exited:
		outcome, detail = runner.Exited, fmt.Sprintf("the module exited with status %d", h.exitCode)
	case errors.As(err, &closed):
		return runner.Killed, brief(detail)
	case errors.Is(err, errDeadline):
		return runner.TimedOut, h.stopped()
	}
	if h.small {
		outcome = runner.MemoryExceeded
		detail = fmt.Sprintf("a growth over the limit of %d bytes was refused; then: %s", h.MemoryLimit(), detail)
	}
	return outcome, brief(detail)
}

func (h *Host) stopped() string {
	if errors.Is(h.ctx.Err(), context.Canceled) {
		return "the caller's context ended"
	}
	return fmt.Sprintf("the module ran longer than %v, or than its caller would wait", h.limits.Timeout)
}

// brief bounds a message that a module can influence.
func brief(s string) string {
	const limit = 2048
	if len(s) > limit {
		s = s[:limit] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}
