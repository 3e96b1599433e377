package wasm_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
)

// Value types, as bytes and as strings.
const (
	tI = 0x7f
	tL = 0x7e
	tF = 0x7d
	tD = 0x7c

	sI = "\x7f"
	sL = "\x7e"
	sF = "\x7d"
	sD = "\x7c"
)

// mod assembles a module for these tests.
type mod struct {
	memory  bool
	pages   uint32   // of the memory at first, if not 1
	table   []uint32 // functions in a table
	globals int      // that are mutable i64
	start   uint32
	data    []byte // a data section
	blocks  []fun  // types of blocks, which follow the functions' own
	funcs   []fun
}

type fun struct {
	params, results string
	locals          []byte
	code            []byte // without the final end
	export          string
}

// seq joins instructions.
func seq(parts ...any) (b []byte) {
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

func c32(v int32) []byte { return sleb([]byte{0x41}, int64(v)) }

func c64(v int64) []byte { return sleb([]byte{0x42}, v) }

func f32c(v float32) []byte {
	return binary.LittleEndian.AppendUint32([]byte{0x43}, math.Float32bits(v))
}

func f64c(v float64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{0x44}, math.Float64bits(v))
}

func sleb(b []byte, v int64) []byte {
	for {
		d := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && d&0x40 == 0) || (v == -1 && d&0x40 != 0) {
			return append(b, d)
		}
		b = append(b, d|0x80)
	}
}

func sized(b []byte) []byte { return append(u32(uint32(len(b))), b...) }

func section(id byte, body []byte) []byte { return append([]byte{id}, sized(body)...) }

func (m mod) bytes() []byte {
	n := uint32(len(m.funcs))
	types, funcs, exports, bodies := u32(n+uint32(len(m.blocks))), u32(n), []byte{}, u32(n)
	exported := uint32(0)
	for i, f := range m.funcs {
		types = append(append(append(types, 0x60), sized([]byte(f.params))...), sized([]byte(f.results))...)
		funcs = append(funcs, u32(uint32(i))...)
		if f.export != "" {
			exported++
			exports = append(append(append(exports, sized([]byte(f.export))...), 0), u32(uint32(i))...)
		}
		locals := f.locals
		if locals == nil {
			locals = []byte{0}
		}
		bodies = append(bodies, sized(append(append(append([]byte{}, locals...), f.code...), 0x0b))...)
	}
	for _, b := range m.blocks {
		types = append(append(append(types, 0x60), sized([]byte(b.params))...), sized([]byte(b.results))...)
	}
	if m.memory {
		exported++
		exports = append(append(exports, sized([]byte("memory"))...), 2, 0)
	}
	out := append([]byte("\x00asm\x01\x00\x00\x00"), section(1, types)...)
	out = append(out, section(3, funcs)...)
	if m.table != nil {
		out = append(out, section(4, append([]byte{1, 0x70, 0}, u32(uint32(len(m.table)))...))...)
	}
	if m.memory {
		out = append(out, section(5, append([]byte{1, 0}, u32(max(m.pages, 1))...))...)
	}
	if m.globals > 0 {
		out = append(out, section(6, append(u32(uint32(m.globals)), bytes.Repeat([]byte{tL, 1, 0x42, 7, 0x0b}, m.globals)...))...)
	}
	out = append(out, section(7, append(u32(exported), exports...))...)
	if m.start > 0 {
		out = append(out, section(8, u32(m.start))...)
	}
	if m.table != nil {
		elem := append([]byte{1, 0, 0x41, 0, 0x0b}, u32(uint32(len(m.table)))...)
		for _, f := range m.table {
			elem = append(elem, u32(f)...)
		}
		out = append(out, section(9, elem)...)
	}
	out = append(out, section(10, bodies)...)
	if m.data != nil {
		out = append(out, section(11, m.data)...)
	}
	return out
}

