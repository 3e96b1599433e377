package node

import (
	"fmt"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// elsewhere completes the denial of a root issuer that is no authority for a package
// with what it is an authority for, if the trust file holds it in that role.
func (n *Node) elsewhere(err error, proofs []*caps.Chain, pkg *gate.Package) error {
	d, ok := err.(*caps.Denial)
	if !ok || d.Code != caps.ErrUntrusted || pkg == nil {
		return err
	}
	trust, failed := n.Trust()
	if failed != nil {
		return err
	}
	for _, p := range proofs {
		root := p.Root()
		if !strings.Contains(d.Message, root.KeyID().String()) {
			continue
		}
		if why := misses(trust, root, pkg.Manifest().Name, pkg.Policy().Ring, n.Clock()); why != "" {
			told := *d
			told.Message += ": " + why
			return &told
		}
	}
	return err
}

// misses says why the first entry that holds an authority's key does not count; "" if
// there is none.
func misses(trust *gate.Trust, key sig.AgentID, name string, ring uint8, now time.Time) string {
	for _, e := range trust.Entries() {
		switch {
		case e.Role != sig.Authority || !e.Holds(key):
		case !e.Covers(name):
			return fmt.Sprintf("it is an authority for `%s`, not for `%s`", strings.Join(e.Names, " "), name)
		case !e.Admits(ring):
			return fmt.Sprintf("it is an authority up to ring %d, not in ring %d", *e.RingMax, ring)
		case !e.Current(now):
			return "its entry in the trust file does not count at this time"
		}
	}
	return ""
}
