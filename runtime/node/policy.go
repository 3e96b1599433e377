package node

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// ErrPolicyOld is the code of a policy that is older than one that this node has
// accepted.
const ErrPolicyOld fault.Code = "ring_policy_old"

const (
	maxPolicy      = 1 << 20 // bytes of a policy's file
	acceptedSchema = "mythos.policies/1"
)

// PolicyPath returns where the node keeps its policy of a ring.
func (n *Node) PolicyPath(ring uint8) string {
	return filepath.Join(n.Paths.Config, fmt.Sprintf("ring%d.policy", ring))
}

// Policy reads the node's policy of a ring, nil if it has none. Whether it counts
// is for Policies to say.
func (n *Node) Policy(ring uint8) (*rings.Policy, error) {
	path := n.PolicyPath(ring)
	raw, err := readFile(path, maxPolicy)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p, err := rings.Open(raw)
	if err == nil && p.Ring != ring {
		err = fault.New(rings.ErrPolicy, "it is for ring %d", p.Ring)
	}
	if err != nil {
		return nil, about(path, err)
	}
	return p, nil
}

// PolicyRings lists the rings that the node has a policy file for, ascending.
func (n *Node) PolicyRings() ([]uint8, error) {
	entries, err := os.ReadDir(n.Paths.Config)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, pathError(n.Paths.Config, err)
	}
	var list []uint8
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), ".policy")
		digits, ring := strings.CutPrefix(digits, "ring")
		if num, err := strconv.ParseUint(digits, 10, 8); ok && ring && err == nil && strconv.FormatUint(num, 10) == digits {
			list = append(list, uint8(num))
		}
	}
	slices.Sort(list)
	return list, nil
}

// Policies reads the node's policies of the rings up to one and checks them as a
// run in that ring does (RFC-MYTHOS-0010 §6): each is sound, signed by who may, not
// older than what was accepted, and together they are monotonic.
func (n *Node) Policies(upTo uint8) ([]*rings.Policy, error) {
	opt, err := n.gateOptions()
	if err != nil {
		return nil, err
	}
	return n.policies(upTo, opt)
}

func (n *Node) policies(upTo uint8, opt gate.Options) ([]*rings.Policy, error) {
	have, err := n.PolicyRings()
	if err != nil {
		return nil, err
	}
	accepted, err := n.acceptedPolicies()
	if err != nil {
		return nil, err
	}
	var list []*rings.Policy
	for _, ring := range have {
		if ring > upTo {
			continue
		}
		p, err := n.Policy(ring)
		if err == nil {
			err = opt.Trust.AdmitPolicy(p, opt)
		}
		if err == nil {
			err = accepted.admit(p, opt.Dev)
		}
		if err != nil {
			return nil, about(n.PolicyPath(ring), err)
		}
		list = append(list, p)
	}
	for _, a := range accepted {
		if a.Ring <= upTo && !slices.Contains(have, a.Ring) {
			return nil, fault.New(ErrPolicyOld, "it is gone, and this node has accepted version %d of it", a.Version).About(n.PolicyPath(a.Ring))
		}
	}
	return list, rings.CheckMonotonic(list)
}

// judge completes opt with what step 14 of the loading order asks in a ring: the
// policy or why none counts, this node's index of attestations, its ledger. It
// returns the policies that were looked at.
func (n *Node) judge(ctx context.Context, opt *gate.Options, ring uint8) []*rings.Policy {
	opt.Ring, opt.Attested = ring, n.Attestations
	opt.Standing = func(ring uint8, name string) (*rings.Standing, error) { return n.standing(ctx, ring, name) }
	list, err := n.policies(ring, *opt)
	if err != nil {
		opt.PolicyFault = err
		return nil
	}
	if i := slices.IndexFunc(list, func(p *rings.Policy) bool { return p.Ring == opt.Ring }); i >= 0 {
		opt.Policy = list[i]
	}
	return list
}

// acceptedPolicy is the policy of a ring that the node accepted last.
type acceptedPolicy struct {
	Ring     uint8    `json:"ring"`
	Version  uint64   `json:"version"`
	PolicyID cid.Hash `json:"policy_id"`
}

type acceptedPolicies []acceptedPolicy // ascending by ring

func (n *Node) acceptedPath() string { return filepath.Join(n.Paths.Data, "policies.json") }

