package fuel

// Functions that rewriting adds. The first group charges for the i32 operand
// that it is given; the instruction follows. The second does the instruction,
// too: with Options.Yield it takes long operations in pieces.
const (
	growPages    = iota // costPage per page that can be granted
	growElements        // 1 per element that can be granted
	moveBytes           // 1 per 8 bytes
	moveElements        // 1 per element

	fillMemory // (to, value, n)
	copyMemory // (to, from, n)
	helperKinds
)

// pieceBytes is how much of a memory.fill or memory.copy is done between two
// calls of the host: less than a millisecond's work.
const pieceBytes = 4 << 20

// dynamic charges for the i32 on top of the stack before the instruction at at.
func (f *body) dynamic(kind, at int) {
	if f.err != nil || f.dead || f.void {
		return
	}
	f.flush(at)
	f.charges()
	t := f.temp(i32)
	f.out = op(op(op(f.out, opLocalTee, t), opLocalGet, t), opCall, f.helper(kind))
}

// charges counts a call of a helper.
func (f *body) charges() {
	f.join(chargeJoins)
	f.pass(chargeValues)
	f.reload()
	f.stats.Dynamic++
}

// move is a memory.fill or memory.copy at at.
func (f *body) move(kind, at int) {
	if !f.options.Yield {
		f.dynamic(moveBytes, at)
		return
	}
	if f.err != nil || f.dead || f.void {
		return
	}
	f.charges()
	f.flush(at)
	f.out = op(f.out, opCall, f.helper(kind))
	f.copied = f.off
}

// helper returns the index of the function of a kind.
func (m *module) helper(kind int) uint32 {
	if m.helperOf[kind] == 0 {
		m.helperOf[kind] = m.shift(uint32(len(m.functions) + m.helpers))
		m.helpers++
		params, body := []byte{i32}, m.charging(kind)
		if kind >= fillMemory {
			params, body = []byte{i32, i32, i32}, m.moving(kind)
		}
		m.helperTypes = appendU32(m.helperTypes, m.typeOf(signature{params: params}))
		m.helperBodies = append(appendU32(m.helperBodies, uint32(len(body))), body...)
	}
	return m.helperOf[kind]
}

// charging is a function (param i32) that charges for its parameter. What
// cannot be granted in any case is not charged: it fails without work.
func (m *module) charging(kind int) []byte {
	out := m.minus([]byte{0}, 0, kind)
	return append(m.look(out), opEnd)
}

// minus subtracts from the fuel what the number in a local costs.
func (m *module) minus(out []byte, local uint32, kind int) []byte {
	out = append(op(op(out, opGlobalGet, m.fuelGlobal()), opLocalGet, local), opExtend)
	most := int64(0)
	switch kind {
	case growPages:
		out = append(appendS64(append(out, opI64Const), costPage), opI64Mul)
		most = maxPages
	case growElements:
		most = maxElements
	case moveBytes:
		out = append(out, opI64Const, moveShift, opI64Shift)
	}
	if most > 0 {
		out = append(op(append(out, opI64Const, 0), opLocalGet, local), opI32Const)
		out = append(appendS64(out, most), opI32AtMost, opSelect)
	}
	return op(append(out, opI64Sub), opGlobalSet, m.fuelGlobal())
}

// moving is a function that does a memory.fill or memory.copy of n bytes:
//
//	charge for n, and look
//	block
//	  br_if 0 (n <= pieceBytes)
//	  br_if 0 (out of range)    so that nothing is written in vain
//	  loop
//	    do the first piece; or the last one, for a copy upwards that overlaps
//	    call yield
//	    br_if 0 (n > pieceBytes)
//	  end
//	end
//	do the rest, or trap
func (m *module) moving(kind int) []byte {
	out := m.look(m.minus([]byte{0}, 2, moveBytes))
	out = append(out, opBlock, voidBlock)
	out = append(piece(append(out, opLocalGet, 2)), opI32AtMost, opBranchIf, 0)
	out = outOfRange(out, 0)
	if kind == fillMemory {
		out = m.pieces(out, kind, false)
	} else {
		out = outOfRange(out, 1)
		out = append(out, opLocalGet, 0, opLocalGet, 1, opI32AtMost, opIf, voidBlock)
		out = m.pieces(out, kind, false)
		out = append(m.pieces(append(out, opElse), kind, true), opEnd)
	}
	out = append(out, opEnd, opLocalGet, 0, opLocalGet, 1, opLocalGet, 2)
	return append(instructionOf(out, kind), opEnd)
}

// outOfRange leaves the innermost block if the n bytes at the address in a
// local are not all in the memory.
func outOfRange(out []byte, local uint32) []byte {
	out = append(op(out, opLocalGet, local), opExtend, opLocalGet, 2, opExtend, opI64Add)
	out = append(out, opMemorySize, 0, opExtend, opI64Const, 16, opI64ShiftLeft)
	return append(out, opI64Greater, opBranchIf, 0)
}

// pieces is the loop of a long operation.
func (m *module) pieces(out []byte, kind int, backwards bool) []byte {
	out = append(out, opLoop, voidBlock)
	if backwards {
		out = less(out, 2)
		for local := range uint32(2) {
			out = append(op(out, opLocalGet, local), opLocalGet, 2, opI32Add)
		}
	} else {
		out = append(out, opLocalGet, 0, opLocalGet, 1)
	}
	out = instructionOf(piece(out), kind)
	if !backwards {
		out = less(more(out, 0), 2)
		if kind == copyMemory {
			out = more(out, 1)
		}
	}
	out = piece(append(m.yield(out), opLocalGet, 2))
	return append(out, opI32Greater, opBranchIf, 0, opEnd)
}

func instructionOf(out []byte, kind int) []byte {
	if kind == fillMemory {
		return append(out, 0xfc, 11, 0)
	}
	return append(out, 0xfc, 10, 0, 0)
}

func piece(out []byte) []byte { return appendS64(append(out, opI32Const), pieceBytes) }

// less and more change a local by a piece's length.
func less(out []byte, local uint32) []byte {
	return op(append(piece(op(out, opLocalGet, local)), opI32Sub), opLocalSet, local)
}

func more(out []byte, local uint32) []byte {
	return op(append(piece(op(out, opLocalGet, local)), opI32Add), opLocalSet, local)
}
