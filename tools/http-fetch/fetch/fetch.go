// Package fetch is the tool http-fetch without its hostcalls: it turns the
// tool's request into an HTTPRequest (RFC-MYTHOS-0006 §11.1), and the
// HTTPResponse into the tool's answer or failure. Requests and answers are
// records (RFC-MYTHOS-0012 §2):
//
//	request {1 method?, 2 url, 3 headers? list({1 name, 2 value}), 4 body? BYTES or TEXT,
//	         5 redirects?, 6 timeout_us?, 7 max_body?}
//	answer  {1 status, 2 headers list({1 name, 2 value}), 3 body BYTES, 4 url}
//
// Any HTTP status is an answer: what failed is what got none.
package fetch

import (
	"encoding/hex"
	"errors"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/sdk/go/tool"
	"github.com/mythos-run/mythos/tools/record"
)

// idempotencyKey is the header that carries the effect's idempotency id to a
// server that knows it.
const idempotencyKey = "idempotency-key"

// Perform has the host perform an encoded HTTPRequest and returns the encoded
// HTTPResponse, or in its place the hostcall's error, a negative number.
type Perform func(request []byte) (response []byte, code int)

// Answer performs the request that a call asks for.
func Answer(c *tool.Call, perform Perform) (tool.Value, error) {
	q, err := request(c)
	if err != nil {
		return tool.Value{}, err
	}
	raw, code := perform(q.AppendCAN(nil))
	if code < 0 || len(raw) == 0 {
		return tool.Value{}, refused(code)
	}
	var a abi.HTTPResponse
	r := can.NewReader(raw)
	a.ReadCAN(&r)
	if err := r.Done(); err != nil {
		return tool.Value{}, errors.New("the host's response: " + err.Error())
	}
	if a.Error != nil {
		return tool.Value{}, tool.Fail(statusOf(a.Error.Code), a.Error.Code, a.Error.Message)
	}
	return answer(&a), nil
}

func request(c *tool.Call) (*abi.HTTPRequest, error) {
	r, err := record.Read(c.Payload, 7)
	if err != nil {
		return nil, err
	}
	q := &abi.HTTPRequest{Method: "GET"}
	if r.Has(1) {
		if q.Method, err = r[1].Text(); err != nil {
			return nil, err
		}
	}
	if q.Url, err = r[2].Text(); err != nil {
		return nil, err
	}
	if q.Headers, err = headers(r); err != nil {
		return nil, err
	}
	if q.Body, err = r.Data(4); err != nil {
		return nil, err
	}
	if q.TimeoutMicros, err = number(r, 6); err != nil {
		return nil, err
	}
	if q.MaxBody, err = number(r, 7); err != nil {
		return nil, err
	}
	if q.Redirects, err = redirects(r); err != nil {
		return nil, err
	}
	mark(q, c.IdemID)
	// The host would say no more than that it refuses.
	if _, err := abi.DecodeHTTPRequest(q.AppendCAN(nil)); err != nil {
		return nil, tool.Fail(400, "request_invalid", err.Error())
	}
	return q, nil
}

func headers(r record.Record) ([]abi.HTTPHeader, error) {
	items, err := r.Items(3, abi.MaxHTTPHeaders)
	if err != nil {
		return nil, err
	}
	out := make([]abi.HTTPHeader, len(items))
	for i, item := range items {
		h, err := record.Read(item, 2)
		if err != nil {
			return nil, err
		}
		name, err1 := h[1].Text()
		value, err2 := h[2].Text()
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		out[i] = abi.HTTPHeader{Name: strings.ToLower(name), Value: value}
	}
	return out, nil
}

// number returns field n, nil if it is absent.
func number(r record.Record, n int) (*uint64, error) {
	if !r.Has(n) {
		return nil, nil
	}
	v, err := r[n].Uint()
	return &v, err
}

func redirects(r record.Record) (*uint8, error) {
	n, err := number(r, 5)
	if err != nil || n == nil {
		return nil, err
	}
	small := uint8(min(*n, 255)) // 11 is refused as well
	return &small, nil
}

// mark adds the idempotency id to a request that is not safe to repeat by its
// method, unless it has a key of its own.
func mark(q *abi.HTTPRequest, id [32]byte) {
	switch q.Method {
	case "GET", "HEAD", "OPTIONS":
		return
	}
	for _, h := range q.Headers {
		if h.Name == idempotencyKey {
			return
		}
	}
	q.Headers = append(q.Headers, abi.HTTPHeader{Name: idempotencyKey, Value: hex.EncodeToString(id[:])})
}

// refused is the failure that a hostcall's error stands for.
func refused(code int) error {
	switch code {
	case -1:
		return tool.Fail(403, "grant_denied", "the network or a secret of the request is not granted")
	case -2:
		return tool.Fail(400, "request_invalid", "the host does not perform such a request")
	case -3:
		return tool.Fail(429, "io_limit", "the call's limit of requests or bytes is reached")
	}
	return errors.New("the host gave no response")
}

// statusOf returns the status for a request that got no response.
func statusOf(code string) int {
	switch code {
	case "grant_denied":
		return 403
	case "network_target", "abi_http_request":
		return 400
	case "network_timeout":
		return 504
	}
	return 502
}

func answer(a *abi.HTTPResponse) tool.Value {
	list := make([]tool.Value, len(a.Headers))
	for i, h := range a.Headers {
		list[i] = tool.Map(record.Pair(1, tool.Text(h.Name)), record.Pair(2, tool.Text(h.Value)))
	}
	return tool.Map(
		record.Pair(1, tool.Uint(uint64(a.Status))), record.Pair(2, tool.List(list...)),
		record.Pair(3, tool.Bytes(a.Body)), record.Pair(4, tool.Text(a.Url)),
	)
}
