package journal

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// InMemory is a ledger that forgets when the process ends. It is safe for
// concurrent use.
type InMemory struct {
	clock func() time.Time

	mu      sync.Mutex
	log     []ledger.Record
	begun   map[uint64]leaseRow   // by index of the register
	leases  map[cid.Hash]leaseRow // those that were extended
	spends  map[cid.Hash]uint32
	objects map[cid.Hash][]byte
	runs    map[cid.Hash][]byte
	receipt map[cid.Hash][]byte
}

// Memory returns an empty in-memory ledger.
func Memory(clock func() time.Time) *InMemory {
	return &InMemory{
		clock: clock, begun: map[uint64]leaseRow{}, leases: map[cid.Hash]leaseRow{}, spends: map[cid.Hash]uint32{},
		objects: map[cid.Hash][]byte{}, runs: map[cid.Hash][]byte{}, receipt: map[cid.Hash][]byte{},
	}
}

// memoryTx writes at once: every rule checks before it writes and no write here
// can fail.
type memoryTx struct{ m *InMemory }

func (t memoryTx) now() int64 { return t.m.clock().UnixMicro() }

// mono has nothing to add: what is in memory does not outlive a clock.
func (t memoryTx) mono() (string, int64) { return "", 0 }

func (t memoryTx) Records(idem cid.Hash) ([]ledger.Record, error) {
	var out []ledger.Record
	for _, rec := range t.m.log {
		if rec.Idem == idem {
			out = append(out, rec)
		}
	}
	return out, nil
}

func (t memoryTx) Add(rec ledger.Record, beside ...rules.Kept) error {
	rec.Index, rec.Time = uint64(len(t.m.log)), t.now()
	rec.Body = slices.Clone(rec.Body)
	t.m.log = append(t.m.log, rec)
	for _, k := range beside {
		to := t.m.objects
		if k.Receipt {
			to = t.m.receipt
		}
		if _, ok := to[k.ID]; !ok {
			to[k.ID] = slices.Clone(k.Data)
		}
	}
	return nil
}

func (t memoryTx) AddRegister(rec ledger.Record, leaseFor int64) error {
	t.m.begun[uint64(len(t.m.log))] = newLease(t, leaseFor)
	return t.Add(rec)
}

func (t memoryTx) Lease(register cid.Hash, index uint64) (int64, bool, error) {
	row, ok := t.m.leases[register]
	if !ok {
		row = t.m.begun[index]
	}
	return row.wall, row.stands(t), nil
}

func (t memoryTx) ExtendLease(register cid.Hash, _ uint64, forMicros int64) error {
	t.m.leases[register] = newLease(t, forMicros)
	return nil
}

func (t memoryTx) EndLease(register cid.Hash, _ uint64) error {
	delete(t.m.leases, register)
	return nil
}

func (t memoryTx) Charge(spend []ledger.Spend) error {
	return rules.ChargeAll(spend,
		func(capID cid.Hash) (uint32, error) { return t.m.spends[capID], nil },
		func(capID cid.Hash, n uint32) error { t.m.spends[capID] = n; return nil })
}

func (t memoryTx) Run(key cid.Hash) ([]byte, bool, error) {
	r, ok := t.m.runs[key]
	return r, ok, nil
}

func (t memoryTx) AddRun(key cid.Hash, rec ledger.Record, beside ...rules.Kept) error {
	t.m.runs[key] = slices.Clone(rec.Body)
	return t.Add(rec, beside...)
}

// do runs fn as one transaction.
func (m *InMemory) do(ctx context.Context, fn func(rules.Tx) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return fn(memoryTx{m})
}

// BeginRun implements ledger.Store.
func (m *InMemory) BeginRun(ctx context.Context, start ledger.RunStart) ([]byte, error) {
	if err := rules.CheckItems(start.Items); err != nil {
		return nil, err
	}
	return result(m.do, ctx, func(t rules.Tx) ([]byte, error) { return rules.BeginRun(t, start) })
}

// FindRun implements ledger.Store.
func (m *InMemory) FindRun(ctx context.Context, authority, holder cid.Hash, runID string) ([]byte, error) {
	return result(m.do, ctx, func(t rules.Tx) ([]byte, error) { return rules.FindRun(t, authority, holder, runID) })
}

