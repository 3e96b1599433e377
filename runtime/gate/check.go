package gate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// maxFailures ends a list of failures that nobody reads to its end.
const maxFailures = 200

// checker walks the loading order. Its steps pass each failure to fail, which
// says whether to stop: at once for Load, late for Verify.
type checker struct {
	src content
	opt Options
	all bool // go on where the following checks still mean something
	err []error

	u        *manifest.Unverified
	attested []receipt.Attestation // about the package, verified, each once
	beside   []Statement           // those that lie beside the manifest
	signed   bool                  // by enough known keys
	sources  []*TrustEntry         // behind each publisher; nil is the dev key
	intact   map[blob.ArtifactID]bool
	trees    map[cid.Hash]*manifest.Tree // by cid
	programs map[cid.Hash]*ir.Program    // by cid
}

// fail records err, if it is one, and reports whether to stop.
func (c *checker) fail(err error) bool {
	if err == nil {
		return false
	}
	// Two steps may look at one field; one fault is said once.
	if !slices.ContainsFunc(c.err, func(e error) bool { return e.Error() == err.Error() }) {
		c.err = append(c.err, err)
	}
	return !c.all || len(c.err) == maxFailures || fault.CodeOf(err) == ""
}

// first returns the first failure.
func (c *checker) first() error {
	if len(c.err) == 0 {
		return nil
	}
	return c.err[0]
}

// run performs steps 1 to 13.
func (c *checker) run(ctx context.Context) {
	raw, err := c.src.Manifest(ctx, manifest.MaxBytes)
	if err == nil {
		c.u, err = manifest.Decode(raw)
	}
	if err != nil {
		c.fail(about(err, "manifest.bin"))
		return
	}
	if c.signatures(ctx) || c.fail(c.u.CheckHost(c.opt.host())) {
		return
	}
	if err := c.u.Validate(); err != nil {
		c.fail(err)
		return
	}
	if c.statements(ctx) || c.artifacts(ctx) || c.treeFiles(ctx) || c.extra(ctx) || c.bundles(ctx) {
		return
	}
	c.modules(ctx)
}

// about names a subject where an error has none.
func about(err error, subject string) error {
	var e *fault.Error
	if errors.As(err, &e) && e.Subject == "" {
		return e.About(subject)
	}
	return err
}

// signatures performs step 3.
func (c *checker) signatures(ctx context.Context) bool {
	want := c.u.Claims().AppendSig(nil)
	got, ok, err := c.src.Signatures(ctx, manifest.MaxBytes)
	if err == nil && ok && !bytes.Equal(got, want) {
		err = fault.New(ErrSignatureDiffers, "it is not field 11 of manifest.bin").About("manifest.sig")
	}
	if c.fail(err) {
		return true
	}
	_, _, err = c.u.Authorise(c.publishers())
	c.signed = err == nil
	if errors.Is(err, manifest.ErrSignerUnknown) && c.signedByDev() {
		err = fault.New(manifest.ErrSignerUnknown, "signed by this home's dev key, which counts only for %s", c.devOnly()).About(c.u.PackageID().String())
	}
	return c.fail(err)
}

// publishers returns who may sign this package.
func (c *checker) publishers() []manifest.Publisher {
	c.sources = nil
	var list []manifest.Publisher
	name := c.u.Claims().Name
	for _, e := range c.opt.trust().entries {
		if e.Role != sig.Publisher {
			continue
		}
		counts := e.Covers(name) && e.Admits(c.opt.Ring) && e.Current(c.opt.Now)
		list = append(list, manifest.Publisher{Keys: e.Keys, Threshold: e.Threshold, Covers: counts})
		c.sources = append(c.sources, &e)
	}
	if c.opt.Dev != nil && c.opt.Ring == 0 && c.opt.Local != nil && c.opt.Local(c.u.PackageID()) {
		list = append(list, manifest.Publisher{Keys: []sig.AgentID{*c.opt.Dev}, Threshold: 1, Covers: true})
		c.sources = append(c.sources, nil)
	}
	return list
}

// devOnly says why the dev key does not count.
func (c *checker) devOnly() string {
	if c.opt.Ring != 0 {
		return fmt.Sprintf("ring 0, and this is ring %d: a publisher must have signed what runs here, as \"mythos pack ... --key publisher.key\" does", c.opt.Ring)
	}
	return "packages packed under this home, and this one was not"
}

