package network

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
)

// proxied is a proxy under test.
type proxied struct {
	t      testing.TB
	socket string
	stop   context.CancelFunc
	ended  chan error
}

// start serves a proxy on a unix socket until the test ends.
func start(t testing.TB, e *Egress, n *runner.Net) *proxied {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "net.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &proxied{t: t, socket: socket, stop: stop, ended: make(chan error, 1)}
	go func() { p.ended <- e.Serve(ctx, ln, n) }()
	t.Cleanup(p.end)
	return p
}

// end stops the proxy and waits for it.
func (p *proxied) end() {
	p.stop()
	if err, ok := <-p.ended; ok && err != nil {
		p.t.Errorf("Serve: %v", err)
	}
	select {
	case <-p.ended:
	default:
		close(p.ended)
	}
}

// dial connects to the proxy.
func (p *proxied) dial() *net.UnixConn {
	p.t.Helper()
	c, err := net.Dial("unix", p.socket)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	return c.(*net.UnixConn)
}

// say sends text and reads one response.
func (p *proxied) say(c net.Conn, format string, args ...any) (*http.Response, *bufio.Reader) {
	p.t.Helper()
	if _, err := fmt.Fprintf(c, format, args...); err != nil {
		p.t.Fatal(err)
	}
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return res, r
}

// ask makes one request over a connection of its own.
func (p *proxied) ask(format string, args ...any) (status int, code, body string) {
	p.t.Helper()
	res, _ := p.say(p.dial(), format, args...)
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get(ErrorHeader), string(b)
}

// client is an HTTP client that reaches everything through the proxy.
func (p *proxied) client(roots *x509.CertPool) *http.Client {
	transport := &http.Transport{
		Proxy:           http.ProxyURL(mustURL("http://proxy.example")),
		DialContext:     func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", p.socket) },
		TLSClientConfig: &tls.Config{RootCAs: roots},
	}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// TestProxyForwards: methods, headers and bodies pass, what is about one
// connection does not.
func TestProxyForwards(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		for _, name := range []string{"Proxy-Authorization", "Proxy-Connection", "X-Hop", "Te", "Upgrade", "Keep-Alive", "X-Forwarded-For", "Via"} {
			if r.Header[name] != nil {
				t.Errorf("%s came through", name)
			}
		}
		w.Header().Set(ErrorHeader, "forged")
		w.Header().Set("X-Back", r.Header.Get("X-There"))
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "%s %s %s %q", r.Method, r.Host, r.URL, body)
	})
	port := portOf(t, s.URL)
	p := start(t, New(Options{Resolver: local("a.example")}), (&guard{}).net())
	res, _ := p.say(p.dial(), "POST http://A.example:%s/p?q HTTP/1.1\r\nHost: evil.example\r\nX-There: yes\r\nX-Hop: no\r\n"+
		"Connection: X-Hop, close\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nTE: trailers\r\nUpgrade: h2c\r\nKeep-Alive: 5\r\n"+
		"Content-Length: 4\r\n\r\nbody", port)
	body, err := io.ReadAll(res.Body)
	if want := `POST a.example:` + port + ` /p?q "body"`; err != nil || res.StatusCode != http.StatusCreated || string(body) != want {
		t.Errorf("status %d, %s, %v, want %s", res.StatusCode, body, err, want)
	}
	if h := res.Header; h.Get("X-Back") != "yes" || h.Get(ErrorHeader) != "" {
		t.Errorf("headers %v", h)
	}
}

func TestEndToEnd(t *testing.T) {
	got := endToEnd(http.Header{
		"Connection": {"x-one, X-Two", "X-Three"}, "X-One": {"1"}, "X-Two": {"2"}, "X-Three": {"3"}, "X-Four": {"4"},
		"Keep-Alive": {"5"}, "Proxy-Authenticate": {"x"}, "Trailer": {"x"}, "Set-Cookie": {"a", "b"},
	})
	want := http.Header{"X-Four": {"4"}, "Set-Cookie": {"a", "b"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestProxyStreams: a body goes on as it comes, in both directions.
func TestProxyStreams(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if err := control.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		line := make([]byte, 1)
		for {
			if _, err := io.ReadFull(r.Body, line); err != nil {
				return
			}
			_, _ = w.Write(bytes.ToUpper(line))
			_ = control.Flush()
		}
	})
	p := start(t, New(Options{}), (&guard{}).net())
	c := p.dial()
	res, _ := p.say(c, "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", s.URL)
	one := make([]byte, 1)
	for _, want := range "ABC" {
		if _, err := io.ReadFull(res.Body, one); err != nil || rune(one[0]) != want {
			t.Fatalf("got %q, %v, want %c", one, err, want)
		}
		if want < 'C' {
			fmt.Fprintf(c, "1\r\n%c\r\n", want+1)
		}
	}
	fmt.Fprint(c, "0\r\n\r\n")
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) != 0 {
		t.Errorf("at the end: %q, %v", rest, err)
	}
}

