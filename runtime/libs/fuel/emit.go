package fuel

// Costs of schedule 1 (RFC-MYTHOS-0012 §10.2).
const (
	costPage   = 1_000 // memory.grow, per page
	costLocals = 8     // declared locals per unit of fuel, at function entry
	moveShift  = 3     // bulk memory: 1 per 2^3 bytes
	frameSlots = 8     // locals and operands per unit of depth
)

// Dynamic charges, each by a helper function that takes the operand as it is.
const (
	growPages    = iota // costPage per page that can be granted
	growElements        // 1 per element that can be granted
	moveBytes           // 1 per 8 bytes
	moveElements        // 1 per element
	helperKinds
)

// Instructions that are written.
const (
	opUnreachable = 0x00
	opBlock       = 0x02
	opIf          = 0x04
	opEnd         = 0x0b
	opCall        = 0x10
	opSelect      = 0x1b
	opLocalGet    = 0x20
	opLocalTee    = 0x22
	opGlobalGet   = 0x23
	opGlobalSet   = 0x24
	opI32Const    = 0x41
	opI64Const    = 0x42
	opF32Const    = 0x43
	opF64Const    = 0x44
	opI32Less     = 0x48 // signed
	opI32AtMost   = 0x4d // unsigned
	opI64Less     = 0x53 // signed
	opF32Equal    = 0x5b
	opF64Equal    = 0x61
	opI32Add      = 0x6a
	opI32Sub      = 0x6b
	opI64Sub      = 0x7d
	opI64Mul      = 0x7e
	opI64Shift    = 0x88 // right, unsigned
	opExtend      = 0xad // i32 to i64, unsigned
	voidBlock     = 0x40
)

func (m *module) fuelGlobal() uint32 { return uint32(len(m.globals)) }

func (m *module) depthGlobal() uint32 { return uint32(len(m.globals)) + 1 }

// spend adds an instruction's cost to the segment it is in.
func (f *body) spend(n int64) { f.segments[len(f.segments)-1].cost += n }

// open begins a segment here. One that cost nothing yet is moved here.
func (f *body) open(check bool) {
	f.flush(f.off)
	s := segment{at: len(f.out), check: check, dead: f.dead || f.void}
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

// replace writes something else for the input from at to here.
func (f *body) replace(at int, by []byte) {
	if f.err != nil {
		return
	}
	f.flush(at)
	f.out = append(f.out, by...)
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

// canonical replaces a NaN on top of the stack by the canonical one, unless the
// next instructions cannot tell NaNs apart.
func (f *body) canonical(kind byte) {
	if f.err != nil || f.dead || f.void || f.absorbed(kind) {
		return
	}
	f.flush(f.off)
	t := f.temp(kind)
	out := op(f.out, opLocalTee, t)
	equal := byte(opF32Equal)
	if kind == f32 {
		out = append(out, opF32Const, 0, 0, 0xc0, 0x7f)
	} else {
		out = append(out, opF64Const, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f)
		equal = opF64Equal
	}
	out = op(op(out, opLocalGet, t), opLocalGet, t)
	f.out = append(out, equal, opSelect)
	f.stats.NaNs++
}

// absorbed reports whether the operand on top is taken by an instruction whose
// result does not depend on a NaN's bits: the next one, or the one after a
// local.get that pushes its second operand.
func (f *body) absorbed(kind byte) bool {
	at := f.off
	if at < len(f.b) && f.b[at] == opLocalGet {
		at++
		for at < len(f.b) && f.b[at] >= 0x80 {
			at++
		}
		at++
		return at < len(f.b) && shapes[f.b[at]].blind && len(shapes[f.b[at]].in) == 2 && shapes[f.b[at]].in[0] == kind
	}
	return at < len(f.b) && shapes[f.b[at]].blind
}

// dynamic charges for the i32 on top of the stack before the instruction at at.
func (f *body) dynamic(kind, at int) {
	if f.err != nil || f.dead || f.void {
		return
	}
	f.flush(at)
	t := f.temp(i32)
	f.out = op(op(op(f.out, opLocalTee, t), opLocalGet, t), opCall, f.helper(kind))
	f.stats.Dynamic++
}

// assemble writes the function: locals, the frame's depth, and the body with
// the charges in their places.
func (f *body) assemble(t signature, groups []byte, n int) {
	framed := f.calls
	weight := 1 + int64(len(f.kinds)+f.height)/frameSlots
	for _, s := range f.segments {
		if f.checked(s) {
			f.temp(i64)
			break
		}
	}
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
		out = append(append(out, opBlock), f.resultBlock(t.results)...)
	}
	from := 0
	for _, s := range f.segments {
		if s.dead || s.cost == 0 {
			continue
		}
		out = f.charge(append(out, f.out[from:s.at]...), s)
		from = s.at
	}
	out = append(out, f.out[from:]...)
	if framed {
		d := f.depthGlobal()
		out = appendS64(append(op(append(out, opEnd), opGlobalGet, d), opI32Const), weight)
		out = op(append(out, opI32Add), opGlobalSet, d)
	}
	out = append(out, opEnd)
	f.final = out
	f.code = append(appendU32(f.code, uint32(len(out))), out...)
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

// resultBlock is the type of a block that leaves these values.
func (f *body) resultBlock(results []byte) []byte {
	switch len(results) {
	case 0:
		return []byte{voidBlock}
	case 1:
		return results
	}
	return appendS64(nil, int64(f.typeOf(signature{results: results})))
}

// charge subtracts a segment's cost, and looks at the rest where it must.
func (f *body) charge(out []byte, s segment) []byte {
	f.stats.Segments++
	g := f.fuelGlobal()
	out = append(appendS64(append(op(out, opGlobalGet, g), opI64Const), s.cost), opI64Sub)
	if !f.checked(s) {
		return op(out, opGlobalSet, g)
	}
	f.stats.Checks++
	t := f.temp(i64)
	out = op(op(op(out, opLocalTee, t), opGlobalSet, g), opLocalGet, t)
	return f.exhausted(out)
}

// exhausted takes an i64 and gives up the call, or the slice, if it is below
// zero.
func (m *module) exhausted(out []byte) []byte {
	out = append(out, opI64Const, 0, opI64Less, opIf, voidBlock)
	if m.options.Yield {
		out = op(out, opCall, uint32(len(m.imports)))
	} else {
		out = append(out, opUnreachable)
	}
	return append(out, opEnd)
}

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

// helper returns the index of the function that makes a dynamic charge.
func (m *module) helper(kind int) uint32 {
	if m.helperOf[kind] == 0 {
		m.helperOf[kind] = m.shift(uint32(len(m.functions) + m.helpers))
		m.helpers++
		body := m.helperBody(kind)
		m.helperBodies = append(appendU32(m.helperBodies, uint32(len(body))), body...)
	}
	return m.helperOf[kind]
}

// helperBody is a function (param i32) that charges for its parameter. What
// cannot be granted in any case is not charged: it fails without work.
func (m *module) helperBody(kind int) []byte {
	g := m.fuelGlobal()
	out := op([]byte{1, 1, i64}, opGlobalGet, g)
	out = append(out, opLocalGet, 0, opExtend)
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
		out = append(out, opI64Const, 0, opLocalGet, 0, opI32Const)
		out = append(appendS64(out, most), opI32AtMost, opSelect)
	}
	out = append(out, opI64Sub, opLocalTee, 1)
	out = append(op(out, opGlobalSet, g), opLocalGet, 1)
	return append(m.exhausted(out), opEnd)
}
