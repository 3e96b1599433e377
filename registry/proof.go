package registry

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

const (
	proofScheme = "Mythos" // of the header Authorization

	maxRequest = 4 << 10         // bytes of a RegistryRequest
	maxAge     = 5 * time.Minute // of one, and how far ahead its clock may be
)

// ProofMedia is what a proof must allow to be written: objects have no other
// media type.
const ProofMedia = "application/octet-stream"

// Proofs says whose capability proofs count (RFC-MYTHOS-0011 §4.2).
type Proofs struct {
	// Audiences are the origins of this registry, such as https://registry.example;
	// the namespace of a BlobWrite scope is one of them too.
	Audiences []string
	// Use returns what a use is judged by at a time: who is an authority, for packages
	// of a name if it is not empty, and the revocation lists. It is asked for every
	// request, so that what it returns is what counts now.
	Use func(name string, at time.Time) (caps.Use, error)
}

// allows judges the credentials of an Authorization header: what is asked for is
// this very request, lately, by the subject of a chain that allows it.
func (p *Proofs) allows(credentials string, r *http.Request, needs right, now time.Time) (who string, err error) {
	chain, asked, err := openProof(credentials)
	if err != nil {
		return "", err
	}
	who = "key " + asked.Signer.KeyID().Hex()[:12]
	if err := p.fits(asked, r, now); err != nil {
		return who, err
	}
	wanted, name, err := wantedBy(asked, r, needs)
	if err != nil {
		return who, err
	}
	use, err := p.Use(name, now)
	if err != nil {
		return who, fault.New(cas.ErrUnavailable, "the trust of this registry: %w", err)
	}
	use.Request, use.Subject, use.Now = wanted, asked.Signer, now.UnixMicro()
	if _, err = chain.Check(use); err != nil {
		return who, err
	}
	// At the end: a body is read for those who may send one.
	sum, err := bodyHash(r)
	if err == nil && sum != asked.BodyHash {
		err = fault.New(ErrProof, "the proof is for another body")
	}
	return who, err
}

// openProof reads PROOF.REQUEST and verifies the signature of the request.
func openProof(credentials string) (*caps.Chain, *caps.RegistryRequest, error) {
	first, second, _ := strings.Cut(credentials, ".")
	strict := base64.RawURLEncoding.Strict()
	proof, err1 := strict.DecodeString(first)
	raw, err2 := strict.DecodeString(second)
	if err1 != nil || err2 != nil || len(raw) > maxRequest {
		return nil, nil, fault.New(ErrAccess, "the credentials are not PROOF.REQUEST, each in base64url without padding")
	}
	chain, err := caps.DecodeProof(proof)
	if err != nil {
		return nil, nil, err
	}
	asked := new(caps.RegistryRequest)
	if _, err := sig.Open(raw, asked); err != nil {
		return nil, nil, err
	}
	return chain, asked, nil
}

// fits refuses a signed request that is not this one, its body aside.
func (p *Proofs) fits(asked *caps.RegistryRequest, r *http.Request, now time.Time) error {
	age := now.Sub(time.UnixMicro(asked.Time))
	switch {
	case !slices.Contains(p.Audiences, asked.Audience):
		return fault.New(ErrProof, "the proof is for %.100q, not for this registry", asked.Audience)
	case asked.Method != r.Method || asked.Path != r.URL.EscapedPath():
		return fault.New(ErrProof, "the proof is for %.10s %.200q", asked.Method, asked.Path)
	case age > maxAge || age < -maxAge:
		return fault.New(ErrProof, "the proof was made at %s, it is %s here", stamp(time.UnixMicro(asked.Time)), stamp(now))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// bodyHash returns what body_hash must be: the CID of an object, whose bytes are
// checked when they are stored, else the hash of the body, which it reads.
func bodyHash(r *http.Request) (cid.Hash, error) {
	if id := r.PathValue("cid"); id != "" {
		return parseCID(id)
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxNameBody+1))
	if err != nil {
		return cid.Hash{}, fault.New(ErrRequest, "read the body: %w", err)
	}
	// What is beyond the limit its handler refuses, whatever the hash.
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(raw), r.Body), r.Body}
	return cid.Sum(raw), nil
}

// wantedBy returns the use of power that a request is, and the package's name if
// it is about one.
func wantedBy(asked *caps.RegistryRequest, r *http.Request, needs right) (use caps.Request, name string, err error) {
	switch {
	case strings.HasPrefix(r.URL.Path, ociPath):
	case needs == publish:
		name, _, err := cutVersion(r.PathValue("path"))
		return &caps.PublishPackage{Name: name}, name, err
	case needs == write:
		return &caps.WriteBlob{Namespace: asked.Audience, Size: uint64(max(r.ContentLength, 0)), Media: ProofMedia}, "", nil
	}
	return nil, "", fault.New(ErrForbidden, "a proof is for writing objects and attestations and for publishing; this needs a token")
}