// TestProxyTLS: https works as an absolute URL, where the host does TLS, and
// through CONNECT, where the client does.
func TestProxyTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "over TLS") }))
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	address := "https://example.com:" + portOf(t, s.URL)
	g := &guard{}
	p := start(t, New(Options{Resolver: local("example.com"), RootCAs: roots}), g.net())
	if status, _, body := p.ask("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", address); status != 200 || body != "over TLS" {
		t.Errorf("by the host: %d %q", status, body)
	}
	res, err := p.client(roots).Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || string(b) != "over TLS" {
		t.Errorf("by the client: %q, %v", b, err)
	}
	if want := "GET example.com 127.0.0.1, example.com 127.0.0.1"; strings.Join(trimmed(g.list()), ", ") != want {
		t.Errorf("asked %q", g.list())
	}
	strange := start(t, New(Options{Resolver: local("example.com"), RootCAs: x509.NewCertPool()}), g.net())
	if status, code, _ := strange.ask("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", address); status != 502 || code != string(ErrTLS) {
		t.Errorf("an unknown authority: %d %s", status, code)
	}
}

func trimmed(list []string) []string {
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// TestProxyRefuses names every refusal and its answer.
func TestProxyRefuses(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a refused request arrived") })
	port, closed := portOf(t, s.URL), closedPort(t)
	e := New(Options{Resolver: local("a.example", "b.example"), MaxStream: 100, ConnectTimeout: 5 * time.Second})
	n := (&guard{deny: func(c runner.Connect) bool {
		return c.Host == "b.example" || fmt.Sprint(c.Port) != port && fmt.Sprint(c.Port) != closed
	}}).net()
	all, web := start(t, e, n), start(t, e, &runner.Net{HTTPOnly: true, Allow: n.Allow})
	drip := silent(t, "HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n")
	lax := start(t, e, (&guard{}).net())
	for name, c := range map[string]struct {
		proxy   *proxied
		request string
		status  int
		code    fault.Code
	}{
		"CONNECT to a denied port":    {all, "CONNECT a.example:22 HTTP/1.1\r\nHost: a.example:22\r\n\r\n", 403, runner.ErrDenied},
		"CONNECT to a denied host":    {all, "CONNECT b.example:" + port + " HTTP/1.1\r\nHost: x\r\n\r\n", 403, runner.ErrDenied},
		"CONNECT, HTTP only":          {web, "CONNECT a.example:" + port + " HTTP/1.1\r\nHost: x\r\n\r\n", 403, runner.ErrDenied},
		"GET from a denied host":      {all, "GET http://b.example:" + port + "/ HTTP/1.1\r\nHost: a.example\r\n\r\n", 403, runner.ErrDenied},
		"GET from a denied port":      {web, "GET http://a.example/ HTTP/1.1\r\nHost: x\r\n\r\n", 403, runner.ErrDenied},
		"CONNECT, nobody there":       {all, "CONNECT a.example:" + closed + " HTTP/1.1\r\nHost: x\r\n\r\n", 502, ErrConnect},
		"GET, nobody there":           {all, "GET http://a.example:" + closed + "/ HTTP/1.1\r\nHost: x\r\n\r\n", 502, ErrConnect},
		"GET, no such name":           {all, "GET http://c.example:" + port + "/ HTTP/1.1\r\nHost: x\r\n\r\n", 502, ErrDNS},
		"GET, a large answer":         {lax, "GET " + drip + " HTTP/1.1\r\nHost: x\r\n\r\n", 502, ErrTooLarge},
		"POST, a large body":          {all, "POST http://a.example:" + port + " HTTP/1.1\r\nHost: x\r\nContent-Length: 4294967296\r\n\r\n", 502, ErrTooLarge},
		"CONNECT without a port":      {all, "CONNECT a.example HTTP/1.1\r\nHost: x\r\n\r\n", 400, ErrTarget},
		"CONNECT to port 0":           {all, "CONNECT a.example:0 HTTP/1.1\r\nHost: x\r\n\r\n", 400, ErrTarget},
		"origin form":                 {all, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 400, ErrTarget},
		"another scheme":              {all, "GET ftp://a.example/ HTTP/1.1\r\nHost: x\r\n\r\n", 400, ErrTarget},
		"a user":                      {all, "GET http://u:p@a.example/ HTTP/1.1\r\nHost: x\r\n\r\n", 400, ErrTarget},
		"an odd address":              {all, "GET http://127.1/ HTTP/1.1\r\nHost: x\r\n\r\n", 400, ErrTarget},
		"all servers":                 {all, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400, ErrTarget},
		"HTTP/2 with prior knowledge": {all, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, ErrTarget},
		"no HTTP":                     {all, "hello\r\n\r\n", 400, ""},
		"a huge header":               {all, "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 1<<17) + "\r\n\r\n", 431, ""},
		"two lengths":                 {all, "POST http://a.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.proxy.t = t
			status, code, body := c.proxy.ask("%s", c.request)
			if status != c.status || code != string(c.code) {
				t.Errorf("got %d %q: %s; want %d %q", status, code, body, c.status, c.code)
			}
			if c.code != "" && (!strings.HasPrefix(body, string(c.code)+": ") || len(body) > 300) {
				t.Errorf("it says %q", body)
			}
		})
		c.proxy.t = t
	}
}

// TestProxyChunkedBound: bodies without a length are bounded too, and an answer
// that is cut off looks cut off.
func TestProxyChunkedBound(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err == nil && r.Method == http.MethodPost {
			t.Errorf("the server read %d bytes to the end", n)
		}
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(make([]byte, 101))
	})
	p := start(t, New(Options{MaxStream: 100}), (&guard{}).net())
	status, code, _ := p.ask("POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n%s\r\n0\r\n\r\n", s.URL, strings.Repeat("x", 101))
	if status != 502 || code != string(ErrTooLarge) {
		t.Errorf("a long request: %d %s", status, code)
	}
	res, _ := p.say(p.dial(), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", s.URL)
	if b, err := io.ReadAll(res.Body); err == nil || len(b) > 100 {
		t.Errorf("a long response: %d bytes, %v", len(b), err)
	}
}

