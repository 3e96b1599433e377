package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// openSigned opens a ledger whose checkpoints journaltest.Owner signs.
func openSigned(t testing.TB, dir string) *journal.SQLite {
	t.Helper()
	o := journal.Options{Dir: dir, Clock: journaltest.NewClock().Now, Signer: journaltest.Owner}
	s, err := journal.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSQLiteLog(t *testing.T) {
	journaltest.RunLog(t, func(t *testing.T, clock *journaltest.Clock) ledger.Log {
		s, err := journal.Open(t.Context(), journal.Options{Dir: t.TempDir(), Clock: clock.Now, Signer: journaltest.Owner})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// TestCheckpointOfEveryRun checks when checkpoints are signed, over a ledger that
// is opened again and again, and that a reader sees them.
func TestCheckpointOfEveryRun(t *testing.T) {
	dir := t.TempDir()
	s := openSigned(t, dir)
	_, err := s.Newest(t.Context())
	want(t, err, ledger.ErrNoCheckpoint)
	journaltest.SealedRun(t, s, "one", 3)
	journaltest.WantCheckpoints(t, s, 8)
	journaltest.SealedRun(t, s, "two", 200)
	journaltest.WantCheckpoints(t, s, 8, 410)
	if err := s.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	journaltest.WantCheckpoints(t, s, 8, 410) // nothing new to say
	if err := register(t, s, "left open"); err != nil {
		t.Fatal(err)
	}
	journaltest.WantCheckpoints(t, s, 8, 410)
	s.Close()

	s = openSigned(t, dir)
	journaltest.WantCheckpoints(t, s, 8, 410, 411) // Close signed
	journaltest.SealedRun(t, s, "three", 1)
	s.Close()
	r, err := journal.OpenReadOnly(options(dir, journaltest.NewClock()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	journaltest.WantCheckpoints(t, r, 8, 410, 411, 415)
	if c, err := r.Newest(t.Context()); err != nil || c.Size != 415 {
		t.Errorf("size %d, %v", c.Size, err)
	}
	want(t, r.Checkpoint(t.Context()), journal.ErrReadOnly)
}

// TestCheckpointWithoutSeal checks that a run which goes on and on does not stay
// without one, and that entries which had none are covered later.
func TestCheckpointWithoutSeal(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir) // without a key
	for i := range 10 {
		if err := register(t, s, fmt.Sprint("early ", i)); err != nil {
			t.Fatal(err)
		}
	}
	want(t, s.Checkpoint(t.Context()), journal.ErrUnavailable)
	s.Close()
	s = openSigned(t, dir)
	defer s.Close()
	for i := range journal.MaxUncovered - 11 {
		if err := register(t, s, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	journaltest.WantCheckpoints(t, s)
	if err := register(t, s, "last"); err != nil {
		t.Fatal(err)
	}
	journaltest.WantCheckpoints(t, s, journal.MaxUncovered)
}

// TestRefusedOperationsLeaveTheTree checks that what is rolled back is not in the
// tree that is signed next.
func TestRefusedOperationsLeaveTheTree(t *testing.T) {
	s := openSigned(t, t.TempDir())
	defer s.Close()
	journaltest.SealedRun(t, s, "one", 2)
	if err := register(t, s, "k"); err != nil {
		t.Fatal(err)
	}
	want(t, register(t, s, "k"), ledger.ErrInProgress)
	journaltest.SealedRun(t, s, "two", 2)
	journaltest.WantCheckpoints(t, s, 6, 13)
}

// TestSignsNothingOnDamagedHashes checks that a log whose kept hashes are not those
// of its newest checkpoint gets no further one: it would contradict the last.
func TestSignsNothingOnDamagedHashes(t *testing.T) {
	for name, sql := range map[string]string{
		"leaf":       "UPDATE leaf SET hashes = zeroblob(length(hashes)) WHERE first = 0",
		"piece gone": "DELETE FROM leaf WHERE first = 0",
		"node":       "UPDATE node SET hash = zeroblob(32)",
		"node gone":  "DELETE FROM node",
		"note":       "UPDATE checkpoint SET note = x'00' WHERE size = (SELECT max(size) FROM checkpoint)",
		"size":       "UPDATE checkpoint SET size = size - 1 WHERE size = (SELECT max(size) FROM checkpoint)",
		"entry gone": "DELETE FROM entry WHERE seq = (SELECT max(seq) - 1 FROM entry); UPDATE entry SET seq = seq + 1 WHERE seq = (SELECT max(seq) FROM entry)",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openSigned(t, dir)
			journaltest.SealedRun(t, s, "small", 2)
			if name == "node" || name == "node gone" {
				journaltest.SealedRun(t, s, "large", 150)
			}
			s.Close()
			if name == "entry gone" { // beyond the newest checkpoint
				s = open(t, dir)
				for i := range 3 {
					if err := register(t, s, fmt.Sprint(i)); err != nil {
						t.Fatal(err)
					}
				}
				s.Close()
			}
			alter(t, dir, sql)
			s = openSigned(t, dir)
			err := s.Seal(t.Context(), []byte{0}, cid.Hash{})
			want(t, err, ledger.ErrCorrupt)
			s.Close()
		})
	}
}

// TestMigration opens a ledger of schema 1 as the release before made it, also one
// whose migration was cut off, and keeps all that is in it.
func TestMigration(t *testing.T) {
	old := t.TempDir()
	s := open(t, old)
	for i := range 300 {
		if err := effect(t, s, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	// What schemas 2 and 3 added is all that a ledger of schema 1 lacks.
	alter(t, old, "DROP INDEX entry_ring; DROP TABLE checkpoint; DROP TABLE leaf; DROP TABLE node; PRAGMA user_version = 1")

	reader, err := journal.OpenReadOnly(options(old, journaltest.NewClock()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	journaltest.WantCheckpoints(t, reader)
	_, err = reader.Newest(t.Context())
	want(t, err, ledger.ErrNoCheckpoint)
	if rings, err := reader.Rings(t.Context()); err != nil || len(rings) > 0 {
		t.Errorf("a ledger of schema 1 has the rings %v, %v", rings, err)
	}

	s = openSigned(t, old)
	defer s.Close()
	wantWholeLog(t, s, 600)
	journaltest.SealedRun(t, s, "new", 1)
	journaltest.WantCheckpoints(t, s, 604)
	journaltest.WantCheckpoints(t, reader, 604) // it need not be opened again
	if err := register(t, s, "k"); err != nil {
		t.Fatal(err)
	}
}

// wantWholeLog checks that n entries are there and every commit with what belongs
// to it.
func wantWholeLog(t *testing.T, s ledger.Store, n uint64) {
	t.Helper()
	next := uint64(0)
	for rec, err := range s.Records(t.Context(), ledger.Filter{}) {
		if err != nil || rec.Index != next {
			t.Fatal(rec.Index, err)
		}
		next++
		if rec.Kind == ledger.KindCommit {
			wantWhole(t, s, rec.Body)
		}
	}
	if next != n {
		t.Errorf("%d entries, want %d", next, n)
	}
}

// copyLedger copies the files of a ledger as they are on the disk at this moment:
// what a crash would leave.
func copyLedger(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"ledger.db", "ledger.db-wal"} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// TestNoSyncOfItsOwn checks that the checkpoint of a run stands in the transaction
// of its seal: whoever sees the seal sees the checkpoint.
func TestNoSyncOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	s := openSigned(t, dir)
	defer s.Close()
	journaltest.SealedRun(t, s, "one", 1)
	r := open(t, copyLedger(t, dir)) // without Close there is nothing but what Seal wrote
	defer r.Close()
	journaltest.WantCheckpoints(t, r, 4)
}

// TestRingStates keeps them apart from ids, finds them without reading the log, and
// signs a checkpoint over each.
func TestRingStates(t *testing.T) {
	dir := t.TempDir()
	s := openSigned(t, dir)
	if err := register(t, s, "k"); err != nil {
		t.Fatal(err)
	}
	raw, _, err := sig.Sign(journaltest.RingState(1, 1, "demo", "a"), journaltest.Owner)
	if err == nil {
		err = s.SetRing(t.Context(), raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	journaltest.WantCheckpoints(t, s, 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantIndexed(t, dir)
	// Under another key the next state would not see it.
	alter(t, dir, "UPDATE entry SET idem = zeroblob(32) WHERE kind = 8")
	s = openSigned(t, dir)
	defer s.Close()
	if index, what, err := s.CheckBeside(t.Context()); err != nil || index != 1 || what == "" {
		t.Errorf("entry %d: %q, %v", index, what, err)
	}
	if states, err := s.Rings(t.Context()); err != nil || len(states) != 1 {
		t.Errorf("%d rings, %v", len(states), err)
	}
	alter(t, dir, "UPDATE entry SET body = zeroblob(32) WHERE kind = 8")
	_, err = s.Rings(t.Context())
	want(t, err, ledger.ErrCorrupt)
}

// wantIndexed checks that SQLite finds states of rings by their index.
func wantIndexed(t *testing.T, dir string) {
	t.Helper()
	conn, err := sqlite.OpenConn(filepath.Join(dir, "ledger.db"), sqlite.OpenReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	plan := ""
	err = sqlitex.Execute(conn, "EXPLAIN QUERY PLAN SELECT body FROM entry WHERE kind = 8 ORDER BY seq", &sqlitex.ExecOptions{
		ResultFunc: func(s *sqlite.Stmt) error { plan += s.ColumnText(3); return nil },
	})
	if err != nil || !strings.Contains(plan, "entry_ring") {
		t.Errorf("plan %q, %v", plan, err)
	}
}
