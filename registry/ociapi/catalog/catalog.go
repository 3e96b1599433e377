// Package catalog is the port to what an OCI registry knows beside objects:
// which blobs, manifests and tags a repository has, what refers to what, and
// which uploads are under way. Bytes are objects of a remote.Remote; a catalog
// says under which digests a repository shows them, so one object is stored once
// for all repositories, algorithms and for MYTHOS itself.
//
// A catalog lives in SQLite for one process (package sqlite) or in PostgreSQL for
// several (package postgres); each passes the suite in catalogtest. A repository
// is there as long as it has a blob or a manifest. Failures have the code
// index.ErrUnavailable, and are never said of what is not there.
package catalog

import (
	"context"
	"iter"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// Blob is an object that a repository shows under a digest. The digest of another
// algorithm than SHA-256 finds its object here.
type Blob struct {
	Digest string // ALGORITHM:HEX
	CID    cid.Hash
	Size   int64 // bytes
}

// Manifest is a manifest of a repository, and what a list of referrers says of it.
type Manifest struct {
	Blob
	MediaType    string
	ArtifactType string // "": none
	Subject      string // the digest that it refers to; "": none
	Annotations  string // its annotations, a JSON object; "": none
}

// Part is a piece of an upload that a staging area keeps.
type Part struct {
	Key  string
	Size int64 // bytes
}

// Upload is one that is under way.
type Upload struct {
	Offset int64 // bytes that it has
	Parts  []Part
}

// Catalog is safe for concurrent use, also by several processes if what it lives
// in is. A method that writes returns when what it wrote is durable.
type Catalog interface {
	// LinkBlob shows an object in a repository.
	LinkBlob(ctx context.Context, repository string, b Blob) error
	// Blob returns what a repository shows under a digest, and whether it does; with
	// repository "", what any one does.
	Blob(ctx context.Context, repository, digest string) (b Blob, ok bool, err error)
	// UnlinkBlob hides a blob, and reports whether it was shown.
	UnlinkBlob(ctx context.Context, repository, digest string) (bool, error)
	// Missing returns the first of the digests that a repository does not show, among
	// blobs and then among manifests, or "".
	Missing(ctx context.Context, repository string, blobs, manifests []string) (string, error)

	// PutManifest adds a manifest or replaces what is said of it, and makes the tags
	// stand for it, all or nothing.
	PutManifest(ctx context.Context, repository string, m Manifest, tags []string) error
	// Manifest returns that of a digest or a tag, and whether there is one. What has
	// a colon is a digest.
	Manifest(ctx context.Context, repository, reference string) (m Manifest, ok bool, err error)
	// DeleteManifest removes a manifest and its tags, and reports whether it was there.
	DeleteManifest(ctx context.Context, repository, digest string) (bool, error)
	// DeleteTag removes a tag alone.
	DeleteTag(ctx context.Context, repository, tag string) (bool, error)
	// Tags returns those of a repository that come after one, ascending bytewise, at
	// most limit, and whether there is such a repository.
	Tags(ctx context.Context, repository, after string, limit int) (tags []string, ok bool, err error)
	// Referrers yields the manifests that refer to a digest, ascending, those after
	// one; with artifactType not "" only such ones. It ends at the first error.
	Referrers(ctx context.Context, repository, subject, artifactType, after string) iter.Seq2[Manifest, error]

	// Objects yields every object that a repository shows, for whoever collects
	// others: ascending, each once.
	Objects(ctx context.Context) iter.Seq2[cid.Hash, error]

	// StartUpload begins an upload unless there are limit of them already; it reports
	// whether it did. Times are microseconds since 1970.
	StartUpload(ctx context.Context, repository, id string, now int64, limit int) (bool, error)
	// Upload returns one of a repository, and whether it is there.
	Upload(ctx context.Context, repository, id string) (u Upload, ok bool, err error)
	// Extend adds a part to an upload that has exactly so many bytes; it reports
	// whether it was so. Of several at once one succeeds.
	Extend(ctx context.Context, id string, offset int64, p Part, now int64) (bool, error)
	// EndUpload forgets an upload, and returns what it was and whether it was there.
	EndUpload(ctx context.Context, id string) (u Upload, ok bool, err error)
	// Uploads returns the ids of the uploads that nothing was added to since a time.
	Uploads(ctx context.Context, before int64) ([]string, error)

	Ping(ctx context.Context) error
	Close() error
}
