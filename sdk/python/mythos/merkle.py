"""Merkle lists and the trees beneath them (RFC-MYTHOS-0004). A node is::

    MerkleNode {1: version = 1, 2: kind, 3: payload BYTES}     id = SHA-256 of it

with the kinds 1 MerkleListLeaf {1: values}, 2 MerkleListInternal {1: children,
2: count}, 3 ChunkLeaf and 4 ChunkInternal (module blob). Items are grouped by
1024 into leaves, leaves by 1024 into internal nodes and so on; a last group of
one node is passed up unchanged. So the shape of a tree follows from its number
of items alone: readers derive it and refuse every other one. The empty list
has no node.

Nothing here does I/O: nodes come from a Get, go to a Put, or are handed to a
Cursor, which says what it wants and checks what it gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from . import can, cid
from .cid import Hash
from .fault import fail
from .structs import MerkleListInternal, MerkleListLeaf, MerkleNode, MerkleProof, MerkleRangeProof, MerkleStep

LIST_LEAF, LIST_INTERNAL, CHUNK_LEAF, CHUNK_INTERNAL = 1, 2, 3, 4

# Limits of every tree and of proofs from outside (RFC-MYTHOS-0004 §7).
FANOUT = 1024
MAX_COUNT = 1 << 40
MAX_HEIGHT = 4
MAX_NODE = 64 * 1024
MAX_PROOF = MAX_HEIGHT * MAX_NODE + 256
MAX_RANGE_PROOF = 16 << 20

Get = Callable[[Hash, int], bytes]
"""Returns the bytes stored under an id, at most that many; they need not be
verified yet."""

Put = Callable[[Hash, bytes], None]
"""Stores bytes, whose hash is the id."""

T = TypeVar("T", bound=can.Struct)


def close_node(kind: int, payload: bytes) -> tuple[Hash, bytes]:
    """Wrap a payload; return the node's id and bytes."""
    raw = MerkleNode(version=1, kind=kind, payload=payload).encode()
    return cid.sum(raw), raw


def open_node(id: Hash, raw: bytes) -> tuple[int, bytes]:
    """Return kind and payload of the node raw, which must have the given id."""
    if len(raw) > MAX_NODE:
        fail("merkle_shape", f"a node of {len(raw)} bytes, at most {MAX_NODE}", subject=str(id))
    got = cid.sum(raw)
    if got != id:
        fail("merkle_hash", f"the node's bytes hash to {got}", subject=str(id))
    node = decode_node(raw)
    return node.kind, node.payload


def decode_node(raw: bytes) -> MerkleNode:
    """Decode a node whose id is not known."""
    if len(raw) > MAX_NODE:
        fail("merkle_shape", f"a node of {len(raw)} bytes, at most {MAX_NODE}")
    node = decode_exact(MerkleNode, raw)
    if node.version != 1:
        fail("merkle_version", f"node version {node.version}, want 1")
    if not LIST_LEAF <= node.kind <= CHUNK_INTERNAL:
        fail("merkle_kind", f"node kind {node.kind}, want 1 to 4")
    return node


def decode_exact(kind: type[T], raw: bytes) -> T:
    """Decode raw and refuse bytes other than those that the result encodes to:
    an unknown field would give one input a second root (RFC-MYTHOS-0004 §1).
    """
    x = kind.decode(raw)
    if x.encode() != raw:
        fail("merkle_shape", "the node has a field that its version does not have")
    return x


@dataclass(frozen=True)
class Span:
    """A run of items: count of them, from number first on."""

    first: int
    count: int

    @property
    def end(self) -> int:
        """The number of the item after the last."""
        return self.first + self.count

    def children(self) -> int:
        """Return how many items or children the node over this span has."""
        w = width(self.count)
        return (self.count + w - 1) // w

    def child(self, i: int) -> Span:
        """Return what stands under child i of the node over this span."""
        w = width(self.count)
        return Span(self.first + i * w, min(w, self.count - i * w))


def width(n: int) -> int:
    """Return how many items stand under each child but the last of the node
    over n items; 1 for a leaf (RFC-MYTHOS-0004 §4).
    """
    w = 1
    while n > w * FANOUT:
        w *= FANOUT
    return w


