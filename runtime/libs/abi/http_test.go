package abi

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

func get(change func(*HTTPRequest)) []byte {
	x := HTTPRequest{Method: "GET", Url: "https://example.org/a"}
	change(&x)
	return x.AppendCAN(nil)
}

func headers(hs ...HTTPHeader) func(*HTTPRequest) {
	return func(x *HTTPRequest) { x.Headers = hs }
}

// TestHTTPRequest names every mutation and the code it must have.
func TestHTTPRequest(t *testing.T) {
	header := func(name, value string) func(*HTTPRequest) { return headers(HTTPHeader{Name: name, Value: value}) }
	number := func(n uint64) *uint64 { return &n }
	small := func(n uint8) *uint8 { return &n }
	for name, c := range map[string]struct {
		raw  []byte
		code fault.Code
	}{
		"plain":             {get(func(*HTTPRequest) {}), ""},
		"method of 32":      {get(func(x *HTTPRequest) { x.Method = strings.Repeat("X-", 16) }), ""},
		"header":            {get(header("x-a.b", "text\twith \u00e9")), ""},
		"empty value":       {get(header("x", "")), ""},
		"body":              {get(func(x *HTTPRequest) { x.Body = []byte("b") }), ""},
		"no redirects":      {get(func(x *HTTPRequest) { x.Redirects = small(0) }), ""},
		"ten redirects":     {get(func(x *HTTPRequest) { x.Redirects = small(MaxHTTPRedirects) }), ""},
		"largest body":      {get(func(x *HTTPRequest) { x.MaxBody = number(MaxHTTPBody) }), ""},
		"no method":         {get(func(x *HTTPRequest) { x.Method = "" }), ErrHTTPRequest},
		"method of 33":      {get(func(x *HTTPRequest) { x.Method = strings.Repeat("X", 33) }), ErrHTTPRequest},
		"lower case":        {get(func(x *HTTPRequest) { x.Method = "get" }), ErrHTTPRequest},
		"method with space": {get(func(x *HTTPRequest) { x.Method = "GET /x HTTP/1.1\r\n" }), ErrHTTPRequest},
		"CONNECT":           {get(func(x *HTTPRequest) { x.Method = "CONNECT" }), ErrHTTPRequest},
		"TRACE":             {get(func(x *HTTPRequest) { x.Method = "TRACE" }), ErrHTTPRequest},
		"no url":            {get(func(x *HTTPRequest) { x.Url = "" }), ErrHTTPRequest},
		"long url":          {get(func(x *HTTPRequest) { x.Url = strings.Repeat("a", MaxHTTPURL+1) }), ErrHTTPRequest},
		"eleven redirects":  {get(func(x *HTTPRequest) { x.Redirects = small(MaxHTTPRedirects + 1) }), ErrHTTPRequest},
		"larger body":       {get(func(x *HTTPRequest) { x.MaxBody = number(MaxHTTPBody + 1) }), ErrHTTPRequest},
		"too large":         {get(func(x *HTTPRequest) { x.Body = make([]byte, MaxHTTPRequest) }), ErrHTTPRequest},
		"101 headers":       {get(headers(make([]HTTPHeader, MaxHTTPHeaders+1)...)), ErrHTTPRequest},
		"long header":       {get(header("x", strings.Repeat("v", MaxHTTPHeader))), ErrHTTPRequest},
		"long headers":      {get(headers(bytesHeaders(7, MaxHTTPHeader-1)...)), ErrHTTPRequest},
		"long name":         {get(header(strings.Repeat("n", 129), "")), ErrHTTPRequest},
		"upper name":        {get(header("X-A", "")), ErrHTTPRequest},
		"empty name":        {get(header("", "")), ErrHTTPRequest},
		"name with colon":   {get(header("a:b", "")), ErrHTTPRequest},
		"host":              {get(header("host", "a.org")), ErrHTTPRequest},
		"connection":        {get(header("connection", "x")), ErrHTTPRequest},
		"content-length":    {get(header("content-length", "4")), ErrHTTPRequest},
		"transfer-encoding": {get(header("transfer-encoding", "chunked")), ErrHTTPRequest},
		"upgrade":           {get(header("upgrade", "h2c")), ErrHTTPRequest},
		"proxy":             {get(header("proxy-authorization", "x")), ErrHTTPRequest},
		"line in a value":   {get(header("x", "a\r\nhost: b")), ErrHTTPRequest},
		"NUL in a value":    {get(header("x", "a\x00")), ErrHTTPRequest},
		"DEL in a value":    {get(header("x", "a\x7f")), ErrHTTPRequest},
		"not UTF-8":         {get(header("x", "\xff")), can.ErrUTF8},
		"another schema":    {bytes.Replace(get(func(*HTTPRequest) {}), []byte("http.request"), []byte("http.requesT"), 1), can.ErrSchema},
		"unknown field":     {append(append([]byte{can.Map, 4}, get(func(*HTTPRequest) {})[2:]...), can.Uint, 9, can.Null), can.ErrUnknownField},
		"cut":               {get(func(*HTTPRequest) {})[:20], can.ErrBounds},
		"trailing":          {append(get(func(*HTTPRequest) {}), 0), can.ErrTrailing},
		"empty":             {nil, can.ErrTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := DecodeHTTPRequest(c.raw); fault.CodeOf(err) != c.code {
				t.Errorf("got %v, want %q", err, c.code)
			}
		})
	}
}

