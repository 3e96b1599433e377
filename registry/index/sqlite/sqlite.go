// Package sqlite keeps a registry's index in one SQLite database, for one
// process.
package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/registry/index"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

const (
	applicationID = 0x4d595249 // "MYRI"
	schemaVersion = 1
	connections   = 8
)

const schema = `
CREATE TABLE version (name TEXT NOT NULL, version TEXT NOT NULL, manifest BLOB NOT NULL, package BLOB NOT NULL,
	publishers TEXT NOT NULL, time INTEGER NOT NULL, PRIMARY KEY (name, version)) STRICT, WITHOUT ROWID;
CREATE INDEX version_package ON version (package, manifest);
CREATE TABLE attestation (subject BLOB NOT NULL, id BLOB NOT NULL, PRIMARY KEY (subject, id)) STRICT, WITHOUT ROWID;
`

// Index is an index.Index in a database.
type Index struct {
	pool *sqlitex.Pool
	path string
}

var _ index.Index = (*Index)(nil)

// Open opens the index in a folder, and makes it if there is none.
func Open(ctx context.Context, dir string) (*Index, error) {
	path := filepath.Join(dir, "index.db")
	if err := atomicfile.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(index.ErrUnavailable, "%w", err).About(path)
	}
	pool, err := sqlitex.NewPool(path, sqlitex.PoolOptions{PoolSize: connections, PrepareConn: prepare})
	if err != nil {
		return nil, fault.New(index.ErrUnavailable, "%w", err).About(path)
	}
	x := &Index{pool, path}
	if err := x.use(ctx, migrate); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return x, nil
}

// prepare makes what a connection writes durable.
func prepare(conn *sqlite.Conn) error {
	return cmp.Or(
		sqlitex.ExecuteTransient(conn, "PRAGMA synchronous = FULL", nil),
		sqlitex.ExecuteTransient(conn, "PRAGMA trusted_schema = OFF", nil))
}

func migrate(conn *sqlite.Conn) error {
	if err := sqlitex.ExecuteTransient(conn, "PRAGMA journal_mode = WAL", nil); err != nil {
		return err
	}
	return transaction(conn, func() error {
		app, err := pragma(conn, "application_id")
		if err != nil {
			return err
		}
		version, err := pragma(conn, "user_version")
		switch {
		case err != nil, version == schemaVersion && app == applicationID:
			return err
		case version > schemaVersion && app == applicationID:
			return errors.New("a newer mythos wrote this index")
		case version != 0 || app != 0:
			return errors.New("this database is not an index of a registry")
		}
		return sqlitex.ExecuteScript(conn, schema+fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, schemaVersion), nil)
	})
}

func pragma(conn *sqlite.Conn, name string) (value int, err error) {
	err = sqlitex.ExecuteTransient(conn, "PRAGMA "+name, &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
		value = stmt.ColumnInt(0)
		return nil
	}})
	return value, err
}

// transaction runs do in a transaction that holds the write lock from its
// beginning.
func transaction(conn *sqlite.Conn, do func() error) (err error) {
	end, err := sqlitex.ImmediateTransaction(conn)
	if err != nil {
		return err
	}
	defer end(&err)
	return do()
}

// use runs do with a connection.
func (x *Index) use(ctx context.Context, do func(*sqlite.Conn) error) error {
	conn, err := x.pool.Take(ctx)
	if err == nil {
		defer x.pool.Put(conn)
		err = do(conn)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fault.New(index.ErrUnavailable, "%w", err).About(x.path)
	}
	return nil
}

// Close waits until nobody uses the index.
func (x *Index) Close() error { return x.pool.Close() }

// Ping implements index.Index.
func (x *Index) Ping(ctx context.Context) error {
	return x.use(ctx, func(conn *sqlite.Conn) error {
		_, err := pragma(conn, "user_version")
		return err
	})
}

