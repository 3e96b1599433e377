package wasm

import (
	"bytes"
	"fmt"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// The limits of a module's format. They keep a small file from asking the
// engine for much memory: wazero allocates a vector by its announced length, a
// function's locals by their announced count, and lets a table grow without
// bound. Stock toolchains stay far below them.
const (
	maxTypes     = 100_000
	maxSignature = 1_000 // parameters, and results, of one type
	maxImports   = 1_000
	maxFunctions = 200_000
	maxTables    = 16
	maxElements  = 1_000_000 // declared table elements, and segment items, in all
	tableRoom    = 65_536    // elements to which a smaller table may grow
	maxGlobals   = 100_000
	maxExports   = 100_000
	maxName      = 100_000 // bytes
	maxSegments  = 100_000
	maxLocals    = 50_000    // of one function
	maxAllLocals = 4_000_000 // of all functions
	maxTargets   = 65_536    // of one br_table, without the default
)

const (
	pageSize = 65_536
	maxPages = 65_536
)

// Section ids of the binary format.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
)

// importName is an imported function.
type importName struct{ module, name string }

// scanned is what the scan found, and the module to compile: the original
// without custom sections, whose names and debug data only cost, with a maximum
// on every table and with checks of the wall clock.
type scanned struct {
	imports   []importName
	hasMemory bool
	minPages  uint32
	code      []byte
	work      uint64 // of compiling it, in ns, see weigh.go
}

// scan reads a module's structure and refuses what the engine must not see. It
// does not validate: the engine does, and both walk the same sections in the
// same order.
func scan(b []byte) (*scanned, error) {
	if err := checkHeader(b); err != nil {
		return nil, err
	}
	out := &scanned{code: append(make([]byte, 0, len(b)), b[:8]...)}
	s := &scanner{b: b, off: 8}
	w := &weigher{}
	for s.err == nil && s.off < len(b) {
		at := s.off
		id := s.byte()
		size := s.u32()
		body := s.take(uint64(size))
		if s.err != nil || id == secCustom {
			continue
		}
		part := &scanner{b: body, base: s.off - len(body), items: s.items, locals: s.locals, weigher: w}
		patched := part.section(id, out)
		if part.err == nil && part.off != len(part.b) {
			part.fail(ErrInvalid, "%d bytes are left in section %d", len(part.b)-part.off, id)
		}
		s.err, s.items, s.locals = part.err, part.items, part.locals
		if patched == nil {
			out.code = append(out.code, b[at:s.off]...)
			continue
		}
		out.code = appendU32(append(out.code, id), uint32(len(patched)))
		out.code = append(out.code, patched...)
	}
	if s.err != nil {
		return nil, s.err
	}
	out.work = w.work
	return out, nil
}

func checkHeader(b []byte) error {
	switch {
	case len(b) < 8 || !bytes.Equal(b[:4], []byte("\x00asm")):
		return fault.New(ErrInvalid, "not WebAssembly: the file does not begin with the bytes 00 61 73 6d")
	case b[6] == 1 && b[7] == 0:
		return fault.New(ErrComponent, "this is a WebAssembly component; build a core module instead "+
			"(target wasm32-wasip1 or wasm32-unknown-unknown, or GOOS=wasip1), without a component adapter")
	case !bytes.Equal(b[4:8], []byte{1, 0, 0, 0}):
		return fault.New(ErrInvalid, "WebAssembly version % x, want 01 00 00 00", b[4:8])
	}
	return nil
}

// scanner is a cursor that remembers its first error. base is the offset of b
// in the file.
type scanner struct {
	b             []byte
	off, base     int
	items, locals uint64 // totals over the module
	weigher       *weigher
	err           error
}

func (s *scanner) fail(code fault.Code, format string, args ...any) {
	if s.err == nil {
		s.err = fault.At(code, s.base+s.off, format, args...)
	}
	s.b = s.b[:s.off]
}

func (s *scanner) byte() byte {
	if s.off >= len(s.b) {
		s.fail(ErrInvalid, "the module ends too early")
		return 0
	}
	s.off++
	return s.b[s.off-1]
}

func (s *scanner) take(n uint64) []byte {
	if n > uint64(len(s.b)-s.off) {
		s.fail(ErrInvalid, "a length of %d with %d bytes left", n, len(s.b)-s.off)
		return nil
	}
	s.off += int(n)
	return s.b[s.off-int(n) : s.off]
}

