"""The MYTHOS-X packet (RFC-MYTHOS-0001 §5): a frame that carries one IR bundle
and the signatures of any number of agents over it::

    magic "MYTH" | version u16 = 2 | flags u16 = 0 | codec u8 | codebook id: 01, 32 bytes
    sigblock length | sigblock: LIST of {1: signer AgentID, 2: sig_alg u8, 3: sig_bytes}
    payload length  | payload

Integers are big-endian, lengths minimal LEB128; the first line, 42 bytes, is
the header. Codec 1 is a canonical bundle, codec 2 the same as one zstd frame,
for which the caller brings the decompressor. Each signature is over
SHA-256(header || payload as on the wire). Parsing believes nothing: what parse
returns nobody may have signed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from . import can, cid, codebook, sig
from .cid import Hash
from .fault import MythosError, fail
from .structs import AgentID, SigBlockEntry, Signature

CODEC_CAN = 1
CODEC_ZSTD = 2

MAX_SIGNERS = 256
MAX_BUNDLE = 64 << 20
"""The bound of a decompressed payload, in bytes, unless told otherwise."""

_MAGIC = b"MYTH"
_HEADER = 42
_LEAST_WINDOW = 8 << 20  # what every zstd decoder should support
_MAX_BLOCK = 128 << 10

UNSIGNED, INVALID, VERIFIED = "unsigned", "invalid", "verified"

Decompress = Callable[[bytes], BinaryIO]
"""Returns a stream of what one zstd frame holds."""


@dataclass
class Packet:
    """A packet as it was parsed or is being made; nothing in it is verified."""

    codec: int
    payload: bytes
    entries: list[SigBlockEntry] = field(default_factory=list)
    codebook: Hash = field(default_factory=codebook.baseline_id)

    def header(self) -> bytes:
        """Return the first 42 bytes."""
        return _MAGIC + b"\x00\x02\x00\x00" + bytes((self.codec, 1)) + self.codebook

    def encode(self) -> bytes:
        """Return the packet's bytes."""
        sigblock = bytearray()
        can.put_list(sigblock, self.entries, can.put_struct)
        out = bytearray(self.header())
        for part in (sigblock, self.payload):
            can.put_varint(out, len(part))
            out += part
        return bytes(out)

    def digest(self) -> Hash:
        """Return what is signed."""
        return cid.sum(self.header() + self.payload)

    def sign(self, by: sig.Signer) -> None:
        """Add by's signature, in the place of any earlier one of that key."""
        agent = by.agent
        entry = SigBlockEntry(signer=agent, sig_alg=sig.ED25519, sig_bytes=by.sign(self.digest()))
        others = [e for e in self.entries if not sig.same_agent(e.signer, agent)]
        self.entries = sorted([*others, entry], key=lambda e: sig.key_id(e.signer))

    def verify(self) -> list[tuple[AgentID, str]]:
        """Return each entry's signer with UNSIGNED, INVALID or VERIFIED."""
        digest = self.digest()
        return [(e.signer, _state(e, digest)) for e in self.entries]

    def signers(self) -> list[AgentID]:
        """Return the agents with a verified signature, each key once."""
        out: list[AgentID] = []
        for agent, state in self.verify():
            if state == VERIFIED and not any(sig.same_agent(agent, a) for a in out):
                out.append(agent)
        return out

    def bundle(self, decompress: Decompress | None = None, limit: int = MAX_BUNDLE) -> bytes:
        """Return the canonical bytes that the payload holds."""
        if self.codec == CODEC_CAN:
            return self.payload
        if self.codec == CODEC_ZSTD:
            return _decompress(self.payload, decompress, limit)
        fail("wire_codec", f"codec {self.codec}, want 1 or 2")


def _state(entry: SigBlockEntry, digest: Hash) -> str:
    if not entry.sig_bytes:
        return UNSIGNED
    if len(entry.sig_bytes) != 64:
        return INVALID
    try:
        sig.verify(entry.signer, digest, Signature(alg=entry.sig_alg, sig_bytes=entry.sig_bytes))
    except MythosError:
        return INVALID
    return VERIFIED


def parse(raw: bytes) -> Packet:
    """Read a packet. The payload of codec 2 is checked by Packet.bundle."""
    raw = bytes(raw)
    packet = _parse_header(raw)
    sigblock, at = _part(raw, _HEADER, "sigblock")
    packet.entries = _parse_sigblock(sigblock, at)
    packet.payload, at = _part(raw, at + len(sigblock), "payload")
    end = at + len(packet.payload)
    if end != len(raw):
        fail("wire_trailing", f"{len(raw) - end} bytes after the payload", end)
    if packet.codec == CODEC_CAN:
        try:
            can.check(packet.payload)
        except MythosError as e:
            raise e.about("payload", at) from None
    return packet


