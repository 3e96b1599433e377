package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// probes: the ledger lets an owner record what a probe showed.
const probes = true

// depth bounds the traces of TestEveryShortTrace; "make model" goes further.
var depth = flag.Int("depth", 3, "length of the traces that are followed one by one")

// real is the ledger's state of one id beside the model's, moved by real signed
// entries.
type real struct {
	state ledger.State
	log   []ledger.Record
	ids   []cid.Hash // of the registers; 0 is unused
	signer
}

func hashOf(format string, args ...any) cid.Hash { return cid.Sum(fmt.Appendf(nil, format, args...)) }

var (
	toolID = hashOf("tool")
	idemID = ledger.IdemID(toolID, []byte("key"))
)

func keyOf(n uint8) sig.Key      { return sig.NewKey([32]byte{n, 7}, "") }
func request(n uint8) cid.Hash   { return hashOf("request %d", n) }
func receiptOf(e Entry) cid.Hash { return hashOf("receipt %v", e) }

func (r *real) register(n uint8) *cid.Hash {
	var id cid.Hash
	switch {
	case n == 0:
		return nil
	case int(n) < len(r.ids):
		id = r.ids[n]
	default:
		id = hashOf("no register")
	}
	return &id
}

// signer signs each entry once: traces share most of theirs.
type signer map[string][]byte

func (s signer) sign(x sig.Object, by uint8) ([]byte, error) {
	unsigned := string(append(x.AppendCAN(nil), by))
	if raw, ok := s[unsigned]; ok {
		return raw, nil
	}
	raw, _, err := sig.Sign(x, keyOf(by))
	s[unsigned] = raw
	return raw, err
}

// body signs what e says.
func (r *real) body(e Entry) (ledger.Kind, []byte, error) {
	sign := func(kind ledger.Kind, x sig.Object) (ledger.Kind, []byte, error) {
		raw, err := r.signer.sign(x, e.By)
		return kind, raw, err
	}
	switch e.Kind {
	case Register:
		x := &ledger.Register{
			IdemID: idemID, ToolID: toolID, RequestHash: request(e.Request), IdempotencyKey: []byte("key"), PreviousRegister: r.register(e.Which),
		}
		if n := uint32(e.Attempt); n > 0 {
			x.Attempt = &n
		}
		if e.What != Never {
			x.Retry = &e.What
		}
		return sign(ledger.KindRegister, x)
	case Commit:
		return sign(ledger.KindCommit, &ledger.Commit{
			IdemID: idemID, ToolID: toolID, RequestHash: request(e.Request), ResponseHash: hashOf("response %d", e.Response),
			ReceiptID: receiptOf(e), Status: 200, RegisterID: r.register(e.Which),
		})
	case Mark:
		return sign(ledger.KindDivergence, &ledger.Divergence{IdemID: idemID, ToolID: toolID, ReasonCode: e.What})
	}
	x := &ledger.Resolution{IdemID: idemID, Outcome: e.What, Reason: "a test"}
	if id := r.register(e.Which); id != nil {
		x.RegisterID = *id
	}
	other := hashOf("no receipt")
	switch e.Extra {
	case 1:
		x.ReceiptID = &r.state.Commit.ReceiptID
	case 2:
		x.ReceiptID = &other
	}
	return sign(ledger.KindResolution, x)
}

// offer gives e to the ledger and returns its verdict in the model's words.
func (r *real) offer(e Entry) (Verdict, error) {
	kind, raw, err := r.body(e)
	if err != nil {
		return Refused, err
	}
	v, err := r.take(kind, raw, e.By == Operator)
	if v != Refused && v != Dropped {
		r.log = append(r.log, ledger.Record{Index: uint64(len(r.log)), Kind: kind, Idem: idemID, Body: raw})
	}
	if fault.CodeOf(err) != "" {
		err = nil // refused, with a code as it must be
	}
	return v, err
}

