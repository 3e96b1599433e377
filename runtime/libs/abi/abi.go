// Package abi is the contract between an executor and a tool (RFC-MYTHOS-0006
// §10): what a tool is called, the request it is given, the response it owes,
// and the frames that carry both over a pipe.
//
//	ToolRequest  {1 schema "mythos.tool.request", 2 tool_id, 3 payload bytes, 4 idem_id}
//	ToolResponse {1 schema "mythos.tool.response", 2 status u16, 3 payload bytes, 4 error {1 code, 2 message?}?}
//	frame        length varint, then that many bytes
//
// A payload is the encoding of exactly one canonical value. A response has
// status 100..599; its payload is NULL (one byte, 00) unless the status is 200,
// and it carries an error, with a code of 1..128 bytes, only if the status is
// not 200. request_hash and response_hash are the SHA-256 of these bytes,
// unknown fields included.
//
// A tool's id covers its name, interface number and both payload types, so no
// two tools share an id or a capability. The types built into every executor
// are named by the SHA-256 of the canonical TEXT "mythos.type/NAME"; for
// example "any" is SHA-256(06 0f "mythos.type/any").
package abi

import (
	"math/bits"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of this package.
const (
	ErrResponse fault.Code = "abi_response"  // a response whose parts contradict the contract
	ErrPayload  fault.Code = "abi_payload"   // a payload that is not exactly one canonical value
	ErrToolName fault.Code = "abi_tool_name" // text that is not a tool name
)

// StatusOK is the one status that means success; others read like HTTP's.
const StatusOK = 200

// Limits of the contract. Bytes as a whole are bounded by a module's own
// limits.
const (
	MaxToolName  = 128 // bytes
	MaxErrorCode = 128 // bytes of a response's error code
	minStatus    = 100
	maxStatus    = 599
)

// BuiltinTool returns the name of a built-in tool, or "" if id is not one.
func BuiltinTool(id cid.Hash) string {
	switch id {
	case BlobPutID:
		return BlobPut
	case BlobGetID:
		return BlobGet
	case BlobChunkGetID:
		return BlobChunkGet
	}
	return ""
}

// ToolID returns the id of a tool: the SHA-256 of its canonical ToolIdentity.
func ToolID(name string, iface uint16, request, response cid.Hash) cid.Hash {
	x := Identity{Name: name, Interface: iface, RequestTypeID: request, ResponseTypeID: response}
	return cid.Sum(x.AppendCAN(nil))
}

// CheckToolName refuses names that do not match
// ^[a-z0-9]+([._/-][a-z0-9]+)*$ or exceed MaxToolName bytes.
func CheckToolName(name string) error {
	if name == "" || len(name) > MaxToolName {
		return fault.New(ErrToolName, "a tool name has %d bytes, want 1 to %d", len(name), MaxToolName)
	}
	separated := true
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			separated = false
		case !separated && (c == '.' || c == '_' || c == '/' || c == '-'):
			separated = true
		default:
			return fault.New(ErrToolName, "tool name %q: byte %d is out of place; use a-z and 0-9, singly separated by . _ / -", name, i)
		}
	}
	if separated {
		return fault.New(ErrToolName, "tool name %q ends in a separator", name)
	}
	return nil
}

// DecodeRequest reads a ToolRequest and checks that its payload is one
// canonical value. Payload aliases raw.
func DecodeRequest(raw []byte) (Request, error) {
	var x Request
	r := can.NewReader(raw)
	x.ReadCAN(&r)
	if err := r.Done(); err != nil {
		return Request{}, err
	}
	if err := can.Valid(x.Payload); err != nil {
		return Request{}, fault.New(ErrPayload, "the request payload is not one canonical value: %w", err)
	}
	return x, nil
}

// DecodeResponse reads a ToolResponse and checks status, payload and error
// against the contract. Payload aliases raw.
func DecodeResponse(raw []byte) (Response, error) {
	var x Response
	r := can.NewReader(raw)
	x.ReadCAN(&r)
	if err := r.Done(); err != nil {
		return Response{}, err
	}
	if err := x.check(); err != nil {
		return Response{}, err
	}
	return x, nil
}

func (x *Response) check() error {
	if x.Status < minStatus || x.Status > maxStatus {
		return fault.New(ErrResponse, "status %d is not in %d..%d", x.Status, minStatus, maxStatus)
	}
	if err := can.Valid(x.Payload); err != nil {
		return fault.New(ErrPayload, "the response payload is not one canonical value: %w", err)
	}
	if x.Status == StatusOK {
		if x.Error != nil {
			return fault.New(ErrResponse, "status %d carries an error", x.Status)
		}
		return nil
	}
	if x.Payload[0] != can.Null {
		return fault.New(ErrResponse, "status %d carries a payload; only %d may", x.Status, StatusOK)
	}
	if x.Error != nil && (x.Error.Code == "" || len(x.Error.Code) > MaxErrorCode) {
		return fault.New(ErrResponse, "an error code has %d bytes, want 1 to %d", len(x.Error.Code), MaxErrorCode)
	}
	return nil
}

// Fail returns the canonical response of a failure: a NULL payload and an
// error. status must be 100..599 and not 200, code 1..MaxErrorCode bytes.
func Fail(status uint16, code, message string) []byte {
	x := Response{Status: status, Payload: []byte{can.Null}, Error: &Error{Code: code, Message: message}}
	return x.AppendCAN(nil)
}

// requestOverhead is the length of a ToolRequest without its payload and the
// varint that measures it: 4 pairs' keys (8), the map head (2), the schema (21),
// two hashes (84) and the payload's tag (1).
const requestOverhead = 2 + 8 + 21 + 2*42 + 1

// RequestLen returns the length of the canonical ToolRequest that carries
// payload: what costs and limits are reckoned on before an id exists.
func RequestLen(payload []byte) int {
	return requestOverhead + varintLen(uint64(len(payload))) + len(payload)
}

func varintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }
