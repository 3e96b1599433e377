package node

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// LoadPolicySource reads a policy source from a file.
func LoadPolicySource(path string) (*rings.Policy, error) {
	raw, err := readFile(path, maxPolicy)
	if err != nil {
		return nil, err
	}
	p, err := ParsePolicySource(raw)
	return p, about(path, err)
}

// SignPolicies signs the policies of source files with a key of role policy and puts
// them in force here, or with out, a folder, writes them there for another node. In
// force they must be newer than what this node has accepted, signed by a key that its
// trust file holds, and monotonic together with the policies that stay.
func (n *Node) SignPolicies(ctx context.Context, files []string, keyFile, out string) ([]*rings.Policy, error) {
	key, err := loadRole(keyFile, sig.Policy)
	if err != nil {
		return nil, err
	}
	var list []*rings.Policy
	var signed [][]byte
	for _, f := range files {
		p, err := LoadPolicySource(f)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(list, func(o *rings.Policy) bool { return o.Ring == p.Ring }) {
			return nil, fault.New(rings.ErrPolicy, "two of the files are for ring %d", p.Ring).About(f)
		}
		p.Time = n.Clock().UnixMicro()
		raw, err := rings.Sign(p, key)
		if err != nil {
			return nil, about(f, err)
		}
		list, signed = append(list, p), append(signed, raw)
	}
	if out == "" {
		out = n.Paths.Config
		if err := n.mayEnforce(list); err != nil {
			return nil, err
		}
	} else if err := rings.CheckMonotonic(list); err != nil {
		return nil, err
	}
	if err := atomicfile.MkdirAll(out, 0o700); err != nil {
		return nil, pathError(out, err)
	}
	for i, p := range list {
		path := filepath.Join(out, filepath.Base(n.PolicyPath(p.Ring)))
		if err := atomicfile.Write(path, signed[i], 0o600); err != nil {
			return nil, pathError(path, err)
		}
	}
	if out == n.Paths.Config {
		err = n.accept(ctx, list, nil)
	}
	return list, err
}

// mayEnforce holds new policies against the trust file, the record of accepted ones
// and the policies of the other rings.
func (n *Node) mayEnforce(list []*rings.Policy) error {
	opt, err := n.gateOptions()
	if err != nil {
		return err
	}
	accepted, err := n.acceptedPolicies()
	if err != nil {
		return err
	}
	for _, p := range list {
		if err := opt.Trust.AdmitPolicy(p, opt); err != nil {
			return err
		}
		old, err := n.Policy(p.Ring)
		if err != nil {
			return err
		}
		switch i, ok := accepted.find(p.Ring); {
		case ok && p.Version <= accepted[i].Version:
			return fault.New(ErrPolicyOld, "ring %d: version %d does not come after version %d, which this node has accepted: raise it in the source", p.Ring, p.Version, accepted[i].Version)
		case old != nil && p.Version <= old.Version && (opt.Dev == nil || !old.Signer.Equal(*opt.Dev)):
			return fault.New(ErrPolicyOld, "ring %d: version %d does not come after version %d, which is in force: raise it in the source", p.Ring, p.Version, old.Version)
		}
	}
	have, err := n.PolicyRings()
	if err != nil {
		return err
	}
	all := slices.Clone(list)
	for _, ring := range have {
		if slices.ContainsFunc(list, func(p *rings.Policy) bool { return p.Ring == ring }) {
			continue
		}
		p, err := n.Policy(ring)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	return rings.CheckMonotonic(all)
}
