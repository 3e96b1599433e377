package fuel

import "math"

// An arithmetic result may be a NaN of any bits; schedule 1 wants one pattern
// where bits can be seen (RFC-MYTHOS-0012 §10.5). Most results only flow into
// more arithmetic, which cannot tell NaNs apart. So a function's results are
// followed, on the stack and through its locals, and made canonical in one of
// two places:
//
//   - where they come into being, if something that sees bits takes them from
//     the stack, or may read them from the local that they are stored in;
//   - where a local is read, if it holds nothing but arithmetic results and
//     values that are canonical anyway, unless that is more often: in more
//     loops. What flows around a loop then need not wait for it.

// operand is a value on the stack: its type, and where it comes from, an index
// of body.points plus one, or one of these.
type operand struct {
	kind byte
	from int32
}

const (
	anywhere = 0  // it may be any value; if a NaN, its bits are kept
	clean    = -1 // it is no NaN, or a canonical one
)

// point is a place in the rewritten code where a float is on the stack that may
// have to be made canonical: an arithmetic result, or a local that was read.
type point struct {
	at    int
	local int32 // that the result goes to, or that was read; -1: none
	loops uint32
	kind  byte
	read  bool
	seen  bool // something that sees bits takes it from the stack
}

func isFloat(kind byte) bool { return kind == f32 || kind == f64 }

// point adds a point here and returns the operand that is on the stack there.
func (f *body) point(p point) operand {
	if f.err != nil || f.dead || f.void {
		return operand{kind: p.kind}
	}
	f.flush(f.off)
	p.at, p.loops = len(f.out), f.blocks[len(f.blocks)-1].loops
	f.points = append(f.points, p)
	return operand{p.kind, int32(len(f.points))}
}

// see says that something takes v that sees bits.
func (f *body) see(v operand) {
	if v.from > 0 {
		f.points[v.from-1].seen = true
	}
}

// store says that v is stored in a local.
func (f *body) store(v operand, local uint32) {
	if v.from == clean || f.dead || f.void {
		return
	}
	if v.from > 0 {
		if p := &f.points[v.from-1]; !p.read {
			p.local = int32(local)
			return
		}
		f.see(v)
	}
	f.use(local).mixed = true
}

// settlePoints keeps of the points those where something must be written.
func (f *body) settlePoints() {
	for _, p := range f.points {
		if p.local < 0 {
			continue
		}
		often := uint64(1) << (3 * min(p.loops, 10))
		if l := f.use(uint32(p.local)); !p.read {
			l.makes += often
		} else if p.seen {
			l.reads += often
		}
	}
	kept := f.points[:0]
	for _, p := range f.points {
		if p.local >= 0 {
			l := f.use(uint32(p.local))
			late := !l.mixed && l.reads <= l.makes
			if p.read {
				p.seen = p.seen && late
			} else {
				p.seen = p.seen || l.reads > 0 && !late
			}
		}
		if p.seen {
			kept = append(kept, p)
			f.temp(p.kind)
		}
	}
	f.points = kept
	f.stats.NaNs += len(kept)
}

// bitsOf and floatOf turn a float into an integer of its bits and back.
func bitsOf(out []byte, kind byte) []byte {
	if kind == f32 {
		return append(out, opI32OfF32)
	}
	return append(out, opI64OfF64)
}

func floatOf(out []byte, kind byte) []byte {
	if kind == f32 {
		return append(out, opF32OfI32)
	}
	return append(out, opF64OfI64)
}

// replace begins a replacement for the instruction at at, and reports whether it
// is needed.
func (f *body) replace(at int) bool {
	if f.err != nil || f.dead || f.void {
		return false
	}
	f.flush(at)
	f.copied = f.off
	return true
}

// copySign writes copysign as what it does to bits: where wazero v1.12.0's
// compiler for amd64 runs out of registers in the middle of it, the result is
// negative in any case.
func (f *body) copySign(kind byte) {
	if !f.replace(f.off - 1) {
		return
	}
	integer, constant, and, or, sign, rest := byte(i32), byte(opI32Const), byte(opI32And), byte(opI32Or), int64(math.MinInt32), int64(math.MaxInt32)
	if kind == f64 {
		integer, constant, and, or, sign, rest = i64, opI64Const, opI64And, opI64Or, math.MinInt64, math.MaxInt64
	}
	t := f.temp(integer)
	out := append(appendS64(append(bitsOf(f.out, kind), constant), sign), and)
	out = append(appendS64(append(bitsOf(op(out, opLocalSet, t), kind), constant), rest), and)
	f.out = floatOf(append(op(out, opLocalGet, t), or), kind)
}

// selectFloat writes a select of floats as one of their bits: the same compiler
// may take the first where the second is meant, if the first is in memory.
func (f *body) selectFloat(kind byte, at int) {
	if !isFloat(kind) || !f.replace(at) {
		return
	}
	condition, second := f.temp(i32), f.temp(kind)
	out := op(op(f.out, opLocalSet, condition), opLocalSet, second)
	out = bitsOf(op(bitsOf(out, kind), opLocalGet, second), kind)
	f.out = floatOf(append(op(out, opLocalGet, condition), opSelect), kind)
}

// canonical replaces a NaN on top of the stack by the canonical one.
func (f *body) canonical(out []byte, kind byte) []byte {
	t := f.temp(kind)
	out = bitsOf(op(out, opLocalTee, t), kind)
	equal := byte(opF32Equal)
	if kind == f32 {
		out = appendS64(append(out, opI32Const), 0x7fc00000)
	} else {
		out = appendS64(append(out, opI64Const), 0x7ff8000000000000)
		equal = opF64Equal
	}
	return floatOf(append(op(op(out, opLocalGet, t), opLocalGet, t), equal, opSelect), kind)
}
