package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/pack"
)

type pushOptions struct {
	*app
	node.PushOptions
	insecure bool
	json     bool
}

func newPush(a *app) *cobra.Command {
	o := &pushOptions{app: a}
	cmd := &cobra.Command{
		Use: "push PACKAGE REMOTE", Short: "Copy a package to a remote", Args: args(cobra.ExactArgs(2)), GroupID: groupRemotes,
		Long: `Copy a package, with all it consists of and what verifiers attest of it, to a remote,
and print its manifest CID. PACKAGE is a packed folder, a .mythos.tgz, an OCI layout or
the manifest CID of a package in the local store. What is there is left out, and the
manifest goes last: a push that is cut off shows nothing half, and the next one goes on.

` + remotesHelp + `

An OCI registry gets the tag that the URL has, oci://HOST/REPOSITORY:TAG, or the version
for one.`,
		Example: "  mythos push dist/demo-001-0.1.0 https://registry.example\n  mythos push sha256:... s3://packages/mythos\n  mythos push dist/demo-001-0.1.0.mythos.tgz oci://registry.example/demo:0.1.0",
		RunE:    func(cmd *cobra.Command, list []string) error { return o.push(cmd.Context(), list) },
	}
	o.flags(cmd)
	return exits(cmd, 3, 4, 5, 6, 7)
}

func newPublish(a *app) *cobra.Command {
	o := &pushOptions{app: a, PushOptions: node.PushOptions{Publish: true}}
	cmd := &cobra.Command{
		Use: "publish PACKAGE REMOTE", Short: "Copy a package to a remote, to be found by name and version", Args: args(cobra.ExactArgs(2)), GroupID: groupRemotes,
		Long: `Push a package and make it the one of its name and version there, for ever: a version
that stands for another package is refused with version_taken. A registry checks the
publishers' signatures with their public keys. Those of the trust file, of this home and
of who packed here are known; give others with --publisher.

` + remotesHelp,
		Example: "  mythos publish dist/demo-001-0.1.0 https://registry.example\n  mythos publish sha256:... /mnt/packages --publisher release.pub",
		RunE:    func(cmd *cobra.Command, list []string) error { return o.push(cmd.Context(), list) },
	}
	cmd.Flags().StringArrayVar(&o.Publishers, "publisher", nil, "key `FILE` of a publisher who signed, public or secret; may be repeated")
	o.flags(cmd)
	return exits(cmd, 3, 4, 5, 6, 7)
}

func (o *pushOptions) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.insecure, "insecure", false, insecureUsage)
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
}

// pushView is what push --json and publish --json print.
type pushView struct {
	Schema       string     `json:"schema"`
	Remote       string     `json:"remote"`
	ManifestCID  cid.Hash   `json:"manifest_cid"`
	PackageID    cid.Hash   `json:"package_id"`
	Name         string     `json:"name"`
	Version      string     `json:"version"`
	Objects      int64      `json:"objects"`     // that were sent
	Bytes        int64      `json:"bytes"`       // of those
	BytesThere   int64      `json:"bytes_there"` // that were there
	Attestations int        `json:"attestations"`
	OCIDigest    *cid.Hash  `json:"oci_digest"` // of the artifact; null but for an OCI registry
	Publishers   []cid.Hash `json:"publishers"` // key ids that the index was told; empty after push
}

func (o *pushOptions) push(ctx context.Context, list []string) error {
	o.Package, o.To, o.RemoteOptions = list[0], list[1], o.remoteOptions(o.insecure)
	show := o.newTransferring("pushed")
	defer show.done()
	o.Transfer = show.options()
	return o.withNode(func(n *node.Node) error {
		p, err := n.Push(ctx, o.PushOptions)
		show.done()
		if err != nil {
			return o.failed(err)
		}
		if !o.json {
			o.note("%s %s: sent %d objects, %s; %s were there", p.Name, p.Version, p.Objects, byteSize(p.Bytes), byteSize(p.Skipped))
			if !p.Artifact.IsZero() {
				o.note("the digest of its OCI artifact is %s", p.Artifact)
			}
			return o.printf("%s\n", p.Manifest)
		}
		v := pushView{
			"mythos.push/1", o.To, p.Manifest, p.PackageID, p.Name, p.Version, p.Objects, p.Bytes, p.Skipped, p.Attestations, nil, []cid.Hash{},
		}
		if !p.Artifact.IsZero() {
			v.OCIDigest = &p.Artifact
		}
		if o.Publish {
			v.Schema = "mythos.publish/1"
		}
		for _, a := range p.Publishers {
			v.Publishers = append(v.Publishers, a.KeyID())
		}
		return o.printJSON(v)
	})
}

// failed says what to do about an error of a push.
func (o *pushOptions) failed(err error) error {
	if errors.Is(err, pack.ErrNotFound) && strings.Contains(o.Package, "://") {
		return &hinted{err, "The package comes first, then the remote: mythos push PACKAGE REMOTE"}
	}
	if errors.Is(err, cas.ErrFull) { // nothing was stored here
		return &hinted{fmt.Errorf("%s: %w", o.To, err), "The remote has no room: its operator may free some, or raise its quota. What has arrived there stays."}
	}
	return aboutRemote(o.To, err)
}
