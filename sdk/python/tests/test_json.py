"""The JSON view: RFC-MYTHOS-0001 §6."""

from __future__ import annotations

from mythos import jsonview, value
from mythos.value import IVarint, Map, UVarint, Value

from .support import Case, unhex

VIEWS: list[tuple[str, str]] = [
    ("07 03 03 01 04 02 00", '[1,{"$i64":"1"},null]'),
    ("08 01 03 01 06 01 61", '{"$map":[[1,"a"]]}'),
    ("08 01 06 01 61 03 01", '{"a":1}'),
    ("08 01 06 02 24 61 03 01", '{"$map":[["$a",1]]}'),
    ("08 00", "{}"),
    ("07 02 01 02", "[false,true]"),
    ("05 02 de ad", '{"$bytes":"dead"}'),
    ("04 01", "-1"),
    ("04 00", '{"$i64":"0"}'),
    ("03 ff ff ff ff ff ff ff 0f", "9007199254740991"),
    ("03 80 80 80 80 80 80 80 10", '{"$u64":"9007199254740992"}'),
    ("03 ff ff ff ff ff ff ff ff ff 01", '{"$u64":"18446744073709551615"}'),
    ("04 fd ff ff ff ff ff ff 1f", "-9007199254740991"),
    ("04 ff ff ff ff ff ff ff ff ff 01", '{"$i64":"-9223372036854775808"}'),
    ("06 09 22 5c 0a 0d 09 00 7f c2 9b", '"\\"\\\\\\n\\r\\t\\u0000\\u007f\\u009b"'),
    ("06 07 f0 9f 98 80 ef bb bf", '"\U0001f600\\ufeff"'),
    ("06 0b e2 80 a8 e2 81 a6 d8 9c e2 80 8e", '"\\u2028\\u2066\\u061c\\u200e"'),
]

REFUSED: list[tuple[str | bytes, str, int | None]] = [
    ("", "json_syntax", 0),
    ("nul", "json_syntax", 0),
    ("[1,]", "json_syntax", 3),
    ('{"a"}', "json_syntax", 4),
    ('"a', "json_syntax", 2),
    ('"\n"', "json_syntax", 1),
    ('"\\x"', "json_syntax", 1),
    ('"\\u12g4"', "json_syntax", 1),
    ("\ufeff1", "json_text", 0),
    (b'"\xff"', "json_text", 1),
    (b'"ab\xed\xa0\x80"', "json_text", 3),
    ('"\\ud83d"', "json_text", 1),
    ('"a\\ude00"', "json_text", 2),
    ('"\\ud83d\\u0041"', "json_text", 1),
    ("\ud800", "json_text", None),
    ("-0", "json_number", 0),
    ("01", "json_number", 0),
    ("1.0", "json_number", 0),
    ("1e3", "json_number", 0),
    (" 9007199254740992", "json_number", 1),
    ("-9007199254740992", "json_number", 0),
    ("1" * 5000, "json_number", 0),
    ('{"a":1,"a":2}', "json_duplicate", 7),
    ('{"b":1,"a":2,"a":3,"b":4}', "json_duplicate", 13),
    ('{"$map":[[1,1],[1,2]]}', "json_duplicate", 16),
    ('{"$map":[[1,1],[{"$u64":"1"},2]]}', "json_duplicate", 16),
    ('{"$x":1}', "json_typed", 1),
    ('{"$u64":1}', "json_typed", 8),
    ('{"$u64":"01"}', "json_typed", 8),
    ('{"$u64":"18446744073709551616"}', "json_typed", 8),
    ('{"$i64":"-0"}', "json_typed", 8),
    ('{"$i64":"9223372036854775808"}', "json_typed", 8),
    ('{"$bytes":"DE"}', "json_typed", 10),
    ('{"$bytes":"abc"}', "json_typed", 10),
    ('{"$bytes":"a b"}', "json_typed", 10),
    ('{"$bytes":"","a":1}', "json_typed", 1),
    ('{"a":1,"$bytes":""}', "json_typed", 7),
    ('{"$map":1}', "json_typed", 8),
    ('{"$map":[1]}', "json_typed", 9),
    ('{"$map":[[1]]}', "json_syntax", 11),
    ("[" * 33, "json_depth", 32),
    ('{"a":' * 33, "json_depth", 160),
    ("1 1", "json_trailing", 2),
    ("nullx", "json_trailing", 4),
]


class JSONView(Case):
    def test_published_views(self) -> None:
        for text, view in VIEWS:
            with self.subTest(view):
                raw = unhex(text)
                self.assertEqual(value.json_view(value.decode(raw)), view)
                self.assertEqual(jsonview.parse(view), raw)

    def test_refusals(self) -> None:
        for text, code, offset in REFUSED:
            with self.subTest(text):
                self.refused(code, jsonview.parse, text, offset=offset)

    def test_other_ways_to_write_it(self) -> None:
        cases: list[tuple[str, Value]] = [
            (' { "b" : [ ] , "a" : "\\u0061\\/\\b\\f\\ud83d\\uDE00" } ', Map.of({"a": "a/\b\f\U0001f600", "b": []})),
            (
                '{"$map":[[2,1],[{"$i64":"1"},2],["$",3]]}',
                Map([(UVarint(2), UVarint(1)), (IVarint(1), UVarint(2)), ("$", UVarint(3))]),
            ),
            ('{"$u64":"5"}', UVarint(5)),
            ('{"$i64":"-5"}', IVarint(-5)),
            ("0", UVarint(0)),
        ]
        for text, want in cases:
            with self.subTest(text):
                self.assertEqual(value.from_json(text), want)

    def test_refuses_what_is_not_canonical(self) -> None:
        self.refused("can_varint", jsonview.render, b"\x03\x80\x00", offset=0)
        self.refused("can_trailing", jsonview.render, b"\x00\x00", offset=1)
