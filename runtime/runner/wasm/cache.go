package wasm

import (
	"container/list"
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// cache holds compiled modules by digest, compiles each once however many
// calls want it, and forgets those not used for longest. A module in use is
// never freed.
type cache struct {
	engine  Engine
	options *Options

	slots chan struct{} // one for each compilation that may run at once

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

func newCache(e Engine, o *Options) *cache {
	c := &cache{
		engine: e, options: o, slots: make(chan struct{}, runtime.GOMAXPROCS(0)),
		entries: map[cid.Hash]*entry{}, recent: list.New(),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
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
		_ = e.module.program.Close() // frees memory only
	}
}

// fill compiles for an entry. A failure is not kept: the next call tries again.
func (c *cache) fill(e *entry, load loader) {
	defer c.work.Done()
	m, err := c.compile(e.digest, load)
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
	for c.recent.Len() > c.options.Modules {
		old := c.recent.Remove(c.recent.Back()).(*entry)
		old.place = nil
		delete(c.entries, old.digest)
		evicted = append(evicted, old)
	}
	return evicted
}

// compile makes a module ready. No module should make it panic; one that does
// must not end the process.
func (c *cache) compile(digest cid.Hash, load loader) (m *module, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, fault.New(ErrEngine, "module %s cannot be made ready: %s", digest, brief(fmt.Sprint(p)))
		}
	}()
	b, err := c.options.load(c.ctx, digest, load)
	if err != nil {
		return nil, err
	}
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	m, out, err := meterModule(b)
	if err != nil {
		return nil, err
	}
	if m.program, err = c.engine.Compile(c.ctx, out); err != nil {
		return nil, err
	}
	if !c.options.NoImage {
		m.ready = m.initialised()
	}
	return m, nil
}

// close waits for compilations; no call may be running.
func (c *cache) close() error {
	c.cancel()
	c.work.Wait()
	return c.engine.Close()
}
