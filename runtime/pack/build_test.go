package pack_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/pack"
	"github.com/mythos-run/mythos/runtime/pack/archive"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
)

// options packs a source folder the way packtest does.
func options(dir, out string) pack.BuildOptions {
	return pack.BuildOptions{Dir: dir, Out: out, Signer: packtest.Key(), Host: packtest.Host()}
}

// contents reads every file below dir: its path, mode and bytes.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, dir)] = info.Mode().String() + " " + string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBuild(t *testing.T) {
	p := packtest.Build(t, packtest.Spec{Modules: []packtest.Module{{}, {Variant: "loud", Wasm: packtest.EchoWasm("LOUD")}}})
	m := p.Manifest
	if m.Name != "test/hello" || m.Version != "0.1.0" || len(m.Artifacts) != 3 || len(m.Modules) != 2 || len(m.Signatures) != 1 {
		t.Errorf("the manifest says %s %s, %d artifacts, %d modules, %d signatures", m.Name, m.Version, len(m.Artifacts), len(m.Modules), len(m.Signatures))
	}
	if got, want := filepath.Base(p.Dir), "test__hello-0.1.0"; got != want {
		t.Errorf("folder %s, want %s", got, want)
	}
	raw, err := os.ReadFile(p.Archive)
	if err != nil {
		t.Fatal(err)
	}
	again, err := pack.Build(context.Background(), options(p.Source, filepath.Dir(p.Dir)))
	if err != nil {
		t.Fatal(err)
	}
	if again.ArchiveSHA256 != sha256.Sum256(raw) {
		t.Errorf("archive_sha256 is %s, the file's is %s", again.ArchiveSHA256, cid.Sum(raw))
	}
	if again.PackageID != p.PackageID || again.ManifestCID != p.ManifestCID {
		t.Error("packing again gave another package")
	}
	files := contents(t, p.Dir)
	for _, name := range []string{
		"/manifest.bin", "/manifest.sig", "/manifest.json", "/ir/main.bin", "/modules/demo__echo.wasm", "/modules/demo__echo@loud.wasm",
	} {
		if _, ok := files[name]; !ok {
			t.Errorf("the folder has no %s", name)
		}
	}
	if want := 6 + len(m.Artifacts); len(files) != want {
		t.Errorf("the folder has %d files, want %d", len(files), want)
	}
	for name, content := range files {
		if !strings.HasPrefix(content, "-rw-r--r-- ") {
			t.Errorf("%s has mode %s, want 0644", name, content[:10])
		}
	}
}

// TestBuildOpens shows that both forms pass the gate, and only for those who
// trust the signer.
func TestBuildOpens(t *testing.T) {
	p := packtest.Build(t, packtest.Spec{})
	agent := packtest.Key().Agent()
	for _, path := range []string{p.Dir, p.Archive} {
		src, err := pack.Open(context.Background(), path, pack.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		opt := gate.Options{Host: packtest.Host(), Now: time.Unix(1, 0), Dev: &agent, Local: func(cid.Hash) bool { return true }}
		r, err := gate.Verify(context.Background(), src, opt)
		if err != nil || !r.OK() {
			t.Errorf("%s: %v, %v", path, err, r.Failures)
		}
		opt.Dev = nil
		if r, err = gate.Verify(context.Background(), src, opt); err != nil || r.OK() || r.Failures[0].Code != manifest.ErrSignerUnknown {
			t.Errorf("%s without trust: %v, %v", path, err, r.Failures)
		}
	}
}

// TestBuildIsDeterministic packs a copy in another folder, with other file
// times.
func TestBuildIsDeterministic(t *testing.T) {
	node := packtest.Module{Variant: "node", ABI: "stdio", Source: map[string]any{
		"kind": "process", "path": "app", "entry": []string{"main.js"}, "runtime": map[string]any{"name": "node", "version": ">=20"},
	}}
	spec := packtest.Spec{
		Modules: []packtest.Module{{}, node},
		Source:  map[string]any{"docs": []any{"README.md"}},
		Files:   map[string]string{"README.md": "# hello\n", "app/main.js": "1", "app/lib/x.js": "2"},
	}
	base := t.TempDir()
	var trees []map[string]string
	for i, place := range []string{"one", "two of/a kind"} {
		dir, out := filepath.Join(base, place), filepath.Join(base, "out", place)
		packtest.WriteSource(t, dir, spec)
		if i == 1 {
			changeTimes(t, dir)
		}
		if _, err := pack.Build(context.Background(), options(dir, out)); err != nil {
			t.Fatal(err)
		}
		trees = append(trees, contents(t, out))
	}
	if diff := cmp.Diff(trees[0], trees[1]); diff != "" {
		t.Errorf("two packs differ (-first +second):\n%s", diff)
	}
	if _, ok := trees[0]["/test__hello-0.1.0/modules/demo__echo@node/lib/x.js"]; !ok {
		t.Error("the tree has no copy for people")
	}
	for name, content := range trees[0] {
		if strings.Contains(content, base) {
			t.Errorf("%s names the folder of the source", name)
		}
	}
}

func changeTimes(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, time.Unix(981173106, 0), time.Unix(981173106, 0)))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestBuildNamesFeatures: pack adds the features that the bundles use to those
// that the source names, each once.
func TestBuildNamesFeatures(t *testing.T) {
	const level1 = "func main() -> any {\n  not r0, r0\n  ret r0\n}\ntask main = main() budget cpu_us=1 io=0 writes=0\n"
	for name, c := range map[string]struct {
		ir     string
		source packtest.Spec
		want   []string
	}{
		"level 0":        {packtest.HelloIR, source(), nil},
		"level 0, named": {packtest.HelloIR, source("features", []any{ir.Level1}), []string{ir.Level1}},
		"level 1":        {level1, source(), []string{ir.Level1}},
		"level 1, named": {level1, source("features", []any{ir.Level1}), []string{ir.Level1}},
	} {
		c.source.IR = c.ir
		if got := packtest.Build(t, c.source).Manifest.Requires.Features; !slices.Equal(got, c.want) {
			t.Errorf("%s: requires.features is %q, want %q", name, got, c.want)
		}
	}
}

