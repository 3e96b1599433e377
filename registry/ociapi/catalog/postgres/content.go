package postgres

import (
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/mythos-run/mythos/registry/ociapi/catalog"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// LinkBlob implements catalog.Catalog.
func (c *Catalog) LinkBlob(ctx context.Context, repository string, b catalog.Blob) error {
	_, err := c.change(ctx, "INSERT INTO oci_blob (repository, digest, cid, size) VALUES ($1, $2, $3, $4) ON CONFLICT (repository, digest) DO UPDATE SET cid = excluded.cid, size = excluded.size",
		repository, b.Digest, b.CID[:], b.Size)
	return err
}

// one reads the one row of a query, and reports whether there is one.
func (c *Catalog) one(ctx context.Context, query string, args []any, into ...any) (ok bool, err error) {
	err = c.db.Use(ctx, func(conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, query, args...).Scan(into...)
		if ok = err == nil; errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return ok && err == nil, err
}

// Blob implements catalog.Catalog.
func (c *Catalog) Blob(ctx context.Context, repository, digest string) (catalog.Blob, bool, error) {
	query, args := "SELECT cid, size FROM oci_blob WHERE repository = $1 AND digest = $2", []any{repository, digest}
	if repository == "" {
		query, args = "SELECT cid, size FROM oci_blob WHERE digest = $1 LIMIT 1", []any{digest}
	}
	b, id := catalog.Blob{Digest: digest}, []byte{}
	ok, err := c.one(ctx, query, args, &id, &b.Size)
	if !ok {
		return catalog.Blob{}, false, err
	}
	copy(b.CID[:], id) // 32 bytes, which the table checks
	return b, true, nil
}

// UnlinkBlob implements catalog.Catalog.
func (c *Catalog) UnlinkBlob(ctx context.Context, repository, digest string) (bool, error) {
	return c.change(ctx, "DELETE FROM oci_blob WHERE repository = $1 AND digest = $2", repository, digest)
}

// Missing implements catalog.Catalog.
func (c *Catalog) Missing(ctx context.Context, repository string, blobs, manifests []string) (string, error) {
	missing, err := c.absent(ctx, "oci_blob", repository, blobs)
	if err == nil && missing == "" {
		missing, err = c.absent(ctx, "oci_manifest", repository, manifests)
	}
	return missing, err
}

// absent returns the first digest that has no row, or "".
func (c *Catalog) absent(ctx context.Context, table, repository string, digests []string) (missing string, err error) {
	if len(digests) == 0 {
		return "", nil
	}
	_, err = c.one(ctx, `SELECT d FROM unnest($2::text[]) WITH ORDINALITY AS asked (d, n)
		WHERE NOT EXISTS (SELECT 1 FROM `+table+` WHERE repository = $1 AND digest = d) ORDER BY n LIMIT 1`, []any{repository, digests}, &missing)
	return missing, err
}

// PutManifest implements catalog.Catalog.
func (c *Catalog) PutManifest(ctx context.Context, repository string, m catalog.Manifest, tags []string) error {
	return c.db.Use(ctx, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO oci_manifest (repository, digest, cid, size, media_type, artifact_type, subject, annotations)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (repository, digest) DO UPDATE SET cid = excluded.cid, size = excluded.size,
				media_type = excluded.media_type, artifact_type = excluded.artifact_type, subject = excluded.subject, annotations = excluded.annotations`,
				repository, m.Digest, m.CID[:], m.Size, m.MediaType, m.ArtifactType, m.Subject, m.Annotations)
			if err != nil || len(tags) == 0 {
				return err
			}
			// Sorted, so that no two writers wait for each other.
			_, err = tx.Exec(ctx, `INSERT INTO oci_tag (repository, tag, digest) SELECT DISTINCT $1::text, t COLLATE "C", $3::text FROM unnest($2::text[]) AS u (t) ORDER BY 2
				ON CONFLICT (repository, tag) DO UPDATE SET digest = excluded.digest`, repository, tags, m.Digest)
			return err
		})
	})
}

const manifestColumns = "SELECT m.digest, m.cid, m.size, m.media_type, m.artifact_type, m.subject, m.annotations FROM oci_manifest m "

func readManifest(row pgx.Row) (m catalog.Manifest, err error) {
	var id []byte
	err = row.Scan(&m.Digest, &id, &m.Size, &m.MediaType, &m.ArtifactType, &m.Subject, &m.Annotations)
	copy(m.CID[:], id)
	return m, err
}

// Manifest implements catalog.Catalog.
func (c *Catalog) Manifest(ctx context.Context, repository, reference string) (m catalog.Manifest, ok bool, err error) {
	query := manifestColumns + "WHERE m.repository = $1 AND m.digest = $2"
	if !strings.Contains(reference, ":") {
		query = manifestColumns + "JOIN oci_tag t ON t.repository = m.repository AND t.digest = m.digest WHERE t.repository = $1 AND t.tag = $2"
	}
	err = c.db.Use(ctx, func(conn *pgx.Conn) (err error) {
		m, err = readManifest(conn.QueryRow(ctx, query, repository, reference))
		if ok = err == nil; errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return m, ok && err == nil, err
}

// DeleteManifest implements catalog.Catalog.
func (c *Catalog) DeleteManifest(ctx context.Context, repository, digest string) (was bool, err error) {
	err = c.db.Use(ctx, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, "DELETE FROM oci_manifest WHERE repository = $1 AND digest = $2", repository, digest)
			if err != nil {
				return err
			}
			was = tag.RowsAffected() > 0
			_, err = tx.Exec(ctx, "DELETE FROM oci_tag WHERE repository = $1 AND digest = $2", repository, digest)
			return err
		})
	})
	return was && err == nil, err
}

// DeleteTag implements catalog.Catalog.
func (c *Catalog) DeleteTag(ctx context.Context, repository, tag string) (bool, error) {
	return c.change(ctx, "DELETE FROM oci_tag WHERE repository = $1 AND tag = $2", repository, tag)
}

// Tags implements catalog.Catalog.
func (c *Catalog) Tags(ctx context.Context, repository, after string, limit int) (tags []string, ok bool, err error) {
	tags, err = c.texts(ctx, "SELECT tag FROM oci_tag WHERE repository = $1 AND tag > $2 ORDER BY tag LIMIT $3", repository, after, limit)
	if err != nil {
		return nil, false, err
	}
	_, err = c.one(ctx, "SELECT EXISTS (SELECT 1 FROM oci_manifest WHERE repository = $1) OR EXISTS (SELECT 1 FROM oci_blob WHERE repository = $1)", []any{repository}, &ok)
	return tags, ok && err == nil, err
}

// Referrers implements catalog.Catalog.
func (c *Catalog) Referrers(ctx context.Context, repository, subject, artifactType, after string) iter.Seq2[catalog.Manifest, error] {
	return rows(ctx, c.db, readManifest, manifestColumns+`WHERE m.repository = $1 AND m.subject = $2 AND m.subject <> '' AND m.digest > $4
		AND ($3 = '' OR m.artifact_type = $3) ORDER BY m.digest`, repository, subject, artifactType, after)
}

// Objects implements catalog.Catalog.
func (c *Catalog) Objects(ctx context.Context) iter.Seq2[cid.Hash, error] {
	read := func(row pgx.Row) (id cid.Hash, err error) {
		var raw []byte
		err = row.Scan(&raw)
		copy(id[:], raw)
		return id, err
	}
	return rows(ctx, c.db, read, "SELECT cid FROM oci_blob UNION SELECT cid FROM oci_manifest ORDER BY cid")
}

// rows yields what a query finds while it comes. Once it has begun it is not tried
// again.
func rows[T any](ctx context.Context, db Database, read func(pgx.Row) (T, error), query string, args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var broken error
		begun, enough := false, false
		err := db.Use(ctx, func(conn *pgx.Conn) error {
			found, err := conn.Query(ctx, query, args...)
			if err != nil {
				return err
			}
			defer found.Close()
			for found.Next() {
				v, err := read(found)
				if err != nil {
					return err
				}
				if begun = true; !yield(v, nil) {
					enough = true
					return nil
				}
			}
			if broken = found.Err(); begun {
				return nil
			}
			return broken
		})
		if err == nil {
			err = broken
		}
		if err != nil && !enough {
			var zero T
			yield(zero, err)
		}
	}
}
