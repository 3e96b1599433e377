package ociapi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	maxTags      = 10_000  // of one answer
	maxReferrers = 1000    // of one answer
	maxIndex     = 3 << 20 // bytes of one answer, after which it is continued
)

func (a *API) listTags(w http.ResponseWriter, r *http.Request, t target) error {
	q := r.URL.Query()
	limit := maxTags
	if q.Has("n") {
		n, err := strconv.ParseUint(q.Get("n"), 10, 31)
		if err != nil {
			return problemf(http.StatusBadRequest, codeUnsupported, "n is %.40q, not a number", q.Get("n"))
		}
		limit = min(int(n), maxTags)
	}
	if err := checkQuery(q, "last"); err != nil {
		return err
	}
	list, ok, err := a.Catalog.Tags(r.Context(), t.repository, q.Get("last"), limit+1)
	if err != nil {
		return err
	}
	if !ok {
		return problemf(http.StatusNotFound, codeNameUnknown, "there is no repository %s", t.repository)
	}
	if len(list) > limit {
		if list = list[:limit]; limit > 0 {
			next(w, t, "tags/list", url.Values{"n": {strconv.Itoa(limit)}, "last": {list[limit-1]}})
		}
	}
	a.sendJSON(w, http.StatusOK, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{t.repository, append([]string{}, list...)})
	return nil
}

func checkQuery(q url.Values, names ...string) error {
	for _, name := range names {
		if !isPrintable(q.Get(name)) {
			return problemf(http.StatusBadRequest, codeUnsupported, "%s is %.100q", name, q.Get(name))
		}
	}
	return nil
}

// next says where a list goes on.
func next(w http.ResponseWriter, t target, path string, q url.Values) {
	w.Header().Set("Link", "</v2/"+t.repository+"/"+path+"?"+q.Encode()+`>; rel="next"`)
}

// reference is a manifest in a list of referrers.
type reference struct {
	MediaType    string          `json:"mediaType"`
	Digest       string          `json:"digest"`
	Size         int64           `json:"size"`
	ArtifactType string          `json:"artifactType,omitempty"`
	Annotations  json.RawMessage `json:"annotations,omitempty"`
}

func (a *API) listReferrers(w http.ResponseWriter, r *http.Request, t target) error {
	d, err := parseDigest(t.reference)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	if err := checkQuery(q, "last", "artifactType"); err != nil {
		return err
	}
	kind := q.Get("artifactType")
	list, size := []reference{}, 0
	for m, err := range a.Catalog.Referrers(r.Context(), t.repository, d.text, kind, q.Get("last")) {
		if err != nil {
			return err
		}
		if len(list) == maxReferrers || len(list) > 0 && size+len(m.Annotations) > maxIndex {
			on := url.Values{"last": {list[len(list)-1].Digest}}
			if kind != "" {
				on.Set("artifactType", kind)
			}
			next(w, t, "referrers/"+d.text, on)
			break
		}
		list = append(list, reference{m.MediaType, m.Digest, m.Size, m.ArtifactType, json.RawMessage(m.Annotations)})
		size += len(m.Annotations)
	}
	if kind != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	a.sendJSON(w, http.StatusOK, v1.MediaTypeImageIndex, struct {
		SchemaVersion int         `json:"schemaVersion"`
		MediaType     string      `json:"mediaType"`
		Manifests     []reference `json:"manifests"`
	}{2, v1.MediaTypeImageIndex, list})
	return nil
}
