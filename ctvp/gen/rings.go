package main

import (
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	keys "github.com/mythos-run/mythos/runtime/libs/sig"
)

// ringsGen makes vectors of rings: two verifiers, an operator and a stranger, and a
// package that wants into ring 2.
type ringsGen struct {
	*suite
	policy, ada, bob, operator, stranger keys.Key
	pkg, other                           cid.Hash
}

// ringsSuite is the suite of rings: what brings a package into one, and what does not.
func ringsSuite(p *pack) {
	s := p.suite("rings", "RFC-MYTHOS-0010", "What a ring asks of a package: claims by a quorum of verifiers, a promotion, the ring's newest state; and that no ring asks less than a lower one.")
	g := &ringsGen{suite: s, pkg: cid.Sum([]byte("package")), other: cid.Sum([]byte("other package"))}
	for _, k := range []struct {
		name string
		to   *keys.Key
	}{{"policy", &g.policy}, {"ada", &g.ada}, {"bob", &g.bob}, {"operator", &g.operator}, {"stranger", &g.stranger}} {
		key := newSigner(k.name)
		p.key(key)
		*k.to = keys.NewKey([32]byte(key.seed), "")
	}
	s.spec, s.level = "RFC-MYTHOS-0010 §2", 2
	g.claims()
	s.spec = "RFC-MYTHOS-0010 §5"
	g.states()
	s.spec = "RFC-MYTHOS-0008 §10"
	g.monotonic()
}

// must returns bytes that were signed.
func must(raw []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return raw
}

// rule is a policy of ring 2 that wants an evaluation by both verifiers.
func (g *ringsGen) rule(change func(*rings.Policy)) []byte {
	p := rings.Default(capOpens)
	p.Ring = 2
	p.Claims = []rings.Claim{{ClaimType: receipt.EvalPass, MinResult: 1, Quorum: 2, Verifiers: []keys.AgentID{g.ada.Agent(), g.bob.Agent()}}}
	if change != nil {
		change(p)
	}
	return must(rings.Sign(p, g.policy))
}

func (g *ringsGen) says(k keys.Key, kind uint8, result uint16, at int64) []byte {
	a := receipt.Attestation{SubjectHash: g.pkg, ClaimType: kind, Result: result, TimeObserved: at}
	raw, _, err := keys.Sign(&a, k)
	return must(raw, err)
}

// asked is a question with both verifiers in entries of their own.
func (g *ringsGen) asked(policy []byte, attestations ...[]byte) in {
	return in{
		"policy": policy, "package": g.pkg, "now": strconv.FormatInt(capNoon, 10), "attestations": items(attestations),
		"verifiers": []any{entryOf(1, g.ada), entryOf(1, g.bob)}, "operators": []any{agentOf(g.operator)},
	}
}

func items(list [][]byte) []any {
	out := []any{}
	for _, x := range list {
		out = append(out, x)
	}
	return out
}

func agentOf(k keys.Key) []byte {
	a := k.Agent()
	return a.AppendCAN(nil)
}

func entryOf(threshold int, members ...keys.Key) in {
	agents := []any{}
	for _, k := range members {
		agents = append(agents, agentOf(k))
	}
	return in{"keys": agents, "threshold": threshold}
}

