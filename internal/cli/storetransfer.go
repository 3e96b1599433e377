package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/export"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/pack"
)

// ErrExportExists is the code of an export that would replace something.
const ErrExportExists fault.Code = "export_exists"

type storeExportOptions struct {
	*app
	out   string
	gzip  bool
	force bool
}

func newStoreExport(a *app) *cobra.Command {
	o := &storeExportOptions{app: a}
	cmd := &cobra.Command{
		Use: "export CID...", Short: "Write objects, with all that belongs to them, into one file", Args: args(cobra.MinimumNArgs(1)),
		Long: `Write objects, with all that belongs to them, into one tar file that "mythos store
import" reads where there is no network: of a package its manifest, artifacts and the
files of its trees, and the attestations about it that are known here. A name that
ends in gz is compressed. If a part is missing, nothing is written. A file that is
there is not replaced without --force, and what is no file, such as a folder or a
link, not even then.`,
		Example: "  mythos store export sha256:... -o demo.tgz\n  mythos store export 5b1f0c | ssh there mythos store import -",
		RunE:    func(cmd *cobra.Command, list []string) error { return o.export(cmd.Context(), list) },
	}
	cmd.Flags().StringVarP(&o.out, "output", "o", "", "file to write instead of standard output")
	cmd.Flags().BoolVarP(&o.gzip, "gzip", "z", false, "compress, whatever the file's name")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace a file of that name")
	return exits(cmd, 3, 6, 7)
}

func (o *storeExportOptions) export(ctx context.Context, list []string) error {
	toFile := o.out != "" && o.out != "-"
	if !toFile && term.IsTerminal(o.Out) {
		return usagef("standard output is a terminal; export to a file with -o, or to a pipe")
	}
	if toFile {
		if err := o.inTheWay(); err != nil {
			return err
		}
	}
	return o.withNode(func(n *node.Node) error {
		var ids []cid.Hash
		for _, arg := range list {
			p, err := parseObject(arg)
			if err != nil {
				return err
			}
			s, err := n.Objects()
			if err != nil {
				return err
			}
			id, err := stored(ctx, s, p)
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		progress := term.NewProgress(o.Err, o.Getenv)
		defer progress.Done()
		opt := export.Options{
			Gzip:     o.gzip || strings.HasSuffix(o.out, "gz"),
			Progress: func(objects int, bytes int64) { progress.Update("%d objects, %s", objects, byteSize(bytes)) },
		}
		if !toFile {
			_, err := n.Export(ctx, o.Out, ids, opt)
			return err
		}
		return o.toFile(ctx, n, ids, opt)
	})
}

// inTheWay refuses to replace what the file may not replace.
func (o *storeExportOptions) inTheWay() error {
	info, err := os.Lstat(o.out)
	switch {
	case err != nil:
		return nil // what else is wrong is seen when it is written
	case !info.Mode().IsRegular():
		err = fault.New(ErrExportExists, "what is there is no file, and is never replaced").About(o.out)
		return &hinted{err, "Nothing was replaced. Name another file with -o."}
	case !o.force:
		return errExportExists(o.out)
	}
	return nil
}

func errExportExists(path string) error {
	return fault.New(ErrExportExists, "there is a file of that name").About(path)
}

// toFile writes the export whole or not at all.
func (o *storeExportOptions) toFile(ctx context.Context, n *node.Node, ids []cid.Hash, opt export.Options) error {
	f, err := atomicfile.Create(o.out, 0o644)
	if err != nil {
		return fileError(o.out, err)
	}
	defer f.Close()
	count, err := n.Export(ctx, f, ids, opt)
	if err != nil {
		if fault.CodeOf(err) == "" && ctx.Err() == nil {
			err = fileError(o.out, err)
		}
		return err
	}
	commit := f.CommitNew
	if o.force {
		commit = f.Commit
	}
	err = commit()
	switch {
	case errors.Is(err, fs.ErrExist):
		return errExportExists(o.out)
	case err != nil:
		return fileError(o.out, err)
	}
	o.note("exported %d objects to %s", count, o.out)
	return nil
}

type storeImportOptions struct {
	*app
	json bool
}

func newStoreImport(a *app) *cobra.Command {
	o := &storeImportOptions{app: a}
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Store what an export holds", Args: args(cobra.ExactArgs(1)),
		Long: `Store what "mythos store export" wrote, from a file or, as "-", from standard input,
and print the CIDs that were asked for there. Each object is checked against its hash.
An export that is damaged or ends early is refused. Nothing in it is trusted by this: a
package is verified when it is run. What is damaged in the store is not replaced by
this, but named: "mythos store verify --repair --from FILE" takes good copies from an
export.`,
		Example: "  mythos store import demo.tgz\n  mythos store import - < demo.tgz",
		RunE:    func(cmd *cobra.Command, list []string) error { return o.importFrom(cmd.Context(), list[0]) },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 7)
}

