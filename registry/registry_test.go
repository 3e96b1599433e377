package registry_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/registry"
	"github.com/mythos-run/mythos/registry/index"
	"github.com/mythos-run/mythos/registry/index/sqlite"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket/folder"
	client "github.com/mythos-run/mythos/runtime/remote/registry"
	"github.com/mythos-run/mythos/runtime/remote/remotetest"
)

// serve runs a registry over a folder.
func serve(t *testing.T, o registry.Options) *httptest.Server {
	t.Helper()
	x, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o.Index, o.Clock = x, func() time.Time { return time.Unix(1_700_000_000, 0) }
	if o.Objects == nil {
		o.Objects = remote.Over(folder.Open(t.TempDir()))
	}
	o.Failed = func(r *http.Request, err error) { t.Logf("%s %s: %v", r.Method, r.URL, err) }
	server := httptest.NewServer(registry.New(o).Handler())
	t.Cleanup(func() {
		server.Close()
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func open() *registry.Access { return &registry.Access{Open: true} }

// TestRemote runs the acceptance suite of remotes through the client and the
// service.
func TestRemote(t *testing.T) {
	remotetest.Run(t, func(t *testing.T) remote.Remote {
		u, err := url.Parse(serve(t, registry.Options{Access: open()}).URL)
		if err != nil {
			t.Fatal(err)
		}
		return client.Open(client.Config{URL: u})
	})
}

// exchange is one request and what its answer must be.
type exchange struct {
	method, path, body string
	header             map[string]string
	status             int
	code               string // of an error
	want               string // the body; "": whatever
}

func (x exchange) try(t *testing.T, base string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), x.method, base+x.path, strings.NewReader(x.body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range x.header {
		r.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s %s: %v", x.method, x.path, err)
	}
	var p struct{ Schema, Code, Message string }
	if resp.StatusCode >= 400 && resp.StatusCode != 416 && x.method != http.MethodHead && json.Unmarshal(body, &p) != nil {
		t.Errorf("%s %s: an error without a body: %q", x.method, x.path, body)
	}
	if resp.StatusCode != x.status || p.Code != x.code || x.want != "" && string(body) != x.want {
		t.Errorf("%s %s: %d %s %.200q, want %d %s %q", x.method, x.path, resp.StatusCode, p.Code, body, x.status, x.code, x.want)
	}
	return resp
}

func TestObjects(t *testing.T) {
	server := serve(t, registry.Options{Access: open(), MaxObject: 100})
	id := cid.Sum([]byte("0123456789"))
	path, none := "/objects/"+id.String(), "/objects/"+cid.Sum(nil).String()
	part := func(spec string) map[string]string { return map[string]string{"Range": spec} }
	for _, x := range []exchange{
		{"GET", path, "", nil, 404, "object_not_found", ""},
		{"PUT", path, "other bytes", nil, 422, "object_mismatch", ""},
		{"PUT", path, "", nil, 422, "object_mismatch", ""},
		{"HEAD", path, "", nil, 404, "", ""},
		{"PUT", path, strings.Repeat("x", 101), nil, 413, "object_too_large", ""},
		{"PUT", path, "0123456789", nil, 201, "", `{"schema":"mythos.registry.object/1","cid":"` + id.String() + "\"}\n"},
		{"PUT", path, "0123456789", nil, 200, "", ""},
		{"GET", path, "", nil, 200, "", "0123456789"},
		{"HEAD", path, "", nil, 200, "", ""},
		{"GET", path, "", part("bytes=2-4"), 206, "", "234"},
		{"GET", path, "", part("bytes=7-"), 206, "", "789"},
		{"GET", path, "", part("bytes=-2"), 206, "", "89"},
		{"GET", path, "", part("bytes=-20"), 206, "", "0123456789"},
		{"GET", path, "", part("bytes=9-100"), 206, "", "9"},
		{"GET", path, "", part("bytes=10-"), 416, "", ""},
		{"GET", path, "", part("bytes=-0"), 416, "", ""},
		{"GET", path, "", part("bytes=0-1,3-4"), 200, "", "0123456789"},
		{"GET", path, "", part("lines=0-1"), 200, "", "0123456789"},
		{"GET", path, "", part("bytes=4-2"), 200, "", "0123456789"},
		{"GET", path, "", map[string]string{"If-None-Match": `"` + id.String() + `"`}, 304, "", ""},
		{"DELETE", path, "", nil, 405, "registry_method", ""},
		{"PUT", none, "", nil, 201, "", ""},
		{"GET", none, "", nil, 200, "", ""},
		{"GET", "/objects/" + id.Hex(), "", nil, 400, "registry_request", ""},
		{"GET", "/objects/" + strings.ToUpper(id.String()), "", nil, 400, "registry_request", ""},
		{"GET", "/objects/a/b", "", nil, 405, "registry_method", ""},
		{"GET", "/elsewhere", "", nil, 404, "registry_path", ""},
		{"POST", "/has", `{"objects":["` + id.String() + `","` + cid.Sum([]byte("x")).String() + `"]}`, nil, 200, "", `{"schema":"mythos.registry.has/1","missing":["` + cid.Sum([]byte("x")).String() + "\"]}\n"},
		{"POST", "/has", `{"objects":[]}`, nil, 200, "", "{\"schema\":\"mythos.registry.has/1\",\"missing\":[]}\n"},
		{"POST", "/has", `{"objects":["x"]}`, nil, 400, "registry_request", ""},
		{"POST", "/has", `{"object":[]}`, nil, 400, "registry_request", ""},
		{"POST", "/has", `{"objects":[]} {}`, nil, 400, "registry_request", ""},
		{"POST", "/has", strings.Repeat(" ", 1<<20), nil, 413, "object_too_large", ""},
		{"GET", "/healthz", "", nil, 200, "", "{\"schema\":\"mythos.registry.health/1\",\"status\":\"ok\"}\n"},
		{"GET", "/readyz", "", nil, 200, "", "{\"schema\":\"mythos.registry.health/1\",\"status\":\"ready\"}\n"},
	} {
		x.try(t, server.URL)
	}
	resp, err := http.Post(server.URL+"/has", "", io.MultiReader(bytes.NewReader(nil)))
	if err != nil || resp.StatusCode != 400 {
		t.Errorf("an empty question: %v, %v", resp, err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "PUT", server.URL+path, io.NopCloser(strings.NewReader("no length")))
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(r); err != nil || resp.StatusCode != 411 {
		t.Errorf("no length: %v, %v", resp, err)
	}
}

// TestNames holds what the acceptance suite cannot ask for.
func TestNames(t *testing.T) {
	server := serve(t, registry.Options{Access: open()})
	put := func(b []byte) cid.Hash {
		id := cid.Sum(b)
		exchange{"PUT", "/objects/" + id.String(), string(b), nil, 201, "", ""}.try(t, server.URL)
		return id
	}
	key := remotetest.Key()
	agent := index.EncodeAgents([]sig.AgentID{key.Agent()})
	whole := put(remotetest.Manifest(t, "demo", "1.0.0", 1))
	other := put(remotetest.Manifest(t, "demo", "1.0.0", 2))
	body := func(id cid.Hash, agents ...string) string {
		raw, err := json.Marshal(map[string]any{"manifest": id, "publishers": agents})
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	exchange{"PUT", "/names/demo/1.0.0", body(whole, agent), nil, 409, "closure_incomplete", ""}.try(t, server.URL)
	put([]byte{1})
	stranger := index.EncodeAgents([]sig.AgentID{remotetest.Stranger().Agent()})
	for _, x := range []exchange{
		{"GET", "/names/demo/1.0.0", "", nil, 404, "version_not_found", ""},
		{"GET", "/versions/demo", "", nil, 200, "", "{\"schema\":\"mythos.registry.versions/1\",\"versions\":[],\"more\":false}\n"},
		{"PUT", "/names/demo/1.0.0", body(cid.Sum([]byte("none")), agent), nil, 409, "closure_incomplete", ""},
		{"PUT", "/names/demo/1.0.1", body(whole, agent), nil, 400, "registry_request", ""},
		{"PUT", "/names/other/1.0.0", body(whole, agent), nil, 400, "registry_request", ""},
		{"PUT", "/names/demo/1.0", body(whole, agent), nil, 400, "registry_request", ""},
		{"PUT", "/names/Demo/1.0.0", body(whole, agent), nil, 400, "registry_request", ""},
		{"PUT", "/names/demo", body(whole, agent), nil, 404, "registry_path", ""},
		{"PUT", "/names/demo/1.0.0", body(whole), nil, 403, "publisher_signature", ""},
		{"PUT", "/names/demo/1.0.0", body(whole, stranger), nil, 403, "publisher_signature", ""},
		{"PUT", "/names/demo/1.0.0", body(whole, agent, stranger), nil, 403, "publisher_signature", ""},
		{"PUT", "/names/demo/1.0.0", body(whole, "00"), nil, 400, "registry_request", ""},
		{"PUT", "/names/demo/1.0.0", `{}`, nil, 409, "closure_incomplete", ""},
		{"PUT", "/names/demo/1.0.0", body(whole, agent), nil, 201, "", ""},
		{"PUT", "/names/demo/1.0.0", body(whole, agent), nil, 200, "", ""},
	} {
		x.try(t, server.URL)
	}
	put([]byte{2})
	for _, x := range []exchange{
		{"PUT", "/names/demo/1.0.0", body(other, agent), nil, 409, "version_taken", ""},
		{"GET", "/names/demo/latest", "", nil, 200, "", ""},
		{"GET", "/versions/demo?after=1.0.0", "", nil, 200, "", "{\"schema\":\"mythos.registry.versions/1\",\"versions\":[],\"more\":false}\n"},
		{"GET", "/versions/demo?after=2.0.0", "", nil, 404, "version_not_found", ""},
		{"GET", "/packages/" + whole.String(), "", nil, 404, "version_not_found", ""},
		{"POST", "/attestations", `{"attestation":"` + whole.String() + `"}`, nil, 400, "can_type", ""},
		{"GET", "/attestations/" + whole.String(), "", nil, 200, "", "{\"schema\":\"mythos.registry.attestations/1\",\"attestations\":[],\"more\":false}\n"},
	} {
		x.try(t, server.URL)
	}
}

func TestAccess(t *testing.T) {
	access := &registry.Access{Tokens: []registry.Token{
		{Name: "reader", SHA256: cid.Sum([]byte("r")), Rights: []string{"read"}},
		{Name: "writer", SHA256: cid.Sum([]byte("w")), Rights: []string{"write"}},
		{Name: "publisher", SHA256: cid.Sum([]byte("p")), Rights: []string{"write", "publish:demo/"}},
	}}
	private := *access
	private.Private = true
	public, closed := serve(t, registry.Options{Access: access}), serve(t, registry.Options{Access: &private})
	as := func(token string) map[string]string { return map[string]string{"Authorization": "Bearer " + token} }
	path := "/objects/" + cid.Sum([]byte("x")).String()
	for _, x := range []exchange{
		{"PUT", path, "x", nil, 401, "registry_access", ""},
		{"PUT", path, "x", as("unknown"), 401, "registry_access", ""},
		{"PUT", path, "x", map[string]string{"Authorization": "Basic dzp3"}, 401, "registry_access", ""},
		{"PUT", path, "x", as("r"), 403, "registry_forbidden", ""},
		{"POST", "/attestations", `{}`, as("r"), 403, "registry_forbidden", ""},
		{"PUT", "/names/demo/x/1.0.0", `{}`, as("w"), 403, "registry_forbidden", ""},
		{"PUT", "/names/other/1.0.0", `{}`, as("p"), 403, "registry_forbidden", ""},
		{"PUT", "/names/demo/x/1.0.0", `{}`, as("p"), 409, "closure_incomplete", ""},
		{"GET", path, "", as("w"), 404, "object_not_found", ""},
	} {
		x.try(t, closed.URL)
		x.try(t, public.URL)
	}
	exchange{"GET", path, "", nil, 401, "registry_access", ""}.try(t, closed.URL)
	exchange{"GET", path, "", nil, 404, "object_not_found", ""}.try(t, public.URL)
	exchange{"PUT", path, "x", as("w"), 201, "", ""}.try(t, public.URL)
	exchange{"PUT", path, "x", as("w"), 201, "", ""}.try(t, closed.URL)
	exchange{"GET", path, "", as("r"), 200, "", "x"}.try(t, closed.URL)
}

// TestOpen tries what a browser, or a name that points here, could do to a registry
// that is open to this machine.
func TestOpen(t *testing.T) {
	server := serve(t, registry.Options{Access: open()})
	put := func(host, origin string) int {
		r, err := http.NewRequestWithContext(t.Context(), "PUT", server.URL+"/objects/"+cid.Sum([]byte(host+origin)).String(), strings.NewReader(host+origin))
		if err != nil {
			t.Fatal(err)
		}
		if r.Host = host; origin != "" {
			r.Header.Set("Origin", origin)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	for host, want := range map[string]int{"localhost": 201, "localhost:8080": 201, "127.0.0.1:8080": 201, "[::1]:8080": 201, "rebound.example": 401, "10.0.0.1": 401} {
		if got := put(host, ""); got != want {
			t.Errorf("host %s: %d, want %d", host, got, want)
		}
	}
	if got := put("localhost", "https://page.example"); got != 401 {
		t.Errorf("from a page: %d", got)
	}
}
