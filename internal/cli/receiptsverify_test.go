package cli

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

var (
	ownerKey = sig.NewKey([32]byte{1}, "owner")
	otherKey = sig.NewKey([32]byte{2}, "other")
)

// effect is an effect that a test registers and commits, and may bend first.
type effect struct {
	register ledger.Register
	request  abi.Request
	response abi.Response
	evidence evidence.EffectEvidence
	receipt  receipt.Receipt
	commit   ledger.Commit

	receiptKey sig.Key
	open       bool       // register it only
	twice      bool       // a second commit contradicts the first
	verify     []byte     // the receipt that is verified, if not the committed one
	lost       []cid.Hash // objects that are not stored
}

// soundEffect returns an effect of which everything is in order.
func soundEffect() *effect {
	e := &effect{receiptKey: ownerKey}
	e.bindTo("first")
	return e
}

// bindTo makes e the first effect of a run.
func (e *effect) bindTo(runID string) {
	tool := cid.Sum([]byte("tool"))
	key := ledger.DerivedKey{RunID: runID}.IdempotencyKey(tool, tool)
	idem := ledger.IdemID(tool, key)
	e.request = abi.Request{ToolID: tool, Payload: can.AppendText(nil, "q"), IdemID: idem}
	e.response = abi.Response{Status: 200, Payload: can.AppendText(nil, "a")}
	e.register = ledger.Register{IdemID: idem, ToolID: tool, RequestHash: cid.Sum(e.request.AppendCAN(nil)), IdempotencyKey: key}
	e.evidence = evidence.EffectEvidence{Engine: "test"}
	e.receipt = receipt.Receipt{ToolID: tool, RequestHash: e.register.RequestHash, IdempotencyKey: key, Status: 200}
	e.commit = ledger.Commit{IdemID: idem, ToolID: tool, RequestHash: e.register.RequestHash, Status: 200}
}

func sign(t *testing.T, x sig.Object, by sig.Key) ([]byte, cid.Hash) {
	t.Helper()
	raw, id, err := sig.Sign(x, by)
	if err != nil {
		t.Fatal(err)
	}
	return raw, id
}

// store puts the effect in a ledger of its own.
func (e *effect) store(t *testing.T, late func(*effect)) (*records, []byte) {
	t.Helper()
	log := journal.Memory(time.Now)
	raw := e.storeIn(t, log, late)
	return &records{log, memory.New(memory.Options{}), true}, raw
}

// storeIn registers and commits the effect, after late has bent what follows
// from the register. It returns the receipt to verify.
func (e *effect) storeIn(t *testing.T, log ledger.Store, late func(*effect)) []byte {
	t.Helper()
	ctx := context.Background()
	raw, id := sign(t, &e.register, ownerKey)
	if err := log.Register(ctx, ledger.Registration{Body: raw, LeaseFor: 1e6}); err != nil {
		t.Fatal(err)
	}
	e.evidence.RegisterID, e.commit.RegisterID = id, &id
	late(e)
	objects := [][]byte{e.request.AppendCAN(nil), e.response.AppendCAN(nil), e.evidence.AppendCAN(nil)}
	if e.receipt.ResponseHash.IsZero() {
		e.receipt.ResponseHash = cid.Sum(objects[1])
	}
	if e.receipt.Evidence == nil {
		e.receipt.Evidence = []cid.Hash{cid.Sum(objects[2])}
	}
	var receiptRaw []byte
	receiptRaw, e.commit.ReceiptID = sign(t, &e.receipt, e.receiptKey)
	if e.commit.ResponseHash.IsZero() {
		e.commit.ResponseHash = e.receipt.ResponseHash
	}
	commit := ledger.Commitment{Receipt: receiptRaw}
	for _, b := range objects {
		if !slices.Contains(e.lost, cid.Sum(b)) {
			commit.Items = append(commit.Items, ledger.Item{CID: cid.Sum(b), Data: b})
		}
	}
	for i := 0; i < 2 && !e.open; i++ {
		commit.Body, _ = sign(t, &e.commit, ownerKey)
		if _, err := log.Commit(ctx, commit); err != nil {
			t.Fatal(err)
		}
		if !e.twice {
			break
		}
		e.commit.ResponseHash = cid.Sum([]byte("another response"))
	}
	if e.verify != nil {
		receiptRaw = e.verify
	}
	return receiptRaw
}

