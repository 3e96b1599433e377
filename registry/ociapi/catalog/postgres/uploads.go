package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/mythos-run/mythos/registry/ociapi/catalog"
)

// StartUpload implements catalog.Catalog.
func (c *Catalog) StartUpload(ctx context.Context, repository, id string, now int64, limit int) (bool, error) {
	return c.change(ctx, `INSERT INTO oci_upload (id, repository, size, touched) SELECT $1, $2, 0, $3
		WHERE (SELECT count(*) FROM oci_upload WHERE id <> $1) < $4 ON CONFLICT (id) DO UPDATE SET touched = excluded.touched`, id, repository, now, limit)
}

// Upload implements catalog.Catalog.
func (c *Catalog) Upload(ctx context.Context, repository, id string) (u catalog.Upload, ok bool, err error) {
	err = c.db.Use(ctx, func(conn *pgx.Conn) (err error) {
		u, ok, err = upload(ctx, conn, `WHERE u.id = $1 AND u.repository = $2`, id, repository)
		return err
	})
	return u, ok && err == nil, err
}

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
}

// upload reads the one that a condition holds of, with its parts, by one query.
func upload(ctx context.Context, q querier, where string, args ...any) (u catalog.Upload, ok bool, err error) {
	found, err := q.Query(ctx, "SELECT u.size, coalesce(p.key, ''), coalesce(p.size, 0) FROM oci_upload u LEFT JOIN oci_part p ON p.upload = u.id "+where+" ORDER BY p.start", args...)
	if err != nil {
		return u, false, err
	}
	var p catalog.Part
	_, err = pgx.ForEachRow(found, []any{&u.Offset, &p.Key, &p.Size}, func() error {
		if ok = true; p.Key != "" {
			u.Parts = append(u.Parts, p)
		}
		return nil
	})
	return u, ok, err
}

// Extend implements catalog.Catalog. A part whose acknowledgement was lost stands
// already.
func (c *Catalog) Extend(ctx context.Context, id string, offset int64, p catalog.Part, now int64) (was bool, err error) {
	err = c.db.Use(ctx, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, "UPDATE oci_upload SET size = size + $3, touched = $4 WHERE id = $1 AND size = $2", id, offset, p.Size, now)
			if err != nil {
				return err
			}
			if was = tag.RowsAffected() > 0; was {
				_, err = tx.Exec(ctx, "INSERT INTO oci_part (upload, start, size, key) VALUES ($1, $2, $3, $4)", id, offset, p.Size, p.Key)
				return err
			}
			return tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM oci_part WHERE upload = $1 AND start = $2 AND key = $3)", id, offset, p.Key).Scan(&was)
		})
	})
	return was && err == nil, err
}

// EndUpload implements catalog.Catalog.
func (c *Catalog) EndUpload(ctx context.Context, id string) (u catalog.Upload, ok bool, err error) {
	err = c.db.Use(ctx, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) {
			// The lock first: nobody extends it between the reading and the end.
			var size int64
			err = tx.QueryRow(ctx, "SELECT size FROM oci_upload WHERE id = $1 FOR UPDATE", id).Scan(&size)
			if errors.Is(err, pgx.ErrNoRows) {
				ok = false
				return nil
			}
			if err != nil {
				return err
			}
			if u, ok, err = upload(ctx, tx, "WHERE u.id = $1", id); err != nil {
				return err
			}
			_, err = tx.Exec(ctx, "DELETE FROM oci_upload WHERE id = $1", id)
			return err
		})
	})
	return u, ok && err == nil, err
}

// Uploads implements catalog.Catalog.
func (c *Catalog) Uploads(ctx context.Context, before int64) ([]string, error) {
	ids, err := c.texts(ctx, "SELECT id FROM oci_upload WHERE touched < $1 ORDER BY id", before)
	if len(ids) == 0 {
		return nil, err
	}
	return ids, err
}
