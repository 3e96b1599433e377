package wasm

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/runnertest"
)

// guest assembles a small module. Imports come first, so function indexes are
// those of the imports, then those of the bodies.
type guest struct {
	imports  []fn
	bodies   []fn
	memory   []byte // limits; nil: no memory
	table    []byte // table section body without its count; nil: no table
	elements []byte // element section body; nil: none
	start    int    // function index, 0: none
	data     string // at address dataAt
	globals  int    // mutable i32, 0 at first
	extra    []byte // raw sections after all others
}

// fn is an imported function, or a body that is exported if named.
type fn struct {
	module, name string
	params       string // value types, one byte each
	results      string
	locals       []byte // vector body: groups of locals
	code         []byte // without the final end
}

const dataAt = 1024

// Section ids of the binary format.
const (
	secCustom   = 0
	secType     = 1
	secImport   = 2
	secFunction = 3
	secTable    = 4
	secMemory   = 5
	secGlobal   = 6
	secExport   = 7
	secStart    = 8
	secElement  = 9
	secCode     = 10
	secData     = 11
)

func appendU32(b []byte, v uint32) []byte { return binary.AppendUvarint(b, uint64(v)) }

// Value types and instructions.
const (
	vI32 = "\x7f"
	vI64 = "\x7e"

	opUnreachable = 0x00
	opLoop        = 0x03
	opIf          = 0x04
	opEnd         = 0x0b
	opBr          = 0x0c
	opCall        = 0x10
	opDrop        = 0x1a
	opLocalGet    = 0x20
	opLocalSet    = 0x21
	opGlobalGet   = 0x23
	opGlobalSet   = 0x24
	opI32Load     = 0x28
	opI32Store    = 0x36
	opI32Store8   = 0x3a
	opMemoryGrow  = 0x40
	opConst       = 0x41
	opI32Eq       = 0x46
	opI32Add      = 0x6a
	opI32Mul      = 0x6c
)

// c32 is i32.const.
func c32(v int32) []byte {
	b := []byte{opConst}
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// join concatenates instructions.
func join(parts ...any) (b []byte) {
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case []byte:
			b = append(b, p...)
		default:
			panic("neither an opcode nor code")
		}
	}
	return b
}

func vec(items ...[]byte) []byte {
	b := appendU32(nil, uint32(len(items)))
	for _, i := range items {
		b = append(b, i...)
	}
	return b
}

func str(s string) []byte { return append(appendU32(nil, uint32(len(s))), s...) }

func section(id byte, body []byte) []byte {
	return append(appendU32([]byte{id}, uint32(len(body))), body...)
}

// bytes returns the module.
func (g guest) bytes() []byte {
	var types, imports, funcs, exports, bodies [][]byte
	sig := func(f fn) uint32 {
		types = append(types, join(0x60, str(f.params), str(f.results)))
		return uint32(len(types) - 1)
	}
	for _, f := range g.imports {
		imports = append(imports, append(join(str(f.module), str(f.name), 0), appendU32(nil, sig(f))...))
	}
	for i, f := range g.bodies {
		funcs = append(funcs, appendU32(nil, sig(f)))
		if f.name != "" {
			exports = append(exports, append(join(str(f.name), 0), appendU32(nil, uint32(len(imports)+i))...))
		}
		locals := f.locals
		if locals == nil {
			locals = []byte{0}
		}
		body := join(locals, f.code, opEnd)
		bodies = append(bodies, append(appendU32(nil, uint32(len(body))), body...))
	}
	b := []byte("\x00asm\x01\x00\x00\x00")
	b = append(b, section(secType, vec(types...))...)
	b = append(b, section(secImport, vec(imports...))...)
	b = append(b, section(secFunction, vec(funcs...))...)
	if g.table != nil {
		b = append(b, section(secTable, vec(g.table))...)
	}
	if g.memory != nil {
		b = append(b, section(secMemory, vec(g.memory))...)
	}
	globals := make([][]byte, g.globals)
	for i := range globals {
		globals[i] = join([]byte(vI32), 1, c32(0), opEnd)
	}
	b = append(b, section(secGlobal, vec(globals...))...)
	b = append(b, section(secExport, vec(exports...))...)
	if g.start != 0 {
		b = append(b, section(secStart, appendU32(nil, uint32(g.start)))...)
	}
	if g.elements != nil {
		b = append(b, section(secElement, g.elements)...)
	}
	b = append(b, section(secCode, vec(bodies...))...)
	if g.data != "" {
		b = append(b, section(secData, vec(join(0, c32(dataAt), opEnd, str(g.data))))...)
	}
	return append(b, g.extra...)
}

