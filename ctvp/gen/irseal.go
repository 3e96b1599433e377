package main

import (
	"encoding/hex"
	"encoding/json"
	"strconv"

	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ir"
)

// recordPlace is where a RunRecord and a RunSeal keep id, signer and signature.
func recordPlace() place { return place{1, 12, 14} }

// irRecorded is a run with all that it leaves behind, made by hand but for what
// the program itself does.
type irRecorded struct {
	input    in      // of ir.run
	told     runTold // what the run did
	record   []field
	receipts [][]field
	key      signer
}

// runTold is the output of ir.run.
type runTold struct {
	ResultHash string                 `json:"result_hash"`
	ErrorCode  string                 `json:"error_code"`
	Fuel       conformance.U64        `json:"fuel_used"`
	IO         conformance.U64        `json:"io_used"`
	Writes     conformance.U64        `json:"state_writes"`
	Calls      []conformance.HostCall `json:"calls"`
}

// The principals of recorded runs.
func irAuthority() []byte { return hashOf(digest("authority")) }
func irHolder() []byte    { return hashOf(digest("holder")) }

// irRunID is the run id of recorded runs.
const irRunID = "seal-1"

// recorded runs a case and records it.
func (g *irGen) recorded(c *irCase) *irRecorded {
	r := &irRecorded{input: g.asked(c), key: newSigner("executor")}
	raw, err := json.Marshal(g.told(r.input))
	if err == nil {
		err = json.Unmarshal(raw, &r.told)
	}
	if err != nil {
		g.p.fail("ir.run's output: %w", err)
	}
	bundle, task := r.input["hex"].([]byte), r.input["task"].(cid.Hash)
	r.record = signedFields(recordPlace(), []field{
		{2, rawT("mythos.run")},
		{3, rawT(irRunID)},
		{4, hashOf(digest("package"))},
		{5, hashOf(digest("manifest"))},
		{6, hashOf(sum256(bundle))},
		{7, rawH(task)},
		{8, hashOf(sum256(g.inputs(r.input)))},
		{10, irAuthority()},
		{11, irHolder()},
		{13, rawTime(newYear)},
	}, r.key, "")
	for i, call := range r.told.Calls {
		r.receipts = append(r.receipts, r.receipt(i, call, c.effects[i]))
	}
	return r
}

// inputs is the LIST that a run gets.
func (g *irGen) inputs(input in) []byte {
	if given, ok := input["inputs"].([]byte); ok {
		return given
	}
	p, err := ir.Load(input["hex"].([]byte))
	if err != nil {
		g.p.fail("a bundle: %w", err)
		return nil
	}
	raw, err := p.Inputs(input["task"].(cid.Hash), nil)
	if err != nil {
		g.p.fail("a task's inputs: %w", err)
	}
	return raw
}

// idemKey is the idempotency key of call number n (RFC-MYTHOS-0005 §7).
func (r *irRecorded) idemKey(n int, call conformance.HostCall) []byte {
	key, origin := rawB(sum256(rawM(rawF(1, rawT("mythos.effect.key")), rawF(2, rawT(irRunID)), rawF(3, value(r.record, 4)),
		rawF(4, value(r.record, 6)), rawF(5, value(r.record, 7)), rawF(6, rawU(uint64(n)))))), uint64(2)
	if call.Key != nil {
		key, origin = rawB(*call.Key), 1
	}
	return rawM(rawF(1, value(r.record, 10)), rawF(2, key), rawF(3, value(r.record, 11)), rawF(4, rawU(origin)))
}

// receipt is that of call number n.
func (r *irRecorded) receipt(n int, call conformance.HostCall, response []byte) []field {
	key := r.idemKey(n, call)
	asked := with(request(call.Payload), 2, rawH(call.ToolID))
	asked = with(asked, 4, hashOf(sum256(join(call.ToolID[:], key))))
	return signedFields(receiptPlace(), []field{
		{2, rawH(call.ToolID)},
		{3, hashOf(sum256(encode(asked)))},
		{4, hashOf(sum256(response))},
		{5, rawB(key)},
		{7, rawTime(newYear + int64(n))},
		{8, rawU(irStatus(response))},
		{9, rawL(hashOf(digest("evidence " + strconv.Itoa(n))))},
	}, r.key, "")
}

