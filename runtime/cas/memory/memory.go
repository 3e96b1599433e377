// Package memory keeps objects in memory: a cas.Store for tests and for work
// that leaves nothing behind. Its batches keep objects to themselves until
// they are committed.
package memory

import (
	"bytes"
	"context"
	"io"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Options configures a Store.
type Options struct {
	// Capacity bounds the bytes of all objects; what would exceed it is
	// cas.ErrFull. Zero means no bound.
	Capacity int64
}

// Store is a cas.Store and cas.Batcher.
type Store struct {
	opt     Options
	mu      sync.Mutex
	objects map[cid.Hash][]byte // never written to once stored
	used    int64
}

// New returns an empty store.
func New(opt Options) *Store { return &Store{opt: opt, objects: map[cid.Hash][]byte{}} }

// Put implements cas.Store.
func (s *Store) Put(ctx context.Context, b []byte) (cid.Hash, error) {
	h := cid.Sum(b)
	if err := ctx.Err(); err != nil {
		return h, err
	}
	return h, s.add(map[cid.Hash][]byte{h: bytes.Clone(b)})
}

// PutFrom implements cas.Store.
func (s *Store) PutFrom(ctx context.Context, r io.Reader, want cid.Hash, size int64) error {
	b, err := s.receive(ctx, r, want, size)
	if err != nil {
		return err
	}
	return s.add(map[cid.Hash][]byte{want: b})
}

// receive reads an object, and no more of one that cannot fit than it must.
func (s *Store) receive(ctx context.Context, r io.Reader, want cid.Hash, size int64) ([]byte, error) {
	if s.opt.Capacity > 0 && size > s.opt.Capacity {
		return nil, s.full(want)
	}
	var b bytes.Buffer
	if err := cas.Receive(ctx, &b, r, want, size); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// add stores all objects or, if one is damaged or they do not fit, none.
func (s *Store) add(objects map[cid.Hash][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	used := s.used
	for h, b := range objects {
		old, held := s.objects[h]
		if held && !bytes.Equal(old, b) {
			return fault.New(cas.ErrCorrupt, "the stored copy is damaged").About(h.String())
		}
		if !held {
			used += int64(len(b))
		}
		if s.opt.Capacity > 0 && used > s.opt.Capacity {
			return s.full(h)
		}
	}
	maps.Copy(s.objects, objects)
	s.used = used
	return nil
}

func (s *Store) full(h cid.Hash) error {
	return fault.New(cas.ErrFull, "store: the capacity is %d bytes", s.opt.Capacity).About(h.String())
}

// Get implements cas.Store.
func (s *Store) Get(ctx context.Context, h cid.Hash, limit int64) ([]byte, error) {
	b, err := s.find(ctx, h)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fault.New(cas.ErrTooLarge, "is %d bytes, at most %d are wanted", len(b), limit).About(h.String())
	}
	if got := cid.Sum(b); got != h {
		return nil, fault.New(cas.ErrCorrupt, "the stored bytes hash to %s", got).About(h.String())
	}
	return bytes.Clone(b), nil
}

// Open implements cas.Store.
func (s *Store) Open(ctx context.Context, h cid.Hash) (io.ReadCloser, int64, error) {
	b, err := s.find(ctx, h)
	if err != nil {
		return nil, 0, err
	}
	size := int64(len(b))
	return cas.Verify(&stream{ctx: ctx, r: bytes.NewReader(b)}, h, size), size, nil
}

// Has implements cas.Store.
func (s *Store) Has(ctx context.Context, h cid.Hash) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.objects[h]
	return ok, ctx.Err()
}

// List implements cas.Store.
func (s *Store) List(ctx context.Context) iter.Seq2[cid.Hash, error] {
	return func(yield func(cid.Hash, error) bool) {
		s.mu.Lock()
		hashes := slices.SortedFunc(maps.Keys(s.objects), cid.Hash.Compare)
		s.mu.Unlock()
		for _, h := range hashes {
			if err := ctx.Err(); err != nil {
				yield(cid.Hash{}, err)
				return
			}
			if !yield(h, nil) {
				return
			}
		}
	}
}

// Damage replaces the bytes stored under h without changing the name, as bit
// rot would. Tests use it.
func (s *Store) Damage(h cid.Hash, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used += int64(len(b) - len(s.objects[h]))
	s.objects[h] = bytes.Clone(b)
}

// Raw returns what is stored under h, unchecked; nil if nothing is. Tests use
// it.
func (s *Store) Raw(h cid.Hash) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.objects[h])
}

func (s *Store) find(ctx context.Context, h cid.Hash) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.objects[h]
	if !ok {
		return nil, fault.New(cas.ErrNotFound, "is not in the store").About(h.String())
	}
	return b, nil
}

// stream reads until ctx ends.
type stream struct {
	ctx context.Context
	r   io.Reader
}

func (s *stream) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

func (*stream) Close() error { return nil }

// batch is a cas.Batch that stores everything at Commit or nothing.
type batch struct {
	s       *Store
	mu      sync.Mutex
	objects map[cid.Hash][]byte // nil when the batch is over
}

// Batch implements cas.Batcher.
func (s *Store) Batch(ctx context.Context) (cas.Batch, error) {
	return &batch{s: s, objects: map[cid.Hash][]byte{}}, ctx.Err()
}

// Put implements cas.Putter.
func (b *batch) Put(ctx context.Context, data []byte) (cid.Hash, error) {
	h := cid.Sum(data)
	if err := ctx.Err(); err != nil {
		return h, err
	}
	return h, b.add(h, bytes.Clone(data))
}

// PutFrom implements cas.Putter.
func (b *batch) PutFrom(ctx context.Context, r io.Reader, want cid.Hash, size int64) error {
	data, err := b.s.receive(ctx, r, want, size)
	if err != nil {
		return err
	}
	return b.add(want, data)
}

func (b *batch) add(h cid.Hash, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.objects == nil {
		return fault.New(cas.ErrUnavailable, "the batch is over")
	}
	b.objects[h] = data
	return nil
}

// Commit implements cas.Batch.
func (b *batch) Commit(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	objects := b.objects
	b.objects = nil
	if objects == nil {
		return fault.New(cas.ErrUnavailable, "the batch is over")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.s.add(objects)
}

// Close implements cas.Batch.
func (b *batch) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects = nil
	return nil
}
