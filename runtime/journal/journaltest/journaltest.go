// Package journaltest is the acceptance suite of ledger.Store: what every
// implementation must do, durable or not.
package journaltest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Clock is a clock that a test moves.
type Clock struct {
	mu     sync.Mutex
	now    time.Time
	onMove func(time.Time)
}

// NewClock returns a clock that stands at a fixed time.
func NewClock() *Clock { return &Clock{now: time.UnixMicro(1_700_000_000_000_000)} }

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	if c.onMove != nil {
		c.onMove(c.now)
	}
}

// OnMove tells fn the time, now and after each Advance, before that returns: for a
// store whose clock is elsewhere.
func (c *Clock) OnMove(fn func(time.Time)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onMove = fn
	fn(c.now)
}

// Owner is the key that signs in the suite.
var Owner = sig.NewKey([32]byte{1}, "owner")

// Effect makes the signed entries of one idempotency id.
type Effect struct {
	T     testing.TB
	Tool  cid.Hash
	Key   []byte
	Retry ledger.Retry
	By    sig.Key
}

// NewEffect returns an Effect by Owner whose id is made from name.
func NewEffect(t testing.TB, name string, retry ledger.Retry) *Effect {
	return &Effect{T: t, Tool: cid.Sum([]byte("tool")), Key: []byte(name), Retry: retry, By: Owner}
}

// Idem returns the idempotency id.
func (e *Effect) Idem() cid.Hash { return ledger.IdemID(e.Tool, e.Key) }

func (e *Effect) sign(x sig.Object) ([]byte, cid.Hash) {
	e.T.Helper()
	raw, id, err := sig.Sign(x, e.By)
	if err != nil {
		e.T.Fatal(err)
	}
	return raw, id
}

// Register returns a register that follows the state, and its id.
func (e *Effect) Register(s ledger.State, request string) ([]byte, cid.Hash) {
	retry := uint8(e.Retry)
	x := ledger.Register{IdemID: e.Idem(), ToolID: e.Tool, RequestHash: cid.Sum([]byte(request)), IdempotencyKey: e.Key, Retry: &retry}
	if s.Attempt > 0 {
		n, prev := s.Attempt, s.RegisterID
		x.Attempt, x.PreviousRegister = &n, &prev
	}
	return e.sign(&x)
}

// Commit returns a commit of a register with its receipt and response.
func (e *Effect) Commit(register cid.Hash, request, response string) ledger.Commitment {
	item := []byte(response)
	r := receipt.Receipt{ToolID: e.Tool, RequestHash: cid.Sum([]byte(request)), ResponseHash: cid.Sum(item), IdempotencyKey: e.Key, Status: 200}
	receiptRaw, receiptID := e.sign(&r)
	x := ledger.Commit{
		IdemID: e.Idem(), ToolID: e.Tool, RequestHash: r.RequestHash, ResponseHash: r.ResponseHash,
		ReceiptID: receiptID, Status: 200, RegisterID: &register,
	}
	raw, _ := e.sign(&x)
	return ledger.Commitment{Body: raw, Receipt: receiptRaw, Items: []ledger.Item{{CID: cid.Sum(item), Data: item}}}
}

// Resolution returns a resolution of a register.
func (e *Effect) Resolution(register cid.Hash, outcome uint8) []byte {
	raw, _ := e.sign(&ledger.Resolution{IdemID: e.Idem(), RegisterID: register, Outcome: outcome, Reason: "test"})
	return raw
}

// suite is one test's store and clock.
type suite struct {
	t *testing.T
	ledger.Store
	clock *Clock
}

const lease = int64(10_000_000) // 10 s

// Run runs the suite; open returns an empty store that reads the clock.
func Run(t *testing.T, open func(t *testing.T, clock *Clock) ledger.Store) {
	for name, test := range map[string]func(suite){
		"effect commits once":                          testCommit,
		"live lease excludes":                          testLease,
		"a commit and the next register":               testCommitAndRegister,
		"a commit and the seal":                        testCommitAndSeal,
		"nothing follows a commit that does not stand": testNothingAfter,
		"many chains of effects":                       testChains,
		"in doubt by retry class":                      testDoubt,
		"superseded commit is evidence":                testSuperseded,
		"not invoked frees the id":                     testNotInvoked,
		"an owner says what a probe says":              testProbed,
		"contradicting commits diverge":                testDiverge,
		"request conflict is marked once":              testConflict,
		"every link is spent":                          testSpend,
		"runs are unique":                              testRuns,
		"bad entries leave nothing":                    testBadEntries,
		"items of every size":                          testItems,
		"a note covers what was signed":                testOwn,
		"one of many registers wins":                   testRace,
		"records come in order":                        testRecords,
		"a refusal is kept once":                       testRefuse,
		"bad refusals leave nothing":                   testBadRefusals,
		"the highest ring state stands":                testRings,
		"one of many ring states wins":                 testRingRace,
	} {
		t.Run(name, func(t *testing.T) {
			clock := NewClock()
			s := open(t, clock)
			test(suite{t, s, clock})
			if err := s.Close(); err != nil {
				t.Error("Close:", err)
			}
		})
	}
}

