package bucket_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

func TestTimely(t *testing.T) {
	late := func(ctx context.Context) error {
		<-ctx.Done()
		return fmt.Errorf("read: %w", ctx.Err())
	}
	var again *bucket.Again
	if err := bucket.Timely(t.Context(), time.Millisecond, bucket.PerSecond-1, late); fault.CodeOf(err) != cas.ErrUnavailable || errors.As(err, &again) {
		t.Errorf("late: %v", err)
	}
	caller, cancel := context.WithCancel(t.Context())
	cancel()
	if err := bucket.Timely(caller, time.Millisecond, 0, late); !errors.Is(err, context.Canceled) || fault.CodeOf(err) != "" {
		t.Errorf("cancelled by the caller: %v", err)
	}
	wrong := errors.New("wrong")
	if err := bucket.Timely(t.Context(), time.Hour, 0, func(context.Context) error { return wrong }); err != wrong {
		t.Errorf("in time: %v", err)
	}
	for size, want := range map[int64]time.Duration{0: 2 * time.Minute, 3 * bucket.PerSecond: 2*time.Minute + 3*time.Second} {
		begin := time.Now()
		ctx, cancel := bucket.Within(t.Context(), 0, size)
		defer cancel()
		if end, ok := ctx.Deadline(); !ok || end.Before(begin.Add(want)) || end.After(time.Now().Add(want)) {
			t.Errorf("%d bytes: until %v after %v", size, end, begin)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for _, test := range []struct {
		status int
		header string
		after  time.Duration // 0: the answer comes as it is
	}{
		{http.StatusOK, "7", 0},
		{http.StatusNotFound, "7", 0},
		{http.StatusServiceUnavailable, "", 0},
		{http.StatusServiceUnavailable, "7", 7 * time.Second},
		{http.StatusTooManyRequests, "7", 7 * time.Second},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", test.header)
			w.WriteHeader(test.status)
		}))
		resp, err := (&http.Client{Transport: bucket.RetryAfter(nil)}).Get(server.URL)
		var again *bucket.Again
		if asked := errors.As(err, &again); asked != (test.after > 0) || asked && again.After != test.after {
			t.Errorf("%d %q: %v", test.status, test.header, err)
		}
		if err == nil {
			if resp.StatusCode != test.status || resp.Body.Close() != nil {
				t.Errorf("%d %q: %d", test.status, test.header, resp.StatusCode)
			}
		}
		server.Close()
	}
}
