/**
 * The shape of a tree, which follows from its number of items alone
 * (RFC-MYTHOS-0004 §4): over n <= 1024 items stands a leaf; otherwise, with w
 * the greatest power of 1024 below n, an internal node over parts of w items and
 * a last part of the rest.
 */

import { type Hash, hashText } from "../cid.js";
import { MythosError } from "../fault.js";
import { MerkleListInternal, MerkleListLeaf } from "../gen/merkle.js";
import { FANOUT, LIST_INTERNAL, LIST_LEAF, MAX_COUNT, decodeExact, openNode } from "./node.js";

/** A run of items: count of them, from number first on. */
export interface Span {
  readonly first: number;
  readonly count: number;
}

/** Returns the number of the item after the last. */
export function endOf(s: Span): number {
  return s.first + s.count;
}

/** Returns how many items stand under each child but the last of the node over n items. */
export function widthOf(n: number): number {
  let w = 1;
  while (n > w * FANOUT) w *= FANOUT;
  return w;
}

/** Returns what stands under child i of the node over s. */
export function childOf(s: Span, i: number): Span {
  const w = widthOf(s.count);
  return { first: s.first + i * w, count: Math.min(w, s.count - i * w) };
}

/** What one node says. */
export interface Content {
  readonly leaf: boolean;
  /** Items in the subtree. */
  readonly count: bigint;
  /** The children, or the items of a leaf. */
  readonly ids: readonly Hash[];
}

/** Decodes the nodes of one kind of tree; it may remember what the root says. */
export interface Form {
  /**
   * Decodes a payload and checks everything about it but its count and its
   * number of children. at is the span that the node must cover, undefined for
   * the root, of which nothing is known.
   */
  open(kind: number, payload: Uint8Array, at: Span | undefined): Content;
}

/** A checked node: its span and what it names. */
export interface Branch extends Span {
  readonly ids: readonly Hash[];
}

/** Reports whether b's ids are items. */
export function isLeaf(b: Branch): boolean {
  return b.count <= FANOUT;
}

/** Opens the node raw at a place in a tree and holds it against the one shape that the place can have. */
export function openBranch(form: Form, id: Hash, raw: Uint8Array, at: Span | undefined): Branch {
  const node = openNode(id, raw);
  const c = form.open(node.kind, node.payload, at);
  const wrong = (why: string): never => {
    throw new MythosError("merkle_shape", `${hashText(id)}: ${why}`);
  };
  if (c.count === 0n || c.count > BigInt(MAX_COUNT)) wrong(`a node over ${c.count} items, want 1 to ${MAX_COUNT}`);
  const count = Number(c.count);
  if (at !== undefined && count !== at.count) wrong(`a node over ${count} items where ${at.count} are due`);
  if (c.leaf !== count <= FANOUT) wrong(`${count} items in a node of kind ${node.kind}`);
  const children = Math.ceil(count / widthOf(count));
  if (c.ids.length !== children) wrong(`a node over ${count} items with ${c.ids.length} children, want ${children}`);
  return { first: at?.first ?? 0, count, ids: c.ids };
}

/** The form of lists (RFC-MYTHOS-0004 §2). */
export const listForm: Form = {
  open(kind, payload) {
    if (kind === LIST_LEAF) {
      const { values } = decodeExact(MerkleListLeaf, payload);
      return { leaf: true, count: BigInt(values.length), ids: values };
    }
    if (kind === LIST_INTERNAL) {
      const { children, count } = decodeExact(MerkleListInternal, payload);
      return { leaf: false, count, ids: children };
    }
    throw new MythosError("merkle_kind", `a node of kind ${kind} in a list`);
  },
};
