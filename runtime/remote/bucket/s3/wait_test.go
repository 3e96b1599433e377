package s3_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/remote/bucket/s3"
)

// TestRetryAfter has a server that asks to wait for longer than the caller does: it is
// asked once.
func TestRetryAfter(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	b, err := s3.Open(s3.Config{Endpoint: strings.TrimPrefix(server.URL, "http://"), Insecure: true, Region: "r", Bucket: "bucket"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := b.Head(ctx, "key"); err == nil || asked.Load() != 1 {
		t.Errorf("%d requests, %v", asked.Load(), err)
	}
}
