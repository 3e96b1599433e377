package process

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// worker is a module's process. One goroutine at a time uses it.
type worker struct {
	*pipes
	r       *Runner
	entry   *entry // held, so that program and tree stay
	proc    *sandbox.Process
	net     *gateway // nil without a network
	started time.Time
	served  int
	stopped atomic.Int32 // why the host ended it: a reason below
	over    atomic.Pointer[string]
}

// Reasons for which the host ends a process.
const (
	running    = iota
	outOfTime  // limits.timeout
	abandoned  // the caller's context
	lingering  // it answered and did not end
	overgrown  // it wrote more than it was granted
	outOfOrder // what it wrote to stdout is no answer
)

// ending is how an exchange ended.
type ending struct {
	outcome  runner.Outcome
	response []byte
	detail   string
	log      *runner.Log
	setup    error // nothing of the module ran
	reusable bool  // the process may serve another call
}

// stop ends the process for a reason; the first one counts.
func (w *worker) stop(reason int32) {
	if w.stopped.CompareAndSwap(running, reason) {
		w.proc.Kill()
		// Where nothing else can end it, a process that has left the tree may hold
		// the pipes: nobody waits for it.
		w.deadline(time.Unix(1, 0))
	}
}

// guard bounds a call from outside: by its limits, its caller and its grants.
// The returned function ends the guarding.
func (w *worker) guard(ctx context.Context, j *job) (end func()) {
	timeout := j.call.Module.Limits.Timeout
	w.deadline(time.Time{})
	timer := time.AfterFunc(timeout, func() { w.stop(outOfTime) })
	left := context.AfterFunc(ctx, func() { w.stop(abandoned) })
	hangUp := func() {}
	if w.net != nil {
		hangUp = w.net.open(ctx, j.call.Grants.Net)
	}
	return func() {
		timer.Stop()
		left()
		hangUp()
	}
}

// once serves the one call of a fresh process, which must then end.
func (w *worker) once(ctx context.Context, j *job) ending {
	limits := &j.call.Module.Limits
	frame, log := runner.NewFrame(limits.MaxResponse), runner.NewLog(limits.MaxStderr)
	w.begin(log)
	end := w.guard(ctx, j)
	if j.watch != nil {
		j.watch.watch(func(why string) {
			w.over.Store(&why)
			w.stop(overgrown)
		})
	}
	request := w.send(j.call.Request, true)
	var grace *time.Timer
	_ = w.receive(frame, func() bool { // whatever ends it, the process is looked at next
		if grace == nil && frame.Complete() {
			grace = w.linger()
		}
		return frame.Failed()
	})
	if grace != nil {
		defer grace.Stop()
	}
	e := w.finish(frame, limits, end)
	w.deadline(time.Unix(1, 0))
	<-request // it has failed at the latest now
	w.end()
	e.log = log
	if j.watch != nil {
		if why := j.watch.end(); why != "" {
			e.outcome, e.response, e.detail = runner.Killed, nil, "the module "+why
		}
	}
	return e
}

// serve serves one of many calls of a worker.
func (w *worker) serve(ctx context.Context, j *job) ending {
	limits := &j.call.Module.Limits
	frame, log := runner.NewFrame(limits.MaxResponse), runner.NewLog(limits.MaxStderr)
	w.served++
	w.begin(log)
	end := w.guard(ctx, j)
	request := w.send(j.call.Request, false)
	_ = w.receive(frame, func() bool { return frame.Complete() || frame.Failed() })
	ready := false
	if frame.Complete() {
		var more bool
		if more, ready = w.rest(); more {
			_, _ = frame.Write([]byte{0}) // a byte after the frame, whichever it is
		}
	}
	if frame.Complete() {
		end()
		w.end()
		e := ending{outcome: runner.Answered, log: log}
		_, e.response, _ = frame.Result()
		e.reusable = w.stopped.Load() == running && ready && whole(request) && !log.Full() && succeeded(e.response) && w.fresh()
		return e
	}
	defer w.linger().Stop() // it has closed its stdout and may take a moment to end
	e := w.finish(frame, limits, end)
	w.end()
	e.log = log
	return e
}

