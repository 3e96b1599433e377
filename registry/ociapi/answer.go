package ociapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/mythos-run/mythos/ctvp"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

// Codes of the distribution spec.
const (
	codeBlobUnknown         = "BLOB_UNKNOWN"
	codeUploadInvalid       = "BLOB_UPLOAD_INVALID"
	codeUploadUnknown       = "BLOB_UPLOAD_UNKNOWN"
	codeDigestInvalid       = "DIGEST_INVALID"
	codeManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN"
	codeManifestInvalid     = "MANIFEST_INVALID"
	codeManifestUnknown     = "MANIFEST_UNKNOWN"
	codeNameInvalid         = "NAME_INVALID"
	codeNameUnknown         = "NAME_UNKNOWN"
	codeSizeInvalid         = "SIZE_INVALID"
	codeUnauthorized        = "UNAUTHORIZED"
	codeDenied              = "DENIED"
	codeUnsupported         = "UNSUPPORTED"
	codeTooMany             = "TOOMANYREQUESTS"
	codeUnavailable         = "UNAVAILABLE" // not of the spec, which has none for this
)

// problem is an error with its answer.
type problem struct {
	status  int
	code    string
	message string
}

func (p *problem) Error() string { return p.message + " (" + p.code + ")" }

func problemf(status int, code, format string, args ...any) error {
	return &problem{status, code, fmt.Sprintf(format, args...)}
}

// statuses gives the HTTP status of every code of MYTHOS.
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

// statusOf returns the status of an error that is no problem; 503 for what is the
// storage's.
func statusOf(err error) int {
	status, known := statuses()[fault.CodeOf(err)]
	if !known || errors.Is(err, bucket.ErrDenied) || errors.Is(err, cas.ErrCorrupt) || errors.Is(err, cas.ErrNotFound) {
		return http.StatusServiceUnavailable
	}
	return status
}

// problemOf makes the answer to an error. What a storage says of itself is for the
// operator: the caller learns that it failed. A source with a code is no body of the
// caller's.
func problemOf(r *http.Request, err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	var source *cas.SourceError
	if errors.As(err, &source) && fault.CodeOf(source.Err) == "" || r.Context().Err() != nil {
		return &problem{http.StatusBadRequest, codeUploadInvalid, "the body ended early"}
	}
	p = &problem{statusOf(err), codeUnavailable, "the registry cannot serve this now"}
	var e *fault.Error
	if p.status < 500 && errors.As(err, &e) {
		p.message = e.Message
	}
	switch p.status {
	case http.StatusUnauthorized:
		p.code = codeUnauthorized
	case http.StatusForbidden:
		p.code = codeDenied
	case http.StatusRequestEntityTooLarge:
		p.code = codeSizeInvalid
	case http.StatusTooManyRequests:
		p.code = codeTooMany
	case http.StatusInsufficientStorage:
		p.message = "the storage of this registry is full"
	}
	return p
}

// fail answers with an error in the form of the spec.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(r, err)
	if p.status >= 500 && a.Failed != nil {
		a.Failed(r, err)
	}
	h := w.Header()
	for _, name := range []string{"ETag", "Accept-Ranges", "Content-Range", "Docker-Content-Digest"} {
		h.Del(name)
	}
	switch p.status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", a.Challenge)
	case http.StatusTooManyRequests:
		h.Set("Retry-After", "1")
	}
	type entry struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	body := struct {
		Errors []entry `json:"errors"`
	}{[]entry{{p.code, p.message}}}
	a.sendJSON(w, p.status, "application/json", body)
}

func (a *API) sendJSON(w http.ResponseWriter, status int, media string, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err) // only our own structs come here
	}
	a.send(w, status, media, append(raw, '\n'))
}

func (a *API) send(w http.ResponseWriter, status int, media string, body []byte) {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	allow(w, int64(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller is gone if it fails
}

// sendNothing answers without a body.
func sendNothing(w http.ResponseWriter, status int) error {
	if status != http.StatusNoContent {
		w.Header().Set("Content-Length", "0")
	}
	w.WriteHeader(status)
	return nil
}

const (
	patience = time.Minute // without progress of a client
	slowest  = 16 << 10    // bytes of an answer for which it has a second more
)

// allow gives a client the time to take n bytes.
func allow(w http.ResponseWriter, n int64) {
	// A writer without deadlines, as tests have, needs none.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patience + time.Duration(n/slowest)*time.Second))
}
