// Package local keeps objects on disk (RFC-MYTHOS-0007). Objects of 64 KiB and
// more are files, smaller ones lie in pack files that are only appended to:
//
//	DIR/format           "mythos-store 2\n"
//	DIR/objects/xx/H     a large object's bytes; H is its SHA-256 in 64 lowercase
//	                     hex, xx its first byte; small ones of format 1 as well
//	DIR/packs/P.pack     small objects in frames; see frame.go
//	DIR/packs/P.index    what is in a pack; see index.go
//	DIR/tags/NAME        "sha256:...\n": what gc must keep, by name
//	DIR/pins/H           empty: what gc must keep
//	DIR/served           empty: a registry serves from it, nothing is collected
//	DIR/format1          empty: format 1 left small objects that are files
//	DIR/quota            at most this many bytes, in decimal
//	DIR/lock, DIR/turn   see storelock.go
//	DIR/tmp/S.lock       held (flock) by the process whose writes begin with S
//	DIR/tmp/S.N          a write in progress
//
// Directories have mode 0700, files 0600. A file goes to tmp, is checked against
// its hash, synced, renamed into objects, and its directory is synced. A small
// object is appended to a pack that only this process has locked; the callers
// that wait while the pack is synced share the next sync. So what a nil error
// acknowledges survives a power cut, and a name is only ever seen with whole
// bytes.
//
// A killed process leaves files in tmp, which the first write of the next
// process removes, and at most a torn end in the pack that it had, which the next
// process to lock the pack cuts off: a lock that can be taken belongs to a dead
// process, so no age has to be guessed. Where the system has no flock every
// object is a file, such leftovers stay, and nothing is collected.
//
// Opening a store writes nothing, so a read-only store can be read; the folder
// is made by the first write. Any number of processes may use one store. A folder
// of format 1, where every object is a file, is read as it is and becomes one of
// format 2 with the first write.
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
	"time"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrFormat is raised for a folder whose format this build does not know.
const ErrFormat fault.Code = "store_format_unknown"

const (
	formatName = "format"
	formatText = "mythos-store 2\n"
	formatOld  = "mythos-store 1\n" // without packs
	oldName    = "format1"
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

	now       func() time.Time
	packLimit int64
	oldFiles  bool // there may be small objects that are files
	packs     *packs
	writer    *writer
	quota     quota
	settled   settled

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

	stepCreatePack step = "create-pack" // before a pack is made
	stepAppend     step = "append"      // before frames are written to it
	stepPackSync   step = "pack-sync"   // before it is synced
	stepPacked     step = "packed"      // after that
)

// Options makes a Store; the zero value is the usual one.
type Options struct {
	Clock    func() time.Time // tells generations; time.Now if nil
	PackSize int64            // bytes at which a pack is full; 256 MiB if 0
}

// Open returns the store in dir, which need not exist yet. It writes nothing.
func Open(dir string) (*Store, error) { return OpenWith(dir, Options{}) }

// OpenWith is Open with options.
func OpenWith(dir string, o Options) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fault.New(cas.ErrUnavailable, "open the store: %w", err).About(dir)
	}
	s := newStore(abs, o)
	if _, err := s.checkFormat(); err != nil {
		return nil, err
	}
	return s, nil
}

func newStore(dir string, o Options) *Store {
	s := &Store{dir: dir, now: o.Clock, packLimit: o.PackSize}
	if s.now == nil {
		s.now = time.Now
	}
	if s.packLimit <= 0 || s.packLimit > maxPack {
		s.packLimit = defaultPackLimit
	}
	s.packs = &packs{dir: filepath.Join(dir, packsDir)}
	s.writer = &writer{s: s, shunned: map[string]bool{}}
	return s
}

// IsStore reports whether dir is the folder of a store.
func IsStore(dir string) bool {
	info, err := os.Lstat(filepath.Join(dir, formatName))
	return err == nil && info.Mode().IsRegular()
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
	err := s.writer.finish(false)
	s.packs.close()
	if s.session != nil {
		err = errors.Join(err, s.session.close())
	}
	if err != nil && fault.CodeOf(err) == "" {
		err = s.failed("close the store", err).About(s.dir)
	}
	return err
}

// checkFormat reports whether the format file is there and says this format.
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
	if t := string(text); t != formatText && t != formatOld {
		return false, fault.New(ErrFormat, "says %q, this build reads %q and %q", text, formatText, formatOld).About(path)
	}
	return string(text) == formatText, nil
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
	for _, dir := range []string{objects, tmp, s.packs.dir} {
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
	_, err = os.Lstat(filepath.Join(s.dir, oldName))
	s.oldFiles = !errors.Is(err, fs.ErrNotExist) || !canLock
	return ses, nil
}

// putFile writes a file of the store's own, whole or not at all. It survives a
// power cut only when its directory is synced too.
func (s *Store) putFile(path string, data []byte) error {
	f, err := s.session.create()
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(f.Name()))
	}
	return nil
}

// writeFormat marks the folder as complete. Processes that do so at once write
// the same.
func (s *Store) writeFormat(ses *session) error {
	if old, err := os.ReadFile(filepath.Join(s.dir, formatName)); err == nil && string(old) == formatOld {
		if err := atomicfile.Write(filepath.Join(s.dir, oldName), nil, 0o600); err != nil {
			return err
		}
	}
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

// mayWrite makes the store ready for a write; the caller calls s.mu.RUnlock when
// the error is nil.
func (s *Store) mayWrite() error {
	_, err := s.begin(context.Background())
	return err
}
