package wasm_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/mythos-run/mythos/runtime/libs/fuel"
)

// These tests run what runtime/libs/fuel rewrites on wazero's two engines.

const coreFeatures = api.CoreFeaturesV2 &^ api.CoreFeatureSIMD

// errExhausted is what the test's host traps with.
var errExhausted = errors.New("out of fuel")

// fuelEngine is one wazero runtime with the host's side of metering.
type fuelEngine struct {
	name    string
	runtime wazero.Runtime
	purse   fuel.Purse // of the call that runs
	yields  int
}

func newFuelEngine(t testing.TB, interpreter bool) *fuelEngine {
	t.Helper()
	name, config := "compiler", wazero.NewRuntimeConfigCompiler()
	if interpreter {
		name, config = "interpreter", wazero.NewRuntimeConfigInterpreter()
	}
	ctx := context.Background()
	e := &fuelEngine{name: name, runtime: wazero.NewRuntimeWithConfig(ctx, config.WithCoreFeatures(coreFeatures))}
	t.Cleanup(func() {
		if err := e.runtime.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	_, err := e.runtime.NewHostModuleBuilder(fuel.HostModule).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, _ []uint64) { e.settle(m) }), nil, nil).
		Export(fuel.YieldImport).Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func bothEngines(t testing.TB) []*fuelEngine {
	return []*fuelEngine{newFuelEngine(t, false), newFuelEngine(t, true)}
}

// settle is what the host does in every host function.
func (e *fuelEngine) settle(m api.Module) {
	g := m.ExportedGlobal(fuel.FuelExport).(api.MutableGlobal)
	next, ok := e.purse.Settle(int64(g.Get()))
	if !ok {
		panic(errExhausted)
	}
	e.yields++
	g.Set(uint64(next))
}

func (e *fuelEngine) instantiate(t testing.TB, code []byte) api.Module {
	t.Helper()
	m, err := e.runtime.InstantiateWithConfig(context.Background(), code, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		t.Fatalf("%s: %v", e.name, err)
	}
	return m
}

// ending is how one call ended.
type ending struct {
	results string
	fault   string // without the stack trace
	used    uint64
	memory  string // hash
}

func (a ending) String() string {
	return fmt.Sprintf("%s%s used %d memory %.8s", a.results, a.fault, a.used, a.memory)
}

// call calls an export of a metered instance with limit fuel.
func (e *fuelEngine) call(m api.Module, limit uint64, slice int64, export string, args ...uint64) ending {
	g := m.ExportedGlobal(fuel.FuelExport).(api.MutableGlobal)
	var first int64
	e.purse, first = fuel.NewPurse(limit, slice)
	g.Set(uint64(first))
	m.ExportedGlobal(fuel.DepthExport).(api.MutableGlobal).Set(fuel.Depth)
	out := plainCall(m, export, args...)
	next, ok := e.purse.Settle(int64(g.Get()))
	out.used = e.purse.Used(next)
	if !ok {
		out.results, out.fault = "", errExhausted.Error()
	}
	return out
}

// plainCall calls an export of an instance that is not metered.
func plainCall(m api.Module, export string, args ...uint64) (out ending) {
	got, err := m.ExportedFunction(export).Call(context.Background(), args...)
	if err != nil {
		out.fault, _, _ = strings.Cut(err.Error(), "\n")
		out.fault = strings.TrimPrefix(out.fault, "wasm error: ")
		if errors.Is(err, errExhausted) {
			out.fault = errExhausted.Error()
		}
	} else {
		out.results = fmt.Sprintf("%x ", got)
	}
	if mem := m.Memory(); !reflect.ValueOf(mem).IsNil() { // wazero's interface holds a nil
		b, _ := mem.Read(0, mem.Size())
		out.memory = fmt.Sprintf("%x", sha256.Sum256(b))
	}
	return out
}

