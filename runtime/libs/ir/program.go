package ir

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Program is a bundle that passed every check of RFC-MYTHOS-0012 §5, resolved
// for running. It does not change, so any number of runs may share it.
type Program struct {
	artifact  cid.Hash
	types     typeTable
	consts    [][]byte // canonical values; MATCH's number patterns stand behind the bundle's
	nodes     []node
	contracts []contract
	tools     []tool
	funcs     []function
	code      []instr
	regs      []uint8 // register lists of LIST ops
	tasks     []task
	effects   []cid.Hash
	level1    bool // an op of level 1 is in it

	toolIndex     map[cid.Hash]int32
	symbolIndex   map[cid.Hash]int32
	contractIndex map[cid.Hash]int32
	taskIndex     map[cid.Hash]int
}

type tool struct {
	def               ToolDef
	request, response int32
}

// function is a resolved extent. A bundle without symbols has one, untyped.
type function struct {
	pc, count uint32
	regs      int // registers it can touch, its arguments' included
	typed     bool
	args      []int32
	ret       int32
}

type task struct {
	def    TaskDef
	fn     int32
	inputs []byte // the canonical LIST of its args
}

// instr is one decoded op: registers in a to d, indexes and labels in i and j.
type instr struct {
	op         uint8
	a, b, c, d uint8
	mode       uint8 // which form of a pattern, a key or an optional operand
	i, j       uint32
	u          uint64
}

// Modes of an instr.
const (
	modeNone uint8 = iota
	modeReg
	modeConst
	modeType
)

// ArtifactID returns the bundle's artifact_id.
func (p *Program) ArtifactID() cid.Hash { return p.artifact }

// Tasks returns the bundle's tasks in their order.
func (p *Program) Tasks() []TaskDef {
	out := make([]TaskDef, len(p.tasks))
	for i := range p.tasks {
		out[i] = p.tasks[i].def
	}
	return out
}

// Task returns one task.
func (p *Program) Task(id cid.Hash) (TaskDef, bool) {
	i, ok := p.taskIndex[id]
	if !ok {
		return TaskDef{}, false
	}
	return p.tasks[i].def, true
}

// Tools returns the bundle's tool definitions in their order, used or not.
func (p *Program) Tools() []ToolDef {
	out := make([]ToolDef, len(p.tools))
	for i := range p.tools {
		out[i] = p.tools[i].def
	}
	return out
}

// Effects returns the distinct tools that the bundle's EFFECT and BLOB ops
// name, ascending by id; those of BLOB ops are built in (abi.BuiltinTool).
func (p *Program) Effects() []cid.Hash { return slices.Clone(p.effects) }

// Features returns the features that a package with this bundle requires,
// ascending (RFC-MYTHOS-0012 §4.6).
func (p *Program) Features() []string {
	if p.level1 {
		return []string{Level1}
	}
	return nil
}

// Inputs returns the inputs LIST of a run: given, checked against the entry's
// arguments, or the task's args if given is nil. Its SHA-256 is inputs_hash.
// The result aliases given.
func (p *Program) Inputs(taskID cid.Hash, given []byte) ([]byte, error) {
	i, ok := p.taskIndex[taskID]
	if !ok {
		return nil, fault.New(ErrTaskUnknown, "task %s is not in the bundle", taskID)
	}
	t := &p.tasks[i]
	if given == nil {
		return t.inputs, nil
	}
	if err := checkValue(given); err != nil {
		return nil, fault.New(ErrInputs, "the inputs: %w", err)
	}
	if err := p.checkInputs(ErrInputs, &p.funcs[t.fn], given); err != nil {
		return nil, fault.New(ErrInputs, "%w", err)
	}
	return given, nil
}

// checkInputs checks a canonical value against what a function takes; what it
// refuses has the given code.
func (p *Program) checkInputs(code fault.Code, fn *function, list []byte) error {
	tag, n, _ := head(list, 0)
	if !builtinTag(typeList, tag) {
		return fault.New(code, "the inputs are not a LIST")
	}
	if !fn.typed {
		if n > registers {
			return fault.New(code, "%d inputs, at most %d", n, registers)
		}
		return nil
	}
	if n != uint64(len(fn.args)) {
		return fault.New(code, "%d inputs, the entry takes %d", n, len(fn.args))
	}
	for i, b := range items(list) {
		if !p.types.conforms(b, fn.args[i]) {
			return fault.New(code, "input %d does not conform to %s", i, p.types.describe(fn.args[i]))
		}
	}
	return nil
}

