package fuel

// instruction validates and rewrites the next instruction.
func (f *body) instruction() {
	at := f.off
	op := f.byte()
	if f.err != nil {
		return
	}
	f.stats.Ops++
	s := &shapes[op]
	if s.known {
		f.spend(1)
		f.simple(op, s)
		return
	}
	switch {
	case op <= 0x11:
		f.flow(op, at)
	case op >= 0x20 && op <= 0x26:
		f.spend(1)
		f.variable(op)
	case op >= 0x41 && op <= 0x44:
		f.spend(1)
		f.constant(op)
	case op == 0x3f || op == 0x40:
		f.spend(1)
		f.memorySize(op, at)
	case op >= 0x1a && op <= 0x1c:
		f.spend(1)
		f.parametric(op, at)
	case op >= 0xd0 && op <= 0xd2:
		f.spend(1)
		f.reference(op, at)
	case op == 0xfc:
		f.spend(1)
		f.prefixed(at)
	default:
		f.refuse(op)
	}
}

// simple is an instruction of the table.
func (f *body) simple(op byte, s *shape) {
	for i := len(s.in) - 1; i >= 0; i-- {
		v := f.pull(s.in[i])
		if !s.blind {
			f.see(v)
		}
	}
	if op <= 0x3e {
		f.memarg(s.width)
	} else if s.traps {
		f.exit(1)
	}
	if op == opF32CopySign || op == opF64CopySign {
		f.copySign(s.out)
	}
	switch {
	case s.nan:
		f.give(f.point(point{kind: s.out, local: -1}))
	case s.clean:
		f.give(operand{s.out, clean})
	case s.out != 0:
		f.put(s.out)
	}
}

// memarg reads the alignment and offset of a memory access.
func (f *body) memarg(width byte) {
	align := f.u32()
	f.u32()
	switch {
	case f.err != nil:
	case align >= 0x40 && align < 0x80:
		f.fail(ErrMultiMemory, "a memory index: multiple memories are not accepted")
	case align > uint32(width):
		f.fail(ErrInvalid, "an alignment of 2^%d bytes, at most 2^%d", align, width)
	default:
		f.needMemory()
		f.exit(1)
		if !f.dead && !f.void {
			f.known++
		}
	}
}

func (f *body) needMemory() {
	if f.err == nil && !f.hasMemory {
		f.fail(ErrInvalid, "a memory instruction in a module without a memory")
	}
}

// zero reads the index of the only memory.
func (f *body) zero() {
	if c := f.byte(); f.err == nil && c != 0 {
		f.fail(ErrMultiMemory, "memory %d: multiple memories are not accepted", c)
	}
	f.needMemory()
}

func (f *body) memorySize(op byte, at int) {
	f.zero()
	if op == 0x40 {
		f.get(i32)
		f.dynamic(growPages, at)
	}
	f.put(i32)
}

func (f *body) constant(op byte) {
	switch op {
	case 0x41:
		f.signed(32)
		f.put(i32)
	case 0x42:
		f.signed(64)
		f.put(i64)
	case 0x43:
		f.floatConstant(f32, f.take(4))
	case 0x44:
		f.floatConstant(f64, f.take(8))
	}
}

// floatConstant is clean unless it is so large that it may be a NaN.
func (f *body) floatConstant(kind byte, b []byte) {
	v := operand{kind, clean}
	if f.err == nil && b[len(b)-1]&0x7f == 0x7f {
		v.from = anywhere
	}
	f.give(v)
}

func (f *body) variable(op byte) {
	i := f.u32()
	if f.err != nil {
		return
	}
	switch op {
	case 0x20, 0x21, 0x22:
		if i >= uint32(len(f.kinds)) {
			f.fail(ErrInvalid, "unknown local %d", i)
			return
		}
		f.local(op, i)
	case 0x23, 0x24:
		f.global(op, i)
	case 0x25:
		kind := f.tableKind(i)
		f.exit(2)
		f.get(i32)
		f.put(kind)
	case 0x26:
		f.get(f.tableKind(i))
		f.exit(2)
		f.get(i32)
		f.altersTables = true
	}
}

