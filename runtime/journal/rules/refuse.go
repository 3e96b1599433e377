package rules

import (
	"iter"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// Refusal is a refusal that was opened, and what it is kept under.
type Refusal struct {
	body []byte
	run  cid.Hash
	Key  cid.Hash
}

// OpenRefusal decodes and verifies a refusal of what holder asked for.
func OpenRefusal(body []byte, run, holder cid.Hash) (Refusal, error) {
	x, err := ledger.OpenRefusal(body)
	if err != nil {
		return Refusal{}, err
	}
	var named cid.Hash
	if x.RunRecord != nil {
		named = *x.RunRecord
	}
	if named != run {
		return Refusal{}, fault.New(ledger.ErrEntry, "a refusal in run %s that names run %s", run, named)
	}
	return Refusal{body, run, ledger.RefusalKey(holder, x)}, nil
}

// Refuse keeps a refusal unless there is one of its key.
func Refuse(t Tx, r Refusal) (ledger.Verdict, error) {
	before, err := t.Records(r.Key)
	if err != nil {
		return 0, err
	}
	if len(before) > 0 {
		return ledger.Dropped, nil
	}
	return ledger.Applied, t.Add(ledger.Record{Kind: ledger.KindRefusal, Idem: r.Key, Run: r.run, Body: r.body})
}

// RingState is a ring state that was opened, and what it is kept under.
type RingState struct {
	ledger.RingState
	body []byte
	Key  cid.Hash
}

// OpenRingState decodes and verifies a ring state.
func OpenRingState(body []byte) (RingState, error) {
	x, err := ledger.OpenRingState(body)
	return RingState{x, body, ledger.RingKey(x.Ring, x.Name)}, err
}

// SetRing appends a state of a ring that comes after the one that stands.
func SetRing(t Tx, x RingState) error {
	before, err := t.Records(x.Key)
	if err != nil {
		return err
	}
	var f ledger.RingFold
	for _, rec := range before {
		old, err := ledger.OpenRingState(rec.Body)
		if err == nil {
			err = f.Add(old)
		}
		if err != nil {
			return fault.New(ledger.ErrCorrupt, "entry %d: %w", rec.Index, err)
		}
	}
	if err := f.Add(x.RingState); err != nil {
		return err
	}
	return t.Add(ledger.Record{Kind: ledger.KindRingState, Idem: x.Key, Body: x.body})
}

// Rings folds the entries of kind ring state.
func Rings(records []ledger.Record) ([]ledger.RingState, error) {
	return ledger.FoldRings(all(records))
}

func all(records []ledger.Record) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		for _, rec := range records {
			if !yield(rec, nil) {
				return
			}
		}
	}
}
