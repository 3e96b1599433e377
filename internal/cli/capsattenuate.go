package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

type capsAttenuateOptions struct {
	*app
	powerFlags
	linkFlags
	proof string
}

func newCapsAttenuate(a *app) *cobra.Command {
	o := &capsAttenuateOptions{app: a}
	cmd := &cobra.Command{
		Use: "attenuate PROOF --key KEY --to KEY", Short: "Pass on a capability, or less of it", Args: args(cobra.ExactArgs(1)),
		Long: `Pass on a capability, or less of it: add a link to a proof. Nobody is asked and no
network is needed. --key is the key that the proof was issued to, if it is delegable, or
the one that issued its last link. What no flag narrows stays as it is; a --where on an
argument that the proof bounds already must be at least as narrow. A link that is wider
than its parent anywhere is refused, and the message names where: no node would accept
it. PROOF is a file, "-" is standard input.

The new link is not delegable unless --delegable says so. For "mythos run --cap" its
--to is the executor, and the run is started with the same --key.`,
		Example: "  mythos caps attenuate alice.cap --key alice.key --to executor --calls 2 --where amount:le=100 -o call.cap\n" +
			"  mythos caps attenuate alice.cap --key alice.key --to bob.pub --expires 30m --delegable -o - | mail-to-bob\n" +
			"  mythos caps attenuate net.cap --key alice.key --to executor --grant net=api.example.com,GET",
		RunE: func(cmd *cobra.Command, list []string) error {
			o.proof = list[0]
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.key, "key", "", "the holder's `KEY`: a key file, the name of a key of yours, env:NAME or fd:N (required)")
	o.bindLimits(f)
	o.bindPower(f)
	o.linkFlags.bind(f, "when its parent ends")
	return exits(cmd, 3, 4, 6)
}

func (o *capsAttenuateOptions) run(ctx context.Context) error {
	return o.withNode(func(n *node.Node) error {
		parent, err := o.readProof(o.proof)
		if err != nil {
			return err
		}
		key, err := o.secretNamed(n, o.key, "the proof's holder")
		if err != nil {
			return err
		}
		leaf := parent.Leaf()
		if err := mayExtend(key, leaf); err != nil {
			return about(o.proof, err)
		}
		child := caps.Capability{Delegable: o.delegable, RevocationRequired: o.revocation || leaf.RevocationRequired}
		if child.Subject, err = o.agentNamed(n, "--to", o.to); err != nil {
			return err
		}
		if child.Scope, err = o.narrowed(ctx, n, leaf.Scope); err != nil {
			return err
		}
		if err := o.window(&child, leaf); err != nil {
			return err
		}
		p, err := caps.Attenuate(parent, child, key)
		if err != nil {
			return about("the new link", err)
		}
		return o.writeProof(n, p, o.out, o.json)
	})
}

// mayExtend reports whether a key may add a link below a leaf.
func mayExtend(key sig.Signer, leaf caps.Capability) error {
	if a := key.Agent(); !a.Equal(leaf.Subject) && !a.Equal(leaf.Issuer) {
		return fault.New(node.ErrNotHolder, "only %s, which it was issued to, and %s, which issued it, may add a link; --key is %s",
			leaf.Subject.KeyID(), leaf.Issuer.KeyID(), a.KeyID())
	}
	return nil
}

// narrowed returns the parent's scope with what the flags change.
func (o *capsAttenuateOptions) narrowed(ctx context.Context, n *node.Node, parent caps.Scope) (caps.Scope, error) {
	if o.grant != "" || o.kind != "" {
		return o.build(ctx, n)
	}
	call, ok := toolCall(parent)
	if !ok {
		if o.limited() || o.pkg != "" {
			return parent, usagef("the proof is of kind %s: give the narrower power with --grant or --kind and --scope", caps.KindName(parent.Kind))
		}
		return parent, nil
	}
	err := o.limit(ctx, n, &call)
	return caps.ScopeOf(&call), err
}

// window sets when the child counts: from now, and as long as its parent unless a flag
// says so.
func (o *capsAttenuateOptions) window(child *caps.Capability, parent caps.Capability) error {
	now := o.Clock().Truncate(time.Second)
	from, err := now, error(nil)
	if o.notBefore != "" {
		if from, err = momentOrSpan("--not-before", o.notBefore, now); err != nil {
			return err
		}
	} else if start := time.UnixMicro(parent.NotBefore); from.Before(start) {
		from = start
	}
	child.NotBefore, child.ExpiresAt = from.UnixMicro(), parent.ExpiresAt
	if o.expires != "" {
		ends, err := momentOrSpan("--expires", o.expires, from)
		if err != nil {
			return err
		}
		child.ExpiresAt = ends.UnixMicro()
	}
	return nil
}
