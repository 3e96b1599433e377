/** Revocation lists (RFC-MYTHOS-0008 §7). */

import { type Hash, compareHashes, equalHashes, hashText } from "../cid.js";
import { MythosError } from "../fault.js";
import { RevocationList } from "../gen/caps.js";
import { type Decoded, type Signer, open, sign } from "../sig.js";

/** Bounds of a list. */
export const MAX_REVOKED = 65536;
export const MAX_REVOCATION_LIST = 4194304;

/** Which list of an issuer is known. */
export interface Mark {
  readonly seq: bigint;
  readonly id: Hash;
}

const bad = (reason: string): never => {
  throw new MythosError("cap_revocation_list", reason);
};

/** Decodes a list and verifies it. Codes: cap_revocation_list and those of open. */
export function openRevocations(raw: Uint8Array): Decoded<RevocationList> {
  checkLength(raw);
  const x = open(RevocationList, raw);
  checkList(x.object);
  return x;
}

/** Signs a list and refuses what openRevocations would. */
export function signRevocations(x: Omit<RevocationList, "id" | "issuer" | "signature">, by: Signer): Uint8Array {
  checkList(x);
  const { raw } = sign(RevocationList, x, by);
  checkLength(raw);
  return raw;
}

function checkLength(raw: Uint8Array): void {
  if (raw.length > MAX_REVOCATION_LIST) bad(`a list of ${raw.length} bytes, at most ${MAX_REVOCATION_LIST}`);
}

function checkList(x: Pick<RevocationList, "issued" | "next_update" | "revoked">): void {
  if (x.revoked.length > MAX_REVOKED) bad(`${x.revoked.length} revoked ids, at most ${MAX_REVOKED}`);
  if (x.issued >= x.next_update) bad(`issued ${x.issued} is not before next_update ${x.next_update}`);
  for (let i = 1; i < x.revoked.length; i++) {
    if (compareHashes(x.revoked[i - 1]!, x.revoked[i]!) >= 0) bad(`revoked id ${i} does not come after the one before it`);
  }
}

/** Returns which list it is. */
export function markOf(x: Decoded<RevocationList>): Mark {
  return { seq: x.object.seq, id: x.id };
}

/**
 * Throws cap_revocation_seq unless the list may follow the last one of its issuer
 * that was accepted: a lower seq may not, nor another list with the same one.
 */
export function checkFollows(x: Decoded<RevocationList>, last: Mark | undefined): void {
  const { seq } = x.object;
  if (last === undefined || seq > last.seq) return;
  if (seq < last.seq) throw new MythosError("cap_revocation_seq", `seq ${seq}, and ${last.seq} is known already`);
  if (!equalHashes(x.id, last.id)) {
    throw new MythosError("cap_revocation_seq", `seq ${seq} stands for list ${hashText(x.id)}, and ${hashText(last.id)} is known`);
  }
}

/** Reports whether a list counts as the latest word: issued <= now < next_update. */
export function isFresh(x: RevocationList, now: bigint): boolean {
  return x.issued <= now && now < x.next_update;
}

/** Reports whether a list holds a cap_id, fresh or not: a revocation is not taken back by waiting. */
export function names(x: RevocationList, id: Hash): boolean {
  return x.revoked.some((r) => equalHashes(r, id));
}
