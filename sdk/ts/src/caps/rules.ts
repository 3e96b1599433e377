/**
 * What each kind of capability means: how its scope decodes, when it is sound,
 * and when a child is a subset of a parent, row by row of the table in
 * RFC-MYTHOS-0008 §5.
 */

import { equalBytes, startsWith, toUtf8 } from "../bytes.js";
import type { Codec } from "../can/codec.js";
import * as scopes from "../gen/caps.js";
import { parseAddr } from "./addr.js";

/** One row: a field of the scope, or what two fields say together. */
export interface Row<T> {
  readonly name: string;
  /** "" or why the child is no subset. */
  readonly wider: (parent: T, child: T) => string;
}

/** The meaning of one kind. */
export interface Rule<T> {
  readonly kind: number;
  readonly name: string;
  readonly codec: Codec<T>;
  readonly rows: readonly Row<T>[];
  /** "" or why the scope means nothing. */
  readonly sound: (x: T) => string;
  /** The limit on counted uses, if the kind has one. */
  readonly count: keyof T | undefined;
}

interface Extra<T> {
  sound?: (x: T) => string;
  count?: keyof T;
}

type AnyRule = Rule<never>;

function of<T>(kind: number, name: string, codec: Codec<T>, rows: Row<T>[], extra: Extra<T> = {}): AnyRule {
  const rule: Rule<T> = { kind, name, codec, rows, sound: extra.sound ?? ((): string => ""), count: extra.count };
  return rule as unknown as AnyRule;
}

type Scalar = Uint8Array | string | number | bigint;

const equal = (a: Scalar, b: Scalar): boolean => (a instanceof Uint8Array ? equalBytes(a, b as Uint8Array) : a === b);

/** The row of a field that must be equal. */
function same<T>(name: keyof T & string): Row<T> {
  return { name, wider: (p, c) => (equal(p[name] as Scalar, c[name] as Scalar) ? "" : `${name} differs from the parent's`) };
}

/** The row of a limit; an absent one of the parent restricts nothing. */
function atMost<T>(name: keyof T & string): Row<T> {
  return {
    name,
    wider: (p, c) => {
      const limit = p[name] as number | bigint | undefined;
      const got = c[name] as number | bigint | undefined;
      if (limit === undefined) return "";
      if (got === undefined) return `no ${name}, the parent has ${limit}`;
      return got > limit ? `${name} ${got} exceeds ${limit}` : "";
    },
  };
}

/** The row of an allow list, compared as a set. */
function among<T>(name: keyof T & string): Row<T> {
  return {
    name,
    wider: (p, c) => {
      const allowed = new Set(p[name] as (string | number)[]);
      const extra = (c[name] as (string | number)[]).find((x) => !allowed.has(x));
      return extra === undefined ? "" : `${name} ${JSON.stringify(extra)} is not allowed`;
    },
  };
}

/** among for a list whose absence restricts nothing; a present one is never empty. */
function amongIf<T>(name: keyof T & string): Row<T> {
  const row = among<T>(name);
  return {
    name,
    wider: (p, c) => {
      if (((p[name] as unknown[] | undefined) ?? []).length === 0) return "";
      return ((c[name] as unknown[] | undefined) ?? []).length === 0 ? `no ${name}, the parent has some` : row.wider(p, c);
    },
  };
}

const EMPTY = new Uint8Array(0);

const RULES: readonly AnyRule[] = [
  of(1, "BlobRead", scopes.BlobReadScope, [same("cid"), { name: "range", wider: rangeWider }], { sound: soundRange }),
  of(2, "BlobWrite", scopes.BlobWriteScope, [same("namespace"), atMost("max_size"), among("media_allow")]),
  of(3, "BlobPin", scopes.BlobPinScope, [same("cid"), atMost("ttl_us")]),
  of(4, "BlobDelete", scopes.BlobDeleteScope, [same("cid")]),
  of(5, "ToolCall", scopes.ToolCallScope, [same("tool_id"), atMost("max_calls")], { count: "max_calls" }),
  of(6, "TrainRun", scopes.TrainRunScope, [same("recipe_id"), atMost("max_jobs"), atMost("max_tokens"), atMost("max_gpu_ms")], {
    count: "max_jobs",
  }),
  of(7, "EvalRun", scopes.EvalRunScope, [same("suite_id"), atMost("max_runs")], { count: "max_runs" }),
  of(8, "DeployPromote", scopes.DeployPromoteScope, [same("ring_id"), same("policy_id")]),
  of(9, "ComputeSpawn", scopes.ComputeSpawnScope, [same("pool_id"), atMost("max_workers"), atMost("max_cpu_us"), atMost("max_io")]),
  of(10, "CellRead", scopes.CellReadScope, [
    same("cell_id"),
    {
      name: "key_prefix",
      wider: (p, c) => (startsWith(c.key_prefix ?? EMPTY, p.key_prefix ?? EMPTY) ? "" : "key_prefix does not begin with the parent's"),
    },
  ]),
  of(11, "CellWrite", scopes.CellWriteScope, [same("cell_id"), atMost("max_events"), amongIf("event_type_allow")], { count: "max_events" }),
  of(32, "NetConnect", scopes.NetConnectScope, [{ name: "hosts", wider: hostsWider }, among("ports"), amongIf("methods")], { sound: soundNet }),
  of(33, "FsRead", scopes.FsReadScope, [{ name: "path", wider: pathWider }], { sound: soundPath }),
  of(34, "FsWrite", scopes.FsWriteScope, [{ name: "path", wider: pathWider }, atMost("max_bytes")], { sound: soundPath }),
  of(35, "Clock", scopes.ClockScope, []),
  of(36, "Random", scopes.RandomScope, []),
  of(37, "SecretRead", scopes.SecretReadScope, [same("name")]),
  of(38, "PackageRun", scopes.PackageRunScope, [same("package_id"), atMost("ring")]),
  of(39, "PackagePublish", scopes.PackagePublishScope, [
    {
      name: "name_prefix",
      wider: (p, c) => (startsWith(toUtf8(c.name_prefix), toUtf8(p.name_prefix)) ? "" : "name_prefix does not begin with the parent's"),
    },
  ]),
];

