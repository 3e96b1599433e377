/**
 * Reading chunked blobs from a root alone (RFC-MYTHOS-0004 §6), and proofs of
 * their chunks (RFC-MYTHOS-0004 §5).
 */

import { joinBytes } from "../bytes.js";
import { type Hash, equalHashes, hashOf, hashText } from "../cid.js";
import { MythosError } from "../fault.js";
import type { BlobRef, Chunk } from "../gen/blob.js";
import { Cursor } from "../merkle/cursor.js";
import { type Get, MAX_NODE } from "../merkle/node.js";
import { checkIn, checkRangeIn, proveIn, proveRangeIn } from "../merkle/proof.js";
import { MAX_CHUNK_SIZE, checkBlobRef } from "./build.js";
import { type ByteRange, Layout } from "./layout.js";

/** What a BlobVerifier needs next. */
export interface BlobWant {
  readonly id: Hash;
  /** Bytes: exactly the chunk's length, at most a node's. */
  readonly limit: number;
  /** A node; otherwise a chunk. */
  readonly node: boolean;
  /** The chunk's number, or that of the first chunk under the node. */
  readonly index: number;
}

/**
 * Checks a blob from its root alone, in the order in which nodes and chunks
 * stand in the tree: it says what is due and accepts exactly that. What is
 * refused changes nothing, so a copy from elsewhere may be tried.
 */
export class BlobVerifier {
  private readonly form = new Layout();
  private readonly cursor: Cursor;

  constructor(root: Hash) {
    this.cursor = new Cursor(this.form, root);
  }

  /** Returns what is due next, undefined when the range is complete. */
  want(): BlobWant | undefined {
    const w = this.cursor.want();
    if (w === undefined) return undefined;
    return { id: w.id, limit: w.item ? this.form.lengthOf(w.index) : MAX_NODE, node: !w.item, index: w.index };
  }

  /** Accepts the node or chunk that is due, or throws what is wrong with b. */
  give(b: Uint8Array): void {
    const w = this.want();
    if (w === undefined || w.node) return this.cursor.node(b);
    checkChunk({ hash: w.id, len: w.limit }, b);
    this.cursor.take();
  }

  /** Steps over the chunk that is due without its bytes. */
  skip(): void {
    this.cursor.take();
  }

  /** Continues with the chunks that hold the bytes of a range; the root must have been accepted. */
  seek(range: ByteRange): void {
    const s = this.form.spanOf(range);
    this.cursor.seek(BigInt(s.first), BigInt(s.count));
  }

  /** The blob's size in bytes, 0 before the root was accepted. */
  get size(): number {
    return this.form.size;
  }

  /** The number of chunks, 0 before the root was accepted. */
  get chunks(): number {
    return this.form.chunks;
  }

  /** The length of every chunk but the last, 0 before the root was accepted. */
  get chunkSize(): number {
    return this.form.chunkSize;
  }
}

/** Throws blob_chunk unless b is the chunk that x names. */
export function checkChunk(x: Chunk, b: Uint8Array): void {
  if (b.length !== x.len) throw new MythosError("blob_chunk", `${hashText(x.hash)}: got ${b.length} bytes, want ${x.len}`);
  const got = hashOf(b);
  if (!equalHashes(got, x.hash)) {
    throw new MythosError("blob_chunk", `${hashText(x.hash)}: the chunk's bytes hash to ${hashText(got)}`);
  }
}

/**
 * Yields the verified bytes of a chunked blob, or of a range of it, chunk by
 * chunk, and throws at the first item that is wrong. fetch may be asynchronous
 * and need not be trusted.
 */
export async function* readBlob(
  root: Hash,
  fetch: (id: Hash, limit: number) => Uint8Array | Promise<Uint8Array>,
  range?: ByteRange,
): AsyncGenerator<Uint8Array, void, void> {
  const v = new BlobVerifier(root);
  v.give(await fetch(root, MAX_NODE));
  const all = { offset: 0, length: v.size };
  const { offset, length } = range ?? all;
  v.seek({ offset, length });
  for (let w = v.want(); w !== undefined; w = v.want()) {
    const b = await fetch(w.id, w.limit);
    v.give(b);
    if (w.node) continue;
    const start = w.index * v.chunkSize;
    yield b.subarray(Math.max(0, offset - start), Math.min(b.length, offset + length - start));
  }
}