func (s suite) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s suite) want(err error, code fault.Code) {
	s.t.Helper()
	if !errors.Is(err, code) {
		s.t.Fatalf("got %v, want %s", err, code)
	}
}

func (s suite) view(e *Effect) ledger.View {
	s.t.Helper()
	v, err := s.Lookup(context.Background(), e.Idem())
	s.ok(err)
	return v
}

func (s suite) phase(e *Effect, want ledger.Phase) {
	s.t.Helper()
	if got := s.view(e).Phase; got != want {
		s.t.Fatalf("phase %s, want %s", got, want)
	}
}

// register registers the next attempt and returns its id.
func (s suite) register(e *Effect, spend ...ledger.Spend) cid.Hash {
	s.t.Helper()
	raw, id := e.Register(s.view(e).State, "request")
	s.ok(s.Register(context.Background(), ledger.Registration{Body: raw, Spend: spend, LeaseFor: lease}))
	return id
}

func (s suite) commit(c ledger.Commitment, want ledger.Verdict) {
	s.t.Helper()
	got, err := s.Commit(context.Background(), c)
	s.ok(err)
	if got != want {
		s.t.Fatalf("verdict %d, want %d", got, want)
	}
}

func (s suite) count(kinds ...ledger.Kind) int {
	s.t.Helper()
	n := 0
	for _, err := range s.Records(context.Background(), ledger.Filter{Kinds: kinds}) {
		s.ok(err)
		n++
	}
	return n
}

func testCommit(s suite) {
	e := NewEffect(s.t, "k", ledger.Never)
	s.phase(e, ledger.Absent)
	id := s.register(e)
	s.phase(e, ledger.Open)
	c := e.Commit(id, "request", "answer")
	s.commit(c, ledger.Applied)
	s.phase(e, ledger.Committed)
	s.commit(c, ledger.Dropped)
	v := s.view(e)
	if !cmp.Equal(v.CommitRaw, c.Body) {
		s.t.Error("the commit that stands is not the one that was written")
	}
	got, err := s.Receipt(context.Background(), v.Commit.ReceiptID)
	s.ok(err)
	if !cmp.Equal(got, c.Receipt) {
		s.t.Error("the receipt changed")
	}
	item, err := s.Object(context.Background(), v.Commit.ResponseHash)
	s.ok(err)
	if string(item) != "answer" {
		s.t.Errorf("the response is %q", item)
	}
	raw, _ := e.Register(v.State, "request")
	err = s.Register(context.Background(), ledger.Registration{Body: raw, LeaseFor: lease})
	s.want(err, ledger.ErrInProgress)
	_, err = s.Object(context.Background(), cid.Sum([]byte("no such")))
	s.want(err, ledger.ErrNoItem)
	_, err = s.Receipt(context.Background(), cid.Sum([]byte("no such")))
	s.want(err, ledger.ErrNoItem)
}

