package wasm

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/fuel"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/runnertest"
)

// plain is a module with one body, exported as _start.
func plain(code []byte) guest {
	return guest{bodies: []fn{{name: startEntry, code: code}}, memory: []byte{0, 1}}
}

func importing(module, name, params, results string) []byte {
	g := plain(nil)
	g.imports = []fn{{module: module, name: name, params: params, results: results}}
	return g.bytes()
}

// raw is a module of the given sections.
func raw(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), bytes.Join(sections, nil)...)
}

// TestCheckRefuses names every mutation and the code it must have.
func TestCheckRefuses(t *testing.T) {
	withTable := func(table ...byte) []byte { g := plain(nil); g.table = table; return g.bytes() }
	withMemory := func(limits ...byte) []byte { g := plain(nil); g.memory = limits; return g.bytes() }
	exporting := func(f fn) []byte { return guest{bodies: []fn{f}}.bytes() }
	huge := appendU32(nil, 1<<31)
	for name, c := range map[string]struct {
		code   fault.Code
		module []byte
	}{
		"empty":                 {fuel.ErrMalformed, nil},
		"not wasm":              {fuel.ErrMalformed, []byte("#!/bin/sh\n")},
		"version 2":             {fuel.ErrMalformed, []byte("\x00asm\x02\x00\x00\x00")},
		"component":             {fuel.ErrComponent, []byte("\x00asm\x0d\x00\x01\x00")},
		"truncated":             {fuel.ErrMalformed, plain(nil).bytes()[:20]},
		"unknown section":       {fuel.ErrMalformed, raw(section(14, nil))},
		"sections out of order": {fuel.ErrMalformed, raw(section(secFunction, vec()), section(secType, vec()))},
		"section twice":         {fuel.ErrMalformed, raw(section(secType, vec()), section(secType, vec()))},
		"section with a tail":   {fuel.ErrMalformed, raw(section(secType, []byte{0, 0}))},
		"tags":                  {fuel.ErrExceptions, raw(section(13, vec()))},
		"invalid body":          {fuel.ErrInvalid, plain([]byte{opDrop}).bytes()},
		"unknown opcode":        {fuel.ErrOpcode, plain([]byte{0xff}).bytes()},
		"simd":                  {fuel.ErrSIMD, plain(join(0xfd, 12, make([]byte, 16), opDrop)).bytes()},
		"tail call":             {fuel.ErrTailCalls, plain([]byte{0x12, 0}).bytes()},
		"atomics":               {fuel.ErrThreads, plain([]byte{0xfe, 3, 0}).bytes()},
		"shared memory":         {fuel.ErrThreads, withMemory(3, 1, 1)},
		"memory64":              {fuel.ErrMemory64, withMemory(4, 1)},
		"two memories":          {fuel.ErrMultiMemory, raw(section(secMemory, vec([]byte{0, 1}, []byte{0, 1})))},
		"no entry":              {ErrEntryMissing, exporting(fn{name: "run"})},
		"entry with parameters": {ErrEntryMissing, exporting(fn{name: startEntry, params: vI32})},
		"entry with results":    {ErrEntryMissing, exporting(fn{name: startEntry, results: vI32, code: c32(1)})},
		"unknown module":        {ErrImportUnknown, importing("env", "abort", vI32, "")},
		"unknown wasi function": {ErrImportUnknown, importing(wasiModule, "path_open", vI32, vI32)},
		"older wasi":            {ErrImportUnknown, importing("wasi_unstable", "fd_write", vI32+vI32+vI32+vI32, vI32)},
		"unknown hostcall":      {ErrImportUnknown, importing(mythosModule, "ledger_read", "", "")},
		"hostcall of wrong type": {
			ErrImportUnknown, importing(mythosModule, "request_len", vI32, vI32),
		},
		"data out of range": {fuel.ErrSegment, raw(section(secMemory, vec([]byte{0, 1})), section(secData, vec(join(0, c32(pageSize-1), opEnd, str("xy")))))},
		"elements out of range": {fuel.ErrSegment, guest{
			bodies: []fn{{name: startEntry}}, table: []byte{0x70, 0, 1}, elements: vec(join(0, c32(1), opEnd, 1, 0)),
		}.bytes()},
		"now_us":          {ErrImportUngranted, importing(mythosModule, "now_us", "", vI64)},
		"random":          {ErrImportUngranted, importing(mythosModule, "random", vI32+vI32, "")},
		"blob_get":        {ErrImportUngranted, importing(mythosModule, "blob_get", vI32+vI64+vI32+vI32, vI32)},
		"http":            {ErrImportUngranted, importing(mythosModule, "http", vI32+vI32, vI32)},
		"http_read":       {ErrImportUngranted, importing(mythosModule, "http_read", vI32+vI32+vI32, vI32)},
		"imported memory": {fuel.ErrImport, raw(section(secImport, vec(join(str("env"), str("memory"), 2, 0, 1))))},
		"imported global": {fuel.ErrImport, raw(section(secImport, vec(join(str("env"), str("g"), 3, 0x7f, 0))))},
		"memory minimum":  {ErrMemoryLimit, withMemory(0, 17)},
		"types bomb":      {fuel.ErrTooLarge, raw(section(secType, huge))},
		"types too many":  {fuel.ErrMalformed, raw(section(secType, appendU32(nil, 90_000)))},
		"functions bomb":  {fuel.ErrFunctions, raw(section(secFunction, huge))},
		"locals bomb": {fuel.ErrLocals, guest{bodies: []fn{{
			name: startEntry, locals: join(1, appendU32(nil, 1<<32-1), 0x7f),
		}}}.bytes()},
		"one local too many": {fuel.ErrLocals, guest{bodies: []fn{{
			name: startEntry, locals: join(2, appendU32(nil, 50_000), 0x7f, 1, 0x7f),
		}}}.bytes()},
		"table bomb":  {fuel.ErrTooLarge, withTable(join(0x70, 0, appendU32(nil, 1<<27))...)},
		"tables bomb": {fuel.ErrTooLarge, raw(section(secTable, vec(make([][]byte, 17)...)))},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, Options{})
			m := bind(c.module, runner.ABIHostcall)
			if err := r.Check(t.Context(), m); fault.CodeOf(err) != c.code {
				t.Errorf("Check: %v, want %s", err, c.code)
			}
			if res, err := r.Run(t.Context(), runner.Call{Module: m}); fault.CodeOf(err) != c.code {
				t.Errorf("Run: %v, %v, want %s", res.Outcome, err, c.code)
			}
		})
	}
}

