package differ

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"

	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// keyCount is how many keys a run has.
const keyCount = 5

// makeKeys derives the keys of a seed: worthless, like the TEST-ONLY keys of the
// pack.
func makeKeys(seed uint64) [keyCount]sig.Key {
	var keys [keyCount]sig.Key
	for i := range keys {
		b := binary.BigEndian.AppendUint64([]byte("mythos differ key"), seed)
		keys[i] = sig.NewKey(sha256.Sum256(append(b, byte(i))), "")
	}
	return keys
}

// agentOf is a key's canonical AgentID.
func agentOf(k sig.Key) []byte {
	a := k.Agent()
	return a.AppendCAN(nil)
}

// signatureBy is a key's signature of id.
func signatureBy(k sig.Key, id cid.Hash) []byte {
	s, err := k.Sign(id)
	if err != nil {
		panic(err) // only a zero key does not sign
	}
	return s[:]
}

// signatureValue is a Signature; without a key id it has none.
func signatureValue(alg uint64, keyID *cid.Hash, bytes []byte) *value {
	v := structValue(1, uintValue(alg), 3, bytesValue(bytes))
	if keyID != nil {
		v.set(2, hashValue(keyID[:]))
	}
	v.typ = structType("Signature")
	return v
}

// idOf is the id of a signed struct: of its bytes without id and signature.
func idOf(v *value, t conformance.StructInfo) cid.Hash { return cid.Sum(v.without(t.ID, t.Sig)) }

// seal fills in signer, id and signature.
func (g *Generator) seal(v *value, t conformance.StructInfo, k sig.Key) {
	var keyID *cid.Hash
	if t.By != 0 {
		by := rawOf(g.schema, agentOf(k), "AgentID")
		v.set(t.By, by)
	} else {
		id := k.Agent().KeyID()
		keyID = &id
	}
	id := idOf(v, t)
	if t.ID != 0 {
		v.set(t.ID, hashValue(id[:]))
	}
	v.set(t.Sig, signatureValue(1, keyID, signatureBy(k, id)))
}

// rawOf is the tree of canonical bytes of a struct.
func rawOf(s schema, raw []byte, name string) *value {
	v, ok := s.parse(raw, structType(name))
	if !ok {
		panic("differ: " + name + " is not canonical") // the product's own encoder made it
	}
	return v
}

// object makes an unsigned sample of a signed struct whose content keeps the
// rules of its type.
func (g *Generator) object(r *rand.Rand, t conformance.StructInfo, depth int) *value {
	v := g.schema.structOf(r, t.Name, depth)
	if t.Sig != 0 {
		v.set(t.Sig, signatureValue(1, nil, make([]byte, 64)))
	}
	one := func(num uint8, low, high uint64) { v.set(num, uintValue(low+r.Uint64N(high-low+1))) }
	switch t.Name {
	case "Attestation":
		one(3, 1, 4)
		one(4, 0, 1)
	case "EffectRegister":
		tool, key := digest(r), octets(r, 20, true)
		v.set(2, hashValue(tool))
		v.set(4, bytesValue(key))
		id := sha256.Sum256(append(append([]byte{}, tool...), key...))
		v.set(1, hashValue(id[:]))
		one(11, 0, 3)
		v.drop(9)
		v.drop(10)
		if r.IntN(2) == 0 {
			one(9, 1, 3)
			v.set(10, hashValue(digest(r)))
		}
	case "DivergenceMark":
		one(3, 1, 3)
	case "LedgerResolution":
		one(5, 1, 3)
	case "RunRecord":
		v.set(3, textValue([]string{"run-1", "a", "r.2_x", "0"}[r.IntN(4)]))
	case "RunSeal":
		runSeal(r, v)
	case "RevocationList":
		revocations(r, v)
	case "RingPolicy":
		ringPolicy(r, v)
	}
	g.retype(v)
	return v
}

// retype gives every part of a struct the type that the schema says.
func (g *Generator) retype(v *value) {
	if again, ok := g.schema.parse(v.bytes(), v.typ); ok {
		*v = *again
	}
}

// drop leaves a field of a struct out.
func (v *value) drop(num uint8) {
	if i := v.at(num); i >= 0 {
		v.kids = append(v.kids[:i-1:i-1], v.kids[i+1:]...)
	}
}

// runSeal is of a run that ended, or of one that failed, with or without
// receipts.
func runSeal(r *rand.Rand, v *value) {
	v.drop(5)
	v.drop(6)
	v.drop(7)
	v.set(4, uintValue(0))
	if r.IntN(2) == 0 {
		v.set(4, uintValue(1+r.Uint64N(9)))
		v.set(5, hashValue(digest(r)))
	}
	if r.IntN(2) == 0 {
		v.set(6, hashValue(digest(r)))
	} else {
		v.set(7, textValue("ir_trap"))
	}
}

func revocations(r *rand.Rand, v *value) {
	issued := int64(1_767_225_600_000_000) + r.Int64N(1_000_000)
	v.set(5, intValue(issued))
	v.set(6, intValue(issued+1+r.Int64N(1_000_000)))
	v.set(7, ascending(r, func() *value { return hashValue(digest(r)) }))
}

// ascending is a LIST of a few values that ascend by their bytes.
func ascending(r *rand.Rand, item func() *value) *value {
	keys := &value{tag: can.Map}
	for range r.IntN(4) {
		keys.kids = append(keys.kids, item(), uintValue(0))
	}
	keys.sortKeys()
	list := &value{tag: can.List}
	for i := 0; i < len(keys.kids); i += 2 {
		list.kids = append(list.kids, keys.kids[i])
	}
	return list
}

func ringPolicy(r *rand.Rand, v *value) {
	v.set(3, uintValue(r.Uint64N(4)))
	v.set(5, ascending(r, func() *value { return uintValue(1 + r.Uint64N(4)) }))
	v.set(6, ascending(r, func() *value { return uintValue(1 + r.Uint64N(11)) }))
	v.set(8, &value{tag: can.List})
	v.set(10, uintValue(r.Uint64N(5)))
}
