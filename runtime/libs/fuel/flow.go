package fuel

// flow is a control instruction, 00 to 11.
func (f *body) flow(op byte, at int) {
	switch op {
	case 0x00: // unreachable
		f.unreachable()
	case 0x01: // nop
	case 0x02, 0x03, 0x04:
		f.begin(op, at)
	case 0x05:
		f.otherwise()
	case 0x06, 0x07, 0x08, 0x09, 0x0a:
		f.fail(ErrExceptions, "instruction %02x: exception handling is not accepted", op)
	case 0x0b:
		f.finish(at)
	case 0x0c:
		f.spend(1)
		f.getAll(f.target())
		f.unreachable()
	case 0x0d:
		f.spend(1)
		f.get(i32)
		f.fork(f.target())
		f.open()
	case 0x0e:
		f.spend(1)
		f.branchTable()
	case 0x0f: // return: out of the block that assemble may put around the body
		f.spend(1)
		f.join(1)
		f.getAll(f.blocks[0].end)
		f.flush(at)
		f.out = append(f.out, opBranch)
		f.renumber(at, f.depth(uint32(len(f.blocks)-1)))
		f.unreachable()
	case 0x10, 0x11:
		f.spend(1)
		f.call(op, at)
	}
}

// fork takes operands and leaves them, as a branch does that may not be taken.
func (f *body) fork(types []byte) {
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

func (f *body) begin(op byte, at int) {
	s := f.blockType()
	f.join(1)
	if op == 0x04 {
		f.spend(1)
		f.get(i32)
	}
	f.getAll(s.params)
	f.push(control{op: op, start: s.params, end: s.results, after: -1})
	if op == 0x03 {
		f.loop(at)
	}
	if op != 0x02 {
		f.open()
	}
}

// loop is the head of a loop that was just opened. Each time control comes to
// it the fuel is looked at. Where that may call the host, the call is in a loop
// of its own around the loop, which goes there only to call: a call inside
// would cost the loop the registers that calls do not keep.
//
//	loop T  body  end
//
// becomes
//
//	loop T  if (fuel < 0)  call yield  end
//	  loop T  if (fuel < 0)  br 2  end  body  end
//	end
func (f *body) loop(at int) {
	if f.err != nil || f.void {
		return
	}
	f.join(loopJoins)
	f.reload()
	f.blocks[len(f.blocks)-1].loops++
	start := f.blocks[len(f.blocks)-1].start
	f.stats.Checks++
	f.flush(f.off)
	f.out = f.look(f.out)
	if f.options.Yield {
		f.out = append(f.out, f.b[at:f.off]...)
		f.out = append(append(f.below(f.out), opIf), f.blockOf(signature{start, start})...)
		f.out = append(f.out, opBranch, 2, opEnd)
	}
}

func (f *body) otherwise() {
	if f.blocks[len(f.blocks)-1].op != 0x04 {
		f.fail(ErrInvalid, "else without if")
		return
	}
	f.join(1)
	f.arrive(&f.blocks[len(f.blocks)-1])
	c := f.pop()
	f.known = c.before
	f.push(control{op: 0x05, start: c.start, end: c.end, named: c.named, void: c.void, after: c.after})
	f.open()
}

// finish is an end.
func (f *body) finish(at int) {
	f.arrive(&f.blocks[len(f.blocks)-1])
	c := f.pop()
	if f.err != nil {
		return
	}
	if c.op == 0x04 && string(c.start) != string(c.end) {
		f.fail(ErrInvalid, "an if without else that must leave other operands than it takes")
		return
	}
	if c.op == 0x04 && !c.void { // the way past it
		c.after = min(c.after, c.before)
		if c.after < 0 {
			c.after = c.before
		}
	}
	f.known = max(c.after, 0)
	if len(f.blocks) == 0 {
		if f.looksBack() {
			f.join(1)
			f.pass(len(c.end))
			f.reload()
		}
		f.flush(at) // assemble writes the function's end
		return
	}
	f.putAll(c.end)
	if c.op == 0x03 && f.options.Yield && !c.void {
		f.flush(f.off)
		f.out = append(f.out, opEnd)
	}
	if c.op == 0x04 || c.op == 0x05 || c.op == 0x02 && c.named {
		f.open()
	}
}

// depth is how many blocks out a branch goes in the rewritten code: one more
// for each loop on its way that became two.
func (f *body) depth(d uint32) uint32 {
	if !f.options.Yield {
		return d
	}
	top := len(f.blocks) - 1
	return d + f.blocks[top].loops - f.blocks[top-int(d)].loops
}

// target reads the label of a branch and returns the operands that a branch to
// it takes.
func (f *body) target() []byte {
	f.join(1)
	at := f.off
	depth := f.u32()
	if f.err == nil && depth >= uint32(len(f.blocks)) {
		f.fail(ErrInvalid, "unknown label %d", depth)
	}
	if f.err != nil {
		return nil
	}
	c := &f.blocks[len(f.blocks)-1-int(depth)]
	c.named = true
	if to := f.depth(depth); to != depth {
		f.renumber(at, to)
	}
	if c.op == 0x03 {
		return c.start
	}
	f.arrive(c)
	return c.end
}

func (f *body) branchTable() {
	f.get(i32)
	n := f.count(ErrTargets, maxTargets, "targets of a br_table")
	arity := -1
	for range n + 1 {
		types := f.target()
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
	f.exit(1)
	f.reload()
	if op == 0x10 {
		i := f.module.function(&f.cursor)
		if f.err != nil {
			return
		}
		f.renumber(at+1, f.shift(i))
		f.apply(f.types[f.functions[i]])
		return
	}
	f.exit(2)
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
