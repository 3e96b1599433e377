package wasm_test

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/fuel"
)

// These are what hostile modules have used.

// TestFuelLooksBack: functions that called each other and return look at the
// fuel, so that an exhausted module does not go on through what follows their
// calls; small ones are soon through, and do not.
func TestFuelLooksBack(t *testing.T) {
	const depth, limit = 1_000, 20_000
	down := seq(0x20, 0, 0x04, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x10, 0, 0x0b) // costs 6
	count := seq(0x41, 0, 0x41, 0, 0x28, 2, 0, 0x41, 1, 0x6a, 0x36, 2, 0)   // costs 6
	for adds, stops := range map[int]bool{4: false, 5: true, 100: true} {
		code := mod{memory: true, funcs: []fun{{params: sI, code: seq(down, bytes.Repeat(count, adds)), export: "f"}}}.bytes()
		for name, o := range variants {
			if o.CheckEverySegment {
				continue
			}
			for _, e := range bothEngines(t) {
				m := e.instantiate(t, rewritten(t, code, o).Wasm)
				got := e.call(m, limit, sliceOf(o, 3_000), "f", depth)
				all := (depth + 1) * adds
				// Beyond what the limit pays: one function, and what was under way.
				n, _ := m.Memory().ReadUint32Le(0)
				if stopped := int(n) < all; got.used != limit || stopped != stops || stops && int(n) > limit/6+adds {
					t.Errorf("%d, %s, %s: %v, counted to %d of %d", adds, name, e.name, got, n, all)
				}
			}
		}
	}
}

// TestFuelFewRegisters: copysign and select of floats keep bits, and are right where registers are few:
// wazero v1.12.0 for amd64 compiles the copysign of the first function so that its
// result is negative in any case, and the select of the second so that it takes
// the first float in any case.
func TestFuelFewRegisters(t *testing.T) {
	body := seq(
		[]byte{0x43, 1, 0, 0xc0, 0xff}, 0x22, 7, 0x22, 0, 0x21, 4, // a NaN
		0x41, 3, 0x21, 8, 0x03, 0x40, 0x41, 3, 0x21, 9, 0x03, 0x40, // two loops
		[]byte{0x43, 0, 0, 0, 0xc0}, 0x21, 0, []byte{0x43, 0, 0, 0x80, 0xff}, 0x22, 6,
		0x20, 4, 0x20, 7, 0x92, 0x22, 4, 0x10, 1, 0x20, 4, 0x20, 1, 0x98, 0x22, 7,
		0x20, 2, 0x41, 1, 0x71, 0x1b, 0x21, 6,
		0x20, 9, 0x41, 1, 0x6b, 0x22, 9, 0x0d, 0, 0x0b, 0x20, 8, 0x41, 1, 0x6b, 0x22, 8, 0x0d, 0, 0x0b,
		0x20, 7, 0xbc)
	pressed := mod{funcs: []fun{
		{params: sF + sF + sI, results: sI, locals: seq(4, 1, tI, 4, tF, 4, tI, 1, tF), code: body, export: "f"},
		{params: sF + sF, results: sF, code: seq(0x20, 0, 0x20, 1, 0x98)},
	}}
	// -1/2^1000 * -1/2^1000 is 0, and -1/2^1000 * 0 is -0.
	chosen := mod{funcs: []fun{
		{params: sD + sD + sI, results: sL, locals: seq(1, 4, tD), export: "f", code: seq(
			f64c(0), f64c(math.Ldexp(1, -1000)), 0xa1, 0x22, 4, 0x20, 4, 0x10, 1,
			0x20, 4, f64c(0), 0x20, 2, 0x41, 4, 0x71, 0x1b, 0xa2, 0xbd)},
		{params: sD + sD, results: sD, code: seq(0x20, 0, 0x20, 1, 0xa6)},
	}}
	float, double := seq(0x20, 0, 0xbe, 0x20, 1, 0xbe, 0x98, 0xbc), seq(0x20, 0, 0xbf, 0x20, 1, 0xbf, 0xa6, 0xbd)
	for name, c := range map[string]struct {
		m    mod
		args []uint64
		want uint64
	}{
		"select":     {chosen, []uint64{0, 0, 10}, 1 << 63},
		"copysign":   {pressed, []uint64{0xffa54321, 0x7f800000, 10}, 0x7fc00000},
		"f32, signs": {mod{funcs: []fun{{params: sI + sI, results: sI, code: float, export: "f"}}}, []uint64{0x7fa12345, 1 << 31}, 0xffa12345},
		"f32, none":  {mod{funcs: []fun{{params: sI + sI, results: sI, code: float, export: "f"}}}, []uint64{0xffa12345, 0x7fffffff}, 0x7fa12345},
		"f64, signs": {mod{funcs: []fun{{params: sL + sL, results: sL, code: double, export: "f"}}}, []uint64{0x7ff4567812345678, 1 << 63}, 0xfff4567812345678},
		"f64, none":  {mod{funcs: []fun{{params: sL + sL, results: sL, code: double, export: "f"}}}, []uint64{0xfff4567812345678, 1<<63 - 1}, 0x7ff4567812345678},
	} {
		out := rewritten(t, c.m.bytes(), fuel.Options{Yield: true})
		for _, e := range bothEngines(t) {
			if got := e.call(e.instantiate(t, out.Wasm), 10_000, 0, "f", c.args...); got.results != fmt.Sprintf("[%x] ", c.want) {
				t.Errorf("%s, %s: %v, want %x", name, e.name, got, c.want)
			}
		}
	}
}
