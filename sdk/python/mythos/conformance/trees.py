"""The ops of the suites merkle and blob."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import BinaryIO

from .. import blob, cid, merkle
from ..blob import ArtifactID
from ..cid import Hash
from ..fault import fail
from ..merkle import Get
from ..structs import Chunk
from .values import BadInput, Input, Op, Output, Unsupported, digest, number, octets

MAX_FORMULA = 1 << 21
"""How many values a formula may ask for."""


def _formula(seed: bytes, count: int) -> Iterator[Hash]:
    return (cid.sum(seed + i.to_bytes(8, "big")) for i in range(count))


def _merkle_root(x: Input) -> Output:
    nodes = 0

    def put(id: Hash, raw: bytes) -> None:
        nonlocal nodes
        nodes += 1

    b = merkle.Builder(put)
    values: Iterator[Hash] = map(digest, x.get("values") or ())
    if "formula" in x:
        count = number(x["formula"]["count"])
        if count > MAX_FORMULA or "values" in x:
            raise BadInput(f"want values, or a formula of at most {MAX_FORMULA}")
        values = _formula(octets(x["formula"]["seed"]), count)
    for v in values:
        b.add(v)
    root = b.root()
    return {"nodes": nodes} | ({"root": str(root)} if root is not None else {})


def _merkle_verify(x: Input) -> Output:
    found = merkle.check(digest(x["root"]), octets(x["proof"]))
    return {"value": str(found.id), "index": str(found.index), "count": str(found.count)}


def _merkle_range(x: Input) -> Output:
    found = merkle.check_range(digest(x["root"]), octets(x["proof"]))
    return {"values": [str(v) for v in found.ids], "first": str(found.first), "count": str(found.count)}


def _payload(x: Input) -> bytes:
    if ("hex" in x) == ("formula" in x):
        raise BadInput("want hex or a formula")
    if "hex" in x:
        return octets(x["hex"])
    size = number(x["formula"]["size"])
    if size > 64 << 20:
        raise BadInput(f"a formula of {size} bytes")
    return b"".join(_formula(octets(x["formula"]["seed"]), -(-size // 32)))[:size]


def _blob_root(x: Input) -> Output:
    data = _payload(x)
    return _tree(blob.tree_of(data, x["chunk_size"]), data)


def _blob_write(x: Input) -> Output:
    data = _payload(x)
    return _tree(blob.write(data, chunk_size=x["chunk_size"] or blob.DEFAULT_CHUNK_SIZE), data)


def _tree(tree: blob.Tree, data: bytes) -> Output:
    out: Output = {"chunks": str(tree.chunks), "flat": "sha256:" + hashlib.sha256(data).hexdigest()}
    return out | ({"root": str(tree.root)} if tree.root is not None else {})


def _chunk(c: Chunk) -> Output:
    return {"hash": str(c.hash), "len": c.len}


def _blob_verify(x: Input) -> Output:
    found = blob.check(digest(x["root"]), octets(x["proof"]))
    if "chunk" in x:
        blob.check_chunk(found.chunk, octets(x["chunk"]))
    return {"chunk": _chunk(found.chunk), "index": str(found.index), "size": str(found.size), "chunk_size": found.chunk_size}


def _blob_range(x: Input) -> Output:
    s = blob.check_range(digest(x["root"]), number(x["offset"]), number(x["length"]), octets(x["proof"]))
    return {"chunks": [_chunk(c) for c in s.chunks], "first": str(s.first), "size": str(s.size), "chunk_size": s.chunk_size}


def _blob_stream(x: Input) -> Output:
    v = blob.Verifier(digest(x["root"]))
    got = bytearray()
    start, size = 0, None
    for i, part in enumerate(map(octets, x["parts"])):
        w = v.want()
        v.give(part)
        if w and not w.node:
            got += part
        if i == 0 and "length" in x:
            off, size = number(x.get("offset", 0)), number(x["length"])
            v.seek(off, size)
            start = off % v.layout.chunk_size
    due = v.want()
    if due:
        fail("merkle_proof", f"the stream ends before {due.id}")
    return {"bytes": (got if size is None else got[start : start + size]).hex()}


def _answers(parts: list[object]) -> Get:
    """Return a source that answers with one part after another."""
    left = iter([octets(p) for p in parts])

    def get(id: Hash, limit: int) -> bytes:
        part = next(left, None)
        if part is None:
            fail("merkle_proof", f"the source ends before {id}")
        return part

    return get


def _blob_ref(x: Input) -> Output:
    ref = blob.decode_ref(octets(x["hex"]))
    out: Output = {"cid": str(ref.cid), "size": str(ref.size), "codec": ref.codec, "chunks": ref.chunks}
    if "parts" in x:
        out["bytes"] = b"".join(blob.read_ref(ref, _answers(x["parts"]))).hex()
    return out


def _blob_artifact(x: Input) -> Output:
    if "parts" in x:
        raise Unsupported  # this package has no reader of artifacts from a source
    data: BinaryIO = io.BytesIO(_payload(x))
    if "is" in x:
        said = x["is"]
        id = ArtifactID(digest(said["cid"]), number(said["size"]), digest(said["sha256"]))
        blob.check_artifact(id, data)
    else:
        id = blob.artifact(data)
    return {"cid": str(id.cid), "size": str(id.size), "sha256": str(id.sha256)}


OPS: dict[str, Op] = {
    "merkle.root": _merkle_root,
    "merkle.verify": _merkle_verify,
    "merkle.range": _merkle_range,
    "blob.root": _blob_root,
    "blob.write": _blob_write,
    "blob.verify": _blob_verify,
    "blob.range": _blob_range,
    "blob.stream": _blob_stream,
    "blob.ref": _blob_ref,
    "blob.artifact": _blob_artifact,
}
