// Package sqlite keeps the catalog of an OCI registry in one SQLite database,
// oci.db, for one process.
package sqlite

import (
	"context"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/mythos-run/mythos/registry/ociapi/catalog"
	"github.com/mythos-run/mythos/registry/sqlitedb"
)

// format is that of oci.db.
var format = sqlitedb.Format{File: "oci.db", ApplicationID: 0x4d594f43 /* "MYOC" */, Version: 1, What: "the catalog of an OCI registry", Schema: `
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
`}

// Catalog is a catalog.Catalog in a database.
type Catalog struct{ db *sqlitedb.DB }

var _ catalog.Catalog = (*Catalog)(nil)

// Open opens the catalog in a folder, and makes it if there is none.
func Open(ctx context.Context, dir string) (*Catalog, error) {
	db, err := sqlitedb.Open(ctx, dir, format)
	if err != nil {
		return nil, err
	}
	return &Catalog{db}, nil
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

// change executes one statement, and reports whether it changed a row.
func (c *Catalog) change(ctx context.Context, query string, args ...any) (changed bool, err error) {
	err = c.db.Use(ctx, func(conn *sqlite.Conn) (err error) {
		changed, err = run(conn, query, args...)
		return err
	})
	return changed && err == nil, err
}

// Close waits until nobody uses the catalog.
func (c *Catalog) Close() error { return c.db.Close() }

// Ping implements catalog.Catalog.
func (c *Catalog) Ping(ctx context.Context) error { return c.db.Ping(ctx) }
