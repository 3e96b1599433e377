package fuel

// shift returns the index that a function has in the rewritten module.
func (m *module) shift(f uint32) uint32 {
	if m.options.Yield && f >= uint32(len(m.imports)) {
		return f + 1
	}
	return f
}

// function reads the index of one of the original's functions.
func (m *module) function(c *cursor) uint32 {
	f := c.u32()
	if c.err == nil && f >= uint32(len(m.functions)) {
		c.fail(ErrInvalid, "unknown function %d", f)
		return 0
	}
	return f
}

// constant copies a constant expression of the given type: one instruction and
// end. Only functions can be imported, so no global is constant.
func (m *module) constant(c *cursor, want byte, out []byte) []byte {
	at := c.off
	op := c.byte()
	var kind byte
	var named []byte // the instruction, where the copy differs
	switch op {
	case 0x41:
		c.signed(32)
		kind = i32
	case 0x42:
		c.signed(64)
		kind = i64
	case 0x43:
		c.take(4)
		kind = f32
	case 0x44:
		c.take(8)
		kind = f64
	case 0xd0:
		kind = c.refType()
	case 0xd2:
		f := m.function(c)
		if c.err == nil {
			m.declare(f)
			named = appendU32([]byte{0xd2}, m.shift(f))
		}
		kind = funcref
	case 0x0b:
		c.fail(ErrInvalid, "a constant expression without an instruction")
	default:
		c.badConstant(op)
	}
	if c.err == nil && kind != want {
		c.fail(ErrInvalid, "a constant of type %#02x, want %#02x", kind, want)
	}
	if c.err != nil {
		return out
	}
	if named == nil {
		named = c.b[at:c.off]
	}
	switch op := c.byte(); {
	case c.err != nil || op == 0x0b:
	case op >= 0x41 && op <= 0x44:
		c.badConstant(0x6a) // what follows is arithmetic
	default:
		c.badConstant(op)
	}
	return append(append(out, named...), 0x0b)
}

func (c *cursor) badConstant(op byte) {
	switch op {
	case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e:
		c.fail(ErrConst, "arithmetic in a constant expression: extended constants are not accepted")
	case 0xfd:
		c.fail(ErrSIMD, "a SIMD constant: SIMD is not accepted")
	case 0xfb:
		c.fail(ErrGC, "a constant of a garbage collected type")
	case 0x23:
		c.fail(ErrInvalid, "a global in a constant expression, and no global is imported")
	default:
		c.fail(ErrInvalid, "instruction %#02x in a constant expression", op)
	}
}

func (m *module) declare(f uint32) {
	if m.declared == nil {
		m.declared = make([]bool, len(m.functions))
	}
	m.declared[f] = true
}

func (m *module) readGlobals(c *cursor) {
	n := c.count(ErrTooLarge, maxGlobals, "globals")
	m.globals = make([]global, 0, n)
	m.newGlobals = make([]byte, 0, len(c.b))
	for ; n > 0 && c.err == nil; n-- {
		kind := c.valueType()
		mutable := c.byte()
		if c.err == nil && mutable > 1 {
			c.fail(ErrMalformed, "mutability %d of a global", mutable)
		}
		m.mutables += int(mutable)
		m.newGlobals = m.constant(c, kind, append(m.newGlobals, kind, mutable))
		m.globals = append(m.globals, global{kind: kind, mutable: mutable == 1})
	}
}

func (m *module) readExports(c *cursor) {
	n := c.count(ErrTooLarge, maxExports, "exports")
	m.exports = uint32(n)
	m.newExports = make([]byte, 0, len(c.b))
	seen := make(map[string]bool, n)
	for ; n > 0 && c.err == nil; n-- {
		at := c.off
		name := c.name()
		kind := c.byte()
		index := c.u32()
		if c.err != nil {
			return
		}
		if seen[name] {
			c.fail(ErrInvalid, "two exports %q", clip(name))
		}
		seen[name] = true
		if hasReserved(name) {
			c.off = at
			c.fail(ErrReserved, "exports %q; names that begin with %q are the host's", clip(name), Reserved)
		}
		if bad := m.exported(c, kind, &index, name); bad {
			c.fail(ErrInvalid, "exports %d of kind %d as %q, which does not exist", index, kind, clip(name))
		}
		m.newExports = appendU32(append(appendName(m.newExports, name), kind), index)
	}
}

