package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

const (
	maxHas     = 10_000         // objects in one question
	maxHasBody = maxHas*80 + 80 // bytes

	forEver = "public, max-age=31536000, immutable"
)

// parseCID reads the CID in a path.
func parseCID(text string) (cid.Hash, error) {
	id, err := cid.Parse(text)
	if err != nil {
		return id, fault.New(ErrRequest, "%.80q is no CID: sha256: and 64 lowercase hex digits", text)
	}
	return id, nil
}

func (s *Service) getObject(w http.ResponseWriter, r *http.Request) error {
	id, err := parseCID(r.PathValue("cid"))
	if err != nil {
		return err
	}
	if o, ok := s.Objects.(remote.Opener); ok && r.Method == http.MethodGet {
		in, size, err := o.OpenObject(r.Context(), id)
		if err != nil {
			return err
		}
		defer in.Close()
		return s.sendObject(w, r, id, size, func(off, _ int64) (io.ReadCloser, error) {
			_, err := in.Seek(off, io.SeekStart)
			return in, err // itself, so that a file is sent without copying it
		})
	}
	size, err := remote.Size(r.Context(), s.Objects, id)
	if err != nil {
		return err
	}
	return s.sendObject(w, r, id, size, func(off, n int64) (io.ReadCloser, error) {
		return s.Objects.Get(r.Context(), id, off, n)
	})
}

// sendObject answers GET and HEAD with an object. Its reader verifies it.
func (s *Service) sendObject(w http.ResponseWriter, r *http.Request, id cid.Hash, size int64, open func(off, n int64) (io.ReadCloser, error)) error {
	h := w.Header()
	if strings.Contains(r.Header.Get("If-None-Match"), id.String()) {
		describe(h, id)
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	off, n, status := byteRange(r.Header.Get("Range"), size)
	var in io.ReadCloser
	if r.Method == http.MethodGet && n > 0 {
		var err error
		if in, err = open(off, n); err != nil {
			return err
		}
		defer in.Close()
	}
	describe(h, id)
	switch status {
	case http.StatusPartialContent:
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, size))
	case http.StatusRequestedRangeNotSatisfiable:
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", size))
	}
	h.Set("Content-Length", strconv.FormatInt(n, 10))
	w.WriteHeader(status)
	if in == nil {
		return nil
	}
	if _, err := io.CopyN(w, in, n); err != nil && r.Context().Err() == nil && s.Failed != nil {
		s.Failed(r, err) // the length tells the caller that something lacks
	}
	return nil
}

// describe sets the header of an object.
func describe(h http.Header, id cid.Hash) {
	h.Set("ETag", `"`+id.String()+`"`)
	h.Set("Accept-Ranges", "bytes")
	h.Set("Cache-Control", forEver)
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
}

// byteRange reads a Range header of one range. What it does not understand counts
// for nothing, as RFC 9110 has it.
func byteRange(header string, size int64) (off, n int64, status int) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !ok || !dash || strings.Contains(last, ",") {
		return 0, size, http.StatusOK
	}
	from, err1 := strconv.ParseUint(first, 10, 63)
	to, err2 := strconv.ParseUint(last, 10, 63)
	switch {
	case first == "" && err2 == nil: // the last so many
		off = max(size-int64(to), 0)
		n = size - off
	case err1 == nil && last == "":
		off, n = int64(from), size-int64(from)
	case err1 == nil && err2 == nil && from <= to:
		off, n = int64(from), min(int64(to), size-1)-int64(from)+1
	default:
		return 0, size, http.StatusOK
	}
	if n <= 0 {
		return 0, 0, http.StatusRequestedRangeNotSatisfiable
	}
	return off, n, http.StatusPartialContent
}

func (s *Service) putObject(w http.ResponseWriter, r *http.Request) error {
	id, err := parseCID(r.PathValue("cid"))
	if err != nil {
		return err
	}
	if err := s.checkLength(r); err != nil {
		return err
	}
	added, err := s.store(r, id)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", `"`+id.String()+`"`)
	s.send(w, status(added), stored{"mythos.registry.object/1", id})
	return nil
}

