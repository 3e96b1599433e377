/**
 * The state of an idempotency id as a fold over its entries, and the rule that
 * decides what a new call may do (RFC-MYTHOS-0005 §3). It reads no clock: the
 * caller says whether a lease stands.
 */

import { equalBytes, toHex } from "../bytes.js";
import { type Hash, equalHashes, hashOf, hashText, sameHash } from "../cid.js";
import { MythosError, recode } from "../fault.js";
import { type DivergenceMark, type EffectCommit, EffectRegister, LedgerResolution } from "../gen/ledger.js";
import type { AgentID } from "../gen/sig.js";
import { decodeSealed, sameAgent } from "../sig.js";
import {
  KIND_COMMIT,
  KIND_DIVERGENCE,
  KIND_REGISTER,
  KIND_RESOLUTION,
  OUTCOME_COMMITTED,
  OUTCOME_DOUBT,
  OUTCOME_NOT_INVOKED,
  REASON_COMMITS,
  REASON_REQUEST,
  REASON_RESPONSE,
  RETRY_IDEMPOTENT,
  RETRY_NEVER,
  RETRY_PURE,
  checkRegister,
  decodeCommit,
  decodeDivergence,
  openCommit,
} from "./entries.js";

/** Where an id stands, as its entries alone tell. */
export type Phase = "absent" | "open" | "free" | "in_doubt" | "committed" | "divergent" | "settled";

/**
 * What an entry did: it applied; it is kept as evidence and changed nothing; it
 * was there already; or it made the state divergent, and a mark belongs beside it.
 */
export type Verdict = "applied" | "superseded" | "dropped" | "diverged";

/** What a new call may do: register and invoke, return the receipt, or wait for a lease. */
export type Decision = "proceed" | "replay" | "wait";

/** One stored entry. */
export interface LedgerRecord {
  readonly index: bigint;
  readonly kind: number;
  readonly body: Uint8Array;
}

/** Two commits that cannot both be true. */
export interface Contradiction {
  /** REASON_RESPONSE or REASON_COMMITS. */
  readonly reason: number;
  /** Commit ids: the earlier one and the one that contradicts it. */
  readonly stood: Hash;
  readonly other: Hash;
}

/** One register and what is known of it. */
interface Attempt {
  readonly id: Hash;
  readonly owner: AgentID;
  readonly retry: number;
}

/** A commit of one of the id's registers, signed by its owner. */
interface ValidCommit {
  readonly id: Hash;
  readonly response: Hash;
  readonly by: Attempt;
}

const misfit = (reason: string): never => {
  throw new MythosError("ledger_entry", reason);
};

const again = (retry: number): boolean => retry === RETRY_IDEMPOTENT || retry === RETRY_PURE;

/** The fold of one id's entries; a new one is absent. */
export class LedgerState {
  phase: Phase = "absent";
  idemId: Hash | undefined;
  toolId: Hash | undefined;
  requestHash: Hash | undefined;
  /** Registers so far. */
  attempt = 0;
  /** The latest register: the fencing token. */
  registerId: Hash | undefined;
  owner: AgentID | undefined;
  retry = RETRY_NEVER;
  /** The commit that stands when committed, or stood when divergent, and its bytes. */
  commit: EffectCommit | undefined;
  commitRaw: Uint8Array | undefined;
  /** A request conflict was recorded. */
  marked = false;
  /** What made the state divergent, for the mark. */
  contradiction: Contradiction | undefined;

  private readonly attempts: Attempt[] = [];
  private valid: ValidCommit[] = []; // since the last divergence was resolved
  private readonly seen = new Set<string>();

  /** Folds one stored record; one that does not fit means damage: ledger_corrupt. */
  apply(rec: LedgerRecord): void {
    recode("ledger_corrupt", `entry ${rec.index}`, () => this.fold(rec));
  }

