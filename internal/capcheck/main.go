// Command capcheck compares the product's evaluator of capability chains
// (runtime/libs/caps) with a second one (package second) that was written from
// RFC-MYTHOS-0008 alone, on mutants of valid chains:
//
//	go run ./internal/capcheck -chains 100000 -seed 1
//
// A valid chain has 1 to 8 links, of any kind, with windows, delegation, constraints,
// revocation and a use that it mostly covers: a call, a request of another kind or a
// bare scope. A mutant has one to three changes: of a scope's field, a constraint, a
// window, a subject, an issuer, a flag, a parent, a kind; or links that are swapped,
// dropped, repeated or taken from another chain. It is signed again by the keys that
// it names, so that it is refused, if it is, by the rule that it breaks; some are
// forged or damaged instead. Both evaluators judge it: code, link and rule must be
// equal. A disagreement is printed with its seed and batch, for which
//
//	go run ./internal/capcheck -seed S -batch N
//
// repeats it, and the exit status is 1. It is 1 also if fewer than 90 of 100 mutants
// were signed again, or fewer than 5 of 100 chains accepted.
//
// scripts/fuzz_caps.sh builds the command with a memory of signatures, by key, id and
// signature, behind both evaluators (package overlay); without it each is verified
// every time.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mythos-run/mythos/internal/capcheck/second"
	"github.com/mythos-run/mythos/runtime/libs/caps"
)

func main() {
	chains := flag.Uint64("chains", 100_000, "how many chains to judge, mutants and the valid ones that they come from")
	seed := flag.Uint64("seed", 1, "which ones")
	only := flag.Int64("batch", -1, "judge this batch of the seed only")
	workers := flag.Int("workers", runtime.GOMAXPROCS(0), "how many chains to judge at a time")
	flag.Parse()
	if err := run(os.Stdout, *seed, *chains, *only, max(*workers, 1)); err != nil {
		fmt.Fprintln(os.Stderr, "capcheck:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, seed, chains uint64, only int64, workers int) error {
	first, last := uint64(0), (chains+perBatch-1)/perBatch
	if only >= 0 {
		first, last, workers = uint64(only), uint64(only)+1, 1
	}
	start := time.Now()
	all, err := judge(seed, first, last, workers)
	if err != nil {
		return err
	}
	all.print(out)
	took := time.Since(start)
	fmt.Fprintf(out, "%.1f s, %.0f chains/s with %d at a time; signatures remembered: %t\n", took.Seconds(), float64(all.chains)/took.Seconds(), workers, remembers)
	switch {
	case only >= 0:
		return nil
	case all.resigned*10 < all.mutants*9:
		return fmt.Errorf("%d of %d mutants were signed again, want 90 of 100", all.resigned, all.mutants)
	case all.accepted*20 < all.chains:
		return fmt.Errorf("%d of %d chains were accepted, want 5 of 100", all.accepted, all.chains)
	}
	return nil
}

// judge judges the batches first to last-1, some at a time.
func judge(seed, first, last uint64, workers int) (*tally, error) {
	var next, stop atomic.Uint64
	next.Store(first)
	results, faults := make([]*tally, workers), make([]error, workers)
	var group sync.WaitGroup
	for i := range workers {
		results[i] = &tally{by: map[second.Verdict]uint64{}}
		group.Go(func() {
			for stop.Load() == 0 {
				n := next.Add(1) - 1
				if n >= last {
					return
				}
				if faults[i] = batch(seed, n, results[i]); faults[i] != nil {
					stop.Store(1)
				}
			}
		})
	}
	group.Wait()
	all := results[0]
	for _, t := range results[1:] {
		all.add(t)
	}
	return all, errors.Join(faults...)
}

func (t *tally) add(o *tally) {
	t.chains, t.mutants, t.resigned, t.accepted = t.chains+o.chains, t.mutants+o.mutants, t.resigned+o.resigned, t.accepted+o.accepted
	for v, n := range o.by {
		t.by[v] += n
	}
	for i, n := range o.links {
		t.links[i] += n
	}
}

// print writes the histogram of verdicts.
func (t *tally) print(out io.Writer) {
	share := func(n, of uint64) float64 { return 100 * float64(n) / float64(max(of, 1)) }
	fmt.Fprintf(out, "%d chains, %d of them mutants, %d (%.1f %%) signed again by the right keys; no disagreement\n", t.chains, t.mutants, t.resigned, share(t.resigned, t.mutants))
	fmt.Fprintf(out, "links 1..%d and more: %v\n\n", caps.MaxLinks, t.links[1:])
	order := slices.SortedFunc(maps.Keys(t.by), func(a, b second.Verdict) int {
		return cmp.Or(cmp.Compare(t.by[b], t.by[a]), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Rule, b.Rule))
	})
	for _, v := range order {
		fmt.Fprintf(out, "%10d %6.2f %%  %-24s %s\n", t.by[v], share(t.by[v], t.chains), cmp.Or(string(v.Code), "accepted"), v.Rule)
	}
	fmt.Fprintln(out)
}
