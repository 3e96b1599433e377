package gate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

func TestLoad(t *testing.T) {
	f := newFixture(t)
	src := f.sign(key(1))
	var asked []string
	opt := options(t)
	opt.CheckModule = func(ctx context.Context, b *manifest.ModuleBinding, m ModuleContent) error {
		raw, err := m.Load(ctx)
		asked = append(asked, b.Label()+" "+string(raw[1:4]))
		return err
	}
	p, err := Load(context.Background(), src, opt)
	if err != nil {
		t.Fatal(err)
	}
	if p.ID() != f.m.PackageID || p.ManifestCID() != cid.Sum(src.manifest) || len(p.Signers()) != 1 || !p.Publisher().Holds(key(1).Agent()) {
		t.Error("the package is not the one that was signed")
	}
	if !slices.Equal(asked, []string{"demo/echo asm"}) {
		t.Errorf("the runner was asked about %q", asked)
	}
	e, err := p.Entry("")
	if err != nil || e.Name != "main" || e.Task.Budget.IOCount != 10 {
		t.Fatalf("entry %+v, %v", e, err)
	}
	b, err := p.Binding(e.Program.Effects()[0], nil, "linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.Module(b)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := m.Load(context.Background()); err != nil || string(raw) != "\x00asm\x01\x00\x00\x00" || m.SHA256 != cid.Sum(raw) {
		t.Errorf("module %q of %s, %v", raw, m.SHA256, err)
	}
	if len(p.Contents()) != 3 || len(p.Closure().Objects) != 3 {
		t.Errorf("closure of %d, want 3", len(p.Contents()))
	}
	r, err := Verify(context.Background(), src, opt)
	if err != nil || !r.OK() || *r.PackageID != p.ID() || len(r.Signers) != 1 {
		t.Errorf("report %+v, %v", r, err)
	}
}

