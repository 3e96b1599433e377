// Merkle lists and chunked blobs: the roots of RFC-MYTHOS-0004, proofs, and trees
// that are refused.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as m from "@mythos-run/sdk";
import { hex, refuses } from "./kit.mjs";

const { toHex, hashOf } = m;

/** A store in memory. */
function store() {
  const objects = new Map();
  return { objects, put: (id, b) => objects.set(toHex(id), b.slice()), get: (id) => objects.get(toHex(id)) };
}

/** Value number i of the lists in RFC-MYTHOS-0004 §2. */
function value(i) {
  const b = new Uint8Array(8);
  new DataView(b.buffer).setBigUint64(0, BigInt(i));
  return hashOf(b);
}

const values = (n) => Array.from({ length: n }, (_, i) => value(i));

test("roots of lists", () => {
  assert.equal(m.listRoot([]), undefined);
  assert.equal(toHex(m.listRoot([0, 1, 2].map((v) => hashOf(Uint8Array.of(v))))), "3a150c58e6015019576c40e117423658f0cf01f8c3ad524dd8866a73b9b7edd5");
  for (const [n, root] of [
    [1, "f7926cff799fef6f5dec319c054cc36fb708e5fdbd2cec40b30859590e89405b"],
    [1024, "399ec11bf5e45f2184ffb0d6d2f65c2dabe13fb77cd60e0ef804b1ee789ccd3e"],
    [1025, "0886d928f93585d7c4bd1085caaf01a1c24273bcee1d1eebcd1366bd6dd68dc9"],
    [2048, "e3cdf4e4270b88cbccc1af54701f31322975cc35b36ceb023cdcf02b88256dc5"],
  ]) {
    assert.equal(toHex(m.listRoot(values(n))), root);
  }
});

test("a list of three levels, with a node passed up", () => {
  const b = new m.ListBuilder();
  for (let i = 0; i < 1_048_577; i++) b.add(value(i));
  assert.equal(toHex(b.root()), "43bb00f6df9cbd328ce04a325b47e9d519d397aeb235c6ee41f506060265297f");
});

test("inclusion and range proofs of a list", () => {
  const { put, get } = store();
  const list = values(2049);
  const root = m.listRoot(list, put);
  const small = m.listRoot(values(1025), put);
  assert.equal(m.proveListItem(small, get, 1024).length, 218);
  for (const i of [0, 1023, 1024, 2047, 2048]) {
    const found = m.checkListItem(root, m.proveListItem(root, get, i));
    assert.deepEqual(found, { id: list[i], index: i, count: 2049 });
  }
  for (const [first, count] of [[0, 1], [1000, 50], [1023, 1026], [2048, 1], [0, 2049]]) {
    const found = m.checkListRange(root, m.proveListRange(root, get, { first, count }));
    assert.deepEqual(found, { ids: list.slice(first, first + count), first, count: 2049 });
  }
  refuses(() => m.proveListItem(root, get, 2049), "merkle_range");
  refuses(() => m.proveListRange(root, get, { first: 2000, count: 50 }), "merkle_range");
  refuses(() => m.proveListRange(root, get, { first: 0, count: 0 }), "merkle_range");

  const proof = m.MerkleProof.decode(m.proveListItem(root, get, 1030));
  const inclusion = (more) => () => m.checkListItem(root, m.MerkleProof.encode({ ...proof, ...more }));
  inclusion({})();
  refuses(inclusion({ parents: undefined }), "merkle_hash");
  refuses(inclusion({ position: 1024 }), "merkle_proof");
  refuses(inclusion({ parents: [{ ...proof.parents[0], position: 0 }] }), "merkle_hash");
  refuses(inclusion({ parents: [{ ...proof.parents[0], position: 3 }] }), "merkle_proof");
  refuses(inclusion({ leaf: proof.parents[0].node, parents: undefined, position: 0 }), "merkle_proof");
  refuses(inclusion({ parents: [...proof.parents, ...proof.parents] }), "merkle_hash");
  refuses(inclusion({ parents: Array(4).fill(proof.parents[0]) }), "merkle_proof");
  refuses(() => m.checkListItem(small, m.proveListItem(root, get, 0)), "merkle_hash");

  const range = m.MerkleRangeProof.decode(m.proveListRange(root, get, { first: 1000, count: 50 }));
  const ranged = (more) => () => m.checkListRange(root, m.MerkleRangeProof.encode({ ...range, ...more }));
  ranged({})();
  refuses(ranged({ nodes: range.nodes.slice(0, 2) }), "merkle_proof");
  refuses(ranged({ nodes: [] }), "merkle_proof");
  refuses(ranged({ nodes: [...range.nodes, range.nodes[0]] }), "merkle_proof");
  refuses(ranged({ nodes: [range.nodes[0], range.nodes[2], range.nodes[1]] }), "merkle_hash");
  refuses(ranged({ count: 2n ** 64n - 1n }), "merkle_range");
  refuses(ranged({ count: 0n }), "merkle_range");
});

