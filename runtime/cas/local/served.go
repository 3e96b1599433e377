package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrServed is raised for a collection of a store that a registry serves from.
const ErrServed fault.Code = "store_served"

const servedName = "served"

// MarkServed notes for good that a registry serves from this store: what it has
// published is in an index that no collection reads, so none is allowed. It is
// ErrBusy while a collection or a repair runs that began before the first mark.
func (s *Store) MarkServed(ctx context.Context) (err error) {
	served, err := s.served()
	if served || err != nil || !canLock { // without locks nothing is collected
		return err
	}
	unlock, err := s.alone(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := atomicfile.Write(filepath.Join(s.dir, servedName), nil, 0o600); err != nil {
		return s.failed("mark the store", err).About(s.dir)
	}
	return nil
}

func (s *Store) served() (bool, error) {
	_, err := os.Lstat(filepath.Join(s.dir, servedName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, s.failed("look for the mark of a registry", err).About(s.dir)
	}
	return err == nil, nil
}

// notServed refuses to collect for a registry.
func (s *Store) notServed() error {
	served, err := s.served()
	if served {
		return fault.New(ErrServed, "a registry serves from it, so nothing is removed").About(s.dir)
	}
	return err
}