// global is global.get or global.set.
func (f *body) global(op byte, i uint32) {
	if i >= uint32(len(f.globals)) {
		f.fail(ErrInvalid, "unknown global %d", i)
		return
	}
	g := &f.globals[i]
	if now := f.stats.Functions + 1; g.function != now {
		g.function = now
		f.effort.live++
	}
	switch {
	case op == 0x23:
		f.put(g.kind)
	case !g.mutable:
		f.fail(ErrInvalid, "global %d is constant", i)
	default:
		f.get(g.kind)
	}
}

// local is local.get, local.set or local.tee.
func (f *body) local(op byte, i uint32) {
	kind := f.kinds[i]
	l := f.use(i)
	if op != 0x20 {
		l.segment = len(f.segments)
		if v := f.pull(kind); isFloat(kind) {
			f.store(v, i)
		}
	}
	if l.segment != len(f.segments) && !l.live {
		l.live = true
		f.effort.live++
	}
	switch {
	case op == 0x21:
	case isFloat(kind):
		f.give(f.point(point{kind: kind, local: int32(i), read: true}))
	default:
		f.put(kind)
	}
}

func (f *body) tableKind(i uint32) byte {
	if f.err == nil && i >= uint32(len(f.tables)) {
		f.fail(ErrInvalid, "unknown table %d", i)
	}
	if f.err != nil {
		return unknown
	}
	return f.tables[i].kind
}

func (f *body) elementKind(i uint32) byte {
	if f.err == nil && i >= uint32(len(f.elements)) {
		f.fail(ErrInvalid, "unknown element segment %d", i)
	}
	if f.err != nil {
		return unknown
	}
	return f.elements[i]
}

// dataIndex reads the index of a data segment, which section 12 must announce.
func (f *body) dataIndex() {
	i := f.u32()
	switch {
	case f.err != nil:
	case f.data < 0:
		f.fail(ErrMalformed, "a data segment is named and there is no data count section")
	case i >= uint32(f.data):
		f.fail(ErrInvalid, "unknown data segment %d", i)
	}
	f.namesData = true
}

func (f *body) parametric(op byte, at int) {
	switch op {
	case 0x1a:
		f.pull(unknown)
	case 0x1b:
		f.get(i32)
		a, b := f.get(unknown), f.get(unknown)
		switch {
		case f.err != nil:
		case isRef(a) || isRef(b):
			f.fail(ErrInvalid, "select of references without a type")
		case a != b && a != unknown && b != unknown:
			f.fail(ErrInvalid, "select of %#02x and %#02x", b, a)
		default:
			t := max(a, b) // unknown is the least
			f.selectFloat(t, at)
			f.put(t)
		}
	case 0x1c:
		if n := f.u32(); f.err == nil && n != 1 {
			f.fail(ErrInvalid, "select of %d values", n)
		}
		t := f.valueType()
		f.get(i32)
		f.get(t)
		f.get(t)
		f.selectFloat(t, at)
		f.put(t)
	}
}

func (f *body) reference(op byte, at int) {
	switch op {
	case 0xd0:
		f.put(f.refType())
	case 0xd1:
		if t := f.get(unknown); f.err == nil && t != unknown && !isRef(t) {
			f.fail(ErrInvalid, "ref.is_null of %#02x", t)
		}
		f.put(i32)
	case 0xd2:
		f.exit(1)
		i := f.module.function(&f.cursor)
		switch {
		case f.err != nil:
		case f.declared == nil || !f.declared[i]:
			f.fail(ErrInvalid, "ref.func of function %d, which is not declared", i)
		default:
			f.put(funcref)
			f.renumber(at+1, f.shift(i))
		}
	}
}

