// Package network is the host's side of NetConnect (RFC-MYTHOS-0008 §5.2): the
// only way from a module to another machine. An Egress opens connections, performs
// HTTP requests, and serves both to sandboxed processes as an HTTP proxy over a
// unix socket (RFC-MYTHOS-0006 §11.1 and §12).
//
// It decides nothing: runner.Net is asked about every single connection. A name is
// resolved once, each of its addresses is asked about before it is tried, and
// the connection goes to that address and no other, so an answer that changes
// between check and use changes nothing. No proxy setting and no other variable
// of the environment counts; no connection serves two requests; TLS checks the
// name that was asked for; HTTP/2 is not spoken. Every size, count and wait is
// bounded.
package network

import (
	"context"
	"crypto/x509"
	"net/netip"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of connections and requests that fail. A refusal is runner.ErrDenied.
// They are what a module finds as the error of an HTTPResponse, and in the
// answers of the proxy.
const (
	ErrTarget    fault.Code = "network_target"    // not a URL, host or port that can be connected to
	ErrDNS       fault.Code = "network_dns"       // the name has no address
	ErrConnect   fault.Code = "network_connect"   // no address of the host answers
	ErrTLS       fault.Code = "network_tls"       // the handshake failed, or the certificate is not the host's
	ErrTimeout   fault.Code = "network_timeout"   // it took too long, or the call has ended
	ErrTooLarge  fault.Code = "network_too_large" // a body exceeds its bound
	ErrRedirects fault.Code = "network_redirects" // more redirects than the request follows
	ErrProtocol  fault.Code = "network_protocol"  // the other side does not speak HTTP, or stopped in the middle
)

// Bounds that nobody needs to change.
const (
	maxAddresses   = 16       // of one name
	maxHeaderBytes = 64 << 10 // of a request or a response, names, values and separators
	headerTimeout  = 10 * time.Second
)

// Resolver finds the addresses of a name; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options configure an Egress.
type Options struct {
	// Resolver is asked once for each name. nil: the system's.
	Resolver Resolver
	// RootCAs are the authorities that TLS trusts. nil: the system's.
	RootCAs *x509.CertPool
	// ConnectTimeout bounds each of: resolving a name, connecting to its
	// addresses, and the TLS handshake. 0: 10 seconds.
	ConnectTimeout time.Duration
	// IdleTimeout ends a connection on which nothing moves. 0: 5 minutes.
	IdleTimeout time.Duration
	// MaxConns is how many connections Serve holds at a time; others wait to be
	// accepted. 0: 64.
	MaxConns int
	// MaxStream bounds a body that passes through Serve, in bytes. 0: 1 GiB.
	MaxStream int64
}

// withDefaults replaces zero values by what they stand for.
func (o Options) withDefaults() Options {
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = 10 * time.Second
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = 5 * time.Minute
	}
	if o.MaxConns == 0 {
		o.MaxConns = 64
	}
	if o.MaxStream == 0 {
		o.MaxStream = 1 << 30
	}
	return o
}

// Egress is the way out of a module. It keeps no connection and needs no Close.
// It is safe for concurrent use.
type Egress struct{ options Options }

// New returns an Egress. Negative options are taken for zero.
func New(o Options) *Egress {
	o.ConnectTimeout, o.IdleTimeout = max(o.ConnectTimeout, 0), max(o.IdleTimeout, 0)
	o.MaxConns, o.MaxStream = max(o.MaxConns, 0), max(o.MaxStream, 0)
	return &Egress{options: o.withDefaults()}
}
