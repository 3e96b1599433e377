/**
 * MYTHOS-CAN v0.2, writing (RFC-MYTHOS-0001 §2). A Writer appends to a buffer
 * that it grows and that reset lets it use again. It refuses what has no
 * encoding with the codes of a reader and no offset: can_range for a number
 * outside its type, can_length for a wrong number of bytes, can_utf8 for a
 * string with a lone surrogate, can_type for anything else.
 */

import { compareBytes, utf8Length } from "../bytes.js";
import { MythosError } from "../fault.js";
import { BYTES, FALSE, INT, LIST, MAP, NULL, TEXT, TRUE, UINT } from "./tags.js";

const encoder = /* @__PURE__ */ new TextEncoder();

const MAX_U64 = (1n << 64n) - 1n;
const MAX_I64 = (1n << 63n) - 1n;
const MIN_I64 = -(1n << 63n);

/** Below this magnitude the zigzag of a number is exact: 2^52. */
const HALF_SAFE = 4503599627370496;

/** Copying in a loop beats TypedArray.set up to about this length. */
const SHORT = 64;

export class Writer {
  private buf: Uint8Array<ArrayBuffer>;
  private off = 0;

  /** size is the first capacity in bytes. */
  constructor(size = 512) {
    this.buf = new Uint8Array(size);
  }

  /** Forgets what was written and keeps the buffer. */
  reset(): this {
    this.off = 0;
    return this;
  }

  /** How many bytes were written. */
  get length(): number {
    return this.off;
  }

  /** Returns a copy of what was written. */
  take(): Uint8Array {
    return this.buf.slice(0, this.off);
  }

  /** Returns what was written, valid until the next write or reset. */
  view(): Uint8Array {
    return new Uint8Array(this.buf.buffer, 0, this.off);
  }

  private reserve(n: number): void {
    if (this.off + n <= this.buf.length) return;
    const grown = new Uint8Array(Math.max(2 * this.buf.length, this.off + n));
    grown.set(this.buf.subarray(0, this.off));
    this.buf = grown;
  }

  /** Appends a tag and v, an integer of 0..2^53-1, as a varint. */
  private tagged(tag: number, v: number): void {
    this.reserve(11);
    this.buf[this.off++] = tag;
    this.leb(v);
  }

  /** Appends v, an integer of 0..2^53-1; room for it is there. */
  private leb(v: number): void {
    const b = this.buf;
    let o = this.off;
    while (v > 0x7fffffff) {
      b[o++] = (v % 128) | 0x80;
      v = Math.floor(v / 128);
    }
    while (v >= 0x80) {
      b[o++] = (v & 0x7f) | 0x80;
      v >>>= 7;
    }
    b[o++] = v;
    this.off = o;
  }

  /** Appends a tag and v, 0..2^64-1, as a varint. */
  private wide(tag: number, v: bigint): void {
    this.reserve(11);
    this.buf[this.off++] = tag;
    for (; v >= 0x80n; v >>= 7n) this.buf[this.off++] = Number(v & 0x7fn) | 0x80;
    this.buf[this.off++] = Number(v);
  }

  /** Appends NULL. */
  null(): void {
    this.byte(NULL);
  }

  /** Appends true or false. */
  bool(v: boolean): void {
    if (typeof v !== "boolean") wrongType("a boolean", v);
    this.byte(v ? TRUE : FALSE);
  }

  private byte(v: number): void {
    this.reserve(1);
    this.buf[this.off++] = v;
  }

  /** Appends a UVARINT of at most max. */
  uint(v: number, max: number = Number.MAX_SAFE_INTEGER): void {
    if (typeof v !== "number") wrongType("a number", v);
    if (!(v >= 0 && v <= max) || !Number.isSafeInteger(v) || Object.is(v, -0)) outside(v, `an integer of 0..${max}`);
    this.tagged(UINT, v);
  }

  /** Appends a UVARINT. */
  u64(v: bigint): void {
    if (typeof v !== "bigint") wrongType("a bigint", v);
    const n = Number(v);
    if (n >= 0 && n <= Number.MAX_SAFE_INTEGER) return this.tagged(UINT, n);
    if (v < 0n || v > MAX_U64) outside(v, "an integer of 0..2^64-1");
    this.wide(UINT, v);
  }

  /** Appends an IVARINT. */
  i64(v: bigint): void {
    if (typeof v !== "bigint") wrongType("a bigint", v);
    const n = Number(v);
    if (n > -HALF_SAFE && n < HALF_SAFE) return this.tagged(INT, n >= 0 ? n * 2 : -n * 2 - 1);
    if (v < MIN_I64 || v > MAX_I64) outside(v, "an integer of -2^63..2^63-1");
    this.wide(INT, v >= 0n ? v << 1n : (-v << 1n) - 1n);
  }

