package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mythos-run/mythos/runtime/journal/postgres"
)

// plainInserts is one writer that inserts what is queued in one transaction, as
// one pipelined batch of plain INSERTs.
type plainInserts struct {
	conn    *pgx.Conn
	indexed bool
	jobs    chan plainJob
	done    chan struct{}
}

type plainJob struct {
	key, run, body, kept []byte
	n                    int32
	err                  chan error
}

func (b *ledgerBench) connect() (*pgx.Conn, error) { return pgx.Connect(b.ctx, b.url) }

var schemas atomic.Int64

func newSchema() string { return fmt.Sprintf("bench_%d", schemas.Add(1)) }

func (b *ledgerBench) openShared() (keeper, func() (int64, error), error) {
	if err := b.settle(); err != nil {
		return nil, nil, err
	}
	schema := newSchema()
	s, err := postgres.Open(b.ctx, postgres.Options{URL: b.url, Schema: schema, Signer: pairKey, MaxConns: dbConns})
	if err != nil {
		return nil, nil, err
	}
	return stored{s}, func() (int64, error) { return b.schemaSize(schema) }, nil
}

// schemaSize adds up tables and indexes of a schema, which it drops.
func (b *ledgerBench) schemaSize(schema string) (n int64, err error) {
	conn, err := b.connect()
	if err != nil {
		return 0, err
	}
	defer conn.Close(b.ctx)
	err = conn.QueryRow(b.ctx, "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class WHERE relkind = 'r' AND relnamespace = $1::text::regnamespace", schema).Scan(&n)
	if err == nil {
		_, err = conn.Exec(b.ctx, "DROP SCHEMA "+schema+" CASCADE")
	}
	return n, err
}

const (
	plainTable   = "CREATE TABLE plain (seq bigserial PRIMARY KEY, body bytea NOT NULL, kept bytea)"
	indexedTable = "CREATE TABLE plain (seq bigserial PRIMARY KEY, n integer NOT NULL, key bytea NOT NULL, run bytea, body bytea NOT NULL, kept bytea, UNIQUE (key, n)); CREATE INDEX ON plain (run)"
)

func (b *ledgerBench) openPlain(indexed bool) (keeper, func() (int64, error), error) {
	if err := b.settle(); err != nil {
		return nil, nil, err
	}
	conn, err := b.connect()
	if err != nil {
		return nil, nil, err
	}
	schema, table := newSchema(), plainTable
	if indexed {
		table = indexedTable
	}
	if _, err = conn.Exec(b.ctx, "CREATE SCHEMA "+schema+"; SET search_path = "+schema+"; "+table); err != nil {
		return nil, nil, errors.Join(err, conn.Close(b.ctx))
	}
	p := &plainInserts{conn, indexed, make(chan plainJob, 512), make(chan struct{})}
	go p.serve(b.ctx)
	return p, func() (int64, error) { return b.schemaSize(schema) }, nil
}

func registerJob(x *pair) plainJob {
	return plainJob{key: x.idem[:], n: 0, run: x.registration.Run[:], body: x.registration.Body}
}

func commitJob(x *pair) plainJob {
	return plainJob{key: x.idem[:], n: 1, run: x.registration.Run[:], body: x.commitment.Body, kept: x.kept}
}

func (p *plainInserts) Register(_ context.Context, x *pair) error { return p.insert(registerJob(x)) }

func (p *plainInserts) Commit(_ context.Context, x *pair) error { return p.insert(commitJob(x)) }

func (p *plainInserts) CommitAndRegister(_ context.Context, done, next *pair) error {
	return p.insert(commitJob(done), registerJob(next))
}

// insert queues rows one after the other and waits for all of them.
func (p *plainInserts) insert(jobs ...plainJob) error {
	answers := make(chan error, len(jobs))
	for _, j := range jobs {
		j.err = answers
		p.jobs <- j
	}
	var err error
	for range jobs {
		err = errors.Join(err, <-answers)
	}
	return err
}

func (p *plainInserts) Close() error {
	close(p.jobs)
	<-p.done
	return p.conn.Close(context.Background())
}

func (p *plainInserts) serve(ctx context.Context) {
	defer close(p.done)
	for first := range p.jobs {
		jobs := []plainJob{first}
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
		err := p.conn.SendBatch(ctx, &batch).Close()
		for _, j := range jobs {
			j.err <- err
		}
	}
}

const postgresNotes = `
## PostgreSQL journal

The same pairs. Plain inserts: one writer on one connection that sends what is queued as one
pgx.Batch of INSERTs, one transaction, of the same bytes into a table with a sequence and nothing
else; "indexed" has the key, number and run of each in columns, with the ledger's indexes on them.
Neither looks anything up, charges a capability, sets a lease, finds objects by their hash or signs
checkpoints, which the journal does. All write on one connection, two durable statements for a
pair; "in runs" one for a commit and the next register of its run, 20 effects a run. Every turn begins with a fresh schema and a CHECKPOINT of the server, which is not timed.
`

// benchPostgres compares the PostgreSQL journal with plain inserts.
func (b *ledgerBench) benchPostgres() (claims []claim, err error) {
	if b.url == "" {
		b.say("postgres: no server, left out")
		return nil, nil
	}
	fmt.Fprint(b.w, postgresNotes)
	all, err := newPairs(0, b.scaled(callerCounts[len(callerCounts)-1].pairs))
	if err != nil {
		return nil, err
	}
	for _, c := range b.callerCounts() {
		plain := &side{name: "plain inserts", open: func() (keeper, func() (int64, error), error) { return b.openPlain(false) }}
		indexed := &side{name: "plain inserts, indexed", open: func() (keeper, func() (int64, error), error) { return b.openPlain(true) }}
		ours := &side{name: "journal", open: b.openShared}
		plainRuns := &side{name: "plain inserts, in runs", runs: true, open: plain.open}
		oursRuns := &side{name: "journal, in runs", runs: true, open: b.openShared}
		sides := []*side{plain, indexed, ours, plainRuns, oursRuns}
		if err := b.comparePairs(c.callers, all[:b.scaled(c.pairs)], sides); err != nil {
			return nil, err
		}
		b.pairTable(c.callers, sides)
		claims = append(claims, claim{fmt.Sprintf("PostgreSQL pairs/s, %d callers: plain inserts'", c.callers), atLeast, 0.8, times, spreadOf(ratios(ours.rate, plain.rate))})
	}
	return claims, nil
}

// shown is an address without its settings.
func shown(url string) string {
	before, _, _ := strings.Cut(url, "?")
	return before
}

// settle lets the server write out what earlier turns left, so that a later one
// does not pay for it.
func (b *ledgerBench) settle() error {
	conn, err := b.connect()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	_, err = conn.Exec(ctx, "CHECKPOINT")
	return errors.Join(err, conn.Close(ctx))
}
