/** The rules of artifacts and trees (RFC-MYTHOS-0006 §3 and §5). */

import { FLAT_LIMIT } from "../blob/build.js";
import { compareText, toHex } from "../bytes.js";
import { type Hash, equalHashes, hashText } from "../cid.js";
import { MythosError } from "../fault.js";
import { type Artifact, Tree } from "../gen/manifest.js";
import { checkPath, checkPaths, quoted } from "./names.js";

/** Artifact kinds. */
export const IR = 1;
export const MODULE = 2;
export const TREE = 3;
export const POLICY = 4;
export const CODEBOOK = 5;
export const CTVP = 6;
export const SCHEMA = 7;
export const DOC = 8;
export const SBOM = 9;
export const IMAGE = 10;

const KIND_NAMES = ["", "ir", "module", "tree", "policy", "codebook", "ctvp", "schema", "doc", "sbom", "image"];

const MAX_ARTIFACT_SIZE = 8_589_934_591n;
const MAX_MEDIA_TYPE = 255;

/** Bounds of a tree. */
export const MAX_TREE_FILES = 100_000;
export const MAX_TREE_TOTAL = 4_294_967_296n;
export const MAX_TREE_ENCODED = 134_217_728;

/** The kinds of a manifest's artifacts by cid in hex. */
export type Kinds = ReadonlyMap<string, number>;

/** Throws package_reference unless h names an artifact of the kind that its place wants. */
export function resolve(kinds: Kinds, h: Hash, want: number, what: string): void {
  const got = kinds.get(toHex(h));
  if (got === undefined) throw new MythosError("package_reference", `${what}: ${hashText(h)} is not among the artifacts`);
  if (got !== want) {
    throw new MythosError("package_reference", `${what}: ${hashText(h)} is of kind ${KIND_NAMES[got]}, want ${KIND_NAMES[want]}`);
  }
}

/** Reports whether cid and sha256 agree as the size asks, as far as the two alone can show it. */
function flatRule(x: { cid: Hash; sha256: Hash; size: bigint }): boolean {
  return equalHashes(x.cid, x.sha256) === x.size <= BigInt(FLAT_LIMIT);
}

/** Checks one artifact by itself. */
export function validateArtifact(x: Artifact): void {
  const about = `artifact ${hashText(x.cid)}`;
  if (x.size > MAX_ARTIFACT_SIZE) throw new MythosError("package_limit", `${about}: ${x.size} bytes, at most ${MAX_ARTIFACT_SIZE}`);
  if (x.kind < IR || x.kind > IMAGE) throw new MythosError("artifact_invalid", `${about}: kind ${x.kind}, want 1..10`);
  if (x.media_type.length > MAX_MEDIA_TYPE || !/^[ -~]+$/.test(x.media_type)) {
    throw new MythosError("artifact_invalid", `${about}: media_type ${quoted(x.media_type)}`);
  }
  if (!flatRule(x)) throw new MythosError("artifact_hash", `${about}: the cid is the SHA-256 up to 4 MiB, a chunk root above`);
}

/** Strictly decodes a tree and checks its rules. */
export function decodeTree(raw: Uint8Array): Tree {
  if (raw.length > MAX_TREE_ENCODED) throw new MythosError("tree_invalid", `${raw.length} bytes, at most ${MAX_TREE_ENCODED}`);
  const t = Tree.decode(raw);
  validateTree(t);
  return t;
}

/** Throws unless x follows the rules of trees and paths. */
export function validateTree(x: Tree): void {
  const n = x.entries.length;
  if (n === 0 || n > MAX_TREE_FILES) throw new MythosError("tree_invalid", `${n} files, want 1..${MAX_TREE_FILES}`);
  let total = 0n;
  x.entries.forEach((e, i) => {
    checkPath(e.path);
    const order = i === 0 ? -1 : compareText(x.entries[i - 1]!.path, e.path);
    const at = quoted(e.path);
    if (order === 0) throw new MythosError("path_collision", `${at}: the file stands twice`);
    if (order > 0) throw new MythosError("tree_invalid", `${at}: files must ascend by path`);
    if (e.mode > 1) throw new MythosError("tree_invalid", `${at}: mode ${e.mode}, want 0 (file) or 1 (executable)`);
    if (!flatRule(e)) throw new MythosError("artifact_hash", `${at}: the cid is the SHA-256 up to 4 MiB and a chunk root above`);
    total += e.size;
    if (total > MAX_TREE_TOTAL) throw new MythosError("tree_invalid", `${at}: more than 4 GiB in all`);
  });
  checkPaths(x.entries.map((e) => e.path));
}
