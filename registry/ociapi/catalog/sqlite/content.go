package sqlite

import (
	"context"
	"errors"
	"iter"
	"strings"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/mythos-run/mythos/registry/ociapi/catalog"
	"github.com/mythos-run/mythos/registry/sqlitedb"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// LinkBlob implements catalog.Catalog.
func (c *Catalog) LinkBlob(ctx context.Context, repository string, b catalog.Blob) error {
	_, err := c.change(ctx, "INSERT INTO blob (repository, digest, cid, size) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET cid = excluded.cid, size = excluded.size",
		repository, b.Digest, b.CID[:], b.Size)
	return err
}

// Blob implements catalog.Catalog.
func (c *Catalog) Blob(ctx context.Context, repository, digest string) (b catalog.Blob, ok bool, err error) {
	query, args := "SELECT digest, cid, size FROM blob WHERE repository = ? AND digest = ?", []any{repository, digest}
	if repository == "" {
		query, args = "SELECT digest, cid, size FROM blob WHERE digest = ? LIMIT 1", []any{digest}
	}
	err = c.db.Use(ctx, func(conn *sqlite.Conn) error {
		return sqlitex.Execute(conn, query, &sqlitex.ExecOptions{Args: args, ResultFunc: func(stmt *sqlite.Stmt) error {
			b, ok = readBlob(stmt), true
			return nil
		}})
	})
	return b, ok && err == nil, err
}

// readBlob reads the columns digest, cid and size.
func readBlob(stmt *sqlite.Stmt) catalog.Blob {
	b := catalog.Blob{Digest: stmt.ColumnText(0), Size: stmt.ColumnInt64(2)}
	stmt.ColumnBytes(1, b.CID[:])
	return b
}

// UnlinkBlob implements catalog.Catalog.
func (c *Catalog) UnlinkBlob(ctx context.Context, repository, digest string) (bool, error) {
	return c.change(ctx, "DELETE FROM blob WHERE repository = ? AND digest = ?", repository, digest)
}

// Missing implements catalog.Catalog.
func (c *Catalog) Missing(ctx context.Context, repository string, blobs, manifests []string) (missing string, err error) {
	err = c.db.Use(ctx, func(conn *sqlite.Conn) (err error) {
		if missing, err = absent(conn, "blob", repository, blobs); err == nil && missing == "" {
			missing, err = absent(conn, "manifest", repository, manifests)
		}
		return err
	})
	return missing, err
}

// absent returns the first digest that has no row, or "".
func absent(conn *sqlite.Conn, table, repository string, digests []string) (string, error) {
	for _, d := range digests {
		n, err := sqlitedb.Number(conn, "SELECT count(*) FROM "+table+" WHERE repository = ? AND digest = ?", repository, d)
		if err != nil || n == 0 {
			return d, err
		}
	}
	return "", nil
}

// PutManifest implements catalog.Catalog.
func (c *Catalog) PutManifest(ctx context.Context, repository string, m catalog.Manifest, tags []string) error {
	return c.db.Write(ctx, func(conn *sqlite.Conn) error {
		_, err := run(conn, `INSERT INTO manifest (repository, digest, cid, size, media_type, artifact_type, subject, annotations)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET cid = excluded.cid, size = excluded.size, media_type = excluded.media_type,
			artifact_type = excluded.artifact_type, subject = excluded.subject, annotations = excluded.annotations`,
			repository, m.Digest, m.CID[:], m.Size, m.MediaType, m.ArtifactType, m.Subject, m.Annotations)
		for _, tag := range tags {
			if err == nil {
				_, err = run(conn, "INSERT INTO tag (repository, tag, digest) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET digest = excluded.digest", repository, tag, m.Digest)
			}
		}
		return err
	})
}

const manifestColumns = "SELECT m.digest, m.cid, m.size, m.media_type, m.artifact_type, m.subject, m.annotations FROM manifest m "

func readManifest(stmt *sqlite.Stmt) catalog.Manifest {
	return catalog.Manifest{
		Blob: readBlob(stmt), MediaType: stmt.ColumnText(3), ArtifactType: stmt.ColumnText(4),
		Subject: stmt.ColumnText(5), Annotations: stmt.ColumnText(6),
	}
}

// Manifest implements catalog.Catalog.
func (c *Catalog) Manifest(ctx context.Context, repository, reference string) (m catalog.Manifest, ok bool, err error) {
	query := manifestColumns + "WHERE m.repository = ? AND m.digest = ?"
	if !strings.Contains(reference, ":") {
		query = manifestColumns + "JOIN tag t ON t.repository = m.repository AND t.digest = m.digest WHERE t.repository = ? AND t.tag = ?"
	}
	err = c.db.Use(ctx, func(conn *sqlite.Conn) error {
		return sqlitex.Execute(conn, query, &sqlitex.ExecOptions{Args: []any{repository, reference}, ResultFunc: func(stmt *sqlite.Stmt) error {
			m, ok = readManifest(stmt), true
			return nil
		}})
	})
	return m, ok && err == nil, err
}

// DeleteManifest implements catalog.Catalog.
func (c *Catalog) DeleteManifest(ctx context.Context, repository, digest string) (was bool, err error) {
	err = c.db.Write(ctx, func(conn *sqlite.Conn) (err error) {
		if _, err = run(conn, "DELETE FROM tag WHERE repository = ? AND digest = ?", repository, digest); err != nil {
			return err
		}
		was, err = run(conn, "DELETE FROM manifest WHERE repository = ? AND digest = ?", repository, digest)
		return err
	})
	return was && err == nil, err
}

// DeleteTag implements catalog.Catalog.
func (c *Catalog) DeleteTag(ctx context.Context, repository, tag string) (bool, error) {
	return c.change(ctx, "DELETE FROM tag WHERE repository = ? AND tag = ?", repository, tag)
}

// Tags implements catalog.Catalog.
func (c *Catalog) Tags(ctx context.Context, repository, after string, limit int) (tags []string, ok bool, err error) {
	err = c.db.Use(ctx, func(conn *sqlite.Conn) (err error) {
		tags, err = texts(conn, "SELECT tag FROM tag WHERE repository = ? AND tag > ? ORDER BY tag LIMIT ?", repository, after, limit)
		if err != nil {
			return err
		}
		n, err := sqlitedb.Number(conn, `SELECT EXISTS (SELECT 1 FROM manifest WHERE repository = ?1) OR EXISTS (SELECT 1 FROM blob WHERE repository = ?1)`, repository)
		ok = n != 0
		return err
	})
	return tags, ok && err == nil, err
}

// errEnough ends a query whose caller has what it wants.
var errEnough = errors.New("enough")

// Referrers implements catalog.Catalog.
func (c *Catalog) Referrers(ctx context.Context, repository, subject, artifactType, after string) iter.Seq2[catalog.Manifest, error] {
	return func(yield func(catalog.Manifest, error) bool) {
		query, args := manifestColumns+"WHERE m.repository = ? AND m.subject = ? AND m.subject <> '' AND m.digest > ?", []any{repository, subject, after}
		if artifactType != "" {
			query, args = query+" AND m.artifact_type = ?", append(args, artifactType)
		}
		enough := false
		err := c.db.Use(ctx, func(conn *sqlite.Conn) error {
			err := sqlitex.Execute(conn, query+" ORDER BY m.digest", &sqlitex.ExecOptions{Args: args, ResultFunc: func(stmt *sqlite.Stmt) error {
				if !yield(readManifest(stmt), nil) {
					enough = true
					return errEnough
				}
				return nil
			}})
			if enough {
				return nil
			}
			return err
		})
		if err != nil && !enough {
			yield(catalog.Manifest{}, err)
		}
	}
}

// Objects implements catalog.Catalog.
func (c *Catalog) Objects(ctx context.Context) iter.Seq2[cid.Hash, error] {
	return func(yield func(cid.Hash, error) bool) {
		enough := false
		err := c.db.Use(ctx, func(conn *sqlite.Conn) error {
			err := sqlitex.Execute(conn, "SELECT cid FROM blob UNION SELECT cid FROM manifest ORDER BY cid", &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
				var id cid.Hash
				stmt.ColumnBytes(0, id[:])
				if !yield(id, nil) {
					enough = true
					return errEnough
				}
				return nil
			}})
			if enough {
				return nil
			}
			return err
		})
		if err != nil && !enough {
			yield(cid.Hash{}, err)
		}
	}
}
