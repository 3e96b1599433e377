package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/wasm"
)

const (
	deadline     = 50 * time.Millisecond
	deadlineRuns = 20
)

// benchDeadline writes how long a guest that never ends goes on after its time.
func benchDeadline(ctx context.Context, w io.Writer) ([]claim, error) {
	loops, err := os.ReadFile("guests/loops.wasm")
	if err != nil {
		return nil, err
	}
	tables, err := os.ReadFile("guests/tables.wasm")
	if err != nil {
		return nil, err
	}
	var rows [][]string
	var claims []claim
	err = withRunner(wasm.Options{}, func(r runner.Runner) error {
		for _, g := range []guest{
			{"loop without memory or calls", loops, "spin"},
			{"memory.fill of 48 MiB", loops, "fill"},
			{"calls of the host", loops, "ask"},
			{"table.fill and table.copy, a million each", tables, "_start"},
		} {
			took, err := stops(ctx, r, g)
			if err != nil {
				return fmt.Errorf("%s: %w", g.name, err)
			}
			t := spreadOf(took)
			rows = append(rows, []string{g.name, duration(t.median), duration(t.low) + " .. " + duration(t.high), duration(slices.Max(took))})
			claims = append(claims, claim{
				"deadline of 50 ms, " + g.name + ": stops after", atMost, 100, milliseconds,
				spread{t.low / 1e6, t.median / 1e6, t.high / 1e6},
			})
		}
		return nil
	})
	fmt.Fprint(w, "\n## WebAssembly: a deadline of 50 ms\n")
	writeTable(w, []string{"guest without end", "stops after, median", "p10 .. p90", "longest"}, rows)
	return claims, err
}

// stops measures Run of a guest that only its deadline ends.
func stops(ctx context.Context, r runner.Runner, g guest) (took []float64, err error) {
	c := runner.Call{Module: g.bind(), Request: []byte{0}, RequestHash: cid.Sum([]byte{0})}
	unlimited := uint64(math.MaxInt64)
	c.Module.Limits.Fuel, c.Module.Limits.Timeout = &unlimited, deadline
	if err := r.Check(ctx, c.Module); err != nil {
		return nil, err
	}
	for range deadlineRuns {
		start := time.Now()
		res, err := r.Run(ctx, c)
		took = append(took, float64(time.Since(start)))
		if err == nil && res.Outcome != runner.TimedOut {
			err = fmt.Errorf("it ended as %s: %s", res.Outcome, res.Detail)
		}
		if err != nil {
			return nil, err
		}
	}
	return took, nil
}
