package ir

import (
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

func (l *loader) tasks() error {
	defs := l.b.Tasks.Tasks
	if len(defs) == 0 {
		return fault.New(ErrTask, "the bundle has no task")
	}
	raw := l.span(fieldTasks)
	l.p.tasks = make([]task, len(defs))
	l.p.taskIndex = make(map[cid.Hash]int, len(defs))
	room := uint64(MaxValue) // of all args together
	for i := range defs {
		d := &defs[i]
		if err := checkID("task", i, d.TaskID, raw(i)); err != nil {
			return err
		}
		if _, twice := l.p.taskIndex[d.TaskID]; twice {
			return refuse(ErrTask, "task", i, "%s is defined twice", d.TaskID)
		}
		l.p.taskIndex[d.TaskID] = i
		fn, ok := l.p.symbolIndex[d.EntrySymbol]
		if !ok && len(l.p.symbolIndex) != 0 {
			return refuse(ErrEntry, "task", i, "entry %s is not in the symbol table", d.EntrySymbol)
		}
		if err := checkBudget(&d.Budget); err != nil {
			return about(err, "task", i)
		}
		inputs, err := l.args(d.Args, &room)
		if err != nil {
			return about(err, "task", i)
		}
		if err := l.p.checkInputs(ErrArgs, &l.p.funcs[fn], inputs); err != nil {
			return about(err, "task", i)
		}
		l.p.tasks[i] = task{*d, fn, inputs}
	}
	return nil
}

func checkBudget(b *Budget) error {
	if b.CPUMicros == 0 || b.CPUMicros > maxCPU {
		return fault.New(ErrBudget, "cpu_us is %d, want 1 to %d", b.CPUMicros, uint64(maxCPU))
	}
	if d := b.MaxDepth; d != nil && (*d == 0 || *d > MaxDepth) {
		return fault.New(ErrBudget, "max_depth is %d, want 1 to %d", *d, MaxDepth)
	}
	return nil
}

// args builds the inputs LIST of a task. Lengths and depths are reckoned
// first: room is what is left for the args of all tasks.
func (l *loader) args(operands []Operand, room *uint64) ([]byte, error) {
	if err := l.checkArgs(operands); err != nil {
		return nil, err
	}
	b := builder{p: l.p, seen: map[uint32]*built{}}
	length := headLen(uint64(len(operands)))
	for i := range operands {
		o := &operands[i]
		if o.Kind != KindNode {
			v, _ := l.p.fixed(o)
			length = sum(length, uint64(len(v)))
			continue
		}
		if d := l.p.nodes[*o.NodeRef].depth; d >= can.MaxDepth {
			return nil, fault.New(ErrArgs, "argument %d nests %d containers inside the list, at most %d", i, d, can.MaxDepth-1)
		}
		length = sum(length, b.measure(*o.NodeRef).length)
	}
	if length > *room {
		return nil, fault.New(ErrArgs, "the args of the tasks are over %d bytes", MaxValue)
	}
	*room -= length
	b.out = can.AppendList(make([]byte, 0, length), len(operands))
	for i := range operands {
		if o := &operands[i]; o.Kind == KindNode {
			b.write(*o.NodeRef)
		} else {
			v, _ := l.p.fixed(o)
			b.out = append(b.out, v...)
		}
	}
	if !b.conforms() {
		return nil, fault.New(ErrArgs, "an argument does not conform to its node's type")
	}
	return b.out, nil
}

func (l *loader) checkArgs(operands []Operand) error {
	for i := range operands {
		o := &operands[i]
		switch {
		case !wellFormed(o):
			return fault.New(ErrArgs, "argument %d of kind %d is malformed", i, o.Kind)
		case o.Kind == KindReg:
			return fault.New(ErrArgs, "argument %d is a register", i)
		case o.Kind == KindConst && int64(*o.ConstRef) >= int64(len(l.b.ConstPool.Consts)):
			return fault.New(ErrArgs, "argument %d refers to constant %d of %d", i, *o.ConstRef, len(l.b.ConstPool.Consts))
		case o.Kind != KindNode:
		case int64(*o.NodeRef) >= int64(len(l.p.nodes)):
			return fault.New(ErrArgs, "argument %d refers to node %d of %d", i, *o.NodeRef, len(l.p.nodes))
		case l.p.nodes[*o.NodeRef].regs > 0:
			return fault.New(ErrArgs, "argument %d reads registers", i)
		}
	}
	return nil
}
