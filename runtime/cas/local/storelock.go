package local

import (
	"errors"
	"os"
	"path/filepath"
)

// A writer holds DIR/lock together with others while it makes an object visible
// or renews one, collection holds it alone while it removes some. Both take
// DIR/turn first, for that moment only, so that writers who overlap cannot keep
// collection waiting for ever. Neither is held while anybody waits for the disk.
const (
	lockName = "lock"
	turnName = "turn"
)

// lockStore takes the store's lock, alone or with others; the caller calls
// unlock. Where there are no locks it does nothing, and nothing is collected.
func (s *Store) lockStore(alone bool) (unlock func(), err error) {
	if !canLock {
		return func() {}, nil
	}
	turn, err := s.lockFile(turnName, true)
	if err != nil {
		return nil, err
	}
	defer turn.Close()
	f, err := s.lockFile(lockName, alone)
	if err != nil {
		return nil, err
	}
	return func() { _ = f.Close() }, nil // nothing was written to it
}

func (s *Store) lockFile(name string, alone bool) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(s.dir, name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := waitLock(f, alone); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
