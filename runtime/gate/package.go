package gate

import (
	"cmp"
	"context"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Package is a package that passed the loading order. It is safe for concurrent
// use.
type Package struct {
	v         *manifest.Verified
	publisher *TrustEntry
	policy    *rings.Policy
	beside    []Statement
	src       content
	trees     map[cid.Hash]*manifest.Tree
	programs  map[cid.Hash]*ir.Program
	closure   Closure
	kinds     []uint8
	sandbox   func(kind uint8) uint8
}

// Manifest returns the verified manifest. The caller must not change it.
func (p *Package) Manifest() *manifest.Manifest { return p.v.Manifest() }

// Raw returns the bytes of manifest.bin. The caller must not change them.
func (p *Package) Raw() []byte { return p.v.Raw() }

// ID returns the package id.
func (p *Package) ID() cid.Hash { return p.v.PackageID() }

// ManifestCID returns the hash of manifest.bin.
func (p *Package) ManifestCID() cid.Hash { return p.v.CID() }

// Signers returns the known keys that have signed.
func (p *Package) Signers() []sig.AgentID { return p.v.Signers() }

// Publisher returns the trust entry that lets the package run, nil if that is
// this home's dev key.
func (p *Package) Publisher() *TrustEntry { return p.publisher }

// Policy returns the ring policy under which it was loaded.
func (p *Package) Policy() *rings.Policy { return p.policy }

// Attestations returns those that lie beside its manifest, verified. The caller must
// not change them.
func (p *Package) Attestations() []Statement { return p.beside }

// Closure returns everything that the package consists of, by SHA-256.
func (p *Package) Closure() Closure { return p.closure }

// Contents returns the ids of all artifacts and tree files, ascending by cid,
// none twice: what a store must hold beside the manifest.
func (p *Package) Contents() []blob.ArtifactID {
	set := map[blob.ArtifactID]bool{}
	for i := range p.Manifest().Artifacts {
		set[p.Manifest().Artifacts[i].ID()] = true
	}
	for _, t := range p.trees {
		for i := range t.Entries {
			set[t.Entries[i].ID()] = true
		}
	}
	return slices.SortedFunc(maps.Keys(set), func(a, b blob.ArtifactID) int { return a.CID.Compare(b.CID) })
}

// Artifact returns the artifact with this cid.
func (p *Package) Artifact(id cid.Hash) (manifest.Artifact, bool) {
	list := p.Manifest().Artifacts
	i, ok := slices.BinarySearchFunc(list, id, func(a manifest.Artifact, id cid.Hash) int { return a.CID.Compare(id) })
	if !ok {
		return manifest.Artifact{}, false
	}
	return list[i], true
}

// Tree returns the tree with this cid. The caller must not change it.
func (p *Package) Tree(id cid.Hash) (*manifest.Tree, bool) {
	t, ok := p.trees[id]
	return t, ok
}

// Open streams content, verified again: the bytes that complete it come only
// once its hash is known to be right. The caller closes.
func (p *Package) Open(ctx context.Context, id blob.ArtifactID) (io.ReadCloser, error) {
	return p.src.open(ctx, id)
}

// Load returns content of at most limit bytes, verified again.
func (p *Package) Load(ctx context.Context, id blob.ArtifactID, limit uint64) ([]byte, error) {
	b, err := p.src.load(ctx, id, limit)
	return b, about(err, "artifact "+id.CID.String())
}

// Entry is where a run starts.
type Entry struct {
	Name    string
	Bundle  cid.Hash // cid of the ir artifact
	Program *ir.Program
	Task    ir.TaskDef
}

// Entry returns the entry point of that name; for "" the only one, else the one
// called main. Its task's budget is held against the ring policy: this is the
// end of the loading order, and there is no other way to a Program.
func (p *Package) Entry(name string) (*Entry, error) {
	e, err := p.choose(name)
	if err != nil {
		return nil, err
	}
	out := &Entry{Name: e.Name, Bundle: e.Bundle, Program: p.programs[e.Bundle]}
	out.Task, _ = out.Program.Task(e.TaskID)
	if err := p.policy.AdmitBudget(out.Task.Budget); err != nil {
		return nil, about(err, "entry point "+e.Name)
	}
	return out, nil
}

func (p *Package) choose(name string) (*manifest.Entrypoint, error) {
	list := p.Manifest().Entrypoints
	want := name
	switch {
	case name == "" && len(list) == 1:
		return &list[0], nil
	case name == "":
		want = "main"
	}
	var names []string
	for i := range list {
		if list[i].Name == want {
			return &list[i], nil
		}
		names = append(names, list[i].Name)
	}
	known := strings.Join(names[:min(len(names), 20)], ", ")
	if name == "" {
		return nil, fault.New(ErrEntryAmbiguous, "name one of the entry points: %s", known)
	}
	return nil, fault.New(ErrEntryUnknown, "no entry point %q; there is: %s", name, known)
}

// Variants reads picks of the form TOOL=VARIANT, TOOL being a tool's full name
// or a last segment that one tool of the package alone has, and returns the
// variant for each full name.
func (p *Package) Variants(picks []string) (map[string]string, error) {
	out := map[string]string{}
	for _, pick := range picks {
		tool, variant, ok := strings.Cut(pick, "=")
		if !ok || variant == "" {
			return nil, fault.New(ErrVariantUnknown, "%q is not TOOL=VARIANT", pick)
		}
		name, err := p.toolNamed(tool)
		if err != nil {
			return nil, err
		}
		if old, twice := out[name]; twice && old != variant {
			return nil, fault.New(ErrVariantUnknown, "two variants are picked for tool %s", name)
		}
		if !slices.ContainsFunc(p.Manifest().Modules, func(b manifest.ModuleBinding) bool {
			return b.Tool.Name == name && b.Variant == variant
		}) {
			return nil, fault.New(ErrVariantUnknown, "tool %s has no variant %q", name, variant)
		}
		out[name] = variant
	}
	return out, nil
}

// toolNamed returns the full name of the tool that text means.
func (p *Package) toolNamed(text string) (string, error) {
	var ends []string
	for _, b := range p.Manifest().Modules {
		name := b.Tool.Name
		if name == text {
			return name, nil
		}
		if strings.HasSuffix(name, "/"+text) && !strings.Contains(text, "/") && !slices.Contains(ends, name) {
			ends = append(ends, name)
		}
	}
	switch len(ends) {
	case 0:
		return "", fault.New(ErrVariantUnknown, "the package has no tool %q", text)
	case 1:
		return ends[0], nil
	}
	slices.Sort(ends)
	return "", fault.New(ErrVariantUnknown, "%q may be any of %s: give the full name", text, strings.Join(ends, ", "))
}

// Binding returns the module that implements a tool: of the variant picked for
// the tool's name, else the default; for platform (as "linux/amd64") if there is
// one, else without platform.
func (p *Package) Binding(tool cid.Hash, variants map[string]string, platform string) (*manifest.ModuleBinding, error) {
	var tools, fits []*manifest.ModuleBinding
	list := p.Manifest().Modules
	for i := range list {
		if list[i].ToolID != tool {
			continue
		}
		tools = append(tools, &list[i])
		if list[i].Variant == variants[list[i].Tool.Name] {
			fits = append(fits, &list[i])
		}
	}
	switch {
	case len(tools) == 0:
		return nil, fault.New(ErrToolUnbound, "no module of the package implements it").About("tool " + tool.String())
	case len(fits) == 0:
		want := cmp.Or(variants[tools[0].Tool.Name], "default")
		return nil, fault.New(ErrVariantUnknown, "it has no %s variant; pick another", want).About("tool " + tools[0].Tool.Name)
	}
	for _, want := range []string{platform, ""} {
		for _, b := range fits {
			if b.Module.Platform == want {
				return b, nil
			}
		}
	}
	return nil, fault.New(ErrPlatform, "it has no module for %s", platform).About("tool " + fits[0].Tool.Name)
}
