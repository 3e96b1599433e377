package conformance

import (
	"context"
	"fmt"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// sealOps are the ops of RFC-MYTHOS-0005 §8: a run's end, from its record and
// what its effects left behind, and the receipts that a seal covers.
func sealOps() map[string]opFunc {
	return map[string]opFunc{
		"ir.seal":    doContext(irSeal),
		"seal.check": do(sealCheck),
	}
}

// SealInput is the input of ir.seal: a recorded run, and who seals it when.
type SealInput struct {
	Hex        Hex        `json:"hex"`              // canonical IRBundle
	Record     Hex        `json:"record"`           // canonical RunRecord
	Inputs     *Hex       `json:"inputs,omitempty"` // a LIST, for the task's args
	Effects    []Recorded `json:"effects,omitempty"`
	Caps       []string   `json:"caps,omitempty"` // as in ir.run
	MaxRequest *U64       `json:"max_request,omitempty"`
	Seed       Hex        `json:"seed"` // secret key of the signer, 32 bytes
	Time       I64        `json:"time"` // of the seal
}

// Recorded is an effect that has happened.
type Recorded struct {
	Response Hex `json:"response"` // canonical ToolResponse
	Receipt  Hex `json:"receipt"`  // canonical Receipt
}

// Sealed is the output of ir.seal.
type Sealed struct {
	Seal Hex      `json:"seal"` // canonical RunSeal
	ID   cid.Hash `json:"id"`
}

// irSeal runs a recorded program offline (RFC-MYTHOS-0012 §9) and seals its end.
func irSeal(ctx context.Context, in SealInput) (Sealed, error) {
	if len(in.Seed) != 32 {
		return Sealed{}, badInput("a seed of %d bytes, want 32", len(in.Seed))
	}
	h := &recordedHost{in: &in}
	var err error
	if h.record, h.id, err = evidence.OpenRecord(in.Record); err != nil {
		return Sealed{}, err
	}
	p, err := ir.Load(in.Hex)
	if err != nil {
		return Sealed{}, err
	}
	opt, err := h.options(p)
	if err != nil {
		return Sealed{}, err
	}
	res, err := p.Run(ctx, opt, h)
	if err != nil {
		return Sealed{}, err
	}
	if len(h.receipts) < len(in.Effects) || h.caps < len(in.Caps) {
		return Sealed{}, badInput("%d effects and %d capabilities were asked for, the script has %d and %d", len(h.receipts), h.caps, len(in.Effects), len(in.Caps))
	}
	x := h.seal(res)
	raw, id, err := sig.Sign(&x, sig.NewKey([32]byte(in.Seed), ""))
	return Sealed{raw, id}, err
}

// recordedHost answers effects out of a record, and holds what the program asks
// for to the receipts.
type recordedHost struct {
	in       *SealInput
	record   evidence.RunRecord
	id       cid.Hash
	receipts []cid.Hash
	caps     int
}

// options are those of the recorded run, of which task, bundle and inputs must
// be those of the record.
func (h *recordedHost) options(p *ir.Program) (ir.RunOptions, error) {
	opt := ir.RunOptions{Task: h.record.TaskID}
	if h.in.Inputs != nil {
		opt.Inputs = append([]byte{}, *h.in.Inputs...)
	}
	if h.in.MaxRequest != nil {
		opt.MaxRequest = func(cid.Hash) uint64 { return uint64(*h.in.MaxRequest) }
	}
	inputs, err := p.Inputs(opt.Task, opt.Inputs)
	switch {
	case err != nil:
		return opt, err
	case blob.ArtifactOf(h.in.Hex).CID != h.record.Bundle:
		return opt, fault.New(ledger.ErrRunClash, "the record is of bundle %s", h.record.Bundle)
	case cid.Sum(inputs) != h.record.InputsHash:
		return opt, fault.New(ledger.ErrRunClash, "the record is of inputs %s", h.record.InputsHash)
	}
	return opt, nil
}

// seal is how the run ended, not yet signed.
func (h *recordedHost) seal(res ir.Result) evidence.RunSeal {
	x := evidence.RunSeal{
		RunRecord: h.id, ReceiptCount: uint64(len(h.receipts)), ReceiptsRoot: merkle.Root(h.receipts),
		FuelUsed: res.FuelUsed, IOUsed: res.IOUsed, StateWrites: res.StateWrites, Time: int64(h.in.Time),
	}
	if res.ErrorCode == "" {
		x.ResultHash = &res.ResultHash
	} else {
		x.ErrorCode = string(res.ErrorCode)
	}
	return x
}

// Effect answers with the recorded response, if the receipt beside it is of this
// very effect.
func (h *recordedHost) Effect(_ context.Context, c ir.EffectCall) (ir.EffectResult, error) {
	n := len(h.receipts)
	if n == len(h.in.Effects) || uint64(n) != c.Ordinal {
		return ir.EffectResult{}, badInput("effect %d is not in the script", c.Ordinal)
	}
	key, err := h.key(&c)
	if err != nil {
		return ir.EffectResult{}, err
	}
	id, err := checkRecorded(&c, key, h.in.Effects[n])
	if err != nil {
		return ir.EffectResult{}, fault.New(ledger.ErrCorrupt, "effect %d: %w", n, err)
	}
	h.receipts = append(h.receipts, id)
	return scriptedResult(h.in.Effects[n].Response)
}

// key is the effect's idempotency key (RFC-MYTHOS-0005 §7).
func (h *recordedHost) key(c *ir.EffectCall) ([]byte, error) {
	if c.Key != nil {
		return ledger.ExplicitKey(h.record.Authority, h.record.Holder, c.Key)
	}
	d := ledger.DerivedKey{
		RunID: h.record.RunID, PackageID: h.record.PackageID, Bundle: h.record.Bundle, TaskID: h.record.TaskID, Ordinal: c.Ordinal,
	}
	return d.IdempotencyKey(h.record.Authority, h.record.Holder), nil
}

// checkRecorded holds a receipt to an effect, as a replay does
// (RFC-MYTHOS-0005 §3), and returns its id.
func checkRecorded(c *ir.EffectCall, key []byte, e Recorded) (cid.Hash, error) {
	x, id, err := receipt.Open(e.Receipt)
	if err != nil {
		return id, err
	}
	response, err := abi.DecodeResponse(e.Response)
	if err != nil {
		return id, err
	}
	request := abi.Request{ToolID: c.Tool, Payload: c.Payload, IdemID: ledger.IdemID(c.Tool, key)}
	if err := x.CheckContent(request.AppendCAN(nil), e.Response); err != nil {
		return id, err
	}
	if x.ToolID != c.Tool || string(x.IdempotencyKey) != string(key) || x.Status != response.Status {
		return id, fmt.Errorf("receipt %s is of another tool, key or status", id)
	}
	return id, nil
}

// RequireCap holds, or stops the run with a code of the script.
func (h *recordedHost) RequireCap(_ context.Context, _ uint64, _ []byte) error {
	if h.caps == len(h.in.Caps) {
		return badInput("capability %d is not in the script", h.caps)
	}
	h.caps++
	return scriptedStop(h.in.Caps[h.caps-1], h.caps-1)
}

// SealedInput is the input of seal.check: a RunSeal, and receipt ids in the order
// of their effects.
type SealedInput struct {
	Hex      Hex        `json:"hex"`
	Receipts []cid.Hash `json:"receipts"`
}

// sealCheck opens a seal and holds it against the receipts that it covers.
func sealCheck(in SealedInput) (Opened, error) {
	x, id, err := evidence.OpenSeal(in.Hex)
	if err == nil {
		err = x.CheckReceipts(in.Receipts)
	}
	return Opened{id, x.Signer.KeyID()}, err
}
