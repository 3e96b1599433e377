package gate

import (
	"context"
	"errors"
	"fmt"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Load performs the loading order on src and stops at the first failure, whose
// code it returns. src must stay open as long as the Package is used.
func Load(ctx context.Context, src Source, opt Options) (*Package, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	c := &checker{src: content{src}, opt: opt}
	c.run(ctx)
	if err := c.first(); err != nil {
		return nil, err
	}
	v, err := c.u.Verify(c.publishers(), opt.host())
	if err != nil {
		return nil, err
	}
	if err := c.assess(v.Manifest()).First(); err != nil {
		return nil, err
	}
	closure, _ := c.closure()
	return &Package{
		v: v, publisher: c.sources[v.Publisher()], policy: opt.Policy, beside: c.beside,
		src: c.src, trees: c.trees, programs: c.programs, closure: closure,
		kinds: opt.Kinds, sandbox: opt.sandbox,
	}, nil
}

// AdmitPolicy reports whether a policy's signer may set it: a key of a current
// policy entry that admits the ring, or the dev key for ring 0
// (RFC-MYTHOS-0008 §9). It uses the Dev and Now of opt.
func (t *Trust) AdmitPolicy(p *rings.Policy, opt Options) error {
	if opt.Dev != nil && p.Ring == 0 && p.Signer.Equal(*opt.Dev) {
		return nil
	}
	for _, e := range t.entries {
		if e.Role == sig.Policy && e.Holds(p.Signer) && e.Current(opt.Now) && e.Admits(p.Ring) {
			return nil
		}
	}
	return fault.New(rings.ErrRing, "the policy for ring %d is signed by %s, which no policy entry of the trust file holds", p.Ring, p.Signer.KeyID()).About("policy " + p.PolicyID.String())
}

// Failure is one thing that is wrong with a package.
type Failure struct {
	Code    fault.Code `json:"code"`
	Subject string     `json:"subject"` // what failed: a file, an artifact, a field
	Message string     `json:"message"`
}

// Report is the verdict of Verify.
type Report struct {
	PackageID   *cid.Hash          // nil if the manifest does not decode
	ManifestCID *cid.Hash          // likewise
	Manifest    *manifest.Manifest // what it says, true only if there are no failures; may be nil
	Signers     []sig.AgentID      // known keys whose signatures verify, whether they suffice or not
	Failures    []Failure          // none: the package is sound, and trusted here
}

// OK reports whether everything holds.
func (r *Report) OK() bool { return len(r.Failures) == 0 }

// Verify performs the loading order up to step 13 and lists every failure that
// still means something after those before it. The error is of the caller's
// context or options; what is wrong with the package is in the report.
func Verify(ctx context.Context, src Source, opt Options) (*Report, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	opt.Ring = 0
	c := &checker{src: content{src}, opt: opt, all: true}
	c.run(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := &Report{}
	for _, err := range c.err {
		r.Failures = append(r.Failures, FailureOf(err))
	}
	if c.u != nil {
		id, whole := c.u.PackageID(), c.u.CID()
		r.PackageID, r.ManifestCID, r.Manifest = &id, &whole, c.u.Claims()
		r.Signers = c.validSigners()
	}
	return r, nil
}

// validSigners returns the known keys that have signed well.
func (c *checker) validSigners() []sig.AgentID {
	known := map[cid.Hash]sig.AgentID{}
	for _, p := range c.publishers() {
		for _, k := range p.Keys {
			known[k.KeyID()] = k
		}
	}
	var out []sig.AgentID
	for _, s := range c.u.Claims().Signatures {
		if s.KeyID == nil {
			continue
		}
		k, ok := known[*s.KeyID]
		if !ok || k.Verify(c.u.PackageID(), s) != nil {
			continue
		}
		delete(known, *s.KeyID) // each counts once
		out = append(out, k)
	}
	return out
}

// FailureOf renders an error of this package, or of a Source, as a Failure.
func FailureOf(err error) Failure {
	var e *fault.Error
	if !errors.As(err, &e) {
		return Failure{Code: fault.CodeOf(err), Message: err.Error()}
	}
	f := Failure{Code: e.Code, Subject: e.Subject, Message: e.Message}
	if e.Offset >= 0 {
		f.Message += fmt.Sprintf(" at byte %d", e.Offset)
	}
	return f
}
