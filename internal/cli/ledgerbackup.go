package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/journal/audit"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/node"
)

type ledgerBackupOptions struct {
	*app
	checkpointKeys
	force bool
	json  bool
}

func newLedgerBackup(a *app) *cobra.Command {
	o := &ledgerBackupOptions{app: a}
	cmd := &cobra.Command{
		Use: "backup FILE", Short: "Copy this node's own ledger into one file", Args: args(cobra.ExactArgs(1)),
		Long: `Copy this node's own ledger, as it is at one instant, into one file: entries, receipts
and objects beside them, leases, what was spent of each capability, checkpoints. Runs
go on writing meanwhile. The copy is verified whole, as "mythos ledger verify" does,
and durable before it has its name; a file that is there is never replaced without
--force, and what is no file, such as a device or a link, not even then. It holds what the ledger holds, so keep it as safe, and the executor's key
with it ("mythos keys"), without which nothing goes on from it.

A ledger in a PostgreSQL database is backed up there: pg_dump, or a base backup with
its write-ahead log for a point in time.`,
		Example: "  mythos ledger backup /mnt/backup/ledger-monday.db\n  mythos ledger backup --force latest.db --json",
		RunE:    func(cmd *cobra.Command, args []string) error { return o.backup(cmd.Context(), args[0]) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.force, "force", false, "replace a file of that name")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	o.bind(cmd)
	return exits(cmd, 3, 4, 6, 7)
}

// backupView is the JSON of a backup, and of what was restored.
type backupView struct {
	Schema  string  `json:"schema"`
	File    string  `json:"file"`
	Origin  *string `json:"origin"`  // of the log; null without a checkpoint
	Entries uint64  `json:"entries"` // verified
	Covered uint64  `json:"covered"` // of them, by checkpoints
	Until   *string `json:"until"`   // when the newest entry was appended; null without entries
	Aside   *string `json:"aside"`   // folder of the ledger that a restore moved; null for none
}

func (o *ledgerBackupOptions) backup(ctx context.Context, path string) error {
	return o.withNode(func(n *node.Node) error {
		if n.Settings.Ledger != "" {
			return errShared("back it up with pg_dump, or with a base backup and its write-ahead log")
		}
		if err := backupPlace(n, path); err != nil {
			return err
		}
		known, err := o.load(n)
		if err != nil {
			return err
		}
		if !n.HasLedger() {
			return fault.New(ledger.ErrNoItem, "there is no ledger yet; the first run makes it")
		}
		log, err := n.OwnLedger()
		if err != nil {
			return err
		}
		v := backupView{Schema: "mythos.ledger.backup/1", File: path}
		progress := term.NewProgress(o.Err, o.Getenv)
		defer progress.Done()
		err = errors.Join(log.Backup(ctx, path, journal.BackupOptions{
			Replace: o.force, Progress: pages(progress),
			Check: func(s *journal.SQLite) error { return v.audit(ctx, s, known, progress) },
		}), log.Close())
		if err != nil {
			return err
		}
		progress.Done()
		if o.json {
			return o.printJSON(v)
		}
		return o.printf("backed up %d entries to %s; all of it was verified\n", v.Entries, path)
	})
}

func errShared(how string) error {
	return usagef("the ledger is in a PostgreSQL database (--ledger or MYTHOS_LEDGER): %s", how)
}

func pages(p *term.Progress) func(copied, total int) {
	return func(copied, total int) { p.Update("copied %d of %d pages", copied, total) }
}

// audit verifies a copy whole and notes what it is.
func (v *backupView) audit(ctx context.Context, s *journal.SQLite, known knownSigners, p *term.Progress) error {
	p.Update("verifying the copy")
	rep, err := audit.Run(ctx, s, audit.Options{Executors: known.executors})
	if err == nil && rep.Damage != nil {
		err = rep.Damage.Err()
	}
	if err != nil {
		return fmt.Errorf("the copy is not kept: %w", err)
	}
	v.Origin, v.Entries, v.Covered = orNull(rep.Origin), rep.Entries, rep.Covered
	if rep.Entries == 0 {
		return nil
	}
	for rec, err := range s.Entries(ctx, rep.Entries-1) {
		if err != nil {
			return err
		}
		until := view.Time(rec.Time)
		v.Until = &until
	}
	return nil
}

type ledgerRestoreOptions struct {
	*app
	checkpointKeys
	moveAside, noWait bool
	json              bool
}

func newLedgerRestore(a *app) *cobra.Command {
	o := &ledgerRestoreOptions{app: a}
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Make a backup this node's own ledger", Args: args(cobra.ExactArgs(1)),
		Long: `Make a backup this node's own ledger. It is copied, verified whole and durable before
it stands; the file stays as it is. A ledger that is there is never replaced:
--move-aside moves it, whole, into a folder beside the new one.

What was registered after the backup was made is unknown from then on. If it is asked
for again, under the same run id or key, it is invoked again, with no sign that it was
before. Compare with the ledger that was moved aside, if it can still be read
("mythos ledger verify", "mythos ledger list"), or with the records of the systems that
the tools call, before anything is retried.

Its checkpoints must be signed by this node's executor or one that its trust file or
--key names: restore the keys first. A ledger in a PostgreSQL database is restored
there.`,
		Example: "  mythos ledger restore /mnt/backup/ledger-monday.db\n  mythos ledger restore --move-aside ledger-monday.db",
		RunE:    func(cmd *cobra.Command, args []string) error { return o.restore(cmd.Context(), args[0]) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.moveAside, "move-aside", false, "move a ledger that is there into a folder beside the new one")
	f.BoolVar(&o.noWait, "no-wait", false, "fail instead of waiting for a run that is writing")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	o.bind(cmd)
	return exits(cmd, 3, 4, 6, 7)
}

func (o *ledgerRestoreOptions) restore(ctx context.Context, path string) error {
	return o.withNode(func(n *node.Node) error {
		if n.Settings.Ledger != "" {
			return errShared("restore it with pg_restore, or to a point in time, into a database that nobody uses")
		}
		known, err := o.load(n)
		if err != nil {
			return err
		}
		src, err := openBackup(n, path)
		if err != nil {
			return err
		}
		v := restoreView{backupView: backupView{Schema: "mythos.ledger.restore/1", File: path}}
		wait := o.newWaiting()
		defer wait.done()
		progress := wait.progress
		options := journal.RestoreOptions{MoveAside: o.moveAside, BackupOptions: journal.BackupOptions{
			Progress: pages(progress), Check: func(s *journal.SQLite) error { return v.audit(ctx, s, known, progress) },
		}}
		aside, err := n.RestoreLedger(ctx, src, node.LedgerOptions{NoWait: o.noWait, OnWait: wait.ledger}, options)
		if err = errors.Join(err, src.Close()); err != nil {
			return aboutBackup(err)
		}
		wait.done()
		v.Aside = orNull(aside)
		if v.Unknown, err = unknownSigners(ctx, n); err != nil {
			return err
		}
		if v.Aside != nil {
			if v.Lost, err = lost(ctx, n, aside, v.Entries); err != nil {
				o.note("what is lost was not counted: %v", err) // it may be the reason for the restore
			}
		}
		return o.print(v)
	})
}

func (o *ledgerRestoreOptions) print(v restoreView) error {
	until := "it has no entry, so nothing is known"
	if v.Until != nil {
		until = "its newest entry is of " + *v.Until
	}
	o.note("%s: effects that were registered later are unknown and will be invoked again if they are asked for again", until)
	if v.Lost != nil {
		o.note("of the ledger that was moved aside: %s", v.Lost.text())
	}
	o.noteUnknown(v.Unknown)
	if o.json {
		return o.printJSON(v)
	}
	if v.Aside != nil {
		if err := o.printf("moved the ledger that was there to %s\n", filepath.Clean(*v.Aside)); err != nil {
			return err
		}
	}
	verified := "all of it was verified"
	if len(v.Unknown) > 0 {
		verified = "its hashes and signatures were verified, but not all who signed are trusted here"
	}
	return o.printf("restored %d entries from %s; %s\n", v.Entries, v.File, verified)
}
