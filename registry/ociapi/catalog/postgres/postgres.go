// Package postgres keeps the catalog of an OCI registry in a PostgreSQL database
// that several registries share: the one of their index, whose package lends
// connections, in the same schema. Its tables begin with oci_.
//
// Whatever is tried again after a connection was lost does no more than the first
// try may have done; all that a retry can lose is the answer that something was
// there to be removed. The bound on uploads is looked at and not locked: at most as
// many more as there are replicas may begin at one time.
package postgres

import (
	"context"
	"encoding/binary"

	"github.com/jackc/pgx/v5"

	"github.com/mythos-run/mythos/registry/index"
	"github.com/mythos-run/mythos/registry/ociapi/catalog"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Database lends connections to a PostgreSQL server whose commits are durable, with
// a search_path whose first schema is the registry's.
type Database interface {
	// Use runs do with a connection that nobody else has meanwhile. If the connection
	// is lost it may run do again, with another one. Its errors have the code
	// index.ErrUnavailable, or are ctx's.
	Use(ctx context.Context, do func(*pgx.Conn) error) error
}

// schema1 is the first version of the tables. What is released is never changed; a
// later version alters it.
const schema1 = `
CREATE TABLE oci_blob (repository text COLLATE "C" NOT NULL, digest text COLLATE "C" NOT NULL,
	cid bytea NOT NULL CHECK (length(cid) = 32), size bigint NOT NULL, PRIMARY KEY (repository, digest));
CREATE INDEX oci_blob_digest ON oci_blob (digest);
CREATE TABLE oci_manifest (repository text COLLATE "C" NOT NULL, digest text COLLATE "C" NOT NULL,
	cid bytea NOT NULL CHECK (length(cid) = 32), size bigint NOT NULL, media_type text NOT NULL, artifact_type text COLLATE "C" NOT NULL,
	subject text COLLATE "C" NOT NULL, annotations text NOT NULL, PRIMARY KEY (repository, digest));
CREATE INDEX oci_manifest_subject ON oci_manifest (repository, subject, digest) WHERE subject <> '';
CREATE TABLE oci_tag (repository text COLLATE "C" NOT NULL, tag text COLLATE "C" NOT NULL, digest text COLLATE "C" NOT NULL, PRIMARY KEY (repository, tag));
CREATE INDEX oci_tag_digest ON oci_tag (repository, digest);
CREATE TABLE oci_upload (id text COLLATE "C" PRIMARY KEY, repository text COLLATE "C" NOT NULL, size bigint NOT NULL, touched bigint NOT NULL);
CREATE TABLE oci_part (upload text COLLATE "C" NOT NULL REFERENCES oci_upload ON DELETE CASCADE, start bigint NOT NULL, size bigint NOT NULL,
	key text NOT NULL, PRIMARY KEY (upload, start));
CREATE TABLE oci_schema (version integer NOT NULL);
INSERT INTO oci_schema VALUES (1);
`

const schemaVersion = 1

// Catalog is a catalog.Catalog in a database.
type Catalog struct{ db Database }

var _ catalog.Catalog = (*Catalog)(nil)

// Open makes the tables if they are not there. The database remains its owner's.
func Open(ctx context.Context, db Database) (*Catalog, error) {
	err := db.Use(ctx, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			var schema string
			if err := tx.QueryRow(ctx, "SELECT current_schema()").Scan(&schema); err != nil {
				return err
			}
			sum := cid.Sum([]byte("mythos oci\x00" + schema))
			if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(binary.BigEndian.Uint64(sum[:]))); err != nil {
				return err
			}
			var there bool
			if err := tx.QueryRow(ctx, "SELECT to_regclass(current_schema() || '.oci_schema') IS NOT NULL").Scan(&there); err != nil {
				return err
			}
			if !there {
				_, err := tx.Exec(ctx, schema1, pgx.QueryExecModeSimpleProtocol)
				return err
			}
			var version int
			if err := tx.QueryRow(ctx, "SELECT version FROM oci_schema").Scan(&version); err != nil {
				return err
			}
			if version != schemaVersion {
				return fault.New(index.ErrUnavailable, "the catalog has schema %d, this release knows %d", version, schemaVersion)
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return &Catalog{db}, nil
}

// Close does nothing: the database is its owner's to close.
func (c *Catalog) Close() error { return nil }

// Ping implements catalog.Catalog.
func (c *Catalog) Ping(ctx context.Context) error {
	return c.db.Use(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SELECT version FROM oci_schema")
		return err
	})
}

// change executes one statement, and reports whether it changed a row.
func (c *Catalog) change(ctx context.Context, query string, args ...any) (changed bool, err error) {
	err = c.db.Use(ctx, func(conn *pgx.Conn) error {
		tag, err := conn.Exec(ctx, query, args...)
		changed = tag.RowsAffected() > 0
		return err
	})
	return changed && err == nil, err
}

// texts returns the one column of what a query finds.
func (c *Catalog) texts(ctx context.Context, query string, args ...any) (found []string, err error) {
	err = c.db.Use(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, query, args...)
		if err == nil {
			found, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	})
	return found, err
}