// generate returns a random module whose export f (i64, i32) -> i64 ends: it
// calls only functions after itself, and every loop counts down. What it does
// is arithmetic, memory, globals, calls, bulk operations, blocks of all kinds,
// with and without operands, and branches out of them, several at once.
func generate(seed uint64) mod { return generateAs(seed, false) }

// generateAs returns the module of a seed. exact: it makes the NaN of every
// arithmetic result canonical by itself.
func generateAs(seed uint64, exact bool) mod {
	g := &generator{r: rand.New(rand.NewPCG(seed, 0x6675656c)), exact: exact, floats: seed%2 == 1}
	const n = 4
	m := mod{memory: true, globals: 1, table: []uint32{n - 1, n - 2}, blocks: []fun{{params: sL, results: sL}, {params: sD, results: sD}}}
	for i := range n {
		g.index, g.functions, g.work, g.labels = i, n, 60, nil
		code := seq(g.statements(4), g.value(tL, 4))
		f := fun{params: sL + sI, results: sL, locals: generatedLocals, code: code}
		if i == 0 {
			f.export = "f"
		}
		m.funcs = append(m.funcs, f)
	}
	return m
}

// generateFloats is as generateAs, and the module moves floats between locals
// and memory, in loops and not, and does nothing else.
func generateFloats(seed uint64, exact bool) mod {
	g := &generator{r: rand.New(rand.NewPCG(seed, 0x666c6f)), exact: exact, functions: 1}
	flows := func() (b []byte) {
		for range 8 {
			b = append(b, g.flow([...]byte{tF, tD}[g.r.IntN(2)])...)
		}
		return b
	}
	code := seq(flows(), g.counted(0x40, func() []byte { return seq(flows(), g.counted(0x40, flows), flows()) }), flows(), g.leaf(tL))
	return mod{memory: true, globals: 1, funcs: []fun{{params: sL + sI, results: sL, locals: generatedLocals, code: code, export: "f"}}}
}

// The generated functions' locals by type; loop counters are locals of their
// own from loopAt, one for each loop that is open, and scratch is used by
// canonical alone.
var (
	localsOf = map[byte][]int{tI: {1, 2, 3, 4}, tL: {0, 5, 6}, tF: {7, 8, 21}, tD: {9, 10, 22}}
	scratch  = map[byte]int{tF: 19, tD: 20}

	generatedLocals = []byte{9, 3, tI, 2, tL, 2, tF, 2, tD, 8, tI, 1, tF, 1, tD, 1, tF, 1, tD}
)

const loopAt = 11

type generator struct {
	r                *rand.Rand
	exact            bool
	floats           bool // prefer them
	index, functions int
	work             int    // statements that may still be written
	labels           []bool // open blocks; true: a branch to it ends, and takes nothing
	loops            int
}

func (g *generator) pick(list []int) int { return list[g.r.IntN(len(list))] }

func (g *generator) local(t byte) int { return g.pick(localsOf[t]) }

func (g *generator) anyType() byte {
	if g.floats && g.r.IntN(4) > 0 {
		return [...]byte{tF, tD}[g.r.IntN(2)]
	}
	return [...]byte{tI, tL, tF, tD}[g.r.IntN(4)]
}

// within writes something in another block.
func (g *generator) within(target bool, write func() []byte) []byte {
	g.labels = append(g.labels, target)
	b := write()
	g.labels = g.labels[:len(g.labels)-1]
	return b
}

// target returns the label of an open block that may be branched to.
func (g *generator) target() (depth int, ok bool) {
	var all []int
	for i, target := range g.labels {
		if target {
			all = append(all, len(g.labels)-1-i)
		}
	}
	if all == nil {
		return 0, false
	}
	return g.pick(all), true
}

func (g *generator) statements(depth int) (b []byte) {
	for range 1 + g.r.IntN(4) {
		if g.work--; g.work < 0 {
			break
		}
		b = append(b, g.statement(depth)...)
	}
	return b
}

