"""The pack that was published with v0.2."""

from __future__ import annotations

from mythos import blob, cid, codebook, receipt, sig, structs, value, wire
from mythos.value import Map, UVarint

from .support import Case, digest, folder, read_json


class Published(Case):
    def setUp(self) -> None:
        self.pack = folder(self, "MYTHOS_CTVP_V02", "the vectors published with v0.2")
        self.vectors = {v["id"]: v for v in read_json(self.pack / "manifest.json")["vectors"]}

    def file(self, vector: str, name: str) -> bytes:
        return (self.pack / self.vectors[vector]["files"][name]).read_bytes()

    def test_every_vector_is_checked(self) -> None:
        want = {"CAN_001", "CAN_002", "CAN_003", "BLOB_001", "RECEIPT_001", "CODEBOOK_001", "WIRE_001"}
        self.assertEqual(set(self.vectors), want)

    def test_integrity(self) -> None:
        sums = list(self.pack.glob("vectors/*/*.sha256"))
        self.assertGreaterEqual(len(sums), 7)
        for path in sums:
            self.assertEqual(path.read_text().split()[0], cid.sum(path.with_suffix("").read_bytes()).hex(), path.name)

    def test_can(self) -> None:
        agent = structs.AgentID(scheme=1, key=sig.Key(bytes([1]) * 32).agent.key, hint="ctvp")
        for vector, want in (
            ("CAN_001", cid.ZERO.encode()),
            ("CAN_002", agent.encode()),
            ("CAN_003", value.encode(Map.of({"b": UVarint(2), "a": UVarint(1)}))),
        ):
            raw = self.file(vector, "bin")
            self.assertEqual((raw, cid.sum(raw).hex()), (want, self.vectors[vector]["expected"]["sha256_of_bin"]))
            self.assertEqual(value.encode(value.decode(raw)), raw)

    def test_blob(self) -> None:
        payload, node = self.file("BLOB_001", "payload_bin"), self.file("BLOB_001", "rootnode_bin")
        chunks = read_json(self.pack / self.vectors["BLOB_001"]["files"]["chunks_json"])
        objects: dict[cid.Hash, bytes] = {}
        tree = blob.tree_of(payload, chunks["chunk_size"], lambda id, raw: objects.update({id: raw}))
        self.assertEqual((tree.cid.hex(), tree.chunks), (self.vectors["BLOB_001"]["expected"]["root_cid"], 3))
        self.assertEqual(objects[tree.cid], node)
        self.assertEqual(
            [c["chunk_hash"] for c in chunks["chunks"]], [cid.sum(payload[i : i + 4096]).hex() for i in (0, 4096, 8192)]
        )
        self.assertEqual(b"".join(blob.read(tree.cid, lambda id, limit: objects[id])), payload)

    def test_receipt(self) -> None:
        raw = self.file("RECEIPT_001", "bin")
        x, id = receipt.open(raw)
        want = read_json(self.pack / self.vectors["RECEIPT_001"]["files"]["json"])
        self.assertEqual((id.hex(), x.encode()), (want["receipt_id"], raw))
        self.assertEqual((x.signer.key.hex(), x.status, x.time_observed), (want["signer_pub"], want["status"], want["time_us"]))
        self.assertEqual((x.idempotency_key.hex(), x.signature.sig_bytes.hex()), (want["idempotency_key"], want["signature"]))

    def test_codebook(self) -> None:
        entries, id = codebook.decode(self.file("CODEBOOK_001", "entries_bin"))
        self.assertEqual((len(entries), id.hex()), (541, self.vectors["CODEBOOK_001"]["expected"]["codebook_id"]))
        self.assertEqual((entries, id), (codebook.baseline(), codebook.baseline_id()))

    def test_wire(self) -> None:
        raw = self.file("WIRE_001", "packet_bin")
        p = wire.parse(raw)
        about = read_json(self.pack / self.vectors["WIRE_001"]["files"]["description_json"])
        self.assertEqual((p.encode(), cid.sum(raw).hex()), (raw, self.vectors["WIRE_001"]["expected"]["packet_sha256"]))
        self.assertEqual((p.codec, p.codebook), (about["codec_id"], digest(about["codebook_id"])))
        self.assertEqual(cid.sum(p.bundle()).hex(), about["payload_sha256"])
        # Its one signature is empty: shown as unsigned, and never as verified.
        self.assertEqual(([state for _, state in p.verify()], p.signers()), (["unsigned"], []))
        # And its bundle is one that is shown and not accepted: a constant of it
        # does not follow RFC-MYTHOS-0002.
        self.assertEqual(value.encode(value.decode(p.bundle())), p.bundle())
        self.refused("can_type", structs.IRBundle.decode, p.bundle(), offset=136)
