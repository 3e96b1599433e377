package ociapi_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/mythos-run/mythos/registry/ociapi"
	"github.com/mythos-run/mythos/registry/ociapi/catalog"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
	"github.com/mythos-run/mythos/runtime/remote/bucket/buckettest"
	"github.com/mythos-run/mythos/runtime/remote/bucket/folder"
)

// busy is a bucket over HTTP whose first Put of a large value is answered 503.
type busy struct {
	bucket.Bucket
	tries atomic.Int64 // of large values
}

func (b *busy) Put(ctx context.Context, key string, v bucket.Value) error {
	return bucket.RetryPut(ctx, b.Bucket, key, v, func() error {
		in, err := v.Reader()
		if err != nil {
			return err
		}
		defer in.Close()
		if v.Size > 4<<20 && b.tries.Add(1) == 1 {
			if _, err := io.CopyN(io.Discard, in, 100); err != nil {
				return bucket.Failed(key, err, 0, "")
			}
			return bucket.Failed(key, errors.New("slow down"), http.StatusServiceUnavailable, "")
		}
		v.Open = func() (io.ReadCloser, error) { return in, nil }
		return bucket.Failed(key, b.Bucket.Put(ctx, key, v), 0, "")
	})
}

// TestStorageIsBusy: a storage that fails once while a body comes is not the
// caller's fault, the operator is told, and the upload goes on.
func TestStorageIsBusy(t *testing.T) {
	var told []error
	storage := &busy{Bucket: folder.Open(t.TempDir())}
	p := open(t, func(o *ociapi.Options) {
		o.Objects = remote.Over(storage)
		o.Failed = func(_ *http.Request, err error) { told = append(told, err) }
	})
	b := buckettest.Random(1, 5<<20)
	path := p.start(t, "r")
	p.do(t, ask{"PUT", path + "?digest=" + digest(b), b, nil, 503, "UNAVAILABLE"})
	if len(told) != 1 || !errors.Is(told[0], cas.ErrUnavailable) {
		t.Errorf("the operator is told: %v", told)
	}
	p.do(t, ask{"PUT", path + "?digest=" + digest(b), b, nil, 201, ""})
	p.wantBlob(t, "r", digest(b), b)

	// A body that breaks off is no failure of the storage, and is not tried again.
	told, b = nil, buckettest.Random(2, 5<<20)
	before := storage.tries.Load()
	cut(t, p.url, "PUT "+p.start(t, "r")+"?digest="+digest(b), b[:4<<20], len(b))
	if tries := storage.tries.Load() - before; tries != 1 || len(told) > 0 {
		t.Errorf("%d tries, the operator is told: %v", tries, told)
	}
}

// TestDamagedObject: bit rot is the registry's failure and not the sender's.
func TestDamagedObject(t *testing.T) {
	dir := t.TempDir()
	s, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var told []error
	p := open(t, func(o *ociapi.Options) {
		o.Objects = remote.OverStore(s)
		o.Failed = func(_ *http.Request, err error) { told = append(told, err) }
	})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	b := buckettest.Random(1, 100_000)
	p.blob(t, "r", b)
	file := filepath.Join(dir, "objects", cid.Sum(b).Hex()[:2], cid.Sum(b).Hex())
	if err := os.WriteFile(file, buckettest.Random(2, len(b)), 0o600); err != nil {
		t.Fatal(err)
	}
	p.do(t, ask{"POST", "/v2/other/blobs/uploads/?digest=" + digest(b), b, nil, 503, "UNAVAILABLE"})
	if len(told) != 1 || !errors.Is(told[0], cas.ErrCorrupt) {
		t.Errorf("the operator is told: %v", told)
	}
	other := buckettest.Random(3, 5<<20)
	p.do(t, ask{"POST", "/v2/r/blobs/uploads/?digest=" + digest(other), buckettest.Random(4, 5<<20), nil, 400, "DIGEST_INVALID"})
	if len(told) != 1 {
		t.Errorf("the operator is told of a caller's bytes: %v", told)
	}
}

// unsure is a catalog that extends an upload and does not know it, as when the
// answer to a commit is lost.
type unsure struct {
	catalog.Catalog
	once atomic.Bool
}

func (u *unsure) Extend(ctx context.Context, id string, offset int64, p catalog.Part, now int64) (bool, error) {
	was, err := u.Catalog.Extend(ctx, id, offset, p, now)
	if err == nil && !u.once.Swap(true) {
		return false, fault.New(cas.ErrUnavailable, "the answer is lost")
	}
	return was, err
}

// TestUnsureCatalog: a part that an upload may have is kept.
func TestUnsureCatalog(t *testing.T) {
	p := open(t, func(o *ociapi.Options) {
		o.Catalog, o.Failed = &unsure{Catalog: o.Catalog}, nil
	})
	path := p.start(t, "r")
	p.do(t, ask{"PATCH", path, "01234", nil, 503, "UNAVAILABLE"})
	resp, _ := p.do(t, ask{"GET", path, nil, nil, 204, ""})
	if got := resp.Header.Get("Range"); got != "0-4" {
		t.Fatalf("the upload has %s", got)
	}
	p.do(t, ask{"PATCH", path, "56789", []string{"Content-Range", "5-9"}, 202, ""})
	p.do(t, ask{"PUT", path + "?digest=" + digest([]byte("0123456789")), nil, nil, 201, ""})
	p.wantBlob(t, "r", digest([]byte("0123456789")), []byte("0123456789"))
	if names := p.staged(t); len(names) > 0 {
		t.Errorf("left: %v", names)
	}
}

// renewals counts the questions that keep collection away, which write.
type renewals struct {
	*remote.InStore
	n atomic.Int64
}

func (r *renewals) Head(ctx context.Context, id cid.Hash) (int64, error) {
	r.n.Add(1)
	return r.InStore.Head(ctx, id)
}

// TestReadingRenewsNothing: who reads does not write, and who mounts does.
func TestReadingRenewsNothing(t *testing.T) {
	s, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	storage := &renewals{InStore: remote.OverStore(s)}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	p := open(t, func(o *ociapi.Options) { o.Objects = storage })
	d := p.blob(t, "r", []byte("bytes"))
	p.push(t, "/v2/r/manifests/1", typeImage, p.image(t, "r"), 201, "")
	storage.n.Store(0)
	for _, method := range []string{"GET", "HEAD"} {
		p.do(t, ask{method, "/v2/r/blobs/" + d, nil, nil, 200, ""})
		p.do(t, ask{method, "/v2/r/manifests/1", nil, nil, 200, ""})
	}
	if n := storage.n.Load(); n != 0 {
		t.Errorf("reading renewed %d times", n)
	}
	p.do(t, ask{"POST", "/v2/q/blobs/uploads/?from=r&mount=" + d, nil, nil, 201, ""})
	if storage.n.Load() == 0 {
		t.Error("a mount renewed nothing")
	}
}
