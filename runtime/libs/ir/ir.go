// Package ir is the deterministic part of a package (RFC-MYTHOS-0012): a few
// functions over canonical values that decide which tools are called, with
// what, and what a run returns.
//
// A bundle is one canonical IRBundle of at most MaxBundle bytes:
//
//	{1 meta, 2 const_pool, 3 node_pool, 4 types, 5 symbols, 6 contracts, 7 tools, 8 ops, 9 tasks}
//
// Load decodes it strictly and validates all of it; a Program cannot be had in
// any other way, and what Load accepts cannot make Run panic or hang: every op
// takes fuel. Run is a pure function of the program, the task, the inputs and
// the responses of its effects, which a Host supplies. It ends with a Result (a
// value, or a trap's code) or, if something outside stopped it, with an error;
// such a run may be started again.
//
// Values are canonical bytes, at most MaxValue long and 32 containers deep; a
// register holds one and, beside it, the record type it was last passed to.
//
// Assemble turns text into a bundle, Disassemble a bundle into the canonical
// text (RFC-MYTHOS-0012 §8):
//
//	const greeting = text "hello"
//	tool echo = demo/echo interface 1 (any) -> any
//
//	func main() -> any {
//	  const greeting, r0
//	  effect echo, r0, r1, r2
//	  ret r1
//	}
//
//	task main = main() budget cpu_us=50000 io=10 writes=0
package ir

import "github.com/mythos-run/mythos/runtime/libs/fault"

// Limits (RFC-MYTHOS-0012 §2.1, §3 and §5).
const (
	MaxBundle   = 16 << 20  // bytes of a bundle
	MaxValue    = 16 << 20  // bytes of a value
	MaxMemory   = 256 << 20 // bytes in the registers of one run
	MaxOps      = 1 << 20
	MaxSection  = 1 << 16 // entries of every other section
	MaxArgs     = 16      // arguments of a function
	MaxDepth    = 1024    // frames
	MaxSource   = 16 << 20
	MaxKey      = 256              // bytes of an explicit idempotency key
	MaxRequest  = MaxValue + 1<<10 // bytes of a ToolRequest if nothing says less
	registers   = 256
	fuelPerCPU  = 1000
	maxCPU      = (1<<64 - 1) / fuelPerCPU
	baseDepth   = 64 // frames if a budget does not say
	maxTags     = 1 << 16
	maxText     = 256 // bytes of a media type or namespace
	maxExprs    = 4096
	maxExprDeep = 12
	maxExprArgs = 1024
	maxSegments = 64
)

// Codes of a bundle that is refused (RFC-MYTHOS-0012 §5).
const (
	ErrLimit         fault.Code = "ir_limit"
	ErrMeta          fault.Code = "ir_meta_invalid"
	ErrID            fault.Code = "ir_id_mismatch"
	ErrConst         fault.Code = "ir_const_invalid"
	ErrType          fault.Code = "ir_type_invalid"
	ErrTypeUnknown   fault.Code = "ir_type_unknown"
	ErrNode          fault.Code = "ir_node_invalid"
	ErrOperand       fault.Code = "ir_operand_invalid"
	ErrReference     fault.Code = "ir_reference_unknown"
	ErrContract      fault.Code = "ir_contract_invalid"
	ErrTool          fault.Code = "ir_tool_invalid"
	ErrSymbol        fault.Code = "ir_symbol_invalid"
	ErrOpcode        fault.Code = "ir_opcode_unknown"
	ErrJump          fault.Code = "ir_jump_range"
	ErrExtentEnd     fault.Code = "ir_extent_end"
	ErrTask          fault.Code = "ir_task_invalid"
	ErrEntry         fault.Code = "ir_entry_unknown"
	ErrBudget        fault.Code = "ir_budget_invalid"
	ErrArgs          fault.Code = "ir_args_invalid"
	ErrTaskUnknown   fault.Code = "ir_task_unknown"   // Run of a task that the bundle does not hold
	ErrInputs        fault.Code = "ir_inputs_invalid" // given inputs that the entry does not take
	ErrHost          fault.Code = "ir_host_fault"     // a Host answered what the contract forbids
	ErrDisasmInexact fault.Code = "ir_disasm_inexact" // a valid bundle that no text assembles to
	ErrAsmSyntax     fault.Code = "ir_asm_syntax"     // text that is not an item or operand
	ErrAsmName       fault.Code = "ir_asm_name"       // a name that is unknown, taken or defined twice
	ErrAsmRange      fault.Code = "ir_asm_range"      // a number that does not fit its place
	ErrAsmCycle      fault.Code = "ir_asm_cycle"      // types or functions that need each other
	ErrBudgetMissing fault.Code = "ir_budget_missing" // a task in text without cpu_us, io or writes
)

