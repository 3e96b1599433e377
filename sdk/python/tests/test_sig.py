"""Keys, strict Ed25519 and signed objects: RFC-MYTHOS-0001 §4."""

from __future__ import annotations

import unittest
from collections.abc import Callable

from mythos import cid, ed25519, receipt, sig, structs
from mythos.structs import AgentID, Attestation, EffectCommit, Receipt

from .support import Case, digest, folder, key, named, read_json, unhex

Verify = Callable[[bytes, bytes, bytes], bool]

# The worked example of RFC-MYTHOS-0001 §3.2.
ATTESTATION = unhex(
    """
    08 07
    03 01 08 02 03 01 03 01 03 02 05 20
       0c a7 b4 3e 15 9e 58 6a 23 b9 6a b0 64 51 1c 44 ea 83 ce b0 5c 55 74 03 43 49 4d 1e e4 5a 53 60
    03 02 08 02 03 01 03 01 03 02 05 20
       a9 49 1f 4c 1b f7 b0 cf fb ad cb a2 db 8f 02 8e 4b 3f 28 67 cb 59 e1 f3 a0 bc 19 68 f3 c5 12 42
    03 03 03 02  03 04 03 01
    03 06 08 02 03 01 03 01 03 02 05 20
       19 7f 6b 23 e1 6c 85 32 c6 ab c8 38 fa cd 5e a7 89 be 0c 76 b2 92 03 34 03 9b fa 8b 3d 36 8d 61
    03 07 04 80 80 82 e2 88 d2 a3 06
    03 08 08 02 03 01 03 01 03 03 05 40
       af 27 b4 62 0e 4c f5 94 01 ff 02 b8 5b 25 55 8c c2 ba 4a 00 ee 8a d3 db a4 24 88 19 b4 4a c8 8a
       f6 bd 4b 30 ce ca 0d 28 2e d9 1e 22 35 19 d4 69 dc c6 a4 a7 e1 2c dc d4 6c f1 97 8e 30 8a 2a 06
    """
)


def paths() -> dict[str, Verify]:
    """Return every path of verification that there is here."""
    out: dict[str, Verify] = {"pure": ed25519.verify_pure}
    if ed25519.BACKEND == "cryptography":
        out["cryptography"] = ed25519.verify_cryptography
    return out


class Strict(Case):
    def setUp(self) -> None:
        if ed25519.BACKEND != "cryptography":
            print("\nNOTE: the package cryptography is not here; the pure path alone is checked.")

    def test_cctv(self) -> None:
        vectors = read_json(folder(self, "MYTHOS_ED25519_VECTORS", "the Ed25519 edge cases") / "cctv.json")
        excluded = {"low_order_A", "low_order_R", "non_canonical_A", "non_canonical_R", "low_order_residue"}
        for name, verify in paths().items():
            accepted = 0
            for v in vectors:
                ok = verify(bytes.fromhex(v["key"]), v["msg"].encode(), bytes.fromhex(v["sig"]))
                accepted += ok
                self.assertFalse(ok and excluded & set(v["flags"] or ()), (name, v["number"]))
            self.assertEqual((len(vectors), accepted), (914, 43), name)

    def test_speccheck(self) -> None:
        vectors = read_json(folder(self, "MYTHOS_ED25519_VECTORS", "the Ed25519 edge cases") / "speccheck.json")
        for name, verify in paths().items():
            got = [
                i for i, v in enumerate(vectors) if verify(*(bytes.fromhex(v[k]) for k in ("pub_key", "message", "signature")))
            ]
            self.assertEqual((len(vectors), got), (12, [3]), name)

    def test_low_order_points_and_lengths(self) -> None:
        k = key(42)
        signature = k.sign(named("x"))
        low = """0000000000000000000000000000000000000000000000000000000000000000
            0000000000000000000000000000000000000000000000000000000000000080
            0100000000000000000000000000000000000000000000000000000000000000
            ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f
            26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05
            26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85
            c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a
            c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa""".split()
        not_canonical = [(ed25519.P + n).to_bytes(32, "little") for n in range(19)]
        negative_zero = [bytes([1]) + bytes(30) + b"\x80", b"\xec" + b"\xff" * 31]
        for point in [*map(bytes.fromhex, low), *not_canonical, *negative_zero]:
            self.assertFalse(ed25519.canonical_point(point), point.hex())
        self.assertTrue(ed25519.canonical_point(k.agent.key))
        for verify in paths().values():
            self.assertTrue(verify(k.agent.key, named("x"), signature))
            for bad in (signature[:-1], signature + b"\0", b""):
                self.assertFalse(verify(k.agent.key, named("x"), bad))
            self.assertFalse(verify(k.agent.key[:-1], named("x"), signature))
            self.assertFalse(verify(k.agent.key, named("y"), signature))
            s = int.from_bytes(signature[32:], "little") + ed25519.L
            self.assertFalse(verify(k.agent.key, named("x"), signature[:32] + s.to_bytes(32, "little")))

    def test_both_paths_agree_on_flips(self) -> None:
        k = key(42)
        public, signature = k.agent.key, k.sign(named("x"))
        for bit in range(0, 256, 3):
            flipped = (int.from_bytes(public, "little") ^ 1 << bit).to_bytes(32, "little")
            self.assertEqual({verify(flipped, named("x"), signature) for verify in paths().values()}, {False})
        for bit in range(0, 512, 5):
            flipped = (int.from_bytes(signature, "little") ^ 1 << bit).to_bytes(64, "little")
            self.assertEqual({verify(public, named("x"), flipped) for verify in paths().values()}, {False})

    def test_signing(self) -> None:
        # RFC 8032, 7.1, test 3.
        seed = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
        public = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
        signature = (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        )
        self.assertEqual(ed25519.public_key(seed).hex(), public)
        self.assertEqual(ed25519.sign(seed, b"\xaf\x82").hex(), signature)
        self.assertEqual(ed25519.sign_pure(seed, b"\xaf\x82").hex(), signature)
        self.assertRaises(ValueError, ed25519.public_key, seed[:31])


