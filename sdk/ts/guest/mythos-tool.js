// The guest SDK of MYTHOS for JavaScript: one file without dependencies, for
// Node >= 20. Copy it (and mythos-tool.d.ts, for types) beside your tool.
//
//     import { serve, fail } from "./mythos-tool.js";
//
//     serve((call) => {
//       const name = call.payload;
//       if (typeof name !== "string") fail(400, "want_text", "say a name");
//       return `hello ${name}`;
//     });
//
// A tool is one function from a payload to a payload. This file does the rest
// of RFC-MYTHOS-0006 §10: frames on standard input and output, one or, in a
// reuse worker, one after another until the input ends; the strict canonical
// codec of RFC-MYTHOS-0001 §2; responses and errors; the log. Input is read
// with blocking calls, which starts faster and answers faster than streams do;
// the event loop runs while a promise of the handler is pending.

import { fstatSync, readSync, writeSync } from "node:fs";

/** The largest request that any executor sends, in bytes (RFC-MYTHOS-0006 §13). */
const MAX_REQUEST = 16777216;
const MAX_CODE = 128; // bytes of an error code
const MAX_DEPTH = 32; // containers open at once
const MAX_SECRET = 65536; // bytes
const MAX_BODY = 16777216; // bytes of an HTTP response, unless told otherwise
const READ_SIZE = 65536; // bytes asked for in one read

const NULL = 0;
const FALSE = 1;
const TRUE = 2;
const UINT = 3;
const INT = 4;
const BYTES = 5;
const TEXT = 6;
const LIST = 7;
const MAP = 8;
const TAGS = ["NULL", "false", "true", "UVARINT", "IVARINT", "BYTES", "TEXT", "LIST", "MAP"];

const MAX_U64 = (1n << 64n) - 1n;
const MAX_I64 = (1n << 63n) - 1n;
const MIN_I64 = -(1n << 63n);

/** @typedef {import("./mythos-tool.d.ts").Value} Value */
/** @typedef {import("./mythos-tool.d.ts").Encodable} Encodable */
/** @typedef {import("./mythos-tool.d.ts").Call} Call */
/** @typedef {import("./mythos-tool.d.ts").Handler} Handler */

// ---- Errors

/** Bytes or a value that the rules refuse: a stable code, and where. */
export class MythosError extends Error {
  /**
   * @param {string} code
   * @param {string} reason
   * @param {number} [offset] in what was read, -1 if there is none
   */
  constructor(code, reason, offset = -1) {
    super(`${reason}${offset < 0 ? "" : ` at byte ${offset}`} (${code})`);
    this.name = "MythosError";
    this.code = code;
    this.offset = offset;
    this.reason = reason;
  }
}

/** An answer other than 200; fail throws it. */
export class Failure extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} [message]
   */
  constructor(status, code, message = "") {
    super(message || code);
    this.name = "Failure";
    if (!Number.isInteger(status) || status < 100 || status > 599 || status === 200) {
      throw new RangeError(`fail: status ${status} is not one of 100..599 without 200`);
    }
    const n = typeof code === "string" ? Buffer.byteLength(code) : 0;
    if (n < 1 || n > MAX_CODE) throw new RangeError(`fail: a code has ${n} bytes, want 1 to ${MAX_CODE}`);
    this.status = status;
    this.code = code;
    this.detail = String(message);
  }
}

/** @type {typeof import("./mythos-tool.d.ts").fail} */
export function fail(status, code, message) {
  throw new Failure(status, code, message);
}

/** A request that is not what the tool takes: 400 without a message. */
class BadRequest extends Error {}

/**
 * @param {string} kind
 * @param {unknown} v
 * @returns {never}
 */
function unwanted(kind, v) {
  const got = v === null ? "NULL" : v === undefined ? "nothing" : v instanceof Object ? v.constructor.name : typeof v;
  throw new BadRequest(`the request holds ${got} where ${kind} is due`);
}