func (g *ringsGen) claims() {
	const op, eval, metric = "ring.admit", receipt.EvalPass, receipt.EvalMetric
	policy := g.rule(nil)
	free := g.rule(func(p *rings.Policy) { p.Claims = []rings.Claim{} })
	ada, bob := g.says(g.ada, eval, 1, capOpens), g.says(g.bob, eval, 1, capOpens)
	with := func(key string, value any, attestations ...[]byte) in {
		i := g.asked(policy, attestations...)
		i[key] = value
		return i
	}
	g.computed("claims", op, "two of two verifiers", g.asked(policy, ada, bob))
	g.computed("claims", op, "a policy without claims", g.asked(free))
	g.computed("claims", op, "the same attestation twice", g.asked(policy, ada, bob, ada))
	g.computed("claims", op, "at the very moment", g.asked(policy, ada, g.says(g.bob, eval, 1, capNoon)))
	g.computed("claims", op, "a failure, and a pass after it", g.asked(policy, ada, g.says(g.bob, eval, 0, capOpens-1), bob))
	g.computed("claims", op, "by both hands of an entry that needs two", with("verifiers", []any{entryOf(2, g.ada, g.bob)}, ada, bob))
	both := func(x in) []any { return []any{x, entryOf(1, g.bob)} }
	for i, x := range []struct {
		doc string
		in  in
	}{
		{"nobody attests", g.asked(policy)},
		{"one of two", g.asked(policy, ada)},
		{"one verifier twice", g.asked(policy, ada, g.says(g.ada, eval, 1, capOpens+1))},
		{"a stranger", g.asked(policy, ada, g.says(g.stranger, eval, 1, capOpens))},
		{"a stranger whom the trust file calls a verifier", with("verifiers", []any{entryOf(1, g.ada), entryOf(1, g.stranger)}, ada, g.says(g.stranger, eval, 1, capOpens))},
		{"a verifier of the policy whom the trust file does not hold", with("verifiers", []any{entryOf(1, g.ada)}, ada, bob)},
		{"another claim", g.asked(policy, ada, g.says(g.bob, receipt.ContractPass, 1, capOpens))},
		{"a failure", g.asked(policy, ada, g.says(g.bob, eval, 0, capOpens))},
		{"a claim that was taken back", g.asked(policy, ada, bob, g.says(g.bob, eval, 0, capOpens+1))},
		{"pass and fail at one time", g.asked(policy, ada, bob, g.says(g.bob, eval, 0, capOpens))},
		{"from a moment later than now", g.asked(policy, ada, g.says(g.bob, eval, 1, capNoon+1))},
		{"by one hand of an entry that needs two", with("verifiers", both(entryOf(2, g.ada, g.stranger)), ada, bob)},
		{"a metric one below", g.asked(g.rule(func(p *rings.Policy) {
			p.Claims = []rings.Claim{{ClaimType: metric, MinResult: 9000, Quorum: 1, Verifiers: []keys.AgentID{g.ada.Agent()}}}
		}), g.says(g.ada, metric, 8999, capOpens))},
		{"the second of two claims", g.asked(g.rule(func(p *rings.Policy) {
			p.Claims = append(p.Claims, rings.Claim{ClaimType: receipt.QuorumSignoff, MinResult: 1, Quorum: 1, Verifiers: []keys.AgentID{g.ada.Agent()}})
		}), ada, bob)},
	} {
		what := "unmet-by"
		if i > 6 {
			what = "unmet-claim"
		}
		g.invalid(what, op, x.doc, x.in, "attestation_missing")
	}
	g.invalid("claims-forged", op, "an attestation with a broken signature", g.asked(policy, ada, spoiled(bob)), "signature_invalid")
}

// spoiled is raw with its last bit changed, which is one of the signature's.
func spoiled(raw []byte) []byte {
	out := append([]byte{}, raw...)
	out[len(out)-1] ^= 1
	return out
}

// promotion is an operator's record about the package, and its id.
func (g *ringsGen) promotion(k keys.Key, pkg cid.Hash, ring uint8) ([]byte, *cid.Hash) {
	p := &rings.Promotion{ModelID: pkg, RingID: ring, PolicyID: cid.Sum([]byte("policy")), EvalAttestations: []cid.Hash{}, TimeObserved: capOpens}
	return must(rings.SignPromotion(p, k)), &p.PromotionID
}

func (g *ringsGen) state(k keys.Key, seq uint64, pkg, back, promotion *cid.Hash) []byte {
	x := &ledger.RingState{Ring: 2, Seq: seq, Name: "demo-001", PackageID: pkg, RollbackPackageID: back, PromotionID: promotion, Time: capOpens}
	raw, _, err := keys.Sign(x, k)
	return must(raw, err)
}

