package fuel

import (
	"bytes"

	"github.com/mythos-run/mythos/runtime/libs/fault"
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
	secTag
	sections
)

// signature is a function or block type: value types, one byte each.
type signature struct{ params, results []byte }

// table is what instructions must know of a table.
type table struct {
	kind  byte
	least uint32
}

// global is a defined global.
type global struct {
	kind     byte
	mutable  bool
	function int // the last that used it, numbered from 1
}

// module is one module on its way: what decoding found, and what rewriting
// made of it. Slices of the original are never written to.
type module struct {
	options Options
	section [sections]cursor // bodies; base is 0 where there is none

	types     []signature
	typeIndex map[string]uint32 // of the types that rewriting added or asked for
	newTypes  []byte            // the types added, encoded
	added     int

	imports   []Import
	exports   uint32
	callable  []Export // the exports that are functions
	functions []uint32 // types of all functions, imports first
	tables    []table
	hasMemory bool
	minPages  uint32
	globals   []global
	mutables  int // of them
	hasStart  bool
	start     uint32
	declared  []bool // functions that ref.func may name
	elements  []byte // types of the element segments
	items     uint64 // table elements, declared and in segments
	data      int    // data segments that section 12 announces, or -1

	// The sections that change on the way; nil: there was none.
	newTables, newGlobals, newExports, newElements []byte

	code         []byte // rewritten bodies
	helpers      int
	helperOf     [helperKinds]uint32 // 0: none yet
	helperTypes  []byte
	helperBodies []byte
	dataSegments []segmentData
	scratch      []byte
	namesData    bool // an instruction names a data segment
	altersTables bool // an instruction alters a table, or drops what it could
	detached     bool // the host has the data
	allLocals    uint64
	stats        Stats
}

// decode reads and validates everything but the function bodies.
func (m *module) decode(b []byte) error {
	if err := checkHeader(b); err != nil {
		return err
	}
	if err := m.split(b); err != nil {
		return err
	}
	m.data = -1
	for _, step := range []struct {
		id   int
		read func(*cursor)
	}{
		{secType, m.readTypes},
		{secImport, m.readImports},
		{secFunction, m.readFunctions},
		{secTable, m.readTables},
		{secMemory, m.readMemory},
		{secGlobal, m.readGlobals},
		{secExport, m.readExports},
		{secStart, m.readStart},
		{secElement, m.readElements},
		{secDataCount, func(c *cursor) { m.data = int(c.u32()) }},
	} {
		c := &m.section[step.id]
		if c.base == 0 {
			continue
		}
		step.read(c)
		c.end("the section")
		if c.err != nil {
			return c.err
		}
	}
	return nil
}

func checkHeader(b []byte) error {
	switch {
	case len(b) > maxModule:
		return fault.New(ErrTooLarge, "the module has %d bytes, at most %d", len(b), maxModule)
	case len(b) < 8 || !bytes.Equal(b[:4], []byte("\x00asm")):
		return fault.New(ErrMalformed, "not WebAssembly: the file does not begin with the bytes 00 61 73 6d")
	case b[6] == 1 && b[7] == 0:
		return fault.New(ErrComponent, "this is a WebAssembly component; build a core module instead "+
			"(target wasm32-wasip1 or wasm32-unknown-unknown, or GOOS=wasip1), without a component adapter")
	case !bytes.Equal(b[4:8], []byte{1, 0, 0, 0}):
		return fault.New(ErrMalformed, "WebAssembly version % x, want 01 00 00 00", b[4:8])
	}
	return nil
}

// split finds the sections, each at most once and in order. Custom sections
// are read as far as their name and dropped.
func (m *module) split(b []byte) error {
	order := [sections]int{0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 11, 6}
	c := &cursor{b: b, off: 8}
	last := 0
	for c.more() {
		id := c.byte()
		size := c.u32()
		body := c.take(uint64(size))
		if c.err != nil {
			break
		}
		part := cursor{b: body, base: c.off - len(body)}
		switch {
		case id == secCustom:
			part.name()
			c.err = part.err
		case id >= sections:
			c.fail(ErrMalformed, "unknown section %d", id)
		case id == secTag:
			c.fail(ErrExceptions, "a tag section: exception handling is not accepted")
		case order[id] <= last:
			c.fail(ErrMalformed, "section %d out of order or twice", id)
		default:
			last = order[id]
			m.section[id] = part
		}
	}
	return c.err
}

func (m *module) readTypes(c *cursor) {
	c.b = bytes.Clone(c.b) // what Rewrite returns names parts of it
	n := c.count(ErrTooLarge, maxTypes, "types")
	m.types = make([]signature, 0, n)
	for ; n > 0 && c.err == nil; n-- {
		switch form := c.byte(); form {
		case 0x60:
		case 0x5f, 0x5e, 0x50, 0x4f, 0x4e:
			c.fail(ErrGC, "a type of form %#02x: garbage collected types are not accepted", form)
		default:
			c.fail(ErrMalformed, "a type of form %#02x", form)
		}
		m.types = append(m.types, signature{valueTypes(c), valueTypes(c)})
	}
}

func valueTypes(c *cursor) []byte {
	b := c.take(uint64(c.count(ErrTooLarge, maxSignature, "values of a type")))
	for i, t := range b {
		if !isValue(t) {
			c.off -= len(b) - i
			c.badType(t)
			return nil
		}
	}
	return b
}

// Value types.
const (
	i32       = 0x7f
	i64       = 0x7e
	f32       = 0x7d
	f64       = 0x7c
	funcref   = 0x70
	externref = 0x6f
)

