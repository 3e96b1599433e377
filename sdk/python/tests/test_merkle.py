"""Merkle lists and chunked blobs: RFC-MYTHOS-0004."""

from __future__ import annotations

import io

from mythos import blob, can, cid, merkle, structs
from mythos.cid import Hash
from mythos.merkle import Span

from .support import Case, digest, unhex


def number(i: int) -> Hash:
    """Return value number i of the published lists."""
    return cid.sum(i.to_bytes(8, "big"))


class Store:
    """Keeps objects and counts what is read."""

    def __init__(self) -> None:
        self.objects: dict[Hash, bytes] = {}

    def put(self, id: Hash, raw: bytes) -> None:
        self.objects[id] = bytes(raw)

    def get(self, id: Hash, limit: int) -> bytes:
        assert len(self.objects[id]) <= limit
        return self.objects[id]


def build(n: int) -> tuple[Hash, Store]:
    store = Store()
    b = merkle.Builder(store.put)
    for i in range(n):
        b.add(number(i))
    root = b.root()
    assert root is not None
    return root, store


class Lists(Case):
    def test_published_roots(self) -> None:
        for n, root, size in (
            (1, "f7926cff799fef6f5dec319c054cc36fb708e5fdbd2cec40b30859590e89405b", 62),
            (1024, "399ec11bf5e45f2184ffb0d6d2f65c2dabe13fb77cd60e0ef804b1ee789ccd3e", 43031),
            (1025, "0886d928f93585d7c4bd1085caaf01a1c24273bcee1d1eebcd1366bd6dd68dc9", 109),
            (2048, "e3cdf4e4270b88cbccc1af54701f31322975cc35b36ceb023cdcf02b88256dc5", 109),
        ):
            got, store = build(n)
            self.assertEqual((got.hex(), len(store.objects[got])), (root, size))
            self.assertEqual(merkle.root(map(number, range(n))), got)
        three = merkle.root(cid.sum(bytes([i])) for i in range(3))
        self.assertEqual(three, digest("3a150c58e6015019576c40e117423658f0cf01f8c3ad524dd8866a73b9b7edd5"))
        self.assertIsNone(merkle.root([]))

    def test_a_node_that_is_passed_up(self) -> None:
        # The layers of 1,048,577 values, without hashing each: 1024 full leaves
        # beside the leaf of the last value, which was passed up once.
        def join(children: list[merkle.Subtree]) -> merkle.Subtree:
            count = sum(c.count for c in children)
            node = structs.MerkleListInternal(children=[c.id for c in children], count=count)
            return merkle.Subtree(merkle.close_node(merkle.LIST_INTERNAL, node.encode())[0], count)

        layers = merkle.Layers(join)
        full = merkle.Subtree(number(0), 1024)
        for _ in range(1024):
            layers.add(full)
        last = merkle.Subtree(number(1), 1)
        got = layers.root(last)
        self.assertEqual(got, join([join([full] * 1024), last]))
        self.assertEqual(layers.root(None), join([full] * 1024))

    def test_shapes(self) -> None:
        self.assertEqual(
            [merkle.width(n) for n in (1, 1024, 1025, 1 << 20, (1 << 20) + 1, 1 << 40)], [1, 1, 1024, 1024, 1 << 20, 1 << 30]
        )
        self.assertEqual([Span(0, n).children() for n in (2049, 1048576, 1049601)], [3, 1024, 2])
        self.assertEqual(Span(0, 1049601).child(1), Span(1 << 20, 1025))

    def test_published_proof(self) -> None:
        root, store = build(1025)
        proof = merkle.prove(root, store.get, 1024)
        self.assertEqual(len(proof), 218)
        self.assertTrue(proof.startswith(unhex("08 04 03 01 06 13") + b"mythos.merkle.proof" + unhex("03 02 05 3e")))
        self.assertEqual(merkle.check(root, proof), merkle.Included(number(1024), 1024, 1025))

    def test_every_proof_shows_its_item(self) -> None:
        root, store = build(2050)
        for i in (0, 1, 1023, 1024, 2047, 2048, 2049):
            proof = merkle.prove(root, store.get, i)
            self.assertEqual(merkle.check(root, proof), merkle.Included(number(i), i, 2050))
        self.refused("merkle_range", merkle.prove, root, store.get, 2050)
        for first, count in ((0, 1), (0, 2050), (1000, 100), (1023, 2), (2048, 2), (1024, 1024)):
            proof = merkle.prove_range(root, store.get, Span(first, count))
            found = merkle.check_range(root, proof)
            self.assertEqual(found, merkle.IncludedRange([number(i) for i in range(first, first + count)], first, 2050))
            self.assertEqual(list(merkle.values(root, store.get, Span(first, count))), found.ids)
        for first, count in ((0, 0), (0, 2051), (2050, 1)):
            self.refused("merkle_range", merkle.prove_range, root, store.get, Span(first, count))
        self.assertEqual(list(merkle.values(None, store.get)), [])

    def test_altered_proofs(self) -> None:
        root, store = build(1025)
        good = structs.MerkleProof.decode(merkle.prove(root, store.get, 1024))
        other = structs.MerkleProof.decode(merkle.prove(root, store.get, 0))

        def edit(**fields: object) -> bytes:
            x = structs.MerkleProof.decode(good.encode())
            for name, v in fields.items():
                setattr(x, name, v)
            return x.encode()

        self.refused("merkle_proof", merkle.check, root, edit(position=1))
        self.refused("merkle_hash", merkle.check, root, edit(leaf=other.leaf))
        self.refused("merkle_hash", merkle.check, root, edit(parents=[]))
        self.refused("merkle_proof", merkle.check, root, edit(parents=good.parents * 4))
        self.refused("merkle_hash", merkle.check, root, edit(parents=good.parents * 2))
        self.refused("merkle_hash", merkle.check, root, edit(parents=[structs.MerkleStep(node=good.parents[0].node, position=0)]))
        self.refused("merkle_proof", merkle.check, root, edit(leaf=good.parents[0].node, parents=[]))
        leaf = cid.sum(good.leaf)
        self.refused(
            "merkle_proof", merkle.check, leaf, edit(leaf=good.leaf, parents=[structs.MerkleStep(node=good.leaf, position=0)])
        )
        self.refused("merkle_hash", merkle.check, number(5), good.encode())
        self.refused("merkle_proof", merkle.check, root, bytes(merkle.MAX_PROOF + 1))
        self.refused("can_truncated", merkle.check, root, good.encode()[:-1], offset=216)

    def test_altered_range_proofs(self) -> None:
        root, store = build(2049)
        good = structs.MerkleRangeProof.decode(merkle.prove_range(root, store.get, Span(1000, 100)))

        def nodes(list_: list[bytes], first: int = 1000, count: int = 100) -> bytes:
            return structs.MerkleRangeProof(first=first, count=count, nodes=list_).encode()

        self.assertEqual(len(good.nodes), 3)
        self.refused("merkle_proof", merkle.check_range, root, nodes(good.nodes[:-1]))
        self.refused("merkle_proof", merkle.check_range, root, nodes([*good.nodes, good.nodes[-1]]))
        self.refused("merkle_hash", merkle.check_range, root, nodes([good.nodes[0], good.nodes[2], good.nodes[1]]))
        self.refused("merkle_proof", merkle.check_range, root, nodes([]))
        self.refused("merkle_range", merkle.check_range, root, nodes(good.nodes, count=0))
        self.refused("merkle_range", merkle.check_range, root, nodes(good.nodes, first=2000))
        self.refused("merkle_range", merkle.check_range, root, nodes(good.nodes, first=2**64 - 1, count=2**64 - 1))
        self.refused("merkle_hash", merkle.check_range, root, nodes(good.nodes, first=1024, count=10))
        self.refused("merkle_proof", merkle.check_range, root, bytes(merkle.MAX_RANGE_PROOF + 1))

    def test_wrong_nodes(self) -> None:
        def refuse(code: str, kind: int, payload: bytes, version: int = 1) -> None:
            raw = structs.MerkleNode(version=version, kind=kind, payload=payload).encode()
            proof = structs.MerkleProof(leaf=raw, position=0).encode()
            self.refused(code, merkle.check, cid.sum(raw), proof)

        leaf = structs.MerkleListLeaf(values=[number(0)]).encode()
        refuse("merkle_version", 1, leaf, version=2)
        refuse("merkle_kind", 5, leaf)
        refuse("merkle_kind", 3, leaf)
        refuse("merkle_shape", 1, structs.MerkleListLeaf(values=[]).encode())
        refuse("merkle_shape", 1, structs.MerkleListLeaf(values=[number(0)] * 1025).encode())
        refuse("merkle_shape", 1, b"\x08\x02" + leaf[2:] + b"\x03\x02\x00")  # an unknown field
        refuse("merkle_shape", 2, structs.MerkleListInternal(children=[number(0)] * 2, count=1024).encode())
        refuse("merkle_shape", 2, structs.MerkleListInternal(children=[number(0)] * 3, count=1025).encode())
        refuse("merkle_shape", 2, structs.MerkleListInternal(children=[number(0)] * 2, count=(1 << 40) + 1).encode())
        refuse("merkle_shape", 2, structs.MerkleListInternal(children=[], count=0).encode())
        refuse("can_missing", 2, leaf)
        refuse("merkle_shape", 1, bytes(merkle.MAX_NODE))


