package registry_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote/registry"
)

// TestSlowDrip asks a registry that sends a space now and then and comes to no end:
// what is not an object has its time too, a refusal as well.
func TestSlowDrip(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusNotFound, http.StatusServiceUnavailable} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte{' '}) // who asked may have gone
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(10 * time.Millisecond):
				}
			}
		}))
		u, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		r := registry.Open(registry.Config{URL: u, Patience: 50 * time.Millisecond})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		id := cid.Sum(nil)
		for name, ask := range map[string]func() error{
			"attestations": func() (err error) {
				for _, err = range r.Attestations(ctx, id) {
				}
				return err
			},
			"resolve": func() error { _, err := r.Resolve(ctx, "demo", ""); return err },
			"has":     func() error { _, err := r.Has(ctx, []cid.Hash{id}); return err },
			"get":     func() error { _, err := r.Get(ctx, id, 0, -1); return err },
		} {
			if name == "get" && status == http.StatusOK {
				continue // an object: who reads it sees to its time
			}
			if err := ask(); fault.CodeOf(err) != cas.ErrUnavailable || !strings.Contains(err.Error(), "in time") {
				t.Errorf("%s, %d: %v", name, status, err)
			}
		}
		cancel()
		server.Close()
	}
}
