package main

import (
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ir"
)

// irBend is a change of the sample's bundle, and what refuses it.
type irBend struct {
	what, doc, code string
	bend            func(*ir.Bundle)
}

func irPtr[T any](v T) *T { return &v }

func irReg(n uint64) ir.Operand { return ir.Operand{Kind: ir.KindReg, U64: &n} }

// irMain is an op of the function main, which stands behind one op.
func irMain(b *ir.Bundle, n int) *ir.Op { return &b.Ops.Ops[1+n] }

// bent are bundles of which one thing is wrong, every id right.
func (g *irGen) bent() {
	for _, list := range [][]irBend{irMetaBends(), irTypeBends(), irNodeBends(), irContractBends(), irSymbolBends(), irOpBends(), irTaskBends()} {
		for _, c := range list {
			b := g.bundle()
			c.bend(b)
			g.refuse(c.what, c.doc, (&irRepair{map[cid.Hash]cid.Hash{}}).bundle(b), c.code, "bent")
		}
	}
}

func irMetaBends() []irBend {
	const meta, constant = "ir_meta_invalid", "ir_const_invalid"
	return []irBend{
		{"meta", "another spec", meta, func(b *ir.Bundle) { b.Meta.Spec = "ctvp" }},
		{"meta", "version 3", meta, func(b *ir.Bundle) { b.Meta.Version = 3 }},
		{"meta", "a time of creation", meta, func(b *ir.Bundle) { b.Meta.CreatedAt = irPtr(int64(0)) }},
		{"meta", "an author of scheme 2", meta, func(b *ir.Bundle) { b.Meta.Author.Scheme = 2 }},
		{"meta", "notes", meta, func(b *ir.Bundle) { b.Meta.Notes = "x" }},
		{"meta", "extensions", meta, func(b *ir.Bundle) { b.Meta.Extensions = map[string][]byte{"x": nil} }},
		{"const", "kind 6", constant, func(b *ir.Bundle) { b.ConstPool.Consts[0].Kind = 6 }},
		{"const", "a TEXT of kind U64", constant, func(b *ir.Bundle) { b.ConstPool.Consts[0].Kind = ir.ConstU64 }},
		{"const", "a TEXT and a number", constant, func(b *ir.Bundle) { b.ConstPool.Consts[0].U64 = irPtr(uint64(1)) }},
	}
}

func irTypeBends() []irBend {
	const typ = "ir_type_invalid"
	return []irBend{
		{"type", "kind 3", typ, func(b *ir.Bundle) { b.Types.Types[0].Kind = 3 }},
		{"type", "an Enum with fields", typ, func(b *ir.Bundle) { b.Types.Types[1].Fields = b.Types.Types[0].Fields }},
		{"type", "a Record with tags", typ, func(b *ir.Bundle) { b.Types.Types[0].EnumTags = []string{"x"} }},
		{"type", "an Enum without tags", typ, func(b *ir.Bundle) { b.Types.Types[1].EnumTags = nil }},
		{"type", "a tag twice", typ, func(b *ir.Bundle) { b.Types.Types[1].EnumTags = []string{"x", "x"} }},
		{"type", "an empty tag", typ, func(b *ir.Bundle) { b.Types.Types[1].EnumTags = []string{""} }},
		{"type", "a field id twice", typ, func(b *ir.Bundle) { b.Types.Types[0].Fields[1].FieldID = 1 }},
		{"type", "a field name twice", typ, func(b *ir.Bundle) { b.Types.Types[0].Fields[1].Name = "x" }},
		{"type", "a type twice", typ, func(b *ir.Bundle) { b.Types.Types = append(b.Types.Types, b.Types.Types[0]) }},
		{"type-unknown", "of a field", "ir_type_unknown", func(b *ir.Bundle) { b.Types.Types[0].Fields[0].FieldTypeID = h("unknown") }},
		{"type-unknown", "of a node", "ir_type_unknown", func(b *ir.Bundle) { b.NodePool.Nodes[0].TypeID = h("unknown") }},
		{"type-unknown", "of a tool's request", "ir_type_unknown", func(b *ir.Bundle) { b.Tools.Tools[0].RequestTypeID = h("unknown") }},
		{"type-unknown", "of a function's result", "ir_type_unknown", func(b *ir.Bundle) { b.Symbols.Symbols[0].ReturnTypeID = h("unknown") }},
	}
}