// TestRefused changes one thing and wants one code, of Load and as the first
// failure of Verify.
func TestRefused(t *testing.T) {
	mod := func(f *fixture) *manifest.ModuleRef { return &f.m.Modules[0].Module }
	content := func(s *memory, f *fixture, change func([]byte) []byte) {
		s.objects[f.wasm] = change(s.objects[f.wasm])
	}
	for name, c := range map[string]struct {
		build func(*fixture)
		spoil func(*memory, *fixture)
		opt   func(*Options)
		keys  []sig.Key
		want  fault.Code
		load  bool // only Load refuses
	}{
		"torn manifest":      {spoil: func(s *memory, _ *fixture) { s.manifest = s.manifest[:99] }, want: "can_bounds"},
		"package_id":         {spoil: func(s *memory, _ *fixture) { s.manifest[14] ^= 1 }, want: sig.ErrID},
		"detached signature": {spoil: func(s *memory, _ *fixture) { s.sig[len(s.sig)-1] ^= 1 }, want: ErrSignatureDiffers},
		"detached missing":   {spoil: func(s *memory, _ *fixture) { s.sig = []byte{7, 0} }, want: ErrSignatureDiffers},
		"unsigned":           {keys: []sig.Key{}, want: manifest.ErrUnsigned},
		"stranger":           {keys: []sig.Key{key(7)}, want: manifest.ErrSignerUnknown},
		"nobody trusted":     {opt: func(o *Options) { o.Trust = nil }, want: manifest.ErrSignerUnknown},
		"authority's key": {opt: func(o *Options) {
			e := publisher(1, key(1))
			e.Role = sig.Authority
			o.Trust = trust(t, e)
		}, want: manifest.ErrSignerUnknown},
		"threshold": {opt: func(o *Options) { o.Trust = trust(t, publisher(2, key(1), key(2))) }, want: manifest.ErrSignerThreshold},
		"name": {opt: func(o *Options) {
			e := publisher(1, key(1))
			e.Names = []string{"demo/**"}
			o.Trust = trust(t, e)
		}, want: manifest.ErrSignerThreshold},
		"too early": {opt: func(o *Options) {
			e := publisher(1, key(1))
			e.NotBefore = now().Add(1)
			o.Trust = trust(t, e)
		}, want: manifest.ErrSignerThreshold},
		"too late": {opt: func(o *Options) {
			e := publisher(1, key(1))
			e.NotAfter = now()
			o.Trust = trust(t, e)
		}, want: manifest.ErrSignerThreshold},
		"ring_max": {opt: func(o *Options) {
			e := publisher(1, key(1))
			e.RingMax = ref(uint8(0))
			o.Trust, o.Ring = trust(t, e), 1
		}, want: manifest.ErrSignerThreshold, load: true},
		"format":           {build: func(f *fixture) { f.m.FormatVersion = 2 }, want: manifest.ErrFormat},
		"executor":         {build: func(f *fixture) { f.m.Requires.ExecutorMinVersion = "0.1.1" }, want: manifest.ErrExecutorTooOld},
		"codebook":         {build: func(f *fixture) { f.m.Requires.CodebookID[0] ^= 1 }, want: manifest.ErrCodebook},
		"feature":          {build: func(f *fixture) { f.m.Requires.Features = []string{"time.travel"} }, want: manifest.ErrFeature},
		"ctvp":             {build: func(f *fixture) { f.m.Requires.CTVPID = ref(cid.Sum(nil)) }, want: manifest.ErrCTVP},
		"rules":            {build: func(f *fixture) { f.m.Name = "Demo" }, opt: func(*Options) {}, want: manifest.ErrName},
		"attestation":      {build: func(f *fixture) { f.m.Attestations = make([]receipt.Attestation, 1) }, want: manifest.ErrAttestation},
		"artifact missing": {spoil: func(s *memory, f *fixture) { delete(s.objects, f.wasm) }, want: ErrArtifactMissing},
		"artifact longer":  {spoil: func(s *memory, f *fixture) { content(s, f, func(b []byte) []byte { return append(b, 0) }) }, want: manifest.ErrArtifactSize},
		"artifact shorter": {spoil: func(s *memory, f *fixture) { content(s, f, func(b []byte) []byte { return b[1:] }) }, want: manifest.ErrArtifactSize},
		"artifact changed": {spoil: func(s *memory, f *fixture) { s.objects[f.wasm][3] ^= 4 }, want: manifest.ErrArtifactHash},
		"artifact extra":   {spoil: func(s *memory, _ *fixture) { s.objects[cid.Sum([]byte("x"))] = []byte("x") }, want: ErrArtifactExtra},
		"copy differs":     {spoil: func(s *memory, _ *fixture) { s.listed = []error{fault.New(ErrCopyDiffers, "x")} }, want: ErrCopyDiffers},
		"tree not a tree": {build: func(f *fixture) {
			f.add(manifest.KindTree, []byte("tree?"))
		}, want: "can_tag"},
		"tree path": {build: func(f *fixture) {
			tree := &manifest.Tree{Entries: []manifest.TreeEntry{{Path: "../x", CID: cid.Sum(nil), SHA256: cid.Sum(nil)}}}
			f.add(manifest.KindTree, tree.AppendCAN(nil))
		}, want: manifest.ErrPath},
		"tree file missing": {build: func(f *fixture) {
			_, file := f.addTree()
			delete(f.objects, file.SHA256)
		}, want: ErrArtifactMissing},
		"tree file changed": {build: func(f *fixture) {
			_, file := f.addTree()
			f.objects[file.SHA256][0] ^= 1
		}, want: manifest.ErrArtifactHash},
		"entry not in tree": {build: func(f *fixture) {
			f.addTree()
			f.m.Modules[1].Module.Entry[0] = "index.js"
		}, want: manifest.ErrModule},
		"bundle": {build: func(f *fixture) { f.add(manifest.KindIR, []byte{8, 0}) }, want: "can_missing"},
		"tool unbound": {build: func(f *fixture) {
			f.m.Modules[0].Tool.Interface = 2
			f.m.Modules[0].ToolID = f.m.Modules[0].Tool.ID()
		}, want: ErrToolUnbound},
		"feature undeclared": {build: func(f *fixture) {
			f.add(manifest.KindIR, level1Bundle(f.t))
		}, want: ErrFeatureUndeclared},
		"task": {build: func(f *fixture) { f.m.Entrypoints[0].TaskID = cid.Sum(nil) }, want: ErrEntrypointTask},
		"module": {opt: func(o *Options) {
			o.CheckModule = func(context.Context, *manifest.ModuleBinding, ModuleContent) error {
				return fault.New(manifest.ErrModule, "import env.evil")
			}
		}, want: manifest.ErrModule},
		"no policy":     {opt: func(o *Options) { o.Policy = nil }, want: rings.ErrRing, load: true},
		"ring 1":        {opt: func(o *Options) { o.Ring = 1 }, want: rings.ErrRing, load: true},
		"policy signer": {opt: func(o *Options) { o.Policy = policy(t, key(1), nil) }, want: rings.ErrRing, load: true},
		"claims": {opt: func(o *Options) {
			o.Policy = policy(t, key(8), func(p *rings.Policy) {
				p.Claims = []rings.Claim{{ClaimType: 1, Quorum: 1, Verifiers: []sig.AgentID{key(3).Agent()}}}
			})
		}, want: rings.ErrAttestation, load: true},
		"kind":         {opt: func(o *Options) { o.Policy = policy(t, key(8), func(p *rings.Policy) { p.ModuleKinds = []uint8{2} }) }, want: rings.ErrModuleKind, load: true},
		"cap kind":     {build: func(f *fixture) { mod(f).CapsRequired = []manifest.CapRequirement{{Kind: 3}} }, want: rings.ErrCapKind, load: true},
		"no time":      {opt: func(o *Options) { o.Now = o.Now.AddDate(-2025, -5, 0).Truncate(1 << 62) }, want: ErrOptions},
		"no codebooks": {opt: func(o *Options) { o.Host.Codebooks = nil }, want: ErrOptions},
	} {
		t.Run(name, func(t *testing.T) {
			f, opt := newFixture(t), options(t)
			if c.build != nil {
				c.build(f)
			}
			if c.keys == nil {
				c.keys = []sig.Key{key(1)}
			}
			src := f.sign(c.keys...)
			if c.spoil != nil {
				c.spoil(src, f)
			}
			if c.opt != nil {
				c.opt(&opt)
			}
			if p, err := Load(context.Background(), src, opt); fault.CodeOf(err) != c.want || p != nil {
				t.Errorf("Load: got %v, want %s", err, c.want)
			}
			r, err := Verify(context.Background(), src, opt)
			switch {
			case c.want == ErrOptions:
				if !errors.Is(err, ErrOptions) {
					t.Errorf("Verify: %v", err)
				}
			case err != nil:
				t.Errorf("Verify: %v", err)
			case c.load != r.OK():
				t.Errorf("Verify: %+v", r.Failures)
			case !c.load && r.Failures[0].Code != c.want:
				t.Errorf("Verify: got %+v, want %s first", r.Failures, c.want)
			}
		})
	}
}

