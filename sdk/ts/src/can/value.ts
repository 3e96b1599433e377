/**
 * Values that no struct describes. Every MYTHOS-CAN value has one JavaScript
 * value, so that encode and decode are each other's inverse:
 *
 *     NULL, false, true    null, false, true
 *     UVARINT              number up to 2^53-1, bigint above
 *     IVARINT, negative    number down to -2^53+1, bigint below
 *     IVARINT, 0 and up    I64
 *     BYTES, TEXT          Uint8Array, string
 *     LIST, MAP            array, Map
 *
 * This is the rule of the JSON view (RFC-MYTHOS-0001 §6): a number that is not
 * negative is a UVARINT, and whoever means an IVARINT says so with I64.
 */

import { MythosError } from "../fault.js";
import { Reader } from "./reader.js";
import { BYTES, FALSE, INT, LIST, MAP, MAX_DEPTH, NULL, TEXT, TRUE, UINT } from "./tags.js";
import { Writer } from "./writer.js";

/** An IVARINT, whatever its sign. */
export class I64 {
  readonly value: bigint;

  constructor(value: bigint | number) {
    this.value = BigInt(value);
  }

  valueOf(): bigint {
    return this.value;
  }
}

export type Value = null | boolean | number | bigint | I64 | Uint8Array | string | Value[] | Map<Value, Value>;

/** What encode takes: a plain object stands for a MAP with TEXT keys. */
export type Encodable =
  | null
  | boolean
  | number
  | bigint
  | I64
  | Uint8Array
  | string
  | readonly Encodable[]
  | ReadonlyMap<Encodable, Encodable>
  | { readonly [key: string]: Encodable };

/** Returns the canonical bytes of v. */
export function encode(v: Encodable): Uint8Array {
  const w = new Writer();
  writeValue(w, v, 0);
  return w.take();
}

/** Decodes exactly one value; BYTES in the result are views of b. */
export function decode(b: Uint8Array): Value {
  const r = new Reader(b);
  const v = readValue(r);
  r.done();
  return v;
}

/** Reads the next value. */
export function readValue(r: Reader): Value {
  switch (r.kind()) {
    case NULL:
      return r.null();
    case FALSE:
    case TRUE:
      return r.bool();
    case UINT:
      return narrow(r.u64());
    case INT: {
      const v = r.i64();
      return v < 0n ? narrow(v) : new I64(v);
    }
    case BYTES:
      return r.bytes();
    case TEXT:
      return r.text();
    case LIST:
      return r.items(readValue);
    case MAP:
      return readPairs(r);
  }
  r.skip(); // throws: the end of the input, or an unknown tag
  return null;
}

function narrow(v: bigint): number | bigint {
  const n = Number(v);
  return Number.isSafeInteger(n) ? n : v;
}

function readPairs(r: Reader): Map<Value, Value> {
  const out = new Map<Value, Value>();
  let prev = -1;
  let prevEnd = -1;
  for (let n = r.map(); n > 0; n--) {
    const at = r.off;
    const key = readValue(r);
    r.checkKey(prev, prevEnd, at);
    prev = at;
    prevEnd = r.off;
    out.set(key, readValue(r));
  }
  r.leave();
  return out;
}

/** Appends v, inside depth containers. */
export function writeValue(w: Writer, v: Encodable, depth = 0): void {
  switch (typeof v) {
    case "boolean":
      return w.bool(v);
    case "string":
      return w.text(v);
    case "number":
      if (!Number.isSafeInteger(v)) throw new MythosError("can_range", `${v} is no integer that a number holds exactly`);
      return v < 0 ? w.i64(BigInt(v)) : w.uint(v);
    case "bigint":
      return v < 0n ? w.i64(v) : w.u64(v);
    case "object":
      return writeObject(w, v, depth);
  }
  throw new MythosError("can_type", `${typeof v} has no encoding`);
}

function writeObject(w: Writer, v: Exclude<Encodable, boolean | string | number | bigint>, depth: number): void {
  if (v === null) return w.null();
  if (v instanceof I64) return w.i64(v.value);
  if (v instanceof Uint8Array) return w.bytes(v);
  if (depth === MAX_DEPTH) throw new MythosError("can_depth", `more than ${MAX_DEPTH} containers open`);
  if (Array.isArray(v)) {
    w.list(v.length);
    for (let i = 0; i < v.length; i++) writeValue(w, v[i] as Encodable, depth + 1);
    return;
  }
  w.pairs(asMap(v as object), (kw, k) => writeValue(kw, k, depth + 1), (vw, x) => writeValue(vw, x, depth + 1));
}

function asMap(v: object): ReadonlyMap<Encodable, Encodable> {
  if (v instanceof Map) return v;
  const proto: unknown = Object.getPrototypeOf(v);
  if (proto !== Object.prototype && proto !== null) throw new MythosError("can_type", "an object of a class has no encoding");
  return new Map(Object.entries(v));
}
