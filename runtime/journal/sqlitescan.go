package journal

import (
	"context"
	"fmt"
	"iter"
	"runtime/debug"
	"sync"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// entryPage is how many entries are read at once when all are.
const entryPage = 1024

// Entries implements ledger.Log. It pages, so that a slow consumer holds no
// transaction open, into memory that it uses again.
func (s *SQLite) Entries(ctx context.Context, from uint64) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		p := entryReader{page: make([]ledger.Record, 0, entryPage)}
		for {
			if err := s.scan.read(ctx, &p, from); err != nil {
				yield(ledger.Record{}, err)
				return
			}
			for _, rec := range p.page {
				if !yield(rec, nil) {
					return
				}
			}
			if len(p.page) < entryPage {
				return
			}
			from = p.page[len(p.page)-1].Index + 1
		}
	}
}

// scanner reads whole logs on a connection of its own, opened when it is needed,
// that maps the file into memory: it takes half the time of reading it page by
// page. What SQLite warns of with such maps is that an error of the disk is no
// error of a call but a fault of memory. Here it is an error all the same, and the
// connection is given up.
type scanner struct {
	path string

	mu     sync.Mutex
	tx     *sqliteTx // nil until it is needed
	closed bool
}

// mapped is how much of the file is mapped at most; SQLite has a lower bound of
// its own.
const mapped = 1 << 40

func (s *scanner) read(ctx context.Context, p *entryReader, from uint64) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fault.New(ErrClosed, "the ledger is closed")
	}
	if s.tx == nil {
		conn, err := sqlite.OpenConn(s.path, sqlite.OpenReadOnly)
		if err != nil {
			return openError(s.path, err)
		}
		conn.SetBusyTimeout(busyTimeout)
		s.tx = &sqliteTx{conn: conn}
		if err := sqlitex.ExecuteTransient(conn, fmt.Sprintf("PRAGMA mmap_size=%d", int64(mapped)), nil); err != nil {
			return storeError(err)
		}
	}
	err := s.guard(func() error { return p.read(s.tx, from) })
	return storeError(err)
}

// guard runs fn and returns a fault of memory in it as an error. After one nobody
// knows what the connection holds, so it is not even closed.
func (s *scanner) guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if _, memory := p.(interface{ Addr() uintptr }); !memory {
			panic(p)
		}
		s.closed, s.tx = true, nil
		err = fault.New(ErrUnavailable, "the ledger's file cannot be read: %v", p)
	}()
	return fn()
}

func (s *scanner) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.tx == nil {
		return nil
	}
	tx := s.tx
	s.tx = nil
	return tx.conn.Close()
}

// entryReader is a page of entries and the bytes of their bodies.
type entryReader struct {
	page   []ledger.Record
	bodies []byte
	ends   []int // of each body in bodies
}

func (p *entryReader) read(t *sqliteTx, from uint64) error {
	p.page, p.bodies, p.ends = p.page[:0], p.bodies[:0], p.ends[:0]
	err := t.query(columns+"WHERE seq > ? ORDER BY seq LIMIT 1024",
		func(s *sqlite.Stmt) { s.BindInt64(1, int64(from)) },
		func(s *sqlite.Stmt) {
			rec := ledger.Record{Index: uint64(s.ColumnInt64(0) - 1), Kind: kindColumn(s, 1), Time: s.ColumnInt64(4)}
			rec.Idem, rec.Run = hashColumn(s, 2), hashColumn(s, 3)
			p.bodies = appendColumn(p.bodies, s, 5)
			p.page, p.ends = append(p.page, rules.Public(rec)), append(p.ends, len(p.bodies))
		})
	begin := 0
	for i, end := range p.ends {
		p.page[i].Body = p.bodies[begin:end:end]
		begin = end
	}
	return err
}
