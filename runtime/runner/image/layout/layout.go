// Package layout reads the documents of the OCI image format (image-spec 1.1) that
// an oci-image module is made of (RFC-MYTHOS-0006 §12): the image manifest, the
// image config and, for packers, the index of an image layout.
//
// It believes nothing: documents are at most MaxDocument bytes, an image has 1 to
// MaxLayers layers, digests are sha256 alone, layers are tar, tar+gzip or
// tar+zstd, and config and manifest must agree about their number. Docker's names
// of the same media types are taken too. Keys that are not read are ignored, as
// OCI asks.
package layout

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of images.
const (
	// ErrInvalid: a document is not what OCI says, or asks for what is not supported.
	ErrInvalid fault.Code = "image_invalid"
	// ErrDigest: bytes are not those that a digest names.
	ErrDigest fault.Code = "image_digest"
	// ErrPlatform: the image is for another machine, or an index has none for it.
	ErrPlatform fault.Code = "image_platform"
)

// Bounds of an image's documents.
const (
	MaxDocument = 4 << 20 // bytes
	MaxLayers   = 128
	maxIndex    = 1000 // images that an index lists
)

// Media types that are written; others are only read.
const (
	MediaIndex    = "application/vnd.oci.image.index.v1+json"
	MediaManifest = "application/vnd.oci.image.manifest.v1+json"
	MediaConfig   = "application/vnd.oci.image.config.v1+json"
	MediaLayer    = "application/vnd.oci.image.layer.v1.tar"
)

// Compression is how a layer's tar stream is stored.
type Compression uint8

// The compressions.
const (
	Plain Compression = iota
	Gzip
	Zstd
)

// Descriptor names a blob.
type Descriptor struct {
	MediaType string
	SHA256    cid.Hash
	Size      uint64
}

// Layer is a layer of an image.
type Layer struct {
	Descriptor
	Compression Compression
}

// Manifest is an image manifest.
type Manifest struct {
	Config Descriptor
	Layers []Layer
}

// Config is what is read of an image config.
type Config struct {
	OS, Architecture string
	DiffIDs          []cid.Hash // of the layers' uncompressed bytes
}

// Platform returns the config's os/arch.
func (c *Config) Platform() string { return c.OS + "/" + c.Architecture }

// Entry is one line of an index: an image, or another index.
type Entry struct {
	Descriptor
	Index    bool
	Platform string // os/arch; "": not said
}

// descriptor is a Descriptor as it is written.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      *int64 `json:"size"`
	Platform  *struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
	} `json:"platform"`
}

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// ParseDigest reads "sha256:..."; no other algorithm is taken.
func ParseDigest(s string) (cid.Hash, error) {
	if !digestForm.MatchString(s) {
		return cid.Hash{}, fault.New(ErrInvalid, "the digest %.80q is not sha256:... in lower case", s)
	}
	return cid.Parse(s)
}

func (d *descriptor) read(what string) (Descriptor, error) {
	h, err := ParseDigest(d.Digest)
	if err != nil {
		return Descriptor{}, fault.New(ErrInvalid, "%s: %w", what, err)
	}
	if d.Size == nil || *d.Size < 0 {
		return Descriptor{}, fault.New(ErrInvalid, "%s has no size", what)
	}
	return Descriptor{MediaType: d.MediaType, SHA256: h, Size: uint64(*d.Size)}, nil
}

// decode reads one JSON document.
func decode(raw []byte, what string, v any) error {
	if len(raw) > MaxDocument {
		return fault.New(ErrInvalid, "the %s has %d bytes, at most %d", what, len(raw), MaxDocument)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fault.New(ErrInvalid, "the %s is not JSON of its form: %w", what, err)
	}
	return nil
}

// ParseManifest reads an image manifest.
func ParseManifest(raw []byte) (*Manifest, error) {
	var doc struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     string          `json:"mediaType"`
		ArtifactType  string          `json:"artifactType"`
		Config        descriptor      `json:"config"`
		Layers        []descriptor    `json:"layers"`
		Manifests     json.RawMessage `json:"manifests"`
	}
	if err := decode(raw, "image manifest", &doc); err != nil {
		return nil, err
	}
	switch {
	case doc.Manifests != nil:
		return nil, fault.New(ErrInvalid, "an index of images; a module names the manifest of one platform")
	case doc.SchemaVersion != 2:
		return nil, fault.New(ErrInvalid, "schemaVersion %d of the image manifest, want 2", doc.SchemaVersion)
	case doc.MediaType != "" && !isManifest(doc.MediaType):
		return nil, fault.New(ErrInvalid, "media type %.80q is no image manifest", doc.MediaType)
	case doc.ArtifactType != "" || !isConfig(doc.Config.MediaType):
		return nil, fault.New(ErrInvalid, "not an image but an artifact: its config is %.80q", doc.Config.MediaType)
	case len(doc.Layers) == 0 || len(doc.Layers) > MaxLayers:
		return nil, fault.New(ErrInvalid, "an image of %d layers, want 1 to %d", len(doc.Layers), MaxLayers)
	}
	config, err := doc.Config.read("the image's config")
	if err != nil {
		return nil, err
	}
	if config.Size > MaxDocument {
		return nil, fault.New(ErrInvalid, "an image config of %d bytes, at most %d", config.Size, MaxDocument)
	}
	m := &Manifest{Config: config}
	for i := range doc.Layers {
		d, err := doc.Layers[i].read("a layer")
		if err != nil {
			return nil, err
		}
		how, ok := compression(d.MediaType)
		if !ok {
			return nil, fault.New(ErrInvalid, "layer %d is %.80q; want tar, tar+gzip or tar+zstd", i, d.MediaType)
		}
		m.Layers = append(m.Layers, Layer{d, how})
	}
	return m, nil
}

