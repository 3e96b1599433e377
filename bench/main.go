// Command bench measures MYTHOS beside its peers and beside the least that the
// same work can cost, in one process, and writes tables of medians, spreads and
// ratios:
//
//   - its generated codecs beside fxamacker/cbor and protobuf;
//   - a durable effect, demo-001's echo through the executor, the ledger and the
//     wasm runner, beside its floor: two syncs, three signatures, the bare call;
//   - calls of WebAssembly guests beside bare wazero, wasmtime and Extism, and
//     what fuel, deadlines, collections, cold starts and live instances cost;
//   - `bench ledger`: the journals beside a bare log, bbolt, plain inserts and DBOS
//     Transact, and what a ledger of a million entries takes (ledger.md).
//
// What is compared is interleaved round by round, and ratios are taken within a
// round, because other work on the machine moves every figure and moves both
// sides alike. A whole measurement is kept as results/DATE.md and RESULTS.md.
// It is a module of its own, so that the peers never enter the project's go.mod.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	bench := run
	switch {
	case len(os.Args) > 1 && os.Args[1] == "ledger":
		bench = func(ctx context.Context) error { return benchLedger(ctx, os.Args[2:]) }
	case len(os.Args) == 4 && os.Args[1] == "ledger-open":
		bench = func(ctx context.Context) error { return openOnce(ctx, os.Args[2], os.Args[3]) }
	}
	if err := bench(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	only := flag.String("only", "", "measure the parts that begin with `codec`, effect, wasm, or wasm-calls and the like, and keep no record")
	rounds := flag.Int("rounds", 101, "rounds of a codec's table; the others take fewer")
	slice := flag.Duration("slice", 4*time.Millisecond, "how long a codec runs in a round")
	profile := flag.String("cpuprofile", "", "write a CPU profile to `file`")
	flag.Parse()
	if flag.NArg() > 0 || *rounds < 1 || *rounds > maxRuns || *slice <= 0 {
		return errors.New("bench takes flags alone, see -h; -rounds is at most 2000")
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	var record bytes.Buffer
	w := io.MultiWriter(os.Stdout, &record)
	now := time.Now().UTC()
	writeHead(w, now)
	var claims []claim
	for _, p := range allParts(ctx, w, *rounds, *slice) {
		if !strings.HasPrefix(p.name, *only) {
			continue
		}
		more, err := p.run()
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		claims = append(claims, more...)
	}
	claimTable(w, claims)
	writeLoad(w, "at the end")
	if *only != "" {
		return nil
	}
	return keep(now, record.Bytes())
}

// part is one thing to measure.

type part struct {
	name string
	run  func() ([]claim, error)
}

func allParts(ctx context.Context, w io.Writer, rounds int, slice time.Duration) []part {
	return append([]part{
		{"codec", func() ([]claim, error) { return benchCodecs(ctx, w, rounds, slice) }},
		{"effect", func() ([]claim, error) { return benchEffects(ctx, w, (rounds+1)/2) }},
	}, wasmParts(ctx, w, rounds)...)
}

// keep writes the record under its date and as the latest one.
func keep(now time.Time, record []byte) error {
	if err := os.MkdirAll("results", 0o755); err != nil {
		return err
	}
	dated := filepath.Join("results", now.Format("2006-01-02T150405Z")+".md")
	return errors.Join(os.WriteFile(dated, record, 0o644), os.WriteFile("RESULTS.md", record, 0o644))
}
