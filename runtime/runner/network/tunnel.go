package network

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// tunnel answers CONNECT: it connects, says so, and relays bytes.
func (p *proxy) tunnel(w http.ResponseWriter, r *http.Request) {
	target, err := parseAuthority(r.Host)
	if err != nil {
		refuse(w, err)
		return
	}
	far, err := p.egress.Dial(r.Context(), p.net, target, "")
	if err != nil {
		refuse(w, err)
		return
	}
	defer far.Close()
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		refuse(w, fault.New(ErrProtocol, "the client's connection cannot be taken over: %w", err))
		return
	}
	defer near.Close()
	stop := context.AfterFunc(p.ctx, func() {
		_ = near.Close()
		_ = far.Close()
	})
	defer stop()
	l := link{idle: p.egress.options.IdleTimeout, ends: [2]net.Conn{near, far}}
	l.touch()
	if _, err := io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	// What the client sent behind its request is in the server's buffer.
	early, err := buffered.Reader.Peek(buffered.Reader.Buffered())
	if err != nil {
		return
	}
	if _, err := far.Write(early); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.relay(far, near) })
	both.Go(func() { l.relay(near, far) })
	both.Wait()
}

// link is two connections that end when nothing moves in either direction.
type link struct {
	idle time.Duration
	ends [2]net.Conn
}

func (l *link) touch() {
	until := time.Now().Add(l.idle)
	for _, c := range l.ends {
		_ = c.SetDeadline(until) // a closed connection needs none
	}
}

// relay copies bytes in one direction and passes their end on. When it fails,
// the other direction ends too.
func (l *link) relay(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		l.touch()
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		if err == nil {
			continue
		}
		half, ok := to.(interface{ CloseWrite() error })
		if err != io.EOF || !ok || half.CloseWrite() != nil {
			_ = to.Close()
			_ = from.Close()
		}
		return
	}
}
