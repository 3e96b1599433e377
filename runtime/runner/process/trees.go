package process

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

// trees keeps materialised trees in a private folder of this user:
//
//	<hex>/files/...  the tree, files of mode 0444 and 0555
//	<hex>/size       its bytes, in decimal, for the budget alone
//	.<hex>.tmp-N     one under construction, or what a killed process left
//	empty            an empty folder
//
// where <hex> is the SHA-256 of the encoded Tree. A process that uses one, or
// makes one, holds a shared lock on its folder (an exclusive one while it is
// made), so another that trims the folder leaves it alone.
type trees struct {
	dir   string
	bytes int64 // what the folder may hold beside what is in use
	count int
	now   func() time.Time
}

const (
	treeFiles = "files"
	treeSize  = "size"
	emptyDir  = "empty"
	// leftover is how old the folder of a killed process is before it is removed.
	leftover = time.Hour
)

// Names of folders that this package makes; nothing else is ever removed.
var (
	treeName     = regexp.MustCompile(`^[0-9a-f]{64}$`)
	leftoverName = regexp.MustCompile(`^\.([0-9a-f]{64}\.(tmp|old)|net)-[0-9]+$`)
)

// openTrees opens the folder, creating it.
func openTrees(o *Options) (*trees, error) {
	s := &trees{dir: o.CacheDir, bytes: o.CacheBytes, count: o.CacheTrees, now: o.Now}
	if !filepath.IsAbs(s.dir) {
		return nil, fault.New(ErrTree, "the folder of trees must be an absolute path").About(s.dir)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fault.New(ErrTree, "%w", err).About(s.dir)
	}
	info, err := os.Lstat(s.dir)
	if err != nil {
		return nil, fault.New(ErrTree, "%w", err).About(s.dir)
	}
	if !info.IsDir() || !ownedByUser(info) {
		return nil, fault.New(ErrTree, "belongs to another user, is open to others (mode %04o) or is no folder; "+
			"what is in it is executed: chmod 700, or name another folder", info.Mode().Perm()).About(s.dir)
	}
	empty := filepath.Join(s.dir, emptyDir)
	if err := os.Mkdir(empty, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fault.New(ErrTree, "%w", err).About(s.dir)
	}
	if err := os.Chmod(empty, 0o755); err != nil {
		return nil, fault.New(ErrTree, "%w", err).About(s.dir)
	}
	return s, nil
}

// heldTree is a tree whose every byte was checked by this process.
type heldTree struct {
	lock  *os.File // its folder, under a shared lock
	files *os.File // the folder that modules see
	path  string   // of files
}

func (h *heldTree) close() error { return errors.Join(h.files.Close(), h.lock.Close()) }

// opener is runner.Module.Open.
type opener = func(context.Context, cid.Hash, uint64) (io.ReadCloser, error)

// hold returns the tree of a digest, materialised and checked. One with wrong
// bytes is removed and made again.
func (s *trees) hold(ctx context.Context, digest cid.Hash, t *manifest.Tree, open opener) (*heldTree, error) {
	name := hex.EncodeToString(digest[:])
	var damaged error
	for range 4 { // others may remove it as fast as it is made
		h, err := s.existing(name)
		if errors.Is(err, fs.ErrNotExist) {
			if err := s.make(ctx, name, t, open); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, fault.New(ErrTree, "%w", err).About(s.dir)
		}
		if damaged = check(ctx, h.files, t); damaged == nil {
			now := s.now()
			_ = os.Chtimes(filepath.Join(s.dir, name), now, now) // the least recently used goes first
			return h, nil
		}
		_ = h.close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := s.discard(name); err != nil {
			return nil, errors.Join(damaged, err)
		}
	}
	if damaged == nil {
		damaged = fault.New(ErrTree, "tree %s does not stay in place", digest).About(s.dir)
	}
	return nil, damaged
}

// existing locks what is in place, or returns fs.ErrNotExist.
func (s *trees) existing(name string) (*heldTree, error) {
	dir := filepath.Join(s.dir, name)
	lock, err := lockFolder(dir, false)
	if err != nil {
		return nil, err
	}
	if info, err := os.Lstat(filepath.Join(dir, treeFiles)); err != nil || !info.IsDir() { // not of this package's making
		return nil, errors.Join(fs.ErrNotExist, s.discard(name), lock.Close())
	}
	files, err := openFolder(filepath.Join(dir, treeFiles))
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return &heldTree{lock: lock, files: files, path: filepath.Join(dir, treeFiles)}, nil
}