func isValue(t byte) bool { return t >= f64 && t <= i32 || isRef(t) }

func isRef(t byte) bool { return t == funcref || t == externref }

func (c *cursor) valueType() byte {
	t := c.byte()
	if c.err == nil && !isValue(t) {
		c.badType(t)
	}
	return t
}

func (c *cursor) refType() byte {
	t := c.byte()
	if c.err == nil && !isRef(t) {
		c.badType(t)
	}
	return t
}

// badType fails with the feature that the type belongs to.
func (c *cursor) badType(t byte) {
	switch {
	case t == 0x7b:
		c.fail(ErrSIMD, "the type v128: SIMD is not accepted")
	case t == 0x69 || t == 0x74:
		c.fail(ErrExceptions, "the type exnref: exception handling is not accepted")
	case t == 0x63 || t == 0x64:
		c.fail(ErrReferences, "a typed reference: typed function references are not accepted")
	case t >= 0x6a && t <= 0x73:
		c.fail(ErrGC, "a reference of type %#02x: garbage collected types are not accepted", t)
	default:
		c.fail(ErrMalformed, "unknown value type %#02x", t)
	}
}

func (m *module) readImports(c *cursor) {
	for n := c.count(ErrTooLarge, maxImports, "imports"); n > 0 && c.err == nil; n-- {
		at := c.off
		from, name := c.name(), c.name()
		kind := c.byte()
		if c.err == nil && kind != 0 {
			c.badImport(kind, from, name)
			return
		}
		t := c.u32()
		switch {
		case c.err != nil:
			return
		case t >= uint32(len(m.types)):
			c.fail(ErrInvalid, "unknown type %d", t)
		case hasReserved(from):
			c.off = at
			c.fail(ErrReserved, "imports from %q; names that begin with %q are the host's", from, Reserved)
		default:
			s := m.types[t]
			m.imports = append(m.imports, Import{from, name, s.params, s.results})
			m.functions = append(m.functions, t)
		}
	}
}

func (c *cursor) badImport(kind byte, from, name string) {
	kinds := [...]string{1: "table", "memory", "global"}
	switch {
	case kind == 4:
		c.fail(ErrExceptions, "imports a tag: exception handling is not accepted")
	case int(kind) < len(kinds):
		c.fail(ErrImport, "imports the %s %q %q; only functions can be imported", kinds[kind], clip(from), clip(name))
	default:
		c.fail(ErrMalformed, "an import of kind %d", kind)
	}
}

func hasReserved(name string) bool {
	return len(name) >= len(Reserved) && name[:len(Reserved)] == Reserved
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

func (m *module) readFunctions(c *cursor) {
	n := c.count(ErrFunctions, maxFunctions, "functions")
	for ; n > 0 && c.err == nil; n-- {
		t := c.u32()
		if c.err == nil && t >= uint32(len(m.types)) {
			c.fail(ErrInvalid, "unknown type %d", t)
		}
		m.functions = append(m.functions, t)
	}
}

// limits reads the size limits of a memory or table.
func (c *cursor) limits(what string) (least, most uint32, bounded bool) {
	flags := c.byte()
	if c.err != nil {
		return 0, 0, false
	}
	switch {
	case flags == 0:
		return c.u32(), 0, false
	case flags == 1:
		least = c.u32()
		return least, c.u32(), true
	case flags >= 0x10:
		c.fail(ErrMalformed, "unknown limits %#02x of a %s", flags, what)
	case flags >= 8:
		c.fail(ErrPageSize, "a %s with its own page size: custom page sizes are not accepted", what)
	case flags >= 4:
		c.fail(ErrMemory64, "a 64-bit %s: memory64 is not accepted", what)
	default:
		c.fail(ErrThreads, "a shared %s: threads are not accepted", what)
	}
	return 0, 0, false
}

// readTables writes the section anew with a maximum on every table, since
// table.grow is not bounded by the memory limit (RFC-MYTHOS-0006 §11).
func (m *module) readTables(c *cursor) {
	n := c.count(ErrTooLarge, maxTables, "tables")
	m.newTables = appendU32([]byte{}, uint32(n))
	for ; n > 0 && c.err == nil; n-- {
		kind := c.byte()
		if c.err == nil && kind == 0x40 {
			c.fail(ErrReferences, "a table with an initial value: typed function references are not accepted")
		}
		if c.err == nil && !isRef(kind) {
			c.badType(kind)
		}
		least, most, bounded := c.limits("table")
		m.addItems(c, uint64(least))
		if bounded && most < least {
			c.fail(ErrInvalid, "a table of at least %d and at most %d elements", least, most)
		}
		room := max(least, tableRoom)
		if !bounded || most > room {
			most = room
		}
		m.tables = append(m.tables, table{kind, least})
		m.newTables = appendU32(appendU32(append(m.newTables, kind, 1), least), most)
	}
}

func (m *module) addItems(c *cursor, n uint64) {
	if m.items += n; m.items > maxElements {
		c.fail(ErrTooLarge, "more than %d table elements", maxElements)
	}
}

func (m *module) readMemory(c *cursor) {
	n := c.count(ErrTooLarge, maxTables, "memories")
	if n > 1 {
		c.fail(ErrMultiMemory, "%d memories: multiple memories are not accepted", n)
	}
	if n != 1 {
		return
	}
	least, most, bounded := c.limits("memory")
	if least > maxPages || bounded && (most > maxPages || most < least) {
		c.fail(ErrInvalid, "a memory of at least %d and at most %d pages", least, most)
	}
	m.hasMemory, m.minPages = true, least
}
