package rings

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// says is what key n claims at a time.
func says(t testing.TB, n byte, kind uint8, result uint16, at int64) receipt.Attestation {
	t.Helper()
	a := receipt.Attestation{SubjectHash: cid.Sum([]byte("package")), ClaimType: kind, Result: result, TimeObserved: at}
	if _, _, err := sig.Sign(&a, key(n)); err != nil {
		t.Fatal(err)
	}
	return a
}

func agents(ns ...byte) []sig.AgentID {
	var list []sig.AgentID
	for _, n := range ns {
		list = append(list, key(n).Agent())
	}
	return list
}

func TestCount(t *testing.T) {
	const eval, metric = receipt.EvalPass, receipt.EvalMetric
	claim := Claim{ClaimType: eval, MinResult: 1, Quorum: 2, Verifiers: agents(1, 2, 3)}
	pass := func(n byte) receipt.Attestation { return says(t, n, eval, 1, 10) }
	each := []Verifiers{{agents(1), 1}, {agents(2), 1}, {agents(3, 4), 1}}
	for name, c := range map[string]struct {
		claim   Claim
		list    []receipt.Attestation
		trusted []Verifiers
		counted int
		able    []sig.AgentID
		never   []sig.AgentID // listed, not trusted
	}{
		"nobody":               {claim, nil, each, 0, agents(1, 2, 3), nil},
		"a quorum":             {claim, []receipt.Attestation{pass(1), pass(3)}, each, 2, agents(2), nil},
		"one key twice":        {claim, []receipt.Attestation{pass(1), says(t, 1, eval, 1, 9)}, each, 1, agents(2, 3), nil},
		"not listed":           {claim, []receipt.Attestation{pass(1), pass(4)}, each, 1, agents(2, 3), nil},
		"not trusted":          {claim, []receipt.Attestation{pass(1), pass(2)}, each[1:], 1, agents(3), agents(1)},
		"another claim":        {claim, []receipt.Attestation{pass(1), says(t, 2, receipt.ContractPass, 1, 10)}, each, 1, agents(2, 3), nil},
		"failed":               {claim, []receipt.Attestation{pass(1), says(t, 2, eval, 0, 10)}, each, 1, agents(2, 3), nil},
		"taken back":           {claim, []receipt.Attestation{pass(1), pass(2), says(t, 2, eval, 0, 11)}, each, 1, agents(2, 3), nil},
		"made good":            {claim, []receipt.Attestation{pass(1), says(t, 2, eval, 0, 9), pass(2)}, each, 2, agents(3), nil},
		"both at once":         {claim, []receipt.Attestation{pass(1), pass(2), says(t, 2, eval, 0, 10)}, each, 1, agents(2, 3), nil},
		"from the future":      {claim, []receipt.Attestation{pass(1), says(t, 2, eval, 1, 101)}, each, 1, agents(2, 3), nil},
		"now":                  {claim, []receipt.Attestation{pass(1), says(t, 2, eval, 1, 100)}, each, 2, agents(3), nil},
		"two hands, one":       {claim, []receipt.Attestation{pass(1), pass(2)}, []Verifiers{{agents(1, 3), 2}, {agents(2), 1}}, 1, agents(1, 3), nil},
		"two hands":            {claim, []receipt.Attestation{pass(1), pass(3)}, []Verifiers{{agents(1, 3), 2}}, 2, nil, agents(2)},
		"a hand of no claim":   {claim, []receipt.Attestation{pass(1), pass(4)}, []Verifiers{{agents(1, 4), 2}}, 0, agents(1), agents(2, 3)},
		"a figure too low":     {Claim{metric, 9000, 1, agents(1)}, []receipt.Attestation{says(t, 1, metric, 8999, 1)}, each, 0, agents(1), nil},
		"a figure":             {Claim{metric, 9000, 1, agents(1)}, []receipt.Attestation{says(t, 1, metric, 9000, 1)}, each, 1, nil, nil},
		"a worse figure later": {Claim{metric, 9000, 1, agents(1)}, []receipt.Attestation{says(t, 1, metric, 9500, 1), says(t, 1, metric, 10, 2)}, each, 0, agents(1), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.claim.Count(c.list, c.trusted, 100)
			same := func(a, b []sig.AgentID) bool { return slices.EqualFunc(a, b, sig.AgentID.Equal) }
			if len(got.Counted) != c.counted || !same(got.Able, c.able) || !same(got.Untrusted, c.never) {
				t.Errorf("%d count, able %v, untrusted %v", len(got.Counted), got.Able, got.Untrusted)
			}
			if met := uint32(c.counted) >= c.claim.Quorum; got.Met() != met || (got.Err() == nil) != met {
				t.Errorf("met %t, %v", got.Met(), got.Err())
			}
			err := got.Err()
			if err == nil {
				return
			}
			for _, a := range slices.Concat(c.able, c.never) {
				if !errors.Is(err, ErrAttestation) || !strings.Contains(err.Error(), a.KeyID().String()) {
					t.Errorf("%v does not name %s", err, a.KeyID())
				}
			}
		})
	}
}

// TestCountOrder: in whatever order attestations come, and whichever of them come
// twice, the same count.
func TestCountOrder(t *testing.T) {
	var all []receipt.Attestation
	for n := byte(1); n <= 4; n++ {
		for at := int64(1); at <= 3; at++ {
			all = append(all, says(t, n, receipt.EvalPass, uint16(n+byte(at))%2, at))
		}
	}
	claim := Claim{ClaimType: receipt.EvalPass, MinResult: 1, Quorum: 1, Verifiers: agents(1, 2, 3, 4)}
	trusted := []Verifiers{{agents(1, 2), 2}, {agents(3, 4), 1}}
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOf(rapid.SampledFrom(all)).Draw(t, "some")
		want := claim.Count(some, trusted, 3)
		got := claim.Count(append(rapid.Permutation(some).Draw(t, "order"), some...), trusted, 3)
		if fmt.Sprint(Evidence([]Tally{got})) != fmt.Sprint(Evidence([]Tally{want})) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestEvidence(t *testing.T) {
	one, two := says(t, 1, receipt.EvalPass, 1, 1), says(t, 2, receipt.EvalPass, 1, 1)
	ids := Evidence([]Tally{{Counted: []receipt.Attestation{one, two}}, {Counted: []receipt.Attestation{two}}})
	if len(ids) != 2 || ids[0].Compare(ids[1]) >= 0 {
		t.Errorf("got %v", ids)
	}
}

func TestClaimNames(t *testing.T) {
	for kind := range uint8(6) {
		got, ok := ClaimOf(ClaimName(kind))
		if want := kind >= 1 && kind <= 4; ok != want || ok && got != kind {
			t.Errorf("%d is %s, which is %d, %t", kind, ClaimName(kind), got, ok)
		}
	}
}

func TestDraft(t *testing.T) {
	var list []*Policy
	for ring := range uint8(3) {
		p, err := Draft(ring, agents(1, 2), 2)
		if err != nil || p.Validate() != nil || p.Ring != ring || p.NeedsPromotion != (ring == 2) || len(p.Claims) != int(ring) {
			t.Errorf("ring %d: %+v, %v", ring, p, err)
		}
		list = append(list, p)
	}
	if err := CheckMonotonic(list); err != nil {
		t.Error(err)
	}
	if _, err := Draft(3, nil, 1); !errors.Is(err, ErrRing) {
		t.Error(err)
	}
}
