// Package local keeps objects on disk, one file each:
//
//	DIR/format         "mythos-store 1\n"
//	DIR/objects/xx/    256 directories, by the first hex byte of the hash
//	DIR/objects/xx/H   an object's bytes; H is its SHA-256 in 64 lowercase hex
//	DIR/tmp/S.lock     held (flock) by the process whose writes begin with S
//	DIR/tmp/S.N        a write in progress
//
// Directories have mode 0700, files 0600. A write goes to tmp, is checked
// against its hash, synced, renamed into objects, and the object's directory
// is synced: what a nil error acknowledges survives a power cut, and a name in
// objects is only ever seen with whole bytes. All 256 directories are made and
// synced before the format file is, so no write has to make one.
//
// A killed process leaves files in tmp and nothing else. The first write of
// the next process removes them: a lock that can be taken belongs to a dead
// process, so no age has to be guessed and no clock is read. Where the system
// has no flock, such files stay until somebody removes them.
//
// Opening a store writes nothing, so a read-only store can be read; the folder
// is made by the first write. Any number of processes may use one store.
//
// Every object is a file, however small: on ext4 a 200 byte object takes one
// 4 KiB block, and each durable Put waits for the disk twice. A batch shares
// those waits. A pack file for small objects, pins, collection and repair are
// later work; the format number is there so that they can be told apart.
package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrFormat is raised for a folder whose format this build does not know.
const ErrFormat fault.Code = "store_format_unknown"

const (
	formatName = "format"
	formatText = "mythos-store 1\n"
	objectsDir = "objects"
	tmpDir     = "tmp"
	hexDigits  = "0123456789abcdef"

	dirMode fs.FileMode = 0o700
)

// Store is a cas.Store and cas.Batcher over a folder. Close it.
type Store struct {
	dir string

	mu      sync.RWMutex // held for reading by every write; by Close for writing
	closed  bool
	prepare sync.Mutex // guards session
	session *session   // nil until the first write

	// probe is called at each step of a write, so that tests can fail or kill
	// the process there. It is nil otherwise.
	probe func(step) error
}

// step is a point in the life of a write.
type step string

const (
	stepCreate  step = "create"   // before the temporary file is made
	stepWrite   step = "write"    // before its bytes are written
	stepSync    step = "sync"     // before it is synced
	stepRename  step = "rename"   // before it is renamed into objects
	stepSyncDir step = "sync-dir" // before the object's directory is synced
	stepDone    step = "done"     // after that
)

// Open returns the store in dir, which need not exist yet. It writes nothing.
func Open(dir string) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fault.New(cas.ErrUnavailable, "open the store: %w", err).About(dir)
	}
	s := &Store{dir: abs}
	if _, err := s.checkFormat(); err != nil {
		return nil, err
	}
	return s, nil
}

// Dir returns the store's folder, absolute.
func (s *Store) Dir() string { return s.dir }

// Close waits for calls in progress, drops open batches and gives up the
// store's lock. Streams that Open returned stay usable. Later writes are
// cas.ErrUnavailable.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.session == nil {
		return nil
	}
	return s.session.close()
}

// checkFormat reports whether the format file is there.
func (s *Store) checkFormat() (bool, error) {
	path := filepath.Join(s.dir, formatName)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fault.New(cas.ErrUnavailable, "open the store: %w", err).About(s.dir)
	}
	defer f.Close()
	const most = 64
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return false, fault.New(cas.ErrUnavailable, "read the store's format: %w", err).About(path)
	}
	if string(text) != formatText {
		return false, fault.New(ErrFormat, "says %q, this build reads %q", text, formatText).About(path)
	}
	return true, nil
}

// begin makes the store ready for a write; the caller calls s.mu.RUnlock when
// the returned error is nil.
func (s *Store) begin(ctx context.Context) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	ses, err := s.ready()
	if err != nil {
		s.mu.RUnlock()
		return nil, err
	}
	return ses, nil
}

func (s *Store) ready() (*session, error) {
	if s.closed {
		return nil, fault.New(cas.ErrUnavailable, "the store is closed").About(s.dir)
	}
	s.prepare.Lock()
	defer s.prepare.Unlock()
	if s.session != nil {
		return s.session, nil
	}
	ses, err := s.initialise()
	if err != nil {
		if fault.CodeOf(err) == "" {
			err = s.failed("prepare the store", err).About(s.dir)
		}
		return nil, err
	}
	s.session = ses
	return ses, nil
}

// initialise makes what is missing of the folder and starts a session.
func (s *Store) initialise() (*session, error) {
	formatted, err := s.checkFormat()
	if err != nil {
		return nil, err
	}
	objects, tmp := filepath.Join(s.dir, objectsDir), filepath.Join(s.dir, tmpDir)
	for _, dir := range []string{objects, tmp} {
		if err := atomicfile.MkdirAll(dir, dirMode); err != nil {
			return nil, err
		}
	}
	made, err := makeFanout(objects)
	if err != nil {
		return nil, err
	}
	if made || !formatted {
		// Another process may have made them and not synced yet.
		if err := errors.Join(atomicfile.SyncDir(objects), atomicfile.SyncDir(s.dir)); err != nil {
			return nil, err
		}
	}
	ses, err := newSession(tmp)
	if err != nil {
		return nil, err
	}
	if !formatted {
		if err := s.writeFormat(ses); err != nil {
			return nil, errors.Join(err, ses.close())
		}
	}
	return ses, nil
}

// writeFormat marks the folder as complete. Processes that do so at once write
// the same.
func (s *Store) writeFormat(ses *session) error {
	f, err := ses.create()
	if err != nil {
		return err
	}
	_, err = f.WriteString(formatText)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(s.dir, formatName)); err != nil {
		return err
	}
	return atomicfile.SyncDir(s.dir)
}

func makeFanout(objects string) (made bool, err error) {
	entries, err := os.ReadDir(objects)
	if err != nil {
		return false, err
	}
	have := make(map[string]bool, len(entries))
	for _, e := range entries {
		have[e.Name()] = e.IsDir()
	}
	for _, name := range fanout() {
		if have[name] {
			continue
		}
		made = true
		if err := os.Mkdir(filepath.Join(objects, name), dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return made, err
		}
	}
	return made, nil
}

// fanout returns the names 00 to ff, ascending.
func fanout() []string {
	names := make([]string, 0, 256)
	for _, a := range hexDigits {
		for _, b := range hexDigits {
			names = append(names, string([]rune{a, b}))
		}
	}
	return names
}

// path returns the file of an object.
func (s *Store) path(h cid.Hash) string {
	name := h.Hex()
	return filepath.Join(s.dir, objectsDir, name[:2], name)
}

// parse is the inverse of path's last element.
func parse(name string) (cid.Hash, bool) {
	if strings.Contains(name, ":") {
		return cid.Hash{}, false
	}
	h, err := cid.Parse("sha256:" + name)
	return h, err == nil
}

// failed gives an error of the system the code it has for every store.
func (s *Store) failed(doing string, err error) *fault.Error {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) {
			return fault.New(cas.ErrFull, "%s: %w", doing, err)
		}
	}
	return fault.New(cas.ErrUnavailable, "%s: %w", doing, err)
}

// object is failed about an object; errors that are not the system's (ctx's,
// the source's, those with a code) pass through.
func (s *Store) object(doing string, h cid.Hash, err error) error {
	var src *cas.SourceError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &src), fault.CodeOf(err) != "",
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return s.failed(doing, err).About(h.String())
}

func (s *Store) at(p step) error {
	if s.probe == nil {
		return nil
	}
	return s.probe(p)
}
