package main

import (
	"crypto/ed25519"
	"math"
	"strings"

	canon "github.com/mythos-run/mythos/runtime/libs/can"
)

// place says where a signed struct keeps its id, signer and signature; 0 is
// nowhere.
type place struct{ id, by, sig uint8 }

// exampleKey is the TEST-ONLY key of RFC-MYTHOS-0001 §3.2.
func exampleKey() signer {
	seed := []byte(strings.Repeat("\x2a", 32))
	secret := ed25519.NewKeyFromSeed(seed)
	return signer{"example", seed, secret, secret[32:]}
}

// signedFields fills in the signer, who may have a hint, the id and the signature.
func signedFields(at place, fields []field, k signer, hint string) []field {
	var keyID []byte
	if at.by != 0 {
		fields = with(fields, at.by, agent(1, k.public, hint))
	} else {
		keyID = k.keyID()
	}
	id := sum256(encode(without(fields, at.id, at.sig)))
	if at.id != 0 {
		fields = with(fields, at.id, hashOf(id))
	}
	return with(fields, at.sig, signature(1, keyID, k.sign(id)))
}

// idOf is the id of a signed struct.
func idOf(at place, fields []field) []byte { return sum256(encode(without(fields, at.id, at.sig))) }

func receiptPlace() place     { return place{1, 6, 11} }
func attestationPlace() place { return place{1, 6, 8} }

// rawTime is a Time.
func rawTime(micros int64) []byte { return canon.AppendInt(nil, micros) }

// newYear is 2026-01-01T00:00:00Z.
const newYear = 1_767_225_600_000_000

// receiptFields is a receipt without id, signer and signature.
func receiptFields() []field {
	return []field{
		{2, hashOf(digest("tool"))},
		{3, hashOf(digest("request"))},
		{4, hashOf(digest("response"))},
		{5, rawB([]byte("key"))},
		{7, rawTime(newYear)},
		{8, rawU(200)},
	}
}

func attestationFields(claim, result uint64) []field {
	return []field{{2, hashOf(digest("subject"))}, {3, rawU(claim)}, {4, rawU(result)}, {7, rawTime(newYear)}}
}

// receiptSuite is the suite of receipts and attestations.
func receiptSuite(p *pack) {
	s := p.suite("receipt", "RFC-MYTHOS-0002", "Receipts and attestations: every field, every way to forge one, and what they are about.")
	a, b, example := newSigner("alice"), newSigner("bob"), exampleKey()
	for _, k := range []signer{a, b, example} {
		p.key(k)
	}
	s.spec = "RFC-MYTHOS-0002 §2.8"
	receipts(s, a, example)
	receiptsForged(s, a, b)
	receiptFieldsWrong(s, a)
	receiptContents(s, a)
	s.spec = "RFC-MYTHOS-0002 §2.9"
	attestations(s, a, b)
}

// opensAs adds a signed struct that opens.
func opensAs(s *suite, what, doc, kind string, at place, fields []field, k signer, flags ...string) {
	s.valid(what, "object.open", doc, in{"type": kind, "hex": encode(fields)},
		out{"id": hashText(idOf(at, fields)), "signer": hashText(k.keyID())}, flags...)
}

