package oci_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/closure"
	"github.com/mythos-run/mythos/runtime/closure/closuretest"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/oci"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/remotetest"
	"github.com/mythos-run/mythos/runtime/transfer"
)

// repository returns a new repository of the OCI registry of MYTHOS_TEST_OCI,
// HOST:PORT without TLS.
func repository(t *testing.T) *oci.Registry {
	t.Helper()
	host := os.Getenv("MYTHOS_TEST_OCI")
	if host == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("MYTHOS_TEST_OCI is not set")
		}
		t.Skip("MYTHOS_TEST_OCI is not set: no OCI registry to try")
	}
	r, err := oci.OpenRegistry(oci.Config{Repository: fmt.Sprintf("%s/test/r%d", host, time.Now().UnixNano()), PlainHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRegistryRemote(t *testing.T) {
	remotetest.Run(t, func(t *testing.T) remote.Remote { return repository(t) })
}

func TestLayoutRemote(t *testing.T) {
	remotetest.Run(t, func(t *testing.T) remote.Remote { return oci.OpenLayout(t.TempDir()) })
}

// place is where artifacts are.
type place interface {
	remote.Remote
	Tag(ctx context.Context, get closure.Source, id cid.Hash, tag string) (cid.Hash, error)
	Resolve(ctx context.Context, name string) (id, artifact cid.Hash, err error)
}

// TestThereAndBack pushes a package, resolves it by tag and by digest, and pulls
// it.
func TestThereAndBack(t *testing.T) {
	for name, open := range map[string]func(*testing.T) place{
		"registry": func(t *testing.T) place { return repository(t) },
		"layout":   func(t *testing.T) place { return oci.OpenLayout(t.TempDir()) },
	} {
		t.Run(name, func(t *testing.T) {
			to := open(t)
			s := memory.New(memory.Options{})
			id := closuretest.Put(t, s)
			if _, err := transfer.Push(t.Context(), s, transfer.Named{Name: name, Remote: to}, id, transfer.Options{}); err != nil {
				t.Fatal(err)
			}
			artifact, err := to.Tag(t.Context(), s.Get, id, "1.0.0")
			if err != nil {
				t.Fatal(err)
			}
			if again, err := to.Tag(t.Context(), s.Get, id, "1.0.0"); err != nil || again != artifact {
				t.Errorf("tagged again: %v, %v", again, err)
			}
			for _, ref := range []string{"1.0.0", artifact.String()} {
				if got, a, err := to.Resolve(t.Context(), ref); err != nil || got != id || a != artifact {
					t.Errorf("%s: %v, %v, %v", ref, got, a, err)
				}
			}
			if _, _, err := to.Resolve(t.Context(), "2.0.0"); !errors.Is(err, cas.ErrNotFound) {
				t.Errorf("no such tag: %v", err)
			}
			back := memory.New(memory.Options{})
			if _, err := transfer.Pull(t.Context(), []transfer.Named{{Name: name, Remote: to}}, back, id, transfer.Options{}); err != nil {
				t.Fatal(err)
			}
			if err := closure.Walk(t.Context(), back.Get, id, func(o closure.Object) error {
				_, err := back.Get(t.Context(), o.CID, 8<<20)
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAttestations(t *testing.T) {
	r := repository(t)
	s := memory.New(memory.Options{})
	id := closuretest.Put(t, s)
	if _, err := transfer.Push(t.Context(), s, transfer.Named{Name: "registry", Remote: r}, id, transfer.Options{}); err != nil {
		t.Fatal(err)
	}
	artifact, err := r.Tag(t.Context(), s.Get, id, "latest")
	if err != nil {
		t.Fatal(err)
	}
	var want []cid.Hash
	for i := range 3 {
		a := receipt.Attestation{SubjectHash: id, ClaimType: receipt.ContractPass, Result: 1, TimeObserved: int64(i)}
		raw, _, err := sig.Sign(&a, remotetest.Key())
		if err == nil {
			err = errors.Join(r.Attest(t.Context(), artifact, raw), r.Attest(t.Context(), artifact, raw))
		}
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, cid.Sum(raw))
		if got, err := remote.Fetch(t.Context(), r, cid.Sum(raw), remote.MaxAttestation); err != nil || !slices.Equal(got, raw) {
			t.Errorf("attestation %d: %v", i, err)
		}
	}
	slices.SortFunc(want, cid.Hash.Compare)
	got, err := r.Attestations(t.Context(), artifact)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

// TestPackage holds the form of an artifact.
func TestPackage(t *testing.T) {
	s := memory.New(memory.Options{})
	id := closuretest.Put(t, s)
	raw, err := oci.Package(t.Context(), s.Get, id)
	if err != nil {
		t.Fatal(err)
	}
	var image v1.Manifest
	if err := json.Unmarshal(raw, &image); err != nil {
		t.Fatal(err)
	}
	if image.ArtifactType != oci.TypePackage || image.Config.MediaType != oci.TypeManifest || string(image.Config.Digest) != id.String() || len(image.Layers) != 9 {
		t.Errorf("%s", raw)
	}
	if !slices.IsSortedFunc(image.Layers, func(a, b v1.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) }) {
		t.Error("layers do not ascend")
	}
	if got, err := oci.ManifestOf(raw); err != nil || got != id {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{
		"", "[]", "{}", `{"artifactType":"application/vnd.other"}`, `{"artifactType":"` + oci.TypePackage + `"}`,
		`{"artifactType":"` + oci.TypePackage + `","config":{"digest":"sha512:00"}}`,
	} {
		if _, err := oci.ManifestOf([]byte(bad)); !errors.Is(err, oci.ErrArtifact) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestReferences(t *testing.T) {
	for text, want := range map[string]oci.Reference{
		"oci://localhost:5000/demo/echo:1.0.0": {Repository: "localhost:5000/demo/echo", Name: "1.0.0"},
		"registry.example/demo":                {Repository: "registry.example/demo"},
		"oci://h/a@" + cid.Sum(nil).String():   {Repository: "h/a", Name: cid.Sum(nil).String()},
	} {
		if got, err := oci.ParseReference(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "oci://", "oci://host", "host/UPPER:1", "host/a:b:c", "https://host/a"} {
		if got, err := oci.ParseReference(text); !errors.Is(err, oci.ErrReference) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}
