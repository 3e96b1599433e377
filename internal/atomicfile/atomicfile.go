// Package atomicfile writes files and folders that are either whole and
// durable, or not there at all.
//
// Every write goes to a temporary name in the target's own directory (so that
// the last step is a rename within one filesystem), is synced, gets its final
// mode whatever the umask, is renamed into place, and the directory is synced:
// when a call returns nil, a power cut loses nothing. When it returns an
// error, the target is what it was before and the temporary name is gone. The
// one exception is a failure of the last directory sync: the new file is in
// place and whole, but a power cut may still undo the rename; the error says
// so.
//
// A process that is killed between two steps leaves a name of the form
// ".NAME.tmp-NNN" beside the target and nothing else; it is never taken for
// the target, and removing it is always safe.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// File is a file under construction. It becomes visible at its path by Commit
// or CommitNew; Close before that removes it. A File is for one goroutine.
type File struct {
	f    *os.File
	path string
	perm fs.FileMode
	err  error // first write error: Commit refuses after it
	done bool
}

// Create starts a file that is to become path, with exactly the permission
// bits perm. The directory must exist. Callers defer Close.
func Create(path string, perm fs.FileMode) (*File, error) {
	dir, name := filepath.Split(path)
	if name == "" || name == "." || name == ".." {
		return nil, fmt.Errorf("atomicfile: %q names no file", path)
	}
	f, err := os.CreateTemp(filepath.Clean(dir+"."), tempPattern(name))
	if err != nil {
		return nil, fmt.Errorf("atomicfile: create %s: %w", path, err)
	}
	return &File{f: f, path: path, perm: perm.Perm()}, nil
}

// Write appends b to the file under construction. After an error the file can
// only be closed.
func (f *File) Write(b []byte) (int, error) {
	n, err := f.f.Write(b)
	if err != nil && f.err == nil {
		f.err = err
	}
	return n, err
}

// Commit makes the file durable under its path, replacing what is there, and
// closes it. A directory at the path is never replaced.
func (f *File) Commit() error {
	return f.commit(os.Rename)
}

// CommitNew is Commit for a path that must not exist yet: if anything is
// there, even a dangling link, it is left alone and the error is fs.ErrExist.
func (f *File) CommitNew() error {
	return f.commit(func(tmp, path string) error {
		// A hard link, unlike a rename, fails when its target exists.
		if err := os.Link(tmp, path); err != nil {
			return err
		}
		return os.Remove(tmp)
	})
}

// Close abandons the file if it was not committed, and leaves nothing behind.
// It is safe to call twice and after Commit.
func (f *File) Close() error {
	if f.done {
		return nil
	}
	f.done = true
	return errors.Join(f.f.Close(), os.Remove(f.f.Name()))
}

func (f *File) commit(place func(tmp, path string) error) error {
	if f.done {
		return fmt.Errorf("atomicfile: write %s: %w", f.path, fs.ErrClosed)
	}
	if err := f.finish(); err != nil {
		return errors.Join(fmt.Errorf("atomicfile: write %s: %w", f.path, err), f.Close())
	}
	f.done = true
	tmp := f.f.Name()
	if err := place(tmp, f.path); err != nil {
		return errors.Join(fmt.Errorf("atomicfile: write %s: %w", f.path, err), os.Remove(tmp))
	}
	if err := SyncDir(filepath.Dir(f.path)); err != nil {
		return fmt.Errorf("atomicfile: write %s: in place, not yet durable: %w", f.path, err)
	}
	return nil
}

// finish sets the mode, syncs and closes the temporary file.
func (f *File) finish() error {
	if f.err != nil {
		return f.err
	}
	if err := f.f.Chmod(f.perm); err != nil {
		return err
	}
	if err := f.f.Sync(); err != nil {
		return err
	}
	return f.f.Close()
}

// Write makes path hold exactly data, durably, with the permission bits perm,
// replacing a file that is there.
func Write(path string, data []byte, perm fs.FileMode) error {
	return write(path, data, perm, (*File).Commit)
}

// WriteNew is Write for a path that must not exist yet, such as a key: it
// never replaces anything; the error is then fs.ErrExist.
func WriteNew(path string, data []byte, perm fs.FileMode) error {
	return write(path, data, perm, (*File).CommitNew)
}

func write(path string, data []byte, perm fs.FileMode, commit func(*File) error) error {
	f, err := Create(path, perm)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(fmt.Errorf("atomicfile: write %s: %w", path, err), f.Close())
	}
	return commit(f)
}

// SyncDir makes the names in dir durable: files created in, renamed into or
// removed from it. Windows has no such call and needs none for NTFS.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// MkdirAll makes dir and its missing parents, each durable before the next is
// made in it. Existing directories keep their mode.
func MkdirAll(dir string, perm fs.FileMode) error {
	dir = filepath.Clean(dir)
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("atomicfile: %s exists and is not a directory", dir)
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := MkdirAll(parent, perm); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(parent)
}

func tempPattern(name string) string { return "." + name + ".tmp-*" }
