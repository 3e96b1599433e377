"""Every generated struct, against values made from the schema alone."""

from __future__ import annotations

import unittest

from mythos import can, sig, structs, value
from mythos.fault import MythosError

from . import schema
from .support import REPOSITORY, Case, missing, unhex

# What each mutation may be refused with, by its name.
EXPECTED = {
    "dropped": {"can_missing"},
    "twice": {"can_key_duplicate"},
    "cut": {"can_truncated", "can_bounds", "can_missing"},
    "longer": {"can_trailing"},
    "empty": {"can_empty", "can_default"},
    "type": {
        "can_type",
        "can_missing",
        "can_range",
        "can_length",
        "can_empty",
        "can_default",
        "schema_mismatch",
        "can_unknown_field",
    }
    | {"can_key_order", "can_field_number", "hash_alg"},
    "moved": {"can_key_order", "can_missing", "can_unknown_field"},
}


def load(test: unittest.TestCase) -> schema.Maker:
    path = REPOSITORY / "spec" / "schema.can"
    if not path.exists():
        missing(test, "spec/schema.can is not there: the generated structs are NOT checked against it.")
    return schema.Maker(schema.parse(path), 4)


class Structs(Case):
    def test_one_for_each(self) -> None:
        shapes = load(self).shapes
        self.assertEqual(set(structs.STRUCTS) | {"Hash"}, set(shapes))
        for name, kind in structs.STRUCTS.items():
            seal = kind.SEAL
            self.assertEqual(
                (seal.id_field, seal.signature_field) if seal else (0, 0), (shapes[name].id, shapes[name].signature), name
            )

    def test_round_trip_and_unknown_fields(self) -> None:
        maker = load(self)
        for name, kind in structs.STRUCTS.items():
            for _ in range(5):
                raw = value.encode(maker.struct(name))
                x = kind.decode(raw)
                self.assertEqual(x.encode(), raw, name)
                self.assertEqual(kind.decode(bytearray(raw)), x)
                longer = schema.join([*schema.split(value.decode(raw)), (unhex("03 7f"), b"\x07\x00")])
                if maker.shapes[name].closed:
                    self.refused("can_unknown_field", kind.decode, longer, offset=len(raw))
                else:
                    self.assertEqual(kind.decode(longer), x)

    def test_mutations(self) -> None:
        maker = load(self)
        for name, kind in structs.STRUCTS.items():
            for mutation, raw in schema.mutants(maker, name):
                try:
                    x = kind.decode(raw)
                except MythosError as e:
                    self.assertLessEqual(e.offset or 0, len(raw))
                    if mutation in EXPECTED:
                        self.assertIn(e.code, EXPECTED[mutation], (name, mutation, raw.hex()))
                    self.assertNotEqual(mutation, "valid", (name, raw.hex(), e))
                    continue
                self.assertNotIn(mutation, ("twice", "cut", "longer", "empty"), (name, raw.hex()))
                again = x.encode()
                self.assertEqual(kind.decode(again), x)
                can.check(raw)

    def test_ids_cover_unknown_fields(self) -> None:
        maker = load(self)
        sealed = {name: kind for name, kind in structs.STRUCTS.items() if kind.SEAL and not maker.shapes[name].closed}
        self.assertIn("Receipt", sealed)
        for name, kind in sealed.items():
            raw = value.encode(maker.struct(name))
            longer = schema.join([*schema.split(value.decode(raw)), (unhex("03 7f"), b"\x00")])
            self.assertNotEqual(sig.object_id(kind, longer), sig.object_id(kind, raw))
            self.assertEqual(sig.object_id(kind, kind.decode(longer).encode()), sig.object_id(kind, raw))

    def test_writing_refuses_what_no_reader_takes(self) -> None:
        agent = structs.AgentID(scheme=256, key=bytes(32))
        self.refused("can_range", agent.encode)
        self.refused("can_length", structs.AgentID(scheme=1, key=bytes(31)).encode)
        self.assertRaises(TypeError, structs.ToolError(code=b"x").encode)
        self.assertRaises(TypeError, structs.Entrypoint)

    def test_closed_where_the_parent_is(self) -> None:
        maker = load(self)
        budget = maker.struct("Budget")
        open_ = schema.join([*schema.split(budget), (unhex("03 7f"), b"\x00")])
        self.assertEqual(structs.Budget.decode(open_), structs.Budget.decode(value.encode(budget)))
        r = can.Reader(open_)
        self.refused("can_unknown_field", structs.Budget.read_closed, r, offset=len(open_) - 3)
