// Package process runs modules that are programs of this machine: kind process,
// files for node or python3, and kind native, a static executable
// (RFC-MYTHOS-0006 §12). Each runs in a sandbox (runtime/runner/sandbox) and
// speaks frames: the request on stdin, the response on stdout, its log on
// stderr.
//
// What a module finds: its tree, read-only, at /module, which is also its
// folder; /tmp, empty, for itself; its interpreter; what it was granted, at the
// same paths as outside; and nothing else. argv is the interpreter and the entry,
// whose first item is made /module/ITEM, or the entry alone for kind native. The
// environment is HOME=/tmp TMPDIR=/tmp LANG=C.UTF-8 PATH=/usr/bin:/bin; with a
// network MYTHOS_NET=/run/mythos/net.sock; and for each secret
// MYTHOS_SECRET_NAME_FD=N, the descriptor of a sealed memory file.
//
// A fresh process serves one call. It is given one request and then the end of
// stdin, and the call is over when the process has ended: by its own exit with
// status 0, or it is no answer, even if the frame is whole. It has until the
// timeout for that, and no longer than Options.Grace once its frame is whole. A
// second frame, or any byte after the first, makes the answer invalid. With
// reuse a worker serves many calls, one after the other, and its answer counts
// when the frame is whole and nothing follows it. Workers are kept by module,
// package, share and all that they were started with; one is replaced after an
// answer other than 200, a log that was cut, anything out of order, 1,000 calls
// or 10 minutes. A call with a write grant never uses one: what it adds is
// counted by call, and an idle worker could go on writing.
//
// What an interpreter needs is shown read-only: the executable; for python3 its
// standard library, with site-packages hidden, since a module brings its own;
// the dynamic loader, its cache, and the folders in which the loader finds the
// libraries that executable and standard library link. Folders, not files:
// libraries are also loaded by name at run time (libgcc_s when a thread ends,
// character sets). Not /usr as a whole: a module needs no shell. So a Debian
// interpreter and one in a private prefix, such as pyenv's or nvm's, differ only
// in what is found. A privileged host opens these itself, so a prefix below a
// home of mode 0700 works.
package process

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// Codes of modules and machines that these runners refuse.
const (
	// ErrRuntimeMissing: the interpreter that a module asks for is not here.
	ErrRuntimeMissing fault.Code = "module_runtime_missing"
	// ErrRuntimeVersion: it is here, in no version that the module accepts.
	ErrRuntimeVersion fault.Code = "module_runtime_version"
	// ErrRuntime: a file of this machine cannot serve as an interpreter.
	ErrRuntime fault.Code = "module_runtime_unusable"
	// ErrNative: the module is no static executable for this machine.
	ErrNative fault.Code = "module_native_invalid"
	// ErrTree: the folder of materialised trees cannot be used, or does not hold
	// what it should.
	ErrTree fault.Code = "module_tree"
)

// Options configure a Runner.
type Options struct {
	// Sandbox runs the processes. The caller closes it, after the Runner.
	Sandbox *sandbox.Host
	// CacheDir is a folder for materialised trees and for sockets, created if
	// missing, absolute and private to the user.
	CacheDir string
	// CacheBytes and CacheTrees bound what stays there beside what is in use. 0:
	// 8 GiB, 256 trees.
	CacheBytes int64
	CacheTrees int
	// Interpreters are what process modules run on, as from Discover; of several
	// that a module accepts the first is taken.
	Interpreters []Interpreter
	// Platform is this machine, for native modules. "": what this program was
	// built for.
	Platform string
	// Proxy gives modules a network where that is granted. nil: none can have it.
	Proxy Proxy
	// Modules and ModulesBytes bound the modules kept in memory. 0: 64, 1 GiB.
	Modules      int
	ModulesBytes int64
	// MaxModuleBytes bounds a module: a native program or an encoded tree. 0: 256 MiB.
	MaxModuleBytes int
	// MaxWorkers bounds the processes that serve calls at a time; further calls
	// wait. 0: 4 for each processor, at least 8.
	MaxWorkers int
	// MaxIdle bounds the reuse workers that wait for a call. 0: 16.
	MaxIdle int
	// IdleTime is how long one waits. 0: a minute.
	IdleTime time.Duration
	// Parked is how many sandboxes are kept ready for a cold start. 0: none.
	Parked int
	// Grace is how long a fresh process may take to end after its answer. 0: 5 s.
	Grace time.Duration
	// MaxPids bounds the processes and threads of a module. 0: 64.
	MaxPids int
	// Now is the clock behind Result.Wall and the ages of trees and workers. nil:
	// time.Now.
	Now func() time.Time
}

