package wasm_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/fuel"
)

const (
	bulkPiece = 4 << 20 // what is done between two calls of the host
	bulkPages = 200
	bulkSize  = bulkPages << 16
)

// bulkCase is one memory.copy or memory.fill.
type bulkCase struct {
	export  string
	a, b, n uint64
}

func bulkCases() []bulkCase {
	const p = bulkPiece
	var out []bulkCase
	for _, n := range []uint64{0, 1, p - 1, p, p + 1, 2 * p, 2*p + 77} {
		out = append(out, bulkCase{"fill", 1000, 0x5a, n}, bulkCase{"copy", 3 << 20, 7, n}, bulkCase{"copy", 7, 3 << 20, n})
	}
	for _, apart := range []uint64{0, 1, 4096, p - 1, p, p + 1} {
		out = append(out, bulkCase{"copy", 5, 5 + apart, 2*p + 9}, bulkCase{"copy", 5 + apart, 5, 2*p + 9})
	}
	const far = 1<<32 - 1
	return append(
		out,
		bulkCase{"fill", 0, 1, bulkSize},
		bulkCase{"fill", 1, 1, bulkSize},
		bulkCase{"fill", far, 1, 2 * p},
		bulkCase{"fill", 5, 1, far},
		bulkCase{"copy", 1, 0, bulkSize - 1},
		bulkCase{"copy", 1, 0, bulkSize},
		bulkCase{"copy", 0, 1, bulkSize},
		bulkCase{"copy", bulkSize - 2*p + 1, 0, 2 * p},
		bulkCase{"copy", 0, bulkSize - 2*p + 1, 2 * p},
		bulkCase{"copy", far, 0, 2 * p},
		bulkCase{"copy", 0, far, 2 * p},
		bulkCase{"copy", 9, 0, far},
	)
}

// TestFuelPieces: a long fill or copy that is done in pieces ends as one that
// is not, overlapping and out of range too, costs the same, and comes to the
// host between two pieces.
func TestFuelPieces(t *testing.T) {
	three := seq(0x20, 0, 0x20, 1, 0x20, 2)
	code := mod{memory: true, pages: bulkPages, funcs: []fun{
		{params: sI + sI + sI, export: "fill", code: seq(three, 0xfc, 11, 0)},
		{params: sI + sI + sI, export: "copy", code: seq(three, 0xfc, 10, 0, 0)},
	}}.bytes()
	pattern := make([]byte, bulkSize)
	for i := range pattern {
		pattern[i] = byte(i ^ i>>8 ^ i>>16)
	}
	out := rewritten(t, code, fuel.Options{Yield: true})
	for _, e := range bothEngines(t) {
		plain, metered := e.instantiate(t, code), e.instantiate(t, out.Wasm)
		want, _ := plain.Memory().Read(0, bulkSize)
		got, _ := metered.Memory().Read(0, bulkSize)
		for _, c := range bulkCases() {
			copy(want, pattern)
			copy(got, pattern)
			_, err := plain.ExportedFunction(c.export).Call(context.Background(), c.a, c.b, c.n)
			e.yields = 0
			end := e.call(metered, 1<<40, 0, c.export, c.a, c.b, c.n)
			if (err == nil) != (end.fault == "") || !bytes.Equal(got, want) {
				t.Errorf("%s, %+v: %v, unmetered %v, the same memory: %v", e.name, c, end, err, bytes.Equal(got, want))
			}
			yields := 0
			if err == nil && c.n > bulkPiece {
				yields = int((c.n - 1) / bulkPiece)
			}
			if end.used != 4+c.n/8 || e.yields != yields {
				t.Errorf("%s, %+v: used %d, %d yields, want %d", e.name, c, end.used, e.yields, yields)
			}
		}
		copy(got, pattern)
		if end := e.call(metered, 4+bulkSize/8-1, 1000, "fill", 0, 1, bulkSize); end.fault != errExhausted.Error() || !bytes.Equal(got, pattern) {
			t.Errorf("%s: a fill that is not paid: %v, nothing written: %v", e.name, end, bytes.Equal(got, pattern))
		}
	}
}
