package network

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
)

func TestDo(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Host", r.Host)
		w.Header()["X-Two"] = []string{"a", "b"}
		w.Header().Set("Keep-Alive", "timeout=5")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %q %q %q", r.Method, r.URL, r.Header["X-A"], r.Header["User-Agent"], body)
	})
	g := &guard{}
	e := New(Options{Resolver: local("a.example")})
	address := "http://a.example:" + portOf(t, s.URL) + "/p?q=1"
	res := e.Do(t.Context(), g.net(), Fetch{
		Method: "PUT", Target: target(t, address), Headers: []Header{{Name: "x-a", Value: "1"}, {Name: "x-a", Value: "2"}},
		Body: []byte("text"), MaxBody: 100,
	})
	wantCode(t, res, "")
	if want := `PUT /p?q=1 ["1" "2"] [] "text"`; res.Status != http.StatusTeapot || string(res.Body) != want || res.Url != address {
		t.Errorf("status %d, %s from %s, want %s", res.Status, res.Body, res.Url, want)
	}
	if header(res, "x-host") != "a.example:"+portOf(t, s.URL) || header(res, "keep-alive") != "" || header(res, "connection") != "" {
		t.Errorf("headers %v", res.Headers)
	}
	if !slices.IsSortedFunc(res.Headers, func(a, b abi.HTTPHeader) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("headers are not sorted: %v", res.Headers)
	}
	if want := []string{"PUT a.example 127.0.0.1"}; !slices.Equal(g.list(), want) {
		t.Errorf("asked %q, want %q", g.list(), want)
	}
}

// TestEachRequestIsAsked: no connection serves two requests.
func TestEachRequestIsAsked(t *testing.T) {
	remotes := make(chan string, 3)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { remotes <- r.RemoteAddr })
	g := &guard{}
	e := New(Options{})
	seen := map[string]bool{}
	for range 3 {
		wantCode(t, get(t, e, g.net(), s.URL), "")
		seen[<-remotes] = true
	}
	if len(seen) != 3 || len(g.list()) != 3 {
		t.Errorf("%d connections, asked %q", len(seen), g.list())
	}
}

// TestEnvironment: a proxy that the environment names is not used.
func TestEnvironment(t *testing.T) {
	proxied := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the proxy was used") })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"} {
		t.Setenv(name, proxied.URL)
	}
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	e := New(Options{Resolver: local("a.example")}) // Go uses no proxy for loopback addresses
	wantCode(t, get(t, e, (&guard{}).net(), "http://a.example:"+portOf(t, s.URL)), "")
}

func TestRefused(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a refused request arrived") })
	e := New(Options{})
	for name, n := range map[string]*runner.Net{
		"no network": nil,
		"no answer":  {},
		"denied":     (&guard{deny: func(runner.Connect) bool { return true }}).net(),
		"other code": {Allow: func(runner.Connect) error { return fault.New("cap_scope", "no") }},
	} {
		res := get(t, e, n, s.URL)
		if wantCode(t, res, runner.ErrDenied); res.Url != s.URL {
			t.Errorf("%s: the response names %q", name, res.Url)
		}
	}
}

// TestRebinding: a name is resolved once, and every address is asked about
// before it is tried. What a second question would give does not matter.
func TestRebinding(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	port := portOf(t, s.URL)
	private := func(c runner.Connect) bool { return c.Addr.IsPrivate() || c.Addr.IsLinkLocalUnicast() }
	for name, c := range map[string]struct {
		answers [][]string
		code    fault.Code
		asked   []string
	}{
		"the second answer is private":  {[][]string{{"127.0.0.1"}, {"10.0.0.1"}}, "", []string{"127.0.0.1"}},
		"the first address is private":  {[][]string{{"10.0.0.1", "127.0.0.1"}}, "", []string{"10.0.0.1", "127.0.0.1"}},
		"all addresses are private":     {[][]string{{"10.0.0.1", "169.254.169.254"}}, runner.ErrDenied, []string{"10.0.0.1", "169.254.169.254"}},
		"private in IPv6 clothes":       {[][]string{{"::ffff:10.0.0.1"}}, runner.ErrDenied, []string{"10.0.0.1"}},
		"an address that does not work": {[][]string{{"127.0.0.2", "127.0.0.1"}}, "", []string{"127.0.0.2", "127.0.0.1"}},
		"no address":                    {[][]string{{}}, ErrDNS, nil},
		"no such name":                  {nil, ErrDNS, nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := &guard{deny: private}
			n := &names{answers: map[string][][]string{"a.example": c.answers}}
			wantCode(t, get(t, New(Options{Resolver: n}), g.net(), "http://a.example:"+port), c.code)
			var asked []string
			for _, a := range g.list() {
				asked = append(asked, strings.TrimPrefix(a, "GET a.example "))
			}
			if !slices.Equal(asked, c.asked) || len(n.asked) != 1 {
				t.Errorf("asked about %q, want %q; resolved %q", asked, c.asked, n.asked)
			}
		})
	}
}

// TestManyAddresses: a name with many addresses costs a bounded number of tries.
func TestManyAddresses(t *testing.T) {
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprintf("10.0.%d.%d", i/250, i%250)
	}
	g := &guard{deny: func(runner.Connect) bool { return true }}
	wantCode(t, get(t, New(Options{Resolver: &names{answers: map[string][][]string{"a.example": {many}}}}), g.net(), "http://a.example/"), runner.ErrDenied)
	if len(g.list()) != maxAddresses {
		t.Errorf("asked about %d addresses", len(g.list()))
	}
}