// Publish implements index.Index.
func (x *Index) Publish(ctx context.Context, e index.Entry) (stands index.Entry, added bool, err error) {
	err = x.use(ctx, func(conn *sqlite.Conn) error {
		return transaction(conn, func() error {
			found, err := entries(conn, "name = ? AND version = ?", e.Name, e.Version)
			if err != nil {
				return err
			}
			if len(found) > 0 {
				stands, added = found[0], false
				return nil
			}
			stands, added = e, true
			return sqlitex.Execute(conn, "INSERT INTO version (name, version, manifest, package, publishers, time) VALUES (?, ?, ?, ?, ?, ?)",
				&sqlitex.ExecOptions{Args: []any{e.Name, e.Version, e.Manifest[:], e.PackageID[:], index.EncodeAgents(e.Publishers), e.Time}})
		})
	})
	return stands, added && err == nil, err
}

// entries returns the entries that a condition holds of.
func entries(conn *sqlite.Conn, where string, args ...any) (found []index.Entry, err error) {
	err = sqlitex.Execute(conn, "SELECT name, version, manifest, package, publishers, time FROM version WHERE "+where, &sqlitex.ExecOptions{
		Args: args,
		ResultFunc: func(stmt *sqlite.Stmt) error {
			e := index.Entry{Name: stmt.ColumnText(0), Version: stmt.ColumnText(1), Time: stmt.ColumnInt64(5)}
			stmt.ColumnBytes(2, e.Manifest[:])
			stmt.ColumnBytes(3, e.PackageID[:])
			list, err := index.DecodeAgents(stmt.ColumnText(4))
			e.Publishers = list
			found = append(found, e)
			return err
		},
	})
	return found, err
}

// Version implements index.Index.
func (x *Index) Version(ctx context.Context, name, version string) (e index.Entry, ok bool, err error) {
	err = x.use(ctx, func(conn *sqlite.Conn) error {
		found, err := entries(conn, "name = ? AND version = ?", name, version)
		if len(found) > 0 {
			e, ok = found[0], true
		}
		return err
	})
	return e, ok && err == nil, err
}

// Versions implements index.Index.
func (x *Index) Versions(ctx context.Context, name string) (found []index.Entry, err error) {
	err = x.use(ctx, func(conn *sqlite.Conn) (err error) {
		found, err = entries(conn, "name = ?", name)
		return err
	})
	return found, err
}

// Package implements index.Index.
func (x *Index) Package(ctx context.Context, id cid.Hash) ([]cid.Hash, error) {
	return x.hashes(ctx, "SELECT DISTINCT manifest FROM version WHERE package = ? ORDER BY manifest", id[:])
}

// Attest implements index.Index.
func (x *Index) Attest(ctx context.Context, subject, attestation cid.Hash) error {
	return x.use(ctx, func(conn *sqlite.Conn) error {
		return sqlitex.Execute(conn, "INSERT INTO attestation (subject, id) VALUES (?, ?) ON CONFLICT DO NOTHING",
			&sqlitex.ExecOptions{Args: []any{subject[:], attestation[:]}})
	})
}

// Attestations implements index.Index.
func (x *Index) Attestations(ctx context.Context, subject, after cid.Hash, limit int) ([]cid.Hash, error) {
	return x.hashes(ctx, "SELECT id FROM attestation WHERE subject = ? AND id > ? ORDER BY id LIMIT ?", subject[:], after[:], limit)
}

// hashes returns the hashes that a query finds.
func (x *Index) hashes(ctx context.Context, query string, args ...any) (found []cid.Hash, err error) {
	err = x.use(ctx, func(conn *sqlite.Conn) error {
		return sqlitex.Execute(conn, query, &sqlitex.ExecOptions{Args: args, ResultFunc: func(stmt *sqlite.Stmt) error {
			var h cid.Hash
			stmt.ColumnBytes(0, h[:])
			found = append(found, h)
			return nil
		}})
	})
	return found, err
}
