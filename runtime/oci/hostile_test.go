package oci_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/oci"
)

// serve returns the repository "a" of a registry that does what a test wants.
func serve(t *testing.T, h http.HandlerFunc) *oci.Registry {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	r, err := oci.OpenRegistry(oci.Config{Repository: strings.TrimPrefix(s.URL, "http://") + "/a", PlainHTTP: true, Patience: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// packageImage is an image manifest of a package.
func packageImage(id cid.Hash) []byte {
	return []byte(`{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageManifest + `","artifactType":"` + oci.TypePackage + `","config":{"mediaType":"` + oci.TypeManifest + `","digest":"` + id.String() + `","size":1}}`)
}

// announce sends the headers of an image manifest.
func announce(w http.ResponseWriter, raw []byte) {
	w.Header().Set("Content-Type", v1.MediaTypeImageManifest)
	w.Header().Set("Docker-Content-Digest", digest.FromBytes(raw).String())
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
}

// TestCutOffImage has a registry that breaks off in the middle of an image manifest.
func TestCutOffImage(t *testing.T) {
	id := cid.Sum([]byte("manifest"))
	raw := packageImage(id)
	var asked atomic.Int64
	r := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		announce(w, raw)
		if asked.Add(1) == 1 {
			_, _ = w.Write(raw[:10])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(raw) // who asked may have gone
	})
	if got, _, err := r.Resolve(t.Context(), "1.0.0"); err != nil || got != id || asked.Load() != 2 {
		t.Errorf("%v, %v after %d requests", got, err, asked.Load())
	}
}

// TestSlowImage has a registry that sends an image manifest byte for byte.
func TestSlowImage(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw := packageImage(cid.Sum(nil))
		announce(w, raw)
		for _, c := range raw {
			_, _ = w.Write([]byte{c})
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}))
	defer s.Close()
	r, err := oci.OpenRegistry(oci.Config{Repository: strings.TrimPrefix(s.URL, "http://") + "/a", PlainHTTP: true, Patience: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Resolve(t.Context(), "1.0.0"); fault.CodeOf(err) != cas.ErrUnavailable || !strings.Contains(err.Error(), "in time") {
		t.Errorf("%v", err)
	}
}

// TestRetryAfter has a registry that asks to wait for longer than the caller does: it
// is asked once.
func TestRetryAfter(t *testing.T) {
	var asked atomic.Int64
	r := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := r.Head(ctx, cid.Sum(nil)); err == nil || asked.Load() != 1 {
		t.Errorf("%d requests, %v", asked.Load(), err)
	}
}

// TestReferrers lists what refers to an artifact in a registry whose list has no end,
// and of which only one image is there.
func TestReferrers(t *testing.T) {
	artifact, want := cid.Sum([]byte("artifact")), cid.Sum([]byte("attestation"))
	image, err := json.Marshal(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, ArtifactType: oci.TypeAttestation,
		Config: v1.DescriptorEmptyJSON, Subject: &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.Digest(artifact.String()), Size: 1},
		Layers: []v1.Descriptor{{MediaType: oci.TypeAttestation, Digest: digest.Digest(want.String()), Size: 11}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var pages, images atomic.Int64
	r := serve(t, func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		switch {
		case strings.Contains(r.URL.Path, "/referrers/"):
			page := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
			n := pages.Add(1)
			for i := range 100 {
				d := digest.FromString(fmt.Sprint(n, " ", i))
				if i == 50 && n == 1 {
					d = digest.FromBytes(image)
				}
				page.Manifests = append(page.Manifests, v1.Descriptor{MediaType: v1.MediaTypeImageManifest, ArtifactType: oci.TypeAttestation, Digest: d, Size: 1})
			}
			w.Header().Set("Content-Type", v1.MediaTypeImageIndex)
			w.Header().Set("Link", fmt.Sprintf(`<%s?n=%d>; rel="next"`, r.URL.Path, n))
			_ = json.NewEncoder(w).Encode(page)
		case name == digest.FromBytes(image).String():
			announce(w, image)
			_, _ = w.Write(image)
		default:
			images.Add(1)
			w.WriteHeader(http.StatusNotFound)
		}
	})
	got, err := r.Attestations(t.Context(), artifact)
	if err != nil || !slices.Equal(got, []cid.Hash{want}) {
		t.Errorf("%v, %v", got, err)
	}
	if pages.Load() > 20 || images.Load() > 1000 {
		t.Errorf("%d pages and %d images were read", pages.Load(), images.Load())
	}
}
