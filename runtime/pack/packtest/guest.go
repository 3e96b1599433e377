package packtest

import "slices"

// Guests are hand-made wasm modules of a few hundred bytes with the hostcall
// abi. Every one imports the same five functions, exports _start and has two
// pages of memory.

// The functions that guests import, by index.
const (
	fnLen = iota
	fnRead
	fnWrite
	fnLog
	fnExit
)

const (
	dataAt    = 1024    // what a guest writes
	requestAt = 1 << 16 // where it reads its request to
)

// Instructions.
const (
	opUnreachable = 0x00
	opLoop        = 0x03
	opIf          = 0x04
	opEnd         = 0x0b
	opBr          = 0x0c
	opCall        = 0x10
	opDrop        = 0x1a
	opLocalGet    = 0x20
	opLocalSet    = 0x21
	opMemoryGrow  = 0x40
	opConst       = 0x41
	opEq          = 0x46
	opSub         = 0x6b
)

// responseHead is a ToolResponse up to the value of its payload field: status
// 200, field 3 (RFC-MYTHOS-0006 §10).
const responseHead = "\x08\x03\x03\x01\x06\x14mythos.tool.response\x03\x02\x03\xc8\x01\x03\x03"

// In a ToolRequest the payload's BYTES begin at a fixed place, and idem_id
// follows them.
const (
	payloadAt = 71
	afterIt   = 44
)

// EchoWasm returns a tool that logs one line and answers its payload.
func EchoWasm(line string) []byte {
	return guest([]byte(responseHead+line), join(
		call(fnLen), opLocalSet, 0,
		num(requestAt), num(0), opLocalGet, 0, opCall, fnRead, opDrop,
		call(fnLog, 1, dataAt+len(responseHead), len(line)),
		call(fnWrite, dataAt, len(responseHead)), opDrop,
		num(requestAt+payloadAt), opLocalGet, 0, num(payloadAt+afterIt), opSub, opCall, fnWrite, opDrop,
	))
}

// AnswerWasm returns a tool that writes these bytes as its response, whatever
// they are.
func AnswerWasm(response []byte) []byte {
	return guest(response, join(call(fnWrite, dataAt, len(response)), opDrop))
}

// SilentWasm returns a tool that ends without a response.
func SilentWasm() []byte { return guest(nil, nil) }

// TrapWasm returns a tool that traps.
func TrapWasm() []byte { return guest(nil, []byte{opUnreachable}) }

// LoopWasm returns a tool that never ends.
func LoopWasm() []byte { return guest(nil, []byte{opLoop, 0x40, opBr, 0, opEnd}) }

// GrowWasm returns a tool that asks for pages of memory of 64 KiB and traps if
// it does not get them.
func GrowWasm(pages int) []byte {
	return guest(nil, join(num(pages), opMemoryGrow, 0, num(-1), opEq, opIf, 0x40, opUnreachable, opEnd))
}

// ExitWasm returns a tool that exits with a code.
func ExitWasm(code int) []byte { return guest(nil, call(fnExit, code)) }

// ImportWasm returns a tool that imports one more function, () -> i32, and
// never calls it: "mythos_v1" "random", say, which nobody granted.
func ImportWasm(module, name string) []byte { return guest(nil, nil, [2]string{module, name}) }

// guest assembles a module with data at dataAt and one function of one local.
func guest(data, code []byte, extra ...[2]string) []byte {
	const i32 = 0x7f
	types := vec(
		join(0x60, 0, 1, i32),                // 0: () -> i32
		join(0x60, 3, i32, i32, i32, 1, i32), // 1: (i32 i32 i32) -> i32
		join(0x60, 2, i32, i32, 1, i32),      // 2: (i32 i32) -> i32
		join(0x60, 3, i32, i32, i32, 0),      // 3: (i32 i32 i32)
		join(0x60, 1, i32, 0),                // 4: (i32)
		join(0x60, 0, 0),                     // 5: ()
	)
	imports := [][]byte{
		entry("mythos_v1", "request_len", 0), entry("mythos_v1", "request_read", 1), entry("mythos_v1", "response_write", 2),
		entry("mythos_v1", "log", 3), entry("wasi_snapshot_preview1", "proc_exit", 4),
	}
	for _, x := range extra {
		imports = append(imports, entry(x[0], x[1], 0))
	}
	body := join(1, 1, i32, code, opEnd)
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, types),
		section(2, vec(imports...)),
		section(3, join(1, 5)),
		section(5, join(1, 0, 2)),
		section(7, vec(join(text("_start"), 0, len(imports)))),
		section(10, vec(append(size(len(body)), body...))),
		section(11, vec(join(0, num(dataAt), opEnd, size(len(data)), data))),
	)
}

// join concatenates bytes.
func join(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

// call is a call of an imported function with constants.
func call(fn int, args ...int) []byte {
	var b []byte
	for _, a := range args {
		b = append(b, num(a)...)
	}
	return append(b, opCall, byte(fn))
}

// num is i32.const: a signed LEB128.
func num(v int) []byte {
	b := []byte{opConst}
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// size is an unsigned LEB128.
func size(n int) []byte {
	var b []byte
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

func text(s string) []byte { return append(size(len(s)), s...) }

func entry(module, name string, typ int) []byte { return join(text(module), text(name), 0, typ) }

func vec(items ...[]byte) []byte { return append(size(len(items)), slices.Concat(items...)...) }

func section(id int, body []byte) []byte { return join(id, size(len(body)), body) }