@dataclass(frozen=True)
class Subtree:
    """A finished node as its parent sees it; size is 0 where bytes do not count."""

    id: Hash
    count: int
    size: int = 0


class Layers:
    """Builds the internal nodes over leaves that come in order, all but the
    last full, holding at most 1024 nodes of each layer.
    """

    def __init__(self, join: Callable[[list[Subtree]], Subtree]) -> None:
        self._join = join
        self._rows: list[list[Subtree]] = []

    def add(self, node: Subtree) -> None:
        """Add the next full leaf."""
        for row in self._rows:
            row.append(node)
            if len(row) < FANOUT:
                return
            node = self._join(row)
            row.clear()
        self._rows.append([node])

    def root(self, last: Subtree | None) -> Subtree | None:
        """Return the root over the leaves so far and a last one that may be
        less than full; None without any leaf.
        """
        carry = last
        for row in self._rows:
            group = [*row, carry] if carry else row
            if len(group) > 1:
                carry = self._join(group)
            elif group:
                carry = group[0]  # a group of one is passed up unchanged
        return carry


class Builder:
    """Builds a list from values that come one by one. put, if given, gets every
    node, children before parents.
    """

    def __init__(self, put: Put | None = None) -> None:
        self._put = put
        self._values: list[Hash] = []
        self._layers = Layers(self._join)
        self.count = 0

    def add(self, value: Hash) -> None:
        """Append a value."""
        if self.count == MAX_COUNT:
            fail("merkle_range", f"a list has at most {MAX_COUNT} values")
        self.count += 1
        self._values.append(value)
        if len(self._values) == FANOUT:
            self._layers.add(self._leaf())
            self._values.clear()

    def root(self) -> Hash | None:
        """Return the root of the list so far, None if it is empty."""
        top = self._layers.root(self._leaf() if self._values else None)
        return top.id if top else None

    def _leaf(self) -> Subtree:
        body = MerkleListLeaf(values=self._values).encode()
        return Subtree(self._emit(LIST_LEAF, body), len(self._values))

    def _join(self, children: list[Subtree]) -> Subtree:
        count = sum(c.count for c in children)
        body = MerkleListInternal(children=[c.id for c in children], count=count).encode()
        return Subtree(self._emit(LIST_INTERNAL, body), count)

    def _emit(self, kind: int, payload: bytes) -> Hash:
        id, raw = close_node(kind, payload)
        if self._put:
            self._put(id, raw)
        return id


def root(values: Iterable[Hash]) -> Hash | None:
    """Return the root of the list of values, None if there are none."""
    b = Builder()
    for v in values:
        b.add(v)
    return b.root()


@dataclass(frozen=True)
class Content:
    """What one node says; ids are the children, or the items of a leaf."""

    leaf: bool
    count: int
    ids: list[Hash]


class Form(Protocol):
    """Decodes the nodes of one kind of tree. It is used for one tree only and
    may remember what the root says.
    """

    def open(self, kind: int, payload: bytes, at: Span | None) -> Content:
        """Decode a payload and check all but its count and its number of
        children; at is the span that the node must cover, None for the root.
        """
        ...


class ListForm:
    """The form of lists (RFC-MYTHOS-0004 §2)."""

    def open(self, kind: int, payload: bytes, at: Span | None) -> Content:
        if kind == LIST_LEAF:
            leaf = decode_exact(MerkleListLeaf, payload)
            return Content(True, len(leaf.values), leaf.values)
        if kind == LIST_INTERNAL:
            node = decode_exact(MerkleListInternal, payload)
            return Content(False, node.count, node.children)
        fail("merkle_kind", f"a node of kind {kind} in a list")


@dataclass(frozen=True)
class _Branch:
    """A checked node: its span and what it names."""

    span: Span
    ids: list[Hash]

    @property
    def leaf(self) -> bool:
        return self.span.count <= FANOUT


