package bucket_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

func TestEscape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringOfN(rapid.RuneFrom([]rune("aA.+-_/é")), 1, 12, -1), rapid.StringN(1, 20, 40)).Draw(t, "text")
		segment := bucket.Escape(text)
		if err := bucket.CheckKey("x/" + segment); err != nil {
			t.Fatalf("%q: %v", segment, err)
		}
		if back, ok := bucket.Unescape(segment); !ok || back != text {
			t.Fatalf("%q became %q, then %q, %t", text, segment, back, ok)
		}
	})
	for _, segment := range []string{"_", "_4", "_zz", "_61", "_2E", "A"} {
		if text, ok := bucket.Unescape(segment); ok {
			t.Errorf("%q stands for %q", segment, text)
		}
	}
}

func TestRetry(t *testing.T) {
	down := fault.New(cas.ErrUnavailable, "down")
	for _, test := range []struct {
		name   string
		fails  int           // tries that fail
		after  time.Duration // that the server asks for
		calls  int
		within [2]time.Duration
		ok     bool
	}{
		{"at once", 0, 0, 1, [2]time.Duration{0, 0}, true},
		{"third", 2, 0, 3, [2]time.Duration{150 * time.Millisecond, 300 * time.Millisecond}, true},
		{"never", 100, 0, 6, [2]time.Duration{1550 * time.Millisecond, 3100 * time.Millisecond}, false},
		{"asked", 1, 30 * time.Second, 2, [2]time.Duration{30 * time.Second, 30 * time.Second}, true},
		{"asked too much", 1, 24 * time.Hour, 2, [2]time.Duration{time.Minute, time.Minute}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, calls := time.Now(), 0
				err := bucket.Retry(t.Context(), func() error {
					if calls++; calls <= test.fails {
						return &bucket.Again{Err: down, After: test.after}
					}
					return nil
				})
				took := time.Since(began)
				if calls != test.calls || took < test.within[0] || took > test.within[1] || (err == nil) != test.ok {
					t.Errorf("%d calls in %v: %v", calls, took, err)
				}
			})
		})
	}
}

func TestRetryStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		final := errors.New("final")
		if err := bucket.Retry(t.Context(), func() error { calls++; return final }); !errors.Is(err, final) || calls != 1 {
			t.Errorf("%d calls: %v", calls, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		err := bucket.Retry(ctx, func() error {
			return &bucket.Again{Err: fault.New(cas.ErrUnavailable, "down"), After: time.Minute}
		})
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 5*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

func TestFailed(t *testing.T) {
	cause := errors.New("cause")
	for _, test := range []struct {
		status int
		code   fault.Code
		again  bool
	}{
		{0, cas.ErrUnavailable, true},
		{http.StatusNotFound, cas.ErrNotFound, false},
		{http.StatusPreconditionFailed, bucket.ErrExists, false},
		{http.StatusUnauthorized, bucket.ErrDenied, false},
		{http.StatusForbidden, bucket.ErrDenied, false},
		{http.StatusBadRequest, cas.ErrUnavailable, false},
		{http.StatusConflict, cas.ErrUnavailable, true},
		{http.StatusTooManyRequests, cas.ErrUnavailable, true},
		{http.StatusInternalServerError, cas.ErrUnavailable, true},
		{http.StatusNotImplemented, cas.ErrUnavailable, false},
		{http.StatusServiceUnavailable, cas.ErrUnavailable, true},
		{http.StatusInsufficientStorage, cas.ErrFull, false},
	} {
		err := bucket.Failed("k", cause, test.status, "7")
		var again *bucket.Again
		if fault.CodeOf(err) != test.code || errors.As(err, &again) != test.again || test.again && again.After != 7*time.Second {
			t.Errorf("%d: %v, again %t", test.status, err, errors.As(err, &again))
		}
	}
	for _, err := range []error{nil, context.Canceled, &cas.SourceError{Err: cause}, fault.New(cas.ErrCorrupt, "x")} {
		if got := bucket.Failed("k", err, 0, ""); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}
