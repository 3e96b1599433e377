package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(dir string, clock *journaltest.Clock) journal.Options {
	return journal.Options{Dir: dir, Clock: clock.Now}
}

func open(t *testing.T, dir string) *journal.SQLite {
	t.Helper()
	s, err := journal.Open(t.Context(), options(dir, journaltest.NewClock()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSQLite(t *testing.T) {
	journaltest.Run(t, func(t *testing.T, clock *journaltest.Clock) ledger.Store {
		s, err := journal.Open(t.Context(), options(t.TempDir(), clock))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func TestMemory(t *testing.T) {
	journaltest.Run(t, func(_ *testing.T, clock *journaltest.Clock) ledger.Store { return journal.Memory(clock.Now) })
}

func want(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Fatalf("got %v, want %s", err, code)
	}
}

func register(t *testing.T, s ledger.Store, name string) error {
	t.Helper()
	raw, _ := journaltest.NewEffect(t, name, ledger.Pure).Register(ledger.State{}, "request")
	return s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1e6})
}

func TestReopenKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	e := journaltest.NewEffect(t, "k", ledger.Never)
	raw, id := e.Register(ledger.State{}, "request")
	if err := s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1e6}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), e.Commit(id, "request", "answer")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, dir)
	defer s.Close()
	v, err := s.Lookup(t.Context(), e.Idem())
	if err != nil || v.Phase != ledger.Committed {
		t.Fatalf("phase %s, error %v", v.Phase, err)
	}
}

func TestWriterLock(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	o := options(dir, journaltest.NewClock())
	o.NoWait = true
	_, err := journal.Open(t.Context(), o)
	want(t, err, journal.ErrBusy)
	if !strings.Contains(err.Error(), "pid ") {
		t.Errorf("the error does not name the holder: %v", err)
	}

	told := make(chan string, 1)
	o.NoWait, o.OnWait = false, func(holder string) { told <- holder }
	opened := make(chan error, 1)
	go func() {
		second, err := journal.Open(t.Context(), o)
		if err == nil {
			err = second.Close()
		}
		opened <- err
	}()
	if holder := <-told; !strings.Contains(holder, "pid ") {
		t.Errorf("told to wait for %q", holder)
	}
	s.Close()
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
}

func TestReadersBesideWriter(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	if err := register(t, s, "k"); err != nil {
		t.Fatal(err)
	}
	r, err := journal.OpenReadOnly(options(dir, journaltest.NewClock()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := 0
	for _, err := range r.Records(t.Context(), ledger.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("the reader sees %d entries", n)
	}
	want(t, register(t, r, "k2"), journal.ErrReadOnly)
}

// alter runs SQL on a closed ledger.
func alter(t *testing.T, dir, sql string) {
	t.Helper()
	conn, err := sqlite.OpenConn(filepath.Join(dir, "ledger.db"), sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := sqlitex.ExecuteScript(conn, sql, nil); err != nil {
		t.Fatal(err)
	}
}

func TestUnusableFiles(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(dir string)
		code fault.Code
	}{
		{"newer schema", func(dir string) { alter(t, dir, "PRAGMA user_version = 99") }, journal.ErrSchemaNewer},
		{"another application", func(dir string) { alter(t, dir, "PRAGMA application_id = 7") }, ledger.ErrCorrupt},
		{"not a database", func(dir string) {
			os.WriteFile(filepath.Join(dir, "ledger.db"), []byte(strings.Repeat("not a database. ", 100)), 0o600)
			os.Remove(filepath.Join(dir, "ledger.db-wal"))
		}, ledger.ErrCorrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			open(t, dir).Close()
			c.make(dir)
			_, err := journal.Open(t.Context(), options(dir, journaltest.NewClock()))
			want(t, err, c.code)
			// The lock was released: a second try fails for the same reason.
			_, err = journal.Open(t.Context(), options(dir, journaltest.NewClock()))
			want(t, err, c.code)
		})
	}
}

// TestRefusedFilesAreLeftAlone checks that a database which is no ledger of this
// release is refused with not one byte of it changed.
func TestRefusedFilesAreLeftAlone(t *testing.T) {
	for name, c := range map[string]struct {
		sql  string
		code fault.Code
	}{
		"newer":               {"PRAGMA application_id = 1297699912; PRAGMA user_version = 99; CREATE TABLE t (x)", journal.ErrSchemaNewer},
		"somebody else's":     {"CREATE TABLE t (x)", ledger.ErrCorrupt},
		"ours without schema": {"PRAGMA application_id = 1297699912", ledger.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			alter(t, dir, c.sql)
			path := filepath.Join(dir, "ledger.db")
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = journal.Open(t.Context(), options(dir, journaltest.NewClock()))
			want(t, err, c.code)
			_, err = journal.OpenReadOnly(options(dir, journaltest.NewClock()))
			want(t, err, c.code)
			after, err := os.ReadFile(path)
			if err != nil || string(after) != string(before) {
				t.Errorf("the file was changed, %v", err)
			}
		})
	}
}

// TestHalfMadeLedger checks what a process that died while it made the ledger
// leaves: readers wait for a writer, and the next writer goes on.
func TestHalfMadeLedger(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ledger.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := journal.OpenReadOnly(options(dir, journaltest.NewClock()))
	want(t, err, journal.ErrUnavailable)
	s := open(t, dir)
	defer s.Close()
	if err := register(t, s, "k"); err != nil {
		t.Fatal(err)
	}
}

