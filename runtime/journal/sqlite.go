package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// SQLite is the durable ledger. It is safe for concurrent use.
type SQLite struct {
	writer *writer // nil when opened for reading
	lock   *writerLock

	mu     sync.Mutex // guards reader
	reader *sqlite.Conn
	reads  *sqliteTx

	scan scanner
}

// Open opens the ledger for writing, taking the writer lock.
func Open(ctx context.Context, o Options) (*SQLite, error) {
	if o.Dir == "" || o.Clock == nil {
		return nil, fault.New(ErrUnavailable, "a ledger needs a folder and a clock")
	}
	if err := atomicfile.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, openError(o.Dir, err)
	}
	lock, err := takeLock(ctx, o)
	if err != nil {
		return nil, err
	}
	s, err := openLocked(o, lock)
	if err != nil {
		lock.release()
		return nil, err
	}
	return s, nil
}

func openLocked(o Options, lock *writerLock) (*SQLite, error) {
	if err := refuseHalfRestored(o.Dir); err != nil {
		return nil, err
	}
	path := filepath.Join(o.Dir, dbFile)
	if err := makeFile(path); err != nil {
		return nil, openError(path, err)
	}
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, openError(path, err)
	}
	conn.SetBusyTimeout(busyTimeout)
	if err := prepareWriter(conn); err != nil {
		return nil, errors.Join(openError(path, err), conn.Close())
	}
	if err := atomicfile.SyncDir(o.Dir); err != nil {
		return nil, errors.Join(openError(path, err), conn.Close())
	}
	s, err := openReader(path, o)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	t := &sqliteTx{conn: conn, clock: o.Clock, boot: o.bootClock(), log: sqliteLog{signer: o.Signer}}
	if err := t.resume(); err != nil {
		return nil, errors.Join(openError(path, err), s.Close(), conn.Close())
	}
	s.lock, s.writer = lock, newWriter(t)
	return s, nil
}

// makeFile makes an empty ledger.db with mode 0600, which SQLite then gives to
// the files beside it, and refuses one that cannot be written. It opens no file
// that is there already: closing it would drop the locks that SQLite holds on it
// for this process.
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return unix.Access(path, unix.W_OK)
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// OpenReadOnly opens the ledger for reading beside a writer. Methods that write
// fail with ErrReadOnly.
func OpenReadOnly(o Options) (*SQLite, error) {
	return openReader(filepath.Join(o.Dir, dbFile), o)
}

func openReader(path string, o Options) (*SQLite, error) {
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	if err != nil {
		return nil, openError(path, err)
	}
	conn.SetBusyTimeout(busyTimeout)
	version, err := checkSchema(conn)
	if err == nil && version == 0 {
		err = fault.New(ErrUnavailable, "another process is just making the ledger")
	}
	if err != nil {
		return nil, errors.Join(openError(path, err), conn.Close())
	}
	return &SQLite{reader: conn, reads: &sqliteTx{conn: conn, clock: o.Clock, boot: o.bootClock()}, scan: scanner{path: path}}, nil
}

const (
	applicationID = 0x4d595448 // "MYTH"
	schemaVersion = 3

	busyTimeout = 5 * time.Second // for a reader's or a checkpoint's short locks
)

// schema touches few pages in a transaction, since each goes to the write-ahead
// log whole; pages are small for the same reason. One table grows, and only what
// is looked up by a hash has an index.
//
// entry is the log, with what stands beside it but came with it: wall, boot and
// mono are the lease that a register began with, kept is the bytes of its items
// one after the other, which table item finds.
const schema1 = `
CREATE TABLE entry (seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, idem BLOB, run BLOB, time INTEGER NOT NULL, body BLOB NOT NULL, wall INTEGER, boot TEXT, mono INTEGER, kept BLOB) STRICT;
CREATE INDEX entry_idem ON entry (idem);
CREATE INDEX entry_run ON entry (run);
CREATE TABLE lease (register BLOB PRIMARY KEY, wall INTEGER NOT NULL, boot TEXT NOT NULL, mono INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE spend (cap BLOB PRIMARY KEY, used INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE item (id BLOB NOT NULL, receipt INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (id, receipt)) STRICT, WITHOUT ROWID;
CREATE TABLE run (key BLOB PRIMARY KEY, record BLOB NOT NULL) STRICT;
`

