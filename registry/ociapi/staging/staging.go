// Package staging keeps the parts of uploads that are under way. The digest of an
// upload is known at its end only, and several replicas of a registry may serve
// its requests, so parts lie where all of them can read: in a folder, which
// replicas would have to share, or in a bucket beside the objects. Nothing here is
// ever served to anybody: a finished upload is read from its parts, hashed, and
// stored as an object.
//
// The key of a part is the id of its upload, a hyphen, and random letters. Parts
// whose upload is no more belong to nobody.
package staging

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/registry/ociapi/catalog"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

// Sizes of parts in bytes: what is lost of an upload when a replica dies.
const (
	folderPart = 64 << 20
	bucketPart = 4 << 20 // is held in memory
)

// Area keeps parts. It is safe for concurrent use.
type Area interface {
	// Keep stores what r yields as a part of an upload, up to the size of one. A part
	// of 0 bytes says that r was at its end and is not stored. If r fails, what came
	// before is stored, and the error is a *cas.SourceError.
	Keep(ctx context.Context, upload string, r io.Reader) (catalog.Part, error)
	// Open reads a part.
	Open(ctx context.Context, key string) (io.ReadCloser, error)
	// Drop removes a part; one that is not there is no error.
	Drop(ctx context.Context, key string) error
	// List yields the keys of all parts.
	List(ctx context.Context) iter.Seq2[string, error]
}

// Owner returns the upload that a key is of.
func Owner(key string) string {
	id, _, _ := strings.Cut(key, "-")
	return id
}

func newKey(upload string) string { return upload + "-" + strings.ToLower(rand.Text()) }

// isKey reports whether a name is one that newKey makes; what else lies in a
// folder is somebody's.
func isKey(name string) bool {
	id, random, _ := strings.Cut(name, "-")
	return id != "" && len(random) == len(rand.Text()) && !strings.ContainsFunc(id+random, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '2' || r > '7')
	})
}

// NewUpload returns a new id of an upload: 26 lowercase letters and digits, which
// nobody can guess.
func NewUpload() string { return strings.ToLower(rand.Text()) }

// Join reads parts one after the other.
func Join(ctx context.Context, a Area, parts []catalog.Part) io.ReadCloser {
	return &joined{ctx: ctx, area: a, parts: parts}
}

type joined struct {
	ctx   context.Context
	area  Area
	parts []catalog.Part
	open  io.ReadCloser
	left  int64 // bytes of the open part
}

func (j *joined) Read(p []byte) (int, error) {
	for j.left == 0 {
		if err := j.Close(); err != nil {
			return 0, err
		}
		if len(j.parts) == 0 {
			return 0, io.EOF
		}
		rc, err := j.area.Open(j.ctx, j.parts[0].Key)
		if err != nil {
			return 0, err
		}
		j.open, j.left, j.parts = rc, j.parts[0].Size, j.parts[1:]
	}
	n, err := j.open.Read(p[:min(int64(len(p)), j.left)])
	j.left -= int64(n)
	if errors.Is(err, io.EOF) {
		if err = nil; j.left > 0 && n == 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

func (j *joined) Close() error {
	if j.open == nil {
		return nil
	}
	err := j.open.Close()
	j.open = nil
	return err
}

// InFolder keeps parts as files of a folder, of up to 64 MiB and not synced: what
// a power cut spoils does not have its digest.
func InFolder(dir string) (Area, error) {
	if err := atomicfile.MkdirAll(dir, 0o700); err != nil {
		return nil, failed(dir, err)
	}
	return folder{dir}, nil
}

type folder struct{ dir string }

func (f folder) Keep(ctx context.Context, upload string, r io.Reader) (catalog.Part, error) {
	p := catalog.Part{Key: newKey(upload)}
	file, err := os.OpenFile(f.path(p.Key), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return catalog.Part{}, failed(p.Key, err)
	}
	source := &source{ctx: ctx, r: io.LimitReader(r, folderPart)}
	n, err := io.Copy(file, source)
	if err = errors.Join(err, file.Close()); err != nil && source.err == nil {
		return catalog.Part{}, errors.Join(failed(p.Key, err), f.Drop(ctx, p.Key))
	}
	if p.Size = n; n == 0 {
		p, err = catalog.Part{}, f.Drop(ctx, p.Key)
		return p, errors.Join(source.failure(), err)
	}
	return p, source.failure()
}

func (f folder) path(key string) string { return filepath.Join(f.dir, filepath.Base(key)) }

func (f folder) Open(_ context.Context, key string) (io.ReadCloser, error) {
	file, err := os.Open(f.path(key))
	if err != nil {
		return nil, failed(key, err)
	}
	return file, nil
}

func (f folder) Drop(_ context.Context, key string) error {
	if err := os.Remove(f.path(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed(key, err)
	}
	return nil
}

func (f folder) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		entries, err := os.ReadDir(f.dir)
		if err != nil {
			yield("", failed(f.dir, err))
			return
		}
		for _, e := range entries {
			if ctx.Err() != nil || isKey(e.Name()) && e.Type().IsRegular() && !yield(e.Name(), nil) {
				return
			}
		}
	}
}

// source remembers that it was the source that failed.
type source struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		s.err = err
		return 0, err
	}
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func (s *source) failure() error {
	if s.err == nil {
		return nil
	}
	return &cas.SourceError{Err: s.err}
}

func failed(subject string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(cas.ErrNotFound, "no such part").About(subject)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fault.New(cas.ErrFull, "%w", err).About(subject)
	}
	return fault.New(cas.ErrUnavailable, "%w", err).About(subject)
}

// InBucket keeps parts as values of a bucket, below uploads/, of 4 MiB each, which
// are held in memory on their way there.
func InBucket(b bucket.Bucket) Area { return inBucket{b} }

type inBucket struct{ bucket bucket.Bucket }

const prefix = "uploads/"

func (b inBucket) Keep(ctx context.Context, upload string, r io.Reader) (catalog.Part, error) {
	source := &source{ctx: ctx, r: io.LimitReader(r, bucketPart)}
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(source); err != nil && source.err == nil {
		return catalog.Part{}, failed(upload, err)
	}
	if buf.Len() == 0 {
		return catalog.Part{}, source.failure()
	}
	p := catalog.Part{Key: newKey(upload), Size: int64(buf.Len())}
	err := b.bucket.Put(context.WithoutCancel(ctx), prefix+p.Key, bucket.Value{Size: p.Size, Sum: cid.Sum(buf.Bytes()), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(buf.Bytes())), nil
	}})
	if err != nil {
		return catalog.Part{}, err
	}
	return p, source.failure()
}

func (b inBucket) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	rc, _, err := b.bucket.Get(ctx, prefix+path.Base(key), 0, -1)
	return rc, err
}

func (b inBucket) Drop(ctx context.Context, key string) error {
	return b.bucket.Delete(ctx, prefix+path.Base(key))
}

func (b inBucket) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for info, err := range b.bucket.List(ctx, prefix) {
			if key := strings.TrimPrefix(info.Key, prefix); (err != nil || isKey(key)) && !yield(key, err) || err != nil {
				return
			}
		}
	}
}
