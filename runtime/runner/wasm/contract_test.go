package wasm

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/runnertest"
)

// result stores what a call left on the stack at outAt+4*i.
func result(i int32, callCode []byte) []byte {
	return join(c32(outAt+4*i), callCode, opI32Store, 2, 0)
}

// words runs a guest that stores n words at outAt and answers them.
func words(t *testing.T, imports []fn, request string, n int32, code ...[]byte) []uint32 {
	t.Helper()
	a := hostcallCode()
	g := a.with(join(bytes.Join(code, nil), a.answer(outAt, 4*n)), "text\x00\xff\nmore")
	g.imports = append(g.imports, imports...)
	res := invoke(t, open(t, Options{}), bind(g.bytes(), a.abi), request)
	if res.Outcome != runner.Answered {
		t.Fatalf("%v: %s", res.Outcome, res.Detail)
	}
	out := make([]uint32, n)
	for i := range out {
		b := res.Response[4*i:]
		out[i] = uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
	}
	return out
}

func equal(t *testing.T, got []uint32, want ...uint32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d words, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("word %d is %d, want %d", i, int32(got[i]), int32(want[i]))
		}
	}
}

const fnNext = fnWrite + 1 // the first import that a test adds

func TestRequestRead(t *testing.T) {
	got := words(t, nil, "0123456789", 6,
		result(0, callFn(fnLen)),
		result(1, callFn(fnRead, 256, 0, 4)),
		result(2, callFn(fnRead, 256, 8, 4)),  // short: 2 bytes are left
		result(3, callFn(fnRead, 256, 10, 4)), // at the end
		result(4, callFn(fnRead, 256, -1, 4)), // past it
		result(5, join(c32(256), opI32Load, 2, 0)),
	)
	equal(t, got, 10, 4, 2, 0, 0, uint32('8')|uint32('9')<<8|uint32('2')<<16|uint32('3')<<24)
}

// TestResponseWrite: writes append; one over the limit is refused whole, and a
// shorter one may follow.
func TestResponseWrite(t *testing.T) {
	a := hostcallCode()
	r := open(t, Options{})
	write := func(at, n int32) []byte { return a.answer(at, n) }
	for name, c := range map[string]struct {
		code     []byte
		outcome  runner.Outcome
		response string
	}{
		"appends":            {join(write(dataAt, 2), write(dataAt+2, 2)), runner.Answered, "abcd"},
		"at the limit":       {join(write(dataAt, 4), write(dataAt+4, 4)), runner.Answered, "abcdefgh"},
		"refused, then less": {join(write(dataAt, 9), write(dataAt, 3)), runner.Answered, "abc"},
		"kept, then refused": {join(write(dataAt, 4), write(dataAt, 5)), runner.ResponseTooLarge, ""},
		"empty":              {write(dataAt, 0), runner.NoResponse, ""},
		"gives the length": {
			join(result(0, callFn(fnWrite, dataAt, 3)), write(outAt, 1)), runner.Answered, "abc\x03",
		},
		"gives -3": {
			join(result(0, callFn(fnWrite, dataAt, 9)), write(outAt, 4)), runner.Answered, "\xfd\xff\xff\xff",
		},
		"out of range": {write(2*pageSize-1, 2), runner.Trapped, ""},
		"wraps around": {write(-1, -1), runner.Trapped, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := bind(a.with(c.code, "abcdefghij").bytes(), a.abi)
			m.Limits.MaxResponse = 8
			res := invoke(t, r, m, "q")
			if res.Outcome != c.outcome || string(res.Response) != c.response {
				t.Errorf("got %v %q (%s), want %v %q", res.Outcome, res.Response, res.Detail, c.outcome, c.response)
			}
		})
	}
}

