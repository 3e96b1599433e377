package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/registry"
	"github.com/mythos-run/mythos/registry/index"
	"github.com/mythos-run/mythos/registry/index/sqlite"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
	"github.com/mythos-run/mythos/runtime/remote/bucket/buckettest"
)

// inStore returns a store on disk, its folder and the remote over it.
func inStore(t *testing.T) (*local.Store, *remote.InStore) {
	t.Helper()
	s, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := remote.OverStore(s)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, r
}

// leftovers lists what of writes that did not end is in a store.
func leftovers(t *testing.T, s *local.Store) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.Dir(), "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".lock") {
			names = append(names, e.Name())
		}
	}
	return names
}

// TestWrongBytes: of a PUT whose hash does not match nothing is kept, whatever its
// size.
func TestWrongBytes(t *testing.T) {
	s, r := inStore(t)
	server := serve(t, registry.Options{Access: open(), Objects: r})
	for _, size := range []int{1, 1000, 64 << 10, 64<<10 + 1, 300_000, 5 << 20} {
		data := buckettest.Random(uint64(size), size)
		path := "/objects/" + cid.Sum(data).String()
		wrong := bytes.Clone(data)
		wrong[size-1] ^= 1
		exchange{"PUT", path, string(wrong), nil, 422, "object_mismatch", ""}.try(t, server.URL)
		exchange{"PUT", path, string(data[:size-1]), nil, 422, "object_mismatch", ""}.try(t, server.URL)
		exchange{"PUT", path, string(data) + "x", nil, 422, "object_mismatch", ""}.try(t, server.URL)
		exchange{"GET", path, "", nil, 404, "object_not_found", ""}.try(t, server.URL)
		exchange{"PUT", path, string(data), nil, 201, "", ""}.try(t, server.URL)
		exchange{"PUT", path, string(data), nil, 200, "", ""}.try(t, server.URL)
		exchange{"GET", path, "", map[string]string{"Range": "bytes=-1"}, 206, "", string(data[size-1:])}.try(t, server.URL)
		exchange{"GET", path, "", nil, 200, "", string(data)}.try(t, server.URL)
	}
	if list := leftovers(t, s); len(list) > 0 {
		t.Errorf("it left %v", list)
	}
}

func TestFull(t *testing.T) {
	s, r := inStore(t)
	server := serve(t, registry.Options{Access: open(), Objects: r})
	put := func(size, status int, code string) {
		t.Helper()
		data := buckettest.Random(uint64(size), size)
		exchange{"PUT", "/objects/" + cid.Sum(data).String(), string(data), nil, status, code, ""}.try(t, server.URL)
	}
	put(100, 201, "")
	if err := s.SetQuota(100_000); err != nil {
		t.Fatal(err)
	}
	put(200_000, 507, "store_full")
	put(2000, 201, "")
	put(98_000, 507, "store_full")
	put(100, 200, "")
	if list := leftovers(t, s); len(list) > 0 {
		t.Errorf("it left %v", list)
	}
}

