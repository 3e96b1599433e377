package ociapi

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mythos-run/mythos/registry/ociapi/catalog"
)

const (
	maxManifest = 4 << 20 // bytes
	maxMembers  = 10_000  // of each list of a manifest, and of its annotations

	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// document is what the registry reads of a manifest.
type document struct {
	SchemaVersion int         `json:"schemaVersion"`
	MediaType     string      `json:"mediaType"`
	ArtifactType  string      `json:"artifactType"`
	Config        *descriptor `json:"config"`
	Layers        descriptors `json:"layers"`
	Manifests     descriptors `json:"manifests"`
	Subject       *descriptor `json:"subject"`
	Annotations   annotations `json:"annotations"`
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

type (
	descriptors []descriptor
	annotations map[string]string
)

// UnmarshalJSON implements json.Unmarshaler.
func (l *descriptors) UnmarshalJSON(raw []byte) error {
	if err := checkMembers(raw); err != nil {
		return err
	}
	return json.Unmarshal(raw, (*[]descriptor)(l))
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *annotations) UnmarshalJSON(raw []byte) error {
	if err := checkMembers(raw); err != nil {
		return err
	}
	return json.Unmarshal(raw, (*map[string]string)(a))
}

// checkMembers refuses a JSON value of too many members, which would take many times
// the memory of their text.
func checkMembers(raw []byte) error {
	depth, commas, quoted := 0, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == ',' && depth == 1:
			commas++
		}
	}
	if commas >= maxMembers {
		return fmt.Errorf("%d members, at most %d", commas+1, maxMembers)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return problemf(http.StatusBadRequest, codeManifestInvalid, format, args...)
}

// parseDocument reads an image manifest or an index of OCI or Docker, which has
// the media type that it was sent with.
func parseDocument(raw []byte, contentType string) (d document, err error) {
	if err := json.Unmarshal(raw, &d); err != nil {
		return d, invalid("the manifest: %v", err)
	}
	media := d.MediaType
	if contentType != "" {
		if media, _, err = mime.ParseMediaType(contentType); err != nil {
			return d, invalid("%.100q is no media type", contentType)
		}
	}
	if d.MediaType != "" && d.MediaType != media {
		return d, invalid("a manifest of media type %.100q was sent as %.100q", d.MediaType, media)
	}
	d.MediaType = media
	index := media == v1.MediaTypeImageIndex || media == dockerList
	switch {
	case !index && media != v1.MediaTypeImageManifest && media != dockerManifest:
		return d, invalid("manifests of media type %.100q are not supported", media)
	case d.SchemaVersion != 2:
		return d, invalid("the manifest has schemaVersion %d, not 2", d.SchemaVersion)
	case index && (d.Config != nil || d.Layers != nil), !index && d.Manifests != nil:
		return d, invalid("the manifest is an image and an index at once")
	case !index && d.Config == nil:
		return d, invalid("the image has no config")
	}
	return d, d.checkDescriptors()
}

func (d document) checkDescriptors() error {
	all := append(d.Layers[:len(d.Layers):len(d.Layers)], d.Manifests...)
	for _, one := range []*descriptor{d.Config, d.Subject} {
		if one != nil {
			all = append(all, *one)
		}
	}
	for _, one := range all {
		if _, err := parseDigest(one.Digest); err != nil || one.Size < 0 {
			return invalid("the manifest names %.150q of %d bytes, which cannot be", one.Digest, one.Size)
		}
	}
	return nil
}

// needs returns the digests of the blobs and manifests that the repository must
// show. Layers that may not be distributed it need not.
func (d document) needs() (blobs, manifests []string) {
	if d.Config != nil {
		blobs = append(blobs, d.Config.Digest)
	}
	for _, l := range d.Layers {
		switch l.MediaType {
		case "application/vnd.oci.image.layer.nondistributable.v1.tar",
			"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
			"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
			"application/vnd.docker.image.rootfs.foreign.diff.tar",
			"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip":
		default:
			blobs = append(blobs, l.Digest)
		}
	}
	for _, m := range d.Manifests {
		manifests = append(manifests, m.Digest)
	}
	return blobs, manifests
}

// entry returns what a catalog keeps of the manifest. The artifact type of an
// image that has none is the media type of its config.
func (d document) entry(b catalog.Blob) (catalog.Manifest, error) {
	m := catalog.Manifest{Blob: b, MediaType: d.MediaType, ArtifactType: d.ArtifactType}
	if m.ArtifactType == "" && d.Config != nil {
		m.ArtifactType = d.Config.MediaType
	}
	if !isPrintable(m.ArtifactType) {
		return m, invalid("%.100q is no type of an artifact", m.ArtifactType)
	}
	if d.Subject != nil {
		m.Subject = d.Subject.Digest
	}
	if len(d.Annotations) > 0 {
		raw, err := json.Marshal(d.Annotations)
		if err != nil {
			return m, invalid("the annotations: %v", err)
		}
		m.Annotations = string(raw)
	}
	return m, nil
}