func TestLogLevels(t *testing.T) {
	a := hostcallCode()
	var code []byte
	for _, level := range []int32{0, 1, 2, 3, 4, -1} {
		code = append(code, callFn(fnLog, level, dataAt, 11)...)
	}
	res := invoke(t, open(t, Options{}), bind(a.with(join(code, a.echo), "text\x00\xff\nmore").bytes(), a.abi), "q")
	var want strings.Builder
	for _, level := range []string{"DEBUG", "INFO", "WARN", "ERROR", "ERROR", "ERROR"} {
		want.WriteString(level + ` text\x00\xff` + "\n" + level + " more\n")
	}
	if string(res.Log) != want.String() {
		t.Errorf("log %q, want %q", res.Log, want.String())
	}
}

// TestLoggable: what is cut before it comes to the log is cut off by the log.
func TestLoggable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &Host{limits: &runner.Limits{MaxStderr: rapid.Uint64Range(0, 40).Draw(t, "limit")}}
		whole, cut := runner.NewLog(h.limits.MaxStderr), runner.NewLog(h.limits.MaxStderr)
		for i, text := range rapid.SliceOfN(rapid.StringMatching(`[a\n\x00\x{e9}]{0,60}`), 1, 4).Draw(t, "texts") {
			if b := []byte(text); rapid.Bool().Draw(t, "stream") {
				_, _ = whole.Write(b)
				_, _ = cut.Write(h.loggable(b))
			} else if !whole.Full() {
				whole.Add("INFO", b)
				cut.Add("INFO", h.loggable(b))
			}
			if whole.Full() != cut.Full() {
				t.Fatalf("after text %d one log is full", i)
			}
		}
		a, aCut := whole.Bytes()
		b, bCut := cut.Bytes()
		if !bytes.Equal(a, b) || aCut != bCut {
			t.Fatalf("%q %v, want %q %v", b, bCut, a, aCut)
		}
	})
}

// TestHostcallTraps: a pointer out of range traps in every hostcall.
func TestHostcallTraps(t *testing.T) {
	a := hostcallCode()
	r := open(t, Options{})
	for name, code := range map[string][]byte{
		"request_read":         join(callFn(fnRead, 2*pageSize, 0, 1), opDrop),
		"request_read of none": join(callFn(fnRead, 2*pageSize+1, 0, 0), opDrop),
		"log":                  callFn(fnLog, 1, 2*pageSize-3, 4),
	} {
		if res := invoke(t, r, bind(a.with(join(code, a.echo), "").bytes(), a.abi), "q"); res.Outcome != runner.Trapped {
			t.Errorf("%s: %v (%s)", name, res.Outcome, res.Detail)
		}
	}
	none := guest{imports: a.imports, bodies: []fn{{name: startEntry, code: callFn(fnLog, 1, 0, 0)}}}
	if res := invoke(t, r, bind(none.bytes(), a.abi), "q"); res.Outcome != runner.Trapped {
		t.Errorf("without a memory: %v (%s)", res.Outcome, res.Detail)
	}
}

