"""The writers: functions that append canonical bytes to a bytearray. They refuse
what no reader takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from ..fault import fail
from .reader import BYTES, FALSE, INT, LIST, MAP, TEXT, TRUE, UINT, check

T = TypeVar("T")


def put_varint(out: bytearray, value: int) -> None:
    """Append a bare varint."""
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _head(out: bytearray, tag: int, n: int) -> None:
    out.append(tag)
    put_varint(out, n)


def put_bool(out: bytearray, value: bool) -> None:
    if value is not True and value is not False:
        raise TypeError(f"want a bool, got {value!r}")
    out.append(TRUE if value else FALSE)


def put_uint(out: bytearray, value: int, bits: int = 64) -> None:
    """Append a UVARINT of at most that many bits."""
    if value.__class__ is not int:
        raise TypeError(f"want an int, got {value!r}")
    if value < 0 or value >> bits:
        fail("can_range", f"{value} is not in 0..2^{bits}-1")
    _head(out, UINT, value)


def put_int(out: bytearray, value: int) -> None:
    """Append an IVARINT."""
    if value.__class__ is not int:
        raise TypeError(f"want an int, got {value!r}")
    if not -(1 << 63) <= value < 1 << 63:
        fail("can_range", f"{value} is not in -2^63..2^63-1")
    _head(out, INT, value << 1 if value >= 0 else -2 * value - 1)


def put_bytes(out: bytearray, value: bytes) -> None:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f"want bytes, got {value!r}")
    _head(out, BYTES, len(value))
    out += value


def put_fixed(out: bytearray, value: bytes, size: int) -> None:
    if len(value) != size:
        fail("can_length", f"got {len(value)} bytes, want {size}")
    put_bytes(out, value)


def put_text(out: bytearray, value: str) -> None:
    if not isinstance(value, str):
        raise TypeError(f"want a str, got {value!r}")
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        fail("can_utf8", "a str with a lone surrogate has no UTF-8")
    _head(out, TEXT, len(raw))
    out += raw


def put_raw(out: bytearray, value: bytes) -> None:
    """Append one canonical value that is encoded already."""
    check(value)
    out += value


def put_list(out: bytearray, items: list[T], put: Callable[[bytearray, T], None]) -> None:
    _head(out, LIST, len(items))
    for item in items:
        put(out, item)


def put_pairs(out: bytearray, pairs: list[tuple[bytes, bytes]]) -> None:
    """Append a MAP of encoded keys and values, in canonical order."""
    pairs = sorted(pairs)
    for (key, _), (other, _) in zip(pairs, pairs[1:]):
        if key == other:
            fail("can_key_duplicate", "a MAP key stands twice")
    _head(out, MAP, len(pairs))
    for key, value in pairs:
        out += key
        out += value


def _encoded(put: Callable[[bytearray, T], None], value: T) -> bytes:
    out = bytearray()
    put(out, value)
    return bytes(out)


def put_text_map(out: bytearray, items: dict[str, T], put: Callable[[bytearray, T], None]) -> None:
    """Append a MAP with TEXT keys."""
    put_pairs(out, [(_encoded(put_text, k), _encoded(put, v)) for k, v in items.items()])


def put_u32_map(out: bytearray, items: dict[int, T], put: Callable[[bytearray, T], None]) -> None:
    """Append a MAP with UVARINT keys of at most 32 bits."""
    put_pairs(out, [(_encoded(put_u32, k), _encoded(put, v)) for k, v in items.items()])


def put_u8(out: bytearray, value: int) -> None:
    put_uint(out, value, 8)


def put_u16(out: bytearray, value: int) -> None:
    put_uint(out, value, 16)


def put_u32(out: bytearray, value: int) -> None:
    put_uint(out, value, 32)


def put_u64(out: bytearray, value: int) -> None:
    put_uint(out, value, 64)


class Writes(Protocol):
    """What has canonical bytes: a generated struct or a Hash."""

    def write(self, out: bytearray) -> None:
        """Append them."""
        ...


def put_struct(out: bytearray, value: Writes) -> None:
    value.write(out)
