package wasm

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
)

// powers is one row of testdata/hostcalls.json: what a module can reach under one
// single grant.
type powers struct {
	// Imports are the functions that it may import when it asks for that capability
	// and no other, as MODULE.NAME.
	Imports []string `json:"imports"`
	// Uses are the granted hostcalls that do anything when it asks for all
	// capabilities and is given that one.
	Uses []string `json:"uses"`
}

// TestOneGrantGivesOnePower records what a module can reach under each single grant,
// and under none, and compares it with the list that is checked in: there is no
// ambient authority, and one hostcall more fails.
func TestOneGrantGivesOnePower(t *testing.T) {
	raw, err := os.ReadFile("testdata/hostcalls.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]powers
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	r := open(t, Options{})
	got := map[string]powers{}
	for name, g := range singleGrants(t) {
		got[name] = powers{importable(t, r, g.kinds), used(t, r, g)}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what modules can reach is not what testdata/hostcalls.json lists (-want +got):\n%s", diff)
	}
}

// single is one grant alone.
type single struct {
	kinds  []uint8
	grants runner.Grants
	asked  *bool // whether Net was asked about a connection
}

// singleGrants has each grant that a wasm module can be given, alone.
func singleGrants(t *testing.T) map[string]single {
	out := map[string]single{"none": {}}
	everything := all()
	for _, kind := range grantable() {
		s := single{kinds: []uint8{kind}, asked: new(bool)}
		name := fmt.Sprintf("kind %d", kind)
		switch kind {
		case runner.CapClock:
			name, s.grants.Clock = "clock", true
		case runner.CapRandom:
			name, s.grants.Random = "random", true
		case runner.CapBlobRead:
			name, s.grants.Blob = "blob", everything.Blob
		case runner.CapNetConnect:
			name = "net"
			s.grants.Net = &runner.Net{Allow: func(runner.Connect) error {
				*s.asked = true
				return fault.New(runner.ErrDenied, "not this one")
			}}
		case runner.CapSecretRead:
			name = "secret"
			s.grants.Secrets = []runner.Secret{{Name: "token", Value: func() ([]byte, error) { return []byte("s"), nil }}}
		default:
			t.Errorf("a grant of kind %d that this test does not know", kind)
		}
		out[name] = s
	}
	return out
}

// importable lists what a module that asks for these kinds may import.
func importable(t *testing.T, r *Runner, kinds []uint8) []string {
	t.Helper()
	names := []string{}
	for _, f := range Contract() {
		m := bind(importing(f.Module, f.Name, string(f.Params), string(f.Results)), runner.ABIHostcall)
		m.Caps = kinds
		if r.Check(t.Context(), m) == nil {
			names = append(names, f.Module+"."+f.Name)
		}
	}
	slices.Sort(names)
	return names
}

// used lists the granted hostcalls that do something under one grant.
func used(t *testing.T, r *Runner, g single) []string {
	t.Helper()
	request := (&abi.HTTPRequest{Method: "GET", Url: "http://127.0.0.1:1/"}).AppendCAN(nil)
	m := worldly(string(request),
		c32(outAt), callFn(fnNow), []byte{opI64Store, 3, 0},
		result(2, callFn(fnSecure, 4096, 4)), result(3, blobCall(0, 4096, 4)), result(4, callFn(fnHTTP, dataAt, int32(len(request)))),
		result(5, callFn(fnHTTPRead, 4096, 0, 4)), answerOf(outAt, 24))
	words := answered(t, call(t, r, m, g.grants))
	names := []string{}
	for i, name := range []string{2: "random", 3: "blob_get", 5: "http_read"} {
		if name != "" && words[i] >= 0 {
			names = append(names, name)
		}
	}
	if words[0] != -1 || words[1] != -1 {
		names = append(names, "now_us")
	}
	if g.asked != nil && *g.asked {
		names = append(names, "http")
	}
	slices.Sort(names)
	return names
}