// u32 reads an unsigned LEB128 of at most five bytes, not necessarily minimal.
func (s *scanner) u32() uint32 {
	var v uint64
	for i := range 5 {
		c := s.byte()
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if v >= 1<<32 {
				break
			}
			return uint32(v)
		}
	}
	s.fail(ErrInvalid, "a number exceeds 32 bits")
	return 0
}

// leb steps over a LEB128 of at most n bytes.
func (s *scanner) leb(n int) {
	for range n {
		if s.byte() < 0x80 {
			return
		}
	}
	s.fail(ErrInvalid, "a number exceeds %d bytes", n)
}

// count reads the length of a vector whose items take at least one byte each.
func (s *scanner) count(limit uint32, what string) int {
	n := s.u32()
	if n > limit {
		s.fail(ErrTooLarge, "%d %s, at most %d", n, what, limit)
		return 0
	}
	if int64(n) > int64(len(s.b)-s.off) {
		s.fail(ErrInvalid, "%d %s in %d bytes", n, what, len(s.b)-s.off)
		return 0
	}
	return int(n)
}

// add adds n to a total over the module.
func (s *scanner) add(total *uint64, n uint64, limit uint64, what string) {
	*total += n
	if *total > limit {
		s.fail(ErrTooLarge, "more than %d %s", limit, what)
	}
}

func (s *scanner) name() string { return string(s.take(uint64(s.count(maxName, "bytes of a name")))) }

// section steps over one section and returns its body if it must be replaced.
func (s *scanner) section(id byte, out *scanned) []byte {
	switch id {
	case secType:
		s.each(maxTypes, "types", s.funcType)
	case secImport:
		s.each(maxImports, "imports", func() { s.importItem(out) })
	case secFunction:
		s.each(maxFunctions, "functions", s.function)
	case secTable:
		return s.tables()
	case secMemory:
		s.memories(out)
	case secGlobal:
		s.each(maxGlobals, "globals", func() { s.valType(); s.byte(); s.constExpr() })
	case secExport:
		s.each(maxExports, "exports", func() { s.name(); s.byte(); s.u32() })
	case secStart, secDataCount:
		s.u32()
	case secElement:
		s.each(maxSegments, "element segments", s.elements)
	case secCode:
		return s.bodies()
	case secData:
		s.each(maxSegments, "data segments", s.data)
	case 13:
		s.fail(ErrInvalid, "exception handling is not accepted")
	default:
		s.fail(ErrInvalid, "unknown section %d", id)
	}
	return nil
}

// each reads a vector and returns its length.
func (s *scanner) each(limit uint32, what string, item func()) int {
	n := s.count(limit, what)
	for i := 0; i < n && s.err == nil; i++ {
		item()
	}
	return n
}

func (s *scanner) funcType() {
	if c := s.byte(); s.err == nil && c != 0x60 {
		s.fail(ErrInvalid, "a type of form %#02x, only functions are accepted", c)
	}
	a := arity{params: s.each(maxSignature, "parameters", s.valType)}
	a.results = s.each(maxSignature, "results", s.valType)
	s.weigher.types = append(s.weigher.types, a)
}

// function reads the type of an imported function or of one that has a body.
func (s *scanner) function() { s.weigher.functions = append(s.weigher.functions, s.u32()) }

func (s *scanner) valType() {
	switch c := s.byte(); c {
	case 0x7f, 0x7e, 0x7d, 0x7c, 0x70, 0x6f: // i32 i64 f32 f64 funcref externref
	case 0x7b:
		s.fail(ErrInvalid, "SIMD (v128) is not accepted")
	default:
		s.fail(ErrInvalid, "unknown value type %#02x", c)
	}
}

func (s *scanner) importItem(out *scanned) {
	module, name := s.name(), s.name()
	kind := s.byte()
	if s.err != nil {
		return
	}
	if kind != 0 {
		kinds := [...]string{"function", "table", "memory", "global", "tag"}
		what := fmt.Sprintf("kind %d", kind)
		if int(kind) < len(kinds) {
			what = kinds[kind]
		}
		s.fail(ErrImportUnknown, "imports the %s %s; only functions can be imported", what, importName{module, name})
		return
	}
	s.function()
	out.imports = append(out.imports, importName{module, name})
}

// limits reads the size limits of a memory or table.
func (s *scanner) limits(what string) (least, most uint32, bounded bool) {
	switch flags := s.byte(); flags {
	case 0:
		return s.u32(), 0, false
	case 1:
		least = s.u32()
		return least, s.u32(), true
	case 2, 3:
		s.fail(ErrInvalid, "a shared %s: threads are not accepted", what)
	case 4, 5, 6, 7:
		s.fail(ErrInvalid, "a 64-bit %s: memory64 is not accepted", what)
	default:
		s.fail(ErrInvalid, "unknown limits %#02x of a %s", flags, what)
	}
	return 0, 0, false
}

