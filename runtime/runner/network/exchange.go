package network

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
)

// exchange is one request as it goes over one connection.
type exchange struct {
	method string
	target Target
	header http.Header
	body   io.ReadCloser
	length int64 // of body, -1: unknown
	// interrupt makes a Read of body that waits return; nil: none does.
	interrupt func()
}

// request returns the request that goes over the wire.
func (x *exchange) request(body io.ReadCloser) *http.Request {
	if x.header["User-Agent"] == nil {
		x.header["User-Agent"] = []string{""} // none, where Go would name itself
	}
	return &http.Request{
		Method: x.method, URL: x.target.url, Header: x.header, Body: body, ContentLength: x.length,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Close: true,
	}
}

// perform sends a request over a connection of its own and returns the response
// once its head has arrived. Whoever gets it closes its body, which ends the
// connection and waits for what is still being sent.
func (e *Egress) perform(ctx context.Context, n *runner.Net, x exchange) (*http.Response, error) {
	if !soundMethod(x.method) {
		return nil, fault.New(ErrTarget, "%q is no method", brief(x.method))
	}
	plain, err := e.Dial(ctx, n, x.target, x.method)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = plain.Close() })
	var conn net.Conn = idleConn{plain, e.options.IdleTimeout}
	if x.target.url.Scheme == "https" {
		if conn, err = e.secure(ctx, conn, x.target.Host); err != nil {
			stop()
			return nil, err
		}
	}
	u := &underway{conn: conn, stop: stop, interrupt: x.interrupt, written: make(chan struct{})}
	u.sent.ReadCloser = x.body
	req := x.request(&u.sent)
	if x.body == http.NoBody {
		req.Body = http.NoBody
	}
	go u.write(req)
	res, err := u.readHead(req)
	if err != nil {
		u.end()
		if u.sent.err != nil {
			err = u.sent.err
		}
		return nil, explain(ctx, err)
	}
	res.Body = &received{res.Body, u}
	return res, nil
}

// soundMethod reports whether a method is one that a grant could name
// (RFC-MYTHOS-0008 §5).
func soundMethod(s string) bool {
	for i := range len(s) {
		if (s[i] < 'A' || s[i] > 'Z') && s[i] != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// underway is a request on its way over a connection of its own.
type underway struct {
	conn      net.Conn
	stop      func() bool // the context lets go of conn
	interrupt func()
	sent      sentBody
	written   chan struct{} // closed when nothing is sent any more
}

// write sends a request. If its body fails, so does the exchange; if the server
// stops listening, it may have answered.
func (u *underway) write(req *http.Request) {
	defer close(u.written)
	if err := req.Write(u.conn); err != nil && u.sent.err != nil {
		_ = u.conn.Close()
	}
}

// readHead reads the head of the response, passing over those of status 1xx.
func (u *underway) readHead(req *http.Request) (*http.Response, error) {
	head := &headReader{conn: u.conn, left: maxHeaderBytes}
	buffered := bufio.NewReader(head)
	for {
		res, err := http.ReadResponse(buffered, req)
		switch {
		case err != nil:
			return nil, err
		case res.StatusCode == http.StatusSwitchingProtocols:
			return nil, fault.New(ErrProtocol, "the server changes to another protocol")
		case res.StatusCode >= 200:
			head.left = math.MaxInt64
			return res, nil
		}
	}
}

// end closes the connection and waits for the sender.
func (u *underway) end() {
	u.stop()
	_ = u.conn.Close()
	if u.interrupt != nil {
		u.interrupt()
	}
	<-u.written
}

// sentBody is a body that remembers why it could not be read.
type sentBody struct {
	io.ReadCloser
	err error
}

func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// headReader reads no more than a head may have, until left says otherwise.
type headReader struct {
	conn net.Conn
	left int64
}

func (r *headReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, fault.New(ErrProtocol, "the response's head has more than %d bytes", maxHeaderBytes)
	}
	n, err := r.conn.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	return n, err
}

// received is the body of a response; closing it ends the exchange.
type received struct {
	io.Reader
	underway *underway
}

func (r *received) Close() error {
	r.underway.end()
	return nil
}

// secure makes a TLS connection of a plain one.
func (e *Egress) secure(ctx context.Context, plain net.Conn, host string) (net.Conn, error) {
	limited, cancel := context.WithTimeout(ctx, e.options.ConnectTimeout)
	defer cancel()
	conn := tls.Client(plain, &tls.Config{
		ServerName: host, RootCAs: e.options.RootCAs, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	})
	err := conn.HandshakeContext(limited)
	if err == nil {
		return conn, nil
	}
	_ = plain.Close()
	if limited.Err() != nil {
		return nil, fault.New(ErrTimeout, "the TLS handshake with %s: %w", host, limited.Err())
	}
	return nil, fault.New(ErrTLS, "the TLS handshake with %s: %w", host, err)
}

// explain gives an error of the transport its code.
func explain(ctx context.Context, err error) error {
	var timeout net.Error
	var large *http.MaxBytesError
	switch {
	case fault.CodeOf(err) != "":
		return err
	case errors.As(err, &large):
		return fault.New(ErrTooLarge, "the request has more than %d bytes", large.Limit)
	case ctx.Err() != nil:
		return fault.New(ErrTimeout, "the request was stopped: %w", ctx.Err())
	case errors.As(err, &timeout) && timeout.Timeout():
		return fault.New(ErrTimeout, "nothing came for too long")
	}
	return fault.New(ErrProtocol, "the exchange failed: %s", brief(err.Error()))
}

// hopByHop reports whether a header, in lower case, is about one connection and
// not about the message; Host and Expect are the host's own as well.
func hopByHop(name string) bool {
	switch name {
	case "connection", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade":
		return true
	}
	return strings.HasPrefix(name, "proxy-")
}

// endToEnd returns what of a header concerns the message: neither the headers of
// hopByHop nor those that Connection names.
func endToEnd(h http.Header) http.Header {
	named := map[string]bool{}
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			named[textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	out := http.Header{}
	for name, values := range h {
		if !hopByHop(strings.ToLower(name)) && !named[name] {
			out[name] = values
		}
	}
	return out
}
