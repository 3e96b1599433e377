package main

import (
	"fmt"

	"github.com/mythos-run/mythos/runtime/conformance"
	canon "github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	keys "github.com/mythos-run/mythos/runtime/libs/sig"
)

// key adds the key file of a signer to the pack.
func (p *pack) key(k signer) {
	p.keys[k.name] = keys.FormatSecret(keys.NewKey([32]byte(k.seed), "TEST ONLY "+k.name), keys.Dev)
}

// signature is a canonical Signature; keyID may be nil.
func signature(alg byte, keyID, bytes []byte) []byte {
	fields := []field{{1, []byte{canon.Uint, alg}}}
	if keyID != nil {
		fields = append(fields, field{2, hashOf(keyID)})
	}
	return encode(append(fields, field{3, canon.AppendBytes(nil, bytes)}))
}

// signed are the structs with a signature of their own.
func signed() []conformance.StructInfo {
	var out []conformance.StructInfo
	for _, t := range conformance.Schema() {
		if t.Sig != 0 {
			out = append(out, t)
		}
	}
	return out
}

// objectID is the digest that an object's id says: of its bytes without the id
// and signature fields.
func objectID(t conformance.StructInfo, fields []field) []byte {
	return sum256(encode(without(fields, t.ID, t.Sig)))
}

// seal fills in signer, id and signature.
func seal(t conformance.StructInfo, fields []field, k signer) []field {
	var keyID []byte
	if t.By != 0 {
		fields = with(fields, t.By, k.agent())
	} else {
		keyID = k.keyID()
	}
	id := objectID(t, fields)
	if t.ID != 0 {
		fields = with(fields, t.ID, hashOf(id))
	}
	return with(fields, t.Sig, signature(1, keyID, k.sign(id)))
}

// objectGen makes vectors of object.open.
type objectGen struct {
	*suite
	samples *sampler
	a, b    signer
}

// base is the struct with its required fields, and what the rules of its content
// demand beside them.
func (g *objectGen) base(t conformance.StructInfo) []field {
	fields := g.samples.fields(t, false, 1)
	if t.Name == "RunSeal" {
		fields = with(fields, 6, hashOf(digest("result")))
	}
	return fields
}

// input is object.open's; objects that name no signer get by.
func (g *objectGen) input(t conformance.StructInfo, fields []field, by signer) in {
	i := in{"type": t.Name, "hex": encode(fields)}
	if t.By == 0 {
		i["by"] = by.agent()
	}
	return i
}

func (g *objectGen) refuse(t conformance.StructInfo, what, doc string, fields []field, code string) {
	g.invalid(what+"-"+slug(t), "object.open", t.Name+" "+doc, g.input(t, fields, g.a), code)
}

// objects are the signed structs: right, and wrong in each field that the
// signature and the id have to do with.
func objects(s *suite, a, b signer) {
	s.spec = "RFC-MYTHOS-0001 §3.2"
	g := &objectGen{s, newSampler(), a, b}
	for _, t := range signed() {
		good := seal(t, g.base(t), a)
		g.opens(t, good)
		g.ids(t, good)
		g.signatures(t, good)
		g.keyIDs(t, good)
	}
	g.content()
}

func (g *objectGen) opens(t conformance.StructInfo, good []field) {
	open := func(doc string, fields []field, flags ...string) {
		g.valid("open-"+slug(t), "object.open", t.Name+" "+doc, g.input(t, fields, g.a),
			out{"id": cid.Hash(objectID(t, fields)).String(), "signer": cid.Hash(g.a.keyID()).String()}, flags...)
	}
	open("with its required fields", good)
	if !t.Closed {
		open("with an unknown field that was signed", seal(t, with(good, 127, extra()), g.a))
	}
}

// ids are objects whose id or content was changed afterwards.
func (g *objectGen) ids(t conformance.StructInfo, good []field) {
	if t.ID != 0 {
		g.refuse(t, "id", "with one bit of its id changed", with(good, t.ID, hashOf(flipped(objectID(t, good), 0))), "id_mismatch")
		g.refuse(t, "id", "with the SHA-256 of all its bytes as its id", with(good, t.ID, hashOf(sum256(encode(good)))), "id_mismatch")
	}
	code := "id_mismatch"
	if t.ID == 0 {
		code = "signature_invalid"
	}
	if !t.Closed {
		g.refuse(t, "added", "with an unknown field that was not signed", with(good, 127, extra()), code)
	}
	for _, f := range t.Fields {
		if f.Type.Kind == "time" {
			g.refuse(t, "changed", fmt.Sprintf("with another time in field %d", f.Num), with(good, f.Num, canon.AppendInt(nil, 7)), code)
			break
		}
	}
}

