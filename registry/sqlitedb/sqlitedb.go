// Package sqlitedb keeps tables of a registry in one SQLite file, for one process:
// the file is made, recognised, made durable and shared out as connections here, and
// what is in the tables is its users' affair.
package sqlitedb

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
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

const connections = 8

// Format is what a file is known by, and how it begins.
type Format struct {
	File          string // its name in its folder
	ApplicationID int64
	Version       int64
	Schema        string // statements that make the tables
	What          string // "an index of a registry"
}

// DB is an open file. It is safe for concurrent use.
type DB struct {
	pool *sqlitex.Pool
	path string
}

// Open opens the file in a folder, and makes it if there is none. A file of another
// format, or of a later version, is left as it is (index.ErrUnavailable).
func Open(ctx context.Context, dir string, f Format) (*DB, error) {
	path := filepath.Join(dir, f.File)
	if err := atomicfile.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(index.ErrUnavailable, "%w", err).About(path)
	}
	pool, err := sqlitex.NewPool(path, sqlitex.PoolOptions{PoolSize: connections, PrepareConn: prepare})
	if err != nil {
		return nil, fault.New(index.ErrUnavailable, "%w", err).About(path)
	}
	db := &DB{pool, path}
	if err := db.Use(ctx, f.migrate); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return db, nil
}

// prepare makes what a connection writes durable.
func prepare(conn *sqlite.Conn) error {
	return cmp.Or(
		sqlitex.ExecuteTransient(conn, "PRAGMA synchronous = FULL", nil),
		sqlitex.ExecuteTransient(conn, "PRAGMA trusted_schema = OFF", nil))
}

func (f Format) migrate(conn *sqlite.Conn) error {
	if err := sqlitex.ExecuteTransient(conn, "PRAGMA journal_mode = WAL", nil); err != nil {
		return err
	}
	return transaction(conn, func() error {
		app, err := Number(conn, "PRAGMA application_id")
		if err != nil {
			return err
		}
		version, err := Number(conn, "PRAGMA user_version")
		switch {
		case err != nil, version == f.Version && app == f.ApplicationID:
			return err
		case version > f.Version && app == f.ApplicationID:
			return fmt.Errorf("a newer mythos wrote it; it is %s", f.What)
		case version != 0 || app != 0:
			return fmt.Errorf("this database is not %s", f.What)
		}
		return sqlitex.ExecuteScript(conn, f.Schema+fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", f.ApplicationID, f.Version), nil)
	})
}

// Number returns what a query says, 0 if nothing.
func Number(conn *sqlite.Conn, query string, args ...any) (value int64, err error) {
	err = sqlitex.Execute(conn, query, &sqlitex.ExecOptions{Args: args, ResultFunc: func(stmt *sqlite.Stmt) error {
		value = stmt.ColumnInt64(0)
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

// Use runs do with a connection. Its errors have the code index.ErrUnavailable.
func (db *DB) Use(ctx context.Context, do func(*sqlite.Conn) error) error {
	conn, err := db.pool.Take(ctx)
	if err == nil {
		defer db.pool.Put(conn)
		err = do(conn)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fault.New(index.ErrUnavailable, "%w", err).About(db.path)
	}
	return nil
}

// Write runs do in a transaction that holds the write lock from its beginning.
func (db *DB) Write(ctx context.Context, do func(*sqlite.Conn) error) error {
	return db.Use(ctx, func(conn *sqlite.Conn) error {
		return transaction(conn, func() error { return do(conn) })
	})
}

// Ping reads from the file.
func (db *DB) Ping(ctx context.Context) error {
	return db.Use(ctx, func(conn *sqlite.Conn) error {
		_, err := Number(conn, "PRAGMA user_version")
		return err
	})
}

// Close waits until nobody uses the file.
func (db *DB) Close() error { return db.pool.Close() }
