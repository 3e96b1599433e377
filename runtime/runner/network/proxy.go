package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
)

// ErrorHeader carries the code of an answer that the proxy made itself; no other
// answer has it.
const ErrorHeader = "Mythos-Error"

// Serve answers a sandboxed process as an HTTP/1.1 proxy until ctx ends, and then
// returns nil, with ln closed and nothing left that it started:
//
//	CONNECT host:port                 a bare connection, with half close
//	GET http://.., POST https://.., ..  a request that the host performs, TLS too
//
// A refusal is 403, a failure to get an answer 502, a request that makes no sense
// 400, each with its code in ErrorHeader and a short text. Redirects are the
// client's: each comes back as a request. An error means that ln failed.
func (e *Egress) Serve(ctx context.Context, ln net.Listener, n *runner.Net) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &proxy{egress: e, net: n, ctx: ctx}
	server := &http.Server{
		Handler:                      p,
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout:            min(headerTimeout, e.options.IdleTimeout),
		IdleTimeout:                  e.options.IdleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(io.Discard, "", 0), // what it would say is the client's
	}
	bounded := &listener{Listener: ln, slots: make(chan struct{}, e.options.MaxConns), done: ctx.Done()}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	err := server.Serve(bounded)
	ended := ctx.Err() != nil
	cancel()
	stop()
	_ = server.Close() // also if Serve gave up by itself
	p.close()
	bounded.open.Wait()
	if ended || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fault.New(ErrConnect, "the proxy's socket: %w", err)
}

// proxy serves the requests of one call.
type proxy struct {
	egress *Egress
	net    *runner.Net
	ctx    context.Context
	mu     sync.Mutex // guards closed and calls.Add against close
	closed bool
	calls  sync.WaitGroup
}

func (p *proxy) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.calls.Add(1)
	}
	return !p.closed
}

// close refuses further requests and waits for those that are served.
func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.calls.Wait()
}

// ServeHTTP answers one request of the client.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.enter() {
		panic(http.ErrAbortHandler)
	}
	defer p.calls.Done()
	switch {
	case r.Method == http.MethodConnect:
		p.tunnel(w, r)
	case r.URL.IsAbs():
		p.forward(w, r)
	default:
		refuse(w, fault.New(ErrTarget, "name the whole URL, or CONNECT to a host and port"))
	}
}

// refuse answers with an error of the proxy's own.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadGateway
	switch {
	case errors.Is(err, runner.ErrDenied):
		status = http.StatusForbidden
	case errors.Is(err, ErrTarget):
		status = http.StatusBadRequest
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set(ErrorHeader, string(fault.CodeOf(err)))
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "%s: %s\n", fault.CodeOf(err), message(err)) // a client that is gone needs no answer
}

// forward performs a request on behalf of the client and streams the answer.
func (p *proxy) forward(w http.ResponseWriter, r *http.Request) {
	target, err := targetOf(r.URL)
	if err != nil {
		refuse(w, err)
		return
	}
	limit := p.egress.options.MaxStream
	if r.ContentLength > limit {
		refuse(w, fault.New(ErrTooLarge, "the request announces %d bytes, at most %d", r.ContentLength, limit))
		return
	}
	control := http.NewResponseController(w)
	x := exchange{method: r.Method, target: target, header: endToEnd(r.Header), length: r.ContentLength, body: http.NoBody}
	if r.ContentLength != 0 {
		// What is left of a body when the answer is complete is not read.
		w.Header().Set("Connection", "close")
		body := &timedBody{ReadCloser: http.MaxBytesReader(nil, r.Body, limit), control: control, idle: p.egress.options.IdleTimeout}
		x.body, x.interrupt = body, body.interrupt
	}
	res, err := p.egress.perform(r.Context(), p.net, x)
	if err != nil {
		refuse(w, err)
		return
	}
	defer res.Body.Close()
	if res.ContentLength > limit && r.Method != http.MethodHead {
		refuse(w, fault.New(ErrTooLarge, "the response announces %d bytes, at most %d", res.ContentLength, limit))
		return
	}
	p.stream(w, res, control)
}

// stream copies an answer to the client as it comes. One that cannot be copied
// whole is cut off, so that the client sees that it is not.
func (p *proxy) stream(w http.ResponseWriter, res *http.Response, control *http.ResponseController) {
	for name, values := range endToEnd(res.Header) {
		if name != ErrorHeader {
			w.Header()[name] = values
		}
	}
	wait := func() { _ = control.SetWriteDeadline(time.Now().Add(p.egress.options.IdleTimeout)) }
	wait()
	w.WriteHeader(res.StatusCode)
	if control.Flush() != nil { // the head does not wait for a body that may be long in coming
		panic(http.ErrAbortHandler)
	}
	left := p.egress.options.MaxStream
	buf := make([]byte, 32<<10)
	for {
		n, err := res.Body.Read(buf)
		left -= int64(n)
		wait()
		if n > 0 && left >= 0 {
			if _, werr := w.Write(buf[:n]); werr != nil || control.Flush() != nil {
				panic(http.ErrAbortHandler)
			}
		}
		switch {
		case left < 0, err != nil && !errors.Is(err, io.EOF):
			panic(http.ErrAbortHandler)
		case err != nil:
			return
		}
	}
}

// timedBody is a request's body whose client must keep sending.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
	idle    time.Duration
	mu      sync.Mutex // guards over, and deadlines against interrupt
	over    bool
}

func (b *timedBody) Read(p []byte) (int, error) {
	if !b.until(time.Now().Add(b.idle)) {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.until(time.Time{}) // the server goes on reading, to see the client leave
	}
	return n, err
}

// until sets the time until which the client must have sent something.
func (b *timedBody) until(t time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		_ = b.control.SetReadDeadline(t) // without one the call's end is the bound
	}
	return !b.over
}

// interrupt ends a Read that waits, and all later ones. The connection serves no
// other request.
func (b *timedBody) interrupt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	_ = b.control.SetReadDeadline(time.Unix(1, 0))
}
