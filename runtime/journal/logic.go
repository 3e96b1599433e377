package journal

import (
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// tx is one transaction of a backend. Both backends run the same rules below
// over it; every rule makes all its checks before its first write.
type tx interface {
	now() int64
	mono() (boot string, micros int64)
	records(idem cid.Hash) ([]ledger.Record, error)
	// add adds an entry and, beside it, what is to be found by its id; of the same
	// id and sort the first is kept.
	add(rec ledger.Record, beside ...kept) error
	// addRegister adds a register with the lease that it begins with.
	addRegister(rec ledger.Record, row leaseRow) error
	// lease returns the lease of a register that stands at index in the log: as it
	// was last extended, else as it began.
	lease(register cid.Hash, index uint64) (leaseRow, error)
	extendLease(register cid.Hash, row leaseRow) error
	// endLease forgets that a lease was extended; the log says that it is over.
	endLease(register cid.Hash) error
	spent(capID cid.Hash) (uint32, error)
	setSpent(capID cid.Hash, n uint32) error
	run(key cid.Hash) (record []byte, ok bool, err error)
	addRun(key cid.Hash, record []byte) error
}

// kept is an object or a receipt that stands beside the log.
type kept struct {
	id      cid.Hash
	receipt bool // id is a receipt id; else the CID of data
	data    []byte
}

// fold returns the state of an id, and where the latest register stands in the
// log.
func fold(t tx, idem cid.Hash) (s ledger.State, latest uint64, err error) {
	records, err := t.records(idem)
	if err != nil {
		return s, 0, err
	}
	if s, err = ledger.Fold(records); err != nil {
		return s, 0, err
	}
	if len(records) > 0 && s.IdemID != idem {
		return s, 0, fault.New(ledger.ErrCorrupt, "the entries under id %s are of id %s", idem, s.IdemID)
	}
	for _, rec := range records {
		if rec.Kind == ledger.KindRegister {
			latest = rec.Index
		}
	}
	return s, latest, nil
}

// view folds an id and looks at its lease.
func view(t tx, idem cid.Hash) (ledger.View, error) {
	s, latest, err := fold(t, idem)
	v := ledger.View{State: s}
	if err != nil || s.Phase != ledger.Open {
		return v, err
	}
	row, err := t.lease(s.RegisterID, latest)
	v.LeaseExpires, v.Live = row.wall, err == nil && row.stands(t)
	return v, err
}

// leaseRow is when a lease ends: on the wall clock, and on the monotonic clock
// of one boot, which decides while that boot lasts (RFC-MYTHOS-0005 §4).
type leaseRow struct {
	wall int64
	boot string // "": the host has no monotonic clock
	mono int64
}

func newLease(t tx, forMicros int64) leaseRow {
	boot, mono := t.mono()
	return leaseRow{t.now() + forMicros, boot, mono + forMicros}
}

func (l leaseRow) stands(t tx) bool {
	if boot, mono := t.mono(); boot != "" && boot == l.boot {
		return mono < l.mono
	}
	return t.now() < l.wall
}

func runKey(authority, holder cid.Hash, runID string) cid.Hash {
	return cid.Sum(append(append(authority[:len(authority):len(authority)], holder[:]...), runID...))
}

func findRun(t tx, authority, holder cid.Hash, runID string) ([]byte, error) {
	record, ok, err := t.run(runKey(authority, holder, runID))
	if err == nil && !ok {
		err = fault.New(ledger.ErrNoItem, "no run %q in the ledger", runID)
	}
	return record, err
}

func beginRun(t tx, s ledger.RunStart) ([]byte, error) {
	key := runKey(s.Authority, s.Holder, s.RunID)
	record, ok, err := t.run(key)
	if err != nil || ok {
		return record, err
	}
	if err := t.addRun(key, s.Record); err != nil {
		return nil, err
	}
	return s.Record, t.add(ledger.Record{Kind: ledger.KindRunRecord, Run: s.RecordID, Body: s.Record}, keep(s.Items)...)
}

// registration is a register that was opened. Its signature tells all that is
// needed to verify it, so this is done before the transaction, while others write.
type registration struct {
	ledger.Registration
	register ledger.Register
	id       cid.Hash
}

func openRegistration(r ledger.Registration) (registration, error) {
	x, id, err := r.Open()
	return registration{r, x, id}, err
}

// register is the compare and set of RFC-MYTHOS-0005 §3: it decides again, in
// the transaction, what the caller decided on an older view.
func register(t tx, r registration) error {
	x := r.register
	v, err := view(t, x.IdemID)
	if err != nil {
		return err
	}
	decision, err := v.Decide(x.RequestHash, v.Live, x.RetryClass())
	switch {
	case err != nil:
		return err
	case decision != ledger.Proceed:
		return fault.New(ledger.ErrInProgress, "the id is %s by register %s", v.Phase, v.RegisterID)
	}
	old := v.RegisterID
	if err := v.AddRegister(x, r.id); err != nil {
		return err
	}
	counts, err := charge(t, r.Spend)
	if err != nil {
		return err
	}
	for capID, n := range counts {
		if err := t.setSpent(capID, n); err != nil {
			return err
		}
	}
	if !old.IsZero() {
		if err := t.endLease(old); err != nil {
			return err
		}
	}
	return t.addRegister(ledger.Record{Kind: ledger.KindRegister, Idem: x.IdemID, Run: r.Run, Body: r.Body}, newLease(t, r.LeaseFor))
}

// charge returns the counts after spending one of every link, or ErrExhausted.
func charge(t tx, spend []ledger.Spend) (map[cid.Hash]uint32, error) {
	counts := map[cid.Hash]uint32{}
	for _, s := range spend {
		n, known := counts[s.CapID]
		if !known {
			var err error
			if n, err = t.spent(s.CapID); err != nil {
				return nil, err
			}
		}
		if n >= s.Max {
			return nil, fault.New(ledger.ErrExhausted, "capability %s allows %d calls, all are spent", s.CapID, s.Max)
		}
		counts[s.CapID] = n + 1
	}
	return counts, nil
}

func extend(t tx, idem, register cid.Hash, forMicros int64) error {
	s, _, err := fold(t, idem)
	switch {
	case err != nil:
		return err
	case s.Phase != ledger.Open || s.RegisterID != register:
		return fault.New(ledger.ErrEntry, "register %s holds no lease", register)
	}
	return t.extendLease(register, newLease(t, forMicros))
}

// commitment is a commit that was decoded, with a receipt and items that are
// what they are named by. Who must have signed it only the log tells.
type commitment struct {
	ledger.Commitment
	commit ledger.Commit
}

func openCommitment(c ledger.Commitment) (commitment, error) {
	x, _, err := ledger.DecodeCommit(c.Body)
	if err != nil {
		return commitment{}, err
	}
	if id, err := cid.Without(c.Receipt, 1, 11); err != nil || id != x.ReceiptID {
		return commitment{}, fault.New(ledger.ErrEntry, "the commit names receipt %s, its receipt is another", x.ReceiptID)
	}
	return commitment{c, x}, checkItems(c.Items)
}

func commit(t tx, c commitment) (ledger.Verdict, error) {
	s, _, err := fold(t, c.commit.IdemID)
	if err != nil {
		return 0, err
	}
	x, verdict, err := c.Offer(&s)
	if err != nil || verdict == ledger.Dropped {
		return verdict, err
	}
	if verdict == ledger.Applied {
		if err := t.endLease(*x.RegisterID); err != nil {
			return 0, err
		}
	}
	rec := ledger.Record{Kind: ledger.KindCommit, Idem: x.IdemID, Run: c.Run, Body: c.Body}
	return verdict, t.add(rec, append(keep(c.Items), kept{x.ReceiptID, true, c.Receipt})...)
}

func checkItems(items []ledger.Item) error {
	for _, it := range items {
		if cid.Sum(it.Data) != it.CID {
			return fault.New(ledger.ErrEntry, "an item's bytes are not %s", it.CID)
		}
	}
	return nil
}

// keep says that items stand beside an entry; checkItems has passed them.
func keep(items []ledger.Item) []kept {
	var out []kept
	for _, it := range items {
		out = append(out, kept{it.CID, false, it.Data})
	}
	return out
}

func resolve(t tx, body []byte, run cid.Hash, byOperator bool) error {
	x, err := ledger.OpenResolution(body)
	if err != nil {
		return err
	}
	v, err := view(t, x.IdemID)
	if err != nil {
		return err
	}
	if err := v.AddResolution(x, byOperator); err != nil {
		return err
	}
	if err := t.endLease(x.RegisterID); err != nil {
		return err
	}
	return t.add(ledger.Record{Kind: ledger.KindResolution, Idem: x.IdemID, Run: run, Body: body})
}

func diverge(t tx, body []byte, run cid.Hash) (ledger.Verdict, error) {
	x, err := ledger.DecodeDivergence(body)
	if err != nil {
		return 0, err
	}
	v, err := view(t, x.IdemID)
	if err != nil {
		return 0, err
	}
	// The commit that contradicts comes before its mark; a mark alone must not
	// take an outcome away.
	if x.ReasonCode != ledger.ReasonRequest && v.Phase != ledger.Divergent {
		return 0, fault.New(ledger.ErrEntry, "a mark of reason %d on an id that is %s", x.ReasonCode, v.Phase)
	}
	verdict, err := v.AddDivergence(x)
	if err != nil || verdict == ledger.Dropped {
		return verdict, err
	}
	return verdict, t.add(ledger.Record{Kind: ledger.KindDivergence, Idem: x.IdemID, Run: run, Body: body})
}

// seal keeps the seal as an object too, so that its CID finds it.
func seal(t tx, body []byte, run cid.Hash) error {
	return t.add(ledger.Record{Kind: ledger.KindRunSeal, Run: run, Body: body}, kept{cid.Sum(body), false, body})
}

// matches reports whether rec passes f.
func matches(f ledger.Filter, rec ledger.Record) bool {
	if f.Idem != nil && rec.Idem != *f.Idem || f.Run != nil && rec.Run != *f.Run {
		return false
	}
	if len(f.Kinds) == 0 {
		return true
	}
	for _, k := range f.Kinds {
		if k == rec.Kind {
			return true
		}
	}
	return false
}
