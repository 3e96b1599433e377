/** Reading the inputs of ops, and writing their outputs (ctvp/README.md). */

import { parseHex, toHex } from "../bytes.js";
import { type Hash, hashText, parseHash } from "../cid.js";

/** A JSON object. */
export type Json = Record<string, unknown>;

/** An input that this implementation does not claim. */
export class Unsupported extends Error {}

/** The input of one request. A member of another shape is a fault of the vector, a TypeError. */
export class Input {
  private readonly members: Json;

  constructor(members: unknown) {
    if (typeof members !== "object" || members === null || Array.isArray(members)) throw new TypeError("the input is no object");
    this.members = members as Json;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.members, name);
  }

  private bad(name: string, want: string): never {
    throw new TypeError(`input ${name}: want ${want}`);
  }

  text(name: string): string {
    const v = this.members[name];
    return typeof v === "string" ? v : this.bad(name, "a string");
  }

  /** Bytes. */
  hex(name: string): Uint8Array {
    return parseHex(this.text(name)) ?? this.bad(name, "lower-case hexadecimal");
  }

  hash(name: string): Hash {
    return parseHash(this.text(name));
  }

  /** A u64, i64 or time. */
  big(name: string): bigint {
    const s = this.text(name);
    return /^(?:0|-?[1-9][0-9]{0,19})$/.test(s) ? BigInt(s) : this.bad(name, "decimal digits");
  }

  int(name: string): number {
    const v = this.members[name];
    return typeof v === "number" && Number.isSafeInteger(v) ? v : this.bad(name, "an integer");
  }

  list(name: string): unknown[] {
    const v = this.members[name];
    return Array.isArray(v) ? v : this.bad(name, "an array");
  }

  /** An object of its own. */
  object(name: string): Input {
    return new Input(this.members[name]);
  }

  objects(name: string): Input[] {
    return this.list(name).map((v) => new Input(v));
  }

  strings(name: string): string[] {
    return this.list(name).map((v) => (typeof v === "string" ? v : this.bad(name, "strings")));
  }

  hexes(name: string): Uint8Array[] {
    return this.strings(name).map((s) => parseHex(s) ?? this.bad(name, "lower-case hexadecimal"));
  }
}

/** Returns v as outputs write it: bytes in hex, bigints as digits; absent members stay out. */
export function output(v: unknown): unknown {
  if (v instanceof Uint8Array) return toHex(v);
  if (typeof v === "bigint") return String(v);
  if (Array.isArray(v)) return v.map(output);
  if (typeof v !== "object" || v === null) return v;
  return Object.fromEntries(Object.entries(v).flatMap(([k, x]) => (x === undefined ? [] : [[k, output(x)]])));
}

/** Returns a hash as outputs write it, undefined for none. */
export function hashOut(h: Hash | undefined): string | undefined {
  return h === undefined ? undefined : hashText(h);
}
