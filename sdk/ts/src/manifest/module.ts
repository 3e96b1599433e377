/** The rules of module bindings (RFC-MYTHOS-0006 §4 and §13). */

import { toolId } from "../abi.js";
import { compareBytes, utf8Length } from "../bytes.js";
import { isCanonical } from "../can/valid.js";
import { equalHashes, hashText } from "../cid.js";
import { MythosError } from "../fault.js";
import { type Limits, type ModuleBinding, type ModuleRef, Tool } from "../gen/manifest.js";
import { DOC, type Kinds, IMAGE, MODULE, SCHEMA, TREE, resolve } from "./artifact.js";
import { isConstraint, isPlatform, isToolName, isWord, quoted } from "./names.js";

/** Module kinds. */
export const MODULE_WASM = 1;
export const MODULE_PROCESS = 2;
export const MODULE_OCI = 3;
export const MODULE_NATIVE = 4;

/** Calling conventions. */
export const ABI_HOSTCALL = 1;
export const ABI_STDIO = 2;

const RETRY_RECONCILE = 3;
const MAX_ARGS = 64;
const MAX_ARG = 4096;
const MAX_CAPS = 64;

/** Names a binding for people: tool, variant and platform. */
export function bindingLabel(x: ModuleBinding): string {
  const variant = x.variant === undefined ? "" : `=${quoted(x.variant)}`;
  const platform = x.module.platform === undefined ? "" : ` (${quoted(x.module.platform)})`;
  return quoted(x.tool.name) + variant + platform;
}

/** Returns the artifact kind that a module of a kind is, 0 if there is no such module. */
export function artifactOfModule(kind: number): number {
  return [0, MODULE, TREE, IMAGE, MODULE][kind] ?? 0;
}

/** Checks one binding by itself and what it names. */
export function checkBinding(x: ModuleBinding, kinds: Kinds): void {
  const label = bindingLabel(x);
  if (!isToolName(x.tool.name)) throw new MythosError("tool_invalid", `${quoted(x.tool.name)} may not name a tool`);
  const id = toolId(x.tool.name, x.tool.interface, x.tool.request_type_id, x.tool.response_type_id);
  if (!equalHashes(x.tool_id, id)) {
    throw new MythosError("id_mismatch", `${label}: tool_id says ${hashText(x.tool_id)}, the tool says ${hashText(id)}`);
  }
  const why = badModule(x.module, x.variant);
  if (why !== "") throw new MythosError("module_ref_invalid", `${label}: ${why}`);
  const limit = badLimit(x.module.limits, x.module.kind);
  if (limit !== "") throw new MythosError("module_limits_invalid", `${label}: ${limit}`);
  if (x.tool.description) resolve(kinds, x.tool.description, DOC, `${label} description`);
  if (x.tool.request_schema) resolve(kinds, x.tool.request_schema, SCHEMA, `${label} request_schema`);
  if (x.tool.response_schema) resolve(kinds, x.tool.response_schema, SCHEMA, `${label} response_schema`);
  resolve(kinds, x.module.cid, artifactOfModule(x.module.kind), `${label} module`);
}

function badModule(x: ModuleRef, variant: string | undefined): string {
  const wasm = x.kind === MODULE_WASM;
  const probed = (x.probe ?? []).length > 0;
  if (variant && !isWord(variant)) return `${quoted(variant)} is not a variant's name`;
  if (artifactOfModule(x.kind) === 0) return "module kind is not 1..4";
  if (x.retry > RETRY_RECONCILE) return "retry is not 0..3";
  if (x.abi !== ABI_STDIO && !(wasm && x.abi === ABI_HOSTCALL)) return "abi is 1 (hostcall, wasm only) or 2 (stdio)";
  if (wasm && x.reuse === true) return "reuse does not apply to wasm: every call has a fresh instance";
  if (probed !== (x.retry === RETRY_RECONCILE)) return "a probe goes with retry 3 (reconcile), and with no other";
  if (probed && badArgs(x.kind, x.probe!)) return "probe is one export's name for wasm, else 1 to 64 words of 1 to 4096 bytes without NUL";
  if (badArgs(x.kind, x.entry)) return "entry is one export's name for wasm, else 1 to 64 words of 1 to 4096 bytes without NUL";
  return badRuntime(x) || badCaps(x);
}

