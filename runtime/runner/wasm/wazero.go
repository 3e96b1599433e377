package wasm

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/fuel"
)

const (
	wazeroPath = "github.com/tetratelabs/wazero"
	// wazeroVersion is used where a binary carries no build information; a test
	// compares it with go.mod.
	wazeroVersion = "v1.12.0"
)

// features are those of WebAssembly 2.0 without SIMD, as libs/fuel accepts them.
const features = api.CoreFeaturesV2 &^ api.CoreFeatureSIMD

// wazeroEngine is the Engine of this product: wazero, pure Go.
type wazeroEngine struct {
	name        string
	interpreter bool
	pool        *pool
	disk        *disk // nil: compiled code is kept in memory only
	instance    wazero.ModuleConfig

	mu      sync.Mutex
	workers []*worker // all
	idle    []*worker // those that compile nothing
}

// worker is one wazero runtime. It compiles one module at a time, so that what
// appears in its folder is that module's code; it serves the instances of all
// modules that it has compiled.
type worker struct {
	runtime wazero.Runtime
	files   *scratch // nil: none
}

func newWazero(interpreter bool, d *disk) *wazeroEngine {
	interpreter = interpreter || !compilerSupported()
	return &wazeroEngine{
		name:        engineName(interpreter),
		interpreter: interpreter,
		pool:        newPool(),
		disk:        d,
		// The sources are given because wazero would make them for each instance;
		// nothing reads them.
		instance: wazero.NewModuleConfig().WithName("").WithStartFunctions().WithRandSource(&random{}).
			WithWalltime(func() (int64, int32) { return 0, 0 }, 1).WithNanotime(func() int64 { return 0 }, 1),
	}
}

func (e *wazeroEngine) Name() string { return e.name }

// engineName names the engine as evidence has it.
func engineName(interpreter bool) string {
	mode := "compiler"
	if interpreter {
		mode = "interpreter"
	}
	return "wazero/" + engineVersion() + " " + mode + " " + runtime.GOOS + "/" + runtime.GOARCH
}

func engineVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return wazeroVersion
	}
	for _, d := range info.Deps {
		if d.Path == wazeroPath && d.Version != "" {
			return d.Version
		}
	}
	return wazeroVersion
}

// compilerSupported reports whether wazero compiles to machine code here.
func compilerSupported() bool {
	switch runtime.GOOS {
	case "linux", "darwin", "freebsd", "netbsd", "windows":
		return runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64"
	}
	return false
}

// acquire returns a worker for the caller alone, until release. One with files
// has a folder for compiled code.
func (e *wazeroEngine) acquire(ctx context.Context, files bool) (*worker, error) {
	e.mu.Lock()
	for i, w := range e.idle {
		if (w.files != nil) == files {
			e.idle = slices.Delete(e.idle, i, i+1)
			e.mu.Unlock()
			return w, nil
		}
	}
	e.mu.Unlock()
	w, err := e.newWorker(ctx, files)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	e.workers = append(e.workers, w)
	e.mu.Unlock()
	return w, nil
}

func (e *wazeroEngine) release(w *worker) {
	e.mu.Lock()
	e.idle = append(e.idle, w)
	e.mu.Unlock()
}

// newWorker makes a runtime whose instances can import the contract. The memory
// limit is the format's own: the allocator enforces each call's, and must see
// every growth to note a refusal.
func (e *wazeroEngine) newWorker(ctx context.Context, files bool) (*worker, error) {
	c := wazero.NewRuntimeConfigCompiler()
	if e.interpreter {
		c = wazero.NewRuntimeConfigInterpreter()
	}
	c = c.WithCoreFeatures(features).WithMemoryLimitPages(maxPages + 1).WithDebugInfoEnabled(false).WithCloseOnContextDone(false)
	w := &worker{}
	if files {
		s, err := newScratch()
		if err != nil {
			return nil, err
		}
		w.files, c = s, c.WithCompilationCache(s.cache)
	}
	w.runtime = wazero.NewRuntimeWithConfig(ctx, c)
	if err := linkContract(ctx, w.runtime); err != nil {
		return nil, errors.Join(fmt.Errorf("host modules: %w", err), w.close())
	}
	return w, nil
}

// hostKey is the context key under which host functions find their call.
type hostKey struct{}

