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
)

// right is what a request needs.
type right string

const (
	read    right = "read"
	write   right = "write"   // objects and attestations
	publish right = "publish" // names, of which a token holds some
)

// Access says who may do what (RFC-MYTHOS-0011 §4.2).
type Access struct {
	// Private: reading needs a token with the right "read" too.
	Private bool
	// Open: requests from a loopback address may do everything. The service must
	// listen on such an address and on no other.
	Open   bool
	Tokens []Token
}

// Token is what a registry knows of a token.
type Token struct {
	Name   string   // for people
	SHA256 cid.Hash // of the token's text
	// Rights are "read", "write" and "publish:PREFIX"; "publish:" is for all names.
	Rights []string
}

// allows refuses a request that does not show the right that it needs.
func (a *Access) allows(r *http.Request, needs right, _ time.Time) error {
	if needs == read && !a.Private || a.Open && loopback(r.RemoteAddr) {
		return nil
	}
	scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || credentials == "" {
		return fault.New(ErrAccess, "this needs a token")
	}
	token := a.token(credentials)
	switch {
	case token == nil:
		return fault.New(ErrAccess, "the registry does not know this token")
	case !token.has(needs, r):
		return fault.New(ErrForbidden, "token %q does not have the right to %s", token.Name, needs)
	}
	return nil
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
			prefix, ok := strings.CutPrefix(s, "publish:")
			return ok && strings.HasPrefix(name, prefix)
		})
	}
	return slices.Contains(t.Rights, string(needs))
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}
