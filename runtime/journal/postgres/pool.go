package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// pool lends connections to readers.
type pool struct {
	c     *connector
	slots chan struct{} // one token per connection that is lent or idle

	mu     sync.Mutex
	idle   []*pgx.Conn
	closed bool
}

// newPool returns a pool that holds conn, and at most max-1 connections: one is
// the writer's.
func newPool(c *connector, conn *pgx.Conn, most int) *pool {
	if most == 0 {
		most = defaultConns
	}
	return &pool{c: c, slots: make(chan struct{}, max(most-1, 1)), idle: []*pgx.Conn{conn}}
}

// read runs fn on a connection; it runs it again on a new one if that was lost,
// for as long as the patience lasts. fn starts anew each time.
func (p *pool) read(ctx context.Context, fn func(*pgx.Conn) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-p.slots }()
	err := p.c.persist(ctx, func() error {
		conn, err := p.take(ctx)
		if err != nil {
			return err
		}
		err = lostIf(conn, fn(conn))
		p.put(conn)
		if isLost(err) { // the others were lost with it
			p.drop()
		}
		return err
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return storeError(err)
}

// once runs fn on a connection; a lost one is the caller's to know.
func (p *pool) once(ctx context.Context, fn func(*pgx.Conn) error) error {
	conn, err := p.take(ctx)
	if err != nil {
		return storeError(err)
	}
	defer p.put(conn)
	return storeError(lostIf(conn, fn(conn)))
}

func (p *pool) take(ctx context.Context) (*pgx.Conn, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, closedError()
	}
	if n := len(p.idle); n > 0 {
		conn := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return conn, nil
	}
	p.mu.Unlock()
	return p.c.connect(ctx)
}

// put takes a connection back; one that ended, or is inside a transaction, is
// closed.
func (p *pool) put(conn *pgx.Conn) {
	p.mu.Lock()
	keep := !p.closed && !conn.IsClosed() && conn.PgConn().TxStatus() == 'I'
	if keep {
		p.idle = append(p.idle, conn)
	}
	p.mu.Unlock()
	if !keep {
		hangUp(conn)
	}
}

// drop closes the connections that nobody uses.
func (p *pool) drop() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, conn := range idle {
		hangUp(conn)
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.drop()
}

func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn.Close(ctx) // whatever it says, nothing depends on it
}

// persist runs try until it does not fail for a lost connection: again at once,
// since a connection may have been lost long ago, then waiting a little longer each
// time, until the patience ends.
func (c *connector) persist(ctx context.Context, try func() error) error {
	start := time.Now()
	for wait := time.Duration(0); ; wait = min(2*wait+10*time.Millisecond, 2*time.Second) {
		err := try()
		if !isLost(err) || ctx.Err() != nil || wait > 0 && time.Since(start)+wait > c.patience {
			return err
		}
		c.onReconnect(err)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}