func receipts(s *suite, a, example signer) {
	at := receiptPlace()
	ok := func(what, doc string, fields []field, flags ...string) {
		opensAs(s, what, doc, "Receipt", at, signedFields(at, fields, a, ""), a, flags...)
	}
	printed := []field{
		{2, x("08 02 03 01 03 01 03 02 05 20 4927203fda6a2dfdedfc270963ad1872d7a0da7de72b49ff47b426a2e75df14b")},
		{3, x("08 02 03 01 03 01 03 02 05 20 80321984a6e1912035eb05393bd97c42190975f7888046de67fb613f4be2da9c")},
		{4, x("08 02 03 01 03 01 03 02 05 20 19d79c55ad61aacdaff3e42b5ac5b6409bf8fe51ddf625f59283d44e13e14c52")},
		{5, rawB(orderKey())},
		{7, rawTime(newYear)},
		{8, rawU(200)},
		{9, rawL(x("08 02 03 01 03 01 03 02 05 20 ee8250fb76e094b34b471f13a73dbbe51d1ae142e9df59d7c0d31ec20f0a0a8e"))},
	}
	s.valid("receipt-example", "object.open", "the worked example: 477 bytes", in{"type": "Receipt", "hex": encode(signedFields(at, printed, example, "demo"))},
		out{"id": "sha256:f9377bb05c74b49d3594d50a2c6d7bac9f7b66d1a673e5c093778ce3c1467893", "signer": hashText(example.keyID())})
	base := receiptFields()
	evidence, notes := rawL(hashOf(digest("evidence"))), rawT("for people")
	ok("receipt", "with its required fields", base)
	ok("receipt", "with evidence", with(base, 9, evidence))
	ok("receipt", "with notes", with(base, 10, notes))
	ok("receipt", "with every optional field", with(with(base, 9, evidence), 10, notes))
	ok("receipt", "with two items of evidence", with(base, 9, rawL(hashOf(digest("evidence")), hashOf(digest("evidence")))))
	ok("receipt", "with an empty idempotency key", with(base, 5, rawB(nil)))
	ok("receipt", "with notes in another script", with(base, 10, rawT("für Leute 人")))
	hinted := signedFields(at, base, a, "a hint is in the id, and not in the key id")
	opensAs(s, "receipt", "whose signer has a hint", "Receipt", at, hinted, a)
	for _, t := range []struct {
		doc    string
		micros int64
	}{{"the epoch", 0}, {"a microsecond before it", -1}, {"the first moment", math.MinInt64}, {"the last moment", math.MaxInt64}} {
		ok("receipt-time", t.doc, with(base, 7, rawTime(t.micros)), "edge")
	}
	for _, status := range []uint64{0, 99, 100, 599, 65535} {
		ok("receipt-status", "a status is any u16 here: "+dec(status), with(base, 8, rawU(status)), "edge")
	}
	ok("receipt-unknown-field", "field 12, which the id covers", with(base, 12, rawU(1)), "original-bytes")
	ok("receipt-unknown-field", "field 127", with(base, 127, x("07 00")), "original-bytes")
	ok("receipt-unknown-field", "a MAP in field 13", with(base, 13, x("08 01 06 01 61 00")), "original-bytes")
}

// orderKey is the canonical IdempotencyKey of the worked example of
// RFC-MYTHOS-0005 §7.
func orderKey() []byte {
	holder := x("08 02 03 01 03 01 03 02 05 20 4eeb5ddf96f5a9965e5c6e862ec2d2243b2d79d2d9730d453931b24f842d4cd9")
	return rawM(rawF(1, holder), rawF(2, rawB([]byte("order-1"))), rawF(3, holder), rawF(4, rawU(1)))
}

// refusesAs adds a signed struct that does not open.
func refusesAs(s *suite, what, doc, kind string, fields []field, code string, flags ...string) {
	s.invalid(what, "object.open", doc, in{"type": kind, "hex": encode(fields)}, code, flags...)
}

