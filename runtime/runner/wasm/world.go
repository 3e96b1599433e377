package wasm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
)

// What a hostcall returns when it fails (RFC-MYTHOS-0006 §11.1).
const (
	hostDenied = -1
	hostBounds = -2
	hostLimit  = -3
	hostAbsent = -4
)

const (
	maxRandom = 64 << 10 // bytes of one random
	maxBlob   = 1 << 20  // bytes of one blob_get
	// httpMargin is more than an HTTPResponse can have beside its body.
	httpMargin = 512 << 10
)

// outside is what granted hostcalls reach.
type outside struct {
	options *Options
	grants  runner.Grants
	last    []byte // the last HTTPResponse, nil: none
}

// The granted hostcalls of mythos_v1. Each checks what depends on its arguments
// alone, then asks; whatever the world answers is in the transcript before the
// guest sees it.

// fails is the recorded response of a call that failed.
func fails(code int64) []byte { return can.AppendInt(nil, code) }

// failed reports whether a response is an error number.
func (h *Host) failed(response []byte) (int64, bool) {
	if response == nil {
		return hostLimit, true
	}
	if response[0] != can.Int {
		return 0, false
	}
	r := can.NewReader(response)
	code := r.Int()
	if code < hostAbsent || code > hostDenied {
		h.forged("an error number")
	}
	return code, true
}

// forged ends a replay whose transcript has a response that no host gives.
func (h *Host) forged(what string) {
	if h.record.replay == nil {
		panic(fmt.Errorf("%w: a granted hostcall gave no %s", errHost, what))
	}
	h.record.replay.fail(fault.New(abi.ErrTranscript, "call %d: its response is not %s", h.record.replay.next-1, what))
}

// bytesOf reads a response that is BYTES, of n bytes to most.
func (h *Host) bytesOf(response []byte, least, most int) []byte {
	r := can.NewReader(response)
	b := r.Bytes()
	if r.Done() != nil || len(b) < least || len(b) > most {
		h.forged(fmt.Sprintf("%d to %d BYTES", least, most))
	}
	return b
}

// give leaves a 32-bit result.
func give(stack []uint64, n int64) { stack[0] = uint64(uint32(int32(n))) }

func nowMicros(h *Host, _ memory, stack []uint64) {
	response := h.ask("now_us", can.AppendNull(nil), 16, func() []byte {
		if !h.outside.grants.Clock {
			return fails(hostDenied)
		}
		return can.AppendUint(nil, uint64(max(0, h.outside.options.Now().UnixMicro())))
	})
	code, failed := h.failed(response)
	if !failed {
		r := can.NewReader(response)
		if code = int64(r.UintMax(1<<63 - 1)); r.Done() != nil {
			h.forged("a time")
		}
	}
	stack[0] = uint64(code)
}

func randomFill(h *Host, mem memory, stack []uint64) {
	dst := mem.must("random", arg(stack, 0), arg(stack, 1))
	switch {
	case len(dst) == 0:
		give(stack, 0)
		return
	case len(dst) > maxRandom:
		give(stack, hostLimit)
		return
	}
	response := h.ask("random", can.AppendUint(nil, uint64(len(dst))), len(dst)+callOverhead, func() []byte {
		if !h.outside.grants.Random {
			return fails(hostDenied)
		}
		b := make([]byte, len(dst))
		if _, err := io.ReadFull(h.outside.options.Random, b); err != nil {
			panic(fmt.Errorf("%w: no random bytes", errHost))
		}
		return can.AppendBytes(nil, b)
	})
	code, failed := h.failed(response)
	if !failed {
		code = int64(copy(dst, h.bytesOf(response, len(dst), len(dst))))
	}
	give(stack, code)
}

