package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/journal/audit"
	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// sealed opens a ledger in dir that signs, and adds runs to it.
func sealed(t *testing.T, dir string, runs ...string) *journal.SQLite {
	t.Helper()
	o := options(dir, journaltest.NewClock())
	o.Signer = journaltest.Owner
	s, err := journal.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range runs {
		journaltest.SealedRun(t, s, name, 5)
	}
	return s
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Fatalf("got %v, want %s", err, code)
	}
}

func closed(t *testing.T, s *journal.SQLite) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// sound audits a copy and returns how many entries it has.
func sound(s *journal.SQLite) (uint64, error) {
	rep, err := audit.Run(context.Background(), s, audit.Options{Executors: []sig.AgentID{journaltest.Owner.Agent()}})
	if err == nil && rep.Damage != nil {
		err = rep.Damage.Err()
	}
	return rep.Entries, err
}

func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		names = append(names, f.Name())
	}
	return names
}

func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := filesIn(t, dir); !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

// TestBackupBesideWriter copies while another goroutine writes: each copy is a
// sound ledger of some instant, and holds what was acknowledged before it began.
func TestBackupBesideWriter(t *testing.T) {
	s := sealed(t, t.TempDir(), "first")
	defer closed(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			journaltest.SealedRun(t, s, fmt.Sprint("run-", i), 3)
		}
	})
	defer writing.Wait()
	defer cancel()
	dir, last := t.TempDir(), uint64(0)
	for i := range 5 {
		var entries uint64
		path := filepath.Join(dir, fmt.Sprint(i, ".db"))
		err := s.Backup(t.Context(), path, journal.BackupOptions{Check: func(c *journal.SQLite) (err error) {
			entries, err = sound(c)
			return err
		}})
		if err != nil || entries < max(last, 12) {
			t.Fatalf("copy %d has %d entries, %v", i, entries, err)
		}
		last = entries
	}
	wantFiles(t, dir, "0.db", "1.db", "2.db", "3.db", "4.db")
}

func TestBackupFailures(t *testing.T) {
	s := sealed(t, t.TempDir(), "run")
	defer closed(t, s)
	dir := t.TempDir()
	path := filepath.Join(dir, "copy.db")
	if err := s.Backup(t.Context(), path, journal.BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.Backup(t.Context(), path, journal.BackupOptions{}), journal.ErrExists)
	stop := errors.New("no")
	refuse := journal.BackupOptions{Replace: true, Check: func(*journal.SQLite) error { return stop }}
	if err := s.Backup(t.Context(), path, refuse); !errors.Is(err, stop) {
		t.Errorf("an unsound copy: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	if err := s.Backup(ctx, filepath.Join(dir, "other.db"), journal.BackupOptions{}); !errors.Is(err, stop) {
		t.Errorf("cancelled: %v", err)
	}
	raced := journal.BackupOptions{Check: func(*journal.SQLite) error {
		return os.WriteFile(filepath.Join(dir, "raced.db"), []byte("mine"), 0o600)
	}}
	wantCode(t, s.Backup(t.Context(), filepath.Join(dir, "raced.db"), raced), journal.ErrExists)
	if err := s.Backup(t.Context(), path, journal.BackupOptions{Replace: true}); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, "copy.db", "raced.db")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestRestore brings back entries, spent counts and the log's origin.
func TestRestore(t *testing.T) {
	backup := filepath.Join(t.TempDir(), "copy.db")
	capability := ledger.Spend{CapID: cid.Sum([]byte("capability")), Max: 1}
	s := sealed(t, t.TempDir(), "run")
	e := journaltest.NewEffect(t, "paid", ledger.Pure)
	raw, _ := e.Register(ledger.State{}, "request")
	if err := s.Register(t.Context(), ledger.Registration{Body: raw, Spend: []ledger.Spend{capability}, LeaseFor: 1e6}); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), backup, journal.BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	closed(t, s)

	dir := filepath.Join(t.TempDir(), "ledger")
	src, err := journal.OpenFile(backup, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, src)
	aside, err := journal.Restore(t.Context(), options(dir, journaltest.NewClock()), src, journal.RestoreOptions{})
	if err != nil || aside != "" {
		t.Fatal(aside, err)
	}
	wantFiles(t, dir, "ledger.db", "ledger.lock")
	s = sealed(t, dir, "later")
	defer closed(t, s)
	if n, err := sound(s); err != nil || n != 25 {
		t.Errorf("%d entries, %v", n, err)
	}
	v, err := s.Lookup(t.Context(), e.Idem())
	if err != nil || v.Phase != ledger.Open || !v.Live {
		t.Errorf("the effect is %s, lease %v, %v", v.Phase, v.Live, err)
	}
	raw, _ = journaltest.NewEffect(t, "again", ledger.Pure).Register(ledger.State{}, "request")
	wantCode(t, s.Register(t.Context(), ledger.Registration{Body: raw, Spend: []ledger.Spend{capability}, LeaseFor: 1e6}), ledger.ErrExhausted)
}