// linger ends the process if it has not ended by itself in a while.
func (w *worker) linger() *time.Timer {
	return time.AfterFunc(w.r.options.Grace, func() { w.stop(lingering) })
}

// finish waits for the end of a process that will answer nothing more, or not
// rightly, and says how it was.
func (w *worker) finish(frame *runner.Frame, limits *runner.Limits, end func()) ending {
	if frame.Failed() {
		w.stop(outOfOrder)
	}
	exit := w.proc.Wait()
	end()
	return w.judge(exit, frame, limits)
}

// whole reports whether the request was sent to its end.
func whole(request <-chan sent) bool {
	select {
	case s := <-request:
		return s.err == nil
	default:
		return false // still writing: the module answered before it had read everything
	}
}

// Bounds of a worker's life (RFC-MYTHOS-0006 §12).
const (
	maxServed = 1000
	maxAge    = 10 * time.Minute
)

// fresh reports whether the worker may serve another call.
func (w *worker) fresh() bool { return w.served < maxServed && w.age() < maxAge }

// succeeded reads the status of a response and nothing else: whether it is valid
// is for the executor to say.
func succeeded(response []byte) bool {
	var x abi.Response
	r := can.NewReader(response)
	x.ReadCAN(&r)
	return r.Done() == nil && x.Status == abi.StatusOK
}

// judge turns the end of a process and what it wrote into an outcome.
func (w *worker) judge(exit sandbox.Exit, frame *runner.Frame, limits *runner.Limits) ending {
	outcome, response, detail := frame.Result()
	failed := exit.Signal != 0 || exit.Code != 0
	kill := func(o runner.Outcome, why string) ending { return ending{outcome: o, detail: why} }
	switch reason := w.stopped.Load(); {
	case exit.Setup != nil && reason == outOfTime:
		return kill(runner.NotStarted, fmt.Sprintf("the sandbox was not ready within the module's %v", limits.Timeout))
	case exit.Setup != nil:
		return ending{setup: exit.Setup}
	case reason == overgrown:
		return kill(runner.Killed, "the module "+*w.over.Load())
	case frame.Failed():
		return kill(outcome, detail)
	case reason == outOfTime && failed:
		return kill(runner.TimedOut, fmt.Sprintf("the module ran longer than %v", limits.Timeout))
	case reason == abandoned && failed:
		return kill(runner.TimedOut, "the caller's context ended")
	case reason == lingering && failed:
		return kill(runner.TimedOut, fmt.Sprintf("the module did not end within %v of its answer, or of closing its stdout; "+
			"a fresh process has to end when its stdin does (close what keeps it running)", w.r.options.Grace))
	case exit.OOM && (failed || response == nil):
		return kill(runner.MemoryExceeded, fmt.Sprintf("the module used more than %d bytes of memory; then: %s", limits.MemoryBytes, status(exit)))
	case syscall.Signal(exit.Signal) == syscall.SIGKILL: // no module can send that to itself in a sandbox
		return kill(runner.Killed, "something outside of the module ended it by "+status(exit))
	case exit.Signal != 0:
		return kill(runner.Trapped, "the module was ended by "+status(exit))
	case exit.Code != 0:
		return kill(runner.Exited, "the module ended with "+status(exit))
	}
	return ending{outcome: outcome, response: response, detail: detail}
}

func status(exit sandbox.Exit) string {
	if exit.Signal != 0 {
		return fmt.Sprintf("signal %d (%v)", exit.Signal, syscall.Signal(exit.Signal))
	}
	return fmt.Sprintf("status %d", exit.Code)
}

// release ends the process and gives back all it holds.
func (w *worker) release() {
	if w.proc != nil {
		_ = w.proc.Close() // kills, waits and closes the pipes
		<-w.drained
	}
	if w.net != nil {
		_ = w.net.close()
	}
	w.r.programs.release(w.entry)
}
