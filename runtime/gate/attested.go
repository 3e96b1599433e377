package gate

import (
	"context"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
)

// Bounds of the attestations beside a manifest (RFC-MYTHOS-0010 §2).
const (
	MaxAttestation  = 16 << 10 // bytes of one
	MaxAttestations = 256      // beside one manifest, and in a node's index of one package
)

// Statement is an attestation in the bytes that it came in, under the name that its
// place gives it.
type Statement struct {
	ID  cid.Hash // what its file is named after
	Raw []byte
}

// Attested is a Source that may hold attestations beside the manifest.
type Attested interface {
	// Attestations returns them in ascending order of their names, or an error if
	// there are more than MaxAttestations or one is over MaxAttestation.
	Attestations(ctx context.Context) ([]Statement, error)
}

// OpenStatement verifies an attestation about a package: name, id, rules and the
// signature of whom it names. Whether that signer is trusted is not asked.
func OpenStatement(s Statement, about cid.Hash) (receipt.Attestation, error) {
	a, id, err := receipt.OpenAttestation(s.Raw)
	switch {
	case err != nil:
		err = fault.New(manifest.ErrAttestation, "%w", err)
	case id != s.ID:
		err = fault.New(manifest.ErrAttestation, "its id is %s", id)
	case a.SubjectHash != about:
		err = fault.New(manifest.ErrAttestation, "it is about %s, not about this package", a.SubjectHash)
	default:
		return a, nil
	}
	return a, err.(*fault.Error).About("attestation " + s.ID.String())
}

// statements performs step 10, and gathers what verifiers say about the package: in
// the manifest, beside it, and in the node's index.
func (c *checker) statements(ctx context.Context) bool {
	if c.fail(c.u.CheckAttestations()) {
		return true
	}
	c.attested = slices.Clone(c.u.Claims().Attestations)
	for i := range c.attested {
		if c.fail(about(c.attested[i].Check(), "attestation "+c.attested[i].AttestationID.String())) {
			return true
		}
	}
	if src, ok := c.src.Source.(Attested); ok {
		list, err := src.Attestations(ctx)
		if c.fail(err) || c.gather(list) {
			return true
		}
		c.beside = list
	}
	if c.opt.Attested == nil {
		return false
	}
	list, err := c.opt.Attested(c.u.PackageID())
	return c.fail(err) || c.gather(list)
}

func (c *checker) gather(list []Statement) bool {
	for _, s := range list {
		a, err := OpenStatement(s, c.u.PackageID())
		if c.fail(err) {
			return true
		}
		known := func(x receipt.Attestation) bool { return x.AttestationID == a.AttestationID }
		if err == nil && !slices.ContainsFunc(c.attested, known) {
			c.attested = append(c.attested, a)
		}
	}
	return false
}