// signatures are objects with a signature that is not of their id by their
// signer.
func (g *objectGen) signatures(t conformance.StructInfo, good []field) {
	id := objectID(t, good)
	var keyID []byte
	if t.By == 0 {
		keyID = g.a.keyID()
	}
	put := func(doc string, bytes []byte) {
		g.refuse(t, "signature", doc, with(good, t.Sig, signature(1, keyID, bytes)), "signature_invalid")
	}
	put("with one bit of its signature changed", flipped(g.a.sign(id), 300))
	put("signed by another key", g.b.sign(id))
	put("with a signature of all zero", make([]byte, 64))
	put("with a signature of its canonical bytes instead of its id", g.a.sign(encode(without(good, t.ID, t.Sig))))
	g.refuse(t, "alg", "with signature algorithm 2", with(good, t.Sig, signature(2, keyID, g.a.sign(id))), "signature_alg")
	if t.By != 0 {
		other := seal(t, good, g.b)
		if t.ID != 0 {
			g.refuse(t, "signer", "with another signer and its old id", with(good, t.By, g.b.agent()), "id_mismatch")
		}
		g.refuse(t, "signer", "with another signer and its old signature", with(other, t.Sig, value(good, t.Sig)), "signature_invalid")
		odd := with(good, t.By, agent(2, g.a.public, ""))
		if t.ID != 0 {
			odd = with(odd, t.ID, hashOf(objectID(t, odd)))
		}
		g.refuse(t, "scheme", "whose signer has scheme 2", odd, "signature_alg")
	}
}

// keyIDs are key_id where it is forbidden, and its absence where it is needed.
func (g *objectGen) keyIDs(t conformance.StructInfo, good []field) {
	id := objectID(t, good)
	mine := g.a.sign(id)
	if t.By != 0 {
		g.refuse(t, "keyid", "with a key_id, though it names its signer", with(good, t.Sig, signature(1, g.a.keyID(), mine)), "key_id")
		return
	}
	g.refuse(t, "keyid", "without a key_id", with(good, t.Sig, signature(1, nil, mine)), "key_id")
	g.refuse(t, "keyid", "with the key_id of another key", with(good, t.Sig, signature(1, g.b.keyID(), mine)), "key_id")
	g.refuse(t, "keyid", "with another key's key_id and signature", seal(t, good, g.b), "key_id")
	g.invalid("keyid-"+slug(t), "object.open", t.Name+" without the agent that should have signed it",
		in{"type": t.Name, "hex": encode(good)}, "key_id")
}

// content are objects that are signed and break a rule of their type.
func (g *objectGen) content() {
	g.spec = "RFC-MYTHOS-0002 §2"
	breaks := func(name string, num uint8, doc, digits, code string) {
		t := g.samples.structs[name]
		fields := with(g.base(t), num, x(digits))
		if digits == "" {
			fields = without(g.base(t), num)
		}
		g.refuse(t, "content", doc, seal(t, fields, g.a), code)
	}
	breaks("Attestation", 3, "with claim type 0", "03 00", "attestation_claim")
	breaks("Attestation", 3, "with claim type 5", "03 05", "attestation_claim")
	breaks("Attestation", 4, "with result 2 of a pass or fail", "03 02", "attestation_claim")
	breaks("EffectRegister", 11, "with retry class 4", "03 04", "ledger_entry")
	breaks("EffectRegister", 1, "whose idempotency id is not of its tool and key", fmt.Sprintf("%x", hashOf(digest("idem"))), "ledger_entry")
	zero := fmt.Sprintf("%x", hashOf(make([]byte, 32)))
	breaks("EffectRegister", 9, "with attempt 1 that follows nothing", "03 01", "ledger_entry")
	breaks("EffectRegister", 10, "without attempt, that follows 32 zero bytes", zero, "ledger_entry")
	breaks("DivergenceMark", 3, "with reason 0", "03 00", "ledger_entry")
	breaks("DivergenceMark", 3, "with reason 4", "03 04", "ledger_entry")
	breaks("LedgerResolution", 5, "with outcome 0", "03 00", "ledger_entry")
	breaks("LedgerResolution", 5, "with outcome 4", "03 04", "ledger_entry")
	breaks("RunRecord", 3, "with an empty run id", "06 00", "run_id")
	breaks("RunRecord", 3, "with a space in its run id", "06 03 61 20 62", "run_id")
	breaks("RunSeal", 4, "of one receipt without their root", "03 01", "run_seal")
	breaks("RunSeal", 6, "with neither result nor error", "", "run_seal")
	breaks("RunSeal", 7, "with a result and an error", "06 03 62 61 64", "run_seal")
	breaks("RevocationList", 6, "that ends when it begins", fmt.Sprintf("%x", fixedValue("RevocationList.issued")), "cap_revocation_list")
	breaks("RevocationList", 7, "with revoked ids that do not ascend", fmt.Sprintf("07 02 %x %x", hashOf(digest("x")), hashOf(digest("x"))), "cap_revocation_list")
	breaks("RingPolicy", 5, "with module kinds that do not ascend", "07 02 03 02 03 01", "ring_policy_invalid")
	breaks("RingPolicy", 5, "with module kind 5", "07 01 03 05", "ring_policy_invalid")
	breaks("RingPolicy", 10, "with sandbox level 5", "03 05", "ring_policy_invalid")
}
