package abi

import (
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// What a probe may say of an effect (RFC-MYTHOS-0006 §10).
const (
	ProbeCommitted  = "committed"   // it happened
	ProbeNotInvoked = "not_invoked" // it did not, and no longer can
	ProbeUnknown    = "unknown"     // the probe will never know
)

// Probe is a probe's answer, the payload of its response.
type Probe struct {
	Outcome  string // ProbeCommitted, ProbeNotInvoked or ProbeUnknown
	Response []byte // the canonical ToolResponse that the effect had; nil: not known
}

// AppendCAN appends the canonical bytes of x.
func (x *Probe) AppendCAN(b []byte) []byte {
	n := 1
	if x.Response != nil {
		n++
	}
	b = can.AppendMap(b, n)
	b = can.AppendText(can.AppendText(b, "outcome"), x.Outcome)
	if x.Response != nil {
		b = can.AppendBytes(can.AppendText(b, "response"), x.Response)
	}
	return b
}

// DecodeProbe reads a probe's answer and the response in it, which is the zero
// Response if there is none. Response aliases payload.
func DecodeProbe(payload []byte) (x Probe, original Response, err error) {
	r := can.NewReader(payload)
	n := r.MapHead()
	for i := 0; i < n && r.OK(); i++ {
		at := r.Pos()
		switch key := r.Text(); {
		case key == "outcome" && i == 0:
			x.Outcome = r.Text()
		case key == "response" && i == 1:
			x.Response = r.Bytes()
		default:
			r.Fail(ErrResponse, at, "a probe's answer has no member %.40q there", key)
		}
	}
	r.EndMap()
	if err = r.Done(); err != nil {
		return Probe{}, original, err
	}
	switch x.Outcome {
	case ProbeCommitted:
	case ProbeNotInvoked, ProbeUnknown:
		if x.Response != nil {
			return Probe{}, original, fault.New(ErrResponse, "a probe's answer %q carries a response", x.Outcome)
		}
	default:
		return Probe{}, original, fault.New(ErrResponse, "a probe's outcome is %.40q, want committed, not_invoked or unknown", x.Outcome)
	}
	if x.Response == nil {
		return x, original, nil
	}
	if original, err = DecodeResponse(x.Response); err != nil {
		return Probe{}, Response{}, err
	}
	return x, original, nil
}
