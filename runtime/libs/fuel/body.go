package fuel

import "slices"

// unknown is an operand of any type: what code that is never reached finds on
// the stack.
const unknown = 0

// control is one open block.
type control struct {
	op         byte   // of the instruction that opened it, or 05 after else; 0: the function
	named      bool   // a branch leaves it by its end
	dead       bool   // the rest of it is not reached
	void       bool   // none of it is
	loops      uint32 // that are reached, from the function to it
	before     int    // body.known at its beginning
	after      int    // body.known at its end, by the branches so far; -1: none
	floor      int    // operands below it
	start, end []byte
}

// body validates and rewrites one function. It is used for one after another,
// to keep its buffers.
type body struct {
	*module
	cursor

	kinds  []byte // types of parameters and locals
	vals   []operand
	blocks []control
	floor  int  // blocks' last
	dead   bool // blocks' last
	void   bool // blocks' last
	height int  // most operands in reached code
	calls  bool
	cost   int64 // of all segments
	known  int   // fewest memory accesses on any way here (see effort)
	effort effort

	out      []byte // the body as far as it is rewritten, without charges
	copied   int    // input that is in out
	segments []segment
	temps    []byte // types of the locals that rewriting adds
	tempOf   [128]int
	points   []point
	used     []usedLocal // by local
	params   int
	final    []byte // the function as it is written
}

// segment is a straight line of code; at is where in out its charge belongs.
type segment struct {
	at    int
	cost  int64
	check bool
	dead  bool
}

// usedLocal is what is known of a local in the last function that used it.
type usedLocal struct {
	function int  // its number, from 1
	segment  int  // that set it last
	live     bool // it is read in another than set it

	// Of a float (see point):
	mixed        bool   // it may hold a NaN whose bits must be kept
	reads, makes uint64 // how often its bits are seen, and it is set to a result
}

// use returns a local of this function.
func (f *body) use(i uint32) *usedLocal {
	l := &f.used[i]
	if now := f.stats.Functions + 1; l.function != now {
		*l = usedLocal{function: now, mixed: int(i) < f.params}
	}
	return l
}

// rewriteCode goes through the code section.
func (m *module) rewriteCode() error {
	defined := len(m.functions) - len(m.imports)
	c := &m.section[secCode]
	n := 0
	if c.base != 0 {
		n = c.count(ErrFunctions, maxFunctions, "function bodies")
	}
	if c.err == nil && n != defined {
		c.base, c.off = max(c.base, 8), 0
		c.fail(ErrMalformed, "%d functions and %d bodies", defined, n)
	}
	b := &body{module: m}
	m.code = make([]byte, 0, len(c.b)+len(c.b)/2)
	for i := len(m.imports); i < len(m.functions) && c.err == nil; i++ {
		size := c.u32()
		if size > maxBody {
			c.fail(ErrBody, "a function of %d bytes, at most %d", size, maxBody)
		}
		code := c.take(uint64(size))
		if c.err != nil {
			break
		}
		b.cursor = cursor{b: code, base: c.base + c.off - len(code)}
		b.rewrite(m.types[m.functions[i]])
		if c.err = b.err; c.err == nil && len(m.code) > maxWritten {
			c.fail(ErrTooLarge, "the rewritten module has more than %d bytes", maxWritten)
		}
	}
	c.end("the code section")
	if c.err != nil {
		return c.err
	}
	return m.checkData()
}

// rewrite validates one body and appends it, rewritten, to the module's code.
func (f *body) rewrite(t signature) {
	f.vals, f.blocks, f.segments, f.points = f.vals[:0], f.blocks[:0], f.segments[:0], f.points[:0]
	f.params = len(t.params)
	f.out, f.temps, f.tempOf = f.out[:0], f.temps[:0], [128]int{}
	f.height, f.calls, f.cost, f.known = 0, false, 0, 0
	f.effort = effort{joins: entryJoins, live: entryLive}
	groups, n := f.locals(t.params)
	if f.err != nil {
		return
	}
	if more := len(f.kinds) - len(f.used); more > 0 {
		f.used = append(f.used, make([]usedLocal, more)...)
	}
	f.copied = f.off
	f.push(control{end: t.results, after: -1})
	f.open()
	f.segments[0].check = true
	f.spend(int64((len(f.kinds) - len(t.params)) / costLocals))
	for f.err == nil && len(f.blocks) > 0 {
		f.instruction()
	}
	f.cursor.end("a function body")
	if f.err != nil {
		return
	}
	f.assemble(t, groups, n)
	work := f.weigh()
	f.stats.Functions++
	f.stats.Work += work
	f.stats.FunctionWork = max(f.stats.FunctionWork, work)
}