// TestEntries: _initialize is called once before an entry that is not _start;
// proc_exit(0) is a return, anything else is not.
func TestEntries(t *testing.T) {
	a := hostcallCode()
	r := open(t, Options{})
	write := func(at int32) []byte { return a.answer(at, 1) }
	entry := func(extra []byte) guest {
		return guest{
			imports: a.imports, memory: []byte{0, 1}, data: "ISR",
			bodies: []fn{
				{name: initEntry, code: join(write(dataAt), extra)},
				{name: startEntry, code: join(write(dataAt+1), extra)},
				{name: "run", code: join(write(dataAt+2), extra)},
			},
		}
	}
	for name, c := range map[string]struct {
		guest    guest
		entry    []string
		outcome  runner.Outcome
		response string
	}{
		"command":              {entry(nil), nil, runner.Answered, "S"},
		"reactor":              {entry(nil), []string{"run"}, runner.Answered, "IR"},
		"initialize alone":     {entry(nil), []string{initEntry}, runner.Answered, "II"},
		"command, exit 0":      {entry(callFn(fnExit, 0)), nil, runner.Answered, "S"},
		"reactor, exit 0":      {entry(callFn(fnExit, 0)), []string{"run"}, runner.Answered, "IR"},
		"reactor, exit 1":      {entry(callFn(fnExit, 1)), []string{"run"}, runner.Exited, ""},
		"exit like a deadline": {entry(callFn(fnExit, -0x10000001)), nil, runner.Exited, ""},
		"exit like a cancel":   {entry(callFn(fnExit, -1)), nil, runner.Exited, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := bind(c.guest.bytes(), a.abi)
			m.Entry = c.entry
			res := invoke(t, r, m, "q")
			if res.Outcome != c.outcome || string(res.Response) != c.response {
				t.Errorf("got %v %q (%s), want %v %q", res.Outcome, res.Response, res.Detail, c.outcome, c.response)
			}
		})
	}
	g := entry(nil)
	g.start = len(a.imports) // the start function runs before everything
	if res := invoke(t, r, bind(g.bytes(), a.abi), "q"); string(res.Response) != "IS" {
		t.Errorf("a start function: %v %q (%s)", res.Outcome, res.Response, res.Detail)
	}
	g.bodies[0].code = []byte{opLoop, 0x40, opBr, 0, opEnd}
	m := bind(g.bytes(), a.abi)
	m.Limits.Timeout = 1000 * 1000
	if res := invoke(t, r, m, "q"); res.Outcome != runner.TimedOut {
		t.Errorf("an endless start function: %v (%s)", res.Outcome, res.Detail)
	}
}

// TestMemoryRefused: what a guest does after a refused growth decides.
func TestMemoryRefused(t *testing.T) {
	a := hostcallCode()
	r := open(t, Options{})
	limit := int32(runnertest.MemoryBytes / pageSize)
	grow := func(n int32) []byte { return join(c32(n), opMemoryGrow, 0) }
	for name, c := range map[string]struct {
		code    []byte
		outcome runner.Outcome
	}{
		"to the limit, trap":    {join(grow(limit-2), opDrop, opUnreachable), runner.Trapped},
		"over the limit, trap":  {join(grow(limit-1), opDrop, opUnreachable), runner.MemoryExceeded},
		"over the limit, exit":  {join(grow(limit-1), opDrop, callFn(fnExit, 2)), runner.MemoryExceeded},
		"over the limit, lives": {join(grow(limit-1), opDrop, a.echo), runner.Answered},
	} {
		if res := invoke(t, r, bind(a.with(c.code, "").bytes(), a.abi), "q"); res.Outcome != c.outcome {
			t.Errorf("%s: %v (%s), want %v", name, res.Outcome, res.Detail, c.outcome)
		}
	}
	stores := join(grow(1), opDrop, c32(2*pageSize), c32(7), opI32Store, 2, 0, a.answer(2*pageSize, 1))
	if res := invoke(t, r, bind(a.with(stores, "").bytes(), a.abi), "q"); string(res.Response) != "\x07" {
		t.Errorf("grown memory: %v %q (%s)", res.Outcome, res.Response, res.Detail)
	}
}

// TestRandomVector fixes the random source, so that other implementations give
// the same bytes; the second vector is that of RFC-MYTHOS-0006 §11.3.
func TestRandomVector(t *testing.T) {
	var ascending cid.Hash
	for i := range ascending {
		ascending[i] = byte(i)
	}
	for want, hash := range map[string]cid.Hash{
		"bc4b75e69ea98ffb9348a1c1f86f978eacfdec9841b48215035603aae5a1af0334e77277c986d429a6790366c973ec7809bbf5fccb95cba4f77e021201297d02": cid.Sum([]byte("request")),
		"f5319518e13d5309660b7807582cd6cd1c219a4d3c197cc3a5ba6910e0a5ae6b":                                                                 ascending,
	} {
		var r random
		r.seed(hash)
		got := make([]byte, len(want)/2)
		_, _ = r.Read(got[:5])
		_, _ = r.Read(got[5:])
		if hex.EncodeToString(got) != want {
			t.Errorf("got %x, want %s", got, want)
		}
	}
}
