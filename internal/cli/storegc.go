package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/node"
)

type storeGCOptions struct {
	*app
	dryRun bool
	forget string
	json   bool
}

func newStoreGC(a *app) *cobra.Command {
	o := &storeGCOptions{app: a}
	cmd := &cobra.Command{
		Use: "gc", Short: "Remove what nothing refers to", Args: args(cobra.NoArgs),
		Long: `Remove the objects that nothing refers to. Kept is what a pin, a tag, any entry of
a ledger, a promotion or an attestation names, and what a ring runs or would go back
to, with all that belongs to it: of a package its artifacts, of a tree its files, of
a chunked blob its chunks. Kept as well is what anybody stored or was told of in the
last hour. It may run while others write and read.

The ledgers are this node's own, the one that --ledger or MYTHOS_LEDGER names, and
every other one that was written from here. If one of them, or an object that may
name others, cannot be read, nothing is removed. --forget-ledger leaves one out from
now on, which is for one that is gone for good.

Packages that only lie in the store go: pin or tag what you want to keep. A store that
a registry serves from is not collected: what the registry has published is not known
here.`,
		Example: "  mythos store gc --dry-run\n  mythos store gc --json\n  mythos store gc --forget-ledger postgres://old.example.com/mythos",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.forget != "" && o.dryRun {
				return usagef("--forget-ledger changes what is kept from now on: leave out --dry-run")
			}
			return o.gc(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "only count what would be removed")
	cmd.Flags().StringVar(&o.forget, "forget-ledger", "", "remove what only the ledger at this `ADDRESS` names")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(o.bindLedger(cmd), 3, 4, 7)
}

// gcView is what store gc --json prints.
type gcView struct {
	Schema  string `json:"schema"`
	DryRun  bool   `json:"dry_run"`
	Removed int64  `json:"removed"` // objects
	Freed   int64  `json:"freed"`   // bytes of files
	Kept    int64  `json:"kept"`    // objects that something refers to
	Young   int64  `json:"young"`   // others, less than an hour old
	Waiting int64  `json:"waiting"` // others, in packs that are mostly in use
	Busy    int64  `json:"packs_in_use"`
	Damaged int64  `json:"packs_damaged"`
}

func (o *storeGCOptions) gc(ctx context.Context) error {
	return o.withNode(func(n *node.Node) error {
		if o.forget != "" {
			known, err := n.ForgetLedger(ctx, o.forget)
			if err != nil {
				return err
			}
			if !known {
				return usagef("--forget-ledger: the store was not used with a ledger at this address")
			}
		}
		progress := term.NewProgress(o.Err, o.Getenv)
		defer progress.Done()
		x, err := n.Collect(ctx, o.dryRun, func(phase string, done int64) { progress.Update("%s: %d", phase, done) })
		if err != nil {
			return err
		}
		progress.Done()
		if x.Damaged > 0 {
			o.note("packs that are damaged and were left alone: %d; see mythos store verify", x.Damaged)
		}
		if o.json {
			return o.printJSON(gcView{"mythos.store.gc/1", o.dryRun, x.Removed, x.Freed, x.Kept, x.Young, x.Waiting, x.Busy, x.Damaged})
		}
		text := "removed %d objects and freed %s; kept %d that are referred to and %d that are young\n"
		if o.dryRun {
			text = "would remove %d objects and free %s, and keep %d that are referred to and %d that are young; nothing was removed\n"
		}
		return o.printf(text, x.Removed, byteSize(x.Freed), x.Kept, x.Young+x.Waiting)
	})
}

// byteSize is a number of bytes for people.
func byteSize(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, prefix := float64(n)/unit, 0
	for value >= unit && prefix < len("KMGTPE")-1 {
		value /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[prefix])
}

type storePinOptions struct {
	*app
	list bool
	json bool
}

func newStorePin(a *app) *cobra.Command {
	o := &storePinOptions{app: a}
	cmd := &cobra.Command{
		Use: "pin CID", Short: "Keep an object and all that belongs to it", Args: args(cobra.MaximumNArgs(1)),
		Long: `Keep an object, and all that belongs to it, whatever "mythos store gc" finds. It fails,
and pins nothing, if a part of it is missing. It must be in the store: "mythos store
put" stores a package folder, an archive or a file and prints its CID.`,
		Example: "  mythos store pin sha256:...\n  mythos store pin \"$(mythos store put dist/demo-001-0.1.0)\"\n  mythos store pin --list",
		RunE: func(cmd *cobra.Command, list []string) error {
			if o.list == (len(list) == 1) {
				return usagef("give either a CID or --list")
			}
			if o.list {
				return o.pins()
			}
			return o.pin(cmd.Context(), list[0])
		},
	}
	cmd.Flags().BoolVar(&o.list, "list", false, "list what is pinned")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 6, 7)
}

// pinView is what store pin and tag print as JSON.
type pinView struct {
	Schema  string   `json:"schema"`
	Name    *string  `json:"name"` // null for a pin
	CID     cid.Hash `json:"cid"`
	Objects int      `json:"objects"` // that are kept
}

func (o *storePinOptions) pin(ctx context.Context, arg string) error {
	return o.withObject(ctx, arg, func(n *node.Node, id cid.Hash) error {
		count, err := n.Pin(ctx, id)
		switch {
		case err != nil:
			return err
		case o.json:
			return o.printJSON(pinView{"mythos.store.pin/1", nil, id, count})
		}
		return o.printf("pinned %s, objects: %d\n", id, count)
	})
}

func (o *storePinOptions) pins() error {
	return o.withNode(func(n *node.Node) error {
		s, err := n.Store()
		if err != nil {
			return err
		}
		pins, err := s.Pins()
		if err != nil {
			return err
		}
		if o.json {
			return o.printJSON(struct {
				Schema string     `json:"schema"`
				Pins   []cid.Hash `json:"pins"`
			}{"mythos.store.pins/1", append([]cid.Hash{}, pins...)})
		}
		if len(pins) == 0 {
			o.note("nothing is pinned")
		}
		for _, id := range pins {
			if err := o.printf("%s\n", id); err != nil {
				return err
			}
		}
		return nil
	})
}

// withObject runs fn with the node and the stored object that arg names.
func (a *app) withObject(ctx context.Context, arg string, fn func(*node.Node, cid.Hash) error) error {
	p, err := parseObject(arg)
	if err != nil {
		return err
	}
	return a.withNode(func(n *node.Node) error {
		s, err := n.Store()
		if err != nil {
			return err
		}
		id, err := stored(ctx, s, p)
		if err != nil {
			return err
		}
		return fn(n, id)
	})
}

func newStoreUnpin(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "unpin CID", Short: "Take a pin back", Args: args(cobra.ExactArgs(1)),
		Long:    `Take a pin back. The object stays until "mythos store gc" finds that nothing refers to it.`,
		Example: "  mythos store unpin sha256:...",
		RunE:    func(_ *cobra.Command, list []string) error { return a.unpin(list[0]) },
	}
	return exits(cmd, 6, 7)
}

func (a *app) unpin(arg string) error {
	p, err := parseID(arg)
	if err != nil {
		return err
	}
	return a.withNode(func(n *node.Node) error {
		s, err := n.Store()
		if err != nil {
			return err
		}
		id, full := p.full()
		if !full {
			if id, err = pinned(s.Pins, p); err != nil {
				return err
			}
		}
		return s.Unpin(id)
	})
}
