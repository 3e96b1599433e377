package local

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Get implements cas.Store.
func (s *Store) Get(ctx context.Context, h cid.Hash, limit int64) ([]byte, error) {
	b, f, size, err := s.open(ctx, h, limit)
	if err != nil || f == nil {
		return b, err
	}
	defer f.Close()
	if size > limit {
		return nil, tooLarge(h, size, limit)
	}
	b = make([]byte, size)
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

func tooLarge(h cid.Hash, size, limit int64) error {
	return fault.New(cas.ErrTooLarge, "is %d bytes, at most %d are wanted", size, limit).About(h.String())
}

// Open implements cas.Store.
func (s *Store) Open(ctx context.Context, h cid.Hash) (io.ReadCloser, int64, error) {
	b, f, size, err := s.open(ctx, h, smallLimit)
	switch {
	case errors.Is(err, cas.ErrCorrupt) && f == nil:
		return s.openDamaged(h, err)
	case err != nil:
		return nil, 0, err
	case f == nil:
		return &objectBytes{ctx, bytes.NewReader(b)}, int64(len(b)), nil
	}
	return cas.Verify(&objectFile{File: f, s: s, ctx: ctx, h: h}, h, size), size, nil
}

// openDamaged opens an object in a pack that is there, and damaged: as with a
// file, reading it says so.
func (s *Store) openDamaged(h cid.Hash, damage error) (io.ReadCloser, int64, error) {
	x, err := s.look(h)
	defer x.release()
	if err != nil || len(x.copies) == 0 {
		return nil, 0, damage
	}
	return damaged{damage}, max(1, int64(x.copies[0].length)), nil
}

type damaged struct{ error }

func (d damaged) Read([]byte) (int, error) { return 0, d.error }
func (d damaged) Close() error             { return nil }

// open finds an object: the bytes of one in a pack, checked, or the file of
// another, unchecked, and its size. Bytes beyond limit are not read.
func (s *Store) open(ctx context.Context, h cid.Hash, limit int64) ([]byte, *os.File, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, 0, err
	}
	x, err := s.look(h)
	if err == nil && len(x.copies) == 0 {
		f, size, missing := s.openFile(ctx, h)
		if !errors.Is(missing, cas.ErrNotFound) {
			return nil, f, size, missing
		}
		if err = s.packs.refresh(); err == nil {
			x, err = s.packs.look(h)
		}
		if err == nil && len(x.copies) == 0 {
			return nil, nil, 0, missing
		}
	}
	if err != nil {
		return nil, nil, 0, s.object("read", h, err)
	}
	b, err := s.readCopy(h, limit, x)
	return b, nil, int64(len(b)), err
}

// look returns what this process knows of h in packs.
func (s *Store) look(h cid.Hash) (found, error) {
	if err := s.packs.prepare(); err != nil {
		return found{}, err
	}
	return s.packs.look(h)
}

// readCopy returns the first copy whose bytes hash to h. It releases x.
func (s *Store) readCopy(h cid.Hash, limit int64, x found) ([]byte, error) {
	b, err := s.tryCopies(h, limit, x)
	if !errors.Is(err, cas.ErrCorrupt) {
		return b, err
	}
	// The pack may have been cut and appended to since it was looked at.
	again, lookErr := s.packs.reread(h)
	if lookErr != nil {
		return nil, s.object("read", h, lookErr)
	}
	if len(again.copies) == 0 {
		return nil, err
	}
	return s.tryCopies(h, limit, again)
}

func (s *Store) tryCopies(h cid.Hash, limit int64, x found) ([]byte, error) {
	defer x.release()
	var failed error
	for _, c := range x.copies {
		if int64(c.length) > limit {
			return nil, tooLarge(h, int64(c.length), limit)
		}
		b, err := c.p.data(c.entry)
		got := cid.Sum(b)
		switch {
		case err == nil && got == h:
			return b, nil
		case err == nil:
			err = fault.New(cas.ErrCorrupt, "what is in %s at %d hashes to %s", c.p.path, c.offset, got).About(h.String())
		case errors.Is(err, io.EOF):
			err = fault.New(cas.ErrCorrupt, "%s ends early", c.p.path).About(h.String())
		default:
			err = s.object("read", h, err)
		}
		failed = err
	}
	return nil, failed
}

// List implements cas.Store. Names in objects that are not an object's are
// skipped.
func (s *Store) List(ctx context.Context) iter.Seq2[cid.Hash, error] {
	return func(yield func(cid.Hash, error) bool) {
		if err := s.packs.refresh(); err != nil {
			yield(cid.Hash{}, s.failed("list", err).About(s.dir))
			return
		}
		for first, dir := range fanout() {
			hashes, err := s.listOf(ctx, byte(first), dir)
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

// listOf lists the objects whose hash begins with a byte, dir in hex.
func (s *Store) listOf(ctx context.Context, first byte, dir string) ([]cid.Hash, error) {
	files, err := s.listDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	packed, err := s.packs.hashes(first)
	if err != nil {
		return nil, s.failed("list", err).About(s.dir)
	}
	if len(packed) == 0 {
		return files, nil
	}
	all := append(files, packed...)
	slices.SortFunc(all, cid.Hash.Compare)
	return slices.Compact(all), nil
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

// openFile returns an object's file, unchecked, and its size.
func (s *Store) openFile(ctx context.Context, h cid.Hash) (*os.File, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	path := s.path(h)
	info, err := os.Lstat(path) // before opening: opening a pipe would wait
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fault.New(cas.ErrNotFound, "is not in the store").About(h.String())
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

// objectBytes is an object that was checked, read until ctx ends.
type objectBytes struct {
	ctx context.Context
	r   *bytes.Reader
}

func (o *objectBytes) Read(p []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	return o.r.Read(p)
}

func (o *objectBytes) Close() error { return nil }

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
