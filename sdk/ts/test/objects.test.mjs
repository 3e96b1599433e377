// Signed objects, trees, packets and the ledger, on the worked examples of the
// documents and on what is built from them.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as m from "@mythos-run/sdk";
import { fill, hex, refuses, testKey } from "./kit.mjs";

const { toHex, hashOf, toUtf8 } = m;
const AT = 1767225600000000n; // 2026-01-01T00:00:00Z

const any = m.builtinType("any");
const echo = m.toolId("demo/echo", 1, any, any);
const caller = m.keyId(testKey(7).agent);
const key = m.explicitKey(caller, caller, toUtf8("order-1"));
const idem = m.idemId(echo, key);

/** The register of RFC-MYTHOS-0005 §2. */
function register(by = testKey(), more = {}) {
  return m.sign(m.EffectRegister, {
    idem_id: idem, tool_id: echo, request_hash: hex("80321984a6e1912035eb05393bd97c42190975f7888046de67fb613f4be2da9c"),
    idempotency_key: key, lease_expires_at: AT + 40_000_000n, time_observed: AT, attempt: 0, retry: 0, ...more,
  }, by);
}

/** The commit of RFC-MYTHOS-0005 §2. */
function commit(of, by = testKey(), more = {}) {
  const { idem_id, tool_id, request_hash } = of.object;
  return m.sign(m.EffectCommit, {
    idem_id, tool_id, request_hash, register_id: of.id, status: 200, time_observed: AT + 1500n,
    response_hash: hex("19d79c55ad61aacdaff3e42b5ac5b6409bf8fe51ddf625f59283d44e13e14c52"),
    receipt_id: receipt().id, ...more,
  }, by);
}

/** The receipt of RFC-MYTHOS-0002 §2.8. */
function receipt() {
  return m.sign(m.Receipt, {
    tool_id: echo, request_hash: hex("80321984a6e1912035eb05393bd97c42190975f7888046de67fb613f4be2da9c"),
    response_hash: hex("19d79c55ad61aacdaff3e42b5ac5b6409bf8fe51ddf625f59283d44e13e14c52"),
    idempotency_key: key, time_observed: AT, status: 200, evidence: [hashOf(toUtf8("evidence"))],
  }, testKey(0x2a, "demo"));
}

test("tools, requests and responses of RFC-MYTHOS-0002 §7", () => {
  for (const [name, id] of [
    ["any", "4722e9c7f82b61d044391220a2d7183630c68bd638b836f2ea0d07179855a514"],
    ["map", "861b31a700a517f028020fd955036bea655c5d049a06e17e2b3a326a6c5ed54f"],
  ]) {
    assert.equal(toHex(m.builtinType(name)), id);
  }
  assert.equal(toHex(echo), "4927203fda6a2dfdedfc270963ad1872d7a0da7de72b49ff47b426a2e75df14b");
  const payload = m.encode("hello");
  const request = m.ToolRequest.encode({ tool_id: echo, payload, idem_id: idem });
  assert.equal(toHex(hashOf(request)), "80321984a6e1912035eb05393bd97c42190975f7888046de67fb613f4be2da9c");
  const response = m.ToolResponse.encode({ status: 200, payload });
  assert.equal(toHex(hashOf(response)), "19d79c55ad61aacdaff3e42b5ac5b6409bf8fe51ddf625f59283d44e13e14c52");
  assert.deepEqual(m.decodeRequest(request).payload, payload);
  assert.equal(m.decodeResponse(response).status, 200);
  assert.equal(m.decodeResponse(m.failure(502, "bad_response")).error.code, "bad_response");
  m.checkContent(receipt().object, request, response);
  refuses(() => m.checkContent(receipt().object, response, response), "receipt_content");
  const shaped = (x) => () => m.decodeResponse(m.ToolResponse.encode(x));
  refuses(shaped({ status: 99, payload: hex("00") }), "abi_response");
  refuses(shaped({ status: 404, payload }), "abi_response");
  refuses(shaped({ status: 200, payload, error: { code: "x" } }), "abi_response");
  refuses(shaped({ status: 500, payload: hex("00"), error: { code: "" } }), "abi_response");
  refuses(shaped({ status: 200, payload: hex("0000") }), "abi_payload");
  refuses(() => m.decodeRequest(m.ToolRequest.encode({ tool_id: echo, payload: hex(""), idem_id: idem })), "abi_payload");
  refuses(() => m.decodeRequest(response), "schema_mismatch");
  const frame = m.encodeFrame(fill(300, 1));
  assert.equal(toHex(frame.subarray(0, 3)), "ac0201");
  assert.deepEqual(m.decodeFrame(new Uint8Array([...frame, 9]), 300), { message: fill(300, 1), left: 1 });
  refuses(() => m.decodeFrame(frame, 299), "abi_frame_too_large");
  refuses(() => m.decodeFrame(frame.subarray(0, 9), 300), "abi_frame_truncated");
  refuses(() => m.decodeFrame(hex("80"), 300), "abi_frame_truncated");
  refuses(() => m.decodeFrame(hex("8000"), 300), "abi_frame_length");
  refuses(() => m.decodeFrame(hex(""), 300), "abi_frame_end");
  for (const bad of ["", "Demo", "a//b", "a.", "-a", "a b", "a".repeat(129), "é"]) refuses(() => m.checkToolName(bad), "abi_tool_name");
});

