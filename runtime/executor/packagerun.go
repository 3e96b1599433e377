package executor

import (
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// packageRun asks the proofs of kind PackageRun whether their holder may run this
// package in this ring (RFC-MYTHOS-0008 §5.1). A run that was given some is one that
// one of them covers; whether a run needs any is this node's to say. The power is
// over the node, for who submits, and nothing inside the run gets it: so the ring
// policy, which says what code in the ring may use, is not asked about the kind.
func (r *run) packageRun() error {
	var first error
	for _, p := range r.proofs {
		if p.Chain().Kind() != caps.KindPackageRun {
			continue
		}
		use := r.bare()
		use.Request = &caps.RunPackage{Package: r.pkg.ID(), Ring: r.pkg.Policy().Ring}
		_, err := use.of(p)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil && r.NeedPackageRun {
		return fault.New(ErrCapMissing, "this node runs a package only for the holder of a capability of kind %s over it, and none is at hand", caps.KindName(caps.KindPackageRun))
	}
	return first
}
