package wasm

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

const (
	maxEntry = 1 << 30 // bytes of one module's compiled code
	maxDisk  = 2 << 30 // bytes of the folder
)

// disk keeps compiled code between processes: a folder with one file for each
// module that was compiled, named by engine, Go version and the rewritten
// module's digest. A file is
//
//	"mythos-code 1\n" || MAC (32 bytes) || name (at most 255 bytes) || 0a || code
//
// with MAC = HMAC-SHA256(key, file name || name || 0a || code). name and code are
// wazero's own: the name depends on the processor. What is in the folder becomes
// machine code that this process executes, so a file whose MAC is wrong is
// removed and compiled anew. The least recently used files go when the folder
// holds more than 2 GiB.
type disk struct {
	dir string
	key []byte
}

const entryMagic = "mythos-code 1\n"

// openDisk opens a folder, creating it.
func openDisk(dir string, key []byte) (*disk, error) {
	if len(key) != sha256.Size {
		return nil, fault.New(ErrCache, "the key of the cache has %d bytes, want %d", len(key), sha256.Size).About(dir)
	}
	if err := private(dir); err != nil {
		return nil, err
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return nil, fault.New(ErrCache, "%w", err).About(dir)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return nil, fault.New(ErrCache, "%w", err).About(dir)
	}
	return &disk{dir: dir, key: bytes.Clone(key)}, nil
}

// private makes sure that dir is a folder that only this user can enter.
func private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.New(ErrCache, "%w", err).About(dir)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fault.New(ErrCache, "%w", err).About(dir)
	}
	switch {
	case !info.IsDir():
		return fault.New(ErrCache, "not a folder; compiled code is executed, so a link is not followed").About(dir)
	case !ownedByUser(info):
		return fault.New(ErrCache, "belongs to another user or is open to others (mode %04o); "+
			"compiled code is executed: chmod 700, or name another folder", info.Mode().Perm()).About(dir)
	}
	return nil
}

// compile compiles in w, with the code of the folder if it is there, and keeps
// it there if not. A folder that cannot be written costs time and nothing else.
func (d *disk) compile(ctx context.Context, engine string, w *worker, code []byte) (wazero.CompiledModule, error) {
	digest := cid.Sum(code)
	id := sha256.Sum256([]byte(engine + "\x00" + runtime.Version() + "\x00" + string(digest[:])))
	file := hex.EncodeToString(id[:])
	defer w.files.clear()
	known, content, err := d.read(file)
	if err == nil {
		err = w.files.put(known, content)
	}
	if err != nil {
		known = ""
	}
	m, err := compileWith(ctx, w.runtime, code)
	if err != nil {
		_ = os.Remove(filepath.Join(d.dir, file)) // so that it is not tried again
		return nil, err
	}
	if name, content := w.files.other(known); name != "" {
		_ = d.write(file, name, content)
	}
	return m, nil
}

// read returns an entry of the folder; one that is damaged is removed.
func (d *disk) read(file string) (name string, content []byte, err error) {
	path := filepath.Join(d.dir, file)
	f, err := openEntry(path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", nil, err
	}
	var b []byte
	if info.Mode().IsRegular() && info.Size() <= maxEntry {
		b = make([]byte, info.Size())
		_, err = io.ReadFull(f, b)
	}
	rest, ok := bytes.CutPrefix(b, []byte(entryMagic))
	if err != nil || !ok || len(rest) < sha256.Size || !hmac.Equal(rest[:sha256.Size], d.mac(file, rest[sha256.Size:])) {
		return "", nil, errors.Join(fs.ErrInvalid, os.Remove(path))
	}
	head, content, _ := bytes.Cut(rest[sha256.Size:], []byte("\n"))
	now := time.Now()
	_ = os.Chtimes(path, now, now) // the least recently used entry goes first
	return string(head), content, nil
}

