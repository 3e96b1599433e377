package wasm

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fuel"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/runnertest"
)

// Instructions that only these tests use.
const (
	opPrefix = 0xfc
	fcCopy   = 10
	fcFill   = 11
)

func withFuel(m runner.Module, n uint64) runner.Module {
	m.Limits.Fuel = &n
	return m
}

// TestFuelLimit: a call passes with the fuel that it needs and is exhausted with
// one unit less, however it would have ended, and its response is dropped.
func TestFuelLimit(t *testing.T) {
	a := hostcallCode()
	for name, c := range map[string]struct {
		guest   guest
		outcome runner.Outcome
	}{
		"answer":             {a.behaviour(runnertest.Echo), runner.Answered},
		"trap":               {a.behaviour(runnertest.Trap), runner.Trapped},
		"exit":               {a.behaviour(runnertest.Exit), runner.Exited},
		"nothing":            {a.behaviour(runnertest.Nothing), runner.NoResponse},
		"too much":           {a.behaviour(runnertest.TooMuch), runner.ResponseTooLarge},
		"a refused growth":   {a.behaviour(runnertest.Grow), runner.MemoryExceeded},
		"after the hostcall": {a.with(join(a.echo, c32(1), c32(2), opI32Add, opDrop), ""), runner.Answered},
	} {
		for engine, o := range map[string]Options{
			"compiler": {}, "interpreter": {Interpreter: true}, "slices of 3": {Slice: 3},
		} {
			r := open(t, o)
			m := bind(c.guest.bytes(), a.abi)
			free := invoke(t, r, m, "request")
			if free.Outcome != c.outcome || *free.FuelSchedule != fuel.Schedule1 || *free.FuelUsed == 0 {
				t.Fatalf("%s, %s: %v (%s), fuel %d", name, engine, free.Outcome, free.Detail, *free.FuelUsed)
			}
			need := *free.FuelUsed
			if exact := invoke(t, r, withFuel(m, need), "request"); exact.Outcome != c.outcome || *exact.FuelUsed != need {
				t.Errorf("%s, %s: with %d: %v, used %d", name, engine, need, exact.Outcome, *exact.FuelUsed)
			}
			short := invoke(t, r, withFuel(m, need-1), "request")
			if short.Outcome != runner.FuelExhausted || *short.FuelUsed != need-1 || short.Response != nil {
				t.Errorf("%s, %s: one less than %d: %v (%s), used %d", name, engine, need, short.Outcome, short.Detail, *short.FuelUsed)
			}
		}
	}
}

// TestHostcallTrapsFirst: a hostcall below zero fuel does nothing.
func TestHostcallTrapsFirst(t *testing.T) {
	a := hostcallCode()
	say := callFn(fnLog, 1, dataAt, 1)
	m := bind(a.with(join(say, say), "x").bytes(), a.abi)
	r := open(t, Options{})
	need := *invoke(t, r, m, "q").FuelUsed
	for n := range need + 1 {
		res := invoke(t, r, withFuel(m, n), "q")
		// All of it is one segment: the first call finds the fuel below zero.
		if said := strings.Count(string(res.Log), "INFO"); (n < need && said != 0) || (n == need && said != 2) {
			t.Errorf("with %d of %d: %v, %d lines", n, need, res.Outcome, said)
		}
	}
}

// endless are guests that would run for hours.
func endless() map[string]guest {
	a := hostcallCode()
	loop := func(body ...any) []byte { return join(opLoop, 0x40, join(body...), opBr, 0, opEnd) }
	large := func(g guest) guest { g.memory = []byte{0, 0x80, 0x08}; return g }       // 1,024 pages
	whole := func(g guest) guest { g.memory = []byte{0, 0xff, 0xff, 0x03}; return g } // 65,535 pages
	deep := guest{bodies: []fn{
		{name: startEntry, code: loop(opCall, 1)},
		{params: "", code: join(opLoop, 0x40, opEnd)},
	}}
	tree := guest{bodies: []fn{{name: startEntry, code: callFn(1)}}}
	for i := range 60 { // calls without a loop: 2^60 of them
		next := min(i+2, 60)
		tree.bodies = append(tree.bodies, fn{code: join(opCall, next, opCall, next)})
	}
	tree.bodies[60].code = nil
	return map[string]guest{
		"empty loop":      a.behaviour(runnertest.Loop),
		"calls in a loop": deep,
		"a tree of calls": tree,
		"hostcalls":       a.with(loop(callFn(fnLen), opDrop), ""),
		"random bytes":    large(a.with(loop(callFn(fnRandom, 1<<20, 62<<20), opDrop), "")),
		"memory.fill":     large(a.with(loop(c32(0), c32(7), c32(64<<20), opPrefix, fcFill, 0), "")),
		"memory.copy":     large(a.with(loop(c32(1), c32(0), c32(64<<20-1), opPrefix, fcCopy, 0, 0), "")),
		"4 GiB fill":      whole(a.with(join(c32(0), c32(7), c32(-pageSize), opPrefix, fcFill, 0), "")),
		"4 GiB copy":      whole(a.with(join(c32(1), c32(0), c32(-pageSize-1), opPrefix, fcCopy, 0, 0), "")),
		"log":             large(a.with(loop(callFn(fnLog, 1, 0, 60<<20)), "")),
	}
}

// TestTimeout: the wall clock limit ends what has no fuel limit. Nothing but the
// module's own yields stops it: wazero's cancellation is off.
func TestTimeout(t *testing.T) {
	for name, g := range endless() {
		r := open(t, Options{})
		m := bind(g.bytes(), runner.ABIHostcall)
		m.Limits.Timeout, m.Limits.MemoryBytes = 50*time.Millisecond, maxPages*pageSize
		start := time.Now()
		res := invoke(t, r, m, "q")
		t.Logf("%s: stopped after %v, fuel %d", name, time.Since(start).Round(time.Millisecond), *res.FuelUsed)
		if res.Outcome != runner.TimedOut || res.FuelUsed == nil {
			t.Errorf("%s: %v (%s)", name, res.Outcome, res.Detail)
		}
		if spent := invoke(t, r, withFuel(m, 1_000), "q"); spent.Outcome != runner.FuelExhausted && spent.Outcome != runner.TimedOut {
			t.Errorf("%s with a fuel limit: %v (%s)", name, spent.Outcome, spent.Detail)
		}
	}
}

// TestContextEndsACall: a caller that gives up ends a guest that runs.
func TestContextEndsACall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := open(t, Options{Now: func() time.Time { cancel(); return time.Time{} }}) // read as the call starts
	res, err := r.Run(ctx, runner.Call{Module: bind(hostcallCode().behaviour(runnertest.Loop).bytes(), runner.ABIHostcall)})
	if err != nil || res.Outcome != runner.TimedOut || !strings.Contains(res.Detail, "context") {
		t.Errorf("%v (%s), %v", res.Outcome, res.Detail, err)
	}
}

// TestRecursion: recursion ends at the depth, at the same count on both engines
// where the interpreter's own stack reaches as far, and never as an answer of
// the module where it does not.
func TestRecursion(t *testing.T) {
	wide := guest{bodies: []fn{{name: startEntry, locals: join(1, appendU32(nil, 40_000), 0x7f), code: callFn(0)}}}
	narrow := guest{bodies: []fn{{name: startEntry, code: callFn(0)}}}
	compiler, interpreter := open(t, Options{}), open(t, Options{Interpreter: true})
	a := invoke(t, compiler, bind(wide.bytes(), runner.ABIHostcall), "q")
	b := invoke(t, interpreter, bind(wide.bytes(), runner.ABIHostcall), "q")
	if a.Outcome != runner.Trapped || b.Outcome != runner.Trapped || *a.FuelUsed != *b.FuelUsed || !strings.Contains(a.Detail, "call depth") {
		t.Errorf("wide: %v (%s) %d, %v (%s) %d", a.Outcome, a.Detail, *a.FuelUsed, b.Outcome, b.Detail, *b.FuelUsed)
	}
	if c := invoke(t, compiler, bind(narrow.bytes(), runner.ABIHostcall), "q"); c.Outcome != runner.Trapped || *c.FuelUsed != fuel.Depth {
		t.Errorf("narrow: %v (%s) after %d", c.Outcome, c.Detail, *c.FuelUsed)
	}
	if d := invoke(t, interpreter, bind(narrow.bytes(), runner.ABIHostcall), "q"); d.Outcome != runner.Killed {
		t.Errorf("narrow, interpreted: %v (%s)", d.Outcome, d.Detail)
	}
}

// noMemory is an engine whose host has none left.
type noMemory struct{ Engine }

type noMemoryProgram struct{ Program }

func (e noMemory) Compile(ctx context.Context, m *fuel.Rewritten) (Program, error) {
	p, err := e.Engine.Compile(ctx, m)
	return noMemoryProgram{p}, err
}

func (noMemoryProgram) Instantiate(*Host) (Instance, error) { return nil, ErrHostMemory }

// TestHostMemory: a host without memory is an error of the call, not an answer.
func TestHostMemory(t *testing.T) {
	r := open(t, Options{Engine: noMemory{newWazero(false, nil)}})
	_, err := r.Run(t.Context(), runner.Call{Module: numbered(1)})
	if !errors.Is(err, ErrHostMemory) {
		t.Errorf("got %v", err)
	}
}
