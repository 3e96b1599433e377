package main

import (
	"fmt"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// orderIdem is the idempotency id of the worked example of RFC-MYTHOS-0005 §7.
const orderIdem = "26d6fe3fb92372fb38fc380f9df8f5b44bfa536854fcf027b84b183e042cf129"

// request is a ToolRequest in parts.
func request(payload []byte) []field {
	return []field{
		{1, rawT("mythos.tool.request")},
		{2, x("08 02 03 01 03 01 03 02 05 20 4927203fda6a2dfdedfc270963ad1872d7a0da7de72b49ff47b426a2e75df14b")},
		{3, rawB(payload)},
		{4, rawH(cid.Hash{})},
	}
}

// response is a ToolResponse in parts.
func response(status uint64, payload []byte) []field {
	return []field{{1, rawT("mythos.tool.response")}, {2, rawU(status)}, {3, rawB(payload)}}
}

// toolError is a ToolError.
func toolError(code string) []byte { return rawM(rawF(1, rawT(code))) }

// toolSuite is the suite of the contract between executors and tools.
func toolSuite(p *pack) {
	s := p.suite("tool", "RFC-MYTHOS-0006", "Requests and responses of tools and their hashes, tool ids, and the frames that carry them.")
	s.spec = "RFC-MYTHOS-0006 §10"
	requests(s)
	requestsRefused(s)
	responses(s)
	responsesRefused(s)
	toolIDs(s)
	toolNames(s)
	frames(s)
}

func requests(s *suite) {
	ok := func(what, doc string, fields []field, flags ...string) {
		raw := encode(fields)
		var payload []byte
		for _, f := range fields {
			if f.num == 3 {
				payload = f.raw[len(f.raw)-payloadLen(f.raw):]
			}
		}
		s.valid(what, "tool.request", doc, in{"hex": raw}, out{
			"hash": hashText(sum256(raw)), "payload": payload,
			"tool_id": hashText(value(fields, 2)[10:]), "idem_id": hashText(value(fields, 4)[10:]),
		}, flags...)
	}
	hello := request(rawT("hello"))
	s.valid("request-example", "tool.request", "the worked example: TEXT hello to demo/echo, 124 bytes", in{"hex": encode(hello)}, out{
		"hash": hashText(sum256(encode(hello))), "payload": rawT("hello"),
		"tool_id": "sha256:4927203fda6a2dfdedfc270963ad1872d7a0da7de72b49ff47b426a2e75df14b", "idem_id": cid.Hash{},
	})
	s.valid("request-example", "tool.request", "the same under the explicit key order-1", in{"hex": encode(with(hello, 4, x("08 02 03 01 03 01 03 02 05 20"+orderIdem)))}, out{
		"hash": "sha256:80321984a6e1912035eb05393bd97c42190975f7888046de67fb613f4be2da9c", "idem_id": "sha256:" + orderIdem,
	})
	for _, c := range [][2]string{
		{"NULL", "00"},
		{"false", "01"},
		{"the greatest UVARINT", "03 ff ff ff ff ff ff ff ff ff 01"},
		{"an IVARINT", "04 01"},
		{"no BYTES", "05 00"},
		{"the empty LIST", "07 00"},
		{"a MAP", "08 01 06 01 61 03 01"},
	} {
		ok("request", "a payload that is "+c[0], request(x(c[1])))
	}
	ok("request", "a payload as deep as may be", request(lists(31, x("07 00"))), "boundary")
	ok("request", "a payload whose length takes two bytes", request(rawB(make([]byte, 200))))
	ok("request", "another idempotency id", with(hello, 4, hashOf(digest("idem"))))
	ok("request", "another tool", with(hello, 2, hashOf(digest("tool"))))
	ok("request-unknown-field", "an unknown field at the end is in the hash", with(hello, 5, rawU(1)), "original-bytes")
	ok("request-unknown-field", "the last field number", with(hello, 127, x("07 00")), "original-bytes")
}

// payloadLen is how many bytes the canonical BYTES raw hold.
func payloadLen(raw []byte) int {
	if raw[1] < 0x80 {
		return int(raw[1])
	}
	return int(raw[1]&0x7f) | int(raw[2])<<7
}

func requestsRefused(s *suite) {
	hello := request(rawT("hello"))
	bad := func(what, doc, code string, fields []field) {
		s.invalid(what, "tool.request", doc, in{"hex": encode(fields)}, code)
	}
	for _, c := range badPayloads() {
		bad("request-payload", "a payload that is "+c[0], "abi_payload", request(x(c[1])))
	}
	bad("request-payload-depth", "a payload of 33 containers", "abi_payload", request(lists(32, x("07 00"))))
	bad("request-schema", "the schema of a response", "schema_mismatch", with(hello, 1, rawT("mythos.tool.response")))
	bad("request-schema", "a schema with a space after it", "schema_mismatch", with(hello, 1, rawT("mythos.tool.request ")))
	bad("request-schema", "the schema in capitals", "schema_mismatch", with(hello, 1, rawT("MYTHOS.TOOL.REQUEST")))
	bad("request-schema", "the schema as BYTES", "can_type", with(hello, 1, rawB([]byte("mythos.tool.request"))))
	for _, n := range []uint8{1, 2, 3, 4} {
		bad("request-missing", fmt.Sprintf("no field %d", n), "can_missing", without(hello, n))
	}
	bad("request-type", "the payload as a value of its own", "can_type", with(hello, 3, rawT("hello")))
	bad("request-type", "the tool's name instead of its id", "can_type", with(hello, 2, rawT("demo/echo")))
	bad("request-type", "a tool id of algorithm 2", "hash_alg", with(hello, 2, rawM(rawF(1, rawU(2)), rawF(2, rawB(make([]byte, 32))))))
	bad("request-type", "an idempotency id of 31 bytes", "can_length", with(hello, 4, rawM(rawF(1, rawU(1)), rawF(2, rawB(make([]byte, 31))))))
	raw := encode(hello)
	s.invalidAt("request-trailing", "tool.request", "a byte after the request", in{"hex": join(raw, x("00"))}, "can_trailing", len(raw))
	s.invalid("request-truncated", "tool.request", "a byte less", in{"hex": raw[:len(raw)-1]}, "can_bounds")
	s.invalidAt("request-truncated", "tool.request", "no byte", in{"hex": []byte{}}, "can_truncated", 0)
	swapped := []field{hello[0], hello[2], hello[1], hello[3]}
	bad("request-order", "the payload before the tool id", "can_missing", swapped)
	bad("request-order", "the tool id twice", "can_key_duplicate", []field{hello[0], hello[1], hello[1], hello[2], hello[3]})
	bad("request-order", "the tool id again at the end", "can_key_order", append(append([]field{}, hello...), hello[1]))
}

// badPayloads are bytes that are not exactly one canonical value.
func badPayloads() [][2]string {
	return [][2]string{
		{"no bytes", ""},
		{"two values", "00 00"},
		{"an unknown tag", "09"},
		{"a varint that is not minimal", "03 80 00"},
		{"a TEXT that is cut", "06 05 68"},
		{"a TEXT that is not UTF-8", "06 01 c0"},
		{"a MAP out of order", "08 02 03 02 00 03 01 00"},
		{"a MAP with a key twice", "08 02 03 01 00 03 01 00"},
		{"JSON", "7b 7d"},
		{"a LIST longer than the payload", "07 ff ff ff ff 0f"},
	}
}

func responses(s *suite) {
	ok := func(what, doc string, status int, payload []byte, fields []field, failure out, flags ...string) {
		o := out{"hash": hashText(sum256(encode(fields))), "status": status, "payload": payload}
		if failure != nil {
			o["error"] = failure
		}
		s.valid(what, "tool.response", doc, in{"hex": encode(fields)}, o, flags...)
	}
	hello := response(200, rawT("hello"))
	s.valid("response-example", "tool.response", "the worked example: 42 bytes", in{"hex": encode(hello)}, out{
		"hash":   "sha256:19d79c55ad61aacdaff3e42b5ac5b6409bf8fe51ddf625f59283d44e13e14c52",
		"status": 200, "payload": rawT("hello"),
	})
	ok("response", "200 with NULL", 200, x("00"), response(200, x("00")), nil)
	ok("response", "200 with a MAP", 200, x("08 01 06 01 61 00"), response(200, x("08 01 06 01 61 00")), nil)
	for _, status := range []uint64{100, 199, 201, 404, 599} {
		ok("response-status", fmt.Sprintf("status %d without an error", status), int(status), x("00"), response(status, x("00")), nil, "boundary")
	}
	for _, c := range []string{"no_such_key", "x", strings.Repeat("x", 128), strings.Repeat("é", 64)} {
		ok("response-error", fmt.Sprintf("an error code of %d bytes", len(c)), 404, x("00"), with(response(404, x("00")), 4, toolError(c)), out{"code": c}, "boundary")
	}
	failed := with(response(500, x("00")), 4, rawM(rawF(1, rawT("boom")), rawF(2, rawT("it broke"))))
	ok("response-error", "an error with a message", 500, x("00"), failed, out{"code": "boom", "message": "it broke"})
	ok("response-unknown-field", "an unknown field is in the hash", 200, rawT("hello"), with(hello, 9, rawU(1)), nil, "original-bytes")
	ok("response-unknown-field", "an unknown field of the error", 500, x("00"), with(response(500, x("00")), 4, rawM(rawF(1, rawT("boom")), rawF(3, rawU(1)))), out{"code": "boom"}, "original-bytes")
}

func responsesRefused(s *suite) {
	bad := func(what, doc, code string, fields []field, flags ...string) {
		s.invalid(what, "tool.response", doc, in{"hex": encode(fields)}, code, flags...)
	}
	for _, status := range []uint64{0, 1, 99, 600, 999, 65535} {
		bad("response-status-outside", fmt.Sprintf("status %d", status), "abi_response", response(status, x("00")), "boundary")
	}
	bad("response-status-width", "status 65,536", "can_range", response(65536, x("00")), "boundary")
	bad("response-status-width", "status 200 + 65,536", "can_range", response(65736, x("00")))
	for _, status := range []uint64{100, 199, 201, 404, 599} {
		bad("response-payload-with-failure", fmt.Sprintf("status %d with a payload that is not NULL", status), "abi_response", response(status, rawT("hello")))
	}
	bad("response-payload-with-failure", "status 404 with false", "abi_response", response(404, x("01")))
	bad("response-payload-with-failure", "status 500 with a payload and an error", "abi_response", with(response(500, rawT("hello")), 4, toolError("boom")))
	bad("response-error-with-success", "200 with an error", "abi_response", with(response(200, rawT("hello")), 4, toolError("boom")))
	bad("response-error-with-success", "200 with NULL and an error", "abi_response", with(response(200, x("00")), 4, toolError("boom")))
	bad("response-error-with-success", "200 with an error that has no code", "abi_response", with(response(200, x("00")), 4, toolError("")))
	bad("response-error-code", "an error without a code", "can_missing", with(response(500, x("00")), 4, rawM(rawF(2, rawT("it broke")))))
	bad("response-error-code", "an empty code", "abi_response", with(response(500, x("00")), 4, toolError("")), "boundary")
	bad("response-error-code", "a code of 129 bytes", "abi_response", with(response(500, x("00")), 4, toolError(strings.Repeat("x", 129))), "boundary")
	bad("response-error-code", "a code of 65 characters and 130 bytes", "abi_response", with(response(500, x("00")), 4, toolError(strings.Repeat("é", 65))), "boundary")
	bad("response-error-code", "an empty message", "can_empty", with(response(500, x("00")), 4, rawM(rawF(1, rawT("boom")), rawF(2, rawT("")))))
	bad("response-error-code", "the error as TEXT", "can_type", with(response(500, x("00")), 4, rawT("boom")))
	for _, c := range badPayloads() {
		bad("response-payload", "a payload that is "+c[0], "abi_payload", response(200, x(c[1])))
	}
	bad("response-order", "a wrong status and a wrong payload: the status is looked at first", "abi_response", response(99, x("09")))
	bad("response-order", "a failure with a wrong payload: the payload is looked at first", "abi_payload", response(404, x("00 00")))
	bad("response-order", "success with an error and a wrong payload: the payload is looked at first", "abi_payload", with(response(200, x("")), 4, toolError("boom")))
	hello := response(200, rawT("hello"))
	bad("response-schema", "the schema of a request", "schema_mismatch", with(hello, 1, rawT("mythos.tool.request")))
	bad("response-schema", "the empty schema", "schema_mismatch", with(hello, 1, rawT("")))
	for _, n := range []uint8{1, 2, 3} {
		bad("response-missing", fmt.Sprintf("no field %d", n), "can_missing", without(hello, n))
	}
	raw := encode(hello)
	s.invalidAt("response-trailing", "tool.response", "a byte after the response", in{"hex": join(raw, x("00"))}, "can_trailing", len(raw))
	s.invalid("response-trailing", "tool.response", "a second response", in{"hex": join(raw, raw)}, "can_trailing")
	s.invalid("response-truncated", "tool.response", "a byte less", in{"hex": raw[:len(raw)-1]}, "can_bounds")
	bad("response-kind", "a request", "schema_mismatch", request(rawT("hello")))
	s.invalid("response-kind", "tool.request", "a response where a request is due", in{"hex": raw}, "schema_mismatch")
}

// toolIDs are ids that differ in one field each.
func toolIDs(s *suite) {
	s.spec = "RFC-MYTHOS-0002 §7"
	id := func(doc, name string, iface int, request, response cid.Hash, flags ...string) {
		raw := rawM(rawF(1, rawT("mythos.tool")), rawF(2, rawT(name)), rawF(3, rawU(uint64(iface))), rawF(4, rawH(request)), rawF(5, rawH(response)))
		s.valid("id", "tool.id", doc, in{"name": name, "interface": iface, "request": request, "response": response},
			out{"id": hashText(sum256(raw))}, flags...)
	}
	builtin := func(name string) cid.Hash { return cid.Sum(rawT("mythos.type/" + name)) }
	text, anything := builtin("text"), builtin("any")
	s.valid("id-example", "tool.id", "the worked example: demo/echo",
		in{"name": "demo/echo", "interface": 1, "request": anything, "response": anything},
		out{"id": "sha256:4927203fda6a2dfdedfc270963ad1872d7a0da7de72b49ff47b426a2e75df14b"})
	s.valid("id-example", "tool.id", "mythos/blob.put, which every executor has",
		in{"name": "mythos/blob.put", "interface": 1, "request": anything, "response": anything},
		out{"id": "sha256:4f931c457a95f79aee11aa101bd1eaab8bfe7565d885281ceb0a495d3c6d2f8b"})
	id("another name", "demo/echo2", 1, text, text)
	id("another interface", "demo/echo", 2, text, text)
	id("another request type", "demo/echo", 1, anything, text)
	id("another response type", "demo/echo", 1, text, anything)
	id("the types exchanged", "demo/echo", 1, anything, text)
	id("interface 0", "demo/echo", 0, text, text, "boundary")
	id("interface 65,535", "demo/echo", 65535, text, text, "boundary")
	id("a name of 128 bytes", strings.Repeat("a", 128), 1, text, text, "boundary")
	id("a name of one byte", "0", 1, text, text, "boundary")
	id("the first and last letters and digits", "az/09", 1, text, text, "boundary")
	id("every separator", "a.b_c/d-e9", 1, text, text)
}

// toolNames are texts that are no name of a tool.
func toolNames(s *suite) {
	s.spec = "RFC-MYTHOS-0006 §2"
	any := cid.Sum(rawT("mythos.type/any"))
	bad := func(what, doc, name string) {
		s.invalid(what, "tool.id", doc, in{"name": name, "interface": 1, "request": any, "response": any}, "abi_tool_name")
	}
	bad("name-length", "no name", "")
	bad("name-length", "129 bytes", strings.Repeat("a", 129))
	for _, c := range [][2]string{
		{"a capital", "demo/Echo"},
		{"a space", "demo echo"},
		{"a letter that is not ASCII", "demo/écho"},
		{"a colon", "demo:echo"},
		{"a NUL", "demo\x00echo"},
		{"a newline at the end", "demo\n"},
		{"a backslash", `demo\echo`},
		{"a star", "demo/*"},
		{"a grave accent, the byte before a", "demo`"},
		{"a brace, the byte after z", "demo{"},
	} {
		bad("name-character", c[0], c[1])
	}
	for _, c := range [][2]string{
		{"a slash in front", "/demo"},
		{"a slash at the end", "demo/"},
		{"two slashes", "demo//echo"},
		{"two kinds of separators together", "demo./echo"},
		{"two dots", "demo..echo"},
		{"a dot alone", "."},
		{"a hyphen in front", "-demo"},
		{"an underscore at the end", "demo_"},
	} {
		bad("name-separator", c[0], c[1])
	}
}

// frames are what stands around a message on a pipe.
func frames(s *suite) {
	s.spec = "RFC-MYTHOS-0006 §10"
	ok := func(doc string, raw, message []byte, most, left int, flags ...string) {
		s.valid("frame", "tool.frame", doc, in{"hex": raw, "max": most}, out{"message": message, "left": left}, flags...)
	}
	hello := encode(request(rawT("hello")))
	ok("the worked example, which begins with 7c", join(x("7c"), hello), hello, 1024, 0)
	ok("an empty message", x("00"), []byte{}, 0, 0, "boundary")
	ok("one byte, the most that may be", x("01 aa"), x("aa"), 1, 0, "boundary")
	ok("what follows is not read", x("01 aa bb cc"), x("aa"), 1, 2)
	ok("127 bytes", join(x("7f"), make([]byte, 127)), make([]byte, 127), 127, 0, "boundary")
	ok("128 bytes", join(x("80 01"), make([]byte, 128)), make([]byte, 128), 128, 0, "boundary")
	ok("an empty message before another frame", x("00 01 aa"), []byte{}, 10, 2)
	bad := func(what, doc, digits string, most int, code string, flags ...string) {
		s.invalid(what, "tool.frame", doc, in{"hex": x(digits), "max": most}, code, flags...)
	}
	bad("frame-end", "nothing", "", 10, "abi_frame_end")
	bad("frame-cut", "no message behind its length", "02", 10, "abi_frame_truncated")
	bad("frame-cut", "a byte less", "02 aa", 10, "abi_frame_truncated")
	bad("frame-cut", "a length that is cut", "80", 10, "abi_frame_truncated")
	bad("frame-cut", "a length that is cut after nine bytes", "ff ff ff ff ff ff ff ff ff", 10, "abi_frame_truncated")
	bad("frame-length", "0 in two bytes", "80 00", 10, "abi_frame_length")
	bad("frame-length", "1 in two bytes", "81 00 aa", 10, "abi_frame_length")
	bad("frame-length", "1 in three bytes", "81 80 00 aa", 10, "abi_frame_length")
	bad("frame-length", "2^64", "80 80 80 80 80 80 80 80 80 02", 10, "abi_frame_length", "boundary")
	bad("frame-length", "more than ten bytes", "ff ff ff ff ff ff ff ff ff 81 00", 10, "abi_frame_length")
	bad("frame-length", "ten bytes, the last of them 0", "81 80 80 80 80 80 80 80 80 00", 10, "abi_frame_length")
	bad("frame-large", "one byte more than may be", "02 aa bb", 1, "abi_frame_too_large", "boundary")
	bad("frame-large", "one byte where none may be", "01 aa", 0, "abi_frame_too_large", "boundary")
	bad("frame-large", "2^64-1 bytes", "ff ff ff ff ff ff ff ff ff 01", 1024, "abi_frame_too_large", "boundary")
	bad("frame-large", "2^63 bytes", "80 80 80 80 80 80 80 80 80 01", 1024, "abi_frame_too_large", "boundary")
	bad("frame-large", "too large, and nothing follows", "80 08", 1023, "abi_frame_too_large")
}
