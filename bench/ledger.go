package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"
)

// ledgerBench measures the ledger beside its peers: pairs of a register and a commit
// beside a bare log, bbolt and plain inserts, workflows beside DBOS, and what a
// million entries take to open and to verify.
type ledgerBench struct {
	ctx context.Context
	w   io.Writer
	dir string // scratch, on the disk that is measured
	url string // PostgreSQL's address; "" without one

	postmaster int // the server's first process, if it is on this host; else 0

	rounds    int           // of every table
	scale     float64       // of how many pairs a turn writes
	workflows time.Duration // of a turn at 16 callers; a sixth of it at 1
	entries   int           // of the large ledger
	written   uint64        // into it
	callers   int           // the only number of callers to measure at; 0: all

	steps   stepClock // of the executor with tools in Go
	started time.Time
}

// say reports progress on stderr.
func (b *ledgerBench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%5.0fs  %s\n", time.Since(b.started).Seconds(), fmt.Sprintf(format, args...))
}

// benchLedger is the command `bench ledger`; args are its flags.
func benchLedger(ctx context.Context, args []string) (err error) {
	b := &ledgerBench{ctx: ctx, url: os.Getenv("MYTHOS_TEST_POSTGRES"), started: time.Now()}
	f := flag.NewFlagSet("ledger", flag.ContinueOnError)
	only := f.String("only", "", "measure the parts that begin with `embedded`, postgres, dbos or million, and keep no record")
	f.IntVar(&b.callers, "callers", 0, "measure at `n` callers only, and keep no record")
	profile := f.String("cpuprofile", "", "write a CPU profile to `file`")
	f.IntVar(&b.rounds, "rounds", 5, "rounds of every table")
	f.Float64Var(&b.scale, "scale", 1, "how many pairs a turn writes, as a part of the usual number")
	f.DurationVar(&b.workflows, "workflows", 30*time.Second, "how long workflows run in a turn")
	f.IntVar(&b.entries, "entries", 1_000_000, "entries of the large ledger")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || b.rounds < 1 || b.scale <= 0 || b.scale > 100 || b.workflows <= 0 || b.entries < 100 {
		return errors.New("bench ledger takes flags alone, see -h")
	}
	if b.dir, err = os.MkdirTemp(".", "work-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if *profile != "" {
		out, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer out.Close()
		if err := pprof.StartCPUProfile(out); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	var record bytes.Buffer
	b.w = io.MultiWriter(os.Stdout, &record)
	now := time.Now().UTC()
	writeHead(b.w, now)
	if err := b.configuration(); err != nil {
		return err
	}
	claims, err := b.parts(*only)
	if err != nil {
		return err
	}
	claimTable(b.w, claims)
	writeLoad(b.w, "at the end")
	if *only != "" || b.callers != 0 {
		return nil
	}
	dated := filepath.Join("results", "ledger-"+now.Format("2006-01-02T150405Z")+".md")
	return errors.Join(os.MkdirAll("results", 0o755), os.WriteFile(dated, record.Bytes(), 0o644), os.WriteFile("ledger.md", record.Bytes(), 0o644))
}

func (b *ledgerBench) parts(only string) (claims []claim, err error) {
	for _, p := range []part{
		{"embedded", b.benchEmbedded}, {"postgres", b.benchPostgres}, {"dbos", b.benchDBOS}, {"million", b.benchMillion},
	} {
		if !strings.HasPrefix(p.name, only) {
			continue
		}
		more, err := p.run()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		claims = append(claims, more...)
	}
	return claims, nil
}

// fresh returns a new folder.
func (b *ledgerBench) fresh() (string, error) { return os.MkdirTemp(b.dir, "ledger-") }

// configuration writes what the record holds of disk and server.
func (b *ledgerBench) configuration() error {
	fmt.Fprintf(b.w, "- disk: %s\n", fileSystem(b.dir))
	if b.url == "" {
		fmt.Fprintln(b.w, "- PostgreSQL: none here (MYTHOS_TEST_POSTGRES); its rows are missing")
		return nil
	}
	conn, err := b.connect()
	if err != nil {
		return err
	}
	defer conn.Close(b.ctx)
	var said []string
	for _, name := range []string{"server_version", "fsync", "synchronous_commit", "wal_sync_method", "full_page_writes", "shared_buffers", "max_wal_size", "max_connections"} {
		var value string
		if err := conn.QueryRow(b.ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return err
		}
		said = append(said, name+" "+value)
	}
	fmt.Fprintf(b.w, "- PostgreSQL: %s\n", strings.Join(said, ", "))
	if s, ok := readStat(int(conn.PgConn().PID())); ok && onThisHost(conn.Config().Host) {
		b.postmaster = s.parent
	}
	return nil
}

func onThisHost(name string) bool {
	return name == "localhost" || net.ParseIP(name).IsLoopback() || filepath.IsAbs(name)
}
