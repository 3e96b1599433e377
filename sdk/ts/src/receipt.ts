/**
 * The two signed statements about work done: a Receipt says that one effect had
 * one outcome (RFC-MYTHOS-0002 §2.8), an Attestation is a verifier's claim about
 * a subject (RFC-MYTHOS-0002 §2.9).
 */

import { type Hash, equalHashes, hashOf, hashText } from "./cid.js";
import { MythosError } from "./fault.js";
import { Attestation, Receipt } from "./gen/receipt.js";
import { type Decoded, decodeSealed, open } from "./sig.js";

/** Claim types of an Attestation. */
export const CONTRACT_PASS = 1;
export const EVAL_PASS = 2;
export const EVAL_METRIC = 3;
export const QUORUM_SIGNOFF = 4;

/** The largest result of an EVAL_METRIC. */
export const MAX_METRIC = 10000;

/** Decodes a receipt and checks its id, NOT its signature. */
export function decodeReceipt(raw: Uint8Array): Decoded<Receipt> {
  return decodeSealed(Receipt, raw);
}

/** decodeReceipt, and verifies the signature by the signer that it names. */
export function openReceipt(raw: Uint8Array): Decoded<Receipt> {
  return open(Receipt, raw);
}

/** Throws receipt_content unless request and response are what x is about. */
export function checkContent(x: Receipt, request: Uint8Array, response: Uint8Array): void {
  checkHash("request", hashOf(request), x.request_hash);
  checkHash("response", hashOf(response), x.response_hash);
}

function checkHash(what: string, got: Hash, want: Hash): void {
  if (!equalHashes(got, want)) {
    throw new MythosError("receipt_content", `the ${what} is ${hashText(got)}, the receipt is about ${hashText(want)}`);
  }
}

/** Decodes an attestation and checks its id and claim, NOT its signature. */
export function decodeAttestation(raw: Uint8Array): Decoded<Attestation> {
  const x = decodeSealed(Attestation, raw);
  checkAttestation(x.object);
  return x;
}

/** decodeAttestation, and verifies the signature by the signer that it names. */
export function openAttestation(raw: Uint8Array): Decoded<Attestation> {
  const x = open(Attestation, raw);
  checkAttestation(x.object);
  return x;
}

/** Throws attestation_claim unless the claim type is known and can have the result. */
export function checkAttestation(x: Attestation): void {
  if (x.claim_type < CONTRACT_PASS || x.claim_type > QUORUM_SIGNOFF) {
    throw new MythosError("attestation_claim", `unknown claim type ${x.claim_type}`);
  }
  const most = x.claim_type === EVAL_METRIC ? MAX_METRIC : 1;
  if (x.result > most) {
    throw new MythosError("attestation_claim", `result ${x.result}, at most ${most} for claim type ${x.claim_type}`);
  }
}
