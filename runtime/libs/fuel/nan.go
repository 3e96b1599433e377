package fuel

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

// canonical replaces a NaN on top of the stack by the canonical one.
func (f *body) canonical(out []byte, kind byte) []byte {
	t := f.temp(kind)
	out = op(out, opLocalTee, t)
	equal := byte(opF32Equal)
	if kind == f32 {
		out = append(out, opF32Const, 0, 0, 0xc0, 0x7f)
	} else {
		out = append(out, opF64Const, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f)
		equal = opF64Equal
	}
	return append(op(op(out, opLocalGet, t), opLocalGet, t), equal, opSelect)
}