func testLease(s suite) {
	e := NewEffect(s.t, "k", ledger.Pure)
	first := s.register(e)
	if !s.view(e).Live {
		s.t.Fatal("the lease does not stand")
	}
	raw, _ := e.Register(s.view(e).State, "request")
	s.want(s.Register(context.Background(), ledger.Registration{Body: raw, LeaseFor: lease}), ledger.ErrInProgress)
	s.clock.Advance(9 * time.Second)
	s.ok(s.Extend(context.Background(), e.Idem(), first, lease))
	s.clock.Advance(9 * time.Second)
	if !s.view(e).Live {
		s.t.Fatal("the extended lease does not stand")
	}
	s.clock.Advance(time.Second)
	if s.view(e).Live {
		s.t.Fatal("the lease stands at its expiry")
	}
	second := s.register(e)
	s.want(s.Extend(context.Background(), e.Idem(), first, lease), ledger.ErrEntry)
	if v := s.view(e); !v.Live || v.LeaseExpires != s.clock.Now().UnixMicro()+lease {
		s.t.Fatal("the second register's lease does not stand by itself")
	}
	s.commit(e.Commit(second, "request", "answer"), ledger.Applied)
	s.want(s.Extend(context.Background(), e.Idem(), second, lease), ledger.ErrEntry)

	// One that ended goes on if nobody else came, but not where somebody may be
	// asking a probe.
	for _, retry := range []ledger.Retry{ledger.Idempotent, ledger.Reconcile} {
		e := NewEffect(s.t, fmt.Sprint("late", retry), retry)
		id := s.register(e)
		s.clock.Advance(time.Duration(lease) * time.Microsecond)
		err := s.Extend(context.Background(), e.Idem(), id, lease)
		if retry == ledger.Reconcile {
			s.want(err, ledger.ErrEntry)
		} else {
			s.ok(err)
		}
		if s.view(e).Live == (retry == ledger.Reconcile) {
			s.t.Fatalf("class %d: live %t", retry, s.view(e).Live)
		}
	}
}

func testDoubt(s suite) {
	for _, again := range []ledger.Retry{ledger.Never, ledger.Idempotent, ledger.Pure, ledger.Reconcile} {
		e := NewEffect(s.t, fmt.Sprint("k", again), again)
		id := s.register(e)
		if again == ledger.Idempotent {
			s.ok(s.Resolve(context.Background(), e.Resolution(id, ledger.OutcomeDoubt), cid.Hash{}, false))
			s.phase(e, ledger.Doubt)
		} else {
			s.clock.Advance(11 * time.Second)
		}
		raw, _ := e.Register(s.view(e).State, "request")
		err := s.Register(context.Background(), ledger.Registration{Body: raw, LeaseFor: lease})
		if again.Again() {
			s.ok(err)
		} else {
			s.want(err, ledger.ErrInDoubt)
		}
	}
}

func testSuperseded(s suite) {
	e := NewEffect(s.t, "k", ledger.Idempotent)
	first := s.register(e)
	s.clock.Advance(11 * time.Second)
	second := s.register(e)
	s.commit(e.Commit(first, "request", "late"), ledger.Superseded)
	s.phase(e, ledger.Open)
	s.commit(e.Commit(second, "request", "answer"), ledger.Applied)
	if got := s.view(e).Commit.ResponseHash; got != cid.Sum([]byte("answer")) {
		s.t.Error("the superseded commit stands")
	}
	stranger := *e
	stranger.By = sig.NewKey([32]byte{9}, "stranger")
	s.commit(stranger.Commit(second, "request", "forged"), ledger.Superseded)
	s.phase(e, ledger.Committed)
	if n := s.count(ledger.KindCommit); n != 3 {
		s.t.Errorf("%d commits kept, want 3", n)
	}
}

func testNotInvoked(s suite) {
	e := NewEffect(s.t, "k", ledger.Never)
	id := s.register(e)
	stranger := *e
	stranger.By = sig.NewKey([32]byte{9}, "stranger")
	s.want(s.Resolve(context.Background(), stranger.Resolution(id, ledger.OutcomeNotInvoked), cid.Hash{}, false), ledger.ErrEntry)
	s.want(s.Resolve(context.Background(), e.Resolution(id, ledger.OutcomeCommitted), cid.Hash{}, false), ledger.ErrEntry)
	s.ok(s.Resolve(context.Background(), e.Resolution(id, ledger.OutcomeNotInvoked), cid.Hash{}, false))
	s.phase(e, ledger.Free)
	second := s.register(e)
	s.want(s.Resolve(context.Background(), e.Resolution(id, ledger.OutcomeNotInvoked), cid.Hash{}, false), ledger.ErrEntry)
	s.ok(s.Resolve(context.Background(), stranger.Resolution(second, ledger.OutcomeCommitted), cid.Hash{}, true))
	s.phase(e, ledger.Settled)
	raw, _ := e.Register(s.view(e).State, "request")
	s.want(s.Register(context.Background(), ledger.Registration{Body: raw, LeaseFor: lease}), ledger.ErrSettled)
}

// probed is a resolution of a register by what a probe's receipt shows.
func (e *Effect) probed(register cid.Hash, outcome uint8) []byte {
	shown := cid.Sum([]byte("the probe's receipt"))
	raw, _ := e.sign(&ledger.Resolution{IdemID: e.Idem(), RegisterID: register, Outcome: outcome, ReceiptID: &shown, Reason: "probe"})
	return raw
}

