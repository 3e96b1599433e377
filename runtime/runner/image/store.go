package image

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// store keeps unpacked images in a private folder of this user:
//
//	<hex>/root/...   the tree, files of mode 0444 and 0555
//	<hex>/size       its bytes, in decimal, for the budget alone
//	.<hex>.tmp-N     one under construction, or what a killed process left
//	.<hex>.old-N     one on its way out
//
// where <hex> is the digest of the image's manifest. What is there is never
// believed: each process works out the tree from the layers and compares. A
// process that uses one holds a shared lock on its folder.
type store struct {
	dir    string
	bytes  int64
	images int
	limit  int64 // bytes of one image
	now    func() time.Time
}

const (
	rootDir  = "root"
	sizeFile = "size"
	leftover = time.Hour // how old the folder of a killed process is before it is removed
)

// Names of folders that this package makes; nothing else is ever removed.
var (
	imageName    = regexp.MustCompile(`^[0-9a-f]{64}$`)
	leftoverName = regexp.MustCompile(`^\.[0-9a-f]{64}\.(tmp|old)-[0-9]+$`)
)

func openStore(o *Options, dir string) (*store, error) {
	s := &store{dir: dir, bytes: o.CacheBytes, images: o.CacheImages, limit: o.MaxImageBytes, now: o.Now}
	bad := func(err error) (*store, error) { return nil, fault.New(ErrStore, "%w", err).About(dir) }
	if !filepath.IsAbs(dir) {
		return bad(errors.New("the folder of unpacked images must be an absolute path"))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return bad(err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return bad(err)
	}
	if !info.IsDir() || !private(info) {
		return bad(fmt.Errorf("belongs to another user, is open to others (mode %04o) or is no folder; "+
			"what is in it is executed: chmod 700, or name another folder", info.Mode().Perm()))
	}
	return s, nil
}

// held is an unpacked image whose every byte was checked by this process.
type held struct {
	lock *os.File // its folder, under a shared lock
	root *os.File // the folder that modules see
	path string   // of root
}

func (h *held) close() error { return errors.Join(h.root.Close(), h.lock.Close()) }

// hold returns the unpacked image of a digest, made if it is not there. One with
// wrong bytes is removed and made again.
func (s *store) hold(ctx context.Context, digest cid.Hash, x *parts, t *plan, open opener) (*held, error) {
	name := hex.EncodeToString(digest[:])
	var damaged error
	for range 4 { // others may remove it as fast as it is made
		h, err := s.existing(name)
		if errors.Is(err, fs.ErrNotExist) {
			if err := s.make(ctx, name, x, t, open); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, fault.New(ErrStore, "%w", err).About(s.dir)
		}
		if damaged = check(ctx, h.root, t); damaged == nil {
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
		damaged = fault.New(ErrStore, "image %s does not stay in place", digest).About(s.dir)
	}
	return nil, damaged
}

// existing locks what is in place, or returns fs.ErrNotExist.
func (s *store) existing(name string) (*held, error) {
	dir := filepath.Join(s.dir, name)
	lock, err := lockFolder(dir, false)
	if err != nil {
		return nil, err
	}
	root, err := openFolder(filepath.Join(dir, rootDir))
	if err != nil { // not of this package's making
		return nil, errors.Join(fs.ErrNotExist, s.discard(name), lock.Close())
	}
	return &held{lock: lock, root: root, path: filepath.Join(dir, rootDir)}, nil
}

// make writes an image beside its place and moves it there. If another process
// was faster, that one's stays.
func (s *store) make(ctx context.Context, name string, x *parts, t *plan, open opener) (err error) {
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
	root := filepath.Join(dir, rootDir)
	if err := os.Mkdir(root, 0o755); err != nil {
		return fault.New(ErrStore, "%w", err).About(dir)
	}
	if err := os.Chmod(root, 0o755); err != nil {
		return fault.New(ErrStore, "%w", err).About(dir)
	}
	if err := write(ctx, root, x, t, s.limit, open); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, sizeFile), strconv.AppendInt(nil, t.bytes, 10), 0o600); err != nil {
		return fault.New(ErrStore, "%w", err).About(dir)
	}
	if err := syncTree(dir); err != nil {
		return fault.New(ErrStore, "sync: %w", err).About(dir)
	}
	place := filepath.Join(s.dir, name)
	if err := os.Rename(dir, place); err != nil {
		if _, there := os.Lstat(place); there == nil {
			return nil
		}
		return fault.New(ErrStore, "%w", err).About(place)
	}
	dir = ""
	return errors.Join(atomicfile.SyncDir(s.dir), s.trim(name))
}

