package postgres

import (
	"bytes"
	"context"
	"maps"
	"math"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// append sends a group as one statement and answers what was carried out; the
// rest is returned, to be tried again.
func (w *writer) append(group []planned) (again []*operation) {
	slices.SortFunc(group, func(a, b planned) int { return bytes.Compare(a.key[:], b.key[:]) }) // so that no two executors wait for each other
	result, err := w.exec(w.statement(group))
	w.careful = max(w.careful-1, 0)
	if err != nil {
		return w.unsent(group, err)
	}
	for _, o := range result.barred {
		group[o-1].op.look = true
	}
	for i, p := range group {
		if len(result.barred) > 0 || result.seqs[i] == nil {
			p.op.look = p.op.look || len(result.barred) == 0
			p.op.rounds++
			again = append(again, p.op)
			continue
		}
		w.remember(p, *result.seqs[i], result.clock)
		p.op.finish(nil)
	}
	return again
}

// unsent decides what becomes of a group after an error.
func (w *writer) unsent(group []planned, err error) (again []*operation) {
	state := sqlState(err)
	if state == stateMoved {
		w.careful = carefulGroups
	}
	if !isLost(err) && !slices.Contains([]string{stateMoved, stateCharges, stateDeadlock, stateSerialization}, state) {
		for _, p := range group {
			p.op.finish(storeError(err))
		}
		return nil
	}
	for _, p := range group {
		switch {
		case isLost(err):
			p.op.look, p.op.unknown = true, p.draft
		case state == stateCharges && len(p.charges) > 0:
			p.op.look, p.op.counts = true, p.charges
		}
		p.op.rounds++
		again = append(again, p.op)
	}
	return again
}

// outcome is what the statement returns: seqs has nil for an entry whose key has
// moved on, barred the numbers, from 1, of registers whose predecessor's lease
// stands.
type outcome struct {
	clock  int64
	seqs   []*int64
	barred []int32
}

const selectAppend = "SELECT clock, seqs, barred FROM append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)"

// exec sends the statement once: whether it may be sent again is not for a
// connection to say.
func (w *writer) exec(args []any) (out outcome, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), statementTimeout)
	defer cancel()
	err = w.conn.QueryRow(ctx, selectAppend, args...).Scan(&out.clock, &out.seqs, &out.barred)
	return out, lostIf(w.conn, replicated(w.conn, err))
}

// selectConfirm writes a message to the server's log that no table has. The commit of
// that waits for the disk and the standbys, and so for all that was written before it.
const selectConfirm = "SELECT current_setting('fsync'), current_setting('synchronous_commit') FROM pg_logical_emit_message(true, 'mythos', '')"

// confirm makes durable what this connection's server was seen to have. An entry whose
// statement lost its connection is there before the standbys have it: when a
// wait for them is broken off, the transaction is committed all the same.
func (w *writer) confirm(ctx context.Context) error {
	var sync, commit string
	err := w.conn.QueryRow(ctx, selectConfirm).Scan(&sync, &commit)
	if err := replicated(w.conn, err); err != nil {
		return err
	}
	return durable(sync, commit)
}

// columns are the statement's parameters, an array each.
type columns struct {
	kinds                     []int16
	numbers, marks            []int32
	keys, runs, bodies, kepts [][]byte
	spans, ended, fences      []int64
	items                     []placed
	newCaps, caps             [][]byte
	totals, most              []int64
	chargeOps, chargeCaps     []int32
	chargeCounts              []int64
}

// placed is where an item stands: in which entry of the group, and at which bytes
// of what is kept with it.
type placed struct {
	op, at, size int32
	key          cid.Hash
}

func (w *writer) statement(group []planned) []any {
	var c columns
	fenced, ending := false, false
	for i, p := range group {
		op := int32(i + 1)
		c.kinds, c.numbers, c.marks = append(c.kinds, int16(p.kind)), append(c.numbers, int32(p.number())), append(c.marks, p.op.mark)
		c.keys, c.runs, c.bodies = append(c.keys, p.key[:]), append(c.runs, hashOrNull(p.run)), append(c.bodies, p.body)
		c.kepts = append(c.kepts, c.pack(op, p.draft, w.known.items))
		c.spans, c.ended = append(c.spans, p.span), append(c.ended, int64(p.ended))
		fence := int64(0)
		if p.expired && p.kind == ledger.KindRegister {
			fence, fenced = w.locks.fence(p.key), true
		}
		c.fences, ending = append(c.fences, fence), ending || p.ended != 0
	}
	c.charge(group, w.known.caps)
	if !fenced {
		c.fences = nil
	}
	if !ending {
		c.ended = nil
	}
	return c.args(w.locks.barrier(), w.careful > 0)
}

