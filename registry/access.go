package registry

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

// right is what a request needs.
type right string

const (
	read    right = "read"
	write   right = "write"   // objects, attestations and OCI
	publish right = "publish" // names, of which a token holds some
)

const publishPrefix = string(publish) + ":"

// Access says who may do what (RFC-MYTHOS-0011 §4.2).
type Access struct {
	// Private: reading needs a token with the right "read" too.
	Private bool
	// Open: requests from a loopback address to one, or to localhost, may do everything,
	// unless a browser sends them for a page of another place. The service must
	// listen on such an address and on no other.
	Open   bool
	Tokens []Token
	Proofs *Proofs // nil: capability proofs do not count
}

// Token is what a registry knows of a token.
type Token struct {
	Name   string   // for people
	SHA256 cid.Hash // of the token's text
	// Rights are "read", "write" and "publish:PREFIX"; "publish:" is for all names.
	Rights []string
}

// CheckRight refuses what is no right of a token.
func CheckRight(text string) error {
	prefix, ok := strings.CutPrefix(text, publishPrefix)
	switch {
	case text == string(read), text == string(write):
		return nil
	case ok && (prefix == "" || manifest.CheckName(strings.TrimSuffix(prefix, "/"))):
		return nil
	}
	return fault.New(ErrToken, "%q is no right: read, write, or publish: and the beginning of names, as in publish:demo/", text)
}

// allows refuses a request that does not show the right that it needs, and says
// who asked.
func (a *Access) allows(r *http.Request, needs right, now time.Time) (who string, err error) {
	if needs == read && !a.Private || a.Open && local(r) {
		return "", nil
	}
	scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case credentials == "":
	case strings.EqualFold(scheme, "Bearer"):
		return a.allowsToken(credentials, r, needs)
	case strings.EqualFold(scheme, "Basic") && strings.HasPrefix(r.URL.Path, ociPath):
		_, password, _ := r.BasicAuth()
		return a.allowsToken(password, r, needs)
	case strings.EqualFold(scheme, proofScheme) && a.Proofs != nil:
		return a.Proofs.allows(credentials, r, needs, now)
	}
	return "", fault.New(ErrAccess, "this needs a token")
}

func (a *Access) allowsToken(text string, r *http.Request, needs right) (string, error) {
	token := a.token(text)
	switch {
	case token == nil:
		return "", fault.New(ErrAccess, "the registry does not know this token")
	case !token.has(needs, r):
		return token.Name, fault.New(ErrForbidden, "token %q does not have the right to %s", token.Name, needs)
	}
	return token.Name, nil
}

// token finds a token. Every one is compared, in constant time, so that the time
// it takes tells nothing.
func (a *Access) token(text string) (found *Token) {
	sum := sha256.Sum256([]byte(text))
	for i := range a.Tokens {
		if subtle.ConstantTimeCompare(sum[:], a.Tokens[i].SHA256[:]) == 1 {
			found = &a.Tokens[i]
		}
	}
	return found
}

// has reports whether a token has a right; who may write may read.
func (t *Token) has(needs right, r *http.Request) bool {
	switch needs {
	case read:
		return len(t.Rights) > 0
	case publish:
		name, _, _ := cutVersion(r.PathValue("path"))
		return slices.ContainsFunc(t.Rights, func(s string) bool {
			prefix, ok := strings.CutPrefix(s, publishPrefix)
			return ok && strings.HasPrefix(name, prefix)
		})
	}
	return slices.Contains(t.Rights, string(needs))
}

// local reports whether a request comes from this machine and means it: not from a
// page of another site in a browser, nor by a name that somebody let point here.
func local(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return loopback(r.RemoteAddr) && r.Header.Get("Origin") == "" && (host == "localhost" || ip != nil && ip.IsLoopback())
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}