// The imports that the guests share, by function index; the stdio abi has only
// those before fnLen.
const (
	fnLog = iota
	fnExit
	fnRandom
	fnFdRead
	fnFdWrite
	fnLen
	fnRead
	fnWrite
)

func stdioImports() []fn {
	return []fn{
		{module: mythosModule, name: "log", params: vI32 + vI32 + vI32},
		{module: wasiModule, name: "proc_exit", params: vI32},
		{module: wasiModule, name: "random_get", params: vI32 + vI32, results: vI32},
		{module: wasiModule, name: "fd_read", params: vI32 + vI32 + vI32 + vI32, results: vI32},
		{module: wasiModule, name: "fd_write", params: vI32 + vI32 + vI32 + vI32, results: vI32},
	}
}

func hostcallImports() []fn {
	return append(stdioImports(),
		fn{module: mythosModule, name: "request_len", results: vI32},
		fn{module: mythosModule, name: "request_read", params: vI32 + vI32 + vI32, results: vI32},
		fn{module: mythosModule, name: "response_write", params: vI32 + vI32, results: vI32},
	)
}

// callFn is a call of a function with constants.
func callFn(index int, args ...int32) []byte {
	var b []byte
	for _, a := range args {
		b = append(b, c32(a)...)
	}
	return append(b, opCall, byte(index))
}

func store32(at, v int32) []byte { return join(c32(at), c32(v), opI32Store, 2, 0) }

// Where the guests keep things: iovecs and counts low, the request at 64 KiB.
const (
	iovAt  = 16
	sizeAt = 32
	headAt = 64
	stateA = 512
	outAt  = 2048
	reqAt  = 1 << 16
)

// abiCode is how a guest reads its request and answers with one abi.
type abiCode struct {
	abi     uint8
	imports []fn
	read    []byte                   // leaves a length in local 0
	answer  func(at, n int32) []byte // answers n bytes at an address
	echo    []byte                   // answers the request
}

func hostcallCode() abiCode {
	return abiCode{
		abi:     runner.ABIHostcall,
		imports: hostcallImports(),
		read: join(callFn(fnLen), opLocalSet, 0,
			c32(reqAt), c32(0), opLocalGet, 0, opCall, fnRead, opDrop),
		answer: func(at, n int32) []byte { return join(callFn(fnWrite, at, n), opDrop) },
		echo:   join(c32(reqAt), opLocalGet, 0, opCall, fnWrite, opDrop),
	}
}

// stdioCode keeps the request's frame as it came: it is also the frame of the
// answer that echoes it.
func stdioCode() abiCode {
	iov := func(i, ptr int32, n []byte) []byte {
		return join(store32(iovAt+8*i, ptr), c32(iovAt+8*i+4), n, opI32Store, 2, 0)
	}
	return abiCode{
		abi:     runner.ABIStdio,
		imports: stdioImports(),
		read: join(iov(0, reqAt, c32(pageSize)), callFn(fnFdRead, 0, iovAt, 1, sizeAt), opDrop,
			c32(sizeAt), opI32Load, 2, 0, opLocalSet, 0),
		answer: func(at, n int32) []byte {
			head := appendU32(nil, uint32(n))
			var b []byte
			for i, c := range head {
				b = append(b, join(c32(headAt+int32(i)), c32(int32(c)), opI32Store8, 0, 0)...)
			}
			return join(b, iov(0, headAt, c32(int32(len(head)))), iov(1, at, c32(n)),
				callFn(fnFdWrite, 1, iovAt, 2, sizeAt), opDrop)
		},
		echo: join(iov(0, reqAt, []byte{opLocalGet, 0}), callFn(fnFdWrite, 1, iovAt, 1, sizeAt), opDrop),
	}
}

