/** Writing chunked blobs (RFC-MYTHOS-0004 §3), and the rule that names an artifact. */

import { type Hash, equalHashes, hashOf, hashText } from "../cid.js";
import { MythosError } from "../fault.js";
import { BlobRef, type Chunk, ChunkInternal, ChunkLeaf } from "../gen/blob.js";
import { Layers, type Subtree } from "../merkle/build.js";
import { CHUNK_INTERNAL, CHUNK_LEAF, FANOUT, type Put, closeNode } from "../merkle/node.js";
import { MAX_SIZE } from "./layout.js";

/** Chunk sizes that writers choose, in bytes. */
export const MIN_CHUNK_SIZE = 262144;
export const MAX_CHUNK_SIZE = 16777216;
export const DEFAULT_CHUNK_SIZE = 4194304;

/** A chunked blob. */
export interface BlobTree {
  /** Undefined if the blob is empty. */
  readonly root: Hash | undefined;
  readonly size: number;
  readonly chunks: number;
  readonly chunkSize: number;
}

/** Returns the root, or the SHA-256 of no bytes for the empty blob. */
export function blobCid(t: BlobTree): Hash {
  return t.root ?? hashOf(new Uint8Array(0));
}

/**
 * Builds a chunked blob from chunks that come one by one and hands every chunk
 * and node to put, children before parents. Readers who recompute a root may
 * choose any chunk size from 1 to 2^32-1.
 */
export class BlobBuilder {
  private leaf: Chunk[] = [];
  private size = 0;
  private chunks = 0;
  private short = false; // the last chunk was short: the blob has ended
  private readonly chunkSize: number;
  private readonly put: Put | undefined;
  private readonly layers = new Layers((children) => this.join(children));

  /** Without put the root alone is computed. */
  constructor(chunkSize: number, put?: Put) {
    if (!Number.isInteger(chunkSize) || chunkSize < 1 || chunkSize > 0xffffffff) {
      throw new MythosError("blob_chunk_size", `chunk size ${chunkSize}, want 1 to 2^32-1`);
    }
    this.chunkSize = chunkSize;
    this.put = put;
  }

  /** Appends a chunk of exactly the chunk size, or a shorter one, not empty, which ends the blob. */
  add(chunk: Uint8Array): void {
    if (chunk.length === 0 || chunk.length > this.chunkSize || this.short) {
      const what = `chunk ${this.chunks} has ${chunk.length} bytes`;
      throw new MythosError("blob_chunk_size", `${what}; all but the last have ${this.chunkSize}`);
    }
    if (this.size + chunk.length > MAX_SIZE) throw new MythosError("blob_range", `a blob has at most ${MAX_SIZE} bytes`);
    const hash = hashOf(chunk);
    this.put?.(hash, chunk);
    this.short = chunk.length < this.chunkSize;
    this.size += chunk.length;
    this.chunks++;
    this.leaf.push({ hash, len: chunk.length });
    if (this.leaf.length < FANOUT) return;
    this.layers.add(this.closeLeaf());
    this.leaf = [];
  }

  /** Returns the tree over the chunks so far. */
  tree(): BlobTree {
    const root = this.layers.root(this.leaf.length > 0 ? this.closeLeaf() : undefined)?.id;
    return { root, size: this.size, chunks: this.chunks, chunkSize: this.chunkSize };
  }

  private closeLeaf(): Subtree {
    const size = this.leaf.reduce((n, c) => n + c.len, 0);
    const payload = ChunkLeaf.encode({ chunk_size: this.chunkSize, chunks: this.leaf, total_size: BigInt(size) });
    return { id: this.emit(CHUNK_LEAF, payload), count: this.leaf.length, size };
  }

  private join(children: Subtree[]): Subtree {
    const count = children.reduce((n, c) => n + c.count, 0);
    const size = children.reduce((n, c) => n + c.size, 0);
    const payload = ChunkInternal.encode({
      chunk_size: this.chunkSize,
      children: children.map((c) => c.id),
      total_size: BigInt(size),
      chunk_count: BigInt(count),
    });
    return { id: this.emit(CHUNK_INTERNAL, payload), count, size };
  }

  private emit(kind: number, payload: Uint8Array): Hash {
    const { id, raw } = closeNode(kind, payload);
    this.put?.(id, raw);
    return id;
  }
}

/** Cuts b into chunks and returns its tree; put gets every chunk and node. */
export function blobTree(b: Uint8Array, chunkSize: number = DEFAULT_CHUNK_SIZE, put?: Put): BlobTree {
  const builder = new BlobBuilder(chunkSize, put);
  for (let at = 0; at < b.length; at += chunkSize) builder.add(b.subarray(at, at + chunkSize));
  return builder.tree();
}

/** The greatest size of an artifact that is one object; above, it is chunked by exactly this size. */
export const FLAT_LIMIT = 4194304;

/** Names an artifact (RFC-MYTHOS-0006 §3): by size it is known how cid was made, and both hashes count. */
export interface ArtifactId {
  readonly cid: Hash;
  readonly size: number;
  readonly sha256: Hash;
}

/** Returns the id of an artifact's bytes. */
export function artifactOf(b: Uint8Array): ArtifactId {
  const sha256 = hashOf(b);
  return { cid: b.length <= FLAT_LIMIT ? sha256 : blobCid(blobTree(b, FLAT_LIMIT)), size: b.length, sha256 };
}

/** Throws unless b is exactly what id names: size (artifact_size), then hashes (artifact_hash). */
export function checkArtifact(id: { readonly cid: Hash; readonly size: bigint | number; readonly sha256: Hash }, b: Uint8Array): void {
  const about = `artifact ${hashText(id.cid)}`;
  if (BigInt(b.length) !== BigInt(id.size)) throw new MythosError("artifact_size", `${about}: ${b.length} bytes, want ${id.size}`);
  const got = artifactOf(b);
  if (!equalHashes(got.sha256, id.sha256)) {
    throw new MythosError("artifact_hash", `${about}: the bytes' SHA-256 is ${hashText(got.sha256)}, want ${hashText(id.sha256)}`);
  }
  if (!equalHashes(got.cid, id.cid)) throw new MythosError("artifact_hash", `${about}: the bytes' id is ${hashText(got.cid)}`);
}

/** Decodes a BlobRef and checks that its size and chunk count can belong together. */
export function decodeBlobRef(raw: Uint8Array): BlobRef {
  const x = BlobRef.decode(raw);
  checkBlobRef(x);
  return x;
}

/** Throws unless the size and chunk count of a BlobRef can belong together. */
export function checkBlobRef(x: BlobRef): void {
  if (x.size > BigInt(MAX_SIZE) || BigInt(x.chunks) > x.size) {
    throw new MythosError("blob_size", `${hashText(x.cid)}: ${x.size} bytes in ${x.chunks} chunks`);
  }
  if (x.size === 0n && !equalHashes(x.cid, hashOf(new Uint8Array(0)))) {
    throw new MythosError("blob_hash", `${hashText(x.cid)}: an empty blob is named by the hash of no bytes`);
  }
}
