package ociapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/registry/ociapi/catalog"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/remote"
)

const maxTagParams = 100 // tags of one PUT

// checkReference refuses what is neither a digest nor a tag.
func checkReference(text string) error {
	if strings.Contains(text, ":") {
		_, err := parseDigest(text)
		return err
	}
	if !IsTag(text) {
		return invalid("%.150q is no tag", text)
	}
	return nil
}

func noManifest(reference string) error {
	return problemf(http.StatusNotFound, codeManifestUnknown, "this repository has no manifest %s", reference)
}

func (a *API) getManifest(w http.ResponseWriter, r *http.Request, t target) error {
	if err := checkReference(t.reference); err != nil {
		return err
	}
	m, ok, err := a.Catalog.Manifest(r.Context(), t.repository, t.reference)
	if err != nil {
		return err
	}
	if !ok || a.gone(r.Context(), m.CID, &err) {
		return noManifest(t.reference)
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Docker-Content-Digest", m.Digest)
	h.Set("ETag", `"`+m.Digest+`"`)
	if strings.Contains(r.Header.Get("If-None-Match"), h.Get("ETag")) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if r.Method == http.MethodHead {
		h.Set("Content-Type", m.MediaType)
		h.Set("Content-Length", strconv.FormatInt(m.Size, 10))
		w.WriteHeader(http.StatusOK)
		return nil
	}
	raw, err := remote.Fetch(r.Context(), a.Objects, m.CID, maxManifest)
	if errors.Is(err, cas.ErrNotFound) {
		return noManifest(t.reference)
	}
	if err != nil {
		return err
	}
	a.send(w, http.StatusOK, m.MediaType, raw)
	return nil
}

func (a *API) putManifest(w http.ResponseWriter, r *http.Request, t target) error {
	names, err := tagsOf(r, t.reference)
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxManifest+1))
	if err != nil {
		return &cas.SourceError{Err: err}
	}
	if len(raw) > maxManifest {
		return problemf(http.StatusRequestEntityTooLarge, codeSizeInvalid, "a manifest has at most %d bytes", maxManifest)
	}
	b, err := digestOf(raw, t.reference)
	if err != nil {
		return err
	}
	d, err := parseDocument(raw, r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	if err := a.checkParts(r, t, d); err != nil {
		return err
	}
	m, err := d.entry(b)
	if err != nil {
		return err
	}
	if err := a.put(r.Context(), b, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }); err != nil {
		return err
	}
	if err := a.Catalog.PutManifest(r.Context(), t.repository, m, names); err != nil {
		return err
	}
	if m.Subject != "" {
		w.Header().Set("OCI-Subject", m.Subject)
	}
	for _, tag := range r.URL.Query()["tag"] {
		w.Header().Add("OCI-Tag", tag)
	}
	return created(w, "/v2/"+t.repository+"/manifests/"+b.Digest, b.Digest)
}

// tagsOf returns the tags that a manifest is to have: its reference if that is one,
// and those in the query.
func tagsOf(r *http.Request, reference string) ([]string, error) {
	if err := checkReference(reference); err != nil {
		return nil, err
	}
	names := r.URL.Query()["tag"]
	if len(names) > maxTagParams {
		return nil, invalid("%d tags, at most %d at a time", len(names), maxTagParams)
	}
	for _, name := range names {
		if !IsTag(name) {
			return nil, invalid("%.150q is no tag", name)
		}
	}
	if !strings.Contains(reference, ":") {
		names = append(names[:len(names):len(names)], reference)
	}
	return names, nil
}

// digestOf returns the object of a manifest's bytes, under the digest that it is
// sent to or, if that is a tag, its sha256.
func digestOf(raw []byte, reference string) (b catalog.Blob, err error) {
	d := digest{}
	if strings.Contains(reference, ":") {
		if d, err = parseDigest(reference); err != nil {
			return b, err
		}
	}
	s := d.sums()
	if _, err := s.Write(raw); err != nil {
		return b, err
	}
	if d.text == "" {
		s.of.text = s.objectID().String()
	}
	b = catalog.Blob{Digest: s.of.text, Size: int64(len(raw))}
	b.CID, err = s.end()
	return b, err
}

// checkParts refuses a manifest that names what the repository does not show.
func (a *API) checkParts(r *http.Request, t target, d document) error {
	if a.Sparse {
		return nil
	}
	blobs, manifests := d.needs()
	missing, err := a.Catalog.Missing(r.Context(), t.repository, blobs, manifests)
	if err == nil && missing != "" {
		err = problemf(http.StatusBadRequest, codeManifestBlobUnknown, "the manifest names %s, which this repository does not have", missing)
	}
	return err
}

func (a *API) deleteManifest(w http.ResponseWriter, r *http.Request, t target) error {
	if err := checkReference(t.reference); err != nil {
		return err
	}
	remove := a.Catalog.DeleteTag
	if strings.Contains(t.reference, ":") {
		remove = a.Catalog.DeleteManifest
	}
	was, err := remove(r.Context(), t.repository, t.reference)
	if err != nil {
		return err
	}
	if !was {
		return noManifest(t.reference)
	}
	return sendNothing(w, http.StatusAccepted)
}
