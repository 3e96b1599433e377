package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/journal/postgres"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server returns the address of the server to test with.
func server(tb testing.TB) string {
	tb.Helper()
	url := os.Getenv("MYTHOS_TEST_POSTGRES")
	if url == "" {
		const how = "no PostgreSQL to test with: run the tests by scripts/postgres.sh, or set MYTHOS_TEST_POSTGRES"
		if os.Getenv("CI") == "true" {
			tb.Fatal(how)
		}
		tb.Skip(how)
	}
	return url
}

// fresh returns options for a ledger of its own, which goes with the test.
func fresh(tb testing.TB) postgres.Options {
	tb.Helper()
	o := postgres.Options{URL: server(tb), Schema: fmt.Sprintf("test_%d_%d", os.Getpid(), rand.Uint64())}
	tb.Cleanup(func() {
		admin(tb, postgres.Options{Schema: "public"}, "DROP SCHEMA IF EXISTS "+o.Schema+" CASCADE")
	})
	return o
}

// admin runs SQL beside the store, in its schema.
func admin(tb testing.TB, o postgres.Options, sql string) {
	tb.Helper()
	conn, err := pgx.Connect(context.Background(), server(tb))
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), "SET search_path = "+o.Schema+"; "+sql); err != nil {
		tb.Fatal(err)
	}
}

// console connects beside a store. What exec runs must succeed.
func console(t *testing.T, url string) (conn *pgx.Conn, exec func(sql string)) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn, func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

func open(tb testing.TB, o postgres.Options) *postgres.Store {
	tb.Helper()
	s, err := postgres.Open(context.Background(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

func want(tb testing.TB, err error, code fault.Code) {
	tb.Helper()
	if !errors.Is(err, code) {
		tb.Fatalf("got %v, want %s", err, code)
	}
}

// setClock puts the suite's clock in the place of the server's: the ledger's
// clock is a function of its schema, which reads a table instead.
func setClock(t *testing.T, o postgres.Options, clock *journaltest.Clock) {
	t.Helper()
	admin(t, o, `CREATE TABLE test_clock (now bigint); INSERT INTO test_clock VALUES (0);
CREATE OR REPLACE FUNCTION ledger_now() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT now FROM test_clock'`)
	clock.OnMove(func(now time.Time) { admin(t, o, fmt.Sprintf("UPDATE test_clock SET now = %d", now.UnixMicro())) })
}

func TestSuite(t *testing.T) {
	server(t)
	journaltest.Run(t, func(t *testing.T, clock *journaltest.Clock) ledger.Store {
		o := fresh(t)
		s := open(t, o)
		setClock(t, o, clock)
		return s
	})
}

func count(tb testing.TB, s ledger.Store, kinds ...ledger.Kind) (n int) {
	tb.Helper()
	for _, err := range s.Records(context.Background(), ledger.Filter{Kinds: kinds}) {
		if err != nil {
			tb.Fatal(err)
		}
		n++
	}
	return n
}

// TestOneOfManyExecutorsWins lets eight executors race for many ids, each of which
// all of them want at once.
func TestOneOfManyExecutorsWins(t *testing.T) {
	const stores, ids = 8, 60
	o := fresh(t)
	o.MaxConns = 4
	var won [ids]atomic.Int32
	var wg sync.WaitGroup
	spend := []ledger.Spend{{CapID: cid.Sum([]byte("shared")), Max: ids}}
	for i := range stores {
		s := open(t, o)
		for k := range ids {
			e := journaltest.NewEffect(t, fmt.Sprint("k", k), ledger.Pure)
			if i%2 == 1 { // half of the executors share one key and write the same bytes
				e.By = sig.NewKey([32]byte{2, byte(i)}, "")
			}
			raw, _ := e.Register(ledger.State{}, "request")
			wg.Go(func() {
				err := s.Register(context.Background(), ledger.Registration{Body: raw, LeaseFor: 1e9, Spend: spend})
				if err == nil {
					won[k].Add(1)
				} else if !errors.Is(err, ledger.ErrInProgress) {
					t.Errorf("executor %d: %v", i, err)
				}
			})
		}
	}
	wg.Wait()
	for k := range won {
		if n := won[k].Load(); n != 1 {
			t.Errorf("id %d was won by %d executors", k, n)
		}
	}
	s := open(t, o)
	if n := count(t, s); n != ids {
		t.Errorf("%d entries, want %d", n, ids)
	}
	// Those that lost were charged nothing: exactly all calls are spent.
	raw, _ := journaltest.NewEffect(t, "one more", ledger.Pure).Register(ledger.State{}, "request")
	want(t, s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1e9, Spend: spend}), ledger.ErrExhausted)
	spend[0].Max++
	if err := s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1e9, Spend: spend}); err != nil {
		t.Errorf("the %dth call of a capability of %d: %v", ids+1, ids+1, err)
	}
}

