package ociapi_test

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mythos-run/mythos/registry/ociapi"
	"github.com/mythos-run/mythos/registry/ociapi/catalog/sqlite"
	"github.com/mythos-run/mythos/registry/ociapi/staging"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket/buckettest"
	"github.com/mythos-run/mythos/runtime/remote/bucket/folder"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is a registry under test: its folder, what it works with, and its URL.
type place struct {
	dir     string
	options ociapi.Options
	api     *ociapi.API
	url     string
}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// open serves a new registry in a folder, after change made its options others.
func open(t *testing.T, change func(*ociapi.Options)) *place {
	t.Helper()
	p := &place{dir: t.TempDir()}
	known, err := sqlite.Open(t.Context(), p.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { known.Close() })
	area, err := staging.InFolder(filepath.Join(p.dir, "uploads"))
	if err != nil {
		t.Fatal(err)
	}
	p.options = ociapi.Options{
		Objects: remote.Over(folder.Open(p.dir)), Catalog: known, Staging: area, Clock: time.Now,
		Failed: func(r *http.Request, err error) { t.Errorf("%s %s: %v", r.Method, r.URL, err) },
	}
	if change != nil {
		change(&p.options)
	}
	p.api = ociapi.New(p.options)
	p.url = p.serve(t, p.api)
	return p
}

