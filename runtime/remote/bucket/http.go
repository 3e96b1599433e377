package bucket

import (
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

// What follows is for buckets that are reached by HTTP.

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
	if status == 0 || status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status == http.StatusConflict {
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
