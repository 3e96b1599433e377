package cli

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/node"
)

type receiptsShowOptions struct {
	*app
	json, raw bool
}

func newReceiptsShow(a *app) *cobra.Command {
	o := &receiptsShowOptions{app: a}
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show a receipt and its evidence", Args: args(cobra.ExactArgs(1)),
		Long: `Show a receipt, the request and the response that it names, the evidence of how
its effect was run, and what the module logged if that was kept. ID is sha256:...,
or six or more of the first hex digits of it. Ids and hashes are checked; "mythos
receipts verify" checks the rest. A log is the module's own word: no receipt
vouches for what it says.`,
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
	Receipt   json.RawMessage `json:"receipt"`  // named view
	Request   *requestView    `json:"request"`  // null if it is not stored here
	Response  *responseView   `json:"response"` // likewise
	Evidence  []evidenceView  `json:"evidence"`
	Bytes     string          `json:"bytes"` // the canonical receipt in hex
}

type requestView struct {
	CID     cid.Hash        `json:"cid"`
	Payload json.RawMessage `json:"payload"` // JSON view
}

type responseView struct {
	CID     cid.Hash        `json:"cid"`
	Status  uint16          `json:"status"`
	Payload json.RawMessage `json:"payload"` // JSON view; null unless the status is 200
	Error   *toolError      `json:"error"`   // null if the tool gave none
}

type toolError struct {
	Code    string  `json:"code"`
	Message *string `json:"message"`
}

type evidenceView struct {
	CID  cid.Hash        `json:"cid"`
	View json.RawMessage `json:"view"` // named view; null if the object is not stored here
	Log  *string         `json:"log"`  // what the module logged; null if it is not stored here
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
	if v.Request, err = r.requestView(ctx, x.RequestHash); err != nil {
		return v, err
	}
	if v.Response, err = r.responseView(ctx, x.ResponseHash); err != nil {
		return v, err
	}
	for _, id := range x.Evidence {
		item, err := r.evidenceView(ctx, id)
		if err != nil {
			return v, err
		}
		v.Evidence = append(v.Evidence, item)
	}
	return v, nil
}

// maybe returns an object, nil if it is not stored here.
func (r *records) maybe(ctx context.Context, id cid.Hash) ([]byte, error) {
	raw, err := r.object(ctx, id)
	if absent(err) {
		return nil, nil
	}
	return raw, err
}

func (r *records) requestView(ctx context.Context, id cid.Hash) (*requestView, error) {
	raw, err := r.maybe(ctx, id)
	if raw == nil || err != nil {
		return nil, err
	}
	x, err := abi.DecodeRequest(raw)
	if err != nil {
		return nil, about("request "+id.String(), err)
	}
	v := &requestView{CID: id}
	v.Payload, err = jsonView(x.Payload)
	return v, err
}

func (r *records) responseView(ctx context.Context, id cid.Hash) (*responseView, error) {
	raw, err := r.maybe(ctx, id)
	if raw == nil || err != nil {
		return nil, err
	}
	x, err := abi.DecodeResponse(raw)
	if err != nil {
		return nil, about("response "+id.String(), err)
	}
	v := &responseView{CID: id, Status: x.Status}
	if x.Error != nil {
		v.Error = &toolError{x.Error.Code, orNull(x.Error.Message)}
	}
	v.Payload, err = jsonView(x.Payload)
	return v, err
}

func (r *records) evidenceView(ctx context.Context, id cid.Hash) (evidenceView, error) {
	v := evidenceView{CID: id, View: json.RawMessage("null")}
	raw, err := r.maybe(ctx, id)
	if raw == nil || err != nil {
		return v, err
	}
	x, err := evidence.DecodeEffect(raw)
	if err != nil {
		return v, about("evidence "+id.String(), err)
	}
	if v.View, err = view.JSON("EffectEvidence", raw); err != nil || x.Stderr == nil {
		return v, err
	}
	log, err := r.maybe(ctx, *x.Stderr)
	v.Log = orNull(string(log))
	return v, err
}

func (o *receiptsShowOptions) print(v shownReceipt) error {
	if o.json {
		return o.printJSON(v)
	}
	if err := errors.Join(o.printView(v.Receipt), o.printRequest(&v), o.printResponse(&v)); err != nil {
		return err
	}
	for _, e := range v.Evidence {
		if err := o.printEvidence(e); err != nil {
			return err
		}
	}
	return nil
}

func (o *receiptsShowOptions) printRequest(v *shownReceipt) error {
	if v.Request == nil {
		o.note("the request is not stored here")
		return nil
	}
	return errors.Join(o.printf("\nrequest %s\n", v.Request.CID), o.printView(v.Request.Payload))
}

func (o *receiptsShowOptions) printResponse(v *shownReceipt) error {
	x := v.Response
	if x == nil {
		o.note("the response is not stored here")
		return nil
	}
	failure := ""
	if x.Error != nil {
		failure = ", error " + x.Error.Code
		if x.Error.Message != nil {
			failure += ": " + *x.Error.Message
		}
	}
	return errors.Join(o.printf("\nresponse %s\nstatus %d%s\n", x.CID, x.Status, failure), o.printView(x.Payload))
}

func (o *receiptsShowOptions) printEvidence(e evidenceView) error {
	if string(e.View) == "null" {
		o.note("the evidence %s is not stored here", e.CID)
		return nil
	}
	err := errors.Join(o.printf("\nevidence %s\n", e.CID), o.printView(e.View))
	if e.Log == nil || err != nil {
		return err
	}
	if err := o.printf("\nmodule log, as the module wrote it; the receipt does not vouch for what it says\n"); err != nil {
		return err
	}
	for line := range strings.Lines(*e.Log) {
		if err := o.printf("  %s\n", strings.TrimRight(line, "\r\n")); err != nil {
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
