// SHA-256 and strict Ed25519: the portable code against Node's, and every
// published edge case.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, createPrivateKey, sign as nodeSign } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import * as m from "@mythos-run/sdk";
import { signPortable } from "../dist/ed25519.js";
import { sha512 } from "../dist/sha512.js";
import { fill, hex, published, refuses, testKey } from "./kit.mjs";

test("SHA-256 and SHA-512 agree with Node's at every length around a block", () => {
  for (let n = 0; n < 260; n++) {
    const b = Uint8Array.from({ length: n }, (_, i) => (i * 7 + n) & 255);
    const want = createHash("sha256").update(b).digest("hex");
    assert.equal(m.toHex(m.sha256Portable(b)), want);
    assert.equal(m.toHex(m.sha256(b)), want);
    const parts = new m.Sha256();
    for (let at = 0; at < n; at += 11) parts.update(b.subarray(at, at + 11));
    assert.equal(m.toHex(parts.digest()), want);
    assert.equal(m.toHex(sha512(b.subarray(0, n >> 1), b.subarray(n >> 1))), createHash("sha512").update(b).digest("hex"));
  }
  assert.equal(m.toHex(m.sha256Portable(new Uint8Array(0))), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
});

test("the portable signer makes the signatures of Node's", () => {
  for (let i = 0; i < 4; i++) {
    const seed = fill(32, 40 + i);
    const message = fill(i * 40, i);
    const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
    const want = nodeSign(null, message, createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
    const got = signPortable(seed, message);
    assert.deepEqual(got, new Uint8Array(want));
    assert.ok(m.verifyStrict(m.publicKey(seed), message, got));
    assert.ok(m.verifyPortable(m.publicKey(seed), message, got));
  }
});

test("the test key of RFC-MYTHOS-0001 §4.2 has its public key and key id", () => {
  const key = testKey();
  assert.equal(m.toHex(key.agent.key), "197f6b23e16c8532c6abc838facd5ea789be0c76b2920334039bfa8b3d368d61");
  assert.equal(m.toHex(m.keyId(key.agent)), "cbdb67b8a85f8b5c60f45a5aa8ff8a96ef71b792faf86576a60453920fe999ed");
  assert.deepEqual(m.keyId({ ...key.agent, hint: "other" }), m.keyId(key.agent));
  assert.ok(!JSON.stringify({ key }).includes("2a2a2a2a") && !String(key).includes("2a2a2a2a"), "the seed shows");
});

test("a signature under another rule is refused", () => {
  const key = testKey();
  const id = m.hashOf(fill(1, 1));
  const good = { alg: 1, sig_bytes: key.sign(id) };
  m.verify(key.agent, id, good);
  refuses(() => m.verify({ ...key.agent, scheme: 2 }, id, good), "signature_alg");
  refuses(() => m.verify(key.agent, id, { ...good, alg: 2 }), "signature_alg");
  refuses(() => m.verify(key.agent, m.hashOf(id), good), "signature_invalid");
  const L = (1n << 252n) + 27742317777372353535851937790883648493n;
  const s = BigInt("0x" + Buffer.from(good.sig_bytes.slice(32)).reverse().toString("hex")) + L;
  const high = Buffer.from(s.toString(16).padStart(64, "0"), "hex").reverse();
  refuses(() => m.verify(key.agent, id, { alg: 1, sig_bytes: new Uint8Array([...good.sig_bytes.slice(0, 32), ...high]) }), "signature_invalid");
  for (let bit = 0; bit < 512; bit += 37) {
    const sig_bytes = good.sig_bytes.slice();
    sig_bytes[bit >> 3] ^= 1 << (bit & 7);
    assert.equal(m.verifyStrict(key.agent.key, id, sig_bytes), false);
    assert.equal(m.verifyPortable(key.agent.key, id, sig_bytes), false);
  }
  assert.equal(m.verifyStrict(key.agent.key.slice(0, 31), id, good.sig_bytes), false);
  assert.equal(m.verifyStrict(key.agent.key, id, good.sig_bytes.slice(0, 63)), false);
});

test("the 926 published edge cases have one verdict, with Node's help and without", (t) => {
  const dir = published(t, "MYTHOS_ED25519_VECTORS");
  if (dir === undefined) return;
  const load = (name) => JSON.parse(readFileSync(join(dir, name), "utf8"));
  const judge = (key, message, signature) => {
    const verdict = m.verifyStrict(key, message, signature);
    assert.equal(m.verifyPortable(key, message, signature), verdict);
    return verdict;
  };
  const speccheck = load("speccheck.json").map((c) => judge(hex(c.pub_key), hex(c.message), hex(c.signature)));
  assert.equal(speccheck.length, 12);
  assert.deepEqual(speccheck.flatMap((ok, i) => (ok ? [i] : [])), [3]);
  const cctv = load("cctv.json");
  assert.equal(cctv.length, 914);
  const accepted = cctv.filter((c) => judge(hex(c.key), new TextEncoder().encode(c.msg), hex(c.sig))).map((c) => c.number);
  assert.equal(accepted.length, 43);
  // The study of other implementations names the set by this digest of its numbers.
  assert.equal(createHash("sha256").update(JSON.stringify(accepted)).digest("hex").slice(0, 8), "d5867a98");
});

test("everything works where Node's crypto module is not to be had, as in a browser", () => {
  const script = `
    process.getBuiltinModule = undefined;
    const m = await import("@mythos-run/sdk");
    const key = m.Key.fromSeed(new Uint8Array(32).fill(0x2a));
    const { raw } = m.sign(m.Attestation, { subject_hash: m.hashOf(m.toUtf8("subject")), claim_type: 2, result: 1, time_observed: 1767225600000000n }, key);
    console.log(m.toHex(m.openAttestation(raw).id));
    raw[raw.length - 1] ^= 1;
    try { m.openAttestation(raw); } catch (e) { console.log(e.code); }`;
  const cwd = fileURLToPath(new URL("..", import.meta.url));
  const out = execFileSync(process.execPath, ["--input-type=module", "-e", script], { cwd, encoding: "utf8" });
  assert.equal(out, "0ca7b43e159e586a23b96ab064511c44ea83ceb05c55740343494d1ee45a5360\nsignature_invalid\n");
});
