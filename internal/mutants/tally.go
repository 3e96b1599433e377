package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// tally counts outcomes in their order.
type tally struct {
	out  io.Writer
	want int // mutants that compile

	compiled, refused, caught, same int

	outcomes []outcome // of those that compile
}

// add counts one outcome and returns whether more are wanted.
func (t *tally) add(o outcome) bool {
	note := ""
	switch o.verdict {
	case refused:
		t.refused++
		return true
	case caught:
		t.caught++
		note = "by " + o.by
	case same:
		t.same++
		note = "the compiler makes the same program of it"
	}
	t.compiled++
	t.outcomes = append(t.outcomes, o)
	fmt.Fprintf(t.out, "%4d %-8s %s  %s  %s\n", t.compiled, o.verdict, o.ID(), o.Text, note)
	return t.compiled < t.want
}

// judged are the outcomes beside what the README says about them.
type judged struct {
	equivalent []outcome
	unseen     []outcome
	unknown    []outcome // survivors that it does not list
	stale      []outcome // listed, and yet caught
}

func (t *tally) judge(known map[string]survivor) judged {
	var j judged
	for _, o := range t.outcomes {
		s, listed := known[o.Key()]
		switch {
		case o.verdict == caught && listed:
			j.stale = append(j.stale, o)
		case o.verdict != survived:
		case !listed:
			j.unknown = append(j.unknown, o)
		case s.kind == equivalent:
			j.equivalent = append(j.equivalent, o)
		default:
			j.unseen = append(j.unseen, o)
		}
	}
	return j
}

// finish prints the summary and returns why the check fails, or nil. The share
// of a part of the mutants says nothing.
func (t *tally) finish(seed uint64, part bool, known map[string]survivor) error {
	j := t.judge(known)
	changing := t.compiled - t.same - len(j.equivalent)
	fmt.Fprintf(t.out, "\nseed %d: %d mutants compiled (%d more did not); %d caught, %d survived\n",
		seed, t.compiled, t.refused, t.caught, t.compiled-t.caught)
	fmt.Fprintf(t.out, "%d are the same program, %d are listed as equivalent; of the %d others %d are caught: %.1f %%, want %d %%\n",
		t.same, len(j.equivalent), changing, t.caught, share(t.caught, changing), wanted)
	for _, o := range slices.Concat(j.equivalent, j.unseen) {
		s := known[o.Key()]
		fmt.Fprintf(t.out, "%s: %s  %s: %s\n", s.kind, o.ID(), o.Text, s.reason)
	}
	for _, o := range j.stale {
		fmt.Fprintf(t.out, "listed as surviving, but %s catches it: %s  %s\n", o.by, o.ID(), o.Text)
	}
	if len(j.unknown) > 0 {
		fmt.Fprintf(t.out, "\nSurvivors that ctvp/README.md does not list. Add a vector that catches them, or a row that says why not:\n")
	}
	for _, o := range j.unknown {
		fmt.Fprintf(t.out, "%s\n%s\n", o.ID(), tableRow(o.mutant))
	}
	switch {
	case len(j.stale) > 0:
		return fmt.Errorf("%d rows of ctvp/README.md are about mutants that are caught", len(j.stale))
	case len(j.unknown) > 0:
		return fmt.Errorf("%d survivors are not listed in ctvp/README.md", len(j.unknown))
	case part:
		return nil
	case t.compiled < t.want:
		return fmt.Errorf("there are only %d mutants that compile, want %d", t.compiled, t.want)
	case share(t.caught, changing) < wanted:
		return errors.New("too few are caught")
	}
	return nil
}

// share is a part of all in per cent.
func share(n, all int) float64 {
	if all == 0 {
		return 0
	}
	return 100 * float64(n) / float64(all)
}

// lookahead is how many items may be done before an earlier one that takes long.
const lookahead = 30

// inOrder does f with each item on several goroutines and gives the results to
// take in the order of the items, until take says that it is enough.
func inOrder[In, Out any](ctx context.Context, workers int, items []In, f func(context.Context, In) (Out, error), take func(Out) bool) error {
	type result struct {
		out Out
		err error
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	started := make(chan chan result, lookahead) // in the order of the items
	free := make(chan struct{}, workers)
	wg.Go(func() {
		defer close(started)
		for _, item := range items {
			done := make(chan result, 1)
			select {
			case free <- struct{}{}:
			case <-ctx.Done():
				return
			}
			wg.Go(func() {
				defer func() { <-free }()
				out, err := f(ctx, item)
				done <- result{out, err}
			})
			select {
			case started <- done:
			case <-ctx.Done():
				return
			}
		}
	})
	for done := range started {
		r := <-done
		if r.err != nil {
			return r.err
		}
		if !take(r.out) {
			return nil
		}
	}
	return ctx.Err()
}