class Blobs(Case):
    def test_published_trees(self) -> None:
        tree = blob.tree_of(b"abcdefghij", 4)
        self.assertEqual((tree.size, tree.chunks), (10, 3))
        self.assertEqual(tree.cid, digest("e46a1faf3c7497d50d869f87f9aee8d2f1f4b196cc7b84a2c4965e8db2b70c27"))
        tree = blob.tree_of(bytes(i % 251 for i in range(1025)), 1)
        self.assertEqual(tree.cid, digest("044ed1cdd14306bedde0ac9c665d00890ac0c87f9e907224153cbf5d0cd2ed99"))
        self.assertEqual(blob.tree_of(b"", 4).cid, digest("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))
        self.assertIsNone(blob.tree_of(b"", 4).root)

    def test_streams_are_cut_alike(self) -> None:
        class Dripping(io.BytesIO):
            def read(self, n: int | None = -1) -> bytes:
                return super().read(min(n or 1, 3))

        data = bytes(range(200))
        self.assertEqual(blob.tree_of(Dripping(data), 7), blob.tree_of(data, 7))

    def test_writers_choose_sizes(self) -> None:
        for size in (0, blob.MIN_CHUNK_SIZE - 1, blob.MAX_CHUNK_SIZE + 1):
            self.refused("blob_chunk_size", blob.write, b"x", chunk_size=size)
        self.assertEqual(blob.write(b"x").chunk_size, 4 << 20)
        self.refused("blob_chunk_size", blob.tree_of, b"x", 0)
        b = blob.Builder(4)
        b.add(b"abc")
        self.refused("blob_chunk_size", b.add, b"abcd")
        self.refused("blob_chunk_size", blob.Builder(4).add, b"abcde")
        self.refused("blob_chunk_size", blob.Builder(4).add, b"")

    def setUp(self) -> None:
        self.store = Store()
        self.data = bytes(i * 7 % 256 for i in range(3 * 1025 + 1))
        self.tree = blob.tree_of(self.data, 3, self.store.put)
        self.root = self.tree.cid

    def test_reads_what_was_written(self) -> None:
        self.assertEqual(b"".join(blob.read(self.root, self.store.get)), self.data)
        for off, n in ((0, 1), (2, 2), (3071, 5), (3075, 1), (0, 0), (3076, 0)):
            self.assertEqual(b"".join(blob.read(self.root, self.store.get, off, n)), self.data[off : off + n])
        for off, n in ((3076, 1), (0, 3077), (-1, 2)):
            self.refused("blob_range", lambda: list(blob.read(self.root, self.store.get, off, n)))

    def test_stops_at_the_first_wrong_chunk(self) -> None:
        chunk = cid.sum(self.data[6:9])
        for wrong in (b"xyz", b"xy", b""):
            self.store.objects[chunk] = wrong
            got: list[bytes] = []
            self.refused("blob_chunk", lambda: got.extend(blob.read(self.root, self.store.get, 0, 9)))
            self.assertEqual(b"".join(got), self.data[:6])

    def test_verifier(self) -> None:
        v = blob.Verifier(self.root)
        w = v.want()
        assert w is not None
        self.assertEqual((w.id, w.node, w.limit), (self.root, True, merkle.MAX_NODE))
        self.refused("merkle_hash", v.give, b"x")
        v.give(self.store.objects[self.root])
        self.assertEqual((v.layout.size, v.layout.chunks, v.layout.chunk_size), (3076, 1026, 3))
        v.seek(3075, 1)
        while (w := v.want()) and w.node:
            v.give(self.store.objects[w.id])
        assert w is not None
        self.assertEqual((w.index, w.limit), (1025, 1))
        v.skip()
        self.assertIsNone(v.want())
        self.refused("merkle_proof", v.give, b"x")

    def test_proofs(self) -> None:
        for i in (0, 1023, 1024, 1025):
            found = blob.check(self.root, blob.prove(self.root, self.store.get, i))
            self.assertEqual((found.index, found.size, found.chunk_size), (i, 3076, 3))
            blob.check_chunk(found.chunk, self.data[3 * i : 3 * i + 3])
            self.refused("blob_chunk", blob.check_chunk, found.chunk, bytes(c ^ 1 for c in self.data[3 * i : 3 * i + 3]))
            self.refused("blob_chunk", blob.check_chunk, found.chunk, self.data[3 * i : 3 * i + 3] + b"\0")
        proof = blob.prove_range(self.root, self.store.get, 3070, 6)
        s = blob.check_range(self.root, 3070, 6, proof)
        self.assertEqual((s.first, [c.len for c in s.chunks]), (1023, [3, 3, 1]))
        self.assertEqual(blob.check_range(self.root, 3069, 7, proof).chunks, s.chunks)
        self.refused("merkle_proof", blob.check_range, self.root, 3068, 7, proof)
        self.refused("blob_range", blob.check_range, self.root, 3070, 7, proof)
        self.refused("merkle_kind", merkle.check, self.root, blob.prove(self.root, self.store.get, 0))

    def test_wrong_sizes(self) -> None:
        def refuse(code: str, leaf: structs.ChunkLeaf) -> None:
            id, raw = merkle.close_node(merkle.CHUNK_LEAF, leaf.encode())
            self.refused(code, blob.check, id, structs.MerkleProof(leaf=raw, position=0).encode())

        def leaf(size: int, total: int, *lengths: int) -> structs.ChunkLeaf:
            chunks = [structs.Chunk(hash=number(n), len=n) for n in lengths]
            return structs.ChunkLeaf(chunk_size=size, chunks=chunks, total_size=total)

        refuse("merkle_shape", leaf(0, 4, 4))
        refuse("merkle_shape", leaf(4, 0))
        refuse("merkle_shape", leaf(4, 9, 4, 4))
        refuse("merkle_shape", leaf(4, 8, 4, 3))
        refuse("merkle_shape", leaf(4, 7, 3, 4))
        refuse("merkle_shape", leaf(4, 4, 4, 0))
        refuse("merkle_shape", leaf(4, (1 << 40) + 1, 4))

    def test_artifacts(self) -> None:
        small = blob.artifact(b"content")
        self.assertEqual((small.cid, small.size, small.flat), (cid.sum(b"content"), 7, True))
        large = bytes(5 << 20)
        got = blob.artifact(io.BytesIO(large))
        self.assertEqual((got.sha256, got.size, got.flat), (cid.sum(large), 5 << 20, False))
        self.assertEqual(got.cid, blob.tree_of(large, 4 << 20).cid)
        self.assertEqual(blob.artifact(bytes(4 << 20)).cid, cid.sum(bytes(4 << 20)))
        blob.check_artifact(got, large)
        blob.check_artifact(small, io.BytesIO(b"content"))
        self.refused("blob_size", blob.check_artifact, small, b"content+")
        self.refused("blob_size", blob.check_artifact, small, b"conten")
        self.refused("blob_hash", blob.check_artifact, small, b"CONTENT")
        self.refused("blob_hash", blob.check_artifact, blob.ArtifactID(number(1), got.size, got.sha256), large)
        self.refused("blob_size", blob.check_artifact, blob.ArtifactID(number(1), (1 << 40) + 1, number(1)), b"")

    def test_refs(self) -> None:
        def ref(id: Hash, size: int, chunks: int) -> bytes:
            return structs.BlobRef(cid=id, size=size, media="text/plain", codec=0, chunks=chunks).encode()

        blob.decode_ref(ref(number(1), 10, 10))
        blob.decode_ref(ref(cid.sum(b""), 0, 0))
        self.refused("blob_size", blob.decode_ref, ref(number(1), 10, 11))
        self.refused("blob_size", blob.decode_ref, ref(number(1), (1 << 40) + 1, 1))
        self.refused("blob_hash", blob.decode_ref, ref(number(1), 0, 0))


class Nodes(Case):
    def test_published_node(self) -> None:
        raw = structs.MerkleNode(version=1, kind=1, payload=structs.MerkleListLeaf(values=[number(0)]).encode()).encode()
        self.assertEqual(raw[:13], unhex("08 03  03 01 03 01  03 02 03 01  03 03 05"))
        self.assertEqual(merkle.open_node(cid.sum(raw), raw)[0], 1)
        can.check(raw)
