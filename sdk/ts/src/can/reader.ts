/**
 * MYTHOS-CAN v0.2, reading (RFC-MYTHOS-0001 §2). A Reader is a cursor over one
 * message. It throws a MythosError at the first fault from left to right, with
 * the code and byte offset of RFC-MYTHOS-0001 §2.3, and bounds every length and
 * count by the bytes left before anything is allocated. What it returns of BYTES
 * is a view of the input, which must not change meanwhile.
 */

import { badUtf8 } from "../bytes.js";
import { MythosError } from "../fault.js";
import { BYTES, FALSE, INT, LIST, MAP, MAX_DEPTH, NULL, TEXT, TRUE, UINT, tagName } from "./tags.js";

const decoder = /* @__PURE__ */ new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

// A number becomes a bigint by way of these eight bytes in a third of the time
// that BigInt(n) takes. They hold nothing between two calls.
const words = /* @__PURE__ */ new Uint32Array(2);
const big = /* @__PURE__ */ new BigInt64Array(words.buffer);
const LOW = /* @__PURE__ */ (() => (new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? 0 : 1))(); // byte order

/** Returns the bigint of an integer of -2^53+1..2^53-1. */
function toBig(n: number): bigint {
  words[LOW] = n;
  words[1 - LOW] = Math.floor(n / 0x100000000);
  return big[0]!;
}

export class Reader {
  /** The offset of the next byte. */
  off = 0;
  /** Containers open now. */
  depth = 0;
  /** The input. */
  readonly buf: Uint8Array;
  private readonly end: number;
  private readonly memory: ArrayBufferLike;
  private readonly base: number;

  constructor(b: Uint8Array) {
    // One class of array keeps the engine's type feedback simple; Buffer is another.
    this.buf = b.constructor === Uint8Array ? b : new Uint8Array(b.buffer, b.byteOffset, b.length);
    this.end = b.length;
    this.memory = b.buffer;
    this.base = b.byteOffset;
  }

  /** Throws the fault of the item at offset at. */
  fail(code: string, at: number, reason: string): never {
    throw new MythosError(code, reason, at);
  }

  /** Throws can_trailing if input remains. */
  done(): void {
    if (this.off !== this.end) this.fail("can_trailing", this.off, `${this.end - this.off} bytes after the value`);
  }

  /** Returns the next tag without consuming it, undefined at the end. */
  kind(): number | undefined {
    return this.off < this.end ? this.buf[this.off] : undefined;
  }

  /**
   * Decodes the varint at off; at is the offset that its error names. The result
   * is exact up to 2^53-1 and beyond that only known to be greater.
   */
  varint(at: number): number {
    const b = this.buf;
    let o = this.off;
    let v = 0;
    let unit = 1;
    for (let i = 0; ; i++) {
      if (o >= this.end) this.fail("can_truncated", at, "the input ends inside a varint");
      const c = b[o++]!;
      if (i === 9 && c > 1) this.fail("can_overflow", at, "a varint exceeds 64 bits");
      v += (c & 0x7f) * unit;
      unit *= 128;
      if (c < 0x80) {
        if (c === 0 && i > 0) this.fail("can_varint", at, "a varint is not minimal");
        this.off = o;
        return v;
      }
    }
  }

  /** Consumes tag t and the varint behind it. */
  private tagged(t: number): number {
    const o = this.off;
    if (o + 1 < this.end && this.buf[o] === t) {
      const c = this.buf[o + 1]!;
      if (c < 0x80) {
        this.off = o + 2;
        return c;
      }
    }
    this.want(t);
    this.off = o + 1;
    return this.varint(o);
  }

  /** Checks that the next tag is t. */
  private want(t: number): void {
    const o = this.off;
    if (o >= this.end) this.fail("can_truncated", o, `the input ends where ${tagName(t)} is due`);
    const got = this.buf[o]!;
    if (got > MAP) this.fail("can_tag", o, `unknown tag 0x${got.toString(16)}`);
    if (got !== t) this.fail("can_type", o, `got ${tagName(got)}, want ${tagName(t)}`);
  }

