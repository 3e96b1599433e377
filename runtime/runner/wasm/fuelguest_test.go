package wasm_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fuel"
)

// echoGuest is the Go reference tool, built once per run of the tests.
var echoGuest = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", out, "./tools/echo/go")
	cmd.Dir = filepath.Join("..", "..", "..")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	return os.ReadFile(out)
})

func goEcho(t testing.TB) []byte {
	t.Helper()
	b, err := echoGuest()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// echoHost is as much of the contract as the Go guest needs to start and echo.
type echoHost struct {
	request, response []byte
}

func (h *echoHost) install(t testing.TB, e *fuelEngine, metered bool) {
	t.Helper()
	type host func(m api.Module, s []uint64)
	modules := map[string]map[string]struct {
		params, results int
		call            host
	}{
		"mythos_v1": {
			"request_len":    {0, 1, func(_ api.Module, s []uint64) { s[0] = uint64(len(h.request)) }},
			"request_read":   {3, 1, h.read},
			"response_write": {2, 1, h.write},
			"log":            {3, 0, func(api.Module, []uint64) {}},
		},
		"wasi_snapshot_preview1": {
			"args_sizes_get": {2, 1, zeros(0, 1)}, "args_get": {2, 1, zeros()},
			"environ_sizes_get": {2, 1, zeros(0, 1)}, "environ_get": {2, 1, zeros()},
			"clock_time_get": {3, 1, func(m api.Module, s []uint64) { m.Memory().WriteUint64Le(uint32(s[2]), 1_000_000); s[0] = 0 }},
			"random_get": {2, 1, func(m api.Module, s []uint64) {
				b, _ := m.Memory().Read(uint32(s[0]), uint32(s[1]))
				for i := range b {
					b[i] = 7
				}
				s[0] = 0
			}},
			"fd_write": {4, 1, func(m api.Module, s []uint64) {
				n, _ := m.Memory().ReadUint32Le(uint32(s[1]) + 4)
				m.Memory().WriteUint32Le(uint32(s[3]), n)
				s[0] = 0
			}},
			"proc_exit":   {1, 0, func(_ api.Module, s []uint64) { panic(sys.NewExitError(uint32(s[0]))) }},
			"sched_yield": {0, 1, zeros()}, "poll_oneoff": {4, 1, zeros()},
			"fd_close": {1, 1, errno8}, "fd_fdstat_get": {2, 1, errno8}, "fd_fdstat_set_flags": {2, 1, errno8},
			"fd_prestat_get": {2, 1, errno8}, "fd_prestat_dir_name": {3, 1, errno8}, "fd_read": {4, 1, errno8}, "fd_seek": {4, 1, errno8},
		},
	}
	for name, functions := range modules {
		b := e.runtime.NewHostModuleBuilder(name)
		for f, d := range functions {
			params := bytes.Repeat([]byte{tI}, d.params)
			if f == "clock_time_get" || f == "fd_seek" {
				params[1] = tL
			}
			b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, s []uint64) {
				if metered {
					e.settle(m)
				}
				d.call(m, s)
			}), params, bytes.Repeat([]byte{tI}, d.results)).Export(f)
		}
		if _, err := b.Instantiate(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func (h *echoHost) read(m api.Module, s []uint64) {
	from := min(int(uint32(s[1])), len(h.request))
	b := h.request[from:min(from+int(uint32(s[2])), len(h.request))]
	m.Memory().Write(uint32(s[0]), b)
	s[0] = uint64(len(b))
}

func (h *echoHost) write(m api.Module, s []uint64) {
	b, _ := m.Memory().Read(uint32(s[0]), uint32(s[1]))
	h.response = append(h.response, b...)
	s[0] = s[1]
}

func errno8(_ api.Module, s []uint64) { s[0] = 8 }

// zeros stores a zero word at each of these arguments and answers success.
func zeros(args ...int) func(api.Module, []uint64) {
	return func(m api.Module, s []uint64) {
		for _, i := range args {
			m.Memory().WriteUint32Le(uint32(s[i]), 0)
		}
		if len(s) > 0 {
			s[0] = 0
		}
	}
}

// TestFuelGoGuest runs the Go reference tool metered: it echoes, its count does
// not depend on slices, engines or repetition, and one unit less is not enough.
func TestFuelGoGuest(t *testing.T) {
	request := abi.Request{ToolID: cid.Sum([]byte("tool")), Payload: can.AppendText(nil, "hello"), IdemID: cid.Sum([]byte("idem"))}
	answer := abi.Response{Status: 200, Payload: request.Payload}
	for name, o := range map[string]fuel.Options{"lazy": {Yield: true}, "every segment": {Yield: true, CheckEverySegment: true}} {
		out := rewritten(t, goEcho(t), o)
		stats := fmt.Sprintf("%d -> %d bytes, %+v", len(goEcho(t)), len(out.Wasm), out.Stats)
		if w := out.Stats; w.Work*10 > fuel.MaxWork || w.FunctionWork*10 > fuel.MaxFunctionWork {
			t.Errorf("%s: %d and %d are too near the bounds", name, w.Work, w.FunctionWork)
		}
		var first, half ending
		for i, e := range bothEngines(t) {
			h := &echoHost{request: request.AppendCAN(nil)}
			h.install(t, e, true)
			compiled, err := e.runtime.CompileModule(context.Background(), out.Wasm)
			if err != nil {
				t.Fatal(err)
			}
			run := func(limit uint64, slice int64) ending {
				m, err := e.runtime.InstantiateModule(context.Background(), compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = m.Close(context.Background()) }()
				h.response = nil
				start := e.call(m, limit, slice, "_initialize")
				if start.fault != "" {
					return start
				}
				end := e.call(m, limit-start.used, slice, "run")
				end.used += start.used
				return end
			}
			got := run(1<<40, 0)
			if i == 0 {
				first = got
			}
			if got != first || got.fault != "" || !bytes.Equal(h.response, answer.AppendCAN(nil)) {
				t.Errorf("%s, %s: %v, first %v, response % x", name, e.name, got, first, h.response)
			}
			for _, slice := range []int64{1_000, 100_000} {
				if exact := run(got.used, slice); exact != first {
					t.Errorf("%s, %s: slices of %d: %v", name, e.name, slice, exact)
				}
				if short := run(got.used-1, slice); short.fault != errExhausted.Error() {
					t.Errorf("%s, %s: one unit less: %v", name, e.name, short)
				}
				stop := run(got.used/2, slice)
				if half.fault == "" {
					half = stop
				}
				if stop != half || stop.fault != errExhausted.Error() {
					t.Errorf("%s, %s: half of it: %v, first %v", name, e.name, stop, half)
				}
			}
		}
		t.Logf("%s: %s; used %d", name, stats, first.used)
	}
}

// BenchmarkFuelRewrite is one rewriting of the Go reference tool.
func BenchmarkFuelRewrite(b *testing.B) {
	code := goEcho(b)
	b.SetBytes(int64(len(code)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := fuel.Rewrite(code, fuel.Options{Schedule: fuel.Schedule1, Yield: true}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFuelGoGuest is one call of the Go reference tool, instantiation
// included.
func BenchmarkFuelGoGuest(b *testing.B) {
	request := abi.Request{ToolID: cid.Sum([]byte("tool")), Payload: can.AppendText(nil, "hello")}
	for _, metered := range []bool{false, true} {
		e := newFuelEngine(b, false)
		h := &echoHost{request: request.AppendCAN(nil)}
		h.install(b, e, metered)
		code := goEcho(b)
		if metered {
			code = rewritten(b, code, fuel.Options{Yield: true}).Wasm
		}
		compiled, err := e.runtime.CompileModule(context.Background(), code)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(map[bool]string{false: "plain", true: "metered"}[metered], func(b *testing.B) {
			for b.Loop() {
				m, err := e.runtime.InstantiateModule(context.Background(), compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
				if err != nil {
					b.Fatal(err)
				}
				if metered {
					var first int64
					e.purse, first = fuel.NewPurse(1<<40, 1_000_000)
					m.ExportedGlobal(fuel.FuelExport).(api.MutableGlobal).Set(uint64(first))
				}
				for _, export := range []string{"_initialize", "run"} {
					if _, err := m.ExportedFunction(export).Call(context.Background()); err != nil {
						b.Fatal(err)
					}
				}
				if err := m.Close(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// kernels are loops to measure on, each an export f (i32) -> i32.
func kernels() map[string]mod {
	loop := func(body ...any) []byte {
		return seq(0x03, 0x40, seq(body...), 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b, 0x20, 1)
	}
	one := func(locals []byte, code []byte) mod {
		return mod{memory: true, funcs: []fun{{params: sI, results: sI, locals: locals, code: code, export: "f"}}}
	}
	// upTo runs body with a local from 0 to n-1.
	upTo := func(local int, n int32, body ...any) []byte {
		return seq(0x41, 0, 0x21, local, 0x03, 0x40, seq(body...), 0x20, local, 0x41, 1, 0x6a, 0x22, local, c32(n), 0x48, 0x0d, 0, 0x0b)
	}
	// matrices multiplies two of 64 by 64 in memory, once for each 2^18 of the
	// parameter: locals 1 result, 2 to 5 counters, 6 the sum.
	matrices := func(kind byte, fill, product, read []byte) mod {
		at := func(row, column, base int) []byte {
			return seq(0x20, row, 0x41, 6, 0x74, 0x20, column, 0x6a, c32(int32(base)), 0x71, read)
		}
		inner := upTo(4, 64, 0x20, 6, at(2, 4, 4095), at(4, 3, 4095), product, 0x21, 6)
		each := upTo(2, 64, upTo(3, 64, inner))
		sum := map[byte][]byte{tI: {0x20, 6}, tD: {0x20, 6, 0xfc, 2}}[kind]
		code := seq(upTo(5, 4096, fill), 0x03, 0x40, each, 0x20, 0, c32(1<<18), 0x6b, 0x22, 0, 0x41, 0, 0x4a, 0x0d, 0, 0x0b, sum)
		return one([]byte{3, 1, tI, 4, tI, 1, kind}, code)
	}
	mask := seq(c32(0xfffc), 0x71)
	fib := seq(0x20, 0, 0x41, 2, 0x48, 0x04, tI, 0x20, 0, 0x05,
		0x20, 0, 0x41, 1, 0x6b, 0x10, 0, 0x20, 0, 0x41, 2, 0x6b, 0x10, 0, 0x6a, 0x0b)
	return map[string]mod{
		"count":  one([]byte{1, 1, tI}, loop(0x20, 1, 0x20, 0, 0x6a, 0x21, 1)),
		"hash":   one([]byte{1, 1, tI}, loop(0x20, 1, c32(16777619), 0x6c, 0x20, 0, 0x73, 0x20, 1, 0x41, 13, 0x76, 0x73, 0x20, 1, 0x41, 7, 0x77, 0x6a, 0x21, 1)),
		"memory": one([]byte{1, 1, tI}, loop(0x20, 0, c32(2654), 0x6c, mask, 0x20, 0, 0x41, 4, 0x6c, mask, 0x28, 2, 0, 0x20, 1, 0x6a, 0x22, 1, 0x36, 2, 0)),
		"branch": one([]byte{1, 1, tI}, loop(0x20, 0, 0x41, 3, 0x71, 0x04, 0x40, 0x20, 1, 0x20, 0, 0x6a, 0x21, 1, 0x05, 0x20, 1, 0x41, 5, 0x73, 0x21, 1, 0x0b)),
		"fib":    one(nil, fib),
		"float": one([]byte{3, 1, tI, 1, tD, 1, tD}, loop(
			0x20, 2, 0x20, 0, 0xb7, 0x20, 3, 0xa2, 0xa0, 0x21, 2, 0x20, 3, f64c(1.000001), 0xa2, 0x21, 3)),
		// A point on an orbit: six f64 locals live around the loop.
		"orbit": one([]byte{2, 1, tI, 6, tD}, seq(f64c(1), 0x21, 2, f64c(0.5), 0x21, 5, f64c(0.001), 0x21, 7, loop(
			0x20, 2, 0x20, 2, 0xa2, 0x20, 3, 0x20, 3, 0xa2, 0xa0, 0x21, 6,
			0x20, 4, 0x20, 2, 0x20, 6, 0xa3, 0x20, 7, 0xa2, 0xa1, 0x21, 4,
			0x20, 5, 0x20, 3, 0x20, 6, 0xa3, 0x20, 7, 0xa2, 0xa1, 0x21, 5,
			0x20, 2, 0x20, 4, 0x20, 7, 0xa2, 0xa0, 0x21, 2,
			0x20, 3, 0x20, 5, 0x20, 7, 0xa2, 0xa0, 0x21, 3,
			0x20, 2, 0x20, 3, 0xa0, 0xfc, 2, 0x21, 1))),
		// Every result is stored, so every one is made canonical.
		"stores": one([]byte{2, 1, tI, 1, tD}, loop(
			0x20, 0, 0x41, 3, 0x74, c32(0xfff8), 0x71, 0x22, 1,
			0x20, 0, 0x41, 5, 0x74, c32(0xfff8), 0x71, 0x2b, 3, 0, f64c(0.5), 0xa2, 0x20, 1, 0x2b, 3, 0, 0xa0, 0x39, 3, 0)),
		"matrix":     matrices(tI, seq(0x20, 5, 0x41, 2, 0x74, 0x20, 5, 0x36, 2, 0), seq(0x6c, 0x6a), seq(0x41, 2, 0x74, 0x28, 2, 0)),
		"matrix f64": matrices(tD, seq(0x20, 5, 0x41, 3, 0x74, 0x20, 5, 0xb7, 0x39, 3, 0), seq(0xa2, 0xa0), seq(0x41, 3, 0x74, 0x2b, 3, 0)),
	}
}

// TestFuelKernels: the kernels that are measured compute what they did.
func TestFuelKernels(t *testing.T) {
	for name, m := range kernels() {
		e := newFuelEngine(t, false)
		want := plainCall(e.instantiate(t, m.bytes()), "f", 20)
		got := e.call(e.instantiate(t, rewritten(t, m.bytes(), fuel.Options{Yield: true}).Wasm), 1<<40, 100, "f", 20)
		if got.used = 0; got != want {
			t.Errorf("%s: %v, unmetered %v", name, got, want)
		}
	}
}

// BenchmarkFuelKernels compares loops unmetered and metered.
func BenchmarkFuelKernels(b *testing.B) {
	for name, k := range kernels() {
		for _, v := range []string{"plain", "lazy", "yield"} {
			b.Run(name+"/"+v, func(b *testing.B) {
				e := newFuelEngine(b, false)
				code := k.bytes()
				if v != "plain" {
					code = rewritten(b, code, fuel.Options{Yield: v == "yield"}).Wasm
				}
				m := e.instantiate(b, code)
				f := m.ExportedFunction("f")
				n := uint64(2_000_000)
				if name == "fib" {
					n = 27
				}
				var best time.Duration
				for b.Loop() {
					if v != "plain" {
						var first int64
						e.purse, first = fuel.NewPurse(1<<50, map[bool]int64{true: 10_000_000}[v == "yield"])
						m.ExportedGlobal(fuel.FuelExport).(api.MutableGlobal).Set(uint64(first))
					}
					start := time.Now()
					if _, err := f.Call(context.Background(), n); err != nil {
						b.Fatal(err)
					}
					if d := time.Since(start); best == 0 || d < best {
						best = d
					}
				}
				b.ReportMetric(float64(best.Microseconds()), "best-us")
			})
		}
	}
}
