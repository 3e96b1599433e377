// What the tests share: hexadecimal as people write it, refusals, and the folders
// of published vectors.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { Key, MythosError, fromHex } from "@mythos-run/sdk";

/** Reads hexadecimal with white space in it. */
export const hex = (s) => fromHex(s.replaceAll(/\s+/g, ""));

/** n bytes of one value. */
export const fill = (n, v) => new Uint8Array(n).fill(v);

/** The TEST-ONLY key of RFC-MYTHOS-0001 §3.2 and others like it: n is every byte of the seed. */
export const testKey = (n = 0x2a, hint = "") => Key.fromSeed(fill(32, n), hint);

/** Asserts that f throws a MythosError with a code and, if given, an offset. */
export function refuses(f, code, offset) {
  assert.throws(f, (e) => {
    assert.ok(e instanceof MythosError, `no MythosError: ${e.stack}`);
    assert.equal(e.code, code, e.message);
    if (offset !== undefined) assert.equal(e.offset, offset, e.message);
    return true;
  });
}

/** Returns the folder that a variable of the environment names; without it the test is skipped loudly, and fails in CI. */
export function published(t, variable) {
  const dir = process.env[variable];
  if (dir !== undefined && existsSync(dir)) return dir;
  const why = `${variable} is not set: the published vectors are NOT checked. Set it to their folder.`;
  if (process.env.CI === "true") assert.fail(why);
  console.error(`!! ${why}`);
  t.skip(why);
  return undefined;
}
