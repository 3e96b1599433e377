package remote

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

// InBucket is a Remote and an Index over a bucket:
//
//	objects/HH/HEX             an object; HEX is its SHA-256, HH its first byte
//	names/NAME/VERSION         the text of a manifest's CID and LF
//	attestations/SUBJECT/HEX   nothing; HEX is an attestation's CID
//
// NAME and VERSION are escaped (bucket.Escape). Since a bucket checks nothing,
// whoever may write to it can put anything under a name; what it says is checked
// by those who read.
type InBucket struct{ bucket bucket.Bucket }

var (
	_ Remote = (*InBucket)(nil)
	_ Index  = (*InBucket)(nil)
)

// Over returns the remote in a bucket, and closes it at its end.
func Over(b bucket.Bucket) *InBucket { return &InBucket{b} }

// Close closes the bucket.
func (r *InBucket) Close() error { return r.bucket.Close() }

const (
	objects      = "objects/"
	names        = "names/"
	attestations = "attestations/"

	probes = 8 // of Has, at the same time
)

func objectKey(id cid.Hash) string { return objects + id.Hex()[:2] + "/" + id.Hex() }

// about names the object instead of its key.
func about(id cid.Hash, err error) error {
	var e *fault.Error
	if errors.As(err, &e) {
		return e.About(id.String())
	}
	return err
}

// Head implements Remote.
func (r *InBucket) Head(ctx context.Context, id cid.Hash) (int64, error) {
	size, err := r.bucket.Head(ctx, objectKey(id))
	return size, about(id, err)
}

// Has implements Remote.
func (r *InBucket) Has(ctx context.Context, ids []cid.Hash) ([]bool, error) {
	there, errs := make([]bool, len(ids)), make([]error, len(ids))
	var all sync.WaitGroup
	for first := range min(probes, len(ids)) {
		all.Go(func() {
			for i := first; i < len(ids); i += probes {
				_, err := r.Head(ctx, ids[i])
				there[i] = err == nil
				if !errors.Is(err, cas.ErrNotFound) {
					errs[i] = err
				}
			}
		})
	}
	all.Wait()
	return there, cmp.Or(errs...)
}

// Get implements Remote.
func (r *InBucket) Get(ctx context.Context, id cid.Hash, off, n int64) (io.ReadCloser, error) {
	rc, _, err := r.bucket.Get(ctx, objectKey(id), off, n)
	return rc, about(id, err)
}

// Put implements Remote.
func (r *InBucket) Put(ctx context.Context, v bucket.Value) error {
	if _, err := r.Head(ctx, v.Sum); err == nil || !errors.Is(err, cas.ErrNotFound) {
		return err
	}
	err := r.bucket.Put(ctx, objectKey(v.Sum), v)
	if errors.Is(err, bucket.ErrExists) {
		return nil
	}
	return about(v.Sum, err)
}

// List implements Remote.
func (r *InBucket) List(ctx context.Context) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		for info, err := range r.bucket.List(ctx, objects) {
			if err != nil {
				yield(Object{}, err)
				return
			}
			id, err := cid.Parse("sha256:" + path.Base(info.Key))
			if err == nil && objectKey(id) == info.Key && !yield(Object{id, info.Size}, nil) {
				return
			}
		}
	}
}

// Delete implements Remote.
func (r *InBucket) Delete(ctx context.Context, id cid.Hash) error {
	return about(id, r.bucket.Delete(ctx, objectKey(id)))
}

// Publish implements Index.
func (r *InBucket) Publish(ctx context.Context, id cid.Hash, _ []sig.AgentID) error {
	raw, err := Fetch(ctx, r, id, manifest.MaxBytes)
	if err != nil {
		return err
	}
	u, err := manifest.Decode(raw)
	if err != nil {
		return err
	}
	name, version := u.Claims().Name, u.Claims().Version
	if _, err := manifest.ParseVersion(version); err != nil {
		return err
	}
	key := nameKey(name) + bucket.Escape(version)
	err = r.bucket.Put(ctx, key, valueOf([]byte(id.String()+"\n")))
	if !errors.Is(err, bucket.ErrExists) {
		return err
	}
	if stands, err := r.pointer(ctx, key); err != nil || stands == id {
		return err
	}
	return fault.New(ErrTaken, "%s@%s is another package; a version is never pointed at another one", name, version)
}