func (g *generator) statement(depth int) []byte {
	t := g.anyType()
	kind := g.r.IntN(15)
	if depth == 0 {
		kind = g.r.IntN(6)
	}
	if isFloat := t == tF || t == tD; isFloat && g.r.IntN(2) == 0 {
		return g.flow(t)
	}
	switch kind {
	case 0, 1:
		return seq(g.value(t, 3), 0x21, g.local(t))
	case 2:
		return g.store(t)
	case 3:
		return seq(g.value(tL, 3), 0x24, 0)
	case 4:
		return g.branch(t)
	case 5:
		return g.bulk()
	case 6, 7:
		return g.block(0x02, depth)
	case 8, 9:
		return g.loop(depth)
	case 10:
		return g.accumulate(depth)
	case 11:
		return seq(g.value(tI, 2), g.block(0x04, depth))
	case 12:
		return g.leave(depth)
	}
	return g.jumpTable(depth)
}

// flow sets a float local, or stores one where its bits are seen.
func (g *generator) flow(t byte) []byte {
	load, store, add := 0x2a, 0x38, 0x92
	if t == tD {
		load, store, add = 0x2b, 0x39, 0xa0
	}
	l := g.local(t)
	other := g.pick(localsOf[t][1:]) // the first holds sums alone
	sum := g.canonical(t, seq(0x20, g.local(t), 0x20, g.local(t), add))
	switch g.r.IntN(9) {
	case 0, 1, 2:
		return seq(sum, 0x21, l)
	case 6:
		return seq(0x20, g.local(t), 0x21, other)
	case 3:
		return seq(g.address(), sum, 0x22, l, store, 0, g.r.IntN(16))
	case 4:
		return seq(g.leaf(t), 0x21, other)
	case 5:
		return seq(g.address(), load, 0, g.r.IntN(16), 0x21, other)
	}
	return seq(g.address(), 0x20, l, store, 0, g.r.IntN(16))
}

func (g *generator) branch(t byte) []byte {
	if depth, ok := g.target(); ok {
		return seq(g.value(tI, 2), 0x0d, depth)
	}
	return seq(g.value(t, 2), 0x1a)
}

// leave is an if whose body branches or returns, with code after that which is
// not reached.
func (g *generator) leave(depth int) []byte {
	return seq(g.value(tI, 2), 0x04, 0x40, g.within(true, func() []byte {
		out := seq(g.value(tL, 2), 0x0f)
		if to, ok := g.target(); ok && g.r.IntN(4) > 0 {
			out = seq(0x0c, to)
		}
		return seq(out, g.statements(depth-1))
	}), 0x0b)
}

func (g *generator) bulk() []byte {
	n := seq(g.value(tI, 1), 0x41, 63, 0x71)
	if g.r.IntN(2) == 0 {
		return seq(c32(int32(g.r.IntN(100))), g.value(tI, 1), n, 0xfc, 11, 0)
	}
	return seq(c32(int32(g.r.IntN(100))), c32(int32(g.r.IntN(100))), n, 0xfc, 10, 0, 0)
}

// block is a block, or an if with or without else, that takes and leaves nothing.
func (g *generator) block(op, depth int) []byte {
	return seq(op, 0x40, g.within(true, func() []byte {
		b := g.statements(depth - 1)
		if op == 0x04 && g.r.IntN(2) == 0 {
			b = seq(b, 0x05, g.statements(depth-1))
		}
		return b
	}), 0x0b)
}

// counted writes a loop of a type that runs a few times. Nothing in it but its
// end branches to its head.
func (g *generator) counted(kind int, write func() []byte) []byte {
	counter := loopAt + g.loops
	g.loops++
	body := g.within(false, write)
	g.loops--
	return seq(c32(int32(1+g.r.IntN(5))), 0x21, counter,
		0x03, kind, body, 0x20, counter, 0x41, 1, 0x6b, 0x22, counter, 0x0d, 0, 0x0b)
}

