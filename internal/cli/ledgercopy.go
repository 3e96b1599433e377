package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/journal/postgres"
	"github.com/mythos-run/mythos/runtime/node"
)

// bindLedger adds the flag that says which ledger a command uses.
func (a *app) bindLedger(cmd *cobra.Command) *cobra.Command {
	f := cmd.Flags()
	if cmd.HasSubCommands() {
		f = cmd.PersistentFlags()
	}
	f.StringVar(&a.ledger, "ledger", "", "the ledger's `ADDRESS`, postgres://user@host:port/database (default MYTHOS_LEDGER, else this node's own)")
	return cmd
}

type ledgerCopyOptions struct {
	*app
	to     string
	noWait bool
	json   bool
}

func newLedgerCopy(a *app) *cobra.Command {
	o := &ledgerCopyOptions{app: a}
	cmd := &cobra.Command{
		Use: "copy --to ADDRESS", Short: "Copy this node's own ledger into a database", Args: args(cobra.NoArgs),
		Long: `Copy this node's own ledger into an empty one in a PostgreSQL database: entries with
their times and indexes, receipts and objects, what was spent of each capability,
leases with what is left of them, and checkpoints. The copy is one transaction; then
both ledgers are read and every entry and the state of every effect are compared.
Meanwhile no run writes to the source, which stays as it is. From then on name the
copy by --ledger or MYTHOS_LEDGER: entries that both get would contradict each other.

The password comes from the file that MYTHOS_LEDGER_PASSWORD_FILE names, from
PGPASSWORD or from a passfile, never from the address.`,
		Example: "  mythos ledger copy --to postgres://mythos@db.example.com/mythos",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.to == "" {
				return usagef("where to? Give --to postgres://user@host:port/database")
			}
			return o.copy(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.to, "to", "", "the `ADDRESS` to copy to, postgres://user@host:port/database")
	f.BoolVar(&o.noWait, "no-wait", false, "fail instead of waiting for a run that is writing")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 4, 7)
}

// copiedView is the JSON of a copy.
type copiedView struct {
	Schema       string `json:"schema"`
	To           string `json:"to"` // without user and settings
	Entries      int    `json:"entries"`
	Items        int    `json:"items"`
	Capabilities int    `json:"capabilities"`
	Effects      int    `json:"effects"`
}

func (o *ledgerCopyOptions) copy(ctx context.Context) error {
	return o.withNode(func(n *node.Node) (err error) {
		progress := term.NewProgress(o.Err, o.Getenv)
		defer progress.Done()
		wait := func(holder string) { progress.Update("waiting for the ledger: %s", holder) }
		options := node.LedgerOptions{NoWait: o.noWait, OnWait: wait}
		from, err := n.EmbeddedLedger(ctx, options)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, from.Close()) }()
		to, err := n.SharedLedger(ctx, o.to, options)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, to.Close()) }()
		copied, err := postgres.Copy(ctx, from, to, func(step string, entries int) { progress.Update("%s %d entries", step, entries) })
		if err != nil {
			return err
		}
		progress.Done()
		v := copiedView{"mythos.cli.ledger_copy", postgres.Redacted(o.to), copied.Entries, copied.Items, copied.Capabilities, copied.IDs}
		if o.json {
			return o.printJSON(v)
		}
		return o.printf("copied %d entries of %d effects, %d items and %d capabilities to %s; all of it was compared\n", v.Entries, v.Effects, v.Items, v.Capabilities, v.To)
	})
}