// receiptsForged are receipts whose id or signature does not hold.
func receiptsForged(s *suite, a, b signer) {
	at := receiptPlace()
	full := with(with(receiptFields(), 9, rawL(hashOf(digest("evidence")))), 10, rawT("for people"))
	good := signedFields(at, full, a, "")
	bad := func(what, doc, code string, fields []field) { refusesAs(s, what, doc, "Receipt", fields, code) }
	id := idOf(at, good)
	bad("receipt-id", "a bit of the id", "id_mismatch", with(good, 1, hashOf(flipped(id, 255))))
	bad("receipt-id", "an id of zero bytes", "id_mismatch", with(good, 1, hashOf(make([]byte, 32))))
	bad("receipt-id", "the id of all fields but the signature", "id_mismatch", with(good, 1, hashOf(sum256(encode(without(good, 11))))))
	bad("receipt-id", "the id with the signer left out", "id_mismatch", with(good, 1, hashOf(sum256(encode(without(good, 1, 6, 11))))))
	bad("receipt-id", "the id of the receipt without its notes", "id_mismatch", with(good, 1, hashOf(sum256(encode(without(good, 1, 10, 11))))))
	for _, c := range []struct {
		doc string
		num uint8
		raw []byte
	}{
		{"another tool", 2, hashOf(digest("x"))},
		{"another request", 3, hashOf(digest("x"))},
		{"another response", 4, hashOf(digest("x"))},
		{"another idempotency key", 5, rawB([]byte("kez"))},
		{"another time", 7, rawTime(newYear + 1)},
		{"another status", 8, rawU(201)},
		{"other evidence", 9, rawL(hashOf(digest("x")))},
		{"other notes", 10, rawT("for peoplf")},
	} {
		changed := with(good, c.num, c.raw)
		bad("receipt-changed", c.doc+" after signing", "id_mismatch", changed)
		bad("receipt-changed-id", c.doc+", and the id that goes with it, under the old signature", "signature_invalid", with(changed, 1, hashOf(idOf(at, changed))))
	}
	bad("receipt-stripped", "without its evidence", "id_mismatch", without(good, 9))
	bad("receipt-stripped", "without its notes", "id_mismatch", without(good, 10))
	bad("receipt-added", "with a field that was not signed", "id_mismatch", with(good, 12, rawU(1)))
	added := with(good, 12, rawU(1))
	bad("receipt-added", "with a field that was not signed, and the id that goes with it", "signature_invalid", with(added, 1, hashOf(idOf(at, added))))
	other := signedFields(at, full, b, "")
	bad("receipt-signer", "another signer", "id_mismatch", with(good, 6, b.agent()))
	bad("receipt-signer", "another signer and their id under the old signature", "signature_invalid", with(other, 11, value(good, 11)))
	bad("receipt-signer", "another hint", "id_mismatch", with(good, 6, agent(1, a.public, "x")))
	scheme := with(good, 6, agent(2, a.public, ""))
	bad("receipt-signer", "a signer of scheme 2", "signature_alg", with(scheme, 1, hashOf(idOf(at, scheme))))
	zero := with(good, 6, agent(1, make([]byte, 32), ""))
	bad("receipt-signer", "a signer whose key is 32 zero bytes", "signature_invalid", with(zero, 1, hashOf(idOf(at, zero))))
	put := func(what, doc, code string, sig []byte) { bad(what, doc, code, with(good, 11, sig)) }
	mine := a.sign(id)
	put("receipt-signature", "the first bit is another", "signature_invalid", signature(1, nil, flipped(mine, 0)))
	put("receipt-signature", "the last bit is another", "signature_invalid", signature(1, nil, flipped(mine, 511)))
	put("receipt-signature", "zero bytes", "signature_invalid", signature(1, nil, make([]byte, 64)))
	put("receipt-signature", "by another key", "signature_invalid", signature(1, nil, b.sign(id)))
	put("receipt-signature", "of the bytes instead of the id", "signature_invalid", signature(1, nil, a.sign(encode(without(good, 1, 11)))))
	put("receipt-signature", "of the id in hexadecimal", "signature_invalid", signature(1, nil, a.sign([]byte(hashText(id)))))
	put("receipt-signature", "of the canonical Hash of the id", "signature_invalid", signature(1, nil, a.sign(hashOf(id))))
	put("receipt-alg", "algorithm 0", "signature_alg", signature(0, nil, mine))
	put("receipt-alg", "algorithm 2", "signature_alg", signature(2, nil, mine))
	put("receipt-keyid", "a key_id, which is the signer's", "key_id", signature(1, a.keyID(), mine))
	put("receipt-keyid", "a key_id of another key", "key_id", signature(1, b.keyID(), mine))
	put("receipt-keyid", "a key_id and a wrong signature: the key_id is looked at first", "key_id", signature(1, a.keyID(), make([]byte, 64)))
	bad("receipt-order", "a wrong id and a key_id: the id is looked at first", "id_mismatch", with(with(good, 1, hashOf(digest("x"))), 11, signature(1, a.keyID(), mine)))
	bad("receipt-order", "a wrong algorithm and a wrong signature: the algorithm is looked at first", "signature_alg", with(good, 11, signature(3, nil, make([]byte, 64))))
}

