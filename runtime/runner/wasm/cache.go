package wasm

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tetratelabs/wazero"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
)

// cache holds compiled modules by digest, compiles each once however many
// calls want it, and forgets those not used for longest. A module in use is
// never freed.
type cache struct {
	runtime  wazero.Runtime
	disk     *disk // nil: none
	config   wazero.RuntimeConfig
	maxBytes uint64
	capacity int

	ctx    context.Context // ends with the Runner; compilations run under it
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	entries map[cid.Hash]*entry
	recent  *list.List // of *entry that are ready, most recently used first
}

// entry is one digest's module, or its compilation under way.
type entry struct {
	digest cid.Hash
	ready  chan struct{} // closed when module or err is set
	module *module
	err    error
	users  int // callers that hold it, and recent while it is listed
	place  *list.Element
}

func newCache(o Options, engine string) (*cache, error) {
	c := &cache{
		config:   runtimeConfig(o.Interpreter),
		maxBytes: o.MaxModuleBytes,
		capacity: o.Modules,
		entries:  map[cid.Hash]*entry{},
		recent:   list.New(),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	config := c.config
	if o.CacheDir != "" {
		d, err := openDisk(o.CacheDir, engine)
		if err != nil {
			return nil, err
		}
		c.disk, config = d, config.WithCompilationCache(d.cache)
	}
	c.runtime = wazero.NewRuntimeWithConfig(c.ctx, config)
	if err := instantiateHost(c.ctx, c.runtime); err != nil {
		return nil, errors.Join(fmt.Errorf("host modules: %w", err), c.close())
	}
	return c, nil
}

// get returns the entry of a digest, held until release, compiling it if needed.
func (c *cache) get(ctx context.Context, digest cid.Hash, load loader) (*entry, error) {
	c.mu.Lock()
	e, ok := c.entries[digest]
	if !ok {
		e = &entry{digest: digest, ready: make(chan struct{})}
		c.entries[digest] = e
		c.work.Add(1)
		go c.fill(e, load)
	}
	e.users++
	if e.place != nil {
		c.recent.MoveToFront(e.place)
	}
	c.mu.Unlock()
	select {
	case <-e.ready:
	case <-ctx.Done():
		c.release(e)
		return nil, ctx.Err()
	}
	if e.err != nil {
		c.release(e)
		return nil, e.err
	}
	return e, nil
}

// release gives up a hold on e.
func (c *cache) release(e *entry) {
	c.mu.Lock()
	e.users--
	last := e.users == 0 && e.module != nil
	c.mu.Unlock()
	if last {
		_ = e.module.compiled.Close(c.ctx) // frees memory only
	}
}

// fill compiles for an entry. A failure is not kept: the next call tries again.
func (c *cache) fill(e *entry, load loader) {
	defer c.work.Done()
	m, err := c.load(e.digest, load)
	c.mu.Lock()
	e.module, e.err = m, err
	var evicted []*entry
	if err != nil {
		delete(c.entries, e.digest)
	} else {
		e.users++ // recent's hold
		e.place = c.recent.PushFront(e)
		evicted = c.overflow()
	}
	c.mu.Unlock()
	close(e.ready)
	for _, old := range evicted {
		c.release(old)
	}
}

// overflow unlists the entries over capacity; the caller releases recent's hold
// on them.
func (c *cache) overflow() (evicted []*entry) {
	for c.recent.Len() > c.capacity {
		old := c.recent.Remove(c.recent.Back()).(*entry)
		old.place = nil
		delete(c.entries, old.digest)
		evicted = append(evicted, old)
	}
	return evicted
}

func (c *cache) load(digest cid.Hash, load loader) (*module, error) {
	if load == nil {
		return nil, fault.New(ErrInvalid, "module %s is not compiled and cannot be loaded", digest)
	}
	b, err := load(c.ctx)
	if c.ctx.Err() != nil {
		return nil, fault.New(runner.ErrClosed, "the wasm runner was closed while it loaded module %s", digest)
	}
	if err != nil {
		return nil, fmt.Errorf("load module %s: %w", digest, err)
	}
	if uint64(len(b)) > c.maxBytes {
		return nil, fault.New(ErrTooLarge, "the module has %d bytes, at most %d", len(b), c.maxBytes)
	}
	if err := verify(b, digest); err != nil {
		return nil, err
	}
	return compileModule(c.ctx, b, c.compile)
}

// compile compiles with the disk cache if there is one. When that fails, a
// compilation without it tells whether the module or the cache is at fault; a
// damaged cache is emptied and used again.
func (c *cache) compile(ctx context.Context, b []byte) (wazero.CompiledModule, error) {
	compiled, err := compileWith(ctx, c.runtime, b)
	if err == nil || c.disk == nil || ctx.Err() != nil {
		return compiled, err
	}
	plain := wazero.NewRuntimeWithConfig(ctx, c.config)
	defer func() { _ = plain.Close(ctx) }() // frees memory only
	if _, err := compileWith(ctx, plain, b); err != nil {
		return nil, err
	}
	if cleared := c.disk.clear(); cleared != nil {
		return nil, errors.Join(fault.New(ErrCache, "%s cannot be used: %w", c.disk.dir, err), cleared)
	}
	if compiled, err = compileWith(ctx, c.runtime, b); err != nil {
		return nil, fault.New(ErrCache, "%s cannot be used: %w", c.disk.dir, err)
	}
	return compiled, nil
}

// compileWith compiles in rt. Validation found every defect that wazero knows;
// a panic is one more way to say that it cannot compile this.
func compileWith(ctx context.Context, rt wazero.Runtime, b []byte) (m wazero.CompiledModule, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, fault.New(ErrInvalid, "the engine cannot compile the module: %s", brief(fmt.Sprint(p)))
		}
	}()
	m, err = rt.CompileModule(ctx, b)
	if err != nil {
		return nil, fault.New(ErrInvalid, "%s", brief(err.Error()))
	}
	return m, nil
}

// close frees everything; no call may be running.
func (c *cache) close() error {
	c.cancel()
	c.work.Wait()
	background := context.WithoutCancel(c.ctx)
	err := c.runtime.Close(background)
	if c.disk != nil {
		err = errors.Join(err, c.disk.cache.Close(background))
	}
	return err
}
