package wasm

import (
	"bytes"
	"testing"

	"github.com/mythos-run/mythos/runtime/runner"
)

// reactor is a guest whose _initialize runs code and then adds 1 to a global and
// to a byte of memory; run answers both, and adds to them again.
func reactor(initialize []byte) guest {
	a := hostcallCode()
	add := join(
		opGlobalGet, 0, c32(1), opI32Add, opGlobalSet, 0,
		c32(outAt), opGlobalGet, 0, opI32Store8, 0, 0,
		c32(outAt+1), c32(outAt+1), opI32Load, 0, 0, c32(1), opI32Add, opI32Store8, 0, 0)
	return guest{
		imports: a.imports, memory: []byte{0, 2}, globals: 1, data: "data",
		bodies: []fn{
			{name: initEntry, code: join(initialize, add)},
			{name: "run", code: join(a.answer(outAt, 2), callFn(fnRandom, outAt+2, 8), opDrop, a.answer(outAt+2, 8), a.answer(dataAt, 4), add)},
		},
	}
}

// TestImage: calls that begin with an image of the initialised module cannot be
// told from calls that initialise it: answer, log, fuel, and where they stop.
func TestImage(t *testing.T) {
	a := hostcallCode()
	grow := join(c32(3), opMemoryGrow, 0, opDrop)
	for name, c := range map[string]struct {
		initialize []byte
		image      bool
	}{
		"plain":           {nil, true},
		"random":          {join(callFn(fnRandom, outAt+64, 32), opDrop), true},
		"grows":           {grow, true},
		"logs":            {callFn(fnLog, 1, dataAt, 4), false},
		"reads":           {join(callFn(fnRead, reqAt, 0, 4), opDrop), false},
		"answers":         {a.answer(dataAt, 1), false},
		"exits":           {callFn(fnExit, 0), false},
		"traps":           {[]byte{opUnreachable}, false},
		"never ends":      {join(opLoop, 0x40, opBr, 0, opEnd), false},
		"wants too much":  {join(c32(60_000), opMemoryGrow, 0, opDrop), false},
		"fills too much":  {join(c32(200), opMemoryGrow, 0, opDrop, c32(0), c32(1), c32(9<<20), opPrefix, fcFill, 0), false},
		"fills its table": {join(c32(0), 0xd0, 0x70, c32(0), opPrefix, 17, 0), false},
	} {
		t.Run(name, func(t *testing.T) {
			g := reactor(c.initialize)
			g.table = []byte{0x70, 0, 1}
			with, without := open(t, Options{}), open(t, Options{NoImage: true})
			m := bind(g.bytes(), a.abi)
			m.Entry = []string{"run"}
			m.Limits.MemoryBytes = 16 << 20
			m = withFuel(m, 20_000_000)
			e, err := with.admit(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			with.cache.release(e)
			if got := e.module.ready != nil; got != c.image {
				t.Errorf("there is an image: %v, want %v", got, c.image)
			}
			same := func(m runner.Module, request string) *uint64 {
				t.Helper()
				x, y := invoke(t, with, m, request), invoke(t, without, m, request)
				if x.Outcome != y.Outcome || !bytes.Equal(x.Response, y.Response) || !bytes.Equal(x.Log, y.Log) || *x.FuelUsed != *y.FuelUsed {
					t.Errorf("with %v %x (%s) fuel %d, without %v %x (%s) fuel %d",
						x.Outcome, x.Response, x.Detail, *x.FuelUsed, y.Outcome, y.Response, y.Detail, *y.FuelUsed)
				}
				return y.FuelUsed
			}
			need := *same(m, "request")
			for range 3 {
				same(m, "another")
			}
			for _, limit := range []uint64{0, 1, need / 2, need - 1, need} {
				same(withFuel(m, limit), "request")
			}
			m.Limits.MemoryBytes = 2 * pageSize
			same(m, "request")
		})
	}
}
