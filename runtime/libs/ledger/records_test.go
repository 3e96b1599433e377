package ledger_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

var recordKey = sig.NewKey([32]byte{3}, "executor")

func signRecord(t testing.TB, x sig.Object) []byte {
	t.Helper()
	raw, _, err := sig.Sign(x, recordKey)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func named(text string) *cid.Hash {
	id := cid.Sum([]byte(text))
	return &id
}

func TestRefusalRules(t *testing.T) {
	low, high := *named("a"), *named("b")
	if low.Compare(high) > 0 {
		low, high = high, low
	}
	for name, c := range map[string]struct {
		x    ledger.Refusal
		code fault.Code
	}{
		"least":          {ledger.Refusal{Code: "a"}, ""},
		"longest":        {ledger.Refusal{Code: strings.Repeat("z", 64), Missing: strings.Repeat("m", ledger.MaxMissing)}, ""},
		"caps ascend":    {ledger.Refusal{Code: "cap_scope", CapIDs: []cid.Hash{low, high}}, ""},
		"no code":        {ledger.Refusal{}, ledger.ErrEntry},
		"long code":      {ledger.Refusal{Code: strings.Repeat("z", 65)}, ledger.ErrEntry},
		"code of a line": {ledger.Refusal{Code: "cap\n"}, ledger.ErrEntry},
		"long":           {ledger.Refusal{Code: "a", Missing: strings.Repeat("m", ledger.MaxMissing+1)}, ledger.ErrEntry},
		"caps descend":   {ledger.Refusal{Code: "a", CapIDs: []cid.Hash{high, low}}, ledger.ErrEntry},
		"caps twice":     {ledger.Refusal{Code: "a", CapIDs: []cid.Hash{low, low}}, ledger.ErrEntry},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ledger.OpenRefusal(signRecord(t, &c.x))
			if fault.CodeOf(err) != c.code {
				t.Errorf("got %v, want %q", err, c.code)
			}
		})
	}
}

// TestRefusalKey: what tells two refusals apart, and what does not.
func TestRefusalKey(t *testing.T) {
	ann, bob := *named("ann"), *named("bob")
	effect := ledger.Refusal{Code: "cap_scope", RequestHash: named("request"), ToolID: named("tool"), PackageID: named("package")}
	run := ledger.Refusal{Code: "cap_scope", ToolID: named("tool"), PackageID: named("package")}
	base, bare := ledger.RefusalKey(ann, effect), ledger.RefusalKey(ann, run)
	same := effect
	same.ToolID, same.PackageID, same.Missing, same.Time, same.RunRecord = nil, nil, "words", 7, named("run")
	if ledger.RefusalKey(ann, same) != base {
		t.Error("more than holder, code and request tells refusals of a request apart")
	}
	seen := map[cid.Hash]string{base: "effect", bare: "run"}
	for name, key := range map[string]cid.Hash{
		"holder":  ledger.RefusalKey(bob, effect),
		"code":    ledger.RefusalKey(ann, ledger.Refusal{Code: "cap_scop", RequestHash: effect.RequestHash}),
		"request": ledger.RefusalKey(ann, ledger.Refusal{Code: "cap_scope", RequestHash: named("another")}),
		"tool":    ledger.RefusalKey(ann, ledger.Refusal{Code: "cap_scope", PackageID: run.PackageID}),
		"package": ledger.RefusalKey(ann, ledger.Refusal{Code: "cap_scope", ToolID: run.ToolID}),
		"places":  ledger.RefusalKey(ann, ledger.Refusal{Code: "cap_scope", ToolID: run.PackageID, PackageID: run.ToolID}),
	} {
		if other, ok := seen[key]; ok {
			t.Errorf("%s: the key is that of %s", name, other)
		}
		seen[key] = name
	}
}

func TestFoldRings(t *testing.T) {
	state := func(ring uint8, seq uint64, name string) ledger.Record {
		raw := signRecord(t, &ledger.RingState{Ring: ring, Seq: seq, Name: name, PackageID: named("p")})
		return ledger.Record{Kind: ledger.KindRingState, Body: raw}
	}
	fold := func(records ...ledger.Record) ([]ledger.RingState, error) {
		return ledger.FoldRings(func(yield func(ledger.Record, error) bool) {
			for i, rec := range records {
				rec.Index = uint64(i)
				if !yield(rec, nil) {
					return
				}
			}
		})
	}
	got, err := fold(state(2, 1, "b"), ledger.Record{Kind: ledger.KindCommit}, state(1, 1, "b"), state(1, 7, "a"), state(1, 5, "b"))
	if err != nil || len(got) != 3 || got[0].Name != "a" || got[1].Seq != 5 || got[2].Ring != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	broken := state(1, 1, "b")
	broken.Body[len(broken.Body)-1] ^= 1
	for name, records := range map[string][]ledger.Record{
		"stale": {state(1, 2, "a"), state(1, 2, "a")}, "lower": {state(1, 2, "a"), state(1, 1, "a")}, "forged": {broken},
	} {
		if _, err := fold(records...); !errors.Is(err, ledger.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	unread := errors.New("unread")
	if _, err := ledger.FoldRings(func(yield func(ledger.Record, error) bool) { yield(ledger.Record{}, unread) }); err != unread {
		t.Errorf("got %v", err)
	}
}

// FuzzRecords: what opens is signed by whom it names, and sealed again it is the
// same.
func FuzzRecords(f *testing.F) {
	f.Add(signRecord(f, &ledger.Refusal{Code: "cap_missing", Missing: "a proof", RequestHash: named("r"), CapIDs: []cid.Hash{*named("c")}}))
	f.Add(signRecord(f, &ledger.RingState{Ring: 1, Seq: 2, Name: "demo", PackageID: named("p")}))
	f.Add([]byte{8, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if x, err := ledger.OpenRefusal(raw); err == nil && x.Signer.Verify(x.ID, x.Signature) != nil {
			t.Error("a refusal opened that its signer did not sign")
		}
		x, err := ledger.OpenRingState(raw)
		if err != nil {
			return
		}
		if string(x.AppendCAN(nil)) != string(raw) {
			t.Error("a ring state opened that is not its own bytes")
		}
		var fold ledger.RingFold
		if fold.Add(x) != nil || !errors.Is(fold.Add(x), ledger.ErrRingStale) {
			t.Error("a ring state opened that does not stand, or stands twice")
		}
	})
}