// schema2 adds the tree of the log. A piece of leaf hashes is written with the
// checkpoint that covers them and never again; an id of a node is its level times
// 2^56 and its index.
const schema2 = `
CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, note BLOB NOT NULL) STRICT;
CREATE TABLE leaf (first INTEGER PRIMARY KEY, hashes BLOB NOT NULL) STRICT;
CREATE TABLE node (id INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT;
`

// schema3 finds the states of rings, which are few, in a log of any length. idem
// is what refusals and ring states are kept under, too.
const schema3 = `
CREATE INDEX entry_ring ON entry (seq) WHERE kind = 8;
`

// migrations make a schema of version i+1 out of one of version i. What is
// released is never changed.
var migrations = [schemaVersion]string{schema1, schema2, schema3}

// prepareWriter checks the engine and the file before it writes anything, sets
// the pragmas that durability rests on and creates the schema in a new file.
func prepareWriter(conn *sqlite.Conn) error {
	if err := checkEngine(conn); err != nil {
		return err
	}
	version, err := checkSchema(conn)
	if err != nil {
		return err
	}
	for _, pragma := range []string{
		"page_size=1024", // in a new file
		"journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=16000", "cache_size=-16000", "trusted_schema=OFF", "cell_size_check=ON",
	} {
		if err := sqlitex.ExecuteTransient(conn, "PRAGMA "+pragma, nil); err != nil {
			return err
		}
	}
	if err := checkDurable(conn); err != nil {
		return err
	}
	return migrate(conn, version)
}

// migrate brings a schema to this release's version, from nothing or from an
// older one, in one transaction: a crash leaves what was there.
func migrate(conn *sqlite.Conn, version int64) error {
	if version == schemaVersion {
		return nil
	}
	return sqlitex.ExecuteScript(conn, migration(version), nil)
}

func migration(version int64) string {
	return strings.Join(migrations[version:], "") + fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d;", applicationID, schemaVersion)
}

// checkDurable reads back what durability rests on: SQLite answers a pragma that
// it does not honour with silence.
func checkDurable(conn *sqlite.Conn) error {
	mode, err := queryText(conn, "PRAGMA journal_mode")
	if err != nil {
		return err
	}
	level, err := queryInt(conn, "PRAGMA synchronous")
	if err == nil && (mode != "wal" || level != synchronousFull) {
		err = fault.New(ErrUnavailable, "SQLite has journal mode %s and synchronous %d here, want wal and %d", mode, level, synchronousFull)
	}
	return err
}

const synchronousFull = 2

// EngineVersion returns the version of the SQLite that is built in.
func EngineVersion() (string, error) {
	conn, err := sqlite.OpenConn(":memory:", sqlite.OpenReadWrite)
	if err != nil {
		return "", openError("SQLite", err)
	}
	version, err := engineVersion(conn)
	return version, errors.Join(err, conn.Close())
}

func engineVersion(conn *sqlite.Conn) (string, error) {
	return queryText(conn, "SELECT sqlite_version()")
}

// checkEngine refuses SQLite before 3.51.3: its WAL-reset race loses committed
// transactions.
func checkEngine(conn *sqlite.Conn) error {
	version, err := engineVersion(conn)
	if err != nil {
		return err
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return fault.New(ErrUnavailable, "SQLite version %q is not understood", version)
	}
	if major*1_000_000+minor*1000+patch < 3_051_003 {
		return fault.New(ErrUnavailable, "SQLite %s is older than 3.51.3 and can lose committed transactions", version)
	}
	return nil
}

