// The receipt that the benchmark encodes: of the shape and size of the worked
// example in RFC-MYTHOS-0002 §2.8.
import { Receipt, Writer } from "../dist/index.js";

export { Receipt, Writer };

/** A receipt with a hint, one item of evidence and no notes, 477 bytes. */
export function receiptExample() {
  const bytes = (n, seed) => Uint8Array.from({ length: n }, (_, i) => (seed + 7 * i) & 255);
  return {
    receipt_id: bytes(32, 1),
    tool_id: bytes(32, 2),
    request_hash: bytes(32, 3),
    response_hash: bytes(32, 4),
    idempotency_key: bytes(105, 5),
    signer: { scheme: 1, key: bytes(32, 6), hint: "demo" },
    time_observed: 1767225600000000n,
    status: 200,
    evidence: [bytes(32, 7)],
    notes: undefined,
    signature: { alg: 1, key_id: undefined, sig_bytes: bytes(64, 8) },
  };
}
