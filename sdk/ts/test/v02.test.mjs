// The vectors that others published for v0.2, found by MYTHOS_CTVP_V02.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import * as m from "@mythos-run/sdk";
import { published, refuses } from "./kit.mjs";

const { toHex, hashOf, fromHex } = m;

test("every vector of the v0.2 pack", async (t) => {
  const dir = published(t, "MYTHOS_CTVP_V02");
  if (dir === undefined) return;
  const read = (path) => new Uint8Array(readFileSync(join(dir, path)));
  const manifest = JSON.parse(readFileSync(join(dir, "manifest.json"), "utf8"));
  const ran = [];
  for (const { id, files, expected } of manifest.vectors) {
    const file = (name) => read(files[name]);
    const json = (name) => JSON.parse(new TextDecoder().decode(file(name)));
    const text = (name) => new TextDecoder().decode(file(name)).trim();
    await t.test(id, () => {
      assert.ok(Object.hasOwn(rules, id), "this build has no rule for the vector");
      rules[id]({ file, json, text, expected });
    });
    ran.push(id);
  }
  assert.deepEqual(ran.sort(), Object.keys(rules).sort());
});

function exact(codec, raw, x) {
  assert.deepEqual(codec.decode(raw), x);
  assert.deepEqual(codec.encode(x), raw);
}

const rules = {
  CAN_001({ file, json, expected }) {
    assert.equal(toHex(hashOf(file("bin"))), expected.sha256_of_bin);
    exact(m.Hash, file("bin"), fromHex(json("json").bytes));
  },
  CAN_002({ file, json, expected }) {
    assert.equal(toHex(hashOf(file("bin"))), expected.sha256_of_bin);
    const { scheme, key, hint } = json("json");
    exact(m.AgentID, file("bin"), { scheme, key: fromHex(key), hint });
  },
  CAN_003({ file, json, expected }) {
    assert.equal(toHex(hashOf(file("bin"))), expected.sha256_of_bin);
    assert.deepEqual(m.encode(json("json")), file("bin"));
    assert.equal(m.jsonView(file("bin")), JSON.stringify(json("json")));
  },
  BLOB_001({ file, json, text, expected }) {
    const { chunk_size, total_size, chunks } = json("chunks_json");
    const payload = file("payload_bin");
    const nodes = new Map();
    const tree = m.blobTree(payload, chunk_size, (id, b) => nodes.set(toHex(id), b));
    assert.deepEqual([toHex(tree.root), tree.size, tree.chunks], [expected.root_cid, total_size, expected.chunk_count]);
    assert.equal(text("rootcid_hex"), expected.root_cid);
    assert.deepEqual(nodes.get(expected.root_cid), file("rootnode_bin"));
    for (const c of chunks) {
      const proof = m.proveChunk(tree.root, () => file("rootnode_bin"), c.index);
      const found = m.checkChunkProof(tree.root, proof);
      assert.deepEqual([found.index, toHex(found.chunk.hash), found.chunk.len], [c.index, c.chunk_hash, c.len]);
    }
  },
  RECEIPT_001({ file, json, text, expected }) {
    const want = json("json");
    const { object, id } = m.openReceipt(file("bin"));
    assert.equal(toHex(id), expected.receipt_id);
    assert.equal(text("receipt_id_hex"), expected.receipt_id);
    assert.deepEqual(m.Receipt.encode(object), file("bin"));
    assert.equal(object.status, want.status);
    assert.equal(object.time_observed, BigInt(want.time_us));
    assert.equal(toHex(object.signer.key), want.signer_pub);
    assert.equal(toHex(object.signature.sig_bytes), want.signature);
    for (const name of ["tool_id", "request_hash", "response_hash", "idempotency_key"]) assert.equal(toHex(object[name]), want[name]);
  },
  CODEBOOK_001({ file, text, expected }) {
    const { id, entries } = m.decodeCodebook(file("entries_bin"));
    assert.equal(toHex(id), expected.codebook_id);
    assert.equal(text("codebook_id_hex"), expected.codebook_id);
    assert.equal(entries.length, expected.entry_count);
    assert.deepEqual(m.encodeCodebook(m.baseline()), file("entries_bin"));
    assert.deepEqual(m.BASELINE_ID, id);
  },
  WIRE_001({ file, json, expected }) {
    const raw = file("packet_bin");
    assert.equal(toHex(hashOf(raw)), expected.packet_sha256);
    const p = m.parsePacket(raw);
    const want = json("description_json");
    assert.deepEqual([p.codec, toHex(p.codebook), toHex(hashOf(p.payload))], [want.codec_id, want.codebook_id, want.payload_sha256]);
    assert.deepEqual(m.encodePacket(p), raw);
    assert.deepEqual(m.verifyPacket(p).map((v) => v.state), ["unsigned"]); // its one entry is empty, and never counts
    assert.deepEqual(m.packetSigners(p), []);
    // Its bundle has a text constant in the field of bytes: packets carry it, and nobody loads it.
    m.decode(m.bundleOf(p));
    refuses(() => m.IRBundle.decode(m.bundleOf(p)), "can_type", 136);
  },
};
