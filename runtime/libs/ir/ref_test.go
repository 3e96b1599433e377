package ir

import (
	"context"
	"maps"
	"math/big"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// refTrap and refStop are what the reference interpreter panics with.
type (
	refTrap struct{ code fault.Code }
	refStop struct{ err error }
)

// refFrame holds the registers that are not NULL.
type refFrame map[uint64]refVal

// refMachine is one run of the reference interpreter.
type refMachine struct {
	b          *Bundle
	task       *TaskDef
	host       Host
	maxRequest func() uint64

	limit, used         *big.Int
	io, writes, ordinal uint64
	maxDepth            int
	frames              []refFrame
	entry               *SymbolSig // nil without a symbol table
	inputs              refList
	tools               map[[32]byte]bool
	statuses            map[uint64]bool
	weights             []*big.Int // W of each node
}

// refResult is how a reference run ended.
type refResult struct {
	value            []byte
	code             fault.Code
	stop             error
	fuel, io, writes uint64
}

// refRun interprets a task of a valid bundle with a purse of limit fuel. given
// may be nil.
func refRun(b *Bundle, task *TaskDef, given []byte, limit uint64, host Host, maxRequest func() uint64) (res refResult) {
	r := &refMachine{
		b: b, task: task, host: host, maxRequest: maxRequest,
		limit: new(big.Int).SetUint64(limit), used: new(big.Int), maxDepth: 64,
		tools: map[[32]byte]bool{}, statuses: map[uint64]bool{},
	}
	if task.Budget.MaxDepth != nil {
		r.maxDepth = int(*task.Budget.MaxDepth)
	}
	for i := range b.NodePool.Nodes {
		r.weights = append(r.weights, r.weight(&b.NodePool.Nodes[i]))
	}
	for i := range b.Symbols.Symbols {
		if s := &b.Symbols.Symbols[i]; refSymbolID(s) == task.EntrySymbol {
			r.entry = s
		}
	}
	if err := r.takeInputs(given); err != nil {
		return refResult{stop: err}
	}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case refTrap:
			res.code = p.code
		case refStop:
			res = refResult{stop: p.err}
			return
		default:
			panic(p)
		}
		res.fuel, res.io, res.writes = r.used.Uint64(), r.io, r.writes
	}()
	v := r.enter(r.entry, r.first())
	res.value = refEncode(v.v)
	return res
}

func refSymbolID(s *SymbolSig) [32]byte {
	args := refList{}
	for _, id := range s.ArgTypeIDs {
		args = append(args, refHash(id))
	}
	return refSum(refEncode(refMap{
		{uint64(1), refHash(s.ModuleID)}, {uint64(3), args}, {uint64(4), refHash(s.ReturnTypeID)},
	}))
}

// takeInputs is the second half of §3.2.
func (r *refMachine) takeInputs(given []byte) error {
	r.inputs = refList{}
	if given != nil {
		list, ok := refValue(given).(refList)
		if !ok {
			return ErrInputs
		}
		r.inputs = list
	} else {
		for i := range r.task.Args {
			r.inputs = append(r.inputs, r.operand(&r.task.Args[i], nil).v)
		}
	}
	if r.entry == nil {
		if len(r.inputs) > 256 {
			return ErrInputs
		}
		return nil
	}
	if len(r.inputs) != len(r.entry.ArgTypeIDs) {
		return ErrInputs
	}
	for i, v := range r.inputs {
		if !refConforms(r.b, v, r.entry.ArgTypeIDs[i]) {
			return ErrInputs
		}
	}
	return nil
}

// first is the frame of the entry, with the inputs.
func (r *refMachine) first() refFrame {
	f := refFrame{}
	for i, v := range r.inputs {
		reg := refVal{v: v}
		if r.entry != nil {
			reg = r.pass(reg, r.entry.ArgTypeIDs[i])
		}
		f[uint64(i)] = reg
	}
	return f
}

