package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/pack"
)

type unpackOptions struct {
	*app
	pkg, out, oci string
	archive       bool
	insecure      bool
	json          bool
}

func newUnpack(a *app) *cobra.Command {
	o := &unpackOptions{app: a}
	cmd := &cobra.Command{
		Use: "unpack PACKAGE -o OUT", Short: "Write a package in another form", GroupID: groupPackages,
		Long: `Write a package in another form: as the folder OUT/NAME-VERSION, with --archive as
OUT/NAME-VERSION.mythos.tgz, with --oci as an OCI artifact. All forms of a package have
one manifest CID. Every byte is held against the hashes in the manifest. Signatures are
not looked at: whoever runs the package or verifies it does that.

PACKAGE is a packed folder, a .mythos.tgz, an OCI image layout, or the manifest CID of
a package in the local store.`,
		Example: "  mythos unpack demo-001-0.1.0.mythos.tgz -o dist\n  mythos unpack sha256:... -o dist --archive\n  mythos unpack dist/demo-001-0.1.0 --oci layout",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, list []string) error {
			o.pkg = list[0]
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "out", "o", "", "the `FOLDER` to write to, made if missing")
	f.BoolVar(&o.archive, "archive", false, "write the archive instead of the folder")
	ociFlags(f, &o.oci, &o.insecure)
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 4, 6, 7)
}

// unpackView is the object that unpack --json prints.
type unpackView struct {
	Schema        string    `json:"schema"`
	Name          string    `json:"name"`
	Version       string    `json:"version"`
	PackageID     cid.Hash  `json:"package_id"`
	ManifestCID   cid.Hash  `json:"manifest_cid"`
	Folder        string    `json:"folder"`
	Archive       string    `json:"archive"`
	ArchiveSHA256 *cid.Hash `json:"archive_sha256"` // null without an archive
	OCI           string    `json:"oci"`
	OCIDigest     *cid.Hash `json:"oci_digest"` // null without an artifact
}

func (o *unpackOptions) run(ctx context.Context) error {
	switch {
	case o.out == "" && o.oci == "":
		return usagef("say where to write the package with -o OUT or --oci PLACE")
	case o.out == "" && o.archive:
		return usagef("say where to write the archive with -o OUT")
	}
	progress := term.NewProgress(o.Err, o.Getenv)
	defer progress.Done()
	progress.Update("unpacking %s ...", o.pkg)
	return o.withNode(func(n *node.Node) error {
		v, err := o.write(ctx, n)
		progress.Done()
		if err != nil {
			return err
		}
		return o.print(v)
	})
}

// write writes every form that was asked for.
func (o *unpackOptions) write(ctx context.Context, n *node.Node) (v unpackView, err error) {
	src, err := n.OpenPackage(ctx, o.pkg)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	var c *pack.Contents
	switch {
	case o.out == "":
		c, err = pack.List(ctx, src)
	case o.archive:
		var sum cid.Hash
		v.Archive, sum, c, err = pack.WriteArchive(ctx, src, o.out)
		v.ArchiveSHA256 = &sum
	default:
		v.Folder, c, err = pack.WriteFolder(ctx, src, o.out)
	}
	if err != nil {
		return v, err
	}
	v.Schema, v.Name, v.Version = "mythos.unpack.result/1", c.Name, c.Version
	v.PackageID, v.ManifestCID = c.PackageID, c.ManifestCID
	if o.oci == "" {
		return v, nil
	}
	a, err := n.WriteArtifact(ctx, src, o.oci, node.RemoteOptions{Insecure: o.insecure, Getenv: o.Getenv})
	v.OCI, v.OCIDigest = a.Reference, &a.Digest
	return v, err
}

func (o *unpackOptions) print(v unpackView) error {
	if o.json {
		return o.printJSON(v)
	}
	t := term.NewTable()
	t.Row("package", v.Name+" "+v.Version)
	t.Row("package_id", v.PackageID.String())
	t.Row("manifest_cid", v.ManifestCID.String())
	if v.Folder != "" {
		t.Row("folder", v.Folder)
	}
	if v.Archive != "" {
		t.Row("archive", v.Archive)
		t.Row("archive_sha256", v.ArchiveSHA256.String())
	}
	if v.OCI != "" {
		t.Row("oci", v.OCI)
		t.Row("oci_digest", v.OCIDigest.String())
	}
	return o.printTable(t)
}