// scratch makes a private folder under an exclusive lock.
func (s *store) scratch(pattern string) (string, *os.File, error) {
	dir, err := os.MkdirTemp(s.dir, pattern)
	if err != nil {
		return "", nil, fault.New(ErrStore, "%w", err).About(s.dir)
	}
	lock, err := lockFolder(dir, true)
	if err != nil {
		return "", nil, errors.Join(fault.New(ErrStore, "%w", err).About(dir), os.RemoveAll(dir))
	}
	return dir, lock, nil
}

// discard moves an image out of its place and removes it, whoever uses it.
func (s *store) discard(name string) error {
	old, lock, err := s.scratch("." + name + ".old-*")
	if err != nil {
		return err
	}
	defer lock.Close()
	err = os.Rename(filepath.Join(s.dir, name), filepath.Join(old, "image"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(old))
}

// write makes the tree t below dir from the layers. Folders come first, then
// files, each new, then links: while bytes are written there is no link to
// follow.
func write(ctx context.Context, dir string, x *parts, t *plan, limit int64, open opener) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fault.New(ErrStore, "%w", err).About(dir)
	}
	defer root.Close()
	wanted := map[content][]string{}
	links := map[string]string{}
	err = t.all(func(p string, n *node) error {
		switch n.kind {
		case file:
			wanted[n.from] = append(wanted[n.from], p)
			return nil
		case link:
			links[p] = n.target
			return nil
		}
		if err := root.Mkdir(p, 0o755); err != nil {
			return fault.New(ErrStore, "%w", err).About(show(p))
		}
		return root.Chmod(p, 0o755) // whatever the umask
	})
	if err != nil {
		return err
	}
	for i := range x.manifest.Layers {
		err := x.layer(ctx, i, limit, open, func(h *tar.Header, place int, body io.Reader) error {
			paths := wanted[content{i, place}]
			if len(paths) == 0 {
				return nil
			}
			return writeFile(root, paths, h.Mode&0o111 != 0, body)
		})
		if err != nil {
			return err
		}
	}
	for p, target := range links {
		if err := root.Symlink(target, p); err != nil {
			return fault.New(ErrStore, "%w", err).About(show(p))
		}
	}
	return nil
}

