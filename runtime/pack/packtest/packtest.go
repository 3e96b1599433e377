// Package packtest makes small signed packages for tests, without a compiler:
// an IR in assembly text and modules that are hand-made wasm. The packages are
// written by package pack itself; Spec.Edit then changes what a packer would
// refuse to write, and signs that.
package packtest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/codebook"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack"
	"github.com/mythos-run/mythos/runtime/pack/archive"
)

// HelloIR sends "hello" to demo/echo and returns the response.
const HelloIR = `const greeting = text "hello"
tool echo = demo/echo interface 1 (any) -> any

func main() -> any {
  const greeting, r0
  effect echo, r0, r1, r2
  ret r1
}

task main = main() budget cpu_us=50000 io=10 writes=0
`

// Spec is a package. Its zero value says hello through an echo.
type Spec struct {
	Name    string   // "" is test/hello
	Version string   // "" is 0.1.0
	IR      string   // assembly text; "" is HelloIR
	Modules []Module // nil is one echo; empty is none

	// Source overrides keys of manifest.src.json; a nil value leaves one out.
	// There is one ir, called main, and one entry point for its only task.
	Source map[string]any

	// Files are more files of the source folder, by path.
	Files map[string]string

	// Signer signs; nil is Key().
	Signer sig.Signer

	// Edit changes the manifest after everything was built. The result is signed
	// as it is, whatever rule it breaks.
	Edit func(*manifest.Manifest)

	// Unsigned leaves the package without signatures.
	Unsigned bool
}

// Module is one wasm module.
type Module struct {
	Tool    string            // "" is demo/echo, interface 1, any to any
	Wasm    []byte            // nil is EchoWasm("echo")
	Variant string            // "" is the default
	ABI     string            // "" is hostcall
	Retry   string            // "" is pure
	Limits  map[string]uint64 // over pack's defaults, by their names
	Source  map[string]any    // overrides keys of the module
}

// Package is what was built.
type Package struct {
	Source      string // the source folder
	Dir         string // the packed folder
	Archive     string
	PackageID   cid.Hash
	ManifestCID cid.Hash
	Manifest    *manifest.Manifest
	Signer      sig.AgentID
}

// Key returns the publisher's key of every package that names no other.
func Key() sig.Key {
	return sig.NewKey([32]byte([]byte("packtest publisher, not a secret")), "packtest")
}

// Host is an executor that offers what packages of this package want.
func Host() manifest.Host {
	return manifest.Host{Version: "0.1.0", Codebooks: []cid.Hash{codebook.BaselineID()}, Features: []string{"ir.level1"}}
}

// Build writes the package of s below a temporary folder of t.
func Build(t testing.TB, s Spec) Package {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	WriteSource(t, source, s)
	signer := s.Signer
	if signer == nil {
		signer = Key()
	}
	built, err := pack.Build(context.Background(), pack.BuildOptions{
		Dir: source, Out: filepath.Join(dir, "out"), Signer: signer, Host: Host(),
	})
	if err != nil {
		t.Fatalf("packtest: %v", err)
	}
	p := Package{
		Source: source, Dir: built.Folder, Archive: built.Archive,
		PackageID: built.PackageID, ManifestCID: built.ManifestCID, Signer: signer.Agent(),
	}
	p.Manifest = p.read(t)
	if s.Edit != nil {
		s.Edit(p.Manifest)
	}
	if s.Edit != nil || s.Unsigned {
		p.sign(t, signer, s.Unsigned)
	}
	return p
}

func (p *Package) read(t testing.TB) *manifest.Manifest {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.Dir, archive.ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	u, err := manifest.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Claims()
}

