/**
 * JSON pointers (RFC 6901) into canonical values, as constraints about an
 * argument use them (RFC-MYTHOS-0008 §4).
 */

import { Reader } from "../can/reader.js";
import { LIST, MAP, TEXT, UINT } from "../can/tags.js";
import { MythosError } from "../fault.js";

/** Reads a u64 without sign, leading zeros or spaces. */
export function decimal(s: string): bigint | undefined {
  if (!/^(?:0|[1-9][0-9]{0,19})$/.test(s)) return undefined;
  const n = BigInt(s);
  return n < 1n << 64n ? n : undefined;
}

/** Reads a JSON pointer into its tokens; undefined if it is none. */
export function splitPointer(p: string): string[] | undefined {
  if (p === "") return [];
  if (p[0] !== "/" || /~(?![01])/.test(p)) return undefined;
  return p.slice(1).split("/").map((t) => t.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** Looks for the value at one pointer. */
interface Probe {
  readonly pointer: string;
  readonly tokens: readonly string[];
  value: Uint8Array | undefined; // undefined: missing
  denied: boolean; // a MAP on the way has the token as TEXT and as UVARINT
}

/** The probes that take the same way out of a container. */
interface Way {
  readonly probes: Probe[];
  taken: boolean;
}

/**
 * Returns the canonical values that the payload has at the pointers; what is
 * missing or ambiguous is left out. It walks the payload once, however many
 * pointers there are, because both come from outside.
 */
export function resolvePointers(payload: Uint8Array, pointers: Iterable<string>): Map<string, Uint8Array> {
  const probes: Probe[] = [];
  for (const pointer of new Set(pointers)) {
    const tokens = splitPointer(pointer);
    if (tokens !== undefined) probes.push({ pointer, tokens, value: undefined, denied: false });
  }
  const found = new Map<string, Uint8Array>();
  if (probes.length === 0) return found;
  try {
    const r = new Reader(payload);
    walk(r, probes, 0);
    r.done();
  } catch (e) {
    if (e instanceof MythosError) return found; // no canonical value, so nothing is anywhere
    throw e;
  }
  for (const p of probes) {
    if (p.value !== undefined && !p.denied) found.set(p.pointer, p.value);
  }
  return found;
}

/** Reads one value that the first used tokens of every probe lead to. */
function walk(r: Reader, probes: readonly Probe[], used: number): void {
  const start = r.off;
  const deeper = probes.filter((p) => p.tokens.length > used);
  const tag = r.kind();
  if (deeper.length > 0 && tag === MAP) walkMap(r, deeper, used);
  else if (deeper.length > 0 && tag === LIST) walkList(r, deeper, used);
  else r.skip();
  for (const p of probes) {
    if (p.tokens.length === used) p.value = r.buf.subarray(start, r.off);
  }
}

function walkMap(r: Reader, probes: readonly Probe[], used: number): void {
  const { texts, numbers } = waysOut(probes, used);
  let prev = -1;
  let prevEnd = -1;
  for (let n = r.map(); n > 0; n--) {
    const at = r.off;
    let way: Way | undefined;
    if (r.kind() === TEXT) way = texts.get(r.text());
    else if (r.kind() === UINT) way = numbers.get(r.u64());
    else r.skip();
    r.checkKey(prev, prevEnd, at);
    prev = at;
    prevEnd = r.off;
    take(r, way, used);
  }
  r.leave();
}

function walkList(r: Reader, probes: readonly Probe[], used: number): void {
  const { numbers } = waysOut(probes, used);
  const n = r.list();
  for (let i = 0; i < n; i++) take(r, numbers.get(BigInt(i)), used);
  r.leave();
}

/** Groups probes by their next token: under its text, and under the number that it is. */
function waysOut(probes: readonly Probe[], used: number): { texts: Map<string, Way>; numbers: Map<bigint, Way> } {
  const texts = new Map<string, Way>();
  const numbers = new Map<bigint, Way>();
  for (const p of probes) {
    const token = p.tokens[used]!;
    let way = texts.get(token);
    if (way === undefined) {
      way = { probes: [], taken: false };
      texts.set(token, way);
      const n = decimal(token);
      if (n !== undefined) numbers.set(n, way);
    }
    way.probes.push(p);
  }
  return { texts, numbers };
}

/** Reads the next value, for the probes of a way if there are any; one taken twice is ambiguous and denies. */
function take(r: Reader, way: Way | undefined, used: number): void {
  if (way === undefined) return r.skip();
  if (way.taken) {
    for (const p of way.probes) p.denied = true;
    return r.skip();
  }
  way.taken = true;
  walk(r, way.probes, used + 1);
}
