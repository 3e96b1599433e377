package process

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// Proxy is how a module reaches the network: it serves the connections that
// come to l, each of which is a module's, under n's rules, until ctx ends. It
// then closes what it opened and returns; l and its connections are closed by
// the caller too.
type Proxy interface {
	Serve(ctx context.Context, l net.Listener, n *runner.Net) error
}

// netSocket is where a module finds the proxy, and netEnv how it is told
// (RFC-MYTHOS-0006 §12).
const (
	netSocket = "/run/mythos/net.sock"
	netEnv    = "MYTHOS_NET"
	// maxConns is how many connections of one module are open at a time; others
	// wait in the socket's queue, where they cost the host no descriptor.
	maxConns = 64
)

// gateway is one sandbox's socket. Between two calls it closes every
// connection at once: what a call was granted ends with the call.
type gateway struct {
	proxy  Proxy
	dir    string // private folder of the socket
	lock   *os.File
	listen *net.UnixListener
	done   chan struct{} // closed when nothing is accepted any more
	places chan struct{} // one for each open connection

	mu   sync.Mutex
	call *callListener // nil between calls
}

// newGateway listens in a private folder beside the trees.
func newGateway(s *trees, proxy Proxy) (*gateway, error) {
	dir, lock, err := s.scratch(".net-*")
	if err != nil {
		return nil, err
	}
	// A socket's name is at most 108 bytes; by its folder's descriptor it is short.
	addr := &net.UnixAddr{Net: "unix", Name: descriptorPath(lock) + "/s"}
	l, err := net.ListenUnix("unix", addr)
	if err == nil {
		l.SetUnlinkOnClose(false)
		if err = os.Chmod(filepath.Join(dir, "s"), 0o666); err != nil { // a module is another user; the folder is private
			_ = l.Close()
		}
	}
	if err != nil {
		return nil, errors.Join(fault.New(ErrTree, "%w", err).About(dir), os.RemoveAll(dir), lock.Close())
	}
	g := &gateway{proxy: proxy, dir: dir, lock: lock, listen: l, done: make(chan struct{}), places: make(chan struct{}, maxConns)}
	go g.accept()
	return g, nil
}

// socket is what the sandbox shows to the module.
func (g *gateway) socket() sandbox.Socket {
	return sandbox.Socket{Source: filepath.Join(g.dir, "s"), Target: netSocket}
}

func (g *gateway) accept() {
	defer close(g.done)
	for {
		c, err := g.listen.AcceptUnix()
		if err != nil {
			return
		}
		g.mu.Lock()
		call := g.call
		g.mu.Unlock()
		if call == nil || !call.hand(c) {
			_ = c.Close()
		}
	}
}

// open serves a call's connections until the returned function is called.
func (g *gateway) open(ctx context.Context, n *runner.Net) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	l := &callListener{g: g, conns: make(chan net.Conn), ended: make(chan struct{}), open: map[*tracked]bool{}}
	g.mu.Lock()
	g.call = l
	g.mu.Unlock()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = g.proxy.Serve(ctx, l, n) // its end, whatever the reason, is the end of the network for the module
		_ = l.Close()
	}()
	return func() {
		g.mu.Lock()
		g.call = nil
		g.mu.Unlock()
		cancel()
		_ = l.Close()
		<-served
	}
}

func (g *gateway) close() error {
	err := g.listen.Close()
	<-g.done
	return errors.Join(err, os.RemoveAll(g.dir), g.lock.Close())
}

// callListener is the net.Listener of one call.
type callListener struct {
	g     *gateway
	conns chan net.Conn
	ended chan struct{}

	mu   sync.Mutex
	over bool
	open map[*tracked]bool
}

// hand gives a connection to whoever accepts, once there is room for it.
func (l *callListener) hand(c net.Conn) bool {
	select {
	case l.g.places <- struct{}{}:
	case <-l.ended:
		return false
	}
	t := &tracked{Conn: c, l: l}
	l.mu.Lock()
	over := l.over
	if !over {
		l.open[t] = true
	}
	l.mu.Unlock()
	if over {
		<-l.g.places
		return false
	}
	select {
	case l.conns <- t:
	case <-l.ended:
		_ = t.Close()
	}
	return true
}

// Accept waits for the module's next connection.
func (l *callListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

// Close ends the listener and every connection that came by it.
func (l *callListener) Close() error {
	l.mu.Lock()
	open := l.open
	if !l.over {
		l.over, l.open = true, nil
		close(l.ended)
	}
	l.mu.Unlock()
	for t := range open {
		_ = t.Close()
	}
	return nil
}

// Addr is the address that the module connects to.
func (l *callListener) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: netSocket} }

// tracked is a connection that gives its place back when it is closed.
type tracked struct {
	net.Conn
	l    *callListener
	once sync.Once
}

// Close closes the connection.
func (t *tracked) Close() error {
	err := net.ErrClosed
	t.once.Do(func() {
		err = t.Conn.Close()
		<-t.l.g.places
		t.l.mu.Lock()
		delete(t.l.open, t)
		t.l.mu.Unlock()
	})
	return err
}

// CloseWrite tells the module that nothing more will come, as a tunnel must.
func (t *tracked) CloseWrite() error {
	if c, ok := t.Conn.(*net.UnixConn); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}