// linkContract makes the functions of the contract importable in a runtime.
func linkContract(ctx context.Context, rt wazero.Runtime) error {
	builders := map[string]wazero.HostModuleBuilder{}
	for _, f := range Contract() {
		b := builders[f.Module]
		if b == nil {
			b = rt.NewHostModuleBuilder(f.Module)
			builders[f.Module] = b
		}
		host := func(ctx context.Context, stack []uint64) { ctx.Value(hostKey{}).(*Host).Call(f, stack) }
		b.NewFunctionBuilder().WithGoFunction(api.GoFunc(host), f.Params, f.Results).Export(f.Name)
	}
	for _, b := range builders {
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Compile compiles, or takes the code from disk if it is there. When that fails,
// compiling without the disk tells whether the module or the disk is at fault.
func (e *wazeroEngine) Compile(ctx context.Context, m *fuel.Rewritten) (Program, error) {
	if e.disk != nil {
		p, err := e.compile(ctx, m, true)
		if err == nil || ctx.Err() != nil {
			return p, err
		}
	}
	return e.compile(ctx, m, false)
}

func (e *wazeroEngine) compile(ctx context.Context, m *fuel.Rewritten, files bool) (Program, error) {
	w, err := e.acquire(ctx, files)
	if err != nil {
		return nil, err
	}
	defer e.release(w)
	p := &wazeroProgram{engine: e, worker: w, hasMemory: m.HasMemory, globals: m.Globals}
	if files {
		p.compiled, err = e.disk.compile(ctx, e.name, w, m.Wasm)
	} else {
		p.compiled, err = compileWith(ctx, w.runtime, m.Wasm)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// compileWith compiles in rt. The module is valid and within bounds: that the
// engine cannot compile it, by an error or a panic, is the engine's defect.
func compileWith(ctx context.Context, rt wazero.Runtime, b []byte) (m wazero.CompiledModule, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, fault.New(ErrEngine, "the engine cannot compile the module: %s", brief(fmt.Sprint(p)))
		}
	}()
	m, err = rt.CompileModule(ctx, b)
	if err != nil {
		return nil, fault.New(ErrEngine, "the engine cannot compile the module: %s", brief(err.Error()))
	}
	return m, nil
}

func (e *wazeroEngine) Close() error {
	var errs []error
	for _, w := range e.workers {
		errs = append(errs, w.close())
	}
	e.pool.close()
	return errors.Join(errs...)
}

func (w *worker) close() error {
	err := w.runtime.Close(context.Background())
	if w.files != nil {
		err = errors.Join(err, w.files.close())
	}
	return err
}

type wazeroProgram struct {
	engine    *wazeroEngine
	worker    *worker
	compiled  wazero.CompiledModule
	hasMemory bool
	globals   []string
}

func (p *wazeroProgram) Close() error { return p.compiled.Close(context.Background()) }

func (p *wazeroProgram) Instantiate(h *Host) (Instance, error) {
	i := &wazeroInstance{program: p, memory: linear{host: h, pool: p.engine.pool}}
	ctx := context.WithValue(context.Background(), hostKey{}, h)
	i.ctx = ctx
	if p.hasMemory {
		if err := i.memory.acquire(); err != nil {
			return nil, err
		}
		ctx = experimental.WithMemoryAllocator(ctx, &i.memory)
	}
	m, err := p.worker.runtime.InstantiateModule(ctx, p.compiled, p.engine.instance)
	if err != nil {
		i.memory.Free()
		return nil, err
	}
	i.module = m
	i.fuel = m.ExportedGlobal(fuel.FuelExport).(api.MutableGlobal)
	i.depth = m.ExportedGlobal(fuel.DepthExport).(api.MutableGlobal)
	return i, nil
}

type wazeroInstance struct {
	program     *wazeroProgram
	ctx         context.Context
	module      api.Module
	fuel, depth api.MutableGlobal
	memory      linear
}

func (i *wazeroInstance) Call(export string) error {
	return i.module.ExportedFunction(export).CallWithStack(i.ctx, nil)
}

func (i *wazeroInstance) Fuel() int64      { return int64(i.fuel.Get()) }
func (i *wazeroInstance) SetFuel(n int64)  { i.fuel.Set(uint64(n)) }
func (i *wazeroInstance) Depth() int32     { return int32(uint32(i.depth.Get())) }
func (i *wazeroInstance) SetDepth(n int32) { i.depth.Set(uint64(uint32(n))) }

func (i *wazeroInstance) global(name string) api.MutableGlobal {
	return i.module.ExportedGlobal(name).(api.MutableGlobal)
}

func (i *wazeroInstance) Globals() []uint64 {
	out := make([]uint64, len(i.program.globals))
	for n, name := range i.program.globals {
		out[n] = i.global(name).Get()
	}
	return out
}

func (i *wazeroInstance) SetGlobals(values []uint64) {
	for n, name := range i.program.globals {
		i.global(name).Set(values[n])
	}
}

func (i *wazeroInstance) Grow(size int) error {
	if size <= len(i.memory.bytes) {
		return nil
	}
	if _, ok := i.module.Memory().Grow(uint32((size - len(i.memory.bytes)) / pageSize)); !ok {
		return ErrHostMemory
	}
	return nil
}

func (i *wazeroInstance) Memory() []byte { return i.memory.bytes }

func (i *wazeroInstance) Close() error { return i.module.Close(i.ctx) }
