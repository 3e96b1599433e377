package remote

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// progress is how long a remote may be without any.
const progress = 60 * time.Second

// Client returns a client of HTTP for remotes (RFC-MYTHOS-0011 §2): it ends a
// connection on which nothing moved for a minute, follows a redirect to another
// host for reading only and without credentials, and no more than five of them.
func Client() *http.Client {
	dialer := &net.Dialer{Timeout: progress, KeepAlive: progress}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return &movingConn{conn}, nil
			},
			ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second,
			TLSHandshakeTimeout: progress, ResponseHeaderTimeout: progress, ExpectContinueTimeout: 5 * time.Second,
			DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		},
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

// movingConn fails when nothing was read or written for a while.
type movingConn struct{ net.Conn }

func (c *movingConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(progress)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *movingConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(progress)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
