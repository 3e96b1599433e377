package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
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
		err := s.write(t.Context(), func(rules.Tx) error {
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
	op := func(fn func(rules.Tx) error) *operation { return &operation{fn: fn} }
	write := func(x rules.Tx) error { return x.Add(ledger.Record{Kind: ledger.KindRunSeal, Body: []byte{0}}) }
	count := func() (n int) {
		for _, err := range s.Records(t.Context(), ledger.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}

	batch := []*operation{op(write), op(func(rules.Tx) error { return ledger.ErrConflict }), op(write)}
	s.writer.commit(batch)
	if batch[0].err != nil || !errors.Is(batch[1].err, ledger.ErrConflict) || batch[2].err != nil || count() != 2 {
		t.Fatalf("%v, %v, %v; %d entries", batch[0].err, batch[1].err, batch[2].err, count())
	}

	broken := errors.New("I/O error")
	batch = []*operation{op(write), op(func(x rules.Tx) error { write(x); return broken })}
	s.writer.commit(batch)
	if batch[0].err == nil || batch[1].err == nil || count() != 2 {
		t.Fatalf("%v, %v; %d entries", batch[0].err, batch[1].err, count())
	}
	if err := s.Seal(t.Context(), []byte{0}, [32]byte{}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("the store acknowledges after a fault: %v", err)
	}
}

// TestRefusalAfterWriteSparesItsBatch checks that an operation which is refused
// half way leaves nothing, and its neighbours everything.
func TestRefusalAfterWriteSparesItsBatch(t *testing.T) {
	s := openHere(t)
	write := func(x rules.Tx) error { return x.Add(ledger.Record{Kind: ledger.KindRunSeal, Body: []byte{0}}) }
	half := func(x rules.Tx) error {
		if err := write(x); err != nil {
			return err
		}
		return ledger.ErrEntry
	}
	runs := 0
	batch := []*operation{{fn: write}, {fn: half}, {fn: func(x rules.Tx) error { runs++; return write(x) }}, {fn: half}}
	s.writer.commit(batch)
	for i, want := range []error{nil, ledger.ErrEntry, nil, ledger.ErrEntry} {
		if !errors.Is(batch[i].err, want) || want == nil && batch[i].err != nil {
			t.Errorf("operation %d: %v, want %v", i, batch[i].err, want)
		}
	}
	n := 0
	for rec, err := range s.Records(t.Context(), ledger.Filter{}) {
		if err != nil || rec.Index != uint64(n) {
			t.Fatalf("entry %d stands at %d, %v", n, rec.Index, err)
		}
		n++
	}
	if n != 2 || runs == 0 {
		t.Errorf("%d entries after %d tries, want 2", n, runs)
	}
}

// TestRememberedCounts checks that the writer's memory of counts is what the file
// has: a transaction that was taken back spends nothing, and what fell out of the
// memory is still spent.
func TestRememberedCounts(t *testing.T) {
	s := openHere(t)
	scarce := []ledger.Spend{{CapID: cid.Sum([]byte("scarce")), Max: 2}}
	charge := func(spend []ledger.Spend) error {
		return s.write(t.Context(), func(x rules.Tx) error { return x.Charge(spend) })
	}
	undone := func(x rules.Tx) error {
		if err := x.Charge(scarce); err != nil {
			return err
		}
		return ledger.ErrEntry
	}
	if err := charge(scarce); err != nil {
		t.Fatal(err)
	}
	if err := s.write(t.Context(), undone); !errors.Is(err, ledger.ErrEntry) {
		t.Fatal(err)
	}
	if err := charge(scarce); err != nil {
		t.Errorf("a charge that was taken back is still spent: %v", err)
	}
	others := make([]ledger.Spend, maxCounts+1)
	for i := range others {
		others[i] = ledger.Spend{CapID: cid.Sum(fmt.Append(nil, i)), Max: 1}
	}
	if err := charge(others); err != nil {
		t.Fatal(err)
	}
	for _, spend := range [][]ledger.Spend{scarce, others[:1], others[maxCounts:]} {
		if err := charge(spend); !errors.Is(err, ledger.ErrExhausted) {
			t.Errorf("spent beyond its maximum: %v", err)
		}
	}
	if n := len(s.writer.tx.counts); n > maxCounts {
		t.Errorf("%d counts are remembered, at most %d may be", n, maxCounts)
	}
}

// TestPanicEndsTheStore checks that a rule's bug answers every caller, keeps
// nothing and lets nothing be acknowledged after it.
func TestPanicEndsTheStore(t *testing.T) {
	s := openHere(t)
	write := func(x rules.Tx) error { return x.Add(ledger.Record{Kind: ledger.KindRunSeal, Body: []byte{0}}) }
	err := s.write(t.Context(), func(x rules.Tx) error {
		if err := write(x); err != nil {
			return err
		}
		panic("a bug")
	})
	if !errors.Is(err, ErrUnavailable) {
		t.Fatalf("got %v, want %s", err, ErrUnavailable)
	}
	if err := s.write(t.Context(), write); !errors.Is(err, ErrUnavailable) {
		t.Errorf("the store goes on after a bug: %v", err)
	}
	for rec, err := range s.Records(t.Context(), ledger.Filter{}) {
		t.Errorf("entry %d was kept, %v", rec.Index, err)
	}
}

// TestCloseFinishesWhatIsQueued closes a store while callers queue: each gets an
// answer, and what was acknowledged is there.
func TestCloseFinishesWhatIsQueued(t *testing.T) {
	dir := t.TempDir()
	clock := journaltest.NewClock()
	s, err := Open(t.Context(), Options{Dir: dir, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	const callers = 200
	errs := make([]error, callers)
	started := make(chan struct{}, callers)
	var wg sync.WaitGroup
	for i := range callers {
		raw, _ := journaltest.NewEffect(t, fmt.Sprint(i), ledger.Pure).Register(ledger.State{}, "request")
		wg.Go(func() {
			started <- struct{}{}
			errs[i] = s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1e6})
		})
	}
	for range callers / 2 {
		<-started
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	s, err = Open(t.Context(), Options{Dir: dir, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i, err := range errs {
		v, lookErr := s.Lookup(t.Context(), journaltest.NewEffect(t, fmt.Sprint(i), ledger.Pure).Idem())
		if lookErr != nil || (err == nil) != (v.Phase == ledger.Open) || err != nil && !errors.Is(err, ErrClosed) {
			t.Fatalf("caller %d got %v, the id is %s, %v", i, err, v.Phase, lookErr)
		}
	}
}

// TestEndedContextWritesNothing checks that an operation which comes after the
// interrupt is never queued.
func TestEndedContextWritesNothing(t *testing.T) {
	s := openHere(t)
	cause := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	for range 50 {
		if err := s.Seal(ctx, []byte{0}, [32]byte{}); !errors.Is(err, cause) {
			t.Fatalf("got %v", err)
		}
	}
}

func openHere(t *testing.T) *SQLite {
	t.Helper()
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), Clock: journaltest.NewClock().Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
