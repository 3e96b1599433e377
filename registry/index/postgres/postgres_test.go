package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/mythos-run/mythos/registry/index"
	"github.com/mythos-run/mythos/registry/index/indextest"
	"github.com/mythos-run/mythos/registry/index/postgres"
	"github.com/mythos-run/mythos/registry/index/postgres/postgrestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(tb testing.TB, o postgres.Options) *postgres.Index {
	tb.Helper()
	x, err := postgres.Open(context.Background(), o)
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

// with adds a setting to an address.
func with(tb testing.TB, address, name, value string) string {
	tb.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

func TestIndex(t *testing.T) {
	indextest.Run(t, func(t *testing.T) (index.Index, func() index.Index) {
		o := postgrestest.Fresh(t)
		return open(t, o), func() index.Index { return open(t, o) }
	})
}

// TestAddresses needs no server: what is wrong with an address is said before one
// is called, and without its secrets.
func TestAddresses(t *testing.T) {
	for name, o := range map[string]postgres.Options{
		"none":              {},
		"another scheme":    {URL: "mysql://u@h/db"},
		"a password":        {URL: "postgres://u:hunter2@127.0.0.1:1/db"},
		"a password beside": {URL: "postgres://u@127.0.0.1:1/db?password=hunter2"},
		"unparsable":        {URL: "postgres://u:hunter2@[127.0.0.1/db"},
		"unknown TLS mode":  {URL: "postgres://u@127.0.0.1:1/db?sslmode=hunter2"},
		"bad schema":        {URL: "postgres://u@127.0.0.1:1/db", Schema: `x"; DROP SCHEMA y`},
		"server's schema":   {URL: "postgres://u@127.0.0.1:1/db", Schema: "pg_x"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := postgres.Open(t.Context(), o)
			if !errors.Is(err, postgres.ErrURL) {
				t.Fatalf("%v", err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

// refused opens an index that must not open, and looks for a word of the reason.
func refused(t *testing.T, o postgres.Options, word string) {
	t.Helper()
	x, err := postgres.Open(t.Context(), o)
	if err == nil {
		t.Error(x.Close())
	}
	if !errors.Is(err, index.ErrUnavailable) || !strings.Contains(err.Error(), word) {
		t.Errorf("%v, want something of %q", err, word)
	}
}

func TestUnreachable(t *testing.T) {
	refused(t, postgres.Options{URL: "postgres://u@127.0.0.1:1/db", Patience: 1}, "127.0.0.1")
}

// TestDurable refuses a server that forgets, and tables that a crash empties.
func TestDurable(t *testing.T) {
	o := postgrestest.Fresh(t)
	if err := open(t, o).Close(); err != nil {
		t.Fatal(err)
	}
	lazy := o
	lazy.URL = with(t, o.URL, "synchronous_commit", "off")
	refused(t, lazy, "synchronous_commit")
	postgrestest.Admin(t, "ALTER TABLE "+o.Schema+".attestation SET UNLOGGED")
	refused(t, o, "attestation")
}

// TestSchema refuses what a newer release or somebody else made.
func TestSchema(t *testing.T) {
	o := postgrestest.Fresh(t)
	if err := open(t, o).Close(); err != nil {
		t.Fatal(err)
	}
	postgrestest.Admin(t, "UPDATE "+o.Schema+".registry_schema SET version = 99")
	refused(t, o, "99")
	postgrestest.Admin(t, "DROP TABLE "+o.Schema+".registry_schema")
	refused(t, o, "no index")
}

// TestMakers opens one new index several times at once.
func TestMakers(t *testing.T) {
	o := postgrestest.Fresh(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			x, err := postgres.Open(t.Context(), o)
			if err == nil {
				err = errors.Join(x.Ping(t.Context()), x.Close())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// TestLostConnections ends every connection under its user, between and during
// calls: what was acknowledged is there, and calls go on.
func TestLostConnections(t *testing.T) {
	o := postgrestest.Fresh(t)
	name := "mythos " + o.Schema
	o.URL = with(t, o.URL, "application_name", name)
	x := open(t, o)
	defer x.Close()
	const rounds = 40
	for i := range rounds {
		e := indextest.Entry("demo", fmt.Sprintf("1.0.%d", i), "a")
		if stands, _, err := x.Publish(t.Context(), e); err != nil || stands.Manifest != e.Manifest {
			t.Fatalf("round %d: %v", i, err)
		}
		if i%5 == 0 {
			postgrestest.Admin(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '"+name+"'")
		}
	}
	all, err := x.Versions(t.Context(), "demo")
	if err != nil || len(all) != rounds {
		t.Errorf("%d versions, %v", len(all), err)
	}
}

func TestPasswordFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	for _, x := range []struct {
		text string
		mode os.FileMode
		ok   bool
	}{{"hunter2\n", 0o600, true}, {"hunter2", 0o644, false}, {strings.Repeat("x", 5000), 0o600, false}} {
		if err := errors.Join(os.WriteFile(path, []byte(x.text), x.mode), os.Chmod(path, x.mode)); err != nil {
			t.Fatal(err)
		}
		got, err := postgres.PasswordFile(path)(t.Context())
		if (err == nil) != x.ok || x.ok && got != "hunter2" {
			t.Errorf("%v: %q, %v", x.mode, got, err)
		}
	}
	if _, err := postgres.PasswordFile(path + ".none")(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	failing := postgres.Options{URL: "postgres://u@127.0.0.1:1/db", Patience: 1, Password: postgres.PasswordFile(path)}
	refused(t, failing, "password file has mode")
}
