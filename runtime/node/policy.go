package node

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

func (n *Node) policyPath() string { return filepath.Join(n.Paths.Config, "ring0.policy") }

// Policy reads the node's policy of ring 0, nil if it has none yet. Whether its
// signer may set it is the gate's to say.
func (n *Node) Policy() (*rings.Policy, error) {
	raw, err := readFile(n.policyPath(), 1<<20)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p, err := rings.Open(raw)
	return p, about(n.policyPath(), err)
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
	err = atomicfile.WriteNew(n.policyPath(), raw, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return n.Policy()
	}
	return p, pathError(n.policyPath(), err)
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
