/**
 * The answers of this implementation to the conformance runner: one JSON line
 * in, one out. The contract is in ctvp/README.md; conformance/adapter.mjs connects
 * it to standard input and output.
 */

import { MythosError, NO_OFFSET } from "../fault.js";
import type { Decompress } from "../zstd.js";
import { Input, type Json, Unsupported, output } from "./input.js";
import { capsOps, ledgerOps, packageOps } from "./objects.js";
import { type Op, canOps, hashOps, sigOps, toolOps, wireOps } from "./ops.js";
import { blobOps, merkleOps } from "./trees.js";

/** What an adapter may bring along. */
export interface Options {
  readonly version: string;
  /** Decompresses zstd, for packets of codec 2. */
  readonly decompress?: Decompress;
}

/** Returns the function that answers one line with one line. */
export function answerer(options: Options): (line: string) => string {
  const ops: Record<string, Op> = {
    ...canOps,
    ...hashOps,
    ...sigOps,
    ...merkleOps,
    ...blobOps,
    ...wireOps(options.decompress),
    ...toolOps,
    ...ledgerOps,
    ...capsOps,
    ...packageOps,
  };
  const hello = { name: "mythos-ts", version: options.version, ops: Object.keys(ops).sort() };
  return (line) => {
    const request = JSON.parse(line) as { id?: unknown; op?: unknown; input?: unknown };
    return JSON.stringify({ id: request.id, ...answer(ops, hello, String(request.op), request.input) });
  };
}

function answer(ops: Record<string, Op>, hello: Json, name: string, input: unknown): Json {
  if (name === "hello") return { ok: true, output: hello };
  const op = Object.hasOwn(ops, name) ? ops[name] : undefined;
  if (op === undefined) return { unsupported: true };
  try {
    return { ok: true, output: output(op(new Input(input))) };
  } catch (e) {
    if (e instanceof Unsupported) return { unsupported: true };
    if (!(e instanceof MythosError)) return { ok: false, message: String(e) }; // no code: the vector or this program is wrong
    return { ok: false, error: e.code, offset: e.offset === NO_OFFSET ? undefined : e.offset, message: e.reason };
  }
}
