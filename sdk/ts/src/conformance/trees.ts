/** The ops of the suites merkle and blob (ctvp/README.md). */

import { BlobBuilder, DEFAULT_CHUNK_SIZE, FLAT_LIMIT, MAX_CHUNK_SIZE, MIN_CHUNK_SIZE, blobCid, decodeBlobRef } from "../blob/build.js";
import { BlobVerifier, checkBytesProof, checkChunk, checkChunkProof, openBlobRef } from "../blob/verify.js";
import { concatBytes, joinBytes } from "../bytes.js";
import { type Hash, equalHashes, hashOf, parseHash } from "../cid.js";
import { MythosError } from "../fault.js";
import type { Chunk } from "../gen/blob.js";
import { ListBuilder } from "../merkle/build.js";
import type { Get } from "../merkle/node.js";
import { checkListItem, checkListRange } from "../merkle/proof.js";
import { Sha256 } from "../sha256.js";
import type { Op } from "./ops.js";
import { type Input, type Json, Unsupported, hashOut } from "./input.js";

/** SHA-256 of seed and i as eight big-endian bytes: value i of a formula. */
function formulaHash(seed: Uint8Array, i: number): Hash {
  const number = new Uint8Array(8);
  new DataView(number.buffer).setBigUint64(0, BigInt(i));
  return hashOf(concatBytes(seed, number));
}

export const merkleOps: Record<string, Op> = {
  "merkle.root": (input) => {
    let nodes = 0;
    const b = new ListBuilder(() => nodes++);
    for (const v of input.has("values") ? input.strings("values") : []) b.add(parseHash(v));
    if (input.has("formula")) {
      const f = input.object("formula");
      const seed = f.hex("seed");
      const count = Number(f.big("count"));
      for (let i = 0; i < count; i++) b.add(formulaHash(seed, i));
    }
    const root = hashOut(b.root()); // before nodes is read: it makes the last ones
    return { root, nodes };
  },
  "merkle.verify": (input) => {
    const x = checkListItem(input.hash("root"), input.hex("proof"));
    return { value: hashOut(x.id), index: BigInt(x.index), count: BigInt(x.count) };
  },
  "merkle.range": (input) => {
    const x = checkListRange(input.hash("root"), input.hex("proof"));
    return { values: x.ids.map(hashOut), first: BigInt(x.first), count: BigInt(x.count) };
  },
};

/** Yields the payload of an input, given or by formula, in pieces of any length. */
function* payload(input: Input): Generator<Uint8Array> {
  if (input.has("hex")) return yield input.hex("hex");
  const f = input.object("formula");
  const seed = f.hex("seed");
  let left = Number(f.big("size"));
  for (let i = 0; left > 0; i++, left -= 32) yield formulaHash(seed, i).subarray(0, left);
}

/** Yields the same bytes in chunks of exactly size bytes, the last one shorter. */
function* chunked(pieces: Iterable<Uint8Array>, size: number): Generator<Uint8Array> {
  const chunk = new Uint8Array(size);
  let used = 0;
  for (let piece of pieces) {
    while (piece.length > 0) {
      const n = Math.min(piece.length, size - used);
      chunk.set(piece.subarray(0, n), used);
      used += n;
      piece = piece.subarray(n);
      if (used < size) continue;
      yield chunk;
      used = 0;
    }
  }
  if (used > 0) yield chunk.subarray(0, used);
}

function blobRoot(input: Input, chunkSize: number): Json {
  const b = new BlobBuilder(chunkSize);
  const flat = new Sha256();
  for (const chunk of chunked(payload(input), chunkSize)) {
    flat.update(chunk);
    b.add(chunk);
  }
  const t = b.tree();
  return { root: hashOut(t.root), chunks: BigInt(t.chunks), flat: hashOut(flat.digest()) };
}

/** Chooses the chunk size as writers do; 0 is the default. */
function writtenChunkSize(n: number): number {
  if (n === 0) return DEFAULT_CHUNK_SIZE;
  if (n >= MIN_CHUNK_SIZE && n <= MAX_CHUNK_SIZE) return n;
  throw new MythosError("blob_chunk_size", `chunk size ${n}, want ${MIN_CHUNK_SIZE} to ${MAX_CHUNK_SIZE}`);
}

