package dataset

import (
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
)

// SealEpisode fills the episode_id of x and returns its canonical bytes and id.
func SealEpisode(x Episode) (raw []byte, id cid.Hash, err error) {
	if id, err = cid.Without(x.AppendCAN(nil), 1); err != nil {
		return nil, id, err
	}
	x.EpisodeID = id
	raw = x.AppendCAN(nil)
	if len(raw) > MaxEpisode {
		return nil, id, fault.New(ErrEpisode, "an episode of %d bytes, at most %d", len(raw), MaxEpisode)
	}
	return raw, id, nil
}

// Entry is one episode as a definition sees it: an opened EpisodeRef and, once
// they were added, its receipts.
type Entry struct {
	id       cid.Hash
	raw      []byte // the canonical EpisodeRef
	receipts []cid.Hash
	next     int // receipts that were added
	tools    map[cid.Hash]bool
	statuses map[uint64]bool
}

// OpenEpisode decodes an EpisodeRef and checks its id.
func OpenEpisode(raw []byte) (*Entry, error) {
	if len(raw) > MaxEpisode {
		return nil, fault.New(ErrEpisode, "an episode of %d bytes, at most %d", len(raw), MaxEpisode)
	}
	var x Episode
	r := can.NewReader(raw)
	x.ReadCAN(&r)
	if err := r.Done(); err != nil {
		return nil, err
	}
	id, err := cid.Without(raw, 1)
	if err != nil {
		return nil, err
	}
	if id != x.EpisodeID {
		return nil, fault.New(ErrEpisode, "episode_id is %s, the episode's is %s", x.EpisodeID, id)
	}
	return &Entry{
		id: id, raw: raw, receipts: x.TraceRef.ReceiptIDs,
		tools: map[cid.Hash]bool{}, statuses: map[uint64]bool{},
	}, nil
}

// ID returns the episode_id.
func (e *Entry) ID() cid.Hash { return e.id }

// AddReceipt adds the next receipt of the episode, in the order of receipt_ids. Its
// id is checked; its signature, which is outside the id, is not looked at.
func (e *Entry) AddReceipt(raw []byte) error {
	if e.next == len(e.receipts) {
		return fault.New(ErrEpisode, "episode %s has %d receipts, and here is another", e.id, e.next)
	}
	if len(raw) > MaxReceipt {
		return fault.New(ErrEpisode, "a receipt of %d bytes, at most %d", len(raw), MaxReceipt)
	}
	x, id, err := receipt.Decode(raw)
	if err != nil {
		return err
	}
	if want := e.receipts[e.next]; id != want {
		return fault.New(ErrEpisode, "receipt %d of episode %s is %s, want %s", e.next, e.id, id, want)
	}
	e.next++
	e.tools[x.ToolID] = true
	e.statuses[uint64(x.Status)] = true
	return nil
}
