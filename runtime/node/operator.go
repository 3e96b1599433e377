package node

import (
	"fmt"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/gate"
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
		return key, n.noOperatorKey()
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
		if known := operatorNames(trust, n.Clock()); known != "" {
			return key, fault.New(ErrOperator, "key %s is trusted as operator by no entry of its own; give --key FILE of one of: %s", key.Agent().KeyID(), known)
		}
		return key, fault.New(ErrOperator, "key %s is trusted as operator by no entry of its own; to trust it, type\n"+trustOperator, key.Agent().KeyID(), name)
	}
	return key, nil
}

// noOperatorKey says whose key is needed, or how to make one where nobody is operator.
func (n *Node) noOperatorKey() error {
	trust, err := n.Trust()
	if err != nil {
		return err
	}
	if known := operatorNames(trust, n.Clock()); known != "" {
		return fault.New(ErrOperator, "this user has no operator key; give --key FILE of one of: %s", known)
	}
	return fault.New(ErrOperator, "there is no operator key yet; to make one and to trust it, type\n"+
		"mythos keys generate --role operator\n"+trustOperator, string(sig.Operator))
}

// maxOperatorNames bounds how many operators a message names.
const maxOperatorNames = 8

// operatorNames lists the operators who count at a time, by the hints of their keys or
// the beginnings of their key ids; "" if there is none.
func operatorNames(t *gate.Trust, at time.Time) string {
	var names []string
	for _, e := range t.Entries() {
		if e.Role != sig.Operator || !e.Current(at) {
			continue
		}
		for _, k := range e.Keys {
			name := k.KeyID().Hex()[:12]
			if k.Hint != "" {
				name = k.Hint + " (" + name + ")"
			}
			names = append(names, name)
		}
	}
	if more := len(names) - maxOperatorNames; more > 0 {
		names = append(names[:maxOperatorNames], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// trustOperator is what to type to trust an operator's key.
const trustOperator = "mythos keys export --public %s > operator.pub\nmythos trust add operator operator.pub\nand give this command again"
