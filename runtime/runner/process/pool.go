package process

import (
	"slices"
	"sync"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// key names who may share a worker: calls of one module, in one package, by one
// share, that need a process started in the same way.
type key struct {
	module, pkg, share cid.Hash
	started            [32]byte
}

func (j *job) key() key {
	m := &j.call.Module
	return key{m.Digest, m.Package, j.call.Share, j.fingerprint()}
}

// pool keeps workers that wait for a call.
type pool struct {
	r *Runner

	mu     sync.Mutex
	idle   []*idler // longest idle first
	closed bool
}

type idler struct {
	key    key
	worker *worker
	timer  *time.Timer
}

func newPool(r *Runner) *pool { return &pool{r: r} }

// take returns the worker of a key that was used last, or nil. One that wrote,
// or ended, while nobody had asked it is cleared away.
func (p *pool) take(k key) *worker {
	for {
		w := p.pop(k)
		if w == nil {
			return nil
		}
		if _, ready := w.rest(); ready && w.fresh() {
			return w
		}
		p.r.reap(w)
	}
}

func (p *pool) pop(k key) *worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, d := range slices.Backward(p.idle) {
		if d.key == k {
			d.timer.Stop()
			p.idle = slices.Delete(p.idle, i, i+1)
			return d.worker
		}
	}
	return nil
}

// put lets a worker wait. If too many do, the one that has waited longest ends.
func (p *pool) put(k key, w *worker) {
	d := &idler{key: k, worker: w}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		p.r.reap(w)
		return
	}
	if len(p.idle) >= p.r.options.MaxIdle {
		old := p.idle[0]
		old.timer.Stop()
		p.idle = slices.Delete(p.idle, 0, 1)
		p.r.reap(old.worker)
	}
	wait := min(p.r.options.IdleTime, maxAge-w.age())
	d.timer = time.AfterFunc(wait, func() { p.expire(d) })
	p.idle = append(p.idle, d)
}

// expire ends a worker that nobody wanted.
func (p *pool) expire(d *idler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.idle, d); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
		p.r.reap(d.worker)
	}
}

// close ends all workers; no call may be running.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, d := range p.idle {
		d.timer.Stop()
		p.r.reap(d.worker)
	}
	p.idle = nil
}