func irNodeBends() []irBend {
	const node, operand = "ir_node_invalid", "ir_operand_invalid"
	return []irBend{
		{"node", "kind 3", node, func(b *ir.Bundle) { b.NodePool.Nodes[0].Kind = 3 }},
		{"node", "a Record with items", node, func(b *ir.Bundle) { b.NodePool.Nodes[0].Items = b.NodePool.Nodes[1].Items }},
		{"node", "a List with fields", node, func(b *ir.Bundle) { b.NodePool.Nodes[1].Fields = b.NodePool.Nodes[0].Fields }},
		{"node", "a Record of type text", node, func(b *ir.Bundle) { b.NodePool.Nodes[0].TypeID = abi.TypeText }},
		{"node", "a List of type map", node, func(b *ir.Bundle) { b.NodePool.Nodes[1].TypeID = abi.TypeMap }},
		{"node", "a Record of an Enum", node, func(b *ir.Bundle) { b.NodePool.Nodes[0].TypeID = b.Types.Types[1].TypeID }},
		{"node", "a field that the type does not have", node, func(b *ir.Bundle) { b.NodePool.Nodes[0].Fields[3] = irReg(0) }},
		{"node", "a node that refers to itself", node, func(b *ir.Bundle) { b.NodePool.Nodes[1].Items[0].NodeRef = irPtr(uint32(1)) }},
		{"node-operand", "kind 7", operand, func(b *ir.Bundle) { b.NodePool.Nodes[1].Items[1].Kind = 7 }},
		{"node-operand", "register 256", operand, func(b *ir.Bundle) { b.NodePool.Nodes[1].Items[1].U64 = irPtr(uint64(256)) }},
		{"reference", "a constant of a node", "ir_reference_unknown", func(b *ir.Bundle) {
			b.NodePool.Nodes[1].Items[1] = ir.Operand{Kind: ir.KindConst, ConstRef: irPtr(uint32(2))}
		}},
	}
}

func irContractBends() []irBend {
	const contract, tool = "ir_contract_invalid", "ir_tool_invalid"
	first := func(b *ir.Bundle) *ir.Expr { return &b.Contracts.Contracts[0].RequiresExpr.Args[0] }
	return []irBend{
		{"contract", "op 3", contract, func(b *ir.Bundle) { b.Contracts.Contracts[0].RequiresExpr.Op = 3 }},
		{"contract", "a comparison without a literal", contract, func(b *ir.Bundle) { first(b).Lit = nil }},
		{"contract", "AND of one", contract, func(b *ir.Bundle) {
			b.Contracts.Contracts[0].RequiresExpr.Args = b.Contracts.Contracts[0].RequiresExpr.Args[:1]
		}},
		{"contract", "root 3", contract, func(b *ir.Bundle) { first(b).Path.Root = 3 }},
		{"contract", "65 segments", contract, func(b *ir.Bundle) { first(b).Path.Segments = make([]uint32, 65) }},
		{"contract", "a register for the literal", contract, func(b *ir.Bundle) { first(b).Lit = irPtr(irReg(0)) }},
		{"contract", "a constant that is not there", contract, func(b *ir.Bundle) { first(b).Lit = &ir.Operand{Kind: ir.KindConst, ConstRef: irPtr(uint32(9))} }},
		{"contract", "13 levels", contract, func(b *ir.Bundle) {
			x := ir.Expr{Op: ir.ExprTrue}
			for range 12 {
				x = ir.Expr{Op: ir.ExprNot, Args: []ir.Expr{x}}
			}
			b.Contracts.Contracts[0].RequiresExpr = x
		}},
		{"contract", "4,098 expressions", contract, func(b *ir.Bundle) {
			all := make([]ir.Expr, 1024)
			for i := range all {
				all[i].Op = ir.ExprTrue
			}
			and := ir.Expr{Op: ir.ExprAnd, Args: all}
			b.Contracts.Contracts[0].RequiresExpr = ir.Expr{Op: ir.ExprOr, Args: []ir.Expr{and, and, and, and}}
		}},
		{"contract", "a contract twice", contract, func(b *ir.Bundle) { b.Contracts.Contracts = append(b.Contracts.Contracts, b.Contracts.Contracts[0]) }},
		{"tool", "no interface", tool, func(b *ir.Bundle) { b.Tools.Tools[0].Interface = nil }},
		{"tool", "no name", tool, func(b *ir.Bundle) { b.Tools.Tools[0].Name = "" }},
		{"tool", "an upper-case name", tool, func(b *ir.Bundle) { b.Tools.Tools[0].Name = "Demo" }},
		{"tool", "a name of the executor's own", tool, func(b *ir.Bundle) { b.Tools.Tools[0].Name = "mythos/echo" }},
		{"tool", "a tool twice", tool, func(b *ir.Bundle) { b.Tools.Tools = append(b.Tools.Tools, b.Tools.Tools[0]) }},
	}
}

