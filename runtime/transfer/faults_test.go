package transfer_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/registry"
	"github.com/mythos-run/mythos/runtime/transfer"
)

// TestSlowDrip pulls from a server that keeps its connections alive and sends next to
// nothing: an object has its time, and then the pull goes on elsewhere or ends.
func TestSlowDrip(t *testing.T) {
	_, good, id := world(t)
	small := cid.Sum([]byte("small")) // of a size that has no time but the patience
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		_, _ = w.Write([]byte{'s'}) // who asked may have gone
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	slow := registry.Open(registry.Config{URL: u})
	defer slow.Close()
	drip := transfer.Named{Name: "drip", Remote: &detour{good.Remote, small, slow}}
	o := transfer.Options{Patience: 50 * time.Millisecond}
	to := empty()
	if _, err := transfer.Pull(t.Context(), []transfer.Named{drip}, to, id, o); !errors.Is(err, cas.ErrUnavailable) || !strings.Contains(err.Error(), "did not come in time") {
		t.Errorf("alone: %v", err)
	}
	var told []string
	o.Patience, o.OnFailure = time.Second, func(name string, _ error) { told = append(told, name) }
	if _, err := transfer.Pull(t.Context(), []transfer.Named{drip, named(good)}, to, id, o); err != nil || !whole(t, to, id) {
		t.Errorf("before a good one: %v", err)
	}
	if n := len(told); n == 0 || n > 5 || slices.Contains(told, "test") {
		t.Errorf("told of %q: a remote that failed is asked last from then on", told)
	}
}

// TestBrokenOff has a remote whose connections end in the middle of every first try.
func TestBrokenOff(t *testing.T) {
	_, good, id := world(t)
	var mu sync.Mutex
	broken := map[cid.Hash]bool{}
	flaky := &spy{Remote: good.Remote, get: func(_ int64, id cid.Hash) (io.ReadCloser, error) {
		mu.Lock()
		defer mu.Unlock()
		if broken[id] {
			return nil, nil
		}
		broken[id] = true
		return io.NopCloser(failing{io.ErrUnexpectedEOF}), nil
	}}
	to := empty()
	if _, err := transfer.Pull(t.Context(), []transfer.Named{named(flaky)}, to, id, transfer.Options{}); err != nil || !whole(t, to, id) {
		t.Errorf("%v", err)
	}
	if n := flaky.gets.Load(); n != 2*objects {
		t.Errorf("%d requests for %d objects", n, objects)
	}
}

// TestScratch shows that a pull which goes on asks for nothing again that came whole,
// manifest and nodes included, and that it believes its scratch folder nothing.
func TestScratch(t *testing.T) {
	_, good, id := world(t)
	dir := filepath.Join(t.TempDir(), "scratch")
	o := transfer.Options{Scratch: dir, Workers: 1}
	var mu sync.Mutex
	came := map[cid.Hash]int{}
	down := errors.New("cut off")
	pull := func(to cas.Store, until int64) error {
		r := &spy{Remote: good.Remote, get: func(n int64, id cid.Hash) (io.ReadCloser, error) {
			if n > until {
				return nil, down
			}
			mu.Lock()
			defer mu.Unlock()
			came[id]++
			return nil, nil
		}}
		_, err := transfer.Pull(context.WithoutCancel(t.Context()), []transfer.Named{named(r)}, to, id, o)
		return err
	}
	to := empty()
	for range objects {
		if err := pull(to, 1); err == nil {
			break
		} else if !errors.Is(err, down) {
			t.Fatal(err)
		}
	}
	if !whole(t, to, id) {
		t.Error("it is not whole")
	}
	for h, n := range came {
		if n != 1 {
			t.Errorf("%s came %d times", h, n)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the scratch folder is still there: %v", err)
	}

	if err := pull(empty(), 2); !errors.Is(err, down) {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		if err := os.WriteFile(f, []byte("something else"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	to = empty()
	if err := pull(to, objects); err != nil || !whole(t, to, id) {
		t.Errorf("with a damaged scratch folder: %v", err)
	}
}

// detour is a remote that has one object elsewhere.
type detour struct {
	remote.Remote
	id cid.Hash
	to remote.Remote
}

func (d *detour) Get(ctx context.Context, id cid.Hash, off, n int64) (io.ReadCloser, error) {
	if id == d.id {
		return d.to.Get(ctx, id, off, n)
	}
	return d.Remote.Get(ctx, id, off, n)
}
