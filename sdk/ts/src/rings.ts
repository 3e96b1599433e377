/** Ring policies (RFC-MYTHOS-0008 §10): their form and the rules that their own fields can break. */

import { toHex } from "./bytes.js";
import { hashText } from "./cid.js";
import { MythosError } from "./fault.js";
import { type RingClaim, RingPolicy } from "./gen/rings.js";
import { type Decoded, open } from "./sig.js";

const MAX_MODULE_KIND = 4;
const MAX_SANDBOX = 4;

/** Opens a policy: its id, its signature and its rules. Whether its signer counts is never known here. */
export function openPolicy(raw: Uint8Array): Decoded<RingPolicy> {
  const x = open(RingPolicy, raw);
  validatePolicy(x.object);
  return x;
}

/** Throws ring_policy_invalid unless x follows the rules that its own fields can break. */
export function validatePolicy(x: RingPolicy): void {
  const bad = (why: string): never => {
    throw new MythosError("ring_policy_invalid", `policy ${hashText(x.policy_id)}: ${why}`);
  };
  if (!ascend(x.module_kinds) || x.module_kinds.some((k) => k < 1 || k > MAX_MODULE_KIND)) bad("module_kinds must be 1..4, ascending, none twice");
  if (!ascend(x.cap_kinds) || x.cap_kinds[0] === 0) bad("cap_kinds must ascend from 1, none twice");
  if (x.min_sandbox > MAX_SANDBOX) bad("min_sandbox must be 0..4");
  if (!ascend(x.claims.map((c) => c.claim_type))) bad("claims must ascend by claim_type, none twice");
  if (x.claims.some((c) => c.quorum < 1 || c.quorum > distinct(c))) bad("a claim's quorum must be 1 to the number of its distinct verifiers");
}

const ascend = (list: readonly number[]): boolean => list.every((k, i) => i === 0 || list[i - 1]! < k);

/** Counts a claim's verifiers by scheme and key. */
function distinct(c: RingClaim): number {
  return new Set(c.verifiers.map((v) => `${v.scheme}:${toHex(v.key)}`)).size;
}
