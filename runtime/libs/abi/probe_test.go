package abi

import (
	"bytes"
	"errors"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

func probeMap(pairs ...[]byte) []byte {
	return append(can.AppendMap(nil, len(pairs)/2), bytes.Join(pairs, nil)...)
}

func txt(s string) []byte { return can.AppendText(nil, s) }

// TestProbe: an answer reads back, and nothing else is one.
func TestProbe(t *testing.T) {
	response := Fail(409, "declined", "no")
	for _, want := range []Probe{
		{Outcome: ProbeCommitted},
		{Outcome: ProbeNotInvoked},
		{Outcome: ProbeUnknown},
		{Outcome: ProbeCommitted, Response: response},
	} {
		got, original, err := DecodeProbe(want.AppendCAN(nil))
		if err != nil || got.Outcome != want.Outcome || !bytes.Equal(got.Response, want.Response) {
			t.Errorf("%+v: %+v, %v", want, got, err)
		}
		if want.Response != nil && original.Status != 409 {
			t.Errorf("the response has status %d", original.Status)
		}
	}
	outcome, committed := txt("outcome"), txt(ProbeCommitted)
	body := can.AppendBytes(nil, response)
	for name, bad := range map[string][]byte{
		"empty map":              probeMap(),
		"no map":                 committed,
		"another outcome":        probeMap(outcome, txt("done")),
		"no text":                probeMap(outcome, []byte{0}),
		"response alone":         probeMap(txt("response"), body),
		"another member":         probeMap(outcome, committed, txt("zz"), body),
		"twice":                  probeMap(outcome, committed, outcome, committed),
		"response is no bytes":   probeMap(outcome, committed, txt("response"), txt("x")),
		"response is no message": probeMap(outcome, committed, txt("response"), can.AppendBytes(nil, []byte{0})),
		"response, not invoked":  probeMap(outcome, txt(ProbeNotInvoked), txt("response"), body),
		"more after it":          append(probeMap(outcome, committed), 0),
	} {
		if got, _, err := DecodeProbe(bad); err == nil {
			t.Errorf("%s: accepted as %+v", name, got)
		}
	}
}

func FuzzProbe(f *testing.F) {
	for _, x := range []Probe{{Outcome: ProbeUnknown}, {Outcome: ProbeCommitted, Response: Fail(404, "x", "")}} {
		f.Add(x.AppendCAN(nil))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, _, err := DecodeProbe(raw)
		if err != nil {
			if fault.CodeOf(err) == "" || errors.Is(err, fault.Code("")) {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		if !bytes.Equal(x.AppendCAN(nil), raw) {
			t.Fatalf("%x reads as %+v, which is other bytes", raw, x)
		}
	})
}
