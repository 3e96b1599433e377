package ir

import (
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// symbols checks the symbol table against the ops it covers and resolves both
// to functions.
func (l *loader) symbols() error {
	syms := l.b.Symbols.Symbols
	total := len(l.b.Ops.Ops)
	l.p.symbolIndex = make(map[cid.Hash]int32, len(syms))
	if len(syms) == 0 {
		l.p.funcs = []function{{count: uint32(total), regs: registers}}
		return nil
	}
	l.p.funcs = make([]function, len(syms))
	for i := range syms {
		if err := l.symbol(i, &syms[i], total); err != nil {
			return about(err, "symbol", i)
		}
	}
	if err := l.extents(total); err != nil {
		return err
	}
	for i := range syms {
		if err := l.signature(&l.p.funcs[i], &syms[i]); err != nil {
			return about(err, "symbol", i)
		}
	}
	at := section(l.raw, fieldOps)
	for i := range syms {
		f := &l.p.funcs[i]
		if id := moduleID(int(f.count), l.raw[at[f.pc]:at[f.pc+f.count]]); id != syms[i].ModuleID {
			return refuse(ErrID, "symbol", i, "declares module_id %s, its ops have %s", syms[i].ModuleID, id)
		}
	}
	return nil
}

func (l *loader) symbol(i int, s *SymbolSig, total int) error {
	if s.PC == nil || s.OpCount == nil {
		return fault.New(ErrSymbol, "pc or op_count is missing")
	}
	if *s.OpCount == 0 || uint64(*s.PC)+uint64(*s.OpCount) > uint64(total) {
		return fault.New(ErrSymbol, "the extent of %d ops at %d does not lie in the %d ops of the bundle", *s.OpCount, *s.PC, total)
	}
	if len(s.ArgTypeIDs) > MaxArgs {
		return fault.New(ErrSymbol, "%d arguments, at most %d", len(s.ArgTypeIDs), MaxArgs)
	}
	id := symbolID(s)
	if _, twice := l.p.symbolIndex[id]; twice {
		return fault.New(ErrSymbol, "%s is defined twice", id)
	}
	l.p.symbolIndex[id] = int32(i)
	// RET without an out writes r0.
	l.p.funcs[i] = function{pc: *s.PC, count: *s.OpCount, regs: max(1, len(s.ArgTypeIDs)), typed: true}
	return nil
}

// signature resolves the types of a symbol.
func (l *loader) signature(f *function, s *SymbolSig) error {
	f.args = make([]int32, len(s.ArgTypeIDs))
	for i, id := range append(slices.Clone(s.ArgTypeIDs), s.ReturnTypeID) {
		typ, ok := l.p.types.index[id]
		switch {
		case !ok:
			return fault.New(ErrTypeUnknown, "type %s is not in the bundle", id)
		case i < len(f.args):
			f.args[i] = typ
		default:
			f.ret = typ
		}
	}
	return nil
}

// extents checks that the functions' ops follow one another in the order of
// the table and cover all ops.
func (l *loader) extents(total int) error {
	next := uint32(0)
	for i := range l.p.funcs {
		f := &l.p.funcs[i]
		if f.pc != next {
			return refuse(ErrSymbol, "symbol", i, "the extent starts at op %d, want %d: extents follow one another", f.pc, next)
		}
		next = f.pc + f.count
	}
	if int(next) != total {
		return fault.New(ErrSymbol, "the extents end at op %d of %d", next, total)
	}
	return nil
}

// ops checks and resolves the ops, function by function.
func (l *loader) ops() error {
	ops := l.b.Ops.Ops
	if len(ops) == 0 {
		return fault.New(ErrExtentEnd, "the bundle has no ops")
	}
	l.used = map[cid.Hash]bool{}
	l.p.code = make([]instr, len(ops))
	for fi := range l.p.funcs {
		f := &l.p.funcs[fi]
		for pc := f.pc; pc < f.pc+f.count; pc++ {
			if err := l.op(int32(fi), &ops[pc], &l.p.code[pc]); err != nil {
				return about(err, "op", int(pc))
			}
		}
		switch last := f.pc + f.count - 1; ops[last].Opcode {
		case opRet, opHalt, opJmp:
		default:
			return refuse(ErrExtentEnd, "op", int(last), "a function ends in opcode %#02x, want RET, HALT or JMP", ops[last].Opcode)
		}
	}
	l.effects()
	return nil
}

func (l *loader) op(fi int32, op *Op, in *instr) error {
	s, ok := specOf(op.Opcode)
	if !ok {
		return fault.New(ErrOpcode, "opcode %#02x", op.Opcode)
	}
	if n := len(op.Operands); n < s.min || n > len(s.roles) {
		return fault.New(ErrOperand, "%s has %d operands, want %d to %d", s.name, n, s.min, len(s.roles))
	}
	f := &l.p.funcs[fi]
	for i := range op.Operands {
		o := &op.Operands[i]
		if !wellFormed(o) || s.roles[i].kinds()&(1<<o.Kind) == 0 {
			return fault.New(ErrOperand, "operand %d of %s is of kind %d or malformed, want %s", i, s.name, o.Kind, s.roles[i].want())
		}
		if o.Kind == KindReg {
			f.regs = max(f.regs, int(*o.U64)+1)
		}
	}
	if err := distinctOutputs(op, s.name); err != nil {
		return err
	}
	for i := range op.Operands {
		if !l.resolves(s.roles[i], &op.Operands[i]) {
			return fault.New(ErrReference, "operand %d of %s refers to what is not in the bundle, want %s", i, s.name, s.roles[i].want())
		}
	}
	for i := range op.Operands {
		if label := op.Operands[i].U64; s.roles[i] == roleLabel && *label >= uint64(f.count) {
			return fault.New(ErrJump, "%s goes to op %d of %d", s.name, *label, f.count)
		}
	}
	return l.encode(fi, op, in)
}

// distinctOutputs refuses effects whose out and receipt are one register.
func distinctOutputs(op *Op, name string) error {
	n := len(op.Operands)
	switch op.Opcode {
	case opEffect:
		n = 4
	case opBlobPut, opBlobGet, opBlobChunkGet:
	default:
		return nil
	}
	if *op.Operands[n-2].U64 == *op.Operands[n-1].U64 {
		return fault.New(ErrOperand, "out and receipt of %s are both r%d", name, *op.Operands[n-1].U64)
	}
	return nil
}

// resolves reports whether what an operand refers to is in the bundle.
func (l *loader) resolves(r role, o *Operand) bool {
	switch {
	case o.Kind == KindConst:
		return int64(*o.ConstRef) < int64(len(l.b.ConstPool.Consts))
	case o.Kind == KindNode:
		return int64(*o.NodeRef) < int64(len(l.p.nodes))
	case o.Kind != KindHash:
		return true
	}
	var ok bool
	switch r {
	case roleSymbol:
		_, ok = l.p.symbolIndex[*o.Hash]
		ok = ok || o.Hash.IsZero()
	case roleTool:
		_, ok = l.p.toolIndex[*o.Hash]
	case roleContract:
		_, ok = l.p.contractIndex[*o.Hash]
	case rolePattern:
		_, ok = l.p.types.index[*o.Hash]
	}
	return ok
}

// encode turns an op whose operands are in order into an instr, and makes the
// checks that look behind them.
func (l *loader) encode(fi int32, op *Op, in *instr) error {
	o := op.Operands
	reg := func(i int) uint8 {
		if i < len(o) {
			return uint8(*o[i].U64)
		}
		return 0
	}
	in.op = op.Opcode
	switch op.Opcode {
	case opHalt, opRet:
		in.a = reg(0)
		if len(o) > 0 {
			in.mode = modeReg
		}
	case opJmp:
		in.j = uint32(*o[0].U64)
	case opJz:
		in.a, in.j = reg(0), uint32(*o[1].U64)
	case opCall:
		return l.encodeCall(fi, o, in, reg(2))
	case opConst:
		in.i, in.a = *o[0].ConstRef, reg(1)
	case opMake:
		in.i, in.a = *o[0].NodeRef, reg(1)
		f := &l.p.funcs[fi]
		f.regs = max(f.regs, l.p.nodes[in.i].regs)
	case opGet:
		in.a, in.u, in.b = reg(0), *o[1].U64, reg(2)
	case opSet:
		in.a, in.u, in.b, in.c = reg(0), *o[1].U64, reg(2), reg(3)
	case opList:
		in.a, in.i, in.j = reg(0), uint32(len(l.p.regs)), uint32(len(o)-1)
		for i := 1; i < len(o); i++ {
			l.p.regs = append(l.p.regs, reg(i))
		}
	case opMatch:
		in.a, in.j = reg(0), uint32(*o[2].U64)
		l.encodePattern(&o[1], in)
	case opAssert:
		in.i, in.a = uint32(l.p.contractIndex[*o[0].Hash]), reg(1)
	case opEq, opLt, opAdd, opSub, opMul, opAt, opAppend, opConcat:
		l.p.level1 = true
		in.a, in.b, in.c = reg(0), reg(1), reg(2)
	case opNot, opLen:
		l.p.level1 = true
		in.a, in.c = reg(0), reg(1)
	default:
		return l.encodeEffect(o, in)
	}
	return nil
}

// encodeEffect is encode for the ops that look outside.
func (l *loader) encodeEffect(o []Operand, in *instr) error {
	reg := func(i int) uint8 { return uint8(*o[i].U64) }
	switch in.op {
	case opRequireCap:
		in.u, in.i = *o[0].U64, *o[1].ConstRef
		return l.constOf(in.i, can.Bytes, 0, MaxValue)
	case opEffect:
		in.i = uint32(l.p.toolIndex[*o[0].Hash])
		in.a, in.b, in.c = reg(1), reg(2), reg(3)
		l.used[*o[0].Hash] = true
		return l.encodeKey(o[4:], in)
	case opBlobPut:
		in.a, in.i, in.j, in.b, in.c = reg(0), *o[1].ConstRef, *o[2].ConstRef, reg(3), reg(4)
		l.used[abi.BlobPutID] = true
		if err := l.constOf(in.i, can.Text, 1, maxText); err != nil {
			return err
		}
		return l.constOf(in.j, can.Text, 1, maxText)
	case opBlobGet:
		in.a, in.b, in.c = reg(0), reg(1), reg(2)
		l.used[abi.BlobGetID] = true
	case opBlobChunkGet:
		in.a, in.d, in.b, in.c = reg(0), reg(1), reg(2), reg(3)
		l.used[abi.BlobChunkGetID] = true
	}
	return nil
}

func (l *loader) encodeCall(fi int32, o []Operand, in *instr, out uint8) error {
	argc, callee := *o[1].U64, fi
	if !o[0].Hash.IsZero() {
		callee = l.p.symbolIndex[*o[0].Hash]
	}
	to := &l.p.funcs[callee]
	switch {
	case argc > MaxArgs:
		return fault.New(ErrOperand, "call with %d arguments, at most %d", argc, MaxArgs)
	case to.typed && argc != uint64(len(to.args)):
		return fault.New(ErrOperand, "call with %d arguments, the function takes %d", argc, len(to.args))
	}
	in.i, in.a, in.b = uint32(callee), uint8(argc), out
	f := &l.p.funcs[fi]
	f.regs = max(f.regs, int(argc))
	return nil
}

func (l *loader) encodePattern(o *Operand, in *instr) {
	switch o.Kind {
	case KindReg:
		in.mode, in.b = modeReg, uint8(*o.U64)
	case KindHash:
		in.mode, in.i = modeType, uint32(l.p.types.index[*o.Hash])
	case KindConst:
		in.mode, in.i = modeConst, *o.ConstRef
	default:
		v, _ := l.p.fixed(o)
		in.mode, in.i = modeConst, uint32(len(l.p.consts))
		l.p.consts = append(l.p.consts, v)
	}
}

func (l *loader) encodeKey(o []Operand, in *instr) error {
	switch {
	case len(o) == 0:
		return nil
	case o[0].Kind == KindReg:
		in.mode, in.d = modeReg, uint8(*o[0].U64)
		return nil
	}
	in.mode, in.j = modeConst, *o[0].ConstRef
	tag := can.Bytes
	if l.p.consts[in.j][0] == can.Text {
		tag = can.Text
	}
	return l.constOf(in.j, tag, 1, MaxKey)
}

// constOf checks that a constant is BYTES or TEXT of a length.
func (l *loader) constOf(index uint32, tag byte, least, most int) error {
	v := l.p.consts[index]
	if v[0] != tag {
		return fault.New(ErrOperand, "constant %d is %s, want %s", index, can.TagName(v[0]), can.TagName(tag))
	}
	if n := len(content(v)); n < least || n > most {
		return fault.New(ErrOperand, "constant %d has %d bytes, want %d to %d", index, n, least, most)
	}
	return nil
}