// make builds a tree beside its place and moves it there. If another process
// was faster, that one's stays.
func (s *trees) make(ctx context.Context, name string, t *manifest.Tree, open opener) (err error) {
	dir, lock, err := s.scratch("." + name + ".tmp-*")
	if err != nil {
		return err
	}
	defer func() {
		_ = lock.Close()
		if dir != "" {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	files := filepath.Join(dir, treeFiles)
	if err := os.Mkdir(files, 0o755); err != nil {
		return fault.New(ErrTree, "%w", err).About(dir)
	}
	if err := write(ctx, files, t, open); err != nil {
		return err
	}
	var total uint64
	for i := range t.Entries {
		total += t.Entries[i].Size
	}
	if err := os.WriteFile(filepath.Join(dir, treeSize), strconv.AppendUint(nil, total, 10), 0o600); err != nil {
		return fault.New(ErrTree, "%w", err).About(dir)
	}
	if err := syncTree(dir); err != nil {
		return fault.New(ErrTree, "sync: %w", err).About(dir)
	}
	place := filepath.Join(s.dir, name)
	if err := os.Rename(dir, place); err != nil {
		if _, there := os.Lstat(place); there == nil {
			return nil
		}
		return fault.New(ErrTree, "%w", err).About(place)
	}
	dir = ""
	return errors.Join(atomicfile.SyncDir(s.dir), s.trim(name))
}

// scratch makes a private folder under an exclusive lock.
func (s *trees) scratch(pattern string) (string, *os.File, error) {
	dir, err := os.MkdirTemp(s.dir, pattern)
	if err != nil {
		return "", nil, fault.New(ErrTree, "%w", err).About(s.dir)
	}
	lock, err := lockFolder(dir, true)
	if err != nil {
		return "", nil, errors.Join(fault.New(ErrTree, "%w", err).About(dir), os.RemoveAll(dir))
	}
	return dir, lock, nil
}

// discard moves a tree out of its place and removes it, whoever uses it.
func (s *trees) discard(name string) error {
	old, lock, err := s.scratch("." + name + ".old-*")
	if err != nil {
		return err
	}
	defer lock.Close()
	err = os.Rename(filepath.Join(s.dir, name), filepath.Join(old, "tree"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(old))
}

// write makes the files of t below dir.
func write(ctx context.Context, dir string, t *manifest.Tree, open opener) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fault.New(ErrTree, "%w", err).About(dir)
	}
	defer root.Close()
	made := map[string]bool{".": true}
	for i := range t.Entries {
		e := &t.Entries[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := folders(root, path.Dir(e.Path), made); err != nil {
			return fault.New(ErrTree, "%w", err).About(e.Path)
		}
		if err := writeFile(ctx, root, e, open); err != nil {
			return err
		}
	}
	return nil
}

// folders makes dir and those above it, enterable by the user that a module
// runs as, whatever the umask.
func folders(root *os.Root, dir string, made map[string]bool) error {
	if made[dir] {
		return nil
	}
	if err := folders(root, path.Dir(dir), made); err != nil {
		return err
	}
	if err := root.Mkdir(dir, 0o755); err != nil {
		return err
	}
	made[dir] = true
	return root.Chmod(dir, 0o755)
}

func writeFile(ctx context.Context, root *os.Root, e *manifest.TreeEntry, open opener) (err error) {
	in, err := open(ctx, e.SHA256, e.Size)
	if err != nil {
		return fmt.Errorf("open %s of the tree: %w", e.Path, err)
	}
	defer in.Close()
	out, err := root.OpenFile(e.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fault.New(ErrTree, "%w", err).About(e.Path)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, h), io.LimitReader(in, int64(e.Size)+1))
	if err != nil {
		return fmt.Errorf("copy %s of the tree: %w", e.Path, err)
	}
	if uint64(n) != e.Size || cid.Hash(h.Sum(nil)) != e.SHA256 {
		return fault.New(manifest.ErrArtifactHash, "the store's bytes are not those of the tree").About(e.Path)
	}
	return out.Chmod(modeOf(e))
}

func modeOf(e *manifest.TreeEntry) fs.FileMode {
	if e.Mode == 1 {
		return 0o555
	}
	return 0o444
}

// check reads a materialised tree and compares it with t: every byte, every
// mode, and nothing beside (RFC-MYTHOS-0006 §5).
func check(ctx context.Context, dir *os.File, t *manifest.Tree) error {
	root, err := os.OpenRoot(dir.Name())
	if err != nil {
		return fault.New(ErrTree, "%w", err).About(dir.Name())
	}
	defer root.Close()
	if err := sameFolder(root, dir); err != nil {
		return err
	}
	var files []string
	err = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fault.New(ErrTree, "%w", err).About(p)
		case len(files) > len(t.Entries):
			return fault.New(ErrTree, "holds more than the tree's %d files", len(t.Entries)).About(dir.Name())
		case !d.IsDir():
			files = append(files, p)
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	slices.Sort(files)
	for i := range t.Entries {
		if i >= len(files) || files[i] != t.Entries[i].Path {
			return fault.New(ErrTree, "its files are not those of the tree").About(t.Entries[i].Path)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := checkFile(root, &t.Entries[i]); err != nil {
			return err
		}
	}
	if len(files) > len(t.Entries) {
		return fault.New(ErrTree, "a file beside those of the tree").About(files[len(files)-1])
	}
	return nil
}

func sameFolder(root *os.Root, dir *os.File) error {
	a, err := root.Stat(".")
	if err != nil {
		return fault.New(ErrTree, "%w", err).About(dir.Name())
	}
	b, err := dir.Stat()
	if err != nil || !os.SameFile(a, b) {
		return fault.New(ErrTree, "was replaced while it was opened").About(dir.Name())
	}
	return nil
}

func checkFile(root *os.Root, e *manifest.TreeEntry) error {
	info, err := root.Lstat(e.Path)
	if err != nil {
		return fault.New(ErrTree, "%w", err).About(e.Path)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm() != modeOf(e) || uint64(info.Size()) != e.Size {
		return fault.New(ErrTree, "is %v of %d bytes, want %v of %d", info.Mode(), info.Size(), modeOf(e), e.Size).About(e.Path)
	}
	f, err := root.Open(e.Path)
	if err != nil {
		return fault.New(ErrTree, "%w", err).About(e.Path)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, int64(e.Size)+1)); err != nil {
		return fault.New(ErrTree, "%w", err).About(e.Path)
	}
	if cid.Hash(h.Sum(nil)) != e.SHA256 {
		return fault.New(ErrTree, "its bytes are not those of the tree").About(e.Path)
	}
	return nil
}

// trim removes trees that no process uses, least recently used first, until
// the folder is within its budget, and what killed processes left. keep stays.
func (s *trees) trim(keep string) error {
	list, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	type tree struct {
		name string
		size int64
		used time.Time
	}
	var all []tree
	var total int64
	for _, e := range list {
		info, err := e.Info()
		switch {
		case err != nil || !info.IsDir():
		case leftoverName.MatchString(e.Name()) && s.now().Sub(info.ModTime()) > leftover:
			s.remove(e.Name())
		case treeName.MatchString(e.Name()):
			size := s.size(e.Name())
			total += size
			all = append(all, tree{e.Name(), size, info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b tree) int { return a.used.Compare(b.used) })
	count := len(all)
	for _, t := range all {
		if total <= s.bytes && count <= s.count {
			break
		}
		if t.name != keep && s.remove(t.name) {
			total, count = total-t.size, count-1
		}
	}
	return nil
}

func (s *trees) size(name string) int64 {
	b, err := os.ReadFile(filepath.Join(s.dir, name, treeSize))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// remove removes a folder unless a process holds it.
func (s *trees) remove(name string) bool {
	lock, err := lockFolder(filepath.Join(s.dir, name), true)
	if err != nil {
		return false
	}
	defer lock.Close()
	if treeName.MatchString(name) {
		return s.discard(name) == nil
	}
	return os.RemoveAll(filepath.Join(s.dir, name)) == nil
}

// empty is a folder with nothing in it.
func (s *trees) empty() string { return filepath.Join(s.dir, emptyDir) }
