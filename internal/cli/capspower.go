package cli

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/node"
)

// powerFlags say what a capability is over.
type powerFlags struct {
	tool, in           string // a tool, and the package that knows its name
	grant, kind, scope string // a power of another kind

	calls                            callCount
	where                            []string
	pkg, module, request, ledgerName string
	ringMax                          int
}

// bindTool adds the flags that name a power.
func (p *powerFlags) bindTool(f *pflag.FlagSet) {
	f.StringVar(&p.tool, "tool", "", "a tool: its `NAME`, as --in or --package knows it, or its id sha256:...")
	f.StringVar(&p.in, "in", "", "the `PACKAGE` in which --tool is looked up: a folder, an archive or a manifest CID")
}

// bindPower adds the flags that name a power which is no call of a tool.
func (p *powerFlags) bindPower(f *pflag.FlagSet) {
	f.StringVar(&p.grant, "grant", "", "a `POWER` as \"mythos run --grant\" takes it: "+node.PowerForms)
	f.StringVar(&p.kind, "kind", "", "any `KIND`, with --scope: "+kindList())
	noEnv(f, "grant") // MYTHOS_GRANT is all that a run gets
	f.StringVar(&p.scope, "scope", "", "the scope of --kind: a `JSON` object of its fields")
}

// bindLimits adds the flags that limit a power.
func (p *powerFlags) bindLimits(f *pflag.FlagSet) {
	f.Var(&p.calls, "calls", "how many calls it allows on one ledger, `N` (default 1, or as many as its parent)")
	f.StringArrayVar(&p.where, "where", nil, "a `CONSTRAINT` on an argument, POINTER:OP=VALUE with OP eq, le, ge, in or prefix; may be repeated")
	f.StringVar(&p.pkg, "package", "", "only from this `PACKAGE`: a folder or an archive, or a package id sha256:...")
	f.StringVar(&p.module, "module", "", "only this module, by its `CID`")
	f.IntVar(&p.ringMax, "ring-max", -1, "only in rings up to `N`; -1 is any")
	f.StringVar(&p.request, "request", "", "only this one request, by its `HASH`: an approval")
	f.StringVar(&p.ledgerName, "on-ledger", "", "only on the ledger with this `ID`, 64 hex digits, or \"here\" for this node's")
}

// callCount is the value of --calls; 0 if it is not given.
type callCount uint32

// String returns "" for what is not given, so that help shows no default.
func (c *callCount) String() string {
	if *c == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(*c), 10)
}

// Set reads a count, of at least one.
func (c *callCount) Set(text string) error {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		return errors.New(mustCount)
	}
	*c = callCount(n)
	return nil
}

// Type names the flag's type, for flagError.
func (*callCount) Type() string { return typeCount }

func kindList() string {
	var names []string
	for _, k := range caps.Kinds() {
		names = append(names, caps.KindName(k))
	}
	return strings.Join(names, ", ")
}

// limited reports whether a limit was given that only calls of tools have.
func (p *powerFlags) limited() bool {
	return p.calls > 0 || len(p.where) > 0 || p.module != "" || p.request != "" || p.ledgerName != "" || p.ringMax >= 0
}

// build returns the scope that the flags name.
func (p *powerFlags) build(ctx context.Context, n *node.Node) (caps.Scope, error) {
	switch {
	case p.tool != "" && (p.grant != "" || p.kind != "") || p.grant != "" && p.kind != "":
		return caps.Scope{}, usagef("a capability is over one power: give one of --tool, --grant and --kind")
	case p.tool != "":
		return p.toolCall(ctx, n)
	case p.grant == "" && p.kind == "":
		return caps.Scope{}, usagef("over what? Give --tool NAME --in PACKAGE, --grant POWER, or --kind KIND --scope JSON")
	case p.limited() || p.pkg != "":
		return caps.Scope{}, usagef("--calls, --where, --package, --module, --ring-max, --request and --on-ledger limit calls of tools only; write the limits into the power")
	}
	return p.other()
}

// other returns the scope of --grant or --kind.
func (p *powerFlags) other() (caps.Scope, error) {
	if p.grant != "" {
		return node.ParsePower(p.grant)
	}
	kind, ok := caps.KindOf(p.kind)
	if !ok {
		return caps.Scope{}, usagef("--kind %q is none of %s", p.kind, kindList())
	}
	return scopeFromJSON(kind, p.scope)
}

// toolCall returns the scope of calls of --tool.
func (p *powerFlags) toolCall(ctx context.Context, n *node.Node) (caps.Scope, error) {
	known, err := p.contents(ctx, n)
	if err != nil {
		return caps.Scope{}, err
	}
	call := caps.ToolCall{MaxCalls: 1, Constraints: map[string]string{}}
	if call.ToolID, err = toolNamed(p.tool, known); err != nil {
		return caps.Scope{}, err
	}
	if err := p.limit(ctx, n, &call); err != nil {
		return caps.Scope{}, err
	}
	return caps.ScopeOf(&call), nil
}