/** @type {typeof import("./mythos-tool.d.ts").want} */
export const want = {
  bool: (v) => (typeof v === "boolean" ? v : unwanted("a bool", v)),
  text: (v) => (typeof v === "string" ? v : unwanted("TEXT", v)),
  bytes: (v) => (v instanceof Uint8Array ? v : unwanted("BYTES", v)),
  u64: (v) => ((typeof v === "number" || typeof v === "bigint") && v >= 0 ? v : unwanted("UVARINT", v)),
  i64: (v) => {
    if (v instanceof I64) return v.value;
    return (typeof v === "number" || typeof v === "bigint") && v < 0 ? BigInt(v) : unwanted("IVARINT", v);
  },
  list: (v) => (Array.isArray(v) ? v : unwanted("a LIST", v)),
  map: (v) => (v instanceof Map ? v : unwanted("a MAP", v)),
};

// ---- Values

/** An IVARINT, whatever its sign: 5 alone is a UVARINT. */
export class I64 {
  /** @param {bigint | number} value */
  constructor(value) {
    this.value = BigInt(value);
  }

  valueOf() {
    return this.value;
  }
}

/** A value that is encoded already. */
export class Raw {
  /** @param {Uint8Array} bytes exactly one canonical value; anything else is refused */
  constructor(bytes) {
    check(bytes);
    this.bytes = bytes;
  }
}

/**
 * Returns the Raw of bytes that were checked before.
 * @param {Uint8Array} bytes
 * @returns {Raw}
 */
function checked(bytes) {
  const raw = Object.create(Raw.prototype);
  raw.bytes = bytes;
  return raw;
}

/** A cursor over one message that throws at the first fault from left to right. */
class Reader {
  /** @param {Uint8Array} b */
  constructor(b) {
    this.b = b;
    this.off = 0;
    this.depth = 0;
  }

  /**
   * @param {string} code
   * @param {number} at
   * @param {string} reason
   * @returns {never}
   */
  fail(code, at, reason) {
    throw new MythosError(code, reason, at);
  }

  done() {
    if (this.off !== this.b.length) this.fail("can_trailing", this.off, `${this.b.length - this.off} bytes after the value`);
  }

  /**
   * Returns the tag of the next value, or fails unless it is want (-1: any).
   * @param {number} want
   */
  tag(want) {
    const at = this.off;
    if (at >= this.b.length) this.fail("can_truncated", at, `the input ends where ${TAGS[want] ?? "a value"} is due`);
    const t = this.b[at];
    if (t > MAP) this.fail("can_tag", at, `unknown tag 0x${t.toString(16)}`);
    if (want >= 0 && t !== want) this.fail("can_type", at, `got ${TAGS[t]}, want ${TAGS[want]}`);
    return t;
  }

  /**
   * Reads a varint; beyond 2^53-1 the result is only known to be greater.
   * @param {number} at the item it belongs to
   */
  varint(at) {
    let v = 0;
    let unit = 1;
    for (let i = 0; ; i++, unit *= 128) {
      if (this.off >= this.b.length) this.fail("can_truncated", at, "the input ends inside a varint");
      const c = this.b[this.off++];
      if (i === 9 && c > 1) this.fail("can_overflow", at, "a varint exceeds 64 bits");
      v += (c & 0x7f) * unit;
      if (c < 0x80) {
        if (c === 0 && i > 0) this.fail("can_varint", at, "a varint is not minimal");
        return v;
      }
    }
  }

  /** Reads tag and varint of an integer; the result is exact. */
  integer() {
    const from = this.off + 1;
    this.off = from;
    const n = this.varint(from - 1);
    if (n <= Number.MAX_SAFE_INTEGER) return n;
    let v = 0n;
    for (let i = from, shift = 0n; i < this.off; i++, shift += 7n) v |= BigInt(this.b[i] & 0x7f) << shift;
    return v;
  }

  /**
   * Reads a tag that is there and a length or count; each unit needs bytes.
   * @param {number} bytes
   */
  length(bytes) {
    const at = this.off++;
    const n = this.varint(at);
    const left = this.b.length - this.off;
    if (n > Math.floor(left / bytes)) this.fail("can_bounds", at, `${n} announced, ${left} bytes left`);
    return n;
  }