// with returns a guest that reads its request and then runs body.
func (a abiCode) with(body []byte, data string) guest {
	return guest{
		imports: a.imports,
		bodies:  []fn{{name: startEntry, locals: []byte{1, 1, 0x7f}, code: join(a.read, body)}},
		memory:  []byte{0, 2},
		globals: 1,
		data:    data,
	}
}

// counting adds 1 to a global and to a word of memory and answers their
// product: 1 in a fresh instance, more where either was kept.
func (a abiCode) counting() []byte {
	return join(
		opGlobalGet, 0, c32(1), opI32Add, opGlobalSet, 0,
		c32(stateA), c32(stateA), opI32Load, 2, 0, c32(1), opI32Add, opI32Store, 2, 0,
		c32(outAt), opGlobalGet, 0, c32(stateA), opI32Load, 2, 0, opI32Mul, opI32Store8, 0, 0,
		a.answer(outAt, 1))
}

// behaviour returns the guest that behaves so.
func (a abiCode) behaviour(b runnertest.Behaviour) guest {
	say := callFn(fnLog, 1, dataAt, int32(len(runnertest.LogText)))
	pages := int32(2 * runnertest.MemoryBytes / pageSize)
	switch b {
	case runnertest.Echo:
		return a.with(a.echo, "")
	case runnertest.Log:
		return a.with(join(say, a.echo), runnertest.LogText)
	case runnertest.Chatty:
		var all []byte
		for range 100 {
			all = append(all, say...)
		}
		return a.with(join(all, a.echo), runnertest.LogText)
	case runnertest.Garbage:
		return a.with(a.answer(dataAt, int32(len(runnertest.GarbageText))), runnertest.GarbageText)
	case runnertest.Nothing:
		return a.with(nil, "")
	case runnertest.TooMuch:
		return a.with(a.answer(reqAt, runnertest.MaxResponse+1), "")
	case runnertest.Trap:
		return a.with([]byte{opUnreachable}, "")
	case runnertest.Loop:
		return a.with([]byte{opLoop, 0x40, opBr, 0, opEnd}, "")
	case runnertest.Grow:
		return a.with(join(c32(pages), opMemoryGrow, 0, c32(-1), opI32Eq,
			opIf, 0x40, opUnreachable, opEnd, a.echo), "")
	case runnertest.Exit:
		return a.with(callFn(fnExit, 3), "")
	case runnertest.Random:
		return a.with(join(callFn(fnRandom, outAt, 64), opDrop, a.answer(outAt, 64)), "")
	case runnertest.Count:
		return a.with(a.counting(), "")
	}
	panic("unknown behaviour " + string(b))
}

// bind returns the module of some bytes under the suite's limits.
func bind(b []byte, abi uint8) runner.Module {
	return runner.Module{
		Digest: cid.Sum(b),
		Kind:   runner.KindWASM,
		ABI:    abi,
		Limits: runnertest.Limits(),
		Load:   func(context.Context) ([]byte, error) { return b, nil },
	}
}

// open returns a runner that is closed when the test ends.
func open(t testing.TB, o Options) *Runner {
	t.Helper()
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

// invoke runs a module once on a request.
func invoke(t testing.TB, r *Runner, m runner.Module, request string) runner.Result {
	t.Helper()
	res, err := r.Run(context.Background(), runner.Call{Module: m, Request: []byte(request), RequestHash: cid.Sum([]byte(request))})
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	return res
}
