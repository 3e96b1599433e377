package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/journal/postgres"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// entries is what an executor hands over for one effect: a register of 415 bytes,
// and a commit of 400 with a receipt of 510, evidence of 450, a request of 120, and
// a response and a log that recur.
type entries struct {
	registration ledger.Registration
	commitment   ledger.Commitment
}

func makeEntries(tb testing.TB, n int) (e entries) {
	tb.Helper()
	run := cid.Sum(fmt.Append(nil, "run ", n/20))
	tool, capID := cid.Sum([]byte("tool")), cid.Sum([]byte("capability"))
	retry := uint8(ledger.Pure)
	key := padded(130, "key", n)
	items := [][]byte{padded(120, "request", n), padded(40, "response", 0), padded(450, "evidence", n), padded(20, "log", 0)}
	reg := ledger.Register{
		IdemID: ledger.IdemID(tool, key), ToolID: tool, RequestHash: cid.Sum(items[0]), IdempotencyKey: key,
		LeaseExpiresAt: 1, TimeObserved: 1, Retry: &retry,
	}
	e.registration = ledger.Registration{Run: run, Spend: []ledger.Spend{{CapID: capID, Max: 1 << 30}}, LeaseFor: 1e9}
	id, err := e.registration.Sign(&reg, journaltest.Owner)
	if err != nil {
		tb.Fatal(err)
	}
	rec := receipt.Receipt{
		ToolID: tool, RequestHash: reg.RequestHash, ResponseHash: cid.Sum(items[1]), IdempotencyKey: key,
		Status: 200, Evidence: []cid.Hash{cid.Sum(items[2])},
	}
	raw, receiptID, err := sig.Sign(&rec, journaltest.Owner)
	if err != nil {
		tb.Fatal(err)
	}
	e.commitment = ledger.Commitment{Run: run, Receipt: raw}
	for _, it := range items {
		e.commitment.Items = append(e.commitment.Items, ledger.Item{CID: cid.Sum(it), Data: it})
	}
	x := ledger.Commit{
		IdemID: reg.IdemID, ToolID: tool, RequestHash: reg.RequestHash, ResponseHash: rec.ResponseHash,
		ReceiptID: receiptID, Status: 200, RegisterID: &id,
	}
	if _, err := e.commitment.Sign(&x, journaltest.Owner); err != nil {
		tb.Fatal(err)
	}
	return e
}

func padded(n int, what string, i int) []byte {
	b := fmt.Appendf(nil, "%s %d ", what, i)
	for x := uint32(i)*2654435761 + 1; len(b) < n; x = x*1664525 + 1013904223 {
		b = append(b, byte(x>>24))
	}
	return b[:n]
}

// BenchmarkPairs writes pairs of a register and a commit at 1, 16 and 128 callers:
// the ledger, and plain inserts of the same bytes by one writer that pipelines
// what is queued into one transaction, without and with the ledger's indexes on
// entries.
func BenchmarkPairs(b *testing.B) {
	server(b)
	for _, callers := range []int{1, 16, 128} {
		b.Run(fmt.Sprint("ledger/", callers), func(b *testing.B) {
			o := fresh(b)
			s := open(b, o)
			pairs(b, callers, func(e entries) error {
				if err := s.Register(context.Background(), e.registration); err != nil {
					return err
				}
				_, err := s.Commit(context.Background(), e.commitment)
				return err
			})
			report(b, o)
		})
		for _, indexed := range []bool{false, true} {
			name := "plain/"
			if indexed {
				name = "plain-indexed/"
			}
			b.Run(fmt.Sprint(name, callers), func(b *testing.B) {
				o := fresh(b)
				p := newPlain(b, o, indexed)
				pairs(b, callers, func(e entries) error {
					key := cid.Sum(e.registration.Body)
					if err := p.insert(job{key: key[:], n: 0, run: e.registration.Run[:], body: e.registration.Body}); err != nil {
						return err
					}
					kept := slices.Clone(e.commitment.Receipt)
					for i, it := range e.commitment.Items {
						if i%2 == 0 { // those that do not recur
							kept = append(kept, it.Data...)
						}
					}
					return p.insert(job{key: key[:], n: 1, run: e.registration.Run[:], body: e.commitment.Body, kept: kept})
				})
				p.close()
				report(b, o)
			})
		}
	}
}