  /** Reads the content of BYTES as a view of the input. */
  bytes() {
    const n = this.length(1);
    this.off += n;
    return this.b.subarray(this.off - n, this.off);
  }

  text() {
    const at = this.off;
    const n = this.length(1);
    const from = this.off;
    this.off += n;
    if (n < 24) {
      let s = "";
      let i = from;
      for (; i < this.off && this.b[i] < 0x80; i++) s += String.fromCharCode(this.b[i]);
      if (i === this.off) return s;
    }
    try {
      return decoder.decode(this.b.subarray(from, this.off));
    } catch {
      return this.fail("can_utf8", at, "TEXT is not valid UTF-8");
    }
  }

  /**
   * Opens a container whose tag is there and returns its count.
   * @param {number} bytes the least that an item takes
   */
  open(bytes) {
    const at = this.off;
    const n = this.length(bytes);
    if (this.depth === MAX_DEPTH) this.fail("can_depth", at, `more than ${MAX_DEPTH} containers open`);
    this.depth++;
    return n;
  }

  /** @returns {Value} */
  value() {
    switch (this.tag(-1)) {
      case FALSE:
        this.off++;
        return false;
      case TRUE:
        this.off++;
        return true;
      case UINT:
        return this.integer();
      case INT:
        return this.signed();
      case BYTES:
        return this.bytes();
      case TEXT:
        return this.text();
      case LIST:
        return this.list();
      case MAP:
        return this.map();
    }
    this.off++;
    return null;
  }

  signed() {
    const z = BigInt(this.integer());
    if ((z & 1n) === 0n) return new I64(z >> 1n);
    const v = -(z >> 1n) - 1n;
    return v >= -9007199254740991n ? Number(v) : v;
  }

  list() {
    /** @type {Value[]} */
    const out = [];
    for (let n = this.open(1); n > 0; n--) out.push(this.value());
    this.depth--;
    return out;
  }

  map() {
    /** @type {Map<Value, Value>} */
    const out = new Map();
    let last = EMPTY;
    for (let n = this.open(2); n > 0; n--) {
      const at = this.off;
      const key = this.value();
      const encoded = this.b.subarray(at, this.off);
      const order = compare(last, encoded);
      if (order === 0) this.fail("can_key_duplicate", at, "a MAP key stands twice");
      if (order > 0) this.fail("can_key_order", at, "MAP keys are not ascending");
      last = encoded;
      out.set(key, this.value());
    }
    this.depth--;
    return out;
  }

  /**
   * Reads a struct whose fields, by number, are all required.
   * @param {boolean} closed
   * @param {readonly (() => unknown)[]} fields from field 1
   */
  struct(closed, fields) {
    this.tag(MAP);
    let last = 0;
    for (let n = this.open(2); n > 0; n--) {
      const at = this.off;
      const num = this.field(last);
      if (last < fields.length && num > last + 1) this.missing(at, last + 1);
      if (num > fields.length && closed) this.fail("can_unknown_field", at, `field ${num} is unknown`);
      last = num;
      if (num > fields.length) this.value();
      else fields[num - 1]();
    }
    if (last < fields.length) this.missing(this.off, last + 1);
    this.depth--;
  }

  /**
   * @param {number} at
   * @param {number} num
   */
  missing(at, num) {
    this.fail("can_missing", at, `field ${num} is missing`);
  }

  /**
   * Reads the key of a struct's next field, which follows field last.
   * @param {number} last
   */
  field(last) {
    const at = this.off;
    if (at >= this.b.length) this.fail("can_truncated", at, "the input ends where a field is due");
    if (this.b[at] !== UINT) this.fail("can_field_number", at, "a struct key is not a field number");
    this.off++;
    const num = this.varint(at);
    if (num < 1 || num > 127) this.fail("can_field_number", at, `field number ${num} is not in 1..127`);
    if (num < last) this.fail("can_key_order", at, `field ${num} stands after field ${last}`);
    if (num === last) this.fail("can_key_duplicate", at, `field ${num} stands twice`);
    return num;
  }

