package postgres

import (
	"context"
	"errors"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/mythos-run/mythos/runtime/journal/logtree"
	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/tlog"
)

// Copied is how much a copy holds.
type Copied struct{ Entries, Items, Capabilities, IDs int }

// Copy copies a whole ledger into an empty one in one transaction: entries with
// their times and indexes, items, what was spent, and leases with what is left of
// them. Nobody may write to from meanwhile. Afterwards it reads both and compares
// every entry, and the state of every id; progress is told how many entries were
// written or compared, and may be nil.
func Copy(ctx context.Context, from rules.Source, to *Store, progress func(step string, entries int)) (Copied, error) {
	if to.readOnly {
		return Copied{}, fault.New(rules.ErrReadOnly, "the ledger was opened for reading")
	}
	if progress == nil {
		progress = func(string, int) {}
	}
	var n Copied
	err := to.pool.once(ctx, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) {
			if n, err = copyAll(ctx, from, tx, to.locks.barrier(), progress); err != nil {
				return err
			}
			if log, ok := from.(ledger.Log); ok {
				err = copyTree(ctx, log, tx)
			}
			return err
		})
	})
	if err != nil {
		return Copied{}, err
	}
	n.IDs, err = compare(ctx, from, to, progress)
	return n, err
}

// copyAll streams each table by COPY; Export gives them one after the other, so
// each has its turn to be read.
func copyAll(ctx context.Context, from rules.Source, tx pgx.Tx, barrier int64, progress func(string, int)) (n Copied, err error) {
	var now int64
	var taken bool
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", barrier); err != nil {
		return n, err
	}
	err = tx.QueryRow(ctx, "SELECT ledger_now(), EXISTS (SELECT FROM entry) OR EXISTS (SELECT FROM spend)").Scan(&now, &taken)
	if err != nil {
		return n, err
	}
	if taken {
		return n, fault.New(ErrNotEmpty, "the ledger that is copied to is not empty")
	}
	s := newStream(ctx, from)
	defer s.stop()
	entries := entryRows(now, progress)
	if n.Entries, err = copyTable(ctx, tx, s, s.entries, "entry", []string{"seq", "time", "lease", "n", "mark", "kind", "key", "run", "body", "kept"}, entries); err != nil {
		return n, err
	}
	if n.Items, err = copyTable(ctx, tx, s, s.items, "item", []string{"id", "seq", "at", "size"}, itemRow); err != nil {
		return n, err
	}
	if n.Capabilities, err = copyTable(ctx, tx, s, s.spends, "spend", []string{"cap", "used"}, spendRow); err != nil || n.Entries == 0 {
		return n, err
	}
	if _, err = tx.Exec(ctx, "SELECT setval('entry_seq', $1)", n.Entries); err == nil {
		_, err = tx.Exec(ctx, "INSERT INTO numbering VALUES (1, 0, $1)", n.Entries)
	}
	return n, err
}

// copyTable copies what a channel gives into a table and returns how many rows.
// The server says that the client broke off a COPY, and not why; this does.
func copyTable[T any](ctx context.Context, tx pgx.Tx, s *stream, from <-chan T, table string, columns []string, row func(T) ([]any, error)) (n int, err error) {
	var why error
	_, err = tx.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromFunc(func() (values []any, err error) {
		v, ok, err := next(s, from)
		if err == nil && ok {
			n++
			values, err = row(v)
		}
		why = err
		return values, err
	}))
	if why != nil {
		err = why
	}
	return n, err
}

// entryRows makes the rows of entry, in log order.
func entryRows(now int64, progress func(string, int)) func(rules.Exported) ([]any, error) {
	numbers := map[cid.Hash]int32{}
	count := uint64(0)
	return func(e rules.Exported) ([]any, error) {
		switch {
		case e.Index != count:
			return nil, fault.New(ledger.ErrCorrupt, "entry %d of the log is missing", count)
		case e.Kind == ledger.KindRunRecord && e.RunKey.IsZero():
			return nil, fault.New(ledger.ErrCorrupt, "the run record at entry %d is of no run", e.Index)
		case e.Key.IsZero() && (e.Kind == ledger.KindRefusal || e.Kind == ledger.KindRingState):
			return nil, fault.New(ledger.ErrCorrupt, "entry %d, a %s, is kept under nothing", e.Index, e.Kind)
		}
		if count++; count%1000 == 0 {
			progress("copied", int(count))
		}
		key := keyOf(e)
		number := numbers[key]
		numbers[key]++
		var lease any
		if e.Kind == ledger.KindRegister {
			lease = now + e.Lease
		}
		return []any{int64(e.Index) + 1, e.Time, lease, number, int32(0), int16(e.Kind), key[:], hashOrNull(e.Run), e.Body, orNull(e.Kept)}, nil
	}
}

func itemRow(it rules.ExportedItem) ([]any, error) {
	return []any{itemID(itemKey(it.ID, it.Receipt)), int64(it.Index) + 1, int32(it.At), int32(it.Size)}, nil
}

func spendRow(c spentOf) ([]any, error) { return []any{c.id[:], int64(c.used)}, nil }