// Codes of a trap: the program broke a rule, and always will
// (RFC-MYTHOS-0012 §6.5).
const (
	TrapType     fault.Code = "type_mismatch"
	TrapLarge    fault.Code = "value_too_large"
	TrapDeep     fault.Code = "value_too_deep"
	TrapContract fault.Code = "contract_violation"
	TrapFuel     fault.Code = "ir_fuel_exhausted"
	TrapIO       fault.Code = "ir_io_exhausted"
	TrapWrites   fault.Code = "ir_writes_exhausted"
	TrapDepth    fault.Code = "ir_depth_exceeded"
	TrapMemory   fault.Code = "ir_memory_exhausted"
	TrapKey      fault.Code = "ir_key_invalid"
	TrapRequest  fault.Code = "ir_request_too_large"
	TrapOverflow fault.Code = "ir_overflow"
	TrapIndex    fault.Code = "ir_index_range"
)

// Level1 is the feature of a package whose bundles use opcodes of level 1
// (RFC-MYTHOS-0012 §4.6).
const Level1 = "ir.level1"

// Features returns the features that this interpreter has, ascending.
func Features() []string { return []string{Level1} }

// Opcodes (RFC-MYTHOS-0012 §4); those from opEq on are level 1.
const (
	opNop          = 0x01
	opHalt         = 0x02
	opJmp          = 0x10
	opJz           = 0x11
	opCall         = 0x12
	opRet          = 0x13
	opConst        = 0x20
	opMake         = 0x21
	opGet          = 0x22
	opSet          = 0x23
	opList         = 0x24
	opMatch        = 0x25
	opRequireCap   = 0x30
	opEffect       = 0x31
	opAssert       = 0x32
	opBlobPut      = 0x40
	opBlobGet      = 0x41
	opBlobChunkGet = 0x42
	opEq           = 0x50
	opLt           = 0x51
	opNot          = 0x52
	opAdd          = 0x53
	opSub          = 0x54
	opMul          = 0x55
	opLen          = 0x56
	opAt           = 0x57
	opAppend       = 0x58
	opConcat       = 0x59
)

// Operand kinds.
const (
	KindReg   = 1
	KindConst = 2
	KindNode  = 3
	KindU64   = 4
	KindI64   = 5
	KindHash  = 6
)

// Const kinds.
const (
	ConstI64   = 1
	ConstU64   = 2
	ConstBytes = 3
	ConstText  = 4
	ConstHash  = 5
)

// Kinds of Node and of TypeDef.
const (
	NodeRecord = 1
	NodeList   = 2
	TypeRecord = 1
	TypeEnum   = 2
)

// role says what an operand is for; it fixes the operand kinds that may stand
// there and, in assembly text, what a name means.
type role uint8

const (
	roleReg role = iota
	roleLabel
	roleConst
	roleNode
	roleSymbol
	roleTool
	roleContract
	roleU64
	rolePattern
	roleKey
)

// kinds returns the operand kinds of a role as a set of bits.
func (r role) kinds() uint8 {
	switch r {
	case roleReg:
		return 1 << KindReg
	case roleLabel, roleU64:
		return 1 << KindU64
	case roleConst:
		return 1 << KindConst
	case roleNode:
		return 1 << KindNode
	case roleSymbol, roleTool, roleContract:
		return 1 << KindHash
	case rolePattern:
		return 1<<KindHash | 1<<KindConst | 1<<KindU64 | 1<<KindI64 | 1<<KindReg
	default: // roleKey
		return 1<<KindReg | 1<<KindConst
	}
}

