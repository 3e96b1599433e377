package ociapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mythos-run/mythos/registry/ociapi"
	"github.com/mythos-run/mythos/registry/ociapi/staging"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
	"github.com/mythos-run/mythos/runtime/remote/bucket/buckettest"
	"github.com/mythos-run/mythos/runtime/remote/bucket/folder"
)

func TestSizes(t *testing.T) {
	p := open(t, func(o *ociapi.Options) { o.MaxBlob = 10 })
	fits, over := []byte("0123456789"), []byte("0123456789a")
	p.blob(t, "r", fits)
	p.do(t, ask{"POST", "/v2/r/blobs/uploads/?digest=" + digest(over), over, nil, 413, "SIZE_INVALID"})
	p.do(t, ask{"POST", "/v2/r/blobs/uploads/?digest=" + digest(over), strings.NewReader(string(over)), nil, 413, "SIZE_INVALID"})
	path := p.start(t, "r")
	p.do(t, ask{"PATCH", path, over, nil, 413, "SIZE_INVALID"})
	p.do(t, ask{"PATCH", path, fits, nil, 202, ""})
	p.do(t, ask{"PATCH", path, "a", nil, 413, "SIZE_INVALID"})
	p.do(t, ask{"PATCH", path, io.MultiReader(strings.NewReader("a")), nil, 413, "SIZE_INVALID"})
	p.do(t, ask{"PUT", path + "?digest=" + digest(over), "a", nil, 413, "SIZE_INVALID"})
	p.do(t, ask{"PUT", path + "?digest=" + digest(fits), nil, nil, 201, ""})
	p.wantBlob(t, "r", digest(fits), fits)
}

// TestUploadsAreBounded: as many as may be, until one has been idle for too long.
func TestUploadsAreBounded(t *testing.T) {
	c := &clock{now: time.Unix(1_700_000_000, 0)}
	p := open(t, func(o *ociapi.Options) { o.MaxUploads, o.Idle, o.Clock = 2, time.Minute, c.Now })
	idle := p.start(t, "r")
	p.do(t, ask{"PATCH", idle, "bytes", nil, 202, ""})
	c.advance(50 * time.Second)
	busy := p.start(t, "r")
	resp, _ := p.do(t, ask{"POST", "/v2/r/blobs/uploads/", nil, nil, 429, "TOOMANYREQUESTS"})
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	c.advance(20 * time.Second)
	p.do(t, ask{"PATCH", busy, "bytes", nil, 202, ""})
	p.start(t, "r")
	p.do(t, ask{"GET", idle, nil, nil, 404, "BLOB_UPLOAD_UNKNOWN"})
	p.do(t, ask{"GET", busy, nil, nil, 204, ""})
	if names := p.staged(t); len(names) != 1 {
		t.Errorf("staged: %v", names)
	}
	c.advance(time.Hour)
	if err := p.api.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.do(t, ask{"GET", busy, nil, nil, 404, "BLOB_UPLOAD_UNKNOWN"})
	if names := p.staged(t); len(names) != 0 {
		t.Errorf("staged: %v", names)
	}
}

