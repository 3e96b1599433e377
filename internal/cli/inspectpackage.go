package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

// packageView is what inspect --json prints for a package.
type packageView struct {
	Schema      string          `json:"schema"`
	Name        string          `json:"name"`
	Version     string          `json:"version"`
	PackageID   cid.Hash        `json:"package_id"`
	ManifestCID cid.Hash        `json:"manifest_cid"`
	OK          bool            `json:"ok"` // what verify says
	Failures    int             `json:"failures"`
	Requires    requiresView    `json:"requires"`
	Entrypoints []entrypoint    `json:"entrypoints"`
	Tools       []toolView      `json:"tools"`
	Artifacts   []artifactView  `json:"artifacts"`
	Policies    []cid.Hash      `json:"policies"`
	Signatures  []signatureView `json:"signatures"`
	Attestation int             `json:"attestations"`
}

type requiresView struct {
	ExecutorMinVersion string    `json:"executor_min_version"`
	CodebookID         cid.Hash  `json:"codebook_id"`
	CTVPID             *cid.Hash `json:"ctvp_id"`
	Features           []string  `json:"features"`
}

type entrypoint struct {
	Name   string   `json:"name"`
	Bundle cid.Hash `json:"bundle"`
	TaskID cid.Hash `json:"task_id"`
	Doc    *string  `json:"doc"`
}

type toolView struct {
	ToolID         cid.Hash     `json:"tool_id"`
	Name           string       `json:"name"`
	Interface      uint16       `json:"interface"`
	RequestTypeID  cid.Hash     `json:"request_type_id"`
	ResponseTypeID cid.Hash     `json:"response_type_id"`
	Retry          string       `json:"retry"`
	Modules        []moduleView `json:"modules"`
}

type moduleView struct {
	Variant  *string    `json:"variant"`
	Kind     string     `json:"kind"`
	Platform *string    `json:"platform"`
	ABI      string     `json:"abi"`
	CID      cid.Hash   `json:"cid"`
	Entry    []string   `json:"entry"`
	Caps     []int      `json:"caps_required"` // kinds
	Limits   limitsView `json:"limits"`
}

type limitsView struct {
	TimeoutMicros    uint64  `json:"timeout_us"`
	MemoryBytes      uint64  `json:"memory_bytes"`
	Fuel             *uint64 `json:"fuel"`
	MaxRequestBytes  uint64  `json:"max_request_bytes"`
	MaxResponseBytes uint64  `json:"max_response_bytes"`
	MaxStderrBytes   uint64  `json:"max_stderr_bytes"`
	MaxIOCalls       uint32  `json:"max_io_calls"`
}

type artifactView struct {
	Kind      string   `json:"kind"`
	CID       cid.Hash `json:"cid"`
	SHA256    cid.Hash `json:"sha256"`
	Size      uint64   `json:"size"`
	MediaType string   `json:"media_type"`
}

type signatureView struct {
	KeyID *cid.Hash `json:"key_id"`
	Known bool      `json:"known"` // by the trust file, or as the dev key of this home
	Valid bool      `json:"valid"` // known only of a known key
	Hint  *string   `json:"hint"`
}

func (o *inspectOptions) showPackage(ctx context.Context, n *node.Node) error {
	r, err := n.Verify(ctx, o.ref)
	if err != nil {
		return err
	}
	if r.Manifest == nil {
		return newVerifyView("", r).failure(o.ref)
	}
	known, err := n.Publishers()
	if err != nil {
		return err
	}
	v := newPackageView(r, known)
	if o.json {
		return o.printJSON(v)
	}
	return v.print(o.app)
}

func newPackageView(r *gate.Report, known []sig.AgentID) packageView {
	m := r.Manifest
	v := packageView{
		Schema: "mythos.inspect.package/1", Name: m.Name, Version: m.Version, PackageID: *r.PackageID, ManifestCID: *r.ManifestCID,
		OK: r.OK(), Failures: len(r.Failures),
		Requires: requiresView{
			m.Requires.ExecutorMinVersion, m.Requires.CodebookID, m.Requires.CTVPID, list(m.Requires.Features),
		},
		Entrypoints: []entrypoint{}, Tools: []toolView{}, Artifacts: []artifactView{}, Policies: list(m.Policies),
		Signatures: []signatureView{}, Attestation: len(m.Attestations),
	}
	for _, e := range m.Entrypoints {
		v.Entrypoints = append(v.Entrypoints, entrypoint{e.Name, e.Bundle, e.TaskID, orNull(e.Doc)})
	}
	for i := range m.Modules {
		v.addModule(&m.Modules[i])
	}
	for _, a := range m.Artifacts {
		v.Artifacts = append(v.Artifacts, artifactView{manifest.KindName(a.Kind), a.CID, a.SHA256, a.Size, a.MediaType})
	}
	for _, s := range m.Signatures {
		v.Signatures = append(v.Signatures, newSignatureView(s, known, r.Signers))
	}
	return v
}

