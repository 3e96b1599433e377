package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/image/layout"
	"github.com/mythos-run/mythos/runtime/runner/runnertest"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

const (
	memory = 256 << 20
	grace  = 3 * time.Second
)

func TestMain(m *testing.M) {
	sandbox.Main()
	sandbox.ProgramMain()
	executor()
	code := m.Run()
	if h, err := shared.host(); err == nil {
		if err := h.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "close the sandbox host:", err)
			code = 1
		}
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// shared is what all tests use and what takes long to make.
var shared = newMachine()

type machine struct {
	host     func() (*sandbox.Host, error)
	runtimes func() ([]Runtime, error)
	program  func(name string) ([]byte, error) // guest or look
	dir      string
}

func newMachine() *machine {
	m := &machine{}
	m.host = sync.OnceValues(func() (*sandbox.Host, error) { return sandbox.Open(context.Background(), sandbox.Options{}) })
	folder := sync.OnceValues(func() (string, error) {
		dir, err := os.MkdirTemp("", "mythos-image-")
		m.dir = dir
		return dir, err
	})
	m.runtimes = sync.OnceValues(func() ([]Runtime, error) {
		h, err := m.host()
		if err != nil {
			return nil, err
		}
		dir, err := folder()
		if err != nil {
			return nil, err
		}
		found, err := Discover(context.Background(), h, "", dir)
		if path := os.Getenv("MYTHOS_RUNSC"); path != "" && err == nil {
			var more []Runtime
			more, err = Discover(context.Background(), h, path, dir)
			found = append(found, more...)
		}
		return found, err
	})
	built := map[string]func() ([]byte, error){}
	for name, source := range map[string]string{"guest": "../process/testdata/guest", "look": "./testdata/look"} {
		built[name] = sync.OnceValues(func() ([]byte, error) {
			dir, err := folder()
			if err != nil {
				return nil, err
			}
			path := filepath.Join(dir, name)
			cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, source)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				return nil, fmt.Errorf("go build %s: %w: %s", source, err, out)
			}
			return os.ReadFile(path)
		})
	}
	m.program = func(name string) ([]byte, error) { return built[name]() }
	return m
}

// missing skips a test loudly where a laptop may lack something, and fails it in
// CI.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("in CI this must be there: "+format, args...)
	}
	t.Skipf("SKIPPED: "+format, args...)
}

func host(t testing.TB) *sandbox.Host {
	t.Helper()
	h, err := shared.host()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Admit(); err != nil {
		missing(t, "no sandbox: %v", err)
	}
	return h
}

// each runs f with every runtime that works here. crun or runc must be among them
// in CI; those that are missing are said aloud.
func each(t *testing.T, f func(*testing.T, Runtime)) {
	t.Helper()
	host(t)
	found, err := shared.runtimes()
	if err != nil {
		t.Fatal(err)
	}
	here := map[string]Runtime{}
	for _, r := range found {
		here[r.Name] = r
	}
	for _, x := range tools() {
		t.Run(x.name, func(t *testing.T) {
			r, ok := here[x.name]
			switch {
			case !ok:
				t.Skipf("SKIPPED: %s is not here", x.name)
			case r.Level == 0:
				t.Fatalf("%s %s is here and does not work: %s", r.Path, r.Version, r.Detail)
			}
			f(t, r)
		})
	}
	if here["crun"].Level == 0 && here["runc"].Level == 0 {
		missing(t, "neither crun nor runc is here: apt-get install crun runc")
	}
}

// options returns a test's options; change may be nil.
func options(t testing.TB, path string, change func(*Options)) Options {
	t.Helper()
	o := Options{Sandbox: host(t), CacheDir: filepath.Join(t.TempDir(), "cache"), Runtime: path, Grace: grace}
	if change != nil {
		change(&o)
	}
	return o
}

