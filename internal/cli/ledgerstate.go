package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

// The states that effects are listed by: the phase, and of an open effect whether
// its lease stands.
const stateInDoubt = "in-doubt"

func stateNames() []string {
	return []string{stateInDoubt, "open", "free", "committed", "settled", "divergent"}
}

func parseState(name string) error {
	if slices.Contains(stateNames(), name) {
		return nil
	}
	return usagef("--state: %q is no state: give one of %s", name, strings.Join(stateNames(), ", "))
}

// stateOf returns the word for where an effect stands.
func stateOf(v ledger.View) string {
	switch {
	case v.Phase == ledger.Doubt, v.Phase == ledger.Open && !v.Live:
		return stateInDoubt
	}
	return v.Phase.String()
}

// effectRow is an effect in the JSON of a list by state.
type effectRow struct {
	IdemID     cid.Hash   `json:"idem_id"`
	State      string     `json:"state"`
	ToolID     cid.Hash   `json:"tool_id"`
	Tool       *string    `json:"tool"`  // null if its package is not at hand
	Since      string     `json:"since"` // when its last entry was appended
	RunID      *string    `json:"run_id"`
	RunRecord  *cid.Hash  `json:"run_record"` // of the latest register
	Retry      string     `json:"retry"`      // class of the latest register
	Attempts   uint32     `json:"attempts"`
	RegisterID cid.Hash   `json:"register_id"`
	Owner      signerView `json:"owner"`
	LeaseUntil *string    `json:"lease_expires_at"` // null unless it stands
	Next       *string    `json:"next"`             // what to do; null: nothing
}

// byState lists the effects of one state. It holds a bounded number of them in
// memory and reads each id as it is when its turn comes, so that a run may write
// meanwhile.
func (o *ledgerListOptions) byState(ctx context.Context) error {
	if err := parseState(o.state); err != nil {
		return err
	}
	return o.withRecords(func(n *node.Node, r *records) error {
		own, err := ownExecutor(n)
		if err != nil {
			return err
		}
		l := &stateList{
			app: o.app, r: r, names: names{records: r}, state: o.state, json: o.json,
			own: own,
		}
		return l.list(ctx, o.run)
	})
}

// ownExecutor returns this node's executor, the zero agent if it has none yet.
func ownExecutor(n *node.Node) (sig.AgentID, error) {
	key, _, err := node.LoadKey(filepath.Join(n.KeyDir(), string(sig.Executor)+".key"))
	if errors.Is(err, fs.ErrNotExist) {
		return sig.AgentID{}, nil
	}
	return key.Agent(), err
}

// stateList is a list of effects at work.
type stateList struct {
	*app
	r     *records
	names names
	own   sig.AgentID
	state string
	json  bool
	runs  map[cid.Hash]evidence.RunRecord // those that were read, a bounded number
	rows  int
}

// stateBatch is how many ids are looked up together.
const stateBatch = 256

func (l *stateList) list(ctx context.Context, runID string) error {
	if l.json {
		head := fmt.Sprintf(`{"schema":"mythos.ledger.effects/1","state":%q,"effects":[`, l.state)
		if err := l.printText(head); err != nil {
			return err
		}
	}
	err := l.each(ctx, runID)
	if err != nil {
		return err
	}
	switch {
	case l.json:
		return l.printText("]}\n")
	case !l.r.exists:
		l.note("there is no ledger yet; the first run makes it")
	case l.rows == 0:
		l.note("no effect is %s", l.state)
	}
	return nil
}

// each goes through the ids by their first registers; of some runs, by all of
// theirs.
func (l *stateList) each(ctx context.Context, runID string) error {
	filters := []ledger.Filter{{Kinds: []ledger.Kind{ledger.KindRegister}}}
	if runID != "" {
		ids, err := l.r.runs(ctx, runID)
		if err != nil {
			return err
		}
		filters = nil
		for _, id := range ids {
			filters = append(filters, ledger.Filter{Kinds: []ledger.Kind{ledger.KindRegister}, Run: &id})
		}
	}
	seen := map[cid.Hash]bool{} // of these runs
	var batch []cid.Hash
	for _, f := range filters {
		for rec, err := range l.r.log.Records(ctx, f) {
			if err != nil {
				return err
			}
			var x ledger.Register
			if _, err := sig.Decode(rec.Body, &x); err != nil {
				return damaged(rec, err)
			}
			if f.Run == nil && x.Attempt != nil && *x.Attempt > 0 || seen[rec.Idem] {
				continue
			}
			if f.Run != nil {
				seen[rec.Idem] = true
			}
			if batch = append(batch, rec.Idem); len(batch) == stateBatch {
				if err := l.batch(ctx, batch); err != nil {
					return err
				}
				batch = batch[:0]
			}
		}
	}
	return l.batch(ctx, batch)
}

