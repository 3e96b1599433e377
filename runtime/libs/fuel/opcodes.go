package fuel

// shape is the type of an instruction without immediates, or with a memarg
// alone: what it takes, from the deepest operand, and what it leaves.
type shape struct {
	in    string
	out   byte // 0: nothing
	known bool
	width byte // of a memory access: log2 of its bytes
	nan   bool // the result may be a NaN of any bits
	blind bool // the result does not depend on the bits of a NaN operand
	clean bool // the result is a float and no NaN
	traps bool // it traps on some operands; a memory access does in any case
}

// The types as strings, for tables.
const (
	sI = "\x7f"
	sL = "\x7e"
	sF = "\x7d"
	sD = "\x7c"
)

// shapes lists memory accesses (28 to 3e) and numeric instructions (45 to c4).
var shapes = numericShapes()

func numericShapes() *[256]shape {
	var t [256]shape
	set := func(from, to int, s shape) {
		s.known = true
		for op := from; op <= to; op++ {
			t[op] = s
		}
	}
	plain := func(from, to int, in string, out byte) { set(from, to, shape{in: in, out: out}) }
	blind := func(from, to int, in string, out byte) { set(from, to, shape{in: in, out: out, blind: true}) }
	exact := func(from, to int, in string, out byte) { set(from, to, shape{in: in, out: out, clean: true}) }
	float := func(from, to int, in string, out byte) {
		set(from, to, shape{in: in, out: out, blind: true, nan: true})
	}

	plain(0x45, 0x45, sI, i32) // i32.eqz
	plain(0x46, 0x4f, sI+sI, i32)
	plain(0x50, 0x50, sL, i32) // i64.eqz
	plain(0x51, 0x5a, sL+sL, i32)
	blind(0x5b, 0x60, sF+sF, i32)
	blind(0x61, 0x66, sD+sD, i32)
	plain(0x67, 0x69, sI, i32) // clz, ctz, popcnt
	plain(0x6a, 0x78, sI+sI, i32)
	plain(0x79, 0x7b, sL, i64)
	plain(0x7c, 0x8a, sL+sL, i64)
	plain(0x8b, 0x8c, sF, f32)    // abs, neg: bits as they are
	float(0x8d, 0x91, sF, f32)    // ceil, floor, trunc, nearest, sqrt
	float(0x92, 0x97, sF+sF, f32) // add, sub, mul, div, min, max
	plain(0x98, 0x98, sF+sF, f32) // copysign
	plain(0x99, 0x9a, sD, f64)
	float(0x9b, 0x9f, sD, f64)
	float(0xa0, 0xa5, sD+sD, f64)
	plain(0xa6, 0xa6, sD+sD, f64)
	plain(0xa7, 0xa7, sL, i32) // wrap
	blind(0xa8, 0xa9, sF, i32) // trunc
	blind(0xaa, 0xab, sD, i32)
	plain(0xac, 0xad, sI, i64) // extend
	blind(0xae, 0xaf, sF, i64)
	blind(0xb0, 0xb1, sD, i64)
	exact(0xb2, 0xb3, sI, f32) // convert
	exact(0xb4, 0xb5, sL, f32)
	float(0xb6, 0xb6, sD, f32) // demote
	exact(0xb7, 0xb8, sI, f64)
	exact(0xb9, 0xba, sL, f64)
	float(0xbb, 0xbb, sF, f64) // promote
	plain(0xbc, 0xbc, sF, i32) // reinterpret
	plain(0xbd, 0xbd, sD, i64)
	plain(0xbe, 0xbe, sI, f32)
	plain(0xbf, 0xbf, sL, f64)
	plain(0xc0, 0xc1, sI, i32) // sign extension
	plain(0xc2, 0xc4, sL, i64)
	for _, from := range []int{0x6d, 0x7f, 0xa8, 0xae} { // div, rem, trunc
		for op := from; op < from+4; op++ {
			t[op].traps = true
		}
	}
	memoryShapes(&t)
	return &t
}

func memoryShapes(t *[256]shape) {
	kinds := [...]byte{i32, i64, f32, f64, i32, i32, i32, i32, i64, i64, i64, i64, i64, i64}
	widths := [...]byte{2, 3, 2, 3, 0, 0, 1, 1, 0, 0, 1, 1, 2, 2}
	for i, kind := range kinds {
		t[0x28+i] = shape{in: sI, out: kind, width: widths[i], known: true}
	}
	stores := [...]string{sI + sI, sI + sL, sI + sF, sI + sD, sI + sI, sI + sI, sI + sL, sI + sL, sI + sL}
	stored := [...]byte{2, 3, 2, 3, 0, 1, 0, 1, 2}
	for i, in := range stores {
		t[0x36+i] = shape{in: in, width: stored[i], known: true}
	}
}

// truncation gives the types of the saturating truncations fc 00 to fc 07.
func truncation(sub uint32) (in, out byte) {
	in, out = f32, i32
	if sub&2 != 0 {
		in = f64
	}
	if sub&4 != 0 {
		out = i64
	}
	return in, out
}
