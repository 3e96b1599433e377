package postgres

import (
	"context"
	"errors"
	"iter"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mythos-run/mythos/runtime/journal/logtree"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

var _ ledger.Log = (*Store)(nil)

// treeTx is what logtree needs of a transaction; last is the seq up to which there
// are indexes.
type treeTx struct {
	ctx  context.Context
	tx   execer
	last int64
}

type execer interface {
	queryer
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
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
	seq, err := seqBefore(t.ctx, t.tx, from)
	if err != nil {
		return err
	}
	return t.after(seq, each)
}

// after calls each for the entries after a seq.
func (t treeTx) after(seq int64, each func(ledger.Record) error) (err error) {
	for err == nil && seq < t.last {
		var page []ledger.Record
		page, seq, err = readPage(t.ctx, t.tx, seq, t.last, ledger.Filter{})
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

const (
	selectBefore = "SELECT seq + least($1 - idx, count) - 1 FROM numbering WHERE idx <= $1 ORDER BY seq DESC LIMIT 1"
	selectNewest = "SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1"
)

// seqBefore returns the seq after which the entry of an index and all later ones
// stand.
func seqBefore(ctx context.Context, q queryer, index uint64) (seq int64, err error) {
	err = q.QueryRow(ctx, selectBefore, int64(index)).Scan(&seq)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return seq, err
}

func readNewest(ctx context.Context, q queryer) (c ledger.Checkpoint, ok bool, err error) {
	var size int64
	err = q.QueryRow(ctx, selectNewest).Scan(&size, &c.Note)
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
	s.signNow(ctx)
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
		s.signNow(ctx)
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
