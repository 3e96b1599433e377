/**
 * Nodes of Merkle trees (RFC-MYTHOS-0004 §1): MerkleNode {1: version = 1, 2: kind,
 * 3: payload}, named by the SHA-256 of its canonical bytes. A node whose bytes
 * are not exactly those that a writer produces is refused: a field that is not
 * known here would give one input a second root.
 */

import { equalBytes } from "../bytes.js";
import type { Codec } from "../can/codec.js";
import { type Hash, equalHashes, hashOf, hashText } from "../cid.js";
import { MythosError } from "../fault.js";
import { MerkleNode } from "../gen/merkle.js";

/** Node kinds. */
export const LIST_LEAF = 1;
export const LIST_INTERNAL = 2;
export const CHUNK_LEAF = 3;
export const CHUNK_INTERNAL = 4;

/** Items of a full leaf, children of a full internal node. */
export const FANOUT = 1024;
/** Items, chunks or bytes of a tree, at most (RFC-MYTHOS-0004 §7). */
export const MAX_COUNT = 2 ** 40;
/** Nodes from the root to a leaf, at most. */
export const MAX_HEIGHT = 4;
/** Bytes of an encoded node, at most. */
export const MAX_NODE = 65536;

const VERSION = 1;

/** Returns the bytes stored under id; more than limit bytes are an error. They need not be verified. */
export type Get = (id: Hash, limit: number) => Uint8Array;

/** Stores b, whose hash is id. */
export type Put = (id: Hash, b: Uint8Array) => void;

/** Wraps the payload of a node and returns the node's id and canonical bytes. */
export function closeNode(kind: number, payload: Uint8Array): { id: Hash; raw: Uint8Array } {
  const raw = MerkleNode.encode({ version: VERSION, kind, payload });
  return { id: hashOf(raw), raw };
}

/** Decodes the node raw, which must have the given id. */
export function openNode(id: Hash, raw: Uint8Array): MerkleNode {
  checkLength(raw);
  const got = hashOf(raw);
  if (!equalHashes(got, id)) {
    throw new MythosError("merkle_hash", `${hashText(id)}: the node's bytes hash to ${hashText(got)}`);
  }
  return decodeNode(raw);
}

/** Decodes a node whose id is not known. */
export function decodeNode(raw: Uint8Array): MerkleNode {
  checkLength(raw);
  const n = decodeExact(MerkleNode, raw);
  if (n.version !== VERSION) throw new MythosError("merkle_version", `node version ${n.version}, want ${VERSION}`);
  if (n.kind < LIST_LEAF || n.kind > CHUNK_INTERNAL) {
    throw new MythosError("merkle_kind", `node kind ${n.kind}, want 1 to 4`);
  }
  return n;
}

function checkLength(raw: Uint8Array): void {
  if (raw.length > MAX_NODE) throw new MythosError("merkle_shape", `a node of ${raw.length} bytes, at most ${MAX_NODE}`);
}

/** Decodes raw and refuses bytes other than those that the result encodes to. */
export function decodeExact<T>(codec: Codec<T>, raw: Uint8Array): T {
  const x = codec.decode(raw);
  if (!equalBytes(raw, codec.encode(x))) {
    throw new MythosError("merkle_shape", "the node has a field that its version does not have");
  }
  return x;
}
