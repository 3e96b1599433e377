package abi

import (
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrTranscript: an io transcript whose parts contradict RFC-MYTHOS-0006 §11.5.
const ErrTranscript fault.Code = "transcript_invalid"

// Limits of an io transcript (RFC-MYTHOS-0006 §11.5).
const (
	MaxTranscript = 64 << 20 // bytes of the transcript
	MaxObjects    = 64 << 20 // bytes of the responses that it names by their CID
	MaxInline     = 64 << 10 // bytes of a response that it holds itself
)

// AppendTranscript appends the transcript of n calls, which are already encoded
// one after another.
func AppendTranscript(b []byte, n int, calls []byte) []byte {
	head := (&Transcript{}).AppendCAN(nil)
	b = append(b, head[:len(head)-2]...) // up to the LIST of no calls
	return append(can.AppendList(slices.Grow(b, len(calls)+10), n), calls...)
}

// DecodeTranscript reads an io transcript: every request is one canonical value,
// and so is every response that it holds, which is at most MaxInline long. Bytes
// alias raw.
func DecodeTranscript(raw []byte) (Transcript, error) {
	if len(raw) > MaxTranscript {
		return Transcript{}, fault.New(ErrTranscript, "the transcript has %d bytes, at most %d", len(raw), MaxTranscript)
	}
	var x Transcript
	r := can.NewReader(raw)
	x.ReadCAN(&r)
	if err := r.Done(); err != nil {
		return Transcript{}, err
	}
	if len(x.Calls) == 0 {
		return Transcript{}, fault.New(ErrTranscript, "a transcript without a call")
	}
	for i := range x.Calls {
		if err := x.Calls[i].check(); err != nil {
			return Transcript{}, fault.New(ErrTranscript, "call %d: %w", i, err)
		}
	}
	return x, nil
}

func (c *IOCall) check() error {
	if err := can.Valid(c.Request); err != nil {
		return err
	}
	switch {
	case c.Response != nil && c.ResponseCID != nil:
		return fault.New(ErrTranscript, "it has a response and the CID of one")
	case len(c.Response) > MaxInline:
		return fault.New(ErrTranscript, "its response has %d bytes, at most %d", len(c.Response), MaxInline)
	case c.Response != nil:
		return can.Valid(c.Response)
	}
	return nil
}

// SetResponse gives a call its response, one canonical value, and returns the
// object that the transcript then only names, nil if it holds the response.
func (c *IOCall) SetResponse(response []byte) (object []byte) {
	if len(response) <= MaxInline {
		c.Response = response
		return nil
	}
	id := cid.Sum(response)
	c.ResponseCID = &id
	return response
}
