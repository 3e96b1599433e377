package main

import (
	"bytes"
	"fmt"
	"slices"

	canon "github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	keys "github.com/mythos-run/mythos/runtime/libs/sig"
)

// The window of every capability that does not say otherwise, and the time at
// which it is used.
const (
	capOpens  = int64(1_767_225_600_000_000)
	capCloses = capOpens + 3_600_000_000
	capNoon   = capOpens + 1_800_000_000
)

// capsGen makes vectors of capabilities. Power goes from authority to holder to
// delegate to executor.
type capsGen struct {
	*suite
	authority, holder, delegate, executor, stranger keys.Key
}

// capStep is a link to be signed.
type capStep struct {
	cap    caps.Capability
	by     keys.Signer
	parent bool // attenuation_parent is the cap_id of the step before
}

// capsSuite is the suite of capabilities.
func capsSuite(p *pack) {
	s := p.suite("caps", "RFC-MYTHOS-0008", "Capability chains: every way in which they are attacked, every subset row, constraints, requests, networks and revocation.")
	s.flag("attack", "a way in which capability systems have been broken")
	s.flag("edge-of-time", "the first or last moment at which something counts")
	s.flag("subset-row", "a row of the subset table: one child that it accepts, one that it refuses")
	s.flag("network", "an address that a name must not lead to, or its neighbour")
	g := &capsGen{suite: s}
	for _, k := range []struct {
		name string
		to   *keys.Key
	}{{"authority", &g.authority}, {"holder", &g.holder}, {"delegate", &g.delegate}, {"executor", &g.executor}, {"stranger", &g.stranger}} {
		key := newSigner(k.name)
		p.key(key)
		*k.to = keys.NewKey([32]byte(key.seed), "")
	}
	s.level = 2
	g.sound()
	g.forged()
	g.principals()
	g.windows()
	g.widened()
	g.bounds()
	g.confused()
	s.level = 0
	g.subsets()
	g.constraintSubsets()
	g.undecodable()
	s.level = 2
	g.constraints()
	g.requests()
	g.network()
	g.revocations()
}

// link is a ToolCall capability.
func (g *capsGen) link(by, to keys.Key, calls uint32, delegable bool, limits map[string]string) *capStep {
	return &capStep{by: by, parent: true, cap: caps.Capability{
		Subject: to.Agent(), NotBefore: capOpens, ExpiresAt: capCloses, Delegable: delegable,
		Scope: caps.ScopeOf(&caps.ToolCall{ToolID: h("echo"), MaxCalls: calls, Constraints: limits}),
	}}
}

// steps is a sound chain of three links for the tool echo.
func (g *capsGen) steps() []*capStep {
	list := []*capStep{
		g.link(g.authority, g.holder, 10, true, capLimits("ring_max", "1")),
		g.link(g.holder, g.delegate, 8, true, capLimits("ring_max", "1", "arg/amount:le", capAtMost500)),
		g.link(g.delegate, g.executor, 3, false, capLimits("ring_max", "0", "arg/amount:le", capAtMost300)),
	}
	list[0].parent = false
	return list
}

// The limits of the sound chain.
const (
	capAtMost500 = "03f403"
	capAtMost300 = "03ac02"
)

