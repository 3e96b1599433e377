/**
 * Content identifiers. A Hash is the 32 bytes of a SHA-256; on the wire it is
 * the closed struct {1: alg u8 = 1, 2: digest}, in text sha256: and 64 lowercase
 * hexadecimal digits (RFC-MYTHOS-0001 §3.1). Any other algorithm is refused, so
 * the digest is all there is to compare.
 */

import { compareBytes, equalBytes, parseHex, toHex } from "./bytes.js";
import { Codec } from "./can/codec.js";
import { Reader } from "./can/reader.js";
import { Writer } from "./can/writer.js";
import { MythosError } from "./fault.js";
import { sha256 } from "./sha256.js";

/** A SHA-256 digest: 32 bytes. */
export type Hash = Uint8Array;

/** Returns the hash of b. */
export const hashOf: (b: Uint8Array) => Hash = sha256;

/** Orders hashes by their digest bytes. */
export const compareHashes: (a: Hash, b: Hash) => number = compareBytes;

/** Reports whether two hashes are equal. */
export const equalHashes: (a: Hash, b: Hash) => boolean = equalBytes;

/** Reports whether two hashes are equal or both absent. */
export function sameHash(a: Hash | undefined, b: Hash | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equalBytes(a, b);
}

/** Returns sha256:<hex>. */
export function hashText(h: Hash): string {
  return "sha256:" + toHex(h);
}

/** Reads sha256:<64 lowercase hex>; anything else is hash_text. */
export function parseHash(s: string): Hash {
  const h = s.startsWith("sha256:") && s.length === 71 ? parseHex(s.slice(7)) : undefined;
  if (h === undefined) {
    throw new MythosError("hash_text", `${JSON.stringify(s.slice(0, 80))} is not sha256:<64 lowercase hex digits>`);
  }
  return h;
}

/** Appends the wire form, 42 bytes. */
export function writeHash(w: Writer, h: Hash): void {
  w.leaf(1, 2, h, 32);
}

/** Reads the wire form. */
export function readHash(r: Reader): Hash {
  if (r.leaf(1, 2, 32)) return r.take(32);
  const s = r.struct();
  s.exact(1);
  const at = r.off;
  const alg = r.uint(255);
  if (alg !== 1) r.fail("hash_alg", at, `hash algorithm ${alg}, want 1 (SHA-256)`);
  s.exact(2);
  const h = r.fixed(32);
  s.close();
  return h;
}

export const Hash: Codec<Hash> = /* @__PURE__ */ new Codec("Hash", true, [[1, "alg", "u8"], [2, "bytes", "b32"]], writeHash, readHash);

/**
 * Returns the struct raw with the entries of the given fields, which ascend, cut
 * out and its count rewritten: the preimage of an id, taken from the ORIGINAL
 * bytes, so that fields that this build has never heard of stay covered
 * (RFC-MYTHOS-0001 §3.2).
 */
export function without(raw: Uint8Array, ...fields: number[]): Uint8Array {
  const r = new Reader(raw);
  const s = r.struct();
  let kept = s.left;
  let start = r.off;
  const w = new Writer(raw.length + 2);
  w.raw(new Uint8Array([8, 0])); // at most 127 fields survive: one count byte
  while (s.left > 0) {
    const entry = r.off;
    const k = s.next();
    r.skip();
    if (fields.includes(k)) {
      w.raw(raw.subarray(start, entry));
      start = r.off;
      kept--;
    }
  }
  r.leave();
  r.done();
  w.raw(raw.subarray(start, r.off));
  const out = w.take();
  out[1] = kept;
  return out;
}

/** Returns the hash of without(raw, ...fields): the one rule of object ids. */
export function hashWithout(raw: Uint8Array, ...fields: number[]): Hash {
  return sha256(without(raw, ...fields));
}
