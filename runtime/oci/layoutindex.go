package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"slices"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/closure"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

// Tag makes the artifact of a package, all of whose objects the layout has, and
// lists it under a tag, in place of what had it. It returns the artifact's digest.
// One process at a time may do so.
func (l *Layout) Tag(ctx context.Context, get closure.Source, id cid.Hash, tag string) (cid.Hash, error) {
	raw, err := Package(ctx, get, id)
	if err != nil {
		return cid.Hash{}, err
	}
	d := descriptor(raw)
	d.ArtifactType, d.Annotations = TypePackage, map[string]string{v1.AnnotationRefName: tag}
	return cid.Sum(raw), l.enter(raw, d, func(x v1.Descriptor) bool { return x.Annotations[v1.AnnotationRefName] == tag })
}

// enter writes an image manifest and lists it, in place of what it replaces.
func (l *Layout) enter(raw []byte, d v1.Descriptor, replaces func(v1.Descriptor) bool) error {
	if err := l.begin(); err != nil {
		return err
	}
	if err := atomicfile.Write(l.blob(cid.Sum(raw)), raw, fileMode); err != nil {
		return fileError(string(d.Digest), err)
	}
	index, err := l.index()
	if err != nil {
		return err
	}
	index.Manifests = append(slices.DeleteFunc(index.Manifests, replaces), d)
	text, err := json.Marshal(index)
	if err != nil {
		return err
	}
	return fileError(l.dir, atomicfile.Write(filepath.Join(l.dir, v1.ImageIndexFile), text, fileMode))
}

// check refuses a folder that says it is no layout, or one of another version.
func (l *Layout) check() error {
	raw, err := readBounded(filepath.Join(l.dir, v1.ImageLayoutFile), maxIndex)
	if err != nil {
		return err
	}
	var head v1.ImageLayout
	if err := json.Unmarshal(raw, &head); err != nil || head.Version != v1.ImageLayoutVersion {
		return fault.New(ErrArtifact, "its file %s is not that of an image layout of version %s", v1.ImageLayoutFile, v1.ImageLayoutVersion).About(l.dir)
	}
	return nil
}

func (l *Layout) index() (v1.Index, error) {
	raw, err := readBounded(filepath.Join(l.dir, v1.ImageIndexFile), maxIndex)
	if errors.Is(err, cas.ErrNotFound) {
		raw, err = []byte("{}"), nil
	}
	if err != nil {
		return v1.Index{}, err
	}
	index, err := readIndex(raw)
	return index, aboutDir(err, l.dir)
}

// readIndex reads index.json; one that is written anew says what it is.
func readIndex(raw []byte) (v1.Index, error) {
	index := v1.Index{MediaType: v1.MediaTypeImageIndex}
	if err := json.Unmarshal(raw, &index); err != nil {
		return index, fault.New(ErrArtifact, "index.json: %w", err)
	}
	index.SchemaVersion = 2
	return index, nil
}

// listed is an image manifest that index.json lists.
type listed struct {
	raw    []byte
	digest cid.Hash
}

// images reads the image manifests for which want is true, each once.
func (l *Layout) images(ctx context.Context, want func(v1.Descriptor) bool) ([]listed, error) {
	index, err := l.index()
	if err != nil {
		return nil, err
	}
	if len(index.Manifests) > maxListed {
		return nil, fault.New(ErrTooLarge, "index.json lists %d artifacts, at most %d", len(index.Manifests), maxListed).About(l.dir)
	}
	var list []listed
	for _, d := range index.Manifests {
		if d.MediaType != v1.MediaTypeImageManifest || !want(d) {
			continue
		}
		id, err := cidOf(d.Digest)
		if err != nil {
			return nil, fault.New(ErrArtifact, "index.json names %.100q", d.Digest).About(l.dir)
		}
		if slices.ContainsFunc(list, func(x listed) bool { return x.digest == id }) {
			continue
		}
		raw, err := remote.Fetch(ctx, l, id, maxImageManifest)
		if err != nil {
			return nil, err
		}
		list = append(list, listed{raw, id})
	}
	return list, nil
}

// Resolve returns the manifest that a tag or the digest of an artifact stands for,
// and the artifact's own digest. Without a name it is the only package that the
// layout lists.
func (l *Layout) Resolve(ctx context.Context, name string) (id, artifact cid.Hash, err error) {
	if err := l.check(); err != nil {
		return id, artifact, err
	}
	list, err := l.images(ctx, func(d v1.Descriptor) bool {
		return name == "" || name == d.Annotations[v1.AnnotationRefName] || name == string(d.Digest)
	})
	if err != nil {
		return id, artifact, err
	}
	if len(list) > 1 {
		list = slices.DeleteFunc(list, func(x listed) bool {
			_, err := ManifestOf(x.raw)
			return err != nil
		})
	}
	switch {
	case len(list) == 0 && name == "":
		return id, artifact, fault.New(ErrArtifact, "the layout lists no package").About(l.dir)
	case len(list) == 0:
		return id, artifact, fault.New(cas.ErrNotFound, "the layout lists no artifact %.200q", name).About(l.dir)
	case len(list) > 1:
		return id, artifact, fault.New(ErrReference, "the layout lists %d packages; name one as DIR:TAG or DIR@sha256:HEX", len(list)).About(l.dir)
	}
	if id, err = ManifestOf(list[0].raw); err != nil {
		return id, artifact, aboutDir(err, l.dir)
	}
	return id, list[0].digest, nil
}

// aboutDir names the layout's folder, unless an error names something else.
func aboutDir(err error, dir string) error {
	var e *fault.Error
	if errors.As(err, &e) && e.Subject == "" {
		return e.About(dir)
	}
	return err
}

// Attest adds an attestation of a package to the artifact that has a digest, as one
// that refers to it. One process at a time may do so.
func (l *Layout) Attest(ctx context.Context, artifact cid.Hash, raw []byte) error {
	subject, err := remote.Fetch(ctx, l, artifact, maxImageManifest)
	if err != nil {
		return err
	}
	image, err := attestation(raw, descriptor(subject))
	if err != nil {
		return err
	}
	for _, b := range [][]byte{empty, raw} {
		v := bucket.Value{Size: int64(len(b)), Sum: cid.Sum(b), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
		if err := l.Put(ctx, v); err != nil {
			return err
		}
	}
	d := descriptor(image)
	d.ArtifactType = TypeAttestation
	return l.enter(image, d, func(x v1.Descriptor) bool { return x.Digest == d.Digest })
}

// Attestations returns the attestations that refer to the artifact of a digest.
func (l *Layout) Attestations(ctx context.Context, artifact cid.Hash) ([]cid.Hash, error) {
	list, err := l.images(ctx, func(d v1.Descriptor) bool { return d.ArtifactType == "" || d.ArtifactType == TypeAttestation })
	if err != nil {
		return nil, err
	}
	var ids []cid.Hash
	for _, x := range list {
		found, subject, err := attestationsOf(x.raw)
		if err == nil && subject == artifact {
			ids = append(ids, found...)
		}
	}
	slices.SortFunc(ids, cid.Hash.Compare)
	return slices.Compact(ids), nil
}
