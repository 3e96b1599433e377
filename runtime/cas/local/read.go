package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Get implements cas.Store.
func (s *Store) Get(ctx context.Context, h cid.Hash, limit int64) ([]byte, error) {
	f, size, err := s.open(ctx, h)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > limit {
		return nil, fault.New(cas.ErrTooLarge, "is %d bytes, at most %d are wanted", size, limit).About(h.String())
	}
	b := make([]byte, size)
	switch _, err := io.ReadFull(f, b); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fault.New(cas.ErrCorrupt, "%s ends early", f.Name()).About(h.String())
	case err != nil:
		return nil, s.object("read", h, err)
	}
	if got := cid.Sum(b); got != h {
		return nil, fault.New(cas.ErrCorrupt, "%s hashes to %s", f.Name(), got).About(h.String())
	}
	return b, nil
}

// Open implements cas.Store.
func (s *Store) Open(ctx context.Context, h cid.Hash) (io.ReadCloser, int64, error) {
	f, size, err := s.open(ctx, h)
	if err != nil {
		return nil, 0, err
	}
	return cas.Verify(&objectFile{File: f, s: s, ctx: ctx, h: h}, h, size), size, nil
}

// Has implements cas.Store.
func (s *Store) Has(ctx context.Context, h cid.Hash) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	_, err := os.Lstat(s.path(h))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, s.object("look for", h, err)
}

// List implements cas.Store. Names in objects that are not an object's are
// skipped.
func (s *Store) List(ctx context.Context) iter.Seq2[cid.Hash, error] {
	return func(yield func(cid.Hash, error) bool) {
		for _, dir := range fanout() {
			hashes, err := s.listDir(ctx, dir)
			if err != nil {
				yield(cid.Hash{}, err)
				return
			}
			for _, h := range hashes {
				if !yield(h, nil) {
					return
				}
			}
		}
	}
}

func (s *Store) listDir(ctx context.Context, dir string) ([]cid.Hash, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, objectsDir, dir)) // sorted by name
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, s.failed("list", err).About(s.dir)
	}
	hashes := make([]cid.Hash, 0, len(entries))
	for _, e := range entries {
		if h, ok := parse(e.Name()); ok && e.Name()[:2] == dir {
			hashes = append(hashes, h)
		}
	}
	return hashes, nil
}

// open returns an object's file, unchecked, and its size.
func (s *Store) open(ctx context.Context, h cid.Hash) (*os.File, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	path := s.path(h)
	info, err := os.Lstat(path) // before opening: opening a pipe would wait
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fault.New(cas.ErrNotFound, "is not in the store %s", s.dir).About(h.String())
	}
	if err != nil {
		return nil, 0, s.object("read", h, err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fault.New(cas.ErrCorrupt, "%s is not a regular file", path).About(h.String())
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, s.object("read", h, err)
	}
	if info, err = f.Stat(); err != nil {
		return nil, 0, errors.Join(s.object("read", h, err), f.Close())
	}
	return f, info.Size(), nil
}

// objectFile gives read errors their code and stops when ctx ends.
type objectFile struct {
	*os.File
	s   *Store
	ctx context.Context
	h   cid.Hash
}

func (f *objectFile) Read(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := f.File.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = f.s.object("read", f.h, err)
	}
	return n, err
}
