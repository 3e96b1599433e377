package oci

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	oras "oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/closure"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

const (
	probes       = 8 // of Has, at the same time
	maxPages     = 1000
	maxReferrers = 1000 // images that are looked at for attestations
)

// Config says where a repository is and who asks.
type Config struct {
	Repository         string // HOST/REPOSITORY
	PlainHTTP          bool
	Username, Password string // "": none
	Token              string // a bearer token instead of them
	Client             *http.Client
	UserAgent          string
	// Patience is how long an answer may take, beside a second for each 32 KiB that goes
	// there; 0: two minutes. Who reads an object says how long it may take.
	Patience time.Duration
}

// Registry is a repository of an OCI registry as a remote of objects.
type Registry struct {
	repo     *oras.Repository
	patience time.Duration
}

var _ remote.Remote = (*Registry)(nil)

// OpenRegistry makes no request.
func OpenRegistry(c Config) (*Registry, error) {
	repo, err := oras.NewRepository(c.Repository)
	if err != nil {
		return nil, fault.New(ErrReference, "%w", err).About(c.Repository)
	}
	plain := *cmp.Or(c.Client, remote.Client())
	plain.Transport = bucket.RetryAfter(plain.Transport)
	client := &auth.Client{Client: &plain, Cache: auth.NewCache()}
	client.SetUserAgent(cmp.Or(c.UserAgent, "mythos"))
	cred := auth.Credential{Username: c.Username, Password: c.Password, AccessToken: c.Token}
	if cred != (auth.Credential{}) {
		client.Credential = auth.StaticCredential(repo.Reference.Registry, cred)
	}
	repo.Client, repo.PlainHTTP = client, c.PlainHTTP
	repo.TagListMaxPages, repo.ReferrerListMaxPages = maxPages, maxPages
	repo.SkipReferrersGC = true // another writer may hold the old list
	return &Registry{repo, c.Patience}, nil
}

// Close does nothing: connections belong to the client.
func (r *Registry) Close() error { return nil }

// retry tries again what may be; each try has the time of size bytes.
func (r *Registry) retry(ctx context.Context, subject string, size int64, try func(context.Context) error) error {
	return bucket.Retry(ctx, func() error {
		return bucket.Timely(ctx, r.patience, size, func(ctx context.Context) error { return failed(subject, try(ctx)) })
	})
}

// Head implements remote.Remote.
func (r *Registry) Head(ctx context.Context, id cid.Hash) (size int64, err error) {
	err = r.retry(ctx, id.String(), 0, func(ctx context.Context) error {
		d, err := r.repo.Blobs().Resolve(ctx, string(digestOf(id)))
		size = d.Size
		return err
	})
	return size, err
}

// Has implements remote.Remote.
func (r *Registry) Has(ctx context.Context, ids []cid.Hash) ([]bool, error) {
	there, errs := make([]bool, len(ids)), make([]error, len(ids))
	var all sync.WaitGroup
	for first := range min(probes, len(ids)) {
		all.Go(func() {
			for i := first; i < len(ids); i += probes {
				_, err := r.Head(ctx, ids[i])
				if there[i] = err == nil; !errors.Is(err, cas.ErrNotFound) {
					errs[i] = err
				}
			}
		})
	}
	all.Wait()
	return there, cmp.Or(errs...)
}

// Get implements remote.Remote.
func (r *Registry) Get(ctx context.Context, id cid.Hash, off, n int64) (rc io.ReadCloser, err error) {
	var d v1.Descriptor
	err = bucket.Retry(ctx, func() error {
		d, rc, err = r.repo.Blobs().FetchReference(ctx, string(digestOf(id)))
		return failed(id.String(), err)
	})
	if err != nil {
		return nil, err
	}
	off = min(max(off, 0), d.Size)
	if n < 0 || n > d.Size-off {
		n = d.Size - off
	}
	if n == 0 {
		return http.NoBody, rc.Close()
	}
	if off > 0 {
		if err := skip(rc, off); err != nil {
			return nil, errors.Join(failed(id.String(), err), rc.Close())
		}
	}
	return part{io.LimitReader(rc, n), rc}, nil
}

// skip goes on at an offset: by another request if the registry serves ranges.
func skip(rc io.Reader, off int64) error {
	if s, ok := rc.(io.Seeker); ok {
		_, err := s.Seek(off, io.SeekStart)
		return err
	}
	_, err := io.CopyN(io.Discard, rc, off)
	return err
}

type part struct {
	io.Reader
	io.Closer
}

// Put implements remote.Remote.
func (r *Registry) Put(ctx context.Context, v bucket.Value) error {
	if _, err := r.Head(ctx, v.Sum); err == nil || !errors.Is(err, cas.ErrNotFound) {
		return err
	}
	return r.retry(ctx, v.Sum.String(), v.Size, func(ctx context.Context) error {
		in, err := v.Reader()
		if err != nil {
			return err
		}
		defer in.Close()
		err = r.repo.Blobs().Push(ctx, v1.Descriptor{MediaType: TypeObject, Digest: digestOf(v.Sum), Size: v.Size}, in)
		if errors.Is(err, errdef.ErrAlreadyExists) {
			return nil
		}
		return err
	})
}

