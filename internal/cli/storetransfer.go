package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/cas/export"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/node"
)

type storeExportOptions struct {
	*app
	out  string
	gzip bool
}

func newStoreExport(a *app) *cobra.Command {
	o := &storeExportOptions{app: a}
	cmd := &cobra.Command{
		Use: "export CID...", Short: "Write objects, with all that belongs to them, into one file", Args: args(cobra.MinimumNArgs(1)),
		Long: `Write objects, with all that belongs to them, into one tar file that "mythos store
import" reads where there is no network: of a package its manifest, artifacts and the
files of its trees, and the attestations about it that are known here. A name that ends in gz is compressed. If a part is missing,
nothing is written.`,
		Example: "  mythos store export sha256:... -o demo.tgz\n  mythos store export 5b1f0c | ssh there mythos store import -",
		RunE:    func(cmd *cobra.Command, list []string) error { return o.export(cmd.Context(), list) },
	}
	cmd.Flags().StringVarP(&o.out, "output", "o", "", "file to write instead of standard output")
	cmd.Flags().BoolVarP(&o.gzip, "gzip", "z", false, "compress, whatever the file's name")
	return exits(cmd, 3, 6, 7)
}

func (o *storeExportOptions) export(ctx context.Context, list []string) error {
	toFile := o.out != "" && o.out != "-"
	if !toFile && term.IsTerminal(o.Out) {
		return usagef("standard output is a terminal; export to a file with -o, or to a pipe")
	}
	return o.withNode(func(n *node.Node) error {
		var ids []cid.Hash
		for _, arg := range list {
			p, err := parseID(arg)
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
	if err := f.Commit(); err != nil {
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
package is verified when it is run.`,
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
			if errors.Is(err, export.ErrFormat) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = aboutInput(path, err)
			}
			return err
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

func newStoreQuota(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "quota [SIZE|none]", Short: "Show or set how large the store may become", Args: args(cobra.MaximumNArgs(1)),
		Long: `Show or set how large the store may become, as bytes or with K, M, G or T behind the
number for powers of 1024. What would not fit is refused with store_full; what is
stored stays. It counts the files of objects and packs.`,
		Example: "  mythos store quota 20G\n  mythos store quota none\n  mythos store quota",
		RunE:    func(_ *cobra.Command, list []string) error { return a.quota(list) },
	}
	return exits(cmd, 7)
}

func (a *app) quota(list []string) error {
	limit := int64(0)
	if len(list) == 1 && list[0] != "none" {
		var err error
		if limit, err = parseSize(list[0]); err != nil {
			return err
		}
	}
	return a.withNode(func(n *node.Node) error {
		s, err := n.Store()
		if err != nil {
			return err
		}
		if len(list) == 1 {
			return s.SetQuota(limit)
		}
		q, err := s.Quota()
		switch {
		case err != nil:
			return err
		case q == 0:
			return a.printf("none\n")
		}
		return a.printf("%d\n", q)
	})
}

// parseSize reads a number of bytes, at least one.
func parseSize(text string) (int64, error) {
	digits, shift := text, 0
	if i := strings.IndexAny("KMGT", text[max(0, len(text)-1):]); i >= 0 && text != "" {
		digits, shift = text[:len(text)-1], 10*(i+1)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > 1<<62>>shift {
		return 0, usagef("%.40q is no size: give bytes, or a number with K, M, G or T", text)
	}
	return n << shift, nil
}
