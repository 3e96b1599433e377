package ir

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

func TestRequestLimit(t *testing.T) {
	o := opTest{body: "const hi, r0; effect echo, r0, r1, r2; ret r1"}
	p, task := load(t, o.source())
	for limit, want := range map[uint64]fault.Code{121: "", 120: TrapRequest} {
		host := &fakeHost{}
		opt := RunOptions{Task: task, MaxRequest: func(cid.Hash) uint64 { return limit }}
		res, err := p.Run(context.Background(), opt, host)
		if err != nil || res.ErrorCode != want || len(host.calls) != int(res.IOUsed) {
			t.Errorf("limit %d: %+v, %v", limit, res, err)
		}
	}
}

func TestInputs(t *testing.T) {
	o := opTest{body: "nop; ret r0", args: "7"}
	p, task := load(t, o.source())
	list := func(items ...string) []byte {
		return append(can.AppendList(nil, len(items)), strings.Join(items, "")...)
	}
	res, err := p.Run(context.Background(), RunOptions{Task: task, Inputs: list(text("x"))}, &fakeHost{})
	if err != nil || string(res.Value) != text("x") {
		t.Errorf("got %+v, %v", res, err)
	}
	if got, err := p.Inputs(task, nil); err != nil || string(got) != "\x07\x01\x03\x07" {
		t.Errorf("the args are %x, %v", got, err)
	}
	for name, in := range map[string][]byte{
		"none":    list(),
		"two":     list("\x00", "\x00"),
		"no list": []byte("\x00"),
		"no can":  []byte("\x07\x01\x09"),
		"nothing": {},
	} {
		if _, err := p.Run(context.Background(), RunOptions{Task: task, Inputs: in}, &fakeHost{}); !errors.Is(err, ErrInputs) {
			t.Errorf("%s: got %v, want %s", name, err, ErrInputs)
		}
	}
	if _, err := p.Run(context.Background(), RunOptions{}, &fakeHost{}); !errors.Is(err, ErrTaskUnknown) {
		t.Errorf("got %v, want %s", err, ErrTaskUnknown)
	}
}
