package process

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/runner"
)

// program is one module's code, ready or nearly ready to run.
type program struct {
	digest cid.Hash
	tree   *manifest.Tree // process
	code   *os.File       // native: a sealed memory file
	bytes  int64          // memory that it takes

	turn chan struct{} // held by whoever materialises
	held *heldTree     // process: set, under turn, by the first call
}

// newProgram checks a module's bytes.
func (r *Runner) newProgram(digest cid.Hash, raw []byte) (*program, error) {
	p := &program{digest: digest, bytes: int64(len(raw)), turn: make(chan struct{}, 1)}
	if r.kind == runner.KindProcess {
		tree, err := manifest.DecodeTree(raw)
		p.tree = tree
		return p, err
	}
	if err := checkNative(raw, r.options.Platform); err != nil {
		return nil, err
	}
	code, err := sealed("module", raw, true)
	if err != nil {
		return nil, fault.New(ErrNative, "this machine cannot hold the program: %w", err)
	}
	p.code = code
	return p, nil
}

func (p *program) close() error {
	var err error
	if p.code != nil {
		err = p.code.Close()
	}
	if p.held != nil {
		err = errors.Join(err, p.held.close())
	}
	return err
}

// accepts reports an entry that is not in the tree.
func (p *program) accepts(m runner.Module) error {
	if len(m.Entry) == 0 {
		return fault.New(manifest.ErrModule, "a %s module needs an entry", manifest.ModuleKindName(m.Kind))
	}
	if p.tree == nil {
		return nil
	}
	_, found := slices.BinarySearchFunc(p.tree.Entries, m.Entry[0], func(e manifest.TreeEntry, name string) int {
		return strings.Compare(e.Path, name)
	})
	if !found {
		return fault.New(manifest.ErrModule, "the entry %q is not a file of the tree", clip(m.Entry[0]))
	}
	return nil
}

// hold materialises and checks the tree if this process has not yet done so.
func (p *program) hold(ctx context.Context, s *trees, open opener) (*heldTree, error) {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if p.held != nil {
		return p.held, nil
	}
	if open == nil {
		return nil, fault.New(runner.ErrDigest, "tree %s is not here and its files cannot be opened", p.digest)
	}
	held, err := s.hold(ctx, p.digest, p.tree, open)
	if err != nil {
		return nil, err
	}
	p.held = held
	return held, nil
}

// programs holds programs by digest, loads each once however many calls want
// it, and forgets those not used for longest. One in use is never given up.
type programs struct {
	make  func(cid.Hash, []byte) (*program, error)
	count int
	bytes int64
	limit int // bytes of one module

	ctx    context.Context // ends with the Runner; loading runs under it
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	entries map[cid.Hash]*entry
	recent  *list.List // of *entry that are ready, most recently used first
	total   int64      // bytes of those listed
}

// entry is one digest's program, or its loading under way.
type entry struct {
	*program
	digest cid.Hash
	ready  chan struct{} // closed when program or err is set
	err    error
	users  int // callers that hold it, and recent while it is listed
	place  *list.Element
}

func newPrograms(o *Options, build func(cid.Hash, []byte) (*program, error)) *programs {
	c := &programs{
		make: build, count: o.Modules, bytes: o.ModulesBytes, limit: o.MaxModuleBytes,
		entries: map[cid.Hash]*entry{}, recent: list.New(),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// loader is runner.Module.Load.
type loader = func(context.Context) ([]byte, error)

// get returns the entry of a digest, held until release, loading it if needed.
func (c *programs) get(ctx context.Context, digest cid.Hash, load loader) (*entry, error) {
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

// hold is one more hold on an entry that the caller holds.
func (c *programs) hold(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.users++
}

// release gives up a hold on e.
func (c *programs) release(e *entry) {
	c.mu.Lock()
	e.users--
	last := e.users == 0 && e.program != nil
	c.mu.Unlock()
	if last {
		_ = e.program.close() // nothing was written by it
	}
}

// fill loads an entry. A failure is not kept: the next call tries again.
func (c *programs) fill(e *entry, load loader) {
	defer c.work.Done()
	p, err := c.load(e.digest, load)
	c.mu.Lock()
	e.program, e.err = p, err
	var evicted []*entry
	if err != nil {
		delete(c.entries, e.digest)
	} else {
		e.users++ // recent's hold
		e.place = c.recent.PushFront(e)
		c.total += p.bytes
		for c.recent.Len() > 1 && (c.recent.Len() > c.count || c.total > c.bytes) {
			evicted = append(evicted, c.unlist())
		}
	}
	c.mu.Unlock()
	close(e.ready)
	for _, old := range evicted {
		c.release(old)
	}
}

// unlist takes the least recently used entry off the list; the caller releases
// recent's hold on it.
func (c *programs) unlist() *entry {
	old := c.recent.Remove(c.recent.Back()).(*entry)
	old.place = nil
	c.total -= old.bytes
	delete(c.entries, old.digest)
	return old
}

func (c *programs) load(digest cid.Hash, load loader) (*program, error) {
	if load == nil {
		return nil, fault.New(runner.ErrDigest, "module %s is not here and cannot be loaded", digest)
	}
	b, err := load(c.ctx)
	if c.ctx.Err() != nil {
		return nil, fault.New(runner.ErrClosed, "the runner was closed while it loaded module %s", digest)
	}
	if err != nil {
		return nil, fmt.Errorf("load module %s: %w", digest, err)
	}
	if len(b) > c.limit {
		return nil, fault.New(runner.ErrLimits, "the module has %d bytes, at most %d", len(b), c.limit)
	}
	if got := cid.Sum(b); got != digest {
		return nil, fault.New(runner.ErrDigest, "the loaded bytes are %s, want %s", got, digest)
	}
	return c.make(digest, b)
}

// close waits for loading and gives up everything; no call may be running.
func (c *programs) close() {
	c.cancel()
	c.work.Wait()
	for {
		c.mu.Lock()
		if c.recent.Len() == 0 {
			c.mu.Unlock()
			return
		}
		old := c.unlist()
		c.mu.Unlock()
		c.release(old)
	}
}