// sign gives the edited manifest its id and signature, and writes both forms
// anew, without the view that no longer shows it.
func (p *Package) sign(t testing.TB, by sig.Signer, unsigned bool) {
	t.Helper()
	m := p.Manifest
	m.Signatures = nil
	id, err := cid.Without(m.AppendCAN(nil), 1, 11, 12)
	if err != nil {
		t.Fatal(err)
	}
	m.PackageID = id
	if !unsigned {
		keyID := by.Agent().KeyID()
		s := sig.Signature{Alg: sig.Ed25519, KeyID: &keyID}
		if s.SigBytes, err = by.Sign(id); err != nil {
			t.Fatal(err)
		}
		m.Signatures = []sig.Signature{s}
	}
	raw := m.AppendCAN(nil)
	if err := can.Valid(raw); err != nil {
		t.Fatalf("packtest: Edit made a manifest that cannot be encoded: %v", err)
	}
	p.PackageID, p.ManifestCID = id, cid.Sum(raw)
	p.Put(t, archive.ManifestName, raw)
	p.Put(t, archive.SignaturesName, m.AppendSig(nil))
	if err := os.Remove(filepath.Join(p.Dir, "manifest.json")); err != nil {
		t.Fatal(err)
	}
	p.Rearchive(t)
}

// Put writes a file of the packed folder. The archive stays as it is until
// Rearchive.
func (p *Package) Put(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.Dir, filepath.FromSlash(name)), content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Rearchive writes the archive from what the packed folder now holds.
func (p *Package) Rearchive(t testing.TB) {
	t.Helper()
	f, err := os.Create(p.Archive)
	if err != nil {
		t.Fatal(err)
	}
	w := archive.NewWriter(f, archive.Limits{})
	objects, err := filepath.Glob(filepath.Join(p.Dir, "objects", "*"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{archive.ManifestName, archive.SignaturesName}
	for _, o := range objects {
		names = append(names, "objects/"+filepath.Base(o))
	}
	for _, name := range names {
		p.addTo(t, w, name)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func (p *Package) addTo(t testing.TB, w *archive.Writer, name string) {
	t.Helper()
	f, err := os.Open(filepath.Join(p.Dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(name, info.Size(), f); err != nil {
		t.Fatal(err)
	}
}

// WriteSource writes the source folder of s.
func WriteSource(t testing.TB, dir string, s Spec) {
	t.Helper()
	files := map[string]string{"ir/main.mir": s.IR}
	if s.IR == "" {
		files["ir/main.mir"] = HelloIR
	}
	if s.Modules == nil {
		s.Modules = []Module{{}}
	}
	modules := []any{}
	for i, m := range s.Modules {
		path := fmt.Sprintf("modules/m%d.wasm", i)
		if m.Wasm == nil {
			m.Wasm = EchoWasm("echo")
		}
		files[path] = string(m.Wasm)
		modules = append(modules, m.json(path))
	}
	src := map[string]any{
		"name": or(s.Name, "test/hello"), "version": or(s.Version, "0.1.0"),
		"ir":          []any{map[string]any{"name": "main", "path": "ir/main.mir"}},
		"entrypoints": []any{map[string]any{"name": "main", "ir": "main"}},
		"modules":     modules,
	}
	override(src, s.Source)
	raw, err := json.MarshalIndent(src, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	files["manifest.src.json"] = string(raw)
	maps.Copy(files, s.Files)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[name]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// json is the module's item of manifest.src.json.
func (m *Module) json(path string) map[string]any {
	out := map[string]any{
		"tool": map[string]any{
			"name": or(m.Tool, "demo/echo"), "interface": 1, "request_type": "any", "response_type": "any",
		},
		"kind": "wasm", "path": path, "abi": or(m.ABI, "hostcall"), "retry": or(m.Retry, "pure"),
	}
	if m.Variant != "" {
		out["variant"] = m.Variant
	}
	if m.Limits != nil {
		out["limits"] = m.Limits
	}
	override(out, m.Source)
	return out
}

func override(m, with map[string]any) {
	for k, v := range with {
		if v == nil {
			delete(m, k)
		} else {
			m[k] = v
		}
	}
}

func or(s, absent string) string {
	if s == "" {
		return absent
	}
	return s
}
