package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/wasm"
)

// coldTargets are milliseconds from a new Runner to the end of its first call,
// with compiled code on disk.
var coldTargets = map[string]float64{"C": 2, "Go": 120}

// benchCold writes how long a new Runner takes for its first call, in a process
// that is warm.
func benchCold(ctx context.Context, w io.Writer, guests []guest, rounds int) (claims []claim, err error) {
	dir, err := os.MkdirTemp(".", "work-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cached := wasm.Options{CacheDir: filepath.Join(dir, "cache"), CacheKey: make([]byte, 32)}
	if _, err := rand.Read(cached.CacheKey); err != nil {
		return nil, err
	}
	var rows [][]string
	for _, g := range guests {
		c := g.call(newMessage(256))
		warm, compiled, err := coldStarts(ctx, cached, c, rounds)
		if err != nil {
			return nil, fmt.Errorf("%s guest: %w", g.name, err)
		}
		t := spreadOf(warm)
		rows = append(rows, []string{
			g.name, byteSize(len(g.code)), duration(t.median), duration(t.low) + " .. " + duration(t.high),
			duration(slices.Max(warm)), duration(spreadOf(compiled).median),
		})
		if target, ok := coldTargets[g.name]; ok {
			got := spread{t.low / 1e6, t.median / 1e6, t.high / 1e6}
			claims = append(claims, claim{"cold start from the disk cache, " + g.name + " echo", below, target, milliseconds, got})
		}
	}
	fmt.Fprint(w, "\n## WebAssembly: cold start\n")
	writeTable(w, []string{"echo", "module", "from the disk cache, median", "p10 .. p90", "longest", "without one, median"}, rows)
	fmt.Fprint(w, coldNotes)
	return claims, nil
}

// coldStarts alternates first calls with a warm disk cache and, now and then,
// without any.
func coldStarts(ctx context.Context, cached wasm.Options, c runner.Call, rounds int) (warm, compiled []float64, err error) {
	if _, err := firstCall(ctx, cached, c); err != nil { // fills the cache
		return nil, nil, err
	}
	for round := range rounds {
		d, err := firstCall(ctx, cached, c)
		if err != nil {
			return nil, nil, err
		}
		warm = append(warm, d)
		if round%8 > 0 {
			continue
		}
		if d, err = firstCall(ctx, wasm.Options{}, c); err != nil {
			return nil, nil, err
		}
		compiled = append(compiled, d)
	}
	return warm, compiled, nil
}

// firstCall is the time, in nanoseconds, of a new Runner and one call.
func firstCall(ctx context.Context, o wasm.Options, c runner.Call) (ns float64, err error) {
	runtime.GC() // the last Runner's code
	start := time.Now()
	err = withRunner(o, func(r runner.Runner) error {
		_, err := oursOnce(ctx, r, c)
		ns = float64(time.Since(start))
		return err
	})
	return ns, err
}

const coldNotes = `
From wasm.New to the end of the first call, of 256 bytes. The folder holds rewritten and compiled
code, and its pages are in the system's memory. "Without one" rewrites and compiles.
`
