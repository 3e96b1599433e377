package pack

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/closure"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/oci"
	"github.com/mythos-run/mythos/runtime/pack/archive"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

var _ gate.Attested = (*inLayout)(nil)

// inLayout is a package in an OCI image layout (RFC-MYTHOS-0011 §5). What else the
// layout holds is not of the package and not looked at.
type inLayout struct {
	*objects
	at       *oci.Layout
	artifact cid.Hash // the image manifest
}

// IsLayout reports whether path names a package in an image layout, alone or by tag
// or digest.
func IsLayout(path string) bool {
	if _, err := os.Stat(path); err != nil {
		_, _, ok := oci.SplitLayout(path)
		return ok
	}
	return oci.IsLayout(path) && !exists(filepath.Join(path, archive.ManifestName)) && !exists(filepath.Join(path, sourceName))
}

// openInLayout opens the artifact of a name in the layout at dir; "" is the only one.
func openInLayout(ctx context.Context, dir, name string) (Source, error) {
	at := oci.OpenLayout(dir)
	id, artifact, err := at.Resolve(ctx, name)
	if err != nil {
		return nil, err
	}
	return &inLayout{&objects{FromRemote(at), id}, at, artifact}, nil
}

// FromRemote gets verified objects from a remote.
func FromRemote(r remote.Remote) closure.Source {
	return func(ctx context.Context, id cid.Hash, limit int64) ([]byte, error) {
		return remote.Fetch(ctx, r, id, limit)
	}
}

// Attestations implements gate.Attested with what refers to the artifact. Others may
// let anything refer to it: what is no attestation is passed over.
func (s *inLayout) Attestations(ctx context.Context) ([]gate.Statement, error) {
	ids, err := s.at.Attestations(ctx, s.artifact)
	if err != nil {
		return nil, err
	}
	if len(ids) > gate.MaxAttestations {
		return nil, fault.New(manifest.ErrAttestation, "more than %d attestations", gate.MaxAttestations).About(s.artifact.String())
	}
	var list []gate.Statement
	for _, id := range ids {
		raw, err := remote.Fetch(ctx, s.at, id, gate.MaxAttestation)
		if err != nil {
			return nil, err
		}
		_, name, err := receipt.OpenAttestation(raw)
		if err != nil {
			continue
		}
		list = append(list, gate.Statement{ID: name, Raw: raw})
	}
	slices.SortFunc(list, func(a, b gate.Statement) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return list, nil
}

// attachToLayout lets an attestation refer to the artifact of a package.
func attachToLayout(ctx context.Context, path string, raw []byte) error {
	src, err := Open(ctx, path, OpenOptions{})
	if err != nil {
		return err
	}
	s := src.(*inLayout)
	return s.at.Attest(ctx, s.artifact, raw)
}

// ToRemote stores objects in a remote, each of which is durable when its call returns.
func ToRemote(r remote.Remote) cas.Putter { return putter{r} }

type putter struct{ to remote.Remote }

// Put implements cas.Putter.
func (p putter) Put(ctx context.Context, b []byte) (cid.Hash, error) {
	id := cid.Sum(b)
	return id, p.to.Put(ctx, bucket.Value{Size: int64(len(b)), Sum: id, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	}})
}

// PutFrom implements cas.Putter. It holds the object, of which there may be more than
// one try.
func (p putter) PutFrom(ctx context.Context, r io.Reader, want cid.Hash, size int64) error {
	if size > blob.FlatLimit {
		return fault.New(cas.ErrTooLarge, "an object of %d bytes, at most %d", size, blob.FlatLimit).About(want.String())
	}
	var b bytes.Buffer
	if err := cas.Receive(ctx, &b, r, want, size); err != nil {
		return err
	}
	_, err := p.Put(ctx, b.Bytes())
	return err
}

// Artifacts is a place of OCI artifacts: a repository of a registry, or a layout.
type Artifacts interface {
	remote.Remote
	Tag(ctx context.Context, get closure.Source, id cid.Hash, tag string) (cid.Hash, error)
	Attest(ctx context.Context, artifact cid.Hash, raw []byte) error
}

// WriteArtifact writes an open package and the attestations beside it as OCI artifacts
// (RFC-MYTHOS-0011 §5), and returns the digest of the package's. Content is held
// against its hashes; nobody's signature is.
func WriteArtifact(ctx context.Context, src Source, to Artifacts, tag string) (cid.Hash, error) {
	c, err := List(ctx, src)
	if err != nil {
		return cid.Hash{}, err
	}
	id, err := Copy(ctx, ToRemote(to), src)
	if err != nil {
		return cid.Hash{}, err
	}
	artifact, err := to.Tag(ctx, FromRemote(to), id, tag)
	for i := 0; err == nil && i < len(c.claims); i++ {
		err = to.Attest(ctx, artifact, c.claims[i].Raw)
	}
	return artifact, err
}
