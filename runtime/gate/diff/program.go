package diff

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

// artifact reads the artifact with a CID.
func (s Side) artifact(ctx context.Context, id cid.Hash, limit uint64) ([]byte, error) {
	list := s.Manifest.Artifacts
	i := slices.IndexFunc(list, func(a manifest.Artifact) bool { return a.CID == id })
	if i < 0 {
		return nil, fault.New(manifest.ErrReference, "%s is no artifact of this package", id)
	}
	return s.Read(ctx, &list[i], limit)
}

// maxBundle bounds a program that is compared, in bytes.
const maxBundle = 64 << 20

// entrypoints compares entry points by name.
func (c *comparer) entrypoints() {
	a, b := starts(c.a.Manifest), starts(c.b.Manifest)
	seen := map[[2]cid.Hash]bool{}
	for _, name := range labels(a, b) {
		before, after := a[name], b[name]
		if before == nil || after == nil {
			c.lone(name, before, after)
			continue
		}
		c.changed(Entrypoint, name, "description", opt(before.Doc), opt(after.Doc))
		if before.Bundle == after.Bundle && before.TaskID == after.TaskID {
			continue
		}
		x, y := c.load(c.a, before), c.load(c.b, after)
		if x.p == nil || y.p == nil {
			c.changed(Code, name, "program, which cannot be read", text(before.Bundle.String()), text(after.Bundle.String()))
			c.changed(Code, name, "task", text(before.TaskID.String()), text(after.TaskID.String()))
			continue
		}
		c.budget(name, x.task.Budget, y.task.Budget)
		if pair := [2]cid.Hash{before.Bundle, after.Bundle}; !seen[pair] && before.Bundle != after.Bundle {
			seen[pair] = true
			c.program(name, x, y)
		}
		c.taskOf(name, x, y)
	}
}

func starts(m *manifest.Manifest) map[string]*manifest.Entrypoint {
	out := map[string]*manifest.Entrypoint{}
	for i := range m.Entrypoints {
		out[m.Entrypoints[i].Name] = &m.Entrypoints[i]
	}
	return out
}

// lone is an entry point that only one of the two has.
func (c *comparer) lone(name string, a, b *manifest.Entrypoint) {
	if b == nil {
		c.add(Entrypoint, Less, name, "removed", text(a.TaskID.String()), nil)
		return
	}
	c.add(Entrypoint, More, name, "added", nil, text(b.TaskID.String()))
	if y := c.load(c.b, b); y.p != nil {
		for _, s := range y.powers() {
			c.add(Authority, More, name, "program uses", nil, text(s))
		}
	}
}

// defaultDepth is how deep calls may go under a budget that does not say
// (RFC-MYTHOS-0012 §6).
const defaultDepth = 64

// program is a bundle, decoded and verified, nil if it cannot be.
type program struct {
	p    *ir.Program
	raw  *ir.Bundle
	task ir.TaskDef
	side Side
}

func (c *comparer) load(s Side, e *manifest.Entrypoint) program {
	raw, err := s.artifact(c.ctx, e.Bundle, maxBundle)
	if err != nil {
		return program{}
	}
	p, err := ir.Load(raw)
	if err != nil {
		return program{}
	}
	bundle, err := ir.Inspect(raw)
	task, ok := p.Task(e.TaskID)
	if err != nil || !ok {
		return program{}
	}
	return program{p, bundle, task, s}
}

// budget compares what a run may use; more is more power, no bound is the most.
func (c *comparer) budget(name string, a, b ir.Budget) {
	c.amount(Budget, name, "cpu, microseconds", &a.CPUMicros, &b.CPUMicros)
	c.amount(Budget, name, "deadline, microseconds", a.DeadlineMicros, b.DeadlineMicros)
	c.amount(Budget, name, "tokens", a.Tokens, b.Tokens)
	for _, x := range []struct {
		what string
		a, b uint64
	}{
		{"effects", uint64(a.IOCount), uint64(b.IOCount)},
		{"state writes", uint64(a.StateWrites), uint64(b.StateWrites)},
		{"depth of calls", small(a.MaxDepth, defaultDepth), small(b.MaxDepth, defaultDepth)},
		{"spawned programs", small(a.MaxSpawn, 0), small(b.MaxSpawn, 0)},
	} {
		c.amount(Budget, name, x.what, &x.a, &x.b)
	}
}

func small(n *uint16, absent uint64) uint64 {
	if n == nil {
		return absent
	}
	return uint64(*n)
}