// withDefaults replaces zero values by what they stand for.
func (o Options) withDefaults() Options {
	orElse(&o.CacheBytes, 8<<30)
	orElse(&o.CacheTrees, 256)
	orElse(&o.Platform, runtime.GOOS+"/"+runtime.GOARCH)
	orElse(&o.Modules, 64)
	orElse(&o.ModulesBytes, 1<<30)
	orElse(&o.MaxModuleBytes, 256<<20)
	orElse(&o.MaxWorkers, max(8, 4*runtime.NumCPU()))
	orElse(&o.MaxIdle, 16)
	orElse(&o.IdleTime, time.Minute)
	orElse(&o.Grace, 5*time.Second)
	orElse(&o.MaxPids, 64)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func orElse[T comparable](v *T, other T) {
	var zero T
	if *v == zero {
		*v = other
	}
}

// Runner is a runner.Runner for programs.
type Runner struct {
	kind         uint8
	options      Options
	host         *sandbox.Host
	interpreters interpreters
	trees        *trees
	programs     *programs
	lot          *lot
	pool         *pool
	slots        chan struct{}  // one for each process that serves a call
	reaping      sync.WaitGroup // processes that are being cleared away

	calls  sync.WaitGroup
	mu     sync.Mutex // guards closed and calls.Add against Close
	closed bool
	done   chan struct{} // closed when Close is through
}

var _ runner.Runner = (*Runner)(nil)

// New returns a Runner of kind process.
func New(o Options) (*Runner, error) { return open(runner.KindProcess, o) }

// NewNative returns a Runner of kind native.
func NewNative(o Options) (*Runner, error) { return open(runner.KindNative, o) }

func open(kind uint8, o Options) (*Runner, error) {
	o = o.withDefaults()
	if o.Sandbox == nil || min(o.Modules, o.MaxModuleBytes, o.MaxWorkers, o.MaxIdle, o.CacheTrees, o.MaxPids) < 0 ||
		min(o.CacheBytes, o.ModulesBytes) < 0 || o.Parked < 0 || min(o.IdleTime, o.Grace) < 0 {
		return nil, fault.New(runner.ErrLimits, "a process runner needs a sandbox, and bounds above 0")
	}
	s, err := openTrees(&o)
	if err != nil {
		return nil, err
	}
	r := &Runner{
		kind: kind, options: o, host: o.Sandbox, trees: s, lot: newLot(o.Sandbox, o.Parked),
		slots: make(chan struct{}, o.MaxWorkers), done: make(chan struct{}),
	}
	r.interpreters.set(o.Interpreters)
	r.programs = newPrograms(&r.options, r.newProgram)
	r.pool = newPool(r)
	return r, nil
}

// Kind returns runner.KindProcess or runner.KindNative.
func (r *Runner) Kind() uint8 { return r.kind }

func (r *Runner) name() string { return manifest.ModuleKindName(r.kind) }

// Check loads the module if it must and reports why it would be refused. It
// materialises nothing and runs nothing of it.
func (r *Runner) Check(ctx context.Context, m runner.Module) error {
	if err := r.enter(); err != nil {
		return err
	}
	defer r.calls.Done()
	e, _, err := r.admit(ctx, m)
	if err != nil {
		return err
	}
	r.programs.release(e)
	return nil
}

// Run invokes a module once, as runner.Runner says.
func (r *Runner) Run(ctx context.Context, c runner.Call) (runner.Result, error) {
	if err := r.enter(); err != nil {
		return runner.Result{}, err
	}
	defer r.calls.Done()
	if n, limit := uint64(len(c.Request)), c.Module.Limits.MaxRequest; n > limit {
		return runner.Result{}, fault.New(runner.ErrRequestTooLarge, "the request has %d bytes, at most %d", n, limit)
	}
	j := &job{r: r, call: &c, res: runner.Result{Engine: "native " + r.options.Platform, SandboxLevel: r.host.Level()}}
	err := j.prepare(ctx)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		start := r.options.Now()
		err = j.run(ctx)
		j.res.Wall = r.options.Now().Sub(start)
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
func (r *Runner) Close() error {
	r.mu.Lock()
	first := !r.closed
	r.closed = true
	r.mu.Unlock()
	if !first {
		<-r.done
		return nil
	}
	r.programs.cancel() // loading for nobody
	r.calls.Wait()
	r.pool.close()
	r.lot.close()
	r.reaping.Wait()
	r.programs.close()
	close(r.done)
	return nil
}

func (r *Runner) enter() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return fault.New(runner.ErrClosed, "the %s runner was closed", r.name())
	}
	r.calls.Add(1)
	return nil
}

// admit returns the module's program, held for the caller, and its interpreter,
// if this runner accepts it.
func (r *Runner) admit(ctx context.Context, m runner.Module) (*entry, *installed, error) {
	if m.Kind != r.kind || m.ABI != runner.ABIStdio {
		return nil, nil, fault.New(runner.ErrKind, "kind %d with abi %d is not a %s module", m.Kind, m.ABI, r.name())
	}
	if err := m.Limits.Check(); err != nil {
		return nil, nil, err
	}
	if m.Limits.MemoryBytes > manifest.MaxMemory {
		return nil, nil, fault.New(runner.ErrLimits, "memory_bytes is %d, at most %d", m.Limits.MemoryBytes, uint64(manifest.MaxMemory))
	}
	if err := r.host.Admit(); err != nil {
		return nil, nil, err
	}
	var on *installed
	if r.kind == runner.KindProcess {
		var err error
		if on, err = r.pick(ctx, m.Runtime); err != nil {
			return nil, nil, err
		}
	}
	e, err := r.programs.get(ctx, m.Digest, m.Load)
	if err != nil {
		return nil, nil, err
	}
	if err := e.accepts(m); err != nil {
		r.programs.release(e)
		return nil, nil, err
	}
	return e, on, nil
}

// interpreters are those of a Runner; one may be inspected anew.
type interpreters struct {
	sync.Mutex
	list []installed
}

func (s *interpreters) set(list []Interpreter) {
	for _, i := range list {
		file, err := os.Lstat(i.Path)
		if err != nil {
			file = nil // inspected again, and refused, when a module asks for it
		}
		s.list = append(s.list, installed{i, file})
	}
}

// needs returns what the interpreters read.
func (s *interpreters) needs() []Need {
	s.Lock()
	defer s.Unlock()
	var out []Need
	for _, i := range s.list {
		out = append(out, i.Needs...)
	}
	return out
}

// present says what there is; the caller holds the lock.
func (s *interpreters) present() string {
	var out []string
	for _, i := range s.list {
		out = append(out, fmt.Sprintf("%s at %s", i.String(), i.Path))
	}
	if len(out) == 0 {
		return "no interpreter is"
	}
	return strings.Join(out, ", ")
}

// clip bounds text from a module in a message.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
