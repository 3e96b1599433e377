package ir

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// sample uses every section; tests bend what it assembles to.
const sample = `
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

func bundleOf(t testing.TB, src string) *Bundle {
	t.Helper()
	raw, err := Assemble([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	b, err := decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// repair recomputes every id of a bundle and follows it wherever it is named,
// so that a bent bundle fails, or passes, for what was bent.
func repair(b *Bundle) []byte {
	moved := map[cid.Hash]cid.Hash{}
	follow := func(h *cid.Hash) {
		if to, ok := moved[*h]; ok {
			*h = to
		}
	}
	for i := range b.Types.Types {
		d := &b.Types.Types[i]
		for j := range d.Fields {
			follow(&d.Fields[j].FieldTypeID)
		}
		old := d.TypeID
		d.TypeID = idOf(d.AppendCAN(nil))
		moved[old] = d.TypeID
	}
	for i := range b.NodePool.Nodes {
		follow(&b.NodePool.Nodes[i].TypeID)
	}
	for i := range b.Tools.Tools {
		d := &b.Tools.Tools[i]
		follow(&d.RequestTypeID)
		follow(&d.ResponseTypeID)
		if d.Interface != nil {
			old := d.ToolID
			d.ToolID = abi.ToolID(d.Name, *d.Interface, d.RequestTypeID, d.ResponseTypeID)
			moved[old] = d.ToolID
		}
	}
	for i := range b.Contracts.Contracts {
		d := &b.Contracts.Contracts[i]
		old := d.ContractID
		if id, err := cid.Without(d.AppendCAN(nil), 1); err == nil {
			d.ContractID = id
			moved[old] = id
		}
	}
	for i := range b.Symbols.Symbols {
		s := &b.Symbols.Symbols[i]
		old := symbolID(s)
		for j := range s.ArgTypeIDs {
			follow(&s.ArgTypeIDs[j])
		}
		follow(&s.ReturnTypeID)
		if s.PC != nil && s.OpCount != nil && uint64(*s.PC)+uint64(*s.OpCount) <= uint64(len(b.Ops.Ops)) {
			ops := b.Ops.Ops[*s.PC : *s.PC+*s.OpCount]
			for j := range ops {
				for k := range ops[j].Operands {
					if h := ops[j].Operands[k].Hash; h != nil {
						follow(h)
					}
				}
			}
			s.ModuleID = cid.Sum(listOf(ops))
		}
		moved[old] = symbolID(s)
	}
	for i := range b.Tasks.Tasks {
		d := &b.Tasks.Tasks[i]
		follow(&d.EntrySymbol)
		d.TaskID = idOf(d.AppendCAN(nil))
	}
	raw := b.AppendCAN(nil)
	if id, err := artifactID(raw); err == nil {
		b.Meta.ArtifactID = id
	}
	return b.AppendCAN(nil)
}

func TestRepairKeepsAValidBundle(t *testing.T) {
	b := bundleOf(t, sample)
	raw := b.AppendCAN(nil)
	if !bytes.Equal(repair(b), raw) {
		t.Error("repair changed a valid bundle")
	}
}

// mainOp returns the n-th op of main.
func mainOp(b *Bundle, n int) *Op { return &b.Ops.Ops[1+n] }

func ptr[T any](v T) *T { return &v }

// TestLoadRefuses bends one thing of a valid bundle and makes every id right
// again, unless the row is about an id.
func TestLoadRefuses(t *testing.T) {
	var zero cid.Hash
	unknownHash := cid.Sum([]byte("unknown"))
	for name, c := range map[string]struct {
		code fault.Code
		bend func(*Bundle)
	}{
		"meta spec":        {ErrMeta, func(b *Bundle) { b.Meta.Spec = "ctvp" }},
		"meta version":     {ErrMeta, func(b *Bundle) { b.Meta.Version = 3 }},
		"meta created_at":  {ErrMeta, func(b *Bundle) { b.Meta.CreatedAt = ptr(int64(0)) }},
		"meta author":      {ErrMeta, func(b *Bundle) { b.Meta.Author.Scheme = 2 }},
		"meta notes":       {ErrMeta, func(b *Bundle) { b.Meta.Notes = "x" }},
		"meta extensions":  {ErrMeta, func(b *Bundle) { b.Meta.Extensions = map[string][]byte{"x": nil} }},
		"constant kind":    {ErrConst, func(b *Bundle) { b.ConstPool.Consts[0].Kind = 6 }},
		"constant field":   {ErrConst, func(b *Bundle) { b.ConstPool.Consts[0].Kind = ConstU64 }},
		"constant fields":  {ErrConst, func(b *Bundle) { b.ConstPool.Consts[0].U64 = ptr(uint64(1)) }},
		"type kind":        {ErrType, func(b *Bundle) { b.Types.Types[0].Kind = 3 }},
		"type enum fields": {ErrType, func(b *Bundle) { b.Types.Types[1].Fields = b.Types.Types[0].Fields }},
		"type record tags": {ErrType, func(b *Bundle) { b.Types.Types[0].EnumTags = []string{"x"} }},
		"type no tags":     {ErrType, func(b *Bundle) { b.Types.Types[1].EnumTags = nil }},
		"type tag twice":   {ErrType, func(b *Bundle) { b.Types.Types[1].EnumTags = []string{"x", "x"} }},
		"type tag empty":   {ErrType, func(b *Bundle) { b.Types.Types[1].EnumTags = []string{""} }},
		"type field order": {ErrType, func(b *Bundle) { b.Types.Types[0].Fields[1].FieldID = 1 }},
		"type field name":  {ErrType, func(b *Bundle) { b.Types.Types[0].Fields[1].Name = "x" }},
		"type twice":       {ErrType, func(b *Bundle) { b.Types.Types = append(b.Types.Types, b.Types.Types[0]) }},
		"type of a field":  {ErrTypeUnknown, func(b *Bundle) { b.Types.Types[0].Fields[0].FieldTypeID = unknownHash }},
		"node kind":        {ErrNode, func(b *Bundle) { b.NodePool.Nodes[0].Kind = 3 }},
		"node items":       {ErrNode, func(b *Bundle) { b.NodePool.Nodes[0].Items = b.NodePool.Nodes[1].Items }},
		"node fields":      {ErrNode, func(b *Bundle) { b.NodePool.Nodes[1].Fields = b.NodePool.Nodes[0].Fields }},
		"node type":        {ErrTypeUnknown, func(b *Bundle) { b.NodePool.Nodes[0].TypeID = unknownHash }},
		"node of text":     {ErrNode, func(b *Bundle) { b.NodePool.Nodes[0].TypeID = abi.TypeText }},
		"node list of map": {ErrNode, func(b *Bundle) { b.NodePool.Nodes[1].TypeID = abi.TypeMap }},
		"node of enum":     {ErrNode, func(b *Bundle) { b.NodePool.Nodes[0].TypeID = b.Types.Types[1].TypeID }},
		"node field id":    {ErrNode, func(b *Bundle) { b.NodePool.Nodes[0].Fields[3] = regOperand(0) }},
		"node operand":     {ErrOperand, func(b *Bundle) { b.NodePool.Nodes[1].Items[1].Kind = 7 }},
		"node register":    {ErrOperand, func(b *Bundle) { b.NodePool.Nodes[1].Items[1].U64 = ptr(uint64(256)) }},
		"node constant":    {ErrReference, func(b *Bundle) { b.NodePool.Nodes[1].Items[1] = Operand{Kind: KindConst, ConstRef: ptr(uint32(2))} }},
		"node of itself":   {ErrNode, func(b *Bundle) { b.NodePool.Nodes[1].Items[0].NodeRef = ptr(uint32(1)) }},
		"contract op":      {ErrContract, func(b *Bundle) { b.Contracts.Contracts[0].RequiresExpr.Op = 3 }},
		"contract no lit":  {ErrContract, func(b *Bundle) { b.Contracts.Contracts[0].RequiresExpr.Args[0].Lit = nil }},
		"contract args": {ErrContract, func(b *Bundle) {
			b.Contracts.Contracts[0].RequiresExpr.Args = b.Contracts.Contracts[0].RequiresExpr.Args[:1]
		}},
		"contract path":     {ErrContract, func(b *Bundle) { b.Contracts.Contracts[0].RequiresExpr.Args[0].Path.Root = 3 }},
		"contract segments": {ErrContract, func(b *Bundle) { b.Contracts.Contracts[0].RequiresExpr.Args[0].Path.Segments = make([]uint32, 65) }},
		"contract literal":  {ErrContract, func(b *Bundle) { b.Contracts.Contracts[0].RequiresExpr.Args[0].Lit = ptr(regOperand(0)) }},
		"contract constant": {ErrContract, func(b *Bundle) {
			b.Contracts.Contracts[0].RequiresExpr.Args[0].Lit = &Operand{Kind: KindConst, ConstRef: ptr(uint32(9))}
		}},
		"contract depth": {ErrContract, func(b *Bundle) {
			x := Expr{Op: ExprTrue}
			for range 12 {
				x = Expr{Op: ExprNot, Args: []Expr{x}}
			}
			b.Contracts.Contracts[0].RequiresExpr = x
		}},
		"contract count": {ErrContract, func(b *Bundle) {
			all := make([]Expr, 1024)
			for i := range all {
				all[i].Op = ExprTrue
			}
			and := Expr{Op: ExprAnd, Args: all}
			b.Contracts.Contracts[0].RequiresExpr = Expr{Op: ExprOr, Args: []Expr{and, and, and, and}}
		}},
		"contract twice":    {ErrContract, func(b *Bundle) { b.Contracts.Contracts = append(b.Contracts.Contracts, b.Contracts.Contracts[0]) }},
		"tool interface":    {ErrTool, func(b *Bundle) { b.Tools.Tools[0].Interface = nil }},
		"tool no name":      {ErrTool, func(b *Bundle) { b.Tools.Tools[0].Name = "" }},
		"tool name":         {ErrTool, func(b *Bundle) { b.Tools.Tools[0].Name = "Demo" }},
		"tool built in":     {ErrTool, func(b *Bundle) { b.Tools.Tools[0].Name = "mythos/echo" }},
		"tool twice":        {ErrTool, func(b *Bundle) { b.Tools.Tools = append(b.Tools.Tools, b.Tools.Tools[0]) }},
		"tool type":         {ErrTypeUnknown, func(b *Bundle) { b.Tools.Tools[0].RequestTypeID = unknownHash }},
		"symbol no pc":      {ErrSymbol, func(b *Bundle) { b.Symbols.Symbols[0].PC = nil }},
		"symbol no count":   {ErrSymbol, func(b *Bundle) { b.Symbols.Symbols[0].OpCount = nil }},
		"symbol empty":      {ErrSymbol, func(b *Bundle) { b.Symbols.Symbols[0].OpCount = ptr(uint32(0)) }},
		"symbol beyond":     {ErrSymbol, func(b *Bundle) { b.Symbols.Symbols[1].OpCount = ptr(uint32(1<<32 - 1)) }},
		"symbol overlap":    {ErrSymbol, func(b *Bundle) { b.Symbols.Symbols[0].OpCount = ptr(uint32(2)) }},
		"symbol gap":        {ErrSymbol, func(b *Bundle) { b.Ops.Ops = append(b.Ops.Ops, Op{Opcode: opNop}) }},
		"symbol order":      {ErrSymbol, func(b *Bundle) { s := b.Symbols.Symbols; s[0], s[1] = s[1], s[0] }},
		"symbol arguments":  {ErrSymbol, func(b *Bundle) { b.Symbols.Symbols[0].ArgTypeIDs = make([]cid.Hash, 17) }},
		"symbol type":       {ErrTypeUnknown, func(b *Bundle) { b.Symbols.Symbols[0].ReturnTypeID = unknownHash }},
		"opcode":            {ErrOpcode, func(b *Bundle) { mainOp(b, 0).Opcode = 0x5a }},
		"operand missing":   {ErrOperand, func(b *Bundle) { mainOp(b, 0).Operands = mainOp(b, 0).Operands[:1] }},
		"operand more":      {ErrOperand, func(b *Bundle) { mainOp(b, 0).Operands = append(mainOp(b, 0).Operands, regOperand(0)) }},
		"operand kind":      {ErrOperand, func(b *Bundle) { mainOp(b, 0).Operands[0] = regOperand(0) }},
		"operand unknown":   {ErrOperand, func(b *Bundle) { mainOp(b, 0).Operands[1].Kind = 7 }},
		"operand zero":      {ErrOperand, func(b *Bundle) { mainOp(b, 0).Operands[1].Kind = 0 }},
		"operand fields":    {ErrOperand, func(b *Bundle) { mainOp(b, 0).Operands[1].I64 = ptr(int64(0)) }},
		"operand register":  {ErrOperand, func(b *Bundle) { mainOp(b, 0).Operands[1].U64 = ptr(uint64(256)) }},
		"operand outputs":   {ErrOperand, func(b *Bundle) { mainOp(b, 3).Operands[3] = mainOp(b, 3).Operands[2] }},
		"blob outputs":      {ErrOperand, func(b *Bundle) { mainOp(b, 6).Operands[4] = mainOp(b, 6).Operands[3] }},
		"no such constant":  {ErrReference, func(b *Bundle) { mainOp(b, 0).Operands[0].ConstRef = ptr(uint32(1<<32 - 1)) }},
		"no such node":      {ErrReference, func(b *Bundle) { mainOp(b, 8).Operands[0].NodeRef = ptr(uint32(2)) }},
		"no such function":  {ErrReference, func(b *Bundle) { mainOp(b, 1).Operands[0].Hash = &unknownHash }},
		"no such tool":      {ErrReference, func(b *Bundle) { mainOp(b, 3).Operands[0].Hash = &unknownHash }},
		"no such contract":  {ErrReference, func(b *Bundle) { mainOp(b, 4).Operands[0].Hash = &unknownHash }},
		"no such pattern":   {ErrReference, func(b *Bundle) { mainOp(b, 2).Operands[1].Hash = &unknownHash }},
		"tool zero":         {ErrReference, func(b *Bundle) { mainOp(b, 3).Operands[0].Hash = &zero }},
		"jump":              {ErrJump, func(b *Bundle) { mainOp(b, 7).Operands[0].U64 = ptr(uint64(10)) }},
		"jump far":          {ErrJump, func(b *Bundle) { mainOp(b, 7).Operands[0].U64 = ptr(uint64(1<<64 - 1)) }},
		"match jump":        {ErrJump, func(b *Bundle) { mainOp(b, 2).Operands[2].U64 = ptr(uint64(10)) }},
		"argc":              {ErrOperand, func(b *Bundle) { mainOp(b, 1).Operands[1].U64 = ptr(uint64(2)) }},
		"argc far":          {ErrOperand, func(b *Bundle) { mainOp(b, 1).Operands[1].U64 = ptr(uint64(1<<64 - 1)) }},
		"scope of text":     {ErrOperand, func(b *Bundle) { mainOp(b, 5).Operands[1].ConstRef = ptr(uint32(0)) }},
		"media of bytes":    {ErrOperand, func(b *Bundle) { mainOp(b, 6).Operands[1].ConstRef = ptr(uint32(1)) }},
		"namespace":         {ErrOperand, func(b *Bundle) { mainOp(b, 6).Operands[2].ConstRef = ptr(uint32(1)) }},
		"key empty":         {ErrOperand, func(b *Bundle) { b.ConstPool.Consts[0].Text = "" }},
		"key long":          {ErrOperand, func(b *Bundle) { b.ConstPool.Consts[0].Text = strings.Repeat("x", 257) }},
		"function end":      {ErrExtentEnd, func(b *Bundle) { mainOp(b, 9).Opcode, mainOp(b, 9).Operands = opNop, nil }},
		"no ops":            {ErrExtentEnd, func(b *Bundle) { b.Ops.Ops, b.Symbols.Symbols = nil, nil }},
		"no tasks":          {ErrTask, func(b *Bundle) { b.Tasks.Tasks = nil }},
		"task twice":        {ErrTask, func(b *Bundle) { b.Tasks.Tasks = append(b.Tasks.Tasks, b.Tasks.Tasks[0]) }},
		"task entry":        {ErrEntry, func(b *Bundle) { b.Tasks.Tasks[0].EntrySymbol = unknownHash }},
		"task entry zero":   {ErrEntry, func(b *Bundle) { b.Tasks.Tasks[0].EntrySymbol = zero }},
		"budget zero":       {ErrBudget, func(b *Bundle) { b.Tasks.Tasks[0].Budget.CPUMicros = 0 }},
		"budget overflow":   {ErrBudget, func(b *Bundle) { b.Tasks.Tasks[0].Budget.CPUMicros = 18446744073709552 }},
		"budget depth":      {ErrBudget, func(b *Bundle) { b.Tasks.Tasks[0].Budget.MaxDepth = ptr(uint16(1025)) }},
		"budget depth zero": {ErrBudget, func(b *Bundle) { b.Tasks.Tasks[0].Budget.MaxDepth = ptr(uint16(0)) }},
		"args few":          {ErrArgs, func(b *Bundle) { b.Tasks.Tasks[0].Args = nil }},
		"args type":         {ErrArgs, func(b *Bundle) { b.Tasks.Tasks[0].Args[0] = Operand{Kind: KindU64, U64: ptr(uint64(1))} }},
		"args register":     {ErrArgs, func(b *Bundle) { b.Tasks.Tasks[0].Args[0] = regOperand(0) }},
		"args node of regs": {ErrArgs, func(b *Bundle) { b.Tasks.Tasks[0].Args[0].NodeRef = ptr(uint32(1)) }},
		"args node":         {ErrArgs, func(b *Bundle) { b.Tasks.Tasks[0].Args[0].NodeRef = ptr(uint32(2)) }},
		"args constant":     {ErrArgs, func(b *Bundle) { b.Tasks.Tasks[0].Args[0] = Operand{Kind: KindConst, ConstRef: ptr(uint32(2))} }},
		"args malformed":    {ErrArgs, func(b *Bundle) { b.Tasks.Tasks[0].Args[0].Kind = 9 }},
		"args conformance":  {ErrArgs, func(b *Bundle) { b.NodePool.Nodes[0].Fields = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			b := bundleOf(t, sample)
			c.bend(b)
			if _, err := Load(repair(b)); !errors.Is(err, c.code) {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
}

// TestLoadChecksEveryID bends ids alone.
func TestLoadChecksEveryID(t *testing.T) {
	flip := func(h *cid.Hash) { h[31] ^= 1 }
	for name, bend := range map[string]func(*Bundle){
		"artifact": func(b *Bundle) { flip(&b.Meta.ArtifactID) },
		"type":     func(b *Bundle) { flip(&b.Types.Types[0].TypeID) },
		"contract": func(b *Bundle) { flip(&b.Contracts.Contracts[0].ContractID) },
		"tool":     func(b *Bundle) { flip(&b.Tools.Tools[0].ToolID) },
		"module":   func(b *Bundle) { flip(&b.Symbols.Symbols[0].ModuleID) },
		"task":     func(b *Bundle) { flip(&b.Tasks.Tasks[0].TaskID) },
		"an op":    func(b *Bundle) { b.Ops.Ops[0].Opcode = opHalt },
	} {
		b := bundleOf(t, sample)
		bend(b)
		if name != "artifact" {
			id, err := artifactID(b.AppendCAN(nil))
			if err != nil {
				t.Fatal(err)
			}
			b.Meta.ArtifactID = id
		}
		if _, err := Load(b.AppendCAN(nil)); !errors.Is(err, ErrID) {
			t.Errorf("%s: got %v, want %s", name, err, ErrID)
		}
	}
}

func TestLoadLimits(t *testing.T) {
	if _, err := Load(make([]byte, MaxBundle+1)); !errors.Is(err, ErrLimit) {
		t.Errorf("got %v, want %s", err, ErrLimit)
	}
	b := bundleOf(t, sample)
	b.ConstPool.Consts = append(b.ConstPool.Consts, make([]Const, MaxSection)...)
	if _, err := Load(repair(b)); !errors.Is(err, ErrLimit) {
		t.Errorf("got %v, want %s", err, ErrLimit)
	}
}

// TestEveryFlippedBit: no bit of a bundle can change unnoticed.
func TestEveryFlippedBit(t *testing.T) {
	raw, err := Assemble([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			if _, err := Load(raw); err == nil {
				t.Fatalf("bit %d of byte %d may flip", bit, i)
			}
			raw[i] ^= 1 << bit
		}
	}
}

// TestUnknownFields: they are skipped and covered by the ids, but no text can
// say them.
func TestUnknownFields(t *testing.T) {
	raw, err := Assemble([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	grown := append([]byte("\x08\x0a"), raw[2:]...)
	grown = append(grown, "\x03\x63\x06\x01x"...)
	if _, err := Load(grown); !errors.Is(err, ErrID) {
		t.Errorf("got %v, want %s", err, ErrID)
	}
	b := bundleOf(t, sample)
	id, err := artifactID(grown)
	if err != nil {
		t.Fatal(err)
	}
	old := b.Meta.ArtifactID
	grown = bytes.Replace(grown, old[:], id[:], 1)
	if _, err := Load(grown); err != nil {
		t.Fatal(err)
	}
	if _, err := Disassemble(grown); !errors.Is(err, ErrDisasmInexact) {
		t.Errorf("got %v, want %s", err, ErrDisasmInexact)
	}
}

// TestInspectReadsTextInFieldFour is the shape of the published vector
// WIRE_001: Inspect shows it, Load refuses it.
func TestInspectReadsTextInFieldFour(t *testing.T) {
	b := bundleOf(t, sample)
	for i := range b.Symbols.Symbols {
		b.Symbols.Symbols[i].PC, b.Symbols.Symbols[i].OpCount = nil, nil
	}
	raw := b.AppendCAN(nil)
	old := bytes.Replace(raw, []byte("\x03\x04\x03\x05\x06\x03key"), []byte("\x03\x04\x03\x04\x06\x03key"), 1)
	if bytes.Equal(old, raw) {
		t.Fatal("the constant was not found")
	}
	if _, err := Load(old); !errors.Is(err, can.ErrType) {
		t.Errorf("Load: got %v, want %s", err, can.ErrType)
	}
	got, err := Inspect(old)
	if err != nil {
		t.Fatal(err)
	}
	if c := got.ConstPool.Consts[0]; c.Kind != ConstText || c.Text != "key" || c.Bytes != nil {
		t.Errorf("got %+v", c)
	}
	if got.Symbols.Symbols[0].PC != nil {
		t.Error("a pc appeared")
	}
	for name, bad := range map[string][]byte{"garbage": []byte("\x08"), "no bundle": []byte("\x00"), "kind 3": bytes.Replace(raw, []byte("\x03\x04\x03\x05\x06\x03key"), []byte("\x03\x03\x03\x04\x06\x03key"), 1)} {
		if _, err := Inspect(bad); err == nil {
			t.Errorf("%s: inspected", name)
		}
	}
}

func TestAccessors(t *testing.T) {
	raw, err := Assemble([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Load(raw)
	if err != nil {
		t.Fatal(err)
	}
	b := bundleOf(t, sample)
	if p.ArtifactID() != b.Meta.ArtifactID {
		t.Error("artifact id")
	}
	if got := p.Tasks(); len(got) != 1 || got[0].TaskID != b.Tasks.Tasks[0].TaskID {
		t.Errorf("tasks %+v", got)
	}
	if _, ok := p.Task(b.Tasks.Tasks[0].TaskID); !ok {
		t.Error("the task is not found")
	}
	if got := p.Tools(); len(got) != 1 || got[0].Name != "demo/echo" {
		t.Errorf("tools %+v", got)
	}
	want := []cid.Hash{b.Tools.Tools[0].ToolID, abi.BlobPutID}
	if want[0].Compare(want[1]) > 0 {
		want[0], want[1] = want[1], want[0]
	}
	if got := p.Effects(); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("effects %v, want %v", got, want)
	}
}

// TestSetCost: a set costs all its items, also those that repeat a constant.
func TestSetCost(t *testing.T) {
	p, task := load(t, "const k = text \"x\"\ncontract c = requires subject in { k, k, 1, k } or true ensures true\nfunc main() -> any {\nassert c, r0\nret\n}\ntask t = main() budget cpu_us=1 io=0 writes=0\n")
	res, err := p.runWith(task, &fakeHost{}, 0)
	if want := uint64(4 + 4 + 4 + 1 + 3); err != nil || res.ErrorCode != "" || res.FuelUsed != want {
		t.Errorf("got %+v, %v, want %d fuel", res, err, want)
	}
}

// BenchmarkLoad loads the largest bundles: many ops, many operands, many
// expressions.
func BenchmarkLoad(b *testing.B) {
	ops := "func main() -> any {\n" + strings.Repeat("nop\n", MaxOps-1) + "ret\n}\ntask t = main() budget cpu_us=1 io=0 writes=0\n"
	fields := strings.Builder{}
	for i := range 700_000 {
		fields.WriteString(strconv.Itoa(i) + ":r0,")
	}
	node := "node n = record { " + strings.TrimSuffix(fields.String(), ",") + " }\nfunc main() -> any {\nret\n}\ntask t = main() budget cpu_us=1 io=0 writes=0\n"
	for name, src := range map[string]string{"ops": ops, "fields": node} {
		raw, err := Assemble([]byte(src))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if _, err := Load(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzLoad takes bundles as they come and, since no mutation survives the ids,
// once more with every id made right.
func FuzzLoad(f *testing.F) {
	for _, src := range miniatures() {
		raw, err := Assemble([]byte(src))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		tryBundle(t, raw, false)
		if b, err := Inspect(raw); err == nil {
			if repairable(b) {
				tryBundle(t, repair(b), true)
			}
		}
	})
}

// repairable reports whether repair can hash every part: not if an expression
// nests too deep to be read alone.
func repairable(b *Bundle) bool { return can.Valid(b.AppendCAN(nil)) == nil }

func tryBundle(t *testing.T, raw []byte, exact bool) {
	p, err := Load(raw)
	if err != nil {
		if fault.CodeOf(err) == "" {
			t.Fatalf("%v has no code", err)
		}
		return
	}
	for i := range p.tasks {
		runPurse(t, p, i, 20_000)
	}
	if _, err := Disassemble(raw); err != nil && (exact || !errors.Is(err, ErrDisasmInexact)) {
		t.Fatal(err)
	}
}
