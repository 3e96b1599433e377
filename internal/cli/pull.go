package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/node"
)

// fetchFlags are the flags of commands that pull.
type fetchFlags struct {
	node.PullOptions
	insecure bool
}

func (f *fetchFlags) bind(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.From, "from", nil, "`URL` of a remote to pull from; may be repeated, tried in order (default those of MYTHOS_REMOTES)")
	cmd.Flags().BoolVar(&f.AllowDowngrade, "allow-downgrade", false, "take a version that is older than one that was pulled or run here")
	cmd.Flags().BoolVar(&f.insecure, "insecure", false, insecureUsage)
}

// options completes what the flags say.
func (f *fetchFlags) options(t *transferring) node.PullOptions {
	f.RemoteOptions, f.Transfer = t.remoteOptions(f.insecure), t.options()
	return f.PullOptions
}

type pullOptions struct {
	*app
	fetchFlags
	ref  string
	pin  bool
	json bool
}

func newPull(a *app) *cobra.Command {
	o := &pullOptions{app: a}
	cmd := &cobra.Command{
		Use: "pull REFERENCE", Short: "Fetch a package from remotes into the local store", Args: args(cobra.ExactArgs(1)), GroupID: groupRemotes,
		Long: `Fetch a package, with all it consists of and what verifiers attest of it, into the
local store, check it as "mythos verify" does, and print its manifest CID. REFERENCE is a
manifest CID, NAME@VERSION, NAME for the newest version, or oci://HOST/REPOSITORY:TAG
(or @sha256:...).

Remotes are tried in order for every object and believed nothing; one that fails or
lies is named. What is in the store is left out, and a pull that is cut off goes on
where it stopped. A name never leads back to a version older than one that was pulled
or run here, unless --allow-downgrade is given.

A pull adds no trust: what an unknown publisher signed is fetched and is not run. The
store keeps what was pulled until "mythos store gc"; --pin keeps it for longer.

` + remotesHelp,
		Example: "  mythos pull sha256:... --from https://registry.example\n  mythos pull demo-001@0.1.0\n  mythos pull oci://registry.example/demo:0.1.0 --json",
		RunE: func(cmd *cobra.Command, list []string) error {
			o.ref = list[0]
			return o.pull(cmd.Context())
		},
	}
	o.bind(cmd)
	cmd.Flags().BoolVar(&o.pin, "pin", false, "keep it when the store is collected")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 4, 5, 6, 7)
}

// pullView is what pull --json prints.
type pullView struct {
	Schema       string        `json:"schema"`
	Reference    string        `json:"reference"`
	ManifestCID  cid.Hash      `json:"manifest_cid"`
	PackageID    cid.Hash      `json:"package_id"`
	Name         string        `json:"name"`
	Version      string        `json:"version"`
	Objects      int64         `json:"objects"`      // that came
	Bytes        int64         `json:"bytes"`        // of those
	BytesThere   int64         `json:"bytes_there"`  // that were there
	Attestations int           `json:"attestations"` // that remotes have about it
	Trusted      bool          `json:"trusted"`      // it is sound, and this node trusts its publisher
	Signers      []signerView  `json:"signers"`      // known keys whose signatures verify
	Failures     []failureView `json:"failures"`     // of its verification here
	Trouble      []troubleView `json:"trouble"`      // remotes that failed or lied
}

func (o *pullOptions) pull(ctx context.Context) error {
	if _, err := node.ParseReference(o.ref); errors.Is(err, cid.ErrText) {
		return fault.New(node.ErrPackageRef, "%w", err)
	}
	show := o.newTransferring("pulled")
	defer show.done()
	return o.withNode(func(n *node.Node) error {
		p, err := n.Pull(ctx, o.ref, o.options(show))
		show.done()
		if err != nil {
			return aboutReference(o.ref, o.From, err)
		}
		if o.pin {
			if _, err := n.Pin(ctx, p.Manifest); err != nil {
				return err
			}
		}
		show.tell()
		r, err := n.Verify(ctx, p.Manifest.String())
		if err != nil {
			return err
		}
		v := newVerifyView("mythos.verify.result/1", r)
		if err := o.print(p, v, show); err != nil {
			return err
		}
		if o.untrusted(p, v) {
			return nil
		}
		return v.failure(p.Manifest.String())
	})
}

func (o *pullOptions) print(p *node.Pulled, v verifyView, show *transferring) error {
	if o.json {
		return o.printJSON(pullView{
			"mythos.pull/1", o.ref, p.Manifest, p.PackageID, p.Name, p.Version, p.Objects, p.Bytes, p.Skipped,
			p.Attestations, v.OK, v.Signers, v.Failures, show.troubles(),
		})
	}
	o.note("%s %s: %d objects came, %s; %s were there", p.Name, p.Version, p.Objects, byteSize(p.Bytes), byteSize(p.Skipped))
	return o.printf("%s\n", p.Manifest)
}

// untrusted says what to type if all that lacks is trust, and whether it is so.
func (o *pullOptions) untrusted(p *node.Pulled, v verifyView) bool {
	for _, f := range v.Failures {
		if f.Code != manifest.ErrSignerUnknown && f.Code != manifest.ErrSignerThreshold {
			return false
		}
	}
	for _, f := range v.Failures {
		o.note("it is here and not trusted: %s (%s)", f.Message, f.Code)
		o.note("once you have its publisher's public key from the publisher: mythos trust add publisher FILE --name '%s'", p.Name)
	}
	return len(v.Failures) > 0
}