func (c *checker) signedByDev() bool {
	return c.opt.Dev != nil && slices.ContainsFunc(c.u.Claims().Signatures, func(s sig.Signature) bool {
		return s.KeyID != nil && *s.KeyID == c.opt.Dev.KeyID()
	})
}

// artifacts performs step 11.
func (c *checker) artifacts(ctx context.Context) bool {
	c.intact = map[blob.ArtifactID]bool{}
	list := c.u.Claims().Artifacts
	for i := range list {
		if c.fail(c.object(ctx, list[i].ID(), "artifact "+list[i].CID.String())) {
			return true
		}
	}
	return false
}

// object checks one content, unless it was checked before.
func (c *checker) object(ctx context.Context, id blob.ArtifactID, subject string) error {
	if c.intact[id] {
		return nil
	}
	if err := c.src.verify(ctx, id); err != nil {
		return about(err, subject)
	}
	c.intact[id] = true
	return nil
}

// treeFiles performs the first half of step 12.
func (c *checker) treeFiles(ctx context.Context) bool {
	c.trees = map[cid.Hash]*manifest.Tree{}
	list := c.u.Claims().Artifacts
	for i := range list {
		if list[i].Kind != manifest.KindTree || !c.intact[list[i].ID()] {
			continue
		}
		if c.tree(ctx, &list[i]) {
			return true
		}
	}
	mods := c.u.Claims().Modules
	for i := range mods {
		m := &mods[i].Module
		t := c.trees[m.CID]
		if m.Kind == manifest.ModuleProcess && t != nil && c.fail(entryInTree(&mods[i], t)) {
			return true
		}
	}
	return false
}

func entryInTree(b *manifest.ModuleBinding, t *manifest.Tree) error {
	for _, args := range [][]string{b.Module.Entry, b.Module.Probe} {
		if len(args) == 0 {
			continue
		}
		byPath := func(e manifest.TreeEntry, p string) int { return strings.Compare(e.Path, p) }
		if _, ok := slices.BinarySearchFunc(t.Entries, args[0], byPath); !ok {
			return fault.New(manifest.ErrModule, "%q is not a file of its tree", args[0]).About(b.Label())
		}
	}
	return nil
}

func (c *checker) tree(ctx context.Context, a *manifest.Artifact) bool {
	subject := "tree " + a.CID.String()
	raw, err := c.src.load(ctx, a.ID(), manifest.MaxTreeEncoded)
	if err != nil {
		return c.fail(about(err, subject))
	}
	t, err := manifest.DecodeTree(raw)
	if err != nil {
		var e *fault.Error
		if errors.As(err, &e) && e.Subject != "" {
			err = e.About(subject + ", file " + e.Subject)
		}
		return c.fail(about(err, subject))
	}
	c.trees[a.CID] = t
	for i := range t.Entries {
		if c.fail(c.object(ctx, t.Entries[i].ID(), subject+", file "+t.Entries[i].Path)) {
			return true
		}
	}
	return false
}

// extra performs the second half of step 12. Without every tree nobody knows
// what is extra.
func (c *checker) extra(ctx context.Context) bool {
	l, ok := c.src.Source.(Lister)
	closure, whole := c.closure()
	if !ok || !whole {
		return false
	}
	limit := 1
	if c.all {
		limit = maxFailures
	}
	for _, err := range l.CheckContents(ctx, closure, limit) {
		if c.fail(err) {
			return true
		}
	}
	return false
}

// closure returns all content, and false if a tree is not known.
func (c *checker) closure() (Closure, bool) {
	out := Closure{Manifest: c.u.Raw(), Objects: map[cid.Hash]Use{}, Sizes: map[uint64]Use{}}
	add := func(id blob.ArtifactID, use Use) {
		out.Objects[id.SHA256] |= use
		out.Sizes[id.Size] |= use
	}
	list := c.u.Claims().Artifacts
	for i := range list {
		use := UseOther
		switch list[i].Kind {
		case manifest.KindIR:
			use = UseIR
		case manifest.KindModule:
			use = UseModule
		case manifest.KindTree:
			t := c.trees[list[i].CID]
			if t == nil {
				return out, false
			}
			for j := range t.Entries {
				add(t.Entries[j].ID(), UseModule)
			}
		}
		add(list[i].ID(), use)
	}
	return out, true
}

