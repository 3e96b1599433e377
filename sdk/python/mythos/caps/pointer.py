"""JSON pointers (RFC 6901) into canonical values (RFC-MYTHOS-0008 §4)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from .. import can
from ..fault import MythosError

_BAD_TILDE = re.compile(r"~(?![01])")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,19}")


def decimal(s: str) -> int | None:
    """Read a u64 in plain digits without leading zeros."""
    if not _DECIMAL.fullmatch(s) or int(s) > can.U64_MAX:
        return None
    return int(s)


def split(pointer: str) -> list[str] | None:
    """Read a JSON pointer into its tokens."""
    if not pointer:
        return []
    if pointer[0] != "/" or _BAD_TILDE.search(pointer):
        return None
    return [t.replace("~1", "/").replace("~0", "~") for t in pointer[1:].split("/")]


@dataclass
class _Probe:
    """Looks for the value at one pointer."""

    tokens: list[str]
    value: bytes | None = None  # None: missing
    denied: bool = False  # a MAP on the way has the token as TEXT and as UVARINT


@dataclass
class _Way:
    """The probes that take the same way out of a container."""

    probes: list[_Probe] = field(default_factory=list)
    taken: bool = False


def resolve(payload: bytes, pointers: Iterable[str]) -> dict[str, bytes]:
    """Return the canonical values that payload has at the pointers; what is
    missing or ambiguous is left out. It walks the payload once, however many
    pointers there are, because both come from outside.
    """
    probes: dict[str, _Probe] = {}
    for p in pointers:
        tokens = split(p)
        if tokens is not None:
            probes[p] = _Probe(tokens)
    r = can.Reader(payload)
    try:
        _walk(r, list(probes.values()), 0)
        r.done()
    except MythosError:
        return {}
    return {p: x.value for p, x in probes.items() if x.value is not None and not x.denied}


def _walk(r: can.Reader, probes: list[_Probe], used: int) -> None:
    """Read one value that the first used tokens of every probe lead to."""
    start = r.off
    deeper = [p for p in probes if len(p.tokens) > used]
    tag = r.kind()
    if deeper and tag == can.MAP:
        _walk_map(r, deeper, used)
    elif deeper and tag == can.LIST:
        _walk_list(r, deeper, used)
    else:
        r.skip()
    for p in probes:
        if len(p.tokens) == used:
            p.value = r.buf[start : r.off]


def _walk_map(r: can.Reader, probes: list[_Probe], used: int) -> None:
    texts, numbers = _ways(probes, used)
    prev = b""
    for _ in range(r.open(can.MAP)):
        at = r.off
        way = None
        tag = r.kind()
        if tag == can.TEXT:
            way = texts.get(r.get_text())
        elif tag == can.UINT:
            way = numbers.get(r.get_u64())
        else:
            r.skip()
        prev = r.check_key(prev, at)
        _take(r, way, used)
    r.leave()


def _walk_list(r: can.Reader, probes: list[_Probe], used: int) -> None:
    _, numbers = _ways(probes, used)
    for i in range(r.open(can.LIST)):
        _take(r, numbers.get(i), used)
    r.leave()


def _ways(probes: list[_Probe], used: int) -> tuple[dict[str, _Way], dict[int, _Way]]:
    """Group probes by their next token: under its text, and under the number
    that it is in canonical decimal.
    """
    texts: dict[str, _Way] = {}
    numbers: dict[int, _Way] = {}
    for p in probes:
        token = p.tokens[used]
        way = texts.setdefault(token, _Way())
        way.probes.append(p)
        number = decimal(token)
        if number is not None:
            numbers[number] = way
    return texts, numbers


def _take(r: can.Reader, way: _Way | None, used: int) -> None:
    """Read the next value, for the probes of way if there are any. A way that
    is taken twice is ambiguous and denies.
    """
    if way is None:
        r.skip()
    elif way.taken:
        for p in way.probes:
            p.denied = True
        r.skip()
    else:
        way.taken = True
        _walk(r, way.probes, used + 1)