// TestCheckBinding: the same bytes may be accepted for one binding and refused
// for another.
func TestCheckBinding(t *testing.T) {
	r := open(t, Options{MaxMemoryBytes: 1 << 30, MaxModuleBytes: 1 << 10})
	echo := hostcallCode().behaviour(runnertest.Echo).bytes()
	for name, c := range map[string]struct {
		code   fault.Code
		change func(*runner.Module)
	}{
		"accepted":         {"", func(*runner.Module) {}},
		"named entry":      {"", func(m *runner.Module) { m.Entry = []string{startEntry} }},
		"hostcalls, stdio": {ErrImportUnknown, func(m *runner.Module) { m.ABI = runner.ABIStdio }},
		"two entries":      {ErrEntryMissing, func(m *runner.Module) { m.Entry = []string{startEntry, startEntry} }},
		"other entry":      {ErrEntryMissing, func(m *runner.Module) { m.Entry = []string{"run"} }},
		"minimum memory":   {"", func(m *runner.Module) { m.Limits.MemoryBytes = 2 * pageSize }},
		"part of a page":   {ErrMemoryLimit, func(m *runner.Module) { m.Limits.MemoryBytes = 2*pageSize - 1 }},
		"memory over the runner's": {
			runner.ErrLimits, func(m *runner.Module) { m.Limits.MemoryBytes = 1<<30 + 1 },
		},
		"large module": {fuel.ErrTooLarge, func(m *runner.Module) {
			b := append(bytes.Clone(echo), section(secCustom, make([]byte, 1<<10))...)
			*m = bind(b, m.ABI)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := bind(echo, runner.ABIHostcall)
			c.change(&m)
			if err := r.Check(t.Context(), m); fault.CodeOf(err) != c.code {
				t.Errorf("Check: %v, want %q", err, c.code)
			}
		})
	}
}

// TestLimitsAreReached: what the limits allow is accepted.
func TestLimitsAreReached(t *testing.T) {
	g := plain(nil)
	g.bodies[0].locals = join(1, appendU32(nil, 50_000), 0x7f)
	g.table = join(0x70, 0, appendU32(nil, 1_000_000))
	g.memory = []byte{0, 16}
	g.extra = section(secCustom, str("name"))
	if err := open(t, Options{}).Check(t.Context(), bind(g.bytes(), runner.ABIHostcall)); err != nil {
		t.Error(err)
	}
}

