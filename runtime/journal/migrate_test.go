package journal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// releasedSchema1 is schema 1 as it was released: what stands in people's files.
const releasedSchema1 = `
CREATE TABLE entry (seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, idem BLOB, run BLOB, time INTEGER NOT NULL, body BLOB NOT NULL, wall INTEGER, boot TEXT, mono INTEGER, kept BLOB) STRICT;
CREATE INDEX entry_idem ON entry (idem);
CREATE INDEX entry_run ON entry (run);
CREATE TABLE lease (register BLOB PRIMARY KEY, wall INTEGER NOT NULL, boot TEXT NOT NULL, mono INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE spend (cap BLOB PRIMARY KEY, used INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE item (id BLOB NOT NULL, receipt INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (id, receipt)) STRICT, WITHOUT ROWID;
CREATE TABLE run (key BLOB PRIMARY KEY, record BLOB NOT NULL) STRICT;
`

// oldLedger makes a ledger of schema 1 with entries in it.
func oldLedger(t *testing.T, entries int) string {
	t.Helper()
	if schema1 != releasedSchema1 {
		t.Fatal("schema 1 was released: it must stay as it is")
	}
	dir := t.TempDir()
	conn, err := sqlite.OpenConn(filepath.Join(dir, "ledger.db"), sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = sqlitex.ExecuteTransient(conn, "PRAGMA journal_mode=WAL", nil)
	if err == nil {
		err = sqlitex.ExecuteScript(conn, releasedSchema1+"PRAGMA application_id=1297699912; PRAGMA user_version=1;", nil)
	}
	for i := 0; i < entries && err == nil; i++ {
		err = sqlitex.Execute(conn, "INSERT INTO entry (kind, time, body) VALUES (7, ?, ?)", &sqlitex.ExecOptions{Args: []any{i, []byte{byte(i)}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func entriesIn(t *testing.T, s *SQLite) (n int) {
	t.Helper()
	for rec, err := range s.Records(t.Context(), ledger.Filter{}) {
		if err != nil || len(rec.Body) != 1 || rec.Body[0] != byte(n) {
			t.Fatal(rec, err)
		}
		n++
	}
	return n
}

func versionOf(t *testing.T, conn *sqlite.Conn) int64 {
	t.Helper()
	v, err := queryInt(conn, "PRAGMA user_version")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestMigratesReleasedSchema opens a database that the first release made.
func TestMigratesReleasedSchema(t *testing.T) {
	dir := oldLedger(t, 50)
	s, err := Open(t.Context(), Options{Dir: dir, Clock: journaltest.NewClock().Now, Signer: journaltest.Owner})
	if err != nil {
		t.Fatal(err)
	}
	if n := entriesIn(t, s); n != 50 || versionOf(t, s.reader) != schemaVersion {
		t.Errorf("%d entries, schema %d", n, versionOf(t, s.reader))
	}
	if err := s.Close(); err != nil { // signs over what was there
		t.Fatal(err)
	}
	s, err = OpenReadOnly(Options{Dir: dir, Clock: journaltest.NewClock().Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if c, err := s.Newest(t.Context()); err != nil || c.Size != 50 {
		t.Errorf("checkpoint of size %d, %v", c.Size, err)
	}
}

// TestMigrationCutOff takes the files after each statement of a migration, as a
// crash would leave them, and finds schema 1 whole until it is committed.
func TestMigrationCutOff(t *testing.T) {
	dir := oldLedger(t, 20)
	conn, err := sqlite.OpenConn(filepath.Join(dir, "ledger.db"), sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	steps := []string{"PRAGMA cache_size = 1", "BEGIN IMMEDIATE"}
	for _, step := range strings.Split(migration(1), ";") {
		if step = strings.TrimSpace(step); step != "" {
			steps = append(steps, step)
		}
	}
	for i, step := range append(steps, "COMMIT") {
		if err := sqlitex.ExecuteTransient(conn, step, nil); err != nil {
			t.Fatal(step, err)
		}
		want := int64(1)
		if i == len(steps) {
			want = schemaVersion
		}
		crashed := t.TempDir()
		for _, name := range []string{"ledger.db", "ledger.db-wal"} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err == nil {
				err = os.WriteFile(filepath.Join(crashed, name), b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		o := Options{Dir: crashed, Clock: journaltest.NewClock().Now}
		r, err := OpenReadOnly(o)
		if err != nil {
			t.Fatal(err)
		}
		if v := versionOf(t, r.reader); v != want || entriesIn(t, r) != 20 {
			t.Errorf("after %q: schema %d, want %d", step, v, want)
		}
		r.Close()
		s, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if versionOf(t, s.reader) != schemaVersion || entriesIn(t, s) != 20 {
			t.Errorf("after %q the next writer does not finish it", step)
		}
		s.Close()
	}
}
