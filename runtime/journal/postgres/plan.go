package postgres

import (
	"context"
	"fmt"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// sight is what a round has read.
type sight struct {
	histories map[cid.Hash]history
	spent     map[cid.Hash]uint32
}

// holds reports whether an operation was carried out before its connection was lost.
func (s sight) holds(op *operation) bool {
	return op.look && op.unknown != nil && op.unknown.holds(s.histories[op.key], op.mark)
}

// look reads what the operations of a round want to see.
func (w *writer) look(ctx context.Context, pending []*operation) (s sight, err error) {
	var keys []cid.Hash
	var caps [][]byte
	for _, op := range pending {
		if op.look {
			keys = append(keys, op.key)
		}
		for _, c := range op.counts {
			caps = append(caps, c.CapID[:])
		}
	}
	if len(keys) == 0 {
		return s, nil
	}
	if s.histories, err = readHistories(ctx, w.conn, keys); err != nil || len(caps) == 0 {
		return s, err
	}
	s.spent = map[cid.Hash]uint32{}
	rows, err := w.conn.Query(ctx, "SELECT cap, used FROM spend WHERE cap = ANY($1)", caps)
	if err != nil {
		return s, err
	}
	defer rows.Close()
	for rows.Next() {
		var id []byte
		var used uint32
		if err := rows.Scan(&id, &used); err != nil {
			return s, err
		}
		s.spent[cid.Hash(id)] = used
	}
	return s, rows.Err()
}

// maxBytes is how much a group may hold before another operation joins it.
const maxBytes = 8 << 20

// planned is an operation with what its rule wants to write.
type planned struct {
	op *operation
	*draft
}

// plan runs the rules. An operation that is refused on what was read is answered;
// one that is refused on what is only presumed or remembered looks first. Of
// several that write under one key, the first goes. One that comes after another
// goes with it, if the statement appends all or nothing, and else when that one has
// been answered.
func (w *writer) plan(pending []*operation, s sight) (write []planned, again []*operation) {
	taken, going := map[cid.Hash]bool{}, map[*operation]bool{}
	reserved := map[cid.Hash]uint32{}
	for id, n := range s.spent {
		reserved[id] = n
	}
	room := maxBytes
	for _, op := range pending {
		if taken[op.key] || room <= 0 {
			again = append(again, op)
			continue
		}
		d := &draft{key: op.key, fresh: op.look, span: -1}
		if op.look {
			d.known = s.histories[op.key]
		} else {
			d.known = w.known.histories[op.key]
		}
		if op.counts != nil {
			d.free, d.spent = s.spent, reserved
		}
		if s.holds(op) {
			w.acknowledged(int64(d.known.records[op.unknown.number()].Index), op.mark)
			op.finish(nil) // as the rule answered when it was sent
			continue
		}
		if err := w.follows(op, going); err == errLater {
			again = append(again, op)
			continue
		} else if err != nil {
			op.finish(err)
			continue
		}
		err := w.apply(op, d)
		switch {
		case err == errLater:
			again = append(again, op)
		case err == nil && d.kind != 0:
			taken[op.key], going[op] = true, true
			room -= d.size()
			write = append(write, planned{op, d})
		case op.look:
			op.finish(err)
		default:
			op.look = true
			again = append(again, op)
		}
	}
	return write, again
}

// follows says whether an operation may go into a statement with those that are going:
// nil, errLater, or why it never may.
func (w *writer) follows(op *operation, going map[*operation]bool) error {
	before := op.after
	switch {
	case before == nil:
		return nil
	case before.ended() && before.err != nil:
		return before.err
	case before.ended():
		return rules.Stands(before.verdict)
	case going[before] && w.careful == 0 && rules.Stands(before.verdict) == nil:
		return nil
	}
	return errLater
}

// apply runs one rule. A panic is a bug of the rule; it must not leave the other
// callers without an answer, so it ends the store and not the process.
func (w *writer) apply(op *operation, d *draft) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(rules.ErrUnavailable, "%w", fmt.Errorf("a rule of the ledger panicked: %v", p))
			w.dead, op.look = err, true
		}
	}()
	op.last = d
	return op.rule(d)
}
