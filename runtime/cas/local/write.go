package local

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Put implements cas.Store.
func (s *Store) Put(ctx context.Context, b []byte) (cid.Hash, error) {
	h := cid.Sum(b)
	return h, s.put(ctx, h, fill(b))
}

// PutFrom implements cas.Store. An object that is there already is read and
// checked, so that success means that good bytes are stored.
func (s *Store) PutFrom(ctx context.Context, r io.Reader, want cid.Hash, size int64) error {
	return s.put(ctx, want, receive(ctx, r, want, size))
}

// content writes an object's bytes, and fails unless they are the object.
type content func(w io.Writer) error

func fill(b []byte) content {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}

func receive(ctx context.Context, r io.Reader, want cid.Hash, size int64) content {
	return func(w io.Writer) error { return cas.Receive(ctx, w, r, want, size) }
}

func (s *Store) put(ctx context.Context, h cid.Hash, from content) error {
	ses, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer s.mu.RUnlock()
	held, err := s.intact(ctx, h)
	if err != nil {
		return err
	}
	if held {
		if err := from(io.Discard); err != nil {
			return err
		}
		// Whoever renamed it may not have synced its directory yet.
		return s.object("store", h, s.syncDirOf(h))
	}
	f, err := s.stage(ses, from)
	if err != nil {
		return s.object("store", h, err)
	}
	if err := s.settle(f); err != nil {
		return s.object("store", h, err)
	}
	if err := s.place(f.Name(), h); err != nil {
		return s.object("store", h, err)
	}
	return s.object("store", h, s.syncDirOf(h))
}

// intact reports whether h is stored, and fails if it is damaged.
func (s *Store) intact(ctx context.Context, h cid.Hash) (bool, error) {
	r, _, err := s.Open(ctx, h)
	if errors.Is(err, cas.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	if errors.Is(err, cas.ErrCorrupt) {
		return false, fault.New(cas.ErrCorrupt, "the stored copy is damaged; move %s aside and store it again: %w", s.path(h), err).About(h.String())
	}
	return err == nil, err
}

// stage writes an object to a temporary file, not yet synced. On error nothing
// is left; otherwise the caller passes the file to settle.
func (s *Store) stage(ses *session, from content) (*os.File, error) {
	if err := s.at(stepCreate); err != nil {
		return nil, err
	}
	f, err := ses.create()
	if err != nil {
		return nil, err
	}
	err = s.at(stepWrite)
	if err == nil {
		err = from(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return f, nil
}

// settle syncs and closes a staged file. On error it is removed.
func (s *Store) settle(f *os.File) error {
	err := s.at(stepSync)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// place renames a settled file to its object. On error it is removed.
func (s *Store) place(tmp string, h cid.Hash) error {
	err := s.at(stepRename)
	if err == nil {
		err = os.Rename(tmp, s.path(h))
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}

func (s *Store) syncDirOf(h cid.Hash) error {
	if err := s.at(stepSyncDir); err != nil {
		return err
	}
	if err := atomicfile.SyncDir(filepath.Dir(s.path(h))); err != nil {
		return err
	}
	return s.at(stepDone)
}
