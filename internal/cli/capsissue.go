package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/node"
)

// linkFlags say who gets a link, and how long it counts.
type linkFlags struct {
	key, to            string
	notBefore, expires string
	delegable          bool
	revocation         bool
	out                string
	json               bool
}

func (l *linkFlags) bind(f *pflag.FlagSet, expires string) {
	f.StringVar(&l.to, "to", "", "who may use it: a public key `FILE`, the name of a key of yours such as executor, or the key in hex (required)")
	f.StringVar(&l.expires, "expires", "", "when it ends: a span as 90m, 24h or 7d, or a time in RFC 3339 (default "+expires+")")
	f.StringVar(&l.notBefore, "not-before", "", "when it begins: a span from now or a `TIME` (default now)")
	f.BoolVar(&l.delegable, "delegable", false, "whoever gets it may pass on less of it")
	f.BoolVar(&l.revocation, "revocation-required", false, "it counts only while a node has a fresh revocation list of its issuer")
	f.StringVarP(&l.out, "output", "o", "", "`FILE` to write, \"-\" for standard output (default the folder of this user's proofs)")
	f.BoolVar(&l.json, "json", false, "print one JSON object")
}

type capsIssueOptions struct {
	*app
	powerFlags
	linkFlags
}

// issueWindow is how long a capability lasts unless its issuer says so.
const issueWindow = time.Hour

func newCapsIssue(a *app) *cobra.Command {
	o := &capsIssueOptions{app: a}
	cmd := &cobra.Command{
		Use: "issue --key KEY --to KEY (--tool NAME | --grant POWER | --kind KIND --scope JSON)", Short: "Issue a capability", Args: args(cobra.NoArgs),
		Long: `Issue a capability, as the root of a chain: the owner of --key lets the owner of --to
use one power. It counts on the nodes that trust --key as an authority. Without
--delegable --to must be the executor that will act, and --key starts the run; with it
--to may be anybody, who passes it on with "mythos caps attenuate".

A constraint of --where is about an argument of the call, named by its JSON pointer:
  ` + caps.WhereForms + `
The value is JSON; what does not look like JSON is a text. A call without that
argument, or with one of another type, is denied.

The proof is written with mode 0600; it is no secret, but nobody else needs it.`,
		Example: "  mythos caps issue --key authority.key --to executor --tool greet/hello --in dist/greet-0.1.0 --calls 2 -o call.cap\n" +
			"  mythos caps issue --key authority.key --to alice.pub --tool pay/send --package dist/pay-1.0.0 --where amount:le=500 --where 'to:in=[\"acme\",\"beto\"]' --calls 10 --expires 24h --delegable\n" +
			"  mythos caps issue --key authority.key --to executor --tool sha256:... --request sha256:... --expires 10m\n" +
			"  mythos caps issue --key authority.key --to executor --grant net=api.example.com,GET",
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.key, "key", "", "the authority's `KEY`: a key file, the name of a key of yours, env:NAME or fd:N (required)")
	o.bindTool(f)
	o.bindLimits(f)
	o.bindPower(f)
	o.linkFlags.bind(f, "1h")
	return exits(cmd, 3, 4, 6)
}

func (o *capsIssueOptions) run(ctx context.Context) error {
	return o.withNode(func(n *node.Node) error {
		scope, err := o.build(ctx, n)
		if err != nil {
			return err
		}
		key, err := o.secretNamed(n, o.key, "the authority that issues it")
		if err != nil {
			return err
		}
		c := caps.Capability{Scope: scope, Delegable: o.delegable, RevocationRequired: o.revocation}
		if c.Subject, err = o.agentNamed(n, "--to", o.to); err != nil {
			return err
		}
		from := o.Clock().Truncate(time.Second)
		if o.notBefore != "" {
			if from, err = momentOrSpan("--not-before", o.notBefore, from); err != nil {
				return err
			}
		}
		ends := from.Add(issueWindow)
		if o.expires != "" {
			if ends, err = momentOrSpan("--expires", o.expires, from); err != nil {
				return err
			}
		}
		if !ends.After(from) {
			return usagef("--expires is %s, which is not after it begins, %s", ends.Format(time.RFC3339), from.Format(time.RFC3339))
		}
		c.NotBefore, c.ExpiresAt = from.UnixMicro(), ends.UnixMicro()
		raw, _, err := caps.Issue(c, key)
		if err != nil {
			return err
		}
		p, err := caps.DecodeProof(caps.EncodeProof([][]byte{raw}))
		if err != nil {
			return err
		}
		return o.writeProof(n, p, o.out, o.json)
	})
}
