package ociapi_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/registry/ociapi"
)

const (
	typeImage = "application/vnd.oci.image.manifest.v1+json"
	typeIndex = "application/vnd.oci.image.index.v1+json"
)

type object map[string]any

func named(digest string) object {
	return object{"mediaType": "application/x", "digest": digest, "size": 1}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// image returns an image whose config the repository has, changed by pairs of
// members.
func (p *place) image(t *testing.T, repository string, change ...any) []byte {
	t.Helper()
	m := object{"schemaVersion": 2, "mediaType": typeImage, "config": named(p.blob(t, repository, []byte("{}"))), "layers": []object{}}
	for i := 0; i+1 < len(change); i += 2 {
		m[change[i].(string)] = change[i+1]
	}
	return encode(t, m)
}

func (p *place) push(t *testing.T, path, media string, raw []byte, status int, code string) {
	t.Helper()
	p.do(t, ask{"PUT", path, raw, []string{"Content-Type", media}, status, code})
}

func TestManifests(t *testing.T) {
	p := open(t, nil)
	raw := p.image(t, "r")
	p.push(t, "/v2/r/manifests/latest", typeImage, raw, 201, "")
	p.push(t, "/v2/r/manifests/"+digest512(raw), typeImage, raw, 201, "")
	for _, reference := range []string{"latest", digest(raw), digest512(raw)} {
		resp, got := p.do(t, ask{"GET", "/v2/r/manifests/" + reference, nil, nil, 200, ""})
		if !slices.Equal(got, raw) || resp.Header.Get("Content-Type") != typeImage {
			t.Errorf("%s: %s %v", reference, got, resp.Header)
		}
		resp, _ = p.do(t, ask{"HEAD", "/v2/r/manifests/" + reference, nil, nil, 200, ""})
		if resp.ContentLength != int64(len(raw)) || resp.Header.Get("Docker-Content-Digest") == "" {
			t.Errorf("HEAD %s: %v", reference, resp.Header)
		}
	}
	p.do(t, ask{"GET", "/v2/r/manifests/latest", nil, []string{"If-None-Match", `"` + digest(raw) + `"`}, 304, ""})
	p.do(t, ask{"GET", "/v2/q/manifests/latest", nil, nil, 404, "MANIFEST_UNKNOWN"})

	other := p.image(t, "r", "annotations", object{"a": "b"})
	p.push(t, "/v2/r/manifests/latest", typeImage, other, 201, "")
	if _, got := p.do(t, ask{"GET", "/v2/r/manifests/latest", nil, nil, 200, ""}); !slices.Equal(got, other) {
		t.Errorf("the tag did not move: %s", got)
	}
	p.do(t, ask{"DELETE", "/v2/r/manifests/latest", nil, nil, 202, ""})
	p.do(t, ask{"HEAD", "/v2/r/manifests/latest", nil, nil, 404, ""})
	p.do(t, ask{"HEAD", "/v2/r/manifests/" + digest(other), nil, nil, 200, ""})
	p.push(t, "/v2/r/manifests/1?tag=2&tag=3", typeImage, raw, 201, "")
	p.do(t, ask{"DELETE", "/v2/r/manifests/" + digest(raw), nil, nil, 202, ""})
	for _, gone := range []string{"1", "2", "3", digest(raw)} {
		p.do(t, ask{"HEAD", "/v2/r/manifests/" + gone, nil, nil, 404, ""})
	}
	p.do(t, ask{"HEAD", "/v2/r/manifests/" + digest512(raw), nil, nil, 200, ""})

	p.push(t, "/v2/r/manifests/"+digest(raw), typeImage, other, 400, "DIGEST_INVALID")
	p.push(t, "/v2/r/manifests/sha256:x", typeImage, raw, 400, "DIGEST_INVALID")
	p.push(t, "/v2/r/manifests/x?tag=-", typeImage, raw, 400, "MANIFEST_INVALID")
	p.push(t, "/v2/r/manifests/x?"+strings.Repeat("tag=x&", 101), typeImage, raw, 400, "MANIFEST_INVALID")
	p.push(t, "/v2/r/manifests/x", typeImage, make([]byte, 4<<20+1), 413, "SIZE_INVALID")
	p.do(t, ask{"HEAD", "/v2/r/manifests/x", nil, nil, 404, ""})
}

func TestMalformedManifests(t *testing.T) {
	p := open(t, nil)
	missing := digest([]byte("missing"))
	blob := p.blob(t, "r", []byte("a layer"))
	foreign := object{"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "digest": missing, "size": 1}
	many := make([]object, 10_001)
	for i := range many {
		many[i] = named(blob)
	}
	for name, c := range map[string]struct {
		media  string
		raw    []byte
		status int
		code   string
	}{
		"whole":              {typeImage, p.image(t, "r", "layers", []object{named(blob), foreign}), 201, ""},
		"no content type":    {"", p.image(t, "r"), 201, ""},
		"no media type":      {typeImage, p.image(t, "r", "mediaType", ""), 201, ""},
		"parameters":         {typeImage + "; charset=utf-8", p.image(t, "r"), 201, ""},
		"missing subject":    {typeImage, p.image(t, "r", "subject", named(missing)), 201, ""},
		"empty index":        {typeIndex, []byte(`{"schemaVersion":2,"manifests":[]}`), 201, ""},
		"missing layer":      {typeImage, p.image(t, "r", "layers", []object{named(missing)}), 400, "MANIFEST_BLOB_UNKNOWN"},
		"missing config":     {typeImage, p.image(t, "r", "config", named(missing)), 400, "MANIFEST_BLOB_UNKNOWN"},
		"missing manifest":   {typeIndex, encode(t, object{"schemaVersion": 2, "manifests": []object{named(missing)}}), 400, "MANIFEST_BLOB_UNKNOWN"},
		"blob for manifest":  {typeIndex, encode(t, object{"schemaVersion": 2, "manifests": []object{named(blob)}}), 400, "MANIFEST_BLOB_UNKNOWN"},
		"no json":            {typeImage, []byte("{"), 400, "MANIFEST_INVALID"},
		"more than json":     {typeImage, append(p.image(t, "r"), '{'), 400, "MANIFEST_INVALID"},
		"a list":             {typeImage, []byte("[]"), 400, "MANIFEST_INVALID"},
		"empty":              {typeImage, nil, 400, "MANIFEST_INVALID"},
		"version 1":          {typeImage, p.image(t, "r", "schemaVersion", 1), 400, "MANIFEST_INVALID"},
		"another type":       {"text/plain", p.image(t, "r", "mediaType", "text/plain"), 400, "MANIFEST_INVALID"},
		"two types":          {typeIndex, p.image(t, "r"), 400, "MANIFEST_INVALID"},
		"no type":            {"/;", p.image(t, "r"), 400, "MANIFEST_INVALID"},
		"image and index":    {typeImage, p.image(t, "r", "manifests", []object{}), 400, "MANIFEST_INVALID"},
		"index and image":    {typeIndex, p.image(t, "r", "mediaType", typeIndex), 400, "MANIFEST_INVALID"},
		"no config":          {typeImage, p.image(t, "r", "config", nil), 400, "MANIFEST_INVALID"},
		"bad layer":          {typeImage, p.image(t, "r", "layers", []object{named("sha256:0")}), 400, "MANIFEST_INVALID"},
		"bad subject":        {typeImage, p.image(t, "r", "subject", named("x")), 400, "MANIFEST_INVALID"},
		"negative size":      {typeImage, p.image(t, "r", "config", object{"digest": blob, "size": -1}), 400, "MANIFEST_INVALID"},
		"too many layers":    {typeImage, p.image(t, "r", "layers", many), 400, "MANIFEST_INVALID"},
		"bad artifact type":  {typeImage, p.image(t, "r", "artifactType", "a\x00b"), 400, "MANIFEST_INVALID"},
		"annotations a list": {typeImage, p.image(t, "r", "annotations", []string{}), 400, "MANIFEST_INVALID"},
	} {
		t.Run(name, func(t *testing.T) { p.push(t, "/v2/r/manifests/"+digest(c.raw), c.media, c.raw, c.status, c.code) })
	}
	sparse := open(t, func(o *ociapi.Options) { o.Sparse = true })
	sparse.push(t, "/v2/r/manifests/1", typeImage, sparse.image(t, "r", "layers", []object{named(missing)}), 201, "")
}

// page is a list of tags or referrers.
type page struct {
	Name          string
	Tags          []string
	SchemaVersion int
	MediaType     string
	Manifests     []struct {
		MediaType, Digest, ArtifactType string
		Size                            int64
		Annotations                     map[string]string
	}
}

// list asks for a list; next is where it goes on.
func (p *place) list(t *testing.T, path string) (l page, next, filters string) {
	t.Helper()
	resp, raw := p.do(t, ask{"GET", path, nil, nil, 200, ""})
	if err := json.Unmarshal(raw, &l); err != nil {
		t.Fatal(err)
	}
	link := resp.Header.Get("Link")
	next, _, _ = strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if link != "" && link != "<"+next+`>; rel="next"` {
		t.Errorf("Link: %s", link)
	}
	return l, next, resp.Header.Get("OCI-Filters-Applied")
}

func TestTags(t *testing.T) {
	p := open(t, nil)
	want := []string{"A", "a", "b", "c", "v1", "v10", "v2"}
	p.push(t, "/v2/r/manifests/A?tag="+strings.Join(want, "&tag="), typeImage, p.image(t, "r"), 201, "")
	for n := 1; n <= len(want); n++ {
		var got []string
		for path := fmt.Sprintf("/v2/r/tags/list?n=%d", n); path != ""; {
			l, next, _ := p.list(t, path)
			if path = next; len(l.Tags) > n || l.Name != "r" {
				t.Errorf("n=%d: %v", n, l)
			}
			got = append(got, l.Tags...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("n=%d: %v", n, got)
		}
	}
	for query, wanted := range map[string][]string{"": want, "?last=c": want[4:], "?last=z": {}, "?n=0": {}, "?n=2&last=a": want[2:4], "?n=2000000000": want} {
		if l, _, _ := p.list(t, "/v2/r/tags/list"+query); !slices.Equal(l.Tags, wanted) || l.Tags == nil {
			t.Errorf("%q: %v", query, l.Tags)
		}
	}
	p.do(t, ask{"GET", "/v2/r/tags/list?last=%00", nil, nil, 400, "UNSUPPORTED"})
	p.do(t, ask{"GET", "/v2/r/referrers/" + digest(nil) + "?last=%ff", nil, nil, 400, "UNSUPPORTED"})
	p.do(t, ask{"GET", "/v2/r/referrers/" + digest(nil) + "?artifactType=a%0ab", nil, nil, 400, "UNSUPPORTED"})
	p.do(t, ask{"GET", "/v2/r/blobs/uploads/%00", nil, nil, 404, "BLOB_UPLOAD_UNKNOWN"})
	for _, n := range []string{"x", "-1", "", "99999999999999"} {
		p.do(t, ask{"GET", "/v2/r/tags/list?n=" + n, nil, nil, 400, "UNSUPPORTED"})
	}
}

func TestReferrers(t *testing.T) {
	p := open(t, nil)
	subject := p.image(t, "r")
	d := digest(subject)
	big := strings.Repeat("x", 1<<20)
	want := map[string]string{}
	for i := range 5 { // before the subject
		raw := p.image(t, "r", "subject", named(d), "artifactType", fmt.Sprint("application/", i%2), "annotations", object{"n": fmt.Sprint(i), "big": big})
		resp, _ := p.do(t, ask{"PUT", "/v2/r/manifests/" + digest(raw), raw, []string{"Content-Type", typeImage}, 201, ""})
		if got := resp.Header.Get("OCI-Subject"); got != d {
			t.Errorf("OCI-Subject: %q", got)
		}
		want[digest(raw)] = fmt.Sprint(i)
	}
	index := encode(t, object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []object{}, "subject": named(d)})
	p.push(t, "/v2/r/manifests/"+digest(index), typeIndex, index, 201, "")
	want[digest(index)] = ""
	image := p.image(t, "r", "subject", named(d))
	p.push(t, "/v2/r/manifests/"+digest(image), typeImage, image, 201, "")
	want[digest(image)] = ""
	p.push(t, "/v2/r/manifests/1", typeImage, subject, 201, "")

	collect := func(path string) (got map[string]string, pages int) {
		got = map[string]string{}
		for path != "" {
			l, next, _ := p.list(t, path)
			if l.SchemaVersion != 2 || l.MediaType != typeIndex {
				t.Errorf("%+v", l)
			}
			for _, m := range l.Manifests {
				got[m.Digest] = m.Annotations["n"]
				if m.Digest == digest(image) && m.ArtifactType != "application/x" || m.Digest == digest(index) && (m.ArtifactType != "" || m.MediaType != typeIndex) {
					t.Errorf("%+v", m)
				}
			}
			path, pages = next, pages+1
		}
		return got, pages
	}
	if got, pages := collect("/v2/r/referrers/" + d); fmt.Sprint(got) != fmt.Sprint(want) || pages < 2 {
		t.Errorf("%v in %d pages", got, pages)
	}
	kind := url.QueryEscape("application/1")
	if got, _ := collect("/v2/r/referrers/" + d + "?artifactType=" + kind); len(got) != 2 {
		t.Errorf("of a type: %v", got)
	}
	if _, _, filters := p.list(t, "/v2/r/referrers/"+d+"?artifactType="+kind); filters != "artifactType" {
		t.Errorf("OCI-Filters-Applied: %q", filters)
	}
	if l, _, filters := p.list(t, "/v2/q/referrers/"+d); len(l.Manifests) != 0 || l.Manifests == nil || filters != "" {
		t.Errorf("of another repository: %+v %q", l, filters)
	}
	p.do(t, ask{"DELETE", "/v2/r/manifests/" + digest(index), nil, nil, 202, ""})
	if got, _ := collect("/v2/r/referrers/" + d); len(got) != len(want)-1 {
		t.Errorf("after one was deleted: %v", got)
	}
}