// checkSchema refuses what is no ledger of this release or an older one. It
// returns the version, 0 for a file with nothing in it, and writes nothing.
func checkSchema(conn *sqlite.Conn) (version int64, err error) {
	app, err := queryInt(conn, "PRAGMA application_id")
	if err != nil {
		return 0, err
	}
	version, err = queryInt(conn, "PRAGMA user_version")
	if err != nil {
		return 0, err
	}
	tables, err := queryInt(conn, "SELECT count(*) FROM sqlite_schema")
	switch {
	case err != nil:
		return 0, err
	case app == 0 && version == 0 && tables == 0:
		return 0, nil
	case app != applicationID || version < 1:
		return 0, fault.New(ledger.ErrCorrupt, "the file is not a MYTHOS ledger (application id %#x, schema %d)", app, version)
	case version > schemaVersion:
		return 0, fault.New(ErrSchemaNewer, "the ledger has schema %d, this release knows %d", version, schemaVersion)
	}
	return version, nil
}

func queryInt(conn *sqlite.Conn, query string) (int64, error) {
	stmt, _, err := conn.PrepareTransient(query)
	if err != nil {
		return 0, err
	}
	defer stmt.Finalize()
	return sqlitex.ResultInt64(stmt)
}

func queryText(conn *sqlite.Conn, query string) (string, error) {
	stmt, _, err := conn.PrepareTransient(query)
	if err != nil {
		return "", err
	}
	defer stmt.Finalize()
	return sqlitex.ResultText(stmt)
}

// read runs a rule on the reader's snapshot.
func (s *SQLite) read(ctx context.Context, fn func(rules.Tx) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reader == nil {
		return fault.New(ErrClosed, "the ledger is closed")
	}
	if err := control(s.reader, "BEGIN"); err != nil {
		return storeError(err)
	}
	err := fn(s.reads)
	if s.reader.AutocommitEnabled() { // an I/O error has ended the transaction
		return storeError(err)
	}
	if end := control(s.reader, "ROLLBACK"); err == nil {
		err = end
	}
	return storeError(err)
}

// write runs a rule in the writer's next transaction and returns when it is
// durable.
func (s *SQLite) write(ctx context.Context, fn func(rules.Tx) error) error {
	if s.writer == nil {
		return readOnly()
	}
	return s.writer.do(ctx, newOperation(fn))
}

func readOnly() error { return fault.New(ErrReadOnly, "the ledger was opened for reading") }

// BeginRun implements ledger.Store.
func (s *SQLite) BeginRun(ctx context.Context, start ledger.RunStart) ([]byte, error) {
	if err := rules.CheckItems(start.Items); err != nil {
		return nil, err
	}
	return result(s.write, ctx, func(t rules.Tx) ([]byte, error) { return rules.BeginRun(t, start) })
}

// FindRun implements ledger.Store.
func (s *SQLite) FindRun(ctx context.Context, authority, holder cid.Hash, runID string) ([]byte, error) {
	return result(s.read, ctx, func(t rules.Tx) ([]byte, error) { return rules.FindRun(t, authority, holder, runID) })
}

// Lookup implements ledger.Store.
func (s *SQLite) Lookup(ctx context.Context, idem cid.Hash) (ledger.View, error) {
	return result(s.read, ctx, func(t rules.Tx) (ledger.View, error) { return rules.View(t, idem) })
}

// Register implements ledger.Store.
func (s *SQLite) Register(ctx context.Context, r ledger.Registration) error {
	opened, err := rules.OpenRegistration(r)
	if err != nil {
		return err
	}
	return s.write(ctx, func(t rules.Tx) error { return rules.Register(t, opened) })
}

// Extend implements ledger.Store.
func (s *SQLite) Extend(ctx context.Context, idem, register cid.Hash, forMicros int64) error {
	return s.write(ctx, func(t rules.Tx) error { return rules.Extend(t, idem, register, forMicros) })
}

