package ledger_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

var (
	tool  = cid.Sum([]byte("tool"))
	owner = sig.NewKey([32]byte{1}, "")
	other = sig.NewKey([32]byte{2}, "")
)

func TestIdempotencyKeys(t *testing.T) {
	a, h := cid.Sum([]byte("a")), cid.Sum([]byte("h"))
	derived := func(run string, ordinal uint64) string {
		d := ledger.DerivedKey{RunID: run, Ordinal: ordinal}
		return string(d.IdempotencyKey(a, h))
	}
	explicit := func(authority, holder cid.Hash, key string) string {
		k, err := ledger.ExplicitKey(authority, holder, []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		return string(k)
	}
	seen := map[string]string{}
	for name, key := range map[string]string{
		"derived": derived("r", 0), "next ordinal": derived("r", 1), "other run": derived("r2", 0),
		"explicit": explicit(a, h, "k"), "other key": explicit(a, h, "k2"),
		"other authority": explicit(h, h, "k"), "other holder": explicit(a, a, "k"),
	} {
		id := ledger.IdemID(tool, []byte(key)).String()
		if was, ok := seen[id]; ok {
			t.Errorf("%s and %s share an id", name, was)
		}
		seen[id] = name
	}
	for _, n := range []int{0, 257} {
		if _, err := ledger.ExplicitKey(a, h, make([]byte, n)); !errors.Is(err, ledger.ErrKey) {
			t.Errorf("a key of %d bytes: %v", n, err)
		}
	}
}

func TestRunIDs(t *testing.T) {
	for id, ok := range map[string]bool{
		"a": true, "A.b_c:d-9": true, strings.Repeat("x", 128): true,
		"": false, strings.Repeat("x", 129): false, "a b": false, "a/b": false, "ä": false, "a\n": false,
	} {
		if err := ledger.CheckRunID(id); (err == nil) != ok {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestLeafHashCoversEverything(t *testing.T) {
	base := ledger.LeafHash(1, ledger.KindCommit, []byte{1})
	for name, h := range map[string]cid.Hash{
		"index": ledger.LeafHash(2, ledger.KindCommit, []byte{1}),
		"kind":  ledger.LeafHash(1, ledger.KindRegister, []byte{1}),
		"body":  ledger.LeafHash(1, ledger.KindCommit, []byte{2}),
	} {
		if h == base {
			t.Errorf("the leaf hash does not cover %s", name)
		}
	}
}

// model is what an id's log may say, kept apart from the code: at most one
// commit stands, and it never changes until an operator steps in.
type model struct {
	t        *rapid.T
	state    ledger.State
	log      []ledger.Record
	retry    ledger.Retry
	attempts []cid.Hash
}

func (m *model) add(kind ledger.Kind, body []byte) {
	m.log = append(m.log, ledger.Record{Index: uint64(len(m.log)), Kind: kind, Body: body})
}

func (m *model) register(live bool) bool {
	request := cid.Sum([]byte("request"))
	decision, err := m.state.Decide(request, live, m.retry)
	if err != nil || decision != ledger.Proceed {
		return false
	}
	retry := uint8(m.retry)
	x := ledger.Register{IdemID: ledger.IdemID(tool, []byte("k")), ToolID: tool, RequestHash: request, IdempotencyKey: []byte("k"), Retry: &retry}
	if m.state.Attempt > 0 {
		n, prev := m.state.Attempt, m.state.RegisterID
		x.Attempt, x.PreviousRegister = &n, &prev
	}
	raw, id, err := sig.Sign(&x, owner)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.state.AddRegister(x, id); err != nil {
		m.t.Fatalf("a register that was decided on is refused: %v", err)
	}
	m.attempts = append(m.attempts, id)
	m.add(ledger.KindRegister, raw)
	return true
}

func (m *model) commit(attempt int, response string, by sig.Key) ledger.Verdict {
	id := m.attempts[attempt]
	x := ledger.Commit{
		IdemID: ledger.IdemID(tool, []byte("k")), ToolID: tool, RequestHash: cid.Sum([]byte("request")),
		ResponseHash: cid.Sum([]byte(response)), ReceiptID: cid.Sum([]byte("r" + response)), Status: 200, RegisterID: &id,
	}
	raw, _, err := sig.Sign(&x, by)
	if err != nil {
		m.t.Fatal(err)
	}
	_, verdict, err := m.state.Offer(raw)
	if err != nil {
		m.t.Fatal(err)
	}
	if verdict != ledger.Dropped {
		m.add(ledger.KindCommit, raw)
	}
	return verdict
}

func (m *model) resolve(outcome uint8, by sig.Key, operator bool) {
	x := ledger.Resolution{IdemID: ledger.IdemID(tool, []byte("k")), RegisterID: m.state.RegisterID, Outcome: outcome, Reason: "test"}
	raw, _, err := sig.Sign(&x, by)
	if err != nil {
		m.t.Fatal(err)
	}
	if m.state.AddResolution(x, operator) == nil {
		m.add(ledger.KindResolution, raw)
	}
}

// TestHistories drives random histories and checks what must hold in each: a
// commit that stands stays; a class that forbids retries sees one attempt
// unless the one before was known not to have been invoked; and folding the log
// gives the state that the live calls gave.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{t: rt, retry: ledger.Retry(rapid.IntRange(0, 3).Draw(rt, "retry"))}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			before := m.state
			switch rapid.IntRange(0, 4).Draw(rt, "op") {
			case 0, 1:
				if m.register(rapid.Bool().Draw(rt, "live")) && !m.retry.Again() && before.Phase != ledger.Absent && before.Phase != ledger.Free {
					rt.Fatalf("retry class %d was invoked again in phase %s", m.retry, before.Phase)
				}
			case 2:
				if len(m.attempts) == 0 {
					continue
				}
				by := owner
				if rapid.IntRange(0, 3).Draw(rt, "forged") == 0 {
					by = other
				}
				a := rapid.IntRange(0, len(m.attempts)-1).Draw(rt, "attempt")
				verdict := m.commit(a, fmt.Sprint(rapid.IntRange(0, 1).Draw(rt, "response")), by)
				if by.Agent() != owner.Agent() && (verdict == ledger.Applied || verdict == ledger.Diverged) {
					rt.Fatal("a forged commit counts")
				}
				if verdict == ledger.Applied && m.attempts[a] != before.RegisterID {
					rt.Fatal("a commit under an old fencing token counts")
				}
			case 3:
				if m.state.Phase != ledger.Absent {
					m.resolve(uint8(rapid.IntRange(1, 3).Draw(rt, "outcome")), owner, false)
				}
			case 4:
				if m.state.Phase != ledger.Absent {
					m.resolve(uint8(rapid.IntRange(1, 3).Draw(rt, "outcome")), other, rapid.Bool().Draw(rt, "operator"))
				}
			}
			if before.Phase == ledger.Committed && m.state.Phase != ledger.Divergent &&
				(m.state.Phase != ledger.Committed || m.state.Commit.ReceiptID != before.Commit.ReceiptID) {
				rt.Fatalf("a committed id became %s", m.state.Phase)
			}
			if before.Phase == ledger.Settled && m.state.Phase != ledger.Settled && m.state.Phase != ledger.Divergent {
				rt.Fatalf("a settled id became %s", m.state.Phase)
			}
		}
		folded, err := ledger.Fold(m.log)
		if err != nil {
			rt.Fatal(err)
		}
		if folded.Phase != m.state.Phase || folded.RegisterID != m.state.RegisterID || folded.Attempt != m.state.Attempt ||
			folded.Commit.ReceiptID != m.state.Commit.ReceiptID {
			rt.Fatalf("the fold is %s after %d attempts, the calls gave %s after %d", folded.Phase, folded.Attempt, m.state.Phase, m.state.Attempt)
		}
	})
}

