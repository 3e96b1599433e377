package main

import (
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	canon "github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ir"
)

// irSample uses every section; vectors bend what it assembles to.
const irSample = `
type point = record { 1 x: i64, 2 y?: any }
type color = enum { red, green }
const k = text "key"
const b = bytes "00"
node n = record point { 1: +1 }
node m = list { &n, r3 }
contract c = requires subject.1 > +0 and true ensures not false
tool echo = demo/echo interface 1 (any) -> any
func helper(any) -> any {
  ret r0
}
func main(point) -> any {
  const k, r1
  call helper, 1, r2
  match r2, type point, done
  effect echo, r0, r1, r2, k
  assert c, r0
  require_cap 5, b
  blob_put r0, k, k, r1, r2
  jmp done
done:
  make m, r0
  ret r0
}
task main = main(&n) budget cpu_us=10 io=1 writes=1
`

// bundle decodes the sample's bundle.
func (g *irGen) bundle() *ir.Bundle {
	raw, _ := g.assemble(irSample)
	return g.decode(raw)
}

// decode decodes a bundle.
func (g *irGen) decode(raw []byte) *ir.Bundle {
	var b ir.Bundle
	r := canon.NewReader(raw)
	b.ReadCAN(&r)
	if err := r.Done(); err != nil {
		g.p.fail("a bundle: %w", err)
	}
	return &b
}

// irRepair makes every id of a bundle right again and follows it wherever it is
// named, so that a bent bundle is refused for what was bent.
type irRepair struct{ moved map[cid.Hash]cid.Hash }

func (r *irRepair) follow(h *cid.Hash) {
	if to, ok := r.moved[*h]; ok {
		*h = to
	}
}

// rename gives something the id of its bytes without field 1.
func (r *irRepair) rename(id *cid.Hash, raw []byte) {
	now, err := cid.Without(raw, 1)
	if err != nil {
		return // too deep to be read alone; nothing names it
	}
	r.moved[*id] = now
	*id = now
}

func (r *irRepair) bundle(b *ir.Bundle) []byte {
	for i := range b.Types.Types {
		d := &b.Types.Types[i]
		for j := range d.Fields {
			r.follow(&d.Fields[j].FieldTypeID)
		}
		r.rename(&d.TypeID, d.AppendCAN(nil))
	}
	for i := range b.NodePool.Nodes {
		r.follow(&b.NodePool.Nodes[i].TypeID)
	}
	for i := range b.Tools.Tools {
		d := &b.Tools.Tools[i]
		r.follow(&d.RequestTypeID)
		r.follow(&d.ResponseTypeID)
		if d.Interface != nil {
			old := d.ToolID
			d.ToolID = abi.ToolID(d.Name, *d.Interface, d.RequestTypeID, d.ResponseTypeID)
			r.moved[old] = d.ToolID
		}
	}
	for i := range b.Contracts.Contracts {
		d := &b.Contracts.Contracts[i]
		r.rename(&d.ContractID, d.AppendCAN(nil))
	}
	for i := range b.Symbols.Symbols {
		r.symbol(b, &b.Symbols.Symbols[i])
	}
	for i := range b.Tasks.Tasks {
		d := &b.Tasks.Tasks[i]
		r.follow(&d.EntrySymbol)
		r.rename(&d.TaskID, d.AppendCAN(nil))
	}
	b.Meta.ArtifactID = irArtifactID(b)
	return b.AppendCAN(nil)
}

func (r *irRepair) symbol(b *ir.Bundle, s *ir.SymbolSig) {
	identity := func() cid.Hash {
		x := ir.SymbolIdentity{ModuleID: s.ModuleID, ArgTypeIDs: s.ArgTypeIDs, ReturnTypeID: s.ReturnTypeID}
		return cid.Sum(x.AppendCAN(nil))
	}
	old := identity()
	for j := range s.ArgTypeIDs {
		r.follow(&s.ArgTypeIDs[j])
	}
	r.follow(&s.ReturnTypeID)
	if s.PC != nil && s.OpCount != nil && uint64(*s.PC)+uint64(*s.OpCount) <= uint64(len(b.Ops.Ops)) {
		ops := b.Ops.Ops[*s.PC : *s.PC+*s.OpCount]
		list := canon.AppendList(nil, len(ops))
		for j := range ops {
			for k := range ops[j].Operands {
				if h := ops[j].Operands[k].Hash; h != nil {
					r.follow(h)
				}
			}
			list = ops[j].AppendCAN(list)
		}
		s.ModuleID = cid.Sum(list)
	}
	r.moved[old] = identity()
}

// irArtifactID is the SHA-256 of a bundle without fields 5 and 6 of its Meta.
func irArtifactID(b *ir.Bundle) cid.Hash {
	whole, meta := b.AppendCAN(nil), b.Meta.AppendCAN(nil)
	const head = 4 // the MAP of nine, and the key 1
	short, err := canon.AppendWithout(append([]byte{}, whole[:head]...), meta, 5, 6)
	if err != nil {
		return cid.Hash{}
	}
	return cid.Sum(append(short, whole[head+len(meta):]...))
}

