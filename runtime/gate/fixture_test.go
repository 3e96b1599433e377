package gate

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

const program = `const greeting = text "hello"
tool echo = demo/echo interface 1 (any) -> any

func main() -> any {
  const greeting, r0
  effect echo, r0, r1, r2
  ret r1
}

task main = main() budget cpu_us=50000 io=10 writes=0
`

func key(n byte) sig.Key { return sig.NewKey([32]byte{n, 2}, fmt.Sprintf("TEST ONLY %d", n)) }

func codebook() cid.Hash { return cid.Sum([]byte("codebook")) }

// memory is a Source in memory.
type memory struct {
	manifest []byte
	sig      []byte
	objects  map[cid.Hash][]byte
	listed   []error
}

func (m *memory) Manifest(_ context.Context, limit int) ([]byte, error) {
	if len(m.manifest) > limit {
		return nil, fault.New(manifest.ErrLimit, "too long")
	}
	return slices.Clone(m.manifest), nil
}

func (m *memory) Signatures(context.Context, int) ([]byte, bool, error) {
	return m.sig, m.sig != nil, nil
}

func (m *memory) Open(_ context.Context, id blob.ArtifactID) (io.ReadCloser, error) {
	b, ok := m.objects[id.SHA256]
	if !ok {
		return nil, fault.New(ErrArtifactMissing, "no such object")
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (m *memory) CheckContents(_ context.Context, c Closure, limit int) []error {
	out := slices.Clone(m.listed)
	for h := range m.objects {
		if c.Objects[h] == 0 {
			out = append(out, fault.New(ErrArtifactExtra, "extra").About(h.String()))
		}
	}
	return out[:min(len(out), limit)]
}

// fixture is a package under construction.
type fixture struct {
	t       testing.TB
	m       manifest.Manifest
	objects map[cid.Hash][]byte
	wasm    cid.Hash
}

// newFixture returns a package with one bundle, a wasm tool and a doc.
func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{t: t, objects: map[cid.Hash][]byte{}}
	f.m = manifest.Manifest{
		FormatVersion: 1, Name: "demo-001", Version: "0.1.0",
		Requires: manifest.Requires{ExecutorMinVersion: "0.1.0", CodebookID: codebook()},
	}
	bundle, err := ir.Assemble([]byte(program))
	if err != nil {
		t.Fatal(err)
	}
	b := f.add(manifest.KindIR, bundle)
	f.wasm = f.add(manifest.KindModule, []byte("\x00asm\x01\x00\x00\x00")).CID
	f.add(manifest.KindDoc, []byte("read me"))
	f.m.Modules = []manifest.ModuleBinding{f.binding("", f.wasmRef())}
	f.m.Entrypoints = []manifest.Entrypoint{{Name: "main", Bundle: b.CID, TaskID: task(t, bundle)}}
	return f
}

func task(t testing.TB, bundle []byte) cid.Hash {
	t.Helper()
	p, err := ir.Load(bundle)
	if err != nil {
		t.Fatal(err)
	}
	return p.Tasks()[0].TaskID
}

// level1Bundle is a bundle with an op of the feature ir.level1.
func level1Bundle(t testing.TB) []byte {
	t.Helper()
	b, err := ir.Assemble([]byte("func main() -> any {\n  not r0, r0\n  ret r0\n}\ntask main = main() budget cpu_us=1 io=0 writes=0\n"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// add adds an artifact, in order.
func (f *fixture) add(kind uint8, content []byte) blob.ArtifactID {
	f.t.Helper()
	id, err := blob.WriteArtifact(bytes.NewReader(content), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	f.objects[id.SHA256] = content
	f.m.Artifacts = append(f.m.Artifacts, manifest.Artifact{Kind: kind, CID: id.CID, MediaType: "x/y", Size: id.Size, SHA256: id.SHA256})
	slices.SortFunc(f.m.Artifacts, func(a, b manifest.Artifact) int { return a.CID.Compare(b.CID) })
	return id
}

func (f *fixture) binding(variant string, ref manifest.ModuleRef) manifest.ModuleBinding {
	b := manifest.ModuleBinding{
		Tool:    manifest.Tool{Name: "demo/echo", Interface: 1, RequestTypeID: abi.TypeAny, ResponseTypeID: abi.TypeAny},
		Variant: variant, Module: ref,
	}
	b.ToolID = b.Tool.ID()
	return b
}

func limits(fuel *uint64) manifest.Limits {
	return manifest.Limits{TimeoutMicros: 1e6, MemoryBytes: 1 << 26, Fuel: fuel, MaxRequestBytes: 1 << 20, MaxResponseBytes: 1 << 20}
}

func ref[T any](v T) *T { return &v }

func (f *fixture) wasmRef() manifest.ModuleRef {
	return manifest.ModuleRef{Kind: manifest.ModuleWasm, CID: f.wasm, Entry: []string{"_start"}, Limits: limits(ref(uint64(1e9))), ABI: manifest.ABIHostcall}
}

// addTree adds a process variant: a tree with two files, one of them large.
func (f *fixture) addTree() (tree, file blob.ArtifactID) {
	f.t.Helper()
	var entries []manifest.TreeEntry
	for _, x := range []struct {
		path string
		body []byte
	}{{"lib/data.bin", bytes.Repeat([]byte("data"), blob.FlatLimit/4+9)}, {"main.js", []byte("console.log(1)")}} {
		id, err := blob.WriteArtifact(bytes.NewReader(x.body), nil)
		if err != nil {
			f.t.Fatal(err)
		}
		f.objects[id.SHA256] = x.body
		entries = append(entries, manifest.TreeEntry{Path: x.path, CID: id.CID, Size: id.Size, SHA256: id.SHA256})
	}
	t := &manifest.Tree{Entries: entries}
	tree = f.add(manifest.KindTree, t.AppendCAN(nil))
	f.m.Modules = append(f.m.Modules, f.binding("node", manifest.ModuleRef{
		Kind: manifest.ModuleProcess, CID: tree.CID, Entry: []string{"main.js"}, Limits: limits(nil), ABI: manifest.ABIStdio,
		Runtime: &manifest.Runtime{Name: "node", Version: ">=20"},
	}))
	return tree, entries[1].ID()
}

// sign returns the package as a Source, signed whatever its rules say.
func (f *fixture) sign(keys ...sig.Key) *memory {
	f.t.Helper()
	f.m.Signatures = nil
	var err error
	if f.m.PackageID, err = cid.Without(f.m.AppendCAN(nil), 1, 11, 12); err != nil {
		f.t.Fatal(err)
	}
	raw := f.m.AppendCAN(nil)
	for _, k := range keys {
		if raw, err = manifest.AddSignature(raw, k); err != nil {
			f.t.Fatal(err)
		}
	}
	u, err := manifest.Decode(raw)
	if err != nil {
		f.t.Fatal(err)
	}
	f.m.Signatures = u.Claims().Signatures
	objects := map[cid.Hash][]byte{}
	for h, b := range f.objects {
		objects[h] = slices.Clone(b)
	}
	return &memory{manifest: raw, sig: u.Claims().AppendSig(nil), objects: objects}
}

func now() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

// policy returns the default policy of ring 0, changed and signed by k.
func policy(t testing.TB, k sig.Key, change func(*rings.Policy)) *rings.Policy {
	t.Helper()
	p := rings.Default(0)
	if change != nil {
		change(p)
	}
	raw, err := rings.Sign(p, k)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = rings.Open(raw); err != nil {
		t.Fatal(err)
	}
	return p
}

func trust(t testing.TB, entries ...TrustEntry) *Trust {
	t.Helper()
	tr, err := NewTrust(entries)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func publisher(threshold int, keys ...sig.Key) TrustEntry {
	e := TrustEntry{Role: sig.Publisher, Threshold: threshold}
	for _, k := range keys {
		e.Keys = append(e.Keys, k.Agent())
	}
	return e
}

// options trusts key 1 as publisher and key 8 for policies.
func options(t testing.TB) Options {
	t.Helper()
	policies := publisher(1, key(8))
	policies.Role = sig.Policy
	return Options{
		Host:  manifest.Host{Version: "0.1.0", Codebooks: []cid.Hash{codebook()}, Features: []string{"ir.level1"}},
		Trust: trust(t, publisher(1, key(1)), policies), Now: now(),
		Kinds: []uint8{manifest.ModuleWasm}, Policy: policy(t, key(8), nil),
	}
}
