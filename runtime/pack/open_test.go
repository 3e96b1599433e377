package pack

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack/archive"
)

const program = `tool echo = demo/echo interface 1 (any) -> any

func main() -> any {
  effect echo, r0, r1, r2
  ret r1
}

task main = main() budget cpu_us=50000 io=10 writes=0
`

func testKey() sig.Key { return sig.NewKey([32]byte{9}, "TEST ONLY") }

// content is a signed package: the manifest and its objects.
type content struct {
	m       manifest.Manifest
	raw     []byte
	objects map[cid.Hash][]byte
}

func (c *content) add(t testing.TB, kind uint8, b []byte) blob.ArtifactID {
	t.Helper()
	id, err := blob.WriteArtifact(bytes.NewReader(b), nil)
	if err != nil {
		t.Fatal(err)
	}
	c.objects[id.SHA256] = b
	if kind != 0 {
		c.m.Artifacts = append(c.m.Artifacts, manifest.Artifact{Kind: kind, CID: id.CID, MediaType: "x/y", Size: id.Size, SHA256: id.SHA256})
		slices.SortFunc(c.m.Artifacts, func(a, b manifest.Artifact) int { return a.CID.Compare(b.CID) })
	}
	return id
}

// build makes a package with a bundle, a wasm tool, its twin as a tree of two
// files, and a doc; large adds a doc above 4 MiB.
func build(t testing.TB, large bool) *content {
	t.Helper()
	c := &content{objects: map[cid.Hash][]byte{}}
	c.m.Name, c.m.Version, c.m.Requires = "demo/one", "1.0.0", manifest.Requires{ExecutorMinVersion: "0.1.0"}
	bundle, err := ir.Assemble([]byte(program))
	if err != nil {
		t.Fatal(err)
	}
	p, err := ir.Load(bundle)
	if err != nil {
		t.Fatal(err)
	}
	ids := c.add(t, manifest.KindIR, bundle)
	wasm := c.add(t, manifest.KindModule, []byte("\x00asm\x01\x00\x00\x00"))
	c.add(t, manifest.KindDoc, nil)
	if large {
		c.add(t, manifest.KindDoc, bytes.Repeat([]byte("large "), 800_000))
	}
	main := c.add(t, 0, []byte("main()"))
	tree := &manifest.Tree{Entries: []manifest.TreeEntry{{Path: "lib/x.js", CID: main.CID, Size: main.Size, SHA256: main.SHA256}, {Path: "main.js", CID: main.CID, Size: main.Size, SHA256: main.SHA256}}}
	treeID := c.add(t, manifest.KindTree, tree.AppendCAN(nil))
	fuel := uint64(1e9)
	limits := manifest.Limits{TimeoutMicros: 1e6, MemoryBytes: 1 << 26, MaxRequestBytes: 1 << 20, MaxResponseBytes: 1 << 20}
	echo := manifest.Tool{Name: "demo/echo", Interface: 1, RequestTypeID: abi.TypeAny, ResponseTypeID: abi.TypeAny}
	node := manifest.ModuleBinding{ToolID: echo.ID(), Tool: echo, Variant: "node", Module: manifest.ModuleRef{Kind: manifest.ModuleProcess, CID: treeID.CID, Entry: []string{"main.js"}, Limits: limits, ABI: manifest.ABIStdio, Runtime: &manifest.Runtime{Name: "node", Version: ">=20"}}}
	limits.Fuel = &fuel
	c.m.Modules = []manifest.ModuleBinding{{ToolID: echo.ID(), Tool: echo, Module: manifest.ModuleRef{Kind: manifest.ModuleWasm, CID: wasm.CID, Entry: []string{"_start"}, Limits: limits, ABI: manifest.ABIHostcall}}, node}
	c.m.Entrypoints = []manifest.Entrypoint{{Name: "main", Bundle: ids.CID, TaskID: p.Tasks()[0].TaskID}}
	if c.raw, err = manifest.Sign(&c.m, testKey()); err != nil {
		t.Fatal(err)
	}
	return c
}

// folder writes the folder form, with its copies.
func (c *content) folder(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pkg")
	view, err := ManifestJSON(c.raw)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"manifest.bin": c.raw, "manifest.sig": c.m.AppendSig(nil), "manifest.json": view,
		"modules/demo__echo.wasm": []byte("\x00asm\x01\x00\x00\x00"), "modules/demo__echo@node/lib/x.js": []byte("main()"),
	}
	for h, b := range c.objects {
		files[archive.ObjectName(h)] = b
	}
	for _, a := range c.m.Artifacts {
		if a.Kind == manifest.KindIR {
			files["ir/main.bin"] = c.objects[a.SHA256]
		}
	}
	for name, b := range files {
		put(t, dir, name, b)
	}
	return dir
}

