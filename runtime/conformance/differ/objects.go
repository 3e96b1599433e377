package differ

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// objectClasses open signed structs: signed after a change, signed wrongly, taken
// for another, and with every single bit changed.
func objectClasses() []class {
	return []class{
		{name: "object/signed", share: 25, oneSide: true, signed: true, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			t := g.signed[r.IntN(len(g.signed))]
			v, k := g.object(r, t, sampleDepth), g.key(r)
			g.seal(v, t, k)
			return "object.open", g.opening(t, v.bytes(), agentOf(k))
		}},
		{name: "object/content", share: 40, signed: true, make: objectContent},
		{name: "object/signature", share: 35, signed: true, make: objectSignature},
		{name: "object/type", share: 15, oneSide: true, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			from := g.signed[r.IntN(len(g.signed))]
			to := g.signed[r.IntN(len(g.signed))]
			for to.Name == from.Name {
				to = g.signed[r.IntN(len(g.signed))]
			}
			v, k := g.object(r, from, sampleDepth), g.key(r)
			g.seal(v, from, k)
			return "object.open", g.opening(to, v.bytes(), agentOf(k))
		}},
		{name: flipClass, share: 220, oneSide: true, make: flip},
		{name: "sig/verify", share: 32, signed: true, make: verifyInput},
	}
}

// opening is object.open's input.
func (g *Generator) opening(t conformance.StructInfo, raw, by []byte) in {
	i := in{"type": t.Name, "hex": raw}
	if t.By == 0 {
		i["by"] = by
	}
	return i
}

// objectContent changes an object and signs what came of it.
func objectContent(g *Generator, r *rand.Rand, _ uint64) (string, any) {
	t := g.signed[r.IntN(len(g.signed))]
	v, k := g.object(r, t, sampleDepth), g.key(r)
	m := oneMutation(r)
	if r.IntN(3) == 0 {
		m = mutations[slices.IndexFunc(mutations[:], func(m mutation) bool { return m.name == "unknown-middle" })]
	}
	m.do(g.schema, r, v)
	if !v.isStruct() {
		return "object.open", g.opening(t, v.bytes(), agentOf(k))
	}
	g.seal(v, t, k)
	return "object.open", g.opening(t, v.bytes(), agentOf(k))
}

// objectSignature changes what stands outside the id: the id, the signature, its
// key id, and who should have signed.
func objectSignature(g *Generator, r *rand.Rand, _ uint64) (string, any) {
	t := g.signed[r.IntN(len(g.signed))]
	v, k, other := g.object(r, t, sampleDepth), g.key(r), g.key(r)
	g.seal(v, t, k)
	id := idOf(v, t)
	mine, mineID := signatureBy(k, id), k.Agent().KeyID()
	var keyID *cid.Hash
	if t.By == 0 {
		keyID = &mineID
	}
	input := func() in { return g.opening(t, v.bytes(), agentOf(k)) }
	switch r.IntN(8) {
	case 0:
		v.set(t.Sig, signatureValue([]uint64{0, 2, 255, 256}[r.IntN(4)], keyID, mine))
	case 1:
		v.set(t.Sig, signatureValue(1, keyID, signatureBy(other, id)))
	case 2:
		v.set(t.Sig, signatureValue(1, keyID, edgeSignature(r, mine)))
	case 3:
		if keyID = nil; t.By != 0 {
			keyID = &mineID
		}
		v.set(t.Sig, signatureValue(1, keyID, mine))
	case 4:
		otherID := other.Agent().KeyID()
		v.set(t.Sig, signatureValue(1, &otherID, mine))
	case 5:
		x := input()
		if x["by"] = agentOf(other); r.IntN(2) == 0 {
			delete(x, "by")
		}
		return "object.open", x
	case 6:
		if t.ID != 0 {
			v.set(t.ID, hashValue(flipped(id[:], r.IntN(256))))
		}
	default: // a hint makes no other signer
		if t.By != 0 {
			hinted := rawOf(g.schema, agentOf(k), "AgentID")
			hinted.set(3, textValue(text(r, true)))
			v.set(t.By, hinted)
			id := idOf(v, t)
			if t.ID != 0 {
				v.set(t.ID, hashValue(id[:]))
			}
			v.set(t.Sig, signatureValue(1, nil, signatureBy(k, id)))
		}
	}
	return "object.open", input()
}

// sealed is an object of which every bit is flipped: a member of an op's input.
type sealed struct {
	op     string
	input  in
	member string
	raw    []byte
}

// cases is one for each bit, and one of the object as it is.
func (s *sealed) cases() uint64 { return 8*uint64(len(s.raw)) + 1 }

// makeSealed makes an object of every signed kind, a packet, a manifest and a
// chain of capabilities.
func (g *Generator) makeSealed() error {
	for i, t := range g.signed {
		v := g.object(g.random("sealed", uint64(i)), t, 1)
		g.seal(v, t, g.keys[0])
		raw := v.bytes()
		g.sealed = append(g.sealed, sealed{"object.open", g.opening(t, raw, agentOf(g.keys[0])), "hex", raw})
	}
	p := packetOf([]byte{0x08, 0x00})
	p.sign(g.keys[0])
	p.sign(g.keys[1])
	need := []any{g.keys[0].Agent().KeyID(), g.keys[1].Agent().KeyID()}
	g.sealed = append(g.sealed, sealed{"wire.parse", in{"need": need}, "hex", p.bytes()})
	c := g.soundChain()
	links, err := g.signChain(c)
	if err != nil {
		return err
	}
	use := g.chainUse(c, links)
	g.sealed = append(g.sealed, sealed{"caps.check", use, "proof", use["proof"].([]byte)})
	for _, op := range []string{"manifest.open", "receipt.content"} {
		s, err := g.fromPack(op)
		if err != nil {
			return err
		}
		g.sealed = append(g.sealed, s)
	}
	for i := range g.sealed {
		g.bits += g.sealed[i].cases()
	}
	return nil
}

// fromPack is the shortest object that the pack has for an op to accept.
func (g *Generator) fromPack(op string) (sealed, error) {
	var best sealed
	for _, raw := range g.seeds["valid "+op] {
		var input in
		var text struct {
			Hex conformance.Hex `json:"hex"`
		}
		if err := decodeNumbers(raw, &input); err != nil {
			return sealed{}, err
		}
		if err := json.Unmarshal(raw, &text); err != nil {
			return sealed{}, err
		}
		if best.raw == nil || len(text.Hex) < len(best.raw) {
			best = sealed{op, input, "hex", text.Hex}
		}
	}
	if best.raw == nil {
		return sealed{}, fault.New(conformance.ErrPack, "no vector of %s is valid", op)
	}
	return best, nil
}

// stride is a prime above every number of bits, so that flips number 0 to bits-1
// are all different and a short run sees something of each object.
const stride = 1_000_003

// flipAt is the object of flip n and what is flipped: 0 nothing, otherwise bit
// number what-1.
func (g *Generator) flipAt(n uint64) (s *sealed, what uint64) {
	what = (n%g.bits*stride + g.seed%g.bits) % g.bits
	i := 0
	for what >= g.sealed[i].cases() {
		what -= g.sealed[i].cases()
		i++
	}
	return &g.sealed[i], what
}

// flip is flip n: of one bit of one sealed object.
func flip(g *Generator, _ *rand.Rand, n uint64) (string, any) {
	s, what := g.flipAt(n)
	input := maps.Clone(s.input)
	input[s.member] = s.raw
	if what > 0 {
		input[s.member] = flipped(s.raw, int(what-1))
	}
	return s.op, input
}
