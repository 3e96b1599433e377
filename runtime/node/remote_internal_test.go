package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/closure/closuretest"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/oci"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
	"github.com/mythos-run/mythos/runtime/remote/bucket/folder"
	"github.com/mythos-run/mythos/runtime/remote/registry"
	"github.com/mythos-run/mythos/runtime/transfer"
)

// published returns a folder in which a package is, and its manifest.
func published(t *testing.T) (string, *remote.InBucket, cid.Hash) {
	t.Helper()
	dir, s := t.TempDir(), memory.New(memory.Options{})
	r, id := remote.Over(folder.Open(dir)), closuretest.Put(t, s)
	_, err := transfer.Push(t.Context(), s, transfer.Named{Name: "folder", Remote: r}, id, transfer.Options{})
	if err == nil {
		err = r.Publish(t.Context(), id, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, r, id
}

// attested adds attestations of a package to a remote, and returns their CIDs.
func attested(t *testing.T, r *remote.InBucket, id cid.Hash, count int) (list []cid.Hash) {
	t.Helper()
	raw, err := remote.Fetch(t.Context(), r, id, manifest.MaxBytes)
	if err != nil {
		t.Fatal(err)
	}
	u, err := manifest.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		a := receipt.Attestation{SubjectHash: u.PackageID(), ClaimType: receipt.ContractPass, Result: 1, TimeObserved: int64(i + 1)}
		raw, _, err := sig.Sign(&a, sig.NewKey([32]byte{3}, ""))
		if err != nil {
			t.Fatal(err)
		}
		v := bucket.Value{Size: int64(len(raw)), Sum: cid.Sum(raw), Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(raw))), nil }}
		if err := errors.Join(r.Put(t.Context(), v), r.Attest(t.Context(), v.Sum)); err != nil {
			t.Fatal(err)
		}
		list = append(list, v.Sum)
	}
	return list
}

// drip answers with a space now and then, and comes to no end.
func drip(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		_, _ = w.Write([]byte{' '}) // who asked may have gone
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TestDrippingRemote pulls by name from a registry that comes to no end and a folder:
// the pull goes on, and tells of the first.
func TestDrippingRemote(t *testing.T) {
	n, _, _ := aged(t)
	dir, r, id := published(t)
	attested(t, r, id, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/objects/") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		drip(w, r)
	}))
	defer server.Close()
	var told []string
	o := PullOptions{From: []string{server.URL, dir}, Transfer: transfer.Options{
		Patience: time.Second, OnFailure: func(name string, err error) { told = append(told, fmt.Sprint(name, " ", err)) },
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	p, err := n.Pull(ctx, "demo@1.0.0", o)
	if err != nil || p.Manifest != id || p.Attestations != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	if len(told) != 2 || slices.ContainsFunc(told, func(s string) bool { return !strings.HasPrefix(s, server.URL) || !strings.Contains(s, "in time") }) {
		t.Errorf("told of %q", told)
	}
}

// TestAttestationGone pulls from a folder that lists an attestation which it has not.
func TestAttestationGone(t *testing.T) {
	n, _, _ := aged(t)
	dir, r, id := published(t)
	list := attested(t, r, id, 3)
	slices.SortFunc(list, cid.Hash.Compare)
	if err := r.Delete(t.Context(), list[0]); err != nil {
		t.Fatal(err)
	}
	if p, err := n.Pull(t.Context(), id.String(), PullOptions{From: []string{dir}}); err != nil || p.Attestations != 2 {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestDrippingMirror reads an object for a repair that comes to no end.
func TestDrippingMirror(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "30000")
		if r.Method == http.MethodGet {
			drip(w, r)
		}
	}))
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	rc, size, err := remoteSource{registry.Open(registry.Config{URL: u}), 200 * time.Millisecond}.Open(ctx, cid.Sum(nil))
	if err != nil || size != 30000 {
		t.Fatalf("%d, %v", size, err)
	}
	_, err = io.ReadAll(rc)
	if closed := rc.Close(); err == nil || !strings.Contains(err.Error(), "in time") || closed != nil {
		t.Errorf("%v; %v", err, closed)
	}
}

// overtaken is the repository of an OCI registry that has the objects of a store, and
// in which somebody else moves every tag at once.
func overtaken(s cas.Store, image []byte) http.HandlerFunc {
	var tagged atomic.Bool
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		raw := image
		switch {
		case r.Method == http.MethodPut:
			tagged.Store(true)
			w.WriteHeader(http.StatusCreated)
			return
		case strings.Contains(r.URL.Path, "/blobs/"):
			id, err := cid.Parse(name)
			if err == nil {
				raw, err = s.Get(r.Context(), id, 8<<20)
			}
			if err != nil {
				w.WriteHeader(http.StatusNotFound)
				return
			}
		case !tagged.Load():
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Docker-Content-Digest", cid.Sum(raw).String())
		w.Header().Set("Content-Length", fmt.Sprint(len(raw)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(raw) // who asked may have gone
		}
	}
}

// TestTagOvertaken gives the tag of a version while another publisher does.
func TestTagOvertaken(t *testing.T) {
	s := memory.New(memory.Options{})
	id, other := closuretest.Put(t, s), cid.Sum([]byte("other"))
	image := `{"schemaVersion":2,"artifactType":"` + oci.TypePackage + `","config":{"mediaType":"` + oci.TypeManifest + `","digest":"` + other.String() + `","size":5}}`
	server := httptest.NewServer(overtaken(s, []byte(image)))
	defer server.Close()
	n, _, _ := aged(t)
	r, err := n.OpenRemote(t.Context(), "oci://"+strings.TrimPrefix(server.URL, "http://")+"/demo", RemoteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.tagOCI(t.Context(), id, "1.0.0"); !errors.Is(err, remote.ErrTaken) || !strings.Contains(err.Error(), other.String()) {
		t.Errorf("%v", err)
	}
}
