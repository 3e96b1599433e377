package journal

import (
	"context"
	"iter"
	"slices"

	"zombiezen.com/go/sqlite"

	"github.com/mythos-run/mythos/runtime/journal/logtree"
	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/tlog"
)

// sqliteLog is what a writer knows of the log's tree.
type sqliteLog struct {
	signer  tlog.Signer   // nil: nobody signs
	entries int64         // in the log
	covered int64         // of them, by the newest checkpoint
	head    *logtree.Head // under the newest checkpoint; nil until it is needed
	due     bool          // this transaction ends with a checkpoint
}

// uncovered reports whether a checkpoint would say more than the newest does.
func (t *sqliteTx) uncovered() bool { return t.log.signer != nil && t.log.entries > t.log.covered }

// askCover is an operation that writes nothing but a checkpoint.
func (t *sqliteTx) askCover(rules.Tx) error {
	t.log.due = true
	return nil
}

// cover ends a transaction with a checkpoint, if one is due. What it returns is the
// head once the transaction is durable.
func (t *sqliteTx) cover() (*logtree.Head, error) {
	l := &t.log
	if !t.uncovered() || !l.due && l.entries-l.covered < MaxUncovered {
		return l.head, nil
	}
	head := l.head
	if head == nil {
		loaded, err := logtree.Load(treeTx{t})
		if err != nil {
			return nil, err
		}
		head = &loaded
	}
	next, err := logtree.Cover(treeTx{t}, *head, l.signer)
	return &next, err
}

// coveredBy notes the head of a transaction that is durable.
func (l *sqliteLog) coveredBy(head *logtree.Head) {
	if head != nil {
		l.head, l.covered = head, int64(head.Range.Size())
	}
}

// treeTx is what logtree needs of a transaction.
type treeTx struct{ t *sqliteTx }

func (x treeTx) Kept() logtree.Kept {
	return logtree.Kept{Leaves: x.t.leaves, Node: x.t.node}
}

func (x treeTx) Newest() (c ledger.Checkpoint, ok bool, err error) {
	err = x.t.query("SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1",
		func(*sqlite.Stmt) {},
		func(s *sqlite.Stmt) { c, ok = readCheckpoint(s), true })
	return c, ok, err
}

func readCheckpoint(s *sqlite.Stmt) ledger.Checkpoint {
	return ledger.Checkpoint{Size: uint64(s.ColumnInt64(0)), Note: column(s, 1)}
}

func (x treeTx) Uncovered(from uint64, each func(ledger.Record) error) error {
	var body []byte
	var failed error
	err := x.t.query("SELECT seq, kind, body FROM entry WHERE seq > ? ORDER BY seq",
		func(s *sqlite.Stmt) { s.BindInt64(1, int64(from)) },
		func(s *sqlite.Stmt) {
			if failed != nil {
				return
			}
			body = appendColumn(body[:0], s, 2)
			failed = each(ledger.Record{Index: uint64(s.ColumnInt64(0) - 1), Kind: kindColumn(s, 1), Body: body})
		})
	if err == nil {
		err = failed
	}
	return err
}

// kindColumn reads a kind; one out of bounds is 0, which is none.
func kindColumn(s *sqlite.Stmt, i int) ledger.Kind {
	if kind := s.ColumnInt64(i); kind == int64(ledger.Kind(kind)) {
		return ledger.Kind(kind)
	}
	return 0
}

// hashColumn reads a hash, zero for NULL. What has another length becomes a hash
// that stands for nothing.
func hashColumn(s *sqlite.Stmt, i int) (h cid.Hash) {
	switch n := s.ColumnLen(i); n {
	case 0:
	case len(h):
		s.ColumnBytes(i, h[:])
	default:
		h = cid.Sum(column(s, i))
	}
	return h
}

// appendColumn appends a column's bytes to b.
func appendColumn(b []byte, s *sqlite.Stmt, i int) []byte {
	at, n := len(b), s.ColumnLen(i)
	b = slices.Grow(b, n)[:at+n]
	s.ColumnBytes(i, b[at:])
	return b
}

func (x treeTx) AddLeaves(first uint64, hashes []cid.Hash) error {
	piece := make([]byte, 0, len(hashes)*len(cid.Hash{}))
	for _, h := range hashes {
		piece = append(piece, h[:]...)
	}
	return x.t.exec("INSERT INTO leaf (first, hashes) VALUES (?, ?)", func(s *sqlite.Stmt) {
		s.BindInt64(1, int64(first))
		s.BindBytes(2, piece)
	})
}

func (x treeTx) AddNode(level uint8, index uint64, root cid.Hash) error {
	return x.t.exec("INSERT INTO node (id, hash) VALUES (?, ?)", func(s *sqlite.Stmt) {
		s.BindInt64(1, nodeID(level, index))
		s.BindBytes(2, root[:])
	})
}

