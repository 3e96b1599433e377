package registry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of serving.
const (
	ErrListen fault.Code = "registry_listen" // an address that cannot be listened on
	ErrServe  fault.Code = "registry_serve"  // the server ended by itself
)

const (
	slowest = 16 << 10 // bytes of a body or an answer for which a client has a second more

	drainTime  = 30 * time.Second
	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
	maxHeader  = 64 << 10 // bytes
)

// ServeOptions says where and how a service listens.
type ServeOptions struct {
	Listener net.Listener
	// CertFile and KeyFile hold the certificate chain and key in PEM; both empty:
	// HTTP without TLS.
	CertFile, KeyFile string
	// Drain is how long requests that run may go on at the end; 0: 30 s.
	Drain time.Duration
}

// Listen opens an address for Serve. With open it must be of a loopback interface.
func Listen(ctx context.Context, address string, open bool) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fault.New(ErrListen, "%w", err).About(address)
	}
	if open && !loopback(l.Addr().String()) {
		err := fault.New(ErrListen, "a registry that anybody may write to listens on a loopback address only").About(address)
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Serve serves until ctx ends, and then finishes what runs.
func (s *Service) Serve(ctx context.Context, o ServeOptions) error {
	server := &http.Server{
		Handler: s.deadlines(s.Handler()), ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
	}
	ended := make(chan error, 1)
	go func() {
		if o.CertFile != "" || o.KeyFile != "" {
			ended <- server.ServeTLS(o.Listener, o.CertFile, o.KeyFile)
			return
		}
		ended <- server.Serve(o.Listener)
	}()
	select {
	case err := <-ended:
		return fault.New(ErrServe, "%w", err).About(o.Listener.Addr().String())
	case <-ctx.Done():
	}
	s.Drain()
	if o.Drain == 0 {
		o.Drain = drainTime
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Drain)
	defer cancel()
	if err := server.Shutdown(late); err != nil {
		return errors.Join(fault.New(ErrServe, "requests still ran after %v", o.Drain), server.Close())
	}
	return nil
}

// deadlines ends a request whose client makes no progress, or too little.
func (s *Service) deadlines(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		c := http.NewResponseController(w)
		// The server reads what is left of a body, also before it sends an answer.
		_ = c.SetReadDeadline(time.Now().Add(s.Patience))
		r.Body = &progressing{ReadCloser: r.Body, c: c, patience: s.Patience}
		next.ServeHTTP(w, r)
		_ = c.SetReadDeadline(time.Now().Add(s.Patience))
	})
}

// progressing gives a client some time for every part of a body, and as much, with a
// second for each 16 KiB that came, for all of it. Only waiting for it counts.
type progressing struct {
	io.ReadCloser
	c        *http.ResponseController
	patience time.Duration
	came     int64 // bytes
	waited   time.Duration
}

func (p *progressing) Read(b []byte) (int, error) {
	start := time.Now()
	left := p.patience - max(p.waited-time.Duration(p.came/slowest)*time.Second, 0)
	if err := p.c.SetReadDeadline(start.Add(left)); err != nil {
		return 0, err
	}
	n, err := p.ReadCloser.Read(b)
	p.came, p.waited = p.came+int64(n), p.waited+time.Since(start)
	if err == io.EOF { // what is done with it has its own time
		_ = p.c.SetReadDeadline(time.Time{})
	}
	return n, err
}

// allow gives a client the time to take n bytes.
func allow(w http.ResponseWriter, n int64, patience time.Duration) {
	// A writer without deadlines, as tests have, needs none.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patience + time.Duration(n/slowest)*time.Second))
}
