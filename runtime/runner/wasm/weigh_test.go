package wasm

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/runner"
)

// bombs are small modules that would keep the engine's compiler busy for
// minutes, or take gigabytes, if they came to it.
func bombs() map[string]guest {
	repeat := func(n int, parts ...any) []byte { return bytes.Repeat(join(parts...), n) }
	one := join(1, 1, []byte(vI32)) // one local
	many := func(n uint32) []byte { return append(append([]byte{1}, appendU32(nil, n)...), vI32...) }
	reads := func(n int) (b []byte) {
		for i := range n {
			b = append(append(append(b, opLocalGet), appendU32(nil, uint32(i))...), opDrop)
		}
		return b
	}
	wide := string(bytes.Repeat([]byte(vI32), 1000))
	push := repeat(1000, c32(0))
	drop := repeat(1000, opDrop)
	start := func(locals []byte, code ...any) guest {
		return guest{bodies: []fn{{name: startEntry, locals: locals, code: join(code...)}}}
	}
	values := func(op ...any) guest {
		return guest{bodies: []fn{
			{params: wide, results: wide, code: push},
			{name: startEntry, code: join(op...)},
		}}
	}
	return map[string]guest{
		"ifs":              start(one, repeat(40_000, c32(0), opIf, 0x40, opEnd), opLocalGet, 0, opDrop),
		"nested loops":     start(many(4000), repeat(4000, opLoop, 0x40), reads(4000), repeat(4000, opEnd)),
		"loops in a row":   start(many(1000), repeat(4000, opLoop, 0x40, c32(0), 0x0d, 0, opEnd), reads(1000)),
		"wide calls":       values(push, repeat(4000, opCall, 0), drop),
		"wide br_table":    values(0x02, 0, push, c32(0), 0x0e, appendU32(nil, 60_000), repeat(60_001, 0), opEnd, drop),
		"wide br_if":       values(0x02, 0, push, repeat(4000, c32(0), 0x0d, 0), opEnd, drop),
		"wide blocks":      values(push, repeat(4000, 0x02, 0), repeat(4000, opEnd), drop),
		"wide returns":     {bodies: []fn{{results: wide, code: repeat(4000, push, 0x0f)}, {name: startEntry}}},
		"targets":          start(nil, 0x02, 0x40, c32(0), 0x0e, appendU32(nil, 1<<20), repeat(1<<20+1, 0), opEnd),
		"many of them":     {bodies: append([]fn{{name: startEntry}}, crowd(100, fn{locals: one, code: repeat(8000, 0x02, 0x40, opLocalGet, 0, 0x0d, 0, opEnd)})...)},
		"wide call by ref": {table: []byte{0x70, 0, 1}, bodies: []fn{{params: wide, results: wide, code: push}, {name: startEntry, code: join(push, repeat(4000, c32(0), 0x11, 0, 0), drop)}}},
	}
}

// TestTimeoutWithoutLoop: the wall clock ends guests that run long without any
// loop: by calls that double, by bulk operations, by host functions.
func TestTimeoutWithoutLoop(t *testing.T) {
	first := len(hostcallImports())
	guests := map[string]guest{
		"fills":      {bodies: []fn{{name: startEntry, code: bytes.Repeat(join(c32(0), c32(1), c32(1<<26), 0xfc, 11, 0), 2000)}}},
		"host calls": {bodies: []fn{{name: startEntry, code: bytes.Repeat(join(callFn(fnRead, 0, 0, 1<<20), opDrop), 20_000)}}},
	}
	var doubling guest
	for i := range 40 {
		next := callFn(first + i + 1)
		doubling.bodies = append(doubling.bodies, fn{code: join(next, next)})
	}
	doubling.bodies[0].name = startEntry
	doubling.bodies = append(doubling.bodies, fn{})
	guests["calls"] = doubling
	for _, interpreter := range []bool{false, true} {
		r := open(t, Options{Interpreter: interpreter})
		for name, g := range guests {
			g.imports, g.memory = hostcallImports(), append([]byte{0}, appendU32(nil, 1024)...)
			m := bind(g.bytes(), runner.ABIHostcall)
			m.Limits.Timeout = 50 * time.Millisecond
			m.Limits.MemoryBytes, m.Limits.MaxRequest = 1<<26, 1<<20
			res, err := r.Run(context.Background(), runner.Call{Module: m, Request: make([]byte, 1<<20)})
			if err != nil || res.Outcome != runner.TimedOut {
				t.Errorf("%s, interpreter %v: %v %v %s", name, interpreter, err, res.Outcome, res.Detail)
			}
		}
	}
}

