package ir

import (
	"bytes"
	"maps"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// part is one operand of a node: a register, a node or fixed bytes.
type part struct {
	key   []byte // encoded field id; nil in a list
	kind  uint8  // KindReg, KindNode, or KindConst for fixed bytes
	index uint32 // register or node
	fixed []byte
}

// node is a resolved Node.
type node struct {
	list   bool
	typ    int32 // a Record of the bundle, or noType
	parts  []part
	weight uint64 // W of RFC-MYTHOS-0012 §6.2
	depth  int    // containers, those in registers not counted; at most MaxDepth+1
	regs   int    // 1 + the highest register it reads, nested nodes included
}

func (l *loader) consts() error {
	pool := l.b.ConstPool.Consts
	l.p.consts = make([][]byte, len(pool))
	for i := range pool {
		v, ok := constValue(&pool[i])
		if !ok {
			return refuse(ErrConst, "constant", i, "kind %d does not go with its fields", pool[i].Kind)
		}
		l.p.consts[i] = v
	}
	return nil
}

// constValue returns the canonical value of a constant that has exactly the
// field its kind names.
func constValue(c *Const) ([]byte, bool) {
	only := Const{Kind: c.Kind}
	var v []byte
	switch {
	case c.Kind == ConstI64 && c.I64 != nil:
		only.I64, v = c.I64, can.AppendInt(nil, *c.I64)
	case c.Kind == ConstU64 && c.U64 != nil:
		only.U64, v = c.U64, can.AppendUint(nil, *c.U64)
	case c.Kind == ConstBytes:
		only.Bytes, v = c.Bytes, can.AppendBytes(nil, c.Bytes)
	case c.Kind == ConstText:
		only.Text, v = c.Text, can.AppendText(nil, c.Text)
	case c.Kind == ConstHash && c.Hash != nil:
		only.Hash, v = c.Hash, c.Hash.AppendCAN(nil)
	default:
		return nil, false
	}
	ok := only.I64 == c.I64 && only.U64 == c.U64 && len(only.Bytes) == len(c.Bytes) && only.Text == c.Text && only.Hash == c.Hash
	return v, ok
}

// wellFormed reports whether an operand has a known kind and exactly the field
// that the kind names (RFC-MYTHOS-0012 §4.1).
func wellFormed(o *Operand) bool {
	has := [...]bool{o.U64 != nil, o.I64 != nil, o.Hash != nil, o.NodeRef != nil, o.ConstRef != nil}
	want := -1
	switch o.Kind {
	case KindReg:
		if o.U64 == nil || *o.U64 >= registers {
			return false
		}
		want = 0
	case KindU64:
		want = 0
	case KindI64:
		want = 1
	case KindHash:
		want = 2
	case KindNode:
		want = 3
	case KindConst:
		want = 4
	}
	for i, h := range has {
		if h != (i == want) {
			return false
		}
	}
	return want >= 0
}

func (l *loader) nodes() error {
	pool := l.b.NodePool.Nodes
	l.p.nodes = make([]node, 0, len(pool))
	for i := range pool {
		n, err := l.node(&pool[i])
		if err != nil {
			return about(err, "node", i)
		}
		l.p.nodes = append(l.p.nodes, n)
	}
	return nil
}

func (l *loader) node(x *Node) (node, error) {
	record := x.Kind == NodeRecord
	if !record && x.Kind != NodeList || record && len(x.Items) != 0 || !record && len(x.Fields) != 0 {
		return node{}, fault.New(ErrNode, "kind %d does not go with its fields and items", x.Kind)
	}
	typ, ok := l.p.types.index[x.TypeID]
	if !ok {
		return node{}, fault.New(ErrTypeUnknown, "type %s is not in the bundle", x.TypeID)
	}
	isRecord := l.p.types.record(typ)
	switch {
	case record && !isRecord && typ != typeMap && typ != noType:
		return node{}, fault.New(ErrNode, "a Record node has type %s, want a Record, map or any", l.p.types.describe(typ))
	case !record && typ != typeList && typ != noType:
		return node{}, fault.New(ErrNode, "a List node has type %s, want list or any", l.p.types.describe(typ))
	}
	n := node{list: !record, depth: 1}
	if isRecord {
		n.typ = typ
	}
	if !record {
		return n, l.addParts(&n, nil, x.Items)
	}
	ids := slices.SortedFunc(maps.Keys(x.Fields), compareIDs)
	operands := make([]Operand, len(ids))
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		if _, ok := l.p.types.field(typ, uint64(id)); isRecord && !ok {
			return node{}, fault.New(ErrNode, "field %d is not in the node's type", id)
		}
		keys[i], operands[i] = can.AppendUint(nil, uint64(id)), x.Fields[id]
	}
	return n, l.addParts(&n, keys, operands)
}

// compareIDs orders field ids as MAP keys are ordered: by their encoding.
func compareIDs(a, b uint32) int {
	var x, y [8]byte
	return bytes.Compare(can.AppendUint(x[:0], uint64(a)), can.AppendUint(y[:0], uint64(b)))
}

