// Package remote is the port to object stores of other machines. Nothing that a
// remote says is believed: objects are named by the SHA-256 of their bytes, names
// and attestations are signed, and whoever fetches checks both. A remote is
// named by a URL:
//
//	folder:///path   file:///path   a folder, on a disk or a share
//	s3://BUCKET/PREFIX              S3 and what speaks it
//	azblob://CONTAINER/PREFIX       Azure Blob
//	http://HOST  https://HOST       a MYTHOS registry
//	oci://HOST/REPO                 an OCI registry
//
// Credentials come from files or the environment and never from the URL. Every
// kind runs the acceptance suite in remotetest.
package remote

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

// Codes of every remote, beside those of packages cas and bucket.
const (
	ErrURL         fault.Code = "remote_url"         // no URL of a remote, or one with a password in it
	ErrLies        fault.Code = "remote_lies"        // what a remote sent is not what was asked for
	ErrUnsupported fault.Code = "remote_unsupported" // this kind of remote has no such operation
	ErrTaken       fault.Code = "version_taken"      // a name and version that stand for another package
	ErrNoVersion   fault.Code = "version_not_found"  // no package of that name and version
)

// Remote holds objects by their hash. It is safe for concurrent use. Errors are
// final: what may be tried again was, until ctx ended or the tries were used up.
type Remote interface {
	// Head returns an object's size in bytes, or cas.ErrNotFound.
	Head(ctx context.Context, id cid.Hash) (int64, error)
	// Has reports which of the objects are there, in their order.
	Has(ctx context.Context, ids []cid.Hash) ([]bool, error)
	// Get reads n bytes from off on, n below 0: to the end. The bytes are not
	// verified: a part cannot be. The caller reads no more than it asked for.
	Get(ctx context.Context, id cid.Hash, off, n int64) (io.ReadCloser, error)
	// Put stores the object whose CID is v.Sum durably, all or nothing; if it is
	// there already, nothing is sent.
	Put(ctx context.Context, v bucket.Value) error
	// List yields all objects, ascending, or ErrUnsupported.
	List(ctx context.Context) iter.Seq2[Object, error]
	// Delete removes an object, or ErrUnsupported.
	Delete(ctx context.Context, id cid.Hash) error
	Close() error
}

// Object is an object of a remote.
type Object struct {
	CID  cid.Hash
	Size int64
}

// Index finds packages by name, and what was attested of them. A remote that has
// one implements it beside Remote. It is append-only: a version, once published,
// is never pointed at another package.
type Index interface {
	// Publish makes the manifest, an object of the remote as all of its closure, the
	// package of its own name and version; ErrTaken if another one is. The publishers
	// have signed it; a remote that checks this needs their keys.
	Publish(ctx context.Context, manifest cid.Hash, publishers []sig.AgentID) error
	// Resolve returns the manifest of a name and version; version "" is the newest
	// by semantic version, without pre-releases if there is any other.
	Resolve(ctx context.Context, name, version string) (cid.Hash, error)
	// Versions yields the versions of a name, ascending by semantic version.
	Versions(ctx context.Context, name string) iter.Seq2[Version, error]
	// Attest adds an attestation, an object of the remote, to those of its subject.
	Attest(ctx context.Context, attestation cid.Hash) error
	// Attestations yields those of a subject, in no order.
	Attestations(ctx context.Context, subject cid.Hash) iter.Seq2[cid.Hash, error]
}

// Version is one published version of a name.
type Version struct {
	Version  string
	Manifest cid.Hash
}

// Fetch reads a whole object of at most limit bytes and verifies it. What is not
// what was asked for is ErrLies, and what ended early is BrokenOff.
func Fetch(ctx context.Context, r Remote, id cid.Hash, limit int64) ([]byte, error) {
	rc, err := r.Get(ctx, id, 0, limit+1)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(rc, limit+1))
	closed := rc.Close()
	if err == nil && cid.Sum(raw) != id {
		err = closed
	}
	switch {
	case err != nil:
		return nil, BrokenOff(id, err)
	case int64(len(raw)) > limit:
		return nil, fault.New(cas.ErrTooLarge, "it has more than %d bytes", limit).About(id.String())
	case cid.Sum(raw) != id:
		return nil, fault.New(ErrLies, "the %d bytes that came hash to %s", len(raw), cid.Sum(raw)).About(id.String())
	}
	return raw, nil
}

// BrokenOff is the error of an object whose bytes ended before the last: a
// bucket.Again, for the next try may go well, unless the context has ended.
func BrokenOff(id cid.Hash, err error) error {
	e := fault.New(cas.ErrUnavailable, "%w", err).About(id.String())
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || fault.CodeOf(err) != "" {
		return e
	}
	return &bucket.Again{Err: e}
}

// MaxAttestation is the greatest size of an attestation in bytes.
const MaxAttestation = 64 << 10

// Newest returns the last version that is no pre-release, else the last; the zero
// Version if there is none.
func Newest(versions iter.Seq2[Version, error]) (newest Version, err error) {
	released := false
	for v, err := range versions {
		if err != nil {
			return Version{}, err
		}
		core, _, _ := strings.Cut(v.Version, "+")
		if release := !strings.Contains(core, "-"); release || !released {
			newest, released = v, released || release
		}
	}
	return newest, nil
}
