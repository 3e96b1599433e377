package local

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

const (
	// defaultPackLimit is where a pack is full, in bytes.
	defaultPackLimit = 256 << 20
	// maxPack is where one must be full: offsets have 32 bits.
	maxPack = 2 << 30
	// maxGroup bounds what one sync covers, in bytes.
	maxGroup = 8 << 20
	// renewAfter is for how long a renewal is not repeated, in seconds.
	// Collection adds it to its margin.
	renewAfter = 60
	// indexAfter frames behind the index make a new one worth its writing.
	indexAfter = 4096
)

// item is a small object to be stored, or without put one to be renewed if it is
// there.
type item struct {
	h    cid.Hash
	data []byte
	put  bool
	dup  bool // even if a copy is there
	stay bool // not renewed, only made durable
	held bool // result: it was there, or it is now
}

// request is what one caller waits for.
type request struct {
	items []item
	bytes int
	job   func() error // instead of items: what the leader does, alone
	lead  bool         // on wake: do the work, for yourself and others
	err   error
	wake  chan struct{}
}

// writer appends small objects to a pack that this process has locked. The
// callers that wait while one sync runs share the next: the first of them leads,
// without a timer and without a goroutine of its own.
type writer struct {
	s *Store

	mu    sync.Mutex
	queue []*request
	busy  bool

	// Of the leader:
	p       *packFile // nil until it is needed
	f       *os.File
	end     int64
	kept    int64           // the end of what callers were told of
	dirty   bool            // something was written since the last kindEnd
	shunned map[string]bool // packs that failed to sync
}

// do stores and renews items and returns when they are durable.
func (w *writer) do(items []item) error {
	r := &request{items: items}
	for _, it := range items {
		r.bytes += headerSize + len(it.data)
	}
	return w.wait(r)
}

// doAlways stores an object beside a damaged copy of it.
func (w *writer) doAlways(h cid.Hash, b []byte) error {
	return w.do([]item{{h: h, data: b, put: true, dup: true}})
}

// giveUp ends the appending to the pack that this process has, so that it can be
// rewritten; the next write takes another, or that one again.
func (w *writer) giveUp() error {
	return w.wait(&request{bytes: maxGroup, job: func() error { return w.finish(false) }})
}

// wait puts a request into the queue, and leads when it is its turn.
func (w *writer) wait(r *request) error {
	r.wake = make(chan struct{}, 1)
	w.mu.Lock()
	w.queue = append(w.queue, r)
	if w.busy {
		w.mu.Unlock()
		<-r.wake
		if !r.lead {
			return r.err
		}
		w.mu.Lock()
	}
	w.busy = true
	w.mu.Unlock()
	runtime.Gosched() // those whose sync just ended may have more: let them join
	w.mu.Lock()
	group := w.take()
	w.mu.Unlock()
	err := w.commit(group)
	for _, other := range group {
		if other.err = err; other != r {
			other.wake <- struct{}{}
		}
	}
	w.mu.Lock()
	w.busy = len(w.queue) > 0
	if w.busy {
		w.queue[0].lead = true
		w.queue[0].wake <- struct{}{}
	}
	w.mu.Unlock()
	return err
}

// take removes the requests of one group from the queue. A job is a group of its
// own.
func (w *writer) take() []*request {
	n, bytes := 0, 0
	for n < len(w.queue) && (n == 0 || bytes+w.queue[n].bytes <= maxGroup && w.queue[n].job == nil) {
		bytes += w.queue[n].bytes
		n++
	}
	group := slices.Clone(w.queue[:n])
	w.queue = slices.Delete(w.queue, 0, n)
	return group
}

// commit does the work of a group.
func (w *writer) commit(group []*request) error {
	if group[0].job != nil {
		return group[0].job()
	}
	if err := w.ready(); err != nil {
		return err
	}
	unlock, err := w.s.lockStore(false)
	if err != nil {
		return err
	}
	g, err := w.plan(group)
	if err == nil {
		err = w.write(g)
	}
	unlock()
	if err == nil && g.sync {
		err = w.flush()
	}
	for _, c := range g.foreign {
		if err == nil {
			err = w.s.packs.syncForeign(c)
		}
		c.release()
	}
	if err != nil {
		return err
	}
	w.kept = w.end
	if err := w.s.at(stepPacked); err != nil {
		return err
	}
	if w.end >= w.s.packLimit {
		return w.finish(true)
	}
	return nil
}

