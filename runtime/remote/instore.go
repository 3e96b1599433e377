package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

// Opener is a Remote that opens an object and says its size in one call, and
// reads it from any place. The bytes are not verified.
type Opener interface {
	OpenObject(ctx context.Context, id cid.Hash) (io.ReadSeekCloser, int64, error)
}

// Looker is a Remote that says which objects are there and keeps collection away from
// none of them, so that asking writes nothing.
type Looker interface {
	Look(ctx context.Context, ids []cid.Hash) ([]bool, error)
}

// Look is Has for those who only read.
func Look(ctx context.Context, r Remote, ids []cid.Hash) ([]bool, error) {
	if l, ok := r.(Looker); ok {
		return l.Look(ctx, ids)
	}
	return r.Has(ctx, ids)
}

// Size is Head for those who only read.
func Size(ctx context.Context, r Remote, id cid.Hash) (int64, error) {
	o, ok := r.(Opener)
	if !ok {
		return r.Head(ctx, id)
	}
	rc, size, err := o.OpenObject(ctx, id)
	if err != nil {
		return 0, err
	}
	return size, rc.Close()
}

// InStore is a Remote over a store of this machine, for those who serve it to
// others. Large objects of a store on disk are read as the files that they are
// (RFC-MYTHOS-0007), without verifying: whoever receives them does that.
type InStore struct {
	store cas.Store
	files string // folder of the files of large objects; "": there are none
}

var (
	_ Remote = (*InStore)(nil)
	_ Opener = (*InStore)(nil)
	_ Looker = (*InStore)(nil)
)

// OverStore returns the remote of a store, and closes the store at its end if it
// can be closed.
func OverStore(s cas.Store) *InStore {
	r := &InStore{store: s}
	if onDisk, ok := s.(*local.Store); ok {
		r.files = filepath.Join(onDisk.Dir(), "objects")
	}
	return r
}

// Close implements Remote.
func (r *InStore) Close() error {
	if c, ok := r.store.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Head implements Remote. Like every Has of a store it keeps collection away from
// an object that is there.
func (r *InStore) Head(ctx context.Context, id cid.Hash) (int64, error) {
	there, err := r.store.Has(ctx, id)
	if err != nil {
		return 0, err
	}
	if !there {
		return 0, fault.New(cas.ErrNotFound, "is not in the store").About(id.String())
	}
	return Size(ctx, r, id)
}

// Look implements Looker.
func (r *InStore) Look(ctx context.Context, ids []cid.Hash) ([]bool, error) {
	if onDisk, ok := r.store.(*local.Store); ok {
		return onDisk.Look(ctx, ids)
	}
	return r.Has(ctx, ids)
}

// Has implements Remote. It keeps collection away as Head does.
func (r *InStore) Has(ctx context.Context, ids []cid.Hash) (there []bool, err error) {
	there = make([]bool, len(ids))
	for i, id := range ids {
		if there[i], err = r.store.Has(ctx, id); err != nil {
			return nil, err
		}
	}
	return there, nil
}

// OpenObject implements Opener.
func (r *InStore) OpenObject(ctx context.Context, id cid.Hash) (io.ReadSeekCloser, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	f, size, err := r.openFile(id)
	if err != nil {
		return nil, 0, err
	}
	if f != nil {
		return f, size, nil
	}
	raw, err := r.store.Get(ctx, id, inMemory)
	if errors.Is(err, cas.ErrTooLarge) {
		return r.openStream(ctx, id)
	}
	if err != nil {
		return nil, 0, err
	}
	return inBytes{bytes.NewReader(raw)}, int64(len(raw)), nil
}

// inMemory is the greatest size of an object that is read whole, in bytes.
const inMemory = 64 << 10

type inBytes struct{ *bytes.Reader }

func (inBytes) Close() error { return nil }

// openFile returns the file of a large object, nil if there is none.
func (r *InStore) openFile(id cid.Hash) (*os.File, int64, error) {
	if r.files == "" {
		return nil, 0, nil
	}
	path := filepath.Join(r.files, id.Hex()[:2], id.Hex())
	info, err := os.Lstat(path) // before opening: opening a pipe would wait
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil, 0, nil
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(path)
	}
	if errors.Is(err, fs.ErrNotExist) { // collected meanwhile
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fault.New(cas.ErrUnavailable, "%w", err).About(id.String())
	}
	return f, info.Size(), nil
}

// openStream opens a large object of a store without files.
func (r *InStore) openStream(ctx context.Context, id cid.Hash) (io.ReadSeekCloser, int64, error) {
	rc, size, err := r.store.Open(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	return &forward{ReadCloser: rc, size: size}, size, nil
}

// forward seeks in a stream by reading on.
type forward struct {
	io.ReadCloser
	at, size int64
}

func (f *forward) Read(b []byte) (int, error) {
	n, err := f.ReadCloser.Read(b)
	f.at += int64(n)
	return n, err
}

// Seek goes forward, from the start or the present place.
func (f *forward) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekCurrent {
		offset += f.at
	}
	if whence == io.SeekEnd || offset < f.at {
		return f.at, fault.New(ErrUnsupported, "a stream is read forward only")
	}
	_, err := io.CopyN(io.Discard, f, min(offset, f.size)-f.at)
	return f.at, err
}

// Get implements Remote.
func (r *InStore) Get(ctx context.Context, id cid.Hash, off, n int64) (io.ReadCloser, error) {
	rc, size, err := r.OpenObject(ctx, id)
	if err != nil {
		return nil, err
	}
	off = min(off, size)
	if n < 0 || n > size-off {
		n = size - off
	}
	if _, err := rc.Seek(off, io.SeekStart); err != nil {
		return nil, errors.Join(fault.New(cas.ErrUnavailable, "%w", err).About(id.String()), rc.Close())
	}
	return part{io.LimitReader(rc, n), rc}, nil
}

// part is a part of an object.
type part struct {
	io.Reader
	io.Closer
}

// Put implements Remote. Other bytes than promised are cas.ErrCorrupt, wrapped
// around cas.ErrMismatch; without that it is a damaged copy in the store.
func (r *InStore) Put(ctx context.Context, v bucket.Value) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	rc, err := v.Open()
	if err != nil {
		return &cas.SourceError{Err: err}
	}
	err = r.store.PutFrom(ctx, rc, v.Sum, v.Size)
	if errors.Is(err, cas.ErrMismatch) {
		err = fault.New(cas.ErrCorrupt, "%w", err).About(v.Sum.String())
	}
	return errors.Join(err, rc.Close())
}

// List implements Remote.
func (r *InStore) List(ctx context.Context) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		for id, err := range r.store.List(ctx) {
			var size int64
			if err == nil {
				size, err = Size(ctx, r, id)
			}
			if errors.Is(err, cas.ErrNotFound) {
				continue // collected meanwhile
			}
			if !yield(Object{id, size}, err) || err != nil {
				return
			}
		}
	}
}

// Delete is ErrUnsupported: what nobody keeps, the store's collection removes.
func (r *InStore) Delete(_ context.Context, id cid.Hash) error {
	return fault.New(ErrUnsupported, "a store removes by collection alone").About(id.String())
}

// Bucket returns the bucket of a remote, for what a registry keeps beside objects.
func (r *InBucket) Bucket() bucket.Bucket { return r.bucket }