func (d *disk) write(file, name string, content []byte) error {
	f, err := atomicfile.Create(filepath.Join(d.dir, file), 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	body := slices.Concat([]byte(name), []byte("\n"), content)
	for _, part := range [][]byte{[]byte(entryMagic), d.mac(file, body), body} {
		if _, err := f.Write(part); err != nil {
			return err
		}
	}
	if err := f.Commit(); err != nil {
		return err
	}
	return d.trim()
}

func (d *disk) mac(file string, body []byte) []byte {
	h := hmac.New(sha256.New, d.key)
	h.Write([]byte(file))
	h.Write(body)
	return h.Sum(nil)
}

// diskName is what an entry is called, and what one was that a process which
// was killed has left unfinished. Nothing else in the folder is ever removed.
var diskName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([0-9a-f]{64}|\.[0-9a-f]{64}\.tmp-[0-9]+)$`)
})

// trim removes the least recently used entries of a folder that has become too
// large.
func (d *disk) trim() error {
	list, err := os.ReadDir(d.dir)
	if err != nil {
		return err
	}
	var files []fs.FileInfo
	total := int64(0)
	for _, e := range list {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && diskName().MatchString(e.Name()) {
			files = append(files, info)
			total += info.Size()
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, f := range files {
		if total <= maxDisk {
			break
		}
		total -= f.Size()
		err = errors.Join(err, os.Remove(filepath.Join(d.dir, f.Name())))
	}
	return err
}

// scratch is a worker's private folder, through which code goes to and from
// wazero: it can read and write compiled code in a folder only, and must not
// read there what nobody has checked.
type scratch struct {
	dir   string
	lock  *os.File // of dir: it goes with the process, however that ends
	cache wazero.CompilationCache
}

// codeName is what wazero may call a file in its folder.
var codeName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9._+-]{1,120}/[0-9a-f]{64}$`)
})

const scratchName = "mythos-wasm-"

// newScratch makes a folder in that of temporary files, and removes those that
// killed processes left there.
func newScratch() (*scratch, error) {
	sweepScratch(os.TempDir())
	dir, lock, err := lockedFolder()
	if err != nil {
		return nil, fault.New(ErrCache, "%w", err)
	}
	c, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, errors.Join(fault.New(ErrCache, "%w", err).About(dir), os.RemoveAll(dir), lock.Close())
	}
	return &scratch{dir: dir, lock: lock, cache: c}, nil
}

// lockedFolder makes a folder and locks it. One that was swept between the two is
// made again.
func lockedFolder() (dir string, lock *os.File, err error) {
	for range 10 {
		if dir, err = os.MkdirTemp("", scratchName); err != nil { // mode 0700
			return "", nil, err
		}
		if lock, err = lockScratch(dir); err != nil {
			continue
		}
		if _, err = os.Lstat(dir); err == nil {
			return dir, lock, nil
		}
		_ = lock.Close()
	}
	return "", nil, err
}

// sweepScratch removes this user's folders that nobody holds. What it cannot
// remove stays.
func sweepScratch(in string) {
	left, _ := filepath.Glob(filepath.Join(in, scratchName+"*"))
	for _, dir := range left {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || !ownedByUser(info) {
			continue
		}
		if lock, err := lockScratch(dir); err == nil {
			_ = os.RemoveAll(dir)
			_ = lock.Close()
		}
	}
}

func (s *scratch) put(name string, content []byte) error {
	if !codeName().MatchString(name) {
		return fs.ErrInvalid
	}
	return os.WriteFile(filepath.Join(s.dir, name), content, 0o600)
}

func (s *scratch) names() []string {
	names, _ := fs.Glob(os.DirFS(s.dir), "*/*")
	return names
}

// other returns the file that wazero wrote: one that is not the known one.
func (s *scratch) other(known string) (name string, content []byte) {
	for _, n := range s.names() {
		if n == known || !codeName().MatchString(n) {
			continue
		}
		if b, err := os.ReadFile(filepath.Join(s.dir, n)); err == nil && len(b) < maxEntry {
			return n, b
		}
	}
	return "", nil
}

func (s *scratch) clear() {
	for _, n := range s.names() {
		_ = os.Remove(filepath.Join(s.dir, n))
	}
}

func (s *scratch) close() error {
	return errors.Join(s.cache.Close(context.Background()), os.RemoveAll(s.dir), s.lock.Close())
}