// want names a role in messages.
func (r role) want() string {
	return [...]string{
		"a register r0 to r255", "a label", "a constant", "a node", "a function or self", "a tool", "a contract",
		"a number", "a pattern (constant, number, register, or type NAME)", "a key (register or constant)",
	}[r]
}

// spec is one row of the table in RFC-MYTHOS-0012 §4: the operands of an op in
// order, of which all behind the first min may be left off.
type spec struct {
	name  string
	roles []role
	min   int
}

// specOf returns the row of an opcode. LIST's row ends in its sixteen items.
func specOf(opcode uint8) (spec, bool) {
	switch opcode {
	case opNop:
		return spec{"nop", nil, 0}, true
	case opHalt:
		return spec{"halt", []role{roleReg}, 0}, true
	case opJmp:
		return spec{"jmp", []role{roleLabel}, 1}, true
	case opJz:
		return spec{"jz", []role{roleReg, roleLabel}, 2}, true
	case opCall:
		return spec{"call", []role{roleSymbol, roleU64, roleReg}, 2}, true
	case opRet:
		return spec{"ret", []role{roleReg}, 0}, true
	case opConst:
		return spec{"const", []role{roleConst, roleReg}, 2}, true
	case opMake:
		return spec{"make", []role{roleNode, roleReg}, 2}, true
	case opGet:
		return spec{"get", []role{roleReg, roleU64, roleReg}, 3}, true
	case opSet:
		return spec{"set", []role{roleReg, roleU64, roleReg, roleReg}, 4}, true
	case opList:
		return spec{"list", make([]role, 17), 1}, true // roleReg is zero
	case opMatch:
		return spec{"match", []role{roleReg, rolePattern, roleLabel}, 3}, true
	case opRequireCap:
		return spec{"require_cap", []role{roleU64, roleConst}, 2}, true
	case opEffect:
		return spec{"effect", []role{roleTool, roleReg, roleReg, roleReg, roleKey}, 4}, true
	case opAssert:
		return spec{"assert", []role{roleContract, roleReg}, 2}, true
	case opBlobPut:
		return spec{"blob_put", []role{roleReg, roleConst, roleConst, roleReg, roleReg}, 5}, true
	case opBlobGet:
		return spec{"blob_get", []role{roleReg, roleReg, roleReg}, 3}, true
	case opBlobChunkGet:
		return spec{"blob_chunk_get", []role{roleReg, roleReg, roleReg, roleReg}, 4}, true
	}
	return specOfLevel1(opcode)
}

// specOfLevel1 returns the row of an opcode of level 1, whose operands are
// registers, the last of them the output.
func specOfLevel1(opcode uint8) (spec, bool) {
	two := make([]role, 3) // roleReg is zero
	switch opcode {
	case opEq:
		return spec{"eq", two, 3}, true
	case opLt:
		return spec{"lt", two, 3}, true
	case opNot:
		return spec{"not", two[:2], 2}, true
	case opAdd:
		return spec{"add", two, 3}, true
	case opSub:
		return spec{"sub", two, 3}, true
	case opMul:
		return spec{"mul", two, 3}, true
	case opLen:
		return spec{"len", two[:2], 2}, true
	case opAt:
		return spec{"at", two, 3}, true
	case opAppend:
		return spec{"append", two, 3}, true
	case opConcat:
		return spec{"concat", two, 3}, true
	}
	return spec{}, false
}

// opcodes lists all opcodes, ascending.
func opcodes() []uint8 {
	return []uint8{
		opNop, opHalt, opJmp, opJz, opCall, opRet, opConst, opMake, opGet, opSet, opList, opMatch,
		opRequireCap, opEffect, opAssert, opBlobPut, opBlobGet, opBlobChunkGet,
		opEq, opLt, opNot, opAdd, opSub, opMul, opLen, opAt, opAppend, opConcat,
	}
}