  private fold(rec: LedgerRecord): void {
    switch (rec.kind) {
      case KIND_REGISTER: {
        const { object, id } = decodeSealed(EffectRegister, rec.body);
        return this.addRegister(object, id);
      }
      case KIND_COMMIT:
        return void this.offer(rec.body);
      case KIND_DIVERGENCE:
        return void this.addDivergence(decodeDivergence(rec.body).object);
      case KIND_RESOLUTION:
        return this.addResolution(decodeSealed(LedgerResolution, rec.body).object, true);
    }
    misfit(`an entry of kind ${rec.kind} under an idempotency id`);
  }

  /** Applies an opened register. */
  addRegister(x: EffectRegister, id: Hash): void {
    checkRegister(x);
    const number = x.attempt ?? 0;
    if (this.phase === "committed" || this.phase === "divergent" || this.phase === "settled") {
      misfit(`a register of an id that is ${this.phase}`);
    }
    if (this.phase !== "absent") {
      if (!equalHashes(x.idem_id, this.idemId!)) misfit(`a register of id ${hashText(x.idem_id)} among those of another`);
      if (!equalHashes(x.request_hash, this.requestHash!) || !equalHashes(x.tool_id, this.toolId!)) {
        throw new MythosError("idempotency_conflict", `the id was registered for another request than ${hashText(x.request_hash)}`);
      }
    }
    if (!sameHash(x.previous_register, this.registerId) || number !== this.attempt) {
      misfit(`attempt ${number} does not follow the latest register; attempt ${this.attempt} is due`);
    }
    const attempt = { id, owner: x.owner, retry: x.retry ?? RETRY_NEVER };
    this.attempts.push(attempt);
    this.phase = "open";
    this.idemId = x.idem_id;
    this.toolId = x.tool_id;
    this.requestHash = x.request_hash;
    this.attempt++;
    this.registerId = id;
    this.owner = attempt.owner;
    this.retry = attempt.retry;
  }

  private attemptOf(id: Hash | undefined): Attempt | undefined {
    return id === undefined ? undefined : this.attempts.find((a) => equalHashes(a.id, id));
  }

  /** Applies a commit, new or stored, and says what becomes of it. */
  offer(raw: Uint8Array): Verdict {
    const { object: x, id } = decodeCommit(raw);
    if (this.phase === "absent") misfit("a commit of an id that was never registered");
    if (!equalHashes(x.idem_id, this.idemId!)) misfit(`a commit of id ${hashText(x.idem_id)} among the entries of another`);
    return this.addCommit(x, id, raw, this.signedByOwner(x, raw));
  }

  private signedByOwner(x: EffectCommit, raw: Uint8Array): boolean {
    const owner = this.attemptOf(x.register_id)?.owner;
    if (owner === undefined) return false;
    try {
      openCommit(raw, owner);
      return true;
    } catch (e) {
      if (e instanceof MythosError) return false;
      throw e;
    }
  }

  private addCommit(x: EffectCommit, id: Hash, raw: Uint8Array, signed: boolean): Verdict {
    const key = toHex(hashOf(raw));
    if (this.seen.has(key)) return "dropped";
    this.seen.add(key);
    const by = this.attemptOf(x.register_id);
    const sameCall = equalHashes(x.request_hash, this.requestHash!) && equalHashes(x.tool_id, this.toolId!);
    if (by === undefined || !signed || !sameCall) return "superseded";
    if (this.phase !== "divergent" && this.contradicts({ id, response: x.response_hash, by })) {
      this.phase = "divergent";
      return "diverged";
    }
    const pending = this.phase === "open" || this.phase === "in_doubt" || this.phase === "free";
    if (!pending || !equalBytes(by.id, this.registerId!)) return "superseded";
    this.phase = "committed";
    this.commit = x;
    this.commitRaw = raw;
    return "applied";
  }

