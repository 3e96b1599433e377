package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

type trustRemoveOptions struct {
	*app
	key, role string
	json      bool
}

func newTrustRemove(a *app) *cobra.Command {
	o := &trustRemoveOptions{app: a}
	cmd := &cobra.Command{
		Use: "remove KEY", Short: "Take a key out of the trust file", Args: args(cobra.ExactArgs(1)),
		Long: `Take a key out of every entry of the trust file, or with --role out of those of one
role. An entry without keys is gone; one that would have fewer keys than it needs is
refused. KEY is a public key file, the name of a key in the folder of this user's keys,
or a key id as "mythos trust list --json" shows it. It counts from the next command on.`,
		Example: "  mythos trust remove release.pub\n  mythos trust remove sha256:... --role verifier",
		RunE: func(cmd *cobra.Command, list []string) error {
			o.key = list[0]
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&o.role, "role", "", "only in entries of this `ROLE`")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 6, 7)
}

func (o *trustRemoveOptions) run(ctx context.Context) error {
	var role sig.Role
	if o.role != "" {
		var err error
		if role, err = parseRole(o.role); err != nil {
			return err
		}
	}
	return o.withNode(func(n *node.Node) error {
		id, err := o.keyID(n, o.key)
		if err != nil {
			return err
		}
		held, err := n.RemoveTrust(ctx, role, id)
		switch {
		case err != nil:
			return err
		case o.json:
			return o.printJSON(struct {
				Schema  string   `json:"schema"`
				KeyID   cid.Hash `json:"key_id"`
				Entries int      `json:"entries"` // that held it
			}{"mythos.trust.remove/1", id, held})
		}
		return o.printf("%s is taken out of %d %s\n", id, held, plural(held, "entry", "entries"))
	})
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// keyID returns the id of the key that a command names: by its id, or as findKey
// reads it.
func (a *app) keyID(n *node.Node, name string) (cid.Hash, error) {
	if strings.HasPrefix(name, "sha256:") {
		return cid.Parse(name)
	}
	_, agent, _, err := a.findKey(n, name)
	return agent.KeyID(), err
}
