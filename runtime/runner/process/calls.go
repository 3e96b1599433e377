package process

import (
	"context"
	"os"

	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// Calls serves the calls of modules whose processes another runner starts, in
// sandboxes of its own making: with the same frames, grants, workers, timeouts
// and outcomes as here.
type Calls struct{ r *Runner }

// Start is how a call gets its process. Spec has what is the same in every
// sandbox: Env, the Mounts, Files and Sockets of the grants, and Limits, where
// FileBytes is set if the call may write; Argv is the module's entry and not yet
// a path. It closes nothing of the Spec.
type Start func(context.Context, sandbox.Spec) (*sandbox.Process, error)

// Task is one call to serve.
type Task struct {
	Call  *runner.Call
	Start Start
	// Gone is called once for each process that Start returned, when it has ended.
	Gone func()
	// Hold is called before Start, and matched by Gone; also if Start fails.
	Hold func()
	// Result is what is known before: Engine and SandboxLevel.
	Result runner.Result
}

// NewCalls returns the Calls of a runner of another kind. Of the options those
// about interpreters, the platform, modules and parked sandboxes are not used.
// CacheDir holds sockets.
func NewCalls(kind uint8, o Options) (*Calls, error) {
	o.Interpreters, o.Parked = nil, 0
	r, err := open(kind, o)
	if err != nil {
		return nil, err
	}
	return &Calls{r}, nil
}

// AdmitGrants refuses what cannot be enforced.
func (c *Calls) AdmitGrants(g *runner.Grants) error { return c.r.admitGrants(g) }

// Run serves a call; module, limits and grants are admitted. It is as
// runner.Runner's.
func (c *Calls) Run(ctx context.Context, t Task) (runner.Result, error) {
	if err := c.r.enter(); err != nil {
		return runner.Result{}, err
	}
	defer c.r.calls.Done()
	j := &job{r: c.r, call: t.Call, res: t.Result}
	err := j.prepareFor(ctx)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		start := c.r.options.Now()
		err = j.runFor(ctx, &t)
		j.res.Wall = c.r.options.Now().Sub(start)
	}
	j.release()
	switch {
	case err != nil && ctx.Err() != nil:
		j.res.Outcome, j.res.Detail = runner.NotStarted, "the context ended before the module started: "+ctx.Err().Error()
	case err != nil:
		return runner.Result{}, err
	}
	return j.res, nil
}

// Close refuses further calls, waits for those that run, and ends every process.
func (c *Calls) Close() error { return c.r.Close() }

// prepareFor is prepare without a program.
func (j *job) prepareFor(ctx context.Context) (err error) {
	if j.secrets, err = secrets(j.call.Grants.Secrets); err != nil {
		return err
	}
	select {
	case j.r.slots <- struct{}{}:
		j.slot = true
	case <-ctx.Done():
		return ctx.Err()
	}
	j.watch, err = newGrowth(j.call.Grants.Write)
	return err
}

// runFor is run with processes that t starts.
func (j *job) runFor(ctx context.Context, t *Task) error {
	if !j.call.Module.Reuse || len(j.call.Grants.Write) > 0 {
		w, err := j.launchFor(ctx, t)
		if err != nil {
			return err
		}
		return j.settle(w, w.once(ctx, j))
	}
	k := j.key()
	w := j.r.pool.take(k)
	if w == nil {
		var err error
		if w, err = j.launchFor(ctx, t); err != nil {
			return err
		}
	}
	e := w.serve(ctx, j)
	if e.reusable && e.outcome == runner.Answered {
		j.take(e)
		j.r.pool.put(k, w)
		return nil
	}
	return j.settle(w, e)
}

// launchFor is launch with a process that t starts.
func (j *job) launchFor(ctx context.Context, t *Task) (*worker, error) {
	r := j.r
	limits := sandbox.Limits{Memory: int64(j.call.Module.Limits.MemoryBytes), Pids: r.options.MaxPids}
	if j.watch != nil {
		limits.FileBytes = j.watch.fileBytes()
	}
	// Held twice: a worker's release must not end what is no program of ours.
	w := &worker{r: r, entry: &entry{program: &program{}, users: 2}, started: r.options.Now()}
	j.entry = w.entry // for spec
	defer func() { j.entry = nil }()
	spec, open, err := j.spec(w, limits)
	defer func() {
		for _, f := range open {
			_ = f.Close()
		}
	}()
	t.Hold()
	if err == nil {
		w.proc, err = t.Start(ctx, spec)
	}
	if err != nil {
		w.proc = nil
		w.release()
		t.Gone()
		return nil, err
	}
	proc := w.proc
	r.reaping.Go(func() {
		proc.Wait()
		t.Gone()
	})
	w.pipes = newPipes(w.proc.Stdin, w.proc.Stdout, w.proc.Stderr)
	return w, nil
}

// Detached returns a read-only mount of a folder that is attached nowhere, or
// os.ErrPermission where this user may not make one.
func Detached(dir *os.File) (*os.File, error) { return detach(dir) }