  /** The exact value of the varint that begins at o and was found to be sound. */
  private wide(o: number): bigint {
    let v = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const c = this.buf[o++]!;
      v |= BigInt(c & 0x7f) << shift;
      if (c < 0x80) return v;
    }
  }

  /** Reads NULL. */
  null(): null {
    this.want(NULL);
    this.off++;
    return null;
  }

  /** Reads true or false. */
  bool(): boolean {
    const t = this.kind();
    if (t !== TRUE && t !== FALSE) this.want(TRUE);
    this.off++;
    return t === TRUE;
  }

  /** Reads a UVARINT of at most max, which is at most 2^32-1. */
  uint(max: number): number {
    const at = this.off;
    const v = this.tagged(UINT);
    if (v > max) this.fail("can_range", at, `got ${v}, at most ${max}`);
    return v;
  }

  /** Reads a UVARINT. */
  u64(): bigint {
    const at = this.off + 1;
    const v = this.tagged(UINT);
    return v <= Number.MAX_SAFE_INTEGER ? toBig(v) : this.wide(at);
  }

  /** Reads an IVARINT. */
  i64(): bigint {
    const at = this.off + 1;
    const v = this.tagged(INT);
    if (v <= Number.MAX_SAFE_INTEGER) return toBig(v % 2 === 0 ? v / 2 : -(v + 1) / 2);
    const u = this.wide(at);
    return u & 1n ? -(u >> 1n) - 1n : u >> 1n;
  }

  /** Consumes tag t, a length and checks that so many bytes are there. */
  private span(t: number): number {
    const at = this.off;
    const n = this.tagged(t);
    if (n > this.end - this.off) this.fail("can_bounds", at, `length ${n}, ${this.end - this.off} bytes left`);
    return n;
  }

  /** Consumes n bytes, which must be there, and returns a view of them. */
  take(n: number): Uint8Array {
    const o = this.off;
    this.off = o + n;
    return new Uint8Array(this.memory, this.base + o, n); // half the time of subarray
  }

  /** Reads BYTES; the result is a view of the input. */
  bytes(): Uint8Array {
    return this.take(this.span(BYTES));
  }

  /** Reads BYTES of exactly size bytes; the result is a view of the input. */
  fixed(size: number): Uint8Array {
    const at = this.off;
    const n = this.span(BYTES);
    if (n !== size) this.fail("can_length", at, `got ${n} bytes, want ${size}`);
    return this.take(n);
  }

  /** Reads TEXT. */
  text(): string {
    const at = this.off;
    const n = this.span(TEXT);
    const from = this.off;
    const to = from + n;
    if (n < 24) {
      let s = "";
      let i = from;
      for (; i < to; i++) {
        const c = this.buf[i]!;
        if (c >= 0x80) break;
        s += String.fromCharCode(c);
      }
      if (i === to) {
        this.off = to;
        return s;
      }
    }
    this.checkText(at, from, to);
    this.off = to;
    return decoder.decode(this.buf.subarray(from, to));
  }

  private checkText(at: number, from: number, to: number): void {
    if (badUtf8(this.buf, from, to) >= 0) this.fail("can_utf8", at, "TEXT is not valid UTF-8");
  }

  /** Reads the TEXT that names an object's kind, which must be want. */
  schema(want: string): void {
    const at = this.off;
    const got = this.text();
    if (got !== want) this.fail("schema_mismatch", at, `got schema ${quote(got)}, want ${quote(want)}`);
  }

  /** Fails if an optional field that is present is empty: n is its length. */
  filled(n: number, at: number): void {
    if (n === 0) this.fail("can_empty", at, "an optional field is present but empty");
  }

  /** Reads an optional bool that is present, and so differs from its default, false. */
  optionalTrue(): true {
    const at = this.off;
    if (!this.bool()) this.fail("can_default", at, "an optional bool is present but equal to its default");
    return true;
  }

  private open(at: number): void {
    if (this.depth === MAX_DEPTH) this.fail("can_depth", at, `more than ${MAX_DEPTH} containers open`);
    this.depth++;
  }

  /** Enters a LIST and returns its count; leave must follow the last item. */
  list(): number {
    const at = this.off;
    const n = this.tagged(LIST);
    if (n > this.end - this.off) this.fail("can_bounds", at, `count ${n}, ${this.end - this.off} bytes left`);
    this.open(at);
    return n;
  }

  /** Enters a MAP and returns its count; leave must follow the last pair. */
  map(): number {
    const at = this.off;
    const n = this.tagged(MAP);
    if (n > Math.floor((this.end - this.off) / 2)) this.fail("can_bounds", at, `count ${n}, ${this.end - this.off} bytes left`);
    this.open(at);
    return n;
  }

  /** Leaves a LIST or MAP. */
  leave(): void {
    this.depth--;
  }

  /** Enters a struct. */
  struct(): Struct {
    return new Struct(this, this.map());
  }

  /**
   * Steps over the head of {kind: 1, fixed: BYTES of size} if that is what comes
   * next: canonical, it has one form, and one comparison replaces six reads.
   */
  leaf(kind: number, fixed: number, size: number): boolean {
    const b = this.buf;
    const o = this.off;
    if (o + 10 + size > this.end || this.depth === MAX_DEPTH) return false;
    if (b[o] !== MAP || b[o + 1] !== 2 || b[o + 2] !== UINT || b[o + 3] !== kind || b[o + 4] !== UINT) return false;
    if (b[o + 5] !== 1 || b[o + 6] !== UINT || b[o + 7] !== fixed || b[o + 8] !== BYTES || b[o + 9] !== size) return false;
    this.off = o + 10;
    return true;
  }

  /** Checks that the key that began at at and ends here follows the one at prev. */
  checkKey(prev: number, prevEnd: number, at: number): void {
    if (prev < 0) return;
    const b = this.buf;
    let i = prev;
    let j = at;
    while (i < prevEnd && j < this.off && b[i] === b[j]) {
      i++;
      j++;
    }
    if (i === prevEnd && j === this.off) this.fail("can_key_duplicate", at, "a MAP key stands twice");
    if (j === this.off || (i < prevEnd && b[i]! > b[j]!)) this.fail("can_key_order", at, "MAP keys are not ascending");
  }

  /** Reads a LIST. */
  items<V>(item: (r: Reader) => V): V[] {
    const out: V[] = [];
    for (let n = this.list(); n > 0; n--) out.push(item(this));
    this.leave();
    return out;
  }

  /** Reads a MAP with TEXT keys. */
  textMap<V>(value: (r: Reader) => V): Map<string, V> {
    return this.pairs((r) => r.text(), value);
  }

  /** Reads a MAP with UVARINT keys of at most 32 bits. */
  uintMap<V>(value: (r: Reader) => V): Map<number, V> {
    return this.pairs((r) => r.uint(0xffffffff), value);
  }

  private pairs<K, V>(key: (r: Reader) => K, value: (r: Reader) => V): Map<K, V> {
    const out = new Map<K, V>();
    let prev = -1;
    let prevEnd = -1;
    for (let n = this.map(); n > 0; n--) {
      const at = this.off;
      const k = key(this);
      this.checkKey(prev, prevEnd, at);
      prev = at;
      prevEnd = this.off;
      out.set(k, value(this));
    }
    this.leave();
    return out;
  }

  /** Validates the next value and returns a view of its encoding. */
  raw(): Uint8Array {
    const at = this.off;
    this.skip();
    const end = this.off;
    this.off = at;
    return this.take(end - at);
  }

  /** Validates and steps over one value of any shape. */
  skip(): void {
    const at = this.off;
    if (at >= this.end) this.fail("can_truncated", at, "the input ends where a value is due");
    const t = this.buf[at]!;
    if (t <= TRUE) {
      this.off++;
    } else if (t <= INT) {
      this.tagged(t);
    } else if (t <= TEXT) {
      const n = this.span(t);
      if (t === TEXT) this.checkText(at, this.off, this.off + n);
      this.off += n;
    } else if (t === LIST) {
      for (let n = this.list(); n > 0; n--) this.skip();
      this.leave();
    } else if (t === MAP) {
      this.skipMap();
    } else {
      this.fail("can_tag", at, `unknown tag 0x${t.toString(16)}`);
    }
  }

  private skipMap(): void {
    let prev = -1;
    let prevEnd = -1;
    for (let n = this.map(); n > 0; n--) {
      const at = this.off;
      this.skip();
      this.checkKey(prev, prevEnd, at);
      prev = at;
      prevEnd = this.off;
      this.skip();
    }
    this.leave();
  }
}

