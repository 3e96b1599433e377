package journal

import (
	"context"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// Refuse implements ledger.Store.
func (s *SQLite) Refuse(ctx context.Context, body []byte, run, holder cid.Hash) (ledger.Verdict, error) {
	opened, err := rules.OpenRefusal(body, run, holder)
	if err != nil {
		return 0, err
	}
	return result(s.write, ctx, func(t rules.Tx) (ledger.Verdict, error) { return rules.Refuse(t, opened) })
}

// SetRing implements ledger.Store. A checkpoint is signed with it.
func (s *SQLite) SetRing(ctx context.Context, body []byte) error {
	opened, err := rules.OpenRingState(body)
	if err != nil {
		return err
	}
	return s.write(ctx, func(t rules.Tx) error {
		if err := rules.SetRing(t, opened); err != nil {
			return err
		}
		s.writer.tx.log.due = true
		return nil
	})
}

// Rings implements ledger.Store.
func (s *SQLite) Rings(ctx context.Context) ([]ledger.RingState, error) {
	return result(s.read, ctx, func(rules.Tx) ([]ledger.RingState, error) {
		records, err := s.reads.rings()
		if err != nil {
			return nil, err
		}
		return rules.Rings(records)
	})
}