/** Returns the rule of a kind, undefined for one that is not known. */
export function ruleOf(kind: number): Rule<unknown> | undefined {
  return RULES.find((r) => r.kind === kind) as Rule<unknown> | undefined;
}

/** Returns the name of a kind. */
export function kindName(kind: number): string {
  return ruleOf(kind)?.name ?? `kind ${kind}`;
}

const BEYOND = 1n << 64n;

function soundRange(x: scopes.BlobReadScope): string {
  const end = (x.range_start ?? 0n) + (x.range_len ?? 0n);
  return end < BEYOND ? "" : "range_start and range_len add up beyond 2^64-1";
}

/** Compares sound ranges as intervals: an absent start is 0, an absent length reaches to the end. */
function rangeWider(p: scopes.BlobReadScope, c: scopes.BlobReadScope): string {
  const pStart = p.range_start ?? 0n;
  const cStart = c.range_start ?? 0n;
  if (cStart < pStart) return `the range starts at ${cStart}, the parent's at ${pStart}`;
  if (p.range_len === undefined) return "";
  if (c.range_len === undefined) return "the range has no end, the parent's has one";
  const [pEnd, cEnd] = [pStart + p.range_len, cStart + c.range_len];
  return cEnd > pEnd ? `the range ends at ${cEnd}, the parent's at ${pEnd}` : "";
}

function soundNet(x: scopes.NetConnectScope): string {
  const host = x.hosts.find((h) => !soundHost(h));
  if (host !== undefined) return `host ${JSON.stringify(host)} is no lower-case name or address, nor *. and a name`;
  const port = x.ports.find((p) => p < 1 || p > 65535);
  if (port !== undefined) return `port ${port} is not in 1..65535`;
  const method = (x.methods ?? []).find((m) => !/^[A-Z-]{1,32}$/.test(m));
  return method === undefined ? "" : `method ${JSON.stringify(method)} is not 1 to 32 of A-Z and -`;
}

function soundHost(h: string): boolean {
  if (h.startsWith("*.")) return h.length <= 253 && soundName(h.slice(2));
  return parseAddr(h) !== undefined || soundName(h);
}

/**
 * Accepts at most 253 bytes in labels of a-z 0-9 - _, none with - at an end. The
 * last one begins with a letter: nothing that a resolver could take for an
 * address is a name.
 */
export function soundName(name: string): boolean {
  const label = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
  const labels = name.split(".");
  return name.length <= 253 && labels.every((l) => label.test(l)) && /^[a-z]/.test(labels[labels.length - 1]!);
}

/** Each sound host is covered by itself, or by "*." and what follows its first label. */
function hostsWider(p: scopes.NetConnectScope, c: scopes.NetConnectScope): string {
  const allowed = new Set(p.hosts);
  const covered = (h: string): boolean => {
    const dot = h.indexOf(".");
    return allowed.has(h) || (dot >= 0 && h.slice(0, dot) !== "*" && allowed.has("*" + h.slice(dot)));
  };
  const extra = c.hosts.find((h) => !covered(h));
  return extra === undefined ? "" : `hosts ${JSON.stringify(extra)} is not allowed`;
}

/** Wants an absolute path without empty, "." and ".." segments and without NUL. */
function soundPath({ path }: { path: string }): string {
  if (path === "/") return "";
  if (path.includes("\0") || !path.startsWith("/")) return `path ${JSON.stringify(path)} has a NUL or is not absolute`;
  const bad = path.slice(1).split("/").some((s) => s === "" || s === "." || s === "..");
  return bad ? `path ${JSON.stringify(path)} has an empty, . or .. segment` : "";
}

function pathWider(p: { path: string }, c: { path: string }): string {
  const below = p.path === "/" ? "/" : p.path + "/";
  return c.path === p.path || c.path.startsWith(below) ? "" : `path ${JSON.stringify(c.path)} is not below ${JSON.stringify(p.path)}`;
}