func TestDecide(t *testing.T) {
	request := cid.Sum([]byte("request"))
	at := func(p ledger.Phase, recorded ledger.Retry) ledger.State {
		return ledger.State{Phase: p, RequestHash: request, Retry: recorded}
	}
	for _, c := range []struct {
		name  string
		state ledger.State
		live  bool
		retry ledger.Retry
		want  ledger.Decision
		err   error
	}{
		{"absent", ledger.State{}, false, ledger.Never, ledger.Proceed, nil},
		{"free", at(ledger.Free, ledger.Never), false, ledger.Never, ledger.Proceed, nil},
		{"committed", at(ledger.Committed, ledger.Never), false, ledger.Never, ledger.Replay, nil},
		{"live", at(ledger.Open, ledger.Pure), true, ledger.Pure, ledger.Wait, nil},
		{"lapsed pure", at(ledger.Open, ledger.Pure), false, ledger.Pure, ledger.Proceed, nil},
		{"lapsed idempotent", at(ledger.Open, ledger.Idempotent), false, ledger.Pure, ledger.Proceed, nil},
		{"lapsed never", at(ledger.Open, ledger.Never), false, ledger.Pure, 0, ledger.ErrInDoubt},
		{"loosened now", at(ledger.Open, ledger.Pure), false, ledger.Never, 0, ledger.ErrInDoubt},
		{"reconcile without probe", at(ledger.Doubt, ledger.Reconcile), false, ledger.Reconcile, 0, ledger.ErrInDoubt},
		{"divergent", at(ledger.Divergent, ledger.Pure), false, ledger.Pure, 0, ledger.ErrDivergent},
		{"settled", at(ledger.Settled, ledger.Pure), false, ledger.Pure, 0, ledger.ErrSettled},
		{"conflict", ledger.State{Phase: ledger.Committed}, false, ledger.Pure, 0, ledger.ErrConflict},
	} {
		got, err := c.state.Decide(request, c.live, c.retry)
		if got != c.want || !errors.Is(err, c.err) && (err != nil || c.err != nil) {
			t.Errorf("%s: got %d, %v", c.name, got, err)
		}
	}
}

// FuzzEntries checks that no body makes a decoder panic and that a fold either
// refuses a body or keeps its own invariants.
func FuzzEntries(f *testing.F) {
	retry := uint8(ledger.Pure)
	x := ledger.Register{IdemID: ledger.IdemID(tool, []byte("k")), ToolID: tool, IdempotencyKey: []byte("k"), Retry: &retry}
	register, id, err := sig.Sign(&x, owner)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(ledger.KindRegister), register)
	commit, _, err := sig.Sign(&ledger.Commit{IdemID: x.IdemID, ToolID: tool, RegisterID: &id}, owner)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(ledger.KindCommit), commit)
	f.Add(uint8(ledger.KindDivergence), []byte{8, 0})
	resolution, _, err := sig.Sign(&ledger.Resolution{IdemID: x.IdemID, RegisterID: id, Outcome: 2, Reason: "r"}, owner)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(ledger.KindResolution), resolution)
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		s, err := ledger.Fold([]ledger.Record{{Kind: ledger.KindRegister, Body: register}, {Index: 1, Kind: ledger.Kind(kind), Body: body}})
		if err != nil && !errors.Is(err, ledger.ErrCorrupt) {
			t.Fatalf("a fold fails with %v", err)
		}
		if err == nil && s.Phase == ledger.Committed && s.CommitRaw == nil {
			t.Fatal("committed without a commit")
		}
		if err == nil && can.Valid(body) != nil {
			t.Fatal("a body that is not canonical was accepted")
		}
	})
}
