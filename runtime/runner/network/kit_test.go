package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// names is a resolver of a few names. Each question takes the next answer; the
// last is given for ever.
type names struct {
	mu      sync.Mutex
	answers map[string][][]string
	asked   []string
}

func (n *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, host)
	all := n.answers[host]
	if len(all) == 0 {
		return nil, errors.New("no such host")
	}
	if len(all) > 1 {
		n.answers[host] = all[1:]
	}
	var out []netip.Addr
	for _, a := range all[0] {
		out = append(out, netip.MustParseAddr(a))
	}
	return out, nil
}

// local resolves every given name to this machine.
func local(hosts ...string) *names {
	n := &names{answers: map[string][][]string{}}
	for _, h := range hosts {
		n.answers[h] = [][]string{{"127.0.0.1"}}
	}
	return n
}

// guard is a runner.Net that remembers what it was asked about and refuses what
// deny says.
type guard struct {
	mu    sync.Mutex
	asked []string
	deny  func(runner.Connect) bool
}

func (g *guard) net() *runner.Net { return &runner.Net{Allow: g.allow} }

func (g *guard) allow(c runner.Connect) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, fmt.Sprintf("%s %s %s", c.Method, c.Host, c.Addr))
	if g.deny != nil && g.deny(c) {
		return fault.New(runner.ErrDenied, "hosts do not list %s", c.Host)
	}
	return nil
}

func (g *guard) list() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.asked)
}

// serve starts a server on this machine.
func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// portOf is the port of a server.
func portOf(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

func target(t testing.TB, text string) Target {
	t.Helper()
	x, err := ParseURL(text)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// closedPort is a port of this machine where nothing listens.
func closedPort(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}

// get fetches with the usual bounds.
func get(t testing.TB, e *Egress, n *runner.Net, address string) abi.HTTPResponse {
	t.Helper()
	return e.Do(t.Context(), n, Fetch{Method: "GET", Target: target(t, address), Redirects: 5, MaxBody: 1 << 20})
}

// code is the error of a response, "" if it has none.
func code(x abi.HTTPResponse) fault.Code {
	if x.Error == nil {
		return ""
	}
	return fault.Code(x.Error.Code)
}

func wantCode(t testing.TB, x abi.HTTPResponse, want fault.Code) {
	t.Helper()
	if code(x) != want || (want != "" && (x.Status != 0 || x.Body != nil)) {
		t.Errorf("status %d, error %+v, want %q", x.Status, x.Error, want)
	}
}

func header(x abi.HTTPResponse, name string) string {
	for _, h := range x.Headers {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// quiet is a log that nobody reads.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// hosts are the names that were asked for.
func (n *names) hosts() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.asked)
}

func mustURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}

// isReset reports whether the other side closed with data unread.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
