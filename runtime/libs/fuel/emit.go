package fuel

// Costs of schedule 1 (RFC-MYTHOS-0012 §10.2).
const (
	costPage   = 1_000 // memory.grow, per page
	costLocals = 8     // declared locals per unit of fuel, at function entry
	moveShift  = 3     // bulk memory: 1 per 2^3 bytes
	frameSlots = 8     // locals and operands per unit of depth
	costBack   = 32    // all segments of a function that looks at its end
)

// Instructions that are written.
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBranch       = 0x0c
	opBranchIf     = 0x0d
	opCall         = 0x10
	opSelect       = 0x1b
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opMemorySize   = 0x3f
	opI32Const     = 0x41
	opI64Const     = 0x42
	opI32Less      = 0x48 // signed
	opI32Greater   = 0x4b // unsigned
	opI32AtMost    = 0x4d // unsigned
	opI64Less      = 0x53 // signed
	opI64Greater   = 0x56 // unsigned
	opF32Equal     = 0x5b
	opF64Equal     = 0x61
	opI32Add       = 0x6a
	opI32Sub       = 0x6b
	opI32And       = 0x71
	opI32Or        = 0x72
	opI64Add       = 0x7c
	opI64Sub       = 0x7d
	opI64Mul       = 0x7e
	opI64And       = 0x83
	opI64Or        = 0x84
	opI64ShiftLeft = 0x86
	opI64Shift     = 0x88 // right, unsigned
	opF32CopySign  = 0x98
	opF64CopySign  = 0xa6
	opExtend       = 0xad // i32 to i64, unsigned
	opI32OfF32     = 0xbc // the bits
	opI64OfF64     = 0xbd
	opF32OfI32     = 0xbe
	opF64OfI64     = 0xbf
	voidBlock      = 0x40
)

func (m *module) fuelGlobal() uint32 { return uint32(len(m.globals)) }

func (m *module) depthGlobal() uint32 { return uint32(len(m.globals)) + 1 }

// spend adds an instruction's cost to the segment it is in.
func (f *body) spend(n int64) {
	f.segments[len(f.segments)-1].cost += n
	f.cost += n
}

// open begins a segment here. One that cost nothing yet is moved here.
func (f *body) open() {
	f.flush(f.off)
	s := segment{at: len(f.out), dead: f.dead || f.void}
	if n := len(f.segments); n > 0 && f.segments[n-1].cost == 0 {
		f.segments[n-1] = s
		return
	}
	f.segments = append(f.segments, s)
}

// flush copies the input up to offset to.
func (f *body) flush(to int) {
	if to > f.copied && f.err == nil {
		f.out = append(f.out, f.b[f.copied:to]...)
		f.copied = to
	}
}

// renumber writes another number for the one that was read from at to here.
func (f *body) renumber(at int, n uint32) {
	if f.err != nil {
		return
	}
	f.flush(at)
	f.out = appendU32(f.out, n)
	f.copied = f.off
}

// temp returns the index of a local of the given type that rewriting added.
func (f *body) temp(kind byte) uint32 {
	if f.tempOf[kind] == 0 {
		f.tempOf[kind] = len(f.kinds) + len(f.temps) + 1
		f.temps = append(f.temps, kind)
	}
	return uint32(f.tempOf[kind] - 1)
}

func op(b []byte, code byte, index uint32) []byte { return appendU32(append(b, code), index) }

// assemble writes the function: locals, the frame's depth, and the body with
// the charges in their places.
func (f *body) assemble(t signature, groups []byte, n int) {
	f.settlePoints()
	framed := f.calls
	weight := 1 + int64(len(f.kinds)+f.height)/frameSlots
	if framed {
		f.temp(i32)
	}
	out := append(appendU32(f.final[:0], uint32(n+len(f.temps))), groups...)
	for _, kind := range f.temps {
		out = append(out, 1, kind)
	}
	if framed {
		f.stats.Framed++
		out = f.enterFrame(out, weight)
		out = append(append(out, opBlock), f.blockOf(signature{results: t.results})...)
	}
	out = f.woven(out)
	if framed {
		d := f.depthGlobal()
		out = appendS64(append(op(append(out, opEnd), opGlobalGet, d), opI32Const), weight)
		out = op(append(out, opI32Add), opGlobalSet, d)
		if f.looksBack() {
			f.stats.Checks++
			out = f.look(out)
		}
	}
	out = append(out, opEnd)
	f.final = out
	f.code = append(appendU32(f.code, uint32(len(out))), out...)
}

