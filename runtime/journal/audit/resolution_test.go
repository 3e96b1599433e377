package audit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/journal/audit"
	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// resolved makes a ledger with an effect in doubt that resolve settles, and verifies
// it: operator is trusted as one.
func resolved(t *testing.T, resolve func(e *journaltest.Effect, register cid.Hash) (body []byte, byOperator bool)) audit.Report {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir, journaltest.Owner)
	key := ledger.IdempotencyKey{Authority: cid.Sum([]byte("a")), Key: []byte("k"), Holder: cid.Sum([]byte("h")), Origin: ledger.OriginExplicit}
	e := journaltest.NewEffect(t, string(key.AppendCAN(nil)), ledger.Reconcile)
	raw, register := e.Register(ledger.State{}, "request")
	must(t, s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1}))
	for _, asked := range []cid.Hash{register, cid.Sum([]byte("another register"))} {
		probe := *e
		probe.Key, probe.Retry = ledger.ProbeKey(key.Authority, key.Holder, asked), ledger.Idempotent
		raw, id := probe.Register(ledger.State{}, "request")
		must(t, s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1}))
		_, err := s.Commit(t.Context(), probe.Commit(id, "request", "committed"))
		must(t, err)
	}
	body, byOperator := resolve(e, register)
	must(t, s.Resolve(t.Context(), body, cid.Hash{}, byOperator))
	must(t, s.Close())
	return verify(t, dir, func(o *audit.Options) {
		o.Operators = func(a sig.AgentID, at time.Time) bool { return a.Equal(operator.Agent()) && !at.IsZero() }
	})
}

var operator = sig.NewKey([32]byte{0x0b}, "operator")

func resolution(t *testing.T, e *journaltest.Effect, by sig.Key, register cid.Hash, receipt *cid.Hash) []byte {
	t.Helper()
	raw, _, err := sig.Sign(&ledger.Resolution{
		IdemID: e.Idem(), RegisterID: register, Outcome: ledger.OutcomeCommitted, ReceiptID: receipt, Reason: "r",
	}, by)
	must(t, err)
	return raw
}

// TestWhoResolved: a resolution counts only by an operator that is trusted, or by the
// owner with the receipt of a probe of that very register.
func TestWhoResolved(t *testing.T) {
	probed := func(e *journaltest.Effect, register cid.Hash) *cid.Hash {
		p := *e
		p.Key = ledger.ProbeKey(cid.Sum([]byte("a")), cid.Sum([]byte("h")), register)
		id, err := cid.Without(p.Commit(cid.Hash{}, "request", "committed").Receipt, 1, 11)
		must(t, err)
		return &id
	}
	for name, c := range map[string]struct {
		resolve func(e *journaltest.Effect, register cid.Hash) ([]byte, bool)
		what    string // of the damage; "": none
	}{
		"operator": {func(e *journaltest.Effect, r cid.Hash) ([]byte, bool) {
			return resolution(t, e, operator, r, nil), true
		}, ""},
		"somebody else": {func(e *journaltest.Effect, r cid.Hash) ([]byte, bool) {
			return resolution(t, e, sig.NewKey([32]byte{0xee}, ""), r, nil), true
		}, "neither an operator who is known here nor the register's owner"},
		"owner without a probe": {func(e *journaltest.Effect, r cid.Hash) ([]byte, bool) {
			return resolution(t, e, journaltest.Owner, r, nil), true
		}, "neither an operator nor the register's owner"},
		"owner after a probe": {func(e *journaltest.Effect, r cid.Hash) ([]byte, bool) {
			return resolution(t, e, journaltest.Owner, r, probed(e, r)), false
		}, ""},
		"owner with no such receipt": {func(e *journaltest.Effect, r cid.Hash) ([]byte, bool) {
			none := cid.Sum([]byte("none"))
			return resolution(t, e, journaltest.Owner, r, &none), false
		}, "ledger_item_not_found"},
		"owner with a probe of another register": {func(e *journaltest.Effect, r cid.Hash) ([]byte, bool) {
			return resolution(t, e, journaltest.Owner, r, probed(e, cid.Sum([]byte("another register")))), false
		}, "is not of a probe of register"},
	} {
		t.Run(name, func(t *testing.T) {
			d := resolved(t, c.resolve).Damage
			sort := audit.Unsound
			if name == "somebody else" {
				sort = audit.UnknownOperator
			}
			switch {
			case c.what == "" && d != nil:
				t.Errorf("damage: %s", d.What)
			case c.what != "" && (d == nil || d.Index != 5 || d.Sort != sort || !strings.Contains(d.What, c.what)):
				t.Errorf("damage %+v, want entry 5: %s", d, c.what)
			}
		})
	}
}