// TestBuildFormsOfIR shows that text, JSON view and bundle give one package.
func TestBuildFormsOfIR(t *testing.T) {
	want := packtest.Build(t, packtest.Spec{})
	raw, err := ir.Assemble([]byte(packtest.HelloIR))
	if err != nil {
		t.Fatal(err)
	}
	view, err := can.AppendJSON(nil, raw)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"b.bin": string(raw), "b.json": string(view)} {
		s := source("ir", []any{map[string]any{"name": "main", "path": name}})
		s.Files = map[string]string{name: content}
		if got := packtest.Build(t, s); got.PackageID != want.PackageID {
			t.Errorf("%s gives package %s, the text %s", name, got.PackageID, want.PackageID)
		}
	}
}

// refusal is a source that is not packed.
type refusal struct {
	spec packtest.Spec
	want fault.Code
	text string // part of the message
}

func source(kv ...any) packtest.Spec {
	s := packtest.Spec{Source: map[string]any{}}
	for i := 0; i < len(kv); i += 2 {
		s.Source[kv[i].(string)] = kv[i+1]
	}
	return s
}

func module(kv ...any) packtest.Spec {
	m := packtest.Module{Source: map[string]any{}}
	for i := 0; i < len(kv); i += 2 {
		m.Source[kv[i].(string)] = kv[i+1]
	}
	return packtest.Spec{Modules: []packtest.Module{m}}
}

