/**
 * The MYTHOS-X packet (RFC-MYTHOS-0001 §5): a frame that carries one IR bundle
 * and the signatures of any number of agents over it.
 *
 *     magic "MYTH" | version u16 = 2 | flags u16 = 0 | codec u8 | codebook id: 01, 32 bytes
 *     sigblock length | sigblock: LIST of SigBlockEntry
 *     payload length  | payload
 *
 * The first line, 42 bytes, is the header; each signature is over SHA-256(header
 * || payload as on the wire). Parsing believes nothing. An entry with empty
 * sig_bytes is unsigned and never counts as verified.
 */

import { compareBytes, concatBytes, startsWith } from "./bytes.js";
import { Reader } from "./can/reader.js";
import { validate, varint } from "./can/valid.js";
import { Writer } from "./can/writer.js";
import { type Hash, equalHashes, hashOf, hashText } from "./cid.js";
import { BASELINE_ID } from "./codebook.js";
import { MythosError, NO_OFFSET } from "./fault.js";
import type { AgentID } from "./gen/sig.js";
import { type SigBlockEntry, readSigBlockEntry, writeSigBlockEntry } from "./gen/wire.js";
import { ED25519, type Signer, keyId, sameAgent, verify } from "./sig.js";
import { type Decompress, decompressBundle, scanFrame } from "./zstd.js";

/** Codecs of a payload. */
export const CODEC_CAN = 1;
export const CODEC_ZSTD = 2;

/** Entries of a sigblock, at most. */
export const MAX_SIGNERS = 256;

const VERSION = 2;
const HEADER = 42;
const MAGIC = Uint8Array.of(0x4d, 0x59, 0x54, 0x48);

/** A packet as it was parsed or is being made; nothing in it is authenticated. */
export interface Packet {
  readonly codec: number;
  readonly codebook: Hash;
  readonly entries: readonly SigBlockEntry[];
  /** As on the wire. */
  readonly payload: Uint8Array;
}

/** Returns an unsigned packet under the baseline codebook. */
export function newPacket(codec: number, payload: Uint8Array): Packet {
  if (codec === CODEC_CAN) validate(payload);
  else if (codec === CODEC_ZSTD) scanFrame(payload);
  else throw new MythosError("wire_codec", `codec ${codec}, want 1 or 2`);
  return { codec, codebook: BASELINE_ID, entries: [], payload };
}

/** Parses a packet. A payload of codec 2 is checked by bundleOf. */
export function parsePacket(raw: Uint8Array): Packet {
  const { codec, codebook } = parseHeader(raw);
  const sigblock = part(raw, HEADER, "wire_sigblock_length", "sigblock");
  const entries = parseSigblock(raw.subarray(sigblock.start, sigblock.end), sigblock.start);
  const { start, end } = part(raw, sigblock.end, "wire_payload_length", "payload");
  if (end !== raw.length) throw new MythosError("wire_trailing", `${raw.length - end} bytes after the payload`, end);
  const payload = raw.subarray(start, end);
  if (codec === CODEC_CAN) shifted(start, "payload", () => validate(payload));
  return { codec, codebook, entries, payload };
}

function parseHeader(raw: Uint8Array): { codec: number; codebook: Hash } {
  if (!startsWith(raw, MAGIC)) throw new MythosError("wire_magic", "the input does not begin with MYTH", 0);
  if (raw.length < HEADER) throw new MythosError("wire_truncated", `${raw.length} bytes, a header has ${HEADER}`, raw.length);
  const view = new DataView(raw.buffer, raw.byteOffset, HEADER);
  const version = view.getUint16(4);
  const flags = view.getUint16(6);
  const codec = view.getUint8(8);
  const codebook = raw.subarray(10, HEADER);
  if (version !== VERSION) throw new MythosError("wire_version", `version ${version}, want ${VERSION}`, 4);
  if (flags !== 0) throw new MythosError("wire_flags", `flags 0x${flags.toString(16)}, none is defined`, 6);
  if (codec !== CODEC_CAN && codec !== CODEC_ZSTD) throw new MythosError("wire_codec", `codec ${codec}, want 1 or 2`, 8);
  if (raw[9] !== 1) throw new MythosError("wire_codebook", `codebook id with hash algorithm ${raw[9]}, want 1`, 9);
  if (!equalHashes(codebook, BASELINE_ID)) {
    throw new MythosError("wire_codebook", `codebook ${hashText(codebook)}, want ${hashText(BASELINE_ID)}`, 9);
  }
  return { codec, codebook };
}

