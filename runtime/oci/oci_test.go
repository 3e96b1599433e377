package oci_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/oci"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
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

// TestNoCredentials asks a registry that wants a user and a password without any.
func TestNoCredentials(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer s.Close()
	r, err := oci.OpenRegistry(oci.Config{Repository: strings.TrimPrefix(s.URL, "http://") + "/a", PlainHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Head(t.Context(), cid.Sum(nil)); fault.CodeOf(err) != bucket.ErrDenied {
		t.Errorf("got %v, want %s", err, bucket.ErrDenied)
	}
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

// TestLayoutAttestations lets attestations refer to artifacts in a layout, and finds
// each by its own artifact alone.
func TestLayoutAttestations(t *testing.T) {
	l := oci.OpenLayout(t.TempDir())
	s := memory.New(memory.Options{})
	id := closuretest.Put(t, s)
	if _, err := transfer.Push(t.Context(), s, transfer.Named{Name: "layout", Remote: l}, id, transfer.Options{}); err != nil {
		t.Fatal(err)
	}
	artifact, err := l.Tag(t.Context(), s.Get, id, "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	a := receipt.Attestation{SubjectHash: id, ClaimType: receipt.ContractPass, Result: 1, TimeObserved: 1}
	raw, _, err := sig.Sign(&a, remotetest.Key())
	if err == nil {
		err = errors.Join(l.Attest(t.Context(), artifact, raw), l.Attest(t.Context(), artifact, raw))
	}
	if err != nil {
		t.Fatal(err)
	}
	if got, err := l.Attestations(t.Context(), artifact); err != nil || !slices.Equal(got, []cid.Hash{cid.Sum(raw)}) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := l.Attestations(t.Context(), id); err != nil || len(got) != 0 {
		t.Errorf("of another artifact: %v, %v", got, err)
	}
	// It is listed beside the package, which is still the only one.
	if got, at, err := l.Resolve(t.Context(), ""); err != nil || got != id || at != artifact {
		t.Errorf("%v, %v, %v", got, at, err)
	}
	if err := l.Attest(t.Context(), cid.Sum(nil), raw); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("of what is not there: %v", err)
	}
}

// TestBadLayouts resolves in layouts that others wrote.
func TestBadLayouts(t *testing.T) {
	raw := []byte(`{"schemaVersion":2,"artifactType":"` + oci.TypePackage + `","config":{"mediaType":"` + oci.TypeManifest + `","digest":"` + cid.Sum(nil).String() + `","size":0}}`)
	digest := cid.Sum(raw)
	entry := func(media, digest string) string {
		return `{"mediaType":"` + media + `","digest":"` + digest + `","size":1}`
	}
	list := func(entries ...string) string {
		return `{"schemaVersion":2,"manifests":[` + strings.Join(entries, ",") + `]}`
	}
	good := entry(v1.MediaTypeImageManifest, digest.String())
	for name, c := range map[string]struct {
		head, index string
		blob        []byte
		want        error
	}{
		"good":             {`{"imageLayoutVersion":"1.0.0"}`, list(good), raw, nil},
		"listed twice":     {`{"imageLayoutVersion":"1.0.0"}`, list(good, good), raw, nil},
		"beside an index":  {`{"imageLayoutVersion":"1.0.0"}`, list(entry(v1.MediaTypeImageIndex, digest.String()), good), raw, nil},
		"no version":       {`{}`, list(good), raw, oci.ErrArtifact},
		"no JSON":          {`x`, list(good), raw, oci.ErrArtifact},
		"other version":    {`{"imageLayoutVersion":"2.0.0"}`, list(good), raw, oci.ErrArtifact},
		"nothing listed":   {`{"imageLayoutVersion":"1.0.0"}`, list(), raw, oci.ErrArtifact},
		"no index":         {`{"imageLayoutVersion":"1.0.0"}`, "", raw, oci.ErrArtifact},
		"index of text":    {`{"imageLayoutVersion":"1.0.0"}`, `"x"`, raw, oci.ErrArtifact},
		"a path as digest": {`{"imageLayoutVersion":"1.0.0"}`, list(entry(v1.MediaTypeImageManifest, "sha256:../../x")), raw, oci.ErrArtifact},
		"sha512":           {`{"imageLayoutVersion":"1.0.0"}`, list(entry(v1.MediaTypeImageManifest, "sha512:00")), raw, oci.ErrArtifact},
		"blob missing":     {`{"imageLayoutVersion":"1.0.0"}`, list(good), nil, cas.ErrNotFound},
		"other blob":       {`{"imageLayoutVersion":"1.0.0"}`, list(good), []byte("{}"), remote.ErrLies},
		"blob too large":   {`{"imageLayoutVersion":"1.0.0"}`, list(good), make([]byte, 4<<20+1), cas.ErrTooLarge},
		"index too large":  {`{"imageLayoutVersion":"1.0.0"}`, strings.Repeat(" ", 4<<20) + list(good), raw, cas.ErrTooLarge},
		"too many":         {`{"imageLayoutVersion":"1.0.0"}`, list(slices.Repeat([]string{`{}`}, 10_001)...), raw, oci.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			blobs := filepath.Join(dir, "blobs", "sha256")
			err := os.MkdirAll(blobs, 0o755)
			for path, b := range map[string][]byte{
				filepath.Join(dir, "oci-layout"): []byte(c.head), filepath.Join(dir, "index.json"): []byte(c.index), filepath.Join(blobs, digest.Hex()): c.blob,
			} {
				if len(b) > 0 {
					err = errors.Join(err, os.WriteFile(path, b, 0o600))
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			id, _, err := oci.OpenLayout(dir).Resolve(t.Context(), "")
			if !errors.Is(err, c.want) || c.want == nil && id != cid.Sum(nil) {
				t.Errorf("%v, %v; want %v", id, err, c.want)
			}
		})
	}
}