// locals reads the declarations of locals and returns them as they are written,
// and how many groups they are.
func (f *body) locals(params []byte) (groups []byte, n int) {
	f.kinds = append(f.kinds[:0], params...)
	n = f.count(ErrLocals, maxLocals, "groups of locals")
	at := f.off
	for i := 0; i < n && f.err == nil; i++ {
		more := f.u32()
		if uint64(len(f.kinds))+uint64(more) > maxLocals {
			f.fail(ErrLocals, "more than %d locals in a function", maxLocals)
			return nil, 0
		}
		t := f.valueType()
		f.kinds = slices.Grow(f.kinds, int(more))
		for range more {
			f.kinds = append(f.kinds, t)
		}
	}
	declared := len(f.kinds) - len(params)
	if f.allLocals += uint64(declared); f.allLocals > maxAllLocals {
		f.fail(ErrLocals, "more than %d locals in all functions", maxAllLocals)
	}
	if f.err != nil {
		return nil, 0
	}
	return f.b[at:f.off], n
}

// push opens a block.
func (f *body) push(c control) {
	if len(f.blocks) > maxNesting {
		f.fail(ErrNesting, "blocks nested more than %d deep", maxNesting)
		return
	}
	c.floor, c.before = len(f.vals), f.known
	if n := len(f.blocks); n > 0 {
		c.loops = f.blocks[n-1].loops
		if c.op != 0x05 {
			c.void = f.dead || f.void
		}
	}
	f.blocks = append(f.blocks, c)
	f.stats.Nesting = max(f.stats.Nesting, len(f.blocks)-1)
	f.floor, f.dead, f.void = c.floor, false, c.void
	f.putAll(c.start)
}

// pop closes the innermost block: its results are on the stack and nothing else.
func (f *body) pop() (c control) {
	c = f.blocks[len(f.blocks)-1]
	f.getAll(c.end)
	if f.err == nil && len(f.vals) != c.floor {
		f.fail(ErrInvalid, "%d operands are left at the end of a block", len(f.vals)-c.floor)
	}
	f.blocks = f.blocks[:len(f.blocks)-1]
	if n := len(f.blocks); n > 0 {
		f.floor, f.dead, f.void = f.blocks[n-1].floor, f.blocks[n-1].dead, f.blocks[n-1].void
	}
	return c
}

// arrive says that control comes to the end of a block from here.
func (f *body) arrive(c *control) {
	if !f.dead && !f.void && (c.after < 0 || f.known < c.after) {
		c.after = f.known
	}
}

// unreachable says that the rest of the innermost block is not reached.
func (f *body) unreachable() {
	f.vals = f.vals[:f.floor]
	f.dead, f.known = true, 0
	f.blocks[len(f.blocks)-1].dead = true
	f.open()
}

func (f *body) put(t byte) { f.give(operand{kind: t}) }

func (f *body) give(v operand) {
	f.vals = append(f.vals, v)
	if n := len(f.vals); n > f.height && !f.dead {
		f.height = n
		if n > maxOperands {
			f.fail(ErrOperands, "more than %d operands", maxOperands)
		}
	}
}

// get takes an operand of the given type, unknown for any, for something that
// sees its bits, and returns its type.
func (f *body) get(want byte) byte {
	v := f.pull(want)
	f.see(v)
	return v.kind
}

// pull takes an operand of the given type, unknown for any.
func (f *body) pull(want byte) (v operand) {
	n := len(f.vals)
	if n == f.floor {
		if !f.dead {
			f.fail(ErrInvalid, "an operand is missing")
		}
		return operand{kind: unknown}
	}
	v = f.vals[n-1]
	f.vals = f.vals[:n-1]
	if v.kind != want && v.kind != unknown && want != unknown {
		f.fail(ErrInvalid, "an operand of type %#02x, want %#02x", v.kind, want)
	}
	return v
}

func (f *body) getAll(types []byte) {
	f.pass(len(types))
	for i := len(types) - 1; i >= 0 && f.err == nil; i-- {
		f.get(types[i])
	}
}

func (f *body) putAll(types []byte) {
	f.pass(len(types))
	for _, t := range types {
		f.put(t)
	}
	if len(f.vals) > maxOperands {
		f.fail(ErrOperands, "more than %d operands", maxOperands)
	}
}

// topIs checks that the operands on top are of these types, and leaves them.
func (f *body) topIs(types []byte) {
	f.pass(len(types))
	n := len(f.vals)
	for i := len(types) - 1; i >= 0; i-- {
		if n == f.floor {
			if !f.dead {
				f.fail(ErrInvalid, "an operand is missing")
			}
			return
		}
		n--
		v := f.vals[n]
		f.see(v)
		if v.kind != types[i] && v.kind != unknown {
			f.fail(ErrInvalid, "an operand of type %#02x, want %#02x", v.kind, types[i])
			return
		}
	}
}
