package ir

import (
	"math/big"
	"slices"
)

// match is MATCH of §4.2.
func (r *refMachine) match(x refOp) bool {
	v := x.reg(0)
	r.charge(big.NewInt(2), refS(v.v))
	if h := x.o[1].Hash; h != nil {
		return v.rec != nil && v.rec.TypeID == *h
	}
	return refEqual(v.v, r.operand(&x.o[1], x.f).v)
}

// weight is W of §6.2: nodes refer to lower nodes only.
func (r *refMachine) weight(n *Node) *big.Int {
	w := new(big.Int)
	for _, o := range refParts(n) {
		w = refAdd(w, big.NewInt(1))
		if o.Kind == 3 {
			w = refAdd(w, r.weights[*o.NodeRef])
		}
	}
	return w
}

func refParts(n *Node) []Operand {
	parts := slices.Clone(n.Items)
	for _, o := range n.Fields {
		parts = append(parts, o)
	}
	return parts
}

// refShape is what a node's value will be: "an implementation MUST compute
// depth and length before it builds anything".
type refShape struct {
	depth  int
	length *big.Int
}

// shapes reckons the shapes of all nodes up to one, from the lowest.
func (r *refMachine) shapes(last uint32, f refFrame) []refShape {
	var all []refShape
	for i := range last + 1 {
		all = append(all, r.shape(&r.b.NodePool.Nodes[i], f, all))
	}
	return all
}

// below adds a node and those that it refers to.
func (r *refMachine) below(index uint32, set map[uint32]bool) {
	set[index] = true
	for _, o := range refParts(&r.b.NodePool.Nodes[index]) {
		if o.Kind == 3 && !set[*o.NodeRef] {
			r.below(*o.NodeRef, set)
		}
	}
}

func (r *refMachine) shape(n *Node, f refFrame, lower []refShape) refShape {
	s := refShape{depth: 1, length: new(big.Int)}
	count := 0
	add := func(o *Operand, key []byte) {
		var part refShape
		if o.Kind == 3 {
			part = lower[*o.NodeRef]
		} else {
			v := r.operand(o, f).v
			if v == nil && key != nil {
				return
			}
			part = refShape{refDepth(v), big.NewInt(refLen(v))}
		}
		count++
		s.depth = max(s.depth, part.depth+1)
		s.length = refAdd(s.length, part.length, big.NewInt(int64(len(key))))
	}
	for id, o := range n.Fields {
		add(&o, refEncode(uint64(id)))
	}
	for i := range n.Items {
		add(&n.Items[i], nil)
	}
	s.length = refAdd(s.length, big.NewInt(int64(len(refHead(nil, 7, uint64(count))))))
	return s
}

// buildNode builds a node's value and checks each part that is a Record.
func (r *refMachine) buildNode(n *Node, f refFrame) refVal {
	if n.Kind == 2 {
		list := refList{}
		for i := range n.Items {
			list = append(list, r.operand(&n.Items[i], f).v)
		}
		return refVal{v: list}
	}
	fields := map[uint64]any{}
	for id, o := range n.Fields {
		fields[uint64(id)] = r.operand(&o, f).v
	}
	v := refVal{v: refMapOf(fields)}
	if refRecord(r.b, n.TypeID) != nil {
		return r.pass(v, n.TypeID)
	}
	return v
}

func (r *refMachine) make(x refOp) {
	index := *x.o[0].NodeRef
	r.charge(big.NewInt(4), r.weights[index])
	all := r.shapes(index, x.f)
	s := all[index]
	r.trapIf(s.depth > 32, "value_too_deep")
	r.trapIf(s.length.Cmp(big.NewInt(16777216)) > 0, "value_too_large")
	cost, nodes := refPer(s.length.Int64(), 8), map[uint32]bool{}
	r.below(index, nodes)
	for i := range nodes {
		if refRecord(r.b, r.b.NodePool.Nodes[i].TypeID) != nil {
			cost = refAdd(cost, refPer(all[i].length.Int64(), 8))
		}
	}
	r.charge(cost)
	x.out(1, r.buildNode(&r.b.NodePool.Nodes[index], x.f))
}

func (r *refMachine) get(x refOp) {
	src := x.reg(0)
	r.charge(big.NewInt(2), refS(src.v))
	m, ok := src.v.(refMap)
	r.trapIf(!ok, "type_mismatch")
	v, _ := refGet(m, x.u64(1))
	out := refVal{v: v}
	if src.rec != nil {
		f := refField(src.rec, x.u64(1))
		r.trapIf(f == nil, "type_mismatch")
		out.rec = refRecord(r.b, f.FieldTypeID)
	}
	x.out(2, out)
}