// plan is what a group comes to.
type plan struct {
	buf     []byte
	frames  []frame
	sync    bool     // somebody is told that something is durable
	foreign []copyOf // of packs of others, to be made durable
	pending map[cid.Hash]bool
	now     int64
	fresh   bool // others' packs were looked at
}

func (w *writer) plan(group []*request) (*plan, error) {
	g := &plan{pending: map[cid.Hash]bool{}, now: w.s.now().Unix()}
	for _, r := range group {
		for i := range r.items {
			if err := w.planItem(g, &r.items[i]); err != nil {
				return g, err
			}
		}
	}
	return g, nil
}

func (w *writer) planItem(g *plan, it *item) error {
	if g.pending[it.h] {
		it.held = true
		return nil
	}
	x, err := w.held(g, it)
	if err != nil {
		return err
	}
	defer x.release()
	next := frame{kind: kindObject, length: uint32(len(it.data)), hash: it.h, time: g.now, group: w.p.group + 1}
	if len(x.copies) > 0 && !it.dup {
		it.held = true
		w.secure(g, x)
		if it.stay || x.time >= g.now-renewAfter {
			return nil
		}
		next.kind, next.length = kindRenewal, 0
	} else if !it.put {
		return nil
	}
	it.held = true
	g.buf = next.append(g.buf, w.p.marker)
	if next.kind == kindObject {
		g.buf, g.sync = append(g.buf, it.data...), true
		g.pending[it.h] = true
	}
	g.frames = append(g.frames, next)
	return nil
}

// held returns the copies of an object that are still in the store. The store's
// lock is held, so what is there stays until it is renewed.
func (w *writer) held(g *plan, it *item) (found, error) {
	x, err := w.s.packs.look(it.h)
	if err == nil {
		x, err = onlyLinked(x)
	}
	if err != nil || len(x.copies) > 0 || it.put || g.fresh {
		return x, err
	}
	x.release()
	g.fresh = true
	if err := w.s.packs.refresh(); err != nil {
		return found{}, err
	}
	return w.s.packs.look(it.h)
}

// onlyLinked drops the copies in packs that collection replaced.
func onlyLinked(x found) (found, error) {
	var errs []error
	x.copies = slices.DeleteFunc(x.copies, func(c copyOf) bool {
		ok, err := linked(c.p.f)
		errs = append(errs, err)
		if !ok || err != nil {
			c.release()
		}
		return !ok || err != nil
	})
	return x, errors.Join(errs...)
}

// secure notes that a copy must be durable before the caller is told.
func (w *writer) secure(g *plan, x found) {
	if w.s.packs.anyDurable(x) || slices.ContainsFunc(x.copies, func(c copyOf) bool { return c.p == w.p }) {
		return
	}
	c := x.copies[0]
	c.p.refs.Add(1)
	g.foreign = append(g.foreign, c)
}

// anyDurable reports whether a copy is known to be durable.
func (s *packs) anyDurable(x found) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.ContainsFunc(x.copies, func(c copyOf) bool { return c.p.durable(c.entry) })
}

// syncForeign makes another process's pack durable as far as it was seen.
func (s *packs) syncForeign(c copyOf) error {
	s.mu.RLock()
	group := c.p.group
	s.mu.RUnlock()
	if err := syncData(c.p.f); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.p.flushed = max(c.p.flushed, min(group, c.p.group))
	return nil
}

