"""The encoding: RFC-MYTHOS-0001 §2."""

from __future__ import annotations

import random

from mythos import can, structs, value
from mythos.can import Reader
from mythos.cid import Hash
from mythos.fault import MythosError
from mythos.value import IVarint, Map, UVarint

from .support import Case, unhex

# RFC-MYTHOS-0001 §2.1.
ENCODINGS: list[tuple[value.Value, str]] = [
    (None, "00"),
    (False, "01"),
    (True, "02"),
    (UVarint(0), "03 00"),
    (UVarint(127), "03 7f"),
    (UVarint(128), "03 80 01"),
    (UVarint(300), "03 ac 02"),
    (UVarint(2**64 - 1), "03 ff ff ff ff ff ff ff ff ff 01"),
    (IVarint(0), "04 00"),
    (IVarint(-1), "04 01"),
    (IVarint(1), "04 02"),
    (IVarint(-64), "04 7f"),
    (IVarint(64), "04 80 01"),
    (IVarint(2**63 - 1), "04 fe ff ff ff ff ff ff ff ff 01"),
    (IVarint(-(2**63)), "04 ff ff ff ff ff ff ff ff ff 01"),
    (b"\xde\xad", "05 02 de ad"),
    ("h\u00e9", "06 03 68 c3 a9"),
    ("\x00\ufeff", "06 04 00 ef bb bf"),
    ([UVarint(1), IVarint(1), None], "07 03 03 01 04 02 00"),
    (Map(), "08 00"),
    # RFC-MYTHOS-0001 §2.5
    (Map([(UVarint(n), None) for n in (127, 128, 129, 256)]), "08 04  03 7f 00  03 80 01 00  03 80 02 00  03 81 01 00"),
    (
        Map([("b", UVarint(2)), ("aa", UVarint(3)), (UVarint(5), UVarint(4)), ("a", UVarint(1)), (b"z", UVarint(5))]),
        "08 05  03 05 03 04  05 01 7a 03 05  06 01 61 03 01  06 01 62 03 02  06 02 61 61 03 03",
    ),
    (Map([(IVarint(5), True), (UVarint(5), False)]), "08 02 03 05 01 04 0a 02"),
    (Map([(Map(), [b""]), ([], "")]), "08 02 07 00 06 00 08 00 07 01 05 00"),
]