func nodeID(level uint8, index uint64) int64 { return int64(level)<<56 | int64(index) }

func (x treeTx) AddCheckpoint(c ledger.Checkpoint) error {
	err := x.t.exec("INSERT INTO checkpoint (size, note) VALUES (?, ?)", func(s *sqlite.Stmt) {
		s.BindInt64(1, int64(c.Size))
		s.BindBytes(2, c.Note)
	})
	return err
}

// leaves returns the kept leaf hashes from from up to to; fewer if one is not
// there.
func (t *sqliteTx) leaves(from, to uint64) (out []cid.Hash, err error) {
	const query = "SELECT first, hashes FROM leaf WHERE first >= coalesce((SELECT max(first) FROM leaf WHERE first <= ?1), 0) AND first < ?2 ORDER BY first"
	next := from
	err = t.query(query,
		func(s *sqlite.Stmt) {
			s.BindInt64(1, int64(from))
			s.BindInt64(2, int64(to))
		},
		func(s *sqlite.Stmt) {
			first, piece := uint64(s.ColumnInt64(0)), column(s, 1)
			for i := range uint64(len(piece) / len(cid.Hash{})) {
				if first+i == next && next < to {
					out = append(out, cid.Hash(piece[i*32:]))
					next++
				}
			}
		})
	return out, err
}

func (t *sqliteTx) node(level uint8, index uint64) (h cid.Hash, err error) {
	found := false
	err = t.query("SELECT hash FROM node WHERE id = ?",
		func(s *sqlite.Stmt) { s.BindInt64(1, nodeID(level, index)) },
		func(s *sqlite.Stmt) { found = copy(h[:], column(s, 0)) == len(h) })
	if err == nil && !found {
		err = fault.New(ledger.ErrCorrupt, "the hash of node %d of level %d is not kept", index, level)
	}
	return h, err
}

// hasTree reports whether the schema has a tree: an older one that no writer has
// migrated has none.
func (t *sqliteTx) hasTree() (bool, error) {
	version, err := queryInt(t.conn, "PRAGMA user_version")
	return version >= 2, err
}

// readTree is read for what only a schema with a tree has.
func (s *SQLite) readTree(ctx context.Context, fn func() error) error {
	return s.read(ctx, func(rules.Tx) error {
		if ok, err := s.reads.hasTree(); err != nil || !ok {
			return err
		}
		return fn()
	})
}

// Checkpoint implements ledger.Log.
func (s *SQLite) Checkpoint(ctx context.Context) error {
	if s.writer != nil && s.writer.tx.log.signer == nil {
		return fault.New(ErrUnavailable, "the ledger was opened without a key for checkpoints")
	}
	return s.write(ctx, func(t rules.Tx) error { return s.writer.tx.askCover(t) })
}

// Newest implements ledger.Log.
func (s *SQLite) Newest(ctx context.Context) (c ledger.Checkpoint, err error) {
	found := false
	err = s.readTree(ctx, func() (err error) {
		c, found, err = treeTx{s.reads}.Newest()
		return err
	})
	if err == nil && !found {
		err = fault.New(ledger.ErrNoCheckpoint, "no checkpoint was signed yet")
	}
	return c, err
}

// Checkpoints implements ledger.Log.
func (s *SQLite) Checkpoints(ctx context.Context, from uint64) iter.Seq2[ledger.Checkpoint, error] {
	return func(yield func(ledger.Checkpoint, error) bool) {
		for {
			var page []ledger.Checkpoint
			err := s.readTree(ctx, func() (err error) {
				page, err = s.reads.checkpoints(from)
				return err
			})
			if err != nil {
				yield(ledger.Checkpoint{}, err)
				return
			}
			for _, c := range page {
				if !yield(c, nil) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
			from = page[len(page)-1].Size + 1
		}
	}
}

func (t *sqliteTx) checkpoints(from uint64) (page []ledger.Checkpoint, err error) {
	err = t.query("SELECT size, note FROM checkpoint WHERE size >= ? ORDER BY size LIMIT 512",
		func(s *sqlite.Stmt) { s.BindInt64(1, int64(from)) },
		func(s *sqlite.Stmt) { page = append(page, readCheckpoint(s)) })
	return page, err
}

// Leaves implements ledger.Log.
func (s *SQLite) Leaves(ctx context.Context, from, to uint64) (out []cid.Hash, err error) {
	err = s.readTree(ctx, func() (err error) {
		out, err = s.reads.leaves(from, to)
		return err
	})
	return out, err
}

// Node implements ledger.Log.
func (s *SQLite) Node(ctx context.Context, level uint8, index uint64) (h cid.Hash, err error) {
	err = s.read(ctx, func(rules.Tx) (err error) {
		h, err = s.reads.node(level, index)
		return err
	})
	return h, err
}