// testProbed: an owner may say that the effect happened only of a register of class
// reconcile, naming the probe's receipt; nobody else may.
func testProbed(s suite) {
	ctx := context.Background()
	for _, class := range []ledger.Retry{ledger.Never, ledger.Idempotent, ledger.Pure} {
		e := NewEffect(s.t, fmt.Sprint("class", class), class)
		s.want(s.Resolve(ctx, e.probed(s.register(e), ledger.OutcomeCommitted), cid.Hash{}, false), ledger.ErrEntry)
		s.phase(e, ledger.Open)
	}
	e := NewEffect(s.t, "k", ledger.Reconcile)
	first := s.register(e)
	stranger := *e
	stranger.By = sig.NewKey([32]byte{9}, "stranger")
	s.want(s.Resolve(ctx, stranger.probed(first, ledger.OutcomeCommitted), cid.Hash{}, false), ledger.ErrEntry)
	s.want(s.Resolve(ctx, e.Resolution(first, ledger.OutcomeCommitted), cid.Hash{}, false), ledger.ErrEntry)
	s.ok(s.Resolve(ctx, e.probed(first, ledger.OutcomeNotInvoked), cid.Hash{}, false))
	s.phase(e, ledger.Free)
	second := s.register(e)
	s.want(s.Resolve(ctx, e.probed(first, ledger.OutcomeCommitted), cid.Hash{}, false), ledger.ErrEntry)
	s.ok(s.Resolve(ctx, e.Resolution(second, ledger.OutcomeDoubt), cid.Hash{}, false))
	s.ok(s.Resolve(ctx, e.probed(second, ledger.OutcomeCommitted), cid.Hash{}, false))
	s.phase(e, ledger.Settled)
	s.want(s.Resolve(ctx, e.probed(second, ledger.OutcomeNotInvoked), cid.Hash{}, false), ledger.ErrEntry)
	s.commit(e.Commit(second, "request", "late"), ledger.Superseded)
	s.phase(e, ledger.Settled)

	known := NewEffect(s.t, "known", ledger.Reconcile)
	id := s.register(known)
	s.ok(s.Resolve(ctx, known.Resolution(id, ledger.OutcomeDoubt), cid.Hash{}, false))
	s.commit(known.Commit(id, "request", "what the probe gave"), ledger.Applied)
	s.phase(known, ledger.Committed)
}

func testDiverge(s suite) {
	pure := NewEffect(s.t, "pure", ledger.Pure)
	first := s.register(pure)
	s.clock.Advance(11 * time.Second)
	second := s.register(pure)
	s.commit(pure.Commit(first, "request", "one"), ledger.Superseded)
	s.commit(pure.Commit(second, "request", "two"), ledger.Diverged)
	v := s.view(pure)
	if v.Phase != ledger.Divergent || v.Contradiction.Reason != ledger.ReasonResponse {
		s.t.Fatalf("phase %s, reason %d", v.Phase, v.Contradiction.Reason)
	}
	raw, _ := pure.Register(v.State, "request")
	s.want(s.Register(context.Background(), ledger.Registration{Body: raw, LeaseFor: lease}), ledger.ErrDivergent)
	s.ok(s.Resolve(context.Background(), pure.Resolution(second, ledger.OutcomeNotInvoked), cid.Hash{}, true))
	s.phase(pure, ledger.Free)

	once := NewEffect(s.t, "once", ledger.Idempotent)
	id := s.register(once)
	s.commit(once.Commit(id, "request", "one"), ledger.Applied)
	s.commit(once.Commit(id, "request", "two"), ledger.Diverged)
	if v := s.view(once); v.Contradiction.Reason != ledger.ReasonCommits {
		s.t.Errorf("reason %d", v.Contradiction.Reason)
	}
}

func testConflict(s suite) {
	e := NewEffect(s.t, "k", ledger.Pure)
	id := s.register(e)
	s.commit(e.Commit(id, "request", "answer"), ledger.Applied)
	raw, _ := e.Register(ledger.State{}, "another request")
	s.want(s.Register(context.Background(), ledger.Registration{Body: raw, LeaseFor: lease}), ledger.ErrConflict)
	mark := func(why string) []byte {
		raw, _ := e.sign(&ledger.Divergence{IdemID: e.Idem(), ToolID: e.Tool, ReasonCode: ledger.ReasonRequest, Evidence: []cid.Hash{cid.Sum([]byte(why))}})
		return raw
	}
	for i, want := range []ledger.Verdict{ledger.Superseded, ledger.Dropped} {
		got, err := s.Diverge(context.Background(), mark(fmt.Sprint(i)), cid.Hash{})
		s.ok(err)
		if got != want {
			s.t.Errorf("mark %d: verdict %d, want %d", i, got, want)
		}
	}
	s.phase(e, ledger.Committed)
	if n := s.count(ledger.KindDivergence); n != 1 {
		s.t.Errorf("%d marks kept, want 1", n)
	}
}

