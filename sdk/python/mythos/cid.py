"""Content identifiers: a Hash is the SHA-256 of bytes (RFC-MYTHOS-0001 §3.1).

On the wire it is the closed struct {1: alg u8 = 1, 2: digest 32 bytes}, in text
``sha256:`` and 64 lowercase hex digits. Any other algorithm is refused.
"""

from __future__ import annotations

import hashlib
import re

from . import can
from .fault import fail

_HEAD = b"\x08\x02\x03\x01\x03\x01\x03\x02\x05\x20"
_TEXT = re.compile(r"sha256:([0-9a-f]{64})")


class Hash(bytes):
    """A SHA-256 digest: 32 bytes that compare, sort and hash as bytes do."""

    __slots__ = ()

    def __new__(cls, digest: bytes) -> Hash:
        if len(digest) != 32:
            fail("can_length", f"got {len(digest)} bytes, want 32")
        return super().__new__(cls, digest)

    def __str__(self) -> str:
        return "sha256:" + self.hex()

    def __repr__(self) -> str:
        return f"Hash({str(self)!r})"

    def write(self, out: bytearray) -> None:
        """Append the wire form, 42 bytes."""
        out += _HEAD
        out += self

    def encode(self) -> bytes:
        """Return the wire form."""
        return _HEAD + self

    @classmethod
    def read(cls, r: can.Reader) -> Hash:
        """Read the wire form."""
        off = r.off
        # A canonical Hash has exactly one prefix, so one compare does it.
        if r.buf.startswith(_HEAD, off) and off + 42 <= r.end and r.depth < can.MAX_DEPTH:
            r.off = off + 42
            return bytes.__new__(cls, r.buf[off + 10 : off + 42])
        s = can.Fields(r, closed=True)
        s.need(1)
        at = r.off
        alg = r.get_u8()
        if alg != 1:
            fail("hash_alg", f"hash algorithm {alg}, want 1 (SHA-256)", at)
        s.need(2)
        digest = r.get_fixed(32)
        s.end()
        return cls(digest)


ZERO = Hash(bytes(32))
"""32 zero bytes: what an id field holds before it is computed."""


def sum(raw: bytes) -> Hash:
    """Return the hash of raw."""
    return Hash(hashlib.sha256(raw).digest())


def without(raw: bytes, *fields: int) -> Hash:
    """Return the hash of the struct raw without the given fields, from its
    original bytes: the one rule by which object ids are made
    (RFC-MYTHOS-0001 §3.2).
    """
    return sum(can.without(raw, *fields))


def parse(text: str) -> Hash:
    """Read ``sha256:<64 lowercase hex>``."""
    match = _TEXT.fullmatch(text)
    if not match:
        fail("hash_text", f"{text[:80]!r} is not sha256:<64 lowercase hex digits>")
    return Hash(bytes.fromhex(match[1]))
