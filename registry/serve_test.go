package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mythos-run/mythos/registry"
	"github.com/mythos-run/mythos/registry/index/sqlite"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket/buckettest"
	"github.com/mythos-run/mythos/runtime/remote/bucket/folder"
)

// listen serves at an address until stop is called; ended has what Serve returned.
func listen(t *testing.T, s *registry.Service) (address string, stop func(), ended chan error) {
	t.Helper()
	l, err := registry.Listen(t.Context(), "127.0.0.1:0", true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	go func() { ended <- s.Serve(ctx, registry.ServeOptions{Listener: l}) }()
	return l.Addr().String(), stop, ended
}

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
	address, stop, ended := listen(t, s)
	base := "http://" + address

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

// TestDrip has clients that send so little at a time that each byte is progress:
// they are given up nevertheless, and one that is slow and steady is not.
func TestDrip(t *testing.T) {
	_, objects := inStore(t)
	x, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	const patience = 300 * time.Millisecond
	s := registry.New(registry.Options{
		Objects: objects, Index: x, Clock: time.Now, Access: open(), MaxRequests: 1, Patience: patience,
	})
	address, stop, ended := listen(t, s)

	steady := buckettest.Random(1, 320_000)
	path := "/objects/" + cid.Sum(steady).String()
	send := func(head string, parts ...string) (answer string, took time.Duration) {
		began := time.Now()
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() {
			for _, part := range append([]string{head}, parts...) {
				if _, err := io.WriteString(conn, part); err != nil {
					return
				}
				time.Sleep(patience / 3)
			}
		}()
		if err := conn.SetReadDeadline(began.Add(30 * patience)); err != nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(conn) // a connection that is given up may be reset
		return string(raw), time.Since(began)
	}
	parts := make([]string, 10)
	for i := range parts {
		parts[i] = string(steady[i*32_000 : (i+1)*32_000])
	}
	head := fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", path, len(steady))
	if answer, took := send(head, parts...); !strings.HasPrefix(answer, "HTTP/1.1 201") || took < 3*patience {
		t.Errorf("slow and steady: %.200q after %v", answer, took)
	}
	drops := make([]string, 40)
	for i := range drops {
		drops[i] = " "
	}
	for _, line := range []string{"POST /has", "PUT /objects/" + cid.Sum(nil).String(), "PUT /names/demo/1.0.0", "GET " + path} {
		head := line + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n"
		if _, took := send(head, drops...); took > 10*patience {
			t.Errorf("%s: given up after %v", line, took)
		}
		if status, body := ask(t, "HEAD", "http://"+address+path, ""); status != http.StatusOK {
			t.Errorf("%s: afterwards %d %s", line, status, body)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestReadyIsKept: who asks often whether the service can serve does not make its
// storage work as often.
func TestReadyIsKept(t *testing.T) {
	x, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	asked := announcing{remote.Over(folder.Open(t.TempDir())), make(chan struct{}, 100)}
	now := time.Unix(1_700_000_000, 0)
	s := registry.New(registry.Options{Objects: asked, Index: x, Clock: func() time.Time { return now }})
	for want := 1; want <= 3; want++ {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				w := httptest.NewRecorder()
				s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/readyz", nil))
				if w.Code != http.StatusOK {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			})
		}
		all.Wait()
		if got := len(asked.heads); got != want {
			t.Errorf("the storage was asked %d times in %d seconds", got, want)
		}
		now = now.Add(time.Second)
	}

	// Who goes away does not spoil the answer of the others.
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, ctx := range []context.Context{gone, t.Context()} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/readyz", nil))
		if ctx.Err() == nil && w.Code != http.StatusOK {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}