// serve returns the URL of a handler.
func (p *place) serve(t *testing.T, h http.Handler) string {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// staged returns the names of staged parts.
func (p *place) staged(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(p.dir, "uploads"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// ask is a request and what it must be answered with.
type ask struct {
	method, path string
	body         any      // string or []byte; an io.Reader has no length
	header       []string // names and values
	status       int
	code         string // of the error
}

// do makes the request and returns the answer with its body read.
func (p *place) do(t *testing.T, a ask) (*http.Response, []byte) {
	t.Helper()
	var body io.Reader
	switch b := a.body.(type) {
	case string:
		body = strings.NewReader(b)
	case []byte:
		body = bytes.NewReader(b)
	case io.Reader:
		body = io.MultiReader(b)
	}
	r, err := http.NewRequestWithContext(t.Context(), a.method, p.url+a.path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(a.header); i += 2 {
		r.Header.Set(a.header[i], a.header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", a.method, a.path, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != a.status {
		t.Errorf("%s %s: %d %.200s, want %d", a.method, a.path, resp.StatusCode, raw, a.status)
	}
	if a.code != "" && a.method != "HEAD" {
		checkError(t, a, raw)
	}
	return resp, raw
}

// checkError holds the form of errors.
func checkError(t *testing.T, a ask, raw []byte) {
	t.Helper()
	var e struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(raw, &e); err != nil || len(e.Errors) != 1 || e.Errors[0].Code != a.code || e.Errors[0].Message == "" {
		t.Errorf("%s %s: %s, %v; want %s", a.method, a.path, raw, err, a.code)
	}
}

func digest(b []byte) string { return cid.Sum(b).String() }

func digest512(b []byte) string {
	sum := sha512.Sum512(b)
	return "sha512:" + hex.EncodeToString(sum[:])
}

// blob pushes a blob by POST alone and returns its digest.
func (p *place) blob(t *testing.T, repository string, b []byte) string {
	t.Helper()
	p.do(t, ask{"POST", "/v2/" + repository + "/blobs/uploads/?digest=" + digest(b), b, nil, 201, ""})
	return digest(b)
}

// start begins an upload and returns its path.
func (p *place) start(t *testing.T, repository string) string {
	t.Helper()
	resp, _ := p.do(t, ask{"POST", "/v2/" + repository + "/blobs/uploads/", nil, nil, 202, ""})
	return resp.Header.Get("Location")
}

func (p *place) wantBlob(t *testing.T, repository, digest string, want []byte) {
	t.Helper()
	resp, raw := p.do(t, ask{"GET", "/v2/" + repository + "/blobs/" + digest, nil, nil, 200, ""})
	if !bytes.Equal(raw, want) || resp.Header.Get("Docker-Content-Digest") != digest {
		t.Errorf("%s: %d bytes and %v", digest, len(raw), resp.Header)
	}
	resp, _ = p.do(t, ask{"HEAD", "/v2/" + repository + "/blobs/" + digest, nil, nil, 200, ""})
	if resp.ContentLength != int64(len(want)) {
		t.Errorf("HEAD %s: %d bytes", digest, resp.ContentLength)
	}
}

func TestPaths(t *testing.T) {
	p := open(t, nil)
	d := digest([]byte("x"))
	for _, a := range []ask{
		{"GET", "/v2/", nil, nil, 200, ""},
		{"HEAD", "/v2/", nil, nil, 200, ""},
		{"GET", "/v2", nil, nil, 200, ""},
		{"POST", "/v2/", nil, nil, 405, "UNSUPPORTED"},
		{"GET", "/v2/x", nil, nil, 404, "UNSUPPORTED"},
		{"GET", "/v2/manifests/", nil, nil, 404, "UNSUPPORTED"},
		{"GET", "/v2/_catalog", nil, nil, 404, "UNSUPPORTED"},
		{"GET", "/", nil, nil, 404, "UNSUPPORTED"},
		{"POST", "/v2/a/manifests/x", nil, nil, 405, "UNSUPPORTED"},
		{"PUT", "/v2/a/blobs/" + d, nil, nil, 405, "UNSUPPORTED"},
		{"PATCH", "/v2/a/tags/list", nil, nil, 405, "UNSUPPORTED"},
		{"GET", "/v2/A/blobs/" + d, nil, nil, 400, "NAME_INVALID"},
		{"GET", "/v2/a..b/tags/list", nil, nil, 400, "NAME_INVALID"},
		{"POST", "/v2/" + strings.Repeat("a/", 127) + "aa/blobs/uploads/", nil, nil, 400, "NAME_INVALID"},
		{"POST", "/v2/" + strings.Repeat("a/", 127) + "a/blobs/uploads/", nil, nil, 202, ""},
		{"POST", "/v2/blobs/uploads/blobs/uploads/", nil, nil, 202, ""},
		{"POST", "/v2/tags/list/blobs/uploads", nil, nil, 202, ""},
		{"GET", "/v2/a/blobs/" + d, nil, nil, 404, "BLOB_UNKNOWN"},
		{"HEAD", "/v2/a/blobs/" + d, nil, nil, 404, ""},
		{"GET", "/v2/a/blobs/sha256:abc", nil, nil, 400, "DIGEST_INVALID"},
		{"GET", "/v2/a/blobs/" + strings.ToUpper(d), nil, nil, 400, "DIGEST_INVALID"},
		{"GET", "/v2/a/blobs/sha384:" + strings.Repeat("0", 96), nil, nil, 400, "DIGEST_INVALID"},
		{"DELETE", "/v2/a/blobs/" + d, nil, nil, 404, "BLOB_UNKNOWN"},
		{"DELETE", "/v2/a/blobs/x", nil, nil, 400, "DIGEST_INVALID"},
		{"GET", "/v2/a/manifests/" + d, nil, nil, 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/a/manifests/latest", nil, nil, 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/a/manifests/-x", nil, nil, 400, "MANIFEST_INVALID"},
		{"GET", "/v2/a/manifests/" + strings.Repeat("x", 129), nil, nil, 400, "MANIFEST_INVALID"},
		{"DELETE", "/v2/a/manifests/" + d, nil, nil, 404, "MANIFEST_UNKNOWN"},
		{"DELETE", "/v2/a/manifests/latest", nil, nil, 404, "MANIFEST_UNKNOWN"},
		{"DELETE", "/v2/a/manifests/sha256:x", nil, nil, 400, "DIGEST_INVALID"},
		{"GET", "/v2/a/tags/list", nil, nil, 404, "NAME_UNKNOWN"},
		{"GET", "/v2/a/referrers/" + d, nil, nil, 200, ""},
		{"GET", "/v2/a/referrers/x", nil, nil, 400, "DIGEST_INVALID"},
		{"GET", "/v2/a/blobs/uploads/nothing", nil, nil, 404, "BLOB_UPLOAD_UNKNOWN"},
		{"PATCH", "/v2/a/blobs/uploads/nothing", "x", nil, 404, "BLOB_UPLOAD_UNKNOWN"},
		{"PUT", "/v2/a/blobs/uploads/nothing?digest=" + d, "x", nil, 404, "BLOB_UPLOAD_UNKNOWN"},
		{"DELETE", "/v2/a/blobs/uploads/nothing", nil, nil, 404, "BLOB_UPLOAD_UNKNOWN"},
	} {
		p.do(t, a)
	}
}

// TestPushes stores blobs in every way there is, of sizes for which it is
// done in different ways, under both algorithms.
func TestPushes(t *testing.T) {
	p := open(t, nil)
	ways := map[string]func(t *testing.T, b []byte, d string){
		"post": func(t *testing.T, b []byte, d string) {
			p.do(t, ask{"POST", "/v2/r/blobs/uploads/?digest=" + d, b, nil, 201, ""})
		},
		"post without length": func(t *testing.T, b []byte, d string) {
			p.do(t, ask{"POST", "/v2/r/blobs/uploads/?digest=" + d, bytes.NewBuffer(b), nil, 201, ""})
		},
		"put": func(t *testing.T, b []byte, d string) {
			p.do(t, ask{"PUT", p.start(t, "r") + "?digest=" + d, b, nil, 201, ""})
		},
		"put without length": func(t *testing.T, b []byte, d string) {
			p.do(t, ask{"PUT", p.start(t, "r") + "?digest=" + d, bytes.NewBuffer(b), nil, 201, ""})
		},
		"stream": func(t *testing.T, b []byte, d string) {
			path := p.start(t, "r")
			p.do(t, ask{"PATCH", path, bytes.NewBuffer(b), nil, 202, ""})
			p.do(t, ask{"PUT", path + "?digest=" + d, nil, nil, 201, ""})
		},
		"chunks": func(t *testing.T, b []byte, d string) {
			path, half := p.start(t, "r"), len(b)/2
			if half > 0 {
				resp, _ := p.do(t, ask{"PATCH", path, b[:half], []string{"Content-Range", fmt.Sprintf("0-%d", half-1)}, 202, ""})
				if got, want := resp.Header.Get("Range"), fmt.Sprintf("0-%d", half-1); got != want || resp.Header.Get("Location") != path {
					t.Errorf("Range %s, want %s", got, want)
				}
			}
			p.do(t, ask{"PUT", path + "?digest=" + d, b[half:], nil, 201, ""})
		},
	}
	seed := uint64(0)
	for name, push := range ways {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{0, 1, 4<<20 + 1} {
				for _, of := range []func([]byte) string{digest, digest512} {
					seed++
					b := buckettest.Random(seed, size)
					for range 2 { // the second time it is there
						push(t, b, of(b))
						p.wantBlob(t, "r", of(b), b)
					}
					p.do(t, ask{"DELETE", "/v2/r/blobs/" + of(b), nil, nil, 202, ""})
					p.do(t, ask{"HEAD", "/v2/r/blobs/" + of(b), nil, nil, 404, ""})
				}
			}
		})
	}
	if names := p.staged(t); len(names) > 0 {
		t.Errorf("staged: %v", names)
	}
}

// TestWrongBytes sends others than the digest's in every way: nothing is shown, and
// no upload is left.
func TestWrongBytes(t *testing.T) {
	p := open(t, nil)
	for i, size := range []int{10, 5 << 20} {
		good := buckettest.Random(uint64(i), size)
		bad := slices.Clone(good)
		bad[size/2]++
		for _, of := range []func([]byte) string{digest, digest512} {
			for _, there := range []bool{false, true} {
				if there {
					p.blob(t, "other", good)
				}
				d := of(good)
				p.do(t, ask{"POST", "/v2/r/blobs/uploads/?digest=" + d, bad, nil, 400, "DIGEST_INVALID"})
				p.do(t, ask{"POST", "/v2/r/blobs/uploads/?digest=" + d, bytes.NewBuffer(bad), nil, 400, "DIGEST_INVALID"})
				put := p.start(t, "r")
				p.do(t, ask{"PUT", put + "?digest=" + d, bad, nil, 400, "DIGEST_INVALID"})
				p.do(t, ask{"GET", put, nil, nil, 404, "BLOB_UPLOAD_UNKNOWN"})
				patched := p.start(t, "r")
				p.do(t, ask{"PATCH", patched, bad, nil, 202, ""})
				p.do(t, ask{"PUT", patched + "?digest=", nil, nil, 400, "DIGEST_INVALID"})
				p.do(t, ask{"PUT", patched + "?digest=sha256:0", nil, nil, 400, "DIGEST_INVALID"})
				p.do(t, ask{"PUT", patched + "?digest=" + d, nil, nil, 400, "DIGEST_INVALID"})
				p.do(t, ask{"GET", patched, nil, nil, 404, "BLOB_UPLOAD_UNKNOWN"})
				p.do(t, ask{"HEAD", "/v2/r/blobs/" + d, nil, nil, 404, ""})
			}
		}
	}
	if names := p.staged(t); len(names) > 0 {
		t.Errorf("staged: %v", names)
	}
}

func TestChunks(t *testing.T) {
	p := open(t, nil)
	path := p.start(t, "r")
	chunk := func(method, at, body string, status int, code string) {
		t.Helper()
		resp, _ := p.do(t, ask{method, path, body, []string{"Content-Range", at}, status, code})
		if status == 416 && (resp.Header.Get("Location") != path || !strings.HasPrefix(resp.Header.Get("Range"), "0-")) {
			t.Errorf("416 with %v", resp.Header)
		}
	}
	chunk("PATCH", "5-9", "56789", 416, "BLOB_UPLOAD_INVALID")
	chunk("PATCH", "0-4", "01234", 202, "")
	chunk("PATCH", "0-4", "01234", 416, "BLOB_UPLOAD_INVALID")
	chunk("PATCH", "5-9", "5678", 400, "SIZE_INVALID")
	chunk("PATCH", "9-5", "56789", 400, "BLOB_UPLOAD_INVALID")
	chunk("PATCH", "five", "56789", 400, "BLOB_UPLOAD_INVALID")
	chunk("PATCH", "5-", "56789", 400, "BLOB_UPLOAD_INVALID")
	chunk("PATCH", "5-99999999999999999999", "56789", 400, "BLOB_UPLOAD_INVALID")
	p.do(t, ask{"PATCH", path, bytes.NewBufferString("56789"), []string{"Content-Range", "5-9"}, 400, "SIZE_INVALID"})
	chunk("PATCH", "5-9", "56789", 202, "")
	resp, _ := p.do(t, ask{"GET", path, nil, nil, 204, ""})
	if resp.Header.Get("Range") != "0-9" || resp.Header.Get("Location") != path {
		t.Errorf("%v", resp.Header)
	}
	p.do(t, ask{"GET", strings.Replace(path, "/r/", "/q/", 1), nil, nil, 404, "BLOB_UPLOAD_UNKNOWN"})
	whole := []byte("0123456789ab")
	last := path + "?digest=" + digest(whole)
	p.do(t, ask{"PUT", last, "ab", []string{"Content-Range", "11-12"}, 416, "BLOB_UPLOAD_INVALID"})
	p.do(t, ask{"PUT", last, "ab", []string{"Content-Range", "10-11"}, 201, ""})
	p.wantBlob(t, "r", digest(whole), whole)
	p.do(t, ask{"PATCH", path, "more", nil, 404, "BLOB_UPLOAD_UNKNOWN"})
	path = p.start(t, "r")
	p.do(t, ask{"PATCH", path, "x", nil, 202, ""})
	p.do(t, ask{"DELETE", path, nil, nil, 204, ""})
	p.do(t, ask{"GET", path, nil, nil, 404, "BLOB_UPLOAD_UNKNOWN"})
	if names := p.staged(t); len(names) > 0 {
		t.Errorf("staged: %v", names)
	}
}

func TestRanges(t *testing.T) {
	p := open(t, nil)
	b := []byte("0123456789")
	d, empty := p.blob(t, "r", b), p.blob(t, "r", nil)
	for header, want := range map[string]string{
		"bytes=0-0": "206 bytes 0-0/10 0", "bytes=2-4": "206 bytes 2-4/10 234", "bytes=7-": "206 bytes 7-9/10 789",
		"bytes=-3": "206 bytes 7-9/10 789", "bytes=-99": "206 bytes 0-9/10 0123456789", "bytes=8-99": "206 bytes 8-9/10 89",
		"bytes=10-": "416 bytes */10 ", "bytes=5-4": "416 bytes */10 ", "bytes=-0": "416 bytes */10 ",
		"bytes=0-1,3-4": "200  0123456789", "items=0-1": "200  0123456789", "bytes=a-b": "200  0123456789", "bytes=": "200  0123456789",
	} {
		status := 0
		fmt.Sscan(want, &status)
		resp, raw := p.do(t, ask{"GET", "/v2/r/blobs/" + d, nil, []string{"Range", header}, status, ""})
		if got := fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Content-Range"), " ", string(raw)); got != want {
			t.Errorf("%s: %s, want %s", header, got, want)
		}
	}
	path := "/v2/r/blobs/" + d
	p.do(t, ask{"GET", path, nil, []string{"Range", "bytes=1-2", "If-Range", `"other"`}, 200, ""})
	p.do(t, ask{"GET", path, nil, []string{"Range", "bytes=1-2", "If-Range", `"` + d + `"`}, 206, ""})
	p.do(t, ask{"GET", path, nil, []string{"If-None-Match", `"` + d + `"`}, 304, ""})
	resp, _ := p.do(t, ask{"HEAD", path, nil, []string{"Range", "bytes=1-2"}, 206, ""})
	if resp.ContentLength != 2 {
		t.Errorf("HEAD of a range: %d bytes", resp.ContentLength)
	}
	p.do(t, ask{"GET", "/v2/r/blobs/" + empty, nil, []string{"Range", "bytes=0-"}, 416, ""})
}

func TestMounts(t *testing.T) {
	p := open(t, nil)
	b := []byte("mounted")
	d := p.blob(t, "from", b)
	p.do(t, ask{"POST", "/v2/to/blobs/uploads/?mount=" + d + "&from=from", nil, nil, 201, ""})
	p.wantBlob(t, "to", d, b)
	p.do(t, ask{"POST", "/v2/any/blobs/uploads/?mount=" + d, nil, nil, 201, ""})
	p.wantBlob(t, "any", d, b)
	p.do(t, ask{"POST", "/v2/to/blobs/uploads/?mount=" + d + "&from=empty", nil, nil, 202, ""})
	p.do(t, ask{"POST", "/v2/to/blobs/uploads/?mount=" + digest([]byte("none")), nil, nil, 202, ""})
	p.do(t, ask{"POST", "/v2/to/blobs/uploads/?mount=" + digest512(b), nil, nil, 202, ""})
	p.do(t, ask{"POST", "/v2/to/blobs/uploads/?mount=x", nil, nil, 400, "DIGEST_INVALID"})
	p.do(t, ask{"POST", "/v2/to/blobs/uploads/?mount=" + d + "&from=FROM", nil, nil, 400, "NAME_INVALID"})
	// An object that came by the other API is there to be mounted, and not sent again.
	object := []byte("an object of a package")
	if err := p.options.Objects.Put(t.Context(), buckettest.Value(object)); err != nil {
		t.Fatal(err)
	}
	p.do(t, ask{"HEAD", "/v2/to/blobs/" + digest(object), nil, nil, 404, ""})
	p.do(t, ask{"POST", "/v2/to/blobs/uploads/?mount=" + digest(object), nil, nil, 201, ""})
	p.wantBlob(t, "to", digest(object), object)
	// Hiding it in one repository leaves the object and the others.
	p.do(t, ask{"DELETE", "/v2/to/blobs/" + d, nil, nil, 202, ""})
	p.wantBlob(t, "from", d, b)
	if _, err := p.options.Objects.Head(t.Context(), cid.Sum(b)); err != nil {
		t.Error(err)
	}
}