// bundles performs step 13 but for modules.
func (c *checker) bundles(ctx context.Context) bool {
	c.programs = map[cid.Hash]*ir.Program{}
	m := c.u.Claims()
	for i := range m.Artifacts {
		a := &m.Artifacts[i]
		if a.Kind != manifest.KindIR || !c.intact[a.ID()] {
			continue
		}
		p, err := c.program(ctx, a)
		if c.fail(about(err, "bundle "+a.CID.String())) {
			return true
		}
		if err == nil {
			c.programs[a.CID] = p
		}
	}
	for i := range m.Entrypoints {
		e := &m.Entrypoints[i]
		p := c.programs[e.Bundle]
		if p == nil {
			continue
		}
		if _, ok := p.Task(e.TaskID); !ok {
			err := fault.New(ErrEntrypointTask, "task %s is not in bundle %s", e.TaskID, e.Bundle).About("entry point " + e.Name)
			if c.fail(err) {
				return true
			}
		}
	}
	return false
}

// program loads a bundle and checks that every tool it calls is bound. A tool's
// id covers its name, interface and types, so a bound tool matches in all of
// them.
func (c *checker) program(ctx context.Context, a *manifest.Artifact) (*ir.Program, error) {
	if a.Size > ir.MaxBundle {
		return nil, fault.New(ir.ErrLimit, "the bundle has %d bytes, at most %d", a.Size, ir.MaxBundle)
	}
	raw, err := c.src.load(ctx, a.ID(), ir.MaxBundle)
	if err != nil {
		return nil, err
	}
	p, err := ir.Load(raw)
	if err != nil {
		return nil, err
	}
	for _, f := range p.Features() {
		if !slices.Contains(c.u.Claims().Requires.Features, f) {
			return nil, fault.New(ErrFeatureUndeclared, "it uses feature %s, which requires.features does not name; pack adds it", f)
		}
	}
	for _, id := range p.Effects() {
		if abi.BuiltinTool(id) == "" && !slices.ContainsFunc(c.u.Claims().Modules, func(b manifest.ModuleBinding) bool { return b.ToolID == id }) {
			return nil, fault.New(ErrToolUnbound, "an effect calls tool %s, which no module of the package implements%s", toolName(p, id), c.nearTool(p, id))
		}
	}
	return p, nil
}

// nearTool says so if a module implements a tool of that name, but not that
// tool.
func (c *checker) nearTool(p *ir.Program, id cid.Hash) string {
	for _, t := range p.Tools() {
		for _, b := range c.u.Claims().Modules {
			if t.ToolID == id && t.Name != "" && b.Tool.Name == t.Name {
				return "; one implements " + t.Name + " with another interface number, request type or response type"
			}
		}
	}
	return ""
}

// toolName is what the bundle calls a tool.
func toolName(p *ir.Program, id cid.Hash) string {
	for _, t := range p.Tools() {
		if t.ToolID == id && t.Name != "" {
			return fmt.Sprintf("%q (%s)", t.Name, id)
		}
	}
	return id.String()
}

// modules asks the runners about the modules of their kinds.
func (c *checker) modules(ctx context.Context) {
	if c.opt.CheckModule == nil || !c.signed {
		return // a stranger's code is not given to a compiler to see what is wrong with it
	}
	m := c.u.Claims()
	for i := range m.Modules {
		b := &m.Modules[i]
		if !slices.Contains(c.opt.Kinds, b.Module.Kind) || !c.whole(b) {
			continue
		}
		content, err := c.src.module(b, m.Artifacts, c.trees)
		if err == nil {
			err = c.opt.CheckModule(ctx, b, content)
		}
		if c.fail(about(err, "module "+b.Label())) {
			return
		}
	}
}

// whole reports whether the module's own bytes, and all that they may name, were
// found intact.
func (c *checker) whole(b *manifest.ModuleBinding) bool {
	kind, _ := moduleKind(b.Module.Kind)
	artifacts := c.u.Claims().Artifacts
	i := slices.IndexFunc(artifacts, func(a manifest.Artifact) bool { return a.CID == b.Module.CID && a.Kind == kind })
	if i < 0 || !c.intact[artifacts[i].ID()] {
		return false
	}
	for _, id := range partsOf(b, artifacts, c.trees) {
		if !c.intact[id] {
			return false
		}
	}
	return true
}
