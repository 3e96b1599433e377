package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/node"
)

type packOptions struct {
	*app
	node.PackOptions
	json bool
}

func newPack(a *app) *cobra.Command {
	o := &packOptions{app: a}
	cmd := &cobra.Command{
		Use: "pack DIR -o OUT", Short: "Turn a source folder into a signed package", GroupID: groupPackages,
		Long: `Turn a source folder into a signed package.

DIR holds manifest.src.json. Modules that name a build command are built, IR text
is assembled, everything is checked as it will be when the package is loaded, and
OUT/NAME-VERSION and OUT/NAME-VERSION.mythos.tgz are written, each whole or not
at all. The same sources and key always give the same bytes.

Without --key the local dev key signs. It is made on first use, and counts only
for packages that were packed under this MYTHOS_HOME.`,
		Example: "  mythos pack packages/demo-001 -o dist\n  mythos pack . -o dist --key publisher.key --json",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, list []string) error {
			o.Dir = list[0]
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.Out, "out", "o", "", "the `FOLDER` to write to, made if missing")
	f.StringVar(&o.Key, "key", "", "the key that signs: a key `FILE`, env:NAME or fd:N (default the local dev key)")
	f.BoolVar(&o.AllowSecrets, "allow-secrets", false, "pack files that look like private keys or passwords")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 4, 6, 7)
}

// packView is the object that pack --json prints.
type packView struct {
	Schema        string   `json:"schema"`
	Name          string   `json:"name"`
	Version       string   `json:"version"`
	PackageID     cid.Hash `json:"package_id"`
	ManifestCID   cid.Hash `json:"manifest_cid"`
	Folder        string   `json:"folder"`
	Archive       string   `json:"archive"`
	ArchiveSHA256 cid.Hash `json:"archive_sha256"`
	Signer        cid.Hash `json:"signer"` // key id
}

func (o *packOptions) run(ctx context.Context) error {
	if o.Out == "" {
		return usagef("say where to write the package with -o OUT")
	}
	progress := term.NewProgress(o.Err, o.Getenv)
	defer progress.Done()
	progress.Update("packing %s ...", o.Dir)
	return o.withNode(func(n *node.Node) error {
		b, signer, err := n.Pack(ctx, o.PackOptions)
		progress.Done()
		o.noteCache(n)
		if err != nil {
			return err
		}
		return o.print(packView{
			Schema: "mythos.pack.result/1", Name: b.Name, Version: b.Version, PackageID: b.PackageID, ManifestCID: b.ManifestCID,
			Folder: b.Folder, Archive: b.Archive, ArchiveSHA256: b.ArchiveSHA256, Signer: signer.KeyID(),
		})
	})
}

func (o *packOptions) print(v packView) error {
	if o.json {
		return o.printJSON(v)
	}
	t := term.NewTable()
	t.Row("package", v.Name+" "+v.Version)
	t.Row("package_id", v.PackageID.String())
	t.Row("manifest_cid", v.ManifestCID.String())
	t.Row("folder", v.Folder)
	t.Row("archive", v.Archive)
	t.Row("archive_sha256", v.ArchiveSHA256.String())
	t.Row("signed by", v.Signer.String())
	return o.printTable(t)
}
