package caps

import (
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
