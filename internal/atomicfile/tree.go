package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Tree says how a folder is put in place. The zero value never replaces a
// folder that differs.
type Tree struct {
	// Perm is the mode of the folder itself; zero means 0755.
	Perm fs.FileMode
	// Replace decides about a folder that is in the way and differs from the
	// new one: nil error lets it be replaced. It is the caller's chance to see
	// that the folder is one of its own. A nil func refuses with fs.ErrExist.
	Replace func(existing string) error
}

// WriteTree makes dir hold exactly what build writes into the staging folder
// it is given, and reports whether anything changed. The staging folder is a
// sibling of dir; every file and directory in it is synced before it is
// renamed into place. A folder that is there and equal (names, kinds,
// permission bits of files, contents) is left untouched and changed is false;
// one that differs is exchanged atomically where the system can (Linux), by
// two renames elsewhere, the first undone if the second fails. On error with
// changed false dir is what it was and no staging folder stays; on error with
// changed true the new folder is in place, and what failed is its durability
// or the removal of the old one.
func WriteTree(dir string, build func(staging string) error, opt Tree) (changed bool, err error) {
	dir = filepath.Clean(dir)
	name := filepath.Base(dir)
	if name == "." || name == ".." || name == string(filepath.Separator) {
		return false, fmt.Errorf("atomicfile: %q names no folder", dir)
	}
	if opt.Perm == 0 {
		opt.Perm = 0o755
	}
	staging, err := os.MkdirTemp(filepath.Dir(dir), tempPattern(name))
	if err != nil {
		return false, fmt.Errorf("atomicfile: create %s: %w", dir, err)
	}
	// After an exchange this removes the folder that was replaced.
	defer func() { err = errors.Join(err, removeTree(staging)) }()
	if err := build(staging); err != nil {
		return false, err
	}
	if err := os.Chmod(staging, opt.Perm.Perm()); err != nil {
		return false, err
	}
	if err := syncTree(staging); err != nil {
		return false, fmt.Errorf("atomicfile: sync %s: %w", dir, err)
	}
	return placeTree(staging, dir, opt.Replace)
}

func placeTree(staging, dir string, replace func(string) error) (bool, error) {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = os.Rename(staging, dir)
	case err != nil:
	case !info.IsDir():
		err = fmt.Errorf("atomicfile: %s is not a folder: %w", dir, fs.ErrExist)
	default:
		same, cmpErr := EqualTrees(staging, dir)
		if cmpErr == nil && same {
			return false, SyncDir(filepath.Dir(dir))
		}
		err = replaceTree(staging, dir, replace)
	}
	if err != nil {
		return false, err
	}
	return true, SyncDir(filepath.Dir(dir))
}

func replaceTree(staging, dir string, replace func(string) error) error {
	if replace == nil {
		return fmt.Errorf("atomicfile: %s exists and differs: %w", dir, fs.ErrExist)
	}
	if err := replace(dir); err != nil {
		return err
	}
	err := exchange(staging, dir)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return swapByRename(staging, dir)
}

// swapByRename exchanges two folders where the system cannot do it in one
// step. In between, dir does not exist; a failure puts it back.
func swapByRename(staging, dir string) error {
	aside := staging + ".old"
	if err := os.Rename(dir, aside); err != nil {
		return err
	}
	if err := os.Rename(staging, dir); err != nil {
		return errors.Join(err, os.Rename(aside, dir))
	}
	return os.Rename(aside, staging)
}

// EqualTrees reports whether two folders hold the same names, kinds,
// permission bits of files, link targets and contents.
func EqualTrees(a, b string) (bool, error) {
	ea, err := os.ReadDir(a)
	if err != nil {
		return false, err
	}
	eb, err := os.ReadDir(b)
	if err != nil || len(ea) != len(eb) {
		return false, err
	}
	for i := range ea {
		if ea[i].Name() != eb[i].Name() || ea[i].Type() != eb[i].Type() {
			return false, nil
		}
		same, err := equalEntries(filepath.Join(a, ea[i].Name()), filepath.Join(b, eb[i].Name()), ea[i].Type())
		if err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

func equalEntries(a, b string, kind fs.FileMode) (bool, error) {
	switch {
	case kind.IsDir():
		return EqualTrees(a, b)
	case kind.IsRegular():
		return equalFiles(a, b)
	case kind&fs.ModeSymlink != 0:
		ta, errA := os.Readlink(a)
		tb, errB := os.Readlink(b)
		return ta == tb, errors.Join(errA, errB)
	}
	return false, nil // devices, pipes and sockets are equal to nothing
}

func equalFiles(a, b string) (bool, error) {
	fa, err := os.Open(a)
	if err != nil {
		return false, err
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return false, err
	}
	defer fb.Close()
	ia, errA := fa.Stat()
	ib, errB := fb.Stat()
	if err := errors.Join(errA, errB); err != nil {
		return false, err
	}
	if ia.Size() != ib.Size() || ia.Mode() != ib.Mode() {
		return false, nil
	}
	return equalStreams(fa, fb)
}

func equalStreams(a, b io.Reader) (bool, error) {
	const chunk = 64 << 10
	ba, bb := make([]byte, chunk), make([]byte, chunk)
	for {
		na, errA := io.ReadFull(a, ba)
		nb, errB := io.ReadFull(b, bb)
		if !bytes.Equal(ba[:na], bb[:nb]) {
			return false, nil
		}
		if errA != nil || errB != nil {
			return na == nb, errors.Join(notEnd(errA), notEnd(errB))
		}
	}
}

func notEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// syncTree syncs every file and directory below root, and root.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return SyncDir(path)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// removeTree is os.RemoveAll for trees that may hold read-only directories.
func removeTree(root string) error {
	if os.RemoveAll(root) == nil {
		return nil
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(root))
}
