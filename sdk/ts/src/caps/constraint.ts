/** The constraints of a ToolCall scope (RFC-MYTHOS-0008 §4). */

import { compareText, equalBytes, parseHex, startsWith, toHex } from "../bytes.js";
import { Reader } from "../can/reader.js";
import { BYTES, INT, LIST, TEXT, UINT, tagName } from "../can/tags.js";
import { isCanonical } from "../can/valid.js";
import { type Hash, equalHashes, hashText } from "../cid.js";
import { decimal, splitPointer } from "./pointer.js";

/** Entries of a scope's constraints, at most. */
export const MAX_CONSTRAINTS = 64;

/** A concrete tool call: what constraints are evaluated against. */
export interface Call {
  readonly tool: Hash;
  /** package_id. */
  readonly package: Hash;
  /** ModuleRef.cid of the module that would run. */
  readonly module: Hash;
  readonly requestHash: Hash;
  /** Id of the ledger; absent if it has none. */
  readonly ledger?: Hash;
  readonly ring: number;
  /** One canonical value. */
  readonly payload: Uint8Array;
}

/** Why one scope does not cover another, or a use. */
export interface Breach {
  readonly code: "cap_scope" | "cap_constraint";
  /** A row of RFC-MYTHOS-0008 §5, a constraint key, or "". */
  readonly field: string;
  readonly why: string;
}

/** One parsed entry. */
export interface Constraint {
  readonly key: string;
  /** An operator, for an arg. */
  readonly op: string;
  /** Of an arg. */
  readonly pointer: string | undefined;
  /** Of package, module, request_hash and ledger. */
  readonly hash: Hash | undefined;
  /** Of ring_max. */
  readonly ring: number;
  /** Of an arg: one canonical value. */
  readonly value: Uint8Array;
}

const NONE = new Uint8Array(0);

const unmet = (key: string, why: string): Breach => ({ code: "cap_constraint", field: key, why: `constraint ${JSON.stringify(key)}: ${why}` });

/** Returns the key and value of a constraint about the argument at a JSON pointer. */
export function argConstraint(pointer: string, op: "eq" | "le" | "ge" | "in" | "prefix", value: Uint8Array): [key: string, value: string] {
  return [`arg${pointer}:${op}`, toHex(value)];
}

/** Reads the closed vocabulary; the constraints ascend by key. */
export function parseConstraints(m: ReadonlyMap<string, string>): Constraint[] | Breach {
  if (m.size > MAX_CONSTRAINTS) return { code: "cap_constraint", field: "", why: `${m.size} constraints, at most ${MAX_CONSTRAINTS}` };
  const out: Constraint[] = [];
  for (const key of [...m.keys()].sort(compareText)) {
    const c = parseConstraint(key, m.get(key)!);
    if (typeof c === "string") return unmet(key, c);
    out.push(c);
  }
  return out;
}

/** Returns the constraint, or why it is none. */
function parseConstraint(key: string, text: string): Constraint | string {
  const plain = { key, op: key, pointer: undefined, hash: undefined, ring: 0, value: NONE };
  switch (key) {
    case "package":
    case "module":
    case "request_hash": {
      const hash = text.startsWith("sha256:") ? digest(text.slice(7)) : undefined;
      return hash === undefined ? "the value is not sha256:<64 lowercase hex digits>" : { ...plain, hash };
    }
    case "ledger": {
      const hash = digest(text);
      return hash === undefined ? "the value is not 64 lowercase hex digits" : { ...plain, hash };
    }
    case "ring_max": {
      const n = decimal(text);
      return n === undefined || n > 255n ? "the value is not a decimal of 0..255" : { ...plain, ring: Number(n) };
    }
  }
  return parseArg(key, text);
}

function digest(hex: string): Hash | undefined {
  return hex.length === 64 ? parseHex(hex) : undefined;
}

/** Reads arg POINTER ":" OP and its value. */
function parseArg(key: string, text: string): Constraint | string {
  const colon = key.lastIndexOf(":");
  if (!key.startsWith("arg") || colon < 3) return "the vocabulary has no such key";
  const pointer = key.slice(3, colon);
  const op = key.slice(colon + 1);
  if (splitPointer(pointer) === undefined) return "the vocabulary has no such key: arg is followed by a JSON pointer";
  const value = parseHex(text);
  if (value === undefined) return "the value is not lowercase hex";
  if (!isCanonical(value)) return "the value is not one canonical value";
  return badOperand(op, value[0]!) || { key, op, pointer, hash: undefined, ring: 0, value };
}

