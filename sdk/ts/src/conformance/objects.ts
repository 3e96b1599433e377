/** The ops of the suites ledger, caps and package (ctvp/README.md). */

import { addrFrom } from "../caps/addr.js";
import { type Use, checkChain, decodeProof } from "../caps/chain.js";
import type { Call } from "../caps/constraint.js";
import { type Request, request } from "../caps/request.js";
import { checkFollows, markOf, openRevocations } from "../caps/revocation.js";
import { checkCovers } from "../caps/scope.js";
import { hashText, parseHash } from "../cid.js";
import { toHex } from "../bytes.js";
import { AgentID, type RevocationList, ToolCallScope } from "../gen/index.js";
import { checkRunId, derivedKey, explicitKey, leafHash } from "../ledger/entries.js";
import { type LedgerState, foldLedger } from "../ledger/state.js";
import { decodeTree } from "../manifest/artifact.js";
import { decodeManifest, verifyManifest } from "../manifest/manifest.js";
import { checkPath, checkPaths, coversName } from "../manifest/names.js";
import { type Decoded, keyId, sameAgent } from "../sig.js";
import type { Op } from "./ops.js";
import { type Input, type Json, hashOut } from "./input.js";

export const ledgerOps: Record<string, Op> = {
  "ledger.fold": (input) => {
    const entries = input.objects("entries");
    return stateOut(foldLedger(entries.map((e, i) => ({ index: BigInt(i), kind: e.int("kind"), body: e.hex("hex") }))));
  },
  "ledger.key": (input) => {
    const authority = input.hash("authority");
    const holder = input.hash("holder");
    if (input.has("explicit")) return { hex: explicitKey(authority, holder, input.hex("explicit")) };
    const d = input.object("derived");
    const run = { run_id: d.text("run_id"), package_id: d.hash("package_id"), bundle: d.hash("bundle") };
    return { hex: derivedKey(authority, holder, { ...run, task_id: d.hash("task_id"), ordinal: d.big("ordinal") }) };
  },
  "ledger.leaf": (input) => ({ hash: hashOut(leafHash(input.big("index"), input.int("kind"), input.hex("hex"))) }),
  "ledger.runid": (input) => {
    checkRunId(input.text("text"));
    return {};
  },
};

function stateOut(s: LedgerState): Json {
  const { phase, attempt, marked, commit, contradiction: c } = s;
  if (phase === "absent") return { phase, attempt, marked };
  const stands = phase === "committed" || phase === "divergent" ? commit : undefined;
  return {
    phase,
    attempt,
    marked,
    request_hash: hashOut(s.requestHash),
    register_id: hashOut(s.registerId),
    owner: hashOut(keyId(s.owner!)),
    retry: s.retry,
    receipt_id: hashOut(stands?.receipt_id),
    response_hash: hashOut(stands?.response_hash),
    contradiction:
      phase === "divergent" && c !== undefined ? { reason: c.reason, stood: hashText(c.stood), other: hashText(c.other) } : undefined,
  };
}

export const capsOps: Record<string, Op> = {
  "caps.subset": (input) => {
    checkCovers(input.int("kind"), input.hex("parent"), input.hex("child"));
    return {};
  },
  "caps.check": (input) => {
    const what = useOf(input);
    const subject = AgentID.decode(input.hex("subject"));
    const trusted = input.hexes("trust").map((b) => AgentID.decode(b));
    const lists = acceptLists(input.hexes("revocations"));
    const g = checkChain(decodeProof(input.hex("proof")), {
      ...what,
      subject,
      now: input.big("now"),
      authority: (a) => trusted.some((t) => sameAgent(t, a)),
      revocations: (a) => lists.get(toHex(keyId(a))),
    });
    return {
      cap_ids: g.capIds.map(hashOut),
      spend: g.spend.map((s) => ({ cap_id: hashOut(s.capId), max: s.max, n: s.n })),
      lists: g.lists.map((l) => ({ issuer: hashOut(l.issuer), seq: l.mark.seq, id: hashOut(l.mark.id) })),
    };
  },
};