test("the attestation of RFC-MYTHOS-0001 §3.2, to the byte", () => {
  const { raw, id } = m.sign(m.Attestation, { subject_hash: hashOf(toUtf8("subject")), claim_type: 2, result: 1, time_observed: AT }, testKey());
  assert.equal(raw.length, 229);
  assert.equal(toHex(id), "0ca7b43e159e586a23b96ab064511c44ea83ceb05c55740343494d1ee45a5360");
  assert.equal(m.without(raw, 1, 8).length, 109);
  assert.ok(toHex(raw).endsWith("dcc6a4a7e12cdcd46cf1978e308a2a06"));
  assert.deepEqual(m.openAttestation(raw).id, id);
  refuses(() => m.checkAttestation({ ...m.Attestation.decode(raw), result: 2 }), "attestation_claim");
  refuses(() => m.checkAttestation({ ...m.Attestation.decode(raw), claim_type: 5 }), "attestation_claim");
  refuses(() => m.openReceipt(raw), "can_type");
});

test("the receipt of RFC-MYTHOS-0002 §2.8, to the byte, and every flipped bit refused", () => {
  const { raw, id } = receipt();
  assert.equal(raw.length, 477);
  assert.equal(toHex(id), "f9377bb05c74b49d3594d50a2c6d7bac9f7b66d1a673e5c093778ce3c1467893");
  assert.ok(toHex(raw).endsWith("d8f8a3e6d12bb46cf0a5f80991793106"));
  const { object } = m.openReceipt(raw);
  assert.equal(object.status, 200);
  assert.equal(object.time_observed, AT);
  assert.deepEqual(m.Receipt.encode(object), raw);
  for (let bit = 0; bit < raw.length * 8; bit++) {
    const flipped = raw.slice();
    flipped[bit >> 3] ^= 1 << (bit & 7);
    assert.throws(() => m.openReceipt(flipped), m.MythosError, `bit ${bit}`);
  }
});

test("an id covers fields of newer writers, and re-encoding loses them", () => {
  const { object, raw } = receipt();
  const head = raw.slice();
  head[1]++;
  const newer = new Uint8Array([...head, ...hex("03 14 06 01 78")]); // field 20
  refuses(() => m.openReceipt(newer), "id_mismatch");
  const id = m.objectId(m.Receipt, newer);
  const signed = m.Receipt.encode({ ...object, receipt_id: id, signature: { alg: 1, sig_bytes: testKey().sign(id) } });
  signed[1]++;
  const grown = new Uint8Array([...signed, ...hex("03 14 06 01 78")]);
  assert.deepEqual(m.openReceipt(grown).id, id);
  refuses(() => m.openReceipt(m.Receipt.encode(m.openReceipt(grown).object)), "id_mismatch");
});

test("where a key_id stands is part of the form", () => {
  const r = receipt();
  const keyed = { ...r.object, signature: { ...r.object.signature, key_id: m.keyId(testKey().agent) } };
  refuses(() => m.openReceipt(m.Receipt.encode(keyed)), "key_id");
  const reg = register();
  const c = commit(reg);
  m.openCommit(c.raw, testKey().agent);
  refuses(() => m.openCommit(c.raw, testKey(9).agent), "key_id");
  const bare = m.EffectCommit.encode({ ...c.object, signature: { ...c.object.signature, key_id: undefined } });
  assert.equal(m.decodeCommit(bare).object.status, 200); // an earlier published shape
  refuses(() => m.openCommit(bare, testKey().agent), "key_id");
  refuses(() => m.open(m.EffectCommit, c.raw), "key_id");
});

