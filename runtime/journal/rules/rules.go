// Package rules is what every journal does with an entry before it appends it
// (RFC-MYTHOS-0005 §3), whatever keeps the entries: the decision, the fold behind
// it, the charge of capability links, and what stands beside the log. A journal
// gives a Tx and runs a rule over it; every rule makes all its checks before its
// first write.
package rules

import (
	"cmp"
	"math"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// Tx is one transaction of a journal, or what will become of one. A register is
// named by its id and by where it stands in the log, its index; a journal uses
// what it keeps leases under.
type Tx interface {
	// Records returns the entries of an id in log order.
	Records(idem cid.Hash) ([]ledger.Record, error)
	// Add adds an entry and, beside it, what is to be found by its id; of the same
	// id and sort the first is kept.
	Add(rec ledger.Record, beside ...Kept) error
	// AddRegister adds a register with the lease that it begins with, in microseconds
	// from now on the journal's clock.
	AddRegister(rec ledger.Record, leaseFor int64) error
	// Lease returns when the lease of a register ends, as it was last extended, else
	// as it began, and whether it stands.
	Lease(register cid.Hash, index uint64) (expires int64, stands bool, err error)
	ExtendLease(register cid.Hash, index uint64, forMicros int64) error
	// EndLease forgets that a lease was extended; the log says that it is over.
	EndLease(register cid.Hash, index uint64) error
	// Charge spends every link, or fails with ErrExhausted and spends none.
	Charge(spend []ledger.Spend) error
	// Run returns the record of a run.
	Run(key cid.Hash) (record []byte, ok bool, err error)
	// AddRun adds the record of a run, an entry, and makes it the one of key.
	AddRun(key cid.Hash, rec ledger.Record, beside ...Kept) error
}

// Kept is an object or a receipt that stands beside the log.
type Kept struct {
	ID      cid.Hash
	Receipt bool // ID is a receipt id; else the CID of Data
	Data    []byte
}

// fold returns the state of an id, and where the latest register stands in the
// log.
func fold(t Tx, idem cid.Hash) (s ledger.State, latest uint64, err error) {
	records, err := t.Records(idem)
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

// View folds an id and looks at its lease.
func View(t Tx, idem cid.Hash) (ledger.View, error) {
	v, _, err := view(t, idem)
	return v, err
}

func view(t Tx, idem cid.Hash) (v ledger.View, latest uint64, err error) {
	s, latest, err := fold(t, idem)
	v = ledger.View{State: s}
	if err != nil || s.Phase != ledger.Open {
		return v, latest, err
	}
	v.LeaseExpires, v.Live, err = t.Lease(s.RegisterID, latest)
	return v, latest, err
}

// RunKey names the run of a caller.
func RunKey(authority, holder cid.Hash, runID string) cid.Hash {
	return cid.Sum(append(append(authority[:len(authority):len(authority)], holder[:]...), runID...))
}

// FindRun returns the record that stands for a run.
func FindRun(t Tx, authority, holder cid.Hash, runID string) ([]byte, error) {
	record, ok, err := t.Run(RunKey(authority, holder, runID))
	if err == nil && !ok {
		err = fault.New(ledger.ErrNoItem, "no run %q in the ledger", runID)
	}
	return record, err
}

// BeginRun begins a run unless its key has one; it returns the record that stands. The
// caller has checked the items.
func BeginRun(t Tx, s ledger.RunStart) ([]byte, error) {
	key := RunKey(s.Authority, s.Holder, s.RunID)
	record, ok, err := t.Run(key)
	if err != nil || ok {
		return record, err
	}
	return s.Record, t.AddRun(key, ledger.Record{Kind: ledger.KindRunRecord, Run: s.RecordID, Body: s.Record}, keep(s.Items)...)
}

// Registration is a register that was opened. Its signature tells all that is
// needed to verify it, so this is done before the transaction, while others write.
type Registration struct {
	ledger.Registration
	register ledger.Register
	id       cid.Hash
}

// OpenRegistration decodes and verifies a register.
func OpenRegistration(r ledger.Registration) (Registration, error) {
	x, id, err := r.Open()
	return Registration{r, x, id}, err
}

// Register is the compare and set of RFC-MYTHOS-0005 §3: it decides again, in
// the transaction, what the caller decided on an older view.
func Register(t Tx, r Registration) error {
	x := r.register
	v, latest, err := view(t, x.IdemID)
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
	if err := t.Charge(r.Spend); err != nil {
		return err
	}
	if !old.IsZero() {
		if err := t.EndLease(old, latest); err != nil {
			return err
		}
	}
	return t.AddRegister(ledger.Record{Kind: ledger.KindRegister, Idem: x.IdemID, Run: r.Run, Body: r.Body}, r.LeaseFor)
}

// Idem returns the id that the register is of.
func (r Registration) Idem() cid.Hash { return r.register.IdemID }

// Charge is what one transaction spends of one capability.
type Charge struct {
	CapID cid.Hash
	Count uint32 // calls
	Limit int64  // most calls that may have been spent before; below 0: none fits
}

// Charges sums what spend asks of each capability, in the order in which they
// first come; a link may be named again, with another maximum.
func Charges(spend []ledger.Spend) []Charge {
	var all []Charge
	for _, s := range spend {
		i := slices.IndexFunc(all, func(c Charge) bool { return c.CapID == s.CapID })
		if i < 0 {
			i = len(all)
			all = append(all, Charge{CapID: s.CapID, Limit: math.MaxInt64})
		}
		n := uint64(all[i].Count) + uint64(max(s.N, 1))
		all[i].Limit = min(all[i].Limit, int64(s.Max)-int64(n)) // below 0 before Count is cut off
		all[i].Count = uint32(min(n, math.MaxUint32))
	}
	return all
}

// ChargeAll spends every link or none, in a journal that reads and sets counts.
func ChargeAll(spend []ledger.Spend, spent func(cid.Hash) (uint32, error), set func(cid.Hash, uint32) error) error {
	all := Charges(spend)
	counts := make([]uint32, len(all))
	for i, c := range all {
		n, err := spent(c.CapID)
		if err == nil {
			err = c.Check(n)
		}
		if err != nil {
			return err
		}
		counts[i] = n + c.Count
	}
	for i, c := range all {
		if err := set(c.CapID, counts[i]); err != nil {
			return err
		}
	}
	return nil
}

// Check refuses a charge that does not fit what was spent before.
func (c Charge) Check(spent uint32) error {
	if int64(spent) > c.Limit {
		return fault.New(ledger.ErrExhausted, "capability %s allows %d calls, all are spent", c.CapID, c.Limit+int64(c.Count))
	}
	return nil
}

// Extend prolongs the lease of a register that is the latest of its id and open. Of
// class reconcile it must still stand: once it has ended, somebody may be asking the
// probe.
func Extend(t Tx, idem, register cid.Hash, forMicros int64) error {
	s, latest, err := fold(t, idem)
	switch {
	case err != nil:
		return err
	case s.Phase != ledger.Open || s.RegisterID != register:
		return fault.New(ledger.ErrEntry, "register %s holds no lease", register)
	case s.Retry == ledger.Reconcile:
		if _, stands, err := t.Lease(register, latest); err != nil || !stands {
			return cmp.Or(err, error(fault.New(ledger.ErrEntry, "the lease of register %s has ended", register)))
		}
	}
	return t.ExtendLease(register, latest, forMicros)
}

// Commitment is a commit that was decoded, with a receipt and items that are
// what they are named by. Who must have signed it only the log tells.
type Commitment struct {
	ledger.Commitment
	commit ledger.Commit
}

// OpenCommitment decodes a commit and holds its receipt and items against it.
func OpenCommitment(c ledger.Commitment) (Commitment, error) {
	x, _, err := ledger.DecodeCommit(c.Body)
	if err != nil {
		return Commitment{}, err
	}
	if id, err := cid.Without(c.Receipt, 1, 11); err != nil || id != x.ReceiptID {
		return Commitment{}, fault.New(ledger.ErrEntry, "the commit names receipt %s, its receipt is another", x.ReceiptID)
	}
	return Commitment{c, x}, CheckItems(c.Items)
}

// Idem returns the id that the commit is of.
func (c Commitment) Idem() cid.Hash { return c.commit.IdemID }

// Commit offers a commit to its id and keeps it, whatever the verdict, unless it is
// there already.
func Commit(t Tx, c Commitment) (ledger.Verdict, error) {
	s, latest, err := fold(t, c.commit.IdemID)
	if err != nil {
		return 0, err
	}
	x, verdict, err := c.Offer(&s)
	if err != nil || verdict == ledger.Dropped {
		return verdict, err
	}
	if verdict == ledger.Applied {
		if err := t.EndLease(*x.RegisterID, latest); err != nil {
			return 0, err
		}
	}
	rec := ledger.Record{Kind: ledger.KindCommit, Idem: x.IdemID, Run: c.Run, Body: c.Body}
	return verdict, t.Add(rec, append(keep(c.Items), Kept{x.ReceiptID, true, c.Receipt})...)
}

// Stands refuses what may come only after a commit that stands.
func Stands(v ledger.Verdict) error {
	if v == ledger.Applied {
		return nil
	}
	return fault.New(ledger.ErrSuperseded, "the commit before it does not stand")
}

// CheckItems refuses items that are not what they are named by.
func CheckItems(items []ledger.Item) error {
	for _, it := range items {
		if cid.Sum(it.Data) != it.CID {
			return fault.New(ledger.ErrEntry, "an item's bytes are not %s", it.CID)
		}
	}
	return nil
}

// keep says that items stand beside an entry; CheckItems has passed them.
func keep(items []ledger.Item) []Kept {
	var out []Kept
	for _, it := range items {
		out = append(out, Kept{it.CID, false, it.Data})
	}
	return out
}

// Resolve settles what a register left open.
func Resolve(t Tx, body []byte, run cid.Hash, byOperator bool) error {
	x, err := ledger.OpenResolution(body)
	if err != nil {
		return err
	}
	v, latest, err := view(t, x.IdemID)
	if err != nil {
		return err
	}
	if err := v.AddResolution(x, byOperator); err != nil {
		return err
	}
	if err := t.EndLease(x.RegisterID, latest); err != nil {
		return err
	}
	return t.Add(ledger.Record{Kind: ledger.KindResolution, Idem: x.IdemID, Run: run, Body: body})
}

// Diverge marks a contradiction; a request conflict is kept once.
func Diverge(t Tx, body []byte, run cid.Hash) (ledger.Verdict, error) {
	x, err := ledger.DecodeDivergence(body)
	if err != nil {
		return 0, err
	}
	v, err := View(t, x.IdemID)
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
	return verdict, t.Add(ledger.Record{Kind: ledger.KindDivergence, Idem: x.IdemID, Run: run, Body: body})
}

// Seal keeps the seal as an object too, so that its CID finds it.
func Seal(t Tx, body []byte, run cid.Hash) error {
	return t.Add(ledger.Record{Kind: ledger.KindRunSeal, Run: run, Body: body}, Kept{cid.Sum(body), false, body})
}

// Public is an entry as a Store gives it out. What refusals and ring states stand
// under is no idempotency id, and a matter of the journal.
func Public(rec ledger.Record) ledger.Record {
	if rec.Kind > ledger.KindResolution {
		rec.Idem = cid.Hash{}
	}
	return rec
}

// Matches reports whether rec passes f.
func Matches(f ledger.Filter, rec ledger.Record) bool {
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