func (r *refMachine) trap(code fault.Code) { panic(refTrap{code}) }

func (r *refMachine) trapIf(bad bool, code fault.Code) {
	if bad {
		r.trap(code)
	}
}

// charge is §6.1.
func (r *refMachine) charge(terms ...*big.Int) {
	cost := refAdd(terms...)
	next := refAdd(r.used, cost)
	r.trapIf(next.Cmp(r.limit) > 0, "ir_fuel_exhausted")
	r.used = next
}

// pass is "Passing v to a place of declared type T" of §2.4.
func (r *refMachine) pass(v refVal, id [32]byte) refVal {
	r.trapIf(!refConforms(r.b, v.v, id), "type_mismatch")
	if rec := refRecord(r.b, id); rec != nil {
		v.rec = rec
	}
	return v
}

// passing is R of §6.2, returning R of a return type.
func (r *refMachine) passing(v refVal, id [32]byte) *big.Int {
	if refRecord(r.b, id) == nil {
		return new(big.Int)
	}
	return refPer(refLen(v.v), 8)
}

func (r *refMachine) returning(v refVal, s *SymbolSig) *big.Int {
	if s == nil {
		return new(big.Int)
	}
	return r.passing(v, s.ReturnTypeID)
}

// memory is §3.3.
func (r *refMachine) memory() int64 {
	n := int64(0)
	for _, f := range r.frames {
		for _, v := range f {
			if v.v != nil {
				n += refLen(v.v)
			}
		}
	}
	return n
}

// put writes registers of the running frame together.
func (r *refMachine) put(regs map[uint64]refVal) {
	top := len(r.frames) - 1
	old := maps.Clone(r.frames[top])
	for i, v := range regs {
		delete(r.frames[top], i)
		if v.v != nil {
			r.frames[top][i] = v
		}
	}
	if r.memory() > 256<<20 {
		r.frames[top] = old
		r.trap("ir_memory_exhausted")
	}
}

// refHalt is panicked with by HALT.
type refHalt struct{ v refVal }

// enter runs the entry function to the end of the run.
func (r *refMachine) enter(s *SymbolSig, f refFrame) (v refVal) {
	defer func() {
		if p := recover(); p != nil {
			h, ok := p.(refHalt)
			if !ok {
				panic(p)
			}
			v = h.v
		}
	}()
	return r.run(s, f)
}

// run runs one function in a frame and returns what RET passed.
func (r *refMachine) run(s *SymbolSig, f refFrame) refVal {
	r.frames = append(r.frames, f)
	r.trapIf(r.memory() > 256<<20, "ir_memory_exhausted")
	ops := r.b.Ops.Ops
	if s != nil {
		ops = ops[*s.PC : *s.PC+*s.OpCount]
	}
	pc := uint64(0)
	for {
		op := &ops[pc]
		pc++
		x := refOp{r: r, o: op.Operands, f: r.frames[len(r.frames)-1]}
		switch op.Opcode {
		case 0x01: // NOP
			r.charge(big.NewInt(1))
		case 0x02: // HALT
			v := x.optional(0)
			r.charge(big.NewInt(1), refS(v.v), r.returning(v, r.entry))
			if r.entry != nil {
				v = r.pass(v, r.entry.ReturnTypeID)
			}
			panic(refHalt{v})
		case 0x10: // JMP
			r.charge(big.NewInt(1))
			pc = x.u64(0)
		case 0x11: // JZ
			r.charge(big.NewInt(1))
			if v := x.reg(0); v.rec == nil && refFalsy(v.v) {
				pc = x.u64(1)
			}
		case 0x12:
			r.call(s, x)
		case 0x13: // RET
			v := x.optional(0)
			r.charge(big.NewInt(2), refS(v.v), r.returning(v, s))
			if s != nil {
				v = r.pass(v, s.ReturnTypeID)
			}
			r.frames = r.frames[:len(r.frames)-1]
			return v
		case 0x25:
			if r.match(x) {
				pc = x.u64(2)
			}
		default:
			r.other(op.Opcode, x)
		}
	}
}