// echoTCP is a server of bytes: it answers what it reads, and after the end of it
// says so.
func echoTCP(t testing.TB) net.Addr {
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
			_, _ = io.Copy(c, c)
			_, _ = io.WriteString(c, "end")
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-served
	})
	return ln.Addr()
}

// TestTunnel: bytes go both ways, those sent early too, and the end of one
// direction leaves the other open.
func TestTunnel(t *testing.T) {
	p := start(t, New(Options{}), (&guard{}).net())
	c := p.dial()
	res, r := p.say(c, "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\nearly ", echoTCP(t))
	if res.StatusCode != 200 {
		t.Fatalf("status %d", res.StatusCode)
	}
	large := bytes.Repeat([]byte("x"), 1<<20)
	go func() {
		_, _ = c.Write(large)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(r)
	if want := "early " + string(large) + "end"; err != nil || string(got) != want {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(want))
	}
}

// TestTunnelIdle: a tunnel in which nothing moves ends by itself, and so does one
// whose client never reads.
func TestTunnelIdle(t *testing.T) {
	p := start(t, New(Options{IdleTimeout: 300 * time.Millisecond}), (&guard{}).net())
	res, r := p.say(p.dial(), "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n", strings.TrimPrefix(silent(t, ""), "http://"))
	if _, err := r.ReadByte(); res.StatusCode != 200 || err == nil {
		t.Errorf("status %d, %v", res.StatusCode, err)
	}
}

// TestClientNeverReads: it is cut off, and the server behind notices.
func TestClientNeverReads(t *testing.T) {
	gone := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		defer close(gone)
		block := make([]byte, 64<<10)
		for {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	p := start(t, New(Options{IdleTimeout: 300 * time.Millisecond}), (&guard{}).net())
	fmt.Fprintf(p.dial(), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", s.URL)
	<-gone
}

// TestClientGoesAway: the request behind it ends.
func TestClientGoesAway(t *testing.T) {
	begun, gone := make(chan struct{}), make(chan struct{})
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(gone)
	})
	p := start(t, New(Options{}), (&guard{}).net())
	c := p.dial()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", s.URL)
	<-begun
	_ = c.Close()
	<-gone
}

