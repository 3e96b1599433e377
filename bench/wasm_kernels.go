package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
)

// kernel is work of some milliseconds whose cost is compared with and without
// fuel.
type kernel struct {
	group string
	name  string
	turns [copies]*worker
	ns    [copies][]float64 // by round
	used  uint64
}

// The copies of every module: two that are alike show how far a ratio can be
// trusted.
const (
	plain = iota
	again
	metered
	copies
)

// The groups of kernels, each with a target of its own.
const (
	integers = "integers"
	floats   = "floats"
	golang   = "Go"
)

// benchFuel writes what counting costs.
func benchFuel(ctx context.Context, w io.Writer, rounds int) (claims []claim, err error) {
	kernels, closeAll, err := newKernels(ctx)
	defer func() { err = errors.Join(err, closeAll()) }()
	if err != nil {
		return nil, err
	}
	if err := measureKernels(ctx, kernels, rounds); err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "\n## WebAssembly: what fuel costs\n\nBy %s.\n", cpuClock)
	kernelTable(w, kernels)
	fmt.Fprint(w, kernelNotes)
	return kernelClaims(kernels), nil
}

// newKernels instantiates every module three times. closeAll is never nil.
func newKernels(ctx context.Context) (kernels []*kernel, closeAll func() error, err error) {
	var opened []*worker
	closeAll = func() (err error) {
		for _, x := range opened {
			err = errors.Join(err, x.Close(ctx))
		}
		return err
	}
	inC, err := os.ReadFile("guests/kernels.wasm")
	if err != nil {
		return nil, closeAll, err
	}
	inGo, err := buildGo(ctx, ".", "-buildmode=c-shared", "./guests/work")
	if err != nil {
		return nil, closeAll, err
	}
	for _, module := range []struct {
		code   []byte
		groups map[string][]string
	}{
		{inC, map[string][]string{
			integers: {"sha256", "matmul", "quicksort", "fib", "vm", "crc"},
			floats:   {"float_matmul", "float_orbit"},
		}},
		{inGo, map[string][]string{golang: {"json", "sha256"}}},
	} {
		var turns [copies]*worker
		for i := range turns {
			if turns[i], err = newWorker(ctx, module.code, i == metered); err != nil {
				return nil, closeAll, err
			}
			opened = append(opened, turns[i])
		}
		for _, group := range []string{integers, floats, golang} {
			for _, name := range module.groups[group] {
				kernels = append(kernels, &kernel{group: group, name: name, turns: turns})
			}
		}
	}
	return kernels, closeAll, nil
}

// measureKernels runs every copy of every kernel once in each round, after a
// round that is not counted and shows that they agree.
func measureKernels(ctx context.Context, kernels []*kernel, rounds int) error {
	for round := range rounds + 1 {
		if err := ctx.Err(); err != nil {
			return err
		}
		runtime.GC()
		for _, k := range kernels {
			for turn := range copies {
				i := (turn + round) % copies
				d, err := cpuTime(func() error { return k.turns[i].run(ctx, k.name) })
				if err != nil {
					return fmt.Errorf("%s: %w", k.name, err)
				}
				if round > 0 {
					k.ns[i] = append(k.ns[i], float64(d))
				}
			}
			k.used = k.turns[metered].used
			if a, b := k.turns[plain].result(), k.turns[metered].result(); a != b || k.used == 0 {
				return fmt.Errorf("%s: result %d, metered %d, with %d fuel", k.name, a, b, k.used)
			}
		}
	}
	return nil
}

func kernelTable(w io.Writer, kernels []*kernel) {
	var rows [][]string
	for _, k := range kernels {
		least := slices.Min(k.ns[plain])
		rows = append(rows, []string{
			k.group + ": " + k.name, duration(spreadOf(k.ns[plain]).median),
			ratio(spreadOf(ratios(k.ns[again], k.ns[plain]))), ratio(spreadOf(k.overhead())),
			fmt.Sprintf("%.2f", slices.Min(k.ns[metered])/least),
			fmt.Sprint(k.used), fmt.Sprintf("%.2f", slices.Min(k.ns[metered])/float64(k.used)),
		})
	}
	rows = append(rows, []string{
		"integers, geometric mean", "", ratio(spreadOf(geometric(kernels, again))), ratio(spreadOf(geometric(kernels, metered))), "", "", "",
	})
	writeTable(w, []string{
		"kernel", "unmetered", "a second unmetered copy (p10 .. p90)", "metered : unmetered (p10 .. p90)", "of the least times", "fuel", "ns per fuel",
	}, rows)
}

// overhead is metered over unmetered, by round.
func (k *kernel) overhead() []float64 { return ratios(k.ns[metered], k.ns[plain]) }

func kernelClaims(kernels []*kernel) []claim {
	worst := func(group string) (*kernel, spread) {
		var of *kernel
		var most spread
		for _, k := range kernels {
			if s := spreadOf(k.overhead()); k.group == group && s.median > most.median {
				of, most = k, s
			}
		}
		return of, most
	}
	claims := []claim{
		{"fuel, six integer kernels, geometric mean: metered to unmetered", atMost, 1.2, times, spreadOf(geometric(kernels, metered))},
	}
	for _, g := range []struct {
		group, what string
		target      float64
	}{
		{integers, "fuel, worst integer kernel", 1.8},
		{floats, "fuel, worst float loop, with yield", 2.3},
		{golang, "fuel, worst of a Go guest's", 1.35},
	} {
		k, s := worst(g.group)
		claims = append(claims, claim{g.what + " (" + k.name + "): metered to unmetered", atMost, g.target, times, s})
	}
	return claims
}

// geometric is, by round, the geometric mean of the integer kernels' ratios of a
// copy to the first.
func geometric(kernels []*kernel, copy int) []float64 {
	var out []float64
	for round := range kernels[0].ns[plain] {
		sum, n := 0.0, 0
		for _, k := range kernels {
			if k.group == integers {
				sum += math.Log(k.ns[copy][round] / k.ns[plain][round])
				n++
			}
		}
		out = append(out, math.Exp(sum/float64(n)))
	}
	return out
}

const kernelNotes = `
Every module is there three times, each in a wazero runtime of its own with default settings: as
it is, once more as it is, and rewritten by libs/fuel under schedule 1 with yield, in slices of half
a million, settled as the runner does. Each kernel is one call of an export; instances are made
beforehand, and rounds begin with another copy each time. The C kernels are in guests/kernels.c;
json and sha256 are the Go program in guests/work.
`
