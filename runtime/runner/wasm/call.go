package wasm

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/runner"
)

// callKey is the context key under which host functions find their call.
type callKey struct{}

// call is the state of one invocation. Only the goroutine that runs the guest
// touches it.
type call struct {
	ctx       context.Context
	limits    *runner.Limits
	hasMemory bool
	request   []byte
	response  []byte        // hostcall abi
	refused   bool          // the last response_write was refused
	stdin     []byte        // what is unread of fd 0
	frame     *runner.Frame // fd 1 with the stdio abi, else nil
	log       *runner.Log
	random    *random
	now       uint64  // virtual clock, ns
	shut      [3]bool // closed file descriptors
	exited    bool    // proc_exit was called
	exitCode  uint32
	memory    allocator
}

func newCall(m *module, c *runner.Call) *call {
	s := &call{
		limits:    &c.Module.Limits,
		hasMemory: m.hasMemory,
		request:   c.Request,
		log:       runner.NewLog(c.Module.Limits.MaxStderr),
		random:    newRandom(c.RequestHash),
		now:       clockStart,
	}
	s.memory.limit = c.Module.Limits.MemoryBytes &^ (pageSize - 1)
	if c.Module.ABI == runner.ABIStdio {
		s.stdin = abi.AppendFrame(nil, c.Request)
		s.frame = runner.NewFrame(c.Module.Limits.MaxResponse)
	}
	return s
}

// errDeadline unwinds a guest out of a host function that took too long.
var errDeadline = errors.New("the wall clock limit ended a host function")

// checkDeadline is called before each host function, and in those whose work the
// guest can make long.
func (c *call) checkDeadline() {
	if c.ctx.Err() != nil {
		panic(errDeadline)
	}
}

// invoke runs a module once and fills in how it ended.
func (r *Runner) invoke(ctx context.Context, e *entry, rc runner.Call, res *runner.Result) {
	ctx, cancel := context.WithTimeout(ctx, rc.Module.Limits.Timeout)
	defer cancel()
	c := newCall(e.module, &rc)
	c.ctx = experimental.WithMemoryAllocator(context.WithValue(ctx, callKey{}, c), &c.memory)
	err := r.enterGuest(c, e, rc.Module)
	res.Log, res.LogTruncated = c.log.Bytes()
	if err != nil {
		res.Outcome, res.Detail = c.judge(err)
		return
	}
	res.Outcome, res.Response, res.Detail = c.result()
}

// enterGuest instantiates the module and calls its entry. Whatever panics on
// the way becomes an error.
func (r *Runner) enterGuest(c *call, e *entry, m runner.Module) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errHost, p)
		}
	}()
	name, err := entryName(m)
	if err != nil {
		return fmt.Errorf("%w: %w", errHost, err)
	}
	guest, err := r.cache.runtime.InstantiateModule(c.ctx, e.module.compiled, r.config.WithRandSource(c.random))
	if err != nil {
		return err
	}
	defer func() { _ = guest.Close(context.WithoutCancel(c.ctx)) }() // frees memory only
	if name != startEntry && e.module.initialize {
		if err := c.export(guest, initEntry); err != nil {
			return err
		}
	}
	return c.export(guest, name)
}

// export calls one export; proc_exit(0) is a return.
func (c *call) export(guest api.Module, name string) error {
	err := guest.ExportedFunction(name).CallWithStack(c.ctx, nil)
	if c.exited && c.exitCode == 0 {
		c.exited = false
		return nil
	}
	return err
}

// errHost marks a failure of the host while a guest ran.
var errHost = errors.New("the host failed")

// judge turns what ended a guest into an outcome.
func (c *call) judge(err error) (runner.Outcome, string) {
	var closed *sys.ExitError
	var bug runtime.Error
	outcome, detail := runner.Trapped, err.Error()
	switch {
	case errors.Is(err, errHost) || errors.As(err, &bug):
		return runner.Killed, brief(detail)
	case c.exited:
		outcome, detail = runner.Exited, fmt.Sprintf("the module exited with status %d", c.exitCode)
	case errors.As(err, &closed) || errors.Is(err, errDeadline):
		return runner.TimedOut, c.stopped()
	}
	if c.memory.refused {
		outcome = runner.MemoryExceeded
		detail = fmt.Sprintf("a growth over the limit of %d bytes was refused; then: %s", c.memory.limit, detail)
	}
	return outcome, brief(detail)
}

func (c *call) stopped() string {
	if errors.Is(c.ctx.Err(), context.Canceled) {
		return "the caller's context ended"
	}
	return fmt.Sprintf("the module ran longer than %v, or than its caller would wait", c.limits.Timeout)
}

// brief bounds a message that a module can influence.
func brief(s string) string {
	const limit = 2048
	if len(s) > limit {
		s = s[:limit] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}
