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
	boundWork = 10  // for each memory access before a join, on every way there: what engines know of addresses
	exitWork  = 200 // for each place where control may leave the function: a trap, a call
	itemWork  = 4   // for each type and global of the module, in each function

	resetShare = 8 // a call's share of a unit, for each memory access before it
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
type effort struct{ joins, live, values, bounds, resets, exits uint64 }

// join adds n joins; the operands on the stack live across them.
func (f *body) join(n int) {
	f.effort.joins += uint64(n)
	f.effort.values += uint64(n) * uint64(len(f.vals))
	f.effort.bounds += uint64(n) * uint64(f.known)
	f.weigh()
}

// exit adds n places where control may leave the function. An engine takes
// kilobytes for each while it compiles the function.
func (f *body) exit(n int) {
	if f.dead || f.void {
		return
	}
	if f.effort.exits += uint64(n); f.effort.exits > maxExits {
		f.fail(ErrWork, "function %d has more than %d places where it may trap or call", len(f.imports)+f.stats.Functions, maxExits)
	}
}

// pass adds n operands that are passed.
func (f *body) pass(n int) {
	f.effort.values += uint64(n)
	f.weigh()
}

// reload is a call: mutable globals are read anew after it, and what is known of
// addresses is gone through.
func (f *body) reload() {
	f.effort.resets += uint64(f.known)
	f.pass(f.mutables)
}

// weigh returns the work of the function as far as it is read. It fails if that,
// or all so far, is too much.
func (f *body) weigh() uint64 {
	e := &f.effort
	work := joinWork*e.joins*e.joins + liveWork*e.joins*e.live + valueWork*e.values +
		boundWork*e.bounds + e.resets/resetShare + exitWork*e.exits + itemWork*uint64(len(f.globals)+len(f.types))
	if f.err == nil && (work > MaxFunctionWork || f.stats.Work+work > MaxWork) {
		f.fail(ErrWork, "function %d would take too long to compile: %d locals and globals live across its %d branches and joins, %d memory accesses before them, and it passes %d operands",
			len(f.imports)+f.stats.Functions, e.live, e.joins, e.bounds, e.values)
	}
	return work
}