test("nodes that no writer makes are refused, even if every hash matches", () => {
  const node = (version, kind, payload) => m.MerkleNode.encode({ version, kind, payload });
  const alone = (raw) => () => m.checkListItem(hashOf(raw), m.MerkleProof.encode({ leaf: raw, position: 0 }));
  const leaf = m.MerkleListLeaf.encode({ values: [value(0)] });
  alone(node(1, 1, leaf))();
  refuses(alone(node(2, 1, leaf)), "merkle_version");
  refuses(alone(node(1, 5, leaf)), "merkle_kind");
  refuses(alone(node(1, 3, m.ChunkLeaf.encode({ chunk_size: 1, chunks: [{ hash: value(0), len: 1 }], total_size: 1n }))), "merkle_kind");
  refuses(alone(node(1, 1, m.MerkleListLeaf.encode({ values: [] }))), "merkle_shape");
  refuses(alone(node(1, 1, m.MerkleListLeaf.encode({ values: values(1025) }))), "merkle_shape");
  refuses(alone(node(1, 1, hex("08 02 03 01 07 00 03 02 00"))), "merkle_shape");
  refuses(alone(new Uint8Array([8, 4, ...node(1, 1, leaf).slice(2), 3, 4, 0])), "merkle_shape");
  refuses(alone(new Uint8Array(65537)), "merkle_shape");
  const inner = (count, n) => node(1, 2, m.MerkleListInternal.encode({ children: values(n), count }));
  refuses(alone(inner(1024n, 2)), "merkle_shape");
  refuses(alone(inner(2049n, 2)), "merkle_shape");
  refuses(alone(inner(2n ** 40n + 1n, 2)), "merkle_shape");
  refuses(alone(inner(2048n, 2)), "merkle_proof");
});

const bytes = (n) => Uint8Array.from({ length: n }, (_, i) => i % 251);

