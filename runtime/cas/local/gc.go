package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrBusy is raised for a second collection or repair at the same time.
const ErrBusy fault.Code = "store_busy"

const (
	gcName = "gc"
	// Grace is for how long an object that somebody stored or was told of stays,
	// whether or not anything refers to it by then.
	Grace = time.Hour
	// sliceSize is how many files are removed while writers wait.
	sliceSize = 128
	// compactAlways is the size of a pack, in bytes, that is rewritten for any
	// garbage; a larger one when a quarter of it is.
	compactAlways = 1 << 20
)

// CollectOptions says what to keep.
type CollectOptions struct {
	// Mark calls keep for every object that must stay, whether or not it is
	// stored. After an error nothing is collected. Required.
	Mark func(ctx context.Context, keep func(cid.Hash)) error
	// DryRun only counts.
	DryRun bool
	// Progress is called now and then with the bytes looked at; it may be nil.
	Progress func(bytes int64)
}

// Collected is what a collection did, or would do.
type Collected struct {
	Kept    int64 // objects marked that are stored
	Young   int64 // objects that nothing refers to, younger than Grace
	Waiting int64 // objects to be removed when more of their pack is garbage
	Removed int64 // objects
	Freed   int64 // bytes of files
	Busy    int64 // packs that somebody is appending to, left for the next time
	Damaged int64 // packs left alone because they are damaged
}

// collector is one collection.
type collector struct {
	s      *Store
	o      CollectOptions
	cutoff time.Time
	live   map[cid.Hash]bool
	done   Collected
	looked int64
}

// Collect removes the objects that Mark does not keep and that nobody stored,
// found or renewed since an hour before it began. It may run beside writers and
// readers of any process: it looks again, while writers wait, before it removes,
// and readers keep the files that they have open. A store that a registry serves
// from is ErrServed.
func (s *Store) Collect(ctx context.Context, o CollectOptions) (done Collected, err error) {
	unlock, err := s.alone(ctx)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := s.notServed(); err != nil {
		return done, err
	}
	c := &collector{s: s, o: o, live: map[cid.Hash]bool{}}
	c.cutoff = s.now().Add(-Grace - renewAfter*time.Second)
	if err := o.Mark(ctx, func(h cid.Hash) { c.live[h] = true }); err != nil {
		return done, err
	}
	if err := c.run(ctx); err != nil {
		if fault.CodeOf(err) == "" && ctx.Err() == nil {
			err = s.failed("collect", err).About(s.dir)
		}
		return c.done, err
	}
	return c.done, nil
}

// alone takes the lock that keeps collections and repairs apart.
func (s *Store) alone(ctx context.Context) (unlock func() error, err error) {
	if !canLock {
		return nil, s.failed("lock", errors.ErrUnsupported).About(s.dir)
	}
	if _, err := s.begin(ctx); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(s.dir, gcName), os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		var taken bool
		if taken, err = tryLock(f); err == nil && taken {
			return func() error { s.mu.RUnlock(); return f.Close() }, nil
		}
		err = errors.Join(err, f.Close())
	}
	s.mu.RUnlock()
	if err != nil {
		return nil, s.failed("lock", err).About(s.dir)
	}
	return nil, fault.New(ErrBusy, "another process collects or repairs").About(s.dir)
}

func (c *collector) run(ctx context.Context) error {
	for _, dir := range fanout() {
		if err := c.files(ctx, dir); err != nil {
			return err
		}
	}
	if err := c.s.writer.giveUp(); err != nil {
		return err
	}
	names, err := c.s.packs.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.pack(name); err != nil {
			return err
		}
	}
	return nil
}

// files collects one directory of objects.
func (c *collector) files(ctx context.Context, dir string) error {
	all, err := c.s.listDir(ctx, dir)
	if err != nil {
		return err
	}
	var old []cid.Hash
	for _, h := range all {
		if c.live[h] {
			c.done.Kept++
			continue
		}
		size, ok, err := c.oldFile(h)
		if err != nil {
			return err
		}
		c.see(size)
		if ok {
			old = append(old, h)
		} else {
			c.done.Young++
		}
	}
	for len(old) > 0 {
		n := min(sliceSize, len(old))
		if err := c.removeFiles(old[:n]); err != nil {
			return err
		}
		old = old[n:]
	}
	return nil
}

func (c *collector) see(bytes int64) {
	c.looked += bytes
	if c.o.Progress != nil {
		c.o.Progress(c.looked)
	}
}

// oldFile reports whether a file may go, and its size. What is no regular file is
// left for somebody to look at.
func (c *collector) oldFile(h cid.Hash) (int64, bool, error) {
	info, err := os.Lstat(c.s.path(h))
	if err != nil {
		return 0, false, ignoreMissing(err)
	}
	return info.Size(), info.Mode().IsRegular() && info.ModTime().Before(c.cutoff), nil
}

// removeFiles looks again while no writer can renew, and removes.
func (c *collector) removeFiles(list []cid.Hash) error {
	if !c.o.DryRun {
		unlock, err := c.s.lockStore(true)
		if err != nil {
			return err
		}
		defer unlock()
	}
	for _, h := range list {
		size, old, err := c.oldFile(h)
		if err == nil && old && !c.o.DryRun {
			err = os.Remove(c.s.path(h))
		}
		if err != nil {
			return c.s.object("remove", h, err)
		}
		if !old {
			c.done.Young++
			continue
		}
		c.done.Removed++
		c.done.Freed += size
	}
	return nil
}