// list is s, but never nil: JSON shows [].
func list[T any](s []T) []T { return append([]T{}, s...) }

// addModule files a binding under its tool; bindings of one tool stand
// together.
func (v *packageView) addModule(b *manifest.ModuleBinding) {
	if n := len(v.Tools); n == 0 || v.Tools[n-1].ToolID != b.ToolID {
		v.Tools = append(v.Tools, toolView{
			ToolID: b.ToolID, Name: b.Tool.Name, Interface: b.Tool.Interface,
			RequestTypeID: b.Tool.RequestTypeID, ResponseTypeID: b.Tool.ResponseTypeID,
			Retry: word(b.Module.Retry, "never", "idempotent", "pure", "reconcile"),
		})
	}
	m, l := &b.Module, &b.Module.Limits
	x := moduleView{
		Variant: orNull(b.Variant), Kind: manifest.ModuleKindName(m.Kind), Platform: orNull(m.Platform),
		ABI: word(m.ABI, "", "hostcall", "stdio"), CID: m.CID, Entry: list(m.Entry), Caps: []int{},
		Limits: limitsView{
			l.TimeoutMicros, l.MemoryBytes, l.Fuel, l.MaxRequestBytes, l.MaxResponseBytes, l.MaxStderrBytes, l.MaxIOCalls,
		},
	}
	for _, c := range m.CapsRequired {
		x.Caps = append(x.Caps, int(c.Kind))
	}
	t := &v.Tools[len(v.Tools)-1]
	t.Modules = append(t.Modules, x)
}

// word names a small number.
func word(n uint8, words ...string) string {
	if int(n) < len(words) && words[n] != "" {
		return words[n]
	}
	return strconv.Itoa(int(n))
}

func newSignatureView(s sig.Signature, known, valid []sig.AgentID) signatureView {
	v := signatureView{KeyID: s.KeyID}
	is := func(a sig.AgentID) bool { return s.KeyID != nil && a.KeyID() == *s.KeyID }
	if i := slices.IndexFunc(known, is); i >= 0 {
		v.Known, v.Hint = true, orNull(known[i].Hint)
	}
	v.Valid = slices.ContainsFunc(valid, is)
	return v
}

func (v *packageView) print(a *app) error {
	t := term.NewTable()
	t.Row("package", v.Name+" "+v.Version)
	t.Row("package_id", v.PackageID.String())
	t.Row("manifest_cid", v.ManifestCID.String())
	t.Row("needs", "executor "+v.Requires.ExecutorMinVersion)
	for _, f := range v.Requires.Features {
		t.Row("feature", f)
	}
	t.Row("verifies", yes(v.OK))
	err := a.printTable(t)
	for _, part := range []*term.Table{v.entrypointTable(), v.toolTable(), v.artifactTable(), v.signatureTable()} {
		if part.Len() > 0 {
			err = errors.Join(err, a.printf("\n"), a.printTable(part))
		}
	}
	if !v.OK {
		a.note("%d failure(s); mythos verify lists them", v.Failures)
	}
	return err
}

func (v *packageView) entrypointTable() *term.Table {
	t := term.NewTable("ENTRYPOINT", "TASK", "DOC")
	for _, e := range v.Entrypoints {
		doc := ""
		if e.Doc != nil {
			doc = *e.Doc
		}
		t.Row(e.Name, e.TaskID.String(), doc)
	}
	return t
}

func (v *packageView) toolTable() *term.Table {
	t := term.NewTable("TOOL", "INTERFACE", "RETRY", "KIND", "PLATFORM", "ABI", "MODULE").Right(1)
	for _, tool := range v.Tools {
		for _, m := range tool.Modules {
			variant, platform := "", "any"
			if m.Variant != nil {
				variant = *m.Variant
			}
			if m.Platform != nil {
				platform = *m.Platform
			}
			t.Row(toolLabel(tool.Name, variant), fmt.Sprint(tool.Interface), tool.Retry, m.Kind, platform, m.ABI, m.CID.String())
		}
	}
	return t
}

func (v *packageView) artifactTable() *term.Table {
	t := term.NewTable("ARTIFACT", "SIZE", "MEDIA TYPE", "CID").Right(1)
	for _, a := range v.Artifacts {
		t.Row(a.Kind, strconv.FormatUint(a.Size, 10), a.MediaType, a.CID.String())
	}
	return t
}

func (v *packageView) signatureTable() *term.Table {
	t := term.NewTable("SIGNED BY", "KNOWN", "VALID", "HINT")
	for _, s := range v.Signatures {
		id, hint := "", ""
		if s.KeyID != nil {
			id = s.KeyID.String()
		}
		if s.Hint != nil {
			hint = *s.Hint
		}
		t.Row(id, yes(s.Known), yes(s.Valid), hint)
	}
	return t
}
