package pack

import (
	"bytes"
	"cmp"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

// bundle is a packed ir artifact.
type bundle struct {
	cid   cid.Hash
	tasks []ir.TaskDef
	names []ir.Name // of the tasks in the text; nil if the source is none
	needs []string  // features
}

// manifest turns a recipe into an unsigned manifest, whose artifacts lie in the
// staging folder.
func (c *collector) manifest(r *recipe) (*manifest.Manifest, error) {
	m := &manifest.Manifest{Name: r.name, Version: r.version, Requires: r.requires}
	bundles := map[string]bundle{}
	for _, x := range r.irs {
		b, err := c.bundle(x)
		if err != nil {
			return nil, err
		}
		bundles[x.name] = b
		m.Requires.Features = withFeatures(m.Requires.Features, b.needs)
	}
	for _, e := range r.entrypoints {
		x, err := bundles[e.ir].entry(e)
		if err != nil {
			return nil, err
		}
		m.Entrypoints = append(m.Entrypoints, x)
	}
	for i := range r.modules {
		b, err := c.module(&r.modules[i])
		if err != nil {
			return nil, err
		}
		m.Modules = append(m.Modules, b)
	}
	slices.SortFunc(m.Modules, func(a, b manifest.ModuleBinding) int {
		return cmp.Or(a.ToolID.Compare(b.ToolID), cmp.Compare(a.Variant, b.Variant), cmp.Compare(a.Module.Platform, b.Module.Platform))
	})
	if err := c.loose(r, m); err != nil {
		return nil, err
	}
	m.Artifacts = c.sorted()
	return m, nil
}

// withFeatures adds to an ascending list what is not in it.
func withFeatures(list, needs []string) []string {
	for _, f := range needs {
		if i, found := slices.BinarySearch(list, f); !found {
			list = slices.Insert(list, i, f)
		}
	}
	return list
}

// loose adds what no module or entry point names.
func (c *collector) loose(r *recipe, m *manifest.Manifest) error {
	for _, p := range r.policies {
		id, err := c.addFile(manifest.KindPolicy, mediaPolicy, p)
		if err != nil {
			return err
		}
		m.Policies = append(m.Policies, id.CID)
	}
	slices.SortFunc(m.Policies, cid.Hash.Compare)
	for _, x := range r.schemas {
		if _, err := c.addFile(manifest.KindSchema, x.mediaType, x.path); err != nil {
			return err
		}
	}
	for _, x := range r.docs {
		if _, err := c.addFile(manifest.KindDoc, x.mediaType, x.path); err != nil {
			return err
		}
	}
	return nil
}

// maxBundleJSON bounds the JSON view of a bundle, which is larger than the
// bundle.
const maxBundleJSON = 4 * ir.MaxBundle

// bundle reads an ir source in whichever form and adds it.
func (c *collector) bundle(x irRecipe) (bundle, error) {
	var b bundle
	text, err := readSource(c.root, x.path, maxBundleJSON)
	if err != nil {
		return b, err
	}
	raw := text
	switch path.Ext(x.path) {
	case ".mir":
		var a ir.Assembly
		a, err = ir.AssembleNamed(text)
		raw, b.names = a.Bundle, a.Tasks
	case ".json":
		raw, err = can.FromJSON(text)
	}
	if err != nil {
		return b, aboutSource(err, x.path)
	}
	p, err := ir.Load(raw)
	if err != nil {
		return b, aboutSource(err, x.path)
	}
	id, err := c.add(manifest.KindIR, mediaIR, x.path, bytes.NewReader(raw))
	if err != nil {
		return b, err
	}
	b.cid, b.tasks, b.needs = id.CID, p.Tasks(), p.Features()
	c.copies = append(c.copies, copyOf{irDir + "/" + x.name + ".bin", id.SHA256})
	return b, nil
}

// aboutSource puts a file's path before what an error is about.
func aboutSource(err error, path string) error {
	var e *fault.Error
	if !errors.As(err, &e) {
		return fault.New(ErrSource, "%w", err).About(path)
	}
	if e.Subject == "" {
		return e.About(path)
	}
	if c := e.Subject[0]; c >= '0' && c <= '9' {
		return e.About(path + ":" + e.Subject) // FILE:LINE:COLUMN, as editors read it
	}
	return e.About(path + ": " + e.Subject)
}

// entry finds an entry point's task: by name, by id, or the only one.
func (b bundle) entry(e entryRecipe) (manifest.Entrypoint, error) {
	out := manifest.Entrypoint{Name: e.name, Bundle: b.cid, Doc: e.doc}
	subject := "entry point " + e.name
	switch {
	case e.task == "" && len(b.tasks) == 1:
		out.TaskID = b.tasks[0].TaskID
		return out, nil
	case e.task == "":
		return out, fault.New(ErrSource, "ir %s has %d tasks; name one", e.ir, len(b.tasks)).About(subject)
	case strings.HasPrefix(e.task, "sha256:"):
		id, err := cid.Parse(e.task)
		if err != nil {
			return out, fault.New(ErrSource, "task: %w", err).About(subject)
		}
		out.TaskID = id // the loading order looks for it
		return out, nil
	}
	var names []string
	for _, n := range b.names {
		if n.Name == e.task {
			out.TaskID = n.ID
			return out, nil
		}
		names = append(names, n.Name)
	}
	return out, fault.New(ErrSource, "ir %s has no task called %q%s", e.ir, e.task, suggest(e.task, names)).About(subject)
}

// module packs one module with what it says about its tool.
func (c *collector) module(r *moduleRecipe) (manifest.ModuleBinding, error) {
	b := manifest.ModuleBinding{Tool: r.tool, Variant: r.variant, Module: r.module}
	label := "modules/" + strings.ReplaceAll(r.tool.Name, "/", "__")
	if r.variant != "" {
		label += "@" + r.variant
	}
	if r.module.Platform != "" {
		label += "+" + strings.ReplaceAll(r.module.Platform, "/", "-")
	}
	var err error
	switch r.module.Kind {
	case manifest.ModuleWasm:
		b.Module.CID, err = c.moduleFile(mediaWasm, r.path, label+".wasm")
	case manifest.ModuleNative:
		b.Module.CID, err = c.moduleFile(mediaBinary, r.path, label)
	case manifest.ModuleOCI:
		b.Module.CID, b.Module.Platform, err = c.image(r.path, r.module.Platform)
	default:
		b.Module.CID, err = c.tree(r.path, label)
	}
	if err != nil {
		return b, err
	}
	if err := c.describe(r, &b.Tool); err != nil {
		return b, err
	}
	b.ToolID = b.Tool.ID()
	return b, nil
}

func (c *collector) moduleFile(mediaType, path, show string) (cid.Hash, error) {
	id, err := c.addFile(manifest.KindModule, mediaType, path)
	c.copies = append(c.copies, copyOf{show, id.SHA256})
	return id.CID, err
}

// describe adds a tool's description and schemas.
func (c *collector) describe(r *moduleRecipe, t *manifest.Tool) error {
	if r.description != "" {
		id, err := c.add(manifest.KindDoc, mediaText, "the description of "+t.Name, strings.NewReader(r.description))
		if err != nil {
			return err
		}
		t.Description = &id.CID
	}
	for _, s := range []struct {
		path string
		to   **cid.Hash
	}{{r.requestSchema, &t.RequestSchema}, {r.responseSchema, &t.ResponseSchema}} {
		if s.path == "" {
			continue
		}
		id, err := c.addFile(manifest.KindSchema, mediaSchema, s.path)
		if err != nil {
			return err
		}
		*s.to = &id.CID
	}
	return nil
}