  /** Reads a Hash and returns its 32 bytes. */
  hash() {
    let digest = EMPTY;
    this.struct(true, [
      () => {
        const at = this.off;
        this.tag(UINT);
        const alg = this.integer();
        if (alg > 255) this.fail("can_range", at, `got ${alg}, at most 255`);
        if (alg !== 1) this.fail("hash_alg", at, `hash algorithm ${alg}`);
      },
      () => {
        const at = this.off;
        this.tag(BYTES);
        digest = this.bytes();
        if (digest.length !== 32) this.fail("can_length", at, `got ${digest.length} bytes, want 32`);
      },
    ]);
    return digest;
  }
}

/** @type {Uint8Array} */
const EMPTY = new Uint8Array(0);
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();
const compare = Buffer.compare;

/** @param {Uint8Array} b */
function check(b) {
  if (!(b instanceof Uint8Array)) throw new MythosError("can_type", "want a Uint8Array");
  decode(b);
}

/** @type {typeof import("./mythos-tool.d.ts").decode} */
export function decode(b) {
  const r = new Reader(b);
  const v = r.value();
  r.done();
  return v;
}

/** @type {typeof import("./mythos-tool.d.ts").encode} */
export function encode(v) {
  const w = new Writer();
  w.value(v, 0);
  return w.take();
}

/** Appends to a buffer that it grows. */
class Writer {
  constructor() {
    /** @type {Uint8Array} */
    this.b = new Uint8Array(256);
    this.off = 0;
  }

  take() {
    return this.b.slice(0, this.off);
  }

  /** @param {number} n */
  reserve(n) {
    if (this.off + n <= this.b.length) return;
    const grown = new Uint8Array(Math.max(2 * this.b.length, this.off + n));
    grown.set(this.b.subarray(0, this.off));
    this.b = grown;
  }

  /** @param {number} c */
  byte(c) {
    this.reserve(1);
    this.b[this.off++] = c;
  }

  /**
   * Appends a varint: an integer of 0..2^53-1, or any bigint of 64 bits.
   * @param {number | bigint} v
   */
  varint(v) {
    this.reserve(10);
    if (typeof v === "bigint") {
      for (; v > 0x7fn; v >>= 7n) this.b[this.off++] = Number(v & 0x7fn) | 0x80;
      v = Number(v);
    }
    for (; v > 0x7f; v = Math.floor(v / 128)) this.b[this.off++] = v % 128 | 0x80;
    this.b[this.off++] = v;
  }

  /** @param {Uint8Array} v */
  raw(v) {
    this.reserve(v.length);
    this.b.set(v, this.off);
    this.off += v.length;
  }

  /** @param {Uint8Array} v */
  bytes(v) {
    this.byte(BYTES);
    this.varint(v.length);
    this.raw(v);
  }

  /** @param {string} s */
  text(s) {
    if (!s.isWellFormed()) throw new MythosError("can_utf8", "a string with a lone surrogate");
    const b = encoder.encode(s);
    this.byte(TEXT);
    this.varint(b.length);
    this.raw(b);
  }

  /** @param {bigint} v */
  signed(v) {
    if (v < MIN_I64 || v > MAX_I64) throw new MythosError("can_range", `${v} is not in -2^63..2^63-1`);
    this.byte(INT);
    this.varint(v >= 0n ? v << 1n : (-v << 1n) - 1n);
  }

  /** @param {bigint | number} v */
  unsigned(v) {
    if (v > MAX_U64) throw new MythosError("can_range", `${v} is not in 0..2^64-1`);
    this.byte(UINT);
    this.varint(v);
  }

  /**
   * @param {Encodable} v
   * @param {number} depth containers open around it
   */
  value(v, depth) {
    switch (typeof v) {
      case "boolean":
        return this.byte(v ? TRUE : FALSE);
      case "string":
        return this.text(v);
      case "number":
        if (!Number.isSafeInteger(v) || Object.is(v, -0)) throw new MythosError("can_range", `${v} is no integer that a number holds exactly`);
        return v < 0 ? this.signed(BigInt(v)) : this.unsigned(v);
      case "bigint":
        return v < 0n ? this.signed(v) : this.unsigned(v);
      case "object":
        return this.object(v, depth);
    }
    throw new MythosError("can_type", `${typeof v} has no encoding`);
  }

