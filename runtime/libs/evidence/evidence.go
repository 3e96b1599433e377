// Package evidence holds what an executor records around its effects: how one
// effect was run (RFC-MYTHOS-0006 §15), and the signed beginning and end of a
// run (RFC-MYTHOS-0005 §8).
//
//	EffectEvidence  open, unsigned; named by the SHA-256 of its bytes, which is
//	                the one item of a receipt's evidence
//	RunRecord       closed; id without fields 1 and 14; signed by its executor
//	RunSeal         open; id without fields 1 and 14; signed by its signer
//
// The rules that a field table cannot say are checked here. Evidence: a
// built-in tool has module kind 0, no module and no variant, any other has a
// module; fuel_schedule and fuel_used stand together. A seal: exactly one of
// result_hash and error_code; receipts_root is the root of the list of receipt
// ids in the order of their effects, absent if and only if there is none. For
// example the seal of a run without effects that returned NULL has
//
//	{3: run_record, 4: 0, 6: SHA-256(00), 8: fuel, 9: 0, 10: 0}
//
// beside its id, schema, signer, time and signature.
package evidence

import (
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Codes of this package.
const (
	ErrEffect   fault.Code = "effect_evidence"   // evidence whose fields contradict each other
	ErrSeal     fault.Code = "run_seal"          // a seal whose fields contradict each other
	ErrReceipts fault.Code = "run_seal_receipts" // receipts that are not those of the seal
)

// DecodeEffect decodes the evidence of one effect and checks it. Its name is
// cid.Sum(raw).
func DecodeEffect(raw []byte) (EffectEvidence, error) {
	var x EffectEvidence
	r := can.NewReader(raw)
	x.ReadCAN(&r)
	if err := r.Done(); err != nil {
		return x, err
	}
	return x, x.Check()
}

// Check checks the fields against each other.
func (x *EffectEvidence) Check() error {
	builtin := x.ModuleKind == 0
	switch {
	case builtin != (x.Module == nil):
		return fault.New(ErrEffect, "module kind %d and a module that is there: %t", x.ModuleKind, x.Module != nil)
	case builtin && x.Variant != "":
		return fault.New(ErrEffect, "a built-in tool has no variant, got %q", x.Variant)
	case x.Engine == "":
		return fault.New(ErrEffect, "no engine is named")
	case (x.FuelSchedule == nil) != (x.FuelUsed == nil):
		return fault.New(ErrEffect, "fuel_schedule and fuel_used stand together or not at all")
	}
	return nil
}

// OpenRecord decodes a run record, checks its id and form and verifies its
// executor's signature.
func OpenRecord(raw []byte) (RunRecord, cid.Hash, error) {
	var x RunRecord
	id, err := sig.Open(raw, &x)
	if err != nil {
		return x, id, err
	}
	return x, id, ledger.CheckRunID(x.RunID)
}

// OpenSeal decodes a run seal, checks its id and fields and verifies its
// signer's signature. It returns the id.
func OpenSeal(raw []byte) (RunSeal, cid.Hash, error) {
	var x RunSeal
	id, err := sig.Open(raw, &x)
	if err != nil {
		return x, id, err
	}
	return x, id, x.Check()
}

// Check checks the fields against each other.
func (x *RunSeal) Check() error {
	switch {
	case (x.ReceiptsRoot == nil) != (x.ReceiptCount == 0):
		return fault.New(ErrSeal, "%d receipts and a root that is there: %t", x.ReceiptCount, x.ReceiptsRoot != nil)
	case (x.ResultHash == nil) == (x.ErrorCode == ""):
		return fault.New(ErrSeal, "a run ends with a result_hash or an error_code, exactly one")
	case !codeForm(x.ErrorCode):
		return fault.New(ErrSeal, "error_code %.80q is not of the form of a code", x.ErrorCode)
	}
	return nil
}

// codeForm reports whether s is empty or lowercase words joined by "_".
func codeForm(s string) bool {
	odd := func(c rune) bool { return c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') }
	return len(s) <= 128 && !strings.ContainsFunc(s, odd)
}

// CheckReceipts checks that ids are the receipt ids that the seal covers, in
// the order of their effects.
func (x *RunSeal) CheckReceipts(ids []cid.Hash) error {
	if uint64(len(ids)) != x.ReceiptCount {
		return fault.New(ErrReceipts, "got %d receipts, the seal covers %d", len(ids), x.ReceiptCount).About(x.ID.String())
	}
	root := merkle.Root(ids)
	if (root == nil) != (x.ReceiptsRoot == nil) || root != nil && *root != *x.ReceiptsRoot {
		return fault.New(ErrReceipts, "the receipts are not those that the seal covers, or in another order").About(x.ID.String())
	}
	return nil
}