// other runs the ops that go on at the next one.
func (r *refMachine) other(opcode uint8, x refOp) {
	switch opcode {
	case 0x20: // CONST
		v := refConst(&r.b.ConstPool.Consts[*x.o[0].ConstRef])
		r.charge(big.NewInt(2), refV(v))
		x.out(1, refVal{v: v})
	case 0x21:
		r.make(x)
	case 0x22:
		r.get(x)
	case 0x23:
		r.set(x)
	case 0x24:
		r.list(x)
	case 0x30:
		r.charge(big.NewInt(1000))
		scope := refConst(&r.b.ConstPool.Consts[*x.o[1].ConstRef]).(refBytes)
		if err := r.host.RequireCap(context.Background(), x.u64(0), []byte(scope)); err != nil {
			panic(refStop{err})
		}
	case 0x31:
		r.effect(x)
	case 0x32:
		r.assert(x)
	case 0x40:
		r.blobPut(x)
	case 0x41, 0x42:
		r.blobGet(x, opcode == 0x42)
	default:
		r.level1(opcode, x)
	}
}

// call is CALL of §4.2.
func (r *refMachine) call(self *SymbolSig, x refOp) {
	to := self
	if h := *x.o[0].Hash; h != [32]byte{} {
		i := slices.IndexFunc(r.b.Symbols.Symbols, func(s SymbolSig) bool { return refSymbolID(&s) == h })
		to = &r.b.Symbols.Symbols[i]
	}
	cost := big.NewInt(10)
	var args []refVal
	for i := range x.u64(1) {
		args = append(args, x.f[i])
		cost = refAdd(cost, refS(x.f[i].v))
		if to != nil {
			cost = refAdd(cost, r.passing(x.f[i], to.ArgTypeIDs[i]))
		}
	}
	r.charge(cost)
	r.trapIf(len(r.frames) == r.maxDepth, "ir_depth_exceeded")
	f := refFrame{}
	for i, v := range args {
		if to != nil {
			v = r.pass(v, to.ArgTypeIDs[i])
		}
		if v.v != nil {
			f[uint64(i)] = v
		}
	}
	out := uint64(0)
	if len(x.o) > 2 {
		out = x.u64(2)
	}
	v := r.run(to, f)
	r.put(map[uint64]refVal{out: v})
}

// refOp is an op with the frame it runs in.
type refOp struct {
	r *refMachine
	o []Operand
	f refFrame
}

func (x refOp) u64(i int) uint64 { return *x.o[i].U64 }

func (x refOp) reg(i int) refVal { return x.f[*x.o[i].U64] }

func (x refOp) optional(i int) refVal {
	if i < len(x.o) {
		return x.reg(i)
	}
	return refVal{}
}

func (x refOp) out(i int, v refVal) { x.r.put(map[uint64]refVal{x.u64(i): v}) }

// operand is the table of operand kinds in §4.1; NodeRefs are built.
func (r *refMachine) operand(o *Operand, f refFrame) refVal {
	switch o.Kind {
	case 1:
		return f[*o.U64]
	case 2:
		return refVal{v: refConst(&r.b.ConstPool.Consts[*o.ConstRef])}
	case 3:
		return r.buildNode(&r.b.NodePool.Nodes[*o.NodeRef], f)
	case 4:
		return refVal{v: *o.U64}
	case 5:
		return refVal{v: *o.I64}
	}
	return refVal{v: refHash(*o.Hash)}
}

func refConst(c *Const) any {
	switch c.Kind {
	case 1:
		return *c.I64
	case 2:
		return *c.U64
	case 3:
		return refBytes(c.Bytes)
	case 4:
		return refText(c.Text)
	}
	return refHash(*c.Hash)
}