func crowd(n int, f fn) []fn {
	var out []fn
	for range n {
		out = append(out, f)
	}
	return out
}

func TestBombs(t *testing.T) {
	for name, g := range bombs() {
		t.Run(name, func(t *testing.T) {
			_, err := scan(g.bytes())
			if !errors.Is(err, ErrTooLarge) {
				t.Errorf("a module of %d bytes: %v", len(g.bytes()), err)
			}
		})
	}
}

// TestWeighReads: what a stock toolchain writes is stepped over to the last
// byte, and takes a small part of the work that is allowed.
func TestWeighReads(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stdio.wasm")
	cmd := exec.Command("go", "build", "-o", file, "./testdata/stdio")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := scan(b)
	if err != nil {
		t.Fatal(err)
	}
	if perMB := s.work / uint64(len(b)>>20); perMB == 0 || perMB > maxWork/32 {
		t.Errorf("%d bytes are %d ns of work", len(b), s.work)
	}
}

// TestWeighAgrees: each instruction's immediates are stepped over as the engine
// reads them. If the two disagreed, the end of the body would not be an end.
func TestWeighAgrees(t *testing.T) {
	r := open(t, Options{})
	for name, code := range map[string][]byte{
		"consts":        join(0x42, 0x80, 0x7f, opDrop, 0x43, 1, 2, 3, 4, opDrop, 0x44, 1, 2, 3, 4, 5, 6, 7, 8, opDrop, c32(-1), opDrop),
		"memory":        join(0x3f, 0, 0x40, 0, opDrop, c32(0), 0x29, 3, 0x80, 1, opDrop),
		"bulk memory":   join(c32(0), c32(0), c32(0), 0xfc, 10, 0, 0, c32(0), c32(0), c32(0), 0xfc, 11, 0),
		"saturating":    join(0x43, 0, 0, 0, 0, 0xfc, 0, opDrop),
		"sign":          join(c32(1), 0xc0, opDrop),
		"table":         join(c32(0), 0x25, 0, 0xd1, opDrop, c32(0), 0xd0, 0x70, 0x26, 0, 0xfc, 16, 0, opDrop),
		"table fill":    join(c32(0), 0xd0, 0x70, c32(0), 0xfc, 17, 0, c32(0), c32(0), c32(0), 0xfc, 14, 0, 0, 0xd0, 0x70, c32(0), 0xfc, 15, 0, opDrop),
		"select":        join(c32(0), c32(0), c32(0), 0x1b, opDrop, c32(0), c32(0), c32(0), 0x1c, 1, []byte(vI32), opDrop),
		"branches":      join(0x02, 0x40, c32(0), 0x0e, 2, 0, 1, 0, opEnd),
		"call indirect": join(c32(0), 0x11, 0, 0),
		"else":          join(c32(0), opIf, []byte(vI32), c32(1), 0x05, c32(2), opEnd, opDrop),
	} {
		t.Run(name, func(t *testing.T) {
			g := guest{memory: []byte{0, 1}, table: []byte{0x70, 0, 1}, bodies: []fn{{name: startEntry, code: code}}}
			if err := r.Check(context.Background(), bind(g.bytes(), runner.ABIHostcall)); err != nil {
				t.Error(err)
			}
		})
	}
}