# Bytes, what they are read as, code and offset: RFC-MYTHOS-0001 §2.3, and more.
REFUSED: list[tuple[str, str, str, int]] = [
    ("", "any", "can_truncated", 0),
    ("03", "any", "can_truncated", 0),
    ("03 80", "any", "can_truncated", 0),
    ("03 80 00", "any", "can_varint", 0),
    ("03 80 80 80 80 80 80 80 80 80 00", "any", "can_varint", 0),
    ("03 ff ff ff ff ff ff ff ff ff 02", "any", "can_overflow", 0),
    ("03 ff ff ff ff ff ff ff ff ff 81 00", "any", "can_overflow", 0),
    ("09", "any", "can_tag", 0),
    ("ff", "any", "can_tag", 0),
    ("07 02 00", "any", "can_bounds", 0),
    ("07 01 05 02 de", "any", "can_bounds", 2),
    ("05 ff ff ff ff ff ff ff ff ff 01", "any", "can_bounds", 0),
    ("08 02 00 00 01", "any", "can_bounds", 0),
    ("08 01 00", "any", "can_bounds", 0),
    ("08 01 03 80", "any", "can_truncated", 2),
    ("06 01 ff", "any", "can_utf8", 0),
    ("06 02 c0 80", "any", "can_utf8", 0),
    ("06 03 ed a0 80", "any", "can_utf8", 0),
    ("06 04 f4 90 80 80", "any", "can_utf8", 0),
    ("00 00", "any", "can_trailing", 1),
    ("08 02 03 02 00 03 01 00", "any", "can_key_order", 5),
    ("08 02 03 01 00 03 01 00", "any", "can_key_duplicate", 5),
    ("08 02 03 01 00 03 01 09", "any", "can_key_duplicate", 5),
    ("08 02 03 01 00 09 00", "any", "can_tag", 5),
    ("07 01 " * 32 + "07 00", "any", "can_depth", 64),
    ("08 01 " * 32 + "07 00 00 " + "00 " * 32, "any", "can_depth", 64),
    ("08 01 06 01 61 00", "ToolError", "can_field_number", 2),
    ("08 01 04 02 00", "ToolError", "can_field_number", 2),
    ("08 01 09 00", "ToolError", "can_field_number", 2),
    ("08 01 03 80 01 00", "ToolError", "can_field_number", 2),
    ("08 01 03 00 00", "ToolError", "can_field_number", 2),
    ("08 01 03 80", "ToolError", "can_truncated", 2),
    ("08 01 03 80 00", "ToolError", "can_varint", 2),
    ("08 00", "ToolError", "can_missing", 2),
    ("08 02 03 01 06 00 03 01 00", "ToolError", "can_key_duplicate", 6),
    ("08 02 03 02 06 01 61 03 01 06 00", "ToolError", "can_missing", 2),
    ("08 02 03 01 06 01 61 03 02 06 00", "ToolError", "can_empty", 9),
    ("08 03 03 01 06 00 03 03 00 03 02 06 00", "ToolError", "can_key_order", 9),
    ("08 02 03 01 06 00 03 03 09", "ToolError", "can_tag", 8),
    ("08 02 03 01 06 00 03 03 00 00", "ToolError", "can_trailing", 9),
    ("04 02", "ToolError", "can_type", 0),
    ("08 01 03 01 03 01", "Hash", "can_missing", 6),
    ("08 02 03 01 03 02 03 02 05 00", "Hash", "hash_alg", 4),
    ("08 02 03 01 03 80 02 03 02 05 00", "Hash", "can_range", 4),
    ("08 02 03 01 03 01 03 02 05 01 00", "Hash", "can_length", 8),
    ("08 02 03 01 03 01 03 03 00", "Hash", "can_missing", 6),
    ("08 03 03 01 03 01 03 02 05 20 " + "00 " * 32 + "03 03 00", "Hash", "can_unknown_field", 42),
    ("08 01 03 01 03 80 02", "Runtime", "can_type", 4),
    ("08 02 03 01 03 80 02 03 02 03 00", "ExprPath", "can_range", 4),
    ("08 01 03 01 06 01 61", "ToolRequest", "schema_mismatch", 4),
]


