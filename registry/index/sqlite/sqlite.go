// Package sqlite keeps a registry's index in one SQLite database, for one
// process.
package sqlite

import (
	"context"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/mythos-run/mythos/registry/index"
	"github.com/mythos-run/mythos/registry/sqlitedb"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// format is that of index.db.
var format = sqlitedb.Format{File: "index.db", ApplicationID: 0x4d595249 /* "MYRI" */, Version: 1, What: "an index of a registry", Schema: `
CREATE TABLE version (name TEXT NOT NULL, version TEXT NOT NULL, manifest BLOB NOT NULL, package BLOB NOT NULL,
	publishers TEXT NOT NULL, time INTEGER NOT NULL, PRIMARY KEY (name, version)) STRICT, WITHOUT ROWID;
CREATE INDEX version_package ON version (package, manifest);
CREATE TABLE attestation (subject BLOB NOT NULL, id BLOB NOT NULL, PRIMARY KEY (subject, id)) STRICT, WITHOUT ROWID;
`}

// Index is an index.Index in a database.
type Index struct{ db *sqlitedb.DB }

var _ index.Index = (*Index)(nil)

// Open opens the index in a folder, and makes it if there is none.
func Open(ctx context.Context, dir string) (*Index, error) {
	db, err := sqlitedb.Open(ctx, dir, format)
	if err != nil {
		return nil, err
	}
	return &Index{db}, nil
}

// Close waits until nobody uses the index.
func (x *Index) Close() error { return x.db.Close() }

// Ping implements index.Index.
func (x *Index) Ping(ctx context.Context) error { return x.db.Ping(ctx) }

// Publish implements index.Index.
func (x *Index) Publish(ctx context.Context, e index.Entry) (stands index.Entry, added bool, err error) {
	err = x.db.Write(ctx, func(conn *sqlite.Conn) error {
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
	err = x.db.Use(ctx, func(conn *sqlite.Conn) error {
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
	err = x.db.Use(ctx, func(conn *sqlite.Conn) (err error) {
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
	return x.db.Use(ctx, func(conn *sqlite.Conn) error {
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
	err = x.db.Use(ctx, func(conn *sqlite.Conn) error {
		return sqlitex.Execute(conn, query, &sqlitex.ExecOptions{Args: args, ResultFunc: func(stmt *sqlite.Stmt) error {
			var h cid.Hash
			stmt.ColumnBytes(0, h[:])
			found = append(found, h)
			return nil
		}})
	})
	return found, err
}
