package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

// doubtHome is a home with a ledger that a test has written to.
type doubtHome struct {
	t   *testing.T
	dir string
}

func (h doubtHome) write(fn func(ctx context.Context, s *journal.SQLite)) {
	h.t.Helper()
	s, err := journal.Open(h.t.Context(), journal.Options{Dir: filepath.Join(h.dir, "ledger"), Clock: time.Now, Boot: journal.HostBoot(), Signer: journaltest.Owner})
	if err != nil {
		h.t.Fatal(err)
	}
	fn(h.t.Context(), s)
	if err := s.Close(); err != nil {
		h.t.Fatal(err)
	}
}

// run runs a command line and returns what it wrote and its exit code.
func (h doubtHome) run(args ...string) (out, errs string, exit int) {
	var o, e bytes.Buffer
	env := Env{In: strings.NewReader(""), Out: &o, Err: &e, Clock: time.Now, Getenv: func(name string) string {
		return map[string]string{"MYTHOS_HOME": h.dir}[name]
	}}
	exit = Run(h.t.Context(), args, env)
	return o.String(), e.String(), exit
}

// operator makes this home's operator key and trusts it.
func (h doubtHome) operator() {
	h.t.Helper()
	key, err := node.GenerateKey(filepath.Join(h.dir, "keys", "operator.key"), sig.Operator, "")
	if err != nil {
		h.t.Fatal(err)
	}
	trust, err := gate.NewTrust([]gate.TrustEntry{{Role: sig.Operator, Keys: []sig.AgentID{key.Agent()}}})
	if err == nil {
		err = trust.Save(filepath.Join(h.dir, "trust.json"))
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h doubtHome) states(state string) []effectRow {
	h.t.Helper()
	out, errs, exit := h.run("ledger", "list", "--state", state, "--json")
	var v struct {
		Effects []effectRow `json:"effects"`
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil || exit != 0 {
		h.t.Fatalf("exit %d, %v: %s%s", exit, err, out, errs)
	}
	return v.Effects
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// diverging writes an effect with two answers of one register, and returns its id and
// the receipt of the first.
func (h doubtHome) diverging(name string) (id, receipt cid.Hash) {
	e := journaltest.NewEffect(h.t, name, ledger.Idempotent)
	h.write(func(ctx context.Context, s *journal.SQLite) {
		raw, register := e.Register(ledger.State{}, "request")
		must(h.t, s.Register(ctx, ledger.Registration{Body: raw, LeaseFor: 1}))
		for i, answer := range []string{"one", "two"} {
			want := []ledger.Verdict{ledger.Applied, ledger.Diverged}[i]
			if v, err := s.Commit(ctx, e.Commit(register, "request", answer)); err != nil || v != want {
				h.t.Fatalf("verdict %d, %v", v, err)
			}
		}
		v, err := s.Lookup(ctx, e.Idem())
		must(h.t, err)
		receipt = v.Commit.ReceiptID
	})
	return e.Idem(), receipt
}

// TestResolveDivergence: an operator says which answer counts, or that none does.
func TestResolveDivergence(t *testing.T) {
	for name, c := range map[string]struct {
		args  func(receipt cid.Hash) []string
		after string
	}{
		"the one that stood": {func(r cid.Hash) []string { return []string{"--committed", r.Hex()[:12]} }, "committed"},
		"it happened":        {func(cid.Hash) []string { return []string{"--committed"} }, "committed"},
		"it did not happen":  {func(cid.Hash) []string { return []string{"--not-invoked"} }, "free"},
	} {
		t.Run(name, func(t *testing.T) {
			h := doubtHome{t, t.TempDir()}
			id, receipt := h.diverging(name)
			if rows := h.states("divergent"); len(rows) != 1 || rows[0].IdemID != id || rows[0].Next == nil {
				t.Fatalf("divergent: %+v", rows)
			}
			h.operator()
			args := append([]string{"ledger", "resolve", id.Hex()[:8], "--reason", "looked", "--json"}, c.args(receipt)...)
			out, errs, exit := h.run(args...)
			var v resolutionView
			if err := json.Unmarshal([]byte(out), &v); err != nil || exit != 0 {
				t.Fatalf("exit %d: %s%s", exit, out, errs)
			}
			if v.Before != "divergent" || v.After != c.after || len(h.states(c.after)) != 1 || len(h.states("divergent")) != 0 {
				t.Errorf("%s became %s", v.Before, v.After)
			}
		})
	}
}

// TestStatesOfManyEffects lists more effects than are held at once, while they are
// written; each has one line.
func TestStatesOfManyEffects(t *testing.T) {
	h := doubtHome{t, t.TempDir()}
	const many = stateBatch + 10
	h.write(func(ctx context.Context, s *journal.SQLite) {
		for i := range many {
			e := journaltest.NewEffect(t, string(rune('a'+i%26))+strings.Repeat("x", i/26), ledger.Never)
			raw, register := e.Register(ledger.State{}, "request")
			must(t, s.Register(ctx, ledger.Registration{Body: raw, LeaseFor: time.Hour.Microseconds()}))
			switch i % 3 {
			case 0:
				must(t, s.Resolve(ctx, e.Resolution(register, ledger.OutcomeDoubt), cid.Hash{}, false))
			case 1:
				must(t, s.Resolve(ctx, e.Resolution(register, ledger.OutcomeNotInvoked), cid.Hash{}, false))
				v, err := s.Lookup(ctx, e.Idem())
				must(t, err)
				raw, _ := e.Register(v.State, "request")
				must(t, s.Register(ctx, ledger.Registration{Body: raw, LeaseFor: time.Hour.Microseconds()}))
			}
		}
		doubted, open := h.states("in-doubt"), h.states("open")
		if len(doubted) != (many+2)/3 || len(doubted)+len(open) != many {
			t.Errorf("%d in doubt and %d open of %d", len(doubted), len(open), many)
		}
		seen := map[cid.Hash]bool{}
		for _, row := range append(doubted, open...) {
			seen[row.IdemID] = true
		}
		if len(seen) != many {
			t.Errorf("%d ids of %d", len(seen), many)
		}
	})
}

// telling is a pipe whose reader stops the command at the first thing that it says.
type telling struct {
	text bytes.Buffer
	told func()
}

func (w *telling) Write(b []byte) (int, error) {
	defer w.told()
	return w.text.Write(b)
}

// TestSecondWriterWaits: whoever finds the ledger locked says for whom it waits, on a
// pipe too, or is refused by name.
func TestSecondWriterWaits(t *testing.T) {
	h := doubtHome{t, t.TempDir()}
	id, _ := h.diverging("k")
	h.operator()
	h.write(func(ctx context.Context, _ *journal.SQLite) {
		_, errs, exit := h.run("ledger", "resolve", id.Hex(), "--not-invoked", "--reason", "r", "--no-wait")
		if exit != 7 || !strings.Contains(errs, "another process is writing: pid ") || !strings.Contains(errs, "ledger_busy") {
			t.Errorf("exit %d: %s", exit, errs)
		}
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		e := &telling{told: stop}
		env := Env{In: strings.NewReader(""), Out: e, Err: e, Clock: time.Now, Getenv: func(name string) string {
			return map[string]string{"MYTHOS_HOME": h.dir}[name]
		}}
		if exit := Run(ctx, []string{"ledger", "resolve", id.Hex(), "--not-invoked", "--reason", "r"}, env); exit != exitInterrupted {
			t.Errorf("exit %d", exit)
		}
		if n := strings.Count(e.text.String(), "mythos: waiting for the ledger: pid "); n != 1 {
			t.Errorf("told %d times: %s", n, e.text.String())
		}
	})
	if rows := h.states("divergent"); len(rows) != 1 {
		t.Error("who did not get the ledger wrote to it")
	}
}
