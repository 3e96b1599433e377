package wasm

// Compiling a function takes more than linear time: in its joins, the places
// where control divides or meets; in them together with the locals that live
// across them; and in the operands that calls and branches pass, of which two
// bytes of code can name a thousand. A file of some kilobytes could keep the
// engine busy for hours and fill the memory, and nothing can stop it meanwhile.
// So weigh estimates the work before the engine sees the module. The weights
// are nanoseconds measured on functions made to be slow; what stock toolchains
// write takes far less than is reckoned here.
const (
	joinWork  = 25    // for each pair of joins in a function
	localWork = 4_000 // for each local that a function uses, at each of its joins
	valueWork = 4_000 // for each operand that is passed

	// Of one function: it bounds the engine's memory, too, to about 1 GB.
	maxFunctionWork = 8_000_000_000
	// Of all functions. Modules that Go and C compilers write need 2 s per MB.
	maxWork = 150_000_000_000
)

// arity counts what a block or function of a type takes and gives.
type arity struct{ params, results int }

// weigher walks function bodies. It reads instructions as the engine does, and
// leaves their types to it.
type weigher struct {
	types     []arity
	functions []uint32 // type indexes, imports first
	next      int      // the function whose body comes next
	work      uint64   // of the bodies so far

	// Of one function:
	joins, locals, values uint64
	used                  []bool  // by local
	labels                []arity // of the open blocks: what a branch out of them passes
	checks                []int   // offsets where the wall clock must be checked
}

// body walks the rest of s, a function's code with n locals declared. It
// returns where the wall clock must be checked, valid until the next call.
func (w *weigher) body(s *scanner, n uint64) []int {
	var own arity
	if w.next < len(w.functions) {
		own = w.typeAt(s, w.functions[w.next])
	}
	w.next++
	w.joins, w.locals, w.values = 0, 0, 0
	w.used = append(w.used[:0], make([]bool, n+uint64(own.params))...)
	w.labels = append(w.labels[:0], arity{results: own.results})
	w.checks = append(w.checks[:0], s.off)
	for s.err == nil && s.off < len(s.b) {
		w.instruction(s, s.byte())
	}
	w.joins += uint64(len(w.checks))
	work := joinWork*w.joins*w.joins + localWork*w.joins*w.locals + valueWork*w.values
	if w.work += work; work > maxFunctionWork || w.work > maxWork {
		s.fail(ErrTooLarge, "function %d would take too long to compile: it has %d branches and joins, uses %d locals and passes %d operands", w.next-1, w.joins, w.locals, w.values)
	}
	return w.checks
}

// typeAt returns the arity of a type.
func (w *weigher) typeAt(s *scanner, i uint32) arity {
	if uint64(i) >= uint64(len(w.types)) {
		s.fail(ErrInvalid, "unknown type %d", i)
		return arity{}
	}
	return w.types[i]
}

// pass adds the operands of a call or branch.
func (w *weigher) pass(n int) { w.values += uint64(n) }

// instruction steps over one instruction behind its first byte.
func (w *weigher) instruction(s *scanner, op byte) {
	switch {
	case op <= 0x11:
		w.control(s, op)
	case op == 0x1c: // select of a type
		s.each(1, "types of a select", s.valType)
	case op >= 0x20 && op <= 0x22:
		w.local(s.u32())
	case op >= 0x23 && op <= 0x26, op == 0xd2: // globals, tables, ref.func
		s.u32()
	case op >= 0x28 && op <= 0x3e: // loads and stores
		s.u32()
		s.u32()
	case op == 0x3f, op == 0x40, op == 0xd0: // memory.size, memory.grow, ref.null
		s.byte()
	case op == 0x41:
		s.leb(5)
	case op == 0x42:
		s.leb(10)
	case op == 0x43:
		s.take(4)
	case op == 0x44:
		s.take(8)
	case op == 0x1a, op == 0x1b, op >= 0x45 && op <= 0xc4, op == 0xd1:
	case op == 0xfc:
		w.prefixed(s)
	default:
		s.fail(ErrInvalid, "instruction %#02x is not accepted", op)
	}
}

func (w *weigher) local(i uint32) {
	if uint64(i) < uint64(len(w.used)) && !w.used[i] {
		w.used[i] = true
		w.locals++
	}
}

// control is an instruction from unreachable to call_indirect.
func (w *weigher) control(s *scanner, op byte) {
	switch op {
	case 0x00, 0x01: // unreachable, nop
	case 0x02, 0x03, 0x04: // block, loop, if
		w.open(s, op)
	case 0x05: // else
		w.joins++
	case 0x0b: // end
		w.labels = w.labels[:max(0, len(w.labels)-1)]
	case 0x0c, 0x0d: // br, br_if
		w.branch(s.u32())
	case 0x0e: // br_table
		for n := s.count(maxTargets, "targets of a br_table"); n >= 0 && s.err == nil; n-- {
			w.branch(s.u32())
		}
	case 0x0f: // return
		w.branch(uint32(len(w.labels) - 1))
	case 0x10: // call
		if i := s.u32(); uint64(i) < uint64(len(w.functions)) {
			a := w.typeAt(s, w.functions[i])
			w.pass(a.params + a.results)
		}
	case 0x11: // call_indirect
		a := w.typeAt(s, s.u32())
		s.u32()
		w.pass(a.params + a.results)
	default:
		s.fail(ErrInvalid, "instruction %#02x is not accepted", op)
	}
}

// open enters a block, whose type is empty, one value, or an index.
func (w *weigher) open(s *scanner, op byte) {
	w.joins++
	var a arity
	switch at := s.off; s.byte() {
	case 0x40:
	case 0x7f, 0x7e, 0x7d, 0x7c, 0x70, 0x6f:
		a.results = 1
	default:
		s.off = at
		a = w.typeAt(s, s.u32())
	}
	w.pass(a.params + a.results)
	if op == 0x03 {
		a.results = a.params // a branch to a loop goes to its start
	}
	w.labels = append(w.labels, a)
}

func (w *weigher) branch(depth uint32) {
	w.joins++
	if uint64(depth) < uint64(len(w.labels)) {
		w.pass(w.labels[len(w.labels)-1-int(depth)].results)
	}
}

// prefixed is an instruction that begins with fc: conversions, and bulk
// operations on memory and tables.
func (w *weigher) prefixed(s *scanner) {
	at := s.off - 1
	op := s.u32()
	if op >= 8 {
		w.checks = append(w.checks, at)
	}
	switch {
	case op <= 7:
	case op == 8: // memory.init
		s.u32()
		s.byte()
	case op == 10: // memory.copy
		s.byte()
		s.byte()
	case op == 11: // memory.fill
		s.byte()
	case op == 12, op == 14: // table.init, table.copy
		s.u32()
		s.u32()
	case op <= 17: // data.drop, elem.drop, table.grow, table.size, table.fill
		s.u32()
	default:
		s.fail(ErrInvalid, "instruction 0xfc %d is not accepted", op)
	}
}
