package cli

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
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
	return group(&cobra.Command{
		Use: "receipts", Short: "List, show and verify receipts of effects", GroupID: groupRecords,
		Long: `List, show and verify receipts of effects. A receipt is an executor's signed
statement that one call of a tool had one outcome.`,
		Example: "  mythos receipts list --run nightly-1\n  mythos receipts show 5b1f0c\n  mythos receipts verify 5b1f0c",
	}, newReceiptsList(a), newReceiptsShow(a), newReceiptsVerify(a))
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
		Long: `List the ledger's receipts in log order. TOOL and ID are the beginnings of the
tool id and of the effect's idempotency id: a call with the same ID and request
gets the same receipt again.`,
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
		t := term.NewTable("TIME", "TOOL", "STATUS", "ID", "RECEIPT").Right(2)
		for _, rec := range commits {
			x, err := newListedReceipt(ctx, r, rec)
			switch {
			case err != nil && !absent(err) && unreadable(err):
				return err
			case err != nil:
				bad = append(bad, damaged(rec, err))
				continue
			}
			list = append(list, x)
			t.Row(moment(x.at), short(x.ToolID), strconv.Itoa(int(x.Status)), short(x.IdemID), x.ReceiptID.String())
		}
		if err := o.print(r, list, t); err != nil || len(bad) == 0 {
			return err
		}
		return &failures{errs: bad}
	})
}

func newListedReceipt(ctx context.Context, r *records, rec ledger.Record) (listedReceipt, error) {
	c, _, err := ledger.DecodeCommit(rec.Body)
	if err != nil {
		return listedReceipt{}, err
	}
	raw, err := r.log.Receipt(ctx, c.ReceiptID)
	if err != nil {
		return listedReceipt{}, err
	}
	x, id, err := receipt.Decode(raw)
	return listedReceipt{
		ReceiptID: id, TimeObserved: view.Time(x.TimeObserved), ToolID: x.ToolID, Status: x.Status,
		RequestHash: x.RequestHash, ResponseHash: x.ResponseHash, IdemID: rec.Idem,
		IdempotencyKey: hex.EncodeToString(x.IdempotencyKey), Signer: signerOf(x.Signer),
		RunRecord: orNone(rec.Run), Bytes: hex.EncodeToString(raw), at: x.TimeObserved,
	}, err
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

type receiptsShowOptions struct {
	*app
	json, raw bool
}

func newReceiptsShow(a *app) *cobra.Command {
	o := &receiptsShowOptions{app: a}
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show a receipt and its evidence", Args: args(cobra.ExactArgs(1)),
		Long: `Show a receipt and the evidence of how its effect was run. ID is sha256:..., or six
or more of the first hex digits of it. Its id is checked; "mythos receipts verify"
checks the rest.`,
		Example: "  mythos receipts show 5b1f0c\n  mythos receipts show sha256:... --json\n  mythos receipts show 5b1f0c --raw > effect.receipt",
		RunE:    func(cmd *cobra.Command, list []string) error { return o.show(cmd.Context(), list[0]) },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&o.raw, "raw", false, "write the receipt's canonical bytes")
	return exits(cmd, 3, 6, 7)
}

// shownReceipt is what receipts show --json prints.
type shownReceipt struct {
	Schema    string          `json:"schema"`
	ReceiptID cid.Hash        `json:"receipt_id"`
	IdemID    cid.Hash        `json:"idem_id"`
	Receipt   json.RawMessage `json:"receipt"` // named view
	Evidence  []evidenceView  `json:"evidence"`
	Bytes     string          `json:"bytes"` // the canonical receipt in hex
}

type evidenceView struct {
	CID  cid.Hash        `json:"cid"`
	View json.RawMessage `json:"view"` // named view; null if the object is not stored here
}

func (o *receiptsShowOptions) show(ctx context.Context, arg string) error {
	p, err := parseID(arg)
	switch {
	case err != nil:
		return err
	case o.json && o.raw:
		return usagef("--json and --raw exclude each other")
	}
	return o.withRecords(func(_ *node.Node, r *records) error {
		id, err := r.receiptID(ctx, p)
		if err != nil {
			return err
		}
		raw, err := r.receipt(ctx, id)
		switch {
		case err != nil:
			return err
		case o.raw:
			return o.printBinary(raw)
		}
		v, err := newShownReceipt(ctx, r, raw)
		if err != nil {
			return err
		}
		return o.print(v)
	})
}

func newShownReceipt(ctx context.Context, r *records, raw []byte) (shownReceipt, error) {
	x, id, err := receipt.Decode(raw)
	if err != nil {
		return shownReceipt{}, err
	}
	v := shownReceipt{
		Schema: "mythos.receipt/1", ReceiptID: id, IdemID: ledger.IdemID(x.ToolID, x.IdempotencyKey),
		Evidence: []evidenceView{}, Bytes: hex.EncodeToString(raw),
	}
	if v.Receipt, err = view.JSON("Receipt", raw); err != nil {
		return v, err
	}
	for _, id := range x.Evidence {
		item := evidenceView{CID: id, View: json.RawMessage("null")}
		content, err := r.object(ctx, id)
		if err == nil {
			item.View, err = view.JSON("EffectEvidence", content)
		}
		if err != nil && !absent(err) {
			return v, err
		}
		v.Evidence = append(v.Evidence, item)
	}
	return v, nil
}

func (o *receiptsShowOptions) print(v shownReceipt) error {
	if o.json {
		return o.printJSON(v)
	}
	if err := o.printView(v.Receipt); err != nil {
		return err
	}
	for _, e := range v.Evidence {
		if string(e.View) == "null" {
			o.note("the evidence %s is not stored here", e.CID)
			continue
		}
		if err := o.printf("\nevidence %s\n", e.CID); err != nil {
			return err
		}
		if err := o.printView(e.View); err != nil {
			return err
		}
	}
	return nil
}

// printView writes JSON for people: indented, safe for a terminal.
func (a *app) printView(text json.RawMessage) error {
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := a.Out.Write(escapeJSON(b.Bytes()))
	return err
}