func capLimits(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// sealed signs the steps, sense or not.
func (g *capsGen) sealed(list []*capStep) [][]byte {
	var all [][]byte
	var last cid.Hash
	for _, s := range list {
		c := s.cap
		if s.parent {
			parent := last
			c.AttenuationParent = &parent
		}
		raw, id, err := keys.Sign(&c, s.by)
		if err != nil {
			g.p.fail("signing a capability: %w", err)
		}
		all, last = append(all, raw), id
	}
	return all
}

// capAmount is the payload {"amount": n}.
func capAmount(n uint64) []byte { return join(canon.AppendMap(nil, 1), rawT("amount"), rawU(n)) }

// call is the call that the sound chain allows.
func capCall() in {
	return in{
		"tool": h("echo"), "package": h("package"), "module": h("module"), "request_hash": h("request"),
		"ledger": h("ledger"), "ring": 0, "payload": capAmount(250),
	}
}

// use is caps.check's input: a call under links.
func (g *capsGen) use(links ...[]byte) in {
	return in{
		"proof": caps.EncodeProof(links), "call": capCall(), "subject": capAgent(g.executor), "now": fmt.Sprint(capNoon),
		"trust": []any{capAgent(g.authority)}, "revocations": []any{},
	}
}

// capAgent is a key's canonical AgentID.
func capAgent(k keys.Signer) []byte {
	a := k.Agent()
	return a.AppendCAN(nil)
}

// capGranted is the output for links whose counts are maxima, each charged n; n 0
// charges nothing.
func capGranted(links [][]byte, n uint32, maxima ...uint32) out {
	ids, spend := []any{}, []any{}
	for i, l := range links {
		id, err := cid.Without(l, 1, 10)
		if err != nil {
			panic(err) // a mistake in this program
		}
		ids = append(ids, id)
		if n > 0 {
			spend = append(spend, out{"cap_id": id, "max": maxima[i], "n": n})
		}
	}
	return out{"cap_ids": ids, "spend": spend}
}

// edited signs the sound chain after a change.
func (g *capsGen) edited(change func(s []*capStep)) [][]byte {
	list := g.steps()
	change(list)
	return g.sealed(list)
}

// attack is a refused use of links.
func (g *capsGen) attack(what, doc string, links [][]byte, code string) {
	g.invalid(what, "caps.check", doc, g.use(links...), code, "attack")
}

// allow is an accepted use of links.
func (g *capsGen) allow(what, doc string, links [][]byte, edit func(in), maxima ...uint32) {
	i := g.use(links...)
	if edit != nil {
		edit(i)
	}
	g.valid(what, "caps.check", doc, i, capGranted(links, 1, maxima...))
}

// sound are chains that hold.
func (g *capsGen) sound() {
	g.spec = "RFC-MYTHOS-0008 §2"
	g.allow("chain", "three links, each narrower", g.sealed(g.steps()), nil, 10, 8, 3)
	root := g.link(g.authority, g.executor, 1, false, nil)
	root.parent = false
	g.allow("chain", "one link, from the authority to the executor", g.sealed([]*capStep{root}), nil, 1)
	narrowed := g.link(g.authority, g.executor, 1, false, nil)
	g.allow("chain", "the issuer narrows what it gave, though it is not delegable", g.sealed([]*capStep{root, narrowed}), nil, 1, 1)
	deep := []*capStep{}
	for i := range 8 {
		s := g.link(g.authority, g.authority, 9, true, nil)
		s.parent = i > 0
		deep = append(deep, s)
	}
	deep[7].cap.Subject = g.executor.Agent()
	g.allow("chain", "eight links", g.sealed(deep), nil, 9, 9, 9, 9, 9, 9, 9, 9)
	hinted := g.use(g.sealed([]*capStep{root})...)
	other := g.authority.Agent()
	other.Hint = "another hint"
	hinted["trust"] = []any{other.AppendCAN(nil)}
	g.valid("chain", "caps.check", "the authority under another hint: the key counts", hinted, nil)
}

// forged are links whose signature or id is not theirs.
func (g *capsGen) forged() {
	g.spec = "RFC-MYTHOS-0008 §3"
	good := g.sealed(g.steps())
	names := []string{"root", "middle link", "leaf"}
	for i, name := range names {
		g.attack("forged-zero", "the signature of the "+name+" is all zero", capResigned(good, i, func([]byte) []byte { return make([]byte, 64) }), "cap_signature")
		g.attack("forged-bit", "one bit of the signature of the "+name, capResigned(good, i, func(s []byte) []byte { s[0] ^= 1; return s }), "cap_signature")
		g.attack("malleable", "S of the signature of the "+name+" is raised by the group order", capResigned(good, i, capPlusOrder), "cap_signature")
		id := slices.Clone(good)
		at := bytes.Index(good[i], []byte{3, 2, 5, 32}) + 4 // the digest of cap_id comes first
		id[i] = flipped(good[i], 8*at)
		g.attack("forged-id", "one bit of the cap_id of the "+name, id, "cap_signature")
	}
	signedBy := func(i int, by, name keys.Key) [][]byte {
		return g.edited(func(s []*capStep) { s[i].by = capImposter{by, name.Agent()} })
	}
	g.attack("wrong-key", "the root is signed by the holder in the authority's name", signedBy(0, g.holder, g.authority), "cap_signature")
	g.attack("wrong-key", "the second link is signed by the authority in the holder's name", signedBy(1, g.authority, g.holder), "cap_signature")
	g.attack("wrong-key", "the leaf is signed by the executor in the delegate's name", signedBy(2, g.executor, g.delegate), "cap_signature")
	for _, w := range []struct{ doc, key string }{
		{"the root's issuer is a key of order 1, for which anybody can sign", "0100000000000000000000000000000000000000000000000000000000000000"},
		{"the root's issuer is a key whose encoding is not canonical", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
	} {
		a := keys.AgentID{Scheme: keys.Ed25519, Key: [32]byte(x(w.key))}
		s := g.link(g.authority, g.executor, 3, false, nil)
		s.parent, s.by = false, capNeutral{a}
		i := g.use(g.sealed([]*capStep{s})...)
		i["trust"] = []any{a.AppendCAN(nil)}
		g.invalid("weak-key", "caps.check", w.doc, i, "cap_signature", "attack")
	}
}

// capResigned changes the signature of link i, its last 64 bytes.
func capResigned(links [][]byte, i int, change func(sig []byte) []byte) [][]byte {
	all := slices.Clone(links)
	b := bytes.Clone(all[i])
	n := len(b) - 64
	all[i] = append(b[:n:n], change(bytes.Clone(b[n:]))...)
	return all
}

// capPlusOrder adds the group order to S: the same signature for a lax verifier.
func capPlusOrder(s []byte) []byte {
	c := newCurve()
	sum := number(s[32:])
	return append(s[:32:32], c.bytes(sum.Add(sum, c.l))...)
}

// capImposter signs with one key in the name of another.
type capImposter struct {
	keys.Signer
	name keys.AgentID
}

func (x capImposter) Agent() keys.AgentID { return x.name }

// capNeutral signs with R the neutral point and S = 0.
type capNeutral struct{ agent keys.AgentID }

func (n capNeutral) Agent() keys.AgentID                   { return n.agent }
func (n capNeutral) Sign(cid.Hash) (sig [64]byte, _ error) { sig[0] = 1; return sig, nil }
