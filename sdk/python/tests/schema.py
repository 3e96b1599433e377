"""Values of every struct, made from spec/schema.can without the generated
codecs, and mutations of them. What stands here knows the types of
RFC-MYTHOS-0001 §2.2 and nothing of how mythos.structs reads them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from mythos import value
from mythos.value import IVarint, Map, UVarint, Value


@dataclass
class Field:
    number: int
    optional: bool
    name: str
    type: str
    const: str = ""


@dataclass
class Shape:
    name: str
    closed: bool
    fields: list[Field] = field(default_factory=list)
    id: int = 0
    signature: int = 0


def parse(path: Path) -> dict[str, Shape]:
    """Read the schema."""
    out: dict[str, Shape] = {"Hash": Shape("Hash", True, [Field(1, False, "alg", "one"), Field(2, False, "bytes", "b32")])}
    for line in path.read_text().splitlines():
        words = line.split()
        if not words or line.startswith(("#", "package ")):
            continue
        if not line.startswith(" "):
            shape = Shape(words[0].rstrip("!"), words[0].endswith("!"))
            roles = dict(w.split("=") for w in words[1:] if "=" in w)
            shape.id, shape.signature = int(roles.get("id", 0)), int(roles.get("sig", 0))
            out[shape.name] = shape
        else:
            const = words[3].strip('"') if words[2] == "=" else ""
            kind = "const" if const else words[2]
            shape.fields.append(Field(int(words[0].rstrip("?")), words[0].endswith("?"), words[1], kind, const))
    return out


class Maker:
    """Makes values of the schema's types from a seeded source."""

    def __init__(self, shapes: dict[str, Shape], seed: int) -> None:
        self.shapes = shapes
        self.rng = random.Random(seed)

    def struct(self, name: str, depth: int = 0) -> Map:
        """Return a struct as a MAP; deep down optional fields are left out."""
        pairs: list[tuple[Value, Value]] = []
        for f in self.shapes[name].fields:
            if f.optional and self.rng.random() < (0.5 if depth < 4 else 1):
                continue
            pairs.append((UVarint(f.number), self.const(f) or self.of(f.type, depth + 1, f.optional)))
        return Map(pairs)

    @staticmethod
    def const(f: Field) -> Value:
        return f.const or None

    def of(self, kind: str, depth: int, filled: bool) -> Value:
        """Return a value of a type, not empty if filled."""
        rng, least = self.rng, 1 if filled else 0
        count = rng.randrange(least, 3) if depth < 6 else least
        if kind[0] == "[":
            return [self.of(kind[1:-1], depth + 1, False) for _ in range(count)]
        if kind[0] == "{":
            key, _, elem = kind[1:-1].partition(":")
            keys: list[Value] = [UVarint(rng.getrandbits(rng.randrange(33))) if key == "u32" else f"k{i}" for i in range(count)]
            unique = {value.encode(k): k for k in keys}
            return Map((k, self.of(elem, depth + 1, False)) for k in unique.values())
        if kind[0].isupper():
            return self.struct(kind.rstrip("!"), depth)
        if kind == "one":
            return UVarint(1)
        if kind in ("u8", "u16", "u32", "u64"):
            return UVarint(rng.getrandbits(rng.randrange(int(kind[1:]) + 1)))
        if kind in ("i64", "time"):
            return IVarint(rng.getrandbits(rng.randrange(64)) * rng.choice((1, -1)))
        if kind == "bool":
            return True if filled else rng.random() < 0.5
        if kind == "bytes":
            return rng.randbytes(rng.randrange(least, 150))
        if kind == "text":
            return "".join(rng.choice("ab\u00e9\u20ac\0") for _ in range(rng.randrange(least, 60)))
        return rng.randbytes(int(kind[1:]))


def empty(kind: str) -> Value:
    """Return the value of an optional field that is present and empty, or None."""
    return (
        {"[": [], "{": Map(), "b": b"", "t": ""}.get(kind[0])
        if kind not in ("bool", "time") and kind[1:2] not in "0123456789"
        else None
    )


def join(entries: list[tuple[bytes, bytes]]) -> bytes:
    """Return a MAP of encoded entries, in the order given."""
    return bytes((8, len(entries))) + b"".join(k + v for k, v in entries)


def split(struct: Map) -> list[tuple[bytes, bytes]]:
    """Return the encoded entries of a struct."""
    return [(value.encode(k), value.encode(v)) for k, v in struct.pairs]


def mutants(maker: Maker, name: str) -> list[tuple[str, bytes]]:
    """Return mutations of a value of a struct, each with its name."""
    shape, rng = maker.shapes[name], maker.rng
    base = maker.struct(name)
    entries = split(base)
    out = [("valid", join(entries))]
    for number in (1, 40, 64, 127):
        key = value.encode(UVarint(number))
        if all(k != key for k, _ in entries):
            out.append(
                (
                    f"unknown-{number}",
                    join(sorted([*entries, (key, value.encode(rng.choice(["x", [None], Map.of({"a": None})])))])),
                )
            )
    wrong = [value.encode(v) for v in (None, True, UVarint(300), IVarint(3), b"x", "x", [None], Map())]
    for i, (k, _) in enumerate(entries):
        out.append(("dropped", join(entries[:i] + entries[i + 1 :])))
        out.append(("type", join([*entries[:i], (k, rng.choice(wrong)), *entries[i + 1 :]])))
        out.append(("twice", join([*entries[: i + 1], entries[i], *entries[i + 1 :]])))
        out.append(("moved", join([*entries[:i], *entries[i + 1 :], entries[i]])))
    for f in shape.fields:
        if f.optional and not f.const:
            e = False if f.type == "bool" else empty(f.type)
            if e is not None:
                rest = [x for x in entries if x[0] != value.encode(UVarint(f.number))]
                out.append(("empty", join(sorted([*rest, (value.encode(UVarint(f.number)), value.encode(e))]))))
    raw = join(entries)
    for _ in range(12):
        flipped = bytearray(raw)
        flipped[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        out.append(("flipped", bytes(flipped)))
        out.append(("cut", raw[: rng.randrange(len(raw))]))
    out.append(("longer", raw + b"\0"))
    return out