// Load decodes a bundle and validates all of it in the order of
// RFC-MYTHOS-0012 §5. It keeps nothing of raw.
func Load(raw []byte) (*Program, error) {
	if len(raw) > MaxBundle {
		return nil, fault.New(ErrLimit, "the bundle has %d bytes, at most %d", len(raw), MaxBundle)
	}
	raw = bytes.Clone(raw)
	b, err := decode(raw)
	if err != nil {
		return nil, err
	}
	l := loader{raw: raw, b: b, p: &Program{}}
	for _, check := range []func() error{
		l.sizes, l.meta, l.consts, l.types, l.nodes, l.contracts, l.tools, l.symbols, l.ops, l.tasks,
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return l.p, nil
}

// loader carries one bundle through the checks; each turns a section of it
// into a part of p.
type loader struct {
	raw  []byte
	b    *Bundle
	p    *Program
	used map[cid.Hash]bool // tools of EFFECT and BLOB ops
}

// refuse returns an error about one entry of a section.
func refuse(code fault.Code, what string, index int, format string, args ...any) error {
	return fault.New(code, format, args...).About(what + " " + strconv.Itoa(index))
}

// about says which entry of a section an error is about.
func about(err error, what string, index int) error {
	var e *fault.Error
	if errors.As(err, &e) {
		return e.About(what + " " + strconv.Itoa(index))
	}
	return err
}

// span returns a function from an index to the original bytes of that entry.
func (l *loader) span(field uint8) func(int) []byte {
	at := section(l.raw, field)
	return func(i int) []byte { return l.raw[at[i]:at[i+1]] }
}

func (l *loader) sizes() error {
	b := l.b
	for _, s := range []struct {
		name     string
		n, limit int
	}{
		{"constants", len(b.ConstPool.Consts), MaxSection},
		{"nodes", len(b.NodePool.Nodes), MaxSection},
		{"types", len(b.Types.Types), MaxSection},
		{"symbols", len(b.Symbols.Symbols), MaxSection},
		{"contracts", len(b.Contracts.Contracts), MaxSection},
		{"tools", len(b.Tools.Tools), MaxSection},
		{"ops", len(b.Ops.Ops), MaxOps},
		{"tasks", len(b.Tasks.Tasks), MaxSection},
	} {
		if s.n > s.limit {
			return fault.New(ErrLimit, "the bundle has %d %s, at most %d", s.n, s.name, s.limit)
		}
	}
	return nil
}

func (l *loader) meta() error {
	m := &l.b.Meta
	switch {
	case m.Spec != metaSpec || m.Version != metaVersion:
		return fault.New(ErrMeta, "spec %q version %d, want %q version %d", clip(m.Spec), m.Version, metaSpec, metaVersion)
	case m.Author.Scheme != 1:
		return fault.New(ErrMeta, "the author has scheme %d, want 1", m.Author.Scheme)
	case m.CreatedAt != nil, len(m.Signatures) != 0, m.Notes != "", len(m.Extensions) != 0:
		return fault.New(ErrMeta, "a bundle carries no created_at, signatures, notes or extensions")
	}
	id, err := artifactID(l.raw)
	if err != nil {
		return err
	}
	if id != m.ArtifactID {
		return fault.New(ErrID, "declares artifact_id %s, its bytes have %s", m.ArtifactID, id).About("meta")
	}
	l.p.artifact = id
	return nil
}

// What Meta says in every packed bundle.
const (
	metaSpec    = "mythos"
	metaVersion = 2
)

func (l *loader) types() error {
	defs := l.b.Types.Types
	l.p.types = newTypeTable(len(defs))
	return l.p.types.addTypes(defs, l.span(fieldTypes))
}

func (l *loader) tools() error {
	defs := l.b.Tools.Tools
	l.p.toolIndex = make(map[cid.Hash]int32, len(defs))
	l.p.tools = make([]tool, len(defs))
	for i := range defs {
		d := &defs[i]
		if err := l.checkTool(d); err != nil {
			return about(err, "tool", i)
		}
		if id := abi.ToolID(d.Name, *d.Interface, d.RequestTypeID, d.ResponseTypeID); id != d.ToolID {
			return refuse(ErrID, "tool", i, "declares id %s, its fields have %s", d.ToolID, id)
		}
		request, ok1 := l.p.types.index[d.RequestTypeID]
		response, ok2 := l.p.types.index[d.ResponseTypeID]
		if !ok1 || !ok2 {
			return refuse(ErrTypeUnknown, "tool", i, "a type of %s is not in the bundle", d.Name)
		}
		l.p.toolIndex[d.ToolID] = int32(i)
		l.p.tools[i] = tool{*d, request, response}
	}
	return nil
}

func (l *loader) checkTool(d *ToolDef) error {
	if d.Interface == nil {
		return fault.New(ErrTool, "the interface is missing")
	}
	if err := abi.CheckToolName(d.Name); err != nil {
		return fault.New(ErrTool, "the name: %w", err)
	}
	if strings.HasPrefix(d.Name, reserved) {
		return fault.New(ErrTool, "names that begin with %s are built in", reserved)
	}
	if _, twice := l.p.toolIndex[d.ToolID]; twice {
		return fault.New(ErrTool, "%s is defined twice", d.ToolID)
	}
	return nil
}

// reserved is the prefix of built-in tools' names.
const reserved = "mythos/"

func (l *loader) effects() {
	l.p.effects = slices.SortedFunc(maps.Keys(l.used), cid.Hash.Compare)
}

// clip shortens text from outside for a message.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
