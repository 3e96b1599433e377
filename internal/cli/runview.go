package cli

import (
	"encoding/hex"
	"encoding/json"
	"strconv"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/node"
)

// runView is the object that run --json prints.
type runView struct {
	Schema      string          `json:"schema"`
	PackageID   cid.Hash        `json:"package_id"`
	ManifestCID cid.Hash        `json:"manifest_cid"`
	Entrypoint  string          `json:"entrypoint"`
	RunID       string          `json:"run_id"`
	Result      json.RawMessage `json:"result"`      // JSON view; null after a trap
	ResultHash  *cid.Hash       `json:"result_hash"` // null after a trap
	Error       *trapView       `json:"error"`       // null unless the program trapped
	Receipts    []receiptView   `json:"receipts"`
	Ledger      []entryView     `json:"ledger"`
	Budget      budgetView      `json:"budget"`
	Seal        cid.Hash        `json:"seal"`
	Trace       *cid.Hash       `json:"trace"`    // not made by this release
	Evidence    *cid.Hash       `json:"evidence"` // not made by this release
}

type trapView struct {
	Code    fault.Code `json:"code"`
	Message string     `json:"message"`
}

type receiptView struct {
	ReceiptID      cid.Hash        `json:"receipt_id"`
	ToolID         cid.Hash        `json:"tool_id"`
	Tool           string          `json:"tool"`
	Variant        *string         `json:"variant"` // null for the default
	Status         uint16          `json:"status"`
	RequestHash    cid.Hash        `json:"request_hash"`
	ResponseHash   cid.Hash        `json:"response_hash"`
	IdempotencyKey string          `json:"idempotency_key"` // hex
	CallerKey      json.RawMessage `json:"caller_key"`      // JSON view of an explicit key; null if derived
	Replayed       bool            `json:"replayed"`
	Bytes          string          `json:"bytes"` // the canonical receipt in hex
}

type entryView struct {
	Kind   string    `json:"kind"`
	IdemID *cid.Hash `json:"idem_id"` // null for kinds that have none
	Bytes  string    `json:"bytes"`   // the canonical entry in hex
}

type budgetView struct {
	FuelUsed  uint64 `json:"fuel_used"`
	FuelLimit uint64 `json:"fuel_limit"`
	IOUsed    uint64 `json:"io_used"`
	IOLimit   uint64 `json:"io_limit"`
}

func newRunView(r *node.RunReport) (runView, error) {
	out := r.Result.Outcome
	v := runView{
		Schema: "mythos.run.result/1", PackageID: r.PackageID, ManifestCID: r.ManifestCID,
		Entrypoint: r.Result.Entrypoint, RunID: r.Result.RunID, Result: json.RawMessage("null"),
		Receipts: []receiptView{}, Ledger: []entryView{}, Seal: r.Result.Seal,
		Budget: budgetView{out.FuelUsed, out.FuelLimit, out.IOUsed, out.IOLimit},
	}
	if out.ErrorCode != "" {
		v.Error = &trapView{out.ErrorCode, out.Message}
	} else {
		result, err := jsonView(out.Value)
		if err != nil {
			return v, err
		}
		v.Result, v.ResultHash = result, &out.ResultHash
	}
	for _, e := range r.Result.Effects {
		x, err := newReceiptView(e)
		if err != nil {
			return v, err
		}
		v.Receipts = append(v.Receipts, x)
	}
	for _, rec := range r.Entries {
		v.Ledger = append(v.Ledger, newEntryView(rec))
	}
	return v, nil
}

func newReceiptView(e executor.Effect) (receiptView, error) {
	x, id, err := receipt.Decode(e.Receipt)
	if err != nil {
		return receiptView{}, err
	}
	key, err := jsonView(e.CallerKey)
	return receiptView{
		ReceiptID: id, ToolID: x.ToolID, Tool: e.Tool, Variant: orNull(e.Variant), Status: x.Status,
		RequestHash: x.RequestHash, ResponseHash: x.ResponseHash, IdempotencyKey: hex.EncodeToString(x.IdempotencyKey),
		CallerKey: key, Replayed: e.Replayed, Bytes: hex.EncodeToString(e.Receipt),
	}, err
}

func newEntryView(rec ledger.Record) entryView {
	v := entryView{Kind: rec.Kind.String(), Bytes: hex.EncodeToString(rec.Body)}
	if !rec.Idem.IsZero() {
		v.IdemID = &rec.Idem
	}
	return v
}

func (o *runOptions) print(r *node.RunReport) error {
	if !r.DevUntil.IsZero() {
		o.note("capabilities were issued by the local dev key; they expire at %s", r.DevUntil.UTC().Format("2006-01-02T15:04:05Z"))
	}
	v, err := newRunView(r)
	if err != nil {
		return err
	}
	if o.json {
		return o.printJSON(v)
	}
	if v.Error == nil {
		if err := o.printf("%s\n\n", string(v.Result)); err != nil {
			return err
		}
	}
	if err := o.printTable(v.summary()); err != nil || len(v.Receipts) == 0 {
		return err
	}
	if err := o.printf("\n"); err != nil {
		return err
	}
	return o.printTable(v.receiptTable())
}

func (v *runView) summary() *term.Table {
	t := term.NewTable()
	t.Row("run", v.RunID)
	t.Row("entrypoint", v.Entrypoint)
	if v.ResultHash != nil {
		t.Row("result_hash", v.ResultHash.String())
	}
	t.Row("seal", v.Seal.String())
	t.Row("fuel", strconv.FormatUint(v.Budget.FuelUsed, 10)+" of "+strconv.FormatUint(v.Budget.FuelLimit, 10))
	t.Row("effects", strconv.FormatUint(v.Budget.IOUsed, 10)+" of "+strconv.FormatUint(v.Budget.IOLimit, 10))
	return t
}

func (v *runView) receiptTable() *term.Table {
	t := term.NewTable("RECEIPT", "TOOL", "STATUS", "REPLAYED").Right(2)
	for _, x := range v.Receipts {
		variant := ""
		if x.Variant != nil {
			variant = *x.Variant
		}
		t.Row(x.ReceiptID.String(), toolLabel(x.Tool, variant), strconv.Itoa(int(x.Status)), yes(x.Replayed))
	}
	return t
}