test("the entries of RFC-MYTHOS-0005 §2 and the keys of RFC-MYTHOS-0005 §7", () => {
  assert.equal(toHex(idem), "26d6fe3fb92372fb38fc380f9df8f5b44bfa536854fcf027b84b183e042cf129");
  const of = (s) => hashOf(toUtf8(s));
  const derived = m.derivedKey(caller, caller, { run_id: "demo-run-1", package_id: of("package"), bundle: of("bundle"), task_id: of("task"), ordinal: 0n });
  assert.equal(derived.length, 130);
  assert.equal(toHex(m.idemId(echo, derived)), "655197eddb580fef0909b865bf386a58e12e14d128a40f2b28db59dd0a56c961");
  refuses(() => m.explicitKey(caller, caller, fill(257, 1)), "idempotency_key");
  refuses(() => m.explicitKey(caller, caller, fill(0, 1)), "idempotency_key");
  const reg = register();
  assert.equal(reg.raw.length, 393);
  assert.equal(toHex(reg.id), "2b60443ab78d0a0513c29d088017b2e19adfa1b2773ebeae974b21d6f8b2c4a9");
  assert.equal(toHex(m.leafHash(0n, 1, reg.raw)), "8949165b95658551db08af7070065cdc265a8f18f719dc7aa27bd36df2bfe723");
  const c = commit(reg);
  assert.equal(c.raw.length, 402);
  assert.equal(toHex(c.id), "bda551678683d1f90f8fbc305b94150b3a26e4c43366ce91821ee6290368b73e");
  assert.equal(toHex(m.leafHash(1n, 2, c.raw)), "3fdf77d2ac7ebc9f37da84d6b2fc7188cd23a3c31e84695ad04bb287749039a6");
  refuses(() => m.openRegister(register(testKey(), { idem_id: echo }).raw), "ledger_entry");
  refuses(() => m.openRegister(register(testKey(), { retry: 4 }).raw), "ledger_entry");
  refuses(() => m.openRegister(register(testKey(), { attempt: 1 }).raw), "ledger_entry");
  refuses(() => m.openRegister(register(testKey(), { previous_register: new Uint8Array(32) }).raw), "ledger_entry");
});

test("the fold of an id and what it lets a call do", () => {
  const records = (...list) => list.map(([kind, body], i) => ({ index: BigInt(i), kind, body: body.raw }));
  const first = register(testKey(), { retry: 2 });
  const request = first.object.request_hash;
  const again = register(testKey(3), { attempt: 1, previous_register: first.id, retry: 2 });
  const resolved = (outcome, more = {}) =>
    m.sign(m.LedgerResolution, { idem_id: idem, register_id: first.id, outcome, reason: "looked", time: AT, ...more }, testKey());
  const state = (...list) => m.foldLedger(records(...list));

  assert.equal(new m.LedgerState().decide(request, false, 0), "proceed");
  let s = state([1, first]);
  assert.equal(s.phase, "open");
  assert.equal(s.decide(request, true, 2), "wait");
  assert.equal(s.decide(request, false, 2), "proceed");
  refuses(() => s.decide(request, false, 0), "effect_in_doubt");
  refuses(() => s.decide(echo, false, 2), "idempotency_conflict");

  s = state([1, first], [2, commit(first)]);
  assert.equal(s.phase, "committed");
  assert.equal(s.decide(request, false, 0), "replay");
  assert.equal(s.offer(commit(first).raw), "dropped");
  assert.equal(s.offer(commit(first, testKey(), { time_observed: AT }).raw), "superseded");
  assert.equal(s.offer(commit(first, testKey(9), { response_hash: echo }).raw), "superseded", "not by the owner");
  assert.equal(s.offer(commit(first, testKey(), { response_hash: echo }).raw), "diverged");
  assert.equal(s.contradiction.reason, m.REASON_COMMITS);
  refuses(() => s.decide(request, false, 2), "effect_divergent");
  s.addResolution(resolved(1).object, true);
  assert.equal(s.phase, "committed");

  s = state([1, first], [1, again], [2, commit(first, testKey(), { response_hash: echo })]);
  assert.equal(s.phase, "open", "an older register's commit is kept beside");
  assert.equal(s.offer(commit(again, testKey(3)).raw), "diverged", "two pure attempts with two answers");
  assert.equal(s.contradiction.reason, m.REASON_RESPONSE);

  assert.equal(state([1, first], [4, resolved(2)]).phase, "free");
  assert.equal(state([1, first], [4, resolved(3)]).phase, "in_doubt");
  s = state([1, first], [4, resolved(1)]);
  assert.equal(s.phase, "settled");
  refuses(() => s.decide(request, false, 2), "effect_settled");
  assert.equal(state([1, first], [4, resolved(3)], [2, commit(first)]).phase, "committed");

  const mark = (reason_code) => m.sign(m.DivergenceMark, { idem_id: idem, tool_id: echo, reason_code, evidence: [first.id, echo], time_observed: AT }, testKey());
  s = state([1, first]);
  assert.equal(s.addDivergence(mark(1).object), "superseded");
  assert.equal(s.addDivergence(mark(1).object), "dropped");
  assert.equal(s.phase, "open");
  assert.equal(state([1, first], [3, mark(2)]).phase, "divergent");

  for (const list of [
    [[2, commit(first)]], [[1, first], [1, first]], [[1, first], [5, first]], [[1, first], [2, commit(first)], [1, again]],
    [[1, again]], [[4, resolved(2)]], [[1, first], [4, resolved(4)]], [[1, first], [4, resolved(2, { register_id: echo })]], [[1, first], [3, mark(4)]],
  ]) {
    refuses(() => state(...list), "ledger_corrupt");
  }
  refuses(() => state([1, first]).addResolution(resolved(1).object, false), "ledger_entry");
});

