package ociapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/mythos-run/mythos/registry/ociapi/catalog"
	"github.com/mythos-run/mythos/registry/ociapi/staging"
	"github.com/mythos-run/mythos/runtime/cas"
)

const (
	maxParts  = 4096     // of an upload
	peekBytes = 32 << 10 // read ahead to see whether a body goes on
)

// startUpload mounts a blob, takes one whole, or begins an upload.
func (a *API) startUpload(w http.ResponseWriter, r *http.Request, t target) error {
	q := r.URL.Query()
	if q.Has("mount") {
		d, err := parseDigest(q.Get("mount"))
		if err != nil {
			return err
		}
		from := q.Get("from")
		if from != "" && !IsName(from) {
			return problemf(http.StatusBadRequest, codeNameInvalid, "%.300q is no name of a repository", from)
		}
		b, ok, err := a.mountable(r.Context(), from, d)
		if err != nil {
			return err
		}
		if ok {
			return a.link(w, r, t, b)
		}
	}
	if q.Has("digest") && !q.Has("mount") {
		return a.takeWhole(w, r, t, q.Get("digest"))
	}
	id, err := a.newUpload(r.Context(), t.repository)
	if err != nil {
		return err
	}
	where(w, target{t.repository, id}, 0)
	return sendNothing(w, http.StatusAccepted)
}

// takeWhole takes a blob that is in the request which asks for an upload.
func (a *API) takeWhole(w http.ResponseWriter, r *http.Request, t target, text string) error {
	d, err := parseDigest(text)
	if err != nil {
		return err
	}
	b, ok, err := a.storeBody(r, d)
	if err != nil {
		return err
	}
	if ok {
		return a.link(w, r, t, b)
	}
	id, err := a.newUpload(r.Context(), t.repository)
	if err != nil {
		return err
	}
	if err = a.finish(w, r, target{t.repository, id}, d, catalog.Upload{}); err != nil {
		err = errors.Join(err, a.end(context.WithoutCancel(r.Context()), id)) // nobody knows its id
	}
	return err
}

// newUpload begins an upload, after giving up idle ones if there are too many.
func (a *API) newUpload(ctx context.Context, repository string) (string, error) {
	id := staging.NewUpload()
	ok, err := a.Catalog.StartUpload(ctx, repository, id, a.Clock().UnixMicro(), a.MaxUploads)
	if err == nil && !ok {
		if err = a.giveUp(ctx); err == nil {
			ok, err = a.Catalog.StartUpload(ctx, repository, id, a.Clock().UnixMicro(), a.MaxUploads)
		}
	}
	if err == nil && !ok {
		err = problemf(http.StatusTooManyRequests, codeTooMany, "%d uploads are under way", a.MaxUploads)
	}
	return id, err
}

// where says how far an upload is and where it goes on.
func where(w http.ResponseWriter, t target, offset int64) {
	w.Header().Set("Location", "/v2/"+t.repository+"/blobs/uploads/"+t.reference)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(offset-1, 0)))
}

// find returns the upload that a path names.
func (a *API) find(ctx context.Context, t target) (catalog.Upload, error) {
	if !isPrintable(t.reference) {
		return catalog.Upload{}, noUpload()
	}
	u, ok, err := a.Catalog.Upload(ctx, t.repository, t.reference)
	if err == nil && !ok {
		err = noUpload()
	}
	return u, err
}

func noUpload() error {
	return problemf(http.StatusNotFound, codeUploadUnknown, "there is no such upload; it may have ended, or been idle for too long")
}

func (a *API) uploadStatus(w http.ResponseWriter, r *http.Request, t target) error {
	u, err := a.find(r.Context(), t)
	if err != nil {
		return err
	}
	where(w, t, u.Offset)
	return sendNothing(w, http.StatusNoContent)
}

func (a *API) cancelUpload(w http.ResponseWriter, r *http.Request, t target) error {
	if _, err := a.find(r.Context(), t); err != nil {
		return err
	}
	if err := a.end(r.Context(), t.reference); err != nil {
		return err
	}
	return sendNothing(w, http.StatusNoContent)
}

// end forgets an upload and what is staged of it.
func (a *API) end(ctx context.Context, id string) error {
	u, _, err := a.Catalog.EndUpload(ctx, id)
	for _, p := range u.Parts {
		err = errors.Join(err, a.Staging.Drop(ctx, p.Key))
	}
	return err
}

func (a *API) patchUpload(w http.ResponseWriter, r *http.Request, t target) error {
	u, err := a.find(r.Context(), t)
	if err == nil {
		err = a.inOrder(w, r, t, u)
	}
	if err != nil {
		return err
	}
	if u, err = a.add(w, r, t, u); err != nil {
		return err
	}
	where(w, t, u.Offset)
	return sendNothing(w, http.StatusAccepted)
}

// inOrder refuses a chunk that does not begin where the upload ends.
func (a *API) inOrder(w http.ResponseWriter, r *http.Request, t target, u catalog.Upload) error {
	header := r.Header.Get("Content-Range")
	if header == "" {
		return nil
	}
	start, length, ok := chunkRange(header)
	switch {
	case !ok:
		return problemf(http.StatusBadRequest, codeUploadInvalid, "%.80q is no Content-Range of a chunk: FIRST-LAST", header)
	case r.ContentLength != length:
		return problemf(http.StatusBadRequest, codeSizeInvalid, "a chunk %s has a Content-Length of %d", header, length)
	case start != u.Offset:
		return outOfOrder(w, t, u.Offset)
	}
	return nil
}

