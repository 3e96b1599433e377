/**
 * What an executor records around its effects: how one effect was run
 * (RFC-MYTHOS-0006 §15), and the signed beginning and end of a run
 * (RFC-MYTHOS-0005 §8).
 */

import { type Hash, sameHash } from "./cid.js";
import { MythosError } from "./fault.js";
import { EffectEvidence, RunRecord, RunSeal } from "./gen/evidence.js";
import { checkRunId } from "./ledger/entries.js";
import { listRoot } from "./merkle/build.js";
import { type Decoded, open } from "./sig.js";

/** Decodes the evidence of one effect and checks its fields against each other. */
export function decodeEffectEvidence(raw: Uint8Array): EffectEvidence {
  const x = EffectEvidence.decode(raw);
  const bad = (reason: string): never => {
    throw new MythosError("effect_evidence", reason);
  };
  const builtin = x.module_kind === 0;
  if (builtin !== (x.module === undefined)) bad(`module kind ${x.module_kind} and a module that is there: ${x.module !== undefined}`);
  if (builtin && x.variant !== undefined) bad("a built-in tool has no variant");
  if (x.engine === "") bad("no engine is named");
  if ((x.fuel_schedule === undefined) !== (x.fuel_used === undefined)) bad("fuel_schedule and fuel_used stand together or not at all");
  return x;
}

/** Opens a run record. */
export function openRunRecord(raw: Uint8Array): Decoded<RunRecord> {
  const x = open(RunRecord, raw);
  checkRunId(x.object.run_id);
  return x;
}

/** Opens a run seal and checks its fields against each other. */
export function openRunSeal(raw: Uint8Array): Decoded<RunSeal> {
  const x = open(RunSeal, raw);
  const { receipts_root, receipt_count, result_hash, error_code } = x.object;
  const bad = (reason: string): never => {
    throw new MythosError("run_seal", reason);
  };
  const rooted = receipts_root !== undefined;
  if (rooted === (receipt_count === 0n)) bad(`${receipt_count} receipts and a root that is there: ${rooted}`);
  if ((result_hash === undefined) === (error_code === undefined)) bad("a run ends with a result_hash or an error_code, exactly one");
  if (error_code !== undefined && !/^[a-z0-9_]{1,128}$/.test(error_code)) bad("error_code is not of the form of a code");
  return x;
}

/** Throws run_seal_receipts unless ids are the receipt ids that the seal covers, in the order of their effects. */
export function checkSealedReceipts(x: RunSeal, ids: readonly Hash[]): void {
  if (BigInt(ids.length) !== x.receipt_count) {
    throw new MythosError("run_seal_receipts", `got ${ids.length} receipts, the seal covers ${x.receipt_count}`);
  }
  if (!sameHash(listRoot(ids), x.receipts_root)) {
    throw new MythosError("run_seal_receipts", "the receipts are not those that the seal covers, or in another order");
  }
}