func testSpend(s suite) {
	root, leaf := cid.Sum([]byte("root")), cid.Sum([]byte("leaf"))
	both := []ledger.Spend{{CapID: root, Max: 3}, {CapID: leaf, Max: 2}}
	s.register(NewEffect(s.t, "a", ledger.Pure), both...)
	e := NewEffect(s.t, "b", ledger.Pure)
	s.register(e, both...)
	third := NewEffect(s.t, "c", ledger.Pure)
	raw, _ := third.Register(ledger.State{}, "request")
	s.want(s.Register(context.Background(), ledger.Registration{Body: raw, Spend: both, LeaseFor: lease}), ledger.ErrExhausted)
	s.phase(third, ledger.Absent)
	// The refused register spent nothing of the root: one call is left there.
	s.register(third, ledger.Spend{CapID: root, Max: 3})
	s.clock.Advance(11 * time.Second)
	raw, _ = e.Register(s.view(e).State, "request")
	s.want(s.Register(context.Background(), ledger.Registration{Body: raw, Spend: both[:1], LeaseFor: lease}), ledger.ErrExhausted)
}

func testRuns(s suite) {
	start := ledger.RunStart{
		Authority: cid.Sum([]byte("a")), Holder: cid.Sum([]byte("h")), RunID: "r",
		Record: can.AppendText(nil, "record 1"), RecordID: cid.Sum([]byte("1")),
		Items: []ledger.Item{{CID: cid.Sum([]byte("inputs")), Data: []byte("inputs")}},
	}
	find := func() ([]byte, error) {
		return s.FindRun(context.Background(), start.Authority, start.Holder, start.RunID)
	}
	_, err := find()
	s.want(err, ledger.ErrNoItem)
	first, err := s.BeginRun(context.Background(), start)
	s.ok(err)
	if found, err := find(); err != nil || !cmp.Equal(found, first) {
		s.t.Errorf("the run that was begun is not found: %v", err)
	}
	again := start
	again.Record = can.AppendText(nil, "record 2")
	second, err := s.BeginRun(context.Background(), again)
	s.ok(err)
	if !cmp.Equal(first, start.Record) || !cmp.Equal(second, start.Record) {
		s.t.Error("the first record does not stand")
	}
	other := again
	other.Holder = cid.Sum([]byte("h2"))
	third, err := s.BeginRun(context.Background(), other)
	s.ok(err)
	if !cmp.Equal(third, other.Record) {
		s.t.Error("another holder shares the run id")
	}
	if n := s.count(ledger.KindRunRecord); n != 2 {
		s.t.Errorf("%d run records, want 2", n)
	}
}

func testBadEntries(s suite) {
	ctx := context.Background()
	e := NewEffect(s.t, "k", ledger.Pure)
	raw, id := e.Register(ledger.State{}, "request")
	broken := append([]byte{}, raw...)
	broken[len(broken)-1] ^= 1
	s.want(s.Register(ctx, ledger.Registration{Body: broken, LeaseFor: lease}), sig.ErrInvalid)
	_, err := s.Commit(ctx, e.Commit(id, "request", "answer"))
	s.want(err, ledger.ErrEntry)
	s.ok(s.Register(ctx, ledger.Registration{Body: raw, LeaseFor: lease}))
	c := e.Commit(id, "request", "answer")
	c.Items = []ledger.Item{{CID: cid.Sum([]byte("x")), Data: []byte("y")}}
	_, err = s.Commit(ctx, c)
	s.want(err, ledger.ErrEntry)
	c = e.Commit(id, "request", "answer")
	c.Receipt = e.Commit(id, "request", "other").Receipt
	_, err = s.Commit(ctx, c)
	s.want(err, ledger.ErrEntry)
	s.phase(e, ledger.Open)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Lookup(canceled, e.Idem()); !errors.Is(err, context.Canceled) {
		s.t.Errorf("Lookup with an ended context: %v", err)
	}
	if n := s.count(); n != 1 {
		s.t.Errorf("%d entries, want 1", n)
	}
}