// TestEveryBit flips every bit of manifest.bin, of manifest.sig and of every
// object of a small package.
func TestEveryBit(t *testing.T) {
	f, opt := newFixture(t), options(t)
	src := f.sign(key(1))
	parts := [][]byte{src.manifest, src.sig}
	for _, b := range src.objects {
		parts = append(parts, b)
	}
	if _, err := Load(context.Background(), src, opt); err != nil {
		t.Fatal(err)
	}
	for n, part := range parts {
		for i := range part {
			for bit := range 8 {
				part[i] ^= 1 << bit
				if _, err := Load(context.Background(), src, opt); fault.CodeOf(err) == "" {
					t.Fatalf("part %d byte %d bit %d: accepted, or no code: %v", n, i, bit, err)
				}
				part[i] ^= 1 << bit
			}
		}
	}
}

// TestFeature: a package that names what its bundles use loads, and the gate
// itself offers what the interpreter has.
func TestFeature(t *testing.T) {
	f, opt := newFixture(t), options(t)
	opt.Host.Features = nil
	f.add(manifest.KindIR, level1Bundle(t))
	f.m.Requires.Features = []string{ir.Level1}
	if _, err := Load(context.Background(), f.sign(key(1)), opt); err != nil {
		t.Error(err)
	}
}

