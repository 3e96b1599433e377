//go:build !race

// Under the race detector the guests take minutes; scripts/parity.sh runs this
// without it.

package parity_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/wasm"
)

const (
	root     = "../../.."
	count    = 200
	maxBytes = 1 << 20
)

// exchange is a request and the one answer to it.
type exchange struct{ request, response []byte }

// exchanges returns the same requests in every run: values of every shape, and
// every third one broken.
func exchanges() []exchange {
	rand := rand.New(rand.NewPCG(20260101, 200))
	out := make([]exchange, count)
	for i := range out {
		payload := appendValue(nil, rand, 0)
		if i%50 == 49 {
			payload = can.AppendBytes(nil, bytes.Repeat([]byte{byte(i)}, 100_000))
		}
		q := abi.Request{ToolID: cid.Sum([]byte("tool")), Payload: payload, IdemID: cid.Sum([]byte{byte(i)})}
		raw := q.AppendCAN(nil)
		if i%3 == 2 {
			raw = broken(raw, rand)
		}
		out[i] = exchange{raw, answer(raw)}
	}
	return out
}

// answer is the echo tool in terms of the product's codec.
func answer(request []byte) []byte {
	q, err := abi.DecodeRequest(request)
	if err != nil {
		return abi.Fail(400, "bad_request", "")
	}
	r := abi.Response{Status: abi.StatusOK, Payload: q.Payload}
	return r.AppendCAN(nil)
}

// broken returns a copy of raw with one byte changed, cut off or added.
func broken(raw []byte, rand *rand.Rand) []byte {
	at := rand.IntN(len(raw))
	switch rand.IntN(4) {
	case 0:
		return bytes.Clone(raw[:at])
	case 1:
		return append(bytes.Clone(raw), byte(rand.IntN(9)))
	}
	out := bytes.Clone(raw)
	out[at] ^= byte(1 + rand.IntN(255))
	return out
}

func appendValue(b []byte, rand *rand.Rand, depth int) []byte {
	kinds := 9
	if depth == 5 {
		kinds = 7
	}
	switch rand.IntN(kinds) {
	case 0:
		return can.AppendNull(b)
	case 1:
		return can.AppendBool(b, rand.IntN(2) == 0)
	case 2:
		return can.AppendUint(b, rand.Uint64()>>rand.IntN(64))
	case 3:
		return can.AppendInt(b, int64(rand.Uint64())>>rand.IntN(64))
	case 4:
		return can.AppendBytes(b, randomBytes(rand))
	case 5, 6:
		return can.AppendText(b, strings.Repeat("a\x00é\ufeff😀", rand.IntN(40)))
	case 7:
		n := rand.IntN(6)
		b = can.AppendList(b, n)
		for range n {
			b = appendValue(b, rand, depth+1)
		}
		return b
	}
	return appendMap(b, rand, depth)
}

func randomBytes(rand *rand.Rand) []byte {
	out := make([]byte, rand.IntN(300))
	for i := range out {
		out[i] = byte(rand.Uint32())
	}
	return out
}

func appendMap(b []byte, rand *rand.Rand, depth int) []byte {
	var keys [][]byte
	for range rand.IntN(6) {
		keys = append(keys, appendValue(nil, rand, depth+1))
	}
	slices.SortFunc(keys, bytes.Compare)
	keys = slices.CompactFunc(keys, bytes.Equal)
	b = can.AppendMap(b, len(keys))
	for _, k := range keys {
		b = appendValue(append(b, k...), rand, depth+1)
	}
	return b
}

// guest is an echo tool that was built.
type guest struct {
	name    string
	wasm    string   // a file, or
	command []string // a process
}

func guests(t *testing.T) []guest {
	t.Helper()
	dir := t.TempDir()
	out := []guest{
		{name: "go, wasm", wasm: build(t, dir, "echo/go", "wasip1", "wasm")},
		{name: "go, native", command: []string{build(t, dir, "echo/go", "", "")}},
	}
	for _, script := range []struct{ name, program, path string }{
		{"javascript", "node", "tools/echo/js/main.js"},
		{"python", "python3", "tools/echo/python/main.py"},
	} {
		program, err := exec.LookPath(script.program)
		if err != nil {
			missing(t, script.name, err)
			continue
		}
		out = append(out, guest{name: script.name, command: []string{program, filepath.Join(root, script.path)}})
	}
	return append(out, given(t)...)
}

// build builds a tool in Go for a system, "" being this one, and returns the file.
func build(t *testing.T, dir, tool, system, arch string) string {
	t.Helper()
	mode := "-buildmode=exe"
	if arch == "wasm" {
		mode = "-buildmode=c-shared"
	}
	out := filepath.Join(dir, strings.ReplaceAll(tool, "/", "-")+"."+arch)
	cmd := exec.Command("go", "build", mode, "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", out, "./tools/"+tool)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	return out
}

