/**
 * Capability chains and the decision about one use (RFC-MYTHOS-0008 §3). A proof
 * is the canonical LIST of BYTES, root first, each one complete Capability.
 * decodeProof checks form only; checkChain decides: every signature, then
 * principals, time, scope and revocation. It reads no clock, resolves no name and
 * fetches no list; counting is the ledger's, and a Grant says what to spend.
 */

import { Reader } from "../can/reader.js";
import { Writer } from "../can/writer.js";
import { type Hash, equalHashes, hashText } from "../cid.js";
import { MythosError, NO_OFFSET } from "../fault.js";
import { Capability, type RevocationList, type ToolCallScope } from "../gen/caps.js";
import type { NetConnectScope } from "../gen/caps.js";
import type { AgentID } from "../gen/sig.js";
import { type Decoded, type Signer, checkSeal, keyId, objectId, sameAgent, sign, verify } from "../sig.js";
import { addrText, isSpecial } from "./addr.js";
import { type Breach, type Call, denies } from "./constraint.js";
import { resolvePointers } from "./pointer.js";
import type { Request } from "./request.js";
import { type Mark, isFresh, markOf, names } from "./revocation.js";
import { kindName } from "./rules.js";
import { KIND_TOOL_CALL, type Scope, checkScope, decodeScope, isBreach, scopeConstrained, scopeWithin } from "./scope.js";

/** Bounds of a proof (RFC-MYTHOS-0008 §2). */
export const MAX_LINKS = 8;
export const MAX_PROOF = 16384;

/** One capability of a chain. */
export interface Link {
  readonly cap: Capability;
  /** Recomputed from the original bytes. */
  readonly id: Hash;
  readonly scope: Scope;
  /** Why the id or signature field is not of its form. */
  readonly sealed: MythosError | undefined;
}

/** A decoded proof: well formed, and nothing more, until checkChain has passed. Root first. */
export type Chain = readonly Link[];

/** Returns the proof with the given links, root first, each the canonical bytes of a Capability. */
export function encodeProof(links: readonly Uint8Array[]): Uint8Array {
  const w = new Writer();
  w.list(links.length);
  for (const l of links) w.bytes(l);
  return w.take();
}

/** Decodes a proof: its bounds, every link, every scope payload (step 1). It verifies no signature. */
export function decodeProof(raw: Uint8Array): Chain {
  if (raw.length > MAX_PROOF) throw new MythosError("cap_chain_too_long", `a proof of ${raw.length} bytes, at most ${MAX_PROOF}`);
  const r = new Reader(new Uint8Array(raw)); // a copy: what was checked must not change
  const n = r.list();
  if (n === 0 || n > MAX_LINKS) throw new MythosError("cap_chain_too_long", `a proof of ${n} links, want 1..${MAX_LINKS}`);
  const items: Uint8Array[] = [];
  for (let i = 0; i < n; i++) items.push(r.bytes());
  r.leave();
  r.done();
  return items.map(decodeLink);
}

function decodeLink(raw: Uint8Array): Link {
  const cap = Capability.decode(raw);
  const id = objectId(Capability, raw);
  let sealed: MythosError | undefined;
  try {
    checkSeal(Capability, cap, id);
  } catch (e) {
    if (!(e instanceof MythosError)) throw e;
    sealed = e; // told with the signatures, so that no link is judged before all are read
  }
  return { cap, id, sealed, scope: linkScope(cap) };
}

/** Decodes a link's scope. Its payload is a message of its own, so no offset in it is one in the proof. */
function linkScope(cap: Capability): Scope {
  try {
    return decodeScope(cap.scope.kind, cap.scope.payload);
  } catch (e) {
    if (!(e instanceof MythosError)) throw e;
    throw new MythosError(e.code, `its scope: ${e.message}`, NO_OFFSET, e);
  }
}

/** The rules that a denial names: the rows of the table in RFC-MYTHOS-0008 §3. */
export type DenialRule =
  | "signature" | "root" | "authority" | "parent" | "issuer" | "delegable" | "subject" | "window" | "not_before" | "expires_at"
  | "subset" | "constraint_subset" | "use" | "constraint_use" | "revocation" | "revoked";