// TestOrder breaks everything from one step on: the first broken step decides.
func TestOrder(t *testing.T) {
	steps := []struct {
		code  fault.Code
		build func(*fixture)
		spoil func(*memory, *fixture)
		opt   func(*Options)
	}{
		{code: ErrSignatureDiffers, spoil: func(s *memory, _ *fixture) { s.sig = []byte{7, 0} }},
		{code: manifest.ErrSignerUnknown, opt: func(o *Options) { o.Trust = trust(t, publisher(1, key(5))) }},
		{code: manifest.ErrExecutorTooOld, build: func(f *fixture) { f.m.Requires.ExecutorMinVersion = "9.0.0" }},
		{code: manifest.ErrCodebook, build: func(f *fixture) { f.m.Requires.CodebookID = cid.Hash{} }},
		{code: manifest.ErrFeature, build: func(f *fixture) { f.m.Requires.Features = []string{"no"} }},
		{code: manifest.ErrCTVP, build: func(f *fixture) { f.m.Requires.CTVPID = ref(cid.Sum(nil)) }},
		{code: manifest.ErrName, build: func(f *fixture) { f.m.Name = "Demo" }},
		{code: manifest.ErrAttestation, build: func(f *fixture) { f.m.Attestations = make([]receipt.Attestation, 1) }},
		{code: ErrArtifactMissing, spoil: func(s *memory, f *fixture) { delete(s.objects, f.wasm) }},
		{code: ErrArtifactExtra, spoil: func(s *memory, _ *fixture) { s.objects[cid.Sum([]byte("x"))] = []byte("x") }},
		{code: ErrEntrypointTask, build: func(f *fixture) { f.m.Entrypoints[0].TaskID = cid.Sum(nil) }},
		{code: rings.ErrRing, opt: func(o *Options) { o.Ring = 3 }},
	}
	for first := range steps {
		f, opt := newFixture(t), options(t)
		for _, s := range steps[first:] {
			if s.build != nil {
				s.build(f)
			}
		}
		src := f.sign(key(1))
		for _, s := range steps[first:] {
			if s.spoil != nil {
				s.spoil(src, f)
			}
			if s.opt != nil {
				s.opt(&opt)
			}
		}
		if _, err := Load(context.Background(), src, opt); !errors.Is(err, steps[first].code) {
			t.Errorf("from step %d: got %v, want %s", first, err, steps[first].code)
		}
	}
}

func TestVerifyGoesOn(t *testing.T) {
	f, opt := newFixture(t), options(t)
	f.m.Requires.Features = []string{"no"}
	f.m.Entrypoints[0].TaskID = cid.Sum(nil)
	src := f.sign(key(7))
	src.sig = []byte{7, 0}
	delete(src.objects, f.wasm)
	src.objects[cid.Sum([]byte("x"))] = []byte("x")
	r, err := Verify(context.Background(), src, opt)
	if err != nil {
		t.Fatal(err)
	}
	var codes []fault.Code
	for _, x := range r.Failures {
		codes = append(codes, x.Code)
		if x.Subject == "" && x.Code != manifest.ErrFeature || x.Message == "" {
			t.Errorf("%+v says too little", x)
		}
	}
	want := []fault.Code{ErrSignatureDiffers, manifest.ErrSignerUnknown, manifest.ErrFeature, ErrArtifactMissing, ErrArtifactExtra, ErrEntrypointTask}
	if !slices.Equal(codes, want) {
		t.Errorf("got %q, want %q", codes, want)
	}
}

