package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/runnertest"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// memory is the limit of the suite's modules: node does not start with 1 MiB.
const memory = 256 << 20

// guestEnv names the native guest where another process has built it.
const guestEnv = "MYTHOS_TEST_GUEST"

// grace is what the suite's runners give a module to end.
const grace = 3 * time.Second

func TestMain(m *testing.M) {
	sandbox.Main()
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
	host  func() (*sandbox.Host, error)
	found func() ([]Interpreter, error)
	guest func() (string, error) // path of the native guest
	dir   string
}

func newMachine() *machine {
	m := &machine{}
	m.host = sync.OnceValues(func() (*sandbox.Host, error) { return sandbox.Open(context.Background(), sandbox.Options{}) })
	m.found = sync.OnceValues(func() ([]Interpreter, error) { return Discover(context.Background(), nil, nil) })
	m.guest = sync.OnceValues(func() (string, error) {
		if path := os.Getenv(guestEnv); path != "" {
			return path, nil
		}
		dir, err := os.MkdirTemp("", "mythos-guest-")
		if err != nil {
			return "", err
		}
		m.dir = dir
		path := filepath.Join(dir, "guest")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "testdata/guest/main.go")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("go build testdata/guest: %w: %s", err, out)
		}
		return path, nil
	})
	return m
}

// missing skips a test loudly where a laptop may lack something, and fails it
// in CI.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("in CI this must be there: "+format, args...)
	}
	t.Skipf("SKIPPED: "+format, args...)
}

// host returns the sandbox of this machine.
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

// interpreter returns the interpreter of a name.
func interpreter(t testing.TB, name string) Interpreter {
	t.Helper()
	found, err := shared.found()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range found {
		if i.Name == name {
			return i
		}
	}
	missing(t, "no %s below /usr", name)
	return Interpreter{}
}

// options returns a test's options; change may be nil.
func options(t testing.TB, change func(*Options)) Options {
	t.Helper()
	found, err := shared.found()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Sandbox: host(t), CacheDir: filepath.Join(t.TempDir(), "cache"), Interpreters: found, Grace: grace}
	if change != nil {
		change(&o)
	}
	return o
}

