package local

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// syncers is how many files or directories of a batch are synced at once. The
// filesystem merges syncs that wait together into one journal commit.
const syncers = 32

// batch syncs files while later ones are written, then renames all of them,
// then syncs each directory once. It is safe for concurrent use.
type batch struct {
	s    *Store
	slot chan struct{} // bounds the syncs in flight, hence open files
	wg   sync.WaitGroup

	mu     sync.Mutex
	over   bool
	err    error               // first failed sync
	staged map[cid.Hash]string // temporary files, synced when wg is done
	found  map[byte]bool       // directories of objects that were there already
	small  map[cid.Hash][]byte // small objects that are not in a pack yet
	bytes  int                 // of those
}

// maxSmall bounds what a batch holds of small objects, in bytes.
const maxSmall = 4 << 20

// Batch implements cas.Batcher.
func (s *Store) Batch(ctx context.Context) (cas.Batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return &batch{
		s: s, slot: make(chan struct{}, syncers),
		staged: map[cid.Hash]string{}, found: map[byte]bool{}, small: map[cid.Hash][]byte{},
	}, nil
}

// Put implements cas.Putter.
func (b *batch) Put(ctx context.Context, data []byte) (cid.Hash, error) {
	h := cid.Sum(data)
	return h, b.put(ctx, h, fill(data))
}

// PutFrom implements cas.Putter.
func (b *batch) PutFrom(ctx context.Context, r io.Reader, want cid.Hash, size int64) error {
	return b.put(ctx, want, receive(ctx, r, want, size))
}

func (b *batch) put(ctx context.Context, h cid.Hash, from content) error {
	ses, err := b.s.begin(ctx)
	if err != nil {
		return err
	}
	defer b.s.mu.RUnlock()
	known, err := b.known(ctx, h, from.small())
	if err != nil {
		return err
	}
	if known {
		return from.write(io.Discard)
	}
	if err := b.s.admit(h, from.size); err != nil {
		return err
	}
	if from.small() {
		return b.putSmall(h, from)
	}
	f, err := b.s.stage(ses, from)
	if err != nil {
		return b.s.object("store", h, err)
	}
	return b.add(h, f)
}

// putSmall keeps a small object until there are enough of them.
func (b *batch) putSmall(h cid.Hash, from content) error {
	raw, err := from.load()
	if err != nil {
		return b.s.object("store", h, err)
	}
	b.mu.Lock()
	if b.over {
		b.mu.Unlock()
		return b.ended()
	}
	b.small[h] = bytes.Clone(raw)
	b.bytes += headerSize + len(raw)
	full := b.bytes >= maxSmall
	b.mu.Unlock()
	if full {
		return b.pack()
	}
	return nil
}

// pack makes the small objects durable.
func (b *batch) pack() error {
	b.mu.Lock()
	small := b.small
	b.small, b.bytes = map[cid.Hash][]byte{}, 0
	b.mu.Unlock()
	if len(small) == 0 {
		return nil
	}
	items := make([]item, 0, len(small))
	for _, h := range slices.SortedFunc(maps.Keys(small), cid.Hash.Compare) {
		items = append(items, item{h: h, data: small[h], put: true})
	}
	if err := b.s.object("store", items[0].h, b.s.writer.do(items)); err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.err == nil {
			b.err = err
		}
		return err
	}
	return nil
}

// known reports whether the batch or the store has the object.
func (b *batch) known(ctx context.Context, h cid.Hash, small bool) (bool, error) {
	if staged, err := b.has(h); staged || err != nil {
		return staged, err
	}
	held, err := b.s.intact(ctx, h, small)
	if held != asFile || err != nil {
		return false, err // what is in a pack is renewed there
	}
	if there, err := b.s.renewFile(h); !there || err != nil {
		return false, b.s.object("store", h, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return false, b.ended()
	}
	b.found[h[0]] = true
	return true, nil
}

// has reports whether the object is staged, and fails if the batch has.
func (b *batch) has(h cid.Hash) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return false, b.ended()
	}
	_, staged := b.staged[h]
	_, small := b.small[h]
	return staged || small, b.err
}

func (b *batch) ended() error {
	return fault.New(cas.ErrUnavailable, "the batch is over").About(b.s.dir)
}

// add takes over a staged file and starts its sync.
func (b *batch) add(h cid.Hash, f *os.File) error {
	b.slot <- struct{}{}
	b.mu.Lock()
	_, twice := b.staged[h]
	if b.over || twice {
		b.mu.Unlock()
		<-b.slot
		err := errors.Join(f.Close(), os.Remove(f.Name()))
		if !twice {
			err = errors.Join(b.ended(), err)
		}
		return err
	}
	b.staged[h] = f.Name()
	b.wg.Add(1)
	b.mu.Unlock()
	go func() {
		defer b.wg.Done()
		err := b.s.settle(f)
		<-b.slot
		if err != nil {
			b.mu.Lock()
			defer b.mu.Unlock()
			delete(b.staged, h) // settle removed it
			if b.err == nil {
				b.err = b.s.object("store", h, err)
			}
		}
	}()
	return nil
}

// Commit implements cas.Batch.
func (b *batch) Commit(ctx context.Context) error {
	if _, err := b.s.begin(ctx); err != nil {
		return errors.Join(err, b.Close())
	}
	defer b.s.mu.RUnlock()
	if !b.finish() {
		return b.ended()
	}
	if b.err != nil {
		return errors.Join(b.err, b.drop())
	}
	if err := b.pack(); err != nil {
		return errors.Join(err, b.drop())
	}
	dirs, list := b.found, slices.SortedFunc(maps.Keys(b.staged), cid.Hash.Compare)
	for _, h := range list {
		tmp := b.staged[h]
		delete(b.staged, h)
		if err := b.s.place(tmp, h); err != nil {
			return errors.Join(b.s.object("store", h, err), b.drop())
		}
		dirs[h[0]] = true
	}
	err := b.syncDirs(slices.Sorted(maps.Keys(dirs)))
	if err == nil {
		b.s.settled.note(b.s.now(), list...)
	}
	return err
}

func (b *batch) syncDirs(dirs []byte) error {
	errs := make([]error, len(dirs))
	var wg sync.WaitGroup
	for i, first := range dirs {
		b.slot <- struct{}{}
		wg.Go(func() {
			defer func() { <-b.slot }()
			h := cid.Hash{first}
			if err := b.s.syncDirOf(h); err != nil {
				errs[i] = b.s.failed("sync", err).About(b.s.dir)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Close implements cas.Batch.
func (b *batch) Close() error {
	if !b.finish() {
		return nil
	}
	return b.drop()
}

// finish ends the batch and waits for its syncs; it is true for the one call
// that did. That caller alone then uses staged and found.
func (b *batch) finish() bool {
	b.mu.Lock()
	first := !b.over
	b.over = true
	b.mu.Unlock()
	b.wg.Wait()
	return first
}

// drop removes what was staged. The store's Close may have done so before.
func (b *batch) drop() error {
	var errs []error
	for h, tmp := range b.staged {
		delete(b.staged, h)
		errs = append(errs, removeIfThere(tmp))
	}
	return errors.Join(errs...)
}