func outOfOrder(w http.ResponseWriter, t target, offset int64) error {
	where(w, t, offset)
	return problemf(http.StatusRequestedRangeNotSatisfiable, codeUploadInvalid, "the next byte of this upload is number %d", offset)
}

// add puts the body of a request at the end of an upload. What came of one that
// broke off is kept: the upload goes on behind it.
func (a *API) add(w http.ResponseWriter, r *http.Request, t target, u catalog.Upload) (catalog.Upload, error) {
	if r.ContentLength > a.MaxBlob-u.Offset {
		return u, a.tooLarge()
	}
	ctx := context.WithoutCancel(r.Context()) // what came is noted even if the caller has gone
	body := bufio.NewReaderSize(r.Body, peekBytes)
	for {
		if _, err := body.Peek(1); errors.Is(err, io.EOF) {
			return u, nil
		} else if err != nil {
			return u, &cas.SourceError{Err: err}
		}
		if u.Offset == a.MaxBlob {
			return u, a.tooLarge()
		}
		if len(u.Parts) == maxParts {
			return u, problemf(http.StatusBadRequest, codeUploadInvalid, "an upload has at most %d chunks; send larger ones", maxParts)
		}
		p, err := a.Staging.Keep(r.Context(), t.reference, io.LimitReader(body, a.MaxBlob-u.Offset))
		if p.Size > 0 {
			ok, err := a.Catalog.Extend(ctx, t.reference, u.Offset, p, a.Clock().UnixMicro())
			if err != nil { // perhaps the upload has the part: if not, Sweep removes it
				return u, err
			}
			if !ok {
				return u, errors.Join(a.lost(ctx, w, t), a.Staging.Drop(ctx, p.Key))
			}
			u.Offset, u.Parts = u.Offset+p.Size, append(u.Parts, p)
		}
		if err != nil {
			return u, err
		}
	}
}

// lost says why an upload was not extended: another request did, or ended it.
func (a *API) lost(ctx context.Context, w http.ResponseWriter, t target) error {
	u, err := a.find(ctx, t)
	if err != nil {
		return err
	}
	return outOfOrder(w, t, u.Offset)
}

func (a *API) putUpload(w http.ResponseWriter, r *http.Request, t target) error {
	d, err := parseDigest(r.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	u, err := a.find(r.Context(), t)
	if err == nil {
		err = a.inOrder(w, r, t, u)
	}
	if err != nil {
		return err
	}
	if u.Offset > 0 {
		return a.finish(w, r, t, d, u)
	}
	b, ok, err := a.storeBody(r, d)
	if err == nil && !ok {
		return a.finish(w, r, t, d, u)
	}
	return a.complete(w, r, t, b, err)
}

// finish adds what is in the body, and makes a blob of the upload.
func (a *API) finish(w http.ResponseWriter, r *http.Request, t target, d digest, u catalog.Upload) error {
	u, err := a.add(w, r, t, u)
	if err != nil {
		return err
	}
	b, err := a.collect(r.Context(), d, u)
	return a.complete(w, r, t, b, err)
}

// complete ends an upload that became a blob, or that cannot: one that does not
// have its digest is given up, since no more bytes would give it. It goes on if it
// was the storage that failed, or the caller went away.
func (a *API) complete(w http.ResponseWriter, r *http.Request, t target, b catalog.Blob, err error) error {
	if err == nil {
		err = a.Catalog.LinkBlob(r.Context(), t.repository, b)
	}
	if err != nil && (r.Context().Err() != nil || problemOf(r, err).status >= 500) {
		return err
	}
	if err = errors.Join(err, a.end(r.Context(), t.reference)); err != nil {
		return err
	}
	return created(w, "/v2/"+t.repository+"/blobs/"+b.Digest, b.Digest)
}

// collect makes an object of an upload's parts.
func (a *API) collect(ctx context.Context, d digest, u catalog.Upload) (b catalog.Blob, err error) {
	b = catalog.Blob{Digest: d.text, Size: u.Offset}
	open := func() (io.ReadCloser, error) { return staging.Join(ctx, a.Staging, u.Parts), nil }
	id, named := d.cid()
	if named && a.gone(ctx, id, &err) {
		b.CID = id
		return b, a.put(ctx, b, open) // which hashes it
	}
	if named && err != nil {
		return b, err
	}
	in, err := open()
	if err != nil {
		return b, err
	}
	s := d.sums()
	_, err = io.Copy(s, in)
	if err = errors.Join(err, in.Close()); err != nil {
		return b, err
	}
	if b.CID, err = s.end(); err != nil {
		return b, err
	}
	return b, a.put(ctx, b, open)
}

// giveUp ends the uploads that have been idle.
func (a *API) giveUp(ctx context.Context) error {
	ids, err := a.Catalog.Uploads(ctx, a.Clock().Add(-a.Idle).UnixMicro())
	for _, id := range ids {
		err = errors.Join(err, a.end(ctx, id))
	}
	return err
}

// Sweep gives up uploads that have been idle, and removes what is staged of none,
// as a process that was killed leaves it. The owner calls it now and then; any
// number of replicas may.
func (a *API) Sweep(ctx context.Context) error {
	if err := a.giveUp(ctx); err != nil {
		return err
	}
	var keys []string
	for key, err := range a.Staging.List(ctx) {
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	// After the keys: an upload that began since has none among them.
	ids, err := a.Catalog.Uploads(ctx, 1<<62)
	if err != nil {
		return err
	}
	alive := make(map[string]bool, len(ids))
	for _, id := range ids {
		alive[id] = true
	}
	for _, key := range keys {
		if !alive[staging.Owner(key)] {
			err = errors.Join(err, a.Staging.Drop(ctx, key))
		}
	}
	return err
}