// prefixed is an instruction that begins with fc. Its number is written in one
// byte, however it came: engines exist that read no more.
func (f *body) prefixed(at int) {
	sub := f.u32()
	from := f.off
	switch {
	case f.err != nil:
	case sub <= 7:
		in, out := truncation(sub)
		f.pull(in)
		f.put(out)
	case sub <= 11:
		f.bulkMemory(sub, at)
	case sub <= 17:
		f.bulkTable(sub, at)
	case sub >= 19 && sub <= 22:
		f.fail(ErrArithmetic, "wide arithmetic is not accepted")
	default:
		f.fail(ErrOpcode, "unknown instruction fc %02x", sub)
	}
	if f.err == nil && from > at+2 && f.copied <= at {
		f.flush(at)
		f.out = append(f.out, 0xfc, byte(sub))
		f.copied = from
	}
}

func (f *body) bulkMemory(sub uint32, at int) {
	triple := []byte{i32, i32, i32}
	switch sub {
	case 8: // memory.init
		f.dataIndex()
		f.zero()
		f.getAll(triple)
		f.dynamic(moveBytes, at)
	case 9: // data.drop
		f.dataIndex()
	case 10: // memory.copy
		f.zero()
		f.zero()
		f.getAll(triple)
		f.move(copyMemory, at)
	case 11: // memory.fill
		f.zero()
		f.getAll(triple)
		f.move(fillMemory, at)
	}
}

func (f *body) bulkTable(sub uint32, at int) {
	i := f.u32()
	f.altersTables = f.altersTables || sub != 16
	switch sub {
	case 12: // table.init, of segment i
		if into := f.tableKind(f.u32()); into != f.elementKind(i) && f.err == nil {
			f.fail(ErrInvalid, "table.init from a segment of another type")
		}
		f.getAll([]byte{i32, i32, i32})
		f.dynamic(moveElements, at)
	case 13: // elem.drop
		f.elementKind(i)
	case 14: // table.copy, into i
		if from := f.tableKind(f.u32()); from != f.tableKind(i) && f.err == nil {
			f.fail(ErrInvalid, "table.copy between tables of different types")
		}
		f.getAll([]byte{i32, i32, i32})
		f.dynamic(moveElements, at)
	case 15: // table.grow
		f.get(i32)
		f.get(f.tableKind(i))
		f.put(i32)
		f.dynamic(growElements, at)
	case 16: // table.size
		f.tableKind(i)
		f.put(i32)
	case 17: // table.fill
		f.get(i32)
		f.get(f.tableKind(i))
		f.get(i32)
		f.dynamic(moveElements, at)
	}
}

// refuse names the feature of an instruction that is not accepted.
func (f *body) refuse(op byte) {
	switch {
	case op == 0xfd:
		if sub := f.u32(); sub > 0xff {
			f.fail(ErrRelaxedSIMD, "instruction fd %02x: relaxed SIMD is not accepted", sub)
		} else {
			f.fail(ErrSIMD, "instruction fd %02x: SIMD is not accepted", sub)
		}
	case op == 0xfe:
		f.fail(ErrThreads, "instruction fe %02x: threads are not accepted", f.u32())
	case op == 0xfb:
		f.fail(ErrGC, "instruction fb %02x: garbage collected types are not accepted", f.u32())
	case op == 0xd3:
		f.fail(ErrGC, "instruction d3: garbage collected types are not accepted")
	case op == 0x12 || op == 0x13:
		f.fail(ErrTailCalls, "instruction %02x: tail calls are not accepted", op)
	case op == 0x14 || op == 0x15 || op >= 0xd4 && op <= 0xd6:
		f.fail(ErrReferences, "instruction %02x: typed function references are not accepted", op)
	case op == 0x18 || op == 0x19 || op == 0x1f:
		f.fail(ErrExceptions, "instruction %02x: exception handling is not accepted", op)
	default:
		f.fail(ErrOpcode, "unknown instruction %02x", op)
	}
}