func refusals() map[string]refusal {
	key := "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIGlRHEsUlIrQkQqK4Zs\n-----END EC PRIVATE KEY-----\n"
	doc := func(name, content string) packtest.Spec {
		s := source("docs", []any{name})
		s.Files = map[string]string{name: content}
		return s
	}
	tree := module("kind", "process", "path", "app", "abi", nil, "entry", "main.js", "runtime", map[string]any{"name": "node", "version": ">=20"})
	withFile := func(s packtest.Spec, path, content string) packtest.Spec {
		s.Files = map[string]string{path: content}
		return s
	}
	return map[string]refusal{
		"unknown key":          {source("entry_points", 1), pack.ErrSource, `did you mean "entrypoints"?`},
		"unknown module key":   {module("retries", "pure"), pack.ErrSource, `did you mean "retry"?`},
		"unknown kind":         {module("kind", "wasn"), pack.ErrSource, `did you mean "wasm"?`},
		"no image":             {module("kind", "oci-image"), pack.ErrSource, "neither an image layout nor"},
		"missing key":          {source("version", nil), pack.ErrSource, `needs the key "version"`},
		"wrong type":           {source("version", 1), pack.ErrSource, "version: want a text"},
		"name":                 {source("name", "Demo"), pack.ErrSource, "lower-case words"},
		"version":              {source("version", "1"), pack.ErrSource, "semantic version"},
		"no entry point":       {source("entrypoints", []any{}), manifest.ErrLimit, ""},
		"unknown ir":           {source("entrypoints", []any{map[string]any{"name": "main", "ir": "mian"}}), pack.ErrSource, `did you mean "main"?`},
		"entry point twice":    {source("entrypoints", []any{map[string]any{"name": "main", "ir": "main"}, map[string]any{"name": "main", "ir": "main"}}), pack.ErrSource, "two entry points are called main"},
		"unknown task":         {source("entrypoints", []any{map[string]any{"name": "main", "ir": "main", "task": "mains"}}), pack.ErrSource, `did you mean "main"?`},
		"task of another ir":   {source("entrypoints", []any{map[string]any{"name": "main", "ir": "main", "task": cid.Sum(nil).String()}}), gate.ErrEntrypointTask, ""},
		"path outside":         {source("docs", []any{"../x.txt"}), pack.ErrSource, ""},
		"absent file":          {source("docs", []any{"x.txt"}), pack.ErrSourceAbsent, "x.txt"},
		"folder for a file":    {source("docs", []any{"ir"}), pack.ErrSource, "regular file"},
		"ir of no kind":        {source("ir", []any{map[string]any{"name": "main", "path": "ir/main.txt"}}), pack.ErrSource, ".mir"},
		"ir syntax":            {packtest.Spec{IR: "func ("}, ir.ErrAsmSyntax, "ir/main.mir:1:"},
		"unbound tool":         {packtest.Spec{Modules: []packtest.Module{}}, gate.ErrToolUnbound, "demo/echo"},
		"other tool":           {packtest.Spec{Modules: []packtest.Module{{Tool: "demo/eho"}}}, gate.ErrToolUnbound, "demo/echo"},
		"other interface":      {packtest.Spec{Modules: []packtest.Module{{Source: map[string]any{"tool": map[string]any{"name": "demo/echo", "interface": 2, "request_type": "any", "response_type": "any"}}}}}, gate.ErrToolUnbound, "another interface number"},
		"path and build":       {module("build", map[string]any{"command": []string{"true"}, "output": "x"}), pack.ErrSource, "either a path or a build"},
		"number too large":     {packtest.Spec{Modules: []packtest.Module{{Limits: map[string]uint64{"max_io_calls": 1 << 40}}}}, pack.ErrSource, "max_io_calls"},
		"unknown limit":        {packtest.Spec{Modules: []packtest.Module{{Limits: map[string]uint64{"memory": 1}}}}, pack.ErrSource, "limits has no key"},
		"executor too old":     {source("requires", map[string]any{"executor_min_version": "9.0.0"}), manifest.ErrExecutorTooOld, ""},
		"other codebook":       {source("requires", map[string]any{"codebook_id": cid.Sum(nil).String()}), manifest.ErrCodebook, ""},
		"unknown feature":      {source("features", []string{"time.travel"}), manifest.ErrFeature, "time.travel"},
		"one content as two":   {withFile(source("docs", []any{"x.json"}, "schemas", []any{"x.json"}), "x.json", "{}"), pack.ErrSource, "one kind"},
		"variants that differ": {packtest.Spec{Modules: []packtest.Module{{}, {Variant: "v", Retry: "never"}}}, manifest.ErrVariant, "retry"},
		"PEM key":              {doc("notes.txt", key), pack.ErrSecret, "PEM private key"},
		"MYTHOS key":           {doc("k.txt", "MYTHOS SECRET KEY v1\nrole: dev\n"), pack.ErrSecret, "MYTHOS"},
		"AWS key":              {doc("k.md", "id AKIAQYLPMN5HFIQR7XYA."), pack.ErrSecret, "AWS"},
		"key file's name":      {doc("server.key", "x"), pack.ErrSecret, ""},
		"key in a tree":        {withFile(tree, "app/.npmrc", "//r/:_authToken=1"), pack.ErrSecret, "app/.npmrc"},
		"tree without entry":   {withFile(tree, "app/other.js", "1"), "", "main.js"},
		"negated ignore":       {withFile(tree, "app/.mythosignore", "!x\n"), pack.ErrSource, "negated"},
		"absent tree":          {tree, pack.ErrSourceAbsent, "app"},
		"build fails":          {module("path", nil, "build", map[string]any{"command": []string{"go", "no-such-command"}, "output": "modules/m0.wasm"}), pack.ErrModuleBuild, "no-such-command"},
		"build not installed":  {module("path", nil, "build", map[string]any{"command": []string{"no-such-compiler-anywhere"}, "output": "x"}), pack.ErrModuleBuild, "not installed"},
		"build without result": {module("path", nil, "build", map[string]any{"command": []string{"go", "version"}, "output": "x.wasm"}), pack.ErrSourceAbsent, "x.wasm"},
	}
}