func known(keys ...sig.Key) knownExecutors {
	return func(a sig.AgentID) bool {
		return slices.ContainsFunc(keys, func(k sig.Key) bool { return k.Agent().Equal(a) })
	}
}

// TestVerdicts bends one thing of an effect at a time.
func TestVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		bend    func(*effect)
		verdict string
		failed  string // check and code of what does not hold
	}{
		"sound": {func(*effect) {}, stateValid, ""},
		"commit of another response": {
			func(e *effect) { e.commit.ResponseHash = cid.Sum(nil) }, stateInvalid, "commit receipt_commit",
		},
		"commit of another status": {func(e *effect) { e.commit.Status = 404 }, stateInvalid, "commit receipt_commit"},
		"receipt by another executor": {
			func(e *effect) { e.receiptKey = otherKey }, stateInvalid, "commit receipt_commit",
		},
		"not the committed receipt": {
			func(e *effect) {
				x := e.receipt
				x.ResponseHash, x.Notes = cid.Sum(e.response.AppendCAN(nil)), "not this one"
				x.Evidence = []cid.Hash{cid.Sum(e.evidence.AppendCAN(nil))}
				e.verify, _, _ = sig.Sign(&x, ownerKey)
			}, stateInvalid, "commit receipt_commit",
		},
		"two commits":     {func(e *effect) { e.twice = true }, stateInvalid, "commit effect_divergent"},
		"only a register": {func(e *effect) { e.open = true }, stateIncomplete, "commit receipt_incomplete"},
		"request lost": {
			func(e *effect) { e.lost = []cid.Hash{e.register.RequestHash} }, stateIncomplete, "request receipt_incomplete",
		},
		"response lost": {
			func(e *effect) { e.lost = []cid.Hash{cid.Sum(e.response.AppendCAN(nil))} }, stateIncomplete, "response receipt_incomplete",
		},
		"evidence lost": {
			func(e *effect) { e.lost = []cid.Hash{cid.Sum(e.evidence.AppendCAN(nil))} }, stateIncomplete, "evidence receipt_incomplete",
		},
		"response of another status": {
			func(e *effect) { e.response = abi.Response{Status: 404, Payload: []byte{0}} }, stateInvalid, "response receipt_content",
		},
		"response that is none": {
			func(e *effect) { e.receipt.ResponseHash = e.register.RequestHash }, stateInvalid, "response schema_mismatch",
		},
		"evidence of another register": {
			func(e *effect) { e.evidence.RegisterID = cid.Sum(nil) }, stateInvalid, "evidence effect_evidence",
		},
		"evidence that is none": {
			func(e *effect) { e.receipt.Evidence = []cid.Hash{e.register.RequestHash} }, stateInvalid, "evidence schema_mismatch",
		},
		"no evidence": {func(e *effect) { e.receipt.Evidence = []cid.Hash{} }, stateIncomplete, "evidence receipt_incomplete"},
	} {
		t.Run(name, func(t *testing.T) {
			r, raw := soundEffect().store(t, c.bend)
			v := &verificationView{Verdict: stateValid}
			if err := v.checkAll(context.Background(), r, known(ownerKey, otherKey), raw); err != nil {
				t.Fatal(err)
			}
			if v.Verdict != c.verdict {
				t.Errorf("verdict %q, want %q: %+v", v.Verdict, c.verdict, v.Checks)
			}
			if got := firstFailure(v); got != c.failed {
				t.Errorf("failed %q, want %q", got, c.failed)
			}
		})
	}
}

func firstFailure(v *verificationView) string {
	for _, c := range v.Checks {
		if c.State != stateValid {
			return c.Check + " " + string(*c.Code)
		}
	}
	return ""
}

// TestVerdictOfRequest verifies an effect whose request names another effect.
func TestVerdictOfRequest(t *testing.T) {
	e := soundEffect()
	e.request.IdemID = cid.Sum(nil)
	hash := cid.Sum(e.request.AppendCAN(nil))
	e.register.RequestHash, e.receipt.RequestHash, e.commit.RequestHash = hash, hash, hash
	r, raw := e.store(t, func(*effect) {})
	v := &verificationView{Verdict: stateValid}
	if err := v.checkAll(context.Background(), r, known(ownerKey), raw); err != nil {
		t.Fatal(err)
	}
	if got := firstFailure(v); got != "request receipt_content" || v.Verdict != stateInvalid {
		t.Errorf("got %q, verdict %q", got, v.Verdict)
	}
}

