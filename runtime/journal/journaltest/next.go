package journaltest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// registration is the first register of an effect.
func (e *Effect) registration(spend ...ledger.Spend) ledger.Registration {
	raw, _ := e.Register(ledger.State{}, "request")
	return ledger.Registration{Body: raw, LeaseFor: lease, Spend: spend}
}

// testCommitAndRegister: a commit and the next effect's register, and what refuses
// either of them.
func testCommitAndRegister(s suite) {
	ctx := context.Background()
	first, next := NewEffect(s.t, "first", ledger.Never), NewEffect(s.t, "next", ledger.Never)
	c := first.Commit(s.register(first), "request", "answer")
	v, err := s.CommitAndRegister(ctx, c, next.registration())
	s.ok(err)
	s.verdict(v, ledger.Applied)
	s.phase(first, ledger.Committed)
	if v := s.view(next); v.Phase != ledger.Open || !v.Live || v.LeaseExpires != s.clock.Now().UnixMicro()+lease {
		s.t.Fatalf("the register after it is %s, live %t", v.Phase, v.Live)
	}
	if item, err := s.Object(ctx, cid.Sum([]byte("answer"))); err != nil || string(item) != "answer" {
		s.t.Errorf("the response is %q, %v", item, err)
	}

	// A register that is refused leaves the commit.
	link := ledger.Spend{CapID: cid.Sum([]byte("cap")), Max: 1}
	spender, lone := NewEffect(s.t, "spender", ledger.Never), NewEffect(s.t, "lone", ledger.Never)
	id := s.register(spender, link)
	v, err = s.CommitAndRegister(ctx, spender.Commit(id, "request", "answer"), lone.registration(link))
	s.want(err, ledger.ErrExhausted)
	s.verdict(v, ledger.Applied)
	s.phase(spender, ledger.Committed)
	s.phase(lone, ledger.Absent)
	broken := lone.registration()
	broken.Body = append([]byte{}, broken.Body[:len(broken.Body)-1]...)
	other := NewEffect(s.t, "other", ledger.Never)
	v, err = s.CommitAndRegister(ctx, other.Commit(s.register(other), "request", "answer"), broken)
	if err == nil {
		s.t.Fatal("a broken register was accepted")
	}
	s.verdict(v, ledger.Applied)
	s.phase(other, ledger.Committed)

	// A commit that is refused leaves nothing.
	stray := NewEffect(s.t, "stray", ledger.Never)
	before := s.count()
	v, err = s.CommitAndRegister(ctx, stray.Commit(id, "request", "answer"), lone.registration())
	s.want(err, ledger.ErrEntry)
	s.verdict(v, 0)
	c = lone.Commit(id, "request", "answer")
	c.Items[0].Data = []byte("another")
	if v, err = s.CommitAndRegister(ctx, c, lone.registration()); err == nil {
		s.t.Fatal("an item with other bytes was accepted")
	}
	s.verdict(v, 0)
	s.phase(lone, ledger.Absent)
	if n := s.count(); n != before {
		s.t.Errorf("%d entries more", n-before)
	}
}

func (s suite) verdict(got, want ledger.Verdict) {
	s.t.Helper()
	if got != want {
		s.t.Fatalf("verdict %d, want %d", got, want)
	}
}

// testNothingAfter: what may come after a commit only comes if that stands, and is
// not charged otherwise.
func testNothingAfter(s suite) {
	ctx := context.Background()
	link := ledger.Spend{CapID: cid.Sum([]byte("cap")), Max: 1}
	next := NewEffect(s.t, "next", ledger.Never)
	late := NewEffect(s.t, "late", ledger.Idempotent)
	old := s.register(late)
	s.clock.Advance(11 * time.Second)
	s.register(late)
	v, err := s.CommitAndRegister(ctx, late.Commit(old, "request", "late"), next.registration(link))
	s.want(err, ledger.ErrSuperseded)
	s.verdict(v, ledger.Superseded)

	once := NewEffect(s.t, "once", ledger.Never)
	id := s.register(once)
	one := once.Commit(id, "request", "one")
	s.commit(one, ledger.Applied)
	v, err = s.CommitAndSeal(ctx, one, []byte("seal"), cid.Hash{})
	s.want(err, ledger.ErrSuperseded)
	s.verdict(v, ledger.Dropped)
	v, err = s.CommitAndSeal(ctx, once.Commit(id, "request", "two"), []byte("seal"), cid.Hash{})
	s.want(err, ledger.ErrSuperseded)
	s.verdict(v, ledger.Diverged)
	s.phase(once, ledger.Divergent)

	if n := s.count(ledger.KindRunSeal); n != 0 {
		s.t.Errorf("%d seals", n)
	}
	s.phase(next, ledger.Absent)
	s.ok(s.Register(ctx, next.registration(link))) // the call is still there to be spent
}

// testCommitAndSeal: a commit and the seal of its run.
func testCommitAndSeal(s suite) {
	ctx := context.Background()
	e, run, seal := NewEffect(s.t, "k", ledger.Never), cid.Sum([]byte("run")), []byte("a seal")
	c := e.Commit(s.register(e), "request", "answer")
	c.Run = run
	v, err := s.CommitAndSeal(ctx, c, seal, run)
	s.ok(err)
	s.verdict(v, ledger.Applied)
	s.phase(e, ledger.Committed)
	var kinds []ledger.Kind
	for rec, err := range s.Records(ctx, ledger.Filter{Run: &run}) {
		s.ok(err)
		kinds = append(kinds, rec.Kind)
	}
	if n := s.count(ledger.KindCommit, ledger.KindRunSeal); len(kinds) != 2 || n != 2 {
		s.t.Errorf("the run has entries of kinds %v, want its commit and its seal", kinds)
	}
	if raw, err := s.Object(ctx, cid.Sum(seal)); err != nil || !cmp.Equal(raw, seal) {
		s.t.Errorf("the seal is %q, %v", raw, err)
	}
}

// testChains: many runs at once commit each effect with the register of the next, the
// last of which all of them want: one gets it, and every commit stands.
func testChains(s suite) {
	const runs, length = 12, 6
	ctx := context.Background()
	wanted := NewEffect(s.t, "wanted", ledger.Never)
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range runs {
		all.Go(func() {
			e := NewEffect(s.t, fmt.Sprint(i, "-", 0), ledger.Never)
			err := s.Register(ctx, e.registration())
			for j := 1; err == nil && j <= length; j++ {
				next := wanted
				if j < length {
					next = NewEffect(s.t, fmt.Sprint(i, "-", j), ledger.Never)
				}
				_, id := e.Register(ledger.State{}, "request")
				var v ledger.Verdict
				v, err = s.CommitAndRegister(ctx, e.Commit(id, "request", fmt.Sprint("answer ", i, j)), next.registration())
				if v != ledger.Applied {
					s.t.Errorf("run %d, effect %d: verdict %d", i, j, v)
				}
				e = next
			}
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, ledger.ErrInProgress) {
				s.t.Errorf("run %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if n := won.Load(); n != 1 {
		s.t.Errorf("%d runs registered the one effect", n)
	}
	if commits, registers := s.count(ledger.KindCommit), s.count(ledger.KindRegister); commits != runs*length || registers != runs*length+1 {
		s.t.Errorf("%d commits and %d registers", commits, registers)
	}
}
