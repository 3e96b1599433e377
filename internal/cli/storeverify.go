package cli

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/export"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/pack/archive"
)

type storeVerifyOptions struct {
	*app
	repair   bool
	from     string
	insecure bool
	json     bool
}

func newStoreVerify(a *app) *cobra.Command {
	o := &storeVerifyOptions{app: a}
	cmd := &cobra.Command{
		Use: "verify", Short: "Read every stored object and name what is damaged", Args: args(cobra.NoArgs), SuggestFor: []string{"repair"},
		Long: `Read every stored object, hash it, and name each that is damaged; also check packs,
their indexes and tags. It changes nothing.

With --repair, fetch good copies of what is damaged from a remote (mythos pull --help
says which there are), from another store's folder, from the packed folder or archive
of a package, or from what "mythos store export" wrote, and put them in the place of
the damaged ones. What comes is checked like everything else, and damaged bytes are
given up only for good ones. A header that is damaged around good bytes is mended
without a copy.`,
		Example: "  mythos store verify\n  mythos store verify --repair --from https://registry.example\n  mythos store verify --repair --from /mnt/backup/store\n  mythos store verify --repair --from dist/demo-001-0.1.0.mythos.tgz --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.repair != (o.from != "") {
				return usagef("--repair and --from go together: say where good copies are")
			}
			return o.verify(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.repair, "repair", false, "replace what is damaged by good copies")
	f.StringVar(&o.from, "from", "", "where good copies are: the `URL` of a remote, the folder of a store, a package, or an export")
	f.BoolVar(&o.insecure, "insecure", false, insecureUsage)
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 4, 6, 7)
}

// storeVerifyView is what store verify --json prints.
type storeVerifyView struct {
	Schema   string            `json:"schema"`
	OK       bool              `json:"ok"`      // nothing is damaged, or all of it was repaired
	Objects  int64             `json:"objects"` // sound ones
	Bytes    int64             `json:"bytes"`   // of those
	Packs    int64             `json:"packs"`
	Unended  int64             `json:"packs_unended"` // with a write in progress, or one that a crash ended
	Damaged  []storeDamageView `json:"damaged"`
	Repaired int64             `json:"repaired"`
}

type storeDamageView struct {
	CID      *cid.Hash `json:"cid"` // null if it cannot be told, or is no object
	Path     string    `json:"path"`
	Offset   int64     `json:"offset"` // in a pack
	Problem  string    `json:"problem"`
	Repaired bool      `json:"repaired"`
}

func (o *storeVerifyOptions) verify(ctx context.Context) error {
	return o.withNode(func(n *node.Node) (err error) {
		s, err := n.Store()
		if err != nil {
			return err
		}
		progress := term.NewProgress(o.Err, o.Getenv)
		defer progress.Done()
		opt := local.VerifyOptions{Progress: func(bytes int64) { progress.Update("read %s", byteSize(bytes)) }}
		if o.repair {
			var from io.Closer
			if opt.Repair, from, err = o.copies(ctx, n); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, from.Close()) }()
		}
		v, err := s.Verify(ctx, opt)
		if err != nil {
			return err
		}
		progress.Done()
		if err := o.print(v); err != nil {
			return err
		}
		return damagesLeft(v)
	})
}

// copies opens what has good copies. What is no package may be an export.
func (o *storeVerifyOptions) copies(ctx context.Context, n *node.Node) (cas.Source, io.Closer, error) {
	from, closer, err := n.Mirror(ctx, o.from, o.remoteOptions(o.insecure))
	if err == nil || !errors.Is(err, archive.ErrNotCanonical) {
		return from, closer, err
	}
	x, none := openExported(ctx, o.from, n.Paths.Cache)
	switch {
	case errors.Is(none, export.ErrFormat):
		return nil, nil, err
	case none != nil:
		return nil, nil, none
	}
	return x, x, nil
}

