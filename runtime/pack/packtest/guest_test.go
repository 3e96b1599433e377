package packtest_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/wasm"
)

func module(b []byte, timeout time.Duration) runner.Module {
	return runner.Module{
		Digest: cid.Sum(b), Kind: runner.KindWASM, ABI: runner.ABIHostcall,
		Limits: runner.Limits{Timeout: timeout, MemoryBytes: 1 << 20, MaxRequest: 1 << 20, MaxResponse: 1 << 20, MaxStderr: 1 << 10},
		Load:   func(context.Context) ([]byte, error) { return b, nil },
	}
}

// TestGuests runs every guest on the real engine.
func TestGuests(t *testing.T) {
	r, err := wasm.New(wasm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	q := abi.Request{ToolID: cid.Sum([]byte("t")), Payload: can.AppendText(nil, "hello"), IdemID: cid.Sum([]byte("i"))}
	request := q.AppendCAN(nil)
	answer := abi.Response{Status: 200, Payload: q.Payload}
	for name, c := range map[string]struct {
		code     []byte
		want     runner.Outcome
		response []byte
	}{
		"echo":    {packtest.EchoWasm("one line"), runner.Answered, answer.AppendCAN(nil)},
		"answer":  {packtest.AnswerWasm([]byte("garbage")), runner.Answered, []byte("garbage")},
		"silent":  {packtest.SilentWasm(), runner.NoResponse, nil},
		"trap":    {packtest.TrapWasm(), runner.Trapped, nil},
		"exit":    {packtest.ExitWasm(3), runner.Exited, nil},
		"grow":    {packtest.GrowWasm(1000), runner.MemoryExceeded, nil},
		"no grow": {packtest.GrowWasm(1), runner.NoResponse, nil},
		"loop":    {packtest.LoopWasm(), runner.TimedOut, nil},
	} {
		timeout := 10 * time.Second
		if name == "loop" {
			timeout = 50 * time.Millisecond
		}
		res, err := r.Run(context.Background(), runner.Call{Module: module(c.code, timeout), Request: request, RequestHash: cid.Sum(request)})
		if err != nil || res.Outcome != c.want || !bytes.Equal(res.Response, c.response) {
			t.Errorf("%s: %v %x (%s), %v; want %v %x", name, res.Outcome, res.Response, res.Detail, err, c.want, c.response)
		}
		if name == "echo" && string(res.Log) != "INFO one line\n" {
			t.Errorf("echo logged %q", res.Log)
		}
	}
	err = r.Check(context.Background(), module(packtest.ImportWasm("mythos_v1", "random"), time.Second))
	if !errors.Is(err, wasm.ErrImportUngranted) {
		t.Errorf("an import that nobody granted: %v", err)
	}
}
