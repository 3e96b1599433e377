/**
 * A walk over a tree from its root alone, in depth-first order
 * (RFC-MYTHOS-0004 §6).
 */

import { type Hash, hashText } from "../cid.js";
import { MythosError } from "../fault.js";
import { type Branch, type Form, type Span, childOf, endOf, isLeaf, openBranch, widthOf } from "./shape.js";

/** What a Cursor needs next. */
export interface Want {
  readonly id: Hash;
  /** An item, to be taken with take; otherwise a node, to be given to node. */
  readonly item: boolean;
  /** The item's number, or that of the first one under the node. */
  readonly index: number;
}

/**
 * Says which node it needs, checks the one that it is given, and yields the
 * items between. It holds one node of each level. A node that is refused changes
 * nothing, so that a copy from elsewhere may be tried.
 */
export class Cursor {
  private path: Branch[] = []; // from the root down; the last one holds item next
  private next = 0;
  private end = 0;
  private top: Branch | undefined; // the root, once accepted
  private readonly form: Form;
  private readonly root: Hash;

  constructor(form: Form, root: Hash) {
    this.form = form;
    this.root = root;
  }

  /** The number of items of the whole tree, 0 before the root was accepted. */
  get count(): number {
    return this.top?.count ?? 0;
  }

  /** Continues with the given items, of which there must be one at least. */
  seek(first: bigint, count: bigint): void {
    if (this.top === undefined) throw new MythosError("merkle_range", "the root is not known yet");
    const n = BigInt(this.top.count);
    if (first < 0n || count <= 0n || first > n || count > n - first) {
      throw new MythosError("merkle_range", `${hashText(this.root)}: items ${first} to ${first + count} of a tree of ${n}`);
    }
    if (this.path.length === 0) this.path.push(this.top);
    this.next = Number(first);
    this.end = Number(first + count);
    while (this.path.length > 1 && !this.within(this.path[this.path.length - 1]!)) this.path.pop();
  }

  private within(b: Branch): boolean {
    return this.next >= b.first && this.next < endOf(b);
  }

  /** Returns what is needed next, undefined when every item was taken. */
  want(): Want | undefined {
    if (this.top === undefined) return { id: this.root, item: false, index: 0 };
    if (this.next === this.end) return undefined;
    const b = this.path[this.path.length - 1]!;
    return { id: b.ids[this.position()]!, item: isLeaf(b), index: this.next };
  }

  /** Which child of the last node on the path holds the next item. */
  position(): number {
    const b = this.path[this.path.length - 1]!;
    return Math.floor((this.next - b.first) / widthOf(b.count));
  }

  /** Accepts the node that is wanted, or throws why not. */
  node(raw: Uint8Array): void {
    const w = this.want();
    if (w === undefined || w.item) throw new MythosError("merkle_proof", `${hashText(this.root)}: a node where none is due`);
    let at: Span | undefined;
    if (this.top !== undefined) at = childOf(this.path[this.path.length - 1]!, this.position());
    const b = openBranch(this.form, w.id, raw, at);
    this.path.push(b);
    if (this.top === undefined) {
      this.top = b;
      this.end = b.count;
    }
  }

  /** Steps over the item that is wanted. */
  take(): void {
    const w = this.want();
    if (w === undefined || !w.item) throw new MythosError("merkle_proof", `${hashText(this.root)}: an item where none is due`);
    this.next++;
    while (this.path.length > 0 && this.next >= endOf(this.path[this.path.length - 1]!)) this.path.pop();
  }
}
