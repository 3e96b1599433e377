"""The contract between an executor and a tool (RFC-MYTHOS-0006 §10)::

    ToolRequest  {1 schema, 2 tool_id, 3 payload bytes, 4 idem_id}
    ToolResponse {1 schema, 2 status u16, 3 payload bytes, 4 error {1 code, 2 message?}?}
    frame        length varint, then that many bytes

A payload is the encoding of exactly one canonical value. request_hash and
response_hash are the SHA-256 of the complete structs, unknown fields included.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from . import can, cid, value
from .cid import Hash
from .fault import MythosError, fail
from .structs import ToolError, ToolIdentity, ToolRequest, ToolResponse

STATUS_OK = 200
MAX_TOOL_NAME = 128
MAX_ERROR_CODE = 128

_NAME = re.compile(r"[a-z0-9]+(?:[._/-][a-z0-9]+)*")


def type_id(name: str) -> Hash:
    """Return the id of a built-in type: any, null, bool, u64, i64, bytes, text,
    list, map.
    """
    return cid.sum(value.encode("mythos.type/" + name))


def tool_id(name: str, interface: int, request_type_id: Hash, response_type_id: Hash) -> Hash:
    """Return the id of a tool (RFC-MYTHOS-0002 §7)."""
    x = ToolIdentity(name=name, interface=interface, request_type_id=request_type_id, response_type_id=response_type_id)
    return cid.sum(x.encode())


def check_tool_name(name: str) -> None:
    """Refuse what is not ^[a-z0-9]+([._/-][a-z0-9]+)*$ of at most 128 bytes."""
    if len(name) > MAX_TOOL_NAME or not _NAME.fullmatch(name):
        fail("abi_tool_name", f"{name[:100]!r} is no tool name: a-z and 0-9, singly separated by . _ / -, at most 128 bytes")


def _check_payload(word: str, payload: bytes) -> None:
    try:
        can.check(payload)
    except MythosError as e:
        fail("abi_payload", f"the {word} payload is not one canonical value: {e}")


def decode_request(raw: bytes) -> ToolRequest:
    """Read a request and check that its payload is one canonical value."""
    x = ToolRequest.decode(raw)
    _check_payload("request", x.payload)
    return x


def decode_response(raw: bytes) -> ToolResponse:
    """Read a response and check status, payload and error."""
    x = ToolResponse.decode(raw)
    if not 100 <= x.status <= 599:
        fail("abi_response", f"status {x.status} is not in 100..599")
    _check_payload("response", x.payload)
    if x.status == STATUS_OK:
        if x.error is not None:
            fail("abi_response", f"status {x.status} carries an error")
        return x
    if x.payload[0] != can.NULL:
        fail("abi_response", f"status {x.status} carries a payload; only {STATUS_OK} may")
    if x.error is not None and not 1 <= len(x.error.code.encode()) <= MAX_ERROR_CODE:
        fail("abi_response", f"an error code has {len(x.error.code.encode())} bytes, want 1 to {MAX_ERROR_CODE}")
    return x


def failure(status: int, code: str, message: str = "") -> bytes:
    """Return the canonical response of a failure: a NULL payload and an error."""
    return ToolResponse(status=status, payload=b"\x00", error=ToolError(code=code, message=message)).encode()


def frame(message: bytes) -> bytes:
    """Return message as one frame."""
    out = bytearray()
    can.put_varint(out, len(message))
    return bytes(out) + message


def read_frame(stream: BinaryIO, limit: int) -> bytes:
    """Read one frame of at most limit bytes, and not one byte more than it."""
    n = _read_length(stream)
    if n > limit:
        fail("abi_frame_too_large", f"a frame of {n} bytes, at most {limit}")
    out = bytearray()
    while len(out) < n:
        more = stream.read(min(n - len(out), 1 << 16))
        if not more:
            fail("abi_frame_truncated", f"the stream ended after {len(out)} of {n} bytes")
        out += more
    return bytes(out)


def _read_length(stream: BinaryIO) -> int:
    """Read the varint in front of a frame byte by byte, since a byte behind it
    may belong to nobody yet.
    """
    head = b""
    while len(head) < 10:
        c = stream.read(1)
        if not c and not head:
            fail("abi_frame_end", "the stream ended without a frame")
        if not c:
            fail("abi_frame_truncated", "the stream ended inside a frame's length")
        head += c
        if c[0] < 0x80:
            break
    try:
        return can.uvarint(head, 0, 0)[0]
    except MythosError as e:
        fail("abi_frame_length", e.message)
