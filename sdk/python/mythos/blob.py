"""Chunked blobs (RFC-MYTHOS-0004 §3): bytes cut into chunks of one size under
a Merkle tree, and the rule by which an artifact is named. The payloads of the
tree's nodes are::

    ChunkLeaf     {1: chunk_size, 2: LIST of {1: hash, 2: len}, 3: total_size}
    ChunkInternal {1: chunk_size, 2: children, 3: total_size, 4: chunk_count}

Every chunk but the last is exactly chunk_size bytes. So the root fixes the
whole tree; a reader that holds a root alone checks every node and chunk as it
comes and stops at the first wrong one. The empty blob has no tree: where a hash
is required it is named by the SHA-256 of no bytes.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from . import cid, merkle
from .cid import Hash
from .fault import fail
from .merkle import Content, Get, Put, Span, Subtree
from .structs import BlobRef, Chunk, ChunkInternal, ChunkLeaf

# Sizes in bytes (RFC-MYTHOS-0004 §7).
MIN_CHUNK_SIZE = 256 << 10
MAX_CHUNK_SIZE = 16 << 20
DEFAULT_CHUNK_SIZE = 4 << 20
MAX_SIZE = 1 << 40

FLAT_LIMIT = 4 << 20
"""The greatest size of an artifact that is one object (RFC-MYTHOS-0002 §6)."""


@dataclass(frozen=True)
class Tree:
    """A chunked blob; root is None if it is empty."""

    root: Hash | None
    size: int
    chunks: int
    chunk_size: int

    @property
    def cid(self) -> Hash:
        """The root, or the SHA-256 of no bytes for the empty blob."""
        return self.root or cid.sum(b"")


class Layout:
    """The form of chunk trees: what the root says about sizes decides what
    every other node must say (RFC-MYTHOS-0004 §4).
    """

    def __init__(self) -> None:
        self.chunk_size = self.size = self.chunks = 0

    def bytes_of(self, s: Span) -> int:
        """Return how many bytes the chunks of s hold."""
        end = min(s.end, self.chunks)
        if s.first >= end:
            return 0
        return min(end * self.chunk_size, self.size) - s.first * self.chunk_size

    def length(self, i: int) -> int:
        """Return the length of chunk i, 0 if there is none."""
        return self.bytes_of(Span(i, 1))

    def chunk(self, i: int, id: Hash) -> Chunk:
        return Chunk(hash=id, len=self.length(i))

    def open(self, kind: int, payload: bytes, at: Span | None) -> Content:
        if kind == merkle.CHUNK_LEAF:
            return self._open_leaf(merkle.decode_exact(ChunkLeaf, payload), at)
        if kind == merkle.CHUNK_INTERNAL:
            node = merkle.decode_exact(ChunkInternal, payload)
            self._check(node.chunk_size, node.total_size, node.chunk_count, at)
            return Content(False, node.chunk_count, node.children)
        fail("merkle_kind", f"a node of kind {kind} in a chunked blob")

    def _open_leaf(self, leaf: ChunkLeaf, at: Span | None) -> Content:
        self._check(leaf.chunk_size, leaf.total_size, len(leaf.chunks), at)
        first = at.first if at else 0
        for i, chunk in enumerate(leaf.chunks, first):
            if chunk.len != self.length(i):
                fail("merkle_shape", f"chunk {i} has {chunk.len} bytes, want {self.length(i)}")
        return Content(True, len(leaf.chunks), [chunk.hash for chunk in leaf.chunks])

    def _check(self, chunk_size: int, size: int, chunks: int, at: Span | None) -> None:
        """Hold a node's sizes against those that its place must have. The root
        has no place: there they must agree, and are remembered.
        """
        if at:
            want = self.bytes_of(at)
            if chunk_size != self.chunk_size or size != want:
                fail(
                    "merkle_shape",
                    f"chunks {at.first} to {at.end}: {size} bytes in chunks of {chunk_size}, want {want} of {self.chunk_size}",
                )
            return
        if chunk_size == 0 or size == 0 or size > MAX_SIZE or chunks != -(-size // chunk_size):
            fail("merkle_shape", f"a root of {size} bytes in {chunks} chunks of {chunk_size}")
        self.chunk_size, self.size, self.chunks = chunk_size, size, chunks

    def span(self, off: int, n: int) -> Span:
        """Return the chunks that hold the n > 0 bytes from off on."""
        if n <= 0 or off < 0 or off + n > self.size:
            fail("blob_range", f"{n} bytes from {off} on of a blob of {self.size}")
        first = off // self.chunk_size
        return Span(first, (off + n - 1) // self.chunk_size - first + 1)


class Builder:
    """Builds a chunked blob from chunks that come one by one. put, if given,
    gets every chunk and node, children before parents.
    """

    def __init__(self, chunk_size: int = DEFAULT_CHUNK_SIZE, put: Put | None = None) -> None:
        if not 1 <= chunk_size < 1 << 32:
            fail("blob_chunk_size", f"chunk size {chunk_size}")
        self._chunk_size = chunk_size
        self._put = put
        self._leaf: list[Chunk] = []
        self._layers = merkle.Layers(self._join)
        self._size = self._chunks = 0
        self._short = False  # the last chunk was short: the blob has ended

    def add(self, chunk: bytes) -> None:
        """Append a chunk of exactly the chunk size, or a shorter one, not
        empty, which ends the blob.
        """
        n = len(chunk)
        if n == 0 or n > self._chunk_size or self._short:
            fail("blob_chunk_size", f"chunk {self._chunks} has {n} bytes; all but the last have {self._chunk_size}")
        if self._size + n > MAX_SIZE:
            fail("blob_range", f"a blob has at most {MAX_SIZE} bytes")
        id = cid.sum(chunk)
        if self._put:
            self._put(id, chunk)
        self._short = n < self._chunk_size
        self._size += n
        self._chunks += 1
        self._leaf.append(Chunk(hash=id, len=n))
        if len(self._leaf) == merkle.FANOUT:
            self._layers.add(self._close_leaf())
            self._leaf.clear()

    def tree(self) -> Tree:
        """Return the tree over the chunks so far."""
        top = self._layers.root(self._close_leaf() if self._leaf else None)
        return Tree(top.id if top else None, self._size, self._chunks, self._chunk_size)

    def _close_leaf(self) -> Subtree:
        size = sum(c.len for c in self._leaf)
        body = ChunkLeaf(chunk_size=self._chunk_size, chunks=self._leaf, total_size=size).encode()
        return Subtree(self._emit(merkle.CHUNK_LEAF, body), len(self._leaf), size)

    def _join(self, children: list[Subtree]) -> Subtree:
        node = ChunkInternal(
            chunk_size=self._chunk_size,
            children=[c.id for c in children],
            total_size=sum(c.size for c in children),
            chunk_count=sum(c.count for c in children),
        )
        return Subtree(self._emit(merkle.CHUNK_INTERNAL, node.encode()), node.chunk_count, node.total_size)

    def _emit(self, kind: int, payload: bytes) -> Hash:
        id, raw = merkle.close_node(kind, payload)
        if self._put:
            self._put(id, raw)
        return id


def _stream(source: bytes | BinaryIO) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, (bytes, bytearray, memoryview)) else source


def tree_of(source: bytes | BinaryIO, chunk_size: int, put: Put | None = None) -> Tree:
    """Return the tree of everything in source for any chunk size of at least 1,
    as readers must who recompute what someone else has cut.
    """
    b = Builder(chunk_size, put)
    stream = _stream(source)
    while chunk := _read(stream, chunk_size):
        b.add(chunk)
    return b.tree()


def _read(stream: BinaryIO, n: int) -> bytes:
    """Read n bytes, fewer only at the end."""
    out = stream.read(n)
    while 0 < len(out) < n and (more := stream.read(n - len(out))):
        out += more
    return out


def write(source: bytes | BinaryIO, put: Put | None = None, chunk_size: int = DEFAULT_CHUNK_SIZE) -> Tree:
    """Cut everything in source into chunks of a size that writers may choose."""
    if not MIN_CHUNK_SIZE <= chunk_size <= MAX_CHUNK_SIZE:
        fail("blob_chunk_size", f"chunk size {chunk_size}, want {MIN_CHUNK_SIZE} to {MAX_CHUNK_SIZE}")
    return tree_of(source, chunk_size, put)


@dataclass(frozen=True)
class ArtifactID:
    """What names an artifact: its size says how cid was made."""

    cid: Hash
    size: int
    sha256: Hash

    @property
    def flat(self) -> bool:
        """Whether the artifact is one object."""
        return self.size <= FLAT_LIMIT

    @property
    def plausible(self) -> bool:
        """Whether cid and sha256 agree as the size asks, as far as they show."""
        return (self.cid == self.sha256) == self.flat


def artifact(source: bytes | BinaryIO, put: Put | None = None) -> ArtifactID:
    """Read source to its end and return the artifact's id; put gets its
    objects: one, or chunks and nodes.
    """
    stream = _stream(source)
    whole = hashlib.sha256()
    head = _read(stream, FLAT_LIMIT + 1)
    if len(head) <= FLAT_LIMIT:
        id = cid.sum(head)
        if put:
            put(id, head)
        return ArtifactID(id, len(head), id)
    b = Builder(FLAT_LIMIT, put)
    chunk, rest = head[:FLAT_LIMIT], head[FLAT_LIMIT:]
    while chunk:
        whole.update(chunk)
        b.add(chunk)
        chunk = rest + _read(stream, FLAT_LIMIT - len(rest))
        rest = b""
    t = b.tree()
    return ArtifactID(t.cid, t.size, Hash(whole.digest()))


class _Bounded(io.RawIOBase):
    """The first bytes of a stream."""

    def __init__(self, stream: BinaryIO, left: int) -> None:
        self._stream = stream
        self._left = left

    def read(self, n: int = -1) -> bytes:
        out = self._stream.read(self._left if n < 0 else min(n, self._left))
        self._left -= len(out)
        return out


def check_artifact(id: ArtifactID, source: bytes | BinaryIO) -> None:
    """Refuse a source, read to at most size + 1 bytes, that is not exactly the
    artifact: size, then SHA-256, then cid.
    """
    if id.size > MAX_SIZE:
        fail("blob_size", f"an artifact of {id.size} bytes, at most {MAX_SIZE}", subject=str(id.cid))
    bounded: object = _Bounded(_stream(source), id.size + 1)
    got = artifact(bounded)  # type: ignore[arg-type]
    if got.size > id.size:
        fail("blob_size", f"more than {id.size} bytes", subject=str(id.cid))
    if got.size < id.size:
        fail("blob_size", f"{got.size} bytes, want {id.size}", subject=str(id.cid))
    if got.sha256 != id.sha256:
        fail("blob_hash", f"the bytes' SHA-256 is {got.sha256}, want {id.sha256}", subject=str(id.cid))
    if got.cid != id.cid:
        fail("blob_hash", f"the bytes' id is {got.cid}", subject=str(id.cid))


def check_chunk(chunk: Chunk, raw: bytes) -> None:
    """Refuse bytes that are not those of the chunk."""
    if len(raw) != chunk.len:
        fail("blob_chunk", f"got {len(raw)} bytes, want {chunk.len}", subject=str(chunk.hash))
    got = cid.sum(raw)
    if got != chunk.hash:
        fail("blob_chunk", f"the chunk's bytes hash to {got}", subject=str(chunk.hash))


def decode_ref(raw: bytes) -> BlobRef:
    """Decode a BlobRef and check that its size and chunk count can belong
    together (RFC-MYTHOS-0002 §2.7).
    """
    x = BlobRef.decode(raw)
    check_ref(x)
    return x


def check_ref(x: BlobRef) -> None:
    """Refuse a size and a chunk count that cannot belong together."""
    if x.size > MAX_SIZE or x.chunks > x.size:
        fail("blob_size", f"{x.size} bytes in {x.chunks} chunks", subject=str(x.cid))
    if x.size == 0 and x.cid != cid.sum(b""):
        fail("blob_hash", "an empty blob is named by the hash of no bytes", subject=str(x.cid))


def read_ref(x: BlobRef, get: Get) -> Iterator[bytes]:
    """Yield the verified bytes of the blob that x names. The sizes that x
    states must be the tree's; one object has at most MAX_CHUNK_SIZE bytes.
    """
    check_ref(x)
    if x.chunks == 0:
        yield _read_flat(x, get)
        return
    v = Verifier(x.cid)
    v.give(get(x.cid, merkle.MAX_NODE))
    if (v.layout.size, v.layout.chunks) != (x.size, x.chunks):
        fail(
            "blob_size",
            f"{x.size} bytes in {x.chunks} chunks, the tree has {v.layout.size} in {v.layout.chunks}",
            subject=str(x.cid),
        )
    yield from _drain(v, get, 0, x.size)


def _read_flat(x: BlobRef, get: Get) -> bytes:
    if x.size > MAX_CHUNK_SIZE:
        fail("blob_size", f"{x.size} bytes in one object, at most {MAX_CHUNK_SIZE}", subject=str(x.cid))
    if x.size == 0:
        return b""
    raw = get(x.cid, x.size)
    if cid.sum(raw) != x.cid:
        fail("blob_hash", f"the bytes hash to {cid.sum(raw)}", subject=str(x.cid))
    if len(raw) != x.size:
        fail("blob_size", f"{len(raw)} bytes, want {x.size}", subject=str(x.cid))
    return raw


@dataclass(frozen=True)
class Want:
    """What a Verifier needs next: a node of at most limit bytes, or chunk
    number index of exactly that many.
    """

    id: Hash
    limit: int
    node: bool
    index: int


class Verifier:
    """Checks a blob from its root alone, in the order in which nodes and chunks
    stand in the tree (RFC-MYTHOS-0004 §6): it says what is due and accepts
    exactly that. What is refused changes nothing.
    """

    def __init__(self, root: Hash) -> None:
        self.layout = Layout()
        self._cursor = merkle.Cursor(self.layout, root)

    def want(self) -> Want | None:
        """Return what is due next, None when the range is complete."""
        w = self._cursor.want()
        if not w:
            return None
        if w.item:
            return Want(w.id, self.layout.length(w.index), False, w.index)
        return Want(w.id, merkle.MAX_NODE, True, w.index)

    def give(self, raw: bytes) -> None:
        """Accept the node or chunk that is due, or say what is wrong with it."""
        w = self.want()
        if not w or w.node:
            self._cursor.node(raw)
            return
        check_chunk(self.layout.chunk(w.index, w.id), raw)
        self._cursor.take()

    def skip(self) -> None:
        """Step over the chunk that is due without its bytes."""
        self._cursor.take()

    def seek(self, off: int, n: int) -> None:
        """Continue with the chunks that hold the n > 0 bytes from off on; the
        root must have been accepted.
        """
        self._cursor.seek(self.layout.span(off, n))


def read(root: Hash, get: Get, off: int = 0, n: int | None = None) -> Iterator[bytes]:
    """Yield the verified bytes of a blob, or n of them from off on; each piece
    is checked before it is yielded.
    """
    v = Verifier(root)
    v.give(get(root, merkle.MAX_NODE))
    n = v.layout.size - off if n is None else n
    if n == 0 and 0 <= off <= v.layout.size:
        return
    v.seek(off, n)
    yield from _drain(v, get, off % v.layout.chunk_size, n)


def _drain(v: Verifier, get: Get, skip: int, n: int) -> Iterator[bytes]:
    """Yield n bytes of what v wants, from number skip of the first chunk on."""
    while w := v.want():
        raw = get(w.id, w.limit)
        v.give(raw)
        if not w.node:
            piece = raw[skip : skip + n]
            n -= len(piece)
            skip = 0
            yield piece


@dataclass(frozen=True)
class Included:
    """What an inclusion proof has shown: the blob has exactly size bytes in
    chunks of chunk_size, and chunk is number index. The chunk's own bytes are
    still to be checked against it.
    """

    chunk: Chunk
    index: int
    size: int
    chunk_size: int


def prove(root: Hash, get: Get, index: int) -> bytes:
    """Make the inclusion proof of a chunk (RFC-MYTHOS-0004 §5.1)."""
    return merkle.prove(root, get, index, Layout())


def check(root: Hash, proof: bytes) -> Included:
    """Verify an inclusion proof against a root."""
    form = Layout()
    found = merkle.check(root, proof, form)
    return Included(form.chunk(found.index, found.id), found.index, form.size, form.chunk_size)


def prove_range(root: Hash, get: Get, off: int, n: int) -> bytes:
    """Make the range proof of the chunks that hold the n > 0 bytes from off on
    (RFC-MYTHOS-0004 §5.2).
    """
    v = Verifier(root)
    v.give(get(root, merkle.MAX_NODE))
    return merkle.prove_range(root, get, v.layout.span(off, n), Layout())


@dataclass(frozen=True)
class Slice:
    """What a range proof has shown: which chunks hold the bytes of a range.
    The chunks' own bytes are still to be checked.
    """

    size: int
    chunk_size: int
    first: int
    chunks: list[Chunk]


def check_range(root: Hash, off: int, n: int, proof: bytes) -> Slice:
    """Verify a range proof, which must be that of exactly the n > 0 bytes from
    off on, against a root.
    """
    form = Layout()
    found = merkle.check_range(root, proof, form)
    s = form.span(off, n)
    if s != Span(found.first, len(found.ids)):
        fail(
            "merkle_proof",
            f"a proof of {len(found.ids)} chunks from {found.first} on, want {s.count} from {s.first} on",
            subject=str(root),
        )
    chunks = [form.chunk(i, id) for i, id in enumerate(found.ids, found.first)]
    return Slice(form.size, form.chunk_size, found.first, chunks)