// TestMaxConns: one connection more than allowed waits until another ends.
func TestMaxConns(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	p := start(t, New(Options{MaxConns: 1}), (&guard{}).net())
	first := p.dial()
	if res, _ := p.say(first, "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n", echoTCP(t)); res.StatusCode != 200 {
		t.Fatalf("status %d", res.StatusCode)
	}
	second := p.dial()
	fmt.Fprintf(second, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", s.URL)
	_ = first.Close()
	if res, err := http.ReadResponse(bufio.NewReader(second), nil); err != nil || res.StatusCode != 200 {
		t.Errorf("after the first: %v, %v", res, err)
	}
}

// oneEnd is a listener that gives pipes and counts them.
type oneEnd struct {
	net.Listener
	accepted int
}

func (l *oneEnd) Accept() (net.Conn, error) {
	l.accepted++
	near, far := net.Pipe()
	return near, far.Close()
}

// TestListener: no connection is accepted without a slot, and a closed one gives
// its slot back once.
func TestListener(t *testing.T) {
	inner, done := &oneEnd{}, make(chan struct{})
	l := &listener{Listener: inner, slots: make(chan struct{}, 2), done: done}
	var open [2]net.Conn
	for i := range open {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		open[i] = c
	}
	_, _ = open[0].Close(), open[0].Close()
	third, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	close(done)
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) || inner.accepted != 3 {
		t.Errorf("with no slot: %v, %d accepted", err, inner.accepted)
	}
	_, _ = open[1].Close(), third.Close()
	l.open.Wait()
	if len(l.slots) != 0 {
		t.Errorf("%d slots are taken", len(l.slots))
	}
}

// TestServeEnds: nothing is left when the call ends, whatever is under way.
func TestServeEnds(t *testing.T) {
	begun := make(chan struct{}, 1)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("x"))
		_ = http.NewResponseController(w).Flush()
		begun <- struct{}{}
		<-r.Context().Done()
	})
	p := start(t, New(Options{Resolver: waiting{func() { begun <- struct{}{} }}}), (&guard{}).net())
	resolving, waits, tunnel := p.dial(), p.dial(), p.dial()
	idle := p.dial()
	fmt.Fprint(resolving, "GET http://a.example/ HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	fmt.Fprintf(waits, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", s.URL)
	<-begun
	if res, _ := p.say(tunnel, "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n", echoTCP(t)); res.StatusCode != 200 {
		t.Fatalf("status %d", res.StatusCode)
	}
	p.end()
	for name, c := range map[string]net.Conn{"resolving": resolving, "waiting": waits, "tunnel": tunnel, "idle": idle} {
		if _, err := io.ReadAll(c); err != nil && !isReset(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := net.Dial("unix", p.socket); err == nil {
		t.Error("the socket still answers")
	}
}

// TestServeSocketFails: an error of the socket is reported.
func TestServeSocketFails(t *testing.T) {
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	if err := New(Options{}).Serve(t.Context(), ln, nil); fault.CodeOf(err) != ErrConnect {
		t.Errorf("Serve: %v", err)
	}
}

// FuzzProxy: no bytes make the proxy connect to what its guard was not asked
// about, or leave it unable to serve the next client.
func FuzzProxy(f *testing.F) {
	for _, s := range []string{
		"GET http://a.example/ HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT a.example:443 HTTP/1.1\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
		"POST https://a.example/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "\x16\x03\x01", "",
	} {
		f.Add([]byte(s))
	}
	asked := &names{answers: map[string][][]string{}}
	g := &guard{deny: func(runner.Connect) bool { return true }}
	p := start(f, New(Options{Resolver: asked}), g.net())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := net.Dial("unix", p.socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = c.Write(b)
		_ = c.(*net.UnixConn).CloseWrite()
		answer, _ := io.ReadAll(c)
		if bytes.Contains(answer, []byte(" 200 Connection established")) {
			t.Fatalf("% x got a tunnel", b)
		}
		for _, host := range asked.hosts() {
			if _, ok := literal(host); ok || !soundName(host) {
				t.Fatalf("resolved %q", host)
			}
		}
	})
}
