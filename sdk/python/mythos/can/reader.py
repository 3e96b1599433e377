"""The strict reader: a cursor that raises at the first fault, with the code and
offset of RFC-MYTHOS-0001 §2.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..fault import fail

K = TypeVar("K")
T = TypeVar("T")

NULL, FALSE, TRUE, UINT, INT, BYTES, TEXT, LIST, MAP = range(9)

MAX_DEPTH = 32
"""How many LIST or MAP may be open at once (RFC-MYTHOS-0001 §2.4)."""

U64_MAX = (1 << 64) - 1

_NAMES = ("NULL", "false", "true", "UVARINT", "IVARINT", "BYTES", "TEXT", "LIST", "MAP")


def tag_name(tag: int) -> str:
    """Return the name of a tag, for messages."""
    return _NAMES[tag] if tag < len(_NAMES) else "unknown tag"


def uvarint(buf: bytes, off: int, at: int) -> tuple[int, int]:
    """Decode one strict LEB128 value at off; return it and the offset behind it.

    Faults are reported at offset at.
    """
    value = shift = 0
    end = len(buf)
    while off < end:
        c = buf[off]
        off += 1
        if shift == 63 and c > 1:
            fail("can_overflow", "a varint exceeds 64 bits", at)
        if c < 0x80:
            if c == 0 and shift:
                fail("can_varint", "a varint is not minimal", at)
            return value | c << shift, off
        value |= (c & 0x7F) << shift
        shift += 7
    fail("can_truncated", "the input ends inside a varint", at)


class Reader:
    """A cursor over one encoded message."""

    __slots__ = ("buf", "off", "end", "depth")

    def __init__(self, raw: bytes | bytearray | memoryview) -> None:
        self.buf = raw if type(raw) is bytes else bytes(raw)
        self.off = 0
        self.end = len(self.buf)
        self.depth = 0

    def done(self) -> None:
        """Refuse bytes after the value."""
        if self.off != self.end:
            fail("can_trailing", f"{self.end - self.off} bytes after the value", self.off)

    def kind(self) -> int | None:
        """Return the tag of the next value, None at the end."""
        return self.buf[self.off] if self.off < self.end else None

    def _want(self, tag: int) -> None:
        at = self.off
        if at >= self.end:
            fail("can_truncated", f"the input ends where {tag_name(tag)} is due", at)
        got = self.buf[at]
        if got > MAP:
            fail("can_tag", f"unknown tag {got:#04x}", at)
        if got != tag:
            fail("can_type", f"got {tag_name(got)}, want {tag_name(tag)}", at)

    def tagged(self, tag: int) -> int:
        """Consume tag and the varint behind it."""
        off = self.off
        if off + 1 < self.end and self.buf[off] == tag:
            c = self.buf[off + 1]
            if c < 0x80:
                self.off = off + 2
                return c
        self._want(tag)
        value, self.off = uvarint(self.buf, off + 1, off)
        return value

    def get_null(self) -> None:
        self._want(NULL)
        self.off += 1

    def get_bool(self) -> bool:
        tag = self.kind()
        if tag != TRUE and tag != FALSE:
            self._want(TRUE)
        self.off += 1
        return tag == TRUE

    def get_u64(self) -> int:
        return self.tagged(UINT)

    def _uint(self, limit: int) -> int:
        at = self.off
        value = self.tagged(UINT)
        if value > limit:
            fail("can_range", f"got {value}, at most {limit}", at)
        return value

    def get_u8(self) -> int:
        return self._uint(0xFF)

    def get_u16(self) -> int:
        return self._uint(0xFFFF)

    def get_u32(self) -> int:
        return self._uint(0xFFFFFFFF)

    def get_i64(self) -> int:
        value = self.tagged(INT)
        return value >> 1 ^ -(value & 1)

    def _span(self, tag: int) -> bytes:
        at = self.off
        n = self.tagged(tag)
        start = self.off
        if n > self.end - start:
            fail("can_bounds", f"length {n}, {self.end - start} bytes left", at)
        self.off = start + n
        return self.buf[start : self.off]

    def get_bytes(self) -> bytes:
        return self._span(BYTES)

    def get_fixed(self, size: int) -> bytes:
        """Read BYTES of exactly size bytes."""
        at = self.off
        value = self._span(BYTES)
        if len(value) != size:
            fail("can_length", f"got {len(value)} bytes, want {size}", at)
        return value

    def get_text(self) -> str:
        at = self.off
        try:
            return self._span(TEXT).decode()
        except UnicodeDecodeError:
            fail("can_utf8", "TEXT is not valid UTF-8", at)

    def get_schema(self, want: str) -> None:
        """Read the TEXT that names an object's kind."""
        at = self.off
        got = self.get_text()
        if got != want:
            fail("schema_mismatch", f"got schema {got!r}, want {want!r}", at)

    def filled(self, size: int, at: int) -> None:
        """Refuse an optional value that began at offset at and has no size."""
        if size == 0:
            fail("can_empty", "an optional field is present but empty", at)

    def not_default(self, value: bool, at: int) -> None:
        """Refuse an optional bool that is present and false."""
        if not value:
            fail("can_default", "an optional bool is present but equal to its default", at)

    def open(self, tag: int) -> int:
        """Enter a LIST or MAP and return its count; leave must follow."""
        at = self.off
        n = self.tagged(tag)
        left = self.end - self.off
        if n > (left if tag == LIST else left >> 1):
            fail("can_bounds", f"count {n}, {left} bytes left", at)
        if self.depth == MAX_DEPTH:
            fail("can_depth", f"more than {MAX_DEPTH} containers open", at)
        self.depth += 1
        return n

    def leave(self) -> None:
        self.depth -= 1

    def get_list(self, item: Callable[[Reader], T]) -> list[T]:
        """Read a LIST whose items item reads."""
        out = [item(self) for _ in range(self.open(LIST))]
        self.depth -= 1
        return out

    def check_key(self, prev: bytes, at: int) -> bytes:
        """Hold the key from offset at up to here against the one before it."""
        key = self.buf[at : self.off]
        if key <= prev:
            if key == prev:
                fail("can_key_duplicate", "a MAP key stands twice", at)
            fail("can_key_order", "MAP keys are not ascending", at)
        return key

    def _map(self, key: Callable[[Reader], K], item: Callable[[Reader], T]) -> dict[K, T]:
        out: dict[K, T] = {}
        prev = b""
        for _ in range(self.open(MAP)):
            at = self.off
            k = key(self)
            prev = self.check_key(prev, at)
            out[k] = item(self)
        self.depth -= 1
        return out

    def get_text_map(self, item: Callable[[Reader], T]) -> dict[str, T]:
        """Read a MAP with TEXT keys."""
        return self._map(Reader.get_text, item)

    def get_u32_map(self, item: Callable[[Reader], T]) -> dict[int, T]:
        """Read a MAP with UVARINT keys of at most 32 bits."""
        return self._map(Reader.get_u32, item)

    def get_raw(self) -> bytes:
        """Return the validated encoding of the next value."""
        at = self.off
        self.skip()
        return self.buf[at : self.off]

    def skip(self) -> None:
        """Validate and step over one value of any shape."""
        tag = self.kind()
        if tag is None:
            fail("can_truncated", "the input ends where a value is due", self.off)
        if tag <= TRUE:
            self.off += 1
        elif tag <= INT:
            self.tagged(tag)
        elif tag == BYTES:
            self._span(BYTES)
        elif tag == TEXT:
            self.get_text()
        elif tag == LIST:
            for _ in range(self.open(LIST)):
                self.skip()
            self.depth -= 1
        elif tag == MAP:
            self._skip_map()
        else:
            fail("can_tag", f"unknown tag {tag:#04x}", self.off)

    def _skip_map(self) -> None:
        prev = b""
        for _ in range(self.open(MAP)):
            at = self.off
            self.skip()
            prev = self.check_key(prev, at)
            self.skip()
        self.depth -= 1


