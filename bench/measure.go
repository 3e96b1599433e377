package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"
)

// entrant is one way to do a job.
type entrant struct {
	name string
	op   func() error
}

// measured is an entrant's time per operation in each round, and what one
// operation allocates.
type measured struct {
	name   string
	ns     []float64
	bytes  uint64
	allocs uint64
}

// compare measures the entrants side by side: every round runs each of them for
// about slice, starting with another one, so that whatever else the machine
// does falls on all of them alike.
func compare(ctx context.Context, rounds int, slice time.Duration, entrants []entrant) ([]measured, error) {
	out := make([]measured, len(entrants))
	batch := make([]int, len(entrants))
	for i, e := range entrants {
		out[i].name = e.name
		n, err := calibrate(e.op, slice)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		batch[i] = n
		if out[i].bytes, out[i].allocs, err = allocated(e.op); err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
	}
	for round := range rounds {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for k := range entrants {
			i := (k + round) % len(entrants)
			runtime.GC()
			d, err := repeat(entrants[i].op, batch[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", entrants[i].name, err)
			}
			out[i].ns = append(out[i].ns, float64(d.Nanoseconds())/float64(batch[i]))
		}
	}
	return out, nil
}

func repeat(op func() error, n int) (time.Duration, error) {
	start := time.Now()
	for range n {
		if err := op(); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// calibrate returns how often op runs in about slice.
func calibrate(op func() error, slice time.Duration) (int, error) {
	for n := 1; ; n *= 2 {
		d, err := repeat(op, n)
		switch {
		case err != nil:
			return 0, err
		case d >= slice/4:
			return max(1, int(float64(n)*float64(slice)/float64(d))), nil
		}
	}
}

// allocated returns the bytes and objects that one op allocates.
func allocated(op func() error) (bytes, allocs uint64, err error) {
	const n = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = repeat(op, n)
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / n, (after.Mallocs - before.Mallocs) / n, err
}

// spread is the middle of a sample and the ends without its outer tenths.
type spread struct{ low, median, high float64 }

func spreadOf(sample []float64) spread {
	s := slices.Sorted(slices.Values(sample))
	return spread{quantile(s, 0.1), quantile(s, 0.5), quantile(s, 0.9)}
}

// quantile interpolates in an ascending sample; without one it is not a number.
func quantile(s []float64, q float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	at := q * float64(len(s)-1)
	i := int(at)
	if i+1 == len(s) {
		return s[i]
	}
	return s[i] + (at-float64(i))*(s[i+1]-s[i])
}

// ratios divides two paired samples round by round.
func ratios(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] / b[i]
	}
	return out
}