// TestRestoreMovesAside keeps what was there, with what was in its write-ahead log.
func TestRestoreMovesAside(t *testing.T) {
	dir, backup := t.TempDir(), filepath.Join(t.TempDir(), "copy.db")
	s := sealed(t, dir, "one")
	if err := s.Backup(t.Context(), backup, journal.BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	journaltest.SealedRun(t, s, "two", 5)
	src, err := journal.OpenFile(backup, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, src)
	o := options(dir, journaltest.NewClock())
	o.NoWait = true
	_, err = journal.Restore(t.Context(), o, src, journal.RestoreOptions{MoveAside: true})
	wantCode(t, err, journal.ErrBusy)
	reader, err := journal.OpenReadOnly(o) // keeps the write-ahead log from being taken in
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, reader)
	closed(t, s)

	_, err = journal.Restore(t.Context(), o, src, journal.RestoreOptions{})
	wantCode(t, err, journal.ErrExists)
	aside, err := journal.Restore(t.Context(), o, src, journal.RestoreOptions{MoveAside: true})
	if err != nil || filepath.Dir(aside) != dir {
		t.Fatal(aside, err)
	}
	for at, want := range map[string]uint64{dir: 12, aside: 24} {
		r, err := journal.OpenReadOnly(journal.Options{Dir: at})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := sound(r); err != nil || n != want {
			t.Errorf("%s: %d entries, want %d, %v", at, n, want, err)
		}
		closed(t, r)
	}
}

// TestRestoreInterrupted refuses to write where a database may be without its
// write-ahead log, until it was restored.
func TestRestoreInterrupted(t *testing.T) {
	dir, backup := t.TempDir(), filepath.Join(t.TempDir(), "copy.db")
	s := sealed(t, dir, "one")
	if err := s.Backup(t.Context(), backup, journal.BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	if err := os.WriteFile(filepath.Join(dir, "ledger.restore"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o := options(dir, journaltest.NewClock())
	_, err := journal.Open(t.Context(), o)
	wantCode(t, err, journal.ErrUnavailable)
	src, err := journal.OpenFile(backup, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, src)
	if _, err := journal.Restore(t.Context(), o, src, journal.RestoreOptions{MoveAside: true}); err != nil {
		t.Fatal(err)
	}
	s = sealed(t, dir)
	if n, err := sound(s); err != nil || n != 12 {
		t.Errorf("%d entries, %v", n, err)
	}
	closed(t, s)
}

// TestCloseLeavesOneFile takes the write-ahead log into ledger.db.
func TestCloseLeavesOneFile(t *testing.T) {
	dir := t.TempDir()
	s := sealed(t, dir, "one")
	if n, err := sound(s); err != nil || n != 12 { // opens the scanning connection too
		t.Fatal(n, err)
	}
	closed(t, s)
	wantFiles(t, dir, "ledger.db", "ledger.lock")
}
