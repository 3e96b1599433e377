package registry

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// metrics is what /metrics shows, in the text format of Prometheus, version
// 0.0.4. No label has a value that a client chooses.
type metrics struct {
	started time.Time
	running atomic.Int64

	mu             sync.Mutex
	requests       map[requestKind]uint64
	errors         map[string]uint64 // by code
	times          map[string]*histogram
	received, sent int64
}

type requestKind struct {
	route, method string
	status        int
}

// bounds of histograms in seconds; the last bucket has none.
var bounds = [...]float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60}

type histogram struct {
	buckets [len(bounds) + 1]uint64
	sum     float64
}

func newMetrics(now time.Time) *metrics {
	return &metrics{started: now, requests: map[requestKind]uint64{}, errors: map[string]uint64{}, times: map[string]*histogram{}}
}

func (m *metrics) add(o *observed, took time.Duration) {
	m.running.Add(-1)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests[requestKind{o.route, knownMethod(o.r.Method), o.status}]++
	if o.code != "" {
		m.errors[o.code]++
	}
	m.received += o.body.n
	m.sent += o.sent
	h := m.times[o.route]
	if h == nil {
		h = &histogram{}
		m.times[o.route] = h
	}
	i, _ := slices.BinarySearch(bounds[:], took.Seconds())
	h.buckets[i]++
	h.sum += took.Seconds()
}

func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete:
		return method
	}
	return "other"
}

func (s *Service) showMetrics(w http.ResponseWriter, _ *http.Request) error {
	text := s.metrics.text()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	allow(w, int64(len(text)), s.Patience)
	_, _ = w.Write(text) // the caller is gone if it fails
	return nil
}

func (m *metrics) text() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b bytes.Buffer
	family(&b, "mythos_registry_requests_total", "counter", "Requests that were answered.")
	for _, k := range slices.SortedFunc(maps.Keys(m.requests), requestKind.compare) {
		fmt.Fprintf(&b, "mythos_registry_requests_total{route=%q,method=%q,status=\"%d\"} %d\n", k.route, k.method, k.status, m.requests[k])
	}
	family(&b, "mythos_registry_errors_total", "counter", "Answers that were errors.")
	for _, code := range slices.Sorted(maps.Keys(m.errors)) {
		fmt.Fprintf(&b, "mythos_registry_errors_total{code=%q} %d\n", code, m.errors[code])
	}
	family(&b, "mythos_registry_request_seconds", "histogram", "How long requests took.")
	for _, route := range slices.Sorted(maps.Keys(m.times)) {
		m.times[route].write(&b, route)
	}
	for _, x := range []struct {
		name, kind, help string
		value            any
	}{
		{"mythos_registry_received_bytes_total", "counter", "Bytes of bodies that came.", m.received},
		{"mythos_registry_sent_bytes_total", "counter", "Bytes of bodies that went.", m.sent},
		{"mythos_registry_requests_running", "gauge", "Requests that are being served.", m.running.Load()},
		{"process_start_time_seconds", "gauge", "When the process started, in seconds since 1970.", m.started.Unix()},
		{"go_goroutines", "gauge", "Goroutines.", runtime.NumGoroutine()},
	} {
		family(&b, x.name, x.kind, x.help)
		fmt.Fprintf(&b, "%s %d\n", x.name, x.value)
	}
	return b.Bytes()
}

func family(b *bytes.Buffer, name, kind, help string) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (k requestKind) compare(o requestKind) int {
	return cmp.Or(cmp.Compare(k.route, o.route), cmp.Compare(k.method, o.method), cmp.Compare(k.status, o.status))
}

func (h *histogram) write(b *bytes.Buffer, route string) {
	const name = "mythos_registry_request_seconds"
	total := uint64(0)
	for i, n := range h.buckets {
		total += n
		le := "+Inf"
		if i < len(bounds) {
			le = strconv.FormatFloat(bounds[i], 'g', -1, 64)
		}
		fmt.Fprintf(b, "%s_bucket{route=%q,le=%q} %d\n", name, route, le, total)
	}
	fmt.Fprintf(b, "%s_sum{route=%q} %g\n%s_count{route=%q} %d\n", name, route, h.sum, name, route, total)
}
