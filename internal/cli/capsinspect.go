package cli

import (
	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/runtime/node"
)

type capsInspectOptions struct {
	*app
	json bool
}

func newCapsInspect(a *app) *cobra.Command {
	o := &capsInspectOptions{app: a}
	cmd := &cobra.Command{
		Use: "inspect PROOF", Short: "Show what a capability proof says", Args: args(cobra.ExactArgs(1)),
		Long: `Show what a capability proof says, a row for each link, the root first: from whom to
whom, over what, until when, and whether it may be passed on. Signatures are checked;
whether anybody here trusts the root is what "mythos caps verify" says. PROOF is a file,
"-" is standard input.`,
		Example: "  mythos caps inspect call.cap\n  mythos caps inspect - --json < call.cap",
		RunE:    func(_ *cobra.Command, list []string) error { return o.run(list[0]) },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 4)
}

func (o *capsInspectOptions) run(file string) error {
	return o.withNode(func(*node.Node) error {
		p, err := o.readProof(file)
		if err != nil {
			return err
		}
		return o.printProof(newProofView(file, p), o.json)
	})
}
