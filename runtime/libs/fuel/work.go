package fuel

// Compiling a function takes more than linear time: in its joins, the places
// where control divides or meets; in them together with the locals, globals and
// operands that live across them; and in the operands that blocks, branches and
// calls pass, of which two bytes of code can name a thousand. A file of some
// kilobytes could keep an engine busy for hours, and nothing can stop it
// meanwhile. So the work that compiling what is written takes is reckoned here,
// in units of 25 ns that were measured with wazero on functions made to be slow.
// What stock toolchains write takes far less than is reckoned.
const (
	joinWork  = 1   // for each pair of joins in a function
	liveWork  = 160 // for each local that is read in another segment than set it, and global, at each join
	valueWork = 160 // for each operand that is passed; after a call, each mutable global
	itemWork  = 4   // for each type and global of the module, in each function
)

// Bounds of what a module may take to compile, in units of about 25 ns.
const (
	MaxFunctionWork = 320_000_000   // one function: 8 s
	MaxWork         = 6_000_000_000 // all of them
)

// What rewriting adds, at most: what is accepted does not depend on options.
const (
	entryLive    = 5 // the depth, the fuel, and a local of each type but i64
	entryJoins   = 3 // a look at either, and the block around the body
	loopJoins    = 3 // the outer loop, and a look in both
	chargeJoins  = 1
	chargeValues = 3
)

// effort is what takes time in one function.
type effort struct{ joins, live, values uint64 }

// join adds n joins; the operands on the stack live across them.
func (f *body) join(n int) {
	f.effort.joins += uint64(n)
	f.effort.values += uint64(n) * uint64(len(f.vals))
	f.weigh()
}

// pass adds n operands that are passed.
func (f *body) pass(n int) {
	f.effort.values += uint64(n)
	f.weigh()
}

// weigh returns the work of the function as far as it is read. It fails if that,
// or all so far, is too much.
func (f *body) weigh() uint64 {
	e := &f.effort
	work := joinWork*e.joins*e.joins + liveWork*e.joins*e.live + valueWork*e.values +
		itemWork*uint64(len(f.globals)+len(f.types))
	if f.err == nil && (work > MaxFunctionWork || f.stats.Work+work > MaxWork) {
		f.fail(ErrWork, "function %d would take too long to compile: %d locals and globals live across its %d branches and joins, and it passes %d operands",
			len(f.imports)+f.stats.Functions, e.live, e.joins, e.values)
	}
	return work
}
