package local

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
)

const lockSuffix = ".lock"

// session owns the temporary files of one open store: their names begin with
// its id, and it holds the lock ID.lock for as long as it lives.
type session struct {
	dir  string // DIR/tmp
	id   string
	lock *os.File
	next atomic.Uint64
}

// newSession takes a lock of its own and removes what dead sessions left.
func newSession(dir string) (*session, error) {
	for {
		s := &session{dir: dir, id: rand.Text()}
		held, err := s.acquire()
		if err != nil {
			return nil, err
		}
		if held {
			s.sweep()
			return s, nil
		}
	}
}

// acquire makes and takes the lock. It is false if another process, sweeping,
// took the fresh file for a dead session's before it was locked.
func (s *session) acquire() (bool, error) {
	path := s.lockPath()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, err
	}
	taken, err := tryLock(f)
	if errors.Is(err, errors.ErrUnsupported) {
		taken, err = true, nil // and nobody can sweep
	}
	if err != nil {
		return false, errors.Join(err, f.Close(), os.Remove(path))
	}
	if taken && sameFile(f, path) {
		s.lock = f
		return true, nil
	}
	return false, f.Close()
}

// close removes the session's files and its lock.
func (s *session) close() error {
	return errors.Join(removeSession(s.dir, s.id), s.lock.Close())
}

func (s *session) lockPath() string { return filepath.Join(s.dir, s.id+lockSuffix) }

// create makes a new temporary file.
func (s *session) create() (*os.File, error) {
	name := s.id + "." + strconv.FormatUint(s.next.Add(1), 10)
	return os.OpenFile(filepath.Join(s.dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// sweep removes the files of sessions whose lock nobody holds. Other names in
// the folder are not this store's and stay. What cannot be removed costs space
// only, and the next session tries again, so errors are not the writer's.
func (s *session) sweep() {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), lockSuffix); ok && id != "" && id != s.id {
			_ = sweepSession(s.dir, id)
		}
	}
}

func sweepSession(dir, id string) error {
	path := filepath.Join(dir, id+lockSuffix)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its owner closed it, or another process swept it
	}
	if err != nil {
		return err
	}
	defer f.Close()
	taken, err := tryLock(f)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil || !taken || !sameFile(f, path) {
		return err
	}
	return removeSession(dir, id)
}

// removeSession removes a session's files, its lock last: until then a sweep
// that is interrupted can be repeated. The caller holds the lock, so the
// session makes no new files.
func removeSession(dir, id string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), id+".") && e.Name() != id+lockSuffix {
			if err := removeIfThere(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return removeIfThere(filepath.Join(dir, id+lockSuffix))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sameFile reports whether path still names the open file f.
func sameFile(f *os.File, path string) bool {
	a, errA := f.Stat()
	b, errB := os.Lstat(path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}