// TestVerdictsDoNotMix holds the verdicts against each other: what contradicts
// a receipt outweighs an unknown signer, who outweighs what is missing.
func TestVerdictsDoNotMix(t *testing.T) {
	lost := func(e *effect) { e.lost = []cid.Hash{cid.Sum(e.response.AppendCAN(nil))} }
	wrong := func(e *effect) { e.evidence.RegisterID = cid.Sum(nil) }
	for _, c := range []struct {
		bend []func(*effect)
		want string
	}{
		{nil, stateUnknown},
		{[]func(*effect){lost}, stateUnknown},
		{[]func(*effect){lost, wrong}, stateInvalid},
	} {
		r, raw := soundEffect().store(t, func(e *effect) {
			for _, b := range c.bend {
				b(e)
			}
		})
		v := &verificationView{Verdict: stateValid}
		if err := v.checkAll(context.Background(), r, known(otherKey), raw); err != nil {
			t.Fatal(err)
		}
		if v.Verdict != c.want {
			t.Errorf("verdict %q, want %q", v.Verdict, c.want)
		}
		var f *failures
		if err := v.failure("x"); !errors.As(err, &f) || f.exit != exitVerification {
			t.Errorf("failure is %v", err)
		}
	}
}

// brokenStore is a store that cannot be read.
type brokenStore struct{ cas.Store }

func (brokenStore) Get(context.Context, cid.Hash, int64) ([]byte, error) {
	return nil, fault.New(cas.ErrUnavailable, "the disk is gone")
}