func (o *storeVerifyOptions) print(v local.Verified) error {
	if o.json {
		x := storeVerifyView{
			"mythos.store.verify/1", damagesLeft(v) == nil, v.Objects, v.Bytes, v.Packs, v.Unended, []storeDamageView{}, v.Repaired,
		}
		for _, d := range v.Damaged {
			x.Damaged = append(x.Damaged, storeDamageView{orNone(d.CID), d.Path, d.Offset, d.Problem, d.Repaired})
		}
		return o.printJSON(x)
	}
	for _, d := range v.Damaged {
		if d.Repaired {
			if err := o.printf("repaired %s\n", damageName(d)); err != nil {
				return err
			}
		}
	}
	return o.printf("%d objects are sound, %s\n", v.Objects, byteSize(v.Bytes))
}

func damageName(d local.Damage) string {
	if d.CID.IsZero() {
		return d.Path
	}
	return d.CID.String()
}

// damagesLeft is an error for each damage that was not repaired.
func damagesLeft(v local.Verified) error {
	errs := append([]error(nil), v.Refs...)
	for _, d := range v.Damaged {
		if !d.Repaired {
			errs = append(errs, fault.New(cas.ErrCorrupt, "%s, in %s at %d", d.Problem, d.Path, d.Offset).About(damageName(d)))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &failures{errs: errs}
}

type storeStatOptions struct {
	*app
	json bool
}

func newStoreStat(a *app) *cobra.Command {
	o := &storeStatOptions{app: a}
	cmd := &cobra.Command{
		Use: "stat", Short: "Count what is stored", Args: args(cobra.NoArgs),
		Long: `Count what is stored, without reading it. Large objects are files, small ones lie
together in packs; waste is what packs hold beside objects. Bytes on a file system's
blocks may be more.`,
		Example: "  mythos store stat\n  mythos store stat --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.stat(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 7)
}

// statView is what store stat --json prints. All sizes are in bytes.
type statView struct {
	Schema     string `json:"schema"`
	Folder     string `json:"folder"`
	Objects    int64  `json:"objects"`
	Bytes      int64  `json:"bytes"` // of all files, as the quota counts
	Files      int64  `json:"files"`
	FileBytes  int64  `json:"file_bytes"`
	Packed     int64  `json:"packed"`
	PackedData int64  `json:"packed_bytes"`
	Packs      int64  `json:"packs"`
	PackBytes  int64  `json:"pack_bytes"`
	Waste      int64  `json:"waste_bytes"`
	Pins       int64  `json:"pins"`
	Tags       int64  `json:"tags"`
	Quota      *int64 `json:"quota"` // null for none
}

func (o *storeStatOptions) stat(ctx context.Context) error {
	return o.withNode(func(n *node.Node) error {
		s, err := n.Store()
		if err != nil {
			return err
		}
		x, err := s.Stat(ctx)
		if err != nil {
			return err
		}
		var quota *int64
		limit := "none"
		if x.Quota > 0 {
			quota, limit = &x.Quota, byteSize(x.Quota)
		}
		if o.json {
			return o.printJSON(statView{
				"mythos.store.stat/1", s.Dir(), x.Files + x.Packed, x.Bytes(), x.Files, x.FileBytes,
				x.Packed, x.PackedData, x.Packs, x.PackBytes, x.Waste, x.Pins, x.Tags, quota,
			})
		}
		return o.printf("folder   %s\nobjects  %d, %s\nfiles    %d, %s\npacked   %d, %s, in %d packs of %s\nwaste    %s\npins     %d\ntags     %d\nquota    %s\n",
			s.Dir(), x.Files+x.Packed, byteSize(x.Bytes()), x.Files, byteSize(x.FileBytes),
			x.Packed, byteSize(x.PackedData), x.Packs, byteSize(x.PackBytes), byteSize(x.Waste), x.Pins, x.Tags, limit)
	})
}
