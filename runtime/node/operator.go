package node

import (
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// ErrOperator is the code of what only an operator may do.
const ErrOperator fault.Code = "operator_required"

// OperatorKey returns the key that resolutions are signed with: the one that from
// names as LoadKey does, or this user's own if it is empty. The trust file must hold
// it in role operator now.
func (n *Node) OperatorKey(from string) (sig.Key, error) {
	own := from == ""
	if own {
		from = n.ownPath(sig.Operator)
	}
	key, role, err := LoadKey(from)
	switch {
	case own && isMissing(err):
		return key, fault.New(ErrOperator, "there is no operator key yet; to make one and to trust it, type\n"+
			"mythos keys generate --role operator\n"+trustOperator, string(sig.Operator))
	case err != nil:
		return key, err
	case role != sig.Operator:
		return key, fault.New(ErrKeyRole, "a key of role %s, want %s", role, sig.Operator).About(from)
	}
	trust, err := n.Trust()
	if err != nil {
		return key, err
	}
	if !trust.TrustsOperator(key.Agent(), n.Clock()) {
		name := from
		if own {
			name = string(sig.Operator)
		}
		return key, fault.New(ErrOperator, "key %s is trusted as operator by no entry of its own; to trust it, type\n"+trustOperator, key.Agent().KeyID(), name)
	}
	return key, nil
}

// trustOperator is what to type to trust an operator's key.
const trustOperator = "mythos keys export --public %s > operator.pub\nmythos trust add operator operator.pub\nand give this command again"