func (o *storeImportOptions) importFrom(ctx context.Context, path string) error {
	in := o.In
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return inputError(path, err)
		}
		defer f.Close()
		in = f
	}
	return o.withNode(func(n *node.Node) error {
		progress := term.NewProgress(o.Err, o.Getenv)
		defer progress.Done()
		x, err := n.Import(ctx, in, func(objects int, bytes int64) { progress.Update("%d objects, %s", objects, byteSize(bytes)) })
		if err != nil {
			return importError(ctx, path, err)
		}
		progress.Done()
		if o.json {
			return o.printJSON(struct {
				Schema  string     `json:"schema"`
				Roots   []cid.Hash `json:"roots"`
				Objects int        `json:"objects"`
				Bytes   int64      `json:"bytes"`
			}{"mythos.store.import/1", append([]cid.Hash{}, x.Roots...), x.Objects, x.Bytes})
		}
		for _, root := range x.Roots {
			if err := o.printf("%s\n", root); err != nil {
				return err
			}
		}
		return nil
	})
}

// importError says what to do about an import that failed.
func importError(ctx context.Context, path string, err error) error {
	switch {
	case errors.Is(err, cas.ErrCorrupt) && path == "-":
		return &hinted{err, "Save the export as FILE, then: mythos store verify --repair --from FILE, and import it again."}
	case errors.Is(err, cas.ErrCorrupt):
		return &hinted{err, "Repair it from this export, then import again: mythos store verify --repair --from " + path}
	case errors.Is(err, export.ErrFormat) && isPacked(ctx, path):
		return &hinted{aboutInput(path, err), "It is a package and not an export: mythos store put " + path}
	case errors.Is(err, export.ErrFormat), errors.Is(err, io.ErrUnexpectedEOF):
		return aboutInput(path, err)
	}
	return err
}

// isPacked reports whether a path leads to a package in a local form.
func isPacked(ctx context.Context, path string) bool {
	src, err := pack.Open(ctx, path, pack.OpenOptions{})
	return err == nil && src.Close() == nil
}

// exported is an export that was unpacked into a store of its own, for a repair that
// takes good copies from it.
type exported struct {
	*local.Store
	dir string
}

// openExported unpacks an export below a folder.
func openExported(ctx context.Context, path, below string) (x *exported, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, inputError(path, err)
	}
	defer f.Close()
	if err := atomicfile.MkdirAll(below, 0o700); err != nil {
		return nil, fileError(below, err)
	}
	x = &exported{}
	if x.dir, err = os.MkdirTemp(below, "export-"); err != nil {
		return nil, fileError(below, err)
	}
	if x.Store, err = local.Open(x.dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(x.dir))
	}
	if _, err := export.Read(ctx, f, x.Store, nil); err != nil {
		return nil, errors.Join(aboutInput(path, err), x.Close())
	}
	return x, nil
}

// Close removes what was unpacked.
func (x *exported) Close() error { return errors.Join(x.Store.Close(), os.RemoveAll(x.dir)) }