// write appends a group. After an error nothing of it is there.
func (w *writer) write(g *plan) error {
	if len(g.buf) == 0 {
		return nil
	}
	if err := w.s.at(stepAppend); err != nil {
		return w.undo(err)
	}
	if _, err := w.f.WriteAt(g.buf, w.end); err != nil {
		return w.undo(err)
	}
	s := w.s.packs
	s.mu.Lock()
	defer s.mu.Unlock()
	flushed := w.p.flushed
	for _, x := range g.frames {
		w.p.add(w.end, x)
		w.end += x.size()
	}
	w.p.flushed, w.p.scanned, w.dirty = flushed, w.end, true
	return nil
}

// flush makes what was written durable.
func (w *writer) flush() error {
	err := w.s.at(stepPackSync)
	if err == nil {
		err = syncData(w.f)
	}
	if err != nil {
		w.shunned[w.p.name] = true
		return w.undo(err)
	}
	w.s.packs.mu.Lock()
	defer w.s.packs.mu.Unlock()
	w.p.flushed, w.p.synced = w.p.group, w.end
	return nil
}

// undo cuts off what nobody was told of and gives the pack up. What the cut
// leaves is sorted out by whoever takes the pack next.
func (w *writer) undo(err error) error {
	err = errors.Join(err, w.f.Truncate(w.kept))
	return errors.Join(err, w.disown())
}

// disown gives up the pack: from now on this process only reads it.
func (w *writer) disown() error {
	s := w.s.packs
	s.mu.Lock()
	p, f := w.p, w.f
	w.p, w.f, w.dirty = nil, nil, false
	p.own = false
	p.reset()
	p.load(w.kept)
	err := p.refresh()
	s.mu.Unlock()
	return errors.Join(err, f.Close())
}

// ready takes a pack that is not full and that nobody appends to, or makes one.
func (w *writer) ready() error {
	if w.p != nil {
		return nil
	}
	names, err := w.s.packs.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if w.shunned[name] {
			continue
		}
		if ok, err := w.adopt(name); ok || err != nil {
			return err
		}
	}
	for w.p == nil && err == nil {
		err = w.create()
	}
	return err
}

// adopt takes over a pack unless it is full or in use.
func (w *writer) adopt(name string) (bool, error) {
	path := filepath.Join(w.s.packs.dir, name+packSuffix)
	if info, err := os.Stat(path); err != nil || info.Size() >= w.s.packLimit {
		return false, ignoreMissing(err)
	}
	f, err := lockPack(path)
	if f == nil || err != nil {
		return false, err
	}
	if err := w.own(name, f); err != nil {
		return false, errors.Join(err, f.Close())
	}
	return true, nil
}

// lockPack opens a pack for writing and locks it; nil if somebody else does or
// it is gone.
func lockPack(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, ignoreMissing(err)
	}
	taken, err := tryLock(f)
	if err != nil || !taken || !sameFile(f, path) {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// create makes a new pack, locked.
func (w *writer) create() error {
	if err := w.s.at(stepCreatePack); err != nil {
		return err
	}
	name := rand.Text()
	path := filepath.Join(w.s.packs.dir, name+packSuffix)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if taken, err := tryLock(f); err != nil || !taken {
		return errors.Join(err, f.Close()) // without an error somebody adopted it at once
	}
	_, err = f.WriteString(packHead)
	if err == nil {
		err = errors.Join(f.Sync(), atomicfile.SyncDir(w.s.packs.dir))
	}
	if err == nil {
		err = w.own(name, f)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path), f.Close())
	}
	return nil
}

// own makes a locked pack the one that this process appends to.
func (w *writer) own(name string, f *os.File) error {
	if err := w.s.packs.refresh(); err != nil {
		return err
	}
	end, err := recoverPack(f, name, w.s.packs.dir)
	if err != nil {
		return err
	}
	s := w.s.packs
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.list, func(p *packFile) bool { return p.name == name })
	if i < 0 {
		return fs.ErrNotExist
	}
	p := s.list[i]
	p.reset()
	p.load(end)
	if err := p.refresh(); err != nil {
		return err
	}
	p.own, p.flushed, p.synced = true, p.group, end
	w.p, w.f, w.end, w.kept, w.dirty = p, f, end, end, false
	return nil
}