const chunkOut = (c: Chunk): Json => ({ hash: hashOut(c.hash), len: c.len });

/** A source that answers with one part after another, whatever it is asked for. */
function answers(parts: readonly Uint8Array[]): Get {
  let next = 0;
  return () => {
    const p = parts[next++];
    if (p === undefined) throw new MythosError("merkle_proof", "the source ends early");
    return p;
  };
}

/** Turns a u64 of an input into a number; one beyond 2^53 is outside every blob. */
const offset = (v: bigint): number => Number(v);

function stream(input: Input): Json {
  const v = new BlobVerifier(input.hash("root"));
  const got: Uint8Array[] = [];
  const range = input.has("length") ? { offset: offset(input.big("offset")), length: offset(input.big("length")) } : undefined;
  input.hexes("parts").forEach((part, i) => {
    const w = v.want();
    v.give(part);
    if (w !== undefined && !w.node) got.push(part);
    if (i === 0 && range !== undefined) v.seek(range);
  });
  if (v.want() !== undefined) throw new MythosError("merkle_proof", "the stream ends early");
  const all = joinBytes(got);
  if (range === undefined) return { bytes: all };
  const start = range.offset % v.chunkSize;
  return { bytes: all.subarray(start, start + range.length) };
}

function artifact(input: Input): Json {
  if (input.has("parts")) throw new Unsupported(); // there is no reader of artifacts from a source
  const parts: Uint8Array[] = [];
  for (const c of chunked(payload(input), 1 << 16)) parts.push(c.slice());
  const whole = joinBytes(parts);
  const sha256 = hashOf(whole);
  let cid = sha256;
  if (whole.length > FLAT_LIMIT) {
    const b = new BlobBuilder(FLAT_LIMIT);
    for (const chunk of chunked([whole], FLAT_LIMIT)) b.add(chunk);
    cid = blobCid(b.tree());
  }
  if (!input.has("is")) return { cid: hashOut(cid), size: BigInt(whole.length), sha256: hashOut(sha256) };
  const is = input.object("is");
  const size = is.big("size");
  const wrong = (code: string, why: string): never => {
    throw new MythosError(code, why);
  };
  if (size !== BigInt(whole.length)) wrong("blob_size", `${whole.length} bytes, want ${size}`);
  if (!equalHashes(is.hash("sha256"), sha256)) wrong("blob_hash", "the SHA-256 is another");
  if (!equalHashes(is.hash("cid"), cid)) wrong("blob_hash", "the id is another");
  return { cid: is.text("cid"), size, sha256: is.text("sha256") };
}

export const blobOps: Record<string, Op> = {
  "blob.root": (input) => blobRoot(input, input.int("chunk_size")),
  "blob.write": (input) => blobRoot(input, writtenChunkSize(input.int("chunk_size"))),
  "blob.verify": (input) => {
    const x = checkChunkProof(input.hash("root"), input.hex("proof"));
    if (input.has("chunk")) checkChunk(x.chunk, input.hex("chunk"));
    return { chunk: chunkOut(x.chunk), index: BigInt(x.index), size: BigInt(x.size), chunk_size: x.chunkSize };
  },
  "blob.range": (input) => {
    const range = { offset: offset(input.big("offset")), length: offset(input.big("length")) };
    const x = checkBytesProof(input.hash("root"), range, input.hex("proof"));
    return { chunks: x.chunks.map(chunkOut), first: BigInt(x.first), size: BigInt(x.size), chunk_size: x.chunkSize };
  },
  "blob.stream": stream,
  "blob.ref": (input) => {
    const x = decodeBlobRef(input.hex("hex"));
    const bytes = input.has("parts") ? openBlobRef(x, answers(input.hexes("parts"))) : undefined;
    return { cid: hashOut(x.cid), size: x.size, codec: x.codec, chunks: x.chunks, bytes };
  },
  "blob.artifact": artifact,
};
