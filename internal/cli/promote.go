package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/node"
)

type promoteOptions struct {
	*app
	node.PromoteOptions
	rollback string
	json     bool
}

func newPromote(a *app) *cobra.Command {
	o := &promoteOptions{app: a}
	cmd := &cobra.Command{
		Use: "promote PACKAGE --ring N", Short: "Bring a package into a ring", GroupID: groupTrust, Args: args(cobra.ExactArgs(1)),
		Long: `Bring a package into a ring of this node, as an operator. Whatever the ring's policy
asks must be met first: "mythos policy check" lists it. The promotion is signed and the
ring's state appended to the ledger: from then on the ring runs this package under its
name, and no other.

The package that the ring ran before is pinned as what to go back to; --rollback names
another one that it ran. "mythos demote" takes a package out again.`,
		Example: "  mythos promote dist/demo-001-0.1.0 --ring 1 --key operator.key\n  mythos promote sha256:... --ring 2 --rollback sha256:... --key operator.key",
		RunE: func(cmd *cobra.Command, list []string) error {
			o.Package = list[0]
			if !cmd.Flags().Changed("ring") {
				return usagef("--ring is required: which ring the package is to run in")
			}
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.Uint8Var(&o.Ring, "ring", 0, "the ring `N` (required)")
	f.StringVar(&o.rollback, "rollback", "", "the package_id to pin (default the one that the ring ran last)")
	f.StringVar(&o.Key, "key", "", "a secret key of role operator: a key `FILE`, env:NAME or fd:N (default this user's own)")
	f.BoolVar(&o.NoWait, "no-wait", false, "fail instead of waiting for the ledger")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(a.bindLedger(cmd), 3, 4, 5, 6, 7)
}

func (o *promoteOptions) run(ctx context.Context) error {
	if o.rollback != "" {
		id, err := cid.Parse(o.rollback)
		if err != nil {
			return usagef("--rollback: %w", err)
		}
		o.Rollback = &id
	}
	wait := o.newWaiting()
	defer wait.done()
	o.OnWait = wait.ledger
	return o.withNode(func(n *node.Node) error {
		done, err := n.Promote(ctx, o.PromoteOptions)
		wait.done()
		if err != nil {
			return about(o.Package, err)
		}
		for _, said := range done.Objections {
			o.note("promoted although %s", said)
		}
		return o.printState(done, o.json)
	})
}

type demoteOptions struct {
	*app
	node.DemoteOptions
	json bool
}

func newDemote(a *app) *cobra.Command {
	o := &demoteOptions{app: a}
	cmd := &cobra.Command{
		Use: "demote NAME --ring N", Short: "Take a package out of a ring", GroupID: groupTrust, Args: args(cobra.ExactArgs(1)),
		Long: `Take the package of that name out of a ring of this node, as an operator: the ring runs
nothing under the name until another promotion. With --rollback it goes back to the
package that the last promotion pinned. A run that is under way ends; the next one, also
one that continues it, is refused.

A name that the ring never had is refused, since it is likely to be misspelt; --block
takes it, so that the ring runs nothing under it until somebody promotes it.`,
		Example: "  mythos demote demo-001 --ring 1 --key operator.key\n  mythos demote demo-001 --ring 2 --rollback --key operator.key",
		RunE: func(cmd *cobra.Command, list []string) error {
			o.Name = list[0]
			if o.Block && o.RollBack {
				return usagef("--block is for a name that the ring never had, which has nothing to go back to with --rollback")
			}
			if !cmd.Flags().Changed("ring") {
				return usagef("--ring is required: which ring the package is to leave")
			}
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.Uint8Var(&o.Ring, "ring", 0, "the ring `N` (required)")
	f.BoolVar(&o.RollBack, "rollback", false, "go back to the pinned package")
	f.BoolVar(&o.Block, "block", false, "take a name that the ring never had too")
	noEnv(f, "rollback", "block") // MYTHOS_ROLLBACK is a package, of promote
	f.StringVar(&o.Key, "key", "", "a secret key of role operator: a key `FILE`, env:NAME or fd:N (default this user's own)")
	f.BoolVar(&o.NoWait, "no-wait", false, "fail instead of waiting for the ledger")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(a.bindLedger(cmd), 3, 4, 5, 6, 7)
}

func (o *demoteOptions) run(ctx context.Context) error {
	wait := o.newWaiting()
	defer wait.done()
	o.OnWait = wait.ledger
	return o.withNode(func(n *node.Node) error {
		done, first, err := n.Demote(ctx, o.DemoteOptions)
		wait.done()
		if err != nil {
			return err
		}
		if first {
			o.note("ring %d had no package called %s; from now on it runs none of that name", o.Ring, o.Name)
		}
		return o.printState(done, o.json)
	})
}

// stateView is what promote --json and demote --json print.
type stateView struct {
	Schema      string    `json:"schema"`
	StateID     cid.Hash  `json:"state_id"`
	Ring        uint8     `json:"ring"`
	Seq         uint64    `json:"seq"`
	Name        string    `json:"name"`
	PackageID   *cid.Hash `json:"package_id"` // null: demoted
	Rollback    *cid.Hash `json:"rollback_package_id"`
	PromotionID *cid.Hash `json:"promotion_id"`
	PolicyID    *cid.Hash `json:"policy_id"` // of a promotion; null for a demotion
	Operator    cid.Hash  `json:"operator"`  // key id
}

func (a *app) printState(done *node.Promoted, json bool) error {
	s := done.State
	v := stateView{
		Schema: "mythos.ring.result/1", StateID: s.ID, Ring: s.Ring, Seq: s.Seq, Name: s.Name, PackageID: s.PackageID,
		Rollback: s.RollbackPackageID, PromotionID: s.PromotionID, Operator: s.Signer.KeyID(),
	}
	if done.Promotion != nil {
		v.PolicyID = &done.Promotion.PolicyID
	}
	if json {
		return a.printJSON(v)
	}
	t := term.NewTable()
	t.Row("ring", strconv.Itoa(int(v.Ring)))
	t.Row("name", v.Name)
	t.Row("runs", orNothing(v.PackageID))
	t.Row("rollback", orNothing(v.Rollback))
	t.Row("state", strconv.FormatUint(v.Seq, 10)+", "+v.StateID.String())
	return a.printTable(t)
}

func orNothing(id *cid.Hash) string {
	if id == nil {
		return "nothing"
	}
	return id.String()
}
