/**
 * Agents, signatures and the objects that carry them (RFC-MYTHOS-0001 §4). A
 * signature is Ed25519 over the 32 bytes of an object's id; an id is the SHA-256
 * of the object's ORIGINAL bytes without its id and signature fields. Whether a
 * signer is trusted is never known here.
 *
 *     const key = Key.fromSeed(seed, "TEST ONLY");
 *     const { raw } = sign(Receipt, { tool_id, ... }, key);
 *     const { object, id } = open(Receipt, raw); // throws unless all of it holds
 */

import { equalBytes } from "./bytes.js";
import type { Seal, SealedCodec } from "./can/codec.js";
import { type Hash, equalHashes, hashOf, hashText, hashWithout } from "./cid.js";
import { publicKey, sign as signBytes, verifyStrict } from "./ed25519.js";
import { MythosError } from "./fault.js";
import { AgentID, type Signature } from "./gen/sig.js";

/** The one scheme and algorithm number. */
export const ED25519 = 1;

/** Reports whether two agents have the same scheme and key; hints do not count. */
export function sameAgent(a: AgentID, b: AgentID): boolean {
  return a.scheme === b.scheme && equalBytes(a.key, b.key);
}

/** Returns the SHA-256 of the canonical agent without its hint (RFC-MYTHOS-0001 §4.2). */
export function keyId(agent: AgentID): Hash {
  return hashOf(AgentID.encode({ scheme: agent.scheme, key: agent.key }));
}

/** Throws signature_alg or signature_invalid unless s is agent's over id. */
export function verify(agent: AgentID, id: Hash, s: Signature): void {
  if (agent.scheme !== ED25519 || s.alg !== ED25519) {
    throw new MythosError("signature_alg", `scheme ${agent.scheme} with algorithm ${s.alg}, want 1 and 1 (Ed25519)`);
  }
  if (!verifyStrict(agent.key, id, s.sig_bytes)) {
    throw new MythosError("signature_invalid", `the signature of ${hashText(id)} does not verify`);
  }
}

/** Whoever signs ids. */
export interface Signer {
  readonly agent: AgentID;
  sign(id: Hash): Uint8Array;
}

/** An Ed25519 secret key in memory, for tools and tests. It prints its key id alone. */
export class Key implements Signer {
  readonly agent: AgentID;
  readonly #seed: Uint8Array;

  private constructor(seed: Uint8Array, hint: string) {
    this.#seed = new Uint8Array(seed);
    this.agent = { scheme: ED25519, key: publicKey(seed), hint: hint === "" ? undefined : hint };
  }

  /** Returns the key of a 32-byte seed; hint names it for people. */
  static fromSeed(seed: Uint8Array, hint = ""): Key {
    return new Key(seed, hint);
  }

  sign(id: Hash): Uint8Array {
    if (id.length !== 32) throw new MythosError("can_length", `an id has 32 bytes, got ${id.length}`);
    return signBytes(this.#seed, id);
  }

  toString(): string {
    return `key ${hashText(keyId(this.agent))}`;
  }

  toJSON(): string {
    return this.toString();
  }
}

type Bag = Record<string, unknown>;

/** A signed object as its bytes say it. */
export interface Decoded<T> {
  readonly object: T;
  /** Recomputed from the original bytes. */
  readonly id: Hash;
}

/** Signs x: fills its signer, id and signature. */
export function sign<T, K extends keyof T>(codec: SealedCodec<T, K>, x: Omit<T, K>, by: Signer): Decoded<T> & { raw: Uint8Array } {
  const seal = codec.seal;
  const out: Bag = { ...x };
  const signature: Signature = { alg: ED25519, sig_bytes: new Uint8Array(64) };
  if (seal.by === undefined) signature.key_id = keyId(by.agent);
  else out[seal.by] = by.agent;
  if (seal.id !== undefined) out[seal.id[1]] = new Uint8Array(32);
  out[seal.sig[1]] = signature;
  const id = sealedId(seal, codec.encode(out as T));
  if (seal.id !== undefined) out[seal.id[1]] = id;
  signature.sig_bytes = by.sign(id);
  return { object: out as T, id, raw: codec.encode(out as T) };
}

function sealedId(seal: Seal, raw: Uint8Array): Hash {
  return seal.id === undefined ? hashWithout(raw, seal.sig[0]) : hashWithout(raw, seal.id[0], seal.sig[0]);
}

/** Returns the id of a signed struct, from its original bytes. */
export function objectId<T, K extends keyof T>(codec: SealedCodec<T, K>, raw: Uint8Array): Hash {
  return sealedId(codec.seal, raw);
}

/**
 * Strictly decodes raw and checks its id and its signature's form. It does NOT
 * verify the signature. Codes: those of a decoder, id_mismatch, key_id.
 */
export function decodeSealed<T, K extends keyof T>(codec: SealedCodec<T, K>, raw: Uint8Array): Decoded<T> {
  const object = codec.decode(raw);
  const id = sealedId(codec.seal, raw);
  checkSeal(codec, object, id);
  return { object, id };
}

/** Checks an object's id and its signature's form against the recomputed id. */
export function checkSeal<T, K extends keyof T>(codec: SealedCodec<T, K>, object: T, id: Hash): void {
  const seal = codec.seal;
  const bag = object as Bag;
  const signature = bag[seal.sig[1]] as Signature;
  if (seal.id !== undefined && !equalHashes(bag[seal.id[1]] as Hash, id)) {
    const says = hashText(bag[seal.id[1]] as Hash);
    throw new MythosError("id_mismatch", `the object says ${says}, its bytes say ${hashText(id)}`);
  }
  if (seal.by !== undefined && signature.key_id !== undefined) {
    throw new MythosError("key_id", "a signature whose object names its signer has no key_id");
  }
  if (seal.by === undefined && signature.key_id === undefined && seal.keyless !== true) {
    throw new MythosError("key_id", "a signature whose object names no signer needs a key_id");
  }
}

/** decodeSealed, and verifies the signature by the signer that the object names. */
export function open<T, K extends keyof T>(codec: SealedCodec<T, K>, raw: Uint8Array): Decoded<T> {
  const x = decodeSealed(codec, raw);
  const { by, sig } = codec.seal;
  if (by === undefined) throw new MythosError("key_id", "the object names no signer");
  const bag = x.object as Bag;
  verify(bag[by] as AgentID, x.id, bag[sig[1]] as Signature);
  return x;
}

/**
 * decodeSealed for an object that names no signer, and verifies its signature by
 * the given agent, whose key id the signature must carry.
 */
export function openBy<T, K extends keyof T>(codec: SealedCodec<T, K>, raw: Uint8Array, by: AgentID): Decoded<T> {
  const x = decodeSealed(codec, raw);
  const signature = (x.object as Bag)[codec.seal.sig[1]] as Signature;
  const want = keyId(by);
  if (signature.key_id === undefined || !equalHashes(signature.key_id, want)) {
    throw new MythosError("key_id", `the signature is not by key ${hashText(want)}`);
  }
  verify(by, x.id, signature);
  return x;
}
