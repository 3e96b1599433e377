package rules

import (
	"context"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// Exported is an entry with what stands in its row.
type Exported struct {
	ledger.Record
	RunKey cid.Hash // of a run record: what it is found by; see RunKey
	Key    cid.Hash // of a refusal and a ring state: what it is kept under
	Lease  int64    // of a register: for how many microseconds its lease still stands; 0: it is over
	Kept   []byte   // the bytes of its items, one after the other
}

// ExportedItem is where an object or a receipt stands.
type ExportedItem struct {
	ID       cid.Hash
	Receipt  bool   // ID is a receipt id; else a CID
	Index    uint64 // of the entry in whose Kept it stands
	At, Size int
}

// Source is a ledger that can be copied whole.
type Source interface {
	ledger.Store
	// Export calls entry for each entry in log order, then item for each item, then
	// spend for each capability with the calls spent of it, all as of one instant. It
	// returns the first error.
	Export(ctx context.Context, entry func(Exported) error, item func(ExportedItem) error, spend func(cid.Hash, uint32) error) error
}
