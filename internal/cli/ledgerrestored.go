package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

// restoreView is the JSON of what was restored.
type restoreView struct {
	backupView
	Lost    *lostView     `json:"lost"`    // null: no ledger was moved aside, or it has nothing that the backup has not
	Unknown []unknownView `json:"unknown"` // who signed entries and is not trusted here
}

// lostView counts what stands in the ledger that was moved aside and not in the
// backup.
type lostView struct {
	Entries uint64 `json:"entries"`
	Runs    uint64 `json:"runs"`
	Effects uint64 `json:"effects"` // registered there for the first time
}

// unknownView is a signer of entries whom the trust file does not hold.
type unknownView struct {
	signerView
	Role sig.Role `json:"role"`
}

// lost counts what the ledger in a folder has beyond the first entries, which came
// from the backup.
func lost(ctx context.Context, n *node.Node, dir string, kept uint64) (_ *lostView, err error) {
	old, err := journal.OpenReadOnly(journal.Options{Dir: dir, Clock: n.Clock})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	now, err := n.OwnLedger()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, now.Close()) }()
	before, err := node.LedgerID(ctx, old)
	if err != nil {
		return nil, err
	}
	if id, err := node.LedgerID(ctx, now); err != nil || id != before {
		kept = 0 // another log: nothing of it is in the backup
	}
	var v lostView
	for rec, err := range old.Entries(ctx, kept) {
		if err != nil {
			return nil, err
		}
		v.Entries++
		switch rec.Kind {
		case ledger.KindRunRecord:
			v.Runs++
		case ledger.KindRegister:
			var x ledger.Register
			if _, err := sig.Decode(rec.Body, &x); err != nil {
				return nil, damaged(rec, err)
			}
			if x.Attempt == nil || *x.Attempt == 0 {
				v.Effects++
			}
		}
	}
	if v.Entries == 0 {
		return nil, nil
	}
	return &v, nil
}

// unknownSigners lists who signed entries of this node's own ledger and is neither its
// executor nor in the trust file in that role, each once.
func unknownSigners(ctx context.Context, n *node.Node) (_ []unknownView, err error) {
	trust, err := n.Trust()
	if err != nil {
		return nil, err
	}
	own, err := ownExecutor(n)
	if err != nil {
		return nil, err
	}
	log, err := n.OwnLedger()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	list, seen := []unknownView{}, map[string]bool{}
	kinds := []ledger.Kind{ledger.KindRegister, ledger.KindResolution, ledger.KindRingState, ledger.KindRunRecord}
	for rec, err := range log.Records(ctx, ledger.Filter{Kinds: kinds}) {
		if err != nil {
			return nil, err
		}
		agent, role, err := signedBy(rec, seen)
		if err != nil {
			return nil, damaged(rec, err)
		}
		key := string(role) + string(agent.Key[:])
		if seen[key] {
			continue
		}
		seen[key] = true
		if !knownHere(trust, own, agent, role, n.Clock(), time.UnixMicro(rec.Time)) {
			list = append(list, unknownView{signerOf(agent), role})
		}
	}
	return list, nil
}

// signedBy returns who signed an entry, and in which role. Who resolves and was seen
// as an executor before does so as the owner of a register.
func signedBy(rec ledger.Record, seen map[string]bool) (sig.AgentID, sig.Role, error) {
	switch rec.Kind {
	case ledger.KindRunRecord:
		var x evidence.RunRecord
		_, err := sig.Decode(rec.Body, &x)
		return x.Executor, sig.Executor, err
	case ledger.KindRingState:
		var x ledger.RingState
		_, err := sig.Decode(rec.Body, &x)
		return x.Signer, sig.Operator, err
	case ledger.KindResolution:
		var x ledger.Resolution
		_, err := sig.Decode(rec.Body, &x)
		if seen[string(sig.Executor)+string(x.Signer.Key[:])] {
			return x.Signer, sig.Executor, err
		}
		return x.Signer, sig.Operator, err
	}
	var x ledger.Register
	_, err := sig.Decode(rec.Body, &x)
	return x.Owner, sig.Executor, err
}

func knownHere(trust *gate.Trust, own, agent sig.AgentID, role sig.Role, now, at time.Time) bool {
	if role == sig.Operator {
		return trust.TrustsOperator(agent, at)
	}
	return agent.Equal(own) || trust.TrustsExecutor(agent, now)
}

// noteUnknown says which keys the trust file lacks, and what that means.
func (o *ledgerRestoreOptions) noteUnknown(list []unknownView) {
	for _, role := range []sig.Role{sig.Executor, sig.Operator} {
		var names []string
		for _, u := range list {
			if u.Role != role {
				continue
			}
			name := u.KeyID.Hex()[:12]
			if u.Hint != nil {
				name += " (" + *u.Hint + ")"
			}
			names = append(names, name)
		}
		slices.Sort(names)
		if len(names) > 0 {
			o.note("this home does not trust %s %s, who signed entries here: mythos trust add %s FILE; until then %s",
				role, strings.Join(names, ", "), role, meanwhile(role))
		}
	}
}

func meanwhile(role sig.Role) string {
	if role == sig.Executor {
		return `"mythos ledger verify" says signer unknown, and what it committed counts for nothing`
	}
	return `"mythos ledger verify" says signer unknown`
}

// text counts what was lost.
func (v *lostView) text() string {
	return fmt.Sprintf("%d entries, %d runs and %d effects of it are not in the backup", v.Entries, v.Runs, v.Effects)
}
