"""The JSON view of canonical bytes (RFC-MYTHOS-0001 §6): render and parse are
each other's inverse, up to white space, escapes and member order in the text::

    NULL, false, true         null, false, true
    UVARINT 0..2^53-1         5            others {"$u64":"18446744073709551615"}
    IVARINT -2^53+1..-1       -5           others {"$i64":"5"}
    BYTES                     {"$bytes":"dead"}
    TEXT, LIST                "a", [1,2]
    MAP with plain TEXT keys  {"a":1}      others {"$map":[[1,"a"]]}

It is for people and command lines, and never hashed or signed.
"""

from __future__ import annotations

import re
from typing import NoReturn

from . import can
from .fault import fail

MAX_NUMBER = (1 << 53) - 1
"""The largest magnitude of a JSON number here: readers that hold numbers as
doubles would round above it."""

_U64 = re.compile(r"0|[1-9][0-9]{0,19}")
_I64 = re.compile(r"0|-?[1-9][0-9]{0,18}")
_NUMBER = re.compile(rb"0|-?[1-9][0-9]{0,15}")
_NUMBER_RUN = re.compile(rb"[-+.0-9eE]*")
_HEX = re.compile(r"(?:[0-9a-f]{2})*")
_STOP = re.compile(rb'["\\\x00-\x1f]')
_SPACE = re.compile(rb"[ \t\n\r]*")

