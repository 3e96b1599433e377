// Package ociapi serves the OCI distribution API, version 1.1, over the objects of
// a registry (RFC-MYTHOS-0011 §5): a blob or manifest sha256:HEX is the object
// HEX, and is stored once, whether it came as a blob of one repository or several,
// as a manifest, under a sha512 digest too, or by the registry's own API. What a
// repository shows under which digest, its tags, and what refers to what is in a
// catalog.Catalog; uploads under way are there and in a staging.Area. Nothing of a
// request outlives it in this process, so several replicas over the same storage
// are one registry, and an upload may go on at any of them.
//
// Digests are sha256 and sha512. Removing a blob or manifest hides it in its
// repository; objects are for the registry's operator to collect, since packages
// may share them. An image whose config or layers the repository does not show is
// refused, and so is an index whose manifests it does not (Options.Sparse); layers
// that may not be distributed and the subject of a manifest may be missing.
package ociapi

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mythos-run/mythos/registry/ociapi/catalog"
	"github.com/mythos-run/mythos/registry/ociapi/staging"
	"github.com/mythos-run/mythos/runtime/remote"
)

// Defaults of Options.
const (
	defaultMaxBlob    = 5 << 30 // bytes
	defaultMaxUploads = 256
	defaultIdle       = time.Hour
	defaultChallenge  = `Basic realm="mythos"`
)

// Options is what the API works with.
type Options struct {
	Objects remote.Remote    // required
	Catalog catalog.Catalog  // required
	Staging staging.Area     // required
	Clock   func() time.Time // required

	// Authorise refuses a request that may not read or write; its error's code says
	// with which status (401 asks for credentials). nil: everybody may everything.
	Authorise func(r *http.Request, write bool) error
	// Challenge is the WWW-Authenticate of 401; "": Basic, which OCI clients answer
	// with what they have for this host, a token as the password.
	Challenge string

	MaxBlob    int64         // greatest size of a blob in bytes; 0: 5 GiB
	MaxUploads int           // uploads under way at a time; 0: 256
	Idle       time.Duration // after which an upload that nothing is added to is given up; 0: 1 h
	// Sparse takes images and indexes of which parts are missing.
	Sparse bool

	// Failed is told of errors that are the registry's own; may be nil.
	Failed func(r *http.Request, err error)
}

// API is an http.Handler for the paths below /v2/. It is safe for concurrent use.
type API struct {
	Options
	operations map[endpoint]map[string]operation
}

// operation serves one method of an endpoint.
type operation struct {
	serve func(http.ResponseWriter, *http.Request, target) error
	write bool
}

// New returns an API.
func New(o Options) *API {
	o.MaxBlob = cmp.Or(o.MaxBlob, defaultMaxBlob)
	o.MaxUploads = cmp.Or(o.MaxUploads, defaultMaxUploads)
	o.Idle = cmp.Or(o.Idle, defaultIdle)
	o.Challenge = cmp.Or(o.Challenge, defaultChallenge)
	a := &API{Options: o}
	if a.Authorise == nil {
		a.Authorise = func(*http.Request, bool) error { return nil }
	}
	a.operations = map[endpoint]map[string]operation{
		base:      {"GET": {a.ping, false}, "HEAD": {a.ping, false}},
		tags:      {"GET": {a.listTags, false}},
		referrers: {"GET": {a.listReferrers, false}},
		manifests: {
			"GET": {a.getManifest, false}, "HEAD": {a.getManifest, false},
			"PUT": {a.putManifest, true}, "DELETE": {a.deleteManifest, true},
		},
		blobs: {
			"GET": {a.getBlob, false}, "HEAD": {a.getBlob, false}, "DELETE": {a.deleteBlob, true},
		},
		uploads: {"POST": {a.startUpload, true}},
		upload: {
			"GET": {a.uploadStatus, true}, "PATCH": {a.patchUpload, true},
			"PUT": {a.putUpload, true}, "DELETE": {a.cancelUpload, true},
		},
	}
	return a
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := a.serve(w, r); err != nil {
		a.fail(w, r, err)
	}
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) error {
	e, t, ok := parsePath(r.URL.Path)
	if !ok {
		return problemf(http.StatusNotFound, codeUnsupported, "the distribution API has nothing at %.300q", r.URL.Path)
	}
	op, ok := a.operations[e][r.Method]
	if !ok {
		methods := make([]string, 0, len(a.operations[e]))
		for m := range a.operations[e] {
			methods = append(methods, m)
		}
		slices.Sort(methods)
		w.Header().Set("Allow", strings.Join(methods, ", "))
		return problemf(http.StatusMethodNotAllowed, codeUnsupported, "%.20q is not for this path", r.Method)
	}
	if err := a.Authorise(r, op.write); err != nil {
		return err
	}
	if e != base && !IsName(t.repository) {
		return problemf(http.StatusBadRequest, codeNameInvalid, "%.300q is no name of a repository", t.repository)
	}
	return op.serve(w, r, t)
}

// ping answers that the API is there. Clients ask for it to learn how to log in,
// so who shows nothing and may not write is asked for credentials, even if reading
// needs none.
func (a *API) ping(w http.ResponseWriter, r *http.Request, _ target) error {
	if r.Header.Get("Authorization") == "" {
		if err := a.Authorise(r, true); err != nil && statusOf(err) == http.StatusUnauthorized {
			return err
		}
	}
	a.send(w, http.StatusOK, "application/json", []byte("{}\n"))
	return nil
}
