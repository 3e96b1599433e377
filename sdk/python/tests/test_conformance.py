"""The adapter, and the project's own vectors through it."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from mythos import blob, cid, codebook, manifest, merkle, sig, structs, value
from mythos.conformance.__main__ import OPS, answer

from . import test_caps, test_ledger, test_manifest, test_merkle
from .support import REPOSITORY, Case, key, missing, named, read_json
from .test_sig import ATTESTATION


def equal(want: object, got: object) -> bool:
    """Compare JSON values; True is not 1."""
    return json.dumps(want, sort_keys=True) == json.dumps(got, sort_keys=True)


def judge(expect: dict[str, Any], reply: dict[str, Any]) -> str:
    """Return what is wrong with an answer, "" if nothing is."""
    if reply["ok"]:
        if "output" not in expect:
            return f"accepted, want {expect['error']}"
        wrong = [name for name, want in expect["output"].items() if not equal(want, reply["output"].get(name))]
        return f"{wrong[0]} is {reply['output'].get(wrong[0])!r}, want {expect['output'][wrong[0]]!r}" if wrong else ""
    if reply["error"] != expect.get("error") or reply.get("offset") != expect.get("offset", reply.get("offset")):
        return f"{reply['error']} at {reply.get('offset')}, want {expect.get('error', 'output')} at {expect.get('offset')}"
    return ""


def with_files(given: Any, files: dict[str, Path]) -> Any:
    """Replace {"$file": NAME} by the file's hexadecimal digits."""
    if isinstance(given, list):
        return [with_files(x, files) for x in given]
    if not isinstance(given, dict):
        return given
    if set(given) == {"$file"}:
        return files[given["$file"]].read_bytes().hex()
    return {name: with_files(x, files) for name, x in given.items()}


