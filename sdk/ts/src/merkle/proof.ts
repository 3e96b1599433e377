/** Inclusion and range proofs (RFC-MYTHOS-0004 §5). */

import { type Hash, hashText } from "../cid.js";
import { MythosError } from "../fault.js";
import { MerkleProof, MerkleRangeProof, type MerkleStep } from "../gen/merkle.js";
import { Cursor, type Want } from "./cursor.js";
import { type Get, MAX_HEIGHT, MAX_NODE } from "./node.js";
import { type Form, type Span, childOf, isLeaf, listForm, openBranch } from "./shape.js";

/** Bytes of an inclusion proof, at most. */
export const MAX_PROOF = MAX_HEIGHT * MAX_NODE + 256;
/** Bytes of a range proof, at most; longer ranges take several. */
export const MAX_RANGE_PROOF = 16 * 1024 * 1024;

/** What an inclusion proof has shown: the tree has exactly count items and id is number index. */
export interface Included {
  readonly id: Hash;
  readonly index: number;
  readonly count: number;
}

/** What a range proof has shown: the tree has exactly count items and ids are those from number first on. */
export interface IncludedRange {
  readonly ids: readonly Hash[];
  readonly first: number;
  readonly count: number;
}

/** Makes the inclusion proof of item index in the tree under root, reading the nodes on its path. */
export function proveIn(form: Form, root: Hash, get: Get, index: number): Uint8Array {
  const c = new Cursor(form, root);
  const steps: MerkleStep[] = []; // from the root down
  for (let w = c.want(); w !== undefined && !w.item; w = c.want()) {
    const node = get(w.id, MAX_NODE);
    c.node(node);
    if (steps.length === 0) c.seek(itemNumber(index), 1n);
    steps.push({ node, position: c.position() });
  }
  const [leaf, ...parents] = steps.reverse();
  return MerkleProof.encode({ leaf: leaf!.node, position: leaf!.position, parents });
}

/** Turns a number of items into a bigint; one that is none is merkle_range. */
export function itemNumber(n: number): bigint {
  if (!Number.isSafeInteger(n) || n < 0) throw new MythosError("merkle_range", `${n} is no number of an item`);
  return BigInt(n);
}

/** Verifies an inclusion proof. It believes nothing but the root: every position must lead to the node that follows. */
export function checkIn(form: Form, root: Hash, proof: Uint8Array): Included {
  const p = decodeProof(proof);
  const steps = [{ node: p.leaf, position: p.position }, ...(p.parents ?? [])].reverse();
  const wrong = (why: string): never => {
    throw new MythosError("merkle_proof", `${hashText(root)}: ${why}`);
  };
  let at: Span | undefined;
  let id = root;
  let count = 0;
  steps.forEach((s, i) => {
    const b = openBranch(form, id, s.node, at);
    if (isLeaf(b) !== (i === steps.length - 1)) wrong(`${steps.length} nodes from the root to an item, want another number`);
    if (s.position >= b.ids.length) wrong(`position ${s.position} in a node of ${b.ids.length}`);
    if (i === 0) count = b.count;
    id = b.ids[s.position]!;
    at = childOf(b, s.position);
  });
  return { id, index: at!.first, count };
}

/** Decodes an inclusion proof and checks its limits, nothing else. */
export function decodeProof(raw: Uint8Array): MerkleProof {
  if (raw.length > MAX_PROOF) throw new MythosError("merkle_proof", `a proof of ${raw.length} bytes, at most ${MAX_PROOF}`);
  const p = MerkleProof.decode(raw);
  const parents = p.parents?.length ?? 0;
  if (parents >= MAX_HEIGHT) throw new MythosError("merkle_proof", `a proof with ${parents} parents, at most ${MAX_HEIGHT - 1}`);
  return p;
}

/** Decodes a range proof and checks its limits, nothing else. */
export function decodeRangeProof(raw: Uint8Array): MerkleRangeProof {
  if (raw.length > MAX_RANGE_PROOF) {
    throw new MythosError("merkle_proof", `a proof of ${raw.length} bytes, at most ${MAX_RANGE_PROOF}`);
  }
  return MerkleRangeProof.decode(raw);
}

/** Makes the range proof of the items of s in the tree under root. */
export function proveRangeIn(form: Form, root: Hash, get: Get, s: Span): Uint8Array {
  const c = new Cursor(form, root);
  const first = itemNumber(s.first);
  const count = itemNumber(s.count);
  const nodes: Uint8Array[] = [];
  let size = 64; // what stands around the nodes
  drain(c, (w) => {
    const raw = get(w.id, MAX_NODE);
    c.node(raw);
    size += raw.length + 5;
    if (size > MAX_RANGE_PROOF) {
      throw new MythosError("merkle_range", `${hashText(root)}: the proof of ${s.count} items exceeds ${MAX_RANGE_PROOF} bytes`);
    }
    nodes.push(raw);
    if (nodes.length === 1) c.seek(first, count);
  });
  return MerkleRangeProof.encode({ first, count, nodes });
}

/** Verifies a range proof. */
export function checkRangeIn(form: Form, root: Hash, proof: Uint8Array): IncludedRange {
  const p = decodeRangeProof(proof);
  const c = new Cursor(form, root);
  const ids: Hash[] = [];
  let used = 0;
  const give = (w: Want): void => {
    const node = p.nodes[used];
    if (node === undefined) throw new MythosError("merkle_proof", `${hashText(root)}: the proof ends before item ${w.index}`);
    c.node(node);
    if (used === 0) c.seek(p.first, p.count);
    used++;
  };
  drain(c, give, (id) => ids.push(id));
  if (used !== p.nodes.length) {
    throw new MythosError("merkle_proof", `${hashText(root)}: ${p.nodes.length - used} nodes too many`);
  }
  return { ids, first: Number(p.first), count: c.count };
}

/** Walks c to its end: node supplies each node, item gets each item. */
function drain(c: Cursor, node: (w: Want) => void, item?: (id: Hash) => void): void {
  for (let w = c.want(); w !== undefined; w = c.want()) {
    if (w.item) {
      item?.(w.id);
      c.take();
    } else {
      node(w);
    }
  }
}

/** Makes the inclusion proof of value index in the list under root. */
export const proveListItem = (root: Hash, get: Get, index: number): Uint8Array => proveIn(listForm, root, get, index);

/** Makes the range proof of values of the list under root. */
export const proveListRange = (root: Hash, get: Get, s: Span): Uint8Array => proveRangeIn(listForm, root, get, s);

/** Verifies an inclusion proof in a list. */
export const checkListItem = (root: Hash, proof: Uint8Array): Included => checkIn(listForm, root, proof);

/** Verifies a range proof in a list. */
export const checkListRange = (root: Hash, proof: Uint8Array): IncludedRange => checkRangeIn(listForm, root, proof);