function quote(s: string): string {
  return JSON.stringify(s.length > 80 ? s.slice(0, 80) : s);
}

/**
 * A MAP keyed by field numbers. Because keys ascend, decoding is a merge of two
 * sorted lists: the fields that a type knows and those that the bytes hold. Open
 * structs use need, has and end, which step over unknown fields; closed ones use
 * exact, maybe and close, which refuse them (RFC-MYTHOS-0002 §9).
 */
export class Struct {
  /** Entries not consumed yet. */
  left: number;
  private readonly r: Reader;
  private last = 0;

  constructor(r: Reader, left: number) {
    this.r = r;
    this.left = left;
  }

  /** Consumes the key of field num if it is next. */
  private at(num: number): boolean {
    const r = this.r;
    const o = r.off;
    if (this.left > 0 && this.last < num && r.buf[o] === UINT && r.buf[o + 1] === num) {
      r.off = o + 2;
      this.left--;
      this.last = num;
      return true;
    }
    return false;
  }

  /** Checks the next key and returns its number without consuming it. */
  private peek(): number {
    const r = this.r;
    const at = r.off;
    const tag = r.kind();
    if (tag === undefined) r.fail("can_truncated", at, "the input ends where a field is due");
    if (tag !== UINT) r.fail("can_field_number", at, `a struct key is ${tagName(tag)}, not a field number`);
    r.off = at + 1;
    const k = r.varint(at);
    r.off = at;
    if (k === 0 || k > 127) r.fail("can_field_number", at, `field number ${k} is not in 1..127`);
    if (k < this.last) r.fail("can_key_order", at, `field ${k} stands after field ${this.last}`);
    if (k === this.last) r.fail("can_key_duplicate", at, `field ${k} stands twice`);
    return k;
  }

