package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/node"
)

type capsListOptions struct {
	*app
	json bool
}

func newCapsList(a *app) *cobra.Command {
	o := &capsListOptions{app: a}
	cmd := &cobra.Command{
		Use: "list [PROOF...]", Short: "List kept proofs, what is spent of them, and revocation lists",
		Long: `List the proofs in the folder of this user's proofs, and those given: what each is over,
whether it counts here and now, and how much of it this node's ledger has spent; then the
revocation lists that this node has accepted.`,
		Example: "  mythos caps list\n  mythos caps list call.cap --json",
		Args:    args(cobra.ArbitraryArgs),
		RunE:    func(cmd *cobra.Command, list []string) error { return o.run(cmd.Context(), list) },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 4, 7)
}

// keptView is a listed proof in JSON.
type keptView struct {
	proofView
	Code  *fault.Code `json:"code"`  // why it does not count here and now; null if it does
	Spent []*uint32   `json:"spent"` // for each link, on this node's ledger; null if nothing is counted or known
}

func (o *capsListOptions) run(ctx context.Context, files []string) error {
	return o.withNode(func(n *node.Node) error {
		kept, err := n.Proofs()
		if err != nil {
			return err
		}
		for _, f := range files {
			p, err := o.readProof(f)
			if err != nil {
				return err
			}
			kept = append(kept, node.ProofFile{Path: f, Proof: p})
		}
		views := []keptView{}
		for _, k := range kept {
			if k.Err != nil {
				o.note("%v", k.Err)
				continue
			}
			v, err := o.kept(ctx, n, k)
			if err != nil {
				return err
			}
			views = append(views, v)
		}
		lists, err := n.Revocations()
		if err != nil {
			return err
		}
		return o.print(n, views, o.listViews(lists))
	})
}

// kept judges a proof as a run would when it starts, and looks up what is spent.
func (o *capsListOptions) kept(ctx context.Context, n *node.Node, k node.ProofFile) (keptView, error) {
	v := keptView{proofView: newProofView(k.Path, k.Proof)}
	use, err := n.Use(node.Situation{})
	if err != nil {
		return v, err
	}
	leaf := k.Proof.Leaf().Scope
	use.Kind, use.Scope = leaf.Kind, leaf.Payload
	if _, err := k.Proof.Check(use); err != nil {
		code := fault.CodeOf(err)
		v.Code = &code
	}
	counts, known, err := n.Spent(ctx, k.Proof.CapIDs())
	if err != nil {
		return v, err
	}
	v.Spent = make([]*uint32, k.Proof.Len())
	for i := range v.Spent {
		call, ok := toolCall(k.Proof.Link(i).Scope)
		if !ok || !known {
			continue
		}
		v.Spent[i] = &counts[i]
		if v.Code == nil && counts[i] >= call.MaxCalls {
			code := ledger.ErrExhausted
			v.Code = &code
		}
	}
	return v, nil
}

func (o *capsListOptions) print(n *node.Node, proofs []keptView, lists []listView) error {
	if o.json {
		return o.printJSON(struct {
			Schema string     `json:"schema"`
			Proofs []keptView `json:"proofs"`
			Lists  []listView `json:"revocation_lists"`
		}{"mythos.caps.list/1", proofs, lists})
	}
	if len(proofs) == 0 {
		o.note("no proofs in %s; \"mythos caps issue\" without -o writes there", n.CapsDir())
	}
	t := term.NewTable("FILE", "KIND", "POWER", "UNTIL", "COUNTS", "SPENT")
	for _, v := range proofs {
		leaf := v.Links[len(v.Links)-1]
		state := "yes"
		if v.Code != nil {
			state = "no: " + string(*v.Code)
		}
		spent := ""
		if s := v.Spent[len(v.Spent)-1]; s != nil {
			spent = fmt.Sprint(*s)
		}
		t.Row(*v.File, v.Kind, leaf.text(), until(leaf.ExpiresAt), state, spent)
	}
	if t.Len() > 0 {
		if err := o.printTable(t); err != nil {
			return err
		}
	}
	if len(lists) == 0 {
		return nil
	}
	if t.Len() > 0 {
		if err := o.printf("\n"); err != nil {
			return err
		}
	}
	return o.printTable(listTable(lists))
}
