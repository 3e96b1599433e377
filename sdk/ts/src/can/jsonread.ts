/**
 * Reading the JSON view (RFC-MYTHOS-0001 §6). It is a parser of its own because
 * JSON.parse rounds numbers and keeps the last of equal names. Faults are
 * json_syntax, json_number, json_text, json_duplicate, json_typed, json_depth
 * and json_trailing, at byte offsets of the text.
 */

import { badUtf8, compareBytes, joinBytes, parseHex, toUtf8 } from "../bytes.js";
import { MythosError } from "../fault.js";
import { MAX_DEPTH } from "./tags.js";
import { Writer } from "./writer.js";

/** Returns the canonical bytes of the value that text is the JSON view of. */
export function parseJsonView(text: string | Uint8Array): Uint8Array {
  return new JsonReader(typeof text === "string" ? encoded(text) : text).document();
}

/** Returns text in UTF-8; a lone surrogate is json_text. */
function encoded(text: string): Uint8Array {
  const lone = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.exec(text);
  if (lone !== null) throw new MythosError("json_text", "a lone surrogate", toUtf8(text.slice(0, lone.index)).length);
  return toUtf8(text);
}

const MAX_U64 = (1n << 64n) - 1n;
const MAX_I64 = (1n << 63n) - 1n;
const ESCAPES: Record<string, string> = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

const decoder = /* @__PURE__ */ new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const code = (c: string): number => c.charCodeAt(0);

/** One entry of a MAP: where its key stands in the text, and both encoded. */
interface Pair {
  readonly at: number;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** A cursor over JSON text whose reading methods return canonical bytes. */
class JsonReader {
  private at = 0;
  private readonly text: Uint8Array;
  private readonly w = new Writer(64);

  constructor(text: Uint8Array) {
    this.text = text;
  }

  document(): Uint8Array {
    const [a, b, c] = this.text;
    if (a === 0xef && b === 0xbb && c === 0xbf) this.fail("json_text", 0, "the text begins with a byte order mark");
    const v = this.value(0);
    this.space();
    if (this.at < this.text.length) this.fail("json_trailing", this.at, `${this.text.length - this.at} bytes after the value`);
    return v;
  }

  private fail(code: string, at: number, reason: string): never {
    throw new MythosError(code, reason, at);
  }

  private syntax(want: string): never {
    const c = this.text[this.at];
    const got = c === undefined ? "the text ends" : `got byte 0x${c.toString(16)}`;
    return this.fail("json_syntax", this.at, `${got}, want ${want}`);
  }

  private space(): void {
    for (let c = this.text[this.at]; c === 0x20 || c === 0x09 || c === 0x0a || c === 0x0d; c = this.text[this.at]) this.at++;
  }

  /** Steps over white space and returns the character there, "" at the end. */
  private next(): string {
    this.space();
    const c = this.text[this.at];
    return c === undefined ? "" : String.fromCharCode(c);
  }

  private takes(c: string): boolean {
    if (this.next() !== c) return false;
    this.at++;
    return true;
  }

  private want(c: string): void {
    if (!this.takes(c)) this.syntax(`'${c}'`);
  }

  /** Encodes one thing. */
  private put(write: (w: Writer) => void): Uint8Array {
    write(this.w.reset());
    return this.w.take();
  }

  /** Reads one value inside depth containers. */
  private value(depth: number): Uint8Array {
    const c = this.next();
    if (c === '"') {
      const s = this.quoted();
      return this.put((w) => w.text(s));
    }
    if (c === "-" || (c >= "0" && c <= "9")) return this.number();
    if (c === "{") return this.object(depth);
    if (c === "[") return this.list(depth);
    if (this.literal("null")) return this.put((w) => w.null());
    if (this.literal("true")) return this.put((w) => w.bool(true));
    if (this.literal("false")) return this.put((w) => w.bool(false));
    return this.syntax("a value");
  }

