package process

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// job is one call on its way.
type job struct {
	r       *Runner
	call    *runner.Call
	entry   *entry     // held
	on      *installed // process
	held    *heldTree  // process
	secrets []secret
	watch   *growth // nil without a write grant
	slot    bool    // a place among MaxWorkers
	res     runner.Result
}

// prepare does what comes before the start. Nothing of the module runs in it.
func (j *job) prepare(ctx context.Context) (err error) {
	r, m := j.r, &j.call.Module
	if j.entry, j.on, err = r.admit(ctx, *m); err != nil {
		return err
	}
	if j.on != nil {
		j.res.Engine = "process " + j.on.String()
		j.res.Interpreter = &j.on.SHA256
	}
	if err := r.admitGrants(&j.call.Grants); err != nil {
		return err
	}
	if j.secrets, err = secrets(j.call.Grants.Secrets); err != nil {
		return err
	}
	if r.kind == runner.KindProcess {
		if j.held, err = j.entry.hold(ctx, r.trees, m.Open); err != nil {
			return err
		}
	}
	select {
	case r.slots <- struct{}{}:
		j.slot = true
	case <-ctx.Done():
		return ctx.Err()
	}
	j.watch, err = newGrowth(j.call.Grants.Write)
	return err
}

// release gives back what prepare took.
func (j *job) release() {
	if j.entry != nil {
		j.r.programs.release(j.entry)
	}
	if j.slot {
		<-j.r.slots
	}
}

// run serves the call by a worker that waits or by a new process.
func (j *job) run(ctx context.Context) error {
	if !j.call.Module.Reuse || len(j.call.Grants.Write) > 0 {
		w, err := j.launch(ctx)
		if err != nil {
			return err
		}
		return j.settle(w, w.once(ctx, j))
	}
	k := j.key()
	w := j.r.pool.take(k)
	if w == nil {
		var err error
		if w, err = j.launch(ctx); err != nil {
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

// settle takes what an exchange found and clears the process away, off the path
// of the call. An error means that nothing of the module ran.
func (j *job) settle(w *worker, e ending) error {
	j.r.reap(w)
	if e.setup != nil {
		return fmt.Errorf("start of module %s: %w", j.call.Module.Digest, e.setup)
	}
	j.take(e)
	return nil
}

func (j *job) take(e ending) {
	j.res.Outcome, j.res.Response, j.res.Detail = e.outcome, e.response, e.detail
	j.res.Log, j.res.LogTruncated = e.log.Bytes()
}

// launch starts a process for the call, in a parked sandbox if there is one.
func (j *job) launch(ctx context.Context) (*worker, error) {
	r := j.r
	limits := sandbox.Limits{Memory: int64(j.call.Module.Limits.MemoryBytes), Pids: r.options.MaxPids}
	if j.watch != nil {
		limits.FileBytes = j.watch.fileBytes()
	}
	w := &worker{r: r, entry: j.entry, started: r.options.Now()}
	r.programs.hold(j.entry)
	spec, open, err := j.spec(w, limits)
	defer func() {
		for _, f := range open {
			_ = f.Close()
		}
	}()
	if err == nil {
		err = w.start(ctx, spec, j.watch == nil)
	}
	if err != nil {
		w.release()
		return nil, err
	}
	return w, nil
}

// start starts w's process, in a parked sandbox if may and there is one. A parked
// sandbox that fails has run nothing, so a new one is tried.
func (w *worker) start(ctx context.Context, spec sandbox.Spec, may bool) (err error) {
	if may {
		if box := w.r.lot.take(spec.Limits); box != nil {
			if w.proc, err = box.Start(ctx, spec); err != nil {
				w.proc = nil
				_ = box.Close()
			}
		}
	}
	if w.proc == nil {
		if w.proc, err = w.r.host.Start(ctx, spec); err != nil {
			w.proc = nil
			return err
		}
	}
	w.pipes = newPipes(w.proc.Stdin, w.proc.Stdout, w.proc.Stderr)
	return nil
}

// spec says what to run, and which files are to be closed when it was started.
func (j *job) spec(w *worker, limits sandbox.Limits) (s sandbox.Spec, open []*os.File, err error) {
	g := &j.call.Grants
	s = sandbox.Spec{Env: environment(), Limits: limits}
	if j.on == nil {
		s.Argv = j.call.Module.Entry
		s.Exec = j.entry.code
	} else {
		entry := j.call.Module.Entry
		s.Argv = append([]string{j.on.Path, moduleDir + "/" + entry[0]}, entry[1:]...)
		s.Dir = moduleDir
		tree, d := j.module()
		s.Mounts = append(j.r.show(j.on.Needs), tree)
		open = append(open, d...)
	}
	granted, err := j.r.paths(g)
	if err != nil {
		return s, open, err
	}
	open = append(open, granted.open...)
	s.Mounts = append(s.Mounts, granted.mounts...)
	for i, v := range j.secrets {
		f, err := sealed("secret", v.value, false)
		if err != nil {
			return s, open, fault.New(runner.ErrGrant, "this machine cannot hold a secret for a module: %w", err)
		}
		open = append(open, f)
		s.Files = append(s.Files, f)
		s.Env = append(s.Env, fmt.Sprintf("%s=%d", v.env, firstFile+i))
	}
	if g.Net != nil {
		if w.net, err = newGateway(j.r.trees, j.r.options.Proxy); err != nil {
			return s, open, err
		}
		s.Sockets = []sandbox.Socket{w.net.socket()}
		s.Env = append(s.Env, netEnv+"="+netSocket)
	}
	return s, open, nil
}

// module mounts the tree: the very folder that was checked, where the host may
// hand it over, else its path, which is private to this user.
func (j *job) module() (sandbox.Mount, []*os.File) {
	m := sandbox.Mount{Source: j.held.path, Target: moduleDir}
	if j.r.host.Level() < sandbox.LevelNamespaces {
		return m, nil
	}
	d, err := detach(j.held.files)
	if err != nil {
		return m, nil
	}
	m.Source, m.File = "", d
	return m, []*os.File{d}
}

// show mounts what an interpreter needs.
func (r *Runner) show(needs []Need) []sandbox.Mount {
	var out []sandbox.Mount
	for _, n := range needs {
		source := n.Source
		if source == "" {
			source = r.trees.empty()
		}
		out = append(out, sandbox.Mount{Source: source, Target: n.Target})
	}
	return out
}

// reap ends a process and gives back what it holds.
func (r *Runner) reap(w *worker) {
	r.reaping.Go(w.release)
}

// age is how long a worker has been running.
func (w *worker) age() time.Duration { return w.r.options.Now().Sub(w.started) }
