/**
 * Step 9 of the loading order (RFC-MYTHOS-0006 §9): every rule that a manifest's
 * own bytes can decide, in the order of its fields.
 */

import { compareText, toHex, utf8Length } from "../bytes.js";
import { type Hash, compareHashes, hashText } from "../cid.js";
import { MythosError } from "../fault.js";
import type { ModuleBinding, PackageManifest, Requires } from "../gen/manifest.js";
import type { Signature } from "../gen/sig.js";
import { IR, type Kinds, POLICY, resolve, validateArtifact } from "./artifact.js";
import { bindingLabel, bindingsDiffer, checkBinding } from "./module.js";
import { type Version, isName, isWord, parseVersion, quoted } from "./names.js";

const MAX_DOC = 4096;
const MAX_FEATURES = 64;
const MAX_ARTIFACTS = 10_000;
const MAX_MODULES = 1024;
const MAX_ENTRYPOINTS = 1024;
const MAX_STATEMENTS = 64; // signatures, and attestations

const outOfOrder = (what: string): never => {
  throw new MythosError("package_order", `${what} must ascend, none twice`);
};

function atMost(what: string, got: number, most: number): void {
  if (got > most) throw new MythosError("package_limit", `${got} ${what}, at most ${most}`);
}

/** Throws unless x follows every rule that its own bytes can decide. */
export function validateManifest(x: PackageManifest): void {
  if (x.format_version !== 1) throw new MythosError("package_format", `format_version is ${x.format_version}, want 1`);
  if (!isName(x.name)) throw new MythosError("package_name", `${quoted(x.name)} may not name a package`);
  parseVersion(x.version);
  validateRequires(x.requires);
  const kinds = artifactKinds(x);
  validateModules(x.modules, kinds);
  validateEntrypoints(x, kinds);
  (x.policies ?? []).forEach((p, i, list) => {
    if (i > 0 && compareHashes(list[i - 1]!, p) >= 0) outOfOrder("policies");
    resolve(kinds, p, POLICY, "policies");
  });
  validateStatements(x);
}

/** Returns the least executor, a version without a build. */
export function checkMinVersion(x: Requires): Version {
  const v = parseVersion(x.executor_min_version);
  if (v.build) throw new MythosError("package_version", `${quoted(x.executor_min_version)} has build metadata`);
  return v;
}

function validateRequires(x: Requires): void {
  checkMinVersion(x);
  const features = x.features ?? [];
  atMost("features", features.length, MAX_FEATURES);
  features.forEach((f, i) => {
    if (!isWord(f)) throw new MythosError("feature_missing", `${quoted(f)} is no feature's name`);
    if (i > 0 && features[i - 1]! >= f) outOfOrder("features"); // ASCII, so code units are bytes
  });
}

/** Checks the artifacts and indexes their kinds by cid. */
function artifactKinds(x: PackageManifest): Kinds {
  atMost("artifacts", x.artifacts.length, MAX_ARTIFACTS);
  const kinds = new Map<string, number>();
  x.artifacts.forEach((a, i) => {
    if (i > 0 && compareHashes(x.artifacts[i - 1]!.cid, a.cid) >= 0) outOfOrder("artifacts");
    validateArtifact(a);
    kinds.set(toHex(a.cid), a.kind);
  });
  return kinds;
}

function compareBindings(a: ModuleBinding, b: ModuleBinding): number {
  return (
    compareHashes(a.tool_id, b.tool_id) ||
    compareText(a.variant ?? "", b.variant ?? "") ||
    compareText(a.module.platform ?? "", b.module.platform ?? "")
  );
}

function validateModules(list: readonly ModuleBinding[], kinds: Kinds): void {
  atMost("modules", list.length, MAX_MODULES);
  list.forEach((b, i) => {
    const before = list[i - 1];
    if (before !== undefined && compareBindings(before, b) >= 0) outOfOrder("modules");
    checkBinding(b, kinds);
    if (before === undefined || compareHashes(before.tool_id, b.tool_id) !== 0) return;
    const why = bindingsDiffer(b, before);
    if (why !== "") throw new MythosError("package_variant_mismatch", `${bindingLabel(b)}: ${why} differs from ${bindingLabel(before)}`);
  });
}

function validateEntrypoints(x: PackageManifest, kinds: Kinds): void {
  const list = x.entrypoints;
  if (list.length === 0) throw new MythosError("package_limit", "no entry point");
  atMost("entry points", list.length, MAX_ENTRYPOINTS);
  list.forEach((e, i) => {
    const about = `entry point ${quoted(e.name)}`;
    if (i > 0 && compareText(list[i - 1]!.name, e.name) >= 0) outOfOrder("entry points");
    if (!isWord(e.name)) throw new MythosError("entrypoint_invalid", `${about} is no name of one`);
    if (utf8Length(e.doc ?? "") > MAX_DOC) throw new MythosError("entrypoint_invalid", `${about}: doc has more than ${MAX_DOC} bytes`);
    resolve(kinds, e.bundle, IR, about);
  });
}

/** Wants a key_id on each signature, ascending. */
export function checkSignatureList(list: readonly Signature[]): void {
  let before: Hash | undefined;
  list.forEach((s, i) => {
    if (s.key_id === undefined) throw new MythosError("key_id", `signature ${i} has no key_id`);
    if (before !== undefined && compareHashes(before, s.key_id) >= 0) outOfOrder("signatures");
    before = s.key_id;
  });
}

function validateStatements(x: PackageManifest): void {
  const signatures = x.signatures ?? [];
  atMost("signatures", signatures.length, MAX_STATEMENTS);
  checkSignatureList(signatures);
  const attestations = x.attestations ?? [];
  atMost("attestations", attestations.length, MAX_STATEMENTS);
  attestations.forEach((a, i) => {
    const before = attestations[i - 1];
    if (before !== undefined && compareHashes(before.attestation_id, a.attestation_id) >= 0) {
      outOfOrder(`attestation ${hashText(a.attestation_id)}: attestations`);
    }
  });
}
