// Package folder keeps a bucket in a folder of a disk or a share: each value is
// the file that its key names, written beside it, synced, and linked into place,
// which fails when something is there. The folder's file system must have hard
// links. Folders have mode 0755 and files 0644, less the umask: what is in a
// bucket is for whoever may read the folder.
package folder

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

const (
	dirMode  fs.FileMode = 0o755
	fileMode fs.FileMode = 0o644
)

// Bucket is a bucket.Bucket over a folder.
type Bucket struct {
	dir     string
	syncDir func(dir string) error
	settled settled
}

var _ bucket.Bucket = (*Bucket)(nil)

// Open returns the bucket in a folder, which the first Put makes.
func Open(dir string) *Bucket { return &Bucket{dir: dir, syncDir: atomicfile.SyncDir} }

// Close does nothing.
func (b *Bucket) Close() error { return nil }

// Put implements bucket.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, v bucket.Value) error {
	path, err := b.path(key)
	if err != nil {
		return err
	}
	if info, err := os.Lstat(path); err == nil {
		return b.exists(key, path, info)
	}
	if err := atomicfile.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return failed(key, err)
	}
	in, err := v.Reader()
	if err != nil {
		return err
	}
	defer in.Close()
	f, err := atomicfile.Create(path, fileMode)
	if err != nil {
		return failed(key, err)
	}
	defer f.Close()
	if _, err := io.Copy(f, reader{ctx, in}); err != nil {
		return failed(key, err)
	}
	if err := f.CommitNew(); err != nil {
		if info, missing := os.Lstat(path); errors.Is(err, fs.ErrExist) && missing == nil {
			return b.exists(key, path, info)
		}
		return failed(key, err)
	}
	return nil
}

// reader reads until ctx ends.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// Get implements bucket.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	path, err := b.path(key)
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, failed(key, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, 0, errors.Join(failed(key, err), f.Close())
	}
	size := info.Size()
	off = min(max(off, 0), size)
	if n < 0 || n > size-off {
		n = size - off
	}
	return section{io.NewSectionReader(f, off, n), f}, size, nil
}

type section struct {
	io.Reader
	io.Closer
}

// Head implements bucket.Bucket. A value that is there is durable.
func (b *Bucket) Head(_ context.Context, key string) (int64, error) {
	path, err := b.path(key)
	if err != nil {
		return 0, err
	}
	info, err := stat(path)
	if err == nil {
		err = b.settle(path, info)
	}
	if err != nil {
		return 0, failed(key, err)
	}
	return info.Size(), nil
}

// stat is os.Stat of a regular file.
func stat(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	return info, err
}

// List implements bucket.Bucket. It holds the keys of one folder at a time.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[bucket.Info, error] {
	return func(yield func(bucket.Info, error) bool) { b.walk(ctx, "", prefix, yield) }
}

// walk yields what is below the folder of a key that ends with a slash, or is
// empty, and reports whether to go on.
func (b *Bucket) walk(ctx context.Context, below, prefix string, yield func(bucket.Info, error) bool) bool {
	if err := ctx.Err(); err != nil {
		yield(bucket.Info{}, err)
		return false
	}
	entries, err := os.ReadDir(filepath.Join(b.dir, filepath.FromSlash(below)))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return true
		}
		yield(bucket.Info{}, failed(below, err))
		return false
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			name += "/" // where its keys come among their neighbours
		}
		if strings.HasPrefix(below+name, prefix) || e.IsDir() && strings.HasPrefix(prefix, below+name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.HasSuffix(name, "/") {
			if !b.walk(ctx, below+name, prefix, yield) {
				return false
			}
		} else if !b.visit(below+name, yield) {
			return false
		}
	}
	return true
}

// visit yields one file; those that no key names, such as one being written, are
// left out.
func (b *Bucket) visit(key string, yield func(bucket.Info, error) bool) bool {
	path, err := b.path(key)
	if err != nil {
		return true
	}
	info, err := stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return true
	case err != nil:
		yield(bucket.Info{}, failed(key, err))
		return false
	}
	return yield(bucket.Info{Key: key, Size: info.Size()}, nil)
}

// Delete implements bucket.Bucket.
func (b *Bucket) Delete(_ context.Context, key string) error {
	path, err := b.path(key)
	if err != nil {
		return err
	}
	err = os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = atomicfile.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return failed(key, err)
	}
	return nil
}

func (b *Bucket) path(key string) (string, error) {
	return filepath.Join(b.dir, filepath.FromSlash(key)), bucket.CheckKey(key)
}

// exists is the answer to a Put of what is there, once that is durable.
func (b *Bucket) exists(key, path string, info fs.FileInfo) error {
	if err := b.settle(path, info); err != nil {
		return failed(key, err)
	}
	return fault.New(bucket.ErrExists, "it holds a value").About(key)
}

// failed gives an error of the file system its code; other errors stay.
func failed(key string, err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fault.New(cas.ErrNotFound, "no such value").About(key)
	case errors.Is(err, fs.ErrPermission):
		return fault.New(bucket.ErrDenied, "%w", err).About(key)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fault.New(cas.ErrFull, "%w", err).About(key)
	case errors.As(err, &path), errors.As(err, &link):
		return fault.New(cas.ErrUnavailable, "%w", err).About(key)
	}
	return err
}