def _parse_header(raw: bytes) -> Packet:
    if not raw.startswith(_MAGIC):
        fail("wire_magic", f"the input does not begin with {_MAGIC.decode()!r}", 0)
    if len(raw) < _HEADER:
        fail("wire_truncated", f"a header of {len(raw)} bytes, want {_HEADER}", len(raw))
    if raw[4:6] != b"\x00\x02":
        fail("wire_version", f"version {int.from_bytes(raw[4:6], 'big')}, want 2", 4)
    if raw[6:8] != b"\x00\x00":
        fail("wire_flags", f"flags {raw[6:8].hex()}, none is defined", 6)
    if raw[8] not in (CODEC_CAN, CODEC_ZSTD):
        fail("wire_codec", f"codec {raw[8]}, want 1 or 2", 8)
    if raw[9] != 1:
        fail("wire_codebook", f"codebook id with hash algorithm {raw[9]}, want 1", 9)
    book = Hash(raw[10:_HEADER])
    if book != codebook.baseline_id():
        fail("wire_codebook", f"codebook {book}, want {codebook.baseline_id()}", 9)
    return Packet(raw[8], b"", codebook=book)


def _part(raw: bytes, at: int, name: str) -> tuple[bytes, int]:
    """Return the bytes behind the length varint at offset at, and their own
    offset.
    """
    try:
        n, start = can.uvarint(raw, at, at)
    except MythosError as e:
        raise e.about(name + " length") from None
    if n > len(raw) - start:
        fail(f"wire_{name}_length", f"a {name} of {n} bytes, {len(raw) - start} bytes left", at)
    return raw[start : start + n], start


def _parse_sigblock(block: bytes, at: int) -> list[SigBlockEntry]:
    r = can.Reader(block)
    try:
        n = r.open(can.LIST)
        if n > MAX_SIGNERS:
            fail("wire_signers", f"{n} signature entries, at most {MAX_SIGNERS}", 0)
        entries = [SigBlockEntry.read(r) for _ in range(n)]
        r.done()
    except MythosError as e:
        raise e.about("sigblock", at) from None
    return entries


def _decompress(payload: bytes, decompress: Decompress | None, limit: int) -> bytes:
    if decompress is None:
        fail("wire_codec_unavailable", "codec 2 (zstd) is not available here")
    window, size = scan_frame(payload)
    if size is not None and size > limit or window > max(limit, _LEAST_WINDOW):
        fail("wire_too_large", f"a frame of {size} bytes with a window of {window}, at most {limit}")
    out = _inflate(payload, decompress, limit)
    if size is not None and len(out) != size:
        fail("wire_compressed", f"the frame holds {len(out)} bytes and announces {size}")
    try:
        can.check(out)
    except MythosError as e:
        raise e.about("decompressed payload") from None
    return out


def _inflate(payload: bytes, decompress: Decompress, limit: int) -> bytes:
    out = bytearray()
    try:
        with decompress(payload) as stream:
            while len(out) <= limit and (more := stream.read(min(limit + 1 - len(out), 1 << 20))):
                out += more
    except Exception as e:  # whatever the caller's library raises
        fail("wire_compressed", f"decompress the payload: {e}")
    if len(out) > limit:
        fail("wire_too_large", f"the payload decompresses to more than {limit} bytes")
    return bytes(out)


def scan_frame(b: bytes) -> tuple[int, int | None]:
    """Check that b is exactly one zstd frame (RFC 8878, 3.1.1) without a
    dictionary, by its headers alone, and return its window and content size.
    Decompressors differ in whether they read several frames.
    """
    if len(b) < 6 or b[:4] != b"\x28\xb5\x2f\xfd":
        fail("wire_compressed", "the payload is not a zstd frame", 0)
    window, size, at = _frame_header(b)
    last = False
    while not last:
        if len(b) - at < 3:
            fail("wire_compressed", "the frame ends before its last block", at)
        head = int.from_bytes(b[at : at + 3], "little")
        last, kind, n = bool(head & 1), head >> 1 & 3, head >> 3
        if kind == 3 or n > _MAX_BLOCK:
            fail("wire_compressed", f"a block of type {kind} with {n} bytes", at)
        if kind == 1:  # one byte, repeated n times
            n = 1
        at += 3
        if n > len(b) - at:
            fail("wire_compressed", f"a block of {n} bytes, {len(b) - at} bytes left", at)
        at += n
    if b[4] & 4:  # content checksum
        at += 4
    if at != len(b):
        fail("wire_compressed", f"the frame has {at} bytes, the payload {len(b)}", min(at, len(b)))
    return window, size


def _frame_header(b: bytes) -> tuple[int, int | None, int]:
    """Return window, content size and the offset of the first block."""
    descriptor, at = b[4], 5
    single = bool(descriptor & 0x20)
    if descriptor & 0x0B:
        fail("wire_compressed", "a frame with a reserved bit or a dictionary", 4)
    window = 0
    if not single:
        base = 1 << 10 + (b[at] >> 3)
        window = base + base // 8 * (b[at] & 7)
        at += 1
    n = (0, 2, 4, 8)[descriptor >> 6] or (1 if single else 0)
    if len(b) - at < n:
        fail("wire_compressed", "the frame header ends early", at)
    size: int | None = None
    if n:
        size = int.from_bytes(b[at : at + n], "little") + (256 if n == 2 else 0)
    return (size or 0) if single else window, size, at + n
