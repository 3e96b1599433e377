package local

import (
	"context"
	"encoding/binary"
	"strconv"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// BenchmarkStore stores objects of 200 bytes, durably, and reads them back,
// verified; one operation is one object. The runs share a folder, because on
// a filesystem that discards freed blocks removing one slows the next.
func BenchmarkStore(b *testing.B) {
	s, err := Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	serial := uint64(0)
	next := func() []byte {
		serial++
		return binary.BigEndian.AppendUint64(make([]byte, 192), serial)
	}
	if err := putOne(b.Context(), s, next()); err != nil { // makes the folder
		b.Fatal(err)
	}
	b.Run("put", func(b *testing.B) {
		for b.Loop() {
			if err := putOne(b.Context(), s, next()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("put16", func(b *testing.B) {
		benchParallel(b, func(o []byte) error { return putOne(b.Context(), s, o) }, next)
	})
	b.Run("file16", func(b *testing.B) { // what a pack saves: each object a file
		benchParallel(b, func(o []byte) error { return putFile(b.Context(), s, o) }, next)
	})
	for _, size := range []int{10, 100, 1000} {
		b.Run("batch"+strconv.Itoa(size), func(b *testing.B) { benchBatch(b, s, next, size) })
	}
	b.Run("get", func(b *testing.B) {
		h, err := s.Put(b.Context(), next())
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := s.Get(b.Context(), h, 1024); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// putFile stores an object as a file, whatever its size.
func putFile(ctx context.Context, s *Store, o []byte) error {
	ses, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer s.mu.RUnlock()
	return s.putLarge(ses, cid.Sum(o), fill(o))
}

// benchParallel puts from 16 goroutines.
func benchParallel(b *testing.B, put func([]byte) error, next func() []byte) {
	objects, errs := make(chan []byte), make(chan error)
	for range 16 {
		go func() {
			var first error
			for o := range objects {
				if err := put(o); err != nil && first == nil {
					first = err
				}
			}
			errs <- first
		}()
	}
	for range b.N {
		objects <- next()
	}
	close(objects)
	for range 16 {
		if err := <-errs; err != nil {
			b.Error(err)
		}
	}
}

func benchBatch(b *testing.B, s *Store, next func() []byte, size int) {
	for left := b.N; left > 0; left -= size {
		batch, err := s.Batch(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for range min(size, left) {
			if _, err := batch.Put(b.Context(), next()); err != nil {
				b.Fatal(err)
			}
		}
		if err := batch.Commit(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
