package registry_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/registry"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// sample is a line of the text format of Prometheus.
var sample = regexp.MustCompile(`^[a-z_:]+(\{[a-z]+="[^"\\\n]*"(,[a-z]+="[^"\\\n]*")*\})? [0-9.e+-]+$`)

func TestMetrics(t *testing.T) {
	server := serve(t, registry.Options{Access: open()})
	path := "/objects/" + cid.Sum([]byte("12345")).String()
	for _, x := range []exchange{
		{"PUT", path, "12345", nil, 201, "", ""},
		{"GET", path, "", nil, 200, "", "12345"},
		{"GET", path, "", nil, 200, "", "12345"},
		{"GET", "/nowhere", "", nil, 404, "registry_path", ""},
		{"BREW", "/objects/x", "", nil, 405, "registry_method", ""},
		{"POST", "/metrics", "", nil, 405, "registry_method", ""},
	} {
		x.try(t, server.URL)
	}
	resp, err := http.Get(server.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%v, %v", resp.Header, err)
	}
	text := string(raw)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, "# HELP ") && !strings.HasPrefix(line, "# TYPE ") && !sample.MatchString(line) {
			t.Errorf("no line of the format: %q", line)
		}
	}
	for _, want := range []string{
		`mythos_registry_requests_total{route="objects",method="PUT",status="201"} 1`,
		`mythos_registry_requests_total{route="objects",method="GET",status="200"} 2`,
		`mythos_registry_requests_total{route="nothing",method="other",status="405"} 1`,
		`mythos_registry_errors_total{code="registry_path"} 1`,
		`mythos_registry_request_seconds_count{route="objects"} 3`,
		`mythos_registry_request_seconds_bucket{route="objects",le="+Inf"} 3`,
		`mythos_registry_requests_running 1`,
		`mythos_registry_received_bytes_total 5`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("it does not have %s\n%s", want, text)
		}
	}
}

func TestLog(t *testing.T) {
	var log bytes.Buffer
	secret := "the-token-itself"
	server := serve(t, registry.Options{
		Access: &registry.Access{Tokens: []registry.Token{{Name: "ci", SHA256: cid.Sum([]byte(secret)), Rights: []string{"write"}}}},
		Log:    slog.New(slog.NewJSONHandler(&log, nil)),
	})
	path := "/objects/" + cid.Sum([]byte("x")).String()
	exchange{"PUT", path, "x", map[string]string{"Authorization": "Bearer " + secret}, 201, "", ""}.try(t, server.URL)
	exchange{"PUT", path, "y", nil, 401, "registry_access", ""}.try(t, server.URL)
	server.Close() // waits for the handlers, which log last
	var lines []map[string]any
	for line := range bytes.Lines(log.Bytes()) {
		var v map[string]any
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, v)
	}
	if len(lines) != 2 || lines[0]["who"] != "ci" || lines[0]["status"] != 201.0 || lines[0]["received"] != 1.0 || lines[1]["code"] != "registry_access" {
		t.Errorf("%v", lines)
	}
	if strings.Contains(log.String(), secret) {
		t.Error("the log tells a token")
	}
}

func TestRate(t *testing.T) {
	server := serve(t, registry.Options{Access: open(), Rate: 0.25, Burst: 2}) // whose clock stands still
	for range 2 {
		exchange{"GET", "/names/demo/1.0.0", "", nil, 404, "version_not_found", ""}.try(t, server.URL)
	}
	resp := exchange{"GET", "/names/demo/1.0.0", "", nil, 429, "registry_rate", ""}.try(t, server.URL)
	if got := resp.Header.Get("Retry-After"); got != "4" {
		t.Errorf("Retry-After %q", got)
	}
	exchange{"GET", "/healthz", "", nil, 200, "", ""}.try(t, server.URL)
}

// TestOCI: what is mounted under /v2/ has the same guards, and errors of its form.
func TestOCI(t *testing.T) {
	mounted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Method+" "+r.URL.Path) })
	tokens := []registry.Token{{Name: "ci", SHA256: cid.Sum([]byte("secret")), Rights: []string{"write"}}}
	public := serve(t, registry.Options{OCI: mounted, Access: &registry.Access{Tokens: tokens, Proofs: proofs()}})
	closed := serve(t, registry.Options{OCI: mounted, Access: &registry.Access{Tokens: tokens, Private: true}})
	none := serve(t, registry.Options{Access: open()})
	try := func(base, method, auth string, status int, body string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, base+"/v2/demo/blobs/uploads/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if auth != "" {
			r.Header.Set("Authorization", auth)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != status || !strings.Contains(string(raw), body) {
			t.Errorf("%s %s: %d %q, %v; want %d %q", method, auth, resp.StatusCode, raw, err, status, body)
		}
		return resp
	}
	const basic = "Basic YW55Ym9keTpzZWNyZXQ=" // anybody:secret
	try(public.URL, "GET", "", 200, "GET /v2/")
	try(public.URL, "POST", basic, 200, "POST /v2/")
	try(public.URL, "POST", "Bearer secret", 200, "POST /v2/")
	resp := try(public.URL, "POST", "", 401, `{"errors":[{"code":"UNAUTHORIZED",`)
	if got := resp.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Basic ") {
		t.Errorf("it asks for %q", got)
	}
	try(public.URL, "DELETE", "Basic YW55Ym9keTp3cm9uZw==", 401, "UNAUTHORIZED")
	try(closed.URL, "GET", "", 401, "UNAUTHORIZED")
	try(closed.URL, "GET", basic, 200, "GET /v2/")
	try(none.URL, "GET", "", 404, "registry_path")
	// A proof names no power over OCI.
	a := attemptOf(writing(), "POST", "/v2/demo/blobs/uploads/", "")
	try(public.URL, "POST", a.header(t), 403, "DENIED")
}
