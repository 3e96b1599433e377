// Package transfer copies closures between a store and remotes (RFC-MYTHOS-0011
// §1): several objects at a time, only what is not there, and every object after
// all that it names, so that a copy which is cut off shows nothing half and goes on
// where it stopped. Remotes are believed nothing; several are tried in order for
// each object.
package transfer

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/closure"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

// ErrNoRemote is the code of an object that no remote has given.
const ErrNoRemote fault.Code = "remotes_failed"

const (
	defaultWorkers = 4
	hasBatch       = 500 // objects in one question
	maxRounds      = 8   // of fetching again what the store has lost

	question = 4 << 10 // bytes of which each object in a question has the time: some remotes are asked for each
)

// Options is how to copy. The zero value is the default.
type Options struct {
	Workers    int            // objects at a time; 0: 4
	OnProgress func(Progress) // called by one goroutine at a time; may be nil
	// OnFailure is told, by one goroutine at a time, of a remote that failed or lied
	// in a pull, also if another one helped; not of one that has no such object. May
	// be nil.
	OnFailure func(remote string, err error)
	// Patience is how long an object may take, beside a second for each 32 KiB of it;
	// 0: two minutes.
	Patience time.Duration
	// Scratch is a folder for what a pull reads to know what else there is: a manifest
	// and nodes are stored last, and would be fetched again by a pull that goes on. It
	// is made when it is needed; what is in it is believed nothing, and goes when the
	// pull is done. "": none.
	Scratch string
}

// Progress is how far a copy is.
type Progress struct {
	Objects int64 // copied
	Bytes   int64 // copied
	Skipped int64 // bytes that were there
	Total   int64 // bytes in all, as far as is known; it can grow
}

// Named is a remote and what to call it in messages.
type Named struct {
	Name string
	remote.Remote
}

// Pull copies the closure of a manifest from remotes to a store. When it ends, all of
// it is there and renewed.
func Pull(ctx context.Context, from []Named, to cas.Store, id cid.Hash, o Options) (Progress, error) {
	c := newCopier(ctx, id, o)
	p := &puller{copier: c, from: newOrder(from, o.OnFailure), to: to, scratch: scratch{dir: o.Scratch}}
	err := closure.Walk(ctx, p.source, id, p.visit)
	if late := c.barrier(); err == nil {
		err = late
	}
	for rounds, whole := 0, false; err == nil && !whole; rounds++ {
		if rounds == maxRounds {
			err = fault.New(cas.ErrUnavailable, "the store lost objects in each of %d rounds", rounds).About(id.String())
			break
		}
		whole, err = p.again()
	}
	progress, err := c.end(err)
	if err == nil {
		p.scratch.clear()
	}
	return progress, err
}

// again asks the store for the whole closure, which renews it, fetches what is gone,
// and reports whether nothing was: no reference keeps what a pull brings before it
// ends, and one that takes long may lose its first objects to a collection.
func (p *puller) again() (whole bool, err error) {
	whole = true
	kept := func(ctx context.Context, id cid.Hash, limit int64) ([]byte, error) {
		raw, err := p.to.Get(ctx, id, limit)
		if errors.Is(err, cas.ErrNotFound) {
			raw, err = p.parent(ctx, id, limit)
		}
		return raw, err
	}
	err = closure.Walk(p.ctx, kept, p.root, func(o closure.Object) error {
		there, err := p.to.Has(p.ctx, o.CID)
		if there || err != nil {
			return err
		}
		whole = false
		if o.Artifact != nil || o.CID == p.root { // visit counts the others
			p.count(func(t *Progress) { t.Total += o.Size })
		}
		return p.visit(o)
	})
	if late := p.barrier(); err == nil {
		err = late
	}
	return whole && err == nil, err
}

// Push copies the closure of a manifest from a store or a package to a remote.
func Push(ctx context.Context, from cas.Source, to Named, id cid.Hash, o Options) (Progress, error) {
	c := newCopier(ctx, id, o)
	p := &pusher{copier: c, from: from, to: to}
	err := closure.Walk(ctx, p.source, id, p.visit)
	return c.end(err)
}

// copier runs the work of a copy.
type copier struct {
	ctx     context.Context
	root    cid.Hash // the manifest
	options Options
	group   *errgroup.Group
	running context.Context // of the group

	mu   sync.Mutex
	done Progress
}

func newCopier(ctx context.Context, root cid.Hash, o Options) *copier {
	if o.Workers <= 0 {
		o.Workers = defaultWorkers
	}
	c := &copier{ctx: ctx, root: root, options: o}
	c.renew()
	return c
}