# What JSON demands and, so that text from outside is safe on a terminal and in
# a script, DEL, the C1 controls, line separators and directional controls. The
# set is fixed, not a Unicode property, so that it is the same everywhere.
_ESCAPED = re.compile('[\\x00-\\x1f"\\\\\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quote(text: str) -> str:
    """Return text as a JSON string with the escapes of the view."""
    return '"' + _ESCAPED.sub(lambda m: _SHORT.get(m[0]) or f"\\u{ord(m[0]):04x}", text) + '"'


def render(raw: bytes) -> str:
    """Return the JSON view of exactly one canonical value, on one line."""
    can.check(raw)
    return _render(can.Reader(raw))


def _render(r: can.Reader) -> str:
    tag = r.kind()
    if tag == can.NULL:
        r.get_null()
        return "null"
    if tag == can.FALSE or tag == can.TRUE:
        return "true" if r.get_bool() else "false"
    if tag == can.UINT:
        number = r.get_u64()
        return str(number) if number <= MAX_NUMBER else f'{{"$u64":"{number}"}}'
    if tag == can.INT:
        number = r.get_i64()
        return str(number) if -MAX_NUMBER <= number < 0 else f'{{"$i64":"{number}"}}'
    if tag == can.BYTES:
        return f'{{"$bytes":"{r.get_bytes().hex()}"}}'
    if tag == can.TEXT:
        return quote(r.get_text())
    if tag == can.LIST:
        return "[" + ",".join(r.get_list(_render)) + "]"
    return _render_map(r)


def _render_map(r: can.Reader) -> str:
    pairs = []
    plain = True
    for _ in range(r.open(can.MAP)):
        text = r.kind() == can.TEXT
        key = _render(r)
        plain = plain and text and not key.startswith('"$')
        pairs.append((key, _render(r)))
    r.leave()
    if plain:
        return "{" + ",".join(f"{k}:{v}" for k, v in pairs) + "}"
    return '{"$map":[' + ",".join(f"[{k},{v}]" for k, v in pairs) + "]}"


def parse(text: str | bytes) -> bytes:
    """Return the canonical bytes of the value that text is the JSON view of.

    Codes: json_syntax, json_number, json_text, json_duplicate, json_typed,
    json_depth, json_trailing; offsets count bytes of the text.
    """
    if isinstance(text, str):
        try:
            text = text.encode()
        except UnicodeEncodeError:
            fail("json_text", "the text has a lone surrogate")
    if text.startswith(b"\xef\xbb\xbf"):
        fail("json_text", "the text begins with a byte order mark", 0)
    p = _Parser(bytes(text))
    out = p.value(0)
    p.space()
    if p.at < len(p.text):
        fail("json_trailing", f"{len(p.text) - p.at} bytes after the value", p.at)
    return out


def _clip(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")


class _Parser:
    """A cursor over JSON text; each method returns canonical bytes."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.at = 0

    def space(self) -> None:
        match = _SPACE.match(self.text, self.at)
        assert match is not None  # the pattern matches the empty text
        self.at = match.end()

    def next(self) -> bytes:
        """Step over white space and return the byte there, b"" at the end."""
        self.space()
        return self.text[self.at : self.at + 1]

    def take(self, c: bytes) -> bool:
        if self.next() != c:
            return False
        self.at += 1
        return True

    def want(self, c: bytes) -> None:
        if not self.take(c):
            self.syntax(repr(c.decode()))

    def syntax(self, want: str) -> NoReturn:
        if self.at >= len(self.text):
            fail("json_syntax", f"the text ends where {want} is due", self.at)
        fail("json_syntax", f"got byte {self.text[self.at]:#04x}, want {want}", self.at)

    def value(self, depth: int) -> bytes:
        """Read one value inside depth containers."""
        c = self.next()
        if c == b'"':
            return self.string()
        if c == b"-" or c.isdigit():
            return self.number()
        if c == b"{":
            return self.object(depth)
        if c == b"[":
            return self.array(depth)
        for word, encoded in ((b"null", b"\x00"), (b"true", b"\x02"), (b"false", b"\x01")):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return encoded
        self.syntax("a value")

    def string(self) -> bytes:
        out = bytearray()
        can.put_text(out, self.quoted())
        return bytes(out)

    def number(self) -> bytes:
        """Read an integer; a sign makes it an IVARINT."""
        at = self.at
        match = _NUMBER_RUN.match(self.text, at)
        assert match is not None  # the pattern matches the empty text
        word = match[0]
        self.at = match.end()
        if not _NUMBER.fullmatch(word) or not -MAX_NUMBER <= int(word) <= MAX_NUMBER:
            fail("json_number", f"{_clip(word.decode())} is not an integer from -(2^53-1) to 2^53-1 in plain digits", at)
        out = bytearray()
        if word[:1] == b"-":
            can.put_int(out, int(word))
        else:
            can.put_uint(out, int(word))
        return bytes(out)

    @staticmethod
    def enter(depth: int, at: int) -> None:
        if depth >= can.MAX_DEPTH:
            fail("json_depth", f"more than {can.MAX_DEPTH} containers open", at)

    def array(self, depth: int) -> bytes:
        self.enter(depth, self.at)
        self.want(b"[")
        items = []
        more = not self.take(b"]")
        while more:
            items.append(self.value(depth + 1))
            more = self.another(b"]")
        out = bytearray((can.LIST,))
        can.put_varint(out, len(items))
        return bytes(out) + b"".join(items)

    def another(self, end: bytes) -> bool:
        """Consume the comma before the next item, or end after the last one."""
        if self.take(b","):
            return True
        if not self.take(end):
            self.syntax(f"',' or {end.decode()!r}")
        return False

    def object(self, depth: int) -> bytes:
        """Read a MAP with plain TEXT keys, or one of the four typed forms."""
        at = self.at
        self.want(b"{")
        if self.take(b"}"):
            self.enter(depth, at)
            return b"\x08\x00"
        name_at, name = self.name()
        if name.startswith("$"):
            return self.typed(depth, at, name_at, name)
        self.enter(depth, at)
        entries: list[tuple[bytes, int, bytes]] = []
        more = True
        while more:
            if name.startswith("$"):
                fail("json_typed", f"member {_clip(name)} is not alone in its object", name_at)
            key = bytearray()
            can.put_text(key, name)
            self.want(b":")
            entries.append((bytes(key), name_at, self.value(depth + 1)))
            more = self.another(b"}")
            if more:
                name_at, name = self.name()
        return _map(entries)

    def name(self) -> tuple[int, str]:
        if self.next() != b'"':
            self.syntax("a member name")
        return self.at, self.quoted()

    def typed(self, depth: int, at: int, name_at: int, name: str) -> bytes:
        """Read what follows the name of a typed form."""
        self.want(b":")
        c = self.next()
        if name == "$map":
            self.enter(depth, at)
            out = self.pairs(depth)
        elif name not in ("$u64", "$i64", "$bytes"):
            fail("json_typed", f"{_clip(name)} is none of $u64, $i64, $bytes and $map", name_at)
        elif c != b'"':
            fail("json_typed", f"{name} takes a string", self.at)
        else:
            out = self.scalar(name)
        if self.next() == b",":
            fail("json_typed", f"member {name!r} is not alone in its object", name_at)
        self.want(b"}")
        return out

    def scalar(self, name: str) -> bytes:
        at = self.at
        text = self.quoted()
        out = bytearray()
        if name == "$u64":
            if not _U64.fullmatch(text) or int(text) > can.U64_MAX:
                fail("json_typed", f"{_clip(text)} is not a decimal number from 0 to 2^64-1", at)
            can.put_uint(out, int(text))
        elif name == "$i64":
            if not _I64.fullmatch(text) or not -(1 << 63) <= int(text) < 1 << 63:
                fail("json_typed", f"{_clip(text)} is not a decimal number from -2^63 to 2^63-1", at)
            can.put_int(out, int(text))
        elif not _HEX.fullmatch(text):
            fail("json_typed", "$bytes takes an even number of lowercase hex digits", at)
        else:
            can.put_bytes(out, bytes.fromhex(text))
        return bytes(out)

    def pairs(self, depth: int) -> bytes:
        """Read the array behind $map."""
        if self.next() != b"[":
            fail("json_typed", "$map takes an array of pairs", self.at)
        self.want(b"[")
        entries: list[tuple[bytes, int, bytes]] = []
        more = not self.take(b"]")
        while more:
            if self.next() != b"[":
                fail("json_typed", "$map takes pairs of a key and a value", self.at)
            self.want(b"[")
            self.space()
            at = self.at
            key = self.value(depth + 1)
            self.want(b",")
            entries.append((key, at, self.value(depth + 1)))
            self.want(b"]")
            more = self.another(b"]")
        return _map(entries)

    def quoted(self) -> str:
        """Read a string."""
        self.want(b'"')
        parts: list[str] = []
        start = self.at
        while True:
            stop = _STOP.search(self.text, self.at)
            self.at = stop.start() if stop else len(self.text)
            parts.append(self.utf8(start))
            if not stop:
                self.syntax("'\"'")
            if stop[0] == b'"':
                self.at += 1
                return "".join(parts)
            if stop[0] != b"\\":
                fail("json_syntax", f"control character {stop[0][0]:#04x} in a string", self.at)
            self.at += 1
            parts.append(self.escape())
            start = self.at

    def utf8(self, start: int) -> str:
        try:
            return self.text[start : self.at].decode()
        except UnicodeDecodeError as e:
            fail("json_text", "the text is not valid UTF-8", start + e.start)

    def escape(self) -> str:
        """Return what the escape behind a backslash stands for."""
        at = self.at - 1
        c = self.text[self.at : self.at + 1].decode("latin-1")
        plain = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}.get(c)
        if plain is not None:
            self.at += 1
            return plain
        if c != "u":
            fail("json_syntax", "not an escape of JSON", at)
        self.at += 1
        unit = self.hex4(at)
        if not 0xD800 <= unit < 0xE000:
            return chr(unit)
        low = 0
        if self.text.startswith(b"\\u", self.at):
            self.at += 2
            low = self.hex4(self.at - 2)
        if unit >= 0xDC00 or not 0xDC00 <= low < 0xE000:
            fail("json_text", "a lone surrogate", at)
        return chr(0x10000 + (unit - 0xD800 << 10) + (low - 0xDC00))

    def hex4(self, at: int) -> int:
        """Read four hex digits; at is where the escape began."""
        digits = self.text[self.at : self.at + 4]
        if not re.fullmatch(rb"[0-9a-fA-F]{4}", digits):
            fail("json_syntax", "an escape needs four hex digits", at)
        self.at += 4
        return int(digits, 16)


def _map(entries: list[tuple[bytes, int, bytes]]) -> bytes:
    """Write a MAP; of several repeated keys the first to repeat is named."""
    entries.sort(key=lambda e: (e[0], e[1]))
    twice = [b[1] for a, b in zip(entries, entries[1:]) if a[0] == b[0]]
    if twice:
        fail("json_duplicate", "this key stands in its object before", min(twice))
    out = bytearray()
    can.put_pairs(out, [(key, value) for key, _, value in entries])
    return bytes(out)
