package ir

import (
	"maps"
	"slices"
	"strconv"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// funcs builds the ops and symbols. A function's id covers the ids of those it
// calls, so callees are built first; the order in the bundle is that of the
// text all the same.
func (e *emitter) funcs() error {
	fs := e.file.funcs
	e.symbols = make([]cid.Hash, len(fs))
	e.funcState = make([]state, len(fs))
	built := make([][]Op, len(fs))
	for i := range fs {
		if e.funcState[i] == waiting {
			if err := e.buildFunc(i, built); err != nil {
				return err
			}
		}
	}
	for i := range fs {
		pc, count := uint32(len(e.b.Ops.Ops)), uint32(len(built[i]))
		for j := range fs[i].ops {
			e.places["op "+strconv.Itoa(len(e.b.Ops.Ops)+j)] = fs[i].ops[j].at
		}
		e.b.Ops.Ops = append(e.b.Ops.Ops, built[i]...)
		if !fs[i].code {
			s := &e.b.Symbols.Symbols[i]
			s.PC, s.OpCount = &pc, &count
		}
	}
	return nil
}

func (e *emitter) buildFunc(i int, built [][]Op) error {
	d := &e.file.funcs[i]
	e.funcState[i] = building
	for j := range d.ops {
		op, err := e.op(d, &d.ops[j], built)
		if err != nil {
			return err
		}
		built[i] = append(built[i], op)
	}
	e.funcState[i] = done
	if d.code {
		return nil
	}
	if len(e.b.Symbols.Symbols) == 0 {
		e.b.Symbols.Symbols = make([]SymbolSig, len(e.file.funcs))
	}
	s := &e.b.Symbols.Symbols[i]
	s.Name, s.ModuleID = d.title.title, cid.Sum(listOf(built[i]))
	for _, r := range d.args {
		id, err := e.typeID(r)
		if err != nil {
			return err
		}
		s.ArgTypeIDs = append(s.ArgTypeIDs, id)
	}
	var err error
	if s.ReturnTypeID, err = e.typeID(d.ret); err != nil {
		return err
	}
	e.symbols[i] = symbolID(s)
	return nil
}

func (e *emitter) op(d *funcDecl, x *opDecl, built [][]Op) (Op, error) {
	s, _ := specOf(x.opcode)
	op := Op{Opcode: x.opcode}
	for i := range x.args {
		a := &x.args[i]
		if i >= len(s.roles) {
			return op, e.fail(ErrAsmSyntax, a.at, "%s takes at most %d operands", s.name, len(s.roles))
		}
		o, err := e.operand(s.roles[i], d, a, built)
		if err != nil {
			return op, err
		}
		op.Operands = append(op.Operands, o)
	}
	if n := len(x.args); n < s.min {
		return op, e.fail(ErrAsmSyntax, x.at, "%s has %d operands; operand %d is %s", s.name, n, n+1, s.roles[n].want())
	}
	return op, nil
}

// operand resolves an operand by what its place takes.
func (e *emitter) operand(r role, d *funcDecl, a *argument, built [][]Op) (Operand, error) {
	switch {
	case a.form == argReg && r.kinds()&(1<<KindReg) != 0:
		return regOperand(a.value), nil
	case r == roleLabel && (a.form == argName || a.form == argU64):
		return e.label(d, a)
	case r == roleU64 && a.form == argU64:
		return Operand{Kind: KindU64, U64: &a.value}, nil
	case a.form == argName && (r == roleConst || r == roleKey || r == rolePattern):
		return e.constant(a)
	case r == roleNode && (a.form == argName || a.form == argNode):
		return e.node(a)
	case r == rolePattern && (a.form == argU64 || a.form == argI64):
		return e.value(a)
	case r == rolePattern && a.form == argType:
		id, err := e.typeID(a.typ)
		return Operand{Kind: KindHash, Hash: &id}, err
	case a.form == argHash && (r == roleSymbol || r == roleTool || r == roleContract):
		return Operand{Kind: KindHash, Hash: &a.hash}, nil
	case r == roleSymbol && a.form == argSelf:
		return Operand{Kind: KindHash, Hash: &cid.Hash{}}, nil
	case r == roleSymbol && a.form == argName:
		return e.callee(a, built)
	case r == roleTool && a.form == argName:
		i, ok := e.toolNames[a.text]
		if !ok {
			return Operand{}, e.unknown(a.at, "tool", a.text, e.toolNames)
		}
		return Operand{Kind: KindHash, Hash: &e.b.Tools.Tools[i].ToolID}, nil
	case r == roleContract && a.form == argName:
		i, ok := e.contractNames[a.text]
		if !ok {
			return Operand{}, e.unknown(a.at, "contract", a.text, e.contractNames)
		}
		return Operand{Kind: KindHash, Hash: &e.b.Contracts.Contracts[i].ContractID}, nil
	}
	return Operand{}, e.fail(ErrAsmSyntax, a.at, "expected %s", r.want())
}

func (e *emitter) label(d *funcDecl, a *argument) (Operand, error) {
	n := a.value
	if a.form == argName {
		i, ok := d.labels[a.text]
		if !ok {
			return Operand{}, unknown(e.src, a.at, "label", a.text, slices.Collect(maps.Keys(d.labels)))
		}
		n = uint64(i)
	}
	if n >= uint64(len(d.ops)) {
		return Operand{}, e.fail(ErrAsmRange, a.at, "the label names op %d of a function of %d ops", n, len(d.ops))
	}
	return Operand{Kind: KindU64, U64: &n}, nil
}

func (e *emitter) callee(a *argument, built [][]Op) (Operand, error) {
	i, ok := e.funcNames[a.text]
	if !ok || e.file.funcs[i].code {
		return Operand{}, e.unknown(a.at, "function", a.text, e.funcNames)
	}
	switch e.funcState[i] {
	case building:
		return Operand{}, e.fail(ErrAsmCycle, a.at, "function %s is called by what it calls; a function calls itself by self", a.text)
	case waiting:
		if err := e.buildFunc(i, built); err != nil {
			return Operand{}, err
		}
	}
	return Operand{Kind: KindHash, Hash: &e.symbols[i]}, nil
}