// receiptFieldsWrong are receipts that do not decode, signed all the same.
func receiptFieldsWrong(s *suite, a signer) {
	at := receiptPlace()
	base := receiptFields()
	bad := func(what, doc, code string, fields []field) {
		refusesAs(s, what, doc, "Receipt", signedFields(at, fields, a, ""), code)
	}
	bad("receipt-empty", "evidence that is there and empty", "can_empty", with(base, 9, rawL()))
	bad("receipt-empty", "notes that are there and empty", "can_empty", with(base, 10, rawT("")))
	bad("receipt-range", "a status of 65,536", "can_range", with(base, 8, rawU(65536)))
	bad("receipt-range", "a status of 2^64-1", "can_range", with(base, 8, rawU(math.MaxUint64)))
	bad("receipt-type", "a status that is an IVARINT", "can_type", with(base, 8, []byte{4, 0xc8, 0x01}))
	bad("receipt-type", "a time that is a UVARINT", "can_type", with(base, 7, rawU(newYear)))
	bad("receipt-type", "a time as TEXT", "can_type", with(base, 7, rawT("2026-01-01T00:00:00Z")))
	bad("receipt-type", "an idempotency key that is TEXT", "can_type", with(base, 5, rawT("key")))
	bad("receipt-type", "an idempotency key that is not in BYTES", "can_type", with(base, 5, orderKey()))
	bad("receipt-type", "notes that are BYTES", "can_type", with(base, 10, rawB([]byte("notes"))))
	bad("receipt-type", "evidence that is one hash", "can_type", with(base, 9, hashOf(digest("x"))))
	bad("receipt-type", "a tool id that is 32 bytes", "can_type", with(base, 2, rawB(digest("x"))))
	alg := func(n uint64) []byte { return rawM(rawF(1, rawU(n)), rawF(2, rawB(digest("x")))) }
	bad("receipt-hash", "a tool id of algorithm 2", "hash_alg", with(base, 2, alg(2)))
	bad("receipt-hash", "a request hash of algorithm 0", "hash_alg", with(base, 3, alg(0)))
	bad("receipt-hash", "evidence of algorithm 255", "hash_alg", with(base, 9, rawL(alg(255))))
	bad("receipt-hash", "a response hash of algorithm 256", "can_range", with(base, 4, alg(256)))
	bad("receipt-hash", "a response hash of 31 bytes", "can_length", with(base, 4, rawM(rawF(1, rawU(1)), rawF(2, rawB(digest("x")[:31])))))
	bad("receipt-hash", "a response hash of 33 bytes", "can_length", with(base, 4, rawM(rawF(1, rawU(1)), rawF(2, rawB(append(digest("x"), 0))))))
	good := signedFields(at, base, a, "")
	for _, n := range []uint8{1, 2, 3, 4, 5, 6, 7, 8, 11} {
		refusesAs(s, "receipt-missing", "no field "+dec(uint64(n)), "Receipt", without(good, n), "can_missing")
	}
	refusesAs(s, "receipt-signature-form", "a signature of 63 bytes", "Receipt", with(good, 11, signature(1, nil, make([]byte, 63))), "can_length")
	refusesAs(s, "receipt-signature-form", "a signature of 65 bytes", "Receipt", with(good, 11, signature(1, nil, make([]byte, 65))), "can_length")
	refusesAs(s, "receipt-signature-form", "a signature with a field more", "Receipt", with(good, 11, rawM(rawF(1, rawU(1)), rawF(3, rawB(make([]byte, 64))), rawF(4, rawU(0)))), "can_unknown_field")
	refusesAs(s, "receipt-signature-form", "no signature bytes", "Receipt", with(good, 11, rawM(rawF(1, rawU(1)))), "can_missing")
	refusesAs(s, "receipt-signature-form", "the signature as BYTES", "Receipt", with(good, 11, rawB(make([]byte, 64))), "can_type")
	raw := encode(good)
	s.invalidAt("receipt-trailing", "object.open", "a byte after the receipt", in{"type": "Receipt", "hex": join(raw, x("00"))}, "can_trailing", len(raw))
	s.invalid("receipt-truncated", "object.open", "a byte less", in{"type": "Receipt", "hex": raw[:len(raw)-1]}, "can_bounds")
}

// receiptContents are receipts beside what they are about.
func receiptContents(s *suite, a signer) {
	at := receiptPlace()
	ask, answer := encode(request(rawT("hello"))), encode(response(200, rawT("hello")))
	fields := with(with(receiptFields(), 3, hashOf(sum256(ask))), 4, hashOf(sum256(answer)))
	good := signedFields(at, fields, a, "")
	about := func(fields []field, ask, answer []byte) in {
		return in{"hex": encode(fields), "request": ask, "response": answer}
	}
	s.valid("content", "receipt.content", "the request and the response of the receipt", about(good, ask, answer),
		out{"id": hashText(idOf(at, good)), "signer": hashText(a.keyID())})
	bad := func(doc, code string, input in) { s.invalid("content-other", "receipt.content", doc, input, code) }
	bad("another request", "receipt_content", about(good, encode(request(rawT("hellp"))), answer))
	bad("another response", "receipt_content", about(good, ask, encode(response(200, rawT("hellp")))))
	bad("request and response exchanged", "receipt_content", about(good, answer, ask))
	bad("no request", "receipt_content", about(good, []byte{}, answer))
	bad("the request with an unknown field, which the hash covers", "receipt_content", about(good, encode(with(request(rawT("hello")), 5, rawU(1))), answer))
	bad("the response's payload instead of the response", "receipt_content", about(good, ask, rawT("hello")))
	forged := with(good, 11, signature(1, nil, make([]byte, 64)))
	bad("the right bytes under a forged receipt", "signature_invalid", about(forged, ask, answer))
	bad("other bytes and a forged receipt: the receipt is opened first", "signature_invalid", about(forged, answer, ask))
}