/** Why a chain does not allow a use: which link, by which rule. */
export class Denial extends MythosError {
  constructor(
    code: string,
    /** 0 is the root. */
    readonly link: number,
    readonly capId: Hash,
    readonly rule: DenialRule,
    why: string,
    /** Of a scope: a row of RFC-MYTHOS-0008 §5 or a constraint key; or "". */
    readonly field: string = "",
  ) {
    super(code, `capability link ${link} (${hashText(capId)}), rule ${rule}: ${why}`);
    this.name = "Denial";
  }
}

/** One use of power. */
export interface Use {
  /**
   * The canonical scope struct of a kind, the narrowest one that the use needs;
   * or a concrete request of any kind but ToolCall.
   */
  readonly need: { readonly kind: number; readonly scope: Uint8Array } | Request;
  /**
   * The concrete call, for ToolCall. Without it need, constraints included, must
   * be a subset of every link's, and nothing is charged.
   */
  readonly call?: Call;
  /** The executing agent: the leaf's subject must be it. */
  readonly subject: AgentID;
  /** Microseconds since 1970, UTC. */
  readonly now: bigint;
  /** Reports whether a root issuer is trusted now. */
  readonly authority: (issuer: AgentID) => boolean;
  /** Returns the newest accepted list of an issuer. */
  readonly revocations?: (issuer: AgentID) => Decoded<RevocationList> | undefined;
}

/** A link's limit on uses, and how many this use takes. */
export interface Count {
  readonly capId: Hash;
  readonly max: number;
  readonly n: number;
}

/** A use that a chain allows. */
export interface Grant {
  /** Root to leaf. */
  readonly capIds: readonly Hash[];
  /** What registering the effect charges; empty for a bare scope and for kinds that count nothing. */
  readonly spend: readonly Count[];
  /** The revocation lists that were looked at, root first. */
  readonly lists: readonly { readonly issuer: Hash; readonly mark: Mark }[];
}

/** Decides whether a chain allows a use: steps 2 to 6, in that order. It throws a Denial if not. */
export function checkChain(chain: Chain, use: Use): Grant {
  checkPrincipals(chain, use.subject, use.authority);
  chain.forEach((_, i) => checkTime(chain, i, use.now));
  checkScopes(chain, use);
  const lists = checkRevocation(chain, use);
  const n = "spends" in use.need ? use.need.spends : use.call === undefined ? 0 : 1;
  const spend = n === 0 ? [] : chain.map((l) => ({ capId: l.id, max: countOf(l.scope), n }));
  return { capIds: chain.map((l) => l.id), spend, lists };
}

function countOf(s: Scope): number {
  return s.rule.count === undefined ? 0 : (s.power as Record<string, number>)[s.rule.count as string]!;
}

function deny(chain: Chain, i: number, rule: DenialRule, code: string, why: string, field = ""): never {
  throw new Denial(code, i, chain[i]!.id, rule, why, field);
}

/** Performs steps 2 and 3 alone: what a proof must pass when a run starts. */
export function checkPrincipals(chain: Chain, subject: AgentID, authority: (issuer: AgentID) => boolean): void {
  checkSignatures(chain);
  const root = chain[0]!.cap;
  if (root.attenuation_parent !== undefined) {
    deny(chain, 0, "root", "cap_chain_broken", `the first link has a parent, ${hashText(root.attenuation_parent)}`);
  }
  if (!authority(root.issuer)) deny(chain, 0, "authority", "cap_issuer_untrusted", `key ${hashText(keyId(root.issuer))} is no authority here`);
  for (let i = 1; i < chain.length; i++) checkParent(chain, i);
  for (let i = 1; i < chain.length; i++) checkDelegation(chain, i);
  const last = chain.length - 1;
  const leaf = chain[last]!.cap;
  if (!sameAgent(leaf.subject, subject)) {
    deny(chain, last, "subject", "cap_subject", `it is for key ${hashText(keyId(leaf.subject))}, the executor is another`);
  }
}