// TestNoVerdict holds that what cannot be read is no verdict.
func TestNoVerdict(t *testing.T) {
	r, raw := soundEffect().store(t, func(e *effect) { e.lost = []cid.Hash{cid.Sum(e.response.AppendCAN(nil))} })
	r.objects = brokenStore{r.objects}
	v := &verificationView{Verdict: stateValid}
	if err := v.checkAll(context.Background(), r, known(ownerKey), raw); !errors.Is(err, cas.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	r, raw = soundEffect().store(t, func(*effect) {})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := (&verificationView{}).checkAll(ctx, r, known(ownerKey), raw); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestDamagedReceipt shifts a receipt behind the ledger's back: the list says
// so and shows the others, and the verdict is that of a receipt, not a failure
// to reach one.
func TestDamagedReceipt(t *testing.T) {
	home := t.TempDir()
	log, err := journal.Open(context.Background(), journal.Options{Dir: filepath.Join(home, "ledger"), Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	raw := soundEffect().storeIn(t, log, func(*effect) {})
	second := soundEffect()
	second.bindTo("second")
	second.storeIn(t, log, func(*effect) {})
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	_, id, err := receipt.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := sqlite.OpenConn(filepath.Join(home, "ledger", "ledger.db"), sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	err = sqlitex.Execute(conn, "UPDATE item SET at = at + 1 WHERE id = ?", &sqlitex.ExecOptions{Args: []any{id[:]}})
	if err = errors.Join(err, conn.Close()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args     []string
		out, err string
	}{
		{[]string{"receipts", "list"}, "sha256:", "entry 1: "},
		{[]string{"receipts", "verify", id.String()}, "verdict  invalid", "ledger_corrupt"},
		{[]string{"receipts", "show", id.String()}, "", "ledger_corrupt"},
	} {
		var out, errs bytes.Buffer
		env := Env{Out: &out, Err: &errs, Clock: time.Now, Getenv: func(name string) string {
			return map[string]string{"MYTHOS_HOME": home}[name]
		}}
		if exit := Run(context.Background(), c.args, env); exit != exitVerification {
			t.Errorf("%v: exit code %d", c.args, exit)
		}
		if c.args[1] == "list" && strings.Contains(out.String(), id.String()) {
			t.Errorf("the damaged receipt is listed: %q", out.String())
		}
		if !strings.Contains(out.String(), c.out) || !strings.Contains(errs.String(), c.err) {
			t.Errorf("%v: got %q and %q", c.args, out.String(), errs.String())
		}
	}
}

// TestRunsOfOneID reads the entries of two runs that share a run id.
func TestRunsOfOneID(t *testing.T) {
	ctx := context.Background()
	log := journal.Memory(time.Now)
	for i, runID := range []string{"twice", "once", "twice"} {
		authority := cid.Sum([]byte{byte(i)})
		raw, id := sign(t, &evidence.RunRecord{RunID: runID, Authority: authority}, ownerKey)
		if _, err := log.BeginRun(ctx, ledger.RunStart{Authority: authority, RunID: runID, Record: raw, RecordID: id}); err != nil {
			t.Fatal(err)
		}
	}
	r := &records{log: log, exists: true}
	for runID, want := range map[string][]uint64{"twice": {0, 2}, "once": {1}, "": {0, 1, 2}} {
		entries, err := r.of(ctx, runID)
		if err != nil {
			t.Fatal(err)
		}
		var got []uint64
		for _, rec := range entries {
			got = append(got, rec.Index)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("run %q: %s", runID, diff)
		}
	}
	if _, err := r.of(ctx, "never"); !errors.Is(err, ledger.ErrNoItem) {
		t.Errorf("got %v", err)
	}
}

// TestEntryInfo holds the words for every kind of entry, and that damage shows.
func TestEntryInfo(t *testing.T) {
	attempt, class := uint32(2), uint8(3)
	hash := cid.Sum(nil)
	for _, c := range []struct {
		kind ledger.Kind
		body sig.Object
		want string
	}{
		{ledger.KindRegister, &ledger.Register{Attempt: &attempt, Retry: &class}, "attempt 3, retry reconcile"},
		{ledger.KindCommit, &ledger.Commit{Status: 404, ReceiptID: hash}, "status 404, receipt e3b0c44298fc"},
		{ledger.KindDivergence, &ledger.Divergence{ReasonCode: 3}, "multiple commits"},
		{ledger.KindResolution, &ledger.Resolution{Outcome: 3, Reason: "host"}, "in doubt: host"},
		{ledger.KindRefusal, &ledger.Refusal{Code: "cap_missing"}, "cap_missing"},
		{ledger.KindRunRecord, &evidence.RunRecord{RunID: "r"}, "run r"},
		{ledger.KindRunSeal, &evidence.RunSeal{ReceiptCount: 1, ErrorCode: "trap"}, "receipts: 1, trap"},
	} {
		raw, _ := sign(t, c.body, ownerKey)
		if got, err := entryInfo(ledger.Record{Kind: c.kind, Body: raw}); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.kind, got, err, c.want)
		}
		if _, err := entryInfo(ledger.Record{Kind: c.kind, Body: raw[:len(raw)-1]}); err == nil {
			t.Errorf("%s: a cut entry passed", c.kind)
		}
	}
}

// TestMatches holds what a prefix may mean: several ids of one effect are one
// answer, ids of two effects are none.
func TestMatches(t *testing.T) {
	a, b := cid.Hash{0xaa, 0xaa, 0xaa, 1}, cid.Hash{0xaa, 0xaa, 0xaa, 2}
	p, err := parseID("sha256:aaaaaa")
	if err != nil {
		t.Fatal(err)
	}
	var m matches
	if _, err := m.one(p, ledger.ErrNoItem, "none"); !errors.Is(err, ledger.ErrNoItem) {
		t.Errorf("got %v", err)
	}
	m.offer(p, a, a)
	m.offer(p, b, a)
	m.offer(p, cid.Sum(nil), b)
	if got, err := m.one(p, ledger.ErrNoItem, "none"); err != nil || got != a {
		t.Errorf("got %s, %v", got, err)
	}
	for i := range byte(4) {
		m.offer(p, cid.Hash{0xaa, 0xaa, 0xaa, 3 + i}, b)
	}
	if _, err := m.one(p, ledger.ErrNoItem, "none"); !errors.Is(err, ErrUsage) {
		t.Errorf("got %v", err)
	}
	for _, bad := range []string{"", "aaaaa", "sha256:", "AAAAAA", "aaaaag", a.Hex() + "0", "sha256:sha256:aaaaaa"} {
		if p, err := parseID(bad); !errors.Is(err, ErrUsage) {
			t.Errorf("%q is %q, %v", bad, p, err)
		}
	}
}