// bytesHeaders is n headers of size bytes each.
func bytesHeaders(n, size int) (out []HTTPHeader) {
	for range n {
		out = append(out, HTTPHeader{Name: "x", Value: strings.Repeat("v", size-1)})
	}
	return out
}

// FuzzHTTPRequest: what decodes is within its bounds and encodes to the same
// bytes.
func FuzzHTTPRequest(f *testing.F) {
	f.Add(get(func(*HTTPRequest) {}))
	f.Add(get(headers(HTTPHeader{Name: "authorization", Value: "Bearer {{secret:key}}"})))
	f.Add(get(func(x *HTTPRequest) { x.Method, x.Body, x.Redirects = "POST", []byte("body"), new(uint8) }))
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := DecodeHTTPRequest(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(x.AppendCAN(nil), raw) {
			t.Fatalf("% x encodes as % x", raw, x.AppendCAN(nil))
		}
		for _, h := range x.Headers {
			if strings.ContainsAny(h.Name+h.Value, "\r\n\x00") || strings.ToLower(h.Name) != h.Name {
				t.Fatalf("header %q: %q", h.Name, h.Value)
			}
		}
	})
}

func calls() []IOCall {
	large := can.AppendBytes(nil, make([]byte, MaxInline))
	out := []IOCall{
		{Fn: "now_us", Request: []byte{can.Null}},
		{Fn: "random", Request: can.AppendUint(nil, MaxInline)},
		{Fn: "http", Request: get(func(*HTTPRequest) {})},
	}
	out[0].SetResponse(can.AppendUint(nil, 1))
	out[1].SetResponse(large)
	return out
}

// TestTranscript: a transcript made piece by piece is that of the struct, and
// reads back.
func TestTranscript(t *testing.T) {
	want := Transcript{Calls: calls()}
	var pieces []byte
	for i := range want.Calls {
		pieces = want.Calls[i].AppendCAN(pieces)
	}
	got := AppendTranscript([]byte("x"), len(want.Calls), pieces)
	if string(got[:1]) != "x" || !bytes.Equal(got[1:], want.AppendCAN(nil)) {
		t.Fatalf("got % x, want % x", got[1:], want.AppendCAN(nil))
	}
	back, err := DecodeTranscript(got[1:])
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, back); d != "" {
		t.Error(d)
	}
	if want.Calls[1].Response != nil || want.Calls[1].ResponseCID == nil {
		t.Error("a large response is not named by its CID")
	}
	if object := new(IOCall).SetResponse(make([]byte, MaxInline)); object != nil {
		t.Error("a response at the bound is not held")
	}
}

func TestTranscriptRefused(t *testing.T) {
	for name, c := range map[string]struct {
		code   fault.Code
		change func(*Transcript)
	}{
		"empty":             {ErrTranscript, func(x *Transcript) { x.Calls = nil }},
		"both":              {ErrTranscript, func(x *Transcript) { x.Calls[0].ResponseCID = new(cid.Hash) }},
		"large inline":      {ErrTranscript, func(x *Transcript) { x.Calls[0].Response = can.AppendBytes(nil, make([]byte, MaxInline)) }},
		"request no value":  {ErrTranscript, func(x *Transcript) { x.Calls[2].Request = []byte{9} }},
		"no request":        {ErrTranscript, func(x *Transcript) { x.Calls[2].Request = nil }},
		"response no value": {ErrTranscript, func(x *Transcript) { x.Calls[0].Response = []byte{can.Uint, 0x80} }},
	} {
		t.Run(name, func(t *testing.T) {
			x := Transcript{Calls: calls()}
			c.change(&x)
			if _, err := DecodeTranscript(x.AppendCAN(nil)); !errors.Is(err, c.code) {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
	if _, err := DecodeTranscript(make([]byte, MaxTranscript+1)); !errors.Is(err, ErrTranscript) {
		t.Errorf("a huge transcript: %v", err)
	}
}

// FuzzTranscript: no bytes make the decoder panic, and what it takes is sound.
func FuzzTranscript(f *testing.F) {
	x := Transcript{Calls: calls()[:1]}
	f.Add(x.AppendCAN(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := DecodeTranscript(raw)
		if err != nil {
			return
		}
		for _, c := range x.Calls {
			if can.Valid(c.Request) != nil || c.Response != nil && can.Valid(c.Response) != nil {
				t.Fatalf("%q holds what is no value", c.Fn)
			}
		}
	})
}
