package network

import (
	"net"
	"sync"
)

// listener accepts no more connections than it has slots, and knows which are
// open.
type listener struct {
	net.Listener
	slots chan struct{}
	done  <-chan struct{}
	open  sync.WaitGroup
}

// Accept waits for a slot, then for a connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	l.open.Add(1)
	return &slotConn{Conn: c, release: sync.OnceFunc(func() {
		<-l.slots
		l.open.Done()
	})}, nil
}

// slotConn gives its slot back when it is closed.
type slotConn struct {
	net.Conn
	release func()
}

// Close closes the connection.
func (c *slotConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// CloseWrite ends what is sent, if the connection can do that.
func (c *slotConn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return net.ErrClosed
	}
	return half.CloseWrite()
}