// start returns a runner of kind process or native, which the test closes.
func start(t testing.TB, kind uint8, change func(*Options)) *Runner {
	t.Helper()
	build := New
	if kind == runner.KindNative {
		build = NewNative
	}
	r, err := build(options(t, change))
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

// file is one file of a tree.
type file struct {
	path, text string
	mode       uint8
}

// makeTree returns an encoded tree and what opens its files.
func makeTree(files ...file) (*manifest.Tree, []byte, opener) {
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	t := &manifest.Tree{}
	store := map[cid.Hash]string{}
	for _, f := range files {
		h := cid.Sum([]byte(f.text))
		store[h] = f.text
		t.Entries = append(t.Entries, manifest.TreeEntry{Path: f.path, Mode: f.mode, CID: h, Size: uint64(len(f.text)), SHA256: h})
	}
	return t, t.AppendCAN(nil), func(_ context.Context, h cid.Hash, size uint64) (io.ReadCloser, error) {
		text, ok := store[h]
		if !ok || uint64(len(text)) != size {
			return nil, errors.New("the store has no such file")
		}
		return io.NopCloser(strings.NewReader(text)), nil
	}
}

// treeModule returns a process module.
func treeModule(name string, entry []string, files ...file) runner.Module {
	_, raw, open := makeTree(files...)
	return runner.Module{
		Digest: cid.Sum(raw), Kind: runner.KindProcess, ABI: runner.ABIStdio, Entry: entry,
		Limits: limits(), Runtime: runner.Runtime{Name: name},
		Load: func(context.Context) ([]byte, error) { return raw, nil }, Open: open,
	}
}

func limits() runner.Limits {
	l := runnertest.Limits()
	l.MemoryBytes = memory
	return l
}

// python returns the guest as a Python module, told how to behave.
func python(t testing.TB, how ...string) runner.Module {
	t.Helper()
	interpreter(t, "python3")
	return guest(t, "python3", "guest.py", how...)
}

func guest(t testing.TB, runtime, name string, how ...string) runner.Module {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return treeModule(runtime, append([]string{name}, how...), file{name, string(text), 0}, file{"lib/data.txt", "data", 0})
}

// native returns the guest as a native module.
func native(t testing.TB, how ...string) runner.Module {
	t.Helper()
	path, err := shared.guest()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return runner.Module{
		Digest: cid.Sum(raw), Kind: runner.KindNative, ABI: runner.ABIStdio, Entry: append([]string{"guest"}, how...),
		Limits: limits(), Load: func(context.Context) ([]byte, error) { return raw, nil },
	}
}

func call(m runner.Module, request string) runner.Call {
	return runner.Call{Module: m, Request: []byte(request), RequestHash: cid.Sum([]byte(request))}
}

// run runs a call that must begin.
func run(t testing.TB, r *Runner, c runner.Call) runner.Result {
	t.Helper()
	res, err := r.Run(t.Context(), c)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	return res
}

// answer runs a call that must be answered.
func answer(t testing.TB, r *Runner, c runner.Call) string {
	t.Helper()
	res := run(t, r, c)
	if res.Outcome != runner.Answered {
		t.Fatalf("%v (%s), log %s", res.Outcome, res.Detail, res.Log)
	}
	return string(res.Response)
}

func fixture(t testing.TB, kind uint8, module func(testing.TB, ...string) runner.Module) runnertest.Fixture {
	return runnertest.Fixture{
		New: func(t testing.TB) runner.Runner {
			o := options(t, nil)
			if kind == runner.KindNative {
				r, err := NewNative(o)
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			r, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			return r
		},
		Module:      func(t testing.TB, b runnertest.Behaviour) runner.Module { return module(t, string(b)) },
		MemoryBytes: memory,
		Short:       2 * time.Second,
		OwnMemory:   host(t).Level() < sandbox.LevelFull,
	}
}

func TestPython(t *testing.T) {
	f := fixture(t, runner.KindProcess, python)
	interpreter(t, "python3")
	runnertest.Run(t, f)
	runnertest.Processes(t, f, grace)
}

func TestNode(t *testing.T) {
	interpreter(t, "node")
	f := fixture(t, runner.KindProcess, func(t testing.TB, how ...string) runner.Module { return guest(t, "node", "guest.js", how...) })
	runnertest.Run(t, f)
	runnertest.Processes(t, f, grace)
}

func TestNative(t *testing.T) {
	f := fixture(t, runner.KindNative, native)
	runnertest.Run(t, f)
	runnertest.Processes(t, f, grace)
}

// TestEvidence: a result says what ran it.
func TestEvidence(t *testing.T) {
	r := start(t, runner.KindProcess, nil)
	i := interpreter(t, "python3")
	res := run(t, r, call(python(t, "echo"), "q"))
	if want := "process python3/v" + i.Version; res.Engine != want || res.Interpreter == nil || *res.Interpreter != i.SHA256 {
		t.Errorf("engine %q, interpreter %v; want %q, %v", res.Engine, res.Interpreter, want, i.SHA256)
	}
	if res.SandboxLevel != host(t).Level() || res.FuelUsed != nil || res.Transcript != nil {
		t.Errorf("level %d, fuel %v, transcript %v", res.SandboxLevel, res.FuelUsed, res.Transcript)
	}
	n := start(t, runner.KindNative, nil)
	res = run(t, n, call(native(t, "echo"), "q"))
	if want := "native " + runtime.GOOS + "/" + runtime.GOARCH; res.Engine != want || res.Interpreter != nil {
		t.Errorf("engine %q, interpreter %v; want %q", res.Engine, res.Interpreter, want)
	}
}

// TestSurroundings: what a module sees is the same everywhere, and little.
func TestSurroundings(t *testing.T) {
	r := start(t, runner.KindProcess, nil)
	i := interpreter(t, "python3")
	got := answer(t, r, call(python(t, "look", "env:", "argv:", "list:/module", "list:/module/lib", "read:/module/lib/data.txt",
		"write:/module/x=1", "read:/etc/passwd", "list:/home", "import:ctypes", "import:ssl", "import:sqlite3"), "q"))
	want := strings.Join([]string{
		"HOME=/tmp LANG=C.UTF-8 PATH=/usr/bin:/bin TMPDIR=/tmp",
		"/module/guest.py look env: argv: list:/module list:/module/lib read:/module/lib/data.txt write:/module/x=1 " +
			"read:/etc/passwd list:/home import:ctypes import:ssl import:sqlite3 in /module",
		"guest.py lib", "data.txt", "data", "OSError", "FileNotFoundError", "FileNotFoundError", "imported", "imported", "imported",
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	_ = i
	n := start(t, runner.KindNative, nil)
	if got, want := answer(t, n, call(native(t, "env", "a b"), "q")), "HOME=/tmp TMPDIR=/tmp LANG=C.UTF-8 PATH=/usr/bin:/bin guest env a b"; got != want {
		t.Errorf("native: got %q, want %q", got, want)
	}
}

func TestRequestIsWhole(t *testing.T) {
	r := start(t, runner.KindNative, nil)
	c := call(native(t, "echo"), "")
	c.Module.Limits.MaxRequest, c.Module.Limits.MaxResponse = 8<<20, 8<<20
	for _, n := range []int{0, 1, pipeRoom - 3, pipeRoom, pipeRoom + 1, maxPipe - 3, maxPipe + 1, 8 << 20} {
		c.Request = bytes.Repeat([]byte("r"), n)
		res := run(t, r, c)
		if res.Outcome != runner.Answered || !bytes.Equal(res.Response, c.Request) {
			t.Errorf("%d bytes: %v (%s), %d bytes back", n, res.Outcome, res.Detail, len(res.Response))
		}
	}
}

// TestDefaultMemory: what pack writes as a module's memory suffices for a small
// one of each kind (RFC-MYTHOS-0006 §13).
func TestDefaultMemory(t *testing.T) {
	for _, kind := range []string{"native", "python3", "node"} {
		t.Run(kind, func(t *testing.T) {
			k, m, _ := guests(t, kind, "echo")
			m.Limits.MemoryBytes = 64 << 20
			if got := answer(t, start(t, k, nil), call(m, "q")); got != "q" {
				t.Errorf("got %q", got)
			}
		})
	}
}