// attestations are the other signed statement.
func attestations(s *suite, a, b signer) {
	at := attestationPlace()
	ok := func(what, doc string, fields []field, flags ...string) {
		opensAs(s, what, doc, "Attestation", at, signedFields(at, fields, a, ""), a, flags...)
	}
	for _, c := range []struct{ claim, result uint64 }{{1, 0}, {1, 1}, {2, 0}, {2, 1}, {3, 0}, {3, 2}, {3, 10000}, {4, 0}, {4, 1}} {
		ok("attestation", "claim type "+dec(c.claim)+", result "+dec(c.result), attestationFields(c.claim, c.result), "edge")
	}
	pass := attestationFields(1, 1)
	noted := with(with(pass, 5, rawL(hashOf(digest("evidence")))), 9, rawT("notes stand behind the signature"))
	ok("attestation-optional", "with every optional field", noted)
	ok("attestation-optional", "with an unknown field, which the id covers", with(pass, 10, rawU(1)), "original-bytes")
	bad := func(what, doc, code string, fields []field) { refusesAs(s, what, doc, "Attestation", fields, code) }
	claim := func(doc string, claim, result uint64) {
		bad("attestation-claim", doc, "attestation_claim", signedFields(at, attestationFields(claim, result), a, ""))
	}
	claim("claim type 0", 0, 0)
	claim("claim type 5", 5, 0)
	claim("claim type 255", 255, 1)
	claim("result 2 of a contract", 1, 2)
	claim("result 2 of an evaluation", 2, 2)
	claim("result 2 of a quorum", 4, 2)
	claim("result 10,001 of a metric", 3, 10001)
	claim("result 65,535 of a metric", 3, 65535)
	claim("result 10,000 of a contract", 1, 10000)
	bad("attestation-range", "result 65,536", "can_range", signedFields(at, attestationFields(3, 65536), a, ""))
	bad("attestation-range", "claim type 256", "can_range", signedFields(at, attestationFields(256, 0), a, ""))
	good := signedFields(at, noted, a, "")
	bad("attestation-notes", "other notes: they are covered, though they follow the signature", "id_mismatch", with(good, 9, rawT("others")))
	bad("attestation-notes", "no notes", "id_mismatch", without(good, 9))
	bad("attestation-notes", "an id that leaves the notes out", "id_mismatch", with(good, 1, hashOf(sum256(encode(without(good, 1, 8, 9))))))
	bad("attestation-result", "fail made pass, after signing", "id_mismatch", with(signedFields(at, attestationFields(1, 0), a, ""), 4, rawU(1)))
	moved := with(signedFields(at, attestationFields(1, 0), a, ""), 4, rawU(1))
	bad("attestation-result", "fail made pass, with the id that goes with it", "signature_invalid", with(moved, 1, hashOf(idOf(at, moved))))
	bad("attestation-signer", "the signature of another key", "signature_invalid", with(good, 8, signature(1, nil, b.sign(idOf(at, good)))))
	bad("attestation-signer", "a key_id", "key_id", with(good, 8, signature(1, a.keyID(), a.sign(idOf(at, good)))))
	wrong := with(signedFields(at, attestationFields(9, 0), a, ""), 8, signature(1, nil, make([]byte, 64)))
	bad("attestation-order", "a wrong claim and a wrong signature: the signature is looked at first", "signature_invalid", wrong)
	bad("attestation-empty", "evidence that is there and empty", "can_empty", signedFields(at, with(pass, 5, rawL()), a, ""))
	bad("attestation-empty", "notes that are there and empty", "can_empty", signedFields(at, with(pass, 9, rawT("")), a, ""))
}
