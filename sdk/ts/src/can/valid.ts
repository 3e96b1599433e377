/** Checks of bytes that no struct describes, and varints without a tag (RFC-MYTHOS-0001 §2.1). */

import { MythosError } from "../fault.js";
import { Reader } from "./reader.js";

/** Throws unless b is exactly one canonical value. */
export function validate(b: Uint8Array): void {
  const r = new Reader(b);
  r.skip();
  r.done();
}

/** Reports whether b is exactly one canonical value. */
export function isCanonical(b: Uint8Array): boolean {
  try {
    validate(b);
    return true;
  } catch (e) {
    if (e instanceof MythosError) return false;
    throw e;
  }
}

/**
 * Reads one minimal varint without a tag at the start of b and returns it with
 * its length; greater values than 2^53-1 are only known to be greater.
 */
export function readVarint(b: Uint8Array): { value: number; length: number } {
  const r = new Reader(b);
  return { value: r.varint(0), length: r.off };
}

/** Returns n, an integer of 0..2^53-1, as a varint. */
export function varint(n: number): Uint8Array {
  const out: number[] = [];
  for (; n >= 128; n = Math.floor(n / 128)) out.push((n % 128) | 0x80);
  out.push(n);
  return Uint8Array.from(out);
}
