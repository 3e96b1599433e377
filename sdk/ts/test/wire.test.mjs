// Packets and codebooks.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as m from "@mythos-run/sdk";
import { hex, refuses, testKey } from "./kit.mjs";

const { toHex } = m;
const payload = hex("08 00");

test("a packet comes back, with its signers", () => {
  let p = m.newPacket(m.CODEC_CAN, payload);
  assert.equal(toHex(m.encodePacket(p)), `4d595448000200000101${toHex(m.BASELINE_ID)}020700020800`);
  for (const n of [1, 2, 3, 1]) p = m.signPacket(p, testKey(n));
  const raw = m.encodePacket(p);
  const back = m.parsePacket(raw);
  assert.equal(back.entries.length, 3);
  assert.deepEqual(m.packetSigners(back).map((a) => toHex(m.keyId(a))), [1, 2, 3].map((n) => toHex(m.keyId(testKey(n).agent))).sort());
  assert.deepEqual(m.bundleOf(back), payload);
  const [first, ...rest] = back.entries;
  const forged = { ...back, entries: [{ ...first, sig_bytes: new Uint8Array(64) }, { ...first, sig_bytes: new Uint8Array(0) }, first, first, ...rest] };
  assert.deepEqual(m.verifyPacket(forged).map((v) => v.state), ["invalid", "unsigned", "verified", "verified", "verified", "verified"]);
  assert.equal(m.packetSigners(forged).length, 3);
  assert.deepEqual(m.packetSigners({ ...back, payload: hex("07 00") }), []);
});

test("each part of a packet that is wrong has its code and offset", () => {
  const good = m.encodePacket(m.signPacket(m.newPacket(m.CODEC_CAN, payload), testKey()));
  const at = (i, ...b) => () => m.parsePacket(Uint8Array.from(good, (v, j) => (j >= i && j < i + b.length ? b[j - i] : v)));
  m.parsePacket(good);
  refuses(at(0, 0x6d), "wire_magic", 0);
  refuses(() => m.parsePacket(hex("4d5954")), "wire_magic", 0);
  refuses(() => m.parsePacket(good.slice(0, 41)), "wire_truncated", 41);
  refuses(at(5, 3), "wire_version", 4);
  refuses(at(4, 1), "wire_version", 4);
  refuses(at(7, 1), "wire_flags", 6);
  refuses(at(8, 3), "wire_codec", 8);
  refuses(at(9, 2), "wire_codebook", 9);
  refuses(at(41, 0), "wire_codebook", 9);
  refuses(at(42, 0x7f), "wire_sigblock_length", 42);
  refuses(at(42, 0x80, 0), "can_varint", 42);
  refuses(at(43, 8), "can_type", 43);
  refuses(() => m.parsePacket(good.slice(0, 43 + 120)), "can_truncated", 163);
  refuses(at(163, 3), "wire_payload_length", 163);
  refuses(() => m.parsePacket(new Uint8Array([...good, 0])), "wire_trailing", good.length);
  refuses(at(164, 9), "can_tag", 164);
  const many = { ...m.parsePacket(good), entries: Array(257).fill(m.parsePacket(good).entries[0]) };
  refuses(() => m.parsePacket(m.encodePacket(many)), "wire_signers", 45);
  refuses(() => m.newPacket(1, hex("0000")), "can_trailing", 1);
  refuses(() => m.newPacket(3, payload), "wire_codec");
});

/** A zstd frame of one raw block, without checksum. */
const frame = (content, more = "") => hex(`28b52ffd 20 ${content.length.toString(16).padStart(2, "0")} ${((content.length << 3) | 1).toString(16).padStart(2, "0")} 00 00 ${toHex(content)} ${more}`);

test("codec 2 takes one sound frame and a decompressor that is handed in", () => {
  const body = (f) => f.subarray(9);
  const p = m.newPacket(m.CODEC_ZSTD, frame(payload));
  const back = m.parsePacket(m.encodePacket(p));
  refuses(() => m.bundleOf(back), "wire_codec_unavailable");
  assert.deepEqual(m.bundleOf(back, { decompress: body }), payload);
  refuses(() => m.bundleOf(back, { decompress: body, maxBundle: 1 }), "wire_too_large");
  refuses(() => m.bundleOf(back, { decompress: () => payload.slice(1) }), "wire_compressed");
  refuses(() => m.bundleOf(back, { decompress: () => { throw new Error("corrupt"); } }), "wire_compressed");
  refuses(() => m.bundleOf({ ...back, payload: frame(hex("0900")) }, { decompress: body }), "can_tag", 0);
  for (const [bytes, offset] of [
    ["", 0], ["28b52ffd 20", 0], ["28b52ffe 20 00 01 00 00", 0], ["28b52ffd 21 00 01 00 00", 4], ["28b52ffd 28 00 01 00 00", 4],
    ["28b52ffd 20 00 01 00", 6], ["28b52ffd 20 00 07 00 00", 6], ["28b52ffd 20 00 09 00 00", 9], ["28b52ffd 20 00 01 00 00 00", 9],
    ["28b52ffd 24 00 01 00 00", 9], ["28b52ffd e0 00", 5], ["28b52ffd 20 00 09 00 80", 6],
  ]) {
    refuses(() => m.newPacket(m.CODEC_ZSTD, hex(bytes)), "wire_compressed", offset);
  }
  const wide = hex("28b52ffd 00 a0 01 00 00"); // a window of 2^30 bytes
  refuses(() => m.bundleOf({ ...back, payload: wide }, { decompress: body }), "wire_too_large");
});

test("codebooks ascend and have known kinds", () => {
  const list = m.baseline();
  assert.equal(m.encodeCodebook(list).length, 8374);
  assert.deepEqual(m.decodeCodebook(m.encodeCodebook(list)), { entries: list, id: m.BASELINE_ID });
  refuses(() => m.decodeCodebook(m.encodeCodebook([list[1], list[0]])), "codebook_order", 17);
  refuses(() => m.decodeCodebook(m.encodeCodebook([list[0], list[0]])), "codebook_order", 17);
  refuses(() => m.decodeCodebook(m.encodeCodebook([{ ...list[0], kind: 5 }])), "codebook_kind", 2);
});
