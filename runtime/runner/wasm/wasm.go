// Package wasm runs WebAssembly core modules with wazero, in Go and without cgo
// (RFC-MYTHOS-0006 §11). Each call gets a fresh instance: its own memory,
// globals and tables, which are dropped when it ends. A module is found by the
// SHA-256 of its bytes, compiled once, and kept in memory and on disk.
//
// What a module can reach is exactly this:
//
//   - mythos_v1: request_len, request_read and response_write (hostcall abi) and
//     log. Under a capability that the module asks for and the call was granted:
//     now_us, random, blob_get, http and http_read. Each of these is recorded in
//     the call's io transcript, and Replay runs a module against one.
//   - wasi_snapshot_preview1: the functions stock toolchains link, with nothing
//     behind them: argv ["module"], no environment, no folders, a clock that
//     starts at 1 ms and moves only by the time that poll_oneoff is asked to
//     wait, random bytes computed from the request hash. fd 0 is the request
//     frame and fd 1 the response frame with the stdio abi, else empty and
//     dropped; fd 2 is the log.
//
// A module is validated and rewritten once, so that it counts its own fuel
// (libs/fuel), and compiled by an Engine. So the response, the outcome, the log
// and the fuel used are functions of the module, the request and what granted
// hostcalls gave it: two calls, two machines and two engines agree. Exceptions are the wall clock limit and a
// failure of the host, which are never an answer of the module (TimedOut, Killed).
//
// Beside the memory that its limits give, a call uses the engine's stack: some
// megabytes for the deepest recursion that compilers write, and up to 150 MB for
// code that is made to need it, where wazero ends it (Killed).
//
// The disk cache holds machine code that this process will execute. It must be
// private to the user: New creates it 0700 and refuses one that others can
// enter, and every file carries a MAC under a key of the node's own.
package wasm

import (
	"context"
	"crypto/rand"
	"io"
	"math"
	"sync"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/network"
)

// Codes of modules that this runner refuses, beside those of libs/fuel.
const (
	// ErrEngine: the engine cannot compile a module that is valid.
	ErrEngine fault.Code = "module_engine"
	// ErrImportUnknown: an import is not part of the contract, by name or type.
	ErrImportUnknown fault.Code = "module_import_unknown"
	// ErrImportUngranted: a hostcall that needs a capability was not granted.
	ErrImportUngranted fault.Code = "module_import_ungranted"
	// ErrEntryMissing: the entry is not an exported function () -> ().
	ErrEntryMissing fault.Code = "module_entry_missing"
	// ErrMemoryLimit: the declared minimum memory is over the module's limit.
	ErrMemoryLimit fault.Code = "module_memory_limit"
	// ErrHostMemory: the host has no memory for an instance.
	ErrHostMemory fault.Code = "module_host_memory"
	// ErrCache: the folder of compiled code cannot be used.
	ErrCache fault.Code = "module_cache"
)

// Options configure a Runner.
type Options struct {
	// CacheDir is a folder for compiled code, created if missing, private to the
	// user. Empty: compiled code is kept in memory only.
	CacheDir string
	// CacheKey is the key of the MAC that files in CacheDir carry: 32 bytes,
	// needed with it.
	CacheKey []byte
	// Modules is how many compiled modules are kept in memory. 0: 64.
	Modules int
	// MaxModuleBytes bounds a module's size. 0: 64 MiB.
	MaxModuleBytes uint64
	// MaxMemoryBytes bounds the memory that a module's limits may ask for.
	// 0, and at most: 65,535 pages.
	MaxMemoryBytes uint64
	// Interpreter runs modules in wazero's interpreter: slow, and the same in
	// every result. It is the default only where wazero has no compiler. Its own
	// stack ends at 2,000 frames, where a compiled module has room for all that
	// its depth allows.
	Interpreter bool
	// Engine runs modules; the Runner closes it. nil: wazero.
	Engine Engine
	// Slice is how much fuel a module gets at a time. 0: 250,000. No result and
	// no count depends on it.
	Slice int64
	// NoImage calls _initialize anew in each call, and keeps no image of what it
	// leaves behind. No result and no count depends on it.
	NoImage bool
	// Now is the clock behind Result.Wall and now_us. nil: time.Now.
	Now func() time.Time
	// Random is what the hostcall random reads. nil: crypto/rand.
	Random io.Reader
	// Network is how http reaches the network.
	Network network.Options

	egress *network.Egress // of Network
}