// Lookup implements ledger.Store.
func (m *InMemory) Lookup(ctx context.Context, idem cid.Hash) (ledger.View, error) {
	return result(m.do, ctx, func(t rules.Tx) (ledger.View, error) { return rules.View(t, idem) })
}

// Register implements ledger.Store.
func (m *InMemory) Register(ctx context.Context, r ledger.Registration) error {
	opened, err := rules.OpenRegistration(r)
	if err != nil {
		return err
	}
	return m.do(ctx, func(t rules.Tx) error { return rules.Register(t, opened) })
}

// Extend implements ledger.Store.
func (m *InMemory) Extend(ctx context.Context, idem, register cid.Hash, forMicros int64) error {
	return m.do(ctx, func(t rules.Tx) error { return rules.Extend(t, idem, register, forMicros) })
}

// Commit implements ledger.Store.
func (m *InMemory) Commit(ctx context.Context, c ledger.Commitment) (ledger.Verdict, error) {
	opened, err := rules.OpenCommitment(c)
	if err != nil {
		return 0, err
	}
	return result(m.do, ctx, func(t rules.Tx) (ledger.Verdict, error) { return rules.Commit(t, opened) })
}

// Resolve implements ledger.Store.
func (m *InMemory) Resolve(ctx context.Context, body []byte, run cid.Hash, byOperator bool) error {
	return m.do(ctx, func(t rules.Tx) error { return rules.Resolve(t, body, run, byOperator) })
}

// Diverge implements ledger.Store.
func (m *InMemory) Diverge(ctx context.Context, body []byte, run cid.Hash) (ledger.Verdict, error) {
	return result(m.do, ctx, func(t rules.Tx) (ledger.Verdict, error) { return rules.Diverge(t, body, run) })
}

// Seal implements ledger.Store.
func (m *InMemory) Seal(ctx context.Context, body []byte, run cid.Hash) error {
	return m.do(ctx, func(t rules.Tx) error { return rules.Seal(t, body, run) })
}

// Refuse implements ledger.Store.
func (m *InMemory) Refuse(ctx context.Context, body []byte, run, holder cid.Hash) (ledger.Verdict, error) {
	opened, err := rules.OpenRefusal(body, run, holder)
	if err != nil {
		return 0, err
	}
	return result(m.do, ctx, func(t rules.Tx) (ledger.Verdict, error) { return rules.Refuse(t, opened) })
}

// SetRing implements ledger.Store.
func (m *InMemory) SetRing(ctx context.Context, body []byte) error {
	opened, err := rules.OpenRingState(body)
	if err != nil {
		return err
	}
	return m.do(ctx, func(t rules.Tx) error { return rules.SetRing(t, opened) })
}

// Rings implements ledger.Store.
func (m *InMemory) Rings(ctx context.Context) ([]ledger.RingState, error) {
	return result(m.do, ctx, func(rules.Tx) ([]ledger.RingState, error) { return rules.Rings(m.log) })
}

// Object implements ledger.Store.
func (m *InMemory) Object(_ context.Context, id cid.Hash) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b, ok := m.objects[id]; ok {
		return slices.Clone(b), nil
	}
	return nil, noObject(id)
}

// Receipt implements ledger.Store.
func (m *InMemory) Receipt(_ context.Context, id cid.Hash) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b, ok := m.receipt[id]; ok {
		return slices.Clone(b), nil
	}
	return nil, noObject(id)
}

// Records implements ledger.Store.
func (m *InMemory) Records(_ context.Context, f ledger.Filter) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		m.mu.Lock()
		log := slices.Clone(m.log)
		m.mu.Unlock()
		for _, rec := range log {
			if rec = rules.Public(rec); rules.Matches(f, rec) && !yield(rec, nil) {
				return
			}
		}
	}
}

// Close implements ledger.Store.
func (m *InMemory) Close() error { return nil }

// result runs a rule that returns a value in a transaction.
func result[T any](do func(context.Context, func(rules.Tx) error) error, ctx context.Context, rule func(rules.Tx) (T, error)) (T, error) {
	var out T
	err := do(ctx, func(t rules.Tx) error {
		var err error
		out, err = rule(t)
		return err
	})
	return out, err
}
