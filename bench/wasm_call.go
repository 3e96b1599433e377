package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/wasm"
)

// callTargets are the ratios of our call to a peer's that the project aims at.
var callTargets = map[string]struct {
	bound  bound
	target float64
}{
	nameBare:     {atMost, 1},
	nameWasmtime: {below, 1},
	nameExtism:   {atMost, 0.2},
}

const (
	nameOurs     = "ours, metered"
	nameBare     = "bare wazero"
	nameWasmtime = "wasmtime, fuel"
	nameExtism   = "Extism"
)

// benchCalls writes what a call of an echo costs: a fresh instance, the call,
// and its end, through the runner's port and in the peers' own ways.
func benchCalls(ctx context.Context, w io.Writer, guests []guest, rounds int) (claims []claim, err error) {
	fmt.Fprint(w, "\n## WebAssembly: one call, instance included\n")
	if wasmtimeMissing != "" {
		fmt.Fprintf(w, "\n**wasmtime: %s.** Its rows below are empty.\n", wasmtimeMissing)
	}
	ext, err := newPlugin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ext.Close(ctx)) }()
	err = withRunner(wasm.Options{}, func(r runner.Runner) error {
		for _, g := range guests {
			more, err := benchGuest(ctx, w, r, ext, g, rounds)
			if err != nil {
				return fmt.Errorf("%s guest: %w", g.name, err)
			}
			claims = append(claims, more...)
		}
		_, err := fmt.Fprint(w, callNotes)
		return err
	})
	return claims, err
}

// benchGuest compares the calls of one guest, with a small and a large payload.
func benchGuest(ctx context.Context, w io.Writer, r runner.Runner, ext *plugin, g guest, rounds int) (claims []claim, err error) {
	wazero, err := newBare(ctx, g)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, wazero.Close(ctx)) }()
	var other *wasmtimeEcho
	if wasmtimeMissing == "" {
		if other, err = newWasmtime(g); err != nil {
			return nil, err
		}
		defer other.Close()
	}
	slice := 6 * time.Millisecond
	if len(g.code) > 1<<20 { // Go: milliseconds for a call
		slice *= 4
	}
	for _, size := range []int{256, 64 << 10} {
		entrants, err := enter(callers(ctx, r, wazero, other, ext, g, newMessage(size)))
		if err != nil {
			return nil, err
		}
		all, err := compare(ctx, rounds, slice, entrants)
		if err != nil {
			return nil, err
		}
		title := fmt.Sprintf("%s echo, %s", g.name, byteSize(size))
		callTable(w, title, all)
		for _, peer := range all[1:] {
			t := callTargets[peer.name]
			claims = append(claims, claim{title + ": ours to " + peer.name, t.bound, t.target, times, spreadOf(ratios(all[0].ns, peer.ns))})
		}
	}
	return claims, nil
}

// caller is one way to call an echo.
type caller struct {
	name string
	want []byte
	call func() ([]byte, error)
}

// callers lists ours first. Extism has a guest in C alone; it echoes what it is
// given.
func callers(ctx context.Context, r runner.Runner, wazero *bare, other *wasmtimeEcho, ext *plugin, g guest, m message) []caller {
	c := g.call(m)
	all := []caller{
		{nameOurs, m.response, func() ([]byte, error) { return oursOnce(ctx, r, c) }},
		{nameBare, m.response, func() ([]byte, error) { return wazero.call(ctx, m.request) }},
	}
	if other != nil {
		all = append(all, caller{nameWasmtime, m.response, func() ([]byte, error) { return other.call(m.request) }})
	}
	if g.name == "C" {
		all = append(all, caller{nameExtism, m.request, func() ([]byte, error) { return ext.call(ctx, m.request) }})
	}
	return all
}

// enter calls everyone once and compares all that comes back; in the measuring,
// its length alone, which costs nobody anything.
func enter(calls []caller) ([]entrant, error) {
	entrants := make([]entrant, len(calls))
	for i, c := range calls {
		got, err := c.call()
		if err == nil && !bytes.Equal(got, c.want) {
			err = errors.New("another response than the contract's")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		entrants[i] = entrant{c.name, func() error {
			got, err := c.call()
			if err == nil && len(got) != len(c.want) {
				err = fmt.Errorf("a response of %d bytes, want %d", len(got), len(c.want))
			}
			return err
		}}
	}
	return entrants, nil
}

// callTable puts our call's time over each peer's.
func callTable(w io.Writer, title string, all []measured) {
	rows := make([][]string, len(all))
	for i, m := range all {
		t := spreadOf(m.ns)
		rows[i] = []string{
			m.name, duration(t.median), duration(t.low) + " .. " + duration(t.high),
			ratio(spreadOf(ratios(all[0].ns, m.ns))), fmt.Sprint(m.bytes), fmt.Sprint(m.allocs),
		}
	}
	if wasmtimeMissing != "" {
		rows = append(rows, []string{nameWasmtime, wasmtimeMissing, "", "", "", ""})
	}
	writeTable(w, []string{title, "median", "p10 .. p90", "ours : this (p10 .. p90)", "Go B/op", "Go allocs/op"}, rows)
}

const callNotes = `
Ours: Runner.Run through the port, as the executor calls it: fuel counted and limited, memory,
time and sizes limited, evidence's figures made. Bare wazero: one runtime with default settings,
the module compiled once, the original bytes without fuel, InstantiateModule, the call, Close;
host functions without reflection, wazero's own WASI. wasmtime: wasmtime-go with its own fuel, one
engine, module and linker, for each call a store, an instance, the call. Extism: its Go SDK, one
compiled plugin, for each call an instance and a call of a C guest that echoes all its input,
without a timeout, which would slow it down. Every call gives its response as bytes of its own.
Rounds and ratios are as above; the collector runs before each turn, and what it does within one
is the turn's own. Go's figures for wasmtime leave out what it allocates itself.
`