// TestBuildRefuses shows that each fault has its code, says what is wrong, and
// leaves nothing behind.
func TestBuildRefuses(t *testing.T) {
	for name, c := range refusals() {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "source")
			packtest.WriteSource(t, dir, c.spec)
			out := filepath.Join(t.TempDir(), "out")
			_, err := pack.Build(context.Background(), options(dir, out))
			if err == nil {
				t.Fatal("it was packed")
			}
			if c.want != "" && !errors.Is(err, c.want) || fault.CodeOf(err) == "" {
				t.Errorf("code %q, want %q: %v", fault.CodeOf(err), c.want, err)
			}
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("%q does not say %q", err, c.text)
			}
			if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("something was left in the output folder: %v", contents(t, out))
			}
		})
	}
}

func TestBuildOfNothing(t *testing.T) {
	dir := t.TempDir()
	if _, err := pack.Build(context.Background(), options(dir, filepath.Join(dir, "out"))); !errors.Is(err, pack.ErrSourceAbsent) {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := pack.Build(context.Background(), options(filepath.Join(dir, "none"), filepath.Join(dir, "out"))); !errors.Is(err, pack.ErrSourceAbsent) {
		t.Errorf("no folder: %v", err)
	}
	for name, drop := range map[string]func(*pack.BuildOptions){
		"no signer": func(o *pack.BuildOptions) { o.Signer = nil },
		"no host":   func(o *pack.BuildOptions) { o.Host = manifest.Host{} },
		"no check":  func(o *pack.BuildOptions) { o.Kinds = []uint8{manifest.ModuleWasm} },
	} {
		opt := options(dir, filepath.Join(dir, "out"))
		drop(&opt)
		if _, err := pack.Build(context.Background(), opt); err == nil || errors.Is(err, pack.ErrSourceAbsent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBuildAllowsSecrets(t *testing.T) {
	c := refusals()["PEM key"]
	dir := filepath.Join(t.TempDir(), "source")
	packtest.WriteSource(t, dir, c.spec)
	opt := options(dir, filepath.Join(t.TempDir(), "out"))
	opt.AllowSecrets = true
	if _, err := pack.Build(context.Background(), opt); err != nil {
		t.Error(err)
	}
}

// TestBuildAsksTheRunner shows that a module which its runner refuses is not
// packed.
func TestBuildAsksTheRunner(t *testing.T) {
	const refused fault.Code = "refused_by_the_runner"
	dir, out := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "out")
	packtest.WriteSource(t, dir, packtest.Spec{})
	opt := options(dir, out)
	opt.Kinds = []uint8{manifest.ModuleWasm}
	var seen []byte
	opt.CheckModule = func(ctx context.Context, b *manifest.ModuleBinding, m gate.ModuleContent) error {
		var err error
		if seen, err = m.Load(ctx); err != nil {
			return err
		}
		return fault.New(refused, "no").About(b.Label())
	}
	if _, err := pack.Build(context.Background(), opt); !errors.Is(err, refused) {
		t.Errorf("got %v, want the runner's refusal", err)
	}
	if !bytes.Equal(seen, packtest.EchoWasm("echo")) {
		t.Error("the runner was asked about other bytes")
	}
	if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a refused package left something behind")
	}
}

// TestBuildReplaces shows what may be replaced: an older build of the same
// package, and nothing else.
func TestBuildReplaces(t *testing.T) {
	p := packtest.Build(t, packtest.Spec{})
	out := filepath.Dir(p.Dir)
	packtest.WriteSource(t, p.Source, packtest.Spec{Modules: []packtest.Module{{Wasm: packtest.EchoWasm("other")}}})
	b, err := pack.Build(context.Background(), options(p.Source, out))
	if err != nil {
		t.Fatal(err)
	}
	if b.PackageID == p.PackageID {
		t.Error("another module made the same package")
	}
	before := contents(t, out)
	stray := filepath.Join(p.Dir, "notes.txt")
	if err := os.WriteFile(stray, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := pack.Build(context.Background(), options(p.Source, out)); !errors.Is(err, pack.ErrOutput) {
		t.Errorf("with a stray file: %v", err)
	}
	if err := os.Remove(stray); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, contents(t, out)); diff != "" {
		t.Errorf("a refused pack changed the output:\n%s", diff)
	}
}

func TestBuildReplacesNothingElse(t *testing.T) {
	for name, put := range map[string]func(out string) error{
		"folder of something else": func(out string) error { return os.MkdirAll(filepath.Join(out, "test__hello-0.1.0", "objects"), 0o755) },
		"file for the folder":      func(out string) error { return os.WriteFile(filepath.Join(out, "test__hello-0.1.0"), nil, 0o644) },
		"folder for the archive":   func(out string) error { return os.Mkdir(filepath.Join(out, "test__hello-0.1.0.mythos.tgz"), 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, out := filepath.Join(t.TempDir(), "source"), t.TempDir()
			packtest.WriteSource(t, dir, packtest.Spec{})
			if err := put(out); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadDir(out)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := pack.Build(context.Background(), options(dir, out)); !errors.Is(err, pack.ErrOutput) {
				t.Errorf("got %v", err)
			}
			if after, err := os.ReadDir(out); err != nil || len(after) != len(before) {
				t.Errorf("%d entries before, %d after, %v", len(before), len(after), err)
			}
		})
	}
}

func TestBuildOverFile(t *testing.T) {
	dir, out := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "out")
	packtest.WriteSource(t, dir, packtest.Spec{})
	if err := os.WriteFile(out, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := pack.Build(context.Background(), options(dir, out)); !errors.Is(err, pack.ErrOutput) {
		t.Errorf("got %v", err)
	}
	if b, err := os.ReadFile(out); err != nil || string(b) != "mine" {
		t.Errorf("the file in the way now holds %q, %v", b, err)
	}
}

// TestBuildNative packs two platforms of one tool.
func TestBuildNative(t *testing.T) {
	native := func(platform, code string) packtest.Module {
		return packtest.Module{ABI: "stdio", Wasm: []byte(code), Source: map[string]any{"kind": "native", "platform": platform, "entry": []string{"echo", "-v"}}}
	}
	p := packtest.Build(t, packtest.Spec{Modules: []packtest.Module{native("linux/arm64", "ELF a"), native("linux/amd64", "ELF b")}})
	if m := p.Manifest.Modules; len(m) != 2 || m[0].Module.Platform != "linux/amd64" || m[0].Module.Limits.Fuel != nil || len(m[1].Module.Entry) != 2 {
		t.Errorf("modules %+v", m)
	}
	for name, want := range map[string]string{"demo__echo+linux-amd64": "ELF b", "demo__echo+linux-arm64": "ELF a"} {
		if b, err := os.ReadFile(filepath.Join(p.Dir, "modules", name)); err != nil || string(b) != want {
			t.Errorf("%s holds %q, %v", name, b, err)
		}
	}
}

func TestBuildStopsWhenAsked(t *testing.T) {
	dir, out := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "out")
	packtest.WriteSource(t, dir, packtest.Spec{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := pack.Build(ctx, options(dir, out)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something was left behind")
	}
}

// TestPacktestEdit shows that an edited package is archived and signed as it
// is.
func TestPacktestEdit(t *testing.T) {
	honest := packtest.Build(t, packtest.Spec{})
	p := packtest.Build(t, packtest.Spec{Edit: func(m *manifest.Manifest) { m.Requires.ExecutorMinVersion = "9.0.0" }})
	if p.PackageID == honest.PackageID {
		t.Error("the edit did not change the package id")
	}
	agent := packtest.Key().Agent()
	for _, path := range []string{p.Dir, p.Archive} {
		src, err := pack.Open(context.Background(), path, pack.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		r, err := gate.Verify(context.Background(), src, gate.Options{
			Host: packtest.Host(), Now: time.Unix(1, 0), Dev: &agent, Local: func(cid.Hash) bool { return true },
		})
		if err != nil || len(r.Failures) != 1 || r.Failures[0].Code != manifest.ErrExecutorTooOld {
			t.Errorf("%v, %v", err, r.Failures)
		}
	}
	u := packtest.Build(t, packtest.Spec{Unsigned: true})
	if raw, err := os.ReadFile(filepath.Join(u.Dir, archive.SignaturesName)); err != nil || string(raw) != "\x07\x00" {
		t.Errorf("manifest.sig of an unsigned package is %x, %v", raw, err)
	}
}

// A path that is no source folder is called what it is.
func TestBuildNotASource(t *testing.T) {
	dir, out := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "out")
	packtest.WriteSource(t, dir, packtest.Spec{})
	built, err := pack.Build(context.Background(), options(dir, out))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{
		t.TempDir():                          "has no manifest.src.json",
		built.Folder:                         "a packed folder",
		built.Archive:                        "a file",
		filepath.Join(out, "nothing at all"): "no such folder",
	} {
		_, err := pack.Build(context.Background(), options(at, out))
		if !errors.Is(err, pack.ErrSourceAbsent) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", at, err, want)
		}
	}
}