type stored struct {
	Schema string   `json:"schema"`
	CID    cid.Hash `json:"cid"`
}

// status says whether something was made.
func status(added bool) int {
	if added {
		return http.StatusCreated
	}
	return http.StatusOK
}

func (s *Service) checkLength(r *http.Request) error {
	switch {
	case r.ContentLength < 0:
		return fault.New(ErrLength, "a PUT needs Content-Length")
	case r.ContentLength > s.MaxObject:
		return fault.New(cas.ErrTooLarge, "%d bytes, at most %d", r.ContentLength, s.MaxObject)
	}
	return nil
}

// store stores the body of a request under its CID, and reports whether it was not
// there. Who waits to be asked for the body is not asked for what is there.
func (s *Service) store(r *http.Request, id cid.Hash) (added bool, err error) {
	_, err = s.Objects.Head(r.Context(), id)
	if err == nil {
		if r.Header.Get("Expect") == "" {
			_, err = io.Copy(io.Discard, r.Body) // else the connection would be lost
		}
		return false, err
	}
	if !errors.Is(err, cas.ErrNotFound) {
		return false, err
	}
	v := bucket.Value{Size: r.ContentLength, Sum: id, Open: once(r.Body)}
	_, ownStore := s.Objects.(remote.Opener)
	whole := v.Size <= bufferForRetry && !ownStore || v.Size <= bufferSmall
	if whole {
		raw, err := readWhole(r.Body, id, v.Size)
		if err != nil {
			return false, err
		}
		v.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
	}
	err = s.Objects.Put(r.Context(), v)
	if errors.Is(err, cas.ErrMismatch) || errors.Is(err, cas.ErrCorrupt) && !whole && !ownStore {
		err = fault.New(cas.ErrMismatch, "the bytes sent are others").About(id.String())
	}
	return err == nil, err
}

const (
	// bufferForRetry is how much of a body is held so that it can be sent to a bucket
	// once more.
	bufferForRetry = blob.FlatLimit
	// bufferSmall is what is always held: it costs less than a stream.
	bufferSmall = 64 << 10
)

// readWhole reads and checks a body.
func readWhole(body io.Reader, id cid.Hash, size int64) ([]byte, error) {
	raw := make([]byte, size)
	if _, err := io.ReadFull(body, raw); err != nil {
		return nil, fault.New(ErrRequest, "read the body: %w", err)
	}
	if got := cid.Sum(raw); got != id {
		return nil, fault.New(cas.ErrMismatch, "the bytes sent hash to %s", got).About(id.String())
	}
	return raw, nil
}

// once opens a body, which cannot be read again.
func once(body io.Reader) func() (io.ReadCloser, error) {
	opened := false
	return func() (io.ReadCloser, error) {
		if opened {
			return nil, fault.New(cas.ErrUnavailable, "the body was read already")
		}
		opened = true
		return io.NopCloser(callers{body}), nil
	}
}

// callers is a body; what fails is the caller's request.
type callers struct{ io.Reader }

func (c callers) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fault.New(ErrRequest, "read the body: %w", err)
	}
	return n, err
}

func (s *Service) has(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Objects []cid.Hash `json:"objects"`
	}
	if err := readJSON(r, maxHasBody, &ask); err != nil {
		return err
	}
	if len(ask.Objects) > maxHas {
		return fault.New(cas.ErrTooLarge, "%d objects, at most %d at a time", len(ask.Objects), maxHas)
	}
	there, err := remote.Look(r.Context(), s.Objects, ask.Objects)
	if err != nil {
		return err
	}
	missing := []cid.Hash{}
	for i, id := range ask.Objects {
		if !there[i] {
			missing = append(missing, id)
		}
	}
	s.answer(w, r, struct {
		Schema  string     `json:"schema"`
		Missing []cid.Hash `json:"missing"`
	}{"mythos.registry.has/1", missing})
	return nil
}