func irSymbolBends() []irBend {
	const symbol = "ir_symbol_invalid"
	return []irBend{
		{"symbol", "no pc", symbol, func(b *ir.Bundle) { b.Symbols.Symbols[0].PC = nil }},
		{"symbol", "no op_count", symbol, func(b *ir.Bundle) { b.Symbols.Symbols[0].OpCount = nil }},
		{"symbol", "no op", symbol, func(b *ir.Bundle) { b.Symbols.Symbols[0].OpCount = irPtr(uint32(0)) }},
		{"symbol", "an extent beyond the ops", symbol, func(b *ir.Bundle) { b.Symbols.Symbols[1].OpCount = irPtr(uint32(1<<32 - 1)) }},
		{"symbol", "extents that overlap", symbol, func(b *ir.Bundle) { b.Symbols.Symbols[0].OpCount = irPtr(uint32(2)) }},
		{"symbol", "an op of no function", symbol, func(b *ir.Bundle) { b.Ops.Ops = append(b.Ops.Ops, ir.Op{Opcode: 1}) }},
		{"symbol", "in another order than the ops", symbol, func(b *ir.Bundle) { s := b.Symbols.Symbols; s[0], s[1] = s[1], s[0] }},
		{"symbol", "17 arguments", symbol, func(b *ir.Bundle) { b.Symbols.Symbols[0].ArgTypeIDs = make([]cid.Hash, 17) }},
	}
}

func irOpBends() []irBend {
	const operand, reference, jump = "ir_operand_invalid", "ir_reference_unknown", "ir_jump_range"
	unknown := func(n, i int) func(*ir.Bundle) {
		return func(b *ir.Bundle) { irMain(b, n).Operands[i].Hash = irPtr(h("unknown")) }
	}
	return []irBend{
		{"opcode", "opcode 0x5a", "ir_opcode_unknown", func(b *ir.Bundle) { irMain(b, 0).Opcode = 0x5a }},
		{"opcode", "opcode 0", "ir_opcode_unknown", func(b *ir.Bundle) { irMain(b, 0).Opcode = 0 }},
		{"opcode", "opcode 255", "ir_opcode_unknown", func(b *ir.Bundle) { irMain(b, 0).Opcode = 255 }},
		{"operand", "one missing", operand, func(b *ir.Bundle) { irMain(b, 0).Operands = irMain(b, 0).Operands[:1] }},
		{"operand", "one more", operand, func(b *ir.Bundle) { irMain(b, 0).Operands = append(irMain(b, 0).Operands, irReg(0)) }},
		{"operand", "a register for a constant", operand, func(b *ir.Bundle) { irMain(b, 0).Operands[0] = irReg(0) }},
		{"operand", "kind 7", operand, func(b *ir.Bundle) { irMain(b, 0).Operands[1].Kind = 7 }},
		{"operand", "kind 0", operand, func(b *ir.Bundle) { irMain(b, 0).Operands[1].Kind = 0 }},
		{"operand", "a number in two fields", operand, func(b *ir.Bundle) { irMain(b, 0).Operands[1].I64 = irPtr(int64(0)) }},
		{"operand", "register 256", operand, func(b *ir.Bundle) { irMain(b, 0).Operands[1].U64 = irPtr(uint64(256)) }},
		{"operand-outputs", "EFFECT with one register for both", operand, func(b *ir.Bundle) { irMain(b, 3).Operands[3] = irMain(b, 3).Operands[2] }},
		{"operand-outputs", "BLOB_PUT with one register for both", operand, func(b *ir.Bundle) { irMain(b, 6).Operands[4] = irMain(b, 6).Operands[3] }},
		{"operand-argc", "two arguments, the function takes one", operand, func(b *ir.Bundle) { irMain(b, 1).Operands[1].U64 = irPtr(uint64(2)) }},
		{"operand-argc", "2^64-1 arguments", operand, func(b *ir.Bundle) { irMain(b, 1).Operands[1].U64 = irPtr(uint64(1<<64 - 1)) }},
		{"operand-const", "a TEXT for a scope", operand, func(b *ir.Bundle) { irMain(b, 5).Operands[1].ConstRef = irPtr(uint32(0)) }},
		{"operand-const", "BYTES for a media type", operand, func(b *ir.Bundle) { irMain(b, 6).Operands[1].ConstRef = irPtr(uint32(1)) }},
		{"operand-const", "BYTES for a namespace", operand, func(b *ir.Bundle) { irMain(b, 6).Operands[2].ConstRef = irPtr(uint32(1)) }},
		{"operand-const", "an empty key", operand, func(b *ir.Bundle) { b.ConstPool.Consts[0].Text = "" }},
		{"operand-const", "a key of 257 bytes", operand, func(b *ir.Bundle) { b.ConstPool.Consts[0].Text = strings.Repeat("x", 257) }},
		{"reference", "a constant", reference, func(b *ir.Bundle) { irMain(b, 0).Operands[0].ConstRef = irPtr(uint32(1<<32 - 1)) }},
		{"reference", "a node", reference, func(b *ir.Bundle) { irMain(b, 8).Operands[0].NodeRef = irPtr(uint32(2)) }},
		{"reference", "a function", reference, unknown(1, 0)},
		{"reference", "a tool", reference, unknown(3, 0)},
		{"reference", "a contract", reference, unknown(4, 0)},
		{"reference", "the type of a pattern", reference, unknown(2, 1)},
		{"reference", "the zero hash for a tool", reference, func(b *ir.Bundle) { irMain(b, 3).Operands[0].Hash = &cid.Hash{} }},
		{"jump", "to the op behind the last", jump, func(b *ir.Bundle) { irMain(b, 7).Operands[0].U64 = irPtr(uint64(10)) }},
		{"jump", "to op 2^64-1", jump, func(b *ir.Bundle) { irMain(b, 7).Operands[0].U64 = irPtr(uint64(1<<64 - 1)) }},
		{"jump", "of MATCH, to the op behind the last", jump, func(b *ir.Bundle) { irMain(b, 2).Operands[2].U64 = irPtr(uint64(10)) }},
		{"extent-end", "a function that ends in NOP", "ir_extent_end", func(b *ir.Bundle) { irMain(b, 9).Opcode, irMain(b, 9).Operands = 1, nil }},
		{"extent-end", "no ops at all", "ir_extent_end", func(b *ir.Bundle) { b.Ops.Ops, b.Symbols.Symbols = nil, nil }},
	}
}

