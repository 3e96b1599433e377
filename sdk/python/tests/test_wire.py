"""Packets, codebooks and tool calls."""

from __future__ import annotations

import io
from typing import Any

from mythos import abi, cid, codebook, sig, structs, value, wire
from mythos.cid import Hash

from .support import Case, digest, key, named, unhex

BOOK = "7ed509c74d47db2ebbb0608a8aa5135208ee8abec769473830c7449cfe9ec37a"
HEADER = unhex("4d595448 0002 0000 01 01" + BOOK)


class Packets(Case):
    def test_published_header(self) -> None:
        p = wire.Packet(wire.CODEC_CAN, b"\x08\x00")
        self.assertEqual(p.encode(), HEADER + unhex("02 0700 02 0800"))
        back = wire.parse(p.encode())
        self.assertEqual((back.codec, back.codebook, back.entries, back.bundle()), (1, digest(BOOK), [], b"\x08\x00"))
        p.sign(key(42))
        self.assertEqual(p.encode()[42], 0x78)

    def test_signatures(self) -> None:
        p = wire.Packet(wire.CODEC_CAN, b"\x08\x00")
        for k in (key(1), key(2, "hint"), key(2)):
            p.sign(k)
        ids = [sig.key_id(e.signer) for e in p.entries]
        self.assertEqual((len(ids), ids), (2, sorted(ids)))
        p.entries.append(structs.SigBlockEntry(signer=key(3).agent, sig_alg=1, sig_bytes=b""))
        p.entries.append(structs.SigBlockEntry(signer=key(4).agent, sig_alg=1, sig_bytes=b"short"))
        p.entries.append(structs.SigBlockEntry(signer=key(4).agent, sig_alg=1, sig_bytes=p.entries[0].sig_bytes))
        p.entries.append(structs.SigBlockEntry(signer=p.entries[0].signer, sig_alg=2, sig_bytes=p.entries[0].sig_bytes))
        p.entries.append(p.entries[0])
        back = wire.parse(p.encode())
        states = [state for _, state in back.verify()]
        self.assertEqual(states, ["verified", "verified", "unsigned", "invalid", "invalid", "invalid", "verified"])
        self.assertEqual(len(back.signers()), 2)
        other = wire.Packet(wire.CODEC_CAN, b"\x08\x00\x00"[:2], back.entries)
        other.payload = b"\x07\x00"
        self.assertEqual(other.signers(), [])

    def test_refusals(self) -> None:
        good = HEADER + unhex("02 0700 02 0800")

        def edit(at: int, text: str) -> bytes:
            b = unhex(text)
            return good[:at] + b + good[at + len(b) :]

        entry = structs.SigBlockEntry(signer=key(1).agent, sig_alg=1, sig_bytes=b"")
        many = wire.Packet(wire.CODEC_CAN, b"\x00", [entry] * 257).encode()
        for raw, code, offset in (
            (b"", "wire_magic", 0),
            (edit(0, "4e"), "wire_magic", 0),
            (good[:41], "wire_truncated", 41),
            (edit(4, "0001"), "wire_version", 4),
            (edit(6, "0001"), "wire_flags", 6),
            (edit(8, "03"), "wire_codec", 8),
            (edit(9, "02"), "wire_codebook", 9),
            (edit(10, "00"), "wire_codebook", 9),
            (good[:42], "can_truncated", 42),
            (edit(42, "8000"), "can_varint", 42),
            (edit(42, "7f"), "wire_sigblock_length", 42),
            (edit(43, "08"), "can_type", 43),
            (edit(43, "0703"), "can_bounds", 43),
            (edit(44, "01"), "can_bounds", 43),
            (edit(45, "03"), "wire_payload_length", 45),
            (edit(45, "01"), "wire_trailing", 47),
            (good + b"\0", "wire_trailing", len(good)),
            (edit(46, "0900"), "can_tag", 46),
            (edit(46, "0000"), "can_trailing", 47),
            (many, "wire_signers", 44),  # behind a length of two bytes
        ):
            with self.subTest(code, offset=offset):
                self.refused(code, wire.parse, raw, offset=offset)

    def frame(self, content: bytes, sized: bool = True) -> bytes:
        """Return a zstd frame with one raw block."""
        # A single segment with one byte of size, or a window of 1 KiB and no size.
        head = b"\x20" + bytes([len(content)]) if sized else b"\x00\x00"
        return unhex("28 b5 2f fd") + head + (len(content) << 3 | 1).to_bytes(3, "little") + content

    def test_codec_2(self) -> None:
        bundle = value.encode(["bundle"])
        for sized in (True, False):
            frame = self.frame(bundle, sized)
            p = wire.parse(wire.Packet(wire.CODEC_ZSTD, frame).encode())
            self.refused("wire_codec_unavailable", p.bundle)
            self.assertEqual(p.bundle(lambda f: io.BytesIO(f[-len(bundle) :])), bundle)
            self.refused("wire_too_large", p.bundle, lambda f: io.BytesIO(bytes(100)), 20)
            self.refused("wire_compressed" if sized else "can_trailing", p.bundle, lambda f: io.BytesIO(bundle + b"\0"))
            self.refused("wire_compressed", p.bundle, lambda f: 1 / 0)
        self.refused("wire_too_large", p.bundle, lambda f: io.BytesIO(bundle), len(bundle) - 1)

    def test_frames(self) -> None:
        good = self.frame(b"\x08\x00")
        self.assertEqual(wire.scan_frame(good), (2, 2))
        self.assertEqual(wire.scan_frame(self.frame(b"\x08\x00", False)), (1024, None))
        for bad in (
            b"",
            good[:-1],
            good + b"\0",
            good + good,
            b"\x29" + good[1:],
            good[:4] + b"\x28" + good[5:],
            good[:4] + b"\x21" + good[5:],
        ):
            self.refused("wire_compressed", wire.scan_frame, bad)
        kind3 = bytearray(good)
        kind3[6] |= 6
        self.refused("wire_compressed", wire.scan_frame, bytes(kind3))