// program compares what two programs can do, then how they are written.
func (c *comparer) program(name string, a, b program) {
	x, y := a.powers(), b.powers()
	c.set2(name, "program uses", x, y)
	c.functions(name, a.raw, b.raw)
	before, after := constants(a.raw), constants(b.raw)
	for _, s := range after {
		if !slices.Contains(before, s) {
			c.add(Code, None, name, "constant added", nil, text(s))
		}
	}
	for _, s := range before {
		if !slices.Contains(after, s) {
			c.add(Code, None, name, "constant removed", text(s), nil)
		}
	}
	c.changed(Code, name, "program", text(a.p.ArtifactID().String()), text(b.p.ArtifactID().String()))
}

// set2 notes powers that come or go.
func (c *comparer) set2(name, what string, a, b []string) {
	for _, s := range b {
		if !slices.Contains(a, s) {
			c.add(Authority, More, name, what, nil, text(s))
		}
	}
	for _, s := range a {
		if !slices.Contains(b, s) {
			c.add(Authority, Less, name, what, text(s), nil)
		}
	}
}

const opRequireCap = 0x30

// powers lists the tools that a program calls and the kinds of capability that it
// asks for.
func (x program) powers() (all []string) {
	for _, id := range x.p.Effects() {
		all = append(all, "tool "+x.toolName(id))
	}
	for _, op := range x.raw.Ops.Ops {
		if op.Opcode == opRequireCap && len(op.Operands) > 0 && op.Operands[0].U64 != nil {
			kind := *op.Operands[0].U64
			name := fmt.Sprint("kind ", kind)
			if kind <= 255 {
				name = caps.KindName(uint8(kind))
			}
			all = append(all, "capability "+name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (x program) toolName(id cid.Hash) string {
	if name := abi.BuiltinTool(id); name != "" {
		return name
	}
	for i := range x.side.Manifest.Modules {
		if b := &x.side.Manifest.Modules[i]; b.ToolID == id {
			return b.Tool.Name
		}
	}
	return id.String()
}

// functions compares functions by name; those without one by what they are.
func (c *comparer) functions(name string, a, b *ir.Bundle) {
	x, y := functionsOf(a), functionsOf(b)
	for _, fn := range labels(x, y) {
		before, after := x[fn], y[fn]
		if deref(before) == deref(after) {
			continue
		}
		what := "function changed"
		switch {
		case before == nil:
			what = "function added"
		case after == nil:
			what = "function removed"
		}
		c.add(Code, None, name+", "+fn, what, before, after)
	}
}

func functionsOf(b *ir.Bundle) map[string]*string {
	out := map[string]*string{}
	for _, s := range b.Symbols.Symbols {
		key := s.Name
		if key == "" {
			key = "function " + s.ModuleID.String()
		}
		ops := "?"
		if s.OpCount != nil {
			ops = strconv.FormatUint(uint64(*s.OpCount), 10)
		}
		out[key] = text(s.ModuleID.String() + ", " + ops + " ops")
	}
	return out
}

// maxShown bounds a constant that is shown, in bytes.
const maxShown = 256

// constants lists the constants of a program: where it goes and what it says.
func constants(b *ir.Bundle) (all []string) {
	for _, k := range b.ConstPool.Consts {
		all = append(all, constantText(k))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func constantText(k ir.Const) string {
	switch {
	case k.I64 != nil:
		return strconv.FormatInt(*k.I64, 10)
	case k.U64 != nil:
		return strconv.FormatUint(*k.U64, 10)
	case k.Hash != nil:
		return k.Hash.String()
	case k.Text != "":
		if len(k.Text) > maxShown {
			return fmt.Sprintf("text of %d bytes, %s", len(k.Text), cid.Sum([]byte(k.Text)))
		}
		return strconv.Quote(k.Text)
	}
	if len(k.Bytes) > maxShown {
		return fmt.Sprintf("%d bytes, %s", len(k.Bytes), cid.Sum(k.Bytes))
	}
	return fmt.Sprintf("bytes %x", k.Bytes)
}

// taskOf notes a task that differs in more than its budget.
func (c *comparer) taskOf(name string, a, b program) {
	x, y := a.task, b.task
	if x.EntrySymbol != y.EntrySymbol {
		c.add(Code, None, name, "begins with another function", text(x.EntrySymbol.String()), text(y.EntrySymbol.String()))
	}
	x.Budget, y.Budget, x.TaskID, y.TaskID, x.EntrySymbol, y.EntrySymbol = ir.Budget{}, ir.Budget{}, cid.Hash{}, cid.Hash{}, cid.Hash{}, cid.Hash{}
	if before, after := x.AppendCAN(nil), y.AppendCAN(nil); string(before) != string(after) {
		c.add(Code, None, name, "task's arguments", text(fmt.Sprintf("%x", before)), text(fmt.Sprintf("%x", after)))
	}
}
