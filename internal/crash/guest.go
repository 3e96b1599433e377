package main

import (
	"bytes"
	"net/http"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// Guests are hand-made wasm modules of a few hundred bytes with the hostcall
// abi, so that a process that lives for milliseconds need not compile much.

// The functions that guests import, by index.
const (
	fnLen = iota
	fnRead
	fnWrite
	fnHTTP
	fnHTTPRead
)

// Where a guest's memory holds what it sends.
const (
	requestAt  = 1024 // the HTTP request, with room for the id
	responseAt = 8192 // what the tool answers
	probeAt    = 9216 // the request of its probe
	happenedAt = 10240
	absentAt   = 11264
	unknownAt  = 12288
	statusAt   = 13312 // where a status is read to
)

const (
	opUnreachable = 0x00
	opIf          = 0x04
	opElse        = 0x05
	opEnd         = 0x0b
	opCall        = 0x10
	opDrop        = 0x1a
	opLocalGet    = 0x20
	opLocalSet    = 0x21
	opLoad        = 0x2d // one byte
	opConst       = 0x41
	opEq          = 0x46
	opLess        = 0x48 // signed
	opSub         = 0x6b
)

// plainGuest answers and touches nothing; its probe cannot tell.
func plainGuest() []byte {
	return guest(false, write(responseAt, response()), write(unknownAt, probed(abi.ProbeUnknown)),
		data(responseAt, response()), data(unknownAt, probed(abi.ProbeUnknown)))
}

// countedGuest tells a counter at url the effect's idempotency id before it
// answers; if it trips, it traps instead of answering. Its probe asks the counter.
func countedGuest(url string, trips bool) []byte {
	tell, request := post(requestAt, url)
	ask, question := post(probeAt, url+probePath)
	end := write(responseAt, response())
	if trips {
		end = []byte{opUnreachable}
	}
	happened, absent := probed(abi.ProbeCommitted), probed(abi.ProbeNotInvoked)
	offset, ok := statusOffset()
	ask = append(ask, join(
		num(statusAt), num(offset), num(1), opCall, fnHTTPRead, opDrop,
		num(statusAt), opLoad, 0, 0, num(ok), opEq, opIf, 0x40, write(happenedAt, happened), opElse, write(absentAt, absent), opEnd,
	)...)
	return guest(true, append(tell, end...), ask,
		data(requestAt, request), data(responseAt, response()), data(probeAt, question), data(happenedAt, happened), data(absentAt, absent))
}

// post is code that sends the effect's idempotency id to a url, and the request at
// at that it fills in; without a connection it traps.
func post(at int, url string) (code, request []byte) {
	idem := bytes.Repeat([]byte{0xa5}, 32)
	sample := abi.Request{Payload: []byte{0}, IdemID: cid.Hash(idem)}
	raw := sample.AppendCAN(nil)
	fromEnd := len(raw) - bytes.Index(raw, idem)
	x := abi.HTTPRequest{Method: "POST", Url: url, Body: idem}
	request = x.AppendCAN(nil)
	return join(
		opCall, fnLen, opLocalSet, 0,
		num(at+bytes.Index(request, idem)), opLocalGet, 0, num(fromEnd), opSub, num(len(idem)), opCall, fnRead, opDrop,
		num(at), num(len(request)), opCall, fnHTTP, num(0), opLess, opIf, 0x40, opUnreachable, opEnd,
	), request
}

// statusOffset is where two HTTP responses differ if one has status 200 and the
// other another one, and what stands there in the first.
func statusOffset() (at, ok int) {
	found, absent := abi.HTTPResponse{Status: http.StatusOK}, abi.HTTPResponse{Status: http.StatusNotFound}
	a, b := found.AppendCAN(nil), absent.AppendCAN(nil)
	for a[at] == b[at] {
		at++
	}
	return at, int(a[at])
}

// response is what every wasm tool answers.
func response() []byte {
	x := abi.Response{Status: abi.StatusOK, Payload: can.AppendText(nil, "done")}
	return x.AppendCAN(nil)
}

// probed is what a probe answers: with the response if the effect happened.
func probed(outcome string) []byte {
	p := abi.Probe{Outcome: outcome}
	if outcome == abi.ProbeCommitted {
		p.Response = response()
	}
	x := abi.Response{Status: abi.StatusOK, Payload: p.AppendCAN(nil)}
	return x.AppendCAN(nil)
}

func write(at int, message []byte) []byte {
	return join(num(at), num(len(message)), opCall, fnWrite, opDrop)
}

// guest assembles a module whose two entries have one local each.
func guest(world bool, code, probe []byte, content ...[]byte) []byte {
	const i32 = 0x7f
	types := vec(
		join(0x60, 0, 1, i32),                // 0: () -> i32
		join(0x60, 3, i32, i32, i32, 1, i32), // 1: (i32 i32 i32) -> i32
		join(0x60, 2, i32, i32, 1, i32),      // 2: (i32 i32) -> i32
		join(0x60, 0, 0),                     // 3: ()
	)
	imports := [][]byte{
		entry("mythos_v1", "request_len", 0), entry("mythos_v1", "request_read", 1), entry("mythos_v1", "response_write", 2),
	}
	if world {
		imports = append(imports, entry("mythos_v1", "http", 2), entry("mythos_v1", "http_read", 1))
	}
	bodies := [2][]byte{join(1, 1, i32, code, opEnd), join(1, 1, i32, probe, opEnd)}
	for i, b := range bodies {
		bodies[i] = append(size(len(b)), b...)
	}
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		chapter(1, types),
		chapter(2, vec(imports...)),
		chapter(3, join(2, 3, 3)),
		chapter(5, join(1, 0, 1)),
		chapter(7, vec(join(text("_start"), 0, len(imports)), join(text("probe"), 0, len(imports)+1))),
		chapter(10, vec(bodies[:]...)),
		chapter(11, vec(content...)),
	)
}

func data(at int, content []byte) []byte {
	return join(0, num(at), opEnd, size(len(content)), content)
}

// join concatenates bytes.
func join(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

// num is i32.const: a signed LEB128.
func num(v int) []byte {
	b := []byte{opConst}
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// size is an unsigned LEB128.
func size(n int) []byte {
	var b []byte
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

func text(s string) []byte { return append(size(len(s)), s...) }

func entry(module, name string, typ int) []byte { return join(text(module), text(name), 0, typ) }

func vec(items ...[]byte) []byte { return append(size(len(items)), slices.Concat(items...)...) }

func chapter(id int, body []byte) []byte { return join(id, size(len(body)), body) }