  /** Appends BYTES. */
  bytes(v: Uint8Array): void {
    if (!(v instanceof Uint8Array)) wrongType("a Uint8Array", v);
    this.reserve(v.length + 11);
    this.buf[this.off++] = BYTES;
    this.leb(v.length);
    this.copy(v);
  }

  /** Appends BYTES of exactly size bytes. */
  fixed(v: Uint8Array, size: number): void {
    if (!(v instanceof Uint8Array)) wrongType("a Uint8Array", v);
    if (v.length !== size) throw new MythosError("can_length", `got ${v.length} bytes, want ${size}`);
    this.bytes(v);
  }

  /** Appends TEXT. */
  text(s: string): void {
    if (typeof s !== "string") wrongType("a string", s);
    const n = s.length;
    this.reserve(3 * n + 11);
    const b = this.buf;
    if (n < 0x80) {
      let o = this.off + 2;
      let i = 0;
      for (; i < n; i++) {
        const c = s.charCodeAt(i);
        if (c >= 0x80) break;
        b[o++] = c;
      }
      if (i === n) {
        b[this.off] = TEXT;
        b[this.off + 1] = n;
        this.off = o;
        return;
      }
    }
    this.tagged(TEXT, utf8Length(s));
    this.off += encoder.encodeInto(s, this.buf.subarray(this.off)).written;
  }

  /** Appends the head of a LIST of n items. */
  list(n: number): void {
    this.tagged(LIST, n);
  }

  /** Appends the head of a MAP of n pairs. */
  map(n: number): void {
    this.reserve(11);
    this.buf[this.off++] = MAP;
    this.leb(n);
  }

  /** Appends the key of struct field num, 1..127. */
  field(num: number): void {
    this.reserve(2);
    this.buf[this.off++] = UINT;
    this.buf[this.off++] = num;
  }

  /** Appends {kind: 1, fixed: BYTES}, whose bytes must have the given size. */
  leaf(kind: number, fixed: number, v: Uint8Array, size: number): void {
    if (!(v instanceof Uint8Array)) wrongType("a Uint8Array", v);
    if (v.length !== size) throw new MythosError("can_length", `got ${v.length} bytes, want ${size}`);
    this.reserve(size + 10);
    const b = this.buf;
    const o = this.off;
    b[o] = MAP;
    b[o + 1] = 2;
    b[o + 2] = UINT;
    b[o + 3] = kind;
    b[o + 4] = UINT;
    b[o + 5] = 1;
    b[o + 6] = UINT;
    b[o + 7] = fixed;
    b[o + 8] = BYTES;
    b[o + 9] = size;
    this.off = o + 10;
    this.copy(v);
  }

  /** Appends bytes as they are: one or more encoded values. */
  raw(v: Uint8Array): void {
    if (!(v instanceof Uint8Array)) wrongType("a Uint8Array", v);
    this.reserve(v.length);
    this.copy(v);
  }

  /** Appends v, for which there is room. */
  private copy(v: Uint8Array): void {
    const n = v.length;
    if (n > SHORT) {
      this.buf.set(v, this.off);
    } else {
      const b = this.buf;
      const o = this.off;
      for (let i = 0; i < n; i++) b[o + i] = v[i]!;
    }
    this.off += n;
  }

  /** Appends a MAP with TEXT keys in canonical order. */
  textMap<V>(m: ReadonlyMap<string, V>, value: (w: Writer, v: V) => void): void {
    this.pairs(m, (w, k) => w.text(k), value);
  }

  /** Appends a MAP with UVARINT keys of at most 32 bits in canonical order. */
  uintMap<V>(m: ReadonlyMap<number, V>, value: (w: Writer, v: V) => void): void {
    this.pairs(m, (w, k) => w.uint(k, 0xffffffff), value);
  }

  /**
   * Appends a MAP in canonical order. Two keys with one encoding are
   * can_key_duplicate.
   */
  pairs<K, V>(m: ReadonlyMap<K, V>, key: (w: Writer, k: K) => void, value: (w: Writer, v: V) => void): void {
    if (!(m instanceof Map)) wrongType("a Map", m);
    const scratch = new Writer(64);
    const entries: { key: Uint8Array; value: V }[] = [];
    for (const [k, v] of m) {
      key(scratch.reset(), k);
      entries.push({ key: scratch.take(), value: v });
    }
    entries.sort((a, b) => compareBytes(a.key, b.key));
    this.map(entries.length);
    for (let i = 0; i < entries.length; i++) {
      const e = entries[i]!;
      if (i > 0 && compareBytes(entries[i - 1]!.key, e.key) === 0) {
        throw new MythosError("can_key_duplicate", "two keys of a map have one encoding");
      }
      this.raw(e.key);
      value(this, e.value);
    }
  }
}

function outside(v: number | bigint, want: string): never {
  throw new MythosError("can_range", `got ${v}, want ${want}`);
}

function wrongType(want: string, got: unknown): never {
  throw new MythosError("can_type", `got ${got === null ? "null" : typeof got}, want ${want}`);
}