  /** Consumes the next key and returns its number. */
  next(): number {
    const k = this.peek();
    this.consume(k);
    return k;
  }

  private consume(k: number): void {
    this.r.off += 2;
    this.left--;
    this.last = k;
  }

  /**
   * Steps over unknown fields below num; reports whether field num is present and
   * leaves the reader at its value.
   */
  has(num: number): boolean {
    if (this.at(num)) return true;
    while (this.left > 0) {
      const k = this.peek();
      if (k > num) return false;
      this.consume(k);
      if (k === num) return true;
      this.r.skip();
    }
    return false;
  }

  /** has for a required field. */
  need(num: number): void {
    if (!this.at(num)) this.find(num);
  }

  private find(num: number): void {
    if (!this.has(num)) this.missing(num);
  }

  /** Steps over unknown fields behind the last known one and leaves. */
  end(): void {
    while (this.left > 0) {
      this.next();
      this.r.skip();
    }
    this.r.leave();
  }

  /** has for closed structs: an unknown field below num is an error. */
  maybe(num: number): boolean {
    if (this.at(num)) return true;
    if (this.left === 0) return false;
    const k = this.peek();
    if (k < num) this.unknown(k);
    return false;
  }

  /** maybe for a required field. */
  exact(num: number): void {
    if (!this.at(num) && !this.maybe(num)) this.missing(num);
  }

  /** Leaves a closed struct: any field left is an error. */
  close(): void {
    if (this.left > 0) this.unknown(this.peek());
    this.r.leave();
  }

  private missing(num: number): never {
    return this.r.fail("can_missing", this.r.off, `field ${num} is missing`);
  }

  private unknown(k: number): never {
    return this.r.fail("can_unknown_field", this.r.off, `field ${k} is unknown in a closed struct`);
  }
}
