package ir

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Disassemble returns the canonical text of a valid bundle (RFC-MYTHOS-0012
// §8.3). What it returns assembles to raw byte for byte; a bundle for which
// that cannot be, because it holds fields that this build does not know or its
// text would be too long, is ErrDisasmInexact.
func Disassemble(raw []byte) ([]byte, error) {
	if _, err := Load(raw); err != nil {
		return nil, err
	}
	b, err := decode(raw)
	if err != nil {
		return nil, err
	}
	d := newDisassembler(b)
	for _, group := range []func(){d.author, d.types, d.consts, d.nodes, d.contracts, d.tools, d.funcs, d.tasks} {
		start := len(d.out)
		if group(); len(d.out) > start {
			d.out = append(d.out, '\n')
		}
	}
	again, err := Assemble(d.out)
	if err != nil {
		return nil, fault.New(ErrDisasmInexact, "the text does not assemble: %w", err)
	}
	if !bytes.Equal(again, raw) {
		return nil, fault.New(ErrDisasmInexact, "the bundle holds what no text says, such as unknown fields")
	}
	return d.out, nil
}

// disassembler prints one bundle under names that fit the text.
type disassembler struct {
	b                                                *Bundle
	out                                              []byte
	typeNames, contractNames, toolNames, symbolNames []string
	typeOf, contractOf, toolOf, symbolOf             map[cid.Hash]string
}

func newDisassembler(b *Bundle) *disassembler {
	d := &disassembler{b: b, typeOf: map[cid.Hash]string{}, contractOf: map[cid.Hash]string{}, toolOf: map[cid.Hash]string{}, symbolOf: map[cid.Hash]string{}}
	for i, id := range builtinIDs() {
		d.typeOf[id] = builtinNames()[i]
	}
	d.typeNames = choose("type", len(b.Types.Types), func(i int) string { return b.Types.Types[i].Name })
	for i, t := range b.Types.Types {
		d.typeOf[t.TypeID] = d.typeNames[i]
	}
	d.contractNames = choose("contract", len(b.Contracts.Contracts), func(i int) string { return b.Contracts.Contracts[i].Name })
	for i, c := range b.Contracts.Contracts {
		d.contractOf[c.ContractID] = d.contractNames[i]
	}
	d.toolNames = choose("tool", len(b.Tools.Tools), func(i int) string { return lastSegment(b.Tools.Tools[i].Name) })
	for i, t := range b.Tools.Tools {
		d.toolOf[t.ToolID] = d.toolNames[i]
	}
	d.symbolNames = choose("func", len(b.Symbols.Symbols), func(i int) string { return b.Symbols.Symbols[i].Name })
	for i := range b.Symbols.Symbols {
		d.symbolOf[symbolID(&b.Symbols.Symbols[i])] = d.symbolNames[i]
	}
	return d
}

func lastSegment(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// choose gives every entry a name of its own: its name in the bundle if that
// is an ident, free and the first of its kind, else a made one.
func choose(kind string, n int, name func(int) string) []string {
	out := make([]string, n)
	taken := make(map[string]bool, n)
	for i := range n {
		if s := name(i); isIdent(s) && !reservedName(s) && !taken[s] {
			out[i], taken[s] = s, true
		}
	}
	for i := range n {
		if out[i] != "" {
			continue
		}
		s := kind + strconv.Itoa(i)
		for taken[s] {
			s += "_"
		}
		out[i], taken[s] = s, true
	}
	return out
}

func isIdent(s string) bool {
	return s != "" && len(s) <= maxIdent && letter(s[0]) && run(s, func(c byte) bool { return letter(c) || digit(c) }) == len(s)
}

func (d *disassembler) put(parts ...string) {
	for _, s := range parts {
		d.out = append(d.out, s...)
	}
}

func (d *disassembler) quoted(s string) { d.out = appendQuoted(d.out, s) }

// titled prints a name and, if the bundle has another, the string that says so.
func (d *disassembler) titled(name, title string) {
	d.put(name)
	if name != title {
		d.put(" ")
		d.quoted(title)
	}
}

// joined prints n things with a separator between them.
func (d *disassembler) joined(n int, sep string, one func(int)) {
	for i := range n {
		if i > 0 {
			d.put(sep)
		}
		one(i)
	}
}

func unsigned[T uint8 | uint16 | uint32 | uint64](n T) string {
	return strconv.FormatUint(uint64(n), 10)
}

func (d *disassembler) author() {
	a := &d.b.Meta.Author
	if a.Key == [32]byte{} && a.Hint == "" {
		return
	}
	d.put("author ", cid.Hash(a.Key).Hex())
	if a.Hint != "" {
		d.put(" ")
		d.quoted(a.Hint)
	}
	d.put("\n")
}

func (d *disassembler) types() {
	for i := range d.b.Types.Types {
		t := &d.b.Types.Types[i]
		d.put("type ")
		d.titled(d.typeNames[i], t.Name)
		if t.Kind == TypeEnum {
			d.put(" = enum { ")
			d.joined(len(t.EnumTags), ", ", func(j int) { d.word(t.EnumTags[j]) })
			d.put(" }\n")
			continue
		}
		d.put(" = record {")
		d.joined(len(t.Fields), ",", func(j int) { d.field(&t.Fields[j]) })
		d.closing(len(t.Fields))
	}
}

// closing ends a body that printed n parts, each with a blank before it.
func (d *disassembler) closing(n int) {
	if n > 0 {
		d.put(" ")
	}
	d.put("}\n")
}

// word prints an ident, or a string that is none.
func (d *disassembler) word(s string) {
	if isIdent(s) {
		d.put(s)
	} else {
		d.quoted(s)
	}
}

func (d *disassembler) field(f *FieldDef) {
	d.put(" ", unsigned(f.FieldID))
	if f.Name != "" {
		d.put(" ")
		d.word(f.Name)
	}
	if !f.Required {
		d.put("?")
	}
	d.put(": ", d.typeOf[f.FieldTypeID])
}

func (d *disassembler) consts() {
	for i := range d.b.ConstPool.Consts {
		c := &d.b.ConstPool.Consts[i]
		d.put("const c", strconv.Itoa(i), " = ")
		switch c.Kind {
		case ConstI64:
			d.put("i64 ", strconv.FormatInt(*c.I64, 10))
		case ConstU64:
			d.put("u64 ", unsigned(*c.U64))
		case ConstBytes:
			d.put(`bytes "`)
			for _, x := range c.Bytes {
				d.out = append(d.out, "0123456789abcdef"[x>>4], "0123456789abcdef"[x&15])
			}
			d.put(`"`)
		case ConstText:
			d.put("text ")
			d.quoted(c.Text)
		default:
			d.put("hash ", c.Hash.String())
		}
		d.put("\n")
	}
}

func (d *disassembler) nodes() {
	for i := range d.b.NodePool.Nodes {
		n := &d.b.NodePool.Nodes[i]
		kind, typ := "list", d.typeOf[n.TypeID]
		if n.Kind == NodeRecord {
			kind = "record"
		}
		d.put("node n", strconv.Itoa(i), " = ", kind)
		if typ != kind && (kind != "record" || typ != "map") {
			d.put(" ", typ)
		}
		d.put(" {")
		if n.Kind == NodeList {
			d.joined(len(n.Items), ",", func(j int) { d.put(" "); d.value(&n.Items[j]) })
			d.closing(len(n.Items))
			continue
		}
		ids := slices.SortedFunc(maps.Keys(n.Fields), compareIDs)
		d.joined(len(ids), ",", func(j int) {
			d.put(" ", unsigned(ids[j]), ": ")
			o := n.Fields[ids[j]]
			d.value(&o)
		})
		d.closing(len(ids))
	}
}

// value prints an operand of a node or task, or a literal.
func (d *disassembler) value(o *Operand) {
	switch o.Kind {
	case KindReg:
		d.put("r", unsigned(*o.U64))
	case KindConst:
		d.put("c", unsigned(*o.ConstRef))
	case KindNode:
		d.put("&n", unsigned(*o.NodeRef))
	case KindU64:
		d.put(unsigned(*o.U64))
	case KindI64:
		if *o.I64 >= 0 {
			d.put("+")
		}
		d.put(strconv.FormatInt(*o.I64, 10))
	default:
		d.put(o.Hash.String())
	}
}

func (d *disassembler) tools() {
	for i := range d.b.Tools.Tools {
		t := &d.b.Tools.Tools[i]
		d.put("tool ", d.toolNames[i], " = ", t.Name, " interface ", unsigned(*t.Interface),
			" (", d.typeOf[t.RequestTypeID], ") -> ", d.typeOf[t.ResponseTypeID], "\n")
	}
}

func (d *disassembler) contracts() {
	for i := range d.b.Contracts.Contracts {
		c := &d.b.Contracts.Contracts[i]
		d.put("contract ")
		d.titled(d.contractNames[i], c.Name)
		d.put(" = requires ")
		d.expr(&c.RequiresExpr, 0)
		d.put(" ensures ")
		d.expr(&c.EnsuresExpr, 0)
		if c.InvariantExpr != nil {
			d.put(" invariant ")
			d.expr(c.InvariantExpr, 0)
		}
		d.put("\n")
	}
}

// expr prints an expression. binds is how tight its surroundings bind: 0 not
// at all, 1 or, 2 and, 3 not.
func (d *disassembler) expr(x *Expr, binds int) {
	switch x.Op {
	case ExprTrue:
		d.put("true")
	case ExprFalse:
		d.put("false")
	case ExprOr:
		d.joinedExpr(x, " or ", 1, binds)
	case ExprAnd:
		d.joinedExpr(x, " and ", 2, binds)
	case ExprNot:
		d.put("not ")
		d.expr(&x.Args[0], 3)
	case ExprHasTool:
		d.put("has_tool ")
		d.named(d.toolOf, *x.Lit.Hash)
	case ExprHasStatus:
		d.put("has_status ", unsigned(*x.Lit.U64))
	default:
		d.comparison(x)
	}
}

func (d *disassembler) joinedExpr(x *Expr, word string, own, binds int) {
	if binds >= own {
		d.put("(")
	}
	d.joined(len(x.Args), word, func(i int) { d.expr(&x.Args[i], own) })
	if binds >= own {
		d.put(")")
	}
}

func (d *disassembler) comparison(x *Expr) {
	d.put([...]string{"subject", "inputs", "episode"}[x.Path.Root])
	for _, s := range x.Path.Segments {
		d.put(".", unsigned(s))
	}
	if x.Op == ExprInSet {
		d.put(" in { ")
		d.joined(len(x.Set), ", ", func(i int) { d.value(&x.Set[i]) })
		d.put(" }")
		return
	}
	d.put(" ", [...]string{"==", "!=", "<", "<=", ">", ">="}[x.Op-ExprEQ], " ")
	d.value(x.Lit)
}

// named prints a name, or the hash of what has none here.
func (d *disassembler) named(names map[cid.Hash]string, id cid.Hash) {
	if s, ok := names[id]; ok {
		d.put(s)
	} else {
		d.put(id.String())
	}
}

func (d *disassembler) tasks() {
	for i := range d.b.Tasks.Tasks {
		t := &d.b.Tasks.Tasks[i]
		d.put("task task", strconv.Itoa(i), " = ")
		d.named(d.symbolOf, t.EntrySymbol)
		d.put("(")
		d.joined(len(t.Args), ", ", func(j int) { d.value(&t.Args[j]) })
		b := &t.Budget
		d.put(") budget cpu_us=", unsigned(b.CPUMicros), " io=", unsigned(b.IOCount), " writes=", unsigned(b.StateWrites))
		if b.MaxDepth != nil {
			d.put(" max_depth=", unsigned(*b.MaxDepth))
		}
		if b.Tokens != nil {
			d.put(" tokens=", unsigned(*b.Tokens))
		}
		if b.DeadlineMicros != nil {
			d.put(" deadline_us=", unsigned(*b.DeadlineMicros))
		}
		if b.MaxSpawn != nil {
			d.put(" max_spawn=", unsigned(*b.MaxSpawn))
		}
		if t.EmitTrace {
			d.put(" trace")
		}
		if t.EmitAttestation {
			d.put(" attest")
		}
		d.put("\n")
	}
}

func (d *disassembler) funcs() {
	syms := d.b.Symbols.Symbols
	if len(syms) == 0 {
		d.put("code {\n")
		d.body(d.b.Ops.Ops)
		return
	}
	for i := range syms {
		s := &syms[i]
		d.put("func ")
		d.titled(d.symbolNames[i], s.Name)
		d.put("(")
		d.joined(len(s.ArgTypeIDs), ", ", func(j int) { d.put(d.typeOf[s.ArgTypeIDs[j]]) })
		d.put(") -> ", d.typeOf[s.ReturnTypeID], " {\n")
		d.body(d.b.Ops.Ops[*s.PC : *s.PC+*s.OpCount])
	}
}

func (d *disassembler) body(ops []Op) {
	labels := map[uint64]bool{}
	for i := range ops {
		s, _ := specOf(ops[i].Opcode)
		for j := range ops[i].Operands {
			if s.roles[j] == roleLabel {
				labels[*ops[i].Operands[j].U64] = true
			}
		}
	}
	for i := range ops {
		if labels[uint64(i)] {
			d.put("L", strconv.Itoa(i), ":\n")
		}
		d.op(&ops[i])
	}
	d.put("}\n")
}

func (d *disassembler) op(op *Op) {
	s, _ := specOf(op.Opcode)
	d.put("  ", s.name)
	for i := range op.Operands {
		if i > 0 {
			d.put(",")
		}
		d.put(" ")
		d.operand(s.roles[i], &op.Operands[i])
	}
	d.put("\n")
}

func (d *disassembler) operand(r role, o *Operand) {
	switch {
	case r == roleLabel:
		d.put("L", unsigned(*o.U64))
	case r == roleNode:
		d.put("n", unsigned(*o.NodeRef))
	case r == rolePattern && o.Kind == KindHash:
		d.put("type ")
		d.named(d.typeOf, *o.Hash)
	case r == roleSymbol && o.Hash.IsZero():
		d.put("self")
	case r == roleSymbol:
		d.named(d.symbolOf, *o.Hash)
	case r == roleTool:
		d.named(d.toolOf, *o.Hash)
	case r == roleContract:
		d.named(d.contractOf, *o.Hash)
	default:
		d.value(o)
	}
}
