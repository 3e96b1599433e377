package postgres

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/mythos-run/mythos/runtime/journal/logtree"
	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/tlog"
)

var _ ledger.Log = (*Store)(nil)

// maxUncovered is how many entries an executor appends before it signs a
// checkpoint, if nobody else did.
const maxUncovered = 1024

// signing is what a store knows of the log's tree, whose integrator it is from
// time to time: of all executors, one at a time signs, under an advisory lock.
type signing struct {
	by      tlog.Signer // nil: nobody signs
	onFault func(error)
	pending atomic.Int64 // entries appended since a checkpoint was last tried
	begun   atomic.Int64 // covers that have begun

	mu      sync.Mutex
	head    logtree.Head // under a checkpoint that it signed or found
	covered int64        // the last cover that was durable, as begun counted it
}

// appended counts what was appended, and signs where a checkpoint is due. An entry
// is durable whatever becomes of its checkpoint; the next one covers it.
func (s *Store) appended(ctx context.Context, due bool) {
	if n := s.signing.pending.Add(1); s.signing.by == nil || !due && n < maxUncovered {
		return
	}
	before := s.signing.begun.Load()
	if due {
		s.signing.mu.Lock()
	} else if !s.signing.mu.TryLock() {
		return
	}
	defer s.signing.mu.Unlock()
	if s.signing.covered > before { // by who waited beside this one, and began later
		return
	}
	if err := s.cover(context.WithoutCancel(ctx)); err != nil {
		s.signing.onFault(err)
	}
}

// Checkpoint implements ledger.Log.
func (s *Store) Checkpoint(ctx context.Context) error {
	switch {
	case s.readOnly:
		return fault.New(rules.ErrReadOnly, "the ledger was opened for reading")
	case s.signing.by == nil:
		return fault.New(rules.ErrUnavailable, "the ledger was opened without a key for checkpoints")
	}
	s.signing.mu.Lock()
	defer s.signing.mu.Unlock()
	return s.cover(ctx)
}

// cover numbers the entries and signs a checkpoint over those that have an index.
// The numbering is a transaction of its own, since all writers wait for it.
func (s *Store) cover(ctx context.Context) error {
	s.signing.pending.Store(0)
	this := s.signing.begun.Add(1)
	last, err := s.number(ctx)
	if err != nil {
		return err
	}
	var head logtree.Head
	err = s.pool.read(ctx, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) {
			if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", s.locks.signer()); err != nil {
				return err
			}
			t := treeTx{ctx, tx, last}
			newest, _, err := t.Newest()
			if err != nil {
				return err
			}
			head = s.signing.head
			if newest.Size != head.Range.Size() { // another executor has signed
				if head, err = logtree.Load(t); err != nil {
					return err
				}
			}
			head, err = logtree.Cover(t, head, s.signing.by)
			return err
		})
	})
	if err == nil {
		s.signing.head, s.signing.covered = head, this
	}
	return err
}

// number gives every entry an index and returns the seq of the last. All writers
// wait meanwhile, so it waits for no sync: the entries are durable, indexes that a
// crash takes back are given again as they were, and what is signed over them is
// durable after them.
func (s *Store) number(ctx context.Context) (last int64, err error) {
	err = s.pool.read(ctx, func(conn *pgx.Conn) error {
		var how string
		return conn.QueryRow(ctx, "SELECT set_config('synchronous_commit', 'off', true), number($1)", s.locks.barrier()).Scan(&how, &last)
	})
	return last, err
}

// treeTx is what logtree needs of a transaction; last is the seq up to which there
// are indexes.
type treeTx struct {
	ctx  context.Context
	tx   pgx.Tx
	last int64
}

// queryer is a connection or a transaction.
type queryer interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func (t treeTx) Kept() logtree.Kept {
	return logtree.Kept{
		Leaves: func(from, to uint64) ([]cid.Hash, error) { return readLeaves(t.ctx, t.tx, from, to) },
		Node:   func(level uint8, index uint64) (cid.Hash, error) { return readNode(t.ctx, t.tx, level, index) },
	}
}

func (t treeTx) Newest() (ledger.Checkpoint, bool, error) { return readNewest(t.ctx, t.tx) }

// Uncovered reads page by page, since each may write.
func (t treeTx) Uncovered(from uint64, each func(ledger.Record) error) error {
	after, err := seqBefore(t.ctx, t.tx, from)
	for err == nil && after < t.last {
		var page []ledger.Record
		page, after, err = readPage(t.ctx, t.tx, after, t.last, ledger.Filter{})
		for _, rec := range page {
			if err = each(rec); err != nil {
				return err
			}
		}
	}
	return err
}

func (t treeTx) AddLeaves(first uint64, hashes []cid.Hash) error {
	piece := make([]byte, 0, len(hashes)*len(cid.Hash{}))
	for _, h := range hashes {
		piece = append(piece, h[:]...)
	}
	_, err := t.tx.Exec(t.ctx, "INSERT INTO leaf (first, hashes) VALUES ($1, $2)", int64(first), piece)
	return err
}