  private literal(word: string): boolean {
    for (let i = 0; i < word.length; i++) {
      if (this.text[this.at + i] !== word.charCodeAt(i)) return false;
    }
    this.at += word.length;
    return true;
  }

  /** Reads an integer; a sign makes it an IVARINT. */
  private number(): Uint8Array {
    const at = this.at;
    let word = "";
    for (let c = this.next(); c !== "" && "+-.0123456789eE".includes(c); c = this.peek()) {
      word += c;
      this.at++;
    }
    const v = /^(?:0|-?[1-9][0-9]{0,15})$/.test(word) ? Number(word) : NaN;
    if (!Number.isSafeInteger(v)) this.fail("json_number", at, `${word.slice(0, 40)} is not an integer from -(2^53-1) to 2^53-1 in plain digits`);
    return this.put((w) => (v < 0 ? w.i64(BigInt(v)) : w.uint(v)));
  }

  private peek(): string {
    const c = this.text[this.at];
    return c === undefined ? "" : String.fromCharCode(c);
  }

  private enter(depth: number, at: number): void {
    if (depth >= MAX_DEPTH) this.fail("json_depth", at, `more than ${MAX_DEPTH} containers open`);
  }

  private list(depth: number): Uint8Array {
    this.enter(depth, this.at);
    this.want("[");
    const items: Uint8Array[] = [];
    for (let more = !this.takes("]"); more; more = this.another("]")) items.push(this.value(depth + 1));
    return joinBytes([this.put((w) => w.list(items.length)), ...items]);
  }

  /** Consumes the comma before the next item, or the end after the last one. */
  private another(end: string): boolean {
    if (this.takes(",")) return true;
    if (!this.takes(end)) this.syntax(`',' or '${end}'`);
    return false;
  }

  /** Reads a MAP with plain TEXT keys, or one of the four typed forms. */
  private object(depth: number): Uint8Array {
    const at = this.at;
    this.want("{");
    if (this.takes("}")) {
      this.enter(depth, at);
      return this.put((w) => w.map(0));
    }
    let [nameAt, name] = this.name();
    if (name.startsWith("$")) return this.typed(depth, at, nameAt, name);
    this.enter(depth, at);
    const pairs: Pair[] = [];
    for (let more = true; more; ) {
      if (name.startsWith("$")) this.fail("json_typed", nameAt, `member ${name.slice(0, 40)} is not alone in its object`);
      const key = this.put((w) => w.text(name));
      this.want(":");
      pairs.push({ at: nameAt, key, value: this.value(depth + 1) });
      more = this.another("}");
      if (more) [nameAt, name] = this.name();
    }
    return this.map(pairs);
  }

  /** Reads a member name and returns where it began. */
  private name(): [at: number, name: string] {
    if (this.next() !== '"') this.syntax("a member name");
    return [this.at, this.quoted()];
  }

  /** Reads what follows the name of a typed form up to its closing brace. */
  private typed(depth: number, at: number, nameAt: number, name: string): Uint8Array {
    this.want(":");
    const c = this.next();
    const valueAt = this.at;
    let out: Uint8Array;
    if (name === "$map") {
      this.enter(depth, at);
      out = this.pairs(depth);
    } else if (name !== "$u64" && name !== "$i64" && name !== "$bytes") {
      this.fail("json_typed", nameAt, `${JSON.stringify(name.slice(0, 40))} is none of $u64, $i64, $bytes and $map`);
    } else if (c !== '"') {
      this.fail("json_typed", valueAt, `${name} takes a string`);
    } else {
      out = this.scalar(name, valueAt, this.quoted());
    }
    if (this.next() === ",") this.fail("json_typed", nameAt, `member ${name} is not alone in its object`);
    this.want("}");
    return out;
  }