class Fields:
    """A cursor over the fields of one struct, which ascend.

    Decoding merges two sorted lists: the fields a type knows and those the
    bytes hold. A closed struct refuses fields that it does not know, because
    an ignored field may be a restriction (RFC-MYTHOS-0002 §9).
    """

    __slots__ = ("r", "left", "last", "closed")

    def __init__(self, r: Reader, closed: bool) -> None:
        self.r = r
        self.left = r.open(MAP)
        self.last = 0
        self.closed = closed

    def _peek(self) -> int:
        """Check the next key and return its number without consuming it."""
        r = self.r
        at = r.off
        if at >= r.end:
            fail("can_truncated", "the input ends where a field is due", at)
        if r.buf[at] != UINT:
            fail("can_field_number", f"a struct key is {tag_name(r.buf[at])}, not a field number", at)
        number, _ = uvarint(r.buf, at + 1, at)
        if not 0 < number < 128:
            fail("can_field_number", f"field number {number} is not in 1..127", at)
        if number < self.last:
            fail("can_key_order", f"field {number} stands after field {self.last}", at)
        if number == self.last:
            fail("can_key_duplicate", f"field {number} stands twice", at)
        return number

    def next(self) -> int:
        """Consume the next key and return its number."""
        number = self._peek()
        self._take(number)
        return number

    def _take(self, number: int) -> None:
        self.r.off += 2
        self.left -= 1
        self.last = number

    def has(self, number: int) -> bool:
        """Step up to field number and report whether it is there."""
        r = self.r
        off = r.off
        if self.left and off + 1 < r.end and r.buf[off + 1] == number and r.buf[off] == UINT:
            r.off = off + 2
            self.left -= 1
            self.last = number
            return True
        while self.left:
            got = self._peek()
            if got > number:
                return False
            if got < number and self.closed:
                self._unknown(got)
            self._take(got)
            if got == number:
                return True
            r.skip()
        return False

    def need(self, number: int) -> None:
        """Step to the required field number."""
        if not self.has(number):
            fail("can_missing", f"field {number} is missing", self.r.off)

    def end(self) -> None:
        """Leave the struct."""
        while self.left:
            got = self._peek()
            if self.closed:
                self._unknown(got)
            self._take(got)
            self.r.skip()
        self.r.depth -= 1

    def _unknown(self, number: int) -> None:
        fail("can_unknown_field", f"field {number} is unknown in a closed struct", self.r.off)


def check(raw: bytes) -> None:
    """Refuse bytes that are not exactly one canonical value."""
    r = Reader(raw)
    r.skip()
    r.done()


def without(raw: bytes, *fields: int) -> bytes:
    """Return the struct raw with the entries of the given fields cut out and
    its count rewritten: the preimage of an id, from the ORIGINAL bytes
    (RFC-MYTHOS-0001 §3.2).
    """
    r = Reader(raw)
    s = Fields(r, closed=False)
    kept = s.left
    start = r.off
    out = bytearray()
    while s.left:
        entry = r.off
        number = s.next()
        r.skip()
        if number in fields:
            out += r.buf[start:entry]
            start = r.off
            kept -= 1
    r.leave()
    r.done()
    out += r.buf[start:]
    return bytes((MAP, kept)) + out
