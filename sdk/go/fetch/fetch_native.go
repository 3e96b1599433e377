//go:build !wasip1

package fetch

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mythos-run/mythos/sdk/go/tool"
)

const defaultTimeout = 30 * time.Second

func do(q *Request) (*Response, error) {
	timeout := q.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, q.Method, q.URL, bytes.NewReader(q.Body))
	if err != nil {
		return nil, &Error{"network_target", err.Error()}
	}
	request.Header["User-Agent"] = []string{""} // none
	for _, h := range q.Headers {
		request.Header.Add(h.Name, h.Value)
	}
	client := http.Client{Transport: proxy{}, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		switch {
		case q.NoRedirects:
			return http.ErrUseLastResponse
		case len(via) > maxRedirects:
			return &Error{"network_redirects", "more than 10 redirects"}
		}
		return nil
	}}
	answer, err := client.Do(request)
	if err != nil {
		return nil, reason(ctx, err)
	}
	defer answer.Body.Close()
	return read(ctx, answer, q.MaxBody)
}

func read(ctx context.Context, answer *http.Response, most uint64) (*Response, error) {
	body, err := io.ReadAll(io.LimitReader(answer.Body, int64(most)+1))
	switch {
	case err != nil:
		return nil, reason(ctx, err)
	case uint64(len(body)) > most:
		return nil, &Error{"network_too_large", "the response's body is over its bound"}
	}
	r := &Response{Status: answer.StatusCode, URL: answer.Request.URL.String(), Body: body}
	for name, values := range answer.Header {
		for _, v := range values {
			r.Headers = append(r.Headers, Header{strings.ToLower(name), v})
		}
	}
	slices.SortStableFunc(r.Headers, func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
	return r, nil
}

// reason returns err as an *Error, or tool.ErrDenied.
func reason(ctx context.Context, err error) error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, tool.ErrDenied):
		return tool.ErrDenied
	case ctx.Err() != nil:
		return &Error{"network_timeout", "the request took too long"}
	}
	return &Error{"network_protocol", err.Error()}
}

// proxy hands each request to the host in absolute form, over a connection of
// its own, so that the host does TLS and sees the method.
type proxy struct{}

func (proxy) RoundTrip(q *http.Request) (*http.Response, error) {
	ctx := q.Context()
	conn, err := tool.DialProxy(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	end := func() error {
		stop()
		return conn.Close()
	}
	if err := q.WriteProxy(conn); err != nil {
		return nil, errors.Join(err, end())
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), q)
	if err != nil {
		return nil, errors.Join(err, end())
	}
	if code := answer.Header.Get("Mythos-Error"); code != "" {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096))
		_ = end()
		return nil, &Error{code, strings.TrimSpace(string(text))}
	}
	answer.Body = &body{answer.Body, end}
	return answer, nil
}

// body closes its connection when it is closed.
type body struct {
	io.ReadCloser
	end func() error
}

func (b *body) Close() error { return errors.Join(b.ReadCloser.Close(), b.end()) }
