/**
 * Payloads of codec 2 (RFC-MYTHOS-0001 §5): exactly one zstd frame (RFC 8878,
 * 3.1.1) without a dictionary. The structure is checked here by its headers
 * alone, because decompressors differ in whether they read several frames or
 * ignore what follows one; decompressing is the caller's.
 */

import { validate } from "./can/valid.js";
import { MythosError } from "./fault.js";

/** Bytes of a decompressed payload, at most, unless told otherwise. */
export const DEFAULT_MAX_BUNDLE = 67108864;

/**
 * Decompresses one zstd frame, whose structure and window were checked, to at
 * most limit bytes: it throws, or returns more than limit bytes, if there are
 * more.
 */
export type Decompress = (frame: Uint8Array, limit: number) => Uint8Array;

/** The window that every decoder should support. */
const LEAST_WINDOW = 8388608;
const MAX_BLOCK = 131072;
const MAGIC = 0xfd2fb528;

/** What the header of a frame announces. */
export interface FrameHead {
  /** Bytes of history that a decoder needs. */
  readonly window: bigint;
  /** Bytes of content, if the frame says so. */
  readonly size: bigint | undefined;
}

const corrupt = (reason: string, at?: number): never => {
  throw new MythosError("wire_compressed", reason, at);
};

/** Checks that b is exactly one frame and returns what its header announces. */
export function scanFrame(b: Uint8Array): FrameHead {
  const view = new DataView(b.buffer, b.byteOffset, b.length);
  if (b.length < 6 || view.getUint32(0, true) !== MAGIC) corrupt("the payload is not a zstd frame", 0);
  const { head, end } = frameHead(b);
  let at = end;
  for (let last = false; !last; ) {
    if (b.length - at < 3) corrupt("the frame ends before its last block", at);
    const word = b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16);
    last = (word & 1) === 1;
    const kind = (word >> 1) & 3;
    const announced = word >> 3;
    if (kind === 3 || announced > MAX_BLOCK) corrupt(`a block of type ${kind} with ${announced} bytes`, at);
    const size = kind === 1 ? 1 : announced; // one byte, repeated
    at += 3;
    if (size > b.length - at) corrupt(`a block of ${size} bytes, ${b.length - at} bytes left`, at);
    at += size;
  }
  if (b[4]! & 4) at += 4; // content checksum
  if (at !== b.length) corrupt(`the frame has ${at} bytes, the payload ${b.length}`, Math.min(at, b.length));
  return head;
}

/** Reads the frame header behind the magic number; b has at least 6 bytes. */
function frameHead(b: Uint8Array): { head: FrameHead; end: number } {
  const descriptor = b[4]!;
  const single = (descriptor & 0x20) !== 0;
  if (descriptor & 0x0b) corrupt("a frame with a reserved bit or a dictionary", 4);
  let at = 5;
  let window = 0n;
  if (!single) {
    const base = 1n << BigInt(10 + (b[at]! >> 3));
    window = base + (base / 8n) * BigInt(b[at]! & 7);
    at++;
  }
  const n = [single ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  if (b.length - at < n) corrupt("the frame header ends early", at);
  let size = n === 2 ? 256n : 0n;
  for (let i = 0; i < n; i++) size += BigInt(b[at + i]!) << BigInt(8 * i);
  return { head: { window: single ? size : window, size: n > 0 ? size : undefined }, end: at + n };
}

/** Decompresses a payload within a bound and checks that it is one canonical value. */
export function decompressBundle(payload: Uint8Array, decompress: Decompress, limit = DEFAULT_MAX_BUNDLE): Uint8Array {
  const f = scanFrame(payload);
  if ((f.size ?? 0n) > BigInt(limit) || f.window > BigInt(Math.max(limit, LEAST_WINDOW))) {
    throw new MythosError("wire_too_large", `a frame of ${f.size ?? "?"} bytes with a window of ${f.window}, at most ${limit}`);
  }
  let out: Uint8Array;
  try {
    out = decompress(payload, limit);
  } catch (e) {
    throw new MythosError("wire_compressed", `decompress the payload: ${String(e)}`, undefined, e);
  }
  if (out.length > limit) throw new MythosError("wire_too_large", `the payload decompresses to more than ${limit} bytes`);
  if (f.size !== undefined && BigInt(out.length) !== f.size) {
    corrupt(`the frame holds ${out.length} bytes and announces ${f.size}`);
  }
  validate(out);
  return out;
}
