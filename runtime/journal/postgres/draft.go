package postgres

import (
	"errors"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// history is what is known of a key: the entries under it, of which there may be
// more by now. The Index of a record is its seq, not its place in the log.
type history struct {
	records []ledger.Record
	marks   []int32
	expires []int64 // when the lease of a register ends or ended; 0 for other entries
	now     int64   // the server's clock when it was read
}

// draft is a rule's transaction before it is one: it answers from a history and
// notes what the rule writes, for one statement that holds on condition that the
// history is still all there is.
type draft struct {
	key   cid.Hash
	known history
	fresh bool // known was read after the operation was asked for

	spent map[cid.Hash]uint32 // calls spent and reserved; nil: not read, the statement decides
	free  map[cid.Hash]uint32 // calls spent, without those reserved

	kind    ledger.Kind // 0: nothing was written
	run     cid.Hash
	body    []byte
	beside  []rules.Kept
	span    int64  // of the lease of a register, or its extension; -1: none
	ended   uint64 // seq of the register whose lease ends; 0: none
	expired bool   // the rule rests on a lease that does not stand
	charges []rules.Charge
}

var _ rules.Tx = (*draft)(nil)

// errLater says that an operation fits, but not beside those before it in its
// group.
var errLater = errors.New("not in this group")

// Records implements rules.Tx.
func (d *draft) Records(cid.Hash) ([]ledger.Record, error) { return d.known.records, nil }

// Add implements rules.Tx.
func (d *draft) Add(rec ledger.Record, beside ...rules.Kept) error {
	d.kind, d.run, d.body, d.beside = rec.Kind, rec.Run, rec.Body, beside
	return nil
}

// AddRegister implements rules.Tx.
func (d *draft) AddRegister(rec ledger.Record, leaseFor int64) error {
	d.span = max(leaseFor, 0)
	return d.Add(rec)
}

// Lease implements rules.Tx. A lease that is only remembered may have been
// extended, and counts as standing.
func (d *draft) Lease(_ cid.Hash, index uint64) (expires int64, stands bool, err error) {
	if !d.fresh {
		return 0, true, nil
	}
	for i, rec := range d.known.records {
		if rec.Index == index {
			expires = d.known.expires[i]
		}
	}
	d.expired = d.known.now >= expires
	return expires, !d.expired, nil
}

// ExtendLease implements rules.Tx.
func (d *draft) ExtendLease(_ cid.Hash, index uint64, forMicros int64) error {
	d.ended, d.span = index, forMicros
	return nil
}

// EndLease implements rules.Tx.
func (d *draft) EndLease(_ cid.Hash, index uint64) error {
	d.ended = index
	return nil
}

// Charge implements rules.Tx.
func (d *draft) Charge(spend []ledger.Spend) error {
	d.charges = rules.Charges(spend)
	if d.spent == nil {
		return nil
	}
	for _, c := range d.charges {
		if err := c.Check(d.free[c.CapID]); err != nil {
			return err
		}
		if c.Check(d.spent[c.CapID]) != nil {
			return errLater
		}
	}
	for _, c := range d.charges {
		d.spent[c.CapID] += c.Count
	}
	return nil
}

// Run implements rules.Tx.
func (d *draft) Run(cid.Hash) (record []byte, ok bool, err error) {
	if len(d.known.records) == 0 {
		return nil, false, nil
	}
	return d.known.records[0].Body, true, nil
}

// AddRun implements rules.Tx: the entry's key makes it the one of its run.
func (d *draft) AddRun(_ cid.Hash, rec ledger.Record, beside ...rules.Kept) error {
	return d.Add(rec, beside...)
}

// number is how many entries the draft was decided on.
func (d *draft) number() int { return len(d.known.records) }

// size is about how many bytes are to be written.
func (d *draft) size() int {
	n := len(d.body)
	for _, k := range d.beside {
		n += len(k.Data)
	}
	return n
}

// holds reports whether a history has the draft as its entry: whether a statement
// whose outcome was lost was carried out.
func (d *draft) holds(h history, mark int32) bool {
	n := d.number()
	return d.kind != 0 && n < len(h.records) && h.marks[n] == mark && string(h.records[n].Body) == string(d.body)
}
