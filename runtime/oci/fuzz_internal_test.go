package oci

import (
	"errors"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// FuzzImage reads image manifests and indexes that anybody may have written.
func FuzzImage(f *testing.F) {
	for _, seed := range []string{
		`{"artifactType":"` + TypePackage + `","config":{"digest":"` + cid.Sum(nil).String() + `"}}`,
		`{"artifactType":"` + TypeAttestation + `","subject":{"digest":"` + cid.Sum(nil).String() + `"},"layers":[{"digest":"x"}]}`,
		`{"manifests":[{"mediaType":"` + v1.MediaTypeImageManifest + `","digest":"sha256:00"}]}`, `{"manifests":null}`, `[]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		id, err := ManifestOf(raw)
		if err != nil && !errors.Is(err, ErrArtifact) || err == nil && !reads(raw, id) {
			t.Errorf("%v, %v", id, err)
		}
		ids, subject, err := attestationsOf(raw)
		if err != nil && !errors.Is(err, ErrArtifact) || err == nil && subject.IsZero() && len(ids) == 0 {
			t.Errorf("%v, %v, %v", ids, subject, err)
		}
		if _, err := readIndex(raw); err != nil && !errors.Is(err, ErrArtifact) {
			t.Errorf("%v", err)
		}
	})
}

// reads reports whether an image manifest has the hex digits of a CID.
func reads(raw []byte, id cid.Hash) bool {
	again, err := ManifestOf(raw)
	return err == nil && again == id && digestOf(id).Validate() == nil
}
