package node

import (
	"path/filepath"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/libs/rings"
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

// makePolicy makes the default policy of ring 0, signed by the dev key.
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
	return p, pathError(n.policyPath(), atomicfile.Write(n.policyPath(), raw, 0o600))
}