// irStatus reads the status of a canonical ToolResponse.
func irStatus(raw []byte) uint64 {
	at := 4 + len(rawT("mythos.tool.response")) + 3 // the MAP, two keys, the schema, the tag
	return uint64(raw[at]&0x7f) | uint64(raw[at+1])<<7
}

// seal is the RunSeal of the run with some of its receipts.
func (r *irRecorded) seal(receipts ...[]field) []field {
	fields := []field{
		{2, rawT("mythos.run.seal")},
		{3, hashOf(idOf(recordPlace(), r.record))},
		{4, rawU(uint64(len(receipts)))},
		{8, rawU(uint64(r.told.Fuel))},
		{9, rawU(uint64(r.told.IO))},
		{10, rawU(uint64(r.told.Writes))},
		{13, rawTime(newYear + 1_000_000)},
	}
	if len(receipts) > 0 {
		fields = with(fields, 5, hashOf(sum256(listLeaf(irReceiptIDs(receipts)...))))
	}
	if r.told.ErrorCode != "" {
		fields = with(fields, 7, rawT(r.told.ErrorCode))
	} else {
		fields = with(fields, 6, irHash(r.told.ResultHash))
	}
	return signedFields(recordPlace(), fields, r.key, "")
}

// irHash is the canonical Hash of its text.
func irHash(text string) []byte {
	raw, err := hex.DecodeString(text[len("sha256:"):])
	if err != nil {
		panic(err) // ir.run wrote it
	}
	return hashOf(raw)
}

func irReceiptIDs(receipts [][]field) []cid.Hash {
	ids := []cid.Hash{}
	for _, x := range receipts {
		ids = append(ids, cid.Hash(idOf(receiptPlace(), x)))
	}
	return ids
}

// asked is ir.seal's input.
func (r *irRecorded) asked(c *irCase) in {
	i := in{"record": encode(r.record), "seed": r.key.seed, "time": dec(newYear + 1_000_000)}
	for name, v := range r.input {
		if name != "task" && name != "effects" {
			i[name] = v
		}
	}
	var effects []any
	for n, x := range r.receipts {
		effects = append(effects, in{"response": c.effects[n], "receipt": encode(x)})
	}
	if effects != nil {
		i["effects"] = effects
	}
	return i
}

// seals are the ends of runs: one of each kind of run above, and what does not
// belong to its record.
func (g *irGen) seals() {
	g.suite.flag("replay", "a recorded run, done again offline")
	g.spec = "RFC-MYTHOS-0005 §8"
	g.p.key(newSigner("executor"))
	for _, c := range g.first {
		r := g.recorded(&c)
		seal := r.seal(r.receipts...)
		g.valid("seal-"+c.what, "ir.seal", irShort("the seal of: "+c.described()), r.asked(&c),
			out{"seal": encode(seal), "id": hashText(idOf(recordPlace(), seal))}, "replay")
	}
	g.sealRecords()
	g.sealReceipts()
	g.sealChecks()
}

// sealCase is a run with two effects, the second under a key of its own.
func sealCase() irCase {
	return irCase{
		body: "const hi, r0; effect echo, r0, r1, r2; effect echo, r1, r3, r4, hi; ret r3", args: "7",
		effects: irEchoes(rawT("hi"), rawU(7)),
	}
}