// TestTablesAreBounded: a table without a maximum still has one.
func TestTablesAreBounded(t *testing.T) {
	code := hostcallCode()
	grow := func(n int32) []byte { // table.grow by n null references; answers 1 byte if it gave -1
		return join(0xd0, 0x70, c32(n), 0xfc, 15, 0, c32(-1), opI32Eq, opIf, 0x40, code.answer(dataAt, 1), opEnd)
	}
	r := open(t, Options{})
	for name, c := range map[string]struct {
		table   []byte
		by      int32
		outcome runner.Outcome
	}{
		"unbounded, within":   {[]byte{0x70, 0, 0}, 65_536, runner.NoResponse},
		"unbounded, over":     {[]byte{0x70, 0, 0}, 65_536 + 1, runner.Answered},
		"declared, over":      {[]byte{0x70, 1, 0, 5}, 6, runner.Answered},
		"huge maximum, over":  {join(0x6f, 1, 0, appendU32(nil, 1<<32-1)), 65_536 + 1, runner.Answered},
		"large minimum, over": {join(0x70, 0, appendU32(nil, 65_536+1)), 1, runner.Answered},
	} {
		t.Run(name, func(t *testing.T) {
			body := grow(c.by)
			if c.table[0] == 0x6f {
				body[1] = 0x6f
			}
			g := code.with(body, "x")
			g.table = c.table
			if res := invoke(t, r, bind(g.bytes(), code.abi), "q"); res.Outcome != c.outcome {
				t.Errorf("got %v (%s), want %v", res.Outcome, res.Detail, c.outcome)
			}
		})
	}
}

// FuzzCheck: no bytes make Check panic, and what it accepts runs and ends within
// its limits, the same way on both engines.
func FuzzCheck(f *testing.F) {
	for _, code := range []abiCode{hostcallCode(), stdioCode()} {
		for _, b := range []runnertest.Behaviour{
			runnertest.Echo, runnertest.Log, runnertest.Garbage, runnertest.Nothing, runnertest.TooMuch,
			runnertest.Trap, runnertest.Grow, runnertest.Exit, runnertest.Random, runnertest.Count,
		} {
			f.Add(code.behaviour(b).bytes())
		}
	}
	f.Add(importing("env", "abort", vI32, ""))
	f.Add([]byte("\x00asm\x0d\x00\x01\x00"))
	compiler := open(f, Options{Modules: 2, MaxModuleBytes: 1 << 16})
	interpreter := open(f, Options{Modules: 2, MaxModuleBytes: 1 << 16, Interpreter: true})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, abi := range []uint8{runner.ABIHostcall, runner.ABIStdio} {
			m := bind(b, abi)
			m.Limits.Timeout = time.Minute
			m.Limits.Fuel = &fuzzFuel
			got, code := fuzzRun(t, compiler, m)
			want, wantCode := fuzzRun(t, interpreter, m)
			if code != wantCode {
				t.Fatalf("compiler %q, interpreter %q", code, wantCode)
			}
			if got.Outcome == runner.Killed || want.Outcome == runner.Killed {
				continue
			}
			if got.Outcome != want.Outcome || !bytes.Equal(got.Response, want.Response) ||
				!bytes.Equal(got.Log, want.Log) || (code == "" && *got.FuelUsed != *want.FuelUsed) {
				t.Fatalf("compiler %v % x (%s), interpreter %v % x (%s)",
					got.Outcome, got.Response, got.Detail, want.Outcome, want.Response, want.Detail)
			}
		}
	})
}

// fuzzFuel bounds what a fuzzed module may do.
var fuzzFuel uint64 = 300_000

// fuzzRun checks and runs a module that may be anything.
func fuzzRun(t *testing.T, r *Runner, m runner.Module) (runner.Result, fault.Code) {
	checked := r.Check(t.Context(), m)
	res, err := r.Run(t.Context(), runner.Call{Module: m, Request: []byte("q")})
	if fault.CodeOf(checked) != fault.CodeOf(err) || (checked != nil && fault.CodeOf(checked) == "") {
		t.Fatalf("Check: %v, Run: %v", checked, err)
	}
	// Only the interpreter's own stack ends before the depth does.
	if err == nil && (res.Outcome == 0 || res.Outcome == runner.Killed && !strings.Contains(res.Detail, stackOverflow)) {
		t.Fatalf("%v (%s)", res.Outcome, res.Detail)
	}
	return res, fault.CodeOf(checked)
}