  /**
   * @param {Exclude<Encodable, boolean | string | number | bigint>} v
   * @param {number} depth
   */
  object(v, depth) {
    if (v === null) return this.byte(NULL);
    if (v instanceof Uint8Array) return this.bytes(v);
    if (v instanceof I64) return this.signed(v.value);
    if (v instanceof Raw) return this.embed(v.bytes, depth);
    if (depth === MAX_DEPTH) throw new MythosError("can_depth", `more than ${MAX_DEPTH} containers open`);
    if (Array.isArray(v)) {
      this.byte(LIST);
      this.varint(v.length);
      for (let i = 0; i < v.length; i++) this.value(v[i], depth + 1);
      return;
    }
    this.map(entries(v), depth + 1);
  }

  /**
   * Appends a value that is encoded already, which is checked again because of
   * the containers around it.
   * @param {Uint8Array} b
   * @param {number} depth
   */
  embed(b, depth) {
    const r = new Reader(b);
    r.depth = depth;
    r.value();
    r.done();
    this.raw(b);
  }

  /**
   * @param {Iterable<[Encodable, Encodable]>} pairs
   * @param {number} depth
   */
  map(pairs, depth) {
    /** @type {[Uint8Array, Encodable][]} */
    const sorted = [];
    for (const [k, v] of pairs) {
      const w = new Writer();
      w.value(k, depth);
      sorted.push([w.take(), v]);
    }
    sorted.sort((x, y) => compare(x[0], y[0]));
    this.byte(MAP);
    this.varint(sorted.length);
    for (let i = 0; i < sorted.length; i++) {
      if (i > 0 && compare(sorted[i - 1][0], sorted[i][0]) === 0) throw new MythosError("can_key_duplicate", "two keys of a map have one encoding");
      this.raw(sorted[i][0]);
      this.value(sorted[i][1], depth);
    }
  }
}

/**
 * Returns the pairs of a Map, or of a plain object, whose undefined members are
 * left out.
 * @param {object} v
 * @returns {Iterable<[Encodable, Encodable]>}
 */
function entries(v) {
  if (v instanceof Map) return v;
  const proto = Object.getPrototypeOf(v);
  if (proto !== Object.prototype && proto !== null) throw new MythosError("can_type", "an object of a class has no encoding");
  return Object.entries(v).filter(([, x]) => x !== undefined);
}

// ---- Requests and responses, RFC-MYTHOS-0006 §10

/**
 * Decodes a ToolRequest and its payload.
 * @param {Uint8Array} request
 * @returns {Call}
 */
function decodeCall(request) {
  const r = new Reader(request);
  let [toolId, raw, idemId] = [EMPTY, EMPTY, EMPTY];
  const schema = () => {
    const at = r.off;
    r.tag(TEXT);
    const got = r.text();
    if (got !== "mythos.tool.request") r.fail("schema_mismatch", at, "not a ToolRequest");
  };
  const payload = () => {
    r.tag(BYTES);
    raw = r.bytes();
  };
  r.struct(false, [schema, () => (toolId = r.hash()), payload, () => (idemId = r.hash())]);
  r.done();
  return { payload: decode(raw), raw: checked(raw), toolId, idemId };
}

/**
 * Encodes a ToolResponse.
 * @param {number} status
 * @param {Uint8Array} payload
 * @param {string} [code]
 * @param {string} [message]
 */
function encodeResponse(status, payload, code, message) {
  const w = new Writer();
  w.byte(MAP);
  w.varint(code === undefined ? 3 : 4);
  w.raw(RESPONSE_HEAD);
  w.unsigned(status);
  w.raw(FIELD_3);
  w.bytes(payload);
  if (code !== undefined) {
    const message_ = message ? /** @type {[number, string][]} */ ([[2, message]]) : [];
    w.unsigned(4);
    w.value(new Map([[1, code], ...message_]), 1);
  }
  return w.take();
}