// addParts resolves a node's operands; keys is nil for a list.
func (l *loader) addParts(n *node, keys [][]byte, operands []Operand) error {
	n.parts = make([]part, len(operands))
	n.weight = uint64(len(operands))
	for i := range operands {
		o := &operands[i]
		if !wellFormed(o) {
			return fault.New(ErrOperand, "operand %d of kind %d is malformed", i, o.Kind)
		}
		pt := part{kind: KindConst}
		switch o.Kind {
		case KindReg:
			pt.kind, pt.index = KindReg, uint32(*o.U64)
			n.regs = max(n.regs, int(*o.U64)+1)
		case KindNode:
			if int64(*o.NodeRef) >= int64(len(l.p.nodes)) {
				return fault.New(ErrNode, "operand %d refers to node %d, which is not lower", i, *o.NodeRef)
			}
			sub := &l.p.nodes[*o.NodeRef]
			pt.kind, pt.index = KindNode, *o.NodeRef
			n.regs = max(n.regs, sub.regs)
			n.weight = sum(n.weight, sub.weight)
			n.depth = max(n.depth, min(sub.depth+1, can.MaxDepth+1))
		default:
			v, ok := l.p.fixed(o)
			if !ok {
				return fault.New(ErrReference, "operand %d refers to constant %d of %d", i, *o.ConstRef, len(l.p.consts))
			}
			pt.fixed = v
			n.depth = max(n.depth, 1+nesting(v))
		}
		if keys != nil {
			pt.key = keys[i]
		}
		n.parts[i] = pt
	}
	return nil
}

// fixed returns the value of a well-formed operand that is neither a register
// nor a node.
func (p *Program) fixed(o *Operand) ([]byte, bool) {
	switch o.Kind {
	case KindConst:
		if int64(*o.ConstRef) >= int64(len(p.consts)) {
			return nil, false
		}
		return p.consts[*o.ConstRef], true
	case KindU64:
		return can.AppendUint(nil, *o.U64), true
	case KindI64:
		return can.AppendInt(nil, *o.I64), true
	default:
		return o.Hash.AppendCAN(nil), true
	}
}

// builder makes the value of a node. However often a node is referred to, it is
// measured once and written once; later references copy what was written, so
// the work is bounded by the pool and the result, not by the references.
type builder struct {
	p    *Program
	regs []value
	seen map[uint32]*built
	out  []byte
}

// built is what a builder knows of one node.
type built struct {
	length     uint64 // saturating
	depth      int
	start, end int // in out, once written
	written    bool
}

// measure reckons length and depth of a node before anything is built. The
// node's own depth bounds the recursion.
func (b *builder) measure(index uint32) *built {
	if m := b.seen[index]; m != nil {
		return m
	}
	n := &b.p.nodes[index]
	m := &built{depth: 1}
	count := uint64(0)
	for i := range n.parts {
		length, depth := b.measurePart(&n.parts[i])
		if length == 0 {
			continue
		}
		count++
		m.length = sum(m.length, length+uint64(len(n.parts[i].key)))
		m.depth = max(m.depth, depth+1)
	}
	m.length = sum(m.length, headLen(count))
	b.seen[index] = m
	return m
}

// measurePart returns length 0 for what a record leaves out.
func (b *builder) measurePart(pt *part) (length uint64, depth int) {
	switch pt.kind {
	case KindReg:
		v := &b.regs[pt.index]
		if v.null() && pt.key != nil {
			return 0, 0
		}
		return uint64(len(v.bytes())), v.nesting()
	case KindNode:
		m := b.measure(pt.index)
		return m.length, m.depth
	}
	return uint64(len(pt.fixed)), nesting(pt.fixed)
}

// write appends a measured node to out.
func (b *builder) write(index uint32) {
	m := b.seen[index]
	if m.written {
		b.out = append(b.out, b.out[m.start:m.end]...)
		return
	}
	n := &b.p.nodes[index]
	m.start = len(b.out)
	if n.list {
		b.out = can.AppendList(b.out, len(n.parts))
	} else {
		b.out = can.AppendMap(b.out, b.present(n))
	}
	for i := range n.parts {
		pt := &n.parts[i]
		if pt.kind == KindReg && pt.key != nil && b.regs[pt.index].null() {
			continue
		}
		b.out = append(b.out, pt.key...)
		switch pt.kind {
		case KindReg:
			b.out = append(b.out, b.regs[pt.index].bytes()...)
		case KindNode:
			b.write(pt.index)
		default:
			b.out = append(b.out, pt.fixed...)
		}
	}
	m.end, m.written = len(b.out), true
}

func (b *builder) present(n *node) int {
	count := len(n.parts)
	for i := range n.parts {
		if pt := &n.parts[i]; pt.kind == KindReg && b.regs[pt.index].null() {
			count--
		}
	}
	return count
}

// records is R of every measured node that has a record type, each once.
func (b *builder) records() uint64 {
	cost := uint64(0)
	for index, m := range b.seen {
		if b.p.nodes[index].typ != noType {
			cost += per(m.length, 8)
		}
	}
	return cost
}

// conforms checks every written node that has a record type.
func (b *builder) conforms() bool {
	for index, m := range b.seen {
		if typ := b.p.nodes[index].typ; typ != noType && m.written && !b.p.types.conforms(b.out[m.start:m.end], typ) {
			return false
		}
	}
	return true
}
