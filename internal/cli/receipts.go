package cli

import (
	"context"
	"encoding/hex"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/node"
)

func newReceipts(a *app) *cobra.Command {
	return a.bindLedger(group(&cobra.Command{
		Use: "receipts", Short: "List, show and verify receipts of effects", GroupID: groupRecords,
		Long: `List, show and verify receipts of effects. A receipt is an executor's signed
statement that one call of a tool had one outcome.`,
		Example: "  mythos receipts list --run nightly-1\n  mythos receipts show 5b1f0c\n  mythos receipts verify 5b1f0c",
	}, newReceiptsList(a), newReceiptsShow(a), newReceiptsVerify(a)))
}

type receiptsListOptions struct {
	*app
	run  string
	json bool
}

func newReceiptsList(a *app) *cobra.Command {
	o := &receiptsListOptions{app: a}
	cmd := &cobra.Command{
		Use: "list", Short: "List the ledger's receipts", Args: args(cobra.NoArgs),
		Long: `List the ledger's receipts in log order. RUN is the id of the run that committed
the effect, ID the beginning of the effect's idempotency id: a call with the same
ID and request gets the same receipt again. TOOL is the tool's name if its package
is in the local store ("mythos store put" keeps it), else the beginning of its id.`,
		Example: "  mythos receipts list\n  mythos receipts list --run nightly-1 --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.list(cmd.Context()) },
	}
	cmd.Flags().StringVar(&o.run, "run", "", "only receipts of the runs with this run id")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 6, 7)
}

// listedReceipt is a receipt in the JSON of a list.
type listedReceipt struct {
	ReceiptID      cid.Hash   `json:"receipt_id"`
	TimeObserved   string     `json:"time_observed"`
	ToolID         cid.Hash   `json:"tool_id"`
	Status         uint16     `json:"status"`
	RequestHash    cid.Hash   `json:"request_hash"`
	ResponseHash   cid.Hash   `json:"response_hash"`
	IdemID         cid.Hash   `json:"idem_id"`
	IdempotencyKey string     `json:"idempotency_key"` // hex
	Signer         signerView `json:"signer"`
	RunRecord      *cid.Hash  `json:"run_record"` // null for none
	Tool           *string    `json:"tool"`       // its name; null if no package at hand tells it
	RunID          *string    `json:"run_id"`     // null for none
	Bytes          string     `json:"bytes"`      // the canonical receipt in hex
	at             int64      // TimeObserved in microseconds
}

func (o *receiptsListOptions) list(ctx context.Context) error {
	return o.withRecords(func(_ *node.Node, r *records) error {
		commits, err := r.of(ctx, o.run, ledger.KindCommit)
		if err != nil {
			return err
		}
		list, bad := []listedReceipt{}, []error(nil)
		t := term.NewTable("TIME", "RUN", "TOOL", "STATUS", "ID", "RECEIPT").Right(3)
		known := &names{records: r}
		for _, rec := range commits {
			x, err := newListedReceipt(ctx, known, rec)
			switch {
			case err != nil && !absent(err) && unreadable(err):
				return err
			case err != nil:
				bad = append(bad, damaged(rec, err))
				continue
			}
			list = append(list, x)
			t.Row(moment(x.at), deref(x.RunID, ""), deref(x.Tool, short(x.ToolID)), strconv.Itoa(int(x.Status)), short(x.IdemID), x.ReceiptID.String())
		}
		if err := o.print(r, list, t); err != nil || len(bad) == 0 {
			return err
		}
		return &failures{errs: bad}
	})
}

func newListedReceipt(ctx context.Context, known *names, rec ledger.Record) (listedReceipt, error) {
	c, _, err := ledger.DecodeCommit(rec.Body)
	if err != nil {
		return listedReceipt{}, err
	}
	raw, err := known.log.Receipt(ctx, c.ReceiptID)
	if err != nil {
		return listedReceipt{}, err
	}
	x, id, err := receipt.Decode(raw)
	if err != nil {
		return listedReceipt{}, err
	}
	run, err := known.run(ctx, rec.Run)
	if err != nil {
		return listedReceipt{}, err
	}
	tool, err := known.tool(ctx, &x)
	return listedReceipt{
		ReceiptID: id, TimeObserved: view.Time(x.TimeObserved), ToolID: x.ToolID, Status: x.Status,
		RequestHash: x.RequestHash, ResponseHash: x.ResponseHash, IdemID: rec.Idem,
		IdempotencyKey: hex.EncodeToString(x.IdempotencyKey), Signer: signerOf(x.Signer),
		RunRecord: orNone(rec.Run), Tool: orNull(tool), RunID: orNull(run), Bytes: hex.EncodeToString(raw), at: x.TimeObserved,
	}, err
}

// deref returns the text, or another one if there is none.
func deref(s *string, none string) string {
	if s == nil {
		return none
	}
	return *s
}

func (o *receiptsListOptions) print(r *records, list []listedReceipt, t *term.Table) error {
	if o.json {
		return o.printJSON(struct {
			Schema   string          `json:"schema"`
			Receipts []listedReceipt `json:"receipts"`
		}{"mythos.receipts/1", list})
	}
	return o.printList(r, t, "receipts")
}