// TestStrangersModules: a compiler sees the code of known signers alone, and a
// source is asked for one extra file where one is enough.
func TestStrangersModules(t *testing.T) {
	for _, stranger := range []bool{false, true} {
		f, opt := newFixture(t), options(t)
		asked := false
		opt.CheckModule = func(context.Context, *manifest.ModuleBinding, ModuleContent) error {
			asked = true
			return nil
		}
		by := key(1)
		if stranger {
			by = key(7)
		}
		if _, err := Verify(context.Background(), f.sign(by), opt); err != nil || asked == stranger {
			t.Errorf("stranger %v: asked %v, %v", stranger, asked, err)
		}
	}
}

func TestDevKey(t *testing.T) {
	f, opt := newFixture(t), options(t)
	src := f.sign(key(4))
	dev := key(4).Agent()
	opt.Dev = &dev
	opt.Local = func(id cid.Hash) bool { return id == f.m.PackageID }
	opt.Policy = policy(t, key(4), nil)
	p, err := Load(context.Background(), src, opt)
	if err != nil {
		t.Fatal(err)
	}
	if p.Publisher() != nil {
		t.Error("the dev key has a trust entry")
	}
	opt.Local = func(cid.Hash) bool { return false }
	_, err = Load(context.Background(), src, opt)
	if !errors.Is(err, manifest.ErrSignerUnknown) || !strings.Contains(err.Error(), "packed under this home") {
		t.Errorf("packed elsewhere: %v", err)
	}
	opt.Local = nil
	if _, err = Load(context.Background(), src, opt); !errors.Is(err, manifest.ErrSignerUnknown) {
		t.Errorf("no record: %v", err)
	}
	// Beside a publisher's signature it is one of an unknown key, good or bad.
	src = f.sign(key(4), key(1))
	if p, err := Load(context.Background(), src, opt); err != nil || p.Publisher() == nil {
		t.Errorf("beside a publisher: %v", err)
	}
	opt.Dev = nil
	if _, err := Load(context.Background(), src, opt); !errors.Is(err, rings.ErrRing) {
		t.Errorf("a policy of nobody's key: %v", err)
	}
}

