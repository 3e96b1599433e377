// Package postgres keeps a registry's index in PostgreSQL 14 or newer, for
// several registries at once. Rows are only added, each by one statement, so that
// whatever is tried again after a connection was lost does no more than the first
// try may have done. What Publish and Attest acknowledge is committed with
// fsync and synchronous_commit on; a server without them is refused, and so is a
// standby, which may lag behind.
package postgres

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mythos-run/mythos/registry/index"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Options says where the index is.
type Options struct {
	URL    string // postgres://user@host:port/database, without a password
	Schema string // of the tables; "": mythos_registry
	// Password is asked before every connection; nil: what libpq uses, such as
	// PGPASSFILE.
	Password func(context.Context) (string, error)
	Conns    int // at most; 0: 8
	// Patience is how long a lost connection is made anew before a call fails; 0: 10
	// seconds.
	Patience time.Duration
}

const defaultPatience = 10 * time.Second

// Index is an index.Index in a database.
type Index struct {
	pool     *pool
	where    string
	patience time.Duration
}

var _ index.Index = (*Index)(nil)

// Open connects, and makes or migrates the tables.
func Open(ctx context.Context, o Options) (*Index, error) {
	if o.Schema == "" {
		o.Schema = defaultSchema
	}
	if o.Conns <= 0 {
		o.Conns = defaultConns
	}
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	if !validSchema(o.Schema) {
		return nil, fault.New(ErrURL, "%q is no name for a schema: lower-case letters, digits and _, at most 63", o.Schema)
	}
	address, err := checkURL(o.URL)
	if err != nil {
		return nil, err
	}
	c := &connector{address, o.Schema, o.Password}
	if _, err := c.config(); err != nil {
		return nil, err
	}
	x := &Index{&pool{c: c, slots: make(chan struct{}, o.Conns)}, Redacted(address), o.Patience}
	err = x.Use(ctx, func(conn *pgx.Conn) error { return prepare(ctx, conn, o.Schema) })
	if err != nil {
		x.pool.close()
		return nil, err
	}
	return x, nil
}

// Close waits until nobody uses the index. It is called once.
func (x *Index) Close() error {
	x.pool.close()
	return nil
}

// Use runs do with a connection; again with a new one if that was lost, for as
// long as the patience lasts. do starts anew each time.
func (x *Index) Use(ctx context.Context, do func(*pgx.Conn) error) error {
	start := time.Now()
	for wait := time.Duration(0); ; wait = min(2*wait+10*time.Millisecond, time.Second) {
		err := x.pool.lend(ctx, do)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !isLost(err), wait > 0 && time.Since(start)+wait > x.patience:
			return x.failed(err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// lost is an error with which a connection ended, or could not be made.
type lost struct{ error }

func (l lost) Unwrap() error { return l.error }

func lostIf(is bool, err error) error {
	if err != nil && is {
		return lost{err}
	}
	return err
}

func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// isLost reports whether a new connection may help.
func isLost(err error) bool {
	var l lost
	if errors.As(err, &l) {
		return true
	}
	state := sqlState(err) // too many connections; shutdown, crash, starting up
	return state == "53300" || strings.HasPrefix(state, "08") || strings.HasPrefix(state, "57P")
}

// failed gives an error its code; pgconn's text names user and database but no
// password.
func (x *Index) failed(err error) error {
	var e *fault.Error
	if errors.As(err, &e) {
		return e.About(x.where)
	}
	return fault.New(index.ErrUnavailable, "%w", err).About(x.where)
}

// Ping implements index.Index.
func (x *Index) Ping(ctx context.Context) error {
	return x.Use(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SELECT version FROM registry_schema")
		return err
	})
}

// Publish implements index.Index.
func (x *Index) Publish(ctx context.Context, e index.Entry) (stands index.Entry, added bool, err error) {
	err = x.Use(ctx, func(conn *pgx.Conn) error {
		tag, err := conn.Exec(ctx, "INSERT INTO published (name, version, manifest, package, publishers, time) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
			e.Name, e.Version, e.Manifest[:], e.PackageID[:], index.EncodeAgents(e.Publishers), e.Time)
		if err != nil {
			return err
		}
		if stands, added = e, tag.RowsAffected() == 1; added {
			return nil
		}
		found, err := entries(ctx, conn, "name = $1 AND version = $2", e.Name, e.Version)
		if err == nil && len(found) == 0 {
			err = fault.New(index.ErrUnavailable, "%s@%s was removed from the index", e.Name, e.Version)
		}
		if err == nil {
			stands = found[0]
		}
		return err
	})
	return stands, added && err == nil, err
}

// entries returns the entries that a condition holds of.
func entries(ctx context.Context, conn *pgx.Conn, where string, args ...any) ([]index.Entry, error) {
	rows, err := conn.Query(ctx, "SELECT name, version, manifest, package, publishers, time FROM published WHERE "+where, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (e index.Entry, err error) {
		var manifest, id []byte
		var agents string
		if err = row.Scan(&e.Name, &e.Version, &manifest, &id, &agents, &e.Time); err == nil {
			copy(e.Manifest[:], manifest) // 32 bytes, which the table checks
			copy(e.PackageID[:], id)
			e.Publishers, err = index.DecodeAgents(agents)
		}
		return e, err
	})
}

// Version implements index.Index.
func (x *Index) Version(ctx context.Context, name, version string) (e index.Entry, ok bool, err error) {
	err = x.Use(ctx, func(conn *pgx.Conn) error {
		found, err := entries(ctx, conn, "name = $1 AND version = $2", name, version)
		if ok = len(found) > 0; ok {
			e = found[0]
		}
		return err
	})
	return e, ok && err == nil, err
}

// Versions implements index.Index.
func (x *Index) Versions(ctx context.Context, name string) (found []index.Entry, err error) {
	err = x.Use(ctx, func(conn *pgx.Conn) (err error) {
		found, err = entries(ctx, conn, "name = $1", name)
		return err
	})
	return found, err
}

// Package implements index.Index.
func (x *Index) Package(ctx context.Context, id cid.Hash) ([]cid.Hash, error) {
	return x.hashes(ctx, "SELECT DISTINCT manifest FROM published WHERE package = $1 ORDER BY manifest", id[:])
}

// Attest implements index.Index.
func (x *Index) Attest(ctx context.Context, subject, attestation cid.Hash) error {
	return x.Use(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "INSERT INTO attestation (subject, id) VALUES ($1, $2) ON CONFLICT DO NOTHING", subject[:], attestation[:])
		return err
	})
}

// Attestations implements index.Index.
func (x *Index) Attestations(ctx context.Context, subject, after cid.Hash, limit int) ([]cid.Hash, error) {
	return x.hashes(ctx, "SELECT id FROM attestation WHERE subject = $1 AND id > $2 ORDER BY id LIMIT $3", subject[:], after[:], limit)
}

// hashes returns the hashes that a query finds.
func (x *Index) hashes(ctx context.Context, query string, args ...any) (found []cid.Hash, err error) {
	err = x.Use(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (h cid.Hash, err error) {
			var raw []byte
			err = row.Scan(&raw)
			copy(h[:], raw)
			return h, err
		})
		return err
	})
	return found, err
}
