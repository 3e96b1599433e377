package oci

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

const (
	dirMode  fs.FileMode = 0o755
	fileMode fs.FileMode = 0o644

	maxIndex  = 4 << 20 // bytes
	maxListed = 10_000  // image manifests that are read to know what they are
)

// Layout is an image layout on disk as a remote of objects.
type Layout struct{ dir string }

var _ remote.Remote = (*Layout)(nil)

// OpenLayout returns the layout in a folder, which the first write makes.
func OpenLayout(dir string) *Layout { return &Layout{dir} }

// IsLayout reports whether a folder is an image layout.
func IsLayout(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, v1.ImageLayoutFile))
	return err == nil && info.Mode().IsRegular()
}

// SplitLayout splits DIR:TAG or DIR@sha256:HEX, and reports whether DIR is an image
// layout.
func SplitLayout(path string) (dir, name string, ok bool) {
	dir, name, ok = strings.Cut(path, "@")
	if i := strings.LastIndexByte(path, ':'); !ok && i > 0 {
		dir, name, ok = path[:i], path[i+1:], true
	}
	return dir, name, ok && name != "" && IsLayout(dir)
}

// Close does nothing.
func (l *Layout) Close() error { return nil }

func (l *Layout) blob(id cid.Hash) string {
	return filepath.Join(l.dir, v1.ImageBlobsDir, "sha256", id.Hex())
}

// Head implements remote.Remote.
func (l *Layout) Head(_ context.Context, id cid.Hash) (int64, error) {
	info, err := os.Stat(l.blob(id))
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return 0, fileError(id.String(), err)
	}
	return info.Size(), nil
}

// Has implements remote.Remote.
func (l *Layout) Has(ctx context.Context, ids []cid.Hash) ([]bool, error) {
	there := make([]bool, len(ids))
	for i, id := range ids {
		_, err := l.Head(ctx, id)
		if there[i] = err == nil; err != nil && !errors.Is(err, cas.ErrNotFound) {
			return nil, err
		}
	}
	return there, nil
}

// Get implements remote.Remote.
func (l *Layout) Get(ctx context.Context, id cid.Hash, off, n int64) (io.ReadCloser, error) {
	size, err := l.Head(ctx, id)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return nil, err
	}
	f, err := os.Open(l.blob(id))
	if err != nil {
		return nil, fileError(id.String(), err)
	}
	off = min(max(off, 0), size)
	if n < 0 || n > size-off {
		n = size - off
	}
	return part{io.NewSectionReader(f, off, n), f}, nil
}

// Put implements remote.Remote.
func (l *Layout) Put(ctx context.Context, v bucket.Value) error {
	if _, err := l.Head(ctx, v.Sum); err == nil || !errors.Is(err, cas.ErrNotFound) {
		return err
	}
	if err := l.begin(); err != nil {
		return err
	}
	in, err := v.Reader()
	if err != nil {
		return err
	}
	defer in.Close()
	f, err := atomicfile.Create(l.blob(v.Sum), fileMode)
	if err != nil {
		return fileError(v.Sum.String(), err)
	}
	defer f.Close()
	if _, err := io.Copy(f, ending{ctx, in}); err != nil {
		return fileError(v.Sum.String(), err)
	}
	return fileError(v.Sum.String(), f.Commit())
}

// ending reads until its context ends.
type ending struct {
	ctx context.Context
	r   io.Reader
}

func (e ending) Read(p []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	return e.r.Read(p)
}

// begin makes the folders and the file that says what this is.
func (l *Layout) begin() error {
	if err := atomicfile.MkdirAll(filepath.Join(l.dir, v1.ImageBlobsDir, "sha256"), dirMode); err != nil {
		return fileError(l.dir, err)
	}
	err := atomicfile.WriteNew(filepath.Join(l.dir, v1.ImageLayoutFile), []byte(`{"imageLayoutVersion":"`+v1.ImageLayoutVersion+`"}`), fileMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return fileError(l.dir, err)
}

// List implements remote.Remote. Image manifests are blobs too, and are among them.
func (l *Layout) List(ctx context.Context) iter.Seq2[remote.Object, error] {
	return func(yield func(remote.Object, error) bool) {
		entries, err := os.ReadDir(filepath.Join(l.dir, v1.ImageBlobsDir, "sha256"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield(remote.Object{}, fileError(l.dir, err))
			return
		}
		for _, e := range entries {
			id, err := cid.Parse("sha256:" + e.Name())
			if err != nil {
				continue // one being written
			}
			size, err := l.Head(ctx, id)
			if err = errors.Join(err, ctx.Err()); !yield(remote.Object{CID: id, Size: size}, err) || err != nil {
				return
			}
		}
	}
}

// Delete implements remote.Remote.
func (l *Layout) Delete(_ context.Context, id cid.Hash) error {
	if err := os.Remove(l.blob(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(id.String(), err)
	}
	return nil
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fileError(path, err)
	}
	if int64(len(raw)) > limit {
		return nil, fault.New(cas.ErrTooLarge, "more than %d bytes", limit).About(path)
	}
	return raw, nil
}

// fileError gives an error of the file system its code; others stay.
func fileError(subject string, err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case err == nil, fault.CodeOf(err) != "":
		return err
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(cas.ErrNotFound, "no such file").About(subject)
	case errors.As(err, &path), errors.As(err, &link):
		return fault.New(cas.ErrUnavailable, "%w", err).About(subject)
	}
	return err
}
