package network

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
)

// Dial opens a connection for a module: a bare one if method is "", else for one
// HTTP request of that method. Its errors are runner.ErrDenied, ErrDNS,
// ErrConnect and ErrTimeout.
func (e *Egress) Dial(ctx context.Context, n *runner.Net, t Target, method string) (net.Conn, error) {
	switch {
	case n == nil || n.Allow == nil:
		return nil, fault.New(runner.ErrDenied, "this call has no network")
	case n.HTTPOnly && method == "":
		return nil, fault.New(runner.ErrDenied, "the grant covers only HTTP requests that the host performs")
	}
	addrs, err := e.resolve(ctx, t.Host)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.options.ConnectTimeout)
	defer cancel()
	var refused, failed error
	for i, a := range addrs {
		if err := n.Allow(runner.Connect{Host: t.Host, Addr: a, Port: t.Port, Method: method}); err != nil {
			refused = earlier(refused, denied(err))
			continue
		}
		conn, err := connect(ctx, netip.AddrPortFrom(a, t.Port), len(addrs)-i)
		if err == nil {
			return conn, nil
		}
		failed = earlier(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, earlier(failed, refused)
}

// earlier returns the first of two errors that is one.
func earlier(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// denied makes sure that a refusal has its code.
func denied(err error) error {
	if fault.CodeOf(err) == runner.ErrDenied {
		return err
	}
	return fault.New(runner.ErrDenied, "%w", err)
}

// resolve returns the addresses of a host, an IPv4 address never in IPv6
// clothes: at least one, at most maxAddresses.
func (e *Egress) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, ok := literal(host); ok {
		return []netip.Addr{a}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.options.ConnectTimeout)
	defer cancel()
	var r Resolver = net.DefaultResolver
	if e.options.Resolver != nil {
		r = e.options.Resolver
	}
	found, err := r.LookupNetIP(ctx, "ip", host)
	if ctx.Err() != nil {
		return nil, fault.New(ErrTimeout, "resolving %s: %w", host, ctx.Err())
	}
	if err != nil {
		return nil, fault.New(ErrDNS, "%s does not resolve: %w", host, err)
	}
	var out []netip.Addr
	for _, a := range found {
		if a = a.Unmap(); a.IsValid() && a.Zone() == "" && len(out) < maxAddresses {
			out = append(out, a)
		}
	}
	if out == nil {
		return nil, fault.New(ErrDNS, "%s has no address", host)
	}
	return out, nil
}

// connect connects to an address within its share of the time that is left.
func connect(ctx context.Context, to netip.AddrPort, shares int) (net.Conn, error) {
	if end, ok := ctx.Deadline(); ok {
		part, cancel := context.WithTimeout(ctx, time.Until(end)/time.Duration(shares))
		defer cancel()
		ctx = part
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", to.String())
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, fault.New(ErrTimeout, "connecting to %s: %w", to, ctx.Err())
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		err = op.Err // without the address, which stands here
	}
	return nil, fault.New(ErrConnect, "connecting to %s: %w", to, err)
}

// idleConn is a connection that ends when nothing moves for a while.
type idleConn struct {
	net.Conn
	idle time.Duration
}

func (c idleConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c idleConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