func hashOrNull(h cid.Hash) []byte {
	if h.IsZero() {
		return nil
	}
	return h[:]
}

// pack notes the items that come with an entry and returns their bytes, one after
// the other. Those that are stored already are left out.
func (c *columns) pack(op int32, d *draft, stored map[cid.Hash]bool) (kept []byte) {
	first := len(c.items)
	for _, k := range d.beside {
		it := placed{op, int32(len(kept)), int32(len(k.Data)), itemKey(k.ID, k.Receipt)}
		if stored[it.key] || slices.ContainsFunc(c.items[first:], func(o placed) bool { return o.key == it.key }) {
			continue
		}
		c.items = append(c.items, it)
		kept = append(kept, k.Data...)
	}
	return kept
}

// charge adds what the group spends: what each entry does, and the totals, in the
// order of the capabilities, so that no two executors wait for each other. most is
// how much may have been spent before for all of it to fit.
func (c *columns) charge(group []planned, known map[cid.Hash]bool) {
	at := map[cid.Hash]int{}
	for _, p := range group {
		for _, x := range p.charges {
			at[x.CapID] = 0
		}
	}
	for i, id := range slices.SortedFunc(maps.Keys(at), func(a, b cid.Hash) int { return bytes.Compare(a[:], b[:]) }) {
		at[id] = i
		c.caps, c.totals, c.most = append(c.caps, id[:]), append(c.totals, 0), append(c.most, math.MaxInt64)
		if !known[id] {
			c.newCaps = append(c.newCaps, id[:])
		}
	}
	for op, p := range group {
		for _, x := range p.charges {
			i := at[x.CapID]
			c.most[i] = min(c.most[i], x.Limit-c.totals[i])
			c.totals[i] += int64(x.Count)
			c.chargeOps, c.chargeCaps, c.chargeCounts = append(c.chargeOps, int32(op+1)), append(c.chargeCaps, int32(i+1)), append(c.chargeCounts, int64(x.Count))
		}
	}
}

func (c *columns) args(barrier int64, careful bool) []any {
	n := len(c.items)
	ops, ats, sizes, ids := make([]int32, n), make([]int32, n), make([]int32, n), make([]int64, n)
	for i, it := range c.items {
		ops[i], ats[i], sizes[i], ids[i] = it.op, it.at, it.size, itemID(it.key)
	}
	return []any{
		barrier, careful, c.kinds, c.numbers, c.marks, c.keys, c.runs, c.bodies, c.kepts, c.spans, c.ended, c.fences,
		ops, ids, ats, sizes, c.newCaps, c.caps, c.totals, c.most, c.chargeOps, c.chargeCaps, c.chargeCounts,
	}
}

// carefulGroups is how many groups are sent with care after one that met a key
// which had moved on.
const carefulGroups = 16

const (
	maxHistories = 8 << 10
	maxItems     = 64 << 10
	maxCaps      = 64 << 10
)

// memory is what the writer knows without asking: prefixes of histories, of which
// a statement finds out whether they are all; items and capabilities, which never
// go. It is forgotten with the connection.
type memory struct {
	histories map[cid.Hash]history // keys whose last entry is a register of ours
	items     map[cid.Hash]bool
	caps      map[cid.Hash]bool
}

func newMemory() memory {
	return memory{map[cid.Hash]history{}, map[cid.Hash]bool{}, map[cid.Hash]bool{}}
}

// acknowledged notes what a server must still have when the next connection is made.
func (w *writer) acknowledged(seq int64, mark int32) {
	if seq > w.lastSeq {
		w.lastSeq, w.lastMark = seq, mark
	}
}

// remember notes an entry that is durable.
func (w *writer) remember(p planned, seq, clock int64) {
	w.acknowledged(seq, p.op.mark)
	m := &w.known
	for _, k := range p.beside {
		if len(m.items) >= maxItems {
			clear(m.items)
		}
		m.items[itemKey(k.ID, k.Receipt)] = true
	}
	for _, c := range p.charges {
		if len(m.caps) >= maxCaps {
			clear(m.caps)
		}
		m.caps[c.CapID] = true
	}
	if p.kind != ledger.KindRegister {
		delete(m.histories, p.key)
		return
	}
	if len(m.histories) >= maxHistories {
		for key := range m.histories { // any: it is looked at again if it is needed
			delete(m.histories, key)
			break
		}
	}
	rec := ledger.Record{Index: uint64(seq), Kind: p.kind, Idem: p.key, Run: p.run, Time: clock, Body: p.body}
	h := p.known
	m.histories[p.key] = history{append(slices.Clip(h.records), rec), append(slices.Clip(h.marks), p.op.mark), append(slices.Clip(h.expires), 0), clock}
}