function badRuntime(x: ModuleRef): string {
  const runtime = x.runtime;
  const platform = x.platform ?? "";
  if ((runtime !== undefined) !== (x.kind === MODULE_PROCESS)) return "a process module names its runtime, and only a process module does";
  if (runtime !== undefined && runtime.name !== "node" && runtime.name !== "python3") return "runtime is node or python3";
  if (runtime !== undefined && !isConstraint(runtime.version)) return 'runtime version is comparisons such as ">=3.10 <4"';
  if (platform === "") return x.kind === MODULE_NATIVE ? "a native module names its platform" : "";
  if (x.kind !== MODULE_NATIVE && x.kind !== MODULE_OCI) return "only native and image modules have a platform";
  return isPlatform(platform) ? "" : "platform is not OS/ARCH in lower case";
}

function badArgs(kind: number, args: readonly string[]): boolean {
  if (args.length === 0 || args.length > MAX_ARGS || (kind === MODULE_WASM && args.length !== 1)) return true;
  return args.some((a) => a === "" || utf8Length(a) > MAX_ARG || a.includes("\0"));
}

function badCaps(x: ModuleRef): string {
  const list = x.caps_required ?? [];
  if (list.length > MAX_CAPS) return "more than 64 caps_required";
  const none = new Uint8Array(0);
  for (let i = 0; i < list.length; i++) {
    const c = list[i]!;
    if (c.scope !== undefined && c.scope.length > 0 && !isCanonical(c.scope)) return "a scope in caps_required is not one canonical value";
    if (i === 0) continue;
    const p = list[i - 1]!;
    const order = p.kind - c.kind || compareBytes(p.scope ?? none, c.scope ?? none);
    if (order >= 0) return "caps_required must ascend by kind and scope, none twice";
  }
  return "";
}

const within = (v: bigint | number, least: number, most: number): boolean => v >= least && v <= most;

/** Says which limit is out of range, or nothing. */
function badLimit(x: Limits, kind: number): string {
  if (!within(x.timeout_us, 1_000, 3_600_000_000)) return "timeout_us is not 1,000 (1 ms) to 3,600,000,000 (1 h)";
  if (!within(x.memory_bytes, 65_536, 65_535 * 65_536)) return "memory_bytes is not 64 KiB to 4 GiB less 64 KiB";
  if ((x.fuel !== undefined) !== (kind === MODULE_WASM)) return "a wasm module has fuel, and only a wasm module does";
  if (x.fuel !== undefined && (x.fuel < 1n || x.fuel >= 1n << 63n)) return "fuel is not 1 to 2^63-1";
  if (!within(x.max_request_bytes, 256, 16_777_216)) return "max_request_bytes is not 256 to 16,777,216";
  if (!within(x.max_response_bytes, 256, 16_777_216)) return "max_response_bytes is not 256 to 16,777,216";
  if (x.max_stderr_bytes > 16_777_216n) return "max_stderr_bytes is over 16,777,216";
  return x.max_io_calls > 1_000_000 ? "max_io_calls is over 1,000,000" : "";
}

/**
 * Names what two bindings of one tool must share and do not: result, hashes and
 * idempotency must not depend on the variant that runs.
 */
export function bindingsDiffer(x: ModuleBinding, o: ModuleBinding): string {
  if (compareBytes(Tool.encode(x.tool), Tool.encode(o.tool)) !== 0) return "tool";
  if (x.module.retry !== o.module.retry) return "retry";
  if (x.module.limits.max_request_bytes !== o.module.limits.max_request_bytes) return "max_request_bytes";
  return x.module.limits.max_response_bytes !== o.module.limits.max_response_bytes ? "max_response_bytes" : "";
}
