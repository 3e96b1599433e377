package cli

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/node"
)

type packOptions struct {
	*app
	node.PackOptions
	oci      string
	insecure bool
	json     bool
}

func newPack(a *app) *cobra.Command {
	o := &packOptions{app: a}
	cmd := &cobra.Command{
		Use: "pack DIR -o OUT", Short: "Turn a source folder into a signed package", GroupID: groupPackages,
		Long: `Turn a source folder into a signed package.

DIR holds manifest.src.json. Modules that name a build command are built, IR text
is assembled, everything is checked as it will be when the package is loaded, and
OUT/NAME-VERSION and OUT/NAME-VERSION.mythos.tgz are written, each whole or not
at all. The same sources and key always give the same bytes. With --oci the package is
written as an OCI artifact too, or, without -o, only as that.

Without --key the local dev key signs. It is made on first use, and counts only
for packages that were packed under this MYTHOS_HOME.`,
		Example: "  mythos pack packages/demo-001 -o dist\n  mythos pack . -o dist --key publisher.key --json\n  mythos pack . --oci layout",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, list []string) error {
			o.Dir = list[0]
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.Out, "out", "o", "", "the `FOLDER` to write to, made if missing")
	ociFlags(f, &o.oci, &o.insecure)
	f.StringVar(&o.Key, "key", "", "the key that signs: a key `FILE`, env:NAME or fd:N (default the local dev key)")
	f.BoolVar(&o.AllowSecrets, "allow-secrets", false, "pack files that look like private keys or passwords")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 4, 6, 7)
}

// packView is the object that pack --json prints.
type packView struct {
	Schema        string    `json:"schema"`
	Name          string    `json:"name"`
	Version       string    `json:"version"`
	PackageID     cid.Hash  `json:"package_id"`
	ManifestCID   cid.Hash  `json:"manifest_cid"`
	Folder        string    `json:"folder"`  // "" if only an artifact was asked for
	Archive       string    `json:"archive"` // as folder
	ArchiveSHA256 cid.Hash  `json:"archive_sha256"`
	Signer        cid.Hash  `json:"signer"`     // key id
	OCI           string    `json:"oci"`        // "" without --oci
	OCIDigest     *cid.Hash `json:"oci_digest"` // null without --oci
}

// ociFlags adds the flags that say where an OCI artifact is written.
func ociFlags(f *pflag.FlagSet, place *string, insecure *bool) {
	f.StringVar(place, "oci", "", "write an OCI artifact: `PLACE` is a folder, for an image layout, or oci://HOST/REPOSITORY[:TAG]")
	f.BoolVar(insecure, "insecure", false, "speak plain HTTP to the registry of --oci")
}

func (o *packOptions) run(ctx context.Context) error {
	if o.Out == "" && o.oci == "" {
		return usagef("say where to write the package with -o OUT or --oci PLACE")
	}
	progress := term.NewProgress(o.Err, o.Getenv)
	defer progress.Done()
	progress.Update("packing %s ...", o.Dir)
	return o.withNode(func(n *node.Node) error {
		v, err := o.pack(ctx, n)
		progress.Done()
		o.noteCache(n)
		if err != nil {
			return err
		}
		return o.print(v)
	})
}

// pack packs, and without a folder to write to keeps the artifact alone.
func (o *packOptions) pack(ctx context.Context, n *node.Node) (v packView, err error) {
	staged := o.Out == ""
	if staged {
		if o.Out, err = os.MkdirTemp("", "mythos-pack-*"); err != nil {
			return v, fileError("temporary folder", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.Out)) }()
	}
	b, signer, err := n.Pack(ctx, o.PackOptions)
	if err != nil {
		return v, err
	}
	v = packView{
		Schema: "mythos.pack.result/1", Name: b.Name, Version: b.Version, PackageID: b.PackageID, ManifestCID: b.ManifestCID,
		Folder: b.Folder, Archive: b.Archive, ArchiveSHA256: b.ArchiveSHA256, Signer: signer.KeyID(),
	}
	if o.oci != "" {
		src, err := n.OpenPackage(ctx, b.Folder)
		if err != nil {
			return v, err
		}
		a, err := n.WriteArtifact(ctx, src, o.oci, node.RemoteOptions{Insecure: o.insecure, Getenv: o.Getenv})
		if err = errors.Join(err, src.Close()); err != nil {
			return v, err
		}
		v.OCI, v.OCIDigest = a.Reference, &a.Digest
	}
	if staged {
		v.Folder, v.Archive = "", ""
	}
	return v, nil
}

func (o *packOptions) print(v packView) error {
	if o.json {
		return o.printJSON(v)
	}
	t := term.NewTable()
	t.Row("package", v.Name+" "+v.Version)
	t.Row("package_id", v.PackageID.String())
	t.Row("manifest_cid", v.ManifestCID.String())
	if v.Folder != "" {
		t.Row("folder", v.Folder)
		t.Row("archive", v.Archive)
		t.Row("archive_sha256", v.ArchiveSHA256.String())
	}
	if v.OCI != "" {
		t.Row("oci", v.OCI)
		t.Row("oci_digest", v.OCIDigest.String())
	}
	t.Row("signed by", v.Signer.String())
	return o.printTable(t)
}