/** Says what a proof is used for. */
function useOf(input: Input): Pick<Use, "need" | "call"> {
  if (input.has("request")) return { need: requestOf(input.object("request")) };
  if (input.has("scope")) {
    const s = input.object("scope");
    return { need: { kind: s.int("kind"), scope: s.hex("hex") } };
  }
  const c = input.object("call");
  const call: Call = {
    tool: c.hash("tool"),
    package: c.hash("package"),
    module: c.hash("module"),
    requestHash: c.hash("request_hash"),
    ledger: c.has("ledger") ? c.hash("ledger") : undefined,
    ring: c.int("ring"),
    payload: c.hex("payload"),
  };
  return { need: { kind: 5, scope: ToolCallScope.encode({ tool_id: call.tool, max_calls: 1 }) }, call };
}

/** Makes the request that the members of a kind describe. */
const REQUESTS: Record<number, (m: Input) => Request> = {
  1: (m) => request.readBlob(m.hash("cid"), m.has("start") ? m.big("start") : 0n, m.has("length") ? m.big("length") : undefined),
  2: (m) => request.writeBlob(m.text("namespace"), m.big("size"), m.text("media")),
  3: (m) => request.pinBlob(m.hash("cid"), m.has("ttl_us") ? m.big("ttl_us") : 0n),
  4: (m) => request.deleteBlob(m.hash("cid")),
  6: (m) => request.train(m.hash("recipe_id"), m.big("tokens"), m.big("gpu_ms")),
  7: (m) => request.evaluate(m.hash("suite_id")),
  8: (m) => request.promote(m.int("ring"), m.hash("policy_id")),
  9: (m) => request.spawn(m.hash("pool_id"), m.int("workers"), m.big("cpu_us"), m.int("io")),
  10: (m) => request.readCell(m.hash("cell_id"), m.has("key") ? m.hex("key") : undefined),
  11: (m) => request.writeCell(m.hash("cell_id"), m.has("types") ? m.list("types").map(Number) : []),
  32: (m) => {
    const bytes = m.hex("address");
    const addr = bytes.length === 0 ? undefined : addrFrom(bytes);
    if (addr === undefined && bytes.length > 0) throw new TypeError("an address has 4 or 16 bytes");
    return request.connect(m.text("host"), addr, m.int("port"), m.has("method") ? m.text("method") : "");
  },
  33: (m) => request.readFile(m.text("path")),
  34: (m) => request.writeFile(m.text("path"), m.has("written") ? m.big("written") : 0n),
  35: () => request.readClock(),
  36: () => request.readRandom(),
  37: (m) => request.readSecret(m.text("name")),
  38: (m) => request.runPackage(m.hash("package_id"), m.int("ring")),
  39: (m) => request.publishPackage(m.text("name")),
};

function requestOf(m: Input): Request {
  const make = REQUESTS[m.int("kind")];
  if (make === undefined) throw new TypeError(`kind ${m.int("kind")} has no requests`);
  return make(m);
}

/** Opens revocation lists and accepts each after those before it; the newest of each issuer, by key id in hex. */
function acceptLists(raws: readonly Uint8Array[]): Map<string, Decoded<RevocationList>> {
  const known = new Map<string, Decoded<RevocationList>>();
  for (const raw of raws) {
    const list = openRevocations(raw);
    const issuer = toHex(keyId(list.object.issuer));
    const last = known.get(issuer);
    checkFollows(list, last === undefined ? undefined : markOf(last));
    known.set(issuer, list);
  }
  return known;
}

export const packageOps: Record<string, Op> = {
  "path.check": (input) => {
    const paths = input.strings("paths");
    paths.forEach(checkPath);
    checkPaths(paths);
    return {};
  },
  "tree.open": (input) => ({ paths: decodeTree(input.hex("hex")).entries.map((e) => e.path) }),
  "manifest.open": (input) => {
    const entries = input.objects("publishers").map((p) => ({
      keys: p.hexes("keys").map((b) => AgentID.decode(b)),
      threshold: p.int("threshold"),
      names: p.strings("names"),
    }));
    const u = decodeManifest(input.hex("hex"));
    const publishers = entries.map((e) => ({ ...e, covers: e.names.some((glob) => coversName(glob, u.claims.name)) }));
    const h = input.object("host");
    const v = verifyManifest(u, publishers, {
      version: h.text("version"),
      codebooks: h.strings("codebooks").map(parseHash),
      features: h.strings("features"),
      ctvps: h.strings("ctvps").map(parseHash),
    });
    return { package_id: hashOut(v.packageId), manifest_cid: hashOut(v.cid), signers: v.signers.map((a) => hashOut(keyId(a))) };
  },
};
