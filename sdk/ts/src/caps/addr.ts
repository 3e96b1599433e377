/**
 * IP addresses as capabilities name them (RFC-MYTHOS-0008 §5): each has one
 * text. An IPv4 address that is mapped into IPv6 is the IPv4 address.
 */

import { decimal } from "./pointer.js";

/** An address: 4 bytes or 16, in network order. */
export type Addr = Uint8Array;

const MAPPED = "00000000000000000000ffff";

const hexOf = (b: Uint8Array): string => Array.from(b, (v) => v.toString(16).padStart(2, "0")).join("");

/** Returns the address with the given 4 or 16 bytes, undefined for any other number. */
export function addrFrom(b: Uint8Array): Addr | undefined {
  if (b.length === 16 && hexOf(b).startsWith(MAPPED)) return b.slice(12);
  return b.length === 4 || b.length === 16 ? b : undefined;
}

/** Reads an address that is written as addrText writes it, and no other way. */
export function parseAddr(s: string): Addr | undefined {
  const b = s.includes(":") ? parse6(s) : parse4(s);
  const a = b === undefined ? undefined : addrFrom(b);
  return a !== undefined && addrText(a) === s ? a : undefined;
}

function parse4(s: string): Uint8Array | undefined {
  const parts = s.split(".").map(decimal);
  if (parts.length !== 4 || parts.some((n) => n === undefined || n > 255n)) return undefined;
  return Uint8Array.from(parts, Number);
}

/** Reads groups of 1 to 4 hex digits with at most one "::" for the rest. */
function parse6(s: string): Uint8Array | undefined {
  const gap = s.indexOf("::");
  const front = groups(gap < 0 ? s : s.slice(0, gap));
  const back = groups(gap < 0 ? "" : s.slice(gap + 2));
  if (front === undefined || back === undefined) return undefined;
  const have = front.length + back.length;
  if (have > 8 || (gap >= 0) === (have === 8)) return undefined;
  const all = [...front, ...new Array<number>(8 - have).fill(0), ...back];
  return Uint8Array.from(all.flatMap((g) => [g >> 8, g & 255]));
}

function groups(s: string): number[] | undefined {
  if (s === "") return [];
  const list = s.split(":");
  return list.every((g) => /^[0-9a-f]{1,4}$/.test(g)) ? list.map((g) => parseInt(g, 16)) : undefined;
}

/** Returns the one text of an address: dotted decimal, or RFC 5952 with hexadecimal groups only. */
export function addrText(a: Addr): string {
  if (a.length === 4) return a.join(".");
  const words = Array.from({ length: 8 }, (_, i) => (a[2 * i]! << 8) | a[2 * i + 1]!);
  let from = 0;
  let to = 0; // the first of the longest runs of two or more zero groups
  for (let i = 0; i < 8; i++) {
    let j = i;
    while (j < 8 && words[j] === 0) j++;
    if (j - i > Math.max(to - from, 1)) [from, to] = [i, j];
  }
  const hex = (list: number[]): string => list.map((w) => w.toString(16)).join(":");
  return to === from ? hex(words) : `${hex(words.slice(0, from))}::${hex(words.slice(to))}`;
}

// Prefixes in hex with their length in bits (RFC-MYTHOS-0008 §5.2).
const SPECIAL4: readonly [prefix: string, bits: number][] = [
  ["00000000", 8], ["0a000000", 8], ["64400000", 10], ["7f000000", 8], ["a83f8110", 32], ["a9fe0000", 16],
  ["ac100000", 12], ["c0000000", 24], ["c0000200", 24], ["c0586300", 24], ["c0a80000", 16], ["c6120000", 15],
  ["c6336400", 24], ["cb007100", 24], ["e0000000", 4], ["f0000000", 4],
];
const SPECIAL6: readonly [prefix: string, bits: number][] = [
  ["20010000", 23], ["20010db8", 32], ["20020000", 16], ["3fff0000", 20],
];

/**
 * Reports whether an address needs a grant of its own: loopback, private,
 * link-local, multicast, metadata and the like (RFC-MYTHOS-0008 §5.2).
 */
export function isSpecial(a: Addr): boolean {
  if (a.length !== 4 && a[0]! >> 5 !== 1) return true; // outside 2000::/3
  const first = new DataView(a.buffer, a.byteOffset).getUint32(0);
  const list = a.length === 4 ? SPECIAL4 : SPECIAL6;
  return list.some(([prefix, bits]) => (first ^ parseInt(prefix, 16)) >>> (32 - bits) === 0);
}