// TestChangedLater changes content after the package was loaded.
func TestChangedLater(t *testing.T) {
	ctx := context.Background()
	f, opt := newFixture(t), options(t)
	src := f.sign(key(1))
	p, err := Load(ctx, src, opt)
	if err != nil {
		t.Fatal(err)
	}
	b := &p.Manifest().Modules[0]
	a, _ := p.Artifact(f.wasm)
	src.objects[f.wasm][4] ^= 1
	m, err := p.Module(b)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := m.Load(ctx); !errors.Is(err, manifest.ErrArtifactHash) || raw != nil {
		t.Errorf("Module: %q, %v", raw, err)
	}
	rc, err := p.Open(ctx, a.ID())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(rc); !errors.Is(err, manifest.ErrArtifactHash) || uint64(len(got)) == a.Size {
		t.Errorf("Open: %q, %v", got, err)
	}
	src.objects[f.wasm] = bytes.Repeat([]byte{0}, 1<<20)
	if _, err := p.Load(ctx, a.ID(), 1<<30); !errors.Is(err, manifest.ErrArtifactSize) {
		t.Errorf("grown: %v", err)
	}
	delete(src.objects, f.wasm)
	if _, err := m.Load(ctx); !errors.Is(err, ErrArtifactMissing) {
		t.Errorf("gone: %v", err)
	}
	if _, err := p.Load(ctx, a.ID(), 3); !errors.Is(err, manifest.ErrLimit) {
		t.Errorf("over the caller's limit: %v", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Load(cancelled, f.sign(key(1)), opt); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Verify(cancelled, f.sign(key(1)), opt); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestEntryPoints(t *testing.T) {
	f, opt := newFixture(t), options(t)
	one := f.m.Entrypoints[0]
	load := func(names ...string) *Package {
		f.m.Entrypoints = nil
		for _, n := range names {
			e := one
			e.Name = n
			f.m.Entrypoints = append(f.m.Entrypoints, e)
		}
		p, err := Load(context.Background(), f.sign(key(1)), opt)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct {
		names []string
		pick  string
		want  string
		code  fault.Code
	}{
		{[]string{"hello"}, "", "hello", ""},
		{[]string{"hello"}, "hello", "hello", ""},
		{[]string{"hello"}, "main", "", ErrEntryUnknown},
		{[]string{"a", "main"}, "", "main", ""},
		{[]string{"a", "main"}, "a", "a", ""},
		{[]string{"a", "b"}, "", "", ErrEntryAmbiguous},
		{[]string{"a", "b"}, "c", "", ErrEntryUnknown},
	} {
		e, err := load(c.names...).Entry(c.pick)
		if fault.CodeOf(err) != c.code || err == nil && e.Name != c.want {
			t.Errorf("%q of %q: got %v, %v", c.pick, c.names, e, err)
		}
	}
	opt.Policy = policy(t, key(8), func(p *rings.Policy) { p.MaxBudget = ir.Budget{CPUMicros: 49_999, IOCount: 10} })
	if _, err := load("main").Entry("main"); !errors.Is(err, rings.ErrBudget) {
		t.Errorf("budget: %v", err)
	}
}

func TestVariants(t *testing.T) {
	f, opt := newFixture(t), options(t)
	native := func(platform string) manifest.ModuleBinding {
		return f.binding("native", manifest.ModuleRef{Kind: manifest.ModuleNative, CID: f.wasm, Entry: []string{"echo"}, Limits: limits(nil), ABI: manifest.ABIStdio, Platform: platform})
	}
	other := f.binding("only", f.wasmRef())
	other.Tool.Name = "x/echo"
	other.ToolID = other.Tool.ID()
	rest := f.binding("", f.wasmRef())
	rest.Tool.Name = "x/rest"
	rest.ToolID = rest.Tool.ID()
	f.m.Modules = append(f.m.Modules, native("linux/amd64"), native("linux/arm64"), other, rest)
	slices.SortStableFunc(f.m.Modules, func(a, b manifest.ModuleBinding) int { return a.ToolID.Compare(b.ToolID) })
	opt.Kinds = []uint8{1, 4}
	opt.Sandbox = func(uint8) uint8 { return 4 }
	opt.Policy = policy(t, key(8), func(p *rings.Policy) { p.ModuleKinds = []uint8{1, 4} })
	p, err := Load(context.Background(), f.sign(key(1)), opt)
	if err != nil {
		t.Fatal(err)
	}
	picked, err := p.Variants([]string{"demo/echo=native"})
	if err != nil || picked["demo/echo"] != "native" {
		t.Fatal(picked, err)
	}
	echo := abi.ToolID("demo/echo", 1, abi.TypeAny, abi.TypeAny)
	for _, c := range []struct {
		tool     cid.Hash
		variants map[string]string
		platform string
		want     string
		code     fault.Code
	}{
		{echo, nil, "linux/amd64", "demo/echo", ""},
		{echo, picked, "linux/arm64", "demo/echo=native (linux/arm64)", ""},
		{echo, picked, "plan9/mips", "", ErrPlatform},
		{other.ToolID, nil, "linux/amd64", "", ErrVariantUnknown},
		{other.ToolID, map[string]string{"x/echo": "only"}, "linux/amd64", "x/echo=only", ""},
		{cid.Sum(nil), nil, "linux/amd64", "", ErrToolUnbound},
	} {
		b, err := p.Binding(c.tool, c.variants, c.platform)
		if fault.CodeOf(err) != c.code || err == nil && b.Label() != c.want {
			t.Errorf("%v: got %v, want %s %s", c, err, c.want, c.code)
		}
	}
	for _, bad := range []string{"echo=native", "demo/echo", "demo/echo=", "demo/echo=node", "nothing=native", "mo/echo=native"} {
		if got, err := p.Variants([]string{bad}); !errors.Is(err, ErrVariantUnknown) {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
	if _, err := p.Variants([]string{"x/echo=only", "x/echo=native"}); !errors.Is(err, ErrVariantUnknown) {
		t.Errorf("two picks: %v", err)
	}
}

func TestTreeContents(t *testing.T) {
	f, opt := newFixture(t), options(t)
	tree, file := f.addTree()
	opt.Kinds = []uint8{1, 2}
	opt.Sandbox = func(uint8) uint8 { return 4 }
	opt.Policy = policy(t, key(8), func(p *rings.Policy) { p.ModuleKinds = []uint8{1, 2} })
	p, err := Load(context.Background(), f.sign(key(1)), opt)
	if err != nil {
		t.Fatal(err)
	}
	x, ok := p.Tree(tree.CID)
	if !ok || len(x.Entries) != 2 || !slices.Contains(p.Contents(), file) || len(p.Contents()) != 6 {
		t.Errorf("tree %v, %d contents", x, len(p.Contents()))
	}
	large := x.Entries[0].ID()
	if large.Flat() {
		t.Fatal("the fixture's large file is small")
	}
	rc, err := p.Open(context.Background(), large)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, rc); err != nil || uint64(n) != large.Size {
		t.Errorf("%d bytes, %v", n, err)
	}
	if p.Closure().Objects[file.SHA256] != UseModule || p.Closure().Objects[tree.SHA256] != UseOther {
		t.Error("a tree's file is module content, the tree is not")
	}
}

// TestAdmit: what a package holds for other hosts does not keep it from running
// here, and what is picked must be able to.
func TestAdmit(t *testing.T) {
	f, opt := newFixture(t), options(t)
	_, file := f.addTree()
	opt.Policy = policy(t, key(8), func(p *rings.Policy) { p.ModuleKinds = []uint8{1, 2} })
	level := uint8(1)
	opt.Sandbox = func(uint8) uint8 { return level }
	p, err := Load(context.Background(), f.sign(key(1)), opt)
	if err != nil {
		t.Fatal(err)
	}
	wasm, process := &p.Manifest().Modules[0], &p.Manifest().Modules[1]
	if wasm.Module.Kind != manifest.ModuleWasm {
		wasm, process = process, wasm
	}
	if err := p.Admit(process); !errors.Is(err, rings.ErrModuleKind) {
		t.Errorf("a kind without a runner: %v", err)
	}
	if err := p.Admit(wasm); !errors.Is(err, rings.ErrSandbox) {
		t.Errorf("a low sandbox: %v", err)
	}
	level = 2
	if err := p.Admit(wasm); err != nil {
		t.Error(err)
	}
	m, err := p.Module(process)
	if err != nil {
		t.Fatal(err)
	}
	rc, err := m.Open(context.Background(), file.SHA256, file.Size)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(rc)
	if err := errors.Join(err, rc.Close()); err != nil || cid.Sum(raw) != file.SHA256 {
		t.Errorf("a tree's file: %q, %v", raw, err)
	}
	if _, err := m.Open(context.Background(), file.SHA256, file.Size+1); !errors.Is(err, ErrArtifactMissing) {
		t.Errorf("a file of another size: %v", err)
	}
	if _, err := m.Open(context.Background(), wasm.Module.CID, 8); !errors.Is(err, ErrArtifactMissing) {
		t.Errorf("another module's bytes: %v", err)
	}
}