func (n *Node) acceptedPolicies() (acceptedPolicies, error) {
	path := n.acceptedPath()
	raw, err := readFile(path, maxPolicy)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var file struct {
		Schema   string           `json:"schema"`
		Accepted acceptedPolicies `json:"accepted"`
	}
	if err := json.Unmarshal(raw, &file); err != nil || file.Schema != acceptedSchema {
		return nil, fault.New(ErrPolicyOld, "the record of the policies that this node has accepted cannot be read").About(path)
	}
	return file.Accepted, nil
}

// find returns the record of a ring, and whether there is one.
func (a acceptedPolicies) find(ring uint8) (int, bool) {
	return slices.BinarySearchFunc(a, ring, func(x acceptedPolicy, ring uint8) int { return cmp.Compare(x.Ring, ring) })
}

// admit refuses a policy that is older than the accepted one of its ring.
func (a acceptedPolicies) admit(p *rings.Policy, dev *sig.AgentID) error {
	i, ok := a.find(p.Ring)
	switch {
	case ok && dev != nil && p.Signer.Equal(*dev):
		return fault.New(ErrPolicyOld, "it is signed by the dev key, and this node has accepted version %d of a policy key", a[i].Version)
	case !ok || p.Version > a[i].Version:
		return nil
	case p.Version < a[i].Version:
		return fault.New(ErrPolicyOld, "it is version %d, and this node has accepted version %d", p.Version, a[i].Version)
	case p.PolicyID != a[i].PolicyID:
		return fault.New(ErrPolicyOld, "it is another version %d than the one that this node has accepted, %s", p.Version, a[i].PolicyID)
	}
	return nil
}

// accept records policies, so that no older one counts later. The dev key's are not
// recorded: they are this user's own.
func (n *Node) accept(ctx context.Context, list []*rings.Policy, dev *sig.AgentID) error {
	list = slices.DeleteFunc(slices.Clone(list), func(p *rings.Policy) bool { return dev != nil && p.Signer.Equal(*dev) })
	accepted, err := n.acceptedPolicies()
	if err != nil || !accepted.behind(list) {
		return err
	}
	lock, err := lockFile(ctx, n.acceptedPath()+".lock")
	if err != nil {
		return err
	}
	defer lock.Close()
	if accepted, err = n.acceptedPolicies(); err != nil {
		return err
	}
	for _, p := range list {
		x := acceptedPolicy{p.Ring, p.Version, p.PolicyID}
		switch i, ok := accepted.find(p.Ring); {
		case !ok:
			accepted = slices.Insert(accepted, i, x)
		case accepted[i].Version < p.Version:
			accepted[i] = x
		}
	}
	raw, err := json.MarshalIndent(map[string]any{"schema": acceptedSchema, "accepted": accepted}, "", "  ")
	if err != nil {
		return err
	}
	return pathError(n.acceptedPath(), atomicfile.Write(n.acceptedPath(), append(raw, '\n'), 0o600))
}

// behind reports whether one of the policies is newer than its record.
func (a acceptedPolicies) behind(list []*rings.Policy) bool {
	return slices.ContainsFunc(list, func(p *rings.Policy) bool {
		i, ok := a.find(p.Ring)
		return !ok || a[i].Version < p.Version
	})
}

// makePolicy makes the default policy of ring 0, signed by the dev key. If another
// process makes one first, that one stands.
func (n *Node) makePolicy() (*rings.Policy, error) {
	key, err := n.DevKey()
	if err != nil {
		return nil, err
	}
	p := rings.Default(n.Clock().UnixMicro())
	raw, err := rings.Sign(p, key)
	if err != nil {
		return nil, err
	}
	path := n.PolicyPath(0)
	err = atomicfile.WriteNew(path, raw, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return n.Policy(0)
	}
	return p, pathError(path, err)
}

// trialPolicy gives opt the policy that makePolicy would make, and writes nothing.
// Without a dev key, one that nobody will see again signs it.
func (n *Node) trialPolicy(opt *gate.Options) error {
	key, _, err := LoadKey(n.ownPath(sig.Dev))
	if isMissing(err) {
		var seed [32]byte
		rand.Read(seed[:]) // never fails: the program ends if the system has no randomness
		key, err = sig.NewKey(seed, ""), nil
	}
	if err != nil {
		return err
	}
	agent := key.Agent()
	opt.Dev, opt.Policy = &agent, rings.Default(n.Clock().UnixMicro())
	_, err = rings.Sign(opt.Policy, key)
	return err
}