/** Says why a value of the given tag does not suit the operator. */
function badOperand(op: string, tag: number): string {
  switch (op) {
    case "eq":
      return "";
    case "le":
    case "ge":
      return tag === UINT || tag === INT ? "" : `the value is ${tagName(tag)}, not an integer`;
    case "in":
      return tag === LIST ? "" : `the value is ${tagName(tag)}, not a LIST`;
    case "prefix":
      return tag === TEXT || tag === BYTES ? "" : `the value is ${tagName(tag)}, not TEXT or BYTES`;
  }
  return "the vocabulary has no such operator";
}

/** Says why c denies the call; found maps pointers to the values that the payload has there. */
export function denies(c: Constraint, call: Call, found: ReadonlyMap<string, Uint8Array>): Breach | undefined {
  const why = whyDenied(c, call, found);
  return why === "" ? undefined : unmet(c.key, why);
}

function whyDenied(c: Constraint, call: Call, found: ReadonlyMap<string, Uint8Array>): string {
  switch (c.key) {
    case "package":
      return unequal("package", c.hash!, call.package);
    case "module":
      return unequal("module", c.hash!, call.module);
    case "request_hash":
      return unequal("request", c.hash!, call.requestHash);
    case "ledger":
      if (call.ledger === undefined || call.ledger.every((b) => b === 0)) return "the ledger has no id";
      return unequal("ledger", c.hash!, call.ledger);
    case "ring_max":
      return call.ring > c.ring ? `ring ${call.ring} exceeds ${c.ring}` : "";
  }
  const v = found.get(c.pointer!);
  if (v === undefined) return "the request has no one value there";
  return admits(c, v) ? "" : `${c.op} does not hold for the request's value`;
}

function unequal(what: string, want: Hash, got: Hash): string {
  return equalHashes(want, got) ? "" : `the ${what} is ${hashText(got)}, not ${hashText(want)}`;
}

/** Reports whether the operator of an arg holds for the canonical value v. */
function admits(c: Constraint, v: Uint8Array): boolean {
  switch (c.op) {
    case "eq":
      return equalBytes(v, c.value);
    case "in":
      return items(c.value).some((item) => equalBytes(item, v));
    case "prefix":
      return v[0] === c.value[0] && (v[0] === TEXT || v[0] === BYTES) && startsWith(content(v), content(c.value));
  }
  const have = integer(v);
  const bound = integer(c.value)!;
  if (have === undefined) return false;
  return c.op === "le" ? have <= bound : have >= bound;
}

/** Returns the value of a canonical integer, undefined for any other type. */
function integer(v: Uint8Array): bigint | undefined {
  const r = new Reader(v);
  if (r.kind() === UINT) return r.u64();
  return r.kind() === INT ? r.i64() : undefined;
}

/** Returns the items of a canonical LIST. */
function items(list: Uint8Array): Uint8Array[] {
  return new Reader(list).items((r) => r.raw());
}

/** Returns the content of canonical TEXT or BYTES. */
function content(v: Uint8Array): Uint8Array {
  const r = new Reader(v);
  r.off = 1;
  r.varint(0);
  return v.subarray(r.off);
}

/** Says why child is no subset of parent: a key that was dropped or loosened. New keys only restrict. */
export function constraintsWithin(child: readonly Constraint[], parent: readonly Constraint[]): Breach | undefined {
  for (const p of parent) {
    const c = child.find((x) => x.key === p.key);
    if (c === undefined) return unmet(p.key, "it was dropped");
    if (!tighter(c, p)) return unmet(p.key, "it was loosened");
  }
  return undefined;
}

/** Reports whether c restricts at least as much as p, both of one key. */
function tighter(c: Constraint, p: Constraint): boolean {
  if (p.key === "ring_max") return c.ring <= p.ring;
  if (p.hash !== undefined) return equalHashes(c.hash!, p.hash);
  if (p.op !== "in") return admits(p, c.value); // that p admits c's operand is the subset rule
  const allowed = new Set(items(p.value).map(toHex));
  return items(c.value).every((item) => allowed.has(toHex(item)));
}
