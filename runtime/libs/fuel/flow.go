package fuel

// flow is a control instruction, 00 to 11.
func (f *body) flow(op byte, at int) {
	switch op {
	case 0x00: // unreachable
		f.unreachable()
	case 0x01: // nop
	case 0x02, 0x03, 0x04:
		f.begin(op)
	case 0x05:
		f.otherwise()
	case 0x06, 0x07, 0x08, 0x09, 0x0a:
		f.fail(ErrExceptions, "instruction %02x: exception handling is not accepted", op)
	case 0x0b:
		f.finish(at)
	case 0x0c:
		f.jumps++
		f.spend(1)
		f.getAll(f.label(f.u32()))
		f.unreachable()
	case 0x0d:
		f.jumps++
		f.spend(1)
		f.get(i32)
		f.pass(f.label(f.u32()))
		f.open(false)
	case 0x0e:
		f.spend(1)
		f.branchTable()
	case 0x0f: // return: out of the block that assemble may put around the body
		f.spend(1)
		f.getAll(f.blocks[0].end)
		f.replace(at, appendU32([]byte{0x0c}, uint32(len(f.blocks)-1)))
		f.unreachable()
	case 0x10, 0x11:
		f.spend(1)
		f.call(op, at)
	}
}

// pass takes operands and leaves them, as a branch does that may not be taken.
func (f *body) pass(types []byte) {
	if !f.dead {
		f.topIs(types)
		return
	}
	f.getAll(types)
	f.putAll(types)
}

// blockType reads the type of a block.
func (f *body) blockType() (s signature) {
	if f.off < len(f.b) {
		switch t := f.b[f.off]; {
		case t == 0x40:
			f.off++
			return s
		case isValue(t):
			f.off++
			return signature{results: f.b[f.off-1 : f.off]}
		case t >= 0x41 && t <= 0x7f:
			f.badType(t)
			return s
		}
	}
	i := f.signed(33)
	if f.err == nil && (i < 0 || i >= int64(len(f.types))) {
		f.fail(ErrInvalid, "unknown block type %d", i)
	}
	if f.err != nil {
		return s
	}
	return f.types[i]
}

func (f *body) begin(op byte) {
	s := f.blockType()
	f.jumps++
	if op == 0x04 {
		f.spend(1)
		f.get(i32)
	}
	f.getAll(s.params)
	f.push(control{op: op, start: s.params, end: s.results})
	if op != 0x02 {
		f.open(op == 0x03)
	}
}

func (f *body) otherwise() {
	if f.blocks[len(f.blocks)-1].op != 0x04 {
		f.fail(ErrInvalid, "else without if")
		return
	}
	c := f.pop()
	f.push(control{op: 0x05, start: c.start, end: c.end, named: c.named, void: c.void})
	f.open(false)
}

// finish is an end.
func (f *body) finish(at int) {
	c := f.pop()
	if f.err != nil {
		return
	}
	if c.op == 0x04 && string(c.start) != string(c.end) {
		f.fail(ErrInvalid, "an if without else that must leave other operands than it takes")
		return
	}
	if len(f.blocks) == 0 {
		f.flush(at) // assemble writes the function's end
		return
	}
	f.putAll(c.end)
	if c.op == 0x04 || c.op == 0x05 || c.op == 0x02 && c.named {
		f.open(false)
	}
}

// label names the block that is depth blocks out and returns the operands that
// a branch to it takes.
func (f *body) label(depth uint32) []byte {
	if f.err == nil && depth >= uint32(len(f.blocks)) {
		f.fail(ErrInvalid, "unknown label %d", depth)
	}
	if f.err != nil {
		return nil
	}
	c := &f.blocks[len(f.blocks)-1-int(depth)]
	c.named = true
	if c.op == 0x03 {
		return c.start
	}
	return c.end
}

func (f *body) branchTable() {
	f.get(i32)
	n := f.count(ErrTargets, maxTargets, "targets of a br_table")
	f.jumps += 1 + n/8
	arity := -1
	for range n + 1 {
		types := f.label(f.u32())
		if f.err != nil {
			return
		}
		if arity >= 0 && len(types) != arity {
			f.fail(ErrInvalid, "a br_table to labels of %d and of %d operands", arity, len(types))
			return
		}
		arity = len(types)
		f.topIs(types)
	}
	f.unreachable()
}

func (f *body) call(op byte, at int) {
	f.calls = true
	if op == 0x10 {
		i := f.module.function(&f.cursor)
		if f.err != nil {
			return
		}
		f.replace(at, appendU32([]byte{op}, f.shift(i)))
		f.apply(f.types[f.functions[i]])
		return
	}
	t := f.u32()
	kind := f.tableKind(f.u32())
	switch {
	case f.err != nil:
	case t >= uint32(len(f.types)):
		f.fail(ErrInvalid, "unknown type %d", t)
	case kind != funcref:
		f.fail(ErrInvalid, "call_indirect through a table that holds no functions")
	default:
		f.get(i32)
		f.apply(f.types[t])
	}
}

func (f *body) apply(s signature) {
	f.getAll(s.params)
	f.putAll(s.results)
}
