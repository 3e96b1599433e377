// Package sqlite keeps the catalog of an OCI registry in one SQLite database,
// oci.db, for one process.
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
	"github.com/mythos-run/mythos/registry/ociapi/catalog"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

const (
	applicationID = 0x4d594f43 // "MYOC"
	schemaVersion = 1
	connections   = 8
)

const schema = `
CREATE TABLE blob (repository TEXT NOT NULL, digest TEXT NOT NULL, cid BLOB NOT NULL, size INTEGER NOT NULL,
	PRIMARY KEY (repository, digest)) STRICT, WITHOUT ROWID;
CREATE INDEX blob_digest ON blob (digest);
CREATE TABLE manifest (repository TEXT NOT NULL, digest TEXT NOT NULL, cid BLOB NOT NULL, size INTEGER NOT NULL,
	media_type TEXT NOT NULL, artifact_type TEXT NOT NULL, subject TEXT NOT NULL, annotations TEXT NOT NULL,
	PRIMARY KEY (repository, digest)) STRICT;
CREATE INDEX manifest_subject ON manifest (repository, subject, digest) WHERE subject <> '';
CREATE TABLE tag (repository TEXT NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL,
	PRIMARY KEY (repository, tag)) STRICT, WITHOUT ROWID;
CREATE INDEX tag_digest ON tag (repository, digest);
CREATE TABLE upload (id TEXT NOT NULL PRIMARY KEY, repository TEXT NOT NULL, size INTEGER NOT NULL, touched INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE part (upload TEXT NOT NULL, start INTEGER NOT NULL, size INTEGER NOT NULL, key TEXT NOT NULL,
	PRIMARY KEY (upload, start)) STRICT, WITHOUT ROWID;
`

// Catalog is a catalog.Catalog in a database.
type Catalog struct {
	pool *sqlitex.Pool
	path string
}

var _ catalog.Catalog = (*Catalog)(nil)

// Open opens the catalog in a folder, and makes it if there is none.
func Open(ctx context.Context, dir string) (*Catalog, error) {
	path := filepath.Join(dir, "oci.db")
	if err := atomicfile.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(index.ErrUnavailable, "%w", err).About(path)
	}
	pool, err := sqlitex.NewPool(path, sqlitex.PoolOptions{PoolSize: connections, PrepareConn: prepare})
	if err != nil {
		return nil, fault.New(index.ErrUnavailable, "%w", err).About(path)
	}
	c := &Catalog{pool, path}
	if err := c.use(ctx, migrate); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return c, nil
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
		app, err := number(conn, "PRAGMA application_id")
		if err != nil {
			return err
		}
		version, err := number(conn, "PRAGMA user_version")
		switch {
		case err != nil, version == schemaVersion && app == applicationID:
			return err
		case version > schemaVersion && app == applicationID:
			return errors.New("a newer mythos wrote this catalog")
		case version != 0 || app != 0:
			return errors.New("this database is not the catalog of an OCI registry")
		}
		return sqlitex.ExecuteScript(conn, schema+fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, schemaVersion), nil)
	})
}

// number returns what a query says, 0 if nothing.
func number(conn *sqlite.Conn, query string, args ...any) (value int64, err error) {
	err = sqlitex.Execute(conn, query, &sqlitex.ExecOptions{Args: args, ResultFunc: func(stmt *sqlite.Stmt) error {
		value = stmt.ColumnInt64(0)
		return nil
	}})
	return value, err
}

// run executes a statement, and reports whether it changed a row.
func run(conn *sqlite.Conn, query string, args ...any) (bool, error) {
	err := sqlitex.Execute(conn, query, &sqlitex.ExecOptions{Args: args})
	return err == nil && conn.Changes() > 0, err
}

// texts returns the first column of what a query finds.
func texts(conn *sqlite.Conn, query string, args ...any) (found []string, err error) {
	err = sqlitex.Execute(conn, query, &sqlitex.ExecOptions{Args: args, ResultFunc: func(stmt *sqlite.Stmt) error {
		found = append(found, stmt.ColumnText(0))
		return nil
	}})
	return found, err
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
func (c *Catalog) use(ctx context.Context, do func(*sqlite.Conn) error) error {
	conn, err := c.pool.Take(ctx)
	if err == nil {
		defer c.pool.Put(conn)
		err = do(conn)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fault.New(index.ErrUnavailable, "%w", err).About(c.path)
	}
	return nil
}

// write runs do in a transaction.
func (c *Catalog) write(ctx context.Context, do func(*sqlite.Conn) error) error {
	return c.use(ctx, func(conn *sqlite.Conn) error {
		return transaction(conn, func() error { return do(conn) })
	})
}

// change executes one statement, and reports whether it changed a row.
func (c *Catalog) change(ctx context.Context, query string, args ...any) (changed bool, err error) {
	err = c.use(ctx, func(conn *sqlite.Conn) (err error) {
		changed, err = run(conn, query, args...)
		return err
	})
	return changed && err == nil, err
}

// Close waits until nobody uses the catalog.
func (c *Catalog) Close() error { return c.pool.Close() }

// Ping implements catalog.Catalog.
func (c *Catalog) Ping(ctx context.Context) error {
	return c.use(ctx, func(conn *sqlite.Conn) error {
		_, err := number(conn, "PRAGMA user_version")
		return err
	})
}
