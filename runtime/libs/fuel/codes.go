package fuel

import "github.com/mythos-run/mythos/runtime/libs/fault"

// Codes of modules that Rewrite refuses.
const (
	// ErrSchedule: the cost schedule is not one of this build's.
	ErrSchedule fault.Code = "wasm_schedule"
	// ErrMalformed: the bytes cannot be read as a core module.
	ErrMalformed fault.Code = "wasm_malformed"
	// ErrInvalid: the module can be read and does not validate.
	ErrInvalid fault.Code = "wasm_invalid"
	// ErrOpcode: an instruction that no known feature defines.
	ErrOpcode fault.Code = "wasm_opcode_unknown"
	// ErrImport: an import that is not a function.
	ErrImport fault.Code = "wasm_import"
	// ErrSegment: an active segment that does not fit in its memory or table.
	ErrSegment fault.Code = "wasm_segment"
	// ErrReserved: an export or an import uses a name of the host's own.
	ErrReserved fault.Code = "wasm_name_reserved"
)

// Codes of features that are not accepted.
const (
	ErrComponent   fault.Code = "wasm_component"
	ErrSIMD        fault.Code = "wasm_simd"
	ErrRelaxedSIMD fault.Code = "wasm_relaxed_simd"
	ErrThreads     fault.Code = "wasm_threads"
	ErrMemory64    fault.Code = "wasm_memory64"
	ErrMultiMemory fault.Code = "wasm_multi_memory"
	ErrTailCalls   fault.Code = "wasm_tail_calls"
	ErrExceptions  fault.Code = "wasm_exceptions"
	ErrReferences  fault.Code = "wasm_typed_references"
	ErrGC          fault.Code = "wasm_gc"
	ErrConst       fault.Code = "wasm_extended_const"
	ErrArithmetic  fault.Code = "wasm_wide_arithmetic"
	ErrPageSize    fault.Code = "wasm_page_size"
)

// Codes of modules beyond a bound. The bounds keep a small file from asking
// for much: stock toolchains stay far below them.
const (
	// ErrTooLarge: the module, its rewritten form or the count of some item.
	ErrTooLarge fault.Code = "wasm_too_large"
	// ErrFunctions: more functions than maxFunctions.
	ErrFunctions fault.Code = "wasm_functions"
	// ErrBody: a function of more than maxBody bytes.
	ErrBody fault.Code = "wasm_body"
	// ErrLocals: too many locals of one function, or of all.
	ErrLocals fault.Code = "wasm_locals"
	// ErrTargets: a br_table with more than maxTargets targets.
	ErrTargets fault.Code = "wasm_br_table"
	// ErrNesting: blocks nested deeper than maxNesting.
	ErrNesting fault.Code = "wasm_nesting"
	// ErrOperands: more than maxOperands operands on the stack.
	ErrOperands fault.Code = "wasm_operands"
	// ErrWork: checking or compiling the module takes too long.
	ErrWork fault.Code = "wasm_complexity"
)

const (
	maxModule    = 64 << 20  // bytes
	maxWritten   = 256 << 20 // bytes of the rewritten module
	maxTypes     = 100_000
	maxSignature = 1_000 // parameters, and results, of one type
	maxImports   = 1_000
	maxFunctions = 200_000
	maxTables    = 16
	maxElements  = 1_000_000 // declared table elements, and segment items, in all
	tableRoom    = 65_536    // elements to which a smaller table may grow
	maxGlobals   = 100_000
	maxExports   = 100_000
	maxName      = 100_000 // bytes
	maxSegments  = 100_000
	maxBody      = 2_000_000 // bytes of one function
	maxExits     = 200_000   // places of one function where control may leave it
	maxLocals    = 50_000    // of one function, parameters included
	maxAllLocals = 4_000_000 // of all functions
	maxTargets   = 65_536    // of one br_table, without the default
	maxNesting   = 10_000    // blocks in blocks
	maxOperands  = 65_536    // on the stack at once

	pageSize = 65_536
	maxPages = 65_536
)
