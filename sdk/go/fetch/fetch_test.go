//go:build !wasip1

package fetch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/sdk/go/tool"
)

func TestEncode(t *testing.T) {
	q := Request{
		Method: "POST", URL: "https://example.org/", Headers: []Header{{"accept", "*/*"}}, Body: []byte{1},
		NoRedirects: true, Timeout: time.Second, MaxBody: 9,
	}
	header := tool.Map(field(1, tool.Text("accept")), field(2, tool.Text("*/*")))
	want := tool.Map(
		field(1, tool.Text("mythos.http.request")), field(2, tool.Text("POST")), field(3, tool.Text("https://example.org/")),
		field(4, tool.List(header)), field(5, tool.Bytes([]byte{1})), field(6, tool.Uint(0)), field(7, tool.Uint(1e6)), field(8, tool.Uint(9)),
	)
	if d := cmp.Diff(want.Raw(), encode(&q).Raw()); d != "" {
		t.Error(d)
	}
}

func TestDecode(t *testing.T) {
	header := tool.Map(field(1, tool.Text("a")), field(2, tool.Text("b")))
	v := tool.Map(
		field(1, tool.Text("mythos.http.response")), field(2, tool.Uint(404)), field(3, tool.Text("u")),
		field(4, tool.List(header)), field(5, tool.Bytes([]byte("x"))),
	)
	got, err := decode(v)
	if err != nil {
		t.Fatal(err)
	}
	want := &Response{Status: 404, URL: "u", Headers: []Header{{"a", "b"}}, Body: []byte("x")}
	if d := cmp.Diff(want, got); d != "" || got.Header("a") != "b" || got.Header("c") != "" {
		t.Error(d)
	}
	failed := tool.Map(field(2, tool.Uint(0)), field(5, tool.Bytes(nil)), field(6, tool.Map(field(1, tool.Text("grant_denied")))))
	if _, err := decode(failed); !errors.Is(err, tool.ErrDenied) {
		t.Errorf("got %v, want it denied", err)
	}
	for _, bad := range []tool.Value{tool.Null(), tool.Map(field(2, tool.Text("x"))), tool.Object(map[string]tool.Value{"a": tool.Null()})} {
		if _, err := decode(bad); err == nil {
			t.Errorf("% x was taken for a response", bad.Raw())
		}
	}
}

// startProxy is a host's proxy that answers by the URL's path.
func startProxy(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "net.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch {
		case q.Method == http.MethodConnect:
			tunnel(w, q)
		case q.URL.Path == "/denied":
			w.Header().Set("Mythos-Error", "grant_denied")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintln(w, "host example.org")
		case q.URL.Path == "/again":
			http.Redirect(w, q, q.URL.Scheme+"://example.org/again", http.StatusFound)
		case q.URL.Path == "/large":
			_, _ = io.WriteString(w, strings.Repeat("x", 1000))
		default:
			w.Header().Set("X-Agent", fmt.Sprint(q.Header["User-Agent"]))
			body, _ := io.ReadAll(q.Body)
			fmt.Fprintf(w, "%s %s %s %s", q.Method, q.URL, q.Header.Get("x-one"), body)
		}
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	t.Setenv("MYTHOS_NET", path)
}

// tunnel answers a line in capitals.
func tunnel(w http.ResponseWriter, q *http.Request) {
	if q.Host != "example.org:7" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	line, _ := rw.ReadString('\n')
	_, _ = io.WriteString(conn, strings.ToUpper(line))
}

func TestDo(t *testing.T) {
	startProxy(t)
	q := Request{Method: "POST", URL: "https://example.org/x?y=1", Headers: []Header{{"x-one", "1"}}, Body: []byte("hi")}
	got, err := Do(q)
	if err != nil {
		t.Fatal(err)
	}
	if want := "POST https://example.org/x?y=1 1 hi"; string(got.Body) != want || got.Status != 200 || got.Header("x-agent") != "[]" {
		t.Errorf("got %d %q, agent %s", got.Status, got.Body, got.Header("x-agent"))
	}
	if got, err := Do(Request{URL: "http://example.org/again", NoRedirects: true}); err != nil || got.Status != 302 {
		t.Errorf("a redirect not followed: %v, %v", got, err)
	}
	for url, code := range map[string]string{
		"http://example.org/denied": "grant_denied",
		"http://example.org/again":  "network_redirects",
		"http://example.org/large":  "network_too_large",
		":":                         "network_target",
	} {
		_, err := Do(Request{URL: url, MaxBody: 100})
		var e *Error
		if !errors.As(err, &e) || e.Code != code {
			t.Errorf("%s: got %v, want %s", url, err, code)
		}
	}
}

func TestDial(t *testing.T) {
	startProxy(t)
	conn, err := tool.Dial(t.Context(), "tcp", "example.org:7")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "hello\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "HELLO\n" {
		t.Errorf("got %q, %v", line, err)
	}
	if _, err := tool.Dial(t.Context(), "tcp", "example.org:8"); !errors.Is(err, tool.ErrDenied) {
		t.Errorf("another port: got %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tool.Dial(cancelled, "tcp", "example.org:7"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestWithoutGrant(t *testing.T) {
	t.Setenv("MYTHOS_NET", "")
	if _, err := Do(Request{URL: "http://example.org/"}); !errors.Is(err, tool.ErrDenied) {
		t.Errorf("Do: got %v", err)
	}
	if _, err := tool.Dial(t.Context(), "tcp", "example.org:7"); !errors.Is(err, tool.ErrDenied) {
		t.Errorf("Dial: got %v", err)
	}
}