// TestSweep removes what a process that was killed left, and nothing else.
func TestSweep(t *testing.T) {
	p := open(t, nil)
	path := p.start(t, "r")
	p.do(t, ask{"PATCH", path, "bytes", nil, 202, ""})
	kept := p.staged(t)
	orphan := staging.NewUpload() + "-" + staging.NewUpload()
	for _, name := range []string{orphan, "README-of-somebody", ".hidden"} {
		if err := os.WriteFile(filepath.Join(p.dir, "uploads", name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.api.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := append(kept, "README-of-somebody", ".hidden")
	slices.Sort(want)
	if got := p.staged(t); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	p.do(t, ask{"PUT", path + "?digest=" + digest([]byte("bytes")), nil, nil, 201, ""})
}

// TestBrokenOff cuts connections in the middle of bodies: nothing is visible, and
// an upload goes on behind what came.
func TestBrokenOff(t *testing.T) {
	p := open(t, nil)
	whole := buckettest.Random(1, 8<<20)
	for name, request := range map[string]string{
		"post": "POST /v2/r/blobs/uploads/?digest=" + digest(whole), "manifest": "PUT /v2/r/manifests/latest",
		"put": "PUT " + p.start(t, "r") + "?digest=" + digest(whole),
	} {
		cut(t, p.url, request, whole[:5<<20], len(whole))
		p.do(t, ask{"HEAD", "/v2/r/blobs/" + digest(whole), nil, nil, 404, ""})
		p.do(t, ask{"HEAD", "/v2/r/manifests/latest", nil, nil, 404, ""})
		if _, err := p.options.Objects.Head(t.Context(), cid.Sum(whole)); !errors.Is(err, cas.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := p.start(t, "r")
	cut(t, p.url, "PATCH "+path, whole[:5<<20], len(whole))
	resp, _ := p.do(t, ask{"GET", path, nil, nil, 204, ""})
	came := 0
	if _, err := fmt.Sscanf(resp.Header.Get("Range"), "0-%d", &came); err != nil || came >= 5<<20 {
		t.Fatalf("%q, %v", resp.Header.Get("Range"), err)
	}
	if came++; came == 1 {
		came = 0
	}
	p.do(t, ask{"PATCH", path, whole[came:], []string{"Content-Range", fmt.Sprintf("%d-%d", came, len(whole)-1)}, 202, ""})
	p.do(t, ask{"PUT", path + "?digest=" + digest(whole), nil, nil, 201, ""})
	p.wantBlob(t, "r", digest(whole), whole)
}

// cut sends a part of a body, waits until the server is told that no more comes, and
// has answered or hung up.
func cut(t *testing.T, base, request string, part []byte, size int) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", request, size)
	// The server may refuse before it has read all of it.
	if _, err := conn.Write(part); err == nil {
		_ = conn.(*net.TCPConn).CloseWrite()
	}
	answer, _ := io.ReadAll(conn)
	if strings.Contains(string(answer), "HTTP/1.1 2") {
		t.Errorf("%s: %.100s", request, answer)
	}
}

// TestReplicas has two handlers over the same storage: an upload that begins at one
// goes on and ends at the other, parts in a bucket.
func TestReplicas(t *testing.T) {
	var other *ociapi.API
	p := open(t, func(o *ociapi.Options) {
		o.Staging = staging.InBucket(folder.Open(t.TempDir()))
		other = ociapi.New(*o)
	})
	first, second := p.url, p.serve(t, other)
	b := buckettest.Random(1, 10<<20)
	path := p.start(t, "r")
	for i := 0; i < len(b); i += 3 << 20 {
		p.url = []string{second, first}[i%2]
		p.do(t, ask{"PATCH", path, b[i:min(i+3<<20, len(b))], []string{"Content-Range", fmt.Sprintf("%d-%d", i, min(i+3<<20, len(b))-1)}, 202, ""})
	}
	p.url = second
	p.do(t, ask{"PUT", path + "?digest=" + digest512(b), nil, nil, 201, ""})
	p.url = first
	p.wantBlob(t, "r", digest512(b), b)
	p.do(t, ask{"GET", path, nil, nil, 404, "BLOB_UPLOAD_UNKNOWN"})
	for key, err := range p.options.Staging.List(t.Context()) {
		t.Errorf("left: %s, %v", key, err)
	}
}

// TestRaces pushes the same blobs and tags from several clients at once, and lets
// them fight for one upload: one wins, and the bytes are whole.
func TestRaces(t *testing.T) {
	p := open(t, nil)
	path := p.start(t, "r")
	var all sync.WaitGroup
	for client := range 6 {
		all.Go(func() {
			for i := range 5 {
				b := []byte(fmt.Sprint("blob ", i))
				p.do(t, ask{"POST", "/v2/r/blobs/uploads/?digest=" + digest(b), b, nil, 201, ""})
				p.wantBlob(t, "r", digest(b), b)
				own := p.start(t, "r")
				mine := []byte(fmt.Sprint("client ", client, " ", i))
				p.do(t, ask{"PATCH", own, mine, nil, 202, ""})
				p.do(t, ask{"PUT", own + "?digest=" + digest(mine), nil, nil, 201, ""})
				p.wantBlob(t, "r", digest(mine), mine)
				p.push(t, "/v2/r/manifests/tag", typeImage, p.image(t, "r", "annotations", object{"n": fmt.Sprint(client, i)}), 201, "")
				p.do(t, ask{"GET", "/v2/r/manifests/tag", nil, nil, 200, ""})
			}
		})
	}
	wins := make([]int, 6)
	for client := range wins {
		all.Go(func() {
			for i := range 10 {
				r, err := http.NewRequestWithContext(t.Context(), "PATCH", p.url+path, strings.NewReader("x"))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Content-Range", fmt.Sprintf("%d-%d", i, i))
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				if resp.Body.Close(); resp.StatusCode == 202 {
					wins[client]++
				}
			}
		})
	}
	all.Wait()
	won := 0
	for _, n := range wins {
		won += n
	}
	b := []byte(strings.Repeat("x", won))
	p.do(t, ask{"PUT", path + "?digest=" + digest(b), nil, nil, 201, ""})
	p.wantBlob(t, "r", digest(b), b)
	if names := p.staged(t); won == 0 || len(names) > 0 {
		t.Errorf("%d chunks, staged %v", won, names)
	}
}

// TestAccess holds what a refusal looks like, and that a ping asks for credentials
// where writing needs them.
func TestAccess(t *testing.T) {
	refusal := map[string]fault.Code{"": "registry_access", "Basic eDpy": "registry_forbidden"}
	p := open(t, func(o *ociapi.Options) {
		o.Authorise = func(r *http.Request, write bool) error {
			if code, refused := refusal[r.Header.Get("Authorization")]; refused && write {
				return fault.New(code, "no")
			}
			return nil
		}
	})
	d := digest([]byte("x"))
	resp, _ := p.do(t, ask{"GET", "/v2/", nil, nil, 401, "UNAUTHORIZED"})
	if got := resp.Header.Get("WWW-Authenticate"); got != `Basic realm="mythos"` {
		t.Errorf("WWW-Authenticate: %q", got)
	}
	reader, writer := []string{"Authorization", "Basic eDpy"}, []string{"Authorization", "Basic eDp3"}
	for _, a := range []ask{
		{"GET", "/v2/", nil, reader, 200, ""},
		{"GET", "/v2/", nil, writer, 200, ""},
		{"GET", "/v2/r/blobs/" + d, nil, nil, 404, "BLOB_UNKNOWN"},
		{"GET", "/v2/r/tags/list", nil, nil, 404, "NAME_UNKNOWN"},
		{"POST", "/v2/r/blobs/uploads/", nil, nil, 401, "UNAUTHORIZED"},
		{"POST", "/v2/R/blobs/uploads/", nil, nil, 401, "UNAUTHORIZED"},
		{"POST", "/v2/r/blobs/uploads/", nil, reader, 403, "DENIED"},
		{"POST", "/v2/r/blobs/uploads/", nil, writer, 202, ""},
		{"PUT", "/v2/r/manifests/x", "{}", reader, 403, "DENIED"},
		{"DELETE", "/v2/r/manifests/x", nil, nil, 401, "UNAUTHORIZED"},
		{"DELETE", "/v2/r/blobs/" + d, nil, reader, 403, "DENIED"},
		{"GET", "/v2/r/blobs/uploads/x", nil, reader, 403, "DENIED"},
	} {
		p.do(t, a)
	}
}

// failing is a remote whose operations fail with an error while it has one.
type failing struct {
	remote.Remote
	err error
}

func (f *failing) Head(ctx context.Context, id cid.Hash) (int64, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.Remote.Head(ctx, id)
}

func (f *failing) Put(ctx context.Context, v bucket.Value) error {
	if f.err != nil {
		return f.err
	}
	return f.Remote.Put(ctx, v)
}

// TestStorageFails: what the storage cannot do now is never said to be missing, its
// words are not told, and an upload goes on afterwards.
func TestStorageFails(t *testing.T) {
	storage := &failing{}
	var told []error
	p := open(t, func(o *ociapi.Options) {
		storage.Remote = o.Objects
		o.Objects, o.Failed = storage, func(_ *http.Request, err error) { told = append(told, err) }
	})
	b := []byte("bytes")
	d, raw := p.blob(t, "r", b), p.image(t, "r")
	p.push(t, "/v2/r/manifests/1", typeImage, raw, 201, "")
	path := p.start(t, "r")
	other := []byte("other bytes")
	p.do(t, ask{"PATCH", path, other, nil, 202, ""})
	for status, err := range map[int]error{
		503: fault.New(cas.ErrUnavailable, "secret"), 507: fault.New(cas.ErrFull, "secret"),
	} {
		storage.err, told = err, nil
		for _, a := range []ask{
			{"GET", "/v2/r/blobs/" + d, nil, nil, status, "UNAVAILABLE"},
			{"GET", "/v2/r/manifests/1", nil, nil, status, "UNAVAILABLE"},
			{"POST", "/v2/r/blobs/uploads/?digest=" + digest(other), other, nil, status, "UNAVAILABLE"},
			{"PUT", path + "?digest=" + digest(other), nil, nil, status, "UNAVAILABLE"},
			{"PUT", "/v2/r/manifests/2", raw, []string{"Content-Type", typeImage}, status, "UNAVAILABLE"},
		} {
			if _, body := p.do(t, a); strings.Contains(string(body), "secret") {
				t.Errorf("%s", body)
			}
		}
		if len(told) != 5 {
			t.Errorf("told of %d failures: %v", len(told), told)
		}
	}
	storage.err = nil
	p.do(t, ask{"PUT", path + "?digest=" + digest(other), nil, nil, 201, ""})
	p.wantBlob(t, "r", digest(other), other)

	// An object that was collected is to be pushed again.
	if err := storage.Delete(t.Context(), cid.Sum(b)); err != nil {
		t.Fatal(err)
	}
	p.do(t, ask{"HEAD", "/v2/r/blobs/" + d, nil, nil, 404, ""})
	p.blob(t, "r", b)
	p.wantBlob(t, "r", d, b)
}

// TestOneObject: the digests of an object, and its being a manifest, do not make
// more of it.
func TestOneObject(t *testing.T) {
	p := open(t, nil)
	raw := p.image(t, "r")
	for _, d := range []string{digest(raw), digest512(raw)} {
		for _, repository := range []string{"r", "q"} {
			p.do(t, ask{"POST", "/v2/" + repository + "/blobs/uploads/?digest=" + d, raw, nil, 201, ""})
		}
		p.push(t, "/v2/r/manifests/"+d, typeImage, raw, 201, "")
	}
	count := 0
	for o, err := range p.options.Objects.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if count++; o.CID != cid.Sum(raw) && o.CID != cid.Sum([]byte("{}")) {
			t.Errorf("%v", o)
		}
	}
	if count != 2 {
		t.Errorf("%d objects", count)
	}
}
