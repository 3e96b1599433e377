// Package fetch performs HTTP requests from a tool that has the grant
// NetConnect: through the http hostcall in wasm (RFC-MYTHOS-0006 §11.4), through
// the host's proxy in a native executable. The host resolves names, asks the
// grant about every connection, each redirect included, and does TLS.
package fetch

import (
	"time"

	"github.com/mythos-run/mythos/sdk/go/tool"
)

// Header is one header; Name is a lower-case token. In wasm the host puts a
// secret in place of {{secret:NAME}} in Value; a native tool uses tool.Secret.
type Header struct{ Name, Value string }

// Request is what to ask for. Only URL must be set.
type Request struct {
	Method      string // "" is GET
	URL         string // absolute, http or https
	Headers     []Header
	Body        []byte
	NoRedirects bool          // a redirect is the response; else at most 10 are followed
	Timeout     time.Duration // bounds everything; 0 is 30 s
	MaxBody     uint64        // bytes of the response's body; 0 is 16 MiB
}

// Response is what a server answered, whatever its status.
type Response struct {
	Status  int
	URL     string // where it came from, after redirects
	Headers []Header
	Body    []byte
}

// Header returns the value of the first header called name, in lower case, or "".
func (r *Response) Header(name string) string {
	for _, h := range r.Headers {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// Error is why there is no response: a code of RFC-MYTHOS-0006 §11.4, such as
// "grant_denied" or "network_timeout", and a message for people.
type Error struct{ Code, Message string }

// Error returns code and message.
func (e *Error) Error() string { return "fetch: " + e.Code + ": " + e.Message }

// Unwrap makes "grant_denied" a tool.ErrDenied.
func (e *Error) Unwrap() error {
	if e.Code == "grant_denied" {
		return tool.ErrDenied
	}
	return nil
}

const (
	maxRedirects   = 10
	defaultMaxBody = 16 << 20
)

// Do performs q. If there is no response the error is an *Error, or
// tool.ErrDenied where the call has no grant at all.
func Do(q Request) (*Response, error) {
	if q.Method == "" {
		q.Method = "GET"
	}
	if q.MaxBody == 0 || q.MaxBody > defaultMaxBody {
		q.MaxBody = defaultMaxBody
	}
	return do(&q)
}
