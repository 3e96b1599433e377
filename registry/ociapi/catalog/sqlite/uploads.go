package sqlite

import (
	"context"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/mythos-run/mythos/registry/ociapi/catalog"
)

// StartUpload implements catalog.Catalog.
func (c *Catalog) StartUpload(ctx context.Context, repository, id string, now int64, limit int) (bool, error) {
	return c.change(ctx, "INSERT INTO upload (id, repository, size, touched) SELECT ?, ?, 0, ? WHERE (SELECT count(*) FROM upload) < ?",
		id, repository, now, limit)
}

// Upload implements catalog.Catalog.
func (c *Catalog) Upload(ctx context.Context, repository, id string) (u catalog.Upload, ok bool, err error) {
	err = c.db.Use(ctx, func(conn *sqlite.Conn) (err error) {
		defer sqlitex.Save(conn)(&err) // both tables as they were at one time
		u, ok, err = upload(conn, "id = ? AND repository = ?", id, repository)
		return err
	})
	return u, ok && err == nil, err
}

// upload reads the one that a condition, whose first argument is its id, holds of.
func upload(conn *sqlite.Conn, where string, args ...any) (u catalog.Upload, ok bool, err error) {
	err = sqlitex.Execute(conn, "SELECT size FROM upload WHERE "+where, &sqlitex.ExecOptions{Args: args, ResultFunc: func(stmt *sqlite.Stmt) error {
		u.Offset, ok = stmt.ColumnInt64(0), true
		return nil
	}})
	if err != nil || !ok {
		return u, ok, err
	}
	err = sqlitex.Execute(conn, "SELECT key, size FROM part WHERE upload = ? ORDER BY start", &sqlitex.ExecOptions{Args: args[:1], ResultFunc: func(stmt *sqlite.Stmt) error {
		u.Parts = append(u.Parts, catalog.Part{Key: stmt.ColumnText(0), Size: stmt.ColumnInt64(1)})
		return nil
	}})
	return u, ok, err
}

// Extend implements catalog.Catalog.
func (c *Catalog) Extend(ctx context.Context, id string, offset int64, p catalog.Part, now int64) (was bool, err error) {
	err = c.db.Write(ctx, func(conn *sqlite.Conn) (err error) {
		was, err = run(conn, "UPDATE upload SET size = size + ?, touched = ? WHERE id = ? AND size = ?", p.Size, now, id, offset)
		if err != nil || !was {
			return err
		}
		_, err = run(conn, "INSERT INTO part (upload, start, size, key) VALUES (?, ?, ?, ?)", id, offset, p.Size, p.Key)
		return err
	})
	return was && err == nil, err
}

// EndUpload implements catalog.Catalog.
func (c *Catalog) EndUpload(ctx context.Context, id string) (u catalog.Upload, ok bool, err error) {
	err = c.db.Write(ctx, func(conn *sqlite.Conn) (err error) {
		if u, ok, err = upload(conn, "id = ?", id); err != nil {
			return err
		}
		if _, err = run(conn, "DELETE FROM part WHERE upload = ?", id); err != nil {
			return err
		}
		_, err = run(conn, "DELETE FROM upload WHERE id = ?", id)
		return err
	})
	return u, ok && err == nil, err
}

// Uploads implements catalog.Catalog.
func (c *Catalog) Uploads(ctx context.Context, before int64) (ids []string, err error) {
	err = c.db.Use(ctx, func(conn *sqlite.Conn) (err error) {
		ids, err = texts(conn, "SELECT id FROM upload WHERE touched < ? ORDER BY id", before)
		return err
	})
	return ids, err
}
