package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/journal/postgres"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// with adds settings to an address.
func with(tb testing.TB, address string, settings ...string) string {
	tb.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	q := u.Query()
	for i := 0; i < len(settings); i += 2 {
		q.Set(settings[i], settings[i+1])
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// TestAddresses needs no server: what is wrong with an address is said before one
// is called, and without its secrets.
func TestAddresses(t *testing.T) {
	for name, o := range map[string]postgres.Options{
		"none":              {},
		"another scheme":    {URL: "mysql://u@h/db"},
		"a password":        {URL: "postgres://u:hunter2@127.0.0.1:1/db"},
		"a password beside": {URL: "postgres://u@127.0.0.1:1/db?password=hunter2"},
		"a key's password":  {URL: "postgres://u@127.0.0.1:1/db?sslpassword=hunter2"},
		"unparsable":        {URL: "postgres://u:hunter2@[127.0.0.1/db"},
		"unknown TLS mode":  {URL: "postgres://u@127.0.0.1:1/db?sslmode=hunter2"},
		"bad schema":        {URL: "postgres://u@127.0.0.1:1/db", Schema: `x"; DROP SCHEMA y`},
		"server's schema":   {URL: "postgres://u@127.0.0.1:1/db", Schema: "pg_x"},
		"long schema":       {URL: "postgres://u@127.0.0.1:1/db", Schema: strings.Repeat("x", 64)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := postgres.Open(t.Context(), o)
			want(t, err, postgres.ErrURL)
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
	if got := postgres.Redacted("postgres://u:hunter2@h:1/db?password=hunter2"); got != "postgres://h:1/db" {
		t.Errorf("redacted to %q", got)
	}
}

// TestUnreachable checks that a server which is not there is told in bounded time.
func TestUnreachable(t *testing.T) {
	tries := 0
	_, err := postgres.Open(t.Context(), postgres.Options{
		URL: "postgres://u@127.0.0.1:1/db", Patience: 1, OnReconnect: func(error) { tries++ },
	})
	want(t, err, journal.ErrUnavailable)
	if tries > 1 {
		t.Errorf("%d tries without patience", tries)
	}
}

func TestPassword(t *testing.T) {
	o := fresh(t)
	u, err := url.Parse(o.URL)
	if err != nil {
		t.Fatal(err)
	}
	pgpass, err := os.ReadFile(u.Query().Get("passfile"))
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("in CI the server's address must name a passfile: ", err)
		}
		t.Skip("SKIPPED: the server asks for no password from a file")
	}
	fields := strings.Split(strings.TrimSpace(string(pgpass)), ":")
	file := filepath.Join(t.TempDir(), "password")
	o.URL = with(t, o.URL, "passfile", filepath.Join(t.TempDir(), "none"))
	write := func(text string, mode os.FileMode) {
		t.Helper()
		os.Remove(file)
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	_, err = postgres.Open(t.Context(), o)
	want(t, err, postgres.ErrAccess)
	o.Password = postgres.PasswordFile(file)
	_, err = postgres.Open(t.Context(), o)
	want(t, err, postgres.ErrAccess)
	write("hunter2", 0o600)
	_, err = postgres.Open(t.Context(), o)
	want(t, err, postgres.ErrAccess)
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error tells the password: %v", err)
	}
	write(fields[len(fields)-1]+"\n", 0o644)
	_, err = postgres.Open(t.Context(), o)
	want(t, err, postgres.ErrAccess)
	write(fields[len(fields)-1]+"\n", 0o600)
	open(t, o)
}

// TestDurability checks that a server whose settings lose commits is refused, when
// a store is opened and afterwards.
func TestDurability(t *testing.T) {
	for _, value := range []string{"off", "local", "remote_write"} {
		o := fresh(t)
		o.URL = with(t, o.URL, "synchronous_commit", value)
		_, err := postgres.Open(t.Context(), o)
		want(t, err, postgres.ErrNotDurable)
	}
	o := fresh(t)
	o.URL = with(t, o.URL, "synchronous_commit", "remote_apply")
	s := open(t, o)
	admin(t, o, "ALTER TABLE spend SET UNLOGGED")
	_, err := postgres.Open(t.Context(), o)
	want(t, err, postgres.ErrNotDurable)
	admin(t, o, "ALTER TABLE spend SET LOGGED")

	// The setting of a session may change while it lasts: the statement looks.
	admin(t, o, "ALTER FUNCTION append SET synchronous_commit = off")
	e := journaltest.NewEffect(t, "k", ledger.Pure)
	raw, _ := e.Register(ledger.State{}, "request")
	want(t, s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1e6}), postgres.ErrNotDurable)
	admin(t, o, "ALTER FUNCTION append RESET synchronous_commit")
	if err := s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1e6}); err != nil {
		t.Fatal(err)
	}
}