// sealRecords are runs that are not those of their record.
func (g *irGen) sealRecords() {
	c := sealCase()
	no := func(what, doc, code string, edit func(r *irRecorded, i in)) {
		r := g.recorded(&c)
		i := r.asked(&c)
		edit(r, i)
		g.invalid(what, "ir.seal", doc, i, code, "replay")
	}
	other := func(num uint8, raw []byte) func(*irRecorded, in) {
		return func(r *irRecorded, i in) {
			i["record"] = encode(signedFields(recordPlace(), with(r.record, num, raw), r.key, ""))
		}
	}
	no("seal-record", "a record of another bundle", "run_conflict", other(6, hashOf(digest("x"))))
	no("seal-record", "a record of other inputs", "run_conflict", other(8, hashOf(digest("x"))))
	no("seal-record", "other inputs than the record's", "run_conflict", func(_ *irRecorded, i in) { i["inputs"] = rawL(rawU(8)) })
	no("seal-record", "another bundle than the record's, with the same task id", "run_conflict", func(_ *irRecorded, i in) {
		i["hex"] = irGrow(g.decode(i["hex"].([]byte)))
	})
	no("seal-record", "a record of a task that the bundle does not have", "ir_task_unknown", other(7, hashOf(digest("x"))))
	no("seal-record", "a record with an empty run id", "run_id", other(3, rawT("")))
	no("seal-record-forged", "a bit of the record's signature", "signature_invalid", func(r *irRecorded, i in) {
		i["record"] = encode(with(r.record, 14, signature(1, nil, flipped(r.key.sign(idOf(recordPlace(), r.record)), 5))))
	})
	no("seal-record-forged", "another run id under the record's old id", "id_mismatch", func(r *irRecorded, i in) { i["record"] = encode(with(r.record, 3, rawT("seal-2"))) })
	no("seal-record-forged", "a seal for the record", "schema_mismatch", func(r *irRecorded, i in) {
		i["record"] = encode(r.seal(r.receipts...))
	})
	stop := irCase{body: "require_cap 5, raw; ret", input: in{"caps": []any{""}}}
	r := g.recorded(&stop)
	i := r.asked(&stop)
	i["caps"] = []any{"cap_expired"}
	g.invalid("seal-stop", "ir.seal", "a capability is missing: that is no end, and nothing is sealed", i, "cap_expired", "replay")
}

// sealReceipts are receipts that are not of the effects that the program asks
// for.
func (g *irGen) sealReceipts() {
	g.spec = "RFC-MYTHOS-0012 §9"
	c := sealCase()
	no := func(what, doc string, edit func(r *irRecorded, effects []any)) {
		r := g.recorded(&c)
		i := r.asked(&c)
		edit(r, i["effects"].([]any))
		g.invalid(what, "ir.seal", doc, i, "ledger_corrupt", "replay")
	}
	field := func(doc string, num uint8, raw []byte) {
		no("seal-receipt", "a receipt with "+doc, func(r *irRecorded, effects []any) {
			effects[0].(in)["receipt"] = encode(signedFields(receiptPlace(), with(r.receipts[0], num, raw), r.key, ""))
		})
	}
	field("another tool", 2, hashOf(digest("x")))
	field("another request", 3, hashOf(digest("x")))
	field("another response", 4, hashOf(digest("x")))
	field("another idempotency key", 5, rawB([]byte("x")))
	field("another status", 8, rawU(201))
	no("seal-receipt", "the receipts in the other order", func(_ *irRecorded, effects []any) { effects[0], effects[1] = effects[1], effects[0] })
	no("seal-receipt", "one receipt twice", func(_ *irRecorded, effects []any) { effects[1] = effects[0] })
	no("seal-receipt", "another response beside the receipt", func(_ *irRecorded, effects []any) {
		effects[0].(in)["response"] = irAnswered(200, rawT("ho"), "")
	})
	no("seal-receipt", "a response that is not canonical, whose digest the receipt has", func(r *irRecorded, effects []any) {
		raw := join(irAnswered(200, rawT("hi"), ""), x("00"))
		effects[0] = in{"response": raw, "receipt": encode(signedFields(receiptPlace(), with(r.receipts[0], 4, hashOf(sum256(raw))), r.key, ""))}
	})
	no("seal-receipt-key", "the receipt of effect 1 in place of that of effect 0, though both ask for the same", func(r *irRecorded, effects []any) {
		call := r.told.Calls[0]
		effects[0].(in)["receipt"] = encode(r.receipt(1, call, c.effects[0]))
	})
	no("seal-receipt-key", "the receipt of a key that the caller chose, of the same bytes", func(r *irRecorded, effects []any) {
		call := r.told.Calls[0]
		chosen := conformance.Hex(value(r.record, 3))
		call.Key = &chosen
		effects[0].(in)["receipt"] = encode(r.receipt(0, call, c.effects[0]))
	})
	no("seal-receipt-forged", "a bit of its signature", func(r *irRecorded, effects []any) {
		effects[1].(in)["receipt"] = encode(with(r.receipts[1], 11, signature(1, nil, flipped(r.key.sign(idOf(receiptPlace(), r.receipts[1])), 5))))
	})
	no("seal-receipt-forged", "another time under its old id", func(r *irRecorded, effects []any) {
		effects[1].(in)["receipt"] = encode(with(r.receipts[1], 7, rawTime(newYear)))
	})
}

