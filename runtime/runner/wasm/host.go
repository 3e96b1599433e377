package wasm

import (
	"math"

	"github.com/mythos-run/mythos/runtime/runner"
)

// The functions of mythos_v1 (RFC-MYTHOS-0006 §11.1). A pointer and a length
// are checked as given, before anything else: out of range traps.

func requestLen(h *Host, _ memory, stack []uint64) {
	stack[0] = uint64(len(h.request))
}

// requestRead copies what there is of the request from off, 0 bytes past its end.
func requestRead(h *Host, mem memory, stack []uint64) {
	dst := mem.must("request_read", arg(stack, 0), arg(stack, 2))
	off := min(arg(stack, 1), uint64(len(h.request)))
	stack[0] = uint64(copy(dst, h.request[off:]))
}

// responseWrite appends to the response. A write that would exceed the limit is
// refused whole: what was written before stays, and a shorter write may follow.
func responseWrite(h *Host, mem memory, stack []uint64) {
	src := mem.must("response_write", arg(stack, 0), arg(stack, 1))
	h.refused = uint64(len(h.response))+uint64(len(src)) > h.limits.MaxResponse
	if h.refused {
		give(stack, hostLimit)
		return
	}
	h.response = append(h.response, src...)
	stack[0] = uint64(len(src))
}

// logLine appends lines to the log. Levels above the last count as the last.
func logLine(h *Host, mem memory, stack []uint64) {
	text := mem.must("log", arg(stack, 1), arg(stack, 2))
	levels := [...]string{"DEBUG", "INFO", "WARN", "ERROR"}
	if !h.log.Full() {
		h.log.Add(levels[min(arg(stack, 0), uint64(len(levels)-1))], h.loggable(text))
	}
}

// loggable cuts what the log cannot hold: looking for line ends in the whole of
// a large memory would take seconds. Every byte takes at least one of the log,
// but for a line end at the end; so what is cut is cut off the log as well.
func (h *Host) loggable(text []byte) []byte {
	return text[:min(uint64(len(text)), h.limits.MaxStderr+2)]
}

// result returns how a call that ended cleanly answered.
func (h *Host) result() (runner.Outcome, []byte, string) {
	switch {
	case h.frame != nil:
		return h.frame.Result()
	case h.refused:
		return runner.ResponseTooLarge, nil, "response_write was refused: the response is over its limit"
	case len(h.response) == 0:
		return runner.NoResponse, nil, "the module returned without a response"
	}
	return runner.Answered, h.response, ""
}

// addTime returns a+b, or the largest time.
func addTime(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}