// copyTree copies the hashes that a log keeps of its entries and the checkpoints
// over them, so that what was signed, and kept by others, goes on.
func copyTree(ctx context.Context, from ledger.Log, tx pgx.Tx) error {
	t := treeTx{ctx: ctx, tx: tx}
	newest, err := from.Newest(ctx)
	if errors.Is(err, ledger.ErrNoCheckpoint) {
		return nil
	}
	var r tlog.Range
	for err == nil && r.Size() < newest.Size {
		first := r.Size()
		leaves, failed := from.Leaves(ctx, first, min(first+logtree.Segment, newest.Size))
		if failed == nil && len(leaves) == 0 {
			failed = fault.New(ledger.ErrCorrupt, "the hash of entry %d is not kept", first)
		}
		if failed != nil {
			return failed
		}
		for _, leaf := range leaves {
			r.Grow(leaf, func(level uint8, index uint64, root cid.Hash) {
				if level > 0 && level%logtree.Stride == 0 && err == nil {
					err = t.AddNode(level, index, root)
				}
			})
		}
		if err == nil {
			err = t.AddLeaves(first, leaves)
		}
	}
	if err != nil {
		return err
	}
	for c, err := range from.Checkpoints(ctx, 0) {
		if err == nil {
			err = t.AddCheckpoint(c)
		}
		if err != nil {
			return err
		}
	}
	_, err = logtree.Load(t) // checks the newest against the hashes
	return err
}

// keyOf is the key that an entry has here.
func keyOf(e rules.Exported) cid.Hash {
	switch {
	case ofID(e.Kind):
		return e.Idem
	case e.Kind == ledger.KindRunRecord:
		return runKey(e.RunKey)
	case e.Kind == ledger.KindRefusal, e.Kind == ledger.KindRingState:
		return e.Key
	}
	return sealKey(e.Body)
}

func orNull(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

type spentOf struct {
	id   cid.Hash
	used uint32
}

// stream turns Export, which calls, into what COPY asks for one by one.
type stream struct {
	entries chan rules.Exported
	items   chan rules.ExportedItem
	spends  chan spentOf
	err     error // of Export; set before failed is closed
	failed  chan struct{}
	cancel  context.CancelFunc
	ended   chan struct{}
}

func newStream(ctx context.Context, from rules.Source) *stream {
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{
		make(chan rules.Exported, 64), make(chan rules.ExportedItem, 64), make(chan spentOf, 64),
		nil, make(chan struct{}), cancel, make(chan struct{}),
	}
	go func() {
		defer close(s.ended)
		open, openItems := true, true
		endEntries := func() {
			if open {
				close(s.entries)
				open = false
			}
		}
		endItems := func() {
			endEntries()
			if openItems {
				close(s.items)
				openItems = false
			}
		}
		err := from.Export(ctx,
			func(e rules.Exported) error { return put(ctx, s.entries, e) },
			func(it rules.ExportedItem) error { endEntries(); return put(ctx, s.items, it) },
			func(id cid.Hash, used uint32) error { endItems(); return put(ctx, s.spends, spentOf{id, used}) })
		if err != nil {
			s.err = err
			close(s.failed)
			return
		}
		endItems()
		close(s.spends)
	}()
	return s
}

func (s *stream) stop() {
	s.cancel()
	<-s.ended
}

func put[T any](ctx context.Context, to chan<- T, v T) error {
	select {
	case to <- v:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func next[T any](s *stream, from <-chan T) (v T, ok bool, err error) {
	select {
	case v, ok = <-from:
		return v, ok, nil
	case <-s.failed:
		return v, false, s.err
	}
}

// compare reads both ledgers and fails at the first entry, or the first id, that
// is not the same in both. It returns how many ids there are.
func compare(ctx context.Context, from rules.Source, to *Store, progress func(string, int)) (ids int, err error) {
	pull, stop := iter.Pull2(to.Records(ctx, ledger.Filter{}))
	defer stop()
	seen := map[cid.Hash]bool{}
	n := 0
	for a, err := range from.Records(ctx, ledger.Filter{}) {
		if err != nil {
			return 0, err
		}
		b, err, ok := pull()
		switch {
		case err != nil:
			return 0, err
		case !ok, a.Index != b.Index, a.Kind != b.Kind, a.Idem != b.Idem, a.Run != b.Run, a.Time != b.Time, string(a.Body) != string(b.Body):
			return 0, fault.New(ErrCopy, "entry %d is not what was copied", a.Index)
		}
		if n++; n%1000 == 0 {
			progress("compared", n)
		}
		if !a.Idem.IsZero() {
			seen[a.Idem] = true
		}
	}
	if _, _, more := pull(); more {
		return 0, fault.New(ErrCopy, "the copy has more than %d entries", n)
	}
	for id := range seen {
		a, err := from.Lookup(ctx, id)
		if err != nil {
			return 0, err
		}
		b, err := to.Lookup(ctx, id)
		if err != nil {
			return 0, err
		}
		if a.Phase != b.Phase || a.RegisterID != b.RegisterID || a.Attempt != b.Attempt || string(a.CommitRaw) != string(b.CommitRaw) {
			return 0, fault.New(ErrCopy, "id %s is %s, and %s in the copy", id, a.Phase, b.Phase)
		}
	}
	return len(seen), nil
}