func (c *copier) renew() {
	c.group, c.running = errgroup.WithContext(c.ctx)
	c.group.SetLimit(c.options.Workers)
}

// start runs do beside the caller, when a worker is free.
func (c *copier) start(do func(context.Context) error) error {
	if c.running.Err() != nil {
		return cmp.Or(c.barrier(), context.Cause(c.ctx)) // one that began has failed, or none will begin
	}
	running := c.running
	c.group.Go(func() error { return do(running) })
	return nil
}

// barrier waits until everything that was started has ended.
func (c *copier) barrier() error {
	err := c.group.Wait()
	c.renew()
	return err
}

func (c *copier) end(err error) (Progress, error) {
	if late := c.barrier(); err == nil {
		err = late
	}
	if err == nil {
		c.count(func(p *Progress) { p.Total = p.Bytes + p.Skipped }) // equal parts were announced more than once
	}
	return c.done, err
}

// count notes what came about.
func (c *copier) count(change func(*Progress)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.done)
	if c.options.OnProgress != nil {
		c.options.OnProgress(c.done)
	}
}

func (c *copier) copied(n int64) { c.count(func(p *Progress) { p.Objects++; p.Bytes += n }) }

func (c *copier) skipped(n int64) { c.count(func(p *Progress) { p.Skipped += n }) }

// announce adds what a manifest says that there is.
func (c *copier) announce(raw []byte) {
	u, err := manifest.Decode(raw)
	if err != nil {
		return // the walk will say so
	}
	total := int64(len(raw))
	for _, a := range u.Claims().Artifacts {
		total += int64(a.Size)
	}
	c.count(func(p *Progress) { p.Total = total })
}

// see adds the size of what the manifest says nothing of: files of trees, nodes.
func (c *copier) see(o closure.Object) {
	if o.Artifact == nil && o.CID != c.root {
		c.count(func(p *Progress) { p.Total += o.Size })
	}
}

// timely gives an object the time that one of its size may take.
func (c *copier) timely(ctx context.Context, size int64, do func(context.Context) error) error {
	return bucket.Timely(ctx, c.options.Patience, size, do)
}

type pusher struct {
	*copier
	from  cas.Source
	to    Named
	batch []closure.Object // not yet asked for
}

func (p *pusher) source(ctx context.Context, id cid.Hash, limit int64) ([]byte, error) {
	in, size, err := p.from.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, errors.Join(fault.New(cas.ErrTooLarge, "it has %d bytes, at most %d", size, limit).About(id.String()), in.Close())
	}
	raw, err := io.ReadAll(io.LimitReader(in, limit+1)) // Walk checks it
	if err = errors.Join(err, in.Close()); err == nil && id == p.root {
		p.announce(raw)
	}
	return raw, err
}

func (p *pusher) visit(o closure.Object) error {
	p.see(o)
	p.batch = append(p.batch, o)
	if o.Raw == nil && len(p.batch) < hasBatch {
		return nil
	}
	return p.flush()
}

// flush sends what the remote lacks of the batch. If its last object names others,
// it waits for them.
func (p *pusher) flush() error {
	ids := make([]cid.Hash, len(p.batch))
	for i, o := range p.batch {
		ids[i] = o.CID
	}
	var there []bool
	err := p.timely(p.ctx, int64(len(ids))*question, func(ctx context.Context) (err error) {
		there, err = p.to.Has(ctx, ids)
		return err
	})
	if err != nil {
		return err
	}
	for i, o := range p.batch {
		switch {
		case there[i]:
			p.skipped(o.Size)
			continue
		case o.Raw != nil:
			if err := p.barrier(); err != nil {
				return err
			}
		}
		if err := p.start(func(ctx context.Context) error { return p.send(ctx, o) }); err != nil {
			return err
		}
	}
	p.batch = p.batch[:0]
	return nil
}

func (p *pusher) send(ctx context.Context, o closure.Object) error {
	err := p.timely(ctx, o.Size, func(ctx context.Context) error {
		return p.to.Put(ctx, bucket.Value{Size: o.Size, Sum: o.CID, Open: func() (io.ReadCloser, error) {
			in, size, err := p.from.Open(ctx, o.CID)
			if err == nil && size >= 0 && size != o.Size {
				err = errors.Join(fault.New(cas.ErrCorrupt, "it has %d bytes, want %d", size, o.Size).About(o.CID.String()), in.Close())
			}
			return in, err
		}})
	})
	if err == nil {
		p.copied(o.Size)
	}
	return err
}