// writeFile writes a file and its other names.
func writeFile(root *os.Root, paths []string, exec bool, body io.Reader) error {
	f, err := root.OpenFile(paths[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fault.New(ErrStore, "%w", err).About(show(paths[0]))
	}
	_, err = io.Copy(f, body)
	if err = errors.Join(err, f.Chmod(modeOf(exec)), f.Close()); err != nil {
		return fault.New(ErrStore, "%w", err).About(show(paths[0]))
	}
	for _, p := range paths[1:] {
		if err := root.Link(paths[0], p); err != nil {
			return fault.New(ErrStore, "%w", err).About(show(p))
		}
	}
	return nil
}

func modeOf(exec bool) fs.FileMode {
	if exec {
		return 0o555
	}
	return 0o444
}

// check compares an unpacked image with its tree: every byte, mode and link, and
// nothing beside (RFC-MYTHOS-0006 §9).
func check(ctx context.Context, dir *os.File, t *plan) error {
	root, err := os.OpenRoot(dir.Name())
	if err != nil {
		return fault.New(ErrStore, "%w", err).About(dir.Name())
	}
	defer root.Close()
	a, err := root.Stat(".")
	if err != nil {
		return fault.New(ErrStore, "%w", err).About(dir.Name())
	}
	if b, err := dir.Stat(); err != nil || !os.SameFile(a, b) {
		return fault.New(ErrStore, "was replaced while it was opened").About(dir.Name())
	}
	found, err := list(ctx, root)
	if err != nil {
		return err
	}
	first := map[content]string{}
	count := 0
	err = t.all(func(p string, n *node) error {
		if count++; count > len(found) || found[count-1] != p {
			return fault.New(ErrStore, "its files are not those of the image").About(show(p))
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		return checkNode(root, p, n, first)
	})
	if err == nil && count < len(found) {
		err = fault.New(ErrStore, "a file beside those of the image").About(show(found[count]))
	}
	return err
}

// list returns all paths, folders before what is in them and each folder's names
// in order, as plan.all has them.
func list(ctx context.Context, root *os.Root) ([]string, error) {
	var out []string
	err := fs.WalkDir(root.FS(), ".", func(p string, _ fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fault.New(ErrStore, "%w", err).About(show(p))
		case len(out) > 2*maxEntries:
			return fault.New(ErrStore, "holds more than an image can")
		case p != ".":
			out = append(out, p)
		}
		return ctx.Err()
	})
	return out, err
}

// checkNode compares one file, folder or link. first is where the first name of
// each content was.
func checkNode(root *os.Root, p string, n *node, first map[content]string) error {
	bad := func(format string, args ...any) error { return fault.New(ErrStore, format, args...).About(show(p)) }
	info, err := root.Lstat(p)
	if err != nil {
		return bad("%w", err)
	}
	switch n.kind {
	case folder:
		if !info.IsDir() || info.Mode().Perm() != 0o755 {
			return bad("is %v, want a folder", info.Mode())
		}
		return nil
	case link:
		if got, err := root.Readlink(p); err != nil || got != n.target {
			return bad("is %v and leads to %s, want %s", info.Mode(), show(got), show(n.target))
		}
		return nil
	}
	if info.Mode() != modeOf(n.exec) || info.Size() != n.size {
		return bad("is %v of %d bytes, want %v of %d", info.Mode(), info.Size(), modeOf(n.exec), n.size)
	}
	if other, ok := first[n.from]; ok {
		if same, err := root.Lstat(other); err == nil && os.SameFile(info, same) {
			return nil
		}
		return bad("is not the same file as %s", show(other))
	}
	first[n.from] = p
	f, err := root.Open(p)
	if err != nil {
		return bad("%w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, n.size+1)); err != nil {
		return bad("%w", err)
	}
	if cid.Hash(h.Sum(nil)) != n.sha256 {
		return bad("its bytes are not those of the image")
	}
	return nil
}

// trim removes images that no process uses, least recently used first, until the
// folder is within its budget, and what killed processes left. keep stays.
func (s *store) trim(keep string) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fault.New(ErrStore, "%w", err).About(s.dir)
	}
	type image struct {
		name string
		size int64
		used time.Time
	}
	var all []image
	var total int64
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil || !info.IsDir():
		case leftoverName.MatchString(e.Name()) && s.now().Sub(info.ModTime()) > leftover:
			s.remove(e.Name())
		case imageName.MatchString(e.Name()):
			size := s.size(e.Name())
			total += size
			all = append(all, image{e.Name(), size, info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b image) int { return a.used.Compare(b.used) })
	count := len(all)
	for _, x := range all {
		if total <= s.bytes && count <= s.images {
			break
		}
		if x.name != keep && s.remove(x.name) {
			total, count = total-x.size, count-1
		}
	}
	return nil
}

func (s *store) size(name string) int64 {
	b, err := os.ReadFile(filepath.Join(s.dir, name, sizeFile))
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
func (s *store) remove(name string) bool {
	lock, err := lockFolder(filepath.Join(s.dir, name), true)
	if err != nil {
		return false
	}
	defer lock.Close()
	if imageName.MatchString(name) {
		return s.discard(name) == nil
	}
	return os.RemoveAll(filepath.Join(s.dir, name)) == nil
}

// quote is for names from an image.
func quote(s string) string { return strconv.QuoteToASCII(s) }