// TestRetriesOfOneKey retries one key 10,000 times from eight executors.
func TestRetriesOfOneKey(t *testing.T) {
	const stores, callers, retries = 8, 25, 50
	o := fresh(t)
	o.MaxConns = 4
	e := journaltest.NewEffect(t, "k", ledger.Never)
	var invoked atomic.Int32
	var wg sync.WaitGroup
	for range stores {
		s := open(t, o)
		for range callers {
			wg.Go(func() {
				for range retries {
					if err := call(s, e, &invoked); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	s := open(t, o)
	if n := count(t, s); invoked.Load() != 1 || n != 2 {
		t.Errorf("invoked %d times, %d entries; want 1 and 2", invoked.Load(), n)
	}
}

// call does what an executor does with one effect, and gives up where that waits.
func call(s ledger.Store, e *journaltest.Effect, invoked *atomic.Int32) error {
	ctx := context.Background()
	v, err := s.Lookup(ctx, e.Idem())
	if err != nil || v.Phase == ledger.Committed || v.Live {
		return err
	}
	raw, id := e.Register(v.State, "request")
	err = s.Register(ctx, ledger.Registration{Body: raw, LeaseFor: 60e6})
	if errors.Is(err, ledger.ErrInProgress) {
		return nil
	}
	if err != nil {
		return err
	}
	invoked.Add(1)
	_, err = s.Commit(ctx, e.Commit(id, "request", "answer"))
	return err
}

// TestIndexesUnderLoad numbers the log again and again while eight executors
// write: what has an index keeps it, and none is left out.
func TestIndexesUnderLoad(t *testing.T) {
	const stores, each = 8, 60
	o := fresh(t)
	o.MaxConns = 2
	var wg sync.WaitGroup
	for i := range stores {
		s := open(t, o)
		for c := range 3 {
			wg.Go(func() {
				for k := range each / 3 {
					raw, _ := journaltest.NewEffect(t, fmt.Sprint(i, " ", c, " ", k/2*2), ledger.Pure).Register(ledger.State{}, "request")
					err := s.Register(context.Background(), ledger.Registration{Body: raw, LeaseFor: 1e9})
					if err != nil && !errors.Is(err, ledger.ErrInProgress) {
						t.Error(err)
					}
				}
			})
		}
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	s := open(t, o)
	var seen []cid.Hash
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		i := 0
		for rec, err := range s.Records(t.Context(), ledger.Filter{}) {
			if err != nil || rec.Index != uint64(i) {
				t.Fatalf("entry %d has index %d, %v", i, rec.Index, err)
			}
			if i == len(seen) {
				seen = append(seen, rec.Idem)
			}
			if seen[i] != rec.Idem {
				t.Fatalf("entry %d is another one now", i)
			}
			i++
		}
		if i < len(seen) {
			t.Fatalf("%d entries, there were %d", i, len(seen))
		}
	}
	if len(seen) != stores*each/2 {
		t.Errorf("%d entries, want %d", len(seen), stores*each/2)
	}
}

// TestLargeGroups commits more at once than one statement takes.
func TestLargeGroups(t *testing.T) {
	s := open(t, fresh(t))
	var wg sync.WaitGroup
	var last [16]cid.Hash
	for i := range last {
		e := journaltest.NewEffect(t, fmt.Sprint("k", i), ledger.Pure)
		raw, id := e.Register(ledger.State{}, "request")
		if err := s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1e9}); err != nil {
			t.Fatal(err)
		}
		c := e.Commit(id, "request", "answer")
		for k := range 40 {
			data := make([]byte, 64<<10)
			data[0], data[1] = byte(i), byte(k)
			last[i] = cid.Sum(data)
			c.Items = append(c.Items, ledger.Item{CID: last[i], Data: data})
		}
		wg.Go(func() {
			if v, err := s.Commit(context.Background(), c); err != nil || v != ledger.Applied {
				t.Errorf("commit %d: %d, %v", i, v, err)
			}
		})
	}
	wg.Wait()
	for i, id := range last {
		if data, err := s.Object(t.Context(), id); err != nil || data[0] != byte(i) {
			t.Errorf("the last item of commit %d: %v", i, err)
		}
	}
}