const RESPONSE_HEAD = Uint8Array.of(UINT, 1, ...encode("mythos.tool.response"), UINT, 2);
const FIELD_3 = Uint8Array.of(UINT, 3);
const NULL_PAYLOAD = Uint8Array.of(NULL);

/**
 * Turns whatever a handler threw into a response. Only what fail says reaches
 * the caller; anything else is 500 and goes to the log.
 * @param {unknown} e
 */
function failed(e) {
  if (e instanceof BadRequest) {
    log.error(e.message);
    return encodeResponse(400, NULL_PAYLOAD, "bad_request");
  }
  if (e instanceof Failure) {
    try {
      return encodeResponse(e.status, NULL_PAYLOAD, e.code, e.detail);
    } catch (again) {
      e = again; // a lone surrogate in it
    }
  }
  report(e);
  return encodeResponse(500, NULL_PAYLOAD, "tool_error");
}

/** @param {Encodable} v */
function succeeded(v) {
  try {
    return encodeResponse(200, v instanceof Raw ? v.bytes : encode(v));
  } catch (e) {
    return failed(e);
  }
}

/** @type {typeof import("./mythos-tool.d.ts").answer} */
export function answer(handler, request) {
  /** @type {Call} */
  let call;
  try {
    call = decodeCall(request);
  } catch (e) {
    return failed(new BadRequest(e instanceof Error ? e.message : String(e)));
  }
  try {
    const out = handler(call);
    return isPromise(out) ? Promise.resolve(out).then(succeeded, failed) : succeeded(out);
  } catch (e) {
    return failed(e);
  }
}

/**
 * @template T
 * @param {T | PromiseLike<T>} x
 * @returns {x is PromiseLike<T>}
 */
function isPromise(x) {
  return typeof x === "object" && x !== null && "then" in x && typeof x.then === "function";
}

// ---- Frames

/**
 * Reads frames from a descriptor with blocking calls. It reads ahead, and
 * reserves no more than about twice what has arrived.
 */
class Frames {
  /** @param {(into: Uint8Array) => number} read returns 0 at the end */
  constructor(read) {
    this.read = read;
    /** @type {Uint8Array} */
    this.b = new Uint8Array(READ_SIZE);
    this.from = 0;
    this.to = 0;
  }

  /** Reads more bytes; false at the end of the stream. */
  more() {
    if (this.from === this.to) this.from = this.to = 0;
    if (this.to === this.b.length) this.room();
    const n = this.read(this.b.subarray(this.to));
    this.to += n;
    return n > 0;
  }

  /** Makes room behind the bytes that are held. */
  room() {
    const held = this.to - this.from;
    const next = held > this.b.length / 2 ? new Uint8Array(2 * this.b.length) : this.b;
    next.set(this.b.subarray(this.from, this.to));
    this.b = next;
    this.from = 0;
    this.to = held;
  }

  /**
   * Returns the next message, undefined at an end before its first byte.
   * @param {number} limit bytes
   */
  next(limit) {
    const n = this.head();
    if (n === undefined) return undefined;
    if (n > limit) throw new MythosError("abi_frame_too_large", `a frame of ${n} bytes, at most ${limit}`);
    while (this.to - this.from < n) {
      if (!this.more()) throw new MythosError("abi_frame_truncated", `the stream ended after ${this.to - this.from} of ${n} bytes`);
    }
    const message = this.b.slice(this.from, this.from + n);
    this.from += n;
    if (this.b.length > 16 * READ_SIZE) this.shrink();
    return message;
  }

  /** Gives back what one large frame took. */
  shrink() {
    if (this.to - this.from > READ_SIZE) return;
    const b = new Uint8Array(READ_SIZE);
    b.set(this.b.subarray(this.from, this.to));
    this.to -= this.from;
    this.from = 0;
    this.b = b;
  }

