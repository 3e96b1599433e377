/**
 * Package manifests (RFC-MYTHOS-0006 §2): decoding, signatures and the steps of
 * the loading order (RFC-MYTHOS-0006 §9) that a manifest's own bytes decide. What
 * a manifest says is worth nothing until somebody known has signed it: decode
 * returns claims, and verifyManifest needs to be told whom to believe.
 */

import { toHex } from "../bytes.js";
import { Writer } from "../can/writer.js";
import { type Hash, equalHashes, hashOf, hashText, hashWithout } from "../cid.js";
import { MythosError, recode } from "../fault.js";
import { Attestation } from "../gen/receipt.js";
import { PackageManifest } from "../gen/manifest.js";
import { type AgentID, type Signature, writeSignature } from "../gen/sig.js";
import { ED25519, type Signer, keyId, open, sameAgent, verify } from "../sig.js";
import { compareVersions, parseVersion, quoted } from "./names.js";
import { checkMinVersion, checkSignatureList, validateManifest } from "./validate.js";

/** The one format of this build. */
export const FORMAT_VERSION = 1;

/** Bytes of a manifest, at most. */
export const MAX_MANIFEST = 4_194_304;

/** A manifest that decodes and whose package_id recomputes. Nobody has vouched for it. */
export interface Unverified {
  readonly raw: Uint8Array;
  /** What the manifest says, for showing and for repair. */
  readonly claims: PackageManifest;
  readonly packageId: Hash;
  /** The hash of all bytes, signatures included. */
  readonly cid: Hash;
}

/** Strictly decodes a manifest and recomputes its package_id from the original bytes, no more. */
export function decodeManifest(raw: Uint8Array): Unverified {
  if (raw.length > MAX_MANIFEST) throw new MythosError("package_limit", `${raw.length} bytes, at most ${MAX_MANIFEST}`);
  const claims = PackageManifest.decode(raw);
  const packageId = hashWithout(raw, 1, 11, 12);
  if (!equalHashes(packageId, claims.package_id)) {
    throw new MythosError("id_mismatch", `package_id says ${hashText(claims.package_id)}, the bytes say ${hashText(packageId)}`);
  }
  return { raw, claims, packageId, cid: hashOf(raw) };
}

/** One answer to "who may sign this package": threshold distinct keys must have signed it together. */
export interface Publisher {
  readonly keys: readonly AgentID[];
  /** At least 1; 0 is never met. */
  readonly threshold: number;
  /** This publisher may speak for the package's name. */
  readonly covers: boolean;
}

/** What an executor offers. */
export interface Host {
  /** Its semantic version. */
  readonly version: string;
  readonly codebooks: readonly Hash[];
  readonly features?: readonly string[];
  /** SHA-256 of SHA256SUMS of the conformance packs that it passed. */
  readonly ctvps?: readonly Hash[];
}

/** A manifest that a trusted publisher has signed, that the host can run, and that follows every rule of its format. */
export interface Verified {
  readonly manifest: PackageManifest;
  readonly packageId: Hash;
  readonly cid: Hash;
  /** The known keys that have signed, in order of key id. */
  readonly signers: readonly AgentID[];
  /** Index of the first publisher that was met. */
  readonly publisher: number;
}

/** Performs steps 3 to 10 of the loading order but for manifest.sig, and throws at the first failure. */
export function verifyManifest(u: Unverified, publishers: readonly Publisher[], host: Host): Verified {
  const { signers, publisher } = authorise(u, publishers);
  checkHost(u, host);
  validateManifest(u.claims);
  checkAttestations(u);
  return { manifest: u.claims, packageId: u.packageId, cid: u.cid, signers, publisher };
}

/**
 * Checks the signatures: none at all is unsigned; none by a key of any publisher
 * signer_unknown; one by such a key that does not verify signature_invalid, even
 * if others suffice; too few keys of every publisher that covers the name
 * signer_threshold.
 */
