package ir

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Assembly is what a text assembles to.
type Assembly struct {
	Bundle []byte // canonical; Load accepts it
	Tasks  []Name // the tasks in their order
}

// Name is a task's name in the text, with its id in the bundle.
type Name struct {
	Name string
	ID   cid.Hash
}

// Assemble turns text (RFC-MYTHOS-0012 §8) into a valid bundle. An error's
// subject is LINE:COLUMN, followed by the entry that validation refused.
func Assemble(src []byte) ([]byte, error) {
	a, err := AssembleNamed(src)
	return a.Bundle, err
}

// AssembleNamed is Assemble, with the names that only the text has.
func AssembleNamed(src []byte) (Assembly, error) {
	if len(src) > MaxSource {
		return Assembly{}, fault.New(ErrLimit, "the text has %d bytes, at most %d", len(src), MaxSource)
	}
	if !utf8.Valid(src) {
		return Assembly{}, fault.New(ErrAsmSyntax, "the text is not UTF-8")
	}
	f, err := parse(string(src))
	if err != nil {
		return Assembly{}, err
	}
	e := &emitter{src: string(src), file: f, places: map[string]int{}}
	for _, step := range []func() error{e.names, e.types, e.consts, e.nodes, e.tools, e.contracts, e.funcs, e.tasks} {
		if err := step(); err != nil {
			return Assembly{}, err
		}
	}
	raw := e.finish()
	if _, err := Load(raw); err != nil {
		return Assembly{}, e.locate(err)
	}
	out := Assembly{Bundle: raw}
	for i := range f.tasks {
		out.Tasks = append(out.Tasks, Name{f.tasks[i].name, e.b.Tasks.Tasks[i].TaskID})
	}
	return out, nil
}

// emitter resolves names and builds the bundle.
type emitter struct {
	src    string
	file   *fileDecl
	b      Bundle
	places map[string]int // "op 3": where that entry stands in the text

	typeNames, constNames, nodeNames, toolNames, contractNames, funcNames, taskNames map[string]int
	typeState, funcState                                                             []state
	symbols                                                                          []cid.Hash
}

// state marks what is being built, to find cycles.
type state uint8

const (
	waiting state = iota
	building
	done
)

func (e *emitter) fail(code fault.Code, at int, format string, args ...any) error {
	return fault.New(code, format, args...).About(position(e.src, at))
}

// locate adds line and column to what validation says of an entry.
func (e *emitter) locate(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	at, ok := e.places[f.Subject]
	if !ok {
		return err
	}
	return f.About(position(e.src, at) + ": " + f.Subject)
}

func (e *emitter) names() error {
	f := e.file
	for _, t := range []struct {
		what  string
		names *map[string]int
		n     int
		title func(int) *title
	}{
		{"type", &e.typeNames, len(f.types), func(i int) *title { return &f.types[i].title }},
		{"constant", &e.constNames, len(f.consts), func(i int) *title { return &f.consts[i].title }},
		{"node", &e.nodeNames, len(f.nodes), func(i int) *title { return &f.nodes[i].title }},
		{"contract", &e.contractNames, len(f.contracts), func(i int) *title { return &f.contracts[i].title }},
		{"tool", &e.toolNames, len(f.tools), func(i int) *title { return &f.tools[i].title }},
		{"symbol", &e.funcNames, len(f.funcs), func(i int) *title { return &f.funcs[i].title }},
		{"task", &e.taskNames, len(f.tasks), func(i int) *title { return &f.tasks[i].title }},
	} {
		*t.names = make(map[string]int, t.n)
		for i := range t.n {
			x := t.title(i)
			if _, twice := (*t.names)[x.name]; twice {
				return e.fail(ErrAsmName, x.at, "%s %q is defined twice", t.what, x.name)
			}
			(*t.names)[x.name] = i
			e.places[t.what+" "+strconv.Itoa(i)] = x.at
		}
	}
	if n := max(len(f.types), len(f.funcs)); n > MaxSection {
		return fault.New(ErrLimit, "the text defines %d types or functions, at most %d", n, MaxSection)
	}
	for i := range f.funcs {
		if f.funcs[i].code && len(f.funcs) > 1 {
			return e.fail(ErrAsmSyntax, f.funcs[i].at, "code is the only function of a file that has it")
		}
	}
	return nil
}

func (e *emitter) unknown(at int, what, name string, names map[string]int) error {
	return unknown(e.src, at, what, name, slices.Collect(maps.Keys(names)))
}

// typeID returns the id of a type that is named, building it if need be.
func (e *emitter) typeID(r ref) (cid.Hash, error) {
	if r.hash != nil {
		return *r.hash, nil
	}
	if i, ok := builtinIndex(r.name); ok {
		return builtinIDs()[i], nil
	}
	i, ok := e.typeNames[r.name]
	if !ok {
		names := maps.Clone(e.typeNames)
		for _, n := range builtinNames() {
			names[n] = 0
		}
		return cid.Hash{}, e.unknown(r.at, "type", r.name, names)
	}
	switch e.typeState[i] {
	case building:
		return cid.Hash{}, e.fail(ErrAsmCycle, r.at, "type %s contains itself", r.name)
	case waiting:
		if err := e.buildType(i); err != nil {
			return cid.Hash{}, err
		}
	}
	return e.b.Types.Types[i].TypeID, nil
}

