/**
 * The form of chunk trees (RFC-MYTHOS-0004 §3): what the root says about sizes
 * decides what every other node must say.
 */

import { MythosError } from "../fault.js";
import { type Hash } from "../cid.js";
import { ChunkInternal, ChunkLeaf } from "../gen/blob.js";
import { CHUNK_INTERNAL, CHUNK_LEAF, MAX_COUNT, decodeExact } from "../merkle/node.js";
import { type Content, type Form, type Span, endOf } from "../merkle/shape.js";

/** Bytes of a blob, at most. */
export const MAX_SIZE = MAX_COUNT;

/** A run of bytes that is proved or read: n of them, from offset on. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

export class Layout implements Form {
  chunkSize = 0;
  size = 0;
  chunks = 0;

  open(kind: number, payload: Uint8Array, at: Span | undefined): Content {
    if (kind === CHUNK_LEAF) return this.openLeaf(payload, at);
    if (kind === CHUNK_INTERNAL) {
      const x = decodeExact(ChunkInternal, payload);
      this.check(x.chunk_size, x.total_size, x.chunk_count, at);
      return { leaf: false, count: x.chunk_count, ids: x.children };
    }
    throw new MythosError("merkle_kind", `a node of kind ${kind} in a chunked blob`);
  }

  private openLeaf(payload: Uint8Array, at: Span | undefined): Content {
    const x = decodeExact(ChunkLeaf, payload);
    const count = BigInt(x.chunks.length);
    this.check(x.chunk_size, x.total_size, count, at);
    const first = at?.first ?? 0;
    const ids: Hash[] = [];
    x.chunks.forEach((c, i) => {
      const want = this.lengthOf(first + i);
      if (c.len !== want) throw new MythosError("merkle_shape", `chunk ${first + i} has ${c.len} bytes, want ${want}`);
      ids.push(c.hash);
    });
    return { leaf: true, count, ids };
  }

  /**
   * Holds a node's sizes against those that its place must have. The root has no
   * place: there they must agree with each other, and are remembered.
   */
  private check(chunkSize: number, size: bigint, chunks: bigint, at: Span | undefined): void {
    if (at !== undefined) {
      const want = this.bytesOf(at);
      if (chunkSize === this.chunkSize && size === BigInt(want)) return;
      const got = `${size} bytes in chunks of ${chunkSize}`;
      throw new MythosError("merkle_shape", `chunks ${at.first} to ${endOf(at)}: ${got}, want ${want} in chunks of ${this.chunkSize}`);
    }
    const step = BigInt(chunkSize);
    if (step === 0n || size === 0n || size > BigInt(MAX_SIZE) || chunks !== (size + step - 1n) / step) {
      throw new MythosError("merkle_shape", `a root of ${size} bytes in ${chunks} chunks of ${chunkSize}`);
    }
    this.chunkSize = chunkSize;
    this.size = Number(size);
    this.chunks = Number(chunks);
  }

  /** How many bytes the chunks of s hold. */
  private bytesOf(s: Span): number {
    const end = Math.min(endOf(s), this.chunks);
    return s.first >= end ? 0 : Math.min(end * this.chunkSize, this.size) - s.first * this.chunkSize;
  }

  /** The length of chunk i, 0 if there is none. */
  lengthOf(i: number): number {
    return this.bytesOf({ first: i, count: 1 });
  }

  /** The chunks that hold the bytes of a range, of which there must be one at least. */
  spanOf({ offset, length }: ByteRange): Span {
    const sound = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length > 0;
    if (!sound || offset > this.size || length > this.size - offset) {
      throw new MythosError("blob_range", `${length} bytes from ${offset} on of a blob of ${this.size}`);
    }
    const first = Math.floor(offset / this.chunkSize);
    return { first, count: Math.floor((offset + length - 1) / this.chunkSize) - first + 1 };
  }
}