func (g *generator) loop(depth int) []byte {
	if g.loops == 3 {
		return g.block(0x02, depth)
	}
	return g.counted(0x40, func() []byte { return g.statements(depth - 1) })
}

// accumulate is a loop that takes an operand around.
func (g *generator) accumulate(depth int) []byte {
	if g.loops == 3 {
		return g.block(0x02, depth)
	}
	t, kind, add := byte(tL), g.functions, 0x7c
	if g.r.IntN(2) == 0 {
		t, kind, add = tD, g.functions+1, 0xa0
	}
	return seq(g.value(t, 2), g.counted(kind, func() []byte {
		sum := g.canonical(t, seq(g.value(t, 2), add))
		return seq(sum, 0x22, g.local(t), g.statements(depth-1))
	}), 0x21, g.local(t))
}

func (g *generator) jumpTable(depth int) []byte {
	return seq(0x02, 0x40, g.within(true, func() []byte {
		return seq(0x02, 0x40, g.within(true, func() []byte {
			b := seq(g.value(tI, 2), 0x0e, 3)
			for range 4 {
				to, _ := g.target()
				b = seq(b, to)
			}
			return b
		}), 0x0b, g.statements(depth-1))
	}), 0x0b)
}

func (g *generator) address() []byte {
	return seq(g.value(tI, 1), c32(0x3ff8), 0x71)
}

func (g *generator) store(t byte) []byte {
	op := map[byte][]int{tI: {0x36, 0x3a, 0x3b}, tL: {0x37, 0x3c, 0x3d, 0x3e}, tF: {0x38}, tD: {0x39}}[t]
	return seq(g.address(), g.value(t, 2), g.pick(op), 0, g.r.IntN(16))
}

// canonical makes the NaN of an arithmetic result canonical, where the module
// is to do that by itself.
func (g *generator) canonical(t byte, v []byte) []byte {
	nan, equal := f32c(float32(math.NaN())), 0x5b
	switch {
	case !g.exact || t != tF && t != tD:
		return v
	case t == tD:
		nan, equal = []byte{0x44, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f}, 0x61
	}
	x := seq(0x20, scratch[t])
	return seq(v, 0x21, scratch[t], x, nan, x, x, equal, 0x1b)
}

// value leaves a value of the type.
func (g *generator) value(t byte, depth int) []byte {
	if depth <= 0 || g.r.IntN(5) == 0 {
		return g.leaf(t)
	}
	if g.r.IntN(8) == 0 {
		return seq(g.value(t, depth-1), g.value(t, depth-1), g.value(tI, depth-1), 0x1b)
	}
	if g.r.IntN(8) == 0 {
		return seq(g.value(tI, depth-1), 0x04, int(t), g.valueIn(t, depth), 0x05, g.valueIn(t, depth), 0x0b)
	}
	switch t {
	case tI:
		return g.integer(depth)
	case tL:
		return g.long(depth)
	case tF:
		return g.float(tF, depth, []int{0x8d, 0x8e, 0x8f, 0x90, 0x91}, []int{0x92, 0x93, 0x94, 0x95, 0x96, 0x97}, 0xb2, 0xb6, 0x2a)
	}
	return g.float(tD, depth, []int{0x9b, 0x9c, 0x9d, 0x9e, 0x9f}, []int{0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5}, 0xb9, 0xbb, 0x2b)
}

func (g *generator) valueIn(t byte, depth int) []byte {
	return g.within(false, func() []byte { return g.value(t, depth-1) })
}

