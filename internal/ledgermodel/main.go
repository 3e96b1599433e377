// Command model explores the effect ledger's state machine (RFC-MYTHOS-0005) in
// every order in which things can happen:
//
//	go run ./internal/ledgermodel
//
// It shares no code with the ledger: rules.go is written from the RFC alone, and
// so is what surrounds it: executors that look up, register, invoke, sign, commit
// and hand back, or go on to a run's next effect, and crash between any two steps;
// leases that end at any moment, heartbeats that are lost, a store whose clock is
// set and whose host starts again; commits that arrive when their sender is gone;
// owners, operators and strangers that resolve and commit what they like; modules
// that answer one thing and then another. Executors' clocks do not occur, since
// nothing may depend on them: a lease can end at any step.
//
// Each configuration of config.go is searched breadth first until no state is
// new; executors that can change places without a difference are not told apart.
// In every state and at every step the invariants of invariants.go are evaluated.
// One that does not hold ends the program with the shortest trace to it. Then the
// controls, mutants of the model, are searched: each must be found, and by the
// invariant that it names, or the exit status is 1.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// limit bounds the states of one search.
const limit = 20_000_000

func main() {
	short := flag.Bool("short", false, "smaller bounds")
	flag.Parse()
	if err := run(os.Stdout, *short); err != nil {
		fmt.Fprintln(os.Stderr, "model:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, short bool) error {
	list := configs(short)
	var sum Result
	for _, c := range list {
		r, err := search(c, limit)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%-38s %9d states %10d transitions, depth %d\n", c.Name, r.States, r.Transitions, r.Depth)
		if r.Violated != nil {
			printTrace(out, r)
			return fmt.Errorf("%s does not hold in %q", r.Violated, c.Name)
		}
		sum.States += r.States
		sum.Transitions += r.Transitions
		for i, n := range r.Evaluated {
			sum.Evaluated[i] += n
		}
	}
	fmt.Fprintf(out, "%-38s %9d states %10d transitions\n\n", "all", sum.States, sum.Transitions)
	for i, n := range sum.Evaluated {
		fmt.Fprintf(out, "%-30s holds, evaluated %d times\n", Invariant(i), n)
		if n == 0 {
			return fmt.Errorf("%s was never evaluated", Invariant(i))
		}
	}
	fmt.Fprintln(out)
	return negative(out, short, list)
}

// negative searches every mutant.
func negative(out io.Writer, short bool, list []Config) error {
	missed := 0
	for _, n := range controls() {
		r, err := n.search(list)
		switch {
		case err != nil:
			return err
		case r.Violated == nil || *r.Violated != n.by:
			missed++
			fmt.Fprintf(out, "NOT FOUND  %-55s by %s (found by: %v)\n", n.words, n.by, r.Violated)
			printTrace(out, r)
		default:
			fmt.Fprintf(out, "found      %-55s by %s after %d steps, %d states\n", n.words, n.by, len(r.Trace), r.States)
			if !short {
				printTrace(out, r)
			}
		}
	}
	if missed > 0 {
		return fmt.Errorf("%d of %d mutants were not found by the invariant that they break", missed, len(controls()))
	}
	fmt.Fprintf(out, "%d of %d mutants found\n", len(controls()), len(controls()))
	return nil
}

// search explores the configuration of n with its fault.
func (n control) search(list []Config) (Result, error) {
	for _, c := range list {
		if c.Name == n.in {
			c.Broken, c.Only = n.broken, &n.by
			return search(c, limit)
		}
	}
	return Result{}, errors.New("no configuration is called " + n.in)
}

func printTrace(out io.Writer, r Result) {
	for i, s := range r.Trace {
		fmt.Fprintf(out, "  %2d. %s\n", i+1, s)
	}
}