func nameKey(name string) string { return names + bucket.Escape(name) + "/" }

func valueOf(b []byte) bucket.Value {
	return bucket.Value{Size: int64(len(b)), Sum: cid.Sum(b), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	}}
}

// pointer reads the CID that stands under a key.
func (r *InBucket) pointer(ctx context.Context, key string) (cid.Hash, error) {
	const size = int64(len("sha256:") + 64 + 1)
	rc, whole, err := r.bucket.Get(ctx, key, 0, size)
	if err != nil {
		return cid.Hash{}, err
	}
	text, err := io.ReadAll(io.LimitReader(rc, size))
	if err = errors.Join(err, rc.Close()); err != nil {
		return cid.Hash{}, fault.New(cas.ErrUnavailable, "%w", err).About(key)
	}
	line, ok := strings.CutSuffix(string(text), "\n")
	id, err := cid.Parse(line)
	if err != nil || !ok || whole != size {
		return id, fault.New(ErrLies, "it holds no CID").About(key)
	}
	return id, nil
}

// Resolve implements Index.
func (r *InBucket) Resolve(ctx context.Context, name, version string) (cid.Hash, error) {
	if version == "" {
		newest, err := Newest(r.Versions(ctx, name))
		if err != nil {
			return cid.Hash{}, err
		}
		if newest.Version == "" {
			return cid.Hash{}, noVersion(name, "")
		}
		return newest.Manifest, nil
	}
	id, err := r.pointer(ctx, nameKey(name)+bucket.Escape(version))
	if errors.Is(err, cas.ErrNotFound) {
		return id, noVersion(name, version)
	}
	return id, err
}

func noVersion(name, version string) error {
	if version == "" {
		return fault.New(ErrNoVersion, "no version of %s is published here", name)
	}
	return fault.New(ErrNoVersion, "%s@%s is not published here", name, version)
}

// Versions implements Index. It holds those of the name.
func (r *InBucket) Versions(ctx context.Context, name string) iter.Seq2[Version, error] {
	return func(yield func(Version, error) bool) {
		var keys []string
		for info, err := range r.bucket.List(ctx, nameKey(name)) {
			if err != nil {
				yield(Version{}, err)
				return
			}
			keys = append(keys, info.Key)
		}
		var all []ranked
		for _, key := range keys {
			text, ok := bucket.Unescape(path.Base(key))
			v, err := manifest.ParseVersion(text)
			if !ok || err != nil {
				continue // nobody asks for it
			}
			all = append(all, ranked{v, text, key})
		}
		slices.SortFunc(all, func(a, b ranked) int { return cmp.Or(a.version.Compare(b.version), strings.Compare(a.text, b.text)) })
		for _, v := range all {
			id, err := r.pointer(ctx, v.key)
			if !yield(Version{v.text, id}, err) || err != nil {
				return
			}
		}
	}
}

type ranked struct {
	version   manifest.Version
	text, key string
}

// Attest implements Index.
func (r *InBucket) Attest(ctx context.Context, id cid.Hash) error {
	raw, err := Fetch(ctx, r, id, MaxAttestation)
	if err != nil {
		return err
	}
	a, _, err := receipt.OpenAttestation(raw)
	if err != nil {
		return err
	}
	err = r.bucket.Put(ctx, attestations+a.SubjectHash.Hex()+"/"+id.Hex(), valueOf(nil))
	if errors.Is(err, bucket.ErrExists) {
		return nil
	}
	return err
}

// Attestations implements Index.
func (r *InBucket) Attestations(ctx context.Context, subject cid.Hash) iter.Seq2[cid.Hash, error] {
	return func(yield func(cid.Hash, error) bool) {
		for info, err := range r.bucket.List(ctx, attestations+subject.Hex()+"/") {
			if err != nil {
				yield(cid.Hash{}, err)
				return
			}
			id, err := cid.Parse("sha256:" + path.Base(info.Key))
			if err == nil && !yield(id, nil) {
				return
			}
		}
	}
}