def _open_branch(form: Form, id: Hash, raw: bytes, at: Span | None) -> _Branch:
    """Open the node raw and hold it against the one shape its place can have."""
    kind, payload = open_node(id, raw)
    c = form.open(kind, payload, at)
    if not 1 <= c.count <= MAX_COUNT:
        fail("merkle_shape", f"a node over {c.count} items, want 1 to {MAX_COUNT}", subject=str(id))
    if at and c.count != at.count:
        fail("merkle_shape", f"a node over {c.count} items where {at.count} are due", subject=str(id))
    if c.leaf != (c.count <= FANOUT):
        fail("merkle_shape", f"{c.count} items in a node of kind {kind}", subject=str(id))
    span = Span(at.first if at else 0, c.count)
    if len(c.ids) != span.children():
        fail("merkle_shape", f"a node over {c.count} items with {len(c.ids)} children", subject=str(id))
    return _Branch(span, c.ids)


@dataclass(frozen=True)
class Want:
    """What a Cursor needs next: a node, or an item to be taken. index is the
    item's number, or that of the first one under the node.
    """

    id: Hash
    item: bool
    index: int


class Cursor:
    """Walks a tree in depth-first order, from a root alone: it says which node
    it needs, checks the one that it is given, and yields the items between
    (RFC-MYTHOS-0004 §6). A node that is refused changes nothing.
    """

    def __init__(self, form: Form, root: Hash) -> None:
        self._form = form
        self._root = root
        self._path: list[_Branch] = []
        self._top: _Branch | None = None
        self._next = 0
        self._end = 0

    @property
    def count(self) -> int:
        """The number of items of the tree, 0 before the root was accepted."""
        return self._top.span.count if self._top else 0

    def seek(self, span: Span) -> None:
        """Continue with the items of span; the root must have been accepted."""
        if not self._top:
            fail("merkle_range", "the root is not known yet")
        if span.count <= 0 or span.first < 0 or span.end > self.count:
            fail("merkle_range", f"items {span.first} to {span.end} of a tree of {self.count}", subject=str(self._root))
        if not self._path:
            self._path.append(self._top)
        self._next, self._end = span.first, span.end
        while len(self._path) > 1 and not self._path[-1].span.first <= self._next < self._path[-1].span.end:
            self._path.pop()

    def want(self) -> Want | None:
        """Return what is needed next, None when every item was taken."""
        if not self._top:
            return Want(self._root, False, 0)
        if self._next == self._end:
            return None
        b = self._path[-1]
        return Want(b.ids[self.position()], b.leaf, self._next)

    def position(self) -> int:
        """Return which child of the last accepted node holds the next item."""
        span = self._path[-1].span
        return (self._next - span.first) // width(span.count)

    def node(self, raw: bytes) -> None:
        """Accept the node that is wanted, or say why not."""
        w = self.want()
        if not w or w.item:
            fail("merkle_proof", "a node where none is due", subject=str(self._root))
        at = self._path[-1].span.child(self.position()) if self._top else None
        b = _open_branch(self._form, w.id, raw, at)
        self._path.append(b)
        if not self._top:
            self._top, self._end = b, b.span.count

    def take(self) -> None:
        """Step over the item that is wanted."""
        w = self.want()
        if not w or not w.item:
            fail("merkle_proof", "an item where none is due", subject=str(self._root))
        self._next += 1
        while self._path and self._next >= self._path[-1].span.end:
            self._path.pop()


def values(root: Hash | None, get: Get, span: Span | None = None) -> Iterator[Hash]:
    """Yield the values of a list, or those of a span, each verified first."""
    if root is None:
        if span and (span.first or span.count):
            fail("merkle_range", f"items {span.first} to {span.end} of an empty list")
        return
    c = Cursor(ListForm(), root)
    c.node(get(root, MAX_NODE))
    c.seek(span or Span(0, c.count))
    while w := c.want():
        if w.item:
            yield w.id
            c.take()
        else:
            c.node(get(w.id, MAX_NODE))


@dataclass(frozen=True)
class Included:
    """What an inclusion proof has shown: the tree has exactly count items and
    id is number index.
    """

    id: Hash
    index: int
    count: int