/** Returns where the bytes behind the length varint at offset at begin and end. */
function part(raw: Uint8Array, at: number, code: string, name: string): { start: number; end: number } {
  const r = new Reader(raw.subarray(at));
  const n = shifted(at, `${name} length`, () => r.varint(0));
  const start = at + r.off;
  if (n > raw.length - start) throw new MythosError(code, `a ${name} of ${n} bytes, ${raw.length - start} bytes left`, at);
  return { start, end: start + n };
}

function parseSigblock(b: Uint8Array, at: number): SigBlockEntry[] {
  return shifted(at, "sigblock", () => {
    const r = new Reader(b);
    const count = r.list();
    if (count > MAX_SIGNERS) r.fail("wire_signers", 0, `${count} signature entries, at most ${MAX_SIGNERS}`);
    const entries: SigBlockEntry[] = [];
    for (let n = count; n > 0; n--) entries.push(readSigBlockEntry(r));
    r.leave();
    r.done();
    return entries;
  });
}

/** Runs f and makes the offset of its error in a part one in the packet. */
function shifted<T>(by: number, what: string, f: () => T): T {
  try {
    return f();
  } catch (e) {
    if (!(e instanceof MythosError) || e.offset === NO_OFFSET) throw e;
    throw new MythosError(e.code, `${what}: ${e.reason}`, e.offset + by);
  }
}

function header(p: Packet): Uint8Array {
  return concatBytes(MAGIC, Uint8Array.of(0, VERSION, 0, 0, p.codec, 1), p.codebook);
}

/** Returns the packet's bytes. */
export function encodePacket(p: Packet): Uint8Array {
  const w = new Writer();
  w.list(p.entries.length);
  for (const e of p.entries) writeSigBlockEntry(w, e);
  const sigblock = w.take();
  return concatBytes(header(p), varint(sigblock.length), sigblock, varint(p.payload.length), p.payload);
}

/** Returns what is signed: SHA-256(header || payload as on the wire). */
export function packetDigest(p: Packet): Hash {
  return hashOf(concatBytes(header(p), p.payload));
}

/** Returns p with by's signature, in the place of any earlier entry of that key; entries ascend by key id. */
export function signPacket(p: Packet, by: Signer): Packet {
  const sig_bytes = by.sign(packetDigest(p));
  const others = p.entries.filter((e) => !sameAgent(e.signer, by.agent));
  const entries = [...others, { signer: by.agent, sig_alg: ED25519, sig_bytes }];
  entries.sort((a, b) => compareBytes(keyId(a.signer), keyId(b.signer)));
  return { ...p, entries };
}

/** What is known of one signature entry; only "verified" counts. */
export type EntryState = "unsigned" | "invalid" | "verified";

/** Checks every signature entry and returns the verdicts in the packet's order. */
export function verifyPacket(p: Packet): { signer: AgentID; state: EntryState }[] {
  const digest = packetDigest(p);
  return p.entries.map((e) => ({ signer: e.signer, state: stateOf(e, digest) }));
}

function stateOf(e: SigBlockEntry, digest: Hash): EntryState {
  if (e.sig_bytes.length === 0) return "unsigned";
  try {
    verify(e.signer, digest, { alg: e.sig_alg, sig_bytes: e.sig_bytes });
    return "verified";
  } catch (err) {
    if (!(err instanceof MythosError)) throw err;
    return "invalid";
  }
}

/** Returns the agents with a verified signature, each key once. */
export function packetSigners(p: Packet): AgentID[] {
  const out: AgentID[] = [];
  for (const { signer, state } of verifyPacket(p)) {
    if (state === "verified" && !out.some((o) => sameAgent(o, signer))) out.push(signer);
  }
  return out;
}

/** Options of reading a payload. */
export interface BundleOptions {
  /** Decompresses one zstd frame; absent: codec 2 is wire_codec_unavailable. */
  readonly decompress?: Decompress;
  /** Bytes of the decompressed payload, at most; 64 MiB by default. */
  readonly maxBundle?: number;
}

/**
 * Returns the canonical bytes that the payload holds, whose SHA-256 is the
 * bundle's hash. It verifies no signature.
 */
export function bundleOf(p: Packet, options: BundleOptions = {}): Uint8Array {
  if (p.codec === CODEC_CAN) return p.payload;
  if (p.codec !== CODEC_ZSTD) throw new MythosError("wire_codec", `codec ${p.codec}, want 1 or 2`);
  if (options.decompress === undefined) {
    throw new MythosError("wire_codec_unavailable", "codec 2 (zstd) is not available here");
  }
  return decompressBundle(p.payload, options.decompress, options.maxBundle);
}
