package diff

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

// modules compares bindings by tool, variant and platform.
func (c *comparer) modules() {
	a, b := bindings(c.a.Manifest), bindings(c.b.Manifest)
	tools := map[string]bool{}
	for _, label := range labels(a, b) {
		before, after := a[label], b[label]
		switch {
		case before == nil:
			c.added(label, after)
		case after == nil:
			c.add(Tool, Less, label, "removed", text(moduleText(before)), nil)
		default:
			c.binding(label, before, after)
			if !tools[after.Tool.Name] {
				tools[after.Tool.Name] = true
				c.tool(&before.Tool, &after.Tool)
			}
		}
	}
}

func bindings(m *manifest.Manifest) map[string]*manifest.ModuleBinding {
	out := map[string]*manifest.ModuleBinding{}
	for i := range m.Modules {
		b := &m.Modules[i]
		out[b.Label()] = b
	}
	return out
}

func labels[T any](a, b map[string]T) (all []string) {
	for label := range a {
		all = append(all, label)
	}
	for label := range b {
		all = append(all, label)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func moduleText(b *manifest.ModuleBinding) string {
	return manifest.ModuleKindName(b.Module.Kind) + " " + b.Module.CID.String()
}

// added is a tool, or a variant of one, that was not there.
func (c *comparer) added(label string, b *manifest.ModuleBinding) {
	c.add(Tool, More, label, "added", nil, text(moduleText(b)))
	c.required(label, nil, b.Module.CapsRequired)
	if d := b.Tool.Description; d != nil {
		c.add(Tool, None, b.Tool.Name, "description", nil, c.description(c.b, d))
	}
}

func (c *comparer) binding(label string, a, b *manifest.ModuleBinding) {
	x, y := &a.Module, &b.Module
	c.required(label, x.CapsRequired, y.CapsRequired)
	c.isolation(label, x, y)
	c.changed(Code, label, "module", text(x.CID.String()), text(y.CID.String()))
	c.changed(Code, label, "command", text(strings.Join(x.Entry, " ")), text(strings.Join(y.Entry, " ")))
	c.changed(Code, label, "probe", opt(strings.Join(x.Probe, " ")), opt(strings.Join(y.Probe, " ")))
	c.changed(Code, label, "runtime", runtimeText(x.Runtime), runtimeText(y.Runtime))
	c.changed(Code, label, "calling convention", text(strconv.Itoa(int(x.ABI))), text(strconv.Itoa(int(y.ABI))))
	c.changed(Code, label, "shared by calls", yes(x.Reuse), yes(y.Reuse))
	if x.Retry != y.Retry {
		power := None
		if again(y.Retry) && !again(x.Retry) {
			power = More // it may be invoked again without anybody's leave
		} else if again(x.Retry) && !again(y.Retry) {
			power = Less
		}
		c.add(Retry, power, label, "retry class", text(retryText(x.Retry)), text(retryText(y.Retry)))
	}
	c.limits(label, &x.Limits, &y.Limits)
}

func again(retry uint8) bool {
	return retry == manifest.RetryIdempotent || retry == manifest.RetryPure
}

func retryText(retry uint8) string {
	names := [...]string{"never", "idempotent", "pure", "reconcile"}
	if int(retry) < len(names) {
		return names[retry]
	}
	return strconv.Itoa(int(retry))
}

func runtimeText(r *manifest.Runtime) *string {
	if r == nil {
		return nil
	}
	return text(r.Name + " " + r.Version)
}

func yes(b bool) *string {
	if b {
		return text("yes")
	}
	return text("no")
}

// isolation compares how modules are kept apart: wasm has no host to reach at all.
func (c *comparer) isolation(label string, a, b *manifest.ModuleRef) {
	if a.Kind == b.Kind {
		return
	}
	power := None
	switch {
	case a.Kind == manifest.ModuleWasm:
		power = More
	case b.Kind == manifest.ModuleWasm:
		power = Less
	}
	c.add(Isolation, power, label, "kind of module", text(manifest.ModuleKindName(a.Kind)), text(manifest.ModuleKindName(b.Kind)))
}

// required compares the capabilities that a module asks for by the subset relation
// of their kinds (RFC-MYTHOS-0008 §5).
func (c *comparer) required(label string, a, b []manifest.CapRequirement) {
	for i := range b {
		if !anyCovers(a, &b[i]) {
			c.add(Authority, More, label, "needs "+widerWord(a, &b[i]), requirementsOf(a, b[i].Kind), requirementText(&b[i]))
		}
	}
	for i := range a {
		if !anyCovers(b, &a[i]) && !anyCovers(a, &a[i], i) {
			what := "needs no more"
			if slices.ContainsFunc(b, func(r manifest.CapRequirement) bool { return r.Kind == a[i].Kind }) {
				what = "needs less"
			}
			c.add(Authority, Less, label, what, requirementText(&a[i]), requirementsOf(b, a[i].Kind))
		}
	}
}

// anyCovers reports whether one of a list, but for those of some indexes, allows
// all that want does.
func anyCovers(list []manifest.CapRequirement, want *manifest.CapRequirement, but ...int) bool {
	for i := range list {
		if list[i].Kind != want.Kind || slices.Contains(but, i) {
			continue
		}
		switch have := list[i].Scope; {
		case have == nil:
			return true // any scope of the kind
		case want.Scope == nil:
		case string(have) == string(want.Scope) || caps.Covers(want.Kind, have, want.Scope) == nil:
			return true
		}
	}
	return false
}

func widerWord(a []manifest.CapRequirement, want *manifest.CapRequirement) string {
	if slices.ContainsFunc(a, func(r manifest.CapRequirement) bool { return r.Kind == want.Kind }) {
		return "more"
	}
	return "a new power"
}

// requirementsOf writes the requirements of a kind; nil if there is none.
func requirementsOf(list []manifest.CapRequirement, kind uint8) *string {
	var all []string
	for i := range list {
		if list[i].Kind == kind {
			all = append(all, *requirementText(&list[i]))
		}
	}
	return opt(strings.Join(all, "; "))
}

func requirementText(r *manifest.CapRequirement) *string {
	name := caps.KindName(r.Kind)
	if r.Scope == nil {
		return text(name + " without bounds")
	}
	shown, err := view.JSON(name+"Scope", r.Scope)
	if err != nil {
		return text(fmt.Sprintf("%s %x", name, r.Scope))
	}
	return text(name + " " + string(shown))
}

// limits compares what a module may use; more is more power, no bound is the most.
func (c *comparer) limits(label string, a, b *manifest.Limits) {
	c.amount(Limits, label, "timeout, microseconds", &a.TimeoutMicros, &b.TimeoutMicros)
	c.amount(Limits, label, "memory, bytes", &a.MemoryBytes, &b.MemoryBytes)
	c.amount(Limits, label, "fuel", a.Fuel, b.Fuel)
	c.amount(Limits, label, "request, bytes", &a.MaxRequestBytes, &b.MaxRequestBytes)
	c.amount(Limits, label, "response, bytes", &a.MaxResponseBytes, &b.MaxResponseBytes)
	c.amount(Limits, label, "standard error, bytes", &a.MaxStderrBytes, &b.MaxStderrBytes)
	x, y := uint64(a.MaxIOCalls), uint64(b.MaxIOCalls)
	c.amount(Limits, label, "host calls", &x, &y)
}

// amount compares two bounds, of which nil is none.
func (c *comparer) amount(area Area, subject, what string, a, b *uint64) {
	switch {
	case a == nil && b == nil, a != nil && b != nil && *a == *b:
		return
	case b == nil, a != nil && *b > *a:
		c.add(area, More, subject, what, amountText(a), amountText(b))
	default:
		c.add(area, Less, subject, what, amountText(a), amountText(b))
	}
}

func amountText(n *uint64) *string {
	if n == nil {
		return text("unbounded")
	}
	return text(strconv.FormatUint(*n, 10))
}

// tool compares what a tool is and what is said of it.
func (c *comparer) tool(a, b *manifest.Tool) {
	c.changed(Tool, b.Name, "interface", text(strconv.Itoa(int(a.Interface))), text(strconv.Itoa(int(b.Interface))))
	c.changed(Tool, b.Name, "type of requests", text(a.RequestTypeID.String()), text(b.RequestTypeID.String()))
	c.changed(Tool, b.Name, "type of responses", text(a.ResponseTypeID.String()), text(b.ResponseTypeID.String()))
	c.changed(Tool, b.Name, "schema of requests", hash(a.RequestSchema), hash(b.RequestSchema))
	c.changed(Tool, b.Name, "schema of responses", hash(a.ResponseSchema), hash(b.ResponseSchema))
	if x, y := hash(a.Description), hash(b.Description); deref(x) != deref(y) {
		c.add(Tool, None, b.Name, "description", c.description(c.a, a.Description), c.description(c.b, b.Description))
	}
}

// maxDescription bounds a description that is shown, in bytes.
const maxDescription = 64 << 10

// description returns the text of a description, or its hash if that cannot be
// read.
func (c *comparer) description(s Side, id *cid.Hash) *string {
	if id == nil {
		return nil
	}
	raw, err := s.artifact(c.ctx, *id, maxDescription)
	if err != nil || !utf8.Valid(raw) {
		return text(id.String())
	}
	return text(string(raw))
}
