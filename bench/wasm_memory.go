package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/wasm"
)

// benchMemory writes how much memory of the process an instance takes while its
// call lasts.
func benchMemory(ctx context.Context, w io.Writer, guests []guest) error {
	fmt.Fprint(w, "\n## WebAssembly: memory of a live instance\n")
	if _, err := resident(); err != nil {
		fmt.Fprintf(w, "\n**Not measured: %v.**\n", err)
		return nil
	}
	var rows [][]string
	for _, g := range guests {
		n := 200
		if len(g.code) > 1<<20 {
			n = 50
		}
		ours, err := liveOurs(ctx, g, n)
		if err != nil {
			return fmt.Errorf("%s guest: %w", g.name, err)
		}
		theirs, err := liveBare(ctx, g, n)
		if err != nil {
			return fmt.Errorf("%s guest, %s: %w", g.name, nameBare, err)
		}
		rows = append(rows, []string{g.name, fmt.Sprint(n), kib(ours), kib(theirs), fmt.Sprintf("%.2f", ours/theirs)})
	}
	writeTable(w, []string{"echo of 256 B", "instances", nameOurs, nameBare, "ours : bare"}, rows)
	fmt.Fprint(w, memoryNotes)
	return nil
}

func kib(bytes float64) string { return fmt.Sprintf("%.1f KiB", bytes/1024) }

// parking is a context that holds a call when a function that the guest called
// asks for its error, at the given time of asking.
type parking struct {
	context.Context
	asked, at int
	arrived   func()
	leave     <-chan struct{}
}

func (p *parking) Err() error {
	if !belowGuest() {
		return p.Context.Err()
	}
	if p.asked++; p.asked == p.at {
		p.arrived()
		<-p.leave
	}
	return p.Context.Err()
}

// belowGuest reports whether a guest's code is among the callers.
func belowGuest() bool {
	var at [64]uintptr
	frames := runtime.CallersFrames(at[:runtime.Callers(1, at[:])])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, ".callWithStack") {
			return true
		}
		if !more {
			return false
		}
	}
}

// liveOurs holds n calls of the port as late as it can and returns the bytes
// that each takes.
func liveOurs(ctx context.Context, g guest, n int) (each float64, err error) {
	c := g.call(newMessage(256))
	err = withRunner(wasm.Options{}, func(r runner.Runner) (err error) {
		count := &parking{Context: ctx}
		if _, err := oursOnce(count, r, c); err != nil { // compiles
			return err
		}
		if count.asked == 0 {
			return errors.New("the runner does not ask for its context's error while the guest runs")
		}
		each, err = grown(n, func(arrived func(), leave <-chan struct{}) error {
			_, err := oursOnce(&parking{Context: ctx, at: count.asked, arrived: arrived, leave: leave}, r, c)
			return err
		})
		return err
	})
	return each, err
}

// liveBare holds n calls of wazero in the middle of response_write.
func liveBare(ctx context.Context, g guest, n int) (each float64, err error) {
	b, err := newBare(ctx, g)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.Close(ctx)) }()
	m := newMessage(256)
	if _, err := b.call(ctx, m.request); err != nil {
		return 0, err
	}
	var turn sync.Mutex // all calls share b.now: one at a time until it is parked
	return grown(n, func(arrived func(), leave <-chan struct{}) error {
		turn.Lock()
		once := sync.OnceFunc(turn.Unlock)
		defer once()
		b.parked = func() { once(); arrived(); <-leave }
		_, err := b.call(ctx, m.request)
		return err
	})
}

// grown starts n calls, waits until all are parked, and returns by how much the
// process has grown for each.
func grown(n int, call func(arrived func(), leave <-chan struct{}) error) (float64, error) {
	debug.FreeOSMemory()
	before, err := resident()
	if err != nil {
		return 0, err
	}
	parked, leave, ended := make(chan struct{}, n), make(chan struct{}), make(chan error, n)
	for range n {
		go func() { ended <- call(func() { parked <- struct{}{} }, leave) }()
	}
	for range n {
		select {
		case <-parked:
		case err := <-ended:
			close(leave)
			return 0, errors.Join(errors.New("a call ended before it was parked"), err)
		}
	}
	debug.FreeOSMemory()
	after, err := resident()
	close(leave)
	for range n {
		err = errors.Join(err, <-ended)
	}
	return (float64(after) - float64(before)) / float64(n), err
}

const memoryNotes = `
What the process grows by, resident, for each of so many calls that are held at the end of their
work, in their last call of the host. Their goroutines and wazero's stacks are in it.
`