func (r *refMachine) set(x refOp) {
	src, v := x.reg(0), x.reg(2)
	r.charge(big.NewInt(4), refS(src.v))
	m, ok := src.v.(refMap)
	r.trapIf(!ok, "type_mismatch")
	id := x.u64(1)
	if src.rec != nil {
		f := refField(src.rec, id)
		r.trapIf(f == nil, "type_mismatch")
		r.trapIf(v.v == nil && f.Required, "type_mismatch")
		r.trapIf(v.v != nil && !refConforms(r.b, v.v, f.FieldTypeID), "type_mismatch")
	}
	changed := refMap{}
	for _, p := range m {
		if k, ok := p.k.(uint64); !ok || k != id {
			changed = append(changed, p)
		}
	}
	if v.v != nil {
		changed = refSorted(append(changed, refPair{id, v.v}))
	}
	r.build(x, 3, refVal{changed, src.rec})
}

// build writes the value of an op that makes one: depth, length, V.
func (r *refMachine) build(x refOp, out int, v refVal) {
	r.trapIf(refDepth(v.v) > 32, "value_too_deep")
	r.trapIf(refLen(v.v) > 16777216, "value_too_large")
	r.charge(refV(v.v))
	x.out(out, v)
}

func (r *refMachine) list(x refOp) {
	r.charge(big.NewInt(4))
	list := refList{}
	for i := 1; i < len(x.o); i++ {
		list = append(list, x.reg(i).v)
	}
	r.build(x, 0, refVal{v: list})
}

// level1 is §4.6.
func (r *refMachine) level1(opcode uint8, x refOp) {
	a, b := x.reg(0), refVal{}
	if len(x.o) == 3 {
		b = x.reg(1)
	}
	last := len(x.o) - 1
	switch opcode {
	case 0x50: // EQ
		r.charge(big.NewInt(2), refS(a.v), refS(b.v))
		x.out(last, refVal{v: refEqual(a.v, b.v)})
	case 0x51: // LT
		r.charge(big.NewInt(2), refS(a.v), refS(b.v))
		order, ok := refOrder(a.v, b.v)
		r.trapIf(!ok, "type_mismatch")
		x.out(last, refVal{v: order < 0})
	case 0x52: // NOT
		r.charge(big.NewInt(2))
		x.out(last, refVal{v: a.rec == nil && refFalsy(a.v)})
	case 0x53, 0x54, 0x55: // ADD, SUB, MUL
		r.charge(big.NewInt(3))
		x.out(last, refVal{v: r.arithmetic(opcode, a.v, b.v)})
	case 0x56: // LEN
		r.charge(big.NewInt(2))
		n := refCount(a.v)
		r.trapIf(n < 0, "type_mismatch")
		x.out(last, refVal{v: uint64(n)})
	case 0x57: // AT
		r.charge(big.NewInt(2), refS(a.v))
		list, ok := a.v.(refList)
		r.trapIf(!ok, "type_mismatch")
		i, ok := b.v.(uint64)
		r.trapIf(!ok, "type_mismatch")
		r.trapIf(i >= uint64(len(list)), "ir_index_range")
		x.out(last, refVal{v: list[i]})
	case 0x58: // APPEND
		r.charge(big.NewInt(4))
		list, ok := a.v.(refList)
		r.trapIf(!ok, "type_mismatch")
		r.build(x, last, refVal{v: append(slices.Clone(list), b.v)})
	case 0x59: // CONCAT
		r.charge(big.NewInt(4))
		r.build(x, last, refVal{v: r.joined(a.v, b.v)})
	default:
		panic("an opcode of no table")
	}
}

// refCount is what LEN gives, or -1.
func refCount(v any) int {
	switch v := v.(type) {
	case refBytes:
		return len(v)
	case refText:
		return len(v)
	case refList:
		return len(v)
	case refMap:
		return len(v)
	}
	return -1
}

func (r *refMachine) arithmetic(opcode uint8, a, b any) any {
	x, y := new(big.Int), new(big.Int)
	ua, unsigned := a.(uint64)
	if unsigned {
		ub, ok := b.(uint64)
		r.trapIf(!ok, "type_mismatch")
		x.SetUint64(ua)
		y.SetUint64(ub)
	} else {
		ia, ok1 := a.(int64)
		ib, ok2 := b.(int64)
		r.trapIf(!ok1 || !ok2, "type_mismatch")
		x.SetInt64(ia)
		y.SetInt64(ib)
	}
	switch opcode {
	case 0x53:
		x.Add(x, y)
	case 0x54:
		x.Sub(x, y)
	default:
		x.Mul(x, y)
	}
	if unsigned {
		r.trapIf(!x.IsUint64(), "ir_overflow")
		return x.Uint64()
	}
	r.trapIf(!x.IsInt64(), "ir_overflow")
	return x.Int64()
}

func (r *refMachine) joined(a, b any) any {
	switch a := a.(type) {
	case refBytes:
		if b, ok := b.(refBytes); ok {
			return a + b
		}
	case refText:
		if b, ok := b.(refText); ok {
			return a + b
		}
	case refList:
		if b, ok := b.(refList); ok {
			return append(slices.Clone(a), b...)
		}
	}
	r.trap("type_mismatch")
	return nil
}