func (r *real) take(kind ledger.Kind, raw []byte, operator bool) (Verdict, error) {
	known := map[ledger.Verdict]Verdict{ledger.Applied: Applied, ledger.Superseded: Superseded, ledger.Dropped: Dropped, ledger.Diverged: Diverged}
	switch kind {
	case ledger.KindRegister:
		x, id, err := ledger.OpenRegister(raw)
		if err == nil {
			err = r.state.AddRegister(x, id)
		}
		if err != nil {
			return Refused, err
		}
		r.ids = append(r.ids, id)
		return Applied, nil
	case ledger.KindCommit:
		_, v, err := r.state.Offer(raw)
		return known[v], err
	case ledger.KindDivergence:
		x, err := ledger.DecodeDivergence(raw)
		if err != nil {
			return Refused, err
		}
		v, err := r.state.AddDivergence(x)
		return known[v], err
	}
	x, err := ledger.OpenResolution(raw)
	if err == nil {
		err = r.state.AddResolution(x, operator)
	}
	if err != nil {
		return Refused, err
	}
	return Applied, nil
}

var phaseOf = map[ledger.Phase]Phase{
	ledger.Absent: Absent, ledger.Open: Open, ledger.Free: Free, ledger.Doubt: Doubt, ledger.Committed: Committed,
	ledger.Settled: Settled, ledger.Divergent: Divergent,
}

// differs says where the ledger's state is not the model's.
func differs(l *ledger.State, ids []cid.Hash, s *State) string {
	n := int(s.Registers)
	switch {
	case phaseOf[l.Phase] != s.Phase:
		return fmt.Sprintf("phase %s, the model's is %s", l.Phase, s.Phase)
	case int(l.Attempt) != n || n > 0 && l.RegisterID != ids[n]:
		return fmt.Sprintf("token is register %s, number %d, the model's is number %d", l.RegisterID, l.Attempt, n)
	case n > 0 && (l.RequestHash != request(s.Request) || !l.Owner.Equal(keyOf(s.latest().owner).Agent()) || uint8(l.Retry) != s.latest().class):
		return "request, owner or class of the latest register differ"
	case (l.CommitRaw != nil) != (s.Stood.Kind != 0) || l.CommitRaw != nil && l.Commit.ReceiptID != receiptOf(s.Stood):
		return fmt.Sprintf("receipt %s stands or stood, the model's is that of %+v", l.Commit.ReceiptID, s.Stood)
	case l.Marked != s.Marked:
		return fmt.Sprintf("marked: %t, the model says %t", l.Marked, s.Marked)
	}
	for q := range uint8(2) {
		for class := Never; class <= Reconcile; class++ {
			for _, live := range []bool{false, true} {
				d, err := l.Decide(request(q), live, ledger.Retry(class))
				want := s.Decide(q, live, class, Sound)
				if got := decided(d, err); got != want {
					return fmt.Sprintf("request %d of class %s with a live lease (%t): %v, the model says %v", q, classWord[class], live, got, want)
				}
			}
		}
	}
	return ""
}

func decided(d ledger.Decision, err error) Decision {
	for code, is := range map[fault.Code]Decision{
		ledger.ErrInDoubt: InDoubt, ledger.ErrConflict: Conflict, ledger.ErrSettled: IsSettled, ledger.ErrDivergent: IsDivergent,
	} {
		if errors.Is(err, code) {
			return is
		}
	}
	return map[ledger.Decision]Decision{ledger.Proceed: Proceed, ledger.Replay: Replay, ledger.Wait: Wait}[d]
}

// follow offers entries to ledger and model, one after the other, and compares
// after each: verdict, phase, token, and the decision for every request and class.
func (s signer) follow(trace []Entry) (model State, r *real, err error) {
	r = &real{ids: make([]cid.Hash, 1), signer: s}
	for i, e := range trace {
		v, err := r.offer(e)
		if err != nil {
			return model, r, err
		}
		want := model.Apply(e, probes, Sound)
		why := differs(&r.state, r.ids, &model)
		if v != want {
			why = fmt.Sprintf("verdict %v, the model's is %v", v, want)
		}
		if why != "" {
			return model, r, fmt.Errorf("after %d entries: %s\n%s", i+1, why, told(trace[:i+1]))
		}
	}
	folded, err := ledger.Fold(r.log)
	if err != nil {
		return model, r, fmt.Errorf("what was accepted does not fold: %w\n%s", err, told(trace))
	}
	if why := differs(&folded, r.ids, &model); why != "" {
		return model, r, fmt.Errorf("folded from its records: %s\n%s", why, told(trace))
	}
	return model, r, nil
}

func told(trace []Entry) string {
	var b strings.Builder
	for i, e := range trace {
		fmt.Fprintf(&b, "%3d %s %+v\n", i, [...]string{"", "register", "commit", "mark", "resolution"}[e.Kind], e)
	}
	return b.String()
}