// refuse is a bundle that must not load.
func (g *irGen) refuse(what, doc string, raw []byte, code string, flags ...string) {
	g.invalid(what, "ir.load", doc, in{"hex": raw}, code, flags...)
}

// loads are bundles that load, and bytes that are no bundle.
func (g *irGen) loads() {
	raw, task := g.assemble(irSample)
	b := g.bundle()
	effects := []cid.Hash{b.Tools.Tools[0].ToolID, abi.BlobPutID}
	if effects[0].Compare(effects[1]) > 0 {
		effects[0], effects[1] = effects[1], effects[0]
	}
	g.valid("load", "ir.load", "a bundle with something in every section", in{"hex": raw}, out{
		"artifact_id": irArtifactID(b), "tasks": []any{out{"task_id": task, "inputs": rawL(x("0801 0301 0402"))}},
		"tools": []any{b.Tools.Tools[0].ToolID}, "effects": effects, "features": []any{},
	})
	small, id := g.assemble("func main() -> any {\nret\n}\ntask main = main() budget cpu_us=18446744073709551 io=0 writes=0 max_depth=1024\n")
	g.valid("load", "ir.load", "the largest budget", in{"hex": small}, out{"tasks": []any{out{"task_id": id, "inputs": x("0700")}}, "effects": []any{}, "tools": []any{}})
	grown := g.bundle()
	more := irGrow(grown)
	g.valid("load", "ir.load", "a field that a later document may define, which artifact_id covers", in{"hex": more}, out{"artifact_id": grown.Meta.ArtifactID})
	form := func(doc string, b []byte, code string) { g.refuse("form", doc, b, code) }
	form("nothing", nil, "can_truncated")
	form("a byte behind", join(raw, x("00")), "can_trailing")
	form("cut in the middle", raw[:len(raw)/2], "can_bounds")
	form("a LIST", x("0700"), "can_type")
	form("no field", x("0800"), "can_missing")
	unsaid := join(raw, x("03 63 06 01 78"))
	unsaid[1]++
	g.refuse("id", "a field that a later document may define, which artifact_id does not cover", unsaid, "ir_id_mismatch")
	old := []byte(strings.Replace(string(raw), "\x03\x04\x03\x05\x06\x03key", "\x03\x04\x03\x04\x06\x03key", 1))
	form("a TEXT constant in the field for BYTES, as v0.2 had it", old, "can_type")
	many := g.bundle()
	many.ConstPool.Consts = append(many.ConstPool.Consts, make([]ir.Const, 65535)...)
	g.invalid("limit", "ir.load", "65,537 constants", in{"hex": g.p.file("bundle", (&irRepair{map[cid.Hash]cid.Hash{}}).bundle(many))}, "ir_limit")
}

// irGrow adds field 99 to a bundle, and makes artifact_id right.
func irGrow(b *ir.Bundle) []byte {
	const head = 4
	tail := x("03 63 06 01 78")
	body := func() []byte {
		raw := join(b.AppendCAN(nil), tail)
		raw[1]++
		return raw
	}
	meta := b.Meta.AppendCAN(nil)
	whole := body()
	short, err := canon.AppendWithout(append([]byte{}, whole[:head]...), meta, 5, 6)
	if err != nil {
		panic(err) // a mistake in this program
	}
	b.Meta.ArtifactID = cid.Sum(append(short, whole[head+len(meta):]...))
	return body()
}

// badIDs are bundles of which an id alone was changed.
func (g *irGen) badIDs() {
	flip := func(h *cid.Hash) { h[31] ^= 1 }
	for _, c := range []struct {
		doc  string
		bend func(*ir.Bundle)
	}{
		{"artifact_id", nil},
		{"type_id", func(b *ir.Bundle) { flip(&b.Types.Types[0].TypeID) }},
		{"contract_id", func(b *ir.Bundle) { flip(&b.Contracts.Contracts[0].ContractID) }},
		{"tool_id", func(b *ir.Bundle) { flip(&b.Tools.Tools[0].ToolID) }},
		{"module_id", func(b *ir.Bundle) { flip(&b.Symbols.Symbols[0].ModuleID) }},
		{"task_id", func(b *ir.Bundle) { flip(&b.Tasks.Tasks[0].TaskID) }},
		{"an op, whose function keeps its module_id", func(b *ir.Bundle) { b.Ops.Ops[0].Opcode = 2 }},
	} {
		b := g.bundle()
		if c.bend == nil {
			flip(&b.Meta.ArtifactID)
		} else {
			c.bend(b)
			b.Meta.ArtifactID = irArtifactID(b)
		}
		g.refuse("id", "one bit: "+c.doc, b.AppendCAN(nil), "ir_id_mismatch")
	}
}
