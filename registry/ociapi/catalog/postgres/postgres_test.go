package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/mythos-run/mythos/registry/index"
	"github.com/mythos-run/mythos/registry/index/postgres/postgrestest"
	"github.com/mythos-run/mythos/registry/ociapi/catalog"
	"github.com/mythos-run/mythos/registry/ociapi/catalog/catalogtest"
	"github.com/mythos-run/mythos/registry/ociapi/catalog/postgres"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// database makes a connection for each use. It loses the answer of the next use
// when told to, and runs it again, as a database does whose connection broke.
type database struct {
	config *pgx.ConnConfig
	lose   bool
}

func (d *database) Use(ctx context.Context, do func(*pgx.Conn) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	conn, err := pgx.ConnectConfig(ctx, d.config)
	if err != nil {
		return fault.New(index.ErrUnavailable, "%w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err = do(conn); err == nil && d.lose {
		d.lose = false
		return d.Use(ctx, do)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil && fault.CodeOf(err) == "" {
		return fault.New(index.ErrUnavailable, "%w", err)
	}
	return err
}

func fresh(t *testing.T) *database {
	t.Helper()
	o := postgrestest.Fresh(t)
	postgrestest.Admin(t, "CREATE SCHEMA "+o.Schema)
	config, err := pgx.ParseConfig(o.URL)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["search_path"] = o.Schema + ", pg_temp"
	return &database{config: config}
}

func open(t *testing.T, d *database) catalog.Catalog {
	t.Helper()
	c, err := postgres.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCatalog(t *testing.T) {
	catalogtest.Run(t, func(t *testing.T) (catalog.Catalog, func() catalog.Catalog) {
		d := fresh(t)
		return open(t, d), func() catalog.Catalog { return open(t, d) }
	})
}

// TestLostAnswers runs every writing twice, the first time without hearing that it
// was done.
func TestLostAnswers(t *testing.T) {
	d := fresh(t)
	c := open(t, d)
	b := catalogtest.Blob("x")
	lost := func(ok bool, err error) {
		t.Helper()
		if !ok || err != nil || d.lose {
			t.Errorf("%t, %v", ok, err)
		}
		d.lose = true
	}
	d.lose = true
	lost(c.StartUpload(t.Context(), "r", "u", 1, 1))
	lost(c.Extend(t.Context(), "u", 0, catalog.Part{Key: "a", Size: 3}, 2))
	lost(c.Extend(t.Context(), "u", 3, catalog.Part{Key: "b", Size: 4}, 2))
	lost(true, c.LinkBlob(t.Context(), "r", b))
	lost(true, c.PutManifest(t.Context(), "r", catalog.Manifest{Blob: b}, []string{"1"}))
	d.lose = false
	if u, ok, err := c.Upload(t.Context(), "r", "u"); !ok || err != nil || u.Offset != 7 || len(u.Parts) != 2 {
		t.Errorf("%+v, %t, %v", u, ok, err)
	}
	if ok, err := c.Extend(t.Context(), "u", 3, catalog.Part{Key: "c", Size: 4}, 2); ok || err != nil {
		t.Errorf("another part at the same place: %t, %v", ok, err)
	}
}

func TestNewerSchema(t *testing.T) {
	d := fresh(t)
	open(t, d)
	err := d.Use(t.Context(), func(conn *pgx.Conn) error {
		_, err := conn.Exec(t.Context(), "UPDATE oci_schema SET version = 2")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Open(t.Context(), d); !errors.Is(err, index.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}