// contents reads the package that knows the tools' names, nil if none was given.
func (p *powerFlags) contents(ctx context.Context, n *node.Node) (*node.Contents, error) {
	ref := p.in
	if ref == "" && !strings.HasPrefix(p.pkg, "sha256:") {
		ref = p.pkg
	}
	if ref == "" {
		return nil, nil
	}
	return n.Contents(ctx, ref)
}

// toolNamed returns the id of a tool that is named by id, or by name in a package.
func toolNamed(name string, in *node.Contents) (cid.Hash, error) {
	if strings.HasPrefix(name, "sha256:") {
		return hashFlag("--tool", name)
	}
	if in == nil {
		return cid.Hash{}, usagef("--tool %s is a name: say with --in which package knows it, or give the tool's id sha256:..., which \"mythos inspect PACKAGE\" shows", name)
	}
	b := bindingOf(in, func(b *manifest.ModuleBinding) bool { return b.Tool.Name == name })
	if b == nil {
		var names []string
		for i := range in.Manifest.Modules {
			names = append(names, in.Manifest.Modules[i].Tool.Name)
		}
		slices.Sort(names)
		return cid.Hash{}, usagef("the package has no tool %s; it has %s", name, strings.Join(slices.Compact(names), ", "))
	}
	return b.ToolID, nil
}

// bindingOf returns the first binding of a package that is meant, nil if none is.
func bindingOf(in *node.Contents, meant func(*manifest.ModuleBinding) bool) *manifest.ModuleBinding {
	for i := range in.Manifest.Modules {
		if b := &in.Manifest.Modules[i]; meant(b) {
			return b
		}
	}
	return nil
}

// limit puts the limits of the flags on a scope, over what it has.
func (p *powerFlags) limit(ctx context.Context, n *node.Node, call *caps.ToolCall) error {
	if p.calls > 0 {
		call.MaxCalls = uint32(p.calls)
	}
	set := map[string]string{}
	for _, text := range p.where {
		key, value, err := caps.ParseWhere(text)
		if err != nil {
			return usagef("--where %w", err)
		}
		if _, twice := set[key]; twice {
			return usagef("--where gives %s twice; one bound is enough", key)
		}
		set[key] = value
	}
	if err := p.bindings(ctx, n, set); err != nil {
		return err
	}
	if call.Constraints == nil {
		call.Constraints = map[string]string{}
	}
	for k, v := range set {
		call.Constraints[k] = v
	}
	return nil
}

// bindings adds the constraints that bind a call to where it is made.
func (p *powerFlags) bindings(ctx context.Context, n *node.Node, set map[string]string) error {
	if p.pkg != "" {
		id, err := p.packageID(ctx, n)
		if err != nil {
			return err
		}
		set[caps.ConstraintPackage] = id.String()
	}
	for _, x := range []struct{ flag, key, text string }{
		{"--module", caps.ConstraintModule, p.module}, {"--request", caps.ConstraintRequest, p.request},
	} {
		if x.text == "" {
			continue
		}
		id, err := hashFlag(x.flag, x.text)
		if err != nil {
			return err
		}
		set[x.key] = id.String()
	}
	if p.ringMax > 255 || p.ringMax < -1 {
		return usagef("--ring-max is -1 to 255, got %d", p.ringMax)
	}
	if p.ringMax >= 0 {
		set[caps.ConstraintRingMax] = strconv.Itoa(p.ringMax)
	}
	if p.ledgerName == "" {
		return nil
	}
	id, err := ledgerNamed(ctx, n, p.ledgerName)
	if err == nil {
		set[caps.ConstraintLedger] = id.Hex()
	}
	return err
}

// packageID returns the id of the package that --package names.
func (p *powerFlags) packageID(ctx context.Context, n *node.Node) (cid.Hash, error) {
	if strings.HasPrefix(p.pkg, "sha256:") {
		return hashFlag("--package", p.pkg)
	}
	c, err := n.Contents(ctx, p.pkg)
	if err != nil {
		return cid.Hash{}, err
	}
	return c.ID, nil
}

// ledgerNamed returns the id of a ledger: in hex, or this node's.
func ledgerNamed(ctx context.Context, n *node.Node, name string) (id cid.Hash, err error) {
	if name != "here" {
		id, err = cid.Parse("sha256:" + strings.TrimPrefix(name, "sha256:"))
		if err != nil {
			return id, usagef("--on-ledger %q is neither 64 lower-case hex digits nor \"here\"", name)
		}
		return id, nil
	}
	if n.HasLedger() {
		log, err := n.ReadLedger()
		if err != nil {
			return id, err
		}
		defer log.Close()
		if id, err = node.LedgerID(ctx, log); err != nil {
			return id, err
		}
	}
	if id.IsZero() {
		return id, usagef("--on-ledger here: this node's ledger has no entry yet, and so no id; it gets one with the first run")
	}
	return id, nil
}

func hashFlag(flag, text string) (cid.Hash, error) {
	id, err := cid.Parse(text)
	if err != nil {
		return id, usagef("%s %q is no sha256:<64 lower-case hex digits>", flag, text)
	}
	return id, nil
}

// payloadFlag reads --payload, a value in the JSON view.
func payloadFlag(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	raw, err := can.FromJSON([]byte(text))
	if err != nil {
		return nil, usagef("--payload: %w", err)
	}
	return raw, nil
}