func builtinIDs() []cid.Hash {
	return []cid.Hash{
		abi.TypeAny, abi.TypeNull, abi.TypeBool, abi.TypeU64, abi.TypeI64,
		abi.TypeBytes, abi.TypeText, abi.TypeList, abi.TypeMap,
	}
}

func (e *emitter) types() error {
	e.b.Types.Types = make([]TypeDef, len(e.file.types))
	e.typeState = make([]state, len(e.file.types))
	for i := range e.file.types {
		if e.typeState[i] == waiting {
			if err := e.buildType(i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *emitter) buildType(i int) error {
	d := &e.file.types[i]
	e.typeState[i] = building
	x := &e.b.Types.Types[i]
	x.Kind, x.Name, x.EnumTags = TypeEnum, d.title.title, d.tags
	if d.record {
		x.Kind = TypeRecord
	}
	for _, f := range d.fields {
		id, err := e.typeID(f.typ)
		if err != nil {
			return err
		}
		x.Fields = append(x.Fields, FieldDef{FieldID: f.id, Name: f.name, FieldTypeID: id, Required: f.required})
	}
	x.TypeID = idOf(x.AppendCAN(nil))
	e.typeState[i] = done
	return nil
}

// idOf is the id of a struct of our own making: without field 1.
func idOf(raw []byte) cid.Hash {
	id, err := cid.Without(raw, 1)
	if err != nil {
		panic("ir: the emitter wrote a struct that is not canonical: " + err.Error())
	}
	return id
}

func (e *emitter) consts() error {
	e.b.ConstPool.Consts = make([]Const, len(e.file.consts))
	for i := range e.file.consts {
		e.b.ConstPool.Consts[i] = e.file.consts[i].value
	}
	return nil
}

func (e *emitter) nodes() error {
	e.b.NodePool.Nodes = make([]Node, len(e.file.nodes))
	for i := range e.file.nodes {
		d, x := &e.file.nodes[i], &e.b.NodePool.Nodes[i]
		var err error
		if x.TypeID, err = e.typeID(d.typ); err != nil {
			return err
		}
		x.Kind = NodeList
		if d.record {
			x.Kind, x.Fields = NodeRecord, make(map[uint32]Operand, len(d.ids))
		}
		for j := range d.values {
			o, err := e.value(&d.values[j])
			switch {
			case err != nil:
				return err
			case o.Kind == KindNode && int(*o.NodeRef) >= i:
				return e.fail(ErrAsmName, d.values[j].at, "node %q stands below; a node refers to nodes above it", d.values[j].text)
			case !d.record:
				x.Items = append(x.Items, o)
				continue
			}
			if _, twice := x.Fields[d.ids[j]]; twice {
				return e.fail(ErrAsmSyntax, d.values[j].at, "field %d stands twice", d.ids[j])
			}
			x.Fields[d.ids[j]] = o
		}
	}
	return nil
}

// value resolves an operand of a node or a task.
func (e *emitter) value(a *argument) (Operand, error) {
	switch a.form {
	case argReg:
		return regOperand(a.value), nil
	case argU64:
		return Operand{Kind: KindU64, U64: &a.value}, nil
	case argI64:
		return Operand{Kind: KindI64, I64: &a.i64}, nil
	case argHash:
		return Operand{Kind: KindHash, Hash: &a.hash}, nil
	case argName:
		return e.constant(a)
	case argNode:
		return e.node(a)
	}
	return Operand{}, e.fail(ErrAsmSyntax, a.at, "expected a value: a register, number, hash, constant or &node")
}

func regOperand(n uint64) Operand { return Operand{Kind: KindReg, U64: &n} }

func (e *emitter) constant(a *argument) (Operand, error) {
	i, ok := e.constNames[a.text]
	if !ok {
		return Operand{}, e.unknown(a.at, "constant", a.text, e.constNames)
	}
	n := uint32(i)
	return Operand{Kind: KindConst, ConstRef: &n}, nil
}

func (e *emitter) node(a *argument) (Operand, error) {
	i, ok := e.nodeNames[a.text]
	if !ok {
		return Operand{}, e.unknown(a.at, "node", a.text, e.nodeNames)
	}
	n := uint32(i)
	return Operand{Kind: KindNode, NodeRef: &n}, nil
}

func (e *emitter) tools() error {
	e.b.Tools.Tools = make([]ToolDef, len(e.file.tools))
	for i := range e.file.tools {
		d, x := &e.file.tools[i], &e.b.Tools.Tools[i]
		var err error
		if x.RequestTypeID, err = e.typeID(d.request); err != nil {
			return err
		}
		if x.ResponseTypeID, err = e.typeID(d.response); err != nil {
			return err
		}
		x.Name, x.Interface = d.title.title, &d.iface
		x.ToolID = abi.ToolID(x.Name, d.iface, x.RequestTypeID, x.ResponseTypeID)
	}
	return nil
}

func (e *emitter) contracts() error {
	e.b.Contracts.Contracts = make([]ContractDef, len(e.file.contracts))
	for i := range e.file.contracts {
		d, x := &e.file.contracts[i], &e.b.Contracts.Contracts[i]
		x.Name = d.title.title
		into := []*Expr{&x.RequiresExpr, &x.EnsuresExpr}
		if len(d.exprs) == 3 {
			x.InvariantExpr = new(Expr)
			into = append(into, x.InvariantExpr)
		}
		for j := range d.exprs {
			if depthOf(&d.exprs[j]) > maxExprDeep {
				return e.fail(ErrContract, d.exprs[j].at, "expressions nest more than %d levels", maxExprDeep)
			}
			if err := e.expr(&d.exprs[j], into[j]); err != nil {
				return err
			}
		}
		x.ContractID = idOf(x.AppendCAN(nil))
	}
	return nil
}

// depthOf counts the levels of an expression, so that none is written deeper
// than can be read.
func depthOf(d *exprDecl) int {
	deepest := 0
	for i := range d.args {
		deepest = max(deepest, depthOf(&d.args[i]))
	}
	return deepest + 1
}

func (e *emitter) expr(d *exprDecl, x *Expr) error {
	x.Op, x.Path = d.op, d.path
	if len(d.args) > 0 {
		x.Args = make([]Expr, len(d.args))
	}
	for i := range d.args {
		if err := e.expr(&d.args[i], &x.Args[i]); err != nil {
			return err
		}
	}
	for i := range d.lits {
		o, err := e.literal(d.op, &d.lits[i])
		if err != nil {
			return err
		}
		if d.op == ExprInSet {
			x.Set = append(x.Set, o)
		} else {
			x.Lit = &o
		}
	}
	if d.op == ExprInSet && len(d.lits) == 0 {
		return e.fail(ErrAsmSyntax, d.at, "an empty set")
	}
	return nil
}

func (e *emitter) literal(op uint8, a *argument) (Operand, error) {
	switch {
	case op == ExprHasTool && a.form == argName:
		i, ok := e.toolNames[a.text]
		if !ok {
			return Operand{}, e.unknown(a.at, "tool", a.text, e.toolNames)
		}
		return Operand{Kind: KindHash, Hash: &e.b.Tools.Tools[i].ToolID}, nil
	case op == ExprHasTool && a.form != argHash:
		return Operand{}, e.fail(ErrAsmSyntax, a.at, "expected a tool or its hash")
	case op == ExprHasStatus && a.form != argU64:
		return Operand{}, e.fail(ErrAsmSyntax, a.at, "expected a status, a number")
	case a.form == argU64, a.form == argI64, a.form == argHash, a.form == argName:
		return e.value(a)
	}
	return Operand{}, e.fail(ErrAsmSyntax, a.at, "expected a literal: a number, hash or constant")
}

func (e *emitter) tasks() error {
	e.b.Tasks.Tasks = make([]TaskDef, len(e.file.tasks))
	for i := range e.file.tasks {
		d, x := &e.file.tasks[i], &e.b.Tasks.Tasks[i]
		if d.entry.hash != nil {
			x.EntrySymbol = *d.entry.hash
		} else {
			n, ok := e.funcNames[d.entry.name]
			if !ok || e.file.funcs[n].code {
				return e.unknown(d.entry.at, "function", d.entry.name, e.funcNames)
			}
			x.EntrySymbol = e.symbols[n]
		}
		for j := range d.args {
			o, err := e.value(&d.args[j])
			if err != nil {
				return err
			}
			x.Args = append(x.Args, o)
		}
		x.Budget, x.EmitTrace, x.EmitAttestation = d.budget, d.trace, d.attest
		x.TaskID = idOf(x.AppendCAN(nil))
	}
	return nil
}

// finish writes the bundle with its artifact_id.
func (e *emitter) finish() []byte {
	m := &e.b.Meta
	m.Spec, m.Version = metaSpec, metaVersion
	m.Author = sig.AgentID{Scheme: sig.Ed25519, Hint: e.file.hint}
	if e.file.author != nil {
		m.Author.Key = *e.file.author
	}
	raw := e.b.AppendCAN(nil)
	id, err := artifactID(raw)
	if err != nil {
		panic("ir: the emitter wrote a bundle that is not canonical: " + err.Error())
	}
	m.ArtifactID = id
	return e.b.AppendCAN(raw[:0])
}

// listOf writes the canonical LIST of ops.
func listOf(ops []Op) []byte {
	b := can.AppendList(nil, len(ops))
	for i := range ops {
		b = ops[i].AppendCAN(b)
	}
	return b
}