class Codebooks(Case):
    def test_baseline(self) -> None:
        raw = codebook.encode(codebook.baseline())
        self.assertEqual((len(codebook.baseline()), len(raw), cid.sum(raw)), (541, 8374, digest(BOOK)))
        self.assertEqual(raw[:19], unhex("07 9d 04 08 03 03 01 03 81 02 03 02 03 01 03 03 03 01 08"))
        entries, id = codebook.decode(raw)
        self.assertEqual((entries, id), (codebook.baseline(), codebook.baseline_id()))

    def test_refusals(self) -> None:
        def entry(codeword: int, kind: int = 1) -> structs.CodebookEntry:
            return structs.CodebookEntry(codeword=codeword, kind=kind, value_u64=0)

        size = len(entry(5).encode())
        self.refused("codebook_order", codebook.decode, codebook.encode([entry(5), entry(5)]), offset=2 + size)
        self.refused("codebook_order", codebook.decode, codebook.encode([entry(5), entry(4)]), offset=2 + size)
        self.refused("codebook_kind", codebook.decode, codebook.encode([entry(5, 0)]), offset=2)
        self.refused("codebook_kind", codebook.decode, codebook.encode([entry(5, 5)]), offset=2)


class Tools(Case):
    def test_published_calls(self) -> None:
        tool = abi.tool_id("demo/echo", 1, abi.type_id("any"), abi.type_id("any"))
        self.assertEqual(tool, digest("4927203fda6a2dfdedfc270963ad1872d7a0da7de72b49ff47b426a2e75df14b"))
        idem = digest("26d6fe3fb92372fb38fc380f9df8f5b44bfa536854fcf027b84b183e042cf129")
        request = structs.ToolRequest(tool_id=tool, payload=value.encode("hello"), idem_id=idem).encode()
        self.assertEqual(cid.sum(request), digest("80321984a6e1912035eb05393bd97c42190975f7888046de67fb613f4be2da9c"))
        response = structs.ToolResponse(status=200, payload=value.encode("hello")).encode()
        self.assertEqual(cid.sum(response), digest("19d79c55ad61aacdaff3e42b5ac5b6409bf8fe51ddf625f59283d44e13e14c52"))
        self.assertEqual((len(request), len(response)), (124, 42))
        self.assertEqual((abi.frame(request)[:1], abi.frame(response)[:1]), (b"\x7c", b"\x2a"))
        self.assertEqual(abi.decode_request(request).tool_id, tool)
        self.assertEqual(abi.decode_response(response).payload, b"\x06\x05hello")

    def test_built_in_ids(self) -> None:
        blob_put = abi.tool_id("mythos/blob.put", 1, abi.type_id("any"), abi.type_id("any"))
        self.assertEqual(blob_put.hex()[:8], "4f931c45")
        self.assertEqual(abi.type_id("text").hex()[:8], "18a42a38")

    def test_requests(self) -> None:
        def request(payload: bytes) -> bytes:
            return structs.ToolRequest(tool_id=named("t"), payload=payload, idem_id=named("i")).encode()

        for payload in (b"", b"\x00\x00", b"\x09"):
            self.refused("abi_payload", abi.decode_request, request(payload))
        self.refused("schema_mismatch", abi.decode_request, structs.ToolResponse(status=200, payload=b"\0").encode(), offset=4)

    def test_responses(self) -> None:
        def response(status: int = 200, payload: bytes = b"\x00", error: structs.ToolError | None = None) -> bytes:
            return structs.ToolResponse(status=status, payload=payload, error=error).encode()

        error = structs.ToolError(code="x")
        cases: list[tuple[bytes, str]] = [
            (response(99), "abi_response"),
            (response(600), "abi_response"),
            (response(200, b""), "abi_payload"),
            (response(200, b"\x00\x00"), "abi_payload"),
            (response(200, error=error), "abi_response"),
            (response(500, b"\x02"), "abi_response"),
            (response(500, error=structs.ToolError(code="")), "abi_response"),
            (response(500, error=structs.ToolError(code="\u00e9" * 65)), "abi_response"),
        ]
        for raw, code in cases:
            self.refused(code, abi.decode_response, raw)
        for raw in (
            response(100),
            response(599),
            response(500, error=error),
            abi.failure(502, "bad_response"),
            abi.failure(500, "x" * 128, "m"),
        ):
            abi.decode_response(raw)

    def test_names(self) -> None:
        for ok in ("a", "demo/echo", "a.b_c-d/9", "x" * 128):
            abi.check_tool_name(ok)
        for bad in ("", "A", "a/", "/a", "a//b", "a b", "x" * 129, "a\n"):
            self.refused("abi_tool_name", abi.check_tool_name, bad)

    def test_frames(self) -> None:
        def read(raw: bytes, limit: int = 1000) -> bytes:
            return abi.read_frame(io.BytesIO(raw), limit)

        for n in (0, 1, 127, 128, 1000):
            self.assertEqual(read(abi.frame(bytes(n)) + b"more"), bytes(n))
        cases: list[tuple[Any, str]] = [
            (b"", "abi_frame_end"),
            (b"\x80", "abi_frame_truncated"),
            (b"\x02a", "abi_frame_truncated"),
            (b"\x80\x00", "abi_frame_length"),
            (b"\xff" * 9 + b"\x02", "abi_frame_length"),
            (b"\xff" * 11, "abi_frame_length"),
            (b"\xff" * 9 + b"\x01", "abi_frame_too_large"),
            (abi.frame(bytes(1001)), "abi_frame_too_large"),
        ]
        for raw, code in cases:
            self.refused(code, read, raw)

    def test_hash_of_a_request_covers_unknown_fields(self) -> None:
        raw = structs.ToolRequest(tool_id=named("t"), payload=b"\0", idem_id=named("i")).encode()
        longer = b"\x08\x05" + raw[2:] + unhex("03 05 00")
        self.assertEqual(abi.decode_request(longer), abi.decode_request(raw))
        self.assertIsInstance(cid.sum(longer), Hash)
        self.assertNotEqual(cid.sum(longer), cid.sum(raw))