// TestDamagedStore: bit rot is the registry's failure, not the sender's and not
// "not found".
func TestDamagedStore(t *testing.T) {
	s, r := inStore(t)
	server := serve(t, registry.Options{Access: open(), Objects: r})
	data := buckettest.Random(1, 100_000)
	id := cid.Sum(data)
	path := "/objects/" + id.String()
	exchange{"PUT", path, string(data), nil, 201, "", ""}.try(t, server.URL)
	file := filepath.Join(s.Dir(), "objects", id.Hex()[:2], id.Hex())
	if err := os.WriteFile(file, buckettest.Random(2, 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	exchange{"PUT", path, string(data), nil, 200, "", ""}.try(t, server.URL) // it does not look into what it has
	if _, err := remote.Fetch(t.Context(), r, id, 1<<20); !errors.Is(err, remote.ErrLies) {
		t.Errorf("its reader did not notice: %v", err)
	}
}

// failing is a storage and an index that fail.
type failing struct {
	remote.Remote
	index.Index
	err error
}

func (f failing) Head(context.Context, cid.Hash) (int64, error)           { return 0, f.err }
func (f failing) Has(context.Context, []cid.Hash) ([]bool, error)         { return nil, f.err }
func (f failing) Put(context.Context, bucket.Value) error                 { return f.err }
func (f failing) Ping(context.Context) error                              { return f.err }
func (f failing) Close() error                                            { return nil }
func (f failing) Attest(context.Context, cid.Hash, cid.Hash) error        { return f.err }
func (f failing) Versions(context.Context, string) ([]index.Entry, error) { return nil, f.err }
func (f failing) Get(context.Context, cid.Hash, int64, int64) (io.ReadCloser, error) {
	return nil, f.err
}

func (f failing) Version(context.Context, string, string) (index.Entry, bool, error) {
	return index.Entry{}, false, f.err
}

func (f failing) Package(context.Context, cid.Hash) ([]cid.Hash, error) { return nil, f.err }

func (f failing) Attestations(context.Context, cid.Hash, cid.Hash, int) ([]cid.Hash, error) {
	return nil, f.err
}

// TestBackendFails: a failure behind the registry is 503, never that something is
// not there, and says nothing of the storage.
func TestBackendFails(t *testing.T) {
	id := cid.Sum([]byte("x")).String()
	for name, err := range map[string]error{
		"plain":       errors.New("secret-host: no route"),
		"unavailable": fault.New(cas.ErrUnavailable, "secret-host: no route"),
		"denied":      fault.New(bucket.ErrDenied, "secret-host"),
		"corrupt":     fault.New(cas.ErrCorrupt, "secret-host"),
		"index":       fault.New(index.ErrUnavailable, "secret-host"),
	} {
		t.Run(name, func(t *testing.T) {
			f := failing{err: err}
			s := registry.New(registry.Options{Objects: f, Index: f, Clock: time.Now, Access: &registry.Access{Open: true}})
			address, stop, ended := listen(t, s)
			for _, x := range [][3]string{
				{"GET", "/objects/" + id, ""},
				{"HEAD", "/objects/" + id, ""},
				{"PUT", "/objects/" + id, "x"},
				{"POST", "/has", `{"objects":["` + id + `"]}`},
				{"GET", "/names/demo/1.0.0", ""},
				{"GET", "/names/demo/latest", ""},
				{"GET", "/versions/demo", ""},
				{"GET", "/packages/" + id, ""},
				{"PUT", "/names/demo/1.0.0", `{"manifest":"` + id + `","publishers":[]}`},
				{"POST", "/attestations", `{"attestation":"` + id + `"}`},
				{"GET", "/attestations/" + id, ""},
				{"GET", "/readyz", ""},
			} {
				status, body := ask(t, x[0], "http://"+address+x[1], x[2])
				if status != 503 || strings.Contains(body, "secret-host") {
					t.Errorf("%s %s: %d %s", x[0], x[1], status, body)
				}
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// TestSlowClients: a client without progress is given up, its place is free again,
// and nothing of its object is kept.
func TestSlowClients(t *testing.T) {
	store, r := inStore(t)
	x, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	s := registry.New(registry.Options{
		Objects: r, Index: x, Clock: time.Now, Access: &registry.Access{Open: true},
		MaxRequests: 1, Patience: 300 * time.Millisecond,
	})
	address, stop, ended := listen(t, s)
	id := cid.Sum([]byte("x"))
	for _, head := range []string{
		"PUT /objects/" + id.String() + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf",
		"PUT /objects/" + id.String() + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nhalf",
		"PUT /objects/" + id.String() + " HTTP/1.1\r\nHost: refused\r\nContent-Length: 100000\r\n\r\nhalf",
		"POST /has HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, head); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn) // to its end, which the registry makes
		if err != nil || len(answer) > 0 && !bytes.Contains(answer, []byte("registry_request")) && !bytes.Contains(answer, []byte("registry_access")) {
			t.Errorf("%.40q: %q, %v", head, answer, err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		// The one place is free.
		if status, body := ask(t, "GET", fmt.Sprintf("http://%s/objects/%s", address, id), ""); status != 404 {
			t.Errorf("%d %s", status, body)
		}
	}
	if list := leftovers(t, store); len(list) > 0 {
		t.Errorf("it left %v", list)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
