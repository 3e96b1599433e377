package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/mythos-run/mythos/registry/index"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// migrations make a schema of version i+1 out of one of version i. Each is run
// once, in a transaction; what is released is never changed.
var migrations = [...]string{schema1}

const schema1 = `
CREATE TABLE published (
	name text COLLATE "C" NOT NULL, version text COLLATE "C" NOT NULL,
	manifest bytea NOT NULL CHECK (length(manifest) = 32), package bytea NOT NULL CHECK (length(package) = 32),
	publishers text NOT NULL, time bigint NOT NULL, PRIMARY KEY (name, version));
CREATE INDEX published_package ON published (package, manifest);
CREATE TABLE attestation (
	subject bytea NOT NULL CHECK (length(subject) = 32), id bytea NOT NULL CHECK (length(id) = 32), PRIMARY KEY (subject, id));
`

// prepare makes or migrates the schema, one process at a time; one of a newer
// release is refused, and nothing is written.
func prepare(ctx context.Context, conn *pgx.Conn, schema string) error {
	version, err := schemaVersion(ctx, conn, schema)
	if err == nil && version < len(migrations) {
		err = migrate(ctx, conn, schema)
	}
	if err == nil && version > len(migrations) {
		err = fault.New(index.ErrUnavailable, "the index has schema %d, this release knows %d", version, len(migrations))
	}
	if err != nil {
		return err
	}
	return checkTables(ctx, conn)
}

func migrate(ctx context.Context, conn *pgx.Conn, schema string) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", lock(schema)); err != nil {
			return err
		}
		version, err := schemaVersion(ctx, conn, schema) // another process may have been here
		if err != nil {
			return err
		}
		var steps []string
		if version == 0 {
			steps = append(steps, "CREATE SCHEMA IF NOT EXISTS "+schema, "CREATE TABLE registry_schema (version integer NOT NULL)", "INSERT INTO registry_schema VALUES (0)")
		}
		for _, m := range migrations[min(version, len(migrations)):] {
			steps = append(steps, m, "UPDATE registry_schema SET version = version + 1")
		}
		for _, step := range steps {
			if _, err := tx.Exec(ctx, step, pgx.QueryExecModeSimpleProtocol); err != nil {
				return err
			}
		}
		return nil
	})
}

// lock names the advisory lock of migrations of a schema.
func lock(schema string) int64 {
	sum := cid.Sum([]byte("mythos registry\x00" + schema))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// schemaVersion returns 0 for a schema that is missing or empty; one that holds
// something else is refused.
func schemaVersion(ctx context.Context, conn *pgx.Conn, schema string) (version int, err error) {
	var tables int
	var ours bool
	err = conn.QueryRow(ctx, "SELECT count(*), count(*) FILTER (WHERE tablename = 'registry_schema') > 0 FROM pg_tables WHERE schemaname = $1", schema).Scan(&tables, &ours)
	if err != nil || tables == 0 {
		return 0, err
	}
	if ours {
		err = conn.QueryRow(ctx, "SELECT version FROM registry_schema").Scan(&version)
	}
	if !ours || errors.Is(err, pgx.ErrNoRows) || err == nil && version < 1 {
		return 0, fault.New(index.ErrUnavailable, "the schema %s of the database holds %d tables and no index of a registry", schema, tables)
	}
	return version, err
}

// checkTables refuses tables that do not survive a crash.
func checkTables(ctx context.Context, conn *pgx.Conn) error {
	var unlogged string
	err := conn.QueryRow(ctx, "SELECT coalesce(string_agg(relname, ', '), '') FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'i') AND relpersistence <> 'p'").Scan(&unlogged)
	if err == nil && unlogged != "" {
		err = fault.New(index.ErrUnavailable, "a crash empties what is unlogged: %s", unlogged)
	}
	return err
}

func validSchema(name string) bool {
	return name != "" && len(name) <= 63 && !strings.HasPrefix(name, "pg_") && (name[0] < '0' || name[0] > '9') &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