// letters returns every entry that is offered to a state: sound ones and those
// that break one rule each.
func letters(s *State) []Entry {
	n := s.Registers
	var out []Entry
	for class := Never; class <= Reconcile; class++ {
		out = append(out, Entry{Kind: Register, By: class % 2, Which: n, Attempt: n, What: class})
	}
	out = append(out, Entry{Kind: Register, Which: n, Attempt: n, Request: 1}, Entry{Kind: Register, Which: n, Attempt: n + 1},
		Entry{Kind: Register, Which: Unknown, Attempt: n}, Entry{Kind: Register, By: 1, Which: 1, Attempt: 1, What: Pure})
	for register := range n + 2 {
		which := register
		if register > n {
			which = Unknown
		}
		for by := range uint8(2) {
			for response := range uint8(2) {
				out = append(out, Entry{Kind: Commit, By: by, Request: s.Request, Which: which, Response: response})
			}
		}
		out = append(out, Entry{Kind: Commit, By: 0, Request: s.Request, Which: which, Extra: 1}, Entry{Kind: Commit, By: Stranger, Request: s.Request, Which: which},
			Entry{Kind: Commit, By: s.of[n].owner, Request: 1 - s.Request, Which: which})
		for what := uint8(0); what <= Noted+1; what++ {
			for _, by := range []uint8{0, 1, Operator, Stranger} {
				out = append(out, Entry{Kind: Resolution, By: by, Which: which, What: what})
			}
		}
	}
	for receipt := uint8(1); receipt <= 2; receipt++ {
		for _, by := range []uint8{0, 1, Operator} {
			out = append(out, Entry{Kind: Resolution, By: by, Which: n, What: Happened, Extra: receipt})
		}
	}
	for reason := range uint8(3) {
		out = append(out, Entry{Kind: Mark, By: 1, What: reason + 1})
	}
	return out
}

// TestEveryShortTrace offers every letter to every state that a trace of accepted
// letters reaches, in the ledger and in the model. Traces that reach one state of
// the model are followed once.
func TestEveryShortTrace(t *testing.T) {
	depth := *depth
	if testing.Short() {
		depth = min(depth, 2)
	}
	keys := signer{}
	level, seen, steps := [][]Entry{nil}, map[State]bool{{}: true}, 0
	for range depth {
		var next [][]Entry
		for _, trace := range level {
			s := Fold(trace, probes, Sound)
			for _, e := range letters(&s) {
				longer := append(slices.Clone(trace), e)
				model, _, err := keys.follow(longer)
				if err != nil {
					t.Fatal(err)
				}
				if steps++; !seen[model] {
					seen[model] = true
					next = append(next, longer)
				}
			}
		}
		level = next
	}
	t.Logf("%d states to depth %d, %d traces", len(seen), depth, steps)
}

// TestLongTraces follows long traces of random letters.
func TestLongTraces(t *testing.T) {
	n := 500
	if testing.Short() {
		n = 100
	}
	for seed := range n {
		random := rand.New(rand.NewPCG(uint64(seed), 6))
		var trace []Entry
		var s State
		for s.stored < maxEntries && s.Registers < maxRegisters && len(trace) < 40 {
			list := letters(&s)
			e := list[random.IntN(len(list))]
			if was := s; random.IntN(8) > 0 && was.Apply(e, probes, Sound) == Refused {
				continue // most of what is refused is left out, so that traces get far
			}
			s.Apply(e, probes, Sound)
			trace = append(trace, e)
		}
		if _, _, err := (signer{}).follow(trace); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestWalks follows the logs that random walks of executors, crashes and
// resolutions leave, in every configuration.
func TestWalks(t *testing.T) {
	walks := 60
	if testing.Short() {
		walks = 10
	}
	entries := 0
	for _, c := range configs(true) {
		for seed := range walks {
			random := rand.New(rand.NewPCG(uint64(seed), 7))
			m, w := Model{Config: c}, World{}
			for range 80 {
				var next []World
				m.steps(&w, func(_ Step, n *World) { next = append(next, *n) })
				if len(next) == 0 {
					break
				}
				w = next[random.IntN(len(next))]
			}
			for id := range uint8(c.IDs) {
				if _, _, err := (signer{}).follow(w.log(id)); err != nil {
					t.Fatalf("%s, seed %d: %v", c.Name, seed, err)
				}
				entries += len(w.log(id))
			}
		}
	}
	t.Logf("%d entries", entries)
}