// given returns the guests that MYTHOS_ECHO_GUESTS names.
func given(t *testing.T) []guest {
	t.Helper()
	var out []guest
	for item := range strings.SplitSeq(os.Getenv("MYTHOS_ECHO_GUESTS"), ";") {
		if item == "" {
			continue
		}
		name, rest, _ := strings.Cut(item, "=")
		kind, where, _ := strings.Cut(rest, ":")
		switch kind {
		case "wasm":
			out = append(out, guest{name: name, wasm: where})
		case "process":
			out = append(out, guest{name: name, command: strings.Fields(where)})
		default:
			t.Fatalf("MYTHOS_ECHO_GUESTS: %q is neither name=wasm:FILE nor name=process:COMMAND", item)
		}
	}
	if len(out) == 0 {
		t.Log("C, Rust and AssemblyScript are NOT compared here; scripts/parity.sh builds them and runs this test")
	}
	return out
}

// missing notes that a language cannot be compared: a failure in CI.
func missing(t *testing.T, name string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s: %v", name, err)
	}
	t.Logf("!! SKIPPED: echo in %s: %v", name, err)
}

func TestTheSameBytesInEveryLanguage(t *testing.T) {
	all := exchanges()
	refused := 0
	for _, x := range all {
		if bytes.Contains(x.response, []byte("bad_request")) {
			refused++
		}
	}
	if refused < 40 || refused > 80 {
		t.Fatalf("%d of %d requests are refused", refused, count)
	}
	for _, g := range guests(t) {
		t.Run(g.name, func(t *testing.T) {
			ask := askProcess(t, g.command)
			if g.wasm != "" {
				ask = askWasm(t, g.wasm)
			}
			for i, x := range all {
				got, err := ask(x.request)
				if err != nil {
					t.Fatalf("request %d, %x: %v", i, x.request, err)
				}
				if !bytes.Equal(got, x.response) {
					t.Errorf("request %d, %x:\n got %x\nwant %x", i, x.request, got, x.response)
				}
			}
		})
	}
}

// askWasm runs a module with the product's runner.
func askWasm(t *testing.T, path string) func([]byte) ([]byte, error) {
	t.Helper()
	code, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := wasm.New(wasm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	m := moduleOf(code)
	if err := r.Check(t.Context(), m); err != nil {
		m.Entry = []string{"_start"} // a command, as Rust builds them, not a reactor
	}
	return func(request []byte) ([]byte, error) {
		result, err := r.Run(t.Context(), runner.Call{Module: m, Request: request, RequestHash: cid.Sum(request)})
		if err == nil && result.Outcome != runner.Answered {
			err = fmt.Errorf("%v: %s\n%s", result.Outcome, result.Detail, result.Log)
		}
		return result.Response, err
	}
}

// moduleOf returns a module with the limits that packers write.
func moduleOf(code []byte) runner.Module {
	fuel := uint64(1_000_000_000)
	return runner.Module{
		Digest: cid.Sum(code), Kind: runner.KindWASM, ABI: runner.ABIHostcall, Entry: []string{"run"},
		Limits: runner.Limits{
			Timeout: time.Minute, MemoryBytes: 64 << 20, Fuel: &fuel,
			MaxRequest: maxBytes, MaxResponse: maxBytes, MaxStderr: maxBytes, MaxIOCalls: 10,
		},
		Load: func(context.Context) ([]byte, error) { return code, nil },
	}
}

// askProcess starts a worker that serves every request, and expects it to end in
// order when its input does.
func askProcess(t *testing.T, command []string) func([]byte) ([]byte, error) {
	t.Helper()
	if len(command) == 0 {
		return nil
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = []string{"HOME=/tmp", "TMPDIR=/tmp", "LANG=C.UTF-8", "PATH=/usr/bin:/bin"}
	var log bytes.Buffer
	cmd.Stderr = &log
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	for _, err := range []error{err1, err2, cmd.Start()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	answers := bufio.NewReader(out)
	t.Cleanup(func() {
		in.Close()
		rest, err := io.ReadAll(answers)
		if err := cmd.Wait(); err != nil || len(rest) > 0 {
			t.Errorf("%v; %d bytes behind the last answer; log:\n%s", err, len(rest), log.Bytes())
		}
		if err != nil {
			t.Error(err)
		}
	})
	return func(request []byte) ([]byte, error) {
		if _, err := in.Write(abi.AppendFrame(nil, request)); err != nil {
			return nil, err
		}
		return abi.ReadFrame(answers, maxBytes)
	}
}