func (s *scanner) memories(out *scanned) {
	n := s.count(maxTables, "memories")
	if n > 1 {
		s.fail(ErrInvalid, "%d memories: multi-memory is not accepted", n)
		return
	}
	if n == 1 {
		out.hasMemory = true
		out.minPages, _, _ = s.limits("memory")
	}
}

// tables returns the section with a maximum on every table, since table.grow is
// not bounded by the memory limit (RFC-MYTHOS-0006 §13).
func (s *scanner) tables() []byte {
	n := s.count(maxTables, "tables")
	out := appendU32(nil, uint32(n))
	for ; n > 0 && s.err == nil; n-- {
		kind := s.byte()
		if s.err == nil && kind != 0x70 && kind != 0x6f {
			s.fail(ErrInvalid, "a table of type %#02x", kind)
			return nil
		}
		least, most, bounded := s.limits("table")
		s.add(&s.items, uint64(least), maxElements, "table elements")
		if bounded && most < least {
			s.fail(ErrInvalid, "a table of at least %d and at most %d elements", least, most)
		}
		room := max(least, tableRoom)
		if !bounded || most > room {
			most = room
		}
		out = appendU32(appendU32(append(out, kind, 1), least), most)
	}
	return out
}

// constExpr steps over a constant expression: one instruction and end.
func (s *scanner) constExpr() {
	switch op := s.byte(); op {
	case 0x41:
		s.leb(5)
	case 0x42:
		s.leb(10)
	case 0x43:
		s.take(4)
	case 0x44:
		s.take(8)
	case 0x23, 0xd2:
		s.u32()
	case 0xd0:
		s.byte()
	default:
		s.fail(ErrInvalid, "instruction %#02x in a constant expression is not accepted", op)
	}
	if c := s.byte(); s.err == nil && c != 0x0b {
		s.fail(ErrInvalid, "a constant expression of more than one instruction is not accepted")
	}
}

func (s *scanner) elements() {
	flags := s.u32()
	if flags > 7 {
		s.fail(ErrInvalid, "unknown element segment %d", flags)
		return
	}
	if flags&1 == 0 {
		if flags&2 != 0 {
			s.u32()
		}
		s.constExpr()
	}
	if flags&3 != 0 {
		s.byte()
	}
	n := s.count(maxElements, "element items")
	s.add(&s.items, uint64(n), maxElements, "element items")
	for ; n > 0 && s.err == nil; n-- {
		if flags&4 != 0 {
			s.constExpr()
		} else {
			s.u32()
		}
	}
}

// bodies weighs every function and returns the section with a check of the wall
// clock at the head of each function and before each bulk operation, beside
// those that the engine makes at the head of a loop: a guest needs no loop to
// run for ever. An empty loop is such a check.
func (s *scanner) bodies() []byte {
	n := s.count(maxFunctions, "function bodies")
	out := appendU32(make([]byte, 0, len(s.b)+len(s.b)/4), uint32(n))
	for ; n > 0 && s.err == nil; n-- {
		out = s.body(out)
	}
	return out
}

// body steps over one function, bounds its locals, weighs its code and appends
// it with its checks.
func (s *scanner) body(out []byte) []byte {
	const check = "\x03\x40\x0b" // loop, without operands, and its end
	size := s.u32()
	code := &scanner{b: s.take(uint64(size)), base: s.base + s.off - int(size)}
	if s.err != nil {
		return nil
	}
	body, locals := code.b, uint64(0)
	code.each(maxLocals, "groups of locals", func() {
		code.add(&locals, uint64(code.u32()), maxLocals, "locals of one function")
		code.valType()
	})
	if code.err == nil {
		code.add(&s.locals, locals, maxAllLocals, "locals")
	}
	var checks []int
	if code.err == nil {
		checks = s.weigher.body(code, locals)
	}
	if s.err = code.err; s.err != nil {
		return nil
	}
	out = appendU32(out, uint32(len(body)+len(check)*len(checks)))
	from := 0
	for _, at := range checks {
		out = append(append(out, body[from:at]...), check...)
		from = at
	}
	return append(out, body[from:]...)
}

func (s *scanner) data() {
	flags := s.u32()
	if flags > 2 {
		s.fail(ErrInvalid, "unknown data segment %d", flags)
		return
	}
	if flags == 2 {
		s.u32()
	}
	if flags != 1 {
		s.constExpr()
	}
	s.take(uint64(s.u32()))
}

func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}