test("runs: their records, seals and evidence", () => {
  const run = { run_id: "demo-run-1", package_id: echo, manifest_cid: echo, bundle: echo, task_id: echo, inputs_hash: echo, authority: caller, holder: caller, time: AT };
  const record = m.sign(m.RunRecord, run, testKey());
  assert.deepEqual(m.openRunRecord(record.raw).id, record.id);
  refuses(() => m.openRunRecord(m.sign(m.RunRecord, { ...run, run_id: "a b" }, testKey()).raw), "run_id");
  const seal = (more) => m.sign(m.RunSeal, { run_record: record.id, receipt_count: 0n, fuel_used: 1n, io_used: 0n, state_writes: 0n, time: AT, ...more }, testKey()).raw;
  m.openRunSeal(seal({ result_hash: hashOf(hex("00")) }));
  m.openRunSeal(seal({ error_code: "trap_bounds" }));
  for (const bad of [{}, { error_code: "a", result_hash: echo }, { error_code: "A" }, { error_code: "a", receipt_count: 1n }, { error_code: "a", receipts_root: echo }]) {
    refuses(() => m.openRunSeal(seal(bad)), "run_seal");
  }
  const ids = [receipt().id, echo];
  const sealed = m.openRunSeal(seal({ result_hash: echo, receipt_count: 2n, receipts_root: m.listRoot(ids) })).object;
  m.checkSealedReceipts(sealed, ids);
  refuses(() => m.checkSealedReceipts(sealed, [...ids].reverse()), "run_seal_receipts");
  refuses(() => m.checkSealedReceipts(sealed, ids.slice(1)), "run_seal_receipts");
  const evidence = { package_id: echo, manifest_cid: echo, run_record: echo, ordinal: 0n, register_id: echo, module: echo, module_kind: 1, engine: "x/1", sandbox_level: 4, cap_ids: [], policy_id: echo, checked_at: AT };
  m.decodeEffectEvidence(m.EffectEvidence.encode(evidence));
  for (const bad of [{ module: undefined }, { module_kind: 0 }, { module: undefined, module_kind: 0, variant: "v" }, { engine: "" }, { fuel_used: 1n }]) {
    refuses(() => m.decodeEffectEvidence(m.EffectEvidence.encode({ ...evidence, ...bad })), "effect_evidence");
  }
});

test("a ring policy holds to its rules", () => {
  const policy = {
    ring: 0, version: 1n, module_kinds: [1], cap_kinds: [1, 2, 5], claims: [], needs_promotion: false, min_sandbox: 2, time: AT,
    max_budget: { cpu_us: 1n, io_count: 1, state_writes: 1 },
  };
  const opened = (more) => m.openPolicy(m.sign(m.RingPolicy, { ...policy, ...more }, testKey()).raw);
  assert.equal(opened({}).object.max_budget.cpu_us, 1n);
  const claim = { claim_type: 1, min_result: 1, quorum: 1, verifiers: [testKey().agent, testKey(0x2a, "the same").agent] };
  opened({ claims: [claim, { ...claim, claim_type: 2 }] });
  for (const bad of [{ module_kinds: [2, 1] }, { module_kinds: [5] }, { cap_kinds: [0] }, { cap_kinds: [1, 1] }, { min_sandbox: 5 },
    { claims: [claim, claim] }, { claims: [{ ...claim, quorum: 0 }] }, { claims: [{ ...claim, quorum: 2 }] }]) {
    refuses(() => opened(bad), "ring_policy_invalid");
  }
  const raw = m.sign(m.RingPolicy, { ...policy, max_budget: policy.max_budget }, testKey()).raw;
  const at = toHex(raw).indexOf("0307" + "0803") / 2 + 2; // the budget, read as closed here
  const grown = new Uint8Array([...raw.slice(0, at), 8, 4, ...raw.slice(at + 2, at + 14), 3, 100, 0, ...raw.slice(at + 14)]);
  refuses(() => m.RingPolicy.decode(grown), "can_unknown_field", at + 14);
});
