package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/journal/audit"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/node"
)

type ledgerVerifyOptions struct {
	*app
	checkpointKeys
	checkpoint string
	from       uint64
	hashesOnly bool
	json       bool
}

func newLedgerVerify(a *app) *cobra.Command {
	o := &ledgerVerifyOptions{app: a}
	cmd := &cobra.Command{
		Use: "verify", Short: "Verify the whole log and name the first entry that is wrong", Args: args(cobra.NoArgs),
		Long: `Verify the whole log: hash every entry again and hold the tree against every signed
checkpoint; decode every entry, verify its signature, and hold it against the entries
of its effect before it; check the receipts and objects beside it. A resolution must
be by the owner of its register, as far as that may, or by an operator that the trust
file held when it was appended.

What is sound in itself, but signed by nobody who is known here, has the verdict
"signer unknown" instead of "damaged": trust the executor or operator if you know it.

The first entry that was altered, removed or moved is named by its index and id. If
the ledger's own hashes were changed with it, only the checkpoints before and after
it can be told. Entries after the newest checkpoint are held against their
signatures alone, and that the end was cut off shows only against a checkpoint from
outside the ledger: keep one ("mythos ledger checkpoint -o") and give it with
--checkpoint.

--from begins at the checkpoint of that size and takes what is before it as its
hashes say. --hashes-only leaves out what entries say of themselves, which takes
nearly all the time.`,
		Example: "  mythos ledger verify\n  mythos ledger verify --checkpoint monday.checkpoint --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.checkpoint, "checkpoint", "", "file with a checkpoint that was kept elsewhere")
	f.Uint64Var(&o.from, "from", 0, "size of the checkpoint to begin at")
	f.BoolVar(&o.hashesOnly, "hashes-only", false, "hash the entries, and no more")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	o.bind(cmd)
	return exits(cmd, 3, 4, 6, 7)
}

// logVerification is what ledger verify --json prints.
type logVerification struct {
	Schema      string          `json:"schema"`
	OK          bool            `json:"ok"`
	Origin      *string         `json:"origin"`      // of the log; null without a checkpoint
	Entries     uint64          `json:"entries"`     // up to the first damage
	Covered     uint64          `json:"covered"`     // entries under the newest checkpoint
	Checkpoints uint64          `json:"checkpoints"` // held against the tree
	Root        cid.Hash        `json:"root"`        // over the entries
	HashesOnly  bool            `json:"hashes_only"`
	Outside     *checkpointView `json:"outside"` // the checkpoint that was given; null without
	Damage      *damageView     `json:"damage"`  // null: none
}

type damageView struct {
	Index   uint64     `json:"index"` // of the entry; of a checkpoint its size
	To      uint64     `json:"to"`    // index + 1, or the first damage is one of index up to to - 1
	Sort    audit.Sort `json:"sort"`
	Message string     `json:"message"`
	Kind    *string    `json:"kind"` // of the entry that stands there; null if there is none
	ID      *cid.Hash  `json:"id"`   // of that entry; null if it does not decode
	IdemID  *cid.Hash  `json:"idem_id"`
	Leaf    *cid.Hash  `json:"leaf"` // leaf hash of what was logged there; null if unknown
}

func (o *ledgerVerifyOptions) run(ctx context.Context) error {
	return o.withLog(func(n *node.Node, log ledger.Log) error {
		known, err := o.load(n)
		if err != nil {
			return err
		}
		v := logVerification{Schema: "mythos.ledger.verification/1", HashesOnly: o.hashesOnly}
		trust, err := n.Trust()
		if err != nil {
			return err
		}
		options := audit.Options{Executors: known.executors, From: o.from, HashesOnly: o.hashesOnly, Operators: trust.TrustsOperator}
		if o.checkpoint != "" {
			outside, err := known.openFile(o.app, o.checkpoint)
			if err != nil {
				return err
			}
			shown := newCheckpointView(outside)
			v.Outside, options.Outside = &shown, &outside.Checkpoint
		}
		rep, err := audit.Run(ctx, log, options)
		if err != nil {
			return about(o.checkpoint, err)
		}
		v.add(rep)
		if err := o.print(v); err != nil || v.OK {
			return err
		}
		return rep.Damage.Err()
	})
}

func (v *logVerification) add(rep audit.Report) {
	v.OK = rep.Damage == nil
	v.Origin, v.Root = orNull(rep.Origin), rep.Root
	v.Entries, v.Covered, v.Checkpoints = rep.Entries, rep.Covered, rep.Checkpoints
	d := rep.Damage
	if d == nil {
		return
	}
	v.Damage = &damageView{Index: d.Index, To: d.To, Sort: d.Sort, Message: d.What, Leaf: d.Leaf}
	if d.Entry == nil {
		return
	}
	kind := d.Entry.Kind.String()
	v.Damage.Kind, v.Damage.IdemID = &kind, orNone(d.Entry.Idem)
	if id, err := entryID(*d.Entry); err == nil {
		v.Damage.ID = &id
	}
}

func (o *ledgerVerifyOptions) print(v logVerification) error {
	if o.json {
		return o.printJSON(v)
	}
	t := term.NewTable()
	if v.Origin != nil {
		t.Row("log", *v.Origin)
	}
	t.Row("entries", strconv.FormatUint(v.Entries, 10))
	t.Row("covered", strconv.FormatUint(v.Covered, 10))
	t.Row("checkpoints", strconv.FormatUint(v.Checkpoints, 10))
	t.Row("root", v.Root.String())
	checked := "hashes, signatures, order, what stands beside entries"
	if v.HashesOnly {
		checked = "hashes"
	}
	t.Row("checked", checked)
	if v.Outside != nil {
		t.Row("outside", "checkpoint of size "+strconv.FormatUint(v.Outside.Size, 10)+" by "+v.Outside.Key)
	}
	if d := v.Damage; d != nil {
		v.damageRows(t, d)
	} else {
		t.Row("verdict", "sound")
	}
	return o.printTable(t)
}

func (v logVerification) damageRows(t *term.Table, d *damageView) {
	verdict, label := "damaged", "damage"
	if d.Sort.Unknown() {
		verdict, label = "signer unknown", "what"
	}
	t.Row("verdict", verdict)
	where := strconv.FormatUint(d.Index, 10)
	if d.To > d.Index+1 {
		where += " to " + strconv.FormatUint(d.To-1, 10)
	}
	what := "entry"
	if d.Sort == audit.Checkpoint || d.Sort == audit.UnknownExecutor {
		what = "checkpoint"
	}
	t.Row(what, where)
	t.Row(label, string(d.Sort))
	if d.Kind != nil {
		t.Row("kind", *d.Kind)
	}
	if d.ID != nil {
		t.Row("id", d.ID.String())
	}
	if d.IdemID != nil {
		t.Row("idem_id", d.IdemID.String())
	}
	if d.Leaf != nil {
		t.Row("leaf", d.Leaf.String())
	}
}
