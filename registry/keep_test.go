package registry_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mythos-run/mythos/registry"
	"github.com/mythos-run/mythos/registry/index"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/remotetest"
)

// agedStore is a store on disk whose clock goes on by what is added to the second
// value.
func agedStore(t *testing.T) (*local.Store, *atomic.Int64) {
	t.Helper()
	var later atomic.Int64
	s, err := local.OpenWith(t.TempDir(), local.Options{Clock: func() time.Time {
		return time.Unix(1_700_000_000, 0).Add(time.Duration(later.Load()))
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, &later
}

func putObject(t *testing.T, url string, b []byte, status int) cid.Hash {
	t.Helper()
	id := cid.Sum(b)
	exchange{"PUT", "/objects/" + id.String(), string(b), nil, status, "", ""}.try(t, url)
	return id
}

// TestPublishBesideCollection: what is published while a collection runs that has read
// the index before stays whole.
func TestPublishBesideCollection(t *testing.T) {
	s, later := agedStore(t)
	server := serve(t, registry.Options{Access: open(), Objects: remote.OverStore(s)})
	leaf := putObject(t, server.URL, []byte{1}, 201)
	id := putObject(t, server.URL, remotetest.Manifest(t, "demo", "1.0.0", 1), 201)
	putObject(t, server.URL, []byte("nobody's"), 201)
	body, err := json.Marshal(map[string]any{"manifest": id, "publishers": []string{index.EncodeAgents([]sig.AgentID{remotetest.Key().Agent()})}})
	if err != nil {
		t.Fatal(err)
	}
	later.Add(int64(2 * time.Hour))
	done, err := s.Collect(t.Context(), local.CollectOptions{Mark: func(context.Context, func(cid.Hash)) error {
		exchange{"PUT", "/names/demo/1.0.0", string(body), nil, 201, "", ""}.try(t, server.URL)
		return nil
	}})
	if err != nil || done.Removed != 1 {
		t.Errorf("%+v, %v; want one object removed", done, err)
	}
	for what, id := range map[string]cid.Hash{"the manifest": id, "its artifact": leaf} {
		if status, text := ask(t, "GET", server.URL+"/objects/"+id.String(), ""); status != 200 {
			t.Errorf("%s: %d %s", what, status, text)
		}
	}
}

// TestReadingWritesNothing: whoever reads does not fill the disk, and may when it is
// full; a PUT of what is there keeps it.
func TestReadingWritesNothing(t *testing.T) {
	s, later := agedStore(t)
	server := serve(t, registry.Options{Access: open(), Objects: remote.OverStore(s)})
	id := putObject(t, server.URL, []byte("small"), 201)
	packed := func() (n int64) {
		t.Helper()
		list, err := filepath.Glob(filepath.Join(s.Dir(), "packs", "*"))
		for _, path := range list {
			info, missing := os.Stat(path)
			if missing != nil {
				t.Fatal(missing)
			}
			n += info.Size()
		}
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		return n
	}
	before := packed()
	for range 3 {
		later.Add(int64(2 * time.Hour))
		exchange{"HEAD", "/objects/" + id.String(), "", nil, 200, "", ""}.try(t, server.URL)
		exchange{"GET", "/objects/" + id.String(), "", nil, 200, "", "small"}.try(t, server.URL)
		exchange{"POST", "/has", `{"objects":["` + id.String() + `"]}`, nil, 200, "", `{"schema":"mythos.registry.has/1","missing":[]}` + "\n"}.try(t, server.URL)
	}
	if after := packed(); after != before {
		t.Errorf("reading wrote %d bytes", after-before)
	}
	putObject(t, server.URL, []byte("small"), 200)
	if packed() == before {
		t.Error("a PUT did not keep what is there")
	}
}

// TestNotFoundNamesNoFolder: who asks learns nothing of the registry's machine.
func TestNotFoundNamesNoFolder(t *testing.T) {
	_, r := inStore(t)
	server := serve(t, registry.Options{Access: open(), Objects: r})
	id := cid.Sum([]byte("none")).String()
	want := `{"schema":"mythos.error/1","code":"object_not_found","message":"is not in the store","subject":"` + id + `"}` + "\n"
	exchange{"GET", "/objects/" + id, "", nil, 404, "object_not_found", want}.try(t, server.URL)
}
