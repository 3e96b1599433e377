package main

import (
	"context"
	"io"
	"sync"
)

// wasmParts are all that is measured of WebAssembly.
func wasmParts(ctx context.Context, w io.Writer, rounds int) []part {
	guests := sync.OnceValues(func() ([]guest, error) { return echoGuests(ctx) })
	withGuests := func(run func([]guest) ([]claim, error)) func() ([]claim, error) {
		return func() ([]claim, error) {
			all, err := guests()
			if err != nil {
				return nil, err
			}
			return run(all)
		}
	}
	return []part{
		{"wasm-calls", withGuests(func(g []guest) ([]claim, error) { return benchCalls(ctx, w, g, max(1, rounds*2/5)) })},
		{"wasm-fuel", func() ([]claim, error) { return benchFuel(ctx, w, max(1, rounds/4)) }},
		{"wasm-collections", func() ([]claim, error) { return benchCollections(ctx, w) }},
		{"wasm-deadline", func() ([]claim, error) { return benchDeadline(ctx, w) }},
		{"wasm-cold", withGuests(func(g []guest) ([]claim, error) { return benchCold(ctx, w, g, max(1, rounds/3)) })},
		{"wasm-memory", withGuests(func(g []guest) ([]claim, error) { return nil, benchMemory(ctx, w, g) })},
	}
}