// batch folds ids, which is mostly verifying signatures, on all processors, and
// prints those in the state.
func (l *stateList) batch(ctx context.Context, ids []cid.Hash) error {
	views, errs := make([]ledger.View, len(ids)), make([]error, len(ids))
	var wait sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wait.Go(func() {
			for i := w; i < len(ids); i += workers {
				views[i], errs[i] = l.r.log.Lookup(ctx, ids[i])
			}
		})
	}
	wait.Wait()
	for i, v := range views {
		if errs[i] != nil {
			return about("id "+ids[i].String(), errs[i])
		}
		if stateOf(v) != l.state {
			continue
		}
		if err := l.print(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

func (l *stateList) print(ctx context.Context, v ledger.View) error {
	row, err := l.row(ctx, v)
	if err != nil {
		return err
	}
	l.rows++
	if l.json {
		raw, err := json.Marshal(row)
		if err != nil {
			return err
		}
		comma := ",\n"
		if l.rows == 1 {
			comma = "\n"
		}
		return l.printText(comma + string(raw))
	}
	if l.rows == 1 {
		if err := l.printf(stateLine, "ID", "SINCE", "RETRY", "OWNER", "TOOL", "RUN", "NEXT"); err != nil {
			return err
		}
	}
	return l.printf(stateLine, short(row.IdemID), row.Since[:min(len(row.Since), 19)]+"Z", row.Retry, l.ownerName(v), orDash(row.Tool), orDash(row.RunID), orDash(row.Next))
}

// stateLine is a line of the list. Its columns are not measured: that would take all
// lines at once.
const stateLine = "%-12s  %-20s  %-10s  %-12s  %-20s  %-26s  %s\n"

func orDash(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

// ownerName is the owner of a register in a table.
func (l *stateList) ownerName(v ledger.View) string {
	if v.Owner.Equal(l.own) {
		return "this node"
	}
	return short(v.Owner.KeyID())
}

// row tells of an effect all that the list shows.
func (l *stateList) row(ctx context.Context, v ledger.View) (effectRow, error) {
	row := effectRow{
		IdemID: v.IdemID, State: l.state, ToolID: v.ToolID, Retry: retryName(v.Retry), Attempts: v.Attempt,
		RegisterID: v.RegisterID, Owner: signerOf(v.Owner),
	}
	var run cid.Hash
	for rec, err := range l.r.log.Records(ctx, ledger.Filter{Idem: &v.IdemID}) {
		if err != nil {
			return row, err
		}
		row.Since = view.Time(rec.Time)
		if rec.Kind == ledger.KindRegister {
			run = rec.Run
		}
	}
	if v.Live {
		until := view.Time(v.LeaseExpires)
		row.LeaseUntil = &until
	}
	record, err := l.run(ctx, run)
	if err != nil {
		return row, err
	}
	row.RunRecord, row.RunID = orNone(run), orNull(record.RunID)
	name := abi.BuiltinTool(v.ToolID)
	if name == "" && !record.ManifestCID.IsZero() {
		tools, err := l.names.toolsOf(ctx, record.ManifestCID)
		if err != nil {
			return row, err
		}
		name = tools[v.ToolID]
	}
	row.Tool, row.Next = orNull(name), orNull(l.next(v, record.RunID))
	return row, nil
}

// maxKnown bounds the run records that are kept in memory.
const maxKnown = 1024

// run returns the record of a run, the zero one if it is not there.
func (l *stateList) run(ctx context.Context, id cid.Hash) (evidence.RunRecord, error) {
	if x, ok := l.runs[id]; ok || id.IsZero() {
		return x, nil
	}
	if len(l.runs) == maxKnown {
		clear(l.runs)
		l.names.tools = nil
	}
	var x evidence.RunRecord
	for rec, err := range l.r.log.Records(ctx, ledger.Filter{Run: &id, Kinds: []ledger.Kind{ledger.KindRunRecord}}) {
		if err != nil {
			return x, err
		}
		if _, err := sig.Decode(rec.Body, &x); err != nil {
			return x, damaged(rec, err)
		}
	}
	if l.runs == nil {
		l.runs = map[cid.Hash]evidence.RunRecord{}
	}
	l.runs[id] = x
	return x, nil
}

// next says what to do about an effect, "" if there is nothing.
func (l *stateList) next(v ledger.View, runID string) string {
	again := "the same call again"
	if runID != "" {
		again = "mythos run --resume " + runID
	}
	resolve := "mythos ledger resolve " + short(v.IdemID) + " --committed|--not-invoked --reason TEXT"
	switch stateOf(v) {
	case ledger.Open.String():
		after := resolve
		if v.Retry.Again() || v.Retry == ledger.Reconcile && v.Owner.Equal(l.own) {
			after = again
		}
		return "wait until " + time.UnixMicro(v.LeaseExpires).UTC().Format("15:04:05Z") + " (lease), then " + after
	case ledger.Free.String():
		return again
	case ledger.Divergent.String():
		return resolve
	case stateInDoubt:
		if v.Retry.Again() || v.Retry == ledger.Reconcile && v.Owner.Equal(l.own) {
			return again
		}
		return resolve
	}
	return ""
}
