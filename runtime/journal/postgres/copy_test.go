package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/journal/postgres"
	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// embedded returns an embedded ledger with something of every kind.
func embedded(t *testing.T) (*journal.SQLite, *journaltest.Clock) {
	t.Helper()
	clock := journaltest.NewClock()
	s, err := journal.Open(t.Context(), journal.Options{Dir: t.TempDir(), Clock: clock.Now, Signer: journaltest.Owner})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	_, err = s.BeginRun(ctx, ledger.RunStart{
		Authority: cid.Sum([]byte("a")), Holder: cid.Sum([]byte("h")), RunID: "r", Record: []byte("record"), RecordID: cid.Sum([]byte("1")),
		Items: []ledger.Item{{CID: cid.Sum([]byte("inputs")), Data: []byte("inputs")}},
	})
	ok(err)
	for i := range 30 {
		e := journaltest.NewEffect(t, fmt.Sprint("k", i), ledger.Idempotent)
		raw, id := e.Register(ledger.State{}, "request")
		ok(s.Register(ctx, ledger.Registration{Body: raw, LeaseFor: 60e6, Spend: []ledger.Spend{{CapID: cid.Sum([]byte("cap")), Max: 40}}}))
		switch i % 5 {
		case 0: // stays open
		case 1:
			ok(s.Extend(ctx, e.Idem(), id, 300e6))
		case 2:
			ok(s.Resolve(ctx, e.Resolution(id, ledger.OutcomeNotInvoked), cid.Hash{}, false))
		default:
			_, err := s.Commit(ctx, e.Commit(id, "request", fmt.Sprint("answer ", i%2)))
			ok(err)
		}
	}
	ok(s.Seal(ctx, []byte("seal"), cid.Sum([]byte("1"))))
	for i, holder := range []string{"ann", "bob"} {
		x := journaltest.Refusal("cap_missing", "request", cid.Hash{}, int64(i))
		_, err := s.Refuse(ctx, signed(t, &x), cid.Hash{}, cid.Sum([]byte(holder)))
		ok(err)
	}
	for seq := range uint64(2) {
		ok(s.SetRing(ctx, signed(t, journaltest.RingState(1, seq, "demo", "a"))))
	}
	return s, clock
}

func signed(t *testing.T, x sig.Object) []byte {
	t.Helper()
	raw, _, err := sig.Sign(x, journaltest.Owner)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// wantRecordsStand checks that a copy knows which refusals and which state of a
// ring it has.
func wantRecordsStand(t *testing.T, s ledger.Store) {
	t.Helper()
	x := journaltest.Refusal("cap_missing", "request", cid.Hash{}, 7)
	for holder, verdict := range map[string]ledger.Verdict{"ann": ledger.Dropped, "bob": ledger.Dropped, "eve": ledger.Applied} {
		if got, err := s.Refuse(t.Context(), signed(t, &x), cid.Hash{}, cid.Sum([]byte(holder))); err != nil || got != verdict {
			t.Errorf("a refusal of %s: verdict %d, want %d, %v", holder, got, verdict, err)
		}
	}
	want(t, s.SetRing(t.Context(), signed(t, journaltest.RingState(1, 1, "demo", "b"))), ledger.ErrRingStale)
	if states, err := s.Rings(t.Context()); err != nil || len(states) != 1 || states[0].Seq != 1 {
		t.Errorf("rings %v, %v", states, err)
	}
}

func TestCopy(t *testing.T) {
	from, clock := embedded(t)
	o := fresh(t)
	to := open(t, o)
	setClock(t, o, clock)
	clock.Advance(10 * time.Second)
	n, err := postgres.Copy(t.Context(), from, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (postgres.Copied{Entries: 54, Items: 16, Capabilities: 1, IDs: 30}); n != want {
		t.Errorf("copied %+v, want %+v", n, want)
	}
	if rec, err := to.FindRun(t.Context(), cid.Sum([]byte("a")), cid.Sum([]byte("h")), "r"); err != nil || string(rec) != "record" {
		t.Errorf("the run is %q, %v", rec, err)
	}
	for _, text := range []string{"inputs", "answer 0", "answer 1", "seal"} {
		if got, err := to.Object(t.Context(), cid.Sum([]byte(text))); err != nil || string(got) != text {
			t.Errorf("object %q is %q, %v", text, got, err)
		}
	}
	// Leases go on where they were: 50 of 60 seconds are left, and 290 of 300.
	for _, c := range []struct {
		name string
		left time.Duration
	}{{"k0", 50 * time.Second}, {"k1", 290 * time.Second}} {
		v, err := to.Lookup(t.Context(), journaltest.NewEffect(t, c.name, ledger.Idempotent).Idem())
		if left := time.Duration(v.LeaseExpires-clock.Now().UnixMicro()) * time.Microsecond; err != nil || !v.Live || left != c.left {
			t.Errorf("the lease of %s stands (%t) for %v, %v; want %v", c.name, v.Live, left, err, c.left)
		}
	}
	// So do counts and the log.
	spend := []ledger.Spend{{CapID: cid.Sum([]byte("cap")), Max: 31}}
	for i, want := range []error{nil, ledger.ErrExhausted} {
		raw, _ := journaltest.NewEffect(t, fmt.Sprint("new", i), ledger.Pure).Register(ledger.State{}, "request")
		if err := to.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1e6, Spend: spend}); !errors.Is(err, want) {
			t.Errorf("register %d: %v, want %v", i, err, want)
		}
	}
	wantRecordsStand(t, to)
	if n := count(t, to); n != 56 {
		t.Errorf("%d entries", n)
	}
	_, err = postgres.Copy(t.Context(), from, to, nil)
	want(t, err, postgres.ErrNotEmpty)
}

// liar is a source whose export is not what it is read as.
type liar struct {
	rules.Source
	entry func(*rules.Exported) error
}

func (l liar) Export(ctx context.Context, entry func(rules.Exported) error, item func(rules.ExportedItem) error, spend func(cid.Hash, uint32) error) error {
	return l.Source.Export(ctx, func(e rules.Exported) error {
		if err := l.entry(&e); err != nil {
			return err
		}
		return entry(e)
	}, item, spend)
}

// TestCopyFailures checks that a copy which breaks off leaves nothing, and that
// one which is not what was copied is told.
func TestCopyFailures(t *testing.T) {
	from, _ := embedded(t)
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		entry func(*rules.Exported) error
		want  error
		left  int
	}{
		"breaks off": {func(e *rules.Exported) error {
			if e.Index == 20 {
				return broken
			}
			return nil
		}, broken, 0},
		"leaves one out": {func(e *rules.Exported) error {
			if e.Index >= 20 {
				e.Index++
			}
			return nil
		}, ledger.ErrCorrupt, 0},
		"another body": {func(e *rules.Exported) error {
			if e.Index == 20 {
				e.Body = append([]byte{}, e.Body...)
				e.Body[3] ^= 1
			}
			return nil
		}, postgres.ErrCopy, 54},
		"another time": {func(e *rules.Exported) error { e.Time++; return nil }, postgres.ErrCopy, 54},
	} {
		t.Run(name, func(t *testing.T) {
			to := open(t, fresh(t))
			_, err := postgres.Copy(t.Context(), liar{from, c.entry}, to, nil)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if n := count(t, to); n != c.left {
				t.Errorf("%d entries are left, want %d", n, c.left)
			}
		})
	}
}
