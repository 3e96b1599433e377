package network

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
)

// fetchTimeout is how long a Fetch takes at most if it names no time.
const fetchTimeout = 30 * time.Second

// Fetch is one HTTP request, its redirects included, whose response is held in
// memory.
type Fetch struct {
	Method    string
	Target    Target
	Headers   []Header
	Body      []byte
	Redirects int           // how many are followed; 0: a redirect is the response
	Timeout   time.Duration // of everything; 0: 30 seconds
	MaxBody   int64         // of the response, bytes
}

// Header is one header of a request.
type Header struct {
	Name, Value string
	Private     bool // sent to the origin of Fetch.Target and nowhere else
}

// Do performs a request. What fails is in the response: status 0 and an error
// whose code is one of this package's, or runner.ErrDenied.
func (e *Egress) Do(ctx context.Context, n *runner.Net, f Fetch) abi.HTTPResponse {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(f.Timeout, fetchTimeout))
	defer cancel()
	at := f.Target
	for hops := 0; ; hops++ {
		res, err := e.perform(ctx, n, f.exchange())
		if err != nil {
			return Failed(f.Target, err)
		}
		next, follow, err := f.next(res)
		if follow && hops == f.Redirects {
			err = fault.New(ErrRedirects, "more than %d redirects, the last to %s", f.Redirects, next.origin())
		}
		if err != nil || follow {
			_ = res.Body.Close()
		}
		if err != nil {
			return Failed(f.Target, err)
		}
		if !follow {
			return f.read(ctx, res)
		}
		f.turn(res.StatusCode, next, next.origin() == at.origin())
	}
}

// Failed is the response of a request that got none.
func Failed(t Target, err error) abi.HTTPResponse {
	return abi.HTTPResponse{Url: t.String(), Error: &abi.Error{Code: string(fault.CodeOf(err)), Message: message(err)}}
}

// String returns the URL of a request, or HOST:PORT.
func (t Target) String() string {
	if t.url == nil {
		return t.Host
	}
	return t.url.String()
}

func (f *Fetch) exchange() exchange {
	x := exchange{method: f.Method, target: f.Target, header: http.Header{}, length: int64(len(f.Body)), body: http.NoBody}
	for _, h := range f.Headers {
		x.header.Add(h.Name, h.Value)
	}
	if len(f.Body) > 0 {
		x.body = io.NopCloser(bytes.NewReader(f.Body))
	}
	return x
}

// next returns where a response redirects to, if this request follows.
func (f *Fetch) next(res *http.Response) (t Target, follow bool, err error) {
	switch res.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return t, false, nil
	}
	location := res.Header.Get("Location")
	if f.Redirects == 0 || location == "" {
		return t, false, nil
	}
	u, err := f.Target.url.Parse(location)
	if err == nil && len(location) <= abi.MaxHTTPURL {
		t, err = targetOf(u)
	}
	if err != nil || t.url == nil {
		return t, false, fault.New(ErrTarget, "the redirect leads to no URL that can be requested")
	}
	return t, true, nil
}

// turn makes a request into the one that a redirect asks for. A private header,
// a cookie or a credential that once did not go along never comes back.
func (f *Fetch) turn(status int, to Target, home bool) {
	f.Target = to
	drop := func(gone func(Header) bool) { f.Headers = slices.DeleteFunc(slices.Clone(f.Headers), gone) }
	if !home {
		drop(func(h Header) bool { return h.Private || h.Name == "authorization" || h.Name == "cookie" })
	}
	post := f.Method == http.MethodPost && (status == http.StatusMovedPermanently || status == http.StatusFound)
	if post || status == http.StatusSeeOther && f.Method != http.MethodGet && f.Method != http.MethodHead {
		f.Method, f.Body = http.MethodGet, nil
		drop(func(h Header) bool { return strings.HasPrefix(h.Name, "content-") })
	}
}

// read takes a response whole.
func (f *Fetch) read(ctx context.Context, res *http.Response) abi.HTTPResponse {
	defer res.Body.Close()
	if f.Method != http.MethodHead && res.ContentLength > f.MaxBody {
		return Failed(f.Target, fault.New(ErrTooLarge, "the response announces %d bytes, at most %d", res.ContentLength, f.MaxBody))
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, f.MaxBody+1))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Failed(f.Target, fault.New(ErrProtocol, "the response ended after %d bytes", len(body)))
	case err != nil:
		return Failed(f.Target, explain(ctx, err))
	case int64(len(body)) > f.MaxBody:
		return Failed(f.Target, fault.New(ErrTooLarge, "the response has more than %d bytes", f.MaxBody))
	}
	return abi.HTTPResponse{Status: uint16(res.StatusCode), Url: f.Target.String(), Headers: headersOf(res.Header), Body: body}
}

// headersOf lists the headers of a message by name, in lower case, ascending.
func headersOf(h http.Header) []abi.HTTPHeader {
	var out []abi.HTTPHeader
	for name, values := range endToEnd(h) {
		for _, v := range values {
			out = append(out, abi.HTTPHeader{
				Name: strings.ToValidUTF8(strings.ToLower(name), "?"), Value: strings.ToValidUTF8(v, "?"),
			})
		}
	}
	slices.SortStableFunc(out, func(a, b abi.HTTPHeader) int { return strings.Compare(a.Name, b.Name) })
	return out
}
