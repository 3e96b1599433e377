package wasm

import (
	"bytes"
	"context"
	"errors"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
)

// callOverhead is more than a recorded call adds to its request and response.
const callOverhead = 128

// record is a call's io transcript as it grows (RFC-MYTHOS-0006 §11.5).
type record struct {
	asked   uint32      // granted hostcalls so far
	calls   []byte      // those that ended, canonical
	ended   int         // how many
	pending *abi.IOCall // one that has not ended
	objects [][]byte
	held    int // bytes of objects
	replay  *replay
}

// ask makes one granted hostcall. Both request and response are one canonical
// value; room is how long the response can be at most. It returns nil if a limit
// refuses the call, which depends on nothing but the module, its limits and what
// the world has answered so far.
func (h *Host) ask(fn string, request []byte, room int, do func() []byte) []byte {
	w := &h.record
	inline := len(w.calls) + len(request) + min(room, abi.MaxInline) + callOverhead
	large := room > abi.MaxInline && w.held+room > abi.MaxObjects
	if w.asked >= h.limits.MaxIOCalls || inline > abi.MaxTranscript-callOverhead || large {
		return nil
	}
	w.asked++
	w.pending = &abi.IOCall{Fn: fn, Request: request}
	var response []byte
	if w.replay != nil {
		response = w.replay.answer(w.pending)
	} else {
		response = do()
	}
	if object := w.pending.SetResponse(response); object != nil {
		w.objects = append(w.objects, object)
		w.held += len(object)
	}
	w.keep()
	h.checkDeadline()
	return response
}

// keep adds the pending call to the transcript.
func (w *record) keep() {
	w.calls = w.pending.AppendCAN(w.calls)
	w.ended++
	w.pending = nil
}

// transcript returns the canonical transcript, nil without a call.
func (w *record) transcript() []byte {
	if w.pending != nil {
		w.keep() // without a response: the guest was ended while it waited
	}
	if w.ended == 0 {
		return nil
	}
	return abi.AppendTranscript(nil, w.ended, w.calls)
}

// errReplay unwinds a guest that does not do what was recorded; replay.err says
// what.
var errReplay = errors.New("the replay ended")

// replay answers granted hostcalls from a recording.
type replay struct {
	ctx    context.Context
	calls  []abi.IOCall
	next   int
	object func(context.Context, cid.Hash, uint64) ([]byte, error)
	err    error
}

// newReplay reads a recording.
func newReplay(ctx context.Context, rec runner.Recording) (*replay, error) {
	p := &replay{ctx: ctx, object: rec.Object}
	if rec.Transcript == nil {
		return p, nil
	}
	t, err := abi.DecodeTranscript(rec.Transcript)
	if err != nil {
		return nil, err
	}
	p.calls = t.Calls
	return p, nil
}

// answer returns the recorded response of the next call, which must be this one.
func (p *replay) answer(c *abi.IOCall) []byte {
	if p.next == len(p.calls) {
		p.fail(fault.New(runner.ErrTranscriptDiffers, "call %d, %q, was not made before", p.next, c.Fn))
	}
	at, was := p.next, &p.calls[p.next]
	p.next++
	switch {
	case was.Fn != c.Fn:
		p.fail(fault.New(runner.ErrTranscriptDiffers, "call %d was %q and is %q", at, clip(was.Fn), c.Fn))
	case !bytes.Equal(was.Request, c.Request):
		p.fail(fault.New(runner.ErrTranscriptDiffers, "call %d, %q, has another request", at, c.Fn))
	case was.Response != nil:
		return was.Response
	case was.ResponseCID == nil:
		p.fail(fault.New(runner.ErrTranscriptDiffers, "call %d, %q, never ended", at, c.Fn))
	}
	return p.fetch(at, *was.ResponseCID)
}

// fetch returns a response that the transcript names.
func (p *replay) fetch(at int, id cid.Hash) []byte {
	if p.object == nil {
		p.fail(fault.New(abi.ErrTranscript, "the response of call %d, %s, is not at hand", at, id))
	}
	b, err := p.object(p.ctx, id, abi.MaxObjects)
	if err != nil {
		p.fail(err)
	}
	if len(b) > abi.MaxObjects || cid.Sum(b) != id {
		p.fail(fault.New(abi.ErrTranscript, "the response of call %d is not %s", at, id))
	}
	if err := can.Valid(b); err != nil {
		p.fail(fault.New(abi.ErrTranscript, "the response of call %d: %w", at, err))
	}
	return b
}

func (p *replay) fail(err error) {
	p.err = err
	panic(errReplay)
}

// verdict reports how a replayed call differs from the recorded one.
func (p *replay) verdict(res *runner.Result, want *cid.Hash) error {
	switch {
	case p.err != nil:
		return p.err
	case res.Outcome == runner.NotStarted || res.Outcome == runner.TimedOut || res.Outcome == runner.Killed:
		return nil // says nothing about the module
	case p.next != len(p.calls):
		return fault.New(runner.ErrTranscriptDiffers, "%d of %d calls were made", p.next, len(p.calls))
	case want == nil:
		return nil
	case res.Outcome != runner.Answered:
		return fault.New(runner.ErrTranscriptDiffers, "the module did not answer: %s", res.Outcome)
	}
	if got := cid.Sum(res.Response); got != *want {
		return fault.New(runner.ErrTranscriptDiffers, "the response is %s, was %s", got, *want)
	}
	return nil
}