// List implements remote.Remote.
func (r *Registry) List(context.Context) iter.Seq2[remote.Object, error] {
	return func(yield func(remote.Object, error) bool) {
		yield(remote.Object{}, fault.New(remote.ErrUnsupported, "an OCI registry lists no blobs"))
	}
}

// Delete implements remote.Remote.
func (r *Registry) Delete(context.Context, cid.Hash) error {
	return fault.New(remote.ErrUnsupported, "objects of a registry are for its operator to remove")
}

// Tag makes the artifact of a package, all of whose objects the registry has, and
// gives it the tag. It returns the artifact's digest.
func (r *Registry) Tag(ctx context.Context, get closure.Source, id cid.Hash, tag string) (cid.Hash, error) {
	raw, err := Package(ctx, get, id)
	if err != nil {
		return cid.Hash{}, err
	}
	err = r.retry(ctx, tag, int64(len(raw)), func(ctx context.Context) error {
		return r.repo.Manifests().PushReference(ctx, descriptor(raw), bytes.NewReader(raw), tag)
	})
	return cid.Sum(raw), err
}

// Resolve returns the manifest that a tag or the digest of an artifact stands for,
// and the artifact's own digest.
func (r *Registry) Resolve(ctx context.Context, name string) (id, artifact cid.Hash, err error) {
	raw, err := r.image(ctx, name)
	if err != nil {
		return id, artifact, err
	}
	id, err = ManifestOf(raw)
	return id, cid.Sum(raw), err
}

// image reads an image manifest.
func (r *Registry) image(ctx context.Context, name string) (raw []byte, err error) {
	err = r.retry(ctx, name, 0, func(ctx context.Context) error {
		d, rc, err := r.repo.Manifests().FetchReference(ctx, name)
		if err != nil {
			return err
		}
		defer rc.Close()
		if d.Size > maxImageManifest {
			return fault.New(cas.ErrTooLarge, "the image manifest has %d bytes, at most %d", d.Size, maxImageManifest).About(name)
		}
		raw, err = content.ReadAll(rc, d)
		if errors.Is(err, content.ErrMismatchedDigest) || errors.Is(err, content.ErrTrailingData) {
			return fault.New(remote.ErrLies, "%w", err).About(name)
		}
		return err // else it was cut off on the way
	})
	return raw, err
}

// Attest adds an attestation of a package to the artifact that has a digest, as one
// that refers to it.
func (r *Registry) Attest(ctx context.Context, artifact cid.Hash, raw []byte) error {
	subject, err := r.image(ctx, string(digestOf(artifact)))
	if err != nil {
		return err
	}
	image, err := attestation(raw, descriptor(subject))
	if err != nil {
		return err
	}
	for _, b := range [][]byte{empty, raw} {
		v := bucket.Value{Size: int64(len(b)), Sum: cid.Sum(b), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
		if err := r.Put(ctx, v); err != nil {
			return err
		}
	}
	return r.retry(ctx, artifact.String(), int64(len(image)), func(ctx context.Context) error {
		return r.repo.Manifests().Push(ctx, descriptor(image), bytes.NewReader(image))
	})
}

// Attestations returns the attestations that refer to the artifact of a digest, of
// the first maxReferrers images that do. An image that is gone, or too large for one,
// is passed over.
func (r *Registry) Attestations(ctx context.Context, artifact cid.Hash) ([]cid.Hash, error) {
	found, err := r.referrers(ctx, artifact)
	if err != nil {
		return nil, err
	}
	var ids []cid.Hash
	for _, d := range found {
		raw, err := r.image(ctx, string(d))
		if errors.Is(err, cas.ErrNotFound) || errors.Is(err, cas.ErrTooLarge) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list, of, err := attestationsOf(raw)
		if err != nil || of != artifact {
			continue // somebody else's
		}
		ids = append(ids, list...)
	}
	slices.SortFunc(ids, cid.Hash.Compare)
	return slices.Compact(ids), nil
}

// errEnough ends a list of which there is enough.
var errEnough = errors.New("that is enough")

// referrers returns the digests of images that refer to the artifact of a digest,
// maxReferrers at most.
func (r *Registry) referrers(ctx context.Context, artifact cid.Hash) (found []digest.Digest, err error) {
	subject := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digestOf(artifact)}
	err = r.retry(ctx, artifact.String(), 0, func(ctx context.Context) error {
		found = nil
		err := r.repo.Referrers(ctx, subject, TypeAttestation, func(page []v1.Descriptor) error {
			for _, d := range page {
				if len(found) == maxReferrers {
					return errEnough
				}
				if d.Digest.Validate() == nil {
					found = append(found, d.Digest)
				}
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		return err
	})
	return found, err
}

// failed gives an error of the registry or the network its code.
func failed(subject string, err error) error {
	var answer *errcode.ErrorResponse
	switch {
	case err == nil, fault.CodeOf(err) != "":
		return err
	case errors.Is(err, errdef.ErrNotFound):
		return fault.New(cas.ErrNotFound, "the registry does not have it").About(subject)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return fault.New(bucket.ErrDenied, "the registry wants a user and a password").About(subject)
	case errors.As(err, &answer):
		return bucket.Failed(subject, err, answer.StatusCode, "")
	}
	return bucket.Failed(subject, err, 0, "")
}