// BenchmarkSpend writes pairs of one caller, in turn without spending and spending of
// 1, 3 and 8 links, each on a ledger of its own: what the links add is what spending
// costs. It reports the median of a pair by the number of links.
func BenchmarkSpend(b *testing.B) {
	server(b)
	counts := []int{0, 1, 3, 8}
	stores, took := make([]*postgres.Store, len(counts)), make([][]time.Duration, len(counts))
	for i := range counts {
		stores[i] = open(b, fresh(b))
	}
	spend := make([]ledger.Spend, 8)
	for i := range spend {
		spend[i] = ledger.Spend{CapID: cid.Sum(fmt.Append(nil, i)), Max: 1 << 30}
	}
	for round := 0; b.Loop(); round++ {
		e := makeEntries(b, round)
		for i, links := range counts {
			e.registration.Spend = spend[:links]
			start := time.Now()
			if err := stores[i].Register(b.Context(), e.registration); err != nil {
				b.Fatal(err)
			}
			if _, err := stores[i].Commit(b.Context(), e.commitment); err != nil {
				b.Fatal(err)
			}
			took[i] = append(took[i], time.Since(start))
		}
	}
	for i, links := range counts {
		slices.Sort(took[i])
		b.ReportMetric(float64(took[i][len(took[i])/2].Microseconds()), fmt.Sprintf("p50-us@%d", links))
	}
}

func pairs(b *testing.B, callers int, pair func(entries) error) {
	all := make([]entries, b.N)
	for i := range all {
		all[i] = makeEntries(b, i)
	}
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				start := time.Now()
				if err := pair(all[i]); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pairs/s")
	b.ReportMetric(float64(took[b.N/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[b.N*99/100].Microseconds()), "p99-us")
}

// report adds how many bytes of tables and indexes a pair takes.
func report(b *testing.B, o postgres.Options) {
	conn, err := pgx.Connect(context.Background(), o.URL)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	var size int64
	err = conn.QueryRow(context.Background(), "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class WHERE relkind = 'r' AND relnamespace = $1::text::regnamespace", o.Schema).Scan(&size)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(size)/float64(b.N), "B/pair")
}

// plain is one writer that inserts what is queued in one transaction, as one
// pipelined batch: bodies alone, or with the key, the number and the run of each
// and the indexes that the ledger has on them.
type plain struct {
	conn    *pgx.Conn
	indexed bool
	jobs    chan job
	done    chan struct{}
}

type job struct {
	key, run, body, kept []byte
	n                    int32
	err                  chan error
}

func newPlain(b *testing.B, o postgres.Options, indexed bool) *plain {
	conn, err := pgx.Connect(context.Background(), o.URL)
	if err != nil {
		b.Fatal(err)
	}
	table := "CREATE TABLE plain (seq bigserial PRIMARY KEY, body bytea NOT NULL, kept bytea)"
	if indexed {
		table = "CREATE TABLE plain (seq bigserial PRIMARY KEY, n integer NOT NULL, key bytea NOT NULL, run bytea, body bytea NOT NULL, kept bytea, UNIQUE (key, n)); CREATE INDEX ON plain (run)"
	}
	if _, err = conn.Exec(context.Background(), "CREATE SCHEMA "+o.Schema+"; SET search_path = "+o.Schema+"; "+table); err != nil {
		b.Fatal(err)
	}
	p := &plain{conn, indexed, make(chan job, 512), make(chan struct{})}
	go p.serve()
	return p
}

func (p *plain) insert(j job) error {
	j.err = make(chan error, 1)
	p.jobs <- j
	return <-j.err
}

func (p *plain) close() {
	close(p.jobs)
	<-p.done
	p.conn.Close(context.Background())
}

func (p *plain) serve() {
	defer close(p.done)
	for first := range p.jobs {
		jobs := []job{first}
		for more := true; more && len(jobs) < 512; {
			select {
			case j, ok := <-p.jobs:
				if more = ok; ok {
					jobs = append(jobs, j)
				}
			default:
				more = false
			}
		}
		var batch pgx.Batch // one transaction without BEGIN and COMMIT of its own
		for _, j := range jobs {
			if p.indexed {
				batch.Queue("INSERT INTO plain (n, key, run, body, kept) VALUES ($1, $2, $3, $4, $5)", j.n, j.key, j.run, j.body, j.kept)
				continue
			}
			batch.Queue("INSERT INTO plain (body, kept) VALUES ($1, $2)", j.body, j.kept)
		}
		err := p.conn.SendBatch(context.Background(), &batch).Close()
		for _, j := range jobs {
			j.err <- err
		}
	}
}
