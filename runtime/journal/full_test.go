package journal

import (
	"errors"
	"fmt"
	"testing"

	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// TestFullDisk stands in for a full disk with SQLite's own page limit, which
// fails at the same place with the same error.
func TestFullDisk(t *testing.T) {
	clock := journaltest.NewClock()
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	limit := func(pages int) {
		t.Helper()
		err := s.write(t.Context(), func(tx) error {
			return sqlitex.ExecuteTransient(s.writer.tx.conn, fmt.Sprintf("PRAGMA max_page_count = %d", pages), nil)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	register := func(i int) error {
		raw, _ := journaltest.NewEffect(t, fmt.Sprint(i), ledger.Pure).Register(ledger.State{}, "request")
		return s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1e6})
	}
	limit(40)
	stored := 0
	for ; stored < 1000; stored++ {
		if err = register(stored); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrFull) {
		t.Fatalf("after %d registers: %v, want %s", stored, err, ErrFull)
	}
	count := 0
	for _, err := range s.Records(t.Context(), ledger.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		count++
	}
	if count != stored {
		t.Errorf("%d entries, %d were acknowledged", count, stored)
	}
	v, err := s.Lookup(t.Context(), journaltest.NewEffect(t, fmt.Sprint(stored), ledger.Pure).Idem())
	if err != nil || v.Phase != ledger.Absent {
		t.Errorf("the refused register left %s, %v", v.Phase, err)
	}
	limit(100_000)
	if err := register(stored); err != nil {
		t.Errorf("with space again: %v", err)
	}
}

// TestRuleErrorSparesItsBatch checks that an operation that is refused does not
// take its neighbours with it, and that a fault of the database takes all.
func TestRuleErrorSparesItsBatch(t *testing.T) {
	clock := journaltest.NewClock()
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	op := func(fn func(tx) error) *operation { return &operation{fn: fn} }
	write := func(x tx) error { return x.add(ledger.Record{Kind: ledger.KindRunSeal, Body: []byte{0}}) }
	count := func() (n int) {
		for _, err := range s.Records(t.Context(), ledger.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}

	batch := []*operation{op(write), op(func(tx) error { return ledger.ErrConflict }), op(write)}
	s.writer.commit(batch)
	if batch[0].err != nil || !errors.Is(batch[1].err, ledger.ErrConflict) || batch[2].err != nil || count() != 2 {
		t.Fatalf("%v, %v, %v; %d entries", batch[0].err, batch[1].err, batch[2].err, count())
	}

	broken := errors.New("I/O error")
	batch = []*operation{op(write), op(func(x tx) error { write(x); return broken })}
	s.writer.commit(batch)
	if batch[0].err == nil || batch[1].err == nil || count() != 2 {
		t.Fatalf("%v, %v; %d entries", batch[0].err, batch[1].err, count())
	}
	if err := s.Seal(t.Context(), []byte{0}, [32]byte{}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("the store acknowledges after a fault: %v", err)
	}
}
