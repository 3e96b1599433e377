"""Codebooks (RFC-MYTHOS-0002 §8): a LIST of CodebookEntry, ascending by
codeword, whose SHA-256 is its id. Packets and packages name theirs.
"""

from __future__ import annotations

from functools import cache

from . import can, cid
from .cid import Hash
from .fault import fail
from .structs import CodebookEntry

OPCODE, SMALL_INT, FIELD_NUMBER, SCOPE_KIND = 1, 2, 3, 4

_OPCODES = bytes.fromhex("010210111213202122232425303132404142")


def baseline() -> list[CodebookEntry]:
    """Return the 541 entries of the codebook that everyone has."""
    rows = (
        (0x0100, OPCODE, _OPCODES),
        (0x0200, SMALL_INT, range(256)),
        (0x0300, FIELD_NUMBER, range(256)),
        (0x0400, SCOPE_KIND, range(1, 12)),
    )
    return [CodebookEntry(codeword=base + v, kind=kind, value_u64=v) for base, kind, values in rows for v in values]


@cache
def baseline_id() -> Hash:
    """Return the id of the baseline codebook."""
    return cid.sum(encode(baseline()))


def encode(entries: list[CodebookEntry]) -> bytes:
    """Return the canonical bytes of a codebook; entries must ascend."""
    out = bytearray()
    can.put_list(out, entries, can.put_struct)
    return bytes(out)


def decode(raw: bytes) -> tuple[list[CodebookEntry], Hash]:
    """Read a codebook; return its entries and id."""
    r = can.Reader(raw)
    last = -1

    def entry(r: can.Reader) -> CodebookEntry:
        nonlocal last
        at = r.off
        e = CodebookEntry.read(r)
        if e.codeword <= last:
            fail("codebook_order", f"codeword {e.codeword:#06x} after {last:#06x}", at)
        if not OPCODE <= e.kind <= SCOPE_KIND:
            fail("codebook_kind", f"kind {e.kind}, want 1 to 4", at)
        last = e.codeword
        return e

    entries = r.get_list(entry)
    r.done()
    return entries, cid.sum(raw)
