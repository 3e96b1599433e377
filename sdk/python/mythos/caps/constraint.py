"""The constraints of a ToolCall scope: a closed vocabulary (RFC-MYTHOS-0008 §4)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .. import can, cid
from ..cid import ZERO, Hash
from ..fault import MythosError
from .pointer import decimal, split

MAX_CONSTRAINTS = 64

_HEX = re.compile(r"(?:[0-9a-f]{2})*")


@dataclass(frozen=True)
class Breach:
    """Why one scope does not cover another, or a use: the code, the row of the
    table in RFC-MYTHOS-0008 §5 or the constraint key, and words.
    """

    code: str
    field: str
    why: str


def unmet(key: str, why: str) -> Breach:
    return Breach("cap_constraint", key, f"constraint {key!r}: {why}")


@dataclass(frozen=True)
class Call:
    """A concrete tool call: what constraints are evaluated against. module is
    the cid of the module that would run; a ledger without an id is ZERO;
    payload is one canonical value.
    """

    tool: Hash
    package: Hash = ZERO
    module: Hash = ZERO
    request_hash: Hash = ZERO
    ledger: Hash = ZERO
    ring: int = 0
    payload: bytes = b"\x00"


def arg(pointer: str, operator: str, value: bytes) -> tuple[str, str]:
    """Return key and text of a constraint about the argument at a JSON pointer
    ("" is the whole payload); operator is eq, le, ge, in or prefix.
    """
    return f"arg{pointer}:{operator}", value.hex()


class Constraint:
    """One parsed entry of a scope's constraints."""

    def tighter(self, parent: Constraint) -> bool:
        """Report whether this restricts at least as much as parent, of one key."""
        raise TypeError(type(self).__name__)

    def denies(self, call: Call, found: dict[str, bytes]) -> str:
        """Say why the call is denied, "" if it holds; found maps pointers to
        the values that the payload has there.
        """
        raise TypeError(type(self).__name__)


@dataclass(frozen=True)
class _Bound(Constraint):
    """package, module, request_hash or ledger equals a hash."""

    key: str
    hash: Hash

    def tighter(self, parent: Constraint) -> bool:
        return self == parent

    def denies(self, call: Call, found: dict[str, bytes]) -> str:
        got: Hash = getattr(call, self.key)
        if self.key == "ledger" and got == ZERO:
            return "the ledger has no id"
        return "" if got == self.hash else f"it is {got}, not {self.hash}"


@dataclass(frozen=True)
class _RingMax(Constraint):
    ring: int

    def tighter(self, parent: Constraint) -> bool:
        return isinstance(parent, _RingMax) and self.ring <= parent.ring

    def denies(self, call: Call, found: dict[str, bytes]) -> str:
        return "" if call.ring <= self.ring else f"ring {call.ring} exceeds {self.ring}"


@dataclass(frozen=True)
class Arg(Constraint):
    """A rule about the value at a pointer; value is one canonical value."""

    pointer: str
    operator: str
    value: bytes

    def tighter(self, parent: Constraint) -> bool:
        if not isinstance(parent, Arg):
            return False
        if self.operator == "in":
            return set(_items(self.value)) <= set(_items(parent.value))
        # For the other operators, that the parent admits the child's own
        # operand is the subset rule: equal, lower, higher, begins with.
        return parent.admits(self.value)

    def denies(self, call: Call, found: dict[str, bytes]) -> str:
        value = found.get(self.pointer)
        if value is None:
            return "the request has no one value there"
        return "" if self.admits(value) else f"{self.operator} does not hold for the request's value"

    def admits(self, value: bytes) -> bool:
        """Report whether the operator holds for a canonical value."""
        if self.operator == "eq":
            return value == self.value
        if self.operator == "in":
            return value in _items(self.value)
        if self.operator == "prefix":
            return value[0] == self.value[0] and _content(value).startswith(_content(self.value))
        got, want = _integer(value), _integer(self.value)
        if got is None or want is None:
            return False
        return got <= want if self.operator == "le" else got >= want


Constraints = dict[str, Constraint]


def parse_constraints(entries: dict[str, str]) -> Constraints | Breach:
    """Read the closed vocabulary; a Breach if an entry is outside it."""
    if len(entries) > MAX_CONSTRAINTS:
        return Breach("cap_constraint", "", f"{len(entries)} constraints, at most {MAX_CONSTRAINTS}")
    out: Constraints = {}
    for key in sorted(entries):
        parsed = _parse(key, entries[key])
        if isinstance(parsed, str):
            return unmet(key, parsed)
        out[key] = parsed
    return out


def _parse(key: str, text: str) -> Constraint | str:
    """Return the constraint, or why it is none."""
    if key in ("package", "module", "request_hash", "ledger"):
        try:
            return _Bound(key, cid.parse("sha256:" + text if key == "ledger" else text))
        except MythosError:
            return "the value is not 64 lowercase hex digits" + ("" if key == "ledger" else " behind sha256:")
    if key == "ring_max":
        ring = decimal(text)
        return _RingMax(ring) if ring is not None and ring <= 255 else "the value is not a decimal of 0..255"
    return _parse_arg(key, text)


def _parse_arg(key: str, text: str) -> Constraint | str:
    pointer, colon, operator = key.removeprefix("arg").rpartition(":")
    if not key.startswith("arg") or not colon:
        return "the vocabulary has no such key"
    if split(pointer) is None:
        return "the vocabulary has no such key: arg is followed by a JSON pointer"
    if not _HEX.fullmatch(text):
        return "the value is not lowercase hex"
    value = bytes.fromhex(text)
    try:
        can.check(value)
    except MythosError as e:
        return f"the value is not one canonical value: {e}"
    return _bad_operand(operator, value[0]) or Arg(pointer, operator, value)


def _bad_operand(operator: str, tag: int) -> str:
    """Say why a value of that type does not suit the operator."""
    want = {
        "eq": range(can.NULL, can.MAP + 1),
        "le": (can.UINT, can.INT),
        "ge": (can.UINT, can.INT),
        "in": (can.LIST,),
        "prefix": (can.TEXT, can.BYTES),
    }.get(operator)
    if want is None:
        return "the vocabulary has no such operator"
    return "" if tag in want else f"{operator} does not take {can.tag_name(tag)}"


def loosened(child: Constraints, parent: Constraints) -> Breach | None:
    """Say why child is no subset of parent: a key that was dropped or loosened.
    New keys are allowed, they only restrict.
    """
    for key, want in parent.items():
        if key not in child:
            return unmet(key, "it was dropped")
        if not child[key].tighter(want):
            return unmet(key, "it was loosened")
    return None


def _integer(value: bytes) -> int | None:
    if value[0] == can.UINT:
        return can.Reader(value).get_u64()
    if value[0] == can.INT:
        return can.Reader(value).get_i64()
    return None


def _items(value: bytes) -> list[bytes]:
    """Return the items of a canonical LIST."""
    return can.Reader(value).get_list(can.Reader.get_raw)


def _content(value: bytes) -> bytes:
    """Return the content of canonical TEXT or BYTES."""
    n, start = can.uvarint(value, 1, 0)
    return value[start : start + n]
