package wasm

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fuel"
	"github.com/mythos-run/mythos/runtime/runner"
)

// built is a guest that the go tool built, once per test run.
type built struct {
	once sync.Once
	wasm []byte
	err  error
}

// goGuests are built on first use; tests share them.
var goGuests = map[string]*built{echoTool: {}, "runtime/runner/wasm/testdata/stdio": {}}

const (
	repoRoot = "../../.."
	echoTool = "tools/echo/go" // a reactor; its entry is run
)

// goGuest returns the guest of a package, built as the package says.
func goGuest(t testing.TB, pkg string) []byte {
	t.Helper()
	g := goGuests[pkg]
	g.once.Do(func() { g.wasm, g.err = buildGuest(repoRoot, pkg) })
	if g.err != nil {
		t.Fatal(g.err)
	}
	return g.wasm
}

func buildGuest(root, pkg string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "guest.wasm")
	mode := "-buildmode=exe"
	if pkg == echoTool {
		mode = "-buildmode=c-shared"
	}
	cmd := exec.Command("go", "build", mode, "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", out, "./"+pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, &os.PathError{Op: "go build", Path: pkg, Err: &buildError{string(text), err}}
	}
	return os.ReadFile(out)
}

type buildError struct {
	output string
	cause  error
}

func (e *buildError) Error() string { return e.cause.Error() + "\n" + e.output }

// goModule is a Go guest under limits that Go's runtime fits in: a reactor with
// the hostcall abi, a command with the other.
func goModule(b []byte, abi uint8) runner.Module {
	m := bind(b, abi)
	m.Limits.MemoryBytes = 64 << 20
	if abi == runner.ABIHostcall {
		m.Entry = []string{"run"}
	}
	return m
}

func TestGoEcho(t *testing.T) {
	r := open(t, Options{})
	m := goModule(goGuest(t, echoTool), runner.ABIHostcall)
	payload := can.AppendText(nil, "hello")
	request := abi.Request{ToolID: cid.Sum([]byte("tool")), Payload: payload, IdemID: cid.Sum([]byte("idem"))}
	res := invoke(t, r, m, string(request.AppendCAN(nil)))
	want := abi.Response{Status: 200, Payload: payload}
	if !bytes.Equal(res.Response, want.AppendCAN(nil)) {
		t.Errorf("got %v % x (%s)", res.Outcome, res.Response, res.Detail)
	}
	if got := string(res.Log); got != "INFO echo 7 bytes\n" {
		t.Errorf("log %q", got)
	}
	if res.SandboxLevel != runner.SandboxOwnKernel || *res.FuelSchedule != fuel.Schedule1 || *res.FuelUsed == 0 {
		t.Errorf("sandbox level %d, schedule %d, fuel %d", res.SandboxLevel, *res.FuelSchedule, *res.FuelUsed)
	}

	res = invoke(t, r, m, "garbage")
	var q abi.Response
	rd := can.NewReader(res.Response)
	q.ReadCAN(&rd)
	if rd.Done() != nil || q.Status != 400 || q.Error == nil || q.Error.Code != "bad_request" {
		t.Errorf("a garbage request: %v %+v, %v", res.Outcome, q, rd.Done())
	}

	m.Limits.MaxResponse = 20
	res = invoke(t, r, m, string(request.AppendCAN(nil)))
	if res.Outcome != runner.ResponseTooLarge || !strings.Contains(string(res.Log), "ERROR the response of") {
		t.Errorf("a response over the limit: %v (%s), log %q", res.Outcome, res.Detail, res.Log)
	}
	m.Limits = goModule(nil, 0).Limits
	m.Limits.MemoryBytes = 2 << 20
	if err := r.Check(t.Context(), m); err == nil {
		t.Error("Check accepted a memory limit below the module's minimum")
	}
}

func TestGoStdio(t *testing.T) {
	r := open(t, Options{})
	m := goModule(goGuest(t, "runtime/runner/wasm/testdata/stdio"), runner.ABIStdio)
	res := invoke(t, r, m, "hello")
	if string(res.Response) != "hello" {
		t.Errorf("got %v %q (%s), log %s", res.Outcome, res.Response, res.Detail, res.Log)
	}
	if got := string(res.Log); got != "STDERR [module] 0 true 1h0m0s\n" {
		t.Errorf("log %q", got)
	}
	if res := invoke(t, r, m, "exit 3"); res.Outcome != runner.Exited || !strings.Contains(res.Detail, "3") {
		t.Errorf("exit 3: %v (%s)", res.Outcome, res.Detail)
	}
	if res := invoke(t, r, m, "exit 0"); res.Outcome != runner.NoResponse {
		t.Errorf("exit 0: %v (%s)", res.Outcome, res.Detail)
	}
}

// TestGoEchoReproducible builds the guest from a copy of the sources in another
// folder: the bytes, so the digest, must not depend on where they lie.
func TestGoEchoReproducible(t *testing.T) {
	copied := t.TempDir()
	for _, dir := range []string{"sdk/go/tool", "tools/echo/go"} {
		if err := os.CopyFS(filepath.Join(copied, dir), os.DirFS(filepath.Join(repoRoot, dir))); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(repoRoot, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copied, file), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again, err := buildGuest(copied, echoTool)
	if err != nil {
		t.Fatal(err)
	}
	if here := goGuest(t, echoTool); !bytes.Equal(here, again) {
		t.Errorf("%s here, %s in %s", cid.Sum(here), cid.Sum(again), copied)
	}
}