// sealChecks are seals beside receipts.
func (g *irGen) sealChecks() {
	g.spec = "RFC-MYTHOS-0005 §8"
	c := sealCase()
	r := g.recorded(&c)
	ids := irReceiptIDs(r.receipts)
	plainEnd := irCase{body: "ret"}
	quiet := g.recorded(&plainEnd)
	ask := func(seal []field, ids ...cid.Hash) in {
		return in{"hex": encode(seal), "receipts": append([]cid.Hash{}, ids...)}
	}
	yes := func(doc string, x *irRecorded, seal []field, ids ...cid.Hash) {
		g.valid("sealed", "seal.check", doc, ask(seal, ids...), out{"id": hashText(idOf(recordPlace(), seal)), "signer": hashText(x.key.keyID())})
	}
	seal := r.seal(r.receipts...)
	yes("two receipts", r, seal, ids...)
	yes("one receipt", r, r.seal(r.receipts[0]), ids[0])
	yes("no effect, no receipt", quiet, quiet.seal())
	no := func(what, doc, code string, seal []field, ids ...cid.Hash) {
		g.invalid(what, "seal.check", doc, ask(seal, ids...), code)
	}
	const other = "run_seal_receipts"
	no("sealed-receipts", "the last one is missing", other, seal, ids[0])
	no("sealed-receipts", "the first one is missing", other, seal, ids[1])
	no("sealed-receipts", "none is there", other, seal)
	no("sealed-receipts", "in the other order", other, seal, ids[1], ids[0])
	no("sealed-receipts", "one more", other, seal, ids[0], ids[1], ids[1])
	no("sealed-receipts", "one twice", other, seal, ids[0], ids[0])
	no("sealed-receipts", "one of a run that had none", other, quiet.seal(), ids[0])
	again := func(fields []field) []field { return signedFields(recordPlace(), fields, r.key, "") }
	no("sealed-receipts", "a root that is the receipt's id, not that of the list of one", other, again(with(r.seal(r.receipts[0]), 5, rawH(ids[0]))), ids[0])
	no("sealed-receipts", "three receipts under the root of two", other, again(with(seal, 4, rawU(3))), ids[0], ids[1], ids[1])
	no("sealed-form", "no root of two receipts", "run_seal", again(without(seal, 5)), ids...)
	no("sealed-form", "the root of no receipts", "run_seal", again(with(seal, 4, rawU(0))))
	no("sealed-form", "a result and an error", "run_seal", again(with(seal, 7, rawT("ir_fuel_exhausted"))), ids...)
	no("sealed-form", "an error that is no code", "run_seal", again(with(without(seal, 6), 7, rawT("Out of fuel"))), ids...)
	no("sealed-forged", "more fuel under the old id", "id_mismatch", with(seal, 8, rawU(1)), ids...)
	no("sealed-forged", "a bit of the signature", "signature_invalid", with(seal, 14, signature(1, nil, flipped(r.key.sign(idOf(recordPlace(), seal)), 5))), ids...)
}