// woven appends the body with what belongs in it.
func (f *body) woven(out []byte) []byte {
	from, points := 0, f.points
	canonical := func(until int) {
		for len(points) > 0 && points[0].at <= until {
			out = f.canonical(append(out, f.out[from:points[0].at]...), points[0].kind)
			from, points = points[0].at, points[1:]
		}
	}
	for _, s := range f.segments {
		if s.dead || s.cost == 0 {
			continue
		}
		canonical(s.at)
		out = f.charge(append(out, f.out[from:s.at]...), s)
		from = s.at
	}
	canonical(len(f.out))
	return append(out, f.out[from:]...)
}

func (f *body) checked(s segment) bool {
	return !s.dead && s.cost > 0 && (s.check || f.options.CheckEverySegment)
}

// enterFrame takes the frame's weight, and traps if there is not that much.
func (f *body) enterFrame(out []byte, weight int64) []byte {
	d, t := f.depthGlobal(), f.temp(i32)
	out = appendS64(append(op(out, opGlobalGet, d), opI32Const), weight)
	out = op(op(op(append(out, opI32Sub), opLocalTee, t), opGlobalSet, d), opLocalGet, t)
	return append(out, opI32Const, 0, opI32Less, opIf, voidBlock, opUnreachable, opEnd)
}

// looksBack: the function looks at the fuel when it ends. Without that, calls in
// each other could return one after another, and each run through all that
// follows its call, with nothing to stop them. Where that is little, 65,536 of
// them are soon through.
func (f *body) looksBack() bool { return f.calls && f.cost >= costBack }

// blockOf is the type of a block that takes and leaves these values.
func (m *module) blockOf(s signature) []byte {
	switch {
	case len(s.params)+len(s.results) == 0:
		return []byte{voidBlock}
	case len(s.params) == 0 && len(s.results) == 1:
		return s.results
	}
	return appendS64(nil, int64(m.typeOf(s)))
}

// charge subtracts a segment's cost, and looks at the rest where it must.
func (f *body) charge(out []byte, s segment) []byte {
	f.stats.Segments++
	g := f.fuelGlobal()
	out = append(appendS64(append(op(out, opGlobalGet, g), opI64Const), s.cost), opI64Sub)
	out = op(out, opGlobalSet, g)
	if !f.checked(s) {
		return out
	}
	f.stats.Checks++
	return f.look(out)
}

// below asks whether the fuel is below zero.
func (m *module) below(out []byte) []byte {
	return append(op(out, opGlobalGet, m.fuelGlobal()), opI64Const, 0, opI64Less)
}

// look gives up the call, or the slice, if the fuel is below zero.
func (m *module) look(out []byte) []byte {
	out = append(m.below(out), opIf, voidBlock)
	if m.options.Yield {
		out = m.yield(out)
	} else {
		out = append(out, opUnreachable)
	}
	return append(out, opEnd)
}

// yield calls the host.
func (m *module) yield(out []byte) []byte { return op(out, opCall, uint32(len(m.imports))) }

// typeOf returns the index of a function type, adding it if it is not there
// yet.
func (m *module) typeOf(s signature) uint32 {
	enc := append(appendU32([]byte{0x60}, uint32(len(s.params))), s.params...)
	enc = append(appendU32(enc, uint32(len(s.results))), s.results...)
	if i, ok := m.typeIndex[string(enc)]; ok {
		return i
	}
	if m.typeIndex == nil {
		m.typeIndex = map[string]uint32{}
	}
	i := uint32(len(m.types) + m.added)
	m.typeIndex[string(enc)] = i
	m.newTypes = append(m.newTypes, enc...)
	m.added++
	return i
}
