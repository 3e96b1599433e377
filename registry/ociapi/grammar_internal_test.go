package ociapi

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// The grammars of the spec, as it writes them.
var (
	nameGrammar   = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagGrammar    = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	digestGrammar = regexp.MustCompile(`^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`)
	chunkGrammar  = regexp.MustCompile(`^[0-9]+-[0-9]+$`)
)

// checkGrammar compares the parsers with the grammars of the spec.
func checkGrammar(t *testing.T, text string) {
	t.Helper()
	if strings.HasSuffix(text, "\n") {
		return // $ takes one
	}
	if got, want := IsName(text), len(text) <= 255 && nameGrammar.MatchString(text); got != want {
		t.Errorf("name %q: %t", text, got)
	}
	if got, want := IsTag(text), tagGrammar.MatchString(text); got != want {
		t.Errorf("tag %q: %t", text, got)
	}
	d, err := parseDigest(text)
	if got, want := err == nil, digestGrammar.MatchString(text); got != want || got && d.text != text {
		t.Errorf("digest %q: %v", text, err)
	}
	if start, length, ok := chunkRange(text); ok && (!chunkGrammar.MatchString(text) || start < 0 || length <= 0) {
		t.Errorf("chunk %q: %d, %d", text, start, length)
	}
	for _, size := range []int64{0, 1, 100} {
		off, n, status := byteRange("bytes="+text, size)
		if off < 0 || n < 0 || off+n > size || (status == 206) != (n > 0 && status != 200) || status == 200 && n != size {
			t.Errorf("range %q of %d: %d, %d, %d", text, size, off, n, status)
		}
	}
	if e, target, ok := parsePath("/v2/" + text); ok && e != base {
		if path := pathOf(e, target); path != "/v2/"+text && path != "/v2/"+text+"/" {
			t.Errorf("path %q is %v %q: %q", text, e, target, path)
		}
	}
}

// pathOf writes what parsePath reads.
func pathOf(e endpoint, t target) string {
	form := map[endpoint]string{
		tags: "/tags/list", manifests: "/manifests/%s", blobs: "/blobs/%s", uploads: "/blobs/uploads/", upload: "/blobs/uploads/%s", referrers: "/referrers/%s",
	}[e]
	if strings.Contains(form, "%s") {
		form = fmt.Sprintf(form, t.reference)
	}
	return "/v2/" + t.repository + form
}

var grammarSeeds = []string{
	"", "a", "A", "a/b", "a//b", "/a", "a/", "a.b", "a..b", "a_b", "a__b", "a___b", "a-b", "a---b", "a-_b", "a.-b", "-a", "a-", "a.", "_a",
	"a/b_c/d--e", "ä", "a b", "latest", "v1.0.0", ".x", "-x", "_x", "x\n", strings.Repeat("a", 128), strings.Repeat("a", 129), strings.Repeat("a", 255), strings.Repeat("a", 256),
	"sha256:" + strings.Repeat("0f", 32), "sha512:" + strings.Repeat("0f", 64), "sha256:" + strings.Repeat("0F", 32), "sha256:" + strings.Repeat("0f", 64), "sha512:" + strings.Repeat("0f", 32),
	"sha256:", ":", "sha384:" + strings.Repeat("0f", 48), "sha256:" + strings.Repeat("0f", 31) + "0", "0-0", "5-9", "9-5", "-5", "5-", "-", "0-9223372036854775807", "+1-2", "1-2,3-4",
	"99999999999999999999-", "a/tags/list", "a/manifests/x", "a/blobs/x", "a/blobs/uploads", "a/blobs/uploads/", "a/blobs/uploads/x", "a/referrers/x", "tags/list", "/blobs/uploads/",
	"a/blobs/uploads/blobs/uploads/", "a/manifests/", "manifests/x",
}

func TestGrammar(t *testing.T) {
	for _, text := range grammarSeeds {
		checkGrammar(t, text)
	}
}

func FuzzGrammar(f *testing.F) {
	for _, text := range grammarSeeds {
		f.Add(text)
	}
	f.Fuzz(checkGrammar)
}

// FuzzDocument reads any manifest: what is taken names digests only, each once for
// each time that it stands there.
func FuzzDocument(f *testing.F) {
	digest := "sha256:" + strings.Repeat("0f", 32)
	for _, text := range []string{
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"digest":"` + digest + `"},"layers":[{"digest":"` + digest + `","size":3}]}`,
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"digest":"` + digest + `"}],"subject":{"digest":"` + digest + `"},"annotations":{"a":"b"}}`,
		`{"schemaVersion":1}`, `[]`, `{"schemaVersion":2,"config":{"digest":""}}`, "{", "",
	} {
		f.Add([]byte(text), "")
		f.Add([]byte(text), "application/vnd.oci.image.manifest.v1+json; a=b")
	}
	f.Fuzz(func(t *testing.T, raw []byte, media string) {
		d, err := parseDocument(raw, media)
		if err != nil {
			return
		}
		blobs, manifests := d.needs()
		if len(blobs) > 1+len(d.Layers) || len(manifests) != len(d.Manifests) || len(blobs) > 0 && len(manifests) > 0 {
			t.Errorf("%q needs %v and %v", raw, blobs, manifests)
		}
		for _, text := range append(blobs, manifests...) {
			if !digestGrammar.MatchString(text) {
				t.Errorf("%q needs %q", raw, text)
			}
		}
	})
}
