package conformance

import (
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// ledgerOps are the ops of RFC-MYTHOS-0005.
func ledgerOps() map[string]opFunc {
	return map[string]opFunc{
		"ledger.fold":   do(ledgerFold),
		"ledger.rings":  do(ledgerRings),
		"ledger.script": doContext(ledgerScript),
		"ledger.key":    do(ledgerKey),
		"ledger.leaf":   do(ledgerLeaf),
		"ledger.runid":  do(ledgerRunID),
	}
}

// FoldInput is the input of ledger.fold: the entries of one idempotency id, in
// log order.
type FoldInput struct {
	Entries []EntryView `json:"entries"`
}

// EntryView is one entry.
type EntryView struct {
	Kind uint8 `json:"kind"`
	Hex  Hex   `json:"hex"`
}

// LedgerState is the output of ledger.fold, and part of each state of
// ledger.script. What an absent id does not have is left out.
type LedgerState struct {
	Phase         string         `json:"phase"`
	Attempt       uint32         `json:"attempt"` // registers so far
	RequestHash   *cid.Hash      `json:"request_hash,omitempty"`
	RegisterID    *cid.Hash      `json:"register_id,omitempty"` // the latest
	Owner         *cid.Hash      `json:"owner,omitempty"`       // its owner's key id
	Retry         *uint8         `json:"retry,omitempty"`       // its retry class
	ReceiptID     *cid.Hash      `json:"receipt_id,omitempty"`  // of the commit that stands, or stood if divergent
	ResponseHash  *cid.Hash      `json:"response_hash,omitempty"`
	Marked        bool           `json:"marked"` // a request conflict was recorded
	Contradiction *Contradiction `json:"contradiction,omitempty"`
}

// Contradiction is why an id is divergent.
type Contradiction struct {
	Reason uint8    `json:"reason"`
	Stood  cid.Hash `json:"stood"` // commit ids
	Other  cid.Hash `json:"other"`
}

func ledgerState(s ledger.State) LedgerState {
	out := LedgerState{Phase: s.Phase.String(), Attempt: s.Attempt, Marked: s.Marked}
	if s.Phase == ledger.Absent {
		return out
	}
	owner, retry := s.Owner.KeyID(), uint8(s.Retry)
	out.RequestHash, out.RegisterID, out.Owner, out.Retry = &s.RequestHash, &s.RegisterID, &owner, &retry
	divergent := s.Phase == ledger.Divergent
	if s.CommitRaw != nil && (divergent || s.Phase == ledger.Committed) {
		out.ReceiptID, out.ResponseHash = &s.Commit.ReceiptID, &s.Commit.ResponseHash
	}
	if c := s.Contradiction; divergent && c.Reason != 0 {
		out.Contradiction = &Contradiction{c.Reason, c.Stood, c.Other}
	}
	return out
}

func ledgerFold(in FoldInput) (LedgerState, error) {
	var records []ledger.Record
	for i, e := range in.Entries {
		records = append(records, ledger.Record{Index: uint64(i), Kind: ledger.Kind(e.Kind), Body: e.Hex})
	}
	s, err := ledger.Fold(records)
	return ledgerState(s), err
}

// RingsOutput is the output of ledger.rings: the states that stand, by ring and
// then by name.
type RingsOutput struct {
	States []RingStands `json:"states"`
}

// RingStands is the state of a ring and a name that stands.
type RingStands struct {
	Ring uint8    `json:"ring"`
	Name string   `json:"name"`
	Seq  U64      `json:"seq"`
	ID   cid.Hash `json:"id"`
}

// ledgerRings appends ring states to an empty store, as RFC-MYTHOS-0005 §2.2 says.
func ledgerRings(in FoldInput) (RingsOutput, error) {
	var f ledger.RingFold
	out := RingsOutput{States: []RingStands{}}
	for _, e := range in.Entries {
		if ledger.Kind(e.Kind) != ledger.KindRingState {
			return out, badInput("an entry of kind %d is no ring state", e.Kind)
		}
		x, err := ledger.OpenRingState(e.Hex)
		if err == nil {
			err = f.Add(x)
		}
		if err != nil {
			return out, err
		}
	}
	for _, x := range f.All() {
		out.States = append(out.States, RingStands{x.Ring, x.Name, U64(x.Seq), x.ID})
	}
	return out, nil
}

// KeyInput is the input of ledger.key: exactly one of Explicit and Derived.
type KeyInput struct {
	Authority cid.Hash    `json:"authority"`
	Holder    cid.Hash    `json:"holder"`
	Explicit  *Hex        `json:"explicit,omitempty"`
	Derived   *DerivedKey `json:"derived,omitempty"`
}

// DerivedKey is what an effect without a key of its caller's is named by.
type DerivedKey struct {
	RunID     string   `json:"run_id"`
	PackageID cid.Hash `json:"package_id"`
	Bundle    cid.Hash `json:"bundle"`
	TaskID    cid.Hash `json:"task_id"`
	Ordinal   U64      `json:"ordinal"`
}

func ledgerKey(in KeyInput) (Bytes, error) {
	switch {
	case (in.Explicit == nil) == (in.Derived == nil):
		return Bytes{}, badInput("want explicit or derived")
	case in.Explicit != nil:
		key, err := ledger.ExplicitKey(in.Authority, in.Holder, *in.Explicit)
		return Bytes{key}, err
	}
	d := in.Derived
	x := ledger.DerivedKey{RunID: d.RunID, PackageID: d.PackageID, Bundle: d.Bundle, TaskID: d.TaskID, Ordinal: uint64(d.Ordinal)}
	return Bytes{x.IdempotencyKey(in.Authority, in.Holder)}, nil
}

// LeafInput is the input of ledger.leaf.
type LeafInput struct {
	Index U64   `json:"index"`
	Kind  uint8 `json:"kind"`
	Hex   Hex   `json:"hex"`
}

func ledgerLeaf(in LeafInput) (Hashed, error) {
	return Hashed{ledger.LeafHash(uint64(in.Index), ledger.Kind(in.Kind), in.Hex)}, nil
}

// RunIDInput is the input of ledger.runid.
type RunIDInput struct {
	Text string `json:"text"`
}

func ledgerRunID(in RunIDInput) (struct{}, error) {
	return struct{}{}, ledger.CheckRunID(in.Text)
}
