// The adapter of the conformance runner: one JSON line in, one out.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import * as m from "@mythos-run/sdk";
import { answerer } from "@mythos-run/sdk/conformance";
import { testKey } from "./kit.mjs";

const answer = answerer({ version: "test" });

/** Asks one op and returns the answer without its message, which is for people. */
function ask(op, input) {
  const { message, ...rest } = JSON.parse(answer(JSON.stringify({ id: "x", op, input })));
  return rest;
}

test("answers have the form of the contract", () => {
  const hello = ask("hello", { schema: "mythos.ctvp.impl/1" });
  assert.equal(hello.output.name, "mythos-ts");
  assert.ok(hello.output.ops.includes("can.decode"));
  assert.deepEqual(ask("can.decode", { hex: "08010601610301" }), { id: "x", ok: true, output: { hex: "08010601610301", json: { a: 1 } } });
  assert.deepEqual(ask("can.decode", { hex: "038000" }), { id: "x", ok: false, error: "can_varint", offset: 0 });
  assert.deepEqual(ask("sig.verify", { key: "", message: "", sig: "" }), { id: "x", ok: false, error: "signature_invalid" });
  assert.deepEqual(ask("no.such", {}), { id: "x", unsupported: true });
  assert.deepEqual(ask("constructor", {}), { id: "x", unsupported: true });
  assert.deepEqual(ask("can.decode", { hex: 5 }), { id: "x", ok: false });
  assert.deepEqual(ask("can.encode", { text: '{"b":1,"a":2}' }).output, { hex: "080206016103020601620301" });
  assert.deepEqual(ask("can.encode", { hex: "22ff22" }), { id: "x", ok: false, error: "json_text", offset: 1 });
  assert.deepEqual(ask("struct.decode", { type: "Nope", hex: "00" }), { id: "x", ok: false, error: "struct_unknown" });
});

test("objects open by their type", () => {
  const { raw, id } = m.sign(m.Attestation, { subject_hash: m.hashOf(new Uint8Array(1)), claim_type: 1, result: 2, time_observed: 0n }, testKey());
  const input = { type: "Attestation", hex: m.toHex(raw) };
  assert.deepEqual(ask("struct.decode", input).output, { hex: m.toHex(raw), id: m.hashText(id) });
  assert.deepEqual(ask("object.open", input), { id: "x", ok: false, error: "attestation_claim" });
  const mark = m.sign(m.DivergenceMark, { idem_id: id, tool_id: id, reason_code: 1, evidence: [], time_observed: 0n }, testKey());
  const marked = { type: "DivergenceMark", hex: m.toHex(mark.raw) };
  const signer = m.hashText(m.keyId(testKey().agent));
  assert.deepEqual(ask("object.open", { ...marked, by: m.toHex(m.AgentID.encode(testKey().agent)) }).output, { id: m.hashText(mark.id), signer });
  assert.deepEqual(ask("object.open", marked), { id: "x", ok: false, error: "key_id" });
});

test("the program answers each line of its input, and ends with it", async () => {
  const adapter = fileURLToPath(new URL("../conformance/adapter.mjs", import.meta.url));
  const child = spawn(process.execPath, [adapter], { stdio: ["pipe", "pipe", "inherit"] });
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (out += text));
  const lines = ["hello", "can.decode"].map((op, i) => JSON.stringify({ id: String(i), op, input: { hex: "0606" } })).join("\n") + "\n";
  child.stdin.write(lines.slice(0, 30));
  child.stdin.end(lines.slice(30));
  const [code] = await once(child, "close");
  assert.equal(code, 0);
  const answers = out.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(answers.map((a) => a.id), ["0", "1"]);
  assert.deepEqual([answers[1].error, answers[1].offset], ["can_bounds", 0]);
});
