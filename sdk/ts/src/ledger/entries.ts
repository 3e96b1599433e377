/**
 * The objects of the effect ledger (RFC-MYTHOS-0005): keys and ids, and opening
 * each kind of entry.
 */

import { concatBytes, equalBytes } from "../bytes.js";
import { type Hash, hashOf } from "../cid.js";
import { MythosError } from "../fault.js";
import { DerivedKey, DivergenceMark, EffectCommit, EffectRegister, IdempotencyKey, LedgerEntry, LedgerResolution } from "../gen/ledger.js";
import type { AgentID } from "../gen/sig.js";
import { type Decoded, decodeSealed, open, openBy } from "../sig.js";

/** Entry kinds (RFC-MYTHOS-0005 §2). */
export const KIND_REGISTER = 1;
export const KIND_COMMIT = 2;
export const KIND_DIVERGENCE = 3;
export const KIND_RESOLUTION = 4;
export const KIND_REFUSAL = 5;
export const KIND_RUN_RECORD = 6;
export const KIND_RUN_SEAL = 7;
export const KIND_RING_STATE = 8;

/** Retry classes (RFC-MYTHOS-0005 §5). */
export const RETRY_NEVER = 0;
export const RETRY_IDEMPOTENT = 1;
export const RETRY_PURE = 2;
export const RETRY_RECONCILE = 3;

/** Outcomes of a resolution. */
export const OUTCOME_COMMITTED = 1;
export const OUTCOME_NOT_INVOKED = 2;
export const OUTCOME_DOUBT = 3;

/** Reasons of a divergence mark. */
export const REASON_REQUEST = 1;
export const REASON_RESPONSE = 2;
export const REASON_COMMITS = 3;

/** Origins of an idempotency key. */
export const ORIGIN_EXPLICIT = 1;
export const ORIGIN_DERIVED = 2;

/** Returns the idempotency id of a tool and a canonical key (RFC-MYTHOS-0005 §7). */
export function idemId(tool: Hash, key: Uint8Array): Hash {
  return hashOf(concatBytes(tool, key));
}

/** Returns the canonical idempotency key of a caller's own key, 1 to 256 bytes. */
export function explicitKey(authority: Hash, holder: Hash, key: Uint8Array): Uint8Array {
  if (key.length === 0 || key.length > 256) {
    throw new MythosError("idempotency_key", `an explicit key is 1 to 256 bytes, got ${key.length}`);
  }
  return IdempotencyKey.encode({ authority, key, holder, origin: ORIGIN_EXPLICIT });
}

/** Returns the canonical idempotency key that x derives. */
export function derivedKey(authority: Hash, holder: Hash, x: DerivedKey): Uint8Array {
  return IdempotencyKey.encode({ authority, key: hashOf(DerivedKey.encode(x)), holder, origin: ORIGIN_DERIVED });
}

/** Throws run_id unless id is 1 to 128 letters, digits and . _ : -. */
export function checkRunId(id: string): void {
  if (!/^[A-Za-z0-9._:-]{1,128}$/.test(id)) {
    throw new MythosError("run_id", `a run id is 1 to 128 letters, digits and . _ : -, got ${JSON.stringify(id.slice(0, 200))}`);
  }
}

const misfit = (reason: string): never => {
  throw new MythosError("ledger_entry", reason);
};

/** Opens a register: its id, its owner's signature, and itself against itself. */
export function openRegister(raw: Uint8Array): Decoded<EffectRegister> {
  const x = open(EffectRegister, raw);
  checkRegister(x.object);
  return x;
}

/** Holds a register against itself. */
export function checkRegister(x: EffectRegister): void {
  if (!equalBytes(x.idem_id, idemId(x.tool_id, x.idempotency_key))) misfit("the idempotency id is not that of its tool and key");
  if ((x.retry ?? RETRY_NEVER) > RETRY_RECONCILE) misfit(`unknown retry class ${x.retry}`);
  if ((x.previous_register !== undefined) !== (x.attempt ?? 0) > 0) misfit("previous_register is there if and only if attempt is 1 or more");
}

/** Decodes a commit without verifying its signature. */
export function decodeCommit(raw: Uint8Array): Decoded<EffectCommit> {
  return decodeSealed(EffectCommit, raw);
}

/** Decodes a commit and verifies that by signed it. */
export function openCommit(raw: Uint8Array, by: AgentID): Decoded<EffectCommit> {
  return openBy(EffectCommit, raw, by);
}

/** Opens a resolution. */
export function openResolution(raw: Uint8Array): Decoded<LedgerResolution> {
  const x = open(LedgerResolution, raw);
  const { outcome } = x.object;
  if (outcome < OUTCOME_COMMITTED || outcome > OUTCOME_DOUBT) misfit(`unknown outcome ${outcome}`);
  return x;
}

/** Decodes a divergence mark; its signature names a key only. */
export function decodeDivergence(raw: Uint8Array): Decoded<DivergenceMark> {
  const x = decodeSealed(DivergenceMark, raw);
  const { reason_code } = x.object;
  if (reason_code < REASON_REQUEST || reason_code > REASON_COMMITS) misfit(`unknown reason ${reason_code}`);
  return x;
}

/** Returns the RFC 6962 leaf hash of an entry: SHA-256(00 || canonical LedgerEntry). */
export function leafHash(index: bigint, kind: number, body: Uint8Array): Hash {
  return hashOf(concatBytes(Uint8Array.of(0), LedgerEntry.encode({ index, kind, body })));
}
