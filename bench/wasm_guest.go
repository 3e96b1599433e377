package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/wasm"
)

// guest is a module and the export that a call of it invokes.
type guest struct {
	name  string
	code  []byte
	entry string
}

// echoGuests returns the echo of every language: those that tests use, and the
// Go reference tool, built now.
func echoGuests(ctx context.Context) ([]guest, error) {
	all := []guest{{name: "C"}, {name: "Rust"}, {name: "AssemblyScript"}}
	for i, dir := range []string{"c", "rust", "assemblyscript"} {
		code, err := os.ReadFile(filepath.Join("..", "runtime", "runner", "wasm", "testdata", "guests", dir, "echo.wasm"))
		if err != nil {
			return nil, err
		}
		all[i].code, all[i].entry = code, "run"
	}
	code, err := buildGo(ctx, "..", "-buildmode=c-shared", "./tools/echo/go")
	return append(all, guest{"Go", code, "run"}), err
}

// buildGo builds a Go guest of the module in dir.
func buildGo(ctx context.Context, dir string, args ...string) (code []byte, err error) {
	out, err := os.MkdirTemp("", "guest")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(out)) }()
	file := filepath.Join(out, "guest.wasm")
	args = append([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", file}, args...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build %v: %w\n%s", args, err, text)
	}
	return os.ReadFile(file)
}

// message is a request and the response that every echo owes.
type message struct {
	size              int // of what is echoed
	payload           []byte
	request, response []byte
}

func newMessage(size int) message {
	m := message{size: size, payload: can.AppendBytes(nil, bytes.Repeat([]byte("x"), size))}
	q := abi.Request{ToolID: cid.Sum([]byte("tool")), Payload: m.payload, IdemID: cid.Sum([]byte("idem"))}
	p := abi.Response{Status: abi.StatusOK, Payload: m.payload}
	m.request, m.response = q.AppendCAN(nil), p.AppendCAN(nil)
	return m
}

// bind is the module as an executor would hand it to the runner: metered, with
// limits that it does not reach.
func (g *guest) bind() runner.Module {
	fuel := uint64(1) << 50
	return runner.Module{
		Digest: cid.Sum(g.code), Kind: runner.KindWASM, ABI: runner.ABIHostcall, Entry: []string{g.entry},
		Limits: runner.Limits{
			Timeout: time.Minute, MemoryBytes: 64 << 20, Fuel: &fuel,
			MaxRequest: 1 << 20, MaxResponse: 1 << 20, MaxStderr: 4096,
		},
		Load: func(context.Context) ([]byte, error) { return g.code, nil },
	}
}

// withRunner calls use with a Runner and closes it.
func withRunner(o wasm.Options, use func(runner.Runner) error) (err error) {
	r, err := wasm.New(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return use(r)
}

// oursOnce is one call through the port.
func oursOnce(ctx context.Context, r runner.Runner, c runner.Call) ([]byte, error) {
	res, err := r.Run(ctx, c)
	if err == nil && (res.Outcome != runner.Answered || res.FuelUsed == nil) {
		err = fmt.Errorf("the call ended as %s: %s; fuel counted: %t", res.Outcome, res.Detail, res.FuelUsed != nil)
	}
	return res.Response, err
}

func (g *guest) call(m message) runner.Call {
	return runner.Call{Module: g.bind(), Request: m.request, RequestHash: cid.Sum(m.request)}
}
