package cli

import (
	"context"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

// said returns who made an entry, if it names that, and what it says in words.
func said(rec ledger.Record) (by *cid.Hash, info string, err error) {
	if info, err = entryInfo(rec); err != nil {
		return nil, "", err
	}
	var agent sig.AgentID
	switch rec.Kind {
	case ledger.KindRegister:
		var x ledger.Register
		_, err = sig.Decode(rec.Body, &x)
		agent = x.Owner
	case ledger.KindResolution:
		var x ledger.Resolution
		_, err = sig.Decode(rec.Body, &x)
		agent = x.Signer
	default:
		return nil, info, nil
	}
	id := agent.KeyID()
	return &id, info, err
}

// tell completes an effect with what people call its tool and run, why nobody knows
// what became of it, and what to do.
func (o *ledgerShowOptions) tell(ctx context.Context, n *node.Node, r *records, v *effectView) error {
	s, err := r.log.Lookup(ctx, v.IdemID)
	if err != nil {
		return err
	}
	own, err := ownExecutor(n)
	if err != nil {
		return err
	}
	l := &stateList{app: o.app, r: r, names: names{records: r}, state: stateOf(s), own: own}
	row, err := l.row(ctx, s)
	if err != nil {
		return err
	}
	v.Tool, v.RunID, v.Since, v.Next = row.Tool, row.RunID, row.Since, row.Next
	v.Why = orNull(v.why())
	return nil
}

// why says what makes an effect one that is to be resolved, "" for another.
func (v *effectView) why() string {
	switch {
	case v.Phase == ledger.Divergent.String():
		return "two answers contradict each other"
	case v.Phase == ledger.Open.String() && !v.Live:
		return "its lease ended, and whoever had begun it said no more: that process died or was cut off"
	case v.Phase != ledger.Doubt.String():
		return ""
	}
	for i := len(v.Entries) - 1; i >= 0; i-- {
		if e := v.Entries[i]; e.Kind == ledger.KindResolution.String() {
			return "its executor says that nobody knows whether it happened (" + e.Info + ")"
		}
	}
	return "nobody knows whether it happened"
}