// ParseConfig reads the config of an image with so many layers.
func ParseConfig(raw []byte, layers int) (*Config, error) {
	var doc struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		RootFS       struct {
			Type    string   `json:"type"`
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := decode(raw, "image config", &doc); err != nil {
		return nil, err
	}
	switch {
	case doc.RootFS.Type != "layers":
		return nil, fault.New(ErrInvalid, "rootfs.type is %.80q, want layers", doc.RootFS.Type)
	case len(doc.RootFS.DiffIDs) != layers:
		return nil, fault.New(ErrInvalid, "%d diff_ids for %d layers", len(doc.RootFS.DiffIDs), layers)
	case !platformForm.MatchString(doc.OS + "/" + doc.Architecture):
		return nil, fault.New(ErrInvalid, "the config's platform %.80q is not os/arch", doc.OS+"/"+doc.Architecture)
	}
	c := &Config{OS: doc.OS, Architecture: doc.Architecture}
	for _, s := range doc.RootFS.DiffIDs {
		h, err := ParseDigest(s)
		if err != nil {
			return nil, err
		}
		c.DiffIDs = append(c.DiffIDs, h)
	}
	return c, nil
}

// platformForm is that of ModuleRef.platform (RFC-MYTHOS-0006 §4).
var platformForm = regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*/[a-z0-9]+(_[a-z0-9]+)*$`)

// ParseIndex reads an index, as in index.json. What is neither an image nor an
// index (a signature, for one) and what says that it is for no platform (an
// attestation) is left out.
func ParseIndex(raw []byte) ([]Entry, error) {
	var doc struct {
		SchemaVersion int          `json:"schemaVersion"`
		Manifests     []descriptor `json:"manifests"`
	}
	if err := decode(raw, "image index", &doc); err != nil {
		return nil, err
	}
	if doc.SchemaVersion != 2 || len(doc.Manifests) > maxIndex {
		return nil, fault.New(ErrInvalid, "an index with schemaVersion %d and %d manifests, want 2 and at most %d", doc.SchemaVersion, len(doc.Manifests), maxIndex)
	}
	var out []Entry
	for i := range doc.Manifests {
		m := &doc.Manifests[i]
		if !isManifest(m.MediaType) && !isIndex(m.MediaType) {
			continue
		}
		d, err := m.read("an item of the index")
		if err != nil {
			return nil, err
		}
		e := Entry{Descriptor: d, Index: isIndex(m.MediaType)}
		if m.Platform != nil {
			e.Platform = m.Platform.OS + "/" + m.Platform.Architecture
		}
		if e.Platform != "unknown/unknown" {
			out = append(out, e)
		}
	}
	return out, nil
}

// ParseVersion checks the file oci-layout.
func ParseVersion(raw []byte) error {
	var doc struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := decode(raw, "file oci-layout", &doc); err != nil {
		return err
	}
	if !strings.HasPrefix(doc.Version, "1.") {
		return fault.New(ErrInvalid, "imageLayoutVersion %.80q, want 1.x", doc.Version)
	}
	return nil
}

const docker = "application/vnd.docker."

func isManifest(t string) bool {
	return t == MediaManifest || t == docker+"distribution.manifest.v2+json"
}

func isIndex(t string) bool {
	return t == MediaIndex || t == docker+"distribution.manifest.list.v2+json"
}

func isConfig(t string) bool {
	return t == MediaConfig || t == docker+"container.image.v1+json"
}

func compression(t string) (Compression, bool) {
	switch t {
	case MediaLayer, docker + "image.rootfs.diff.tar":
		return Plain, true
	case MediaLayer + "+gzip", docker + "image.rootfs.diff.tar.gzip":
		return Gzip, true
	case MediaLayer + "+zstd", docker + "image.rootfs.diff.tar.zstd":
		return Zstd, true
	}
	return Plain, false
}