class Adapter(Case):
    def run_adapter(self, *requests: dict[str, Any]) -> list[dict[str, Any]]:
        text = "".join(json.dumps(r) + "\n" for r in requests)
        done = subprocess.run(
            [sys.executable, "-m", "mythos.conformance"], input=text, capture_output=True, text=True, check=True,
            cwd=Path(__file__).resolve().parents[1], timeout=60,
        )  # fmt: skip
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_protocol(self) -> None:
        hello, good, bad, unknown = self.run_adapter(
            {"id": "hello", "op": "hello", "input": {"schema": "mythos.ctvp.impl/1"}},
            {"id": "a", "op": "can.decode", "input": {"hex": "0802060161030106016203ffffffffffffffffff01"}},
            {"id": "b", "op": "can.decode", "input": {"hex": "07010302ff"}},
            {"id": "c", "op": "no.such", "input": {}},
        )
        self.assertEqual((hello["output"]["name"], hello["output"]["ops"]), ("mythos-python", sorted(OPS)))
        self.assertEqual(good["output"]["json"], {"a": 1, "b": {"$u64": "18446744073709551615"}})
        self.assertEqual(bad, {"id": "b", "ok": False, "error": "can_trailing", "offset": 4})
        self.assertEqual(unknown, {"id": "c", "unsupported": True})

    def ask(self, op: str, **given: Any) -> dict[str, Any]:
        return answer({"id": "x", "op": op, "input": given})

    def test_a_wrong_vector_is_no_verdict(self) -> None:
        for op, given in (
            ("hash.sum", {}),
            ("hash.sum", {"hex": "A0"}),
            ("hash.without", {"hex": "0800", "fields": [2, 1]}),
            ("object.open", {"type": "Tool", "hex": ""}),
        ):
            with contextlib.redirect_stderr(io.StringIO()) as shown:
                reply = self.ask(op, **given)
            self.assertIn("x: ", shown.getvalue())
            self.assertFalse(reply["ok"])
            self.assertIn("in the implementation", reply["error"])

    def test_objects(self) -> None:
        opened = self.ask("object.open", type="Attestation", hex=ATTESTATION.hex())
        signer = str(sig.key_id(key(0x2A).agent))
        self.assertEqual(opened["output"], {"id": "sha256:" + ATTESTATION[14:46].hex(), "signer": signer})
        self.assertEqual(self.ask("object.open", type="Receipt", hex=ATTESTATION.hex())["error"], "can_type")
        self.assertEqual(self.ask("struct.decode", type="Nothing", hex="00")["error"], "struct_unknown")
        decoded = self.ask("struct.decode", type="Attestation", hex=ATTESTATION.hex())["output"]
        self.assertEqual((decoded["hex"], decoded["id"]), (ATTESTATION.hex(), opened["output"]["id"]))
        self.assertEqual(
            self.ask("struct.decode", type="AgentID", hex=key(1).agent.encode().hex())["output"],
            {"hex": key(1).agent.encode().hex()},
        )

    def output(self, op: str, **given: Any) -> dict[str, Any]:
        reply = self.ask(op, **given)
        self.assertTrue(reply["ok"], reply)
        return reply["output"]

    def test_trees(self) -> None:
        root = "sha256:0886d928f93585d7c4bd1085caaf01a1c24273bcee1d1eebcd1366bd6dd68dc9"
        self.assertEqual(self.output("merkle.root", formula={"count": "1025", "seed": ""}), {"root": root, "nodes": 3})
        self.assertEqual(self.output("merkle.root", values=[]), {"nodes": 0})
        lists, store = test_merkle.build(1025)
        proof = merkle.prove(lists, store.get, 1024).hex()
        shown = self.output("merkle.verify", root=root, proof=proof)
        self.assertEqual(shown, {"value": str(test_merkle.number(1024)), "index": "1024", "count": "1025"})
        proof = merkle.prove_range(lists, store.get, merkle.Span(1023, 2)).hex()
        shown = self.output("merkle.range", root=root, proof=proof)
        self.assertEqual((shown["first"], shown["count"], len(shown["values"])), ("1023", "1025", 2))

    def test_blobs(self) -> None:
        data = b"abcdefghij"
        root = "sha256:e46a1faf3c7497d50d869f87f9aee8d2f1f4b196cc7b84a2c4965e8db2b70c27"
        store = test_merkle.Store()
        tree = blob.tree_of(data, 4, store.put)
        shown = self.output("blob.root", hex=data.hex(), chunk_size=4)
        self.assertEqual(shown, {"root": root, "chunks": "3", "flat": str(cid.sum(data))})
        self.assertEqual(self.ask("blob.write", hex=data.hex(), chunk_size=4)["error"], "blob_chunk_size")
        self.assertEqual(self.output("blob.write", hex="", chunk_size=0), {"chunks": "0", "flat": str(cid.sum(b""))})
        proof = blob.prove(tree.cid, store.get, 2).hex()
        shown = self.output("blob.verify", root=root, proof=proof, chunk=b"ij".hex())
        self.assertEqual((shown["chunk"]["len"], shown["index"], shown["size"], shown["chunk_size"]), (2, "2", "10", 4))
        self.assertEqual(self.ask("blob.verify", root=root, proof=proof, chunk="00")["error"], "blob_chunk")
        proof = blob.prove_range(tree.cid, store.get, 3, 2).hex()
        shown = self.output("blob.range", root=root, proof=proof, offset="3", length="2")
        self.assertEqual(([c["len"] for c in shown["chunks"]], shown["first"]), ([4, 4], "0"))
        node, parts = store.objects[tree.cid].hex(), [data[i : i + 4].hex() for i in (0, 4, 8)]
        self.assertEqual(self.output("blob.stream", root=root, parts=[node, *parts]), {"bytes": data.hex()})
        part = self.output("blob.stream", root=root, parts=[node, parts[0], parts[1]], offset="3", length="2")
        self.assertEqual(part, {"bytes": b"de".hex()})
        self.assertEqual(self.ask("blob.stream", root=root, parts=[node, parts[0]])["error"], "merkle_proof")
        ref = structs.BlobRef(cid=tree.cid, size=10, media="text/plain", codec=0, chunks=3)
        self.assertEqual(self.output("blob.ref", hex=ref.encode().hex(), parts=[node, *parts])["bytes"], data.hex())
        ref.size = 9
        self.assertEqual(self.ask("blob.ref", hex=ref.encode().hex(), parts=[node, *parts])["error"], "blob_size")
        flat = structs.BlobRef(cid=cid.sum(data), size=10, media="text/plain", codec=0, chunks=0).encode().hex()
        self.assertEqual(self.output("blob.ref", hex=flat, parts=[data.hex()])["bytes"], data.hex())
        self.assertEqual(self.ask("blob.ref", hex=flat, parts=["00"])["error"], "blob_hash")
        self.assertNotIn("bytes", self.output("blob.ref", hex=flat))
        said = self.output("blob.artifact", hex=data.hex())
        self.assertEqual(self.output("blob.artifact", hex=data.hex(), **{"is": said}), said)
        self.assertEqual(self.ask("blob.artifact", hex="00", **{"is": said})["error"], "blob_size")

    def test_ledger(self) -> None:
        raw, id = test_ledger.register()
        entries = [{"kind": 1, "hex": raw.hex()}, {"kind": 2, "hex": test_ledger.commit(id).hex()}]
        shown = self.output("ledger.fold", entries=entries)
        self.assertEqual((shown["phase"], shown["attempt"], shown["retry"]), ("committed", 1, 0))
        self.assertEqual(shown["response_hash"], str(test_ledger.RESPONSE))
        self.assertEqual(self.output("ledger.fold", entries=[]), {"phase": "absent", "attempt": 0, "marked": False})
        self.assertEqual(self.ask("ledger.fold", entries=entries[1:])["error"], "ledger_corrupt")
        authority = str(test_ledger.AUTHORITY)
        shown = self.output("ledger.key", authority=authority, holder=authority, explicit=b"order-1".hex())
        self.assertEqual(shown, {"hex": test_ledger.KEY.hex()})

    def test_caps(self) -> None:
        proof = test_caps.chain(test_caps.three())
        call = {
            name: str(named(word)) for name, word in (("tool", "echo"), ("package", "p"), ("module", "m"), ("request_hash", "r"))
        }
        given: dict[str, Any] = {
            "proof": proof.raw.hex(),
            "subject": test_caps.EXECUTOR.agent.encode().hex(),
            "now": "5000",
            "trust": [test_caps.AUTHORITY.agent.encode().hex()],
            "revocations": [],
        }
        payload = value.encode(value.Map.of({"amount": value.UVarint(250)})).hex()
        shown = self.output("caps.check", **given, call=call | {"ring": 0, "payload": payload})
        self.assertEqual([s["max"] for s in shown["spend"]], [10, 8, 3])
        self.assertEqual(shown["cap_ids"], [str(id) for id in proof.cap_ids])
        self.assertEqual(self.ask("caps.check", **given, call=call | {"ring": 1, "payload": payload})["error"], "cap_constraint")
        self.assertEqual(self.ask("caps.check", **given, request={"kind": 35})["error"], "cap_scope")
        self.assertEqual(self.ask("caps.check", **given, scope={"kind": 36, "hex": "0800"})["error"], "cap_scope")
        self.assertEqual(self.output("caps.subset", kind=35, parent="0800", child="0800"), {})

    def test_packages(self) -> None:
        raw = manifest.sign(test_manifest.package(), test_manifest.PUBLISHER)
        host = {"version": "0.3.0", "codebooks": [str(codebook.baseline_id())], "features": ["ir.level1"], "ctvps": []}
        entry = {"keys": [test_manifest.PUBLISHER.agent.encode().hex()], "threshold": 1, "names": ["demo/*"]}
        shown = self.output("manifest.open", hex=raw.hex(), publishers=[entry], host=host)
        signer = str(sig.key_id(test_manifest.PUBLISHER.agent))
        self.assertEqual((shown["manifest_cid"], shown["signers"]), (str(cid.sum(raw)), [signer]))
        entry["names"] = ["other/*"]
        self.assertEqual(self.ask("manifest.open", hex=raw.hex(), publishers=[entry], host=host)["error"], "signer_threshold")
        self.assertEqual(self.ask("manifest.open", hex=raw.hex(), publishers=[], host=host)["error"], "signer_unknown")
        self.assertEqual(self.output("path.check", paths=["a", "b/c"]), {})
        self.assertEqual(self.ask("path.check", paths=["a", "A"])["error"], "path_collision")
        entries = [structs.TreeEntry(path="a", mode=0, cid=named("a"), size=1, sha256=named("a"))]
        self.assertEqual(self.output("tree.open", hex=structs.Tree(entries=entries).encode().hex()), {"paths": ["a"]})