class Encoding(Case):
    def test_published_encodings(self) -> None:
        for v, text in ENCODINGS:
            with self.subTest(text):
                self.assertEqual(value.encode(v), unhex(text))
                self.assertEqual(value.decode(unhex(text)), v)
                can.check(unhex(text))

    def test_refusals(self) -> None:
        for text, kind, code, offset in REFUSED:
            with self.subTest(text, kind=kind):
                raw = unhex(text)
                if kind == "any":
                    self.refused(code, value.decode, raw, offset=offset)
                    self.refused(code, can.check, raw, offset=offset)
                elif kind == "Hash":
                    self.refused(code, _read_hash, raw, offset=offset)
                else:
                    self.refused(code, structs.STRUCTS[kind].decode, raw, offset=offset)

    def test_integers(self) -> None:
        read = {"u8": Reader.get_u8, "u16": Reader.get_u16, "u32": Reader.get_u32}
        for bits, name in ((8, "u8"), (16, "u16"), (32, "u32")):
            top = value.encode(UVarint(2**bits - 1))
            self.assertEqual(read[name](Reader(top)), 2**bits - 1)
            self.refused("can_range", read[name], Reader(value.encode(UVarint(2**bits))), offset=0)
            self.refused("can_type", read[name], Reader(b"\x04\x02"), offset=0)
            self.refused("can_range", can.put_uint, bytearray(), 2**bits, bits)
        self.refused("can_range", can.put_uint, bytearray(), -1)
        self.refused("can_range", can.put_int, bytearray(), 2**63)

    def test_depth(self) -> None:
        deep = unhex("07 01" * 31 + "07 00")
        self.assertEqual(value.encode(value.decode(deep)), deep)
        nested: value.Value = []
        for _ in range(32):
            nested = [nested]
        self.refused("can_depth", value.encode, nested)
        # A container that is a key counts while it is open, and no longer.
        inside = unhex("07 01" * 30 + "08 01 07 00 07 00")
        self.assertEqual(value.encode(value.decode(inside)), inside)
        self.refused("can_depth", value.decode, unhex("07 01" * 31 + "08 01 07 00 00"), offset=64)

    def test_depth_goes_on_in_skipped_fields(self) -> None:
        # One struct is open already: 31 more containers fit into its unknown field.
        def message(lists: int) -> bytes:
            return unhex("08 02 03 01 06 00 03 03") + unhex("07 01") * (lists - 1) + unhex("07 00")

        self.assertEqual(structs.ToolError.decode(message(31)), structs.ToolError(code=""))
        self.refused("can_depth", structs.ToolError.decode, message(32), offset=8 + 62)

    def test_writers_refuse(self) -> None:
        self.assertRaises(TypeError, value.encode, 5)
        self.assertRaises(TypeError, value.encode, Hash(bytes(32)))
        self.assertRaises(TypeError, value.encode, [1.5])
        self.assertRaises(TypeError, can.put_uint, bytearray(), True)
        self.refused("can_key_duplicate", value.encode, Map([("a", None), ("a", True)]))
        self.refused("can_utf8", value.encode, "\ud800")
        self.refused("can_truncated", can.put_raw, bytearray(), b"")
        self.refused("can_length", can.put_fixed, bytearray(), b"a", 2)

    def test_types_differ(self) -> None:
        self.assertNotEqual(UVarint(5), IVarint(5))
        self.assertNotEqual(value.encode(b"a"), value.encode("a"))
        m = Map([(UVarint(5), "u"), (IVarint(5), "i")])
        self.assertEqual((m.get(UVarint(5)), m.get(IVarint(5)), len(m)), ("u", "i", 2))
        self.assertRaises(KeyError, m.get, "5")
        self.assertEqual(m, Map(reversed(m.pairs)))

    def test_random_bytes_and_bit_flips(self) -> None:
        rng = random.Random(20260101)
        for _ in range(2000):
            v = _random_value(rng, 3)
            raw = value.encode(v)
            self.assertEqual(value.encode(value.decode(raw)), raw)
            flipped = bytearray(raw)
            flipped[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
            self._strict(bytes(flipped))
            self._strict(rng.randbytes(rng.randrange(12)))

    def _strict(self, raw: bytes) -> None:
        """Bytes either are the one encoding of a value, or are refused alike."""
        try:
            v = value.decode(raw)
        except MythosError as e:
            self.refused(e.code, can.check, raw, offset=e.offset)
            return
        self.assertEqual(value.encode(v), raw)
        can.check(raw)


def _read_hash(raw: bytes) -> Hash:
    r = Reader(raw)
    h = Hash.read(r)
    r.done()
    return h


def _random_value(rng: random.Random, depth: int) -> value.Value:
    kind = rng.randrange(7 if depth == 0 else 9)
    if kind < 3:
        return (None, False, True)[kind]
    if kind == 3:
        return UVarint(rng.getrandbits(rng.randrange(65)))
    if kind == 4:
        return IVarint(rng.getrandbits(rng.randrange(64)) * rng.choice((1, -1)))
    if kind == 5:
        return rng.randbytes(rng.randrange(140))
    if kind == 6:
        return "".join(rng.choice("a\u00e9\u20ac\U0001f600\0") for _ in range(rng.randrange(5)))
    items = [_random_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 7:
        return items
    return Map({value.encode(k): (k, _random_value(rng, depth - 1)) for k in items}.values())


class Without(Case):
    def test_cuts_original_bytes(self) -> None:
        raw = unhex("08 04 03 01 00 03 02 01 03 09 07 01 00 03 7f 02")
        self.assertEqual(can.without(raw), raw)
        self.assertEqual(can.without(raw, 1, 127), unhex("08 02 03 02 01 03 09 07 01 00"))
        self.assertEqual(can.without(raw, 5), raw)
        self.assertEqual(can.without(raw, 1, 2, 9, 127), unhex("08 00"))

    def test_refuses(self) -> None:
        self.refused("can_type", can.without, b"\x07\x00", 1, offset=0)
        self.refused("can_trailing", can.without, b"\x08\x00\x00", 1, offset=2)
        self.refused("can_field_number", can.without, unhex("08 01 06 00 00"), 1, offset=2)
        self.refused("can_key_order", can.without, unhex("08 02 03 02 00 03 01 00"), 1, offset=5)