/** Verifies every link before it says anything, so that the time it takes does not tell which one was forged. */
function checkSignatures(chain: Chain): void {
  let first: { link: number; why: string } | undefined;
  chain.forEach((l, link) => {
    let why = l.sealed?.message;
    try {
      verify(l.cap.issuer, l.id, l.cap.signature);
    } catch (e) {
      if (!(e instanceof MythosError)) throw e;
      why ??= e.message;
    }
    if (why !== undefined) first ??= { link, why };
  });
  if (first !== undefined) deny(chain, first.link, "signature", "cap_signature", first.why);
}

/** Checks that link i continues the one before it. */
function checkParent(chain: Chain, i: number): void {
  const child = chain[i]!.cap;
  const parent = chain[i - 1]!;
  const named = child.attenuation_parent;
  if (named === undefined) deny(chain, i, "parent", "cap_chain_broken", "it names no parent");
  if (!equalHashes(named, parent.id)) deny(chain, i, "parent", "cap_chain_broken", `its parent is ${hashText(named)}, want ${hashText(parent.id)}`);
  if (!sameAgent(child.issuer, parent.cap.subject) && !sameAgent(child.issuer, parent.cap.issuer)) {
    deny(chain, i, "issuer", "cap_chain_broken", "its issuer is neither the parent's subject nor its issuer");
  }
}

/** Checks that nobody passes on what was not theirs to pass on. */
function checkDelegation(chain: Chain, i: number): void {
  const child = chain[i]!.cap;
  const parent = chain[i - 1]!.cap;
  if (parent.delegable) return;
  if (!sameAgent(child.issuer, parent.issuer)) {
    deny(chain, i, "delegable", "cap_not_delegable", "its parent may not be passed on by its subject");
  }
  if (child.delegable) deny(chain, i, "delegable", "cap_not_delegable", "it is delegable, its parent is not");
}

function checkTime(chain: Chain, i: number, now: bigint): void {
  const { not_before, expires_at } = chain[i]!.cap;
  if (not_before >= expires_at) deny(chain, i, "window", "cap_window", `not_before ${not_before} is not before expires_at ${expires_at}`);
  const parent = chain[i - 1]?.cap;
  if (parent !== undefined && (not_before < parent.not_before || expires_at > parent.expires_at)) {
    deny(chain, i, "window", "cap_window", "its window is not within the parent's");
  }
  if (now < not_before) deny(chain, i, "not_before", "cap_not_yet_valid", `it counts from ${not_before}, now is ${now}`);
  if (now >= expires_at) deny(chain, i, "expires_at", "cap_expired", `it expired at ${expires_at}, now is ${now}`);
}

/** Returns the narrowest scope that the use needs, or why it is no use. */
function needOf(use: Use): Scope | string {
  const { need, call } = use;
  let kind: number;
  let payload: Uint8Array;
  if ("spends" in need) {
    if (call !== undefined) return "the use is said in two ways";
    if (typeof need.need === "string") return need.need;
    ({ kind, payload } = need.need);
  } else {
    kind = need.kind;
    payload = need.scope;
  }
  let s: Scope;
  try {
    s = decodeScope(kind, payload);
  } catch (e) {
    if (!(e instanceof MythosError)) throw e;
    return `the use is no scope of ${kindName(kind)}: ${e.message}`;
  }
  return call !== undefined && kind !== KIND_TOOL_CALL ? `a call of a tool is no use of ${kindName(kind)}` : s;
}

/** Goes over the links, for each over the rows of step 5. */
function checkScopes(chain: Chain, use: Use): void {
  const need = needOf(use);
  if (typeof need === "string") deny(chain, 0, "use", "cap_scope", `${need}, so nothing covers it`);
  const found = use.call === undefined ? new Map<string, Uint8Array>() : resolvePointers(use.call.payload, pointersOf(chain));
  chain.forEach((l, i) => {
    const refuse = (rule: DenialRule, b: Breach | undefined): void => {
      if (b !== undefined) deny(chain, i, rule, b.code, b.why, b.field);
    };
    if (i > 0) {
      const parent = chain[i - 1]!.scope;
      refuse("subset", scopeWithin(l.scope, parent));
      refuse("constraint_subset", scopeConstrained(l.scope, parent));
    }
    refuse("use", uncovered(l.scope, need, use));
    refuse("constraint_use", disallowed(l.scope, need, use.call, found));
  });
}

