// Package wasm runs WebAssembly core modules with wazero, in Go and without cgo
// (RFC-MYTHOS-0006 §11). Each call gets a fresh instance: its own memory,
// globals and tables, which are dropped when it ends. A module is found by the
// SHA-256 of its bytes, compiled once, and kept in memory and on disk.
//
// What a module can reach is exactly this:
//
//   - mythos_v1: request_len, request_read and response_write (hostcall abi) and
//     log. A granted hostcall is refused until a capability can grant it.
//   - wasi_snapshot_preview1: the functions stock toolchains link, with nothing
//     behind them: argv ["module"], no environment, no folders, a clock that
//     starts at 1 ms and moves only by the time that poll_oneoff is asked to
//     wait, random bytes computed from the request hash. fd 0 is the request
//     frame and fd 1 the response frame with the stdio abi, else empty and
//     dropped; fd 2 is the log.
//
// So the response, the outcome and the log are functions of the module and the
// request: two calls, two machines and both of wazero's engines agree. The two
// exceptions are the wall clock limit and, until the instruction limit exists,
// recursion without end, which stops where the host's stack does.
//
// The wall clock limit is enforced by wazero's context cancellation, which slows
// loops about eightfold. It is there only until modules are rewritten to count
// instructions and to yield; Limits.Fuel is not enforced before that, and
// Result says so by leaving FuelUsed nil.
//
// The disk cache holds machine code that this process will execute. It must be
// private to the user: New creates it 0700 and refuses one that others can
// enter. Its entries carry wazero's checksum, which finds damage, but no MAC
// yet: whoever can write there can run code as this user.
package wasm

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
)

// Codes of modules that this runner refuses.
const (
	// ErrInvalid: the bytes are not a valid core module of the accepted features.
	ErrInvalid fault.Code = "module_invalid"
	// ErrComponent: the bytes are a component, not a core module.
	ErrComponent fault.Code = "module_component"
	// ErrTooLarge: the module exceeds a size or count limit.
	ErrTooLarge fault.Code = "module_too_large"
	// ErrImportUnknown: an import is not part of the contract, by name or type.
	ErrImportUnknown fault.Code = "module_import_unknown"
	// ErrImportUngranted: a hostcall that needs a capability was not granted.
	ErrImportUngranted fault.Code = "module_import_ungranted"
	// ErrEntryMissing: the entry is not an exported function () -> ().
	ErrEntryMissing fault.Code = "module_entry_missing"
	// ErrMemoryLimit: the declared minimum memory is over the module's limit.
	ErrMemoryLimit fault.Code = "module_memory_limit"
	// ErrCache: the folder of compiled code cannot be used.
	ErrCache fault.Code = "module_cache"
)

// Options configure a Runner.
type Options struct {
	// CacheDir is a folder for compiled code, created if missing, private to the
	// user. Empty: compiled code is kept in memory only.
	CacheDir string
	// Modules is how many compiled modules are kept in memory. 0: 64.
	Modules int
	// MaxModuleBytes bounds a module's size. 0: 64 MiB.
	MaxModuleBytes uint64
	// MaxMemoryBytes bounds the memory that a module's limits may ask for.
	// 0: 4 GiB, all that a module can address.
	MaxMemoryBytes uint64
	// Interpreter runs modules in wazero's interpreter: slow, and the same in
	// every result. It is the default only where wazero has no compiler.
	Interpreter bool
	// Now is the clock behind Result.Wall. nil: time.Now.
	Now func() time.Time
}

// Runner is a runner.Runner for core WebAssembly modules.
type Runner struct {
	options Options
	engine  string
	cache   *cache
	config  wazero.ModuleConfig
	calls   sync.WaitGroup
	mu      sync.Mutex // guards closed and calls.Add against Close
	closed  bool
	done    chan struct{} // closed when Close is through
	err     error         // what Close returned
}

var _ runner.Runner = (*Runner)(nil)

// New returns a Runner.
func New(o Options) (*Runner, error) {
	if o.Modules == 0 {
		o.Modules = 64
	}
	if o.MaxModuleBytes == 0 {
		o.MaxModuleBytes = 64 << 20
	}
	if o.MaxMemoryBytes == 0 {
		o.MaxMemoryBytes = maxPages * pageSize
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Modules < 0 || o.MaxModuleBytes > math.MaxInt32 {
		return nil, fault.New(runner.ErrLimits, "%d modules of at most %d bytes", o.Modules, o.MaxModuleBytes)
	}
	o.Interpreter = o.Interpreter || !compilerSupported()
	r := &Runner{
		options: o,
		engine:  engineName(o.Interpreter),
		config:  wazero.NewModuleConfig().WithName("").WithStartFunctions(),
		done:    make(chan struct{}),
	}
	c, err := newCache(o, r.engine)
	if err != nil {
		return nil, err
	}
	r.cache = c
	return r, nil
}

// Kind returns runner.KindWASM.
func (r *Runner) Kind() uint8 { return runner.KindWASM }

// Engine names what runs modules, such as "wazero/v1.12.0 compiler linux/amd64".
func (r *Runner) Engine() string { return r.engine }

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
	if err := r.enter(); err != nil {
		return runner.Result{}, err
	}
	defer r.calls.Done()
	if n, limit := uint64(len(c.Request)), c.Module.Limits.MaxRequest; n > limit {
		return runner.Result{}, fault.New(runner.ErrRequestTooLarge, "the request has %d bytes, at most %d", n, limit)
	}
	res := runner.Result{Engine: r.engine, SandboxLevel: runner.SandboxOwnKernel}
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
	r.invoke(ctx, e, c, &res)
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
	if m.Kind != runner.KindWASM || (m.ABI != runner.ABIHostcall && m.ABI != runner.ABIStdio) {
		return nil, fault.New(runner.ErrKind, "kind %d with abi %d is not a wasm module", m.Kind, m.ABI)
	}
	if err := m.Limits.Check(); err != nil {
		return nil, err
	}
	if m.Limits.MemoryBytes > r.options.MaxMemoryBytes {
		return nil, fault.New(runner.ErrLimits, "memory_bytes is %d, at most %d here", m.Limits.MemoryBytes, r.options.MaxMemoryBytes)
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

// entryName returns the export that a call invokes.
func entryName(m runner.Module) (string, error) {
	switch len(m.Entry) {
	case 0:
		return startEntry, nil
	case 1:
		return m.Entry[0], nil
	}
	return "", fault.New(ErrEntryMissing, "a wasm entry is one export name, got %d", len(m.Entry))
}

// loader is runner.Module.Load.
type loader = func(context.Context) ([]byte, error)

// verify compares the bytes that a loader returned with their digest.
func verify(b []byte, digest cid.Hash) error {
	if got := cid.Sum(b); got != digest {
		return fault.New(runner.ErrDigest, "the loaded bytes are %s, want %s", got, digest)
	}
	return nil
}