// Commit implements ledger.Store.
func (s *SQLite) Commit(ctx context.Context, c ledger.Commitment) (ledger.Verdict, error) {
	opened, err := rules.OpenCommitment(c)
	if err != nil {
		return 0, err
	}
	return result(s.write, ctx, func(t rules.Tx) (ledger.Verdict, error) { return rules.Commit(t, opened) })
}

// Resolve implements ledger.Store.
func (s *SQLite) Resolve(ctx context.Context, body []byte, run cid.Hash, byOperator bool) error {
	return s.write(ctx, func(t rules.Tx) error { return rules.Resolve(t, body, run, byOperator) })
}

// Diverge implements ledger.Store.
func (s *SQLite) Diverge(ctx context.Context, body []byte, run cid.Hash) (ledger.Verdict, error) {
	return result(s.write, ctx, func(t rules.Tx) (ledger.Verdict, error) { return rules.Diverge(t, body, run) })
}

// Seal implements ledger.Store.
func (s *SQLite) Seal(ctx context.Context, body []byte, run cid.Hash) error {
	return s.write(ctx, func(t rules.Tx) error { return s.seal(t, body, run) })
}

// seal appends a seal, with a checkpoint.
func (s *SQLite) seal(t rules.Tx, body []byte, run cid.Hash) error {
	if err := rules.Seal(t, body, run); err != nil {
		return err
	}
	s.writer.tx.log.due = true
	return nil
}

// Object implements ledger.Store. The bytes are verified before they are
// returned.
func (s *SQLite) Object(ctx context.Context, id cid.Hash) ([]byte, error) {
	var data []byte
	err := s.read(ctx, func(rules.Tx) (err error) {
		data, err = s.reads.find(id, false)
		return err
	})
	if err == nil && cid.Sum(data) != id {
		return nil, fault.New(ledger.ErrCorrupt, "the ledger's object %s has other bytes", id)
	}
	return data, err
}

// Receipt implements ledger.Store. The bytes are verified before they are
// returned; the signature is the caller's to check.
func (s *SQLite) Receipt(ctx context.Context, id cid.Hash) ([]byte, error) {
	var body []byte
	err := s.read(ctx, func(rules.Tx) (err error) {
		body, err = s.reads.find(id, true)
		return err
	})
	if err != nil {
		return nil, err
	}
	if got, err := cid.Without(body, 1, 11); err != nil || got != id {
		return nil, fault.New(ledger.ErrCorrupt, "the ledger's receipt %s has other bytes", id)
	}
	return body, nil
}

// Records implements ledger.Store. It pages, so that a slow consumer holds no
// transaction open.
func (s *SQLite) Records(ctx context.Context, f ledger.Filter) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		for after := int64(0); ; {
			var page []ledger.Record
			err := s.read(ctx, func(rules.Tx) (err error) {
				page, err = s.reads.page(after, f)
				return err
			})
			if err != nil {
				yield(ledger.Record{}, err)
				return
			}
			for _, rec := range page {
				if rules.Matches(f, rec) && !yield(rec, nil) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
			after = int64(page[len(page)-1].Index) + 1
		}
	}
}

// Close waits for queued writes, signs a checkpoint over what has none, then
// releases the files and the lock. The writing connection is the last one to close,
// so that SQLite takes the write-ahead log into ledger.db, which then is all there
// is, unless another process still reads. After a fault it is the first: what
// nobody knows to be on the disk must not go there.
func (s *SQLite) Close() error {
	var err error
	if s.writer != nil {
		err = s.writer.close()
		if s.writer.dead != nil {
			err = errors.Join(err, s.writer.disconnect())
		}
	}
	err = errors.Join(err, s.scan.close())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reader != nil {
		err = errors.Join(err, s.reader.Close())
		s.reader = nil
	}
	if s.writer != nil {
		err = errors.Join(err, s.writer.disconnect())
	}
	if s.lock != nil {
		s.lock.release()
		s.lock = nil
	}
	return err
}
