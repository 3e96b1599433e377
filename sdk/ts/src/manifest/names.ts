/** Names, versions and paths of packages (RFC-MYTHOS-0006 §2, §4 and §5). */

import { isWords } from "../abi.js";
import { utf8Length } from "../bytes.js";
import { MythosError } from "../fault.js";

export const MAX_NAME = 128;
export const MAX_WORD = 64;
export const MAX_VERSION = 128;
export const MAX_PATH = 1024;
export const MAX_SEGMENT = 255;

/** Renders text from outside for a message. */
export function quoted(s: string): string {
  return JSON.stringify(s.slice(0, 100));
}

/** Reports whether s may name a package. */
export const isName = (s: string): boolean => isWords(s, "._/-", MAX_NAME);

/** isName for a tool that a package brings: names below mythos/ are the executor's own. */
export const isToolName = (s: string): boolean => isName(s) && !s.startsWith("mythos/");

/** Reports whether s may name a variant, an entry point or a feature. */
export const isWord = (s: string): boolean => isWords(s, "._-", MAX_WORD);

/** Reports whether s is OS/ARCH. */
export function isPlatform(s: string): boolean {
  const [system, arch, ...rest] = s.split("/");
  return rest.length === 0 && arch !== undefined && s.length <= MAX_WORD && isWords(system!, "_", MAX_WORD) && isWords(arch, "_", MAX_WORD);
}

/** Reports whether s is a list of comparisons such as ">=3.10 <4", at most 64 bytes. */
export function isConstraint(s: string): boolean {
  const number = "(?:0|[1-9][0-9]{0,8})";
  const one = `(?:>=|<=|>|<|=)${number}(?:\\.${number}){0,2}`;
  return s.length <= MAX_WORD && new RegExp(`^${one}(?: ${one})*$`).test(s);
}

/** A semantic version (semver.org 2.0.0), parsed. */
export interface Version {
  readonly core: readonly string[];
  /** Pre-release identifiers. */
  readonly pre: readonly string[];
  readonly build: boolean;
}

const NUMBER = "(?:0|[1-9][0-9]*)";
const PRE = `(?:${NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)`;
const BUILD = "[0-9A-Za-z-]+";
const SEMVER = `^(${NUMBER})\\.(${NUMBER})\\.(${NUMBER})(?:-(${PRE}(?:\\.${PRE})*))?(\\+${BUILD}(?:\\.${BUILD})*)?$`;

/** Reads a semantic version of at most 128 bytes; anything else is package_version. */
export function parseVersion(s: string): Version {
  const m = s.length <= MAX_VERSION ? new RegExp(SEMVER).exec(s) : null;
  if (m === null) throw new MythosError("package_version", `${quoted(s)} is not a semantic version (MAJOR.MINOR.PATCH)`);
  return { core: m.slice(1, 4), pre: m[4]?.split(".") ?? [], build: m[5] !== undefined };
}

/** Orders versions by precedence: a pre-release comes before its release, numbers before words. */
export function compareVersions(a: Version, b: Version): number {
  for (let i = 0; i < 3; i++) {
    const c = compareIdentifiers(a.core[i]!, b.core[i]!);
    if (c !== 0) return c;
  }
  if (a.pre.length === 0 || b.pre.length === 0) return Math.sign(b.pre.length - a.pre.length);
  for (let i = 0; i < Math.min(a.pre.length, b.pre.length); i++) {
    const c = compareIdentifiers(a.pre[i]!, b.pre[i]!);
    if (c !== 0) return c;
  }
  return Math.sign(a.pre.length - b.pre.length);
}

/** Numbers have no leading zeros, so the longer one is the greater. */
function compareIdentifiers(a: string, b: string): number {
  const x = /^[0-9]+$/.test(a);
  const y = /^[0-9]+$/.test(b);
  if (x !== y) return x ? -1 : 1;
  if (x && a.length !== b.length) return Math.sign(a.length - b.length);
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Throws path_invalid unless p may name a file of a tree or of an archive. A
 * path that passes is relative, stays below its root and means the same file on
 * every system.
 */
export function checkPath(p: string): void {
  const n = utf8Length(p);
  if (n === 0 || n > MAX_PATH) throw new MythosError("path_invalid", `a path of ${n} bytes, want 1..${MAX_PATH}`);
  for (const s of p.split("/")) {
    const why = badSegment(s);
    if (why !== "") throw new MythosError("path_invalid", `${quoted(p)}: ${why}`);
  }
}

function badSegment(s: string): string {
  if (s === "") return "an empty segment (a path neither starts nor ends with a slash)";
  if (utf8Length(s) > MAX_SEGMENT) return "a segment of more than 255 bytes";
  if (s === "." || s === "..") return "a segment that is . or ..";
  if (s.endsWith(".") || s.endsWith(" ")) return "a segment that ends in a dot or a space";
  if (!/^[A-Za-z0-9._@+~=,()[\]!$\- ]*$/.test(s)) {
    return "a character other than ASCII letters, digits, space and ._@+~=,()[]!$-";
  }
  return isDevice(s) ? "a Windows device name" : "";
}

/** Windows looks only at what stands before the first dot, without trailing spaces. */
function isDevice(s: string): boolean {
  const stem = lower(s.split(".")[0]!.replace(/ +$/, ""));
  return /^(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9])$/.test(stem);
}

/** ASCII lower-casing: unlike Unicode's it never changes with newer tables. */
function lower(s: string): string {
  return s.replace(/[A-Z]/g, (c) => String.fromCharCode(c.charCodeAt(0) + 32));
}

/**
 * Throws path_collision unless the paths, each good by checkPath, can lie in one
 * tree on every system: no two are equal after ASCII lower-casing, and none is
 * another's folder.
 */
export function checkPaths(paths: readonly string[]): void {
  const files = new Set<string>();
  for (const p of paths) {
    const folded = lower(p);
    if (files.has(folded)) throw new MythosError("path_collision", `${quoted(p)}: two paths are equal, or equal but for case`);
    files.add(folded);
  }
  for (const p of paths) {
    const folded = lower(p);
    for (let i = folded.indexOf("/"); i >= 0; i = folded.indexOf("/", i + 1)) {
      if (files.has(folded.slice(0, i))) throw new MythosError("path_collision", `${quoted(p)}: a file is its folder`);
    }
  }
}

/**
 * Reports whether a glob of a trust entry covers a whole package name
 * (RFC-MYTHOS-0008 §9): * is any run of characters other than a slash, ** any run,
 * both possibly empty, and all else is literal.
 */
export function coversName(glob: string, name: string): boolean {
  const literal = (s: string): string => s.replace(/[^a-z0-9/_-]/g, "\\$&");
  const pattern = glob.split("**").map((part) => part.split("*").map(literal).join("[^/]*")).join(".*");
  return new RegExp(`^${pattern}$`, "s").test(name);
}