class Pack(Case):
    def test_vectors(self) -> None:
        """Every vector of an op that there is here passes."""
        pack = REPOSITORY / "ctvp"
        listed = pack / "manifest.json"
        entries = read_json(listed).get("vectors") if listed.exists() else None
        if not entries:
            missing(self, "ctvp/manifest.json has no vectors: the project's vectors are NOT checked.")
        wrong: list[str] = []
        passed: dict[str, int] = {}
        absent: dict[str, int] = {}
        for entry in entries:
            files = {name: pack / path for name, path in entry["files"].items()}
            vector = read_json(files["vector"])
            reply = answer({"id": vector["id"], "op": vector["op"], "input": with_files(vector["input"], files)})
            counts = absent if reply.get("unsupported") else passed
            counts[vector["op"]] = counts.get(vector["op"], 0) + 1
            why = "" if reply.get("unsupported") else judge(vector["expect"], reply)
            if why:
                wrong.append(f"{vector['id']}: {why}")
        print(f"\nctvp: {sum(passed.values())} vectors of {len(passed)} ops checked; not implemented here: {absent or 'none'}")
        self.assertGreater(sum(passed.values()), 0)
        self.assertEqual(wrong, [], f"{len(wrong)} of {sum(passed.values())}")


class Codes(Case):
    def test_every_code_is_listed(self) -> None:
        """What this package may raise is in ctvp/errors.json."""
        path = REPOSITORY / "ctvp" / "errors.json"
        if not path.exists():
            missing(self, "ctvp/errors.json is not there: the error codes are NOT checked.")
        text = path.read_text()
        listed = set(re.findall(r'"code"\s*:\s*"([a-z0-9_]+)"', text))
        used: set[str] = set()
        for file in (Path(__file__).resolve().parents[1] / "mythos").rglob("*.py"):
            source = file.read_text()
            used |= set(
                re.findall(
                    r'(?:fail|MythosError|Breach|_deny)\(\s*(?:i, "\w+", |\d, "\w+", |len\([^)]*\)[^"]*"\w+", )?"([a-z0-9]+(?:_[a-z0-9]+)*)"',
                    source,
                )
            )
        self.assertGreater(len(used), 60)
        used |= {"wire_sigblock_length", "wire_payload_length", "cap_scope", "cap_constraint"}  # made of parts, or passed on
        self.assertLessEqual(used, listed, used - listed)
