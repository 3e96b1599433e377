package tool

import (
	"errors"
	"io"
	"unicode/utf8"
)

const (
	statusOK       = 200
	maxErrorCode   = 128
	maxFrame       = 16 << 20 // the largest max_request_bytes, RFC-MYTHOS-0006 §13
	requestSchema  = "mythos.tool.request"
	responseSchema = "mythos.tool.response"
)

// decodeRequest reads a ToolRequest {1 schema, 2 tool_id, 3 payload, 4 idem_id}.
func decodeRequest(raw []byte) (Call, error) {
	var c Call
	r := reader{b: raw}
	s := r.structure(0, false, 1, 2, 3, 4)
	for no := s.next(); no != 0; no = s.next() {
		switch no {
		case 1:
			at := r.tag(tagText)
			if text := r.text(at); string(text) != requestSchema {
				r.fail("schema_mismatch", at)
			}
		case 2:
			c.ToolID = r.hash()
		case 3:
			if at := r.tag(tagBytes); r.err == nil {
				c.Payload.raw = r.content(at)
			}
		case 4:
			c.IdemID = r.hash()
		default:
			r.value(1)
		}
	}
	if err := r.done(); err != nil {
		return Call{}, err
	}
	if err := checkValue(c.Payload.raw); err != nil {
		return Call{}, &payloadError{err}
	}
	return c, nil
}

type payloadError struct{ cause error }

func (e *payloadError) Error() string { return "abi_payload: " + e.cause.Error() }
func (e *payloadError) Unwrap() error { return e.cause }

// hash reads a Hash {1 alg = 1, 2 bytes of 32}, a closed struct.
func (r *reader) hash() (digest [32]byte) {
	s := r.structure(1, true, 1, 2)
	for no := s.next(); no != 0; no = s.next() {
		if no == 1 {
			at := r.tag(tagUint)
			if r.err == nil {
				r.algorithm(at)
			}
			continue
		}
		at := r.tag(tagBytes)
		if r.err != nil {
			return
		}
		b := r.content(at)
		if len(b) != len(digest) {
			r.fail("can_length", at)
		}
		copy(digest[:], b)
	}
	return digest
}

// algorithm reads a u8 that must be 1.
func (r *reader) algorithm(at int) {
	switch alg := r.varint(at); {
	case alg > 255:
		r.fail("can_range", at)
	case alg != 1:
		r.fail("hash_alg", at)
	}
}

// text reads the content of the TEXT whose tag was at byte at.
func (r *reader) text(at int) []byte {
	if r.err != nil {
		return nil
	}
	b := r.content(at)
	if r.err == nil && !utf8.Valid(b) {
		r.fail("can_utf8", at)
	}
	return b
}

// appendResponse appends a ToolResponse {1 schema, 2 status, 3 payload,
// 4 error {1 code, 2 message?}?}.
func appendResponse(out []byte, status int, payload []byte, f *Failure) []byte {
	if out == nil {
		size := 48 + len(payload)
		if f != nil {
			size += 24 + len(f.Code) + len(f.Message)
		}
		out = make([]byte, 0, size)
	}
	fields := byte(3)
	if f != nil {
		fields = 4
	}
	out = appendSized(append(out, tagMap, fields, tagUint, 1), tagText, responseSchema)
	out = appendUvarint(append(out, tagUint, 2, tagUint), uint64(status))
	out = appendSized(append(out, tagUint, 3), tagBytes, payload)
	if f == nil {
		return out
	}
	members := byte(1)
	if f.Message != "" {
		members = 2
	}
	out = appendSized(append(out, tagUint, 4, tagMap, members, tagUint, 1), tagText, f.Code)
	if f.Message != "" {
		out = appendSized(append(out, tagUint, 2), tagText, f.Message)
	}
	return out
}

// Errors of readFrame; at the end of the input it returns io.EOF.
var (
	errFrameCut    = errors.New("abi_frame_truncated: the input ends inside a frame")
	errFrameLength = errors.New("abi_frame_length: not a minimal varint")
	errFrameLarge  = errors.New("abi_frame_too_large")
)

// frameReader is what frames are read from: a buffer over a pipe.
type frameReader interface {
	io.Reader
	io.ByteReader
}

// readFrame reads one frame of at most limit bytes, and nothing behind it.
func readFrame(in frameReader, limit uint64) ([]byte, error) {
	var head []byte
	for len(head) == 0 || head[len(head)-1] >= 0x80 && len(head) < 10 {
		c, err := in.ReadByte()
		switch {
		case err == io.EOF && len(head) > 0:
			return nil, errFrameCut
		case err != nil:
			return nil, err
		}
		head = append(head, c)
	}
	n, size := uvarint(head)
	switch {
	case size <= 0:
		return nil, errFrameLength
	case n > limit:
		return nil, errFrameLarge
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(in, body); err != nil {
		return nil, errFrameCut
	}
	return body, nil
}