func rewritten(t testing.TB, code []byte, o fuel.Options) *fuel.Rewritten {
	t.Helper()
	o.Schedule = fuel.Schedule1
	r, err := fuel.Rewrite(code, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// variants are the ways to rewrite, which all count the same.
var variants = map[string]fuel.Options{
	"plain":         {},
	"yield":         {Yield: true},
	"every segment": {CheckEverySegment: true},
	"both":          {Yield: true, CheckEverySegment: true},
}

// sliceOf is n where the module yields: it cannot run in slices otherwise.
func sliceOf(o fuel.Options, n int64) int64 {
	if o.Yield {
		return n
	}
	return 0
}

// TestFuelCosts fixes the cost table of RFC-MYTHOS-0012 §10.2: what one call of
// a function costs on either engine, in every variant.
func TestFuelCosts(t *testing.T) {
	engines := bothEngines(t)
	for _, c := range costCases() {
		t.Run(c.name, func(t *testing.T) {
			code := c.mod.bytes()
			for name, o := range variants {
				out := rewritten(t, code, o)
				for _, e := range engines {
					m := e.instantiate(t, out.Wasm)
					got := e.call(m, 1<<40, sliceOf(o, 3), "f", c.args...)
					if got.used != c.want || got.fault != c.fault {
						t.Errorf("%s, %s: %v, want %d %s", name, e.name, got, c.want, c.fault)
					}
					if err := m.Close(context.Background()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}

type costCase struct {
	name  string
	mod   mod
	args  []uint64
	want  uint64
	fault string
}

func costCases() []costCase {
	one := func(name string, want uint64, params, results string, code ...any) costCase {
		return costCase{name: name, want: want, mod: mod{memory: true, funcs: []fun{{params: params, results: results, code: seq(code...), export: "f"}}}}
	}
	with := func(c costCase, args ...uint64) costCase { c.args = args; return c }
	trap := func(c costCase, text string) costCase { c.fault = text; return c }
	countdown := seq(0x03, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b)
	locals := one("locals", 2+3, "", "")
	locals.mod.funcs[0].locals, locals.mod.funcs[0].code = []byte{1, 24, tI}, seq(0x20, 0, 0x1a)
	callee := one("call", 1+2, "", "")
	callee.mod.funcs[0].code = seq(0x10, 1)
	callee.mod.funcs = append(callee.mod.funcs, fun{code: seq(0x41, 0, 0x1a)})
	return []costCase{
		one("nothing", 0, "", ""),
		one("free", 0, "", "", 0x01, 0x02, 0x40, 0x0b, 0x03, 0x40, 0x0b),
		one("a constant", 2, "", "", 0x41, 1, 0x1a),
		with(one("a countdown", 15, sI, "", countdown), 3),
		with(one("a taken branch", 4, sI, "", 0x02, 0x40, 0x20, 0, 0x0d, 0, 0x41, 1, 0x1a, 0x0b, 0x41, 1, 0x1a), 1),
		with(one("a branch not taken", 6, sI, "", 0x02, 0x40, 0x20, 0, 0x0d, 0, 0x41, 1, 0x1a, 0x0b, 0x41, 1, 0x1a), 0),
		with(one("then", 4, sI, "", 0x20, 0, 0x04, 0x40, 0x41, 1, 0x1a, 0x05, 0x01, 0x0b), 1),
		with(one("else", 2, sI, "", 0x20, 0, 0x04, 0x40, 0x41, 1, 0x1a, 0x05, 0x01, 0x0b), 0),
		with(one("br_table", 2+2, sI, "", 0x02, 0x40, 0x02, 0x40, 0x20, 0, 0x0e, 1, 0, 1, 0x0b, 0x41, 0, 0x1a, 0x0b), 0),
		with(one("br_table, default", 2, sI, "", 0x02, 0x40, 0x02, 0x40, 0x20, 0, 0x0e, 1, 0, 1, 0x0b, 0x41, 0, 0x1a, 0x0b), 7),
		one("return", 2, "", sI, 0x41, 1, 0x0f, 0x1a, 0x41, 1),
		trap(one("a trap charges its segment", 4, "", "", 0x41, 1, 0x41, 0, 0x6d, 0x1a, 0x00), "integer divide by zero"),
		trap(one("unreachable", 2, "", "", 0x41, 1, 0x1a, 0x00, 0x41, 1, 0x1a), "unreachable"),
		one("memory.grow", 3+2000, "", "", 0x41, 2, 0x40, 0, 0x1a),
		one("memory.grow of what cannot be", 3, "", "", c32(-1), 0x40, 0, 0x1a),
		one("memory.fill", 4+4, "", "", 0x41, 0, 0x41, 1, 0x41, 39, 0xfc, 11, 0),
		one("memory.copy", 4+5, "", "", 0x41, 0, 0x41, 1, 0x41, 40, 0xfc, 10, 0, 0),
		trap(one("memory.fill out of range", 4+1<<29-1, "", "", 0x41, 0, 0x41, 1, c32(-1), 0xfc, 11, 0), "out of bounds memory access"),
		one("memory.size", 2, "", "", 0x3f, 0, 0x1a),
		one("float", 4, "", "", f64c(1), f64c(2), 0xa0, 0x1a),
		locals, callee,
	}
}

// TestFuelExact: a budget of what a call uses suffices, one less does not, and
// neither slices nor engines nor repetition change a count, or where an
// exhausted module stops.
func TestFuelExact(t *testing.T) {
	engines := bothEngines(t)
	for seed := range uint64(25) {
		code := generate(seed).bytes()
		for name, o := range variants {
			out := rewritten(t, code, o)
			slices := []int64{0}
			if o.Yield {
				slices = []int64{0, 1, 7, 1000}
			}
			var full ending
			stops := map[uint64]ending{}
			for i, e := range engines {
				for j, slice := range slices {
					run := func(limit uint64) ending {
						m := e.instantiate(t, out.Wasm)
						defer func() { _ = m.Close(context.Background()) }()
						return e.call(m, limit, slice, "f", seed, 3)
					}
					got := run(1 << 40)
					if i+j == 0 {
						full = got
					}
					if again := run(got.used); again != full || got != full {
						t.Fatalf("seed %d, %s, %s, slice %d: %v, then %v, at first %v", seed, name, e.name, slice, got, again, full)
					}
					for _, short := range []uint64{full.used - 1, full.used / 2} {
						stop := run(short)
						if i+j == 0 {
							stops[short] = stop
						}
						if stop != stops[short] || stop.fault != errExhausted.Error() && !(name == "plain" || name == "every segment") || stop.used != short {
							t.Fatalf("seed %d, %s, %s, slice %d, limit %d of %d: %v, at first %v", seed, name, e.name, slice, short, full.used, stop, stops[short])
						}
					}
				}
			}
		}
	}
}

// TestFuelStops: at a loop's head, entered or repeated, the charges until then
// decide whether its next round runs, in loops of any cost, 0 among them.
func TestFuelStops(t *testing.T) {
	// Each round stores how many rounds there were, for 8 fuel.
	round := seq(0x41, 0, 0x41, 0, 0x28, 2, 0, 0x41, 1, 0x6a, 0x36, 2, 0, 0x41, 1, 0x0d, 0)
	free := seq(0x03, 0x40, 0x02, 0x40, 0x0b, 0x0b)
	code := mod{memory: true, funcs: []fun{
		{export: "rounds", code: seq(0x03, 0x40, round, 0x0b)},
		{export: "free", code: seq(0x41, 0, 0x41, 5, 0x36, 2, 0, 0x02, 0x40, 0x41, 1, 0x0d, 0, 0x0b, 0x02, 0x40, 0x41, 0, 0x0d, 0, 0x0b,
			free, 0x41, 0, 0x41, 6, 0x36, 2, 0)},
	}}.bytes()
	for name, o := range map[string]fuel.Options{"plain": {}, "yield": {Yield: true}} {
		out := rewritten(t, code, o)
		for _, e := range bothEngines(t) {
			for _, c := range []struct {
				export string
				limit  uint64
				want   uint32
			}{
				{"rounds", 0, 1},
				{"rounds", 7, 1},
				{"rounds", 8, 2},
				{"rounds", 15, 2},
				{"rounds", 80, 11},
				{"free", 4, 0}, // the first segment costs 5
				{"free", 5, 5}, // the next 2
				{"free", 6, 5},
				{"free", 7, 6}, // what comes after costs 3, and is not looked at
			} {
				m := e.instantiate(t, out.Wasm)
				got := e.call(m, c.limit, sliceOf(o, 2), c.export)
				if n, _ := m.Memory().ReadUint32Le(0); n != c.want || got.used != c.limit {
					t.Errorf("%s, %s: %s of %d: stored %d, want %d: %v", name, e.name, c.export, c.limit, n, c.want, got)
				}
				_ = m.Close(context.Background())
			}
		}
	}
}

// TestFuelKeepsMeaning: generated modules give the same metered and not, but
// for the bits of NaNs, where they give what a module does that makes every
// arithmetic result canonical at once.
func TestFuelKeepsMeaning(t *testing.T) {
	engines := bothEngines(t)
	var used uint64
	for seed := range uint64(100) {
		code := generate(seed).bytes()
		plain := engines[seed%2].instantiate(t, generateAs(seed, true).bytes())
		want := plainCall(plain, "f", seed, 5)
		counts := map[uint64]bool{}
		for _, o := range variants {
			for _, e := range engines {
				m := e.instantiate(t, rewritten(t, code, o).Wasm)
				got := e.call(m, 1<<40, sliceOf(o, 1000), "f", seed, 5)
				counts[got.used] = true
				used += got.used
				if got.used = 0; got != want {
					t.Errorf("seed %d, %s, %+v: %v, unmetered %v", seed, e.name, o, got, want)
				}
				_ = m.Close(context.Background())
			}
		}
		if len(counts) != 1 {
			t.Errorf("seed %d: counts %v", seed, counts)
		}
		_ = plain.Close(context.Background())
	}
	if used < 500_000 {
		t.Errorf("the generated modules used %d fuel in all: too little to show anything", used)
	}
}

// TestFuelFloats: floats that go through locals and memory, NaNs of any bits
// among them, end as if every arithmetic result were made canonical at once.
func TestFuelFloats(t *testing.T) {
	for _, e := range bothEngines(t) {
		made := 0
		for seed := range uint64(150) {
			out := rewritten(t, generateFloats(seed, false).bytes(), fuel.Options{Yield: true})
			made += out.Stats.NaNs
			plain, m := e.instantiate(t, generateFloats(seed, true).bytes()), e.instantiate(t, out.Wasm)
			want, got := plainCall(plain, "f", seed, 5), e.call(m, 1<<40, 1000, "f", seed, 5)
			if got.used = 0; got != want {
				t.Errorf("seed %d, %s: %v, unmetered %v", seed, e.name, got, want)
			}
			_, _ = plain.Close(context.Background()), m.Close(context.Background())
		}
		if made < 1000 {
			t.Errorf("only %d results were made canonical", made)
		}
	}
}

// TestFuelDepth: recursion without end stops at the same depth on both engines
// where the frames are few enough for the interpreter, and its count does not
// depend on the stack's bytes.
func TestFuelDepth(t *testing.T) {
	// Each frame has 50,000 locals, so it weighs 6,251 and the eleventh traps.
	code := mod{
		memory: true,
		funcs:  []fun{{export: "f", locals: append(append([]byte{1}, u32(50_000)...), tI), code: seq(0x41, 0, 0x41, 0, 0x28, 2, 0, 0x41, 1, 0x6a, 0x36, 2, 0, 0x10, 0)}},
	}.bytes()
	out := rewritten(t, code, fuel.Options{})
	var first ending
	for i, e := range bothEngines(t) {
		m := e.instantiate(t, out.Wasm)
		got := e.call(m, 1<<40, 0, "f")
		n, _ := m.Memory().ReadUint32Le(0)
		depth := int32(m.ExportedGlobal(fuel.DepthExport).Get())
		if i == 0 {
			first = got
		}
		if got.fault != "unreachable" || depth >= 0 || n != 10 || got != first {
			t.Errorf("%s: %v after %d frames, depth %d; first %v", e.name, got, n, depth, first)
		}
	}
	light := mod{funcs: []fun{{export: "f", code: seq(0x10, 0)}}}.bytes()
	e := newFuelEngine(t, false)
	m := e.instantiate(t, rewritten(t, light, fuel.Options{Yield: true}).Wasm)
	if got := e.call(m, 1<<40, 1000, "f"); got.used != fuel.Depth || got.fault != "unreachable" {
		t.Errorf("light frames: %v", got)
	}
}

// TestFuelNaN: whatever makes a NaN, its bits are the canonical ones wherever
// they can be seen.
func TestFuelNaN(t *testing.T) {
	engines := bothEngines(t)
	odd32, odd64 := uint64(0xffa12345), uint64(0xfff4567812345678)
	check := func(name string, params, results string, want uint64, code []byte, args ...uint64) {
		t.Helper()
		out := rewritten(t, mod{funcs: []fun{{params: params, results: results, code: code, export: "f"}}}.bytes(), fuel.Options{Yield: true})
		for _, e := range engines {
			m := e.instantiate(t, out.Wasm)
			got := e.call(m, 1000, 0, "f", args...)
			if results == sF { // the slot's upper half is not part of the value
				got.results = "[" + got.results[max(len(got.results)-10, 0):]
			}
			if got.results != fmt.Sprintf("[%x] ", want) {
				t.Errorf("%s, %s: %v, want %x", name, e.name, got, want)
			}
		}
	}
	for op := 0x8d; op <= 0x97; op++ {
		code := seq(0x20, 0, op, 0xbc)
		if op >= 0x92 {
			code = seq(0x20, 0, 0x20, 0, op, 0xbc)
		}
		check(fmt.Sprintf("op %x", op), sF, sI, 0x7fc00000, code, odd32)
	}
	for op := 0x9b; op <= 0xa5; op++ {
		code := seq(0x20, 0, op, 0xbd)
		if op >= 0xa0 {
			code = seq(0x20, 0, 0x20, 0, op, 0xbd)
		}
		check(fmt.Sprintf("op %x", op), sD, sL, 0x7ff8000000000000, code, odd64)
	}
	check("demote", sD, sF, 0x7fc00000, seq(0x20, 0, 0xb6), odd64)
	check("promote", sF, sD, 0x7ff8000000000000, seq(0x20, 0, 0xbb), odd32)
	zero := f64c(0)
	check("0/0", "", sD, 0x7ff8000000000000, seq(zero, zero, 0xa3))
	check("a chain", sD, sD, 0x7ff8000000000000, seq(0x20, 0, zero, 0xa2, 0x20, 0, 0xa0, 0x9f), odd64)
	check("copysign sees the sign", sD, sD, math.Float64bits(1), seq(f64c(1), zero, zero, 0xa3, 0xa6), odd64)
	check("neg keeps the bits of a NaN", sD, sD, odd64^1<<63, seq(0x20, 0, 0x9a), odd64)
}

// TestFuelStart: a module that has no fuel runs nothing, a start function
// does not run at instantiation, and its count is that of any function.
func TestFuelStart(t *testing.T) {
	code := mod{memory: true, start: 1, funcs: []fun{
		{export: "f", code: seq(0x41, 0, 0x41, 9, 0x36, 2, 0)},
		{code: seq(0x41, 4, 0x41, 5, 0x36, 2, 0)},
	}}.bytes()
	for _, o := range variants {
		out := rewritten(t, code, o)
		if out.StartExport != fuel.StartExport {
			t.Fatalf("start export %q", out.StartExport)
		}
		for _, e := range bothEngines(t) {
			m := e.instantiate(t, out.Wasm)
			read := func(at uint32) uint32 { v, _ := m.Memory().ReadUint32Le(at); return v }
			e.purse, _ = fuel.NewPurse(0, 0)
			if plainCall(m, "f"); read(0) != 0 || read(4) != 0 {
				t.Errorf("%s ran without fuel", e.name)
			}
			if got := e.call(m, 1000, 0, out.StartExport); got.used != 3 || read(4) != 5 {
				t.Errorf("%s: start %v", e.name, got)
			}
		}
	}
}

func u32(v uint32) []byte { return binary.AppendUvarint(nil, uint64(v)) }
