/** Building trees (RFC-MYTHOS-0004 §2). */

import { type Hash } from "../cid.js";
import { MythosError } from "../fault.js";
import { MerkleListInternal, MerkleListLeaf } from "../gen/merkle.js";
import { FANOUT, LIST_INTERNAL, LIST_LEAF, MAX_COUNT, type Put, closeNode } from "./node.js";

/** A finished node as its parent sees it. */
export interface Subtree {
  readonly id: Hash;
  /** Items. */
  readonly count: number;
  /** Bytes, in trees that count them. */
  readonly size: number;
}

/**
 * Builds the internal nodes of a tree from its leaves, which come in order,
 * holding at most 1024 nodes of each layer. All leaves but the last are full.
 */
export class Layers {
  private readonly rows: Subtree[][] = [];
  private readonly join: (children: Subtree[]) => Subtree;

  /** join makes one internal node of 2 to 1024 children; it must not keep the array. */
  constructor(join: (children: Subtree[]) => Subtree) {
    this.join = join;
  }

  /** Adds the next full leaf. */
  add(s: Subtree): void {
    for (let i = 0; ; i++) {
      const row = (this.rows[i] ??= []);
      row.push(s);
      if (row.length < FANOUT) return;
      s = this.join(row);
      row.length = 0;
    }
  }

  /**
   * Returns the root over the leaves so far and a last one that may be less than
   * full; undefined if there is none at all. It changes nothing.
   */
  root(last: Subtree | undefined): Subtree | undefined {
    let carry = last;
    for (const row of this.rows) {
      const group = carry === undefined ? row : [...row, carry];
      if (group.length === 1) carry = group[0]!; // passed up unchanged
      else if (group.length > 1) carry = this.join(group);
    }
    return carry;
  }
}

/**
 * Builds a list from values that come one by one and hands every node to put,
 * children before parents.
 */
export class ListBuilder {
  private values: Hash[] = [];
  private total = 0;
  private readonly put: Put | undefined;
  private readonly layers = new Layers((children) => this.join(children));

  /** Without put the root alone is computed. */
  constructor(put?: Put) {
    this.put = put;
  }

  /** How many values were added. */
  get count(): number {
    return this.total;
  }

  /** Appends a value. */
  add(v: Hash): void {
    if (this.total === MAX_COUNT) throw new MythosError("merkle_range", `a list has at most ${MAX_COUNT} values`);
    this.total++;
    this.values.push(v);
    if (this.values.length < FANOUT) return;
    this.layers.add(this.leaf());
    this.values = [];
  }

  /** Returns the root of the list so far, undefined if it is empty. */
  root(): Hash | undefined {
    return this.layers.root(this.values.length > 0 ? this.leaf() : undefined)?.id;
  }

  private leaf(): Subtree {
    const id = this.emit(LIST_LEAF, MerkleListLeaf.encode({ values: this.values }));
    return { id, count: this.values.length, size: 0 };
  }

  private join(children: Subtree[]): Subtree {
    const count = children.reduce((n, c) => n + c.count, 0);
    const payload = MerkleListInternal.encode({ children: children.map((c) => c.id), count: BigInt(count) });
    return { id: this.emit(LIST_INTERNAL, payload), count, size: 0 };
  }

  private emit(kind: number, payload: Uint8Array): Hash {
    const { id, raw } = closeNode(kind, payload);
    this.put?.(id, raw);
    return id;
  }
}

/** Returns the root of the list of values, undefined if there are none. */
export function listRoot(values: Iterable<Hash>, put?: Put): Hash | undefined {
  const b = new ListBuilder(put);
  for (const v of values) b.add(v);
  return b.root();
}
