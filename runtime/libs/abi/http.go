package abi

import (
	"strings"
	"unicode/utf8"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrHTTPRequest: an HTTPRequest that no host performs.
const ErrHTTPRequest fault.Code = "abi_http_request"

// Limits of an HTTPRequest (RFC-MYTHOS-0006 §11.4).
const (
	MaxHTTPRequest   = 1 << 20  // bytes of the whole struct
	MaxHTTPMethod    = 32       // bytes
	MaxHTTPURL       = 8 << 10  // bytes
	MaxHTTPHeaders   = 100      // headers
	MaxHTTPHeader    = 8 << 10  // bytes of one header, name and value
	MaxHTTPBody      = 16 << 20 // bytes of a response's body
	MaxHTTPRedirects = 10       // followed, and what an absent redirects stands for
	maxHTTPAllHeader = 48 << 10 // bytes of all headers
	maxHTTPName      = 128      // bytes of a header's name
)

// DecodeHTTPRequest reads an HTTPRequest and checks all of it but whether its
// URL is one. Body aliases raw.
func DecodeHTTPRequest(raw []byte) (HTTPRequest, error) {
	if len(raw) > MaxHTTPRequest {
		return HTTPRequest{}, fault.New(ErrHTTPRequest, "the request has %d bytes, at most %d", len(raw), MaxHTTPRequest)
	}
	var x HTTPRequest
	r := can.NewReader(raw)
	x.ReadCAN(&r)
	if err := r.Done(); err != nil {
		return HTTPRequest{}, err
	}
	if err := x.check(); err != nil {
		return HTTPRequest{}, err
	}
	return x, nil
}

func (x *HTTPRequest) check() error {
	switch {
	case !httpMethod(x.Method):
		return fault.New(ErrHTTPRequest, "the method is not 1 to %d bytes of A-Z and -, or is CONNECT or TRACE", MaxHTTPMethod)
	case x.Url == "" || len(x.Url) > MaxHTTPURL:
		return fault.New(ErrHTTPRequest, "the URL has %d bytes, want 1 to %d", len(x.Url), MaxHTTPURL)
	case len(x.Headers) > MaxHTTPHeaders:
		return fault.New(ErrHTTPRequest, "%d headers, at most %d", len(x.Headers), MaxHTTPHeaders)
	case x.Redirects != nil && *x.Redirects > MaxHTTPRedirects:
		return fault.New(ErrHTTPRequest, "%d redirects, at most %d", *x.Redirects, MaxHTTPRedirects)
	case x.MaxBody != nil && *x.MaxBody > MaxHTTPBody:
		return fault.New(ErrHTTPRequest, "max_body is %d, at most %d", *x.MaxBody, MaxHTTPBody)
	}
	all := 0
	for i, h := range x.Headers {
		if all += len(h.Name) + len(h.Value); all > maxHTTPAllHeader || len(h.Name)+len(h.Value) > MaxHTTPHeader {
			return fault.New(ErrHTTPRequest, "header %d is over %d bytes, or all so far over %d", i, MaxHTTPHeader, maxHTTPAllHeader)
		}
		if !httpName(h.Name) || !HTTPValue(h.Value) {
			return fault.New(ErrHTTPRequest, "header %d is not one that a module may send", i)
		}
	}
	return nil
}

func httpMethod(s string) bool {
	if s == "" || len(s) > MaxHTTPMethod || s == "CONNECT" || s == "TRACE" {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return true
}

// httpName reports whether a module may send a header of this name: a lower-case
// token that is not the host's own.
func httpName(s string) bool {
	switch s {
	case "", "connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade":
		return false
	}
	if len(s) > maxHTTPName || strings.HasPrefix(s, "proxy-") {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return true
}

// HTTPValue reports whether a header can have this value: UTF-8 without control
// characters but tabs.
func HTTPValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}
