package bucket

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// What follows is for buckets, and other remotes, that are reached by HTTP.

// What is asked of a remote may take patience, and a second more for each PerSecond
// bytes of it (RFC-MYTHOS-0011 §1).
const (
	patience  = 2 * time.Minute
	PerSecond = 32 << 10 // bytes
)

// Within ends ctx, with an error that says so, when size bytes have had their time:
// patience (0: two minutes), and a second more for each PerSecond bytes.
func Within(ctx context.Context, patient time.Duration, size int64) (context.Context, context.CancelFunc) {
	limit := cmp.Or(max(patient, 0), patience) + time.Duration(size/PerSecond)*time.Second
	return context.WithTimeoutCause(ctx, limit, fault.New(cas.ErrUnavailable, "it did not come in time, in %v for %d bytes", limit, size))
}

// Timely calls do with a context that ends as Within says. What do was late for is
// cas.ErrUnavailable, and is not tried again: the next try would take as long.
func Timely(ctx context.Context, patient time.Duration, size int64, do func(context.Context) error) error {
	limited, cancel := Within(ctx, patient, size)
	defer cancel()
	err := do(limited)
	if errors.Is(err, context.DeadlineExceeded) && limited.Err() != nil && ctx.Err() == nil {
		return context.Cause(limited)
	}
	return err // which may be that cause already, with more
}

// RetryAfter returns a transport that makes an answer which asks to wait, 429 or 5xx
// with the header Retry-After, the error that Failed makes of it: for clients whose
// own errors lose the header. A nil transport is the default one.
func RetryAfter(over http.RoundTripper) http.RoundTripper {
	if over == nil {
		over = http.DefaultTransport
	}
	return retryAfter{over}
}

type retryAfter struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t retryAfter) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	asked := resp.Header.Get("Retry-After")
	if asked == "" || resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests {
		return resp, nil
	}
	return nil, errors.Join(Failed(r.URL.Path, errors.New(resp.Status), resp.StatusCode, asked), resp.Body.Close())
}

// RetryPut is Retry for a Put whose answer may be lost: a value that is found
// after a try that failed, and is v, is the one of that try.
func RetryPut(ctx context.Context, b Bucket, key string, v Value, try func() error) error {
	lost := false
	return Retry(ctx, func() error {
		err := try()
		if lost && errors.Is(err, ErrExists) && holds(ctx, b, key, v) {
			return nil
		}
		lost = err != nil
		return err
	})
}

func holds(ctx context.Context, b Bucket, key string, v Value) bool {
	rc, size, err := b.Get(ctx, key, 0, -1)
	if err != nil {
		return false
	}
	in := cas.Verify(rc, v.Sum, size)
	defer in.Close()
	_, err = io.Copy(io.Discard, in)
	return err == nil && size == v.Size
}

// WholeSize returns what the header Content-Range says of the size of the whole,
// else the length of the answer.
func WholeSize(contentRange string, length int64) int64 {
	if _, whole, ok := strings.Cut(contentRange, "/"); ok {
		if size, err := strconv.ParseInt(whole, 10, 64); err == nil {
			return size
		}
	}
	return length
}

// Failed gives a refusal of a server its code and says by an Again whether it may
// be tried again, not before what the header Retry-After asks for. Status 0 is an
// error of the network. Errors that have a code, and those of a context or of the
// source of a Put, stay what they are.
func Failed(key string, err error, status int, retryAfter string) error {
	var source *cas.SourceError
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		fault.CodeOf(err) != "", errors.As(err, &source):
		return err
	case status == http.StatusNotFound:
		return fault.New(cas.ErrNotFound, "no such value").About(key)
	case status == http.StatusPreconditionFailed:
		return fault.New(ErrExists, "it holds a value").About(key)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fault.New(ErrDenied, "%w", err).About(key)
	case status == http.StatusInsufficientStorage:
		return fault.New(cas.ErrFull, "%w", err).About(key)
	}
	err = fault.New(cas.ErrUnavailable, "%w", err).About(key)
	if status == 0 || status >= 500 && status != http.StatusNotImplemented || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status == http.StatusConflict {
		return &Again{Err: err, After: after(retryAfter)}
	}
	return err
}

// after reads Retry-After in seconds. Its other form, a date, is of a clock that
// may not be ours: the pauses of Retry do.
func after(header string) time.Duration {
	seconds, err := strconv.ParseUint(header, 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
