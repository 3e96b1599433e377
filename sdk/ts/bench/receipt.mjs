// Receipt, encoded and decoded by this package and by cbor-x, in one process and
// in paired rounds: each round times every contender once, in turns, so that a
// busy machine slows all alike. The peer keys its maps by integers as
// MYTHOS-CAN does: once as Map objects and once as plain objects through its
// keyMap. Printed are medians and, of the ratios within each round, the median.
//
//     npm run bench -- [rounds] [calls per round]
//
// The peer is pinned by package-lock.json beside this file. Its optional native
// part, which speeds up decoding of many short strings, is left out on every
// platform: both sides are JavaScript.
//
// It fails if encoding is not at least 2 times, or decoding not 1.5 times, as fast
// as each form of the peer.

import { readFileSync } from "node:fs";
import { Encoder, isNativeAccelerationEnabled } from "cbor-x";
import { Receipt, Writer, receiptExample } from "./scene.mjs";

const ROUNDS = Number(process.argv[2] ?? 9);
const CALLS = Number(process.argv[3] ?? 100_000);

const receipt = receiptExample();
const bytes = Receipt.encode(receipt);

/** The receipt as nested Maps with integer keys. */
function asMaps(x) {
  const hash = (h) => new Map([[1, 1], [2, h]]);
  return new Map([
    [1, hash(x.receipt_id)],
    [2, hash(x.tool_id)],
    [3, hash(x.request_hash)],
    [4, hash(x.response_hash)],
    [5, x.idempotency_key],
    [6, new Map([[1, x.signer.scheme], [2, x.signer.key], [3, x.signer.hint]])],
    [7, Number(x.time_observed)],
    [8, x.status],
    [9, x.evidence.map(hash)],
    [11, new Map([[1, x.signature.alg], [3, x.signature.sig_bytes]])],
  ]);
}

/** The same as plain objects, whose keys the peer's keyMap turns into integers. */
function asObject(x) {
  const hash = (h) => ({ alg: 1, bytes: h });
  return {
    receipt_id: hash(x.receipt_id),
    tool_id: hash(x.tool_id),
    request_hash: hash(x.request_hash),
    response_hash: hash(x.response_hash),
    idempotency_key: x.idempotency_key,
    signer: { scheme: x.signer.scheme, key: x.signer.key, hint: x.signer.hint },
    time_observed: Number(x.time_observed),
    status: x.status,
    evidence: x.evidence.map(hash),
    signature: { alg: x.signature.alg, sig_bytes: x.signature.sig_bytes },
  };
}

const KEYS = ["receipt_id", "tool_id", "request_hash", "response_hash", "idempotency_key", "signer", "time_observed", "status",
  "evidence", "signature", "alg", "bytes", "scheme", "key", "hint", "sig_bytes"];
const maps = new Encoder({ mapsAsObjects: false, useRecords: false, tagUint8Array: false });
const keyed = new Encoder({ useRecords: false, tagUint8Array: false, keyMap: Object.fromEntries(KEYS.map((k, i) => [k, i + 1])) });

const contenders = [];
function contender(what, name, run) {
  contenders.push({ what, name, run, times: [] });
}

const writer = new Writer();
contender("encode", "mythos, reused writer", () => {
  writer.reset();
  Receipt.write(writer, receipt);
  return writer.length;
});
contender("encode", "mythos, fresh bytes", () => Receipt.encode(receipt).length);
contender("decode", "mythos, strict", () => Receipt.decode(bytes).status);
for (const [name, codec, value] of [["cbor-x, Maps", maps, asMaps(receipt)], ["cbor-x, keyMap", keyed, asObject(receipt)]]) {
  const encoded = codec.encode(value);
  const back = codec.decode(encoded);
  if ((back.get?.(8) ?? back.status) !== receipt.status) throw new Error(`${name} does not come back`);
  contender("encode", name, () => codec.encode(value).length);
  contender("decode", name, () => codec.decode(encoded).size ?? 1);
}

let sink = 0;
function time(run) {
  const start = process.hrtime.bigint();
  for (let i = 0; i < CALLS; i++) sink += run();
  return Number(process.hrtime.bigint() - start) / CALLS;
}

for (const c of contenders) time(c.run); // let the engine compile each
for (let round = 0; round < ROUNDS; round++) {
  for (const c of contenders) c.times.push(time(c.run));
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const peer = JSON.parse(readFileSync(new URL("node_modules/cbor-x/package.json", import.meta.url)));
console.log(`cbor-x ${peer.version}, ${isNativeAccelerationEnabled ? "with" : "without"} its native part`);
console.log(`Receipt, ${bytes.length} bytes; node ${process.version}; ${ROUNDS} paired rounds of ${CALLS} calls; checksum ${sink}`);
for (const c of contenders) {
  console.log(`${c.what}  ${c.name.padEnd(24)} ${median(c.times).toFixed(0).padStart(6)} ns  (least ${Math.min(...c.times).toFixed(0)})`);
}
let met = true;
for (const [what, ours, want] of [["encode", contenders[0], 2], ["decode", contenders[2], 1.5]]) {
  for (const peer of contenders.filter((c) => c.what === what && c.name.startsWith("cbor-x"))) {
    const ratio = median(peer.times.map((t, i) => t / ours.times[i]));
    met &&= ratio >= want;
    console.log(`${what}  ${peer.name} / ${ours.name}: ${ratio.toFixed(2)} (want ${want.toFixed(1)} or more)`);
  }
}
process.exitCode = met ? 0 : 1;