func put(t testing.TB, dir, name string, b []byte) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// archive writes the archive form, with extra files by name.
func (c *content) archive(t testing.TB, extra map[string][]byte) string {
	t.Helper()
	files := map[string][]byte{"manifest.bin": c.raw, "manifest.sig": c.m.AppendSig(nil)}
	for h, b := range c.objects {
		files[archive.ObjectName(h)] = b
	}
	for name, b := range extra {
		files[name] = b
		if b == nil {
			delete(files, name)
		}
	}
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var out bytes.Buffer
	w := archive.NewWriter(&out, archive.Limits{})
	for _, name := range names {
		if err := w.Add(name, int64(len(files[name])), bytes.NewReader(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "demo__one-1.0.0.mythos.tgz")
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func options(t testing.TB) gate.Options {
	t.Helper()
	trust, err := gate.NewTrust([]gate.TrustEntry{
		{Role: sig.Publisher, Keys: []sig.AgentID{testKey().Agent()}},
		{Role: sig.Policy, Keys: []sig.AgentID{testKey().Agent()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	policy := rings.Default(0)
	policy.ModuleKinds = []uint8{1, 2}
	if _, err := rings.Sign(policy, testKey()); err != nil {
		t.Fatal(err)
	}
	return gate.Options{
		Host:  manifest.Host{Version: "0.1.0", Codebooks: []cid.Hash{{}}},
		Trust: trust, Now: time.Unix(1e9, 0), Kinds: []uint8{1, 2}, Policy: policy,
		Sandbox: func(uint8) uint8 { return rings.SandboxOwnKernel },
	}
}

// load opens and loads a form, and closes it.
func load(t testing.TB, path string) (*gate.Package, error) {
	t.Helper()
	src, err := Open(context.Background(), path, OpenOptions{})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { src.Close() })
	return gate.Load(context.Background(), src, options(t))
}

// TestForms loads one package in every form, the later ones made from the
// earlier, and finds nothing written anywhere.
func TestForms(t *testing.T) {
	ctx := context.Background()
	c := build(t, true)
	dir, tgz := c.folder(t), c.archive(t, nil)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	store := memory.New(memory.Options{})
	for name, path := range map[string]string{"folder": dir, "archive": tgz} {
		p, err := load(t, path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if p.ID() != c.m.PackageID || p.ManifestCID() != cid.Sum(c.raw) {
			t.Errorf("%s: %s, want %s", name, p.ManifestCID(), cid.Sum(c.raw))
		}
		if got, err := Keep(ctx, store, p); err != nil || got != cid.Sum(c.raw) {
			t.Fatalf("%s: keep: %s, %v", name, got, err)
		}
	}
	p, err := gate.Load(ctx, FromStore(store, cid.Sum(c.raw)), options(t))
	if err != nil || p.ID() != c.m.PackageID {
		t.Fatalf("store: %v", err)
	}
	for _, id := range p.Contents() {
		if b, err := p.Load(ctx, id, 1<<30); err != nil || !bytes.Equal(b, c.objects[id.SHA256]) {
			t.Errorf("%s from the store: %d bytes, %v", id.CID, len(b), err)
		}
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("temporary files: %v, %v", left, err)
	}
}

func TestStoreRefused(t *testing.T) {
	ctx := context.Background()
	c := build(t, true)
	if _, err := gate.Load(ctx, FromStore(memory.New(memory.Options{}), cid.Sum(c.raw)), options(t)); !errors.Is(err, ErrNotFound) {
		t.Errorf("no manifest: %v", err)
	}
	store := memory.New(memory.Options{})
	if _, err := store.Put(ctx, c.raw); err != nil {
		t.Fatal(err)
	}
	if _, err := gate.Load(ctx, FromStore(store, cid.Sum(c.raw)), options(t)); !errors.Is(err, gate.ErrArtifactMissing) {
		t.Errorf("no artifacts: %v", err)
	}
	for _, b := range c.objects { // the large one whole, and not as chunks
		if _, err := store.Put(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := gate.Load(ctx, FromStore(store, cid.Sum(c.raw)), options(t)); !errors.Is(err, gate.ErrArtifactMissing) {
		t.Errorf("no chunks: %v", err)
	}
	if _, err := store.Put(ctx, make([]byte, manifest.MaxBytes+1)); err != nil {
		t.Fatal(err)
	}
	if _, err := gate.Load(ctx, FromStore(store, cid.Sum(make([]byte, manifest.MaxBytes+1))), options(t)); !errors.Is(err, manifest.ErrLimit) {
		t.Errorf("a large manifest: %v", err)
	}
}

// TestFolderRefused changes one thing in a good folder.
func TestFolderRefused(t *testing.T) {
	var c *content
	object := func() string { return archive.ObjectName(c.m.Artifacts[0].SHA256) }
	for name, x := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  fault.Code
	}{
		"nothing":      {func(*testing.T, string) {}, ""},
		"empty folder": {func(t *testing.T, dir string) { os.MkdirAll(filepath.Join(dir, "empty", "one"), 0o755) }, ""},
		"other modes":  {func(t *testing.T, dir string) { os.Chmod(filepath.Join(dir, "manifest.bin"), 0o700) }, ""},
		"no copies": {func(t *testing.T, dir string) {
			os.RemoveAll(filepath.Join(dir, "ir"))
			os.Remove(filepath.Join(dir, "manifest.json"))
		}, ""},
		"no manifest":   {func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "manifest.bin")) }, ErrFileMissing},
		"no signatures": {func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "manifest.sig")) }, ErrFileMissing},
		"source": {func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, "manifest.bin"))
			put(t, dir, "manifest.src.json", []byte("{}"))
		}, ErrUnpacked},
		"source too":     {func(t *testing.T, dir string) { put(t, dir, "manifest.src.json", []byte("{}")) }, gate.ErrArtifactExtra},
		"object missing": {func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, object())) }, gate.ErrArtifactMissing},
		"extra object":   {func(t *testing.T, dir string) { put(t, dir, archive.ObjectName(cid.Sum([]byte("x"))), []byte("x")) }, gate.ErrArtifactExtra},
		"extra file":     {func(t *testing.T, dir string) { put(t, dir, "readme", nil) }, gate.ErrArtifactExtra},
		"extra in ir":    {func(t *testing.T, dir string) { put(t, dir, "ir/main.mir", nil) }, gate.ErrArtifactExtra},
		"deeper in ir":   {func(t *testing.T, dir string) { put(t, dir, "ir/a/main.bin", nil) }, gate.ErrArtifactExtra},
		"upper-case hex": {func(t *testing.T, dir string) { put(t, dir, "objects/"+strings.Repeat("A", 64), nil) }, gate.ErrArtifactExtra},
		"json":           {func(t *testing.T, dir string) { put(t, dir, "manifest.json", []byte("{}\n")) }, gate.ErrCopyDiffers},
		"json longer": {func(t *testing.T, dir string) {
			b, _ := ManifestJSON(c.raw)
			put(t, dir, "manifest.json", append(b, "   "...))
		}, gate.ErrCopyDiffers},
		"ir copy":     {func(t *testing.T, dir string) { put(t, dir, "ir/main.bin", []byte("\x00asm\x01\x00\x00\x00")) }, gate.ErrCopyDiffers},
		"module copy": {func(t *testing.T, dir string) { put(t, dir, "modules/demo__echo.wasm", []byte("evil")) }, gate.ErrCopyDiffers},
		"copy with a hole": {func(t *testing.T, dir string) {
			put(t, dir, "modules/hole", nil)
			if err := os.Truncate(filepath.Join(dir, "modules", "hole"), 1<<40); err != nil {
				t.Fatal(err)
			}
		}, gate.ErrCopyDiffers},
		"signatures":     {func(t *testing.T, dir string) { put(t, dir, "manifest.sig", []byte{7, 0}) }, gate.ErrSignatureDiffers},
		"large manifest": {func(t *testing.T, dir string) { put(t, dir, "manifest.bin", make([]byte, manifest.MaxBytes+1)) }, manifest.ErrLimit},
		"case":           {func(t *testing.T, dir string) { put(t, dir, "Manifest.json", nil) }, manifest.ErrPathCollision},
		"device name":    {func(t *testing.T, dir string) { put(t, dir, "modules/aux.js", nil) }, manifest.ErrPath},
		"odd name":       {func(t *testing.T, dir string) { put(t, dir, "modules/a\nb", nil) }, manifest.ErrPath},
		"manifest folder": {func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, "manifest.sig"))
			os.Mkdir(filepath.Join(dir, "manifest.sig"), 0o755)
		}, ErrFileMissing},
		"symbolic link": {func(t *testing.T, dir string) {
			link(t, "/etc/passwd", filepath.Join(dir, "modules", "p"))
		}, manifest.ErrPath},
		"linked manifest": {func(t *testing.T, dir string) {
			path := filepath.Join(dir, "manifest.bin")
			if err := os.Rename(path, filepath.Join(dir, "..", "m")); err != nil {
				t.Fatal(err)
			}
			link(t, "../m", path)
		}, manifest.ErrPath},
		"linked folder": {func(t *testing.T, dir string) {
			link(t, "objects", filepath.Join(dir, "more"))
		}, manifest.ErrPath},
		"socket": {func(t *testing.T, dir string) {
			t.Chdir(dir) // a socket's path is short
			l, err := net.Listen("unix", "s")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, manifest.ErrPath},
	} {
		t.Run(name, func(t *testing.T) {
			c = build(t, false)
			dir := c.folder(t)
			x.spoil(t, dir)
			if _, err := load(t, dir); fault.CodeOf(err) != x.want {
				t.Errorf("got %v, want %q", err, x.want)
			}
		})
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefused(t *testing.T) {
	dir := t.TempDir()
	c := build(t, false)
	put(t, dir, "text.tgz", []byte("not an archive"))
	for path, want := range map[string]fault.Code{
		filepath.Join(dir, "nothing"):  ErrNotFound,
		os.DevNull:                     ErrNotFound,
		dir:                            ErrFileMissing,
		filepath.Join(dir, "text.tgz"): archive.ErrNotCanonical,
		c.archive(t, map[string][]byte{"manifest.sig": nil}):                                                  ErrFileMissing,
		c.archive(t, map[string][]byte{"manifest.bin": nil}):                                                  ErrFileMissing,
		c.archive(t, map[string][]byte{archive.ObjectName(cid.Sum([]byte("x"))): []byte("x")}):                gate.ErrArtifactExtra,
		c.archive(t, map[string][]byte{archive.ObjectName(c.m.Artifacts[1].SHA256): nil}):                     gate.ErrArtifactMissing,
		c.archive(t, map[string][]byte{archive.ObjectName(c.m.Artifacts[0].SHA256): []byte("other content")}): manifest.ErrArtifactSize,
		c.archive(t, map[string][]byte{"manifest.sig": {7, 0}}):                                               gate.ErrSignatureDiffers,
	} {
		if _, err := load(t, path); fault.CodeOf(err) != want {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
	_, err := Open(context.Background(), c.archive(t, nil), OpenOptions{Archive: archive.Limits{MaxBytes: 4096}})
	if !errors.Is(err, archive.ErrTooLarge) {
		t.Errorf("oversized: %v", err)
	}
	put(t, dir, "manifest.src.json", []byte("{}"))
	if _, err := load(t, dir); !errors.Is(err, ErrUnpacked) || !strings.Contains(err.Error(), "mythos pack "+dir) {
		t.Errorf("unpacked: %v", err)
	}
}

func TestShellWord(t *testing.T) {
	for path, want := range map[string]string{
		"dist/demo-001_0.1": "dist/demo-001_0.1", "my package": "'my package'", "a'b$c": `'a'\''b$c'`, "-o": "./-o", "": "''",
		"-a b": "'./-a b'", "~x": "'~x'", "a;b": "'a;b'",
	} {
		if got := shellWord(path); got != want {
			t.Errorf("%q is %s, want %s", path, got, want)
		}
	}
}

// TestEveryByte flips a bit in every byte of a package's files in turn, and
// another bit in every next byte.
func TestEveryByte(t *testing.T) {
	c, opt := build(t, false), options(t)
	flip := func(path, open string) {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for i := range b {
			if _, err := f.WriteAt([]byte{b[i] ^ 1<<(i%8)}, int64(i)); err != nil {
				t.Fatal(err)
			}
			src, err := Open(context.Background(), open, OpenOptions{})
			if err == nil {
				_, err = gate.Load(context.Background(), src, opt)
				src.Close()
			}
			if fault.CodeOf(err) == "" {
				t.Fatalf("%s byte %d: accepted, or no code: %v", path, i, err)
			}
			f.WriteAt(b[i:i+1], int64(i))
		}
	}
	tgz, dir := c.archive(t, nil), c.folder(t)
	flip(tgz, tgz)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && filepath.Base(path) != "manifest.json" {
			flip(path, dir)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := load(t, dir); err != nil {
		t.Errorf("after the test, whose verdicts are worth nothing: %v", err)
	}
}

// TestReadError reads an object whose file fails: here one that was closed.
func TestReadError(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	_, err = object{f, "objects/x"}.Read(make([]byte, 1))
	_, copied := io.Copy(io.Discard, object{f, "objects/x"})
	if !errors.Is(err, ErrUnreadable) || !errors.Is(copied, ErrUnreadable) || !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Read: %v; Copy: %v", err, copied)
	}
}
