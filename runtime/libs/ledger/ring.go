package ledger

import (
	"cmp"
	"encoding/binary"
	"iter"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// ErrRingStale is the code of a ring state that does not come after the one that
// stands.
const ErrRingStale fault.Code = "ring_state_stale"

const (
	maxRing     = 2
	maxRingName = 128 // bytes
)

// OpenRingState decodes a ring state and verifies its signature. Whether its
// signer may set a ring is for the trust file to say.
func OpenRingState(raw []byte) (RingState, error) {
	var x RingState
	if _, err := sig.Open(raw, &x); err != nil {
		return x, err
	}
	return x, x.check()
}

// check holds a ring state against itself.
func (x RingState) check() error {
	switch {
	case x.Ring > maxRing:
		return fault.New(ErrEntry, "there is no ring %d", x.Ring)
	case x.Name == "" || len(x.Name) > maxRingName:
		return fault.New(ErrEntry, "a ring state names a package in 1 to %d bytes, got %d", maxRingName, len(x.Name))
	case x.PackageID == nil && (x.RollbackPackageID != nil || x.PromotionID != nil):
		return fault.New(ErrEntry, "a ring state without a package has a rollback or a promotion")
	}
	return nil
}

// RingKey names what ring states of one ring and one name stand under.
func RingKey(ring uint8, name string) cid.Hash {
	b := binary.BigEndian.AppendUint64([]byte("mythos ring "), uint64(ring))
	return cid.Sum(append(b, name...))
}

// RingFold is the fold of ring states in log order (RFC-MYTHOS-0005 §2.2). The
// zero RingFold is empty.
type RingFold struct {
	stands map[cid.Hash]RingState
}

// Stands returns the state that stands of a ring and a name.
func (f *RingFold) Stands(ring uint8, name string) (RingState, bool) {
	x, ok := f.stands[RingKey(ring, name)]
	return x, ok
}

// Add folds an opened state. One whose seq is not above that of the state that
// stands changes nothing: ErrRingStale.
func (f *RingFold) Add(x RingState) error {
	if err := x.check(); err != nil {
		return err
	}
	if old, ok := f.Stands(x.Ring, x.Name); ok && x.Seq <= old.Seq {
		return fault.New(ErrRingStale, "ring %d of %s stands at seq %d, got %d", x.Ring, x.Name, old.Seq, x.Seq)
	}
	if f.stands == nil {
		f.stands = map[cid.Hash]RingState{}
	}
	f.stands[RingKey(x.Ring, x.Name)] = x
	return nil
}

// All returns the states that stand, by ring and then by name.
func (f *RingFold) All() []RingState {
	var all []RingState
	for _, x := range f.stands {
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b RingState) int {
		return cmp.Or(cmp.Compare(a.Ring, b.Ring), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// FoldRings returns the states that stand after entries in log order; those of
// other kinds are passed over. Each is verified: one that does not fit means
// damage, ErrCorrupt.
func FoldRings(records iter.Seq2[Record, error]) ([]RingState, error) {
	var f RingFold
	for rec, err := range records {
		if err != nil {
			return nil, err
		}
		if rec.Kind != KindRingState {
			continue
		}
		x, err := OpenRingState(slices.Clone(rec.Body))
		if err == nil {
			err = f.Add(x)
		}
		if err != nil {
			return nil, fault.New(ErrCorrupt, "entry %d: %w", rec.Index, err)
		}
	}
	return f.All(), nil
}
