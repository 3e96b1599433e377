// Package fuel rewrites WebAssembly modules so that they count what they
// execute, under a cost schedule with a number (RFC-MYTHOS-0012 §10). The count
// is part of the module's own code, so every engine on every machine counts the
// same and stops at the same instruction.
//
// What the rewritten module is, beside its own code:
//
//   - export "mythos:fuel", a mutable i64 global that the host sets before it
//     calls anything. Every straight-line segment of code subtracts its cost as
//     it is entered. A function looks whether the rest is below zero after it
//     has charged its first segment, a loop each time before it charges its
//     head, and a function that calls once more at its end, unless it is small.
//     It is 0 at first: a host that forgets it runs nothing.
//   - export "mythos:depth", a mutable i32 global that starts at Depth. A
//     function that calls takes its frame's weight and gives it back.
//   - export "mythos:start", the start function, if the module had one. Nothing
//     runs at instantiation, so that the host can set the fuel first.
//   - import "mythos:host" "yield" () -> (), with Options.Yield: called when the
//     fuel is below zero, and every 4 MiB of a memory.fill or memory.copy. The
//     host settles the fuel (Purse) and returns, or traps. Without the option the
//     module executes unreachable when the fuel is below zero.
//
// Segments after which nothing looks may take the fuel below zero and return,
// and a host function may be called with it below zero. So the host settles in every
// host function before anything else, and once more when the call has ended,
// however it ended: below zero then means exhausted. With that a call that
// needs N in all passes with N and not with N-1, whatever the slices.
//
// Rewrite validates completely: what it returns is a valid WebAssembly 2.0
// module without SIMD, that can import functions only, cannot reach what was
// added, whose NaNs have one bit pattern where bits can be seen (RFC-MYTHOS-0012
// §10.5), and that engines compile in bounded time. It takes time and memory
// linear in the module's size.
//
// Worked example: the body
//
//	(func (param i32) (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
//
// has one segment that costs anything, at the loop's head: local.get, i32.const,
// i32.sub, local.tee and br_if cost 5. With the parameter 3 it uses 15. What is
// written for it, with Options.Yield (fuel is global 0):
//
//	loop
//	  global.get 0  i64.const 0  i64.lt_s  if  call yield  end
//	  loop
//	    global.get 0  i64.const 0  i64.lt_s  if  br 2  end
//	    global.get 0  i64.const 5  i64.sub  global.set 0
//	    local.get 0  i32.const 1  i32.sub  local.tee 0  br_if 0
//	  end
//	end
package fuel

import (
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Schedule1 is the one cost schedule of this edition.
const Schedule1 uint16 = 1

// Depth is the weight of frames that one call may hold at once.
const Depth = 65_536

// The names that a rewritten module adds, and the prefix that the original may
// use neither for an export nor for a module to import from.
const (
	Reserved    = "mythos:"
	FuelExport  = Reserved + "fuel"
	DepthExport = Reserved + "depth"
	StartExport = Reserved + "start"
	HostModule  = Reserved + "host"
	YieldImport = "yield"

	globalExport = Reserved + "global:"
)

// Options say how to rewrite.
type Options struct {
	// Schedule is the number of the cost schedule: Schedule1. Any other, and 0,
	// is refused, so that nothing is counted under a schedule nobody named.
	Schedule uint16
	// Yield imports the host function that refills the fuel. false: a module
	// whose fuel is below zero traps.
	Yield bool
	// Detach leaves what the memory holds at first to the host, and exports the
	// mutable globals to it, so that the host can put an instance into a state
	// that it has kept. A module where that is not all there is to a state, since
	// it alters tables or names segments, is not detached.
	Detach bool
	// CheckEverySegment looks at the fuel in every segment instead of at loop
	// heads and function entries. Counts are the same; where an exhausted module
	// stops is not. For comparisons between engines.
	CheckEverySegment bool
}

// Import is a function that the module imports.
type Import struct {
	Module, Name string
	// Params and Results are value types: 7f i32, 7e i64, 7d f32, 7c f64,
	// 70 funcref, 6f externref.
	Params, Results []byte
}

// Export is a function that the module exports. Params and Results are as in
// Import.
type Export struct {
	Name            string
	Params, Results []byte
}

// Rewritten is a metered module.
type Rewritten struct {
	Wasm []byte
	// StartExport is the exported start function, "" if the module has none. The
	// host calls it before anything else.
	StartExport string
	// Imports are the original's imports, in order.
	Imports []Import
	// Exports are the functions that the original exports, in order.
	Exports []Export
	// HasMemory and MinPages describe the memory that the module defines.
	HasMemory bool
	MinPages  uint32
	// Detached: the host writes Data into the memory of a new instance, and
	// Globals are the exports of all globals that can change.
	Detached bool
	Data     []Data
	Globals  []string
	Stats    Stats
}

// Data is what a memory holds at first from an offset on; it lies within the
// memory. The bytes may be the original's.
type Data struct {
	Offset uint32
	Bytes  []byte
}

// Stats counts what was done.
type Stats struct {
	Functions    int
	Ops          int // instructions, as written
	Segments     int // charged
	Checks       int // looks at the fuel
	Dynamic      int // bulk operations and growths
	NaNs         int // canonicalised results
	Framed       int // functions that take depth
	Nesting      int // deepest control nesting
	DataSegments int // in the original
	DataMerged   int // in the result

	// Work is what the functions take to compile, in units of about 25 ns, and
	// FunctionWork the largest of them. MaxWork and MaxFunctionWork bound them.
	Work, FunctionWork uint64
}

// Rewrite validates a module and returns it metered. It never keeps or changes
// the bytes it is given. Errors carry one of this package's codes.
func Rewrite(wasm []byte, o Options) (*Rewritten, error) {
	if o.Schedule != Schedule1 {
		return nil, fault.New(ErrSchedule, "cost schedule %d, this build has %d", o.Schedule, Schedule1)
	}
	m := &module{options: o}
	if err := m.decode(wasm); err != nil {
		return nil, err
	}
	if err := m.rewriteCode(); err != nil {
		return nil, err
	}
	out := &Rewritten{
		Imports:   m.imports,
		Exports:   m.callable,
		HasMemory: m.hasMemory,
		MinPages:  m.minPages,
	}
	if m.hasStart {
		out.StartExport = StartExport
	}
	if o.Detach && m.detachable() {
		m.detach(out)
	}
	var err error
	if out.Wasm, err = m.write(); err != nil {
		return nil, err
	}
	out.Stats = m.stats
	return out, nil
}
