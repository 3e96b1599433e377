/** Decoded scopes and the order on them (RFC-MYTHOS-0008 §5). */

import { MythosError } from "../fault.js";
import type { CapScope, ToolCallScope } from "../gen/caps.js";
import { type Breach, type Constraint, constraintsWithin, parseConstraints } from "./constraint.js";
import { type Rule, ruleOf } from "./rules.js";

export const KIND_TOOL_CALL = 5;

/** A decoded scope payload. */
export interface Scope {
  readonly rule: Rule<unknown>;
  readonly power: unknown;
  /** Of a ToolCall: the parsed constraints, or why they hold for nothing. */
  readonly constraints: readonly Constraint[] | Breach;
}

const beyond = (field: string, why: string): Breach => ({ code: "cap_scope", field, why });

/** Reports whether constraints were refused. */
export function isBreach(x: readonly Constraint[] | Breach): x is Breach {
  return !Array.isArray(x);
}

/**
 * Strictly decodes the payload of a kind. Constraints outside the vocabulary do
 * not fail it: they deny later, with their own code.
 */
export function decodeScope(kind: number, payload: Uint8Array): Scope {
  const rule = ruleOf(kind);
  if (rule === undefined) throw new MythosError("cap_kind_unknown", `kind ${kind} is not known and grants nothing`);
  const power = rule.codec.decode(payload);
  const m = kind === KIND_TOOL_CALL ? (power as ToolCallScope).constraints : undefined;
  return { rule, power, constraints: parseConstraints(m ?? new Map()) };
}

function unsound(s: Scope): Breach | undefined {
  const why = s.rule.sound(s.power);
  return why === "" ? undefined : beyond("", why);
}

/** Says why child is no subset of parent, constraints apart. */
export function scopeWithin(child: Scope, parent: Scope): Breach | undefined {
  if (child.rule.kind !== parent.rule.kind) return beyond("kind", `kind ${child.rule.name}, not ${parent.rule.name}`);
  const b = unsound(parent) ?? unsound(child);
  if (b !== undefined) return b;
  for (const row of child.rule.rows) {
    const why = row.wider(parent.power, child.power);
    if (why !== "") return beyond(row.name, why);
  }
  return undefined;
}

/** Says why the constraints of child are no subset of parent's. */
export function scopeConstrained(child: Scope, parent: Scope): Breach | undefined {
  if (isBreach(parent.constraints)) return parent.constraints;
  if (isBreach(child.constraints)) return child.constraints;
  return constraintsWithin(child.constraints, parent.constraints);
}

function refuse(b: Breach | undefined): void {
  if (b !== undefined) throw new MythosError(b.code, b.why);
}

/**
 * Throws unless the child scope is a subset of the parent scope, both canonical
 * payloads of kind. Codes: cap_scope, cap_constraint, cap_kind_unknown, and those
 * of a decoder.
 */
export function checkCovers(kind: number, parent: Uint8Array, child: Uint8Array): void {
  const p = decodeScope(kind, parent);
  const c = decodeScope(kind, child);
  refuse(scopeWithin(c, p) ?? scopeConstrained(c, p));
}

/** Throws unless a scope is known, decodes strictly and means something: what must hold before anyone signs it. */
export function checkScope(s: CapScope): void {
  const x = decodeScope(s.kind, s.payload);
  refuse(unsound(x));
  if (isBreach(x.constraints)) refuse(x.constraints);
}