function pointersOf(chain: Chain): string[] {
  return chain.flatMap(({ scope: { constraints } }) =>
    isBreach(constraints) ? [] : constraints.flatMap((c) => (c.pointer === undefined ? [] : [c.pointer])),
  );
}

/** Says why s does not cover the use, constraints apart. The calls of a concrete call are counted when they are spent. */
function uncovered(s: Scope, need: Scope, use: Use): Breach | undefined {
  const { call } = use;
  if (call === undefined || need.rule.kind !== KIND_TOOL_CALL || s.rule.kind !== KIND_TOOL_CALL) {
    return scopeWithin(need, s) ?? outOfReach(s, use);
  }
  const want = (need.power as ToolCallScope).tool_id;
  const toolId = (why: string): Breach => ({ code: "cap_scope", field: "tool_id", why });
  if (!equalHashes(want, call.tool)) return toolId("the use is of another tool than the call");
  return equalHashes((s.power as ToolCallScope).tool_id, want) ? undefined : toolId(`tool_id ${hashText(want)} is not the scope's`);
}

/** A special address counts only if it is itself among the hosts (RFC-MYTHOS-0008 §5.2). */
function outOfReach(s: Scope, use: Use): Breach | undefined {
  const addr = "spends" in use.need ? use.need.addr : undefined;
  if (addr === undefined || !isSpecial(addr)) return undefined;
  if ((s.power as NetConnectScope).hosts.includes(addrText(addr))) return undefined;
  return { code: "cap_scope", field: "hosts", why: `hosts do not list address ${addrText(addr)}, which is special` };
}

/** Says why the constraints of s deny the use. */
function disallowed(s: Scope, need: Scope, call: Call | undefined, found: ReadonlyMap<string, Uint8Array>): Breach | undefined {
  if (isBreach(s.constraints)) return s.constraints;
  if (call === undefined) return scopeConstrained(need, s);
  for (const c of s.constraints) {
    const b = denies(c, call, found);
    if (b !== undefined) return b;
  }
  return undefined;
}

/** Performs step 6: for one link after the other, whether it has the fresh list that it demands, and whether it is revoked. */
function checkRevocation(chain: Chain, use: Use): Grant["lists"] {
  const known: (Decoded<RevocationList> | undefined)[] = [];
  const lists: { issuer: Hash; mark: Mark }[] = [];
  chain.forEach((l, i) => {
    const got = use.revocations?.(l.cap.issuer);
    const list = got !== undefined && sameAgent(got.object.issuer, l.cap.issuer) ? got : undefined; // else somebody else's word
    known.push(list);
    if (list !== undefined) {
      const entry = { issuer: keyId(l.cap.issuer), mark: markOf(list) };
      if (!lists.some((o) => equalHashes(o.issuer, entry.issuer) && equalHashes(o.mark.id, entry.mark.id))) lists.push(entry);
    }
    if (l.cap.revocation_required === true && (list === undefined || !isFresh(list.object, use.now))) {
      deny(chain, i, "revocation", "cap_revocation_required", "it counts only with a fresh revocation list of its issuer");
    }
    known.forEach((k, j) => {
      if (k !== undefined && names(k.object, l.id)) deny(chain, i, "revoked", "cap_revoked", `the issuer of link ${j} has revoked it`);
    });
  });
  return lists;
}

/**
 * Signs a capability, and refuses what no chain could use: an empty window, an
 * unknown kind, a scope or constraint that means nothing.
 */
export function issue(c: Omit<Capability, "cap_id" | "issuer" | "signature">, by: Signer): Decoded<Capability> & { raw: Uint8Array } {
  if (c.not_before >= c.expires_at) throw new MythosError("cap_window", `not_before ${c.not_before} is not before expires_at ${c.expires_at}`);
  checkScope(c.scope);
  return sign(Capability, c, by);
}