def prove(root: Hash, get: Get, index: int, form: Form | None = None) -> bytes:
    """Make the inclusion proof of item index (RFC-MYTHOS-0004 §5.1)."""
    c = Cursor(form or ListForm(), root)
    steps: list[MerkleStep] = []
    while (w := c.want()) and not w.item:
        raw = get(w.id, MAX_NODE)
        c.node(raw)
        if not steps:
            c.seek(Span(index, 1))
        steps.insert(0, MerkleStep(node=raw, position=c.position()))
    return MerkleProof(leaf=steps[0].node, position=steps[0].position, parents=steps[1:]).encode()


def check(root: Hash, proof: bytes, form: Form | None = None) -> Included:
    """Verify an inclusion proof against a root, which alone is believed."""
    form = form or ListForm()
    p = decode_proof(proof)
    steps = [*reversed(p.parents), MerkleStep(node=p.leaf, position=p.position)]
    want, at, count = root, None, 0
    for i, step in enumerate(steps):
        b = _open_branch(form, want, step.node, at)
        if b.leaf != (i == len(steps) - 1):
            fail("merkle_proof", f"{len(steps)} nodes from the root to an item, want another number", subject=str(root))
        if step.position >= len(b.ids):
            fail("merkle_proof", f"position {step.position} in a node of {len(b.ids)}", subject=str(root))
        count = count or b.span.count
        want = b.ids[step.position]
        at = b.span.child(step.position)
    assert at is not None  # there is at least the leaf
    return Included(want, at.first, count)


def decode_proof(raw: bytes) -> MerkleProof:
    """Decode an inclusion proof and check its limits, nothing else."""
    if len(raw) > MAX_PROOF:
        fail("merkle_proof", f"a proof of {len(raw)} bytes, at most {MAX_PROOF}")
    p = MerkleProof.decode(raw)
    if len(p.parents) >= MAX_HEIGHT:
        fail("merkle_proof", f"a proof with {len(p.parents)} parents, at most {MAX_HEIGHT - 1}")
    return p


@dataclass(frozen=True)
class IncludedRange:
    """What a range proof has shown: the tree has exactly count items and ids
    are those from number first on.
    """

    ids: list[Hash]
    first: int
    count: int


def prove_range(root: Hash, get: Get, span: Span, form: Form | None = None) -> bytes:
    """Make the range proof of the items of span (RFC-MYTHOS-0004 §5.2)."""
    c = Cursor(form or ListForm(), root)
    nodes: list[bytes] = []
    size = 64  # what stands around the nodes
    while w := c.want():
        if w.item:
            c.take()
            continue
        raw = get(w.id, MAX_NODE)
        c.node(raw)
        nodes.append(raw)
        size += len(raw) + 5
        if size > MAX_RANGE_PROOF:
            fail("merkle_range", f"the proof of {span.count} items exceeds {MAX_RANGE_PROOF} bytes", subject=str(root))
        if len(nodes) == 1:
            c.seek(span)
    return MerkleRangeProof(first=span.first, count=span.count, nodes=nodes).encode()


def check_range(root: Hash, proof: bytes, form: Form | None = None) -> IncludedRange:
    """Verify a range proof against a root."""
    p = decode_range_proof(proof)
    c = Cursor(form or ListForm(), root)
    ids: list[Hash] = []
    used = 0
    while w := c.want():
        if w.item:
            ids.append(w.id)
            c.take()
            continue
        if used == len(p.nodes):
            fail("merkle_proof", f"the proof ends before item {w.index}", subject=str(root))
        c.node(p.nodes[used])
        if used == 0:
            c.seek(Span(p.first, p.count))
        used += 1
    if used < len(p.nodes):
        fail("merkle_proof", f"{len(p.nodes) - used} nodes too many", subject=str(root))
    return IncludedRange(ids, p.first, c.count)


def decode_range_proof(raw: bytes) -> MerkleRangeProof:
    """Decode a range proof and check its limits, nothing else."""
    if len(raw) > MAX_RANGE_PROOF:
        fail("merkle_proof", f"a proof of {len(raw)} bytes, at most {MAX_RANGE_PROOF}")
    return MerkleRangeProof.decode(raw)