  /** Reads the length of a frame. */
  head() {
    let v = 0;
    let unit = 1;
    for (let i = 0; ; i++, unit *= 128) {
      if (this.from === this.to && !this.more()) {
        if (i === 0) return undefined;
        throw new MythosError("abi_frame_truncated", "the stream ended inside a frame's length");
      }
      const c = this.b[this.from++];
      if (i === 9 && c > 1) throw new MythosError("abi_frame_length", "a frame length exceeds 64 bits");
      v += (c & 0x7f) * unit;
      if (c < 0x80) {
        if (c === 0 && i > 0) throw new MythosError("abi_frame_length", "a frame length is not minimal");
        return v;
      }
    }
  }
}

/**
 * Returns the first message of bytes, for tests of the framing.
 * @param {Uint8Array} bytes
 * @param {number} limit
 */
export function readFrame(bytes, limit) {
  let at = 0;
  const frames = new Frames((into) => {
    const n = Math.min(into.length, bytes.length - at);
    into.set(bytes.subarray(at, at + n));
    at += n;
    return n;
  });
  const message = frames.next(limit);
  if (message === undefined) throw new MythosError("abi_frame_end", "the stream ended without a frame");
  return { message, left: frames.to - frames.from + bytes.length - at };
}

/** @param {Uint8Array} into */
function readInput(into) {
  for (;;) {
    try {
      return readSync(0, into, 0, into.length, null);
    } catch (e) {
      if (codeOf(e) === "EOF") return 0;
      again(e);
    }
  }
}

/**
 * Writes all of b.
 * @param {number} fd
 * @param {Uint8Array} b
 */
function writeAll(fd, b) {
  for (let at = 0; at < b.length; ) {
    try {
      at += writeSync(fd, b, at, b.length - at);
    } catch (e) {
      again(e);
    }
  }
}

/** @param {unknown} e */
function codeOf(e) {
  return e instanceof Error && "code" in e ? e.code : undefined;
}

/**
 * Waits a moment if a descriptor was not ready, which only one that does not
 * block can be; otherwise throws e.
 * @param {unknown} e
 */
function again(e) {
  if (codeOf(e) !== "EAGAIN") throw e;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
}

// ---- Serving

/** @type {typeof import("./mythos-tool.d.ts").serve} */
export function serve(handler, options = {}) {
  guard();
  const limit = options.maxRequest ?? MAX_REQUEST;
  const frames = new Frames(readInput);
  let called = false;
  process.on("exit", (code) => {
    if (!called || code !== 0) return;
    log.error("the process ended before the tool had answered");
    respond(encodeResponse(500, NULL_PAYLOAD, "tool_error"));
  });
  /** @param {Uint8Array} response */
  const finish = (response) => {
    called = false;
    respond(response);
  };
  const loop = () => {
    for (let request = frames.next(limit); request !== undefined; request = frames.next(limit)) {
      called = true;
      const response = answer(handler, request);
      if (isPromise(response)) {
        response.then(finish).then(loop).then(undefined, broken);
        return;
      }
      finish(response);
    }
    process.exit(0); // whatever timers or sockets the tool left behind
  };
  try {
    loop();
  } catch (e) {
    broken(e);
  }
}

/**
 * Ends the process because of a broken frame or a closed pipe.
 * @param {unknown} e
 */
function broken(e) {
  log.error(e instanceof Error ? e.message : String(e));
  process.exit(1);
}

/** @param {Uint8Array} response */
function respond(response) {
  const w = new Writer();
  w.varint(response.length);
  w.raw(response);
  writeAll(1, w.b.subarray(0, w.off));
}

/**
 * Sends what console and process.stdout write to standard error: only frames may
 * be on standard output. The getters keep both streams from being opened at all
 * by a tool that does not use them.
 */
function guard() {
  const stderr = { configurable: true, get: () => process.stderr };
  Object.defineProperty(process, "stdout", stderr);
  Object.defineProperty(console, "_stdout", stderr);
}

/** @type {typeof import("./mythos-tool.d.ts").log} */
export const log = {
  debug: (text) => line("DEBUG", text),
  info: (text) => line("INFO", text),
  warn: (text) => line("WARN", text),
  error: (text) => line("ERROR", text),
};

