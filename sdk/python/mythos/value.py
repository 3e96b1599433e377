"""Canonical values that no struct describes (RFC-MYTHOS-0001 §2).

Every type of the encoding has one type here, so that none is taken for
another::

    None, False, True       NULL, false, true
    UVarint(5), IVarint(5)  UVARINT, IVARINT: two different values
    bytes, str, list        BYTES, TEXT, LIST
    Map([(key, value)])     MAP, whose keys are any values

encode and decode are each other's inverse; json_view and from_json are the
JSON view (RFC-MYTHOS-0001 §6).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Union

from . import can, jsonview
from .fault import fail


@dataclass(frozen=True, slots=True)
class UVarint:
    """An unsigned integer, 0..2^64-1."""

    value: int


@dataclass(frozen=True, slots=True)
class IVarint:
    """A signed integer, -2^63..2^63-1."""

    value: int


class Map:
    """A MAP: pairs in canonical order, whatever order they were given in.

    Equal keys are refused when it is encoded. Two Maps are equal when their
    encodings are.
    """

    __slots__ = ("pairs",)

    def __init__(self, pairs: Iterable[tuple[Value, Value]] = ()) -> None:
        self.pairs = sorted(pairs, key=lambda pair: encode(pair[0]))

    @classmethod
    def of(cls, members: dict[str, Value]) -> Map:
        """Return the MAP with TEXT keys."""
        return cls(members.items())

    def get(self, key: Value) -> Value:
        """Return the value of key; KeyError if there is none."""
        want = encode(key)
        for k, v in self.pairs:
            if encode(k) == want:
                return v
        raise KeyError(key)

    def __len__(self) -> int:
        return len(self.pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Map) and encode(self) == encode(other)

    def __hash__(self) -> int:
        return hash(encode(self))

    def __repr__(self) -> str:
        return f"Map({self.pairs!r})"


Value = Union[None, bool, UVarint, IVarint, bytes, str, "list[Value]", Map]


def encode(value: Value) -> bytes:
    """Return the canonical bytes of value.

    A plain int is a TypeError: say UVarint or IVarint. Out of range is
    can_range, nested too deeply can_depth, a repeated key can_key_duplicate, a
    lone surrogate can_utf8.
    """
    out = bytearray()
    _put(out, value, 0)
    return bytes(out)


def _put(out: bytearray, value: Value, depth: int) -> None:
    kind = type(value)
    if value is None:
        out.append(can.NULL)
    elif isinstance(value, bool):
        can.put_bool(out, value)
    elif isinstance(value, UVarint):
        can.put_uint(out, value.value)
    elif isinstance(value, IVarint):
        can.put_int(out, value.value)
    elif kind is bytes and isinstance(value, bytes):
        can.put_bytes(out, value)
    elif isinstance(value, str):
        can.put_text(out, value)
    elif isinstance(value, (list, Map)):
        _put_container(out, value, depth)
    else:
        raise TypeError(f"{kind.__name__} is no type of a canonical value")


def _put_container(out: bytearray, value: list[Value] | Map, depth: int) -> None:
    if depth == can.MAX_DEPTH:
        fail("can_depth", f"more than {can.MAX_DEPTH} containers open")
    if isinstance(value, list):
        out.append(can.LIST)
        can.put_varint(out, len(value))
        for item in value:
            _put(out, item, depth + 1)
        return
    pairs = []
    for key, item in value.pairs:
        entry = (bytearray(), bytearray())
        _put(entry[0], key, depth + 1)
        _put(entry[1], item, depth + 1)
        pairs.append((bytes(entry[0]), bytes(entry[1])))
    can.put_pairs(out, pairs)


def decode(raw: bytes) -> Value:
    """Strictly decode raw, which is exactly one canonical value."""
    r = can.Reader(raw)
    value = read(r)
    r.done()
    return value


def read(r: can.Reader) -> Value:
    """Read one value of any shape."""
    tag = r.kind()
    if tag is None or tag > can.MAP or tag == can.NULL:
        r.skip()  # NULL, or the fault
        return None
    if tag <= can.TRUE:
        return r.get_bool()
    if tag == can.UINT:
        return UVarint(r.get_u64())
    if tag == can.INT:
        return IVarint(r.get_i64())
    if tag == can.BYTES:
        return r.get_bytes()
    if tag == can.TEXT:
        return r.get_text()
    if tag == can.LIST:
        return r.get_list(read)
    return _read_map(r)


def _read_map(r: can.Reader) -> Map:
    out = Map()
    prev = b""
    for _ in range(r.open(can.MAP)):
        at = r.off
        key = read(r)
        prev = r.check_key(prev, at)
        out.pairs.append((key, read(r)))
    r.leave()
    return out


def json_view(value: Value) -> str:
    """Return the JSON view of value, one line of ASCII-safe compact JSON."""
    return jsonview.render(encode(value))


def from_json(text: str | bytes) -> Value:
    """Return the value that text is the JSON view of.

    A str with a lone surrogate is json_text at no offset; bytes are what
    offsets count.
    """
    return decode(jsonview.parse(text))
