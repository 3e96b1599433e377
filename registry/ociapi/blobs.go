package ociapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/registry/ociapi/catalog"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

func noBlob(d string) error {
	return problemf(http.StatusNotFound, codeBlobUnknown, "this repository has no blob %s", d)
}

func (a *API) getBlob(w http.ResponseWriter, r *http.Request, t target) error {
	d, err := parseDigest(t.reference)
	if err != nil {
		return err
	}
	b, ok, err := a.Catalog.Blob(r.Context(), t.repository, d.text)
	if err != nil {
		return err
	}
	if !ok || a.gone(r.Context(), b.CID, &err) {
		return noBlob(d.text)
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Docker-Content-Digest", d.text)
	h.Set("ETag", `"`+d.text+`"`)
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Type", "application/octet-stream")
	if strings.Contains(r.Header.Get("If-None-Match"), h.Get("ETag")) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return a.sendBlob(w, r, b)
}

// gone reports whether an object that a catalog names is not in the storage: then
// it is to be pushed again, and so must not seem to be there.
func (a *API) gone(ctx context.Context, id cid.Hash, err *error) bool {
	_, *err = remote.Size(ctx, a.Objects, id)
	return errors.Is(*err, cas.ErrNotFound)
}

// sendBlob sends a blob or the range that is asked for. The bytes are not
// verified: who asks for a digest hashes what comes.
func (a *API) sendBlob(w http.ResponseWriter, r *http.Request, b catalog.Blob) error {
	h, header := w.Header(), r.Header.Get("Range")
	if condition := r.Header.Get("If-Range"); condition != "" && condition != h.Get("ETag") {
		header = ""
	}
	off, n, status := byteRange(header, b.Size)
	switch status {
	case http.StatusPartialContent:
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, b.Size))
	case http.StatusRequestedRangeNotSatisfiable:
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", b.Size))
	}
	h.Set("Content-Length", strconv.FormatInt(n, 10))
	if r.Method == http.MethodHead || n == 0 {
		w.WriteHeader(status)
		return nil
	}
	in, err := a.Objects.Get(r.Context(), b.CID, off, n)
	if errors.Is(err, cas.ErrNotFound) {
		return noBlob(b.Digest)
	}
	if err != nil {
		return err
	}
	defer in.Close()
	allow(w, n)
	w.WriteHeader(status)
	if _, err := io.CopyN(w, in, n); err != nil && r.Context().Err() == nil && a.Failed != nil {
		a.Failed(r, err) // the length tells the caller that something lacks
	}
	return nil
}

func (a *API) deleteBlob(w http.ResponseWriter, r *http.Request, t target) error {
	d, err := parseDigest(t.reference)
	if err != nil {
		return err
	}
	was, err := a.Catalog.UnlinkBlob(r.Context(), t.repository, d.text)
	if err != nil {
		return err
	}
	if !was {
		return noBlob(d.text)
	}
	return sendNothing(w, http.StatusAccepted)
}

// link shows an object in the repository and says where.
func (a *API) link(w http.ResponseWriter, r *http.Request, t target, b catalog.Blob) error {
	if err := a.Catalog.LinkBlob(r.Context(), t.repository, b); err != nil {
		return err
	}
	return created(w, "/v2/"+t.repository+"/blobs/"+b.Digest, b.Digest)
}

// created says where something new is.
func created(w http.ResponseWriter, location, digest string) error {
	w.Header().Set("Location", location)
	w.Header().Set("Docker-Content-Digest", digest)
	return sendNothing(w, http.StatusCreated)
}

// mountable looks for a blob in another repository or, without one, wherever it is.
func (a *API) mountable(ctx context.Context, from string, d digest) (b catalog.Blob, ok bool, err error) {
	b, ok, err = a.Catalog.Blob(ctx, from, d.text)
	if err != nil {
		return b, false, err
	}
	id, named := d.cid()
	if !ok && (from != "" || !named) {
		return b, false, nil
	}
	if !ok {
		b = catalog.Blob{Digest: d.text, CID: id} // perhaps an object that came by the other API
	}
	b.Size, err = a.Objects.Head(ctx, b.CID)
	if errors.Is(err, cas.ErrNotFound) {
		return b, false, nil
	}
	return b, err == nil, err
}

// storeBody stores a whole blob from the body of one request, without staging it,
// and reports whether it could: one that is small, that is there, or whose object
// id and size are known beforehand.
func (a *API) storeBody(r *http.Request, d digest) (b catalog.Blob, ok bool, err error) {
	b = catalog.Blob{Digest: d.text, Size: r.ContentLength}
	switch {
	case b.Size > a.MaxBlob:
		return b, false, a.tooLarge()
	case b.Size >= 0 && b.Size <= blob.FlatLimit:
		var raw bytes.Buffer
		s := d.sums()
		if _, err := io.Copy(io.MultiWriter(&raw, s), io.LimitReader(r.Body, b.Size)); err != nil {
			return b, false, &cas.SourceError{Err: err}
		}
		if b.CID, err = s.end(); err != nil {
			return b, false, err
		}
		return b, true, a.put(r.Context(), b, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw.Bytes())), nil })
	}
	id, named := d.cid()
	if b.Size < 0 || !named {
		return b, false, nil
	}
	b.CID = id
	switch _, err = a.Objects.Head(r.Context(), id); {
	case err == nil:
		s := d.sums()
		if _, err := io.Copy(s, r.Body); err != nil {
			return b, false, &cas.SourceError{Err: err}
		}
		_, err = s.end()
		return b, err == nil, err
	case !errors.Is(err, cas.ErrNotFound):
		return b, false, err
	}
	return b, true, a.put(r.Context(), b, once(r.Body))
}

// put stores an object; bytes that are others than its digest's are the caller's
// fault. Of a store of this machine cas.ErrCorrupt alone is a damaged copy in it.
func (a *API) put(ctx context.Context, b catalog.Blob, open func() (io.ReadCloser, error)) error {
	err := a.Objects.Put(ctx, bucket.Value{Size: b.Size, Sum: b.CID, Open: open})
	_, ownStore := a.Objects.(remote.Opener)
	if errors.Is(err, cas.ErrMismatch) || errors.Is(err, cas.ErrCorrupt) && !ownStore {
		return problemf(http.StatusBadRequest, codeDigestInvalid, "the %d bytes do not have the digest %s", b.Size, b.Digest)
	}
	return err
}

// once opens a body, which cannot be read again: who asks for it once more is a
// storage that failed.
func once(body io.Reader) func() (io.ReadCloser, error) {
	opened := false
	return func() (io.ReadCloser, error) {
		if opened {
			return nil, fault.New(cas.ErrUnavailable, "the storage failed, and the body was read already")
		}
		opened = true
		return io.NopCloser(callers{body}), nil
	}
}

// callers is a body; if it fails, trying again does not help.
type callers struct{ io.Reader }

func (c callers) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &cas.SourceError{Err: err}
	}
	return n, err
}

func (a *API) tooLarge() error {
	return problemf(http.StatusRequestEntityTooLarge, codeSizeInvalid, "a blob has at most %d bytes", a.MaxBlob)
}
