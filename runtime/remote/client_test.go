package remote_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/registry"
)

const short = 300 * time.Millisecond

// impatient asks the registry at a URL with little patience.
func impatient(t *testing.T, address string) *registry.Remote {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	r := registry.Open(registry.Config{URL: u, Client: remote.NewClient(short)})
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// gaveUp checks the error of a remote that was silent.
func gaveUp(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, cas.ErrUnavailable) || !strings.Contains(err.Error(), "nothing came for "+short.String()) {
		t.Errorf("got %v", err)
	}
}

// TestSilentRemote has remotes that take connections and say nothing: the first
// silence ends the request, which is not tried again.
func TestSilentRemote(t *testing.T) {
	for _, scheme := range []string{"http://", "https://"} {
		t.Run(scheme, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var taken atomic.Int32
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					taken.Add(1)
					defer c.Close()
				}
			}()
			_, err = impatient(t, scheme+l.Addr().String()).Head(t.Context(), cid.Sum(nil))
			gaveUp(t, err)
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if <-ended; taken.Load() != 1 {
				t.Errorf("%d connections for one request", taken.Load())
			}
		})
	}
}

// TestSilentOnTheWay has a registry that answers once, and then falls silent: before
// its next answer, on a connection that was used before, or in the middle of one.
func TestSilentOnTheWay(t *testing.T) {
	data := []byte("object")
	for name, begin := range map[string]int{"before": 0, "within": 3} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "6")
				if asked.Add(1) == 1 {
					_, _ = w.Write(data) // who asked may have gone
					return
				}
				if begin > 0 {
					_, _ = w.Write(data[:begin])
					_ = http.NewResponseController(w).Flush()
				}
				<-r.Context().Done()
			}))
			defer s.Close()
			r := impatient(t, s.URL)
			for first := range 2 {
				got, err := whole(t, r)
				if first == 0 && (err != nil || string(got) != "object") {
					t.Fatalf("%q, %v", got, err)
				}
				if first == 1 {
					gaveUp(t, err)
				}
			}
			if n := asked.Load(); n != 2 {
				t.Errorf("%d requests, want 2", n)
			}
		})
	}
}

// whole reads an object.
func whole(t *testing.T, r remote.Remote) ([]byte, error) {
	in, err := r.Get(t.Context(), cid.Sum([]byte("object")), 0, -1)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(in)
}

// TestPatienceOfOthers: a context that ends is no silence of the remote.
func TestPatienceOfOthers(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := impatient(t, s.URL).Head(ctx, cid.Sum(nil)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestLongUpload sends for far longer than a remote may be silent, which it is until
// it has everything.
func TestLongUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := remote.Moving(near, time.Minute)
		defer c.Close()
		go func() {
			defer far.Close()
			for range 10 {
				time.Sleep(50 * time.Second)
				if _, err := far.Read(make([]byte, 1)); err != nil {
					t.Error(err)
				}
			}
			_, _ = far.Write([]byte("thanks")) // or the other end says so
		}()
		go func() {
			if _, err := io.WriteString(c, "a"); err != nil {
				t.Error(err)
			}
			for range 9 {
				if _, err := io.WriteString(c, "b"); err != nil {
					t.Error(err)
				}
			}
		}()
		got := make([]byte, 6)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "thanks" {
			t.Errorf("%q, %v", got, err)
		}
	})
}
