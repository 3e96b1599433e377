package remote

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// patience is how long a remote may be silent.
const patience = time.Minute

// Client returns a client of HTTP for remotes (RFC-MYTHOS-0011 §2): it ends a
// connection on which nothing moved for a minute, with an error that nobody tries
// again, follows a redirect to another host for reading only and without credentials,
// and no more than five of them.
func Client() *http.Client { return newClient(patience) }

func newClient(patience time.Duration) *http.Client {
	dialer := &net.Dialer{Timeout: patience, KeepAlive: patience}
	return &http.Client{
		Transport: &transport{patience: patience, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return &movingConn{conn, patience}, nil
			},
			ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second,
			TLSHandshakeTimeout: patience, ResponseHeaderTimeout: patience, ExpectContinueTimeout: 5 * time.Second,
			DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		}},
		CheckRedirect: redirect,
	}
}

// errRedirect says why a redirect was not followed.
var errRedirect = errors.New("a redirect that is not followed: only reading goes to another place, and five times at most")

func redirect(to *http.Request, via []*http.Request) error {
	first := via[0]
	reading := to.Method == http.MethodGet || to.Method == http.MethodHead
	if len(via) > 5 || !reading || first.URL.Scheme == "https" && to.URL.Scheme != "https" {
		return errRedirect
	}
	if to.URL.Host != first.URL.Host {
		to.Header.Del("Authorization")
		to.Header.Del("Cookie")
	}
	return nil
}

// errSilent tells what silent returned from other failures.
var errSilent = errors.New("the connection was given up")

// silent is the error of a remote that was silent for too long. It has a code, which
// bucket.Failed and BrokenOff take for final: every further try would last as long.
func silent(patience time.Duration) error {
	return fault.New(cas.ErrUnavailable, "nothing came for %v, and %w", patience, errSilent)
}

// transport tells a silence from the failures that may be tried again.
type transport struct {
	*http.Transport
	patience time.Duration
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.Transport.RoundTrip(r)
	var late net.Error
	if r.Context().Err() == nil && (errors.Is(err, errSilent) || errors.As(err, &late) && late.Timeout()) {
		err = silent(t.patience)
	}
	return resp, err
}

// movingConn fails when nothing was read or written for a while. That while is a
// little longer than the wait for an answer: what ends a connection before, the
// transport may try again on another one.
type movingConn struct {
	net.Conn
	patience time.Duration
}

func (c *movingConn) Read(b []byte) (int, error)  { return c.move(c.Conn.Read, b) }
func (c *movingConn) Write(b []byte) (int, error) { return c.move(c.Conn.Write, b) }

// move extends the time of both directions: who sends a large body is not read from
// meanwhile.
func (c *movingConn) move(do func([]byte) (int, error), b []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.patience + c.patience/8)); err != nil {
		return 0, err
	}
	n, err := do(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = silent(c.patience)
	}
	return n, err
}