// TestFilesArePrivate checks the mode of every file, whatever the umask.
func TestFilesArePrivate(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	dir := filepath.Join(t.TempDir(), "ledger")
	s := open(t, dir)
	defer s.Close()
	if err := register(t, s, "k"); err != nil {
		t.Fatal(err)
	}
	var names []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		names = append(names, d.Name())
		return err
	})
	if err != nil || len(names) != 5 {
		t.Errorf("found %q, %v; want the folder, ledger.db, -wal, -shm and ledger.lock", names, err)
	}
}

// TestReaderWithoutWriter reads a ledger that nobody has open.
func TestReaderWithoutWriter(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := register(t, s, "k"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	r, err := journal.OpenReadOnly(options(dir, journaltest.NewClock()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	v, err := r.Lookup(t.Context(), journaltest.NewEffect(t, "k", ledger.Pure).Idem())
	if err != nil || v.Phase != ledger.Open {
		t.Errorf("phase %s, %v", v.Phase, err)
	}
}

// TestMisplacedEntries checks that rows which are whole but stand where they do
// not belong are damage, never an answer.
func TestMisplacedEntries(t *testing.T) {
	for name, sql := range map[string]string{
		"another id's entries": `UPDATE entry SET idem = (SELECT idem FROM entry WHERE seq = 3) WHERE seq < 3; UPDATE entry SET idem = NULL WHERE seq = 3`,
		"another id's commit":  `UPDATE entry SET idem = (SELECT idem FROM entry WHERE seq = 3) WHERE kind = 2`,
		"unknown kind":         `UPDATE entry SET kind = 257, idem = (SELECT idem FROM entry WHERE seq = 3) WHERE seq = 1`,
		"a run's kind":         `UPDATE entry SET kind = 6, idem = (SELECT idem FROM entry WHERE seq = 3) WHERE seq = 1`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			if err := effect(t, s, "a"); err != nil {
				t.Fatal(err)
			}
			if err := register(t, s, "b"); err != nil {
				t.Fatal(err)
			}
			s.Close()
			alter(t, dir, sql)
			s = open(t, dir)
			defer s.Close()
			_, err := s.Lookup(t.Context(), journaltest.NewEffect(t, "b", ledger.Pure).Idem())
			want(t, err, ledger.ErrCorrupt)
		})
	}
}

// TestMarkAloneTakesNothingAway checks that an outcome is not taken away by a
// mark without the commits that contradict.
func TestMarkAloneTakesNothingAway(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	if err := effect(t, s, "k"); err != nil {
		t.Fatal(err)
	}
	e := journaltest.NewEffect(t, "k", ledger.Pure)
	for _, reason := range []uint8{ledger.ReasonResponse, ledger.ReasonCommits} {
		raw, _, err := sig.Sign(&ledger.Divergence{IdemID: e.Idem(), ToolID: e.Tool, ReasonCode: reason}, journaltest.Owner)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Diverge(t.Context(), raw, cid.Hash{})
		want(t, err, ledger.ErrEntry)
	}
	if v, err := s.Lookup(t.Context(), e.Idem()); err != nil || v.Phase != ledger.Committed {
		t.Errorf("phase %s, %v", v.Phase, err)
	}
}

// TestTimesNeverGoBack reopens a ledger under a clock that was set back.
func TestTimesNeverGoBack(t *testing.T) {
	dir := t.TempDir()
	clock := journaltest.NewClock()
	last := int64(0)
	for i := range 3 {
		s, err := journal.Open(t.Context(), options(dir, clock))
		if err != nil {
			t.Fatal(err)
		}
		if err := register(t, s, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		for rec, err := range s.Records(t.Context(), ledger.Filter{}) {
			if err != nil || rec.Time < last {
				t.Fatalf("entry %d is of %d, before %d; %v", rec.Index, rec.Time, last, err)
			}
			last = rec.Time
		}
		last = 0
		s.Close()
		clock.Advance(-time.Hour)
	}
}

func TestDamagedEntryFailsClosed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	e := journaltest.NewEffect(t, "k", ledger.Pure)
	raw, id := e.Register(ledger.State{}, "request")
	if err := s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1e6}); err != nil {
		t.Fatal(err)
	}
	c := e.Commit(id, "request", "answer")
	if _, err := s.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	s.Close()
	alter(t, dir, `UPDATE entry SET body = x'00' WHERE kind = 1; UPDATE entry SET kept = zeroblob(length(kept)) WHERE kind = 2`)
	s = open(t, dir)
	defer s.Close()
	_, err := s.Lookup(t.Context(), e.Idem())
	want(t, err, ledger.ErrCorrupt)
	_, err = s.Object(t.Context(), c.Items[0].CID)
	want(t, err, ledger.ErrCorrupt)
	x, _, err := ledger.DecodeCommit(c.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Receipt(t.Context(), x.ReceiptID)
	want(t, err, ledger.ErrCorrupt)
}

func TestClosed(t *testing.T) {
	s := open(t, t.TempDir())
	s.Close()
	want(t, register(t, s, "k"), journal.ErrClosed)
	_, err := s.Lookup(context.Background(), cid.Hash{})
	want(t, err, journal.ErrClosed)
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}