  /** Compares c with every valid commit before it and keeps it (RFC-MYTHOS-0005 §6). */
  private contradicts(c: ValidCommit): boolean {
    const before = this.valid;
    this.valid = [...before, c];
    for (const old of before) {
      if (equalHashes(old.response, c.response)) continue;
      const sameRegister = equalHashes(old.by.id, c.by.id);
      if (!sameRegister && (old.by.retry !== RETRY_PURE || c.by.retry !== RETRY_PURE)) continue;
      this.contradiction = { reason: sameRegister ? REASON_COMMITS : REASON_RESPONSE, stood: old.id, other: c.id };
      return true;
    }
    return false;
  }

  /** Applies a mark. A request conflict never changes the state and is kept once. */
  addDivergence(x: DivergenceMark): Verdict {
    if (this.phase === "absent" || !equalHashes(x.idem_id, this.idemId!) || !equalHashes(x.tool_id, this.toolId!)) {
      misfit(`a mark of id ${hashText(x.idem_id)} on another, which is ${this.phase}`);
    }
    if (x.reason_code !== REASON_REQUEST) {
      this.phase = "divergent";
      return "applied";
    }
    if (this.marked) return "dropped";
    this.marked = true;
    return "superseded";
  }

  /**
   * Applies an opened resolution. byOperator: its signer holds that role; an
   * owner may only resolve its own latest register, as not invoked or in doubt.
   */
  addResolution(x: LedgerResolution, byOperator: boolean): void {
    this.checkResolution(x, byOperator);
    if (this.phase === "divergent") this.valid = []; // set aside: not compared with later commits
    if (x.outcome === OUTCOME_NOT_INVOKED) {
      this.phase = "free";
    } else if (x.outcome === OUTCOME_DOUBT) {
      this.phase = "in_doubt";
    } else {
      const stood = this.commit !== undefined && (x.receipt_id === undefined || equalHashes(x.receipt_id, this.commit.receipt_id));
      this.phase = stood ? "committed" : "settled";
    }
  }

  private checkResolution(x: LedgerResolution, byOperator: boolean): void {
    if (this.phase === "absent" || this.phase === "committed" || this.phase === "settled") {
      misfit(`a resolution of an id that is ${this.phase}`);
    }
    if (x.outcome < OUTCOME_COMMITTED || x.outcome > OUTCOME_DOUBT) misfit(`unknown outcome ${x.outcome}`);
    if (!equalHashes(x.idem_id, this.idemId!)) misfit(`a resolution of id ${hashText(x.idem_id)} among the entries of another`);
    if (!equalHashes(x.register_id, this.registerId!)) misfit(`a resolution of register ${hashText(x.register_id)}, which is not the latest`);
    const owner = sameAgent(x.signer, this.owner!) && x.outcome !== OUTCOME_COMMITTED;
    if (!byOperator && !owner) misfit("a resolution by neither an operator nor the register's owner");
    if (this.phase === "divergent" && !byOperator) misfit("only an operator resolves a divergence");
  }

  /**
   * Says what a call with requestHash may do. live: the latest register's lease
   * still stands; retry is the class of the module at hand, which must agree with
   * the recorded one before an effect in doubt is invoked again.
   */
  decide(requestHash: Hash, live: boolean, retry: number): Decision {
    if (this.phase !== "absent" && !equalHashes(this.requestHash!, requestHash)) {
      throw new MythosError("idempotency_conflict", `the key was used for request ${hashText(this.requestHash!)}`);
    }
    switch (this.phase) {
      case "absent":
      case "free":
        return "proceed";
      case "committed":
        return "replay";
      case "divergent":
        throw new MythosError("effect_divergent", "two commits of this id contradict each other");
      case "settled":
        throw new MythosError("effect_settled", "an operator settled this id without a response");
    }
    if (this.phase === "open" && live) return "wait";
    if (again(this.retry) && again(retry)) return "proceed";
    throw new MythosError("effect_in_doubt", "the latest register ended without a commit and its retry class forbids another try");
  }
}

/** Returns the state of one id from its records in log order. */
export function foldLedger(records: Iterable<LedgerRecord>): LedgerState {
  const s = new LedgerState();
  for (const rec of records) s.apply(rec);
  return s;
}