// silent accepts connections and says what script says, then waits for the end.
func silent(t *testing.T, script string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if _, err := io.WriteString(c, script); err == nil {
				_, _ = io.Copy(io.Discard, c) // until the client goes
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-served
	})
	return "http://" + ln.Addr().String()
}

// TestBadServers: what a server does that it should not.
func TestBadServers(t *testing.T) {
	drip := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("x"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	endless := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		block := make([]byte, 64<<10)
		for {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	short := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = w.Write([]byte("short"))
	})
	for name, c := range map[string]struct {
		address string
		code    fault.Code
	}{
		"slow drip":        {drip.URL, ErrTimeout},
		"says nothing":     {silent(t, ""), ErrTimeout},
		"half a head":      {silent(t, "HTTP/1.1 200 OK\r\nX: "), ErrTimeout},
		"endless body":     {endless.URL, ErrTooLarge},
		"4 GiB announced":  {silent(t, "HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\nx"), ErrTooLarge},
		"ends early":       {short.URL, ErrProtocol},
		"huge header":      {silent(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<20)), ErrProtocol},
		"many headers":     {silent(t, "HTTP/1.1 200 OK\r\n"+strings.Repeat("X: y\r\n", 1<<16)), ErrProtocol},
		"many 1xx":         {silent(t, strings.Repeat("HTTP/1.1 103 Early\r\nX: y\r\n\r\n", 1<<16)), ErrProtocol},
		"no HTTP":          {silent(t, "SSH-2.0-OpenSSH_9.9\r\n"), ErrProtocol},
		"another protocol": {silent(t, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), ErrProtocol},
		"negative length":  {silent(t, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), ErrProtocol},
		"two lengths":      {silent(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), ErrProtocol},
		"nobody listens":   {"http://127.0.0.1:" + closedPort(t), ErrConnect},
	} {
		t.Run(name, func(t *testing.T) {
			f := Fetch{Method: "GET", Target: target(t, c.address), MaxBody: 1 << 20, Timeout: 30 * time.Second}
			if c.code == ErrTimeout {
				f.Timeout = 50 * time.Millisecond
			}
			wantCode(t, New(Options{}).Do(t.Context(), (&guard{}).net(), f), c.code)
		})
	}
}

// TestIdle: a connection on which nothing moves ends by itself.
func TestIdle(t *testing.T) {
	e := New(Options{IdleTimeout: 50 * time.Millisecond})
	wantCode(t, get(t, e, (&guard{}).net(), silent(t, "")), ErrTimeout)
}

// TestContextEnds: the caller's context ends a request, while it resolves, too.
func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	e := New(Options{Resolver: waiting{cancel}})
	wantCode(t, e.Do(ctx, (&guard{}).net(), Fetch{Method: "GET", Target: target(t, "http://a.example/")}), ErrTimeout)
}

// waiting is a resolver that never answers.
type waiting struct{ begun func() }

func (w waiting) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	w.begun()
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestMaxBody(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/chunked" {
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = w.Write(bytes.Repeat([]byte("x"), 100))
	})
	for _, path := range []string{"/", "/chunked"} {
		for limit, want := range map[int64]fault.Code{0: ErrTooLarge, 99: ErrTooLarge, 100: "", 101: ""} {
			f := Fetch{Method: "GET", Target: target(t, s.URL+path), MaxBody: limit}
			wantCode(t, New(Options{}).Do(t.Context(), (&guard{}).net(), f), want)
		}
	}
	head := New(Options{}).Do(t.Context(), (&guard{}).net(), Fetch{Method: "HEAD", Target: target(t, s.URL)})
	if wantCode(t, head, ""); header(head, "content-length") != "100" || len(head.Body) != 0 {
		t.Errorf("HEAD: %+v", head)
	}
}

// TestTLS: the certificate must be the name's and come from a known authority.
func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto, " ", r.TLS.ServerName)
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	t.Cleanup(s.Close)
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	resolver := local("example.com", "other.example")
	port := portOf(t, s.URL)
	for name, c := range map[string]struct {
		address string
		roots   *x509.CertPool
		code    fault.Code
	}{
		"its name":        {"https://example.com:" + port, roots, ""},
		"its address":     {"https://127.0.0.1:" + port, roots, ""},
		"another name":    {"https://other.example:" + port, roots, ErrTLS},
		"unknown":         {"https://example.com:" + port, x509.NewCertPool(), ErrTLS},
		"no TLS there":    {"https://example.com:" + portOf(t, plain.URL), roots, ErrTLS},
		"no TLS here":     {"http://example.com:" + port, roots, ""}, // Go's server says so in plain HTTP
		"never shakes":    {strings.Replace(silent(t, ""), "http:", "https:", 1), roots, ErrTimeout},
		"shakes and ends": {strings.Replace(silent(t, "\x15\x03\x01\x00\x02\x02\x28"), "http:", "https:", 1), roots, ErrTLS},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Resolver: resolver, RootCAs: c.roots}
			if c.code == ErrTimeout {
				o.ConnectTimeout = 50 * time.Millisecond
			}
			res := get(t, New(o), (&guard{}).net(), c.address)
			wantCode(t, res, c.code)
			if name == "its name" && string(res.Body) != "HTTP/1.1 example.com" {
				t.Errorf("the server saw %q", res.Body)
			}
		})
	}
}
