// Package oci holds packages as OCI artifacts (RFC-MYTHOS-0011 §5), in a registry
// of OCI or in an image layout on disk. Nothing is wrapped: a blob is an object, its
// digest the object's CID, and the image manifest is made from the closure alone.
// So both are remotes of objects, and an artifact beside them only tells which
// manifest a tag stands for.
package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mythos-run/mythos/runtime/closure"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

// Types of what is in an artifact.
const (
	TypePackage     = "application/vnd.mythos.package.v1"     // artifactType of a package
	TypeManifest    = "application/vnd.mythos.manifest.v1"    // of its config, the manifest
	TypeObject      = "application/vnd.mythos.object.v1"      // of a layer that has no type of its own
	TypeWasm        = "application/wasm"                      // of a module
	TypeAttestation = "application/vnd.mythos.attestation.v1" // of an attestation, and artifactType of it
)

const annotationPackage = "run.mythos.package-id"

// Codes of this package.
const (
	ErrArtifact  fault.Code = "oci_artifact"  // an image manifest that is no package
	ErrReference fault.Code = "oci_reference" // no reference of the form that it must have
	ErrTooLarge  fault.Code = "oci_too_large" // a package of more objects than an image manifest can list
)

const maxImageManifest = 4 << 20 // bytes, which every registry takes

// digestOf returns a CID as a digest.
func digestOf(id cid.Hash) digest.Digest { return digest.Digest(id.String()) }

// cidOf returns a digest as a CID.
func cidOf(d digest.Digest) (cid.Hash, error) { return cid.Parse(string(d)) }

// Package returns the image manifest of the package whose manifest is id, as JSON.
// It is a function of the closure.
func Package(ctx context.Context, get closure.Source, id cid.Hash) ([]byte, error) {
	image := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, ArtifactType: TypePackage,
	}
	err := closure.Walk(ctx, get, id, func(o closure.Object) error {
		d := v1.Descriptor{MediaType: mediaType(o), Digest: digestOf(o.CID), Size: o.Size}
		if o.CID != id {
			image.Layers = append(image.Layers, d)
			return nil
		}
		d.MediaType = TypeManifest
		image.Config = d
		u, err := manifest.Decode(o.Raw)
		if err != nil {
			return err
		}
		image.Annotations = map[string]string{
			v1.AnnotationTitle: u.Claims().Name, v1.AnnotationVersion: u.Claims().Version, annotationPackage: u.PackageID().String(),
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(image.Layers, func(a, b v1.Descriptor) int { return bytes.Compare([]byte(a.Digest), []byte(b.Digest)) })
	raw, err := json.Marshal(image)
	if err != nil {
		return nil, err
	}
	if len(raw) > maxImageManifest {
		return nil, fault.New(ErrTooLarge, "the image manifest of %d objects has %d bytes, at most %d", len(image.Layers)+1, len(raw), maxImageManifest).About(id.String())
	}
	return raw, nil
}

// mediaType returns the type of a layer.
func mediaType(o closure.Object) string {
	a := o.Artifact
	switch {
	case a == nil || a.CID != o.CID:
	case a.Kind == manifest.KindModule && a.MediaType == TypeWasm, a.Kind == manifest.KindImage:
		return a.MediaType
	}
	return TypeObject
}

// ManifestOf returns the CID of the MYTHOS manifest that an image manifest is of.
// Nothing else that it says counts.
func ManifestOf(raw []byte) (cid.Hash, error) {
	var image v1.Manifest
	if err := json.Unmarshal(raw, &image); err != nil {
		return cid.Hash{}, fault.New(ErrArtifact, "%w", err)
	}
	if image.ArtifactType != TypePackage && image.Config.MediaType != TypeManifest {
		return cid.Hash{}, fault.New(ErrArtifact, "its artifactType is %.100q, want %s", image.ArtifactType, TypePackage)
	}
	id, err := cidOf(image.Config.Digest)
	if err != nil {
		return id, fault.New(ErrArtifact, "its config is named by %.100q", image.Config.Digest)
	}
	return id, nil
}

// empty is the config of an artifact that has none.
var empty = []byte("{}")

// attestation returns the image manifest of an attestation of a package.
func attestation(raw []byte, subject v1.Descriptor) ([]byte, error) {
	config := v1.DescriptorEmptyJSON
	config.Data = nil
	return json.Marshal(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, ArtifactType: TypeAttestation,
		Config:  config,
		Layers:  []v1.Descriptor{{MediaType: TypeAttestation, Digest: digest.FromBytes(raw), Size: int64(len(raw))}},
		Subject: &subject,
	})
}

// attestationsOf returns the CIDs of the attestations in an image manifest, and the
// artifact that it refers to.
func attestationsOf(raw []byte) (ids []cid.Hash, subject cid.Hash, err error) {
	var image v1.Manifest
	if err := json.Unmarshal(raw, &image); err != nil || image.ArtifactType != TypeAttestation || image.Subject == nil {
		return nil, subject, fault.New(ErrArtifact, "it is no attestation")
	}
	if subject, err = cidOf(image.Subject.Digest); err != nil {
		return nil, subject, fault.New(ErrArtifact, "%w", err)
	}
	for _, l := range image.Layers {
		id, err := cidOf(l.Digest)
		if err != nil {
			return nil, subject, fault.New(ErrArtifact, "%w", err)
		}
		ids = append(ids, id)
	}
	return ids, subject, nil
}

func descriptor(raw []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}