// open returns a runner, which the test closes.
func open(t testing.TB, o Options) *Runner {
	t.Helper()
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

// item is one entry of a layer.
type item struct {
	name string
	kind byte // tar.TypeReg if 0
	mode int64
	text string
	link string
}

// layerOf returns a tar stream.
func layerOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, i := range items {
		h := &tar.Header{Name: i.name, Typeflag: i.kind, Mode: i.mode, Size: int64(len(i.text)), Linkname: i.link, Format: tar.FormatPAX}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, i.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// built is an image under construction: what a test may spoil.
type built struct {
	blobs    map[cid.Hash][]byte
	config   map[string]any
	layers   []map[string]any
	manifest []byte
}

// imageOf makes an image of plain tar layers.
func imageOf(t testing.TB, layers ...[]byte) *built {
	t.Helper()
	b := &built{blobs: map[cid.Hash][]byte{}}
	var ids []string
	for _, l := range layers {
		ids = append(ids, "sha256:"+cid.Sum(l).Hex())
		b.layers = append(b.layers, b.put(layout.MediaLayer, l))
	}
	b.config = map[string]any{
		"os": "linux", "architecture": arch, "config": map[string]any{"Entrypoint": []string{"/never"}, "Env": []string{"EVIL=1"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": ids},
	}
	b.seal(t)
	return b
}

func (b *built) put(media string, raw []byte) map[string]any {
	b.blobs[cid.Sum(raw)] = raw
	return map[string]any{"mediaType": media, "digest": "sha256:" + cid.Sum(raw).Hex(), "size": len(raw)}
}

// seal writes config and manifest anew.
func (b *built) seal(t testing.TB) {
	t.Helper()
	config, err := json.Marshal(b.config)
	if err != nil {
		t.Fatal(err)
	}
	b.manifest, err = json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": layout.MediaManifest, "config": b.put(layout.MediaConfig, config), "layers": b.layers,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// store replaces layer i by its compressed form.
func (b *built) store(t testing.TB, i int, media string, raw []byte) {
	t.Helper()
	b.layers[i] = b.put(media, raw)
	b.seal(t)
}

func (b *built) open(_ context.Context, h cid.Hash, size uint64) (io.ReadCloser, error) {
	raw, ok := b.blobs[h]
	if !ok || uint64(len(raw)) != size {
		return nil, errors.New("the store has no such blob")
	}
	return io.NopCloser(bytes.NewReader(raw)), nil
}

func (b *built) module(entry ...string) runner.Module {
	l := runnertest.Limits()
	l.MemoryBytes = memory
	raw := b.manifest
	return runner.Module{
		Digest: cid.Sum(raw), Kind: runner.KindImage, ABI: runner.ABIStdio, Entry: entry, Limits: l,
		Load: func(context.Context) ([]byte, error) { return raw, nil }, Open: b.open,
	}
}

func gzipped(t testing.TB, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstded(t testing.TB, raw []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(raw, nil)
}

// withProgram is an image whose /bin/NAME is a test program.
func withProgram(t testing.TB, name string, items ...item) *built {
	t.Helper()
	code, err := shared.program(name)
	if err != nil {
		t.Fatal(err)
	}
	return imageOf(t, layerOf(t, append([]item{{name: "bin/" + name, mode: 0o755, text: string(code)}}, items...)...))
}

func call(m runner.Module, request string) runner.Call {
	return runner.Call{Module: m, Request: []byte(request), RequestHash: cid.Sum([]byte(request))}
}

// answer runs a call that must be answered.
func answer(t testing.TB, r *Runner, c runner.Call) string {
	t.Helper()
	res, err := r.Run(t.Context(), c)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	if res.Outcome != runner.Answered {
		t.Fatalf("%v (%s), log %s", res.Outcome, res.Detail, res.Log)
	}
	return string(res.Response)
}

// granted makes a folder that others may read, with a file in it.
func granted(t testing.TB, text string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for p := dir; p != os.TempDir() && p != "/"; p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}