// withDefaults replaces zero values by what they stand for.
func (o Options) withDefaults() Options {
	if o.Modules == 0 {
		o.Modules = 64
	}
	if o.MaxModuleBytes == 0 {
		o.MaxModuleBytes = 64 << 20
	}
	if o.MaxMemoryBytes == 0 {
		o.MaxMemoryBytes = maxPages * pageSize
	}
	if o.Slice == 0 {
		o.Slice = defaultSlice
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	o.egress = network.New(o.Network)
	return o
}

// Runner is a runner.Runner for core WebAssembly modules.
type Runner struct {
	options Options
	engine  Engine
	cache   *cache
	calls   sync.WaitGroup
	mu      sync.Mutex // guards closed and calls.Add against Close
	closed  bool
	done    chan struct{} // closed when Close is through
	err     error         // what Close returned
}

var _ runner.Replayer = (*Runner)(nil)

// New returns a Runner.
func New(o Options) (*Runner, error) {
	o = o.withDefaults()
	if o.Modules < 0 || o.MaxModuleBytes > math.MaxInt32 || o.MaxMemoryBytes > maxPages*pageSize || o.Slice < 0 {
		return nil, fault.New(runner.ErrLimits, "%d modules of at most %d bytes with %d of memory, slices of %d",
			o.Modules, o.MaxModuleBytes, o.MaxMemoryBytes, o.Slice)
	}
	r := &Runner{options: o, engine: o.Engine, done: make(chan struct{})}
	if r.engine == nil {
		var d *disk
		var err error
		if o.CacheDir != "" {
			if d, err = openDisk(o.CacheDir, o.CacheKey); err != nil {
				return nil, err
			}
		}
		r.engine = newWazero(o.Interpreter, d)
	}
	r.cache = newCache(r.engine, &r.options)
	return r, nil
}

// Kind returns runner.KindWASM.
func (r *Runner) Kind() uint8 { return runner.KindWASM }

// Engine names what runs modules, such as "wazero/v1.12.0 compiler linux/amd64".
func (r *Runner) Engine() string { return r.engine.Name() }

// Check compiles the module if it must and reports why it would be refused.
func (r *Runner) Check(ctx context.Context, m runner.Module) error {
	if err := r.enter(); err != nil {
		return err
	}
	defer r.calls.Done()
	e, err := r.admit(ctx, m)
	if err != nil {
		return err
	}
	r.cache.release(e)
	return nil
}

// Run invokes a module once, as runner.Runner says.
func (r *Runner) Run(ctx context.Context, c runner.Call) (runner.Result, error) {
	if len(c.Grants.Read) > 0 || len(c.Grants.Write) > 0 {
		return runner.Result{}, fault.New(runner.ErrGrant, "a wasm module cannot be given folders")
	}
	return r.run(ctx, c, nil)
}

// Replay runs a module against a recording, as runner.Replayer says.
func (r *Runner) Replay(ctx context.Context, c runner.Call, rec runner.Recording) (runner.Result, error) {
	p, err := newReplay(ctx, rec)
	if err != nil {
		return runner.Result{}, err
	}
	c.Grants = runner.Grants{}
	res, err := r.run(ctx, c, p)
	if err != nil {
		return runner.Result{}, err
	}
	if err := p.verdict(&res, rec.ResponseHash); err != nil {
		return runner.Result{}, err
	}
	return res, nil
}

// run runs a module in the world, or against a recording.
func (r *Runner) run(ctx context.Context, c runner.Call, p *replay) (runner.Result, error) {
	if err := r.enter(); err != nil {
		return runner.Result{}, err
	}
	defer r.calls.Done()
	if n, limit := uint64(len(c.Request)), c.Module.Limits.MaxRequest; n > limit {
		return runner.Result{}, fault.New(runner.ErrRequestTooLarge, "the request has %d bytes, at most %d", n, limit)
	}
	res := runner.Result{Engine: r.engine.Name(), SandboxLevel: runner.SandboxOwnKernel}
	e, err := r.admit(ctx, c.Module)
	if err != nil && ctx.Err() == nil {
		return runner.Result{}, err
	}
	if ctx.Err() != nil {
		if err == nil {
			r.cache.release(e)
		}
		res.Outcome, res.Detail = runner.NotStarted, "the context ended before the module started: "+ctx.Err().Error()
		return res, nil
	}
	defer r.cache.release(e)
	start := r.options.Now()
	if err := r.invoke(ctx, e, &c, p, &res); err != nil {
		return runner.Result{}, err
	}
	res.Wall = r.options.Now().Sub(start)
	return res, nil
}

// Close refuses further calls, waits for those that run, and frees all code.
func (r *Runner) Close() error {
	r.mu.Lock()
	first := !r.closed
	r.closed = true
	r.mu.Unlock()
	if !first {
		<-r.done
		return r.err
	}
	r.cache.cancel() // a compilation that nobody will use
	r.calls.Wait()
	r.err = r.cache.close()
	close(r.done)
	return r.err
}

func (r *Runner) enter() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return fault.New(runner.ErrClosed, "the wasm runner was closed")
	}
	r.calls.Add(1)
	return nil
}

// admit returns the compiled module, held for the caller, if this runner
// accepts it.
func (r *Runner) admit(ctx context.Context, m runner.Module) (*entry, error) {
	if err := r.options.admits(m); err != nil {
		return nil, err
	}
	e, err := r.cache.get(ctx, m.Digest, m.Load)
	if err != nil {
		return nil, err
	}
	if err := e.module.accepts(m); err != nil {
		r.cache.release(e)
		return nil, err
	}
	return e, nil
}
