package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/wasm"
)

const (
	collectRounds = 10
	collections   = 5 // of a round
)

// pauses is what collections beside a busy guest cost, in nanoseconds.
type pauses struct {
	whole   []float64 // runtime.GC, from call to return
	stopped []float64 // all goroutines, from asking them to stop until they go on
}

// benchCollections writes how long a garbage collection stops the process while
// a guest computes: neither the collector nor the scheduler can interrupt its
// code.
func benchCollections(ctx context.Context, w io.Writer) (claims []claim, err error) {
	code, err := os.ReadFile("guests/loops.wasm")
	if err != nil {
		return nil, err
	}
	g := guest{"loop", code, "turns"}
	plain, err := newBare(ctx, g)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plain.Close(ctx)) }()
	var ours pauses
	err = withRunner(wasm.Options{}, func(r runner.Runner) (err error) {
		c := g.call(newMessage(0))
		ours, err = collectBeside(ctx, collectRounds*collections, func() error {
			res, err := r.Run(ctx, c)
			if err == nil && res.Outcome != runner.NoResponse {
				err = fmt.Errorf("the busy guest ended as %s: %s", res.Outcome, res.Detail)
			}
			return err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	theirs, err := collectBeside(ctx, 2*collections, func() error { _, err := plain.call(ctx, nil); return err })
	if err != nil {
		return nil, err
	}
	idle, err := collectBeside(ctx, 2*collections, nil)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(w, "\n## WebAssembly: a garbage collection beside a busy guest\n")
	collectionTable(w, map[string]pauses{nameOurs: ours, nameBare: theirs, "no guest": idle})
	fmt.Fprint(w, collectionNotes)
	var longest []float64
	for round := range slices.Chunk(ours.stopped, collections) {
		longest = append(longest, slices.Max(round)/1e6)
	}
	what := fmt.Sprintf("collection beside a busy guest: longest stop of %d", collections)
	return []claim{{what, below, 25, milliseconds, spreadOf(longest)}}, nil
}

// collectBeside collects n times while busy runs again and again.
func collectBeside(ctx context.Context, n int, busy func() error) (p pauses, err error) {
	stop, ended := make(chan struct{}), make(chan error, 1)
	if busy == nil {
		ended <- nil
	} else {
		begun := make(chan struct{})
		go func() { ended <- repeatUntil(stop, begun, busy) }()
		<-begun
	}
	for range n {
		if err = ctx.Err(); err != nil {
			break
		}
		start := time.Now()
		runtime.GC()
		p.whole = append(p.whole, float64(time.Since(start)))
		var stats debug.GCStats
		debug.ReadGCStats(&stats)
		p.stopped = append(p.stopped, float64(stats.Pause[0]))
	}
	close(stop)
	return p, errors.Join(err, <-ended)
}

// repeatUntil calls busy until stop is closed. begun is closed when it has run
// once, so that nothing has to be compiled any more.
func repeatUntil(stop <-chan struct{}, begun chan<- struct{}, busy func() error) error {
	err := busy()
	close(begun)
	for err == nil {
		select {
		case <-stop:
			return nil
		default:
			err = busy()
		}
	}
	return err
}

func collectionTable(w io.Writer, all map[string]pauses) {
	var rows [][]string
	for _, name := range []string{nameOurs, nameBare, "no guest"} {
		p := all[name]
		rows = append(rows, []string{
			name, fmt.Sprint(len(p.whole)),
			duration(spreadOf(p.stopped).median), duration(slices.Max(p.stopped)),
			duration(spreadOf(p.whole).median), duration(slices.Max(p.whole)),
		})
	}
	writeTable(w, []string{"busy guest", "collections", "all stopped, median", "longest", "runtime.GC(), median", "longest"}, rows)
}

const collectionNotes = `
One goroutine calls a guest that loops some hundred million times and neither uses memory nor
calls the host; another one collects. "All stopped" is what the collector stopped every goroutine
for in all, from asking until they went on, as runtime/debug tells; runtime.GC() also waits for
the marking, which looks at the stack of the goroutine that runs the guest.
`
