package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mythos-run/mythos/ctvp"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

// problem is the body of every answer that is an error.
type problem struct {
	Schema  string `json:"schema"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Subject string `json:"subject,omitempty"`
}

// statuses gives the HTTP status of every code.
var statuses = sync.OnceValue(func() map[fault.Code]int {
	table, err := ctvp.Errors()
	if err != nil {
		panic(err) // embedded, and held right by its tests
	}
	m := map[fault.Code]int{}
	for _, e := range table {
		m[fault.Code(e.Code)] = e.HTTP
	}
	return m
})

// fail answers with an error. What a storage says of itself is for the operator:
// the caller learns the code and that it failed.
func (s *Service) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := fault.CodeOf(err)
	status, known := statuses()[code]
	p := problem{Schema: "mythos.error/1", Code: string(code), Message: err.Error()}
	var e *fault.Error
	if errors.As(err, &e) {
		p.Subject, p.Message = e.Subject, e.Message
		if e.Offset >= 0 {
			p.Message += " at byte " + strconv.Itoa(e.Offset)
		}
	}
	switch {
	case r.Context().Err() != nil:
		status, p.Code, p.Message = 499, string(ErrRequest), "the caller went away"
	case !known, errors.Is(err, bucket.ErrDenied), errors.Is(err, cas.ErrCorrupt):
		status, p.Code, p.Message, p.Subject = http.StatusServiceUnavailable, string(cas.ErrUnavailable), "the storage of this registry failed", ""
	case status >= 500 && status != http.StatusInsufficientStorage:
		p.Message = "the registry cannot serve this now"
	}
	if status >= 500 && s.Failed != nil {
		s.Failed(r, err)
	}
	if seen, ok := w.(*observed); ok {
		seen.code = p.Code
	}
	if strings.HasPrefix(r.URL.Path, ociPath) {
		s.failOCI(w, status, p)
		return
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="mythos"`)
	}
	s.send(w, status, p)
}

// failOCI answers in the form of the OCI distribution API, whose clients send a
// token as the password of any user.
func (s *Service) failOCI(w http.ResponseWriter, status int, p problem) {
	type entry struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	code := "UNKNOWN"
	switch status {
	case http.StatusUnauthorized:
		code = "UNAUTHORIZED"
		w.Header().Set("WWW-Authenticate", `Basic realm="mythos"`)
	case http.StatusForbidden:
		code = "DENIED"
	case http.StatusTooManyRequests:
		code = "TOOMANYREQUESTS"
	}
	s.send(w, status, struct {
		Errors []entry `json:"errors"`
	}{[]entry{{code, p.Message + " (" + p.Code + ")"}}})
}

// retryAfter asks a client to wait, in whole seconds.
func retryAfter(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
}

// answer sends a body with status 200.
func (s *Service) answer(w http.ResponseWriter, _ *http.Request, body any) {
	s.send(w, http.StatusOK, body)
}

func (s *Service) send(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err) // only our own structs come here
	}
	raw = append(raw, '\n')
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(raw)))
	h.Set("X-Content-Type-Options", "nosniff")
	allow(w, int64(len(raw)), s.Patience)
	w.WriteHeader(status)
	_, _ = w.Write(raw) // the caller is gone if it fails
}

// readJSON reads the body of a request of at most limit bytes, with no member
// that v does not know.
func readJSON(r *http.Request, limit int64, v any) error {
	raw, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	switch {
	case err != nil:
		return fault.New(ErrRequest, "read the body: %w", err)
	case int64(len(raw)) > limit:
		return fault.New(cas.ErrTooLarge, "the body has more than %d bytes", limit)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fault.New(ErrRequest, "the body: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fault.New(ErrRequest, "the body has more than one value")
	}
	return nil
}