  /** Returns the value of a $u64, $i64 or $bytes form. */
  private scalar(name: string, at: number, s: string): Uint8Array {
    if (name === "$bytes") {
      const b = parseHex(s);
      if (b === undefined) this.fail("json_typed", at, "$bytes takes an even number of lowercase hex digits");
      return this.put((w) => w.bytes(b));
    }
    const v = /^(?:0|-?[1-9][0-9]{0,19})$/.test(s) ? BigInt(s) : undefined;
    const [least, most] = name === "$u64" ? [0n, MAX_U64] : [-MAX_I64 - 1n, MAX_I64];
    if (v === undefined || v < least || v > most) this.fail("json_typed", at, `${name} takes a decimal number from ${least} to ${most}`);
    return this.put((w) => (name === "$u64" ? w.u64(v) : w.i64(v)));
  }

  /** Reads the array behind $map. */
  private pairs(depth: number): Uint8Array {
    if (this.next() !== "[") this.fail("json_typed", this.at, "$map takes an array of pairs");
    this.want("[");
    const pairs: Pair[] = [];
    for (let more = !this.takes("]"); more; more = this.another("]")) {
      if (this.next() !== "[") this.fail("json_typed", this.at, "$map takes pairs of a key and a value");
      this.want("[");
      this.space();
      const at = this.at;
      const key = this.value(depth + 1);
      this.want(",");
      pairs.push({ at, key, value: this.value(depth + 1) });
      this.want("]");
    }
    return this.map(pairs);
  }

  /** Sorts pairs and refuses equal keys; of several, the first to repeat is named. */
  private map(pairs: Pair[]): Uint8Array {
    pairs.sort((x, y) => compareBytes(x.key, y.key) || x.at - y.at);
    const twice = pairs.filter((p, i) => i > 0 && compareBytes(pairs[i - 1]!.key, p.key) === 0).map((p) => p.at);
    if (twice.length > 0) this.fail("json_duplicate", twice.reduce((a, b) => Math.min(a, b)), "this key stands in its object before");
    const head = this.put((w) => w.map(pairs.length));
    return joinBytes([head, ...pairs.flatMap((p) => [p.key, p.value])]);
  }

  /** Reads a string. */
  private quoted(): string {
    this.want('"');
    let s = "";
    for (let start = this.at; ; ) {
      const c = this.text[this.at];
      if (c === code('"') || c === code("\\")) {
        s += this.plain(start);
        this.at++;
        if (c === code('"')) return s;
        s += this.escape();
        start = this.at;
      } else if (c !== undefined && c >= 0x20) {
        this.at++;
      } else {
        this.plain(start);
        if (c === undefined) this.syntax("'\"'");
        this.fail("json_syntax", this.at, `control character 0x${c!.toString(16)} in a string`);
      }
    }
  }

  /** Returns the text from start up to here, which has no escapes. */
  private plain(start: number): string {
    const bad = badUtf8(this.text, start, this.at);
    if (bad >= 0) this.fail("json_text", bad, "the text is not valid UTF-8");
    return decoder.decode(this.text.subarray(start, this.at));
  }

  /** Reads what follows a backslash and returns what the escape stands for. */
  private escape(): string {
    const at = this.at - 1;
    const c = this.peek();
    const short = ESCAPES[c];
    if (short !== undefined) {
      this.at++;
      return short;
    }
    if (c !== "u") this.fail("json_syntax", at, "not an escape of JSON");
    this.at++;
    const unit = this.hex4(at);
    if (unit < 0xd800 || unit > 0xdfff) return String.fromCharCode(unit);
    let low = 0;
    if (this.text[this.at] === code("\\") && this.text[this.at + 1] === code("u")) {
      this.at += 2;
      low = this.hex4(this.at - 2);
    }
    if (unit > 0xdbff || low < 0xdc00 || low > 0xdfff) this.fail("json_text", at, "a lone surrogate");
    return String.fromCharCode(unit, low);
  }

  /** Reads four hex digits; at is where the escape began. */
  private hex4(at: number): number {
    const digits = String.fromCharCode(...this.text.subarray(this.at, this.at + 4));
    if (!/^[0-9A-Fa-f]{4}$/.test(digits)) this.fail("json_syntax", at, "an escape needs four hex digits");
    this.at += 4;
    return parseInt(digits, 16);
  }
}