func irTaskBends() []irBend {
	const budget, args = "ir_budget_invalid", "ir_args_invalid"
	task := func(b *ir.Bundle) *ir.TaskDef { return &b.Tasks.Tasks[0] }
	return []irBend{
		{"task", "none", "ir_task_invalid", func(b *ir.Bundle) { b.Tasks.Tasks = nil }},
		{"task", "one twice", "ir_task_invalid", func(b *ir.Bundle) { b.Tasks.Tasks = append(b.Tasks.Tasks, b.Tasks.Tasks[0]) }},
		{"entry", "a function that is not there", "ir_entry_unknown", func(b *ir.Bundle) { task(b).EntrySymbol = h("unknown") }},
		{"entry", "the zero hash", "ir_entry_unknown", func(b *ir.Bundle) { task(b).EntrySymbol = cid.Hash{} }},
		{"budget", "no CPU", budget, func(b *ir.Bundle) { task(b).Budget.CPUMicros = 0 }},
		{"budget", "a purse beyond 64 bits", budget, func(b *ir.Bundle) { task(b).Budget.CPUMicros = 18446744073709552 }},
		{"budget", "1,025 frames", budget, func(b *ir.Bundle) { task(b).Budget.MaxDepth = irPtr(uint16(1025)) }},
		{"budget", "no frame", budget, func(b *ir.Bundle) { task(b).Budget.MaxDepth = irPtr(uint16(0)) }},
		{"args", "none, the entry takes one", args, func(b *ir.Bundle) { task(b).Args = nil }},
		{"args", "a number for a record", args, func(b *ir.Bundle) { task(b).Args[0] = ir.Operand{Kind: ir.KindU64, U64: irPtr(uint64(1))} }},
		{"args", "a register", args, func(b *ir.Bundle) { task(b).Args[0] = irReg(0) }},
		{"args", "a node that reads a register", args, func(b *ir.Bundle) { task(b).Args[0].NodeRef = irPtr(uint32(1)) }},
		{"args", "a node that is not there", args, func(b *ir.Bundle) { task(b).Args[0].NodeRef = irPtr(uint32(2)) }},
		{"args", "a constant that is not there", args, func(b *ir.Bundle) { task(b).Args[0] = ir.Operand{Kind: ir.KindConst, ConstRef: irPtr(uint32(2))} }},
		{"args", "kind 9", args, func(b *ir.Bundle) { task(b).Args[0].Kind = 9 }},
		{"args", "a record without a required field", args, func(b *ir.Bundle) { b.NodePool.Nodes[0].Fields = nil }},
	}
}