/**
 * @param {string} level
 * @param {string} text
 */
function line(level, text) {
  writeAll(2, encoder.encode(String(text).replace(/\n$/, "").replace(/^/gm, level + " ") + "\n"));
}

/**
 * Logs why a call failed, stack included, in one line.
 * @param {unknown} e
 */
function report(e) {
  let text = "an error that has no text";
  try {
    text = e instanceof Error ? e.stack ?? e.message : String(e);
  } catch {} // what was thrown is of the tool's making
  log.error(text.replace(/\s*\n\s*/g, " | "));
}

// ---- Powers, RFC-MYTHOS-0006 §12

/** @type {typeof import("./mythos-tool.d.ts").secret} */
export function secret(name) {
  const variable = `MYTHOS_SECRET_${name.toUpperCase().replace(/[^A-Z0-9]/g, "_")}_FD`;
  const value = process.env[variable];
  if (value === undefined || !/^[1-9][0-9]{0,8}$/.test(value)) throw new Error(`no secret ${name} was granted: ${variable} is not set`);
  const fd = Number(value);
  const { size } = fstatSync(fd);
  if (size > MAX_SECRET) throw new Error(`secret ${name} has ${size} bytes, at most ${MAX_SECRET}`);
  const out = new Uint8Array(size);
  for (let at = 0; at < size; ) {
    const n = readSync(fd, out, at, size - at, at); // from the start, whoever read before
    if (n === 0) throw new Error(`secret ${name} ends after ${at} of ${size} bytes`);
    at += n;
  }
  return out;
}

function proxy() {
  const path = process.env["MYTHOS_NET"];
  if (!path) throw new Error("no network was granted: MYTHOS_NET is not set");
  return path;
}

/** @type {typeof import("./mythos-tool.d.ts").http} */
export async function http(url, options = {}) {
  const socketPath = proxy();
  const { protocol, host } = new URL(url);
  if (protocol !== "http:" && protocol !== "https:") throw new Error(`http: ${protocol} is neither http: nor https:`);
  const { request } = await import("node:http");
  const body = typeof options.body === "string" ? encoder.encode(options.body) : options.body;
  const headers = { host, ...options.headers, ...(body && { "content-length": String(body.length) }) };
  const limit = options.maxBytes ?? MAX_BODY;
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: url, method: options.method ?? "GET", headers, agent: false, signal: options.signal });
    call.on("error", reject);
    call.on("response", (response) => {
      /** @type {Uint8Array[]} */
      const parts = [];
      let size = 0;
      response.on("error", reject);
      response.on("data", (part) => {
        size += part.length;
        parts.push(part);
        if (size <= limit) return;
        reject(new Error(`http: the response has more than ${limit} bytes`));
        call.destroy();
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: headersOf(response.rawHeaders), body: joined(parts, size) }));
    });
    call.end(body);
  });
}

/**
 * Returns names and values that alternate as pairs with lower-case names.
 * @param {readonly string[]} raw
 */
function headersOf(raw) {
  /** @type {[string, string][]} */
  const out = [];
  for (let i = 0; i + 1 < raw.length; i += 2) out.push([raw[i].toLowerCase(), raw[i + 1]]);
  return out;
}

/**
 * @param {readonly Uint8Array[]} parts
 * @param {number} size
 */
function joined(parts, size) {
  const out = new Uint8Array(size);
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

/** @type {typeof import("./mythos-tool.d.ts").connect} */
export async function connect(host, port) {
  const socketPath = proxy();
  const { request } = await import("node:http");
  const path = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path, method: "CONNECT", headers: { host: path }, agent: false });
    call.on("error", reject);
    call.on("response", (response) => {
      response.resume();
      reject(new Error(`connect ${path}: ${response.statusCode}`));
    });
    call.on("connect", (response, socket, head) => {
      if (response.statusCode !== 200) {
        socket.destroy();
        reject(new Error(`connect ${path}: ${response.statusCode}`));
        return;
      }
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    call.end();
  });
}
