/**
 * Concrete uses of power (RFC-MYTHOS-0008 §5.1): each is judged as the narrowest
 * scope of its kind that it needs.
 */

import { equalBytes } from "../bytes.js";
import type { Hash } from "../cid.js";
import type { CapScope } from "../gen/caps.js";
import * as scopes from "../gen/caps.js";
import { type Addr, addrText, parseAddr } from "./addr.js";
import { soundName } from "./rules.js";

/** A concrete use, made by one of the functions of request. */
export interface Request {
  /** The narrowest scope, or why this is no use at all. */
  readonly need: CapScope | string;
  /** How many of a link's counted uses it takes. */
  readonly spends: number;
  /** Where a connection goes. */
  readonly addr?: Addr;
}

const use = (kind: number, payload: Uint8Array, spends = 0): Request => ({ need: { kind, payload }, spends });

/** Makes requests, one function for each kind but ToolCall. */
export const request = {
  /** Reads a blob from start, length bytes or to the end. */
  readBlob: (cid: Hash, start = 0n, length?: bigint): Request =>
    use(1, scopes.BlobReadScope.encode({ cid, range_start: start, range_len: length })),
  writeBlob: (namespace: string, size: bigint, media: string): Request =>
    use(2, scopes.BlobWriteScope.encode({ namespace, max_size: size, media_allow: [media] })),
  pinBlob: (cid: Hash, ttlUs: bigint): Request => use(3, scopes.BlobPinScope.encode({ cid, ttl_us: ttlUs })),
  deleteBlob: (cid: Hash): Request => use(4, scopes.BlobDeleteScope.encode({ cid })),
  /** Starts one job; tokens and gpuMs are what it may use at most. */
  train: (recipe: Hash, tokens: bigint, gpuMs: bigint): Request =>
    use(6, scopes.TrainRunScope.encode({ recipe_id: recipe, max_jobs: 1, max_tokens: tokens, max_gpu_ms: gpuMs }), 1),
  evaluate: (suite: Hash): Request => use(7, scopes.EvalRunScope.encode({ suite_id: suite, max_runs: 1 }), 1),
  promote: (ring: number, policy: Hash): Request => use(8, scopes.DeployPromoteScope.encode({ ring_id: ring, policy_id: policy })),
  /** Starts workers; the three numbers are totals of the run, this use included. */
  spawn: (pool: Hash, workers: number, cpuUs: bigint, io: number): Request =>
    use(9, scopes.ComputeSpawnScope.encode({ pool_id: pool, max_workers: workers, max_cpu_us: cpuUs, max_io: io })),
  /** Reads what a cell holds under keys that begin with key; without one, the whole cell. */
  readCell: (cell: Hash, key?: Uint8Array): Request => use(10, scopes.CellReadScope.encode({ cell_id: cell, key_prefix: key })),
  /** Appends events, one type each. */
  writeCell: (cell: Hash, types: number[]): Request => {
    if (types.length === 0) return { need: "it writes no event", spends: 0 }; // an absent list would ask for every type
    return use(11, scopes.CellWriteScope.encode({ cell_id: cell, max_events: types.length, event_type_allow: types }), types.length);
  },
  connect,
  readFile: (path: string): Request => use(33, scopes.FsReadScope.encode({ path })),
  /** written: how many bytes the run has written through this chain, this write included. */
  writeFile: (path: string, written: bigint): Request => use(34, scopes.FsWriteScope.encode({ path, max_bytes: written })),
  readClock: (): Request => use(35, scopes.ClockScope.encode({})),
  readRandom: (): Request => use(36, scopes.RandomScope.encode({})),
  readSecret: (name: string): Request => use(37, scopes.SecretReadScope.encode({ name })),
  runPackage: (id: Hash, ring: number): Request => use(38, scopes.PackageRunScope.encode({ package_id: id, ring })),
  publishPackage: (name: string): Request =>
    name === "" ? { need: "a package without a name", spends: 0 } : use(39, scopes.PackagePublishScope.encode({ name_prefix: name })),
};

/**
 * Opens a connection (RFC-MYTHOS-0008 §5.2). The host resolves the name once and
 * connects to addr; method is that of the HTTP request that it performs, absent
 * for a bare connection.
 */
function connect(host: string, addr: Addr | undefined, port: number, method?: string): Request {
  const literal = parseAddr(host);
  const refused = (need: string): Request => ({ need, spends: 0 });
  if (literal === undefined && !soundName(host)) return refused(`host ${JSON.stringify(host)} is no lower-case name or address`);
  if (addr === undefined) return refused(`host ${JSON.stringify(host)} has no address yet`);
  if (literal !== undefined && !equalBytes(literal, addr)) return refused(`host ${host} is not address ${addrText(addr)}`);
  const methods = method === undefined || method === "" ? undefined : [method];
  return { ...use(32, scopes.NetConnectScope.encode({ hosts: [host], ports: [port], methods })), addr };
}