func (g *ringsGen) states() {
	const op = "ring.admit"
	open := func(p *rings.Policy) { p.Claims = []rings.Claim{} }
	loose := g.rule(open)
	strict := g.rule(func(p *rings.Policy) { open(p); p.NeedsPromotion = true })
	record, id := g.promotion(g.operator, g.pkg, 2)
	ask := func(policy, promotion []byte, states ...[]byte) in {
		i := g.asked(policy)
		i["states"] = items(states)
		if promotion != nil {
			i["promotion"] = promotion
		}
		return i
	}
	in1 := g.state(g.operator, 1, &g.pkg, nil, id)
	out2 := g.state(g.operator, 2, nil, nil, nil)
	g.computed("state", op, "no state, and none is needed", ask(loose, nil))
	g.computed("state", op, "a state without a promotion, where none is needed", ask(loose, nil, g.state(g.operator, 1, &g.pkg, nil, nil)))
	g.computed("state", op, "promoted", ask(strict, record, in1))
	g.computed("state", op, "promoted again after it was demoted", ask(strict, record, in1, out2, g.state(g.operator, 3, &g.pkg, nil, id)))
	g.computed("state", op, "promoted after another package, which is pinned", ask(strict, record, g.state(g.operator, 1, &g.other, nil, nil), g.state(g.operator, 2, &g.pkg, &g.other, id)))
	g.computed("state", op, "the first package, rolled back to", ask(strict, record, in1, g.state(g.operator, 2, &g.other, &g.pkg, nil), g.state(g.operator, 3, &g.pkg, nil, id)))
	strangers, strangersID := g.promotion(g.stranger, g.pkg, 2)
	others, othersID := g.promotion(g.operator, g.other, 2)
	low, lowID := g.promotion(g.operator, g.pkg, 1)
	for _, x := range []struct {
		doc, code string
		in        in
	}{
		{"no state, and a promotion is needed", "promotion_missing", ask(strict, record)},
		{"demoted", "package_demoted", ask(strict, record, in1, out2)},
		{"demoted, where no promotion is needed", "package_demoted", ask(loose, nil, in1, out2)},
		{"demoted by a stranger", "package_demoted", ask(loose, nil, g.state(g.stranger, 1, nil, nil, nil))},
		{"another package took its place", "promotion_missing", ask(loose, nil, in1, g.state(g.operator, 2, &g.other, &g.pkg, nil))},
		{"a state by a stranger, after one that counted", "promotion_missing", ask(loose, nil, in1, g.state(g.stranger, 2, &g.pkg, nil, id))},
		{"a state without a promotion", "promotion_missing", ask(strict, record, g.state(g.operator, 1, &g.pkg, nil, nil))},
		{"a promotion that is not at hand", "promotion_missing", ask(strict, nil, in1)},
		{"a promotion by a stranger", "promotion_missing", ask(strict, strangers, g.state(g.operator, 1, &g.pkg, nil, strangersID))},
		{"a promotion with a broken signature", "promotion_invalid", ask(strict, spoiled(record), in1)},
		{"a promotion other than the state names", "promotion_invalid", ask(strict, strangers, in1)},
		{"a promotion of another package", "promotion_invalid", ask(strict, others, g.state(g.operator, 1, &g.pkg, nil, othersID))},
		{"a promotion to another ring", "promotion_invalid", ask(strict, low, g.state(g.operator, 1, &g.pkg, nil, lowID))},
		{"no rollback after another package", "rollback_missing", ask(strict, record, g.state(g.operator, 1, &g.other, nil, nil), g.state(g.operator, 2, &g.pkg, nil, id))},
	} {
		g.invalid(strings.ReplaceAll(x.code, "_", "-"), op, x.doc, x.in, x.code)
	}
}

func (g *ringsGen) monotonic() {
	const op = "ring.monotonic"
	low := func(p *rings.Policy) { p.Ring = 1 }
	pair := func(lower, higher func(*rings.Policy)) in {
		return in{"policies": []any{g.rule(func(p *rings.Policy) { low(p); lower(p) }), g.rule(higher)}}
	}
	same := func(*rings.Policy) {}
	g.valid("monotonic", op, "no policies", in{"policies": []any{}}, out{})
	g.valid("monotonic", op, "the same demands", pair(same, same), out{})
	g.valid("monotonic", op, "more demands", pair(func(p *rings.Policy) { p.Claims[0].Quorum = 1 }, func(p *rings.Policy) { p.NeedsPromotion, p.MinSandbox = true, 3 }), out{})
	g.valid("monotonic", op, "more kinds and a larger budget", pair(func(p *rings.Policy) { p.CapKinds, p.MaxBudget.IOCount = []uint8{}, 1 }, same), out{})
	g.valid("monotonic", op, "fewer verifiers", pair(func(p *rings.Policy) { p.Claims[0].Verifiers = append(p.Claims[0].Verifiers, g.stranger.Agent()) }, same), out{})
	g.valid("monotonic", op, "an older version that asks less", in{"policies": []any{
		g.rule(low), g.rule(func(p *rings.Policy) { p.Version = 2 }), g.rule(func(p *rings.Policy) { p.Claims = []rings.Claim{} }),
	}}, out{})
	for _, x := range []struct {
		doc           string
		lower, higher func(*rings.Policy)
	}{
		{"a claim is left out", same, func(p *rings.Policy) { p.Claims = []rings.Claim{} }},
		{"a lower quorum", same, func(p *rings.Policy) { p.Claims[0].Quorum = 1 }},
		{"a lower min_result", same, func(p *rings.Policy) { p.Claims[0].MinResult = 0 }},
		{"another verifier", same, func(p *rings.Policy) { p.Claims[0].Verifiers[0] = g.stranger.Agent() }},
		{"a lower sandbox", same, func(p *rings.Policy) { p.MinSandbox = 1 }},
		{"no promotion", func(p *rings.Policy) { p.NeedsPromotion = true }, same},
	} {
		g.invalid("less", op, x.doc, pair(x.lower, x.higher), "ring_not_monotonic")
	}
}