export function authorise(u: Unverified, publishers: readonly Publisher[]): { signers: AgentID[]; publisher: number } {
  const list = u.claims.signatures ?? [];
  const about = hashText(u.packageId);
  if (list.length === 0) throw new MythosError("unsigned", `${about}: the package carries no signature`);
  checkSignatureList(list);
  const known = new Map(publishers.flatMap((p) => p.keys.map((k) => [toHex(keyId(k)), k] as const)));
  const signers: AgentID[] = [];
  let invalid: Hash | undefined;
  for (const s of list) {
    const k = known.get(toHex(s.key_id!));
    if (k === undefined) continue;
    if (!verifies(k, u.packageId, s)) invalid ??= s.key_id;
    signers.push(k);
  }
  if (signers.length === 0) throw new MythosError("signer_unknown", `${about}: signed by nobody whom a publisher entry holds`);
  if (invalid !== undefined) {
    throw new MythosError("signature_invalid", `${about}: the signature by ${hashText(invalid)} does not verify over package_id`);
  }
  const publisher = publishers.findIndex((p) => isMet(p, signers));
  if (publisher < 0) {
    throw new MythosError("signer_threshold", `${about}: ${signers.length} known keys have signed, too few of any that covers the name`);
  }
  return { signers, publisher };
}

function verifies(k: AgentID, id: Hash, s: Signature): boolean {
  try {
    verify(k, id, s);
    return true;
  } catch (e) {
    if (e instanceof MythosError) return false;
    throw e;
  }
}

function isMet(p: Publisher, signers: readonly AgentID[]): boolean {
  const n = signers.filter((s) => p.keys.some((k) => sameAgent(k, s))).length;
  return p.covers && p.threshold > 0 && n >= p.threshold;
}

/** Performs steps 4 to 8: format, executor's version, codebook, features, conformance pack. */
export function checkHost(u: Unverified, host: Host): void {
  const { format_version, requires } = u.claims;
  if (format_version !== FORMAT_VERSION) throw new MythosError("package_format", `format_version is ${format_version}, want 1`);
  const least = checkMinVersion(requires);
  if (compareVersions(parseVersion(host.version), least) < 0) {
    throw new MythosError("executor_too_old", `this executor is ${host.version}, the package wants ${requires.executor_min_version} or later`);
  }
  if (!host.codebooks.some((c) => equalHashes(c, requires.codebook_id))) {
    throw new MythosError("codebook_mismatch", `the package uses codebook ${hashText(requires.codebook_id)}`);
  }
  for (const f of requires.features ?? []) {
    if (!host.features?.includes(f)) throw new MythosError("feature_missing", `the package needs feature ${quoted(f)}`);
  }
  const { ctvp_id } = requires;
  if (ctvp_id !== undefined && !host.ctvps?.some((c) => equalHashes(c, ctvp_id))) {
    throw new MythosError("ctvp_unknown", `the package wants an executor that passed conformance pack ${hashText(ctvp_id)}`);
  }
}

/** Performs step 10: each attestation is about this package, its id recomputes and its signature verifies. */
export function checkAttestations(u: Unverified): void {
  for (const a of u.claims.attestations ?? []) {
    const about = `attestation ${hashText(a.attestation_id)}`;
    if (!equalHashes(a.subject_hash, u.packageId)) {
      throw new MythosError("attestation_invalid", `${about}: it is about ${hashText(a.subject_hash)}, not about this package`);
    }
    // Attestations are closed here, so encoding what was decoded gives the original bytes.
    recode("attestation_invalid", about, () => open(Attestation, Attestation.encode(a)));
  }
}

/** Returns the content of manifest.sig: field 11 as a LIST, empty if there is none. */
export function manifestSig(m: PackageManifest): Uint8Array {
  const w = new Writer();
  const list = m.signatures ?? [];
  w.list(list.length);
  for (const s of list) writeSignature(w, s);
  return w.take();
}

/**
 * Sets m's format version and package_id, signs it with each signer, whose
 * signatures replace any that m has, checks its rules and returns its bytes.
 */
export function signManifest(m: Omit<PackageManifest, "package_id" | "format_version" | "signatures">, ...signers: Signer[]): Uint8Array {
  const out: PackageManifest = { ...m, package_id: new Uint8Array(32), format_version: FORMAT_VERSION, signatures: undefined };
  out.package_id = hashWithout(PackageManifest.encode(out), 1, 11, 12);
  const byKey = new Map<string, Signature>();
  for (const s of signers) {
    const key_id = keyId(s.agent);
    byKey.set(toHex(key_id), { alg: ED25519, key_id, sig_bytes: s.sign(out.package_id) });
  }
  out.signatures = [...byKey.keys()].sort().map((k) => byKey.get(k)!);
  validateManifest(out);
  const raw = PackageManifest.encode(out);
  if (raw.length > MAX_MANIFEST) throw new MythosError("package_limit", `${raw.length} bytes, at most ${MAX_MANIFEST}`);
  return raw;
}
