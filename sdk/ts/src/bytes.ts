/**
 * Byte strings: comparison, hexadecimal and UTF-8, without anything that only
 * one platform has.
 */

import { MythosError } from "./fault.js";

/** Orders byte strings bytewise, unsigned; a prefix comes first. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    if (a[i] !== b[i]) return a[i]! < b[i]! ? -1 : 1;
  }
  return Math.sign(a.length - b.length);
}

/** Reports whether a and b are equal. It is not constant-time. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return false;
  }
  return true;
}

/** Reports whether b begins with prefix. */
export function startsWith(b: Uint8Array, prefix: Uint8Array): boolean {
  return b.length >= prefix.length && equalBytes(b.subarray(0, prefix.length), prefix);
}

/** Returns the parts one after another. */
export function concatBytes(...parts: Uint8Array[]): Uint8Array {
  return joinBytes(parts);
}

/** concatBytes for any number of parts: an engine bounds its arguments. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

const DIGITS = "0123456789abcdef";

/** Returns b in lowercase hexadecimal. */
export function toHex(b: Uint8Array): string {
  let s = "";
  for (let i = 0; i < b.length; i++) s += DIGITS[b[i]! >> 4]! + DIGITS[b[i]! & 15]!;
  return s;
}

/** Reads an even number of lowercase hexadecimal digits; undefined otherwise. */
export function parseHex(s: string): Uint8Array | undefined {
  if (s.length % 2 !== 0) return undefined;
  const out = new Uint8Array(s.length / 2);
  for (let i = 0; i < out.length; i++) {
    const hi = hexDigit(s.charCodeAt(2 * i));
    const lo = hexDigit(s.charCodeAt(2 * i + 1));
    if (hi < 0 || lo < 0) return undefined;
    out[i] = (hi << 4) | lo;
  }
  return out;
}

/** Reads lowercase hexadecimal that is known to be good; throws a RangeError. */
export function fromHex(s: string): Uint8Array {
  const b = parseHex(s);
  if (b === undefined) throw new RangeError("not an even number of lowercase hex digits");
  return b;
}

function hexDigit(c: number): number {
  if (c >= 48 && c <= 57) return c - 48;
  return c >= 97 && c <= 102 ? c - 87 : -1;
}

/**
 * Returns the offset of the first byte of b[from..to) that is not part of
 * well-formed UTF-8, or -1: no overlong forms, no surrogates, nothing above
 * U+10FFFF. The verdict is this code's own, so that no platform's decoder can
 * change it.
 */
export function badUtf8(b: Uint8Array, from: number, to: number): number {
  let i = from;
  while (i < to) {
    const c = b[i]!;
    if (c < 0x80) {
      i++;
      continue;
    }
    const n = sequence(b, i, to);
    if (n === 0) return i;
    i += n;
  }
  return -1;
}

/** Returns the length of the sequence of 2 to 4 bytes at i, 0 if there is none. */
function sequence(b: Uint8Array, i: number, to: number): number {
  const c = b[i]!;
  let n = 0;
  let least = 0x80;
  let most = 0xbf;
  if (c >= 0xc2 && c <= 0xdf) {
    n = 2;
  } else if (c >= 0xe0 && c <= 0xef) {
    n = 3;
    if (c === 0xe0) least = 0xa0;
    if (c === 0xed) most = 0x9f;
  } else if (c >= 0xf0 && c <= 0xf4) {
    n = 4;
    if (c === 0xf0) least = 0x90;
    if (c === 0xf4) most = 0x8f;
  }
  if (n === 0 || i + n > to || b[i + 1]! < least || b[i + 1]! > most) return 0;
  for (let j = i + 2; j < i + n; j++) {
    if (b[j]! < 0x80 || b[j]! > 0xbf) return 0;
  }
  return n;
}

/** Returns the length of s in UTF-8; a lone surrogate is can_utf8. */
export function utf8Length(s: string): number {
  let n = s.length;
  for (let i = 0; i < s.length; i++) {
    const c = s.charCodeAt(i);
    if (c < 0x80) continue;
    if (c < 0x800) {
      n++;
    } else if (c < 0xd800 || c > 0xdfff) {
      n += 2;
    } else {
      const low = s.charCodeAt(i + 1);
      if (c > 0xdbff || !(low >= 0xdc00 && low <= 0xdfff)) {
        throw new MythosError("can_utf8", "a string with a lone surrogate");
      }
      n += 2; // two code units, four bytes
      i++;
    }
  }
  return n;
}

/** Returns s in UTF-8; a lone surrogate is can_utf8. */
export function toUtf8(s: string): Uint8Array {
  const out = new Uint8Array(utf8Length(s));
  new TextEncoder().encodeInto(s, out);
  return out;
}

/** Orders strings as their UTF-8 bytes are ordered. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return compareBytes(toUtf8(a), toUtf8(b));
}
