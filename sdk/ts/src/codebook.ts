/**
 * Codebooks (RFC-MYTHOS-0002 §8): lists that give short codewords to opcodes,
 * small integers, field numbers and scope kinds. Packets and packages name the
 * codebook that they were made with by the SHA-256 of the canonical list.
 */

import { type Hash, hashOf } from "./cid.js";
import { fromHex } from "./bytes.js";
import { Reader } from "./can/reader.js";
import { Writer } from "./can/writer.js";
import { type CodebookEntry, readCodebookEntry, writeCodebookEntry } from "./gen/codebook.js";

/** Kinds of entries. */
export const OPCODE = 1;
export const SMALL_INT = 2;
export const FIELD_NUMBER = 3;
export const SCOPE_KIND = 4;

const OPCODES = [0x01, 0x02, 0x10, 0x11, 0x12, 0x13, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x30, 0x31, 0x32, 0x40, 0x41, 0x42];

/** The id of the baseline codebook, which everyone has. */
export const BASELINE_ID: Hash = /* @__PURE__ */ fromHex("7ed509c74d47db2ebbb0608a8aa5135208ee8abec769473830c7449cfe9ec37a");

/** Returns the 541 entries of the baseline codebook. */
export function baseline(): CodebookEntry[] {
  const count = (n: number, from = 0): number[] => Array.from({ length: n }, (_, i) => from + i);
  const part = (kind: number, values: number[]): CodebookEntry[] =>
    values.map((v) => ({ codeword: kind * 0x100 + v, kind, value_u64: BigInt(v) }));
  return [...part(OPCODE, OPCODES), ...part(SMALL_INT, count(256)), ...part(FIELD_NUMBER, count(256)), ...part(SCOPE_KIND, count(11, 1))];
}

/** Returns the canonical bytes of a codebook, whose entries ascend by codeword. */
export function encodeCodebook(entries: readonly CodebookEntry[]): Uint8Array {
  const w = new Writer();
  w.list(entries.length);
  for (const e of entries) writeCodebookEntry(w, e);
  return w.take();
}

/** Decodes a codebook. Codes: those of a decoder, codebook_order, codebook_kind. */
export function decodeCodebook(raw: Uint8Array): { entries: CodebookEntry[]; id: Hash } {
  const r = new Reader(raw);
  const entries: CodebookEntry[] = [];
  for (let n = r.list(); n > 0; n--) {
    const at = r.off;
    const e = readCodebookEntry(r);
    const last = entries[entries.length - 1];
    if (last !== undefined && e.codeword <= last.codeword) {
      r.fail("codebook_order", at, `codeword ${e.codeword} after ${last.codeword}`);
    }
    if (e.kind < OPCODE || e.kind > SCOPE_KIND) r.fail("codebook_kind", at, `kind ${e.kind}, want 1 to 4`);
    entries.push(e);
  }
  r.leave();
  r.done();
  return { entries, id: hashOf(raw) };
}