class Keys(Case):
    def test_key_id(self) -> None:
        agent = key(0x2A, "a hint").agent
        self.assertEqual(agent.key.hex(), "197f6b23e16c8532c6abc838facd5ea789be0c76b2920334039bfa8b3d368d61")
        self.assertEqual(sig.key_id(agent).hex(), "cbdb67b8a85f8b5c60f45a5aa8ff8a96ef71b792faf86576a60453920fe999ed")
        self.assertEqual(sig.key_id(key(7).agent).hex(), "4eeb5ddf96f5a9965e5c6e862ec2d2243b2d79d2d9730d453931b24f842d4cd9")
        self.assertTrue(sig.same_agent(agent, key(0x2A).agent))
        self.assertFalse(sig.same_agent(agent, AgentID(scheme=2, key=agent.key)))

    def test_a_key_does_not_show_its_seed(self) -> None:
        self.assertNotIn("\\x2a", repr(key(0x2A)))
        self.assertNotIn("seed", repr(key(0x2A)))

    def test_hash_text(self) -> None:
        h = cid.sum(b"hello")
        self.assertEqual(str(h), "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
        self.assertEqual(cid.parse(str(h)), h)
        for text in ("", str(h)[7:], str(h).upper(), str(h)[:-1], str(h) + "0", str(h) + "\n", "sha512:" + str(h)[7:]):
            self.refused("hash_text", cid.parse, text)
        self.refused("can_length", cid.Hash, b"short")


class Objects(Case):
    def test_published_attestation(self) -> None:
        x, id = receipt.open_attestation(ATTESTATION)
        self.assertEqual(id.hex(), "0ca7b43e159e586a23b96ab064511c44ea83ceb05c55740343494d1ee45a5360")
        self.assertEqual((len(ATTESTATION), x.claim_type, x.result), (229, 2, 1))
        again = Attestation(subject_hash=named("subject"), claim_type=2, result=1, time_observed=1767225600000000)
        self.assertEqual(sig.sign(again, key(0x2A)), (ATTESTATION, id))

    def test_order_of_checks(self) -> None:
        x, _ = receipt.open_attestation(ATTESTATION)
        x.signature.key_id = sig.key_id(x.signer)
        self.refused("key_id", sig.open, Attestation, x.encode())
        x.attestation_id = named("another")
        self.refused("id_mismatch", sig.open, Attestation, x.encode())
        x.signature.key_id = None
        x.attestation_id = sig.object_id(Attestation, x.encode())
        x.signature.sig_bytes = bytes(64)
        sig.decode(Attestation, x.encode())
        self.refused("signature_invalid", sig.open, Attestation, x.encode())
        x.signature.alg = 2
        self.refused("signature_alg", sig.open, Attestation, x.encode())

    def test_every_bit(self) -> None:
        for i in range(8 * len(ATTESTATION)):
            flipped = bytearray(ATTESTATION)
            flipped[i // 8] ^= 1 << i % 8
            with self.assertRaises(ValueError):
                receipt.open_attestation(bytes(flipped))

    def test_unknown_fields_stay_covered(self) -> None:
        x = Receipt(
            tool_id=named("t"),
            request_hash=named("q"),
            response_hash=named("a"),
            idempotency_key=b"k",
            time_observed=1,
            status=200,
        )
        raw, _ = sig.sign(x, key(1))
        longer = bytes((8, raw[1] + 1)) + raw[2:] + unhex("03 7f 00")
        self.refused("id_mismatch", receipt.open, longer)

    def test_objects_without_a_signer(self) -> None:
        x = EffectCommit(
            idem_id=named("i"), tool_id=named("t"), request_hash=named("q"), response_hash=named("a"), receipt_id=named("r"),
            status=200, time_observed=1,
        )  # fmt: skip
        raw, id = sig.sign(x, key(1))
        self.assertEqual(x.signature.key_id, sig.key_id(key(1).agent))
        self.assertEqual(sig.open_by(EffectCommit, raw, key(1, "hint").agent)[1], id)
        self.refused("key_id", sig.open_by, EffectCommit, raw, key(2).agent)
        self.refused("key_id", sig.open, EffectCommit, raw)
        x.signature.key_id = None
        self.assertEqual(sig.decode(EffectCommit, x.encode())[1], id)  # an earlier published shape
        self.refused("key_id", sig.open_by, EffectCommit, x.encode(), key(1).agent)
        self.assertRaises(TypeError, sig.decode, structs.ToolError, structs.ToolError(code="x").encode())


class PureOnly(unittest.TestCase):
    def test_verdicts_without_the_library(self) -> None:
        """verify takes the pure path where there is no other."""
        backend, ed25519.BACKEND = ed25519.BACKEND, "pure"
        try:
            self.assertEqual(sig.open(Attestation, ATTESTATION)[1], digest(ATTESTATION[14:46].hex()))
            self.assertEqual(ed25519.sign(bytes(32), b"m"), ed25519.sign_pure(bytes(32), b"m"))
        finally:
            ed25519.BACKEND = backend
