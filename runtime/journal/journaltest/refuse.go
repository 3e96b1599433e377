package journaltest

import (
	"context"
	"fmt"
	"sync"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Refusal returns a refusal by Owner of one request, of a run unless that is zero.
func Refusal(code, request string, run cid.Hash, at int64) ledger.Refusal {
	id := cid.Sum([]byte(request))
	x := ledger.Refusal{RequestHash: &id, Code: code, Missing: "a proof", Time: at}
	if !run.IsZero() {
		x.RunRecord = &run
	}
	return x
}

func (s suite) sign(x sig.Object) []byte {
	s.t.Helper()
	raw, _, err := sig.Sign(x, Owner)
	s.ok(err)
	return raw
}

// testRefuse keeps one refusal of each holder, code and request.
func testRefuse(s suite) {
	ctx := context.Background()
	record := s.sign(&ledger.Resolution{Reason: "stands for a run record"})
	run := cid.Sum([]byte("run"))
	_, err := s.BeginRun(ctx, ledger.RunStart{RunID: "r", Record: record, RecordID: run})
	s.ok(err)
	ann, bob := cid.Sum([]byte("ann")), cid.Sum([]byte("bob"))
	refuse := func(x ledger.Refusal, run, holder cid.Hash, want ledger.Verdict) {
		s.t.Helper()
		got, err := s.Refuse(ctx, s.sign(&x), run, holder)
		s.ok(err)
		if got != want {
			s.t.Fatalf("verdict %d, want %d", got, want)
		}
	}
	refuse(Refusal("cap_missing", "one", run, 1), run, ann, ledger.Applied)
	refuse(Refusal("cap_missing", "one", run, 1), run, ann, ledger.Dropped)
	refuse(Refusal("cap_missing", "one", run, 2), run, ann, ledger.Dropped) // other bytes
	refuse(Refusal("cap_missing", "one", cid.Hash{}, 2), cid.Hash{}, ann, ledger.Dropped)
	refuse(Refusal("cap_scope", "one", run, 2), run, ann, ledger.Applied)
	refuse(Refusal("cap_missing", "two", run, 2), run, ann, ledger.Applied)
	refuse(Refusal("cap_missing", "one", run, 2), run, bob, ledger.Applied)
	refuse(Refusal("cap_missing", "one", cid.Hash{}, 2), cid.Hash{}, cid.Hash{}, ledger.Applied)
	// Without a request it is the tool and the package that tell them apart.
	pkg, tool := cid.Sum([]byte("package")), cid.Sum([]byte("tool"))
	bare := ledger.Refusal{Code: "tool_unbound", PackageID: &pkg}
	refuse(bare, cid.Hash{}, ann, ledger.Applied)
	refuse(bare, cid.Hash{}, ann, ledger.Dropped)
	bare.ToolID = &tool
	refuse(bare, cid.Hash{}, ann, ledger.Applied)
	s.refusals(run, 7, 4)
}

// refusals counts what is kept, and checks that none is of an idempotency id.
func (s suite) refusals(run cid.Hash, all, inRun int) {
	s.t.Helper()
	n := 0
	for rec, err := range s.Records(context.Background(), ledger.Filter{Kinds: []ledger.Kind{ledger.KindRefusal}}) {
		s.ok(err)
		if _, err := ledger.OpenRefusal(rec.Body); err != nil || !rec.Idem.IsZero() {
			s.t.Fatalf("entry %d of id %s: %v", rec.Index, rec.Idem, err)
		}
		n++
		if rec.Run == run {
			inRun--
		}
	}
	if n != all || inRun != 0 {
		s.t.Errorf("%d refusals, want %d; %d too few of the run", n, all, inRun)
	}
}

func testBadRefusals(s suite) {
	ctx := context.Background()
	good := Refusal("cap_missing", "one", cid.Hash{}, 1)
	raw := s.sign(&good)
	raw[len(raw)-1] ^= 1
	_, err := s.Refuse(ctx, raw, cid.Hash{}, cid.Hash{})
	s.want(err, sig.ErrInvalid)
	_, err = s.Refuse(ctx, s.sign(&good), cid.Sum([]byte("a run")), cid.Hash{})
	s.want(err, ledger.ErrEntry)
	for _, code := range []string{"", "No code", fmt.Sprintf("%065d", 0)} {
		x := Refusal(code, "one", cid.Hash{}, 1)
		_, err = s.Refuse(ctx, s.sign(&x), cid.Hash{}, cid.Hash{})
		s.want(err, ledger.ErrEntry)
	}
	s.refusals(cid.Hash{}, 0, 0)
}

// RingState returns a state of a ring; without a package it demotes.
func RingState(ring uint8, seq uint64, name, pkg string) *ledger.RingState {
	x := &ledger.RingState{Ring: ring, Seq: seq, Name: name, Time: int64(seq)}
	if pkg != "" {
		id := cid.Sum([]byte(pkg))
		x.PackageID = &id
	}
	return x
}

// testRings keeps every state and lets only a higher seq stand.
func testRings(s suite) {
	ctx := context.Background()
	s.rings()
	set := func(x *ledger.RingState) { s.t.Helper(); s.ok(s.SetRing(ctx, s.sign(x))) }
	set(RingState(1, 5, "demo", "a"))
	set(RingState(2, 1, "demo", "a"))
	set(RingState(1, 1, "another", "b"))
	s.rings("1/another@1", "1/demo@5", "2/demo@1")
	first := s.sign(RingState(1, 5, "demo", "a"))
	s.want(s.SetRing(ctx, first), ledger.ErrRingStale)
	s.want(s.SetRing(ctx, s.sign(RingState(1, 4, "demo", "c"))), ledger.ErrRingStale)
	set(RingState(1, 9, "demo", ""))
	s.want(s.SetRing(ctx, first), ledger.ErrRingStale) // an old one does not promote again
	s.rings("1/another@1", "1/demo@9 demoted", "2/demo@1")
	if n := s.count(ledger.KindRingState); n != 4 {
		s.t.Errorf("%d states kept, want 4", n)
	}
	bad := s.sign(RingState(1, 10, "demo", "a"))
	bad[len(bad)-1] ^= 1
	s.want(s.SetRing(ctx, bad), sig.ErrInvalid)
	s.want(s.SetRing(ctx, s.sign(RingState(3, 10, "demo", "a"))), ledger.ErrEntry)
	s.want(s.SetRing(ctx, s.sign(RingState(1, 10, "", "a"))), ledger.ErrEntry)
	rollback := RingState(1, 10, "demo", "")
	rollback.RollbackPackageID = new(cid.Hash)
	s.want(s.SetRing(ctx, s.sign(rollback)), ledger.ErrEntry)
	s.want(s.SetRing(ctx, can.AppendText(nil, "no state")), can.ErrType)
	s.rings("1/another@1", "1/demo@9 demoted", "2/demo@1")
}

func (s suite) rings(want ...string) {
	s.t.Helper()
	states, err := s.Rings(context.Background())
	s.ok(err)
	var got []string
	for _, x := range states {
		text := fmt.Sprintf("%d/%s@%d", x.Ring, x.Name, x.Seq)
		if x.PackageID == nil {
			text += " demoted"
		}
		got = append(got, text)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Fatalf("rings %v, want %v", got, want)
	}
}

// testRingRace lets many set the same seq of one ring: one does.
func testRingRace(s suite) {
	const callers = 16
	var wg sync.WaitGroup
	errs := make([]error, callers)
	for i := range callers {
		raw := s.sign(RingState(2, 1, "demo", fmt.Sprint("package ", i)))
		wg.Go(func() { errs[i] = s.SetRing(context.Background(), raw) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		s.want(err, ledger.ErrRingStale)
	}
	if won != 1 || s.count(ledger.KindRingState) != 1 {
		s.t.Errorf("%d states won, %d stored, want 1", won, s.count(ledger.KindRingState))
	}
}