func TestSchemas(t *testing.T) {
	for name, c := range map[string]struct {
		sql  string
		code fault.Code
	}{
		"newer":               {"UPDATE version SET version = 99", journal.ErrSchemaNewer},
		"no version":          {"DELETE FROM version", ledger.ErrCorrupt},
		"version of nothing":  {"UPDATE version SET version = 0", ledger.ErrCorrupt},
		"somebody else's":     {"DROP TABLE version", ledger.ErrCorrupt},
		"a statement is gone": {"DROP FUNCTION append", journal.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			o := fresh(t)
			open(t, o).Close()
			admin(t, o, c.sql)
			s, err := postgres.Open(t.Context(), o)
			if err == nil {
				defer s.Close()
				err = register(t, s, "k")
			}
			want(t, err, c.code)
		})
	}
	o := fresh(t)
	o.ReadOnly = true
	_, err := postgres.Open(t.Context(), o)
	want(t, err, journal.ErrUnavailable)
}

func register(tb testing.TB, s ledger.Store, name string) error {
	raw, _ := journaltest.NewEffect(tb, name, ledger.Pure).Register(ledger.State{}, "request")
	return s.Register(context.Background(), ledger.Registration{Body: raw, LeaseFor: 1e6})
}

// TestManyMake lets many processes make one ledger at once.
func TestManyMake(t *testing.T) {
	o := fresh(t)
	errs := make(chan error, 8)
	for i := range cap(errs) {
		go func() {
			s, err := postgres.Open(context.Background(), o)
			if err == nil {
				err = errors.Join(register(t, s, fmt.Sprint(i)), s.Close())
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := count(t, open(t, o)); n != cap(errs) {
		t.Errorf("%d entries", n)
	}
}

func TestReadOnly(t *testing.T) {
	o := fresh(t)
	s := open(t, o)
	if err := register(t, s, "k"); err != nil {
		t.Fatal(err)
	}
	o.ReadOnly = true
	r := open(t, o)
	if n := count(t, r); n != 1 {
		t.Errorf("the reader sees %d entries", n)
	}
	want(t, register(t, r, "k2"), journal.ErrReadOnly)
	want(t, r.Extend(t.Context(), cid.Hash{}, cid.Hash{}, 1), journal.ErrReadOnly)
}

func TestClosed(t *testing.T) {
	s := open(t, fresh(t))
	s.Close()
	want(t, register(t, s, "k"), journal.ErrClosed)
	_, err := s.Lookup(t.Context(), cid.Hash{})
	want(t, err, journal.ErrClosed)
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

// TestAppendOnly checks that the database itself keeps what is in the log.
func TestAppendOnly(t *testing.T) {
	o := fresh(t)
	if err := register(t, open(t, o), "k"); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), o.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range []string{"UPDATE entry SET time = 0", "DELETE FROM entry", "TRUNCATE entry"} {
		if _, err := conn.Exec(t.Context(), "SET search_path = "+o.Schema+"; "+sql); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// TestDamage checks that rows which are whole but stand where they do not belong,
// or are not whole, are damage and never an answer.
func TestDamage(t *testing.T) {
	for name, sql := range map[string]string{
		"another id's entries": `UPDATE entry SET key = (SELECT key FROM entry WHERE seq = 3), n = n + 5 WHERE seq < 3`,
		"an entry is gone":     `DELETE FROM entry WHERE seq = 1`,
		"another body":         `UPDATE entry SET body = '\x00' WHERE seq = 2`,
		"a short key":          `UPDATE entry SET run = '\x00' WHERE seq = 2`,
		"unknown kind":         `UPDATE entry SET kind = 257 WHERE seq = 2`,
	} {
		t.Run(name, func(t *testing.T) {
			o := fresh(t)
			s := open(t, o)
			e := journaltest.NewEffect(t, "a", ledger.Never)
			raw, id := e.Register(ledger.State{}, "request")
			if err := s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1e6}); err != nil {
				t.Fatal(err)
			}
			c := e.Commit(id, "request", "answer")
			if _, err := s.Commit(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if err := register(t, s, "b"); err != nil {
				t.Fatal(err)
			}
			admin(t, o, "ALTER TABLE entry DISABLE TRIGGER append_only; "+sql)
			_, err := s.Lookup(t.Context(), e.Idem())
			if err == nil {
				_, err = s.Lookup(t.Context(), journaltest.NewEffect(t, "b", ledger.Never).Idem())
			}
			want(t, err, ledger.ErrCorrupt)
		})
	}
	o := fresh(t)
	s := open(t, o)
	e := journaltest.NewEffect(t, "a", ledger.Never)
	raw, id := e.Register(ledger.State{}, "request")
	if err := s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1e6}); err != nil {
		t.Fatal(err)
	}
	c := e.Commit(id, "request", "answer")
	if _, err := s.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	admin(t, o, `ALTER TABLE entry DISABLE TRIGGER append_only; UPDATE entry SET kept = overlay(kept placing '\x00' from 2)`)
	_, err := s.Object(t.Context(), c.Items[0].CID)
	want(t, err, ledger.ErrCorrupt)
	count(t, s) // gives them their indexes
	admin(t, o, "DELETE FROM entry WHERE seq = 1")
	var last error
	for _, err := range s.Records(t.Context(), ledger.Filter{}) {
		last = err
	}
	want(t, last, ledger.ErrCorrupt)
}
