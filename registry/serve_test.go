package registry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/registry"
	"github.com/mythos-run/mythos/registry/index/sqlite"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket/folder"
)

// TestDrain ends a service while a request runs: it is finished, and /readyz says
// that no other should come.
func TestDrain(t *testing.T) {
	x, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	asked := announcing{remote.Over(folder.Open(t.TempDir())), make(chan struct{}, 1)}
	s := registry.New(registry.Options{
		Objects: asked, Index: x, Clock: time.Now, Access: &registry.Access{Open: true},
	})
	l, err := registry.Listen(t.Context(), "127.0.0.1:0", true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, registry.ServeOptions{Listener: l}) }()
	base := "http://" + l.Addr().String()

	body, writer := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "PUT", base+"/objects/"+cid.Sum([]byte("slow one")).String(), body)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = 8
	answered := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(r)
		if err == nil && resp.StatusCode != http.StatusCreated {
			err = errors.New(resp.Status)
		}
		answered <- err
	}()
	if _, err := io.WriteString(writer, "slow"); err != nil {
		t.Fatal(err)
	}
	<-asked.heads
	stop()
	if _, err := io.WriteString(writer, " one"); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-answered, <-ended); err != nil {
		t.Error(err)
	}
	if _, err := http.Get(base + "/healthz"); err == nil {
		t.Error("it still listens")
	}
}

// announcing tells when an object is looked for.
type announcing struct {
	remote.Remote
	heads chan struct{}
}

func (a announcing) Head(ctx context.Context, id cid.Hash) (int64, error) {
	a.heads <- struct{}{}
	return a.Remote.Head(ctx, id)
}

func TestListen(t *testing.T) {
	for address, open := range map[string]bool{"0.0.0.0:0": true, "nowhere.invalid:1": false, "127.0.0.1:99999": false} {
		if l, err := registry.Listen(t.Context(), address, open); !errors.Is(err, registry.ErrListen) {
			t.Errorf("%s: %v, %v", address, l, err)
		}
	}
}

func TestReadyWhileDraining(t *testing.T) {
	x, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := registry.New(registry.Options{Objects: remote.Over(folder.Open(t.TempDir())), Index: x, Clock: time.Now})
	ask := func() (int, string) {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/readyz", nil))
		return w.Code, w.Body.String()
	}
	if status, body := ask(); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	s.Drain()
	if status, body := ask(); status != 503 || !strings.Contains(body, "registry_draining") {
		t.Errorf("%d %s", status, body)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
}
