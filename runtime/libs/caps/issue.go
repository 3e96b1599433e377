package caps

import (
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Issue signs a capability and returns its canonical bytes and cap_id. It
// fills issuer, cap_id and signature, and refuses what no chain could use: an
// empty window, an unknown kind, a scope or constraint that means nothing.
// Whether c fits under its parent is judged by whoever checks the chain.
func Issue(c Capability, by sig.Signer) (raw []byte, id cid.Hash, err error) {
	if c.NotBefore >= c.ExpiresAt {
		return nil, id, fault.New(ErrWindow, "not_before %s is not before expires_at %s", stamp(c.NotBefore), stamp(c.ExpiresAt))
	}
	if err := CheckScope(c.Scope); err != nil {
		return nil, id, about("the scope", err)
	}
	return sig.Sign(&c, by)
}

// Attenuate returns the proof with one more link below the leaf of parent, signed by
// the leaf's subject (delegation by the holder, which needs a delegable leaf) or by
// its issuer. It fills issuer, parent, id and signature of child, and refuses a
// child that is wider than its parent in any cell with the *Denial that whoever
// checks the chain would see.
func Attenuate(parent *Chain, child Capability, by sig.Signer) (*Chain, error) {
	over := parent.LeafID()
	child.AttenuationParent = &over
	raw, _, err := Issue(child, by)
	if err != nil {
		return nil, err
	}
	r := can.NewReader(parent.raw)
	n := r.List()
	links := make([][]byte, 0, n+1)
	for range n {
		links = append(links, r.Bytes())
	}
	c, err := DecodeProof(EncodeProof(append(links, raw)))
	if err != nil {
		return nil, err
	}
	v, err := c.Verify()
	if err != nil {
		return nil, err
	}
	return c, v.Coherent()
}
