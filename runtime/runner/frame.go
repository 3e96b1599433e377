package runner

import (
	"encoding/binary"
	"fmt"

	"github.com/mythos-run/mythos/runtime/libs/can"
)

// frameStep is how much is reserved before any byte of a body has arrived: a
// module that announces much and sends nothing costs little.
const frameStep = 64 << 10

// Frame collects the one response frame that a module writes. It keeps at most
// the limit, however much is written, and is not safe for concurrent use.
type Frame struct {
	limit   uint64
	head    []byte // length bytes so far
	want    uint64 // body length, once headed
	body    []byte
	headed  bool
	outcome Outcome // set when no further byte can make a frame of it
	detail  string
}

// NewFrame returns an empty Frame for a body of at most limit bytes.
func NewFrame(limit uint64) *Frame { return &Frame{limit: limit} }

// Write takes the next bytes of the stream. It never fails: what is wrong with
// the stream is told by Result.
func (f *Frame) Write(p []byte) (int, error) {
	n := len(p)
	for !f.headed && len(p) > 0 && f.outcome == 0 {
		f.header(p[0])
		p = p[1:]
	}
	if f.outcome != 0 || len(p) == 0 {
		return n, nil
	}
	if uint64(len(p)) > f.want-uint64(len(f.body)) {
		f.fail(NoResponse, fmt.Sprintf("bytes follow the response frame of %d bytes", f.want))
		return n, nil
	}
	f.body = append(f.body, p...)
	return n, nil
}

// Complete reports whether the whole body has arrived and nothing else.
func (f *Frame) Complete() bool {
	return f.outcome == 0 && f.headed && uint64(len(f.body)) == f.want
}

// Failed reports whether no further byte can make a frame of the stream.
func (f *Frame) Failed() bool { return f.outcome != 0 }

func (f *Frame) header(c byte) {
	f.head = append(f.head, c)
	if c >= 0x80 && len(f.head) < binary.MaxVarintLen64 {
		return
	}
	length, _, err := can.Uvarint(f.head)
	switch {
	case err != nil:
		f.fail(NoResponse, fmt.Sprintf("the response does not begin with a frame length: % x", f.head))
	case length > f.limit:
		f.fail(ResponseTooLarge, fmt.Sprintf("a response frame of %d bytes, at most %d", length, f.limit))
	default:
		f.want, f.headed = length, true
		f.body = make([]byte, 0, min(length, frameStep))
	}
}

func (f *Frame) fail(o Outcome, detail string) {
	f.outcome, f.detail, f.body = o, detail, nil
}

// Result returns what the stream holds when it has ended: Answered with the
// body, ResponseTooLarge, or NoResponse, each with a detail for people.
func (f *Frame) Result() (Outcome, []byte, string) {
	switch {
	case f.outcome != 0:
		return f.outcome, nil, f.detail
	case len(f.head) == 0:
		return NoResponse, nil, "the module wrote no response"
	case !f.headed:
		return NoResponse, nil, "the response ends inside its frame length"
	case uint64(len(f.body)) < f.want:
		return NoResponse, nil, fmt.Sprintf("the response frame ends after %d of %d bytes", len(f.body), f.want)
	}
	return Answered, f.body, ""
}
