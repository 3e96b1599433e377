package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

// records is what the commands over the ledger read.
type records struct {
	log     ledger.Store // opened for reading; an empty one if there is no ledger
	objects cas.Store
	exists  bool // whether there is a ledger: the first run makes it
}

// withRecords opens this user's ledger for reading for fn, and closes it.
func (a *app) withRecords(fn func(*node.Node, *records) error) error {
	return a.withNode(func(n *node.Node) error {
		objects, err := n.Objects()
		if err != nil {
			return err
		}
		if !n.HasLedger() {
			return fn(n, &records{log: journal.Memory(n.Clock), objects: objects})
		}
		log, err := n.ReadLedger()
		if err != nil {
			return err
		}
		return errors.Join(fn(n, &records{log, objects, true}), log.Close())
	})
}

// of returns the entries of some kinds in log order: those of the runs with
// this id, or of all runs if it is empty.
func (r *records) of(ctx context.Context, runID string, kinds ...ledger.Kind) ([]ledger.Record, error) {
	if runID == "" {
		return r.read(ctx, ledger.Filter{Kinds: kinds})
	}
	if err := ledger.CheckRunID(runID); err != nil {
		return nil, err
	}
	runs, err := r.runs(ctx, runID)
	if err != nil {
		return nil, err
	}
	var all []ledger.Record
	for _, id := range runs {
		some, err := r.read(ctx, ledger.Filter{Kinds: kinds, Run: &id})
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b ledger.Record) int { return cmp.Compare(a.Index, b.Index) })
	return all, nil
}

func (r *records) read(ctx context.Context, f ledger.Filter) ([]ledger.Record, error) {
	var all []ledger.Record
	for rec, err := range r.log.Records(ctx, f) {
		if err != nil {
			return nil, err
		}
		all = append(all, rec)
	}
	return all, nil
}

