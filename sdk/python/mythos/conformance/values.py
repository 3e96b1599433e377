"""How values stand in requests and answers: bytes as lower-case hexadecimal,
hashes as ``sha256:...``, u64, i64 and times as decimal strings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .. import can, cid
from ..cid import Hash
from ..fault import MythosError
from ..structs import STRUCTS, AgentID

Input = dict[str, Any]
Output = dict[str, Any]
Op = Callable[[Input], Output]

_HEX = re.compile(r"(?:[0-9a-f]{2})*")
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,19}")


class Unsupported(Exception):
    """An input that this implementation does not claim."""


class BadInput(Exception):
    """An input that the op does not have: the vector is wrong."""


def octets(text: object) -> bytes:
    """Read bytes."""
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise BadInput(f"{text!r:.80} is not lower-case hexadecimal")
    return bytes.fromhex(text)


def digest(text: object) -> Hash:
    """Read a hash."""
    try:
        return cid.parse(str(text))
    except MythosError as e:
        raise BadInput(str(e)) from e


def number(text: object) -> int:
    """Read a u64, an i64 or a time; smaller integers may stand as numbers."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    if not isinstance(text, str) or not _NUMBER.fullmatch(text):
        raise BadInput(f"{text!r:.80} is not a decimal number")
    return int(text)


def agent(text: object) -> AgentID:
    """Read a canonical AgentID; its faults are the answer's."""
    return AgentID.decode(octets(text))


def known_agent(text: object) -> AgentID:
    """Read an AgentID that the vector vouches for."""
    try:
        return agent(text)
    except MythosError as e:
        raise BadInput(str(e)) from e


def decode_type(name: str, raw: bytes) -> can.Writes:
    """Strictly decode a struct of the schema, or a Hash."""
    if name != "Hash":
        if name not in STRUCTS:
            raise MythosError("struct_unknown", f"{name[:80]!r} is no struct of the schema")
        return STRUCTS[name].decode(raw)
    r = can.Reader(raw)
    value = Hash.read(r)
    r.done()
    return value
