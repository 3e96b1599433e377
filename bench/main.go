// Command bench measures MYTHOS beside its peers and beside the least that the
// same work can cost, in one process, and writes tables of medians, spreads and
// ratios:
//
//   - its generated codecs beside fxamacker/cbor and protobuf;
//   - a durable effect, demo-001's echo through the executor, the ledger and the
//     wasm runner, beside its floor: two syncs, three signatures, the bare call.
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
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	only := flag.String("only", "", "measure `codec` or effect alone and keep no record")
	rounds := flag.Int("rounds", 101, "rounds of a codec's table; effects take half as many")
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
	if *only != "effect" {
		if claims, err = benchCodecs(ctx, w, *rounds, *slice); err != nil {
			return err
		}
	}
	if *only != "codec" {
		more, err := benchEffects(ctx, w, (*rounds+1)/2)
		if err != nil {
			return err
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

// keep writes the record under its date and as the latest one.
func keep(now time.Time, record []byte) error {
	if err := os.MkdirAll("results", 0o755); err != nil {
		return err
	}
	dated := filepath.Join("results", now.Format("2006-01-02T150405Z")+".md")
	return errors.Join(os.WriteFile(dated, record, 0o644), os.WriteFile("RESULTS.md", record, 0o644))
}