test("roots of blobs", () => {
  assert.equal(m.blobTree(new Uint8Array(0)).root, undefined);
  assert.equal(toHex(m.blobCid(m.blobTree(new Uint8Array(0)))), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  assert.equal(toHex(m.blobTree(m.toUtf8("abcdefghij"), 4).root), "e46a1faf3c7497d50d869f87f9aee8d2f1f4b196cc7b84a2c4965e8db2b70c27");
  assert.equal(toHex(m.blobTree(bytes(1025), 1).root), "044ed1cdd14306bedde0ac9c665d00890ac0c87f9e907224153cbf5d0cd2ed99");
  const b = new m.BlobBuilder(4);
  b.add(bytes(3));
  refuses(() => b.add(bytes(4)), "blob_chunk_size");
  refuses(() => new m.BlobBuilder(4).add(bytes(5)), "blob_chunk_size");
  refuses(() => new m.BlobBuilder(4).add(bytes(0)), "blob_chunk_size");
  refuses(() => new m.BlobBuilder(0), "blob_chunk_size");
});

test("a blob is read and proved from its root alone", async () => {
  const { objects, put, get } = store();
  const blob = bytes(10_000);
  const { root, chunks } = m.blobTree(blob, 3, put);
  assert.equal(chunks, 3334);
  const read = async (range, fetch = get) => {
    const parts = [];
    for await (const b of m.readBlob(root, fetch, range)) parts.push(...b);
    return Uint8Array.from(parts);
  };
  assert.deepEqual(await read(), blob);
  assert.deepEqual(await read({ offset: 4000, length: 101 }, async (id) => get(id)), blob.slice(4000, 4101));
  await assert.rejects(read({ offset: 9_999, length: 2 }), { code: "blob_range" });
  const chunkId = toHex(hashOf(blob.slice(6000, 6003)));
  await assert.rejects(read({ offset: 6000, length: 9 }, (id) => (toHex(id) === chunkId ? bytes(3) : get(id))), { code: "blob_chunk" });
  await assert.rejects(read(undefined, (id) => (objects.get(toHex(id)).length > 100 ? bytes(9) : get(id))), { code: "merkle_hash" });

  const found = m.checkChunkProof(root, m.proveChunk(root, get, 3333));
  assert.deepEqual(found, { chunk: { hash: hashOf(blob.slice(9999)), len: 1 }, index: 3333, size: 10_000, chunkSize: 3 });
  m.checkChunk(found.chunk, blob.slice(9999));
  refuses(() => m.checkChunk(found.chunk, bytes(2)), "blob_chunk");
  const range = { offset: 3070, length: 10 };
  const slice = m.checkBytesProof(root, range, m.proveBytes(root, get, range));
  assert.deepEqual([slice.first, slice.chunks.length, slice.size], [1023, 4, 10_000]);
  refuses(() => m.checkBytesProof(root, { offset: 3070, length: 1 }, m.proveBytes(root, get, range)), "merkle_proof");
  refuses(() => m.checkBytesProof(root, { offset: 0, length: 0 }, m.proveBytes(root, get, range)), "blob_range");
  refuses(() => m.checkListItem(root, m.proveChunk(root, get, 0)), "merkle_kind");
});

test("sizes that contradict each other are refused", () => {
  const alone = (x) => () => {
    const raw = m.closeNode(m.CHUNK_LEAF, m.ChunkLeaf.encode(x)).raw;
    return m.checkChunkProof(hashOf(raw), m.MerkleProof.encode({ leaf: raw, position: 0 }));
  };
  const chunks = [4, 4, 2].map((len) => ({ hash: value(len), len }));
  const sound = { chunk_size: 4, chunks, total_size: 10n };
  assert.equal(alone(sound)().size, 10);
  for (const bad of [{ chunk_size: 0 }, { total_size: 12n + 1n }, { total_size: 8n }, { total_size: 0n }, { total_size: 11n }, { total_size: 2n ** 40n + 1n },
    { chunks: [chunks[0], chunks[2], chunks[1]] }, { chunks: [] }]) {
    refuses(alone({ ...sound, ...bad }), "merkle_shape");
  }
});

test("artifacts and blob references", () => {
  const large = new Uint8Array(m.FLAT_LIMIT + 1);
  const small = m.artifactOf(bytes(5));
  assert.deepEqual(small.cid, small.sha256);
  const id = m.artifactOf(large);
  assert.deepEqual(id.cid, m.blobTree(large, m.FLAT_LIMIT).root);
  m.checkArtifact(id, large);
  refuses(() => m.checkArtifact(id, large.subarray(1)), "artifact_size");
  refuses(() => m.checkArtifact({ ...small, sha256: value(1) }, bytes(5)), "artifact_hash");
  refuses(() => m.checkArtifact({ ...small, cid: value(1) }, bytes(5)), "artifact_hash");

  const { put, get } = store();
  const t = m.blobTree(bytes(10), 4, put);
  const ref = { cid: t.root, size: 10n, media: "text/plain", codec: 0, chunks: 3 };
  assert.deepEqual(m.openBlobRef(m.decodeBlobRef(m.BlobRef.encode(ref)), get), bytes(10));
  refuses(() => m.openBlobRef({ ...ref, chunks: 2 }, get), "blob_size");
  refuses(() => m.openBlobRef({ ...ref, size: 9n }, get), "blob_size");
  refuses(() => m.decodeBlobRef(m.BlobRef.encode({ ...ref, chunks: 11 })), "blob_size");
  refuses(() => m.decodeBlobRef(m.BlobRef.encode({ ...ref, size: 0n, chunks: 0 })), "blob_hash");
  const flat = { ...ref, cid: hashOf(bytes(10)), chunks: 0 };
  put(flat.cid, bytes(10));
  assert.deepEqual(m.openBlobRef(flat, get), bytes(10));
  refuses(() => m.openBlobRef(flat, () => bytes(9)), "blob_hash");
  refuses(() => m.openBlobRef({ ...flat, size: 2n ** 30n }, get), "blob_size");
});