// exported checks an export and turns a function's index into the new one.
func (m *module) exported(c *cursor, kind byte, index *uint32, name string) (bad bool) {
	i := *index
	switch kind {
	case 0:
		if i >= uint32(len(m.functions)) {
			return true
		}
		m.declare(i)
		t := m.types[m.functions[i]]
		m.callable = append(m.callable, Export{name, t.params, t.results})
		*index = m.shift(i)
		return false
	case 1:
		return i >= uint32(len(m.tables))
	case 2:
		return i > 0 || !m.hasMemory
	case 3:
		return i >= uint32(len(m.globals))
	case 4:
		c.fail(ErrExceptions, "exports a tag: exception handling is not accepted")
	default:
		c.fail(ErrMalformed, "an export of kind %d", kind)
	}
	return false
}

func (m *module) readStart(c *cursor) {
	f := m.function(c)
	if c.err != nil {
		return
	}
	if t := m.types[m.functions[f]]; len(t.params)+len(t.results) > 0 {
		c.fail(ErrInvalid, "a start function with parameters or results")
	}
	m.hasStart, m.start = true, f
}

func (m *module) readElements(c *cursor) {
	n := c.count(ErrTooLarge, maxSegments, "element segments")
	m.newElements = appendU32(make([]byte, 0, len(c.b)), uint32(n))
	m.elements = make([]byte, 0, n)
	for ; n > 0 && c.err == nil; n-- {
		m.readElement(c)
	}
}

// readElement copies one element segment. Its flags: 1 not active, 2 with a
// table index or declarative, 4 items are expressions.
func (m *module) readElement(c *cursor) {
	flags := c.u32()
	if c.err == nil && flags > 7 {
		c.fail(ErrMalformed, "unknown element segment %d", flags)
		return
	}
	out := appendU32(m.newElements, flags)
	active, into := flags&1 == 0, uint32(0)
	if active && flags&2 != 0 {
		into = c.u32()
		out = appendU32(out, into)
	}
	at := uint32(0)
	if active {
		from := len(out)
		if out = m.constant(c, i32, out); c.err == nil {
			at = address(out[from:])
		}
	}
	kind := byte(funcref)
	if flags&3 != 0 {
		form := c.byte()
		out = append(out, form)
		switch {
		case c.err != nil:
		case flags&4 != 0 && isRef(form):
			kind = form
		case flags&4 != 0:
			c.badType(form)
		case form != 0:
			c.fail(ErrMalformed, "an element segment of kind %d", form)
		}
	}
	if c.err == nil && active {
		switch {
		case into >= uint32(len(m.tables)):
			c.fail(ErrInvalid, "unknown table %d", into)
		case m.tables[into].kind != kind:
			c.fail(ErrInvalid, "an element segment of another type than its table")
		}
	}
	n := c.count(ErrTooLarge, maxElements, "element items")
	m.addItems(c, uint64(n))
	if c.err == nil && active && uint64(at)+uint64(n) > uint64(m.tables[into].least) {
		c.fail(ErrSegment, "an element segment of %d items at %d in a table of %d", n, at, m.tables[into].least)
	}
	out = appendU32(out, uint32(n))
	for ; n > 0 && c.err == nil; n-- {
		if flags&4 != 0 {
			out = m.constant(c, kind, out)
			continue
		}
		f := m.function(c)
		if c.err == nil {
			m.declare(f)
			out = appendU32(out, m.shift(f))
		}
	}
	m.elements = append(m.elements, kind)
	m.newElements = out
}
