package ociapi

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"net/http"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

const (
	maxName = 255 // bytes of a repository's name
	maxTag  = 128
)

// endpoint is a path of the API without its parameters.
type endpoint int

const (
	base      endpoint = iota // /v2/
	tags                      // /v2/NAME/tags/list
	manifests                 // /v2/NAME/manifests/REFERENCE
	blobs                     // /v2/NAME/blobs/DIGEST
	uploads                   // /v2/NAME/blobs/uploads/
	upload                    // /v2/NAME/blobs/uploads/ID
	referrers                 // /v2/NAME/referrers/DIGEST
)

// target is what a path names.
type target struct {
	repository string
	reference  string // a tag, a digest, or the id of an upload
}

// parsePath splits a path from its end, since a repository's name may hold any of
// the words. It does not look into the parts.
func parsePath(path string) (e endpoint, t target, ok bool) {
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok || rest == "" {
		return base, t, ok || path == "/v2"
	}
	if name, ok := strings.CutSuffix(rest, "/tags/list"); ok {
		return tags, target{name, ""}, true
	}
	for _, end := range []string{"/blobs/uploads/", "/blobs/uploads"} {
		if name, ok := strings.CutSuffix(rest, end); ok {
			return uploads, target{name, ""}, true
		}
	}
	slash := strings.LastIndexByte(rest, '/')
	if slash < 0 || slash == len(rest)-1 {
		return base, t, false
	}
	front, last := rest[:slash], rest[slash+1:]
	for _, known := range []struct {
		word string
		e    endpoint
	}{{"/blobs/uploads", upload}, {"/manifests", manifests}, {"/blobs", blobs}, {"/referrers", referrers}} {
		if name, ok := strings.CutSuffix(front, known.word); ok {
			return known.e, target{name, last}, true
		}
	}
	return base, t, false
}

// IsName reports whether a text is the name of a repository: components of
// [a-z0-9]+ joined by ".", "_", "__" or hyphens, and slashes between them.
func IsName(text string) bool {
	if text == "" || len(text) > maxName {
		return false
	}
	for component := range strings.SplitSeq(text, "/") {
		if !isComponent(component) {
			return false
		}
	}
	return true
}

func isComponent(s string) bool {
	joint := true // at the beginning, as after a joint, an alphanumeric must follow
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			joint = false
			continue
		case joint:
			return false
		case c == '_' && strings.HasPrefix(s[i:], "__"):
			i++
		case c == '-':
			for i+1 < len(s) && s[i+1] == '-' {
				i++
			}
		case c != '.' && c != '_':
			return false
		}
		joint = true
	}
	return !joint
}

// IsTag reports whether a text is a tag: [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}.
func IsTag(text string) bool {
	for i := range len(text) {
		c := text[i]
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
		if !word && (i == 0 || c != '.' && c != '-') {
			return false
		}
	}
	return text != "" && len(text) <= maxTag
}

// isPrintable reports whether a text is short and of printable ASCII, as all that a
// catalog is asked for must be.
func isPrintable(text string) bool {
	return len(text) <= maxName && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// digest is one of an algorithm that this registry computes.
type digest struct {
	text   string // ALGORITHM:HEX
	sha512 bool
}

// parseDigest reads sha256: and 64, or sha512: and 128 lowercase hex digits.
func parseDigest(text string) (digest, error) {
	algorithm, value, _ := strings.Cut(text, ":")
	d := digest{text, algorithm == "sha512"}
	size := sha256.Size
	if d.sha512 {
		size = sha512.Size
	}
	raw, err := hex.DecodeString(value)
	if err != nil || len(raw) != size || hex.EncodeToString(raw) != value || algorithm != "sha256" && !d.sha512 {
		return digest{}, problemf(http.StatusBadRequest, codeDigestInvalid, "%.150q is no digest: sha256 or sha512, a colon and lowercase hex", text)
	}
	return d, nil
}

// cid returns the object of a sha256 digest, and whether it is one.
func (d digest) cid() (id cid.Hash, ok bool) {
	if d.sha512 {
		return id, false
	}
	id, err := cid.Parse(d.text)
	return id, err == nil
}

// sums hashes what is written to it as this digest does and as objects are.
func (d digest) sums() *sums {
	s := &sums{of: d, object: sha256.New()}
	if d.sha512 {
		s.other = sha512.New()
	}
	return s
}

type sums struct {
	of            digest
	object, other hash.Hash
	size          int64
}

func (s *sums) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	if s.other != nil {
		s.other.Write(p)
	}
	return s.object.Write(p)
}

func (s *sums) objectID() cid.Hash { return cid.Hash(s.object.Sum(nil)) }

// end returns the object's id, or an error if the bytes do not have the digest.
func (s *sums) end() (cid.Hash, error) {
	id := s.objectID()
	got := id.String()
	if s.other != nil {
		got = "sha512:" + hex.EncodeToString(s.other.Sum(nil))
	}
	if got != s.of.text {
		return id, problemf(http.StatusBadRequest, codeDigestInvalid, "the %d bytes have the digest %s", s.size, got)
	}
	return id, nil
}

// byteRange reads a Range header of one range over size bytes. Several ranges, or
// what is none in bytes, count for nothing, as RFC 9110 has it; a range that the
// blob does not have is 416.
func byteRange(header string, size int64) (off, n int64, status int) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(strings.TrimSpace(spec), "-")
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
	case err1 == nil && err2 == nil:
		off, n = int64(from), min(int64(to), size-1)-int64(from)+1
	default:
		return 0, size, http.StatusOK
	}
	if n <= 0 {
		return 0, 0, http.StatusRequestedRangeNotSatisfiable
	}
	return off, n, http.StatusPartialContent
}

// chunkRange reads the Content-Range of a chunk, FIRST-LAST, as its beginning and
// length.
func chunkRange(header string) (start, length int64, ok bool) {
	first, last, dash := strings.Cut(header, "-")
	from, err1 := strconv.ParseUint(first, 10, 62)
	to, err2 := strconv.ParseUint(last, 10, 62)
	if !dash || err1 != nil || err2 != nil || to < from {
		return 0, 0, false
	}
	return int64(from), int64(to-from) + 1, true
}
