package node

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/oci"
	"github.com/mythos-run/mythos/runtime/pack"
)

// Artifact is a package that was written as an OCI artifact.
type Artifact struct {
	Reference string   // where it can be named: DIR:TAG or oci://HOST/REPOSITORY:TAG
	Digest    cid.Hash // of its image manifest
}

// WriteArtifact writes an open package as an OCI artifact (RFC-MYTHOS-0011 §5) to an
// image layout, which is made if place is no folder, or to oci://HOST/REPOSITORY[:TAG].
// Content is held against its hashes; nobody's signature is.
func (n *Node) WriteArtifact(ctx context.Context, src pack.Source, place string, o RemoteOptions) (a Artifact, err error) {
	c, err := pack.List(ctx, src)
	if err != nil {
		return a, err
	}
	to, name, tag, err := n.artifactPlace(ctx, place, oci.TagOf(c.Version), o)
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	a.Reference = name + ":" + tag
	a.Digest, err = pack.WriteArtifact(ctx, src, to, tag)
	return a, err
}

// artifactPlace opens a place and says how to name it and with which tag.
func (n *Node) artifactPlace(ctx context.Context, place, tag string, o RemoteOptions) (to pack.Artifacts, name, as string, err error) {
	if !strings.HasPrefix(place, "oci://") {
		return oci.OpenLayout(place), place, tag, freeForLayout(place)
	}
	ref, err := oci.ParseReference(place)
	if err != nil {
		return nil, "", "", err
	}
	if strings.HasPrefix(ref.Name, "sha256:") {
		return nil, "", "", fault.New(oci.ErrReference, "an artifact is written under a tag, not under a digest").About(place)
	}
	r, err := n.OpenRemote(ctx, place, o)
	if err != nil {
		return nil, "", "", err
	}
	return r.oci, "oci://" + ref.Repository, cmp.Or(ref.Name, tag), nil
}

// freeForLayout refuses a folder that holds something else than a layout.
func freeForLayout(dir string) error {
	if oci.IsLayout(dir) {
		return nil
	}
	f, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.New(pack.ErrIO, "%w", err)
	}
	defer f.Close()
	if _, err := f.Readdirnames(1); !errors.Is(err, io.EOF) {
		return fault.New(pack.ErrOutput, "not an image layout, and not an empty folder").About(dir)
	}
	return nil
}