func blobGet(h *Host, mem memory, stack []uint64) {
	var id cid.Hash
	copy(id[:], mem.must("blob_get", arg(stack, 0), uint64(len(id))))
	dst := mem.must("blob_get", arg(stack, 2), arg(stack, 3))
	off := int64(stack[1])
	switch {
	case off < 0:
		give(stack, hostBounds)
		return
	case len(dst) == 0:
		give(stack, 0)
		return
	}
	dst = dst[:min(len(dst), maxBlob)]
	request := can.AppendUint(can.AppendUint(can.AppendBytes(can.AppendList(nil, 3), id[:]), uint64(off)), uint64(len(dst)))
	response := h.ask("blob_get", request, len(dst)+callOverhead, func() []byte { return h.readBlob(id, uint64(off), len(dst)) })
	code, failed := h.failed(response)
	if !failed {
		code = int64(copy(dst, h.bytesOf(response, 0, len(dst))))
	}
	give(stack, code)
}

func (h *Host) readBlob(id cid.Hash, off uint64, n int) []byte {
	if h.outside.grants.Blob == nil {
		return fails(hostDenied)
	}
	ctx, cancel := h.waiting()
	defer cancel()
	b := make([]byte, n)
	got, err := h.outside.grants.Blob(ctx, id, off, b)
	switch {
	case errors.Is(err, runner.ErrDenied):
		return fails(hostDenied)
	case errors.Is(err, runner.ErrAbsent):
		return fails(hostAbsent)
	case err != nil:
		h.checkDeadline()
		panic(fmt.Errorf("%w: reading blob %s: %w", errHost, id, err))
	case got < 0 || got > n:
		panic(fmt.Errorf("%w: reading blob %s gave %d of %d bytes", errHost, id, got, n))
	}
	return can.AppendBytes(nil, b[:got])
}

// waiting is the context of what a guest waits for: it ends with the call.
func (h *Host) waiting() (context.Context, context.CancelFunc) {
	return context.WithDeadline(h.ctx, h.meter.deadline)
}

// httpRead copies from the last response, as request_read does from the request.
func httpRead(h *Host, mem memory, stack []uint64) {
	dst := mem.must("http_read", arg(stack, 0), arg(stack, 2))
	if h.outside.last == nil {
		give(stack, hostAbsent)
		return
	}
	off := min(arg(stack, 1), uint64(len(h.outside.last)))
	give(stack, int64(copy(dst, h.outside.last[off:])))
}

func httpCall(h *Host, mem memory, stack []uint64) {
	raw := mem.must("http", arg(stack, 0), arg(stack, 1))
	h.outside.last = nil
	if len(raw) > abi.MaxHTTPRequest {
		give(stack, hostLimit)
		return
	}
	raw = bytes.Clone(raw) // the transcript keeps it
	f, err := newFetch(raw)
	if err != nil {
		give(stack, hostBounds)
		return
	}
	room := int(f.MaxBody) + httpMargin
	response := h.ask("http", raw, room, func() []byte { return h.fetch(f, room) })
	code, failed := h.failed(response)
	if !failed {
		h.checkHTTP(response)
		h.outside.last, code = response, int64(len(response))
	}
	give(stack, code)
}

// checkHTTP ends a replay whose transcript has no HTTPResponse where one is due.
func (h *Host) checkHTTP(response []byte) {
	var x abi.HTTPResponse
	r := can.NewReader(response)
	if x.ReadCAN(&r); r.Done() != nil {
		h.forged("an HTTPResponse")
	}
}

// grantable lists the capabilities that mean something to a wasm module.
func grantable() []uint8 {
	return []uint8{runner.CapBlobRead, runner.CapNetConnect, runner.CapClock, runner.CapRandom, runner.CapSecretRead}
}

// checkCaps reports a capability that no wasm module can be given.
func checkCaps(kinds []uint8) error {
	for _, k := range kinds {
		if !slices.Contains(grantable(), k) {
			return fault.New(runner.ErrGrant, "a wasm module asks for a capability of kind %d, which has no hostcall", k)
		}
	}
	return nil
}