/**
 * Returns the bytes that a BlobRef names, all of them verified; get supplies its
 * objects. A blob that is stored as one object has at most 16 MiB.
 */
export function openBlobRef(x: BlobRef, get: Get): Uint8Array {
  checkBlobRef(x);
  if (x.chunks === 0) return openFlat(x.cid, x.size, get);
  const v = new BlobVerifier(x.cid);
  v.give(get(x.cid, MAX_NODE));
  if (BigInt(v.size) !== x.size || v.chunks !== x.chunks) {
    const tree = `the tree has ${v.size} in ${v.chunks}`;
    throw new MythosError("blob_size", `${hashText(x.cid)}: ${x.size} bytes in ${x.chunks} chunks, ${tree}`);
  }
  const parts: Uint8Array[] = [];
  for (let w = v.want(); w !== undefined; w = v.want()) {
    const b = get(w.id, w.limit);
    v.give(b);
    if (!w.node) parts.push(b);
  }
  return joinBytes(parts);
}

function openFlat(id: Hash, size: bigint, get: Get): Uint8Array {
  if (size > BigInt(MAX_CHUNK_SIZE)) {
    throw new MythosError("blob_size", `${hashText(id)}: ${size} bytes in one object, at most ${MAX_CHUNK_SIZE}`);
  }
  if (size === 0n) return new Uint8Array(0); // checkBlobRef has seen to the cid
  const b = get(id, Number(size));
  const got = hashOf(b);
  if (!equalHashes(got, id)) throw new MythosError("blob_hash", `${hashText(id)}: the bytes hash to ${hashText(got)}`);
  if (BigInt(b.length) !== size) throw new MythosError("blob_size", `${hashText(id)}: ${b.length} bytes, want ${size}`);
  return b;
}

/**
 * What an inclusion proof has shown: the blob has exactly size bytes in chunks
 * of chunkSize, and chunk is number index. Its bytes are still to be checked.
 */
export interface IncludedChunk {
  readonly chunk: Chunk;
  readonly index: number;
  readonly size: number;
  readonly chunkSize: number;
}

/** Makes the inclusion proof of a chunk. */
export function proveChunk(root: Hash, get: Get, index: number): Uint8Array {
  return proveIn(new Layout(), root, get, index);
}

/** Verifies an inclusion proof of a chunk. */
export function checkChunkProof(root: Hash, proof: Uint8Array): IncludedChunk {
  const form = new Layout();
  const found = checkIn(form, root, proof);
  const chunk = { hash: found.id, len: form.lengthOf(found.index) };
  return { chunk, index: found.index, size: form.size, chunkSize: form.chunkSize };
}

/** What a range proof has shown: where the bytes of a range lie. */
export interface Slice {
  /** Of the whole blob. */
  readonly size: number;
  readonly chunkSize: number;
  /** Number of the first chunk. */
  readonly first: number;
  /** All chunks that hold bytes of the range; their bytes are still to be checked. */
  readonly chunks: readonly Chunk[];
}

/** Makes the range proof of the chunks that hold the bytes of a range. */
export function proveBytes(root: Hash, get: Get, range: ByteRange): Uint8Array {
  const v = new Layout();
  const c = new Cursor(v, root);
  c.node(get(root, MAX_NODE));
  return proveRangeIn(new Layout(), root, get, v.spanOf(range));
}

/** Verifies a range proof, which must be that of exactly the bytes of a range. */
export function checkBytesProof(root: Hash, range: ByteRange, proof: Uint8Array): Slice {
  const form = new Layout();
  const found = checkRangeIn(form, root, proof);
  const want = form.spanOf(range);
  if (want.first !== found.first || want.count !== found.ids.length) {
    const got = `a proof of chunks ${found.first} to ${found.first + found.ids.length}`;
    throw new MythosError("merkle_proof", `${hashText(root)}: ${got}, want ${want.first} to ${want.first + want.count}`);
  }
  const chunks = found.ids.map((hash, i) => ({ hash, len: form.lengthOf(found.first + i) }));
  return { size: form.size, chunkSize: form.chunkSize, first: found.first, chunks };
}