func (t treeTx) AddNode(level uint8, index uint64, root cid.Hash) error {
	_, err := t.tx.Exec(t.ctx, "INSERT INTO node (level, idx, hash) VALUES ($1, $2, $3)", int16(level), int64(index), root[:])
	return err
}

func (t treeTx) AddCheckpoint(c ledger.Checkpoint) error {
	_, err := t.tx.Exec(t.ctx, "INSERT INTO checkpoint (size, note) VALUES ($1, $2)", int64(c.Size), c.Note)
	return err
}

// seqBefore returns the seq after which the entry of an index and all later ones
// stand.
func seqBefore(ctx context.Context, q queryer, index uint64) (seq int64, err error) {
	err = q.QueryRow(ctx, "SELECT seq + least($1 - idx, count) - 1 FROM numbering WHERE idx <= $1 ORDER BY seq DESC LIMIT 1", int64(index)).Scan(&seq)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return seq, err
}

func readNewest(ctx context.Context, q queryer) (c ledger.Checkpoint, ok bool, err error) {
	var size int64
	err = q.QueryRow(ctx, "SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1").Scan(&size, &c.Note)
	if errors.Is(err, pgx.ErrNoRows) {
		return c, false, nil
	}
	c.Size = uint64(size)
	return c, err == nil, err
}

// readLeaves returns the kept leaf hashes from from up to to; fewer if one is not
// there.
func readLeaves(ctx context.Context, q queryer, from, to uint64) (out []cid.Hash, err error) {
	rows, err := q.Query(ctx, "SELECT first, hashes FROM leaf WHERE first >= coalesce((SELECT max(first) FROM leaf WHERE first <= $1), 0) AND first < $2 ORDER BY first", int64(from), int64(to))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	next := from
	for rows.Next() {
		var first int64
		var piece []byte
		if err := rows.Scan(&first, &piece); err != nil {
			return nil, err
		}
		for i := range uint64(len(piece) / len(cid.Hash{})) {
			if uint64(first)+i == next && next < to {
				out = append(out, cid.Hash(piece[i*32:]))
				next++
			}
		}
	}
	return out, rows.Err()
}

func readNode(ctx context.Context, q queryer, level uint8, index uint64) (h cid.Hash, err error) {
	var raw []byte
	err = q.QueryRow(ctx, "SELECT hash FROM node WHERE level = $1 AND idx = $2", int16(level), int64(index)).Scan(&raw)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && copy(h[:], raw) != len(h) {
		err = fault.New(ledger.ErrCorrupt, "the hash of node %d of level %d is not kept", index, level)
	}
	return h, err
}

// Newest implements ledger.Log.
func (s *Store) Newest(ctx context.Context) (c ledger.Checkpoint, err error) {
	found := false
	err = s.pool.read(ctx, func(conn *pgx.Conn) (err error) {
		c, found, err = readNewest(ctx, conn)
		return err
	})
	if err == nil && !found {
		err = fault.New(ledger.ErrNoCheckpoint, "no checkpoint was signed yet")
	}
	return c, err
}

// Checkpoints implements ledger.Log.
func (s *Store) Checkpoints(ctx context.Context, from uint64) iter.Seq2[ledger.Checkpoint, error] {
	return func(yield func(ledger.Checkpoint, error) bool) {
		for {
			var page []ledger.Checkpoint
			err := s.pool.read(ctx, func(conn *pgx.Conn) (err error) {
				page, err = readCheckpoints(ctx, conn, from)
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

func readCheckpoints(ctx context.Context, q queryer, from uint64) (page []ledger.Checkpoint, err error) {
	rows, err := q.Query(ctx, "SELECT size, note FROM checkpoint WHERE size >= $1 ORDER BY size LIMIT 512", int64(from))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var size int64
		var c ledger.Checkpoint
		if err := rows.Scan(&size, &c.Note); err != nil {
			return nil, err
		}
		c.Size = uint64(size)
		page = append(page, c)
	}
	return page, rows.Err()
}

// Entries implements ledger.Log.
func (s *Store) Entries(ctx context.Context, from uint64) iter.Seq2[ledger.Record, error] {
	return s.records(ctx, from, ledger.Filter{})
}

// Leaves implements ledger.Log.
func (s *Store) Leaves(ctx context.Context, from, to uint64) (out []cid.Hash, err error) {
	err = s.pool.read(ctx, func(conn *pgx.Conn) (err error) {
		out, err = readLeaves(ctx, conn, from, to)
		return err
	})
	return out, err
}

// Node implements ledger.Log.
func (s *Store) Node(ctx context.Context, level uint8, index uint64) (h cid.Hash, err error) {
	err = s.pool.read(ctx, func(conn *pgx.Conn) (err error) {
		h, err = readNode(ctx, conn, level, index)
		return err
	})
	return h, err
}
