package ir

import (
	"github.com/mythos-run/mythos/runtime/libs/can"
)

// tooLarge and tooDeep are the traps of an op that would build a value beyond
// RFC-MYTHOS-0012 §2.1.
func tooLarge(length uint64) error {
	return trap(TrapLarge, "the value would have %d bytes, at most %d", length, MaxValue)
}

func tooDeep() error {
	return trap(TrapDeep, "the value would nest more than %d containers", can.MaxDepth)
}

// make builds the value of a node (RFC-MYTHOS-0012 §4.3).
func (m *machine) make(in *instr) error {
	n := &m.p.nodes[in.i]
	if err := m.charge(sum(4, n.weight)); err != nil {
		return err
	}
	if n.depth > can.MaxDepth {
		return tooDeep()
	}
	b := builder{p: m.p, regs: m.r, seen: map[uint32]*built{}}
	shape := b.measure(in.i)
	switch {
	case shape.depth > can.MaxDepth:
		return tooDeep()
	case shape.length > MaxValue:
		return tooLarge(shape.length)
	}
	if err := m.charge(per(shape.length, 8) + b.records()); err != nil {
		return err
	}
	b.out = make([]byte, 0, shape.length)
	b.write(in.i)
	if !b.conforms() {
		return trap(TrapType, "the value does not conform to its node's type")
	}
	return m.put(in.a, value{raw: b.out, typ: n.typ, depth: uint8(shape.depth) + 1})
}

// get reads a field of a MAP.
func (m *machine) get(in *instr) error {
	src := &m.r[in.a]
	if err := m.charge(2 + size(src)); err != nil {
		return err
	}
	b := src.bytes()
	if b[0] != can.Map {
		return trap(TrapType, "r%d is %s, want a MAP", in.a, can.TagName(b[0]))
	}
	var out value
	if src.typ != noType {
		f, ok := m.p.types.field(src.typ, in.u)
		if !ok {
			return trap(TrapType, "%s has no field %d", m.p.types.describe(src.typ), in.u)
		}
		if m.p.types.record(f.typ) {
			out.typ = f.typ
		}
	}
	var key [11]byte
	at := find(b, can.AppendUint(key[:0], in.u))
	if !at.found || b[at.value] == can.Null {
		return m.put(in.b, value{})
	}
	// A copy, or a small part would keep a large whole alive uncounted.
	out.raw = append(make([]byte, 0, at.end-at.value), b[at.value:at.end]...)
	return m.put(in.b, out)
}

// set builds a copy of a MAP with one field changed.
func (m *machine) set(in *instr) error {
	src, v := &m.r[in.a], &m.r[in.b]
	if err := m.charge(4 + size(src)); err != nil {
		return err
	}
	b := src.bytes()
	if b[0] != can.Map {
		return trap(TrapType, "r%d is %s, want a MAP", in.a, can.TagName(b[0]))
	}
	if src.typ != noType {
		if err := m.settable(src.typ, in.u, v); err != nil {
			return err
		}
	}
	if !v.null() && v.nesting() >= can.MaxDepth {
		return tooDeep()
	}
	e := newEdit(b, in.u, v)
	if e.length > MaxValue {
		return tooLarge(e.length)
	}
	if err := m.build(e.length); err != nil {
		return err
	}
	if e.unchanged {
		return m.put(in.c, *src)
	}
	return m.put(in.c, value{raw: e.apply(), typ: src.typ})
}

// settable checks that a record may hold v in a field.
func (m *machine) settable(typ int32, id uint64, v *value) error {
	f, ok := m.p.types.field(typ, id)
	switch {
	case !ok:
		return trap(TrapType, "%s has no field %d", m.p.types.describe(typ), id)
	case v.null() && f.required:
		return trap(TrapType, "field %d of %s is required", id, m.p.types.describe(typ))
	case !v.null() && !m.p.types.conforms(v.raw, f.typ):
		return trap(TrapType, "field %d of %s takes %s", id, m.p.types.describe(typ), m.p.types.describe(f.typ))
	}
	return nil
}

// edit is a change of one field of a MAP, measured before it is made.
type edit struct {
	src       []byte
	at        entry
	key       []byte
	value     []byte // nil: leave the field out
	count     uint64 // of the result
	length    uint64
	unchanged bool
}

func newEdit(src []byte, id uint64, v *value) edit {
	e := edit{src: src, key: can.AppendUint(nil, id)}
	e.at = find(src, e.key)
	e.count = e.at.count
	if !e.at.found {
		e.at.end = e.at.start
	}
	gone := e.at.end - e.at.start
	added := 0
	switch {
	case !v.null():
		e.value = v.raw
		added = len(e.key) + len(e.value)
		if !e.at.found {
			e.count++
		}
	case e.at.found:
		e.count--
	default:
		e.unchanged = true
	}
	e.length = headLen(e.count) + uint64(len(src)-e.at.body-gone+added)
	return e
}

func (e *edit) apply() []byte {
	out := can.AppendMap(make([]byte, 0, e.length), int(e.count))
	out = append(out, e.src[e.at.body:e.at.start]...)
	if e.value != nil {
		out = append(append(out, e.key...), e.value...)
	}
	return append(out, e.src[e.at.end:]...)
}

// list builds a LIST of registers.
func (m *machine) list(in *instr) error {
	if err := m.charge(4); err != nil {
		return err
	}
	regs := m.p.regs[in.i : in.i+in.j]
	length, depth := headLen(uint64(len(regs))), 0
	for _, i := range regs {
		v := &m.r[i]
		length += uint64(len(v.bytes()))
		depth = max(depth, v.nesting())
	}
	switch {
	case depth >= can.MaxDepth:
		return tooDeep()
	case length > MaxValue:
		return tooLarge(length)
	}
	if err := m.build(length); err != nil {
		return err
	}
	out := can.AppendList(make([]byte, 0, length), len(regs))
	for _, i := range regs {
		out = append(out, m.r[i].bytes()...)
	}
	return m.put(in.a, value{raw: out, depth: uint8(depth) + 2})
}

// match jumps if a register holds a record of a type, or a value.
func (m *machine) match(in *instr) error {
	v := &m.r[in.a]
	if err := m.charge(2 + size(v)); err != nil {
		return err
	}
	var hit bool
	switch in.mode {
	case modeType:
		hit = v.typ != noType && v.typ == int32(in.i)
	case modeConst:
		hit = string(v.bytes()) == string(m.p.consts[in.i])
	default:
		hit = string(v.bytes()) == string(m.r[in.b].bytes())
	}
	if hit {
		m.pc = m.fn.pc + in.j
	}
	return nil
}

// assert evaluates a contract over a register.
func (m *machine) assert(in *instr) error {
	c := &m.p.contracts[in.i]
	m.scene.subject = m.r[in.a].bytes()
	if err := m.charge(sum(4, c.cost(&m.scene))); err != nil {
		return err
	}
	for i := range c.exprs {
		if !c.exprs[i].holds(&m.scene) {
			return trap(TrapContract, "contract %q: its %s clause is false", clip(c.name), [...]string{"requires", "ensures", "invariant"}[i])
		}
	}
	return nil
}