func (g *generator) leaf(t byte) []byte {
	if g.r.IntN(2) == 0 {
		return seq(0x20, g.local(t))
	}
	switch t {
	case tI:
		return c32(int32(g.r.Uint32()) >> g.r.IntN(32))
	case tL:
		if g.r.IntN(3) == 0 {
			return []byte{0x23, 0}
		}
		return c64(int64(g.r.Uint64()) >> g.r.IntN(64))
	case tF:
		if g.r.IntN(5) == 0 {
			return []byte{0x43, 0x45, 0x23, 0xa1, 0xff}
		}
		return f32c(float32(g.r.NormFloat64()))
	}
	if g.r.IntN(5) == 0 {
		return []byte{0x44, 0x67, 0x45, 0x23, 0x01, 0, 0, 0xf8, 0xff}
	}
	return f64c([...]float64{0, -1, math.Inf(1), g.r.NormFloat64(), 1e300}[g.r.IntN(5)])
}

func (g *generator) integer(depth int) []byte {
	switch g.r.IntN(7) {
	case 0:
		return seq(g.value(tI, depth-1), g.pick([]int{0x45, 0x67, 0x68, 0x69, 0xc0, 0xc1}))
	case 1:
		return seq(g.value(tL, depth-1), g.value(tL, depth-1), 0x51+g.r.IntN(10))
	case 2:
		return seq(g.value(tD, depth-1), g.value(tD, depth-1), 0x61+g.r.IntN(6))
	case 3:
		return seq(g.value(tF, depth-1), 0xfc, g.r.IntN(2))
	case 4:
		return seq(g.address(), g.pick([]int{0x28, 0x2c, 0x2d, 0x2e, 0x2f}), 0, g.r.IntN(16))
	case 5: // a division that may trap
		return seq(g.value(tI, depth-1), g.value(tI, depth-1), 0x41, 1, 0x72, 0x6d+g.r.IntN(4))
	}
	return seq(g.value(tI, depth-1), g.value(tI, depth-1), g.pick([]int{0x46, 0x4a, 0x6a, 0x6b, 0x6c, 0x71, 0x72, 0x73, 0x74, 0x75, 0x77}))
}

func (g *generator) long(depth int) []byte {
	switch g.r.IntN(7) {
	case 0:
		return seq(g.value(tI, depth-1), 0xac+g.r.IntN(2))
	case 1:
		return seq(g.value(tD, depth-1), 0xbd)
	case 2:
		return seq(g.value(tD, depth-1), 0xfc, 6+g.r.IntN(2))
	case 3:
		return seq(g.address(), 0x29, 0, g.r.IntN(16))
	case 4:
		if g.index+1 < g.functions {
			return seq(g.value(tL, depth-1), g.value(tI, depth-1), 0x10, g.index+1+g.r.IntN(g.functions-g.index-1))
		}
	case 5:
		if g.index+2 < g.functions { // the table holds the last two
			return seq(g.value(tL, depth-1), g.value(tI, depth-1), g.value(tI, 1), 0x41, 1, 0x71, 0x11, g.functions-1, 0)
		}
	}
	return seq(g.value(tL, depth-1), g.value(tL, depth-1), g.pick([]int{0x7c, 0x7d, 0x7e, 0x83, 0x84, 0x85, 0x86, 0x87, 0x89}))
}

func (g *generator) float(t byte, depth int, unary, binary []int, convert, cast, load int) []byte {
	switch g.r.IntN(7) {
	case 0:
		return g.canonical(t, seq(g.value(t, depth-1), g.pick(unary)))
	case 1:
		if t == tF {
			return seq(g.value(tI, depth-1), convert)
		}
		return seq(g.value(tL, depth-1), convert)
	case 2:
		return g.canonical(t, seq(g.value(t^tF^tD, depth-1), cast))
	case 3:
		return seq(g.address(), load, 0, g.r.IntN(16))
	case 4: // abs, neg and copysign keep the bits
		abs, sign := 0x8b, 0x98
		if t == tD {
			abs, sign = 0x99, 0xa6
		}
		if g.r.IntN(2) == 0 {
			return seq(g.value(t, depth-1), abs+g.r.IntN(2))
		}
		return seq(g.value(t, depth-1), g.value(t, depth-1), sign)
	}
	return g.canonical(t, seq(g.value(t, depth-1), g.value(t, depth-1), g.pick(binary)))
}