// runs returns the run records whose run has this id: one of each authority and
// holder that used it.
func (r *records) runs(ctx context.Context, runID string) ([]cid.Hash, error) {
	if !r.exists {
		return nil, nil
	}
	var ids []cid.Hash
	for rec, err := range r.log.Records(ctx, ledger.Filter{Kinds: []ledger.Kind{ledger.KindRunRecord}}) {
		if err != nil {
			return nil, err
		}
		var x evidence.RunRecord
		id, err := sig.Decode(rec.Body, &x)
		if err != nil {
			return nil, damaged(rec, err)
		}
		if x.RunID == runID {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, fault.New(ledger.ErrNoItem, "the ledger has no run of this id").About("run " + runID)
	}
	return ids, nil
}

// damaged is the error of an entry that does not decode.
func damaged(rec ledger.Record, err error) error {
	return fault.New(ledger.ErrCorrupt, "entry %d: %w", rec.Index, err)
}

// object returns an object that an entry names: small ones are beside the log,
// large ones in the store. Its bytes are verified.
func (r *records) object(ctx context.Context, id cid.Hash) ([]byte, error) {
	raw, err := r.log.Object(ctx, id)
	if errors.Is(err, ledger.ErrNoItem) {
		return r.objects.Get(ctx, id, maxInspect)
	}
	return raw, err
}

// unreadable reports whether an error says nothing about what was to be read:
// the command was stopped, or the ledger or store failed.
func unreadable(err error) bool {
	code := fault.CodeOf(err)
	entry, _ := lookUp(code)
	return code == "" || entry.Layer == "unavailable" || entry.Layer == "exhausted"
}

// absent reports whether an object is missing, and not merely out of reach.
func absent(err error) bool {
	return errors.Is(err, cas.ErrNotFound) || errors.Is(err, ledger.ErrNoItem)
}

// receiptID finds a receipt's id by the beginning of it; whole ones are not
// looked up.
func (r *records) receiptID(ctx context.Context, p idPrefix) (cid.Hash, error) {
	if id, full := p.full(); full {
		return id, nil
	}
	commits, err := r.read(ctx, ledger.Filter{Kinds: []ledger.Kind{ledger.KindCommit}})
	if err != nil {
		return cid.Hash{}, err
	}
	var m matches
	for _, rec := range commits {
		x, _, err := ledger.DecodeCommit(rec.Body)
		if err != nil {
			return cid.Hash{}, damaged(rec, err)
		}
		m.offer(p, x.ReceiptID, x.ReceiptID)
	}
	return m.one(p, ledger.ErrNoItem, noReceipt)
}

// receipt returns the receipt of an id.
func (r *records) receipt(ctx context.Context, id cid.Hash) ([]byte, error) {
	raw, err := r.log.Receipt(ctx, id)
	if errors.Is(err, ledger.ErrNoItem) {
		err = fault.New(ledger.ErrNoItem, noReceipt).About(id.String())
	}
	return raw, err
}

const noReceipt = "no receipt has this id"

// idem finds an idempotency id by itself, by a register of it or by a receipt.
func (r *records) idem(ctx context.Context, p idPrefix) (cid.Hash, error) {
	if id, full := p.full(); full {
		if v, err := r.log.Lookup(ctx, id); err != nil || v.Phase != ledger.Absent {
			return id, err
		}
	}
	entries, err := r.read(ctx, ledger.Filter{Kinds: []ledger.Kind{ledger.KindRegister, ledger.KindCommit}})
	if err != nil {
		return cid.Hash{}, err
	}
	var m matches
	for _, rec := range entries {
		id, err := outcomeID(rec)
		if err != nil {
			return cid.Hash{}, damaged(rec, err)
		}
		m.offer(p, rec.Idem, rec.Idem)
		m.offer(p, id, rec.Idem)
	}
	return m.one(p, ledger.ErrNoItem, "no effect, register or receipt has this id")
}

// outcomeID returns the register id of a register and the receipt id of a
// commit.
func outcomeID(rec ledger.Record) (cid.Hash, error) {
	if rec.Kind == ledger.KindCommit {
		x, _, err := ledger.DecodeCommit(rec.Body)
		return x.ReceiptID, err
	}
	var x ledger.Register
	return sig.Decode(rec.Body, &x)
}

// minPrefix is how many hex digits of an id must be given at least.
const minPrefix = 6

// idPrefix is an id as people type it: 6 to 64 lowercase hex digits, the
// beginning of an id or all of it.
type idPrefix string

// parseID reads "sha256:" and 64 hex digits, or the first six or more of them
// with or without "sha256:".
func parseID(arg string) (idPrefix, error) {
	digits := strings.TrimPrefix(arg, "sha256:")
	if len(digits) < minPrefix || len(digits) > 64 || strings.Trim(digits, "0123456789abcdef") != "" {
		return "", usagef("%.80q is no id: give sha256: and 64 lowercase hex digits, or the first %d or more of them", arg, minPrefix)
	}
	return idPrefix(digits), nil
}

// full returns the id if all of it was given.
func (p idPrefix) full() (cid.Hash, bool) {
	id, err := cid.Parse("sha256:" + string(p))
	return id, err == nil
}

func (p idPrefix) fits(id cid.Hash) bool { return strings.HasPrefix(id.Hex(), string(p)) }

// matches collects what a prefix may mean: ids that fit, and what each stands
// for.
type matches struct{ ids, targets []cid.Hash }

func (m *matches) offer(p idPrefix, id, target cid.Hash) {
	if !p.fits(id) || slices.Contains(m.ids, id) {
		return
	}
	m.ids = append(m.ids, id)
	if !slices.Contains(m.targets, target) {
		m.targets = append(m.targets, target)
	}
}

// one returns the only target; without any the error is code with message.
func (m *matches) one(p idPrefix, code fault.Code, message string) (cid.Hash, error) {
	switch len(m.targets) {
	case 0:
		return cid.Hash{}, fault.New(code, "%s", message).About("sha256:" + string(p))
	case 1:
		return m.targets[0], nil
	}
	const shown = 4
	var names []string
	for _, id := range m.ids[:min(shown, len(m.ids))] {
		names = append(names, id.String())
	}
	if more := len(m.ids) - shown; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return cid.Hash{}, usagef("%s is the beginning of several ids: %s", string(p), strings.Join(names, ", "))
}

// short is an id in a table: enough to tell it apart and to type it.
func short(id cid.Hash) string { return id.Hex()[:12] }

// moment is a time in a table.
func moment(micros int64) string {
	return time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05Z")
}

// orNone returns nil for the zero hash, so that JSON shows null.
func orNone(id cid.Hash) *cid.Hash {
	if id.IsZero() {
		return nil
	}
	return &id
}

// signerOf is a key as JSON shows it.
func signerOf(a sig.AgentID) signerView { return newSignerViews([]sig.AgentID{a})[0] }

// entryJSON is the named view of an entry.
func entryJSON(rec ledger.Record) ([]byte, error) {
	e := ledger.Entry{Index: rec.Index, Kind: uint8(rec.Kind), Body: rec.Body}
	return view.JSON("LedgerEntry", e.AppendCAN(nil))
}
